"""Tiers 1 to 4 of a paper, with the reason in words, and the tags of a day that need no model.

Tier 1 is read first. The reader's topics say it, two independent sources raise it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.evidence import listed
from app.domain.scoring import TopicText

HIGHEST, LOWEST = 1, 4
CROSS_SOURCE = 2  # independent sources that make a paper cross-source
HOT_SOURCES = 3  # and that make it what a day talks about
HOT_SHARE = 0.1  # of the papers of a day with upvotes, those with the most
HOT_UPVOTES = 2  # that a paper has at least, to be talked about at all
FAR_OFF = 3  # relevance 1..10 up to which a paper falls a tier
DAILY_HOT = "daily_hot"

_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}
_NAMED = 3  # sources or topics that a reason names


@dataclass(frozen=True)
class Tier:
    """`number` is 1 (read first) to 4; `reason` a sentence without its full stop."""

    number: int
    reason: str


def tier(
    topics: Sequence[TopicText],
    relevance: int | None,
    novelty: int | None,
    tags: Sequence[str],
    sources: Sequence[str],
) -> Tier:
    """The tier of a paper that matches these topics, the primary one first.

    Of topics of several tiers the highest counts. Little relevance (1..10) lowers it by one, two
    independent sources raise it by one. Novelty and hotspot tags move nothing: what is new or talked
    about, but off the reader's topics, is told apart by its tags, which the reason names.
    """
    number, reasons = LOWEST, ["it matches no topic"]
    if topics:
        number = min(_within(topic.tier) for topic in topics)
        names = list(dict.fromkeys(t.name for t in topics if _within(t.tier) == number))
        others = any(_within(topic.tier) != number for topic in topics)
        kind = "topics" if names[1:] else "a topic"
        are = "are" if names[1:] else "is"
        reasons = [f"{listed(names[:_NAMED])} {are} {kind} of tier {number}"]
        if others:
            reasons[0] += ", the highest that it matches"
    if relevance is not None and relevance <= FAR_OFF and number < LOWEST:
        number += 1
        reasons.append(f"a relevance of {relevance} lowers it by one")
    seen = list(dict.fromkeys(filter(None, sources)))
    if len(seen) >= CROSS_SOURCE:
        said = f"seen by {_NUMBERS.get(len(seen), str(len(seen)))} sources ({_some(seen)})"
        if number > HIGHEST:
            number -= 1
            said += ", which raises it by one"
        reasons.append(said)
    if DAILY_HOT in tags:
        reasons.append("much talked about that day")
    return Tier(number, "; ".join(reasons))


def tags(
    sources: Sequence[str], *, upvotes: int | None = None, day_upvotes: Sequence[int] = ()
) -> list[str]:
    """Hotspot tags that stored facts give without a model: "daily_hot" or none.

    A paper is hot in three independent sources, or with upvotes among the most of its day
    (`day_upvotes`: those of all its papers that have any, in any order). What is a new frontier
    only a model says.
    """
    if len({source for source in sources if source}) >= HOT_SOURCES:
        return [DAILY_HOT]
    if upvotes is None or upvotes < HOT_UPVOTES or not day_upvotes:
        return []
    most = max(1, round(HOT_SHARE * len(day_upvotes)))
    return [DAILY_HOT] if sum(each > upvotes for each in day_upvotes) < most else []


def _within(number: int) -> int:
    return min(LOWEST, max(HIGHEST, number))


def _some(names: Sequence[str]) -> str:
    left = len(names) - _NAMED
    return f"{', '.join(names[:_NAMED])} and {left} more" if left > 0 else listed(names)
