"""The atlas: papers by topic and week, what grows and fades, which source spoke, and what was kept.

Every number is a link to the rows it counts: the lists are here too. What is counted over all papers
is counted once for each change of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain, repeat
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from sqlmodel import Session

from app.bootstrap import App
from app.domain import atlas as rule
from app.domain.atlas import Column, Growth, Measure, Range
from app.domain.identifiers import whole_day
from app.domain.independence import LISTED
from app.domain.record import Share
from app.domain.records import PageKind, PaperState
from app.domain.threads import day_of
from app.errors import NotFound
from app.rendering import plain_title
from app.store import atlas as store
from app.store import pages
from app.store import topics as stored_topics
from app.web.deps import Reads, TheApp, UnlessKnown, facts, whole
from app.web.routes.inbox import addresses
from app.web.routes.threads import counted, order_of
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)

ROOM = 360  # cells of a table: a page weighs 60 kB, and each cell is a link
PER_PAGE = 100  # papers of a list
ITEMS = 20  # of a source, with the papers that each names
MOVERS = 12  # of a kind that heat up, or cool
STEADY = 40  # more of them that neither do
NO_TOPIC = "No topic"

MEASURES = {
    Measure.PICKED: "picked",
    Measure.KEPT: "kept",
    Measure.CAME: "all that came",
}
RANGES = {
    Range.WEEKS: "12 weeks",
    Range.HALF: "6 months",
    Range.YEAR: "a year",
    Range.ALL: "all",
}
_TABS = {"topics": "Topics", "growth": "Growth", "sources": "Sources", "kept": "Kept share"}
_SAID = {  # what a source is counted by
    "kept": "kept papers",
    "papers": "all papers",
    "items": "items",
}
# Colours of the sources in the chart; the last one is that of all the others.
_LISTING = "listing"
_COLOURS = ("paper", "concept", "thread", "node", "note")


@dataclass(frozen=True)
class Asked:
    """A view of the atlas as its address says it. `day` is the last day that counts."""

    tab: str
    range: Range
    of: str
    day: date
    today: date
    wrong: str = ""  # a day that could not be read
    page: int = 1

    def url(self, **changes: Any) -> str:
        """The address of this view with other values; from its first page on, unless told."""
        asked = replace(self, **{"page": 1, "wrong": "", **changes})
        fields = {
            "range": "" if asked.range is Range.WEEKS else asked.range.value,
            "of": "" if asked.of == _default(asked.tab) else asked.of,
            "asof": "" if asked.day == asked.today else asked.day.isoformat(),
            "page": str(asked.page) if asked.page > 1 else "",
        }
        path = "/atlas" if asked.tab == "topics" else f"/atlas/{asked.tab}"
        query = urlencode({name: value for name, value in fields.items() if value})
        return f"{path}?{query}" if query else path

    @property
    def measure(self) -> Measure:
        return Measure(self.of)


def _default(tab: str) -> str:
    return "kept" if tab == "sources" else Measure.PICKED.value


def _choices(tab: str) -> Mapping[str, str]:
    if tab == "kept":
        return {}
    return _SAID if tab == "sources" else {each.value: words for each, words in MEASURES.items()}


def asked(tab: str, app: App, *, range: str, of: str, asof: str, page: str = "") -> Asked:
    """A view of what was asked for; what is no choice, or no day that has been, is left out."""
    today = app.today()
    day = whole_day(asof)
    there = day is not None and day <= today
    return Asked(
        tab=tab,
        range=Range(range) if range in set(Range) else Range.WEEKS,
        of=of if of in _choices(tab) else _default(tab),
        day=day if day is not None and there else today,
        today=today,
        wrong="" if there or not asof else asof[:40],
        page=whole(page, 1, least=1, most=10_000),
    )


# ---------------------------------------------------------------- what is counted


@dataclass(frozen=True)
class Line:
    """A row of the table: a topic, or a source, with a number for each column.

    `id` is what addresses call it, `NONE` for the papers without a topic.
    """

    id: str
    name: str
    numbers: tuple[int, ...]
    retired: bool = False
    kind: str = ""

    @property
    def total(self) -> int:
        return sum(self.numbers)


@dataclass(frozen=True)
class Topics:
    """Papers by topic and column, in the reader's order; those without a topic are the last line."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]

    @property
    def sums(self) -> tuple[int, ...]:
        """Of all topics together, by column."""
        return tuple(
            sum(line.numbers[at] for line in self.lines) for at in range(len(self.columns))
        )


