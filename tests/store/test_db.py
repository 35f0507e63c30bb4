"""The database: durable settings, writers in turn, counters, and failures said in one line."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from app.domain.records import Preference
from app.errors import Misconfigured, Unavailable
from app.settings import Settings
from app.store import schema, snapshots
from app.store.db import (
    bump,
    generation,
    in_words,
    is_there,
    open_engine,
    reading,
    rows,
    writing,
)
from tests.factories import make_engine

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("pragma", "expected"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 30_000)],
)
def test_every_connection_is_durable_and_checks_its_keys(
    engine: Engine, pragma: str, expected: object
) -> None:
    with ThreadPoolExecutor(3) as threads:

        def ask(_: int) -> object:
            with engine.connect() as connection:
                return connection.exec_driver_sql(f"PRAGMA {pragma}").scalar()

        assert set(threads.map(ask, range(6))) == {expected}


@pytest.mark.sqlite_only
def test_to_ask_whether_it_is_there_lets_go_of_no_lock(engine: Engine, tmp_path: Path) -> None:
    """Another program that closes last deletes the log, unless it sees that this one is there."""
    put(engine, "a", "1")
    assert is_there(engine)
    file = Path(engine.url.database or "")
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM page')"
    subprocess.run([sys.executable, "-c", f"{code}; c.close()", str(file)], check=True)
    assert file.with_name(f"{file.name}-wal").exists()
    put(engine, "b", "2")
    file.with_name("empty").touch()
    for other in ("empty", "none"):
        assert not is_there(open_engine(f"sqlite:///{file.with_name(other)}"))


@pytest.mark.sqlite_only
def test_a_file_taken_away_while_a_writer_waits_takes_nothing(engine: Engine) -> None:
    put(engine, "a", "1")
    file = Path(engine.url.database or "")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(put, engine, "b", "2")
        time.sleep(0.1)
        file.rename(file.with_name("aside"))
        other.execute("ROLLBACK")
        with pytest.raises(Unavailable, match="was moved"):
            waiting.result(20)
    other.close()
    file.with_name("aside").rename(file)
    put(engine, "c", "3")


def put(engine: Engine, name: str, value: str) -> None:
    with writing(engine) as session:
        session.add(Preference(name=name, value=value))


def preference(session: Session, name: str) -> str | None:
    found = session.get(Preference, name)
    return found.value if found else None


def test_a_write_is_there_whole_or_not_at_all(engine: Engine) -> None:
    def fail() -> None:
        with writing(engine) as session:
            session.add(Preference(name="a", value="1"))
            session.flush()
            bump(session)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with writing(engine) as session:
        session.add(Preference(name="b", value="2"))
    with reading(engine) as session:
        assert (preference(session, "a"), preference(session, "b")) == (None, "2")
        assert generation(session) == 0


def test_what_a_reader_changes_is_thrown_away(engine: Engine) -> None:
    with reading(engine) as session:
        session.add(Preference(name="a", value="1"))
        session.flush()
    with reading(engine) as session:
        assert preference(session, "a") is None


def test_writers_read_what_the_writer_before_them_wrote(engine: Engine) -> None:
    """A read and a write of it in one transaction: with a deferred BEGIN some would fail or be lost."""
    with writing(engine) as session:
        session.add(Preference(name="n", value="0"))

    def add(_: int) -> None:
        for _turn in range(15):
            with writing(engine) as session:
                found = session.get(Preference, "n")
                assert found is not None
                found.value = str(int(found.value) + 1)
                session.add(found)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(8)))
    with reading(engine) as session:
        assert preference(session, "n") == "120"


def test_a_reader_sees_one_moment_while_others_write(engine: Engine) -> None:
    with reading(engine) as session:
        assert preference(session, "a") is None
        with writing(engine) as other:
            other.add(Preference(name="a", value="1"))
        session.expire_all()
        assert preference(session, "a") is None


def test_a_key_that_leads_nowhere_is_refused(engine: Engine) -> None:
    insert = sa.text("INSERT INTO page_tag (page_id, name) VALUES (7, 'x')")
    with pytest.raises(IntegrityError), writing(engine) as session:
        session.connection().execute(insert)


# ---------------------------------------------------------------- counters


def test_a_counter_grows_once_for_each_transaction_that_moved_it(engine: Engine) -> None:
    for expected in (1, 2):
        with writing(engine) as session:
            bump(session)
            bump(session)
            bump(session, "concepts")
        with reading(engine) as session:
            assert (generation(session), generation(session, "concepts")) == (expected, expected)
            assert generation(session, "nothing") == 0


def test_a_counter_grows_with_the_whole_transaction_not_with_a_part_of_it(engine: Engine) -> None:
    with writing(engine) as session:
        with session.begin_nested():
            bump(session)
        assert generation(session) == 0
    with reading(engine) as session:
        assert generation(session) == 1


def test_counters_are_not_lost_among_threads(engine: Engine) -> None:
    def move(_: int) -> None:
        with writing(engine) as session:
            bump(session)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(move, range(40)))
    with reading(engine) as session:
        assert generation(session) == 40


def test_a_commit_that_is_refused_leaves_the_next_writer_free(engine: Engine) -> None:
    """A constraint that is only looked at at the end: the engine refuses the commit itself."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE late (name VARCHAR REFERENCES preference(name) DEFERRABLE INITIALLY DEFERRED)"
        )
    with pytest.raises(IntegrityError), writing(engine) as session:
        session.connection().exec_driver_sql("INSERT INTO late VALUES ('nobody')")
    with writing(engine) as session:
        session.add(Preference(name="a", value="1"))
    with reading(engine) as session:
        assert rows(session, sa.text("SELECT count(*) FROM late"))[0][0] == 0
        assert preference(session, "a") == "1"
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE late")


