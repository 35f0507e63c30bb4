"""Predictions: what is due, what is open, how the resolved ones turned out, and the forms."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from app.domain.predictions import STATE_WORDS, Score, Tally
from app.domain.records import PredictionState
from app.errors import Conflict, Invalid
from app.services import predictions as service
from app.store import pages
from app.store import predictions as store
from app.store.predictions import PredictionRow, TouchRow
from app.web.deps import Form, Reads, TheApp, UnlessKnown, Writes, facts, text
from app.web.routes.page import parts
from app.web.rows import back_to, prediction_rows
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)

_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_FIELDS = ("page", "text", "due", "made", "probability")
_JUDGE = ("state", "resolution", "page", "quotation", "day")


@router.get("/predictions", dependencies=[UnlessKnown])
def listed(request: Request, session: Reads, app: TheApp) -> Response:
    """What is due and open; with `show=resolved` what was judged, by state or month."""
    return _list(request, session, app)


def _list(
    request: Request,
    session: Session,
    app: Any,
    *,
    given: dict[str, str] | None = None,
    fields: dict[str, str] | None = None,
    problem: str = "",
    status: int = 200,
) -> Response:
    query = request.query_params
    resolved = query.get("show") == "resolved"
    after = query.get("after", "")[:40]
    known = facts(request)
    score = known.get(session, "score", lambda: store.score(session), of=("prediction",))
    counts = known.get(session, "predictions", lambda: store.counts(session), of=("prediction",))
    kept: dict[str, str] = {}
    due: list[PredictionRow] = []
    if resolved:
        kept = {"show": "resolved"}
        state = _state(query.get("state", ""))
        month = query.get("month", "") if _MONTH.fullmatch(query.get("month", "")) else ""
        weighed = query.get("weighed") == "1"
        kept |= {"state": state.value} if state else {}
        kept |= {"month": month} if month else {}
        kept |= {"weighed": "1"} if weighed else {}
        rows = store.resolved(
            session,
            state=state,
            month=month,
            weighed=weighed,
            after=after,
            limit=store.PER_PAGE + 1,
        )
    else:
        due = store.due(session, until=app.today().isoformat())
        rows = store.open_ones(session, after=after, limit=store.PER_PAGE + 1)
    shown = rows[: store.PER_PAGE]
    waits = {row.id for row in due}
    more = {**kept, "after": store.place_of(shown[-1])} if rows[store.PER_PAGE :] else None
    number = counts[PredictionState.OPEN]
    total = sum(counts.values())
    return screen(
        request,
        "predictions/page.html",
        status_code=status,
        tabs=[
            ("/predictions", "Open", number, not resolved),
            ("/predictions?show=resolved", "Resolved", total - number, resolved),
        ],
        resolved=resolved,
        narrowed=_narrowed(kept),
        due=[] if after else prediction_rows(due),
        rows=prediction_rows([row for row in shown if row.id not in waits]),
        score=_score(score),
        first=f"/predictions?{urlencode(kept)}" if after else None,
        more=f"/predictions?{urlencode(more)}" if more else None,
        given=given or {"page": query.get("page", "")[:300]},
        fields=fields or {},
        problem=problem,
        any=total > 0,
    )


def _state(given: str) -> PredictionState | None:
    return PredictionState(given) if given in {each.value for each in PredictionState} else None


def _narrowed(kept: dict[str, str]) -> str:
    """What the list is narrowed to, in words."""
    state = _state(kept.get("state", ""))
    words = [STATE_WORDS[state]] if state else []
    words += ["had a probability"] if "weighed" in kept else []
    words += [f"resolved in {kept['month']}"] if "month" in kept else []
    return ", ".join(words)


def _score(score: Score) -> dict[str, Any] | None:
    """The score with the address of the rows behind each number; None before the first."""
    if not score.total.resolved:
        return None
    months = [_tally(each) for each in score.months]
    shares = [round(100 * (each.share or 0)) for each in score.months]
    return {
        **_tally(score.total),
        "points": shares if len(shares) > 1 else [],
        "words": "came true by month of resolution, in percent: " + ", ".join(map(str, shares)),
        "months": months[::-1],
    }


def _tally(each: Tally) -> dict[str, Any]:
    def url(**more: str) -> str:
        fields = {"show": "resolved", **more, **({"month": each.name} if each.name else {})}
        return f"/predictions?{urlencode(fields)}"

    return {
        "month": each.name,
        "resolved": each.resolved,
        "came_true": each.came_true,
        "failed": each.resolved - each.came_true,
        "percent": round(100 * (each.share or 0)),
        "weighed": each.weighed,
        "brier": None if each.brier is None else f"{each.brier:.2f}",
        "true_url": url(state="came-true"),
        "failed_url": url(state="failed"),
        "weighed_url": url(weighed="1"),
    }


@router.post("/predictions")
def add(request: Request, form: Form, session: Writes, app: TheApp) -> Response:
    """Note a prediction; what is wrong with it is said beside the fields, and nothing is lost."""
    given = {name: text(form, name)[:5_000] for name in _FIELDS}
    try:
        row = service.add(session, **given, today=app.today(), now=app.clock())  # type: ignore[arg-type]
    except (Invalid, Conflict) as error:
        fields = error.fields if isinstance(error, Invalid) else {}
        return _list(
            request,
            session,
            app,
            given=given,
            fields=fields,
            problem=str(error),
            status=422 if isinstance(error, Invalid) else 409,
        )
    return RedirectResponse(f"{back_to(text(form, 'back'), '/predictions')}#p{row.id}", 303)


@router.get("/predictions/{prediction_id}", dependencies=[UnlessKnown])
def one(request: Request, prediction_id: int, session: Reads, app: TheApp) -> Response:
    """A prediction with the papers that bear on it, and the form that judges it."""
    return _one(request, prediction_id, session, app)


def _one(
    request: Request,
    prediction_id: int,
    session: Session,
    app: Any,
    *,
    given: dict[str, str] | None = None,
    fields: dict[str, str] | None = None,
    problem: str = "",
    status: int = 200,
) -> Response:
    row = store.row(session, prediction_id)
    touches = store.touches_of(session, [prediction_id]).get(prediction_id, [])
    proofs = []
    for each in row.evidence:
        slug = str(each.get("page", ""))
        found = pages.by_slug(session, slug) or pages.former(session, slug)
        proofs.append(
            {
                "slug": slug,
                "title": found.title if found else slug,
                "quotation": str(each.get("quotation", "")),
            }
        )
    return screen(
        request,
        "predictions/prediction.html",
        status_code=status,
        row=prediction_rows([row])[0],
        due=row.is_due(app.today().isoformat()),
        touches=[_touch(each) for each in touches],
        proofs=proofs,
        given=given or {"page": request.query_params.get("page", "")[:300], "quotation": ""},
        fields=fields or {},
        problem=problem,
    )


def _touch(row: TouchRow) -> dict[str, Any]:
    return {
        "slug": row.slug,
        "title": row.title,
        "day": row.day,
        "confidence": row.confidence,
        "parts": parts(row.quotation, row.spans),
    }


@router.post("/predictions/{prediction_id}")
def resolve(
    request: Request, prediction_id: int, form: Form, session: Writes, app: TheApp
) -> Response:
    """Judge a prediction. A quotation that does not stand in its page is refused, the form kept."""
    given = {name: text(form, name)[:5_000] for name in _JUDGE}
    try:
        service.resolve(session, prediction_id, **given, today=app.today())
    except (Invalid, Conflict) as error:
        return _one(
            request,
            prediction_id,
            session,
            app,
            given=given,
            fields=error.fields if isinstance(error, Invalid) else {},
            problem=str(error),
            status=422 if isinstance(error, Invalid) else 409,
        )
    return RedirectResponse(f"/predictions/{prediction_id}", 303)


@router.post("/predictions/{prediction_id}/reopen")
def reopen(prediction_id: int, session: Writes) -> Response:
    """Take a judgement back."""
    service.reopen(session, prediction_id)
    return RedirectResponse(f"/predictions/{prediction_id}", 303)


@router.post("/predictions/{prediction_id}/dismiss")
def dismiss(prediction_id: int, form: Form, session: Writes) -> Response:
    """Say that a paper does not bear on it, or with `back` that it does."""
    service.dismiss(session, prediction_id, text(form, "page"), back=bool(text(form, "back")))
    return RedirectResponse(f"/predictions/{prediction_id}", 303)
