"""Semantic Scholar: what it knows of the wiki's own papers, asked paper by paper, and saved answers.

It gives what other sources do not: the references of a paper, by which the linker finds papers that
share them, and a TLDR, a sentence that a model of theirs wrote. The connector asks about kept papers
alone, and about each again only after a month. A saved list of papers (a search, citations,
recommendations) waits in the Inbox.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlsplit

from app.domain.identifiers import clean_date, parse_arxiv, parse_doi, parse_id, whole_day
from app.domain.items import Bundle, Document, PaperArrival, Ref, Rejected, SourceRef
from app.domain.latex import readable
from app.domain.records import SourceKind
from app.errors import Invalid, NotFetched, Unreadable
from app.sources.base import File
from app.sources.connectors import Fetched, Found, Wanted, Web

API = "https://api.semanticscholar.org/graph/v1"
SOURCE = SourceRef(
    key="semantic-scholar",
    kind=SourceKind.INDEX,
    name="Semantic Scholar",
    url="https://www.semanticscholar.org",
    description="An index of papers: references and one-sentence summaries.",
)
FIELDS = (
    "title,abstract,venue,year,publicationDate,externalIds,authors.name,tldr,citationCount,"
    "references.externalIds"
)
SPACING = 1.0  # seconds between two requests; who has a key may ask as often
AT_ONCE = 100  # papers of one fetch
AGAIN = timedelta(days=30)  # after which it is asked about a paper anew
MOST_REFERENCES = 2_000
_MAX_TEXT, _MAX_TITLE, _MAX_AUTHORS = 20_000, 1_000, 5_000

_PAPER_ID = re.compile(r"[0-9a-f]{40}")
_START = re.compile(r'"(?:paperId|citingPaper|citedPaper|recommendedPapers)"\s{0,20}:')


@dataclass(frozen=True)
class SemanticScholar:
    format: str = "semantic-scholar"

    def recognises(self, file: File) -> bool:
        """JSON with a `paperId` near its beginning."""
        start = File(file.name, file.data[:4_096]).text().lstrip("\ufeff \t\r\n")
        return start.startswith(("{", "[")) and _START.search(start) is not None

    def read(self, file: File) -> Bundle:
        """One paper, a page of a list, or a batch; what an answer says it does not know is Rejected."""
        try:
            value = json.loads(file.text())
        except (ValueError, RecursionError):
            raise Unreadable(f"{file.name} is not JSON.") from None
        found = _papers_in(value)
        if found is None:
            raise Unreadable(f"{file.name} is no answer of Semantic Scholar: no paper is in it.")
        return Bundle(source=SOURCE, format=self.format, documents=_documents(self.format, found))


def _papers_in(value: object) -> Sequence[object] | None:
    """The papers of an answer, whichever was asked for; None when it is none."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return None
    for name in ("data", "recommendedPapers", "papers"):
        if isinstance(value.get(name), list):
            return list(value[name])
    return [value] if "paperId" in value or "error" in value else None


def _documents(format: str, papers: Sequence[object]) -> Iterator[Document | Rejected]:
    seen: set[str] = set()
    for number, paper in enumerate(papers, start=1):
        for wrapper in ("citingPaper", "citedPaper"):
            if isinstance(paper, dict) and isinstance(paper.get(wrapper), dict):
                paper = paper[wrapper]
        document = _document(format, paper, f"paper {number}")
        if isinstance(document, Rejected) or document.key not in seen:
            seen.add(document.key if isinstance(document, Document) else "")
            yield document


def _document(format: str, paper: object, where: str) -> Document | Rejected:
    if paper is None:
        return Rejected(where=where, reason="Semantic Scholar does not know this paper.")
    if not isinstance(paper, dict):
        return Rejected(where=where, reason="This is not a paper.")
    asked = _line(paper.get("asked"))
    if paper.get("error") and not paper.get("paperId"):
        return Rejected(where=asked or where, reason="Semantic Scholar does not know this paper.")
    title = _line(paper.get("title"), _MAX_TITLE)
    refs = [str(each) for each in _identifiers(paper)]
    if not title or not refs:
        return Rejected(where=asked or where, reason="The paper has no title or no id.")
    tldr = paper.get("tldr")
    said = _line(tldr.get("text") if isinstance(tldr, dict) else tldr, _MAX_TITLE)
    arrival = PaperArrival(
        refs=tuple(refs),
        title=title,
        abstract=_line(paper.get("abstract")),
        authors=_authors(paper.get("authors")),
        published=_published(paper),
        venue=_venue(paper),
        references=_references(paper.get("references")),
        extra={"tldr": said} if said else {},
    )
    told = json.dumps(asdict(arrival), sort_keys=True, ensure_ascii=False)
    citations = paper.get("citationCount")
    counted = isinstance(citations, int) and not isinstance(citations, bool) and citations >= 0
    return Document(
        source=SOURCE,
        key=next((ref for ref in refs if ref.startswith("s2:")), refs[0]),
        format=format,
        title=title,
        arrivals=(arrival,),
        url=f"https://www.semanticscholar.org/paper/{_line(paper.get('paperId'))}",
        published=arrival.published,
        hash=sha256(told.encode("utf-8", "replace")).hexdigest(),
        state={"citations": min(citations, 10**9)} if counted else {},  # type: ignore[type-var]
    )


def _line(value: object, longest: int = _MAX_TEXT) -> str:
    return " ".join(readable(value[:longest]).split()) if isinstance(value, str) else ""


