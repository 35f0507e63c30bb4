"""Threads: proposes papers as members, by the linker's rule with threads in place of concepts.

The rule is `domain/membership.py`. A paper is compared when it comes, when its text changes, and
when the text or the claim of a thread does. Like the linker: `take_up` and `read` in transactions,
`think` in none, `store` in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.evidence import short_title
from app.domain.linking import ConceptText, Rows, Weights, rank
from app.domain.membership import Membership, ThreadText, best, membership, reason
from app.domain.records import Done, Origin, PageKind, PageText, Paper, Relation
from app.store import corpus, links, relations, runs, threads
from app.store.corpus import Facts, Library
from app.store.relations import Text
from app.store.vectors import VectorIndex

STEP = "thread"
BATCH = 5_000
_OF = (Relation.PART_OF,)


@dataclass(frozen=True)
class Proposal:
    """A membership with what a person needs to judge it. `evidence` as links store it."""

    membership: Membership
    proposed: bool
    reason: str
    evidence: list[dict[str, Any]]


@dataclass(frozen=True)
class Work:
    """What a batch thinks about; pairs are (paper, thread). `state` is that of all threads."""

    papers: tuple[int, ...]
    state: str
    threads: dict[int, ThreadText]
    definitions: tuple[ConceptText, ...]
    library: Library
    facts: Facts
    excluded: Rows
    texts: dict[int, Text]


# ---------------------------------------------------------------- what waits


def pending(session: Session, *, now: datetime) -> int:
    """How many kept papers were not compared with the threads, as both stand; none without threads."""
    stands = state(session)
    if not stands:
        return 0
    counting = sa.select(sa.func.count()).select_from(_waiting(session, stands, now=now).subquery())
    return session.connection().execute(counting).scalar_one()


def state(session: Session) -> str:
    """Changes with the text or the claim of any thread; "" where there is none."""
    return _state(threads.texts(session))


def _state(rows: Sequence[Any]) -> str:
    if not rows:
        return ""
    told = "\0".join(f"{row.id}:{row.hash}:{row.claim}" for row in rows)
    return sha256(told.encode()).hexdigest()[:12]


def _waiting(session: Session, stands: str, *, now: datetime) -> sa.Select[Any]:
    return (
        sa.select(col(PageText.page_id))
        .join(Paper, col(Paper.page_id) == col(PageText.page_id))
        .outerjoin(Done, (col(Done.step) == STEP) & (col(Done.subject_id) == col(PageText.page_id)))
        .where(
            sa.func.coalesce(col(Done.seen), "") != col(PageText.hash) + f":{stands}",
            col(PageText.page_id).not_in(runs.blocked(session, STEP, now=now)),
        )
    )


def take_up(session: Session, *, owner: str, now: datetime) -> list[int]:
    """The next papers to compare; no other worker gets them while `owner` is at work."""
    stands = state(session)
    if not stands:
        return []
    # The newest first: of a thread that was just written, today's papers are asked about.
    waiting = _waiting(session, stands, now=now)
    return runs.take_up(session, STEP, waiting, limit=BATCH, owner=owner, newest=True)


def read(
    session: Session,
    index: VectorIndex | None,
    wanted: Sequence[int],
    library: Library | None = None,
) -> Work:
    """What there is to know for comparing these papers with every thread, by ids of their pages."""
    library = library or Library()
    library.refresh(session)
    rows = threads.texts(session)
    first = threads.first_days(session)
    names = threads.aliases(session)
    definitions = tuple(
        ConceptText(
            row.id, row.title, tuple(names.get(row.id, ())), f"{row.claim}\n\n{row.text}".strip()
        )
        for row in rows
    )
    return Work(
        papers=tuple(page for page in wanted if page in library.hashes),
        state=_state(rows),
        threads={
            row.id: ThreadText(row.id, row.title, row.claim, first.get(row.id, "")) for row in rows
        },
        definitions=definitions,
        library=library,
        facts=Facts(
            library.papers,
            definitions,
            accepted=threads.memberships(session, accepted=True),
            rejected=threads.memberships(session, accepted=False),
            # Not those of one thread: that is what is asked.
            neighbours=library.citations(session),
            vectors=library.vectors_of(session, index, definitions),
        ),
        excluded=threads.excluded(session),
        texts=relations.texts(session, wanted),
    )


# ---------------------------------------------------------------- thinking


def think(
    work: Work, weights: Weights, *, limit: int = 10, proposed_only: bool = False
) -> list[Proposal]:
    """Each paper's `limit` best threads, the surest first, proposed or not."""
    if not work.papers or not work.definitions:
        return []
    knowledge = work.library.know("part-of", work.facts, weights)
    found: dict[int, list[Membership]] = {}
    for one in rank(
        work.papers,
        knowledge,
        limit=limit,
        most=limit,
        excluded=work.excluded,
        proposed_only=proposed_only,
    ):
        text = work.texts.get(one.paper)
        if text is None:
            continue
        found.setdefault(one.paper, []).append(
            membership(
                one,
                work.threads[one.concept],
                title=text.title,
                text=text.text,
                published=text.published,
            )
        )
    return [
        _argued(work, each, proposed)
        for some in found.values()
        for each, proposed in best(some, limit=limit)
        if proposed or not proposed_only
    ]


