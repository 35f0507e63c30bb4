"""What a person typed into the search field, as words, phrases, exclusions and filters.

Pure and total: any string has a reading. It knows nothing of the engine that looks the words up,
and joining two rankings into one (reciprocal-rank fusion) lives here too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain.identifiers import is_slug
from app.domain.records import PageKind

MAX_LENGTH = 500
MAX_TERMS = 32

# An optional minus, an optional operator, then a quoted run (its end may be missing) or a bare one.
_PART = re.compile(r'(?:(-?)(?:([a-zA-Z]+):)?"([^"]*)(?:"|$))|(\S+)')
_YEAR = re.compile(r"[12]\d{3}")
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})
# Marks that turn the writing direction: invisible, and never part of a word.
_DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Filters:
    """What a page has to be, whatever its words.

    `thread` and `tag` are a slug and a tag's name, "" for any. `since` and `until` are ISO dates,
    possibly only a year or a month, both included; "" leaves that side open.
    """

    kind: PageKind | None = None
    thread: str = ""
    since: str = ""
    until: str = ""
    tag: str = ""

    def __bool__(self) -> bool:
        return bool(self.kind or self.thread or self.since or self.until or self.tag)


@dataclass(frozen=True)
class Query:
    """A query as it is to be understood.

    `words` are in the order typed, each once, and may hold signs ("c++", "k-nn"); `phrases` have
    to stand in the page just so; `excluded` words and phrases must not stand in it.
    """

    words: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    filters: Filters = field(default_factory=Filters)

    @property
    def plain(self) -> str:
        """What is asked, in plain words: the text whose meaning is looked for."""
        return " ".join((*self.words, *self.phrases))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is looked for by words: no text, or filters and exclusions alone."""
        return not self.words and not self.phrases


def clean(text: str) -> str:
    """The text without what no name holds (control and direction marks, halves of characters)."""
    cut = text[: MAX_LENGTH * 4]
    return " ".join(_UNPRINTABLE.sub(" ", _DIRECTION.sub("", cut)).split())[:MAX_LENGTH]


def parse_query(text: str) -> Query:
    """Read `kind:paper thread:slug year:2026 tag:x "exact words" -not` and plain words.

    An operator nobody knows, or one whose value makes no sense, is a plain word; of an operator
    given twice the last counts. Only the first 500 characters and 32 words are read.
    """
    words: list[str] = []
    phrases: list[str] = []
    excluded: list[str] = []
    asked: dict[str, str] = {}
    for match in list(_PART.finditer(clean(text).translate(_QUOTES)))[:MAX_TERMS]:
        minus, operator, quoted, bare = match.groups()
        if bare is not None:
            minus, operator, value = _split(bare)
        else:
            operator, value = operator or "", " ".join(quoted.split())
        if operator and not minus and _makes_sense(operator.lower(), value):
            asked[operator.lower()] = value
            continue
        if operator:
            value = f"{operator}:{value}"
        if minus and has_letters(value):
            excluded.append(value)
        elif bare is None and not operator and has_letters(value):
            phrases.append(value)
        elif bare is not None:
            words.append(bare)
        elif value:
            words.append(value)
    return Query(_once(words), _once(phrases), _once(excluded), _filters(asked))


def _split(bare: str) -> tuple[str, str, str]:
    minus = "-" if len(bare) > 1 and bare[0] == "-" and bare[1] != "-" else ""
    rest = bare[len(minus) :]
    operator, colon, value = rest.partition(":")
    if colon and operator.isascii() and operator.isalpha():
        return minus, operator, value
    return minus, "", rest


def _makes_sense(operator: str, value: str) -> bool:
    match operator:
        case "kind":
            return value.lower() in {kind.value for kind in PageKind}
        case "year":
            return _YEAR.fullmatch(value) is not None
        case "thread":
            return is_slug(value.lower())
        case "tag":
            return bool(value.lstrip("#"))
        case _:
            return False


def _filters(asked: dict[str, str]) -> Filters:
    kind = asked.get("kind", "").lower()
    year = asked.get("year", "")
    return Filters(
        kind=PageKind(kind) if kind else None,
        thread=asked.get("thread", "").lower(),
        since=year,
        until=year,
        tag=asked.get("tag", "").lstrip("#").lower(),
    )


def _once(terms: Sequence[str]) -> tuple[str, ...]:
    kept: dict[str, str] = {}
    for term in terms:
        kept.setdefault(term.casefold(), term)
    return tuple(kept.values())


def has_letters(text: str) -> bool:
    """Whether there is anything in the text that a word index knows: a letter or a digit."""
    return any(character.isalnum() for character in text)


def fused_scores(*ranked: Sequence[int], k: int = 60) -> dict[int, float]:
    """Reciprocal ranks of several rankings added up: each gives 1 / (k + place), from place 1."""
    scores: dict[int, float] = {}
    for ranking in ranked:
        for place, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + 1 / (k + place)
    return scores


def fuse(*ranked: Sequence[int], k: int = 60) -> list[int]:
    """One ranking of several: what stands high in two lists comes before what does in one.

    Ties keep the order in which the lists named them.
    """
    scores = fused_scores(*ranked, k=k)
    return sorted(scores, key=lambda item: -scores[item])
