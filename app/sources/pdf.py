"""Reads a PDF, in a process apart: a paper where its first page says which one, else an article.

What a PDF says of itself is often wrong (the template's title, the typist's name), so it counts only
where the first page says the same. An arXiv stamp beside the text, or the one DOI of the first page,
make it that paper. A page gets the beginning of the text; the whole of it stays in the kept file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from app.domain.identifiers import parse_arxiv, parse_doi, parse_url, title_key
from app.domain.items import (
    Arrival,
    Document,
    PageArrival,
    PaperArrival,
    Ref,
    Rejected,
    SourceRef,
)
from app.domain.records import PageKind, SourceKind
from app.domain.untrusted import line, plain
from app.errors import Unreadable
from app.sources.apart import LIMITS, Limits, read_apart
from app.sources.base import File
from app.sources.markup import escaped, line_start
from app.sources.named_papers import mentions, named, paper_of

SOURCE = SourceRef(key="web", kind=SourceKind.WEB, name="Web pages and PDFs")
MAX_BYTES = 100_000_000
EXCERPT = 6_000  # characters of the text that a page gets
_MOST_REFERENCES = 400
_FIRST = 6_000  # characters of the first page that are looked through

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec"
_STAMP = re.compile(
    r"arXiv:\s?(\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})\s?(v\d{1,2})?\s{0,4}\[\s?([a-z-]{2,12}(?:\.[A-Za-z-]{2,8})?)\s?\]"
    r"\s{0,4}(\d{1,2})\s([A-Z][a-z]{2})\s(\d{4})"
)
_DOI = re.compile(r"(?:doi(?:\.org/|\s?:)\s?|\b)(10\.\d{4,9}/[^\s\"<>,;]{2,150})", re.I)
_ABSTRACT = re.compile(r"^[ \t]*a\s?b\s?s\s?t\s?r\s?a\s?c\s?t\b[ \t]*[.:—–-]*", re.I | re.M)
_AFTER_ABSTRACT = re.compile(
    r"^[ \t]*(?:(?:\d{1,2}|I)\.?[ \t]+)?(?:introduction|keywords|index terms|ccs concepts|categories and subject)\b",
    re.I | re.M,
)
_REFERENCES = re.compile(
    r"^[ \t]*(?:\d{1,2}\.?[ \t]+)?(?:references|bibliography|literature cited)[ \t]*$", re.I | re.M
)
_HYPHENATED = re.compile(r"(?<=[a-z])-\n(?=[a-z])")
_NO_TITLE = re.compile(
    r"untitled|microsoft (?:word|powerpoint)|^\W*$|\.(?:docx?|tex|pdf|indd|dvi)\b|^arxiv:|^template",
    re.I,
)
_DATE = re.compile(r"(?:D:)?(\d{4})(\d{2})(\d{2})")


@dataclass(frozen=True)
class PdfReader:
    format: str = "pdf"
    limits: Limits = field(default=LIMITS)
    slow: bool = True  # it reads in a process apart

    def recognises(self, file: File) -> bool:
        return b"%PDF-" in file.data[:1024]

    def read(self, file: File) -> Document:
        """One document. Raises Unreadable with the reason where there is no text in it."""
        if not self.recognises(file):
            raise Unreadable(f"{file.name} is no PDF: it does not begin with %PDF-.")
        if len(file.data) > MAX_BYTES:
            raise Unreadable(f"{file.name} is larger than {MAX_BYTES // 1_000_000} MB.")
        found = _Pdf.of(file, read_apart("pdf", file.data, self.limits))
        paper = found.paper()
        digest = sha256(file.data).hexdigest()
        address = parse_url(file.url) if file.url else None
        return Document(
            source=SOURCE,
            key=str(address) if address else f"sha256:{digest[:32]}",
            format=self.format,
            title=paper.title if paper else found.title,
            url=file.url,
            published=paper.published if paper else found.day,
            hash=digest,
            arrivals=tuple(found.arrivals(paper)),
        )


@dataclass(frozen=True)
class _Pdf:
    """What the process apart found."""

    file: File
    meta: dict[str, str]
    pages: list[str]
    sizes: list[tuple[float, str]]
    count: int
    failed: int
    cut: bool

    @classmethod
    def of(cls, file: File, found: dict[str, Any]) -> _Pdf:
        """Raises Unreadable when there is no text: a scan, or only drawings."""
        pages = [plain(str(text)) for text in found.get("text", ())]
        count, failed = int(found.get("pages", 0)), int(found.get("failed", 0))
        if not any(re.search(r"\w", text) for text in pages):
            if failed:
                raise Unreadable(f"None of its {count} pages can be read ({found.get('why', '')}).")
            raise Unreadable("There is no text in it, only pictures or drawings.")
        return cls(
            file,
            {str(name): line(str(value)) for name, value in found.get("meta", {}).items()},
            pages,
            [(float(size), plain(str(text))) for size, text in found.get("sizes", ())],
            count,
            failed,
            bool(found.get("cut")),
        )

    @property
    def first(self) -> str:
        return self.pages[0][:_FIRST] if self.pages else ""

    @property
    def title(self) -> str:
        """The title as metadata has it, where the first page says it too; else what is set largest
        there; else its first line of words; else the file's name."""
        head = title_key_of(self.first[:3_000])
        given = self.meta.get("Title", "")
        if len(given) > 5 and not _NO_TITLE.search(given) and title_key(given) in head:
            return given[:300]
        if largest := self._largest():
            return largest
        for text in self.first.split("\n")[:15]:
            words = line(text)
            if len(words) >= 8 and re.search(r"[^\W\d_]{3}", words) and not _STAMP.search(words):
                return words[:200]
        return PurePosixPath(self.file.name).stem[:200] or "PDF"

    def _largest(self) -> str:
        """The words in the largest letters of the first page, when they could be a title."""
        seen = [(size, text) for size, text in self.sizes if size > 0]
        runs = [
            (size, line(" ".join(text for _, text in group)))
            for size, group in groupby(seen, key=lambda each: each[0])
        ]
        could = [
            (size, words)
            for size, words in runs
            if 8 <= len(words) <= 300
            and len(words.split()) >= 2
            and sum(c.isalpha() for c in words) > len(words) * 0.6
        ]
        return max(could, key=lambda each: each[0])[1] if could else ""

    @property
    def authors(self) -> tuple[str, ...]:
        """Those of the metadata whom the first page names too."""
        head = title_key_of(self.first)
        given = re.split(r"\s*(?:;|,|\band\b|&)\s*", self.meta.get("Author", "")[:2_000])
        names = [name for name in given if 3 < len(name) < 80 and title_key(name) in head]
        return tuple(dict.fromkeys(names))[:200]

    @property
    def day(self) -> str:
        found = _DATE.match(self.meta.get("CreationDate", ""))
        try:
            made = date(*map(int, found.groups())) if found else None
        except ValueError:
            made = None
        return made.isoformat() if made and 1980 <= made.year <= 2100 else ""

    def paper(self) -> PaperArrival | None:
        """The paper it is, when it says so on its first page, in its data or by its address."""
        stamp = _STAMP.search(self.first) or _STAMP.search(self.pages[0][-3_000:])
        refs: list[Ref] = []
        published = ""
        categories: tuple[str, ...] = ()
        if stamp and (found := parse_arxiv(stamp[1] + (stamp[2] or ""))):
            refs.append(f"{found}v{found.version}" if found.version else str(found))
            categories = (stamp[3],)
            month = _MONTHS.find(stamp[5].lower()) // 4 + 1
            if month and int(stamp[4]) <= 31:
                published = f"{stamp[6]}-{month:02}-{int(stamp[4]):02}"
        elif by_address := paper_of(self.file.url):
            refs.append(by_address)
        if doi := self._doi():
            refs.append(doi)
        if not refs:
            return None
        abstract = self.abstract()
        return PaperArrival(
            refs=tuple(dict.fromkeys(refs)),
            title=self.title,
            abstract=abstract,
            authors=self.authors,
            # Of a version after the first the stamp has that version's day.
            published=published if stamp and stamp[2] in (None, "v1") else "",
            categories=categories,
            references=self._references(refs),
            keep=True,
            text="" if abstract else self.excerpt(),
        )

    def _doi(self) -> Ref | None:
        """The DOI of its data, or the one that stands on the first page; of several, none."""
        told = {
            str(found)
            for name in ("doi", "DOI", "WPS-ARTICLEDOI", "Subject", "prism:doi")
            for match in _DOI.finditer(self.meta.get(name, ""))
            if (found := parse_doi(match[1]))
        }
        if not told:
            told = {
                str(found)
                for match in _DOI.finditer(self.first)
                if (found := parse_doi(match[1].rstrip(".)]}"))) and found.scheme == "doi"
            }
        return told.pop() if len(told) == 1 else None

    def _references(self, own: list[Ref]) -> tuple[Ref, ...]:
        """The identifiers in its list of references."""
        whole = "\n".join(self.pages)
        heads = list(_REFERENCES.finditer(whole))
        if not heads:
            return ()
        told = [re.sub(r"v\d+$", "", each.paper) for each in named(whole[heads[-1].end() :])]
        mine = {re.sub(r"v\d+$", "", ref) for ref in own}
        return tuple(ref for ref in told if ref not in mine)[:_MOST_REFERENCES]

    def abstract(self) -> str:
        """The abstract of the first page, on one line; '' when it is not plain where it ends."""
        text = "\n".join(self.pages[:2])[: 2 * _FIRST]
        begins = _ABSTRACT.search(text)
        if begins is None:
            return ""
        ends = _AFTER_ABSTRACT.search(text, begins.end())
        if ends is None:
            return ""
        found = _unbroken(text[begins.end() : ends.start()])
        found = line(_STAMP.sub(" ", found))
        return found if 150 <= len(found) <= 4_000 else ""

    def excerpt(self) -> str:
        """The beginning of the text as Markdown paragraphs, cut at a sentence."""
        text = _STAMP.sub(" ", _unbroken("\n\n".join(self.pages)[: EXCERPT * 2]))
        blocks: list[str] = []
        size = 0
        for paragraph in re.split(r"\n[ \t]*\n", text):
            words = line(paragraph)
            if not words:
                continue
            if size + len(words) > EXCERPT:
                stop = max(words.rfind(". ", 0, EXCERPT - size), 0)
                words = words[: stop + 1] if stop else words[: EXCERPT - size] if not blocks else ""
                blocks += [line_start(escaped(words)), "…"] if words else ["…"]
                break
            blocks.append(line_start(escaped(words)))
            size += len(words)
        return "\n\n".join(blocks)

    def arrivals(self, paper: PaperArrival | None) -> Iterator[Arrival | Rejected]:
        if paper:
            yield paper
        else:
            address = parse_url(self.file.url) if self.file.url else None
            yield PageArrival(
                ref=str(address) if address else "",
                kind=PageKind.ARTICLE,
                title=self.title,
                text=self.excerpt(),
                extra={"authors": list(self.authors)} if self.authors else {},
            )
            yield from mentions(escaped("\n\n".join(self.pages)), section="", day=self.day)
        if self.failed:
            yield Rejected(
                where="the pages", reason=f"{self.failed} of {self.count} could not be read."
            )
        if self.cut:
            yield Rejected(
                where="the text",
                reason="It is longer than is read of one file: its end is left out.",
            )


def title_key_of(text: str) -> str:
    """A longer text as titles are compared."""
    return "".join(title_key(part) for part in text.split("\n") if re.search(r"\w", part))


def _unbroken(text: str) -> str:
    """Words that were divided at the end of a line, whole again."""
    return _HYPHENATED.sub("", text)
