"""Asking a model about a day's papers: what it would cost, and the button that asks for it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from app import calls
from app.bootstrap import App
from app.domain.records import BatchState
from app.services import judging
from app.store import batches
from app.store import judging as stored
from app.web.deps import TheApp, Writes

router = APIRouter(include_in_schema=False)

_PARKED = 20


def offer(session: Session, app: App, day: str) -> dict[str, Any] | None:
    """What a model could still judge of a day, and why not; None where there is nothing to say.

    {papers, model, why_not, settings, estimate, asked, pause, batch, parked, more}: `why_not` is a
    sentence, `settings` the screen that helps; `estimate` what it would cost (`calls.Estimate`).
    """
    chosen = app.llm_in_force(session)
    parked = stored.parked(session, day)
    batch = _batch(session, day)
    why_not = calls.ready(session, app)
    works = judging.would_ask(session, chosen, day) if not why_not else []
    papers = sum(len(work.names) for work in works)
    if not (papers or why_not or batch or parked):
        return None
    pause = stored.paused(session, now=app.clock())
    return {
        "papers": papers,
        "model": chosen.model,
        "why_not": why_not,
        "settings": "/costs" if "/costs" in why_not else "/settings",
        "estimate": calls.estimate(
            session,
            app,
            [work.request for work in works],
            purpose=judging.PURPOSE,
            papers=papers,
        )
        if works
        else None,
        "asked": day in stored.asked_days(session),
        "pause": pause,
        "batch": batch,
        "parked": [{"title": row.title, "why": row.last_error} for row in parked[:_PARKED]],
        "more": max(0, len(parked) - _PARKED),
    }


def _batch(session: Session, day: str) -> dict[str, Any] | None:
    """The newest Message Batch of a day, unless it was collected without trouble."""
    found = batches.of_day(session, day)
    if not found or found[0].state == BatchState.COLLECTED:
        return None
    newest = found[0]
    return {
        "papers": sum(len(each.get("papers", ())) for each in newest.requests),
        "sent": newest.created_at,
        "failed": newest.state == BatchState.FAILED,
        "error": newest.error,
    }


@router.post("/triage/{day}/judge")
def judge(session: Writes, app: TheApp, day: str) -> Response:
    """Have the worker ask a model about this day now. Raises NotFound for a day without a listing."""
    judging.ask_for(session, day)
    return RedirectResponse(f"/triage/{day}", 303)
