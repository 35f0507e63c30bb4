"""Reads one Markdown file of a folder: YAML front matter and text become a page, paper or thread.

The text is kept as it is; its wikilinks are derived by whoever stores the page. Front matter that
cannot be read is `Rejected` and the text still arrives, as a note.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TypeVar

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from app.domain import front_matter
from app.domain.front_matter import BadField, kind_of, mapping, scalar, unquoted_wikilink
from app.domain.identifiers import clean_date, is_slug, parse_id, slugify, whole_day
from app.domain.items import (
    Arrival,
    Document,
    LinkArrival,
    PageArrival,
    PaperArrival,
    PredictionArrival,
    Quotation,
    Ref,
    Rejected,
    SourceRef,
    ThreadArrival,
)
from app.domain.markdown import tags_in
from app.domain.records import (
    KINDS,
    LinkStatus,
    PageKind,
    PredictionState,
    Relation,
    Role,
    SourceKind,
)
from app.errors import Unreadable
from app.sources.base import File

_MAX_NAME = 2_000
_SUFFIXES = (".md", ".markdown")
_KINDS = {kind.value: kind for kind in KINDS}
_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_HEADING = re.compile(r"\s{0,3}#{1,6}[ \t]+(\S.*)")
_LARGEST = 2**63 - 1

Word = TypeVar("Word", bound=StrEnum)
Entry = TypeVar("Entry", LinkArrival, PredictionArrival)


@dataclass(frozen=True)
class MarkdownFolder:
    format: str = "markdown"

    def recognises(self, file: File) -> bool:
        """A name that ends in .md, front matter, or a heading as the first line."""
        if file.name.lower().endswith(_SUFFIXES):
            return True
        start = File(name=file.name, data=file.data[:4096]).text().lstrip("\ufeff\r\n")
        first = start.split("\n", 1)[0].rstrip()
        return (first == "---" and "\n---" in start) or _HEADING.fullmatch(first) is not None

    def read(self, file: File) -> Document:
        """One file, one page; problems inside it come as `Rejected` after it."""
        return read_note(file, format=self.format)


def read_note(file: File, *, format: str, vault: bool = False, ref: Ref = "") -> Document:
    """A file of Markdown as a page. Raises Unreadable for an empty one.

    In a `vault` a note is called what its file is called, and tags stand in its text too. `ref` is
    the address asked for of a note without an id.
    """
    text = file.text().replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise Unreadable(f"{file.name} is empty.")
    path = PurePosixPath(file.name.replace("\\", "/"))
    front, body, problem = _front_matter(text)
    stem = path.stem.strip() or "page"
    page = _Page(front=front, body=body, stem=stem, vault=vault, asked=ref)
    if problem:
        page.problems.append(Rejected(where="front matter", reason=problem))
    arrivals = tuple(page.arrivals())
    return Document(
        source=SourceRef(key="markdown", kind=SourceKind.FILE, name="Markdown files"),
        key=str(path.with_suffix("") if path.name else path).lstrip("/"),
        format=format,
        title=page.title,
        published=page.published,
        arrivals=(*arrivals, *page.problems),
    )


def _front_matter(text: str) -> tuple[dict[str, Node], str, str]:
    """The fields, the text below them, and what is wrong with them ('' for nothing)."""
    try:
        found = front_matter.bounds(text)
    except BadField as bad:
        return {}, text, f"{bad}; the text is kept as a note."
    if found is None:
        return {}, text, ""
    start, stop, end = found
    body = text[end:].lstrip("\n")
    try:
        return front_matter.fields(text[start:stop]), body, ""
    except BadField as bad:
        return {}, body, f"{bad} The text is kept as a note."


# ---------------------------------------------------------------- values of nodes


def _value(node: Node) -> object:
    """A node as JSON knows it, for fields that are kept without being understood."""
    if isinstance(node, SequenceNode):
        return [_value(item) for item in node.value]
    if isinstance(node, MappingNode):
        return {scalar(key) or str(_value(key)): _value(value) for key, value in node.value}
    text, kind = scalar(node) or "", kind_of(node)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in ("true", "yes", "on")
    return _number(text, kind)


def _number(text: str, kind: str) -> int | float | str:
    try:
        if kind == "int" and len(text) <= 20 and abs(int(text)) <= _LARGEST:
            return int(text)
        if kind == "float" and math.isfinite(float(text)):
            return float(text)
    except ValueError:
        pass
    return text


def _ref(text: str) -> Ref | None:
    """A slug, an identifier, or the page a `[[wikilink]]` names; None for anything else."""
    if text.startswith("[[") and text.endswith("]]"):
        inner = text[2:-2].split("|")[0].split("#")[0].strip()
        return (inner if is_slug(inner) else slugify(inner)) if inner else None
    if is_slug(text):
        return text
    found = parse_id(text)
    return str(found) if found else None


# ---------------------------------------------------------------- the page


@dataclass
class _Page:
    """One file's fields and text, and the problems met while reading them."""

    front: dict[str, Node]
    body: str
    stem: str
    vault: bool = False
    asked: Ref = ""
    problems: list[Rejected] = field(default_factory=list)
    taken: set[str] = field(default_factory=lambda: {"id", "links", "predictions"})

    def arrivals(self) -> Iterator[Arrival]:
        match self.kind:
            case PageKind.PAPER:
                paper = self._paper()
                yield paper
                source = paper.refs[0] if paper.refs else paper.slug
                yield from self._links(source)
                yield from self._predictions(source)
            case PageKind.THREAD:
                claim, members = self._text("claim"), list(self._members())
                links = list(self._links(self.slug))
                foretold = list(self._predictions(self.slug))
                yield ThreadArrival(page=self._page(self.slug), claim=claim)
                yield from members
                yield from links
                yield from foretold
            case _:
                source = self.ref or slugify(self.stem)
                joins: list[Arrival] = [*self._links(source), *self._predictions(source)]
                yield self._page(self.ref or (slugify(self.stem) if joins else ""))
                yield from joins

    @property
    def kind(self) -> PageKind:
        """The page's kind; an unknown one is a note, and its word is kept among the extra fields."""
        given = (scalar(self.front.get("kind")) or "").lower()
        if given in _KINDS:
            self.taken.add("kind")
            return _KINDS[given]
        identifier = parse_id(scalar(self.front.get("id")) or "")
        if not given and identifier and identifier.scheme != "url":
            return PageKind.PAPER
        return PageKind.NOTE

    @property
    def title(self) -> str:
        given = self._text("title")
        if self.vault:
            return (given or self.stem)[:_MAX_NAME]
        return (given or _first_heading(self.body) or self.stem)[:_MAX_NAME]

    @property
    def published(self) -> str:
        for name in ("published", "date", "day"):
            if found := clean_date(scalar(self.front.get(name))):
                return found
        return ""

    @property
    def ref(self) -> Ref:
        """The page's `id`; '' when it has none, so that the wiki chooses an address."""
        given = self._text("id")
        own = self._text("cerebro-id") if self.vault else ""
        if is_slug(own):
            self.taken.discard("id")  # another tool's: kept as it is
            return own
        if is_slug(given):
            return given
        found = parse_id(given)
        if found and found.scheme == "url":
            return str(found)
        if given and self.vault:
            self.taken.discard("id")  # another tool's: kept as it is
        elif given:
            self._problem(
                "id", f"{given[:80]!r} is neither a slug ([a-z0-9-]) nor url: an address."
            )
        return self.asked

    @property
    def slug(self) -> str:
        ref = self.ref
        return ref if is_slug(ref) else self.stem if is_slug(self.stem) else slugify(self.stem)

    def _paper(self) -> PaperArrival:
        refs, slug = self._paper_ids()
        return PaperArrival(
            refs=refs,
            title=self.title,
            abstract=self._text("abstract"),
            authors=self._names("authors", of="name"),
            published=clean_date(self._text("published")),
            venue=self._text("venue"),
            categories=self._names("categories"),
            references=tuple(ref for text in self._names("references") if (ref := _ref(text))),
            code_url=self._text("code"),
            keep=True,
            slug=slug,
            text=self.body,
            aliases=self._aliases(),
            tags=self._tags(),
            questions=self._names("questions", of="text"),
            extra=self._extra(),
        )

    def _paper_ids(self) -> tuple[tuple[Ref, ...], str]:
        given = [self._text("id"), *self._names("identifiers")]
        given += [
            value if value.lower().startswith(f"{name}:") else f"{name}:{value}"
            for name in ("arxiv", "doi")
            if (value := self._text(name))
        ]
        slug = self._text("slug")
        refs: list[Ref] = []
        for text in filter(None, given):
            if found := parse_id(text):
                refs.append(str(found) + (f"v{found.version}" if found.version else ""))
            elif is_slug(text):
                slug = slug or text
            else:
                self._problem("id", f"{text[:80]!r} is neither an identifier nor a slug.")
        for choice in (slug, self.stem):
            if is_slug(choice):
                return tuple(dict.fromkeys(refs)), choice
        return tuple(dict.fromkeys(refs)), slugify(self.stem)

    def _page(self, ref: Ref) -> PageArrival:
        title, aliases = self.title, self._aliases()
        if ref != self.stem and self.stem.casefold() not in {
            name.casefold() for name in (title, *aliases)
        }:
            aliases = (*aliases, self.stem)  # wikilinks elsewhere name the file
        return PageArrival(
            ref=ref,
            kind=self.kind,
            title=title,
            text=self.body,
            aliases=aliases,
            tags=self._tags(),
            questions=self._names("questions", of="text"),
            extra=self._extra(),
        )

    def _links(self, source: Ref) -> Iterator[LinkArrival]:
        yield from self._each("links", lambda entry: _link(entry, source=source))

    def _predictions(self, source: Ref) -> Iterator[PredictionArrival]:
        made = self.published
        yield from self._each("predictions", lambda entry: _prediction(entry, source, made))

    def _members(self) -> Iterator[LinkArrival]:
        yield from self._each("members", lambda entry: _member(entry, thread=self.slug))

    # -- fields

    def _problem(self, where: str, reason: str) -> None:
        problem = Rejected(where=where, reason=reason)
        if problem not in self.problems:
            self.problems.append(problem)

    def _text(self, name: str) -> str:
        node = self.front.get(name)
        self.taken.add(name)
        text = scalar(node)
        if text is None and node is not None:
            self._problem(name, "This is not a text.")
        return text or ""

    def _names(self, name: str, *, of: str = "") -> tuple[str, ...]:
        """A list of texts, or one text; of objects, the text in `of`."""
        node = self.front.get(name)
        self.taken.add(name)
        items = node.value if isinstance(node, SequenceNode) else [node] if node else []
        texts = [
            scalar(mapping(item).get(of)) if of and isinstance(item, MappingNode) else scalar(item)
            for item in items
        ]
        if any(text is None for text in texts):
            self._problem(name, "This is not a list of texts.")
        return tuple(dict.fromkeys(text for text in texts if text))

    def _aliases(self) -> tuple[str, ...]:
        names = self._names("aliases")
        if not self.vault:
            return names
        node = self.front.get("aliases")
        if isinstance(node, ScalarNode):  # one text is a list with commas there
            names = (
                tuple(filter(None, (part.strip() for part in names[0].split(",")))) if names else ()
            )
        return tuple(dict.fromkeys((*names, *self._names("alias"))))

    def _tags(self) -> tuple[str, ...]:
        """Tags as a list, or in one text with commas between, with or without #."""
        given = self._names("tags") + (self._names("tag") if self.vault else ())
        listed = [part for text in given for part in text.split(",")]
        if self.vault:  # blanks part them too, and they may stand anywhere in the text
            listed = [part for text in listed for part in text.split()]
            listed += tags_in(self.body)
        tags = (part.strip().lstrip("#").strip("/") for part in listed)
        return tuple(dict.fromkeys(filter(None, tags)))

    def _each(self, name: str, read: Callable[[Mapping[str, Node]], Entry]) -> Iterator[Entry]:
        node = self.front.get(name)
        self.taken.add(name)
        if node is None or scalar(node) == "":
            return
        if not isinstance(node, SequenceNode):
            self._problem(name, "This is not a list.")
            return
        for number, item in enumerate(node.value, start=1):
            where = f"{name.removesuffix('s')} {number}"
            if not isinstance(item, MappingNode):
                self._problem(where, "This entry has no fields.")
                continue
            try:
                yield read(mapping(item))
            except BadField as bad:
                self._problem(where, str(bad))

    def _extra(self) -> dict[str, object]:
        return {name: _value(node) for name, node in self.front.items() if name not in self.taken}


