"""The linker's rule: which concepts is a paper about, and how sure is that?

`Knowledge.fit` reads everything the wiki holds once: concepts, papers, what was accepted and what
was rejected. `rank` then gives each paper its candidates with a calibrated confidence and the
signals behind it. The rule in one breath:

    a concept's profile   its name, aliases and definition, and its accepted papers, as one sum
    papers                how like the paper is to the profile, in words and in meaning, less how
                          like that profile an ordinary paper is (broad concepts are near everything)
    classifier            one linear classifier over all concepts (ridge, closed form)
    neighbours            the nearest decided papers vote; thread members and shared references too
    name, mention         the name against the paper; the words of the name, in title and in text
    lead                  each of these against the best *other* concept of the same paper
    confidence            logistic regression over these numbers (confidence.py)

A paper that already counts for a concept is taken out before it is compared with it, so papers can
be ranked again and decided ones can teach the weights. A concept without accepted papers lets the
surest waiting papers stand in for them. Pure: no database, no files, no model, no clock.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from app.domain import words
from app.domain.confidence import Scale, Weights

Array = NDArray[np.float32]
Rows = NDArray[np.int64]
Pair = tuple[int, int]

FEATURES = (
    "papers", "papers lead", "classifier", "classifier lead", "neighbours", "neighbours lead",
    "size", "name", "name lead", "mention", "mention lead", "title mention", "title mention lead",
)  # fmt: skip
BLOCK = 256  # papers compared at once: bounds memory at BLOCK x concepts x features
ORDINARY = 1_000  # papers that show what an ordinary likeness is
DIRECTIONS = 128  # of the words, for the classifier and the neighbours
NEIGHBOURS = 30  # that vote
WAITING = 2_000  # undecided papers that may stand in
TAUGHT = 2_000  # decided papers that bend the weights
TRUST = 30.0  # what the shipped weights are worth, in decisions
REFUSED = 0.5  # of an accepted paper, turned round


class Stage(StrEnum):
    """How much is known of a concept; each stage has weights of its own."""

    NAMES = "names"  # names and definitions only
    COLD = "cold"  # and papers that stand in
    WARM = "warm"  # accepted papers


class SignalKind(StrEnum):
    """What speaks for a link, in the order of the module's docstring."""

    PAPERS = "papers"
    CLASSIFIER = "classifier"
    NEIGHBOURS = "neighbours"
    SIZE = "size"
    NAME = "name"
    MENTION = "mention"


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
class Signal:
    """One reason: its part of the log-odds (below zero speaks against) and the words that matched."""

    kind: SignalKind
    weight: float
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A concept a paper may be about; `signals` are ordered, the strongest support first."""

    paper: int
    concept: int
    confidence: float
    proposed: bool
    signals: tuple[Signal, ...]


class Knowledge:
    """What the wiki holds, read once and used for every ranking until something is decided."""

    def __init__(
        self,
        concepts: Sequence[ConceptText],
        papers: Sequence[PaperText],
        *,
        accepted: Collection[Pair],
        weights: Weights,
        rejected: Collection[Pair] = (),
        neighbours: Collection[Pair] = (),
        vectors: tuple[Array, Array] | None = None,
        lexicon: words.Lexicon | None = None,
    ) -> None:
        """Reads and fits; seconds for 100,000 papers whose texts the lexicon has met before.

        papers: all kept papers in the order of their dates, the ones to link among them: the
        waiting ones show what is ordinary. accepted, rejected: (paper, concept); neighbours:
        (paper, paper) that share a thread or cite each other. vectors: float32, one row a paper
        and one a concept in the order given, zero where there is none (yet); None without an
        encoder. Pairs that name something else are left out.
        """
        self.concepts = tuple(concepts)
        self.papers = tuple(papers)
        self.row = {paper.id: row for row, paper in enumerate(self.papers)}
        self.column = {concept.id: column for column, concept in enumerate(self.concepts)}
        self.lexicon = lexicon or words.Lexicon()
        self.shipped = weights
        self._given = (accepted, rejected, neighbours)
        self.accepted = _matrix(accepted, self.row, self.column)
        self.rejected = _matrix(rejected, self.row, self.column)
        self.meaning = None if vectors is None else tuple(_unit(part) for part in vectors)
        self.texts = _Texts(self.concepts, self.papers, self.lexicon, self.meaning)
        self.near = _matrix(neighbours, self.row, self.row)
        self.near = self.near + self.near.T
        self.warm = np.asarray(self.accepted.sum(axis=0)).ravel() > 0
        self._judge, self.weights = self._learned()

    @cached_property
    def without_vectors(self) -> "Knowledge":
        """The same knowledge by words alone: for papers that have no vector yet."""
        accepted, rejected, neighbours = self._given
        return Knowledge(
            self.concepts,
            self.papers,
            accepted=accepted,
            rejected=rejected,
            neighbours=neighbours,
            weights=self.shipped,
            lexicon=self.lexicon,
        )

    def has_vector(self, row: int) -> bool:
        """Whether the paper of this row can be compared in meaning."""
        return self.meaning is not None and bool(self.meaning[0][row].any())

    def confidence(self, rows: Rows) -> tuple[Array, Array]:
        """(rows, concepts) confidences and the (rows, concepts, FEATURES) they rest on."""
        features = self._judge.features(rows)
        return self._weighed(self.weights, features), features

    def features(self, rows: Rows) -> Array:
        """(rows, concepts, FEATURES) of some papers, by their place among the papers given."""
        return self._judge.features(rows)

    def parts(self, features: Array, column: int) -> dict[str, float]:
        """What each feature of one pair adds to the log-odds."""
        scale = self._scale(self.weights, Stage.WARM if self.warm[column] else Stage.COLD)
        return dict(zip(scale.names, scale.parts(_pick(features, scale)).tolist(), strict=True))

    def _weighed(self, weights: Weights, features: Array, stage: Stage = Stage.COLD) -> Array:
        """Confidences; concepts without accepted papers are weighed by `stage`."""
        known, unknown = self._scale(weights, Stage.WARM), self._scale(weights, stage)
        sure = np.empty(features.shape[:2], np.float32)
        sure[:, self.warm] = known.confidence(_pick(features[:, self.warm], known))
        sure[:, ~self.warm] = unknown.confidence(_pick(features[:, ~self.warm], unknown))
        return sure

    def _scale(self, weights: Weights, stage: Stage) -> Scale:
        return weights.scales[f"{stage}/{'words' if self.meaning is None else 'vectors'}"]

    def _learned(self) -> tuple["_Judge", Weights]:
        """The judge over accepted and standing-in papers, and the weights bent to this wiki."""
        judge = _Judge(self.texts, self.accepted, self.rejected, self.near)
        stand_ins = self._stand_ins(judge)
        if stand_ins.nnz:
            judge = _Judge(self.texts, self.accepted + stand_ins, self.rejected, self.near)
        return judge, self.shipped

    def _stand_ins(self, judge: "_Judge") -> sparse.csr_matrix:
        """For concepts without papers: the surest waiting papers, each as much as it is sure."""
        chosen = sparse.lil_matrix(self.accepted.shape, dtype=np.float32)
        waiting = np.flatnonzero(np.asarray(self.accepted.sum(axis=1)).ravel() == 0)[-WAITING:]
        if self.warm.all():
            return chosen.tocsr()
        for rows in _blocks(waiting):
            sure = self._weighed(self.shipped, judge.features(rows), Stage.NAMES)
            best = sure.max(axis=1, keepdims=True)
            chosen[rows] = np.where((sure > 0.1) & (sure >= best / 2) & ~self.warm, sure, 0)
        return chosen.tocsr()


def rank(
    papers: Sequence[int],
    knowledge: Knowledge,
    *,
    limit: int = 10,
    most: int = 5,
    excluded: Collection[Pair] = (),
    reopened: Collection[Pair] = (),
) -> list[Candidate]:
    """The best `limit` concepts of each paper, surest first; papers in the order given.

    Never one that is accepted or rejected already or in `excluded` (the page itself, what waits
    in review); `reopened` pairs may return although they were rejected. At most `most` of a paper
    are `proposed`, all of them at or above the floor. Ids the knowledge does not hold are passed
    over; the same question has the same answer, whatever else is asked with it.
    """
    rows = [knowledge.row[paper] for paper in papers if paper in knowledge.row]
    if not rows or not knowledge.concepts:
        return []
    barred = knowledge.accepted + knowledge.rejected
    barred = barred - barred.multiply(_matrix(reopened, knowledge.row, knowledge.column))
    barred = barred + _matrix(excluded, knowledge.row, knowledge.column)
    found: dict[int, list[Candidate]] = {}
    for how, part in _by_vectors(rows, knowledge):
        for block in _blocks(np.array(part)):
            found |= _ranked(block, how, barred, limit=limit, most=most)
    return [candidate for row in rows for candidate in found[row]]


def _by_vectors(rows: list[int], knowledge: Knowledge) -> list[tuple[Knowledge, list[int]]]:
    """The rows split by what they can be compared with."""
    with_vector = [row for row in rows if knowledge.has_vector(row)]
    without = [row for row in rows if not knowledge.has_vector(row)]
    split = [(knowledge, with_vector)] if with_vector else []
    if without:
        split.append(
            (knowledge if knowledge.meaning is None else knowledge.without_vectors, without)
        )
    return split


def _ranked(
    rows: Rows, knowledge: Knowledge, barred: sparse.csr_matrix, *, limit: int, most: int
) -> dict[int, list[Candidate]]:
    """The candidates of one block of papers, by row."""
    sure, features = knowledge.confidence(rows)
    sure[barred[rows].toarray() != 0] = -1
    found: dict[int, list[Candidate]] = {}
    for at, row in enumerate(rows.tolist()):
        order = np.argsort(-sure[at], kind="stable")[:limit]
        found[row] = [
            Candidate(
                paper=knowledge.papers[row].id,
                concept=knowledge.concepts[column].id,
                confidence=float(sure[at, column]),
                proposed=bool(place < most and sure[at, column] >= knowledge.weights.floor),
                signals=_signals(knowledge, row, column, features[at, column]),
            )
            for place, column in enumerate(order.tolist())
            if sure[at, column] >= 0
        ]
    return found


def _signals(knowledge: Knowledge, row: int, column: int, features: Array) -> tuple[Signal, ...]:
    """The features of one pair, summed by kind, with the words that matched."""
    weight = dict.fromkeys(SignalKind, 0.0)
    for name, part in knowledge.parts(features, column).items():
        weight[_KIND[name]] += part
    said = {
        SignalKind.PAPERS: knowledge._judge.shared_words(row, column),
        SignalKind.NAME: knowledge.texts.named_words(row, column),
        SignalKind.MENTION: knowledge.texts.named_words(row, column),
    }
    signals = [Signal(kind, round(weight[kind], 3), said.get(kind, ())) for kind in SignalKind]
    return tuple(sorted(signals, key=lambda signal: -signal.weight))


class _Texts:
    """All that can be said before anybody decided anything."""

    def __init__(
        self,
        concepts: Sequence[ConceptText],
        papers: Sequence[PaperText],
        lexicon: words.Lexicon,
        meaning: tuple[Array, ...] | None,
    ) -> None:
        self.lexicon = lexicon
        names = [words.joined((c.name, c.name, *c.aliases, c.text)) for c in concepts]
        namings = [_namings(concept, lexicon) for concept in concepts]
        titles = [paper.title for paper in papers]
        texts = [words.joined((paper.title, paper.title, paper.text)) for paper in papers]
        read = [lexicon.counts(part) for part in (texts, titles, names, sum(namings, []))]
        for part in read:
            part.resize(part.shape[0], read[-1].shape[1])
        text, title, name, naming = read
        rarity = words.rarity(sparse.vstack([text, name]).tocsr())
        self.views = [_View(words.weighed(text, rarity), words.weighed(name, rarity))]
        directions = _directions(self.views[0].papers[self.ordinary_rows()])
        self.space = np.asarray(self.views[0].papers @ directions, np.float32)
        if meaning is not None:
            self.views.append(_View(*meaning))
            self.space = np.hstack([meaning[0], self.space])
        self.text, self.title = (text > 0).astype(np.float32), (title > 0).astype(np.float32)
        self.naming = _shares(naming, rarity)
        self.first = np.cumsum([0, *(len(each) for each in namings)])[:-1]

    @property
    def shape(self) -> tuple[int, int]:
        """(papers, concepts)."""
        return self.views[0].papers.shape[0], self.views[0].concepts.shape[0]

    def ordinary_rows(self) -> Rows:
        """Papers spread evenly over the wiki, that show what is ordinary."""
        count = self.shape[0]
        return np.unique(np.linspace(0, count - 1, min(count, ORDINARY)).astype(np.int64))

    def name_likeness(self, rows: Rows) -> Array:
        """How like each paper is to each concept's own text, over all views."""
        return sum((_dense(v.papers[rows] @ v.concepts.T) for v in self.views), np.float32(0))

    def mentions(self, rows: Rows, where: sparse.csr_matrix) -> Array:
        """The share of a concept's name, by rarity, that a paper says; the best of its names."""
        return np.maximum.reduceat(_dense(where[rows] @ self.naming.T), self.first, axis=1)

    def named_words(self, row: int, column: int) -> tuple[str, ...]:
        """The words of the concept's names that the paper says."""
        last = self.first[column + 1] if column + 1 < len(self.first) else self.naming.shape[0]
        shared = self.naming[self.first[column] : last].max(axis=0).multiply(self.text[row])
        return self._written(shared)

    def _written(self, shared: sparse.spmatrix, most: int = 5) -> tuple[str, ...]:
        shared = shared.tocoo()
        order = np.argsort(-shared.data, kind="stable")[:most]
        return tuple(
            self.lexicon.written(int(shared.col[at])) for at in order if shared.data[at] > 0
        )


