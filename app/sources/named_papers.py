"""Which papers a text from outside speaks of, and in which sentence: by identifier, link or title."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from app.domain.identifiers import parse_arxiv, parse_doi, title_key
from app.domain.items import MentionArrival, Ref
from app.domain.sentences import sentence_spans

MOST = 500  # mentions of one text
_READ = 400_000  # characters
_LONGEST = 600  # characters of a sentence
_MOST_TITLES = 100
_LITTLE = 15  # a sentence with hardly more characters than the name: the next one goes with it

_LINK = re.compile(r"\[((?:\\.|[^\[\]\\\n]|\\\n){0,1000})\]\((https?://[^\s()]{1,2000})\)")
_BARE = re.compile(r"https?://[^\s<>()\[\]\"'|\\`]{4,2000}", re.I)
_ARXIV = re.compile(
    r"(?<![\w./-])arxiv\s?:\s?(\d{4}\.\d{4,5}|[a-z][a-z-]{1,12}(?:\.[A-Z]{2})?/\d{7})(v\d{1,2})?(?![\d/])",
    re.I,
)
_DOI = re.compile(r"(?<![\w/.])(?:doi\s?:\s?)?(10\.\d{4,9}/[^\s\"'<>\[\]|\\`,;]{2,200})", re.I)
_OPENREVIEW = re.compile(r"(?<![\w])openreview\s?:\s?([\w-]{6,20})", re.I)
_QUOTED = re.compile(r"[“\"]([^“”\"\n]{20,300})[”\"]")
_UNESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_STRONG = re.compile(r"(?<![\\*])\*{1,3}(?=\S)|(?<=\S)(?<!\\)\*{1,3}")
_LINE_MARK = re.compile(
    r"^(?:[ \t]*>)*[ \t]*(?:[-*+]|\d{1,9}\.|#{1,6})[ \t]+|^(?:[ \t]*>)+[ \t]?", re.M
)

_ARXIV_PATH = re.compile(
    r"/(?:abs|pdf|html|format|papers|paper|overview|ar5iv|audio|ps)/"
    r"((?:\d{4}\.\d{4,5}|[a-z][a-z-]+(?:\.[a-z]{2})?/\d{7})(?:v\d{1,2})?)(?:\.pdf)?/?$",
    re.I,
)
_ARXIV_HOSTS = (
    "arxiv.org", "alphaxiv.org", "ar5iv.org", "ar5iv.labs.arxiv.org", "huggingface.co", "hf.co",
    "scirate.com", "emergentmind.com", "paperswithcode.com",
)  # fmt: skip
_SCIRATE = re.compile(r"/(?:arxiv/)?(\d{4}\.\d{4,5}(?:v\d{1,2})?)/?$")
_DOI_PATH = re.compile(
    r"/(?:doi|article|articles|document|chapter|book|content)/(?:[a-z]{2,8}/){0,2}(10\.\d{4,9}/[^?#]+)",
    re.I,
)
_ANTHOLOGY = re.compile(r"/(20\d\d\.[a-z0-9]+-[a-z0-9]+\.\d+|[A-Z]\d\d-\d{4})(?:\.pdf)?/?$")


@dataclass(frozen=True)
class Named:
    """A paper that a text names, the sentence around it, and where in the words it stands."""

    paper: Ref
    sentence: str
    at: int


def paper_of(address: str) -> Ref | None:
    """The paper whose page or PDF an address is, by the address alone; None when it is none."""
    try:
        parts = urlsplit(address)
        host, query = (parts.hostname or "").lower(), parse_qs(parts.query, max_num_fields=50)
    except ValueError:
        return None
    path = unquote(parts.path)
    bare = re.sub(r"^(?:www|export|browse|dx|m)\.", "", host)
    if bare in _ARXIV_HOSTS:
        found = _ARXIV_PATH.search(path) or (None if bare == "arxiv.org" else _SCIRATE.search(path))
        paper = parse_arxiv(found[1]) if found else None
        return _with_version(paper) if paper else None
    if bare in ("doi.org", "doi.acm.org"):
        return _doi(path.lstrip("/"))
    if bare == "openreview.net" and parts.path in ("/forum", "/pdf"):
        given = (query.get("id") or [""])[0]
        return f"openreview:{given}" if re.fullmatch(r"[\w-]{1,100}", given) else None
    if bare == "aclanthology.org" and (found := _ANTHOLOGY.search(path)):
        return _doi(f"10.18653/v1/{found[1]}")
    if found := _DOI_PATH.search(path):
        return _doi(
            re.sub(r"(?:\.pdf|/(?:full|abstract|pdf|epdf|html|fulltext))+/?$", "", found[1])
        )
    return None


def named(markdown: str, *, titles: bool = False) -> list[Named]:
    """The papers that a text names, each once, in the order in which they come.

    With `titles`, also `title:…` of what is linked or quoted as a title might be: whether it is one
    only the wiki knows.
    """
    said, links = _words(markdown[:_READ])
    spans = sentence_spans(said)
    starts = [start for start, _ in spans]
    found: dict[Ref, Named] = {}
    for at, end, ref in sorted(_places(said, links)):
        bare = _versionless(ref)
        if bare not in found:
            found[bare] = Named(ref, _sentence(said, spans, starts, at, end), at)
        if len(found) >= MOST:
            break
    if titles:
        told = {title_key(said[at:end]) for at, end, address in links if paper_of(address)}
        for at, end, words in sorted(_titles(said, links)):
            key = title_key(words)
            if key not in told and len(found) < MOST:
                told.add(key)
                sentence = _sentence(said, spans, starts, at, end)
                found[f"title:{key}"] = Named(f"title:{words}", sentence, at)
    return sorted(found.values(), key=lambda each: each.at)


def mentions(
    markdown: str, *, section: str, day: str = "", source_name: str = "", titles: bool = False
) -> tuple[MentionArrival, ...]:
    """The same as arrivals of the document whose text it is."""
    return tuple(
        MentionArrival(
            paper=each.paper,
            section=section,
            day=day,
            text=each.sentence,
            source_name=source_name,
        )
        for each in named(markdown, titles=titles)
    )


# ---------------------------------------------------------------- the words


def _words(markdown: str) -> tuple[str, list[tuple[int, int, str]]]:
    """The text without its marks, and of each link where its words stand and where it leads."""
    parts: list[str] = []
    links: list[tuple[int, int, str]] = []
    length = at = 0

    def put(piece: str) -> None:
        nonlocal length
        plain = _UNESCAPE.sub(r"\1", _STRONG.sub("", _LINE_MARK.sub(_kept_mark, piece)))
        plain = plain.replace("\\\n", " \n")
        parts.append(plain)
        length += len(plain)

    for link in _LINK.finditer(markdown):
        put(markdown[at : link.start()])
        start = length
        put(link[1])
        links.append((start, length, link[2]))
        at = link.end()
    put(markdown[at:])
    return "".join(parts), links


def _kept_mark(mark: re.Match[str]) -> str:
    """An entry of a list is a sentence of its own: its mark stays until the sentences are told."""
    return "- " if mark[0].strip("> \t") else ""


def _places(said: str, links: list[tuple[int, int, str]]) -> Iterator[tuple[int, int, Ref]]:
    for at, end, address in links:
        if ref := paper_of(address):
            yield at, end, ref
    for match in _BARE.finditer(said):
        if ref := paper_of(match[0].rstrip(".,;:!?")):
            yield match.start(), match.end(), ref
    for match in _ARXIV.finditer(said):
        if paper := parse_arxiv(match[1] + (match[2] or "").lower()):
            yield match.start(), match.end(), _with_version(paper)
    for match in _DOI.finditer(said):
        if ref := _doi(match[1].rstrip(".,;:!?*_")):
            yield match.start(), match.end(), ref
    for match in _OPENREVIEW.finditer(said):
        yield match.start(), match.end(), f"openreview:{match[1]}"


def _titles(said: str, links: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """What stands as the words of a link, or in quotation marks, and has four words or more."""
    places = [(at, end) for at, end, address in links if not paper_of(address)]
    places += [match.span(1) for match in _QUOTED.finditer(said)]
    told = []
    for at, end in places:
        words = " ".join(said[at:end].split())
        if 20 <= len(words) <= 300 and len(words.split()) >= 4 and "://" not in words:
            told.append((at, end, words))
    return told[:_MOST_TITLES]


def _doi(text: str) -> Ref | None:
    text = text.rstrip("/")
    while text.endswith(")") and text.count(")") > text.count("("):
        text = text[:-1].rstrip(".,;")
    paper = parse_doi(text)
    return _with_version(paper) if paper else None


def _with_version(paper: object) -> Ref:
    version = getattr(paper, "version", None)
    return f"{paper}v{version}" if version else str(paper)


def _versionless(ref: Ref) -> Ref:
    return re.sub(r"v\d+$", "", ref) if ref.startswith("arxiv:") else ref


def _sentence(said: str, spans: list[tuple[int, int]], starts: list[int], at: int, end: int) -> str:
    """The sentence at a place; with the next one where it is hardly more than the name."""
    index = bisect_right(starts, at) - 1
    if index < 0:
        return ""
    start, stop = spans[index]
    if stop < at:
        return " ".join(said[at:end].split())[:_LONGEST]
    following = index + 1
    short = stop - start < (end - at) + _LITTLE
    if short and following < len(spans) and not said.startswith("- ", spans[following][0]):
        stop = max(stop, spans[following][1])
    if stop - start > _LONGEST:
        # Of an endless sentence what is around the name.
        start = max(start, min(at, stop - _LONGEST) - _LONGEST // 3)
        stop = min(stop, start + _LONGEST)
    return " ".join(said[start:stop].split()).removeprefix("- ")
