"""What was: the revisions of a page, who wrote each paragraph, and what was decided of its links."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from app.domain.blame import Paragraph, blame
from app.domain.merge import diff_lines
from app.domain.ownership import author_words
from app.domain.records import Origin, Revision
from app.services import history as told
from app.services import pages as editing
from app.store import decisions, pages, rules
from app.store import history as stored
from app.store.db import LARGEST_ID
from app.web.deps import Form, Reads, TheApp, UnlessKnown, Writes, text, whole
from app.web.routes.page import head_of, shown
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)

REVISIONS = 50  # each with its whole text, to count what changed
PARAGRAPHS = 200
DECISIONS = 50


def tabs_of(slug: str, current: str) -> list[tuple[str, str, None, bool]]:
    """The views of what was, as tabs."""
    address = f"/w/{slug}"
    return [
        (f"{address}/history", "Versions", None, current == "history"),
        (f"{address}/blame", "Who wrote what", None, current == "blame"),
        (f"{address}/decisions", "Links", None, current == "decisions"),
        (f"/activity?page={slug}", "Activity", None, False),
    ]


# ---------------------------------------------------------------- revisions


@router.get("/w/{slug}/history", dependencies=[UnlessKnown])
def history(request: Request, slug: str, session: Reads, app: TheApp) -> Response:
    """The revisions of a page, fifty at a time; `before` is the number of the last one shown."""
    page = shown(session, slug)
    before = whole(request.query_params.get("before", ""), 0, most=LARGEST_ID)
    rows = pages.revisions(session, page.id, limit=REVISIONS + 1, before=before)
    older: Sequence[Any] = [*rows[1:], None]
    revisions = [_revision(*pair, page) for pair in zip(rows[:REVISIONS], older, strict=False)]
    return screen(
        request,
        "pages/history.html",
        page=head_of(page),
        tabs=tabs_of(slug, "history"),
        revisions=revisions,
        pager=_of_revisions(page, revisions),
        today=app.today().isoformat(),
    )


def _of_revisions(page: Any, found: list[dict[str, Any]]) -> dict[str, object] | None:
    """Revisions are numbered from 1 without gaps, so that a number is a place."""
    if page.version <= REVISIONS or not found:
        return None
    address = f"/w/{page.slug}/history"
    newest, oldest = found[0]["number"], found[-1]["number"]
    earlier = newest + REVISIONS
    newer = f"{address}?before={earlier + 1}" if earlier < page.version else address
    return {
        "previous": newer if newest < page.version else None,
        "next": f"{address}?before={oldest}" if oldest > 1 else None,
        "first": page.version - newest + 1,
        "last": page.version - oldest + 1,
        "total": page.version,
    }


def _revision(row: Any, older: Any, page: Any) -> dict[str, Any]:
    words = Counter(row.body.split())
    before = Counter(older.body.split()) if older is not None else Counter()
    return {
        "number": row.number,
        "at": row.at,
        "author": author_words(row.author_kind, row.author),
        "author_kind": row.author_kind.value,
        "note": row.note,
        "prompt": row.prompt,
        "added": (words - before).total(),
        "removed": (before - words).total(),
        "fields": [each["name"] for each in _fields(older, row)] if older is not None else [],
        "current": row.number == page.version,
    }


def _fields(before: Any, after: Any) -> list[dict[str, Any]]:
    """What of title, kind and names two revisions say differently, with what went and what came."""
    found: list[dict[str, Any]] = [
        {"name": name, "gone": [str(old)] if old else [], "come": [str(new)]}
        for name, old, new in (
            ("title", before.title, after.title),
            ("kind", before.kind, after.kind),
        )
        if old != new
    ]
    for name, words in (("aliases", "other names"), ("tags", "tags")):
        old, new = getattr(before, name), getattr(after, name)
        if set(old) != set(new):
            gone, come = [n for n in old if n not in new], [n for n in new if n not in old]
            found.append({"name": words, "gone": gone, "come": come})
    return found


@router.get("/w/{slug}/diff", dependencies=[UnlessKnown])
def diff(request: Request, slug: str, session: Reads) -> Response:
    """What changed between two revisions: lines and words of the text, title, kind and names."""
    page = shown(session, slug)
    newer = whole(request.query_params.get("to", ""), page.version, least=1)
    older = whole(request.query_params.get("from", ""), newer - 1, least=0)
    after = pages.revision(session, page.id, newer)
    before = pages.revision(session, page.id, older) if older else _nothing(after)
    return screen(
        request,
        "pages/diff.html",
        page=head_of(page),
        before=before,
        after=after,
        by=author_words(after.author_kind, after.author),
        lines=[
            {"kind": row.kind.value, "parts": list(row.spans), "hidden": row.hidden}
            for row in diff_lines(before.body, after.body)
        ],
        fields=_fields(before, after) if older else [],
        restorable=[each.number for each in (before, after) if 0 < each.number != page.version],
    )


def _nothing(after: Revision) -> Revision:
    """What stood before the first revision."""
    return Revision(
        page_id=after.page_id,
        number=0,
        title="",
        kind=after.kind,
        body="",
        author_kind=after.author_kind,
        at=after.at,
    )


@router.post("/w/{slug}/restore")
def restore(slug: str, form: Form, session: Writes, app: TheApp) -> Response:
    """Make an earlier revision the newest again, with its title, kind and names."""
    number = whole(text(form, "version"), 0)
    saved = editing.restore(session, slug, number, now=app.clock())
    return RedirectResponse(f"/w/{saved.page.slug}?saved=restored", 303)


# ---------------------------------------------------------------- who wrote what


@router.get("/w/{slug}/blame", dependencies=[UnlessKnown])
def who_wrote_what(request: Request, slug: str, session: Reads) -> Response:
    """Each paragraph of a page's text with who wrote it last, in which revision; some at a time."""
    page = shown(session, slug)
    texts = stored.texts(session, page.id)
    found, first = blame(texts), texts[0][0] if texts else 1
    start = whole(request.query_params.get("from", ""), 0, most=len(found))
    part = found[start : start + PARAGRAPHS]
    numbers = {number for each in part for number in each.revisions}
    makers = stored.makers(session, page.id, numbers)
    return screen(
        request,
        "pages/blame.html",
        page=head_of(page),
        tabs=tabs_of(slug, "blame"),
        pieces=_pieces(part, makers, oldest=first),
        first=first,
        pager={
            "previous": f"/w/{slug}/blame?from={max(0, start - PARAGRAPHS)}" if start else None,
            "next": f"/w/{slug}/blame?from={start + PARAGRAPHS}"
            if start + PARAGRAPHS < len(found)
            else None,
            "first": start + 1,
            "last": start + len(part),
            "total": len(found),
        },
    )


