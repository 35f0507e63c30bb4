"""What the linker reads of the wiki, and keeps between batches.

`Library` holds what was read, and what was fitted of it: only what changed is read and fitted
again. The other functions read what stands between papers and concepts; ids are those of pages.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any

import numpy as np
import sqlalchemy as sa
from scipy import sparse
from sqlmodel import Session, col

from app.domain.linking import (
    Array,
    ConceptText,
    Knowledge,
    Pair,
    Papers,
    PaperText,
    Rows,
    Weights,
)
from app.domain.records import (
    Alias,
    AliasKind,
    Identifier,
    Link,
    LinkStatus,
    Page,
    PageKind,
    PageText,
    Paper,
    Relation,
)
from app.domain.texts import carried, places
from app.domain.words import Lexicon
from app.store import vectors
from app.store.db import TEXTS, generation, generations, rows_of
from app.store.links import ACCEPTED
from app.store.vectors import VectorIndex

_LARGEST_THREAD = 60
_SHARED_REFERENCES = 3  # so many make two papers neighbours
_OFTEN_CITED = 30  # papers; what more of them cite is common ground


@dataclass(frozen=True)
class Facts:
    """What the linker knows of the wiki at one moment; pairs are two columns of pages' ids.

    Never changed. `concepts` are those that papers are to be linked to; of another relation they
    may be other pages.
    """

    papers: Papers
    concepts: tuple[ConceptText, ...]
    accepted: Rows
    rejected: Rows
    neighbours: Rows
    vectors: tuple[Array, Array] | None  # of papers and concepts, a row each

    def is_like(self, other: Facts) -> bool:
        """Whether all is the same, number by number; of the papers, whether nothing was read since."""
        return (
            self.papers is other.papers
            and self.concepts == other.concepts
            and np.array_equal(self.accepted, other.accepted)
            and np.array_equal(self.rejected, other.rejected)
            and np.array_equal(self.neighbours, other.neighbours)
            and (self.vectors is None) == (other.vectors is None)
            and all(
                some is others or np.array_equal(some, others)
                for some, others in zip(self.vectors or (), other.vectors or (), strict=True)
            )
        )


class Library:
    """What the linker has read and fitted, kept between batches: one for the life of a process.

    Texts are not kept, only how often each has which words. Safe between threads: what it gives
    away is never changed. What it holds is derived, and made anew by another process.
    """

    def __init__(self) -> None:
        self.lexicon = Lexicon()
        self.papers = Papers.read((), self.lexicon)
        self.hashes: dict[int, str] = {}
        self.titles: dict[int, str] = {}  # of papers, by page
        self._lock = threading.RLock()
        self._read: dict[str, tuple[object, Any]] = {}
        self._fitted: dict[str, tuple[Facts, Knowledge]] = {}

    def refresh(self, session: Session) -> None:
        """Bring it up to date with every kept paper, in the order in which they came out."""
        with self._lock:
            counted = generations(session)
            key = tuple(counted.get(name, 0) for name in (TEXTS, rows_of("paper")))
            self._once("papers", key, lambda: self._refreshed(session))

    def facts(self, session: Session, index: VectorIndex | None) -> Facts:
        """Everything the linker wants to know; read is what changed since the last time."""
        with self._lock:
            counted = generations(session)

            def since(*names: str) -> tuple[int, ...]:
                return tuple(counted.get(name, 0) for name in names)

            self.refresh(session)
            links = since(ACCEPTED, rows_of("decision"))
            named = since("concepts", rows_of("page"), rows_of("alias"))
            known = self._once("concepts", named, lambda: concepts(session))
            return Facts(
                self.papers,
                known,
                self._once("accepted", links, lambda: about(session, LinkStatus.ACCEPTED)),
                self._once(
                    "rejected",
                    (links, since(rows_of("link"))),
                    lambda: about(session, LinkStatus.REJECTED),
                ),
                self._once(
                    "neighbours",
                    (links, since(rows_of("paper"))),
                    lambda: np.concatenate([comembers(session), self.citations(session)]),
                ),
                self.vectors_of(session, index, known),
            )

    def citations(self, session: Session) -> Rows:
        """Pairs of papers of which one cites the other, or that cite much the same."""
        with self._lock:
            stands = generation(session, rows_of("paper"))
            return self._once("citations", stands, lambda: citations(session))  # type: ignore[no-any-return]

    def know(self, name: str, facts: Facts, weights: Weights) -> Knowledge:
        """What follows from the facts, brought up to date from what was last known by this name."""
        with self._lock:
            before, kept = self._fitted.get(name, (None, None))
            if kept and before and kept.shipped.ranks_as(weights) and facts.is_like(before):
                return kept.with_floor(weights.floor)
            made = Knowledge(
                facts.concepts,
                facts.papers,
                accepted=facts.accepted,
                rejected=facts.rejected,
                neighbours=facts.neighbours,
                vectors=facts.vectors,
                weights=weights,
                lexicon=self.lexicon,
                earlier=kept,
            )
            self._fitted[name] = facts, made
            return made

    def _once(self, name: str, key: object, read: Callable[[], Any]) -> Any:
        """What was read under this name, read again when the key is another."""
        if name not in self._read or self._read[name][0] != key:
            self._read[name] = key, read()
        return self._read[name][1]

    def _refreshed(self, session: Session) -> None:
        rows = session.connection().execute(
            sa.select(col(PageText.page_id), col(PageText.hash))
            .join(Paper, col(Paper.page_id) == col(PageText.page_id))
            .order_by(col(Paper.published), col(PageText.page_id))
        )
        hashes: dict[int, str] = dict(rows.all())
        order = list(hashes)
        changed = [page_id for page_id in order if self.hashes.get(page_id) != hashes[page_id]]
        if changed or order != self.papers.ids.tolist():
            new = Papers.read(self._titled(texts(session, changed)), self.lexicon)
            self.papers = self.papers.updated(order, new)
            self.hashes = hashes

    def _titled(self, papers: Iterator[PaperText]) -> Iterator[PaperText]:
        """The papers as they come, their titles noted."""
        for paper in papers:
            self.titles[paper.id] = paper.title
            yield paper

    def vectors_of(
        self, session: Session, index: VectorIndex | None, concepts: Sequence[ConceptText]
    ) -> tuple[Array, Array] | None:
        """The vectors of all papers and of these, a row each, zero where there is none (yet)."""
        if index is None:
            return None
        with self._lock:
            index.refresh(session)
            if not index.dim:
                return None
            model, ids = index.model, self.papers.ids
            counted = generation(session, vectors.COUNTER)
            _, before = self._read.get("vectors", (None, None))
            if before is None or before.model != model:
                rows = index.matrix_for(session, ids.tolist())
            else:
                place, known = places(ids, before.ids)
                late = vectors.written_since(session, model, before.counted)
                moved = np.where(known & ~np.isin(ids, late), place, -1)
                new = index.matrix_for(session, ids[moved < 0].tolist())
                rows = carried(before.rows, new, moved)
            self._read["vectors"] = None, _Vectors(model, counted, ids, rows)
            return rows, index.matrix_for(session, [concept.id for concept in concepts])


@dataclass(frozen=True)
class _Vectors:
    """Vectors of papers as they were at one count of their changes."""

    model: str
    counted: int
    ids: Rows
    rows: Array


_SOME = 1_000  # ids in one statement


def chunks(page_ids: Sequence[int]) -> Iterator[list[int]]:
    """The ids in runs that one statement takes."""
    every = iter(page_ids)
    return iter(lambda: list(islice(every, _SOME)), [])


def alive(session: Session, page_ids: Collection[int], *kinds: PageKind) -> set[int]:
    """Those of the pages that are there, and of one of these kinds still."""
    found: set[int] = set()
    for some in chunks(sorted(page_ids)):
        statement = sa.select(col(Page.id)).where(col(Page.id).in_(some), col(Page.kind).in_(kinds))
        found.update(page_id or 0 for page_id in session.connection().execute(statement).scalars())
    return found


def _pairs(rows: Sequence[Any]) -> Rows:
    """Rows of two ids as an array of two columns."""
    return np.array([tuple(row) for row in rows], np.int64).reshape(-1, 2)


def concepts(session: Session) -> tuple[ConceptText, ...]:
    """Every concept with its names and its definition."""
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


def texts(session: Session, page_ids: Sequence[int]) -> Iterator[PaperText]:
    """What these papers say, some at a time."""
    for some in chunks(page_ids):
        for row in session.connection().execute(
            sa.select(col(PageText.page_id), col(PageText.title), col(PageText.text)).where(
                col(PageText.page_id).in_(some)
            )
        ):
            yield PaperText(*row)


def abstracts(session: Session, page_ids: Sequence[int]) -> dict[int, str]:
    """The abstracts of the papers to link: a quotation says whether it stands there."""
    found: dict[int, str] = {}
    for some in chunks(page_ids):
        rows = session.connection().execute(
            sa.select(col(Paper.page_id), col(Paper.abstract)).where(col(Paper.page_id).in_(some))
        )
        found |= {page_id or 0: abstract for page_id, abstract in rows}
    return found


def about(session: Session, status: LinkStatus) -> Rows:
    """Pairs of a paper and what it is, or is not, about."""
    rows = session.connection().execute(
        sa.select(col(Link.source_id), col(Link.target_id)).where(
            col(Link.relation) == Relation.ABOUT, col(Link.status) == status
        )
    )
    return _pairs(rows.all())


def excluded(session: Session, page_ids: Sequence[int]) -> Rows:
    """Pairs of these papers and what is not to be proposed to them, ids of any pages.

    What is put off, and what is linked with them already: by any relation and from either side, a
    [[wikilink]] too, whichever of its names it was written by.
    """
    accepted = col(Link.status) == LinkStatus.ACCEPTED
    put_off = sa.and_(col(Link.status) == LinkStatus.DEFERRED, col(Link.relation) == Relation.ABOUT)
    found: list[Any] = []
    for some in chunks(page_ids):
        found += session.connection().execute(
            sa.select(col(Link.source_id), col(Link.target_id)).where(
                col(Link.source_id).in_(some), sa.or_(accepted, put_off)
            )
        )
        found += session.connection().execute(
            sa.select(col(Link.target_id), col(Link.source_id))
            .join(Page, col(Page.id) == col(Link.source_id))
            .where(col(Link.target_id).in_(some), accepted, col(Page.kind) == PageKind.CONCEPT)
        )
    return _pairs(found)


def comembers(session: Session) -> Rows:
    """Papers of one thread, two by two; a thread too long to mean closeness is left out."""
    members: dict[int, list[int]] = {}
    for source_id, target_id in session.connection().execute(
        sa.select(col(Link.source_id), col(Link.target_id)).where(
            col(Link.relation) == Relation.PART_OF, col(Link.status) == LinkStatus.ACCEPTED
        )
    ):
        members.setdefault(target_id, []).append(source_id)
    pairs = {
        pair
        for ids in members.values()
        if len(ids) <= _LARGEST_THREAD
        for pair in combinations(sorted(ids), 2)
    }
    return _pairs(sorted(pairs))


def citations(session: Session) -> Rows:
    """Pairs of papers of which one cites the other, or that cite much the same, where a source gave that."""
    citing = session.connection().execute(
        sa.select(col(Paper.page_id), col(Paper.references)).where(
            col(Paper.page_id).is_not(None), sa.cast(col(Paper.references), sa.String) != "[]"
        )
    )
    cited: list[tuple[int, str]] = [
        (page_id or 0, reference)
        for page_id, references in citing.all()
        for reference in dict.fromkeys(references)
    ]
    if not cited:
        return _pairs([])
    names = session.connection().execute(
        sa.select(
            col(Identifier.scheme) + sa.literal(":") + col(Identifier.value), col(Paper.page_id)
        )
        .join(Paper, col(Paper.id) == col(Identifier.paper_id))
        .where(col(Paper.page_id).is_not(None))
    )
    known: dict[str, int] = {name: page_id or 0 for name, page_id in names.all()}
    direct = {
        (page_id, known[reference])
        for page_id, reference in cited
        if known.get(reference, page_id) != page_id
    }
    return _pairs(sorted(direct | _coupled(cited)))


def _coupled(cited: Sequence[tuple[int, str]]) -> set[Pair]:
    """Papers that share references (bibliographic coupling). What many cite says little: left out."""
    papers, rows = np.unique([page_id for page_id, _ in cited], return_inverse=True)
    _, columns = np.unique([reference for _, reference in cited], return_inverse=True)
    ones = np.ones(len(cited), np.float32)
    cites = sparse.csr_matrix((ones, (rows, columns)))
    times = np.bincount(columns)
    cites = cites[:, (times > 1) & (times <= _OFTEN_CITED)]
    shared = sparse.triu(cites @ cites.T, k=1).tocoo()
    close = shared.data >= _SHARED_REFERENCES
    pairs = zip(shared.row[close], shared.col[close], strict=True)
    return {(int(papers[one]), int(papers[other])) for one, other in pairs}
