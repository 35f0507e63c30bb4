"""Podcasts: feeds whose entries are episodes, and the chapters and transcripts that lie beside them.

An episode is a page with what its description tells (episode_text): its disclosure word for word,
takeaways, chapters, what it covers and recommends. Audio is never fetched. A transcript is a page of
its own, linked with its episode, so that a search finds what was said.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from html import escape, unescape
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import webvtt
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from app.domain.identifiers import parse_url, slugify
from app.domain.items import (
    Arrival,
    Bundle,
    Chapter,
    Document,
    EpisodeArrival,
    LinkArrival,
    PageArrival,
    Ref,
    Rejected,
    SourceRef,
)
from app.domain.records import PageKind, Relation, SourceKind
from app.domain.untrusted import cut, line
from app.errors import NotFetched, Unreadable
from app.sources.base import File
from app.sources.connectors import Fetched, Found, Wanted, Web
from app.sources.episode_text import Told, Works, described
from app.sources.feeds import (
    Channel,
    Entry,
    Feed,
    content_hash,
    document,
    fetch_feed,
    is_json_feed,
    is_podcast,
    nothing_in,
    page_ref,
    parse,
    safe_text,
    source_of,
    title_of,
    with_pages,
    without_live_items,
)
from app.sources.markup import escaped, line_start, to_markdown
from app.sources.named_papers import mentions
from app.sources.page_text import html_text

MAX_TRANSCRIPT = 4_000_000  # bytes
MAX_CHAPTERS = 500_000
MOST_CHAPTERS = 500
MOST_BESIDE = 20  # chapters and transcripts asked for in one fetch
MOST_TRIES = 3
LONGEST_MINUTES = 9_999

# What a fetch writes among the headers of a file that lies beside an episode: which one.
EPISODE_KEY, EPISODE_REF, EPISODE_TITLE = "x-episode-key", "x-episode-ref", "x-episode-title"

_PODCAST = "{https://podcastindex.org/namespace/1.0}"
_OTHER_PODCAST = "{https://github.com/Podcastindex-org/podcast-namespace/blob/main/docs/1.0.md}"
_SOUND_FILE = re.compile(r"\.(?:mp3|m4a|m4b|aac|ogg|oga|opus|wav|mp4|m4v|mov)(?:$|\?)", re.I)
_TIMED = re.compile(
    r"(?m)^\s*(?:\d{1,2}:)?\d{1,2}:\d{2}[.,]\d{1,3}\s+-->\s+(?:\d{1,2}:)?\d{1,2}:\d{2}"
)
_CITED = re.compile(
    r"\s*(?:<!doctype html>\s*)?(?:<html[^>]*>\s*(?:<body[^>]*>)?\s*)?<cite>[^<]{1,100}</cite>\s*<time>",
    re.I,
)
_SPEAKER = re.compile(r"([^\s:.,!?][^:.,!?\n]{0,40}):\s+")
_LINK_BESIDE = re.compile(r"\\\[(https?://[^\s\]\\<>]{1,2000})\\\]")
_PREFERRED = ("text/vtt", "application/x-subrip", "application/srt", "text/srt", "application/json", "text/html", "text/plain")  # fmt: skip


@dataclass(frozen=True)
class Beside:
    """A file beside an episode: chapters or a transcript."""

    format: str
    url: str
    kind: str = ""


@dataclass(frozen=True)
class Extras:
    """What the podcast namespace adds to an entry."""

    chapters: Beside | None = None
    transcript: Beside | None = None
    season: str = ""
    number: str = ""
    persons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Podcast:
    """Reads the feed of a podcast; each episode is an item."""

    format: str = "podcast"

    def recognises(self, file: File) -> bool:
        """A feed whose entries have audio or video, or that calls itself a podcast and has episodes."""
        return Feed().recognises(file) and is_podcast(file)

    def read(self, file: File) -> Bundle:
        """Read the feed. Raises Unreadable for what is none, and for XML that is not safe to read."""
        channel = parse(file)
        source = source_of(channel, file, SourceKind.PODCAST)
        return Bundle(
            source=source,
            format=self.format,
            documents=self._documents(channel, extras_of(channel, file), source),
        )

    def _documents(
        self, channel: Channel, extras: Sequence[Extras], source: SourceRef
    ) -> Iterator[Document | Rejected]:
        beside = {
            id(entry.raw): extra for entry, extra in zip(channel.entries, extras, strict=True)
        }
        sounds = any(sound_of(entry) for entry in channel.entries)
        for number, (key, entry) in enumerate(with_pages(channel.entries, channel.link), start=1):
            if not (entry.title or entry.link or entry.html.strip()):
                yield nothing_in(number)
            elif sounds and not sound_of(entry):
                yield document(entry, key, source, self.format, number)  # a post among episodes
            else:
                yield self._episode(entry, key, source, beside.get(id(entry.raw), Extras()))

    def _episode(self, entry: Entry, key: str, source: SourceRef, extras: Extras) -> Document:
        words = html_text(entry.html, links=True)
        title = title_of(entry, words)
        told = described(words, title)
        minutes = minutes_of(entry)
        chapters = told.chapters or _simple_chapters(entry)
        page = page_ref(entry, f"{source.key} {key}", title)
        return Document(
            source=source,
            key=key,
            format=self.format,
            title=title,
            url=entry.link,
            published=entry.published,
            # Not the addresses beside it, which may be made anew for each who asks.
            hash=content_hash(
                entry,
                words,
                str(minutes),
                extras.season,
                extras.number,
                *extras.persons,
                repr(chapters),
            ),
            arrivals=_arrivals(entry, told, chapters, minutes, page, title, source, extras),
        )


def _arrivals(
    entry: Entry,
    told: Told,
    chapters: tuple[Chapter, ...],
    minutes: int | None,
    page: Ref,
    title: str,
    source: SourceRef,
    extras: Extras,
) -> Iterator[Arrival | Rejected]:
    extra: dict[str, Any] = {"source": source.name}
    for name, value in (
        ("authors", list(entry.authors)),
        ("published", entry.published),
        ("audio", sound_of(entry)),
        ("season", extras.season),
        ("episode", extras.number),
        ("persons", list(extras.persons)),
        ("transcript", extras.transcript.url if extras.transcript else ""),
    ):
        if value:
            extra[name] = value
    body = to_markdown(entry.html, base=entry.base or entry.link)
    apart = told.takeaways or told.chapters or told.readings or told.disclosure or told.source
    yield EpisodeArrival(
        page=PageArrival(
            ref=page,
            kind=PageKind.EPISODE,
            title=title,
            text=_as_markdown(told.about) if apart else body,
            extra=extra,
        ),
        published=entry.published,
        minutes=minutes,
        ai_generated=told.disclosure,
        takeaways=told.takeaways,
        chapters=chapters,
    )
    covered = set()
    for arrival in Works(source.name, tells=False).of(told, page, title, entry.published):
        covered.add(getattr(arrival, "paper", ""))
        yield arrival
    said = mentions(
        f"{title}\n\n{body}", section=title, day=entry.published, source_name=source.name
    )
    yield from (mention for mention in said if mention.paper not in covered)


def _as_markdown(words: str) -> str:
    """Plain words as Markdown; an address in brackets behind words is a link."""
    paragraphs = re.split(r"\n\s*\n", words)
    lines = (
        "\\\n".join(line_start(escaped(each)) for each in part.split("\n") if each.strip())
        for part in paragraphs
    )
    return _LINK_BESIDE.sub(r"<\1>", "\n\n".join(part for part in lines if part))


def sound_of(entry: Entry) -> str:
    """The address of an episode's audio or video, '' where it has none."""
    found: list[tuple[object, object]] = [
        (each.get("href"), each.get("type"))
        for each in entry.raw.get("links") or ()
        if isinstance(each, Mapping) and each.get("rel") == "enclosure"
    ]
    found += [
        (each.get("url"), each.get("mime_type"))
        for each in _list(entry.raw.get("attachments"))
        if isinstance(each, Mapping)
    ]
    for url, kind in found:
        if not isinstance(url, str) or parse_url(url) is None:
            continue
        if str(kind or "").startswith(("audio/", "video/")) or _SOUND_FILE.search(url):
            return line(url)
    return ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def minutes_of(entry: Entry) -> int | None:
    """The length of an episode in minutes, rounded up to one; None where it is not said."""
    said = entry.raw.get("itunes_duration")
    if said is None:
        lengths = [
            each.get("duration_in_seconds")
            for each in _list(entry.raw.get("attachments"))
            if isinstance(each, Mapping)
        ]
        said = next((each for each in lengths if isinstance(each, int | float)), None)
    seconds = seconds_of(str(said)) if said is not None else None
    return min(max(1, round(seconds / 60)), LONGEST_MINUTES) if seconds else None


