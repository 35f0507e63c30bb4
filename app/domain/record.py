"""The linker's record: how often its proposals were accepted, and whether its confidence was true.

A confidence of .8 says that eight of ten such proposals will be accepted. The record compares that
with what was decided: by confidence in ten bins, as one number (the expected calibration error),
by signal, concept and kind, over weeks, and for another threshold. Counts come in, shares go out;
pure: no database, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import sqrt

BINS = 10
FEW = 20  # decisions; with fewer a share says little
SURENESS = 1.96  # standard deviations: intervals hold the true share 19 times of 20
WEEKS = 26  # shown at most
LEAST_OF_A_RULE = 0.5


@dataclass(frozen=True)
class Share:
    """So many of `count` decided proposals were accepted."""

    count: int = 0
    accepted: int = 0

    @property
    def share(self) -> float | None:
        """0..1; None of nothing."""
        return self.accepted / self.count if self.count else None

    @property
    def interval(self) -> tuple[float, float]:
        """Between which shares the true one lies, 19 times of 20 (Wilson); (0, 1) of nothing."""
        return wilson(self.accepted, self.count)

    def __add__(self, other: Share) -> Share:
        return Share(self.count + other.count, self.accepted + other.accepted)


@dataclass(frozen=True)
class Bin:
    """Proposals with a confidence from `start` up to `end`, and the mean of their confidences."""

    start: float
    end: float
    decided: Share
    confidence: float

    @property
    def gap(self) -> float:
        """How far the share accepted is from the confidence, in probability; 0 of nothing."""
        share = self.decided.share
        return 0.0 if share is None else abs(share - self.confidence)


@dataclass(frozen=True)
class Week:
    """What was decided in the week that begins on a Monday, in UTC."""

    monday: date
    decided: Share

    @property
    def name(self) -> str:
        """As in ISO 8601: 2026-W20."""
        year, week, _ = self.monday.isocalendar()
        return f"{year}-W{week:02}"


@dataclass(frozen=True)
class WhatIf:
    """What another threshold would have meant, and would mean for what waits.

    `decided`: proposals at or above it; `missed`: accepted ones below it. `waiting` proposals, of
    which `staying` are at or above it.
    """

    threshold: float
    decided: Share
    missed: int
    waiting: int
    staying: int


def wilson(accepted: int, count: int) -> tuple[float, float]:
    """Wilson's score interval of a share, 95%. Raises ValueError for counts that cannot be."""
    if not 0 <= accepted <= count:
        raise ValueError(f"{accepted} of {count} is no share")
    if count == 0:
        return 0.0, 1.0
    share, z = accepted / count, SURENESS
    middle = share + z * z / (2 * count)
    spread = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    whole = 1 + z * z / count
    return max(0.0, (middle - spread) / whole), min(1.0, (middle + spread) / whole)


def edges() -> list[tuple[float, float]]:
    """Where the bins begin and end; the last one holds 1 too."""
    return [(at / BINS, (at + 1) / BINS) for at in range(BINS)]


def bins(counted: Sequence[tuple[int, int, float]]) -> tuple[Bin, ...]:
    """All ten bins from (count, accepted, sum of confidences) of each, in the order of `edges`."""
    return tuple(
        Bin(start, end, Share(count, accepted), total / count if count else (start + end) / 2)
        for (start, end), (count, accepted, total) in zip(edges(), counted, strict=True)
    )


def calibration_error(found: Iterable[Bin]) -> float | None:
    """The expected calibration error: the mean gap of the bins, each by its count; None of nothing."""
    found = list(found)
    count = sum(each.decided.count for each in found)
    if not count:
        return None
    return sum(each.gap * each.decided.count for each in found) / count


def calibration_words(error: float | None, decided: int) -> str:
    """What the calibration error means, in a sentence."""
    if error is None:
        return "Nothing has been decided yet."
    if decided < FEW:
        noun = "decision is" if decided == 1 else "decisions are"
        return f"{decided} {noun} too few to judge whether its confidence is right."
    points = round(100 * error)
    how = "right" if error <= 0.03 else "nearly right" if error <= 0.08 else "off"
    apart = "less than a point" if points < 1 else "a point" if points == 1 else f"{points} points"
    return f"Its confidence is {how}: on average {apart} from the share you accepted."


def monday_of(day: date) -> date:
    """The Monday that begins the week of a day."""
    return day - timedelta(days=day.weekday())


def mondays(today: date, first: date | None) -> list[date]:
    """The weeks to show, oldest first: since the first decision, at most WEEKS, this one last."""
    last = monday_of(today)
    if first is None:
        return []
    begin = max(monday_of(min(first, today)), last - timedelta(weeks=WEEKS - 1))
    return [begin + timedelta(weeks=at) for at in range((last - begin).days // 7 + 1)]


def week_named(name: str) -> date | None:
    """The Monday of a week as `Week.name` has it; None for what is no such name."""
    year, found, week = name.partition("-W")
    if not found or not (year + week).isascii() or not (year + week).isdigit() or len(name) != 8:
        return None
    try:
        monday = date.fromisocalendar(int(year), int(week), 1)
        monday + timedelta(weeks=1)  # the last week there is has no end that can be named
    except (ValueError, OverflowError):
        return None
    return monday


def threshold_of(text: str, *, least: float = 0.0) -> float | None:
    """A threshold as a person types it: .8, 0.8, "0,8" or "80%"; None for what is none of these.

    Kept to four digits, from `least` to 1.
    """
    given = text.strip().replace(",", ".")
    percent = given.endswith("%")
    try:
        value = float(given.removesuffix("%").strip())
    except ValueError:
        return None
    value = round(value / 100 if percent else value, 4)
    return value if least <= value <= 1 else None  # nan is neither
