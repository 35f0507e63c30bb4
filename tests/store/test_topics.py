"""What became of the papers of each topic, counted in the database, by the marks they carry."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.domain.record import Share
from app.domain.records import Assessment, ListingPaper, Paper, PaperState, Topic
from app.domain.scoring import blended
from app.errors import NotFound
from app.store import topics
from app.store.db import reading, writing
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
TODAY = date(2026, 5, 14)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    with writing(made) as session:
        session.add(Topic(id="boats", name="Boats", threshold=0.25, position=1))
        session.add(Topic(id="tea", name="Tea", threshold=0.5, position=0))
        session.add(Topic(id="old", name="Old", retired=True))
    yield made
    made.dispose()


def paper(
    session: Session,
    topic: str | None,
    score: float | None,
    state: PaperState = PaperState.WAITING,
    *,
    day: str = "2026-05-14",
    marks: tuple[int, int] = (6, 5),
) -> int:
    made = Paper(title="A paper", title_key="a paper", state=state, created_at=NOW)
    session.add(made)
    session.flush()
    assert made.id is not None
    session.add(ListingPaper(day=day, paper_id=made.id))
    session.add(
        Assessment(
            paper_id=made.id,
            day=day,
            scorer="local",
            topic_id=topic,
            score=score,
            relevance=marks[0],
            novelty=marks[1],
            at=NOW,
        )
    )
    session.flush()
    return made.id


def test_topics_come_in_the_readers_order_retired_ones_last(engine: Engine) -> None:
    with reading(engine) as session:
        assert [topic.id for topic in topics.listed(session)] == ["tea", "boats", "old"]
        assert topics.get(session, "tea").name == "Tea"
        for name in ("nothing", "", "_new", "a b", "x" * 300):
            with pytest.raises(NotFound, match="/topics"):
                topics.get(session, name)


@pytest.mark.parametrize("score", [0.0, 0.01, 0.1499, 0.25, 0.5, 0.999, 1.0])
def test_the_score_of_a_paper_is_the_chance_its_newest_scorer_gave(
    engine: Engine, score: float
) -> None:
    with writing(engine) as session:
        on_topic = paper(session, "boats", score, marks=(1, 1))
        told = session.get_one(Paper, on_topic).score
        assert told == pytest.approx(score, abs=2e-8)
        other = paper(session, "boats", score, marks=(1, 2))  # the marks tell equals apart
        assert told < session.get_one(Paper, other).score


@pytest.mark.parametrize("relevance", range(1, 11))
def test_a_scorer_that_gives_no_chance_is_read_by_the_relevance_it_gave(
    engine: Engine, relevance: int
) -> None:
    with writing(engine) as session:
        new = session.get_one(Paper, paper(session, "boats", None, marks=(relevance, 10))).score
        known = session.get_one(Paper, paper(session, "boats", None, marks=(relevance, 1))).score
    assert known == pytest.approx(blended(None, relevance), abs=6e-6)
    assert known < new < blended(None, relevance + 1) or relevance == 10


def test_picked_begins_at_the_threshold_of_the_primary_topic(engine: Engine) -> None:
    with writing(engine) as session:
        for score in (0.2499, 0.25, 0.4999, 0.5):
            paper(session, "boats", score)
            paper(session, "tea", score)
    with reading(engine) as session:
        found = topics.records(session, today=TODAY)
    assert (found["boats"].tally.picked, found["boats"].tally.undecided) == (3, 4)
    assert found["tea"].tally.picked == 1


def test_what_was_kept_and_dropped_is_the_precision_and_what_was_missed(engine: Engine) -> None:
    with writing(engine) as session:
        for score, state, count in (
            (0.6, PaperState.KEPT, 3),
            (0.6, PaperState.DROPPED, 1),
            (0.6, PaperState.DEFERRED, 1),
            (0.1, PaperState.KEPT, 2),
            (0.1, PaperState.DROPPED, 4),
        ):
            for _ in range(count):
                paper(session, "boats", score, state, day="2026-05-06")
        paper(session, "boats", 0.9, PaperState.KEPT, day="2026-05-13")
        paper(session, None, 0.9, PaperState.KEPT)
    with reading(engine) as session:
        found = topics.records(session, today=TODAY)
    boats = found["boats"]
    assert boats.tally.precision == Share(5, 4)
    assert (boats.tally.missed, boats.tally.passed, boats.tally.undecided) == (2, 4, 1)
    assert [(str(w.monday), w.tally.precision) for w in boats.weeks] == [
        ("2026-05-04", Share(4, 3)),
        ("2026-05-11", Share(1, 1)),
    ]
    assert topics.together(found) == boats.tally, "a paper without a topic is in no record"
    assert found["old"] == topics.Record()


def test_a_threshold_is_proposed_from_twenty_decisions_on(engine: Engine) -> None:
    with writing(engine) as session:
        for n in range(20):
            kept = PaperState.KEPT if n % 2 else PaperState.DROPPED
            day = f"2026-05-{11 + n % 4}"
            paper(session, "boats", 0.81 if n % 2 else 0.3, kept, day=day)
    with reading(engine) as session:
        proposed = topics.records(session, today=TODAY)["boats"].proposed
    assert proposed is not None
    assert (proposed.threshold, proposed.now) == (0.81, 0.25)
    assert (proposed.picked, proposed.picked_now, proposed.days) == (10, 20, 4)
    assert proposed.more_a_day == pytest.approx(-2.5)


def test_the_number_of_statements_does_not_grow(engine: Engine) -> None:
    seen: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *given: seen.append(given[2]))

    def count() -> int:
        with reading(engine) as session:
            session.connection()
            seen.clear()
            topics.records(session, today=TODAY)
            return len(seen)

    before = count()
    with writing(engine) as session:
        for n in range(30):
            session.add(Topic(id=f"t{n}", name=f"Topic {n}"))
            session.flush()
            paper(session, f"t{n}", 0.5, day=f"2026-05-{1 + n % 14:02}")
    assert count() == before == 4


def test_days_to_try_topics_on_are_those_with_papers(engine: Engine) -> None:
    from app.domain.records import Listing

    with writing(engine) as session:
        for day in ("2026-05-11", "2026-05-12", "2026-05-13"):
            session.add(Listing(day=day))
        kept = paper(session, "tea", 0.5, PaperState.KEPT, day="2026-05-11")
        waiting = paper(session, "tea", 0.5, day="2026-05-12")
    with reading(engine) as session:
        assert topics.days(session, limit=5) == ["2026-05-12", "2026-05-11"]
        assert topics.days(session, limit=1) == ["2026-05-12"]
        assert topics.states(session, "2026-05-11") == {kept: PaperState.KEPT}
        assert topics.states(session, "2026-05-12") == {waiting: PaperState.WAITING}
