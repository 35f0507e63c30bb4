"""The comment of the local scorer: a paper's strongest criterion, and what the paper says of it.

Nothing is thought up here. The comment is the criterion in the reader's words and one sentence of
the abstract, cut to its core between clauses; where the authors say "we propose" it says "it
proposes". The sentence as it stands is kept as evidence. Pure, and the same for the same texts.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.domain import words
from app.domain.evidence import (
    BACKGROUND,
    COMMON_STEMS,
    POINTS,
    PROPOSES,
    has_sense,
    listed,
    short_title,
    words_said,
)
from app.domain.latex import formulas, plain_latex
from app.domain.scoring import TopicText
from app.domain.sentences import after_mark, sentence_spans
from app.domain.texts import PaperText
from app.domain.untrusted import line

LONGEST = 200  # characters of a comment
_CRITERION = 80  # characters of a criterion in it; a longer one goes by its topic's name
_LEAST = 30  # characters of a sentence, and of a piece cut from one: less says nothing
_READ = 20_000  # characters of an abstract that are looked at
_HEAD = 2_000  # characters of a sentence that say what kind of sentence it is
_FIT, _COMMON, _TOPIC = 1.0, 0.35, 0.25  # a word of the criterion, one of any paper, of the topic
_DOES, _TELLS = 1.6, 0.5  # a sentence that says what the paper does, one about what others did
_SHORT = 5  # letters of a word that speaks for a topic by itself
_NEAR = 2  # words by which the primary topic leads the next at most, for that one to be named

# "We propose" becomes "it proposes". After "and" only what is no noun as well.
_VERB_WORDS = """
achieve address adopt analyse analyze apply argue build characterise characterize combine compare
compute conduct consider construct create define demonstrate derive describe design determine
develop devise discover employ enable establish estimate evaluate examine exploit explore extend
find focus formalise formalize generate highlight identify implement improve incorporate integrate
introduce investigate isolate learn leverage measure model motivate observe obtain offer optimise
optimize outline perform posit present propose prove provide quantify recast reduce reformulate
release report reveal review revisit show solve study suggest survey synthesize tackle term test
train treat unify use validate verify
"""
_VERBS = frozenset(_VERB_WORDS.split())
_NOUN_WORDS = (
    "design estimate find focus measure model release report review study survey term test"
)
_IS_NOUN = frozenset([*_NOUN_WORDS.split(), "train", "treat", "use"])
_WE = re.compile(
    r"\b(?:we|this (?:paper|work|article|study)|our (?:paper|work|study))[ \n]+"
    r"((?:also|then|further|first|here|thus|therefore|instead|additionally|finally|jointly|"
    r"systematically|formally|empirically|theoretically)[ \n]+)?([a-z]+)\b",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"(?:however|moreover|furthermore|additionally|specifically|in particular|therefore|thus|hence|"
    r"finally|first|second|third|concretely|in addition|to this end|to address this(?: \w+)?|"
    r"to bridge this gap|notably|importantly|consequently|accordingly|as a result|"
    r"in this (?:paper|work|article|study)|here)[ \n]*,[ \n]*",
    re.IGNORECASE,
)
_BRACKETS = {"(": 1, "[": 1, "{": 1, "“": 1, ")": -1, "]": -1, "}": -1, "”": -1}
# Where a sentence can end early: the firm places first, then before words that only add to it.
_FIRM = re.compile(r"[;:]\s|\s[—–]+\s|—|\s-{1,3}\s|,\s")
_SOFT = re.compile(
    r"\s(?=(?:that|which|while|whereas|by|for|with|through|using|via|where|when|without|across|from|"
    r"under|so|because|based|and)\s)"
)
_CLAIM = re.compile(
    r"^\s*(?:that|how|why|whether)\s|\b(?:show(?:s|n)?|finds?|found|demonstrate[sd]?|prove[sd]?|suggests?) that\s"
)
# What a sentence begins with before it comes to its subject: it does not end at the first comma.
_INTRODUCES = re.compile(
    r"(?:[a-z]+ing|[a-z]+ed|in|on|at|by|as|to|for|from|with|without|within|through|under|over|across|"
    r"during|despite|unlike|although|though|while|whereas|when|where|if|since|because|given|after|"
    r"before|once|until|among|between|beyond|rather|instead|inspired|driven|built)\s",
    re.IGNORECASE,
)
_AFTER_IT = re.compile(r",\s(?!such as|including|like|e\.g\.|i\.e\.|especially|particularly)")
_COUNTS = (("i)", "ii)"), ("1)", "2)"), ("a)", "b)"), ("irst,", "econd"))
_OPEN_END = re.compile(
    r"(?:\s|^)(?:and|or|but|the|an?|of|to|in|on|by|for|with|as|at|from|that|which|whose|where|when|"
    r"while|its|their|both|either|not only|such|than|via|using|is|are|was|were|be|into|through|e\.g\.|"
    r"i\.e\.|namely|called|termed|dubbed)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Comment:
    """`comment` names the strongest criterion, `topic_comment` why the topic fits best.

    `evidence` is a list of {kind: "criterion", text: the criterion, quotation, where: "abstract" or
    "title", spans: [start, end] of words of the criterion in the quotation}.
    """

    comment: str
    topic_comment: str
    evidence: list[dict[str, Any]] = field(default_factory=list)


def comment(
    topic: TopicText,
    clause: str,
    title: str,
    abstract: str,
    *,
    next_topic: TopicText | None = None,
) -> Comment:
    """What speaks for a paper by one criterion of a topic, in the words of the two.

    `clause` is that criterion, a piece of the topic's keep text; "" for the topic as such.
    `next_topic` is the topic that fits second best, named where it is near.
    """
    criterion = line(clause) or line(topic.name)
    sought = _sought(topic, criterion)
    named = criterion if len(criterion) <= _CRITERION else line(topic.name)[:_CRITERION].rstrip()
    lead = f"{named[:1].upper()}{named[1:]}: " if named else ""
    text = abstract[:_READ]
    told, quotation, where, spans = "", "", "abstract", list[list[int]]()
    best, room = list(_best(text, sought)), LONGEST - len(lead) - 1
    # A sentence of which a claim would have to be cut comes after those that end where they end.
    for (start, end, marks), claims in [
        (each, claims) for claims in (False, True) for each in best
    ]:
        told = _core(text[start:end], [m - start for m in marks], room, claims=claims)
        if told:
            quotation = text[start:end]
            spans = _spans(quotation, frozenset(words.stems(criterion)))
            break
    if not told:
        told = line(title)
        if len(lead) + len(told) >= LONGEST:
            told = line(short_title(title))
        quotation, where = title.strip(), "title"
        spans = _spans(quotation, frozenset(words.stems(criterion)))
    evidence = []
    if quotation:
        evidence.append(
            {
                "kind": "criterion",
                "text": criterion,
                "quotation": quotation,
                "where": where,
                "spans": spans,
            }
        )
    ended = told if not told or told[-1] in ".!?…。！？" else f"{told}."
    return Comment(
        (lead + ended).strip(), _why(topic, PaperText(0, title, text), next_topic), evidence
    )


def _sought(topic: TopicText, criterion: str) -> dict[str, float]:
    """What a word is worth by its stem: those of the criterion most, others of the topic a little."""
    worth = {
        stem: _TOPIC
        for stem in words.stems(f"{topic.name} {topic.keep}")
        if stem not in COMMON_STEMS and has_sense(stem)
    }
    for stem in words.stems(criterion):
        if has_sense(stem):
            worth[stem] = _COMMON if stem in COMMON_STEMS else _FIT
    return worth


def _best(text: str, sought: dict[str, float]) -> Iterator[tuple[int, int, list[int]]]:
    """Sentences (start, end, where its words of the topic end), the one that speaks most first."""
    found = []
    every = list(words.words(text))
    starts = [word.start for word in every]
    for place, (start, end) in enumerate(sentence_spans(text)):
        start = after_mark(text, start, end)
        head = text[start : min(end, start + _HEAD)]
        if len(head) < _LEAST or POINTS.search(head):
            continue
        own = every[bisect_left(starts, start) : bisect_left(starts, end)]
        said = {word.stem for word in own if word.stem in sought}
        worth = sum(sought[stem] for stem in said) + 0.1
        if PROPOSES.search(head):
            worth = worth * _DOES + 0.5
        elif BACKGROUND.match(head):
            worth *= _TELLS
        marks = [word.end for word in own if sought.get(word.stem, 0) >= _COMMON]
        found.append((-worth, place, start, end, marks))
    for _, _, start, end, marks in sorted(found)[:5]:
        yield start, end, marks


# ---------------------------------------------------------------- the core of a sentence


def _core(sentence: str, marks: list[int], room: int, *, claims: bool) -> str:
    """The sentence without what leads up to it, told of "it", and ended between two clauses.

    At most `room` characters; "" where no whole piece of it fits. `marks` are ends of words that
    should be in it. `claims`: whether what is said to be so ("shows that …") may be cut as well.
    """
    begin = opening.end() if (opening := _OPENING.match(sentence)) else 0
    verb = next((m for m in _WE.finditer(sentence[:_HEAD]) if m[2].lower() in _VERBS), None)
    lead = ""
    if verb is not None and not any(mark < verb.start() for mark in marks):
        begin, lead = verb.end(), f"it {verb[1] or ''}{_third(verb[2].lower())}"
    rest = sentence[begin:]
    budget = room - len(lead)
    whole = rest.rstrip().rstrip(".。")
    if len(line(whole)) > budget:
        if not claims and _CLAIM.search(rest[:budget]):
            return ""
        whole = _cut(rest, [mark - begin for mark in marks if mark > begin], budget)
        if not whole:
            return ""
    told = line(
        plain_latex(lead + _told_of_it(whole)) if "\\" in whole else lead + _told_of_it(whole)
    )
    if not lead:
        told = told[:1].upper() + told[1:]
    return told if len(told) <= room else ""


def _cut(text: str, marks: list[int], room: int) -> str:
    """The longest beginning that ends between clauses, outside brackets, quotations and formulas.

    One that has a word sought goes before a longer one that has none.
    """
    if room < _LEAST:
        return ""
    head = text[: room + 1]
    held = _held(text[: room + _HEAD])
    first = min(marks, default=0)
    least = _LEAST
    if _INTRODUCES.match(text):
        commas = (p.start() for p in _AFTER_IT.finditer(head) if not _within(held, p.start()))
        least = max(least, next(commas, room) + _LEAST)
    found: list[tuple[bool, bool, int]] = []
    for firm, border in ((True, _FIRM), (False, _SOFT)):
        for place in border.finditer(head):
            at = place.start()
            if least <= at <= room and not _within(held, at):
                if _OPEN_END.search(head[:at].rstrip()) or _counts_one(head[:at]):
                    continue
                found.append((at >= first, firm and at > room // 3, at))
    return head[: max(found)[2]].rstrip() if found else ""


def _counts_one(text: str) -> bool:
    """Whether a count begins in it of which only the first would be told: "two ways: (i) by …"."""
    return any(one in text and two not in text for one, two in _COUNTS)


def _held(text: str) -> list[tuple[int, int]]:
    """Stretches that are not cut: formulas, brackets, quotations; in order, none in another."""
    spans = [(each.start, each.end) for each in formulas(text)]
    inside = iter([*spans, (len(text), len(text))])
    at, upto = next(inside)
    depth, opened = 0, 0
    quoted = -1
    for place, sign in enumerate(text):
        while place >= upto and upto < len(text):
            at, upto = next(inside)
        if at <= place < upto:
            continue
        if sign == '"':
            if quoted >= 0:
                spans.append((quoted, place + 1))
            quoted = -1 if quoted >= 0 else place
        turn = _BRACKETS.get(sign, 0)
        if turn > 0:
            opened = place if depth == 0 else opened
            depth += 1
        elif turn < 0 and depth > 0:
            depth -= 1
            if depth == 0:
                spans.append((opened, place + 1))
    if depth:
        spans.append((opened, len(text)))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _within(spans: list[tuple[int, int]], at: int) -> bool:
    place = bisect_left(spans, (at, at)) - 1
    return place >= 0 and at < spans[place][1]


def _third(verb: str) -> str:
    """A verb as it goes with "it"."""
    if verb.endswith(("s", "sh", "ch", "x")):
        return f"{verb}es"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies"
    return f"{verb}s"


_FOLLOWS = re.compile(
    r"\b(and|then)\s+((?:also|then|further)\s+)?(" + "|".join(sorted(_VERBS - _IS_NOUN)) + r")\b"
)
_OWN = re.compile(r"\b(?:our|ours|we)\b", re.IGNORECASE)
_OF_IT = {"our": "its", "ours": "its own", "we": "the authors"}


def _told_of_it(text: str) -> str:
    told = _FOLLOWS.sub(lambda m: f"{m[1]} {m[2] or ''}{_third(m[3])}", text)
    return _OWN.sub(_as_its, told)


def _as_its(own: re.Match[str]) -> str:
    instead = _OF_IT[own[0].lower()]
    return instead.capitalize() if own[0][0].isupper() else instead


def _spans(quotation: str, stems: frozenset[str]) -> list[list[int]]:
    """Where words of the criterion stand in a quotation; words side by side are one."""
    spans: list[list[int]] = []
    held = _held(quotation) if "$" in quotation or "\\" in quotation else []
    for word in words.words(quotation):
        if word.stem not in stems or not has_sense(word.stem) or _within(held, word.start):
            continue
        if spans and quotation[spans[-1][1] : word.start] in (" ", "-", "\n"):
            spans[-1][1] = word.end
        else:
            spans.append([word.start, word.end])
    return spans


# ---------------------------------------------------------------- why this topic


def _why(topic: TopicText, paper: PaperText, other: TopicText | None) -> str:
    """Which words of the paper are the topic's, and which are those of the next where it is near."""
    own, name = _fitting(topic), line(topic.name)
    said = _telling(words_said(paper, own))
    if not said:
        return f"{name}: nearest in meaning, though it says none of the words of that topic."
    why = f"{name}: it says {_quoted(said)}"
    if other is not None and other.id != topic.id:
        theirs = _fitting(other)
        spoken = set(words.stems(f"{paper.title} {paper.text}"))
        only = _telling(words_said(paper, theirs - own))
        if only and len(spoken & own) - len(spoken & theirs) <= _NEAR:
            why += f". Next is {line(other.name)}, with {_quoted(only)}"
    return f"{why}."


def _telling(said: list[str]) -> list[str]:
    """Without short words that stand alone: "long" of "long-term memory" says little."""
    return [each for each in said if len(each) >= _SHORT or not each.islower()]


def _fitting(topic: TopicText) -> set[str]:
    stems = words.stems(f"{topic.name} {topic.keep}")
    return {stem for stem in stems if stem not in COMMON_STEMS and has_sense(stem)}


def _quoted(said: list[str]) -> str:
    return listed([f"“{line(each)}”" for each in said])
