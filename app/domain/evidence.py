"""Why a link was proposed, in the paper's own words.

Picks the sentences of a paper that speak for a concept, marks the words that matched, and says the
reason in one plain line. Every quotation is a verbatim piece of the paper; nothing is written here
that a reader could take for the author's. A sentence that shares one common word with a concept
does not speak for it: then nothing is quoted, and the papers that it resembles have the word. Pure;
it judges nothing (linking.py does).
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

from app.domain import words
from app.domain.latex import formulas, plain_latex
from app.domain.linking import Candidate, ConceptText, PaperText, Signal, SignalKind
from app.domain.sentences import after_mark, sentence_spans

LONGEST = 320  # characters of a quotation; a longer sentence is cut around its matches
_READ = 60_000  # characters of a text that are looked at
_HEAD = 2_000  # characters of a sentence that say what kind of sentence it is

# What a sentence is worth: by the names it says, by single words, by what it does.
_WHOLE, _EVERY, _PART, _NAME, _COMMON = 6.0, 4.0, 3.0, 2.0, 0.9
_SHARED = (1.0, 0.9, 0.7, 0.5, 0.4)  # of the words that a signal names, strongest first
_ENOUGH = 1.9  # that two words or more have to be worth together
_DOES, _TELLS, _TITLE = 1.5, 0.7, 0.6
_SECOND = 0.45  # of the best sentence's worth, to be quoted beside it

PROPOSES = re.compile(
    r"\b(?:we|this (?:paper|work|article|study|survey|review|report)|(?:our|the) (?:paper|work))\b"
    r"(?:\W{1,3}\w{1,20}){0,3}?\W{1,3}(?:propos|introduc|present|develop|design|describ|stud[iy]|"
    r"investigat|show|demonstrat|survey|review|build|built|releas|offer|explor|formali[sz]|argu|"
    r"provid|analy[sz]|devis|examin|address|find|observ|conduct)"
    r"|\bin this (?:paper|work|article|survey|study|review)\b|\bhere,? we\b",
    re.I,
)
BACKGROUND = re.compile(
    r"\W{0,3}(?:however|although|though|while|whereas|existing|previous|prior|recent|recently|"
    r"traditional|current|currently|despite|most|many|conventional|research on|in recent)\b"
    r"|(?:\w{1,30}\W{1,3}){1,12}?(?:ha(?:s|ve) (?:recently |long )?(?:been|become|emerged|shown|attracted|"
    r"gained|garnered|demonstrated|achieved|made|drawn|led)|excels? (?:at|in)|aims? to|"
    r"(?:is|are) (?:an? )?(?:key|crucial|common|promising|widely|essential|important|popular|critical))\b",
    re.I,
)
POINTS = re.compile(r"https?://|\bgithub\b|\b(?:code|data|models?)\b.{0,80}\bavailable\b", re.I)
# Words of any paper: said in common, they say nothing about what it is about.
_COMMON_WORDS = """
ability able accuracy achieve achieves across address advance advanced aim ai algorithm analysis
analyze application apply approach art article available based baseline benchmark benefit best
better build capability case challenge compare comparison complex comprehensive computational
conduct consider consistent contribution cost crucial current data dataset demonstrate design
develop different diverse domain effect effective efficiency efficient empirical enable end enhance
ensure evaluate evaluation evidence example existing experiment exploit explore extensive
fast feature field first focus framework full further future general generate given global good
help high higher identify impact implement important improve improvement include including increase
information input insight integrate intelligence introduce investigate issue key language large
lead learn learned learning less level leverage leveraging limit limitation limited llm llms low
lower make many method methodology model modeling multi need network neural new novel number offer open
optimal order output paper parameter perform performance popular potential power practical
present previous problem process promising propose provide publicly question quality range real
recent related release remain require research respectively result rich role scale
scenario second self set several show significant significantly simple single size solution solve
source specific specifically state step strategy strong structure study suggest support system
task technique test three time total towards train training type understand understanding
unified use used useful user using value various via way well wide widely work world
"""
_PIECES = re.compile(r"\s*[/:;,()&|]\s*|\s+[-\u2013\u2014]\s+|\s+(?:and|or|und|vs\.?)\s+", re.I)
_JOINS = (" ", "-", "\n", "")  # between words that stand side by side
_QUOTED = 60  # characters of a title or of words of the paper, in a reason


def _stem(word: str) -> str:
    """The stem of a word as it is written; ligatures and wide letters are the letters they are."""
    plain = word if word.isascii() else "".join(unicodedata.normalize("NFKC", word).split())
    return words.stem(plain.lower())


COMMON_STEMS = frozenset(_stem(word) for word in _COMMON_WORDS.split())
_STOP_STEMS = frozenset(_stem(word) for word in words.STOP)


@dataclass(frozen=True)
class Quotation:
    """A verbatim piece of a paper: `where` is "title" or "text"; `spans` mark `text[start:end]`."""

    text: str
    where: str
    spans: tuple[tuple[int, int], ...]


# ---------------------------------------------------------------- names


def names_said(paper: PaperText, names: Iterable[str]) -> dict[str, str]:
    """The names of a concept that the paper says whole: {stems of the name: as the paper writes it}.

    Names that differ in case, plural or hyphens have the same stems (`name_stems`).
    """
    keys = dict.fromkeys(key for name in names if (key := name_stems(name)))
    found: dict[str, str] = {}
    for text in (paper.title, paper.text[:_READ]):
        every = _words(text)
        spelled = f" {' '.join(word.stem for word in every)} "
        for key in keys:
            at = spelled.find(f" {key} ")
            if at < 0 or key in found:
                continue
            first = spelled.count(" ", 0, at)
            last = first + key.count(" ")
            written = text[every[first].start : every[last].end]
            found[key] = " ".join(written.split())[: 4 * _QUOTED]
    return found


@lru_cache(maxsize=20_000)
def name_stems(name: str) -> str:
    """A name in stems, one blank between them; "" when it has no word of its own."""
    stems = [stem for stem, _, _ in _read(name)]
    return " ".join(stems) if any(map(has_sense, stems)) else ""


def has_sense(stem: str) -> bool:
    return len(stem) > 1 and not stem.isdecimal() and stem not in _STOP_STEMS


@lru_cache(maxsize=4)
def _words(text: str) -> tuple[words.Word, ...]:
    """The words of a title or text, kept: each concept of a paper asks for the same."""
    return _read(text)


def _read(text: str) -> tuple[words.Word, ...]:
    """The words of a text with offsets into it; one that ends within a letter is none."""
    if text.isascii():
        return tuple(words.words(text))
    found: list[words.Word] = []
    for word in words.words(text):
        written = text[word.start : word.end]
        if word.end < len(text) and unicodedata.combining(text[word.end]):
            continue
        found.append(
            word if written.isascii() else words.Word(_stem(written), word.start, word.end)
        )
    return tuple(found)


def _words_between(text: str, start: int, end: int) -> tuple[words.Word, ...]:
    every = _words(text)
    first = bisect_left(every, start, key=_START)
    return every[first : bisect_left(every, end, first, key=_START)]


_START = itemgetter(1)


# ---------------------------------------------------------------- quotations


def quotations(
    paper: PaperText, concept: ConceptText, signals: Sequence[Signal], *, most: int = 3
) -> tuple[Quotation, ...]:
    """The sentences that speak for the concept, strongest first; none when no sentence does.

    A sentence speaks when it says a name of the concept or a piece of one ("Pruning / Eviction"),
    or several words that `signals` say matched. One in which the paper says what it does comes
    before one that tells what others did. One that adds little to those before it is left out.
    """
    sought = _Sought.of(concept, signals)
    found = [said for said in map(sought.judged, _sentences(paper)) if said is not None]
    found.sort(key=lambda said: -said.worth)
    chosen: list[_Said] = []
    heard: set[str] = set()
    for said in found:
        if said.sentence.where == "title" and chosen:
            continue  # it stands above the proposal anyway
        if len(chosen) >= most or said.worth < _SECOND * found[0].worth:
            break
        if not chosen or len(said.stems - heard) >= (1 if said.does else 2):
            heard |= said.stems
            chosen.append(said)
    return tuple(_quotation(said) for said in chosen)


@dataclass(frozen=True)
class _Sentence:
    where: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class _Said:
    """A sentence with what it says for the concept: its sought words, and what that is worth."""

    sentence: _Sentence
    matches: tuple[words.Word, ...]
    stems: frozenset[str]
    worth: float
    does: bool


@dataclass(frozen=True)
class _Sought:
    """What speaks for a concept: its names and pieces of names in stems, and the worth of stems."""

    whole: tuple[str, ...]
    names: tuple[frozenset[str], ...]  # the words of each, stop words left out
    pieces: tuple[str, ...]
    stems: dict[str, float]

    @classmethod
    def of(cls, concept: ConceptText, signals: Sequence[Signal]) -> "_Sought":
        names = (concept.name, *concept.aliases)
        shared = {
            (rank, _stem(word))
            for signal in signals
            for rank, word in enumerate(signal.words[: len(_SHARED)])
        }
        acronym = words.initials(concept.name)
        known = len(acronym) > 2 and acronym in (stem for _, stem in shared)
        whole = [name_stems(name) for name in (*names, *([acronym] if known else []))]
        pieces = [name_stems(piece) for name in names for piece in _PIECES.split(name)]
        stems: dict[str, float] = {}
        for rank, stem in sorted(shared):
            if has_sense(stem) and stem not in COMMON_STEMS:
                stems.setdefault(stem, _SHARED[rank])
        for stem in " ".join(whole).split():
            if has_sense(stem):
                stems[stem] = _COMMON if stem in COMMON_STEMS else _NAME
        return cls(
            tuple(dict.fromkeys(filter(None, whole))),
            tuple(frozenset(filter(has_sense, name.split())) for name in whole),
            tuple(dict.fromkeys(p for p in pieces if p and not COMMON_STEMS.issuperset(p.split()))),
            stems,
        )

    def judged(self, sentence: _Sentence) -> _Said | None:
        """What the sentence says for the concept; None when it does not speak for it."""
        text, start = sentence.text, sentence.start
        every = _words_between(text, start, sentence.end)
        held = _formulas(text, start, sentence.end)
        matches = tuple(
            word
            for word in every
            if word.stem in self.stems and not any(at < word.end <= to for at, to in held)
        )
        if not matches:
            return None
        spelled = f" {' '.join(word.stem for word in every)} "
        whole = sum(f" {name} " in spelled for name in self.whole)
        pieces = 0 if whole else sum(f" {piece} " in spelled for piece in self.pieces)
        stems = frozenset(word.stem for word in matches)
        every_word = not whole and any(len(name) > 1 and name <= stems for name in self.names)
        told = sum(self.stems[stem] for stem in stems)
        own = sum(stem not in COMMON_STEMS for stem in stems)
        named = any(self.stems[stem] == _NAME for stem in stems)
        speaks = whole or pieces or every_word or (own > 1 and told >= _ENOUGH)
        if not speaks and not named:
            return None
        head = text[start : min(sentence.end, start + _HEAD)]
        does = sentence.where != "title" and PROPOSES.search(head) is not None
        if not (speaks or does) or POINTS.search(head):
            return None
        worth = told + _WHOLE * min(whole, 2) + _PART * min(pieces, 2) + _EVERY * every_word
        if sentence.where == "title":
            worth *= _TITLE
        elif does:
            worth = worth * _DOES + 1
        elif BACKGROUND.match(head):
            worth *= _TELLS
        return _Said(sentence, _telling(text, matches), stems, worth, does)


def _telling(text: str, matches: Sequence[words.Word]) -> tuple[words.Word, ...]:
    """The matches to be marked: a word of any paper only beside one that says something."""
    runs: list[list[words.Word]] = []
    for match in matches:
        if runs and text[runs[-1][-1].end : match.start] in _JOINS:
            runs[-1].append(match)
        else:
            runs.append([match])
    own = [run for run in runs if not COMMON_STEMS.issuperset(word.stem for word in run)]
    return tuple(word for run in own or runs for word in run)


def _sentences(paper: PaperText) -> Iterator[_Sentence]:
    """The title and each sentence of the text, without blanks and list marks before it."""
    if paper.title.strip():
        yield _Sentence("title", paper.title, 0, len(paper.title.rstrip()))
    text = paper.text[:_READ]
    for start, end in sentence_spans(text):
        start = after_mark(text, start, end)
        if start < end:
            yield _Sentence("text", text, start, end)


def _quotation(said: _Said) -> Quotation:
    """The sentence, cut to LONGEST around its first match."""
    text, start, end = said.sentence.text, said.sentence.start, said.sentence.end
    matches = said.matches
    start += len(text[start:end]) - len(text[start:end].lstrip())
    if end - start > LONGEST:
        start, end = _cut(text, start, end, matches[0])
    inside = [match for match in matches if match.start >= start and match.end <= end]
    return Quotation(text[start:end], said.sentence.where, _spans(text, start, inside))


def _cut(text: str, start: int, end: int, match: words.Word) -> tuple[int, int]:
    """Where a long sentence is cut: between words, and not within a formula if that can be."""
    held = _formulas(text, start, end)
    first = max(start, match.start - LONGEST // 3)
    if first > start:
        within = next((to for at, to in held if at < first < to), first)
        first = within if within <= match.start else first
        first = _word_border(text, first, match.start)
    last = min(end, first + LONGEST)
    if last < end:
        within = next((at for at, to in held if at < last < to), last)
        last = within if within >= match.end else last
        last = max(text.rfind(" ", first, last), match.end)
    first += len(text[first:last]) - len(text[first:last].lstrip())
    return first, first + len(text[first:last].rstrip())


def _formulas(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Where the formulas of a piece stand in the text: nothing in them is marked or cut."""
    piece = text[start:end]
    if "$" not in piece and "\\" not in piece:
        return []
    return [(start + found.start, start + found.end) for found in formulas(piece)]


