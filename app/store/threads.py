"""Threads as rows: their members, and every thread with its members' dates in one go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
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
    Change,
    ChangeKind,
    Link,
    LinkStatus,
    Page,
    PageKind,
    PageText,
    Paper,
    Question,
    Relation,
    Role,
    Thread,
    ThreadStatus,
)
from app.domain.threads import Counters, counted, weeks_begin
from app.store import pages
from app.store.concepts import CLAIMS
from app.store.db import bump
from app.store.questions import is_open

CLAIMED = "claims"  # the counter of what threads there are and what they claim
_CLAIMS_KEPT = 50
LAST = "9999-12-31"  # the day up to which members count, where nobody named one


@sa.event.listens_for(Session, "before_flush")
def _count_claims(session: Session, _context: object, _instances: object) -> None:
    """Whoever writes a thread: which of them are one is looked at anew."""
    if any(isinstance(each, Thread) for each in (*session.new, *session.dirty, *session.deleted)):
        bump(session, CLAIMED)


def set_claim(
    session: Session, page: Page, claim: str, status: ThreadStatus, *, now: datetime
) -> bool:
    """Give a thread another claim or status; whether that changed anything. The claim it had is kept."""
    thread = session.get(Thread, page.id) or Thread(page_id=page.id or 0)
    if (thread.claim, thread.status) == (claim, status):
        return False
    if claim != thread.claim:
        former = list(page.extra.get(CLAIMS, []))
        if thread.claim:
            former.append({"claim": thread.claim, "until": now.isoformat()})
        page.extra = {**page.extra, CLAIMS: former[-_CLAIMS_KEPT:]}
    thread.claim, thread.status = claim, status
    page.updated_at = now
    session.add_all([thread, page])
    session.flush()
    pages.reindex(session, page)
    bump(session)
    return True


def is_claimed(page: Page) -> bool:
    """Whether a person gave the thread its claim, or another one than it had."""
    return CLAIMS in page.extra


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


def membership() -> Any:
    """When a member joined: the date given for the thread, else when the paper came out, else came."""
    given = (sa.func.nullif(col(each), "") for each in (Link.day, Paper.published))
    return sa.func.coalesce(*given, col(Paper.came), "")


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
            membership() <= sa.bindparam("today"),
        )
    )
    return statement


_DATED = sa.func.nullif(membership(), "")
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
    _joined(membership().label("moved"), sa.func.count())
    .where(membership() > sa.bindparam("begin"))
    .group_by(col(Page.id), sa.literal_column("moved"))
)
_OPEN = (
    sa.select(col(Link.target_id), sa.func.count(sa.distinct(col(Question.id))))
    .join(Question, col(Question.page_id) == col(Link.source_id))
    .where(_IS_MEMBER, is_open())
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


_DAY = membership().label("day")
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


@dataclass(frozen=True)
class Joined:
    """A page that became part of a thread: its role there, its one line, and since which day."""

    thread_id: int
    slug: str
    title: str
    claim: str
    page_id: int
    paper_slug: str
    paper_title: str
    role: str
    note: str
    day: str


def roles(session: Session, thread_ids: Sequence[int], *, day: str) -> dict[int, dict[str, int]]:
    """How many members of each thread had each role on an ISO day."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    values = {"ids": list(thread_ids), "day": day}
    for row in session.connection().execute(_ROLES, values) if thread_ids else ():
        found[row.target_id][row.role.value] = row.number
    return dict(found)


_ROLES = (
    sa.select(col(Link.target_id), col(Link.role), sa.func.count().label("number"))
    .outerjoin(Paper, col(Paper.page_id) == col(Link.source_id))
    .where(
        col(Link.target_id).in_(sa.bindparam("ids", expanding=True)),
        _IS_MEMBER,
        col(Link.role).is_not(None),
        membership() <= sa.bindparam("day"),
    )
    .group_by(col(Link.target_id), col(Link.role))
)


def members_before(session: Session, thread_id: int, day: str, *, limit: int) -> list[Joined]:
    """The members that a thread had before an ISO day, the newest first; undated ones come last."""
    values = {"page": thread_id, "day": day, "limit": limit}
    return [_joining(row) for row in session.connection().execute(_BEFORE, values)]


