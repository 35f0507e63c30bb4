"""A whole wiki as one file of JSON lines, and such a file read back into an empty wiki.

Written as it is read, from one moment of the database: a large wiki costs no more memory than a
small one. Read back, all of it stands or nothing: what is derived is made anew, so that the same file
is written again.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any
from zlib import crc32

from sqlmodel import Session, SQLModel

from app.domain.interchange import (
    BY_NAME,
    END,
    FIRST,
    TYPES,
    VERSION,
    BadRow,
    LineType,
    columns,
    line,
    rows_of,
)
from app.errors import Conflict, Unreadable
from app.sources.interchange import BadLine, parse
from app.store import derived
from app.store import interchange as stored

MAX_LINE_BYTES = 64_000_000
_CHUNK = 1_000  # rows stored at a time
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def whole(session: Session) -> Iterator[str]:
    """The wiki as lines, each with its end. The session is to see one moment of the database."""
    yield _written(FIRST)
    count = 1
    for kind in TYPES:
        for rows, told in stored.lines(session, kind):
            yield _written(line(kind, rows, told))
            count += 1
    yield _written({"type": END, "lines": count})


def _written(fields: dict[str, Any]) -> str:
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    # No database and no reader takes these: nothing that the wiki stores today has them.
    if "\\u0000" in text:
        text = _NUL.sub(r"\1", text)
    return _SURROGATE.sub("\ufffd", text) + "\n"


# ---------------------------------------------------------------- back


def is_empty(session: Session) -> bool:
    """Whether a whole wiki can be read back into this one."""
    return stored.is_empty(session)


def restore(
    session: Session,
    lines: Iterable[bytes],
    *,
    progress: Callable[[int], None] = lambda lines: None,
) -> Counter[str]:
    """Read a whole wiki into an empty one; how many lines of each type there were.

    In the caller's transaction, which is to be thrown away when this raises: Conflict where the wiki
    is not empty, Unreadable for a file that is damaged, cut off, or not in order, with the number of
    the line.
    """
    if not is_empty(session):
        raise Conflict("A whole wiki is read back into an empty one. This one is not empty.")
    reading = _Restoring(session)
    number, ended = 0, False
    for number, each in enumerate(lines, start=1):
        try:
            if ended:
                raise BadLine("It follows the line that says that the file ends.")
            fields = parse(each, most=MAX_LINE_BYTES)
            if number == 1:
                _check_first(fields)
            elif fields.get("type") == END:
                if fields.get("lines") != number - 1:
                    raise BadLine(
                        f"The file had {fields.get('lines')!r:.20} lines before this one."
                    )
                ended = True
            else:
                reading.take(number, fields)
                progress(number)
        except (BadLine, BadRow) as bad:
            raise Unreadable(f"Line {number:,}: {bad} Nothing was imported.") from None
    if not ended:
        raise Unreadable(
            f"The file ends after line {number:,}, in the middle of a wiki: it is cut off. "
            "Nothing was imported."
        )
    reading.flush()
    derived.rebuild(session)
    reading.compare()  # some of what lines say by name is derived
    return reading.counts


def _check_first(fields: dict[str, object]) -> None:
    version = fields.get("version")
    if any(fields.get(name) != FIRST[name] for name in ("type", "format")):
        raise BadLine("This is not the beginning of a whole wiki.")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BadLine("It names no version of the format.")
    if version > VERSION:
        raise BadLine(
            f"The file is of version {version} of the format, and this program knows up to "
            f"{VERSION}. Use the newer program that wrote it."
        )


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file, without a byte order mark; of one that is far too long only its beginning."""
    first = file.readline(MAX_LINE_BYTES + 1)
    yield first.removeprefix(b"\xef\xbb\xbf")
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line


class _Ids:
    """The keys that a table has so far. They come in order, but for those of pages."""

    def __init__(self) -> None:
        self._sorted = array("q")
        self._others: set[Any] = set()

    def add(self, key: Any) -> None:
        if isinstance(key, int) and (not self._sorted or key > self._sorted[-1]):
            self._sorted.append(key)
        else:
            self._others.add(key)

    def __contains__(self, key: Any) -> bool:
        if isinstance(key, int):
            place = bisect_left(self._sorted, key)
            if place < len(self._sorted) and self._sorted[place] == key:
                return True
        return key in self._others