def _word_border(text: str, start: int, before: int) -> int:
    """The first place at or after `start` where a word begins, at most `before`."""
    blank = text.find(" ", start, before)
    return start if start == 0 or text[start - 1].isspace() else blank + 1 if blank >= 0 else before


def _spans(text: str, start: int, matches: Sequence[words.Word]) -> tuple[tuple[int, int], ...]:
    """The marks, relative to `start`; words side by side (or joined by a hyphen) make one mark."""
    spans: list[tuple[int, int]] = []
    for match in matches:
        left, right = match.start - start, match.end - start
        if spans and text[start + spans[-1][1] : match.start] in _JOINS:
            spans[-1] = (spans[-1][0], right)
        else:
            spans.append((left, right))
    return tuple(spans)


# ---------------------------------------------------------------- the reason


def reason(
    candidate: Candidate, paper: PaperText, concept: ConceptText, resembled: Sequence[str] = ()
) -> str:
    """One plain line: which words of the paper speak for the concept, and what it is like.

    `resembled` are the titles of the concept's papers that are nearest to it, the nearest first.
    """
    said = _said(candidate, paper, concept)
    like = _like(resembled, concept.name) if _is_alike(candidate.signals) else ""
    shared = "" if said else _shared(candidate, paper, concept)
    if said:
        line = f"It says {said}" + (f" and is {like}" if like else "")
    elif like:
        line = f"It is {like}" + (f": they share the words {shared}" if shared else "")
    elif shared:
        line = f"It shares the words {shared} with {concept.name}"
    elif _weight(candidate.signals, SignalKind.GRAPH) > 0.1:
        line = f"Papers that it shares a thread or references with are in {concept.name}"
    elif _weight(candidate.signals, SignalKind.NAME) > 0.1:
        line = f"It is near to what {concept.name} means"
    else:
        line = f"Nothing speaks strongly for {concept.name}; of what the wiki holds it is nearest"
    return f"{line}."


