"""The extracted summary of a paper: two to five sentences of its abstract, each with its role.

Problem, approach, results, limits, code: sentences are chosen by what they say and where they stand,
and taken as they are. Nothing is added and nothing cut, so that it can be no claim of ours. Pure.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from app.domain import words
from app.domain.evidence import BACKGROUND, POINTS, PROPOSES
from app.domain.latex import formulas
from app.domain.sentences import after_mark, sentence_spans
from app.domain.untrusted import line

AUTHOR = "extract@2"  # and its version: raised when other sentences would be chosen
MOST = 5  # sentences
_LEAST = 20  # characters of a sentence
_READ = 20_000  # characters of an abstract that are looked at
_HEAD = 2_000  # characters of a sentence that say what kind of sentence it is
_RESULTS = 2


class Role(StrEnum):
    """What a sentence of an abstract does; the value is the word before it on the page."""

    PROBLEM = "Problem"
    APPROACH = "What it does"
    RESULT = "Result"
    LIMITS = "Limits"
    CODE = "Code"


@dataclass(frozen=True)
class Extracted:
    """A sentence of the abstract: `abstract[start:end]` is `text`."""

    role: Role
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Summary:
    """Sentences in the order in which they stand in the abstract; at least one."""

    sentences: tuple[Extracted, ...]


_PROBLEM = re.compile(
    r"\b(?:however|challeng\w{0,5}|suffer\w{0,3}|lack\w{0,3}|bottlenecks?|struggl\w{1,3}|fails?|costly|"
    r"expensive|unclear|difficult\w{0,2}|hard to|overlook\w{0,3}|ignor\w{1,4}|limit(?:s|ed|ing|ation|ations)?|"
    r"under-?explored|inefficien\w{1,4}|prohibitive\w{0,2}|insufficient|unreliable|gap|remains?|yet|but)\b",
    re.I,
)
_MAKES = re.compile(
    r"\b(?:propos|introduc|present|develop|design|formali[sz]|devis|describ|offer|build)\w{0,3}\b",
    re.I,
)
_TAKES_UP = re.compile(
    r"\bwe (?:consider|revisit|ask|tackle|extend|establish|derive|prove)\b", re.I
)
_RESULT = re.compile(
    r"\b(?:outperform\w{0,3}|achiev\w{1,3}|surpass\w{0,3}|improv\w{1,5}|reduc\w{1,5}|speed-?ups?|faster|"
    r"state-of-the-art|experiments?|results?|evaluat\w{1,4}|empirical\w{0,2}|demonstrat\w{1,4}|show\w{0,2}|"
    r"find\w{0,3}|accuracy|benchmarks?|gains?|match\w{0,3}|prove[sd]?|yield\w{0,3})\b",
    re.I,
)
_NUMBER = re.compile(
    r"\d(?:[\d.,]*\d)?\s{0,2}(?:\\?%|\\times|\$?\\times|×|x\b|percent|points?\b|fold\b|-fold|pp\b|ms\b|hours?\b)"
    r"|\b\d[\d.,]*\b",
    re.I,
)
_SHARE = re.compile(r"\d\s{0,2}(?:\\?%|\$?\s?\\times|×|x\b|percent|-?fold)", re.I)
_LIMITS = re.compile(
    r"\b(?:limitations? (?:of (?:our|this|the (?:method|approach|study))|remain|include)|"
    r"we (?:caution|leave|note that|acknowledge|do not)|future (?:work|research)|"
    r"our (?:method|approach|analysis|results?|findings?|study|guarantees?) (?:does not|do not|is limited|"
    r"are limited|only|assumes?|relies|rely|remains?)|"
    r"remains? (?:an )?(?:open|unsolved)|(?:holds?|works?) only (?:when|if|for))\b",
    re.I,
)


@dataclass(frozen=True)
class _Sentence:
    place: int
    start: int
    end: int
    text: str
    head: str
    ends: bool  # in a full stop or the like: the last one of a cut abstract does not


def extract(title: str, abstract: str) -> Summary | None:
    """The sentences of an abstract that tell what a paper does; None for an abstract without any."""
    every = list(_sentences(abstract[:_READ]))
    whole = [each for each in every if each.ends] or every[:1]
    if not whole:
        return None
    told = [each for each in whole if not POINTS.search(each.head)] or whole
    approach = _approach(title, told)
    chosen = {approach.place: Role.APPROACH}
    problem = _best(
        (each for each in told if each.place < approach.place and _is_problem(each)),
        lambda each: (
            2 * (_PROBLEM.search(each.head) is not None)
            + (BACKGROUND.match(each.head) is not None)
            + each.place / len(every)
        ),
    )
    if problem is not None:
        chosen[problem.place] = Role.PROBLEM
    later = [each for each in told if each.place > approach.place]
    limits = _best(
        (each for each in later if _LIMITS.search(each.head)), lambda each: float(each.place)
    )
    if limits is not None:
        chosen[limits.place] = Role.LIMITS
    code = next((each for each in whole if POINTS.search(each.head) and each not in told), None)
    if code is not None:
        chosen[code.place] = Role.CODE
    for result in _results([each for each in later if each.place not in chosen]):
        if len(chosen) < MOST:
            chosen[result.place] = Role.RESULT
    following = next((each for each in later if each.place not in chosen), None)
    if following is not None and len(chosen) < MOST and following.place == approach.place + 1:
        chosen[following.place] = Role.APPROACH
    return Summary(
        tuple(
            Extracted(chosen[each.place], each.text, each.start, each.end)
            for each in every
            if each.place in chosen
        )
    )


def _sentences(text: str) -> Iterable[_Sentence]:
    """The sentences of an abstract, without marks of lists before them, each once."""
    seen = set[str]()
    spans = sentence_spans(text)
    for place, (start, end) in enumerate(spans):
        start = after_mark(text, start, end)
        said = text[start:end]
        key = " ".join(said.split()).casefold()
        if not key or key in seen or (len(key) < _LEAST and len(spans) > 1):
            continue
        seen.add(key)
        ends = said[-1] in '.!?。！？)"”»'
        yield _Sentence(place, start, end, said, said[:_HEAD], ends)


def _approach(title: str, told: list[_Sentence]) -> _Sentence:
    """The sentence in which the paper says what it does, else the one that is most like its title."""
    named = set(words.stems(title))
    called = title.partition(":")[0].strip() if ":" in title else ""

    def worth(each: _Sentence) -> float:
        like = len(named & set(words.stems(each.head))) / (len(named) or 1)
        proposes = PROPOSES.search(each.head) or _TAKES_UP.search(each.head)
        makes = proposes and _MAKES.search(each.head, proposes.start(), proposes.end() + 40)
        tells = BACKGROUND.match(each.head) is not None
        is_one = bool(called) and each.head.startswith((f"{called} is ", f"{called} are "))
        return like + 1.5 * (proposes is not None or is_one) + bool(makes) - 0.5 * tells

    best = _best(told, worth)
    assert best is not None
    return best


def _is_problem(each: _Sentence) -> bool:
    told = _PROBLEM.search(each.head) or BACKGROUND.match(each.head)
    return told is not None or each.place == 0


def tells_a_problem(text: str) -> bool:
    """Whether a sentence says what is wrong or missing."""
    return _PROBLEM.search(text[:_HEAD]) is not None


def _results(later: list[_Sentence]) -> list[_Sentence]:
    """The sentences that say what came of it, those with numbers first; two at most."""

    def worth(each: _Sentence) -> float:
        numbers = min(3, sum(1 for _ in _NUMBER.finditer(each.head)))
        shares = _SHARE.search(each.head) is not None
        return (_RESULT.search(each.head) is not None) + 0.5 * numbers + 1.5 * shares

    found = [each for each in later if worth(each) >= 1]
    found.sort(key=lambda each: (-worth(each), each.place))
    return [each for n, each in enumerate(found[:_RESULTS]) if n == 0 or worth(each) >= 1.5]


def _best(found: Iterable[_Sentence], worth: Callable[[_Sentence], float]) -> _Sentence | None:
    """The one that is worth most, of several the first."""
    return max(found, key=lambda each: (worth(each), -each.place), default=None)


# ---------------------------------------------------------------- on a page


MARK = "*Extracted from the abstract, word for word.*"
_ADDRESS = re.compile(r"https?://[^\s<>\[\]`\"|\\^{}*~]{1,1990}+", re.I)
_SIGNS = re.compile(
    r"[`*~\[\]<|]|\{(?=\{)|(?<![^\W_])_|_(?![^\W_])|\\(?=[!-/:-@\[-`{-~])|&(?=#?\w{1,32};)"
)


def as_markdown(summary: Summary) -> str:
    """The summary as the text of a page: the line that says what it is, then sentence by sentence.

    Signs that mean something in Markdown mean themselves; formulas stay formulas.
    """
    parts = [MARK]
    for each in summary.sentences:
        parts.append(f"**{each.role.value}.** {literal(line(each.text))}")
    return "\n\n".join(parts) + "\n"


def literal(text: str) -> str:
    """Plain text on one line as Markdown: its signs mean themselves, formulas stay formulas."""
    kept = sorted(
        [(each.start, each.end) for each in formulas(text)]
        + [found.span() for found in _ADDRESS.finditer(text)]
    )
    starts = [start for start, _ in kept]

    def escaped(sign: re.Match[str]) -> str:
        place = bisect_left(starts, sign.start() + 1) - 1
        if place >= 0 and sign.start() < kept[place][1]:
            return sign[0]
        return f"\\{sign[0]}"

    return _SIGNS.sub(escaped, text)
