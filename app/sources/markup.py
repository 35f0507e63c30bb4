"""HTML from outside as Markdown in which nothing acts: the words, their order, and where links lead.

Pictures, scripts, forms and what is hidden are left out; every sign that means something in Markdown
is escaped, so that `[[a page]]`, `{{count …}}` or a formula in somebody's text stays text. One pass,
linear in the HTML, and no nesting is too deep for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape

from app.domain.untrusted import plain
from app.sources.addresses import http_address
from app.sources.page_text import html_tokens

MAX_HTML = 5_000_000  # characters; what is beyond is not read
MAX_MARKDOWN = 250_000  # characters; a page that is longer is cut at a block
_DEEPEST = 8  # lists and quotations in one another; deeper ones stay at that depth
_MOST_MARKS = 20  # of emphasis open at once

_NAME = re.compile(r"</?\s*([a-zA-Z][a-zA-Z0-9:-]{0,30})")
_ATTRIBUTE = re.compile(
    r"""\s([a-zA-Z][a-zA-Z-]{0,30})(?:\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?"""
)
_BLOCK = re.compile(
    r"address|article|aside|blockquote|body|center|dd|details|div|dl|dt|fieldset|figcaption|figure"
    r"|footer|form|h[1-6]|head|header|hr|html|legend|li|main|nav|ol|p|pre|section|summary|table"
    r"|tbody|tfoot|thead|tr|ul"
)
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"]
)
# What is in these is for machines, or acts.
_LEFT_OUT = frozenset(
    [
        "iframe",
        "object",
        "audio",
        "video",
        "canvas",
        "select",
        "button",
        "math",
        "map",
        "head",
        "dialog",
    ]
)
_EMPHASIS = {"b": "**", "strong": "**", "i": "*", "em": "*"}
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|opacity\s*:\s*0(?![.\d]*[1-9])"
    r"|font-size\s*:\s*[01](?:\.\d+)?(?:px|pt|em)?\s*(?:;|!|$)|max-height\s*:\s*0(?:px)?\s*(?:;|!|$)",
    re.I,
)
# "_" between letters is no mark; everywhere else each of these could be one.
_MARK = re.compile(
    r"[\\`*\[\]$~|]|(?<![^\W_])_|_(?![^\W_])|<(?=[a-zA-Z/!?])|\{(?=\{)|&(?=[#\w]+;)|!(?=\[)"
)
_AT_START = re.compile(r"(\s*)([#>+\-=:]|\d{1,9}[.)](?=\s|$))")


def to_markdown(html: str, *, base: str = "", limit: int = MAX_MARKDOWN) -> str:
    """The text of an HTML page, or of a piece of one, as Markdown.

    `base` is the address that relative links count from; without it they are left out, and their
    words stay. At most about `limit` characters, cut between two blocks.
    """
    writer = _Writer(base, limit)
    for kind, value in html_tokens(html[:MAX_HTML]):
        if writer.full:
            break
        if kind == "text":
            writer.words(plain(unescape(value)))
        elif kind == "open":
            writer.open(value)
        else:
            writer.close(value)
    writer.end()
    return writer.text()


def escaped(text: str) -> str:
    """Plain words as Markdown that shows just them; for the beginning of a line see `line_start`."""
    return _MARK.sub(lambda mark: "\\" + mark[0], text)


def line_start(text: str) -> str:
    """A line whose beginning is no heading, list, quotation or rule."""
    found = _AT_START.match(text)
    if not found:
        return text
    mark = found[2]
    shut = f"{mark[:-1]}\\{mark[-1]}" if mark[0].isdigit() else f"\\{mark}"
    return found[1] + shut + text[found.end() :]


@dataclass
class _List:
    number: int | None  # of the last entry; None with bullets
    fresh: bool = False  # an entry was begun and has no words yet


@dataclass
class _Writer:
    """Gathers the pieces of a block, and writes the block when it ends."""

    base: str
    limit: int
    blocks: list[str] = field(default_factory=list)
    size: int = 0
    pieces: list[str] = field(default_factory=list)
    marks: list[tuple[str, int]] = field(default_factory=list)  # open emphasis: mark, first piece
    lists: list[_List] = field(default_factory=list)
    quotes: int = 0
    heading: int = 0
    href: str = ""
    link_from: int = 0
    pre: int = 0
    code_from: int = -1
    hidden: str = ""  # the element whose end is waited for, and how many of its name are open
    hidden_depth: int = 0
    said: bool = False  # there are words in the block, or in the cell of a table
    tight: bool = False  # the last block was an entry of a list

    @property
    def full(self) -> bool:
        return self.size >= self.limit

    # ------------------------------------------------------------ what is read

    def words(self, text: str) -> None:
        if self.hidden:
            return
        self.said = self.said or not text.isspace()
        if self.pre:
            self.pieces.append(text)
        elif self.code_from >= 0:
            self.pieces.append(re.sub(r"\s+", " ", text))
        elif text:
            self.pieces.append(escaped(re.sub(r"\s+", " ", text)))

    def open(self, tag: str) -> None:
        name = tag_name(tag)
        if self.hidden:
            if name == self.hidden and not tag.endswith("/>"):
                self.hidden_depth += 1
            return
        given = attributes(tag)
        if name not in _VOID and (name in _LEFT_OUT or _is_hidden(given)):
            if not tag.endswith("/>"):
                self.hidden, self.hidden_depth = name, 1
            return
        if name == "br":
            self.pieces.append("\n")
        elif name in ("td", "th"):
            if self.said:
                self.pieces.append(" – ")
                self.said = False
        elif name == "a":
            self._end_link()
            self.href = http_address(unescape(given.get("href", "")), self.base)
            self.link_from = len(self.pieces)
        elif name in _EMPHASIS and not self.pre and self.code_from < 0:
            if len(self.marks) < _MOST_MARKS:
                self.marks.append((_EMPHASIS[name], len(self.pieces)))
        elif name in ("code", "tt", "kbd") and not self.pre:
            if self.code_from < 0:
                self.code_from = len(self.pieces)
        elif _BLOCK.fullmatch(name):
            self._open_block(name)

    def close(self, tag: str) -> None:
        name = tag_name(tag)
        if self.hidden:
            if name == self.hidden:
                self.hidden_depth -= 1
                if not self.hidden_depth:
                    self.hidden = ""
            return
        if name == "a":
            self._end_link()
        elif name in _EMPHASIS:
            self._end_emphasis(_EMPHASIS[name])
        elif name in ("code", "tt", "kbd") and not self.pre:
            self._end_code()
        elif _BLOCK.fullmatch(name):
            self._close_block(name)

    def end(self) -> None:
        self.flush()

    # ------------------------------------------------------------ blocks

    def _open_block(self, name: str) -> None:
        if self.pre:
            if name == "pre":
                self.pre += 1
            return
        self.flush()
        if name in ("ul", "ol"):
            self.tight = self.tight and bool(self.lists)
            self.lists.append(_List(0 if name == "ol" else None))
        elif name == "li":
            if not self.lists:
                self.lists.append(_List(None))
            last = self.lists[-1]
            last.fresh = True
            if last.number is not None:
                last.number += 1
        elif name == "blockquote":
            self.quotes += 1
        elif name == "hr":
            self._put("* * *")
        elif name == "pre":
            self.pre = 1
        elif len(name) == 2 and name[0] == "h":
            self.heading = int(name[1])

    def _close_block(self, name: str) -> None:
        if self.pre:
            if name == "pre":
                self.pre -= 1
                if not self.pre:
                    self._end_pre()
            return
        self.flush()
        if name in ("ul", "ol") and self.lists:
            self.lists.pop()
        elif name == "li" and self.lists:
            self.lists[-1].fresh = False
        elif name == "blockquote" and self.quotes:
            self.quotes -= 1

    def flush(self) -> None:
        """Write the block that is open, if it has words; an open link goes on in the next one."""
        if self.pre:
            self._end_pre()
            return
        self._end_code()
        href = self.href
        self._end_link()
        self.href, self.link_from = href, 0
        text, self.pieces, self.marks = "".join(self.pieces), [], []
        heading, self.heading, self.said = self.heading, 0, False
        text = re.sub(r"[ \t]*\n[ \t]*", "\n", text).strip()
        if not text:
            return
        if heading:
            self._put("#" * heading + " " + " ".join(text.split()).rstrip("#"))
            return
        for part in re.split(r"\n{2,}", text):
            lines = [line_start(re.sub(r" {2,}", " ", line)) for line in part.split("\n")]
            self._put("\\\n".join(line for line in lines if line.strip()))

    def _end_pre(self) -> None:
        text, self.pieces, self.marks, self.pre = "".join(self.pieces), [], [], 0
        self.href = ""
        if text.strip():
            fence = "`" * max(3, _longest_run(text) + 1)
            self._put(f"{fence}\n{text.strip(chr(10))}\n{fence}")

    def _put(self, block: str) -> None:
        """Write a block, within the quotations and lists that are open."""
        if not block.strip() or self.full:
            return
        block = block[: self.limit - self.size]
        entry, indent = False, ""
        for depth, each in enumerate(self.lists[-_DEEPEST:]):
            mark = "- " if each.number is None else f"{min(each.number, 999_999_999)}. "
            last = depth == len(self.lists[-_DEEPEST:]) - 1
            if each.fresh:
                # An entry that begins with a list of its own has no words beside its mark.
                entry, each.fresh = True, False
                first = indent + mark
                indent += " " * len(mark)
                if last:
                    block = _indented(block, first, indent)
                    break
                continue
            indent += " " * len(mark)
        else:
            block = _indented(block, indent, indent)
        if self.quotes:
            quote = "> " * min(self.quotes, _DEEPEST)
            block = "\n".join(f"{quote}{line}".rstrip() for line in block.split("\n"))
        between = "\n" if entry and self.tight and not self.quotes else "\n\n"
        self.blocks.append((between if self.blocks else "") + block)
        self.size += len(block) + 2
        self.tight = entry

    def text(self) -> str:
        return "".join(self.blocks)

    # ------------------------------------------------------------ within a block

    def _end_link(self) -> None:
        href, self.href = self.href, ""
        if not href:
            return
        start = min(self.link_from, len(self.pieces))
        label = "".join(self.pieces[start:])
        words = " ".join(label.split())
        if not words:
            return
        before = " " if label[:1].isspace() else ""
        after = " " if label[-1:].isspace() else ""
        del self.pieces[start:]
        self.pieces.append(f"{before}[{words}]({href}){after}")
        self.marks = [mark for mark in self.marks if mark[1] <= start]

    def _end_emphasis(self, sign: str) -> None:
        if self.pre or self.code_from >= 0:
            return
        at = next((i for i in reversed(range(len(self.marks))) if self.marks[i][0] == sign), None)
        if at is None:
            return
        start = self.marks[at][1]
        del self.marks[at:]
        said = "".join(self.pieces[start:])
        words = said.strip()
        inside_link = bool(self.href) and start < self.link_from
        if (
            not words
            or "\n" in words
            or inside_link
            or words.startswith("*")
            or words.endswith("*")
        ):
            return
        before, after = said[: len(said) - len(said.lstrip())], said[len(said.rstrip()) :]
        del self.pieces[start:]
        self.pieces.append(f"{before}{sign}{words}{sign}{after}")
        self.link_from = min(self.link_from, len(self.pieces) - 1) if self.href else self.link_from

    def _end_code(self) -> None:
        if self.code_from < 0:
            return
        start, self.code_from = min(self.code_from, len(self.pieces)), -1
        code = "".join(self.pieces[start:])
        words = " ".join(code.split())
        if not words:
            return
        del self.pieces[start:]
        fence = "`" * (_longest_run(words) + 1)
        pad = " " if words[0] == "`" or words[-1] == "`" else ""
        self.pieces.append(f"{fence}{pad}{words}{pad}{fence}")


def _indented(block: str, first: str, rest: str) -> str:
    lines = block.split("\n")
    return "\n".join([first + lines[0], *(f"{rest}{line}".rstrip() for line in lines[1:])])


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


def tag_name(tag: str) -> str:
    found = _NAME.match(tag)
    return found[1].lower() if found else ""


def attributes(tag: str) -> dict[str, str]:
    """The attributes of a tag; of two with one name the first counts, as browsers have it."""
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(tag[:20_000]):
        found.setdefault(match[1].lower(), match[2] or match[3] or match[4] or "")
    return found


def _is_hidden(given: dict[str, str]) -> bool:
    if "hidden" in given or given.get("aria-hidden", "").lower() == "true":
        return True
    return bool(_HIDDEN.search(given.get("style", "")[:4_000]))
