"""The linker's rule: which concepts is a paper about, and how sure is that?

`Knowledge` reads what the wiki holds once: concepts, papers, what was accepted and rejected.
`rank` then gives each paper its candidates, with a calibrated confidence and the signals behind it.

    profile             a concept's name, aliases, definition and accepted papers, as one sum
    papers              how like a paper is to the profile, in words and in meaning, less how like
                        it an ordinary paper is (broad concepts are near everything)
    classifier          one linear classifier over all concepts (ridge, closed form)
    neighbours          the nearest decided papers vote; shared threads and references bring nearer
    name, mention       the concept's own text against the paper; the words of its name in the
                        paper, and in its title
    familiar            how near the nearest decided papers are: far from all, likely about none
    ... lead            each of these against the best *other* concept of the same paper
    confidence          logistic regression over these numbers (confidence.py), one for concepts
                        with accepted papers and one for those without

A paper that counts for a concept is taken out before the two are compared. So decided papers can be
judged again, and they bend the shipped weights to this reader. A concept without accepted papers
lets the surest waiting papers stand in for them. Pure: no database, no file, no model, no clock.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from app.domain import words
from app.domain.confidence import Scale, Weights, sigmoid
from app.domain.features import (
    FEATURES,
    Array,
    ConceptText,
    Judge,
    Papers,
    PaperText,
    Rows,
    Texts,
    blocks,
    unit,
)
from app.errors import Misconfigured

__all__ = [
    "Array", "Candidate", "ConceptText", "Knowledge", "Pair", "Pairs", "PaperText", "Papers",
    "Rows", "Signal", "SignalKind", "Stage", "Weights", "rank",
]  # fmt: skip

Pair = tuple[int, int]
Pairs = Collection[Pair] | Rows  # ids as tuples, or as an array of two columns
WAITING = 2_000  # undecided papers that may stand in
LEAST = 0.1  # how sure a paper must be by name to stand in
TAUGHT = 1_000  # decided papers that bend the weights
CLOSEST = 40  # concepts of each that are looked at for that
TRUST = 50.0  # what the shipped weights are worth, in decided pairs


class Stage(StrEnum):
    """How much is known of a concept; each stage has weights of its own."""

    NAMES = "names"  # its own text only
    COLD = "cold"  # and papers that stand in
    WARM = "warm"  # accepted papers


class SignalKind(StrEnum):
    """What speaks for a link, as in the module's docstring."""

    PAPERS = "papers"
    CLASSIFIER = "classifier"
    NEIGHBOURS = "neighbours"
    SIZE = "size"
    NAME = "name"
    MENTION = "mention"
    FAMILIAR = "familiar"


