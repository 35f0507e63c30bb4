"""Jobs: what the machine does and did, what waits, and what was set aside after failing.

The work itself is the worker's; these screens only look, ask for a job's end, and let failed work be
tried at once. A job that runs is followed by a stream of events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session, col

from app import pipeline
from app.domain.records import Attempt, Delivery, Fetch, Page, Paper, Run, RunState, Source
from app.rendering import plain_title
from app.services import costs
from app.services.acts import counts_in_words
from app.services.judging import JUDGE
from app.store import acts, calls, runs
from app.store.db import reading
from app.store.judging import PAUSE
from app.store.sources import FETCH, READ
from app.web.deps import Reads, TheApp, Writes, whole
from app.web.routes.sources import under_way, unread
from app.web.streams import Streams, Told
from app.web.templating import is_partial, page, written

router = APIRouter(include_in_schema=False)

SHOWN = 50
SHOWN_LINES = 50  # of a job's log
MOST_LINES = 500  # that a page is sent one after the other


@router.get("/jobs")
def jobs(request: Request, session: Reads, app: TheApp) -> Response:
    """The runs, newest first. A partial request gets the list of runs alone."""
    recent = runs.recent(session, limit=SHOWN)
    shown: dict[str, Any] = {
        "runs": recent,
        "results": _results(session, recent),
        "fetches": under_way(session),
    }
    shown["running"] = bool(shown["fetches"]) or any(
        run.state == RunState.RUNNING for run in recent
    )
    if is_partial(request):
        return page(request, "jobs/_runs.html", **shown)
    waiting = pipeline.pending(session, app)
    return page(
        request,
        "jobs/page.html",
        pending=[{"words": words, "count": count} for words, count in waiting if count],
        parked=_set_aside(session),
        unread=unread(session),
        **shown,
    )


@router.post("/jobs")
def run_now(session: Writes) -> Response:
    """Let the worker take up at once what failed before; what waits it takes up by itself.

    One that rests after a job was cancelled goes on.
    """
    session.connection().execute(sa.delete(Attempt))
    runs.go_on(session)
    return RedirectResponse("/jobs", 303)


@router.get("/jobs/{run_id}")
def job(request: Request, session: Reads, run_id: int) -> Response:
    """One job: its steps, what it cost, its last lines, and its end on request."""
    run = runs.get(session, run_id)
    return page(request, "jobs/job.html", trigger=run.trigger, **_shown(session, run_id))


@router.get("/jobs/{run_id}/events")
def events(request: Request, app: TheApp, run_id: int, after: str = "") -> Response:
    """The same as it changes, as events; the last is called done."""
    with reading(app.engine) as session:  # not the request's own, which would last as long
        runs.standing(session, run_id)
    streams = cast(Streams, request.app.state.streams)
    seen: dict[str, Any] = {"state": None, "lines": 0}

    def look(since: str) -> Told | None:
        with reading(app.engine) as own:
            shown = _shown(own, run_id)
        lines = shown["lines"]
        known = whole(since, lines + 1)  # of a number that this log never had, all is told anew
        state = tuple(shown[name] for name in ("state", "cancel", "steps", "cost"))
        if state == seen["state"] and known == lines and not shown["over"]:
            return None
        seen["state"] = state
        fresh = lines - known
        # Now and then the lines begin anew, or a long job would fill the page.
        whole_log = not 0 <= fresh <= SHOWN_LINES or seen["lines"] + fresh > MOST_LINES
        seen["lines"] = 0 if whole_log else seen["lines"] + fresh
        shown["log"] = shown["log"] if whole_log else shown["log"][len(shown["log"]) - fresh :]
        html = written(request, "jobs/_events.html", whole=whole_log, **shown, now=app.clock())
        return Told(html, str(lines), last=shown["over"])

    return streams.response(look, after=request.headers.get("last-event-id", after))


@router.post("/jobs/{run_id}/cancel")
def cancel(session: Writes, run_id: int) -> Response:
    """Ask a job to end; its worker does so after the batch it is at."""
    runs.cancel(session, run_id)
    return RedirectResponse(f"/jobs/{run_id}", 303)


def _shown(session: Session, run_id: int) -> dict[str, Any]:
    """A job as its page and its events show it; `log` is of its newest lines."""
    run = runs.standing(session, run_id)
    spent = calls.since(session, run.started_at, run.ended_at)
    return {
        "id": run_id,
        "state": run.state.value,
        "over": run.state != RunState.RUNNING,
        "cancel": run.cancel,
        "steps": run.steps,
        "log": run.log[-SHOWN_LINES:],
        "lines": run.lines,
        "cost": costs.at_most(spent) if spent.calls else "",
        "started_at": run.started_at,
        "ended_at": run.ended_at,
    }


@router.get("/_/status")
def status(request: Request) -> Response:
    """The foot of the navigation: what runs now."""
    return page(request, "_status.html")


def _results(session: Session, shown: Sequence[Run]) -> dict[int, dict[str, Any]]:
    """What each run came to, by its number: `words`, with the address of what it made, and `failed`."""
    made = acts.of_runs(session, [run.id for run in shown if run.id is not None])
    found: dict[int, dict[str, Any]] = {}
    for run in shown:
        act, counts = made.get(run.id or 0, (0, {}))
        words = counts_in_words(counts, undo=False)
        if not words:  # nothing that stands in the log of activity: how much was done at each step
            worked = [(step["name"], step["done"]) for step in run.steps if step.get("done")]
            words = ", ".join(f"{name} {number:,}" for name, number in worked)
        found[run.id or 0] = {
            "words": words,
            "url": f"/activity/{act}" if act else "",
            "failed": sum(step.get("failed", 0) for step in run.steps),
        }
    return found


def _set_aside(session: Session) -> list[dict[str, Any]]:
    """What failed and waits for another try, that which was given up first.

    Subjects are pages, or papers that wait where a model judges, fetches, or deliveries, which are
    named by their source. A pause of the judging is no failure; a delivery that was given up stands
    among those that could not be read.
    """
    of_paper, of_fetch = col(Attempt.step) == JUDGE, col(Attempt.step) == FETCH
    of_delivery = col(Attempt.step) == READ
    of_page = ~(of_paper | of_fetch | of_delivery)
    rows: Any = session.connection().execute(
        sa.select(
            col(Attempt.step),
            col(Attempt.subject_id),
            col(Attempt.attempts),
            col(Attempt.last_error),
            col(Attempt.next_try_at),
            col(Page.slug),
            col(Source.id).label("source_id"),
            col(Delivery.name).label("piece"),
            sa.func.coalesce(col(Page.title), col(Paper.title), col(Source.name), "").label(
                "title"
            ),
        )
        .outerjoin(Paper, of_paper & (col(Paper.id) == col(Attempt.subject_id)))
        .outerjoin(Page, of_page & (col(Page.id) == col(Attempt.subject_id)))
        .outerjoin(Fetch, of_fetch & (col(Fetch.id) == col(Attempt.subject_id)))
        .outerjoin(Delivery, of_delivery & (col(Delivery.id) == col(Attempt.subject_id)))
        .outerjoin(
            Source,
            col(Source.id) == sa.func.coalesce(col(Fetch.source_id), col(Delivery.source_id)),
        )
        .where(~of_paper | (col(Attempt.subject_id) != PAUSE))
        .order_by(col(Attempt.parked).desc(), col(Attempt.attempts).desc(), col(Attempt.subject_id))
        .limit(SHOWN)
    )
    return [
        {
            "step": row.step,
            "subject": plain_title(row.title) if row.title else f"number {row.subject_id}",
            "piece": row.piece or "",
            "url": f"/w/{row.slug}"
            if row.slug
            else (f"/sources/{row.source_id}" if row.source_id else ""),
            "attempts": row.attempts,
            "last_error": row.last_error,
            "next_try_at": row.next_try_at,
        }
        for row in rows
    ]
