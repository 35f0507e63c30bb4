"""What a thread's members say together: counters, span and status, computed and never typed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from app.domain.records import ThreadStatus

DORMANT_DAYS = 60
WEEKS = 12
STATES = ("growing", "dormant", "contradicted", "closed")


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
    listed = Counter(days)
    dated = sorted((found, text) for text in listed if (found := day_of(text)) is not None)
    return counted(
        listed.total(),
        since=dated[0][1] if dated else "",
        latest=dated[-1][1] if dated else "",
        recent=listed,
        today=today,
        marked=marked,
    )


def counted(
    papers: int,
    *,
    since: str,
    latest: str,
    recent: Mapping[str, int],
    today: date,
    marked: ThreadStatus = ThreadStatus.OPEN,
) -> Counters:
    """The same from sums: the first and the last date of all members, '' where none has one.

    `recent` says how many joined on each date from `weeks_begin` on; earlier dates do no harm.
    """
    ago: Counter[int] = Counter()
    for text, number in recent.items():
        day = day_of(text)
        if day is not None and day <= today:
            ago[(today - day).days // 7] += number
    weekly = tuple(ago[week] for week in range(WEEKS - 1, -1, -1))
    first, last = day_of(since), day_of(latest)
    return Counters(
        papers=papers,
        since=first.isoformat() if first else "",
        latest=last.isoformat() if last else "",
        this_week=ago[0],
        weekly=weekly,
        momentum=sum(weekly[-4:]) - sum(weekly[-8:-4]),
        status=_status(last, today, marked),
    )


def momentum_words(numbers: Counters) -> str:
    """How the last four weeks compare with the four before, in words; "" where nothing moved."""
    recent, before = sum(numbers.weekly[-4:]), sum(numbers.weekly[-8:-4])
    if not recent and not before:
        return ""
    if recent == before:
        return f"steady: {recent} in the last four weeks as in the four before"
    word = "speeding up" if recent > before else "slowing down"
    return f"{word}: {recent} in the last four weeks, {before} in the four before"


def weeks_begin(today: date) -> date:
    """The first day of the last twelve weeks; early in the year 1, the second day that has a date."""
    return date.fromordinal(max(2, today.toordinal() - 7 * WEEKS + 1))


def _status(latest: date | None, today: date, marked: ThreadStatus) -> str:
    if marked != ThreadStatus.OPEN:
        return marked.value
    if latest and today - latest <= timedelta(days=DORMANT_DAYS):
        return "growing"
    return "dormant"
