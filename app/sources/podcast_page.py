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
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

from app.domain.identifiers import slugify
from app.domain.items import (
    Arrival,
    Document,
    EpisodeArrival,
    PageArrival,
    Rejected,
    SourceRef,
)
from app.domain.records import PageKind, SourceKind
from app.errors import Unreadable
from app.sources.base import File
from app.sources.episode_text import (
    GENERATED,
    SECTION,
    Day,
    Told,
    Works,
    absolute_day,
    days_ago,
    described,
    short,
    words_key,
)
from app.sources.page_text import page_lines

_DESCRIPTION = frozenset(
    ["descripcion", "description", "beschreibung", "descricao", "descrizione", "beschrijving"]
)
_AFTER_DESCRIPTION = re.compile(
    r"comentarios|comments|commentaires|kommentare|commenti|reacties|todos los episodios"
    r"|all episodes|tous les episodes|alle episoden|alle folgen|todos os episodios"
    r"|tutti gli episodi|alle afleveringen|episodios|episodes|folgen|episodi"
)
_DURATION = re.compile(
    r"(?:(\d{1,7})\s?h(?:rs?|ours?|oras?|eures?)?\.?\s{0,2})?(\d{1,7})\s?min(?:s|utes?|utos?|uten|uti)?\.?",
    re.IGNORECASE,
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
            GENERATED.search(text)
            or SECTION.search(text)
            or any(words_key(line) in _DESCRIPTION for line in lines)
        )

    def read(self, file: File) -> Document:
        """Read the page. Raises Unreadable when it holds no episode."""
        lines = page_lines(file, links=True)
        show, episodes = _episodes(lines)
        if not episodes:
            raise Unreadable(f"{file.name} holds no episode of a podcast.")
        saved = _saved_day(episodes, file.name)
        source = SourceRef(key=f"podcast:{slugify(show)}", kind=SourceKind.PODCAST, name=show)
        page = _Page(saved=saved, works=Works(show))
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
    told: Told


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
        told=described(text, title),
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
    if not leading or not when or (days_ago(when) is None and absolute_day(when) is None):
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
    if any(words_key(line) in _DESCRIPTION for line in below):
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
        if _AFTER_DESCRIPTION.fullmatch(words_key(line)) or _alt_of(lines, number):
            return "\n".join(text).strip(), number
        is_frame = (len(line) - len(title) <= 60 and title in line) or words_key(
            line
        ) in _DESCRIPTION
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
        if _AFTER_DESCRIPTION.fullmatch(words_key(line)) or re.fullmatch(
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


def _saved_day(episodes: Sequence[_Episode], name: str) -> date | None:
    """The day the page was saved, as most episodes with a relative date imply it.

    An episode appears as many days after it was generated as those with a date of their own do. Of
    last resort is a date in the file's name.
    """
    lags = Counter(
        (day - episode.told.generated).days
        for episode in episodes
        if episode.told.generated
        and (stated := absolute_day(episode.when))
        and (day := stated.on(episode.told.generated.year))
    )
    lag = lags.most_common(1)[0][0] if lags else 0
    implied = Counter(
        _shifted(episode.told.generated, lag + ago)
        for episode in episodes
        if episode.told.generated and (ago := days_ago(episode.when)) is not None
    )
    days = [(count, day) for day, count in implied.items() if day]
    if days:
        return max(days)[1]
    in_name = re.search(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)", name)
    return Day(*map(int, in_name.groups())).on(1) if in_name else None


def _shifted(day: date, days: int) -> date | None:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return None


# ---------------------------------------------------------------- arrivals


@dataclass
class _Page:
    saved: date | None
    works: Works
    days: list[str] = field(default_factory=list)
    slugs: set[str] = field(default_factory=set)

    def arrivals(self, episodes: Sequence[_Episode]) -> Iterator[Arrival | Rejected]:
        for episode in episodes:
            published = self._published(episode)
            if published:
                self.days.append(published)
            else:
                yield Rejected(where=short(episode.title), reason=self._undated(episode))
            yield from self._episode(episode, published)

    def _published(self, episode: _Episode) -> str:
        ago, stated = days_ago(episode.when), absolute_day(episode.when)
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
        if days_ago(episode.when) is not None and not self.saved:
            return f"It says {episode.when!r}, and nothing tells the day the page was saved."
        return f"Its date {episode.when[:60]!r} could not be read."

    def _with_year(self, stated: Day, generated: date | None) -> date | None:
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
        yield from self.works.of(told, slug, episode.title, published)

    def _slug(self, title: str) -> str:
        """The episode's address; a second of the same name gets a number."""
        slug, number = slugify(title), 2
        while slug in self.slugs:
            slug, number = f"{slugify(title)}-{number}", number + 1
        self.slugs.add(slug)
        return slug
