"""How text becomes words: the tokeniser, its light stemmer, and sparse tf-idf rows.

One rule for the linker and its evidence, so that a word marked in a sentence is a word that
counted. It knows nothing of pages or links, and it keeps nothing but the texts it has read.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

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


@dataclass(frozen=True)
class Word:
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
    """Numbers the stems it meets and remembers the texts it has read.

    Keep one for the life of a process: reading is the slow part of fitting the linker, and a text
    that was read before costs a look-up. Rows stay valid as the lexicon grows.
    """

    def __init__(self) -> None:
        self._columns: dict[str, int] = {}
        self._written: list[str] = []
        self._read: dict[bytes, tuple[NDArray[np.int32], NDArray[np.float32]]] = {}

    def column(self, stem: str) -> int | None:
        """The column of a stem, or None when no text held it."""
        return self._columns.get(stem)

    def written(self, column: int) -> str:
        """How the stem of a column was written when it was first met ("quantiz" -> "quantization")."""
        return self._written[column]

    def counts(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Stem counts, one row a text: (len(texts), stems met so far), float32."""
        rows = [self._row(text) for text in texts]
        ends = np.cumsum([0, *(len(columns) for columns, _ in rows)])
        none: NDArray[np.int32] = np.zeros(0, np.int32)
        columns = np.concatenate([none, *(columns for columns, _ in rows)])
        values = np.concatenate([none.astype(np.float32), *(values for _, values in rows)])
        return sparse.csr_matrix((values, columns, ends), shape=(len(texts), len(self._columns)))

    def _row(self, text: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key not in self._read:
            self._read[key] = self._count(text)
        return self._read[key]

    def _count(self, text: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        seen: dict[int, int] = {}
        for word in spoken(text):
            column = self._columns.setdefault(stem(word.lower()), len(self._written))
            if column == len(self._written):
                self._written.append(word)
            seen[column] = seen.get(column, 0) + 1
        columns = sorted(seen)
        values = [seen[column] for column in columns]
        return np.array(columns, np.int32), np.array(values, np.float32)


def rarity(counts: sparse.csr_matrix) -> NDArray[np.float32]:
    """Inverse document frequency of each column, at least 1: rare words say more."""
    documents = np.bincount(counts.indices, minlength=counts.shape[1])
    return np.asarray(1 + np.log((1 + counts.shape[0]) / (1 + documents)), np.float32)


def weighed(counts: sparse.csr_matrix, idf: NDArray[np.float32]) -> sparse.csr_matrix:
    """Rows of (1 + log count) * idf, each of length one (an empty text stays zero)."""
    rows = counts.copy()
    rows.data = ((1 + np.log(rows.data)) * idf[rows.indices]).astype(np.float32)
    return unit_rows(rows)


def unit_rows(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    """The same rows at length one; zero rows stay zero."""
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return sparse.diags(1 / np.maximum(lengths, 1e-9)).dot(rows).tocsr().astype(np.float32)


def joined(parts: Iterable[str]) -> str:
    """Texts as one, on lines of their own; empty ones left out."""
    return "\n".join(part for part in parts if part)
