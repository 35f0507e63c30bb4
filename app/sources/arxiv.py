"""arXiv: answers of its API, its daily listings as feeds, and the connectors that ask for both.

A paper of a listing waits in the Inbox under the day it was announced on. A listing names that day and
whether the paper is new, a cross-list or a replacement. The API names neither: there the day is that on
which arXiv announces what was submitted at that time (domain/announcements.py).

The API orders papers by the time they were submitted, newest first, so that what comes in between pages
pushes the others back: some are met twice, and none is passed over. Pages overlap by a few entries all
the same, and fetches by days: papers that moderators held back appear under their old time.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256
from html import unescape
from html.entities import html5
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit, urlunsplit
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from app.domain.announcements import FIRST, LAST, listing_day, submitted_for
from app.domain.identifiers import PaperId, parse_arxiv, parse_doi, whole_day
from app.domain.items import Bundle, Document, PaperArrival, Rejected, SourceRef
from app.domain.latex import plain_latex
from app.domain.records import Announced, SourceKind
from app.domain.untrusted import cut, line, plain
from app.errors import Invalid, NotFetched, Unreadable
from app.sources import xml_text
from app.sources.base import File
from app.sources.connectors import Fetched, Found, Wanted, Web

SPACING = 3.0
"""Seconds between two requests that arXiv asks for, of all its services together."""
API = "https://export.arxiv.org/api/query"
FEED = "https://rss.arxiv.org/rss"

PAGE = 200  # entries asked for at once
MOST_PAGE = 2_000  # more the API does not give
DEEPEST = 10_000  # entries into an answer: the API grows slow, and ends at three times that
AGAIN = 3  # times a page that came back empty is asked for again
KEPT_BACK = timedelta(days=3)  # how far a fetch goes back behind what the last one saw
MOST_ENTRIES = 20_000
MOST_AUTHORS = 5_000
_MAX_TITLE, _MAX_ABSTRACT = 1_000, 20_000

_ARCHIVES: Mapping[str, frozenset[str]] = {
    archive: frozenset(classes.split())
    for archive, classes in {
        "astro-ph": "CO EP GA HE IM SR",
        "cond-mat": "dis-nn mes-hall mtrl-sci other quant-gas soft stat-mech str-el supr-con",
        "cs": "AI AR CC CE CG CL CR CV CY DB DC DL DM DS ET FL GL GR GT HC IR IT LG LO MA MM MS NA NE "
        "NI OH OS PF PL RO SC SD SE SI SY",
        "econ": "EM GN TH",
        "eess": "AS IV SP SY",
        "gr-qc": "",
        "hep-ex": "",
        "hep-lat": "",
        "hep-ph": "",
        "hep-th": "",
        "math": "AC AG AP AT CA CO CT CV DG DS FA GM GN GR GT HO IT KT LO MG MP NA NT OA OC PR QA RA RT "
        "SG SP ST",
        "math-ph": "",
        "nlin": "AO CD CG PS SI",
        "nucl-ex": "",
        "nucl-th": "",
        "physics": "acc-ph ao-ph app-ph atm-clus atom-ph bio-ph chem-ph class-ph comp-ph data-an flu-dyn "
        "gen-ph geo-ph hist-ph ins-det med-ph optics plasm-ph pop-ph soc-ph space-ph",
        "q-bio": "BM CB GN MN NC OT PE QM SC TO",
        "q-fin": "CP EC GN MF PM PR RM ST TR",
        "quant-ph": "",
        "stat": "AP CO ME ML OT TH",
    }.items()
}
_CODE = re.compile(r"[a-z-]{2,10}(?:\.[a-z-]{2,9}|\.\*)?", re.I)
_ID_IN = re.compile(
    r"(?:/(?:abs|pdf)/|arxiv\.org:|arxiv:)((?:\d{4}\.\d{4,5}|[a-z-]+(?:\.[a-z]{2})?/\d{7})(?:v\d{1,3})?)",
    re.I,
)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")
_OF_XML = frozenset(["amp", "lt", "gt", "quot", "apos"])
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_HTML = re.compile(
    r"</?(?:p|div|span|a|b|i|em|strong|tt|code|sub|sup|br|ul|ol|li)(?:\s[^<>]{0,500})?/?>", re.I
)
_PREAMBLE = re.compile(
    r"\s*arXiv:\S{1,40}\s+Announce Type:\s*([a-z-]{2,20})\s*(?:Abstract:\s*)?", re.I
)
_IN_TITLE = re.compile(
    r"\s*\(arXiv:(\S{1,40}?)\s*(?:\[[^\[\]]{1,40}\])?\s*(UPDATED|CROSS LISTED)?\)\s*$", re.I
)
_CODE_AT = re.compile(
    r"https?://(?:www\.)?(?:github\.com|gitlab\.com|bitbucket\.org|codeberg\.org)/[\w.-]{1,100}/[\w.-]{1,100}",
    re.I,
)
_WITHDRAWN = re.compile(
    r"\b(?:paper|article|manuscript|submission|version|work|preprint)\b[^.]{0,40}\b(?:is|was|has been|have been)"
    r" (?:now |temporarily )?withdrawn\b|^\W*withdrawn\b",
    re.I,
)
_SUFFIX = re.compile(r"(?:jr|sr)\.?|i{2,3}|iv", re.I)
_ANNOUNCED = {
    "new": Announced.NEW,
    "cross": Announced.CROSS,
    "replace": Announced.REPLACED,
    "replace-cross": Announced.REPLACED,
    "replaced": Announced.REPLACED,
    "updated": Announced.REPLACED,
    "cross listed": Announced.CROSS,
}
_RANK = {Announced.NEW: 2, Announced.CROSS: 1, Announced.REPLACED: 0, None: 0}


# ---------------------------------------------------------------- XML


def safe_xml(file: File) -> bytes:
    """The file as XML that may be parsed: looked at, in UTF-8, without characters that XML has not.

    Raises Unreadable for XML that grows, fetches or nests without end.
    """
    kind = re.search(
        r"charset\s*=\s*[\"']?([\w.:-]{1,40})", file.headers.get("content-type", ""), re.I
    )
    text = xml_text.decoded(file.data, kind[1] if kind else "").lstrip("\ufeff \t\r\n\0")
    xml_text.refuse_unsafe(file, text)
    text = _ENTITY.sub(_as_xml, _NO_XML.sub(" ", text))
    declared = re.match(r"<\?xml[^>]{0,1000}>", text)
    return text[declared.end() if declared else 0 :].encode("utf-8", "replace")


def _as_xml(found: re.Match[str]) -> str:
    """An entity of HTML as its character, which XML does not know by name; a number that is none, as ?."""
    name = found[1]
    if name.startswith("#"):
        character = unescape(found[0])
        return "\ufffd" if _NO_XML.search(character) or not character else found[0]
    return found[0] if name in _OF_XML else html5.get(f"{name};", f"&amp;{name};")


def elements(data: bytes, names: frozenset[str]) -> Iterator[tuple[str, Element] | Rejected]:
    """Elements of these names (without prefix) in order, none within another of them.

    What can be read before the XML breaks off is there; that it does comes last, as Rejected.
    """
    inside = 0
    stream = io.BytesIO(data)
    try:
        for event, element in iterparse(stream, events=("start", "end")):
            name = local(element)
            if name not in names:
                continue
            if event == "start":
                inside += 1
                continue
            inside -= 1
            if not inside:
                yield name, element
                element.clear()
    except ParseError as error:
        where = f"line {error.position[0]}" if getattr(error, "position", None) else "the XML"
        yield Rejected(
            where=where, reason="The XML breaks off or is broken here; what follows is lost."
        )
    except (DefusedXmlException, ValueError, LookupError):
        yield Rejected(
            where="the XML", reason="It declares what may not be in it: a DTD or an entity."
        )


def local(element: Element) -> str:
    """An element's name without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def children(element: Element, *names: str) -> list[Element]:
    """Its direct children of these names, without prefix, in order."""
    return [child for child in element if local(child) in names]