def _joining(row: Any) -> Joined:
    values = dict(row._mapping)
    del values["link_id"]
    return Joined(**{**values, "role": row.role.value if row.role else ""})


def _with_thread() -> sa.Select[Any]:
    """Members with the thread they are in, as `Joined` has them."""
    member = aliased(Page)
    statement: sa.Select[Any] = (
        sa.select(
            col(Page.id).label("thread_id"),
            col(Page.slug),
            col(Page.title),
            sa.func.coalesce(col(Thread.claim), "").label("claim"),
            col(member.id).label("page_id"),
            col(member.slug).label("paper_slug"),
            col(member.title).label("paper_title"),
            col(Link.role),
            col(Link.note),
            _DAY,
            col(Link.id).label("link_id"),
        )
        .select_from(Link)
        .join(Page, sa.and_(col(Page.id) == col(Link.target_id), col(Page.kind) == PageKind.THREAD))
        .join(member, col(member.id) == col(Link.source_id))
        .outerjoin(Thread, col(Thread.page_id) == col(Page.id))
        .outerjoin(Paper, col(Paper.page_id) == col(Link.source_id))
        .where(_IS_MEMBER)
    )
    return statement


_BEFORE = (
    _with_thread()
    .where(col(Link.target_id) == sa.bindparam("page"), membership() < sa.bindparam("day"))
    .order_by(_DAY.desc(), col(Link.id).desc())
    .limit(sa.bindparam("limit"))
)


@dataclass(frozen=True)
class ConceptOf:
    """A concept that members of a thread are about, and how many of them."""

    slug: str
    title: str
    papers: int


def concepts(
    session: Session, page_ids: Sequence[int] | None = None, *, until: str = LAST
) -> dict[int, list[ConceptOf]]:
    """The concepts that each of these threads is over, those of most members first.

    `until` is the last ISO day on which a member may have joined. Without ids: of every thread.
    """
    statement, values = _OVER, {"until": until}
    if page_ids is not None:
        statement = statement.where(col(Link.target_id).in_(list(page_ids)))
    counted = statement.subquery()
    rows = session.connection().execute(
        sa.select(counted.c.thread_id, col(Page.slug), col(Page.title), counted.c.papers)
        .join(Page, col(Page.id) == counted.c.concept_id)
        .where(col(Page.kind) == PageKind.CONCEPT)
        .order_by(counted.c.thread_id, counted.c.papers.desc(), col(Page.title)),
        values,
    )
    found: dict[int, list[ConceptOf]] = defaultdict(list)
    for thread_id, slug, title, papers in rows:
        found[thread_id].append(ConceptOf(slug, title, papers))
    return found


def over(session: Session, *, until: str = LAST) -> NDArray[np.int64]:
    """Pairs (thread, concept), an array of two columns: which threads are over which concepts."""
    statement = _OVER.with_only_columns(col(Link.target_id), col(_ABOUT.target_id))
    rows = session.connection().execute(statement, {"until": until})
    return np.array([tuple(row) for row in rows], np.int64).reshape(-1, 2)


def between(session: Session, concept_ids: Sequence[int], *, until: str = LAST) -> set[int]:
    """The threads that have members about each of these concepts, by their ids."""
    wanted = sorted(set(concept_ids))
    statement = (
        _OVER.with_only_columns(col(Link.target_id))
        .where(col(_ABOUT.target_id).in_(wanted))
        .group_by(None)
        .group_by(col(Link.target_id))
        .having(sa.func.count(sa.distinct(col(_ABOUT.target_id))) == len(wanted))
    )
    return set(session.connection().execute(statement, {"until": until}).scalars())


