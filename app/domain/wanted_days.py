"""Which entries of what a source sent are wanted, by their day: a feed always comes whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.identifiers import whole_day

FIRST_DAYS = 30
"""How far back a source is read that was never fetched before."""
_WHOLE = frozenset(("feed", "podcast", "reddit"))  # come as they stand, whatever days are asked for
_BY_CHANGE = frozenset(("oai",))  # bring what changed of late, however old it is


@dataclass(frozen=True)
class WantedDays:
    """Days as ISO text, inclusive. `first` and `last` of a back-fill, '' else.

    `since` is the first day that the source brings by itself, `lately` the one from which a record
    that changed counts as new.
    """

    first: str = ""
    last: str = ""
    since: str = ""
    lately: str = ""


def first_day(now: datetime) -> str:
    """The first day that a source brings which is fetched for the first time now."""
    return (now.date() - timedelta(days=FIRST_DAYS)).isoformat()


def is_wanted(published: str, format: str, days: WantedDays) -> bool:
    """Whether an entry of that day is to come in. One without a day is, but for a back-fill.

    The other formats ask for their days themselves, or are files that came whole.
    """
    day = published[:10]
    known = whole_day(day) is not None
    if days.first or days.last:
        if format not in _WHOLE:
            return True
        return known and (days.first or day) <= day <= (days.last or day)
    least = days.since if format in _WHOLE else days.lately if format in _BY_CHANGE else ""
    return not known or not least or day >= least