def text_of(element: Element, *names: str) -> str:
    """All text of the first child of these names that has any; '' for none."""
    for child in children(element, *names):
        if said := "".join(child.itertext()).strip():
            return said
    return ""


# ---------------------------------------------------------------- what every format tells


@dataclass(frozen=True)
class Told:
    """What an entry tells of a paper. `day` is that of its listing, '' where nobody can know it.

    `version` is the newest that it knows of, `listed` that which the listing had, None where it does
    not say. `paper` is None for one that is known by `doi`, `url` or its title alone.
    """

    paper: PaperId | None
    title: str
    abstract: str = ""
    authors: tuple[str, ...] = ()
    published: str = ""
    categories: tuple[str, ...] = ()
    doi: str = ""
    url: str = ""
    venue: str = ""
    comment: str = ""
    day: str = ""
    announced: Announced | None = None
    listed: int | None = None
    changed: str = ""  # when its newest version came
    at: datetime | None = None  # when it was submitted, for who asks page by page

    @property
    def version(self) -> int:
        return (self.paper.version or 0) if self.paper else 0

    @property
    def refs(self) -> tuple[str, ...]:
        found = []
        if self.paper is not None:
            found.append(f"{self.paper}v{self.version}" if self.version else str(self.paper))
        if self.doi and (doi := parse_doi(self.doi)) and str(doi) != (found and str(self.paper)):
            found.append(str(doi))
        if not found and self.url:
            found.append(f"url:{self.url}")
        return tuple(dict.fromkeys(found))

    @property
    def is_withdrawn(self) -> bool:
        return any(_WITHDRAWN.search(text[:500]) for text in (self.comment, self.abstract))

    @property
    def code_url(self) -> str:
        found = _CODE_AT.search(self.comment) or _CODE_AT.search(self.abstract)
        return re.sub(r"(?:\.git)?[.,;:)]*$", "", found[0]) if found else ""


