"""Who is at what: holds that run out, leases, and runs of workers that are no more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine
from sqlmodel import Session, select

from app.domain.records import Hold, Lease, Run, RunState
from app.store import runs
from app.store.db import SHOWN, generation, reading, writing
from tests.factories import THEN, make_engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def held(engine: Engine, *, clock: float, step: str = "encode") -> set[int]:
    with reading(engine) as session:
        return set(session.connection().execute(runs.held(step, clock=clock)).scalars())


def hold(engine: Engine, subjects: list[int], owner: str, *, clock: float) -> None:
    with writing(engine) as session:
        runs.hold(session, "encode", subjects, owner=owner, clock=clock)


def let_go(engine: Engine, subjects: list[int], owner: str) -> set[int]:
    with writing(engine, alone=False) as session:
        return runs.let_go(session, "encode", subjects, owner=owner)


def test_a_hold_is_seen_by_its_step_until_it_runs_out(engine: Engine) -> None:
    hold(engine, [3, 1, 2], "a", clock=100)
    assert held(engine, clock=100) == {1, 2, 3}
    assert held(engine, clock=100 + runs.SECONDS - 0.1) == {1, 2, 3}
    assert held(engine, clock=100 + runs.SECONDS) == set()
    assert held(engine, clock=100, step="link") == set()
    with reading(engine) as session:
        assert runs.count_held(session, "encode", clock=100) == 3


def test_whoever_lets_go_learns_what_was_its_own_to_the_end(engine: Engine) -> None:
    hold(engine, [1, 2, 3], "slow", clock=100)
    hold(engine, [2], "quick", clock=100 + runs.SECONDS)
    assert let_go(engine, [1, 2, 3, 4], "slow") == {1, 3}
    assert held(engine, clock=101 + runs.SECONDS) == {2}
    assert let_go(engine, [2], "quick") == {2}
    assert let_go(engine, [2], "quick") == set()
    assert let_go(engine, [], "quick") == set()


def test_a_clock_that_was_put_back_keeps_nobody_waiting(engine: Engine) -> None:
    hold(engine, [1], "killed", clock=100_000)
    with writing(engine) as session:
        assert runs.is_alone(session, "killed", clock=100_000)
        run = runs.start(session, "worker", owner="killed", now=THEN)
    assert held(engine, clock=100) == set()
    with writing(engine) as session:
        assert runs.is_alone(session, "next", clock=100)
        runs.abandon(session, clock=100, now=THEN)
    with reading(engine) as session:
        assert runs.get(session, run.id or 0).state == RunState.FAILED


def test_to_look_for_the_dead_and_find_none_is_no_change(engine: Engine) -> None:
    with writing(engine) as session:
        runs.is_alone(session, "alive", clock=100)
        runs.start(session, "worker", owner="alive", now=THEN)
    with reading(engine) as session:
        before = generation(session, SHOWN)
    with writing(engine) as session:
        runs.abandon(session, clock=101, now=THEN)
    with reading(engine) as session:
        assert generation(session, SHOWN) == before


def test_who_is_at_work_has_signed_on(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    renew = runs._renew

    def slowly(session: Session, owner: str, *, clock: float) -> None:
        time.sleep(0.3)
        renew(session, owner, clock=clock)

    monkeypatch.setattr(runs, "_renew", slowly)
    with runs.at_work(engine) as owner, writing(engine) as session:
        run = runs.start(session, "once", owner=owner, now=THEN)
        runs.abandon(session, clock=time.time(), now=THEN)
    with reading(engine) as session:
        assert runs.get(session, run.id or 0).state == RunState.RUNNING


def test_a_worker_renews_what_it_holds_and_gives_it_back(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SECONDS", 0.4)
    beats: list[str] = []
    with runs.at_work(engine, beat=beats.append) as owner:
        hold(engine, [7], owner, clock=time.time())
        time.sleep(1.0)
        assert held(engine, clock=time.time()) == {7}
        assert beats and set(beats) == {owner}
    assert held(engine, clock=0) == set()
    with reading(engine) as session:
        assert session.exec(select(Lease)).all() == []


def test_a_beat_that_fails_does_not_end_the_beating(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SECONDS", 0.2)
    beats: list[str] = []

    def fail(owner: str) -> None:
        beats.append(owner)
        raise RuntimeError("once")

    with runs.at_work(engine, beat=fail):
        time.sleep(0.5)
    assert len(beats) > 1


def test_of_two_only_one_is_alone_until_its_lease_runs_out(engine: Engine) -> None:
    def alone(owner: str, clock: float) -> bool:
        with writing(engine, alone=False) as session:
            return runs.is_alone(session, owner, clock=clock)

    assert alone("a", 100)
    assert not alone("b", 101)
    assert alone("a", 110)
    assert not alone("b", 110 + runs.SECONDS - 0.1)
    assert alone("b", 110 + runs.SECONDS)
    assert not alone("a", 111 + runs.SECONDS)


def test_runs_of_the_dead_are_over_and_those_of_the_living_go_on(engine: Engine) -> None:
    with writing(engine) as session:
        session.add(Lease(name="worker a", owner="a", until=110.0))
        session.add(Lease(name="worker b", owner="b", until=99.0))
        for owner in ("a", "b", ""):
            runs.start(session, "worker", owner=owner, now=THEN)
    with writing(engine) as session:
        runs.abandon(session, clock=100.0, now=THEN)
    with reading(engine) as session:
        found = {run.owner: run.state for run in session.exec(select(Run))}
    assert found == {"a": RunState.RUNNING, "b": RunState.FAILED, "": RunState.FAILED}


def test_many_who_want_the_same_rows_share_them(engine: Engine) -> None:
    """Each takes up what is free as it reads; together they have all of them, none twice."""

    def work(owner: str) -> list[int]:
        mine: list[int] = []
        while True:
            with writing(engine) as session:
                done = set(session.exec(select(Hold.subject_id).where(Hold.step == "encode")))
                taken = [number for number in range(60) if number not in done][:4]
                runs.hold(session, "encode", taken, owner=owner, clock=time.time())
            if not taken:
                return mine
            mine += taken

    with ThreadPoolExecutor(4) as threads:
        shares = list(threads.map(work, ["a", "b", "c", "d"]))
    assert sorted(number for share in shares for number in share) == list(range(60))