class _Restoring:
    """Rows on their way in: checked against what stands further up, and stored some at a time."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.counts: Counter[str] = Counter()
        self._type = TYPES[0]
        self._last: tuple[Any, ...] = ()
        self._ids: dict[tuple[str, str], _Ids] = {
            reference: _Ids()
            for kind in TYPES
            for part in kind.parts
            for column in columns(part.table).values()
            if (reference := column.references)
        }
        self._held: dict[type[SQLModel], list[tuple[int, dict[str, Any]]]] = {}
        # Of the lines of a type, in order: its number, and what it says for other readers, as a sum.
        self._said: dict[str, tuple[array[int], array[int]]] = {}

    def take(self, number: int, fields: dict[str, object]) -> None:
        """One line. Raises BadLine or BadRow."""
        kind = BY_NAME.get(name) if isinstance(name := fields.get("type"), str) else None
        if kind is None:
            raise BadLine(f"This version knows no line of type {str(name)[:40]!r}.")
        if kind is not self._type:
            if TYPES.index(kind) < TYPES.index(self._type):
                raise BadLine(
                    f"A {kind.name} stands behind a {self._type.name}: "
                    "the lines of a whole wiki keep the order they were written in."
                )
            self.flush()
            self._type, self._last = kind, ()
        for part, row in rows_of(kind, fields):
            self._check(kind, part.inside == "row", part.table, row)
            self._held.setdefault(part.table, []).append((number, row))
        numbers, sums = self._said.setdefault(kind.name, (array("Q"), array("Q")))
        numbers.append(number)
        sums.append(_sum(kind, fields))
        self.counts[kind.name] += 1
        if any(len(held) >= _CHUNK for held in self._held.values()):
            self.flush()

    def _check(
        self, kind: LineType, main: bool, table: type[SQLModel], row: dict[str, Any]
    ) -> None:
        name = str(table.__tablename__)
        known = columns(table)
        if main:
            key = tuple(row[each.name] for each in known.values() if each.is_key)
            if self._last and key <= self._last:
                raise BadLine(
                    f"This {kind.name} stands behind one with the key {self._last[0]}: "
                    "the lines of a whole wiki keep the order they were written in."
                )
            self._last = key
        for column in known.values():
            value = row[column.name]
            if column.references and value is not None:
                of, there = column.references
                if value not in self._ids[of, there]:
                    raise BadLine(
                        f'"{column.name}" is {value}, and no {of} further up has that id.'
                    )
        for (of, there), ids in self._ids.items():
            if of == name:
                if row[there] in ids:
                    raise BadLine(f"A line further up has the same {name} {row[there]}.")
                ids.add(row[there])

    def flush(self) -> None:
        """Store what is held. Raises Unreadable for a line that the database does not take."""
        for table in (part.table for part in self._type.parts):
            held = self._held.pop(table, [])
            if wrong := stored.put(self.session, table, [row for _, row in held]):
                place, why = wrong
                raise Unreadable(f"Line {held[place][0]:,}: {why} Nothing was imported.")

    def compare(self) -> None:
        """Raises Unreadable for a line whose names for other readers are not those of its rows."""
        for kind in TYPES:
            numbers, sums = self._said.get(kind.name, ((), ()))
            if not numbers or not _FOR_READERS[kind.name]:
                continue
            rows = stored.lines(self.session, kind)
            for number, said, (each, told) in zip(numbers, sums, rows, strict=True):
                written = line(kind, each, told)
                if _sum(kind, written) != said:
                    names = ", ".join(
                        f'"{name}"' for name in _FOR_READERS[kind.name] if name in written
                    )
                    raise Unreadable(
                        f"Line {number:,}: what it says by name ({names}) is not what its row says: "
                        "it was changed or damaged. Nothing was imported."
                    )


# The fields of a line that say what other rows say, and are not read back, by its type.
_FOR_READERS: dict[str, tuple[str, ...]] = {
    kind.name: tuple(
        name
        for name in kind.order
        if name not in {said for part in kind.parts for said in part.fields.values()}
    )
    for kind in TYPES
}


def _sum(kind: LineType, fields: Mapping[str, Any]) -> int:
    """A sum of the fields for other readers, to compare; what is empty says nothing."""
    said = {
        name: found for name in _FOR_READERS[kind.name] if (found := fields.get(name)) is not None
    }
    said = {name: found for name, found in said.items() if found not in ("", [])}
    return crc32(json.dumps(said, sort_keys=True).encode())
