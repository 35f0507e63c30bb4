"""Opening the database, and the settings without which it would lose writes.

SQLite runs in WAL mode with synchronous=FULL, so that what was acknowledged survives power loss;
writers begin with BEGIN IMMEDIATE, because a reader that turns writer under load fails at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, SQLAlchemyError
from sqlmodel import Session, col

from app.domain.records import Generation
from app.errors import Misconfigured, Unavailable

BUSY_SECONDS = 30
LARGEST_ID = 2**63 - 1  # a number beyond it cannot even be asked for


def open_engine(url: str) -> Engine:
    """An engine for `url` whose connections are set up for durable, concurrent use.

    Raises Misconfigured for an address that is no database file, Unavailable when its folder cannot
    be made.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, SQLAlchemyError) as error:
        raise Misconfigured(
            "CEREBRO_DATABASE_URL is no database address. Use sqlite:///file or postgresql://…"
        ) from error
    if backend != "sqlite":
        raise Misconfigured(
            f"This version keeps its wiki in SQLite; {backend} is not supported yet. "
            "Unset CEREBRO_DATABASE_URL or use sqlite:///file."
        )
    if not parsed.database or parsed.database == ":memory:":
        raise Misconfigured(
            "CEREBRO_DATABASE_URL names no file, and a wiki in memory would be lost. "
            "Use sqlite:///file."
        )
    return _open_sqlite(Path(parsed.database))


def _open_sqlite(path: Path) -> Engine:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"The folder {path.parent} cannot be made: {error.strerror}.") from error
    engine = sa.create_engine(
        f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy's events below say BEGIN themselves
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_SECONDS * 1000}",
            "cache_size=-65536",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that only reads; whatever it changed is thrown away.

    Raises Unavailable when the database cannot be read.
    """
    with in_words(engine), Session(engine, autoflush=False) as session:
        yield session
        session.rollback()


@contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """One transaction: committed at the end, or nothing of it happened.

    Raises Unavailable when the disk is full, the file read-only, or another program holds it.
    """
    writer = engine.execution_options(write=True)
    with in_words(engine), Session(writer, expire_on_commit=False) as session:
        yield session
        session.commit()


@contextmanager
def in_words(engine: Engine) -> Iterator[None]:
    """What a person can do something about becomes Unavailable, in one sentence."""
    try:
        yield
    except DatabaseError as error:
        said = str(error.orig).lower()
        for sign, sentence in _SENTENCES:
            if sign in said:
                raise Unavailable(sentence.format(file=engine.url.database)) from error
        raise


_SENTENCES = (
    ("disk is full", "The disk is full: nothing was saved. Free some space and try again."),
    ("readonly", "{file} cannot be written: the file or its folder is read-only."),
    ("locked", "Another program holds {file}. Close it, or try again in a moment."),
    ("unable to open", "{file} cannot be opened: check that its folder can be read and written."),
    ("disk i/o", "The disk reported an error: nothing was saved."),
    ("not a database", "{file} is no database. Move it away, or restore a backup."),
    ("malformed", "{file} is damaged. Restore a backup."),
)


def settle(engine: Engine) -> None:
    """Let the planner learn what the tables hold; after much was written at once."""
    with engine.execution_options(write=True).connect() as connection:
        connection.exec_driver_sql("PRAGMA analysis_limit=400")
        connection.exec_driver_sql("ANALYZE")
        connection.commit()


def bump(session: Session, name: str = "wiki") -> None:
    """Count a change: caches and ETags of `name` are stale once this transaction is committed."""
    session.info.setdefault("bumped", set()).add(name)


@sa.event.listens_for(Session, "before_commit")
def _count_changes(session: Session) -> None:
    if session.in_nested_transaction():
        return
    for name in sorted(session.info.pop("bumped", ())):
        session.connection().execute(_COUNT, {"name": name})


_COUNT = sa.text(
    "INSERT INTO generation (name, value) VALUES (:name, 1) "
    "ON CONFLICT (name) DO UPDATE SET value = generation.value + 1"
)


def generation(session: Session, name: str = "wiki") -> int:
    """The counter of `name`; 0 before the first change."""
    statement = sa.select(col(Generation.value)).where(col(Generation.name) == name)
    return session.connection().execute(statement).scalar() or 0


def rows(session: Session, statement: Any, **values: Any) -> list[Any]:
    """Rows of a Core statement or SQL text, without building objects: for lists."""
    return list(session.connection().execute(statement, values).all())
