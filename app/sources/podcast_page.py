"""Reads a saved page of a podcast show: its open episode and the list of others below it.

Each episode's description tells what it covers, how it was made, its takeaways, chapters and
recommended reading; a saved page has them on one line, so they are found by their own words, not by
line breaks. Dates are in the language of the page. A relative one ("Ayer") counts from the day the
page was saved; the day an episode says it was generated on settles which day that was.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

from anyascii import anyascii

from app.domain.identifiers import PaperId, parse_url, slugify
from app.domain.items import (
    Arrival,
    Chapter,
    Document,
    EpisodeArrival,
    LinkArrival,
    MentionArrival,
    PageArrival,
    PaperArrival,
    Ref,
    Rejected,
    SourceRef,
)
from app.domain.records import PageKind, Relation, SourceKind
from app.errors import Unreadable
from app.sources.base import File
from app.sources.page_text import page_lines

_DESCRIPTION = frozenset(
    ["descripcion", "description", "beschreibung", "descricao", "descrizione", "beschrijving"]
)
_AFTER_DESCRIPTION = re.compile(
    r"comentarios|comments|commentaires|kommentare|commenti|reacties|todos los episodios"
    r"|all episodes|tous les episodes|alle episoden|alle folgen|todos os episodios"
    r"|tutti gli episodi|alle afleveringen|episodios|episodes|folgen|episodi"
)
_MORE = re.compile(
    r"\s*(?:…|\.\.\.)?\s?(?:ver más|mostrar más|ver mais|show more|read more|voir plus"
    r"|lire la suite|mehr anzeigen|mehr lesen|mostra altro|leggi tutto)\s*",
    re.IGNORECASE,
)
_DURATION = re.compile(
    r"(?:(\d{1,7})\s?h(?:rs?|ours?|oras?|eures?)?\.?\s{0,2})?(\d{1,7})\s?min(?:s|utes?|utos?|uten|uti)?\.?",
    re.IGNORECASE,
)
_SECTION = re.compile(
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
_GENERATED = re.compile(
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


@dataclass(frozen=True)
class PodcastPage:
    format: str = "podcast-page"

    def recognises(self, file: File) -> bool:
        """Lines that say when and how long, and words such a page has around an episode."""
        lines = page_lines(File(name=file.name, data=file.data[:400_000]), links=True)
        if not any(_stated(line) for line in lines):
            return False
        text = "\n".join(lines)
        return bool(
            _GENERATED.search(text)
            or _SECTION.search(text)
            or any(_key(line) in _DESCRIPTION for line in lines)
        )

    def read(self, file: File) -> Document:
        """Read the page. Raises Unreadable when it holds no episode."""
        lines = page_lines(file, links=True)
        show, episodes = _episodes(lines)
        if not episodes:
            raise Unreadable(f"{file.name} holds no episode of a podcast.")
        saved = _saved_day(episodes, file.name)
        source = SourceRef(key=f"podcast:{slugify(show)}", kind=SourceKind.PODCAST, name=show)
        page = _Page(show=show, saved=saved)
        arrivals = tuple(page.arrivals(episodes))
        newest = saved.isoformat() if saved else max(page.days, default="")
        return Document(
            source=source,
            key=f"{slugify(show)}:{newest or sha256(file.data).hexdigest()[:16]}",
            format=self.format,
            title=f"{show}, {newest}" if newest else show,
            published=newest,
            arrivals=arrivals,
        )


# ---------------------------------------------------------------- the page's lines


class _Stated(NamedTuple):
    """What a line like `24 min · 26 de may de 2026` or `Ayer28 min` says."""

    when: str
    minutes: int


@dataclass(frozen=True)
class _Episode:
    title: str
    text: str
    when: str
    minutes: int | None
    told: _Told


def _episodes(lines: Sequence[str]) -> tuple[str, list[_Episode]]:
    """The show's name, and its episodes in order, each title once (with its longest text)."""
    show = next((line.strip() for line in lines if line.strip()), "")
    found: list[_Episode] = []
    start = 0
    for number, line in enumerate(lines):
        if number < start:
            continue
        stated = _stated(line) or _ending(lines, start, number)
        if stated is None:
            continue
        if not found and _is_above_a_description(lines, number):
            title, start = _title_above(lines, number), number
            text, start = _description_below(lines, number + 1, title)
        else:
            title, text = _title_and_text(lines[start:number], first=not found or start == 0)
            start = number + 1
        if title and title != show:
            found.append(_episode(title, text, stated))
    title, text = _title_and_text(lines[start:], first=False, cut_off=True)
    if title and found:
        found.append(_episode(title, text, None))
    longest: dict[str, _Episode] = {}
    for episode in found:
        known = longest.get(episode.title)
        if known is None or len(known.text) < len(episode.text):
            longest[episode.title] = episode
    return show, list(longest.values())


