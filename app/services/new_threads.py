"""New threads: three or more papers that say the same, and no thread that says so, become a proposal.

Papers are read for it when they are kept and when their text changes, the newest first, each with
the papers that share its rare words. The rule is `domain/new_threads.py`. Few are proposed: at most
`A_DAY`, and none while `MOST` wait. Nothing comes twice: what a thread holds already is for
`membership`; what was proposed before, under the same words or with the same papers, stays decided,
but a rejected one may return when half of its papers are new, and says so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlmodel import Session, col

from app.domain.new_threads import (
    FLOOR,
    Group,
    NewThread,
    Rarity,
    Source,
    Statement,
    groups,
    overlaps,
    statements,
    told,
    worth_encoding,
)
from app.domain.records import ChangeKind, LinkStatus, Origin, PageText
from app.domain.words import stems as stems_of
from app.store import changes, paper_vectors, runs, threads
from app.store import new_threads as stored
from app.store.corpus import Library
from app.store.new_threads import Standing

STEP = "new threads"
BATCH = 200  # papers that are looked at in one go
BACKLOG = 500  # papers that are looked at after a large import; the rest may still join them
A_DAY = 3  # threads proposed in 24 hours
MOST = 9  # that wait at once
ENCODED = 800  # statements of a batch that get a vector

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Taken:
    """Papers to look at, and the hash of each text; `passed` are those that will not be."""

    hashes: dict[int, str]
    passed: dict[int, str]


@dataclass(frozen=True)
class Work:
    """What a batch thinks about, by ids of papers' pages."""

    new: tuple[int, ...]
    sources: dict[int, Source]
    statements: tuple[Statement, ...]
    rarity: Rarity
    vectors: dict[str, Array] | None
    unencoded: tuple[str, ...]
    held: tuple[tuple[int, ...], ...]  # the members of each thread
    claims: tuple[frozenset[str], ...]  # the stems of each thread's title and claim
    standing: tuple[Standing, ...]


@dataclass(frozen=True)
class Proposal:
    """A thread to propose. `again` says what is new where it was rejected before."""

    key: str
    thread: NewThread
    again: str


# ---------------------------------------------------------------- what waits


def pending(session: Session, *, now: datetime) -> int:
    """How many kept papers were not read for threads as they stand."""
    rows = stored.waiting(STEP, session, now=now).subquery()
    return session.connection().execute(sa.select(sa.func.count()).select_from(rows)).scalar_one()


def take_up(session: Session, *, owner: str, now: datetime) -> Taken:
    """The next papers, the newest first; no other worker gets them while `owner` is at work."""
    clock = time.time()
    free = stored.waiting(STEP, session, now=now).where(
        col(PageText.page_id).not_in(runs.held(STEP, clock=clock))
    )
    newest = free.order_by(col(PageText.page_id).desc())
    hashes: dict[int, str] = dict(session.connection().execute(newest.limit(BATCH)).all())
    passed: dict[int, str] = dict(
        session.connection().execute(newest.offset(BACKLOG).limit(5_000)).all()
    )
    runs.hold(session, STEP, [*hashes, *passed], owner=owner, clock=clock)
    return Taken(hashes, passed)


def read(session: Session, taken: Taken, library: Library, *, model: str) -> Work:
    """The papers, those that may join them, their statements, and what stands.

    model: of the sentence encoder, whose vectors are compared; "" without one.
    """
    library.refresh(session)
    sources = stored.sources(session, taken.hashes)
    own = {page: statements(source) for page, source in sources.items()}
    others = stored.partners(
        library, {page: {s for each in some for s in each.stems} for page, some in own.items()}
    )
    new = tuple(sources)
    more = stored.sources(session, others)
    sources |= more
    found = [each for some in own.values() for each in some]
    found += [each for page in more for each in statements(more[page])]
    rarity = stored.rarity(library, (stem for each in found for stem in each.stems))
    vectors: dict[str, Array] | None = None
    unencoded: tuple[str, ...] = ()
    if model:
        texts = worth_encoding(found, new, rarity)
        vectors = dict(paper_vectors.of_texts(session, model, texts))
        unencoded = tuple(text for text in texts if text not in vectors)[:ENCODED]
    held: dict[int, list[int]] = {}
    for paper, thread in threads.memberships(session, accepted=True).tolist():
        held.setdefault(thread, []).append(paper)
    return Work(
        new=new,
        sources=sources,
        statements=tuple(found),
        rarity=rarity,
        vectors=vectors,
        unencoded=unencoded,
        held=tuple(tuple(some) for some in held.values()),
        claims=tuple(
            frozenset(stems_of(f"{row.title} {row.claim}")) for row in threads.texts(session)
        ),
        standing=tuple(stored.standing(session)),
    )


# ---------------------------------------------------------------- thinking


def think(
    work: Work, made: Mapping[str, Array] | None = None, *, floor: float = FLOOR
) -> list[Proposal]:
    """The threads to propose, the surest first. `made` are vectors of `work.unencoded`."""
    vectors = None if work.vectors is None else {**work.vectors, **(made or {})}
    found = groups(
        work.statements,
        work.new,
        work.rarity,
        titles={page: source.title for page, source in work.sources.items()},
        vectors=vectors,
    )
    proposals = []
    for group in found:
        if group.confidence < floor or _is_known(group, work):
            continue
        key = _key(group)
        again = _place(key, group.papers, work.standing)
        if again is None:
            continue
        thread = told(group, work.sources)
        if thread is not None:
            proposals.append(Proposal(again.key or key, thread, again.words))
    return proposals


