"""Bibliographies to take along: all kept papers, those a search finds, or one."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from app.errors import NotFound
from app.services import export
from app.store import pages
from app.store.db import reading
from app.web.deps import Reads, TheApp

router = APIRouter(include_in_schema=False)


@router.get("/export")
def bibliography(
    app: TheApp, format: str = "bibtex", q: str = Query(default="", max_length=2_000)
) -> Response:
    """All kept papers, or those that the search `q` finds, as `bibtex`, `csl` or `ris`."""
    chosen = export.format_of(format)
    name = f"cere-bro-{app.today().isoformat()}.{chosen.suffix}"
    return StreamingResponse(
        export.bibliography(partial(reading, app.engine), format, q),
        media_type=f"{chosen.media_type}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.get("/w/{slug}/cite")
def cite(slug: str, session: Reads) -> Response:
    """The BibTeX entry of one paper, as text."""
    page = pages.get(session, slug)
    assert page.id is not None
    entry = export.cited(session, page.id)
    if not entry:
        raise NotFound(f"{page.title} is not a paper: only papers are cited.")
    return PlainTextResponse(entry)
