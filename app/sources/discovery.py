"""Finds the sources that some words or an address lead to, as they would be added.

First every connector is asked whether the words are its own ("cs.CL", "r/MachineLearning"). Else the
address is fetched, and what came is looked at by the readers: a feed, a podcast, a list of feeds, an
answer of a service that is known. Of a web page it is the feeds that the page names, else those at the
few paths where feeds usually are, on its own host. All of it by the one way out (`Web`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from itertools import islice
from urllib.parse import urljoin, urlsplit

from app.domain.identifiers import parse_url
from app.domain.items import Bundle, Document, PageArrival, PaperArrival, SubscriptionArrival
from app.domain.untrusted import cut, line
from app.errors import CerebroError, Invalid, NotFetched, Unreadable
from app.sources.base import File, Reader, reader_for
from app.sources.connectors import Connector, Found, Response, Web
from app.sources.page_text import tags

MOST_ALTERNATES = 4  # of those that a page names, so many are looked at
MOST_OUTLINES = 500
_LOOKED_AT = 500_000  # characters of a page
_LONGEST = 2_000
ACCEPT = (
    "application/rss+xml, application/atom+xml, application/feed+json, application/xml;q=0.9, "
    "text/xml;q=0.9, application/json;q=0.8, text/html;q=0.7, */*;q=0.1"
)
WELL_KNOWN = ("/feed", "/rss.xml", "/atom.xml", "/feed.xml", "/index.xml", "/feed.json")
_FEED_TYPES = frozenset(
    ["application/rss+xml", "application/atom+xml", "application/rdf+xml", "application/feed+json",
     "application/json", "application/xml", "text/xml"]
)  # fmt: skip


@dataclass(frozen=True)
class _Kind:
    """What an answer in some format is fetched by, and what it brings in words."""

    connector: str
    words: str


_KINDS: Mapping[str, _Kind] = {
    "feed": _Kind("feed", "Articles of a feed: each becomes a page."),
    "podcast": _Kind("podcast", "Episodes of a podcast, with chapters and transcripts."),
    "arxiv-atom": _Kind("arxiv", "Papers of an arXiv query: they wait in the Inbox."),
    "arxiv-rss": _Kind("arxiv-rss", "New papers of an arXiv listing: they wait in the Inbox."),
    "oai": _Kind("oai", "Papers of an OAI-PMH repository: they wait in the Inbox."),
    "hf-daily": _Kind("hf-daily", "Daily papers with their upvotes: they wait in the Inbox."),
    "reddit": _Kind("reddit", "Posts above a score: the papers they link are mentioned."),
}


def discover(
    web: Web, text: str, connectors: Sequence[Connector], readers: Sequence[Reader]
) -> list[Found]:
    """The sources that `text` leads to, the likeliest first; a list of feeds leads to many.

    Raises Invalid when it names none, and NotFetched when its address does not answer.
    """
    said = line(text)
    if not said:
        raise Invalid("Give an address, or words that name a source, such as cs.CL.")
    for connector in connectors:
        if (found := connector.finds(said)) is not None:
            return [found]
    url = _address(said)
    by_name = {connector.name: connector for connector in connectors}
    answer = web.get(url, accept=ACCEPT)
    found_here = list(_recognised(answer, url, by_name, readers))
    if found_here:
        return found_here
    if page := _page(answer):
        found_here = [*_alternates(web, page, answer.url, by_name, readers)]
        if not found_here:
            found_here = [*_well_known(web, answer.url, by_name, readers)]
        if found_here:
            return found_here
        raise Invalid(
            f"{url} is a page, and neither it nor its host names a feed. Look on it for the address "
            "of its feed, or import the page itself."
        )
    raise Invalid(f"What {url} answers is no feed, and nothing else that can be subscribed to.")


def _address(said: str) -> str:
    """The address that these words are, with https where no scheme is given. Raises Invalid."""
    if len(said) > _LONGEST:
        raise Invalid("This is too long for an address.")
    url = re.sub(r"^feed:(//)?(?=https?://)", "", said, flags=re.IGNORECASE)
    url = re.sub(r"^(?:feed|pcast|podcast|itpc):/{0,2}", "https://", url, flags=re.IGNORECASE)
    if not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", url):
        if not re.fullmatch(r"[^\s/@:]+\.[^\s/@:.]{2,}(?::\d{1,5})?(?:/\S*)?", url):
            raise Invalid(
                f"{cut(said, 80)!r} names no source. Give an address (https://…), a category of arXiv "
                "(cs.CL) or a subreddit (r/MachineLearning)."
            )
        url = f"https://{url}"
    if parse_url(url) is None:
        raise Invalid(f"{cut(said, 80)!r} is no address that can be fetched: http and https can.")
    return url


# ---------------------------------------------------------------- what came


def _recognised(
    answer: Response, url: str, connectors: Mapping[str, Connector], readers: Sequence[Reader]
) -> Iterator[Found]:
    """The sources that an answer itself is: one, or each feed of a list; none of a page."""
    file = File(_file_name(answer.url), answer.data, url=answer.url, headers=answer.headers)
    try:
        reader = reader_for(file, readers)
        if reader.format not in (*_KINDS, "opml"):
            return
        read = reader.read(file)
    except Unreadable:
        return
    if reader.format == "opml":
        yield from _listed(read, connectors)
        return
    kind = _KINDS[reader.format]
    if kind.connector not in connectors:
        return
    address = answer.moved or url
    own = connectors[kind.connector].finds(address)
    yield own or Found(
        key=source_key(kind.connector, address),
        connector=kind.connector,
        url=address,
        name=cut(line(read.source.name), 120) or address,
        words=_feed_words(read) if reader.format == "feed" else kind.words,
    )


def _feed_words(read: Document | Bundle) -> str:
    """What a feed brings, by its first entries."""
    documents = read.documents if isinstance(read, Bundle) else (read,)
    first = [each for each in islice(documents, 20) if isinstance(each, Document)]
    arrivals = [list(each.arrivals) for each in first]
    if first and all(any(isinstance(one, PaperArrival) for one in each) for each in arrivals):
        return "Papers of a feed: they wait in the Inbox."
    if first and not any(isinstance(one, PageArrival) for each in arrivals for one in each):
        return "A list of links: the papers among them are mentioned."
    return _KINDS["feed"].words


def source_key(connector: str, url: str) -> str:
    """The identity of a source that is an address: with or without a slash at its end it is one."""
    found = parse_url(url)
    return f"{connector}:{(found.value if found else url).rstrip('/')}"


def _listed(read: Document | Bundle, connectors: Mapping[str, Connector]) -> Iterator[Found]:
    documents = read.documents if isinstance(read, Bundle) else (read,)
    number = 0
    for document in documents:
        arrivals = document.arrivals if isinstance(document, Document) else ()
        for arrival in arrivals:
            if not isinstance(arrival, SubscriptionArrival) or number >= MOST_OUTLINES:
                continue
            number += 1
            yield subscription(arrival.url, arrival.name, tuple(connectors.values()))


def subscription(url: str, name: str, connectors: Sequence[Connector]) -> Found:
    """The source at an address that somebody else's list calls a feed, without asking there."""
    for connector in connectors:
        try:
            found = connector.finds(url)
        except CerebroError:
            continue
        if found is not None:
            return found
    return Found(
        key=source_key("feed", url),
        connector="feed",
        url=url,
        name=cut(line(name), 120) or url,
        words=_KINDS["feed"].words,
    )


