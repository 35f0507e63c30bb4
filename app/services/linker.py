"""The linker: reads what the wiki knows, lets the rule rank, and stores proposals with evidence.

The rule itself is `domain/linking.py`. Here stand the three moves around it, each of its own
transaction or none: `claim` reads, `rank_papers` thinks, `store` writes proposals into Review.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import resources
from itertools import combinations
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
    Pair,
    PaperText,
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


@dataclass(frozen=True)
class Work:
    """What a batch of the linker thinks about; ids are those of pages.

    `papers` are to be linked, `seen` is the state in which each was read, `hashes` the text.
    """

    papers: tuple[int, ...]
    seen: dict[int, str]
    hashes: dict[int, str]
    concepts: tuple[ConceptText, ...]
    texts: tuple[PaperText, ...]
    accepted: frozenset[Pair]
    rejected: frozenset[Pair]
    excluded: frozenset[Pair]
    neighbours: frozenset[Pair]
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
    return len(_waiting(session, now=now))


def _waiting(session: Session, *, now: datetime) -> dict[int, str]:
    """Page ids of such papers with the state to note for each: its text and the concepts' count."""
    concepts = generation(session, "concepts")
    state = (col(PageText.hash) + f":{concepts}").label("state")
    rows = session.connection().execute(
        sa.select(col(PageText.page_id), state)
        .join(Paper, col(Paper.page_id) == col(PageText.page_id))
        .outerjoin(Done, (col(Done.step) == STEP) & (col(Done.subject_id) == col(PageText.page_id)))
        .where(
            sa.func.coalesce(col(Done.seen), "") != state.element,
            ~_is_about_something(),
            col(PageText.page_id).not_in(runs.blocked(session, STEP, now=now)),
        )
        .order_by(col(PageText.page_id))
    )
    return {row.page_id: row.state for row in rows}


def _is_about_something() -> sa.Exists:
    return sa.exists().where(
        col(Link.source_id) == col(PageText.page_id),
        col(Link.relation) == Relation.ABOUT,
        col(Link.status) == LinkStatus.ACCEPTED,
    )


def claim(
    session: Session,
    index: VectorIndex | None,
    *,
    now: datetime,
    all_unlinked: bool = False,
    paper: str = "",
) -> Work:
    """Read the next papers to link and all the linker knows.

    `all_unlinked` takes every kept paper without an accepted `about` link, seen before or not;
    `paper` takes that one, by identifier or page. Raises NotFound when there is no such page.
    """
    concepts = generation(session, "concepts")
    if paper:
        wanted = {_named(session, paper): ""}
    elif all_unlinked:
        wanted = _unlinked(session)
    else:
        wanted = dict(list(_waiting(session, now=now).items())[:BATCH])
    if not wanted:
        return _NOTHING
    hashes = _hashes(session, wanted)
    seen = {page_id: f"{hashes[page_id]}:{concepts}" for page_id in wanted}
    return _read(session, index, tuple(wanted), seen, hashes)


_NONE: frozenset[Pair] = frozenset()
_NOTHING = Work((), {}, {}, (), (), _NONE, _NONE, _NONE, _NONE, None, {})


def _named(session: Session, name: str) -> int:
    found = papers.named(session, name)
    if found is None or found.page_id is None:
        raise NotFound(f"There is no kept paper {name!r}. Name it by arxiv:…, doi:… or its page.")
    return found.page_id


def _unlinked(session: Session) -> dict[int, str]:
    rows = session.connection().execute(
        sa.select(col(PageText.page_id))
        .join(Paper, col(Paper.page_id) == col(PageText.page_id))
        .where(~_is_about_something())
        .order_by(col(PageText.page_id))
    )
    return {page_id: "" for (page_id,) in rows}


def _hashes(session: Session, wanted: dict[int, str]) -> dict[int, str]:
    rows = session.connection().execute(
        sa.select(col(PageText.page_id), col(PageText.hash))
        .join(Page, col(Page.id) == col(PageText.page_id))
        .where(col(Page.kind) == PageKind.PAPER)
    )
    return {page_id: digest for page_id, digest in rows if page_id in wanted}


# ---------------------------------------------------------------- what the linker knows


def _read(
    session: Session,
    index: VectorIndex | None,
    wanted: tuple[int, ...],
    seen: dict[int, str],
    hashes: dict[int, str],
) -> Work:
    concepts = _concepts(session)
    texts = _papers(session)
    pairs = _about(session)
    return Work(
        papers=wanted,
        seen=seen,
        hashes=hashes,
        concepts=concepts,
        texts=texts,
        accepted=frozenset(pairs[LinkStatus.ACCEPTED]),
        rejected=frozenset(pairs[LinkStatus.REJECTED]),
        excluded=frozenset(pairs[LinkStatus.DEFERRED]) | _linked_otherwise(session),
        neighbours=frozenset(_comembers(session)) | frozenset(_citations(session)),
        vectors=_vectors(session, index, concepts, texts),
        abstracts=_abstracts(session, wanted),
    )


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


