"""Writing many rows at once, past the program: executemany into SQLite, COPY into PostgreSQL.

Rows name the columns they know; the others get the default of the record, so that a new column
needs no change here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Protocol

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Engine
from sqlmodel import SQLModel

from app.domain.records import Vector
from app.store.db import on_postgresql

Row = list[Any]


class Target(Protocol):
    """Where rows go. `time` is a moment as the database takes it.

    `more` names columns that this engine's table has beside those of the record; `twice` is what
    they hold for a vector.
    """

    def write(self, table: str, columns: list[str], rows: Iterable[Row]) -> None: ...

    def time(self, at: datetime) -> object: ...

    def more(self, model: type[SQLModel]) -> tuple[str, ...]: ...

    def twice(self, vector: NDArray[np.float32]) -> dict[str, object]: ...


class Rows:
    """The rows of one table, kept until `flush`."""

    def __init__(self, model: type[SQLModel], *, more: tuple[str, ...] = ()) -> None:
        table: sa.Table = model.__table__  # type: ignore[attr-defined]
        self.table = table.name
        columns = [column for column in table.columns if column.computed is None]
        self.columns = [*(column.name for column in columns), *more]
        self._place = {name: place for place, name in enumerate(self.columns)}
        self._defaults = [*(_default(model, column) for column in columns), *(None for _ in more)]
        self._rows: list[Row] = []
        self.count = 0

    def add(self, **values: object) -> None:
        """One row: enums as their values, JSON as text, moments as `Target.time` makes them."""
        row = self._defaults.copy()
        place = self._place
        for name, value in values.items():
            row[place[name]] = value
        self._rows.append(row)
        self.count += 1

    def flush(self, target: Target) -> None:
        if self._rows:
            target.write(self.table, self.columns, self._rows)
            self._rows = []


def _default(model: type[SQLModel], column: sa.Column[Any]) -> object:
    field = model.model_fields.get(column.name)
    if field is None or field.is_required():
        return None
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Enum):
        return value.value
    return json.dumps(value) if isinstance(value, list | dict) else value


@contextmanager
def filling(engine: Engine, *, fresh: bool = True) -> Iterator[Target]:
    """A target for rows; what was written is there when this ends.

    `fresh`: nobody else uses the database, and what a crash would leave of it matters to nobody.
    """
    with _copying(engine) if on_postgresql(engine) else _inserting(engine, fresh) as target:
        yield target


@contextmanager
def _inserting(engine: Engine, fresh: bool) -> Iterator[Target]:
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        raw.rollback()
        if fresh:
            for pragma in ("journal_mode=DELETE", "synchronous=OFF", "foreign_keys=OFF",
                           "cache_size=-400000"):  # fmt: skip
                raw.execute(f"PRAGMA {pragma}")
        raw.execute("BEGIN IMMEDIATE")
        yield _Sqlite(raw)
        raw.execute("COMMIT")
        if fresh:
            raw.execute("PRAGMA journal_mode=WAL")
    if fresh:
        engine.dispose()


class _Sqlite:
    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def write(self, table: str, columns: list[str], rows: Iterable[Row]) -> None:
        places = ", ".join("?" * len(columns))
        names = ", ".join(f'"{name}"' for name in columns)
        self._raw.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({places})', rows)  # noqa: S608

    def time(self, at: datetime) -> object:
        return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")

    def more(self, model: type[SQLModel]) -> tuple[str, ...]:
        return ()

    def twice(self, vector: NDArray[np.float32]) -> dict[str, object]:
        return {}


@contextmanager
def _copying(engine: Engine) -> Iterator[Target]:
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        target = _Postgresql(raw)
        yield target
        target.number_on()
        raw.commit()


class _Postgresql:
    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._tables: set[str] = set()

    def write(self, table: str, columns: list[str], rows: Iterable[Row]) -> None:
        self._tables.add(table)
        names = ", ".join(f'"{name}"' for name in columns)
        with (
            self._raw.cursor() as cursor,
            cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy,
        ):
            for row in rows:
                copy.write_row(row)

    def time(self, at: datetime) -> object:
        return at

    def more(self, model: type[SQLModel]) -> tuple[str, ...]:
        return ("half",) if model is Vector else ()

    def twice(self, vector: NDArray[np.float32]) -> dict[str, object]:
        return {"half": str(vector.astype(np.float16).tolist())}

    def number_on(self) -> None:
        """Ids were given here: the next one the database gives must follow them."""
        for table in sorted(self._tables):
            number = SQLModel.metadata.tables[table].columns.get("id")
            if number is not None and isinstance(number.type, sa.Integer):
                self._raw.execute(
                    f"""SELECT setval(pg_get_serial_sequence('"{table}"', 'id'), max(id)) FROM "{table}"
                    HAVING pg_get_serial_sequence('"{table}"', 'id') IS NOT NULL"""  # noqa: S608
                )
