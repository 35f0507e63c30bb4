"""Pages whose words hold a name of another page and that have no link to it, by the word index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.records import GONE, AuthorKind, Link, Page, Paper
from app.store import search

LOOKED_AT = 60  # pages whose words hold a name and that have no link; newest first


def candidates(session: Session, page_id: int, names: Sequence[str]) -> list[Any]:
    """Pages that may say one of the names of a page, the newest first, in two statements.

    Rows: id, slug, title, kind, body, abstract ("" for what is no paper). Pages with a link to it
    of any status are left out: what is linked or was decided does not come again.
    """
    saying = search.saying_any(session, names, limit=LOOKED_AT + 1, unlinked_to=page_id)
    found = [each for each in saying if each != page_id]
    if not found:
        return []
    rows = session.connection().execute(_CANDIDATES, {"ids": found, "page": page_id})
    return list(rows)


def candidate(session: Session, page_id: int, slug: str) -> Any:
    """One such page by its address, or None: gone, the page itself, or linked meanwhile."""
    return session.connection().execute(_ONE, {"slug": slug, "page": page_id}).first()


_LINKED = sa.exists().where(
    col(Link.source_id) == col(Page.id), col(Link.target_id) == sa.bindparam("page")
)
_ROWS = (
    sa.select(
        col(Page.id),
        col(Page.slug),
        col(Page.title),
        col(Page.kind),
        # What was extracted from an abstract is no text to be edited: the abstract speaks.
        sa.case((col(Page.author_kind) == AuthorKind.EXTRACT, ""), else_=col(Page.body)).label(
            "body"
        ),
        sa.func.coalesce(col(Paper.abstract), "").label("abstract"),
    )
    .outerjoin(Paper, col(Paper.page_id) == col(Page.id))
    .where(~_LINKED, col(Page.kind).not_in(GONE))
)
_CANDIDATES = _ROWS.where(col(Page.id).in_(sa.bindparam("ids", expanding=True))).order_by(
    col(Page.id).desc()
)
_ONE = _ROWS.where(col(Page.slug) == sa.bindparam("slug"), col(Page.id) != sa.bindparam("page"))
