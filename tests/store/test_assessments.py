"""What the local scorer reads and stores: bounded, on both engines, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.identifiers import title_key
from app.domain.records import (
    Assessment,
    AssessmentTopic,
    Decision,
    EmbeddingModel,
    Identifier,
    Listing,
    ListingPaper,
    PageKind,
    Paper,
    PaperState,
    PaperVector,
    Topic,
    Verdict,
)
from app.domain.scoring import Listed
from app.errors import Unavailable
from app.store import assessments, paper_vectors, vectors
from app.store.assessments import Told
from app.store.db import reading, writing
from app.store.vectors import NewVector, VectorIndex
from tests.factories import make_engine, make_page

NOW = datetime(2026, 5, 8, 9, 0, tzinfo=UTC)
DAY, NEXT = "2026-05-08", "2026-05-11"
MODEL = "m@1"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = make_engine(tmp_path)
    yield opened
    opened.dispose()


def listed(
    session: Session, title: str, day: str = DAY, state: PaperState = PaperState.WAITING
) -> int:
    """A paper of a day's listing; without a day, of none. Its id."""
    paper = Paper(
        state=state,
        title=title,
        title_key=title_key(title),
        abstract=f"{title}, in full.",
        created_at=NOW,
    )
    session.add(paper)
    session.flush()
    assert paper.id is not None
    if day:
        again(session, paper.id, day)
    return paper.id


def again(session: Session, paper: int, day: str) -> None:
    if session.get(Listing, day) is None:
        session.add(Listing(day=day, month=day[:7]))
    session.add(ListingPaper(day=day, paper_id=paper, position=paper))
    session.flush()


def unit(*numbers: float) -> vectors.Matrix:
    row = np.array(numbers, np.float32)
    return np.asarray(row / np.linalg.norm(row), np.float32)


def told(paper: int, score: float = 0.5, *topics: str) -> Told:
    return Told(paper, score, 5, 6, topics, comment=f"paper {paper}")


def topic(session: Session, name: str, *, position: int = 0, retired: bool = False) -> None:
    session.add(Topic(id=name, name=name.title(), position=position, retired=retired))
    session.flush()


def save(session: Session, day: str, *rows: Told, prompt: str = "local@1 k") -> int:
    return assessments.save(session, day, rows, prompt=prompt, now=NOW)


# ---------------------------------------------------------------- what is read


def test_topics_are_those_not_retired_in_the_readers_order(engine: Engine) -> None:
    with writing(engine) as session:
        topic(session, "later", position=2)
        topic(session, "first", position=1)
        topic(session, "gone", position=0, retired=True)
    with reading(engine) as session:
        assert [each.id for each in assessments.topics(session)] == ["first", "later"]


def test_what_was_decided_is_bounded_newest_first_and_of_listings_first(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessments, "LEARNED_KEPT", 2)
    monkeypatch.setattr(paper_vectors, "LEARNED_DROPPED", 2)
    with writing(engine) as session:
        make_page(session, "Kept by itself", PageKind.PAPER, published="2026-06-01")
        listed(session, "kept", DAY, PaperState.KEPT)
        for number in range(3):
            listed(session, f"dropped {number}", f"2026-05-0{number + 1}", PaperState.DROPPED)
        listed(session, "waits")
    with reading(engine) as session:
        found = [(j.paper.title, j.kept, j.day) for j in assessments.judged(session, MODEL)]
        assert assessments.decided(session) == (2, 3)
    assert found == [
        ("kept", True, DAY),
        ("Kept by itself", True, ""),
        ("dropped 2", False, "2026-05-03"),
        ("dropped 1", False, "2026-05-02"),
    ]


def test_vectors_come_from_the_paper_or_its_page_and_damaged_ones_are_left_out(
    engine: Engine,
) -> None:
    with writing(engine) as session:
        own, damaged, none = (listed(session, title) for title in ("own", "damaged", "none"))
        page = make_page(session, "Kept", PageKind.PAPER)
        kept = session.exec(select(Paper.id).where(Paper.page_id == page)).one()
        assert kept is not None
        again(session, kept, DAY)
        vectors.want(session, MODEL, setting=MODEL)
        paper_vectors.save(session, MODEL, [(own, "h", unit(1, 0)), (damaged, "h", unit(1, 0))])
        paper_vectors.save(session, "other@1", [(none, "h", unit(1, 0, 0))])
        vectors.save(session, [NewVector(page, MODEL, "h", unit(0, 1))])
        session.execute(
            sa.update(PaperVector).where(col(PaperVector.paper_id) == damaged).values(data=b"abc")
        )
    with reading(engine) as session:
        found = {each.id: each.vector for each in assessments.day_papers(session, DAY, MODEL)}
    assert found[damaged] is None and found[none] is None
    assert found[own] is not None and found[kept] is not None
    assert np.allclose(found[own], unit(1, 0)) and np.allclose(found[kept], unit(0, 1))


