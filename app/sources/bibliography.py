r"""Reads what reference managers export: BibTeX, CSL-JSON (and Zotero's own JSON), RIS.

Every entry with a title is a work, and becomes a kept paper: it is the reader's own library. Books,
theses, reports and web pages too, for only a paper has authors, a venue and a citation key, and gives
them back in an export. What an entry says beyond a paper's columns stays with it (domain/citations.py).

Linear in the file, whatever is in it: `@string` within `@string` cannot grow without end, and the
entries of one file are told apart by their keys.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from typing import Any

from bibtexparser.entrypoint import parse_string
from bibtexparser.model import (
    Block,
    DuplicateBlockKeyBlock,
    DuplicateFieldKeyBlock,
    Entry,
    ExplicitComment,
    ParsingFailedBlock,
    String,
)

from app.domain.bibtex import OTHERS, from_tex, read_names
from app.domain.citations import (
    BOOKS,
    EXTRA,
    MAX_KEY,
    NUMBERED,
    PARTS,
    PLAIN_FIELDS,
    REPORTS,
    THESES,
    Citation,
    Name,
    address,
    clean_published,
    identifiers_of,
    is_known_by_address,
    kept_of,
    kind_of_csl,
    kind_of_ris,
)
from app.domain.identifiers import PaperId, clean_date, parse_arxiv, parse_id, title_key
from app.domain.items import Bundle, Document, PaperArrival, Rejected, SourceRef
from app.domain.latex import readable
from app.domain.records import SourceKind
from app.errors import Unreadable
from app.sources.base import File
from app.sources.markup import escaped, line_start, to_markdown
from app.sources.named_papers import paper_of

logging.getLogger("bibtexparser").setLevel(logging.CRITICAL)  # what is broken is said as Rejected

LIBRARY = SourceRef(key="library", kind=SourceKind.LIBRARY, name="Reference library")
_HEAD = 65_536  # bytes that a format is recognised by
_MAX_VALUE = 200_000  # characters of one value
_MAX_FIELD = 2_000  # characters of a field that has no column of its own
_MAX_TAGS = 200
_GROWTH = 20  # how much longer than the file all values together may be, by abbreviations


@dataclass(frozen=True)
class _Read:
    """An entry, read: its citation, the reader's own notes as Markdown, and where it stood."""

    citation: Citation
    where: str
    text: str = ""
    refs: tuple[str, ...] = ()  # identifiers besides those of the citation


def _bundle(format: str, entries: Iterator[_Read | Rejected]) -> Bundle:
    return Bundle(source=LIBRARY, format=format, documents=_documents(format, entries))


def _documents(format: str, entries: Iterator[_Read | Rejected]) -> Iterator[Document | Rejected]:
    read = list(entries)
    # An address that several works give is that of their publisher, and identifies none of them.
    addresses = Counter(
        url
        for url, _ in {
            (url, title_key(each.citation.title))
            for each in read
            if isinstance(each, _Read)
            if each.citation.title
            for url in each.citation.urls
        }
    )
    seen: dict[str, str] = {}  # what was under a key
    for each in read:
        if isinstance(each, Rejected):
            yield each
            continue
        if not title_key(each.citation.title).strip("?") or not each.citation.title:
            yield Rejected(
                where=each.where, reason="The entry has no title: give it one, and import it again."
            )
            continue
        document = _document(format, each, addresses)
        if seen.get(document.key, document.hash) != document.hash:
            # Two works under one key: both are taken.
            document = replace(document, key=f"{document.key}#{document.hash[:12]}")
        if document.key not in seen:
            seen[document.key] = document.hash
            yield document


def _document(format: str, read: _Read, addresses: Mapping[str, int]) -> Document:
    citation = read.citation
    own = all(addresses[url] == 1 for url in citation.urls)
    own = own and is_known_by_address(citation.kind)
    found = identifiers_of(citation, urls=own)
    for ref in read.refs:
        identifier = parse_id(ref)
        if identifier and all(identifier.scheme != other.scheme for other in found):
            found = [each for each in found if each.scheme != "url"] + [identifier]
    arrival = _arrival(citation, found, read.text)
    told = json.dumps(asdict(arrival), sort_keys=True, ensure_ascii=False, default=str)
    hash = sha256(told.encode("utf-8", "replace")).hexdigest()
    key = citation.key or (str(found[0]) if found else hash[:32])
    return Document(
        source=LIBRARY,
        key=key if len(key) <= MAX_KEY else sha256(key.encode()).hexdigest()[:32],
        format=format,
        title=citation.title,
        arrivals=(arrival,),
        url=address(citation),
        published=citation.published,
        hash=hash,
    )


def _arrival(citation: Citation, found: Sequence[PaperId], text: str) -> PaperArrival:
    kept = kept_of(citation, found)
    return PaperArrival(
        refs=tuple(_with_version(each) for each in found),
        title=citation.title,
        abstract=citation.abstract,
        authors=tuple(name.shown for name in citation.authors),
        published=citation.published,
        venue=citation.venue,
        categories=(citation.category,) if citation.category else (),
        keep=True,
        text=text,
        tags=citation.tags,
        extra={EXTRA: kept} if kept else {},
    )


def _with_version(found: PaperId) -> str:
    return f"{found}v{found.version}" if found.version else str(found)


def _line(text: str, longest: int = _MAX_VALUE) -> str:
    return " ".join(readable(text[:longest]).split())


def _kept_fields(given: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value[:_MAX_FIELD] for name, value in given.items() if value}
    if found := re.fullmatch(
        r"([^\s–—-]{1,20})\s?[–—-]{1,3}\s?([^\s–—-]{1,20})", kept.get("pages", "")
    ):
        kept["pages"] = f"{found[1]}–{found[2]}"
    return kept


def _distinct(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word[:200] for each in words if (word := _line(each))))[:_MAX_TAGS]


