"""What was, for programs and the command line: versions, who wrote what, differences, links, a page on a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, tzinfo
from typing import Any

from sqlmodel import Session

from app.domain.asof import as_of, end_of
from app.domain.blame import blame
from app.domain.merge import RowKind, diff_lines
from app.domain.records import Origin, Page, Revision, Verdict
from app.errors import Invalid, NotFound
from app.store import history as stored
from app.store import links, pages, past, rules
from app.store.db import LARGEST_ID
from app.store.past import Past

MOST_LINKS = 500  # of a side, of a page as it stood
REVISIONS = 50
PARAGRAPHS = 200

VERDICTS = {Verdict.ACCEPT: "accepted", Verdict.REJECT: "rejected", Verdict.DEFER: "put off"}
_ORIGINS = {Origin.LINKER: "the linker", Origin.MODEL: "a model", Origin.AGENT: "an agent"}


def day_of(text: str, today: date) -> date:
    """The day as of which is asked. Raises Invalid for none, no day, or one that is still to come."""
    if not text.strip():
        raise Invalid("Which day? Write it as in 2026-05-08.", fields={"asof": "Name a day."})
    return as_of(text, today)


# ---------------------------------------------------------------- revisions


def revisions(
    session: Session, page: Page, *, before: int = 0, limit: int = REVISIONS
) -> dict[str, Any]:
    """The versions of a page, newest first, without their texts; `next` is the `before` of the next part."""
    assert page.id is not None
    rows = pages.revisions(session, page.id, limit=limit + 1, before=before)
    older: Sequence[Any] = [*rows[1:], None]
    return {
        "page": page.slug,
        "version": page.version,
        "revisions": [
            {
                **_made(row),
                "title": row.title,
                "kind": row.kind.value,
                "characters": len(row.body),
                "changed": changed(last, row) if last is not None else [],
            }
            for row, last in zip(rows[:limit], older, strict=False)
        ],
        "next": rows[limit - 1].number if rows[limit:] else None,
    }


def revision(session: Session, page: Page, number: int) -> dict[str, Any]:
    """One version of a page, whole. Raises NotFound."""
    return {"page": page.slug, **_whole(_revision(session, page, number))}


def _revision(session: Session, page: Page, number: int) -> Revision:
    assert page.id is not None
    if not 0 < number <= page.version:
        raise NotFound(f"{page.title} has no version {number}: they go from 1 to {page.version}.")
    return pages.revision(session, page.id, number)


def _whole(row: Any) -> dict[str, Any]:
    return {
        **_made(row),
        "title": row.title,
        "kind": row.kind.value,
        "aliases": list(row.aliases),
        "tags": list(row.tags),
        "body": row.body,
    }


def _made(row: Any) -> dict[str, Any]:
    """A revision without what it says: its number, when, by whom and why."""
    return {
        "number": row.number,
        "at": row.at.isoformat(),
        "author_kind": row.author_kind.value,
        "author": row.author,
        "prompt": row.prompt,
        "note": row.note,
    }


def changed(before: Any, after: Any) -> list[str]:
    """The names of what two revisions say differently: body, title, kind, aliases, tags."""
    found = [
        name for name in ("body", "title", "kind") if getattr(before, name) != getattr(after, name)
    ]
    return found + [
        name
        for name in ("aliases", "tags")
        if set(getattr(before, name)) != set(getattr(after, name))
    ]


# ---------------------------------------------------------------- who wrote what


def blamed(
    session: Session, page: Page, *, start: int = 0, limit: int = PARAGRAPHS
) -> dict[str, Any]:
    """Each paragraph of a page's text with the revisions its words come from, the last one first.

    `oldest` is the first revision that was read: above 1, what that one is said to have written may
    be older. `next` is the `start` of the next part.
    """
    assert page.id is not None
    texts = stored.texts(session, page.id)
    found = blame(texts)
    part = found[start : start + limit]
    makers = stored.makers(session, page.id, {n for each in part for n in each.revisions})
    return {
        "page": page.slug,
        "version": page.version,
        "oldest": texts[0][0] if texts else 1,
        "paragraphs": [
            {
                "line": each.line,
                "text": each.text,
                "revisions": [_made(makers[n]) for n in each.revisions if n in makers],
            }
            for each in part
        ],
        "next": start + limit if start + limit < len(found) else None,
    }


# ---------------------------------------------------------------- differences


def difference(
    session: Session, page: Page, older: int | None = None, newer: int | None = None
) -> dict[str, Any]:
    """What changed between two revisions: the last two when none is named, from nothing for 0.

    Lines are same, added, removed, or a gap of `hidden` unchanged ones. Raises NotFound.
    """
    newer = page.version if newer is None else newer
    older = newer - 1 if older is None else older
    after = _revision(session, page, newer)
    before = _revision(session, page, older) if older else None
    return {
        "page": page.slug,
        "from": older,
        "to": newer,
        "fields": {
            name: {
                "from": _value(getattr(before, name)) if before else None,
                "to": _value(getattr(after, name)),
            }
            for name in (changed(before, after) if before else ("title", "kind"))
            if name != "body"
        },
        "lines": [
            {
                "kind": row.kind.value,
                "old": row.old_no,
                "new": row.new_no,
                **(
                    {"hidden": row.hidden}
                    if row.kind is RowKind.GAP
                    else {"parts": [{"text": t, "changed": c} for t, c in row.spans]}
                ),
            }
            for row in diff_lines(before.body if before else "", after.body)
        ],
    }


def _value(value: Any) -> Any:
    return list(value) if isinstance(value, list) else getattr(value, "value", value)


# ---------------------------------------------------------------- a page on a day


def then(
    session: Session, page: Page, day: date, zone: tzinfo | None, known: Past | None = None
) -> dict[str, Any]:
    """A page as it stood at the end of a day of `zone` (None: the system's): text, names and links.

    `known` is what was otherwise then, where the caller has it. Raises NotFound when it was not there yet.
    """
    assert page.id is not None
    moment = end_of(day, zone)
    found = stored.in_force(session, page.id, moment)
    if found is None:
        first = stored.first_at(session, page.id)
        since = f" It is here since {first.astimezone(zone).date()}." if first else ""
        raise NotFound(f"{page.title} was not there yet on {day.isoformat()}.{since}")
    otherwise = past.before(session, moment) if known is None else known
    outgoing, incoming = (
        stored.links_then(session, page.id, otherwise, outgoing=side, limit=MOST_LINKS)
        for side in (True, False)
    )
    return {
        "page": page.slug,
        "asof": day.isoformat(),
        **_whole(found),
        "links": [{"relation": row.relation.value, "target": row.slug} for row in outgoing],
        "backlinks": [{"relation": row.relation.value, "source": row.slug} for row in incoming],
    }


# ---------------------------------------------------------------- links


def decisions_of(
    session: Session, page: Page, *, before: int = 0, limit: int = 50
) -> dict[str, Any]:
    """What was decided of a page's links, newest first; `next` is the `before` of the next part."""
    assert page.id is not None
    rows = stored.of_page(session, page.id, limit=limit + 1, before=before)
    return {
        "page": page.slug,
        "decisions": [_decision(row) for row in rows[:limit]],
        "next": rows[limit - 1].id if rows[limit:] else None,
    }


def of_link(session: Session, link_id: int, *, before: int = 0, limit: int = 200) -> dict[str, Any]:
    """One link: where it comes from, how it stands, and what was decided of it, newest first.

    Raises NotFound.
    """
    row = link(session, link_id)
    rows = stored.of_link(session, link_id, limit=limit + 1, before=before)
    return {
        "id": row.id,
        "source": {"slug": row.source_slug, "title": row.source_title},
        "relation": row.relation.value,
        "target": {"slug": row.target_slug, "title": row.target_title},
        "status": row.status.value,
        "origin": row.origin.value,
        "came": came(row),
        "confidence": round(row.confidence, 6) if row.origin == Origin.LINKER else None,
        "reason": row.reason,
        "created_at": row.created_at.isoformat(),
        "decisions": [_decision(each) for each in rows[:limit]],
        "next": rows[limit - 1].id if rows[limit:] else None,
    }


def link(session: Session, link_id: int) -> Any:
    """A link as a row of `links.proposals`. Raises NotFound, saying where one of a text went."""
    if 0 < link_id <= LARGEST_ID:
        try:
            return links.proposal(session, link_id)
        except NotFound:
            pass
    raise NotFound(
        f"There is no link {link_id}. One that stood in a text goes with the words that said it: "
        "the history of that page has them."
    )


def came(row: Any) -> str:
    """Where a link comes from, in words."""
    match row.origin:
        case Origin.AUTHOR:
            return "written in the text of the page"
        case Origin.IMPORT:
            return "came with an import"
        case _:
            made = "put in" if row.origin == Origin.AGENT else "proposed"
            return f"{made} by {_ORIGINS[row.origin]}"


def _decision(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": row.at.isoformat(),
        "who": row.who,
        "rule": rules.number_of(row.who),
        "verdict": row.verdict.value,
        "reason": row.reason,
        "undoes": row.undoes_id,
        "undone": row.undone,
        "undone_at": row.undone_at.isoformat() if row.undone_at else None,
        "link": row.link_id,
        "relation": row.relation.value,
        "source": row.source_slug,
        "target": row.target_slug,
    }
