"""The linker's rule: which concepts is a paper about, and how sure is that?

`Knowledge` reads what the wiki holds once: concepts, papers, what was accepted and rejected.
`rank` then gives each paper its candidates, with a calibrated confidence and the signals behind it.

    profile             a concept's name, aliases, definition and accepted papers, as one sum
    papers              how like a paper is to the profile, in words and in meaning, less how like
                        it an ordinary paper is (broad concepts are near everything)
    classifier          one linear classifier over all concepts (ridge, closed form)
    neighbours          the nearest decided papers vote
    graph               so do the papers that share a thread, references or a citation with it
    name, mention       the concept's own text against the paper; the words of its name in the
                        paper, and in its title
    familiar            how near the nearest decided papers are: far from all, likely about none
    ... lead            each of these against the best *other* concept of the same paper
    habit               how readily this reader links to the concept at all (learning.py)
    confidence          logistic regression over these numbers, one for concepts with accepted
                        papers and one for those without, and a calibration that sees all concepts
                        of a paper together (confidence.py)

A paper that counts for a concept is taken out before the two are compared. So decided papers can be
judged again, and they bend the shipped weights to this reader. A concept without accepted papers
lets the surest waiting papers stand in for them. Pure: no database, no file, no model, no clock.
"""

from collections.abc import Collection, Sequence
from copy import copy
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import numpy as np
from scipy import sparse

