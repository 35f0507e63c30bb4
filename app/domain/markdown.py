"""What a Markdown body says: its wikilinks, headings, sections and plain words.

It reads the tokens of `domain.grammar` and makes no HTML; the renderer writes the same tokens, so
what is a link here is shown as one. It knows no pages: whether a name exists is for others.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from urllib.parse import quote

from markdown_it.token import Token

from app.domain.grammar import Document, PageRef, is_attachment, parse, read_wikilink
from app.domain.identifiers import slugify
from app.domain.sentences import sentence_spans
from app.domain.sentences import sentences as sentences

_LINE_END = re.compile(r"\r\n?|\n")
_DESTINATION = re.compile(r"\(\s*(<[^<>\n]*>|[^\s()]*)")
_UNLINKABLE = re.compile(r"[\[\]|\n\r\0\ud800-\udfff]")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_TAG = re.compile(r"(?<![^\s(\[,;])#([^\W_][\w/-]{0,99})")
# Code, destinations, wikilinks; none reaches over the beginning of another, so that no line takes long.
_NO_TEXT = re.compile(r"`[^`]*`|\]\([^()]*\)|\[\[[^\[\]]*\]\]")
_MAX_TAGS = 200
_MARKUP = re.compile(r"[\\`*_{}<>$~&!#]")


@dataclass(frozen=True)
class WikiLink:
    """One link to a page, as the author wrote it.

    `target` is the name linked to; `text` what is shown instead of it; `heading` the heading linked
    to within the page; `relation` the word before `::`, in lower case with hyphens. `sentence` is
    the plain sentence around the link, with the link's visible text in it. `body[start:end]` is the
    link's source. A Markdown link to a file (`[text](Page.md)`) is a link to that page too.
    """

    target: str
    text: str | None
    heading: str | None
    relation: str | None
    sentence: str
    start: int
    end: int


@dataclass(frozen=True)
class Heading:
    """A heading: its level as written (1 to 6), its plain text, and an anchor no other one has."""

    level: int
    text: str
    anchor: str


class BlockKind(StrEnum):
    HEADING = "heading"
    PROSE = "prose"
    TABLE = "table"
    CODE = "code"
    FORMULA = "formula"


@dataclass(frozen=True)
class _Block:
    """One block as plain text; `heading` only when it is one."""

    kind: BlockKind
    text: str
    heading: Heading | None = None


# ------------------------------------------------------------------------------ names


def name_key(name: str) -> str:
    """A name as names are compared everywhere: NFC, without case, white space collapsed."""
    folded = unicodedata.normalize("NFD", name).casefold()
    return " ".join(unicodedata.normalize("NFC", folded).split())


def link_keys(target: str) -> tuple[str, ...]:
    """The name keys to look up for a link target, best first.

    The name as written, then without a `.md` at its end, then the last part of a folder path.
    """
    bare = target.strip().removesuffix(".md")
    return tuple(
        dict.fromkeys(filter(None, map(name_key, (target, bare, bare.rpartition("/")[2]))))
    )


def is_linkable(name: str) -> bool:
    """Whether `[[name]]` reads back as a link to exactly this name."""
    reference = read_wikilink(name, 0, 0)
    return (
        reference is not None
        and reference.name == name
        and not _UNLINKABLE.search(name)
        and not is_attachment(name)
    )


# ------------------------------------------------------------------------------ reading


def inline_text(tokens: Iterable[Token] | None) -> str:
    """The visible words of inline tokens; formulas as `$source$`, line breaks as spaces."""
    return "".join(_piece(token) for token in tokens or ())


def _piece(token: Token) -> str:
    match token.type:
        case "text" | "code_inline" | "live_claim":
            return token.content
        case "softbreak" | "hardbreak":
            return " "
        case "math_inline":
            return f"${token.content}$"
        case "math_inline_double":
            return f"$${token.content}$$"
        case "image":
            return inline_text(token.children)
        case "link_open" if (reference := page_ref(token)) and reference.relation:
            return relation_words(reference.relation) + " "
        case _:
            return ""


def page_ref(token: Token) -> PageRef | None:
    """The page a `link_open` token links to, None for any other token."""
    reference = token.meta.get("page")
    return reference if isinstance(reference, PageRef) else None


def relation_words(relation: str) -> str:
    """A relation as it is shown: `part-of` -> "part of"."""
    return relation.replace("-", " ").strip()


def page_names(document: Document) -> list[str]:
    """The names of all pages a document links to, in order, each as written."""
    return [reference.name for _, reference in _references(document) if reference.name]


def _references(document: Document) -> Iterator[tuple[Token, PageRef]]:
    """Every page link with the inline block it stands in."""
    for block in document.tokens:
        for token in block.children or ():
            if token.nesting == 1 and (reference := page_ref(token)):
                yield block, reference


def _read(body: str) -> Document:
    """A body for who asks several things of one text in turn: the last few short ones are kept."""
    return _kept(body) if len(body) <= _SHORT else parse(body)


_SHORT = 20_000  # characters
_kept = lru_cache(maxsize=4)(parse)


def wikilinks(body: str) -> list[WikiLink]:
    """All links to pages, in the order they stand in the body: exactly those the renderer shows.

    Nothing in code, formulas or comments counts; `![[Page]]` does, a picture or file does not.
    A link within the page itself (`[[#Heading]]`) has no target and is left out.
    """
    return [link for link, _, _ in _located_links(_read(body))]


_Place = Callable[[int], int]


def _located_links(document: Document) -> list[tuple[WikiLink, PageRef, _Place]]:
    """Every link with what was read of it, and where an offset in its block is in the body."""
    found = [
        (link, reference, place)
        for block, place in _blocks_with(document, _is_page_link)
        for link, reference in _links_of_block(block, place)
    ]
    return sorted(found, key=lambda item: item[0].start)


def _links_of_block(block: Token, place: _Place) -> Iterator[tuple[WikiLink, PageRef]]:
    pieces = [_piece(token) for token in block.children or ()]
    text = "".join(pieces)
    spans = sentence_spans(text)
    starts = [start for start, _ in spans]
    lines = [text[start:end] for start, end in spans]
    at = depth = 0
    opened: tuple[PageRef, int] | None = None
    for token, piece in zip(block.children or (), pieces, strict=True):
        at += len(piece)
        if token.type == "link_open":
            depth += 1
            if depth == 1 and (reference := page_ref(token)):
                opened = (reference, at)
        elif token.type == "link_close":
            depth -= 1
            if depth == 0 and opened:
                reference, shown_at = opened
                opened = None
                sentence = lines[max(0, bisect_left(starts, shown_at + 1) - 1)] if lines else ""
                shown = text[shown_at:at].strip() if reference.shown else ""
                if reference.name:
                    yield _as_link(reference, shown, sentence, place), reference


def _as_link(reference: PageRef, shown: str, sentence: str, place: _Place) -> WikiLink:
    return WikiLink(
        target=reference.name,
        text=shown or None,
        heading=reference.heading,
        relation=reference.relation,
        sentence=sentence,
        start=place(reference.start),
        end=place(reference.end),
    )


def _is_page_link(token: Token) -> bool:
    return page_ref(token) is not None


def _is_live_claim(token: Token) -> bool:
    return token.type == "live_claim"


def live_claims(body: str) -> list[tuple[str, int, int]]:
    """What is written like a live claim, with its braces, and where it stands in the body."""
    if "{{" not in body:
        return []
    return [
        (token.content, place(token.meta["start"]), place(token.meta["end"]))
        for block, place in _blocks_with(parse(body), _is_live_claim)
        for token in block.children or ()
        if _is_live_claim(token)
    ]


def replace_claims(body: str, said: Mapping[str, str]) -> str:
    """The body with words in place of live claims, by their source with the braces."""
    parts: list[str] = []
    done = 0
    for source, start, end in live_claims(body):
        if source in said and body[start:end] == source:
            parts += [body[done:start], said[source]]
            done = end
    return "".join([*parts, body[done:]])


def prose(body: str) -> Iterator[tuple[str, str, Callable[[int], int]]]:
    """The inline blocks of a body: plain words, Markdown source, and where an offset in that stands."""
    for block, place in _blocks_with(parse(body), lambda token: True):
        yield inline_text(block.children), block.content, place


def _blocks_with(
    document: Document, wanted: Callable[[Token], bool]
) -> Iterator[tuple[Token, _Place]]:
    """Inline blocks that hold a wanted token, each with the way from its content to the body.

    A line of the content stands in its line of the body as it is, less what marks the blocks
    around it; only the cells of a table are less than a line and lose a backslash before each bar.
    """
    source = document.source
    lines = _lines(source)
    in_cell = False
    row, cell_at = -1, 0
    for token in document.tokens:
        if token.type in ("th_open", "td_open"):
            in_cell = True
        elif token.type in ("th_close", "td_close"):
            in_cell = False
        elif token.type == "inline" and token.map:
            number = token.map[0]
            has_it = any(wanted(child) for child in token.children or ())
            if not in_cell:
                if has_it:
                    yield token, _line_placer(source, lines, number, token.content)
                continue
            if number != row:
                row, cell_at = number, lines[number][0]
            written = token.content.replace("|", "\\|")
            start = max(cell_at, source.find(written, cell_at, lines[number][1]))
            cell_at = start + len(written)
            if has_it:
                yield token, _cell_placer(start, token.content)


def _lines(source: str) -> list[tuple[int, int]]:
    """Start and end of each line, without its line end, as markdown-it counts lines."""
    found: list[tuple[int, int]] = []
    start = 0
    for end in _LINE_END.finditer(source):
        found.append((start, end.start()))
        start = end.end()
    return [*found, (start, len(source))]


def _line_placer(source: str, lines: list[tuple[int, int]], number: int, content: str) -> _Place:
    starts: list[int] = []
    shifts: list[int] = []
    at = 0
    parts = content.split("\n")
    # A paragraph may begin with lines of blanks that are no spaces to Markdown: they are taken off.
    while (
        number + len(parts) < len(lines) and parts[0].strip() not in source[slice(*lines[number])]
    ):
        number += 1
    for each, part in enumerate(parts, number):
        start, end = lines[each]
        lead = len(part) - len(part.lstrip())
        starts.append(at)
        shifts.append(max(start, source.rfind(part.strip(), start, end)) - lead - at)
        at += len(part) + 1
    return lambda offset: offset + shifts[max(0, bisect_left(starts, offset + 1) - 1)]


def _cell_placer(start: int, content: str) -> _Place:
    return lambda offset: start + offset + content.count("|", 0, offset)


@dataclass(frozen=True)
class Wording:
    """How a link to a page is written: by a name that `is_linkable`, and what it shows where it has no
    text of its own; None shows the name.
    """

    name: str
    shown: str | None = None


def reword_wikilinks(body: str, wording: Callable[[WikiLink], Wording | None]) -> str:
    """The body with links to pages by other names; one without a `wording` stays as it is.

    Text, heading and relation of a link stay, code is not touched. A name that no wikilink can hold
    (see `is_linkable`) leaves its link as it is; so does a bar that would make another block of a line
    leave the body.
    """
    parts: list[str] = []
    done = 0
    document = _read(body)
    tables = _table_spans(document)
    links = _located_links(document)
    for link, reference, place in links:
        new = wording(link)
        if new is None or not is_linkable(new.name):
            continue
        if reference.label_end is not None:
            label_end = place(reference.label_end)
            if not body.startswith("]", label_end):
                continue
            start, end, written = _new_destination(body, link, label_end, new.name)
        else:
            start, end = place(reference.name_start), place(reference.name_end)
            if body[start:end] != reference.name:
                continue  # never into other words
            written = new.name
            shown = _shown(new)
            if shown and not reference.shown and not body.startswith("!", link.start):
                bar = "\\|" if any(first <= start < last for first, last in tables) else "|"
                rest = body[end : link.end - 2].partition("|")[0].rstrip().removesuffix("\\")
                end, written = link.end - 2, f"{new.name}{rest}{bar}{shown}"
        parts += [body[done:start], written]
        done = end
    reworded = "".join([*parts, body[done:]])
    # A bar in a line may make it the head of a table.
    return reworded if not parts or len(wikilinks(reworded)) == len(links) else body


def _shown(new: Wording) -> str:
    """The text of a wikilink that reads as these words; "" where the name does."""
    words = " ".join(_UNLINKABLE.sub(" ", new.shown or "").split())
    if not words or words == new.name:
        return ""
    read = wikilinks(f"[[{new.name}|{words}]]")
    return words if [link.text for link in read] == [words] else _MARKUP.sub(r"\\\g<0>", words)


def _table_spans(document: Document) -> list[tuple[int, int]]:
    """Where tables stand in a body: there a bar within a link is written with a backslash."""
    lines = _lines(document.source)
    return [
        (lines[token.map[0]][0], lines[min(token.map[1], len(lines)) - 1][1])
        for token in document.tokens
        if token.type == "table_open" and token.map
    ]


def _new_destination(body: str, link: WikiLink, label_end: int, new: str) -> tuple[int, int, str]:
    """Where a Markdown link says its file, and what to write there instead."""
    heading = f"#{quote(link.heading)}" if link.heading else ""
    address = quote(new, safe="/") + ".md" + heading
    if found := _DESTINATION.match(body, label_end + 1, link.end):
        return found.start(1), found.end(1), address
    return label_end + 1, link.end, f"({address})"


# ------------------------------------------------------------------------------ structure


def headings(body: str) -> list[Heading]:
    """The headings of a body in order, anchors without any prefix."""
    return headings_of(parse(body))


def headings_of(document: Document) -> list[Heading]:
    """The headings of a parsed body in order, as `headings`."""
    return [block.heading for block in _blocks(document) if block.heading]


def sections(body: str) -> list[tuple[Heading | None, str]]:
    """The body cut at its headings: each heading with the plain text under it.

    What stands before the first heading comes first, with None, if there is any.
    """
    found: list[tuple[Heading | None, list[str]]] = [(None, [])]
    for block in _blocks(parse(body)):
        if block.heading:
            found.append((block.heading, []))
        else:
            found[-1][1].append(block.text)
    return [(heading, "\n\n".join(texts)) for heading, texts in found if heading or texts]


def plain_text(body: str) -> str:
    """The visible words, without markup; blocks apart by a blank line, formulas as their source."""
    return "\n\n".join(block.text for block in _blocks(_read(body)))


def first_words(body: str, count: int) -> str:
    """The first `count` words of the prose (not of headings, tables or code), "…" if there is more.

    A body without prose gives the first words of whatever it has.
    """
    blocks = list(_blocks(parse(body)))
    prose = [block.text for block in blocks if block.kind is BlockKind.PROSE]
    found = " ".join(prose or [block.text for block in blocks]).split(maxsplit=max(count, 0))
    return " ".join(found[:count]) + ("…" if len(found) > count > 0 else "")


@dataclass
class _Anchors:
    """Gives out anchors that differ within one body."""

    taken: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def give(self, text: str) -> str:
        stem = heading_anchor(text)
        anchor = stem
        while anchor in self.taken:
            self.counts[stem] = self.counts.get(stem, 1) + 1
            anchor = f"{stem}-{self.counts[stem]}"
        self.taken.add(anchor)
        return anchor


def heading_anchor(text: str) -> str:
    """The anchor of the first heading with this text."""
    return slugify(text)


def _blocks(document: Document) -> Iterator[_Block]:
    """The blocks of a document as plain text, in order; a table is one block of lines and tabs."""
    if document.refused:
        yield _Block(BlockKind.PROSE, document.source)
        return
    anchors = _Anchors()
    rows: list[list[str]] | None = None
    level = 0
    for token in document.tokens:
        match token.type:
            case "heading_open":
                level = int(token.tag[1])
            case "table_open":
                rows = []
            case "tr_open" if rows is not None:
                rows.append([])
            case "table_close" if rows is not None:
                yield _Block(BlockKind.TABLE, "\n".join("\t".join(row) for row in rows))
                rows = None
            case "inline" if rows:
                rows[-1].append(inline_text(token.children).strip())
            case "inline" if level:
                text = inline_text(token.children).strip()
                yield _Block(BlockKind.HEADING, text, Heading(level, text, anchors.give(text)))
                level = 0
            case "inline":
                if text := inline_text(token.children).strip():
                    yield _Block(BlockKind.PROSE, text)
            case "fence" | "code_block":
                yield _Block(BlockKind.CODE, token.content.rstrip("\n"))
            case "math_block":
                yield _Block(BlockKind.FORMULA, f"$${token.content.strip()}$$")


def tags_in(body: str) -> list[str]:
    """The tags in a text as Obsidian reads it (`#area/part`), outside of code; numbers alone are none."""
    found: dict[str, None] = {}
    fence = ""
    for line in body.split("\n") if _TAG.search(body) else ():
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1] == fence):
            fence = "" if fence else mark[1]
        elif not fence and "#" in line:
            tags = (tag.strip("/") for tag in _TAG.findall(_NO_TEXT.sub(" ", line)))
            found |= dict.fromkeys(tag for tag in tags if tag and not tag.isdigit())
        if len(found) > _MAX_TAGS:
            break
    return list(found)[:_MAX_TAGS]
