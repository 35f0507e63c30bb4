"""Opens zip archives that nobody vouches for: looked at whole before anything in them is used.

An archive is refused, in one sentence, when a name in it could reach outside, be written over
another or be no plain file, when it would unpack to more than the limits allow, when it is damaged,
and when its table of contents does not say what is in it. Nothing here writes. An archive within it
is a file like any other.
"""

from __future__ import annotations

import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import IO

from app.errors import Unreadable

SIGNS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")  # how one begins
_STEP = 1 << 20
_END, _END_64, _PLACE_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_LONGEST_COMMENT = 65_535
_HEAD, _LOCAL_HEAD = 46, 30  # bytes of an entry's two heads, without its name
_MAX_NAME = 1_000
_SMALL = 65_536  # a file of fewer bytes may be packed as well as it likes
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class Limits:
    """What an archive may hold: `entries`, `size` in bytes unpacked, `ratio` of unpacked to packed."""

    entries: int = 10_000
    size: int = 500_000_000
    ratio: int = 100


class Archive:
    """An archive that was found harmless. `names` are its files in the order it has them."""

    def __init__(self, name: str, opened: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> None:
        self._name = name
        self._zip = opened
        self._entries = {entry.filename: entry for entry in entries}

    @property
    def names(self) -> list[str]:
        return list(self._entries)

    def size(self, name: str) -> int:
        """The bytes of a file, unpacked."""
        return self._entries[name].file_size

    def pieces(self, name: str) -> Iterator[bytes]:
        """A file, unpacked piece by piece. Raises Unreadable when it is damaged."""
        try:
            with self._zip.open(self._entries[name]) as file:
                while piece := file.read(_STEP):
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            raise Unreadable(f"{self._name} is damaged: {_shown(name)} cannot be unpacked.") from (
                error
            )

    def read(self, name: str) -> bytes:
        """A whole file. Raises Unreadable when it is damaged."""
        return b"".join(self.pieces(name))

    def check(self) -> None:
        """Unpack every file once, keeping nothing. Raises Unreadable for the first that is damaged."""
        for name in self._entries:
            for _ in self.pieces(name):
                pass


@contextmanager
def opened(
    source: Path | bytes, *, name: str = "", limits: Limits = Limits(), check: bool = True
) -> Iterator[Archive]:
    """The archive in a file or in bytes. `name` is what it is called in refusals.

    With `check`, every file was unpacked once before it is handed over. Raises Unreadable.
    """
    name = name or (source.name if isinstance(source, Path) else "The archive")
    file: IO[bytes]
    try:
        file = BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    except OSError as error:
        raise Unreadable(f"{name} cannot be read: {error.strerror}.") from error
    with file:
        _contents_fit(file, name, limits)
        try:
            unzipped = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, EOFError, struct.error) as error:
            raise Unreadable(f"{name} is damaged or cut off: it is no whole zip archive.") from (
                error
            )
        except NotImplementedError as error:
            raise Unreadable(f"{name} is a kind of zip archive that cannot be read.") from error
        with unzipped:
            archive = Archive(name, unzipped, _files(unzipped.infolist(), name, limits))
            if check:
                archive.check()
            yield archive


def is_archive(start: bytes) -> bool:
    """Whether bytes begin as a zip archive does."""
    return start.startswith(SIGNS)


def key_of(path: str) -> str | None:
    """What two paths share that would be one file; None for one that no archive here may hold."""
    try:
        _path(zipfile.ZipInfo(path), path)
    except Unreadable:
        return None
    return None if "\\" in path else _key(path)


def _contents_fit(file: IO[bytes], name: str, limits: Limits) -> None:
    """Look at the size of the table of contents before the library reads it into memory."""
    length = file.seek(0, SEEK_END)
    start = max(0, length - _LONGEST_COMMENT - 22)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        raise Unreadable(f"{name} is damaged or cut off: it is no whole zip archive.")
    entries, size = struct.unpack_from("<HI", tail, at + 10)
    place = at - 20
    if place >= 0 and tail[place : place + 4] == _PLACE_64:
        (where,) = struct.unpack_from("<Q", tail, place + 8)
        file.seek(min(where, length))
        end = file.read(56)
        if len(end) < 56 or not end.startswith(_END_64):
            raise Unreadable(f"{name} is damaged: its table of contents is not where it says.")
        entries, size = struct.unpack_from("<QQ", end, 32)
    file.seek(0)
    if entries > limits.entries:
        raise _too_many(name, limits)
    # The number may lie. What is read is the size, and of that nothing but names can be much.
    if size > length or size > limits.entries * (_HEAD + _MAX_NAME):
        raise Unreadable(f"{name} has a table of contents that is too large for what it holds.")