def _columns(request: Request, session: Session, range_: Range, day: date) -> tuple[Column, ...]:
    first = None
    if range_ is Range.ALL:
        first = facts(request).get(
            session, "first day of papers", lambda: store.earliest(session), of=("paper",)
        )
    return rule.columns(range_, today=day, earliest=first)


def _by_day(request: Request, session: Session, first: date, last: date) -> list[Any]:
    return facts(request).get(
        session,
        ("papers by topic and day", first, last),
        lambda: store.by_day(session, first, last),
        of=("paper",),
    )


def topics(
    request: Request, session: Session, measure: Measure, range_: Range, day: date
) -> Topics:
    """Papers by topic and week up to a day."""
    columns = _columns(request, session, range_, day)

    def count() -> Topics:
        found = _by_day(request, session, columns[0].first, day)
        spread = rule.spread(rule.measured(found, measure), columns, today=day)
        nothing = (0,) * len(columns)
        lines = [
            Line(each.id, each.name, spread.get(each.id, nothing), each.retired)
            for each in stored_topics.listed(session)
            if not each.retired or each.id in spread
        ]
        if None in spread:
            lines.append(Line(store.NONE, NO_TOPIC, spread[None]))
        return Topics(columns, tuple(lines))

    return facts(request).get(
        session, ("atlas", measure, range_, columns[0].first, day), count, of=("paper",)
    )


@dataclass(frozen=True)
class Mover:
    """A topic, concept or thread with its growth; `id` is that of a topic or a page's slug."""

    kind: str
    id: str
    name: str
    growth: Growth


def growth(
    request: Request, session: Session, app: App, measure: Measure, day: date
) -> tuple[list[Mover], bool]:
    """What grew and faded in the four weeks up to a day, strongest growth first.

    Topics by a measure, concepts and threads by kept papers. And whether both periods have papers,
    without which nothing can be compared.
    """
    return facts(request).get(
        session,
        ("growth", measure, day),
        lambda: _growth(request, session, app, measure, day),
        of=("link", "page", "paper", "question"),
    )


def _growth(
    request: Request, session: Session, app: App, measure: Measure, day: date
) -> tuple[list[Mover], bool]:
    now, before = rule.periods(day)
    found = _by_day(request, session, before.first, day)

    def sums(measure: Measure) -> dict[str | None, tuple[int, int]]:
        counts: dict[str | None, tuple[int, int]] = {}
        edge = now.first.isoformat()
        for topic, came, number in rule.measured(found, measure):
            a, b = counts.get(topic, (0, 0))
            counts[topic] = (a + number, b) if came >= edge else (a, b + number)
        return counts

    def total(counts: Mapping[str | None, tuple[int, int]]) -> tuple[int, int]:
        return sum(a for a, _ in counts.values()), sum(b for _, b in counts.values())

    of_topics, kept = sums(measure), total(sums(Measure.KEPT))
    whole_ = total(of_topics)
    movers = [
        Mover("topic", each.id, each.name, grown)
        for each in stored_topics.listed(session)
        if each.id in of_topics and any(of_topics[each.id])
        if (grown := _grown(of_topics[each.id], whole_)) is not None
    ]
    movers += _concepts(request, session, now, before, kept)
    movers += _threads(request, session, app, now, before, kept)
    movers.sort(key=lambda each: (-each.growth.change, each.name.casefold(), each.id))
    return movers, all(whole_) or all(kept)


