"""OpenReview: submissions of a venue, with decisions and ratings, from its API (v2 and v1) or saved.

A paper waits in the Inbox under the day it was brought. What its reviewers said is state of the item:
`score` (mean rating), `reviews` (how many rated it), `decision`. A submission that changes is told anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from app.domain.identifiers import parse_arxiv, whole_day
from app.domain.items import Bundle, Document, PaperArrival, Rejected, SourceRef
from app.domain.latex import plain_latex, readable
from app.domain.records import SourceKind
from app.errors import Invalid, NotFetched, Unreadable
from app.sources.base import File
from app.sources.connectors import FILE_BYTES, Fetched, Found, Wanted, Web

API = "https://api2.openreview.net/notes"
SOURCE = SourceRef(
    key="openreview",
    kind=SourceKind.INDEX,
    name="OpenReview",
    url="https://openreview.net",
    description="Submissions of conferences, with their reviews.",
)
SPACING = 1.0
PAGE = 200  # submissions of one answer; their reviews come with them
MOST = 50_000  # submissions of one venue
BROUGHT_ON = "x-brought-on"
"""A header that the connector puts beside OpenReview's own: the day on which the answer came."""
_DAY = 86_400_000  # milliseconds
_OVERLAP = 60_000  # milliseconds that a later fetch looks back behind the last change it saw
_MAX_TEXT, _MAX_TITLE, _MAX_AUTHORS = 20_000, 1_000, 5_000

_START = re.compile(r'"(?:invitations?|venueid|forum|rating_avg|replyto)"\s{0,20}:')
_PAPER = re.compile(r'"id"\s{0,20}:\s{0,20}"[\w-]{6,60}"')
_RATING = re.compile(r"-?\d{1,3}(?:\.\d{1,4})?")
_VENUE = re.compile(r"\w[\w.-]{0,79}(?:/(?:-|\w[\w.-]{0,79})){1,8}")


@dataclass(frozen=True)
class OpenReview:
    format: str = "openreview"

    def recognises(self, file: File) -> bool:
        """JSON of notes: an `invitation`, `forum` or `rating_avg` beside an `id`."""
        start = File(file.name, file.data[:32_768]).text().lstrip("\ufeff \t\r\n")
        return (
            start.startswith(("{", "["))
            and _PAPER.search(start) is not None
            and _START.search(start) is not None
        )

    def read(self, file: File) -> Bundle:
        """Each submission a paper; reviews and decisions count for the submission they are of."""
        try:
            value = json.loads(file.text())
        except (ValueError, RecursionError):
            raise Unreadable(f"{file.name} is not JSON.") from None
        notes = value.get("notes") if isinstance(value, dict) else value
        if isinstance(value, dict) and notes is None and "id" in value:
            notes = [value]
        if not isinstance(notes, list):
            raise Unreadable(f"{file.name} is no answer of OpenReview: it has no list of notes.")
        day = _day_of(file)
        return Bundle(
            source=SOURCE, format=self.format, documents=_documents(self.format, notes, day)
        )


def _day_of(file: File) -> str:
    """The day an answer was given, by its header; '' for a saved file."""
    day = file.headers.get(BROUGHT_ON, "")
    return day if whole_day(day) else ""


def _documents(format: str, notes: Sequence[object], day: str) -> Iterator[Document | Rejected]:
    beside: dict[str, list[Mapping[str, Any]]] = {}
    papers: list[tuple[int, Mapping[str, Any]]] = []
    for number, note in enumerate(notes, start=1):
        if not isinstance(note, dict):
            yield Rejected(where=f"note {number}", reason="This is not an object with an id.")
            continue
        forum = _line(note.get("forum"), 100)
        if forum and (note.get("replyto") or forum != note.get("id")):
            beside.setdefault(forum, []).append(note)  # a review, a decision, a comment
        else:
            papers.append((number, note))
    for number, note in papers:
        yield _document(format, note, beside, day, f"note {number}")


