"""Jobs: what the machine does and did, what waits, and what was set aside after failing.

The work itself is the worker's; this screen only looks, and lets failed work be tried at once.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session, col

from app import pipeline
from app.domain.records import Attempt, Page, Paper, RunState
from app.rendering import plain_title
from app.services.judging import JUDGE
from app.store import runs
from app.store.judging import PAUSE
from app.web.deps import Reads, TheApp, Writes
from app.web.templating import is_partial, page

router = APIRouter(include_in_schema=False)

SHOWN = 50


@router.get("/jobs")
def jobs(request: Request, session: Reads, app: TheApp) -> Response:
    """The runs, newest first. A partial request gets the list of runs alone."""
    recent = runs.recent(session, limit=SHOWN)
    shown: dict[str, Any] = {
        "runs": recent,
        "running": any(run.state == RunState.RUNNING for run in recent),
    }
    if is_partial(request):
        return page(request, "jobs/_runs.html", **shown)
    waiting = pipeline.pending(session, app)
    return page(
        request,
        "jobs/page.html",
        pending=[{"words": words, "count": count} for words, count in waiting if count],
        parked=_set_aside(session),
        **shown,
    )


@router.post("/jobs")
def run_now(session: Writes) -> Response:
    """Let the worker take up at once what failed before; what waits it takes up by itself."""
    session.connection().execute(sa.delete(Attempt))
    return RedirectResponse("/jobs", 303)


@router.get("/_/status")
def status(request: Request) -> Response:
    """The foot of the navigation: what runs now."""
    return page(request, "_status.html")


def _set_aside(session: Session) -> list[dict[str, Any]]:
    """What failed and waits for another try, that which was given up first.

    Subjects are pages, or papers that wait where a model judges. A pause of it is no failure.
    """
    of_paper = col(Attempt.step) == JUDGE
    rows = session.connection().execute(
        sa.select(
            col(Attempt.step),
            col(Attempt.subject_id),
            col(Attempt.attempts),
            col(Attempt.last_error),
            col(Attempt.next_try_at),
            col(Page.slug),
            sa.func.coalesce(col(Page.title), col(Paper.title), "").label("title"),
        )
        .outerjoin(Paper, of_paper & (col(Paper.id) == col(Attempt.subject_id)))
        .outerjoin(Page, ~of_paper & (col(Page.id) == col(Attempt.subject_id)))
        .where(~of_paper | (col(Attempt.subject_id) != PAUSE))
        .order_by(col(Attempt.parked).desc(), col(Attempt.attempts).desc(), col(Attempt.subject_id))
        .limit(SHOWN)
    )
    return [
        {
            "step": row.step,
            "subject": plain_title(row.title) if row.title else f"number {row.subject_id}",
            "url": f"/w/{row.slug}" if row.slug else "",
            "attempts": row.attempts,
            "last_error": row.last_error,
            "next_try_at": row.next_try_at,
        }
        for row in rows
    ]
