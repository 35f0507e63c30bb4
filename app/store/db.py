"""Opening the database, and the settings without which it would lose writes.

Two engines, one meaning. SQLite runs in WAL mode with synchronous=FULL, so that what was
acknowledged survives power loss; its writers begin with BEGIN IMMEDIATE, because a reader that turns
writer under load fails at once. On PostgreSQL a writer first takes a lock of its transaction, so
that writers take turns there too: what a service has read stands until it commits. Readers see one
moment of the database on both, and wait for nobody.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from threading import Event, Lock
from typing import Any
from urllib.parse import quote as in_address

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import SessionTransaction
from sqlmodel import Session, col

from app.domain.records import Generation
from app.errors import Invalid, Misconfigured, Unavailable

log = logging.getLogger("cerebro.database")

UPGRADE_SECONDS = 120  # for which a second start waits while the first brings the schema up to date
BUSY_SECONDS = 30
LONG_SECONDS = 0.2  # from which on a transaction that others wait for is worth a line in the log
LARGEST_ID = 2**31 - 1  # PostgreSQL's integer: a number beyond it cannot even be asked for
# The lock that writers take turns by, one a database: "cere" as a number.
_TAKE_A_TURN = "SELECT pg_advisory_xact_lock(1667592805)"
_OLDEST_POSTGRESQL = 15
_LEAST = 1 << 16  # bytes free on the disk without which SQLite cannot open a database to write


def open_engine(url: str | URL, *, named: str = "CEREBRO_DATABASE_URL") -> Engine:
    """An engine for `url` whose connections are set up for durable, concurrent use.

    `named` is where the address was given, for what is said about it. Raises Misconfigured for an
    address of no database that is known, Unavailable when its folder cannot be made.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, SQLAlchemyError, ValueError) as error:
        raise Misconfigured(
            f"{named} is no database address. Use sqlite:///file or postgresql://…"
        ) from error
    if backend in ("postgresql", "postgres"):
        if not parsed.database:
            raise Misconfigured(f"{named} names no database. Use postgresql://host/name.")
        return _open_postgresql(parsed)
    if backend != "sqlite":
        raise Misconfigured(
            f"{named}: {backend} is not supported. Use sqlite:///file or postgresql://…"
        )
    if not parsed.database or parsed.database == ":memory:":
        raise Misconfigured(
            f"{named} names no file, and a wiki in memory would be lost. Use sqlite:///file."
        )
    if parsed.query or "?" in str(url):
        raise Misconfigured(
            f"{named} says more than a file's name after its `?`. Of a file's name, write `?` as %3F."
        )
    return _open_sqlite(Path(parsed.database))


def open_file(path: Path) -> Engine:
    """`open_engine` for a file of SQLite, whatever signs its name has."""
    return _open_sqlite(path)


def _open_sqlite(path: Path) -> Engine:
    if why := _cannot_be_written(path):
        return _open_for_reading(path, why)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"The folder {path.parent} cannot be made: {error.strerror}.") from error
    wal = path.with_name(f"{path.name}-wal")
    engine = sa.create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )
    turns = _Turns()
    first: list[object] = []  # what the first connection opened

    @sa.event.listens_for(engine, "do_connect")
    def _stay(*_: object) -> None:
        if first and first[0] != _identity(path):
            raise Unavailable(_MOVED.format(where=path))

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, record: Any) -> None:
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
        record.info["opened"] = opened = {path: _identity(path), wal: _identity(wal)}
        first[:] = first or [opened[path]]

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("write")
        opened = connection.info["opened"]

        def check() -> None:
            # What is written into a file that was taken away is gone with the last who has it open.
            if any(here and here != _identity(file) for file, here in opened.items()):
                raise Unavailable(_MOVED.format(where=path))

        if write:
            check()
            _begin_writing(connection, turns)
            check()  # it may have been taken away while others had the turn
        else:
            connection.exec_driver_sql("BEGIN")
        if opened[wal] is None:  # of a new database it is made now
            opened[wal] = _identity(wal)

    @sa.event.listens_for(engine, "checkin")
    def _end(connection: sqlite3.Connection | None, record: Any) -> None:
        # A commit that was refused leaves its transaction open, and SQLAlchemy takes it for ended:
        # the next to get this connection would fail, and until then nobody else could write.
        try:
            if connection is not None and connection.in_transaction:
                connection.rollback()
        finally:  # a disk that fails takes the turn from nobody else
            if record.info.pop("turn", None):
                turns.give()

    return engine