def _document(
    format: str,
    note: Mapping[str, Any],
    beside: Mapping[str, Sequence[Mapping[str, Any]]],
    day: str,
    where: str,
) -> Document | Rejected:
    content = note.get("content")
    content = content if isinstance(content, dict) else note
    given = _line(note.get("id") or note.get("forum"), 100)
    title = plain_latex(_line(_said(content, "title"), _MAX_TITLE))
    if not re.fullmatch(r"[\w-]{1,100}", given):
        return Rejected(where=where, reason="The submission has no id.")
    if not title:
        return Rejected(where=f"{where}, {given}", reason="The submission has no title.")
    details = note.get("details")
    replies = (
        details.get("replies") or details.get("directReplies") if isinstance(details, dict) else []
    )
    said: list[Mapping[str, Any]] = [
        each for each in (replies if isinstance(replies, list) else []) if isinstance(each, dict)
    ]
    said += beside.get(given, ())
    ratings, decision = _judged(note, content, said)
    refs = [f"openreview:{given}"]
    for name in ("arxiv", "arxiv_id", "arxiv_link", "preprint"):
        if found := parse_arxiv(_line(_said(content, name), 300)):
            refs.append(str(found))
            break
    tldr = _line(_said(content, "TLDR", "TL;DR", "tldr", "one-sentence_summary"), _MAX_TITLE)
    arrival = PaperArrival(
        refs=tuple(refs),
        title=title,
        abstract=_line(_said(content, "abstract")),
        authors=_names(_said(content, "authors", "author")),
        published=_published(note),
        venue=_venue(content),
        day=day,
        extra={"openreview": {"tldr": tldr}} if tldr else {},
    )
    told = json.dumps({**asdict(arrival), "day": ""}, sort_keys=True, ensure_ascii=False)
    state: dict[str, Any] = {}
    if ratings:
        state = {"score": round(sum(ratings) / len(ratings), 2), "reviews": len(ratings)}
    if decision:
        state["decision"] = decision
    return Document(
        source=SOURCE,
        key=given,
        format=format,
        title=title,
        arrivals=(arrival,),
        url=f"https://openreview.net/forum?id={quote(given)}",
        published=day or arrival.published,
        hash=sha256(told.encode("utf-8", "replace")).hexdigest(),
        state=state,
    )


def _said(content: Mapping[str, Any], *names: str) -> Any:
    """A field of a note: API v2 puts each value in an object, v1 does not."""
    for name in names:
        value = content.get(name)
        if isinstance(value, dict):
            value = value.get("value")
        if value:
            return value
    return None


def _line(value: object, longest: int = _MAX_TEXT) -> str:
    return " ".join(readable(value[:longest]).split()) if isinstance(value, str) else ""


def _names(value: object) -> tuple[str, ...]:
    parts = value.split(";") if isinstance(value, str) else value if isinstance(value, list) else []
    names = [_line(each, 500) for each in parts[:_MAX_AUTHORS]]
    return tuple(name for name in names if name and name.lower() != "anonymous")


def _venue(content: Mapping[str, Any]) -> str:
    """ "ICLR 2025 Poster"; what is only submitted there has appeared nowhere yet."""
    venue = _line(_said(content, "venue"), 300)
    if re.search(r"\b(?:submitted|submission|withdrawn|rejected)\b", venue, re.I):
        return ""
    if not venue and isinstance(entry := content.get("bibtex"), str):
        found = re.search(r"booktitle\s?=\s?\{([^{}]{1,300})\}", entry[:5_000])
        venue = _line(found[1], 300) if found else ""
    return venue


def _published(note: Mapping[str, Any]) -> str:
    for name in ("pdate", "odate", "cdate", "tcdate"):
        if day := _day_at(note.get(name)):
            return day
    found = re.search(r"year\s?=\s?\{(\d{4})\}", str(note.get("bibtex") or "")[:5_000])
    return found[1] if found else ""


