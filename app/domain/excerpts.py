"""The part of a text that shows the words somebody asked for, with marks on them.

Pure. How a word is made comparable, its stem, is given: each word index has its own.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Sequence
from typing import NamedTuple

from app.domain.queries import index_words

WINDOW = 36  # words of an excerpt
LEAD = 6  # words before the first mark, at most

Marked = tuple[tuple[str, bool], ...]
_WRITTEN = re.compile(r"[^\W_]+(?:[\u0300-\u0331]+[^\W_]*)*")


class Written(NamedTuple):
    """A word where it stands, `text[start:end]`, and as an index knows it."""

    start: int
    end: int
    word: str


def written_words(text: str) -> list[Written]:
    """The words of a text, in order."""
    return [Written(*match.span(), _folded(match[0])) for match in _WRITTEN.finditer(text)]


def _folded(word: str) -> str:
    return word.lower() if word.isascii() else "".join(index_words(word))


def excerpt(
    text: str,
    words: Sequence[Written],
    sought: Sequence[tuple[Sequence[str], bool]],
    stem: Callable[[str], str],
) -> Marked:
    """Of the text, the 36 words with the most different terms, as (text, marked) parts.

    A term is the stems of words that stand one after the other; with True beside them the last may
    be a beginning. Empty when no term stands in the text.
    """
    stems = [stem(each.word) for each in words]
    places = sorted(
        (at, at + len(term), which)
        for which, (term, begins) in enumerate(sought)
        for at, met in enumerate(stems)
        if _is(met, term[0], begins and len(term) == 1) and _stands(stems, at, term, begins)
    )
    if not places:
        return ()
    starts = [at for at, _, _ in places]
    terms = [
        len({which for _, end, which in places[at : bisect(starts, first + WINDOW)]})
        for at, first in enumerate(starts)
    ]
    best = starts[terms.index(max(terms))]
    last = starts[bisect(starts, best + WINDOW - 1) - 1]
    begin = max(0, best - min(LEAD, (WINDOW - (last - best)) // 2))
    stop = min(len(words), begin + WINDOW)
    done = words[begin].start if begin else 0
    parts = [("…" if begin else "", False)]
    for at, end, _ in places[bisect(starts, begin - 1) :]:
        if end > stop:
            break
        if words[at].start >= done:
            parts.append((text[done : words[at].start], False))
            done = words[end - 1].end
            parts.append((text[words[at].start : done], True))
    parts.append((text[done : words[stop - 1].end if stop < len(words) else None], False))
    parts.append(("…" if stop < len(words) else "", False))
    return tuple((re.sub(r"\s+", " ", part), marked) for part, marked in parts if part)


def _is(met: str, wanted: str, begins: bool) -> bool:
    return met.startswith(wanted) if begins else met == wanted


def _stands(stems: Sequence[str], at: int, term: Sequence[str], begins: bool) -> bool:
    here = stems[at : at + len(term)]
    return (
        len(here) == len(term)
        and list(here[:-1]) == list(term[:-1])
        and _is(here[-1], term[-1], begins)
    )
