"""Removing pages and putting them back; what stands at the address of a removed one."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from app.services import removal
from app.services.removal import Removed
from app.web.deps import Form, TheApp, Writes, text, whole
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)


@router.post("/w/{slug}/remove")
def remove(slug: str, form: Form, session: Writes, app: TheApp) -> Response:
    """Take the page out. `base_rev` is the version it was seen at, where the form has it."""
    seen = text(form, "base_rev").strip()
    removal.remove(
        session,
        slug,
        now=app.clock(),
        base=whole(seen, 0) if seen else None,
        reason=text(form, "reason"),
    )
    return RedirectResponse(f"/w/{slug}", 303)


@router.post("/w/{slug}/put-back")
def put_back(slug: str, session: Writes, app: TheApp) -> Response:
    found = removal.removed(session, slug)
    page = removal.restore(session, slug, now=app.clock())
    moved = found is not None and found.slug != page.slug
    notice = urlencode({"saved": "back-elsewhere" if moved else "back"})
    return RedirectResponse(f"/w/{page.slug}?{notice}", 303)


def gone(request: Request, found: Removed) -> Response:
    """What stands at the address of a removed page: when, by whom and why it went."""
    return screen(request, "pages/removed.html", status_code=410, removed=found)
