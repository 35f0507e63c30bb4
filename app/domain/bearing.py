"""Whether a sentence of a paper bears on a short text of an earlier page: a question, a prediction.

The rule asks for words first: the rare words of what was asked, in one sentence in which the paper
says what it found, and in the paper around it. Meaning, where there are vectors, raises or lowers
how sure that is. Pure.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.domain.sentences import after_mark, sentence_spans
from app.domain.words import STOP, Word, stems, words

FLOOR = 0.5
MOST = 3  # of one paper
LONGEST = 400  # characters of a quotation
_READ = 60_000  # characters of a text that are looked at
_FEWEST = 3  # telling words of what was asked that the paper has to say
_FEWEST_SAID = 2  # of them in one sentence
_LIKELY = 0.45  # share of what was asked that a paper has to say to be looked at
# The log-odds: set by reading what came of seven days (docs/decisions/0028).
_BASE, _SAID, _AROUND, _NEAR, _USUAL = -7.5, 6.0, 5.0, 8.0, 0.35

_GENERIC = frozenset(
    stem
    for text in [
        "paper",
        "work",
        "model",
        "method",
        "approach",
        "result",
        "show",
        "study",
        "research",
        "question",
        "answer",
        "problem",
        "use",
        "does",
        "make",
        "need",
        "find",
        "new",
        "way",
        "case",
        "time",
        "way",
        "work",
        "open",
        "first",
        "one",
        "two",
        "three",
        "good",
        "better",
        "best",
        "large",
        "small",
        "high",
        "low",
        "different",
        "given",
        "effect",
        "test",
        "real",
        "full",
        "set",
        "point",
        "level",
        "kind",
        "part",
        "whether",
        "evidence",
        "compare",
        "measure",
        "change",
        "still",
        "also",
        "without",
        "enough",
        "already",
        "hold",
        "true",
    ]
    for stem in stems(text)
)

FOUND = re.compile(
    r"\b(?:we|our|this (?:paper|work|study|approach|method)|these|(?:the )?(?:results?|experiments?|"
    r"evaluations?|analys[ei]s|findings?))\b[^.;]{0,80}?\b(?:show|find|found|demonstrat|prov|reveal|"
    r"achiev|reduc|improv|outperform|establish|observ|measur|report|obtain|deriv|introduc|propos|"
    r"present|develop|identif|yield|confirm|indicat|suggest|enabl|releas|discover|resolv|settl)\w*"
    r"|\b(?:outperform|achiev|reduc|improv|surpass|match|exceed|increas|lower|rais)\w*\b[^.;]{0,80}?\d"
    r"|\d(?:\.\d+)?\s*(?:%|\\%|x\b|×|times)",
    re.I,
)
_BACKGROUND = re.compile(
    r"^(?:large language models|llms|recent|existing|however|while|although|despite|traditional|"
    r"prior|previous|current|many|most)\b",
    re.I,
)


@dataclass(frozen=True)
class Asked:
    """What may be borne on: its text, the page that has it, and from which day on (ISO or "")."""

    id: int
    page: int
    text: str
    day: str = ""


@dataclass(frozen=True)
class Read:
    """A paper as it is read; `day` is when it came, else when it came out (ISO or "")."""

    page: int
    title: str
    text: str
    day: str = ""


@dataclass(frozen=True)
class Bearing:
    """That a paper bears on something asked: by which sentence, word for word, and how surely.

    `spans` mark the shared words in the sentence, `words` are these as the sentence writes them.
    `said` and `around` are the shares of what was asked that the sentence and the paper say, 0..1.
    """

    paper: int
    asked: int
    confidence: float
    sentence: str
    spans: tuple[tuple[int, int], ...]
    words: tuple[str, ...]
    said: float
    around: float
    near: float | None


def telling(text: str) -> tuple[str, ...]:
    """The stems of a text that tell what it is about, each once."""
    return tuple(
        dict.fromkeys(each for each in stems(text) if len(each) > 2 and each not in _GENERIC)
    )


class Board:
    """What is asked, with an index of its words. `rarity` gives what a stem weighs, more than 0."""

    def __init__(self, asked: Iterable[Asked], rarity: Callable[[str], float]) -> None:
        self.asked: dict[int, Asked] = {}
        self._weights: dict[int, dict[str, float]] = {}
        self._totals: dict[int, float] = {}
        self._by_stem: dict[str, list[int]] = defaultdict(list)
        for each in asked:
            weights = {stem: rarity(stem) for stem in telling(each.text)}
            if len(weights) < _FEWEST:
                continue
            self.asked[each.id] = each
            self._weights[each.id] = weights
            self._totals[each.id] = sum(weights.values())
            for stem in weights:
                self._by_stem[stem].append(each.id)

    def bearings(
        self, paper: Read, near: Callable[[int, int], float | None] = lambda page, asked: None
    ) -> list[Bearing]:
        """What a paper bears on, the surest first: what an earlier page asked, and few of them.

        `near` gives how near paper and asked are in meaning, a cosine, None where nobody knows.
        """
        text = paper.text[:_READ]
        said = {each.stem for each in words(f"{paper.title}\n{text}")}
        mass: dict[int, float] = defaultdict(float)
        hits: dict[int, int] = defaultdict(int)
        for stem in said:
            for one in self._by_stem.get(stem, ()):
                mass[one] += self._weights[one][stem]
                hits[one] += 1
        likely = [
            one
            for one, sum_ in mass.items()
            if hits[one] >= _FEWEST
            and sum_ >= _LIKELY * self._totals[one]
            and self._is_earlier(one, paper)
        ]
        if not likely:
            return []
        read = list(_findings(text))
        found = []
        for one in likely:
            best = self._best(one, read)
            if best is not None:
                found.append(self._judged(one, paper, best, mass[one], near(paper.page, one)))
        found.sort(key=lambda each: (-each.confidence, each.asked))
        return found[:10]

    def _is_earlier(self, one: int, paper: Read) -> bool:
        """Asked by another page, and before the paper came. Of an unknown day nobody can say so."""
        each = self.asked[one]
        if each.page == paper.page or not each.day or not paper.day:
            return False
        return each.day < paper.day[: len(each.day)]

    def _best(
        self, one: int, read: Sequence[tuple[str, tuple[Word, ...]]]
    ) -> tuple[float, str, tuple[Word, ...]] | None:
        """The sentence that says the most of it."""
        weights = self._weights[one]
        best: tuple[float, str, tuple[Word, ...]] | None = None
        for sentence, its_words in read:
            marked = tuple(
                each
                for each in its_words
                if each.stem in weights and sentence[each.start : each.end].lower() not in STOP
            )
            stems_said = {each.stem for each in marked}
            if len(stems_said) < _FEWEST_SAID:
                continue
            share = sum(weights[stem] for stem in stems_said) / self._totals[one]
            if best is None or share > best[0]:
                best = share, sentence, marked
        return best

    def _judged(
        self,
        one: int,
        paper: Read,
        best: tuple[float, str, tuple[Word, ...]],
        mass: float,
        near: float | None,
    ) -> Bearing:
        said, sentence, marked = best
        around = mass / self._totals[one]
        odds = _BASE + _SAID * said + _AROUND * around
        if near is not None:
            odds += _NEAR * (near - _USUAL)
        return Bearing(
            paper=paper.page,
            asked=one,
            confidence=1 / (1 + math.exp(-odds)),
            sentence=sentence,
            spans=tuple((each.start, each.end) for each in marked),
            words=tuple(dict.fromkeys(sentence[each.start : each.end].lower() for each in marked)),
            said=said,
            around=around,
            near=near,
        )


def _findings(text: str) -> Iterator[tuple[str, tuple[Word, ...]]]:
    """The sentences in which a paper says what it did or found, with their words."""
    for start, end in sentence_spans(text):
        start = after_mark(text, start, end)
        sentence = text[start:end]
        if not 30 <= len(sentence) <= LONGEST or sentence.rstrip("\"'”’)").endswith("?"):
            continue
        if FOUND.search(sentence) and not _BACKGROUND.match(sentence):
            yield sentence, tuple(words(sentence))


def best(found: Sequence[Bearing]) -> list[Bearing]:
    """Those of one paper that are sure enough to be shown, at most three, the surest first."""
    return [each for each in found if each.confidence >= FLOOR][:MOST]


def rarity_of(counts: Mapping[str, int], papers: int) -> Callable[[str], float]:
    """What a stem weighs where `counts` says in how many of the papers it stands: rare ones more."""

    def weight(stem: str) -> float:
        return 0.3 + math.log((1 + papers) / (1 + counts.get(stem, 0)))

    return weight
