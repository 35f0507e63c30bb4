"""The vault: how its files stand to the pages, and the form that joins a file and a page that both changed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from app.bootstrap import App
from app.domain.markdown import name_key
from app.domain.merge import IN_FILE, ON_PAGE, diff_lines, merge3
from app.domain.notes import Note
from app.domain.records import Page, VaultConflict
from app.errors import Conflict, Invalid, Unreadable
from app.services import pages as editing
from app.services.vault import conflicts
from app.store import links, mirror, pages, runs
from app.web.deps import Form, Reads, TheApp, Writes, text, whole
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)

SHOWN = 200  # problems; a folder of thousands of odd files is not told file by file


@router.get("/vault")
def overview(request: Request, session: Reads, app: TheApp) -> Response:
    """Where the vault is, what waits, which files are not taken up and why, and what is in conflict."""
    return screen(request, "vault/page.html", folder=str(app.vault_folder), **state(session))


def state(session: Session) -> dict[str, Any]:
    """How the vault stands: numbers, problems by path, and conflicts by page."""
    problems = mirror.problems(session)
    return {
        "files": mirror.count(session),
        "pending": mirror.pending(session),
        "last": mirror.last(session),
        "watched": runs.is_anybody_at_work(session, clock=time.time()),
        "problems": [
            {"path": row.path, "reason": row.reason, "at": row.at} for row in problems[:SHOWN]
        ],
        "problem_total": len(problems),
        "conflicts": [
            {"slug": slug, "title": title, "at": row.at}
            for row, slug, title in mirror.conflicts(session)
        ],
    }


# ---------------------------------------------------------------- joining the two


@dataclass(frozen=True)
class _Sides:
    """What the merge form shows: `mine` is the file, `theirs` the page, `base` what both grew from."""

    row: VaultConflict
    note: Note
    base: str
    theirs: str

    @property
    def mine(self) -> str:
        return self.note.body

    @property
    def merged(self) -> str:
        return merge3(self.base, self.mine, self.theirs, marks=(IN_FILE, ON_PAGE)).text


def _sides(session: Session, page: Page) -> _Sides | None:
    """Both texts of a page that is in conflict; None when it is not."""
    assert page.id is not None
    row = mirror.conflict(session, page.id)
    if row is None:
        return None
    try:
        note = conflicts.file_of(row)
    except Unreadable:  # it was readable when it was noted, by an earlier version of this program
        note = Note(body=row.text)
    base = mirror.base_text(session, page.id, row.base) or ""
    return _Sides(row, replace(note, body=_lines(note.body)), base, page.body)


def _lines(body: str) -> str:
    return body.replace("\r\n", "\n").replace("\r", "\n")


@router.get("/w/{slug}/conflict")
def conflict(request: Request, slug: str, session: Reads, app: TheApp) -> Response:
    """Both texts of a page that was changed here and in its file, and one to put together."""
    page = pages.get(session, slug)
    sides = _sides(session, page)
    if sides is None:
        return screen(request, "vault/conflict.html", page=page, sides=None, status_code=404)
    return _form(request, session, app, page, sides, sides.merged)


def _form(
    request: Request,
    session: Session,
    app: App,
    page: Page,
    sides: _Sides,
    body: str,
    *,
    problem: str = "",
    moved: bool = False,
) -> Response:
    assert page.id is not None
    standing = mirror.of_pages(session, [page.id]).get(page.id)
    return screen(
        request,
        "vault/conflict.html",
        status_code=409 if moved else 422 if problem else 200,
        page=page,
        path=standing.path if standing else "",
        folder=str(app.vault_folder),
        sides={
            "hash": sides.row.hash,
            "at": sides.row.at,
            "mine": sides.mine,
            "theirs": sides.theirs,
        },
        base=sides.row.base,
        changed=[
            ("In the file", _changed(sides.base, sides.mine)),
            ("On the page", _changed(sides.base, sides.theirs)),
        ],
        fields=_fields(session, page, sides.note),
        body=body,
        problem=problem,
        moved=moved,
    )


def _changed(before: str, after: str) -> list[dict[str, Any]]:
    return [
        {"kind": row.kind.value, "parts": list(row.spans), "hidden": row.hidden}
        for row in diff_lines(before, after)
    ]


def _fields(session: Session, page: Page, note: Note) -> list[dict[str, Any]]:
    """What of the front matter says another thing than the page: by name, in the file, on the page."""
    assert page.id is not None
    content = pages.content_of(session, page)
    found = [
        {"name": name, "file": file, "page": here}
        for name, file, here in (
            ("title", [note.title] if note.title else [], [content.title]),
            ("other names", list(note.aliases), list(content.aliases)),
            ("tags", list(note.tags), list(content.tags)),
        )
        if file and set(file) != set(here)
    ]
    if note.links:
        known = pages.resolve(session, [link.name for link in note.links])
        standing = {
            (row.relation, row.slug) for row in links.outgoing(session, page.id, limit=1000)
        }
        loose = []
        for link in note.links:
            target = known.get(name_key(link.name))
            if target is None or (link.relation, target.slug) not in standing:
                loose.append(f"{link.relation.value}: {link.name}")
        if loose:
            found.append({"name": "links of the file alone", "file": loose, "page": []})
    return found


@router.post("/w/{slug}/conflict")
def settle(request: Request, slug: str, form: Form, session: Writes, app: TheApp) -> Response:
    """End a conflict by the text put together, or by one of the two; the other stays in history.

    When the file or the page changed since the form was made, the form comes back with both texts as
    they are now and what was written (409); with marks left in the text as well (422).
    """
    page = pages.get(session, slug)
    sides = _sides(session, page)
    if sides is None:
        raise Conflict("This page is in conflict with its file no more: look at its history.")
    keep, written = text(form, "keep"), _lines(text(form, "body"))
    seen = (text(form, "hash"), whole(text(form, "version"), 0))
    if seen != (sides.row.hash, page.version):
        return _form(request, session, app, page, sides, written or sides.merged, moved=True)
    body = {"file": sides.mine, "page": sides.theirs}.get(keep, written)
    if keep not in ("file", "page") and _marked(body):
        problem = f"There are still marks in the text: lines with {IN_FILE} or {ON_PAGE}."
        return _form(request, session, app, page, sides, body, problem=problem)
    content = replace(pages.content_of(session, page), body=body)
    try:
        with session.begin_nested():
            content.cleaned()
            conflicts.settle(session, page, sides.row, now=app.clock())
            editing.save(
                session,
                slug,
                content,
                base=page.version,
                now=app.clock(),
                note=_NOTES.get(keep, "put together with its file"),
            )
    except Invalid as error:
        return _form(request, session, app, page, sides, body, problem=str(error))
    return RedirectResponse(f"/w/{page.slug}?saved=settled", 303)


_NOTES = {"file": "the file's text", "page": "the page's text, kept over the file's"}


def _marked(body: str) -> bool:
    return any(line.rstrip() in (IN_FILE, ON_PAGE) for line in body.split("\n"))
