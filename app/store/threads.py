"""Threads as rows: their members, and every thread with its members' dates in one go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.domain.records import (
    Alias,
    AliasKind,
    Link,
    LinkStatus,
    Page,
    PageKind,
    PageText,
    Paper,
    Question,
    QuestionState,
    Relation,
    Thread,
    ThreadStatus,
)
from app.domain.threads import Counters, counted, weeks_begin


@dataclass(frozen=True)
class ThreadRow:
    """A thread as lists need it. `recent` says how many joined on each date of the last weeks."""

    page_id: int
    slug: str
    title: str
    claim: str
    numbers: Counters
    recent: Mapping[str, int]
    questions: int


def _membership() -> Any:
    """When a member joined: the date given for the thread, else when the paper came out."""
    return sa.func.coalesce(sa.func.nullif(col(Link.day), ""), col(Paper.published), "")


def _literal(value: StrEnum) -> Any:
    return sa.literal(value.value, sa.String(), literal_execute=True)


# As literals, so that the index of memberships can be used.
_IS_MEMBER = sa.and_(
    col(Link.relation) == _literal(Relation.PART_OF),
    col(Link.status) == _literal(LinkStatus.ACCEPTED),
)


def _inside(statement: Any) -> Any:
    """Of the members of the thread `page`."""
    return statement.where(col(Link.target_id) == sa.bindparam("page"), _IS_MEMBER)


def all_threads(session: Session, *, today: date) -> list[ThreadRow]:
    """Every thread with its numbers as of `today`: members that joined later are not counted.

    Summed up in the database, in four statements.
    """
    values = {"today": today.isoformat(), "begin": (weeks_begin(today) - timedelta(1)).isoformat()}
    run = session.connection().execute
    sums = {row.page_id: row for row in run(_SUMS, values)}
    recent: dict[int, dict[str, int]] = defaultdict(dict)
    for page_id, day, number in run(_RECENT, values):
        recent[page_id][day] = number
    questions: dict[int, int] = dict(run(_OPEN).all())
    found = []
    for row in run(_THREADS):
        total = sums.get(row.id)
        numbers = counted(
            total.papers if total else 0,
            since=(total.since if total else "") or "",
            latest=(total.latest if total else "") or "",
            recent=recent[row.id],
            today=today,
            marked=row.status or ThreadStatus.OPEN,
        )
        found.append(
            ThreadRow(
                page_id=row.id,
                slug=row.slug,
                title=row.title,
                claim=row.claim,
                numbers=numbers,
                recent=recent[row.id],
                questions=questions.get(row.id, 0),
            )
        )
    return found


def _joined(*columns: Any) -> sa.Select[Any]:
    """Members of all threads up to the day `today`, by thread."""
    statement: sa.Select[Any] = (
        sa.select(col(Page.id).label("page_id"), *columns)
        .join(Link, col(Link.target_id) == col(Page.id))
        .outerjoin(Paper, col(Paper.page_id) == col(Link.source_id))
        .where(
            col(Page.kind) == PageKind.THREAD,
            _IS_MEMBER,
            _membership() <= sa.bindparam("today"),
        )
    )
    return statement


_DATED = sa.func.nullif(_membership(), "")
_SUMS = _joined(
    sa.func.count().label("papers"),
    sa.func.min(_DATED).label("since"),
    sa.func.max(_DATED).label("latest"),
).group_by(col(Page.id))
_FIRST = (
    sa.select(col(Link.target_id), sa.func.min(_DATED))
    .select_from(Link)
    .outerjoin(Paper, col(Paper.page_id) == col(Link.source_id))
    .where(_IS_MEMBER)
    .group_by(col(Link.target_id))
)
# A month or a year counts from its first day, and is less than that as text: hence the day before.
_RECENT = (
    _joined(_membership().label("moved"), sa.func.count())
    .where(_membership() > sa.bindparam("begin"))
    .group_by(col(Page.id), sa.literal_column("moved"))
)
_OPEN = (
    sa.select(col(Link.target_id), sa.func.count(sa.distinct(col(Question.id))))
    .join(Question, col(Question.page_id) == col(Link.source_id))
    .where(_IS_MEMBER, col(Question.state) != QuestionState.ANSWERED)
    .group_by(col(Link.target_id))
)
_THREADS = (
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


def texts(session: Session) -> list[Any]:
    """Every thread as it is compared with papers: rows of id, title, text, hash, claim."""
    return list(session.connection().execute(_TEXTS))


_TEXTS = (
    sa.select(
        col(Page.id),
        col(PageText.title),
        col(PageText.text),
        col(PageText.hash),
        sa.func.coalesce(col(Thread.claim), "").label("claim"),
    )
    .join(PageText, col(PageText.page_id) == col(Page.id))
    .outerjoin(Thread, col(Thread.page_id) == col(Page.id))
    .where(col(Page.kind) == PageKind.THREAD)
    .order_by(col(Page.id))
)


def aliases(session: Session) -> dict[int, list[str]]:
    """The other names of each thread that has any."""
    found: dict[int, list[str]] = defaultdict(list)
    for page_id, name in session.connection().execute(_ALIASES):
        found[page_id].append(name)
    return found


_ALIASES = (
    sa.select(col(Alias.page_id), col(Alias.name))
    .join(Page, col(Page.id) == col(Alias.page_id))
    .where(col(Page.kind) == PageKind.THREAD, col(Alias.kind) == AliasKind.NAME)
    .order_by(col(Alias.id))
)


def first_days(session: Session) -> dict[int, str]:
    """The day of the first dated member of each thread that has one."""
    return {page: day for page, day in session.connection().execute(_FIRST) if day}


def memberships(session: Session, *, accepted: bool) -> NDArray[np.int64]:
    """Pairs (member, thread), an array of two columns: those that stand, or those that were rejected."""
    return _pairs(session, LinkStatus.ACCEPTED if accepted else LinkStatus.REJECTED)


def excluded(session: Session) -> NDArray[np.int64]:
    """Pairs (page, thread) that were put off: not to be proposed."""
    return _pairs(session, LinkStatus.DEFERRED)


def _pairs(session: Session, status: LinkStatus) -> NDArray[np.int64]:
    rows = session.connection().execute(
        sa.select(col(Link.source_id), col(Link.target_id)).where(
            col(Link.relation) == Relation.PART_OF, col(Link.status) == status
        )
    )
    return np.array([tuple(row) for row in rows], np.int64).reshape(-1, 2)


def names(session: Session) -> list[tuple[str, str]]:
    """The address and title of every thread, the oldest first."""
    return [(slug, title) for slug, title in session.connection().execute(_NAMES)]


_NAMES = (
    sa.select(col(Page.slug), col(Page.title))
    .where(col(Page.kind) == PageKind.THREAD)
    .order_by(col(Page.id))
)


@dataclass(frozen=True)
class Member:
    """A place in a thread: the link that gives it, the page that has it, and since which day."""

    link_id: int
    page_id: int
    day: str


def order(session: Session, page_id: int) -> tuple[Member, ...]:
    """The members of a thread, oldest first, by their places alone."""
    rows = session.connection().execute(_ORDER, {"page": page_id})
    return tuple(Member(*row) for row in rows)


_DAY = _membership().label("day")
_ORDER = _inside(
    sa.select(col(Link.id), col(Link.source_id), _DAY).outerjoin(
        Paper, col(Paper.page_id) == col(Link.source_id)
    )
).order_by(_DAY, col(Link.id))


def members(session: Session, link_ids: Sequence[int]) -> list[Any]:
    """Members by the links that make them so, in this order.

    Rows: link_id, slug, title, kind, role, note, day.
    """
    rows = session.connection().execute(_MEMBERS, {"ids": list(link_ids)})
    found = {row.link_id: row for row in rows}
    return [found[link_id] for link_id in link_ids if link_id in found]


_MEMBERS = (
    sa.select(
        col(Link.id).label("link_id"),
        col(Page.slug),
        col(Page.title),
        col(Page.kind),
        col(Link.role),
        col(Link.note),
        _DAY,
    )
    .join(Page, col(Page.id) == col(Link.source_id))
    .outerjoin(Paper, col(Paper.page_id) == col(Page.id))
    .where(col(Link.id).in_(sa.bindparam("ids", expanding=True)))
)


def questions(session: Session, page_id: int) -> list[Any]:
    """Questions that a thread's members and the thread itself raise: text, state, number, page."""
    return list(session.connection().execute(_QUESTIONS, {"page": page_id}))


