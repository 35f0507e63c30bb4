"""The linker's record: what is counted, what is not, and that it costs the same however much it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col

from app.domain.record import Share
from app.domain.records import Decision, Link, LinkStatus, Origin, PageKind, Relation, Verdict
from app.services import review
from app.store import decisions, links, record
from app.store.db import reading, writing
from app.store.decisions import Only
from tests.factories import make_engine, make_link, make_page

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
TODAY = NOW.date()
YES, NO, LATER = Verdict.ACCEPT, Verdict.REJECT, Verdict.DEFER


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


class Wiki:
    """Papers that are proposed for one concept or another."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.concepts: dict[str, int] = {}
        self.papers = 0

    def propose(
        self,
        confidence: float,
        *,
        concept: str = "Tides",
        signal: str = "papers",
        relation: Relation = Relation.ABOUT,
        origin: Origin = Origin.LINKER,
    ) -> int:
        self.papers += 1
        if concept not in self.concepts:
            self.concepts[concept] = make_page(self.session, concept)
        return make_link(
            self.session,
            make_page(self.session, f"Paper {self.papers}", PageKind.PAPER),
            self.concepts[concept],
            relation,
            status=LinkStatus.PROPOSED,
            confidence=confidence,
            origin=origin,
            signals=(signal, "name"),
        )

    def decide(self, confidence: float, verdict: Verdict = YES, **more: Any) -> Decision:
        kept = {name: more.pop(name) for name in ("who", "at", "change") if name in more}
        return review.decide(
            self.session,
            self.propose(confidence, **more),
            verdict,
            now=kept.get("at", NOW),
            who=kept.get("who", "person"),
            relation=kept.get("change"),
        )


@pytest.fixture
def wiki(engine: Engine) -> Iterator[Wiki]:
    with writing(engine) as session:
        yield Wiki(session)


def counted(session: Session) -> dict[float, tuple[int, int]]:
    """The bins that hold something, by where they begin: (decided, accepted)."""
    return {
        each.start: (each.decided.count, each.decided.accepted)
        for each in record.by_confidence(session)
        if each.decided.count
    }


def test_decisions_are_counted_by_confidence_at_the_edges_too(wiki: Wiki) -> None:
    assert counted(wiki.session) == {}
    for confidence, verdict in ((0.0, NO), (0.5, YES), (0.7999, NO), (0.8, YES), (1.0, YES)):
        wiki.decide(confidence, verdict)
    assert counted(wiki.session) == {
        0.0: (1, 0),
        0.5: (1, 1),
        0.7: (1, 0),
        0.8: (1, 1),
        0.9: (1, 1),
    }
    top = record.by_confidence(wiki.session)[-1]
    assert top.confidence == pytest.approx(1.0)


def test_what_does_not_count(wiki: Wiki) -> None:
    session = wiki.session
    wiki.decide(0.9, LATER)
    wiki.decide(0.9, origin=Origin.IMPORT)
    wiki.decide(0.9, who="rule 3")
    wiki.decide(0.9, who="import")
    review.undo(session, wiki.decide(0.9).id, now=NOW)
    assert counted(session) == {}
    assert record.apart(session) == (1, 1)


def test_a_correction_is_no_agreement(wiki: Wiki) -> None:
    made = wiki.decide(0.85, YES, change=Relation.EXTENDS)
    assert counted(wiki.session) == {0.8: (1, 0)}
    accepted = wiki.session.get(Link, made.before["made"])
    assert accepted is not None
    assert accepted.confidence == 1.0, "the link that was meant counts nowhere"


def test_the_confidence_of_the_proposal_counts_whatever_becomes_of_the_link(wiki: Wiki) -> None:
    made = wiki.decide(0.65)
    link = links.get(wiki.session, made.link_id or 0)
    assert link.confidence == 0.65
    link.confidence = 0.05
    wiki.session.flush()
    assert counted(wiki.session) == {0.6: (1, 1)}


