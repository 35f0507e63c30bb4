"""Calibration: it keeps order, moves little for little, and survives odd numbers."""

import numpy as np
import pytest

from app.domain.confidence import Calibration, Scale, Weights, rivals, sigmoid
from app.errors import Misconfigured

SHIPPED = Calibration(above=0.6, below=0.95, rivals=0.2, intercept=0.1)


def judged(odds: np.ndarray, calibration: Calibration) -> np.ndarray:
    return calibration.odds(odds, rivals(odds))


def test_a_calibration_that_nobody_fitted_changes_nothing() -> None:
    odds = np.linspace(-9, 9, 12, dtype=np.float32).reshape(3, 4)
    assert judged(odds, Calibration()) == pytest.approx(odds, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_concepts_of_a_paper_keep_their_order(seed: int) -> None:
    odds = np.random.default_rng(seed).normal(-3, 4, (40, 25)).astype(np.float32)
    found = judged(odds, SHIPPED)
    order = np.argsort(odds, axis=1)
    assert (np.diff(np.take_along_axis(found, order, axis=1), axis=1) >= -1e-5).all()


def test_a_rival_takes_away_confidence() -> None:
    alone = judged(np.array([[2.0, -6, -6]], np.float32), SHIPPED)
    contested = judged(np.array([[2.0, 1.8, -6]], np.float32), SHIPPED)
    assert contested[0, 0] < alone[0, 0] - 0.3


def test_rivals_are_all_the_best_others_together() -> None:
    odds = np.array([[1.0, 0.0, -2.0]], np.float32)
    share = np.exp(odds)
    assert np.exp(rivals(odds)) == pytest.approx(share.sum() - share, rel=1e-4)


def test_thousands_of_far_concepts_do_not_add_up() -> None:
    few = rivals(np.array([[3.0] + [-6.0] * 9], np.float32))[0, 0]
    many = rivals(np.array([[3.0] + [-6.0] * 5_000], np.float32))[0, 0]
    assert many == pytest.approx(few, abs=0.2)


@pytest.mark.parametrize(
    "odds",
    [
        np.zeros((0, 3)), np.zeros((2, 0)), np.full((2, 1), 5.0), np.zeros((2, 3)),
        np.array([[1e9, -1e9, 0]]), np.full((1, 30), -1e9),
    ],
    ids=["no paper", "no concept", "one concept", "all alike", "huge", "none likely"],
)  # fmt: skip
def test_odd_numbers_are_calibrated_without_complaint(odds: np.ndarray) -> None:
    odds = odds.astype(np.float32)
    found = sigmoid(judged(odds, SHIPPED))
    assert found.shape == odds.shape
    assert np.isfinite(found).all()


def trial(pairs: int, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs that were thought even, of which a share was accepted; no rivals to speak of."""
    linked = (np.arange(pairs) < share * pairs).astype(np.float32)
    return np.zeros(pairs, np.float32), np.zeros(pairs, np.float32), linked


def test_few_decisions_hardly_move_it_and_many_make_it_true() -> None:
    sure = [
        float(sigmoid(Calibration().adapted(*trial(pairs, 0.9)).odds(np.zeros(1), np.zeros(1)))[0])
        for pairs in (0, 10, 100, 10_000)
    ]
    assert sure[0] == 0.5
    assert sure[1] < 0.6
    assert sure == sorted(sure)
    assert sure[3] == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("linked", [0.0, 1.0], ids=["all rejected", "all accepted"])
def test_a_reader_who_always_says_the_same_does_not_turn_the_order_round(linked: float) -> None:
    odds = np.linspace(-4, 4, 5_000, dtype=np.float32)
    answers = np.full(len(odds), linked, np.float32)
    found = SHIPPED.adapted(odds, np.zeros_like(odds), answers)
    assert np.isfinite([found.above, found.below, found.rivals, found.intercept]).all()
    assert (np.diff(found.odds(odds, np.zeros_like(odds))) >= 0).all()


def test_answers_against_all_expectation_do_not_turn_the_order_round() -> None:
    odds = np.linspace(-4, 4, 5_000, dtype=np.float32)
    found = SHIPPED.adapted(odds, np.zeros_like(odds), (odds < 0).astype(np.float32))
    assert (np.diff(found.odds(odds, np.zeros_like(odds))) >= 0).all()


def test_numbers_that_never_change_teach_without_complaint() -> None:
    scale = Scale(("a",), np.zeros(1), np.ones(1), np.ones(1), -1.0)
    same = np.full((50, 1), 3.0, np.float32)
    bent = scale.adapted(same, np.ones(50), np.ones(50), trust=50.0)
    assert np.isfinite([*bent.coefficient, bent.intercept]).all()


def test_calibrations_survive_writing_and_reading() -> None:
    scale = Scale(("a",), np.zeros(1), np.ones(1), np.ones(1), -1.0)
    weights = Weights({"warm/words": scale}, 0.4, {"warm/words": SHIPPED})
    read = Weights.parse(weights.dump())
    assert read.calibration("warm/words") == SHIPPED
    assert read.calibration("cold/words") == Calibration()
    assert read.dump() == weights.dump()


@pytest.mark.parametrize(
    "row",
    [
        '{"above": -1}',
        '{"above": "x"}',
        '{"above": NaN}',
        '{"higher": 1}',
        "[1]",
        "7",
    ],
)
def test_a_calibration_that_cannot_be_read_says_so(row: str) -> None:
    with pytest.raises(Misconfigured, match="linker"):
        Weights.parse(f'{{"floor": 0.5, "scales": {{}}, "calibrations": {{"warm/words": {row}}}}}')
