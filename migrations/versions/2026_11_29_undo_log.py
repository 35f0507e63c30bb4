"""The undo log: what an import changed in rows that were there before.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('undo_log',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('act_id', sa.Integer(), nullable=False),
    sa.Column('entries', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['act_id'], ['act.id'], name=op.f('fk_undo_log_act_id_act')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_undo_log'))
    )
    with op.batch_alter_table('undo_log', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_undo_log_act_id'), ['act_id'], unique=False)


def downgrade() -> None:
    with op.batch_alter_table('undo_log', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_undo_log_act_id'))
    op.drop_table('undo_log')
