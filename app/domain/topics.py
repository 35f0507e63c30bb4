"""Topics by what the reader made of their papers: precision, and the threshold it asks for.

A paper is **picked** when its score reaches the threshold of its primary topic. Of picked papers that
were decided, the share kept is the topic's precision; what was kept though it was not picked was
missed. Counts come in, shares and thresholds go out; pure: no database, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from app.domain.record import FEW, Share, monday_of, mondays
from app.domain.records import PaperState

STEPS = 100  # a threshold is proposed in hundredths
DEARER = 2  # what was kept and is missed weighs so many times a share of what is picked for nothing
LEAST_GAIN = 0.02  # of worth, that another threshold must bring to be proposed
QUIET_WEEKS = 4  # in which something was dropped and nothing kept, before a topic is questioned
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True)
class Tally:
    """Papers of a topic, by whether they are picked and what the reader decided."""

    picked_kept: int = 0
    picked_dropped: int = 0
    picked_undecided: int = 0
    missed: int = 0  # kept, though not picked
    passed: int = 0  # dropped, and not picked
    left: int = 0  # undecided, and not picked

    @property
    def picked(self) -> int:
        return self.picked_kept + self.picked_dropped + self.picked_undecided

    @property
    def kept(self) -> int:
        return self.picked_kept + self.missed

    @property
    def dropped(self) -> int:
        return self.picked_dropped + self.passed

    @property
    def undecided(self) -> int:
        return self.picked_undecided + self.left

    @property
    def decided(self) -> int:
        return self.kept + self.dropped

    @property
    def precision(self) -> Share:
        """Of the picked ones that were decided, those kept."""
        return Share(self.picked_kept + self.picked_dropped, self.picked_kept)

    def plus(self, state: PaperState, picked: bool, count: int) -> Tally:
        """With so many more of one kind."""
        name = {
            PaperState.KEPT: ("missed", "picked_kept"),
            PaperState.DROPPED: ("passed", "picked_dropped"),
        }.get(state, ("left", "picked_undecided"))[picked]
        return replace(self, **{name: getattr(self, name) + count})

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in _NAMES))


_NAMES = ("picked_kept", "picked_dropped", "picked_undecided", "missed", "passed", "left")


@dataclass(frozen=True)
class TopicWeek:
    """A topic's papers that came in the week that begins on a Monday."""

    monday: date
    tally: Tally


def by_week(
    counted: Iterable[tuple[str, PaperState, bool, int]], *, today: date
) -> tuple[TopicWeek, ...]:
    """Weeks, oldest first, from (ISO day, state, picked, papers); at most `record.WEEKS`.

    A day that is none, or that lies ahead, belongs to no week.
    """
    found: dict[date, Tally] = {}
    for day, state, picked, count in counted:
        try:
            came = date.fromisoformat(day)
        except ValueError:
            continue
        if came <= today:
            monday = monday_of(came)
            found[monday] = found.get(monday, Tally()).plus(state, picked, count)
    weeks = mondays(today, min(found, default=None))
    return tuple(TopicWeek(monday, found.get(monday, Tally())) for monday in weeks)


def is_quiet(weeks: Iterable[TopicWeek], *, today: date) -> Tally | None:
    """The last weeks together, where the reader dropped papers of them and kept none; else None."""
    since = monday_of(today) - timedelta(weeks=QUIET_WEEKS - 1)
    recent = sum((week.tally for week in weeks if week.monday >= since), Tally())
    return recent if recent.dropped and not recent.kept else None


# ---------------------------------------------------------------- another threshold


@dataclass(frozen=True)
class Proposed:
    """A threshold that the reader's decisions ask for, and what it would have meant.

    It picks `found` of the `kept` papers that the reader kept, and `picked` in all, where the one in
    force (`now`) picks `found_now` and `picked_now`; papers came on so many `days`. `worth` and
    `worth_now` are what each is worth by `worth_of`.
    """

    threshold: float
    now: float
    kept: int
    decided: int
    found: int
    found_now: int
    picked: int
    picked_now: int
    worth: float
    worth_now: float
    days: int

    @property
    def more_a_day(self) -> float:
        """How many papers more it would have picked a day; below nought: fewer."""
        return (self.picked - self.picked_now) / self.days if self.days else 0.0

    @property
    def missed(self) -> int:
        return self.kept - self.found

    @property
    def missed_now(self) -> int:
        return self.kept - self.found_now

    @property
    def is_better(self) -> bool:
        """Whether it is clearly better than the one in force."""
        return self.worth >= self.worth_now + LEAST_GAIN


def worth_of(kept: int, dropped: int, missed: int) -> float:
    """What picking is worth, 0..1, by kept and dropped papers that are picked and kept ones that are not.

    Precision and the share of kept papers that is picked in one number, the second counting DEARER
    times as much: the F2 measure. 0 where nothing that was kept is picked.
    """
    hits = (1 + DEARER**2) * kept
    return hits / (hits + DEARER**2 * missed + dropped) if kept else 0.0


def propose(
    counted: Mapping[tuple[PaperState, int], int], tally: Tally, *, now: float, days: int
) -> Proposed | None:
    """The threshold that would have been worth most; of several, the highest.

    `counted`: papers by state and by score in whole hundredths, rounded down; `tally`: the same by
    the threshold in force. None where fewer than `record.FEW` were decided, or none was kept.
    """
    if tally.decided < FEW or not tally.kept:
        return None
    at: list[Tally] = [Tally()] * (STEPS + 1)
    for (state, step), count in counted.items():
        place = min(max(step, 0), STEPS)
        at[place] = at[place].plus(state, True, count)
    above, best = Tally(), (-1.0, STEPS, Tally())
    for step in range(STEPS, -1, -1):
        above += at[step]
        worth = worth_of(above.kept, above.dropped, tally.kept - above.kept)
        if worth > best[0]:
            best = worth, step, above
    worth, step, above = best
    return Proposed(
        threshold=step / STEPS,
        now=now,
        kept=tally.kept,
        decided=tally.decided,
        found=above.kept,
        found_now=tally.picked_kept,
        picked=above.picked,
        picked_now=tally.picked,
        worth=worth,
        worth_now=worth_of(tally.picked_kept, tally.picked_dropped, tally.missed),
        days=days,
    )