from app.domain import words
from app.domain.confidence import Scale, Weights, rivals, sigmoid
from app.domain.features import FEATURES, Judge
from app.domain.learning import Decided, Learned, learn, odds_of, picked
from app.domain.taught import StandIns, Taught
from app.domain.texts import (
    Array,
    ConceptText,
    Frame,
    Moved,
    Papers,
    PaperText,
    Rows,
    Texts,
    blocks,
    places,
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
RIVALS = 200  # other concepts that a paper is compared with before all
NEAREST = 5  # accepted papers of a concept that a candidate is like


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
    HABIT = "habit"
    GRAPH = "graph"


@dataclass(frozen=True)
class Signal:
    """One reason: its part of the log-odds (below zero speaks against), the words that matched."""

    kind: SignalKind
    weight: float
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A concept that a paper may be about; `signals` in order, the strongest support first.

    `resembles` are the concept's accepted papers that are nearest to it, the nearest first.
    """

    paper: int
    concept: int
    confidence: float
    proposed: bool
    signals: tuple[Signal, ...]
    resembles: tuple[int, ...] = ()


class Knowledge:
    """What the wiki holds, read once and used for every ranking until something changes.

    It is never changed. One made from an earlier one takes over what is still true: rows of texts,
    sums over papers of what was not touched. How much words weigh (`texts.frame`) and what was
    taught by decisions stay as they were until a tenth has changed.
    """

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
        earlier: "Knowledge | None" = None,
        like: "Knowledge | None" = None,
        frame: Frame | None = None,
    ) -> None:
        """papers: all kept papers in the order of their dates, the ones to link among them: those
        that wait show what is ordinary. accepted, rejected: (paper, concept); neighbours: (paper,
        paper) that share a thread or cite one another. vectors: float32, a row for each paper and
        one for each concept in the order given, zero where there is none (yet); None without an
        encoder. Pairs that name something else are left out; weights that lack a stage or name an
        unknown feature raise Misconfigured. Papers whose words were counted already come with the
        lexicon that numbers them: counting is the slow part. earlier: of the same wiki, lexicon and
        weights, before something changed; it may be any. like: one of the very same papers and
        concepts, whose frame, taught weights and stand-ins are to be used: nothing is fitted anew.
        frame: one to measure texts by; fitted of these papers and concepts without it."""
        self.lexicon = lexicon or words.Lexicon()
        self.concepts = tuple(concepts)
        self.papers = papers if isinstance(papers, Papers) else Papers.read(papers, self.lexicon)
        self.row = {paper: row for row, paper in enumerate(self.papers.ids.tolist())}
        self.column = {concept.id: column for column, concept in enumerate(self.concepts)}
        self.shipped = _checked(weights)
        ids = np.array([concept.id for concept in self.concepts], np.int64)
        self.ids = self.papers.ids, ids
        self.accepted = _matrix(accepted, *self.ids)
        self.rejected = _matrix(rejected, *self.ids)
        near = _matrix(neighbours, self.papers.ids, self.papers.ids)
        self.near = (near + near.T).tocsr()
        self.warm = np.asarray(self.accepted.sum(axis=0)).ravel() > 0
        before = earlier if earlier is not None and earlier.shipped.ranks_as(weights) else None
        self.texts: Texts = Texts(
            self.concepts,
            self.papers,
            self.lexicon,
            vectors,
            earlier=before.texts if before else None,
            frame=like.texts.frame if like else frame,
        )
        if before is not None and before.texts.frame is not self.texts.frame:
            before = None
        moved, self.decided = self.texts.moved, _keys(self.accepted + self.rejected, *self.ids)
        self.taught: dict[str, Taught] = {
            kind: replace(taught, stand_ins=taught.stand_ins.carried(moved, ~self.warm))
            for kind, taught in (before.taught if before else {}).items()
            if taught.holds(self.decided)
        }
        if like is not None:
            self.taught = like.taught
        self.judge: Judge = self._fitted(before.judge if before else None, moved)

    @cached_property
    def by_words(self) -> "Knowledge":
        """The same knowledge by words alone: for papers that have no vector."""
        found = copy(self)
        found.__dict__.pop("learned", None)
        found.texts = self.texts.of_words()
        found.judge = found._fitted(self.judge, Moved.nothing(*self.texts.shape))
        return found

    def with_floor(self, floor: float) -> "Knowledge":
        """The same, proposing what is at least so sure."""
        if floor == self.shipped.floor:
            return self
        found = copy(self)
        found.shipped = replace(self.shipped, floor=floor)
        found.__dict__.pop("by_words", None)
        return found

    @property
    def meaning(self) -> tuple[Array, Array] | None:
        """The vectors, at length one; None for words alone."""
        return self.texts.meaning

    def for_paper(self, row: int) -> "Knowledge":
        """This knowledge, or the one by words when the paper of that row has no vector."""
        return self if self.meaning is None or self.meaning[0][row].any() else self.by_words

    def confidence(self, features: Array) -> Array:
        """(papers, concepts, FEATURES) -> (papers, concepts): the chance that the reader accepts."""
        odds = self.odds(features)
        against = rivals(odds)
        for stage, columns in ((Stage.WARM, self.warm), (Stage.COLD, ~self.warm)):
            calibration = self.weights.calibration(f"{stage}/{self.kind}")
            odds[:, columns] = calibration.odds(odds[:, columns], against[:, columns])
        return np.asarray(sigmoid(odds), np.float32)

    def odds(self, features: Array) -> Array:
        """Log-odds before calibration, each concept by its own stage, with the reader's habits."""
        habits = [self.learned.habits.get(concept.id, 0.0) for concept in self.concepts]
        return self._odds(features, self.weights, Stage.COLD) + np.array(habits, np.float32)

    def _odds(self, features: Array, weights: Weights, unlinked: Stage) -> Array:
        odds = np.zeros(features.shape[:2], np.float32)
        for stage, columns in ((Stage.WARM, self.warm), (unlinked, ~self.warm)):
            if columns.any():
                scale = weights.scales[f"{stage}/{self.kind}"]
                odds[:, columns] = odds_of(features, scale)[:, columns]
        return odds

    @property
    def weights(self) -> Weights:
        """Those that shipped, as the reader's decisions left them, with the floor in force."""
        return replace(self.learned.weights, floor=self.shipped.floor)

    @cached_property
    def learned(self) -> Learned:
        """What decisions taught; what was taught of late stays."""
        taught = self.taught[self.kind]
        if taught.learned is None:
            ground = Decided(self.judge, self.accepted, self.rejected, self.ids[1])
            found = learn(ground, self.shipped, f"{Stage.WARM}/{self.kind}")
            taught = self.taught[self.kind] = replace(taught, learned=found)
        return taught.learned or Learned(self.shipped)

    def scale(self, stage: Stage) -> Scale:
        """The weights of a stage, for the views this knowledge has."""
        return self.weights.scales[f"{stage}/{self.kind}"]

    @property
    def kind(self) -> str:
        """What it compares by: the second half of the name of a scale."""
        return "words" if self.meaning is None else "vectors"

    def _fitted(self, earlier: Judge | None, moved: Moved) -> Judge:
        """The judge, with the stand-ins that were found of late."""
        taught = self.taught.get(self.kind)
        looked = taught.stand_ins if taught else None
        judge, stand_ins = self._judge(earlier, moved, looked)
        self.taught[self.kind] = (
            replace(taught, stand_ins=stand_ins) if taught else Taught(stand_ins, self.decided)
        )
        return judge

    def _judge(
        self, earlier: Judge | None, moved: Moved, looked: StandIns | None
    ) -> tuple[Judge, StandIns]:
        """Over accepted papers and, where a concept has none, the surest waiting ones.

        Of these only papers are looked at that were not `looked` at before.
        """
        stand_ins = looked or StandIns.none(len(self.papers.ids), ~self.warm)
        waiting = np.zeros(len(self.papers.ids), bool)
        waiting[np.flatnonzero(np.diff(self.accepted.indptr) == 0)[-WAITING:]] = not self.warm.all()
        members = sparse.diags_array(waiting.astype(np.float32)) @ stand_ins.members
        members = members @ sparse.diags_array((~self.warm).astype(np.float32))
        members = (members - members.multiply(self.rejected)).tocsr()
        new = np.flatnonzero(waiting & ~stand_ins.looked)
        if len(new):
            judge = self._made(self.accepted, earlier, moved)
            earlier, moved = judge, Moved.nothing(*self.texts.shape)
            parts = [
                (rows, self._stand_ins(judge, rows).tocoo())
                for rows in blocks(self._may_stand_in(judge, new))
            ]
            for rows, found in parts:
                place = rows[found.row], found.col
                members += sparse.csr_matrix((found.data, place), shape=members.shape)
        members.eliminate_zeros()
        kept = StandIns(members, waiting, ~self.warm)
        if not members.nnz and len(new):
            return judge, kept
        return self._made(self.accepted + members, earlier, moved), kept

    def _made(self, members: sparse.csr_matrix, earlier: Judge | None, moved: Moved) -> Judge:
        return Judge(self.texts, members, self.rejected, self.near, earlier=earlier, moved=moved)

    def _may_stand_in(self, judge: Judge, waiting: Rows) -> Rows:
        """Of the waiting papers those that may be sure enough of a concept without papers.

        Compared with these concepts and some of the others: against all it could only lead by less.
        """
        scale = self.shipped.scales[f"{Stage.NAMES}/{self.kind}"]
        cold = np.flatnonzero(~self.warm)
        leads = [name.endswith(" lead") for name in scale.names]
        if 2 * len(cold) > len(self.concepts) or (scale.coefficient[leads] < 0).any():
            return waiting
        some = np.flatnonzero(self.warm)[:: max(1, self.warm.sum() // RIVALS)]
        columns = np.sort(np.append(cold, some))
        few, within = judge.only(columns), np.isin(columns, cold)
        return np.concatenate(
            [
                rows[
                    (
                        sigmoid(odds_of(few.features(rows, scale.names), scale))[:, within] >= LEAST
                    ).any(axis=1)
                ]
                for rows in blocks(waiting)
            ]
        )

    def _stand_ins(self, judge: Judge, rows: Rows) -> sparse.csr_matrix:
        """Each paper for its best concepts without papers, as much as it is sure by name.

        Of a concept that is a bare name the paper has to say a word: titles alone would otherwise
        speak for one another.
        """
        scale = self.shipped.scales[f"{Stage.NAMES}/{self.kind}"]
        by_name = sigmoid(odds_of(judge.features(rows, scale.names), scale))
        refused = self.rejected[rows].toarray() > 0
        bare = np.array([not concept.text.strip() for concept in self.concepts])
        said = (self.texts.mentions(rows, self.texts.text) > 0) | ~bare
        chosen = (by_name >= LEAST) & ~self.warm & ~refused & said
        # To look at the concepts with papers is dear, and needed for few rows.
        some = np.flatnonzero(chosen.any(axis=1))
        if len(some):
            sure = sigmoid(self._odds(judge.features(rows[some]), self.shipped, Stage.NAMES))
            chosen[some] &= by_name[some] >= sure.max(axis=1, keepdims=True) / 2
        return sparse.csr_matrix(np.where(chosen, by_name, 0))


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
    ids = knowledge.papers.ids
    near = knowledge.judge.resembles(rows[at], columns, NEAREST)
    return [
        (
            int(rows[each]),
            Candidate(
                paper=int(knowledge.papers.ids[rows[each]]),
                concept=knowledge.concepts[column].id,
                confidence=float(sure[each, column]),
                proposed=bool(rung < most and sure[each, column] >= knowledge.weights.floor),
                signals=why,
                resembles=tuple(ids[list(like)].tolist()),
            ),
        )
        for each, rung, column, why, like in zip(at, place, columns, signals, near, strict=True)
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
            scale.parts(picked(features[which], scale)).T, scale.names, strict=True
        ):
            weight[which, kinds.index(_kind(name))] += part
    habits = knowledge.learned.habits
    ids = knowledge.ids[1][columns].tolist()
    weight[:, kinds.index(SignalKind.HABIT)] = [habits.get(concept, 0.0) for concept in ids]
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


def _keys(matrix: sparse.csr_matrix, rows: Rows, columns: Rows) -> Rows:
    """Each pair of ids that a matrix has, as one number; sorted."""
    pairs = matrix.tocoo()
    return np.sort((rows[pairs.row] << 32) + columns[pairs.col])


def _matrix(pairs: Pairs, rows: Rows, columns: Rows) -> sparse.csr_matrix:
    """Pairs of ids as a matrix of ones; pairs with an unknown id are left out."""
    ids = np.array(pairs if isinstance(pairs, np.ndarray) else [*pairs], np.int64).reshape(-1, 2)
    at, known = places(ids[:, 0], rows)
    to, also = places(ids[:, 1], columns)
    both = known & also
    ones = np.ones(int(both.sum()), np.float32)
    matrix = sparse.csr_matrix((ones, (at[both], to[both])), shape=(len(rows), len(columns)))
    matrix.data[:] = 1  # a pair that was named twice is one
    return matrix
