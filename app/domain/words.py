"""How text becomes words: the tokeniser, its light stemmer, and sparse tf-idf rows.

One rule for the linker and its evidence, so that a word marked in a sentence is a word that
counted. It knows nothing of pages or links, and it keeps nothing of a text but its counts.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_WORD = re.compile(r"[^\W_]+")
_ENDINGS = (
    ("izations", "iz"), ("isations", "iz"), ("ization", "iz"), ("isation", "iz"),
    ("ising", "iz"), ("ised", "iz"), ("ise", "iz"),
    ("sses", "ss"), ("ies", "y"), ("ments", "ment"), ("ness", ""),
    ("ings", ""), ("ing", ""), ("edly", ""), ("ed", ""), ("ively", ""), ("ives", ""), ("ive", ""),
    ("tions", "t"), ("tion", "t"), ("sions", "s"), ("sion", "s"), ("ers", "er"),
    ("ally", "al"), ("ly", ""), ("es", "e"), ("ss", "ss"), ("us", "us"), ("is", "is"), ("s", ""),
)  # fmt: skip
_STOP_WORDS = """
a about above after all also an and any are as at be been being between both but by can could do
does each for from further had has have having here how however i if in into is it its itself may
more most much must no nor not of on one only or other our out over per same several should so some
such than that the their them then there these they this those through to too two under up upon us
via very was we were what when where whether which while who whose why will with within without
would yet you your
"""
STOP = frozenset(_STOP_WORDS.split())


class Word(NamedTuple):
    """One word of a text: its stem, and where it stands (`text[start:end]`)."""

    stem: str
    start: int
    end: int


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """The light stem of one lower-case word: caches, caching, cached and cache are one.

    Endings are cut only where four letters (two before "ing" and "ed" would be too few) remain,
    so short words and most acronyms stay as they are.
    """
    if len(word) <= 3 or not word.isalpha():
        return word
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: len(word) - len(ending)] + instead
            break
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "aeslz":
        word = word[:-1]
    if len(word) > 3 and word[-1] == "e":
        return word[:-1]
    return word[:-1] + "i" if len(word) > 3 and word[-1] == "y" else word


def words(text: str) -> Iterator[Word]:
    """The words of a text in order, stop words too. Offsets are into `text` as it was given."""
    for match in _WORD.finditer(text):
        yield Word(stem(match[0].lower()), match.start(), match.end())


def spoken(text: str) -> list[str]:
    """The words of a text as written, without stop words; NFKC first, so ligatures do not split."""
    found = _WORD.findall(unicodedata.normalize("NFKC", text))
    return [word for word in found if word.lower() not in STOP]


def stems(text: str) -> list[str]:
    """The stems of a text in order, without stop words."""
    return [stem(word.lower()) for word in spoken(text)]


def initials(name: str) -> str:
    """The acronym a name would have ("Retrieval-Augmented Generation" -> "rag"); "" for one word."""
    first = [word[0] for word in _WORD.findall(name.lower()) if word not in STOP]
    return "".join(first) if len(first) > 1 else ""


class Lexicon:
    """Numbers the stems it meets: the columns of every count. Keep one for the life of a process.

    Counts stay valid as the lexicon grows: columns are only added.
    """

    def __init__(self) -> None:
        self._columns: dict[str, int] = {}
        self._written: list[str] = []
        self._numbered = _Numbered(self._number)

    def column(self, stem: str) -> int | None:
        """The column of a stem, or None when no text held it."""
        return self._columns.get(stem)

    def written(self, column: int) -> str:
        """How the stem of a column was written when it was first met ("quantiz" -> "quantization")."""
        return self._written[column]

    def counts(self, texts: Iterable[str]) -> sparse.csr_matrix:
        """Stem counts, one row a text: (texts, stems met so far), float32."""
        every = iter(texts)
        parts = [self._counted(some) for some in iter(lambda: list(islice(every, _AT_ONCE)), [])]
        parts.append(sparse.csr_matrix((0, len(self._columns)), dtype=np.float32))
        for part in parts:
            part.resize(part.shape[0], len(self._columns))
        return sparse.vstack(parts, format="csr")

    def _counted(self, texts: list[str]) -> sparse.csr_matrix:
        spoken = [_WORD.findall(unicodedata.normalize("NFKC", text)) for text in texts]
        lengths = [len(part) for part in spoken]
        # A look-up for each word that never leaves C: millions of them are read.
        columns = np.fromiter(
            map(self._numbered.__getitem__, chain.from_iterable(spoken)), np.int64, sum(lengths)
        )
        rows = np.repeat(np.arange(len(texts)), lengths)
        width = max(len(self._columns), 1)
        said = columns >= 0
        places, counts = np.unique(rows[said] * width + columns[said], return_counts=True)
        ends = np.searchsorted(places, np.arange(len(texts) + 1) * width)
        return sparse.csr_matrix(
            (counts.astype(np.float32), (places % width).astype(np.int32), ends.astype(np.int32)),
            shape=(len(texts), len(self._columns)),
        )

    def _number(self, word: str) -> int:
        """The column of a word as it is written, a new one if need be; -1 for a stop word."""
        lowered = word.lower()
        if lowered in STOP:
            return -1
        column = self._columns.setdefault(stem(lowered), len(self._written))
        if column == len(self._written):
            self._written.append(word)
        return column


_AT_ONCE = 1_000  # texts


class _Numbered(dict[str, int]):
    """Remembers the answer of a function for each word."""

    def __init__(self, number: Callable[[str], int]) -> None:
        super().__init__()
        self._ask = number

    def __missing__(self, word: str) -> int:
        return self.setdefault(word, self._ask(word))


def rarity(*counts: sparse.csr_matrix) -> NDArray[np.float32]:
    """Inverse document frequency of each column over all rows, at least 1: rare words say more."""
    documents = sum(np.bincount(part.indices, minlength=part.shape[1]) for part in counts)
    rows = sum(part.shape[0] for part in counts)
    return np.asarray(1 + np.log((1 + rows) / (1 + documents)), np.float32)


def weighed(counts: sparse.csr_matrix, idf: NDArray[np.float32]) -> sparse.csr_matrix:
    """Rows of (1 + log count) * idf, each of length one (an empty text stays zero)."""
    data = np.log(counts.data)
    data += 1
    data *= idf[counts.indices]
    rows = sparse.csr_matrix((data, counts.indices, counts.indptr), shape=counts.shape)
    squares = sparse.csr_matrix((data * data, counts.indices, counts.indptr), shape=counts.shape)
    lengths = np.sqrt(np.asarray(squares.sum(axis=1), np.float32)).ravel()
    data /= np.repeat(np.maximum(lengths, np.float32(1e-9)), np.diff(counts.indptr))
    return rows


def joined(parts: Iterable[str]) -> str:
    """Texts as one, on lines of their own; empty ones left out."""
    return "\n".join(part for part in parts if part)