def seconds_of(text: str) -> float | None:
    """`1:02:03`, `62:03`, `3723`, `3723.5` in seconds; None for anything else."""
    parts = text.strip().split(":")
    if not 1 <= len(parts) <= 3 or not all(
        re.fullmatch(r"\d{1,6}(?:\.\d{1,6})?", p) for p in parts
    ):
        return None
    total = 0.0
    for part in parts:
        total = total * 60 + float(part)
    return total


def _simple_chapters(entry: Entry) -> tuple[Chapter, ...]:
    """Chapters that stand in the feed itself (Podlove Simple Chapters)."""
    given = entry.raw.get("psc_chapters")
    rows = _list(given.get("chapters")) if isinstance(given, Mapping) else []
    found = []
    for row in rows[:MOST_CHAPTERS]:
        start, title = seconds_of(str(row.get("start") or "")), line(str(row.get("title") or ""))
        if start is not None and title:
            found.append(Chapter(at=int(start), title=cut(title, 300)))
    return tuple(found)


# ---------------------------------------------------------------- the podcast namespace


def extras_of(channel: Channel, file: File) -> list[Extras]:
    """What the podcast namespace says of each entry, in order; nothing of a feed that is broken XML."""
    nothing = [Extras() for _ in channel.entries]
    if is_json_feed(file) or b"podcastindex.org" not in file.data.lower():
        return nothing
    data = without_live_items(safe_text(file)).encode("utf-8", "replace")
    try:
        items = ElementTree.fromstring(data).findall("./channel/item")
    except (ParseError, DefusedXmlException, ValueError):
        return nothing
    items = items[: len(channel.entries)]
    return [_extras(item) for item in items] if len(items) == len(nothing) else nothing


