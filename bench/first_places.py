"""What the linker puts first, printed for reading by eye: one proposal a line.

    python -m bench first_places [--list NAME ...] [--count 100] [--weights-of-fold DIR]
    python -m bench first_places --starter 2026-05-11

The first reads curated lists of ../shared/data, half linked, as the evaluation does, in process:
the best concept of each later paper, by weights that have not seen its list (those that
`python -m bench.fit_linker --fold-dir DIR` wrote). The second gives the starter wiki one day of
kept papers by the command line and prints every proposal of every kind.
A line is: number, confidence, what is proposed, the reason, the first quotation; the list's own
answer comes last, behind a bar, so that it can be cut off before one judges.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from app.domain import evidence
from app.domain.confidence import Weights
from app.domain.linking import Candidate, rank
from bench import fit_linker
from bench.fit_linker import CuratedList
from bench.process import ROOT, cerebro, run

LISTS = ("Code-LLM", "Long-Context", "LLM-Agents-Papers")
SURE = (0.0, 0.3, 0.5)
Thing = TypeVar("Thing")


@dataclass(frozen=True)
class FirstPlace:
    """The best concept of one paper. `agreed` are the concepts that the list gives the paper."""

    candidate: Candidate
    concept: str
    title: str
    reason: str
    quotation: str
    agreed: tuple[str, ...]

    @property
    def right(self) -> bool:
        return self.concept in self.agreed


def first_places(each: CuratedList, weights: Weights) -> list[FirstPlace]:
    """Of every paper of the second half, the true links of earlier parts being accepted."""
    half = len(each.papers) // 2
    accepted = each.links(each.papers[:half])
    found: list[FirstPlace] = []
    for start, end in fit_linker.parts(each):
        knowledge = each.knowledge(end, accepted, weights)
        found += [_read(each, one) for one in rank(range(start, end), knowledge, limit=1)]
        accepted = accepted | each.links(each.papers[start:end])
    return found


def _read(each: CuratedList, candidate: Candidate) -> FirstPlace:
    concepts = {concept.id: concept for concept in each.concepts}
    concept, paper = concepts[candidate.concept], each.papers[candidate.paper]
    quoted = evidence.quotations(paper, concept, candidate.signals)
    return FirstPlace(
        candidate=candidate,
        concept=concept.name,
        title=paper.title,
        reason=evidence.reason(
            candidate, paper, concept, [each.papers[like].title for like in candidate.resembles]
        ),
        quotation=quoted[0].text if quoted else "",
        agreed=tuple(sorted(concepts[c].name for p, c in each.gold if p == paper.id)),
    )


def spread(things: Sequence[Thing], count: int) -> list[Thing]:
    """So many of the things, evenly over the whole; all of them where there are fewer."""
    if len(things) <= count:
        return list(things)
    return [things[at * len(things) // count] for at in range(count)]


def one_line(text: str) -> str:
    """The text without line breaks, and without the bar that parts the columns."""
    return " ".join(text.replace("|", "/").split())


def lines(places: Sequence[FirstPlace]) -> Iterator[str]:
    """One line a first place, then the share that the list agrees with, by confidence."""
    for number, each in enumerate(places, start=1):
        mark = "=" if each.right else "x"
        parts = (
            f"{number:3d} {each.candidate.confidence:.2f} {each.concept} <- {each.title}",
            each.reason,
            f'"{each.quotation}"' if each.quotation else "(nothing quoted)",
            f"{mark} {'; '.join(each.agreed)}",
        )
        yield " | ".join(one_line(part) for part in parts)
    for least in SURE:
        some = [each for each in places if each.candidate.confidence >= least]
        right = sum(each.right for each in some)
        share = f"{right / len(some):.2f}" if some else "-"
        yield f"confidence from {least}: {len(some)} first places, the list agrees with {share}"


def weights_of(folder: Path | None, name: str) -> Weights:
    """The weights that have not seen a list; without a folder the shipped ones, which have."""
    if folder is None:
        path = ROOT / "app" / "domain" / "linker_weights.json"
    else:
        folds = json.loads((folder / "folds.json").read_text(encoding="utf-8"))
        path = folder / f"fold-{folds[name]}.json"
    return Weights.parse(path.read_text(encoding="utf-8"))


# ---------------------------------------------------------------- the starter wiki's day


def kept_of(data: Path, day: str) -> list[dict[str, Any]]:
    """The papers that one reader's triage kept on a day, as lines of interchange."""
    path = data / "triage" / f"arxiv_triage_{day}.jsonl.gz"
    if not path.is_file():
        days = sorted(each.name[13:23] for each in path.parent.glob("arxiv_triage_*.jsonl.gz"))
        sys.exit(f"There is no day {day!r} in {path.parent}. Days: {', '.join(days)}.")
    with gzip.open(path, "rt", encoding="utf-8") as text:
        rows = [json.loads(line) for line in text]
    return [
        {
            "type": "paper",
            "id": f"arxiv:{row['arxiv_id']}",
            "title": row["title"],
            "abstract": row["abstract"],
            "published": day,
        }
        for row in rows
        if row["selected"] and row["abstract"]
    ]