def _episode(title: str, text: str, stated: _Stated | None) -> _Episode:
    return _Episode(
        title=title,
        text=text,
        when=stated.when if stated else "",
        minutes=stated.minutes if stated else None,
        told=_told(text, title),
    )


def _stated(line: str) -> _Stated | None:
    """The date and the minutes of a line that holds these and nothing else."""
    if len(line) > 100:
        return None
    found = list(_DURATION.finditer(line))
    if not found:
        return None
    match = found[-1]
    whole = _read_stated(line[: match.start()], match[1] or "", match[2], line[match.end() :])
    if whole is None and match[1]:  # `Hace 5 horas28 min`: the hours belong to the date
        return _read_stated(line[: match.start(2)], "", match[2], line[match.end() :])
    return whole


def _read_stated(before: str, hours: str, minutes: str, after: str) -> _Stated | None:
    leading = hours or minutes
    glued = _glued_digits(before, leading)
    before, leading = before + leading[:glued], leading[glued:]
    when = f"{before} {after}".strip(" \t·•|-–—,()")
    if not leading or not when or (_ago(when) is None and _absolute(when) is None):
        return None
    length = int(leading) * 60 + int(minutes) if hours else int(leading)
    return _Stated(when, length) if length < 10_000 else None


def _ending(lines: Sequence[str], start: int, number: int) -> _Stated | None:
    """The end of an entry whose date is in words that nobody here knows.

    Only pictures' descriptions, before this entry's title and the next one's, make that sure.
    """
    line = lines[number].strip()
    matches = list(_DURATION.finditer(line)) if len(line) <= 60 else []
    if not matches or matches[-1].end() != len(line):
        return None
    below = next((n for n in range(number + 1, len(lines)) if lines[n].strip()), None)
    if below is not None and not _alt_of(lines, below):
        return None
    if not any(_alt_of(lines, above) for above in range(start, number)):
        return None
    hours, minutes = int(matches[-1][1] or 0), int(matches[-1][2])
    when = line[: matches[-1].start()].strip(" \t·•|-–—,()")
    return _Stated(when, min(hours * 60 + minutes, 9_999))


def _glued_digits(before: str, digits: str) -> int:
    """How many digits belong to a date that stands right before: `202624 min`, `May 2624 min`."""
    if len(digits) > 4 and digits.startswith(("19", "20")):
        return 4
    if re.search(r"[a-z]{3,9}\.?\s$", before, re.IGNORECASE) and len(digits) in (3, 4):
        return len(digits) - 2
    return 0


def _is_above_a_description(lines: Sequence[str], number: int) -> bool:
    """Whether this line heads the open episode, rather than ending an entry of the list."""
    below = [line for line in lines[number + 1 : number + 8] if line][:3]
    if any(_key(line) in _DESCRIPTION for line in below):
        return True
    above = list(islice((line for line in islice(lines, number) if line), 4))
    return len(above) in (2, 3) and all(len(line) <= 300 for line in above)


def _title_above(lines: Sequence[str], number: int) -> str:
    above = [line.strip() for line in lines[:number] if line.strip()]
    return above[-1] if len(above) > 1 else ""


def _description_below(lines: Sequence[str], start: int, title: str) -> tuple[str, int]:
    """The open episode's text, and the line after it."""
    text: list[str] = []
    for number in range(start, len(lines)):
        line = lines[number].strip()
        if _AFTER_DESCRIPTION.fullmatch(_key(line)) or _alt_of(lines, number):
            return "\n".join(text).strip(), number
        is_frame = (len(line) - len(title) <= 60 and title in line) or _key(line) in _DESCRIPTION
        if text or (line and not is_frame):
            text.append(line)
    return "\n".join(text).strip(), len(lines)


def _title_and_text(lines: Sequence[str], *, first: bool, cut_off: bool = False) -> tuple[str, str]:
    """An entry of the list. A picture's description before the title gives the title away."""
    for number in range(len(lines)):
        if title := _alt_of(lines, number):
            below = next(n for n in range(number + 1, len(lines)) if lines[n].strip())
            return title, "\n".join(lines[below + 1 :]).strip()
    if cut_off:
        return "", ""
    start = 0
    for number, line in enumerate(lines):
        if _AFTER_DESCRIPTION.fullmatch(_key(line)) or re.fullmatch(
            r"\d{1,6}\s\w{1,20}", line.strip()
        ):
            start = number + 1
    entry = [line.strip() for line in lines[start:]]
    while entry and not entry[0]:
        entry.pop(0)
    return (entry[0], "\n".join(entry[1:]).strip()) if entry else ("", "")


