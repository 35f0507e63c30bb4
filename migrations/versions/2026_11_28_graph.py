"""Indexes that hold the surest links of a page first, one for each side.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from alembic import op


revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index('ix_link_out', 'link', ['source_id', 'status', 'confidence', 'target_id', 'relation'])
    op.create_index('ix_link_in', 'link', ['target_id', 'status', 'confidence', 'source_id', 'relation'])


def downgrade() -> None:
    op.drop_index('ix_link_in', table_name='link')
    op.drop_index('ix_link_out', table_name='link')
