"""OAI-PMH: what a repository harvests out of, page by page, and the connector that harvests.

Records of arXiv in its three formats (arXiv, arXivRaw, oai_dc), and those of other repositories in
oai_dc. A record's datestamp says when something of it last changed, and not what: so a paper stands in
the listing that its first version was announced in, and, where a later version is what changed, in that
one's as replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from xml.etree.ElementTree import Element

from app.domain.announcements import listing_day
from app.domain.identifiers import clean_date, parse_doi, parse_url, whole_day
from app.domain.items import Bundle, Document, PaperArrival, Rejected, SourceRef
from app.domain.records import Announced, SourceKind
from app.domain.untrusted import cut, line
from app.errors import Invalid, NotFetched, Unreadable
from app.sources import xml_text
from app.sources.arxiv import (
    SPACING,
    Told,
    abstract_of,
    authors_of,
    categories_of,
    children,
    document,
    elements,
    local,
    moment,
    names_of,
    once,
    paper_id,
    safe_xml,
    text_of,
    title_of,
)
from app.sources.base import File
from app.sources.connectors import Fetched, Found, Wanted, Web

ARXIV = "https://oaipmh.arxiv.org/oai"
PREFIX = "arXivRaw"
AGAIN = 3  # times that one harvest may begin anew
LATEST_CHANGE = timedelta(days=4)  # a version older than that is not what changed
MOST_RECORDS = 20_000
_ANSWERS = frozenset(
    ["record", "error", "resumptionToken", "responseDate", "request", "repositoryName"]
)
_IN_WORDS = {
    "noRecordsMatch": "it has no records of these days and this set",
    "badResumptionToken": "the mark to go on from (resumption token) has expired or is wrong",
    "badArgument": "the request has an argument that it does not take",
    "badVerb": "the request has no verb that it knows; a harvest asks for ListRecords",
    "cannotDisseminateFormat": "it does not give records in this format (metadataPrefix)",
    "idDoesNotExist": "it has no such record",
    "noMetadataFormats": "it gives this record in no format",
    "noSetHierarchy": "it has no sets",
}


@dataclass(frozen=True)
class Page:
    """A page of a harvest. `errors` are its codes with words; `token` is '' at the end.

    `answered` is the day of the answer by the repository's own clock, `listed` the length of the whole.
    """

    entries: tuple[tuple[Told, int], ...]
    earlier: Mapping[int, PaperArrival]  # by place: the listing of its first version
    keys: Mapping[int, str]
    problems: tuple[Rejected, ...]
    errors: tuple[tuple[str, str], ...]
    token: str
    listed: int | None
    answered: str
    url: str
    name: str
    broken: bool


def page_of(file: File) -> Page:
    """Read an answer. Raises Unreadable for XML that is not safe, and for what is no OAI-PMH."""
    if xml_text.root(file.data) != "oai-pmh":
        raise Unreadable(f"{file.name} is no answer of OAI-PMH.")
    entries: list[tuple[Told, int]] = []
    earlier: dict[int, PaperArrival] = {}
    keys: dict[int, str] = {}
    problems: list[Rejected] = []
    errors: list[tuple[str, str]] = []
    said: dict[str, str] = {}
    listed: int | None = None
    number, broken = 0, False
    for found in elements(safe_xml(file), _ANSWERS):
        if isinstance(found, Rejected):
            problems.append(found)
            broken = True
            continue
        name, element = found
        if name == "record":
            number += 1
            if number <= MOST_RECORDS:
                _take(element, number, entries, earlier, keys, problems)
        elif name == "error":
            errors.append((element.get("code", "")[:60], line("".join(element.itertext()))))
        else:
            said[name] = "".join(element.itertext()).strip()
            if name == "resumptionToken":
                size = element.get("completeListSize", "")
                listed = int(size) if size.isascii() and size.isdigit() and len(size) < 10 else None
    if number > MOST_RECORDS:
        problems.append(
            Rejected(
                where=f"record {MOST_RECORDS + 1}", reason="There are more records than are read."
            )
        )
    return Page(
        tuple(entries),
        earlier,
        keys,
        tuple(problems),
        tuple(errors),
        said.get("resumptionToken", ""),
        listed,
        clean_date(said.get("responseDate", "")),
        line(said.get("request", ""))[:500],
        cut(line(said.get("repositoryName", "")), 120),
        broken,
    )


def _take(
    element: Element,
    number: int,
    entries: list[tuple[Told, int]],
    earlier: dict[int, PaperArrival],
    keys: dict[int, str],
    problems: list[Rejected],
) -> None:
    """Read a record into one of these."""
    header = next(iter(children(element, "header")), None)
    identifier = line(text_of(header, "identifier"))[:300] if header is not None else ""
    where = identifier or f"record {number}"
    if header is not None and header.get("status", "").lower() == "deleted":
        problems.append(Rejected(where=where, reason="The repository says that it was deleted."))
        return
    metadata = next((each[0] for each in children(element, "metadata") if len(each)), None)
    if header is None or metadata is None:
        problems.append(Rejected(where=where, reason="It has no header or no metadata."))
        return
    changed = moment(text_of(header, "datestamp"))
    kind = local(metadata).lower()
    reading = {"arxiv": _arxiv, "arxivraw": _raw, "dc": _dublin_core}.get(kind)
    if reading is None:
        reason = f"Its format {cut(local(metadata), 40)!r} is none of arXiv, arXivRaw and oai_dc."
        problems.append(Rejected(where=where, reason=reason))
        return
    told, submitted = reading(metadata, changed)
    told = replace(
        told,
        paper=told.paper or paper_id(identifier),
        categories=told.categories or _of_sets(header),
    )
    if told.paper and not told.paper.version and told.listed:
        told = replace(told, paper=replace(told.paper, version=told.listed))
    if not told.title:
        problems.append(Rejected(where=where, reason="It has no title."))
        return
    first = listing_day(submitted) if submitted else ""
    if told.announced is Announced.REPLACED:
        if first and first < told.day:
            earlier[number] = PaperArrival(
                refs=told.refs,
                title=told.title,
                day=first,
                announced=Announced.NEW,
                version=1,
                position=number,
            )
    else:
        told = replace(
            told,
            day=first,
            announced=Announced.NEW if first else None,
            listed=1 if first and told.paper else None,
        )
    keys[number] = (
        told.paper.value if told.paper else (identifier or (told.refs or (told.title,))[0])
    )
    entries.append((told, number))


def _noon(text: str) -> datetime | None:
    """A day as a time of it, for dates that come without; None for what is none."""
    day = whole_day(clean_date(text))
    return datetime.combine(day, time(12), UTC) if day else None


def _replaced(told: Told, version: int, at: datetime | None, changed: datetime | None) -> Told:
    """The same, noted as replaced on the day of its newest version when that is what changed."""
    told = replace(told, listed=version or None, changed=at.date().isoformat() if at else "")
    day = listing_day(at) if at else ""
    if not day or at is None or (version and version < 2):
        return told
    if changed is not None and changed - at.replace(tzinfo=at.tzinfo or UTC) > LATEST_CHANGE:
        return told  # a DOI was added, or a word put right, long after
    return replace(told, day=day, announced=Announced.REPLACED)


def _raw(metadata: Element, changed: datetime | None) -> tuple[Told, datetime | None]:
    """arXivRaw: every version with its time."""
    versions: dict[int, datetime | None] = {}
    for each in children(metadata, "version"):
        number = re.fullmatch(r"v?(\d{1,3})", each.get("version", "").strip())
        if number:
            versions[int(number[1])] = moment(text_of(each, "date"))
    newest = max(versions, default=0)
    first = versions.get(1)
    told = Told(
        paper=paper_id(text_of(metadata, "id")),
        title=title_of(text_of(metadata, "title")),
        abstract=abstract_of(text_of(metadata, "abstract")),
        authors=authors_of(text_of(metadata, "authors")),
        published=first.astimezone(UTC).date().isoformat() if first else "",
        **_shared(metadata),
    )
    return _replaced(told, newest, versions.get(newest), changed), first


def _arxiv(metadata: Element, changed: datetime | None) -> tuple[Told, datetime | None]:
    """arXiv: names in parts, and the days of the first and the newest version."""
    names = []
    for group in children(metadata, "authors"):
        for each in children(group, "author"):
            parts = (text_of(each, part) for part in ("forenames", "keyname", "suffix"))
            names.append(" ".join(part for part in parts if part))
    created, updated = (_noon(text_of(metadata, name)) for name in ("created", "updated"))
    told = Told(
        paper=paper_id(text_of(metadata, "id")),
        title=title_of(text_of(metadata, "title")),
        abstract=abstract_of(text_of(metadata, "abstract")),
        authors=names_of(names),
        published=created.date().isoformat() if created else "",
        **_shared(metadata),
    )
    if updated and created and updated > created:
        return _replaced(told, 0, updated, changed), created
    return told, created


def _shared(metadata: Element) -> dict[str, Any]:
    return {
        "categories": categories_of(text_of(metadata, "categories").split()),
        "doi": next((p for p in text_of(metadata, "doi").split() if parse_doi(p)), ""),
        "venue": cut(line(text_of(metadata, "journal-ref")), 500),
        "comment": cut(line(text_of(metadata, "comments")), 2_000),
    }


def _dublin_core(metadata: Element, changed: datetime | None) -> tuple[Told, datetime | None]:
    """oai_dc: of any repository. Identifiers and dates stand there in no fixed order."""
    said: dict[str, list[str]] = {}
    for child in metadata:
        if words := "".join(child.itertext()).strip():
            said.setdefault(local(child), []).append(words)
    identifiers = [line(each)[:2_000] for each in said.get("identifier", [])]
    paper = next((found for each in identifiers if (found := paper_id(each))), None)
    # One of arXiv: its first description is the abstract, others are comments.
    descriptions = said.get("description", [])
    comment = next((each for each in descriptions if re.match(r"\s*comments?:", each, re.I)), "")
    abstract = next((each for each in descriptions if each != comment), "")
    days = sorted(day for each in said.get("date", []) if len(day := clean_date(each)) == 10)
    created = _noon(days[0]) if days else None
    creators = (
        re.sub(r"^([^,]+), ([^,]+)$", r"\2 \1", line(each)) for each in said.get("creator", [])
    )
    told = Told(
        paper=paper,
        title=title_of(said.get("title", [""])[0]),
        abstract=abstract_of(abstract),
        authors=names_of(creators),
        published=days[0] if days else (said.get("date") and clean_date(said["date"][0])) or "",
        categories=categories_of(each for each in said.get("subject", []) if "." in each),
        doi=next((each for each in identifiers if parse_doi(each)), ""),
        url=next((each for each in identifiers if parse_url(each) is not None), ""),
        comment=cut(line(comment), 2_000),
    )
    if paper is None:
        return told, None  # of what no listing announces, no listing day can be told
    if len(days) > 1 and days[-1] > days[0]:
        return _replaced(told, 0, _noon(days[-1]), changed), created
    return told, created


def _of_sets(header: Element) -> tuple[str, ...]:
    """The categories that arXiv's sets say: cs:cs:CL is cs.CL, physics:hep-th is hep-th."""
    found = []
    for each in children(header, "setSpec"):
        parts = line("".join(each.itertext())).split(":")
        if len(parts) == 3:
            found.append(f"{parts[1]}.{parts[2]}")
        elif len(parts) == 2:
            found.append(parts[1])
    return categories_of(found)