def _extras(item: Element) -> Extras:
    def named(name: str) -> list[Element]:
        return [*item.findall(_PODCAST + name), *item.findall(_OTHER_PODCAST + name)]

    transcripts = [
        Beside("transcript", url, line(each.get("type", "")).lower())
        for each in named("transcript")[:20]
        if parse_url(url := line(each.get("url", ""))) is not None
    ]
    chapters = [
        Beside("chapters", url)
        for each in named("chapters")[:1]
        if parse_url(url := line(each.get("url", ""))) is not None
    ]
    persons = (
        cut(line(each.text or ""), 100)
        + (f" ({cut(line(each.get('role', '')), 40)})" if each.get("role") else "")
        for each in named("person")[:20]
        if (each.text or "").strip()
    )
    return Extras(
        chapters=chapters[0] if chapters else None,
        transcript=min(transcripts, key=_rank, default=None),
        season=_number(named("season")),
        number=_number(named("episode")),
        persons=tuple(dict.fromkeys(persons)),
    )


def _rank(transcript: Beside) -> int:
    return _PREFERRED.index(transcript.kind) if transcript.kind in _PREFERRED else len(_PREFERRED)


def _number(found: Sequence[Element]) -> str:
    return cut(line(found[0].text or ""), 20) if found else ""


# ---------------------------------------------------------------- chapters


@dataclass(frozen=True)
class ChaptersFile:
    """Reads the chapters of one episode (podcast namespace, JSON)."""

    format: str = "chapters"

    def recognises(self, file: File) -> bool:
        head = file.data[:2_000].lstrip(b"\xef\xbb\xbf \t\r\n")
        return head.startswith(b"{") and b'"chapters"' in head and b'"startTime"' in file.data

    def read(self, file: File) -> Document:
        """Read the chapters. Raises Unreadable for JSON that holds none."""
        value = _json(file, MAX_CHAPTERS)
        rows = value.get("chapters")
        if not isinstance(rows, list):
            raise Unreadable(f"{file.name} holds no chapters.")
        told = _string(value.get("title")) or _stem(file.name)
        name = _string(value.get("podcastName"))
        page = _page_beside(file, told)
        return Document(
            source=_source_beside(name),
            key=f"{_key_beside(file)}#chapters",
            format=self.format,
            title=f"Chapters of {page.title}",
            url=file.url,
            hash=sha256(file.data).hexdigest(),
            arrivals=_chapters(rows, page),
        )


