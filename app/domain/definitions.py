"""What papers say a term is: the sentence of theirs that defines it best, and where they use it.

Every quotation is a piece of the text as it stands, with the places of the term in it. Pure, and
linear in the length of the texts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.domain import words
from app.domain.latex import formulas
from app.domain.sentences import after_mark, sentence_spans
from app.domain.terms import key_words

Span = tuple[int, int]
SHORTEST, LONGEST = 40, 400  # characters of a sentence that defines
_READ = 30_000  # characters of a text that are looked at

_IS = re.compile(
    r"(?:\s*\([^()\n]{1,60}\))?\s*"
    r"(?:(?P<strong>(?:is|are) (?:an?|the|one|defined|known|called)\b|refers? to\b|denotes?\b|"
    r"describes? (?:an?|the|how)\b|is when\b|means? that\b|consists? of\b)"
    r"|(?P<apposed>,\s*(?:an?|which|where|i\.e\.,?|defined as|known as)\s)"
    r"|(?P<weak>aims? to\b|(?:has|have) (?:emerged|become|shown|gained|achieved|proven|been)\b|"
    r"(?:is|are)\b|(?:seeks?|enables?|allows?|reduces?|provides?|offers?|stores?|combines?|uses?)\b))"
)
_OF_THE_PAPER = re.compile(r"\b(?:we|our|us|this (?:paper|work|study|survey|article)|I)\b", re.I)
_LOOKS_BACK = re.compile(
    r"(?:It|Its|This|These|Those|They|Their|Such|However|But|Moreover|Furthermore|Also|Additionally|"
    r"Thus|Therefore|Hence|Instead|Here|Yet|In contrast|As a result|Consequently|For example)\b"
)
_LEADS = frozenset(
    ("a", "an", "the", "recently", "generally", "typically", "formally", "traditionally")
)


@dataclass(frozen=True)
class Text:
    """What a paper says: the id of its page, its title, its text."""

    paper: int
    title: str
    text: str


@dataclass(frozen=True)
class Said:
    """A piece of a paper's title or text, verbatim; `spans` are the places of the term in it."""

    paper: int
    text: str
    where: str
    spans: tuple[Span, ...]


def definition(keys: Collection[str], texts: Sequence[Text]) -> tuple[Said, bool] | None:
    """The sentence that says best what the term is, and whether it does define it.

    keys: the term's keys (terms.term_key). Of equal ones the first; None when no text has the term
    in a sentence.
    """
    best: tuple[float, int, Said, bool] | None = None
    for order, text in enumerate(texts):
        for said, start in _sentences(keys, text):
            worth, defines = _worth(said, start)
            if best is None or worth > best[0]:
                best = worth, order, said, defines
    return (best[2], best[3]) if best else None


def use(keys: Collection[str], text: Text) -> Said | None:
    """Where a paper has the term: the sentence of its text that has it first, else its title."""
    found = next(_sentences(keys, text), None)
    if found:
        return found[0]
    spans = tuple(places(text.title, keys))
    return Said(text.paper, text.title, "title", spans) if spans else None


def _sentences(keys: Collection[str], text: Text) -> Iterator[tuple[Said, int]]:
    """The sentences that have the term, and where in each it begins first."""
    read = text.text[:_READ]
    at = places(read, keys)
    if not at:
        return
    place = 0
    for begin, end in sentence_spans(read):
        start = after_mark(read, begin, end)
        inside = []
        while place < len(at) and at[place][0] < end:
            if at[place][0] >= start and at[place][1] <= end:
                inside.append((at[place][0] - start, at[place][1] - start))
            place += 1
        if inside and end - start <= 3 * LONGEST:
            yield Said(text.paper, read[start:end], "text", tuple(inside)), inside[0][0]


def _worth(said: Said, start: int) -> tuple[float, bool]:
    sentence = said.text
    worth, defines = 0.0, False
    found = _IS.match(sentence, said.spans[0][1])
    lead = sentence[:start]
    said_before = lead.split()
    first = all(word.strip(",").lower() in _LEADS for word in said_before)
    if found and (first or lead.rstrip().endswith(",")):
        defines = first and not found["weak"]
        worth += 6 if found["strong"] else 4 if found["apposed"] else 2.5
    worth += 1.5 if first else 0.5 if len(said_before) <= 6 else 0
    worth -= 3.0 if _OF_THE_PAPER.search(sentence) else 0
    worth -= 2.0 if _LOOKS_BACK.match(sentence) else 0
    if not SHORTEST <= len(sentence) <= LONGEST:
        worth -= 3
    return worth - len(sentence) / 400, defines and worth > 4


def places(text: str, keys: Collection[str]) -> list[Span]:
    """Where a text has one of these terms, in order; the longest where several begin."""
    sought: dict[str, list[tuple[str, ...]]] = {}
    for key in sorted(keys, key=len, reverse=True):
        if stems := tuple(key.split()):
            sought.setdefault(stems[0], []).append(stems)
    said = list(key_words(text))
    found: list[Span] = []
    for at, word in enumerate(said):
        if found and word.start < found[-1][1]:
            continue
        for stems in sought.get(word.stem, ()):
            part = said[at : at + len(stems)]
            if tuple(each.stem for each in part) == stems and _is_close(text, part):
                found.append((part[0].start, part[-1].end))
                break
    return found


def _is_close(text: str, part: Sequence[words.Word]) -> bool:
    """Whether nothing but a blank, a hyphen or one short word stands between the words of a term."""
    return all(_BETWEEN.fullmatch(text, one.end, other.start) for one, other in pairwise(part))


_BETWEEN = re.compile(
    r"[\s\-\u2010\u2011/]{1,3}(?:(?:of|to|in|the|and)[\s\-\u2010\u2011]{1,3}){0,2}|'s\s"
)
_MARKUP = re.compile(r"[\\`*_\[\]<>|~{}!]")
_BLOCK = re.compile(r"([#+=-]|\d{1,9}(?=[.)]))")  # what begins a list or a heading


def as_markdown(text: str) -> str:
    """A piece of plain text as Markdown that shows just it, on one line; formulas stay formulas."""
    parts, at = [], 0
    for formula in formulas(text):
        parts += [
            _MARKUP.sub(r"\\\g<0>", text[at : formula.start]),
            text[formula.start : formula.end],
        ]
        at = formula.end
    parts.append(_MARKUP.sub(r"\\\g<0>", text[at:]))
    line = " ".join("".join(parts).split())
    begun = _BLOCK.match(line)
    if not begun:
        return line
    number = begun.end() if begun[0].isdigit() else 0
    return f"{line[:number]}\\{line[number:]}"
