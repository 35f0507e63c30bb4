"""Review: the queue of what machines propose, decided by key, by button or in bulk; and undo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlmodel import Session

from app.domain.markdown import name_key, plain_text
from app.domain.merge import diff_lines
from app.domain.records import GONE, ChangeKind, LinkStatus, Page, Relation, Verdict
from app.errors import Invalid
from app.rendering import plain_title
from app.services import review
from app.store import (
    changes,
    concepts,
    decisions,
    edits,
    links,
    new_threads,
    pages,
    papers,
    record,
    rules,
    threads,
)
from app.store.db import LARGEST_ID
from app.web.deps import Form, Reads, TheApp, UnlessKnown, Writes, facts, fragments, text, whole
from app.web.memory import Facts
from app.web.routes.inbox import paper_rows
from app.web.routes.page import parts
from app.web.shares import kept_of, only_of
from app.web.templating import RELATION_WORDS, fragment, is_partial, plural, untagged, written
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)

_TABS = ("links", "concepts", "tension", "decided")
_SORTS = (("confidence", "confidence"), ("newest", "newest"), ("page", "paper"))
_DONE = {
    Verdict.ACCEPT: "accepted",
    Verdict.REJECT: "rejected",
    Verdict.DEFER: "put off",
    Verdict.KEEP: "kept",
    Verdict.DROP: "dropped",
}
SURE = 0.9
DECIDED = 100


@router.get("/review", dependencies=[UnlessKnown])
def queue(request: Request, session: Reads, app: TheApp) -> Response:
    query = request.query_params
    tab = query.get("tab", "links")
    tab = tab if tab in _TABS else "links"
    known = facts(request)
    context: dict[str, Any] = {
        "tab": tab,
        "counts": counts(request, session),
        "threads": [],
        "sorts": [],
        "calibration": "",
        "week": None,
        "more": None,
        "relations": [relation.value for relation in Relation],
        "changing": whole(query.get("changing", ""), 0) or None,
        "bulk": None,
        "confirm": None,
        "rows": [],
    }
    if tab == "decided":
        before = whole(query.get("before", ""), 0, most=LARGEST_ID)
        only, context["only"] = only_of(session, query)
        rows = decisions.recent(session, limit=DECIDED + 1, before=before, only=only)
        context["rows"] = decided_rows(session, rows[:DECIDED])
        if rows[DECIDED:]:
            older = {"tab": "decided", **kept_of(query), "before": rows[DECIDED - 1].id}
            context["more"] = f"/review?{urlencode(older)}"
        name = "review/_decided_rows.html" if is_partial(request) else "review/page.html"
        return screen(request, name, **context)
    if tab == "concepts":
        return _concepts(request, session, app, context)
    kept = {name: query[name] for name in ("thread", "sort") if query.get(name)}
    if tab != "links":
        kept["tab"] = tab
    number = whole(query.get("page", ""), 1, least=1, most=10_000)
    after = whole(query.get("after", ""), 0)
    further = is_partial(request) and number > 1
    found = links.proposals(
        session,
        thread=kept.get("thread", ""),
        sort=kept.get("sort", "confidence"),
        tension=tab == "tension",
        status=LinkStatus.DEFERRED if kept.get("sort") == "later" else LinkStatus.PROPOSED,
        after=after,
        limit=links.PAGE_SIZE + 1,
        offset=0 if after else (number - 1) * links.PAGE_SIZE,
    )
    shown = found[: links.PAGE_SIZE]
    near = links.resembled(session, shown)
    context["rows"] = rows = [
        _written(
            request,
            row,
            near[row.id],
            changing=context["changing"],
            open=at == 0 and not further,
        )
        for at, row in enumerate(shown)
    ]
    if len(found) > links.PAGE_SIZE:
        more = {**kept, "page": number + 1, "after": shown[-1].id}
        context["more"] = f"/review?{urlencode(more)}"
    if further:
        return screen(request, "review/_rows.html", **context)
    context["sorts"] = [
        {
            "words": words,
            "url": f"/review?{urlencode({**kept, 'sort': name})}",
            "current": kept.get("sort", "confidence") == name,
        }
        for name, words in (*_SORTS, *_put_off(known, session, tab))
    ]
    context["threads"] = _threads(known, session, kept)
    context["week"] = None if rows else _week(request, session, app)
    if rows:
        context["calibration"] = _calibration(known, session, found[0].confidence)
    if query.get("sure"):
        context["confirm"] = _confirm(session, kept, tab)
    elif tab == "links" and kept.get("sort") != "later" and rows and shown[0].confidence >= SURE:
        where = "in this thread" if kept.get("thread") else "in the queue"
        context["bulk"] = {
            "words": f"Accept all above {SURE} {where}",
            "url": f"/review?{urlencode({**kept, 'sure': 1})}",
        }
    return screen(request, "review/page.html", **context)


def _concepts(request: Request, session: Session, app: Any, context: dict[str, Any]) -> Response:
    """The changes that wait: concepts to write, to put together and to take apart."""
    query = request.query_params
    later = query.get("sort") == "later"
    after = whole(query.get("after", ""), 0, most=LARGEST_ID)
    found = changes.waiting(
        session,
        status=LinkStatus.DEFERRED if later else LinkStatus.PROPOSED,
        after=after,
        limit=changes.PAGE_SIZE + 1,
    )
    shown = found[: changes.PAGE_SIZE]
    context["rows"] = rows = [
        _written_change(request, row, open=at == 0 and not after)
        for at, row in enumerate(change_rows(session, shown))
    ]
    kept = {"tab": "concepts", **({"sort": "later"} if later else {})}
    if found[changes.PAGE_SIZE :]:
        context["more"] = f"/review?{urlencode({**kept, 'after': shown[-1].id})}"
    if after and is_partial(request):
        return screen(request, "review/_rows.html", **context)
    put_off = facts(request).get(
        session,
        "changes put off",
        lambda: changes.count(session, LinkStatus.DEFERRED),
        of=("change",),
    )
    sorts = [("confidence", "confidence", False)]
    sorts += [("later", f"put off ({put_off})", True)] if put_off or later else []
    context["sorts"] = [
        {
            "words": words,
            "url": "/review?tab=concepts" + (f"&sort={name}" if put else ""),
            "current": put == later,
        }
        for name, words, put in sorts
    ]
    context["week"] = None if rows else _week(request, session, app)
    return screen(request, "review/page.html", **context)


def _written_change(request: Request, row: Mapping[str, Any], *, open: bool) -> Markup:
    return fragments(request).get(
        ("change", open, repr(row)),
        lambda: written(request, "review/_change.html", row=row, open=open),
    )


def change_rows(session: Session, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Changes as the queue shows them, with their papers; two statements, however many rows."""
    members = {row.id: _papers_of(row) for row in rows}
    named = links.named(session, {page_id for some in members.values() for page_id in some})
    sides = {page_id for row in rows for page_id in (row.source_id, row.target_id) if page_id}
    papers_of = concepts.paper_counts(session, sides) if sides else {}
    return [
        {
            "id": f"c{row.id}",
            "change": row.kind.value,
            "title": row.title,
            "aliases": [str(name) for name in row.content.get("aliases", [])],
            "body": plain_text(str(row.content.get("body", ""))),
            "claim": str(row.content.get("claim", "")),
            "source": _side(row, "source", papers_of),
            "target": _side(row, "target", papers_of),
            "members": [
                {"id": page_id, **named[page_id], **_place(row, page_id)}
                for page_id in members[row.id]
                if page_id in named
            ],
            "confidence": row.confidence,
            "reason": row.reason,
            "signals": [str(signal.get("name", "")) for signal in row.signals[:3]],
            "evidence": [
                {
                    "parts": parts(str(e.get("quotation", "")), e.get("spans") or []),
                    "where": str(e.get("where", "")),
                    "verbatim": bool(e.get("verbatim")),
                    "page": str(e.get("page", "")),
                    "title": str(e.get("title", "")),
                }
                for e in row.evidence
            ],
            "edit": _edit(session, row) if row.kind == ChangeKind.EDIT else None,
            "failed": "",
        }
        for row in rows
    ]