def _file_name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2] or "the answer"


# ---------------------------------------------------------------- what a page names


def _page(answer: Response) -> str:
    """The text of an HTML page, '' when the answer is none."""
    text = File("page", answer.data[: _LOOKED_AT * 4]).text()[:_LOOKED_AT]
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml") or re.search(
        r"<!doctype html|<html[\s>]|<head[\s>]", text[:4_000], re.IGNORECASE
    ):
        return text
    return ""


def alternates(page: str, base: str) -> list[tuple[str, str]]:
    """The feeds that an HTML page names in its head: (address, title), those of comments last."""
    found: dict[str, str] = {}
    for name, attributes in tags(page, frozenset(["link", "base"])):
        href = attributes.get("href", "").strip()
        if name == "base":
            base = urljoin(base, href) if href else base
            continue
        rel = attributes.get("rel", "").lower().split()
        kind = attributes.get("type", "").partition(";")[0].strip().lower()
        wanted = ("alternate" in rel and kind in _FEED_TYPES) or "feed" in rel
        if not wanted or not href or "stylesheet" in rel:
            continue
        try:
            url = urljoin(base, href)
        except ValueError:
            continue
        if parse_url(url) is not None:
            found.setdefault(url, line(unescape(attributes.get("title", ""))))
    return sorted(found.items(), key=lambda feed: "comment" in f"{feed[0]} {feed[1]}".lower())


def _alternates(
    web: Web, page: str, base: str, connectors: Mapping[str, Connector], readers: Sequence[Reader]
) -> Iterator[Found]:
    seen: set[str] = set()
    for url, _ in alternates(page, base)[:MOST_ALTERNATES]:
        for found in _at(web, url, connectors, readers):
            if found.key not in seen:
                seen.add(found.key)
                yield found


def _well_known(
    web: Web, base: str, connectors: Mapping[str, Connector], readers: Sequence[Reader]
) -> Iterator[Found]:
    """The first feed at the paths of the page's host where feeds usually are."""
    for path in WELL_KNOWN:
        found = list(_at(web, urljoin(base, path), connectors, readers))
        if found:
            yield from found
            return


def _at(
    web: Web, url: str, connectors: Mapping[str, Connector], readers: Sequence[Reader]
) -> Iterator[Found]:
    try:
        answer = web.get(url, accept=ACCEPT)
    except NotFetched:
        return
    yield from _recognised(answer, url, connectors, readers)
