"""Bringing the schema up to date, and saying whether it is.

alembic is imported where a schema is made or changed: to find that nothing is to be done, as nearly
every start does, it costs more than the rest of the look.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection, Engine

from app.errors import Unavailable
from app.store.db import hold_still, in_words, is_there, migrating

if TYPE_CHECKING:
    from alembic.config import Config

NEWEST = "0012"
"""The revision this version works with: the last one in migrations/."""
MIGRATIONS = Path(__file__).parents[2] / "migrations"


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def current(engine: Engine) -> str | None:
    """The revision the database stands at; None for a new one."""
    with in_words(engine), engine.connect() as connection:
        return stands_at(connection)


def stands_at(connection: Connection) -> str | None:
    """The same, asked by a connection."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def holds_a_wiki(engine: Engine) -> bool:
    """Whether a wiki was ever made in this database. Makes nothing."""
    return is_there(engine) and current(engine) is not None


def upgrade(engine: Engine, *, before: Callable[[str], None] = lambda to: None) -> bool:
    """Bring the schema up to date in one transaction; whether anything was to be done.

    Killed at any point, it left the database as it was. `before(to)` is called once for a database
    that has a schema, when nobody else can write and nothing is changed yet; what it raises ends the
    upgrade. Raises Unavailable when the database is from a newer program than this one, or cannot be
    written.
    """
    stands = current(engine)
    if stands == NEWEST:
        return False
    from alembic import command
    from alembic.script import ScriptDirectory

    config = _config()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if stands is not None and stands not in known:
        raise Unavailable(
            f"The database is at revision {stands}, which this version does not know. "
            "Use the newer version that made it."
        )
    with migrating(engine) as connection:
        found = stands_at(connection)
        if found == NEWEST:
            return False  # another start was quicker
        if found is not None:
            hold_still(connection)
            before(NEWEST)
        config.attributes["connection"] = connection
        command.upgrade(config, NEWEST)
    return True


def make(engine: Engine, revision: str | None) -> None:
    """Give a new database the schema of a revision, which may be an old one."""
    from alembic import command

    config = _config()
    with migrating(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision or "base")


def make_beside(connection: Connection, name: str) -> None:
    """Give a schema of a PostgreSQL database, new and the first to be looked into, today's tables."""
    from alembic import command

    config = _config()
    config.attributes.update(connection=connection, schema=name)
    command.upgrade(config, NEWEST)
