"""Papers and concepts as rows of numbers: of their words and, with an encoder, of their meaning.

`Papers` counts words, `Frame` says how much each word weighs, `Texts` holds the rows and what can
be said before anybody decided anything. Made from earlier texts of the same wiki, they take over
what did not change; the frame stays until the wiki has grown.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from app.domain import words

Array = NDArray[np.float32]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

BLOCK = 256  # papers compared at once: bounds memory at BLOCK x concepts x features
ORDINARY = 1_000  # papers that show what an ordinary likeness is, and how words go together
WINDOW = 120  # words, without stop words, that an encoder reads of a text
PASSAGE = 20  # of them in a concept's text speak like one paper of it
LONGEST = 10  # no text speaks like more papers than that, and one for the name
DIRECTIONS = 128  # of the words, for the classifier and the neighbours
GROWN = 0.1  # of the papers or concepts may come, go or change, and the frame stays
SLAB = 8_192  # papers compared at once: they stay in the processor's cache


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

    text, title: stem counts of all its words (those of the title twice) and of its title. marks: a
    hash of each paper's text, good in this process: of two with one mark the counts are the same.
    """

    ids: Rows
    text: sparse.csr_matrix
    title: sparse.csr_matrix
    marks: Rows

    @classmethod
    def read(cls, papers: Iterable[PaperText], lexicon: words.Lexicon) -> "Papers":
        """Counts the words; goes through the papers once, so they need not be in memory together."""
        ids: list[int] = []
        marks: list[int] = []

        def spoken() -> Iterable[str]:
            for paper in papers:
                ids.append(paper.id)
                marks.append(hash((paper.title, paper.text)))
                yield from (paper.title, paper.text)

        counts = lexicon.counts(spoken())
        title, text = counts[0::2], counts[1::2]
        told = np.array(marks, np.int64)
        return cls(np.array(ids, np.int64), (text + 2 * title).tocsr(), title, told)

    def first(self, count: int) -> "Papers":
        """The first so many of them."""
        kept = slice(0, count)
        return Papers(self.ids[kept], self.text[kept], self.title[kept], self.marks[kept])

    def updated(self, order: Sequence[int], new: "Papers") -> "Papers":
        """These and the new papers, which come in place of older ones of the same id, in an order.

        Every id of the order must be among the two.
        """
        ids = np.array(order, np.int64)
        at, late = places(ids, new.ids)
        rows = np.where(late, at + len(self.ids), places(ids, self.ids)[0])
        return Papers(
            ids,
            _picked(stacked(self.text, new.text), rows),
            _picked(stacked(self.title, new.title), rows),
            np.append(self.marks, new.marks)[rows],
        )


@dataclass(frozen=True)
class View:
    """One way to compare texts: a row of length one (or zero) for each paper and concept."""

    papers: sparse.csr_matrix | Array
    concepts: sparse.csr_matrix | Array
    spoken: Array  # as how many papers each concept's own text speaks: (concepts,)


@dataclass(frozen=True)
class Frame:
    """What words weigh and how they go together, fitted of a whole wiki.

    rarity: (stems,), and `rarest` of those met later; directions: (stems, at most DIRECTIONS),
    orthonormal, of the columns `stems`; ordinary: ids of papers spread evenly over the wiki.
    `papers` and `concepts` are how many there were.
    """

    rarity: Array
    rarest: float
    stems: Rows
    directions: Array
    ordinary: Rows
    papers: int
    concepts: int

    @classmethod
    def fit(cls, papers: Papers, text: sparse.csr_matrix, own: sparse.csr_matrix) -> "Frame":
        """text, own: what papers and concepts say, as counts of the same columns."""
        count = len(papers.ids)
        rarity = words.rarity(text, own)
        rows = np.linspace(0, max(count - 1, 0), min(count, ORDINARY)).astype(np.int64)
        rows = np.unique(rows)
        sample = words.weighed(text[rows], rarity)
        stems = np.unique(sample.indices).astype(np.int64)
        rarest = 1 + float(np.log(1 + count + own.shape[0]))
        ordinary = papers.ids[rows]
        directions = _directions(sample[:, stems])
        return cls(rarity, rarest, stems, directions, ordinary, count, own.shape[0])

    def holds(self, shape: tuple[int, int], news: tuple[int, int]) -> bool:
        """Whether a wiki is still much like the one it was fitted of.

        shape: how many papers and concepts it has; news: how many of each came or changed since.
        """
        return all(
            max(abs(now - then), late) <= GROWN * then
            for now, late, then in zip(shape, news, (self.papers, self.concepts), strict=True)
        )

    def rarities(self, width: int) -> Array:
        """Of as many columns."""
        later = np.full(width - len(self.rarity), self.rarest, np.float32)
        return np.append(self.rarity, later)

    def placed(self, weighed: sparse.csr_matrix) -> Array:
        """Rows of words in the directions: (rows, directions)."""
        return dense(weighed[:, self.stems] @ self.directions)