def test_rows_come_without_objects(engine: Engine) -> None:
    with writing(engine) as session:
        session.add(Preference(name="a", value="1"))
    with reading(engine) as session:
        asked = rows(session, sa.text("SELECT value FROM preference WHERE name = :n"), n="a")
        assert [tuple(row) for row in asked] == [("1",)]


# ---------------------------------------------------------------- the log


def test_a_writer_that_kept_others_waiting_is_in_the_log_with_what_it_wrote(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="cerebro.database")
    with writing(engine) as session:
        session.add(Preference(name="a", value="1"))
    assert caplog.messages == []
    monkeypatch.setattr("app.store.db.LONG_SECONDS", 0.0)
    with reading(engine) as session:
        preference(session, "a")
    assert caplog.messages == []  # nobody waits for a reader
    with writing(engine) as session:
        with session.begin_nested():
            session.add(Preference(name="b", value="1"))
        session.commit()
        session.add(Preference(name="c", value="1"))
    assert len(caplog.messages) == 2
    assert all(line.endswith(" ms wrote into preference") for line in caplog.messages)


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "no database address"),
        ("wiki.sqlite3", "no database address"),
        ("://", "no database address"),
        ("postgresql://localhost", "names no database"),
        ("postgresql://host:port/wiki", "no database address"),
        ("mysql://localhost/wiki", "mysql is not supported"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_an_address_that_is_no_database_file_is_refused_in_one_line(url: str, says: str) -> None:
    with pytest.raises(Misconfigured, match=says) as refused:
        open_engine(url)
    assert "\n" not in str(refused.value)
    assert "CEREBRO_DATABASE_URL" in str(refused.value)


def test_an_address_with_more_than_a_name_is_refused_before_a_file_is_made(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="%3F"):
        open_engine(f"sqlite:///{tmp_path}/notes?/wiki.sqlite3")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["what?", "a?b=c&d", "a#b", "100%41", "a:b", "a@b", "ä ö", "a+b"])
def test_a_folder_of_any_name_holds_its_own_database_and_copies_of_it(
    tmp_path: Path, name: str
) -> None:
    data = tmp_path / name
    engine = open_engine(Settings(data=data).url)
    schema.upgrade(engine)
    put(engine, "tone", "plain")
    copy = data / "copy?#%41.sqlite3"
    snapshots.take(engine, copy)
    engine.dispose()
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert sorted(each.name for each in data.iterdir()) == ["cerebro.sqlite3", copy.name]
    new = open_engine(Settings(data=data / name).url)
    with snapshots.opened(copy):
        pass
    snapshots.put(copy, new)
    with reading(new) as session:
        assert preference(session, "tone") == "plain"
    new.dispose()
    assert (data / name / "cerebro.sqlite3").is_file()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable, match=r"file/data cannot be made"):
        open_engine(f"sqlite:///{tmp_path}/file/data/wiki.sqlite3")


