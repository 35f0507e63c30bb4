"""The words of a saved web page as lines, whether it was saved as HTML, as Markdown or as text.

Readers of saved pages parse these lines. Nothing here knows a format, and nothing is rendered: tags
go, and with them scripts, styles and comments. One pass, linear in the size of the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

from app.errors import Unreadable
from app.sources.base import File

MAX_PAGE_BYTES = 20_000_000

_DOCUMENT = re.compile(r"<!doctype html|<html[\s>]|<head[\s>]|<body[\s>]", re.IGNORECASE)
_TAG_NAME = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_HREF = re.compile(r"""\shref\s*=\s*(?:"(https?://[^"]*)"|'(https?://[^']*)')""", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""[\s/]([a-zA-Z][a-zA-Z0-9:_.-]{0,60}+)\s{0,20}=\s{0,20}(?:"([^"]*+)"|'([^']*+)'|([^\s"'<>]++))"""
)
_ATTRIBUTE = re.compile(
    r"""[\s/"']([a-zA-Z][a-zA-Z0-9:_.-]{0,60}+)\s{0,20}=\s{0,20}(?:"([^"]*+)"|'([^']*+)'|([^\s"'<>]++))"""
)
_TABLE = re.compile(r"<table[\s>]", re.IGNORECASE)
_SILENT = frozenset(["script", "style", "template", "noscript", "svg", "title", "textarea"])
_CELLS = frozenset(["td", "th"])
_BLOCK = re.compile(
    r"address|article|aside|blockquote|body|dd|details|div|dl|dt|fieldset|figcaption|figure|footer"
    r"|form|h[1-6]|head|header|hr|html|legend|li|main|nav|ol|option|p|pre|section|summary"
    r"|table|tbody|tfoot|thead|tr|ul"
)


def page_lines(file: File, *, links: bool = False) -> list[str]:
    """The lines of a saved page, without trailing spaces; of HTML, only what a reader would see.

    `links` writes the address of each HTML link after its words, as `words [https://…]`. Tables
    inside Markdown become one line a row. Raises Unreadable for a page above 20 MB.
    """
    if len(file.data) > MAX_PAGE_BYTES:
        raise Unreadable(f"{file.name} is larger than a saved page can be (20 MB).")
    text = file.text()
    text = html_text(text, links=links) if is_html(text) else _without_html_tables(text)
    return [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]


def is_html(text: str) -> bool:
    """Whether this is an HTML document rather than text that holds a few tags."""
    return _DOCUMENT.search(text[:4000]) is not None


def html_text(html: str, *, links: bool = False) -> str:
    """The visible words: a block a line, table cells with a space between, list items marked."""
    out: list[str] = []
    lists: list[int | None] = []  # the open lists: the number of the last item, None for bullets
    address = ""
    for kind, value in html_tokens(html):
        if kind == "text":
            out.append(re.sub(r"\s+", " ", unescape(value)))
            continue
        closing, name = kind == "close", _name(value)
        if name in ("ol", "ul"):
            _open_or_close(lists, name, closing=closing)
        if name in _CELLS:
            out.append(" ")
        elif name == "br" or _BLOCK.fullmatch(name):
            out.append("\n" if name in ("br", "li", "tr") else "\n\n")
        if name == "li" and not closing:
            out.append(_marker(lists))
        if links and name == "a":
            if closing and address:
                out.append(f" [{address}]")
            found = None if closing else _HREF.search(value)
            address = unescape(found[1] or found[2]) if found else ""
    lines = [line.strip() for line in re.sub(r" {2,}", " ", "".join(out)).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def tags(html: str, names: frozenset[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The opening tags of these names in order, each with its attributes (names in lower case)."""
    for kind, value in html_tokens(html):
        if kind == "open" and _name(value) in names:
            yield tag_and_attributes(value)


def tag_and_attributes(tag: str) -> tuple[str, dict[str, str]]:
    """The name of a tag and its attributes, unescaped; of two with one name the first counts."""
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(tag[:20_000]):
        found.setdefault(match[1].lower(), unescape(match[2] or match[3] or match[4] or ""))
    return _name(tag), found


def html_tokens(html: str) -> Iterator[tuple[str, str]]:
    """("text", words), ("open", tag) and ("close", tag) in order; words with their entities.

    What no reader sees (scripts, styles, comments) is left out. Linear, whatever the HTML.
    """
    at, end = 0, len(html)
    quotes_left = True
    while at < end:
        opening = html.find("<", at)
        if opening < 0:
            yield "text", html[at:]
            return
        if opening > at:
            yield "text", html[at:opening]
        if html.startswith("<!--", opening):
            at = _after(html, "-->", opening + 4)
            continue
        if html.startswith(("<!", "<?"), opening):
            at = _after(html, ">", opening)
            continue
        named = _TAG_NAME.match(html, opening)
        if not named:
            yield "text", "<"
            at = opening + 1
            continue
        closes, quotes_left = _end_of_tag(html, named.end(), quotes_left=quotes_left)
        if closes < 0:
            yield "text", html[opening:]
            return
        tag, at = html[opening : closes + 1], closes + 1
        yield ("close" if named[1] else "open"), tag
        name = named[2].lower()
        if name in _SILENT and not named[1] and not tag.endswith("/>"):
            skip = re.compile(f"</{name}", re.IGNORECASE).search(html, at)
            at = skip.start() if skip else end


def _after(html: str, mark: str, start: int) -> int:
    found = html.find(mark, start)
    return len(html) if found < 0 else found + len(mark)


def _end_of_tag(html: str, start: int, *, quotes_left: bool) -> tuple[int, bool]:
    """Where the `>` of a tag stands (-1: nowhere), minding quoted attributes that hold one.

    `quotes_left` turns False for good when a quote is never closed, so that no later tag looks
    through the rest of the page for it again.
    """
    first = closes = html.find(">", start)
    quotes = html.count('"', start, closes) if closes >= 0 and quotes_left else 0
    while quotes_left and closes >= 0 and quotes % 2:
        quote = html.find('"', closes + 1)
        closes = html.find(">", quote + 1) if quote >= 0 else -1
        if closes < 0:
            return first, False
        quotes = html.count('"', quote + 1, closes)
    return closes, quotes_left


def _name(tag: str) -> str:
    match = _TAG_NAME.match(tag)
    return match[2].lower() if match else ""


def _open_or_close(lists: list[int | None], name: str, *, closing: bool) -> None:
    if closing:
        del lists[-1:]
    else:
        lists.append(0 if name == "ol" else None)


def _marker(lists: list[int | None]) -> str:
    last = lists[-1] if lists else None
    if last is None:
        return "• "
    lists[-1] = last + 1
    return f"{last + 1}. "


def _without_html_tables(text: str) -> str:
    """Markdown may hold HTML tables; each becomes one line a row."""
    parts: list[str] = []
    at = 0
    while found := _TABLE.search(text, at):
        closes = text.find("</table>", found.end())
        if closes < 0:
            break
        parts += [text[at : found.start()], "\n", html_text(text[found.start() : closes]), "\n"]
        at = closes + len("</table>")
    return "".join([*parts, text[at:]])
