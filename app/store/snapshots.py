"""A whole database as one file: of one moment, whoever writes meanwhile; and the way back from it.

The file is a SQLite database that needs nothing beside it. From SQLite it is copied by the engine's
backup interface in one step, from PostgreSQL by `transfer`. Holds and leases of workers stay behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, SQLModel

from app.domain.records import Hold, Lease
from app.errors import Conflict, Unavailable
from app.store import schema, transfer
from app.store.db import (
    in_words,
    migrating,
    on_postgresql,
    open_engine,
    open_file,
    reading,
    writing,
)

_BUSY = (5, 6)  # what a step of a backup says while somebody holds the database, or a table of it


def has_files(engine: Engine) -> bool:
    """Whether the database is a file of this machine, so that a copy of it is quickly made."""
    return not on_postgresql(engine)


@contextmanager
def opened(path: Path) -> Iterator[Engine]:
    """The database in a file, closed at the end with nothing left beside it."""
    engine = open_file(path)
    try:
        yield engine
        with in_words(engine), engine.connect() as connection:
            _one_file(connection.connection.dbapi_connection)
    finally:
        engine.dispose()


def take(engine: Engine, path: Path) -> None:
    """Write the database as it stands at one moment into the new file `path`.

    All that was committed before this began is in it. Raises Unavailable when the database cannot be
    read or is damaged, or when the disk refuses; what was written until then is the caller's to remove.
    """
    with opened(path) as copy:
        if on_postgresql(engine):
            schema.upgrade(copy)
            transfer.copy(engine, copy)
        else:
            _copy_file(engine, copy)
            if wrong := _damage(copy):
                raise Unavailable(
                    f"The database is damaged ({wrong}), and so would be a copy of it. Run "
                    "`cerebro doctor`, or restore an older backup."
                )
        _forget_workers(copy)


def take_as_it_is(engine: Engine, path: Path) -> None:
    """The same of a database whose schema may be an older one, damaged or not: row for row.

    From a server the rows of one moment go into a file of the same schema.
    """
    with opened(path) as copy:
        if not on_postgresql(engine):
            _copy_file(engine, copy)
            return
        with in_words(engine), engine.connect() as origin:
            schema.make(copy, schema.stands_at(origin))
            with migrating(copy) as target:
                transfer.copy_as_it_is(origin, target)


def _copy_file(engine: Engine, copy: Engine) -> None:
    with in_words(engine), engine.connect() as source:
        source.exec_driver_sql("SELECT count(*) FROM sqlite_master")  # says who holds it, in words
        source.rollback()
        origin: Any = source.connection.dbapi_connection
        with in_words(copy), copy.connect() as target:
            into: Any = target.connection.dbapi_connection
            _one_file(into)  # before: one with a log of its own takes no other size of page

            def heard(status: int, _remaining: int, _total: int) -> None:
                if status in _BUSY:
                    raise Unavailable(
                        f"Another program holds {engine.url.database}. Close it, or try again in "
                        "a moment."
                    )

            errors = copy.dialect.loaded_dbapi.Error
            try:
                # In one step: in several, it would begin anew whenever somebody writes.
                origin.backup(into, pages=-1, progress=heard)
                _one_file(into)
            except errors as error:
                raise sa.exc.DBAPIError.instance(None, None, error, errors) from error


def _one_file(driver: Any) -> None:
    driver.execute("PRAGMA journal_mode=DELETE").fetchone()


def _damage(engine: Engine) -> str:
    with in_words(engine), engine.connect() as connection:
        said = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    return "" if said == "ok" else " ".join(str(said).split())[:200]


def _forget_workers(copy: Engine) -> None:
    with writing(copy) as session:
        for table in (Hold, Lease):
            session.connection().execute(sa.delete(table))


def lacking(engine: Engine, *, mend: bool) -> list[str]:
    """Triggers, functions and indexes of today's schema that are not in the database; made with `mend`.

    Raises Unavailable where a user of a server may not make a schema to compare with.
    """
    server = on_postgresql(engine)
    with reading(engine) as session:
        there = _made_on_server(session) if server else _made_by_hand(session)
    wanted = _wanted_on_server(engine) if server else _wanted()
    lost = [name for name in wanted if name not in there]
    if mend and lost:
        with writing(engine) as session:
            for name in lost:
                session.connection().exec_driver_sql(wanted[name])
    return lost


_BESIDE = "cerebro_doctor"


def _wanted_on_server(engine: Engine) -> dict[str, str]:
    """The statements that make them, from a schema that is made beside the wiki's and taken back."""
    with in_words(engine), engine.connect() as connection:
        first = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
        quote = connection.dialect.identifier_preparer.quote
        connection.exec_driver_sql(f"CREATE SCHEMA {_BESIDE}")
        connection.exec_driver_sql(f"SET LOCAL search_path TO {_BESIDE}, {quote(first)}")
        schema.make_beside(connection, _BESIDE)
        made = connection.execute(_MADE_BY_SERVER).all()
        connection.rollback()
    # The driver takes a % for the beginning of a value.
    return {
        name: statement.replace(f"{_BESIDE}.", "").replace("%", "%%") for name, statement in made
    }


