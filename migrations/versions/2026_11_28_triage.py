"""Triage: what a scorer says in full, calls of models and their prices, vectors of waiting papers.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime


revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None

# As in 0004; behind the point how sure the scorer was, so that no two of a day stand level.
SCORE = """coalesce((SELECT coalesce(relevance, 0) + coalesce(novelty, 0) + 0.99 * coalesce(score, 0)
    FROM assessment WHERE assessment.paper_id = paper.id ORDER BY assessment.id DESC LIMIT 1), 0)"""
SCORE_BEFORE = """coalesce((SELECT coalesce(relevance, 0) + coalesce(novelty, 0) FROM assessment
    WHERE assessment.paper_id = paper.id ORDER BY assessment.id DESC LIMIT 1), 0)"""
TOPIC = """(SELECT assessment.topic_id FROM assessment
    WHERE assessment.paper_id = paper.id ORDER BY assessment.id DESC LIMIT 1)"""
# A vector is of the text that a paper had: with another title or abstract it is gone.
STALE_ON_SQLITE = (
    """CREATE TRIGGER paper_vector_stale AFTER UPDATE OF title, abstract ON paper
    WHEN old.title <> new.title OR old.abstract <> new.abstract BEGIN
        DELETE FROM paper_vector WHERE paper_id = new.id;
    END""",
)
STALE_ON_POSTGRESQL = (
    """CREATE FUNCTION paper_vector_stale() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM paper_vector WHERE paper_id = NEW.id;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER paper_vector_stale AFTER UPDATE OF title, abstract ON paper FOR EACH ROW
    WHEN (OLD.title <> NEW.title OR OLD.abstract <> NEW.abstract)
    EXECUTE FUNCTION paper_vector_stale()""",
)
# A paper that is listed again keeps its place, unless the listing itself says that it is new.
CAME = """coalesce((SELECT coalesce(max(CASE WHEN announced = 'new' THEN day END), min(day))
    FROM listing_paper WHERE listing_paper.paper_id = {paper}), {published})"""
CAME_BEFORE = """coalesce((SELECT max(day) FROM listing_paper
    WHERE listing_paper.paper_id = {paper}), {published})"""
EVENTS = {
    "insert": ["new.paper_id"],
    "update": ["old.paper_id", "new.paper_id"],
    "delete": ["old.paper_id"],
}


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def upgrade() -> None:
    op.create_table('model_call',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('at', UTCDateTime(), nullable=False),
    sa.Column('day', sa.String(), nullable=False),
    sa.Column('purpose', sa.String(), nullable=False),
    sa.Column('about', sa.String(), nullable=False),
    sa.Column('model', sa.String(), nullable=False),
    sa.Column('prompt', sa.String(), nullable=False),
    sa.Column('state', sa.Enum('reserved', 'booked', 'released', name='callstate', native_enum=False, length=20), nullable=False),
    sa.Column('batched', sa.Boolean(), nullable=False),
    sa.Column('input_tokens', sa.Integer(), nullable=False),
    sa.Column('output_tokens', sa.Integer(), nullable=False),
    sa.Column('cache_read_tokens', sa.Integer(), nullable=False),
    sa.Column('cache_write_tokens', sa.Integer(), nullable=False),
    sa.Column('cache_write_1h_tokens', sa.Integer(), nullable=False),
    sa.Column('reserved', sa.BigInteger(), nullable=True),
    sa.Column('cost', sa.BigInteger(), nullable=True),
    sa.Column('papers', sa.Integer(), nullable=False),
    sa.Column('outcome', sa.String(), nullable=False),
    sa.Column('request_id', sa.String(), nullable=False),
    sa.Column('ended_at', UTCDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_model_call')),
    )
    op.create_index(op.f('ix_model_call_about'), 'model_call', ['about'])
    op.create_index('ix_model_call_spent', 'model_call', ['day', 'state', 'cost', 'reserved'])
    op.create_index(op.f('ix_model_call_state'), 'model_call', ['state'])
    op.create_table('price',
    sa.Column('model', sa.String(), nullable=False),
    sa.Column('since', sa.String(), nullable=False),
    sa.Column('input', sa.BigInteger(), nullable=False),
    sa.Column('output', sa.BigInteger(), nullable=False),
    sa.Column('cache_read', sa.BigInteger(), nullable=False),
    sa.Column('cache_write', sa.BigInteger(), nullable=False),
    sa.Column('cache_write_1h', sa.BigInteger(), nullable=False),
    sa.Column('batch_percent', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('model', 'since', name=op.f('pk_price')),
    )
    op.create_table('model_batch',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('provider_id', sa.String(), nullable=False),
    sa.Column('call_id', sa.Integer(), nullable=False),
    sa.Column('purpose', sa.String(), nullable=False),
    sa.Column('about', sa.String(), nullable=False),
    sa.Column('model', sa.String(), nullable=False),
    sa.Column('prompt', sa.String(), nullable=False),
    sa.Column('state', sa.Enum('prepared', 'sent', 'collected', 'failed', name='batchstate', native_enum=False, length=20), nullable=False),
    sa.Column('requests', sa.JSON(), nullable=False),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.Column('next_look_at', UTCDateTime(), nullable=False),
    sa.Column('ended_at', UTCDateTime(), nullable=True),
    sa.Column('error', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['call_id'], ['model_call.id'], name=op.f('fk_model_batch_call_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_model_batch')),
    )
    op.create_index(op.f('ix_model_batch_provider_id'), 'model_batch', ['provider_id'])
    op.create_index(op.f('ix_model_batch_state'), 'model_batch', ['state'])
    op.create_table('paper_vector',
    sa.Column('paper_id', sa.Integer(), nullable=False),
    sa.Column('model', sa.String(), nullable=False),
    sa.Column('text_hash', sa.String(), nullable=False),
    sa.Column('data', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['paper_id'], ['paper.id'], name=op.f('fk_paper_vector_paper_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('paper_id', 'model', name=op.f('pk_paper_vector')),
    )
    op.create_table('text_vector',
    sa.Column('model', sa.String(), nullable=False),
    sa.Column('hash', sa.String(), nullable=False),
    sa.Column('data', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('model', 'hash', name=op.f('pk_text_vector')),
    )
    op.add_column('topic', sa.Column('retired', sa.Boolean(), server_default=sa.false(), nullable=False))
    # Nothing could choose a threshold, nor used one, before; scores are chances, and few reach a half.
    op.execute("UPDATE topic SET threshold = 0.15 WHERE threshold = 0.5")
    op.add_column('listing', sa.Column('judge_now', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('listing_paper', sa.Column('version', sa.Integer(), nullable=True))
    op.add_column('listing_paper', sa.Column('announced', sa.Enum('new', 'cross', 'replaced', name='announced', native_enum=False, length=20), nullable=True))

    _drop_marks()
    with op.batch_alter_table('assessment', schema=None) as batch_op:
        batch_op.add_column(sa.Column('score', sa.Float(), nullable=True))
        batch_op.add_column(sa.Column('hotspot_comment', sa.String(), server_default='', nullable=False))
        batch_op.add_column(sa.Column('tier', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('tier_reason', sa.String(), server_default='', nullable=False))
        batch_op.add_column(sa.Column('evidence', sa.JSON(), server_default='[]', nullable=False))
        batch_op.add_column(sa.Column('call_id', sa.Integer(), nullable=True))
        batch_op.create_foreign_key(batch_op.f('fk_assessment_call_id'), 'model_call', ['call_id'], ['id'], ondelete='SET NULL')
    _retype_score(sa.Float())
    _make_marks(SCORE)
    _retell_came(CAME)
    for statement in STALE_ON_POSTGRESQL if _is_postgresql() else STALE_ON_SQLITE:
        op.execute(statement)


def _retype_score(kind: sa.types.TypeEngine[object]) -> None:
    """Of SQLite's column the type is a word: it holds either number as it is."""
    if _is_postgresql():
        op.alter_column('paper', 'score', type_=kind, existing_server_default='0')


