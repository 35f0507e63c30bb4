"""The atlas: papers by topic, source and week; what grows and what fades; what was kept of it.

Weeks are those of ISO 8601, which begin on a Monday, on the reader's calendar. A paper stands in the
week in which it came (`Paper.came`). Counts by day come in, numbers by column go out; pure: no
database, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from math import ceil, log2, sqrt
from typing import TypeVar

from app.domain.identifiers import whole_day
from app.domain.record import monday_of

MOST_COLUMNS = 26
LEVELS = 5  # of shade
PERIOD = 28  # days that are compared with as many before
STEADY = 8  # papers as few as these move a change half of its way at most
SURE = 2.58  # standard deviations: chance alone does as much less than once in a hundred times


class Measure(StrEnum):
    """Which papers are counted."""

    CAME = "came"  # all of them
    PICKED = "picked"  # whose score reaches the threshold of their topic
    KEPT = "kept"  # that the reader kept


class Range(StrEnum):
    """How far back the columns go."""

    WEEKS = "12-weeks"
    HALF = "6-months"
    YEAR = "year"
    ALL = "all"


@dataclass(frozen=True)
class Column:
    """So many whole weeks together, the first of which begins on `first`, a Monday."""

    first: date
    weeks: int = 1

    @property
    def last(self) -> date:
        """The Sunday that ends it."""
        return self.first + timedelta(days=7 * self.weeks - 1)

    @property
    def name(self) -> str:
        """Its first week as in ISO 8601: 2026-W20."""
        year, week, _ = self.first.isocalendar()
        return f"{year}-W{week:02}"


def columns(range_: Range, *, today: date, earliest: date | None) -> tuple[Column, ...]:
    """The columns of a range, oldest first, the last one with the week of `today`.

    Twelve or 26 weeks; a year as 13 columns of four weeks; everything since `earliest` in columns of
    one week, or of as many times four as make 26 columns at most.
    """
    this = monday_of(today)
    count, wide = {Range.WEEKS: (12, 1), Range.HALF: (26, 1)}.get(range_, (13, 4))
    if range_ is Range.ALL:
        weeks = (this - monday_of(min(earliest or today, today))).days // 7 + 1
        wide = 1 if weeks <= MOST_COLUMNS else 4 * ceil(weeks / (4 * MOST_COLUMNS))
        count = ceil(weeks / wide)
    begin = this + timedelta(weeks=1)
    spans = []
    for at in range(count, 0, -1):
        try:
            spans.append(Column(begin - timedelta(weeks=at * wide), wide))
        except OverflowError:  # before the first year there is
            continue
    return tuple(spans)


Key = TypeVar("Key")


def measured(
    counted: Iterable[tuple[Key, str, int, int, int]], measure: Measure
) -> Iterator[tuple[Key, str, int]]:
    """(key, day, number) of (key, day, papers, picked ones, kept ones), whichever are counted."""
    at = (Measure.CAME, Measure.PICKED, Measure.KEPT).index(measure)
    return ((key, day, numbers[at]) for key, day, *numbers in counted)


def spread(
    counted: Iterable[tuple[Key, str, int]], spans: Sequence[Column], *, today: date
) -> dict[Key, tuple[int, ...]]:
    """Numbers by key and ISO day as numbers by key and column.

    What is known by month or year alone, lies ahead of `today` or before the first column is in none.
    """
    places: dict[str, int | None] = {}
    found: dict[Key, list[int]] = {}
    for key, day, number in counted:
        if day not in places:
            places[day] = _place(day, spans, today)
        at = places[day]
        if at is not None:
            found.setdefault(key, [0] * len(spans))[at] += number
    return {key: tuple(numbers) for key, numbers in found.items() if any(numbers)}


def _place(text: str, spans: Sequence[Column], today: date) -> int | None:
    day = whole_day(text)
    if day is None or not spans or not spans[0].first <= day <= today:
        return None
    return min((day - spans[0].first).days // (7 * spans[0].weeks), len(spans) - 1)


def level(number: int, most: int) -> int:
    """How strongly a number is shaded beside the largest: 0 for none, else 1 to LEVELS.

    By its root, so that the many small numbers do not all look like nothing.
    """
    return min(LEVELS, ceil(LEVELS * sqrt(number / most))) if number > 0 and most > 0 else 0


# ---------------------------------------------------------------- growth


@dataclass(frozen=True)
class Growth:
    """So many papers in a period, and so many in the one before.

    `change` is how many times doubled their rate among all papers is (below nought: halved), drawn
    towards nought where papers are few. `sure`: chance alone hardly does as much.
    """

    now: int
    before: int
    change: float
    sure: bool

    @property
    def factor(self) -> float:
        """The rate now as so many times the one before, drawn towards 1 likewise."""
        return float(2**self.change)

    @property
    def heats(self) -> bool:
        return self.sure and self.change > 0

    @property
    def cools(self) -> bool:
        return self.sure and self.change < 0


def growth(now: int, before: int, *, all_now: int, all_before: int) -> Growth | None:
    """The change of `now` against `before`, of `all_now` and `all_before` papers.

    Rates are compared, not counts: what doubles because twice as many papers came has not grown.
    STEADY papers more are counted in, spread as all papers are; that draws few papers to "no change".
    None where one of the periods is empty: there is nothing to compare.
    """
    if all_now <= 0 or all_before <= 0:
        return None
    expected = all_now / (all_now + all_before)
    count = now + before
    rate_now = (now + STEADY * expected) / expected
    rate_before = (before + STEADY * (1 - expected)) / (1 - expected)
    spread_ = sqrt(count * expected * (1 - expected))
    off = abs(now - count * expected) - 0.5  # counts are whole: half of one is within rounding
    return Growth(now, before, log2(rate_now / rate_before), count > 0 and off >= SURE * spread_)


def periods(today: date) -> tuple[Column, Column]:
    """The last four weeks of days up to `today`, and the four before. They begin on any day."""
    first = today - timedelta(days=PERIOD - 1)
    weeks = PERIOD // 7
    return Column(first, weeks), Column(first - timedelta(days=PERIOD), weeks)
