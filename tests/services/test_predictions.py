"""Predictions are noted, judged on words that stand there, taken back, and touched by papers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Engine
from sqlmodel import Session, select

from app.bootstrap import READERS
from app.domain.records import PageKind, Prediction, PredictionState, QuestionState
from app.errors import Conflict, Invalid, NotFound
from app.services import predictions
from app.services.ingest import Report, import_files
from app.services.predictions import wanted_probability
from app.sources.base import File
from app.store import predictions as store
from app.store import questions
from app.store.corpus import Library
from app.store.db import reading, writing
from app.store.predictions import PredictionRow
from tests.factories import THEN, make_engine, make_page
from tests.services.test_questions import paper

TODAY = date(2026, 5, 14)
SAYS = "Serving engines will evict cache entries by a learned eviction policy by default."
BEARS = (
    "We show that a learned eviction policy lets serving engines evict cache entries twice as well."
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def add(session: Session, text: str = SAYS, **fields: Any) -> PredictionRow:
    return predictions.add(session, "a-page", text, today=TODAY, now=THEN, **fields)


def bring(engine: Engine, name: str, data: str) -> Report:
    with writing(engine) as session:
        [(_, report)] = import_files(
            session, [File(name, data.encode())], READERS, raw_folder=None, now=THEN
        )
    assert isinstance(report, Report), report
    return report


def work(engine: Engine) -> int:
    with writing(engine) as session:
        taken = predictions.take_up(session, owner="me", now=THEN)
    with reading(engine) as session:
        read = predictions.read(session, None, taken, Library())
    found = predictions.think(read)
    with writing(engine) as session:
        return predictions.store(session, read, found, owner="me", now=THEN)


# ---------------------------------------------------------------- noting


def test_a_prediction_is_noted_once_with_its_date_and_probability(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "A page")
        row = add(session, f"  {SAYS}\n", due="in 90 days", probability="70%")
        assert (row.text, row.due, row.probability) == (SAYS, "2026-08-12", 0.7)
        assert (row.made, row.state, row.slug) == ("2026-05-14", PredictionState.OPEN, "a-page")
        with pytest.raises(Conflict, match="foretells this already"):
            add(session, SAYS.upper())
        assert (
            predictions.add(session, "A PAGE", "Another.", today=TODAY, now=THEN).slug == "a-page"
        )
        assert (row.made, row.id) in {(each.made, each.id) for each in store.open_ones(session)}


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"text": "  "}, "text", "needs a sentence"),
        ({"text": "x" * 1001}, "text", "1,000 characters"),
        ({"due": "soon"}, "due", "names no day to come"),
        ({"due": "2026-02-30"}, "due", "names no day to come"),
        ({"due": "2026-05-13"}, "due", "is before the day it was made"),
        ({"made": "14 May"}, "made", "is not a day"),
        ({"probability": "likely"}, "probability", "from 0 to 1"),
        ({"probability": "170"}, "probability", "from 0 to 1"),
        ({"probability": "nan"}, "probability", "from 0 to 1"),
    ],
)
def test_what_says_nothing_usable_is_refused_with_its_field(
    engine: Engine, fields: dict[str, str], field: str, says: str
) -> None:
    with writing(engine) as session:
        make_page(session, "A page")
        with pytest.raises(Invalid, match=says) as refused:
            add(session, **{"text": SAYS, **fields})
        assert set(refused.value.fields) == {field}


def test_a_page_that_is_not_there_foretells_nothing(engine: Engine) -> None:
    with writing(engine) as session:
        for name in ("nowhere", "", "\x00"):
            with pytest.raises(Invalid, match="page"):
                predictions.add(session, name, SAYS, today=TODAY, now=THEN)


def test_a_probability_is_a_share_or_a_percentage() -> None:
    assert [wanted_probability(each) for each in ("", None, "0,5", "50 %", 1, "100")] == [
        *(None, None, 0.5, 0.5, 1.0, 1.0)
    ]


# ---------------------------------------------------------------- due


@pytest.mark.parametrize(
    ("due", "until", "waits"),
    [
        ("2026-06-10", "2026-06-09", False),
        ("2026-06-10", "2026-06-10", True),
        ("2026-06", "2026-06-29", False),
        ("2026-06", "2026-06-30", True),
        ("2026-06", "2026-07-01", True),
        ("2026", "2026-12-30", False),
        ("2026", "2026-12-31", True),
        ("2026", "2027-01-01", True),
        ("", "2099-01-01", False),
    ],
)
def test_the_last_day_of_a_month_or_a_year_counts(
    engine: Engine, due: str, until: str, waits: bool
) -> None:
    with writing(engine) as session:
        make_page(session, "A page")
        row = add(session, due=due)
        assert bool(store.due(session, until=until)) is waits
        assert row.is_due(until) is waits


# ---------------------------------------------------------------- judging


def test_a_judgement_needs_words_that_stand_there_and_can_be_taken_back(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "A page")
        make_page(session, "Proof", PageKind.NOTE, text="Since then *all* engines\ndo so.")
        row = add(session)
        with pytest.raises(Invalid, match="do not stand in “Proof”") as refused:
            predictions.resolve(
                session, row.id, "came-true", page="proof", quotation="no engine", today=TODAY
            )
        assert "quotation" in refused.value.fields
        judged = predictions.resolve(
            session,
            row.id,
            "Came true",
            resolution="They do.",
            page="proof",
            quotation="Since then all engines do so.",
            today=TODAY,
        )
        assert judged.state == PredictionState.CAME_TRUE
        assert judged.resolved == "2026-05-14"
        assert judged.evidence == [{"page": "proof", "quotation": "Since then all engines do so."}]
        with pytest.raises(Conflict, match="it came true"):
            predictions.resolve(session, row.id, "failed", today=TODAY)
        opened = predictions.resolve(session, row.id, "open", today=TODAY)
        assert (opened.state, opened.resolved, opened.evidence) == (PredictionState.OPEN, "", [])
        stored = session.get(Prediction, row.id)
        assert stored is not None
        assert stored.extra["judgements"][0]["resolution"] == "They do."
        with pytest.raises(Conflict, match="is open"):
            predictions.reopen(session, row.id)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"state": "perhaps"}, "state"),
        ({"state": "failed", "day": "2026-05-15"}, "day"),
        ({"state": "failed", "day": "yesterday"}, "day"),
        ({"state": "failed", "day": "2020-01-01"}, "day"),  # before it was made
        ({"state": "failed", "quotation": "words"}, "page"),
        ({"state": "failed", "page": "nowhere"}, "page"),
        ({"state": "failed", "resolution": "x" * 2001}, "resolution"),
    ],
)
def test_a_judgement_that_cannot_be_is_refused(
    engine: Engine, fields: dict[str, str], field: str
) -> None:
    with writing(engine) as session:
        make_page(session, "A page")
        row = add(session)
        with pytest.raises(Invalid) as refused:
            predictions.resolve(session, row.id, **{"state": "failed", **fields}, today=TODAY)
        assert set(refused.value.fields) == {field}
        with pytest.raises(NotFound):
            predictions.resolve(session, 10**18, "failed", today=TODAY)


def test_the_score_counts_what_came_true_and_what_failed_alone(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "A page")
        for number, (state, share) in enumerate(
            (("came-true", "0.8"), ("failed", "0.4"), ("withdrawn", "0.9"))
        ):
            row = add(session, f"The claim of number {number}.", probability=share)
            predictions.resolve(session, row.id, state, today=TODAY)
        add(session, "An open one.")
        total = store.score(session).total
        assert (total.resolved, total.came_true, total.weighed) == (2, 1, 2)
        assert total.brier == pytest.approx((0.04 + 0.16) / 2)
        assert len(store.resolved(session)) == 3
        assert len(store.resolved(session, weighed=True, month="2026-05")) == 2
        assert store.resolved(session, month="2026-04") == []
        first = store.resolved(session, limit=1)
        assert len(store.resolved(session, after=store.place_of(first[0]))) == 2


# ---------------------------------------------------------------- coming in


def test_a_file_brings_questions_and_predictions(engine: Engine) -> None:
    rows = [
        {
            "type": "prediction",
            "page": "kept",
            "text": SAYS,
            "made": "2026-05-01",
            "due": "Q3 2026",
        },
        {"type": "question", "page": "kept", "text": "Is it so?", "state": "partly"},
        {"type": "page", "id": "kept", "title": "Kept"},
        {
            "type": "prediction",
            "page": "kept",
            "text": "It falls.",
            "probability": 0.2,
            "state": "failed",
            "resolved": "2026-05-02",
            "resolution": "It rose.",
        },
    ]
    data = "\n".join(map(json.dumps, rows))
    report = bring(engine, "in.jsonl", data)
    assert not report.rejected
    assert not bring(engine, "in.jsonl", data).by_kind().get("prediction", {}).get("new")
    with reading(engine) as session:
        [waits] = store.open_ones(session)
        assert (waits.due, waits.made) == ("2026-09", "2026-05-01")
        [judged] = store.resolved(session)
        assert (judged.state, judged.resolution) == (PredictionState.FAILED, "It rose.")
        [asked] = questions.listed(session)
        assert asked.state == QuestionState.PARTLY


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"page": "nowhere", "text": "It falls."}, "no page 'nowhere'"),
        ({"page": "kept", "text": "It falls.", "due": "soon"}, "due date 'soon' is none"),
        ({"page": "kept", "text": "F.", "made": "2026-05-01", "due": "2026-04"}, "before the day"),
        ({"page": "kept", "text": "It falls.", "probability": 2}, "from 0 to 1"),
        ({"page": "kept", "text": "It falls.", "state": "maybe"}, "one of open, came-true"),
        ({"page": "kept", "text": "It falls.", "resolved": "2026-05-02"}, "is open"),
        ({"page": "kept", "text": ""}, '"text" is missing'),
    ],
)
def test_a_bad_line_is_refused_and_the_others_are_taken(
    engine: Engine, row: dict[str, Any], why: str
) -> None:
    lines = [{"type": "page", "id": "kept", "title": "Kept"}, {"type": "prediction", **row}]
    report = bring(engine, "in.jsonl", "\n".join(map(json.dumps, lines)))
    [refused] = report.rejected
    assert why in refused.reason
    with reading(engine) as session:
        assert session.exec(select(Prediction)).all() == []


def test_front_matter_brings_predictions_and_says_what_is_wrong_with_one(engine: Engine) -> None:
    text = f"""---
