"""What a Markdown body says: its wikilinks, headings, sections, sentences and plain words.

It owns the grammar of bodies (CommonMark with tables, footnotes, task lists, formulas and
`[[wikilinks]]`): what counts as a link here is what the renderer shows as one, because both read
the tokens of `parse`. It makes no HTML and knows no pages; whether a name exists is for others.
Every rule added here is linear in the text, also on text made to hurt.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote, unquote

from markdown_it import MarkdownIt
from markdown_it.helpers import parseLinkLabel
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block import table as read_table
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline import image as read_image
from markdown_it.rules_inline import link as read_link
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

from app.domain.identifiers import slugify

MAX_BODY = 1_000_000  # characters; a longer body is shown as it is written
MAX_WEIGHT = 300_000  # about 10 µs each, see `_weight`
MAX_EMPTY_CELLS = 10_000  # a two-line table may ask for 65,000 cells that nobody wrote
MAX_ADDRESS = 2_000  # a reference definition may repeat its address at every use

_UNREADABLE = re.compile("[\0\ud800-\udfff]")
_LINE_END = re.compile(r"\r\n?|\n")
_WIKILINK = re.compile(r"!?\[\[([^\[\]\n]{1,1000})\]\]")
_RELATION = re.compile(r"\s*([A-Za-z][A-Za-z_-]{0,39})\s*::(?!:)")
_ATTACHMENT = re.compile(
    r"\.(?:png|jpe?g|gif|svg|webp|avif|bmp|pdf|mp[34]|wav|webm|ogg|zip|csv|canvas)", re.IGNORECASE
)
_INLINE_FORMULA = re.compile(r"\$(?![\s$])((?:\\.|[^\\$])++)\$", re.DOTALL)
_DISPLAY_FORMULA = re.compile(r"\$\$((?:\\.|[^\\$]|\$(?!\$))++)\$\$", re.DOTALL)
_FOOTNOTE = re.compile(r"\[\^([^\]\s]{1,200})\]")
_ADDRESS = re.compile(r"https?://[^\s<>\[\]`\"|\\^{}*~]{1,1990}+", re.IGNORECASE)
_REST_IS_BLANK = re.compile(r"[ \t]*(?:\n|$)")
_FILE_LINK = re.compile(r"(?!/|[A-Za-z][A-Za-z0-9+.-]*:)([^?#]+)\.md(?:#(.*))?", re.DOTALL)
_DESTINATION = re.compile(r"\(\s*(<[^<>\n]*>|[^\s()]*)")
_UNLINKABLE = re.compile(r"[\[\]|\n\r\0\ud800-\udfff]")


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


@dataclass(frozen=True)
class PageRef:
    """Where an inline token links to a page. Offsets are into the content of its inline block.

    A link within the page (`[[#Heading]]`) has no name. `shown` says whether the author gave a text
    of their own; `label_end` is where the label of a Markdown link ends, None for a wikilink.
    """

    name: str
    heading: str | None
    relation: str | None
    shown: bool
    start: int
    end: int
    name_start: int
    name_end: int
    label_end: int | None = None


@dataclass(frozen=True)
class Document:
    """A parsed body: markdown-it's tokens, and the source they came from (same length as given).

    `refused` says in words why the body is to be shown as plain text; then there are no tokens.
    """

    source: str
    tokens: list[Token]
    refused: str | None = None


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
    reference = _read_wikilink(name, 0, 0)
    return (
        reference is not None
        and reference.name == name
        and not _UNLINKABLE.search(name)
        and not _is_attachment(name)
    )


def _is_attachment(name: str) -> bool:
    """Whether a name is that of a picture or another file, which has no page."""
    return _ATTACHMENT.fullmatch(name, max(0, name.rfind("."))) is not None


# ------------------------------------------------------------------------------ the grammar


def _read_wikilink(inner: str, start: int, offset: int) -> PageRef | None:
    """Read what stands between the brackets; `offset` is where `inner` begins, None if no name."""
    left, bar, text = inner.partition("|")
    left = left.removesuffix("\\") if bar else left  # in a table the bar has to be escaped
    name_start = 0
    relation = None
    if (found := _RELATION.match(left)) and left[found.end() :].strip():
        relation, name_start = found[1].replace("_", "-").lower(), found.end()
    mark = left.find("#", name_start)
    heading = left[mark + 1 :].rpartition("#")[2].strip() if mark >= 0 else ""
    name_end = mark if heading else len(left)
    name = left[name_start:name_end].strip()
    name_start += len(left[name_start:name_end]) - len(left[name_start:name_end].lstrip())
    if not name and not heading:
        return None
    return PageRef(
        name=name,
        heading=heading if heading and not heading.startswith("^") else None,
        relation=relation,
        shown=bool(text.strip()),
        start=start,
        end=offset + len(inner) + 2,
        name_start=offset + name_start,
        name_end=offset + name_start + len(name),
    )


def _wikilink(state: StateInline, silent: bool) -> bool:
    """`[[Page]]`, `[[Page|text]]`, `[[Page#Heading]]`, `[[relation::Page]]`, and `![[Page]]`."""
    start = state.pos
    if state.src[start] not in "![" or state.linkLevel:
        return False
    found = _WIKILINK.match(state.src, start, state.posMax)
    if not found or not (reference := _read_wikilink(found[1], start, found.start(1))):
        return False
    if state.src.startswith("(", found.end()) and found[0][0] == "[":
        # `[[1]](https://…)` is an ordinary link whose text stands in brackets.
        is_link = read_link(state, True)
        state.pos = start
        if is_link:
            return False
    if not silent:
        _push_wikilink(state, reference, found)
    state.pos = found.end()
    return True


def _push_wikilink(state: StateInline, reference: PageRef, found: re.Match[str]) -> None:
    if _is_attachment(reference.name):
        state.append_pending(reference.name)  # a picture or file of the vault is no page
        return
    text_start = state.src.find("|", reference.start) + 1
    limit = state.posMax
    state.push("link_open", "a", 1).meta["page"] = reference
    if not reference.shown:
        state.append_pending(_default_text(reference))
    elif "<" in found[0]:
        state.append_pending(state.src[text_start : found.end(1)].strip())
    else:
        shown = state.src[text_start : found.end(1)]
        state.pos = text_start + len(shown) - len(shown.lstrip())
        state.posMax = text_start + len(shown.rstrip())
        state.linkLevel += 1
        state.md.inline.tokenize(state)
        state.linkLevel -= 1
        state.posMax = limit
        if state.tokens[-1].type == "text":  # markdown-it reads text up to the next sign of markup
            state.tokens[-1].content = state.tokens[-1].content.rstrip()
    state.push("link_close", "a", -1)


def _default_text(reference: PageRef) -> str:
    return " § ".join(filter(None, (reference.name, reference.heading))) or "^"


def _image(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] != "!" or not _may_close(state):
        return False
    return read_image(state, silent)


def _may_close(state: StateInline) -> bool:
    """Whether a `]` is still to come: without one, markdown-it tries 20 levels at each bracket."""
    known = state.env.get("last_bracket")
    if known is None or known[0] is not state.src:
        known = state.env["last_bracket"] = (state.src, state.src.rfind("]"))
    return bool(known[1] > state.pos)


def _link(state: StateInline, silent: bool) -> bool:
    """CommonMark's link; one to a Markdown file beside this one is a link to that page."""
    start, before = state.pos, len(state.tokens)
    if state.src[start] != "[" or not _may_close(state) or not read_link(state, silent):
        return False
    if silent:
        return True
    opened = next(t for t in state.tokens[before : before + 2] if t.type == "link_open")
    href = str(opened.attrs.get("href", ""))
    if ".md" not in href or not (found := _FILE_LINK.fullmatch(href)):
        return True
    end, label_end = state.pos, parseLinkLabel(state, start, True)
    name = "/".join(part for part in unquote(found[1]).split("/") if part not in ("", ".", ".."))
    if name and "\n" not in name:
        if state.tokens[-2] is opened:  # no text of its own
            state.tokens.insert(-1, Token("text", "", 0, content=name, level=state.level + 1))
            state.tokens_meta.insert(-1, None)
        heading = unquote(found[2] or "")
        shown = label_end > start + 1
        opened.meta["page"] = PageRef(
            name, heading or None, None, shown, start, end, start, start, label_end
        )
    return True