def document(
    told: Told, key: str, source: SourceRef, format: str, position: int, *arrivals: PaperArrival
) -> Document:
    """The item that an entry is: one paper, which waits under its day. `arrivals` come before it."""
    refs = told.refs
    facts: list[Any] = [
        refs, told.title, told.abstract, told.authors, told.published, told.categories, told.venue,
        told.comment, told.day, told.announced, told.listed, told.changed,
    ]  # fmt: skip
    paper = PaperArrival(
        refs=refs,
        title=told.title,
        abstract=told.abstract,
        authors=told.authors,
        published=told.published,
        venue=told.venue,
        categories=told.categories,
        code_url=told.code_url,
        day=told.day,
        position=position,
        announced=told.announced if told.day else None,
        version=told.listed,
    )
    return Document(
        source=source,
        key=key,
        format=format,
        title=told.title,
        url=f"https://arxiv.org/abs/{told.paper.value}" if told.paper else told.url,
        published=told.day or told.published,
        hash=sha256(json.dumps(facts).encode("utf-8", "replace")).hexdigest(),
        state={"withdrawn": True} if told.is_withdrawn else {},
        arrivals=(*arrivals, paper),
    )


def title_of(text: str) -> str:
    """A title on one line; its LaTeX stays."""
    return cut(line(_entities_out(text)), _MAX_TITLE)


def abstract_of(text: str) -> str:
    """An abstract whose lines run on, with an empty line between its paragraphs; its LaTeX stays.

    arXiv breaks lines at some width, and begins a paragraph by an empty line or with two spaces.
    """
    said = plain(_entities_out(text)).strip()[:_MAX_ABSTRACT]
    parts = re.split(r"\n[ \t]*\n+|\n {2,}(?=\S)", said)
    return "\n\n".join(" ".join(part.split()) for part in parts if part.strip())


def authors_of(text: str) -> tuple[str, ...]:
    """The names of one line "Ada Park, Ben Quill Jr. (Univ.) and Chen Rao"."""
    said = line(_HTML.sub("", _entities_out(text)))[:200_000]
    if said.count("(") == said.count(")"):
        for _ in range(3):  # affiliations have brackets of their own
            said = re.sub(r" ?\([^()]*\)", "", said)
    names: list[str] = []
    for part in re.split(r"\s*[,;]\s*(?:and\s+)?|\s+and\s+", said):
        if names and _SUFFIX.fullmatch(part):
            names[-1] = f"{names[-1]} {part}"
        elif part:
            names.append(part)
    return names_of(names)


def names_of(names: Iterable[str]) -> tuple[str, ...]:
    """Names as they are printed: on one line, LaTeX accents as letters."""
    found = (line(_entities_out(name)) for name in names)
    said = (cut(plain_latex(name) if "\\" in name else name, 200) for name in found)
    return tuple(dict.fromkeys(name for name in said if name))[:MOST_AUTHORS]


def _entities_out(text: str) -> str:
    """Entities that somebody wrote twice ("&amp;lt;") as their characters."""
    return _ENTITY.sub(lambda found: html5.get(f"{found[1]};") or unescape(found[0]), text)


def moment(text: str) -> datetime | None:
    """A time in ISO form or as in mail, in its own zone (UTC without one); None for what is a slip."""
    said = text.strip()[:60]
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        try:
            found = parsedate_to_datetime(said)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    if not FIRST <= found.year < LAST:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def day_of(text: str) -> str:
    """The day that a time names in its own zone; '' for none."""
    found = moment(text)
    return found.date().isoformat() if found else ""


def paper_id(text: str) -> PaperId | None:
    """The arXiv id that an entry is called by, in an address of any host or in words of the archive."""
    said = line(text)[:300]
    found = _ID_IN.search(said)
    return parse_arxiv(said) or (parse_arxiv(found[1]) if found else None)


def once(entries: Iterable[tuple[Told, int]]) -> list[tuple[Told, int]]:
    """Each paper once: that of its newest version, then what says it is new."""
    best: dict[str, tuple[Told, int]] = {}
    for told, number in entries:
        key = str(told.paper or told.refs or told.title)
        standing = best.get(key)
        rank = (told.version, _RANK[told.announced])
        if standing is None:
            best[key] = told, number
        elif rank > (standing[0].version, _RANK[standing[0].announced]):
            best[key] = told, standing[1]
    return list(best.values())


# ---------------------------------------------------------------- the API


@dataclass(frozen=True)
class Answer:
    """A page of the API: entries (with their place in the whole answer) and what is wrong in it.

    `error` is what arXiv says in place of an answer; `broken`: the XML is not whole.
    """

    entries: tuple[tuple[Told, int], ...]
    problems: tuple[Rejected, ...]
    total: int | None
    start: int
    error: str = ""
    broken: bool = False


_API_NAMES = frozenset(["entry", "totalResults", "startIndex"])


def answer_of(file: File) -> Answer:
    """Read a page of the API. Raises Unreadable for XML that is not safe."""
    entries: list[tuple[Told, int]] = []
    problems: list[Rejected] = []
    counts: dict[str, int | None] = {"totalResults": None, "startIndex": None}
    number, error, broken = 0, "", False
    for found in elements(safe_xml(file), _API_NAMES):
        if isinstance(found, Rejected):
            problems.append(found)
            broken = True
            continue
        name, element = found
        if name != "entry":
            said = (element.text or "").strip()
            counts[name] = (
                int(said) if said.isascii() and said.isdigit() and len(said) < 10 else None
            )
            continue
        number += 1
        if number > MOST_ENTRIES:
            continue
        told = _entry(element)
        if isinstance(told, Told):
            entries.append((told, number))
            continue
        if told.where == "error":
            error = told.reason
        problems.append(Rejected(where=f"entry {number}", reason=told.reason))
    if number > MOST_ENTRIES:
        problems.append(
            Rejected(
                where=f"entry {MOST_ENTRIES + 1}", reason="There are more entries than are read."
            )
        )
    start = counts["startIndex"] or 0
    return Answer(
        tuple((told, start + number) for told, number in entries),
        tuple(problems),
        counts["totalResults"],
        start,
        error if not entries else "",
        broken,
    )


