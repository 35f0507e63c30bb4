"""Who is no more is known at once: a lock that its process held is free, and what it held is anybody's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from app.domain.records import Hold, Lease
from app.store import lives, runs
from app.store.db import reading, writing
from tests.factories import make_engine

ROOT = Path(__file__).parents[2]
WORKER = """
import sys, time
from app.store import runs
from app.store.db import open_engine, writing
engine = open_engine(sys.argv[1])
with runs.at_work(engine) as owner:
    with writing(engine) as session:
        runs.hold(session, "link", [7], owner=owner, clock=time.time())
        assert runs.is_alone(session, owner, clock=time.time())
    print(owner, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@pytest.mark.sqlite_only
def test_one_that_lives_is_not_taken_for_dead_and_leaves_nothing(engine: Engine) -> None:
    life = lives.begin(engine, "a")
    assert lives.ended(engine) == []
    life.end()
    assert lives.ended(engine) == []
    assert list(Path(engine.url.database or "").with_name("at-work").iterdir()) == []


@pytest.mark.sqlite_only
def test_where_nothing_can_be_written_the_lease_alone_decides(engine: Engine) -> None:
    Path(engine.url.database or "").with_name("at-work").write_text("Not a folder.")
    with runs.at_work(engine) as owner:
        assert lives.ended(engine) == []
    assert owner


@pytest.mark.sqlite_only
def test_what_a_killed_worker_held_is_anybodys_as_soon_as_another_begins(engine: Engine) -> None:
    words = [sys.executable, "-c", WORKER, str(engine.url)]
    dead = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert dead.stdout is not None
    owner = dead.stdout.readline().strip()
    with runs.at_work(engine) as me, writing(engine) as session:  # it lives: all is its own
        assert session.get(Hold, ("link", 7)) is not None
        assert not runs.is_alone(session, me, clock=time.time())
    os.kill(dead.pid, signal.SIGKILL)
    dead.wait()
    assert lives.ended(engine) == [owner]
    with runs.at_work(engine) as me, writing(engine) as session:
        assert session.get(Hold, ("link", 7)) is None
        assert runs.is_alone(session, me, clock=time.time())
    assert lives.ended(engine) == []
    with reading(engine) as session:
        assert session.get(Lease, f"worker {owner}") is None


def test_a_worker_is_told_to_look_about_while_the_database_is_away(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its server is still there, say: else it would stay for ever."""

    def away(*_: object, **__: object) -> None:
        raise RuntimeError("away")

    monkeypatch.setattr(runs, "_renew", away)
    heard: list[str] = []
    with runs.at_work(engine, beat=heard.append) as owner:
        assert heard == [owner]
