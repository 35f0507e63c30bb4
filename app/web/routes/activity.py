"""The activity log: what happened, newest first, and undoing what was done as a whole."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from app.domain.records import ActKind
from app.services import acts as undoing
from app.store import activity
from app.store.activity import Asked, Event, Place, What
from app.web.deps import Reads, TheApp, UnlessKnown, Writes
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)

_WHAT = {
    "": "Everything",
    What.SAVE.value: "Saves",
    What.DECISION.value: "Decisions",
    What.REMOVAL.value: "Removals",
    What.MERGE.value: "Merges and splits",
    What.ACT.value: "Imports and runs",
}
_WHO = {"": "Everybody", activity.YOU: "You", activity.MACHINE: "The machine"}


@router.get("/activity", dependencies=[UnlessKnown])
def log(request: Request, session: Reads, app: TheApp) -> Response:
    """The log, fifty lines at a time, narrowed by kind, by who, by page and by day."""
    query = request.query_params
    asked = asked_of(dict(query))
    events, more = activity.listed(
        session, asked, zone=app.zone, after=Place.read(query.get("after", ""))
    )
    kept = _kept(asked)
    return screen(
        request,
        "activity/log.html",
        events=[row_of(each) for each in events],
        kinds=[
            (_address({**kept, "kind": word}), words, None, word == kept.get("kind", ""))
            for word, words in _WHAT.items()
        ],
        whos=_WHO if asked.who in _WHO else {**_WHO, asked.who: asked.who},
        asked=asked,
        narrowed=bool(kept),
        more=_address({**kept, "after": str(more)}) if more else "",
        first=not query.get("after"),
    )


def asked_of(query: dict[str, str]) -> Asked:
    """What a query asks for; a kind that is none narrows nothing."""
    kind = query.get("kind", "")
    return Asked(
        what=What(kind) if kind in _WHAT and kind else None,
        who=query.get("who", "").strip()[:40],
        page=query.get("page", "").strip()[:300],
        day=query.get("day", "").strip()[:40],
    )


def _kept(asked: Asked) -> dict[str, str]:
    kind = asked.what.value if asked.what else ""
    values = {"kind": kind, "who": asked.who, "page": asked.page, "day": asked.day}
    return {name: value for name, value in values.items() if value}


def _address(values: dict[str, str]) -> str:
    kept = {name: value for name, value in values.items() if value}
    return f"/activity?{urlencode(kept)}" if kept else "/activity"


def row_of(event: Event) -> dict[str, Any]:
    """A line as it is shown, with where it leads and what takes it back."""
    counts = undoing.counts_in_words(event.counts, undo=event.undoes)
    return {
        "event": event,
        "url": _leads_to(event),
        "counts": counts,
        "undo": _undo(event),
    }


def _leads_to(event: Event) -> str:
    if event.what == What.ACT:
        return f"/activity/{event.act}"
    if event.what == What.SAVE and event.version > 1:
        return f"/w/{event.slug}/diff?to={event.version}"
    return f"/w/{event.slug}" if event.slug else ""


def _undo(event: Event) -> str:
    """The address of the form that takes a line back, or "": a save is restored by its history."""
    if event.undone:
        return ""
    if event.what == What.ACT:
        return f"/activity/{event.act}/undo"
    return f"/decisions/{event.decision}/undo" if event.decision and not event.undoes else ""


@router.get("/activity/{act_id}")
def one(request: Request, act_id: int, session: Reads) -> Response:
    """What was done as a whole: what it made, and what an undo of it left."""
    return _one(request, session, act_id)


def _one(request: Request, session: Session, act_id: int) -> Response:
    event = activity.act(session, act_id)
    undoes = activity.undone_by(session, act_id)
    return screen(
        request,
        "activity/act.html",
        row=row_of(event),
        pages=activity.pages_of(session, act_id),
        stays=activity.stays_of(session, act_id),
        undoes=undoes,
        is_undo=event.kind == ActKind.UNDO.value,
    )


@router.post("/activity/{act_id}/undo")
def undo(act_id: int, session: Writes, app: TheApp) -> Response:
    """Take it back as a whole; the answer is the undo itself, with what it left."""
    done = undoing.undo(session, act_id, now=app.clock())
    return RedirectResponse(f"/activity/{done.act}", 303)
