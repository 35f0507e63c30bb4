"""From numbers to a probability: the linker's weights, read from text, applied, and re-fitted.

Plain logistic regression over standardised numbers, because it is calibrated across wikis and
because every part of a confidence can be shown. Owns the form of the shipped weights and how they
bend towards a reader's decisions; knows nothing of what the numbers mean.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.errors import Misconfigured

Array = NDArray[np.float32]
Numbers = NDArray[np.floating]


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
class Weights:
    """All scales by name ("warm/vectors", ...) and the floor above which a pair is proposed."""

    scales: Mapping[str, Scale]
    floor: float

    @classmethod
    def parse(cls, text: str | bytes) -> "Weights":
        """Reads the JSON that `dump` writes; Misconfigured says what is wrong with it."""
        try:
            data = json.loads(text)
            scales = {name: _scale(row) for name, row in data["scales"].items()}
            floor = float(data["floor"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Misconfigured(f"the linker's weights cannot be read: {error!r}") from error
        if not 0 <= floor <= 1:
            raise Misconfigured(f"the linker's floor must lie between 0 and 1, not {floor}")
        return cls(scales, floor)

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
        return json.dumps({"floor": self.floor, "scales": scales}, indent=1) + "\n"


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
    found = start.copy()
    for _ in range(rounds):
        chance = sigmoid(rows @ found)
        slope = rows.T @ (counts * (chance - linked)) + pull * (found - start)
        bend = (rows * (counts * chance * (1 - chance))[:, None]).T @ rows
        step = np.linalg.solve(bend + np.diag(pull), slope)
        found -= step * min(1.0, 2.0 / (np.abs(step).max() + 1e-12))
        if np.abs(step).max() < 1e-6:
            break
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
