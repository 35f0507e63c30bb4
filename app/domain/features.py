"""The numbers the linker judges by: how like a paper is to each concept, in fourteen ways.

`Texts` holds what can be said before anybody decided anything, `Judge` what follows from who is
linked to what. Both work on whole matrices, in blocks of papers; the weighing is linking.py's.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from app.domain import words

Array = NDArray[np.float32]
Rows = NDArray[np.int64]

FEATURES = (
    "papers", "papers lead", "classifier", "classifier lead", "neighbours", "neighbours lead",
    "size", "name", "name lead", "mention", "mention lead", "title mention", "title mention lead",
    "familiar",
)  # fmt: skip
BLOCK = 256  # papers compared at once: bounds memory at BLOCK x concepts x FEATURES
ORDINARY = 1_000  # papers that show what an ordinary likeness is, and how words go together
DIRECTIONS = 128  # of the words, for the classifier and the neighbours
NEIGHBOURS = 30  # decided papers that vote
FEW = 5  # of them, that tell whether a paper is familiar
ROUNDING = np.float32(1e-5)  # two ways to compute one product differ by less
SLAB = 8_192  # decided papers compared at once: they stay in the processor's cache
REFUSED = 0.5  # what a rejected paper weighs, turned round, against an accepted one


@dataclass(frozen=True)
class ConceptText:
    """A concept as the linker reads it; `text` is its definition and may be empty."""

    id: int
    name: str
    aliases: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class PaperText:
    """A paper as the linker reads it; `text` is the abstract and, if there is one, the page."""

    id: int
    title: str
    text: str = ""


@dataclass(frozen=True)
class Papers:
    """Papers as the linker keeps them: ids in the order of their dates, and what each says.

    text, title: stem counts of all its words (those of the title twice) and of its title.
    """

    ids: Rows
    text: sparse.csr_matrix
    title: sparse.csr_matrix

    @classmethod
    def read(cls, papers: Iterable[PaperText], lexicon: words.Lexicon) -> "Papers":
        """Counts the words; goes through the papers once, so they need not be in memory together."""
        ids: list[int] = []

        def spoken() -> Iterable[str]:
            for paper in papers:
                ids.append(paper.id)
                yield from (paper.title, paper.text)

        counts = lexicon.counts(spoken())
        title, text = counts[0::2], counts[1::2]
        return cls(np.array(ids, np.int64), (text + 2 * title).tocsr(), title)

    def updated(self, order: Sequence[int], new: "Papers") -> "Papers":
        """These and the new papers, which come in place of older ones of the same id, in an order.

        Every id of the order must be among the two.
        """
        row = {paper: row for row, paper in enumerate([*self.ids.tolist(), *new.ids.tolist()])}
        rows = np.array([row[paper] for paper in order], np.int64)
        kept = [_stacked(*part)[rows] for part in ((self.text, new.text), (self.title, new.title))]
        return Papers(np.array(order, np.int64), *kept)


def _stacked(above: sparse.csr_matrix, below: sparse.csr_matrix) -> sparse.csr_matrix:
    width = max(above.shape[1], below.shape[1])
    return sparse.vstack([_widened(above, width), _widened(below, width)], format="csr")


def _widened(counts: sparse.csr_matrix, width: int) -> sparse.csr_matrix:
    """The same counts, with columns for stems that were met later."""
    parts = counts.data, counts.indices, counts.indptr
    return sparse.csr_matrix(parts, shape=(counts.shape[0], width))


@dataclass(frozen=True)
class View:
    """One way to compare texts: a row of length one (or zero) for each paper and concept."""

    papers: sparse.csr_matrix | Array
    concepts: sparse.csr_matrix | Array


class Texts:
    """Papers and concepts as rows of words and, with an encoder, of meaning."""

    def __init__(
        self,
        concepts: Sequence[ConceptText],
        papers: Papers,
        lexicon: words.Lexicon,
        meaning: tuple[Array, Array] | None,
    ) -> None:
        self.lexicon = lexicon
        self.shape = len(papers.ids), len(concepts)
        own = lexicon.counts(
            words.joined((each.name, each.name, *each.aliases, each.text)) for each in concepts
        )
        namings = [_namings(concept, lexicon) for concept in concepts]
        naming = lexicon.counts(name for names in namings for name in names)
        width = naming.shape[1]
        self.text, self.title = _widened(papers.text, width), _widened(papers.title, width)
        own = _widened(own, width)
        rarity = words.rarity(self.text, own)
        self.by_words = View(words.weighed(self.text, rarity), words.weighed(own, rarity))
        self.views = [self.by_words] if meaning is None else [self.by_words, View(*meaning)]
        directions = _directions(self.by_words.papers[self.ordinary_rows()])
        self.space = self.by_words.papers @ directions
        if meaning is not None:
            self.space = np.hstack([meaning[0], self.space])
        self.naming = _shares(naming, rarity)
        counts = [len(names) for names in namings]
        self.first_naming = np.cumsum([0, *counts])[:-1]
        owner = np.repeat(np.arange(len(concepts)), counts)
        ones = np.ones(len(owner), np.float32)
        shape = len(concepts), len(owner)
        owns = sparse.csr_matrix((ones, (owner, np.arange(len(owner)))), shape=shape)
        self.names = (owns @ self.naming).tocsr()
        # Turned once, and not for each block of papers.
        self._own_texts = [_turned(view.concepts) for view in self.views]
        self._namings = _turned(self.naming)

    def ordinary_rows(self) -> Rows:
        """Papers spread evenly over the wiki."""
        count = self.shape[0]
        return np.unique(np.linspace(0, max(count - 1, 0), min(count, ORDINARY)).astype(np.int64))

    @cached_property
    def ordinary_name(self) -> Array:
        """How like an ordinary paper is to each concept's own text."""
        rows = self.ordinary_rows()
        summed = _sum(
            np.asarray(view.papers[rows].sum(axis=0) @ own).ravel()
            for view, own in zip(self.views, self._own_texts, strict=True)
        )
        return _ordinary(summed, len(rows))

    def name_likeness(self, rows: Rows) -> Array:
        """How like each paper is to each concept's own text, over all views."""
        return _sum(
            dense(view.papers[rows] @ own)
            for view, own in zip(self.views, self._own_texts, strict=True)
        )

    def mentions(self, rows: Rows, where: sparse.csr_matrix) -> Array:
        """The share of a concept's name, by rarity, that a paper says; the best of its names."""
        said = dense(_present(where[rows]) @ self._namings)
        return np.asarray(np.maximum.reduceat(said, self.first_naming, axis=1), np.float32)

    def named_words(self, rows: Rows, columns: Rows) -> list[tuple[str, ...]]:
        """For each pair the words of the concept's names that the paper says."""
        return self.written(_present(self.text[rows]).multiply(self.names[columns]))

    def written(self, shared: sparse.spmatrix, most: int = 5) -> list[tuple[str, ...]]:
        """The strongest stems of each row, as they are written."""
        shared = shared.tocsr()
        found = []
        for start, end in zip(shared.indptr[:-1], shared.indptr[1:], strict=True):
            order = np.argsort(-shared.data[start:end], kind="stable")[:most]
            columns = shared.indices[start:end][order].tolist()
            found.append(tuple(self.lexicon.written(column) for column in columns))
        return found


