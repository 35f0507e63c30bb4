"""Searches of one wiki in more detail: words by how many pages have them, operators, filters, typing.

Run as `python -m bench.search [pages] [sqlite|postgresql]`. Milliseconds are of CPU, the median of
three runs, the database's own included. On SQLite the floor is the ranking alone: the same match,
by bm25, of the best twenty through the plain driver.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import sqlalchemy as sa
from sqlmodel import Session

from app.domain.queries import Filters, parse_query
from app.domain.words import STOP
from app.services.search import search
from app.store.db import reading
from app.store.search import RANKED, Matched, complete, facets, match, near_titles
from bench import built
from bench.measuring import Cost, Run

EACH = 5  # searches of a kind
SHARES = {"common": 0.3, "middling": 0.05, "rare": 0.002}


def words(run: Run, session: Session, pages: int) -> dict[str, list[str]]:
    """Words of the wiki by about which share of the pages has them."""
    known = [word for word in run.language.words[:5_000] if word not in STOP and len(word) > 3]
    held = {word: match(session, parse_query(word), Filters()).total for word in known[::7]}
    return {
        name: sorted(held, key=lambda word: abs(held[word] - share * pages))[:EACH]
        for name, share in SHARES.items()
    }


def asked(known: dict[str, list[str]]) -> dict[str, list[str]]:
    """Searches by what they are like."""
    common, middling, rare = (known[name] for name in SHARES)
    pairs = list(zip(middling, reversed(middling), strict=True))[: EACH // 2]
    mixed = list(zip(common, middling, rare, strict=True))
    return {
        "one common word": common,
        "one middling word": middling,
        "one rare word": rare,
        "two words, AND": [f"{a} {b}" for a, b in pairs],
        "three words": [" ".join(each) for each in mixed],
        "two rare words, OR": [f"{a} {b}" for a, b in pairwise(rare)],
        "a phrase": [f'"{a} {b}"' for a, b, _ in mixed],
        "an exclusion": [f"{a} -{b}" for a, b, _ in mixed],
        "title:": [f"title:{word}" for word in common],
        "kind:concept": [f"kind:concept {word}" for word in common],
        "kind:paper": [f"kind:paper {word}" for word in common],
        "a year": [f"year:2026 {word}" for word in common],
        "filters alone": ["kind:paper", "kind:concept"],
        "a year alone": ["year:2026"],
    }


def floor(run: Run, texts: list[str]) -> Cost | None:
    """The ranking alone, of plain words."""
    if run.wiki.file is None or any(sign in text for text in texts for sign in ':-"'):
        return None
    raw = sqlite3.connect(f"file:{run.wiki.file}?mode=ro", uri=True)
    try:
        return run.cost(
            lambda text: raw.execute(
                """SELECT rowid, bm25(page_fts, 5, 3, 1) AS rank FROM page_fts
                WHERE page_fts MATCH ? ORDER BY rank LIMIT 20""",
                [" AND ".join(f'"{word}"' for word in text.split())],
            ).fetchall(),
            texts,
        )
    finally:
        raw.close()


def measured(run: Run, session: Session, pages: int) -> Iterator[tuple[str, Cost, Cost | None]]:
    """Rows of the table: what was measured, its cost, and the floor where there is one."""
    known = words(run, session, pages)

    def matching(text: str) -> Matched:
        query = parse_query(text)
        return match(session, query, query.filters)

    def lost(text: str) -> object:
        return near_titles(session, parse_query(text), Filters())

    for name, texts in asked(known).items():
        if not name.endswith("alone"):
            yield f"match, {name}", run.cost(matching, texts), floor(run, texts)
        yield f"search, {name}", run.cost(partial(search, session, mode="words"), texts), None
    best = [[page_id for page_id, _ in matching(text).ranked] for text in known["common"]]
    yield f"facets of {RANKED:,}", run.cost(partial(facets, session), best), None
    yield "no words", run.cost(partial(search, session), [""]), None
    common = known["common"]
    typed: dict[str, list[str]] = {
        "1 letter": sorted({word[0] for word in common}),
        "2 letters": sorted({word[:2] for word in common}),
        "4 letters": sorted({word[:4] for word in common}),
        "a word and a beginning": [f"{a} {b[:3]}" for a, b in pairwise(common)],
        "nothing there": ["qqqq"],
        "no text": [""],
    }
    for name, texts in typed.items():
        yield f"palette, {name}", run.cost(partial(complete, session), texts), None
    swapped = [
        " ".join(w[:2] + w[3] + w[2] + w[4:] for w in some[:2]) for some in run.titles[:EACH]
    ]
    yield "a mistyped title", run.cost(lost, swapped), None


def main(pages: int = 10_000, database: str = "sqlite") -> None:
    """Print a table; the wiki is kept for the next time."""
    with built.opened(pages, database) as wiki, reading(wiki.engine) as session:
        run = Run(wiki)
        count = session.connection().execute(sa.text("SELECT COUNT(*) FROM title_word")).scalar()
        print(
            f"{pages:,} pages on {database}, {count:,} words of titles; CPU ms: p50, worst, floor"
        )
        for name, cost, least in measured(run, session, pages):
            beside = f"{least.p50:9.2f}" if least else ""
            print(f"{name:32}{cost.p50:9.2f}{cost.values and max(cost.values):9.2f}{beside}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, *sys.argv[2:3])
