"""Copying a whole wiki from one database to another, whichever engines they are.

Every table is read in the order of its key from one moment of the source, written into the empty
target, read back there and compared by count and hash, all in one transaction of the target: either
the copy is exact or there is none. What is derived (full-text index, vectors' indexes, what waits for
a vector) is made anew in the target; holds and leases of workers stay behind. Raw bytes and the
vault are files, not rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlmodel import Session, SQLModel

from app.domain.records import Hold, Lease, Unencoded
from app.errors import Conflict, Unavailable
from app.store import search, vectors
from app.store.db import COUNTED, SHOWN, count_now, load, migrating, reading, rows_of, settle
from app.store.links import ACCEPTED

CHUNK = 1000
LEFT = {Hold.__tablename__, Lease.__tablename__, Unencoded.__tablename__}


@dataclass(frozen=True)
class Copied:
    """One table: how many rows it has on both sides, and the hash they share."""

    table: str
    rows: int
    hash: str


def copy(
    source: Engine, target: Engine, *, progress: Callable[[int], None] = lambda rows: None
) -> list[Copied]:
    """Copy every table; both schemas are up to date. `progress(rows)` hears how many were sent.

    Raises Conflict when the target has rows already, and Unavailable when a copy is not exact or
    one of the databases cannot be used; the target is as it was then.
    """
    tables = [table for table in SQLModel.metadata.sorted_tables if table.name not in LEFT]
    copied = []
    with migrating(target) as connection:
        for table in tables:
            if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
                raise Conflict(
                    f"The database to copy to is not empty (table {table.name}). "
                    "Name a new one: nothing is ever written over."
                )
        before = 0
        with reading(source) as session:
            origin = session.connection()
            for table in tables:
                sent = _Digest()
                load(connection, table, _heard(_rows(origin, table), sent, before, progress))
                before += sent.count
                arrived = _Digest()
                for row in _rows(connection, table):
                    arrived.add(row)
                if arrived.read() != sent.read():
                    raise Unavailable(
                        f"The copy of table {table.name} is not exact ({sent.count} rows sent, "
                        f"{arrived.count} arrived). Nothing was copied."
                    )
                copied.append(Copied(table.name, *sent.read()))
        with Session(connection) as derived:
            search.rebuild(derived)
            vectors.restore(derived)
            # A process may have looked at the empty target already, and not every source counts.
            count_now(derived, (SHOWN, ACCEPTED, *map(rows_of, COUNTED)))
            derived.flush()
    settle(target)
    return copied


def _rows(connection: Connection, table: sa.Table) -> Iterator[tuple[Any, ...]]:
    statement = sa.select(table).order_by(*table.primary_key.columns)
    for row in connection.execute(statement.execution_options(yield_per=CHUNK)):
        yield tuple(row)


def _heard(
    rows: Iterator[tuple[Any, ...]], digest: _Digest, before: int, progress: Callable[[int], None]
) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        digest.add(row)
        if digest.count % CHUNK == 0:
            progress(before + digest.count)
        yield row


class _Digest:
    """A hash over rows in order that does not depend on how an engine keeps a value."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = sha256()

    def add(self, row: tuple[Any, ...]) -> None:
        self.count += 1
        plain = [_plain(value) for value in row]
        self._hash.update(json.dumps(plain, ensure_ascii=True, sort_keys=True).encode() + b"\n")

    def read(self) -> tuple[int, str]:
        return self.count, self._hash.hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return sha256(value).hexdigest()
    return value