def _alt_of(lines: Sequence[str], number: int) -> str:
    """The title on the next line, when this one is a picture's description that quotes it."""
    line = lines[number].strip()
    below = next((text.strip() for text in lines[number + 1 : number + 4] if text.strip()), "")
    if len(below) < 4 or not 4 <= len(line) - len(below) <= 60:
        return ""
    return below if below in line else ""


# ---------------------------------------------------------------- one description


class _Work(NamedTuple):
    """Something the episode points to: its title, address ('' for none) and why."""

    title: str
    address: str
    reason: str


@dataclass(frozen=True)
class _Told:
    """What a description holds, in its parts."""

    about: str = ""
    disclosure: str = ""
    generated: date | None = None
    source: _Work | None = None
    source_published: str = ""
    takeaways: tuple[str, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    readings: tuple[_Work, ...] = ()
    unread: tuple[str, ...] = ()


def _told(text: str, title: str) -> _Told:
    text = _MORE.sub("", text) if len(text) < 30 else _without_more(text)
    for shape in (title, title.upper()):
        if text[: len(shape)].casefold() == shape.casefold():
            text = text[len(shape) :].strip()
            break
    intro, sections = _sections(text)
    takeaways: list[str] = []
    chapters: list[str] = []
    readings: list[_Work] = []
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
        _Told(
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
            for shape in (_SECTION, _SECTION_LINE)
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


def _reading(item: str) -> _Work | None:
    if match := _LINKED.fullmatch(item):
        return _Work(_spaced(match[1]).strip("\"'“”"), match[2].rstrip(".,;"), _spaced(match[3]))
    if match := _UNLINKED.fullmatch(item):
        return _Work(_spaced(match[1]), "", _spaced(match[2]))
    return None


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _with_intro(intro: str, told: _Told) -> _Told:
    """Fill in what stands before the sections: source, dates, disclosure, description."""
    source, source_published, generated = None, "", None
    cut: list[tuple[int, int]] = []
    if match := _SOURCE.search(intro, 0, _NEAR):
        source = _Work(_spaced(match[1]), match[2].rstrip(".,;"), "")
        cut.append(match.span())
    if match := _PUBLISHED.search(intro, 0, _NEAR):
        day, end = _date_at(intro, match.end())
        source_published = day.isoformat() if day else ""
        cut.append((match.start(), end))
    disclosure = ""
    if match := _GENERATED.search(intro):
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


class _Day(NamedTuple):
    """A date; the year is None where the page leaves it out."""

    year: int | None
    month: int
    day: int

    def on(self, year: int) -> date | None:
        try:
            return date(self.year or year, self.month, self.day)
        except ValueError:
            return None


def _key(text: str) -> str:
    return " ".join(anyascii(text).lower().split())


def _ago(text: str) -> int | None:
    """How many days before the page was saved; None when the text is not such a date."""
    key = _key(text)
    if key in _RELATIVE:
        return _RELATIVE[key]
    match = _COUNTED.fullmatch(key)
    if not match or not re.search(r"^(?:hace|vor|il y a|ha)\s|\s(?:ago|fa|geleden|atras)$", key):
        return None
    number = int(match[1]) if match[1].isdigit() else 1
    unit = next(group for group in match.groups()[1:] if group)
    return number * _DAYS_IN[unit]


def _absolute(text: str) -> _Day | None:
    """A date of its own that is all of the text, in one of six languages or in numbers."""
    key = _key(text)
    for shape in _DATES:
        if (match := shape.fullmatch(key)) and (day := _day_of(match)):
            return day
    return None


def _day_of(match: re.Match[str]) -> _Day | None:
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
    found = _Day(int(groups["y"]) if groups.get("y") else None, month, day)
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


def _saved_day(episodes: Sequence[_Episode], name: str) -> date | None:
    """The day the page was saved, as most episodes with a relative date imply it.

    An episode appears as many days after it was generated as those with a date of their own do. Of
    last resort is a date in the file's name.
    """
    lags = Counter(
        (day - episode.told.generated).days
        for episode in episodes
        if episode.told.generated
        and (stated := _absolute(episode.when))
        and (day := stated.on(episode.told.generated.year))
    )
    lag = lags.most_common(1)[0][0] if lags else 0
    implied = Counter(
        _shifted(episode.told.generated, lag + ago)
        for episode in episodes
        if episode.told.generated and (ago := _ago(episode.when)) is not None
    )
    days = [(count, day) for day, count in implied.items() if day]
    if days:
        return max(days)[1]
    in_name = re.search(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)", name)
    return _Day(*map(int, in_name.groups())).on(1) if in_name else None


def _shifted(day: date, days: int) -> date | None:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return None


# ---------------------------------------------------------------- arrivals


@dataclass
class _Page:
    show: str
    saved: date | None
    days: list[str] = field(default_factory=list)
    slugs: set[str] = field(default_factory=set)
    told_of: set[tuple[Ref, bool]] = field(default_factory=set)

    def arrivals(self, episodes: Sequence[_Episode]) -> Iterator[Arrival | Rejected]:
        for episode in episodes:
            published = self._published(episode)
            if published:
                self.days.append(published)
            else:
                yield Rejected(where=_short(episode.title), reason=self._undated(episode))
            yield from self._episode(episode, published)

    def _published(self, episode: _Episode) -> str:
        ago, stated = _ago(episode.when), _absolute(episode.when)
        if ago is not None and self.saved:
            day = _shifted(self.saved, -ago)
        elif stated:
            day = self._with_year(stated, episode.told.generated)
        else:
            day = None
        return day.isoformat() if day else ""

    def _undated(self, episode: _Episode) -> str:
        if not episode.when:
            return "The page ends before its date."
        if _ago(episode.when) is not None and not self.saved:
            return f"It says {episode.when!r}, and nothing tells the day the page was saved."
        return f"Its date {episode.when[:60]!r} could not be read."

    def _with_year(self, stated: _Day, generated: date | None) -> date | None:
        """A date without a year is the last such day before the page was saved."""
        if stated.year:
            return stated.on(stated.year)
        latest = self.saved or generated
        if latest is None:
            return None
        day = stated.on(latest.year)
        return day if day and day <= latest else stated.on(latest.year - 1)

    def _episode(self, episode: _Episode, published: str) -> Iterator[Arrival | Rejected]:
        told, slug = episode.told, self._slug(episode.title)
        yield EpisodeArrival(
            page=PageArrival(ref=slug, kind=PageKind.EPISODE, title=episode.title, text=told.about),
            published=published,
            minutes=episode.minutes,
            ai_generated=told.disclosure,
            takeaways=told.takeaways,
            chapters=told.chapters,
        )
        if told.source:
            yield from self._covered(episode, told.source, slug, published)
        for number, work in enumerate(told.readings, start=1):
            ref, arrival = self._work(work)
            if not ref:
                yield Rejected(
                    where=f"{_short(episode.title)}, reading {number}",
                    reason=f"{work.address[:100]!r} is no address.",
                )
                continue
            if arrival:
                yield arrival
            yield LinkArrival(
                source=slug, relation=Relation.RECOMMENDS, target=ref, note=work.reason
            )
        for text in told.unread:
            yield Rejected(
                where=f"{_short(episode.title)}, recommended reading",
                reason=f"It has neither an address nor a reason: {text[:80]!r}.",
            )

    def _covered(
        self, episode: _Episode, work: _Work, slug: str, published: str
    ) -> Iterator[Arrival | Rejected]:
        told = episode.told
        ref, arrival = self._work(work, keep=True, published=told.source_published)
        if not ref or not work.title:
            yield Rejected(
                where=_short(episode.title),
                reason=f"Its source has no title or no address: {work.address[:100]!r}.",
            )
            return
        if arrival:
            yield arrival
        yield LinkArrival(source=slug, relation=Relation.COVERS, target=ref)
        if not ref.startswith("url:") or _is_paper_address(ref):
            yield MentionArrival(
                paper=ref,
                section=episode.title,
                day=published,
                text=told.about,
                source_name=self.show,
            )

    def _work(
        self, work: _Work, *, keep: bool = False, published: str = ""
    ) -> tuple[Ref, Arrival | None]:
        """What a work is called by, and the arrival that tells of it (None: told already)."""
        if not work.address:
            ref, found = f"title:{work.title}", None
        elif found := parse_url(work.address):
            ref = str(found)
        else:
            return "", None
        if (ref, True) in self.told_of or (ref, keep) in self.told_of:
            return ref, None
        self.told_of.add((ref, keep))
        if found and found.scheme == "url" and not _is_paper_address(ref):
            return ref, PageArrival(ref=ref, kind=PageKind.ARTICLE, title=work.title)
        return ref, PaperArrival(
            refs=(_versioned(found),) if found else (),
            title=work.title,
            published=published,
            keep=keep,
        )

    def _slug(self, title: str) -> str:
        """The episode's address; a second of the same name gets a number."""
        slug, number = slugify(title), 2
        while slug in self.slugs:
            slug, number = f"{slugify(title)}-{number}", number + 1
        self.slugs.add(slug)
        return slug


def _versioned(found: PaperId) -> Ref:
    return f"{found}v{found.version}" if found.version else str(found)


def _is_paper_address(ref: Ref) -> bool:
    host = ref.removeprefix("url:").split("/")[2].split(":")[0] if ref.count("/") >= 2 else ""
    return ref.endswith(".pdf") or _PAPER_HOSTS.fullmatch(host) is not None


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
