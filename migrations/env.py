"""Alembic's environment: the address comes from the caller or the settings, never from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import context
from sqlmodel import SQLModel

import app.domain.records  # noqa: F401  (declares every table)
from app.store.db import sort_by_bytes

FULL_TEXT = ("page_fts",)
# By table: how columns and indexes begin that PostgreSQL alone has.
BY_HAND = {
    "page_vector": ("half", "ix_page_vector_half"),
    "page_text": ("words", "name_words", "ix_page_text_"),
}


def _include(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
    """Full-text tables and their shadows are made by hand and are nobody's model.

    So are PostgreSQL's own columns of vectors and words, and the indexes on them.
    """
    if kind == "table":
        return not (name or "").startswith(FULL_TEXT)
    return not (name or "").startswith(BY_HAND.get(parents.get("table_name") or "", ("\0",)))


def _compare(_context: Any, _column: Any, column: sa.Column[Any], *_types: Any) -> bool | None:
    """Whether a type differs; None leaves it to Alembic.

    SQLite's paper.score was made for whole numbers and holds any: to say otherwise the table would
    have to be made anew.
    """
    return False if (column.table.name, column.name) == ("paper", "score") else None


def _run(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=True,
        include_name=_include,
        compare_type=_compare,
        version_table_schema=context.config.attributes.get("schema"),
        on_version_apply=lambda **_: sort_by_bytes(connection),
    )
    with context.begin_transaction():
        context.run_migrations()


connection = context.config.attributes.get("connection")
if connection is not None:
    _run(connection)
else:
    from app.settings import load
    from app.store.db import open_engine

    with open_engine(load().url).connect() as own:
        _run(own)
        own.commit()
