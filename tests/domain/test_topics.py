"""Topics by what was made of their papers: counting, weeks, and the threshold that asks for."""

from __future__ import annotations

from datetime import date

import pytest

from app.domain.record import WEEKS, Share
from app.domain.records import PaperState
from app.domain.topics import Tally, by_week, is_quiet, propose, worth_of

KEPT, DROPPED, WAITING = PaperState.KEPT, PaperState.DROPPED, PaperState.WAITING
TODAY = date(2026, 5, 14)  # a Thursday


def counted(kept: dict[int, int], dropped: dict[int, int]) -> dict[tuple[PaperState, int], int]:
    found = {(KEPT, step): count for step, count in kept.items()}
    return found | {(DROPPED, step): count for step, count in dropped.items()}


def tally(counts: dict[tuple[PaperState, int], int], threshold: float) -> Tally:
    found = Tally()
    for (state, step), count in counts.items():
        found = found.plus(state, step >= threshold * 100, count)
    return found


def test_every_paper_is_counted_once_by_what_was_decided() -> None:
    found = Tally()
    for state, picked, count in (
        (KEPT, True, 5),
        (DROPPED, True, 3),
        (WAITING, True, 2),
        (PaperState.DEFERRED, True, 1),
        (KEPT, False, 7),
        (DROPPED, False, 11),
        (WAITING, False, 13),
    ):
        found = found.plus(state, picked, count)
    assert (found.picked, found.kept, found.dropped, found.undecided) == (11, 12, 14, 16)
    assert found.precision == Share(8, 5)
    assert found.missed == 7
    assert (found + found).passed == 22


def test_weeks_begin_on_mondays_and_have_no_gap() -> None:
    weeks = by_week(
        [
            ("2026-04-26", KEPT, True, 1),  # a Sunday
            ("2026-04-27", KEPT, True, 2),
            ("2026-05-14", DROPPED, False, 4),
            ("2026-05-15", KEPT, True, 100),  # tomorrow
            ("2026-05", KEPT, True, 100),
            ("", KEPT, True, 100),
        ],
        today=TODAY,
    )
    assert [week.monday.isoformat() for week in weeks] == [
        "2026-04-20",
        "2026-04-27",
        "2026-05-04",
        "2026-05-11",
    ]
    assert [week.tally.kept for week in weeks] == [1, 2, 0, 0]
    assert weeks[-1].tally.dropped == 4
    assert by_week([], today=TODAY) == ()
    assert len(by_week([("1999-01-01", KEPT, True, 1)], today=TODAY)) == WEEKS


def test_a_topic_is_quiet_when_its_last_four_weeks_were_only_dropped() -> None:
    before = [("2026-04-19", KEPT, True, 1)]
    lately = [("2026-04-20", DROPPED, True, 2), ("2026-05-12", DROPPED, False, 1)]
    found = is_quiet(by_week(before + lately, today=TODAY), today=TODAY)
    assert found is not None and found.dropped == 3
    kept = [("2026-04-20", KEPT, False, 1)]
    assert is_quiet(by_week(kept + lately, today=TODAY), today=TODAY) is None
    undecided = [("2026-05-12", WAITING, True, 9)]
    assert is_quiet(by_week(before + undecided, today=TODAY), today=TODAY) is None


@pytest.mark.parametrize(
    ("kept", "dropped", "missed", "worth"),
    [
        (0, 0, 0, 0),
        (0, 9, 9, 0),
        (5, 0, 0, 1),
        (1, 1, 1, 1 / 2),
        (2, 4, 0, 5 / 7),
        (2, 0, 4, 5 / 13),
    ],
)
def test_a_missed_paper_is_dearer_than_one_picked_for_nothing(
    kept: int, dropped: int, missed: int, worth: float
) -> None:
    assert worth_of(kept, dropped, missed) == pytest.approx(worth)


def test_the_threshold_that_is_worth_most_is_proposed() -> None:
    counts = counted({60: 18, 31: 1, 4: 1}, {80: 5, 31: 7, 20: 30}) | {(WAITING, 15): 8}
    found = propose(counts, tally(counts, 0.15), now=0.15, days=10)
    assert found is not None
    assert found.threshold == 0.6, "the two below it cost 7 and 37 papers for nothing"
    assert (found.kept, found.missed, found.missed_now) == (20, 2, 1)
    assert (found.picked, found.picked_now) == (23, 69)
    assert found.more_a_day == pytest.approx(-4.6)
    assert found.is_better


def test_a_threshold_that_misses_too_much_is_lowered() -> None:
    counts = counted({60: 10, 10: 10}, {60: 1})
    found = propose(counts, tally(counts, 0.5), now=0.5, days=5)
    assert found is not None
    assert (found.threshold, found.missed, found.missed_now) == (0.1, 0, 10)
    assert found.more_a_day == pytest.approx(2)


def test_of_thresholds_that_are_worth_the_same_the_highest_is_taken() -> None:
    counts = counted({40: 20}, {5: 9})
    found = propose(counts, tally(counts, 0.3), now=0.3, days=1)
    assert found is not None
    assert (found.threshold, found.worth, found.worth_now) == (0.4, 1.0, 1.0)
    assert not found.is_better, "what is as good as it can be is left alone"


def test_a_small_gain_is_not_worth_a_change() -> None:
    counts = counted({40: 100}, {40: 10, 20: 2})
    found = propose(counts, tally(counts, 0.15), now=0.15, days=1)
    assert found is not None and found.threshold == 0.4
    assert found.worth > found.worth_now and not found.is_better


@pytest.mark.parametrize(
    "counts", [counted({50: 10}, {50: 9}), counted({}, {50: 40}), {(WAITING, 50): 99}]
)
def test_of_few_decisions_or_no_keep_nothing_is_proposed(
    counts: dict[tuple[PaperState, int], int],
) -> None:
    assert propose(counts, tally(counts, 0.15), now=0.15, days=3) is None


def test_scores_beyond_the_ends_count_at_the_ends() -> None:
    for step, threshold in ((120, 1.0), (-3, 0.0)):
        counts = counted({step: 30}, {})
        found = propose(counts, tally(counts, 0.15), now=0.15, days=0)
        assert found is not None
        assert (found.threshold, found.more_a_day) == (threshold, 0.0)
