"""Numbers that can be clicked: shares in words, and the decisions behind each.

A number of the linker's record leads to the Decided tab of Review, narrowed to the rows that it
counts. Here stand both directions: a share as tables show it, and an address as a filter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from sqlmodel import Session

from app.domain import record as rule
from app.domain.record import Share
from app.domain.records import ChangeKind
from app.errors import Invalid
from app.rendering import plain_title
from app.store import pages
from app.store import record as stored
from app.store.decisions import Only
from app.web.templating import relation_words

_WHAT = {
    ChangeKind.CONCEPT.value: "new concept",
    ChangeKind.THREAD.value: "new thread",
    ChangeKind.MERGE.value: "merge of two concepts",
    ChangeKind.SPLIT.value: "split of a concept",
}


def threshold(given: str) -> float:
    """A confidence as it was typed. Raises Invalid."""
    value = rule.threshold_of(given)
    if value is None:
        raise Invalid(
            f"{given.strip()[:40]!r} is no confidence. Use a number from 0 to 1, such as 0.6.",
            fields={"threshold": "Use a number from 0 to 1."},
        )
    return value


def rows_of(only: Mapping[str, str]) -> str:
    """The address of the decisions behind a number."""
    return "/review?" + urlencode({"tab": "decided", **({"who": stored.PERSON} | dict(only))})


def in_words(share: Share, only: Mapping[str, str]) -> dict[str, Any]:
    """A share as tables show it, with the addresses of its rows; per cents are whole numbers."""
    low, high = share.interval
    return {
        "count": share.count,
        "accepted": share.accepted,
        "share": share.share,
        "percent": None if share.share is None else round(100 * share.share),
        "low": low,
        "high": high,
        "between": f"{round(100 * low)}–{round(100 * high)}",
        "url": rows_of(only) if only else rows_of({"from": "0"}),
        "accepted_url": rows_of({**(only or {"from": "0"}), "agreed": "yes"}),
    }


def summed(
    found: Iterable[tuple[str, Share]], name: str, words: Callable[[str], str]
) -> list[dict[str, Any]]:
    """Shares of the same name put together, most decided first."""
    sums: dict[str, Share] = {}
    for key, share in found:
        sums[key] = sums.get(key, Share()) + share
    ordered = sorted(sums.items(), key=lambda each: (-each[1].count, each[0]))
    return [{**in_words(share, {name: key}), "words": words(key)} for key, share in ordered]


def signal_words(signal: str) -> str:
    return signal or "none stored"


def kind_words(kind: str) -> str:
    return _WHAT.get(kind) or relation_words(kind)


def only_of(session: Session, query: Mapping[str, str]) -> tuple[Only | None, list[str]]:
    """Which decisions an address asks for, and that in words. Raises Invalid for what is no filter."""
    values: dict[str, Any] = {}
    said: list[str] = []
    if who := query.get("who", "")[:40]:
        values["who"] = who
        said.append("by you" if who == stored.PERSON else f"by {who}")
    start, end = query.get("from", ""), query.get("to", "")
    if start:
        values["start"] = threshold(start)
    if end:
        values["end"] = threshold(end)
    if start and end:
        said.append(f"confidence {values['start']:g} to {values['end']:g}")
    elif end or values.get("start"):
        said.append(
            f"confidence {'below' if end else 'from'} {values['end' if end else 'start']:g}"
        )
    if "signal" in query:
        values["signal"] = query["signal"][:40]
        said.append(f"strongest signal: {signal_words(values['signal'])}")
    if kind := query.get("kind", "")[:40]:
        values["kind"] = kind
        said.append(kind_words(kind))
    if name := query.get("concept", ""):
        found = pages.named(session, name)
        if found is None:
            raise Invalid(f"There is no page {name[:100]!r} to list decisions of.")
        values["concept_id"] = found.id
        said.append(plain_title(found.title))
    if name := query.get("week", ""):
        values["monday"] = rule.week_named(name)
        if values["monday"] is None:
            raise Invalid(f"{name[:40]!r} is no week. Write it as 2026-W20.")
        sunday = values["monday"] + timedelta(days=6)
        said.append(f"{values['monday']:%d %b} to {sunday:%d %b %Y}")
    if agreed := query.get("agreed", ""):
        if agreed not in ("yes", "no"):
            raise Invalid("`agreed` is yes or no.")
        values["agreed"] = agreed == "yes"
        said.append("as proposed" if values["agreed"] else "not as proposed")
    return (Only(**values) if values else None), said


def kept_of(query: Mapping[str, str]) -> dict[str, str]:
    """The filters of an address, for the address of its next rows."""
    names = ("who", "from", "to", "signal", "kind", "concept", "week", "agreed")
    return {name: query[name] for name in names if name in query}
