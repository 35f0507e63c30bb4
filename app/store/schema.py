"""Bringing the schema up to date, and saying whether it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Engine

from app.errors import Unavailable
from app.store.db import in_words, is_there, migrating

MIGRATIONS = Path(__file__).parents[2] / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def current(engine: Engine) -> str | None:
    """The revision the database stands at; None for a new one."""
    with in_words(engine), engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def holds_a_wiki(engine: Engine) -> bool:
    """Whether a wiki was ever made in this database. Makes nothing."""
    return is_there(engine) and current(engine) is not None


def newest() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def upgrade(engine: Engine, *, before: Callable[[str], None] = lambda to: None) -> bool:
    """Bring the schema up to date in one transaction; whether anything was to be done.

    Killed at any point, it left the database as it was. `before(to)` is called once for a database
    that has a schema, when nobody else can write and nothing is changed yet; what it raises ends the
    upgrade. Raises Unavailable when the database is from a newer program than this one, or cannot be
    written.
    """
    stands, head = current(engine), newest()
    if stands == head:
        return False
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if stands is not None and stands not in known:
        raise Unavailable(
            f"The database is at revision {stands}, which this version does not know. "
            "Use the newer version that made it."
        )
    config = _config()
    with migrating(engine) as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        if found == head:
            return False  # another start was quicker
        if found is not None:
            before(head or "")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return True
