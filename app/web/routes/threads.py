"""Threads: the list of them, and what the page of one shows beside its text.

Every number is counted from members and their dates when it is asked for; none is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.domain.records import (
    Link,
    LinkStatus,
    Page,
    PageKind,
    QuestionState,
    Relation,
    Thread,
    ThreadStatus,
)
from app.domain.threads import Counters, counters, day_of
from app.store import threads as store
from app.store.threads import ThreadRow
from app.web.deps import Reads, TheApp, whole
from app.web.templating import page as screen
from app.web.templating import plural, relation_words

router = APIRouter(include_in_schema=False)

PER_PAGE = 50
MONTHS_SHOWN = 24
RELATED = 6
WITHOUT_DATE = "Without a date"

Counted = tuple[ThreadRow, Counters]

_SORTS: dict[str, tuple[str, Callable[[Counted], tuple[Any, ...]]]] = {
    "moved": ("last moved", lambda each: (each[1].latest, each[1].this_week, each[1].papers)),
    "momentum": ("growing fastest", lambda each: (each[1].momentum, each[1].latest)),
    "papers": ("most papers", lambda each: (each[1].papers, each[1].latest)),
    "questions": ("most open questions", lambda each: (each[0].questions, each[1].latest)),
}


@router.get("/threads")
def threads(
    request: Request, session: Reads, app: TheApp, sort: str = "", page: str = ""
) -> Response:
    """Every thread with its claim and numbers, the one that moved last first."""
    chosen = sort if sort in _SORTS else "moved"
    rows = counted(session, today=app.today())
    rows.sort(key=lambda each: each[0].title.casefold())
    rows.sort(key=_SORTS[chosen][1], reverse=True)
    pages = max(1, -(-len(rows) // PER_PAGE))
    number = whole(page, 1, least=1, most=pages)
    start = (number - 1) * PER_PAGE
    shown = rows[start : start + PER_PAGE]
    return screen(
        request,
        "threads/page.html",
        threads=[_listed(row, numbers) for row, numbers in shown],
        sorts=_sorts(chosen) if len(rows) > 1 else [],
        pager={
            "previous": _url(chosen, number - 1) if number > 1 else None,
            "next": _url(chosen, number + 1) if number < pages else None,
            "first": start + 1,
            "last": start + len(shown),
            "total": len(rows),
        },
    )


def counted(session: Session, *, today: date) -> list[Counted]:
    """Every thread with its numbers as of `today`: members that joined later are not counted."""
    until = today.isoformat()
    return [
        (row, counters([d for d in row.days if d <= until], today=today, marked=row.status))
        for row in store.all_threads(session)
    ]


def _listed(row: ThreadRow, numbers: Counters) -> dict[str, object]:
    return {
        "slug": row.slug,
        "title": row.title,
        "claim": row.claim,
        "papers": numbers.papers,
        "questions": row.questions,
        "since": numbers.since,
        "last": numbers.latest,
        "week": numbers.this_week,
        "points": numbers.weekly,
        "status": numbers.status,
    }


def _sorts(chosen: str) -> list[dict[str, object]]:
    return [
        {"words": words, "url": _url(name, 1), "current": name == chosen}
        for name, (words, _) in _SORTS.items()
    ]


def _url(sort: str, number: int) -> str:
    fields = {"sort": "" if sort == "moved" else sort, "page": str(number) if number > 1 else ""}
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"/threads?{query}" if query else "/threads"


# ---------------------------------------------------------------- the page of one


def thread_context(session: Session, page: Page, *, today: date) -> dict[str, object]:
    """What templates/threads/thread.html shows of a thread beside what every page has.

    Keys: claim, counts, points, months_words, months, questions, related.
    """
    assert page.id is not None
    thread = session.get(Thread, page.id)
    members = store.members(session, page.id)
    numbers = counters(
        [member.day for member in members],
        today=today,
        marked=thread.status if thread else ThreadStatus.OPEN,
    )
    questions = store.questions(session, page.id)
    points, first = _monthly((member.day for member in members), today=today)
    return {
        "claim": thread.claim if thread else "",
        "counts": _counts(session, page.id, numbers, questions),
        "points": points,
        "months_words": _monthly_words(points, first),
        "months": _months(members),
        "questions": [{"text": q.text, "state": q.state.value, "by": None} for q in questions],
        "related": _related(session, page.id),
    }


def _counts(
    session: Session, page_id: int, numbers: Counters, questions: list[Any]
) -> list[dict[str, object]]:
    open_questions = sum(question.state != QuestionState.ANSWERED for question in questions)
    concepts = len(store.concepts(session, page_id, limit=1000))
    rows: list[tuple[str, object]] = [("papers", numbers.papers)]
    if since := day_of(numbers.since):
        rows.append(("since", f"{since:%B %Y}"))
    rows += [
        (words, number)
        for words, number in (
            ("this week", numbers.this_week),
            ("concepts", concepts),
            ("open questions", open_questions),
        )
        if number
    ]
    if numbers.papers:
        rows.append(("status", numbers.status))
    return [{"words": words, "number": number} for words, number in rows]


def _monthly(days: Iterable[str], *, today: date) -> tuple[list[int], date | None]:
    """Papers a month, oldest first, up to this month, and the first of those months."""
    joined = [found for text in days if (found := day_of(text)) and found <= today]
    if not joined:
        return [], None
    last = today.year * 12 + today.month - 1
    first = max(last - MONTHS_SHOWN + 1, min(d.year * 12 + d.month - 1 for d in joined))
    points = [0] * (last - first + 1)
    for found in joined:
        at = found.year * 12 + found.month - 1 - first
        if at >= 0:
            points[at] += 1
    return points, date(first // 12, first % 12 + 1, 1)


def _monthly_words(points: list[int], first: date | None) -> str:
    if first is None:
        return ""
    numbers = ", ".join(str(point) for point in points)
    return f"papers in each month since {first:%B %Y}: {numbers}"


def _months(members: list[Any]) -> list[dict[str, object]]:
    """The members by month, newest first; those known by year alone follow its months."""
    newest = sorted(members, key=lambda m: (m.day[:7], m.day, m.link_id), reverse=True)
    return [
        {"name": _month_name(month), "papers": [_member(each) for each in group]}
        for month, group in groupby(newest, key=lambda m: m.day[:7])
    ]


def _month_name(month: str) -> str:
    found = day_of(month)
    if found is None:
        return WITHOUT_DATE
    return f"{found:%B %Y}" if len(month) == 7 else str(found.year)


def _member(row: Any) -> dict[str, object]:
    return {
        "slug": row.slug,
        "title": row.title,
        "kind": row.kind.value,
        "role": row.role.value if row.role else "",
        "contribution": row.note,
        "day": row.day,
        "url": "",
    }


def _related(session: Session, page_id: int) -> list[dict[str, object]]:
    """Threads that are linked with this one, then those that share most members with it."""
    linked = [
        {
            "slug": row.slug,
            "title": row.title,
            "words": _relation(row.relation, outgoing=row.source_id == page_id),
        }
        for row in _linked_threads(session, page_id)
    ]
    known = {each["slug"] for each in linked}
    shared = [
        {"slug": row.slug, "title": row.title, "words": plural(row.shared, "paper") + " in both"}
        for row in _overlapping_threads(session, page_id)
        if row.slug not in known
    ]
    return [*linked, *shared][:RELATED]


def _relation(relation: Relation, *, outgoing: bool) -> str:
    words = relation_words(relation)
    return f"this thread {words} it" if outgoing else f"{words} this thread"


# ---------------------------------------------------------------- statements


def _linked_threads(session: Session, page_id: int) -> list[Any]:
    """Accepted links between this thread and another: source_id, relation, slug, title."""
    other = sa.case(
        (col(Link.source_id) == page_id, col(Link.target_id)), else_=col(Link.source_id)
    )
    return list(
        session.connection().execute(
            sa.select(col(Link.source_id), col(Link.relation), col(Page.slug), col(Page.title))
            .join(Page, col(Page.id) == other)
            .where(
                (col(Link.source_id) == page_id) | (col(Link.target_id) == page_id),
                col(Link.status) == LinkStatus.ACCEPTED,
                col(Page.kind) == PageKind.THREAD,
            )
            .order_by(col(Page.title), col(Link.id))
            .limit(RELATED)
        )
    )


def _overlapping_threads(session: Session, page_id: int) -> list[Any]:
    """Threads that have two or more members in common with this one: slug, title, shared."""
    mine, theirs = aliased(Link), aliased(Link)
    shared = sa.func.count()
    return list(
        session.connection().execute(
            sa.select(col(Page.slug), col(Page.title), shared.label("shared"))
            .select_from(mine)
            .join(theirs, col(theirs.source_id) == col(mine.source_id))
            .join(Page, col(Page.id) == col(theirs.target_id))
            .where(
                col(mine.target_id) == page_id,
                col(theirs.target_id) != page_id,
                *(
                    condition
                    for link in (mine, theirs)
                    for condition in (
                        col(link.relation) == Relation.PART_OF,
                        col(link.status) == LinkStatus.ACCEPTED,
                    )
                ),
            )
            .group_by(col(Page.id))
            .having(shared > 1)
            .order_by(shared.desc(), col(Page.title))
            .limit(RELATED)
        )
    )
