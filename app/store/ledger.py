"""What a span of days brought in, in numbers: items by source, pages written, money spent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.money import exact
from app.domain.records import GONE, Digest, Item, Page, Revision, Source
from app.store import calls
from app.store.db import rows


def counted(
    session: Session, first: str, last: str, *, begin: datetime, end: datetime
) -> dict[str, Any]:
    """The days `first` to `last` (ISO, both included), whose moments are those from `begin` to `end`.

    {"sources": {name: items}, "pages": {"created": {kind: n}, "updated": {kind: n}}, "cost_usd": "0.12",
    "struck": sentences of a model that its checker took out}.
    """
    days, span = {"first": first, "last": last}, {"begin": begin, "end": end}
    money = calls.by_day(session, first, last)
    struck = rows(session, _STRUCK, **days)[0][0]
    return {
        "sources": {row.name: row.number for row in rows(session, _ARRIVED, **days, **span)},
        "pages": {
            "created": {row.kind.value: row.number for row in rows(session, _CREATED, **span)},
            "updated": {row.kind.value: row.number for row in rows(session, _UPDATED, **span)},
        },
        "cost_usd": exact(sum(each.cost for each in money.values())),
        "struck": struck or 0,
    }


_FIRST: sa.BindParameter[str] = sa.bindparam("first")
_LAST: sa.BindParameter[str] = sa.bindparam("last")
_STRUCK = sa.select(sa.func.sum(col(Digest.struck))).where(col(Digest.day).between(_FIRST, _LAST))
_ARRIVED = (
    sa.select(col(Source.name), sa.func.count().label("number"))
    .join(Item, col(Item.source_id) == col(Source.id))
    .where(
        sa.case(
            (col(Item.published) != "", col(Item.published).between(_FIRST, _LAST)),
            else_=col(Item.received_at).between(sa.bindparam("begin"), sa.bindparam("end")),
        )
    )
    .group_by(col(Source.id), col(Source.name))
    .order_by(sa.func.count().desc(), col(Source.name))
)
_CREATED = (
    sa.select(col(Page.kind), sa.func.count().label("number"))
    .where(
        col(Page.kind).not_in(GONE),
        col(Page.created_at).between(sa.bindparam("begin"), sa.bindparam("end")),
    )
    .group_by(col(Page.kind))
    .order_by(col(Page.kind))
)
_UPDATED = (
    sa.select(col(Page.kind), sa.func.count(sa.distinct(col(Page.id))).label("number"))
    .join(Revision, col(Revision.page_id) == col(Page.id))
    .where(
        col(Page.kind).not_in(GONE),
        col(Revision.number) > 1,
        col(Revision.at).between(sa.bindparam("begin"), sa.bindparam("end")),
    )
    .group_by(col(Page.kind))
    .order_by(col(Page.kind))
)
