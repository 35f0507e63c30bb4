"""What a model has yet to judge, and its marks as they are stored.

A paper is judged once: when any model, or a listing that was imported, has marked it, no model is
asked about it again by itself, whatever changes. That costs money, so it is the reader's to ask for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.records import (
    Assessment,
    AssessmentTopic,
    Attempt,
    Identifier,
    Listing,
    ListingPaper,
    Paper,
)
from app.store.assessments import LOCAL
from app.store.db import SHOWN, bump
from app.store.paper_vectors import UNDECIDED

STEP = "judge"
TRIES = 3
PAUSE = 0  # the subject under which a pause of the whole step is kept; no paper has this id
_SOME = 500


@dataclass(frozen=True)
class Waits:
    """A paper to judge, and how often it was asked about in vain."""

    paper_id: int
    tries: int


@dataclass(frozen=True)
class Row:
    """What a prompt shows of a paper, and what the local scorer said of it."""

    id: int
    title: str
    abstract: str
    arxiv: str | None
    score: float | None
    evidence: list[dict[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """A model's marks for a paper as they are stored. `topics`: ids, the primary one first."""

    paper_id: int
    score: float
    relevance: int
    novelty: int
    topics: tuple[str, ...]
    comment: str
    topic_comment: str
    tags: list[str]
    hotspot_comment: str
    tier: int
    tier_reason: str
    evidence: list[dict[str, Any]]


# ---------------------------------------------------------------- what waits


def asked_days(session: Session) -> list[str]:
    """Days whose papers the reader asked to be judged now, the newest first."""
    statement = (
        sa.select(col(Listing.day)).where(col(Listing.judge_now)).order_by(col(Listing.day).desc())
    )
    return list(session.connection().execute(statement).scalars())


def ask_for(session: Session, day: str) -> None:
    """Note that a day is to be judged now, also what was given up on it before."""
    session.connection().execute(
        sa.update(Listing).where(col(Listing.day) == day).values(judge_now=True)
    )
    on_day = sa.select(col(ListingPaper.paper_id)).where(col(ListingPaper.day) == day)
    session.connection().execute(
        sa.delete(Attempt).where(
            col(Attempt.step) == STEP,
            sa.or_(col(Attempt.subject_id).in_(on_day), col(Attempt.subject_id) == PAUSE),
        )
    )


def asked_no_more(session: Session, day: str) -> None:
    """The reader's wish for a day is done."""
    session.connection().execute(
        sa.update(Listing)
        .where(col(Listing.day) == day, col(Listing.judge_now))
        .values(judge_now=False)
    )


def waiting(
    session: Session,
    day: str,
    *,
    limit: int,
    now: datetime | None,
    without: Collection[int] = (),
    held: Any = None,
) -> list[Waits]:
    """Undecided papers of a day that only the local scorer has marked, the best first.

    At most `limit` of a day are judged, those that a model has marked already among them. Left out:
    what failed and is not to be tried yet (with `now`), `without`, and what others hold.
    """
    by_model = sa.exists().where(
        col(Assessment.paper_id) == col(Paper.id), col(Assessment.scorer) != LOCAL
    )
    here = sa.select(sa.func.count()).where(
        col(ListingPaper.day) == day,
        sa.exists().where(
            col(Assessment.paper_id) == col(ListingPaper.paper_id),
            col(Assessment.scorer) != LOCAL,
            col(Assessment.day) == day,
            col(Assessment.call_id).is_not(None),
        ),
    )
    left = limit - (session.connection().execute(here).scalar() or 0)
    if left <= 0:
        return []
    local = sa.alias(sa.inspect(Assessment).local_table)
    tries = sa.func.coalesce(col(Attempt.attempts), 0)
    statement = (
        sa.select(col(Paper.id), tries, col(Attempt.parked), col(Attempt.next_try_at))
        .join(ListingPaper, col(ListingPaper.paper_id) == col(Paper.id))
        .join(
            local,
            sa.and_(local.c.paper_id == col(Paper.id), local.c.scorer == LOCAL, local.c.day == day),
        )
        .outerjoin(
            Attempt, sa.and_(col(Attempt.step) == STEP, col(Attempt.subject_id) == col(Paper.id))
        )
        .where(col(ListingPaper.day) == day, col(Paper.state).in_(UNDECIDED), ~by_model)
        .order_by(local.c.score.desc(), col(Paper.id))
        .limit(left)
    )
    others = set(session.connection().execute(held).scalars()) if held is not None else set()
    return [
        Waits(paper_id or 0, count)
        for paper_id, count, parked, next_try in session.connection().execute(statement)
        if paper_id not in without
        and paper_id not in others
        and not (now is not None and (parked or (next_try is not None and next_try > now)))
    ]


