"""The folder of the vault: looked at, read, written, so that no byte of a person's is lost.

A file is only ever replaced as a whole, and only where it still is what the caller saw: the new text
is written beside it and on disk, the two are exchanged in one step, and what was displaced is looked
at. If somebody wrote in between, the exchange is taken back. What was displaced stays in
`.cerebro/replaced` for a while, because an editor may still write into the file it once opened.

Links of the file system are never followed: neither read through nor written through.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from app.errors import Conflict, NotFound, Unavailable, Unreadable
from app.vault.names import FOLDERS, is_page

MACHINERY = ".cerebro"
MARK = f"{MACHINERY}/vault.json"
PAGES = f"{MACHINERY}/pages"
REPLACED = f"{MACHINERY}/replaced"
MAX_FILE = 5_000_000  # bytes: a million characters, of which many may take four
KEPT_FOR = 60.0  # seconds that a replaced file is looked at
_TRIES = 5  # looks at a file that is being written
_FORMAT = 1


class VaultState(StrEnum):
    """What stands at the vault's path."""

    NEW = "new"  # nothing, or a folder without pages
    OURS = "ours"
    FOREIGN = "foreign"  # pages, and no mark or the mark of another wiki
    GONE = "gone"  # it was ours, and its mark is not there


@dataclass(frozen=True)
class Seen:
    """A file as a look found it. `path` is relative to the vault, with slashes."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Written:
    """A file that was written, as it is now.

    `displaced` is what stood there when that was not expected and could not be put back; it is kept
    under `kept` until `forget(kept)`, and told again by `strays` until then.
    """

    seen: Seen
    displaced: bytes | None = None
    kept: str = ""


@dataclass(frozen=True)
class Stray:
    """What somebody wrote into a file that was replaced: where it stood, and its bytes.

    It is told again until `forget(kept)`.
    """

    path: str
    data: bytes
    kept: str

    def __iter__(self) -> Iterator[Any]:
        return iter((self.path, self.data))


class Vault:
    """A vault's folder. After a scan, `problems` has a sentence for each path that it passed over."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))
        self.problems: Mapping[str, str] = {}
        self._closed: tuple[str, ...] = ()  # folders that the last scan could not look into
        self._quiet: dict[str, tuple[int, int]] = {}  # replaced files that were seen unchanged

    # -- the folder as a whole

    def state(self, wiki: str, *, remembered: bool = False) -> VaultState:
        """What the folder is to this wiki; `remembered`: it is known to have been this wiki's.

        Raises Unavailable when it cannot be looked at.
        """
        if self.mark() == wiki:
            return VaultState.OURS
        if remembered:
            return VaultState.GONE
        try:
            if not self.root.exists():
                return VaultState.NEW
            if not self.root.is_dir():
                raise Unavailable(f"The vault {self.root} is not a folder. Choose another one.")
        except OSError as error:
            raise Unavailable(in_words(error, str(self.root), "read")) from error
        return VaultState.FOREIGN if self.scan() or self.mark() else VaultState.NEW

    def mark(self) -> str:
        """The wiki whose vault this is by its mark; '' when there is none."""
        try:
            found = json.loads(self.machine_bytes(MARK) or b"{}")
        except (ValueError, RecursionError):
            return ""
        wiki = found.get("wiki") if isinstance(found, dict) else None
        return wiki if isinstance(wiki, str) else ""

    def claim(self, wiki: str) -> None:
        """Mark the folder as this wiki's; a new one gets a folder a kind. Raises Unavailable."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            # In a folder that somebody keeps already nothing is made that no page needs.
            for folder in () if any(self.root.iterdir()) else FOLDERS.values():
                (self.root / folder).mkdir(exist_ok=True)
        except OSError as error:
            raise Unavailable(in_words(error, str(self.root), "written")) from error
        self.keep_machinery()
        if self.mark() != wiki:
            self.write_machine(MARK, mark_text(wiki))

    def scan(self) -> list[Seen]:
        """Every page's file, by path. What is passed over and why is in `problems` afterwards.

        Raises Unavailable when the folder itself cannot be read.
        """
        found: list[Seen] = []
        problems: dict[str, str] = {}
        closed: list[str] = []
        left = [""]
        while left:
            folder = left.pop()
            try:
                with os.scandir(self.root / folder if folder else self.root) as entries:
                    for entry in entries:
                        path = f"{folder}/{entry.name}" if folder else entry.name
                        try:
                            self._look(entry, path, found, left, problems)
                        except FileNotFoundError:
                            continue  # gone since
                        except OSError as error:
                            problems[_shown(path)] = in_words(error, path, "read")
            except OSError as error:
                if not folder:
                    raise Unavailable(in_words(error, str(self.root), "read")) from error
                if not isinstance(error, FileNotFoundError):
                    problems[_shown(folder)] = in_words(error, folder, "read")
                    closed.append(folder + "/")
        self.problems, self._closed = problems, tuple(closed)
        return sorted(found, key=lambda seen: seen.path)

    def _look(
        self,
        entry: os.DirEntry[str],
        path: str,
        found: list[Seen],
        left: list[str],
        problems: dict[str, str],
    ) -> None:
        if entry.name.startswith("."):
            return
        if entry.is_symlink():
            if entry.name.lower().endswith(".md"):
                problems[_shown(path)] = f"{_shown(path)} is a link: only files are taken up."
            return
        if entry.is_dir(follow_symlinks=False):
            left.append(path)
            return
        if not entry.name.lower().endswith(".md"):
            return
        if not _is_unicode(path):
            problems[_shown(path)] = (
                f"{_shown(path)} has a name that is not Unicode. Rename the file to take it up."
            )
            return
        if not is_page(path):
            return
        if not entry.is_file(follow_symlinks=False):
            problems[path] = f"{path} is not a file but a pipe, a socket or a device."
            return
        status = entry.stat(follow_symlinks=False)
        found.append(Seen(path=path, size=status.st_size, mtime_ns=status.st_mtime_ns))

    def could_be_there(self, path: str) -> bool:
        """Whether the last scan could not look where this path is: then that it is gone says nothing."""
        return path.startswith(self._closed) if self._closed else False

    # -- one file

    def is_called(self, path: str) -> bool:
        """Whether a path is written just so in the folder, also where case and accents do not count."""
        folder = self.root
        try:
            for part in path.split("/"):
                if part not in os.listdir(folder):
                    return False
                folder = folder / part
        except OSError:
            return False
        return True

    def seen(self, path: str) -> Seen | None:
        """A file as it is now, unread; None where none is. Raises Unavailable."""
        try:
            status = os.lstat(self._place(path))
        except (NotFound, FileNotFoundError):
            return None
        except OSError as error:
            raise Unavailable(in_words(error, path, "read")) from error
        if not stat.S_ISREG(status.st_mode):
            return None
        return Seen(path, status.st_size, status.st_mtime_ns)

    def read(self, path: str) -> tuple[bytes, Seen]:
        """A file whole, as it stood at one time.

        Raises NotFound; Unreadable when it is no file, or larger than a page may be; Unavailable when
        it cannot be read, or is being written.
        """
        place = self._place(path)
        try:
            for attempt in range(_TRIES):
                if attempt:
                    time.sleep(0.02)
                data, before, after = _bytes_of(place)
                same = (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
                if same and len(data) == after.st_size:
                    return data, Seen(path, after.st_size, after.st_mtime_ns)
        except FileNotFoundError as error:
            raise NotFound(f"There is no file {path} in the vault.") from error
        except OSError as error:
            raise Unavailable(in_words(error, path, "read")) from error
        raise Unavailable(f"{path} is being written.")

    def write(self, path: str, data: bytes, *, expected: str | None) -> Written:
        """Put `data` there whole, on disk when this returns.

        `expected` is the SHA-256 of what stands there, None where nothing does. Nothing is written,
        and raised is: Conflict when something else stands there, NotFound when it is gone,
        Unavailable when the disk or the folder does not let us, in words.
        """
        place = self._place(path, make=True)
        self.keep_machinery()
        mode = self._check(place, path, expected)
        kept = secrets.token_hex(8)
        beside = self.root / REPLACED / kept
        ours = True  # whether what lies beside is only what we wrote there
        try:
            # Its state as it is now: whatever somebody makes of it later is not what was written.
            status = _write_new(beside, data, mode=mode)
            seen = Seen(path, status.st_size, status.st_mtime_ns)
            if expected is None:
                _put(beside, place)
                fsync_folder(place.parent)
                return Written(seen)
            new = sha256(data).hexdigest()
            # Only now: what a kill leaves of a file that is not whole yet is nobody's text.
            self._intend(kept, path, expected=expected, new=new)
            swap = _swapper()
            (swap or _replace_keeping)(beside, place)
            ours = False
            fsync_folder(place.parent)
            displaced = _bytes_of(beside, limit=None)[0]
            if sha256(displaced).hexdigest() == expected:
                fsync_folder(beside.parent)
                return Written(seen)
            if swap is None:
                return Written(seen, displaced, kept)
            ours = _put_back(swap, beside, place, new)
            raise Conflict(f"{path} was written by somebody else meanwhile.")
        except FileExistsError as error:
            raise Conflict(f"{path} was made by somebody else meanwhile.") from error
        except FileNotFoundError as error:
            raise NotFound(f"{path} is not in the vault any more.") from error
        except OSError as error:
            raise Unavailable(in_words(error, path, "written")) from error
        finally:
            if ours:
                self._drop(kept)

    def remove(self, path: str, *, expected: str) -> bytes | None:
        """Take a file away, into `.cerebro/replaced`. None when it was as expected, or not there.

        What stood there when it was something else is returned, and the file stays.
        """
        try:
            place = self._place(path)
        except NotFound:  # nor is its folder
            return None
        self.keep_machinery()
        try:
            found, *_ = _bytes_of(place)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(in_words(error, path, "read")) from error
        if sha256(found).hexdigest() != expected:
            return found
        kept = secrets.token_hex(8)
        self._intend(kept, path, expected=expected, new="")
        beside = self.root / REPLACED / kept
        try:
            os.rename(place, beside)
            found, *_ = _bytes_of(beside)
            if sha256(found).hexdigest() != expected:
                with suppress(FileExistsError):
                    _put(beside, place)
                    self._drop(kept)
                return found
            fsync_folder(place.parent)
            fsync_folder(beside.parent)
        except FileNotFoundError:
            self._drop(kept)
        except OSError as error:
            raise Unavailable(in_words(error, path, "removed")) from error
        return None

    def move(self, old: str, new: str) -> None:
        """Give a file another path. Raises NotFound, Conflict when one is there, Unavailable."""
        source, target = self._place(old), self._place(new, make=True)
        try:
            if _is_one_file(source, target):
                os.rename(source, target)  # another way to write its name
            else:
                _put(source, target)
            fsync_folder(target.parent)
            fsync_folder(source.parent)
        except FileExistsError as error:
            raise Conflict(f"There is a file {new} in the vault already.") from error
        except FileNotFoundError as error:
            raise NotFound(f"There is no file {old} in the vault.") from error
        except OSError as error:
            raise Unavailable(in_words(error, old, "moved")) from error

    # -- what was replaced

    def strays(self) -> list[Stray]:
        """Replaced files that somebody wrote into since. Those that stayed as they were are forgotten
        after a minute."""
        found: list[Stray] = []
        now = time.time()
        names = frozenset(self.machine_names(REPLACED))
        for name in sorted(names):
            kept = name.removesuffix(".json")
            if kept == name:
                if f"{name}.json" not in names and not name.startswith("."):
                    self._drop(name)  # ours: what a killed process left of a new file
                continue
            stray = self._look_again(kept, now)
            if stray is not None:
                found.append(stray)
        return found

    def forget(self, kept: str) -> None:
        """The bytes kept under this name are somewhere else now."""
        if kept:
            self._drop(kept)

    def _look_again(self, kept: str, now: float) -> Stray | None:
        beside = self.root / REPLACED / kept
        try:
            status = os.lstat(beside)
        except OSError:
            self._drop(kept)  # killed before it was made, or taken away by hand
            return None
        age = now - max(status.st_ctime, status.st_mtime)
        size = (status.st_mtime_ns, status.st_size)
        if self._quiet.get(kept) != size:
            intent = self._intent(kept)
            try:
                data, *_ = _bytes_of(beside)
            except (OSError, Unreadable):
                return None
            found = sha256(data).hexdigest()
            if found not in (intent.get("expected"), intent.get("new")):
                path = str(intent.get("path", ""))
                return Stray(path if "\x00" not in path and _is_unicode(path) else "", data, kept)
            self._quiet[kept] = size
        if not 0 <= age < KEPT_FOR:
            self._drop(kept)
        return None

    def _intend(self, kept: str, path: str, *, expected: str, new: str) -> None:
        """Say what is about to be replaced, so that after a kill it is known what lies there."""
        intent = {"path": path, "expected": expected, "new": new}
        self.write_machine(f"{REPLACED}/{kept}.json", json.dumps(intent).encode())

    def _intent(self, kept: str) -> dict[str, Any]:
        try:
            found = json.loads(self.machine_bytes(f"{REPLACED}/{kept}.json") or b"{}")
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _drop(self, kept: str) -> None:
        self._quiet.pop(kept, None)
        for name in (kept, f"{kept}.json"):  # in this order: the note outlives what it tells of
            with suppress(OSError):
                os.unlink(self.root / REPLACED / name)

    # -- files of our own, in the hidden folder

    def keep_machinery(self) -> None:
        """Make the hidden folders where they are missing. Raises Unavailable."""
        for name in (MACHINERY, PAGES, REPLACED):
            folder = self.root / name
            try:
                if folder.is_symlink():
                    raise Unavailable(f"{name} in the vault is a link: nothing is written there.")
                folder.mkdir(exist_ok=True)
            except OSError as error:
                raise Unavailable(in_words(error, name, "written")) from error

    def machine_bytes(self, path: str) -> bytes | None:
        """A file of our own; None when there is none. Raises Unavailable."""
        try:
            data, *_ = _bytes_of(self.root / path, limit=None)
        except (FileNotFoundError, NotADirectoryError, Unreadable):
            return None
        except OSError as error:
            raise Unavailable(in_words(error, path, "read")) from error
        return data

    def machine_names(self, folder: str) -> list[str]:
        """The names in a folder of our own, in order; none when it is not there."""
        try:
            return sorted(os.listdir(self.root / folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise Unavailable(in_words(error, folder, "read")) from error

    def write_machine(self, path: str, data: bytes) -> None:
        """Write a file of our own whole and on disk. Raises Unavailable."""
        self.keep_machinery()
        place = self.root / path
        beside = place.with_name(f".{place.name}.{secrets.token_hex(4)}.tmp")
        try:
            _write_new(beside, data, mode=None)
            os.replace(beside, place)
            fsync_folder(place.parent)
        except OSError as error:
            raise Unavailable(in_words(error, path, "written")) from error
        finally:
            with suppress(OSError):
                os.unlink(beside)

    def remove_machine(self, path: str) -> None:
        with suppress(FileNotFoundError):
            try:
                os.unlink(self.root / path)
            except FileNotFoundError:
                raise
            except OSError as error:
                raise Unavailable(in_words(error, path, "removed")) from error

    # -- how it is done

    def _place(self, path: str, *, make: bool = False) -> Path:
        """Where a path is, when it lies in the vault and no link leads there."""
        parts = path.split("/")
        if (
            any(part in ("", ".", "..") for part in parts)
            or "\x00" in path
            or not _is_unicode(path)
        ):
            raise Unavailable(f"{_shown(path)} is no path in the vault.")
        if os.name == "nt" and any("\\" in part or ":" in part for part in parts):
            raise Unavailable(f"{path} is no path in the vault.")
        folder = self.root
        for part in parts[:-1]:
            folder = folder / part
            try:
                if make:
                    with suppress(FileExistsError):
                        folder.mkdir()
                        fsync_folder(folder.parent)
                if not stat.S_ISDIR(os.lstat(folder).st_mode):
                    raise Unavailable(f"{path} is not in a folder of the vault: {part} is none.")
            except FileNotFoundError as error:
                raise NotFound(f"There is no file {path} in the vault.") from error
            except OSError as error:
                raise Unavailable(in_words(error, path, "reached")) from error
        return folder / parts[-1]

    def _check(self, place: Path, path: str, expected: str | None) -> int | None:
        """Whether what stands there is what is expected; its mode, None where nothing stands."""
        try:
            status = os.lstat(place)
        except FileNotFoundError:
            if expected is None:
                return None
            raise NotFound(f"{path} is not in the vault any more.") from None
        except OSError as error:
            raise Unavailable(in_words(error, path, "reached")) from error
        if not stat.S_ISREG(status.st_mode):
            raise Unavailable(f"{path} is not a file, but a folder, a link or a device.")
        if expected is None:
            raise Conflict(f"{path} was made by somebody else meanwhile.")
        try:
            data, *_ = _bytes_of(place)
        except OSError as error:
            raise Unavailable(in_words(error, path, "read")) from error
        if sha256(data).hexdigest() != expected:
            raise Conflict(f"{path} was written by somebody else meanwhile.")
        return stat.S_IMODE(status.st_mode)


# ---------------------------------------------------------------- the file system


def mark_text(wiki: str) -> bytes:
    """What marks a folder as the vault of a wiki."""
    return (json.dumps({"format": _FORMAT, "wiki": wiki}, indent=1) + "\n").encode()


def in_words(error: OSError, path: str, verb: str) -> str:
    """Why the file system did not do something with a path, as one sentence for a person."""
    reason = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk's quota is used up",
        errno.EFBIG: "it is larger than the disk or a limit allows",
        errno.EACCES: "the permissions do not allow it",
        errno.EPERM: "the permissions do not allow it",
        errno.EROFS: "the disk is read-only",
        errno.ENAMETOOLONG: "its name is too long for this disk",
        errno.ELOOP: "it is a link",
        errno.ENOTDIR: "a part of its path is not a folder",
        errno.ENOENT: "it is not there",
        errno.EIO: "the disk failed",
        errno.EMFILE: "too many files are open",
        errno.ENFILE: "too many files are open",
        errno.EILSEQ: "this disk does not take its name",
        errno.EINVAL: "this disk does not take its name",
    }.get(error.errno or 0, (error.strerror or type(error).__name__).lower())
    return f"{_shown(path)} cannot be {verb}: {reason}."


def fsync_folder(folder: Path) -> None:
    """Have the names in a folder on disk, where the system can."""
    if os.name == "nt":
        return
    number = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network disks
            raise
    finally:
        os.close(number)


@contextmanager
def _opened(place: Path) -> Iterator[int]:
    # Without waiting: to open a pipe that nobody writes to would never end.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    number = os.open(place, flags | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        yield number
    finally:
        os.close(number)


def _bytes_of(
    place: Path, *, limit: int | None = MAX_FILE
) -> tuple[bytes, os.stat_result, os.stat_result]:
    """A file's bytes, and its state before and after. Raises OSError, Unreadable."""
    with _opened(place) as number:
        before = os.fstat(number)
        if not stat.S_ISREG(before.st_mode):
            raise Unreadable(f"{_shown(place.name)} is not a file.")
        if limit is not None and before.st_size > limit:
            raise Unreadable(f"{_shown(place.name)} is larger than a page may be.")
        parts, size = [], 0
        while part := os.read(number, 1 << 20):
            parts.append(part)
            size += len(part)
            if limit is not None and size > limit:
                raise Unreadable(f"{_shown(place.name)} is larger than a page may be.")
        return b"".join(parts), before, os.fstat(number)


