"""Proposals of new concepts, measured against the headings of curated lists.

    python -m bench terms [--list NAME ...] [--first 40] [--by-heading]

Each list of ../shared/data becomes a wiki of its papers with abstracts, without concepts, by the
command line. What waits in Review is printed for reading, one a line: confidence, papers, title,
other names, the quotation. Beside it stands how many of the list's own headings with five or more
papers are among the first 50 and 100 terms, by their keys (a heading counts by each of its parts:
"Pruning / Sparsity" is two). Headings are a harsh measure: most say how a list is filed, not what
its papers call things.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.domain import termhood, terms
from app.domain.termhood import Subject, Use
from bench.process import SHARED, cerebro, run

LISTS = ("LLM-Compression", "Awesome-Code-LLM", "Self-Evolving")
WANTED = 5  # papers of a heading
MOST_TERMS = 100
_PARTS = re.compile(r"[/&,:()]|\b(?:and|or|for|of|with)\b")


@dataclass(frozen=True)
class List:
    """A curated list: its papers with abstracts, and its headings with enough of them."""

    name: str
    papers: tuple[dict[str, Any], ...]
    headings: tuple[str, ...]


def lists(names: Sequence[str]) -> list[List]:
    """The lists whose name has one of these words; all of them without any."""
    folder = SHARED / "data"
    headings: dict[str, list[str]] = {}
    for row in _rows(folder / "lists" / "concepts.jsonl"):
        if row["with_abstract"] >= WANTED:
            headings.setdefault(row["list"], []).append(row["concept"])
    members: dict[str, set[str]] = {}
    for row in _rows(folder / "lists" / "paper_concepts.jsonl.gz"):
        members.setdefault(row["list"], set()).add(row["arxiv_id"])
    papers = {row["arxiv_id"]: row for row in _rows(folder / "papers.jsonl.gz")}
    return [
        List(
            name,
            tuple(papers[each] for each in sorted(ids) if papers.get(each, {}).get("abstract")),
            tuple(headings.get(name, ())),
        )
        for name, ids in sorted(members.items())
        if not names or any(word in name for word in names)
    ]


def _rows(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


def subjects(papers: Sequence[dict[str, Any]]) -> list[Subject]:
    """Every subject of these papers, best first, with no bound on how many."""
    uses = [
        Use(number, term.key, term.written, term.weight)
        for number, paper in enumerate(papers)
        for term in terms.terms(paper["title"], paper["abstract"])
    ]
    pairs: dict[str, set[int]] = {}
    for use in uses:
        if use.written.endswith(")"):
            pairs.setdefault(use.written, set()).add(use.paper)
    full = termhood.expansions((written, len(found)) for written, found in pairs.items())
    return termhood.subjects(uses, papers=len(papers), full=full)


def found(headings: Sequence[str], first: Sequence[Subject]) -> list[str]:
    """The headings of which a part is one of these subjects, by key or by another name."""
    keys = {key for each in first for key in (each.key, *each.keys)}
    keys |= {terms.term_key(name) for each in first for name in (each.title, *each.aliases)}
    return [
        heading
        for heading in headings
        if any(terms.term_key(part) in keys for part in (heading, *_PARTS.split(heading)))
    ]


def waiting(papers: Sequence[dict[str, Any]]) -> tuple[list[Any], float]:
    """What waits in Review in a wiki of these papers, surest first, and CPU ms a paper it took."""
    with TemporaryDirectory() as folder:
        data = Path(folder)
        settings = {"CEREBRO_EMBEDDING_MODEL": "none"}
        rows = (
            {
                "type": "paper",
                "id": f"arxiv:{paper['arxiv_id']}",
                "title": paper["title"],
                "abstract": paper["abstract"],
                "published": paper["date"],
            }
            for paper in papers
        )
        load = data / "load.jsonl"
        load.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        run(cerebro("migrate"), data, settings)
        _, idle = run(cerebro("worker", "--once"), data, settings)
        run(cerebro("import", str(load), "--format", "jsonl"), data, settings)
        _, spent = run(cerebro("worker", "--once"), data, settings)
        with sqlite3.connect(data / "cerebro.sqlite3") as connection:
            proposed = connection.execute(
                "SELECT confidence, title, content, evidence, reason FROM change "
                "WHERE kind = 'concept' AND status = 'proposed' ORDER BY confidence DESC, id DESC"
            ).fetchall()
    return proposed, 1000 * (spent - idle) / max(len(papers), 1)


def main(arguments: Sequence[str] = ()) -> None:
    asked = argparse.ArgumentParser(prog="python -m bench terms")
    asked.add_argument("--list", action="append", default=[], help="part of a list's name")
    asked.add_argument("--first", type=int, default=40, help="how many proposals are printed")
    asked.add_argument("--by-heading", action="store_true", help="name the headings not found")
    options = asked.parse_args(arguments)
    if not (SHARED / "data" / "lists").is_dir():
        print("The lists are not here; nothing was measured.")
        return
    for each in lists(options.list or LISTS):
        every = subjects(each.papers)
        proposed, cost = waiting(each.papers) if options.first else ([], 0.0)
        shares = ", ".join(
            f"{len(found(each.headings, every[:first]))} among the first {first}"
            for first in (50, MOST_TERMS)
        )
        print(
            f"\n-- {each.name}: {len(each.papers)} papers, {len(every)} subjects; of "
            f"{len(each.headings)} headings {shares}; {cost:.1f} CPU ms a paper"
        )
        if options.by_heading:
            missed = set(each.headings) - set(found(each.headings, every[:MOST_TERMS]))
            print("   not found: " + "; ".join(sorted(missed)))
        for confidence, title, content, _, reason in proposed[: options.first]:
            said = json.loads(content)
            names = "; ".join(said["aliases"])
            quotation = " ".join(said["body"].split())
            print(f"{confidence:.2f} {title} [{names}] | {reason} | {quotation[:300]}")


if __name__ == "__main__":
    main(sys.argv[1:])
