"""The vault: which file says what of which page; acts that can be undone as a whole.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime


revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None

BY_ITSELF = {
    'ix_revision_of_people': (
        'revision', "act_id IS NULL AND author_kind IN ('person', 'vault')"
    ),
    'ix_decision_by_itself': ('decision', 'act_id IS NULL'),
}
OF_AN_ACT = ('revision', 'link', 'change', 'decision', 'item', 'paper')

MARK = (
    "INSERT INTO unmirrored (page_id, seq) SELECT {page}, 1 WHERE {page} IS NOT NULL "
    "ON CONFLICT (page_id) DO UPDATE SET seq = unmirrored.seq + 1;"
)
# The files of pages that link to this one name it.
NAMED_BY = (
    "INSERT INTO unmirrored (page_id, seq) SELECT DISTINCT source_id, 1 FROM link "
    "WHERE target_id = NEW.id AND status <> 'proposed' "
    "ON CONFLICT (page_id) DO UPDATE SET seq = unmirrored.seq + 1;"
)
OF_ITS_OWNER = "coalesce({row}.page_id, (SELECT page_id FROM paper WHERE id = {row}.paper_id))"
DECIDED = "{row}.status <> 'proposed'"


# What a paper is ordered by: the chance that its newest scorer gave it, else what its relevance means as
# a chance (`blended(None, …)` of domain/scoring.py); its two marks tell equals apart. No page says more
# than ten of either.
CHANCE = """CASE WHEN score IS NOT NULL THEN score WHEN relevance IS NULL THEN 0
    WHEN relevance >= 10 THEN 0.70206 WHEN relevance = 9 THEN 0.53565 WHEN relevance = 8 THEN 0.36091
    WHEN relevance = 7 THEN 0.21658 WHEN relevance = 6 THEN 0.1192 WHEN relevance = 5 THEN 0.06214
    WHEN relevance = 4 THEN 0.03141 WHEN relevance = 3 THEN 0.01563 WHEN relevance = 2 THEN 0.00771
    ELSE 0.00379 END"""
SCORE = f"""coalesce((SELECT {CHANCE} + (coalesce(relevance, 0) * 10 + coalesce(novelty, 0)) / 1e10
    FROM assessment WHERE assessment.paper_id = paper.id ORDER BY assessment.id DESC LIMIT 1), 0)"""
SCORE_BEFORE = """coalesce((SELECT coalesce(relevance, 0) + coalesce(novelty, 0) + 0.99 * coalesce(score, 0)
    FROM assessment WHERE assessment.paper_id = paper.id ORDER BY assessment.id DESC LIMIT 1), 0)"""
TOPIC = """(SELECT assessment.topic_id FROM assessment
    WHERE assessment.paper_id = paper.id ORDER BY assessment.id DESC LIMIT 1)"""
EVENTS = {
    'insert': ['new.paper_id'],
    'update': ['old.paper_id', 'new.paper_id'],
    'delete': ['old.paper_id'],
}


def _triggers() -> dict[str, tuple[str, str, str, str]]:
    """By name: the table, when, under which condition, and what it does. The same on both engines."""
    found = {
        'unmirrored_page_new': ('page', 'INSERT', '', MARK.format(page='NEW.id')),
        'unmirrored_page': (
            'page', 'UPDATE OF slug, kind, title, version, extra', '', MARK.format(page='NEW.id')
        ),
        'unmirrored_page_named': (
            'page', 'UPDATE OF slug, title', 'OLD.slug <> NEW.slug OR OLD.title <> NEW.title', NAMED_BY
        ),
        'unmirrored_paper': (
            'paper',
            'UPDATE OF page_id, title, abstract, authors, venue, published, categories, "references", '
            'code_url, extra, state',
            '',
            MARK.format(page='NEW.page_id') + ' ' + MARK.format(page='OLD.page_id'),
        ),
        'unmirrored_link_new': (
            'link', 'INSERT', DECIDED.format(row='NEW'), MARK.format(page='NEW.source_id')
        ),
        'unmirrored_link': (
            'link',
            'UPDATE OF source_id, target_id, relation, role, note, day, status, origin, confidence, evidence',
            f"{DECIDED.format(row='OLD')} OR {DECIDED.format(row='NEW')}",
            MARK.format(page='NEW.source_id') + ' ' + MARK.format(page='OLD.source_id'),
        ),
        'unmirrored_link_gone': (
            'link', 'DELETE', DECIDED.format(row='OLD'), MARK.format(page='OLD.source_id')
        ),
    }
    for table in ('alias', 'page_tag', 'thread', 'digest', 'episode', 'question', 'prediction'):
        for event, row in (('INSERT', 'NEW'), ('UPDATE', 'NEW'), ('DELETE', 'OLD')):
            found[f'unmirrored_{table}_{event.lower()}'] = (
                table, event, '', MARK.format(page=f'{row}.page_id')
            )
    for event, row in (('INSERT', 'NEW'), ('UPDATE', 'NEW'), ('DELETE', 'OLD')):
        found[f'unmirrored_identifier_{event.lower()}'] = (
            'identifier', event, '', MARK.format(page=OF_ITS_OWNER.format(row=row))
        )
    return found


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == 'postgresql'


def _score_by(score: str) -> None:
    """Let `paper.score` be another number, now and from now on."""
    op.execute(
        f"UPDATE paper SET score = {score} WHERE id IN (SELECT paper_id FROM assessment)"
    )
    change = f"UPDATE paper SET score = {score}, topic_id = {TOPIC} WHERE id = %s;"
    if _is_postgresql():
        op.execute(f"""CREATE OR REPLACE FUNCTION paper_marks() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF TG_OP <> 'INSERT' THEN {change % 'OLD.paper_id'} END IF;
                IF TG_OP <> 'DELETE' THEN {change % 'NEW.paper_id'} END IF;
                RETURN NULL;
            END $$""")
        return
    for event, rows in EVENTS.items():
        body = ' '.join(change % row for row in rows)
        op.execute(f"DROP TRIGGER paper_marks_{event}")
        op.execute(
            f"CREATE TRIGGER paper_marks_{event} AFTER {event.upper()} ON assessment BEGIN {body} END"
        )


def upgrade() -> None:
    _score_by(SCORE)
    op.create_table('act',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Enum('import', 'delivery', 'work', 'vault', 'undo', name='actkind', native_enum=False, length=20), nullable=False),
    sa.Column('at', UTCDateTime(), nullable=False),
    sa.Column('words', sa.String(), nullable=False),
    sa.Column('counts', sa.JSON(), nullable=False),
    sa.Column('run_id', sa.Integer(), nullable=True),
    sa.Column('undone', sa.Boolean(), nullable=False),
    sa.Column('undoes_id', sa.Integer(), nullable=True),
    sa.Column('taken', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_act')),
    )
    op.create_index(op.f('ix_act_at'), 'act', ['at'])
    op.create_index(op.f('ix_act_run_id'), 'act', ['run_id'])
    for table in OF_AN_ACT:
        op.add_column(table, sa.Column('act_id', sa.Integer(), nullable=True))
        op.create_index(
            op.f(f'ix_{table}_act_id'),
            table,
            ['act_id'],
            sqlite_where=sa.text('act_id IS NOT NULL'),
            postgresql_where=sa.text('act_id IS NOT NULL'),
        )
    for name, (table, where) in BY_ITSELF.items():
        op.create_index(
            name, table, ['at'], sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )
    op.create_table('mirror',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('page_id', sa.Integer(), nullable=True),
    sa.Column('path', sa.String(), nullable=False),
    sa.Column('path_key', sa.String(), nullable=False),
    sa.Column('stem_key', sa.String(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('head', sa.String(), nullable=False),
    sa.Column('newline', sa.String(), nullable=False),
    sa.Column('hash', sa.String(), nullable=False),
    sa.Column('side_hash', sa.String(), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('mtime_ns', sa.BigInteger(), nullable=False),
    sa.Column('at', UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_mirror_page_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mirror')),
    sa.UniqueConstraint('page_id', name=op.f('uq_mirror_page_id')),
    sa.UniqueConstraint('path', name=op.f('uq_mirror_path')),
    sa.UniqueConstraint('path_key', name=op.f('uq_mirror_path_key')),
    )
    op.create_index(op.f('ix_mirror_stem_key'), 'mirror', ['stem_key'])
    op.create_table('unmirrored',
    sa.Column('page_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('seq', sa.Integer(), server_default='1', nullable=False),
    sa.PrimaryKeyConstraint('page_id', name=op.f('pk_unmirrored')),
    )
    op.create_table('vault_conflict',
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('base', sa.Integer(), nullable=False),
    sa.Column('text', sa.String(), nullable=False),
    sa.Column('hash', sa.String(), nullable=False),
    sa.Column('at', UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_vault_conflict_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('page_id', name=op.f('pk_vault_conflict')),
    )
    op.create_table('vault_problem',
    sa.Column('path', sa.String(), nullable=False),
    sa.Column('reason', sa.String(), nullable=False),
    sa.Column('at', UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('path', name=op.f('pk_vault_problem')),
    )
    op.execute("INSERT INTO unmirrored (page_id, seq) SELECT id, 1 FROM page")
    for name, (table, when, condition, body) in _triggers().items():
        under = f'WHEN ({condition}) ' if condition else ''
        if _is_postgresql():
            op.execute(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN {body} RETURN NULL; END $$"
            )
            op.execute(
                f"CREATE TRIGGER {name} AFTER {when} ON {table} FOR EACH ROW {under}"
                f"EXECUTE FUNCTION {name}()"
            )
        else:
            op.execute(f"CREATE TRIGGER {name} AFTER {when} ON {table} {under}BEGIN {body} END")


def downgrade() -> None:
    _score_by(SCORE_BEFORE)
    for name, (table, *_) in _triggers().items():
        if _is_postgresql():
            op.execute(f"DROP TRIGGER {name} ON {table}")
            op.execute(f"DROP FUNCTION {name}()")
        else:
            op.execute(f"DROP TRIGGER {name}")
    for table in ('vault_problem', 'vault_conflict', 'unmirrored', 'mirror'):
        op.drop_table(table)
    for name, (table, _) in BY_ITSELF.items():
        op.drop_index(name, table_name=table)
    for table in OF_AN_ACT:
        op.drop_index(op.f(f'ix_{table}_act_id'), table_name=table)
        op.drop_column(table, 'act_id')
    op.drop_table('act')