def _link(entry: Mapping[str, Node], *, source: Ref) -> LinkArrival:
    relation, target = _word(entry, "relation", Relation), _target(entry, "target")
    if relation is None:
        raise BadField("It names no relation.")
    if target == source:
        raise BadField("The link leads from the page to itself.")
    return LinkArrival(
        source=source,
        relation=relation,
        target=target,
        status=_word(entry, "status", LinkStatus) or LinkStatus.ACCEPTED,
        role=_word(entry, "role", Role) if relation is Relation.PART_OF else None,
        note=scalar(entry.get("note")) or "",
        day=clean_date(scalar(entry.get("date"))),
        reason=scalar(entry.get("reason")) or "",
        evidence=tuple(_quotations(entry.get("evidence"))),
    )


def _prediction(entry: Mapping[str, Node], source: Ref, published: str) -> PredictionArrival:
    text = " ".join((scalar(entry.get("text")) or "").split())
    if not text:
        raise BadField("It has no text.")
    made = scalar(entry.get("made")) or (published if len(published) == 10 else "")
    if made and whole_day(made) is None:
        raise BadField(f"The day {made[:40]!r} on which it was made is none (YYYY-MM-DD).")
    given = (scalar(entry.get("probability")) or "").strip()
    try:
        probability = float(given) if given else None
    except ValueError:
        probability = -1.0
    if probability is not None and not 0 <= probability <= 1:
        raise BadField(f"The probability {given[:40]!r} is not a number from 0 to 1.")
    resolved = scalar(entry.get("resolved")) or ""
    if resolved and whole_day(resolved) is None:
        raise BadField(f"The day {resolved[:40]!r} on which it was judged is none (YYYY-MM-DD).")
    return PredictionArrival(
        page=source,
        text=text,
        made=made,
        due=scalar(entry.get("due")) or "",
        probability=probability,
        state=_word(entry, "state", PredictionState) or PredictionState.OPEN,
        resolved=resolved,
        resolution=scalar(entry.get("resolution")) or "",
    )


