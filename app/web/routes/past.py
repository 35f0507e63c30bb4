"""A page as it stood at the end of a day: its text and names then, and the links that were accepted."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from sqlmodel import Session

from app.bootstrap import App
from app.domain.asof import as_of, end_of
from app.domain.records import Origin, PageKind, Revision
from app.domain.summaries import MARK
from app.errors import Invalid
from app.reading import filler, resolver
from app.rendering import render_body
from app.store import history as stored
from app.store import past
from app.store.past import Past
from app.web.deps import facts
from app.web.routes.threads import thread_context
from app.web.templating import page as screen

SHOWN = 200  # links of a side


def read(request: Request, session: Session, page: Any, head: Any, app: App) -> Response:
    """The answer to `?asof=`: the page of that day, or why there is none, in words.

    `page` is a row of `pages.head`, `head` the same as a screen shows it.
    """
    written = request.query_params["asof"]
    known: dict[str, Any] = {"page": head, "today": app.today().isoformat(), "asof": ""}
    try:
        day = as_of(written, app.today())
    except Invalid as error:
        return screen(request, "pages/asof.html", status_code=422, wrong=str(error), **known)
    moment = end_of(day, app.zone)
    found = stored.in_force(session, page.id, moment)
    known["asof"] = day.isoformat()
    if page.kind == PageKind.THREAD:
        known |= thread_context(
            session,
            page.id,
            today=app.today(),
            slug=page.slug,
            after=request.query_params.get("after", ""),
            asof=written,
            known=facts(request),
        )
    elif found is None:
        first = stored.first_at(session, page.id)
        return screen(request, "pages/asof.html", status_code=404, wrong="", first=first, **known)
    known |= _text(session, found, page, head, app.zone, day.isoformat())
    if page.kind == PageKind.THREAD:
        return screen(request, "threads/thread.html", **known)
    then = past_of(request, session, moment)
    known["outgoing"] = _links(session, page.id, then, outgoing=True)
    known["incoming"] = _links(session, page.id, then, outgoing=False)
    return screen(request, "pages/asof.html", wrong="", **known)


def _text(
    session: Session,
    found: Revision | None,
    page: Any,
    head: Any,
    zone: tzinfo | None,
    asof: str,
) -> dict[str, Any]:
    """What a revision says, as a page's screen shows it; without one, that there is no text of then."""
    if found is None:
        return {
            "page": replace(head, unreviewed=False, extracted=False),
            "number": 0,
            "aliases": [],
            "tags": [],
            "body": "",
            "contents": [],
            "facts": [],
        }
    fill = filler(session, zone, asof)
    shown = render_body(found.body.removeprefix(MARK), resolver(session), fill)
    return {
        "page": replace(
            head,
            title=found.title,
            kind=found.kind.value,
            updated_at=found.at,
            author=found.author,
            author_kind=found.author_kind.value,
            unreviewed=False,
            extracted=False,
        ),
        "number": found.number,
        "aliases": found.aliases,
        "tags": found.tags,
        "body": shown.html,
        "contents": shown.contents,
        "facts": [],
        "changed": found.number != page.version,
    }


_DAYS_KEPT = 8


def past_of(request: Request, session: Session, moment: datetime) -> Past:
    """What was otherwise before a moment; worked out once for each change of the wiki.

    Of the days that were asked for last: in a large wiki each may be large.
    """
    known: dict[datetime, Past] = facts(request).get(
        session, "past", dict, of=("alias", "change", "decision", "link", "page", "red_link")
    )
    found = known.get(moment)
    if found is None:
        found = known[moment] = past.before(session, moment)
        for older in list(known)[:-_DAYS_KEPT]:
            known.pop(older, None)
    return found


def _links(session: Session, page_id: int, then: Past, *, outgoing: bool) -> list[dict[str, Any]]:
    """Links of then; what the text of the page itself says is not repeated beside it."""
    return [
        {
            "id": row.id,
            "slug": row.slug,
            "title": row.title,
            "kind": row.kind.value,
            "relation": row.relation.value,
            "note": row.note,
        }
        for row in stored.links_then(session, page_id, then, outgoing=outgoing, limit=SHOWN)
        if not (outgoing and row.origin == Origin.AUTHOR)
    ]