def _said(candidate: Candidate, paper: PaperText, concept: ConceptText) -> str:
    """A name of the concept or words of its names, as the paper writes them, quoted."""
    names = names_said(paper, (concept.name, *concept.aliases))
    said = [written for written in names.values() if len(written) <= _QUOTED][:1]
    if not said and _weight(candidate.signals, SignalKind.MENTION) > -1:
        sought = _Sought.of(concept, candidate.signals)
        said = words_said(paper, set().union(*sought.names))
    return listed([f"\u201c{written}\u201d" for written in said]) if said else ""


def words_said(paper: PaperText, stems: set[str]) -> list[str]:
    """Words of a name as the paper writes them, those that stand side by side together.

    At most three, the longest run first, no word twice.
    """
    runs: dict[tuple[str, ...], str] = {}
    for text in (paper.text[:_READ], paper.title):
        own = [word for word in _words(text) if word.stem in stems]
        at = 0
        while at < len(own):
            last = at
            while last + 1 < len(own) and text[own[last].end : own[last + 1].start] in _JOINS:
                last += 1
            said = tuple(word.stem for word in own[at : last + 1])
            runs.setdefault(said, " ".join(text[own[at].start : own[last].end].split()))
            at = last + 1
    chosen: list[str] = []
    left = set(stems)
    for said in sorted(runs, key=lambda run: -len({*run})):
        repeats = len({*said}) < len(said) or not left.issuperset(said)
        if not repeats and not COMMON_STEMS.issuperset(said) and len(runs[said]) <= _QUOTED:
            left -= {*said}
            chosen.append(runs[said])
    return chosen[:3]


