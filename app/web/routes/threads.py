"""Threads: the list of them, and what the page of one shows beside its text.

Every number is counted from members and their dates when it is asked for; none is stored.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from typing import Annotated, Any
from urllib.parse import urlencode

import numpy as np
import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import aliased
from sqlmodel import Session, col
from starlette.datastructures import FormData

from app.bootstrap import App
from app.domain.asof import as_of
from app.domain.queries import clean
from app.domain.records import (
    ChangeKind,
    Link,
    LinkStatus,
    Page,
    PageKind,
    QuestionState,
    Relation,
    Role,
    Thread,
    ThreadStatus,
)
from app.domain.threads import STATES, Counters, counters, day_of, momentum_words
from app.errors import Conflict, Invalid
from app.services import search
from app.services import threads as keeping
from app.services.search import AskedThreads, FoundThreads
from app.store import pages, questions
from app.store import threads as store
from app.store.concepts import CLAIMS
from app.store.pages import Place
from app.store.questions import QuestionRow
from app.store.threads import Member, Says, ThreadRow
from app.web.deps import Form, Reads, TheApp, UnlessKnown, Writes, facts, text, whole
from app.web.memory import Facts
from app.web.rows import question_rows
from app.web.templating import page as screen
from app.web.templating import plural, relation_words

router = APIRouter(include_in_schema=False)

PER_PAGE = 50
MONTHS_SHOWN = 24
MEMBERS_SHOWN = 100  # of a timeline at once
CONCEPTS_SHOWN = 12
OFFERED = 8  # concepts to filter the list by
MOST_CONCEPTS = 5  # that threads may be asked to be between
CONTRADICTING = 3  # named where the status is suggested
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


@dataclass(frozen=True)
class Listed:
    """A list of threads as its address says it. `sort` "" is by relevance, or the last moved."""

    q: str = ""
    status: str = ""
    moved: bool = False
    between: tuple[str, ...] = ()
    asof: str = ""
    sort: str = ""
    page: int = 1

    @property
    def kept(self) -> dict[str, str]:
        """What is in force beside the words, as the form sends it along."""
        fields = {
            "status": self.status,
            "moved": "week" if self.moved else "",
            "between": ",".join(self.between),
            "asof": self.asof,
            "sort": self.sort,
        }
        return {name: value for name, value in fields.items() if value}

    def url(self, **changes: Any) -> str:
        """The address of this list with other values; from its first page on, unless told."""
        asked = replace(self, **{"page": 1, **changes})
        fields = {"q": asked.q, **asked.kept, "page": str(asked.page) if asked.page > 1 else ""}
        query = urlencode({name: value for name, value in fields.items() if value})
        return f"/threads?{query}" if query else "/threads"


def _asked(
    q: str = "",
    status: str = "",
    moved: str = "",
    between: str = "",
    asof: str = "",
    sort: str = "",
    page: str = "",
) -> Listed:
    return Listed(
        q=clean(q),
        status=status.strip(),
        moved=moved.strip() == "week",
        between=named_in(between),
        asof=asof.strip(),
        sort=sort if sort in _SORTS and (sort != "moved" or clean(q)) else "",
        page=whole(page, 1, least=1, most=100_000),
    )


def named_in(text: str) -> tuple[str, ...]:
    """The names of concepts in a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())[:MOST_CONCEPTS]


