"""How new a paper is: against the pages of the wiki, the other papers of its day, and what came before.

A paper is the less new the more it is like one page, like one other paper of the day, or like many
papers at once: a combination that nobody else makes stands alone. The scale is fixed: what is
ordinary was measured once on ordinary days, so 8 means the same tomorrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Numbers = NDArray[np.float64]

CROWD = 0.02  # of the papers, of the day and of those before it: the nearest ones make a crowd
FEWEST = 3  # papers of a crowd
SAME = 0.95  # cosine from which two texts are one
NEARLY = 0.85  # cosine from which they tell of one work
WIDER = 0.035  # by which the nearest of e times as many papers is nearer
DAY = 500  # papers of an ordinary day
ALIKE = 0.75  # how the likenesses below go together on ordinary days (their correlation)
# Upper ends of 1..9 in ordinary spreads: 3% of a day below 3, half of it below 6, 8% above 8.
ENDS = np.array([-2.4, -1.9, -1.4, -0.8, -0.05, 0.6, 1.0, 1.4, 2.0])


@dataclass(frozen=True)
class Ordinary:
    """What is ordinary of one likeness: mean and spread on ordinary days; and how much it counts."""

    mean: float
    spread: float
    weight: float


PAGE = Ordinary(0.52, 0.09, 1.0)
RIVAL = Ordinary(0.595, 0.077, 0.6)
CROWDED = Ordinary(0.53, 0.066, 0.8)
RIVAL_WORDS = Ordinary(0.170, 0.053, 0.4)
CROWDED_WORDS = Ordinary(0.13, 0.028, 0.6)


def marks(
    *,
    pages: Array,
    rivals: Array,
    crowd: Array,
    rivals_words: Array,
    crowd_words: Array,
    meant: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Novelty 1..10 of the papers of a day, from cosines; each a row.

    pages: with pages of the wiki; rivals: with the papers of the day, zero with itself; crowd: with
    those and all papers known from before; the last two by their words. `meant` says which papers
    have a vector: the others are judged by their words.
    """
    papers = len(meant)
    total, weights = np.zeros(papers), np.zeros(papers)

    def count(
        ordinary: Ordinary, likeness: Numbers, told: NDArray[np.bool_], raised: float
    ) -> None:
        less = np.clip((ordinary.mean + raised - likeness) / ordinary.spread, -4, 4)
        total[:] += np.where(told, ordinary.weight * less, 0)
        weights[:] += np.where(told, ordinary.weight, 0)

    every = np.ones(papers, bool)
    raised = WIDER * float(np.log(max(papers, 10) / DAY))
    nearest_page, nearest_rival = _nearest(pages, 1), _nearest(rivals, 1)
    if pages.shape[1]:
        count(PAGE, nearest_page, meant, 0)
    if papers > 1:
        count(RIVAL, nearest_rival, meant, raised)
        count(RIVAL_WORDS, _nearest(rivals_words, 1), every, raised / 2)
    if (others := crowd.shape[1] - 1) >= FEWEST:
        count(CROWDED, _nearest(crowd, _crowd(others)), meant, 0)
        count(CROWDED_WORDS, _nearest(crowd_words, _crowd(others)), every, 0)
    # The likenesses go together, so their mean spreads almost as much as each.
    newness = total / np.maximum(weights, 1e-9) / np.sqrt(ALIKE)
    found = 1 + np.searchsorted(ENDS, newness)
    words_alike = _nearest(rivals_words, 1)
    found = np.where(np.maximum(nearest_page, nearest_rival) >= NEARLY, np.minimum(found, 3), found)
    found = np.where(np.maximum(nearest_rival, words_alike) >= SAME, np.minimum(found, 2), found)
    return np.asarray(np.where(nearest_page >= SAME, 1, found), np.int64)


def _crowd(papers: int) -> int:
    return max(FEWEST, round(CROWD * papers))


def _nearest(cosines: Array, count: int) -> Numbers:
    """The mean of the greatest `count` cosines of each row; zero where there are none."""
    if not cosines.shape[1]:
        return np.zeros(len(cosines))
    count = min(count, cosines.shape[1])
    best = np.partition(cosines, cosines.shape[1] - count, axis=1)[:, -count:]
    return np.asarray(best.mean(axis=1), np.float64)
