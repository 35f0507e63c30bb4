"""Threads as rows: their members, and every thread with its members' dates in one go."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.domain.records import (
    Link,
    LinkStatus,
    Page,
    PageKind,
    Paper,
    Question,
    QuestionState,
    Relation,
    Thread,
    ThreadStatus,
)


@dataclass(frozen=True)
class ThreadRow:
    """A thread as lists need it; `days` holds one ISO date (or '') a member."""

    page_id: int
    slug: str
    title: str
    claim: str
    status: ThreadStatus
    days: tuple[str, ...]
    questions: int


def _membership() -> Any:
    """When a member joined: the date given for the thread, else when the paper came out."""
    return sa.func.coalesce(sa.func.nullif(col(Link.day), ""), col(Paper.published), "")


def all_threads(session: Session) -> list[ThreadRow]:
    """Every thread with its members' dates and open questions, in three statements."""
    days: dict[int, list[str]] = defaultdict(list)
    for target_id, day in session.connection().execute(
        sa.select(col(Link.target_id), _membership())
        .outerjoin(Paper, col(Paper.page_id) == col(Link.source_id))
        .where(col(Link.relation) == Relation.PART_OF, col(Link.status) == LinkStatus.ACCEPTED)
    ):
        days[target_id].append(day)
    questions: dict[int, int] = dict(
        session.connection()
        .execute(
            sa.select(col(Link.target_id), sa.func.count(sa.distinct(col(Question.id))))
            .join(Question, col(Question.page_id) == col(Link.source_id))
            .where(
                col(Link.relation) == Relation.PART_OF,
                col(Link.status) == LinkStatus.ACCEPTED,
                col(Question.state) != QuestionState.ANSWERED,
            )
            .group_by(col(Link.target_id))
        )
        .all()
    )
    found = session.connection().execute(
        sa.select(
            col(Page.id),
            col(Page.slug),
            col(Page.title),
            sa.func.coalesce(col(Thread.claim), "").label("claim"),
            col(Thread.status),
        )
        .outerjoin(Thread, col(Thread.page_id) == col(Page.id))
        .where(col(Page.kind) == PageKind.THREAD)
    )
    return [
        ThreadRow(
            page_id=row.id,
            slug=row.slug,
            title=row.title,
            claim=row.claim,
            status=row.status or ThreadStatus.OPEN,
            days=tuple(days[row.id]),
            questions=questions.get(row.id, 0),
        )
        for row in found
    ]


def members(session: Session, page_id: int) -> list[Any]:
    """Members of a thread, oldest first.

    Rows: link_id, slug, title, kind, role, note, day, evidence, authors.
    """
    day = _membership().label("day")
    return list(
        session.connection().execute(
            sa.select(
                col(Link.id).label("link_id"),
                col(Page.slug),
                col(Page.title),
                col(Page.kind),
                col(Link.role),
                col(Link.note),
                day,
                col(Link.evidence),
                col(Paper.authors),
            )
            .join(Page, col(Page.id) == col(Link.source_id))
            .outerjoin(Paper, col(Paper.page_id) == col(Page.id))
            .where(
                col(Link.target_id) == page_id,
                col(Link.relation) == Relation.PART_OF,
                col(Link.status) == LinkStatus.ACCEPTED,
            )
            .order_by(day, col(Link.id))
        )
    )


def questions(session: Session, page_id: int) -> list[Any]:
    """Questions that a thread's members and the thread itself raise: text, state, number, page."""
    member = aliased(Page)
    inside = sa.select(col(Link.source_id)).where(
        col(Link.target_id) == page_id,
        col(Link.relation) == Relation.PART_OF,
        col(Link.status) == LinkStatus.ACCEPTED,
    )
    return list(
        session.connection().execute(
            sa.select(
                col(Question.number),
                col(Question.text),
                col(Question.state),
                col(member.slug).label("slug"),
                col(member.title).label("title"),
            )
            .join(member, col(member.id) == col(Question.page_id))
            .where(col(Question.page_id).in_(inside) | (col(Question.page_id) == page_id))
            .order_by(col(member.title), col(Question.number))
        )
    )


def concepts(session: Session, page_id: int, *, limit: int = 12) -> list[Any]:
    """Concepts that a thread's members are about, with how many members each: slug, title, papers."""
    membership, about = aliased(Link), aliased(Link)
    return list(
        session.connection().execute(
            sa.select(
                col(Page.slug),
                col(Page.title),
                sa.func.count(sa.distinct(col(about.source_id))).label("papers"),
            )
            .select_from(membership)
            .join(about, col(about.source_id) == col(membership.source_id))
            .join(Page, col(Page.id) == col(about.target_id))
            .where(
                col(membership.target_id) == page_id,
                col(membership.relation) == Relation.PART_OF,
                col(membership.status) == LinkStatus.ACCEPTED,
                col(about.relation) == Relation.ABOUT,
                col(about.status) == LinkStatus.ACCEPTED,
            )
            .group_by(col(Page.id))
            .order_by(sa.func.count(sa.distinct(col(about.source_id))).desc(), col(Page.title))
            .limit(limit)
        )
    )


def of_pages(session: Session, page_ids: list[int]) -> dict[int, list[tuple[str, str]]]:
    """The threads (slug, title) each page is part of."""
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for source_id, slug, title in session.connection().execute(
        sa.select(col(Link.source_id), col(Page.slug), col(Page.title))
        .join(Page, col(Page.id) == col(Link.target_id))
        .where(
            col(Link.source_id).in_(page_ids),
            col(Link.relation) == Relation.PART_OF,
            col(Link.status) == LinkStatus.ACCEPTED,
        )
        .order_by(col(Page.title))
    ):
        found[source_id].append((slug, title))
    return found
