"""Days of listings: which there are, what stands on each and what became of it.

A day is read as one list of light rows, and the texts of those that a screen shows by their ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.domain.records import (
    Announced,
    Assessment,
    AssessmentTopic,
    Listing,
    ListingPaper,
    Page,
    Paper,
    PaperState,
    Topic,
)
from app.store import topics
from app.store.db import rows

HOT_LISTINGS = 10  # that one page of the hotspot list looks through
_day = col(Listing.day)
_LISTED = sa.exists().where(col(ListingPaper.day) == _day)


def newest(session: Session) -> str:
    """The newest day of a listing; "" when there is none."""
    return session.connection().execute(sa.select(sa.func.max(_day))).scalar() or ""


def beside(session: Session, day: str) -> tuple[str, str]:
    """The days of the listings before and after this one, whether it is one or not; "" for none."""
    before = sa.select(sa.func.max(_day)).where(_day < day).scalar_subquery()
    after = sa.select(sa.func.min(_day)).where(_day > day).scalar_subquery()
    found = session.connection().execute(sa.select(before, after)).one()
    return found[0] or "", found[1] or ""


_NEWEST_MARKS = (
    sa.select(sa.func.max(col(Assessment.id)))
    .where(col(Assessment.paper_id) == col(Paper.id))
    .correlate(Paper)
    .scalar_subquery()
)
_EARLIER = aliased(ListingPaper)
# A paper that was replaced is not new, though the wiki may not have met it before.
_SEEN = sa.or_(
    col(ListingPaper.announced).is_not_distinct_from(Announced.REPLACED),
    sa.exists()
    .where(
        col(_EARLIER.paper_id) == col(ListingPaper.paper_id),
        col(_EARLIER.day) < col(ListingPaper.day),
    )
    .correlate(ListingPaper),
)
_PICKED = sa.case((topics.is_picked(), 1), else_=0)
_PAPERS_OF_DAY: Any = (
    sa.select(
        col(Paper.id),
        col(Paper.title),
        col(Paper.state),
        col(Paper.score),
        col(Paper.topic_id),
        sa.func.coalesce(col(Topic.name), "").label("topic"),
        sa.func.coalesce(_PICKED, 0).label("picked"),
        _SEEN.label("seen"),
        col(Page.slug),
        col(Assessment.id).label("assessment"),
        col(Assessment.scorer),
        col(Assessment.relevance),
        col(Assessment.novelty),
    )
    .select_from(ListingPaper)
    .join(Paper, col(Paper.id) == col(ListingPaper.paper_id))
    .outerjoin(Topic, col(Topic.id) == col(Paper.topic_id))
    .outerjoin(Page, col(Page.id) == col(Paper.page_id))
    .outerjoin(Assessment, col(Assessment.id) == _NEWEST_MARKS)
    .where(col(ListingPaper.day) == sa.bindparam("day"))
    .order_by(col(Paper.score).desc(), col(ListingPaper.position), col(Paper.id))
)


def papers_of(session: Session, day: str) -> list[Any]:
    """Every paper of a day's listing, best first, then in the order of the listing.

    Rows: id, title, state, score, topic_id, topic (name), picked (0 or 1: its score reaches the
    threshold of its topic), seen (an earlier listing has it, or it was replaced), slug of its page or None;
    assessment (id), scorer, relevance and novelty of its newest marks, None without.
    """
    return rows(session, _PAPERS_OF_DAY, day=day)


_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_TEXTS = (
    sa.select(
        col(Paper.id),
        col(Paper.abstract),
        col(Paper.authors),
        col(Assessment.scorer),
        col(Assessment.comment),
        col(Assessment.topic_comment),
        col(Assessment.tags),
        col(Assessment.hotspot_comment),
        col(Assessment.tier),
        col(Assessment.tier_reason),
        col(Assessment.evidence),
    )
    .select_from(Paper)
    .outerjoin(Assessment, col(Assessment.id) == _NEWEST_MARKS)
    .where(col(Paper.id).in_(_IDS))
)


def marks_of(ids: sa.BindParameter[Any]) -> Any:
    """A statement for the newest marks of papers: rows id, relevance, novelty, topic (name or None)."""
    return (
        sa.select(
            col(Paper.id),
            col(Assessment.relevance),
            col(Assessment.novelty),
            col(Topic.name).label("topic"),
        )
        .join(Assessment, col(Assessment.id) == _NEWEST_MARKS)
        .outerjoin(Topic, col(Topic.id) == col(Assessment.topic_id))
        .where(col(Paper.id).in_(ids))
    )


def texts(session: Session, paper_ids: Iterable[int]) -> dict[int, Any]:
    """What is read of papers, by id: abstract, authors, and the words of their newest marks."""
    ids = list(paper_ids)
    return {row.id: row for row in rows(session, _TEXTS, ids=ids)} if ids else {}


_AUTHORS = sa.select(col(Paper.id), col(Paper.authors)).where(col(Paper.id).in_(_IDS))


def authors(session: Session, paper_ids: Iterable[int]) -> dict[int, list[str]]:
    """The authors of papers, by id."""
    ids = list(paper_ids)
    return dict(rows(session, _AUTHORS, ids=ids)) if ids else {}


_MATCHED = (
    sa.select(col(AssessmentTopic.assessment_id), col(Topic.id), col(Topic.name))
    .join(Topic, col(Topic.id) == col(AssessmentTopic.topic_id))
    .where(col(AssessmentTopic.assessment_id).in_(_IDS))
    .order_by(col(Topic.position), col(Topic.id))
)


def matched(session: Session, assessments: Iterable[int]) -> dict[int, list[tuple[str, str]]]:
    """The topics (id, name) that these assessments match, in the reader's order."""
    found: dict[int, list[tuple[str, str]]] = {}
    ids = list(assessments)
    for assessment, topic, name in rows(session, _MATCHED, ids=ids) if ids else ():
        found.setdefault(assessment, []).append((topic, name))
    return found