_ARXIV_NAMED = re.compile(
    r"(?:arxiv\s{0,3}(?:preprint\s{0,3})?(?:arxiv)?\s{0,3}[:/ ]\s{0,3}|abs/)"
    r"(\d{4}\.\d{4,5}(?:v\d{1,2})?|[a-z][a-z-]{1,12}(?:\.[a-z]{2})?/\d{7})(?!\d)",
    re.IGNORECASE,
)


def _arxiv_in(*texts: str) -> str:
    """The arXiv id that a journal, a note or a number says ("arXiv preprint arXiv:1706.03762")."""
    for text in texts:
        if found := _ARXIV_NAMED.search(text[:1_000]):
            return found[1]
    return ""


def _refs_of(urls: Sequence[str]) -> tuple[str, ...]:
    return tuple(ref for url in urls[:10] if (ref := paper_of(url)))


_HTML = re.compile(r"<(?:p|div|br|ul|ol|h[1-6]|span|blockquote)\b", re.IGNORECASE)
_TAGS = re.compile(
    r"</?(?:jats:)?(?:p|i|b|em|strong|sub|sup|sc|span|title|sec|italic|bold|br)(?:\s[^<>]{0,200})?/?>",
    re.IGNORECASE,
)


def _is_address(text: str) -> bool:
    return re.match(r"https?://", text, re.IGNORECASE) is not None


def _web(text: str) -> str:
    r"""An address or a DOI without TeX's escapes (`\_`) and without what ends a value of BibTeX."""
    bare = re.sub(r"\\(?=[_%&#~$^{}])", "", text)
    return re.sub(r"[{}\\]", lambda sign: f"%{ord(sign[0]):02X}", bare)


def _tags(words: Sequence[str]) -> tuple[str, ...]:
    """The words of a library, each once; no word has a ";" within, for that divides words everywhere."""
    return _distinct([part for word in words for part in word.split(";")])


def _at_event(kind: str, venue: str, fields: Mapping[str, str]) -> str:
    """Where a work appeared; of one that names only the event at which it was given, that."""
    if venue or kind in THESES | REPORTS | BOOKS | {"article", "review"}:
        return venue
    return fields.get("eventtitle", "")


def _notes(texts: Sequence[str]) -> str:
    """The reader's own notes as Markdown in which nothing acts."""
    blocks: list[str] = []
    for text in texts:
        if _HTML.search(text):
            blocks.append(to_markdown(text).strip())
            continue
        for paragraph in re.split(r"\n\s*\n", readable(text[:_MAX_VALUE])):
            words = " ".join(paragraph.split())
            if words:
                blocks.append(line_start(escaped(words)))
    return "\n\n".join(dict.fromkeys(block for block in blocks if block))


def _decoded(file: File) -> str:
    """The text: a BOM counts, then UTF-16 by its NULs, the charset its header names, UTF-8, else Latin."""
    data = file.data
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return file.text()
    head = data[:4_096]
    if head[1:200:2].count(0) > 40 or (len(head) < 200 and head[1::2].count(0) * 4 > len(head)):
        return data.decode("utf-16-le", "replace").replace("\x00", "\ufffd")
    if head[0:200:2].count(0) > 40 or (len(head) < 200 and head[0::2].count(0) * 4 > len(head)):
        return data.decode("utf-16-be", "replace").replace("\x00", "\ufffd")
    named = _ENCODING.search(head)
    charset = named[1].decode("ascii").lower().replace("_", "-") if named else ""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        known = _CHARSETS.fullmatch(charset) and not charset.startswith("utf")
        try:
            text = data.decode(charset if known else "cp1252", "replace")
        except LookupError:
            text = data.decode("cp1252", "replace")
    return text.replace("\x00", "\ufffd")


_ENCODING = re.compile(
    rb"^[ \t]*%?[ \t]*(?:encoding|coding)[ \t]*[:=][ \t]*([A-Za-z0-9_-]{2,20})", re.I | re.M
)
_CHARSETS = re.compile(
    r"utf-?8|utf-?16(?:-?[lb]e)?|us-ascii|ascii|(?:cp|windows-?)125[0-8]|cp437|cp850"
    r"|iso-?8859-?\d{1,2}|latin-?\d{1,2}|mac-?roman|gbk|gb2312|gb18030|big5|shift-jis|sjis"
    r"|euc-(?:jp|kr)|koi8-[ru]"
)


# ---------------------------------------------------------------- BibTeX

_TYPES = (
    "article|book|inproceedings|incollection|inbook|misc|online|unpublished|thesis|phdthesis|"
    "mastersthesis|report|techreport|proceedings|conference|collection|booklet|manual|software|"
    "dataset|patent|electronic|www|mvbook|inreference|standard|string|preamble|comment"
)
_BIB_START = re.compile(rf"^[ \t]*@[ \t]*(?:{_TYPES})[ \t\r\n]{{0,9}}[{{(]", re.I | re.M)
_NOT_BIB = re.compile(r"^(?:#{1,6} |```|---\s*$|<)", re.M)
_ANY_BLOCK = re.compile(r"@\s{0,9}\w{1,40}\s{0,9}[{(]")


@dataclass(frozen=True)
class Bibtex:
    format: str = "bibtex"

    def recognises(self, file: File) -> bool:
        """A block (`@article{`) at a line's beginning, before anything that is Markdown or HTML."""
        start = _decoded(File(file.name, file.data[:_HEAD]))
        if file.name.lower().endswith((".bib", ".bibtex", ".biblatex")):
            return bool(_ANY_BLOCK.search(start)) or not start.lstrip().startswith(("{", "[", "<"))
        found = _BIB_START.search(start)
        return found is not None and not _NOT_BIB.search(start[: found.start()])

    def read(self, file: File) -> Bundle:
        """Each entry a document; a block that is broken is Rejected with its line."""
        text = _decoded(file).replace("\r\n", "\n").replace("\r", "\n")
        if not _ANY_BLOCK.search(text) and text.strip() and not file.name.lower().endswith(".bib"):
            raise Unreadable(
                f"{file.name} holds no BibTeX entry, such as @article{{key, title = …}}."
            )
        return _bundle(self.format, _bibtex_entries(text))


