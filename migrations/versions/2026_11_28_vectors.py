"""What vectors need at size and on PostgreSQL.

Vectors are numbered in the order in which they are committed, so that a process reads only those
it has not seen. Models are named with the setting that loads them. Pages without a vector of their
text are kept by triggers: finding them does not read all pages. PostgreSQL keeps each vector a
second time as a halfvec, for its index.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.store.vectors import require_pgvector

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('embedding_model',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('setting', sa.String(), nullable=False),
    sa.Column('dim', sa.Integer(), nullable=False),
    sa.Column('wanted', sa.Boolean(), nullable=False),
    sa.Column('serves', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_embedding_model'))
    )
    op.create_table('unencoded',
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('hash', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page_text.page_id'], name=op.f('fk_unencoded_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('page_id', name=op.f('pk_unencoded'))
    )
    postgresql = op.get_bind().dialect.name == 'postgresql'
    if not postgresql:
        op.rename_table('vector', 'page_vector')
    op.drop_index('ix_vector_model', table_name='page_vector')
    op.add_column('page_vector', sa.Column('seq', sa.Integer(), server_default='0', nullable=False))
    op.create_index('ix_page_vector_model', 'page_vector', ['model', 'seq'], unique=False)
    if postgresql:
        require_pgvector(op.get_bind())
        op.execute("ALTER TABLE page_vector ADD COLUMN half halfvec")
        op.execute(POSTGRESQL_FUNCTION)
        op.execute(
            "CREATE TRIGGER unencoded AFTER INSERT OR UPDATE ON page_text "
            "FOR EACH ROW EXECUTE FUNCTION note_unencoded()"
        )
    else:
        op.execute(SQLITE_TRIGGER.format(name='insert', event='INSERT', condition=''))
        op.execute(SQLITE_TRIGGER.format(
            name='update', event='UPDATE OF hash', condition='WHEN old.hash <> new.hash'
        ))
    _take_stock(op.get_bind())


SQLITE_TRIGGER = """
    CREATE TRIGGER unencoded_{name} AFTER {event} ON page_text {condition} BEGIN
        INSERT INTO unencoded (page_id, hash) VALUES (new.page_id, new.hash)
        ON CONFLICT (page_id) DO UPDATE SET hash = excluded.hash;
    END"""

# The condition stands in the function: a column that a trigger names could not change its type.
POSTGRESQL_FUNCTION = """
    CREATE FUNCTION note_unencoded() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' OR OLD.hash <> NEW.hash THEN
            INSERT INTO unencoded (page_id, hash) VALUES (NEW.page_id, NEW.hash)
            ON CONFLICT (page_id) DO UPDATE SET hash = excluded.hash;
        END IF;
        RETURN NULL;
    END $$"""


def _take_stock(connection: sa.Connection) -> None:
    """Name the models there are vectors of, the one with most as in use; note what has none of it."""
    found = connection.execute(sa.text(
        "SELECT model, MAX(dim), COUNT(*) FROM page_vector GROUP BY model ORDER BY COUNT(*) DESC, model"
    )).all()
    models = sa.table('embedding_model', *map(sa.column, ('id', 'setting', 'dim', 'wanted', 'serves')))
    for at, (model, dim, _) in enumerate(found):
        connection.execute(sa.insert(models).values(
            id=model, setting=model.rpartition('@')[0], dim=dim, wanted=at == 0, serves=at == 0
        ))
        # A length the model does not make: such a vector was never used.
        connection.execute(
            sa.text("DELETE FROM page_vector WHERE model = :model AND dim <> :dim"),
            {'model': model, 'dim': dim},
        )
    connection.execute(
        sa.text(
            """INSERT INTO unencoded (page_id, hash)
            SELECT page_text.page_id, page_text.hash FROM page_text WHERE NOT EXISTS (
                SELECT 1 FROM page_vector AS made WHERE made.page_id = page_text.page_id
                AND made.model = :model AND made.text_hash = page_text.hash)"""
        ),
        {'model': found[0][0] if found else ''},
    )


def downgrade() -> None:
    postgresql = op.get_bind().dialect.name == 'postgresql'
    if postgresql:
        op.execute("DROP TRIGGER unencoded ON page_text")
        op.execute("DROP FUNCTION note_unencoded()")
        op.execute("ALTER TABLE page_vector DROP COLUMN half")
    else:
        op.execute("DROP TRIGGER unencoded_insert")
        op.execute("DROP TRIGGER unencoded_update")
    op.drop_index('ix_page_vector_model', table_name='page_vector')
    op.drop_column('page_vector', 'seq')
    op.create_index('ix_vector_model', 'page_vector', ['model', 'page_id', 'text_hash'], unique=False)
    if not postgresql:
        op.rename_table('page_vector', 'vector')
    op.drop_table('unencoded')
    op.drop_table('embedding_model')
