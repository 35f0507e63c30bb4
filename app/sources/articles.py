"""Reads a web page: the paper it is about where its data say so, else the article on it.

What a page says of itself for indexes of papers (`citation_title`, `citation_doi` …), or an address at
which a paper is known to be, make it that paper, and it is kept: whoever pastes one in wants it. Of any
other page the article is taken out, without what stands around it, in a process apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from urllib.parse import unquote, urlsplit

from app.domain.identifiers import clean_date, parse_arxiv, parse_doi, parse_id, parse_url
from app.domain.items import Arrival, Document, PageArrival, PaperArrival, Ref
from app.domain.records import PageKind
from app.domain.untrusted import line
from app.errors import Invalid, Unreadable
from app.sources.addresses import http_address
from app.sources.apart import LIMITS, NO_ARTICLE, Limits, read_apart
from app.sources.base import File
from app.sources.connectors import FILE_BYTES, Web
from app.sources.markup import attributes, tag_name, to_markdown
from app.sources.named_papers import mentions, paper_of
from app.sources.page_text import html_tokens
from app.sources.pdf import SOURCE

MAX_BYTES = 10_000_000
_LOOK = 16_384
_BEFORE = re.compile(r"(?:<!--.*?-->|<\?[^>]*>)\s*", re.S)
_BEGINS = re.compile(
    r"<(?:!doctype\s+html\b(?!.{0,300}<(?:rss|feed)\b)|html[\s>]|head[\s>]|body[\s>])", re.I | re.S
)
_HEAD = 1_000_000  # characters in which a page says what it is
_SHORTEST = 200  # letters of an article
_ARXIV_SPACING = 3.0  # seconds between two requests, as arXiv asks

_SITE_IN_TITLE = re.compile(r"^(?:paper page\s+-\s+|\[\d{4}\.\d{4,5}(?:v\d+)?\]\s+)", re.I)
_AFTER_TITLE = re.compile(r"\s+(?:\||[-–—])\s+(?:alphaXiv|OpenReview|arXiv|Hugging Face)\s*$", re.I)
_DATE = re.compile(r"(\d{4})[-/](\d{1,2})(?:[-/](\d{1,2}))?")
_SHORT_PRE = re.compile(r"<pre>([^<\n]{1,200})</pre>")


@dataclass(frozen=True)
class ArticleReader:
    format: str = "html"
    limits: Limits = field(default=LIMITS)
    slow: bool = True  # it reads in a process apart

    def recognises(self, file: File) -> bool:
        """Whether it begins as a page does, and not as a feed that holds one."""
        start = File(file.name, file.data[:_LOOK]).text().lstrip("\ufeff \t\r\n")
        while before := _BEFORE.match(start):
            start = start[before.end() :]
        return _BEGINS.match(start) is not None

    def read(self, file: File) -> Document:
        """One document. Raises Unreadable where there is neither a paper nor an article on the page."""
        if len(file.data) > MAX_BYTES:
            raise Unreadable(f"{file.name} is larger than a page can be (10 MB).")
        html = decoded(file)
        about = _About.of(html, file.url)
        digest = sha256(file.data).hexdigest()
        arrivals: tuple[Arrival, ...]
        if paper := about.paper():
            title, published, arrivals = paper.title, paper.published, (paper,)
        else:
            title, published, arrivals = self._article(file, html, about)
        return Document(
            source=SOURCE,
            key=about.address or f"sha256:{digest[:32]}",
            format=self.format,
            title=title,
            url=about.address,
            published=published,
            hash=digest,
            arrivals=arrivals,
        )

    def _article(
        self, file: File, html: str, about: _About
    ) -> tuple[str, str, tuple[Arrival, ...]]:
        found = read_apart("article", html.encode("utf-8", "replace"), self.limits)
        text = to_markdown(_SHORT_PRE.sub(r"<code>\1</code>", found["html"]), base=about.address)
        if len(re.findall(r"[^\W\d_]", text)) < _SHORTEST:
            raise Unreadable(NO_ARTICLE)
        title = line(found["title"])[:300] or about.title or file.name
        first = re.match(r"#{1,6} (.+)\n*", text)
        if first and re.sub(r"\W", "", first[1]) == re.sub(r"\W", "", title):
            text = text[first.end() :]  # the title stands above the text anyhow
        day = clean_date(found["date"]) or about.day
        author, site = line(found["author"])[:300], line(found["sitename"])[:100]
        extra = {name: value for name, value in (("author", author), ("site", site)) if value}
        page = PageArrival(
            ref=_page_ref(about.address),
            kind=PageKind.ARTICLE,
            title=title,
            text=text,
            extra=extra,
        )
        told = mentions(text, section="", day=day, source_name=site or author, titles=True)
        return title, day, (page, *told)


def _page_ref(address: str) -> Ref:
    found = parse_url(address) if address else None
    return str(found) if found and found.scheme == "url" else ""


def decoded(file: File) -> str:
    """The page's text: by its mark, by what the server or the page says it is written in, else UTF-8."""
    told = re.search(r"charset=[\"']?([\w-]{2,30})", file.headers.get("content-type", ""), re.I)
    within = re.search(rb"charset=[\"']?([\w-]{2,30})", file.data[:4096], re.I)
    marked = file.data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))
    for name in (told[1] if told else "", within[1].decode() if within else ""):
        if (
            name
            and not marked
            and re.fullmatch(
                r"(?:windows-|cp)125\d|iso-8859-\d+|gb\w+|big5|euc-\w+|shift_jis|koi8-\w",
                name,
                re.I,
            )
        ):
            try:
                return file.data.decode(name, "replace").replace("\x00", "\ufffd")
            except LookupError:
                continue
    return file.text()