def _member(entry: Mapping[str, Node], *, thread: Ref) -> LinkArrival:
    return LinkArrival(
        source=_target(entry, "paper"),
        relation=Relation.PART_OF,
        target=thread,
        role=_word(entry, "role", Role),
        note=scalar(entry.get("note")) or "",
        day=clean_date(scalar(entry.get("date"))),
    )


def _word(entry: Mapping[str, Node], name: str, words: type[Word]) -> Word | None:
    given = (scalar(entry.get(name)) or "").lower()
    if not given:
        return None
    try:
        return words(given)
    except ValueError:
        known = ", ".join(word.value for word in words)
        raise BadField(f"The {name} {given[:60]!r} is none of {known}.") from None


def _target(entry: Mapping[str, Node], name: str) -> Ref:
    given = scalar(entry.get(name)) or unquoted_wikilink(entry.get(name))
    if not given:
        raise BadField(f"It names no {name}.")
    ref = _ref(given)
    if ref is None:
        raise BadField(f"The {name} {given[:80]!r} is neither a slug nor an identifier.")
    return ref


def _quotations(node: Node | None) -> Iterator[Quotation]:
    for item in node.value if isinstance(node, SequenceNode) else ():
        parts = mapping(item) if isinstance(item, MappingNode) else {"quote": item}
        if quote := scalar(parts.get("quote")):
            yield Quotation(quote=quote, where=scalar(parts.get("where")) or "")


def _first_heading(text: str) -> str:
    """The words of the first heading that is not inside a code block; '' when there is none."""
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1] == fence):
            fence = "" if fence else mark[1]
        elif not fence and (heading := _HEADING.fullmatch(line)):
            return heading[1].rstrip().rstrip("#").rstrip() or ""
    return ""
