"""Where a paper was met, as its page and the API tell it."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from app.domain.independence import Met
from app.domain.met import Entry, lag, lag_in_words, standings, state_in_words
from app.domain.records import Relation, Stance
from app.domain.stance import said_of
from app.domain.tiers import CROSS_SOURCE
from app.store import items, papers

OPEN, FOLDED = 6, 40  # mentions that are shown, and that are there when it is unfolded
_TEXT = (3_000, 400)  # signs of one that are shown, and of a folded one


def told(session: Session, paper: Any, *, limit: int = OPEN + FOLDED) -> dict[str, Any]:
    """Where a paper was met: `standing` (the entries that are it), `said` (what was said of it, the
    newest first), `said_total`, and `sources`, the independent ones, when it is cross-source.

    `paper` has id, title, published. A constant number of statements.
    """
    listed = items.first_listed(session, paper.id)
    rows = items.mentions_of(session, paper.id, limit=limit)
    total = len(rows) if len(rows) < limit else items.count_mentions(session, paper.id)
    entries = items.entries_of(session, paper.id)
    sources = papers.sources_of(session, [paper.id])[paper.id] if rows or entries else []
    names = (paper.title, *(value for _, value in papers.identifier_rows(session, paper.id)))
    return {
        "standing": [
            {"words": each.words, "day": each.day, "url": _outside(each.url)}
            for each in standings(map(_entry, entries), listed=listed)
        ],
        "said": [
            _said(row, names, lag(_day(row), paper.published, listed), _TEXT[at >= OPEN])
            for at, row in enumerate(rows)
        ],
        "said_total": total,
        "open": OPEN,
        "sources": sources if len(sources) >= CROSS_SOURCE else [],
    }


def _entry(row: Any) -> Entry:
    place = Met(row.name, row.kind, row.format, row.url, row.site)
    day = row.published[:10] or row.received_at.date().isoformat()
    return Entry(place, row.key, day, row.state or {})


def _day(row: Any) -> str:
    """The day on which it was said, '' where nobody knows."""
    return str(row.day or row.published[:10])


def _said(row: Any, names: tuple[str, ...], days: int | None, most: int) -> dict[str, Any]:
    """A row of `items.mentions_of` as pages/_said.html shows it; `names` are the paper's."""
    where = [each for each in (row.item_title, row.section) if each]
    text = row.text if len(row.text) <= most else f"{row.text[:most].rstrip()}\u2026"
    return {
        "where": ", ".join(dict.fromkeys(where)) or row.origin,
        "url": f"/w/{row.page_slug}" if row.page_slug else _outside(row.url),
        "day": _day(row),
        "source": row.source_name or row.origin,
        "relation": Relation(row.relation).value if row.relation else "",
        "state": state_in_words(row.state or {}),
        "stance": row.stance.value if row.stance else "",
        "lag": days,
        "lag_words": lag_in_words(days),
        "tier": row.tier,
        "tier_reason": row.tier_reason,
        "text": text,
        "marked": _marked(text, row.stance, names),
        "why_it_matters": row.why_it_matters,
    }


def _marked(text: str, stance: Stance | None, names: tuple[str, ...]) -> list[tuple[str, bool]]:
    """A sentence in pieces, with the words that say its stance marked; [] where none do."""
    found = said_of(text, names) if stance else None
    if found is None or found.stance != stance:
        return []
    pieces, at = [], 0
    for start, end in found.spans:
        pieces += [(text[at:start], False), (text[start:end], True)]
        at = end
    return [piece for piece in (*pieces, (text[at:], False)) if piece[0]]


def _outside(url: str) -> str:
    """An address that a link may lead to; '' for anything else."""
    return url if url.startswith(("https://", "http://")) else ""


def as_json(session: Session, paper: Any) -> dict[str, Any]:
    """The same for programs: at most a hundred mentions."""
    found = told(session, paper, limit=100)
    fields = (
        *("where", "url", "day", "source", "relation", "state", "stance", "lag", "tier"),
        *("tier_reason", "text", "why_it_matters"),
    )
    return {
        "standing": found["standing"],
        "sources": found["sources"],
        "mentions": [{name: each[name] for name in fields} for each in found["said"]],
        "mentions_total": found["said_total"],
    }