# ---------------------------------------------------------------- the reader


@dataclass(frozen=True)
class OaiRecords:
    """Reads answers of OAI-PMH; each record is a paper. What the repository says no with is Rejected."""

    format: str = "oai"

    def recognises(self, file: File) -> bool:
        return xml_text.root(file.data) == "oai-pmh"

    def read(self, file: File) -> Bundle:
        """Read an answer. Raises Unreadable for XML that is not safe, and for what is none."""
        page = page_of(file)
        address = file.url or page.url
        host = urlsplit(address).hostname or "" if parse_url(address) else ""
        is_arxiv = host.endswith("arxiv.org") or not host
        source = SourceRef(
            key="arxiv-oai" if is_arxiv else f"oai:{host}",
            kind=SourceKind.LISTING,
            name=page.name or ("arXiv (OAI-PMH)" if is_arxiv else host),
            url=address.partition("?")[0] if host else "",
        )
        documents: list[Document | Rejected] = []
        for told, number in once(page.entries):
            before = [page.earlier[number]] if number in page.earlier else []
            documents.append(
                document(told, page.keys[number], source, self.format, number, *before)
            )
        documents += page.problems
        documents += [
            Rejected(where="the answer", reason=_in_words(code, words))
            for code, words in page.errors
        ]
        return Bundle(source=source, format=self.format, documents=tuple(documents))


