"""Whether a paper belongs to a thread, in which role, and what it adds in one line of its own.

The linker's rule ranks threads as if they were concepts (`linking.rank`): a thread's claim and text
are its definition, its members its papers. But a concept is a field and a thread is a claim: most
papers of a field bear on no claim made in it. So the confidence is lowered, less so when a sentence
of the paper speaks of what the claim speaks of. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.domain.linking import Candidate
from app.domain.records import Role
from app.domain.sentences import sentence_spans
from app.domain.threads import day_of
from app.domain.words import STOP, stems, words

FLOOR = 0.5
MOST = 2  # threads of one paper
# By how much the log-odds of a thread are lower than those of a concept, and how much a sentence
# that says all of the claim's words would add. Set by reading proposals (docs/decisions/0018).
LOWER = 3.0
SAID = 4.0
_READ = 60_000  # characters of a text that are looked at
LONGEST = 320  # characters of a quotation


@dataclass(frozen=True)
class ThreadText:
    """A thread as it is compared. `first` is the day of its first dated member, ISO, or ""."""

    id: int
    title: str
    claim: str
    first: str = ""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a paper: `text[start:end]` of its text, what it says of a claim, the words marked.

    `said` is the share of the claim's telling words that stand in it, 0..1.
    """

    text: str
    said: float
    spans: tuple[tuple[int, int], ...]
    line: float  # how well it stands for what the paper adds


@dataclass(frozen=True)
class Membership:
    """That a paper may belong to a thread. `line` is its contribution, in its own words."""

    paper: int
    thread: int
    confidence: float
    role: Role
    line: str
    sentences: tuple[Sentence, ...]
    candidate: Candidate


def membership(
    candidate: Candidate,
    thread: ThreadText,
    *,
    title: str,
    text: str,
    published: str,
) -> Membership:
    """A ranked candidate as a member: what it would do in the thread, and how sure that is."""
    read = tuple(_sentences(text[:_READ], thread))
    best = max((each.said for each in read), default=0.0)
    telling = sorted(read, key=lambda each: -(each.said + 0.4 * each.line))[:1]
    lines = sorted(read, key=lambda each: -(each.line + 0.6 * each.said))[:1]
    odds = _odds(candidate.confidence) - LOWER + SAID * best
    quoted = dict.fromkeys(each for each in (*lines, *telling) if each in lines or each.spans)
    return Membership(
        paper=candidate.paper,
        thread=candidate.concept,
        confidence=1 / (1 + math.exp(-odds)),
        role=role(title, text[:_READ], published=published, first=thread.first),
        line=lines[0].text if lines else title,
        sentences=tuple(quoted),
        candidate=candidate,
    )


def _odds(confidence: float) -> float:
    sure = min(max(confidence, 1e-6), 1 - 1e-6)
    return math.log(sure / (1 - sure))


def best(found: Sequence[Membership], *, limit: int = 10) -> list[tuple[Membership, bool]]:
    """Memberships of one paper, the surest first, at most `limit`; which of them are proposed."""
    ranked = sorted(found, key=lambda each: -each.confidence)[:limit]
    return [(each, place < MOST and each.confidence >= FLOOR) for place, each in enumerate(ranked)]


# ---------------------------------------------------------------- its own words

