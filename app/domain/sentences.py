"""Where the sentences of a scientific text end.

Pure, and exact: a sentence is a piece of the text as it is, so that a quotation can be found again.
It knows abbreviations, initials, numbers and formulas; of Markdown only the marks that begin a line.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from app.domain.latex import formulas

_STOP = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?=\s|$)"
    r"|[。！？][”’»）」』]*"
    r"|\n\s*\n"
    r"|\n(?=[ \t]*(?:[-+*•‣>|]|#{1,6}|\d{1,3}[.)])[ \t])"
)
_MARK = re.compile(
    r"[\s#>|*+\-\u2022]{0,40}(?:\d{1,3}[.)] )?"
    r"(?:arXiv:\S{4,20} Announce Type: [\w-]{1,20} {0,3}Abstract: )?"  # of the arXiv's feeds
)
_LAST_WORD = re.compile(r"[^\s(\[{“\"'‘«/]+$")
_INITIALS = re.compile(r"(?:[^\W\d_]\.-?)*[^\W\d_]")
_NUMBERING = re.compile(r"[\s(*•‣-]*(?:\d{1,3}|[ivxIVX]{1,5}|[a-zA-Z])[)\s]*")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEVER_ENDS = _words(
    "e.g i.e eg ie cf viz fig figs eq eqs eqn eqns sec secs sect ref refs tab tabs thm lem prop cor "
    "def alg dr prof mr mrs ms st resp approx ca vs incl avg"
)
_BEFORE_NUMBER = _words("no nos art vol pp p ch col app v ver chap chaps nr par paras ex")
_MAY_END = _words(
    "al etc i.i.d w.r.t s.t a.k.a a.s inc ltd co corp univ u.s u.k u.s.a e.u ph.d m.sc b.sc a.m p.m "
    "jr sr est dept ed eds et seq"
)
_STARTERS = _words(
    "A Additionally Although An And As At Because Both Building But By Code Compared Despite Each "
    "Existing Experiments Extensive Finally First For From Furthermore He Hence Here However I If In "
    "Instead It Its Moreover Most On Our Recent Recently Results Second She Since Specifically Such "
    "That The Their Then There Therefore These They Third This Those Thus To Unlike Using We When "
    "Where While With"
)


def sentences(text: str) -> list[str]:
    """The sentences of a text, each an exact piece of it without the white space around it.

    Made for scientific English: "et al.", "e.g.", "Fig. 3", decimals, initials and formulas do not
    end a sentence; blank lines, list items, headings and 。！？ do.
    """
    return [text[start:end] for start, end in sentence_spans(text)]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    inside = [(found.start, found.end) for found in formulas(text)]
    spans: list[tuple[int, int]] = []
    begin = 0
    for stop in _STOP.finditer(text):
        if _within(inside, stop.start()) or not _ends_sentence(text, begin, stop):
            continue
        spans.append((begin, stop.end()))
        begin = stop.end()
    spans.append((begin, len(text)))
    return [span for start, end in spans if (span := _trimmed(text, start, end))]


def after_mark(text: str, start: int, end: int) -> int:
    """Where the words of a sentence begin, after the mark of a list or the label of a feed."""
    mark = _MARK.match(text, start, end)
    return mark.end() if mark else start


def _within(spans: list[tuple[int, int]], at: int) -> bool:
    place = bisect_left(spans, (at, at)) - 1
    return place >= 0 and at < spans[place][1]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    piece = text[start:end]
    words = piece.strip()
    if not words:
        return None
    start += len(piece) - len(piece.lstrip())
    return start, start + len(words)


def _ends_sentence(text: str, begin: int, stop: re.Match[str]) -> bool:
    mark = stop[0]
    after = text[stop.end() : stop.end() + 80].lstrip()
    if mark[0] in "\n。！？" or not after:
        return True
    following = after.split(maxsplit=1)[0].lstrip("\"'“‘«([*_")
    if mark.startswith(".") and not mark.startswith(".."):
        found = _LAST_WORD.search(text, max(begin, stop.start() - 40), stop.start())
        word = found[0] if found else ""
        if not _may_end_after(word, following, text[begin : min(stop.start(), begin + 20)]):
            return False
    return not following[:1].islower() or any(letter.isupper() for letter in following[1:])


def _may_end_after(word: str, following: str, sentence: str) -> bool:
    """Whether a full stop after `word` can end a sentence, by the words on both sides of it."""
    folded = word.casefold()
    if not word or folded in _NEVER_ENDS or _NUMBERING.fullmatch(sentence):
        return False
    if folded in _BEFORE_NUMBER:
        return not following[:1].isdigit()
    if folded in _MAY_END or (word[0].isupper() and _INITIALS.fullmatch(word)):
        return re.sub(r"\W+$", "", following) in _STARTERS
    return True