def _day_at(value: object) -> str:
    """The day of a time in milliseconds since 1970."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if not 0 < value < 4e12:
        return ""
    return datetime.fromtimestamp(value / 1000, UTC).date().isoformat()


def _judged(
    note: Mapping[str, Any], content: Mapping[str, Any], said: Sequence[Mapping[str, Any]]
) -> tuple[list[float], str]:
    """The reviewers' ratings in order, and the decision in its own words."""
    ratings = _ratings(note.get("rating"))
    decision = _line(_said(content, "decision"), 100) or _line(note.get("status"), 100)
    for each in said:
        inner = each.get("content")
        if not isinstance(inner, dict):
            continue
        if _is(each, "review"):
            ratings += _ratings(_said(inner, "rating", "recommendation", "overall_score", "score"))
        if _is(each, "decision", "acceptance"):
            decision = _line(_said(inner, "decision", "recommendation"), 100) or decision
    return ratings[:200], decision


def _is(note: Mapping[str, Any], *kinds: str) -> bool:
    named = note.get("invitations") or note.get("invitation")
    names = named if isinstance(named, list) else [named]
    last = [str(name).rsplit("/", 1)[-1].lower() for name in names if name]
    return any(kind in name and "meta" not in name for name in last for kind in kinds)


def _ratings(value: object) -> list[float]:
    """ "8: accept, good paper" is 8; "5;7;7" is three."""
    parts = value.split(";") if isinstance(value, str) else [value]
    found: list[float] = []
    for part in parts[:200]:
        if isinstance(part, bool):
            continue
        if isinstance(part, int | float):
            found.append(float(part))
        elif isinstance(part, str) and (match := _RATING.match(part.strip())):
            found.append(float(match[0]))
    return [rating for rating in found if -1_000 < rating < 1_000]


