"""Concepts and threads put together and taken apart by hand: the forms, and what they would do."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from app.domain.division import smaller_half
from app.domain.records import ChangeKind, PageKind
from app.errors import Invalid, NotFound
from app.services import review
from app.store import changes, concepts, pages
from app.web.deps import Form, Reads, TheApp, Writes, text, whole
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)

LIKELY = 10
MOST = 500  # papers to choose from


def _concept(session: Session, slug: str) -> Any:
    """The concept or thread at this address, a row of `pages.head`. Raises NotFound or Invalid."""
    page = pages.head(session, slug)
    if page is None:
        raise NotFound(f"There is no page at {slug!r}.")
    if page.kind not in (PageKind.CONCEPT, PageKind.THREAD):
        raise Invalid(
            f"{page.title} is no concept: only concepts and threads are put together or split."
        )
    return page


def _told(page: Any) -> dict[str, str]:
    return {"slug": page.slug, "title": page.title, "kind": page.kind.value}


@router.get("/w/{slug}/merge")
def ask_merge(request: Request, slug: str, session: Reads) -> Response:
    """Which concept this one goes into; with `into`, what would move."""
    return _merging(request, session, slug, request.query_params.get("into", ""))


def _merging(
    request: Request, session: Session, slug: str, into: str, *, wrong: str = ""
) -> Response:
    page = _concept(session, slug)
    found = pages.named(session, into) if into.strip() else None
    if into.strip() and not wrong:
        if found is None:
            wrong = f"There is no page called {into.strip()[:100]!r}."
        elif found.kind != page.kind:
            wrong = f"{found.title} is no {page.kind.value}: choose another."
        elif found.id == page.id:
            wrong = f"{found.title} is this very page: choose another."
    likely = changes.waiting(session, kind=ChangeKind.MERGE, page_id=page.id, limit=LIKELY)
    return screen(
        request,
        "concepts/merge.html",
        status_code=422 if wrong else 200,
        page=_told(page),
        into=into,
        wrong=wrong,
        target=None
        if wrong or found is None
        else {
            "slug": found.slug,
            "title": found.title,
            "effect": concepts.effect(session, page.id, found.id, kind=page.kind),
            "back": f"/w/{found.slug}/merge?{urlencode({'into': page.slug})}",
        },
        likely=[
            {"title": title, "reason": row.reason, "url": f"?{urlencode({'into': other})}"}
            for row in likely
            for other, title in [
                (row.target_slug, row.target_title)
                if row.source_id == page.id
                else (row.source_slug, row.source_title)
            ]
        ],
    )


@router.post("/w/{slug}/merge")
def merge(request: Request, slug: str, form: Form, session: Writes, app: TheApp) -> Response:
    into = text(form, "into")
    page = _concept(session, slug)
    try:
        with session.begin_nested():  # what had been written when it was refused is taken back
            review.merge(session, slug, into, now=app.clock())
    except Invalid as error:
        return _merging(request, session, slug, into, wrong=str(error))
    heir = concepts.heir(session, page.id)
    return RedirectResponse(f"/w/{heir.slug if heir else slug}?saved=joined", 303)


@router.get("/w/{slug}/split")
def ask_split(request: Request, slug: str, session: Reads) -> Response:
    """What of a page becomes one of its own: a title, some of its names, some of its papers."""
    page = _concept(session, slug)
    members = concepts.members(session, page.id, limit=MOST, kind=page.kind)
    chosen = smaller_half({row.id: f"{row.title}\n{row.text}" for row in members})
    return _splitting(request, session, page, members, chosen=chosen)


def _splitting(
    request: Request,
    session: Session,
    page: Any,
    members: list[Any],
    *,
    chosen: set[int],
    title: str = "",
    claim: str = "",
    names: tuple[str, ...] = (),
    wrong: str = "",
) -> Response:
    return screen(
        request,
        "concepts/split.html",
        status_code=422 if wrong else 200,
        page=_told(page),
        title=title,
        claim=claim,
        wrong=wrong,
        aliases=[
            {"name": name, "chosen": name in names} for name in pages.aliases_of(session, page.id)
        ],
        members=[
            {"id": row.id, "slug": row.slug, "title": row.title, "chosen": row.id in chosen}
            for row in members
        ],
        suggested=len(chosen) if not wrong else 0,
    )


@router.post("/w/{slug}/split")
def split(request: Request, slug: str, form: Form, session: Writes, app: TheApp) -> Response:
    title, claim = text(form, "title"), text(form, "claim")
    names = tuple(str(each) for each in form.getlist("alias"))
    chosen = [whole(str(each), 0) for each in form.getlist("member")]
    page = _concept(session, slug)
    try:
        with session.begin_nested():
            decision = review.split(
                session,
                slug,
                title=title,
                aliases=names,
                members=chosen,
                claim=claim,
                now=app.clock(),
            )
    except Invalid as error:
        members = concepts.members(session, page.id, limit=MOST, kind=page.kind)
        return _splitting(
            request,
            session,
            page,
            members,
            chosen=set(chosen),
            title=title,
            claim=claim,
            names=names,
            wrong=str(error),
        )
    made = changes.row(session, decision.change_id or 0)
    return RedirectResponse(f"/w/{made.target_slug or slug}?saved=split", 303)
