"""Alembic's environment: the address comes from the caller or the settings, never from a file."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context
from sqlmodel import SQLModel

import app.domain.records  # noqa: F401  (declares every table)

FULL_TEXT = ("page_fts",)


def _include(name: str | None, kind: str, parents: object) -> bool:
    """Full-text tables and their shadows are made by hand and are nobody's model."""
    return not (kind == "table" and name is not None and name.startswith(FULL_TEXT))


def _run(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=True,
        include_name=_include,
        compare_type=True,
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
