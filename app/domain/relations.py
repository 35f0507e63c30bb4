"""What one paper says of another: extends, uses, compares, confirms or contradicts it.

Nothing is proposed that the text does not say: the other paper has to be named (`Names`), in a
sentence with words around the name that decide the relation. Each finding carries that sentence,
with the name and the deciding words marked. What the sources know beside the text (references,
dates, how near two papers are in meaning) only raises or lowers the confidence. Pure.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from app.domain.markdown import name_key
from app.domain.records import Relation
from app.domain.sentences import sentence_spans
from app.domain.words import STOP, stems, words

FLOOR = 0.5
RELATIONS = (
    Relation.EXTENDS,
    Relation.USES,
    Relation.COMPARES,
    Relation.CONFIRMS,
    Relation.CONTRADICTS,
)
LONGEST = 400  # characters of a quotation
_READ = 60_000  # characters of a text that are looked at
_AROUND = 1_500  # characters on each side of a name that are looked at, however long the sentence
_LISTING = 600  # characters before a name in which others are listed
_MOST_SAID = 500  # names in one text
_MOST_WORDS = 8  # of a short name
_WORD = re.compile(r"[^\W_]+")
_ARXIV = re.compile(r"(?<![\w./])(?:arxiv:\s?)?(\d{4}\.\d{4,5})(?!\d)", re.I)


class NameKind(StrEnum):
    """How a text may speak of a paper, the surest first."""

    IDENTIFIER = "identifier"  # arXiv id
    TITLE = "title"  # the whole title, whatever the case
    ALIAS = "alias"  # a name the page was given
    COINED = "coined"  # what stands before a title's colon, and is no word: KIVI, H2O, LongBench
    ACRONYM = "acronym"  # a few capitals before the colon, which may stand for much: GPTQ, MAP
    PHRASE = "phrase"  # several words before the colon: Tree of Thoughts
    WORD = "word"  # one ordinary-looking word before the colon: Quest, Medusa


@dataclass(frozen=True)
class Name:
    """One name of a paper, as it is written."""

    paper: int
    text: str
    kind: NameKind

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(word.lower() for word in _WORD.findall(self.text))


@dataclass(frozen=True)
class PaperNames:
    """What the names of a paper are taken from. `arxiv` are bare ids without a version."""

    id: int
    title: str
    aliases: tuple[str, ...] = ()
    arxiv: tuple[str, ...] = ()


def names_of(paper: PaperNames) -> list[Name]:
    """The names under which other texts may speak of a paper; none that is too short to be one."""
    found = [Name(paper.id, each, NameKind.IDENTIFIER) for each in paper.arxiv]
    title = _clean(paper.title)
    words = _WORD.findall(title)
    if len(words) >= 4 and len(title) >= 20:
        found.append(Name(paper.id, title, NameKind.TITLE))
    short, colon, _ = title.partition(":")
    if colon and (kind := _short_kind(short.strip())):
        found.append(Name(paper.id, short.strip(), kind))
    for alias in map(_clean, paper.aliases):
        if kind := _short_kind(alias):
            coined = kind in (NameKind.COINED, NameKind.ACRONYM)
            found.append(Name(paper.id, alias, NameKind.ALIAS if coined else kind))
        elif len(_WORD.findall(alias)) >= 2:
            found.append(Name(paper.id, alias, NameKind.ALIAS))
    first = {name.key: name for name in reversed(found)}
    return [name for name in found if first[name.key] is name]


def _clean(text: str) -> str:
    """A title without the marks of LaTeX and without double blanks."""
    return " ".join(re.sub(r"[${}\\]|\\[a-z]+\b", "", text).split())


def _short_kind(name: str) -> NameKind | None:
    """What kind of name the words before a colon are; None when they are none."""
    words = _WORD.findall(name)
    if not words or len(words) > _MOST_WORDS or len(name) > 60:
        return None
    if len(words) == 1 or not re.search(r"\s", name):
        if len(name) < 3 or not any(letter.isalpha() for letter in name) or name.islower():
            return None
        inner = any(letter.isupper() or letter.isdigit() for letter in name[1:])
        if inner:
            short = name.isalpha() and name.isupper() and len(name) <= 5
            return NameKind.ACRONYM if short else NameKind.COINED
        return None if name.lower() in _HEADINGS else NameKind.WORD
    telling = [word for word in words if word.lower() not in STOP]
    if (
        words[0].lower() in _HEADINGS
        or len(telling) < 2
        or not all(word[0].isupper() or word[0].isdigit() for word in telling)
    ):
        return None
    return NameKind.PHRASE


_HEADINGS = frozenset(
    """a towards toward beyond rethinking position survey review tutorial perspective benchmark
    benchmarking attention agents agent learning memory opinion commentary report technical
    introduction overview""".split()  # noqa: SIM905 -- a list of words reads best as words
)


# ---------------------------------------------------------------- the index of names


@dataclass(frozen=True)
class Said:
    """A name that stands in a text: `text[start:end]`."""

    name: Name
    start: int
    end: int


class Names:
    """Every name of the papers of a wiki, looked up by the words of a text and not one by one."""

    def __init__(self, papers: Iterable[PaperNames] = ()) -> None:
        self._of: dict[int, list[Name]] = {}
        self._named: dict[tuple[str, ...], list[Name]] = {}
        self._lengths: dict[str, dict[int, int]] = {}  # by first word: how many names of a length
        self._identifiers: dict[str, int] = {}
        self._initials: dict[int, str] = {}
        for paper in papers:
            self.add(paper)

    def add(self, paper: PaperNames) -> None:
        """Take a paper in, or bring its names up to date."""
        self.remove(paper.id)
        names = names_of(paper)
        self._of[paper.id] = names
        self._initials[paper.id] = "".join(word[0].lower() for word in _WORD.findall(paper.title))
        for name in names:
            if name.kind == NameKind.IDENTIFIER:
                self._identifiers[name.text] = paper.id
                continue
            key = name.key
            owners = self._named.setdefault(key, [])
            if not owners:
                lengths = self._lengths.setdefault(key[0], {})
                lengths[len(key)] = lengths.get(len(key), 0) + 1
            owners.append(name)

    def remove(self, paper: int) -> None:
        """Forget a paper; nothing happens when it is not known."""
        self._initials.pop(paper, None)
        for name in self._of.pop(paper, ()):
            if name.kind == NameKind.IDENTIFIER:
                if self._identifiers.get(name.text) == paper:
                    del self._identifiers[name.text]
                continue
            key = name.key
            left = [each for each in self._named[key] if each.paper != paper]
            if left:
                self._named[key] = left
                continue
            del self._named[key]
            lengths = self._lengths[key[0]]
            lengths[len(key)] -= 1
            if not lengths[len(key)]:
                del lengths[len(key)]
            if not lengths:
                del self._lengths[key[0]]

    def of(self, paper: int) -> Sequence[Name]:
        return self._of.get(paper, ())

    def said_in(self, text: str, *, by: int, besides: Collection[str] = ()) -> list[Said]:
        """The names of other papers that stand in a text of the paper `by`, in order.

        A name of two papers names neither; nor does one in `besides` (`name_key`s of what the wiki
        has a concept for: then the field's term is meant and not the paper).
        """
        text = text[:_READ]
        found = [
            Said(Name(owner, match[1], NameKind.IDENTIFIER), match.start(), match.end())
            for match in _ARXIV.finditer(text)
            if (owner := self._identifiers.get(match[1], by)) != by
        ]
        words = list(_WORD.finditer(text))
        lowered = [match[0].lower() for match in words]
        own = {name.key for name in self.of(by)}
        letters = self._initials.get(by, "")
        at = 0
        while at < len(words):
            step = 1
            for length in sorted(self._lengths.get(lowered[at], ()), reverse=True):
                key = tuple(lowered[at : at + length])
                names = self._named.get(key)
                if not names or len(key) < length:
                    continue
                if key in own or (length == 1 and len(key[0]) > 2 and key[0] in letters):
                    # Its own name, or the initials of its own title, whoever else has it.
                    step = length
                    break
                start, end = words[at].start(), words[at + length - 1].end()
                name = self._meant(names, text, start, end, besides)
                if name is not None:
                    found.append(Said(name, start, end))
                    step = length
                    break
            at += step
        return sorted(found, key=lambda said: said.start)

    def _meant(
        self, names: list[Name], text: str, start: int, end: int, besides: Collection[str]
    ) -> Name | None:
        if len({name.paper for name in names}) > 1:
            return None
        name = min(names, key=lambda each: list(NameKind).index(each.kind))
        written = text[start:end]
        if name.kind == NameKind.TITLE:  # in small letters it may be any phrase
            return None if written.islower() and not name.text.islower() else name
        if name_key(name.text) in besides or not _stands_alone(text, start, end):
            return None
        several = len(name.key) > 1
        if name.kind == NameKind.ALIAS and several:
            return name
        if not _written_alike(written, name.text):
            return None
        longer = _LONGER.search(text, max(0, start - 30), start)  # "Rotary Position Embedding"
        if name.kind in (NameKind.WORD, NameKind.PHRASE) and longer:
            return None
        if name.kind == NameKind.WORD and not _is_a_name_here(text, start, written):
            return None
        return name


_LONGER = re.compile(r"(?<![.!?] )\b[A-Z][a-z]+[ -]$")


def _written_alike(written: str, name: str) -> bool:
    """Letter for letter, but that blanks and hyphens are one."""
    return re.sub(r"[\s\-–—]+", " ", written) == re.sub(r"[\s\-–—]+", " ", name).strip()


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a name is a whole one there: not a part of `Mini-KIVI`, `KIVI-2`, `KIVI 2`, `KIVI++`."""
    before, after = text[max(0, start - 2) : start], text[end : end + 4]
    if re.search(r"[\w]$|\w[-./]$|[@#\\]$", before):
        return False
    return not re.match(
        r"\w|[-–.](?:\d|[A-Z])|\s\d{1,3}(?:\.\d)?(?!\d|%|\.\d|x)\b|\+|\*|\^|[-–]v\d", after
    )


def _is_a_name_here(text: str, start: int, word: str) -> bool:
    """Whether a word that might be any word is written as a name: not as a sentence begins.

    And never in small letters in the same text.
    """
    if re.search(rf"\b{re.escape(word.lower())}\b", text):
        return False
    return (
        re.search(r"[^\s.!?:;\"“(\n][\"”')]*[ \t]+$|\($", text[max(0, start - 12) : start])
        is not None
    )


# ---------------------------------------------------------------- what decides a relation


@dataclass(frozen=True)
class _Cue:
    """Words that decide a relation. `near` is how many characters may stand between them and the name."""

    relation: Relation
    pattern: re.Pattern[str]
    near: int
    strength: float


def _cue(relation: Relation, words: str, *, near: int = 45, strength: float = 0.0) -> _Cue:
    return _Cue(relation, re.compile(rf"\b(?:{words})\b", re.I), near, strength)


_E, _U, _C, _F, _X = RELATIONS
# Before the name, the strongest first.
_BEFORE = (
    _cue(_X, r"contrary to|contradict(?:s|ed|ing)?|(?:fails?|failed|unable) to (?:replicate|reproduce)|"
             r"refut(?:e|es|ed|ing)|disprov(?:e|es|ed|ing)|at odds with|inconsistent with|"
             r"call(?:s|ing)? into question|cast(?:s|ing)? doubt on|"
             r"challeng(?:e|es|ed|ing) the (?:claims?|findings?|assumptions?|conclusions?|results?)(?: (?:of|in|by|from))?",
         strength=0.5),
    _cue(_F, r"consistent with|confirm(?:s|ed|ing)?|replicat(?:e|es|ed|ing|ion of)|corroborat(?:e|es|ed|ing)|"
             r"reproduc(?:e|es|ed|ing) (?:the )?(?:results?|findings?)(?: (?:of|in|by|from))?|in (?:line|agreement) with|"
             r"support(?:s|ed|ing)? the (?:claims?|findings?|conclusions?|hypothesis) (?:of|in|by|from)",
         near=30, strength=-0.5),
    _cue(_E, r"extend(?:s|ed|ing)?|extensions? (?:of|to)|buil(?:d|ds|t|ding) (?:up)?on(?: top of)?|"
             r"improv(?:e|es|ed|ing) (?:up)?on|generali[sz](?:e|es|ed|ing)|generali[sz]ation of|"
             r"(?:a|new|improved|novel|efficient) (?:variants?|versions?) of|modif(?:y|ies|ied|ication of)|"
             r"adapt(?:s|ed|ing)?|enhanc(?:e|es|ed|ing)|augment(?:s|ed|ing)?|successor (?:of|to)|accelerat(?:e|es|ed|ing)|"
             r"derived from|revisit(?:s|ed|ing)?|upgrad(?:e|es|ed|ing)|"
             r"inspired by|motivated by",
         near=40, strength=0.3),
    _cue(_C, r"compar(?:e|ed|es|ing|isons?) (?:to|with|against)|in comparison (?:to|with)|relative to|"
             r"outperform(?:s|ed|ing)?|surpass(?:es|ed|ing)?|exceed(?:s|ed|ing)?|beat(?:s|ing)?|outpac(?:es|ing)|"
             r"(?:better|worse|faster|slower|higher|lower|more|less|fewer|smaller|cheaper|larger|greater) "
             r"[^.;]{0,40}?\bthan|(?:improv\w+|gains?|speed-?ups?|boosts?|advantages?|reductions?|superior\w*) "
             r"[^.;]{0,40}?\b(?:over|to|compared)|"
             r"versus|vs|than|unlike|instead of|rather than|in contrast to|as opposed to|alternatives? to|"
             r"baselines?|competitive with|comparable (?:to|with)|"
             r"on par with|rival(?:s|ing)?|comparable [^.;]{0,30}?(?:to|with)",
         strength=0.3),
    _cue(_U, r"us(?:e|es|ed|ing)|utili[sz](?:e|es|ed|ing)|leverag(?:e|es|ed|ing)|based on|adopt(?:s|ed|ing)?|"
             r"employ(?:s|ed|ing)?|appl(?:y|ies|ied|ying)(?: \w+ (?:to|on))?|integrat(?:e|es|ed|ing)(?: \w+)?(?: into| with| in)?|"
             r"incorporat(?:e|es|ed|ing)|combin(?:e|es|ed|ing|ed with)|"
             r"(?:implement(?:ed|ation)?|built|deployed|instantiated) (?:in|on|within|with|into|for)|"
             r"(?:evaluat\w+|experiment\w*|test\w*|results?|benchmarks?|validat\w+|assess\w*|perform\w*|accuracy|score\w*) "
             r"[^.;]{0,60}?\b(?:on|in|with|across|over)|datasets?|benchmarks?|"
             r"(?:pre-?)?train(?:ed|s|ing)? (?:on|from|with)|"
             r"(?:fine-?tun|distill|quanti[sz]|initiali[sz])(?:e|ed|es|ing)(?: on| from| with)?|powered by|"
             r"on top of|"
             r"compatible with|plugg?(?:ed|able)?(?: \w+)? into|together with|backbones?(?: like| such as)?|"
             r"analy[sz](?:e|es|ed|ing)|audit(?:s|ed|ing)?|applications? of",
         near=60, strength=0.0),
)  # fmt: skip
# After the name.
_AFTER = (
    _cue(_X, r"(?:does|do|did) not (?:hold|replicate|generali[sz]e)|fails? to (?:hold|replicate|generali[sz]e)", near=30),
    _cue(_C, r"as (?:a |the |our )?(?:strong )?baselines?|baselines?|by (?:up to )?\d|in terms of", near=25, strength=0.3),
    _cue(_U, r"(?:benchmarks?|datasets?|test ?sets?|framework|library|engine|codebase|corpus|suite|environment|"
             r"as (?:a |an |the |our )?(?:\w+ )?(?:backbone|base|foundation|teacher|testbed|encoder|judge|policy|optimi[sz]er))",
         near=25, strength=0.6),
)  # fmt: skip
# "We propose KIVI" in a text of another paper: its own thing has that name too.
_COINING = re.compile(
    r"\b(?:we|this (?:paper|work|study)|paper)\b[^.;]{0,60}?\b(?:propos|introduc|present|develop|design|nam|call|term|"
    r"dub|releas|creat|construct|formulat|offer|build)\w*\b[^.;]{0,90}$|\b(?:named|called|termed|dubbed|coined|namely|abbreviated)\b[^.;]{0,15}$"
    r"|\((?:i\.e\.,? )?$",
    re.I,
)
_CITED = re.compile(
    r"\b(?:such as|like|including|e\.g|with|from|of|on|than|to|over|upon|using|by|and|or|based)\b[^.;]*$",
    re.I,
)
_NEGATED = re.compile(
    r"\b(?:not|never|no|without|cannot|can't|neither|nor|hardly|avoid\w*|eliminat\w*|free of|dispens\w*)\b(?:\W+\w+){0,3}\W*$",
    re.I,
)
_OWN_VOICE = re.compile(
    r"\b(?:we|our|ours|us|this (?:paper|work|study|article|survey|report)|i)\b", re.I
)
_MEASURE = re.compile(
    r"bench|dataset|data set|corpus|arena|evaluat|eval\b|environment|testbed|test suite|\bexam\b|leaderboard|simulator|\bgym\b",
    re.I,
)
# How a benchmark speaks of itself.
_MEASURING = re.compile(
    r"\b(?:we|this paper|this work)\b[^.;]{0,60}?\b(?:introduc|present|propos|releas|creat|construct|"
    r"build|develop|curat|collect)\w*[^.;]{0,50}?\b(?:benchmark|dataset|test ?set|testbed|leaderboard)",
    re.I,
)
_OWN_CLAUSE = re.compile(
    r"[;:]|,? (?:but|while|whereas|although|which|that|and (?:we|our)|where)\b|\. ", re.I
)


@dataclass(frozen=True)
class Quotation:
    """A verbatim piece of a paper: `where` is "title" or "text"; `spans` mark `text[start:end]`."""

    text: str
    where: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Signal:
    """One reason: its part of the log-odds (below zero speaks against), the words behind it."""

    name: str
    weight: float
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """That the paper `source` says something of the paper `target`, and the sentences that say it."""

    source: int
    target: int
    relation: Relation
    name: Name
    cue: str
    quotations: tuple[Quotation, ...]
    signals: tuple[Signal, ...]

    @property
    def confidence(self) -> float:
        return 1 / (1 + math.exp(-sum(signal.weight for signal in self.signals)))


@dataclass(frozen=True)
class Other:
    """The paper that is named, as far as it helps to judge whether it is meant. `published` is ISO."""

    title: str
    text: str
    published: str = ""


@dataclass(frozen=True)
class _Decided:
    relation: Relation
    start: int  # of the deciding words, in the text
    end: int
    gap: int  # characters between them and the name
    strength: float


def findings(
    paper: int, title: str, text: str, names: Names, *, besides: Collection[str] = ()
) -> list[Finding]:
    """What a paper's title and text say of other papers by name, sentence by sentence.

    `besides` are the names of concepts, as `name_key` has them. Not judged yet: see `judged`.
    """
    found: list[Finding] = []
    for where, part in (("title", title), ("text", text[:_READ])):
        said = names.said_in(part, by=paper, besides=besides)
        if not said:
            continue
        spans = [(0, len(part))] if where == "title" else sentence_spans(part)
        starts = [start for start, _ in spans]
        own = [name.text for name in names.of(paper)]
        for each in said[:_MOST_SAID]:
            start, end = spans[max(0, bisect_right(starts, each.start) - 1)]
            start, end = max(start, each.start - _AROUND), min(end, each.end + _AROUND)
            decided = _decided(part, start, end, each)
            if decided is not None:
                found.append(_finding(paper, where, part, start, end, each, decided, own))
    return found


def judged(
    finding: Finding,
    other: Other,
    *,
    title: str = "",
    published: str = "",
    cited: bool | None = None,
    nearness: float | None = None,
) -> Finding | None:
    """The finding in the light of the paper that is named; None when that one came out later.

    title, published: of the paper that speaks, the date ISO. cited: whether its references, where a source gave
    them, list the other. nearness: cosine of the two papers' vectors, where both have one.
    """
    if _earlier(published, other.published):
        return None
    own_measure = bool(_MEASURE.search(title))
    is_measure = bool(_MEASURE.search(other.title) or _MEASURING.search(other.text[:_READ]))
    signals = list(finding.signals)
    relation = finding.relation
    if is_measure and not own_measure and relation == Relation.COMPARES:
        relation = Relation.USES  # one is better *on* a benchmark, not than it
        signals.append(Signal("a benchmark", 0.2))
    elif not is_measure and _MEASURE.fullmatch(finding.cue.rstrip("s")):
        signals.append(Signal("no benchmark", -1.6))
    if cited is not None:
        signals.append(Signal("references", 2.0 if cited else -1.0))
    if nearness is not None:
        signals.append(Signal("meaning", 0.4 if nearness >= NEAR else -0.4))
    return replace(finding, relation=relation, signals=tuple(signals))


NEAR = 0.3  # cosine from which two papers may well speak of one another


def _earlier(one: str, other: str) -> bool:
    """Whether a date is earlier than another, as far as both are known."""
    known = min(len(one), len(other))
    return bool(known) and one[:known] < other[:known]


def candidates(found: Iterable[Finding], *, limit: int = 10) -> list[tuple[Finding, bool]]:
    """Judged findings of one paper, the surest of each pair and relation, and which are proposed.

    By relation, the surest first, at most `limit` of each. Of a pair the surest relation alone is
    proposed, and only from the floor up; at most MOST of a paper.
    """
    best: dict[tuple[int, Relation], Finding] = {}
    for finding in sorted(found, key=lambda each: -each.confidence):
        pair = finding.target, finding.relation
        known = best.get(pair)
        if known is None:
            best[pair] = finding
        elif len(known.quotations) < _QUOTED and finding.quotations[0] not in known.quotations:
            best[pair] = replace(known, quotations=known.quotations + finding.quotations[:1])
    ranked = sorted(best.values(), key=lambda each: -each.confidence)
    told: set[int] = set()
    proposed: set[tuple[int, Relation]] = set()
    for finding in ranked:
        if finding.confidence >= FLOOR and finding.target not in told and len(told) < MOST:
            proposed.add((finding.target, finding.relation))
        told.add(finding.target)
    listed: list[tuple[Finding, bool]] = []
    for relation in RELATIONS:
        of_it = [each for each in ranked if each.relation == relation][:limit]
        listed += [(each, (each.target, relation) in proposed) for each in of_it]
    return listed


MOST = 8  # proposals of one paper
_QUOTED = 2


def is_ordinary(name: Name, texts: Iterable[str]) -> bool:
    """Whether texts that have a name's words mostly write them as ordinary words.

    For names that could be such; a coined one that is never written small is a name.
    """
    if name.kind in (NameKind.IDENTIFIER, NameKind.TITLE):
        return False
    words = r"[\s\-–—]+".join(map(re.escape, name.text.split()))
    pattern = re.compile(rf"(?<![^\W_]){words}(?![^\W_])", re.I)
    small = [match[0].islower() for text in texts for match in pattern.finditer(text)]
    return len(small) > 1 and sum(small) / len(small) > _WRITTEN_SMALL


_WRITTEN_SMALL = 0.2


def counterpart(finding: Finding, other: Other) -> Quotation | None:
    """The sentence of the paper that is named which speaks most of what the finding speaks of."""
    asked = set(stems(finding.quotations[0].text)) - set(stems(finding.name.text))
    best: tuple[int, Quotation] | None = None
    for start, end in sentence_spans(other.text[:_READ]):
        words_of = [each for each in words(other.text[start:end]) if each.stem in asked]
        shared = len({each.stem for each in words_of if len(each.stem) > 2})
        if shared >= 2 and (best is None or shared > best[0]):
            spans = tuple((each.start, each.end) for each in words_of if len(each.stem) > 2)
            best = shared, Quotation(other.text[start:end], "text", spans)
    return best[1] if best else None


def reason(finding: Finding) -> str:
    """One plain line: how the other paper is named, and what else speaks for it."""
    by = {
        NameKind.IDENTIFIER: f"by its number {finding.name.text}",
        NameKind.TITLE: "by its whole title",
    }.get(finding.name.kind, f"as {finding.name.text}")
    where = "Its title" if finding.quotations[0].where == "title" else "It"
    line = f"{where} names that paper {by}, with the words “{_shortened(finding.cue)}”"
    cited = next((each.weight for each in finding.signals if each.name == "references"), 0.0)
    return line + ("; its references list it." if cited > 0 else ".")


def _shortened(cue: str) -> str:
    """The deciding words in a line; of many the first and the last."""
    every = cue.rstrip(" ,:(-–").split()
    return " ".join(every) if len(every) <= 5 else f"{' '.join(every[:2])} … {every[-1]}"


def _decided(text: str, start: int, end: int, said: Said) -> _Decided | None:
    """The words of the sentence `text[start:end]` that say what is said of the name."""
    before = text[start : said.start]
    if _is_coined(before):
        return None
    after = _cue_after(text, said.end, end)
    best = _cue_before(text, start, said.start, said.end)
    if after is not None and (best is None or after.relation == _C or best.relation == _U):
        return after
    return best


def _is_coined(before: str) -> bool:
    coining = list(_COINING.finditer(before))
    if not coining:
        return False
    verb = coining[-1][0]
    return not _CITED.search(verb)


def _cue_before(text: str, start: int, name: int, end: int) -> _Decided | None:
    """The deciding words nearest before the name. Of "methods such as A, B and C" those before it."""
    at = name
    others = _OTHERS.search(text, max(start, at - _LISTING), at)
    if others and (not others[0].endswith((", ", ", the ")) or _GOES_ON.match(text, end)):
        at = others.start()
    weak = None
    if listed := _LISTED.search(text, max(start, at - _LISTING), at):
        at = listed.start(1)
        weak = _Decided(
            _kind_of_list(listed[1]),
            listed.start(1),
            listed.end(),
            0,
            _of_list(text, start, listed),
        )
    best: _Decided | None = None
    for cue in _BEFORE:
        for match in cue.pattern.finditer(text, max(start, at - cue.near - 90), at):
            gap = text[match.end() : at]
            if len(gap) > cue.near or _OWN_CLAUSE.search(gap):
                continue
            if gap.endswith(", ") and not _MEASURE.search(match[0]):
                continue  # the name begins a clause of its own
            relation: Relation | None = cue.relation
            if _NEGATED.search(text, max(start, match.start() - 60), match.start()):
                relation = _NEGATION.get(cue.relation)
            if relation and (best is None or len(gap) < best.gap):
                best = _Decided(relation, match.start(), match.end(), len(gap), cue.strength)
    return best or weak


# "A, B, and " before the name, each a name too. A word is taken whole or not at all: tried letter by
# letter, a long one in capitals would take for ever.
_OTHERS = re.compile(
    r"(?:(?:both )?(?=[^\s,;.()]*[A-Z\d])[^\s,;()]++(?: [A-Z\d][^\s,;()]*+)*(?: \([^()]*\))?(?:, (?:and |or )?| and | or | & ))+(?:the )?$"
)
_GOES_ON = re.compile(r"\s*(?:[,.)]|and\b|or\b|&|\(|$)")
_LISTED = re.compile(
    r"\b(?:(?:prior|previous|existing|current|recent|other|strong|popular|leading|state-of-the-art|sota|competing|"
    r"several|various|many|established|well-known|representative|multiple|different|public|standard|challenging|both|the) )*"
    r"(?:[\w-]+ ){0,6}?\b(methods?|approach(?:es)?|techniques?|systems?|models?|baselines?|works?|algorithms?|"
    r"frameworks?|agents?|solutions?|counterparts?|benchmarks?|datasets?|architectures?|llms?|mllms?|tasks?|tools?|"
    r"variants?|backbones?|strategies|policies|engines?|libraries|kernels?)"
    r"(?:,? ?\(?(?:such as|like|including|e\.g\.,?|i\.e\.,?|namely)|:| -) ?(?:the )?$",
    re.I,
)


def _kind_of_list(head: str) -> Relation:
    return _U if re.match(r"benchmark|dataset|task|backbone", head, re.I) else _C


def _of_list(text: str, start: int, listed: re.Match[str]) -> float:
    """A list of baselines or benchmarks says what is done with them; one of methods hardly.

    What exists already and is listed is found wanting more often than used.
    """
    if _WANTING.search(text, start, listed.start(1)):
        return -2.0
    return 0.0 if re.match(r"baseline|benchmark|dataset", listed[1], re.I) else -1.6


_WANTING = re.compile(
    r"\b(?:however|while|although|despite|existing|current|mainstream|recent|prior|previous)\b",
    re.I,
)


_NEGATION = {_F: _X, _U: _C, _C: _C}


def _cue_after(text: str, name: int, end: int) -> _Decided | None:
    for cue in _AFTER:
        match = cue.pattern.search(text, name, end)
        if match is None or match.start() - name > cue.near:
            continue
        if not re.search(r"[,;:.]\s", text[name : match.start()]):
            gap = match.start() - name
            return _Decided(cue.relation, match.start(), match.end(), gap, cue.strength)
    return None


# What each part adds to the log-odds. Set by hand, then put right by what was accepted of proposals
# read by eye (docs/decisions/0018): a short table is all that so few judgements can carry.
_BASE = {_E: 0.3, _U: 0.6, _C: 0.8, _F: -0.6, _X: 0.0}
_KIND = {
    NameKind.IDENTIFIER: 2.0, NameKind.TITLE: 2.0, NameKind.ALIAS: 0.6, NameKind.COINED: 0.6, NameKind.ACRONYM: 0.1,
    NameKind.PHRASE: 0.2, NameKind.WORD: -0.6,
}  # fmt: skip


def _finding(
    paper: int,
    where: str,
    text: str,
    start: int,
    end: int,
    said: Said,
    decided: _Decided,
    own: Sequence[str],
) -> Finding:
    sentence = text[start:end]
    voice = where == "title" or bool(_OWN_VOICE.search(sentence)) or any(n in sentence for n in own)
    cue = text[decided.start : decided.end]
    kind = said.name.kind
    signals = [
        Signal("words", _BASE[decided.relation] + decided.strength, (cue,)),
        Signal("name", _KIND[kind], (said.name.text,)),
        Signal("voice", 0.7 if voice else -0.5),
        Signal("distance", 0.3 if decided.gap <= 12 else -0.2),
    ]
    if kind == NameKind.WORD and re.match(r" [A-Z][a-z]", text[said.end : said.end + 3]):
        signals.append(Signal("longer name", -0.5))
    return Finding(
        source=paper,
        target=said.name.paper,
        relation=decided.relation,
        name=said.name,
        cue=cue,
        quotations=(_quoted(where, text, start, end, said, decided),),
        signals=tuple(signals),
    )


def _quoted(
    where: str, text: str, start: int, end: int, said: Said, decided: _Decided
) -> Quotation:
    """The sentence with name and deciding words marked, cut around them when it is very long."""
    marks = sorted({(decided.start, decided.end), (said.start, said.end)})
    if end - start > LONGEST:
        first, last = marks[0][0], marks[-1][1]
        left = max(start, min(first, last - LONGEST + 80) - 80)
        start = left if left == start else text.find(" ", left, first) + 1 or first
        right = min(end, max(last, start + LONGEST))
        end = right if right == end else max(text.rfind(" ", last, right), last)
    return Quotation(text[start:end], where, tuple((a - start, b - start) for a, b in marks))
