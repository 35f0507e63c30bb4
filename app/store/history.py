"""What was: revisions and links as they stood at a moment, and what was decided of a link. Reads alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.domain.records import (
    Decision,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    Relation,
    Revision,
    Role,
)
from app.store import graph, links
from app.store.db import LARGEST_ID
from app.store.past import Past

MOST_TEXT = 30_000_000  # characters of a page's revisions that are read to say who wrote what
MOST_REVISIONS = 2_000
_AT_A_TIME = 50


# ---------------------------------------------------------------- revisions


def texts(session: Session, page_id: int) -> list[tuple[int, str]]:
    """Number and text of a page's revisions, the oldest first: of a page that has very many, the newest.

    Revisions are numbered from 1, so that the first number says whether some were left out.
    """
    found: list[tuple[int, str]] = []
    size, before = 0, 0
    while size <= MOST_TEXT and len(found) < MOST_REVISIONS:
        values = {"page": page_id, "before": before or LARGEST_ID, "limit": _AT_A_TIME}
        rows = session.connection().execute(_TEXTS, values).all()
        for number, body in rows:
            size += len(body)
            if found and size > MOST_TEXT:
                break
            found.append((number, body))
        if len(rows) < _AT_A_TIME:
            break
        before = rows[-1][0]
    return found[::-1]


_TEXTS = (
    sa.select(col(Revision.number), col(Revision.body))
    .where(
        col(Revision.page_id) == sa.bindparam("page"),
        col(Revision.number) < sa.bindparam("before"),
    )
    .order_by(col(Revision.number).desc())
    .limit(sa.bindparam("limit"))
)


def makers(session: Session, page_id: int, numbers: Collection[int]) -> dict[int, Any]:
    """Of revisions by number: number, author_kind, author, prompt, note, at."""
    found: dict[int, Any] = {}
    wanted = sorted(numbers)
    for start in range(0, len(wanted), 500):
        values = {"page": page_id, "numbers": wanted[start : start + 500]}
        found |= {row.number: row for row in session.connection().execute(_MAKERS, values)}
    return found


_MAKERS = sa.select(
    *(getattr(Revision, name) for name in ("number", "author_kind", "author", "prompt", "note")),
    col(Revision.at),
).where(
    col(Revision.page_id) == sa.bindparam("page"),
    col(Revision.number).in_(sa.bindparam("numbers", expanding=True)),
)


def in_force(session: Session, page_id: int, before: datetime) -> Revision | None:
    """The revision of a page that stood just before this moment; None when there was none yet."""
    return (
        session.execute(
            sa.select(Revision)
            .where(col(Revision.page_id) == page_id, col(Revision.at) < before)
            .order_by(col(Revision.number).desc())
            .limit(1)
        )
        .scalars()
        .first()
    )


def first_at(session: Session, page_id: int) -> datetime | None:
    """When the first revision of a page was made."""
    statement = sa.select(sa.func.min(Revision.at)).where(col(Revision.page_id) == page_id)
    return session.connection().execute(statement).scalar()


# ---------------------------------------------------------------- links at a moment


@dataclass(frozen=True)
class LinkThen:
    """A link that was accepted, with the page at its other end as it was called then.

    `id` is 0 where it stood in a text and has no row any more.
    """

    id: int
    relation: Relation
    role: Role | None
    note: str
    origin: Origin
    slug: str
    title: str
    kind: PageKind


def links_then(
    session: Session, page_id: int, then: Past, *, outgoing: bool, limit: int = 200
) -> list[LinkThen]:
    """Links of a page that were accepted just before a moment, on one side of it, by relation and title."""
    here, there = (Link.source_id, Link.target_id) if outgoing else (Link.target_id, Link.source_id)
    among = sa.select(col(Link.id)).where(col(here) == page_id).correlate(None)
    statement = (
        sa.select(
            *(getattr(Link, name) for name in ("id", "relation", "role", "note", "origin")),
            *(getattr(Page, name) for name in ("slug", "title", "kind")),
            col(there).label("other"),
        )
        .join(Page, col(Page.id) == col(there))
        .where(
            col(here) == page_id,
            col(Link.id).not_in(then.replaced_at({page_id})),
            col(there).not_in(then.gone),
            *links.stood(LinkStatus.ACCEPTED, before=then.moment, among=among),
        )
        .order_by(col(Link.relation), col(Page.title), col(Link.id))
        .limit(limit)
    )
    rows: list[Any] = list(session.connection().execute(statement))
    past = [
        (each.target_id if outgoing else each.source_id, each)
        for each in then.of({page_id})
        if each.status == LinkStatus.ACCEPTED
        and (each.source_id if outgoing else each.target_id) == page_id
    ]
    names = graph.names(session, [other for other, _ in past])
    found = [
        LinkThen(
            row.id, row.relation, row.role, row.note, row.origin, *_called(then, row.other, row)
        )
        for row in rows
    ]
    found += [
        LinkThen(
            each.id,
            each.relation,
            each.role,
            each.note,
            each.origin,
            *_called(then, other, names[other]),
        )
        for other, each in past
        if other in names
    ]
    return sorted(found, key=lambda each: (each.relation, each.title, each.id))[:limit]


def _called(then: Past, page_id: int, row: Any) -> tuple[str, str, PageKind]:
    was = then.pages.get(page_id)
    return (row.slug, was.title, was.kind) if was else (row.slug, row.title, row.kind)


# ---------------------------------------------------------------- what was decided


def of_link(session: Session, link_id: int, *, limit: int = 200, before: int = 0) -> list[Any]:
    """The decisions about a link, undone ones and undos too, the newest first; see `of_page`."""
    statement = (
        _decisions()
        .where(col(Decision.link_id) == link_id, col(Decision.id) < (before or LARGEST_ID))
        .limit(limit)
    )
    return list(session.connection().execute(statement))


def of_page(session: Session, page_id: int, *, limit: int = 50, before: int = 0) -> list[Any]:
    """The decisions about a page's links, undone ones and undos too, the newest first.

    Rows: id, at, who, verdict, reason, batch, undone, undone_at, undoes_id, before, link_id, relation,
    status, origin; slug, title and kind of both sides. `before` is the id of the last one shown.
    """
    newest = [
        sa.select(
            sa.select(col(Decision.id).label("id"))
            .join(Link, col(Link.id) == col(Decision.link_id))
            .where(col(side) == page_id, col(Decision.id) < (before or LARGEST_ID))
            .order_by(col(Decision.id).desc())
            .limit(limit)
            .subquery()
        )
        for side in (Link.source_id, Link.target_id)
    ]
    statement = _decisions().where(col(Decision.id).in_(sa.union(*newest))).limit(limit)
    return list(session.connection().execute(statement))


@cache
def _decisions() -> Any:
    source, target, undo = aliased(Page), aliased(Page), aliased(Decision)
    return (
        sa.select(
            *(
                getattr(Decision, name)
                for name in ("id", "at", "who", "verdict", "reason", "batch", "undone")
            ),
            # Among the decisions about this link: of all of them an undo is not found by an index.
            sa.select(sa.func.min(undo.at))
            .where(
                col(Decision.undone),
                col(undo.link_id) == col(Decision.link_id),
                col(undo.undoes_id) == col(Decision.id),
            )
            .scalar_subquery()
            .label("undone_at"),
            col(Decision.undoes_id),
            col(Decision.before),
            col(Link.id).label("link_id"),
            *(getattr(Link, name) for name in ("relation", "status", "origin")),
            *(
                getattr(page, name).label(f"{side}_{name}")
                for side, page in (("source", source), ("target", target))
                for name in ("slug", "title", "kind")
            ),
        )
        .join(Link, col(Link.id) == col(Decision.link_id))
        .join(source, col(source.id) == col(Link.source_id))
        .join(target, col(target.id) == col(Link.target_id))
        .order_by(col(Decision.id).desc())
    )


def undoable(session: Session, link_ids: Collection[int]) -> set[int]:
    """The decisions that stand as the last word on these links: an undo begins with one of them."""
    statement = (
        sa.select(sa.func.max(Decision.id))
        .where(
            col(Decision.link_id).in_(link_ids),
            col(Decision.undone).is_(False),
            col(Decision.undoes_id).is_(None),
        )
        .group_by(col(Decision.link_id))
    )
    return {found for found in session.connection().execute(statement).scalars() if found}