def _key(group: Group) -> str:
    return f"thread:{group.core} {group.shared[0]}"


def _is_known(group: Group, work: Work) -> bool:
    """Whether a thread holds these papers, or claims something in these words: membership's matter."""
    said = {group.core, *group.shared[:2]}
    return any(overlaps(group.papers, some) for some in work.held) or any(
        said <= claim for claim in work.claims
    )


@dataclass(frozen=True)
class _Again:
    """Under which key a group may be proposed ("": its own), and what is new since a rejection."""

    key: str = ""
    words: str = ""


def _place(key: str, papers: Sequence[int], standing: Sequence[Standing]) -> _Again | None:
    """Whether a group may be proposed beside what was proposed before; None when it may not."""
    said = set(key.removeprefix("thread:").split())
    alike = [
        each
        for each in standing
        if overlaps(papers, each.members) or said == set(each.key.removeprefix("thread:").split())
    ]
    if not alike:
        return _Again()
    first = alike[0]
    if len(alike) > 1:
        return None
    new = set(papers) - set(first.members)
    if first.status == LinkStatus.PROPOSED:
        # One that waits grows.
        return _Again(first.key) if new and not set(first.members) - set(papers) else None
    if first.status == LinkStatus.REJECTED and 2 * len(new) >= len(papers):
        day = first.at.date()
        return _Again(
            first.key,
            f"Rejected on {day.day} {day:%B} {day.year} with {len(first.members)} papers; "
            f"{len(new)} of these {len(papers)} are new",
        )
    return None


# ---------------------------------------------------------------- writing


def store(
    session: Session,
    work: Work,
    proposals: Sequence[Proposal],
    taken: Taken,
    *,
    owner: str,
    now: datetime,
) -> int:
    """Put what is proposed into Review and end the batch; how many new proposals that made.

    Another worker's proposals of meanwhile count: what is like them is left out.
    """
    mine = runs.let_go(session, STEP, [*taken.hashes, *taken.passed], owner=owner)
    standing = stored.standing(session)
    waiting = sum(each.status == LinkStatus.PROPOSED for each in standing)
    today = stored.made_since(session, now=now)
    taken_names = stored.taken_names(session, [each.thread.name for each in proposals])
    there = stored.slugs(
        session, {each.paper for some in proposals for each in some.thread.members}
    )
    new = 0
    for each in proposals:
        papers = each.thread.group.papers
        place = _place(each.key, papers, standing)
        grows = any(s.key == each.key and s.status == LinkStatus.PROPOSED for s in standing)
        if (
            place is None
            or not mine & set(papers)
            or set(papers) - there.keys()
            or (each.thread.name in taken_names and not grows)
            or (not grows and (waiting >= MOST or today >= A_DAY))
        ):
            continue
        came = _propose(session, each, work.sources, there, again=place.words, now=now)
        new, waiting, today = new + came, waiting + came, today + came
        standing = stored.standing(session)
    seen = taken.hashes | taken.passed
    runs.done(session, STEP, {page: seen[page] for page in mine})
    return new


def _propose(
    session: Session,
    proposal: Proposal,
    sources: Mapping[int, Source],
    there: Mapping[int, str],
    *,
    again: str,
    now: datetime,
) -> bool:
    thread, group = proposal.thread, proposal.thread.group
    about = stored.about(session, group.papers)
    shared = sorted(
        {
            concept
            for some in about.values()
            for concept in some
            if sum(concept in other for other in about.values()) >= 2
        }
    )
    return changes.propose(
        session,
        kind=ChangeKind.THREAD,
        key=proposal.key,
        title=thread.name,
        confidence=group.confidence,
        reason=reason(thread),
        content={
            "claim": " ".join(thread.claim.split()),
            "claim_from": thread.claim_from,
            "members": [
                {
                    "page": each.paper,
                    "role": each.role.value,
                    "line": " ".join(each.line.split()),
                    "day": each.day,
                }
                for each in thread.members
            ],
            "concepts": shared,
        },
        evidence=[
            {
                "quotation": each.line,
                "where": sources[each.paper].where,
                "verbatim": True,
                "spans": [list(span) for span in each.spans],
                "page": there[each.paper],
                "title": sources[each.paper].title,
            }
            for each in thread.members
        ],
        signals=[
            {"name": "statements alike", "value": round(group.likeness, 3), "words": []},
            {"name": "words shared", "value": 1.0, "words": [group.core, *group.shared]},
        ],
        origin=Origin.LINKER,
        now=now,
        again=again,
    )


_NUMBERS = ("three", "four", "five", "six", "seven", "eight")


def reason(thread: NewThread) -> str:
    """One plain line: how many papers of how many teams say it, and since when."""
    number = len(thread.members)
    many = _NUMBERS[number - 3] if 3 <= number <= 8 else str(number)
    said = f"{many.capitalize()} papers say much the same of it, and no thread does"
    days = sorted(day for each in thread.members if (day := each.day))
    span = ""
    if days and days[0] != days[-1]:
        span = f"; from {days[0]} to {days[-1]}"
    elif days:
        span = f"; all of {days[0]}"
    team = "; some share authors" if thread.teams < number else ""
    return f"{said}{span}{team}."