def _cannot_be_written(path: Path) -> str:
    """Why a database that is there may be read, and not written, in words; "" for any other.

    Its file, its folder or its disk allows it to nobody, or on the disk is no room for what SQLite keeps
    beside it, without which it does not even read.
    """
    if not (os.path.isfile(path) and os.access(path, os.R_OK)):
        return ""  # whatever else it is, opening it says so
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return _READ_ONLY.format(where=path)
    return _FULL if shutil.disk_usage(path.parent).free < _LEAST else ""


def _open_for_reading(path: Path, why: str) -> Engine:
    """An engine whose readers read on, and whose writers are told why nothing can be written."""
    address, copied = _readable(path)

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            address, uri=True, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
        )

    engine = sa.create_engine(
        URL.create("sqlite", database=str(path)),
        creator=connect,
        execution_options={"read_only": why},
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, record: Any) -> None:
        record.info["copied"] = copied  # a folder that goes with whoever reads from it last
        for pragma in ("query_only=ON", "cache_size=-65536", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get("write"):
            raise Unavailable(_cannot_be_written(path) or _AS_IT_WAS.format(why=why))
        connection.exec_driver_sql("BEGIN")

    return engine


def _readable(path: Path) -> tuple[str, TemporaryDirectory[str] | None]:
    """The address under which all of a database is read, and the folder of a copy that had to be made.

    What was written last may be in the log alone, which cannot be read without an index beside it that
    somebody has to be able to make. Raises Unavailable when there is no room for a copy.
    """
    plain = f"file:{in_address(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(plain, uri=True)) as tried:
            tried.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return plain, None
    except sqlite3.OperationalError:
        pass
    except sqlite3.DatabaseError:
        return plain, None  # it is none, or damaged: its first reader hears so
    log_file = path.with_name(f"{path.name}-wal")
    if not (log_file.exists() and log_file.stat().st_size):
        return f"{plain}&immutable=1", None
    try:
        folder = TemporaryDirectory(prefix="cerebro-read-")
        for file in (path, log_file):
            shutil.copyfile(file, Path(folder.name) / file.name)
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be written, and what was written to it last is in its log ({log_file.name}), "
            f"which is read by a copy of both alone: {error.strerror or error} in {gettempdir()}. Name "
            "a folder with room in TMPDIR, or copy both files to a disk that can be written."
        ) from error
    log.warning("%s cannot be written: it is read from a copy in %s", path, folder.name)
    return f"file:{in_address(str(Path(folder.name) / path.name))}", folder


def is_read_only(engine: Engine) -> bool:
    """Whether the database was found to be one that can be read alone, when it was opened."""
    return bool(engine.get_execution_options().get("read_only"))


def must_be_writable(engine: Engine) -> None:
    """Raises Unavailable for a database that was opened as one that can be read alone."""
    if why := engine.get_execution_options().get("read_only"):
        raise Unavailable(why)


def _begin_writing(connection: Connection, turns: _Turns) -> None:
    """Begin as the one writer, in the order in which the writers of this process came.

    SQLite's own wait looks ten times a second, each waiter for itself: beside an import, which lets
    go of the database for a moment alone, some would never see it free.
    """
    driver: Any = connection.connection.dbapi_connection
    patience = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    until = time.monotonic() + patience / 1000
    if not connection.info.get("turn"):
        if not turns.take(patience / 1000):
            raise Unavailable("The database is busy: try again in a moment.")
        connection.info["turn"] = True
    driver.execute("PRAGMA busy_timeout=0")
    try:
        while time.monotonic() < until:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    break
                time.sleep(_LOOK_SECONDS)
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # that fails in SQLAlchemy's words
    finally:
        driver.execute(f"PRAGMA busy_timeout={patience}")


class _Turns:
    """Who may begin to write: one at a time, first come first served."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._queue: deque[Event] = deque()  # its first has the turn

    def take(self, seconds: float) -> bool:
        """Wait for one's turn; False when it did not come in time."""
        mine = Event()
        with self._lock:
            self._queue.append(mine)
            if self._queue[0] is mine:
                return True
        if mine.wait(seconds):
            return True
        with self._lock:
            if self._queue[0] is mine:
                return True
            self._queue.remove(mine)
        return False

    def give(self) -> None:
        """Let the next one write."""
        with self._lock:
            self._queue.popleft()
            if self._queue:
                self._queue[0].set()