def _drop_marks() -> None:
    if _is_postgresql():
        op.execute("DROP TRIGGER paper_marks ON assessment")
        op.execute("DROP FUNCTION paper_marks()")
        return
    for event in EVENTS:
        op.execute(f"DROP TRIGGER paper_marks_{event}")


def _make_marks(score: str) -> None:
    change = f"UPDATE paper SET score = {score}, topic_id = {TOPIC} WHERE id = %s;"
    if _is_postgresql():
        op.execute(f"""CREATE FUNCTION paper_marks() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF TG_OP <> 'INSERT' THEN {change % 'OLD.paper_id'} END IF;
                IF TG_OP <> 'DELETE' THEN {change % 'NEW.paper_id'} END IF;
                RETURN NULL;
            END $$""")
        op.execute(
            "CREATE TRIGGER paper_marks AFTER INSERT OR UPDATE OR DELETE ON assessment "
            "FOR EACH ROW EXECUTE FUNCTION paper_marks()"
        )
        return
    for event, rows in EVENTS.items():
        body = " ".join(change % row for row in rows)
        op.execute(
            f"CREATE TRIGGER paper_marks_{event} AFTER {event.upper()} ON assessment BEGIN {body} END"
        )


def _retell_came(came: str) -> None:
    """Let `paper.came` be another one of the days on which a paper was listed, now and from now on."""
    own = came.format(paper='paper.id', published='paper.published')
    change = f"UPDATE paper SET came = {own} WHERE id = %s;"
    op.execute(
        f"UPDATE paper SET came = {own} "
        "WHERE id IN (SELECT paper_id FROM listing_paper GROUP BY paper_id HAVING count(*) > 1)"
    )
    if _is_postgresql():
        op.execute(f"""CREATE OR REPLACE FUNCTION paper_listed() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF TG_OP <> 'INSERT' THEN {change % 'OLD.paper_id'} END IF;
                IF TG_OP <> 'DELETE' THEN {change % 'NEW.paper_id'} END IF;
                RETURN NULL;
            END $$""")
        op.execute(f"""CREATE OR REPLACE FUNCTION paper_came() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                NEW.came := {came.format(paper='NEW.id', published='NEW.published')};
                RETURN NEW;
            END $$""")
        return
    bodies = {
        f"paper_listed_{event}": f"AFTER {event.upper()} ON listing_paper BEGIN "
        f"{' '.join(change % row for row in rows)} END"
        for event, rows in EVENTS.items()
    } | {
        "paper_came_insert": "AFTER INSERT ON paper WHEN new.published <> '' "
        f"BEGIN {change % 'new.id'} END",
        "paper_came_update": f"AFTER UPDATE OF published ON paper BEGIN {change % 'new.id'} END",
    }
    for name, body in bodies.items():
        op.execute(f"DROP TRIGGER {name}")
        op.execute(f"CREATE TRIGGER {name} {body}")


def downgrade() -> None:
    if _is_postgresql():
        op.execute("DROP TRIGGER paper_vector_stale ON paper")
        op.execute("DROP FUNCTION paper_vector_stale()")
    else:
        op.execute("DROP TRIGGER paper_vector_stale")
    _drop_marks()
    with op.batch_alter_table('assessment', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_assessment_call_id'), type_='foreignkey')
        for column in ('call_id', 'evidence', 'tier_reason', 'tier', 'hotspot_comment', 'score'):
            batch_op.drop_column(column)
    op.execute("UPDATE paper SET score = floor(score)" if _is_postgresql() else "UPDATE paper SET score = CAST(score AS INTEGER)")
    _retype_score(sa.Integer())
    _make_marks(SCORE_BEFORE)
    _retell_came(CAME_BEFORE)
    for column in ('announced', 'version'):
        op.drop_column('listing_paper', column)
    op.drop_column('topic', 'retired')
    op.drop_column('listing', 'judge_now')
    for table in ('text_vector', 'paper_vector', 'model_batch', 'price', 'model_call'):
        op.drop_table(table)
