"""How what was met of a paper is told: when, after its coming, and what its source says of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.identifiers import whole_day
from app.domain.independence import LISTED, Met, independent
from app.domain.records import SourceKind

_DAYS, _MONTHS = 60, 24  # beyond which a time is told in months, and in years
_LONGEST = 120  # signs of a word of a source that are shown


def lag(day: str, *appeared: str) -> int | None:
    """Days from a paper's appearance to `day`; None where either is not known to the day.

    `appeared` are the days it may have appeared on (published, listed): the first counts.
    """
    said = whole_day(day[:10])
    known = [found for each in appeared if (found := whole_day(each[:10]))]
    return (said - min(known)).days if said and known else None


def lag_in_words(days: int | None) -> str:
    """ "3 days after it appeared"; '' for a lag that is not known."""
    if days is None:
        return ""
    if days == 0:
        return "the day it appeared"
    side = "after" if days > 0 else "before"
    return f"{_span(abs(days))} {side} it appeared"


def _span(days: int) -> str:
    if days == 1:
        return "the day"
    if days <= _DAYS:
        return f"{days} days"
    months = round(days / 30.44)
    if months <= _MONTHS:
        return f"{months} months"
    return f"{round(days / 365.25)} years"


def state_in_words(state: Mapping[str, Any]) -> list[str]:
    """What a source says of an item, in words: ["starred", "34 upvotes"]. What is odd is left out."""
    told = ["starred"] if state.get("starred") is True else []
    for name in ("upvotes", "score", "comments"):
        value = state.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 10**12:
            continue
        if name == "score":
            told.append(f"score {value:,}")
        elif value:
            told.append(f"{value:,} {name if value != 1 else name[:-1]}")
    return told


@dataclass(frozen=True)
class Entry:
    """An item that is the paper itself: an entry of a listing, a bibliography, an index."""

    place: Met
    key: str
    day: str
    state: Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """That a paper stands somewhere, in words that go before its day ('' for none)."""

    words: str
    day: str
    url: str


def standings(entries: Iterable[Entry], *, listed: str = "") -> list[Standing]:
    """Where the paper stands, each place once, whatever the number of services it came by.

    `listed` is the first day of a listing that it stands in.
    """
    found: list[Standing] = []
    archives: dict[str, None] = {}
    first, url = "", ""
    best: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        if independent([entry.place]) == [LISTED]:
            archives[entry.place.name] = None
            first = min(filter(None, (first, entry.day)), default="")
            url = url or entry.place.address
            continue
        # One entry of a place, the one that says most: a file read again, a list of another day.
        key = (entry.place.name, entry.key if entry.place.kind == SourceKind.LIBRARY else "")
        if key not in best or _weight(entry) > _weight(best[key]):
            best[key] = entry
    if archives:
        names = ", ".join(list(archives)[:3]) + (" and others" if len(archives) > 3 else "")
        found.append(Standing(f"listed by {names}", listed or first, url))
    elif listed:
        found.append(Standing("listed", listed, ""))
    for entry in best.values():
        dated = entry.place.kind not in (SourceKind.LIBRARY, SourceKind.INDEX)
        day = entry.day if dated else ""  # there it is the paper's own
        found.append(Standing(_place(entry), day, entry.place.address))
    return found


def _weight(entry: Entry) -> tuple[int, str]:
    numbers = [
        value for value in entry.state.values() if isinstance(value, int) and abs(value) < 10**12
    ]
    return max(numbers, default=0), entry.day


def _place(entry: Entry) -> str:
    name = " ".join(entry.place.name.split())[:_LONGEST]
    match entry.place.kind:
        case SourceKind.LIBRARY:
            key = entry.key.rsplit("/", 1)[-1].rsplit(":", 1)[-1].partition("#")[0]
            plain = key and len(key) <= 60 and key.isprintable() and " " not in key
            own = name if name.lower().startswith("your ") else f"your {name}"
            words = f"in {own}" + (f" as {key}" if plain else "")
        case SourceKind.INDEX:
            words = f"known to {name}"
        case SourceKind.WEB:
            words = f"brought in from {name}"
        case _:
            words = name
    return ", ".join([words, *state_in_words(entry.state)])