def _formula(state: StateInline, silent: bool) -> bool:
    """`$…$` and `$$…$$` within a paragraph.

    The plugin's own rule reads the character before position 0 as the last one of the paragraph,
    so a paragraph that begins with a formula and ends in a digit loses it, and is not linear.
    """
    if state.src[state.pos] != "$":
        return False
    start = state.pos
    is_display = state.src.startswith("$$", start)
    pattern = _DISPLAY_FORMULA if is_display else _INLINE_FORMULA
    found = pattern.match(state.src, start, state.posMax)
    if not found or not found[1].strip():
        return False
    before, after = state.src[max(0, start - 1) : start], state.src[found.end() : found.end() + 1]
    if not is_display and not is_formula(found[1], before, after):
        return False
    if not silent:
        token = state.push("math_inline_double" if is_display else "math_inline", "math", 0)
        token.content = found[1].strip()
    state.pos = found.end()
    return True


def is_formula(source: str, before: str, after: str) -> bool:
    r"""Whether `$source$` between these two characters is a formula and not a sum of money.

    No white space inside the signs, and no digit outside them unless the source begins as only
    LaTeX does or is signs alone: "$1.05 and $0.51" is money; `5$\times$`, `$\sim$10` and `$>$90`
    are formulas.
    """
    if source[-1:].isspace() or source[:1].isspace():
        return False
    if source[:1] in "\\^_{" or not any(letter.isalnum() for letter in source):
        return True
    return not (before.isdigit() or after.isdigit())


