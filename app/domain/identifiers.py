"""Names that machines use: slugs, paper identifiers, and how titles are compared.

One slug function and one identifier parser for the whole program.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from urllib.parse import urlsplit, urlunsplit

from anyascii import anyascii

SLUG = re.compile(r"[a-z0-9-]{1,200}")
_ARXIV_NEW = re.compile(r"([0-9]{4}\.[0-9]{4,5})(?:v([0-9]{1,3}))?")
_ARXIV_OLD = re.compile(r"([a-z-]+(?:\.[a-z]{2})?/[0-9]{7})(?:v([0-9]{1,3}))?", re.IGNORECASE)
_DOI = re.compile(r"10\.[0-9]{4,9}/\S+")
_WORD_BREAK = re.compile(r"[^a-z0-9]+")
_SPELLED = str.maketrans(
    {"+": " plus ", "#": " sharp ", "&": " and ", "@": " at ", "%": " percent "}
)

# A file may not have these names on Windows, and a mirrored page is a file.
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul"] + [f"{port}{n}" for port in ("com", "lpt") for n in range(10)]
)


@dataclass(frozen=True)
class PaperId:
    """An identifier without its version: scheme is arxiv, doi, url, openreview or s2."""

    scheme: str
    value: str
    version: int | None = None

    def __str__(self) -> str:
        return f"{self.scheme}:{self.value}"


def slugify(title: str) -> str:
    """The address of a page called `title`: lower-case ASCII words with hyphens, at most 80 long.

    Never empty, never a name that a file system reserves. Two titles may share a slug; who stores
    it adds a number.
    """
    plain = anyascii(unicodedata.normalize("NFKC", title)).lower().translate(_SPELLED)
    slug = _WORD_BREAK.sub("-", plain.replace("'", "")).strip("-")
    if len(slug) > 80:
        slug = slug[:80].rsplit("-", 1)[0].strip("-") or slug[:80]
    if not slug:
        return "page-" + sha256(title.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{slug}-page" if slug in _RESERVED else slug


def is_slug(text: str) -> bool:
    """Whether `text` can be a slug as given (repeated hyphens and all)."""
    return SLUG.fullmatch(text) is not None


def parse_id(text: str) -> PaperId | None:
    """Read `arxiv:…`, `doi:…`, `url:…`, `openreview:…` or `s2:…`; None when it is none of them.

    An arXiv version suffix becomes `version`; DOIs are compared in lower case; of an address on
    arxiv.org or doi.org the identifier in it counts.
    """
    scheme, separator, value = text.strip().partition(":")
    if not separator or not value.strip():
        return None
    value = value.strip()
    match scheme.strip().lower():
        case "arxiv":
            return parse_arxiv(value)
        case "doi":
            return parse_doi(value)
        case "url":
            return parse_url(value)
        case "openreview" | "s2" as known:
            return PaperId(known, value) if re.fullmatch(r"[\w-]{1,100}", value) else None
        case _:
            return None


def parse_arxiv(text: str) -> PaperId | None:
    """An arXiv id, new style or old, with or without version, bare or within an address."""
    value = text.strip()
    value = re.sub(r"^(?:https?://)?(?:www\.|export\.)?arxiv\.org/(?:abs|pdf|html)/", "", value)
    value = re.sub(r"^arxiv:", "", value, flags=re.IGNORECASE).removesuffix(".pdf").strip("/")
    for pattern in (_ARXIV_NEW, _ARXIV_OLD):
        if match := pattern.fullmatch(value):
            version = int(match[2]) if match[2] else None
            identifier = match[1] if pattern is _ARXIV_NEW else _old_style(match[1])
            return PaperId("arxiv", identifier, version)
    return None


def _old_style(value: str) -> str:
    """`math.GT/0309136` and `math/0309136` are one paper: arXiv ignores the subject class."""
    archive, number = value.lower().split("/")
    return f"{archive.split('.')[0]}/{number}"


def parse_doi(text: str) -> PaperId | None:
    value = re.sub(r"^(?:https?://)?(?:dx\.)?doi\.org/", "", text.strip(), flags=re.IGNORECASE)
    value = value.removeprefix("doi:").strip().rstrip(".,;)").lower()
    if not _DOI.fullmatch(value):
        return None
    if match := re.fullmatch(r"10\.48550/arxiv\.(.+)", value):
        return parse_arxiv(match[1])
    return PaperId("doi", value)


def parse_url(text: str) -> PaperId | None:
    """An http(s) address, without fragment; one on arxiv.org or doi.org becomes that identifier."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or not host or len(text) > 2000:
        return None
    if host.removeprefix("www.").removeprefix("export.") == "arxiv.org" and (
        found := parse_arxiv(text)
    ):
        return found
    if host.removeprefix("dx.") == "doi.org" and (found := parse_doi(text)):
        return found
    netloc = host.lower() + (f":{port}" if port else "")
    return PaperId("url", urlunsplit((parts.scheme.lower(), netloc, parts.path, parts.query, "")))


def title_key(title: str) -> str:
    """A title as titles are compared: letters and digits only, without case, marks or LaTeX."""
    plain = re.sub(r"\\[a-zA-Z]+|[{}$\\^_]", "", title)
    folded = anyascii(unicodedata.normalize("NFKC", plain)).casefold()
    key = re.sub(r"[^a-z0-9]+", "", folded)
    return key[:300] or "?" + sha256(title.encode("utf-8", "replace")).hexdigest()[:16]


def clean_date(text: str | None) -> str:
    """`2026`, `2026-05` or `2026-05-08` of a date or time in ISO form; '' for anything else."""
    match = re.match(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?(?![0-9-])", (text or "").strip())
    if not match or match[1] == "0000":
        return ""
    year, month, day = match.groups()
    if month and not 1 <= int(month) <= 12:
        return year
    if day:
        try:
            date(int(year), int(month), int(day))
        except ValueError:
            return f"{year}-{month}"
    return "-".join(part for part in (year, month, day) if part)


def whole_day(text: str) -> date | None:
    """A day written in full, just as it stands in addresses."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.isoformat() == text else None
