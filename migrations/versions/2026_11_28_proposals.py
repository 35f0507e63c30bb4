"""Proposals that are no links, merged concepts, rules, and the terms of papers.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime


revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('change',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Enum('concept', 'merge', 'split', name='changekind', native_enum=False, length=20), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('title', sa.String(), nullable=False),
    sa.Column('source_id', sa.Integer(), nullable=True),
    sa.Column('target_id', sa.Integer(), nullable=True),
    sa.Column('status', sa.Enum('proposed', 'accepted', 'rejected', 'deferred', name='linkstatus', native_enum=False, length=20), nullable=False),
    sa.Column('origin', sa.Enum('author', 'linker', 'model', 'agent', 'import', name='origin', native_enum=False, length=20), nullable=False),
    sa.Column('confidence', sa.Float(), nullable=False),
    sa.Column('reason', sa.String(), nullable=False),
    sa.Column('content', sa.JSON(), nullable=False),
    sa.Column('evidence', sa.JSON(), nullable=False),
    sa.Column('signals', sa.JSON(), nullable=False),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.Column('decided_at', UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['source_id'], ['page.id'], name=op.f('fk_change_source_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['target_id'], ['page.id'], name=op.f('fk_change_target_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_change')),
    sa.UniqueConstraint('key', name=op.f('uq_change_key')),
    sqlite_autoincrement=True,
    )
    with op.batch_alter_table('change', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_change_source_id'), ['source_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_change_status'), ['status'], unique=False)
        batch_op.create_index(batch_op.f('ix_change_target_id'), ['target_id'], unique=False)

    op.create_table('paper_term',
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('term', sa.String(), nullable=False),
    sa.Column('weight', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_paper_term_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('key', 'page_id', name=op.f('pk_paper_term')),
    sqlite_with_rowid=False,
    )
    with op.batch_alter_table('paper_term', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_paper_term_page_id'), ['page_id'], unique=False)

    op.create_table('rule',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('concept_id', sa.Integer(), nullable=True),
    sa.Column('relation', sa.Enum('about', 'part-of', 'extends', 'confirms', 'contradicts', 'uses', 'compares', 'answers', 'covers', 'recommends', 'broader', 'related', 'mentions', name='relation', native_enum=False, length=20), nullable=False),
    sa.Column('least', sa.Float(), nullable=False),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.Column('ended_at', UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['concept_id'], ['page.id'], name=op.f('fk_rule_concept_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rule'))
    )
    with op.batch_alter_table('rule', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_rule_concept_id'), ['concept_id'], unique=False)

    with op.batch_alter_table('decision', schema=None) as batch_op:
        batch_op.add_column(sa.Column('change_id', sa.Integer(), nullable=True))
        batch_op.create_index(batch_op.f('ix_decision_change_id'), ['change_id'], unique=False)
        batch_op.create_foreign_key(batch_op.f('fk_decision_change_id'), 'change', ['change_id'], ['id'], ondelete='CASCADE')
        batch_op.add_column(sa.Column('agreed', sa.Boolean(), nullable=True))
        batch_op.add_column(sa.Column('superseded', sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column('confidence', sa.Float(), nullable=True))
        batch_op.add_column(sa.Column('signal', sa.String(), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('kind', sa.String(), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('concept_id', sa.Integer(), nullable=True))
        batch_op.create_foreign_key(batch_op.f('fk_decision_concept_id'), 'page', ['concept_id'], ['id'], ondelete='SET NULL')
    counts = sa.text('agreed IS NOT NULL AND NOT undone AND NOT superseded')
    for name, columns in RECORD.items():
        op.create_index(
            name, 'decision', ['who', *columns, 'agreed'],
            sqlite_where=counts, postgresql_where=counts,
        )
    op.execute(AGREED_POSTGRESQL if op.get_bind().dialect.name == 'postgresql' else AGREED_SQLITE)



RECORD = {
    'ix_decision_by_confidence': ['confidence'],
    'ix_decision_by_kind': ['kind', 'signal'],
    'ix_decision_by_concept': ['concept_id', 'confidence'],
    'ix_decision_by_time': ['at'],
}

# What was decided before about proposals of the linker counts in its record too.
AGREED_SQLITE = """
    UPDATE decision SET
        agreed = decision.verdict = 'accept' AND json_extract(decision.before, '$.made') IS NULL,
        confidence = link.confidence,
        signal = coalesce(json_extract(link.signals, '$[0].name'), ''),
        kind = link.relation,
        concept_id = link.target_id
    FROM link WHERE link.id = decision.link_id AND link.origin = 'linker'
        AND decision.verdict IN ('accept', 'reject') AND decision.undoes_id IS NULL
        AND decision.who <> 'import'"""
AGREED_POSTGRESQL = AGREED_SQLITE.replace(
    "json_extract(decision.before, '$.made')", "(decision.before ->> 'made')"
).replace("json_extract(link.signals, '$[0].name')", "link.signals -> 0 ->> 'name'")


def downgrade() -> None:
    # What was merged is a page again, which an older program can read; its names stay where they are.
    op.execute("UPDATE page SET kind = 'concept', title_key = slug WHERE kind = 'merged'")
    op.execute("DELETE FROM decision WHERE change_id IS NOT NULL")
    for name in RECORD:
        op.drop_index(name, table_name='decision')
    with op.batch_alter_table('decision', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_decision_change_id'), type_='foreignkey')
        batch_op.drop_index(batch_op.f('ix_decision_change_id'))
        batch_op.drop_column('change_id')
        batch_op.drop_constraint(batch_op.f('fk_decision_concept_id'), type_='foreignkey')
        for column in ('concept_id', 'kind', 'signal', 'confidence', 'superseded', 'agreed'):
            batch_op.drop_column(column)

    with op.batch_alter_table('rule', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_rule_concept_id'))

    op.drop_table('rule')
    with op.batch_alter_table('paper_term', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_paper_term_page_id'))

    op.drop_table('paper_term')
    with op.batch_alter_table('change', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_change_target_id'))
        batch_op.drop_index(batch_op.f('ix_change_status'))
        batch_op.drop_index(batch_op.f('ix_change_source_id'))

    op.drop_table('change')