def _entry(element: Element) -> Told | Rejected:
    own, title = text_of(element, "id"), title_of(text_of(element, "title"))
    summary = text_of(element, "summary")
    if "/api/errors" in own or (title == "Error" and paper_id(own) is None):
        return Rejected(where="error", reason=f"arXiv answers: {_sentence(line(summary))}")
    paper = paper_id(own)
    if paper is None:
        called = f"{cut(line(own), 60)!r}" if own else "It"
        return Rejected(where="", reason=f"{called} {'is' if own else 'has'} no arXiv id.")
    if not title:
        return Rejected(where="", reason=f"{paper} has no title.")
    submitted = moment(text_of(element, "published"))
    return Told(
        paper=paper,
        title=title,
        abstract=abstract_of(summary),
        authors=names_of(text_of(each, "name") for each in children(element, "author")),
        published=submitted.date().isoformat() if submitted else "",
        categories=categories_of(
            [
                *(each.get("term", "") for each in children(element, "primary_category")),
                *(each.get("term", "") for each in children(element, "category")),
            ]
        ),
        doi=_doi(text_of(element, "doi")),
        venue=cut(line(text_of(element, "journal_ref")), 500),
        comment=cut(line(text_of(element, "comment")), 2_000),
        # What was submitted then was new then; that there are newer versions is noted beside it.
        day=listing_day(submitted) if submitted else "",
        announced=Announced.NEW if submitted else None,
        listed=1 if submitted else None,
        changed=day_of(text_of(element, "updated")),
        at=submitted,
    )


def _sentence(text: str) -> str:
    said = cut(text, 300).rstrip(". ")
    return f"{said}." if said else "an error, in no words."


def _doi(text: str) -> str:
    """The first DOI of what may be several."""
    return next((part for part in line(text).split(" ") if parse_doi(part)), "")


def categories_of(codes: Iterable[str]) -> tuple[str, ...]:
    """Codes of subjects, the primary one first; words and classes of other schemes are left out."""
    said = (line(code)[:60] for code in codes)
    return tuple(
        dict.fromkeys(code for code in said if re.fullmatch(r"[a-zA-Z-]+(\.[a-zA-Z-]+)?", code))
    )[:40]


def _head(file: File) -> tuple[str, str]:
    """The beginning of a feed in lower case: what stands before its first entry, and from there on."""
    start = xml_text.decoded(file.data[:8_000]).lower()
    at = re.search(r"<(?:item|entry)[\s>]", start)
    place = at.start() if at else len(start)
    return start[:place], start[place:]


@dataclass(frozen=True)
class ArxivAtom:
    """Reads answers of the API; each entry is a paper of its listing."""

    format: str = "arxiv-atom"

    def recognises(self, file: File) -> bool:
        """A feed of Atom that the API made."""
        if xml_text.root(file.data) != "feed":
            return False
        head, entries = _head(file)
        return "announce_type" not in entries and (
            "arxiv.org/api/" in head
            or "arxiv query:" in head
            or "arxiv search results" in head
            or ("arxiv.org/schemas/atom" in head and "totalresults" in head)
        )

    def read(self, file: File) -> Bundle:
        """Read an answer; an error that it is comes as Rejected. Raises Unreadable for anything else."""
        if xml_text.root(file.data) != "feed":
            raise Unreadable(f"{file.name} is no answer of the arXiv API: it is no Atom feed.")
        answer = answer_of(file)
        source = SourceRef(key="arxiv", kind=SourceKind.LISTING, name="arXiv", url=API)
        documents = [
            document(told, told.paper.value, source, self.format, number)
            for told, number in once(answer.entries)
            if told.paper is not None
        ]
        return Bundle(source=source, format=self.format, documents=(*documents, *answer.problems))


# ---------------------------------------------------------------- listings


_RSS_NAMES = frozenset(["item", "entry", "pubDate", "lastBuildDate", "updated", "date", "title"])


