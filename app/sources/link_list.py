"""Lists of links as JSON: what somebody's script gathered from sites, with a title, an address, a date.

An array of objects that have `title` and `url`; `summary`, `published_at`, `authors`, `tags` and counts
in `metadata` are read where they stand. Its entries become what those of a feed become.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from app.domain.identifiers import parse_url, slugify
from app.domain.items import Bundle, Document, Rejected, SourceRef
from app.domain.records import SourceKind
from app.domain.untrusted import cut, line
from app.errors import Unreadable
from app.sources.base import File
from app.sources.feeds import MAX_ENTRY, MAX_FEED, MAX_TITLE, Entry, as_html, day_of, documents

_LINKS_ONLY = frozenset(["discussion", "repository", "link"])
_COUNTS = {
    "score": re.compile(r"(?:^|_)(?:score|points|stars)$"),
    "comments": re.compile(r"(?:^|_)(?:comments|num_comments)$"),
    "upvotes": re.compile(r"(?:^|_)(?:upvotes|likes)$"),
}


@dataclass(frozen=True)
class LinkList:
    format: str = "link-list"

    def recognises(self, file: File) -> bool:
        """An array whose first object names its source beside a title and an address."""
        head = file.data[:20_000].lstrip(b"\xef\xbb\xbf \t\r\n")
        return (
            re.match(rb"\[\s*\{", head) is not None
            and all(mark in head for mark in (b'"title"', b'"url"'))
            and (b'"source_name"' in head or b'"source_id"' in head)
        )

    def read(self, file: File) -> Bundle:
        """Read the list. Raises Unreadable for JSON that is none."""
        if len(file.data) > MAX_FEED:
            raise Unreadable(f"{file.name} is larger than a list of links can be (10 MB).")
        try:
            rows = json.loads(file.text())
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"{file.name} is not whole JSON.") from error
        if not isinstance(rows, list) or not any(isinstance(row, dict) for row in rows):
            raise Unreadable(f"{file.name} holds no list of links.")
        source = _source(rows, file)
        return Bundle(
            source=source, format=self.format, documents=_documents(rows, source, self.format)
        )


def _source(rows: list[Any], file: File) -> SourceRef:
    """The source that all rows name, else the file by its name."""
    named = {
        (_text(row.get("source_id")), _text(row.get("source_name")))
        for row in rows
        if isinstance(row, dict)
    }
    key, name = next(iter(named)) if len(named) == 1 else ("", "")
    stem = file.name.rpartition("/")[2].partition(".")[0]
    return SourceRef(
        key=f"list:{slugify(key or name or stem)}", kind=SourceKind.FEED, name=name or key or stem
    )


def _documents(rows: list[Any], source: SourceRef, format: str) -> Iterator[Document | Rejected]:
    entries = []
    for number, row in enumerate(rows, start=1):
        entry = _entry(row) if isinstance(row, dict) else None
        if entry is None:
            yield Rejected(where=f"entry {number}", reason="It has no title or no address.")
        else:
            entries.append(entry)
    yield from documents(entries, source, format)


def _entry(row: Mapping[str, Any]) -> Entry | None:
    title = cut(_text(row.get("title")), MAX_TITLE)
    link = next(
        (
            address
            for name in ("canonical_url", "url")
            if parse_url(address := _text(row.get(name))) is not None
        ),
        "",
    )
    if not title or not link:
        return None
    summary = row.get("summary") if isinstance(row.get("summary"), str) else ""
    link_only = _text(row.get("source_type")) in _LINKS_ONLY
    if link_only or line(summary or "") == title:
        summary = ""
    people = row.get("authors") if isinstance(row.get("authors"), list) else []
    tags = row.get("tags") if isinstance(row.get("tags"), list) else []
    return Entry(
        guid="",
        link=link,
        title=title,
        html=as_html(summary or "", "")[:MAX_ENTRY],
        base=link,
        published=_day(_text(row.get("published_at")) or _text(row.get("date"))),
        authors=tuple(cut(_text(name), 200) for name in people or () if _text(name))[:50],
        categories=tuple(cut(_text(tag), 80) for tag in tags or () if _text(tag))[:30],
        state=_state(row.get("metadata")),
        link_only=link_only,
    )


def _text(value: object) -> str:
    return line(value) if isinstance(value, str) else ""


def _day(text: str) -> str:
    """The day of an ISO time, or of one as mail writes it."""
    if found := day_of(text):
        return found
    try:
        return day_of(parsedate_to_datetime(text).isoformat())
    except (ValueError, TypeError, OverflowError):
        return ""


def _state(metadata: object) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, value in metadata.items() if isinstance(metadata, Mapping) else ():
        for count, shape in _COUNTS.items():
            known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9
            if known and shape.search(str(name)):
                found.setdefault(count, value)
    return found
