"""Sources that are fetched: subscriptions, fetches, deliveries, hosts; what an item is and says.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime


revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('fetch_host',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('next_at', sa.Float(), nullable=False),
    sa.Column('asked_at', sa.Float(), nullable=False),
    sa.Column('owner', sa.String(), nullable=False),
    sa.Column('until', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_fetch_host')),
    )
    op.create_table('source_fetch',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('source_id', sa.Integer(), nullable=False),
    sa.Column('reason', sa.Enum('due', 'asked', 'back-fill', name='fetchreason', native_enum=False, length=20), nullable=False),
    sa.Column('state', sa.Enum('waiting', 'running', 'done', 'failed', 'cancelled', name='fetchstate', native_enum=False, length=20), nullable=False),
    sa.Column('first_day', sa.String(), nullable=False),
    sa.Column('last_day', sa.String(), nullable=False),
    sa.Column('cursor', sa.JSON(), nullable=False),
    sa.Column('responses', sa.Integer(), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('seen', sa.Integer(), nullable=False),
    sa.Column('total', sa.Integer(), nullable=True),
    sa.Column('error', sa.String(), nullable=False),
    sa.Column('cancel', sa.Boolean(), nullable=False),
    sa.Column('asked_at', UTCDateTime(), nullable=False),
    sa.Column('started_at', UTCDateTime(), nullable=True),
    sa.Column('ended_at', UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['source_id'], ['source.id'], name=op.f('fk_source_fetch_source_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_source_fetch')),
    )
    op.create_index(op.f('ix_source_fetch_source_id'), 'source_fetch', ['source_id'])
    op.create_index(op.f('ix_source_fetch_state'), 'source_fetch', ['state'])
    op.create_table('subscription',
    sa.Column('source_id', sa.Integer(), nullable=False),
    sa.Column('connector', sa.String(), nullable=False),
    sa.Column('options', sa.JSON(), nullable=False),
    sa.Column('cursor', sa.JSON(), nullable=False),
    sa.Column('every_minutes', sa.Integer(), nullable=False),
    sa.Column('since', sa.String(), nullable=False),
    sa.Column('due_at', UTCDateTime(), nullable=False),
    sa.Column('paused', sa.Boolean(), nullable=False),
    sa.Column('stopped', sa.String(), nullable=False),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('last_error', sa.String(), nullable=False),
    sa.Column('tried_at', UTCDateTime(), nullable=True),
    sa.Column('succeeded_at', UTCDateTime(), nullable=True),
    sa.Column('moved_to', sa.String(), nullable=False),
    sa.Column('moved_times', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['source_id'], ['source.id'], name=op.f('fk_subscription_source_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('source_id', name=op.f('pk_subscription')),
    )
    op.create_index(op.f('ix_subscription_due_at'), 'subscription', ['due_at'])
    op.create_table('delivery',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('source_id', sa.Integer(), nullable=False),
    sa.Column('fetch_id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('url', sa.String(), nullable=False),
    sa.Column('format', sa.String(), nullable=False),
    sa.Column('headers', sa.JSON(), nullable=False),
    sa.Column('raw_sha256', sa.String(), nullable=False),
    sa.Column('state', sa.Enum('waiting', 'read', 'failed', name='deliverystate', native_enum=False, length=20), nullable=False),
    sa.Column('new', sa.Integer(), nullable=False),
    sa.Column('changed', sa.Integer(), nullable=False),
    sa.Column('same', sa.Integer(), nullable=False),
    sa.Column('rejected', sa.Integer(), nullable=False),
    sa.Column('refusals', sa.JSON(), nullable=False),
    sa.Column('received_at', UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['fetch_id'], ['source_fetch.id'], name=op.f('fk_delivery_fetch_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['raw_sha256'], ['raw.sha256'], name=op.f('fk_delivery_raw_sha256')),
    sa.ForeignKeyConstraint(['source_id'], ['source.id'], name=op.f('fk_delivery_source_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_delivery')),
    )
    op.create_index(op.f('ix_delivery_fetch_id'), 'delivery', ['fetch_id'])
    op.create_index(op.f('ix_delivery_source_id'), 'delivery', ['source_id'])
    op.create_index(op.f('ix_delivery_state'), 'delivery', ['state'])
    op.create_table('loose_mention',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('item_id', sa.Integer(), nullable=False),
    sa.Column('scheme', sa.String(), nullable=False),
    sa.Column('value', sa.String(), nullable=False),
    sa.Column('section', sa.String(), nullable=False),
    sa.Column('day', sa.String(), nullable=False),
    sa.Column('text', sa.String(), nullable=False),
    sa.Column('source_name', sa.String(), nullable=False),
    sa.Column('stance', sa.Enum('supports', 'disputes', name='stance', native_enum=False, length=20), nullable=True),
    sa.ForeignKeyConstraint(['item_id'], ['item.id'], name=op.f('fk_loose_mention_item_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_loose_mention')),
    sa.UniqueConstraint('item_id', 'scheme', 'value', 'section', name=op.f('uq_loose_mention_item_id_scheme_value_section')),
    )
    op.create_index(op.f('ix_loose_mention_item_id'), 'loose_mention', ['item_id'])
    op.create_index('ix_loose_mention_scheme_value', 'loose_mention', ['scheme', 'value'])
    op.create_table('loose_link',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('source_id', sa.Integer(), nullable=False),
    sa.Column('relation', sa.Enum('about', 'part-of', 'extends', 'confirms', 'contradicts', 'uses', 'compares', 'answers', 'covers', 'recommends', 'broader', 'related', 'mentions', name='relation', native_enum=False, length=20), nullable=False),
    sa.Column('scheme', sa.String(), nullable=False),
    sa.Column('value', sa.String(), nullable=False),
    sa.Column('paper_id', sa.Integer(), nullable=True),
    sa.Column('note', sa.String(), nullable=False),
    sa.Column('day', sa.String(), nullable=False),
    sa.Column('reason', sa.String(), nullable=False),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['paper_id'], ['paper.id'], name=op.f('fk_loose_link_paper_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['source_id'], ['page.id'], name=op.f('fk_loose_link_source_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_loose_link')),
    sa.UniqueConstraint('source_id', 'relation', 'scheme', 'value', 'paper_id', name=op.f('uq_loose_link_source_id_relation_scheme_value_paper_id')),
    )
    op.create_index('ix_loose_link_scheme_value', 'loose_link', ['scheme', 'value'])
    op.create_index(op.f('ix_loose_link_source_id'), 'loose_link', ['source_id'])
    op.create_index(op.f('ix_loose_link_paper_id'), 'loose_link', ['paper_id'])
    with op.batch_alter_table('item') as batch_op:
        batch_op.add_column(sa.Column('paper_id', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('state', sa.JSON(), server_default='{}', nullable=False))
        batch_op.create_foreign_key(op.f('fk_item_paper_id'), 'paper', ['paper_id'], ['id'], ondelete='SET NULL')
        batch_op.create_index(op.f('ix_item_paper_id'), ['paper_id'])
    op.add_column('mention', sa.Column('stance', sa.Enum('supports', 'disputes', name='stance', native_enum=False, length=20), nullable=True))
    op.add_column('run', sa.Column('lines', sa.Integer(), server_default='0', nullable=False))
    op.add_column('run', sa.Column('cancel', sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column('run', 'cancel')
    op.drop_column('run', 'lines')
    op.drop_column('mention', 'stance')
    with op.batch_alter_table('item') as batch_op:
        batch_op.drop_index(op.f('ix_item_paper_id'))
        batch_op.drop_constraint(op.f('fk_item_paper_id'), type_='foreignkey')
        batch_op.drop_column('state')
        batch_op.drop_column('paper_id')
    for table in ('loose_link', 'loose_mention', 'delivery', 'source_fetch', 'fetch_host', 'subscription'):
        op.drop_table(table)