def _pieces(
    paragraphs: Sequence[Paragraph], makers: dict[int, Any], *, oldest: int
) -> list[dict[str, Any]]:
    """Neighbours that the same revisions wrote, together; what is older than all we read says so."""
    pieces: list[dict[str, Any]] = []
    last: tuple[int, ...] = ()
    for each in paragraphs:
        known = [makers[number] for number in each.revisions if number in makers]
        if each.revisions == last and pieces:
            pieces[-1]["texts"].append(each.text)
            continue
        last = each.revisions
        pieces.append(
            {
                "line": each.line,
                "texts": [each.text],
                "by": [_maker(row, earlier=row.number == oldest > 1) for row in known[:4]],
                "more": max(0, len(known) - 4),
            }
        )
    return pieces


def _maker(row: Any, *, earlier: bool) -> dict[str, Any]:
    return {
        "number": row.number,
        "kind": row.author_kind.value,
        "name": "somebody" if earlier else author_words(row.author_kind, row.author),
        "prompt": "" if earlier else row.prompt,
        "at": row.at,
        "earlier": earlier,
    }


# ---------------------------------------------------------------- what was decided of links


@router.get("/w/{slug}/decisions", dependencies=[UnlessKnown])
def of_its_links(request: Request, slug: str, session: Reads) -> Response:
    """What was decided of a page's links, the newest first; `before` is the id of the last one shown."""
    page = shown(session, slug)
    before = whole(request.query_params.get("before", ""), 0, most=LARGEST_ID)
    rows = stored.of_page(session, page.id, limit=DECISIONS + 1, before=before)
    part = rows[:DECISIONS]
    return screen(
        request,
        "pages/decisions.html",
        page=head_of(page),
        tabs=tabs_of(slug, "decisions"),
        rows=_decided(session, part),
        back=f"/w/{slug}/decisions",
        more=f"/w/{slug}/decisions?before={part[-1].id}" if rows[DECISIONS:] else None,
    )


@router.get("/links/{link_id}/history", dependencies=[UnlessKnown])
def of_a_link(request: Request, link_id: int, session: Reads) -> Response:
    """One link: where it comes from, how it stands, and all that was decided of it."""
    row = told.link(session, link_id)
    return screen(
        request,
        "pages/link.html",
        link={
            "id": row.id,
            "relation": row.relation.value,
            "status": row.status.value,
            "came": told.came(row),
            "created_at": row.created_at,
            "reason": row.reason,
            "confidence": row.confidence if row.origin == Origin.LINKER else None,
            "source": {"slug": row.source_slug, "title": row.source_title},
            "target": {"slug": row.target_slug, "title": row.target_title},
        },
        rows=_decided(session, stored.of_link(session, link_id)),
        back=f"/links/{link_id}/history",
    )


def _decided(session: Session, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Decisions as they are shown; only the last word on a link can be undone."""
    last = stored.undoable(session, {row.link_id for row in rows})
    batches = decisions.standing_in(session, {row.batch for row in rows if row.batch})
    return [
        {
            "id": row.id,
            "link": row.link_id,
            "at": row.at,
            "verdict": "undid" if row.undoes_id is not None else _verdict(row),
            "class": "" if row.undoes_id is not None else _verdict(row),
            "corrected": row.before.get("made") is not None,
            "reason": row.reason,
            "who": "" if row.who == "person" else row.who,
            "rule": rules.number_of(row.who),
            "undone": row.undone,
            "undone_at": row.undone_at,
            "undo": row.id in last and row.origin != Origin.AUTHOR and "lost" not in row.before,
            "batch_size": batches.get(row.batch, 1),
            "relation": row.relation.value,
            "source": {"slug": row.source_slug, "title": row.source_title},
            "target": {"slug": row.target_slug, "title": row.target_title},
        }
        for row in rows
    ]


def _verdict(row: Any) -> str:
    return str(told.VERDICTS.get(row.verdict, row.verdict.value))
