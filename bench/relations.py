"""Proposals between papers, and of papers to threads, printed for reading by eye: one a line.

    python -m bench relations [--list NAME ...] [--count 60]

A starter wiki is given the papers of some curated lists of ../shared/data by the command line, the
worker runs, and what then waits in Review of these relations is printed, evenly over all of it.
A line is: number, confidence, relation, target <- source, the reason, the first quotation. With
CEREBRO_EMBEDDING_MODEL=none it takes a minute less.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.domain.records import Relation
from app.domain.relations import RELATIONS
from bench.first_places import proposal_lines, spread, waiting_of_a_day
from bench.fit_linker import DATA

LISTS = ("KV-Cache", "AI-Memory")
_KINDS = {relation.value for relation in (*RELATIONS, Relation.PART_OF)}


def papers_of(data: Path, lists: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The papers of these lists that have an abstract, as lines of interchange, by their numbers."""
    wanted = {
        row["arxiv_id"]
        for row in _rows(data / "lists" / "paper_concepts.jsonl.gz")
        if row["has_abstract"] and any(name in row["list"] for name in lists)
    }
    known = {row["arxiv_id"]: row for row in _rows(data / "papers.jsonl.gz")}
    for number in sorted(wanted & known.keys()):
        yield {
            "type": "paper",
            "id": f"arxiv:{number}",
            "title": known[number]["title"],
            "abstract": known[number]["abstract"],
            "published": f"20{number[:2]}-{number[2:4]}",
        }


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def main(arguments: Sequence[str] = ()) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench relations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="append", help="lists whose name holds this")
    parser.add_argument("--count", type=int, default=60, help="lines to print")
    parser.add_argument("--data", type=Path, default=DATA)
    given = parser.parse_args(arguments)
    if not given.data.exists():
        print(f"There is no data at {given.data}; nothing was read.")
        return
    papers = list(papers_of(given.data, given.list or LISTS))
    if not papers:
        sys.exit("No list with papers is named like that: see the table in the data's README.")
    waiting = [row for row in waiting_of_a_day(papers) if row.get("relation") in _KINDS]
    waiting.sort(key=lambda row: (row["relation"], -float(row["confidence"])))
    print(f"{len(papers)} papers and the starter wiki: {len(waiting)} proposals")
    for line in proposal_lines(spread(waiting, given.count)):
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