def _footnote_ref(state: StateInline, silent: bool) -> bool:
    """`[^label]` of a defined footnote; the plugin's own rule looks to the end of the paragraph."""
    notes = state.env.get("footnotes")
    if not notes or not (found := _FOOTNOTE.match(state.src, state.pos, state.posMax)):
        return False
    label = found[1]
    number = notes["refs"].get(":" + label)
    if number is None:
        return False
    if not silent:
        if number < 0:
            number = notes["refs"][":" + label] = len(notes["list"])
            notes["list"][number] = {"label": label, "count": 0}
        token = state.push("footnote_ref", "", 0)
        token.meta = {"id": number, "subId": notes["list"][number]["count"], "label": label}
        notes["list"][number]["count"] += 1
    state.pos = found.end()
    return True


def _bare_address(state: StateInline, silent: bool) -> bool:
    """An http(s) address in the text. Names like `main.py` or `README.md` are never addresses."""
    if silent or state.linkLevel or not state.src.startswith("://", state.pos):
        return False
    word = state.src[max(0, state.pos - 5) : state.pos].lower()
    scheme = next((each for each in ("https", "http") if word.endswith(each)), "")
    start = state.pos - len(scheme)
    if not scheme or state.src[max(0, start - 1) : start].isalnum():
        return False
    found = _ADDRESS.match(state.src, start, state.posMax)
    if not found or not state.pending.lower().endswith(scheme):
        return False
    address = _without_tail(found[0])
    href = state.md.normalizeLink(address)
    if len(address) <= len(scheme) + 3 or not state.md.validateLink(href):
        return False
    state.pending = state.pending[: -len(scheme)]
    state.push("link_open", "a", 1).attrs = {"href": href}
    state.push("text", "", 0).content = address
    state.push("link_close", "a", -1)
    state.pos = start + len(address)
    return True


def _without_tail(address: str) -> str:
    """An address without the punctuation of the sentence it ends, and without a bracket too many."""
    surplus = address.count(")") - address.count("(")
    end = len(address)
    while end and (address[end - 1] in ".,;:!?'\"_" or (address[end - 1] == ")" and surplus > 0)):
        surplus -= address[end - 1] == ")"
        end -= 1
    return address[:end]


def _comment_end(state: StateInline | StateBlock, start: int) -> int | None:
    """Where the comment that begins at `start` ends. The ends of a text are looked up once."""
    known = state.env.get("comment_ends")
    if known is None or known[0] is not state.src:
        known = (state.src, [found.end() for found in re.finditer("-->", state.src)])
        state.env["comment_ends"] = known
    place = bisect_left(known[1], start + len("<!---->"))
    return known[1][place] if place < len(known[1]) else None


