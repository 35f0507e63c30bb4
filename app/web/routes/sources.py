"""Sources: where items come from, when each is asked, how that went, and what it brought.

What is fetched, when and why not is the worker's and the services' to know; these screens show it and
pass on what the reader asks for. Looking at an address asks the web, and stores nothing.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from app import fetching
from app.bootstrap import App
from app.domain.records import Delivery, Fetch, FetchReason, SourceKind
from app.errors import CerebroError, Conflict, Invalid, NotFound
from app.services import arrivals, subscriptions
from app.sources.connectors import Connector, Found
from app.sources.defaults import DEFAULTS, default
from app.sources.defaults import found as offered
from app.store import sources as store
from app.store.db import LARGEST_ID, reading
from app.web.deps import Form, Reads, TheApp, Writes, facts, text, whole
from app.web.routes.inbox import addresses
from app.web.templating import is_partial
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)
log = logging.getLogger("cerebro.web")

FETCHES = 20
DELIVERIES = 20
PER_PAGE = 100
IMPORTED = 200  # sources that nobody fetches, in the list below the others
RECOUNTED = 60.0  # seconds, while the list is only asked for again
MOST_FOUND = 500  # of a list of feeds
KINDS: Mapping[SourceKind, str] = {
    SourceKind.FILE: "file",
    SourceKind.LISTING: "listing of papers",
    SourceKind.DIGEST: "digest",
    SourceKind.PODCAST: "podcast",
    SourceKind.FEED: "feed",
    SourceKind.MAIL: "newsletters",
    SourceKind.FORUM: "forum",
    SourceKind.INDEX: "index of papers",
    SourceKind.LIBRARY: "library",
    SourceKind.WEB: "pages and PDFs",
}
REASONS: Mapping[FetchReason, str] = {
    FetchReason.DUE: "by its schedule",
    FetchReason.ASKED: "asked for",
    FetchReason.BACKFILL: "back-fill",
}
_NOTICES = {
    "added": "Added. It is asked for the first time in a moment; the last 30 days come in.",
    "asked": "It is asked in a moment.",
    "saved": "Saved.",
    "paused": "Paused: it is not asked until you resume it.",
    "resumed": "It is asked again, from now on.",
    "backfill": "These days are asked for in a moment.",
    "cancelled": "That fetch ends; what it brought stays, and any other of this source goes on.",
    "again": "It is read once more in a moment.",
    "offered": "Added. Each is asked for the first time in a moment.",
}


# ---------------------------------------------------------------- the list


@router.get("/sources")
def sources(request: Request, session: Reads, app: TheApp) -> Response:
    """The sources, those in trouble first, a hundred at a time. A partial request gets the list alone."""
    if is_partial(request):
        return screen(request, "sources/_list.html", **_listed(request, session, app))
    notice = _NOTICES.get(request.query_params.get("notice", ""), "")
    return _list(request, session, app, notice=notice)


@router.get("/sources.opml")
def opml(app: TheApp) -> Response:
    """The sources that are feeds for other readers too, as OPML."""
    return Response(
        fetching.opml(app),
        media_type="text/x-opml; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="cere-bro-sources.opml"'},
    )


@router.post("/sources/find")
def find(request: Request, app: TheApp, form: Form) -> Response:
    """What some words or an address lead to, and what the first of it would bring."""
    asked = text(form, "text").strip()
    found: list[Found] = []
    preview, problem, failed = None, "", ""
    try:
        found = fetching.find(app, asked)[:MOST_FOUND]
    except CerebroError as error:
        problem = str(error)
    if found:
        try:  # no session is open while the web is asked
            preview = fetching.preview(app, found[0])
        except CerebroError as error:
            failed = str(error)
    with reading(app.engine) as session:
        known = store.with_keys(session, [each.key for each in found])
        return _list(
            request,
            session,
            app,
            asked=asked,
            found=[_found(each, known.get(each.key, 0)) for each in found],
            preview=preview,
            failed=failed,
            problem=problem,
            status=422 if problem else 200,
        )


@router.post("/sources")
def add(request: Request, app: TheApp, form: Form, session: Writes) -> Response:
    """Add what was found: one, or those that are ticked of several."""
    chosen = [each for each in form.getlist("found") if isinstance(each, str)][:MOST_FOUND]
    added, there = [], []
    try:
        for each in chosen:
            try:
                with session.begin_nested():
                    source = subscriptions.add(
                        session, _wanted(each), connectors=app.connectors, now=app.clock()
                    )
                    added.append(source.id)
            except Conflict as error:
                there.append(str(error))
        if not added:
            raise Invalid(" ".join(there[:3]) or "Nothing was chosen: tick what is to be added.")
    except Invalid as error:
        return _list(request, session, app, problem=str(error), status=422)
    where = f"/sources/{added[0]}?notice=added" if len(added) == 1 else "/sources?notice=offered"
    return RedirectResponse(where, 303)


@router.post("/sources/offered")
def add_offered(request: Request, app: TheApp, form: Form, session: Writes) -> Response:
    """Add sources of the short list that many begin with."""
    chosen = [default(key) for key in form.getlist("source") if isinstance(key, str)]
    added = subscriptions.add_new(
        session,
        [offered(each, app.connectors) for each in chosen if each is not None],
        connectors=app.connectors,
        now=app.clock(),
    )
    if not added:
        return _list(request, session, app, problem="Nothing was chosen.", status=422)
    return RedirectResponse("/sources?notice=offered", 303)


def _list(
    request: Request,
    session: Session,
    app: App,
    *,
    asked: str = "",
    found: list[dict[str, Any]] | None = None,
    preview: fetching.Preview | None = None,
    failed: str = "",
    problem: str = "",
    notice: str = "",
    status: int = 200,
) -> Response:
    shown = _listed(request, session, app)
    groups: dict[str, list[Any]] = {}
    if not shown["total"]:
        for each in DEFAULTS:
            groups.setdefault(each.group, []).append(each)
    imported = facts(request).get(
        session, "imported sources", lambda: store.imported(session), of=()
    )
    return screen(
        request,
        "sources/page.html",
        status_code=status,
        asked=asked[:2_000],
        found=found or [],
        preview=preview,
        failed=failed,
        problem=problem,
        notice=notice,
        removed=_removed(session, request.query_params.get("removed", "")),
        groups=list(groups.items()),
        imported=[
            {
                "id": each.id,
                "name": each.name,
                "kind": KINDS.get(SourceKind(each.kind), each.kind),
                "items": each.items,
                "received_at": each.received_at,
            }
            for each in imported[:IMPORTED]
        ],
        imported_total=len(imported),
        **shown,
    )


def _removed(session: Session, number: str) -> str:
    """The name of a source that was just removed; "" for what is no such number."""
    try:
        named = store.named(session, whole(number, 0, most=LARGEST_ID))
    except NotFound:
        return ""
    return "" if named.fetched else named.name


def _listed(request: Request, session: Session, app: App) -> dict[str, Any]:
    after = _place(request.query_params.get("after", ""))
    found = store.troubled_first(
        session, counts=_counts(request, session), after=after, limit=PER_PAGE + 1
    )
    shown = found[:PER_PAGE]
    rows = [_row(each, app) for _, each in shown]
    following = f"{shown[-1][0]}-{shown[-1][1].id}" if len(found) > PER_PAGE else ""
    return {
        "rows": rows,
        "total": store.count(session),
        "moving": any(row["moving"] for row in rows),
        "here": f"/sources?after={after[0]}-{after[1]}" if after else "/sources",
        "first": bool(after),
        "more": f"/sources?after={following}" if following else "",
    }


def _place(said: str) -> tuple[int, int] | None:
    """Where a page of the list begins: the rank and the number of the source before, "3-17"."""
    rank, _, number = said.partition("-")
    source_id = whole(number, 0, most=LARGEST_ID)
    return (whole(rank, 0, most=9), source_id) if source_id else None


def _counts(request: Request, session: Session) -> dict[int, store.Counts]:
    """What each source brought. A list that is asked for again and again shows what was counted lately:
    a fetch writes all the time, and counting reads every item."""
    state = request.app.state
    counted_at, counts = getattr(state, "source_counts", (0.0, None))
    if counts is None or not is_partial(request) or time.monotonic() - counted_at > RECOUNTED:
        counts = facts(request).get(session, "source counts", lambda: store.counted(session), of=())
        state.source_counts = (time.monotonic(), counts)
    return store.recounted(session, cast("dict[int, store.Counts]", counts))


def _row(row: store.Row, app: App) -> dict[str, Any]:
    its = row.subscription
    due = row.next_try is not None and row.next_try <= app.clock()
    return {
        "id": row.id,
        "name": row.source.name,
        "url": row.source.url,
        "kind": KINDS.get(row.source.kind, row.source.kind.value),
        "connector": its.connector,
        "state": row.state,
        "every": its.every_minutes,
        "next_try": row.next_try,
        "tried_at": its.tried_at,
        "succeeded_at": its.succeeded_at,
        "problem": its.stopped or (its.last_error if its.failures else ""),
        "failures": its.failures,
        "moved_to": its.moved_to,
        "active": _fetch(row.active) if row.active else None,
        "under_way": [_fetch(each) for each in row.under_way],
        "moving": bool(row.active or due or row.counts.waiting),
        "counts": row.counts,
    }


def _fetch(fetch: Fetch, brought: store.Brought | None = None) -> dict[str, Any]:
    return {
        "id": fetch.id,
        "source_id": fetch.source_id,
        "reason": REASONS.get(fetch.reason, fetch.reason.value),
        "state": "ending" if fetch.cancel and fetch.state in store.ACTIVE else fetch.state.value,
        "first_day": fetch.first_day,
        "last_day": fetch.last_day,
        # A feed has no count of its own: it is what was read of it.
        "seen": max(fetch.seen, sum(vars(brought).values()) if brought else 0),
        "total": fetch.total,
        "responses": fetch.responses,
        "size": fetch.size,
        "error": fetch.error,
        "active": fetch.state in store.ACTIVE and not fetch.cancel,
        "asked_at": fetch.asked_at,
        "started_at": fetch.started_at,
        "ended_at": fetch.ended_at,
        "brought": brought or store.Brought(),
    }


# ---------------------------------------------------------------- what was found, there and back


def _found(found: Found, known: int) -> dict[str, Any]:
    """A source that was found, and the field that its form hands back; `known`: which it is already."""
    told = {
        "key": found.key,
        "connector": found.connector,
        "url": found.url,
        "name": found.name,
        "options": dict(found.options),
    }
    return {
        "name": found.name,
        "url": found.url,
        "connector": found.connector,
        "words": found.words,
        "field": json.dumps(told),
        "known": known,
    }


def _wanted(field: str) -> Found:
    """What a form handed back. Raises Invalid for what no form of ours holds."""
    try:
        told = json.loads(field)
        options = told["options"]
        named = {name: told[name] for name in ("key", "connector", "url", "name")}
        if not isinstance(options, dict) or not all(
            isinstance(value, str) and len(value) <= 2_000 and value.isprintable()
            for value in named.values()
        ):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Invalid("That is no source that was found here: look for it once more.") from error
    return Found(options=options, **named)


# ---------------------------------------------------------------- one source


@router.get("/sources/{source_id}")
def source(request: Request, session: Reads, app: TheApp, source_id: int) -> Response:
    """One source, or what came from one that was removed. A partial request gets how it stands now."""
    if (gone := store.gone(session, source_id)) is not None:
        return _gone(request, source_id, gone)
    if is_partial(request):
        row = store.of(session, source_id)
        return screen(request, "sources/_now.html", source=_row(row, app))
    notice = _NOTICES.get(request.query_params.get("notice", ""), "")
    return _one(request, session, app, source_id, notice=notice)


@router.post("/sources/{source_id}")
def edit(request: Request, app: TheApp, source_id: int, form: Form, session: Writes) -> Response:
    """Change its name, how often it is asked, and the options of its connector."""
    given = {
        name.removeprefix("option-"): str(value)
        for name, value in form.items()
        if name.startswith("option-") and isinstance(value, str)
    }

    def change() -> None:
        now = store.of(session, source_id, counts={}).subscription
        # What is not text stays as it was unless other words stand in its field.
        options = {
            name: now.options[name]
            if name in now.options and value.strip() == _option(now.options[name])
            else value
            for name, value in given.items()
        }
        kept = {name: each for name, each in now.options.items() if name not in options}
        subscriptions.edit(
            session,
            source_id,
            connectors=app.connectors,
            name=text(form, "name"),
            every_minutes=subscriptions.every_in_minutes(text(form, "every")),
            options=kept | options,
            now=app.clock(),
        )

    return _done(request, session, app, source_id, change, "saved", form={**form})


@router.post("/sources/{source_id}/pause")
def pause(session: Writes, source_id: int) -> Response:
    """Ask it no more until it is resumed."""
    subscriptions.pause(session, source_id)
    return RedirectResponse(f"/sources/{source_id}?notice=paused", 303)


@router.post("/sources/{source_id}/resume")
def resume(session: Writes, app: TheApp, source_id: int) -> Response:
    """Ask it again by itself, whatever stopped it."""
    subscriptions.resume(session, source_id, now=app.clock())
    return RedirectResponse(f"/sources/{source_id}?notice=resumed", 303)


@router.post("/sources/{source_id}/remove")
def remove(session: Writes, app: TheApp, source_id: int) -> Response:
    """Fetch it no more; what came in stays."""
    subscriptions.remove(session, source_id, now=app.clock())
    return RedirectResponse(f"/sources?removed={source_id}", 303)


@router.post("/sources/{source_id}/fetch")
def fetch(session: Writes, app: TheApp, source_id: int) -> Response:
    """Ask it now."""
    subscriptions.ask(session, source_id, now=app.clock())
    return RedirectResponse(f"/sources/{source_id}?notice=asked", 303)


@router.post("/sources/{source_id}/backfill")
def backfill(
    request: Request, app: TheApp, source_id: int, form: Form, session: Writes
) -> Response:
    """Bring what it had on a range of days."""

    def ask() -> None:
        subscriptions.backfill(
            session,
            source_id,
            text(form, "from"),
            text(form, "to"),
            today=app.today(),
            now=app.clock(),
        )

    return _done(request, session, app, source_id, ask, "backfill", form={**form})


@router.post("/fetches/{fetch_id}/cancel")
def cancel(session: Writes, app: TheApp, fetch_id: int) -> Response:
    """End a fetch; what it brought stays."""
    ended = subscriptions.cancel(session, fetch_id, now=app.clock())
    return RedirectResponse(f"/sources/{ended.source_id}?notice=cancelled", 303)


@router.post("/deliveries/{delivery_id}/again")
def read_again(session: Writes, delivery_id: int) -> Response:
    """Read once more what could not be read."""
    arrivals.read_again(session, delivery_id)
    source_id = store.delivery(session, delivery_id).source_id
    return RedirectResponse(f"/sources/{source_id}?notice=again", 303)


def _done(
    request: Request,
    session: Session,
    app: App,
    source_id: int,
    act: Callable[[], None],
    notice: str,
    *,
    form: dict[str, Any],
) -> Response:
    """Do it and show the source, or show it with what was refused and what was typed."""
    try:
        with session.begin_nested():
            act()
    except (Invalid, Conflict) as error:
        status = 409 if isinstance(error, Conflict) else 422
        wrong = error.fields if isinstance(error, Invalid) else {}
        return _one(
            request,
            session,
            app,
            source_id,
            problem=str(error),
            wrong=wrong,
            typed={name: value for name, value in form.items() if isinstance(value, str)},
            status=status,
        )
    return RedirectResponse(f"/sources/{source_id}?notice={notice}", 303)


def _one(
    request: Request,
    session: Session,
    app: App,
    source_id: int,
    *,
    notice: str = "",
    problem: str = "",
    wrong: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    row = store.of(session, source_id)
    its = row.subscription
    fetches = store.fetches(session, source_id, limit=FETCHES)
    brought = store.brought(session, [each.id for each in fetches if each.id is not None])
    connector = next((each for each in app.connectors if each.name == its.connector), None)
    typed = typed or {}
    today = app.today()
    return screen(
        request,
        "sources/source.html",
        status_code=status,
        source=_row(row, app),
        fetches=[_fetch(each, brought.get(each.id or 0)) for each in fetches],
        deliveries=[
            _delivery(each) for each in store.deliveries(session, source_id, limit=DELIVERIES)
        ],
        options=_options(connector, its.options, typed),
        called=typed.get("name", row.source.name),
        every=typed.get("every", short(its.every_minutes)),
        begin=typed.get("from", (today - timedelta(days=7)).isoformat()),
        end=typed.get("to", today.isoformat()),
        today=today.isoformat(),
        confirm=request.query_params.get("confirm", "") == "remove",
        notice=notice,
        problem=problem,
        wrong=wrong or {},
    )


def _gone(request: Request, source_id: int, gone: store.Gone) -> Response:
    url = gone.source.url
    return screen(
        request,
        "sources/gone.html",
        status_code=410 if gone.removed else 200,
        id=source_id,
        called=gone.source.name,
        kind=KINDS.get(gone.source.kind, gone.source.kind.value),
        removed=gone.removed,
        at=gone.at,
        counts=gone.counts,
        url=url if url.startswith(("https://", "http://")) else "",
    )


def short(minutes: int) -> str:
    """How often, as its field takes it: 90 -> "90m", 360 -> "6h", 2880 -> "2d"."""
    for unit, sign in ((24 * 60, "d"), (60, "h")):
        if minutes % unit == 0:
            return f"{minutes // unit}{sign}"
    return f"{minutes}m"


def _options(
    connector: Connector | None, chosen: Mapping[str, Any], typed: Mapping[str, str]
) -> list[dict[str, str]]:
    if connector is None:
        return []
    return [
        {
            "name": name,
            "words": words,
            "value": typed.get(f"option-{name}", _option(chosen.get(name, ""))),
        }
        for name, words in connector.options.items()
    ]


def _option(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _delivery(each: Delivery) -> dict[str, Any]:
    return {
        "id": each.id,
        "name": each.name,
        "url": each.url,
        "format": each.format,
        "state": each.state.value,
        "received_at": each.received_at,
        "new": each.new,
        "changed": each.changed,
        "same": each.same,
        "rejected": each.rejected,
        "refusals": each.refusals,
        "headers": sorted(each.headers.items()),
        "sha256": each.raw_sha256,
    }


# ---------------------------------------------------------------- what it brought


@router.get("/sources/{source_id}/items")
def items(
    request: Request, session: Reads, source_id: int, of: str = "", before: str = ""
) -> Response:
    """The items of a source, or the papers that they are or speak of, the newest first."""
    named = store.named(session, source_id)
    which = of if of in ("papers", "kept") else "items"
    last = whole(before, 0, most=LARGEST_ID)
    if which == "items":
        found = store.items(session, source_id, before=last, limit=PER_PAGE + 1)
    else:
        found = store.papers(
            session, source_id, kept=which == "kept", before=last, limit=PER_PAGE + 1
        )
    shown = found[:PER_PAGE]
    outside = (
        addresses(session, [each.id for each in shown if not each.slug])
        if which != "items"
        else {each.id: each.url for each in shown if each.url.startswith(("https://", "http://"))}
    )
    return screen(
        request,
        "sources/items.html",
        id=source_id,
        called=named.name,
        of=which,
        rows=[
            {
                "title": each.title,
                "day": each.day,
                "kind": each.kind,
                "state": each.state,
                "url": f"/w/{each.slug}" if each.slug else outside.get(each.id, ""),
                "outside": not each.slug,
            }
            for each in shown
        ],
        more=f"/sources/{source_id}/items?of={which}&before={shown[-1].id}"
        if len(found) > PER_PAGE
        else "",
    )


# ---------------------------------------------------------------- for Jobs


def under_way(session: Session) -> list[dict[str, Any]]:
    """The fetches that run or wait, for Jobs."""
    return [{**_fetch(fetch), "name": name} for fetch, name in store.under_way(session)]


def unread(session: Session) -> list[dict[str, Any]]:
    """The deliveries of which nothing could be read, for Jobs."""
    return [
        {**_delivery(delivery), "source_id": delivery.source_id, "source": name}
        for delivery, name in store.failed_deliveries(session)
    ]
