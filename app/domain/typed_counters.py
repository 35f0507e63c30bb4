"""Typed counters: "eight papers strong", "the third paper in this thread", found in a text.

A number that somebody typed is true on the day it is typed. What is found here is compared with what
the wiki counts (services/health.py), and a live claim is offered in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from app.domain.markdown import live_claims, prose

MOST_AROUND = 4_000  # characters of the paragraph that are kept with a counter
MOST_IN_A_TEXT = 100


class Counts(StrEnum):
    """What a typed counter is about."""

    TOTAL = "total"  # how many papers there are
    WINDOW = "window"  # how many came in so many days
    PLACE = "place"  # the how-manieth a paper is
    CLAIM = "claim"  # no typed counter: a live claim, kept to see whether it still holds


@dataclass(frozen=True)
class Counter:
    """What a text says: `body[start:start + len(says)]`, and the paragraph that it stands in.

    `number` is what is counted, `digits` the part of `says` that says it; `days` of a window.
    """

    counts: Counts
    start: int
    says: str
    around: str
    number: int = 0
    digits: str = ""
    days: int = 0


# fmt: off
_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_PLACES = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
    "tenth", "eleventh", "twelfth"]
# fmt: on
_NUMBERS = {word: value for value, word in enumerate(_ONES, 1)}
_NUMBERS |= {
    ten + (f"-{one}" if one else ""): 10 * place + value
    for place, ten in enumerate(_TENS, 2)
    for value, one in enumerate(["", *_ONES[:9]])
}
_ORDINALS = {word: value for value, word in enumerate(_PLACES, 1)}
_UNITS = {"day": 1, "week": 7, "month": 30}

_WORDS = "|".join(sorted(_NUMBERS, key=len, reverse=True))
_NUMBER = rf"(?P<n>\d{{1,4}}|{_WORDS})"
_PAPERS = r"(?:more[ \n])?papers?"
_THREAD = r"th(?:is|e)(?:[ \n][\w-]{1,40}){0,3}?[ \n]thread"
_TOTALS = re.compile(
    rf"\b{_NUMBER}[ \n]{_PAPERS}[ \n](?:strong|so[ \n]far|in[ \n]{_THREAD})\b", re.IGNORECASE
)
_NOW = re.compile(rf"\bnow[ \n]{_NUMBER}[ \n]{_PAPERS}\b", re.IGNORECASE)
_WINDOW = re.compile(
    rf"\b{_NUMBER}[ \n]{_PAPERS}[ \n]in[ \n](?P<m>{_NUMBER.replace('?P<n>', '?:')})"
    r"[ \n](?P<unit>day|week|month)s?\b",
    re.IGNORECASE,
)
_PLACE = re.compile(
    rf"\b(?P<n>{'|'.join(_PLACES)}|\d{{1,3}}(?:st|nd|rd|th))[ \n]paper[ \n](?:in|of|on)[ \n]{_THREAD}\b",
    re.IGNORECASE,
)
_KINDS = (
    (_WINDOW, Counts.WINDOW),
    (_TOTALS, Counts.TOTAL),
    (_NOW, Counts.TOTAL),
    (_PLACE, Counts.PLACE),
)
_CODE = re.compile(r"`+[^`\n]*`+|\$[^$\n]+\$|\{\{[^{}\n]*\}\}")


def counters(body: str) -> list[Counter]:
    """Every typed counter and every live claim of a body, in order."""
    if "{{" not in body and "paper" not in body.casefold():
        return []
    found = [*_typed(body), *_live(body)]
    return sorted(found, key=lambda counter: counter.start)[:MOST_IN_A_TEXT]


def read(says: str) -> Counter | None:
    """A counter from its words alone."""
    return next(iter(_matches(says)), None)


def live_form(counter: Counter, claim: str) -> str:
    """What is written in place of its words: the number as a live claim (without its braces)."""
    braced = "{{" + claim + "}}"
    if counter.counts is Counts.PLACE:
        end = counter.says.casefold().index("paper") + len("paper")
        return f"paper {braced}{counter.says[end:]}"
    return counter.says.replace(counter.digits, braced, 1)


def made_live(body: str, start: int, says: str, live: str) -> str | None:
    """The body with the live form in place of the words, None where they do not stand there."""
    if start < 0 or body[start : start + len(says)] != says:
        return None
    return body[:start] + live + body[start + len(says) :]


def _typed(body: str) -> Iterator[Counter]:
    for _, source, place in prose(body):
        if "paper" not in source.casefold():
            continue
        # What is code, a formula or a live claim already is blanked out, so that places stay.
        text = _CODE.sub(lambda at: "\0" * len(at[0]), source)
        for counter in _matches(text):
            start = place(counter.start)
            if body[start : start + len(counter.says)] == counter.says:
                around = source[max(0, counter.start - MOST_AROUND // 2) :][:MOST_AROUND]
                yield Counter(
                    counter.counts,
                    start,
                    counter.says,
                    around,
                    counter.number,
                    counter.digits,
                    counter.days,
                )


def _live(body: str) -> Iterator[Counter]:
    for source, start, _ in live_claims(body):
        yield Counter(Counts.CLAIM, start, source, "")


def _matches(text: str) -> Iterator[Counter]:
    taken: list[tuple[int, int]] = []
    for pattern, counts in _KINDS:
        for at in pattern.finditer(text):
            if any(at.start() < end and start < at.end() for start, end in taken):
                continue
            taken.append(at.span())
            days = 0
            if counts is Counts.WINDOW:
                days = (_number(at["m"]) or 0) * _UNITS[at["unit"].casefold()]
            number = _number(at["n"])
            if number is not None:
                yield Counter(counts, at.start(), at[0], "", number, at["n"], days)


def _number(word: str) -> int | None:
    word = word.casefold()
    if word in _ORDINALS:
        return _ORDINALS[word]
    digits = word.rstrip("dhnrst")
    return int(digits) if digits.isdigit() and digits.isascii() else _NUMBERS.get(word)
