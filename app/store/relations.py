"""What papers say of one another is read from here: names, texts, and what was decided between them.

`NameIndex` holds the names of every kept paper: only what changed is read again. The other
functions read for some papers at a time; ids are those of pages.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.records import (
    Alias,
    AliasKind,
    Done,
    Identifier,
    Link,
    LinkStatus,
    Page,
    PageKind,
    PageText,
    Paper,
)
from app.domain.relations import RELATIONS, Name, Names, PaperNames, is_ordinary
from app.store import search
from app.store.corpus import chunks
from app.store.db import TEXTS, generations, rows_of

_COUNTERS = (TEXTS, "concepts", *map(rows_of, ("paper", "page", "alias")))
_SAMPLE = 30  # texts in which a name's way of writing is looked at
_FEW = 60  # papers that may say a name, however few there are


class Text(NamedTuple):
    """A kept paper as it is read: `references` as its source gave them ("arxiv:…")."""

    title: str
    text: str
    abstract: str
    hash: str
    published: str
    references: tuple[str, ...]


@dataclass
class NameIndex:
    """The names of the kept papers, kept between batches. For one thread."""

    names: Names = field(default_factory=Names)
    hashes: dict[int, str] = field(default_factory=dict)  # of the text each was read in, by page
    concepts: frozenset[str] = frozenset()  # the keys of every concept's names
    _stands: tuple[int, ...] | None = None  # the counters at which it was up to date

    def refresh(self, session: Session) -> None:
        """Bring it up to date with every kept paper and every concept's names."""
        counted = generations(session)
        stands = tuple(counted.get(name, 0) for name in _COUNTERS)
        if self._stands == stands:
            return
        rows = session.connection().execute(
            sa.select(col(PageText.page_id), col(PageText.hash)).join(
                Paper, col(Paper.page_id) == col(PageText.page_id)
            )
        )
        hashes: dict[int, str] = dict(rows.all())
        for gone in self.hashes.keys() - hashes.keys():
            self.names.remove(gone)
        changed = [page for page, seen in hashes.items() if self.hashes.get(page) != seen]
        for paper in _named(session, changed):
            self.names.add(paper)
        self.hashes = hashes
        self.concepts = _concept_keys(session)
        self._stands = stands

    def ordinary(self, session: Session, names: Iterable[Name]) -> set[Name]:
        """Those of the names that are words of the field: written small, or said by very many."""
        most = max(_FEW, len(self.hashes) // 20)
        found = set()
        for name in names:
            pages = search.saying(session, name.text, limit=most + 1)
            if len(pages) > most:
                found.add(name)
                continue
            rows = session.connection().execute(
                sa.select(col(PageText.title), col(PageText.text)).where(
                    col(PageText.page_id).in_(pages[:_SAMPLE])
                )
            )
            if is_ordinary(name, (f"{title}\n{text}" for title, text in rows)):
                found.add(name)
        return found


def _named(session: Session, page_ids: Sequence[int]) -> Iterable[PaperNames]:
    for some in chunks(page_ids):
        aliases: dict[int, list[str]] = {}
        for page_id, name in session.connection().execute(
            sa.select(col(Alias.page_id), col(Alias.name))
            .where(col(Alias.page_id).in_(some), col(Alias.kind) == AliasKind.NAME)
            .order_by(col(Alias.id))
        ):
            aliases.setdefault(page_id, []).append(name)
        arxiv: dict[int, list[str]] = {}
        for owner, value in session.connection().execute(
            sa.select(col(Paper.page_id), col(Identifier.value))
            .join(Identifier, col(Identifier.paper_id) == col(Paper.id))
            .where(col(Paper.page_id).in_(some), col(Identifier.scheme) == "arxiv")
        ):
            arxiv.setdefault(owner or 0, []).append(value)
        for page_id, title in session.connection().execute(
            sa.select(col(PageText.page_id), col(PageText.title)).where(
                col(PageText.page_id).in_(some)
            )
        ):
            yield PaperNames(
                page_id, title, tuple(aliases.get(page_id, ())), tuple(arxiv.get(page_id, ()))
            )


def _concept_keys(session: Session) -> frozenset[str]:
    is_concept = col(Page.kind) == PageKind.CONCEPT
    titles = sa.select(col(Page.title_key)).where(is_concept)
    aliases = (
        sa.select(col(Alias.key)).join(Page, col(Page.id) == col(Alias.page_id)).where(is_concept)
    )
    return frozenset(session.connection().execute(sa.union(titles, aliases)).scalars())


def texts(session: Session, page_ids: Iterable[int]) -> dict[int, Text]:
    """What these kept papers say, and what their sources gave beside."""
    found: dict[int, Text] = {}
    for some in chunks(sorted(page_ids)):
        for row in session.connection().execute(
            sa.select(
                col(PageText.page_id),
                col(PageText.title),
                col(PageText.text),
                col(Paper.abstract),
                col(PageText.hash),
                col(Paper.published),
                col(Paper.references),
            )
            .join(Paper, col(Paper.page_id) == col(PageText.page_id))
            .where(col(PageText.page_id).in_(some))
        ):
            page_id, title, text, abstract, seen, published, references = row
            found[page_id] = Text(title, text, abstract, seen, published, tuple(references))
    return found


def identifiers(session: Session, page_ids: Iterable[int]) -> dict[int, set[str]]:
    """The identifiers of these papers, as references name them ("arxiv:…", "doi:…")."""
    found: dict[int, set[str]] = {}
    for some in chunks(sorted(page_ids)):
        for page_id, scheme, value in session.connection().execute(
            sa.select(col(Paper.page_id), col(Identifier.scheme), col(Identifier.value))
            .join(Paper, col(Paper.id) == col(Identifier.paper_id))
            .where(col(Paper.page_id).in_(some))
        ):
            found.setdefault(page_id or 0, set()).add(f"{scheme}:{value}")
    return found


def decided(session: Session, page_ids: Collection[int]) -> set[tuple[int, int]]:
    """Pairs from these papers of which it was decided how, or that not, the one speaks of the other."""
    found: set[tuple[int, int]] = set()
    for some in chunks(sorted(page_ids)):
        rows = session.connection().execute(
            sa.select(col(Link.source_id), col(Link.target_id)).where(
                col(Link.source_id).in_(some),
                col(Link.relation).in_(RELATIONS),
                col(Link.status) != LinkStatus.PROPOSED,
            )
        )
        found.update((source, target) for source, target in rows)
    return found


def saying(session: Session, names: Iterable[Name], *, step: str) -> set[int]:
    """Kept papers that a step has seen and whose words hold one of the names; few for each name."""
    pages = {page for name in names for page in search.saying(session, name.text, limit=_FEW)}
    found: set[int] = set()
    for some in chunks(sorted(pages)):
        statement = (
            sa.select(col(Done.subject_id))
            .join(Paper, col(Paper.page_id) == col(Done.subject_id))
            .where(col(Done.step) == step, col(Done.subject_id).in_(some))
        )
        found.update(session.connection().execute(statement).scalars())
    return found
