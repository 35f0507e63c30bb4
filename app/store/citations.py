"""Kept papers as citations, page by page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.citations import Citation, of_paper
from app.domain.identifiers import PaperId
from app.domain.queries import Query
from app.domain.records import Identifier, PageKind, PageTag, Paper, PaperState
from app.store import search

AT_ONCE = 400


def page_of(
    session: Session, query: Query | None, *, after: int = 0
) -> tuple[list[Citation], int | None]:
    """The next kept papers that fit the query, in the order in which they came to the wiki.

    And the mark to go on from, None at the end. At most `AT_ONCE` papers are looked at.
    """
    rows = (
        session.connection()
        .execute(
            _FACTS.where(col(Paper.id) > after, col(Paper.state) == PaperState.KEPT)
            .order_by(col(Paper.id))
            .limit(AT_ONCE)
        )
        .all()
    )
    mark = rows[-1].id if len(rows) == AT_ONCE else None
    if query is not None:
        fits = _fitting(session, query, [row.page_id for row in rows])
        rows = [row for row in rows if row.page_id in fits]
    return _citations(session, rows), mark


def of_page(session: Session, page_id: int) -> Citation | None:
    """The citation of one paper's page."""
    rows = session.connection().execute(_FACTS.where(col(Paper.page_id) == page_id)).all()
    found = _citations(session, rows)
    return found[0] if found else None


_FACTS = sa.select(
    col(Paper.id),
    col(Paper.page_id),
    col(Paper.title),
    col(Paper.abstract),
    col(Paper.authors),
    col(Paper.published),
    col(Paper.venue),
    col(Paper.categories),
    col(Paper.extra),
).where(col(Paper.page_id).is_not(None))


def _fitting(session: Session, query: Query, page_ids: Sequence[int]) -> set[int]:
    """Which of these pages the query finds: every filter, every word."""
    if query.filters.kind not in (None, PageKind.PAPER):
        return set()
    left = search.among(session, query, query.filters, page_ids) if page_ids else set()
    if query.is_empty or not left:
        return left
    held = search.holding(session, query, left, typing=False)
    # Signs, and scripts without spaces, which the word index does not take apart.
    return held or left & set(search.containing(session, query, query.filters))


def _citations(session: Session, rows: Sequence[Any]) -> list[Citation]:
    identifiers: dict[int, list[PaperId]] = defaultdict(list)
    tags: dict[int, list[str]] = defaultdict(list)
    if rows:
        for paper_id, scheme, value in session.connection().execute(
            sa.select(col(Identifier.paper_id), col(Identifier.scheme), col(Identifier.value))
            .where(col(Identifier.paper_id).in_([row.id for row in rows]))
            .order_by(col(Identifier.scheme), col(Identifier.id))
        ):
            if paper_id is not None:
                identifiers[paper_id].append(PaperId(scheme, value))
        for page_id, name in session.connection().execute(
            sa.select(col(PageTag.page_id), col(PageTag.name))
            .where(col(PageTag.page_id).in_([row.page_id for row in rows]))
            .order_by(col(PageTag.name))
        ):
            tags[page_id].append(name)
    return [
        of_paper(
            title=row.title,
            abstract=row.abstract,
            authors=row.authors,
            published=row.published,
            venue=row.venue,
            categories=row.categories,
            identifiers=identifiers[row.id],
            tags=tags[row.page_id],
            extra=row.extra,
        )
        for row in rows
    ]
