"""Decisions: what was decided, what it undid, and how a link stands by them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.domain.records import Decision, Link, LinkStatus, Page, Paper, Verdict
from app.errors import NotFound
from app.store.db import LARGEST_ID

_STATUS = {
    Verdict.ACCEPT: LinkStatus.ACCEPTED,
    Verdict.REJECT: LinkStatus.REJECTED,
    Verdict.DEFER: LinkStatus.DEFERRED,
}


def standing_status(session: Session, link_id: int) -> LinkStatus | None:
    """How the newest decision that was not undone leaves a link; None when there is none."""
    newest = session.exec(
        select(Decision)
        .where(
            Decision.link_id == link_id,
            col(Decision.undone).is_(False),
            col(Decision.undoes_id).is_(None),
        )
        .order_by(col(Decision.id).desc())
    ).first()
    return _STATUS.get(newest.verdict) if newest else None


def last(
    session: Session, *, link_id: int | None = None, paper_id: int | None = None, who: str = ""
) -> Decision | None:
    """The last word on a link or a paper, an undo included; with `who`, the last of theirs."""
    statement = select(Decision).where(
        Decision.link_id == link_id, Decision.paper_id == paper_id, col(Decision.undone).is_(False)
    )
    if who:
        statement = statement.where(Decision.who == who)
    return session.exec(statement.order_by(col(Decision.id).desc())).first()


def get(session: Session, decision_id: int) -> Decision:
    found = session.get(Decision, decision_id) if 0 < decision_id <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"There is no decision {decision_id}.")
    return found


def newest_standing(session: Session) -> Decision | None:
    """The last decision that can still be undone."""
    return session.exec(
        select(Decision)
        .where(col(Decision.undone).is_(False), col(Decision.undoes_id).is_(None))
        .order_by(col(Decision.id).desc())
    ).first()


def of_batch(session: Session, batch: str) -> list[Decision]:
    """Decisions made by one action and not undone yet, newest first."""
    return list(
        session.exec(
            select(Decision)
            .where(Decision.batch == batch, col(Decision.undone).is_(False))
            .where(col(Decision.undoes_id).is_(None))
            .order_by(col(Decision.id).desc())
        )
    )


def recent(session: Session, *, limit: int = 100, before: int = 0) -> list[Any]:
    """The newest decisions with what they were about, one row each, newest first.

    Rows: id, at, who, verdict, reason, undone, batch, relation, source_slug, source_title,
    source_kind, target_slug, target_title, target_kind, paper_title, paper_slug. `before` is the id
    of the last one shown.
    """
    values = {"before": before or LARGEST_ID, "limit": limit}
    return list(session.connection().execute(_recent(), values))


@cache
def _recent() -> Any:
    source, target, kept = aliased(Page), aliased(Page), aliased(Page)
    statement: Any = (
        sa.select(
            col(Decision.id),
            col(Decision.at),
            col(Decision.who),
            col(Decision.verdict),
            col(Decision.reason),
            col(Decision.undone),
            col(Decision.batch),
            col(Link.relation),
            col(source.slug).label("source_slug"),
            col(source.title).label("source_title"),
            col(source.kind).label("source_kind"),
            col(target.slug).label("target_slug"),
            col(target.title).label("target_title"),
            col(target.kind).label("target_kind"),
            col(Paper.title).label("paper_title"),
            col(kept.slug).label("paper_slug"),
        )
        .select_from(Decision)
        .outerjoin(Link, col(Link.id) == col(Decision.link_id))
        .outerjoin(source, col(source.id) == col(Link.source_id))
        .outerjoin(target, col(target.id) == col(Link.target_id))
        .outerjoin(Paper, col(Paper.id) == col(Decision.paper_id))
        .outerjoin(kept, col(kept.id) == col(Paper.page_id))
        .where(col(Decision.undoes_id).is_(None), col(Decision.id) < sa.bindparam("before"))
        .order_by(col(Decision.id).desc())
        .limit(sa.bindparam("limit"))
    )
    return statement


def standing_in(session: Session, batches: Collection[str]) -> dict[str, int]:
    """How many decisions of each batch still stand: those that one undo would take back."""
    rows = session.connection().execute(
        sa.select(col(Decision.batch), sa.func.count())
        .where(
            col(Decision.batch).in_(list(batches)),
            col(Decision.undone).is_(False),
            col(Decision.undoes_id).is_(None),
        )
        .group_by(col(Decision.batch))
    )
    return dict(rows.all())


def verdicts_since(session: Session, moment: datetime) -> dict[Verdict, int]:
    """How many links were decided each way from then on, what was undone left out."""
    rows = session.connection().execute(
        sa.select(col(Decision.verdict), sa.func.count())
        .where(
            col(Decision.at) >= moment,
            col(Decision.link_id).is_not(None),
            col(Decision.undone).is_(False),
            col(Decision.undoes_id).is_(None),
        )
        .group_by(col(Decision.verdict))
    )
    return dict(rows.all())
