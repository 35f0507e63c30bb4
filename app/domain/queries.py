"""What a person typed into the search field, as words, phrases, exclusions and filters.

Pure and total: any string has a reading. It knows nothing of the engine that looks the words up,
and joining two rankings into one (reciprocal-rank fusion) lives here too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.identifiers import clean_date, is_slug
from app.domain.records import KINDS, PageKind

MAX_LENGTH = 500
MAX_TERMS = 32
MAX_TOPIC = 200

# An optional minus, an optional operator, then a quoted run (its end may be missing) or a bare one.
_PART = re.compile(r'(?:(-?)(?:([a-zA-Z]+):)?"([^"]*)(?:"|$))|(\S+)')
_YEARS = re.compile(r"([12][0-9]{3})?(?:(\.\.)([12][0-9]{3})?)?")
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})
# Marks that turn the writing direction: invisible, and never part of a word.
_DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Filters:
    """What a page has to be, whatever its words.

    `thread`, `tag` and `topic` are a slug, a tag's name and a topic's id, "" for any. `since` and
    `until` are ISO dates, possibly only a year or a month, both included; "" leaves that side open.
    """

    kind: PageKind | None = None
    thread: str = ""
    since: str = ""
    until: str = ""
    tag: str = ""
    topic: str = ""

    def __bool__(self) -> bool:
        return bool(self.kind or self.thread or self.since or self.until or self.tag or self.topic)


class Field(StrEnum):
    """A part of a page's searchable text. The names are aliases, authors and identifiers."""

    TITLE = "title"
    NAMES = "names"


@dataclass(frozen=True)
class InField:
    """A word or phrase that has to stand in one field, or must not stand there."""

    field: Field
    text: str
    excluded: bool = False


@dataclass(frozen=True)
class Query:
    """A query as it is to be understood.

    `words` are in the order typed, each once, and may hold signs ("c++", "k-nn"); `phrases` have
    to stand in the page just so; `excluded` words and phrases must not stand in it; `fields` say
    what has to stand, or must not, in the title or among the names.
    """

    words: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    fields: tuple[InField, ...] = ()
    filters: Filters = field(default_factory=Filters)

    @property
    def plain(self) -> str:
        """What is asked, in plain words: the text whose meaning is looked for."""
        titles = (each.text for each in self.required if each.field is Field.TITLE)
        return " ".join((*self.words, *self.phrases, *titles))

    @property
    def required(self) -> tuple[InField, ...]:
        """What has to stand in a field."""
        return tuple(each for each in self.fields if not each.excluded)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is looked for by words: no text, or filters and exclusions alone."""
        return not (self.words or self.phrases or self.required)

    @property
    def excludes(self) -> bool:
        """Whether there is anything that must not stand in a page."""
        return bool(self.excluded or any(each.excluded for each in self.fields))

    @property
    def binds(self) -> bool:
        """Whether anything has to hold besides the words: a phrase, a field, an exclusion."""
        return bool(self.phrases or self.fields or self.excluded)


def clean(text: str) -> str:
    """The text without what no name holds (control and direction marks, halves of characters)."""
    cut = text[: MAX_LENGTH * 4]
    return " ".join(_UNPRINTABLE.sub(" ", _DIRECTION.sub("", cut)).split())[:MAX_LENGTH]


def parse_query(text: str) -> Query:
    """Read `kind:paper year:2024..2026 title:cache "exact words" -not` and plain words.

    Operators are kind, thread, topic, tag, year, since and until; title, and author or names. One
    that nobody knows, or whose value makes no sense, is a plain word; of a filter given twice the
    last counts. Only the first 500 characters and 32 words are read.
    """
    words: list[str] = []
    phrases: list[str] = []
    excluded: list[str] = []
    fields: dict[InField, None] = {}
    asked: dict[str, str] = {}
    for match in list(_PART.finditer(clean(text).translate(_QUOTES)))[:MAX_TERMS]:
        minus, operator, quoted, bare = match.groups()
        if bare is not None:
            minus, operator, value = _split(bare)
        else:
            operator, value = operator or "", " ".join(quoted.split())
        name = operator.lower()
        if name in _FIELDS and has_letters(value):
            fields[InField(_FIELDS[name], value, excluded=bool(minus))] = None
            continue
        if not minus and (filters := _filter(name, value)):
            asked |= filters
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
    return Query(_once(words), _once(phrases), _once(excluded), tuple(fields), _filters(asked))


_FIELDS = {"title": Field.TITLE, "author": Field.NAMES, "names": Field.NAMES}


def _split(bare: str) -> tuple[str, str, str]:
    minus = "-" if len(bare) > 1 and bare[0] == "-" and bare[1] != "-" else ""
    rest = bare[len(minus) :]
    operator, colon, value = rest.partition(":")
    if colon and operator.isascii() and operator.isalpha():
        return minus, operator, value
    return minus, "", rest


def _filter(operator: str, value: str) -> dict[str, str]:
    """What the operator asks of pages, by the filter's name; empty when it makes no sense."""
    match operator:
        case "kind" if value.lower() in {kind.value for kind in KINDS}:
            return {"kind": value.lower()}
        case "thread" if is_slug(value.lower()):
            return {"thread": value.lower()}
        case "tag" if value.lstrip("#"):
            return {"tag": value.lstrip("#").lower()}
        case "topic" if has_letters(value):
            return {"topic": value[:MAX_TOPIC]}
        case "year" if value and (years := _YEARS.fullmatch(value)) and any(years.group(1, 3)):
            first, dots, last = years.groups(default="")
            if first and last and first > last:
                first, last = last, first
            return {"since": first, "until": last if dots else first}
        case "since" | "until" if date := clean_date(value):
            return {operator: date}
        case _:
            return {}


