"""Feeds: RSS, RDF, Atom, CDF and JSON Feed, from a file or fetched.

An entry is an article with a page of its own, under its address; the papers that it links or names are
mentioned. A feed whose entries are papers is a listing: they wait in the Inbox. An entry of a list of
links, which has a score and no words of its own, gets no page: of it stays which paper it led to.

The parser is feedparser: it is given text that was looked at (xml_text), never an address.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import urljoin, urlsplit

import feedparser

from app.domain.identifiers import parse_id, parse_url, slugify
from app.domain.items import (
    Arrival,
    Bundle,
    Document,
    Extra,
    MentionArrival,
    PageArrival,
    PaperArrival,
    Ref,
    Rejected,
    SourceRef,
)
from app.domain.records import PageKind, SourceKind
from app.domain.untrusted import cut, line
from app.errors import NotFetched, Unreadable
from app.sources import xml_text
from app.sources.addresses import http_address
from app.sources.base import File
from app.sources.connectors import Fetched, Found, Response, Wanted, Web
from app.sources.markup import to_markdown
from app.sources.named_papers import mentions, paper_of
from app.sources.page_text import html_text

MAX_FEED = 10_000_000  # bytes, as many as are fetched
MAX_ENTRY = 1_000_000  # characters of one entry's HTML that are read
_SETTLED = 100_000  # characters of its words in which clocks and counters are looked for
MOST_ENTRIES = 5_000
MOST_PAGES = 40  # of one back-fill
MAX_TITLE = 300
FIRST_YEAR, LAST_YEAR = 1900, 2100  # a date outside is a slip
ACCEPT = (
    "application/rss+xml, application/atom+xml, application/feed+json, application/rdf+xml, "
    "application/xml;q=0.9, text/xml;q=0.9, application/json;q=0.8, */*;q=0.1"
)

_ROOTS = frozenset(["rss", "rdf", "feed", "channel"])
_JSON_FEED = re.compile(rb'"version"\s*:\s*"https?:\\?/\\?/(?:www\.)?jsonfeed\.org\\?/version')
_SOUND = re.compile(
    rb"""<enclosure\s[^<>]{0,2000}?type\s?=\s?["'](?:audio|video)/|"mime_type"\s?:\s?"(?:audio|video)/""",
    re.I,
)
_CALLED = re.compile(r"\bpodcast\b", re.I)
_EPISODE_PATH = re.compile(r"/(?:podcasts?|episodes?)/", re.I)
_TAGGED = re.compile(r"<[a-zA-Z/!][^<>]{0,2000}>|&[#\w]{1,10};")

# What changes by itself: clocks, and how many have seen or liked it.
_CLOCK = re.compile(
    r"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?"
    r"|\b\d{1,2}:\d{2}(?::\d{2})?(?:\s?[ap]m)?\b"
    r"|\b(?:\d+|an?|one) (?:second|minute|hour|day|week|month|year)s? ago\b"
    r"|\b(?:updated|generated|refreshed|retrieved|fetched|as of|last (?:built|updated|modified))\b[^.\n]{0,60}",
    re.I,
)
_COUNTED = (
    r"points?|score|up-?votes?|votes?|comments?|replies|responses|likes?|claps?|shares?|views?|reads?"
    r"|reactions?|stars?|downloads?|plays?|listens?|followers?|retweets?|reposts?|visitors?|hits"
)
_COUNTER = re.compile(
    rf"(?:#\s?)?\b(?:{_COUNTED})\b\W{{0,6}}\d[\d.,]{{0,12}}\s?[km]?\b"
    rf"|\b\d[\d.,]{{0,12}}+\s?[km]?\W{{0,3}}\b(?:{_COUNTED})\b",
    re.I,
)
_SCORE = re.compile(
    r"\b(?:score|points|upvotes)\W{0,6}(\d{1,7})\b|\b(\d{1,7}) (?:points|upvotes)\b", re.I
)
_COMMENTS = re.compile(r"\bcomments\W{0,6}(\d{1,7})\b|\b(\d{1,7}) comments\b", re.I)
# The lines that lists of links have in place of words.
_FRAME = re.compile(
    r"(?:(?:#\s?)?(?:score|points|upvotes|comments|by|author|discussion|article url|comments url|link"
    r"|submitted by)\b.*|\[?(?:link|comments?|discussion)\]?\s?(?:\[https?://\S*\])?|https?://\S*|\W*)",
    re.I,
)
_SUBMITTED = re.compile(r"\s*submitted by\s.*\Z", re.I | re.S)
_LABELLED = re.compile(r"(?:^|\n)\s*(authors?|upvotes|summary|abstract|tl;?dr)\s*:\s*", re.I)


@dataclass(frozen=True)
class Entry:
    """One entry as its feed tells of it. `html` is its longest text; `guid` is '' where it has none.

    `published` is a day, '' where it has none that can be read; `updated` a time, which orders two of
    one guid.
    """

    guid: str
    link: str
    title: str
    html: str = ""
    base: str = ""
    published: str = ""
    updated: str = ""
    authors: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    state: Extra = field(default_factory=dict)
    link_only: bool = False  # it only leads somewhere
    own_link: bool = True  # False where the link is not this entry's alone
    raw: Mapping[str, Any] = field(default_factory=dict)  # as the parser has it


@dataclass(frozen=True)
class Channel:
    """A feed: what it says of itself, and its entries in order."""

    title: str
    link: str
    address: str  # its own, '' where it does not say
    description: str
    day: str  # when it says it was made, '' where it does not
    entries: tuple[Entry, ...]
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Feed:
    """Reads a feed; each entry is an item."""

    format: str = "feed"

    def recognises(self, file: File) -> bool:
        """The first element is that of a feed, or the JSON names the JSON Feed format."""
        if is_json_feed(file):
            return True
        return xml_text.root(file.data) in _ROOTS and looks_like_feed(file)

    def read(self, file: File) -> Bundle:
        """Read the feed. Raises Unreadable for what is none, and for XML that is not safe to read."""
        channel = parse(file)
        source = source_of(channel, file, SourceKind.FEED)
        return Bundle(
            source=source,
            format=self.format,
            documents=documents(
                channel.entries, source, self.format, home=channel.link, day=channel.day
            ),
        )


def looks_like_feed(file: File) -> bool:
    """Whether what stands in an element named like a feed's is one: <channel> may be anything."""
    head = xml_text.decoded(file.data[:4_000]).lower()
    if "<channel" in head and "<rss" not in head and ":rdf" not in head and "<rdf" not in head:
        return "<item" in head or "cdf" in head or "href=" in head
    if ":rdf" in head or "<rdf" in head:
        return any(
            mark in head for mark in ("purl.org/rss", "netscape.com/rdf", "channel.netscape")
        )
    return True


def is_podcast(file: File) -> bool:
    """Whether a feed's entries have audio or video, or it calls itself a podcast and has episodes."""
    if _SOUND.search(file.data):
        return True
    head = xml_text.decoded(file.data[:20_000])
    titles = re.search(r"<title[^>]*>(.{0,300}?)</title>", head, re.S)
    return bool(titles and _CALLED.search(titles[1]) and len(_EPISODE_PATH.findall(head)) >= 2)


# ---------------------------------------------------------------- parsing


def parse(file: File) -> Channel:
    """The feed in a file. Raises Unreadable when there is none in it, or it is not safe to read."""
    if len(file.data) > MAX_FEED:
        raise Unreadable(f"{file.name} is larger than a feed can be ({MAX_FEED // 1_000_000} MB).")
    if is_json_feed(file):
        return _json_feed(file)
    root, text = xml_text.root(file.data), safe_text(file)
    # As UTF-8 bytes in a stream: a string would be taken for an address or the name of a file.
    data = without_live_items(text).encode("utf-8", "replace")
    xml_text.refuse_costly(file, data)
    headers = {"content-type": "application/xml; charset=utf-8"}
    # Of the parser's own a base would make addresses of guids too, and others wherever a feed moves.
    base = _address(_joined(file.url, file.headers.get("content-location", ""))) or file.url
    if language := file.headers.get("content-language"):
        headers["content-language"] = language
    try:
        parsed = feedparser.parse(
            io.BytesIO(data),
            response_headers=headers,
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except Exception as error:  # whatever bytes do to a parser is no fault of whoever sent for them
        raise Unreadable(
            f"{file.name} could not be read as a feed ({type(error).__name__})."
        ) from error
    if not parsed.get("version") and not parsed.get("entries") and root not in _ROOTS:
        raise Unreadable(f"{file.name} is no feed: no channel and no entry is in it.")
    feed = parsed.get("feed") or {}
    # What an RSS title is nobody says; an Atom title says whether its tags are letters.
    says = str(parsed.get("version") or "").startswith("atom")
    entries = [
        _entry(raw, base, says_kind=says) for raw in parsed.get("entries", [])[:MOST_ENTRIES]
    ]
    return Channel(
        title=_title(feed.get("title_detail") if says else None, feed.get("title")),
        link=_address(_joined(base, link)) if (link := _string(feed.get("link"))) else "",
        address=next(
            (_address(each.get("href")) for each in _links(feed) if each.get("rel") == "self"), ""
        ),
        description=cut(_plain(feed.get("subtitle") or feed.get("description") or ""), 1_000),
        day=_first_moment(feed, "published", "updated", "created")[:10],
        entries=tuple(entries),
        raw=feed,
    )


def safe_text(file: File) -> str:
    """The text of an XML file that may be parsed, declared as what it now is: UTF-8."""
    kind = file.headers.get("content-type", "")
    charset = re.search(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", kind, re.I)
    text = xml_text.decoded(file.data, charset[1] if charset else "").lstrip("\ufeff \t\r\n\0")
    text = text.replace("\0", "")
    xml_text.refuse_unsafe(file, text)
    declared = re.match(r"<\?xml[^>]{0,1000}>", text)
    return "<?xml version='1.0' encoding='utf-8'?>\n" + text[declared.end() if declared else 0 :]


def without_live_items(text: str) -> str:
    """The feed without its live items: what is in them would pass for the channel's own."""
    parts: list[str] = []
    at = 0
    for opening in re.finditer(r"<podcast:liveItem[\s>]", text):
        if opening.start() < at:
            continue
        end = text.find("</podcast:liveItem>", opening.end())
        if end < 0:
            break
        parts.append(text[at : opening.start()])
        at = end + len("</podcast:liveItem>")
    return "".join([*parts, text[at:]]) if parts else text


def _entry(raw: dict[str, Any], base: str, *, says_kind: bool) -> Entry:
    text, own_base = _text(raw)
    published = _first_moment(raw, "published", "updated", "created")[:10]
    return Entry(
        guid=line(_string(raw.get("id"))),
        link=_link(raw, base),
        title=_title(raw.get("title_detail") if says_kind else None, raw.get("title")),
        html=text,
        base=_joined(base, own_base),
        published=published,
        updated=_first_moment(raw, "updated", "published"),
        authors=_authors(raw),
        categories=tuple(
            dict.fromkeys(
                cut(line(_string(tag.get("label")) or _string(tag.get("term"))), 80)
                for tag in raw.get("tags") or ()
                if isinstance(tag, Mapping) and (tag.get("term") or tag.get("label"))
            )
        )[:30],
        state=_state(raw),
        raw=raw,
    )


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _links(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in raw.get("links") or () if isinstance(each, Mapping)]


def _link(raw: Mapping[str, Any], base: str) -> str:
    """Where the entry leads: its link, else its guid where that is an address."""
    others = (
        each.get("href") for each in _links(raw) if each.get("rel", "alternate") == "alternate"
    )
    for link in (raw.get("feedburner_origlink"), raw.get("link"), *others):
        if (said := _string(link).strip()) and (found := _address(_joined(base, said))):
            return found
    return _address(raw.get("id"))


def _address(value: object) -> str:
    """An http(s) address that fits on one line, '' for anything else."""
    text = line(_string(value))
    return text if parse_url(text) is not None else ""


def _text(raw: Mapping[str, Any]) -> tuple[str, str]:
    """The entry's longest text as HTML, and the address that its links count from."""
    found: list[tuple[str, str]] = []
    contents = raw.get("content") or ()
    for each in (*contents, raw.get("summary_detail")):
        if isinstance(each, Mapping) and isinstance(each.get("value"), str):
            kind = _string(each.get("type"))
            if kind in ("text/html", "application/xhtml+xml", "text/plain", ""):
                found.append((as_html(each["value"], kind), _string(each.get("base"))))
    if not found and isinstance(raw.get("summary"), str):
        found.append((as_html(raw["summary"], ""), ""))
    html, base = max(found, key=lambda one: len(one[0]), default=("", ""))
    return html[:MAX_ENTRY], base


def as_html(text: str, kind: str) -> str:
    """Text as HTML: plain text gets its paragraphs."""
    if kind == "text/plain" or (not kind and not _TAGGED.search(text)):
        paragraphs = re.split(r"\n\s*\n", text)
        return "".join(f"<p>{escape(part)}</p>" for part in paragraphs if part.strip())
    return text


def _title(detail: object, text: object) -> str:
    """A title as plain text on one line."""
    value = _string(text)
    kind = _string(detail.get("type")) if isinstance(detail, Mapping) else ""
    return cut(_plain(value, kind), MAX_TITLE)


def _plain(text: str, kind: str = "") -> str:
    """Words without HTML. Text that is said to be plain keeps what looks like a tag."""
    if kind != "text/plain" and _TAGGED.search(text):
        text = html_text(text)
    return line(text)


def _authors(raw: Mapping[str, Any]) -> tuple[str, ...]:
    names = [
        _string(each.get("name")) for each in raw.get("authors") or () if isinstance(each, Mapping)
    ]
    names = [*filter(None, names)] or [_string(raw.get("author"))]
    return tuple(dict.fromkeys(cut(_plain(name), 200) for name in names if name))[:50]


def _moment(parsed: object) -> str:
    """A time (in UTC) as feedparser has it, in ISO form; '' for none, and for one that is a slip."""
    if not isinstance(parsed, tuple) or len(parsed) < 6:
        return ""
    try:
        year, month, day, hour, minute, second = (int(number) for number in parsed[:6])
        at = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except (ValueError, OverflowError, TypeError):
        return ""
    return at.isoformat() if FIRST_YEAR <= at.year <= LAST_YEAR else ""


def _first_moment(raw: dict[str, Any], *names: str) -> str:
    """The first of these times that can be read. By dict.get: the parser's own lends one for another."""
    return next(filter(None, (_moment(dict.get(raw, f"{name}_parsed")) for name in names)), "")


def moment_of(text: str) -> str:
    """The time (in UTC) of an ISO date or time, in ISO form; '' for anything else."""
    try:
        at = datetime.fromisoformat(text.strip())
        at = at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return ""
    return at.isoformat() if FIRST_YEAR <= at.year <= LAST_YEAR else ""


def day_of(text: str) -> str:
    """The day (in UTC) of an ISO date or time; '' for anything else."""
    return moment_of(text)[:10]


def _state(raw: Mapping[str, Any]) -> dict[str, int]:
    state: dict[str, int] = {}
    for name in ("slash_comments", "thr_total"):
        if (value := _string(raw.get(name))).isdecimal() and len(value) < 9:
            state["comments"] = int(value)
    return state


# ---------------------------------------------------------------- JSON Feed


def is_json_feed(file: File) -> bool:
    start = file.data[:200].lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"{") and _JSON_FEED.search(file.data, 0, MAX_FEED) is not None


def _json_feed(file: File) -> Channel:
    try:
        value = json.loads(file.text())
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{file.name} is a JSON Feed that is not whole JSON.") from error
    items = value.get("items") if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise Unreadable(f"{file.name} is a JSON Feed without items.")
    base = _address(value.get("home_page_url")) or file.url
    title = _string(value.get("title")) or _string(value.get("home_page_url"))
    return Channel(
        title=cut(line(title), MAX_TITLE),
        link=_address(value.get("home_page_url")),
        address=_address(value.get("feed_url")),
        description=cut(line(_string(value.get("description"))), 1_000),
        day="",
        entries=tuple(
            _json_entry(each, base) for each in items[:MOST_ENTRIES] if isinstance(each, dict)
        ),
        raw=value,
    )


def _json_entry(item: Mapping[str, Any], base: str) -> Entry:
    guid = item.get("id")
    guid = str(guid) if isinstance(guid, int | float) and not isinstance(guid, bool) else guid
    html = _string(item.get("content_html"))
    if not html:
        html = as_html(
            _string(item.get("content_text")) or _string(item.get("summary")), "text/plain"
        )
    links = (_string(item.get(name)) for name in ("url", "external_url"))
    link = next((found for each in links if each and (found := _address(_joined(base, each)))), "")
    people = item.get("authors") if isinstance(item.get("authors"), list) else [item.get("author")]
    tags = item.get("tags") if isinstance(item.get("tags"), list) else []
    return Entry(
        guid=line(_string(guid)),
        link=link,
        title=cut(line(_string(item.get("title"))), MAX_TITLE),
        html=html[:MAX_ENTRY],
        base=link or base,
        published=day_of(_string(item.get("date_published")))
        or day_of(_string(item.get("date_modified"))),
        updated=moment_of(_string(item.get("date_modified")))
        or moment_of(_string(item.get("date_published"))),
        authors=tuple(
            cut(line(_string(each.get("name"))), 200)
            for each in people or ()
            if isinstance(each, Mapping) and each.get("name")
        )[:50],
        categories=tuple(cut(line(each), 80) for each in tags or () if isinstance(each, str))[:30],
        raw=item,
    )


def _joined(base: str, link: str) -> str:
    try:
        return urljoin(base, link)
    except ValueError:
        return ""


# ---------------------------------------------------------------- entries become items


def source_of(channel: Channel, file: File, kind: SourceKind) -> SourceRef:
    """The source a saved feed comes from: by its own address, else its page's, else its name."""
    own = channel.address or file.url or channel.link
    found = parse_url(own) if own else None
    name = channel.title or (urlsplit(own).hostname if own else "") or file.name
    return SourceRef(
        key=f"{kind.value}:" + (found.value.rstrip("/") if found else slugify(name)),
        kind=kind,
        name=name,
        url=own,
        description=channel.description,
    )


def documents(
    entries: Sequence[Entry], source: SourceRef, format: str, *, home: str = "", day: str = ""
) -> Iterator[Document | Rejected]:
    """Each entry as an item. `home`: the page of the feed itself. `day`: that of the feed, for a listing
    of papers without dates.
    """
    listing = is_listing(entries)
    for number, (key, entry) in enumerate(with_pages(entries, home), start=1):
        if not (entry.title or entry.link or entry.html.strip()):
            yield nothing_in(number)
            continue
        yield document(entry, key, source, format, number, listing=listing, day=day)


def nothing_in(number: int) -> Rejected:
    return Rejected(where=f"entry {number}", reason="It has no title, no address and no text.")


def with_pages(entries: Sequence[Entry], home: str) -> list[tuple[str, Entry]]:
    """Each entry with its identity, told whether its link is its own.

    One that leads to the feed's home, or to where others lead too, is not the address of one entry.
    """
    found = keyed(replace(entry, link=http_address(entry.link) or entry.link) for entry in entries)
    led = Counter(entry.link for _, entry in found)
    return [
        (
            key,
            replace(
                entry, own_link=bool(entry.link) and led[entry.link] == 1 and entry.link != home
            ),
        )
        for key, entry in found
    ]


def keyed(entries: Iterable[Entry]) -> list[tuple[str, Entry]]:
    """Each entry with its identity: its guid, else its link, else its title and day.

    Of two that are one, which have one guid and lead to one place, the later changed stands. Where one
    guid stands for several things it tells nothing: the place that each leads to is added to it.
    """
    named: dict[str, dict[str, Entry]] = {}
    order: list[tuple[str, str]] = []
    for entry in entries:
        name = entry.guid or entry.link or _digest(entry.title, entry.published, entry.html[:2_000])
        place = _digest(entry.link or entry.title)
        twins = named.setdefault(name, {})
        standing = twins.get(place)
        if standing is None:
            order.append((name, place))
            twins[place] = entry
        elif entry.updated > standing.updated:
            twins[place] = entry
    found = []
    for name, place in order:
        key = name if len(named[name]) == 1 else f"{name}#{place[:16]}"
        found.append((key if len(key) <= 500 else _digest(key), named[name][place]))
    return found


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def content_hash(entry: Entry, words: str, *more: str) -> str:
    """The hash of what an entry says, without clocks and counters, which change by themselves."""
    settled = _COUNTER.sub("#", _CLOCK.sub("#", words[:_SETTLED]))
    return _digest(entry.title, entry.link, entry.published, settled, words[_SETTLED:], *more)


def is_listing(entries: Sequence[Entry]) -> bool:
    """Whether most of a feed's entries are papers themselves."""
    linked = [entry for entry in entries if entry.link]
    papers = sum(1 for entry in linked if paper_of(entry.link))
    return papers > 0 and papers * 2 > len(linked)


def document(
    entry: Entry,
    key: str,
    source: SourceRef,
    format: str,
    number: int,
    *,
    listing: bool = False,
    day: str = "",
) -> Document:
    """An entry as an item: a paper of a listing, a mention of what a link leads to, or an article."""
    words = html_text(entry.html, links=True)
    state = {**_counts(words), **entry.state}
    paper = paper_of(entry.link) if entry.link else None
    arrivals: tuple[Arrival, ...]
    if paper and listing:
        told = _labelled(words)
        arrivals = (_paper(entry, paper, words, told, day=entry.published or day, position=number),)
        if told.get("upvotes", "").isdecimal():
            state = {"upvotes": int(told["upvotes"][:9])}
    elif paper or (
        entry.link_only or (is_link_only(words, state) and not _own_place(entry, source))
    ):
        arrivals = _led_to(entry, paper, words, source)
    else:
        arrivals = tuple(_article(entry, key, source))
    return Document(
        source=source,
        key=key,
        format=format,
        title=title_of(entry, words),
        url=entry.link,
        published=entry.published,
        hash=content_hash(entry, words),
        state=state,
        arrivals=arrivals,
    )


def title_of(entry: Entry, words: str = "") -> str:
    """A title, made from its first words or its address where the entry has none."""
    return (
        entry.title
        or cut(line(words), 80)
        or cut(entry.link.partition("://")[2], 120)
        or f"Untitled, {entry.published or 'without date'}"
    )


def _counts(words: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, shape in (("score", _SCORE), ("comments", _COMMENTS)):
        if len(words) < 2_000 and (match := shape.search(words)):
            found[name] = int(match[1] or match[2])
    return found


def is_link_only(words: str, state: Extra) -> bool:
    """Whether an entry has a score, or who submitted it, and no words beside."""
    if _SUBMITTED.search(words[-3_000:]):
        return not _SUBMITTED.sub("", words).strip()
    return "score" in state and all(_FRAME.fullmatch(each.strip()) for each in words.split("\n"))


def _own_place(entry: Entry, source: SourceRef) -> bool:
    """Whether an entry leads to the feed's own site."""
    there, here = urlsplit(entry.link).hostname or "", urlsplit(source.url).hostname or ""
    return bool(there) and there == here and "reddit" not in there


def _led_to(entry: Entry, paper: Ref | None, words: str, source: SourceRef) -> tuple[Arrival, ...]:
    """The papers that a list of links led to: that of the link, and those in the words."""
    section = title_of(entry, words)
    named = mentions(
        to_markdown(entry.html, base=entry.base or entry.link),
        section=section,
        day=entry.published,
        source_name=source.name,
    )
    if paper is None or any(_bare(each.paper) == _bare(paper) for each in named):
        return named
    own = MentionArrival(
        paper=paper,
        section=section,
        day=entry.published,
        text=entry.title,
        source_name=source.name,
    )
    return (own, *named)


def _bare(ref: Ref) -> str:
    found = parse_id(ref)
    return str(found) if found else ref


def _article(entry: Entry, key: str, source: SourceRef) -> Iterator[Arrival]:
    body = to_markdown(entry.html, base=entry.base or entry.link)
    title = title_of(entry, html_text(entry.html[:20_000]))
    if line(html_text(entry.html)) == title:
        body = ""
    extra: dict[str, Any] = {"source": source.name}
    if entry.authors:
        extra["authors"] = list(entry.authors)
    if entry.published:
        extra["published"] = entry.published
    if entry.categories:
        extra["categories"] = list(entry.categories)
    yield PageArrival(
        ref=page_ref(entry, f"{source.key} {key}", title),
        kind=PageKind.ARTICLE,
        title=title,
        text=body,
        extra=extra,
    )
    # The title is a sentence of its own: a paper may be named there alone.
    yield from mentions(
        f"{title}\n\n{body}", section=title, day=entry.published, source_name=source.name
    )


def page_ref(entry: Entry, key: str, title: str) -> Ref:
    """What the entry's page is called by: its address, else a name that only this `key` has."""
    found = parse_url(entry.link) if entry.own_link else None
    if found is not None and found.scheme == "url":
        return str(found)
    return f"{slugify(title)[:60].rstrip('-')}-{_digest(key)[:8]}"


# ---------------------------------------------------------------- entries that are papers


def _paper(
    entry: Entry, paper: Ref, words: str, told: Mapping[str, str], *, day: str, position: int
) -> PaperArrival:
    """An entry of a listing of papers, with what its text says under "Authors:" and "Summary:"."""
    abstract = told.get("summary") or told.get("abstract") or ("" if told else line(words))
    named = told.get("authors") or told.get("author") or ""
    authors = tuple(line(name) for name in named.split(",") if name.strip()) or entry.authors
    return PaperArrival(
        refs=(paper,),
        title=entry.title or title_of(entry),
        abstract=abstract[:20_000],
        authors=authors[:500],
        published="",
        day=day,
        position=position,
    )


def _labelled(words: str) -> dict[str, str]:
    """What stands behind "Authors:", "Upvotes:" and "Summary:" at the beginning of a line."""
    marks = list(_LABELLED.finditer(words))
    if not marks:
        return {}
    ends = [*(mark.start() for mark in marks[1:]), len(words)]
    return {
        mark[1].lower(): line(words[mark.end() : end])
        for mark, end in zip(marks, ends, strict=True)
    }


# ---------------------------------------------------------------- fetching


@dataclass(frozen=True)
class FeedConnector:
    """Asks for a feed: whole, and only when it changed. A back-fill follows its older pages."""

    name: str = "feed"
    kind: SourceKind = SourceKind.FEED
    every_minutes: int = 60
    options: Mapping[str, str] = field(default_factory=dict)

    def finds(self, text: str) -> Found | None:
        """None: that an address is a feed shows when it is asked."""
        return None

    def fetch(self, web: Web, wanted: Wanted) -> Iterator[Fetched]:
        """The feed, as it is now. Raises NotFetched, also when what comes is no feed."""
        for fetched, _ in fetch_feed(web, wanted):
            yield fetched


def fetch_feed(web: Web, wanted: Wanted) -> Iterator[tuple[Fetched, File]]:
    """Each page of a feed as it is to be kept, and as a file. Of what is new there is one page.

    A back-fill goes on to older pages (RFC 5005, `next_url`) until one is older than its first day.
    """
    filling = bool(wanted.first or wanted.last)
    url = str(wanted.cursor.get("next") or wanted.url) if filling else wanted.url
    known = {} if filling else wanted.cursor
    asked: set[str] = set()
    for number in range(1, MOST_PAGES + 1):
        asked.add(url)
        answer = web.get(
            url,
            accept=ACCEPT,
            etag=str(known.get("etag") or ""),
            modified=str(known.get("modified") or ""),
        )
        if answer.status == 304:
            yield Fetched(cursor=dict(known), url=answer.url, moved=answer.moved), File("feed", b"")
            return
        file = File(file_name(answer.url), answer.data, url=answer.url, headers=answer.headers)
        if not Feed().recognises(file):
            raise NotFetched(f"{url} answers with something else than a feed.")
        if not is_json_feed(file):
            try:
                safe_text(file)
            except Unreadable as error:
                raise NotFetched(str(error)) from error
        older = older_page(file, wanted.first) if filling else ""
        older = "" if older in asked else older
        yield (
            Fetched(
                cursor={"next": older} if filling else marks(answer),
                data=answer.data,
                format="podcast" if is_podcast(file) else "feed",
                name=f"page {number} of the feed" if filling else "the feed",
                url=answer.url,
                headers=answer.headers,
                moved=answer.moved,
            ),
            file,
        )
        if not older:
            return
        url = older


def marks(answer: Response) -> dict[str, str]:
    """What makes the next request a conditional one, as far as the service gives it."""
    found = {
        "etag": answer.headers.get("etag", ""),
        "modified": answer.headers.get("last-modified", ""),
    }
    return {name: cut_mark for name, value in found.items() if (cut_mark := value[:1_000])}


def older_page(file: File, first: str) -> str:
    """Where a feed's older entries are, '' when nobody says or these are older than `first` already."""
    try:
        channel = parse(file)
    except Unreadable:
        return ""
    days = [entry.published for entry in channel.entries if entry.published]
    if not channel.entries or (first and days and min(days) < first):
        return ""
    links = {str(each.get("rel")): each.get("href") for each in reversed(_links(channel.raw))}
    link = links.get("next") or links.get("prev-archive") or channel.raw.get("next_url")
    return _address(_joined(file.url, _string(link))) if link else ""


def file_name(url: str) -> str:
    """The last part of an address, as a file would be called."""
    return urlsplit(url).path.rstrip("/").rpartition("/")[2] or "the feed"
