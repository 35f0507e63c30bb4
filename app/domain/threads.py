"""What a thread's members say together: counters, span and status, computed and never typed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from app.domain.records import ThreadStatus

DORMANT_DAYS = 60
WEEKS = 12


@dataclass(frozen=True)
class Counters:
    """A thread in numbers, as of a day.

    `weekly` counts new members in each of the last twelve weeks, oldest first; `momentum` is the
    last four weeks less the four before; `status` is growing, dormant, contradicted or closed.
    """

    papers: int
    since: str
    latest: str
    this_week: int
    weekly: tuple[int, ...]
    momentum: int
    status: str


def day_of(text: str) -> date | None:
    """A day from ISO text; a month counts from its first day, a year from January the first."""
    parts = text.split("-")
    try:
        year, month, day = ([int(part) for part in parts] + [1, 1])[:3]
        return date(year, month, day)
    except (ValueError, OverflowError):
        return None


def counters(
    days: Iterable[str], *, today: date, marked: ThreadStatus = ThreadStatus.OPEN
) -> Counters:
    """Count members by the ISO dates they joined; members without a date count as papers alone."""
    listed = list(days)
    dated = sorted(found for text in listed if (found := day_of(text)) is not None)
    ago = Counter((today - day).days // 7 for day in dated if day <= today)
    weekly = tuple(ago[week] for week in range(WEEKS - 1, -1, -1))
    return Counters(
        papers=len(listed),
        since=dated[0].isoformat() if dated else "",
        latest=dated[-1].isoformat() if dated else "",
        this_week=ago[0],
        weekly=weekly,
        momentum=sum(weekly[-4:]) - sum(weekly[-8:-4]),
        status=_status(dated, today, marked),
    )


def _status(dated: Sequence[date], today: date, marked: ThreadStatus) -> str:
    if marked != ThreadStatus.OPEN:
        return marked.value
    if dated and today - dated[-1] <= timedelta(days=DORMANT_DAYS):
        return "growing"
    return "dormant"
