"""What a reader is, and which reader a file's content calls for.

A new format is one module and one line in `READERS`. A reader never raises on content: a file that
is not its format at all raises Unreadable before the first arrival; anything less is `Rejected`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Protocol

from app.domain.items import Bundle, Document
from app.errors import Invalid, Unreadable
from app.sources.formats import in_words

MAX_BYTES = 200_000_000
GZIP = b"\x1f\x8b"  # how a gzip file begins


@dataclass(frozen=True)
class File:
    """A saved file: its name (for keys and dates of last resort) and its bytes.

    `url` and `headers` (lower-case names): where a fetch had it from, and what came with it.
    """

    name: str
    data: bytes
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """The text, decoded: BOMs honoured, broken UTF-8 and NUL replaced by U+FFFD."""
        for mark, encoding in (
            (b"\xef\xbb\xbf", "utf-8-sig"),
            (b"\xff\xfe", "utf-16"),
            (b"\xfe\xff", "utf-16"),
        ):
            if self.data.startswith(mark):
                return self.data.decode(encoding, "replace").replace("\x00", "\ufffd")
        return self.data.decode("utf-8", "replace").replace("\x00", "\ufffd")


class Reader(Protocol):
    """A format: its name in `--format`, a cheap look at the content, and the reading itself."""

    @property
    def format(self) -> str: ...

    def recognises(self, file: File) -> bool:
        """Whether the content is this format, from a look at its beginning."""
        ...

    def read(self, file: File) -> Document | Bundle:
        """Read the file, which is one item or many. Raises Unreadable when nothing in it is this format."""
        ...


# Of jsonl, for whoever has other JSON.
A_LINE = (
    'A line of jsonl says what it is: {"type": "paper", "id": "arxiv:2605.00001", "title": "…"}.'
)


def unpacked(file: File) -> File:
    """The file that a gzip file holds; any other as it is. Raises Unreadable, also for an archive."""
    name, data = file.name, file.data
    if data.startswith(GZIP):
        try:
            inflating = zlib.decompressobj(16 + zlib.MAX_WBITS)
            data = inflating.decompress(data, MAX_BYTES)
        except zlib.error:
            raise Unreadable(f"{name} is a gzip file that is damaged.") from None
        if not inflating.eof:
            why = "is cut off" if len(data) < MAX_BYTES else "holds more than is read at once"
            raise Unreadable(f"{name} is a gzip file that {why}.")
        file = replace(file, name=name.removesuffix(".gz"), data=data)
    if data[257:262] == b"ustar" or data.startswith((b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!\x1a")):
        raise Unreadable(
            f"{name} is an archive: unpack it into a folder, and import the folder with "
            "`cerebro import FOLDER`."
        )
    return file


def reader_for(file: File, readers: Sequence[Reader], *, format: str | None = None) -> Reader:
    """The reader named `format`, or the first that recognises the content.

    Raises Unreadable, naming the formats there are, when none does.
    """
    names = [reader.format for reader in readers]
    if format is not None:
        for reader in readers:
            if reader.format == format:
                return reader
        raise Invalid(f"No format is called {format!r}. Use one of: {in_words(names)}.")
    if not file.data or file.data.isspace():
        raise Unreadable(f"{file.name} is empty.")
    for reader in readers:
        if reader.recognises(file):
            return reader
    raise Unreadable(
        f"{file.name} is in no format that can be read. Formats: {in_words(names)}. "
        f"Name one with --format if you know it. {A_LINE}"
    )


@dataclass(frozen=True)
class _Ahead:
    """A reader that has read some files already, by their bytes and address."""

    reader: Reader
    ready: Mapping[tuple[str, bytes], Document | Bundle | Unreadable]

    @property
    def format(self) -> str:
        return self.reader.format

    def recognises(self, file: File) -> bool:
        return self.reader.recognises(file)

    def read(self, file: File) -> Document | Bundle:
        found = self.ready.get(_mark(file))
        if isinstance(found, Unreadable):
            raise found
        return self.reader.read(file) if found is None else found


def _mark(file: File) -> tuple[str, bytes]:
    return (f"{file.name}\n{file.url}", sha256(file.data).digest())


def read_ahead(
    files: Iterable[File], readers: Sequence[Reader], *, format: str | None = None
) -> tuple[Reader, ...]:
    """The readers, those of which that are `slow` having read their files: nobody writes meanwhile.

    What they hand over for those files may be gone through again.
    """
    slow = [each for each in readers if getattr(each, "slow", False)]
    ready: dict[tuple[str, bytes], Document | Bundle | Unreadable] = {}
    for file in files:
        if format is None and not any(each.recognises(file) for each in slow):
            continue
        try:
            reader = reader_for(file, readers, format=format)
        except Unreadable:
            continue  # whoever reads it hears of it
        if reader in slow:
            try:
                ready[_mark(file)] = reader.read(file)
            except Unreadable as error:
                ready[_mark(file)] = error
    return tuple(_Ahead(each, ready) if ready and each in slow else each for each in readers)
