"""Rules: what they accept, what they never touch, and that all of it can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine
from sqlmodel import Session, select

from app.domain.records import Decision, LinkStatus, Origin, PageKind, Relation, Rule, Verdict
from app.errors import Conflict, Invalid, NotFound
from app.services import review, rules
from app.store import decisions, links
from app.store import rules as stored
from app.store.db import reading, writing
from tests.factories import make_engine, make_link, make_page

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with writing(engine) as opened:
        for title in ("Tides", "Moon"):
            make_page(opened, title)
        make_page(opened, "A note", PageKind.NOTE)
        yield opened


def propose(
    session: Session,
    confidence: float,
    target: str = "tides",
    *,
    relation: Relation = Relation.ABOUT,
    origin: Origin = Origin.LINKER,
    status: LinkStatus = LinkStatus.PROPOSED,
) -> int:
    number = len(session.exec(select(Decision.id)).all())
    taken = session.info["papers"] = session.info.get("papers", 0) + 1
    paper = make_page(session, f"Paper {taken} {number}", PageKind.PAPER)
    concept = rules.pages.named(session, target)
    assert concept is not None
    return make_link(
        session,
        paper,
        concept.id,
        relation,
        status=status,
        confidence=confidence,
        origin=origin,
    )


def on(session: Session, least: float = 0.9, concept: str = "tides") -> Rule:
    return rules.make(session, rules.wanted(session, concept=concept, least=least), now=NOW)[0]


def status(session: Session, link_id: int) -> LinkStatus:
    return links.get(session, link_id).status


def row(session: Session, rule: Rule) -> stored.RuleRow:
    [found] = stored.listed(session, rule_id=rule.id)
    return found


# ---------------------------------------------------------------- asking for one


@pytest.mark.parametrize("least", ["0.49", "1.01", "nan", "", "high", "-1", "95"])
def test_a_confidence_that_does_not_do_is_refused(session: Session, least: str) -> None:
    with pytest.raises(Invalid, match="no confidence for a rule") as refused:
        rules.wanted(session, concept="", least=least)
    assert refused.value.fields.keys() == {"least"}


@pytest.mark.parametrize(
    ("concept", "says"), [("nowhere", "does not exist"), ("a-note", "is no concept")]
)
def test_a_concept_that_does_not_do_is_refused(session: Session, concept: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        rules.wanted(session, concept=concept, least="0.9")
    assert refused.value.fields.keys() == {"concept"}


def test_the_same_rule_twice_is_refused_until_it_ended(session: Session) -> None:
    rule = on(session)
    with pytest.raises(Conflict, match=f"Rule {rule.id} accepts from 0.9 on in Tides already"):
        on(session, 0.95)
    on(session, concept="moon")
    everywhere = on(session, 0.99, concept="")
    with pytest.raises(Conflict, match="in every concept already"):
        rules.preview(session, rules.wanted(session, concept="", least=0.6))
    rules.end(session, rule.id or 0, now=NOW)
    assert on(session).id not in (rule.id, everywhere.id)


def test_a_preview_says_what_it_would_do_and_does_nothing(session: Session) -> None:
    waiting = [propose(session, 0.9 + n / 100) for n in range(7)]
    propose(session, 0.89)
    propose(session, 0.99, "moon")
    for confidence, verdict in (
        (0.95, Verdict.ACCEPT),
        (0.9, Verdict.REJECT),
        (0.5, Verdict.REJECT),
    ):
        review.decide(session, propose(session, confidence), verdict, now=NOW)
    found = rules.preview(session, rules.wanted(session, concept="Tides", least="90%"))
    assert found.waiting == 7
    assert [each.id for each in found.first] == waiting[:1:-1]
    assert (found.decided.count, found.decided.accepted) == (2, 1)
    assert rules.preview(session, rules.wanted(session, concept="", least=0.9)).waiting == 8
    assert {status(session, each) for each in waiting} == {LinkStatus.PROPOSED}
    assert stored.listed(session) == []


# ---------------------------------------------------------------- accepting


def test_a_rule_accepts_what_waits_at_once_and_signs_for_it(session: Session) -> None:
    sure, unsure, other = (
        propose(session, 0.9),
        propose(session, 0.899),
        propose(session, 0.95, "moon"),
    )
    rule = on(session)
    assert [status(session, each) for each in (sure, unsure, other)] == [
        LinkStatus.ACCEPTED,
        LinkStatus.PROPOSED,
        LinkStatus.PROPOSED,
    ]
    made = decisions.newest_of(session, sure)
    assert made is not None
    assert (made.who, made.verdict, made.agreed) == (f"rule {rule.id}", Verdict.ACCEPT, True)
    assert rules.pending(session) == 0


def test_what_is_proposed_later_is_accepted_by_the_worker_in_batches(session: Session) -> None:
    on(session, concept="")
    later = [propose(session, 0.95, ("tides", "moon")[n % 2]) for n in range(5)]
    assert rules.pending(session) == 5
    assert rules.apply(session, now=NOW, limit=3) == 3
    assert rules.apply(session, now=NOW, limit=3) == 2
    assert rules.apply(session, now=NOW, limit=3) == 0
    assert {status(session, each) for each in later} == {LinkStatus.ACCEPTED}
    batches = [decisions.newest_of(session, each) for each in later]
    assert len({each.batch for each in batches if each}) == 5, "each can be undone alone"


def test_of_two_rules_the_older_one_accepts(session: Session) -> None:
    older, _newer = on(session), on(session, 0.8, concept="")
    link = propose(session, 0.95)
    rules.apply(session, now=NOW)
    made = decisions.newest_of(session, link)
    assert made is not None
    assert made.who == stored.who(older.id)


@pytest.mark.parametrize(
    "kind",
    ["imported", "contradicts", "uses", "put off", "rejected", "returned", "undone by the person"],
)
def test_what_a_rule_never_touches(session: Session, kind: str) -> None:
    relation = {"contradicts": Relation.CONTRADICTS, "uses": Relation.USES}.get(
        kind, Relation.ABOUT
    )
    origin = Origin.IMPORT if kind == "imported" else Origin.LINKER
    link_id = propose(session, 0.99, relation=relation, origin=origin)
    if kind == "put off":
        review.decide(session, link_id, Verdict.DEFER, now=NOW)
    if kind in ("rejected", "returned"):
        link = links.get(session, link_id)
        links.reject(session, link, at=NOW)  # as an import does, without a decision
        if kind == "returned":
            link.status = LinkStatus.PROPOSED
            link.extra = {**link.extra, links.RETURNED: "Its text is new."}
        session.flush()
    if kind == "undone by the person":
        made = review.decide(session, link_id, Verdict.ACCEPT, now=NOW)
        review.undo(session, made.id, now=NOW)
    before = status(session, link_id)
    on(session, 0.5)
    assert rules.pending(session) == 0
    assert status(session, link_id) == before


def test_what_was_taken_back_from_a_rule_is_never_accepted_by_one_again(session: Session) -> None:
    link = propose(session, 0.95)
    rule = on(session)
    made = decisions.newest_of(session, link)
    assert made is not None
    review.undo(session, made.id, now=NOW)
    assert status(session, link) == LinkStatus.PROPOSED
    assert rules.apply(session, now=NOW) == 0
    on(session, 0.5, concept="")
    assert status(session, link) == LinkStatus.PROPOSED
    found = row(session, rule)
    assert (found.accepted, found.undone, found.standing) == (1, 1, 0)


# ---------------------------------------------------------------- ending, undoing


def test_a_rule_that_ended_accepts_nothing_more_and_what_it_accepted_stands(
    session: Session,
) -> None:
    link = propose(session, 0.95)
    rule = on(session)
    rules.end(session, rule.id or 0, now=NOW)
    later = propose(session, 0.95)
    assert rules.apply(session, now=NOW) == 0
    assert (status(session, link), status(session, later)) == (
        LinkStatus.ACCEPTED,
        LinkStatus.PROPOSED,
    )
    with pytest.raises(Conflict, match="ended already"):
        rules.end(session, rule.id or 0, now=NOW)


def test_undone_as_one_it_ends_and_says_what_stays(session: Session) -> None:
    waiting = [propose(session, 0.95) for _ in range(4)]
    rule = on(session)
    alone = decisions.newest_of(session, waiting[0])
    assert alone is not None
    review.undo(session, alone.id, now=NOW)
    review.decide(session, waiting[0], Verdict.REJECT, now=NOW)
    moved_on = links.get(session, waiting[1])
    links.reject(session, moved_on, at=NOW + timedelta(hours=1))  # an import said otherwise
    session.flush()
    taken = rules.undo(session, rule.id or 0, now=NOW)
    assert taken.undone == 2
    assert len(taken.stay) == 1
    assert "decided again since" in taken.stay[0]
    assert [status(session, each) for each in waiting] == [
        LinkStatus.REJECTED,
        LinkStatus.REJECTED,
        LinkStatus.PROPOSED,
        LinkStatus.PROPOSED,
    ]
    assert row(session, rule).ended_at == NOW
    assert rules.apply(session, now=NOW) == 0
    again = rules.undo(session, rule.id or 0, now=NOW)
    assert again.undone == 0


@pytest.mark.parametrize("rule_id", [0, -1, 7, 2**40])
def test_no_such_rule(session: Session, rule_id: int) -> None:
    for act in (rules.end, rules.undo):
        with pytest.raises(NotFound, match="There is no rule"):
            act(session, rule_id, now=NOW)


def test_a_rule_that_is_wrong_more_often_than_it_may_says_so(session: Session) -> None:
    waiting = [propose(session, 0.95) for _ in range(10)]
    rule = on(session)
    assert not row(session, rule).fails
    for link_id in waiting[:3]:
        made = decisions.newest_of(session, link_id)
        assert made is not None
        review.undo(session, made.id, now=NOW)
    assert row(session, rule).fails


def test_a_rule_fails_too_when_the_person_refuses_the_like(session: Session) -> None:
    rule = on(session)
    session.flush()
    for n in range(12):
        verdict = Verdict.REJECT if n % 2 else Verdict.ACCEPT
        review.decide(session, propose(session, 0.95), verdict, now=NOW)
    found = row(session, rule)
    assert (found.decided.count, found.decided.accepted, found.fails) == (12, 6, True)


@pytest.mark.parametrize(
    ("signature", "number"),
    [
        ("rule 3", 3),
        ("rule 12", 12),
        ("person", None),
        ("rule", None),
        ("rule x", None),
        ("", None),
    ],
)
def test_a_signature_names_its_rule(signature: str, number: int | None) -> None:
    assert stored.number_of(signature) == number


def test_a_list_of_rules_takes_as_many_statements_for_many_as_for_one(engine: Engine) -> None:
    def run() -> int:
        seen: list[str] = []

        def hear(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
            seen.append(statement)

        from sqlalchemy import event

        event.listen(engine, "before_cursor_execute", hear)
        with reading(engine) as opened:
            stored.listed(opened)
        event.remove(engine, "before_cursor_execute", hear)
        return len(seen)

    with writing(engine) as opened:
        make_page(opened, "Tides")
        propose(opened, 0.95)
        on(opened)
    one = run()
    with writing(engine) as opened:
        for n in range(12):
            make_page(opened, f"Concept {n}")
            on(opened, concept=f"concept-{n}")
    assert run() == one
