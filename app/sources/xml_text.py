"""XML from outside, looked at before any parser sees it: its encoding, its root, and what it must not do.

Entities that grow or that fetch, and elements nested without end, are refused in one linear pass over
the text, so that no parser's own defence has to hold.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from xml.parsers import expat

from app.errors import Unreadable
from app.sources.base import File

DEEPEST = 200  # elements in one another
MOST_GROWN = 1_000_000  # characters that entities may add
MOST_ELEMENTS = 250_000
MAX_BROKEN = 3_000_000  # bytes of a file that is not well-formed
_ENTITIES = 300
_BEGINNING = 100_000  # bytes

_DECLARED = re.compile(
    rb"""<\?xml[^>]{0,200}?encoding\s{0,9}=\s{0,9}["']([A-Za-z0-9._:-]{1,40})["']"""
)
# Python knows them, no feed is written in them, and some take long to decode.
_ODD = frozenset(["punycode", "idna", "unicode-escape", "raw-unicode-escape", "utf-7", "undefined"])
# With no mark of byte order: how "<?" and "<r" begin in encodings of two and four bytes.
_WIDE = (
    (b"\x00\x00\xfe\xff", "utf-32"), (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xfe\xff", "utf-16"), (b"\xff\xfe", "utf-16"),
    (b"\x00\x00\x00<", "utf-32-be"), (b"<\x00\x00\x00", "utf-32-le"),
    (b"\x00<", "utf-16-be"), (b"<\x00", "utf-16-le"), (b"\x4c\x6f\xa7\x94", "cp037"),
)  # fmt: skip
_ENTITY = re.compile(
    r"""<!ENTITY\s+(%\s+)?([^\s"'>]{1,200})\s+(?:(SYSTEM|PUBLIC)\b|"([^"]*)"|'([^']*)')""", re.I
)
_REFERENCE = re.compile(r"&([A-Za-z_][\w.-]{0,200});")
_TAG = re.compile(r"<(/?)([A-Za-z_][^\s/<>]{0,200})")
# Of HTML that stands raw in a broken feed: never closed, never nested.
_VOID = frozenset(["br", "hr", "img", "input", "link", "meta", "wbr", "source"])


def decoded(data: bytes, charset: str = "") -> str:
    """The text: by the mark of byte order, `charset` (of the header), what it declares, else UTF-8.

    What is wrong in it becomes U+FFFD.
    """
    for mark, encoding in _WIDE:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    declared = _DECLARED.match(data[:400].lstrip())
    for name in (charset, declared[1].decode("ascii") if declared else "", "utf-8"):
        if not is_encoding(name):
            continue
        try:
            return data.decode(name)
        except UnicodeDecodeError:
            continue
    try:
        return data.decode("windows-1252")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def is_encoding(name: str) -> bool:
    """Whether text may be in an encoding of this name."""
    try:
        b"a".decode(name, "replace")  # of a codec that makes no text of bytes this fails too
        return codecs.lookup(name).name.replace("_", "-") not in _ODD
    except (LookupError, ValueError):
        return False


def root(data: bytes) -> str:
    """The name of the first element, without its prefix and in lower case; '' when there is none."""
    text = decoded(data[:_BEGINNING])
    at = text.find("<")
    if text[: max(at, 0)].strip("\ufeff \t\r\n\0"):
        return ""  # words stand first: no XML
    while (at := text.find("<", max(at, 0))) >= 0:
        after = _past(text, at)
        if after is None:
            found = _TAG.match(text, at)
            return found[2].rpartition(":")[2].lower() if found and not found[1] else ""
        at = after
    return ""


def _past(text: str, at: int) -> int | None:
    """The end of a comment, CDATA, instruction or declaration that begins here; None of a tag."""
    for opening, closing in (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", ">")):
        if text.startswith(opening, at):
            end = text.find(closing, at + len(opening))
            return len(text) if end < 0 else end + len(closing)
    if text.startswith("<!", at):
        end = text.find(">", at)
        inside = text.find("[", at, end if end >= 0 else len(text))
        if text[at : at + 9].upper() == "<!DOCTYPE" and inside >= 0:
            return inside + 1  # what it declares is gone through one by one
        return len(text) if end < 0 else end + 1
    return None


def refuse_unsafe(file: File, text: str) -> None:
    """Raise Unreadable for XML that grows, fetches or nests without end."""
    entities: dict[str, int] = {}
    open_elements: list[str] = []
    at = 0
    while (at := text.find("<", at)) >= 0:
        after = _past(text, at)
        if after is not None:
            if text[at : at + 8].upper() == "<!ENTITY":
                _note_entity(file, text, at, entities)
            at = after
            continue
        tag = _TAG.match(text, at)
        if tag is None:
            at += 1
            continue
        end = text.find(">", tag.end())
        end = len(text) if end < 0 else end
        name = tag[2].lower()
        if tag[1]:
            _close(open_elements, name)
        elif text[end - 1 : end] != "/" and name not in _VOID:
            open_elements.append(name)
            if len(open_elements) > DEEPEST:
                raise Unreadable(
                    f"{file.name} is refused: its elements stand more than {DEEPEST} deep in one another."
                )
        at = end
    if entities:
        used = Counter(match[1] for match in _REFERENCE.finditer(text))
        if sum(entities.get(name, 0) * count for name, count in used.items()) > MOST_GROWN:
            raise Unreadable(
                f"{file.name} is refused: its entities would make it grow without end."
            )


def refuse_costly(file: File, data: bytes) -> None:
    """Raise Unreadable for XML (UTF-8) that would keep a lenient parser busy for minutes.

    What is not well-formed is read leniently, and slowly: such a file may be less large.
    """
    elements = 0

    def count(name: str, attributes: list[str]) -> None:
        nonlocal elements
        elements += 1
        if elements > MOST_ELEMENTS:
            raise Unreadable(
                f"{file.name} is refused: it has more than {MOST_ELEMENTS:,} elements."
            )

    parser = expat.ParserCreate("utf-8")
    parser.ordered_attributes = True
    parser.StartElementHandler = count
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        if len(data) > MAX_BROKEN:
            raise Unreadable(
                f"{file.name} is refused: it is broken XML ({error}), and too large to guess at."
            ) from error


def _note_entity(file: File, text: str, at: int, entities: dict[str, int]) -> None:
    found = _ENTITY.match(text, at, at + MOST_GROWN)
    if found is None:
        raise Unreadable(f"{file.name} is refused: it declares an entity that cannot be read.")
    if found[1] or found[3]:
        raise Unreadable(f"{file.name} is refused: it declares an entity from outside of it.")
    value = found[4] if found[4] is not None else found[5]
    if re.search(r"&(?!#)|%[A-Za-z_]|&#(?:38|x26|37|x25);", value, re.I) or "<" in value:
        raise Unreadable(f"{file.name} is refused: its entities are made of other entities.")
    if len(entities) >= _ENTITIES:
        raise Unreadable(f"{file.name} is refused: it declares more than {_ENTITIES} entities.")
    entities[found[2]] = len(value)


def _close(open_elements: list[str], name: str) -> None:
    """End the last open element of this name, and with it those that were never closed within."""
    for place in range(len(open_elements) - 1, -1, -1):
        if open_elements[place] == name:
            del open_elements[place:]
            return