@dataclass(frozen=True)
class Signal:
    """One reason: its part of the log-odds (below zero speaks against), the words that matched."""

    kind: SignalKind
    weight: float
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A concept that a paper may be about; `signals` in order, the strongest support first."""

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
        papers: Sequence[PaperText] | Papers,
        *,
        accepted: Pairs,
        weights: Weights,
        rejected: Pairs = (),
        neighbours: Pairs = (),
        vectors: tuple[Array, Array] | None = None,
        lexicon: words.Lexicon | None = None,
    ) -> None:
        """papers: all kept papers in the order of their dates, the ones to link among them: those
        that wait show what is ordinary. accepted, rejected: (paper, concept); neighbours: (paper,
        paper) that share a thread or cite one another. vectors: float32, a row for each paper and
        one for each concept in the order given, zero where there is none (yet); None without an
        encoder. Pairs that name something else are left out; weights that lack a stage or name an
        unknown feature raise Misconfigured. Papers whose words were counted already come with the
        lexicon that numbers them: counting is the slow part."""
        self.lexicon = lexicon or words.Lexicon()
        self.concepts = tuple(concepts)
        self.papers = papers if isinstance(papers, Papers) else Papers.read(papers, self.lexicon)
        self.row = {paper: row for row, paper in enumerate(self.papers.ids.tolist())}
        self.column = {concept.id: column for column, concept in enumerate(self.concepts)}
        self.shipped = self.weights = _checked(weights)
        self._pairs = accepted, rejected, neighbours
        ids = np.array([concept.id for concept in self.concepts], np.int64)
        self.ids = self.papers.ids, ids
        self.accepted = _matrix(accepted, *self.ids)
        self.rejected = _matrix(rejected, *self.ids)
        near = _matrix(neighbours, self.papers.ids, self.papers.ids)
        self.near = (near + near.T).tocsr()
        self.warm = np.asarray(self.accepted.sum(axis=0)).ravel() > 0
        self.meaning = None if vectors is None else (unit(vectors[0]), unit(vectors[1]))
        self.texts = Texts(self.concepts, self.papers, self.lexicon, self.meaning)
        self.judge = self._judge()
        self.weights = self._taught()

    @cached_property
    def by_words(self) -> "Knowledge":
        """The same knowledge by words alone: for papers that have no vector."""
        accepted, rejected, neighbours = self._pairs
        return Knowledge(
            self.concepts,
            self.papers,
            accepted=accepted,
            rejected=rejected,
            neighbours=neighbours,
            weights=self.shipped,
            lexicon=self.lexicon,
        )

    def for_paper(self, row: int) -> "Knowledge":
        """This knowledge, or the one by words when the paper of that row has no vector."""
        return self if self.meaning is None or self.meaning[0][row].any() else self.by_words

    def confidence(self, features: Array, *, unlinked: Stage = Stage.COLD) -> Array:
        """(papers, concepts, FEATURES) -> (papers, concepts), each concept by its own stage."""
        sure = np.zeros(features.shape[:2], np.float32)
        for stage, columns in ((Stage.WARM, self.warm), (unlinked, ~self.warm)):
            scale = self.scale(stage)
            if columns.any():
                sure[:, columns] = _sure(features, scale)[:, columns]
        return sure

    def scale(self, stage: Stage) -> Scale:
        """The weights of a stage, for the views this knowledge has."""
        return self.weights.scales[self._scale_name(stage)]

    def _scale_name(self, stage: Stage) -> str:
        return f"{stage}/{'words' if self.meaning is None else 'vectors'}"

    def _judge(self) -> Judge:
        """Over accepted papers and, where a concept has none, the surest waiting ones."""
        judge = Judge(self.texts, self.accepted, self.rejected, self.near)
        waiting = np.flatnonzero(np.diff(self.accepted.indptr) == 0)[-WAITING:]
        if self.warm.all() or not len(waiting):
            return judge
        stand_ins = sparse.vstack([self._stand_ins(judge, rows) for rows in blocks(waiting)])
        if not stand_ins.nnz:
            return judge
        place = sparse.csr_matrix(
            (np.ones(len(waiting), np.float32), (waiting, np.arange(len(waiting)))),
            shape=(len(self.papers.ids), len(waiting)),
        )
        return Judge(self.texts, self.accepted + place @ stand_ins, self.rejected, self.near)

    def _stand_ins(self, judge: Judge, rows: Rows) -> sparse.csr_matrix:
        """Each paper for its best concepts without papers, as much as it is sure by name.

        Of a concept that is a bare name the paper has to say a word: titles alone would otherwise
        speak for one another.
        """
        scale = self.scale(Stage.NAMES)
        by_name = _sure(judge.features(rows, scale.names), scale)
        refused = self.rejected[rows].toarray() > 0
        bare = np.array([not concept.text.strip() for concept in self.concepts])
        said = (self.texts.mentions(rows, self.texts.text) > 0) | ~bare
        chosen = (by_name >= LEAST) & ~self.warm & ~refused & said
        # To look at the concepts with papers is dear, and needed for few rows.
        some = np.flatnonzero(chosen.any(axis=1))
        if len(some):
            sure = self.confidence(judge.features(rows[some]), unlinked=Stage.NAMES)
            chosen[some] &= by_name[some] >= sure.max(axis=1, keepdims=True) / 2
        return sparse.csr_matrix(np.where(chosen, by_name, 0))

    def _taught(self) -> Weights:
        """The shipped weights, bent to what this reader accepted of the likeliest pairs."""
        decided = np.flatnonzero(np.diff(self.accepted.indptr))[-TAUGHT:]
        scale = self.scale(Stage.WARM)
        lessons = [self._lessons(scale, rows) for rows in blocks(decided)]
        if not lessons:
            return self.shipped
        features, linked = (np.concatenate(part) for part in zip(*lessons, strict=True))
        bent = scale.adapted(features, linked, np.ones(len(linked), np.float32), trust=TRUST)
        return Weights(
            {**self.shipped.scales, self._scale_name(Stage.WARM): bent}, self.shipped.floor
        )

    def _lessons(self, scale: Scale, rows: Rows) -> tuple[Array, Array]:
        """Features of some papers' likeliest pairs, and whether they are linked.

        A concept whose only paper is the one looked at would be without papers: left out.
        """
        features = self.judge.features(rows)
        linked = self.accepted[rows].toarray()
        sure = np.where(self.warm, self.confidence(features), -1)
        others = self.judge.size - linked >= 0.5
        count = min(CLOSEST, len(self.concepts))
        likely = np.argpartition(-(sure + linked), count - 1, axis=1)[:, :count]
        chosen = np.zeros(sure.shape, bool)
        np.put_along_axis(chosen, likely, True, axis=1)
        chosen &= self.warm & others
        return _pick(features[chosen], scale), linked[chosen]


def rank(
    papers: Sequence[int],
    knowledge: Knowledge,
    *,
    limit: int = 10,
    most: int = 5,
    excluded: Pairs = (),
    reopened: Pairs = (),
    proposed_only: bool = False,
) -> list[Candidate]:
    """The best `limit` concepts of each paper, surest first; papers in the order given.

    Never a pair that is accepted or rejected, or in `excluded` (put off, or a page and itself);
    `reopened` pairs may return although they were rejected. `proposed` are those at or above the
    floor, at most `most` of a paper; with `proposed_only` they alone are returned, which is cheaper.
    Ids that the knowledge does not hold are passed over. The same paper has the same answer,
    whatever is asked with it.
    """
    rows = [knowledge.row[paper] for paper in papers if paper in knowledge.row]
    if not rows or not knowledge.concepts:
        return []
    decided = knowledge.accepted + knowledge.rejected
    again = _matrix(reopened, *knowledge.ids)
    barred = decided - decided.multiply(again)
    barred = (barred + _matrix(excluded, *knowledge.ids)).tocsr()
    if proposed_only:
        limit = min(limit, most)
    by_knowledge: dict[Knowledge, list[int]] = {}
    for row in dict.fromkeys(rows):
        by_knowledge.setdefault(knowledge.for_paper(row), []).append(row)
    found: dict[int, list[Candidate]] = {row: [] for row in rows}
    for one, part in by_knowledge.items():
        for block in blocks(np.array(part)):
            shut = barred[block].toarray() != 0
            least = one.weights.floor if proposed_only else 0.0
            for row, candidate in _ranked(one, block, shut, limit, most, least):
                found[row].append(candidate)
    return [candidate for row in dict.fromkeys(rows) for candidate in found[row]]


def _ranked(
    knowledge: Knowledge, rows: Rows, barred: Array, limit: int, most: int, least: float
) -> list[tuple[int, Candidate]]:
    """(row, candidate) of one block of papers, each paper's in order, at least so sure."""
    features = knowledge.judge.features(rows)
    sure = np.where(barred, -1, knowledge.confidence(features))
    order = np.argsort(-sure, axis=1, kind="stable")[:, :limit]
    at, place = np.nonzero(np.take_along_axis(sure, order, axis=1) >= least)
    if not len(at):
        return []
    columns = order[at, place]
    signals = _signals(knowledge, rows[at], columns, features[at, columns])
    return [
        (
            int(rows[each]),
            Candidate(
                paper=int(knowledge.papers.ids[rows[each]]),
                concept=knowledge.concepts[column].id,
                confidence=float(sure[each, column]),
                proposed=bool(rung < most and sure[each, column] >= knowledge.weights.floor),
                signals=why,
            ),
        )
        for each, rung, column, why in zip(at, place, columns, signals, strict=True)
    ]