def _edit(session: Session, row: Any) -> dict[str, Any]:
    """What an edit would change, line by line; why it cannot be made any more; what was struck."""
    page = session.get(Page, row.target_id) if row.target_id else None
    why = edits.refusal(session, page, row.content)
    lines = diff_lines(page.body, edits.edited(page.body, row.content)) if page and not why else []
    return {
        "why_not": why,
        "lines": [
            {"kind": each.kind.value, "parts": list(each.spans), "hidden": each.hidden}
            for each in lines
        ],
        "struck": [
            {"text": str(each.get("text", "")), "reason": str(each.get("struck", ""))}
            for each in row.content.get("struck", [])
        ],
        "author": str(row.content.get("author", {}).get("name", "")),
    }


def _papers_of(row: Any) -> list[int]:
    """The papers a change would move or link; of a merge those that both pages hold."""
    if row.kind == ChangeKind.THREAD:
        return list(new_threads.pages_of(row.content))
    found = row.content.get("shared" if row.kind == ChangeKind.MERGE else "members", [])
    return [int(each) for each in found if isinstance(each, int)]


def _place(row: Any, page_id: int) -> dict[str, str]:
    """What a paper would be in a proposed thread: its role and day; nothing in other changes."""
    if row.kind != ChangeKind.THREAD:
        return {}
    [place] = [each for each in row.content["members"] if each.get("page") == page_id][:1]
    return {name: str(place.get(name, "")) for name in ("role", "day")}


