"""A made-up language with the figures of the real one: words by frequency, lengths, sentences.

The figures stand in bench/text.json (measured by bench/measure_text.py). The little words of
English keep their places, since search and linker treat them apart; every other word is made of
syllables. Nobody's sentence is in it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.words import STOP

FIGURES = Path(__file__).with_name("text.json")
_ONSETS = ["b", "br", "c", "ch", "d", "dr", "f", "g", "gr", "k", "l", "m", "n", "p", "pl", "pr", "qu",
           "r", "s", "sk", "st", "t", "tr", "v", "z"]  # fmt: skip
_VOWELS = ["a", "e", "i", "o", "u", "a", "e", "i", "o", "ea", "io"]
_CODAS = ["", "", "", "", "n", "l", "r", "s", "t", "m"]

Integers = NDArray[np.int64]


def figures() -> dict[str, Any]:
    """What bench/measure_text.py found."""
    found: dict[str, Any] = json.loads(FIGURES.read_text(encoding="utf-8"))
    return found


class Language:
    """Draws words and lengths. The commonest words are the same however large the vocabulary."""

    def __init__(self, words: int, *, seed: int) -> None:
        """`words`: how many are going to be spoken, which says how many different ones there are."""
        self.figures = figures()
        heaps, zipf = self.figures["heaps"], self.figures["zipf"]
        size = max(2_000, int(heaps["k"] * words ** heaps["beta"]))
        self.words = _vocabulary(size, self.figures, seed)
        weights = (np.arange(1, size + 1) + zipf["offset"]) ** -zipf["exponent"]
        self._reach = np.cumsum(weights / weights.sum())
        self._reach[-1] = 1.0
        self._chance = np.random.default_rng(seed)

    @cached_property
    def _table(self) -> NDArray[np.object_]:
        return np.array(self.words, dtype=object)

    def ranks(self, count: int) -> Integers:
        """The places (0: the commonest) of so many words of running text."""
        return np.searchsorted(self._reach, self._chance.random(count), side="right")

    def spell(self, ranks: Integers) -> list[str]:
        found: list[str] = self._table[ranks].tolist()
        return found

    def lengths(self, name: str, count: int) -> Integers:
        """So many numbers with the quantiles of the figure `name`, at least 1."""
        known = self.figures[name]
        drawn = np.interp(self._chance.random(count), np.linspace(0, 1, len(known)), known)
        lengths: Integers = np.maximum(1, drawn.round().astype(np.int64))
        return lengths

    def numbers(self, name: str, count: int) -> Integers:
        """So many small numbers with the shares of the figure `name`."""
        shares = self.figures[name]
        values = np.array([int(value) for value in shares])
        weights = np.array(list(shares.values()))
        return self._chance.choice(values, size=count, p=weights / weights.sum())

    def sentence_ends(self, stops: Integers) -> Integers:
        """Where sentences end in texts that lie one behind the other, text i up to `stops[i]`."""
        total = int(stops[-1]) if len(stops) else 0
        drawn = np.cumsum(self.lengths("sentence_words", total // 10 + 20))
        return np.union1d(drawn[drawn < total - 1], stops - 1)

    def prose(self, words: int) -> str:
        """Sentences of so many words altogether."""
        tokens = self.spell(self.ranks(max(3, words)))
        punctuate(tokens, self.sentence_ends(np.array([len(tokens)])))
        return " ".join(tokens)


def punctuate(tokens: list[str], ends: Integers) -> None:
    """Put a full stop behind each of these tokens and a capital after it."""
    if tokens:
        tokens[0] = tokens[0][:1].upper() + tokens[0][1:]
    for end in ends.tolist():
        tokens[end] += "."
        if end + 1 < len(tokens):
            following = tokens[end + 1]
            tokens[end + 1] = following[:1].upper() + following[1:]


def _vocabulary(size: int, known: dict[str, Any], seed: int) -> list[str]:
    """Different words in order of frequency, as long as real ones of that rank are."""
    chance = random.Random(seed)
    little = {place: word for place, word in known["little_words"] if place < size}
    bands = [
        (stop, [int(length) for length in shares], list(shares.values()))
        for stop, shares in known["letters_by_rank"]
    ]
    taken, words = set(STOP), []
    band = 0
    lengths: Sequence[int] = ()
    for place in range(size):
        if place >= bands[band][0] and band < len(bands) - 1:
            band, lengths = band + 1, ()
        if place in little:
            words.append(little[place])
            continue
        if not lengths:
            lengths = chance.choices(bands[band][1], bands[band][2], k=1000)
        word = _word(chance, lengths[place % 1000])
        while word in taken:  # all short ones are soon taken
            word = _word(chance, len(word) + 1)
        taken.add(word)
        words.append(word)
    return words


def _word(chance: random.Random, length: int) -> str:
    word = ""
    while len(word) < length:
        word += chance.choice(_ONSETS) + chance.choice(_VOWELS) + chance.choice(_CODAS)
    return word[:length]