def waiting_of_a_day(papers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What waits in Review when a starter wiki has met these papers: `cerebro review --json`."""
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        file = Path(folder) / "day.jsonl"
        file.write_text("\n".join(map(json.dumps, papers)), encoding="utf-8")
        run(cerebro("migrate"), data)
        run(cerebro("import", str(ROOT / "wiki")), data)
        run(cerebro("import", str(file)), data)
        run([sys.executable, "-m", "bench.kept_vectors", "worker", "--once"], data)
        said, _ = run(cerebro("review", "--json"), data)
        return [json.loads(line) for line in said.splitlines()]


def proposal_lines(waiting: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One line a proposal of any kind, then how many there are of each."""
    counted: dict[str, int] = {}
    for number, row in enumerate(waiting, start=1):
        kind = str(row.get("relation") or row.get("kind") or "?")
        counted[kind] = counted.get(kind, 0) + 1
        evidence_of = row.get("evidence") or [{}]
        first = evidence_of[0]
        quoted = str(first.get("quotation") or first.get("quote") or first.get("text") or "")
        parts = (
            f"{number:3d} {float(row.get('confidence') or 0):.2f} {kind}: {_sides(row)}",
            str(row.get("reason") or ""),
            f'"{quoted}"' if quoted else "(nothing quoted)",
        )
        yield " | ".join(one_line(part) for part in parts)
    yield "; ".join(f"{kind}: {count}" for kind, count in sorted(counted.items()))


def _sides(row: dict[str, Any]) -> str:
    source = row.get("source_title") or row.get("source") or row.get("title") or ""
    target = row.get("target_title") or row.get("target") or ""
    return f"{target} <- {source}" if target else str(source)


def main(arguments: Sequence[str] = ()) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench first_places",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="append", help="lists whose name holds this")
    parser.add_argument("--count", type=int, default=100, help="first places over all lists")
    parser.add_argument("--weights-of-fold", type=Path, help="what bench.fit_linker wrote")
    parser.add_argument("--starter", metavar="DAY", help="a day of papers in the starter wiki")
    parser.add_argument("--data", type=Path, default=fit_linker.DATA)
    parser.add_argument("--cache", type=Path, default=fit_linker.CACHE)
    given = parser.parse_args(arguments)
    if not given.data.exists():
        print(f"There is no data at {given.data}; nothing was read.")
        return
    if given.starter:
        for line in proposal_lines(waiting_of_a_day(kept_of(given.data, given.starter))):
            print(line)
        return
    wanted = given.list or LISTS
    every = list(fit_linker.read_lists(given.data))
    lists = [each for each in every if any(part in each.name for part in wanted)]
    if not lists:
        sys.exit(f"No list is named like that. Lists: {', '.join(each.name for each in every)}.")
    if given.weights_of_fold is None:
        print(
            "The shipped weights have seen these lists; name fold weights for figures that count."
        )
    for at, each in enumerate(fit_linker.with_vectors(lists, given.cache)):
        count = (at + 1) * given.count // len(lists) - at * given.count // len(lists)
        places = first_places(each, weights_of(given.weights_of_fold, each.name))
        print(f"\n== {each.name}: {len(each.concepts)} concepts, {len(places)} first places")
        for line in lines(spread(places, count)):
            print(line)
        print("of all its first places:")
        for line in list(lines(places))[-len(SURE) :]:
            print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