def _too_many(name: str, limits: Limits) -> Unreadable:
    return Unreadable(f"{name} holds more than {limits.entries:,} files. Import it in parts.")


def _files(entries: list[zipfile.ZipInfo], name: str, limits: Limits) -> list[zipfile.ZipInfo]:
    """The files among the entries, when all of them are harmless. Raises Unreadable."""
    if len(entries) > limits.entries:
        raise _too_many(name, limits)
    files: dict[str, str] = {}  # by the name as file systems that fold case and accents compare it
    folders: dict[str, str] = {}
    kept, size = [], 0
    for entry in entries:
        path = _path(entry, name)
        for key, shown in _folders(path.rstrip("/")):
            folders.setdefault(key, shown)
        if path.endswith("/"):
            folders.setdefault(_key(path.rstrip("/")), path)
            continue
        if (key := _key(path)) in files:
            raise Unreadable(
                f"{name} holds {_shown(files[key])} and {_shown(path)}, which would be one file. "
                "Nothing of it was taken."
            )
        files[key] = path
        size += entry.file_size
        _within(entry, path, name, limits)
        if size > limits.size:
            raise Unreadable(
                f"{name} unpacks to more than {limits.size // 1_000_000:,} MB. Import it in parts."
            )
        entry.filename = path
        kept.append(entry)
    for key in files.keys() & folders.keys():
        raise Unreadable(f"{name} holds {_shown(files[key])} both as a file and as a folder.")
    _apart(entries, name)
    return kept


def _as_meant(entry: zipfile.ZipInfo) -> str:
    """Its name; programs on Linux write UTF-8 and do not say so, which is read as another encoding."""
    given = entry.orig_filename
    if entry.flag_bits & 0x800:
        return given
    try:
        return given.encode("cp437").decode("utf-8")
    except UnicodeError:
        return given


def _path(entry: zipfile.ZipInfo, name: str) -> str:
    """The name of an entry, with slashes, when it stays inside; a folder's ends with one."""
    given = _as_meant(entry)
    path = given.replace("\\", "/")
    parts = path.removesuffix("/").split("/")
    if path.startswith("/") or _DRIVE.match(path) or ".." in parts:
        raise Unreadable(
            f"{name} holds {_shown(given)}, which would be written outside its folder. "
            "Nothing of it was taken."
        )
    odd = any(not part.strip(" .") for part in parts)
    if odd or len(path) > _MAX_NAME or any(unicodedata.category(sign) == "Cc" for sign in path):
        raise Unreadable(f"{name} holds {_shown(given)}, which is no name for a file.")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link to another file" if kind == stat.S_IFLNK else "no plain file"
        raise Unreadable(f"{name} holds {_shown(given)}, which is {what}. Nothing of it was taken.")
    if kind == stat.S_IFDIR and not path.endswith("/"):
        raise Unreadable(
            f"{name} holds {_shown(given)}, which is a folder and has the name of a file."
        )
    return path


def _folders(path: str) -> Iterator[tuple[str, str]]:
    """The folders that a path leads through, as they are compared and as they are written."""
    parts = path.split("/")
    for end in range(1, len(parts)):
        above = "/".join(parts[:end])
        yield _key(above), above


def _key(path: str) -> str:
    # Some file systems drop blanks and dots at the end of a name, too.
    path = "/".join(part.rstrip(" .") for part in path.split("/"))
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _within(entry: zipfile.ZipInfo, path: str, name: str, limits: Limits) -> None:
    if entry.flag_bits & 0x1:
        raise Unreadable(f"{name} is locked with a password. Unpack it, and import the folder.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unreadable(
            f"{name} packs {_shown(path)} in a way that is not read here. "
            "Unpack it, and import the folder."
        )
    if entry.file_size > _SMALL and entry.file_size > limits.ratio * max(1, entry.compress_size):
        raise Unreadable(
            f"{name} packs {_shown(path)} more than {limits.ratio} times smaller than it is, as "
            "archives do that are meant to fill a disk. Nothing of it was taken."
        )


def _apart(entries: list[zipfile.ZipInfo], name: str) -> None:
    """No two entries share bytes: that is how a small archive unpacks to an endless one."""
    end = 0
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.header_offset < end:
            raise Unreadable(f"{name} is damaged: two files in it share the same bytes.")
        end = entry.header_offset + _LOCAL_HEAD + entry.compress_size


def _shown(path: str) -> str:
    plain = path if path.isprintable() else ascii(path)[1:-1]
    return f"“{plain if len(plain) <= 80 else plain[:77] + '…'}”"
