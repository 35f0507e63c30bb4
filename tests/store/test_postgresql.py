"""PostgreSQL itself: writers in turn, a server that goes away, and what it refuses, in words."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine, make_url
from sqlmodel import Session, select

from app.domain.records import PageKind, Paper, Preference
from app.errors import Invalid, Misconfigured, Unavailable
from app.store import papers, schema, vectors
from app.store.db import open_engine, reading, writing
from app.store.vectors import NewVector
from tests import databases
from tests.factories import make_engine, make_page

pytestmark = pytest.mark.postgresql_only


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def count_up(session: Session) -> int:
    found = session.get(Preference, "n") or Preference(name="n", value="0")
    found.value = str(int(found.value) + 1)
    session.add(found)
    session.flush()
    return int(found.value)


def value(engine: Engine) -> int:
    with reading(engine) as session:
        found = session.get(Preference, "n")
        return int(found.value) if found else 0


def test_writers_take_turns_and_none_is_lost(engine: Engine) -> None:
    def write(_: int) -> None:
        with writing(engine) as session:
            count_up(session)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(64)))
    assert value(engine) == 64


def test_a_reader_waits_for_no_writer_and_sees_one_moment(engine: Engine) -> None:
    with writing(engine) as session:
        count_up(session)
    with reading(engine) as early, writing(engine) as session:
        assert early.get(Preference, "n").value == "1"  # type: ignore[union-attr]
        count_up(session)
        session.commit()
        early.expire_all()
        assert early.get(Preference, "n").value == "1"  # type: ignore[union-attr]
    assert value(engine) == 2


def test_a_connection_that_the_server_ended_is_replaced(engine: Engine) -> None:
    assert value(engine) == 0
    databases.end_connections(engine)
    assert value(engine) == 0


def test_a_write_that_is_cut_off_leaves_nothing_and_is_said_in_words(engine: Engine) -> None:
    def cut_off() -> None:
        with writing(engine) as session:
            count_up(session)
            databases.end_connections(engine)

    for _ in range(5):
        with pytest.raises(Unavailable, match="cannot be reached"):
            cut_off()
        assert value(engine) == 0
    with writing(engine) as session:
        count_up(session)
    assert value(engine) == 1


def test_a_writer_waits_its_turn_and_then_says_who_holds_it(engine: Engine) -> None:
    url = engine.url.update_query_dict({"options": "-c lock_timeout=200ms"})
    hasty = open_engine(url.render_as_string(hide_password=False))
    started, done = threading.Event(), threading.Event()

    def hold() -> None:
        with writing(engine) as session:
            count_up(session)
            started.set()
            done.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    started.wait(20)
    try:
        with writing(hasty, alone=False) as session:  # who needs no turn goes on
            session.add(Preference(name="beside", value="1"))
        with pytest.raises(Unavailable, match="Another program is writing"):  # noqa: SIM117
            with writing(hasty) as session:
                count_up(session)
    finally:
        done.set()
        holder.join()
        hasty.dispose()
    assert value(engine) == 1


def test_what_no_text_may_hold_is_refused_in_words(engine: Engine) -> None:
    with pytest.raises(Invalid, match="no text may hold"), reading(engine) as session:
        session.get(Preference, "a\0b")
    with pytest.raises(Invalid, match="no text may hold"), writing(engine) as session:
        session.add(Preference(name="x", value="a\0b"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"database": "no_such_wiki"}, "There is no database"),
        ({"username": "nobody_here"}, "refuses this user"),
        ({"query": {"host": "/no/such/folder"}}, "cannot be reached"),
        ({"query": {}, "host": "127.0.0.1", "port": 1}, "cannot be reached"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_in_one_line(
    engine: Engine, change: dict[str, object], says: str
) -> None:
    address = make_url(engine.url.render_as_string(hide_password=False)).set(**change)  # type: ignore[arg-type]
    other = open_engine(address.render_as_string(hide_password=False))
    with pytest.raises(Unavailable, match=says) as refused:
        schema.upgrade(other)
    assert "\n" not in str(refused.value)
    other.dispose()


def test_an_error_of_another_database_is_not_said_to_be_this_servers(engine: Engine) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    with pytest.raises(sa.exc.OperationalError, match="disk is full"), reading(engine):
        raise sa.exc.OperationalError("", None, full)


def test_a_password_stands_in_no_error(engine: Engine) -> None:
    address = engine.url.set(password="s3cret", database="no_such_wiki")
    other = open_engine(address.render_as_string(hide_password=False))
    with pytest.raises(Unavailable) as refused:
        schema.upgrade(other)
    assert "s3cret" not in str(refused.value)
    other.dispose()


def test_a_database_of_another_encoding_is_refused(engine: Engine) -> None:
    name = f"{engine.url.database}_latin"
    databases.admin(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'",
    )
    other = open_engine(engine.url.set(database=name).render_as_string(hide_password=False))
    try:
        with pytest.raises(Misconfigured, match="UTF8"):
            schema.upgrade(other)
    finally:
        other.dispose()
        databases.admin(f"DROP DATABASE {name}")


def test_every_text_sorts_by_bytes(engine: Engine) -> None:
    with reading(engine) as session:
        other = (
            session.connection()
            .execute(
                sa.text(
                    """SELECT table_name || '.' || column_name FROM information_schema.columns
                    WHERE table_schema = current_schema() AND collation_name <> 'C'
                      OR (table_schema = current_schema() AND collation_name IS NULL
                          AND data_type IN ('text', 'character varying'))"""
                )
            )
            .scalars()
            .all()
        )
    assert [name for name in other if not name.startswith("alembic_version")] == []


def test_two_that_start_at_once_migrate_once() -> None:
    url = databases.create()
    engines = [open_engine(url) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(schema.upgrade, engines))
    for each in engines:
        assert schema.current(each) == schema.NEWEST
        each.dispose()


def test_who_deletes_a_page_and_who_stores_its_vector_do_not_wait_for_each_other(
    engine: Engine,
) -> None:
    with writing(engine) as session:
        pages = [make_page(session, f"On tides {n}", PageKind.PAPER) for n in range(2)]
    deletes = threading.Event()

    def take_back() -> bool:
        with writing(engine) as session:
            paper = session.exec(select(Paper).where(Paper.page_id == pages[1])).one()
            deletes.set()
            return papers.take_page(session, paper)

    with ThreadPoolExecutor(1) as threads:
        with writing(engine, alone=False) as session:
            vectors.save(session, [vector(pages[0])])
            taken = threads.submit(take_back)
            deletes.wait(20)
            time.sleep(0.3)
            vectors.save(session, [vector(pages[1])])
        assert taken.result(20)


def vector(page_id: int) -> NewVector:
    return NewVector(page_id, "m@1", "", np.eye(1, 8, dtype=np.float32)[0])


def test_a_migration_waits_for_a_long_writer(engine: Engine) -> None:
    started = threading.Event()

    def write() -> None:
        with writing(engine) as session:
            count_up(session)
            started.set()
            time.sleep(0.5)

    thread = threading.Thread(target=write)
    thread.start()
    started.wait(20)
    from app.store.db import migrating

    with migrating(engine) as connection:
        assert connection.execute(sa.text("SELECT value FROM preference")).scalar() == "1"
    thread.join()