@dataclass(frozen=True)
class ArxivListing:
    """Reads a day's listing: the RSS and Atom feeds of categories, and the RDF of earlier years."""

    format: str = "arxiv-rss"

    def recognises(self, file: File) -> bool:
        """A feed that says what it announces, or is called the updates of arXiv."""
        if xml_text.root(file.data) not in ("rss", "rdf", "feed"):
            return False
        head, entries = _head(file)
        return (
            "updates on arxiv.org" in head
            or "arxiv.org e-print archive" in head
            or "://rss.arxiv.org/" in head
            or ("announce_type>" in entries and "arxiv.org" in entries)
        )

    def read(self, file: File) -> Bundle:
        """Read a listing. Raises Unreadable for what is none."""
        if xml_text.root(file.data) not in ("rss", "rdf", "feed"):
            raise Unreadable(f"{file.name} is no listing of arXiv: it is no feed.")
        told: list[tuple[Told, int]] = []
        problems: list[Rejected] = []
        head: dict[str, str] = {}
        number = 0
        for found in elements(safe_xml(file), _RSS_NAMES):
            if isinstance(found, Rejected):
                problems.append(found)
                continue
            name, element = found
            if name not in ("item", "entry"):
                head.setdefault(name, "".join(element.itertext()).strip())
                continue
            number += 1
            day = next(
                (
                    d
                    for each in ("pubDate", "date", "updated", "lastBuildDate")
                    if (d := day_of(head.get(each, "")))
                ),
                "",
            )
            one = _listed(element, day)
            if isinstance(one, Rejected):
                problems.append(Rejected(where=f"entry {number}", reason=one.reason))
            elif number <= MOST_ENTRIES:
                told.append((one, number))
        source = SourceRef(
            key="arxiv-rss",
            kind=SourceKind.LISTING,
            name=cut(line(head.get("title", "")), 120) or "arXiv listing",
        )
        documents = [
            document(each, each.paper.value, source, self.format, place)
            for each, place in once(told)
            if each.paper is not None
        ]
        return Bundle(source=source, format=self.format, documents=(*documents, *problems))


def _listed(element: Element, day: str) -> Told | Rejected:
    """An entry of a listing, `day` being that of the whole."""
    title, words = text_of(element, "title")[:5_000], text_of(element, "description", "summary")
    in_title, preamble = _IN_TITLE.search(title), _PREAMBLE.match(_HTML.sub("", words))
    links = [child.get("href", "") for child in children(element, "link")]
    named = [
        text_of(element, "guid", "id"), preamble[0] if preamble else "", in_title[1] if in_title else "",
        text_of(element, "link"), *links, *element.attrib.values(),
    ]  # fmt: skip
    ids = [found for each in named if each and (found := paper_id(each))]
    if not ids:
        return Rejected(where="", reason="It has no arXiv id.")
    paper = next((each for each in ids if each.version and each.value == ids[0].value), ids[0])
    title = title_of(_IN_TITLE.sub("", title))
    if not title:
        return Rejected(where="", reason=f"{paper} has no title.")
    said = text_of(element, "announce_type") or (preamble[1] if preamble else "")
    if not said and in_title:
        said = in_title[2] or "new"
    own = text_of(element, "pubDate", "published", "date")
    day = day_of(own) or day
    creators = children(element, "creator") or children(element, "author")
    names = [text_of(each, "name") or "".join(each.itertext()) for each in creators]
    words = _HTML.sub("\n", words) if "<p" in words.lower() else _HTML.sub("", words)
    return Told(
        paper=paper,
        title=title,
        abstract=abstract_of(_PREAMBLE.sub("", words, count=1)),
        authors=names_of(name for each in names for name in authors_of(each)),
        categories=categories_of(
            each.get("term", "") or (each.text or "") for each in children(element, "category")
        ),
        doi=_doi(text_of(element, "DOI", "doi")),
        venue=cut(line(text_of(element, "journal_reference", "journal_ref")), 500),
        day=day,
        announced=_ANNOUNCED.get(line(said).lower()),
        listed=paper.version,
    )


# ---------------------------------------------------------------- asking the API


