"""Hugging Face's daily papers: what its readers put forward on a day, with upvotes and comments.

Answers of its API, and lists that other tools saved of it: as JSON, and as feeds. A paper stands in the
Inbox under the day of the list. Its upvotes are the item's state, which follows each of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from app.domain.identifiers import clean_date, parse_arxiv, whole_day
from app.domain.items import Bundle, Document, PaperArrival, Rejected, SourceRef
from app.domain.records import SourceKind
from app.domain.untrusted import cut, line
from app.errors import Invalid, NotFetched, Unreadable
from app.sources import xml_text
from app.sources.arxiv import (
    abstract_of,
    day_of,
    elements,
    moment,
    names_of,
    paper_id,
    safe_xml,
    text_of,
    title_of,
)
from app.sources.base import File
from app.sources.connectors import Fetched, Found, Wanted, Web
from app.sources.page_text import html_text

API = "https://huggingface.co/api/daily_papers"
LIMIT = 100  # papers of a day asked for at once
MOST_PAGES = 10  # of one day
GONE_BACK = 3  # days that are asked for again, while their papers still win upvotes
SPACING = 1.0
MOST_ENTRIES = 5_000
SOURCE = SourceRef(
    key="hf-daily",
    kind=SourceKind.LISTING,
    name="Hugging Face daily papers",
    url="https://huggingface.co/papers",
)
_FEED_NAMES = frozenset(["item", "entry", "lastBuildDate", "updated"])
_LABELLED = re.compile(r"(?:^|\n)\s*(authors?|upvotes|comments|summary|abstract)\s*:\s*", re.I)
_DAY_IN_NAME = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)")


@dataclass(frozen=True)
class DailyPapers:
    """Reads a day's list; each paper is an item."""

    format: str = "hf-daily"

    def recognises(self, file: File) -> bool:
        """JSON whose first entry is a paper of Hugging Face, or a feed of its daily papers."""
        start = file.data[:4_000].lstrip(b"\xef\xbb\xbf \t\r\n")
        if start.startswith(b"["):
            return bool(
                re.match(rb'\[\s*\{\s*"(?:paper|id|title|publishedAt|source|source_id)"', start)
                and (
                    re.search(rb'"paper"\s*:\s*\{\s*"', start)
                    or re.search(rb'"source"\s*:\s*"huggingface"', start)
                    or re.search(rb'"source_id"\s*:\s*"hf_papers"', start)
                )
            )
        if xml_text.root(file.data) not in ("rss", "feed"):
            return False
        head = xml_text.decoded(start).partition("<item>")[0].partition("<entry>")[0].lower()
        return "huggingface.co/papers" in head and "paper" in head

    def read(self, file: File) -> Bundle:
        """Read a list. Raises Unreadable for what is neither JSON nor a feed."""
        is_feed = xml_text.root(file.data) in ("rss", "feed")
        entries = _of_feed(file) if is_feed else _of_json(file)
        return Bundle(source=SOURCE, format=self.format, documents=tuple(_once(entries)))


def _once(entries: Iterable[Document | Rejected]) -> Iterator[Document | Rejected]:
    """Each paper once, the first time it stands there."""
    seen: set[str] = set()
    for each in entries:
        if isinstance(each, Document):
            if each.key in seen:
                continue
            seen.add(each.key)
        yield each


# ---------------------------------------------------------------- JSON


def _of_json(file: File) -> Iterator[Document | Rejected]:
    try:
        found = json.loads(file.text())
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{file.name} is not whole JSON.") from error
    if isinstance(found, dict) and isinstance(found.get("error"), str):
        raise Unreadable(f"Hugging Face answers: {cut(line(found['error']), 200)}")
    if isinstance(found, dict):
        found = found.get("papers") or found.get("dailyPapers")
    if not isinstance(found, list):
        raise Unreadable(f"{file.name} is no list of papers.")
    return _entries(found, _day_asked(file))


def _entries(found: list[Any], asked: str) -> Iterator[Document | Rejected]:
    for number, entry in enumerate(found[:MOST_ENTRIES], start=1):
        where = f"paper {number}"
        if not isinstance(entry, dict):
            yield Rejected(where=where, reason="It is no object.")
            continue
        yield _entry(entry, asked, number, where)
    if len(found) > MOST_ENTRIES:
        yield Rejected(
            where=f"paper {MOST_ENTRIES + 1}", reason="There are more papers than are read."
        )