def _side(row: Any, side: str, papers_of: Mapping[int, int]) -> dict[str, Any] | None:
    page_id = getattr(row, f"{side}_id")
    if page_id is None:
        return None
    return {
        "slug": getattr(row, f"{side}_slug"),
        "title": getattr(row, f"{side}_title"),
        "papers": papers_of.get(page_id, 0),
    }


def _put_off(known: Facts, session: Session, tab: str) -> tuple[tuple[str, str], ...]:
    """The view of what was put off, where anything was."""
    tension = tab == "tension"
    count = known.get(
        session,
        ("links put off", tension),
        lambda: links.count(session, LinkStatus.DEFERRED, tension=tension),
        of=("link",),
    )
    return (("later", f"put off ({count})"),) if count else ()


def _written(
    request: Request,
    row: Any,
    resembles: Sequence[Mapping[str, str]],
    *,
    changing: int | None,
    open: bool,
) -> Markup:
    """A proposal as HTML; written once, since most of the queue is as it was at the last look."""
    changes = changing == row.id
    return fragments(request).get(
        # A row's own words leave out what is long.
        ("review", changes, open, repr((*row, *resembles))),
        lambda: written(
            request,
            "review/_link.html",
            row=row_of(row, resembles),
            open=open,
            changing=row.id if changes else None,
            relations=list(Relation),
        ),
    )


