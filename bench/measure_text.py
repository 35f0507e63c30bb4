"""Figures of real titles, abstracts and lists, for the made-up wikis of bench/wiki.py.

Run as `python -m bench.measure_text`, it reads the papers and lists beside this checkout and writes
bench/text.json: counts, shares and fitted curves. No sentence and no title is kept. The only words
in it are the little ones of the language (domain/words.py), each with its place by frequency.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.sentences import sentences
from app.domain.words import STOP
from bench.process import ROOT, SHARED

OUT = Path(__file__).with_name("text.json")
STEPS = [number / 20 for number in range(21)]  # 0, 5, 10 … 100 per cent
BANDS = (10, 100, 1_000, 10_000)
_WORD = re.compile(r"[^\W_]+")


def main() -> None:
    data = SHARED / "data"
    if not (data / "papers.jsonl.gz").is_file():
        print("The papers are not here; bench/text.json stays as it is.")
        return
    papers = [row for row in _rows(data / "papers.jsonl.gz") if row["abstract"]]
    whole = [row for row in papers if not row.get("truncated")]
    figures = {
        "measured_on": {"papers": len(papers), "whole_abstracts": len(whole)},
        **_words(whole),
        "title_words": _quantiles(len(_WORD.findall(row["title"])) for row in papers),
        "abstract_words": _quantiles(len(_WORD.findall(row["abstract"])) for row in whole),
        "sentence_words": _quantiles(
            len(_WORD.findall(each)) for row in whole for each in sentences(row["abstract"])
        ),
        **_lists(data / "lists"),
        **_links(data / "vaults"),
        **_concepts(ROOT / "wiki" / "concepts"),
        **_days(data / "triage"),
    }
    OUT.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{OUT}: {OUT.stat().st_size} bytes")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _quantiles(values: Iterable[float]) -> list[float]:
    found = np.quantile(np.fromiter(values, float), STEPS)
    return [round(float(value), 2) for value in found]


def _shares(values: Iterable[int], *, most: int) -> dict[str, float]:
    """How often each small number occurs; those above `most` count as `most`."""
    counts = Counter(min(value, most) for value in values)
    total = sum(counts.values())
    return {str(value): round(count / total, 4) for value, count in sorted(counts.items())}


def _words(papers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Zipf-Mandelbrot f(r) = c / (r + offset)^exponent, Heaps V(n) = k n^beta, lengths of words."""
    counts: Counter[str] = Counter()
    total, growth = 0, []
    for row in papers:
        found = _WORD.findall(f"{row['title']} {row['abstract']}".casefold())
        counts.update(found)
        total += len(found)
        growth.append((total, len(counts)))
    ranked = counts.most_common()
    exponent, offset = _mandelbrot(np.array([count for _, count in ranked], float) / total)
    seen = np.log(np.array(growth[len(growth) // 10 :], float))
    beta, k = np.polyfit(seen[:, 0], seen[:, 1], 1)
    lengths = []
    for start, stop in zip((0, *BANDS), (*BANDS, len(ranked)), strict=True):
        words = [word for word, _ in ranked[start:stop]]
        lengths.append([stop, _shares((len(word) for word in words), most=16)])
    return {
        "words": total,
        "distinct": len(ranked),
        "zipf": {"exponent": round(exponent, 3), "offset": round(offset, 2)},
        "heaps": {"k": round(float(np.exp(k)), 2), "beta": round(float(beta), 4)},
        "little_words": [
            [place, word] for place, (word, _) in enumerate(ranked[:1000]) if word in STOP
        ],
        "letters_by_rank": lengths,
    }


def _mandelbrot(frequencies: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """The exponent and offset that fit best in logarithms, every rank band weighing the same."""
    last = min(len(frequencies), 10_000)
    ranks = np.unique(np.geomspace(1, last, 400).astype(int))
    logs = np.log(frequencies[ranks - 1])
    best = (float("inf"), 1.0, 0.0)
    for offset in np.arange(0, 60, 0.25):
        line, residual, *_ = np.polyfit(np.log(ranks + offset), logs, 1, full=True)
        if residual[0] < best[0]:
            best = (float(residual[0]), -float(line[0]), float(offset))
    return best[1], best[2]


def _lists(folder: Path) -> dict[str, Any]:
    pairs = [
        (row["arxiv_id"], row["concept_id"]) for row in _rows(folder / "paper_concepts.jsonl.gz")
    ]
    of_paper = Counter(paper for paper, _ in pairs)
    of_concept = Counter(concept for _, concept in pairs)
    names = [
        json.loads(line)["concept"]
        for line in (folder / "concepts.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return {
        "concepts_of_a_paper": _shares(of_paper.values(), most=6),
        "papers_of_a_concept": _quantiles(of_concept.values()),
        "papers_a_concept": round(len(of_paper) / len(of_concept), 1),
        "concept_name_words": _shares((len(_WORD.findall(name)) for name in names), most=6),
    }


def _links(folder: Path) -> dict[str, Any]:
    """Links that lead out of a page of the two real wikis."""
    out: Counter[str] = Counter()
    for path in sorted(folder.glob("*.links.jsonl.gz")):
        out.update(f"{path.name}:{row['source']}" for row in _rows(path))
    return {"links_from_a_page": _quantiles(out.values())}


def _concepts(folder: Path) -> dict[str, Any]:
    """What the starter wiki's concepts are made of; they were written for this program."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))]
    aliases = [re.search(r"^aliases: \[(.*)\]$", text, re.MULTILINE) for text in texts]
    bodies = [text.split("---\n", 2)[2] for text in texts]
    return {
        "aliases_of_a_concept": _shares(
            (len(found[1].split(",")) if found else 0 for found in aliases), most=6
        ),
        "concept_words": _quantiles(len(_WORD.findall(body)) for body in bodies),
        "wikilinks_of_a_concept": _quantiles(body.count("[[") for body in bodies),
    }


def _days(folder: Path) -> dict[str, Any]:
    """Papers that one day's listing selected."""
    counts = []
    for path in sorted(folder.glob("arxiv_triage_*.jsonl.gz")):
        counts.append(sum(bool(row.get("selected")) for row in _rows(path)))
    return {"papers_a_day": round(sum(counts) / len(counts), 1)}


if __name__ == "__main__":
    main()