_LOOK_SECONDS = 0.005  # between two tries to begin while another process writes
_MOVED = (
    "{where} was moved, replaced or taken away while it was open: nothing was saved. Put it back, or "
    "end the program and start it again."
)


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file lies there now, whatever its name was before; None when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _open_postgresql(url: URL) -> Engine:
    if find_spec("psycopg") is None:
        raise Misconfigured(
            'PostgreSQL needs its driver. Install it with: pip install "cere-bro[postgres]"'
        )
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        # A request may hold two connections; the web process runs forty at a time.
        pool_size=10,
        max_overflow=70,
        pool_timeout=BUSY_SECONDS,
        pool_pre_ping=True,  # one that the server closed meanwhile is replaced, not handed out
        isolation_level="REPEATABLE READ",
        connect_args={
            "connect_timeout": 10,
            "application_name": "cerebro",
            "options": f"-c timezone=UTC -c lock_timeout={BUSY_SECONDS}s "
            f"-c idle_in_transaction_session_timeout=10min {url.query.get('options', '')}",
            # A machine that vanished is noticed within half a minute, on both sides.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        },
    )

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get("write") == "alone":
            connection.exec_driver_sql(_TAKE_A_TURN)

    return engine


def on_postgresql(bind: Session | Connection | Engine) -> bool:
    """Which of the two engines this is; asked in the store alone."""
    found = bind.get_bind() if isinstance(bind, Session) else bind
    return found.dialect.name == "postgresql"


_SMALLEST = 512  # bytes of a database: one page of the smallest size


def is_there(engine: Engine) -> bool:
    """Whether there is a database to open; a SQLite file would be made by looking into it.

    The file is not opened: closing it again would take SQLite's locks on it from every connection
    of this process, and another process would delete the log that they write to.
    """
    if on_postgresql(engine):
        return True
    path = Path(engine.url.database or "")
    try:
        return path.is_file() and path.stat().st_size >= _SMALLEST
    except OSError:
        return False


def file_of(engine: Engine) -> Path | None:
    """The file that holds the database; None where a server does."""
    return None if on_postgresql(engine) else Path(engine.url.database or "")


