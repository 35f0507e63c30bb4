"""When to ask again: what a service says of it, and what we go by when it says nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = timedelta(days=1)
_FIRST = timedelta(minutes=5)
_SPREAD = 0.2  # of a wait, so that what failed together is not asked again together
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?")


def retry_after(value: str, *, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header: a number, or a date in any form HTTP knows.

    At most a day, 0 for a date that has passed, None for what is neither. `now` is aware.
    """
    text = value.strip()
    if _SECONDS.fullmatch(text):
        # The length first: Python refuses to read a number of many thousand digits.
        whole = text.partition(".")[0].lstrip("0")
        return min(float(text), _seconds(LONGEST)) if len(whole) < 10 else _seconds(LONGEST)
    try:
        date = parsedate_to_datetime(text)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = (date - now).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(seconds, 0.0), _seconds(LONGEST))


def back_off(failures: int, jitter: float) -> timedelta:
    """The wait after so many failures one after the other: 5 minutes, doubled each time, at most a day.

    `jitter` from 0 to 1, drawn anew each time, takes up to a fifth of it away. No wait without failures.
    """
    if failures <= 0:
        return timedelta(0)
    whole = min(_FIRST * (1 << min(failures - 1, 20)), LONGEST)
    return whole * (1 - _SPREAD * min(max(jitter, 0.0), 1.0))


def next_due(
    now: datetime,
    *,
    every: timedelta,
    failures: int = 0,
    after: float | None = None,
    jitter: float = 0.0,
) -> datetime:
    """When a source is due again that was asked `now`, and failed `failures` times up to now.

    `after` are the seconds it asked us to wait. The first time that holds to the second; a source
    that says it again and again is left alone for as long as any other that fails.
    """
    if failures <= 0:
        return now + max(every, timedelta(seconds=after or 0.0))
    if after is None:
        return now + back_off(failures, jitter)
    return now + max(timedelta(seconds=after), back_off(failures - 1, jitter))


def _seconds(span: timedelta) -> float:
    return span.total_seconds()