_ABOUT = aliased(Link)
_OVER: Any = (
    sa.select(
        col(Link.target_id).label("thread_id"),
        col(_ABOUT.target_id).label("concept_id"),
        sa.func.count().label("papers"),
    )
    .select_from(Link)
    .join(_ABOUT, col(_ABOUT.source_id) == col(Link.source_id))
    .outerjoin(Paper, col(Paper.page_id) == col(Link.source_id))
    .where(
        _IS_MEMBER,
        membership() <= sa.bindparam("until"),
        col(_ABOUT.relation) == Relation.ABOUT,
        col(_ABOUT.status) == LinkStatus.ACCEPTED,
    )
    .group_by(col(Link.target_id), col(_ABOUT.target_id))
)


@dataclass(frozen=True)
class Says:
    """A member that speaks of what was looked for."""

    thread_id: int
    page_id: int
    slug: str
    title: str
    note: str


def holding(session: Session, page_ids: Sequence[int], *, until: str = LAST) -> list[Says]:
    """The places that these pages had in threads on the ISO day `until`."""
    statement = _SAYING.where(col(Link.source_id).in_(list(page_ids)))
    return [Says(*row) for row in session.connection().execute(statement, {"until": until})]


def noting(session: Session, words: Sequence[str], *, until: str = LAST, limit: int) -> list[Says]:
    """The members whose one line holds all of these words, the newest place first."""
    line = sa.func.lower(col(Link.note))
    having = [line.contains(word.lower(), autoescape=True) for word in words]
    statement = _SAYING.where(col(Link.note) != "", *having).order_by(col(Link.id).desc())
    rows = session.connection().execute(statement.limit(limit), {"until": until})
    return [Says(*row) for row in rows]


_SAYING: Any = (
    sa.select(
        col(Link.target_id), col(Link.source_id), col(Page.slug), col(Page.title), col(Link.note)
    )
    .join(Page, col(Page.id) == col(Link.source_id))
    .outerjoin(Paper, col(Paper.page_id) == col(Link.source_id))
    .where(_IS_MEMBER, membership() <= sa.bindparam("until"))
)


def of_role(session: Session, page_id: int, role: Role, *, until: str, limit: int) -> list[Any]:
    """The newest members in this role: rows of slug, title and note, as members have them."""
    statement = (
        _inside(
            sa.select(col(Page.slug), col(Page.title), col(Link.note), _DAY)
            .select_from(Link)
            .join(Page, col(Page.id) == col(Link.source_id))
            .outerjoin(Paper, col(Paper.page_id) == col(Link.source_id))
        )
        .where(col(Link.role) == role, membership() <= until)
        .order_by(_DAY.desc(), col(Link.id).desc())
        .limit(limit)
    )
    return list(session.connection().execute(statement, {"page": page_id}))


def joins_and_splits(session: Session, page_id: int, *, limit: int = 20) -> list[Any]:
    """The joins and splits of a thread that stand, the newest first.

    Rows: id, kind, title, at, source_id, target_id, other_slug, other_title (None where it is gone).
    """
    other = aliased(Page)
    statement: Any = (
        sa.select(
            col(Change.id),
            col(Change.kind),
            col(Change.title),
            col(Change.decided_at).label("at"),
            col(Change.source_id),
            col(Change.target_id),
            col(other.slug).label("other_slug"),
            col(other.title).label("other_title"),
        )
        .outerjoin(
            other,
            col(other.id)
            == sa.case(
                (col(Change.source_id) == page_id, col(Change.target_id)),
                else_=col(Change.source_id),
            ),
        )
        .where(
            col(Change.kind).in_([ChangeKind.MERGE, ChangeKind.SPLIT]),
            col(Change.status) == LinkStatus.ACCEPTED,
            (col(Change.source_id) == page_id) | (col(Change.target_id) == page_id),
        )
        .order_by(col(Change.decided_at).desc(), col(Change.id).desc())
        .limit(limit)
    )
    return list(session.connection().execute(statement))


def members_of(session: Session, page_ids: Sequence[int], *, until: str = LAST) -> list[Joined]:
    """The members of these threads up to an ISO day, thread by thread, the newest first."""
    statement = (
        _with_thread()
        .where(col(Link.target_id).in_(list(page_ids)), membership() <= until)
        .order_by(col(Link.target_id), _DAY.desc(), col(Link.id).desc())
    )
    return [_joining(row) for row in session.connection().execute(statement)]


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
