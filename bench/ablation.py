"""What each signal of the linker is worth: each left out once, on lists the weights have not seen.

    python -m bench ablation [--words] [--cold]

Weights are fitted anew without the signal (five folds by list, as bench.fit_linker does) and the
lists left out are measured, half linked; `--cold` measures wikis that have only names. The shipped
calibration stays as it is with all signals, for a signal that is missing would have it fitted
anew for many minutes: read `ece` with that in mind. In one process, on stored vectors. The last rows leave out what is learned: from the reader's own
decisions, or above the weights.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from app.domain import confidence, learning
from app.domain.confidence import Calibration, Scale, Weights
from app.domain.features import FEATURES
from app.domain.linking import SignalKind, Stage
from bench import fit_linker
from bench.fit_linker import FIGURES, FLOOR, FOLDS, CuratedList, Examples, say

NEVER = 1e12  # decisions that it would take to learn anything
LEARNED = {
    "habit": {"learning.HABIT": NEVER},
    "own weights": {"learning.TRUST": NEVER},
    "own calibration": {"confidence.SLOPE": NEVER, "confidence.LEVEL": NEVER},
    "own decisions": {
        "learning.HABIT": NEVER, "learning.TRUST": NEVER,
        "confidence.SLOPE": NEVER, "confidence.LEVEL": NEVER,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Stock:
    """What does not change when a signal is left out: the lists, and the features of all pairs."""

    lists: Sequence[CuratedList]
    texts: Sequence[CuratedList]
    kind: str
    names: Mapping[str, Sequence[Examples]]
    names_scales: Sequence[Scale]
    later: Mapping[Stage, Mapping[str, list[Examples]]]

    @classmethod
    def of(cls, lists: Sequence[CuratedList], texts: Sequence[CuratedList], kind: str) -> Stock:
        """Collects the features of every pair, once."""
        names = {each.name: [fit_linker.name_examples(each)] for each in lists}
        scales = [
            fit_linker.fitted(fit_linker.outside(names, fold), fit_linker.USED[Stage.NAMES])
            for fold in range(FOLDS)
        ]
        first = [{f"{Stage.NAMES}/{kind}": scale} for scale in scales]
        later = fit_linker.collected(lists, texts, fit_linker.taken, first)
        return cls(lists, texts, kind, names, scales, later)

    def scales(self, without: str = "") -> list[dict[str, Scale]]:
        """The scales of each fold, fitted without a signal."""
        used = tuple(name for name in FEATURES if not without or kind_of(name) != without)
        return [
            {
                f"{Stage.NAMES}/{self.kind}": self.names_scales[fold],
                **{
                    f"{stage}/{self.kind}": fit_linker.fitted(
                        fit_linker.outside(examples, fold), used
                    )
                    for stage, examples in self.later.items()
                },
            }
            for fold in range(FOLDS)
        ]

    def calibrations(self, scales: Sequence[Mapping[str, Scale]]) -> list[dict[str, Calibration]]:
        """The calibrations of each fold, above these scales."""
        judged = fit_linker.collected(self.lists, self.texts, fit_linker.judged, scales)
        return [
            {
                f"{stage}/{self.kind}": fit_linker.calibrated(fit_linker.outside(examples, fold))
                for stage, examples in judged.items()
            }
            for fold in range(FOLDS)
        ]


def kind_of(feature: str) -> str:
    """The signal that a feature belongs to."""
    return feature.removesuffix(" lead").removeprefix("title ")


@contextlib.contextmanager
def unlearned(numbers: Mapping[str, float]) -> Iterator[None]:
    """Learning with other numbers: "module.NAME" -> value."""
    modules = {"learning": learning, "confidence": confidence}
    with contextlib.ExitStack() as stack:
        for name, value in numbers.items():
            module, number = name.split(".")
            stack.enter_context(patch.object(modules[module], number, value))
        yield


def measured(lists: Sequence[CuratedList], folded: Sequence[Weights], *, cold: bool) -> list[float]:
    """The mean figures over all lists, each by weights that have not seen it."""
    names = {each.name: each for each in lists}
    rows = [
        fit_linker.replay(each, folded[fit_linker.fold_of(each.name, names)], cold=cold)
        for each in lists
    ]
    return [float(np.nanmean([row[key] for row in rows])) for key in FIGURES]


def main(arguments: Sequence[str] = ()) -> None:
    """Print a table; nothing is kept."""
    parser = argparse.ArgumentParser(
        prog="python -m bench ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=fit_linker.DATA)
    parser.add_argument("--words", action="store_true", help="without vectors")
    parser.add_argument("--cold", action="store_true", help="wikis that have only names")
    given = parser.parse_args(list(arguments))
    if not given.data.exists():
        print("The lists are not here; nothing was measured.")
        return
    lists, texts = fit_linker.read(given.data, fit_linker.CACHE)
    if given.words:
        lists, texts = ([fit_linker.wordly(each) for each in some] for some in (lists, texts))
    stock = Stock.of(lists, texts, "words" if given.words else "vectors")
    say("features collected")
    print(f"{'left out':18s} " + " ".join(f"{key:>9s}" for key in FIGURES))

    def row(name: str, figures: Sequence[float]) -> None:
        print(f"{name:18s} " + " ".join(f"{figure:9.3f}" for figure in figures), flush=True)

    blank = dict(fit_linker.blank().scales)
    everything = stock.scales()
    calibrations = stock.calibrations(everything)

    def weights(scales: Sequence[Mapping[str, Scale]]) -> list[Weights]:
        return [
            Weights({**blank, **scale}, FLOOR, calibration)
            for scale, calibration in zip(scales, calibrations, strict=True)
        ]

    whole = weights(everything)
    row("nothing", measured(lists, whole, cold=given.cold))
    for kind in SignalKind:
        if any(kind_of(name) == kind for name in FEATURES):
            row(kind, measured(lists, weights(stock.scales(kind)), cold=given.cold))
    bare = [replace(each, calibrations={}) for each in whole]
    row("calibration", measured(lists, bare, cold=given.cold))
    if not given.cold:
        for name, numbers in LEARNED.items():
            with unlearned(numbers):
                row(name, measured(lists, whole, cold=False))