@pytest.mark.sqlite_only
@pytest.mark.parametrize("make", ["folder", "garbage", "torn"])
def test_a_file_that_is_no_database_is_named(tmp_path: Path, make: str) -> None:
    path = tmp_path / "wiki.sqlite3"
    if make == "folder":
        path.mkdir()
    elif make == "garbage":
        path.write_bytes(b"no database at all, but long enough to be read as one " * 100)
    else:
        make_engine(tmp_path).dispose()
        whole = path.read_bytes()
        path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    engine = open_engine(f"sqlite:///{path}")

    def use() -> None:
        schema.upgrade(engine)
        with reading(engine) as session:
            rows(session, sa.text("SELECT * FROM page"))

    with pytest.raises(Unavailable, match=r"wiki\.sqlite3") as refused:
        use()
    assert "\n" not in str(refused.value)
    engine.dispose()


@pytest.mark.sqlite_only
def test_a_database_that_another_program_holds_is_said_so(tmp_path: Path) -> None:
    make_engine(tmp_path).dispose()
    engine = open_engine(f"sqlite:///{tmp_path}/wiki.sqlite3")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=50")
    other = sqlite3.connect(tmp_path / "wiki.sqlite3")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="Another program holds"), writing(engine) as session:
        session.add(Preference(name="a", value="1"))
    other.rollback()
    with writing(engine) as session:
        session.add(Preference(name="a", value="1"))
    other.close()
    engine.dispose()


@pytest.mark.sqlite_only
def test_a_full_disk_is_said_so_and_nothing_is_lost(engine: Engine) -> None:
    def narrow(pages: int) -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    narrow(1)  # SQLite never goes below what there is: the file is full from here on
    with pytest.raises(Unavailable, match="The disk is full"), writing(engine) as session:
        session.add(Preference(name="a", value="x" * 1_000_000))
    with reading(engine) as session:
        assert preference(session, "a") is None
    narrow(1_000_000)
    with writing(engine) as session:
        session.add(Preference(name="a", value="x" * 1_000_000))


@pytest.mark.sqlite_only
def test_a_database_on_a_disk_without_any_room_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(tmp_path)
    with writing(engine) as session:
        session.add(Preference(name="a", value="kept"))
    engine.dispose()
    room = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: room._replace(free=4096))
    full = open_engine(f"sqlite:///{tmp_path / 'wiki.sqlite3'}")
    with reading(full) as session:
        assert preference(session, "a") == "kept"
    with pytest.raises(Unavailable, match="The disk is full"), writing(full) as session:
        session.add(Preference(name="b", value=""))
    monkeypatch.undo()
    with pytest.raises(Unavailable, match="start it again"), writing(full):
        pass
    full.dispose()


def test_a_failure_nobody_can_do_anything_about_is_not_made_pretty(engine: Engine) -> None:
    with pytest.raises(sa.exc.DatabaseError), in_words(engine), reading(engine) as session:
        rows(session, sa.text("SELECT nonsense FROM page"))


@pytest.mark.sqlite_only
def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    make_engine(tmp_path).dispose()
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import os\n"
        "from sqlmodel import Session\n"
        "from app.store.db import open_engine, writing, bump\n"
        "from app.store import schema\n"
        "from app.errors import Unavailable\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "engine = open_engine(f'sqlite:///{sys.argv[2]}')\n"
        "try:\n"
        "    schema.upgrade(engine)\n"
        "    with writing(engine) as session: bump(session)\n"
        "except Unavailable as error: print(error)\n"
    )
    os.chmod(tmp_path / "wiki.sqlite3", 0o444)
    os.chmod(tmp_path, 0o555)
    parents = [p for p in tmp_path.parents if p.stat().st_uid == os.geteuid() and len(p.parts) > 2]
    modes = {p: p.stat().st_mode for p in parents}
    try:
        for parent in parents:
            os.chmod(parent, modes[parent] | 0o111)
        done = subprocess.run(
            [sys.executable, "-c", script, str(ROOT), str(tmp_path / "wiki.sqlite3")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.chmod(tmp_path, 0o755)
        for parent in parents:
            os.chmod(parent, modes[parent])
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout
    assert len(done.stdout.splitlines()) == 1