@dataclass(frozen=True)
class _View:
    """One way to compare texts: a row of length one (or zero) for each paper and concept."""

    papers: sparse.csr_matrix | Array
    concepts: sparse.csr_matrix | Array


class _Profiles:
    """What each concept looks like in one view: its own text and its papers, summed."""

    def __init__(self, view: _View, members: sparse.csr_matrix) -> None:
        self.view, self.members = view, members
        self.sums = members.T @ view.papers + view.concepts
        squares = self.sums.multiply(self.sums) if sparse.issparse(self.sums) else self.sums**2
        self.squares = np.asarray(squares.sum(axis=1), np.float32).ravel()

    def likeness(self, rows: Rows) -> Array:
        """Cosine of each paper with each profile, the paper's own share taken out of it."""
        own = self.members[rows].toarray()
        product = _dense(self.view.papers[rows] @ self.sums.T)
        left = np.maximum(self.squares - 2 * own * product + own**2, 1e-6)
        return (product - own) / np.sqrt(left)


class _Judge:
    """Turns papers into FEATURES, given who belongs to what."""

    def __init__(
        self,
        texts: _Texts,
        members: sparse.csr_matrix,
        rejected: sparse.csr_matrix,
        near: sparse.csr_matrix,
    ) -> None:
        self.texts, self.members, self.near = texts, members.tocsr(), near.tocsr()
        self.profiles = [_Profiles(view, self.members) for view in texts.views]
        self.verdicts = (self.members - REFUSED * rejected).tocsr()
        self.decided = np.flatnonzero(np.diff(self.verdicts.indptr))
        self.known = texts.space[self.decided]
        inner = self.known.T @ self.known + np.eye(self.known.shape[1], dtype=np.float32)
        self.inverse = np.linalg.inv(inner)
        self.slopes = self.inverse @ _dense(self.verdicts[self.decided].T @ self.known).T
        self.size = np.asarray(self.members.sum(axis=0), np.float32).ravel()
        sample = texts.ordinary_rows()
        parts = [(self._papers(rows), texts.name_likeness(rows)) for rows in _blocks(sample)]
        self.ordinary = [_ordinary([part[which] for part in parts]) for which in (0, 1)]

    def features(self, rows: Rows) -> Array:
        """(rows, concepts, FEATURES), each row compared without what it decided itself."""
        papers = self._papers(rows) - self.ordinary[0]
        classifier = self._classifier(rows)
        votes = self._votes(rows)
        size = np.log1p(np.maximum(self.size - self.members[rows].toarray(), 0))
        name = self.texts.name_likeness(rows) - self.ordinary[1]
        mention = self.texts.mentions(rows, self.texts.text)
        title = self.texts.mentions(rows, self.texts.title)
        found = (
            papers, _lead(papers), classifier, _lead(classifier), votes, _lead(votes),
            size, name, _lead(name), mention, _lead(mention), title, _lead(title),
        )  # fmt: skip
        return np.stack(found, axis=-1).astype(np.float32)

    def shared_words(self, row: int, column: int) -> tuple[str, ...]:
        """The words that make the paper like the concept's profile, the strongest first."""
        shared = self.texts.views[0].papers[row].multiply(self.profiles[0].sums[column])
        return self.texts._written(shared)

    def _papers(self, rows: Rows) -> Array:
        return sum((profile.likeness(rows) for profile in self.profiles), np.float32(0))

    def _classifier(self, rows: Rows) -> Array:
        """Ridge over all concepts; for decided papers the answer had they been left out."""
        space = self.texts.space[rows]
        answer = space @ self.slopes
        own = self.verdicts[rows].toarray()
        part = ((space @ self.inverse) * space).sum(axis=1)[:, None]
        part = np.where(np.isin(rows, self.decided)[:, None], np.minimum(part, 0.99), 0)
        return (answer - part * own) / (1 - part)

    def _votes(self, rows: Rows) -> Array:
        """What the nearest decided papers belong to, the nearer the louder."""
        if not len(self.decided):
            return np.zeros((len(rows), self.texts.shape[1]), np.float32)
        near = self.texts.space[rows] @ self.known.T + self.near[rows][:, self.decided].toarray()
        near[rows[:, None] == self.decided] = 0
        count = min(NEIGHBOURS, len(self.decided))
        nearest = np.argpartition(-near, count - 1, axis=1)[:, :count]
        voice = np.maximum(np.take_along_axis(near, nearest, axis=1), 0) ** 8
        voice /= voice.sum(axis=1, keepdims=True) + 1e-9
        at = np.repeat(np.arange(len(rows)), count)
        shape = (len(rows), len(self.decided))
        votes = sparse.csr_matrix((voice.ravel(), (at, nearest.ravel())), shape=shape)
        return _dense(votes @ self.verdicts[self.decided])


