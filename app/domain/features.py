"""The numbers the linker judges by: how like a paper is to each concept, in fourteen ways.

`Texts` holds what can be said before anybody decided anything, `Judge` what follows from who is
linked to what. Both work on whole matrices, in blocks of papers; the weighing is linking.py's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
class View:
    """One way to compare texts: a row of length one (or zero) for each paper and concept."""

    papers: sparse.csr_matrix | Array
    concepts: sparse.csr_matrix | Array


class Texts:
    """Papers and concepts as rows of words and, with an encoder, of meaning."""

    def __init__(
        self,
        concepts: Sequence[ConceptText],
        papers: Sequence[PaperText],
        lexicon: words.Lexicon,
        meaning: tuple[Array, Array] | None,
    ) -> None:
        self.lexicon = lexicon
        self.shape = len(papers), len(concepts)
        text, title, own, naming = _counted(concepts, papers, lexicon)
        rarity = words.rarity(sparse.vstack([text, own]).tocsr())
        self.by_words = View(words.weighed(text, rarity), words.weighed(own, rarity))
        self.views = [self.by_words] if meaning is None else [self.by_words, View(*meaning)]
        directions = _directions(self.by_words.papers[self.ordinary_rows()])
        self.space = np.asarray(self.by_words.papers @ directions, np.float32)
        if meaning is not None:
            self.space = np.hstack([meaning[0], self.space])
        self.text = (text > 0).astype(np.float32)
        self.title = (title > 0).astype(np.float32)
        self.naming = _shares(naming, rarity)
        namings = [len(_namings(concept, lexicon)) for concept in concepts]
        self.first_naming = np.cumsum([0, *namings])[:-1]
        owner = np.repeat(np.arange(len(concepts)), namings)
        ones = np.ones(len(owner), np.float32)
        shape = len(concepts), len(owner)
        owns = sparse.csr_matrix((ones, (owner, np.arange(len(owner)))), shape=shape)
        self.names = (owns @ self.naming).tocsr()

    def ordinary_rows(self) -> Rows:
        """Papers spread evenly over the wiki."""
        count = self.shape[0]
        return np.unique(np.linspace(0, max(count - 1, 0), min(count, ORDINARY)).astype(np.int64))

    def name_likeness(self, rows: Rows) -> Array:
        """How like each paper is to each concept's own text, over all views."""
        return _sum(dense(view.papers[rows] @ view.concepts.T) for view in self.views)

    def mentions(self, rows: Rows, where: sparse.csr_matrix) -> Array:
        """The share of a concept's name, by rarity, that a paper says; the best of its names."""
        said = dense(where[rows] @ self.naming.T)
        return np.asarray(np.maximum.reduceat(said, self.first_naming, axis=1), np.float32)

    def named_words(self, rows: Rows, columns: Rows) -> list[tuple[str, ...]]:
        """For each pair the words of the concept's names that the paper says."""
        return self.written(self.text[rows].multiply(self.names[columns]))

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
        self.texts, self.members, self.near = texts, members.tocsr(), near.tocsr()
        self.profiles = [_Profiles(view, self.members) for view in texts.views]
        self.size = np.asarray(self.members.sum(axis=0), np.float32).ravel()
        self.verdicts = (self.members - REFUSED * rejected).tocsr()
        self.decided = np.flatnonzero(np.diff(self.verdicts.indptr))
        self.known = texts.space[self.decided]
        inner = self.known.T @ self.known + np.eye(self.known.shape[1], dtype=np.float32)
        self.inverse = np.linalg.inv(inner)
        self.slopes = self.inverse @ dense(self.verdicts[self.decided].T @ self.known).T
        sample = blocks(texts.ordinary_rows())
        self.ordinary_papers = _ordinary([self._likeness(rows) for rows in sample], texts.shape[1])
        self.ordinary_name = _ordinary([texts.name_likeness(r) for r in sample], texts.shape[1])

    def features(self, rows: Rows) -> Array:
        """(rows, concepts, FEATURES); a paper that counts for a concept is taken out first."""
        papers = self._likeness(rows) - self.ordinary_papers
        classifier = self._classifier(rows)
        votes, familiar = self._votes(rows)
        size = np.log1p(np.maximum(self.size - self.members[rows].toarray(), 0))
        name = self.texts.name_likeness(rows) - self.ordinary_name
        mention = self.texts.mentions(rows, self.texts.text)
        title = self.texts.mentions(rows, self.texts.title)
        found = (
            papers, _lead(papers), classifier, _lead(classifier), votes, _lead(votes),
            size, name, _lead(name), mention, _lead(mention), title, _lead(title),
            np.broadcast_to(familiar[:, None], papers.shape),
        )  # fmt: skip
        return np.stack(found, axis=-1).astype(np.float32)

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

    def _classifier(self, rows: Rows) -> Array:
        """Ridge over all concepts; for a decided paper the answer had it been left out."""
        space = self.texts.space[rows]
        answer = space @ self.slopes
        pull = ((space @ self.inverse) * space).sum(axis=1)[:, None]
        pull = np.where(np.isin(rows, self.decided)[:, None], np.minimum(pull, 0.99), 0)
        return np.asarray((answer - pull * self.verdicts[rows].toarray()) / (1 - pull), np.float32)

    def _votes(self, rows: Rows) -> tuple[Array, Array]:
        """What the nearest decided papers belong to, the nearer the louder; and how near they are.

        (rows, concepts) and (rows,). A paper far from all that was decided is likely about nothing
        that the wiki has, whichever concept is best.
        """
        count = min(NEIGHBOURS, len(self.decided))
        if not count:
            none = np.zeros((len(rows), self.texts.shape[1]), np.float32)
            return none, np.zeros(len(rows), np.float32)
        near = self.texts.space[rows] @ self.known.T + self.near[rows][:, self.decided].toarray()
        near[rows[:, None] == self.decided] = 0
        nearest = np.argpartition(-near, count - 1, axis=1)[:, :count]
        near = np.maximum(np.take_along_axis(near, nearest, axis=1), 0)
        voice = near**8 / ((near**8).sum(axis=1, keepdims=True) + 1e-9)
        shape = len(rows), len(self.decided)
        ends = np.arange(0, voice.size + 1, count)
        votes = sparse.csr_matrix((voice.ravel(), nearest.ravel(), ends), shape=shape)
        familiar = np.sort(near, axis=1)[:, -FEW:].mean(axis=1)
        return dense(votes @ self.verdicts[self.decided]), np.asarray(familiar, np.float32)


