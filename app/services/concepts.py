"""Duplicates: concepts, and threads, that are likely one become proposals to merge in Review.

All concepts are compared anew when one was written, renamed, merged or taken away, and after some
changes of which papers they hold (see `state`): that takes a second or two for thousands of them.
A proposal that is not true any more is withdrawn; one that was rejected returns only when the two
hold clearly more papers together, and says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlmodel import Session, col

from app.domain import duplicates
from app.domain.duplicates import Duplicate
from app.domain.records import (
    Change,
    ChangeKind,
    Done,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    Relation,
)
from app.domain.same_threads import near_same
from app.domain.texts import ConceptText
from app.store import changes, corpus, links, runs, threads
from app.store import concepts as stored
from app.store.db import generation
from app.store.threads import CLAIMED

STEP = "duplicates"
MOST = 100  # proposals that wait at once, the surest: of concepts, and of threads
EVERY = 20  # writes of accepted links, after which members are compared anew
_READ = 50  # titles of papers that a concept is known by
_SHOWN = 20  # shared papers that a proposal names
_MORE = 3  # papers more, and twice as many, than when it was rejected


@dataclass(frozen=True)
class Work:
    """What concepts are called and hold, as it stood at `state`."""

    state: str
    concepts: tuple[ConceptText, ...]
    held: NDArray[np.int64]
    texts: dict[int, str]
    apart: frozenset[tuple[int, int]]  # pairs that a person linked as two
    claims: dict[int, str]  # of threads
    members: NDArray[np.int64]  # pairs (page, thread)


def state(session: Session) -> str:
    """What the duplicates depend on: raised by every write of a concept and some of their papers.

    A thread and its claim count as a concept.
    """
    written = generation(session, "concepts") + generation(session, CLAIMED)
    return f"{written}:{generation(session, links.ACCEPTED) // EVERY}"


def pending(session: Session) -> int:
    """1 when concepts or what they hold changed since duplicates were last looked for."""
    seen = session.get(Done, (STEP, 0))
    return int(state(session) != (seen.seen if seen else "0:0"))


def take_up(session: Session, *, owner: str) -> bool:
    """Whether this worker is to look for duplicates now; no other does meanwhile."""
    clock = time.time()
    if not pending(session) or runs.count_held(session, STEP, clock=clock):
        return False
    runs.hold(session, STEP, [0], owner=owner, clock=clock)
    return True


def read(session: Session) -> Work:
    """What is compared. Of most concepts no more than their names and the ids of their papers."""
    now = state(session)
    concepts = corpus.concepts(session)
    held = corpus.about(session, LinkStatus.ACCEPTED)[:, ::-1]
    wanted = duplicates.candidates(concepts, held)
    return Work(
        now,
        concepts,
        held,
        _texts(session, wanted, held),
        _apart(session),
        claims={row.id: row.claim for row in threads.texts(session)},
        members=threads.memberships(session, accepted=True),
    )


def think(work: Work) -> list[Duplicate]:
    """The likely duplicates, surest first."""
    found = duplicates.find(work.concepts, work.held, work.texts)
    kept = (each for each in found if (each.one, each.other) not in work.apart)
    same = near_same(work.claims, work.members)
    apart = (each for each in same if (each.one, each.other) not in work.apart)
    return [*islice(kept, MOST), *islice(apart, MOST)]


def store(
    session: Session, work: Work, found: Sequence[Duplicate], *, owner: str, now: datetime
) -> int:
    """Bring the waiting merges in line with what was found; how many are new.

    Raises nothing for pages that are gone or merged meanwhile: they are left out.
    """
    if not runs.let_go(session, STEP, [0], owner=owner):
        return 0
    keys = {changes.merge_key(each.one, each.other): each for each in found}
    standing = changes.keyed(session, keys)
    new = 0
    for key, each in keys.items():
        one, other = (session.get(Page, page_id) for page_id in (each.one, each.other))
        if one is None or other is None or one.kind != other.kind:
            continue
        if one.kind not in (PageKind.CONCEPT, PageKind.THREAD):
            continue
        known = standing.get(key)
        again = _since(known, each) if known else ""
        if known and known.status != LinkStatus.PROPOSED and not again:
            continue
        source, target = stored.stays(session, one, other)
        new += changes.propose(
            session,
            kind=ChangeKind.MERGE,
            key=key,
            title=f"{source.title} → {target.title}",
            source_id=source.id,
            target_id=target.id,
            confidence=round(each.confidence, 4),
            reason=each.reason,
            content={"shared": list(each.shared[:_SHOWN]), "held": len(each.shared)},
            evidence=[],
            signals=[
                {"name": signal.name, "value": round(signal.value, 3), "words": list(signal.words)}
                for signal in each.signals
            ],
            origin=Origin.LINKER,
            now=now,
            again=again,
        )
    waiting = changes.of_kind(session, ChangeKind.MERGE)
    changes.withdraw(
        session,
        [each.key for each in waiting if each.origin == Origin.LINKER and each.key not in keys],
    )
    runs.done(session, STEP, {0: work.state})
    return new


def _since(known: Change, found: Duplicate) -> str:
    """What speaks for a rejected merge that did not when it was rejected, in words; '' for nothing."""
    if known.status != LinkStatus.REJECTED or "held" not in known.content:
        return ""  # or a person's own merge, taken back: nobody counted then
    before, now = int(known.content["held"]), len(found.shared)
    if now < max(2 * before, before + _MORE):
        return ""
    return f"since it was rejected they hold {now} papers together, {before} then"


def _texts(session: Session, concept_ids: set[int], held: NDArray[np.int64]) -> dict[int, str]:
    """The titles of some papers of each of these concepts."""
    chosen: dict[int, list[int]] = {}
    for concept, paper in held.tolist():
        some = chosen.setdefault(concept, []) if concept in concept_ids else None
        if some is not None and len(some) < _READ:
            some.append(paper)
    titles: dict[int, str] = {}
    wanted = sorted({paper for some in chosen.values() for paper in some})
    for few in corpus.chunks(wanted):
        rows = session.connection().execute(
            sa.select(col(Page.id), col(Page.title)).where(col(Page.id).in_(few))
        )
        titles |= {page_id or 0: title for page_id, title in rows}
    return {
        concept: "\n".join(titles[paper] for paper in some if paper in titles)
        for concept, some in chosen.items()
    }


def _apart(session: Session) -> frozenset[tuple[int, int]]:
    """Pairs of pages that a person said are two: one broader than the other, or related to it."""
    rows: Iterable[Any] = session.connection().execute(
        sa.select(col(Link.source_id), col(Link.target_id)).where(
            col(Link.relation).in_([Relation.BROADER, Relation.RELATED]),
            col(Link.status) == LinkStatus.ACCEPTED,
        )
    )
    return frozenset((min(one, other), max(one, other)) for one, other in rows)