def _argued(work: Work, found: Membership, proposed: bool) -> Proposal:
    text = work.texts[found.paper]
    titles = [work.library.titles.get(page, "") for page in found.candidate.resembles]
    evidence = [
        {
            "quotation": each.text,
            "where": "abstract" if each.text in text.abstract else "text",
            "verbatim": True,
            "spans": [list(span) for span in each.spans],
        }
        for each in found.sentences
    ]
    nearest = [short_title(title) for title in titles if title]
    return Proposal(found, proposed, reason(found, nearest), evidence)


# ---------------------------------------------------------------- writing


def store(
    session: Session,
    work: Work,
    proposals: Sequence[Proposal],
    *,
    now: datetime,
    owner: str = "",
) -> int:
    """Put what is proposed into Review; how many new proposals that made.

    Waiting memberships that would not be proposed any more are withdrawn; what is decided stands.
    Of a worker (`owner`) only the papers count that it still holds.
    """
    mine = set(work.papers)
    if owner:
        mine = runs.let_go(session, STEP, work.papers, owner=owner)
    wanted = [each for each in proposals if each.proposed and each.membership.paper in mine]
    needed = mine | {each.membership.thread for each in wanted}
    alive = corpus.alive(session, needed, PageKind.PAPER, PageKind.THREAD)
    kept: dict[int, set[tuple[int, Relation]]] = {page: set() for page in sorted(mine & alive)}
    standing = links.standing(session, list(kept), Relation.PART_OF)
    made = 0
    for each in wanted:
        found = each.membership
        if not {found.paper, found.thread} <= alive:
            continue
        kept[found.paper].add((found.thread, Relation.PART_OF))
        text = work.texts[found.paper]
        made += links.propose(
            session,
            source_id=found.paper,
            target_id=found.thread,
            relation=Relation.PART_OF,
            role=found.role,
            note=found.line,
            day=text.published,
            confidence=found.confidence,
            reason=each.reason,
            evidence=each.evidence,
            signals=signals_json(found),
            text_hash=text.hash,
            origin=Origin.LINKER,
            now=now,
            resembles=found.candidate.resembles,
            among=standing,
        )
    for page in links.with_proposals(session, list(kept), of=_OF):
        links.withdraw_proposals(session, page, keep=kept[page], of=_OF)
    seen = {page: f"{work.texts[page].hash}:{work.state}" for page in kept if page in work.texts}
    runs.done(session, STEP, seen)
    return made


def signals_json(found: Membership) -> list[dict[str, Any]]:
    """Signals as links store them: name, its part of the log-odds, the words that matched."""
    return [
        {"name": signal.kind.value, "value": signal.weight, "words": list(signal.words)}
        for signal in found.candidate.signals
    ]


def as_json(proposals: Sequence[Proposal], names: dict[int, str]) -> list[dict[str, Any]]:
    """Candidates as programs get them; `names` are those of papers and threads."""
    return [
        {
            "paper": names[each.membership.paper],
            "target": names[each.membership.thread],
            "relation": Relation.PART_OF.value,
            "role": each.membership.role.value,
            "note": each.membership.line,
            "confidence": round(each.membership.confidence, 6),
            "proposed": each.proposed,
            "reason": each.reason,
            "evidence": each.evidence,
            "signals": signals_json(each.membership),
        }
        for each in proposals
    ]