def _entry(entry: Mapping[str, Any], asked: str, number: int, where: str) -> Document | Rejected:
    """One entry: of the API (`paper` in it), or flat with `metadata`, as tools save it."""
    paper = entry.get("paper")
    inner: Mapping[str, Any] = paper if isinstance(paper, dict) else entry
    more = entry.get("metadata")
    more = more if isinstance(more, dict) else {}
    ids = (
        inner.get("id") if isinstance(paper, dict) else None,
        more.get("paper_id"), more.get("arxiv_id"), entry.get("canonical_url"), entry.get("url"),
        more.get("hf_url"), inner.get("id"),
    )  # fmt: skip
    found = next((known for each in ids if isinstance(each, str) and (known := _arxiv(each))), None)
    title = title_of(_first(inner.get("title"), entry.get("title")))
    if found is None or not title:
        named = f" ({cut(title, 60)})" if title else ""
        return Rejected(
            where=where + named, reason=f"It has no {'arXiv id' if title else 'title'}."
        )
    listed = (
        inner.get("submittedOnDailyAt"),
        entry.get("submittedOnDailyAt"),
        more.get("fetch_date"),
    )
    day = next((d for each in listed if isinstance(each, str) and (d := _utc_day(each))), "")
    published = _utc_day(
        _first(inner.get("publishedAt"), entry.get("published_date"), entry.get("publishedAt"))
    )
    # Of a list saved without the day it is of, the day that its entries say is the nearest.
    day = day or asked or _utc_day(_first(entry.get("published_at"), entry.get("publishedAt")))
    summary = _first(more.get("summary"), inner.get("summary"), entry.get("summary"))
    code = _first(inner.get("githubRepo"), more.get("github_url"))
    upvotes = _count(inner.get("upvotes"), more.get("upvotes"), entry.get("upvotes"))
    comments = _count(entry.get("numComments"), inner.get("numComments"), more.get("num_comments"))
    return _document(
        found,
        title,
        # What is cut off in a list would stand in the way of the whole abstract.
        abstract="" if summary.rstrip().endswith(("...", "…")) else abstract_of(summary),
        authors=names_of(
            _names(inner.get("authors") or more.get("authors") or entry.get("authors"))
        ),
        published=published if day != published or isinstance(paper, dict) else "",
        code=code if re.match(r"https?://[^\s<>\"]{4,300}$", code) else "",
        day=day,
        number=number,
        state={k: v for k, v in (("upvotes", upvotes), ("comments", comments)) if v is not None},
    )


def _document(
    paper: str,
    title: str,
    *,
    abstract: str,
    authors: tuple[str, ...],
    published: str,
    code: str,
    day: str,
    number: int,
    state: Mapping[str, int],
) -> Document:
    # The paper is told anew when its upvotes have doubled, not with every one of them.
    some = state.get("upvotes", 0).bit_length()
    facts = [paper, title, abstract, authors, published, code, day, some]
    return Document(
        source=SOURCE,
        key=paper,
        format="hf-daily",
        title=title,
        url=f"https://huggingface.co/papers/{paper}",
        published=day or published,
        hash=sha256(json.dumps(facts).encode("utf-8", "replace")).hexdigest(),
        state=state,
        arrivals=(
            PaperArrival(
                refs=(f"arxiv:{paper}",),
                title=title,
                abstract=abstract,
                authors=authors,
                published=published,
                code_url=code,
                day=day,
                position=number,
                extra={"upvotes": state["upvotes"]} if "upvotes" in state else {},
            ),
        ),
    )


def _arxiv(text: str) -> str:
    """The arXiv id in an address, or bare; '' for none."""
    last = text.strip().rpartition("/papers/")[2]
    found = parse_arxiv(last) or paper_id(text)
    return found.value if found else ""


def _first(*values: object) -> str:
    return next((each for each in values if isinstance(each, str) and each.strip()), "")


def _names(value: object) -> list[str]:
    """Names as they are listed: plain, or in objects, where hidden ones were taken away."""
    found = []
    for each in value if isinstance(value, list) else []:
        if isinstance(each, dict):
            each = "" if each.get("hidden") is True else each.get("name")
        if isinstance(each, str):
            found.append(each)
    return found