def test_a_pair_that_returned_counts_once_as_it_was_decided_last(wiki: Wiki) -> None:
    session = wiki.session
    link_id = wiki.propose(0.65)
    review.decide(session, link_id, NO, now=NOW)
    assert counted(session) == {0.6: (1, 0)}
    link = links.get(session, link_id)
    link.status, link.confidence = LinkStatus.PROPOSED, 0.95
    link.extra = {**link.extra, links.RETURNED: "Its text is new."}
    session.flush()
    assert counted(session) == {0.6: (1, 0)}, "while it waits, the rejection stands"
    again = review.decide(session, link_id, YES, now=NOW)
    assert counted(session) == {0.9: (1, 1)}
    review.undo(session, again.id, now=NOW)
    assert counted(session) == {0.6: (1, 0)}, "what was said before counts again"


def test_by_signal_kind_concept_and_week(wiki: Wiki) -> None:
    session = wiki.session
    wiki.decide(0.9, signal="name")
    wiki.decide(0.9, NO, signal="name", relation=Relation.EXTENDS)
    wiki.decide(0.9, concept="Moon", at=NOW - timedelta(weeks=2))
    wiki.concepts["A paper"] = make_page(session, "A paper", PageKind.PAPER)
    wiki.decide(0.9, concept="A paper", relation=Relation.EXTENDS, signal="name")
    assert sorted(record.by_kind_and_signal(session)) == [
        ("about", "name", Share(1, 1)),
        ("about", "papers", Share(1, 1)),
        ("extends", "name", Share(2, 1)),
    ]
    found, total = record.by_concept(session)
    assert [(each.title, each.decided) for each in found] == [
        ("Tides", Share(2, 1)),
        ("Moon", Share(1, 1)),
    ]
    assert total == 2
    assert len(record.by_concept(session, limit=1)[0]) == 1
    weeks = record.by_week(session, today=TODAY)
    assert [(each.name, each.decided) for each in weeks] == [
        ("2026-W18", Share(1, 1)),
        ("2026-W19", Share()),
        ("2026-W20", Share(3, 2)),
    ]


def test_a_week_begins_on_monday_at_midnight_utc(wiki: Wiki) -> None:
    wiki.decide(0.9, at=datetime(2026, 5, 11, 0, 0, tzinfo=UTC))
    wiki.decide(0.9, at=datetime(2026, 5, 10, 23, 59, 59, tzinfo=UTC))
    weeks = record.by_week(wiki.session, today=TODAY)
    assert [(each.monday, each.decided.count) for each in weeks] == [
        (date(2026, 5, 4), 1),
        (date(2026, 5, 11), 1),
    ]


def test_another_threshold(wiki: Wiki) -> None:
    session = wiki.session
    for confidence, verdict in ((0.9, YES), (0.8, NO), (0.79, YES), (0.3, YES), (0.2, NO)):
        wiki.decide(confidence, verdict)
    wiki.decide(0.95, concept="Moon")
    for confidence in (0.9, 0.8, 0.5):
        wiki.propose(confidence)
    wiki.propose(0.9, relation=Relation.CONTRADICTS)
    wiki.propose(0.9, origin=Origin.IMPORT)
    found = record.what_if(session, 0.8)
    assert found.decided == Share(3, 2)
    assert (found.missed, found.waiting, found.staying) == (2, 3, 2)
    one = record.what_if(session, 0.8, concept_id=wiki.concepts["Moon"])
    assert (one.decided, one.missed, one.waiting) == (Share(1, 1), 0, 0)