@router.get("/threads", dependencies=[UnlessKnown])
def threads(
    request: Request, session: Reads, app: TheApp, asked: Annotated[Listed, Depends(_asked)]
) -> Response:
    """Threads with claim and numbers: those that fit, the one that moved last first."""
    wrong = ""
    try:
        found = look_for(request, session, app, asked)
    except Invalid as error:
        wrong, asked = str(error), Listed(q=asked.q)
        found = look_for(request, session, app, asked)
    rows = list(found.rows)
    if asked.sort or not asked.q:
        rows.sort(key=_SORTS[asked.sort or "moved"][1], reverse=True)
    last = max(1, -(-len(rows) // PER_PAGE))
    number = min(asked.page, last)
    start = (number - 1) * PER_PAGE
    shown = rows[start : start + PER_PAGE]
    return screen(
        request,
        "threads/page.html",
        status_code=422 if wrong else 200,
        q=asked.q,
        kept=asked.kept,
        wrong=wrong,
        notice=found.notice,
        asof=found.day.isoformat() if asked.asof else "",
        between=", ".join(asked.between),
        narrowed=bool(asked.q or asked.kept),
        filters=_filters(request, session, asked, found),
        threads=[_listed(row, found.said.get(row.page_id, ())) for row in shown],
        sorts=_sorts(asked) if len(rows) > 1 else [],
        pager={
            "previous": asked.url(page=number - 1) if number > 1 else None,
            "next": asked.url(page=number + 1) if number < last else None,
            "first": start + 1,
            "last": start + len(shown),
            "total": len(rows),
        },
    )


def look_for(request: Request, session: Session, app: App, asked: Listed) -> FoundThreads:
    """The threads that fit, from what is known of all of them. Raises Invalid."""
    return search.threads(
        session,
        AskedThreads(asked.q, asked.status, asked.moved, asked.between, asked.asof),
        today=app.today(),
        counted=lambda day: counted(request, session, app, day=day),
        index=app.index,
        query_encoder=app.query_encoder,
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


def _listed(row: ThreadRow, said: Sequence[Says]) -> dict[str, object]:
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
        "said": [{"slug": s.slug, "title": s.title, "note": s.note} for s in said],
    }


def _sorts(asked: Listed) -> list[dict[str, object]]:
    sorts = [
        {
            "words": words,
            "url": asked.url(sort=name if asked.q or name != "moved" else ""),
            "current": name == (asked.sort or ("" if asked.q else "moved")),
        }
        for name, (words, _) in _SORTS.items()
    ]
    if asked.q:
        sorts.insert(
            0, {"words": "best match", "url": asked.url(sort=""), "current": not asked.sort}
        )
    return sorts


def _filters(
    request: Request, session: Session, asked: Listed, found: FoundThreads
) -> list[dict[str, object]]:
    """The filters as links, each with how many threads there would be; those in force take it out."""
    filters: list[dict[str, object]] = []

    def add(words: str, number: int | None, current: bool, url: str) -> None:
        filters.append({"words": words, "number": number, "current": current, "url": url})

    if found.facets.get("moved") or asked.moved:
        week = "moved that week" if asked.asof else "moved this week"
        add(week, found.facets.get("moved", 0), asked.moved, asked.url(moved=not asked.moved))
    for status in STATES:
        number, current = found.facets.get(status, 0), asked.status == status
        if number or current:
            add(status, number, current, asked.url(status="" if current else status))
    for each, name in zip(found.concepts, asked.between, strict=True):
        rest = tuple(other for other in asked.between if other != name)
        add(each.title, None, True, asked.url(between=rest))
    chosen = {each.slug for each in found.concepts}
    offered = [each for each in _over(request, session, found) if each[0] not in chosen]
    for slug, title, number in offered[:OFFERED]:
        slugs = (*(each.slug for each in found.concepts), slug)
        add(title, number, False, asked.url(between=slugs))
    if asked.asof:
        add(f"as of {found.day:%-d %B %Y}", None, True, asked.url(asof=""))
    return filters


def _over(request: Request, session: Session, found: FoundThreads) -> list[tuple[str, str, int]]:
    """The concepts that most of these threads are over, and how many of them: (slug, title, number).

    A filter of up to five concepts is enough: then none is offered.
    """
    if not found.rows or len(found.concepts) == MOST_CONCEPTS:
        return []
    until = found.day.isoformat()
    pairs = facts(request).get(
        session,
        ("threads over", until),
        lambda: store.over(session, until=until),
        of=("link", "page", "paper"),
    )
    of_these = np.isin(pairs[:, 0], [row.page_id for row in found.rows])
    concepts, numbers = np.unique(pairs[of_these, 1], return_counts=True)
    most = np.lexsort((concepts, -numbers))[: OFFERED + MOST_CONCEPTS]
    counted = dict(zip(concepts[most].tolist(), numbers[most].tolist(), strict=True))
    named = {row.id: row for row in pages.rows_of(session, list(counted))}
    return [
        (named[concept].slug, named[concept].title, number)
        for concept, number in counted.items()
        if concept in named and named[concept].kind == PageKind.CONCEPT
    ]


# ---------------------------------------------------------------- the page of one


def thread_context(
    session: Session,
    page_id: int,
    *,
    today: date,
    slug: str = "",
    after: str = "",
    asof: str = "",
    known: Facts | None = None,
) -> dict[str, object]:
    """What templates/threads/thread.html shows of a thread beside what every page has.

    Keys: base, claim, claims, status, statuses, asof, wrong, counts, momentum, points, months_words,
    concepts, against, months, earlier, questions, related, history. `after` is the place of the
    last member shown: the timeline goes on behind it. `asof` is a day: counters and members are
    those it had then.
    """
    known = known or Facts()
    thread = session.get(Thread, page_id)
    marked = thread.status if thread else ThreadStatus.OPEN
    wrong = ""
    try:
        day = as_of(asof, today)
    except Invalid as error:
        wrong, asof, day = str(error), "", today
    until = day.isoformat() if asof else store.LAST
    members = [each for each in order_of(known, session, page_id) if each.day <= until]
    asked = [] if asof else questions.of_thread(session, page_id)
    concepts = known.get(
        session,
        ("concepts", page_id, until),
        lambda: store.concepts(session, [page_id], until=until).get(page_id, []),
        of=("link", "page", "paper"),
    )
    numbers = counters([member.day for member in members], today=day, marked=marked)
    claims = _former_claims(session, page_id)
    points, first = _monthly((member.day for member in members), today=day)
    shown, earlier = _part(members, Place.read(after))
    against = store.of_role(
        session, page_id, Role.CONTRADICTS, until=until, limit=CONTRADICTING + 1
    )
    return {
        "base": keeping.base_of(thread),
        "claim": _claim(claims, thread.claim if thread else "", until if asof else ""),
        "claims": claims,
        "status": marked.value,
        "statuses": [each.value for each in ThreadStatus],
        "asof": day.isoformat() if asof else "",
        "wrong": wrong,
        "counts": _counts(session, members, numbers, asked, len(concepts)),
        "momentum": momentum_words(numbers),
        "points": points,
        "months_words": _monthly_words(points, first),
        "concepts": concepts[:CONCEPTS_SHOWN],
        "more_concepts": max(0, len(concepts) - CONCEPTS_SHOWN),
        "against": [] if marked != ThreadStatus.OPEN or asof else against,
        "months": _months(
            store.members(session, [member.link_id for member in shown]),
            Counter(member.day[:7] for member in members),
            slug=slug if slug and not asof else "",
        ),
        "earlier": _further(slug, earlier, asof),
        "questions": question_rows(asked),
        "related": _related(session, page_id),
        "history": [_joined(row, page_id) for row in store.joins_and_splits(session, page_id)],
    }


def _further(slug: str, earlier: Place | None, asof: str) -> str | None:
    if not earlier:
        return None
    fields = {"after": str(earlier), **({"asof": asof} if asof else {})}
    return f"/w/{slug}?{urlencode(fields)}#timeline"


def _former_claims(session: Session, page_id: int) -> list[dict[str, str]]:
    """The claims a thread had before, the newest first, each with the day it was replaced."""
    page = session.get(Page, page_id)
    kept = page.extra.get(CLAIMS, []) if page else []
    return [
        {"claim": str(each["claim"]), "until": str(each["until"])[:10]}
        for each in reversed(kept)
        if each.get("claim")
    ]


def _claim(former: list[dict[str, str]], today: str, day: str) -> str:
    """The claim as of a day: the first that was replaced later, or today's; without a day, today's."""
    later = [each["claim"] for each in former if day and each["until"] > day]
    return later[-1] if later else today


def _joined(row: Any, page_id: int) -> dict[str, object]:
    """A join or a split as the page that has it tells it."""
    if row.kind == ChangeKind.MERGE:
        words, slug = "went into this thread", ""
        name = row.title.partition(" → ")[0]
    elif row.source_id == page_id:
        words, slug, name = "was split off from this thread", row.other_slug, row.other_title
    else:
        words, slug, name = "is what this thread was split from", row.other_slug, row.other_title
    return {
        "slug": slug or "",
        "title": name or "A page that is gone",
        "words": words,
        "at": row.at,
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


def _counts(
    session: Session,
    members: Sequence[Member],
    numbers: Counters,
    asked: list[QuestionRow],
    concepts: int,
) -> list[dict[str, object]]:
    """The thread in numbers; `url` is where the rows stand that a number counts."""
    open_questions = sum(each.state != QuestionState.ANSWERED for each in asked)
    dated = [member for member in members if day_of(member.day)]
    ends = {row.link_id: row.slug for row in store.members(session, _ends(dated))}
    rows: list[tuple[str, object, str]] = [("papers", numbers.papers, "#timeline")]
    for words, moment, at in (("since", numbers.since, 0), ("latest", numbers.latest, -1)):
        if day := day_of(moment):
            slug = ends.get(dated[at].link_id)
            rows.append((words, f"{day:%B %Y}", f"/w/{slug}" if slug else "#timeline"))
    rows += [
        (words, number, url)
        for words, number, url in (
            ("this week", numbers.this_week, "#timeline"),
            ("concepts", concepts, "#concepts"),
            ("open questions", open_questions, "#questions"),
        )
        if number
    ]
    if numbers.papers:
        rows.append(("status", numbers.status, ""))
    return [{"words": words, "number": number, "url": url} for words, number, url in rows]


def _ends(dated: Sequence[Member]) -> list[int]:
    """The links of the first and the last member."""
    return [dated[0].link_id, dated[-1].link_id] if dated else []


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


def _months(members: list[Any], totals: Mapping[str, int], *, slug: str) -> list[dict[str, object]]:
    """The members, newest first, by month; those known by year alone follow its months.

    With the `slug` of the thread each has the address of its form.
    """
    return [
        {
            "name": _month_name(month),
            "total": totals[month],
            "papers": [_member(each, slug) for each in group],
        }
        for month, group in groupby(members, key=lambda m: m.day[:7])
    ]


def _month_name(month: str) -> str:
    found = day_of(month)
    if found is None:
        return WITHOUT_DATE
    return f"{found:%B %Y}" if len(month) == 7 else str(found.year)


def _member(row: Any, slug: str) -> dict[str, object]:
    return {
        "slug": row.slug,
        "title": row.title,
        "kind": row.kind.value,
        "role": row.role.value if row.role else "",
        "contribution": row.note,
        "day": row.day,
        "url": "",
        "change": f"/w/{slug}/members/{row.link_id}" if slug else "",
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


# ---------------------------------------------------------------- what the reader changes


@router.post("/w/{slug}/thread")
def edit(request: Request, slug: str, form: Form, session: Writes, app: TheApp) -> Response:
    """Another claim, or another status. What is refused, or was changed meanwhile, comes back in the form."""
    page = keeping.get(session, slug)
    thread = session.get(Thread, page.id)
    stands = {
        "claim": thread.claim if thread else "",
        "status": (thread.status if thread else ThreadStatus.OPEN).value,
    }
    said = {name: text(form, name, standing) for name, standing in stands.items()}
    try:
        with session.begin_nested():
            keeping.edit(session, slug, **said, base=text(form, "base"), now=app.clock())
    except (Conflict, Invalid) as error:
        changed = isinstance(error, Conflict)
        return screen(
            request,
            "threads/claim.html",
            status_code=409 if changed else 422,
            page={"slug": page.slug, "title": page.title},
            said=said,
            theirs=stands if changed else None,
            base=keeping.base_of(thread),
            statuses=[each.value for each in ThreadStatus],
            wrong=str(error),
        )
    return RedirectResponse(f"/w/{page.slug}", 303)


@router.get("/w/{slug}/members")
def ask_member(request: Request, slug: str, session: Reads) -> Response:
    """A form for a new member."""
    return _asking(request, session, slug)


@router.post("/w/{slug}/members")
def add_member(request: Request, slug: str, form: Form, session: Writes, app: TheApp) -> Response:
    said = _said(form)
    name = text(form, "paper")
    try:
        with session.begin_nested():
            keeping.add_member(session, slug, name, **said, now=app.clock())
    except (Conflict, Invalid) as error:
        return _asking(request, session, slug, name=name, said=said, wrong=str(error))
    return RedirectResponse(f"/w/{slug}?saved=member#timeline", 303)


@router.get("/w/{slug}/members/{number}")
def ask_change(request: Request, slug: str, number: str, session: Reads) -> Response:
    """A form for the role, line and date of a member, and to take it out."""
    return _asking(request, session, slug, number=whole(number, 0))


@router.post("/w/{slug}/members/{number}")
def change_member(
    request: Request, slug: str, number: str, form: Form, session: Writes, app: TheApp
) -> Response:
    said, link_id = _said(form), whole(number, 0)
    try:
        with session.begin_nested():
            if text(form, "do") == "out":
                keeping.take_out(session, slug, link_id, now=app.clock())
            else:
                base = text(form, "base")
                keeping.change_member(session, slug, link_id, **said, base=base, now=app.clock())
    except (Conflict, Invalid) as error:
        changed = isinstance(error, Conflict) and text(form, "do") != "out"
        return _asking(
            request,
            session,
            slug,
            number=link_id,
            said=said,
            wrong=str(error),
            changed=changed,
        )
    return RedirectResponse(f"/w/{slug}?saved=member#timeline", 303)


def _said(form: FormData) -> dict[str, str]:
    return {name: text(form, name).strip() for name in ("role", "line", "day")}


def _asking(
    request: Request,
    session: Session,
    slug: str,
    *,
    number: int = 0,
    name: str = "",
    said: Mapping[str, str] | None = None,
    wrong: str = "",
    changed: bool = False,
) -> Response:
    """The form of a member, of a new one without a `number`; `changed` elsewhere meanwhile. Raises NotFound."""
    page = keeping.get(session, slug)
    member, theirs = None, None
    if number:
        link = keeping.member_of(session, slug, number)
        found = session.get(Page, link.source_id)
        assert found is not None
        member = {"slug": found.slug, "title": found.title, "number": number}
        member["base"] = keeping.base_of(link)
        role = link.role.value if link.role else ""
        standing = {"role": role, "line": link.note, "day": link.day}
        said, theirs = said or standing, standing if changed else None
    return screen(
        request,
        "threads/member.html",
        status_code=409 if changed else 422 if wrong else 200,
        page={"slug": page.slug, "title": page.title},
        theirs=theirs,
        member=member,
        typed=name,
        said=said or {"role": "", "line": "", "day": ""},
        roles=[each.value for each in Role],
        wrong=wrong,
    )


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