def _shared(candidate: Candidate, paper: PaperText, concept: ConceptText) -> str:
    """The strongest words that it has in common with the concept's papers; two or more."""
    if _weight(candidate.signals, SignalKind.PAPERS) <= 0:
        return ""
    sought = _Sought.of(concept, candidate.signals).stems
    common = [stem for stem in sought if stem not in COMMON_STEMS]
    written = list(_written(paper, common).values())[:3]
    return listed(written) if len(written) > 1 else ""


def _written(paper: PaperText, stems: Sequence[str]) -> dict[str, str]:
    """Those of the stems that the paper says, in their order, as it first writes them."""
    wanted, found = set(stems), dict[str, str]()
    for text in (paper.text[:_READ], paper.title):
        for word in _words(text):
            if word.stem in wanted:
                found.setdefault(word.stem, text[word.start : word.end])
    return {stem: found[stem] for stem in stems if stem in found}


def _is_alike(signals: Sequence[Signal]) -> bool:
    """Whether the concept's papers speak for the link at all."""
    kinds = (SignalKind.PAPERS, SignalKind.NEIGHBOURS, SignalKind.CLASSIFIER)
    return any(signal.kind in kinds and signal.weight > 0.1 for signal in signals)


def _weight(signals: Sequence[Signal], kind: SignalKind) -> float:
    return sum(signal.weight for signal in signals if signal.kind == kind)


def _like(titles: Sequence[str], name: str) -> str:
    shown = list(dict.fromkeys(filter(None, map(short_title, titles))))[:2]
    if not shown:
        return ""
    return f"like {listed(shown)}, which {'are' if shown[1:] else 'is'} in {name}"


_SORTS = {"position", "position paper", "survey", "a survey", "review", "perspective", "tutorial"}


def short_title(title: str) -> str:
    """What a paper is called in a line: what stands before the colon, or its first words."""
    plain = plain_latex(title)
    head, colon, _ = plain.partition(": ")
    if colon and head.casefold() in _SORTS:
        return short_title(plain[len(head) + 2 :])
    if colon and len(head) <= _QUOTED:
        return head.strip()
    if len(plain) <= _QUOTED:
        return plain.strip()
    return f"{plain[: plain.rfind(' ', 0, _QUOTED) if ' ' in plain[:_QUOTED] else _QUOTED]}\u2026"


def listed(parts: Sequence[str]) -> str:
    """Words as a sentence lists them: "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
