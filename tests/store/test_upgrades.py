"""From every released schema to today's and back: no row is lost, whatever ends the upgrade."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.engine import Engine
from sqlmodel import SQLModel

from app.store import schema
from app.store.db import migrating, open_engine
from tests import databases
from tests.factories import THEN
from tests.store.test_schema import config_on

pytestmark = pytest.mark.filterwarnings("ignore:Did not recognize type:sqlalchemy.exc.SAWarning")
ROOT = Path(__file__).parents[2]
RELEASED = [f"{number:04}" for number in range(1, 11)]
# What a migration is meant to make anew, or what is numbered and counted as it comes.
MADE_ANEW = {
    "paper": {"score", "came", "topic_id"},
    "topic": {"threshold"},
    "page_text": {"words", "name_words"},
}
RENAMED = {"vector": "page_vector"}
LEFT = ("alembic_version", "page_fts", "unencoded", "generation", "title_word")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return databases.create() if databases.on_postgresql() else f"sqlite:///{tmp_path}/old.sqlite3"


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = open_engine(url)
    yield made
    made.dispose()


def made_at(engine: Engine, revision: str) -> None:
    """A database as a program of this revision made it, with rows in every table."""
    with migrating(engine) as connection:
        command.upgrade(config_on(connection), revision)
    with engine.execution_options(write="alone").connect() as connection:
        for table in _tables(connection):
            for number in (1, 2, 3):
                row = _row(table, number)
                if row is not None:
                    connection.execute(sa.insert(table).values(row))
        connection.commit()


def _tables(connection: sa.Connection) -> list[sa.Table]:
    found = sa.MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if not table.name.startswith(LEFT)]


def _row(table: sa.Table, number: int) -> dict[str, Any] | None:
    """Values for every column: the third row of a table has null wherever it may."""
    row: dict[str, Any] = {}
    for column in table.columns:
        if number == 3 and column.nullable and column.name not in ("paper_id", "page_id"):
            row[column.name] = None
        elif column.name in ("words", "name_words", "half"):
            continue  # PostgreSQL's own
        else:
            row[column.name] = _value(table, column, number)
    if table.name == "identifier":
        row["page_id" if number % 2 else "paper_id"] = None
    if table.name == "link":
        row["target_id"] = number % 3 + 1
    if table.name == "decision":
        row["undoes_id"] = 1 if number == 2 else None
    return row


def _value(table: sa.Table, column: sa.Column[Any], number: int) -> Any:
    known = SQLModel.metadata.tables[_today(table.name)].c.get(column.name)
    kind = column.type if known is None else known.type
    if isinstance(kind, sa.Enum):
        return kind.enums[0]
    if isinstance(kind, sa.JSON):
        made = {} if known is None or not _is_list(known) else []
        return made if isinstance(column.type, sa.JSON) else json.dumps(made)
    for key in column.foreign_keys:
        if isinstance(key.column.type, sa.String):
            return f"{key.column.name}-{number}"
        return number
    if isinstance(column.type, sa.Boolean):
        return number == 2
    if isinstance(column.type, sa.DateTime):
        return _moment(column, number)
    if isinstance(column.type, sa.Integer):
        return number
    if isinstance(column.type, sa.Numeric | sa.Float):
        return number / 4
    if isinstance(column.type, sa.LargeBinary):
        return bytes([number] * 16)
    if column.name in ("day", "published", "month", "since"):
        return f"2026-05-0{number}"
    if column.name == "text" and table.name == "page_text":
        return f"Żółć {number} of the sea"
    return f"{column.name}-{number}"


def _today(name: str) -> str:
    return RENAMED.get(name, name)


def _is_list(column: sa.Column[Any]) -> bool:
    default = column.default
    return bool(default is not None and "list" in str(getattr(default, "arg", "")))


def _moment(column: sa.Column[Any], number: int) -> datetime:
    moment = THEN + timedelta(hours=number)
    aware = getattr(column.type, "timezone", False)
    return moment if aware or databases.on_postgresql() else moment.replace(tzinfo=None)


def rows(engine: Engine, shape: dict[str, list[str]] | None = None) -> dict[str, Any]:
    """By table: its columns but what is made anew, and every row of them."""
    with engine.connect() as connection:
        found = {}
        for table in _tables(connection):
            names = [
                column.name
                for column in table.columns
                if column.name not in MADE_ANEW.get(table.name, ())
                and (shape is None or column.name in shape.get(table.name, ()))
            ]
            if not names:
                continue
            chosen = sa.select(*(table.c[name] for name in names))
            every = sorted(
                (tuple(map(_plain, row)) for row in connection.execute(chosen)), key=repr
            )
            found[_today(table.name)] = (names, every)
        return found


def _plain(value: Any) -> Any:
    """What a column of another type says as well: a number, a moment, JSON as text."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value)
    return float(value) if isinstance(value, int | float) else value