@dataclass(frozen=True)
class ArxivConnector:
    """Asks the API of arXiv, newest first, until it meets what it brought before; by days for a back-fill.

    Its cursor: `newest` is when the newest paper of `query` it saw was submitted. While it is under way, `start`,
    `before`, `seen`, `total` and `first_seen` say which page is next; a back-fill has its own in `fill`.
    """

    name: str = "arxiv"
    kind: SourceKind = SourceKind.LISTING
    every_minutes: int = 12 * 60
    options: Mapping[str, str] = field(
        default_factory=lambda: {
            "categories": "Categories whose new papers come, such as cs.CL,cs.LG.",
            "query": "A query in the words of the arXiv API, such as ti:retrieval. With categories, both hold.",
            "page": f"Papers asked for at once: {PAGE} unless you say another number.",
        }
    )

    def finds(self, text: str) -> Found | None:
        """Categories ("cs.CL", "arxiv:cs.CL,cs.LG"), pages of listings on arxiv.org, and queries of the API."""
        said = text.strip()
        parts = _address(said)
        if parts is None:
            named = re.fullmatch(r"arxiv\s*:?\s*(?!//)(.+)", said, re.I)
            if paper := parse_arxiv(named[1] if named else said):
                raise Invalid(
                    f"{said} is one paper: import https://arxiv.org/abs/{paper.value}, or name "
                    "categories, such as arxiv:cs.CL,cs.LG."
                )
            # In capitals after an archive's name stands one of its classes, and no host.
            archive = re.fullmatch(r"([a-z-]+)\.[A-Z]{2}", said)
            strict = named is not None or bool(archive and archive[1] in _ARCHIVES)
            codes = _codes(named[1] if named else said, strict=strict)
            return _of_categories(codes) if codes else None
        host, path, query = parts
        if host != "arxiv.org":
            return None
        if path == "/api/query":
            asked = dict(parse_qsl(query))
            words = line(asked.get("search_query", ""))
            if not words:
                raise Invalid("This query of arXiv has no search_query: it brings nothing new.")
            return Found(
                key=f"arxiv:{words}",
                connector="arxiv",
                url=API,
                name=f"arXiv {cut(words, 80)}",
                options={"query": words},
                words="New papers of a query to arXiv: they wait in the Inbox.",
            )
        if listed := re.match(r"/(?:list|archive)/([a-z-]+(?:\.[a-z-]+)?)(?:/|$)", path, re.I):
            return _of_categories(_codes(listed[1], strict=True))
        if paper_id(said):
            raise Invalid(
                f"{said} is one paper. Name categories, such as cs.CL, or import the paper."
            )
        return None

    def check(self, url: str, options: Mapping[str, Any]) -> None:
        """Raises Invalid for a query that arXiv would refuse."""
        if given := str(options.get("categories") or ""):
            _codes(given, strict=True)
        try:
            _asked(Wanted(url=url, options=options, cursor={}, today=date.min))
        except NotFetched as error:
            raise Invalid(str(error)) from error

    def fetch(self, web: Web, wanted: Wanted) -> Iterator[Fetched]:
        """Each page. Raises NotFetched, also for an error that arXiv says and for a page without end."""
        base, query = _asked(wanted)
        size = _size(wanted.options.get("page"))
        if wanted.first or wanted.last:
            yield from self._fill(web, wanted, base, query, size)
        else:
            yield from self._new(web, wanted, base, query, size)

    def _new(self, web: Web, wanted: Wanted, base: str, query: str, size: int) -> Iterator[Fetched]:
        known = {k: v for k, v in wanted.cursor.items() if k != "fill"}
        if known.get("query", query) != query:
            known = {}  # of other categories, nothing came yet
        newest = moment(str(known.get("newest") or ""))
        since = whole_day(wanted.since)
        until = newest - KEPT_BACK if newest else None
        first_days = newest is None and since is not None
        if since is not None and first_days:
            until, _ = submitted_for(since, since)
        latest = datetime.combine(wanted.today + timedelta(days=2), datetime.min.time(), UTC)
        place = known if "start" in known else {}
        first_seen = str(place.get("first_seen") or "")
        for page in _pages(web, base, query, size, place, lower=until, sure=newest is not None):
            times = [told.at for told, _ in page.answer.entries if told.at and told.at <= latest]
            if not first_seen and times:
                first_seen = max(times).isoformat()
            if (
                since is not None
                and until is not None
                and first_days
                and (at := moment(first_seen))
            ):
                # Of a query that had nothing new of late: its newest papers, of as many days.
                until = min(until, at - (wanted.today - since))
            ended = page.ended or (
                until is not None and page.oldest is not None and page.oldest < until
            )
            if ended:
                seen = [at for at in (moment(first_seen), newest) if at]
                cursor = {"newest": max(seen).isoformat(), "query": query} if seen else {}
            else:
                cursor = {**page.after, "first_seen": first_seen, "query": query}
                if newest is not None:
                    cursor["newest"] = newest.isoformat()
            yield page.fetched(cursor, total=None)
            if ended:
                return

    def _fill(
        self, web: Web, wanted: Wanted, base: str, query: str, size: int
    ) -> Iterator[Fetched]:
        first, last = whole_day(wanted.first or wanted.last), whole_day(wanted.last or wanted.first)
        if first is None or last is None or last < first:
            raise NotFetched("These are no days to bring papers of.", again=False)
        lower, upper = submitted_for(first, last)
        days = [first.isoformat(), last.isoformat()]
        kept = {k: v for k, v in wanted.cursor.items() if k != "fill"}
        place = wanted.cursor.get("fill") or {}
        place = place if isinstance(place, dict) and place.get("days") == days else {}
        if place.get("done"):
            return
        query = f"{query} AND {_range(lower, upper)}"
        for page in _pages(web, base, query, size, place, lower=None, sure=False):
            after = {"done": True} if page.ended else page.after
            yield page.fetched({**kept, "fill": {**after, "days": days}}, total=page.answer.total)
            if page.ended:
                return


@dataclass(frozen=True)
class _Page:
    """One page that came. `before` is the place it was asked for, `after` that of the next."""

    answer: Answer
    data: bytes
    url: str
    headers: Mapping[str, str]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    ended: bool

    @property
    def oldest(self) -> datetime | None:
        return next((told.at for told, _ in reversed(self.answer.entries) if told.at), None)

    def fetched(self, cursor: Mapping[str, Any], *, total: int | None) -> Fetched:
        if not self.answer.entries and not self.answer.problems:
            return Fetched(cursor=cursor, total=total)
        begin = int(self.before.get("seen") or 0)
        return Fetched(
            cursor=cursor,
            data=self.data,
            format="arxiv-atom",
            name=f"papers {begin + 1} to {begin + len(self.answer.entries)}",
            url=self.url,
            headers=self.headers,
            seen=begin + len(self.answer.entries),
            total=total,
        )


