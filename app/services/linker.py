"""The linker: reads what the wiki knows, lets the rule rank, and stores proposals with evidence.

The rule itself is `domain/linking.py`. Here stand the three moves around it, each of its own
transaction or none: `read` reads, `rank_papers` thinks, `store` writes proposals into Review.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain import evidence
from app.domain.linking import (
    Array,
    Candidate,
    ConceptText,
    Knowledge,
    PaperText,
    Rows,
    Weights,
    rank,
)
from app.domain.records import (
    Done,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageText,
    Paper,
    Relation,
)
from app.errors import Misconfigured, NotFound
from app.store import corpus, links, papers, runs
from app.store.corpus import Library
from app.store.db import generation
from app.store.vectors import VectorIndex

STEP = "link"
BATCH = 2000


def shipped_weights(path: Path | None = None) -> Weights:
    """The fitted weights that come with the program, or those of CEREBRO_LINKER_WEIGHTS.

    Raises Misconfigured for a file that is missing or holds no weights.
    """
    if path is None:
        shipped = resources.files("app.domain").joinpath("linker_weights.json")
        return Weights.parse(shipped.read_text(encoding="utf-8"))
    try:
        return Weights.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"CEREBRO_LINKER_WEIGHTS: {path} cannot be read: {error}.") from error


@dataclass(frozen=True)
class Work:
    """What a batch of the linker thinks about; ids are those of pages, pairs two columns of them.

    `papers` are to be linked and `texts` is what they say, `seen` is the state in which each was
    read, `hashes` the text. `library` has every kept paper; it must not be refreshed meanwhile.
    """

    papers: tuple[int, ...]
    seen: dict[int, str]
    hashes: dict[int, str]
    concepts: tuple[ConceptText, ...]
    library: Library
    texts: dict[int, PaperText]
    accepted: Rows
    rejected: Rows
    excluded: Rows
    neighbours: Rows
    vectors: tuple[Array, Array] | None
    abstracts: dict[int, str]


@dataclass(frozen=True)
class Proposal:
    """A candidate with what a person needs to judge it."""

    candidate: Candidate
    reason: str
    evidence: tuple[evidence.Quotation, ...]


# ---------------------------------------------------------------- what waits


def pending(session: Session, *, now: datetime) -> int:
    """How many kept papers without an accepted `about` link the linker has not seen as they stand."""
    waiting = _waiting(session, now=now).subquery()
    return (
        session.connection().execute(sa.select(sa.func.count()).select_from(waiting)).scalar_one()
    )


def _waiting(session: Session, *, now: datetime) -> sa.Select[Any]:
    """Selects page ids of such papers: those noted in another state of text or concepts."""
    concepts = generation(session, "concepts")
    state = col(PageText.hash) + f":{concepts}"
    return (
        sa.select(col(PageText.page_id))
        .join(Paper, col(Paper.page_id) == col(PageText.page_id))
        .outerjoin(Done, (col(Done.step) == STEP) & (col(Done.subject_id) == col(PageText.page_id)))
        .where(
            sa.func.coalesce(col(Done.seen), "") != state,
            ~_is_about_something(),
            col(PageText.page_id).not_in(runs.blocked(session, STEP, now=now)),
        )
    )


def _is_about_something() -> sa.Exists:
    return sa.exists().where(
        col(Link.source_id) == col(PageText.page_id),
        col(Link.relation) == Relation.ABOUT,
        col(Link.status) == LinkStatus.ACCEPTED,
    )


def take_up(session: Session, *, owner: str, now: datetime) -> list[int]:
    """The next papers to link; no other worker gets them while `owner` is at work."""
    clock = time.time()
    free = _waiting(session, now=now).where(
        col(PageText.page_id).not_in(runs.held(STEP, clock=clock))
    )
    statement = free.order_by(col(PageText.page_id)).limit(BATCH)
    taken = list(session.connection().execute(statement).scalars())
    runs.hold(session, STEP, taken, owner=owner, clock=clock)
    return taken


def read(
    session: Session,
    index: VectorIndex | None,
    wanted: Sequence[int],
    library: Library | None = None,
) -> Work:
    """What there is to know for linking these papers, by the ids of their pages.

    With the `library` of earlier batches only the texts that changed since are read.
    """
    library = library or Library()
    library.refresh(session)
    known = library.hashes
    present = [page_id for page_id in wanted if page_id in known]
    state = generation(session, "concepts")
    concepts = corpus.concepts(session)
    return Work(
        papers=tuple(present),
        seen={page_id: f"{known[page_id]}:{state}" for page_id in present},
        hashes={page_id: known[page_id] for page_id in present},
        concepts=concepts,
        library=library,
        texts={paper.id: paper for paper in corpus.texts(session, present)},
        accepted=corpus.about(session, LinkStatus.ACCEPTED),
        rejected=corpus.about(session, LinkStatus.REJECTED),
        excluded=corpus.excluded(session, present),
        neighbours=corpus.neighbours(session),
        vectors=corpus.vectors_of(session, index, concepts, library.papers.ids),
        abstracts=corpus.abstracts(session, present),
    )


def page_of(session: Session, name: str) -> int:
    """The page of a kept paper, by identifier or address. Raises NotFound when there is none."""
    found = papers.named(session, name)
    if found is None or found.page_id is None:
        raise NotFound(f"There is no kept paper {name!r}. Name it by arxiv:…, doi:… or its page.")
    return found.page_id


def unlinked(session: Session) -> list[int]:
    """Every kept paper without an accepted `about` link, seen before or not: ids of their pages."""
    rows = session.connection().execute(
        sa.select(col(PageText.page_id))
        .join(Paper, col(Paper.page_id) == col(PageText.page_id))
        .where(~_is_about_something())
        .order_by(col(PageText.page_id))
    )
    return [page_id for (page_id,) in rows]


# ---------------------------------------------------------------- thinking


def rank_papers(
    work: Work, weights: Weights, *, limit: int = 10, proposed_only: bool = False
) -> list[Proposal]:
    """Each paper's `limit` best concepts, surest first, with evidence; proposed or not.

    With `proposed_only` no evidence is sought for what would not be proposed.
    """
    if not work.papers or not work.concepts:
        return []
    knowledge = Knowledge(
        work.concepts,
        work.library.papers,
        accepted=work.accepted,
        rejected=work.rejected,
        neighbours=work.neighbours,
        vectors=work.vectors,
        weights=weights,
        lexicon=work.library.lexicon,
    )
    concepts_by_id = {concept.id: concept for concept in work.concepts}
    candidates = rank(
        work.papers, knowledge, limit=limit, excluded=work.excluded, proposed_only=proposed_only
    )
    return [
        _argued(
            candidate,
            work.texts[candidate.paper],
            concepts_by_id[candidate.concept],
            work.abstracts.get(candidate.paper, ""),
        )
        for candidate in candidates
    ]


def _argued(
    candidate: Candidate, paper: PaperText, concept: ConceptText, abstract: str
) -> Proposal:
    quotations = evidence.quotations(paper, concept, candidate.signals)
    return Proposal(
        candidate,
        reason=evidence.reason(candidate, concept),
        evidence=tuple(
            replace(each, where="abstract")
            if each.where == "text" and each.text in abstract
            else each
            for each in quotations
        ),
    )


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

    Waiting proposals that the linker would not make any more are withdrawn. What is linked or
    decided is never touched. Of a worker (`owner`) only the papers count that it still holds.
    """
    made = 0
    mine = set(work.papers)
    if owner:
        mine = runs.let_go(session, STEP, work.papers, owner=owner)
    kept: dict[int, set[tuple[int, Relation]]] = {
        page_id: set() for page_id in work.papers if page_id in mine
    }
    wanted = [
        (each, each.candidate)
        for each in proposals
        if each.candidate.proposed and each.candidate.paper in kept
    ]
    # A page may be gone since it was read.
    alive = _alive(session, {*kept, *(candidate.concept for _, candidate in wanted)})
    standing = links.standing(session, sorted(kept), Relation.ABOUT)
    for proposal, candidate in wanted:
        pair = candidate.paper, candidate.concept
        if not {*pair} <= alive:
            continue
        kept[candidate.paper].add((candidate.concept, Relation.ABOUT))
        made += links.propose(
            session,
            source_id=candidate.paper,
            target_id=candidate.concept,
            relation=Relation.ABOUT,
            confidence=candidate.confidence,
            reason=proposal.reason,
            evidence=evidence_json(proposal),
            signals=signals_json(candidate),
            text_hash=work.hashes.get(candidate.paper, ""),
            origin=Origin.LINKER,
            now=now,
            among=standing,
        )
    for page_id in links.with_proposals(session, sorted(kept)):
        links.withdraw_proposals(session, page_id, keep=kept[page_id])
    seen = {page_id: work.seen[page_id] for page_id in kept if page_id in alive}
    runs.done(session, STEP, seen)
    return made


def _alive(session: Session, page_ids: set[int]) -> set[int]:
    """Those of the pages that are there."""
    found: set[int] = set()
    for some in corpus.chunks(sorted(page_ids)):
        statement = sa.select(col(Page.id)).where(col(Page.id).in_(some))
        found.update(page_id or 0 for page_id in session.connection().execute(statement).scalars())
    return found


def evidence_json(proposal: Proposal) -> list[dict[str, Any]]:
    """Quotations as links store them and programs get them."""
    return [
        {
            "quotation": quotation.text,
            "where": quotation.where,
            "verbatim": True,
            "spans": [list(span) for span in quotation.spans],
        }
        for quotation in proposal.evidence
    ]


def signals_json(candidate: Candidate) -> list[dict[str, Any]]:
    """Signals as links store them: name, its part of the log-odds, the words that matched."""
    return [
        {"name": signal.kind.value, "value": signal.weight, "words": list(signal.words)}
        for signal in candidate.signals
    ]