def many_may_work(engine: Engine) -> bool:
    """Whether several workers at once are of use: SQLite has one writer, and they would wait."""
    return on_postgresql(engine)


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that only reads; whatever it changed is thrown away.

    Raises Unavailable when the database cannot be read.
    """
    with in_words(engine), Session(engine, autoflush=False) as session:
        yield session
        session.rollback()


@contextmanager
def writing(engine: Engine, *, alone: bool = True) -> Iterator[Session]:
    """One transaction: committed at the end, or nothing of it happened.

    Writers take turns, so what was read here is still so at the commit. Without `alone`, PostgreSQL
    lets other writers go on meanwhile: for rows that nobody else writes, such as those a worker has
    claimed. Raises Unavailable when the disk is full, the file read-only, the database gone, or
    another program holds it.
    """
    with in_words(engine), Session(_writer(engine, alone), expire_on_commit=False) as session:
        yield session
        session.commit()


def _writer(engine: Engine, alone: bool) -> Engine:
    # Under a lock of its own a writer must see what was committed before it came to its turn.
    isolation = {"isolation_level": "READ COMMITTED"} if on_postgresql(engine) else {}
    return engine.execution_options(write="alone" if alone else "beside", **isolation)


@contextmanager
def in_words(engine: Engine) -> Iterator[None]:
    """What a person can do something about becomes Unavailable or Invalid, in one sentence."""
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("The database is busy: try again in a moment.") from error
    except DBAPIError as error:
        if not isinstance(error.orig, engine.dialect.loaded_dbapi.Error):
            raise  # of another database that is open as well
        if on_postgresql(engine) and _is_no_text(error):
            raise Invalid("A text holds a character that no text may hold. Take it out.") from error
        sentence = _state(error) if on_postgresql(engine) else _sign(error)
        if sentence is None:
            raise
        if sentence == _DISK_ERROR and _has_no_room(Path(engine.url.database or "")):
            sentence = _FULL
        host = engine.url.host or "this machine"
        raise Unavailable(sentence.format(where=engine.url.database, host=host)) from error


def _sign(error: DBAPIError) -> str | None:
    """SQLite says what is wrong in its message alone."""
    said = str(error.orig).lower()
    return next((sentence for sign, sentence in _SIGNS if sign in said), None)


def _has_no_room(path: Path) -> bool:
    """Whether the disk of a file is full: SQLite calls that an error where it needs room to read."""
    try:
        return shutil.disk_usage(path.parent).free < 65_536
    except OSError:
        return False


_FULL = "The disk is full: nothing was saved. Free some space and try again."
_DISK_ERROR = "The disk reported an error: nothing was saved."
_READ_ONLY = "{where} cannot be written: the file or its folder is read-only."
_AS_IT_WAS = "That is mended, but cere-bro began to read only: start it again. It was: {why}"
_SIGNS = (
    ("disk is full", _FULL),
    ("readonly", _READ_ONLY),
    ("locked", "Another program holds {where}. Close it, or try again in a moment."),
    ("unable to open", "{where} cannot be opened: check that its folder can be read and written."),
    ("disk i/o", _DISK_ERROR),
    ("not a database", "{where} is no database. Move it away, or restore a backup."),
    ("malformed", "{where} is damaged. Restore a backup."),
)


def _state(error: DBAPIError) -> str | None:
    """PostgreSQL says it by a code; in words alone to whom it does not let in, or when it is gone."""
    code = getattr(error.orig, "sqlstate", None) or ""
    if not code:
        said = str(error.orig)
        code = next((code for sign, code in _UNCODED if re.search(sign, said)), "")
    for start, sentence in _STATES:
        if code.startswith(start):
            return sentence
    lost = error.connection_invalidated or (not code and type(error.orig).__name__ in _LOST)
    return _GONE if lost else None


def _is_no_text(error: DBAPIError) -> bool:
    """Whether PostgreSQL was given a NUL, which SQLite takes and nobody means."""
    code = getattr(error.orig, "sqlstate", None)
    return code == "22021" or (code is None and "NUL (0x00)" in str(error.orig))


_GONE = (
    "The PostgreSQL server at {where} cannot be reached: nothing was saved. Try again in a moment."
)
_UNCODED = (
    ('FATAL:  database ".*" does not exist', "3D000"),
    ('FATAL:  role ".*" does not exist', "28000"),
    ("authentication failed", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ("no password supplied", "28P01"),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
)
_LOST = ("OperationalError", "ConnectionTimeout", "InterfaceError")
_STATES = (
    ("08", _GONE),
    ("57P", _GONE),
    ("25P03", _GONE),
    ("53300", "The PostgreSQL server on {host} has no connection left. Try again in a moment."),
    ("53100", "The disk of the PostgreSQL server is full: nothing was saved."),
    ("53", "The PostgreSQL server on {host} is short of memory or space: nothing was saved."),
    ("55P03", "Another program is writing to {where}. Try again in a moment."),
    ("40", "Somebody else changed the same thing at the same moment. Try again."),
    ("25006", "{where} cannot be written: the PostgreSQL server is read-only."),
    ("28", "The PostgreSQL server on {host} refuses this user or password."),
    ("3D000", "There is no database {where} on {host}. Create it first: createdb {where}."),
    ("42501", "This user may not do that in {where}. Give it the rights of the database's owner."),
    ("58030", "The disk of the PostgreSQL server reported an error: nothing was saved."),
)


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """One transaction for changes of the schema, alone, however long another's takes.

    Raises Misconfigured when the server is older than this program can use.
    """
    with in_words(engine), _writer(engine, alone=False).connect() as connection:
        if on_postgresql(engine):
            _check_server(connection)
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            connection.exec_driver_sql(_TAKE_A_TURN)
        with nullcontext() if on_postgresql(engine) else _unguarded(connection):
            yield connection
            connection.commit()


@contextmanager
def _unguarded(connection: Connection) -> Iterator[None]:
    """References are not followed meanwhile: a table that is changed is made anew and the old one
    dropped, and what refers to it would be deleted with it.
    """
    driver: Any = connection.connection.dbapi_connection
    driver.execute("PRAGMA foreign_keys=OFF")  # before BEGIN: within a transaction it does nothing
    driver.execute(f"PRAGMA busy_timeout={UPGRADE_SECONDS * 1000}")
    try:
        # Begun here: a transaction of its own Alembic would end after each step, and another that
        # starts could take the next one.
        connection.begin()
        yield
    finally:
        connection.rollback()
        driver.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
        driver.execute("PRAGMA foreign_keys=ON")


def hold_still(connection: Connection) -> None:
    """Let nobody write into any table until this transaction ends, which a migration's has begun.

    Of SQLite it is the only writer anyway; on a server those that take no turns would go on.
    """
    if on_postgresql(connection):
        # Not those of other programs: of them we may have no right to lock any.
        own = connection.exec_driver_sql(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            " AND has_table_privilege("
            "quote_ident(schemaname) || '.' || quote_ident(tablename), 'UPDATE')"
        ).scalars()
        names = ", ".join(map(connection.dialect.identifier_preparer.quote, sorted(own)))
        connection.exec_driver_sql(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")


def _check_server(connection: Connection) -> None:
    version = connection.exec_driver_sql("SHOW server_version_num").scalar_one()
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if int(version) < _OLDEST_POSTGRESQL * 10_000:
        raise Misconfigured(
            f"This PostgreSQL server is of version {int(version) // 10_000}; "
            f"{_OLDEST_POSTGRESQL} or newer is needed."
        )
    if encoding != "UTF8":
        raise Misconfigured(f"The database is encoded in {encoding}. Create one with UTF8.")


def sort_by_bytes(connection: Connection) -> None:
    """Text sorts and begins as it does in SQLite, whatever the language of the server.

    Every comparison of the program is by bytes; a server's own language would order titles, dates
    and keys in another way, and could not use an index for the beginning of a name. For after each
    migration: what a trigger or a view names could not be changed any more.
    """
    if not on_postgresql(connection):
        return
    quote = connection.dialect.identifier_preparer.quote
    for table, column, kind in connection.execute(_OTHERWISE_SORTED).all():
        connection.exec_driver_sql(
            f'ALTER TABLE {quote(table)} ALTER COLUMN {quote(column)} TYPE {kind} COLLATE "C"'
        )


_OTHERWISE_SORTED = sa.text(
    """SELECT attribute.attrelid::regclass::text, attribute.attname,
        format_type(attribute.atttypid, attribute.atttypmod)
    FROM pg_attribute AS attribute
    JOIN pg_class AS class ON class.oid = attribute.attrelid
    WHERE class.relkind = 'r' AND class.relnamespace = current_schema()::regnamespace
      AND attribute.attnum > 0 AND NOT attribute.attisdropped
      AND attribute.attcollation <> 0
      AND attribute.attcollation <> (SELECT oid FROM pg_collation WHERE collname = 'C')
    ORDER BY 1, 2"""
)


def settle(engine: Engine) -> None:
    """Let the planner learn what the tables hold; after much was written at once."""
    with engine.execution_options(write="beside").connect() as connection:
        if not on_postgresql(engine):
            connection.exec_driver_sql("PRAGMA analysis_limit=400")
        connection.exec_driver_sql("ANALYZE")
        connection.commit()


def load(connection: Connection, table: sa.Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """Put many rows into an empty table, values in the order of its columns; ids go on after them.

    Triggers sleep meanwhile: what they would have written is among the rows, or is made anew after.
    On PostgreSQL by COPY, which is some ten times as fast as statements.
    """
    if on_postgresql(connection):
        name = connection.dialect.identifier_preparer.quote(table.name)
        connection.exec_driver_sql(f"ALTER TABLE {name} DISABLE TRIGGER USER")
        _copy_in(connection, table, rows)
        connection.exec_driver_sql(f"ALTER TABLE {name} ENABLE TRIGGER USER")
        return
    triggers = connection.execute(_TRIGGERS, {"table": table.name}).all()
    for name, _ in triggers:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    names = [column.name for column in table.columns]
    every = iter(rows)
    while chunk := list(islice(every, 1000)):
        connection.execute(sa.insert(table), [dict(zip(names, row, strict=True)) for row in chunk])
    for _, statement in triggers:
        connection.exec_driver_sql(statement)


_TRIGGERS = sa.text(
    "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table"
)


def _copy_in(connection: Connection, table: sa.Table, rows: Iterable[tuple[Any, ...]]) -> None:
    dialect = connection.dialect
    quote = dialect.identifier_preparer.quote
    columns = ", ".join(quote(column.name) for column in table.columns)
    to_database = [
        column.type.dialect_impl(dialect).bind_processor(dialect) for column in table.columns
    ]
    driver: Any = connection.connection.dbapi_connection
    try:
        with driver.cursor().copy(f"COPY {quote(table.name)} ({columns}) FROM STDIN") as copy:
            for row in rows:
                pairs = zip(to_database, row, strict=True)
                copy.write_row([to(value) if to else value for to, value in pairs])
    except dialect.loaded_dbapi.Error as error:
        # The driver is spoken to directly here: its errors are made SQLAlchemy's, as anywhere else.
        raise sa.exc.DBAPIError.instance(None, None, error, dialect.loaded_dbapi.Error) from error
    for column in table.primary_key.columns:
        if column is table.autoincrement_column:
            most = connection.execute(sa.select(sa.func.max(column))).scalar() or 0
            values = {"table": quote(table.name), "column": column.name, "next": most + 1}
            connection.execute(_NEXT_ID, values)


_NEXT_ID = sa.text("SELECT setval(pg_get_serial_sequence(:table, :column), :next, false)")


def insert_new(session: Session, table: sa.Table, rows: list[dict[str, Any]]) -> int | None:
    """Insert rows, but for those that a constraint of the table says are there; the id of a single one.

    None where there is nothing to say: it was there, or there were several.
    """
    if not rows:
        return None
    insert = postgresql.insert if on_postgresql(session) else sqlite.insert
    statement = insert(table).on_conflict_do_nothing()
    if len(rows) > 1 or "id" not in table.c or "id" in rows[0]:
        session.connection().execute(statement, rows)
        return None
    return session.connection().execute(statement.returning(table.c.id), rows[0]).scalar()


def damage(session: Session) -> list[str]:
    """What the engine finds wrong with its own files, in its own words; empty when all is whole."""
    if on_postgresql(session):
        return list(session.connection().execute(_BROKEN_INDEXES).scalars())
    said = session.connection().exec_driver_sql("PRAGMA integrity_check").scalars().all()
    return [] if said == ["ok"] else [str(line) for line in said]


def rebuild_indexes(engine: Engine) -> None:
    """Make every index of the engine's own files anew, from the tables."""
    with in_words(engine), _writer(engine, alone=True).connect() as connection:
        if not on_postgresql(engine):
            connection.exec_driver_sql("REINDEX")
        connection.commit()