@cache
def _wanted() -> dict[str, str]:
    """The statements that make them, from a database that is made for this alone."""
    with TemporaryDirectory() as folder, opened(Path(folder) / "new.db") as new:
        schema.upgrade(new)
        with reading(new) as session:
            return _made_by_hand(session)


def _made_by_hand(session: Session) -> dict[str, str]:
    return dict(session.connection().execute(_MADE).all())


_MADE = sa.text(
    "SELECT name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL "
    "ORDER BY type, name"
)


def _made_on_server(session: Session) -> dict[str, str]:
    return dict(session.connection().execute(_MADE_BY_SERVER).all())


# Those of constraints, and of extensions, are not made by hand.
_MADE_BY_SERVER = sa.text(
    """SELECT name, statement FROM (
        SELECT 1 AS place, 'function ' || proname AS name, pg_get_functiondef(oid) AS statement
        FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND prokind = 'f'
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
        UNION ALL
        SELECT 2, class.relname, pg_get_indexdef(class.oid) FROM pg_index
        JOIN pg_class AS class ON class.oid = pg_index.indexrelid
        WHERE class.relnamespace = current_schema()::regnamespace
            AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = class.oid)
        UNION ALL
        SELECT 3, tgname || ' on ' || class.relname, pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger
        JOIN pg_class AS class ON class.oid = pg_trigger.tgrelid
        WHERE class.relnamespace = current_schema()::regnamespace AND NOT tgisinternal
    ) AS made ORDER BY place, name"""
)


def first_filled(engine: Engine) -> str:
    """The name of a table that has rows; '' where no wiki was ever made, or nothing is in it yet.

    Makes nothing. Workers' leases and the counters of changes do not count.
    """
    with _apart(engine) as own:
        if not schema.holds_a_wiki(own):
            return ""
    left = {*transfer.LEFT, "generation"}
    with _apart(engine) as own, reading(own) as session:
        connection = session.connection()
        there = set(sa.inspect(connection).get_table_names())
        for table in SQLModel.metadata.sorted_tables:
            if table.name in there and table.name not in left:
                any_row = sa.select(sa.literal(1)).select_from(table).limit(1)
                if connection.execute(any_row).first():
                    return table.name
    return ""


@contextmanager
def _apart(engine: Engine) -> Iterator[Engine]:
    """The same database by connections of its own: those of `engine` would keep a file that is replaced."""
    own = open_engine(engine.url)
    try:
        yield own
    finally:
        own.dispose()


def put(path: Path, engine: Engine) -> None:
    """Let the database in a file, whose schema is up to date, be the one of `engine`.

    That one is empty or not there. The file is moved where it can be. Raises Conflict when there are
    rows in it or another program has it open, Unavailable when it cannot be written.
    """
    if on_postgresql(engine):
        schema.upgrade(engine)
        with opened(path) as source:
            transfer.copy(source, engine)
        path.unlink()
        return
    place = Path(engine.url.database or "")
    if place.exists():
        _let_go(engine, place)
    # A log that was left beside a database that is gone would be read into the new one.
    for end in ("", "-wal", "-shm", "-journal"):
        place.with_name(place.name + end).unlink(missing_ok=True)
    path.rename(place)


def _let_go(engine: Engine, place: Path) -> None:
    """Raises Conflict unless the database is empty and nobody else has it open."""
    if table := first_filled(engine):
        raise Conflict(f"There is a wiki in {place} already (table {table}).")
    engine.dispose()
    if place.stat().st_size:
        try:
            with _apart(engine) as own, own.connect() as connection:
                _one_file(connection.connection.dbapi_connection)
        except Exception as error:
            raise Conflict(
                f"Another program has {place} open: stop the server and its worker first."
            ) from error
