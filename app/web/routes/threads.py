"""Threads: the list of them, and what the page of one shows beside its text.

Every number is counted from members and their dates when it is asked for; none is stored.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.bootstrap import App
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
from app.store.pages import Place
from app.store.threads import Member, ThreadRow
from app.web.deps import Reads, TheApp, UnlessKnown, facts, whole
from app.web.memory import Facts
from app.web.templating import page as screen
from app.web.templating import plural, relation_words

router = APIRouter(include_in_schema=False)

PER_PAGE = 50
MONTHS_SHOWN = 24
MEMBERS_SHOWN = 100  # of a timeline at once
RELATED = 6
WITHOUT_DATE = "Without a date"

_SORTS: dict[str, tuple[str, Callable[[ThreadRow], tuple[Any, ...]]]] = {
    "moved": (
        "last moved",
        lambda row: (row.numbers.latest, row.numbers.this_week, row.numbers.papers),
    ),
    "momentum": ("growing fastest", lambda row: (row.numbers.momentum, row.numbers.latest)),
    "papers": ("most papers", lambda row: (row.numbers.papers, row.numbers.latest)),
    "questions": ("most open questions", lambda row: (row.questions, row.numbers.latest)),
}


@router.get("/threads", dependencies=[UnlessKnown])
def threads(
    request: Request, session: Reads, app: TheApp, sort: str = "", page: str = ""
) -> Response:
    """Every thread with its claim and numbers, the one that moved last first."""
    chosen = sort if sort in _SORTS else "moved"
    rows = sorted(counted(request, session, app), key=lambda row: row.title.casefold())
    rows.sort(key=_SORTS[chosen][1], reverse=True)
    pages = max(1, -(-len(rows) // PER_PAGE))
    number = whole(page, 1, least=1, most=pages)
    start = (number - 1) * PER_PAGE
    shown = rows[start : start + PER_PAGE]
    return screen(
        request,
        "threads/page.html",
        threads=[_listed(row) for row in shown],
        sorts=_sorts(chosen) if len(rows) > 1 else [],
        pager={
            "previous": _url(chosen, number - 1) if number > 1 else None,
            "next": _url(chosen, number + 1) if number < pages else None,
            "first": start + 1,
            "last": start + len(shown),
            "total": len(rows),
        },
    )


def counted(
    request: Request, session: Session, app: App, *, day: date | None = None
) -> list[ThreadRow]:
    """Every thread with its numbers as of a day, without one as of today."""
    today = day or app.today()
    return facts(request).get(
        session,
        ("threads", today),
        lambda: store.all_threads(session, today=today),
        of=("link", "page", "paper", "question"),
    )


def _listed(row: ThreadRow) -> dict[str, object]:
    numbers = row.numbers
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


def thread_context(
    session: Session,
    page_id: int,
    *,
    today: date,
    slug: str = "",
    after: str = "",
    known: Facts | None = None,
) -> dict[str, object]:
    """What templates/threads/thread.html shows of a thread beside what every page has.

    Keys: claim, counts, points, months_words, months, earlier, questions, related. `after` is the
    place of the last member shown: the timeline goes on behind it.
    """
    known = known or Facts()
    thread = session.get(Thread, page_id)
    members = order_of(known, session, page_id)
    questions = store.questions(session, page_id)
    concepts = known.get(
        session, ("concepts", page_id), lambda: store.concept_count(session, page_id), of=("link",)
    )
    numbers = counters(
        [member.day for member in members],
        today=today,
        marked=thread.status if thread else ThreadStatus.OPEN,
    )
    points, first = _monthly((member.day for member in members), today=today)
    shown, earlier = _part(members, Place.read(after))
    return {
        "claim": thread.claim if thread else "",
        "counts": _counts(numbers, questions, concepts),
        "points": points,
        "months_words": _monthly_words(points, first),
        "months": _months(
            store.members(session, [member.link_id for member in shown]),
            Counter(member.day[:7] for member in members),
        ),
        "earlier": f"/w/{slug}?{urlencode({'after': str(earlier)})}#timeline" if earlier else None,
        "questions": [{"text": q.text, "state": q.state.value, "by": None} for q in questions],
        "related": _related(session, page_id),
    }


def order_of(known: Facts, session: Session, page_id: int) -> tuple[Member, ...]:
    """The members of a thread, oldest first."""
    return known.get(
        session,
        ("members", page_id),
        lambda: store.order(session, page_id),
        of=("link", "paper"),
    )


def _part(members: Sequence[Member], after: Place | None) -> tuple[Sequence[Member], Place | None]:
    """Members newest first, and the place behind which the timeline goes on, if it does.

    `members` come oldest first.
    """
    end = len(members)
    if after is not None:
        place = (after.key, after.number)
        end = bisect_left(members, place, key=lambda member: (member.day, member.link_id))
    start = max(0, end - MEMBERS_SHOWN)
    last = members[start] if start else None
    return members[start:end][::-1], Place(last.day, last.link_id) if last else None


def _counts(numbers: Counters, questions: list[Any], concepts: int) -> list[dict[str, object]]:
    open_questions = sum(question.state != QuestionState.ANSWERED for question in questions)
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


def _months(members: list[Any], totals: Mapping[str, int]) -> list[dict[str, object]]:
    """The members, newest first, by month; those known by year alone follow its months."""
    return [
        {
            "name": _month_name(month),
            "total": totals[month],
            "papers": [_member(each) for each in group],
        }
        for month, group in groupby(members, key=lambda m: m.day[:7])
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
    return list(session.connection().execute(_LINKED, {"page": page_id, "limit": RELATED}))


def _touching(side: Any, other: Any) -> Any:
    """Threads at the other end of this thread's accepted links."""
    return (
        sa.select(
            col(Link.id), col(Link.source_id), col(Link.relation), col(Page.slug), col(Page.title)
        )
        .join(Page, col(Page.id) == col(other))
        .where(
            col(side) == sa.bindparam("page"),
            col(Link.status) == LinkStatus.ACCEPTED,
            col(Page.kind) == PageKind.THREAD,
        )
    )


_ENDS = sa.union_all(
    _touching(Link.source_id, Link.target_id), _touching(Link.target_id, Link.source_id)
).subquery()
_LINKED = sa.select(_ENDS).order_by(_ENDS.c.title, _ENDS.c.id).limit(sa.bindparam("limit"))


def _overlapping_threads(session: Session, page_id: int) -> list[Any]:
    """Threads that have two or more members in common with this one: slug, title, shared."""
    return list(session.connection().execute(_OVERLAPPING, {"page": page_id, "limit": RELATED}))


def _sharing() -> Any:
    mine, theirs = aliased(Link), aliased(Link)
    shared = sa.func.count()
    page: sa.BindParameter[int] = sa.bindparam("page")
    return (
        sa.select(col(Page.slug), col(Page.title), shared.label("shared"))
        .select_from(mine)
        .join(theirs, col(theirs.source_id) == col(mine.source_id))
        .join(Page, col(Page.id) == col(theirs.target_id))
        .where(
            col(mine.target_id) == page,
            col(theirs.target_id) != page,
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
        .limit(sa.bindparam("limit"))
    )


_OVERLAPPING = _sharing()
