"""Pairs that the linker is unsure of, to be shown to a model once, and what it said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.domain.records import (
    CallState,
    Link,
    LinkStatus,
    ModelCall,
    Origin,
    Page,
    PageKind,
    PageText,
    Paper,
    Relation,
)
from app.domain.second_look import LEAST, MOST
from app.store import runs
from app.store.links import SECOND_LOOK

STEP = "look again"


@dataclass(frozen=True)
class Pair:
    """A proposal and the name of its concept; `hash` is that of what the concept says."""

    link: int
    name: str
    hash: str


def waiting(session: Session, *, now: datetime, limit: int) -> list[tuple[int, int]]:
    """(page of the paper, link) of unsure proposals that nobody looked at, the newest first."""
    return [
        (page, link) for page, link in session.connection().execute(_waiting(session, now, limit))
    ]


def count(session: Session, *, now: datetime, limit: int) -> int:
    """How many of them, `limit` at most."""
    some = _waiting(session, now, limit).subquery()
    return session.connection().execute(sa.select(sa.func.count()).select_from(some)).scalar_one()


def _waiting(session: Session, now: datetime, limit: int) -> sa.Select[Any]:
    columns: Any = (col(Link.source_id), col(Link.id))
    statement: sa.Select[Any] = sa.select(*columns)
    return (
        statement.join(Paper, col(Paper.page_id) == col(Link.source_id))
        .join(Page, col(Page.id) == col(Link.target_id))
        .where(
            # As a literal, so that the index of waiting links can be used.
            col(Link.status)
            == sa.literal(LinkStatus.PROPOSED.value, sa.String(), literal_execute=True),
            col(Link.relation) == Relation.ABOUT,
            col(Link.origin) == Origin.LINKER,
            col(Link.confidence).between(LEAST, MOST),
            col(Link.extra)[SECOND_LOOK].as_string().is_(None),
            col(Page.kind) == PageKind.CONCEPT,
            col(Link.source_id).not_in(runs.blocked(session, STEP, now=now)),
        )
        .order_by(col(Link.created_at).desc(), col(Link.id).desc())
        .limit(limit)
    )


def asked_on(session: Session, purpose: str, day: str) -> int:
    """How many pairs a model was asked about on a day, by the calls that were booked or reserved."""
    statement = sa.select(sa.func.coalesce(sa.func.sum(col(ModelCall.papers)), 0)).where(
        col(ModelCall.purpose) == purpose,
        col(ModelCall.day) == day,
        col(ModelCall.state) != CallState.RELEASED,
    )
    return int(session.connection().execute(statement).scalar_one())


def paper(session: Session, page_id: int) -> Any:
    """A row (title, abstract, hash) of a kept paper; None when it is gone."""
    statement = (
        sa.select(col(Paper.title), col(Paper.abstract), col(PageText.hash))
        .join(PageText, col(PageText.page_id) == col(Paper.page_id))
        .where(col(Paper.page_id) == page_id)
    )
    return session.connection().execute(statement).first()


def pairs(session: Session, link_ids: Sequence[int]) -> list[Pair]:
    """These proposals with their concepts."""
    concept = aliased(PageText)
    statement = (
        sa.select(col(Link.id), col(concept.title), col(concept.hash))
        .join(concept, col(concept.page_id) == col(Link.target_id))
        .where(col(Link.id).in_(link_ids))
        .order_by(col(Link.id))
    )
    found = session.connection().execute(statement)
    return [Pair(link or 0, name, digest) for link, name, digest in found]


def standing(session: Session, page_id: int, link_id: int) -> tuple[Link, str, str] | None:
    """A proposal that still waits, with the hashes of its paper's and its concept's text now."""
    link = session.get(Link, link_id)
    if link is None or link.status != LinkStatus.PROPOSED or link.source_id != page_id:
        return None
    ours, its = session.get(PageText, page_id), session.get(PageText, link.target_id)
    return (link, ours.hash, its.hash) if ours and its else None
