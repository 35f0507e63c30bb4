"""Papers, concepts and sources counted by day, and the rows behind each of those numbers.

A paper is counted on the day it came (`Paper.came`), as it stands now. Statements are the same for
any number of papers; what is known by month or year alone is in no count and in no list.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.atlas import Measure
from app.domain.identifiers import whole_day
from app.domain.records import (
    GONE,
    Item,
    Link,
    LinkStatus,
    ListingPaper,
    Mention,
    Page,
    Paper,
    PaperState,
    Relation,
    Source,
    SourceKind,
    Topic,
)
from app.store import topics
from app.store.db import rows

LISTING = 0  # stands for every listing together, where sources are told by their ids
NONE = "-"  # stands for the papers that have no topic; no id of a topic begins so

_came = col(Paper.came)
_IN_FULL = sa.func.length(_came) == len("2026-05-14")
_BETWEEN = _came.between(sa.bindparam("first"), sa.bindparam("last"))
_IS_PICKED = sa.case((topics.is_picked(), 1), else_=0)

_IS_KEPT = sa.case((col(Paper.state) == PaperState.KEPT, 1), else_=0)


def _counted(*columns: Any, by: tuple[Any, ...]) -> Any:
    """Papers that came between two days by topic, day and more: two statements, one for no topic.

    From the topics to their papers: so the index by topic and day is read in its own order.
    """
    place = (col(Paper.topic_id), _came.label("day"), *by)
    groups = (col(Paper.topic_id), _came, *by)
    conditions = (_BETWEEN, _IN_FULL)
    of_topics = (
        sa.select(*place, sa.func.count().label("papers"), sa.func.sum(_IS_PICKED).label("picked"))
        .add_columns(*columns)
        .select_from(Topic)
        .join(Paper, col(Paper.topic_id) == col(Topic.id))
        .where(*conditions)
        .group_by(col(Topic.id), *groups)
    )
    of_none = (
        sa.select(*place, sa.func.count().label("papers"), sa.literal(0).label("picked"))
        .add_columns(*columns)
        .where(col(Paper.topic_id).is_(None), *conditions)
        .group_by(*groups)
    )
    return of_topics, of_none


_BY_DAY = _counted(sa.func.sum(_IS_KEPT).label("kept"), by=())
_BY_STATE = _counted(by=(col(Paper.state),))


def by_day(session: Session, first: date, last: date) -> list[Any]:
    """Papers that came between two days, by topic (None: of none) and day.

    Rows: topic_id, day, papers, picked and kept (of them).
    """
    return _both(session, _BY_DAY, first, last)


def by_state(session: Session, first: date, last: date) -> list[Any]:
    """The same by state too: rows topic_id, day, state, papers, picked."""
    return _both(session, _BY_STATE, first, last)


def _both(session: Session, statements: Any, first: date, last: date) -> list[Any]:
    values = {"first": first.isoformat(), "last": last.isoformat()}
    return [row for each in statements for row in rows(session, each, **values)]


_EARLIEST = sa.union_all(
    *(
        sa.select(sa.func.min(_came)).where(col(Paper.state) == state, _came > "")
        for state in PaperState
    ),
    sa.select(sa.func.min(col(Mention.day))).where(col(Mention.day) > ""),
)


def earliest(session: Session) -> date | None:
    """The first day on which a paper came or was mentioned; None where nothing has a day."""
    found = [text for (text,) in rows(session, _EARLIEST) if text]
    return min(filter(None, (whole_day((day + "-01-01")[:10]) for day in found)), default=None)


# ---------------------------------------------------------------- concepts

_GROWN: Any = (
    sa.select(
        col(Link.target_id).label("page_id"),
        sa.func.sum(sa.case((_came >= sa.bindparam("middle"), 1), else_=0)).label("now"),
        sa.func.count().label("papers"),
    )
    .select_from(Paper)
    .join(Link, col(Link.source_id) == col(Paper.page_id))
    .where(
        col(Paper.state) == PaperState.KEPT,
        _BETWEEN,
        _IN_FULL,
        col(Link.relation) == Relation.ABOUT,
        col(Link.status) == LinkStatus.ACCEPTED,
    )
    .group_by(col(Link.target_id))
)


def concepts(session: Session, first: date, middle: date, last: date) -> list[Any]:
    """Concepts by the kept papers about them that came between two days.

    Rows: page_id, now (from `middle` on), papers (of both).
    """
    values = {"first": first.isoformat(), "middle": middle.isoformat(), "last": last.isoformat()}
    return rows(session, _GROWN, **values)


_NAMES = sa.select(col(Page.id), col(Page.slug), col(Page.title), col(Page.kind)).where(
    col(Page.id).in_(sa.bindparam("ids", expanding=True))
)


def names(session: Session, page_ids: Sequence[int]) -> dict[int, Any]:
    """Rows (id, slug, title, kind) of pages, by id; a page that was merged away is not there."""
    found = rows(session, _NAMES, ids=list(page_ids)) if page_ids else []
    return {row.id: row for row in found if row.kind not in GONE}


# ---------------------------------------------------------------- sources

_SPOKEN = sa.func.coalesce(
    sa.func.nullif(col(Mention.day), ""), sa.func.nullif(col(Item.published), ""), ""
)
_SPOKEN_BETWEEN = (
    _SPOKEN.between(sa.bindparam("first"), sa.bindparam("last")),
    sa.func.length(_SPOKEN) == len("2026-05-14"),
)
_NAMED: Any = (
    sa.select(
        col(Item.source_id).label("source"),
        col(Item.id).label("item"),
        _SPOKEN.label("day"),
        col(Mention.paper_id).label("paper"),
    )
    .select_from(Mention)
    .join(Item, col(Item.id) == col(Mention.item_id))
    .join(Source, col(Source.id) == col(Item.source_id))
    .where(*_SPOKEN_BETWEEN, col(Source.kind).not_in([SourceKind.FILE, SourceKind.LISTING]))
    .distinct()
)
_KEPT = sa.select(col(Paper.id)).where(col(Paper.state) == PaperState.KEPT)


def _by_source_and_day(named: Any) -> Any:
    each = named.subquery()
    return sa.select(
        each.c.source,
        each.c.day,
        sa.func.count(sa.distinct(each.c.item)).label("items"),
        sa.func.count().label("papers"),
    ).group_by(each.c.source, each.c.day)


_NAMED_BY_DAY = _by_source_and_day(_NAMED)
_KEPT_NAMED_BY_DAY = _by_source_and_day(_NAMED.where(col(Mention.paper_id).in_(_KEPT)))
_LISTED_BETWEEN = col(ListingPaper.day).between(sa.bindparam("first"), sa.bindparam("last"))
_LISTED_BY_DAY = (
    sa.select(col(ListingPaper.day), sa.func.count().label("papers"))
    .where(_LISTED_BETWEEN)
    .group_by(col(ListingPaper.day))
)
_KEPT_BY_DAY = (
    sa.select(col(ListingPaper.day), sa.func.count().label("papers"))
    .where(col(ListingPaper.paper_id).in_(_KEPT), _LISTED_BETWEEN)
    .group_by(col(ListingPaper.day))
)
_SOURCES = sa.select(col(Source.id), col(Source.name), col(Source.kind)).order_by(
    col(Source.name), col(Source.id)
)


def sources(session: Session) -> list[Any]:
    """Rows (id, name, kind) of every source, by name."""
    return rows(session, _SOURCES)


def named_by_day(
    session: Session, first: date, last: date, *, kept: bool = False
) -> list[tuple[int, str, int, int]]:
    """What sources spoke of between two days: (source, day, items, papers); with `kept`, kept papers.

    A paper counts once for each item that names it, and an item that names none is none. The day of
    a listing is one item; all listings are one source, `LISTING`. Files of a person's own are none.
    """
    values = {"first": first.isoformat(), "last": last.isoformat()}
    listed = rows(session, _KEPT_BY_DAY if kept else _LISTED_BY_DAY, **values)
    spoken = rows(session, _KEPT_NAMED_BY_DAY if kept else _NAMED_BY_DAY, **values)
    return [
        *((LISTING, day, 1, papers) for day, papers in listed),
        *((row.source, row.day, row.items, row.papers) for row in spoken),
    ]


_ITEMS = (
    sa.select(
        col(Item.id),
        col(Item.title),
        col(Item.url),
        _SPOKEN.label("day"),
        col(Page.slug),
        sa.func.count(sa.distinct(col(Mention.paper_id))).label("papers"),
    )
    .select_from(Mention)
    .join(Item, col(Item.id) == col(Mention.item_id))
    .outerjoin(Page, sa.and_(col(Page.id) == col(Item.page_id), col(Page.kind).not_in(GONE)))
    .join(Paper, col(Paper.id) == col(Mention.paper_id))
    .where(*_SPOKEN_BETWEEN, col(Item.source_id) == sa.bindparam("source"))
    .group_by(
        col(Item.id), col(Item.title), col(Item.url), sa.literal_column("day"), col(Page.slug)
    )
    .order_by(sa.literal_column("day").desc(), col(Item.id).desc())
)
_ITEMS_OF_KEPT = _ITEMS.where(col(Paper.state) == PaperState.KEPT)
_LISTED_DAYS = _LISTED_BY_DAY.order_by(col(ListingPaper.day).desc())
_KEPT_DAYS = _KEPT_BY_DAY.order_by(col(ListingPaper.day).desc())


def items(session: Session, source: int, first: date, last: date, *, kept: bool) -> list[Any]:
    """What a source brought between two days, newest first, with the papers that each names.

    Rows: id, title, url, day, slug (of its page, or None), papers. With `kept`, kept papers alone
    count, and an item without one is left out.
    """
    values = {"first": first.isoformat(), "last": last.isoformat()}
    statement = _ITEMS_OF_KEPT if kept else _ITEMS
    return rows(session, statement, source=source, **values)


def listed_days(session: Session, first: date, last: date, *, kept: bool) -> list[tuple[str, int]]:
    """The days of listings between two days, newest first, with their papers, or the kept ones."""
    values = {"first": first.isoformat(), "last": last.isoformat()}
    found = rows(session, _KEPT_DAYS if kept else _LISTED_DAYS, **values)
    return [(row[0], row[1]) for row in found]


_NAMED_PAPERS = (
    sa.select(
        col(Mention.item_id),
        col(Paper.id),
        col(Paper.title),
        col(Paper.state),
        col(Page.slug),
    )
    .select_from(Mention)
    .join(Paper, col(Paper.id) == col(Mention.paper_id))
    .join(Item, col(Item.id) == col(Mention.item_id))
    .outerjoin(Page, col(Page.id) == col(Paper.page_id))
    .where(*_SPOKEN_BETWEEN, col(Mention.item_id).in_(sa.bindparam("ids", expanding=True)))
    .distinct()
    .order_by(col(Mention.item_id), col(Paper.title), col(Paper.id))
)


def named_papers(session: Session, item_ids: Sequence[int], first: date, last: date) -> list[Any]:
    """The papers that items name, by item and title: rows item_id, id, title, state, slug or None."""
    values = {"first": first.isoformat(), "last": last.isoformat()}
    return rows(session, _NAMED_PAPERS, ids=list(item_ids), **values) if item_ids else []


# ---------------------------------------------------------------- the papers behind a number

_LISTED: Any = (
    sa.select(
        col(Paper.id),
        col(Paper.title),
        col(Paper.state),
        _came.label("day"),
        col(Paper.topic_id),
        sa.func.coalesce(col(Topic.name), "").label("topic"),
        col(Page.slug),
    )
    .select_from(Paper)
    .outerjoin(Topic, col(Topic.id) == col(Paper.topic_id))
    .outerjoin(Page, col(Page.id) == col(Paper.page_id))
)


def papers(
    session: Session,
    measure: Measure,
    first: date,
    last: date,
    *,
    topic: str = "",
    concept: int | None = None,
    after: tuple[str, int] | None = None,
    limit: int,
) -> list[Any]:
    """Papers that came between two days, newest first, then as they came in; behind a place.

    Of a topic (`NONE`: of none), or about a concept. Rows: id, title, state, day, topic_id, topic
    (its name), slug of its page or None.
    """
    conditions = _conditions(measure, topic=topic, concept=concept)
    if after is not None:
        day, paper = after
        conditions.append((_came < day) | ((_came == day) & (col(Paper.id) > paper)))
    order = (_came.desc(), col(Paper.id))
    if topic or concept is not None:
        chosen: Any = _PLACED.where(*conditions).order_by(*order).limit(limit)
    else:
        # The first ones of each state from the index by state and day, and of those the first.
        each = [
            sa.select(
                _PLACED.where(col(Paper.state) == state, *conditions)
                .order_by(*order)
                .limit(limit)
                .subquery()
            )
            for state in _states(measure)
        ]
        first_ones = sa.union_all(*each).subquery()
        chosen = (
            sa.select(first_ones).order_by(first_ones.c.came.desc(), first_ones.c.id).limit(limit)
        )
    values = {"first": first.isoformat(), "last": last.isoformat()}
    ids = [row.id for row in rows(session, chosen, **values)]
    found = {row.id: row for row in rows(session, _THESE, ids=ids)} if ids else {}
    return [found[paper] for paper in ids if paper in found]


_PLACED: Any = (
    sa.select(col(Paper.id), _came)
    .select_from(Paper)
    .outerjoin(Topic, col(Topic.id) == col(Paper.topic_id))
)
_THESE = _LISTED.where(col(Paper.id).in_(sa.bindparam("ids", expanding=True)))


def count(
    session: Session,
    measure: Measure,
    first: date,
    last: date,
    *,
    topic: str = "",
    concept: int | None = None,
) -> int:
    """How many papers `papers` has in all."""
    statement = (
        sa.select(sa.func.count())
        .select_from(Paper)
        .outerjoin(Topic, col(Topic.id) == col(Paper.topic_id))
        .where(*_conditions(measure, topic=topic, concept=concept))
    )
    values = {"first": first.isoformat(), "last": last.isoformat()}
    return session.connection().execute(statement, values).scalar() or 0


def _states(measure: Measure) -> list[PaperState]:
    return [PaperState.KEPT] if measure is Measure.KEPT else list(PaperState)


def _conditions(measure: Measure, *, topic: str, concept: int | None) -> list[Any]:
    conditions: list[Any] = [col(Paper.state).in_(_states(measure)), _BETWEEN, _IN_FULL]
    if measure is Measure.PICKED:
        conditions.append(topics.is_picked())
    if topic == NONE:
        conditions.append(col(Paper.topic_id).is_(None))
    elif topic:
        conditions.append(col(Paper.topic_id) == topic)
    if concept is not None:
        about = sa.select(col(Link.source_id)).where(
            col(Link.target_id) == concept,
            col(Link.relation) == Relation.ABOUT,
            col(Link.status) == LinkStatus.ACCEPTED,
        )
        conditions.append(col(Paper.page_id).in_(about))
    return conditions


_OF_PAGES = _LISTED.where(col(Paper.page_id).in_(sa.bindparam("ids", expanding=True)))


def of_pages(session: Session, page_ids: Sequence[int]) -> dict[int, Any]:
    """Papers by the id of their page: rows as those of `papers`."""
    statement = _OF_PAGES.add_columns(col(Paper.page_id))
    found = rows(session, statement, ids=list(page_ids)) if page_ids else []
    return {row.page_id: row for row in found}
