"""What a reader's decisions teach the linker.

    weights      those of concepts with papers, bent towards what was accepted and what was not
    habits       how readily the reader links to each concept, beyond what its likeness says: too
                 broad a concept is refused more often than its words deserve
    calibration  how sure is sure: the latest decided papers are judged by what had been decided
                 before them, and the confidence is made as steep and as high as that trial shows

Each is held to what ships: nothing decided moves nothing, few decisions move little. A pair that was
rejected teaches like one that was accepted. Pure, and bounded: the latest TAUGHT papers are looked
at, however many there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from app.domain.confidence import Calibration, Scale, Weights, rivals, sigmoid
from app.domain.features import FEATURES, Judge
from app.domain.texts import Array, Flags, Rows, blocks

TAUGHT = 1_000  # decided papers that are looked at, the latest
CLOSEST = 40  # concepts of each
TRUST = 100.0  # what the shipped weights are worth, in decided pairs
HABIT = 10.0  # decided pairs that it takes to move a concept halfway
WIDEST = 2.0  # log-odds; no habit is stronger
LATEST = 0.25  # of the decided papers looked at are the trial
NO_CHANCE = np.float32(-30)  # log-odds of what cannot be


@dataclass(frozen=True)
class Learned:
    """The shipped weights as decisions left them, and a habit for each concept, in log-odds."""

    weights: Weights
    habits: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Decided:
    """What was decided, as the judge sees it. accepted, rejected: (papers, concepts); ids: of the
    concepts."""

    judge: Judge
    accepted: sparse.csr_matrix
    rejected: sparse.csr_matrix
    ids: Rows

    @property
    def warm(self) -> Flags:
        """The concepts that have accepted papers."""
        return np.asarray(self.accepted.sum(axis=0)).ravel() > 0

    def latest(self) -> Rows:
        """The rows of the latest TAUGHT papers that anything was decided of."""
        return np.flatnonzero(np.diff((self.accepted + self.rejected).indptr))[-TAUGHT:]

    def without(self, rows: Rows) -> "Decided":
        """As if nothing had been decided of these papers yet."""
        kept = np.ones(self.accepted.shape[0], np.float32)
        kept[rows] = 0
        keep = sparse.diags(kept)
        judge = self.judge
        members, rejected = (keep @ judge.members).tocsr(), (keep @ self.rejected).tocsr()
        return Decided(
            Judge(judge.texts, members, rejected, judge.near, earlier=judge),
            (keep @ self.accepted).tocsr(),
            rejected,
            self.ids,
        )


@dataclass(frozen=True)
class Lessons:
    """Decided pairs: where they stand, their FEATURES, and whether they were accepted."""

    rows: Rows
    columns: Rows
    features: Array
    linked: Array

    def of(self, chosen: Flags) -> "Lessons":
        """Some of them."""
        return Lessons(*(part[chosen] for part in vars(self).values()))


def learn(decided: Decided, shipped: Weights, scale_name: str) -> Learned:
    """What the decisions make of the shipped weights; `scale_name` is that of warm concepts."""
    rows = decided.latest()
    if not len(rows):
        return Learned(shipped)
    scale = shipped.scales[scale_name]
    lessons = _lessons(decided, scale, rows)
    bent, habits = _taught(lessons, scale, decided)
    late = rows[len(rows) - int(LATEST * len(rows)) :]
    calibration = shipped.calibration(scale_name)
    if len(late):
        before = decided.without(late)
        earlier = lessons.of(~np.isin(lessons.rows, late) & before.warm[lessons.columns])
        calibration = _tried(before, decided, late, calibration, *_taught(earlier, scale, before))
    weights = Weights(
        {**shipped.scales, scale_name: bent},
        shipped.floor,
        {**shipped.calibrations, scale_name: calibration},
    )
    moved = np.flatnonzero(habits)
    return Learned(
        weights, dict(zip(decided.ids[moved].tolist(), habits[moved].tolist(), strict=True))
    )


def odds_of(features: Array, scale: Scale) -> Array:
    """The log-odds of every pair: one sum over the features and no copies of them.

    (papers, concepts, FEATURES) -> (papers, concepts)
    """
    part = scale.coefficient / scale.spread
    weight = np.zeros(len(FEATURES), np.float32)
    weight[[FEATURES.index(name) for name in scale.names]] = part
    odds = np.tensordot(weight, np.moveaxis(features, -1, 0), axes=1)
    return np.asarray(odds + np.float32(scale.intercept - part @ scale.mean), np.float32)


def picked(features: Array, scale: Scale) -> Array:
    """The features that a scale uses, in its order."""
    return features[..., [FEATURES.index(name) for name in scale.names]]


def _lessons(decided: Decided, scale: Scale, rows: Rows) -> Lessons:
    """The likeliest pairs of papers that were linked, and every pair that was rejected.

    Of a paper that was only rejected nothing else is known. A concept whose only paper is the one
    looked at would be without papers: left out.
    """
    parts = []
    warm, size = decided.warm, decided.judge.size
    count = min(CLOSEST, len(warm))
    for block in blocks(rows):
        features = decided.judge.features(block)
        linked = decided.accepted[block].toarray()
        refused = decided.rejected[block].toarray() > 0
        odds = np.where(warm, odds_of(features, scale), NO_CHANCE)
        likely = np.argpartition(-(odds + linked * -NO_CHANCE), count - 1, axis=1)[:, :count]
        chosen = np.zeros(odds.shape, bool)
        np.put_along_axis(chosen, likely, True, axis=1)
        chosen &= linked.any(axis=1)[:, None]
        chosen |= refused
        chosen &= warm & (size - linked >= 0.5)
        at, columns = np.nonzero(chosen)
        parts.append(Lessons(block[at], columns, features[chosen], linked[chosen]))
    return Lessons(
        *(np.concatenate(part) for part in zip(*(vars(p).values() for p in parts), strict=True))
    )


def _taught(lessons: Lessons, scale: Scale, decided: Decided) -> tuple[Scale, Array]:
    """The weights bent, then each concept's habit: what they still leave unsaid of it."""
    concepts = len(decided.ids)
    if not len(lessons.linked):
        return scale, np.zeros(concepts, np.float32)
    features = picked(lessons.features, scale)
    bent = scale.adapted(features, lessons.linked, np.ones(len(features), np.float32), trust=TRUST)
    odds = bent.parts(features).sum(axis=-1) + bent.intercept
    habits = np.zeros(concepts)
    for _ in range(10):  # Newton's method, each concept by itself
        chance = sigmoid(odds + habits[lessons.columns])
        slope = np.bincount(lessons.columns, lessons.linked - chance, concepts) - HABIT * habits
        bend = np.bincount(lessons.columns, chance * (1 - chance), concepts) + HABIT
        habits += np.clip(slope / bend, -1, 1)
    return bent, np.clip(habits, -WIDEST, WIDEST).astype(np.float32)


def _tried(
    before: Decided,
    after: Decided,
    rows: Rows,
    calibration: Calibration,
    scale: Scale,
    habits: Array,
) -> Calibration:
    """The calibration adapted to how the earlier decisions would have judged these papers."""
    if not before.warm.any():
        return calibration
    pairs = []
    for block in blocks(rows):
        odds = odds_of(before.judge.features(block), scale) + habits
        odds = np.where(before.warm, odds, NO_CHANCE)
        linked = after.accepted[block].toarray()
        best = np.argsort(-odds, axis=1, kind="stable")[:, :10]
        known = linked.any(axis=1)[:, None] | (after.rejected[block].toarray() > 0)
        known &= before.warm
        pairs.append(
            np.stack(
                [
                    np.take_along_axis(part, best, axis=1)[np.take_along_axis(known, best, axis=1)]
                    for part in (odds, rivals(odds), linked)
                ]
            )
        )
    return calibration.adapted(*np.concatenate(pairs, axis=1))
