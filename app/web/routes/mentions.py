"""Unlinked mentions of a page: the list, which its rail fetches when it is seen, and the one step to a link."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.domain.records import GONE
from app.errors import NotFound
from app.rendering import plain_title
from app.services import mentions
from app.services.mentions import Mentioning
from app.store import pages
from app.web.deps import Form, Reads, TheApp, UnlessKnown, Writes, text
from app.web.routes.page import parts
from app.web.templating import fragment, is_partial
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)

IN_RAIL = 6


@router.get("/w/{slug}/mentions", dependencies=[UnlessKnown])
def listed(request: Request, slug: str, session: Reads) -> Response:
    """Pages that say the name of this one and do not link to it; for the rail, the first few."""
    page = pages.head(session, slug)
    if page is None or page.kind in GONE:
        raise NotFound(f"There is no page at {slug[:100]!r}.")
    part = is_partial(request)
    limit = IN_RAIL if part else mentions.SHOWN
    found = mentions.of(session, page, limit=limit + 1)
    shown = [_row(each) for each in found[:limit]]
    name = "pages/_mentions.html" if part else "pages/mentions.html"
    return screen(
        request,
        name,
        page={"slug": page.slug, "title": page.title, "kind": page.kind.value},
        unlinked=shown,
        more=len(found) > len(shown),
    )


def _row(found: Mentioning) -> dict[str, Any]:
    return {
        "id": found.id,
        "slug": found.slug,
        "title": found.title,
        "kind": found.kind.value,
        "sentence_parts": parts(found.mention.sentence, [found.mention.span]),
    }


@router.post("/w/{slug}/mentions")
def link(request: Request, slug: str, form: Form, session: Writes, app: TheApp) -> Response:
    """Link the mention in the page that the field `source` names."""
    linked = mentions.link(session, slug, text(form, "source"), now=app.clock())
    where = plain_title(linked.title)
    how = "Linked" if linked.decision else "Linked in the text"
    return fragment(
        request,
        "review/_toast.html",
        url=f"/w/{slug}/mentions",
        toast={
            "words": f"{how}: {where}",
            "undo": linked.decision.id if linked.decision else None,
        },
        removed=[],
        restored=[],
        counts=None,
        papers=[],
        inbox=None,
    )