@dataclass(frozen=True)
class _About:
    """What a page says of itself in its head. `address`: where it is, '' when nothing tells."""

    meta: dict[str, list[str]]
    title: str
    address: str

    @classmethod
    def of(cls, html: str, url: str) -> _About:
        meta: dict[str, list[str]] = {}
        canonical = ""
        for kind, tag in html_tokens(html[:_HEAD]):
            if kind != "open":
                continue
            name = tag_name(tag)
            if name == "meta":
                given = attributes(tag)
                key = (given.get("name") or given.get("property") or "").lower()
                value = line(unescape(given.get("content", "")))
                if key and value and len(meta.setdefault(key, [])) < 500:
                    meta[key].append(value[:10_000])
            elif name == "link":
                given = attributes(tag)
                if given.get("rel", "").lower() == "canonical":
                    canonical = canonical or http_address(unescape(given.get("href", "")), url)
        shown = re.search(r"<title[^>]{0,500}>([^<]{1,1000})", html[:_HEAD], re.I)
        title = line(unescape(shown[1])) if shown else ""
        return cls(meta, title, _where(url, canonical, (meta.get("og:url") or [""])[0]))

    def first(self, *names: str) -> str:
        return next((self.meta[name][0] for name in names if self.meta.get(name)), "")

    @property
    def day(self) -> str:
        given = self.first(
            "citation_publication_date", "citation_online_date", "citation_date",
            "article:published_time", "dc.date", "date",
        )  # fmt: skip
        found = _DATE.match(given)
        if not found:
            return clean_date(given)
        return clean_date("-".join(part.zfill(2) for part in found.groups() if part))

    def paper(self) -> PaperArrival | None:
        """The paper that the page is the page of, if it says a title and which one it is."""
        cited = self.first("citation_title", "eprints.title", "bepress_citation_title")
        refs = self._refs(cited=bool(cited))
        title = cited or _AFTER_TITLE.sub(
            "", _SITE_IN_TITLE.sub("", self.first("og:title") or self.title)
        )
        if not refs or not title:
            return None
        authors = [
            _in_order(name)
            for given in self.meta.get("citation_author", [])
            + self.meta.get("citation_authors", [])
            for name in given.split(";")
            if name.strip()
        ]
        told = self.first("citation_abstract", "og:description", "dc.description", "description")
        return PaperArrival(
            refs=refs,
            title=title[:1_000],
            abstract=_without_label(told) if len(told) > 200 else "",
            authors=tuple(dict.fromkeys(authors))[:1_000],
            published=self.day,
            venue=self.first("citation_conference_title", "citation_journal_title")[:300],
            keep=True,
        )

    def _refs(self, *, cited: bool) -> tuple[Ref, ...]:
        found: list[Ref] = []
        if address := paper_of(self.address):
            found.append(address)
        if cited:
            if arxiv := parse_arxiv(self.first("citation_arxiv_id")):
                found.append(f"{arxiv}v{arxiv.version}" if arxiv.version else str(arxiv))
            for name in ("citation_doi", "dc.identifier", "prism.doi", "bepress_citation_doi"):
                doi = parse_doi(re.sub(r"^doi:\s*", "", self.first(name), flags=re.I))
                if doi and str(doi) not in found:
                    found.append(str(doi))
            if pdf := paper_of(self.first("citation_pdf_url")):
                found.append(pdf)
        bare = dict.fromkeys(found)
        return tuple(ref for ref in bare if f"{ref}v" not in " ".join(bare))


