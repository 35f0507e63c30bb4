"""Health: where the texts and the graph disagree, each with what puts it right."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from app.domain.typed_counters import made_live
from app.errors import Conflict
from app.services import backup, wording
from app.services import health as service
from app.services import pages as editing
from app.services.health import Check
from app.store import live_claims, mirror, pages
from app.web.deps import Form, Reads, TheApp, UnlessKnown, Writes, facts, text, the_app, whole
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)

SHOWN = 5  # of each check on the overview
PER_PAGE = 50


@router.get("/health", dependencies=[UnlessKnown])
def overview(
    request: Request,
    session: Reads,
    app: TheApp,
    check: str = "",
    page: str = "",
    fixed: str = "",
) -> Response:
    """Every check with the first it found, or all that one of them found, a page at a time."""
    every = _checks(request, session)
    chosen = next((each for each in every if each.name == check), None)
    if chosen is None:
        parts = [replace(each, doubts=each.doubts[:SHOWN]) for each in every]
        return screen(
            request,
            "health/page.html",
            checks=parts,
            chosen=None,
            pager=None,
            fixed=fixed,
            conflicts=[(slug, title) for _, slug, title in mirror.conflicts(session)],
            problems=len(mirror.problems(session)),
            kept=backup.kept(session, app.settings.data),
        )
    last = max(1, -(-len(chosen.doubts) // PER_PAGE))
    number = whole(page, 1, least=1, most=last)
    start = (number - 1) * PER_PAGE
    part = replace(chosen, doubts=chosen.doubts[start : start + PER_PAGE])
    pager = {
        "previous": _url(check, number - 1) if number > 1 else None,
        "next": _url(check, number + 1) if number < last else None,
        "first": start + 1,
        "last": start + len(part.doubts),
        "total": chosen.total,
    }
    return screen(request, "health/page.html", checks=[part], chosen=part, pager=pager, fixed=fixed)


def _checks(request: Request, session: Session) -> list[Check]:
    return facts(request).get(
        session,
        "health",
        lambda: service.lint(session, the_app(request).zone),
        of=(*live_claims.TABLES, "change", "digest", "red_link"),
    )


def _url(check: str, number: int) -> str:
    return "/health?" + urlencode({"check": check, "page": str(number)})


@router.post("/health/links")
def write_links(session: Writes, app: TheApp) -> Response:
    """Write the links that Obsidian does not follow so that it does, as one act of the reader's own."""
    done = wording.word(session, now=app.clock())
    return RedirectResponse(f"/activity/{done.act}" if done.act else "/health", 303)


@router.post("/health/live")
def make_live(form: Form, session: Writes, app: TheApp) -> Response:
    """Write the live claim in place of a typed number, as an edit of the reader's own."""
    slug, start = text(form, "page"), whole(text(form, "start"), -1)
    page = pages.get(session, slug)
    doubt = next(
        (
            each
            for each in service.typed_counters(session)
            if each.slug == slug and each.start == start and each.says == text(form, "says")
        ),
        None,
    )
    body = made_live(page.body, start, doubt.says, doubt.live) if doubt else None
    if doubt is None or body is None:
        raise Conflict("The page was changed meanwhile, or the number is right now. Look again.")
    content = replace(pages.content_of(session, page), body=body)
    editing.save(
        session,
        slug,
        content,
        base=page.version,
        now=app.clock(),
        note=f"“{doubt.says}” is counted now",
    )
    return RedirectResponse("/health?" + urlencode({"fixed": slug}), 303)