def test_a_vector_of_another_length_is_refused_and_one_of_a_paper_that_is_gone_left_out(
    engine: Engine,
) -> None:
    with writing(engine) as session:
        paper = listed(session, "here")
        rows = [(paper, "h", unit(1, 0)), (99_999, "h", unit(1, 0))]
        assert paper_vectors.save(session, MODEL, rows) == 1
    with pytest.raises(Unavailable, match="have 2 numbers"), writing(engine) as session:
        paper_vectors.save(session, MODEL, [(paper, "h", unit(1, 0, 0))])


def test_a_day_is_compared_with_the_nearest_pages_and_never_with_its_own(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessments, "_BLOCK", 3)
    monkeypatch.setattr(assessments, "NEAREST", 2)
    with writing(engine) as session:
        pages = [
            make_page(session, f"Concept {n}", PageKind.PAPER if n % 2 else PageKind.CONCEPT)
            for n in range(10)
        ]
        note = make_page(session, "A note", PageKind.NOTE)
        vectors.want(session, MODEL, setting=MODEL)
        rows = [NewVector(page, MODEL, "h", unit(10 - n, n)) for n, page in enumerate(pages)]
        vectors.save(session, [*rows, NewVector(note, MODEL, "h", unit(1, 0))])
        own = session.exec(select(Paper.id).where(Paper.page_id == pages[1])).one()
        assert own is not None
    day = [Listed(own, "own", "", unit(1, 0)), Listed(99, "none", "", None)]
    with reading(engine) as session:
        held = assessments.held(session, VectorIndex(), day, MODEL)
        assert list(held.pages) == [pages[0], pages[2]]
        assert np.allclose(held.vectors, [unit(10, 0), unit(8, 2)], atol=1e-3)
        other = assessments.held(session, VectorIndex(), day, "other@1")
        assert (list(other.pages), list(assessments.held(session, None, day, MODEL).pages)) == (
            [],
            [],
        )


# ---------------------------------------------------------------- what waits and is stored


def test_marks_are_stored_once_a_day_and_in_place_of_older_ones(engine: Engine) -> None:
    with writing(engine) as session:
        for name in ("boats", "tea"):
            topic(session, name)
        first, second = listed(session, "one"), listed(session, "two")
        assert save(session, DAY, told(first, 0.9, "boats", "tea"), told(second)) == 2
        again_stored = save(session, DAY, told(first, 0.2, "tea", "nobody's"), prompt="local@1 new")
        assert again_stored == 1
    with reading(engine) as session:
        rows = session.exec(select(Assessment).order_by(col(Assessment.paper_id))).all()
        assert [(row.paper_id, row.topic_id, row.prompt) for row in rows] == [
            (first, "tea", "local@1 new"),
            (second, None, "local@1 k"),
        ]
        matched = session.exec(select(AssessmentTopic.topic_id)).all()
        assert list(matched) == ["tea"]
        assert round(session.get_one(Paper, first).score, 4) == 0.2


def test_only_what_waits_is_stored_and_nothing_over_what_a_model_said(engine: Engine) -> None:
    with writing(engine) as session:
        waits, put_off, dropped, marked, elsewhere = (
            listed(session, "waits"),
            listed(session, "put off", state=PaperState.DEFERRED),
            listed(session, "dropped", state=PaperState.DROPPED),
            listed(session, "marked"),
            listed(session, "elsewhere", NEXT),
        )
        session.add(Assessment(paper_id=marked, day="2026-05-01", scorer="model-x", at=NOW))
        session.flush()
        every = [told(each) for each in (waits, put_off, dropped, marked, elsewhere)]
        assert save(session, DAY, *every) == 2
        assert assessments.count_unassessed(session, NEXT) == 1
    with reading(engine) as session:
        local = select(Assessment.paper_id).where(Assessment.scorer == "local")
        assert set(session.exec(local).all()) == {waits, put_off}


def test_days_wait_by_key_newest_first_and_a_paper_on_the_day_it_came(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessments, "LISTINGS", 2)
    with writing(engine) as session:
        listed(session, "too old", "2026-05-01")
        paper = listed(session, "one", DAY)
        again(session, paper, NEXT)  # it came on the day before
        assert assessments.days_to_assess(session, "k a") == [DAY]
        other = listed(session, "two", NEXT)
        assert assessments.days_to_assess(session, "k a") == [NEXT, DAY]
        assert save(session, NEXT, told(other), prompt="k a") == 1
        assert assessments.days_to_assess(session, "k a") == [DAY]
        assert assessments.days_to_assess(session, "k b") == [NEXT, DAY]
        assert assessments.days_to_assess(session, "k b", any_like="k ") == [DAY]
        assert assessments.is_unassessed(session, NEXT, "k b")
        session.get_one(Paper, other).state = PaperState.DROPPED
        session.flush()
        assert assessments.days_to_assess(session, "k b") == [DAY]


