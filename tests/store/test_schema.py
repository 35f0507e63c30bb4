"""The schema: the migrations make exactly what the records say, once, and can be asked again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Engine
from sqlmodel import SQLModel

from app.domain import records
from app.errors import Unavailable
from app.store import schema
from app.store.db import open_engine

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path}/a b%20c/wiki.sqlite3")
    yield made
    made.dispose()


def config_on(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def test_a_new_database_is_brought_up_to_date_once(engine: Engine) -> None:
    assert schema.current(engine) is None
    assert schema.upgrade(engine)
    assert schema.current(engine) == schema.newest()
    assert not schema.upgrade(engine)


def test_two_that_start_at_once_bring_it_up_to_date_once(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from app.store import schema\n"
        "from app.store.db import open_engine\n"
        "engine = open_engine(sys.argv[2]); schema.upgrade(engine); print(schema.current(engine))\n"
    )
    command_line = [sys.executable, "-c", script, str(ROOT), f"sqlite:///{tmp_path}/wiki.sqlite3"]
    started = [
        subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for each in started:
        said, wrong = each.communicate(timeout=120)
        assert (said.strip(), each.returncode) == (schema.newest(), 0), wrong


def test_the_migrations_make_what_the_records_say(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.connect() as connection:
        command.check(config_on(connection))  # raises when a migration is missing
    with engine.connect() as connection:
        tables = set(sa.inspect(connection).get_table_names())
    assert {table.name for table in SQLModel.metadata.sorted_tables} <= tables
    assert records.Page.__tablename__ in tables


def test_the_full_text_index_follows_by_triggers(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.connect() as connection:
        triggers = set(
            connection.exec_driver_sql(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).scalars()
        )
    assert {"page_text_insert", "page_text_update", "page_text_delete"} <= triggers


def test_downgrade_leaves_nothing_and_upgrade_makes_it_again(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.execution_options(write=True).connect() as connection:
        command.downgrade(config_on(connection), "base")
        connection.commit()
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    assert schema.upgrade(engine)
    with engine.connect() as connection:
        command.check(config_on(connection))


def test_a_database_of_a_newer_program_is_left_alone(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'from_2031'")
    with pytest.raises(Unavailable, match="from_2031"):
        schema.upgrade(engine)
    assert schema.current(engine) == "from_2031"


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE page (mine TEXT)")
        connection.exec_driver_sql("INSERT INTO page VALUES ('kept')")
    with pytest.raises(sa.exc.OperationalError):
        schema.upgrade(engine)
    with engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) == {"page"}
        assert connection.exec_driver_sql("SELECT mine FROM page").scalar() == "kept"