_BROKEN_INDEXES = sa.text(
    """SELECT 'the index ' || class.relname || ' was never finished' FROM pg_index
    JOIN pg_class AS class ON class.oid = pg_index.indexrelid
    WHERE NOT pg_index.indisvalid AND class.relnamespace = current_schema()::regnamespace"""
)


def broken_references(session: Session) -> int:
    """How many rows point at rows that are gone. PostgreSQL lets none do so."""
    if on_postgresql(session):
        return 0
    return len(session.connection().exec_driver_sql("PRAGMA foreign_key_check").all())


def bump(session: Session, name: str = "wiki") -> None:
    """Count a change: caches and ETags of `name` are stale once this transaction is committed."""
    session.info.setdefault("bumped", set()).add(name)


@sa.event.listens_for(Engine, "before_execute")
def _notice_writes(connection: Connection, statement: Any, *_: object) -> None:
    """Remember which tables that screens show this connection wrote into."""
    if isinstance(statement, sa.UpdateBase):
        table: str = getattr(statement.table, "name", "")
        deletes = isinstance(statement, sa.Delete)
    elif isinstance(statement, sa.TextClause) and (found := _WRITES.match(statement.text)):
        table, deletes = found[2], found[1].upper().startswith("DELETE")
    else:
        return
    if table in _UNSEEN:
        return
    wrote: set[str] = connection.info.setdefault("wrote", set())
    wrote.add(_SAYS.get(table, table))
    if deletes and table in ("page", "paper"):
        wrote.update(COUNTED)  # what belonged to it went with it


