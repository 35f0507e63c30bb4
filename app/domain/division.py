"""A concept in two: which of its papers might be a concept of their own."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np

from app.domain import words

FEWEST = 6  # papers, below which no half is suggested
_ROUNDS = 12
_WORDS = 2_000  # the commonest that at least two papers have


def smaller_half(texts: Mapping[int, str]) -> set[int]:
    """The smaller of two groups of papers by their words; empty when they fall into no two groups.

    `texts` are what the papers say, by id. Two-means on tf-idf rows, begun from the two papers that
    are least alike among those far from the middle: the same texts give the same halves.
    """
    ids = sorted(texts)
    if len(ids) < FEWEST:
        return set()
    counts = [Counter(words.stems(texts[each])) for each in ids]
    said_by = Counter(stem for count in counts for stem in count)
    telling = [stem for stem, n in said_by.most_common(_WORDS) if 2 <= n <= 0.8 * len(ids)]
    column = {stem: at for at, stem in enumerate(telling)}
    rows = np.zeros((len(ids), len(column)), np.float32)
    for at, count in enumerate(counts):
        for stem in count.keys() & column.keys():
            rows[at, column[stem]] = math.log(len(ids) / said_by[stem])
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, length, out=rows, where=length > 0)
    if not column:
        return set()
    first = int(np.argmin(rows @ rows.mean(axis=0)))
    centres = rows[[first, int(np.argmin(rows @ rows[first]))]]
    side = np.zeros(len(ids), bool)
    for _ in range(_ROUNDS):
        near = rows @ centres.T
        now = near[:, 1] > near[:, 0]
        if now.all() or not now.any():
            return set()
        if (now == side).all():
            break
        side = now
        centres = np.stack([rows[~side].mean(axis=0), rows[side].mean(axis=0)])
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-9)
    small = side if side.sum() * 2 <= len(ids) else ~side
    return {each for each, chosen in zip(ids, small.tolist(), strict=True) if chosen}