def _count(*values: object) -> int | None:
    """The first whole number; a number of people is not negative, and not more than there are."""
    for each in values:
        if isinstance(each, int) and not isinstance(each, bool) and 0 <= each < 10**9:
            return each
    return None


def _utc_day(text: str) -> str:
    found = moment(text)
    return clean_date(text) if found and "T" not in text else day_of(text)


def _day_asked(file: File) -> str:
    """The day that a list was asked for, by its address or its name; '' where neither says."""
    try:
        asked = dict(parse_qsl(urlsplit(file.url).query)).get("date", "")
    except ValueError:
        asked = ""
    in_name = _DAY_IN_NAME.search(file.name)
    said = asked or (in_name[1] if in_name else "")
    return said if whole_day(said) else ""


# ---------------------------------------------------------------- feeds


def _of_feed(file: File) -> Iterator[Document | Rejected]:
    return _feed_entries(safe_xml(file))


def _feed_entries(data: bytes) -> Iterator[Document | Rejected]:
    made, number = "", 0
    for found in elements(data, _FEED_NAMES):
        if isinstance(found, Rejected):
            yield found
            continue
        name, element = found
        if name not in ("item", "entry"):
            made = made or day_of("".join(element.itertext()))
            continue
        number += 1
        where = f"entry {number}"
        title = title_of(text_of(element, "title"))
        links = [
            text_of(element, "link", "guid", "id"),
            *(each.get("href", "") for each in element),
        ]
        paper = next((known for each in links if each and (known := _arxiv(each))), "")
        if not paper or not title:
            yield Rejected(where=where, reason=f"It has no {'arXiv id' if title else 'title'}.")
            continue
        words = html_text(text_of(element, "description", "summary", "content")[:100_000])
        told = _labelled(words)
        own = day_of(text_of(element, "pubDate", "published", "updated"))
        upvotes = told.get("upvotes", "")
        yield _document(
            paper,
            title,
            abstract=abstract_of(
                told.get("summary") or told.get("abstract") or ("" if told else words)
            ),
            authors=names_of((told.get("authors") or told.get("author") or "").split(",")),
            published="",
            code="",
            day=own or made,
            number=number,
            state={"upvotes": int(upvotes)} if re.fullmatch(r"[0-9]{1,9}", upvotes) else {},
        )


def _labelled(words: str) -> dict[str, str]:
    marks = list(_LABELLED.finditer(words))
    ends = [*(mark.start() for mark in marks[1:]), len(words)]
    return {
        mark[1].lower(): words[mark.end() : end].strip()
        for mark, end in zip(marks, ends, strict=True)
    }


# ---------------------------------------------------------------- the connector


