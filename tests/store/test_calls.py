"""Sums over calls: what counts, what is known, and what is only set aside."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Engine

from app.domain.records import BatchState, CallState, ModelBatch, ModelCall
from app.store import calls
from app.store.calls import Sum
from app.store.db import reading, writing
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = make_engine(tmp_path)
    yield engine
    engine.dispose()


def call(day: str = "2026-05-14", **fields: Any) -> ModelCall:
    given: dict[str, Any] = {
        "at": NOW,
        "day": day,
        "purpose": "triage",
        "about": "2026-05-13",
        "model": "m",
        "state": CallState.BOOKED,
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_tokens": 3,
        "cache_write_tokens": 2,
        "cache_write_1h_tokens": 1,
        "reserved": 1_000,
        "cost": 100,
        "papers": 4,
    }
    return ModelCall(**(given | fields))


def keep(engine: Engine, *made: ModelCall) -> list[int]:
    with writing(engine) as session:
        return [calls.insert(session, each) for each in made]


def test_nothing_was_called(engine: Engine) -> None:
    with reading(engine) as session:
        assert calls.counted(session, calls.FIRST_DAY, calls.LAST_DAY) == 0
        assert calls.by_day(session) == {}
        assert calls.by_use(session) == []
        assert calls.newest(session, limit=5) == []


def test_each_state_counts_as_it_should(engine: Engine) -> None:
    keep(
        engine,
        call(),
        call(cost=None),
        call(state=CallState.RESERVED, cost=None),
        call(state=CallState.RELEASED, cost=0),
        call(state=CallState.RELEASED, cost=None),
        call("2026-05-13", cost=7),
        call("2026-06-01", cost=2**40),
    )
    today = Sum(calls=3, cost=100, unknown=1, unfinished=1, held=2_000)
    with reading(engine) as session:
        assert calls.counted(session, "2026-05-14", "2026-05-14") == today.counts == 2_100
        assert calls.counted(session, "2026-05-01", "2026-05-31") == 2_107
        assert calls.by_day(session) == {
            "2026-05-13": Sum(calls=1, cost=7),
            "2026-05-14": today,
            "2026-06-01": Sum(calls=1, cost=2**40),
        }
        assert list(calls.by_day(session, "2026-05-14", "2026-05-31")) == ["2026-05-14"]


def test_uses_are_told_apart_and_agree_with_the_days(engine: Engine) -> None:
    keep(
        engine,
        call(),
        call(cost=None),
        call(state=CallState.RESERVED, cost=None),
        call(state=CallState.RELEASED, cost=0, purpose="other"),
        call(model="n", about="2026-05-12"),
        call("2026-05-13", purpose="second look", cost=0),
    )
    with reading(engine) as session:
        found = {(each.purpose, each.model): each.sum for each in calls.by_use(session)}
        days = calls.by_day(session)
        about = calls.of_listing(session, "2026-05-13")
    assert list(found) == [("second look", "m"), ("triage", "m"), ("triage", "n")]
    most = found["triage", "m"]
    assert most == Sum(3, 100, 1, 1, 2_000, (30, 15, 9, 6, 3), 12)
    assert (most.input_tokens, most.output_tokens) == (48, 15)
    ever = sum(found.values(), Sum())
    every_day = sum(days.values(), Sum())
    assert (ever.calls, ever.counts) == (every_day.calls, every_day.counts) == (5, 2_200)
    assert [(each.purpose, each.model) for each in about] == [("second look", "m"), ("triage", "m")]


def test_the_newest_calls_come_in_pages(engine: Engine) -> None:
    ids = keep(engine, *(call() for _ in range(5)))
    with reading(engine) as session:
        first = [each.id for each in calls.newest(session, limit=2)]
        assert first == [ids[4], ids[3]]
        assert [each.id for each in calls.newest(session, limit=9, before=ids[3])] == ids[2::-1]


def test_what_nobody_will_finish_is_booked_but_no_batch_under_way(engine: Engine) -> None:
    old = NOW - timedelta(hours=25)
    left, young, sent, lost = keep(
        engine,
        *(
            call(state=CallState.RESERVED, cost=None, at=at, batched=batched)
            for at, batched in ((old, False), (NOW, False), (old, True), (old, True))
        ),
    )
    with writing(engine) as session:
        for call_id, state in ((sent, BatchState.SENT), (lost, BatchState.FAILED)):
            session.add(
                ModelBatch(
                    call_id=call_id,
                    purpose="triage",
                    model="m",
                    state=state,
                    created_at=old,
                    next_look_at=old,
                )
            )
    with writing(engine) as session:
        before = NOW - timedelta(hours=24)
        assert calls.settle_abandoned(session, before=before, now=NOW, outcome="Gone.") == 2
    with reading(engine) as session:
        assert calls.unfinished(session, left) is None
        assert calls.unfinished(session, lost) is None
        assert calls.unfinished(session, young)
        assert calls.unfinished(session, sent)
        settled = session.get(ModelCall, left)
        assert settled
        assert (settled.state, settled.cost, settled.outcome) == (CallState.BOOKED, 1_000, "Gone.")


def test_replies_are_learned_from_those_of_one_use(engine: Engine) -> None:
    keep(
        engine,
        call(output_tokens=40),
        call(output_tokens=20, papers=2),
        call(output_tokens=9_000, purpose="other"),
        call(output_tokens=9_000, model="n"),
        call(output_tokens=0),
        call(output_tokens=9_000, state=CallState.RELEASED),
    )
    with reading(engine) as session:
        assert calls.reply_tokens_a_paper(session, "triage", "m") == 10
        assert calls.reply_tokens_a_paper(session, "triage", "nobody") is None
