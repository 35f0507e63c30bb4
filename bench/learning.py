"""How the linker gets better with use: what a reader would accept after so many decisions.

    python -m bench learning [--words]

A wiki has the headings of a list and its papers. The reader decides what is proposed as the list
does, batch by batch, links by hand what was not proposed, and stops after so many decisions; then
the last fifth of the papers is proposed, always the same. The decided papers are those just before.
Lists that are large enough count; weights have not seen the list (five folds).

    accepted  share of what is proposed (above the floor) that the reader would accept
    first     the same of first places with a confidence above .3
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from app.domain.confidence import Weights
from app.domain.linking import Candidate, Pair, rank
from bench import fit_linker
from bench.first_places import weights_of
from bench.fit_linker import CuratedList, say

DECISIONS = (0, 50, 200, 1000)
TEST = 0.2  # of the papers
LEAST = 0.3  # a first place that is worth showing
KEYS = ("decisions", "proposed", "accepted", "first", "recall", "ap", "mrr", "ece")


def decided(
    each: CuratedList, weights: Weights, first: int, last: int, count: int
) -> tuple[set[Pair], set[Pair]]:
    """What a reader accepted and rejected who went through papers first..last, count decisions."""
    accepted: set[Pair] = set()
    rejected: set[Pair] = set()
    start = first
    while start < last and len(accepted) + len(rejected) < count:
        # Later batches are larger: a reader with a large wiki reads a day of many papers.
        end = min(start + max(10, (start - first) // 2), last)
        knowledge = each.knowledge(end, accepted, weights, rejected)
        offered = proposed(rank(range(start, end), knowledge))
        for paper in range(start, end):
            if len(accepted) + len(rejected) >= count:
                break
            mine = {pair for pair in offered if pair[0] == paper}
            accepted |= each.links(each.papers[paper : paper + 1])
            rejected |= mine - each.gold
        start = end
    return accepted, rejected


def proposed(candidates: Sequence[Candidate]) -> set[Pair]:
    """The pairs above the floor."""
    return {(c.paper, c.concept) for c in candidates if c.proposed}


def curve(each: CuratedList, weights: Weights, count: int) -> dict[str, float]:
    """The figures of one list after so many decisions."""
    total = len(each.papers)
    last = total - int(TEST * total)
    links = np.array([len(each.links(each.papers[at : at + 1])) for at in range(last)])
    # A third of what is decided is a rejection, about; whoever is too early stops too early.
    behind = np.cumsum(links[::-1])
    first = max(last - 1 - int(np.searchsorted(behind, 0.75 * count)), 0) if count else last
    accepted, rejected = decided(each, weights, first, last, count)
    knowledge = each.knowledge(total, accepted, weights, rejected)
    candidates = rank(range(last, total), knowledge)
    by_paper = [[c for c in candidates if c.paper == paper] for paper in range(last, total)]
    gold = [{c for p, c in each.gold if p == paper} for paper in range(last, total)]
    found = fit_linker.figures(by_paper, gold, each.gold)
    sure = [row[0] for row in by_paper if row and row[0].confidence >= LEAST]
    return {
        "decisions": float(len(accepted) + len(rejected)),
        "proposed": len(proposed(candidates)) / len(by_paper),
        "accepted": found["precision"],
        "first": float(np.mean([(c.paper, c.concept) in each.gold for c in sure])),
        **{key: found[key] for key in ("recall", "ap", "mrr", "ece")},
    }


def large(lists: Sequence[CuratedList]) -> list[CuratedList]:
    """The lists that have so many links before their last fifth."""
    return [
        each
        for each in lists
        if len(each.links(each.papers[: int((1 - TEST) * len(each.papers))]))
        >= max(DECISIONS) * 0.7
    ]


def main(arguments: Sequence[str] = ()) -> None:
    """Print a table; nothing is kept."""
    parser = argparse.ArgumentParser(
        prog="python -m bench learning",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=fit_linker.DATA)
    parser.add_argument("--words", action="store_true", help="without vectors")
    parser.add_argument("--weights-of-fold", type=Path, help="fitted before, by --fold-dir")
    given = parser.parse_args(list(arguments))
    if not given.data.exists():
        print("The lists are not here; nothing was measured.")
        return
    lists, texts = fit_linker.read(given.data, fit_linker.CACHE)
    weights: Mapping[str, Weights]
    if given.weights_of_fold:
        weights = {each.name: weights_of(given.weights_of_fold, each.name) for each in lists}
    else:
        names = {each.name: each for each in lists}
        folded = fit_linker.fit_all(lists, texts)[1]
        weights = {name: folded[fit_linker.fold_of(name, names)] for name in names}
    chosen = large(lists)
    if given.words:
        chosen = [fit_linker.wordly(each) for each in chosen]
    say(f"{len(chosen)} lists are large enough")
    print(f"{len(chosen)} lists; mean" + " ".join(f"{key:>10s}" for key in KEYS))
    for count in DECISIONS:
        rows = [curve(each, weights[each.name], count) for each in chosen]
        means = [float(np.nanmean([row[key] for row in rows])) for key in KEYS]
        print(f"after {count:5d}    " + " ".join(f"{mean:10.3f}" for mean in means), flush=True)
