"""The first tables, and the full-text index that follows page_text by triggers.

Revision ID: 0001
Revises: 
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime


revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


FULL_TEXT = (
    """
    CREATE VIRTUAL TABLE page_fts USING fts5(
        title, names, text, content='page_text', content_rowid='page_id',
        tokenize='porter unicode61 remove_diacritics 2', prefix='2 3 4'
    )
    """,
    """
    CREATE TRIGGER page_text_insert AFTER INSERT ON page_text BEGIN
        INSERT INTO page_fts(rowid, title, names, text)
        VALUES (new.page_id, new.title, new.names, new.text);
    END
    """,
    """
    CREATE TRIGGER page_text_delete AFTER DELETE ON page_text BEGIN
        INSERT INTO page_fts(page_fts, rowid, title, names, text)
        VALUES ('delete', old.page_id, old.title, old.names, old.text);
    END
    """,
    """
    CREATE TRIGGER page_text_update AFTER UPDATE ON page_text BEGIN
        INSERT INTO page_fts(page_fts, rowid, title, names, text)
        VALUES ('delete', old.page_id, old.title, old.names, old.text);
        INSERT INTO page_fts(rowid, title, names, text)
        VALUES (new.page_id, new.title, new.names, new.text);
    END
    """,
)


def upgrade() -> None:
    op.create_table('attempt',
    sa.Column('step', sa.String(), nullable=False),
    sa.Column('subject_id', sa.Integer(), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('next_try_at', UTCDateTime(), nullable=False),
    sa.Column('last_error', sa.String(), nullable=False),
    sa.Column('parked', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('step', 'subject_id', name=op.f('pk_attempt'))
    )
    op.create_table('done',
    sa.Column('step', sa.String(), nullable=False),
    sa.Column('subject_id', sa.Integer(), nullable=False),
    sa.Column('seen', sa.String(), nullable=False),
    sa.PrimaryKeyConstraint('step', 'subject_id', name=op.f('pk_done'))
    )
    op.create_table('draft',
    sa.Column('slug', sa.String(), nullable=False),
    sa.Column('base', sa.Integer(), nullable=False),
    sa.Column('title', sa.String(), nullable=False),
    sa.Column('body', sa.String(), nullable=False),
    sa.Column('at', UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('slug', name=op.f('pk_draft'))
    )
    op.create_table('generation',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('value', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_generation'))
    )
    op.create_table('lease',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('owner', sa.String(), nullable=False),
    sa.Column('until', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_lease'))
    )
    op.create_table('page',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('slug', sa.String(), nullable=False),
    sa.Column('kind', sa.Enum('paper', 'concept', 'thread', 'digest', 'article', 'episode', 'note', name='pagekind', native_enum=False, length=20), nullable=False),
    sa.Column('title', sa.String(), nullable=False),
    sa.Column('title_key', sa.String(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('author_kind', sa.Enum('person', 'model', 'agent', 'import', 'vault', name='authorkind', native_enum=False, length=20), nullable=False),
    sa.Column('author', sa.String(), nullable=False),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.Column('updated_at', UTCDateTime(), nullable=False),
    sa.Column('extra', sa.JSON(), nullable=False),
    sa.Column('body', sa.String(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_page')),
    sa.UniqueConstraint('slug', name=op.f('uq_page_slug'))
    )
    with op.batch_alter_table('page', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_page_kind'), ['kind'], unique=False)
        batch_op.create_index(batch_op.f('ix_page_title_key'), ['title_key'], unique=False)
        batch_op.create_index(batch_op.f('ix_page_updated_at'), ['updated_at'], unique=False)

    op.create_table('preference',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('value', sa.String(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_preference'))
    )
    op.create_table('query_vector',
    sa.Column('model', sa.String(), nullable=False),
    sa.Column('text', sa.String(), nullable=False),
    sa.Column('data', sa.LargeBinary(), nullable=False),
    sa.Column('at', UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('model', 'text', name=op.f('pk_query_vector'))
    )
    op.create_table('raw',
    sa.Column('sha256', sa.String(), nullable=False),
    sa.Column('size', sa.Integer(), nullable=False),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('sha256', name=op.f('pk_raw'))
    )
    op.create_table('run',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('trigger', sa.String(), nullable=False),
    sa.Column('state', sa.Enum('running', 'done', 'failed', name='runstate', native_enum=False, length=20), nullable=False),
    sa.Column('steps', sa.JSON(), nullable=False),
    sa.Column('log', sa.String(), nullable=False),
    sa.Column('started_at', UTCDateTime(), nullable=False),
    sa.Column('ended_at', UTCDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_run'))
    )
    op.create_table('source',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('kind', sa.Enum('file', 'listing', 'digest', 'podcast', 'feed', name='sourcekind', native_enum=False, length=20), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('url', sa.String(), nullable=False),
    sa.Column('description', sa.String(), nullable=False),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_source')),
    sa.UniqueConstraint('key', name=op.f('uq_source_key'))
    )
    op.create_table('topic',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('keep', sa.String(), nullable=False),
    sa.Column('filter', sa.String(), nullable=False),
    sa.Column('tier', sa.Integer(), nullable=False),
    sa.Column('threshold', sa.Float(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('extra', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_topic'))
    )
    op.create_table('alias',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('kind', sa.Enum('name', 'redirect', name='aliaskind', native_enum=False, length=20), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_alias_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_alias')),
    sa.UniqueConstraint('page_id', 'key', 'kind', name=op.f('uq_alias_page_id_key_kind'))
    )
    with op.batch_alter_table('alias', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_alias_key'), ['key'], unique=False)

    op.create_table('digest',
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('day', sa.String(), nullable=False),
    sa.Column('framing', sa.String(), nullable=False),
    sa.Column('sections', sa.JSON(), nullable=False),
    sa.Column('ledger', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_digest_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('page_id', name=op.f('pk_digest')),
    sa.UniqueConstraint('day', name=op.f('uq_digest_day'))
    )
    op.create_table('episode',
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('source_id', sa.Integer(), nullable=False),
    sa.Column('published', sa.String(), nullable=False),
    sa.Column('minutes', sa.Integer(), nullable=True),
    sa.Column('ai_generated', sa.String(), nullable=False),
    sa.Column('takeaways', sa.JSON(), nullable=False),
    sa.Column('chapters', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_episode_page_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['source_id'], ['source.id'], name=op.f('fk_episode_source_id')),
    sa.PrimaryKeyConstraint('page_id', name=op.f('pk_episode'))
    )
    op.create_table('item',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('source_id', sa.Integer(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('format', sa.String(), nullable=False),
    sa.Column('title', sa.String(), nullable=False),
    sa.Column('url', sa.String(), nullable=False),
    sa.Column('published', sa.String(), nullable=False),
    sa.Column('received_at', UTCDateTime(), nullable=False),
    sa.Column('hash', sa.String(), nullable=False),
    sa.Column('raw_sha256', sa.String(), nullable=True),
    sa.Column('page_id', sa.Integer(), nullable=True),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_item_page_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['raw_sha256'], ['raw.sha256'], name=op.f('fk_item_raw_sha256')),
    sa.ForeignKeyConstraint(['source_id'], ['source.id'], name=op.f('fk_item_source_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_item')),
    sa.UniqueConstraint('source_id', 'key', name=op.f('uq_item_source_id_key'))
    )
    with op.batch_alter_table('item', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_item_source_id'), ['source_id'], unique=False)

    op.create_table('link',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('source_id', sa.Integer(), nullable=False),
    sa.Column('target_id', sa.Integer(), nullable=False),
    sa.Column('relation', sa.Enum('about', 'part-of', 'extends', 'confirms', 'contradicts', 'uses', 'compares', 'answers', 'covers', 'recommends', 'broader', 'related', 'mentions', name='relation', native_enum=False, length=20), nullable=False),
    sa.Column('role', sa.Enum('starts', 'supports', 'extends', 'contradicts', 'formalises', 'measures', 'applies', name='role', native_enum=False, length=20), nullable=True),
    sa.Column('note', sa.String(), nullable=False),
    sa.Column('day', sa.String(), nullable=False),
    sa.Column('status', sa.Enum('proposed', 'accepted', 'rejected', 'deferred', name='linkstatus', native_enum=False, length=20), nullable=False),
    sa.Column('origin', sa.Enum('author', 'linker', 'model', 'agent', 'import', name='origin', native_enum=False, length=20), nullable=False),
    sa.Column('confidence', sa.Float(), nullable=False),
    sa.Column('reason', sa.String(), nullable=False),
    sa.Column('evidence', sa.JSON(), nullable=False),
    sa.Column('signals', sa.JSON(), nullable=False),
    sa.Column('text_hash', sa.String(), nullable=False),
    sa.Column('extra', sa.JSON(), nullable=False),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.Column('decided_at', UTCDateTime(), nullable=True),
    sa.CheckConstraint('source_id <> target_id', name=op.f('ck_link_not_to_itself')),
    sa.ForeignKeyConstraint(['source_id'], ['page.id'], name=op.f('fk_link_source_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['target_id'], ['page.id'], name=op.f('fk_link_target_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_link')),
    sa.UniqueConstraint('source_id', 'target_id', 'relation', name=op.f('uq_link_source_id_target_id_relation'))
    )
    with op.batch_alter_table('link', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_link_decided_at'), ['decided_at'], unique=False)
        batch_op.create_index('ix_link_target_id_relation_status', ['target_id', 'relation', 'status'], unique=False)
        batch_op.create_index('ix_link_waiting', ['confidence', 'id'], unique=False, sqlite_where=sa.text("status = 'proposed'"), postgresql_where=sa.text("status = 'proposed'"))

    op.create_table('page_tag',
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_page_tag_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('page_id', 'name', name=op.f('pk_page_tag'))
    )
    with op.batch_alter_table('page_tag', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_page_tag_name'), ['name'], unique=False)

    op.create_table('page_text',
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('title', sa.String(), nullable=False),
    sa.Column('names', sa.String(), nullable=False),
    sa.Column('text', sa.String(), nullable=False),
    sa.Column('hash', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_page_text_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('page_id', name=op.f('pk_page_text'))
    )
    op.create_table('paper',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('page_id', sa.Integer(), nullable=True),
    sa.Column('state', sa.Enum('waiting', 'deferred', 'kept', 'dropped', name='paperstate', native_enum=False, length=20), nullable=False),
    sa.Column('title', sa.String(), nullable=False),
    sa.Column('title_key', sa.String(), nullable=False),
    sa.Column('abstract', sa.String(), nullable=False),
    sa.Column('authors', sa.JSON(), nullable=False),
    sa.Column('venue', sa.String(), nullable=False),
    sa.Column('published', sa.String(), nullable=False),
    sa.Column('categories', sa.JSON(), nullable=False),
    sa.Column('references', sa.JSON(), nullable=False),
    sa.Column('code_url', sa.String(), nullable=False),
    sa.Column('extra', sa.JSON(), nullable=False),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_paper_page_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_paper')),
    sa.UniqueConstraint('page_id', name=op.f('uq_paper_page_id'))
    )
    with op.batch_alter_table('paper', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_paper_published'), ['published'], unique=False)
        batch_op.create_index(batch_op.f('ix_paper_state'), ['state'], unique=False)
        batch_op.create_index(batch_op.f('ix_paper_title_key'), ['title_key'], unique=False)

    op.create_table('question',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('text', sa.String(), nullable=False),
    sa.Column('state', sa.Enum('open', 'partly', 'answered', name='questionstate', native_enum=False, length=20), nullable=False),
    sa.Column('day', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_question_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_question')),
    sa.UniqueConstraint('page_id', 'number', name=op.f('uq_question_page_id_number'))
    )
    op.create_table('red_link',
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('relation', sa.Enum('about', 'part-of', 'extends', 'confirms', 'contradicts', 'uses', 'compares', 'answers', 'covers', 'recommends', 'broader', 'related', 'mentions', name='relation', native_enum=False, length=20), nullable=False),
    sa.Column('sentence', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_red_link_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('page_id', 'key', name=op.f('pk_red_link'))
    )
    with op.batch_alter_table('red_link', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_red_link_key'), ['key'], unique=False)

    op.create_table('revision',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('title', sa.String(), nullable=False),
    sa.Column('kind', sa.Enum('paper', 'concept', 'thread', 'digest', 'article', 'episode', 'note', name='pagekind', native_enum=False, length=20), nullable=False),
    sa.Column('body', sa.String(), nullable=False),
    sa.Column('aliases', sa.JSON(), nullable=False),
    sa.Column('tags', sa.JSON(), nullable=False),
    sa.Column('author_kind', sa.Enum('person', 'model', 'agent', 'import', 'vault', name='authorkind', native_enum=False, length=20), nullable=False),
    sa.Column('author', sa.String(), nullable=False),
    sa.Column('prompt', sa.String(), nullable=False),
    sa.Column('note', sa.String(), nullable=False),
    sa.Column('at', UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_revision_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_revision')),
    sa.UniqueConstraint('page_id', 'number', name=op.f('uq_revision_page_id_number'))
    )
    op.create_table('thread',
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('claim', sa.String(), nullable=False),
    sa.Column('status', sa.Enum('open', 'contradicted', 'closed', name='threadstatus', native_enum=False, length=20), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_thread_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('page_id', name=op.f('pk_thread'))
    )
    # PostgreSQL's extension of vectors has a type of that name, and a table is a type there.
    vectors = 'vector' if op.get_bind().dialect.name == 'sqlite' else 'page_vector'
    op.create_table(vectors,
    sa.Column('page_id', sa.Integer(), nullable=False),
    sa.Column('model', sa.String(), nullable=False),
    sa.Column('dim', sa.Integer(), nullable=False),
    sa.Column('text_hash', sa.String(), nullable=False),
    sa.Column('data', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_vector_page_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('page_id', 'model', name=op.f('pk_vector'))
    )
    with op.batch_alter_table(vectors, schema=None) as batch_op:
        batch_op.create_index('ix_vector_model', ['model', 'page_id', 'text_hash'], unique=False)

    op.create_table('assessment',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('paper_id', sa.Integer(), nullable=False),
    sa.Column('day', sa.String(), nullable=False),
    sa.Column('scorer', sa.String(), nullable=False),
    sa.Column('prompt', sa.String(), nullable=False),
    sa.Column('relevance', sa.Integer(), nullable=True),
    sa.Column('novelty', sa.Integer(), nullable=True),
    sa.Column('topic_id', sa.String(), nullable=True),
    sa.Column('comment', sa.String(), nullable=False),
    sa.Column('topic_comment', sa.String(), nullable=False),
    sa.Column('tags', sa.JSON(), nullable=False),
    sa.Column('at', UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['paper_id'], ['paper.id'], name=op.f('fk_assessment_paper_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['topic_id'], ['topic.id'], name=op.f('fk_assessment_topic_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_assessment')),
    sa.UniqueConstraint('paper_id', 'scorer', 'day', name=op.f('uq_assessment_paper_id_scorer_day'))
    )
    op.create_table('decision',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('at', UTCDateTime(), nullable=False),
    sa.Column('who', sa.String(), nullable=False),
    sa.Column('verdict', sa.Enum('accept', 'reject', 'defer', 'keep', 'drop', name='verdict', native_enum=False, length=20), nullable=False),
    sa.Column('link_id', sa.Integer(), nullable=True),
    sa.Column('paper_id', sa.Integer(), nullable=True),
    sa.Column('reason', sa.String(), nullable=False),
    sa.Column('before', sa.JSON(), nullable=False),
    sa.Column('batch', sa.String(), nullable=False),
    sa.Column('undoes_id', sa.Integer(), nullable=True),
    sa.Column('undone', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['link_id'], ['link.id'], name=op.f('fk_decision_link_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['paper_id'], ['paper.id'], name=op.f('fk_decision_paper_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['undoes_id'], ['decision.id'], name=op.f('fk_decision_undoes_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_decision'))
    )
    with op.batch_alter_table('decision', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_decision_at'), ['at'], unique=False)
        batch_op.create_index(batch_op.f('ix_decision_batch'), ['batch'], unique=False)
        batch_op.create_index(batch_op.f('ix_decision_link_id'), ['link_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_decision_paper_id'), ['paper_id'], unique=False)

    op.create_table('identifier',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('scheme', sa.String(), nullable=False),
    sa.Column('value', sa.String(), nullable=False),
    sa.Column('paper_id', sa.Integer(), nullable=True),
    sa.Column('page_id', sa.Integer(), nullable=True),
    sa.Column('versions', sa.JSON(), nullable=False),
    sa.CheckConstraint('(paper_id IS NULL) <> (page_id IS NULL)', name=op.f('ck_identifier_one_owner')),
    sa.ForeignKeyConstraint(['page_id'], ['page.id'], name=op.f('fk_identifier_page_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['paper_id'], ['paper.id'], name=op.f('fk_identifier_paper_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identifier')),
    sa.UniqueConstraint('scheme', 'value', name=op.f('uq_identifier_scheme_value'))
    )
    with op.batch_alter_table('identifier', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_identifier_page_id'), ['page_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_identifier_paper_id'), ['paper_id'], unique=False)

    op.create_table('listing',
    sa.Column('day', sa.String(), nullable=False),
    sa.Column('item_id', sa.Integer(), nullable=True),
    sa.Column('fetched', sa.Integer(), nullable=True),
    sa.Column('scanned', sa.Integer(), nullable=True),
    sa.Column('kept', sa.Integer(), nullable=True),
    sa.Column('model', sa.String(), nullable=False),
    sa.Column('prompt_tokens', sa.Integer(), nullable=True),
    sa.Column('completion_tokens', sa.Integer(), nullable=True),
    sa.Column('prompt_cost_usd', sa.Float(), nullable=True),
    sa.Column('completion_cost_usd', sa.Float(), nullable=True),
    sa.Column('prompt', sa.String(), nullable=False),
    sa.Column('previous_day', sa.String(), nullable=False),
    sa.Column('next_day', sa.String(), nullable=False),
    sa.Column('month', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['item_id'], ['item.id'], name=op.f('fk_listing_item_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('day', name=op.f('pk_listing'))
    )
    op.create_table('listing_paper',
    sa.Column('day', sa.String(), nullable=False),
    sa.Column('paper_id', sa.Integer(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['paper_id'], ['paper.id'], name=op.f('fk_listing_paper_paper_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('day', 'paper_id', name=op.f('pk_listing_paper'))
    )
    with op.batch_alter_table('listing_paper', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_listing_paper_paper_id'), ['paper_id'], unique=False)

    op.create_table('mention',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('item_id', sa.Integer(), nullable=False),
    sa.Column('paper_id', sa.Integer(), nullable=False),
    sa.Column('section', sa.String(), nullable=False),
    sa.Column('day', sa.String(), nullable=False),
    sa.Column('text', sa.String(), nullable=False),
    sa.Column('source_name', sa.String(), nullable=False),
    sa.Column('tier', sa.Integer(), nullable=True),
    sa.Column('tier_reason', sa.String(), nullable=False),
    sa.Column('why_it_matters', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['item_id'], ['item.id'], name=op.f('fk_mention_item_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['paper_id'], ['paper.id'], name=op.f('fk_mention_paper_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mention')),
    sa.UniqueConstraint('item_id', 'paper_id', 'section', name=op.f('uq_mention_item_id_paper_id_section'))
    )
    with op.batch_alter_table('mention', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_mention_item_id'), ['item_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_mention_paper_id'), ['paper_id'], unique=False)

    op.create_table('assessment_topic',
    sa.Column('assessment_id', sa.Integer(), nullable=False),
    sa.Column('topic_id', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['assessment_id'], ['assessment.id'], name=op.f('fk_assessment_topic_assessment_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['topic_id'], ['topic.id'], name=op.f('fk_assessment_topic_topic_id')),
    sa.PrimaryKeyConstraint('assessment_id', 'topic_id', name=op.f('pk_assessment_topic'))
    )
    with op.batch_alter_table('assessment_topic', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_assessment_topic_topic_id'), ['topic_id'], unique=False)


    if op.get_bind().dialect.name == "sqlite":
        for statement in FULL_TEXT:
            op.execute(statement)


def downgrade() -> None:
    vectors = 'vector' if op.get_bind().dialect.name == 'sqlite' else 'page_vector'
    if op.get_bind().dialect.name == "sqlite":
        for name in ("insert", "delete", "update"):
            op.execute(f"DROP TRIGGER page_text_{name}")
        op.execute("DROP TABLE page_fts")
    with op.batch_alter_table('assessment_topic', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_assessment_topic_topic_id'))

    op.drop_table('assessment_topic')
    with op.batch_alter_table('mention', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_mention_paper_id'))
        batch_op.drop_index(batch_op.f('ix_mention_item_id'))

    op.drop_table('mention')
    with op.batch_alter_table('listing_paper', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_listing_paper_paper_id'))

    op.drop_table('listing_paper')
    op.drop_table('listing')
    with op.batch_alter_table('identifier', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_identifier_paper_id'))
        batch_op.drop_index(batch_op.f('ix_identifier_page_id'))

    op.drop_table('identifier')
    with op.batch_alter_table('decision', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_decision_paper_id'))
        batch_op.drop_index(batch_op.f('ix_decision_link_id'))
        batch_op.drop_index(batch_op.f('ix_decision_batch'))
        batch_op.drop_index(batch_op.f('ix_decision_at'))

    op.drop_table('decision')
    op.drop_table('assessment')
    with op.batch_alter_table(vectors, schema=None) as batch_op:
        batch_op.drop_index('ix_vector_model')

    op.drop_table(vectors)
    op.drop_table('thread')
    op.drop_table('revision')
    with op.batch_alter_table('red_link', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_red_link_key'))

    op.drop_table('red_link')
    op.drop_table('question')
    with op.batch_alter_table('paper', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_paper_title_key'))
        batch_op.drop_index(batch_op.f('ix_paper_state'))
        batch_op.drop_index(batch_op.f('ix_paper_published'))

    op.drop_table('paper')
    op.drop_table('page_text')
    with op.batch_alter_table('page_tag', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_page_tag_name'))

    op.drop_table('page_tag')
    with op.batch_alter_table('link', schema=None) as batch_op:
        batch_op.drop_index('ix_link_waiting', sqlite_where=sa.text("status = 'proposed'"), postgresql_where=sa.text("status = 'proposed'"))
        batch_op.drop_index('ix_link_target_id_relation_status')
        batch_op.drop_index(batch_op.f('ix_link_decided_at'))

    op.drop_table('link')
    with op.batch_alter_table('item', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_item_source_id'))

    op.drop_table('item')
    op.drop_table('episode')
    op.drop_table('digest')
    with op.batch_alter_table('alias', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_alias_key'))

    op.drop_table('alias')
    op.drop_table('topic')
    op.drop_table('source')
    op.drop_table('run')
    op.drop_table('raw')
    op.drop_table('query_vector')
    op.drop_table('preference')
    with op.batch_alter_table('page', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_page_updated_at'))
        batch_op.drop_index(batch_op.f('ix_page_title_key'))
        batch_op.drop_index(batch_op.f('ix_page_kind'))

    op.drop_table('page')
    op.drop_table('lease')
    op.drop_table('generation')
    op.drop_table('draft')
    op.drop_table('done')
    op.drop_table('attempt')