def _grown(counts: tuple[int, int], whole_: tuple[int, int]) -> Growth | None:
    return rule.growth(*counts, all_now=whole_[0], all_before=whole_[1])


def _concepts(
    request: Request, session: Session, now: Column, before: Column, kept: tuple[int, int]
) -> list[Mover]:
    """Concepts, without those that so few papers are about that nothing can be said."""
    counts: list[Any] = facts(request).get(
        session,
        ("concepts of papers", now.first),
        lambda: store.concepts(session, before.first, now.first, now.last),
        of=("link", "paper"),
    )
    grown = [
        (row.page_id, found)
        for row in counts
        if (found := _grown((row.now, row.papers - row.now), kept)) is not None
    ]
    grown.sort(key=lambda each: (not each[1].sure, -abs(each[1].change), each[0]))
    shown = grown[: 2 * MOVERS + STEADY]
    names = store.names(session, [page for page, _ in shown])
    return [
        Mover(PageKind.CONCEPT, names[page].slug, names[page].title, found)
        for page, found in shown
        if page in names
    ]


def _threads(
    request: Request,
    session: Session,
    app: App,
    now: Column,
    before: Column,
    kept: tuple[int, int],
) -> list[Mover]:
    def within(recent: Mapping[str, int], period: Column) -> int:
        return sum(
            number
            for day, number in recent.items()
            if (found := day_of(day)) and period.first <= found <= period.last
        )

    movers = []
    for row in counted(request, session, app, day=now.last):
        counts = within(row.recent, now), within(row.recent, before)
        grown = _grown(counts, kept) if any(counts) else None
        if grown is not None:
            movers.append(Mover(PageKind.THREAD, row.slug, row.title, grown))
    return movers


def sources(
    request: Request, session: Session, of: str, range_: Range, day: date
) -> tuple[tuple[Column, ...], tuple[Line, ...]]:
    """What each source brought by column, most first: kept papers, all papers, or items."""
    columns = _columns(request, session, range_, day)

    def count() -> tuple[Line, ...]:
        said = store.named_by_day(session, columns[0].first, day, kept=of == "kept")
        spread = rule.spread(
            (
                (source, on, items if of == "items" else number)
                for source, on, items, number in said
            ),
            columns,
            today=day,
        )
        lines = [
            Line(str(each.id), each.name, spread[each.id], kind=each.kind.value)
            for each in store.sources(session)
            if each.id in spread
        ]
        if store.LISTING in spread:
            lines.append(Line(_LISTING, LISTED, spread[store.LISTING], kind=_LISTING))
        return tuple(sorted(lines, key=lambda line: -line.total))

    return columns, facts(request).get(
        session, ("atlas of sources", of, range_, columns[0].first, day), count, of=("paper",)
    )


@dataclass(frozen=True)
class Outcome:
    """What became of the papers of a column. `decided`: of the picked ones, those kept of it."""

    column: Column
    came: int
    picked: int
    kept: int
    decided: Share


def outcomes(request: Request, session: Session, range_: Range, day: date) -> tuple[Outcome, ...]:
    """What came, was picked, decided and kept, by column."""
    columns = _columns(request, session, range_, day)

    def numbers() -> Iterable[tuple[str, str, int]]:
        for _, on, state, came, picked in store.by_state(session, columns[0].first, day):
            yield "came", on, came
            yield "picked", on, picked
            if state in (PaperState.KEPT, PaperState.DROPPED):
                yield "decided", on, picked
            if state == PaperState.KEPT:
                yield "kept", on, came
                yield "right", on, picked

    def count() -> tuple[Outcome, ...]:
        spread = rule.spread(numbers(), columns, today=day)
        nothing = (0,) * len(columns)
        names = ("came", "picked", "kept", "decided", "right")
        rows = [spread.get(name, nothing) for name in names]
        return tuple(
            Outcome(column, came, picked, kept, Share(decided, right))
            for column, came, picked, kept, decided, right in zip(columns, *rows, strict=True)
        )

    return facts(request).get(
        session, ("outcomes", range_, columns[0].first, day), count, of=("paper",)
    )