def row_of(row: Any, resembles: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """A proposal as the queue shows it, with the pages it resembles."""
    relation = row.relation.value
    return {
        "id": row.id,
        "source": {
            "slug": row.source_slug,
            "title": row.source_title,
            "kind": row.source_kind.value,
        },
        "target": {
            "slug": row.target_slug,
            "title": row.target_title,
            "kind": row.target_kind.value,
        },
        "relation": relation,
        "relation_words": RELATION_WORDS.get(relation, relation),
        "confidence": row.confidence,
        "reason": row.reason,
        "signals": [str(signal.get("name", "")) for signal in row.signals[:3]],
        "evidence": [
            {
                "parts": parts(str(e.get("quotation", "")), e.get("spans") or []),
                "where": str(e.get("where", "")),
                "verbatim": bool(e.get("verbatim")),
            }
            for e in row.evidence
        ],
        "question": {"number": row.question_number, "text": row.question_text}
        if row.question_text
        else None,
        "resembles": resembles,
        "failed": "",
    }


def counts(request: Request, session: Session) -> dict[str, int]:
    """How many proposals wait on each tab."""
    return facts(request).get(session, "proposals", lambda: _counts(session), of=("change", "link"))


def _counts(session: Session) -> dict[str, int]:
    return {
        "links": links.count(session),
        "concepts": changes.count(session),
        "tension": links.count(session, tension=True),
    }


def _threads(known: Facts, session: Session, kept: dict[str, str]) -> list[dict[str, object]]:
    current = kept.get("thread", "")
    others = {k: v for k, v in kept.items() if k != "thread"}
    choices = [("", "all threads")]
    names = known.get(session, "thread names", lambda: threads.names(session), of=("page",))
    choices += [(slug, plain_title(title)) for slug, title in names]
    return [
        {
            "words": words,
            "url": f"/review?{urlencode({**others, **({'thread': slug} if slug else {})})}",
            "current": slug == current,
        }
        for slug, words in choices
    ]


def _calibration(known: Facts, session: Session, confidence: float) -> str:
    accepted, decided = known.get(
        session,
        ("accepted share", confidence),
        lambda: record.accepted_near(session, confidence),
        of=("decision",),
    )
    if decided < 5:
        return ""
    return f"accepted {round(100 * accepted / decided)}% of the last {decided} at this confidence"


def _week(request: Request, session: Session, app: Any) -> dict[str, int] | None:
    untagged(request)  # as the week moves on, the numbers change with nobody deciding anything
    verdicts = decisions.verdicts_since(session, app.clock() - timedelta(days=7))
    accepted = verdicts.get(Verdict.ACCEPT, 0)
    decided = accepted + verdicts.get(Verdict.REJECT, 0)
    if not decided:
        return None
    return {"decided": decided, "accepted": round(100 * accepted / decided)}


def _confirm(session: Session, kept: dict[str, str], tab: str) -> dict[str, object] | None:
    found = links.proposals(
        session,
        thread=kept.get("thread", ""),
        tension=tab == "tension",
        above=SURE,
        limit=review.MAX_BULK,
    )
    if not found:
        return None
    return {
        "count": len(found),
        "words": f"Accept all above {SURE}",
        "action": "accept",
        "ids": [row.id for row in found],
        "shown": [row_of(row) for row in found[:5]],
        "back": f"/review?{urlencode(kept)}" if kept else "/review",
    }


def decided_rows(session: Session, rows: Sequence[Any]) -> list[dict[str, object]]:
    """Rows of `decisions.recent` as the Decided tab shows them."""
    batches = decisions.standing_in(session, {row.batch for row in rows if row.batch})
    written = [row.change_title for row in rows if row.change_kind in _NEW]
    named = pages.resolve(session, written) if written else {}
    shown = []
    for row in rows:
        target = None
        if row.relation is not None:
            source = (row.source_slug, row.source_title, row.source_kind.value)
            target = (row.target_slug, row.target_title, row.target_kind.value)
        elif row.change_kind is not None:
            source, target = _decided_change(row, named)
        else:
            source = (row.paper_slug or "", row.paper_title or "a paper that is gone", "paper")
        shown.append(
            {
                "id": row.id,
                "verdict": _DONE[row.verdict],
                "at": row.at,
                "who": row.who,
                "rule": rules.number_of(row.who),
                "reason": row.reason,
                "batch_size": batches.get(row.batch, 0),
                "undone": row.undone,
                "source": dict(zip(("slug", "title", "kind"), source, strict=True)),
                "target": dict(zip(("slug", "title", "kind"), target, strict=True))
                if target
                else None,
                "relation": row.relation.value if row.relation else "",
                "what": _WHAT.get(row.change_kind, ""),
            }
        )
    return shown


_NEW = (ChangeKind.CONCEPT, ChangeKind.THREAD)
_WHAT = {
    ChangeKind.CONCEPT: "a new concept",
    ChangeKind.THREAD: "a new thread",
    ChangeKind.MERGE: "merged into",
    ChangeKind.SPLIT: "split into",
    ChangeKind.EDIT: "a new text",
    ChangeKind.REMOVE: "taken out of the wiki",
}


def _decided_change(row: Any, named: Mapping[str, Any]) -> tuple[Any, Any]:
    """Both sides of a decided change as (slug, title, kind); what has no page of its own no slug."""
    if row.change_kind == ChangeKind.EDIT and row.target_title is not None:
        return (row.target_slug, row.target_title, row.target_kind.value), None
    if row.source_title is None:
        page = named.get(name_key(row.change_title))
        kind = "thread" if row.change_kind == ChangeKind.THREAD else "concept"
        return (page.slug if page else "", row.change_title, kind), None
    if row.change_kind == ChangeKind.REMOVE:
        return (row.source_slug, row.source_title, row.source_kind.value), None
    sides = [
        (
            f"{slug}/history" if kind in GONE else slug or "",
            title or "a page that is gone",
            "concept",
        )
        for slug, title, kind in (
            (row.source_slug, row.source_title, row.source_kind),
            (row.target_slug, row.target_title, row.target_kind),
        )
    ]
    return sides[0], sides[1]


# ---------------------------------------------------------------- deciding


@router.post("/review/bulk")
def decide_many(request: Request, form: Form, session: Writes, app: TheApp) -> Response:
    ids = _named(form.getlist("id"))
    if not ids:
        raise Invalid("Select at least one proposal first.", fields={"id": "Nothing was selected."})
    verdict = review.verdict(text(form, "decision"), of="link")
    decided = review.decide_many(
        session, ids, verdict, now=app.clock(), reason=text(form, "reason")
    )
    number = len(decided.decisions)
    changed = any(each.change_id is not None for each in decided.decisions)
    words = f"{_DONE[verdict].capitalize()}: {plural(number, 'proposal' if changed else 'link')}"
    if decided.refused:
        words += f"; {len(decided.refused)} were decided elsewhere and stay as they are"
    return fragment(
        request,
        "review/_toast.html",
        url="/review",
        toast={"words": words, "undo": decided.decisions[0].id if decided.decisions else None},
        removed=[f"s{review.reference_of(each)}" for each in decided.decisions],
        restored=[],
        counts=_counts(session),
        papers=[],
        inbox=None,
    )


def _named(values: Sequence[Any]) -> list[review.Reference]:
    """The proposals that a form names; what names none is left out."""
    found = []
    for value in values:
        with suppress(Invalid):
            found.append(review.reference(str(value)))
    return found


@router.post("/review/{proposal}")
def decide(request: Request, proposal: str, form: Form, session: Writes, app: TheApp) -> Response:
    verdict = review.verdict(text(form, "decision"), of="link")
    relation = text(form, "relation").strip()
    try:
        wanted = Relation(relation) if relation else None
    except ValueError:
        names = ", ".join(each.value for each in Relation)
        raise Invalid(f"No relation is called {relation[:40]!r}. Use one of: {names}.") from None
    which = review.reference(proposal)
    title = " ".join(text(form, "title").split())
    if which.change:
        change = changes.row(session, which.number)
        retitled = title if verdict == Verdict.ACCEPT and change.kind in _NEW else ""
        about = retitled or change.title
    else:
        row = links.proposal(session, which.number)
        about = f"{plain_title(row.source_title)} → {plain_title(row.target_title)}"
    members = form.getlist("member") if "members" in form else None
    decision = review.decide(
        session,
        which,
        verdict,
        now=app.clock(),
        reason=text(form, "reason"),
        relation=wanted,
        target=text(form, "target"),
        title=title,
        claim=text(form, "claim"),
        members=None if members is None else [whole(str(each), 0) for each in members],
        swap=bool(text(form, "swap")),
    )
    return fragment(
        request,
        "review/_toast.html",
        url=_back(form, "/review?tab=concepts" if which.change else "/review"),
        toast={"words": f"{_DONE[verdict].capitalize()}: {about}", "undo": decision.id},
        removed=[],
        restored=[],
        counts=_counts(session),
        papers=[],
        inbox=None,
    )


@router.post("/decisions/{decision_id}/undo")
def undo(request: Request, decision_id: int, form: Form, session: Writes, app: TheApp) -> Response:
    taken_back = review.undo(session, decision_id, now=app.clock()).decisions
    rows = _restored(session, [d.link_id for d in taken_back if d.link_id is not None])
    changed = [d.change_id for d in taken_back if d.change_id is not None]
    rows += _restored_changes(session, changed)
    waiting = [d.paper_id for d in taken_back if d.paper_id and d.change_id is None]
    words = f"Undone: {len(taken_back)} decisions" if len(taken_back) > 1 else "Undone"
    return fragment(
        request,
        "review/_toast.html",
        url=_back(form, "/inbox" if waiting else "/review?tab=concepts" if changed else "/review"),
        toast={"words": words, "undo": None},
        removed=[],
        restored=rows,
        counts=_counts(session) if rows or changed else None,
        papers=paper_rows(session, waiting),
        inbox=papers.count(session) if waiting else None,
    )


def _restored(session: Session, link_ids: Sequence[int]) -> list[dict[str, Any]]:
    """The rows that an undo puts back into the queue, the surest last: each goes on top."""
    rows = [links.proposal(session, link_id) for link_id in link_ids[: links.PAGE_SIZE]]
    back = [row for row in rows if row.status in (LinkStatus.PROPOSED, LinkStatus.DEFERRED)]
    near = links.resembled(session, back)
    return [row_of(row, near[row.id]) for row in sorted(back, key=lambda row: row.confidence)]


def _restored_changes(session: Session, change_ids: Sequence[int]) -> list[dict[str, Any]]:
    rows = [changes.row(session, change_id) for change_id in change_ids[: changes.PAGE_SIZE]]
    back = [row for row in rows if row.status in (LinkStatus.PROPOSED, LinkStatus.DEFERRED)]
    return change_rows(session, sorted(back, key=lambda row: row.confidence))


def _back(form: Any, default: str) -> str:
    """Where a form without htmx returns to: a page of this wiki that it named, or the queue."""
    wanted = text(form, "next")
    return (
        wanted
        if wanted.startswith(("/w/", "/review", "/rules/", "/triage/", "/links/", "/activity"))
        and "//" not in wanted
        else default
    )
