"""Concepts that are likely one: by their names, by an acronym, or by the papers they hold.

Names speak first: the same but for case, number, hyphens or the order of words; or an acronym and
what it stands for. Where names say nothing, two concepts must hold nearly the same papers and speak
of nearly the same things. A name that only says more than the other ("KV cache quantization" beside
"quantization") is a narrower concept and no duplicate. Pairs are found by keys and one sparse
product, never by comparing all with all.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from app.domain import words
from app.domain.terms import key_words
from app.domain.texts import ConceptText

FLOOR = 0.5  # what is less sure is not proposed
FEW = 4  # papers that both must hold before papers alone say anything
_MOST_HOLDERS = 200  # a paper that more concepts hold tells none of them apart
_MOST_NAMED = 50  # of so many concepts with one name, no more are compared
_READ = 2_000  # characters of a definition
_READ_OF_PAPERS = 20_000  # and of what the papers say


@dataclass(frozen=True)
class Signal:
    """What spoke for or against a pair: its part of the log-odds, and the words it rests on."""

    name: str
    value: float
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Duplicate:
    """Two concepts that are likely one, `one` < `other`; `shared` are the papers both hold."""

    one: int
    other: int
    confidence: float
    reason: str
    signals: tuple[Signal, ...]
    shared: tuple[int, ...] = ()


@dataclass
class _Pair:
    """A pair on its way: what its names say, and the papers of both."""

    same: tuple[str, str] | None = None
    acronym: tuple[str, str] | None = None
    proven: bool = False
    shared: int = 0
    either: int = 0
    smaller: int = 0
    nearness: float | None = None
    narrower: bool = False
    papers: tuple[int, ...] = ()


# ---------------------------------------------------------------- names

# What this field writes short without saying so; what a wiki's own texts spell out is added.
KNOWN = {
    "llm": "large language model",
    "lm": "language model",
    "mllm": "multimodal large language model",
    "vlm": "vision language model",
    "kv": "key value",
    "rag": "retrieval augmented generation",
    "rl": "reinforcement learning",
    "rlhf": "reinforcement learning from human feedback",
    "moe": "mixture of experts",
    "cot": "chain of thought",
    "peft": "parameter efficient fine tuning",
    "sft": "supervised fine tuning",
    "icl": "in context learning",
    "ssm": "state space model",
    "gnn": "graph neural network",
    "qa": "question answering",
    "nlp": "natural language processing",
}
_SPELLED_OUT = re.compile(r"\(([A-Za-z][A-Za-z0-9]{1,9})\)")
_LATIN = re.compile(r"[A-Za-z0-9]+")


def spelled_out(text: str) -> dict[str, str]:
    """What a text says its acronyms stand for, as in "state space model (SSM)", by acronym."""
    found: dict[str, str] = {}
    for match in _SPELLED_OUT.finditer(text):
        short = match[1].removesuffix("s")
        if sum(letter.isupper() for letter in short) < 2:
            continue
        before = list(_LATIN.finditer(text, max(0, match.start() - 200), match.start()))
        for count in range(len(short) - 1, len(short) + 3):
            start = before[-count].start() if 1 < count <= len(before) else -1
            name = text[start : match.start()].strip() if start >= 0 else ""
            if words.initials(name) == short.lower():
                found[short.lower()] = name
                break
    return found


def _names(concept: ConceptText) -> tuple[str, ...]:
    return (concept.name, *concept.aliases)


def bare(name: str) -> str:
    """A name without what stands in brackets behind it."""
    return re.sub(r"\s*\([^()]*\)\s*$", "", name).strip() or name


def name_words(name: str, known: Mapping[str, str]) -> list[str]:
    """The words of a name as names are compared: stems in order, acronyms written out."""
    found: list[str] = []
    begun = ""
    for word in key_words(bare(name)):
        stem = begun + _ALIKE.get(word.stem, word.stem)
        begun = stem if stem in _BEGINNINGS else ""
        if begun:
            continue
        written = known.get(stem) or known.get(stem.removesuffix("s"))
        found += words.stems(written) if written else [stem]
    return [*found, begun] if begun else found


# "fine tuning" is fine-tuning, and tool use is tool usage.
_BEGINNINGS = frozenset({"fine", "multi", "post", "pre"})
_ALIKE = {"usag": "use", "using": "use"}


def _is_acronym(name: str) -> bool:
    letters = name.removesuffix("s")
    return (
        2 <= len(letters) <= 8
        and letters.isascii()
        and letters.isalnum()
        and sum(map(str.isupper, letters)) >= 2
    )


# ---------------------------------------------------------------- finding


def find(
    concepts: Sequence[ConceptText],
    held: NDArray[np.int64],
    texts: Mapping[int, str] | None = None,
    *,
    floor: float = FLOOR,
) -> list[Duplicate]:
    """Likely duplicates, surest first.

    `held` are pairs (concept id, paper id) of what each concept holds, of shape (n, 2). `texts` says
    by concept what its papers speak of (their titles, say): only concepts of `candidates` are asked
    for. Without it names and papers speak alone.
    """
    known = _known(concepts)
    pairs = _candidates(concepts, held, known)
    _measure(pairs, texts or {})
    found = []
    for (one, other), pair in pairs.items():
        signals = _signals(pair)
        odds = sum(signal.value for signal in signals)
        confidence = 1 / (1 + math.exp(-odds))
        if confidence >= floor:
            found.append(
                Duplicate(one, other, confidence, _reason(pair), tuple(signals), pair.papers)
            )
    return sorted(found, key=lambda each: (-each.confidence, each.one, each.other))


def candidates(concepts: Sequence[ConceptText], held: NDArray[np.int64]) -> set[int]:
    """The concepts that may have a duplicate: those whose texts `find` has to know."""
    return {each for pair in _candidates(concepts, held, _known(concepts)) for each in pair}


def _known(concepts: Iterable[ConceptText]) -> dict[str, str]:
    """Acronyms by what they stand for; one that the wiki spells out in two ways stands for none."""
    said: dict[str, set[str]] = {}
    for concept in concepts:
        for text in (*_names(concept), concept.text[:_READ]):
            for short, name in spelled_out(text).items():
                said.setdefault(short, set()).add(" ".join(words.stems(name)))
    own = {short: next(iter(names)) for short, names in said.items() if len(names) == 1}
    kept = {short: name for short, name in KNOWN.items() if short not in said}
    return kept | own


_Pairs = dict[tuple[int, int], _Pair]


def _pair(pairs: _Pairs, one: int, other: int) -> _Pair:
    return pairs.setdefault((min(one, other), max(one, other)), _Pair())


def _candidates(
    concepts: Sequence[ConceptText], held: NDArray[np.int64], known: Mapping[str, str]
) -> _Pairs:
    pairs: _Pairs = {}
    _by_name(pairs, concepts, known)
    _by_acronym(pairs, concepts, known)
    _by_papers(pairs, concepts, held)
    titles = {concept.id: set(name_words(concept.name, known)) for concept in concepts}
    for (one, other), pair in pairs.items():
        pair.narrower = titles[one] < titles[other] or titles[other] < titles[one]
    return pairs


def _by_name(pairs: _Pairs, concepts: Sequence[ConceptText], known: Mapping[str, str]) -> None:
    by_key: dict[tuple[str, ...], list[tuple[int, str]]] = {}
    for concept in concepts:
        for name in _names(concept):
            if key := tuple(sorted(set(name_words(name, known)))):
                by_key.setdefault(key, []).append((concept.id, name))
    for named in by_key.values():
        for at, (one, name) in enumerate(named):
            for other, other_name in named[at + 1 : at + _MOST_NAMED]:
                if one == other:
                    continue
                pair = _pair(pairs, one, other)
                if pair.same is None or bare(name) == bare(other_name):
                    pair.same = (name, other_name)


def _by_acronym(pairs: _Pairs, concepts: Sequence[ConceptText], known: Mapping[str, str]) -> None:
    by_initials: dict[str, list[tuple[int, str]]] = {}
    short: list[tuple[int, str]] = []
    said: dict[tuple[int, str], list[str]] = {}
    for concept in concepts:
        for name in map(bare, _names(concept)):
            if _is_acronym(name):
                short.append((concept.id, name))
            elif initials := words.initials(name):
                by_initials.setdefault(initials, []).append((concept.id, name))
        for text in (*_names(concept), concept.text[:_READ]):
            for acronym, expansion in spelled_out(text).items():
                said[concept.id, acronym] = words.stems(expansion)
    for one, acronym in short:
        letters = acronym.removesuffix("s").lower()
        for other, name in by_initials.get(letters, ())[:_MOST_NAMED]:
            if one == other:
                continue
            pair, stems = _pair(pairs, one, other), words.stems(name)
            pair.acronym = (acronym, name)
            stands_for = [said.get((each, letters)) for each in (one, other)]
            pair.proven = stems in stands_for or stems == words.stems(known.get(letters, ""))


def _by_papers(pairs: _Pairs, concepts: Sequence[ConceptText], held: NDArray[np.int64]) -> None:
    """Add pairs that hold nearly the same papers; of every pair, what both hold."""
    row_of = {concept.id: row for row, concept in enumerate(concepts)}
    kept = [(row_of[concept], paper) for concept, paper in held.tolist() if concept in row_of]
    if not kept:
        return
    rows, papers = np.array(kept, np.int64).T
    numbers, columns = np.unique(papers, return_inverse=True)
    shape = (len(concepts), len(numbers))
    matrix = sparse.csr_matrix((np.ones(len(rows), np.int32), (rows, columns)), shape)
    matrix.data[:] = 1
    telling = np.flatnonzero(np.asarray(matrix.sum(axis=0)).ravel() <= _MOST_HOLDERS)
    matrix, numbers = matrix[:, telling].tocsr(), numbers[telling]
    size = np.asarray(matrix.sum(axis=1)).ravel()
    product = sparse.triu(matrix @ matrix.T, k=1).tocoo()
    near = product.data * 2 >= np.minimum(size[product.row], size[product.col])
    near &= product.data >= FEW
    for row, column in zip(product.row[near].tolist(), product.col[near].tolist(), strict=True):
        _pair(pairs, concepts[row].id, concepts[column].id)
    for (one, other), pair in pairs.items():
        a, b = row_of[one], row_of[other]
        shared = np.intersect1d(
            matrix.indices[matrix.indptr[a] : matrix.indptr[a + 1]],
            matrix.indices[matrix.indptr[b] : matrix.indptr[b + 1]],
        )
        pair.shared, pair.smaller = len(shared), int(min(size[a], size[b]))
        pair.either = int(size[a] + size[b]) - pair.shared
        pair.papers = tuple(int(each) for each in numbers[shared])


def _measure(pairs: _Pairs, texts: Mapping[int, str]) -> None:
    """How near what the two concepts of a pair speak of is: the cosine of their words."""
    counts = {each: Counter(words.stems(texts[each][:_READ_OF_PAPERS])) for each in texts}
    said_by = Counter(stem for each in counts.values() for stem in each)
    rows: dict[int, dict[str, float]] = {}
    for each, count in counts.items():
        row = {
            stem: (1 + math.log(number)) * math.log(1 + len(counts) / said_by[stem])
            for stem, number in count.items()
        }
        length = math.sqrt(sum(value * value for value in row.values())) or 1.0
        rows[each] = {stem: value / length for stem, value in row.items()}
    for (one, other), pair in pairs.items():
        a, b = rows.get(one), rows.get(other)
        if a and b:
            small, large = (a, b) if len(a) < len(b) else (b, a)
            pair.nearness = sum(value * large.get(stem, 0.0) for stem, value in small.items())


# ---------------------------------------------------------------- judging


def _signals(pair: _Pair) -> list[Signal]:
    """What speaks for and against a pair, in log-odds; the strongest first."""
    found = []
    if pair.same:
        found.append(Signal("name", 1.5, pair.same))
    elif pair.acronym:
        letters = len(pair.acronym[0].removesuffix("s"))
        value = 2.5 if pair.proven else {2: -1.5, 3: -0.5, 4: 0.5}.get(letters, 1.5)
        found.append(Signal("acronym", value, pair.acronym))
    else:
        found.append(Signal("other names", -4.5))
        if pair.narrower:
            found.append(Signal("narrower", -3.0))
    if pair.shared:
        share = pair.shared / pair.either
        held = pair.shared / pair.smaller
        enough = min(1.0, pair.shared / FEW)
        found.append(Signal("papers", enough * (4.0 * share + 1.5 * held)))
    if pair.nearness is not None:
        # Of papers on one thing the titles share little already; on two things next to nothing.
        value = 4.0 * (pair.nearness - 0.2) - 25.0 * max(0.0, 0.1 - pair.nearness)
        found.append(Signal("words", max(-2.5, min(1.5, value))))
    return sorted(found, key=lambda signal: -abs(signal.value))


def _reason(pair: _Pair) -> str:
    said = []
    if pair.same:
        one, other = pair.same
        if bare(one) == bare(other):
            said.append(f"both are called {bare(one)}")
        elif _is_acronym(bare(one)) != _is_acronym(bare(other)):
            short, long = (one, other) if _is_acronym(bare(one)) else (other, one)
            said.append(f"{bare(short)} is the acronym of {bare(long)}")
        else:
            said.append(f"{one} and {other} are two ways of writing one name")
    elif pair.acronym:
        sure = "is the acronym of" if pair.proven else "may be the acronym of"
        said.append(f"{pair.acronym[0]} {sure} {pair.acronym[1]}")
    if pair.shared:
        said.append(f"both hold {pair.shared} of the {pair.either} papers that either holds")
    if pair.nearness is not None and pair.nearness >= 0.5:
        said.append("their papers speak of the same things")
    return "; ".join(said)