def _signals(
    knowledge: Knowledge, rows: Rows, columns: Rows, features: Array
) -> list[tuple[Signal, ...]]:
    """For each pair its features' parts of the log-odds, summed by kind, and the words."""
    weight = np.zeros((len(rows), len(SignalKind)), np.float32)
    kinds = list(SignalKind)
    for stage, which in (
        (Stage.WARM, knowledge.warm[columns]),
        (Stage.COLD, ~knowledge.warm[columns]),
    ):
        scale = knowledge.scale(stage)
        for part, name in zip(
            scale.parts(_pick(features[which], scale)).T, scale.names, strict=True
        ):
            weight[which, kinds.index(_kind(name))] += part
    named = knowledge.texts.named_words(rows, columns)
    shared = knowledge.judge.shared_words(rows, columns)
    found = []
    for parts, by_name, by_papers in zip(weight.tolist(), named, shared, strict=True):
        said = {SignalKind.PAPERS: by_papers, SignalKind.NAME: by_name, SignalKind.MENTION: by_name}
        signals = [
            Signal(kind, round(part, 3), said.get(kind, ()))
            for kind, part in zip(kinds, parts, strict=True)
        ]
        found.append(tuple(sorted(signals, key=lambda signal: -signal.weight)))
    return found


def _checked(weights: Weights) -> Weights:
    """The weights, if they have a scale for every stage and name no feature unknown here."""
    for name in (f"{stage}/{kind}" for stage in Stage for kind in ("vectors", "words")):
        if name not in weights.scales:
            raise Misconfigured(f"the linker's weights have no scale {name!r}")
        if unknown := set(weights.scales[name].names) - set(FEATURES):
            raise Misconfigured(f"the linker's weights name unknown features: {sorted(unknown)}")
    return weights


