"""Numbers in the texts of pages, as rows: typed counters and live claims. `pages` writes them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.records import (
    GONE,
    Digest,
    Link,
    LinkStatus,
    Page,
    PageKind,
    PageNumber,
    Paper,
    Relation,
    Role,
    Thread,
    ThreadStatus,
)
from app.domain.typed_counters import counters


def note(session: Session, *pages: Page, fresh: bool = False) -> None:
    """Make the rows of pages agree with their bodies; `fresh` ones have none yet."""
    if not fresh:
        session.connection().execute(_FORGET, {"pages": [page.id for page in pages]})
    found = [
        {
            "page_id": page.id,
            "start": each.start,
            "counts": each.counts.value,
            "says": each.says,
            "around": each.around,
        }
        for page in pages
        if page.kind not in GONE
        for each in counters(page.body)
    ]
    if found:
        session.connection().execute(sa.insert(PageNumber), found)


_FORGET = sa.delete(PageNumber).where(
    col(PageNumber.page_id).in_(sa.bindparam("pages", expanding=True))
)


def listed(session: Session, *, typed: bool, limit: int) -> list[Any]:
    """Typed counters or live claims, the page that was changed last first.

    Rows: page_id, slug, title, kind, version, updated_at, start, counts, says, around, and the days of
    its digest and its paper.
    """
    statement = _TYPED if typed else _LIVE
    return list(session.connection().execute(statement, {"limit": limit}))


def _listed(condition: Any) -> sa.Select[Any]:
    rows: Any = (
        sa.select(
            col(PageNumber.page_id),
            col(Page.slug),
            col(Page.title),
            col(Page.kind),
            col(Page.version),
            col(Page.updated_at),
            col(PageNumber.start),
            col(PageNumber.counts),
            col(PageNumber.says),
            col(PageNumber.around),
            sa.func.coalesce(col(Digest.day), "").label("day"),
            sa.func.coalesce(col(Paper.published), "").label("published"),
        )
        .join(Page, col(Page.id) == col(PageNumber.page_id))
        .outerjoin(Digest, col(Digest.page_id) == col(Page.id))
        .outerjoin(Paper, col(Paper.page_id) == col(Page.id))
        .where(condition)
        .order_by(col(Page.updated_at).desc(), col(Page.id), col(PageNumber.start))
        .limit(sa.bindparam("limit"))
    )
    return rows  # type: ignore[no-any-return]


_TYPED = _listed(col(PageNumber.counts) != "claim")
_LIVE = _listed(col(PageNumber.counts) == "claim")


def threads_of(session: Session, page_ids: list[int]) -> dict[int, list[str]]:
    """The slugs of the threads that each page is part of."""
    found: dict[int, list[str]] = {}
    for page_id, slug in session.connection().execute(_THREADS, {"ids": page_ids}):
        found.setdefault(page_id, []).append(slug)
    return found


_THREADS = (
    sa.select(col(Link.source_id), col(Page.slug))
    .join(Page, col(Page.id) == col(Link.target_id))
    .where(
        col(Link.source_id).in_(sa.bindparam("ids", expanding=True)),
        col(Link.relation) == Relation.PART_OF,
        col(Link.status) == LinkStatus.ACCEPTED,
    )
    .order_by(col(Page.id))
)


# ---------------------------------------------------------------- what else Health looks at


def stale_concepts(session: Session, *, least: int, limit: int) -> list[Any]:
    """Rows (slug, title, papers): concepts whose text is older than `least` accepted papers or more.

    The one with most comes first.
    """
    values = {"least": least, "limit": limit}
    return list(session.connection().execute(_STALE, values))


def _stale() -> sa.Select[Any]:
    moment = sa.func.coalesce(col(Link.decided_at), col(Link.created_at))
    number = sa.func.count()
    rows: Any = (
        sa.select(col(Page.slug), col(Page.title), number.label("papers"))
        .join(Link, col(Link.target_id) == col(Page.id))
        .where(
            col(Page.kind) == PageKind.CONCEPT,
            col(Link.relation) == Relation.ABOUT,
            col(Link.status) == LinkStatus.ACCEPTED,
            moment > col(Page.updated_at),
        )
        .group_by(col(Page.id), col(Page.slug), col(Page.title))
        .having(number >= sa.bindparam("least"))
        .order_by(number.desc(), col(Page.title))
        .limit(sa.bindparam("limit"))
    )
    return rows  # type: ignore[no-any-return]


_STALE = _stale()


def contradicted(session: Session, *, limit: int) -> list[Any]:
    """Rows (slug, title, papers): open threads with members that contradict their claim."""
    return list(session.connection().execute(_CONTRADICTED, {"limit": limit}))


def _contradicted() -> sa.Select[Any]:
    number = sa.func.count()
    rows: Any = (
        sa.select(col(Page.slug), col(Page.title), number.label("papers"))
        .join(Link, col(Link.target_id) == col(Page.id))
        .outerjoin(Thread, col(Thread.page_id) == col(Page.id))
        .where(
            col(Page.kind) == PageKind.THREAD,
            col(Link.relation) == Relation.PART_OF,
            col(Link.status) == LinkStatus.ACCEPTED,
            col(Link.role) == Role.CONTRADICTS,
            sa.or_(col(Thread.status).is_(None), col(Thread.status) == ThreadStatus.OPEN),
        )
        .group_by(col(Page.id), col(Page.slug), col(Page.title))
        .order_by(number.desc(), col(Page.title))
        .limit(sa.bindparam("limit"))
    )
    return rows  # type: ignore[no-any-return]


_CONTRADICTED = _contradicted()