def _write_new(place: Path, data: bytes, *, mode: int | None) -> os.stat_result:
    """A new file with these bytes, on disk; its state. A failed one is not left behind."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    number = os.open(place, flags, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(number, left) :]
        if mode is not None and hasattr(os, "fchmod"):
            os.fchmod(number, mode)
        os.fsync(number)
        return os.fstat(number)
    except BaseException:
        with suppress(OSError):
            os.unlink(place)
        raise
    finally:
        os.close(number)


def _put(source: Path, target: Path) -> None:
    """Rename, and never over something. Raises FileExistsError."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError) as error:
        if isinstance(error, FileNotFoundError) or not _has_no_links(error):
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        os.rename(source, target)
        return
    os.unlink(source)


def _has_no_links(error: Exception) -> bool:
    number = getattr(error, "errno", None)
    return number is None or number in (
        errno.EPERM,
        errno.ENOTSUP,
        errno.EOPNOTSUPP,
        errno.ENOSYS,
        errno.EMLINK,
        errno.EXDEV,
    )


def _put_back(swap: Callable[[Path, Path], None], beside: Path, place: Path, new: str) -> bool:
    """Put back what was displaced. Whether what lies beside now is only our own text.

    Where somebody came between even then, their newest text stands, and the one before stays beside.
    """
    try:
        swap(beside, place)
    except OSError:
        return False  # they took ours away: what they put there next would cover what was put back
    if sha256(_bytes_of(beside, limit=None)[0]).hexdigest() == new:
        return True
    with suppress(OSError):
        swap(beside, place)
    return False