def _filters(asked: dict[str, str]) -> Filters:
    kind = asked.pop("kind", "")
    return Filters(kind=PageKind(kind) if kind else None, **asked)


def _once(terms: Sequence[str]) -> tuple[str, ...]:
    kept: dict[str, str] = {}
    for term in terms:
        kept.setdefault(term.casefold(), term)
    return tuple(kept.values())


def has_letters(text: str) -> bool:
    """Whether there is anything in the text that a word index knows: a letter or a digit."""
    return any(character.isalnum() for character in text)


# Scripts that put no space between words: Thai to Myanmar, Khmer, kana, Chinese, Yi, Hangul.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua000-\ua4cf\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)


def unspaced(text: str) -> bool:
    """Whether part of the text is in a script in which words are not told apart by spaces."""
    return _UNSPACED.search(text) is not None


class _Folding(dict[int, str | None]):
    """What becomes of each character, found out when it is first met."""

    def __missing__(self, code: int) -> str | None:
        folded = self[code] = _folded(chr(code))
        return folded


# The combining marks that SQLite's unicode61 takes off a letter; it breaks a word at all others.
_TAKEN_OFF = frozenset(chr(768 + bit) for bit in range(50) if (0x000361F8_08029FDF >> bit) & 1)


def _folded(character: str) -> str | None:
    """The character as the word index knows it: "" (None) for a mark, a blank where words part."""
    if character in _TAKEN_OFF:
        return None
    category = unicodedata.category(character)
    if category[0] not in "LN" and category not in ("Co", "Cn"):
        return " "
    base, *marks = list(unicodedata.normalize("NFD", character))
    if marks and base.isascii() and all(map(unicodedata.combining, marks)):
        return base.lower()
    return next((c for c in (character.casefold(), character.lower()) if len(c) == 1), character)


_FOLDING = _Folding()


def index_words(text: str) -> list[str]:
    """The words of a text as a word index holds them: small letters without accents, in order.

    Words are runs of letters and digits. It is the rule of SQLite's unicode61 with
    remove_diacritics=2, so that both engines find the same.
    """
    return text.translate(_FOLDING).split()


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
