"""Months told: once they are over, by one worker, and never over what a person wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select

from app import pipeline
from app.bootstrap import App
from app.domain.months import Month
from app.domain.records import (
    AuthorKind,
    CallState,
    Digest,
    Link,
    LinkStatus,
    ModelCall,
    Origin,
    Page,
    PageKind,
    Prediction,
    PredictionState,
    Question,
    Relation,
)
from app.errors import Invalid, NotFound
from app.services import months
from app.services.linker import shipped_weights
from app.settings import Settings
from app.store import months as found
from app.store import pages, runs
from app.store.db import reading, writing
from app.store.pages import PERSON
from tests.factories import make_engine, make_link, make_page
from tests.web.conftest import listed, load, marks, member

JUNE = datetime(2026, 6, 2, 9, tzinfo=UTC)


class Timed(App):
    """An App whose records follow a time that a test moves."""

    now = datetime(2026, 5, 14, 9, tzinfo=UTC)

    @property
    def clock(self) -> Any:
        return lambda: self.now


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Timed]:
    settings = Settings(data=tmp_path, embedding_model="none", timezone="UTC")
    made = Timed(settings, make_engine(tmp_path), shipped_weights(None))
    yield made
    made.engine.dispose()


def fill(app: App) -> None:
    load(
        app,
        [
            {"type": "topic", "id": "tides", "name": "Tides", "keep": "tides"},
            {"type": "thread", "id": "slack", "title": "Slack water", "claim": "It is short."},
            *(listed(n, day=day) for n, day in enumerate(("2026-04-30", "2026-05-04", "2026-05-12"), 1)),
            *(marks(n, 5 + n, 3, day="2026-05-12", primary_topic="tides") for n in (1, 2, 3)),
            *({"type": "decision", "paper": f"arxiv:2605.0000{n}", "verdict": "keep"} for n in (2, 3)),
            member(2, "slack", day="2026-05-04"),
        ],
    )  # fmt: skip


def step(app: Timed, owner: str = "") -> pipeline.Batch:
    [one] = [each for each in pipeline.STEPS if each.name == months.STEP]
    if owner:
        return one.run(app, owner)
    total = 0
    with runs.at_work(app.engine) as mine:
        while (batch := one.run(app, mine)).done:
            total += batch.done
    with reading(app.engine) as session:
        assert one.pending(session, app) == 0
    return pipeline.Batch(total)


def page_of(app: Timed, month: str) -> Page | None:
    with reading(app.engine) as session:
        page = pages.by_slug(session, f"digest-{month}")
        if page is not None:
            session.refresh(page)
            session.expunge(page)
        return page


def facts(app: Timed, month: str = "2026-05", until: str = "") -> Month:
    with reading(app.engine) as session:
        return found.facts(
            session,
            month,
            begin=datetime(2026, 5, 1, tzinfo=UTC),
            end=datetime(2026, 6, 1, tzinfo=UTC),
            until=until,
        )


# ---------------------------------------------------------------- telling


def test_a_month_is_told_when_it_is_over_and_not_before(app: Timed) -> None:
    fill(app)
    assert step(app) == pipeline.Batch(1)  # April
    assert page_of(app, "2026-04") is not None and page_of(app, "2026-05") is None
    app.now = datetime(2026, 5, 31, 23, 59, tzinfo=UTC)
    step(app)
    assert page_of(app, "2026-05") is None
    app.now = datetime(2026, 6, 1, 0, 0, tzinfo=UTC)
    assert step(app) == pipeline.Batch(1)  # April is not looked at again
    page = page_of(app, "2026-05")
    assert page is not None and page.kind == PageKind.DIGEST and page.title == "Digest of May 2026"
    assert page.author_kind == AuthorKind.AGENT
    with reading(app.engine) as session:
        [digest] = session.exec(select(Digest).where(Digest.day == "2026-05")).all()
        assert (digest.teller, digest.framing[:32]) == ("local", "2 papers were listed on 2 days a")


def test_what_was_decided_late_counts_as_long_as_the_next_month_runs(app: Timed) -> None:
    fill(app)
    app.now = JUNE
    step(app)
    before = page_of(app, "2026-05")
    assert before is not None
    assert step(app) == pipeline.Batch()  # on the same day it is not looked at again
    load(app, [member(3, "slack", day="2026-05-12")], name="late.jsonl")
    app.now += timedelta(days=1)
    assert step(app) == pipeline.Batch(1)
    after = page_of(app, "2026-05")
    assert after is not None and "2 papers joined, 2 in all" in after.body
    assert (after.id, after.version) == (before.id, before.version + 1)
    app.now += timedelta(days=1)
    step(app)
    same = page_of(app, "2026-05")
    assert same is not None and same.version == after.version  # nothing new, nothing written
    app.now = datetime(2026, 7, 3, tzinfo=UTC)
    load(app, [member(1, "slack", day="2026-05-13")], name="later.jsonl")
    assert step(app) == pipeline.Batch()
    pipeline.digest_now(app, month="2026-05")
    asked = page_of(app, "2026-05")
    assert asked is not None and "3 papers joined" in asked.body


def test_what_a_person_wrote_is_theirs(app: Timed) -> None:
    fill(app)
    app.now = JUNE
    step(app)
    with writing(app.engine) as session:
        page = pages.get(session, "digest-2026-05")
        content = pages.content_of(session, page)
        pages.revise(
            session, page, replace(content, body="My own words."), author=PERSON, now=app.now
        )
    load(app, [member(3, "slack", day="2026-05-12")], name="late.jsonl")
    app.now += timedelta(days=1)
    step(app)
    assert pipeline.digest_now(app, month="2026-05").body == "My own words."
    kept = page_of(app, "2026-05")
    assert kept is not None and kept.body == "My own words."


def test_a_month_that_came_in_is_not_retold(app: Timed) -> None:
    fill(app)
    with writing(app.engine) as session:
        page_id = make_page(
            session, "May, elsewhere", PageKind.DIGEST, slug="may", text="As it was told there."
        )
        session.add(Digest(page_id=page_id, day="2026-05"))
    app.now = JUNE
    step(app)
    assert pipeline.digest_now(app, month="2026-05").body == "As it was told there."
    assert page_of(app, "2026-05") is None


def test_two_workers_tell_a_month_once(app: Timed) -> None:
    fill(app)
    with runs.at_work(app.engine) as one, runs.at_work(app.engine) as two:
        with writing(app.engine) as session:
            assert months.take_up(session, today=app.today(), owner=one) == "2026-04"
        assert step(app, two) == pipeline.Batch()
        with reading(app.engine) as session:
            work = months.read(session, "2026-04", today=app.today(), zone=UTC)
        with writing(app.engine) as session:
            assert not months.store(session, work, now=app.now, owner=two)  # it is not theirs
        with writing(app.engine) as session:
            assert months.store(session, work, now=app.now, owner=one)


def test_a_month_as_it_is_asked_for(app: Timed) -> None:
    fill(app)
    told = pipeline.digest_now(app, month="2026-05")
    assert told.edition is None and told.document.day == "2026-05"
    names = [section.name for section in told.document.sections]
    assert names == ["framing", "threads", "new", "best", "topics", "days"]
    with pytest.raises(NotFound, match="Nothing came in during March 2026"):
        pipeline.digest_now(app, month="2026-03")
    with pytest.raises(Invalid, match="is no month"):
        pipeline.digest_now(app, month="May")


# ---------------------------------------------------------------- facts


def test_threads_are_counted_as_the_graph_has_them(app: Timed) -> None:
    fill(app)
    load(
        app,
        [
            member(1, "slack", day="2026-04-30"),
            member(3, "slack", day="2026-05-31", note="a note"),
            {"type": "thread", "id": "still", "title": "Still water", "claim": "It waits."},
            member(1, "still", day="2026-06-01"),
        ],
        name="more.jsonl",
    )
    [grown] = facts(app).grown
    assert (grown.thread.slug, grown.joined, grown.papers) == ("slack", 2, 3)
    assert [(each.day, each.note) for each in grown.newest] == [
        ("2026-05-31", "a note"),
        ("2026-05-04", ""),
    ]
    assert [each.joined for each in facts(app, until="2026-05-14").grown] == [1]


def test_papers_are_counted_by_topic_and_week_and_the_best_are_named(app: Timed) -> None:
    fill(app)
    told = facts(app)
    [kept] = told.kept
    assert (kept.topic, kept.weeks) == ("Tides", (0, 1, 1, 0, 0))
    assert [(each.paper.title, each.relevance) for each in told.best] == [
        ("Listed paper 3", 8),
        ("Listed paper 2", 7),
    ]
    assert told.counts["listed"] == 2 and told.ledger["papers"] == {"listed": 2, "kept": 2}


def test_questions_predictions_and_contradictions_of_the_month(app: Timed) -> None:
    fill(app)
    with writing(app.engine) as session:
        asker = make_page(session, "Asker", PageKind.PAPER, published="2026-03-01")
        answer = make_page(session, "Answer", PageKind.PAPER, published="2026-05-03")
        question = Question(page_id=asker, number=2, text="How long?", day="2026-03-01")
        session.add(question)
        session.add(Question(page_id=answer, number=1, text="How deep?", day="2026-05-03"))
        session.flush()
        linked(session, answer, asker, Relation.ANSWERS, question_id=question.id)
        linked(session, answer, asker, Relation.CONTRADICTS, quotation="It is not.")
        for made, due, state, resolved, probability in (
            ("2026-05-02", "2026-12", PredictionState.OPEN, "", None),
            ("2026-01-01", "2026-05", PredictionState.CAME_TRUE, "2026-05-20", 0.9),
            ("2026-01-02", "2026-05-31", PredictionState.FAILED, "2026-06-01", 0.5),
            ("2026-01-03", "2026", PredictionState.OPEN, "", None),
        ):
            session.add(
                Prediction(
                    page_id=asker,
                    key=made,
                    text=f"Made {made}",
                    made=made,
                    due=due,
                    state=state,
                    resolved=resolved,
                    probability=probability,
                    origin=Origin.AGENT,
                    created_at=app.now,
                )
            )
    told = facts(app)
    [answered] = told.answered
    assert answered.answer is not None
    assert (answered.text, answered.number, answered.answer.slug) == ("How long?", 2, "answer")
    assert [each.text for each in told.opened] == ["How deep?"]
    [tension] = told.tensions
    assert (tension.page.slug, tension.other.slug, tension.said) == (
        "answer",
        "asker",
        "It is not.",
    )
    assert [each.text for each in told.made] == ["Made 2026-05-02"]
    assert [each.text for each in told.due] == ["Made 2026-01-01", "Made 2026-01-02"]
    assert [each.text for each in told.resolved] == ["Made 2026-01-01"]
    # While May runs, what is due by its end is not due yet.
    assert [each.text for each in facts(app, until="2026-05-31").due] == ["Made 2026-01-02"]
    assert facts(app, until="2026-05-14").due == ()


def linked(
    session: Session,
    source: int,
    target: int,
    relation: Relation,
    *,
    quotation: str = "",
    **more: Any,
) -> None:
    link = session.get(Link, make_link(session, source, target, relation))
    assert link is not None
    link.status, link.day = LinkStatus.ACCEPTED, "2026-05-03"
    link.evidence = [{"quotation": quotation}] if quotation else []
    link.question_id = more.get("question_id")
    session.add(link)
    session.flush()


def test_the_ledger_is_counted(app: Timed) -> None:
    fill(app)
    with writing(app.engine) as session:
        make_page(session, "Ebb", at=datetime(2026, 5, 31, 23, tzinfo=UTC))
        make_page(session, "Flood", at=datetime(2026, 6, 1, 1, tzinfo=UTC))
        for day, cost in (("2026-05-03", 120_000), ("2026-06-03", 5_000_000)):
            session.add(
                ModelCall(
                    at=app.now, day=day, purpose="p", model="m", state=CallState.BOOKED, cost=cost
                )
            )
    ledger = facts(app).ledger
    assert ledger["cost_usd"] == "0.12"
    assert ledger["pages"]["created"] == {"concept": 1, "paper": 2, "thread": 1}
    assert sum(ledger["sources"].values()) == 1
    assert [(day.day, day.papers, day.kept, day.digest) for day in facts(app).days] == [
        ("2026-05-04", 1, 1, False),
        ("2026-05-12", 1, 1, False),
    ]
