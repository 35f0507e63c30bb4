"""What a live claim counts, as a list: the number in a text leads here."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.domain.live_claims import Claim, Noun, Unread, named, noun_of, read, written
from app.store import live_claims as store
from app.web.deps import Reads, TheApp, UnlessKnown, facts
from app.web.templating import page as screen
from app.web.templating import plural

router = APIRouter(include_in_schema=False)

PER_PAGE = 100


@router.get("/live", dependencies=[UnlessKnown])
def live(request: Request, session: Reads, app: TheApp, q: str = "", after: str = "") -> Response:
    """The rows of a claim, newest first, and how many there are."""
    reading = read(q.strip().removeprefix("{{").removesuffix("}}"))
    context: dict[str, Any] = {
        "query": q[:400],
        "wrong": "",
        "rows": [],
        "more": None,
        "heading": "",
    }
    if isinstance(reading, Unread):
        return screen(request, "live/page.html", **context | {"wrong": reading.why if q else ""})
    found = store.find(session, [reading], app.zone)[reading]
    if isinstance(found, str):
        return screen(request, "live/page.html", **context | {"wrong": found})
    total = facts(request).get(
        session, ("live", reading), lambda: store.count(session, found), of=store.TABLES
    )
    rows = store.listed(session, found, after=_place(after), limit=PER_PAGE + 1)
    context |= {
        "query": written(reading),
        "heading": f"{plural(total, noun_of(reading))} {named(reading, found.titles)}".strip(),
        "total": total,
        "rows": [_row(row, reading) for row in rows[:PER_PAGE]],
        "more": _more(reading, rows[PER_PAGE - 1]) if len(rows) > PER_PAGE else None,
    }
    return screen(request, "live/page.html", **context)


def _row(row: store.Row, claim: Claim) -> dict[str, str]:
    place = "#questions" if claim.noun is Noun.QUESTION else ""
    return {
        "kind": row.kind,
        "title": row.title,
        "text": row.text,
        "url": f"/w/{row.slug}{place}",
        "day": store.day_words(row.day),
    }


def _place(after: str) -> tuple[str, int] | None:
    """Behind which row the list goes on: its day, a tilde and its id."""
    day, _, number = after[:40].rpartition("~")
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        return None
    return day, int(number)


def _more(claim: Claim, last: store.Row) -> str:
    return "/live?" + urlencode({"q": written(claim), "after": f"{last.day}~{last.id}"})