@dataclass(frozen=True)
class Moved:
    """Where each paper and concept stood in earlier texts; -1 for what is new or has changed."""

    papers: Rows
    concepts: Rows

    @classmethod
    def nowhere(cls, papers: int, concepts: int) -> "Moved":
        """All are new."""
        return cls(np.full(papers, -1), np.full(concepts, -1))

    @classmethod
    def nothing(cls, papers: int, concepts: int) -> "Moved":
        """All stand where they stood."""
        return cls(np.arange(papers), np.arange(concepts))

    def matrix(self, then: sparse.csr_matrix) -> sparse.csr_matrix:
        """A matrix (papers, concepts) as it would stand now, without what is new or has changed."""
        old = then.tocoo()
        rows = inverse(self.papers, then.shape[0])[old.row]
        columns = inverse(self.concepts, then.shape[1])[old.col]
        kept = (rows >= 0) & (columns >= 0)
        shape = len(self.papers), len(self.concepts)
        return sparse.csr_matrix((old.data[kept], (rows[kept], columns[kept])), shape=shape)


class Texts:
    """Papers and concepts as rows of words and, with an encoder, of meaning."""

    def __init__(
        self,
        concepts: Sequence[ConceptText],
        papers: Papers,
        lexicon: words.Lexicon,
        meaning: tuple[Array, Array] | None,
        *,
        earlier: "Texts | None" = None,
        frame: Frame | None = None,
    ) -> None:
        """earlier: texts of the same wiki, of which is taken over what did not change, unless the
        wiki has grown too much for their frame. frame: one to use instead of fitting it."""
        self.lexicon, self.concepts, self.papers = lexicon, tuple(concepts), papers
        self.meaning = None if meaning is None else (unit(meaning[0]), unit(meaning[1]))
        self.shape = len(papers.ids), len(self.concepts)
        self.moved, self.news = Moved.nowhere(*self.shape), (0, 0)
        if earlier is not None and (news := self._followed(earlier)) is not None:
            self.moved, self.news = news
        else:
            earlier = None
        changed = [self.concepts[at] for at in np.flatnonzero(self.moved.concepts < 0)]
        own = lexicon.counts(
            words.joined((each.name, each.name, *each.aliases, each.text)) for each in changed
        )
        self.own: sparse.csr_matrix = (
            own if earlier is None else carried_counts(earlier.own, own, self.moved.concepts)
        )
        namings = [_namings(concept, lexicon) for concept in self.concepts]
        naming = lexicon.counts(name for names in namings for name in names)
        width = naming.shape[1]
        self.text, self.title = _widened(papers.text, width), _widened(papers.title, width)
        self.own = _widened(self.own, width)
        frame = earlier.frame if earlier is not None else frame
        self.frame: Frame = frame or Frame.fit(papers, self.text, self.own)
        rarity = self.frame.rarities(width)
        if earlier is not None and earlier.papers is papers:
            weighed = _widened(earlier.by_words.papers, width)
        else:
            weighed = words.weighed(self.text, rarity)
        lengths = np.asarray(self.own.sum(axis=1), np.float32).ravel()
        spoken = 1 + np.minimum(lengths / PASSAGE, LONGEST)
        self.by_words: View = View(weighed, words.weighed(self.own, rarity), spoken)
        self.views = [self.by_words]
        if self.meaning is not None:
            self.views.append(View(*self.meaning, np.ones(self.shape[1], np.float32)))
        # How much of its own text the vector of each concept can know.
        self.seen = WINDOW / (WINDOW + lengths)
        new = np.flatnonzero(self.moved.papers < 0)
        placed = self.frame.placed(weighed if earlier is None else weighed[new])
        if earlier is not None:
            placed = carried(earlier.parts[-1], placed, self.moved.papers)
        # What stands in one space for the classifier and the neighbours, side by side.
        self.parts: list[Array] = [placed] if self.meaning is None else [self.meaning[0], placed]
        self.naming = _shares(naming, rarity)
        counts = [len(names) for names in namings]
        self.first_naming = np.cumsum([0, *counts])[:-1]
        owner = np.repeat(np.arange(len(self.concepts)), counts)
        ones = np.ones(len(owner), np.float32)
        shape = len(self.concepts), len(owner)
        owns = sparse.csr_matrix((ones, (owner, np.arange(len(owner)))), shape=shape)
        self.names = (owns @ self.naming).tocsr()
        self.own_weights = self.weights()[: len(self.views)]
        # Turned once, and not for each block of papers.
        self._own_texts = [turned(view.concepts) for view in self.views]
        self._namings = turned(self.naming)

    def of_words(self) -> "Texts":
        """The same without meaning."""
        found = copy(self)
        found.__dict__.pop("ordinary_name", None)
        found.meaning, found.views, found.parts = None, self.views[:1], self.parts[-1:]
        found._own_texts, found.own_weights = self._own_texts[:1], self.own_weights[:1]
        return found

    def only(self, columns: Rows) -> "Texts":
        """The same with some of the concepts."""
        found = copy(self)
        found.concepts = tuple(self.concepts[column] for column in columns)
        found.shape = self.shape[0], len(columns)
        found.own, found.names = self.own[columns], self.names[columns]
        found.views = [
            View(view.papers, view.concepts[columns], view.spoken[columns]) for view in self.views
        ]
        found.by_words, found.seen = found.views[0], self.seen[columns]
        found._own_texts = [own[:, columns] for own in self._own_texts]
        ends = np.append(self.first_naming, self.naming.shape[0])
        counts = np.diff(ends)[columns]
        found.first_naming = np.cumsum(counts) - counts
        each = np.repeat(ends[columns] - found.first_naming, counts) + np.arange(counts.sum())
        found.naming, found._namings = self.naming[each], self._namings[:, each]
        found.__dict__["ordinary_name"] = self.ordinary_name[columns]
        return found

    def _followed(self, earlier: "Texts") -> tuple[Moved, tuple[int, int]] | None:
        """What moved since those, and how many papers and concepts are news to their frame.

        None when these cannot be made from those: another lexicon, another kind of vectors, or a
        wiki that has become another.
        """
        dims = [
            None if each is None else each[0].shape[1] for each in (self.meaning, earlier.meaning)
        ]
        if earlier.lexicon is not self.lexicon or dims[0] != dims[1]:
            return None
        moved = self._moved(earlier)
        late = int((moved.papers < 0).sum()), int((moved.concepts < 0).sum())
        news = earlier.news[0] + late[0], earlier.news[1] + late[1]
        return (moved, news) if earlier.frame.holds(self.shape, news) else None

    def _moved(self, earlier: "Texts") -> Moved:
        rows, same = places(self.papers.ids, earlier.papers.ids)
        if len(earlier.papers.ids):
            same &= earlier.papers.marks[rows] == self.papers.marks
        column = {concept.id: at for at, concept in enumerate(earlier.concepts)}
        columns = np.array([column.get(each.id, -1) for each in self.concepts], np.int64)
        for at, concept in zip(columns.tolist(), enumerate(self.concepts), strict=True):
            if at >= 0 and earlier.concepts[at] != concept[1]:
                columns[concept[0]] = -1
        if self.meaning is not None and earlier.meaning is not None:
            same[same] = _alike(
                self.meaning[0], earlier.meaning[0], np.flatnonzero(same), rows[same]
            )
            known = np.flatnonzero(columns >= 0)
            alike = _alike(self.meaning[1], earlier.meaning[1], known, columns[known])
            columns[known[~alike]] = -1
        return Moved(np.where(same, rows, -1), columns)

    @property
    def dimensions(self) -> int:
        """Of the space in which papers stand."""
        return sum(part.shape[1] for part in self.parts)

    def space(self, rows: Rows | slice) -> Array:
        """Where papers stand in the space of all parts: (rows, dimensions)."""
        return np.hstack([part[rows] for part in self.parts])

    def ordinary_rows(self) -> Rows:
        """Papers spread evenly over the wiki."""
        rows, known = places(self.frame.ordinary, self.papers.ids)
        return rows[known]

    @cached_property
    def ordinary_name(self) -> Array:
        """How like an ordinary paper is to each concept's own text."""
        rows = self.ordinary_rows()
        summed = added(
            np.float32(weight) * np.asarray(view.papers[rows].sum(axis=0) @ own).ravel()
            for weight, view, own in zip(self.own_weights, self.views, self._own_texts, strict=True)
        )
        return ordinary(summed, len(rows))

    def name_likeness(self, rows: Rows) -> Array:
        """How like each paper is to each concept's own text, over all views."""
        return added(
            np.float32(weight) * dense(view.papers[rows] @ own)
            for weight, view, own in zip(self.own_weights, self.views, self._own_texts, strict=True)
        )

    def weights(self, size: Array | float = 0.0) -> tuple[float, float]:
        """What words and meaning are worth when profiles have so many papers: (concepts,).

        One weight for the whole wiki, so that concepts can be compared: of long texts the vectors
        know the beginning alone, and of papers everything.
        """
        spoken = self.by_words.spoken
        known = (self.seen * spoken + size) / (spoken + size)
        return 1.0, float(known.mean()) if len(known) else 1.0

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