def papers(session: Session, paper_ids: Sequence[int], day: str) -> list[Row]:
    """These papers in this order, as a prompt shows them."""
    local = sa.alias(sa.inspect(Assessment).local_table)
    found: dict[int, Row] = {}
    for start in range(0, len(paper_ids), _SOME):
        some = list(paper_ids[start : start + _SOME])
        names: dict[int, str] = {}
        for paper_id, value in session.connection().execute(
            sa.select(col(Identifier.paper_id), col(Identifier.value))
            .where(col(Identifier.paper_id).in_(some), col(Identifier.scheme) == "arxiv")
            .order_by(col(Identifier.id).desc())
        ):
            names[paper_id or 0] = value
        rows = session.connection().execute(
            sa.select(
                col(Paper.id),
                col(Paper.title),
                col(Paper.abstract),
                local.c.score,
                local.c.evidence,
            )
            .outerjoin(
                local,
                sa.and_(
                    local.c.paper_id == col(Paper.id), local.c.scorer == LOCAL, local.c.day == day
                ),
            )
            .where(col(Paper.id).in_(some))
        )
        for paper_id, title, abstract, score, evidence in rows:
            found[paper_id] = Row(
                paper_id, title, abstract, names.get(paper_id), score, evidence or []
            )
    return [found[paper_id] for paper_id in paper_ids if paper_id in found]


# ---------------------------------------------------------------- what was said


def save(
    session: Session,
    day: str,
    verdicts: Iterable[Verdict],
    *,
    model: str,
    prompt: str,
    call_id: int | None,
    now: datetime,
) -> int:
    """Store a model's marks as the newest of each paper, in place of its own of that day; how many.

    A paper that is gone meanwhile is left out.
    """
    stored = 0
    for each in verdicts:
        if session.get(Paper, each.paper_id) is None:
            continue
        session.connection().execute(
            sa.delete(Assessment).where(
                col(Assessment.paper_id) == each.paper_id,
                col(Assessment.scorer) == model,
                col(Assessment.day) == day,
            )
        )
        assessment = Assessment(
            paper_id=each.paper_id,
            day=day,
            scorer=model,
            prompt=prompt,
            relevance=each.relevance,
            novelty=each.novelty,
            topic_id=each.topics[0] if each.topics else None,
            comment=each.comment,
            topic_comment=each.topic_comment,
            tags=each.tags,
            score=each.score,
            hotspot_comment=each.hotspot_comment,
            tier=each.tier,
            tier_reason=each.tier_reason,
            evidence=each.evidence,
            call_id=call_id,
            at=now,
        )
        session.add(assessment)
        session.flush()
        assert assessment.id is not None
        for topic in each.topics:
            session.add(AssessmentTopic(assessment_id=assessment.id, topic_id=topic))
        stored += 1
    session.flush()
    if stored:
        bump(session)
    return stored


def tell_listing(session: Session, day: str, *, model: str, prompt: str) -> None:
    """Say by which model and prompt a day was judged, on a listing of our own."""
    session.connection().execute(
        sa.update(Listing)
        .where(col(Listing.day) == day, col(Listing.item_id).is_(None))
        .values(model=model, prompt=prompt)
    )


def failed(
    session: Session, paper_ids: Iterable[int], reason: str, *, now: datetime, wait: timedelta
) -> None:
    """Count a try in vain of each paper; the last one parks it, with its reason."""
    for paper_id in paper_ids:
        row = session.get(Attempt, (STEP, paper_id)) or Attempt(
            step=STEP, subject_id=paper_id, next_try_at=now
        )
        row.attempts += 1
        row.last_error = reason[:500]
        row.next_try_at = now + wait
        row.parked = row.attempts >= TRIES
        session.add(row)
    session.flush()
    bump(session, SHOWN)  # attempts are the machine's own, but the page of a day tells of these


def pause(session: Session, reason: str, *, until: datetime) -> None:
    """Ask nobody anything before then: the service, the key or the budget says no to every call."""
    row = session.get(Attempt, (STEP, PAUSE)) or Attempt(
        step=STEP, subject_id=PAUSE, next_try_at=until
    )
    row.attempts += 1
    row.last_error, row.next_try_at, row.parked = reason[:500], until, False
    session.add(row)
    session.flush()
    bump(session, SHOWN)


def paused(session: Session, *, now: datetime) -> Attempt | None:
    """The pause that is in force."""
    row = session.get(Attempt, (STEP, PAUSE))
    return row if row is not None and row.next_try_at > now else None


def go_on(session: Session) -> None:
    """A call was answered: the next one may be made at once."""
    session.connection().execute(
        sa.delete(Attempt).where(col(Attempt.step) == STEP, col(Attempt.subject_id) == PAUSE)
    )


def parked(session: Session, day: str) -> list[Any]:
    """Rows (id, title, last_error) of papers of a day that were given up."""
    return list(
        session.connection().execute(
            sa.select(col(Paper.id), col(Paper.title), col(Attempt.last_error))
            .join(ListingPaper, col(ListingPaper.paper_id) == col(Paper.id))
            .join(
                Attempt,
                sa.and_(
                    col(Attempt.step) == STEP,
                    col(Attempt.subject_id) == col(Paper.id),
                    col(Attempt.parked),
                ),
            )
            .where(col(ListingPaper.day) == day, col(Paper.state).in_(UNDECIDED))
            .order_by(col(Paper.id))
        )
    )
