"""What the description of an episode tells: what it covers, how it was made, takeaways, chapters, readings.

A saved page has all of it on one line, a feed has it as HTML: the parts are found by their own words,
not by line breaks. Dates are in the language of the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import NamedTuple

from anyascii import anyascii

from app.domain.identifiers import PaperId, parse_url
from app.domain.items import (
    Arrival,
    Chapter,
    LinkArrival,
    MentionArrival,
    PageArrival,
    PaperArrival,
    Ref,
    Rejected,
)
from app.domain.records import PageKind, Relation

_MORE = re.compile(
    r"\s*(?:…|\.\.\.)?\s?(?:ver más|mostrar más|ver mais|show more|read more|voir plus"
    r"|lire la suite|mehr anzeigen|mehr lesen|mostra altro|leggi tutto)\s*",
    re.IGNORECASE,
)
SECTION = re.compile(
    r"(?:^|(?<=\s))(KEY TAKEAWAYS|TAKEAWAYS|CHAPTERS|TIMESTAMPS|RECOMMENDED READING|FURTHER READING)"
    r"(?=\s|:|$):?"
)
_SECTION_LINE = re.compile(
    r"^(key takeaways|takeaways|chapters|timestamps|recommended reading|further reading):?[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_BULLET = re.compile(r"(?:^|\s)[*•]\s+|\n[ \t]*[-–][ \t]+|\n(?=[ \t]*[(\[]?\d{1,3}:\d{2})")
_FIRST_STAMP = re.compile(r"(?:^|\n)[ \t]*(?:[*•][ \t]*)?[(\[]?\d{1,3}:\d{2}\b")
_STAMP = re.compile(r"[(\[]?((?:\d{1,2}:)?\d{1,3}:[0-5]\d)[)\]]?\s*(?:[—–-]+\s*)?(\S.*)", re.DOTALL)
_LINKED = re.compile(
    r"(.{1,500}?)\s?[\[(<](https?://[^\s\])>]{1,2000})[\])>]\s*(?:[—–:-]+\s*)?(.*)", re.DOTALL
)
_UNLINKED = re.compile(r"([^—–]{3,300})\s[—–]\s(.+)", re.DOTALL)
_NEAR = 5_000  # how far into a description its source is looked for
_SOURCE = re.compile(
    r"(?:^|(?<=\s))Source:\s?(.{0,500}?)\s?[\[(<]?(https?://[^\s\])>]{1,2000})[\])>]?", re.DOTALL
)
_PUBLISHED = re.compile(r"\bPaper (?:was )?published on ", re.IGNORECASE)
GENERATED = re.compile(
    r"\b(?:This|The) (?:episode|podcast|show) (?:was|is) (?:entirely )?AI[- ]generated",
    re.IGNORECASE,
)
_DISCLOSES = re.compile(
    r"\b(?:script|host voices|voices? (?:was|were|are)|synthesi[sz]ed|affiliated|AI[- ]generated)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?][\"'”’)]?\s+(?=[\"'“‘(¿¡]?[^\W_a-z])")
_PAPER_HOSTS = re.compile(
    r"(?:.+\.)?(?:openreview\.net|aclanthology\.org|aclweb\.org|jmlr\.org|mlr\.press|nips\.cc"
    r"|neurips\.cc|biorxiv\.org|medrxiv\.org|dl\.acm\.org|ieeexplore\.ieee\.org|semanticscholar\.org"
    r"|thecvf\.com|ijcai\.org|eprint\.iacr\.org|ssrn\.com)"
)


# ---------------------------------------------------------------- one description


class Work(NamedTuple):
    """Something the episode points to: its title, address ('' for none) and why."""

    title: str
    address: str
    reason: str


@dataclass(frozen=True)
class Told:
    """What a description holds, in its parts."""

    about: str = ""
    disclosure: str = ""
    generated: date | None = None
    source: Work | None = None
    source_published: str = ""
    takeaways: tuple[str, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    readings: tuple[Work, ...] = ()
    unread: tuple[str, ...] = ()


def described(text: str, title: str) -> Told:
    text = _MORE.sub("", text) if len(text) < 30 else _without_more(text)
    for shape in (title, title.upper()):
        if text[: len(shape)].casefold() == shape.casefold():
            text = text[len(shape) :].strip()
            break
    intro, sections = _sections(text)
    takeaways: list[str] = []
    chapters: list[str] = []
    readings: list[Work] = []
    unread: list[str] = []
    for name, content in sections:
        for item in _items(content):
            if "READING" in name:
                work = _reading(item)
                (readings.append(work) if work else unread.append(item))
            elif _STAMP.match(item):
                chapters.append(item)
            elif chapters:
                chapters[-1] += f" * {item}"  # a bullet inside a chapter's text
            else:
                takeaways.append(" ".join(item.split()))
    return _with_intro(
        intro,
        Told(
            takeaways=tuple(takeaways),
            chapters=tuple(_chapter(text) for text in chapters),
            readings=tuple(readings),
            unread=tuple(unread),
        ),
    )


def _without_more(text: str) -> str:
    tail = _MORE.search(text, len(text) - 30)
    return text[: tail.start()] if tail and tail.end() == len(text) else text


def _sections(text: str) -> tuple[str, list[tuple[str, str]]]:
    """What stands before the first heading, and each heading with what stands under it."""
    heads = sorted(
        {
            match.start(): match
            for shape in (SECTION, _SECTION_LINE)
            for match in shape.finditer(text)
        }.items()
    )
    if heads:
        ends = [*(start for start, _ in heads[1:]), len(text)]
        sections = zip(heads, ends, strict=True)
        return text[: heads[0][0]], [
            (h[1].upper(), text[h.end() : end]) for (_, h), end in sections
        ]
    if stamp := _FIRST_STAMP.search(text):
        return text[: stamp.start()], [("CHAPTERS", text[stamp.start() :])]
    return text, []


def _items(content: str) -> list[str]:
    return [item.strip() for item in _BULLET.split(content) if item and item.strip()]


def _reading(item: str) -> Work | None:
    if match := _LINKED.fullmatch(item):
        return Work(_spaced(match[1]).strip("\"'“”"), match[2].rstrip(".,;"), _spaced(match[3]))
    if match := _UNLINKED.fullmatch(item):
        return Work(_spaced(match[1]), "", _spaced(match[2]))
    return None


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _with_intro(intro: str, told: Told) -> Told:
    """Fill in what stands before the sections: source, dates, disclosure, description."""
    source, source_published, generated = None, "", None
    cut: list[tuple[int, int]] = []
    if match := _SOURCE.search(intro, 0, _NEAR):
        source = Work(_spaced(match[1]), match[2].rstrip(".,;"), "")
        cut.append(match.span())
    if match := _PUBLISHED.search(intro, 0, _NEAR):
        day, end = _date_at(intro, match.end())
        source_published = day.isoformat() if day else ""
        cut.append((match.start(), end))
    disclosure = ""
    if match := GENERATED.search(intro):
        start, end = match.start(), _end_of_disclosure(intro, match.start())
        disclosure = _spaced(intro[start:end])
        generated = _first_date(intro[start : start + 200])
        cut.append((start, end))
    return replace(
        told,
        about=_about(intro, cut),
        disclosure=disclosure,
        generated=generated,
        source=source,
        source_published=source_published,
    )


def _about(intro: str, cut: list[tuple[int, int]]) -> str:
    """The paragraphs of the description itself, without the parts that were told apart."""
    kept: list[str] = []
    at = 0
    for start, end in sorted(cut):
        kept.append(intro[at : max(at, start)])
        at = max(at, end)
    lines = [line.strip() for line in "\n".join([*kept, intro[at:]]).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _end_of_disclosure(text: str, start: int) -> int:
    """The end of the sentences that tell how the episode was made: four at most."""
    end = start
    for _ in range(4):
        match = _SENTENCE_END.search(text, end)
        stop = match.end() if match else len(text)
        if end > start and not _DISCLOSES.search(text[end:stop]):
            break
        end = stop
        if not match:
            break
    return end


def _chapter(item: str) -> Chapter:
    match = _STAMP.match(item)
    stamp, words = (match[1], match[2]) if match else ("0:00", item)
    seconds = 0
    for part in stamp.split(":"):
        seconds = seconds * 60 + int(part)
    title, text = _heading_and_text(words.strip())
    return Chapter(at=seconds, title=title, text=text)


# ---------------------------------------------------------------- where a chapter's title ends

_STARTERS = re.compile(
    r"an?|the|how|why|what|where|when|which|who|whether|if|in|on|at|with|from|for|this|these|those"
    r"|its?|they|we|as|by|after|before|while|because|since|despite|here|there"
)
_JOINS = re.compile(r"in|of|at|from|by|the|an?|and|or|to|for|with")
_LONGEST_TITLE = 25


def _heading_and_text(words: str) -> tuple[str, str]:
    """Split `Title in sentence case A sentence about it.` where the sentence begins.

    A saved page runs the two together. The sentence begins after a question mark, or at the first
    capital that a sentence is likely to begin with, or at the first capital between small letters.
    Where no such place is found all of it is the title.
    """
    first, broken, rest = words.partition("\n")
    if broken:
        return _spaced(first), _spaced(rest)
    parts = words.split()
    end = next(
        (n for n, word in enumerate(parts) if word.endswith(".") and n + 1 < len(parts)), len(parts)
    )
    places = [n for n in range(1, min(end + 1, len(parts), _LONGEST_TITLE)) if _may_begin(parts, n)]
    for likely in (_after_question, _begins_like_a_sentence, _between_small_letters):
        for place in places:
            if likely(parts, place):
                return " ".join(parts[:place]), " ".join(parts[place:])
    return _spaced(words), ""


def _bare(word: str) -> str:
    return word.strip("\"'“”‘’()[],:;.!?")


def _may_begin(parts: Sequence[str], place: int) -> bool:
    word = _bare(parts[place])
    return (
        bool(word)
        and (word[0].isupper() or word[0].isdigit())
        and parts[place - 1][-1] not in ",:;–—-"
    )


def _after_question(parts: Sequence[str], place: int) -> bool:
    return parts[place - 1].rstrip("\"'”’)")[-1:] in ("?", "!")


def _begins_like_a_sentence(parts: Sequence[str], place: int) -> bool:
    word, before = _bare(parts[place]), _bare(parts[place - 1]).lower()
    if _JOINS.fullmatch(before) or (place == 1 and _STARTERS.fullmatch(before)):
        return False
    if _STARTERS.fullmatch(word.lower()):
        return True
    return word.endswith("ing") and len(word) >= 5 and word[1:].islower()


def _between_small_letters(parts: Sequence[str], place: int) -> bool:
    before, after = (
        _bare(parts[place - 1]),
        _bare(parts[place + 1]) if place + 1 < len(parts) else "",
    )
    if place < 2 or not before or _JOINS.fullmatch(before.lower()):
        return False
    return before[0].islower() and (after[:1].islower() or after[:1].isdigit())


# ---------------------------------------------------------------- dates

_DAYS_AGO = {
    0: "hoy today heute aujourd'hui hoje oggi vandaag idag",
    1: "ayer yesterday gestern hier ontem ieri gisteren igar",
    2: "anteayer antier vorgestern avant-hier anteontem altroieri eergisteren",
}
_RELATIVE = {word: days for days, words in _DAYS_AGO.items() for word in words.split()} | {
    "i dag": 0,
    "i gar": 1,
    "antes de ayer": 2,
    "l'altro ieri": 2,
    "the day before yesterday": 2,
}
_COUNTED = re.compile(
    r"(?:(?:hace|vor|il y a|ha)\s)?(\d{1,3}|an?|one|una?|uno|une|ein|einem|einer|uma?|een)\s"
    r"(?:(d)(?:ia|ay|ag)\w{0,2}|(t)ag\w{0,2}|(j)our\w?|(g)iorn[oi]|(s)eman\w{1,2}|(w)eek\w?|(w)eken"
    r"|(w)ochen?|(s)emaines?|(s)ettiman[ae]|(h)\w{2,5}|(stunde)n?|(o)r[ae]|(m)in\w{0,5})"
    r"(?:\s(?:ago|fa|geleden|atras))?"
)
_DAYS_IN = {"d": 1, "t": 1, "j": 1, "g": 1, "s": 7, "w": 7, "h": 0, "stunde": 0, "o": 0, "m": 0}
_MONTHS = {
    name: number
    for number, names in enumerate(
        [
            "jan ene gen", "feb fev", "mar mrz mae mrt", "apr abr avr", "may mai mag mei maj",
            "jun giu", "jul lug", "aug ago aou", "sep set", "oct okt out ott", "nov", "dec dic dez",
        ],
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_DATES = (
    re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?!\d)"),
    re.compile(r"(?P<d>\d{1,2})(?:\.|o|st|nd|rd|th)?\s(?:de\s|of\s)?(?P<w>[a-z]{3,10})\.?,?(?:\s(?:de\s|del\s)?(?P<y>\d{4}))?(?![\da-z])"),
    re.compile(r"(?P<w>[a-z]{3,10})\.?\s(?P<d>\d{1,2})(?:st|nd|rd|th)?(?:,?\s(?P<y>\d{4}))?(?!\d)"),
    re.compile(r"(?P<d>\d{1,2})[./](?P<m>\d{1,2})[./](?P<y>\d{4})(?!\d)"),
)  # fmt: skip


class Day(NamedTuple):
    """A date; the year is None where the page leaves it out."""

    year: int | None
    month: int
    day: int

    def on(self, year: int) -> date | None:
        try:
            return date(self.year or year, self.month, self.day)
        except ValueError:
            return None


def words_key(text: str) -> str:
    return " ".join(anyascii(text).lower().split())


def days_ago(text: str) -> int | None:
    """How many days before the page was saved; None when the text is not such a date."""
    key = words_key(text)
    if key in _RELATIVE:
        return _RELATIVE[key]
    match = _COUNTED.fullmatch(key)
    if not match or not re.search(r"^(?:hace|vor|il y a|ha)\s|\s(?:ago|fa|geleden|atras)$", key):
        return None
    number = int(match[1]) if match[1].isdigit() else 1
    unit = next(group for group in match.groups()[1:] if group)
    return number * _DAYS_IN[unit]


def absolute_day(text: str) -> Day | None:
    """A date of its own that is all of the text, in one of six languages or in numbers."""
    key = words_key(text)
    for shape in _DATES:
        if (match := shape.fullmatch(key)) and (day := _day_of(match)):
            return day
    return None


def _day_of(match: re.Match[str]) -> Day | None:
    groups = match.groupdict()
    word = groups.get("w")
    if word:
        month = (
            6 if word.startswith("juin") else _MONTHS.get(word[:3], 7 if word[:3] == "jui" else 0)
        )
    else:
        month = int(groups["m"])
    day = int(groups["d"])
    if not word and month > 12 >= day:
        month, day = day, month  # 05/26/2026: the month stands first
    found = Day(int(groups["y"]) if groups.get("y") else None, month, day)
    return found if found.on(2024) else None


def _first_date(text: str) -> date | None:
    """The first whole date anywhere in a text."""
    return min(_dates_in(text), default=(0, 0, None))[2]


def _dates_in(text: str) -> Iterator[tuple[int, int, date]]:
    plain = "".join(anyascii(char)[:1] or " " for char in text).lower()
    for shape in _DATES:
        for match in shape.finditer(plain):
            found = _day_of(match)
            if found and found.year and (day := found.on(found.year)):
                yield match.start(), match.end(), day


def _date_at(text: str, start: int) -> tuple[date | None, int]:
    """The date that stands at `start`, and where it ends."""
    for begins, ends, day in sorted(_dates_in(text[start : start + 40])):
        if begins == 0:
            return day, start + ends
    return None, start


# ---------------------------------------------------------------- what an episode points to


@dataclass
class Works:
    """The papers and articles that the episodes of one document point to; each is told of once.

    Without `tells` there are links and mentions alone: a paper that the wiki has not met joins when it
    comes.
    """

    show: str
    tells: bool = True
    told_of: set[tuple[Ref, bool]] = field(default_factory=set)

    def of(self, told: Told, page: Ref, title: str, published: str) -> Iterator[Arrival | Rejected]:
        """What the episode on `page` covers, and what it recommends to read."""
        if told.source:
            yield from self._covered(told, told.source, page, title, published)
        for number, work in enumerate(told.readings, start=1):
            ref, arrival = self._work(work)
            if not ref:
                yield Rejected(
                    where=f"{short(title)}, reading {number}",
                    reason=f"{work.address[:100]!r} is no address.",
                )
                continue
            if arrival:
                yield arrival
            yield LinkArrival(
                source=page, relation=Relation.RECOMMENDS, target=ref, note=work.reason
            )
        for text in told.unread:
            yield Rejected(
                where=f"{short(title)}, recommended reading",
                reason=f"It has neither an address nor a reason: {text[:80]!r}.",
            )

    def _covered(
        self, told: Told, work: Work, page: Ref, title: str, published: str
    ) -> Iterator[Arrival | Rejected]:
        ref, arrival = self._work(work, keep=True, published=told.source_published)
        if not ref or not work.title:
            yield Rejected(
                where=short(title),
                reason=f"Its source has no title or no address: {work.address[:100]!r}.",
            )
            return
        if arrival:
            yield arrival
        yield LinkArrival(source=page, relation=Relation.COVERS, target=ref)
        if not ref.startswith("url:") or is_paper_address(ref):
            yield MentionArrival(
                paper=ref,
                section=title,
                day=published,
                text=told.about,
                source_name=self.show,
            )

    def _work(
        self, work: Work, *, keep: bool = False, published: str = ""
    ) -> tuple[Ref, Arrival | None]:
        """What a work is called by, and the arrival that tells of it (None: told already)."""
        if not work.address:
            ref, found = f"title:{work.title}", None
        elif found := parse_url(work.address):
            ref = str(found)
        else:
            return "", None
        if not self.tells or (ref, True) in self.told_of or (ref, keep) in self.told_of:
            return ref, None
        self.told_of.add((ref, keep))
        if found and found.scheme == "url" and not is_paper_address(ref):
            return ref, PageArrival(ref=ref, kind=PageKind.ARTICLE, title=work.title)
        return ref, PaperArrival(
            refs=(_versioned(found),) if found else (),
            title=work.title,
            published=published,
            keep=keep,
        )


def _versioned(found: PaperId) -> Ref:
    return f"{found}v{found.version}" if found.version else str(found)


def is_paper_address(ref: Ref) -> bool:
    host = ref.removeprefix("url:").split("/")[2].split(":")[0] if ref.count("/") >= 2 else ""
    return ref.endswith(".pdf") or _PAPER_HOSTS.fullmatch(host) is not None


def short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
