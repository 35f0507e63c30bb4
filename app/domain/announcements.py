"""On which day's listing arXiv announces what was submitted when. Pure.

arXiv takes submissions until 14:00 of Eastern time, and announces them at 20:00 from Sunday to Thursday
in the listing of the next day: what came from Monday 14:00 to Tuesday 14:00 is Wednesday's, what came
over the weekend is Tuesday's. Holidays, and papers that its moderators hold back, make it later; nobody
can know that from the time of submission, so this is the earliest day.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

_CUT_OFF = timedelta(hours=14)
# By the weekday on which a batch closes (Monday is 0): days until the listing it is announced in.
_LATER = (1, 1, 1, 1, 3, 3, 2)
FIRST, LAST = 1990, 2200  # a year outside is a slip


def listing_day(submitted: datetime) -> str:
    """The listing (ISO day) of what was submitted at this time; '' where no listing can be meant."""
    if submitted.tzinfo is None:
        submitted = submitted.replace(tzinfo=UTC)
    if not FIRST <= submitted.year < LAST:
        return ""
    batch = (_eastern(submitted.astimezone(UTC)) + (timedelta(days=1) - _CUT_OFF)).date()
    return _of_batch(batch)


def submitted_for(first: date, last: date) -> tuple[datetime, datetime]:
    """When what stands in the listings of these days (inclusive) was submitted: from, and to before.

    The end is not before the last day itself is over, so that what was submitted on a day is there too.
    """
    first, last = max(first, date(FIRST, 1, 1)), min(last, date(LAST, 1, 1))
    batch = first
    while _of_batch(batch - timedelta(days=1)) >= first.isoformat():
        batch -= timedelta(days=1)
    begin = datetime.combine(batch, time(), UTC) - (timedelta(days=1) - _CUT_OFF)
    end = datetime.combine(last, time(), UTC) + timedelta(days=1)
    # Eastern time is four or five hours behind.
    return begin + timedelta(hours=4), end


def _of_batch(batch: date) -> str:
    """The listing of the batch that closes on a day."""
    return (batch + timedelta(days=_LATER[batch.weekday()])).isoformat()


def _eastern(at: datetime) -> datetime:
    """The time in New York of a time in UTC, by the rule in force since 2007."""
    march, november = date(at.year, 3, 8), date(at.year, 11, 1)
    begin = march + timedelta(days=6 - march.weekday())
    end = november + timedelta(days=6 - november.weekday())
    summer = datetime.combine(begin, time(7), UTC) <= at < datetime.combine(end, time(6), UTC)
    return at - timedelta(hours=4 if summer else 5)
