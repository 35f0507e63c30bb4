"""What the record says of counted decisions."""

from __future__ import annotations

from datetime import date

import pytest

from app.domain.record import (
    WEEKS,
    Share,
    Week,
    bins,
    calibration_error,
    calibration_words,
    edges,
    mondays,
    threshold_of,
    week_named,
    wilson,
)

NONE = (0, 0, 0.0)


@pytest.mark.parametrize(
    ("accepted", "count", "low", "high"),
    [
        (0, 0, 0.0, 1.0),
        (0, 1, 0.0, 0.793),
        (1, 1, 0.207, 1.0),
        (5, 10, 0.237, 0.763),
        (9, 10, 0.596, 0.982),
        (950, 1000, 0.935, 0.962),
    ],
)
def test_an_interval_is_wilsons(accepted: int, count: int, low: float, high: float) -> None:
    assert wilson(accepted, count) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))


@pytest.mark.parametrize(("accepted", "count"), [(2, 1), (-1, 3), (0, -1)])
def test_counts_that_cannot_be_have_no_interval(accepted: int, count: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        wilson(accepted, count)


def test_a_share_of_nothing_is_unknown_and_shares_add_up() -> None:
    assert Share().share is None
    assert Share(3, 1) + Share(1, 1) == Share(4, 2)
    assert Share(4, 2).share == 0.5


def test_bins_hold_means_and_an_empty_one_stands_in_its_middle() -> None:
    found = bins([NONE] * 8 + [(4, 3, 3.4), (2, 2, 1.9)])
    assert [(each.start, each.end) for each in found] == edges()
    assert found[0].confidence == pytest.approx(0.05)
    assert found[8].confidence == pytest.approx(0.85)
    assert found[8].gap == pytest.approx(0.1)
    assert found[0].gap == 0
    with pytest.raises(ValueError, match=r"zip\(\)"):
        bins([NONE])


def test_the_calibration_error_weighs_each_gap_by_its_count() -> None:
    found = bins([NONE] * 5 + [(30, 15, 16.5), *[NONE] * 3, (10, 10, 9.5)])
    assert calibration_error(found) == pytest.approx((30 * 0.05 + 10 * 0.05) / 40)
    perfect = bins([NONE] * 9 + [(20, 19, 19.0)])
    assert calibration_error(perfect) == pytest.approx(0)
    assert calibration_error(bins([NONE] * 10)) is None


@pytest.mark.parametrize(
    ("error", "decided", "says"),
    [
        (None, 0, "Nothing has been decided"),
        (0.001, 500, "right: on average less than a point"),
        (0.011, 500, "right: on average a point"),
        (0.06, 500, "nearly right: on average 6 points"),
        (0.25, 500, "off: on average 25 points"),
        (0.25, 19, "19 decisions are too few"),
        (0.25, 1, "1 decision is too few"),
    ],
)
def test_the_error_in_words(error: float | None, decided: int, says: str) -> None:
    words = calibration_words(error, decided)
    assert says in words
    assert ("too few" in words) == (0 < decided < 20)


def test_weeks_run_from_the_first_decision_to_this_one() -> None:
    today = date(2026, 5, 14)
    assert mondays(today, None) == []
    assert mondays(today, today) == [date(2026, 5, 11)]
    assert mondays(today, date(2026, 5, 10)) == [date(2026, 5, 4), date(2026, 5, 11)]
    assert mondays(today, date(2027, 1, 1)) == [date(2026, 5, 11)], "a clock that was set back"
    long = mondays(today, date(2001, 1, 1))
    assert (len(long), long[-1]) == (WEEKS, date(2026, 5, 11))


@pytest.mark.parametrize(
    ("name", "monday"),
    [
        ("2026-W20", date(2026, 5, 11)),
        ("2020-W53", date(2020, 12, 28)),
        ("2026-W54", None),
        ("2026-W00", None),
        ("2026-W2", None),
        ("2026-20", None),
        ("", None),
        ("٢٠٢٦-W20", None),
        ("0000-W01", None),
    ],
)
def test_a_week_is_named_as_in_iso_8601(name: str, monday: date | None) -> None:
    assert week_named(name) == monday
    if monday is not None:
        assert Week(monday, Share()).name == name


@pytest.mark.parametrize(
    ("text", "least", "value"),
    [
        ("0.8", 0, 0.8),
        (" .8 ", 0, 0.8),
        ("0,8", 0, 0.8),
        ("80%", 0, 0.8),
        ("80 %", 0, 0.8),
        ("1", 0, 1.0),
        ("0", 0, 0.0),
        ("0.33333", 0, 0.3333),
        ("0.49", 0.5, None),
        ("0.5", 0.5, 0.5),
        ("80", 0, None),
        ("-0.1", 0, None),
        ("nan", 0, None),
        ("inf", 0, None),
        ("1e400", 0, None),
        ("high", 0, None),
        ("", 0, None),
        ("0.8.1", 0, None),
    ],
)
def test_a_threshold_is_read_as_people_type_it(
    text: str, least: float, value: float | None
) -> None:
    assert threshold_of(text, least=least) == value
