"""Real and odd feeds: exceptions, and how many of the stated expectations the feed reader meets.

python -m bench feeds [--show]

Over the feedparser project's test feeds and saved feeds of publishers, where they lie beside the
checkout. A test feed begins with a comment: the headers it came with, and a Python expression that is
to hold of the parse. Of it are read the conditions joined by `and` that say `path == constant`, where
the path is the title, link, id or a date of an entry or of the feed:

  title   title, title_detail.value. Ours is plain text on one line: what is expected is made plain too
          (tags and their scripts out, references resolved), unless its type is text/plain; feeds that
          say so with `type="text"` expect their tags to be letters.
  link    link: an address; what is expected is an address that can be followed (http or https). Where
          it is none (a scheme that is not fetched), ours is to be empty.
  id      id, guid, guidislink.
  date    published, updated, created, modified, issued, date (`_parsed`, or a text in ISO form): the day in
          UTC. Of an entry ours are the day it was published, else updated, and when it was updated.

A condition on anything else is not counted. Files are read as the reader reads them, with the headers
they state, and with the address they were served from where the expectation names it.
A relative id stays as it is written: two test feeds expect it to be joined with the feed's address, which
would give an entry another identity wherever its feed moves.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.domain.items import Document
from app.errors import Unreadable
from app.sources.base import File
from app.sources.feeds import Channel, Entry, Feed, parse
from bench.process import SHARED

CORPUS = SHARED / "corpora" / "feeds" / "feedparser"
SAVED = (SHARED / "data" / "formats" / "rss", SHARED / "data" / "formats" / "rss_parser_cases")
BASE = "http://127.0.0.1:8097/"  # where the test feeds were served from, as they expect it

_FIELDS = {
    "title": "title", "title_detail.value": "title", "link": "link", "id": "id", "guid": "id",
    "published": "date", "published_parsed": "date", "updated": "date", "updated_parsed": "date",
    "created": "date", "created_parsed": "date", "modified": "date", "modified_parsed": "date",
    "issued": "date", "issued_parsed": "date", "date": "date", "date_parsed": "date",
}  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """A condition: of which entry (None: the feed), which of the four fields, and the value."""

    entry: int | None
    path: str
    value: Any

    @property
    def field(self) -> str:
        return _FIELDS[self.path]


def stated(data: bytes) -> tuple[dict[str, str], str]:
    """The headers and the expression that a test feed begins with."""
    text = _readable(data)
    if text.lstrip().startswith("{"):
        found = re.search(r'"__TEST__":\s*"(?:[^"]*)Expect:\s*([^"]*?)(?:-->)?"', text)
        return {}, found[1].strip() if found else ""
    comment = re.search(r"<!--(.*?)-->", text, re.S)
    words = comment[1] if comment else ""
    headers = {
        name.strip().lower(): value.strip()
        for name, value in re.findall(r"^\s*Header:\s*([\w-]+):\s*(.*)$", words, re.M)
    }
    expected = re.search(r"^\s*Expect:\s*(.*)", words, re.M | re.S)
    return headers, expected[1].strip() if expected else ""


def _readable(data: bytes) -> str:
    for mark, encoding in (
        (b"\x00\x00\xfe\xff", "utf-32"), (b"\xff\xfe\x00\x00", "utf-32"), (b"\xfe\xff", "utf-16"),
        (b"\xff\xfe", "utf-16"), (b"\x00\x00\x00<", "utf-32-be"), (b"<\x00\x00\x00", "utf-32-le"),
        (b"\x00<", "utf-16-be"), (b"<\x00", "utf-16-le"), (b"\x4c\x6f\xa7\x94", "cp037"),
    ):  # fmt: skip
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    return data.decode("utf-8", "replace")


def conditions(expression: str) -> Iterator[Expected]:
    """The conditions of an expression that are about a title, a link, an id or a date."""
    try:
        tree = ast.parse(" ".join(expression.split("\n")).strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return
    parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    for part in parts:
        if not (isinstance(part, ast.Compare) and len(part.ops) == 1):
            continue
        if not isinstance(part.ops[0], ast.Eq):
            continue
        path = _path(part.left)
        try:
            value = ast.literal_eval(part.comparators[0])
        except ValueError:
            continue
        if not path:
            continue
        if path[0] == "feed" and ".".join(map(str, path[1:])) in _FIELDS:
            yield Expected(None, ".".join(map(str, path[1:])), value)
        if path[0] == "entries" and len(path) > 2 and isinstance(path[1], int):
            name = ".".join(map(str, path[2:]))
            if name in _FIELDS:
                yield Expected(path[1], name, value)


def _path(node: ast.expr) -> list[str | int]:
    """`entries[0]['title_detail']['value']` as its parts; [] for anything else."""
    parts: list[str | int] = []
    while True:
        match node:
            case ast.Subscript(value=inner, slice=ast.Constant(value=key)):
                parts.append(key if isinstance(key, str | int) else "?")
                node = inner
            case ast.Attribute(value=inner, attr=name):
                parts.append(name)
                node = inner
            case ast.Name(id=name):
                return [name, *reversed(parts)]
            case _:
                return []


def met(expected: Expected, channel: Channel) -> tuple[bool, str]:
    """Whether a condition holds of what the reader made of the file, and what that was."""
    entry: Entry | None = None
    if expected.entry is not None:
        if expected.entry >= len(channel.entries):
            return False, "no such entry"
        entry = channel.entries[expected.entry]
    match expected.field:
        case "title":
            ours = entry.title if entry else channel.title
            return ours in (_made_plain(expected.value), _one_line(expected.value)), ours
        case "link":
            ours = entry.link if entry else channel.link
            wanted = _one_line(expected.value)
            followed = urlsplit(wanted).scheme.lower() in ("http", "https")
            return ours == (wanted if followed else ""), ours
        case "id":
            ours = entry.guid if entry else str(channel.raw.get("id", ""))
            return ours == _one_line(expected.value), ours
        case _:
            day = _day(expected.value)
            days = (entry.published, entry.updated[:10]) if entry else (channel.day,)
            if not entry and "updated" in expected.path and channel.raw.get("published"):
                days = (day,)  # ours is the day it was published
            return day in days, "/".join(days)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _made_plain(text: object) -> str:
    said = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>|<!--.*?-->", "", str(text))
    said = re.sub(r"(?s)</?(?:div|p|li|ul|ol|br|h\d|tr|td|blockquote)\b[^>]*>", " ", said)
    return _one_line(unescape(re.sub(r"(?s)</?[a-zA-Z][^>]*>", "", said)))


def _day(value: object) -> str:
    if isinstance(value, tuple | list) and len(value) >= 3:
        return f"{value[0]:04}-{value[1]:02}-{value[2]:02}"
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return ""
    return (at.astimezone(UTC) if at.tzinfo else at).date().isoformat()


def _is_counted(expected: Expected) -> bool:
    """A date that is given as words in no ISO form says nothing about a day."""
    return expected.field != "date" or bool(_day(expected.value))


def read_whole(file: File) -> str:
    """Read a file to its end. '' when it was read, the words when it was refused; raises what it does."""
    try:
        for document in Feed().read(file).documents:
            for _ in document.arrivals if isinstance(document, Document) else ():
                pass
    except Unreadable as refused:
        return str(refused)
    return ""


def files() -> Iterator[Path]:
    for folder in (CORPUS, *SAVED):
        yield from sorted(
            path for path in folder.rglob("*") if path.suffix in (".xml", ".json", ".rss", ".atom")
        )


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="bench feeds", description=__doc__)
    parser.add_argument("--show", action="store_true", help="print each condition that is not met")
    show = parser.parse_args(arguments).show
    if not CORPUS.is_dir():
        print(f"There are no test feeds in {CORPUS}: nothing is measured.")
        return
    counted: Counter[tuple[str, bool]] = Counter()
    read = refused = failed = silent = 0
    begun = time.process_time()
    for path in files():
        data = path.read_bytes()
        headers, expression = stated(data) if CORPUS in path.parents else ({}, "")
        base = BASE if BASE in expression else ""
        file = File(path.name, data, url=base, headers=headers)
        try:
            words = read_whole(file)
        except Exception as error:  # what is measured
            failed += 1
            print(f"  EXCEPTION {path.name}: {type(error).__name__}: {error}")
            continue
        read, refused = read + (not words), refused + bool(words)
        if words and show:
            print(f"  refused {path.name}: {words}")
        wanted = [each for each in conditions(expression) if _is_counted(each)]
        silent += not wanted
        if not wanted:
            continue
        try:
            channel = parse(file)
        except Unreadable as error:
            channel = Channel("", "", "", "", "", ())
            if show:
                print(f"  {path.name}: {error}")
        for each in wanted:
            holds, ours = met(each, channel)
            counted[each.field, holds] += 1
            if show and not holds:
                print(f"  {path.relative_to(CORPUS)}: {each.path} {each.value!r}, ours {ours!r}")
    print(json.dumps({"files": read + refused + failed, "read": read, "refused": refused}))
    print(f"exceptions: {failed}   (target 0)")
    print(f"files without a condition on a title, link, id or date: {silent}")
    right = sum(number for (_, holds), number in counted.items() if holds)
    total = sum(counted.values())
    for name in ("title", "link", "id", "date"):
        good = counted[name, True]
        print(f"  {name:6} {good:4} of {good + counted[name, False]:4}")
    print(f"expectations met: {right} of {total}, {right / max(total, 1):.1%}   (target 95 %)")
    print(f"CPU: {time.process_time() - begun:.1f} s")