# ---------------------------------------------------------------- matrices


def blocks(rows: Rows, size: int = BLOCK) -> list[Rows]:
    """The rows in runs of at most so many."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def unit(rows: Array) -> Array:
    """Rows at length one; zero rows, and rows that are no numbers, are zero.

    Rows that are so already are given back as they are: a wiki's vectors are large.
    """
    given = np.asarray(rows, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.vecdot(given, given)
        if ((np.abs(squares - 1) < 1e-6) | (squares == 0)).all():
            return given
        lengths = np.sqrt(squares)
        found = given / np.maximum(lengths, np.float32(1e-9))[:, None]
    found[~np.isfinite(lengths)] = 0
    return np.asarray(found, np.float32)


def dense(matrix: sparse.spmatrix | Array) -> Array:
    """A matrix as a plain array."""
    return np.asarray(matrix if isinstance(matrix, np.ndarray) else matrix.toarray(), np.float32)


def turned(matrix: sparse.csr_matrix | Array) -> sparse.csr_matrix | Array:
    """The transpose, in the order in which products with it are fast."""
    return matrix.T if isinstance(matrix, np.ndarray) else matrix.T.tocsr()


def stacked(above: sparse.csr_matrix, below: sparse.csr_matrix) -> sparse.csr_matrix:
    """Counts one upon the other; columns of stems that one has not met are empty there."""
    width = max(above.shape[1], below.shape[1])
    if not above.shape[0]:
        return _widened(below, width)
    if not below.shape[0]:
        return _widened(above, width)
    return sparse.vstack([_widened(above, width), _widened(below, width)], format="csr")


def carried(old: Array, new: Array, moved: Rows) -> Array:
    """Row by row the old row it had (`moved`), and where there is none (-1) the next new one."""
    if np.array_equal(moved, np.arange(len(old))):
        return old
    found = np.empty((len(moved), new.shape[1]), np.float32)
    found[moved < 0] = new
    found[moved >= 0] = old[moved[moved >= 0]]
    return found


def carried_counts(
    old: sparse.csr_matrix, new: sparse.csr_matrix, moved: Rows
) -> sparse.csr_matrix:
    """The same of sparse rows, which may have come to have more columns."""
    rows = np.where(moved >= 0, moved, old.shape[0] + np.cumsum(moved < 0) - 1)
    return _picked(stacked(old, new), rows)


def inverse(moved: Rows, before: int) -> Rows:
    """Where each of what was `before` stands now, -1 if nowhere."""
    found = np.full(before, -1)
    kept = np.flatnonzero(moved >= 0)
    found[moved[kept]] = kept
    return found


def places(ids: Rows, known: Rows) -> tuple[Rows, Flags]:
    """Where each id stands among those known, and whether it does."""
    if not len(known):
        return np.zeros(len(ids), np.int64), np.zeros(len(ids), bool)
    order = np.argsort(known, kind="stable")
    found = order[np.minimum(np.searchsorted(known, ids, sorter=order), len(known) - 1)]
    return found, known[found] == ids


def added(parts: Iterable[Array]) -> Array:
    """Arrays of one shape, added up."""
    return np.asarray(sum(parts), np.float32)


def ordinary(summed: Array, papers: int) -> Array:
    """Each concept's mean over papers, drawn towards the mean of all when papers are few."""
    if not papers or not len(summed):
        return np.zeros(len(summed), np.float32)
    return np.asarray((summed + 3 * summed.mean() / papers) / (papers + 3), np.float32)


def _picked(matrix: sparse.csr_matrix, rows: Rows) -> sparse.csr_matrix:
    """Rows of a matrix; the matrix itself when they are all, in order."""
    return matrix if np.array_equal(rows, np.arange(matrix.shape[0])) else matrix[rows]


def _widened(counts: sparse.csr_matrix, width: int) -> sparse.csr_matrix:
    """The same counts, with columns for stems that were met later."""
    parts = counts.data, counts.indices, counts.indptr
    return sparse.csr_matrix(parts, shape=(counts.shape[0], width))


def _alike(some: Array, others: Array, rows: Rows, places: Rows) -> Flags:
    """Which of these rows are the other's rows at those places, number by number."""
    if some is others and np.array_equal(rows, places):
        return np.ones(len(rows), bool)
    parts = zip(blocks(rows, SLAB), blocks(places, SLAB), strict=True)
    same = [(some[here] == others[there]).all(axis=1) for here, there in parts]
    return np.concatenate(same) if same else np.zeros(0, bool)


def _present(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """One where a stem is said at all."""
    ones = np.ones(len(counts.data), np.float32)
    return sparse.csr_matrix((ones, counts.indices, counts.indptr), shape=counts.shape)


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
