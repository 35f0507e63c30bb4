"""Weeks of the atlas, their columns and shades, and what may be called growth."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from math import isclose

import pytest

from app.domain.atlas import (
    LEVELS,
    MOST_COLUMNS,
    Column,
    Measure,
    Range,
    columns,
    growth,
    level,
    measured,
    periods,
    spread,
)

TODAY = date(2026, 5, 14)  # a Thursday


@pytest.mark.parametrize(
    ("chosen", "count", "wide"),
    [(Range.WEEKS, 12, 1), (Range.HALF, 26, 1), (Range.YEAR, 13, 4)],
)
def test_columns_are_whole_weeks_and_the_last_has_today(
    chosen: Range, count: int, wide: int
) -> None:
    found = columns(chosen, today=TODAY, earliest=None)
    assert [each.weeks for each in found] == [wide] * count
    assert all(each.first.weekday() == 0 for each in found)
    assert found[-1].first <= TODAY <= found[-1].last
    for one, following in pairwise(found):
        assert one.last + timedelta(days=1) == following.first


@pytest.mark.parametrize(
    "earliest", ["2026-05-14", "2026-01-01", "2020-02-29", "1997-01-01", "0001-01-01"]
)
def test_all_of_it_begins_before_the_first_day_in_no_more_columns_than_fit(earliest: str) -> None:
    first = date.fromisoformat(earliest)
    found = columns(Range.ALL, today=TODAY, earliest=first)
    assert 1 <= len(found) <= MOST_COLUMNS
    assert found[-1].first <= TODAY <= found[-1].last
    # Before the year one there are no weeks to fill the first column with.
    assert found[0].first <= first or first.year == 1


def test_all_of_nothing_and_of_what_lies_ahead_is_this_week() -> None:
    this = (Column(date(2026, 5, 11)),)
    assert columns(Range.ALL, today=TODAY, earliest=None) == this
    assert columns(Range.ALL, today=TODAY, earliest=date(2027, 1, 1)) == this


def test_a_week_is_called_as_in_iso_8601() -> None:
    assert Column(date(2026, 5, 11)).name == "2026-W20"
    assert Column(date(2024, 12, 30)).name == "2025-W01"


def test_days_fall_into_the_week_of_their_monday_and_others_into_none() -> None:
    spans = columns(Range.WEEKS, today=TODAY, earliest=None)
    counted = [
        ("a", "2026-05-10", 1),  # a Sunday
        ("a", "2026-05-11", 2),
        ("a", "2026-05-14", 4),
        ("a", "2026-05-15", 8),  # tomorrow
        ("a", "2026-05", 16),
        ("a", "", 32),
        ("a", "2026-W20-1", 64),
        ("a", "2020-01-01", 128),
        ("b", "2026-02-23", 1),  # the first Monday there is
        ("b", "2026-02-22", 2),
        ("c", "2026-05-14", 0),
    ]
    found = spread(counted, spans, today=TODAY)
    assert found["a"] == (*[0] * 10, 1, 6)
    assert found["b"] == (1, *[0] * 11)
    assert "c" not in found
    assert spread(counted, (), today=TODAY) == {}


def test_columns_of_several_weeks_take_all_their_days() -> None:
    spans = columns(Range.YEAR, today=TODAY, earliest=None)
    days = [(spans[0].first + timedelta(days=n)).isoformat() for n in range(7 * 52)]
    found = spread((("a", day, 1) for day in days), spans, today=spans[-1].last)
    assert found["a"] == (28,) * 13


def test_a_measure_counts_its_papers() -> None:
    rows = [("a", "2026-05-14", 7, 5, 3), ("b", "2026-05-13", 1, 0, 1)]
    assert list(measured(rows, Measure.CAME)) == [("a", "2026-05-14", 7), ("b", "2026-05-13", 1)]
    assert [number for _, _, number in measured(rows, Measure.PICKED)] == [5, 0]
    assert [number for _, _, number in measured(rows, Measure.KEPT)] == [3, 1]


def test_shades_are_a_handful_and_only_nothing_has_none() -> None:
    shades = [level(number, 1000) for number in range(1001)]
    assert shades[0] == 0 and shades[1] == 1 and shades[-1] == LEVELS
    assert shades == sorted(shades)
    assert set(shades) == set(range(LEVELS + 1))
    assert level(0, 0) == 0


# ---------------------------------------------------------------- growth


def test_what_grows_as_everything_does_has_not_grown() -> None:
    found = growth(200, 100, all_now=2000, all_before=1000)
    assert found is not None
    assert isclose(found.change, 0, abs_tol=1e-9) and not found.sure


def test_small_numbers_do_not_shout() -> None:
    few = growth(3, 0, all_now=500, all_before=500)
    many = growth(300, 100, all_now=5000, all_before=5000)
    assert few is not None and many is not None
    assert not few.heats  # three of none is chance
    assert many.heats and many.change > few.change
    assert 1.4 < many.change < 1.6  # three times as many, hardly drawn down


def test_change_is_the_same_up_and_down() -> None:
    up = growth(40, 10, all_now=500, all_before=500)
    down = growth(10, 40, all_now=500, all_before=500)
    assert up is not None and down is not None
    assert up.heats and down.cools and isclose(up.change, -down.change)
    assert isclose(up.factor * down.factor, 1)


@pytest.mark.parametrize(("now", "before", "sure"), [(8, 0, False), (9, 0, True), (0, 9, True)])
def test_what_is_sure_is_hardly_chance(now: int, before: int, sure: bool) -> None:
    found = growth(now, before, all_now=1000, all_before=1000)
    assert found is not None and found.sure is sure


def test_nothing_is_compared_with_nothing() -> None:
    assert growth(5, 0, all_now=10, all_before=0) is None
    assert growth(0, 5, all_now=0, all_before=10) is None
    none = growth(0, 0, all_now=10, all_before=10)
    assert none is not None and none.change == 0 and not none.sure


def test_periods_are_four_weeks_each_and_touch() -> None:
    now, before = periods(TODAY)
    assert now.last == TODAY and before.last + timedelta(days=1) == now.first
    assert (now.last - now.first).days == (before.last - before.first).days == 27