_KIND = {name: SignalKind(name.removesuffix(" lead").removeprefix("title ")) for name in FEATURES}


def _lead(scores: Array) -> Array:
    """By how much each concept leads the best other one of the same paper (below zero: trails)."""
    if scores.shape[1] < 2:
        return np.zeros_like(scores)
    second, best = np.partition(scores, -2, axis=1)[:, -2:].T
    return scores - np.where(scores >= best[:, None], second[:, None], best[:, None])


def _ordinary(parts: Sequence[Array]) -> Array:
    """Each concept's mean over papers, drawn towards the mean of all when papers are few."""
    scores = np.concatenate(parts) if parts else np.zeros((1, 0), np.float32)
    return (scores.sum(axis=0) + 3 * scores.mean()) / (len(scores) + 3)


def _namings(concept: ConceptText, lexicon: words.Lexicon) -> list[str]:
    """The name, the aliases, and the acronym where the wiki's texts write it in capitals."""
    acronym = words.initials(concept.name)
    column = lexicon.column(words.stem(acronym)) if len(acronym) > 2 else None
    written = column is not None and lexicon.written(column).isupper()
    return [concept.name, *concept.aliases, *([acronym] if written else [])]


def _shares(naming: sparse.csr_matrix, rarity: Array) -> sparse.csr_matrix:
    """Each naming's words by squared rarity, summing to one."""
    shares = (naming > 0).astype(np.float32) @ sparse.diags(rarity**2)
    return (sparse.diags(1 / np.maximum(shares.sum(axis=1).A1, 1e-9)) @ shares).tocsr()