def test_a_paper_listed_again_keeps_its_marks_and_gets_some_where_it_has_none(
    engine: Engine,
) -> None:
    with writing(engine) as session:
        paper = listed(session, "one", DAY)
        again(session, paper, NEXT)
        assert assessments.is_unassessed(session, NEXT, "k a")  # its own day may be long ago
        assert save(session, DAY, told(paper), prompt="k a") == 1
        assert not assessments.is_unassessed(session, NEXT, "k a")
        assert save(session, NEXT, told(paper), prompt="k a") == 0
        assert [row["title"] for row in assessments.of_day(session, NEXT)] == ["one"]


def test_a_listing_of_our_own_says_how_it_was_judged_and_no_other(engine: Engine) -> None:
    with writing(engine) as session:
        listed(session, "one")
        session.add(Listing(day=NEXT, model="model-x", prompt="as it was", scanned=7))
        session.flush()
        for day in (DAY, NEXT):
            assessments.tell_listing(session, day, scanned=3, kept=1, prompt="said")
    with reading(engine) as session:
        own, other = session.get_one(Listing, DAY), session.get_one(Listing, NEXT)
        assert (own.scanned, own.kept, own.prompt) == (3, 1, "said")
        assert (other.scanned, other.kept, other.prompt) == (7, None, "as it was")


# ---------------------------------------------------------------- a day as it stands


def test_a_day_is_told_best_first_without_what_was_decided_before_it(engine: Engine) -> None:
    with writing(engine) as session:
        for position, name in enumerate(("boats", "tea")):
            topic(session, name, position=position)
        good, fair, before, here = (listed(session, each) for each in ("good", "fair", "b", "here"))
        session.add(Identifier(scheme="arxiv", value="2605.00001", paper_id=good, versions=[]))
        save(
            session,
            DAY,
            told(good, 0.9, "tea", "boats"),
            told(fair, 0.4),
            told(before),
            told(here, 0.1),
        )
        decide(session, before, at=NOW)
        decide(session, here, at=NOW)
        for paper in (good, before):
            again(session, paper, NEXT)
        save(session, NEXT, told(good, 0.8, "tea", "boats"))
    with reading(engine) as session:
        rows = assessments.of_day(session, DAY)
        assert [row["title"] for row in rows] == ["good", "b", "fair", "here"]
        assert rows[0]["paper"] == "arxiv:2605.00001"
        assert rows[2]["paper"] == "fair"
        assert rows[0]["topics"] == ["tea", "boats"]
        assert [row["title"] for row in assessments.of_day(session, NEXT)] == ["good"]


def decide(session: Session, paper: int, *, at: datetime) -> None:
    session.get_one(Paper, paper).state = PaperState.DROPPED
    session.add(Decision(at=at + timedelta(hours=1), verdict=Verdict.DROP, paper_id=paper))
    session.flush()


def test_a_models_marks_without_a_score_order_a_day_too(engine: Engine) -> None:
    with writing(engine) as session:
        low, high = listed(session, "low"), listed(session, "high")
        for paper, relevance in ((low, 2), (high, 9)):
            session.add(
                Assessment(
                    paper_id=paper,
                    day=DAY,
                    scorer="model-x",
                    relevance=relevance,
                    novelty=5,
                    at=NOW,
                )
            )
    with reading(engine) as session:
        rows = assessments.of_day(session, DAY)
        assert [(row["title"], row["score"]) for row in rows] == [
            ("high", 0.53565),  # what nine of ten means as a chance
            ("low", 0.00771),
        ]


def test_vectors_of_a_model_that_nobody_uses_go_with_it(engine: Engine) -> None:
    with writing(engine) as session:
        paper = listed(session, "one")
        vectors.want(session, MODEL, setting=MODEL)
        paper_vectors.save(session, MODEL, [(paper, "h", unit(1, 0))])
        paper_vectors.save_texts(session, MODEL, {"a clause": unit(1, 0)})
        vectors.want(session, "later@1", setting="later")
    while vectors.upkeep(engine):
        pass
    with reading(engine) as session:
        assert session.exec(select(EmbeddingModel.id)).all() == ["later@1"]
        assert session.exec(select(PaperVector)).all() == []
        assert paper_vectors.of_texts(session, MODEL, ["a clause"]) == {}