_WRITES = re.compile(r'\s*(INSERT INTO|UPDATE|DELETE FROM)\s+"?(\w+)', re.IGNORECASE)
# What no screen with an ETag shows: the machine's own, and what only searches and editors read.
_UNSEEN = {
    *("attempt", "done", "draft", "embedding_model", "fetch_host", "generation", "hold", "lease"),
    "page_text",
    *("page_vector", "paper_term", "paper_vector", "query_vector", "raw", "text_vector"),
    *("title_word", "unencoded", "vector"),
    # How a fetch goes on is shown where nothing is remembered; what matters elsewhere is counted by hand.
    *("delivery", "source_fetch", "subscription"),
    # What file says what of a page; nothing of it is on a screen.
    *("mirror", "unmirrored"),
    "undo_log",  # what an act found is only read to take it back
}
# Tables with a counter of their own, for what is counted over a few of them.
COUNTED = frozenset(
    {
        *("alias", "change", "decision", "digest", "link", "model_call", "page", "paper"),
        *("prediction", "question", "red_link", "rule", "run"),
    }
)
# Writes into these change a paper, by trigger or in what is said of it; a thread is its page.
_SAYS = {"assessment": "paper", "listing_paper": "paper", "thread": "page", "topic": "paper"} | {
    "mention": "paper",
    "model_batch": "model_call",
    "price": "model_call",
    "prediction_touch": "prediction",
    "page_number": "page",
    "page_section": "page",
}


