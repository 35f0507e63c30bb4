"""Proposed merges among the headings of curated lists, beside pairs that a person judged.

Headings of different lists stand in one wiki with the papers they hold; a paper of two lists is one.
bench/duplicates.json names pairs judged by eye, by what the headings mean where they stand: "yes"
where a reader would make them one, "no" where the names or papers are near and the things are not.
The lists' own grouping is not asked. A proposal that nobody judged is counted apart.
"""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import numpy as np

from app.domain import duplicates
from app.domain.texts import ConceptText

LISTS = Path("../shared/data/lists")
GOLD = Path(__file__).with_suffix(".json")
FLOORS = (duplicates.FLOOR, 0.85)


def main() -> None:
    """Precision and recall of proposals from names and papers, with n."""
    if not LISTS.is_dir():
        print(f"{LISTS} is not there: nothing to measure.")
        return
    headings = [json.loads(line) for line in (LISTS / "concepts.jsonl").open(encoding="utf-8")]
    numbers = {each["concept_id"]: number for number, each in enumerate(headings, start=1)}
    names = {number: concept_id for concept_id, number in numbers.items()}
    of_list = {numbers[each["concept_id"]]: each["list"] for each in headings}
    papers: dict[str, int] = {}
    held, titles = [], dict[int, list[str]]()
    with gzip.open(LISTS / "paper_concepts.jsonl.gz", "rt", encoding="utf-8") as rows:
        for row in map(json.loads, rows):
            number = numbers[row["concept_id"]]
            held.append((number, papers.setdefault(row["arxiv_id"], len(papers) + 1)))
            titles.setdefault(number, []).append(row["title"] or "")
    concepts = [ConceptText(numbers[each["concept_id"]], each["concept"]) for each in headings]
    begun = time.process_time()
    found = duplicates.find(
        concepts,
        np.array(held, np.int64),
        {number: "\n".join(some) for number, some in titles.items()},
    )
    spent = time.process_time() - begun
    gold = json.loads(GOLD.read_text(encoding="utf-8"))
    yes, no = ({tuple(sorted(pair)) for pair in gold[verdict]} for verdict in ("yes", "no"))
    print(f"{len(headings)} headings, {len(held):,} places of papers, {spent:.1f} CPU seconds")
    print(f"judged pairs: {len(yes)} are one, {len(no)} are not")
    for floor in FLOORS:
        proposed = {
            tuple(sorted((names[each.one], names[each.other])))
            for each in found
            if each.confidence >= floor and of_list[each.one] != of_list[each.other]
        }
        right, wrong = len(proposed & yes), len(proposed & no)
        print(
            f"confidence >= {floor}: precision {right / max(1, right + wrong):.2f} "
            f"(n = {right + wrong}), recall {right / len(yes):.2f} (n = {len(yes)}); "
            f"judged by nobody: {sorted(proposed - yes - no) or 'none'}"
        )
    made_up()


def made_up(concepts: int = 5_000, papers: int = 100_000) -> None:
    """CPU seconds for a wiki of so many concepts, each paper about two of them."""
    chance = np.random.default_rng(0)
    held = np.column_stack(
        [chance.integers(1, concepts + 1, 2 * papers), np.repeat(np.arange(papers), 2)]
    )
    syllables = ("ka", "lo", "mi", "ter", "son", "qua", "ver", "ned", "pol", "gra", "sti", "un")
    words = ["".join(chance.choice(syllables, 3)) for _ in range(800)]
    made = [
        ConceptText(number, " ".join(chance.choice(words, 3))) for number in range(1, concepts + 1)
    ]
    begun = time.process_time()
    found = duplicates.find(made, held)
    spent = time.process_time() - begun
    print(
        f"{concepts:,} concepts and {papers:,} papers: {spent:.1f} CPU seconds, {len(found)} found"
    )
