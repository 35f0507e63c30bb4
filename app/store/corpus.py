"""What the linker reads of the wiki, and keeps between batches.

`Library` holds how often each kept paper says which words: only what changed is read again. The
other functions read what stands between papers and concepts; ids are those of pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.linking import Array, ConceptText, Pair, Papers, PaperText, Rows
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
from app.domain.words import Lexicon
from app.store.vectors import VectorIndex

_LARGEST_THREAD = 60


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
            new = Papers.read(texts(session, changed), self.lexicon)
            self.papers = self.papers.updated(order, new)
            self.hashes = hashes


_SOME = 1_000  # ids in one statement


def chunks(page_ids: Sequence[int]) -> Iterator[list[int]]:
    """The ids in runs that one statement takes."""
    every = iter(page_ids)
    return iter(lambda: list(islice(every, _SOME)), [])


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
    """Pairs of these papers that are put off, or that a person linked by more than a mention."""
    otherwise = sa.and_(
        col(Link.status) == LinkStatus.ACCEPTED,
        col(Link.relation).not_in([Relation.ABOUT, Relation.MENTIONS]),
    )
    put_off = sa.and_(col(Link.status) == LinkStatus.DEFERRED, col(Link.relation) == Relation.ABOUT)
    found: list[Any] = []
    for some in chunks(page_ids):
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


def vectors_of(
    session: Session, index: VectorIndex | None, concepts: Sequence[ConceptText], papers: Rows
) -> tuple[Array, Array] | None:
    """The vectors of the papers and of the concepts, a row each, zero where there is none yet."""
    if index is None:
        return None
    index.refresh(session)
    if not index.dim:
        return None
    return (
        index.matrix_for(session, papers.tolist()),
        index.matrix_for(session, [concept.id for concept in concepts]),
    )


def neighbours(session: Session) -> Rows:
    """Pairs of papers that share a thread, or of which one cites the other."""
    return _pairs([*_comembers(session), *_citations(session)])