def test_every_number_leads_to_as_many_rows(wiki: Wiki) -> None:
    session = wiki.session
    for n in range(12):
        wiki.decide(
            n / 12,
            NO if n % 3 else YES,
            concept=("Tides", "Moon")[n % 2],
            signal=("name", "papers")[n % 2],
            at=NOW - timedelta(weeks=n % 2),
        )
    wiki.decide(0.9, who="rule 1")
    review.undo(session, wiki.decide(0.95).id, now=NOW)

    def listed(**only: Any) -> int:
        return len(decisions.recent(session, only=Only(who="person", **only)))

    for each in record.by_confidence(session):
        assert listed(start=each.start, end=each.end) == each.decided.count
        assert listed(start=each.start, end=each.end, agreed=True) == each.decided.accepted
    for kind, signal, share in record.by_kind_and_signal(session):
        assert listed(kind=kind, signal=signal) == share.count
    for concept in record.by_concept(session)[0]:
        assert listed(concept_id=wiki.concepts[concept.title]) == concept.decided.count
    for week in record.by_week(session, today=TODAY):
        assert listed(monday=week.monday) == week.decided.count
        assert listed(monday=week.monday, agreed=False) == (
            week.decided.count - week.decided.accepted
        )


def test_filtered_rows_come_in_parts_that_neither_skip_nor_repeat(wiki: Wiki) -> None:
    for n in range(7):
        wiki.decide(0.9 if n % 2 else 0.1)
    only = Only(who="person", start=0.5)
    first = decisions.recent(wiki.session, limit=2, only=only)
    second = decisions.recent(wiki.session, limit=2, before=first[-1].id, only=only)
    ids = [row.id for row in (*first, *second)]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 3


def test_the_record_takes_as_many_statements_for_many_as_for_few(engine: Engine) -> None:
    def run() -> int:
        seen: list[str] = []

        def hear(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            seen.append(statement)

        sa.event.listen(engine, "before_cursor_execute", hear)
        with reading(engine) as session:
            record.told(session, today=TODAY)
            decisions.recent(session, only=Only(who="person", start=0.0))
        sa.event.remove(engine, "before_cursor_execute", hear)
        return sum(statement.lstrip().startswith("SELECT") for statement in seen)

    with writing(engine) as session:
        Wiki(session).decide(0.5)
    few = run()
    with writing(engine) as session:
        wiki = Wiki(session)
        wiki.papers = 1
        for n in range(30):
            wiki.decide(n / 30, concept=f"Concept {n}", at=NOW - timedelta(weeks=n))
    assert run() == few


@pytest.mark.sqlite_only
def test_each_count_walks_along_an_index_of_its_own(engine: Engine) -> None:
    with reading(engine) as session:
        connection = session.connection()
        for statement, index in (
            (record._bins(), "ix_decision_by_confidence"),
            (record._KINDS, "ix_decision_by_kind"),
            (record._CONCEPTS, "ix_decision_by_concept"),
        ):
            text = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + text).all()
            assert any(f"COVERING INDEX {index}" in row[-1] or index in row[-1] for row in plan), (
                plan
            )
            assert not any("TEMP B-TREE FOR GROUP" in row[-1] for row in plan), plan


def test_a_page_that_goes_takes_no_decision_along(wiki: Wiki) -> None:
    made = wiki.decide(0.9)
    assert made.concept_id == wiki.concepts["Tides"]
    stored = wiki.session.connection().execute(
        sa.select(col(Decision.kind), col(Decision.signal)).where(col(Decision.id) == made.id)
    )
    assert tuple(stored.one()) == ("about", "papers")


def test_the_share_accepted_near_a_confidence(wiki: Wiki) -> None:
    """Of the person's own decisions on links; what a rule or an undo said does not count."""
    for verdict in (YES, NO, YES, LATER):
        wiki.decide(0.95, verdict)
    wiki.decide(0.95, who="rule 1")
    taken_back = wiki.decide(0.95, NO)
    review.undo(wiki.session, taken_back.id, now=NOW)
    assert record.accepted_near(wiki.session, 0.9) == (2, 3)
    assert record.accepted_near(wiki.session, 0.5) == (0, 0)
