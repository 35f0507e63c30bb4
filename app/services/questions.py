"""Questions: the reader's word on them, and proposals that a new paper answers one.

The rule is `domain/bearing.py`: a kept paper is read against what earlier pages left open, when it
comes or its text changes, and a new question is held against the papers that came last. Like the
linker: `take_up` and `read` in transactions, `think` in none, `store` in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session

from app.domain.bearing import Bearing
from app.domain.evidence import listed
from app.domain.records import Origin, PageKind, QuestionState, Relation
from app.errors import Invalid
from app.store import bearing, corpus, links, questions
from app.store.bearing import QUESTIONS, PaperRead, Taken, Work
from app.store.corpus import Library
from app.store.db import bump
from app.store.questions import QuestionRow
from app.store.vectors import VectorIndex

STEP = QUESTIONS.step
_OF = (Relation.ANSWERS,)


def set_state(session: Session, question_id: int, state: str) -> QuestionRow:
    """Note how a question stands by the reader's word: open, partly or answered.

    "open" takes the word back: then accepted answers count. Raises NotFound; Invalid for any other.
    """
    try:
        wanted = QuestionState(state.strip().lower())
    except ValueError:
        known = ", ".join(each.value for each in QuestionState)
        raise Invalid(f"{state[:40]!r} is no state of a question: it is one of {known}.") from None
    question = questions.get(session, question_id)
    if question.state != wanted:
        question.state = wanted
        session.add(question)
        session.flush()
        bump(session)
    return questions.row(session, question_id)


# ---------------------------------------------------------------- the step


@dataclass(frozen=True)
class Proposal:
    """That a paper may answer a question, with what a person needs to judge it."""

    bearing: Bearing
    reason: str
    evidence: list[dict[str, Any]]


def pending(session: Session, *, now: datetime) -> int:
    """How many kept papers and new questions were not held against each other."""
    return bearing.pending(session, QUESTIONS, now=now)


def take_up(session: Session, *, owner: str, now: datetime) -> Taken:
    return bearing.take_up(session, QUESTIONS, owner=owner, now=now)


def read(session: Session, index: VectorIndex | None, taken: Taken, library: Library) -> Work:
    return bearing.read(session, QUESTIONS, index, taken, library)


def think(work: Work) -> list[Proposal]:
    """The answers to propose; of several questions of one page to one paper the surest."""
    asker = {each.id: each.page for each in work.asked}
    made: dict[tuple[int, int], Proposal] = {}
    for each in work.found():
        pair = each.paper, asker[each.asked]
        if pair not in made:
            made[pair] = Proposal(each, _reason(each), evidence(each, work.papers[each.paper]))
    return list(made.values())


def _reason(found: Bearing) -> str:
    words = listed([f"“{word}”" for word in found.words[:4]])
    return f"It says what it found in words of the question: {words}."


def evidence(found: Bearing, paper: PaperRead) -> list[dict[str, Any]]:
    """The paper's sentence as links store it."""
    return [
        {
            "quotation": found.sentence,
            "where": "abstract" if found.sentence in paper.abstract else "text",
            "verbatim": True,
            "spans": [list(span) for span in found.spans],
        }
    ]


def store(
    session: Session,
    work: Work,
    proposals: Sequence[Proposal],
    *,
    now: datetime,
    owner: str = "",
) -> int:
    """Put what is proposed into Review; how many new proposals that made.

    Waiting answers of papers that were read whole go when they would not be proposed any more. What
    is decided stands, and a pair that was rejected never comes back. Of a worker (`owner`) only what
    it still holds counts.
    """
    mine, new = bearing.still(session, QUESTIONS, work.taken, owner)
    asked = {each.id: each for each in bearing.asked(session, QUESTIONS)}
    pages = mine | {each.bearing.paper for each in proposals}
    pages |= {asked[each.bearing.asked].page for each in proposals if each.bearing.asked in asked}
    alive = corpus.alive(session, pages, *PageKind)
    standing = links.standing(session, sorted({e.bearing.paper for e in proposals}), *_OF)
    kept: dict[int, set[tuple[int, Relation]]] = {page: set() for page in sorted(mine & alive)}
    made = 0
    for each in proposals:
        one = each.bearing
        question = asked.get(one.asked)
        if question is None or not (one.paper in mine or one.asked in new):
            continue
        if not {one.paper, question.page} <= alive:
            continue
        if one.paper in kept:
            kept[one.paper].add((question.page, Relation.ANSWERS))
        waits = standing.get((one.paper, question.page))
        if one.paper not in kept and waits is not None and waits.confidence >= one.confidence:
            continue  # a surer answer to another question of the page waits
        made += links.propose(
            session,
            source_id=one.paper,
            target_id=question.page,
            relation=Relation.ANSWERS,
            question_id=one.asked,
            confidence=one.confidence,
            reason=each.reason,
            evidence=each.evidence,
            signals=signals_json(one),
            text_hash=work.papers[one.paper].hash,
            origin=Origin.LINKER,
            now=now,
            among=standing,
        )
    for page in links.with_proposals(session, list(kept), of=_OF):
        links.withdraw_proposals(session, page, keep=kept[page], of=_OF)
    bearing.done(session, QUESTIONS, work, mine, new)
    return made


def signals_json(found: Bearing) -> list[dict[str, Any]]:
    """Signals as links store them, strongest first."""
    told: list[dict[str, Any]] = [
        {"name": "sentence", "value": round(found.said, 3), "words": list(found.words)},
        {"name": "text", "value": round(found.around, 3), "words": []},
    ]
    if found.near is not None:
        told.append({"name": "meaning", "value": round(found.near, 3), "words": []})
    return told


def as_json(row: QuestionRow) -> dict[str, object]:
    """A question as programs get it."""
    return {
        "id": row.id,
        "page": row.slug,
        "title": row.title,
        "number": row.number,
        "text": row.text,
        "state": row.state.value,
        "day": row.day,
        "answered_by": row.by[0] if row.by else None,
    }
