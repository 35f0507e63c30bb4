"""What a thread's members say together, counted."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from app.domain.records import ThreadStatus
from app.domain.threads import WEEKS, counters, day_of, momentum_words

TODAY = date(2026, 5, 14)


def ago(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-14", date(2026, 5, 14)),
        ("2026-05", date(2026, 5, 1)),
        ("2026", date(2026, 1, 1)),
        ("", None),
        ("2026-02-30", None),
        ("soon", None),
        ("0000", None),
    ],
)
def test_days_of_what_is_known_of_a_date(text: str, expected: date | None) -> None:
    assert day_of(text) == expected


def test_a_thread_without_members_is_dormant() -> None:
    found = counters([], today=TODAY)
    assert (found.papers, found.since, found.latest, found.status) == (0, "", "", "dormant")
    assert found.weekly == (0,) * WEEKS
    assert (found.this_week, found.momentum) == (0, 0)


def test_members_are_counted_by_their_days() -> None:
    found = counters([ago(0), ago(6), ago(7), ago(30), ago(400), "", "2024"], today=TODAY)
    assert found.papers == 7
    assert (found.since, found.latest) == ("2024-01-01", "2026-05-14")
    assert found.this_week == 2
    assert found.weekly[-1] == 2
    assert found.weekly[-2] == 1
    assert sum(found.weekly) == 4
    assert found.momentum == 3 - 1


def test_momentum_is_the_last_four_weeks_less_the_four_before() -> None:
    earlier = [ago(28 + 7 * week) for week in range(4)]
    assert counters(earlier, today=TODAY).momentum == -4
    assert counters([*earlier, ago(1)], today=TODAY).momentum == -3


@pytest.mark.parametrize(
    ("last", "marked", "expected"),
    [
        (ago(0), ThreadStatus.OPEN, "growing"),
        (ago(60), ThreadStatus.OPEN, "growing"),
        (ago(61), ThreadStatus.OPEN, "dormant"),
        ("", ThreadStatus.OPEN, "dormant"),
        (ago(0), ThreadStatus.CLOSED, "closed"),
        (ago(99), ThreadStatus.CONTRADICTED, "contradicted"),
    ],
)
def test_status_is_growing_dormant_or_what_the_reader_says(
    last: str, marked: ThreadStatus, expected: str
) -> None:
    assert counters([last], today=TODAY, marked=marked).status == expected


def test_a_day_to_come_counts_as_a_member_but_not_as_this_week() -> None:
    found = counters([ago(-3)], today=TODAY)
    assert (found.papers, found.this_week, sum(found.weekly)) == (1, 0, 0)


@pytest.mark.parametrize(
    ("days", "says"),
    [
        ([], ""),
        (["2025-01-01"], ""),
        (["2026-05-13", "2026-05-12"], "speeding up: 2 in the last four weeks, 0 in the four before"),
        (["2026-04-01"], "slowing down: 0 in the last four weeks, 1 in the four before"),
        (["2026-05-13", "2026-04-01"], "steady: 1 in the last four weeks as in the four before"),
    ],
)  # fmt: skip
def test_momentum_is_told_in_words(days: list[str], says: str) -> None:
    assert momentum_words(counters(days, today=date(2026, 5, 14))) == says