def _chapters(rows: Sequence[object], page: PageArrival) -> Iterator[Arrival | Rejected]:
    found: list[Chapter] = []
    refused = 0
    for row in rows[:MOST_CHAPTERS]:
        told: Mapping[str, Any] = row if isinstance(row, dict) else {}
        start, title = told.get("startTime"), _string(told.get("title"))
        if isinstance(start, bool) or not isinstance(start, int | float) or not 0 <= start < 1e6:
            refused += 1
        elif title and told.get("toc") is not False:
            found.append(Chapter(at=int(start), title=title))
    if refused:
        yield Rejected(where="chapters", reason=f"{refused} have no time that can be read.")
    if found:
        yield EpisodeArrival(
            page=page, chapters=tuple(sorted(found, key=lambda chapter: chapter.at))
        )
    else:
        yield Rejected(where="chapters", reason="None has a time and a title.")


def _json(file: File, limit: int) -> dict[str, Any]:
    if len(file.data) > limit:
        raise Unreadable(f"{file.name} is larger than such a file can be ({limit // 1000} kB).")
    try:
        value = json.loads(file.text())
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{file.name} is not whole JSON.") from error
    if not isinstance(value, dict):
        raise Unreadable(f"{file.name} is JSON of another kind.")
    return value


def _string(value: object) -> str:
    return cut(line(value), 300) if isinstance(value, str) else ""


def _stem(name: str) -> str:
    return line(name.rpartition("/")[2].rsplit(".", 1)[0].replace("_", " ").replace("-", " "))


def _key_beside(file: File) -> str:
    return file.headers.get(EPISODE_KEY) or f"file:{sha256(file.name.encode()).hexdigest()[:16]}"


def _page_beside(file: File, title: str) -> PageArrival:
    """The episode that a file lies beside: as the fetch says, else the one of this title."""
    return PageArrival(
        ref=file.headers.get(EPISODE_REF, ""),
        kind=PageKind.EPISODE,
        title=file.headers.get(EPISODE_TITLE) or title or "An episode",
    )


def _source_beside(show: str) -> SourceRef:
    if show:
        return SourceRef(key=f"podcast:{slugify(show)}", kind=SourceKind.PODCAST, name=show)
    return SourceRef(key="file", kind=SourceKind.FILE, name="Imported files")


# ---------------------------------------------------------------- transcripts


@dataclass(frozen=True)
class Said:
    """What one voice says, from `at` seconds on."""

    at: int
    speaker: str
    text: str


@dataclass(frozen=True)
class Transcript:
    """Reads a transcript: WebVTT, SRT, the JSON and HTML of the podcast namespace, or plain text."""

    format: str = "transcript"

    def recognises(self, file: File) -> bool:
        head = file.data[:2_000].lstrip(b"\xef\xbb\xbf \t\r\n")
        if head.startswith(b"{"):
            return b'"segments"' in head and b'"startTime"' in head and b'"body"' in head
        text = head.decode("utf-8", "replace")
        if text.startswith("WEBVTT") and text[6:7] in ("", " ", "\t", "\r", "\n"):
            return True
        if re.match(r"\d{1,6}\s*\n", text.replace("\r", "")) and _TIMED.search(text):
            return True
        return _CITED.match(text) is not None

    def read(self, file: File) -> Document:
        """Read the transcript. Raises Unreadable when nobody says anything in it."""
        if len(file.data) > MAX_TRANSCRIPT:
            raise Unreadable(
                f"{file.name} is larger than a transcript can be ({MAX_TRANSCRIPT // 1_000_000} MB)."
            )
        said = _joined(_said(file))
        if not said:
            raise Unreadable(f"{file.name} is a transcript in which nobody says anything.")
        episode = file.headers.get(EPISODE_TITLE, "")
        title = f"Transcript: {episode or _stem(file.name) or 'an episode'}"
        text = "\n\n".join(_paragraph(each) for each in said)
        return Document(
            source=_source_beside(""),
            key=f"{_key_beside(file)}#transcript",
            format=self.format,
            title=cut(title, 300),
            url=file.url,
            hash=sha256(file.data).hexdigest(),
            arrivals=_transcript(file, cut(title, 300), text[:900_000]),
        )


