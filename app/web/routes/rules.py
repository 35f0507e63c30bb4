"""Rules: the list with a form, what a rule would do before it is switched on, and its audit."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from app.domain.record import FEW
from app.errors import Conflict, Invalid
from app.rendering import plain_title
from app.services import rules
from app.store import decisions
from app.store import rules as stored
from app.store.db import LARGEST_ID
from app.store.decisions import Only
from app.web.deps import Form, Reads, TheApp, UnlessKnown, Writes, facts, text, whole
from app.web.routes.review import DECIDED, decided_rows
from app.web.shares import in_words
from app.web.templating import is_partial
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)


@router.get("/rules", dependencies=[UnlessKnown])
def listed(request: Request, session: Reads, app: TheApp) -> Response:
    """Every rule, and the form for a new one; with a concept or confidence named, its preview."""
    query = request.query_params
    asked = "least" in query
    return _list(
        request,
        session,
        concept=query.get("concept", "")[:300],
        least=query.get("least", "")[:40],
        asked=asked,
    )


def _list(
    request: Request,
    session: Session,
    *,
    concept: str = "",
    least: str = "",
    asked: bool = False,
    status: int = 200,
) -> Response:
    preview, problem, fields = None, "", {}
    if asked:
        try:
            wanted = rules.wanted(session, concept=concept, least=least)
            preview = _preview(rules.preview(session, wanted))
        except Invalid as error:
            problem, fields = str(error), error.fields
        except Conflict as error:
            problem = str(error)
    found = facts(request).get(
        session, "rules", lambda: stored.listed(session), of=("decision", "page", "rule")
    )
    return screen(
        request,
        "rules/page.html",
        status_code=status,
        rows=[_row(each) for each in found],
        concept=concept,
        least=least or "0.95",
        preview=preview,
        problem=problem,
        fields=fields,
    )


@router.post("/rules")
def make(request: Request, form: Form, session: Writes, app: TheApp) -> Response:
    """Switch a rule on, once its preview was seen; what it accepts at once can be undone as one."""
    wanted = rules.wanted(session, concept=text(form, "concept"), least=text(form, "least"))
    rule, _ = rules.make(session, wanted, now=app.clock())
    return RedirectResponse(f"/rules/{rule.id}", 303)


@router.get("/rules/{rule_id}", dependencies=[UnlessKnown])
def audit(request: Request, rule_id: int, session: Reads) -> Response:
    """What a rule decided, newest first, each with its undo."""
    rule = stored.get(session, rule_id)
    before = whole(request.query_params.get("before", ""), 0, most=LARGEST_ID)
    only = Only(who=stored.who(rule.id))
    rows = decisions.recent(session, limit=DECIDED + 1, before=before, only=only)
    context: dict[str, Any] = {
        "back": f"/rules/{rule.id}",
        "rows": decided_rows(session, rows[:DECIDED]),
        "more": f"/rules/{rule.id}?before={rows[DECIDED - 1].id}" if rows[DECIDED:] else None,
    }
    if is_partial(request):
        return screen(request, "review/_decided_rows.html", **context)
    [row] = stored.listed(session, rule_id=rule_id)
    confirm = request.query_params.get("confirm", "")
    return screen(
        request,
        "rules/rule.html",
        rule=_row(row),
        confirm=confirm if confirm in ("end", "undo") else "",
        taken=whole(request.query_params.get("undone", ""), 0),
        stay=whole(request.query_params.get("stay", ""), 0),
        told="undone" in request.query_params,
        **context,
    )


@router.post("/rules/{rule_id}/end")
def end(rule_id: int, session: Writes, app: TheApp) -> Response:
    """Switch a rule off; what it accepted stands."""
    rules.end(session, rule_id, now=app.clock())
    return RedirectResponse(f"/rules/{rule_id}", 303)


@router.post("/rules/{rule_id}/undo")
def undo(rule_id: int, session: Writes, app: TheApp) -> Response:
    """Take back all that a rule accepted, and end it."""
    taken = rules.undo(session, rule_id, now=app.clock())
    return RedirectResponse(f"/rules/{rule_id}?undone={taken.undone}&stay={len(taken.stay)}", 303)


def _row(row: stored.RuleRow) -> dict[str, Any]:
    slug, title = row.concept or ("", "")
    only = {"from": f"{row.least:g}", "kind": row.relation.value}
    only |= {"concept": slug} if slug else {}
    return {
        "id": row.id,
        "slug": slug,
        "title": plain_title(title),
        "gone": row.concept_id is not None and not slug,
        "least": f"{row.least:g}",
        "made": row.created_at,
        "ended": row.ended_at,
        "accepted": row.accepted,
        "undone": row.undone,
        "standing": row.standing,
        "decided": in_words(row.decided, only),
        "fails": row.fails,
    }


def _preview(found: rules.Preview) -> dict[str, Any]:
    concept = found.wanted.concept
    only = {"from": f"{found.wanted.least:g}", "kind": "about"}
    only |= {"concept": concept[1]} if concept else {}
    return {
        "least": f"{found.wanted.least:g}",
        "slug": concept[1] if concept else "",
        "title": plain_title(concept[2]) if concept else "",
        "waiting": found.waiting,
        "first": found.first,
        "decided": in_words(found.decided, only),
        "few": found.decided.count < FEW,
    }