def _where(url: str, canonical: str, own: str) -> str:
    """The address of a page: what it calls itself, as long as that is on the host it came from."""
    address = http_address(url) if url else ""
    for named in (canonical, http_address(own)):
        if named and (not address or urlsplit(named).hostname == urlsplit(address).hostname):
            return named
    return address


def _in_order(name: str) -> str:
    """`Lovelace, Ada` as `Ada Lovelace`."""
    last, comma, rest = name.partition(",")
    return line(f"{rest} {last}" if comma and rest.strip() and "," not in rest else name)[:200]


def _without_label(text: str) -> str:
    return re.sub(r"^abstract\s*(?:page for arxiv paper \S+\s*)?[:.]?\s*", "", text, flags=re.I)


# ---------------------------------------------------------------- an address that was pasted in


def is_address(text: str) -> bool:
    """Whether somebody means what is on the web rather than a file."""
    return re.match(r"https?://|(?:arxiv|doi|openreview):\S", text.strip(), re.I) is not None


def fetched(web: Web, text: str) -> File:
    """What is at an address that somebody named, to be read by its content like a file.

    Of a paper on arXiv, or a page about one, arXiv's own page of it. Also `arxiv:2605.00001` and
    `doi:10.…`. Raises Invalid for what is no address, NotFetched when nothing comes.
    """
    address = asked_address(text)
    host = urlsplit(address).hostname or ""
    spacing = _ARXIV_SPACING if host.removeprefix("export.") == "arxiv.org" else 0.0
    answer = web.get(
        address,
        accept="text/html, application/pdf, application/xhtml+xml, */*;q=0.5",
        limit=FILE_BYTES,
        spacing=spacing,
    )
    last = unquote(urlsplit(answer.url).path.rstrip("/").rpartition("/")[2])
    return File(line(last)[-150:] or host, answer.data, answer.url, answer.headers)


def asked_address(text: str) -> str:
    """The address to ask for. Raises Invalid, in a sentence."""
    given = text.strip()
    identifier = parse_id(given) if re.match(r"(?:arxiv|doi|openreview):", given, re.I) else None
    if identifier is None and not re.match("https?://", given, re.I):
        raise Invalid(
            "This is no address of a web page: it begins with https:// or http://. "
            "arxiv: or doi: with an identifier does too."
        )
    paper = identifier or parse_id(paper_of(given) or "")
    if paper and paper.scheme == "arxiv" and (identifier or _is_of_arxiv(given)):
        version = f"v{paper.version}" if paper.version else ""
        return f"https://arxiv.org/abs/{paper.value}{version}"
    if identifier and identifier.scheme == "doi":
        return f"https://doi.org/{identifier.value}"
    if identifier:
        return f"https://openreview.net/forum?id={identifier.value}"
    found = parse_url(given)
    if found is None:
        raise Invalid("This address cannot be read: it has no host, or is longer than 2,000 signs.")
    return given


def _is_of_arxiv(address: str) -> bool:
    """Whether the address leads to arXiv itself or to one of the pages made of its papers."""
    host = (urlsplit(address).hostname or "").removeprefix("www.").removeprefix("export.")
    return host in ("arxiv.org", "huggingface.co", "hf.co", "alphaxiv.org", "ar5iv.org") or (
        host == "ar5iv.labs.arxiv.org"
    )