_PAGES = sa.select(col(Page.id), col(Page.slug), col(Page.title), col(Page.kind)).where(
    col(Page.id).in_(_IDS)
)


def near_pages(
    session: Session, evidence: Iterable[Sequence[dict[str, Any]] | None]
) -> dict[int, Any]:
    """The pages that evidence says papers are most like, by id: rows id, slug, title, kind."""
    wanted = {page for each in evidence for page in near(each)}
    return {row.id: row for row in rows(session, _PAGES, ids=sorted(wanted))} if wanted else {}


def near(evidence: Sequence[dict[str, Any]] | None) -> list[int]:
    """Ids of the pages of the wiki that a paper is most like, the most like first."""
    found = [
        (each.get("likeness") or 0, each["page"])
        for each in evidence or ()
        if each.get("kind") == "near" and isinstance(each.get("page"), int)
    ]
    return [page for _, page in sorted(found, key=lambda each: -each[0])]


_LISTINGS = (
    sa.select(
        col(ListingPaper.paper_id),
        sa.func.min(col(ListingPaper.day)).label("first"),
        sa.func.max(col(ListingPaper.day)).label("last"),
        sa.func.max(col(ListingPaper.version)).label("version"),
    )
    .where(col(ListingPaper.paper_id).in_(_IDS))
    .group_by(col(ListingPaper.paper_id))
)


def listed_on(session: Session, paper_ids: Iterable[int]) -> dict[int, Any]:
    """When papers were listed, by id: rows first and last (days), version (newest named, or None)."""
    ids = list(paper_ids)
    return {row.paper_id: row for row in rows(session, _LISTINGS, ids=ids)} if ids else {}


# ---------------------------------------------------------------- months

_COUNTED = (
    sa.select(
        col(ListingPaper.day),
        sa.func.count().label("papers"),
        sa.func.sum(sa.case((col(Paper.state) == PaperState.KEPT, 1), else_=0)).label("kept"),
        sa.func.sum(sa.case((col(Paper.state) == PaperState.WAITING, 1), else_=0)).label("waiting"),
        sa.func.sum(_PICKED).label("picked"),
        sa.func.max(col(Paper.score)).label("best"),
    )
    .select_from(ListingPaper)
    .join(Paper, col(Paper.id) == col(ListingPaper.paper_id))
    .outerjoin(Topic, col(Topic.id) == col(Paper.topic_id))
    .where(col(ListingPaper.day).between(sa.bindparam("first"), sa.bindparam("last")))
    .group_by(col(ListingPaper.day))
)
_OF_MONTH = (
    sa.select(Listing)
    .where(_day.between(sa.bindparam("first"), sa.bindparam("last")))
    .order_by(_day)
)


