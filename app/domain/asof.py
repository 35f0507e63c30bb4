"""What "as of a day" means, everywhere the same: how things stood at the end of that day."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from app.domain.identifiers import whole_day
from app.errors import Invalid

_FIRST = date(1900, 1, 1)  # before it a zone may lead out of what a date can say


def as_of(text: str, today: date) -> date:
    """The day as of which is asked, `today` without one. Raises Invalid for no day, or one to come."""
    written = text.strip()
    if not written:
        return today
    day = whole_day(written)
    if day is None:
        wrong = f"{written[:40]!r} is no day that has been. Write it as in 2026-05-08."
    elif day > today:
        wrong = f"{written!r} is no day that has been: it is {today} today."
    else:
        return day
    raise Invalid(wrong, fields={"asof": wrong})


def midnight(day: date, zone: tzinfo | None) -> datetime:
    """When a day begins where the reader is (`zone`; None: the system's), in UTC; from 1900 on."""
    return datetime.combine(max(day, _FIRST), time.min, zone).astimezone(UTC)


def end_of(day: date, zone: tzinfo | None) -> datetime:
    """The first moment after a day of the reader's."""
    return midnight(day + timedelta(days=1), zone)