id: kept
title: Kept
predictions:
  - {{text: "{SAYS}", made: 2026-05-01, due: 2026, probability: 0.3}}
  - {{text: "It falls.", probability: often}}
  - words
---
Words.
"""
    report = bring(engine, "kept.md", text)
    assert len(report.rejected) == 2
    with reading(engine) as session:
        [row] = store.open_ones(session)
        assert (row.text, row.made, row.due, row.probability) == (SAYS, "2026-05-01", "2026", 0.3)


# ---------------------------------------------------------------- papers that bear on one


def test_a_later_paper_touches_it_until_that_is_dismissed(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "A page")
        row = add(session, made="2026-05-01")
        paper(session, "A later paper", BEARS, "2026-05-14")
        paper(session, "Of birds", "We show that birds sing.", "2026-05-14")
    assert work(engine) == 1
    with writing(engine) as session:
        [touch] = store.touches_of(session, [row.id])[row.id]
        assert (touch.prediction_id, touch.slug, touch.quotation) == (
            row.id,
            "a-later-paper",
            BEARS,
        )
        assert store.row(session, row.id).touches == 1
        assert predictions.pending(session, now=THEN) == 0
        predictions.dismiss(session, row.id, "a-later-paper")
        assert store.touches_of(session, [row.id]) == {}
        with pytest.raises(NotFound):
            predictions.dismiss(session, row.id, "of-birds")
        predictions.add(
            session, "a-page", "Something else happens.", made="2026-05-02", today=TODAY, now=THEN
        )
    assert work(engine) == 0
    with writing(engine) as session:
        assert store.touches_of(session, [row.id]) == {}
        predictions.dismiss(session, row.id, "a-later-paper", back=True)
        assert len(store.touches_of(session, [row.id])[row.id]) == 1