def _raised() -> Any:
    member = aliased(Page)
    page: sa.BindParameter[int] = sa.bindparam("page")
    raised = col(Question.page_id)
    return (
        sa.select(
            col(Question.number),
            col(Question.text),
            col(Question.state),
            col(member.slug).label("slug"),
            col(member.title).label("title"),
        )
        .join(member, col(member.id) == raised)
        .where(raised.in_(_inside(sa.select(col(Link.source_id)))) | (raised == page))
        .order_by(col(member.title), col(Question.number))
    )


_QUESTIONS = _raised()


def concept_count(session: Session, page_id: int) -> int:
    """How many concepts the members of a thread are about."""
    return session.connection().execute(_CONCEPTS, {"page": page_id}).scalar() or 0


_ABOUT = aliased(Link)
_CONCEPTS = _inside(
    sa.select(sa.func.count(sa.distinct(col(_ABOUT.target_id))))
    .select_from(Link)
    .join(_ABOUT, col(_ABOUT.source_id) == col(Link.source_id))
).where(
    col(_ABOUT.relation) == Relation.ABOUT,
    col(_ABOUT.status) == LinkStatus.ACCEPTED,
)


def of_pages(session: Session, page_ids: list[int]) -> dict[int, list[tuple[str, str]]]:
    """The threads (slug, title) each page is part of."""
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for row in session.connection().execute(_OF_PAGES, {"ids": page_ids}):
        found[row.source_id].append((row.slug, row.title))
    return found


def of_page(session: Session, page_id: int) -> list[Any]:
    """Rows (id, slug, title) of the threads a page is part of."""
    return list(session.connection().execute(_OF_PAGES, {"ids": [page_id]}))


_OF_PAGES = (
    sa.select(col(Link.source_id), col(Page.id), col(Page.slug), col(Page.title))
    .join(Page, col(Page.id) == col(Link.target_id))
    .where(
        col(Link.source_id).in_(sa.bindparam("ids", expanding=True)),
        col(Link.relation) == Relation.PART_OF,
        col(Link.status) == LinkStatus.ACCEPTED,
    )
    .order_by(col(Page.title))
)