# ---------------------------------------------------------------- screens


def _asked(
    request: Request, app: TheApp, range: str = "", of: str = "", asof: str = "", page: str = ""
) -> Asked:
    name = request.url.path.rpartition("/")[2]
    tab = name if name in _TABS else "topics"
    return asked(tab, app, range=range, of=of.strip(), asof=asof.strip(), page=page)


View = Annotated[Asked, Depends(_asked)]


@router.get("/atlas", dependencies=[UnlessKnown])
def by_topic(request: Request, session: Reads, view: View) -> Response:
    """The heat table of topics by week."""
    found = topics(request, session, view.measure, view.range, view.day)
    per_page = max(1, ROOM // len(found.columns))
    pages_ = max(1, -(-len(found.lines) // per_page))
    number = min(view.page, pages_)
    start = (number - 1) * per_page
    shown = found.lines[start : start + per_page]
    most = max((n for line in found.lines for n in line.numbers), default=0)

    def url(column: Column, topic: str = "") -> str:
        return papers_url(view, column, of=view.measure, topic=topic)

    return screen(
        request,
        "atlas/topics.html",
        **_head(view),
        columns=_heads(found.columns, view.day),
        lines=[
            {
                "id": line.id if line.id != store.NONE else "",
                "name": line.name,
                "retired": line.retired,
                "total": line.total,
                "cells": [
                    {
                        "number": number,
                        "level": rule.level(number, most),
                        "url": url(column, line.id) if number else "",
                    }
                    for number, column in zip(line.numbers, found.columns, strict=True)
                ],
            }
            for line in shown
        ],
        sums=[
            {"number": number, "url": url(column) if number else ""}
            for number, column in zip(found.sums, found.columns, strict=True)
        ],
        total=sum(found.sums),
        topics=len(found.lines),
        pager={
            "previous": view.url(page=number - 1) if number > 1 else None,
            "next": view.url(page=number + 1) if number < pages_ else None,
            "first": start + 1,
            "last": start + len(shown),
            "total": len(found.lines),
        },
    )


@router.get("/atlas/growth", dependencies=[UnlessKnown])
def movers(request: Request, session: Reads, app: TheApp, view: View) -> Response:
    """What heats up and cools."""
    found, comparable = growth(request, session, app, view.measure, view.day)
    now, before = rule.periods(view.day)
    heats = [each for each in found if each.growth.heats][: 3 * MOVERS]
    cools = [each for each in reversed(found) if each.growth.cools][: 3 * MOVERS]
    steady = [each for each in found if not each.growth.sure]

    def rows(movers: Iterable[Mover]) -> list[dict[str, Any]]:
        return [_mover(view, each, now, before) for each in movers]

    return screen(
        request,
        "atlas/growth.html",
        **_head(view),
        comparable=comparable,
        now=now,
        before=before,
        heats=rows(heats),
        cools=rows(cools),
        steady=rows(steady[:STEADY]),
        more=max(0, len(steady) - STEADY),
    )


def _mover(view: Asked, mover: Mover, now: Column, before: Column) -> dict[str, Any]:
    def url(period: Column) -> str:
        of = view.measure if mover.kind == "topic" else Measure.KEPT
        return papers_url(view, period, of=of, **{mover.kind: mover.id})

    grown = mover.growth
    return {
        "kind": mover.kind,
        "name": mover.name,
        "url": f"/topics/{mover.id}" if mover.kind == "topic" else f"/w/{mover.id}",
        "now": grown.now,
        "before": grown.before,
        "now_url": url(now) if grown.now else "",
        "before_url": url(before) if grown.before else "",
        "factor": f"{grown.factor:.1f}",
        # Of a bar of forty to each side; three doublings fill it.
        "bar": round(max(-40.0, min(40.0, 40 * grown.change / 3)), 1),
    }


@router.get("/atlas/sources", dependencies=[UnlessKnown])
def by_source(request: Request, session: Reads, view: View) -> Response:
    """Which source spoke of how many papers, by week and by share."""
    columns, lines = sources(request, session, view.of, view.range, view.day)
    sums = [sum(line.numbers[at] for line in lines) for at in range(len(columns))]
    total = sum(sums)
    most = max((n for line in lines for n in line.numbers), default=0)
    shown = lines[: ROOM // len(columns)]

    colours = chain(_COLOURS, repeat(_COLOURS[-1]))

    def url(line: Line, column: Column) -> str:
        return items_url(view, line.id, column, kept=view.of == "kept")

    return screen(
        request,
        "atlas/sources.html",
        **_head(view),
        columns=_heads(columns, view.day),
        lines=[
            {
                "name": line.name,
                "kind": line.kind,
                "colour": "" if line.kind == _LISTING else next(colours),
                "total": line.total,
                "percent": _percent(line.total, total),
                "cells": [
                    {
                        "number": number,
                        "level": rule.level(number, most),
                        "url": url(line, column) if number else "",
                    }
                    for number, column in zip(line.numbers, columns, strict=True)
                ],
            }
            for line in shown
        ],
        sums=sums,
        # Listings name every paper there is: beside them nobody else would be seen in a chart.
        spoken=[
            sum(line.numbers[at] for line in shown if line.kind != _LISTING)
            for at in range(len(columns))
        ],
        total=total,
        left_out=len(lines) - len(shown),
        unit={"items": "item"}.get(view.of, "paper"),
    )


def _percent(part: int, whole_: int) -> str:
    share = 100 * part / whole_ if whole_ else 0.0
    return "<1%" if 0 < share < 0.5 else f"{share:.0f}%"


@router.get("/atlas/kept", dependencies=[UnlessKnown])
def kept_share(request: Request, session: Reads, view: View) -> Response:
    """What came, was picked and kept of it, by week."""
    found = outcomes(request, session, view.range, view.day)

    def url(column: Column, of: Measure) -> str:
        return papers_url(view, column, of=of)

    whole_ = sum((each.decided for each in found), Share())
    return screen(
        request,
        "atlas/kept.html",
        **_head(view),
        columns=_heads([each.column for each in found], view.day),
        rows=[
            {
                "came": each.came,
                "came_url": url(each.column, Measure.CAME),
                "picked": each.picked,
                "picked_url": url(each.column, Measure.PICKED),
                "kept": each.kept,
                "kept_url": url(each.column, Measure.KEPT),
                **_share(each.decided),
            }
            for each in found
        ],
        most=max((max(each.picked, each.kept) for each in found), default=0),
        whole=_share(whole_),
        came=sum(each.came for each in found),
    )


def _share(share: Share) -> dict[str, Any]:
    low, high = share.interval
    return {
        "decided": share.count,
        "right": share.accepted,
        "percent": None if share.share is None else round(100 * share.share),
        "between": f"{round(100 * low)} and {round(100 * high)}",
    }


def _head(view: Asked) -> dict[str, Any]:
    """What atlas/_head.html shows: tabs and the choices of the view."""
    return {
        "tab": view.tab,
        "tabs": [
            (view.url(tab=tab, of=_carried(view, tab)), words, None, tab == view.tab)
            for tab, words in _TABS.items()
        ],
        "ranges": []
        if view.tab == "growth"
        else [
            {"words": words, "url": view.url(range=each), "current": each is view.range}
            for each, words in RANGES.items()
        ],
        "measures": [
            {"words": words, "url": view.url(of=each), "current": each == view.of}
            for each, words in _choices(view.tab).items()
        ],
        "asof": view.day,
        "is_today": view.day == view.today,
        "today_url": view.url(day=view.today),
        "wrong": view.wrong,
        "fields": {
            name: value
            for name, value in (
                ("range", "" if view.range is Range.WEEKS else view.range.value),
                ("of", "" if view.of == _default(view.tab) else view.of),
            )
            if value
        },
        "path": view.url(range=Range.WEEKS, of=_default(view.tab), day=view.today),
    }


def _carried(view: Asked, tab: str) -> str:
    """The measure under another tab: the same, where it has it."""
    return view.of if view.of in _choices(tab) else _default(tab)


def _heads(columns: Sequence[Column], day: date) -> list[dict[str, Any]]:
    """Columns as tables head them: the day and month of their Monday, over years month and year."""
    long = bool(columns) and (day - columns[0].first).days > 366
    return [
        {
            "name": each.name,
            "first": each.first,
            "short": f"{each.first:%b %Y}" if long else f"{each.first.day} {each.first:%b}",
            "words": _week_words(each, day),
        }
        for each in columns
    ]


def _week_words(column: Column, day: date) -> str:
    first = f"{column.first.day} {column.first:%B %Y}"
    words = f"week from {first}" if column.weeks == 1 else f"{column.weeks} weeks from {first}"
    return f"{words}, so far" if column.last > day else words


def papers_url(
    view: Asked,
    column: Column,
    *,
    of: Measure,
    topic: str = "",
    concept: str = "",
    thread: str = "",
) -> str:
    """The address of the papers that a number counts."""
    fields = {
        "of": "" if of is Measure.PICKED else of.value,
        "topic": topic,
        "concept": concept,
        "thread": thread,
        "from": column.first.isoformat(),
        "to": min(column.last, view.day).isoformat(),
    }
    return "/atlas/papers?" + urlencode({name: value for name, value in fields.items() if value})


def items_url(view: Asked, source: str, column: Column, *, kept: bool) -> str:
    """The address of the items that a number counts, or holds the papers of."""
    fields = {
        "source": source,
        "of": "kept" if kept else "",
        "from": column.first.isoformat(),
        "to": min(column.last, view.day).isoformat(),
    }
    return "/atlas/items?" + urlencode({name: value for name, value in fields.items() if value})


# ---------------------------------------------------------------- the rows behind a number


@dataclass(frozen=True)
class Between:
    """The days of a list, both of them in it."""

    first: date
    last: date


def _between(
    since: Annotated[str, Query(alias="from")] = "", until: Annotated[str, Query(alias="to")] = ""
) -> Between:
    first, last = whole_day(since.strip()), whole_day(until.strip())
    if first is None or last is None or first > last:
        raise NotFound(
            "A list of the atlas is between two days, written year, month, day: "
            "/atlas/papers?from=2026-05-11&to=2026-05-17."
        )
    return Between(first, last)


Days = Annotated[Between, Depends(_between)]


@router.get("/atlas/papers", dependencies=[UnlessKnown])
def behind(
    request: Request,
    session: Reads,
    days: Days,
    of: str = "",
    topic: str = "",
    concept: str = "",
    thread: str = "",
    after: str = "",
) -> Response:
    """The papers that a number of the atlas counts, newest first."""
    measure = Measure(of) if of in set(Measure) else Measure.PICKED
    place = _place(after)
    name, named = "", ""
    if thread or concept:
        kind = PageKind.THREAD if thread else PageKind.CONCEPT
        page = pages.by_slug(session, thread or concept)
        if page is None or page.kind != kind or page.id is None:
            raise NotFound(f"There is no {kind.value} at /w/{(thread or concept)[:100]}.")
        name, named = page.title, f"/w/{page.slug}"
        if thread:
            total, found = _joined(request, session, page.id, days, place)
        else:
            where = {"topic": "", "concept": page.id}
            total, found = _came(request, session, measure, days, where, place)
    else:
        topic = topic.strip().replace("\0", "\ufffd")
        if topic == store.NONE:
            name = NO_TOPIC
        elif topic:
            known = stored_topics.get(session, topic)
            name, named = known.name, f"/topics/{known.id}"
        where = {"topic": topic, "concept": None}
        total, found = _came(request, session, measure, days, where, place)
    rows = found[:PER_PAGE]
    urls = addresses(session, [row.id for row in rows if row.id and not row.slug])
    more = None
    if len(found) > PER_PAGE:
        last = rows[-1]
        fields = dict(request.query_params) | {"after": f"{last.day}:{last.place}"}
        more = f"/atlas/papers?{urlencode(fields)}"
    return screen(
        request,
        "atlas/papers.html",
        what=name,
        named=named,
        words="joined" if thread else {Measure.CAME: "came"}.get(measure, measure.value),
        first=days.first,
        last=days.last,
        total=total,
        rows=[
            {
                "title": row.title,
                "url": f"/w/{row.slug}" if row.slug else urls.get(row.id, ""),
                "topic": row.topic,
                "day": row.day,
                "state": row.state,
            }
            for row in rows
        ],
        more=more,
        begun=place is not None,
    )


@dataclass(frozen=True)
class _Row:
    """A row of the list. `place` is what tells rows of one day apart, `id` that of a paper or 0."""

    id: int
    place: int
    title: str
    slug: str | None
    topic: str
    day: str
    state: str


def _came(
    request: Request,
    session: Session,
    measure: Measure,
    days: Between,
    where: dict[str, Any],
    after: tuple[str, int] | None,
) -> tuple[int, list[_Row]]:
    total = facts(request).get(
        session,
        ("papers of the atlas", measure, days, *where.values()),
        lambda: store.count(session, measure, days.first, days.last, **where),
        of=("link", "paper"),
    )
    found = store.papers(
        session, measure, days.first, days.last, after=after, limit=PER_PAGE + 1, **where
    )
    return total, [
        _Row(row.id, row.id, row.title, row.slug, row.topic, row.day, PaperState(row.state).value)
        for row in found
    ]


def _joined(
    request: Request, session: Session, page_id: int, days: Between, after: tuple[str, int] | None
) -> tuple[int, list[_Row]]:
    """The members of a thread that joined it between two days, newest first."""
    members = [
        each
        for each in reversed(order_of(facts(request), session, page_id))
        if (day := day_of(each.day)) and days.first <= day <= days.last
    ]
    shown = [each for each in members if after is None or (each.day, each.link_id) < after]
    shown = shown[: PER_PAGE + 1]
    ids = [each.page_id for each in shown]
    of_papers, names = store.of_pages(session, ids), store.names(session, ids)
    return len(members), [
        _Row(
            paper.id if (paper := of_papers.get(each.page_id)) else 0,
            each.link_id,
            names[each.page_id].title,
            names[each.page_id].slug,
            paper.topic if paper else "",
            each.day,
            PaperState(paper.state).value if paper else "",
        )
        for each in shown
        if each.page_id in names
    ]


def _place(text: str) -> tuple[str, int] | None:
    day, _, number = text.partition(":")
    found = whole(number, 0)
    return (day, found) if found and day_of(day) else None


@router.get("/atlas/items", dependencies=[UnlessKnown])
def of_source(
    request: Request, session: Reads, days: Days, source: str = "", of: str = "", page: str = ""
) -> Response:
    """What a source brought between two days, and the papers that each item names."""
    kept = of == "kept"
    if source == _LISTING:
        name = LISTED
        listed = store.listed_days(session, days.first, days.last, kept=kept)
        items = [_listed_day(day, number, kept=kept) for day, number in listed]
    else:
        number = whole(source, 0)
        known = {row.id: row for row in store.sources(session)}.get(number)
        if known is None:
            raise NotFound("There is no such source. The sources are at /atlas/sources.")
        name = known.name
        items = [
            {
                "id": row.id,
                "title": plain_title(row.title) or name,
                "url": f"/w/{row.slug}" if row.slug else _outside(row.url),
                "day": row.day,
                "number": row.papers,
                "papers": [],
            }
            for row in store.items(session, number, days.first, days.last, kept=kept)
        ]
    pages_ = max(1, -(-len(items) // ITEMS))
    at = whole(page, 1, least=1, most=pages_)
    shown = items[(at - 1) * ITEMS : at * ITEMS]
    _name_papers(session, shown, days, kept=kept)
    fields = {key: value for key, value in request.query_params.items() if key != "page"}

    def url(number: int) -> str:
        return f"/atlas/items?{urlencode(fields | {'page': str(number)})}"

    return screen(
        request,
        "atlas/items.html",
        what=name,
        kept=kept,
        first=days.first,
        last=days.last,
        count=len(items),
        total=sum(item["number"] for item in items),
        items=shown,
        pager={
            "previous": url(at - 1) if at > 1 else None,
            "next": url(at + 1) if at < pages_ else None,
            "first": (at - 1) * ITEMS + 1,
            "last": (at - 1) * ITEMS + len(shown),
            "total": len(items),
        },
    )


def _listed_day(day: str, number: int, *, kept: bool) -> dict[str, Any]:
    return {
        "id": 0,
        "title": LISTED,
        "url": f"/triage/{day}?list={'kept' if kept else 'all'}",
        "day": day,
        "number": number,
        "papers": [],
    }


def _outside(url: str) -> str:
    return url if url.startswith(("https://", "http://")) else ""


def _name_papers(
    session: Session, items: list[dict[str, Any]], days: Between, *, kept: bool
) -> None:
    by_item = {item["id"]: item["papers"] for item in items if item["id"]}
    found = store.named_papers(session, list(by_item), days.first, days.last)
    wanted = [row for row in found if not kept or row.state == PaperState.KEPT]
    urls = addresses(session, [row.id for row in wanted if not row.slug])
    for row in wanted:
        by_item[row.item_id].append(
            {
                "title": row.title,
                "url": f"/w/{row.slug}" if row.slug else urls.get(row.id, ""),
                "state": PaperState(row.state).value,
            }
        )


# ---------------------------------------------------------------- for programs


def as_json(
    request: Request, session: Session, app: App, *, range: str, of: str, asof: str
) -> dict[str, Any]:
    """Everything the atlas shows, for the API."""
    view = asked("topics", app, range=range, of=of, asof=asof)
    table = topics(request, session, view.measure, view.range, view.day)
    moved, comparable = growth(request, session, app, view.measure, view.day)
    columns, lines = sources(request, session, "papers", view.range, view.day)
    return {
        "asof": view.day.isoformat(),
        "range": view.range.value,
        "of": view.of,
        "columns": [
            {
                "week": each.name,
                "from": each.first.isoformat(),
                "to": min(each.last, view.day).isoformat(),
            }
            for each in columns
        ],
        "topics": [
            {
                "id": line.id if line.id != store.NONE else None,
                "name": line.name,
                "retired": line.retired,
                "papers": list(line.numbers),
            }
            for line in table.lines
        ],
        "growth": [
            {
                "kind": str(each.kind),
                "id": each.id,
                "name": each.name,
                "now": each.growth.now,
                "before": each.growth.before,
                "change": round(each.growth.change, 4),
                "sure": each.growth.sure,
            }
            for each in moved
        ]
        if comparable
        else [],
        "sources": [
            {"name": line.name, "kind": line.kind, "papers": list(line.numbers)} for line in lines
        ],
        "kept": [
            {
                "week": each.column.name,
                "came": each.came,
                "picked": each.picked,
                "kept": each.kept,
                "decided_of_picked": each.decided.count,
                "kept_of_picked": each.decided.accepted,
            }
            for each in outcomes(request, session, view.range, view.day)
        ],
    }