def _identifiers(paper: Mapping[str, Any]) -> list[Ref]:
    """What it is known by: arXiv id and DOI first, and Semantic Scholar's own."""
    known = paper.get("externalIds")
    known = known if isinstance(known, dict) else {}
    found: list[Ref] = []
    for identifier in (
        parse_arxiv(_line(known.get("ArXiv"), 100)),
        parse_doi(_line(known.get("DOI"), 500)),
    ):
        if identifier is not None and str(identifier) not in found:
            found.append(str(identifier))
    own = _line(paper.get("paperId"), 100)
    if _PAPER_ID.fullmatch(own):
        found.append(f"s2:{own}")
    return found


def _authors(value: object) -> tuple[str, ...]:
    names = [
        _line(each.get("name") if isinstance(each, dict) else each, 500)
        for each in (value[:_MAX_AUTHORS] if isinstance(value, list) else [])
    ]
    return tuple(name for name in names if name)


def _published(paper: Mapping[str, Any]) -> str:
    day = clean_date(_line(paper.get("publicationDate"), 40))
    year = paper.get("year")
    return day or (clean_date(f"{year:04}") if isinstance(year, int) and 0 < year < 10_000 else "")


def _venue(paper: Mapping[str, Any]) -> str:
    journal = paper.get("journal")
    venue = _line(paper.get("venue"), 500) or _line(
        journal.get("name") if isinstance(journal, dict) else "", 500
    )
    return "" if venue.lower() in ("arxiv.org", "arxiv") else venue


def _references(value: object) -> tuple[Ref, ...]:
    """What it cites, each by the identifier that other sources would name it by."""
    found: dict[Ref, None] = {}
    for each in value if isinstance(value, list) else []:
        if isinstance(each, dict) and isinstance(each.get("citedPaper"), dict):
            each = each["citedPaper"]
        if isinstance(each, dict) and (refs := _identifiers(each)):
            found.setdefault(refs[0])
        if len(found) == MOST_REFERENCES:
            break
    return tuple(found)


@dataclass(frozen=True)
class SemanticScholarConnector:
    """Asks about the wiki's kept papers, one request each. Its cursor: `asked`, the day by paper."""

    name: str = "semantic-scholar"
    kind: SourceKind = SourceKind.INDEX
    every_minutes: int = 24 * 60
    options: Mapping[str, str] = field(default_factory=dict)
    asks_about_papers: bool = True

    def finds(self, text: str) -> Found | None:
        """Its name, or an address of the service."""
        said = text.strip()
        if not re.fullmatch(r"semantic[ -]?scholar|s2", said, re.I):
            try:
                parts = urlsplit(said if "://" in said else f"https://{said}")
                host = (parts.hostname or "").lower()
            except ValueError:
                return None
            if " " in said or not (
                host == "semanticscholar.org" or host.endswith(".semanticscholar.org")
            ):
                return None
            if host != "api.semanticscholar.org" and parts.path.startswith("/paper/"):
                raise Invalid(
                    "This is one paper. Semantic Scholar as a source asks about all kept papers: "
                    "add https://api.semanticscholar.org."
                )
        return Found(
            key=self.name,
            connector=self.name,
            url=API,
            name=SOURCE.name,
            words="References and one-sentence summaries of the papers you keep. It learns which "
            "papers you ask about.",
        )

    def fetch(self, web: Web, wanted: Wanted) -> Iterator[Fetched]:
        """What it knows of each paper that was not asked about for a month. Raises NotFetched."""
        asked = _asked(wanted.cursor, wanted.today)
        papers = [ref for ref in dict.fromkeys(wanted.papers) if ref not in asked and _path(ref)]
        base = (wanted.url or API).rstrip("/")
        headers = {"x-api-key": wanted.secret} if wanted.secret else {}
        for number, ref in enumerate(papers[:AT_ONCE], start=1):
            url = f"{base}/paper/{_path(ref)}?fields={FIELDS}"
            data = b""
            try:
                response = web.get(url, accept="application/json", headers=headers, spacing=SPACING)
                data, answered = response.data, response.headers
            except NotFetched as error:
                if error.status in (401, 403) and wanted.secret:
                    raise NotFetched(
                        "Semantic Scholar refuses the key. Look at the setting CEREBRO_S2_KEY.",
                        again=False,
                        status=error.status,
                    ) from error
                if error.status not in (400, 404):
                    raise
                # Unknown there: said like any other answer, and not asked again for a month.
                data, answered = json.dumps({"error": "not found", "asked": ref}).encode(), {}
            asked[ref] = wanted.today.isoformat()
            yield Fetched(
                cursor={"asked": dict(asked)},
                data=data,
                format="semantic-scholar",
                name=ref,
                url=url,
                headers=answered,
                seen=number,
                total=min(len(papers), AT_ONCE),
            )
        if not papers:
            yield Fetched(cursor={"asked": asked})


def _asked(cursor: Mapping[str, Any], today: date) -> dict[str, str]:
    """The papers that were asked about in the last month, each with the day."""
    given = cursor.get("asked")
    return {
        ref: day
        for ref, day in (given.items() if isinstance(given, dict) else ())
        if isinstance(day, str) and (when := whole_day(day)) and today - when < AGAIN
    }


def _path(ref: Ref) -> str:
    """How its address names a paper; '' for one it cannot be asked about."""
    identifier = parse_id(ref)
    if identifier is None:
        return ""
    match identifier.scheme:
        case "arxiv":
            return quote(f"ARXIV:{identifier.value}", safe=":")
        case "doi":
            return quote(f"DOI:{identifier.value}", safe=":")
        case "s2":
            return identifier.value
        case _:
            return ""