def _directions(sample: sparse.csr_matrix) -> Array:
    """The strongest directions of the words: (stems, at most DIRECTIONS), orthonormal."""
    strength, vectors = np.linalg.eigh(_dense(sample @ sample.T))
    strongest = np.argsort(-strength)[:DIRECTIONS]
    strongest = strongest[strength[strongest] > 1e-4]
    return np.asarray(sample.T @ (vectors[:, strongest] / np.sqrt(strength[strongest])), np.float32)


def _matrix(
    pairs: Collection[Pair], rows: dict[int, int], columns: dict[int, int]
) -> sparse.csr_matrix:
    """Pairs of ids as a matrix of ones; pairs with an unknown id are left out."""
    known = {(rows[a], columns[b]) for a, b in pairs if a in rows and b in columns}
    at = np.array(sorted(known), np.int64).reshape(-1, 2)
    ones = np.ones(len(at), np.float32)
    return sparse.csr_matrix((ones, (at[:, 0], at[:, 1])), shape=(len(rows), len(columns)))


def _unit(rows: Array) -> Array:
    """Rows at length one; zero rows, and rows that are no numbers, are zero."""
    rows = np.nan_to_num(np.asarray(rows, np.float32), posinf=0, neginf=0)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def _dense(matrix: sparse.csr_matrix | Array) -> Array:
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, np.float32)


def _pick(features: Array, scale: Scale) -> Array:
    return features[..., [FEATURES.index(name) for name in scale.names]]


def _blocks(rows: Rows) -> list[Rows]:
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
