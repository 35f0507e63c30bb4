"""What the search index needs at size and on PostgreSQL.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel import Session

from app.store.search import fill


revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

# What the parser may call a word that is letters and digits alone.
TOKENS = "asciiword, word, numword, int, uint, float, sfloat, version"

WORD_INDEX = (
    # Stems as SQLite's tokeniser "porter" makes them; without a list of stop words, for a phrase
    # may hold some.
    "CREATE TEXT SEARCH DICTIONARY cerebro_stem (TEMPLATE = snowball, LANGUAGE = porter)",
    "CREATE TEXT SEARCH CONFIGURATION cerebro (PARSER = default)",
    f"ALTER TEXT SEARCH CONFIGURATION cerebro ADD MAPPING FOR {TOKENS} WITH cerebro_stem",
    "ALTER TABLE page_text ADD COLUMN words tsvector, ADD COLUMN name_words tsvector",
    # A text of usual length stays in its row: ranking reads the words of every page that matches.
    "ALTER TABLE page_text SET (toast_tuple_target = 8160)",
    # New words wait in a list, which every search reads through: it stays short.
    "CREATE INDEX ix_page_text_words ON page_text USING gin (words) "
    "WITH (gin_pending_list_limit = 1024)",
    "CREATE INDEX ix_page_text_name_words ON page_text USING gin (name_words) "
    "WITH (gin_pending_list_limit = 1024)",
)
NO_WORD_INDEX = (
    "DROP INDEX ix_page_text_name_words",
    "DROP INDEX ix_page_text_words",
    "ALTER TABLE page_text RESET (toast_tuple_target)",
    "ALTER TABLE page_text DROP COLUMN words, DROP COLUMN name_words",
    "DROP TEXT SEARCH CONFIGURATION cerebro",
    "DROP TEXT SEARCH DICTIONARY cerebro_stem",
)


def upgrade() -> None:
    op.create_table('title_word',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('word', sa.String(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_title_word')),
    sa.UniqueConstraint('word', name=op.f('uq_title_word_word'))
    )
    op.create_index('ix_page_kind_updated_at', 'page', ['kind', 'updated_at'], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        for statement in WORD_INDEX:
            op.execute(statement)
    with Session(op.get_bind()) as session:
        fill(session)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for statement in NO_WORD_INDEX:
            op.execute(statement)
    op.drop_index('ix_page_kind_updated_at', table_name='page')
    op.drop_table('title_word')
