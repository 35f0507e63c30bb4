"""Costs: what calls of the model cost, against the budgets, and the prices they are reckoned by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from app import calls
from app.bootstrap import App
from app.domain import money
from app.domain.money import ModelPrice, Rates
from app.domain.records import CallState, ModelCall
from app.errors import Invalid
from app.services import costs
from app.store import calls as stored
from app.store.calls import FIRST_DAY, LAST_DAY, Spent, Sum
from app.store.db import LARGEST_ID
from app.web.deps import Form, Reads, TheApp, UnlessKnown, Writes, facts, text, whole
from app.web.templating import page

router = APIRouter(include_in_schema=False)

NEWEST = 50
DAYS = 30  # that are drawn
_PERIODS = {"today": "Today", "month": "This month", "all": "All"}
_FIELDS = ("model", "since", "input", "output", "cache_read", "cache_write", "batch_percent")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@router.get("/costs", dependencies=[UnlessKnown])
def spent(request: Request, session: Reads, app: TheApp) -> Response:
    """What was spent today, this month and ever, by use and by day, and the newest calls."""
    return _page(request, session, app)


def _page(
    request: Request,
    session: Session,
    app: App,
    *,
    status: int = 200,
    given: Mapping[str, str] | None = None,
    refused: Invalid | None = None,
) -> Response:
    known, day, query = facts(request), app.today().isoformat(), request.query_params
    period = query.get("period", "month")
    period = period if period in _PERIODS else "month"
    found = known.get(
        session, ("spending", day), lambda: costs.spending(session, day), of=("model_call",)
    )
    first, last = {
        "today": (day, day),
        "month": money.month_of(day),
        "all": (FIRST_DAY, LAST_DAY),
    }[period]
    uses = known.get(
        session,
        ("uses", first, last),
        lambda: stored.by_use(session, first, last),
        of=("model_call",),
    )
    settings = app.llm_in_force(session)
    before = whole(query.get("before", ""), 0, most=LARGEST_ID)
    rows = stored.newest(session, limit=NEWEST + 1, before=before)
    days = found.last_days(DAYS)
    return page(
        request,
        "costs/page.html",
        status_code=status,
        period=period,
        tabs=[
            (f"/costs?period={name}", words, None, name == period)
            for name, words in _PERIODS.items()
        ],
        lines=[
            _line("Today", found.today, settings.daily),
            _line("This month", found.month, settings.monthly),
            _line("All", found.all, None),
        ],
        model=settings.model,
        why_not=calls.ready(session, app),
        uses=[_use(each) for each in uses],
        models=_by_model(uses),
        bars=[
            {"at": at, "monday": when, "count": each.counts, "accepted": each.cost}
            for at, (when, each) in enumerate(days)
        ]
        if any(each.counts for _, each in days)
        else [],
        top=money.dollars(max(each.counts for _, each in days)),
        days=[(when, _sum(each)) for when, each in reversed(days) if each.calls],
        rows=[_call(each) for each in rows[:NEWEST]],
        older=f"/costs?period={period}&before={rows[NEWEST - 1].id}#calls" if rows[NEWEST:] else "",
        before=before,
        prices=[_price(each, day) for each in costs.prices_in_use(session, settings, uses, day)],
        form=given or {"model": settings.model, "since": day, "batch_percent": "50"},
        problem=str(refused or ""),
        fields=refused.fields if refused else {},
    )


@router.post("/costs/prices")
def save_price(request: Request, form: Form, session: Writes, app: TheApp) -> Response:
    """Enter a price, or replace one's own. 422 with what was typed when a field will not do."""
    given = {name: text(form, name) for name in _FIELDS}
    try:
        costs.save_price(session, given)
    except Invalid as error:
        return _page(request, session, app, status=422, given=given, refused=error)
    return RedirectResponse("/costs#prices", 303)


@router.post("/costs/prices/remove")
def remove_price(form: Form, session: Writes) -> Response:
    """Take a price of one's own away; calls that were booked by it keep their cost."""
    costs.remove_price(session, text(form, "model"), text(form, "since"))
    return RedirectResponse("/costs#prices", 303)


def _line(words: str, found: Sum, budget: int | None) -> dict[str, Any]:
    line = _sum(found) | {"words": words, "budget": "", "left": ""}
    if budget is not None:
        line |= {
            "budget": money.dollars(budget),
            "left": money.dollars(max(0, budget - found.counts)),
        }
    return line


def _sum(found: Sum) -> dict[str, Any]:
    """A sum in words: a cost that is not known is said, never shown as nothing."""
    return {
        "calls": found.calls,
        "cost": money.dollars(found.cost)
        if found.cost or not (found.unknown or found.unfinished)
        else "",
        "unknown": found.unknown,
        "unfinished": found.unfinished,
        "held": money.dollars(found.held),
        "papers": found.papers,
        "prompt": found.input_tokens,
        "reply": found.output_tokens,
    }


def _use(each: Spent) -> dict[str, Any]:
    return _sum(each.sum) | {"purpose": each.purpose, "model": each.model}


def _by_model(uses: list[Spent]) -> list[dict[str, Any]]:
    """The same by model alone, where one model had several uses or one use several models."""
    together: dict[str, Sum] = {}
    for each in uses:
        together[each.model] = together.get(each.model, Sum()) + each.sum
    if len(together) == len(uses):
        return []
    return [_sum(each) | {"model": model} for model, each in sorted(together.items())]


_STATES = {CallState.RESERVED: "unfinished", CallState.RELEASED: "not billed"}


def _call(call: ModelCall) -> dict[str, Any]:
    held = call.state == CallState.RESERVED
    return {
        "at": call.at,
        "purpose": call.purpose,
        "day": call.about if _DAY.fullmatch(call.about) else "",
        "about": call.about,
        "model": call.model,
        "batched": call.batched,
        "prompt": call.prompt.partition(" ")[0],
        "prompt_hash": call.prompt,
        "tokens": [getattr(call, f"{kind}_tokens") for kind in stored.KINDS],
        "cost": _STATES.get(call.state) or money.dollars(call.cost),
        "held": money.dollars(call.reserved) if held or call.cost is None else "",
        "outcome": call.outcome,
    }


def _price(price: ModelPrice | str, day: str) -> dict[str, Any]:
    if isinstance(price, str):
        return {"model": price, "known": False}
    rates = {name: money.exact(getattr(price.rates, name)) for name in Rates.__dataclass_fields__}
    long = price.long
    return rates | {
        "model": price.model,
        "known": True,
        "since": price.since,
        "later": price.since > day,
        "own": price.own,
        "seen": price.seen,
        "batch_percent": price.batch_percent,
        "long": f"above {price.long_above:,} tokens of prompt: {money.exact(long.input)} and "
        f"{money.exact(long.output)}"
        if long
        else "",
    }