class Judge:
    """Turns papers into FEATURES, given who belongs to what."""

    def __init__(
        self,
        texts: Texts,
        members: sparse.csr_matrix,
        rejected: sparse.csr_matrix,
        near: sparse.csr_matrix,
    ) -> None:
        """members, rejected: (papers, concepts), members may weigh less than one; near: (papers,
        papers), one where two papers are neighbours in the graph."""
        self.texts, self.members = texts, members.tocsr()
        self.profiles = [_Profiles(view, self.members) for view in texts.views]
        self.size = np.asarray(self.members.sum(axis=0), np.float32).ravel()
        self.verdicts = (self.members - REFUSED * rejected).tocsr()
        self.decided = np.flatnonzero(np.diff(self.verdicts.indptr))
        self.place = np.full(texts.shape[0], -1)  # of each paper among those decided
        self.place[self.decided] = np.arange(len(self.decided))
        self.known, self.said = texts.space[self.decided], self.verdicts[self.decided]
        self.near = near.tocsr()[:, self.decided]
        inner = self.known.T @ self.known + np.eye(self.known.shape[1], dtype=np.float32)
        self.inverse = np.linalg.inv(inner)
        self.slopes = self.inverse @ dense(self.said.T @ self.known).T
        step = max(len(self.decided) // SLAB, 1)
        self.some = np.ascontiguousarray(self.known[::step])
        sample = texts.ordinary_rows()
        likeness = _sum(profile.summed(sample) for profile in self.profiles)
        self.ordinary_papers = _ordinary(likeness, len(sample))

    def features(self, rows: Rows, names: Collection[str] = FEATURES) -> Array:
        """(rows, concepts, FEATURES); a paper that counts for a concept is taken out first.

        Zero are those not among the names. In memory each feature lies by itself: `[..., number]`
        is one piece.
        """
        found = np.zeros((len(FEATURES), len(rows), self.texts.shape[1]), np.float32)

        def put(name: str, of: Callable[[Rows], Array]) -> None:
            lead = f"{name} lead"
            if name in names or lead in names:
                found[FEATURES.index(name)] = numbers = of(rows)
                if lead in FEATURES:
                    found[FEATURES.index(lead)] = _lead(numbers)

        texts = self.texts
        put("papers", lambda rows: self._likeness(rows) - self.ordinary_papers)
        put("classifier", self._classifier)
        put("size", self._size)
        put("name", lambda rows: texts.name_likeness(rows) - texts.ordinary_name)
        put("mention", lambda rows: texts.mentions(rows, texts.text))
        put("title mention", lambda rows: texts.mentions(rows, texts.title))
        if {"neighbours", "neighbours lead", "familiar"} & {*names}:
            votes, familiar = self._votes(rows)
            put("neighbours", lambda rows: votes)
            put("familiar", lambda rows: familiar[:, None])
        return np.moveaxis(found, 0, -1)

    def shared_words(self, rows: Rows, columns: Rows) -> list[tuple[str, ...]]:
        """For each pair the words that make the paper like the concept's profile.

        The paper's own share in the profile is taken out: it does not speak for itself.
        """
        papers = self.texts.by_words.papers[rows]
        own = sparse.diags(np.asarray(self.members[rows, columns], np.float32).ravel())
        others = sparse.csr_matrix(self.profiles[0].sums)[columns] - own @ papers
        shared = others.multiply(papers).tocsr()
        shared.data[shared.data < 1e-6] = 0
        shared.eliminate_zeros()
        return self.texts.written(shared)

    def _likeness(self, rows: Rows) -> Array:
        return _sum(profile.likeness(rows) for profile in self.profiles)

    def _size(self, rows: Rows) -> Array:
        own = self.members[rows].toarray()
        return np.asarray(np.log1p(np.maximum(self.size - own, 0)), np.float32)

    def _classifier(self, rows: Rows) -> Array:
        """Ridge over all concepts; for a decided paper the answer had it been left out."""
        space = self.texts.space[rows]
        answer = space @ self.slopes
        pull = ((space @ self.inverse) * space).sum(axis=1)[:, None]
        pull = np.where(self.place[rows][:, None] >= 0, np.minimum(pull, np.float32(0.99)), 0)
        return np.asarray((answer - pull * self.verdicts[rows].toarray()) / (1 - pull), np.float32)

    def _votes(self, rows: Rows) -> tuple[Array, Array]:
        """What the nearest decided papers belong to, the nearer the louder; and how near they are.

        (rows, concepts) and (rows,). A paper far from all that was decided is likely about nothing
        that the wiki has, whichever concept is best.
        """
        total = len(self.decided)
        if not total:
            none = np.zeros((len(rows), self.texts.shape[1]), np.float32)
            return none, np.zeros(len(rows), np.float32)
        at, place, near, rank = self._nearest(rows)
        voice = near**8
        shares = voice / (np.bincount(at, voice, len(rows)) + 1e-9)[at]
        ends = np.searchsorted(at, np.arange(len(rows) + 1))
        votes = sparse.csr_matrix((shares.astype(np.float32), place, ends), (len(rows), total))
        loudest = np.where(rank < FEW, near, 0)
        familiar = np.bincount(at, loudest, len(rows)) / min(FEW, total)
        return dense(votes @ self.said), familiar.astype(np.float32)

    def _nearest(self, rows: Rows) -> tuple[Rows, Rows, Array, Rows]:
        """Of each paper the NEIGHBOURS decided ones nearest to it, nearest first, itself left out.

        As (number of the row, place among the decided, how near, rank); by row, and only those
        that are near at all.
        """
        space, total = self.texts.space[rows], len(self.decided)
        # As many of a sample are at least so near, and the paper itself may be one of them.
        last = len(self.some) - NEIGHBOURS - 1
        least = np.full((len(rows), 1), -np.inf, np.float32)
        if last > 0:
            least = np.partition(space @ self.some.T, last, axis=1)[:, [last]] - ROUNDING
        joined = self.near[rows].tocoo()
        found = [(joined.row.astype(np.int64), joined.col.astype(np.int64))]
        for start in range(0, total, SLAB):
            at, place = np.nonzero(space @ self.known[start : start + SLAB].T >= least)
            found.append((at, place + start))
        keys = np.unique(np.concatenate([at * total + place for at, place in found]))
        at, place = keys // total, keys % total
        near = np.vecdot(space[at], self.known[place])
        near[np.searchsorted(keys, joined.row * np.int64(total) + joined.col)] += joined.data
        order = np.lexsort((-near, at))
        order = order[(near[order] > 0) & (self.place[rows[at[order]]] != place[order])]
        at, place, near = at[order], place[order], near[order]
        rank = np.arange(len(at)) - np.searchsorted(at, at)
        first = rank < NEIGHBOURS
        return at[first], place[first], near[first], rank[first]


class _Profiles:
    """What each concept looks like in one view: its own text and its papers, summed."""

    def __init__(self, view: View, members: sparse.csr_matrix) -> None:
        self.view, self.members = view, members
        self.sums = members.T @ view.papers + view.concepts
        squares = self.sums.multiply(self.sums) if sparse.issparse(self.sums) else self.sums**2
        self.squares = np.asarray(squares.sum(axis=1), np.float32).ravel()
        self._turned = _turned(self.sums)  # once, and not for each block of papers

    def likeness(self, rows: Rows) -> Array:
        """Cosine of each paper with each profile, the paper's own share taken out of it."""
        own = self.members[rows].toarray()
        product = dense(self.view.papers[rows] @ self._turned)
        left = np.maximum(self.squares - 2 * own * product + own**2, 1e-6)
        return np.asarray((product - own) / np.sqrt(left), np.float32)

    def summed(self, rows: Rows) -> Array:
        """The likenesses of some papers, added up: (concepts,).

        All papers at once as if none had a share in a profile, and then the few that have one.
        """
        papers = self.view.papers[rows]
        lengths = np.sqrt(np.maximum(self.squares, 1e-6))
        whole = np.asarray(papers.sum(axis=0) @ self._turned).ravel() / lengths
        own = self.members[rows].tocoo()
        product = _products(papers[own.row], self.sums[own.col])
        left = np.maximum(self.squares[own.col] - 2 * own.data * product + own.data**2, 1e-6)
        change = (product - own.data) / np.sqrt(left) - product / lengths[own.col]
        return np.asarray(whole + np.bincount(own.col, change, len(whole)), np.float32)


def blocks(rows: Rows) -> list[Rows]:
    """The rows in runs of at most BLOCK."""
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]