def of_month(session: Session, month: str) -> list[Listing]:
    """The listings of a month (YYYY-MM), by day."""
    return list(session.execute(_OF_MONTH, _within(month)).scalars())


def counts(session: Session, month: str) -> dict[str, Any]:
    """What stands on the days of a month and what became of it, by day.

    Rows: papers, kept, waiting and picked (numbers of papers), best (the highest score).
    """
    return {row.day: row for row in rows(session, _COUNTED, **_within(month))}


def _within(month: str) -> dict[str, Any]:
    return {"first": f"{month}-01", "last": f"{month}-31"}


_BEST = (
    sa.select(col(ListingPaper.day), col(Paper.id), col(Paper.title), col(Page.slug))
    .add_columns(col(Paper.score))
    .select_from(ListingPaper)
    .join(Paper, col(Paper.id) == col(ListingPaper.paper_id))
    .outerjoin(Page, col(Page.id) == col(Paper.page_id))
    .where(
        col(ListingPaper.day).between(sa.bindparam("first"), sa.bindparam("last")),
        col(Paper.score) >= sa.bindparam("least"),
    )
    .order_by(col(ListingPaper.position).desc(), col(Paper.id).desc())
)


def best_of(session: Session, best: Mapping[str, float]) -> dict[str, Any]:
    """The paper with the highest score of each day, which is given: rows id, title, slug or None."""
    if not best:
        return {}
    bounds = {"first": min(best), "last": max(best), "least": min(best.values())}
    return {
        row.day: row for row in rows(session, _BEST, **bounds) if row.score == best.get(row.day)
    }


def months_beside(session: Session, month: str) -> tuple[str, str]:
    """The months (YYYY-MM) before and after this one that have listings; "" for none."""
    before, _ = beside(session, f"{month}-01")
    _, after = beside(session, f"{month}-31")
    return before[:7], after[:7]


# ---------------------------------------------------------------- hotspots


def hotspots(session: Session, *, day: str = "", before: str = "") -> tuple[list[Any], str]:
    """Papers whose newest marks carry tags, newest day first; and the day to go on before, or "".

    Of one `day`, or of the newest `HOT_LISTINGS` listings, those before a day. A paper stands on the
    day that it was new. Rows: day, id, title, slug, state, relevance, novelty, tags, comment,
    hotspot_comment.
    """
    chosen = sa.select(_day).where(_LISTED)
    if day:
        chosen = chosen.where(_day == day)
    elif before:
        chosen = chosen.where(_day < before)
    days = list(
        session.connection().execute(chosen.order_by(_day.desc()).limit(HOT_LISTINGS + 1)).scalars()
    )
    more = days[HOT_LISTINGS - 1] if len(days) > HOT_LISTINGS else ""
    statement = (
        sa.select(
            col(ListingPaper.day),
            col(Paper.id),
            col(Paper.title),
            col(Paper.state),
            col(Page.slug),
            col(Assessment.relevance),
            col(Assessment.novelty),
            col(Assessment.tags),
            col(Assessment.comment),
            col(Assessment.hotspot_comment),
        )
        .select_from(ListingPaper)
        .join(Paper, col(Paper.id) == col(ListingPaper.paper_id))
        .outerjoin(Page, col(Page.id) == col(Paper.page_id))
        .join(Assessment, col(Assessment.id) == _NEWEST_MARKS)
        .where(
            col(ListingPaper.day).in_(_IDS),
            ~_SEEN,
            sa.cast(col(Assessment.tags), sa.Text) != "[]",
        )
        .order_by(col(ListingPaper.day).desc(), col(Paper.score).desc(), col(Paper.id))
    )
    return (rows(session, statement, ids=days[:HOT_LISTINGS]) if days else []), more
