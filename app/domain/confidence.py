"""From numbers to a probability: the linker's weights, read from text, applied, and re-fitted.

Plain logistic regression over standardised numbers, because every part of a confidence can be
shown; and a calibration above it that sees a paper's concepts together, so that 0.8 is right eight
times in ten. Owns the form of the shipped weights and how they bend towards a reader's decisions;
knows nothing of what the numbers mean.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from app.errors import Misconfigured

Array = NDArray[np.float32]
Numbers = NDArray[np.floating]
RIVALS = 10  # concepts of one paper that share its confidence
LEAST = -12.0  # log-odds below which nothing is told apart
SLOPE, LEVEL = 50.0, 20.0  # what the shipped calibration is worth against decided pairs
STEEPEST = 2.0  # a reader's slope is at most so many times the shipped one, and at least half of it
LOUDEST = 6.0  # log-odds; no single pair of a trial speaks louder


@dataclass(frozen=True)
class Scale:
    """One logistic model. `names` are the features it uses; the arrays follow their order."""

    names: tuple[str, ...]
    mean: Array
    spread: Array
    coefficient: Array
    intercept: float

    def parts(self, features: Array) -> Array:
        """What each feature adds to the log-odds, against an ordinary pair: (..., features)."""
        return np.asarray((features - self.mean) / self.spread * self.coefficient, np.float32)

    def confidence(self, features: Array) -> Array:
        """The probability of a link for each row of features: (..., len(names)) -> (...)."""
        odds = self.parts(features).sum(axis=-1) + self.intercept
        return np.asarray(sigmoid(odds), np.float32)

    def adapted(self, features: Array, linked: Array, counts: Array, *, trust: float) -> "Scale":
        """These weights bent towards decided pairs.

        features: (pairs, len(names)); linked: 1 accepted, 0 not; counts: how much each pair
        weighs. `trust` is how many decided pairs the shipped weights are worth: with fewer the
        answer hardly moves, with many more it is the reader's own. How readily a reader links at
        all (the intercept) is learned ten times as fast.
        """
        standard = (features - self.mean) / self.spread
        prior = np.append(self.coefficient, self.intercept)
        strength = np.append(np.full(len(self.names), trust), trust / 10)
        fitted = fit(standard, linked, counts, prior=prior, strength=strength)
        return replace(
            self, coefficient=fitted[:-1].astype(np.float32), intercept=float(fitted[-1])
        )


@dataclass(frozen=True)
class Calibration:
    """From the log-odds of a scale to those of the truth: how sure is sure?

    What the scale says above even odds counts `above` times, what it says below `below` times;
    and the more a paper's other concepts can say for themselves, the less is left: `rivals`. All
    three are never below zero, so a paper's concepts keep their order. As it stands here it
    changes nothing.
    """

    above: float = 1.0
    below: float = 1.0
    rivals: float = 0.0
    intercept: float = 0.0

    def odds(self, odds: Array, rivals: Array) -> Array:
        """Calibrated log-odds, of the same shape as both: log-odds, and those of the `rivals`."""
        return np.asarray(
            self.above * np.logaddexp(0, odds)
            - self.below * np.logaddexp(0, -odds)
            - self.rivals * rivals
            + self.intercept,
            np.float32,
        )

    def adapted(self, odds: Array, rivals: Array, linked: Array) -> "Calibration":
        """This calibration as steep and as high as a trial shows it should have been.

        odds, rivals, linked: (pairs,), of pairs that were judged before they were decided. Two
        numbers are learned, and held to the shipped ones: with few pairs hardly anything moves.
        """
        if not len(linked):
            return self
        slope, level = fit(
            np.clip(self.odds(odds, rivals), -LOUDEST, LOUDEST)[:, None],
            linked,
            np.ones(len(linked)),
            prior=np.array([1.0, 0.0]),
            strength=np.array([SLOPE, LEVEL]),
        )
        slope = float(np.clip(slope, 1 / STEEPEST, STEEPEST))
        return Calibration(
            self.above * slope,
            self.below * slope,
            self.rivals * slope,
            self.intercept * slope + float(level),
        )


def rivals(odds: Array) -> Array:
    """The log-odds of each concept's rivals: the best RIVALS of a paper but for itself, together.

    (papers, concepts) -> the same shape. Only the best: thousands of concepts that nobody would
    think of must not add up.
    """
    if not odds.size:
        return np.zeros_like(odds)
    # In double precision: what is left of a sum when its greatest part is taken away.
    bounded = np.clip(odds, LEAST, -LEAST).astype(np.float64)
    count = min(RIVALS, odds.shape[1])
    best = np.partition(bounded, odds.shape[1] - count, axis=1)[:, odds.shape[1] - count :]
    least = best.min(axis=1, keepdims=True)
    together = np.exp(best).sum(axis=1, keepdims=True)
    others = together - np.exp(np.maximum(bounded, least))
    return np.asarray(np.log(np.maximum(others, np.exp(LEAST))), np.float32)


@dataclass(frozen=True)
class Weights:
    """All scales by name ("warm/vectors", ...) and the floor above which a pair is proposed.

    `calibrations` have the same names; without one the scale is taken at its word.
    """

    scales: Mapping[str, Scale]
    floor: float
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)

    def ranks_as(self, other: "Weights") -> bool:
        """Whether these are the other's but for the floor: what was fitted by one serves both."""
        return self.scales is other.scales and self.calibrations is other.calibrations

    def calibration(self, name: str) -> Calibration:
        """That of a scale."""
        return self.calibrations.get(name, Calibration())

    @classmethod
    def parse(cls, text: str | bytes) -> "Weights":
        """Reads the JSON that `dump` writes; Misconfigured says what is wrong with it."""
        try:
            data = json.loads(text)
            scales = {name: _scale(row) for name, row in data["scales"].items()}
            floor = float(data["floor"])
            calibrations = {
                name: _calibration(row) for name, row in data.get("calibrations", {}).items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Misconfigured(f"the linker's weights cannot be read: {error!r}") from error
        if not 0 <= floor <= 1:
            raise Misconfigured(f"the linker's floor must lie between 0 and 1, not {floor}")
        return cls(scales, floor, calibrations)

    def dump(self) -> str:
        """The weights as JSON, one feature a line, numbers with five digits."""
        scales = {
            name: {
                "intercept": round(scale.intercept, 5),
                "features": {
                    feature: [round(float(value), 5) for value in values]
                    for feature, *values in zip(
                        scale.names, scale.mean, scale.spread, scale.coefficient, strict=True
                    )
                },
            }
            for name, scale in sorted(self.scales.items())
        }
        calibrations = {
            name: {key: round(value, 5) for key, value in vars(calibration).items()}
            for name, calibration in sorted(self.calibrations.items())
        }
        whole = {"floor": self.floor, "calibrations": calibrations, "scales": scales}
        return json.dumps(whole, indent=1) + "\n"


def fit(
    standard: Numbers,
    linked: Numbers,
    counts: Numbers,
    *,
    prior: Numbers,
    strength: Numbers,
    rounds: int = 30,
) -> NDArray[np.float64]:
    """Logistic regression by Newton's method, pulled towards `prior` (coefficients, intercept).

    standard: (rows, features), standardised; strength: the pull on each number, in order.
    """
    rows = np.column_stack([standard, np.ones(len(standard))]).astype(np.float64)
    start, pull = np.asarray(prior, np.float64), np.asarray(strength, np.float64)

    def loss(numbers: NDArray[np.float64]) -> float:
        odds = rows @ numbers
        missed = np.logaddexp(0, odds) - linked * odds
        return float(counts @ missed + pull @ (numbers - start) ** 2 / 2)

    found, least = start.copy(), loss(start)
    for _ in range(rounds):
        chance = sigmoid(rows @ found)
        slope = rows.T @ (counts * (chance - linked)) + pull * (found - start)
        bend = (rows * (counts * chance * (1 - chance))[:, None]).T @ rows
        step = np.linalg.solve(bend + np.diag(pull), slope)
        # Far from the answer a whole step may lead away from it.
        while (reached := loss(found - step)) > least and np.abs(step).max() > 1e-6:
            step /= 2
        if np.abs(step).max() < 1e-6:
            break
        found, least = found - step, reached
    return found


def sigmoid(odds: Numbers) -> Numbers:
    """Log-odds as a probability, without overflow."""
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))))


def _scale(row: Mapping[str, object]) -> Scale:
    features = row["features"]
    if not isinstance(features, dict):
        raise TypeError("features must be an object")
    numbers = np.array(list(features.values()), np.float32).reshape(len(features), 3)
    if not np.isfinite(numbers).all() or not (numbers[:, 1] > 0).all():
        raise ValueError("means and coefficients must be numbers, spreads positive")
    return Scale(
        names=tuple(features),
        mean=numbers[:, 0],
        spread=numbers[:, 1],
        coefficient=numbers[:, 2],
        intercept=float(row["intercept"]),  # type: ignore[arg-type]
    )


def _calibration(row: Mapping[str, float]) -> Calibration:
    found = Calibration(**{key: float(value) for key, value in row.items()})
    numbers = found.above, found.below, found.rivals
    if not np.isfinite([*numbers, found.intercept]).all() or min(numbers) < 0:
        raise ValueError("a calibration must be numbers, none but its intercept below zero")
    return found