def _inline_comment(state: StateInline, silent: bool) -> bool:
    """`<!-- … -->` is a note to the author: neither shown nor read. An open one is plain text."""
    if not state.src.startswith("<!--", state.pos):
        return False
    end = _comment_end(state, state.pos)
    if end is None or end > state.posMax:
        return False
    state.pos = end
    return True


def _block_comment(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """A comment on lines of its own, blank lines and all."""
    start = state.bMarks[first] + state.tShift[first]
    if not state.src.startswith("<!--", start) or state.is_code_block(first):
        return False
    end = _comment_end(state, start)
    if end is None or end > state.eMarks[last - 1]:
        return False
    is_alone = _REST_IS_BLANK.match(state.src, end) is not None
    if end <= state.eMarks[first] and not is_alone:
        return False  # it begins a paragraph, and is read there
    if silent:
        return True
    while state.eMarks[first] < end:
        first += 1
    state.line = first + 1 if is_alone else first
    if not is_alone:  # what follows on the last line is read as a line of its own
        state.bMarks[first] = end
        state.tShift[first] = state.skipSpaces(end) - end
        state.sCount[first] = state.blkIndent
    return True


def _table(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """GFM tables, until a body has asked for too many cells that nobody wrote."""
    empty = state.env.get("empty_cells", 0)
    if empty > MAX_EMPTY_CELLS or not read_table(state, first, last, True):
        return False
    if silent:
        return True
    empty += _unwritten_cells(state, first, last)
    state.env["empty_cells"] = empty
    return empty <= MAX_EMPTY_CELLS and read_table(state, first, last, False)


def _unwritten_cells(state: StateBlock, first: int, last: int) -> int:
    """About how many cells a table would be filled up with, from its bars."""
    end = first + 2
    while end < last and not state.isEmpty(end):
        end += 1
    columns = state.src.count("|", state.bMarks[first + 1], state.eMarks[first + 1]) - 1
    written = state.src.count("|", state.bMarks[first], state.eMarks[end - 1])
    return max(0, columns * (end - first) - written)


def _is_safe_address(href: str) -> bool:
    """http, https and mailto, and addresses on this site; never `//host`, whatever the slashes."""
    plain = href.strip().lower()
    if len(href) > MAX_ADDRESS or plain.startswith(("//", "/\\", "\\", "/%5c", "%5c")):
        return False
    scheme = re.match(r"([a-z][a-z0-9+.-]*):", plain)
    return scheme is None or scheme[1] in ("http", "https", "mailto")


def _parser() -> MarkdownIt:
    md = MarkdownIt("commonmark", {"html": False, "tasklists": True})
    md.enable(["table", "strikethrough"]).disable(["html_block", "html_inline"])
    md.use(front_matter_plugin).use(footnote_plugin, inline=False)
    md.use(dollarmath_plugin, allow_labels=False, allow_blank_lines=False, double_inline=True)
    md.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    md.block.ruler.after(
        "front_matter", "comment", _block_comment, {"alt": ["paragraph", "reference", "blockquote"]}
    )
    md.inline.ruler.at("math_inline", _formula)
    md.inline.ruler.at("footnote_ref", _footnote_ref)
    md.inline.ruler.at("link", _link)
    md.inline.ruler.at("image", _image)
    md.inline.ruler.before("link", "wikilink", _wikilink)
    md.inline.ruler.before("autolink", "comment", _inline_comment)
    md.inline.ruler.before("newline", "address", _bare_address)
    md.validateLink = _is_safe_address  # type: ignore[assignment]
    md.parse("[[warm]] *up* $x$\n\n|a|\n|-|\n")  # markdown-it compiles its rules at first use
    return md


_MD = _parser()


def _weight(source: str) -> int:
    """What reading a body will cost: one for each sign of markup, four more for a line or link."""
    signs = sum(map(source.count, "[]!*_~`<&$\\|"))
    return signs + 4 * sum(map(source.count, ("\n", "\r", "](", "://")))


def parse(body: str) -> Document:
    """Read a body. Never raises: what cannot be read as Markdown comes back `refused`, in words.

    NUL and lone surrogates become U+FFFD; offsets stay those of `body`.
    """
    source = _UNREADABLE.sub("\ufffd", body)
    if len(source) > MAX_BODY:
        return Document(source, [], f"it is longer than {MAX_BODY:,} characters")
    if _weight(source) > MAX_WEIGHT:
        return Document(source, [], "it has too many lines or signs of markup")
    try:
        return Document(source, _MD.parse(source, {}))
    except Exception as problem:  # a library on hostile text: too deep, or a fault of its own
        return Document(source, [], f"it is built too deep to be read ({type(problem).__name__})")


# ------------------------------------------------------------------------------ reading


def inline_text(tokens: Iterable[Token] | None) -> str:
    """The visible words of inline tokens; formulas as `$source$`, line breaks as spaces."""
    return "".join(_piece(token) for token in tokens or ())


def _piece(token: Token) -> str:
    match token.type:
        case "text" | "code_inline":
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


def wikilinks(body: str) -> list[WikiLink]:
    """All links to pages, in the order they stand in the body: exactly those the renderer shows.

    Nothing in code, formulas or comments counts; `![[Page]]` does, a picture or file does not.
    A link within the page itself (`[[#Heading]]`) has no target and is left out.
    """
    return [link for link, _, _ in _located_links(parse(body))]


_Place = Callable[[int], int]


def _located_links(document: Document) -> list[tuple[WikiLink, PageRef, _Place]]:
    """Every link with what was read of it, and where an offset in its block is in the body."""
    found = [
        (link, reference, place)
        for block, place in _blocks_with_links(document)
        for link, reference in _links_of_block(block, place)
    ]
    return sorted(found, key=lambda item: item[0].start)


def _links_of_block(block: Token, place: _Place) -> Iterator[tuple[WikiLink, PageRef]]:
    pieces = [_piece(token) for token in block.children or ()]
    text = "".join(pieces)
    spans = _sentence_spans(text)
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


def _blocks_with_links(document: Document) -> Iterator[tuple[Token, _Place]]:
    """Inline blocks that hold page links, each with the way from its content to the body.

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
            has_links = any(page_ref(child) for child in token.children or ())
            if not in_cell:
                if has_links:
                    yield token, _line_placer(source, lines, number, token.content)
                continue
            if number != row:
                row, cell_at = number, lines[number][0]
            written = token.content.replace("|", "\\|")
            start = max(cell_at, source.find(written, cell_at, lines[number][1]))
            cell_at = start + len(written)
            if has_links:
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
    for each, part in enumerate(content.split("\n"), number):
        start, end = lines[each]
        lead = len(part) - len(part.lstrip())
        starts.append(at)
        shifts.append(max(start, source.rfind(part.strip(), start, end)) - lead - at)
        at += len(part) + 1
    return lambda offset: offset + shifts[max(0, bisect_left(starts, offset + 1) - 1)]


def _cell_placer(start: int, content: str) -> _Place:
    return lambda offset: start + offset + content.count("|", 0, offset)


def rename_wikilinks(body: str, renames: Mapping[str, str]) -> str:
    """The body with links to the old names of `renames` (old -> new) made links to the new ones.

    Old names are matched as `name_key` does; text, heading and relation of a link stay, code is not
    touched. A new name that no wikilink can hold (see `is_linkable`) leaves its links as they are.
    """
    wanted = {name_key(old): new for old, new in renames.items() if is_linkable(new)}
    if not wanted:
        return body
    parts: list[str] = []
    done = 0
    for link, reference, place in _located_links(parse(body)):
        bare = link.target.removesuffix(".md")
        keys = (name_key(link.target), name_key(bare))
        new = next((wanted[key] for key in keys if key in wanted), None)
        if new is None:
            continue
        if reference.label_end is None:
            start, end = place(reference.name_start), place(reference.name_end)
            replacement = new
        else:
            start, end, replacement = _new_destination(body, link, place(reference.label_end), new)
        parts += [body[done:start], replacement]
        done = end
    return "".join([*parts, body[done:]])


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
    return "\n\n".join(block.text for block in _blocks(parse(body)))


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


# ------------------------------------------------------------------------------ sentences

_STOP = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?=\s|$)"
    r"|[。！？][”’»）」』]*"
    r"|\n\s*\n"
    r"|\n(?=[ \t]*(?:[-*•‣]|\d{1,3}[.)])[ \t])"
)
_LAST_WORD = re.compile(r"[^\s(\[{“\"'‘«/]+$")
_INITIALS = re.compile(r"(?:[^\W\d_]\.-?)*[^\W\d_]")
_NUMBERING = re.compile(r"[\s(*•‣-]*(?:\d{1,3}|[ivxIVX]{1,5}|[a-zA-Z])[)\s]*")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEVER_ENDS = _words(
    "e.g i.e eg ie cf viz fig figs eq eqs eqn eqns sec secs sect ref refs tab tabs thm lem prop cor "
    "def alg dr prof mr mrs ms st resp approx ca vs incl"
)
_BEFORE_NUMBER = _words("no nos art vol pp p ch col app v ver chap chaps nr par paras ex")
_MAY_END = _words(
    "al etc i.i.d w.r.t s.t a.k.a a.s inc ltd co corp univ u.s u.k u.s.a e.u ph.d m.sc b.sc a.m p.m "
    "jr sr est dept ed eds et seq"
)
_STARTERS = _words(
    "A Additionally Although An And As At Because Both Building But By Code Compared Despite Each "
    "Existing Experiments Extensive Finally First For From Furthermore He Hence Here However I If In "
    "Instead It Its Moreover Most On Our Recent Recently Results Second She Since Specifically Such "
    "That The Their Then There Therefore These They Third This Those Thus To Unlike Using We When "
    "Where While With"
)


def sentences(text: str) -> list[str]:
    """The sentences of a text, each an exact piece of it without the white space around it.

    Made for scientific English: "et al.", "e.g.", "Fig. 3", decimals, initials and formulas do not
    end a sentence; blank lines, list items and 。！？ do.
    """
    return [text[start:end] for start, end in _sentence_spans(text)]


def _sentence_spans(text: str) -> list[tuple[int, int]]:
    formulas = [found.span() for found in _INLINE_FORMULA.finditer(text)]
    spans: list[tuple[int, int]] = []
    begin = 0
    for stop in _STOP.finditer(text):
        if _within(formulas, stop.start()) or not _ends_sentence(text, begin, stop):
            continue
        spans.append((begin, stop.end()))
        begin = stop.end()
    spans.append((begin, len(text)))
    return [span for start, end in spans if (span := _trimmed(text, start, end))]


def _within(spans: list[tuple[int, int]], at: int) -> bool:
    place = bisect_left(spans, (at, at)) - 1
    return place >= 0 and at < spans[place][1]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    piece = text[start:end]
    words = piece.strip()
    if not words:
        return None
    start += len(piece) - len(piece.lstrip())
    return start, start + len(words)


def _ends_sentence(text: str, begin: int, stop: re.Match[str]) -> bool:
    mark = stop[0]
    after = text[stop.end() : stop.end() + 80].lstrip()
    if mark[0] in "\n。！？" or not after:
        return True
    following = after.split(maxsplit=1)[0].lstrip("\"'“‘«([*_")
    if mark.startswith(".") and not mark.startswith(".."):
        found = _LAST_WORD.search(text, max(begin, stop.start() - 40), stop.start())
        word = found[0] if found else ""
        if not _may_end_after(word, following, text[begin : min(stop.start(), begin + 20)]):
            return False
    return not following[:1].islower() or any(letter.isupper() for letter in following[1:])


def _may_end_after(word: str, following: str, sentence: str) -> bool:
    """Whether a full stop after `word` can end a sentence, by the words on both sides of it."""
    folded = word.casefold()
    if not word or folded in _NEVER_ENDS or _NUMBERING.fullmatch(sentence):
        return False
    if folded in _BEFORE_NUMBER:
        return not following[:1].isdigit()
    if folded in _MAY_END or (word[0].isupper() and _INITIALS.fullmatch(word)):
        return re.sub(r"\W+$", "", following) in _STARTERS
    return True