def _papers(session: Session) -> tuple[PaperText, ...]:
    """Every kept paper, in the order in which they came out."""
    rows = session.connection().execute(
        sa.select(col(PageText.page_id), col(PageText.title), col(PageText.text))
        .join(Paper, col(Paper.page_id) == col(PageText.page_id))
        .order_by(col(Paper.published), col(PageText.page_id))
    )
    return tuple(PaperText(page_id, title, text) for page_id, title, text in rows)


def _abstracts(session: Session, wanted: tuple[int, ...]) -> dict[int, str]:
    """The abstracts of the papers to link: a quotation says whether it stands there."""
    rows = session.connection().execute(
        sa.select(col(Paper.page_id), col(Paper.abstract)).where(col(Paper.page_id).is_not(None))
    )
    chosen = set(wanted)
    return {page_id: abstract for page_id, abstract in rows if page_id in chosen}


def _about(session: Session) -> dict[LinkStatus, set[Pair]]:
    pairs: dict[LinkStatus, set[Pair]] = {status: set() for status in LinkStatus}
    for source_id, target_id, status in session.connection().execute(
        sa.select(col(Link.source_id), col(Link.target_id), col(Link.status)).where(
            col(Link.relation) == Relation.ABOUT
        )
    ):
        pairs[status].add((source_id, target_id))
    return pairs


def _linked_otherwise(session: Session) -> frozenset[Pair]:
    """Pairs that a person linked in a way that says more than a mention."""
    rows = session.connection().execute(
        sa.select(col(Link.source_id), col(Link.target_id))
        .join(Page, col(Page.id) == col(Link.target_id))
        .where(
            col(Page.kind) == PageKind.CONCEPT,
            col(Link.status) == LinkStatus.ACCEPTED,
            col(Link.relation).not_in([Relation.ABOUT, Relation.MENTIONS]),
        )
    )
    return frozenset((source, target) for source, target in rows)


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
    cited: list[tuple[int, str]] = [
        (page_id or 0, reference)
        for page_id, references in session.connection().execute(
            sa.select(col(Paper.page_id), col(Paper.references)).where(
                col(Paper.page_id).is_not(None), sa.cast(col(Paper.references), sa.String) != "[]"
            )
        )
        for reference in references
    ]
    if not cited:
        return set()
    known: dict[str, int] = {
        f"{scheme}:{value}": page_id or 0
        for scheme, value, page_id in session.connection().execute(
            sa.select(col(Identifier.scheme), col(Identifier.value), col(Paper.page_id))
            .join(Paper, col(Paper.id) == col(Identifier.paper_id))
            .where(col(Paper.page_id).is_not(None))
        )
    }
    return {
        (page_id, known[reference])
        for page_id, reference in cited
        if known.get(reference, page_id) != page_id
    }


def _vectors(
    session: Session,
    index: VectorIndex | None,
    concepts: Sequence[ConceptText],
    texts: Sequence[PaperText],
) -> tuple[Array, Array] | None:
    if index is None:
        return None
    index.refresh(session)
    if not len(index):
        return None
    return (
        index.matrix_for([paper.id for paper in texts]),
        index.matrix_for([concept.id for concept in concepts]),
    )


# ---------------------------------------------------------------- thinking


def rank_papers(
    work: Work, weights: Weights, *, limit: int = 10, lexicon: Lexicon | None = None
) -> list[Proposal]:
    """Each paper's `limit` best concepts, surest first, with evidence; proposed or not.

    A `lexicon` that is kept between calls has the texts read already; it belongs to one thread.
    """
    if not work.papers or not work.concepts:
        return []
    knowledge = Knowledge(
        work.concepts,
        work.texts,
        accepted=work.accepted,
        rejected=work.rejected,
        neighbours=work.neighbours,
        vectors=work.vectors,
        weights=weights,
        lexicon=lexicon,
    )
    papers_by_id = {paper.id: paper for paper in work.texts}
    concepts_by_id = {concept.id: concept for concept in work.concepts}
    return [
        _argued(
            candidate,
            papers_by_id[candidate.paper],
            concepts_by_id[candidate.concept],
            work.abstracts.get(candidate.paper, ""),
        )
        for candidate in rank(work.papers, knowledge, limit=limit, excluded=work.excluded)
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


def store(session: Session, work: Work, proposals: Sequence[Proposal], *, now: datetime) -> int:
    """Put what is proposed into Review; how many new proposals that made.

    Waiting proposals that the linker would not make any more are withdrawn. What is linked or
    decided is never touched.
    """
    made = 0
    kept: dict[int, set[tuple[int, Relation]]] = {page_id: set() for page_id in work.papers}
    # A page may be gone since it was read.
    alive = set(session.connection().execute(sa.select(col(Page.id))).scalars())
    for proposal in proposals:
        candidate = proposal.candidate
        if not candidate.proposed or not {candidate.paper, candidate.concept} <= alive:
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
        )
    for page_id in work.papers:
        links.withdraw_proposals(session, page_id, keep=kept[page_id])
    runs.done(session, STEP, {page: seen for page, seen in work.seen.items() if page in alive})
    return made


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