@dataclass(frozen=True)
class OpenReviewConnector:
    """Asks for a venue's submissions, the one changed last first, page by page.

    The first fetch brings what changed since `since`; a back-fill what was submitted on its days, and
    the rest of the pages they stand on. Its cursor: `changed`, the newest change seen (milliseconds);
    under way `offset` and `newest`; those of a back-fill stand in `fill`.
    """

    name: str = "openreview"
    kind: SourceKind = SourceKind.INDEX
    every_minutes: int = 24 * 60
    options: Mapping[str, str] = field(
        default_factory=lambda: {
            "venue": "The venue as OpenReview names it: ICLR.cc/2026/Conference.",
            "invitation": "Instead of a venue: an invitation, such as "
            "ICLR.cc/2026/Conference/-/Submission, which has papers that are under review too.",
        }
    )

    def finds(self, text: str) -> Found | None:
        """A venue's page, openreview.net/group?id=ICLR.cc/2026/Conference."""
        said = text.strip()
        try:
            parts = urlsplit(said if "://" in said else f"https://{said}")
            host = (parts.hostname or "").lower()
            query = parse_qs(parts.query, max_num_fields=20)
        except ValueError:
            return None
        if host.removeprefix("www.") not in (
            "openreview.net",
            "api.openreview.net",
            "api2.openreview.net",
        ):
            return None
        if parts.path.rstrip("/") in ("/forum", "/pdf"):
            raise Invalid(
                "This is one paper. A source is a venue: "
                "https://openreview.net/group?id=ICLR.cc/2026/Conference."
            )
        invitation = (query.get("invitation") or query.get("invitations") or [""])[0]
        venue = (query.get("id") or query.get("venue") or query.get("content.venueid") or [""])[0]
        named = invitation or venue
        if not _VENUE.fullmatch(named):
            raise Invalid(
                "Name the venue: https://openreview.net/group?id=ICLR.cc/2026/Conference."
            )
        what = "invitation" if invitation else "venue"
        return Found(
            key=f"openreview:{named}",
            connector=self.name,
            url=f"{API}?{'invitation' if invitation else 'content.venueid'}={quote(named, safe='/')}",
            name=f"OpenReview {named}",
            options={what: named},
            words=f"Papers of {named} with their decisions and ratings: they wait in the Inbox.",
        )

    def fetch(self, web: Web, wanted: Wanted) -> Iterator[Fetched]:
        """Pages of submissions until one is older than what is wanted. Raises NotFetched."""
        base, asked = _query(wanted)
        days = [wanted.first or wanted.last, wanted.last or wanted.first]
        filling = bool(days[0])
        place = wanted.cursor.get("fill") if filling else wanted.cursor
        place = place if isinstance(place, dict) and place.get("days", days) == days else {}
        field = "tcdate" if filling else "tmdate"  # when it was submitted, or changed
        changed = _number(wanted.cursor.get("changed"))
        least = (
            _time_of(days[0])
            if filling
            else changed - _OVERLAP
            if changed
            else _time_of(wanted.since)
        )
        newest, offset = max(_number(place.get("newest")), changed), _number(place.get("offset"))
        while offset < MOST:
            url = f"{base}?{asked}&details=replies&sort={field}:desc&limit={PAGE}&offset={offset}"
            response = web.get(url, accept="application/json", limit=FILE_BYTES, spacing=SPACING)
            notes, total = _listed(response.data)
            times = [_number(each.get(field)) for each in notes if isinstance(each, dict)]
            newest = max([newest, *times])
            # One that changes meanwhile moves to the front and pushes the others back: none is missed.
            over = len(notes) < PAGE or bool(times and min(times) < least)
            wanted_here = bool(times) and not (filling and min(times) >= _time_of(days[1]) + _DAY)
            offset += len(notes)
            under_way: dict[str, Any] = {"newest": newest, "offset": offset}
            if filling:
                fill = {"done": True} if over else {"days": days, **under_way}
                after: dict[str, Any] = {**wanted.cursor, "fill": fill}
            else:
                after = {"changed": newest} if over else {"changed": changed, **under_way}
            yield Fetched(
                cursor=after,
                data=response.data if wanted_here else b"",
                format="openreview",
                name=f"submissions {offset - len(notes) + 1} to {offset}",
                url=response.url,
                headers={**response.headers, BROUGHT_ON: wanted.today.isoformat()},
                seen=offset,
                total=total,
                moved=response.moved,
            )
            if over:
                return


def _time_of(day: str) -> int:
    """Milliseconds since 1970 at the beginning of a day; 0 for none."""
    found = whole_day(day)
    return (
        int(datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp() * 1000)
        if found
        else 0
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _query(wanted: Wanted) -> tuple[str, str]:
    """The address without its question, and what is asked: a venue or an invitation."""
    base, _, given = wanted.url.partition("?")
    query = parse_qs(given, max_num_fields=20)
    invitation = str(wanted.options.get("invitation") or (query.get("invitation") or [""])[0])
    venue = str(wanted.options.get("venue") or (query.get("content.venueid") or [""])[0])
    named = invitation or venue
    if not _VENUE.fullmatch(named):
        raise NotFetched(
            "This source names no venue. Add it by its page: "
            "https://openreview.net/group?id=ICLR.cc/2026/Conference.",
            again=False,
        )
    name = "invitation" if invitation else "content.venueid"
    return base or API, f"{name}={quote(named, safe='/')}"


def _listed(data: bytes) -> tuple[list[object], int | None]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise NotFetched("OpenReview answered with something that is not JSON.") from None
    notes = value.get("notes") if isinstance(value, dict) else None
    if not isinstance(notes, list):
        raise NotFetched("OpenReview answered without a list of submissions.")
    count = value.get("count") if isinstance(value, dict) else None
    return notes, count if isinstance(count, int) and 0 <= count < 10**9 else None