_ADDS = re.compile(
    r"\b(?:we|this (?:paper|work|study|article)|our (?:\w+ ){0,3}?(?:method|approach|framework|model|system|results?|"
    r"experiments?|analysis|findings?|work|study|evaluations?))\b[^.;]{0,60}?\b(?:propos|introduc|present|develop|show|find|"
    r"demonstrat|prove|reveal|achiev|reduc|improv|outperform|establish|observ|measur|argu|release)\w*",
    re.I,
)
_BEFORE = re.compile(
    r"^(?:large language models|llms|recent|existing|however|while|although|despite|traditional|prior|previous|current)\b",
    re.I,
)
_ASIDE = re.compile(
    r"\b(?:code|github|https?:|publicly|available at|our models)\b|\bto support\b", re.I
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?\s*(?:%|\\%|x\b|×|times|\$\\times)")


def _sentences(text: str, thread: ThreadText) -> Iterator[Sentence]:
    asked = {stem for stem in stems(f"{thread.title} {thread.claim}") if len(stem) > 2}
    for start, end in sentence_spans(text):
        sentence = text[start:end]
        if len(sentence) > LONGEST or len(sentence) < 25:
            continue
        marked = [each for each in words(sentence) if each.stem in asked]
        marked = [each for each in marked if sentence[each.start : each.end].lower() not in STOP]
        line = 0.5 * bool(_ADDS.search(sentence)) + 0.15 * bool(_NUMBER.search(sentence))
        yield Sentence(
            text=sentence,
            said=len({each.stem for each in marked}) / len(asked) if asked else 0.0,
            spans=tuple((each.start, each.end) for each in marked),
            line=line - 0.4 * bool(_BEFORE.search(sentence) or _ASIDE.search(sentence)),
        )


# ---------------------------------------------------------------- its role

_ROLES: tuple[tuple[Role, re.Pattern[str]], ...] = (
    (
        Role.CONTRADICTS,
        re.compile(
            r"\bcontrary to|\b(?:we|our|this|these|results?|findings?|evidence)\b[^.;]{0,40}\b(?:contradict|refut)(?:s|ed|ing)?\b|"
            r"\bchalleng\w+ (?:the|this) (?:\w+ )?(?:assumption|belief|claim|view|notion|premise|wisdom)",
            re.I,
        ),
    ),
    (
        Role.FORMALISES,
        re.compile(
            r"\btheorem|\bwe (?:\w+ )?prove\b|\bprovabl|\b(?:lower|upper) bounds?\b|\btheoretical(?:ly)? "
            r"(?:analy[sz]|show|prove|guarantee|framework|justif)\w*|\bformali[sz]e",
            re.I,
        ),
    ),
)
_MEASURES_TITLE = re.compile(
    r"\bbenchmark|\bevaluat|\bempirical|\bmeasuring|\bcharacteri[sz]|\ba study of|"
    r"\banalysis|\banaly[sz]ing|\bunderstanding|\bhow (?:do|does|much|well|many)|\bcomparative|\?\s*$",
    re.I,
)
_MEASURES = re.compile(
    r"\b(?:we|this paper|this work|this study)\b[^.;]{0,40}?\b(?:benchmark|audit|systematically (?:evaluat|stud|compar)|"
    r"conduct \w+ (?:\w+ )?(?:stud|evaluation|analysis))",
    re.I,
)
_EXTENDS = re.compile(
    r"\b(?:we|this paper|this work)\b[^.;]{0,60}?\b(?:extend|generali[sz]e|build (?:up)?on|improve (?:up)?on)",
    re.I,
)
_APPLIES = re.compile(
    r"\b(?:we|this paper|this work)\b[^.;]{0,60}?\b(?:appl(?:y|ies)|deploy|port)\b|\bcase study\b|"
    r"\breal-world deployment\b",
    re.I,
)


def role(title: str, text: str, *, published: str, first: str) -> Role:
    """What a paper would do in a thread whose first dated member is of the day `first`."""
    day, earliest = day_of(published), day_of(first)
    if day is not None and earliest is not None and day < earliest:
        return Role.STARTS
    for found, pattern in _ROLES:
        if pattern.search(text):
            return found
    if _MEASURES_TITLE.search(title) or _MEASURES.search(text):
        return Role.MEASURES
    if _EXTENDS.search(text):
        return Role.EXTENDS
    return Role.APPLIES if _APPLIES.search(text) else Role.SUPPORTS


_WOULD = {
    Role.STARTS: "start",
    Role.SUPPORTS: "support",
    Role.EXTENDS: "extend",
    Role.CONTRADICTS: "speak against",
    Role.FORMALISES: "formalise",
    Role.MEASURES: "measure",
    Role.APPLIES: "apply",
}


def reason(found: Membership, members: Sequence[str]) -> str:
    """One plain line; `members` are titles of the members it is most like, the nearest first."""
    nearest = " and ".join(f"“{title}”" for title in members[:2])
    like = f"It reads like {nearest}" if nearest else "It speaks of what the claim speaks of"
    if found.role == Role.STARTS:
        return f"{like}; it came out before every dated member, so it would start the thread."
    return f"{like}; it would {_WOULD[found.role]} the claim."