def _in_words(code: str, words: str) -> str:
    known = _IN_WORDS.get(code)
    detail = cut(words, 200).rstrip(". ")
    said = known or f"it says {cut(code, 40) or 'no'}"
    return f"The repository gives no records: {said}" + (f" ({detail})." if detail else ".")


# ---------------------------------------------------------------- the connector


@dataclass(frozen=True)
class OaiConnector:
    """Harvests a repository from the day it came to the last time, with a day of overlap.

    Its cursor: `from` is that day. Under way, `token` says which page is next and `next` what `from`
    will be; a back-fill has its own in `fill`. A token that has expired begins the harvest anew.
    """

    name: str = "oai"
    kind: SourceKind = SourceKind.LISTING
    every_minutes: int = 24 * 60
    options: Mapping[str, str] = field(
        default_factory=lambda: {
            "set": "The set of records, such as cs:cs:CL; without one, all of the repository.",
            "metadataPrefix": f"The format of records: {PREFIX} for arXiv, oai_dc for others.",
        }
    )

    def finds(self, text: str) -> Found | None:
        """The address of arXiv's OAI-PMH service, with or without a request in it."""
        said = text.strip()
        try:
            parts = urlsplit(said if "://" in said else f"https://{said}")
            host = (parts.hostname or "").lower()
        except ValueError:
            return None
        old = host in ("export.arxiv.org", "arxiv.org") and parts.path.rstrip("/") == "/oai2"
        if host != "oaipmh.arxiv.org" and not old:
            return None
        asked = dict(parse_qsl(parts.query))
        chosen = line(asked.get("set", ""))
        if chosen and not re.fullmatch(r"[\w.:!~*'()-]{1,200}", chosen):
            raise Invalid(f"{cut(chosen, 60)!r} is no set of arXiv. Write it like cs:cs:CL.")
        options = {
            name: line(asked[name])
            for name in ("set", "metadataPrefix")
            if line(asked.get(name, ""))
        }
        return Found(
            key=f"oai:{ARXIV}:{chosen}",
            connector=self.name,
            url=ARXIV,
            name=f"arXiv by OAI-PMH{f', {chosen}' if chosen else ''}",
            options=options,
            words=f"Papers {f'of {chosen} ' if chosen else ''}that are new or changed on arXiv: they wait "
            "in the Inbox.",
        )

    def fetch(self, web: Web, wanted: Wanted) -> Iterator[Fetched]:
        """Each page of the harvest. Raises NotFetched, also for an error that the repository says."""
        filling = bool(wanted.first or wanted.last)
        kept = {k: v for k, v in wanted.cursor.items() if k != "fill"}
        begin, until, place, days = wanted.since, "", kept, []
        if filling:
            begin, until = wanted.first or wanted.last, wanted.last or wanted.first
            days = [begin, until]
            given = wanted.cursor.get("fill")
            place = given if isinstance(given, dict) and given.get("days") == days else {}
            if place.get("done"):
                return
        elif last := whole_day(str(kept.get("from") or "")):
            begin = (last - timedelta(days=1)).isoformat()
        token, anew = str(place.get("token") or ""), 0
        seen = place.get("seen") if isinstance(place.get("seen"), int) else 0
        following = str(place.get("next") or "")
        while True:
            url = _url(wanted, token, begin, until)
            came = web.get(
                url, accept="text/xml, application/xml;q=0.9, */*;q=0.1", spacing=SPACING
            )
            file = File("the answer", came.data, url=came.url, headers=came.headers)
            try:
                page = page_of(file)
            except Unreadable as error:
                raise NotFetched(f"{url.partition('?')[0]}: {error}") from error
            codes = [code for code, _ in page.errors]
            if token and "badResumptionToken" in codes and anew < AGAIN:
                token, anew, seen = "", anew + 1, 0
                continue
            if page.errors and codes != ["noRecordsMatch"]:
                raise NotFetched(_in_words(*page.errors[0]), again="badResumptionToken" in codes)
            if page.broken and not page.token:
                # Where it breaks off, the mark to go on from is lost: what it has comes again with it.
                anew += 1
                if anew > AGAIN:
                    raise NotFetched("The repository's answer breaks off each time it is asked.")
                continue
            if page.token and page.token == token:
                raise NotFetched("The repository says to go on from the page that it just gave.")
            following = following or page.answered or wanted.today.isoformat()
            seen = (seen or 0) + len(page.entries)
            cursor: dict[str, Any]
            if filling:
                state: dict[str, Any] = {"days": days, "token": page.token, "seen": seen}
                cursor = {**kept, "fill": state if page.token else {"days": days, "done": True}}
            elif page.token:
                cursor = {"token": page.token, "seen": seen, "next": following}
                if kept.get("from"):
                    cursor["from"] = kept["from"]
            else:
                cursor = {"from": following}
            if page.entries or page.problems:
                yield Fetched(
                    cursor=cursor,
                    data=came.data,
                    format=self.name,
                    name=f"records to {seen}",
                    url=came.url,
                    headers=came.headers,
                    seen=seen,
                    total=page.listed,
                )
            else:
                yield Fetched(cursor=cursor, seen=seen, total=page.listed)
            if not page.token:
                return
            token = page.token


def _url(wanted: Wanted, token: str, begin: str, until: str) -> str:
    """The request for a page: a token stands alone, as the protocol has it."""
    try:
        parts = urlsplit(wanted.url or ARXIV)
    except ValueError as error:
        raise NotFetched(f"{cut(wanted.url, 80)!r} is no address.", again=False) from error
    own = dict(parse_qsl(parts.query))
    asked = {"verb": "ListRecords"}
    if token:
        asked["resumptionToken"] = token
    else:
        arxiv = (parts.hostname or "").endswith("arxiv.org")
        chosen = {
            name: line(str(wanted.options.get(name) or own.get(name) or ""))
            for name in ("set", "metadataPrefix")
        }
        asked["metadataPrefix"] = chosen["metadataPrefix"] or (PREFIX if arxiv else "oai_dc")
        asked |= {k: v for k, v in (("set", chosen["set"]), ("from", begin), ("until", until)) if v}
    return f"{urlunsplit((parts.scheme, parts.netloc, parts.path, '', ''))}?{urlencode(asked)}"
