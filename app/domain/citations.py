"""Works as bibliographies cite them: names, citation keys, kinds of work, and what a paper keeps of them.

A paper of the wiki and an entry of a reference manager become the same `Citation`, which the writers
(BibTeX here and in bibtex.py, CSL-JSON, RIS) put down. What a `Paper` has no column for (key, kind,
volume, how a name divides) stays in `Paper.extra["citation"]`, and only where it differs from what
would be made up without it: so importing our own export changes nothing. Pure.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from anyascii import anyascii

from app.domain.identifiers import PaperId, clean_date, parse_arxiv, parse_doi, parse_url

EXTRA = "citation"  # where a paper keeps what its columns do not hold
MAX_KEY = 200
MAX_KEYS = 50  # other keys of one work

_SUFFIX = re.compile(r"(?:jr|sr)\.?|i{2,3}|iv", re.IGNORECASE)
_BODY = re.compile(
    r"\b(?:association|authority|center|centre|collaboration|collective|committee|community|company"
    r"|consortium|corporation|council|department|foundation|group|inc|initiative|institute|labs?"
    r"|laboratory|ministry|network|of|and|the|for|organi[sz]ation|project|society|team|university"
    r"|union|working)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Name:
    """An author or editor. Of a body ("World Health Organization") only `family` is there.

    `family` has its particles ("van der Berg").
    """

    family: str
    given: str = ""
    suffix: str = ""
    body: bool = False

    @property
    def shown(self) -> str:
        """As the wiki shows it: "K. van der Berg"."""
        return " ".join(part for part in (self.given, self.family, self.suffix) if part)

    @property
    def written(self) -> str:
        """As it is kept and as bibliographies divide it: "van der Berg, K.", "{A Body}"."""
        if self.body:
            return f"{{{self.family}}}"
        return ", ".join(part for part in (self.family, self.suffix, self.given) if part)

    @classmethod
    def kept(cls, written: str) -> Name:
        """The reverse of `written`."""
        if written.startswith("{") and written.endswith("}"):
            return cls(written[1:-1], body=True)
        parts = [part.strip() for part in written.split(",")]
        if len(parts) == 1:
            return cls(parts[0])
        if len(parts) == 2:
            return cls(parts[0], parts[1])
        return cls(parts[0], ", ".join(parts[2:]), parts[1])

    @classmethod
    def guessed(cls, shown: str) -> Name:
        """How a name that is known only as shown divides; `shown` of the result is the same again."""
        words = shown.split()
        if len(words) < 2 or "," in shown or _BODY.search(shown):
            return cls(" ".join(words), body=True)
        suffix = ""
        if len(words) > 2 and _SUFFIX.fullmatch(words[-1]):
            suffix = words.pop()
        first = next(
            (at for at, word in enumerate(words[1:-1], start=1) if word[:1].islower()),
            len(words) - 1,
        )
        return cls(" ".join(words[first:]), " ".join(words[:first]), suffix)


@dataclass(frozen=True, kw_only=True)
class Citation:
    """A work as a bibliography has it.

    `kind` is the BibTeX type of entry, in small letters. `published` is an ISO date, perhaps only a
    year or a month; `year` is what stood there when that is no date ("in press"). `others`: the list
    of authors goes on ("et al."). `doi` (as it was written), `arxiv` (without "arXiv:") and `urls`
    identify; `fields` has the rest by BibTeX's names.
    """

    title: str
    key: str = ""
    keys: tuple[str, ...] = ()
    kind: str = "misc"
    authors: tuple[Name, ...] = ()
    others: bool = False
    published: str = ""
    year: str = ""
    venue: str = ""
    abstract: str = ""
    tags: tuple[str, ...] = ()
    category: str = ""
    doi: str = ""
    arxiv: str = ""
    urls: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)


# ---------------------------------------------------------------- kinds of work

# BibTeX's type, then those of CSL and RIS. Of several with one CSL or RIS type the first is read back.
_KINDS = (
    ("article", "article-journal", "JOUR"),
    ("inproceedings", "paper-conference", "CPAPER"),
    ("conference", "paper-conference", "CPAPER"),
    ("misc", "document", "GEN"),
    ("book", "book", "BOOK"),
    ("mvbook", "book", "BOOK"),
    ("collection", "book", "EDBOOK"),
    ("proceedings", "book", "CONF"),
    ("incollection", "chapter", "CHAP"),
    ("inbook", "chapter", "CHAP"),
    ("thesis", "thesis", "THES"),
    ("phdthesis", "thesis", "THES"),
    ("mastersthesis", "thesis", "THES"),
    ("report", "report", "RPRT"),
    ("techreport", "report", "RPRT"),
    ("manual", "report", "RPRT"),
    ("unpublished", "manuscript", "UNPB"),
    ("online", "webpage", "ELEC"),
    ("electronic", "webpage", "ELEC"),
    ("www", "webpage", "ELEC"),
    ("webpage", "webpage", "ELEC"),
    ("blog", "post-weblog", "BLOG"),
    ("booklet", "pamphlet", "PAMP"),
    ("patent", "patent", "PAT"),
    ("software", "software", "COMP"),
    ("dataset", "dataset", "DATA"),
    ("standard", "standard", "STAND"),
    ("legislation", "legislation", "STAT"),
    ("jurisdiction", "legal_case", "CASE"),
    ("bill", "bill", "BILL"),
    ("hearing", "hearing", "HEAR"),
    ("movie", "motion_picture", "MPCT"),
    ("video", "motion_picture", "VIDEO"),
    ("audio", "song", "SOUND"),
    ("music", "musical_score", "MUSIC"),
    ("artwork", "graphic", "ART"),
    ("image", "figure", "FIGURE"),
    ("map", "map", "MAP"),
    ("inreference", "entry-encyclopedia", "ENCYC"),
    ("dictionary", "entry-dictionary", "DICT"),
    ("letter", "personal_communication", "PCOMM"),
    ("interview", "interview", "PCOMM"),
    ("magazine", "article-magazine", "MGZN"),
    ("newspaper", "article-newspaper", "NEWS"),
    ("review", "review", "JOUR"),
    ("talk", "speech", "SLIDE"),
    ("treaty", "treaty", "GOVDOC"),
    ("grant", "document", "GRANT"),
)
_TO_CSL = {kind: csl for kind, csl, _ in _KINDS}
_TO_RIS = {kind: ris for kind, _, ris in _KINDS}
_FROM_CSL = {csl: kind for kind, csl, _ in reversed(_KINDS)} | {"article": "misc"}  # a preprint
_FROM_RIS = {ris: kind for kind, _, ris in reversed(_KINDS)} | {
    "ABST": "article", "EJOUR": "article", "INPR": "article", "JFULL": "article", "EBOOK": "book",
    "ECHAP": "incollection", "CHAPTER": "incollection", "MANSCPT": "unpublished", "DBASE": "dataset",
    "ICOMM": "online", "MULTI": "online", "LEGAL": "legislation",
}  # fmt: skip

THESES = frozenset(["thesis", "phdthesis", "mastersthesis"])
REPORTS = frozenset(["report", "techreport", "manual"])
BOOKS = frozenset(["book", "mvbook", "collection", "proceedings", "booklet"])
PARTS = frozenset(["inproceedings", "conference", "incollection", "inbook", "inreference"])
NUMBERED = REPORTS | {"patent", "standard", "legislation", "bill"}
PAGES = frozenset(["online", "electronic", "www", "webpage", "blog"])  # of the web


def kind_of_csl(name: str) -> str:
    return _FROM_CSL.get(name.strip().lower(), "misc")


def kind_of_ris(name: str) -> str:
    return _FROM_RIS.get(name.strip().upper(), "misc")


def venue_field(kind: str) -> str:
    """The BibTeX field that says where a work of this kind appeared."""
    if kind in THESES:
        return "school"
    if kind in REPORTS:
        return "institution"
    if kind in PARTS:
        return "booktitle"
    return "journal" if kind in ("article", "magazine", "newspaper", "review") else "howpublished"


def usual_kind(venue: str) -> str:
    """The kind of a paper of which nobody said it."""
    if re.match(r"(?:proceedings|proc\.|advances in|conference on|\w+ conference)\b", venue, re.I):
        return "inproceedings"
    return "article" if venue else "misc"


# ---------------------------------------------------------------- keys

_SMALL = re.compile(
    "a|an|the|on|of|in|for|with|and|or|to|from|by|at|is|are|via|its|as|le|la|les|das|der|die"
)
# What BibTeX, LaTeX and their tools do not take in a key.
_NO_KEY = re.compile(r"[\s,{}\"#%\\~()='^&$\x00-\x1f\x7f]+")


def usual_key(authors: Sequence[Name], title: str, published: str) -> str:
    """The key of a paper that came without one: `vaswaniAttentionAllYou2017`, as Zotero makes them."""
    words = [
        word
        for word in re.findall(r"[a-z0-9]+", _letters(title).lower())
        if len(word) > 1 and not _SMALL.fullmatch(word)
    ]
    name = re.sub(r"[^a-z0-9]", "", _letters(authors[0].family).lower())[:40] if authors else ""
    key = name + "".join(word[:20].capitalize() for word in words[:3]) + published[:4]
    return key or "untitled"


def _letters(text: str) -> str:
    plain = re.sub(r"\\[a-zA-Z]+|[{}$\\^_'’]", "", text[:1_000])
    return anyascii(unicodedata.normalize("NFKC", plain))


def usable_key(key: str) -> str:
    """The key with only what every tool takes in one; '' when nothing is left."""
    return _NO_KEY.sub("-", key.strip())[:MAX_KEY].strip("-")


def with_unique_keys(citations: Iterable[Citation]) -> Iterator[Citation]:
    """Each with a key of its own: of two with one key the later gets a number."""
    taken: set[str] = set()
    last: dict[str, int] = {}
    for citation in citations:
        wanted = usable_key(citation.key) or "untitled"
        key, number = wanted, 1
        while key.casefold() in taken:
            number = last[wanted] = last.get(wanted, 1) + 1
            key = f"{wanted}-{number}"
        taken.add(key.casefold())
        yield replace(citation, key=key)


def other_keys(citation: Citation) -> str:
    """The other keys of a work as one line, each as every tool takes it."""
    return ", ".join(dict.fromkeys(key for each in citation.keys if (key := usable_key(each))))


def _is_key(key: str, of: str) -> bool:
    """Whether it is this key, perhaps as `with_unique_keys` wrote it or told it from another."""
    if key == of:
        return True
    written = usable_key(of)
    tail = key.removeprefix(f"{written}-")
    return bool(written) and (key == written or (tail != key and tail.isdecimal()))


# ---------------------------------------------------------------- to and from a paper


def address_of(identifier: PaperId) -> str:
    """Where on the web an identifier leads."""
    match identifier.scheme:
        case "arxiv":
            return f"https://arxiv.org/abs/{identifier.value}"
        case "doi":
            return f"https://doi.org/{identifier.value}"
        case "openreview":
            return f"https://openreview.net/forum?id={identifier.value}"
        case "s2":
            return f"https://www.semanticscholar.org/paper/{identifier.value}"
        case _:
            return identifier.value


def of_paper(
    *,
    title: str,
    abstract: str,
    authors: Sequence[str],
    published: str,
    venue: str,
    categories: Sequence[str],
    identifiers: Sequence[PaperId],
    tags: Sequence[str],
    extra: Mapping[str, Any],
) -> Citation:
    """The citation of a paper of the wiki. Its columns count; what was kept fills in the rest."""
    kept = _kept(extra)
    written = {name.shown: name for name in map(Name.kept, _texts(kept.get("names")))}
    names = tuple(written.get(shown) or Name.guessed(shown) for shown in authors)
    found: dict[str, str] = {}
    for identifier in identifiers:
        found.setdefault(identifier.scheme, identifier.value)
    fields = {
        name: value
        for name, value in dict(kept.get("fields") or {}).items()
        if isinstance(name, str) and isinstance(value, str)
    }
    doi, given = found.get("doi", ""), fields.pop("doi", "")
    if given and _same_doi(given, doi, found.get("arxiv", "")):
        doi = given
    urls = [fields.pop("url")] if fields.get("url") else []
    urls += [found["url"]] if "url" in found and found["url"] not in urls else []
    if "openreview" in found:
        urls.append(address_of(PaperId("openreview", found["openreview"])))
    return Citation(
        title=title,
        key=_text(kept.get("key")) or usual_key(names, title, published),
        keys=_texts(kept.get("keys")),
        kind=_text(kept.get("kind")) or usual_kind(venue),
        authors=names,
        others=kept.get("others") is True,
        published=published,
        year="" if published else _text(kept.get("year")),
        venue=venue,
        abstract=abstract,
        tags=tuple(tags),
        category=categories[0] if categories and "arxiv" in found else "",
        doi=doi,
        arxiv=found.get("arxiv", ""),
        urls=tuple(dict.fromkeys(urls)),
        fields=fields,
    )


def doi_of(text: str) -> str:
    """The DOI in what a field for DOIs says ("https://doi.acm.org/10.1145/12.34"); '' without one."""
    found = re.search(r"10\.[0-9]{4,9}/\S+", text[:1_000])
    return found[0].rstrip(".,;)") if found else ""


def _same_doi(given: str, doi: str, arxiv: str) -> bool:
    """Whether a DOI as it was written is the one the paper has now, or had none to have."""
    read = parse_doi(doi_of(given))
    if read is None:
        return not doi
    return read.value == (doi if read.scheme == "doi" else arxiv)


def kept_of(citation: Citation, identifiers: Sequence[PaperId]) -> dict[str, Any]:
    """What a paper made of this citation has to keep so that `of_paper` gives it back. {} if nothing."""
    kept: dict[str, Any] = {}
    usual = usual_key(citation.authors, citation.title, citation.published)
    key = citation.key[:MAX_KEY]
    if key and not _is_key(key, usual):
        kept["key"] = key
    if citation.keys:
        kept["keys"] = list(citation.keys[:MAX_KEYS])
    if citation.kind != usual_kind(citation.venue):
        kept["kind"] = citation.kind
    names = [name.written for name in citation.authors if Name.guessed(name.shown) != name]
    if names:
        kept["names"] = list(dict.fromkeys(names))
    if citation.others:
        kept["others"] = True
    if citation.year and not citation.published:
        kept["year"] = citation.year
    fields = dict(citation.fields)
    if citation.doi and not any(
        found.scheme == "doi" and found.value == citation.doi for found in identifiers
    ):
        fields["doi"] = citation.doi
    own = {address_of(found) for found in identifiers}
    url = next((url for url in citation.urls if url not in own), "")
    if url:
        fields["url"] = url
    if fields:
        kept["fields"] = fields
    return kept


def joined(standing: Mapping[str, Any], came: Mapping[str, Any], *, newer: bool) -> dict[str, Any]:
    """What a paper keeps of two entries that are one work; the first key stays, others go beside it.

    `newer`: where both say something else, what came counts.
    """
    if not standing:
        return dict(came)
    first, second = (came, standing) if newer else (standing, came)
    both = {**second, **first}
    fields = _joined_fields(standing.get("fields"), came.get("fields"), newer)
    if fields:
        both["fields"] = fields
    old, new = _text(standing.get("kind")), _text(came.get("kind"))
    if old and (not new or _is_one(_TO_CSL, old, new) or _is_one(_TO_RIS, old, new)):
        both["kind"] = old  # CSL and RIS have one word for a thesis, BibTeX three
    key = _text(standing.get("key")) or _text(came.get("key"))
    others = (*_texts(standing.get("keys")), *_texts(came.get("keys")), _text(came.get("key")))
    told: dict[str, str] = {}  # by how an export writes them
    for each in others:
        if each and not _is_key(each, key):
            told.setdefault(usable_key(each) or each, each)
    keys = list(told.values())[:MAX_KEYS]
    if key:
        both["key"] = key
    if keys:
        both["keys"] = keys
    return both


def _joined_fields(standing: object, came: object, newer: bool) -> dict[str, str]:
    fields = dict(standing) if isinstance(standing, Mapping) else {}
    for name, value in dict(came).items() if isinstance(came, Mapping) else ():
        if name not in fields:
            # RIS has one tag for what are two fields elsewhere.
            if value not in fields.values():
                fields[name] = value
        elif newer and not (name == "doi" and doi_of(value) == doi_of(fields[name])):
            fields[name] = value
    return fields


def _is_one(words: Mapping[str, str], kind: str, other: str) -> bool:
    """Whether CSL or RIS have one word for both kinds."""
    unknown = words["misc"]
    return words.get(kind, unknown) == words.get(other, unknown)


def is_known_by_address(kind: str) -> bool:
    """Whether the address of such a work is the work: a page of the web, or nobody knows better."""
    return kind in PAGES or _TO_CSL.get(kind, "document") == "document"


def identifiers_of(citation: Citation, urls: bool = True) -> list[PaperId]:
    """What identifies the work: arXiv id and DOI, else (with `urls`) its address."""
    found: list[PaperId] = []
    for identifier in (parse_arxiv(citation.arxiv), parse_doi(doi_of(citation.doi))):
        if identifier is not None and identifier not in found:
            found.append(identifier)
    for url in citation.urls:
        identifier = parse_url(url)
        if identifier is None or any(each.scheme == identifier.scheme for each in found):
            continue
        if identifier.scheme != "url" or (urls and not found):
            found.append(identifier)
    return found


def _kept(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    kept = extra.get(EXTRA)
    return kept if isinstance(kept, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        return ()
    return tuple(each for each in value if isinstance(each, str) and each)


# ---------------------------------------------------------------- CSL-JSON

# BibTeX's name of a field, CSL's, RIS's ('' where RIS has none).
PLAIN_FIELDS = (
    ("volume", "volume", "VL"),
    ("number", "issue", "IS"),
    ("pages", "page", ""),
    ("publisher", "publisher", "PB"),
    ("address", "publisher-place", "CY"),
    ("edition", "edition", "ET"),
    ("series", "collection-title", "T3"),
    ("issn", "ISSN", "SN"),
    ("isbn", "ISBN", "SN"),
    ("language", "language", "LA"),
    ("note", "note", ""),
    ("shorttitle", "title-short", "ST"),
    ("shortjournal", "container-title-short", "J2"),
    ("eventtitle", "event-title", ""),
    ("pmid", "PMID", ""),
    ("version", "version", ""),
    ("chapter", "chapter-number", "SE"),
)


def csl(citations: Iterable[Citation]) -> Iterator[str]:
    """A CSL-JSON array, piece by piece."""
    first = True
    for citation in with_unique_keys(citations):
        text = json.dumps(csl_item(citation), ensure_ascii=False, indent=1)
        yield ("[\n" if first else ",\n") + text
        first = False
    yield "[]\n" if first else "\n]\n"


def csl_item(citation: Citation) -> dict[str, Any]:
    """The citation as one object of CSL-JSON."""
    fields = citation.fields
    item: dict[str, Any] = {
        "id": citation.key,
        "citation-key": citation.key,
        "type": "article"
        if citation.kind == "misc" and citation.arxiv
        else _TO_CSL.get(citation.kind, "document"),
        "title": citation.title,
    }
    people = [_csl_name(name) for name in citation.authors]
    if citation.others:
        people.append({"literal": "others"})
    if people:
        item["author"] = people
    if editors := fields.get("editor"):
        item["editor"] = [_csl_name(Name.kept(each)) for each in editors.split(" and ")]
    if citation.published:
        parts = [int(part) for part in citation.published.split("-")]
        item["issued"] = {"date-parts": [parts]}
    elif citation.year:
        item["issued"] = {"literal": citation.year}
    if citation.venue:
        where = "publisher" if citation.kind in THESES | REPORTS else "container-title"
        item[where] = citation.venue
    for name, theirs, _ in PLAIN_FIELDS:
        if fields.get(name):
            value = fields[name].replace("–", "-") if name == "pages" else fields[name]
            item.setdefault(_csl_field(name, theirs, citation.kind), value)
    if citation.doi:
        item["DOI"] = doi_of(citation.doi) or citation.doi
    url = address(citation)
    if url:
        item["URL"] = url
    if citation.abstract:
        item["abstract"] = citation.abstract
    if citation.tags:
        # One text: its reader divides it at ";" where there is one, else at ",".
        plain = not any(re.search("[,;]", tag) for tag in citation.tags)
        item["keyword"] = (
            ", ".join(citation.tags) if plain else "".join(f"{t}; " for t in citation.tags)
        )
    if citation.arxiv:
        item.setdefault("number", f"arXiv:{citation.arxiv}")
    if keys := other_keys(citation):  # as Better BibTeX reads them
        also = f"Citation Key Alias: {keys}"
        item["note"] = "\n".join(part for part in (also, fields.get("note", "")) if part)
    return item


def _csl_field(name: str, theirs: str, kind: str) -> str:
    """An issue is one of a journal; reports and standards have numbers."""
    return "number" if name == "number" and kind in NUMBERED else theirs


def _csl_name(name: Name) -> dict[str, str]:
    if name.body:
        return {"literal": name.family}
    parts = {"family": name.family, "given": name.given, "suffix": name.suffix}
    return {key: value for key, value in parts.items() if value}


def address(citation: Citation) -> str:
    """The address to give beside a DOI: its own, else that of its arXiv id."""
    if citation.urls:
        return citation.urls[0]
    return f"https://arxiv.org/abs/{citation.arxiv}" if citation.arxiv else ""


# ---------------------------------------------------------------- RIS


def ris(citations: Iterable[Citation]) -> Iterator[str]:
    """RIS, record by record, with lines ended as its readers expect."""
    for citation in with_unique_keys(citations):
        yield (
            "".join(f"{tag}  - {value}\r\n" for tag, value in _ris_lines(citation))
            + "ER  - \r\n\r\n"
        )


def _ris_lines(citation: Citation) -> Iterator[tuple[str, str]]:
    for tag, value in _ris_pairs(citation):
        line = " ".join(value.split())
        if line:
            yield tag, line


def _ris_pairs(citation: Citation) -> Iterator[tuple[str, str]]:
    fields = citation.fields
    yield "TY", _TO_RIS.get(citation.kind, "GEN")
    yield "ID", citation.key
    for key in citation.keys:
        yield "LB", key
    yield "TI", citation.title
    for name in citation.authors:
        yield "AU", _ris_name(name)
    if citation.others:
        yield "AU", "others"
    for each in fields.get("editor", "").split(" and "):
        yield "A2", _ris_name(Name.kept(each))
    yield "PY", citation.published[:4] or citation.year
    if len(citation.published) > 4:
        yield "DA", (citation.published.replace("-", "/") + "/" * 3)[:11].rstrip("/")
    if citation.kind not in BOOKS:
        yield "PB" if citation.kind in THESES | REPORTS else "T2", citation.venue
    pages = re.fullmatch(r"(\S+?)\s*[-–—]+\s*(\S+)", fields.get("pages", ""))
    if pages:
        yield "SP", pages[1]
        yield "EP", pages[2]
    else:
        yield "SP", fields.get("pages", "")
    for field_name, _, tag in PLAIN_FIELDS:
        if tag and not (tag == "PB" and citation.kind in THESES | REPORTS):
            yield tag, fields.get(field_name, "")
    yield "AB", citation.abstract
    for word in citation.tags:
        yield "KW", word
    yield "DO", doi_of(citation.doi) or citation.doi
    arxiv = f"https://arxiv.org/abs/{citation.arxiv}" if citation.arxiv else ""
    for url in dict.fromkeys((*citation.urls, arxiv)):
        yield "UR", url


def _ris_name(name: Name) -> str:
    """ "Family, Given, Suffix"; a body with a comma at its end, so that it is not divided."""
    if name.body:
        return f"{name.family}," if " " in name.family else name.family
    return ", ".join(part for part in (name.family, name.given, name.suffix) if part)


def clean_published(*given: str) -> str:
    """The first of these that is a date in ISO form, perhaps only a year or a month."""
    return next((found for each in given if (found := clean_date(each))), "")
