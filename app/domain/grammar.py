"""The grammar of Markdown bodies: CommonMark with tables, footnotes, task lists, formulas, wikilinks.

It owns the parser and the rules added to it, and nothing else: `domain.markdown` reads its tokens,
`app.rendering` writes them as HTML, so what is a link for one is a link for the other. Every rule here
is linear in the text, also on text made to hurt, and `parse` refuses what would take too long.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from urllib.parse import unquote

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

from app.domain.latex import DISPLAY_FORMULA, FORMULA, is_formula
from app.domain.live_claims import LIVE

MAX_BODY = 1_000_000  # characters; a longer body is shown as it is written
MAX_WEIGHT = 300_000  # about 10 µs each, see `_weight`
MAX_EMPTY_CELLS = 10_000  # a two-line table may ask for 65,000 cells that nobody wrote
MAX_ADDRESS = 2_000  # a reference definition may repeat its address at every use

_UNREADABLE = re.compile("[\0\ud800-\udfff]")
_WIKILINK = re.compile(r"!?\[\[([^\[\]\n]{1,1000})\]\]")
_RELATION = re.compile(r"\s*([A-Za-z][A-Za-z_-]{0,39})\s*::(?!:)")
_ATTACHMENT = re.compile(
    r"\.(?:png|jpe?g|gif|svg|webp|avif|bmp|pdf|mp[34]|wav|webm|ogg|zip|csv|canvas)", re.IGNORECASE
)
_FOOTNOTE = re.compile(r"\[\^([^\]\s]{1,200})\]")
_ADDRESS = re.compile(r"https?://[^\s<>\[\]`\"|\\^{}*~]{1,1990}+", re.IGNORECASE)
_REST_IS_BLANK = re.compile(r"[ \t]*(?:\n|$)")
_FILE_LINK = re.compile(r"(?!/|[A-Za-z][A-Za-z0-9+.-]*:)([^?#]+)\.md(?:#(.*))?", re.DOTALL)


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


# ------------------------------------------------------------------------------ the grammar


def read_wikilink(inner: str, start: int, offset: int) -> PageRef | None:
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
    if not found or not (reference := read_wikilink(found[1], start, found.start(1))):
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


def is_attachment(name: str) -> bool:
    """Whether a name is that of a picture or another file, which has no page."""
    return _ATTACHMENT.fullmatch(name, max(0, name.rfind("."))) is not None


def _push_wikilink(state: StateInline, reference: PageRef, found: re.Match[str]) -> None:
    if is_attachment(reference.name):
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
    pattern = DISPLAY_FORMULA if is_display else FORMULA
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


def _live_claim(state: StateInline, silent: bool) -> bool:
    """`{{count thread:x}}`: what stands within is read by `domain.live_claims`, whatever it is."""
    if not state.src.startswith("{{", state.pos):
        return False
    found = LIVE.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        token = state.push("live_claim", "", 0)
        token.content = found[0]
        token.meta = {"start": found.start(), "end": found.end()}
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
    md.inline.ruler.before("wikilink", "live_claim", _live_claim)
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
