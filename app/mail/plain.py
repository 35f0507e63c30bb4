"""The HTML of a text as plain text that reads well in a letter: wrapped, with addresses behind links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from textwrap import wrap

WIDTH = 76
_BLOCKS = frozenset(["p", "h2", "h3", "h4", "h5", "h6", "tr", "li", "div", "section", "blockquote"])
_UNDER = {"h2": "=", "h3": "-"}


def as_text(html: str) -> str:
    """The words of what `rendering.outward` wrote without formulas, in lines of at most 76 characters.

    Code and diagrams keep their lines. Of links that lead out of the wiki the address follows.
    """
    writer = _Writer()
    writer.feed(html)
    writer.close()
    writer.flush()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(writer.lines)).strip("\n") + "\n"


@dataclass
class _List:
    """An open list: the number of its next entry, None in one with dashes."""

    number: int | None


class _Writer(HTMLParser):
    """Gathers the words of a block, and writes the block when it ends."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._words: list[str] = []
        self._lists: list[_List] = []
        self._mark = ""  # what stands before the first line of an entry
        self._quotes = 0
        self._pre = False
        self._heading = ""
        self._href = ""
        self._link_from = 0
        self._back = False  # in the arrow from a note to its place

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        match tag:
            case "ul" | "ol":
                self.flush()
                start = given.get("start") or "1"
                self._lists.append(_List(int(start) if tag == "ol" else None))
            case "li":
                self.flush()
                entry = self._lists[-1] if self._lists else _List(None)
                self._mark = "- " if entry.number is None else f"{entry.number}. "
                if entry.number is not None:
                    entry.number += 1
            case "pre":
                self.flush()
                self._pre = True
            case "br":
                self._words.append("\n")
            case "hr":
                self.flush()
                self._add("", "-" * 20, "")
            case "td" | "th" if self._words:
                self._words.append(" | ")
            case "input":
                self._words.append("[x]" if "checked" in given else "[ ]")
            case "a" if given.get("class") == "footnote-back":
                self._back = True
            case "a":
                self._href = (given.get("href") or "") if given.get("rel") else ""
                self._link_from = len(self._words)
            case _ if tag in _BLOCKS:
                self.flush()
                self._quotes += tag == "blockquote"
                self._heading = tag if tag[0] == "h" else ""

    def handle_endtag(self, tag: str) -> None:
        match tag:
            case "ul" | "ol":
                self.flush()
                if self._lists:
                    self._lists.pop()
                if not self._lists:
                    self._add("")
            case "pre":
                self._code()
            case "a" if self._back:
                self._back = False
            case "a":
                shown = "".join(self._words[self._link_from :]).strip()
                if self._href and self._href not in (shown, f"mailto:{shown}"):
                    self._words.append(f" <{self._href}>")
                self._href = ""
            case _ if tag in _BLOCKS:
                self.flush()
                if tag == "blockquote" and self._quotes:
                    self._quotes -= 1
                    while self.lines and self.lines[-1].strip("> ") == "":
                        self.lines.pop()
                    self._add("")
                elif tag == "p" and not self._lists:
                    self._add("")

    def handle_data(self, data: str) -> None:
        if not self._back:
            self._words.append(data if self._pre else re.sub(r"\s+", " ", data))

    def flush(self) -> None:
        """Write the block that is open, if it has words."""
        text, self._words = "".join(self._words), []
        if not text.strip():
            return
        heading, self._heading = self._heading, ""
        if heading:
            lines = wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
            self._add("", "", *(line.strip() for line in lines))
            if under := _UNDER.get(heading):
                self._add(under * min(WIDTH, max(map(len, lines))))
            self._add("")
            return
        indent = "  " * max(0, len(self._lists) - 1)
        mark, self._mark = self._mark, ""
        first = indent + mark
        rest = indent + " " * (len(mark) or (2 if self._lists else 0))
        for part in text.split("\n"):
            lines = wrap(
                part.strip(),
                WIDTH - 2 * self._quotes,
                initial_indent=first if mark else rest,
                subsequent_indent=rest,
                break_long_words=False,
                break_on_hyphens=False,
            )
            self._add(*lines)
            mark = ""

    def _code(self) -> None:
        text, self._words = "".join(self._words), []
        self._pre = False
        indent = "  " * len(self._lists)
        self._add(
            "", *(f"{indent}    {line}".rstrip() for line in text.strip("\n").split("\n")), ""
        )

    def _add(self, *lines: str) -> None:
        self.lines += [f"{'> ' * self._quotes}{line}".rstrip() for line in lines]
