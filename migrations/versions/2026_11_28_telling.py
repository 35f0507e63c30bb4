"""Answers to questions, predictions, who owns a section of a page, and digests of our own.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

from app.domain.typed_counters import counters


revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Without a foreign key: SQLite adds one by copying the table alone, which has partial indexes. What
    # deletes a question empties the column (store/questions.py); with its page the link goes too.
    op.add_column('link', sa.Column('question_id', sa.Integer(), nullable=True))
    op.create_index(op.f('ix_link_question_id'), 'link', ['question_id'])
    for column in ('in_text', 'withdrawn'):
        op.add_column('question', sa.Column(column, sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table('prediction',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('text', sa.String(), nullable=False),
    sa.Column('made', sa.String(), nullable=False),
    sa.Column('due', sa.String(), nullable=False),
    sa.Column('probability', sa.Float(), nullable=True),
    sa.Column('state', sa.Enum('open', 'came-true', 'failed', 'withdrawn', name='predictionstate', native_enum=False, length=20), nullable=False),
    sa.Column('resolved', sa.String(), nullable=False),
    sa.Column('resolution', sa.String(), nullable=False),
    sa.Column('evidence', sa.JSON(), nullable=False),
    sa.Column('origin', sa.Enum('author', 'linker', 'model', 'agent', 'import', name='origin', native_enum=False, length=20), nullable=False),
    sa.Column('extra', sa.JSON(), nullable=False),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_prediction_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_prediction')),
    sa.UniqueConstraint('page_id', 'key', name=op.f('uq_prediction_page_id_key')),
    )
    op.create_index(op.f('ix_prediction_due'), 'prediction', ['due'])
    op.create_index(op.f('ix_prediction_state'), 'prediction', ['state'])
    op.create_table('prediction_touch',
    sa.Column('prediction_id', sa.Integer(), nullable=False),
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('day', sa.String(), nullable=False),
    sa.Column('confidence', sa.Float(), nullable=False),
    sa.Column('quotation', sa.String(), nullable=False),
    sa.Column('spans', sa.JSON(), nullable=False),
    sa.Column('dismissed', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_prediction_touch_page_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['prediction_id'], ['prediction.id'], name=op.f('fk_prediction_touch_prediction_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('prediction_id', 'page_id', name=op.f('pk_prediction_touch')),
    )
    op.create_index(op.f('ix_prediction_touch_page_id'), 'prediction_touch', ['page_id'])
    op.create_table('page_section',
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('hash', sa.String(), nullable=False),
    sa.Column('owner', sa.Enum('person', 'model', 'agent', 'import', 'vault', 'extract', name='authorkind', native_enum=False, length=20), nullable=False),
    sa.Column('author', sa.String(), nullable=False),
    sa.Column('prompt', sa.String(), nullable=False),
    sa.Column('at', UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_page_section_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('page_id', 'key', name=op.f('pk_page_section')),
    )
    op.create_table('page_number',
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('start', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('counts', sa.String(), nullable=False),
    sa.Column('says', sa.String(), nullable=False),
    sa.Column('around', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_page_number_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('page_id', 'start', name=op.f('pk_page_number')),
    )
    _note_numbers()
    op.add_column('digest', sa.Column('teller', sa.String(), server_default='', nullable=False))
    op.add_column('digest', sa.Column('key', sa.String(), server_default='', nullable=False))
    op.add_column('digest', sa.Column('struck', sa.Integer(), server_default='0', nullable=False))
    op.add_column('digest', sa.Column('told_at', UTCDateTime(), nullable=True))
    op.add_column('digest', sa.Column('mailed_at', UTCDateTime(), nullable=True))
    op.create_index('ix_paper_topic_by_day', 'paper', ['topic_id', 'came', 'state', 'score'])
    op.create_index('ix_listing_paper_days', 'listing_paper', ['paper_id', 'day'])
    op.drop_index(op.f('ix_listing_paper_paper_id'), table_name='listing_paper')


def _note_numbers() -> None:
    """The numbers in the texts that are there already; from now on a save notes them."""
    connection = op.get_bind()
    page = sa.table('page', sa.column('id', sa.Integer), sa.column('body', sa.String))
    number = sa.table('page_number', *(sa.column(name) for name in ('page_id', 'start', 'counts', 'says', 'around')))
    may = page.c.body.like('%{{%') | page.c.body.like('%paper%')
    last = 0
    while rows := connection.execute(sa.select(page.c.id, page.c.body).where(may, page.c.id > last).order_by(page.c.id).limit(500)).all():
        last = rows[-1].id
        found = [
            {'page_id': row.id, 'start': each.start, 'counts': each.counts.value, 'says': each.says, 'around': each.around}
            for row in rows
            for each in counters(row.body)
        ]
        if found:
            connection.execute(sa.insert(number), found)


def downgrade() -> None:
    # Kinds that the program before does not know, and what was decided about them.
    unknown = "(SELECT id FROM change WHERE kind IN ('thread', 'edit'))"
    op.execute(f"DELETE FROM decision WHERE change_id IN {unknown}")
    op.execute("DELETE FROM change WHERE kind IN ('thread', 'edit')")
    op.create_index(op.f('ix_listing_paper_paper_id'), 'listing_paper', ['paper_id'])
    op.drop_index('ix_listing_paper_days', table_name='listing_paper')
    op.drop_index('ix_paper_topic_by_day', table_name='paper')
    for column in ('mailed_at', 'told_at', 'struck', 'key', 'teller'):
        op.drop_column('digest', column)
    op.drop_table('page_number')
    for table in ('page_section', 'prediction_touch', 'prediction'):
        op.drop_table(table)
    for column in ('withdrawn', 'in_text'):
        op.drop_column('question', column)
    op.drop_index(op.f('ix_link_question_id'), table_name='link')
    op.drop_column('link', 'question_id')
