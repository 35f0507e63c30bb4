"""Indexes for lists that are paged by key, and the Inbox as columns that triggers keep.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

# What a paper is in the Inbox, from the rows that say it.
SCORE = """coalesce((SELECT coalesce(relevance, 0) + coalesce(novelty, 0) FROM assessment
    WHERE assessment.paper_id = paper.id ORDER BY assessment.id DESC LIMIT 1), 0)"""
TOPIC = """(SELECT assessment.topic_id FROM assessment
    WHERE assessment.paper_id = paper.id ORDER BY assessment.id DESC LIMIT 1)"""
CAME = """coalesce((SELECT max(day) FROM listing_paper
    WHERE listing_paper.paper_id = paper.id), paper.published)"""
MARKS = f"UPDATE paper SET score = {SCORE}, topic_id = {TOPIC} WHERE id = %s;"
LISTED = f"UPDATE paper SET came = {CAME} WHERE id = %s;"

SQLITE = {
    f"{name}_{event.lower()}": f"AFTER {event} ON {table} BEGIN {' '.join(change % row for row in rows)} END"
    for name, table, change in (
        ("paper_marks", "assessment", MARKS),
        ("paper_listed", "listing_paper", LISTED),
    )
    for event, rows in (
        ("INSERT", ["new.paper_id"]),
        ("UPDATE", ["old.paper_id", "new.paper_id"]),
        ("DELETE", ["old.paper_id"]),
    )
} | {
    "paper_came_insert": f"AFTER INSERT ON paper WHEN new.published <> '' BEGIN {LISTED % 'new.id'} END",
    "paper_came_update": f"AFTER UPDATE OF published ON paper BEGIN {LISTED % 'new.id'} END",
}

FUNCTIONS = {
    name: f"""CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN {change % 'OLD.paper_id'} END IF;
        IF TG_OP <> 'DELETE' THEN {change % 'NEW.paper_id'} END IF;
        RETURN NULL;
    END $$"""
    for name, change in (("paper_marks", MARKS), ("paper_listed", LISTED))
} | {
    "paper_came": """CREATE FUNCTION paper_came() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.came := coalesce(
            (SELECT max(day) FROM listing_paper WHERE paper_id = NEW.id), NEW.published);
        RETURN NEW;
    END $$"""
}
POSTGRESQL = {
    "paper_marks": "AFTER INSERT OR UPDATE OR DELETE ON assessment",
    "paper_listed": "AFTER INSERT OR UPDATE OR DELETE ON listing_paper",
    "paper_came": "BEFORE INSERT OR UPDATE OF published ON paper",
}
TABLES = {"paper_marks": "assessment", "paper_listed": "listing_paper", "paper_came": "paper"}
WAITING = {
    "ix_link_waiting": (["confidence", "id", "relation"], "proposed"),
    "ix_link_waiting_newest": (["created_at", "id", "relation"], "proposed"),
    "ix_link_waiting_by_page": (["source_id", "id", "relation"], "proposed"),
    "ix_link_put_off": (["confidence", "id", "relation"], "deferred"),
}


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def upgrade() -> None:
    op.drop_index('ix_page_kind', table_name='page')
    op.create_index('ix_page_kind_title_key', 'page', ['kind', 'title_key'])
    op.drop_index('ix_link_waiting', table_name='link')
    for name, (columns, status) in WAITING.items():
        where = sa.text(f"status = '{status}'")
        op.create_index(name, 'link', columns, sqlite_where=where, postgresql_where=where)
    op.create_index('ix_link_in_newest', 'link', ['target_id', 'status', 'id'])
    where = sa.text("relation = 'part-of' AND status = 'accepted'")
    op.create_index(
        'ix_link_member',
        'link',
        ['target_id', 'source_id', 'day'],
        sqlite_where=where,
        postgresql_where=where,
    )

    op.add_column('paper', sa.Column('score', sa.Integer(), server_default='0', nullable=False))
    op.add_column('paper', sa.Column('topic_id', sa.String(), nullable=True))
    op.add_column('paper', sa.Column('came', sa.String(), server_default='', nullable=False))
    op.execute(f"UPDATE paper SET score = {SCORE}, topic_id = {TOPIC}, came = {CAME}")
    op.drop_index('ix_paper_state', table_name='paper')
    best, newest = ['score', 'came', 'published'], ['came', 'published', 'score']
    op.create_index('ix_paper_best', 'paper', ['state', *best, 'id', 'topic_id'])
    op.create_index('ix_paper_newest', 'paper', ['state', *newest, 'id', 'topic_id'])
    op.create_index('ix_paper_topic', 'paper', ['state', 'topic_id', 'score'])
    op.create_index('ix_paper_published_of_page', 'paper', ['page_id', 'published'])
    if _is_postgresql():
        for name, when in POSTGRESQL.items():
            op.execute(FUNCTIONS[name])
            op.execute(f"CREATE TRIGGER {name} {when} FOR EACH ROW EXECUTE FUNCTION {name}()")
    else:
        for name, body in SQLITE.items():
            op.execute(f"CREATE TRIGGER {name} {body}")


def downgrade() -> None:
    if _is_postgresql():
        for name, table in TABLES.items():
            op.execute(f"DROP TRIGGER {name} ON {table}")
            op.execute(f"DROP FUNCTION {name}()")
    else:
        for name in SQLITE:
            op.execute(f"DROP TRIGGER {name}")
    for name in ('ix_paper_published_of_page', 'ix_paper_topic', 'ix_paper_newest'):
        op.drop_index(name, table_name='paper')
    op.drop_index('ix_paper_best', table_name='paper')
    for column in ('came', 'topic_id', 'score'):
        op.drop_column('paper', column)
    op.create_index('ix_paper_state', 'paper', ['state'])
    op.drop_index('ix_link_member', table_name='link')
    op.drop_index('ix_link_in_newest', table_name='link')
    for name in WAITING:
        op.drop_index(name, table_name='link')
    where = sa.text("status = 'proposed'")
    op.create_index(
        'ix_link_waiting', 'link', ['confidence', 'id'], sqlite_where=where, postgresql_where=where
    )
    op.drop_index('ix_page_kind_title_key', table_name='page')
    op.create_index('ix_page_kind', 'page', ['kind'])