@pytest.mark.parametrize("revision", RELEASED)
def test_from_every_release_no_row_is_lost(engine: Engine, revision: str) -> None:
    made_at(engine, revision)
    before = rows(engine)
    assert sum(len(every) for _, every in before.values()) > 30
    shape = {name: columns for name, (columns, _) in before.items()}
    assert schema.upgrade(engine)
    after = rows(engine, shape)
    assert set(after) == set(before)
    for name, (columns, every) in before.items():
        kept = [columns.index(each) for each in after[name][0]]
        assert after[name][1] == sorted(
            (tuple(row[at] for at in kept) for row in every), key=repr
        ), name
        assert set(columns) - set(after[name][0]) <= set(), name  # no column went
    with engine.connect() as connection:
        command.check(config_on(connection))
        if not databases.on_postgresql():
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def test_back_to_the_release_before_no_row_is_lost(engine: Engine) -> None:
    made_at(engine, RELEASED[-1])
    before = rows(engine)
    schema.upgrade(engine)
    with migrating(engine) as connection:
        command.downgrade(config_on(connection), RELEASED[-1])
    assert rows(engine) == before
    assert schema.upgrade(engine)


# ---------------------------------------------------------------- killed, full, twice

_UPGRADE = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import sqlalchemy as sa
from app.store import schema
from app.store.db import open_engine
engine, left = open_engine(sys.argv[2]), int(sys.argv[3])
writes = ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE")

@sa.event.listens_for(engine, "before_cursor_execute")
def before(connection, cursor, statement, *_):
    global left
    if statement.lstrip().upper().startswith(writes):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

@sa.event.listens_for(engine, "commit")
def commit(connection):
    if left > 0 and sys.argv[4:] == ["commit"]:
        os.kill(os.getpid(), signal.SIGKILL)

schema.upgrade(engine)
print("upgraded", left)
"""


def upgrade_apart(url: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _UPGRADE, str(ROOT), url, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("revision", ["0010", "0006", "0002"])
def test_an_upgrade_that_is_killed_anywhere_changed_nothing_and_goes_through_the_next_time(
    engine: Engine, url: str, revision: str
) -> None:
    made_at(engine, revision)
    before = rows(engine)
    engine.dispose()
    steps = {"0010": (1, 12, 45), "0006": (3, 90), "0002": (150,)}[revision]
    for step in (*steps, "commit"):
        killed = upgrade_apart(url, *((10**6, "commit") if step == "commit" else (step,)))
        assert killed.returncode == -signal.SIGKILL, (step, killed.stdout, killed.stderr)
        assert schema.current(engine) == revision
        assert rows(engine) == before, step
        engine.dispose()
    done = upgrade_apart(url, 10**6)
    assert done.stdout.startswith("upgraded"), done.stderr
    assert schema.current(engine) == schema.NEWEST
    shape = {name: columns for name, (columns, _) in before.items()}
    assert {name: every for name, (_, every) in rows(engine, shape).items()} == {
        name: every for name, (_, every) in before.items()
    }


_FULL = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from app.store import schema
from app.store.db import open_engine
engine = open_engine(sys.argv[2])
schema.current(engine)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    schema.upgrade(engine)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.sqlite_only
@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize("room", [20_000, 200_000])
def test_a_full_disk_in_the_middle_of_an_upgrade_changes_nothing(
    engine: Engine, url: str, room: int
) -> None:
    """A limit on the size of a file stands for the disk: the log of the transaction grows into it."""
    made_at(engine, "0006")
    before = rows(engine)
    engine.dispose()
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(ROOT), url, str(room)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.startswith("Unavailable The disk"), done.stdout + done.stderr
    assert (schema.current(engine), rows(engine)) == ("0006", before)
    assert schema.upgrade(engine)


@pytest.mark.sqlite_only
def test_two_starts_at_once_make_one_upgrade_and_one_copy(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    engine = open_engine(f"sqlite:///{data}/cerebro.sqlite3")
    made_at(engine, "0010")
    before = rows(engine)
    engine.dispose()
    environment = {**os.environ, "CEREBRO_DATA": str(data), "CEREBRO_EMBEDDING_MODEL": "none"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "app.cli", "migrate"],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [each.communicate(timeout=120)[1] for each in started]
    assert [each.returncode for each in started] == [0, 0, 0], said
    copies = list((data / "backups").iterdir())
    assert [each.name[:12] for each in copies] == ["before-0012-"]
    assert sum("was copied to" in each for each in said) == 1
    copy = open_engine(f"sqlite:///{copies[0]}")
    assert (schema.current(copy), rows(copy)) == ("0010", before)
    copy.dispose()
