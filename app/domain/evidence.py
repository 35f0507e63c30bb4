"""Why a link was proposed, in the paper's own words.

Picks the sentences of a paper that speak for a concept, marks the words that matched, and says the
reason in one plain line. Every quotation is a verbatim piece of the paper; nothing is written here
that a reader could take for the author's. Pure; it judges nothing (linking.py does).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.domain import words
from app.domain.linking import Candidate, ConceptText, PaperText, Signal, SignalKind

LONGEST = 320  # characters of a quotation; a longer sentence is cut around its matches
_READ = 60_000  # characters of a text that are looked at
_END = re.compile(
    r"[.!?][\"')\]\u201d]?(?=\s)|\n(?=[^\S\n]*\n|[ \t]{0,8}(?:[#>|*+\-\u2022]|\d{1,3}[.)] ))"
)
_MARK = re.compile(r"[\s#>|*+\-\u2022]{0,40}(?:\d{1,3}[.)] )?")
_ABBREVIATED = re.compile(
    r"\b(?:e\.g|i\.e|al|cf|vs|etc|fig|eq|sec|resp|approx|no|dr|prof|[A-Z])\.$", re.I
)
_PHRASE, _NAME, _SHARED = 3.0, 2.0, 1.0


@dataclass(frozen=True)
class Quotation:
    """A verbatim piece of a paper: `where` is "title" or "text"; `spans` mark `text[start:end]`."""

    text: str
    where: str
    spans: tuple[tuple[int, int], ...]


def quotations(
    paper: PaperText, concept: ConceptText, signals: Sequence[Signal], *, most: int = 3
) -> tuple[Quotation, ...]:
    """The sentences that speak for the concept, strongest first; none when no word matches.

    A sentence counts for the concept's name said in full, for words of its names, and for the words
    that `signals` say matched. A sentence that adds no matched word to those before it is left out.
    """
    sought = _Sought.of(concept, signals)
    found = [
        (sought.weight(matches), order, quotation, matches)
        for order, (where, text, start, end) in enumerate(_sentences(paper))
        if (matches := sought.matches(text, start, end))
        for quotation in [_quotation(where, text, start, end, matches)]
    ]
    chosen: list[Quotation] = []
    said: set[str] = set()
    for _, _, quotation, matches in sorted(found, key=lambda each: (-each[0], each[1])):
        new = {match.stem for match in matches} - said
        if new and len(chosen) < most:
            said |= new
            chosen.append(quotation)
    return tuple(chosen)


def reason(candidate: Candidate, concept: ConceptText) -> str:
    """One plain line: the two signals that weigh most for this link, with their words."""
    spoken = [
        line
        for signal in candidate.signals
        if signal.weight > 0.1 and (line := _line(signal, concept.name))
    ]
    said = list(dict.fromkeys(spoken))[:2]
    if not said:
        return f"Nothing speaks strongly for {concept.name}; of what the wiki holds it is nearest."
    line = "; ".join(said)
    return f"{line[0].upper()}{line[1:]}."


def _line(signal: Signal, name: str) -> str:
    quoted = ", ".join(signal.words[:4])
    match signal.kind:
        case SignalKind.MENTION:
            return f"it uses words of the name ({quoted})" if quoted else ""
        case SignalKind.PAPERS:
            return f"it reads like what {name} holds" + (f" ({quoted})" if quoted else "")
        case SignalKind.NAME:
            return f"it is close to what {name} means"
        case SignalKind.NEIGHBOURS:
            return f"the papers nearest to it belong to {name}"
        case SignalKind.CLASSIFIER:
            return f"among all concepts it falls to {name}"
        case SignalKind.SIZE | SignalKind.FAMILIAR:
            return ""


@dataclass(frozen=True)
class _Sought:
    """The stems that speak for a concept, and its names as runs of stems."""

    stems: dict[str, float]
    phrases: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, concept: ConceptText, signals: Sequence[Signal]) -> "_Sought":
        shared = [word for signal in signals for word in signal.words]
        stems = dict.fromkeys((words.stem(word.lower()) for word in shared), _SHARED)
        phrases = tuple(tuple(words.stems(name)) for name in (concept.name, *concept.aliases))
        stems |= dict.fromkeys((stem for phrase in phrases for stem in phrase), _NAME)
        acronym = words.initials(concept.name)
        if len(acronym) > 2 and acronym in (word.lower() for word in shared):
            stems[words.stem(acronym)] = _NAME
        return cls(stems, tuple(phrase for phrase in phrases if len(phrase) > 1))

    def matches(self, text: str, start: int, end: int) -> list[words.Word]:
        """The sought words of `text[start:end]`, with offsets into `text`."""
        found = words.words(text[start:end])
        return [
            words.Word(word.stem, word.start + start, word.end + start)
            for word in found
            if word.stem in self.stems
        ]

    def weight(self, matches: Sequence[words.Word]) -> float:
        """How much a sentence with these matches says; a word counts once."""
        said = [match.stem for match in matches]
        whole = sum(
            any(tuple(said[at : at + len(phrase)]) == phrase for at in range(len(said)))
            for phrase in self.phrases
        )
        return sum(self.stems[stem] for stem in set(said)) + _PHRASE * whole


def _sentences(paper: PaperText) -> Iterator[tuple[str, str, int, int]]:
    """(where, text, start, end) of the title and of each sentence of the text."""
    if paper.title.strip():
        yield "title", paper.title, 0, len(paper.title)
    text = paper.text[:_READ]
    start = 0
    for match in _END.finditer(text):
        if match[0].startswith(".") and _ABBREVIATED.search(
            text, max(start, match.end() - 8), match.end()
        ):
            continue
        yield "text", text, start, match.end()
        start = match.end()
    yield "text", text, start, len(text)


def _quotation(
    where: str, text: str, start: int, end: int, matches: Sequence[words.Word]
) -> Quotation:
    """The sentence without list marks and blanks, cut to LONGEST around its first match."""
    mark = _MARK.match(text, start, matches[0].start)
    start = mark.end() if mark else start
    end = start + len(text[start:end].rstrip())
    if end - start > LONGEST:
        start = max(start, matches[0].start - LONGEST // 3)
        start = _word_border(text, start, matches[0].start)
        end = min(end, start + LONGEST)
        end = max(text.rfind(" ", start, end), matches[0].end) if end < len(text) else end
    inside = [match for match in matches if match.start >= start and match.end <= end]
    return Quotation(text[start:end], where, _spans(text, start, inside))


def _word_border(text: str, start: int, before: int) -> int:
    """The first place at or after `start` where a word begins, at most `before`."""
    blank = text.find(" ", start, before)
    return start if start == 0 or text[start - 1].isspace() else blank + 1 if blank >= 0 else before


def _spans(text: str, start: int, matches: Sequence[words.Word]) -> tuple[tuple[int, int], ...]:
    """The marks, relative to `start`; words side by side (or joined by a hyphen) make one mark."""
    spans: list[tuple[int, int]] = []
    for match in matches:
        left, right = match.start - start, match.end - start
        if spans and text[start + spans[-1][1] : match.start] in (" ", "-", "\n", ""):
            spans[-1] = (spans[-1][0], right)
        else:
            spans.append((left, right))
    return tuple(spans)