@dataclass
class _Bib:
    """A .bib file while it is read: what abbreviations stand for, and entries by key for crossref."""

    strings: dict[str, str] = field(default_factory=dict)
    entries: dict[str, dict[str, str]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    budget: int = 0


_MONTH_WORDS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_MONTH_NUMBER = {name[:3]: f"{at:02}" for at, name in enumerate(_MONTH_WORDS, start=1)}


def _bibtex_entries(text: str) -> Iterator[_Read | Rejected]:
    library = parse_string(text, parse_stack=[])
    bib = _Bib(budget=_GROWTH * len(text) + 1_000_000)
    entries: list[tuple[Entry, dict[str, str]] | Rejected] = []
    for each_block in library.blocks:
        block: Block | None = each_block
        if isinstance(block, DuplicateBlockKeyBlock | DuplicateFieldKeyBlock):
            block = block.ignore_error_block  # the same key twice: two works, told apart later
        if isinstance(block, String):
            bib.strings[block.key.lower()] = _value(block.value, bib)[:10_000]
        elif isinstance(block, ExplicitComment):
            _note_groups(block.comment, bib)
        elif isinstance(block, Entry):
            if re.fullmatch(r"[ \t]*", block.entry_type):
                continue
            fields = _fields(block, bib)
            bib.entries.setdefault(block.key.strip(), fields)
            entries.append((block, fields))
        elif isinstance(block, ParsingFailedBlock):
            entries.append(_broken(block))
    for each in entries:
        if isinstance(each, Rejected):
            yield each
            continue
        entry, fields = each
        where = f"line {(entry.start_line or 0) + 1}, {entry.key.strip() or 'an entry without key'}"
        if bib.budget <= 0:
            yield Rejected(
                where=where, reason="The abbreviations (@string) of this file grow too long."
            )
            continue
        yield _of_bibtex(entry.entry_type, entry.key, _inherited(fields, bib), bib, where)


def _broken(block: ParsingFailedBlock) -> Rejected:
    raw = " ".join((block.raw or "")[:60].split())
    return Rejected(
        where=f"line {(block.start_line or 0) + 1}",
        reason=f"This entry is broken, a brace or a comma is missing: {raw}",
    )


def _fields(entry: Entry, bib: _Bib) -> dict[str, str]:
    """The entry's values by small names, still with their TeX; of a name twice the first counts."""
    found: dict[str, str] = {}
    for each in entry.fields:
        name = each.key.strip().lower()
        if name and name not in found:
            found[name] = _value(str(each.value), bib)
    return found


_VALUE_SIGN = re.compile(r'\\.|[{}"#]', re.DOTALL)


def _value(raw: str, bib: _Bib) -> str:
    """`"a" # jan # {b}` as one text; what no abbreviation says stays as written."""
    raw = raw.strip()
    if not raw:
        return ""
    if raw[0] == "{" and raw[-1] == "}" and "#" not in raw:
        bib.budget -= len(raw)
        return raw[1:-1]
    pieces: list[str] = []
    depth = start = 0
    quoted = False
    for found in _VALUE_SIGN.finditer(raw):
        sign = found[0]
        if sign == "{":
            depth += 1
        elif sign == "}":
            depth -= 1
        elif sign == '"' and depth == 0:
            quoted = not quoted
        elif sign == "#" and depth == 0 and not quoted:
            pieces.append(raw[start : found.start()])
            start = found.end()
    pieces.append(raw[start:])
    told: list[str] = []
    size = 0
    for piece in pieces:
        said = _piece(piece.strip(), bib)
        size += len(said)
        if size > _MAX_VALUE or bib.budget < 0:
            break
        bib.budget -= len(said) + 1
        told.append(said)
    return "".join(told)


def _piece(piece: str, bib: _Bib) -> str:
    if len(piece) > 1 and piece[0] + piece[-1] in ("{}", '""'):
        return piece[1:-1]
    if piece[:1] in ('"', "{"):
        return piece[1:]
    return bib.strings.get(piece.lower(), piece)


# What a part takes over from the book or proceedings it names (biblatex's manual, appendix B).
_TAKEN_OVER = {
    "title": "booktitle",
    "subtitle": "booksubtitle",
    "journal": "journal",
    "journaltitle": "journaltitle",
}
_OWN = frozenset(["title", "subtitle", "key", "crossref", "xref", "ids", "abstract", "keywords", "doi", "url", "eprint", "pages", "annote", "annotation", "note", "file", "groups", "comment"])  # fmt: skip


def _inherited(fields: dict[str, str], bib: _Bib) -> dict[str, str]:
    """The fields with those of what it cross-refers to, three steps up at most."""
    full, seen = dict(fields), 0
    parents = [each.strip() for each in fields.get("xdata", "").split(",")][:10]
    parents.append(fields.get("crossref", "").strip())
    while parents and seen < 12:
        seen += 1
        key = parents.pop()
        parent = bib.entries.get(key) if key else None
        if parent is None or parent is fields:
            continue
        whole = key in fields.get("xdata", "")
        for name, value in parent.items():
            if whole or name not in _OWN:
                full.setdefault(name, value)
            elif name in _TAKEN_OVER:
                full.setdefault(_TAKEN_OVER[name], value)
        if seen < 4 and (further := parent.get("crossref", "").strip()):
            parents.append(further)
    return full


_GROUP = re.compile(r"\d+ (?:Static|Explicit)Group:((?:[^\\;]|\\.){1,200}?)\\;(?:\d\\;)?([^\n]*)")


def _note_groups(comment: str, bib: _Bib) -> None:
    """JabRef's older way of grouping: a tree in a comment, each group with the keys that are in it."""
    if not comment.startswith("jabref-meta: group") or len(comment) > 2_000_000:
        return
    for found in _GROUP.finditer(comment.replace("\n", "") if ";;" not in comment else comment):
        for key in found[2].split("\\;")[:10_000]:
            if key.strip("; \n"):
                bib.groups.setdefault(key.strip("; \n"), []).append(found[1])


_BIBTEX_FIELDS = frozenset(
    [name for name, _, _ in PLAIN_FIELDS]
    + ["type", "urldate", "organization", "titleaddon", "eid", "pagetotal", "volumes", "part", "pubstate", "origdate", "holder", "key"]
)  # fmt: skip
_OTHER_NAMES = {
    "issue": "number",
    "location": "address",
    "langid": "language",
    "conference": "eventtitle",
}


def _of_bibtex(kind: str, key: str, given: dict[str, str], bib: _Bib, where: str) -> _Read:
    kind = kind.strip().lower()[:40] or "misc"
    raw = {name: value[:_MAX_VALUE] for name, value in given.items()}

    def said(*names: str) -> str:
        return next((text for name in names if (text := from_tex(raw.get(name, "")))), "")

    title = said("title") or (said("booktitle", "maintitle") if kind in BOOKS | PARTS else "")
    fields = {name: said(name) for name in _BIBTEX_FIELDS if name in raw}
    for name, ours in _OTHER_NAMES.items():
        if name in raw and not fields.get(ours):
            fields[ours] = said(name)
    subtitle = said("subtitle")
    if title and subtitle:
        title, fields["subtitle"] = f"{title}: {subtitle}", subtitle
    authors, others = read_names(raw.get("author", ""))
    editors, _ = read_names(raw.get("editor", ""))
    if editors:
        fields["editor"] = " and ".join(name.written for name in editors)
    published, year = _bibtex_date(raw)
    if _is_address(said("howpublished")):
        raw.pop("howpublished")
    venue = said(*_venues(kind))
    if not venue and kind in THESES | REPORTS:
        venue = fields.pop("publisher", "")
    venue = _at_event(kind, venue, fields)
    urls = _bibtex_urls(raw)
    prefix = said("archiveprefix", "eprinttype").lower()
    eprint = _unescaped(raw.get("eprint", ""))
    arxiv = _unescaped(raw.get("arxivid", ""))
    if eprint and (prefix == "arxiv" or (not prefix and parse_arxiv(eprint))):
        arxiv = arxiv or eprint
    elif eprint and prefix in ("pubmed", "pmid"):
        fields.setdefault("pmid", eprint)
    elif eprint and eprint.startswith("http"):
        urls.append(eprint)
    if not parse_arxiv(arxiv):
        arxiv = _arxiv_in(*(raw.get(name, "") for name in ("journal", "journaltitle", "note", "howpublished", "number", "volume")))  # fmt: skip
    notes = [
        _paragraphs(value)
        for name, value in raw.items()
        if name in ("annote", "annotation", "comment", "review") or name.startswith("comment-")
    ]
    tags = _keywords(raw.get("keywords", "")) + _keywords(raw.get("mendeley-tags", ""))
    for name in ("groups", "mendeley-groups"):
        tags += _keywords(raw.get(name, ""))
    tags += bib.groups.get(key.strip(), [])
    citation = Citation(
        title=title,
        key=_unescaped(key)[: MAX_KEY * 4],
        keys=tuple(each for part in raw.get("ids", "").split(",")[:50] if (each := part.strip())),
        kind=kind,
        authors=authors,
        others=others,
        published=published,
        year=year,
        venue=venue,
        abstract=_TAGS.sub(" ", said("abstract")).strip(),
        tags=_tags(tags),
        category=said("primaryclass", "eprintclass") if arxiv else "",
        doi=_unescaped(raw.get("doi", "")),
        arxiv=_arxiv_id(arxiv),
        urls=tuple(dict.fromkeys(map(_web, urls))),
        fields=_kept_fields(fields),
    )
    return _Read(citation, where, _notes(notes), _refs_of(citation.urls))


def _venues(kind: str) -> tuple[str, ...]:
    """Where a work of this kind appeared: the fields that may say it, the likeliest first."""
    if kind in THESES:
        return ("school", "institution", "organization")
    if kind in REPORTS:
        return ("institution", "organization", "school")
    if kind in PARTS:
        return ("booktitle", "journaltitle", "journal", "maintitle")
    if kind in BOOKS:
        return ("howpublished",)
    names = ("journaltitle", "journal", "booktitle", "school", "institution", "venue")
    return names if kind in ("article", "review") else (*names, "howpublished")


def _arxiv_id(text: str) -> str:
    found = parse_arxiv(text)
    if found is None:
        return ""
    return f"{found.value}v{found.version}" if found.version else found.value


def _unescaped(text: str) -> str:
    r"""An address, a number or a key: `\_` is `_`, braces and `\url` go, and nothing else is TeX."""
    bare = re.sub(r"\\url(?![a-z])|\\(?=[_%&#~$^{}])|[{}]", "", text)
    return " ".join(readable(re.sub(r"\\(?:textunderscore|_) ?", "_", bare)).split())


def _bibtex_urls(raw: Mapping[str, str]) -> list[str]:
    found = []
    for name in ("url", "howpublished", "ee", "link", "bdsk-url-1"):
        for part in _unescaped(raw.get(name, "")).split()[:3]:
            if re.match(r"https?://[^\s]{3,2000}$", part, re.I):
                found.append(part)
    return found


def _paragraphs(raw: str) -> str:
    parts = re.split(r"\n\s*\n|\\par(?![a-zA-Z])", raw)
    return "\n\n".join(text for part in parts if (text := from_tex(part)))


def _keywords(value: str) -> list[str]:
    """Words divided by ";" where there is one outside braces, else by ","."""
    parts: dict[str, list[str]] = {",": [], ";": []}
    starts = {",": 0, ";": 0}
    depth = 0
    for found in re.finditer(r"[{},;]", value):
        sign = found[0]
        if sign == "{":
            depth += 1
        elif sign == "}":
            depth = max(0, depth - 1)
        elif depth == 0:
            parts[sign].append(value[starts[sign] : found.start()])
            starts[sign] = found.end()
    by = ";" if parts[";"] else ","
    return [word for each in (*parts[by], value[starts[by] :]) if (word := from_tex(each))]


_DATE = re.compile(r"(\d{4})(?:[-/](\d{1,2}))?(?:[-/](\d{1,2}))?(?!\d)")


def _bibtex_date(raw: Mapping[str, str]) -> tuple[str, str]:
    """The date in ISO form as far as it is known; and what stands for the year when that is none."""
    written = from_tex(raw.get("date", "")).split("/")[0].strip()
    written = re.sub(r"[?~%]+$", "", written)
    full = clean_published(written.split("T")[0])
    year = from_tex(raw.get("year", ""))
    stated = re.fullmatch(r"[^\d-]{0,3}(\d{4})[^\d-]{0,3}", year)
    if not full and (found := _DATE.match(year)):
        full = clean_published("-".join(part.zfill(2) for part in found.groups() if part))
        if full and not stated and not _DATE.fullmatch(year):
            full = ""  # "1999/2000", "2001 edition": as it is written
    if not full:
        full = clean_date(stated[1]) if stated else _loose_date(year or written)[0]
    if full and len(full) == 4:
        month, day = _month(from_tex(raw.get("month", "")))
        day = day or re.sub(r"\D", "", from_tex(raw.get("day", "")))[:2]
        if month:
            full = clean_published(
                f"{full}-{month}-{day.zfill(2)}" if day else "", f"{full}-{month}"
            )
    return full, "" if full else (year or written)[:100]


def _month(text: str) -> tuple[str, str]:
    """Month and perhaps day of "may", "5", "May 12", "12~May"; '' for what is not said."""
    words = re.findall(r"[a-z]+|\d+", text.lower()[:60])
    month = next((_MONTH_NUMBER[word[:3]] for word in words if word[:3] in _MONTH_NUMBER), "")
    numbers = [word for word in words if word.isdigit() and 0 < int(word) <= 31]
    if month:
        return month, numbers[0] if len(numbers) == 1 else ""
    if len(numbers) == 1 and int(numbers[0]) <= 12:
        return numbers[0].zfill(2), ""
    return "", ""


# ---------------------------------------------------------------- CSL-JSON, and Zotero's own

_CSL_TYPES = re.compile(
    r"article(?:-journal|-magazine|-newspaper)?|bill|book|broadcast|chapter|classic|collection"
    r"|dataset|document|entry(?:-dictionary|-encyclopedia)?|event|figure|graphic|hearing|interview"
    r"|legal_case|legislation|manuscript|map|motion_picture|musical_score|pamphlet|paper-conference"
    r"|patent|performance|periodical|personal_communication|post(?:-weblog)?|regulation|report"
    r"|review(?:-book)?|software|song|speech|standard|thesis|treaty|webpage"
)
_CSL_SIGNS = re.compile(r'"(?:citation-key|date-parts|container-title)"\s{0,20}:')
_FIRST_TYPE = re.compile(r'"(type|itemType)"\s{0,20}:\s{0,20}"([^"]{0,60})"')


@dataclass(frozen=True)
class CslJson:
    format: str = "csl"

    def recognises(self, file: File) -> bool:
        """JSON whose first `type` is one of CSL's, or that has Zotero's `itemType`."""
        start = File(file.name, file.data[:_HEAD]).text().lstrip("\ufeff \t\r\n")
        if not start.startswith(("[", "{")):
            return False
        found = _FIRST_TYPE.search(start)
        if found is None or _CSL_SIGNS.search(start[: found.start()]):
            return _CSL_SIGNS.search(start) is not None
        return found[1] == "itemType" or _CSL_TYPES.fullmatch(found[2]) is not None

    def read(self, file: File) -> Bundle:
        """An array of items, one item, or an object that holds them (`items`, Mendeley's `itemData`)."""
        try:
            value = json.loads(file.text())
        except RecursionError:
            raise Unreadable(f"{file.name} is JSON that is nested too deeply.") from None
        except ValueError as error:
            said = error.msg if isinstance(error, json.JSONDecodeError) else "a number is too long"
            line = error.lineno if isinstance(error, json.JSONDecodeError) else 0
            raise Unreadable(
                f"{file.name} is not JSON: {said}{f' in line {line}' if line else ''}. "
                "Export it again."
            ) from None
        items, groups = _items_of(value)
        if not items:
            raise Unreadable(f"{file.name} holds no entry of CSL-JSON.")
        return _bundle(self.format, _json_entries(items, groups))


def _items_of(value: object) -> tuple[list[object], dict[object, list[str]]]:
    groups: dict[object, list[str]] = {}
    if isinstance(value, dict):
        for name in ("items", "citationItems", "references", "data"):
            if isinstance(value.get(name), list):
                collections = value.get("collections")
                for each in collections.values() if isinstance(collections, dict) else ():
                    if isinstance(each, dict) and isinstance(each.get("items"), list):
                        for item in each["items"]:
                            if isinstance(item, int | str):
                                groups.setdefault(item, []).append(_string(each.get("name")))
                return value[name], groups
        return [value], groups
    return (value, groups) if isinstance(value, list) else ([], groups)


def _json_entries(
    items: Sequence[object], groups: Mapping[object, list[str]]
) -> Iterator[_Read | Rejected]:
    for number, item in enumerate(items, start=1):
        where = f"entry {number}"
        for wrapper in ("itemData", "data", "csljson"):
            if isinstance(item, dict) and isinstance(item.get(wrapper), dict):
                inner = item[wrapper]
                item = (
                    inner
                    if "itemType" in inner or "key" not in item
                    else {"id": item["key"], **inner}
                )
        if not isinstance(item, dict):
            yield Rejected(where=where, reason="This is not an object with a title.")
            continue
        if "itemType" in item:
            if item["itemType"] not in ("attachment", "note", "annotation"):
                yield _of_zotero(item, groups, where)
        else:
            yield _of_csl(item, where)


def _string(value: object, longest: int = _MAX_VALUE) -> str:
    """A text or a number as one line of plain text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    try:
        return _line(str(value), longest)
    except ValueError:  # a number of thousands of digits
        return ""


def _lines(value: object) -> str:
    return readable(value[:_MAX_VALUE]) if isinstance(value, str) else ""


def _untagged(text: str) -> str:
    """Titles and abstracts of managers have a little HTML in them."""
    return " ".join(_TAGS.sub("", text).split()) if "<" in text else text


def _of_csl(item: Mapping[str, Any], where: str) -> _Read:
    kind = kind_of_csl(_string(item.get("type")))
    fields: dict[str, str] = {}
    for name, theirs, _ in PLAIN_FIELDS:
        value = _string(item.get(theirs), _MAX_FIELD)
        if value:
            fields[name] = value
    number = _string(item.get("number"), _MAX_FIELD)
    if number and kind in NUMBERED:
        fields["number"] = number
    note = _lines(item.get("note"))
    stated, rest = _stated_in(note)
    if stated:
        fields.pop("note", None)
        if rest:
            fields["note"] = _line(rest, _MAX_FIELD)
    editors, _ = _csl_names(item.get("editor"))
    if editors:
        fields["editor"] = " and ".join(name.written for name in editors)
    authors, others = _csl_names(item.get("author"))
    published, year = _csl_date(item.get("issued"))
    if kind in THESES | REPORTS and fields.get("publisher"):
        venue = fields.pop("publisher")
    else:
        venue = _at_event(kind, _untagged(_string(item.get("container-title"))), fields)
    arxiv = _arxiv_id(stated.get("arxiv", "")) or _arxiv_id(number.removeprefix("arXiv:"))
    arxiv = arxiv or _arxiv_in(number, note, venue)
    url = _web(_string(item.get("URL"), 2_000))
    keywords = item.get("keyword")
    words = (
        [_string(word) for word in keywords]
        if isinstance(keywords, list)
        else re.split(r"\s*;\s*" if ";" in _string(keywords) else r"\s*,\s*", _string(keywords))
    )
    own = _notes([_lines(item.get(name)) for name in ("annote", "annotation")])
    citation = Citation(
        title=_untagged(_string(item.get("title"))),
        key=_string(
            item.get("citation-key")
            or item.get("citekey")
            or stated.get("citation key")
            or item.get("id"),
            MAX_KEY * 4,
        ),
        keys=_aliases(stated),
        kind=kind,
        authors=authors,
        others=others,
        published=published,
        year=year,
        venue=venue,
        abstract=_untagged(_string(item.get("abstract"))),
        tags=_tags(words),
        doi=_web(_string(item.get("DOI"), 500) or stated.get("doi", "")),
        arxiv=arxiv,
        urls=(url,) if url else (),
        fields=_kept_fields(fields),
    )
    return _Read(
        citation,
        f"{where}, {citation.key}".rstrip(", "),
        own,
        _refs_of(citation.urls),
    )


_STATED = re.compile(
    r"^[ \t]*(?:(citation key|citekey|arxiv|doi|pmid)[ \t]*:[ \t]*(\S{1,300})"
    r"|(citation key alias)[ \t]*:[ \t]*([^\n]{1,5000}))",
    re.I | re.M,
)


def _stated_in(note: str) -> tuple[dict[str, str], str]:
    """Zotero's "Extra" states facts line by line; what it says besides is a note."""
    stated = {
        (found[1] or found[3]).lower(): found[2] or found[4]
        for found in _STATED.finditer(note[:20_000])
    }
    return stated, "\n".join(line for line in note.splitlines() if not _STATED.match(line)).strip()


def _aliases(stated: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        key for each in stated.get("citation key alias", "").split(",") if (key := each.strip())
    )


def _csl_names(value: object) -> tuple[tuple[Name, ...], bool]:
    names: list[Name] = []
    others = False
    for each in value if isinstance(value, list) else []:
        if not isinstance(each, dict):
            continue
        if literal := _string(each.get("literal") or each.get("name"), 500):
            if literal.casefold() in OTHERS:
                others = True
            else:
                names.append(Name(literal, body=True))
            continue
        particle = " ".join(
            part
            for key in ("dropping-particle", "non-dropping-particle")
            if (part := _string(each.get(key), 100))
        )
        family = _string(each.get("family"), 500).strip('"')
        given, suffix = _string(each.get("given"), 500), _string(each.get("suffix"), 100)
        if not family:
            family, given = given, ""
        if family:
            whole = f"{particle} {family}".strip()
            given, suffix = _with_suffix(given, suffix)
            names.append(Name(whole, given, suffix) if given or suffix else Name(whole, body=True))
    return tuple(names), others


def _with_suffix(given: str, suffix: str) -> tuple[str, str]:
    """ "Cuba, Jr.": managers keep what follows a name after its given names, behind a comma."""
    given, _, behind = given.partition(",")
    return given.strip(), " ".join(part for part in (suffix, behind.strip(" ,")) if part)


def _csl_date(value: object) -> tuple[str, str]:
    if isinstance(value, str):
        value = {"raw": value}
    if not isinstance(value, dict):
        return "", ""
    parts = value.get("date-parts")
    if isinstance(parts, list) and parts and isinstance(parts[0], list):
        numbers = [_string(part) for part in parts[0][:3]]
        numbers = [part for part in numbers if part.isdecimal()]
        if numbers and (found := _pieced(numbers)):
            return found, ""
    raw = _string(value.get("raw") or value.get("literal"), 100)
    return _loose_date(raw)


def _pieced(numbers: Sequence[str]) -> str:
    """The ISO date of year, month and day, as far as they make one."""
    padded = [numbers[0].zfill(4), *(part.zfill(2) for part in numbers[1:])]
    return clean_published(*("-".join(padded[:size]) for size in range(len(padded), 0, -1)))


def _loose_date(raw: str) -> tuple[str, str]:
    """ "2009-04-21", "2009/04/21/", "May 2009", "2009": as an ISO date; else as it is written."""
    if found := re.match(r"(\d{4})(?:[-/](\d{1,2}))?(?:[-/](\d{1,2}))?(?![\d])", raw):
        tail = raw[found.end() :].strip(" /?~%")  # EDTF's signs for what is not sure
        if not tail or tail.startswith("T") or found[2]:
            return _pieced([part for part in found.groups() if part]), ""
    years = re.findall(r"(?<!\d)(?:1[5-9]|20)\d\d(?!\d)", raw[:100])
    if len(years) == 1:
        month, day = _month(raw.replace(years[0], " "))
        return _pieced([each for each in (years[0], month, day if month else "") if each]), ""
    return "", raw[:100]


_ZOTERO_KINDS = {
    "journalArticle": "article", "magazineArticle": "magazine", "newspaperArticle": "newspaper",
    "conferencePaper": "inproceedings", "book": "book", "bookSection": "incollection",
    "thesis": "thesis", "report": "report", "preprint": "misc", "manuscript": "unpublished",
    "webpage": "online", "blogPost": "blog", "forumPost": "online", "computerProgram": "software",
    "dataset": "dataset", "patent": "patent", "standard": "standard", "statute": "legislation",
    "case": "jurisdiction", "bill": "bill", "hearing": "hearing", "film": "movie",
    "videoRecording": "video", "audioRecording": "audio", "podcast": "audio", "artwork": "artwork",
    "map": "map", "encyclopediaArticle": "inreference", "dictionaryEntry": "dictionary",
    "letter": "letter", "email": "letter", "interview": "interview", "presentation": "talk",
}  # fmt: skip
_ZOTERO_FIELDS = {
    "volume": "volume", "issue": "number", "number": "number", "reportNumber": "number",
    "pages": "pages", "publisher": "publisher", "place": "address", "edition": "edition",
    "series": "series", "ISBN": "isbn", "ISSN": "issn", "language": "language",
    "shortTitle": "shorttitle", "journalAbbreviation": "shortjournal",
    "conferenceName": "eventtitle", "versionNumber": "version",
}  # fmt: skip
_ZOTERO_VENUES = (
    "publicationTitle", "proceedingsTitle", "bookTitle", "encyclopediaTitle", "dictionaryTitle",
    "university", "institution", "websiteTitle", "blogTitle", "forumTitle", "repository",
)  # fmt: skip


def _of_zotero(item: Mapping[str, Any], groups: Mapping[object, list[str]], where: str) -> _Read:
    """An item of Zotero's API or of Better BibTeX's JSON."""
    kind = _ZOTERO_KINDS.get(_string(item.get("itemType")), "misc")
    fields: dict[str, str] = {}
    for theirs, ours in _ZOTERO_FIELDS.items():
        if value := _string(item.get(theirs), _MAX_FIELD):
            fields.setdefault(ours, value)
    people: dict[str, list[Name]] = {"author": [], "editor": []}
    others = False
    creators = item.get("creators")
    for each in creators if isinstance(creators, list) else []:
        if isinstance(each, dict) and (name := _zotero_name(each)):
            if name.family.casefold() in OTHERS:
                others = True
                continue
            role = "editor" if each.get("creatorType") in ("editor", "seriesEditor") else "author"
            if each.get("creatorType") not in ("translator", "reviewedAuthor", "bookAuthor"):
                people[role].append(name)
    if people["editor"]:
        fields["editor"] = " and ".join(name.written for name in people["editor"])
    extra = _lines(item.get("extra"))
    stated, rest = _stated_in(extra)
    if rest:
        fields["note"] = _line(rest, _MAX_FIELD)
    venue = next((text for name in _ZOTERO_VENUES if (text := _string(item.get(name)))), "")
    if venue.lower() == "arxiv":
        venue = ""
    if not venue and kind in THESES | REPORTS:
        venue = fields.pop("publisher", "")
    venue = _at_event(kind, venue, fields)
    published, year = _loose_date(_string(item.get("date"), 100))
    url = _web(_string(item.get("url"), 2_000))
    archive = _string(item.get("archiveID"), 200).removeprefix("arXiv:")
    arxiv = _arxiv_id(stated.get("arxiv", "")) or _arxiv_id(archive) or _arxiv_in(extra, venue)
    given = item.get("tags")
    tags = [
        _string(tag.get("tag") if isinstance(tag, dict) else tag)
        for tag in (given if isinstance(given, list) else [])
    ]
    tags += groups.get(item.get("itemID") if isinstance(item.get("itemID"), int | str) else "", [])
    notes = item.get("notes")
    texts = [
        _lines(note.get("note") if isinstance(note, dict) else note)
        for note in (notes if isinstance(notes, list) else [])
    ]
    title = next(
        (
            text
            for name in ("title", "caseName", "nameOfAct", "subject")
            if (text := _string(item.get(name)))
        ),
        "",
    )
    citation = Citation(
        title=_untagged(title),
        key=_string(
            item.get("citationKey")
            or item.get("citekey")
            or stated.get("citation key")
            or stated.get("citekey")
            or item.get("key"),
            MAX_KEY * 4,
        ),
        keys=_aliases(stated),
        kind=kind,
        authors=tuple(people["author"]),
        others=others,
        published=published,
        year=year,
        venue=_untagged(venue),
        abstract=_untagged(_string(item.get("abstractNote"))),
        tags=_tags(tags),
        doi=_web(_string(item.get("DOI"), 500) or stated.get("doi", "")),
        arxiv=arxiv,
        urls=(url,) if url else (),
        fields=_kept_fields(fields),
    )
    return _Read(
        citation,
        f"{where}, {citation.key}".rstrip(", "),
        _notes(texts),
        _refs_of(citation.urls),
    )


def _zotero_name(creator: Mapping[str, Any]) -> Name | None:
    last, first = _string(creator.get("lastName"), 500), _string(creator.get("firstName"), 500)
    if last and first:
        return Name(last.strip('"'), *_with_suffix(first, ""))
    alone = last or first or _string(creator.get("name"), 500)
    return Name(alone.strip('"'), body=True) if alone else None


# ---------------------------------------------------------------- RIS

_RIS_LINE = re.compile(r"([A-Z][A-Z0-9]) {0,2}-(?: (.*)|$)")
_ISSN = re.compile(r"\d{4}-?\d{3}[\dXx](?![\dXx-])")
_RIS_START = re.compile(r"^\s*TY {0,2}- ?\w", re.M)


@dataclass(frozen=True)
class Ris:
    format: str = "ris"

    def recognises(self, file: File) -> bool:
        """A record's first line, `TY  - JOUR`, after at most a few others."""
        start = _decoded(File(file.name, file.data[:4_096])).lstrip("\ufeff")
        found = _RIS_START.search(start)
        return (
            found is not None
            and start[: found.start()].count("\n") <= 20
            and not _NOT_BIB.search(start[: found.start()])
        )

    def read(self, file: File) -> Bundle:
        text = _decoded(file).replace("\r\n", "\n").replace("\r", "\n")
        if not _RIS_START.search(text):
            raise Unreadable(f"{file.name} holds no RIS record; one begins with a line TY  - JOUR.")
        return _bundle(self.format, _ris_entries(text))


def _ris_entries(text: str) -> Iterator[_Read | Rejected]:
    record: dict[str, list[list[str]]] | None = None
    began = 0
    last: list[str] | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        found = _RIS_LINE.match(line.lstrip("\ufeff \t"))
        tag = found[1] if found else ""
        if found and tag == "TY":
            if record is not None:  # the one before was never ended
                yield _of_ris(_told(record), f"line {began}")
            record, began, last = {}, number, None
        if record is None:
            continue
        if tag == "ER":
            yield _of_ris(_told(record), f"line {began}")
            record = None
        elif found:
            last = [(found[2] or "").strip()]
            record.setdefault(tag, []).append(last)
        elif last is not None and line.strip():
            last.append(line.strip())
    if record is not None:
        yield _of_ris(_told(record), f"line {began}")


def _told(record: Mapping[str, list[list[str]]]) -> dict[str, list[str]]:
    """The values of a record by tag; a line that is no tag's goes on with the one before."""
    return {
        tag: [text for value in values if (text := "\n".join(value).strip())]
        for tag, values in record.items()
    }


def _of_ris(record: Mapping[str, list[str]], where: str) -> _Read:
    def said(*tags: str) -> str:
        return next((_line(record[tag][0]) for tag in tags if record.get(tag)), "")

    kind = kind_of_ris(said("TY"))
    authors: list[Name] = []
    others = False
    for tag in ("AU", "A1"):
        for value in record.get(tag, ()):
            if _line(value).casefold().strip(",. ") in ("others", "et al"):
                others = True
            elif name := _ris_name(value):
                authors.append(name)
    fields: dict[str, str] = {}
    for ours, _, tag in PLAIN_FIELDS:
        if tag and (value := said(tag)):
            fields[ours] = value
    for ours in ("isbn", "issn"):  # one tag for both
        fields.pop(ours, None)
    for number in record.get("SN", ()):
        serial = "issn" if _ISSN.match(number) and "issn" not in fields else "isbn"
        fields.setdefault(serial, _line(number))
    first, final = said("SP"), said("EP")
    if first:
        fields["pages"] = f"{first}--{final}" if final and "-" not in first else first
    if not fields.get("shortjournal") and (short := said("JA")):
        fields["shortjournal"] = short
    editors = [
        each for value in record.get("A2", record.get("ED", [])) if (each := _ris_name(value))
    ]
    if editors:
        fields["editor"] = " and ".join(name.written for name in editors)
    venue = said("T2", "JF", "JO", "BT", "JA")
    if kind in BOOKS and venue:
        fields.setdefault("series", venue)
        venue = ""
    if kind in THESES | REPORTS:
        venue = fields.pop("publisher", venue)
    published, year = _loose_date(said("DA"))
    stated, written = _loose_date(said("PY", "Y1"))
    if not published or (stated and published[:4] != stated[:4]):
        published, year = stated, written
    urls = [
        url
        for value in record.get("UR", ())
        for url in re.split(r"\s*;\s+|\s+", value)[:5]
        if re.match(r"https?://\S{3,2000}$", url, re.I)
    ]
    notes = [*record.get("N1", ()), *record.get("RN", ())]
    dois = [
        said("DO"),
        *(
            note
            for note in notes
            if re.fullmatch(r"(?:doi:\s*)?10\.\d{4,9}/\S+", note.strip(), re.I)
        ),
    ]
    doi = next((each for each in dois if each), "")
    arxiv = next((found for url in urls if (found := _arxiv_id(url))), "")
    arxiv = arxiv or _arxiv_in(venue, said("M1"), said("AN"), said("VL"), said("C7"))
    citation = Citation(
        title=_untagged(said("TI", "T1", "CT") or (said("BT") if kind in BOOKS else "")),
        key=said("ID", "LB"),
        keys=tuple(_line(each) for each in record.get("LB", ()) if said("ID")),
        kind=kind,
        authors=tuple(authors),
        others=others,
        published=published,
        year=year,
        venue=_untagged(venue),
        abstract=_untagged(said("AB", "N2")),
        tags=_tags([word for value in record.get("KW", ()) for word in value.split("\n")]),
        doi=doi.strip(),
        arxiv=arxiv,
        urls=tuple(
            _web(url) for url in dict.fromkeys(urls) if not _arxiv_id(url) or len(urls) == 1
        ),
        fields=_kept_fields(fields),
    )
    texts = [note for note in notes if note.strip() not in dois]
    return _Read(
        citation,
        f"{where}, {citation.key}".rstrip(", "),
        _notes(texts),
        _refs_of(urls),
    )


def _ris_name(value: str) -> Name | None:
    """ "Family, Given, Suffix"; without a comma a body or a name as it is spoken."""
    line = _line(value, 500)
    if not line:
        return None
    if line.endswith(","):
        return Name(line.rstrip(", "), body=True) if line.rstrip(", ") else None
    parts = [part.strip() for part in line.split(",")]
    if len(parts) == 1:
        return Name.guessed(line)
    if len(parts) == 2:
        return Name(parts[0], parts[1]) if parts[0] else Name.guessed(parts[1])
    return Name(parts[0], parts[1], ", ".join(parts[2:]))
