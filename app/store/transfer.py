"""Copying a whole wiki from one database to another, whichever engines they are.

Every table is read in the order of its key from one moment of the source, written into the empty
target, read back there and compared by count and hash, all in one transaction of the target: either
the copy is exact or there is none. What is derived (full-text index, vectors' indexes, what waits for
a vector) is made anew in the target; holds and leases of workers stay behind. Raw bytes and the
vault are files, not rows.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
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


# ---------------------------------------------------------------- of an older schema

_NOT_COPIED = ("alembic_version", "page_fts")


def copy_as_it_is(origin: Connection, target: Connection) -> None:
    """Copy every row of a database on a server into a SQLite file of the same revision, whatever it is.

    Both say themselves what their tables are: today's know nothing of an older schema. Columns that
    the server alone has are derived there. Raises Unavailable when a copy is not exact.
    """
    theirs, ours = sa.MetaData(), sa.MetaData()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # of types that are not copied
        theirs.reflect(origin)
        ours.reflect(target)
    for name in sorted(ours.tables.keys() & theirs.tables.keys()):
        if name.startswith(_NOT_COPIED):
            continue
        table = _plainly(ours.tables[name], theirs.tables[name])
        sent, arrived = _Sum(), _Sum()
        chosen = (_read(theirs.tables[name].c[column.name]) for column in table.columns)
        statement = sa.select(*chosen).execution_options(yield_per=CHUNK)
        load(target, table, _summed((_as_kept(row) for row in origin.execute(statement)), sent))
        for row in target.execute(sa.select(table).execution_options(yield_per=CHUNK)):
            arrived.add(tuple(row))
        if (sent.count, sent.total) != (arrived.count, arrived.total):
            raise Unavailable(
                f"The copy of table {name} is not exact ({sent.count} rows sent, {arrived.count} "
                "arrived)."
            )
    if "page_fts" in ours.tables:
        target.exec_driver_sql("INSERT INTO page_fts(page_fts) VALUES('rebuild')")


def _plainly(table: sa.Table, other: sa.Table) -> sa.Table:
    """A table with the columns that both have, whose values are kept as they are given."""
    columns = [sa.Column(column.name, sa.types.NullType()) for column in table.columns]
    return sa.Table(
        table.name, sa.MetaData(), *(column for column in columns if column.name in other.c)
    )


def _read(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """JSON as it is written: a null in it is none of the table's."""
    if isinstance(column.type, sa.JSON):
        return sa.cast(column, sa.Text)
    return column


def _as_kept(row: Any) -> tuple[Any, ...]:
    """The values of a row as SQLAlchemy keeps them in a SQLite file."""
    return tuple(_in_sqlite(value) for value in row)


def _in_sqlite(value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return moment.isoformat(" ", "microseconds")
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return float(value)
    return bytes(value) if isinstance(value, memoryview) else value


def _summed(rows: Iterator[tuple[Any, ...]], total: _Sum) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        total.add(row)
        yield row


class _Sum:
    """A hash over rows in any order: servers sort texts each in its own way."""

    def __init__(self) -> None:
        self.count, self.total = 0, 0

    def add(self, row: tuple[Any, ...]) -> None:
        said = [
            # A column of whole numbers keeps 3.0 as 3, and one of JSON a text of digits as a number.
            str(int(value) if isinstance(value, float) and value.is_integer() else value)
            if value is not None
            else None
            for value in row
        ]
        self.count += 1
        self.total += int.from_bytes(sha256(json.dumps(said).encode()).digest())


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return sha256(value).hexdigest()
    return value