def _transcript(file: File, title: str, text: str) -> Iterator[Arrival]:
    found = parse_url(file.url) if file.url else None
    given = (
        f"{slugify(title)[:60].rstrip('-')}-{sha256(_key_beside(file).encode()).hexdigest()[:8]}"
    )
    page = str(found) if found is not None and found.scheme == "url" else given
    yield PageArrival(
        ref=page, kind=PageKind.ARTICLE, title=title, text=text, extra={"transcript": True}
    )
    if episode := file.headers.get(EPISODE_REF):
        yield LinkArrival(source=page, relation=Relation.RELATED, target=episode)
    yield from mentions(text, section=title)


def _said(file: File) -> Iterator[Said]:
    """What is said, cue by cue."""
    text = file.text().lstrip("\ufeff")
    start = text.lstrip()[:2_000]
    if start.startswith("{"):
        for row in _list(_json(file, MAX_TRANSCRIPT).get("segments")):
            if isinstance(row, dict):
                at = row.get("startTime")
                seconds = int(at) if isinstance(at, int | float) and 0 <= at < 1e6 else 0
                yield Said(seconds, _string(row.get("speaker")), str(row.get("body") or ""))
        return
    if start.startswith("WEBVTT") or _TIMED.search(text[:5_000]):
        yield from _cues(file, text, "vtt" if start.startswith("WEBVTT") else "srt")
        return
    if _CITED.match(text[:2_000]):
        yield from _cited(text)
        return
    words = html_text(text) if re.search(r"<(?:html|body|p|div)[\s>]", text[:5_000], re.I) else text
    for part in re.split(r"\n\s*\n", words):
        yield Said(0, "", part)


def _cues(file: File, text: str, kind: str) -> Iterator[Said]:
    stream = io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n").strip("\n"))
    try:
        for cue in webvtt.from_buffer(stream, format=kind).captions:
            words = " ".join((unescape(cue.text) if kind == "vtt" else cue.text).split())
            speaker = line(cue.voice or "")
            if not speaker and (match := _SPEAKER.match(words)):
                speaker, words = line(match[1]), words[match.end() :]
            yield Said(int(cue.start_in_seconds or 0), speaker, words)
    except (webvtt.errors.MalformedFileError, webvtt.errors.MalformedCaptionError) as error:
        raise Unreadable(f"{file.name} is no {kind.upper()} file that can be read.") from error
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise Unreadable(f"{file.name} holds a cue that cannot be read.") from error


def _cited(text: str) -> Iterator[Said]:
    speaker, at = "", 0
    for name, content in re.findall(r"(?is)<(cite|time|p)[^>]{0,200}>(.*?)</\1\s*>", text):
        words = html_text(content)
        if name.lower() == "cite":
            speaker = line(words).rstrip(":")
        elif name.lower() == "time":
            at = int(seconds_of(line(words)) or 0)
        else:
            yield Said(at, speaker, words)


def _joined(said: Iterable[Said]) -> list[Said]:
    """Cues of one voice as one paragraph, begun anew where it is long and a sentence ends."""
    found: list[Said] = []
    for each in said:
        words = " ".join(each.text.split())
        if not words:
            continue
        last = found[-1] if found else None
        goes_on = last is not None and each.speaker in ("", last.speaker)
        if last is not None and goes_on and not (len(last.text) > 600 and last.text[-1] in ".?!"):
            found[-1] = replace(last, text=f"{last.text} {words}"[:200_000])
        else:
            speaker = each.speaker or (last.speaker if last and goes_on else "")
            found.append(Said(each.at, speaker, words))
    return found


