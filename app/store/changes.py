"""Changes: proposals that are no links. Making them once, and reading them as rows for lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.domain.records import Change, ChangeKind, Decision, LinkStatus, Origin, Page
from app.errors import NotFound
from app.store.db import LARGEST_ID, bump

PAGE_SIZE = 50
_SOME = 400  # keys in one statement


def merge_key(one: int, other: int) -> str:
    """The key of a merge of two pages, whichever of them would stay."""
    return f"merge:{min(one, other)}:{max(one, other)}"


def get(session: Session, change_id: int) -> Change:
    """Raises NotFound."""
    found = session.get(Change, change_id) if 0 < change_id <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"There is no proposal c{change_id}.")
    return found


def keyed(session: Session, keys: Iterable[str]) -> dict[str, Change]:
    """The changes under these keys, whatever their status."""
    wanted, found = sorted(set(keys)), dict[str, Change]()
    for start in range(0, len(wanted), _SOME):
        statement = select(Change).where(col(Change.key).in_(wanted[start : start + _SOME]))
        found |= {change.key: change for change in session.exec(statement)}
    return found


def propose(
    session: Session,
    *,
    kind: ChangeKind,
    key: str,
    title: str,
    source_id: int | None = None,
    target_id: int | None = None,
    confidence: float,
    reason: str,
    content: dict[str, Any],
    evidence: list[dict[str, Any]],
    signals: list[dict[str, Any]],
    origin: Origin,
    now: datetime,
    again: str = "",
) -> bool:
    """Put a change in the queue; whether it is a new one there.

    One that waits is brought up to date, one that was decided is left alone: but a rejected one
    comes back when `again` says in words what is new since, which then begins its reason.
    """
    standing = keyed(session, [key]).get(key)
    values: dict[str, Any] = {
        "title": title,
        "source_id": source_id,
        "target_id": target_id,
        "confidence": confidence,
        "reason": reason,
        "content": content,
        "evidence": evidence,
        "signals": signals,
    }
    if standing is None:
        bump(session)
        session.add(
            Change(
                kind=kind,
                key=key,
                status=LinkStatus.PROPOSED,
                origin=origin,
                created_at=now,
                **values,
            )
        )
        session.flush()
        return True
    comes_back = standing.status == LinkStatus.REJECTED and bool(again)
    if standing.status != LinkStatus.PROPOSED and not comes_back:
        return False
    if comes_back:
        values["reason"] = f"{again}; {reason}" if reason else again
        standing.status, standing.decided_at, standing.created_at = LinkStatus.PROPOSED, None, now
    changed = {name: value for name, value in values.items() if getattr(standing, name) != value}
    if changed or comes_back:
        standing.sqlmodel_update(changed)
        session.add(standing)
        session.flush()
        bump(session)
    return comes_back


def withdraw(session: Session, keys: Iterable[str]) -> int:
    """Take back waiting changes under these keys; how many there were.

    One that a person has decided and put back stays: their decisions would go with it.
    """
    waiting = [
        change for change in keyed(session, keys).values() if change.status == LinkStatus.PROPOSED
    ]
    decided = {
        change_id
        for start in range(0, len(waiting), _SOME)
        for change_id in session.exec(
            select(Decision.change_id).where(
                col(Decision.change_id).in_([each.id for each in waiting[start : start + _SOME]])
            )
        )
    }
    gone = [change for change in waiting if change.id not in decided]
    for change in gone:
        session.delete(change)
    if gone:
        session.flush()
        bump(session)
    return len(gone)


def waiting(
    session: Session,
    *,
    status: LinkStatus = LinkStatus.PROPOSED,
    kind: ChangeKind | None = None,
    page_id: int | None = None,
    above: float = 0.0,
    after: int = 0,
    limit: int = PAGE_SIZE,
) -> list[Any]:
    """Rows of the changes that wait, surest first, with the pages they are about.

    Rows: id, kind, key, title, status, origin, confidence, reason, content, evidence, signals,
    created_at, and of `source_` and `target_` the id, slug, title and kind (None where the change
    has none). `page_id` keeps those about a page, `after` is the id of the last one shown.
    """
    values: dict[str, Any] = {"status": status, "limit": limit}
    values |= {"kind": kind} if kind else {}
    values |= {"page": page_id} if page_id else {}
    values |= {"above": above} if above else {}
    last = session.connection().execute(_PLACE, {"id": after}).first() if _is_id(after) else None
    values |= {"last_confidence": last.confidence, "last_id": last.id} if last else {}
    statement = _queue(kind=bool(kind), page=bool(page_id), above=bool(above), after=bool(last))
    return list(session.connection().execute(statement, values))


def row(session: Session, change_id: int) -> Any:
    """One row like those of `waiting`, whatever its status. Raises NotFound."""
    get(session, change_id)
    return session.connection().execute(_one(), {"id": change_id}).one()


def count(session: Session, status: LinkStatus = LinkStatus.PROPOSED) -> int:
    """How many changes have this status."""
    return session.connection().execute(_COUNT, {"status": status}).scalar() or 0


def of_kind(
    session: Session, kind: ChangeKind, statuses: Sequence[LinkStatus] = (LinkStatus.PROPOSED,)
) -> list[Change]:
    """Every change of a kind that stands so."""
    statement = select(Change).where(Change.kind == kind, col(Change.status).in_(statuses))
    return list(session.exec(statement.order_by(col(Change.id))))


def _is_id(number: int) -> bool:
    return 0 < number <= LARGEST_ID


_PLACE = sa.select(col(Change.id), col(Change.confidence)).where(
    col(Change.id) == sa.bindparam("id")
)
_COUNT = (
    sa.select(sa.func.count())
    .select_from(Change)
    .where(col(Change.status) == sa.bindparam("status", type_=Change.__table__.c.status.type))  # type: ignore[attr-defined]
)
_OF_A_CHANGE = (
    *("id", "kind", "key", "title", "status", "origin", "confidence", "reason"),
    *("content", "evidence", "signals", "created_at"),
)


def _with_both_sides() -> sa.Select[Any]:
    source, target = aliased(Page), aliased(Page)
    statement: sa.Select[Any] = (
        sa.select(
            *(getattr(Change, name) for name in _OF_A_CHANGE),
            *(
                getattr(page, name).label(f"{side}_{name}")
                for side, page in (("source", source), ("target", target))
                for name in ("id", "slug", "title", "kind")
            ),
        )
        .select_from(Change)
        .outerjoin(source, col(source.id) == col(Change.source_id))
        .outerjoin(target, col(target.id) == col(Change.target_id))
    )
    return statement


@cache
def _queue(*, kind: bool, page: bool, above: bool, after: bool) -> sa.Select[Any]:
    columns = Change.__table__.c  # type: ignore[attr-defined]
    statement = _with_both_sides().where(
        col(Change.status) == sa.bindparam("status", type_=columns.status.type)
    )
    if kind:
        statement = statement.where(
            col(Change.kind) == sa.bindparam("kind", type_=columns.kind.type)
        )
    if page:
        either = (
            col(side) == sa.bindparam("page") for side in (Change.source_id, Change.target_id)
        )
        statement = statement.where(sa.or_(*either))
    if above:
        statement = statement.where(col(Change.confidence) >= sa.bindparam("above"))
    if after:
        here = sa.tuple_(col(Change.confidence), col(Change.id))
        there = sa.tuple_(
            sa.bindparam("last_confidence", type_=columns.confidence.type),
            sa.bindparam("last_id", type_=columns.id.type),
        )
        statement = statement.where(here < there)
    order = (col(Change.confidence).desc(), col(Change.id).desc())
    return statement.order_by(*order).limit(sa.bindparam("limit"))


@cache
def _one() -> sa.Select[Any]:
    return _with_both_sides().where(col(Change.id) == sa.bindparam("id"))


def as_json(row: Any) -> dict[str, Any]:
    """A row of `waiting` as programs get it."""
    return {
        "id": f"c{row.id}",
        "kind": row.kind.value,
        "title": row.title,
        **{
            side: {"slug": getattr(row, f"{side}_slug"), "title": getattr(row, f"{side}_title")}
            if getattr(row, f"{side}_id")
            else None
            for side in ("source", "target")
        },
        "confidence": round(row.confidence, 6),
        "reason": row.reason,
        "content": row.content,
        "evidence": row.evidence,
        "signals": row.signals,
    }
