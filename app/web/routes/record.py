"""The linker's record: what was made of its proposals, and what another threshold would mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from app.bootstrap import App
from app.domain import record as rule
from app.domain.record import Share
from app.domain.records import PageKind
from app.errors import Conflict, Invalid
from app.rendering import plain_title
from app.store import pages, preferences
from app.store import record as stored
from app.web.deps import Form, Reads, TheApp, UnlessKnown, Writes, facts, text
from app.web.routes.review import counts
from app.web.shares import in_words, kind_words, rows_of, signal_words, summed, threshold
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)

ALL = 1_000  # concepts at most, when all are asked for
_DECIDED = ("decision",)


@router.get("/review/record", dependencies=[UnlessKnown])
def show(request: Request, session: Reads, app: TheApp) -> Response:
    """How the linker did, and what if it had another threshold."""
    query = request.query_params
    known = facts(request)
    every = query.get("concepts") == "all"

    def count(name: object, make: Callable[[], Any]) -> Any:
        return known.get(session, ("record", name), make, of=_DECIDED)

    found = count("bins", lambda: stored.by_confidence(session))
    whole = sum((each.decided for each in found), Share())
    kinds = count("kinds", lambda: stored.by_kind_and_signal(session))
    concepts, total = count(
        ("concepts", every),
        lambda: stored.by_concept(session, limit=ALL if every else stored.CONCEPTS),
    )
    today = app.clock().date()
    weeks = count(("weeks", today), lambda: stored.by_week(session, today=today))
    by_rule, imported = count("apart", lambda: stored.apart(session))
    error = rule.calibration_error(found)
    return screen(
        request,
        "record/page.html",
        counts=counts(request, session),
        all=every,
        whole=in_words(whole, {}),
        calibration=rule.calibration_words(error, whole.count),
        bins=[_bin(each) for each in found],
        weeks=[
            {
                **in_words(each.decided, {"week": each.name}),
                "name": each.name,
                "monday": each.monday,
                "at": at,
            }
            for at, each in enumerate(weeks)
        ],
        signals=summed(((signal, share) for _, signal, share in kinds), "signal", signal_words),
        kinds=summed(((kind, share) for kind, _, share in kinds), "kind", kind_words),
        concepts=[
            {
                **in_words(each.decided, {"concept": each.name}),
                "words": plain_title(each.title),
                "slug": each.name,
            }
            for each in concepts
        ],
        more_concepts=total - len(concepts),
        by_rule=by_rule,
        imported=imported,
        floor=_floor(session, app),
        what_if=_what_if(session, query, app),
        saved=query.get("saved") == "1",
    )


@router.post("/review/record/floor")
def move_floor(request: Request, form: Form, session: Writes, app: TheApp) -> Response:
    """Propose links from another confidence on; empty: from the linker's own again."""
    if app.settings.linker_floor is not None:
        raise Conflict("CEREBRO_LINKER_FLOOR fixes this. Change it where the program is started.")
    given = text(form, "threshold").strip()
    preferences.set_floor(session, threshold(given) if given else None)
    return RedirectResponse("/review/record?saved=1#threshold", 303)


def _floor(session: Session, app: App) -> dict[str, object]:
    chosen = preferences.floor(session)
    return {
        "value": app.weights_in_force(session).floor,
        "own": app.weights.floor,
        "chosen": chosen is not None and app.settings.linker_floor is None,
        "fixed": app.settings.linker_floor is not None,
    }


def _what_if(session: Session, query: Mapping[str, str], app: App) -> dict[str, Any]:
    given, name = query.get("threshold", "").strip(), query.get("concept", "").strip()[:300]
    asked: dict[str, Any] = {"given": given, "concept": name, "found": None, "problem": ""}
    if not given and not name:
        return asked
    concept = None
    try:
        value = threshold(given or str(app.weights_in_force(session).floor))
        concept = concept_named(session, name) if name else None
    except Invalid as error:
        return asked | {"problem": str(error)}
    found = stored.what_if(session, value, concept_id=concept.id if concept else None)
    of = {"concept": concept.slug} if concept else {}
    return asked | {
        "given": f"{value:g}",
        "found": found,
        "title": plain_title(concept.title) if concept else "",
        "decided": in_words(found.decided, {"from": f"{value:g}", **of}),
        "missed_url": rows_of({"to": f"{value:g}", "agreed": "yes", **of}),
        "rule": urlencode({"least": f"{max(value, rule.LEAST_OF_A_RULE):g}", **of}),
    }


def concept_named(session: Session, name: str) -> pages.PageRef:
    """The concept of that title, alias or address. Raises Invalid."""
    found = pages.named(session, name)
    if found is None or found.kind != PageKind.CONCEPT:
        raise Invalid(f"{name[:100]!r} is no concept. Name one by its title, or leave it empty.")
    return found


def _bin(each: rule.Bin) -> dict[str, Any]:
    only = {"from": f"{each.start:g}", "to": f"{each.end:g}"}
    words = {"start": each.start, "end": each.end, "confidence": each.confidence}
    return {**in_words(each.decided, only), **words}