def _paragraph(said: Said) -> str:
    hours, rest = divmod(said.at, 3600)
    at = f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
    words = to_markdown(f"<p>{escape(said.text)}</p>")
    who = f"**{escaped(said.speaker)}**, {at}" if said.speaker else at
    return f"{who}: {words}"


# ---------------------------------------------------------------- fetching


@dataclass(frozen=True)
class PodcastConnector:
    """Asks for a podcast's feed, then for the chapters and the transcript of each new episode."""

    name: str = "podcast"
    kind: SourceKind = SourceKind.PODCAST
    every_minutes: int = 180
    options: Mapping[str, str] = field(
        default_factory=lambda: {
            "transcripts": "no: leave chapters and transcripts where they are."
        }
    )

    def finds(self, text: str) -> Found | None:
        """None: that an address is a podcast shows when it is asked."""
        return None

    def fetch(self, web: Web, wanted: Wanted) -> Iterator[Fetched]:
        """The feed, then what lies beside its new episodes, each kept before the next is asked for."""
        filling = bool(wanted.first or wanted.last)
        todo = [dict(each) for each in _list(wanted.cursor.get("todo")) if isinstance(each, dict)]
        done = [str(each) for each in _list(wanted.cursor.get("done"))]
        asks = str(wanted.options.get("transcripts", "yes")).lower() not in ("no", "false", "0")
        cursor: dict[str, Any] = {}
        for fetched, file in fetch_feed(web, wanted):
            if file.data and asks:
                todo, done = _wanted_beside(file, wanted, todo, done)
            cursor = {**fetched.cursor, "todo": todo, "done": done}
            yield replace(fetched, cursor=cursor)
        for _ in range(MOST_BESIDE if not filling else 10 * MOST_BESIDE):
            if not todo:
                return
            beside, todo = todo[0], todo[1:]
            answer = None
            try:
                limit = MAX_CHAPTERS if beside["format"] == "chapters" else MAX_TRANSCRIPT
                answer = web.get(str(beside["url"]), limit=limit)
            except NotFetched as error:
                tries = int(beside.get("tries") or 0) + 1
                if error.again and tries < MOST_TRIES:
                    todo = [*todo, {**beside, "tries": tries}]
            cursor = {**cursor, "todo": todo, "done": done}
            if answer is None or answer.status != 200:
                yield Fetched(cursor=cursor)
                continue
            yield Fetched(
                cursor=cursor,
                data=answer.data,
                format=str(beside["format"]),
                name=f"{beside['format']} of {beside['title']}",
                url=answer.url,
                headers={
                    **answer.headers,
                    EPISODE_KEY: str(beside["key"]),
                    EPISODE_REF: str(beside["ref"]),
                    EPISODE_TITLE: str(beside["title"]),
                },
            )


def _wanted_beside(
    file: File, wanted: Wanted, todo: list[dict[str, Any]], done: list[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """What is to be asked for beside the feed's episodes, and all that needs no asking any more.

    Of a source that was never fetched, nothing that is older than its first day is asked for.
    """
    try:
        channel = parse(file)
    except Unreadable:
        return todo, done  # its reader says what is wrong with it
    source = source_of(channel, file, SourceKind.PODCAST)
    beside = {
        id(entry.raw): extra
        for entry, extra in zip(channel.entries, extras_of(channel, file), strict=True)
    }
    known = set(done)
    there: list[str] = []
    for key, entry in with_pages(channel.entries, channel.link):
        extras = beside.get(id(entry.raw), Extras())
        for each in (extras.chapters, extras.transcript):
            if each is None:
                continue
            mark = sha256(each.url.encode("utf-8", "replace")).hexdigest()[:12]
            there.append(mark)
            day = entry.published
            outside = day and (
                day < wanted.first
                or (bool(wanted.last) and day > wanted.last)
                or day < wanted.since
            )
            if mark in known or outside:
                continue
            known.add(mark)
            title = title_of(entry, html_text(entry.html))
            todo = [
                *todo,
                {
                    "format": each.format,
                    "url": each.url,
                    "key": key,
                    "ref": page_ref(entry, f"{source.key} {key}", title),
                    "title": title,
                },
            ]
    return todo[:500], there[:2_000]