def _replace_keeping(beside: Path, place: Path) -> None:
    """Without an exchange: keep the old file under another name, then put the new one over it."""
    old = beside.with_name(f"{beside.name}.old")
    try:
        os.link(place, old, follow_symlinks=False)
    except (OSError, NotImplementedError) as error:
        if isinstance(error, FileNotFoundError) or not _has_no_links(error):
            raise
        shutil.copy2(place, old, follow_symlinks=False)
    os.replace(beside, place)
    os.replace(old, beside)


def _is_one_file(one: Path, other: Path) -> bool:
    """Whether two names are one directory entry on a disk that folds case or accents."""
    try:
        return (
            one.parent == other.parent
            and one.name != other.name
            and one.name.casefold() == other.name.casefold()
            and os.path.samestat(os.lstat(one), os.lstat(other))
        )
    except OSError:
        return False


@cache
def _swapper() -> Any:
    """What exchanges two files in one step on this system; None where nothing does."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            rename = library.renameat2
            rename.argtypes = [
                ctypes.c_int,
                ctypes.c_char_p,
                ctypes.c_int,
                ctypes.c_char_p,
                ctypes.c_uint,
            ]

            def call(one: bytes, other: bytes) -> int:
                return int(rename(-100, one, -100, other, 2))  # AT_FDCWD, RENAME_EXCHANGE

        elif sys.platform == "darwin":
            rename = library.renamex_np
            rename.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint]

            def call(one: bytes, other: bytes) -> int:
                return int(rename(one, other, 2))  # RENAME_SWAP

        else:
            return None
    except (OSError, AttributeError, TypeError):
        return None

    def swap(one: Path, other: Path) -> None:
        if call(os.fsencode(one), os.fsencode(other)) == 0:
            return
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):  # not on this disk
            _replace_keeping(one, other)
            return
        raise OSError(number, os.strerror(number), str(other))

    return swap


def _is_unicode(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shown(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode("utf-8")
