"""Links: writing edges and proposals, and reading them as rows for lists."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.domain.records import (
    Decision,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    Relation,
)
from app.errors import NotFound
from app.store.db import LARGEST_ID, bump

PAGE_SIZE = 50


def _is(status: LinkStatus) -> sa.ColumnElement[bool]:
    """The status as a literal, so that the index of waiting links can be used."""
    return col(Link.status) == sa.literal(status.value, sa.String(), literal_execute=True)


def get(session: Session, link_id: int) -> Link:
    found = session.get(Link, link_id) if 0 < link_id <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"There is no proposal {link_id}.")
    return found


def between(session: Session, source_id: int, target_id: int, relation: Relation) -> Link | None:
    return session.exec(
        select(Link).where(
            Link.source_id == source_id, Link.target_id == target_id, Link.relation == relation
        )
    ).first()


def add(session: Session, link: Link) -> Link:
    """Store a new link. Its pair and relation must not be there yet."""
    session.add(link)
    session.flush()
    bump(session)
    return link


# How the queue may be sorted: the columns, and whether they fall.
_ORDERS: dict[str, tuple[tuple[Any, ...], bool]] = {
    "confidence": ((col(Link.confidence), col(Link.id)), True),
    "newest": ((col(Link.created_at), col(Link.id)), True),
    "page": ((col(Link.source_id), col(Link.id)), False),
}


def _ends(status: LinkStatus) -> tuple[Any, Any, sa.Select[Any]]:
    source, target = aliased(Page), aliased(Page)
    statement = (
        sa.select(
            col(Link.id),
            col(Link.relation),
            col(Link.role),
            col(Link.confidence),
            col(Link.reason),
            col(Link.evidence),
            col(Link.signals),
            col(Link.origin),
            col(Link.created_at),
            col(source.slug).label("source_slug"),
            col(source.title).label("source_title"),
            col(source.kind).label("source_kind"),
            col(target.slug).label("target_slug"),
            col(target.title).label("target_title"),
            col(target.kind).label("target_kind"),
        )
        .join(source, col(source.id) == col(Link.source_id))
        .join(target, col(target.id) == col(Link.target_id))
        .where(_is(status))
    )
    return source, target, statement


def proposals(
    session: Session,
    *,
    thread: str = "",
    sort: str = "confidence",
    tension: bool = False,
    status: LinkStatus = LinkStatus.PROPOSED,
    above: float = 0.0,
    after: int = 0,
    limit: int = PAGE_SIZE,
    offset: int = 0,
) -> list[Any]:
    """Rows of the review queue with both sides, in one statement whatever their number.

    `thread` keeps proposals whose source or target is that thread or a member of it; `tension`
    keeps the `contradicts` ones, otherwise they are left out. `after` is the id of the last link
    shown: what was decided meanwhile makes the next rows neither skip nor repeat.
    """
    _, _, statement = _ends(status)
    contradicts = col(Link.relation) == Relation.CONTRADICTS
    statement = statement.where(contradicts if tension else ~contradicts)
    if above:
        statement = statement.where(col(Link.confidence) >= above)
    if thread:
        members = _members(thread)
        statement = statement.where(
            col(Link.source_id).in_(members) | col(Link.target_id).in_(members)
        )
    keys, falling = _ORDERS.get(sort, _ORDERS["confidence"])
    last = session.get(Link, after) if after else None
    if last is not None:
        here = sa.tuple_(*keys)
        there = sa.tuple_(*(sa.literal(getattr(last, key.key), key.type) for key in keys))
        statement = statement.where(here < there if falling else here > there)
    order = [key.desc() if falling else key for key in keys]
    statement = statement.order_by(*order).limit(limit).offset(offset)
    return list(session.connection().execute(statement))


def _members(thread: str) -> sa.CompoundSelect[Any]:
    page = sa.select(col(Page.id)).where(col(Page.slug) == thread)
    return sa.union(
        page,
        sa.select(col(Link.source_id)).where(
            col(Link.target_id).in_(page),
            col(Link.relation) == Relation.PART_OF,
            col(Link.status) == LinkStatus.ACCEPTED,
        ),
    )


def proposal(session: Session, link_id: int) -> Any:
    """One row like those of `proposals`, whatever its status. Raises NotFound."""
    get(session, link_id)
    source, target = aliased(Page), aliased(Page)
    row = (
        session.connection()
        .execute(
            sa.select(
                col(Link.id),
                col(Link.relation),
                col(Link.role),
                col(Link.confidence),
                col(Link.reason),
                col(Link.evidence),
                col(Link.signals),
                col(Link.origin),
                col(Link.status),
                col(Link.created_at),
                col(source.slug).label("source_slug"),
                col(source.title).label("source_title"),
                col(source.kind).label("source_kind"),
                col(target.slug).label("target_slug"),
                col(target.title).label("target_title"),
                col(target.kind).label("target_kind"),
            )
            .join(source, col(source.id) == col(Link.source_id))
            .join(target, col(target.id) == col(Link.target_id))
            .where(col(Link.id) == link_id)
        )
        .one()
    )
    return row


def count(
    session: Session, status: LinkStatus = LinkStatus.PROPOSED, *, tension: bool = False
) -> int:
    """How many links have this status; those in tension apart from the others."""
    contradicts = col(Link.relation) == Relation.CONTRADICTS
    return (
        session.scalar(
            sa.select(sa.func.count()).where(_is(status), contradicts if tension else ~contradicts)
        )
        or 0
    )


def backlinks(session: Session, page_id: int, *, limit: int = 50, offset: int = 0) -> list[Any]:
    """Accepted links to a page, newest source first: slug, title, kind, relation, evidence, role."""
    return list(
        session.connection().execute(
            sa.select(
                col(Page.slug),
                col(Page.title),
                col(Page.kind),
                col(Link.relation),
                col(Link.role),
                col(Link.note),
                col(Link.evidence),
                col(Link.origin),
            )
            .join(Page, col(Page.id) == col(Link.source_id))
            .where(col(Link.target_id) == page_id, col(Link.status) == LinkStatus.ACCEPTED)
            .order_by(col(Page.updated_at).desc(), col(Page.id).desc(), col(Link.id))
            .limit(limit)
            .offset(offset)
        )
    )


def outgoing(session: Session, page_id: int, *, limit: int = 200) -> list[Any]:
    """Accepted links from a page: slug, title, kind, relation, role, note, day, evidence, origin."""
    return list(
        session.connection().execute(
            sa.select(
                col(Page.slug),
                col(Page.title),
                col(Page.kind),
                col(Link.relation),
                col(Link.role),
                col(Link.note),
                col(Link.day),
                col(Link.evidence),
                col(Link.origin),
            )
            .join(Page, col(Page.id) == col(Link.target_id))
            .where(col(Link.source_id) == page_id, col(Link.status) == LinkStatus.ACCEPTED)
            .order_by(col(Link.relation), col(Page.title))
            .limit(limit)
        )
    )


def suggestions(session: Session, page_id: int, *, limit: int = 8) -> list[Any]:
    """Proposals that touch a page, surest first; `outgoing` says on which side the page stands."""
    other = aliased(Page)
    outgoing_side = col(Link.source_id) == page_id
    return list(
        session.connection().execute(
            sa.select(
                col(Link.id),
                col(Link.relation),
                col(Link.confidence),
                col(Link.evidence),
                col(Link.reason),
                outgoing_side.label("outgoing"),
                col(other.slug),
                col(other.title),
                col(other.kind),
            )
            .join(
                other,
                col(other.id)
                == sa.case((outgoing_side, col(Link.target_id)), else_=col(Link.source_id)),
            )
            .where(
                outgoing_side | (col(Link.target_id) == page_id),
                col(Link.status) == LinkStatus.PROPOSED,
            )
            .order_by(col(Link.confidence).desc(), col(Link.id))
            .limit(limit)
        )
    )


def counts(session: Session, page_id: int) -> dict[str, int]:
    """Accepted links at a page: `papers` about it, `threads` it is part of, `in`, `out`."""
    source = aliased(Page)
    row = (
        session.connection()
        .execute(
            sa.select(
                sa.func.count().filter(col(Link.target_id) == page_id).label("incoming"),
                sa.func.count().filter(col(Link.source_id) == page_id).label("outgoing"),
                sa.func.count(sa.distinct(col(Link.source_id)))
                .filter((col(Link.target_id) == page_id) & (col(source.kind) == PageKind.PAPER))
                .label("papers"),
                sa.func.count()
                .filter((col(Link.source_id) == page_id) & (col(Link.relation) == Relation.PART_OF))
                .label("threads"),
            )
            .join(source, col(source.id) == col(Link.source_id))
            .where(
                (col(Link.source_id) == page_id) | (col(Link.target_id) == page_id),
                col(Link.status) == LinkStatus.ACCEPTED,
            )
        )
        .one()
    )
    return {
        "incoming": row.incoming,
        "outgoing": row.outgoing,
        "papers": row.papers,
        "threads": row.threads,
    }


def edges_around(session: Session, page_ids: Iterable[int], *, limit: int = 400) -> list[Any]:
    """Edges with an end among the pages: source_id, target_id, relation, status, confidence."""
    ids = list(page_ids)
    return list(
        session.connection().execute(
            sa.select(
                col(Link.source_id),
                col(Link.target_id),
                col(Link.relation),
                col(Link.status),
                col(Link.confidence),
            )
            .where(
                col(Link.source_id).in_(ids) | col(Link.target_id).in_(ids),
                col(Link.status).in_([LinkStatus.ACCEPTED, LinkStatus.PROPOSED]),
            )
            .order_by(col(Link.status), col(Link.confidence).desc(), col(Link.id).desc())
            .limit(limit)
        )
    )


def propose(
    session: Session,
    *,
    source_id: int,
    target_id: int,
    relation: Relation,
    confidence: float,
    reason: str,
    evidence: list[dict[str, Any]],
    signals: list[dict[str, Any]],
    text_hash: str,
    origin: Origin,
    now: datetime,
) -> bool:
    """Put a proposal in the queue; False when the pair is linked, decided or a page with itself.

    A proposal that still waits is brought up to date instead of being made twice.
    """
    if source_id == target_id:
        return False
    standing = between(session, source_id, target_id, relation)
    if standing is None:
        add(
            session,
            Link(
                source_id=source_id,
                target_id=target_id,
                relation=relation,
                status=LinkStatus.PROPOSED,
                origin=origin,
                confidence=confidence,
                reason=reason,
                evidence=evidence,
                signals=signals,
                text_hash=text_hash,
                created_at=now,
            ),
        )
        return True
    if standing.status != LinkStatus.PROPOSED:
        return False
    standing.confidence, standing.reason = confidence, reason
    standing.evidence, standing.signals = evidence, signals
    standing.text_hash = text_hash
    session.add(standing)
    return True


def withdraw_proposals(
    session: Session, source_id: int, *, keep: set[tuple[int, Relation]]
) -> None:
    """Take back the linker's waiting proposals of a page that it would not make any more.

    One that a person has decided and put back stays: their decisions would go with it.
    """
    decided = sa.select(col(Decision.link_id)).where(col(Decision.link_id).is_not(None))
    for link in session.exec(
        select(Link).where(
            Link.source_id == source_id,
            Link.status == LinkStatus.PROPOSED,
            Link.origin == Origin.LINKER,
            col(Link.id).not_in(decided),
        )
    ):
        if (link.target_id, link.relation) not in keep:
            session.delete(link)
            bump(session)