def unit(rows: Array) -> Array:
    """Rows at length one; zero rows, and rows that are no numbers, are zero."""
    given = np.asarray(rows, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.vecdot(given, given))
        found = given / np.maximum(lengths, np.float32(1e-9))[:, None]
    found[~np.isfinite(lengths)] = 0
    return np.asarray(found, np.float32)


def dense(matrix: sparse.spmatrix | Array) -> Array:
    """A matrix as a plain array."""
    return np.asarray(matrix if isinstance(matrix, np.ndarray) else matrix.toarray(), np.float32)


def _turned(matrix: sparse.csr_matrix | Array) -> sparse.csr_matrix | Array:
    """The transpose, in the order in which products with it are fast."""
    return matrix.T if isinstance(matrix, np.ndarray) else matrix.T.tocsr()


def _present(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """One where a stem is said at all."""
    ones = np.ones(len(counts.data), np.float32)
    return sparse.csr_matrix((ones, counts.indices, counts.indptr), shape=counts.shape)


def _sum(parts: Iterable[Array]) -> Array:
    return np.asarray(sum(parts), np.float32)


def _lead(scores: Array) -> Array:
    """By how much each concept leads the best other one of the same paper (below zero: trails)."""
    if scores.shape[1] < 2:
        return np.zeros_like(scores)
    second, best = np.partition(scores, -2, axis=1)[:, -2:].T
    rival = np.where(scores >= best[:, None], second[:, None], best[:, None])
    return np.asarray(scores - rival, np.float32)


def _products(some: sparse.csr_matrix | Array, others: sparse.csr_matrix | Array) -> Array:
    """The product of each row with the other's row."""
    if isinstance(some, np.ndarray):
        return np.asarray(np.vecdot(some, others), np.float32)
    return np.asarray(some.multiply(others).sum(axis=1), np.float32).ravel()


def _ordinary(summed: Array, papers: int) -> Array:
    """Each concept's mean over papers, drawn towards the mean of all when papers are few."""
    if not papers or not len(summed):
        return np.zeros(len(summed), np.float32)
    return np.asarray((summed + 3 * summed.mean() / papers) / (papers + 3), np.float32)


def _namings(concept: ConceptText, lexicon: words.Lexicon) -> list[str]:
    """The name, the aliases, and the acronym where the wiki's texts write it in capitals."""
    acronym = words.initials(concept.name)
    column = lexicon.column(words.stem(acronym)) if len(acronym) > 2 else None
    known = column is not None and lexicon.written(column).isupper()
    return [concept.name, *concept.aliases, *([acronym] if known else [])]


def _shares(naming: sparse.csr_matrix, rarity: Array) -> sparse.csr_matrix:
    """Each naming's words by squared rarity, summing to one."""
    shares = (naming > 0).astype(np.float32) @ sparse.diags(rarity**2)
    total = np.asarray(shares.sum(axis=1)).ravel()
    return (sparse.diags(1 / np.maximum(total, 1e-9)) @ shares).tocsr().astype(np.float32)


def _directions(sample: sparse.csr_matrix) -> Array:
    """The strongest directions of the words: (stems, at most DIRECTIONS), orthonormal."""
    if not sample.shape[0]:
        return np.zeros((sample.shape[1], 0), np.float32)
    strength, vectors = np.linalg.eigh(dense(sample @ sample.T))
    strongest = np.argsort(-strength)[:DIRECTIONS]
    strongest = strongest[strength[strongest] > 1e-4]
    turned = vectors[:, strongest] / np.sqrt(strength[strongest])
    return np.asarray(sample.T @ turned, np.float32)