@dataclass(frozen=True)
class DailyPapersConnector:
    """Asks for each day's list, and for the last few days again, while their papers win upvotes.

    Its cursor: `day` is the newest day that had a list. Under way, `next` is the day to go on with; a
    back-fill has its own in `fill`.
    """

    name: str = "hf-daily"
    kind: SourceKind = SourceKind.LISTING
    every_minutes: int = 6 * 60
    options: Mapping[str, str] = field(default_factory=dict)

    def finds(self, text: str) -> Found | None:
        """The page of the daily papers, or the address of its API."""
        said = text.strip()
        named = re.fullmatch(r"(?:hf|hugging ?face)[ -]?(?:daily[ -]?)?papers|hf-daily", said, re.I)
        if named is None:
            try:
                parts = urlsplit(said if "://" in said else f"https://{said}")
                host = (parts.hostname or "").lower().removeprefix("www.")
            except ValueError:
                return None
            path = parts.path.rstrip("/")
            if host not in ("huggingface.co", "hf.co") or " " in said:
                return None
            if _arxiv(parts.path) and path.startswith("/papers/"):
                raise Invalid(
                    f"{cut(said, 80)} is one paper. All of each day are https://huggingface.co/papers."
                )
            if path != "/api/daily_papers" and not re.match(
                r"/papers(?:/(?:date|week|month|trending)\b|$)", path
            ):
                return None
        return Found(
            key=self.name,
            connector=self.name,
            url=API,
            name=SOURCE.name,
            words="Papers that readers of Hugging Face put forward each day, with upvotes: they wait in "
            "the Inbox.",
        )

    def fetch(self, web: Web, wanted: Wanted) -> Iterator[Fetched]:
        """Each day's list. Raises NotFetched."""
        kept = {k: v for k, v in wanted.cursor.items() if k != "fill"}
        if wanted.first or wanted.last:
            first, last = (
                whole_day(wanted.first or wanted.last),
                whole_day(wanted.last or wanted.first),
            )
            if first is None or last is None:
                raise NotFetched("These are no days to bring papers of.", again=False)
            last = min(last, wanted.today)
            days = [wanted.first, wanted.last]
            given = wanted.cursor.get("fill")
            place = given if isinstance(given, dict) and given.get("days") == days else {}
            day = whole_day(str(place.get("next") or "")) or first
            total = (last - first).days + 1
            for fetched, after, _ in _each_day(web, wanted, day, last, page=_page(place)):
                state = {"days": days, **after}
                done = (whole_day(after["next"]) or last) - first
                yield Fetched(
                    **{**fetched, "cursor": {**kept, "fill": state}}, seen=done.days, total=total
                )
            return
        newest = whole_day(str(kept.get("day") or ""))
        since = whole_day(wanted.since)
        begin = newest - timedelta(days=GONE_BACK - 1) if newest else (since or wanted.today)
        day = whole_day(str(kept.get("next") or "")) or min(begin, wanted.today)
        for fetched, after, had in _each_day(web, wanted, day, wanted.today, page=_page(kept)):
            if had is not None:
                newest = max(newest or had, had)
            cursor: dict[str, Any] = {"day": newest.isoformat()} if newest else {}
            if whole_day(after["next"]) and after["next"] <= wanted.today.isoformat():
                cursor |= after
            yield Fetched(**{**fetched, "cursor": cursor})


def _page(place: Mapping[str, Any]) -> int:
    page = place.get("page")
    return (
        page
        if isinstance(page, int) and not isinstance(page, bool) and 0 < page < MOST_PAGES
        else 0
    )


def _each_day(
    web: Web, wanted: Wanted, day: date, last: date, *, page: int
) -> Iterator[tuple[dict[str, Any], dict[str, Any], date | None]]:
    """For each answer: what is kept of it, the place after it, and the day when it had a list."""
    before: list[str] = []
    while day <= last:
        url = _url(wanted.url, day, page)
        following: dict[str, Any] = {"next": (day + timedelta(days=1)).isoformat()}
        try:
            came = web.get(url, accept="application/json", spacing=SPACING)
        except NotFetched as error:
            # The list of today begins some time in the day, by a clock that is not the reader's.
            if error.status in (400, 404) and day >= wanted.today - timedelta(days=1):
                return
            raise
        file = File(f"papers of {day}", came.data, url=came.url, headers=came.headers)
        try:
            documents = list(DailyPapers().read(file).documents)
        except Unreadable as error:
            raise NotFetched(f"{url.partition('?')[0]}: {error}") from error
        keys = [each.key for each in documents if isinstance(each, Document)]
        if not documents or (page and set(keys) <= set(before)):
            yield {}, following, None
            day, page, before = day + timedelta(days=1), 0, []
            continue
        if len(documents) >= LIMIT and page + 1 < MOST_PAGES:
            following = {"next": day.isoformat(), "page": page + 1}
        kept = {
            "data": came.data,
            "format": "hf-daily",
            "name": f"papers of {day}" + (f", page {page + 1}" if page else ""),
            "url": came.url,
            "headers": came.headers,
        }
        yield kept, following, day
        if "page" in following:
            page, before = page + 1, keys
        else:
            day, page, before = day + timedelta(days=1), 0, []


def _url(address: str, day: date, page: int) -> str:
    try:
        parts = urlsplit(address or API)
    except ValueError as error:
        raise NotFetched(f"{cut(address, 80)!r} is no address.", again=False) from error
    path = parts.path if parts.path.strip("/") else "/api/daily_papers"
    asked = {"date": day.isoformat(), "limit": str(LIMIT)} | ({"p": str(page)} if page else {})
    return f"{urlunsplit((parts.scheme, parts.netloc, path, '', ''))}?{urlencode(asked)}"
