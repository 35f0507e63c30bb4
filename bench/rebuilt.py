"""What of a wiki comes back from its vault alone: counted, by names, table by table.

python -m bench.rebuilt. Takes the wiki of CEREBRO_DATA as it is, brings its vault up to date, restores
the vault into a new folder, and compares the two: how many rows say the same, are missing, or are new.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.settings import load
from app.store.db import open_engine

_STANDING = "WITH standing AS (SELECT id, slug FROM page WHERE kind NOT IN ('merged', 'removed'))"
_STATEMENTS = {
    "pages": """SELECT slug, kind, title, body, version, author_kind, author, created_at, updated_at
        FROM page WHERE kind NOT IN ('merged', 'removed')""",
    "aliases": """SELECT own.slug, alias.name, alias.kind FROM alias
        JOIN standing AS own ON own.id = alias.page_id""",
    "tags": "SELECT own.slug, name FROM page_tag JOIN standing AS own ON own.id = page_id",
    "papers with a page": """SELECT own.slug, title, abstract, authors, venue, published, categories,
        "references", code_url, extra, state, created_at FROM paper
        JOIN standing AS own ON own.id = page_id""",
    "papers without a page that somebody decided": """SELECT title, state FROM paper
        WHERE page_id IS NULL AND state <> 'waiting'
        AND EXISTS (SELECT 1 FROM decision WHERE paper_id = paper.id AND NOT undone)""",
    "identifiers": """SELECT own.slug, scheme, value, versions FROM identifier
        LEFT JOIN paper ON paper.id = identifier.paper_id
        JOIN standing AS own ON own.id = coalesce(identifier.page_id, paper.page_id)""",
    "threads": "SELECT own.slug, claim, status FROM thread JOIN standing AS own ON own.id = page_id",
    "digests": """SELECT own.slug, day, framing, sections, ledger, teller, "key", struck, told_at, mailed_at
        FROM digest JOIN standing AS own ON own.id = page_id""",
    "episodes": """SELECT own.slug, source."key", source.name, published, minutes, ai_generated, takeaways,
        chapters FROM episode JOIN standing AS own ON own.id = page_id
        JOIN source ON source.id = source_id""",
    "questions": """SELECT own.slug, number, text, state, day, in_text, withdrawn FROM question
        JOIN standing AS own ON own.id = page_id""",
    "predictions": """SELECT own.slug, text, made, due, probability, state, resolved, resolution, evidence,
        origin, created_at FROM prediction JOIN standing AS own ON own.id = page_id""",
    "decided links": """SELECT own.slug, relation, other.slug, role, note, day, status, origin, confidence,
        reason, evidence, signals, created_at, decided_at FROM link
        JOIN standing AS own ON own.id = source_id JOIN standing AS other ON other.id = target_id
        WHERE status <> 'proposed'""",
    "red links": """SELECT own.slug, "key", name, relation, sentence FROM red_link
        JOIN standing AS own ON own.id = page_id""",
    "searchable texts": """SELECT own.slug, page_text.title, names, text, hash FROM page_text
        JOIN standing AS own ON own.id = page_id""",
    "decisions about links": """SELECT decision.id, at, who, verdict, decision.reason, batch, undone, undoes_id,
        agreed, superseded, decision.confidence, signal, decision.kind, own.slug, relation, other.slug
        FROM decision JOIN link ON link.id = link_id
        JOIN standing AS own ON own.id = source_id JOIN standing AS other ON other.id = target_id""",
    "decisions about papers": """SELECT decision.id, at, who, verdict, reason, batch, undone, undoes_id, title
        FROM decision JOIN paper ON paper.id = paper_id WHERE change_id IS NULL""",
    "decisions about other proposals": """SELECT decision.id, at, who, verdict, decision.reason, undone,
        change.kind, change.title FROM decision JOIN change ON change.id = change_id""",
    "revisions": """SELECT own.slug, number, title, body, author_kind FROM revision
        JOIN standing AS own ON own.id = page_id""",
    "proposals that wait": """SELECT own.slug, relation, other.slug FROM link
        JOIN standing AS own ON own.id = source_id JOIN standing AS other ON other.id = target_id
        WHERE status = 'proposed'""",
    "papers that wait": "SELECT title FROM paper WHERE state = 'waiting'",
}


def _rows(connection: Connection, statement: str) -> list[tuple[str, ...]]:
    return sorted(
        tuple(map(str, row)) for row in connection.execute(sa.text(f"{_STANDING} {statement}"))
    )


def compare(
    one: str, other: str, *, tell: Callable[[str], None] = print, show: int = 0
) -> dict[str, tuple[int, int, int]]:
    """Rows that are the same, missing in the other database, and new in it, by what they are."""
    found: dict[str, tuple[int, int, int]] = {}
    with open_engine(one).connect() as first, open_engine(other).connect() as second:
        for name, statement in _STATEMENTS.items():
            had, has = _rows(first, statement), _rows(second, statement)
            same = len(set(had) & set(has))
            found[name] = same, len(set(had)) - same, len(set(has)) - same
            tell(f"{name:<44} {same:>6} same {found[name][1]:>6} missing {found[name][2]:>6} new")
            _show(set(had) - set(has), set(has) - set(had), show, tell)
    return found


def _show(
    missing: Iterable[tuple[str, ...]],
    new: Iterable[tuple[str, ...]],
    most: int,
    tell: Callable[[str], None],
) -> None:
    for sign, rows in (("-", sorted(missing)), ("+", sorted(new))):
        for row in rows[:most]:
            tell(f"    {sign} {' | '.join(cell[:60] for cell in row)}")


def _run(*words: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 3):
        sys.exit(f"{' '.join(words)}: {done.stderr.strip()}")
    return f"{done.stdout.strip()}\n{done.stderr.strip()[-600:]}".strip()


def main(show: Any = 0) -> None:
    settings = load()
    print(_run("sync"))
    with tempfile.TemporaryDirectory() as place:
        print(
            _run(
                "rebuild", "--from", str(settings.vault_path), CEREBRO_DATA=place, CEREBRO_VAULT=""
            )
        )
        other = f"sqlite:///{next(Path(place).glob('*.sqlite3'))}"
        compare(settings.url, other, show=int(show))


if __name__ == "__main__":
    main(*sys.argv[1:])