@sa.event.listens_for(Session, "before_commit")
def _count_changes(session: Session) -> None:
    """Raise the counters of this transaction; "shown" for every write that a screen could show."""
    if session.in_nested_transaction() or session.get_transaction() is None:
        return
    session.flush()
    if wrote := session.connection().info.pop("wrote", None):
        session.info["wrote"] = wrote
        for name in (SHOWN, *(rows_of(table) for table in wrote & COUNTED)):
            bump(session, name)
    count_now(session, session.info.pop("bumped", ()))


@sa.event.listens_for(Session, "after_begin")
def _note_turn(session: Session, _: object, connection: Connection) -> None:
    if connection.get_execution_options().get("write"):
        session.info.setdefault("turn", time.monotonic())  # a savepoint within begins no turn


@sa.event.listens_for(Session, "after_transaction_end")
def _tell_of_long_ones(session: Session, transaction: SessionTransaction) -> None:
    """A line in the log for a writer that kept the others waiting, with the tables it wrote into."""
    if transaction.parent is not None:
        return
    wrote, began = session.info.pop("wrote", ()), session.info.pop("turn", None)
    if began is not None and (seconds := time.monotonic() - began) >= LONG_SECONDS:
        tables = ", ".join(sorted(wrote)) or "nothing that is shown"
        log.info("a transaction of %.0f ms wrote into %s", seconds * 1000, tables)


def count_now(session: Session, names: Iterable[str]) -> None:
    """Raise counters where no session commits, or what was written was not noticed."""
    # The one that everybody raises comes last, so that two who commit at once never wait in a ring.
    for name in sorted(names, key=lambda name: (name == SHOWN, name)):
        session.connection().execute(_COUNT, {"name": name})


TEXTS = "texts"  # the counter of what pages say (page_text): whoever writes there counts it
SHOWN = "shown"  # the counter of every change that a screen could show, counted without being asked


def rows_of(table: str) -> str:
    """The counter of writes into one of the tables `COUNTED`, or into what it is derived from."""
    return f"rows of {table}"


_COUNT = sa.text(
    "INSERT INTO generation (name, value) VALUES (:name, 1) "
    "ON CONFLICT (name) DO UPDATE SET value = generation.value + 1"
)


def generation(session: Session, name: str = "wiki") -> int:
    """The counter of `name`; 0 before the first change."""
    return session.connection().execute(_GENERATION, {"name": name}).scalar() or 0


def generations(session: Session) -> dict[str, int]:
    """Every counter that was ever raised."""
    return dict(session.connection().execute(_GENERATIONS).all())


_GENERATIONS = sa.select(col(Generation.name), col(Generation.value))
_GENERATION = sa.select(col(Generation.value)).where(col(Generation.name) == sa.bindparam("name"))


def rows(session: Session, statement: Any, **values: Any) -> list[Any]:
    """Rows of a Core statement or SQL text, without building objects: for lists."""
    return list(session.connection().execute(statement, values).all())
