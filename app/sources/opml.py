"""OPML: the list of feeds that readers of feeds hand over to each other, in and out.

What is read is what `outline` elements say, even in a file that is broken XML. A list only names
feeds: nothing is fetched here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from app.domain.identifiers import parse_url
from app.domain.items import Document, Rejected, SourceRef, SubscriptionArrival
from app.domain.records import SourceKind
from app.domain.untrusted import cut, line
from app.errors import Unreadable
from app.sources import xml_text
from app.sources.base import File
from app.sources.page_text import html_tokens, tag_and_attributes

MAX_OPML = 10_000_000  # bytes
MOST = 5_000
_DEEPEST = 50
_LONGEST = 300


@dataclass(frozen=True)
class Outline:
    """A feed in a list: its name, its address, the page it belongs to, and the folder it stands in."""

    name: str
    url: str
    site: str = ""
    folder: str = ""


@dataclass(frozen=True)
class Opml:
    """Reads a list of feeds: each is a source to subscribe to."""

    format: str = "opml"

    def recognises(self, file: File) -> bool:
        return xml_text.root(file.data) == "opml"

    def read(self, file: File) -> Document:
        """Read the list. Raises Unreadable when it names no feed, and for XML that is not safe to read."""
        if len(file.data) > MAX_OPML:
            raise Unreadable(f"{file.name} is larger than a list of feeds can be (10 MB).")
        text = xml_text.decoded(file.data)
        xml_text.refuse_unsafe(file, text)
        found = list(_outlines(text))
        if not any(isinstance(each, SubscriptionArrival) for each in found):
            raise Unreadable(
                f"{file.name} names no feed: no outline has an xmlUrl that is an address."
            )
        return Document(
            source=SourceRef(key="file", kind=SourceKind.FILE, name="Imported files"),
            key=f"{self.format}:{sha256(file.data).hexdigest()[:16]}",
            format=self.format,
            title=file.name,
            arrivals=found,
        )


def _outlines(text: str) -> Iterator[SubscriptionArrival | Rejected]:
    folders: list[str] = []
    seen: set[str] = set()
    number = 0
    for kind, value in html_tokens(text):
        if kind == "text":
            continue
        name, given = tag_and_attributes(value)
        if name != "outline":
            continue
        if kind == "close":
            del folders[-1:]
            continue
        called = cut(line(given.get("title") or given.get("text", "")), _LONGEST)
        folder = next((each for each in reversed(folders) if each), "")
        if not value.endswith("/>"):
            # What stands in a feed's own element is a part of it, not of a folder.
            folders = [*folders, "" if given.get("xmlurl") else called][-_DEEPEST:]
        number += 1
        url = line(given.get("xmlurl", ""))
        if not url:
            if given.get("type", "").lower() in ("rss", "atom", "include"):
                yield Rejected(where=f"outline {number}", reason=f"{called[:80]!r} has no xmlUrl.")
            continue
        url = url.removeprefix("feed:").removeprefix("//") if url.startswith("feed:http") else url
        address = parse_url(url)
        if address is None or address.scheme != "url":
            yield Rejected(
                where=f"outline {number}", reason=f"{url[:100]!r} is no address of a feed."
            )
            continue
        if address.value in seen:
            continue
        if len(seen) >= MOST:
            yield Rejected(where=f"outline {number}", reason=f"Only {MOST:,} feeds are read.")
            return
        seen.add(address.value)
        yield SubscriptionArrival(url=url, name=called or url, folder=folder)


def as_opml(feeds: Iterable[Outline], *, title: str = "cere-bro") -> bytes:
    """The list as OPML 2.0 (UTF-8), folders in order of name, what stands in none first."""
    root = Element("opml", version="2.0")
    SubElement(SubElement(root, "head"), "title").text = line(title)
    body = SubElement(root, "body")
    folders: dict[str, Element] = {}
    for feed in sorted(feeds, key=lambda each: (each.folder, each.name.casefold(), each.url)):
        parent = body
        if folder := line(feed.folder):
            if folder not in folders:
                folders[folder] = SubElement(body, "outline", text=folder, title=folder)
            parent = folders[folder]
        name = line(feed.name) or feed.url
        facts = {"type": "rss", "text": name, "title": name, "xmlUrl": line(feed.url)}
        if feed.site:
            facts["htmlUrl"] = line(feed.site)
        SubElement(parent, "outline", facts)
    indent(root)
    text: str = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()