def _pages(
    web: Web,
    base: str,
    query: str,
    size: int,
    place: Mapping[str, Any],
    *,
    lower: datetime | None,
    sure: bool,
) -> Iterator[_Page]:
    """Pages from a place on, newest first, to the end of the answer. `sure`: there must be some."""
    before_ids: set[str] = set()
    while True:
        start, seen = _number(place.get("start")), _number(place.get("seen"))
        before = str(place.get("before") or "")
        asked = query
        if before and (bound := moment(before)):
            asked = f"{query} AND {_range(lower, bound + timedelta(minutes=2))}"
        url = _url(base, asked, start, size)
        expected = max(_number(place.get("total")), start + 1 if sure else 0)
        answer, data, came_from, headers = _page(web, url, start, expected)
        entries, total = answer.entries, answer.total
        count = len(entries) + sum(1 for each in answer.problems if each.where.startswith("entry "))
        ended = not count or (total is not None and start + count >= total and not answer.broken)
        ids = {told.paper.value for told, _ in entries if told.paper}
        # A service that looks at no `start` gives one page without end.
        if (total is None and count < size) or (ids and ids <= before_ids and start):
            ended = True
        before_ids = ids
        overlap = min(3, count // 10)
        after: dict[str, Any] = {
            "start": start + count - overlap,
            "seen": seen + len(entries) - overlap,
            "total": total or 0,
        }
        if before:
            after["before"] = before
        oldest = next((told.at for told, _ in reversed(entries) if told.at), None)
        if after["start"] >= DEEPEST and oldest is not None and oldest.isoformat() != before:
            # A new answer, that begins where this one is: deep ones are slow, and end at 30,000.
            after = {"start": 0, "seen": after["seen"], "before": oldest.isoformat()}
        page = _Page(answer, data, came_from, headers, place, after, ended)
        yield page
        if ended:
            return
        place = {**place, **after, "before": after.get("before", "")}


def _page(
    web: Web, url: str, start: int, expected: int
) -> tuple[Answer, bytes, str, Mapping[str, str]]:
    """One page; asked for again when it is empty, or breaks off, where more was said to be."""
    for tries in range(1, AGAIN + 1):
        came = web.get(url, accept="application/atom+xml", spacing=SPACING)
        file = File("the answer", came.data, url=came.url, headers=came.headers)
        if not ArxivAtom().recognises(file):
            raise NotFetched(f"{_short(url)} answers with something else than the arXiv API does.")
        try:
            answer = answer_of(file)
        except Unreadable as error:
            raise NotFetched(f"{_short(url)}: {error}") from error
        if answer.error:
            final = re.search(r"incorrect|malformed|invalid|must|not|unknown", answer.error, re.I)
            raise NotFetched(answer.error, again=final is None)
        said = answer.total if answer.total else expected
        empty = not answer.entries and not answer.problems and said > start
        if not empty and not (answer.broken and tries < AGAIN):
            if answer.broken and not answer.entries:
                break
            return answer, came.data, came.url, came.headers
    raise NotFetched(
        f"arXiv gave a page without papers, {AGAIN} times, where paper {start + 1} should be."
    )


def _asked(wanted: Wanted) -> tuple[str, str]:
    """The address of the API and the query of a source, from its options or from its address."""
    try:
        parts = urlsplit(wanted.url or API)
    except ValueError as error:
        raise NotFetched(f"{cut(wanted.url, 80)!r} is no address.", again=False) from error
    path = parts.path if parts.path.strip("/") else "/api/query"
    base = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
    own = dict(parse_qsl(parts.query))
    given = wanted.options.get("categories") or ""
    codes = given if isinstance(given, str) else ",".join(map(str, given))
    categories = [code for code in re.split(r"[,\s+]+", codes) if code]
    for code in categories:
        if not _CODE.fullmatch(code):
            raise NotFetched(f"{cut(code, 40)!r} is no category of arXiv.", again=False)
    query = line(str(wanted.options.get("query") or own.get("search_query") or ""))
    terms = [" OR ".join(f"cat:{code}" for code in categories), query]
    found = [f"({term})" if " " in term else term for term in terms if term]
    if not found:
        raise NotFetched("arXiv needs categories or a query to ask for.", again=False)
    return base, " AND ".join(found)


def _url(base: str, query: str, start: int, size: int) -> str:
    return f"{base}?" + urlencode(
        {
            "search_query": query,
            "start": start,
            "max_results": size,
            "sortBy": "submittedDate",
            "sortOrder": "descending",
        }
    )


def _range(lower: datetime | None, upper: datetime) -> str:
    begin = lower.astimezone(UTC) if lower else datetime(FIRST, 1, 1, tzinfo=UTC)
    end = upper.astimezone(UTC) - timedelta(minutes=1)
    return f"submittedDate:[{begin:%Y%m%d%H%M} TO {end:%Y%m%d%H%M}]"


def _size(given: object) -> int:
    said = str(given or "")
    return (
        max(1, min(int(said), MOST_PAGE))
        if said.isascii() and said.isdigit() and len(said) < 6
        else PAGE
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _short(url: str) -> str:
    return url.partition("?")[0]


def _address(text: str) -> tuple[str, str, str] | None:
    """Host (of all that arXiv answers under, arxiv.org), path and query; None for what is no address."""
    said = text if "://" in text else f"https://{text}"
    if " " in said or ("://" not in text and "arxiv.org/" not in text.lower()):
        return None
    try:
        parts = urlsplit(said)
        host = (parts.hostname or "").lower()
    except ValueError:
        return None
    own = host in ("arxiv.org", "www.arxiv.org", "export.arxiv.org")
    return "arxiv.org" if own else host, parts.path.rstrip("/") or "/", parts.query


def _codes(text: str, *, strict: bool) -> list[str]:
    """The categories that a text names, as arXiv spells them; none when it names something else.

    Raises Invalid for one that arXiv has not, if `strict` or beside others that it has.
    """
    named = [word for word in re.split(r"[,;+\s]+", text.strip()) if word]
    if not named or len(named) > 50:
        return []
    found = [_spelled(word) for word in named]
    if not strict and (not all(found) or not any("." in word or "-" in word for word in named)):
        return []
    for word, code in zip(named, found, strict=True):
        if not code:
            raise Invalid(
                f"{cut(word, 40)!r} is no category of arXiv. Write them like cs.CL or hep-th."
            )
    return list(dict.fromkeys(code for code in found if code))


def _spelled(word: str) -> str:
    """A category as arXiv writes it, an archive with classes as `cs.*`; '' when there is none such."""
    archive, dot, name = word.partition(".")
    classes = _ARCHIVES.get(archive.lower())
    if classes is None:
        return ""
    if not dot or name == "*":
        return f"{archive.lower()}.*" if classes else archive.lower()
    same = (each for each in classes if each.lower() == name.lower())
    return next((f"{archive.lower()}.{each}" for each in same), "")


def _of_categories(codes: Sequence[str]) -> Found:
    return Found(
        key="arxiv:" + ",".join(sorted(codes)),
        connector="arxiv",
        url=API,
        name=f"arXiv {', '.join(codes)}",
        options={"categories": ",".join(codes)},
        words=f"New papers of {', '.join(codes)} on arXiv: they wait in the Inbox.",
    )


# ---------------------------------------------------------------- asking for listings


@dataclass(frozen=True)
class ListingConnector:
    """Asks for the listing of the day, which arXiv has as a feed: whole, and only when it changed."""

    name: str = "arxiv-rss"
    kind: SourceKind = SourceKind.LISTING
    every_minutes: int = 6 * 60
    options: Mapping[str, str] = field(
        default_factory=lambda: {"categories": "Categories of the listing, such as cs.CL,cs.LG."}
    )

    def finds(self, text: str) -> Found | None:
        """The addresses of arXiv's feeds: https://rss.arxiv.org/rss/cs.CL+cs.LG."""
        parts = _address(text.strip())
        if parts is None or parts[0] not in ("rss.arxiv.org", "arxiv.org"):
            return None
        named = re.fullmatch(r"/(?:rss|atom)/(.+)", parts[1], re.I)
        if named is None:
            return None
        codes = [code.removesuffix(".*") for code in _codes(unquote_plus(named[1]), strict=True)]
        return Found(
            key="arxiv-rss:" + ",".join(sorted(codes)),
            connector=self.name,
            url=f"{FEED}/{'+'.join(codes)}",
            name=f"arXiv listing {', '.join(codes)}",
            words=f"Each day's listing of {', '.join(codes)} on arXiv: its papers wait in the Inbox.",
        )

    def fetch(self, web: Web, wanted: Wanted) -> Iterator[Fetched]:
        """The listing as it stands. Raises NotFetched for a back-fill: of other days there is none."""
        if wanted.first or wanted.last:
            raise NotFetched(
                "A listing of arXiv has its newest day alone. To bring earlier days, add its categories "
                "(cs.CL) as a source: they come by the API.",
                again=False,
            )
        url = wanted.url or FEED
        given = str(wanted.options.get("categories") or "")
        codes = [code.removesuffix(".*") for code in _codes(given, strict=False)]
        if codes and urlsplit(url).path.rstrip("/") in ("", "/rss", "/atom"):
            path = urlsplit(url).path.rstrip("/") or "/rss"
            url = urlunsplit((*urlsplit(url)[:2], f"{path}/{'+'.join(codes)}", "", ""))
        known = wanted.cursor
        came = web.get(
            url,
            accept="application/rss+xml, application/atom+xml, */*;q=0.1",
            etag=str(known.get("etag") or ""),
            modified=str(known.get("modified") or ""),
            spacing=SPACING,
        )
        if came.status == 304:
            yield Fetched(cursor=dict(known), moved=came.moved)
            return
        file = File("the listing", came.data, url=came.url, headers=came.headers)
        if not ArxivListing().recognises(file):
            raise NotFetched(f"{_short(url)} answers with something else than a listing of arXiv.")
        marks = {"etag": came.headers.get("etag"), "modified": came.headers.get("last-modified")}
        cursor = {name: mark[:1_000] for name, mark in marks.items() if mark}
        number = len(re.findall(rb"<(?:item|entry)[\s>]", came.data))
        if not number:  # of a weekend or a holiday
            yield Fetched(cursor=cursor, moved=came.moved)
            return
        yield Fetched(
            cursor=cursor,
            data=came.data,
            format=self.name,
            name="the day's listing",
            url=came.url,
            headers=came.headers,
            seen=number,
            total=number,
            moved=came.moved,
        )