def _kind(feature: str) -> SignalKind:
    return SignalKind(feature.removesuffix(" lead").removeprefix("title "))


def _sure(features: Array, scale: Scale) -> Array:
    """`scale.confidence` of every pair, by way of one sum over the features and no copies of them."""
    part = scale.coefficient / scale.spread
    weight = np.zeros(len(FEATURES), np.float32)
    weight[[FEATURES.index(name) for name in scale.names]] = part
    odds = np.tensordot(weight, np.moveaxis(features, -1, 0), axes=1)
    return np.asarray(sigmoid(odds + np.float32(scale.intercept - part @ scale.mean)), np.float32)


def _pick(features: Array, scale: Scale) -> Array:
    return features[..., [FEATURES.index(name) for name in scale.names]]


def _matrix(pairs: Pairs, rows: Rows, columns: Rows) -> sparse.csr_matrix:
    """Pairs of ids as a matrix of ones; pairs with an unknown id are left out."""
    ids = np.array(pairs if isinstance(pairs, np.ndarray) else [*pairs], np.int64).reshape(-1, 2)
    at, known = _places(ids[:, 0], rows)
    to, also = _places(ids[:, 1], columns)
    both = known & also
    ones = np.ones(int(both.sum()), np.float32)
    matrix = sparse.csr_matrix((ones, (at[both], to[both])), shape=(len(rows), len(columns)))
    matrix.data[:] = 1  # a pair that was named twice is one
    return matrix


def _places(ids: Rows, known: Rows) -> tuple[Rows, NDArray[np.bool_]]:
    """Where each id stands among those known, and whether it does."""
    if not len(known):
        return np.zeros(len(ids), np.int64), np.zeros(len(ids), bool)
    order = np.argsort(known, kind="stable")
    places = order[np.minimum(np.searchsorted(known, ids, sorter=order), len(known) - 1)]
    return places, known[places] == ids
