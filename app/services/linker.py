"""The linker: reads what the wiki knows, lets the rule rank, and stores proposals with evidence.

The rule itself is `domain/linking.py`. Here stand the three moves around it, each of its own
transaction or none: `read` reads, `rank_papers` thinks, `store` writes proposals into Review.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import resources
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain import evidence
from app.domain.linking import (
    Array,
    Candidate,
    ConceptText,
    Knowledge,
    Pair,
    Papers,
    PaperText,
    Rows,
    Weights,
    rank,
)
from app.domain.records import (
    Alias,
    AliasKind,
    Done,
    Identifier,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    PageText,
    Paper,
    Relation,
)
from app.domain.words import Lexicon
from app.errors import Misconfigured, NotFound
from app.store import links, papers, runs
from app.store.db import generation
from app.store.vectors import VectorIndex

STEP = "link"
BATCH = 2000
_LARGEST_THREAD = 60


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


@dataclass
class Library:
    """The papers the linker has read, kept between batches: only what changed is read again.

    For one thread. Texts are not kept, only how often each has which words.
    """

    lexicon: Lexicon = field(default_factory=Lexicon)
    papers: Papers = field(default_factory=lambda: Papers.read((), Lexicon()))
    hashes: dict[int, str] = field(default_factory=dict)  # of the text of each, by page

    def refresh(self, session: Session) -> None:
        """Bring it up to date with every kept paper, in the order in which they came out."""
        rows = session.connection().execute(
            sa.select(col(PageText.page_id), col(PageText.hash))
            .join(Paper, col(Paper.page_id) == col(PageText.page_id))
            .order_by(col(Paper.published), col(PageText.page_id))
        )
        hashes: dict[int, str] = dict(rows.all())
        order = list(hashes)
        changed = [page_id for page_id in order if self.hashes.get(page_id) != hashes[page_id]]
        if changed or order != self.papers.ids.tolist():
            new = Papers.read(_texts(session, changed), self.lexicon)
            self.papers = self.papers.updated(order, new)
            self.hashes = hashes


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
    concepts = _concepts(session)
    return Work(
        papers=tuple(present),
        seen={page_id: f"{known[page_id]}:{state}" for page_id in present},
        hashes={page_id: known[page_id] for page_id in present},
        concepts=concepts,
        library=library,
        texts={paper.id: paper for paper in _texts(session, present)},
        accepted=_about(session, LinkStatus.ACCEPTED),
        rejected=_about(session, LinkStatus.REJECTED),
        excluded=_excluded(session, present),
        neighbours=_pairs([*_comembers(session), *_citations(session)]),
        vectors=_vectors(session, index, concepts, library.papers.ids),
        abstracts=_abstracts(session, present),
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


# ---------------------------------------------------------------- what the linker knows


_SOME = 1_000  # ids in one statement


def _chunks(page_ids: Sequence[int]) -> Iterator[list[int]]:
    every = iter(page_ids)
    return iter(lambda: list(islice(every, _SOME)), [])


def _pairs(rows: Sequence[Any]) -> Rows:
    """Rows of two ids as an array of two columns."""
    return np.array([tuple(row) for row in rows], np.int64).reshape(-1, 2)


def _concepts(session: Session) -> tuple[ConceptText, ...]:
    names: dict[int, list[str]] = {}
    for page_id, name in session.connection().execute(
        sa.select(col(Alias.page_id), col(Alias.name))
        .where(col(Alias.kind) == AliasKind.NAME)
        .order_by(col(Alias.id))
    ):
        names.setdefault(page_id, []).append(name)
    rows = session.connection().execute(
        sa.select(col(PageText.page_id), col(PageText.title), col(PageText.text))
        .join(Page, col(Page.id) == col(PageText.page_id))
        .where(col(Page.kind) == PageKind.CONCEPT)
        .order_by(col(PageText.page_id))
    )
    return tuple(
        ConceptText(page_id, title, tuple(names.get(page_id, ())), text)
        for page_id, title, text in rows
    )


def _texts(session: Session, page_ids: Sequence[int]) -> Iterator[PaperText]:
    """What these papers say, some at a time."""
    for some in _chunks(page_ids):
        for row in session.connection().execute(
            sa.select(col(PageText.page_id), col(PageText.title), col(PageText.text)).where(
                col(PageText.page_id).in_(some)
            )
        ):
            yield PaperText(*row)


def _abstracts(session: Session, page_ids: Sequence[int]) -> dict[int, str]:
    """The abstracts of the papers to link: a quotation says whether it stands there."""
    found: dict[int, str] = {}
    for some in _chunks(page_ids):
        rows = session.connection().execute(
            sa.select(col(Paper.page_id), col(Paper.abstract)).where(col(Paper.page_id).in_(some))
        )
        found |= {page_id or 0: abstract for page_id, abstract in rows}
    return found


def _about(session: Session, status: LinkStatus) -> Rows:
    """Pairs of a paper and what it is, or is not, about."""
    rows = session.connection().execute(
        sa.select(col(Link.source_id), col(Link.target_id)).where(
            col(Link.relation) == Relation.ABOUT, col(Link.status) == status
        )
    )
    return _pairs(rows.all())


def _excluded(session: Session, page_ids: Sequence[int]) -> Rows:
    """Pairs of these papers that are put off, or that a person linked by more than a mention."""
    otherwise = sa.and_(
        col(Link.status) == LinkStatus.ACCEPTED,
        col(Link.relation).not_in([Relation.ABOUT, Relation.MENTIONS]),
    )
    put_off = sa.and_(col(Link.status) == LinkStatus.DEFERRED, col(Link.relation) == Relation.ABOUT)
    found: list[Any] = []
    for some in _chunks(page_ids):
        found += session.connection().execute(
            sa.select(col(Link.source_id), col(Link.target_id)).where(
                col(Link.source_id).in_(some), sa.or_(otherwise, put_off)
            )
        )
    return _pairs(found)


def _comembers(session: Session) -> set[Pair]:
    """Papers of one thread, two by two; a thread too long to mean closeness is left out."""
    members: dict[int, list[int]] = {}
    for source_id, target_id in session.connection().execute(
        sa.select(col(Link.source_id), col(Link.target_id)).where(
            col(Link.relation) == Relation.PART_OF, col(Link.status) == LinkStatus.ACCEPTED
        )
    ):
        members.setdefault(target_id, []).append(source_id)
    return {
        pair
        for ids in members.values()
        if len(ids) <= _LARGEST_THREAD
        for pair in combinations(sorted(ids), 2)
    }


def _citations(session: Session) -> set[Pair]:
    """Papers of which one names the other among its references, where a source gave them."""
    citing = session.connection().execute(
        sa.select(col(Paper.page_id), col(Paper.references)).where(
            col(Paper.page_id).is_not(None), sa.cast(col(Paper.references), sa.String) != "[]"
        )
    )
    cited: list[tuple[int, str]] = [
        (page_id or 0, reference)
        for page_id, references in citing.all()
        for reference in references
    ]
    if not cited:
        return set()
    names = session.connection().execute(
        sa.select(
            col(Identifier.scheme) + sa.literal(":") + col(Identifier.value), col(Paper.page_id)
        )
        .join(Paper, col(Paper.id) == col(Identifier.paper_id))
        .where(col(Paper.page_id).is_not(None))
    )
    known: dict[str, int] = {name: page_id or 0 for name, page_id in names.all()}
    return {
        (page_id, known[reference])
        for page_id, reference in cited
        if known.get(reference, page_id) != page_id
    }


def _vectors(
    session: Session, index: VectorIndex | None, concepts: Sequence[ConceptText], papers: Rows
) -> tuple[Array, Array] | None:
    if index is None:
        return None
    index.refresh(session)
    if not index.dim:
        return None
    return (
        index.matrix_for(session, papers.tolist()),
        index.matrix_for(session, [concept.id for concept in concepts]),
    )


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
    for some in _chunks(sorted(page_ids)):
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