class _Profiles:
    """What each concept looks like in one view: its own text and its papers, summed."""

    def __init__(self, view: View, members: sparse.csr_matrix) -> None:
        self.view, self.members = view, members
        self.sums = members.T @ view.papers + view.concepts
        squares = self.sums.multiply(self.sums) if sparse.issparse(self.sums) else self.sums**2
        self.squares = np.asarray(squares.sum(axis=1), np.float32).ravel()

    def likeness(self, rows: Rows) -> Array:
        """Cosine of each paper with each profile, the paper's own share taken out of it."""
        own = self.members[rows].toarray()
        product = dense(self.view.papers[rows] @ self.sums.T)
        left = np.maximum(self.squares - 2 * own * product + own**2, 1e-6)
        return np.asarray((product - own) / np.sqrt(left), np.float32)


def blocks(rows: Rows) -> list[Rows]:
    """The rows in runs of at most BLOCK."""
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]


def unit(rows: Array) -> Array:
    """Rows at length one; zero rows, and rows that are no numbers, are zero."""
    clean = np.asarray(rows, np.float32)
    clean = np.where(np.isfinite(clean).all(axis=1, keepdims=True), clean, 0)
    lengths = np.maximum(np.linalg.norm(clean, axis=1, keepdims=True), 1e-9)
    return np.asarray(clean / lengths, np.float32)


def dense(matrix: sparse.spmatrix | Array) -> Array:
    """A matrix as a plain array."""
    return np.asarray(matrix if isinstance(matrix, np.ndarray) else matrix.toarray(), np.float32)


def _sum(parts: Iterable[Array]) -> Array:
    return np.asarray(sum(parts), np.float32)


def _lead(scores: Array) -> Array:
    """By how much each concept leads the best other one of the same paper (below zero: trails)."""
    if scores.shape[1] < 2:
        return np.zeros_like(scores)
    second, best = np.partition(scores, -2, axis=1)[:, -2:].T
    rival = np.where(scores >= best[:, None], second[:, None], best[:, None])
    return np.asarray(scores - rival, np.float32)


def _ordinary(parts: Sequence[Array], concepts: int) -> Array:
    """Each concept's mean over papers, drawn towards the mean of all when papers are few."""
    if not parts or not concepts:
        return np.zeros(concepts, np.float32)
    scores = np.concatenate(parts)
    return np.asarray((scores.sum(axis=0) + 3 * scores.mean()) / (len(scores) + 3), np.float32)


def _counted(
    concepts: Sequence[ConceptText], papers: Sequence[PaperText], lexicon: words.Lexicon
) -> list[sparse.csr_matrix]:
    """Stem counts of papers, of their titles, of concepts, and of each of their names."""
    texts = [
        [words.joined((paper.title, paper.title, paper.text)) for paper in papers],
        [paper.title for paper in papers],
        [words.joined((each.name, each.name, *each.aliases, each.text)) for each in concepts],
    ]
    read = [lexicon.counts(part) for part in texts]
    read.append(lexicon.counts([name for each in concepts for name in _namings(each, lexicon)]))
    for part in read:
        part.resize(part.shape[0], read[-1].shape[1])
    return read


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
