"""Turns to ask a host: one at a time over all processes, spaced, and never lost with a process."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import pytest
from sqlalchemy.engine import Engine

from app.errors import Unavailable
from app.store import hosts
from app.store.db import SHOWN, generation, reading
from app.store.hosts import Hosts
from tests.factories import make_engine


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def take(pace: Hosts, host: str = "a.example", spacing: float = 0.0) -> float:
    return pace.take(host, spacing=spacing, seconds=35.0)


def test_one_process_at_a_time_has_the_turn_of_a_host(engine: Engine, clock: Clock) -> None:
    mine, yours = Hosts(engine, clock=clock), Hosts(engine, clock=clock)
    assert take(mine) == 0.0
    assert 0 < take(yours) <= 1
    assert 0 < take(mine) <= 1, "nor does who has it get it twice"
    assert take(yours, "b.example") == 0.0
    yours.give("a.example", spacing=0.0)  # not theirs to give
    assert take(yours) > 0
    mine.give("a.example", spacing=0.0)
    assert take(yours) == 0.0


def test_the_turn_of_a_process_that_died_ends_by_itself(engine: Engine, clock: Clock) -> None:
    dead, alive = Hosts(engine, clock=clock), Hosts(engine, clock=clock)
    assert take(dead) == 0.0
    clock.now += 34.9
    assert 0 < take(alive) <= 0.2
    clock.now += 0.2
    assert take(alive) == 0.0
    dead.give("a.example", spacing=60.0)  # it was only slow: the turn is no longer its own
    assert take(dead) <= 1


def test_requests_are_spaced_from_end_to_beginning(engine: Engine, clock: Clock) -> None:
    mine, yours = Hosts(engine, clock=clock), Hosts(engine, clock=clock)
    take(mine, spacing=3.0)
    clock.now += 2.0
    mine.give("a.example", spacing=3.0)
    assert take(yours) == pytest.approx(3.0), "also for who would not wait"
    clock.now += 3.0
    assert take(yours, spacing=5.0) == pytest.approx(2.0), "and longer for who wants more"
    clock.now += 2.0
    assert take(yours, spacing=5.0) == 0.0


def test_a_host_that_asked_to_be_left_alone_is_by_all(engine: Engine, clock: Clock) -> None:
    mine, yours = Hosts(engine, clock=clock), Hosts(engine, clock=clock)
    take(mine)
    mine.hold("a.example", 120.0)
    mine.hold("a.example", 5.0)  # the longer one holds
    mine.give("a.example", spacing=0.0)
    assert take(yours) == pytest.approx(120.0)
    clock.now += 120.0
    assert take(yours) == 0.0
    yours.hold("a.example", 10.0**9)
    yours.give("a.example", spacing=0.0)
    assert take(mine) == pytest.approx(86_400.0), "no longer than a day"


def test_a_clock_that_was_set_back_stops_nobody(engine: Engine, clock: Clock) -> None:
    pace = Hosts(engine, clock=clock)
    clock.now += 3600.0
    take(pace)
    take(pace, "b.example")
    pace.give("b.example", spacing=3.0)
    clock.now -= 3600.0
    assert take(pace) == 0.0, "whose turn would have ended an hour from now"
    assert take(pace, "b.example", spacing=3.0) == 0.0, "whose last request lies an hour ahead"


def test_many_at_once_never_ask_a_host_together(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "LOOK_AGAIN", 0.002)
    paces = [Hosts(engine) for _ in range(4)]
    at_once, most, lock = 0, 0, Lock()

    def ask(pace: Hosts) -> None:
        nonlocal at_once, most
        for _ in range(5):
            while take(pace) > 0:
                pass
            with lock:
                at_once += 1
                most = max(most, at_once)
            with lock:
                at_once -= 1
            pace.give("a.example", spacing=0.0)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, paces))
    assert most == 1


def test_turns_change_no_screen(engine: Engine) -> None:
    with reading(engine) as session:
        before = generation(session, SHOWN)
    pace = Hosts(engine)
    take(pace)
    pace.hold("a.example", 1.0)
    pace.give("a.example", spacing=1.0)
    with reading(engine) as session:
        assert generation(session, SHOWN) == before


def test_a_turn_that_cannot_be_given_back_loses_nothing_that_came(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pace = Hosts(engine)
    take(pace)

    def full(*_: object, **__: object) -> None:
        raise Unavailable("The disk is full.")

    monkeypatch.setattr(hosts, "writing", full)
    pace.give("a.example", spacing=0.0)
    assert "disk is full" in caplog.text
