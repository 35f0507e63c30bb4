"""Rules: standing orders of the person, which accept proposals of the linker for them.

A rule says: accept `about` from this confidence on, in this concept or in all. What it accepts is a
decision like any other, signed by the rule and undone like any other. It never touches a pair that
was decided before, by whomever: not one that was rejected and has returned, not one that was taken
back from it. It never rejects anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlmodel import Session

from app.domain.record import LEAST_OF_A_RULE, Share, threshold_of
from app.domain.records import LinkStatus, PageKind, Relation, Rule, Verdict
from app.errors import Conflict, Invalid, NotFound
from app.store import decisions, links, pages, record
from app.store import rules as stored
from app.store.db import bump

BATCH = 500  # links in one transaction
FIRST = 5


@dataclass(frozen=True)
class Wanted:
    """A rule as somebody asks for it, checked: `concept` is (id, slug, title), None for all."""

    concept: tuple[int, str, str] | None
    least: float

    @property
    def concept_id(self) -> int | None:
        return self.concept[0] if self.concept else None


@dataclass(frozen=True)
class Preview:
    """What a rule would do now, and what speaks for it.

    `waiting` links it would accept at once, the `first` of them as rows of `stored.preview`;
    `decided`: what the person decided of the like, with a confidence as high.
    """

    wanted: Wanted
    waiting: int
    first: Sequence[Any]
    decided: Share


@dataclass(frozen=True)
class TakenBack:
    """How many decisions of a rule were undone, and why others were not."""

    undone: int
    stay: tuple[str, ...]


def wanted(session: Session, *, concept: str, least: str | float) -> Wanted:
    """Check what is asked for. Raises Invalid with a sentence for each field that does not do."""
    value = threshold_of(str(least), least=LEAST_OF_A_RULE)
    if value is None:
        raise Invalid(
            f"{str(least).strip()[:40]!r} is no confidence for a rule. Use a number from "
            f"{LEAST_OF_A_RULE} to 1, such as 0.95.",
            fields={"least": f"Use a number from {LEAST_OF_A_RULE} to 1."},
        )
    name = concept.strip()
    if not name:
        return Wanted(None, value)
    found = pages.named(session, name)
    if found is None or found.kind != PageKind.CONCEPT:
        what = "is no concept" if found else "does not exist"
        raise Invalid(
            f"The page {name[:100]!r} {what}. Name a concept, or leave the field empty for all.",
            fields={"concept": "Name a concept, or leave it empty."},
        )
    return Wanted((found.id, found.slug, found.title), value)


def preview(session: Session, asked: Wanted) -> Preview:
    """What the rule would do now. Raises Conflict where the concept has a rule already."""
    _refuse_second(session, asked)
    waiting, first = stored.preview(
        session,
        concept_id=asked.concept_id,
        relation=Relation.ABOUT,
        least=asked.least,
        limit=FIRST,
    )
    decided, _ = record.decided_from(
        session, asked.least, concept_id=asked.concept_id, kind=Relation.ABOUT.value
    )
    return Preview(asked, waiting, first, decided)


def _refuse_second(session: Session, asked: Wanted) -> None:
    standing = stored.standing(session, asked.concept_id, Relation.ABOUT)
    if standing is not None:
        where = f"in {asked.concept[2]}" if asked.concept else "in every concept"
        raise Conflict(
            f"Rule {standing.id} accepts from {standing.least:g} on {where} already. End it first."
        )


def make(session: Session, asked: Wanted, *, now: datetime) -> tuple[Rule, int]:
    """Switch a rule on, and let it accept what waits: the first BATCH now, the rest by the worker.

    Returns the rule and how many links it accepted. Raises Conflict for a second one.
    """
    _refuse_second(session, asked)
    rule = Rule(concept_id=asked.concept_id, least=asked.least, created_at=now)
    session.add(rule)
    session.flush()
    bump(session)
    return rule, apply(session, now=now)


def end(session: Session, rule_id: int, *, now: datetime) -> Rule:
    """Switch a rule off; what it accepted stands. Raises NotFound, or Conflict when it had ended."""
    rule = stored.get(session, rule_id)
    if rule.ended_at is not None:
        raise Conflict(f"Rule {rule_id} has ended already.")
    rule.ended_at = now
    session.add(rule)
    session.flush()
    bump(session)
    return rule


def undo(session: Session, rule_id: int, *, now: datetime) -> TakenBack:
    """Take back all that a rule accepted and nobody decided since, and end it. Raises NotFound.

    What cannot be taken back stays as it is, each with the reason.
    """
    rule = stored.get(session, rule_id)
    batch, undone, stay = uuid4().hex, 0, []
    for decision in stored.accepted_by(session, rule_id):
        try:
            decisions.take_back_link(session, decision, now=now, batch=batch)
            undone += 1
        except (Conflict, NotFound) as error:
            stay.append(f"{decision.id}: {error}")
    if rule.ended_at is None:
        rule.ended_at = now
        session.add(rule)
    session.flush()
    bump(session)
    return TakenBack(undone, tuple(stay))


def pending(session: Session) -> int:
    """How many links wait that a rule in force would accept."""
    return stored.matches(session)


def apply(session: Session, *, now: datetime, limit: int = BATCH) -> int:
    """Accept what rules in force say, at most `limit` links; how many. One decision each."""
    made = 0
    for link_id, rule_id in stored.matching(session, limit=limit):
        link = links.get(session, link_id)
        if link.status != LinkStatus.PROPOSED:
            continue
        decisions.decide_link(
            session, link, Verdict.ACCEPT, now=now, who=stored.who(rule_id), batch=uuid4().hex
        )
        made += 1
    return made


def told(row: stored.RuleRow) -> dict[str, object]:
    """A rule as programs get it."""
    return {
        "id": row.id,
        "relation": row.relation.value,
        "concept": row.concept[0] if row.concept else None,
        "least": row.least,
        "in_force": row.ended_at is None,
        "created_at": row.created_at.isoformat(),
        "ended_at": row.ended_at.isoformat() if row.ended_at else None,
        "accepted": row.accepted,
        "undone": row.undone,
        "standing": row.standing,
        "decided_by_person": {"count": row.decided.count, "accepted": row.decided.accepted},
        "fails": row.fails,
    }
