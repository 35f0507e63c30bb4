"""Threads that are likely one: by what they claim, or by the members they have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from app.domain.duplicates import Duplicate, Signal
from app.domain.words import stems

_SAME_CLAIM = 0.75  # of the words of two claims, those in both
_FEW_WORDS = 4  # that a claim must have before it says anything here
_SAME_MEMBERS = 0.7  # of the members of the smaller thread, those in both
_FEW_MEMBERS = 3  # that both must have
_MOST_THREADS = 50  # a page in more threads tells none of them apart


def near_same(claims: Mapping[int, str], members: NDArray[np.int64]) -> list[Duplicate]:
    """Pairs of threads that are likely one, the surest first.

    `claims` by thread; `members` pairs (page, thread), an array of two columns. Two are near the
    same when their claims have nearly the same words, or when most members of the smaller one are
    in the larger one too.
    """
    said = {thread: frozenset(stems(claim)) for thread, claim in claims.items()}
    pairs: dict[tuple[int, int], float] = {}
    for pair in _sharing_words(said):
        one, other = said[pair[0]], said[pair[1]]
        alike = len(one & other) / len(one | other)
        if alike >= _SAME_CLAIM:
            pairs[pair] = alike
    held: dict[int, set[int]] = {}
    for page, thread in members.tolist():
        if thread in claims:
            held.setdefault(thread, set()).add(page)
    for pair in _sharing_members(held):
        pairs.setdefault(pair, 0.0)
    found = [
        each
        for (one, other), alike in pairs.items()
        if (each := _likely(one, other, alike, held.get(one, set()), held.get(other, set())))
    ]
    return sorted(found, key=lambda each: (-each.confidence, each.one, each.other))


def _sharing_words(said: Mapping[int, frozenset[str]]) -> list[tuple[int, int]]:
    """Pairs whose claims may be nearly the same: one sparse product, not all with all."""
    threads = sorted(thread for thread, words in said.items() if len(words) >= _FEW_WORDS)
    known = {word: at for at, word in enumerate(sorted({w for t in threads for w in said[t]}))}
    rows = [at for at, thread in enumerate(threads) for _ in said[thread]]
    columns = [known[word] for thread in threads for word in said[thread]]
    return [
        (threads[one], threads[other])
        for one, other in _products(rows, columns, (len(threads), len(known)), least=_FEW_WORDS - 1)
    ]


def _products(
    rows: Sequence[int], columns: Sequence[int], shape: tuple[int, int], *, least: int
) -> list[tuple[int, int]]:
    """Pairs of rows, one < other, that have at least so many columns in common."""
    if not rows:
        return []
    table = sparse.csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape=shape)
    product = sparse.triu(table @ table.T, k=1).tocoo()
    kept = product.data >= least
    return list(zip(product.row[kept].tolist(), product.col[kept].tolist(), strict=True))


def _sharing_members(held: Mapping[int, set[int]]) -> list[tuple[int, int]]:
    places: dict[int, list[int]] = {}
    for thread in sorted(held):
        for page in held[thread]:
            places.setdefault(page, []).append(thread)
    both: Counter[tuple[int, int]] = Counter()
    for some in places.values():
        if 1 < len(some) <= _MOST_THREADS:
            both.update(combinations(some, 2))
    return [
        (one, other)
        for (one, other), number in both.items()
        if number >= _FEW_MEMBERS
        and number >= _SAME_MEMBERS * min(len(held[one]), len(held[other]))
    ]


def _likely(
    one: int, other: int, alike: float, ours: set[int], theirs: set[int]
) -> Duplicate | None:
    shared = ours & theirs
    smaller = min(len(ours), len(theirs))
    part = len(shared) / smaller if smaller else 0.0
    reasons, signals = [], []
    if alike:
        reasons.append("their claims say nearly the same")
        signals.append(Signal("claims", alike))
    if len(shared) >= _FEW_MEMBERS and part >= _SAME_MEMBERS:
        reasons.append(f"{len(shared)} of the {smaller} members of the smaller one are in both")
        signals.append(Signal("members", part))
    if not reasons:
        return None
    sure = 1.0 - (1.0 - 0.8 * alike) * (1.0 - 0.8 * part if len(signals) > bool(alike) else 1.0)
    reason = " and ".join(reasons)
    return Duplicate(
        one=min(one, other),
        other=max(one, other),
        confidence=sure,
        reason=f"{reason[:1].upper()}{reason[1:]}.",
        signals=tuple(signals),
        shared=tuple(sorted(shared)),
    )
