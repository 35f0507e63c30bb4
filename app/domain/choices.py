"""How likely a reader keeps a paper, learned from what they kept and dropped.

Logistic regression on the words of a paper and, with half their weight, on its vector; heavily
regularised, because a reader decides on tens of papers a day and there are thousands of words.
Which of the two says more, this or how well a paper fits the topics as the reader wrote them, is
learned too: from papers judged by decisions of other days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from app.domain.confidence import fit, sigmoid

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

MEANING = 0.5  # of a vector beside the words, each of length one
LOUDEST = 5.0  # a kept paper counts at most so many times a dropped one
FOLDS = 4
FEWEST = 4  # kept papers; with fewer nothing can be tried on papers held back
ORDINARY = 1 / 15  # of a day an ordinary reader keeps
STEADY = 50  # papers that a paper of which nothing is known counts as
# What the shipped combination is worth, in decided papers near even odds: slope of what the
# decisions say, slope of what the topics say, level.
HELD = np.array([10.0, 10.0, 2.0])
STEEPEST = 2.0
TOPICS_LAST = 10  # kept papers by which half of what the topics add has faded
# Tomorrow is less like the past than the days of the past are like each other (measured on
# later days of twelve readers): log-odds count so much, and above even odds so much again.
TOMORROW, SURE = 0.9, 0.6


@dataclass(frozen=True, eq=False)
class Rows:
    """Papers as numbers: tf-idf words (papers, words) and vectors (papers, numbers), as weighed."""

    words: sparse.csr_matrix
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return int(self.words.shape[0])

    def only(self, places: NDArray[np.int64] | Flags) -> Rows:
        """These rows."""
        return Rows(self.words[places], self.vectors[places])


@dataclass(frozen=True, eq=False)
class Leaning:
    """One fitted logistic regression. `shift` are the log-odds by which kept papers count more."""

    words: Numbers
    vectors: Numbers
    level: float
    shift: float

    @property
    def usual(self) -> float:
        """Log-odds of a paper of which nothing is known."""
        return self.level - self.shift

    def odds(self, rows: Rows) -> Numbers:
        """Log-odds of being kept; (papers,)."""
        said = rows.words @ self.words + rows.vectors.astype(np.float64) @ self.vectors
        return np.asarray(said + self.usual, np.float64)


def learned(rows: Rows, kept: Flags, counts: Numbers, *, start: Leaning | None = None) -> Leaning:
    """The leaning behind these choices. `counts`: how much each paper weighs.

    `start`: a leaning learned from almost the same papers; the answer is the same, and sooner there.
    """
    # It takes half a second to import, and only who learns needs it.
    from scipy import optimize

    kept_count, dropped_count = float(counts[kept].sum()), float(counts[~kept].sum())
    louder = float(np.clip(np.sqrt(dropped_count / max(kept_count, 1e-9)), 1 / LOUDEST, LOUDEST))
    weight = counts * np.where(kept, louder, 1.0)
    sign = np.where(kept, 1.0, -1.0)
    said = rows.words.astype(np.float64)
    turned = said.T.tocsr()
    meant = rows.vectors.astype(np.float64)
    width = said.shape[1]

    def loss(numbers: Numbers) -> tuple[float, Numbers]:
        of_words, of_vectors, level = numbers[:width], numbers[width:-1], numbers[-1]
        margin = sign * (said @ of_words + meant @ of_vectors + level)
        slope = -sign * weight / (1 + np.exp(np.clip(margin, -30, 30)))
        free = numbers[:-1]
        # The level is pulled hardly, but pulled: with nothing dropped it would have no end.
        missed = weight @ np.logaddexp(0, -margin) + free @ free / 2 + level * level / 200
        steep = np.concatenate([turned @ slope, meant.T @ slope, [slope.sum()]])
        steep[:-1] += free
        steep[-1] += level / 100
        return float(missed), steep

    first = np.zeros(width + meant.shape[1] + 1)
    if start is not None:
        first = np.concatenate([start.words, start.vectors, [start.level]])
    found = optimize.minimize(
        loss, first, jac=True, method="L-BFGS-B", options={"maxiter": 150, "gtol": 1e-3}
    ).x
    return Leaning(found[:width], found[width:-1], float(found[-1]), float(np.log(louder)))


@dataclass(frozen=True)
class Balance:
    """How what the decisions say and what the topics say become one: log-odds.

    As it stands here it takes both at their word.
    """

    decisions: float = 1.0
    topics: float = 1.0
    level: float = 0.0

    def odds(self, decided: Numbers, topical: Numbers) -> Numbers:
        """Log-odds of being kept, from those by decisions and what topics add to them."""
        odds = TOMORROW * (self.decisions * decided + self.topics * topical + self.level)
        return np.asarray(np.where(odds > 0, SURE * odds, odds), np.float64)


def balanced(
    rows: Rows,
    kept: Flags,
    topical: Numbers,
    days: NDArray[np.int64],
    leaning: Leaning,
    *,
    on: Flags,
) -> Balance | None:
    """The balance that would have been right for papers judged by decisions of other days.

    topical: what the topics add to the log-odds of each; days: the number of its day. Only papers
    `on` a listing tell how often a reader keeps: what came in as kept is learned from and not
    judged. None while too little was decided to say.
    """
    if (kept & on).sum() < FEWEST or (~kept & on).sum() < FEWEST:
        return None
    folds = np.full(len(kept), -1)
    folds[on] = _folds(kept[on], days[on])
    odds = np.zeros(len(rows))
    for fold in range(FOLDS):
        held_back = folds == fold
        if not kept[~held_back].any():
            return None
        part = rows.only(~held_back)
        other = learned(part, kept[~held_back], np.ones(len(part)), start=leaning)
        odds[held_back] = other.odds(rows.only(held_back))
    left = lasting(kept)
    found = fit(
        np.stack([odds[on], left * topical[on]], axis=1),
        kept[on].astype(np.float64),
        np.ones(int(on.sum())),
        prior=np.array([1.0, 1.0, 0.0]),
        strength=HELD,
    )
    decisions, topics = np.clip(found[:2], [1 / STEEPEST, 0.0], STEEPEST)
    return Balance(float(decisions), left * float(topics), float(found[2]))


def anchored(odds: Numbers, topical: Numbers, kept: Flags, *, usual: float) -> Balance:
    """A balance for few decisions: ordinary papers are kept as often as an ordinary reader keeps.

    odds: by the decisions, of papers that nobody chose, with what the topics add to them;
    usual: those of a paper of which nothing is known, which counts as STEADY of them.
    """
    odds = np.append(odds, usual)
    topical = np.append(topical, 0.0)
    counts = np.append(np.ones(len(odds) - 1), STEADY)
    low, high = -30.0, 30.0
    left = lasting(kept)
    for _ in range(50):
        middle = (low + high) / 2
        chance = sigmoid(Balance(1.0, left, middle).odds(odds, topical))
        if counts @ chance / counts.sum() > ORDINARY:
            high = middle
        else:
            low = middle
    return Balance(1.0, left, middle)


def lasting(kept: Flags) -> float:
    """How much of what the topics add is left after so many kept papers."""
    return float(1 / (1 + kept.sum() / TOPICS_LAST))


def _folds(kept: Flags, days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which papers are held back together: those of a day, or any, if there are few days."""
    numbers = np.unique(days, return_inverse=True)[1]
    if numbers.max() + 1 >= FOLDS:
        return np.asarray(numbers % FOLDS, np.int64)
    folds = np.zeros(len(kept), np.int64)
    for choice in (kept, ~kept):
        folds[choice] = np.arange(choice.sum()) % FOLDS
    return folds
