"""A whole wiki as one file, and back: the database, raw bytes and the vault of one moment.

A backup is a zip archive: `wiki.db` (a SQLite database, whatever engine it came from), `raw/…`,
`vault/…`, and `manifest.json` with the SHA-256 of each. No setting and no secret is in it. Restoring
looks at all of it before anything is put in place, and puts it in an empty place alone: what a kill
leaves there is nothing yet, or is gone on with by the next start (`finish`).
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, SQLModel, col, select

from app import __version__
from app.domain.records import Raw
from app.errors import CerebroError, Conflict, Invalid, Unavailable, Unreadable
from app.sources import archive
from app.store import mirror, preferences, runs, schema, snapshots
from app.store.db import (
    SHOWN,
    broken_references,
    damage,
    generations,
    is_read_only,
    reading,
    rows_of,
    writing,
)

FORMAT, VERSION = "cere-bro backup", 1
DATABASE, MANIFEST = "wiki.db", "manifest.json"
BEFORE = 5  # backups made before migrations that are kept
_STEP = 1 << 20
_MOST_MANIFEST = 512 << 20
_LIMITS = archive.Limits(entries=20_000_000, size=1 << 60, ratio=1100)
_PATIENCE = 60.0  # seconds for which whoever writes the vault may go on
_WORK = ".cerebro-backup-"  # how the folder of one that is being made is called
_STAGED = ".restore"
_SQLITE = b"SQLite format 3\0"
_PLAN = ".restore.json"
_COUNTED = ("page", "paper", "link", "decision", "revision", "item")
# Where one call waits until everything is on disk, it is many times as quick as one a file.
_SYNCS_ALL = sys.platform == "linux"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """Where a wiki is: its database, the folder of its data, raw bytes and vault."""

    engine: Engine
    data: Path
    raw: Path
    vault: Path


@dataclass(frozen=True)
class Backup:
    """A backup that was made or restored.

    `counts` are rows by table, and files of `raw` and `vault`; `size` its bytes. `left_out` are files
    that could not be read (path, why), `links` symbolic links, which are never followed. Of a
    `database_alone` there were no files.
    """

    path: Path
    made_at: str
    revision: str
    size: int
    seconds: float
    counts: Mapping[str, int]
    left_out: tuple[tuple[str, str], ...] = ()
    links: tuple[str, ...] = ()
    database_alone: bool = False

    def as_json(self) -> dict[str, object]:
        return {
            "file": str(self.path),
            "made_at": self.made_at,
            "revision": self.revision,
            "bytes": self.size,
            "seconds": round(self.seconds, 2),
            "counts": dict(self.counts),
            "left_out": [{"path": path, "why": why} for path, why in self.left_out],
            "links": list(self.links),
        }

    def in_words(self) -> str:
        count = self.counts
        rows = (
            f"{count['page']:,} pages with {count['revision']:,} revisions, {count['paper']:,} papers, "
            f"{count['link']:,} links, {count['decision']:,} decisions"
        )
        if self.database_alone:
            return f"{rows}; raw bytes and the vault are as they were"
        return f"{rows}, {count['raw']:,} raw files and {count['vault']:,} files of the vault"


# ---------------------------------------------------------------- making one


@dataclass
class _Writing:
    """The archive that is being written, and what is to be said of it."""

    zip: zipfile.ZipFile
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def add(self, name: str, source: IO[bytes], *, mtime_ns: int | None = None) -> str:
        """Put a file in, piece by piece; its SHA-256."""
        entry = zipfile.ZipInfo(name, date_time=_zip_time(mtime_ns))
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = (stat.S_IFREG | 0o644) << 16
        digest, size = sha256(), 0
        with self.zip.open(entry, "w", force_zip64=True) as target:
            while piece := source.read(_STEP):
                digest.update(piece)
                size += len(piece)
                target.write(piece)
        said: dict[str, Any] = {"size": size, "sha256": digest.hexdigest()}
        if mtime_ns is not None:
            said["mtime_ns"] = mtime_ns
        self.members[name] = said
        return digest.hexdigest()


def _zip_time(mtime_ns: int | None) -> tuple[int, int, int, int, int, int]:
    if mtime_ns is None:
        return (1980, 1, 1, 0, 0, 0)
    moment = time.gmtime(min(max(mtime_ns // 10**9, 315_532_800), 4_354_819_198))
    return (moment[0], moment[1], moment[2], moment[3], moment[4], moment[5])


def backup(
    place: Place,
    file: Path,
    *,
    now: datetime,
    force: bool = False,
    progress: Progress = lambda words: None,
) -> Backup:
    """Write all of the wiki into one new file, while others write; what it holds.

    A folder as `file` gets a file named after the day and time. Everything that was acknowledged
    before this began is in it. The file is there whole or not at all. Raises Conflict for one that is
    there already, unless `force`; Unavailable when something cannot be read or written.
    """
    began = time.monotonic()
    if file.name == "-":
        raise Invalid("A backup is not written to standard output: name a file, and copy that.")
    if file.is_dir():
        file = file / f"cerebro-{now:%Y-%m-%d-%H%M%S}.zip"
    _refuse_place(place, file, force=force)
    try:
        _sweep(file.parent)
        with tempfile.TemporaryDirectory(prefix=_WORK, dir=file.parent) as work:
            made = _make(place, Path(work), now=now, progress=progress)
            part = Path(work) / "backup.zip"
            if file.exists() and not force:
                raise _exists(file)
            os.replace(part, file)
            _sync(file.parent)
    except OSError as error:
        raise Unavailable(
            f"The backup could not be written to {file.parent}: {_why(error)}. Nothing was left there."
        ) from error
    return Backup(
        path=file,
        made_at=made["made_at"],
        revision=made["revision"],
        size=file.stat().st_size,
        seconds=time.monotonic() - began,
        counts=made["counts"],
        left_out=tuple((each["path"], each["why"]) for each in made["left_out"]),
        links=tuple(made["links"]),
    )


def _refuse_place(place: Place, file: Path, *, force: bool) -> None:
    if not file.parent.is_dir():
        raise Invalid(f"There is no folder {file.parent}. Make it first, or name another place.")
    where = file.resolve()
    for folder in (place.raw, place.vault):
        if where.is_relative_to(folder.resolve()):
            raise Invalid(
                f"{file} is inside {folder}, which the backup holds. Name a place outside of it."
            )
    if file.exists() and not force:
        raise _exists(file)


def _exists(file: Path) -> Conflict:
    return Conflict(f"{file} is there already. Name another file, or say --force to replace it.")


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def _sweep(folder: Path) -> None:
    """Take away what backups that were killed a day ago or earlier left in a folder."""
    for each in folder.glob(f"{_WORK}*"):
        with suppress(OSError):
            if time.time() - each.stat().st_mtime > 86_400:
                shutil.rmtree(each)


def _make(place: Place, work: Path, *, now: datetime, progress: Progress) -> dict[str, Any]:
    """Write the archive into a folder of our own, synced; its manifest."""
    copy = work / DATABASE
    with (
        (work / "backup.zip").open("wb") as stream,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archived,
    ):
        into = _Writing(archived)
        with _vault_at_rest(place.engine):
            progress("copying the database")
            snapshots.take(place.engine, copy)
            progress("reading the vault")
            files = _add_vault(into, place.vault)
        with snapshots.opened(copy) as engine, reading(engine) as session:
            counts = _counts(session)
            raw = session.exec(select(Raw.sha256).order_by(col(Raw.sha256))).all()
        progress("packing the database")
        with copy.open("rb") as source:
            into.add(DATABASE, source)
        copy.unlink()
        progress("packing raw bytes")
        counts["raw"] = _add_raw(into, place.raw, raw)
        counts["vault"] = files
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "program": __version__,
            "made_at": now.isoformat(),
            "revision": schema.NEWEST,
            "counts": counts,
            "left_out": [{"path": path, "why": why} for path, why in into.left_out],
            "links": into.links,
            "members": into.members,
        }
        archived.writestr(MANIFEST, json.dumps(manifest, ensure_ascii=True, indent=0))
        archived.close()
        stream.flush()
        os.fsync(stream.fileno())
    return manifest


@contextmanager
def _vault_at_rest(engine: Engine) -> Iterator[None]:
    """Nobody but people writes into the vault meanwhile: its files are of the snapshot's moment.

    Where that cannot be had (a database that cannot be written, a look at the vault that takes long)
    a file may be of a later moment: it is then taken up as an edit after a restore, and lost is nothing.
    """
    if is_read_only(engine):
        yield
        return
    with runs.at_work(engine) as owner:
        held, until = False, time.monotonic() + _PATIENCE
        while not held and time.monotonic() < until:
            try:
                with writing(engine) as session:
                    busy = session.connection().execute(runs.held("vault", clock=time.time()))
                    if busy.first() is None:
                        runs.hold(session, "vault", [1], owner=owner, clock=time.time())
                        held = True
            except CerebroError:
                break
            if not held:
                time.sleep(0.1)
        yield
        with suppress(CerebroError), writing(engine) as session:
            runs.let_go(session, "vault", [1], owner=owner)


def _counts(session: Session) -> dict[str, int]:
    tables = SQLModel.metadata.tables
    return {
        name: session.connection()
        .execute(sa.select(sa.func.count()).select_from(tables[name]))
        .scalar_one()
        for name in _COUNTED
    }


def _add_vault(into: _Writing, vault: Path) -> int:
    """Put every file of the vault in, hidden ones too; how many."""
    count = 0
    taken: dict[str, str] = {}  # files and folders, by what tells names apart everywhere
    for path, entry in _files(vault, into):
        name = f"vault/{path}"
        if why := _unfit(name, taken):
            into.left_out.append((_shown(name), why))
            continue
        try:
            with _plain_file(vault / path) as source:
                into.add(name, source, mtime_ns=entry.stat().st_mtime_ns)
        except FileNotFoundError:
            continue  # moved on while the others were read
        except _NotRead as error:
            into.left_out.append((name, str(error)))
            continue
        count += 1
    return count


def _unfit(name: str, taken: dict[str, str]) -> str:
    """Why a file cannot be restored on every system, or ''; then its name is taken from now on."""
    if _is_staging(name):
        return "its name is that of the folder that a backup is unpacked into"
    keys = {"/".join(name.split("/")[:end]): "folder" for end in range(1, name.count("/") + 1)}
    found = {path: archive.key_of(path) for path in (*keys, name)}
    for path, key in found.items():
        if key is None or _shown(path) != path:
            return "its name is none that every system can hold"
        other = taken.get(key)
        if other is not None and (other != path or path == name):
            return f"only capitals or accents tell its name from {other}"
    taken.update({str(key): path for path, key in found.items()})
    return ""


def _is_staging(name: str) -> bool:
    """Whether a file of the vault would lie where a restore has what it is about to put in place."""
    return name.casefold().split("/")[:2] == ["vault", _STAGED]


class _NotRead(Exception):
    """A file that is none to read, or cannot be read, and why."""


@contextmanager
def _plain_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to read: no link is followed, and nothing waited for that is no file."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _NotRead(f"it cannot be read: {_why(error)}") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _NotRead("it is no plain file")
        yield file


def _files(folder: Path, into: _Writing) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every file below a folder by its path with slashes, in order.

    Objects of a Git repository come last: what names them is read before they are.
    """
    waiting: list[str] = [""]
    objects: list[str] = []
    while waiting or objects:
        inner = waiting.pop() if waiting else objects.pop()
        try:
            with os.scandir(folder / inner) as found:
                entries = sorted(found, key=lambda each: each.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            into.left_out.append((f"vault/{inner}", f"it cannot be read: {_why(error)}"))
            continue
        for entry in entries:
            path = f"{inner}/{entry.name}" if inner else entry.name
            if entry.is_symlink():
                into.links.append(f"vault/{_shown(path)}")
            elif entry.is_dir(follow_symlinks=False):
                if path == _STAGED:
                    continue
                (objects if path.endswith(".git/objects") else waiting).append(path)
            elif entry.is_file(follow_symlinks=False):
                yield path, entry
            else:
                into.left_out.append((f"vault/{_shown(path)}", "it is no plain file"))


def _shown(path: str) -> str:
    return path.encode("utf-8", "replace").decode()


def _add_raw(into: _Writing, folder: Path, digests: Any) -> int:
    count = 0
    for digest in digests:
        name = f"raw/{digest[:2]}/{digest}"
        try:
            with _plain_file(folder / digest[:2] / digest) as source:
                if into.add(name, source) != digest:
                    into.left_out.append((name, "its bytes are damaged; they are in as they are"))
        except FileNotFoundError:
            into.left_out.append((name, "it is gone from the data folder"))
            continue
        except _NotRead as error:
            into.left_out.append((name, str(error)))
            continue
        count += 1
    return count


def _sync(folder: Path) -> None:
    """Let the names in a folder survive power loss, where folders can be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# ---------------------------------------------------------------- restoring one


@dataclass(frozen=True)
class _Member:
    size: int
    sha256: str
    mtime_ns: int | None


def restore(place: Place, file: Path, *, progress: Progress = lambda words: None) -> Backup:
    """Put a backup into an empty place, all of it or nothing; what was restored.

    Everything is looked at before anything is put in place. A backup of an older version is brought
    up to date first. A copy that was kept before a migration is a database alone: it goes into a place
    without one, whose raw bytes and vault stay as they are. Raises Conflict when the place is not empty, Unreadable for a file that is no
    whole backup, Unavailable when it is of a newer version or the disk refuses.
    """
    began = time.monotonic()
    finish(place)
    if _is_database(file):
        return _restore_database(place, file, began, progress)
    with _alone(place.data), archive.opened(file, limits=_LIMITS, check=False) as opened:
        manifest = _manifest(opened, file)
        members = _members(opened, manifest, file)
        _is_empty(place)
        staged = _Staged.of(place)
        _fits(place, members, staged)
        staged.plan(ready=False)
        try:
            _unpack(opened, members, staged, file, progress)
            progress("looking at the database")
            revision = _look(staged.database, manifest, members, file)
            staged.plan(ready=True)
        except BaseException:
            staged.clear()
            raise
        progress("putting it in place")
        _put(place, staged)
    return Backup(
        path=file,
        made_at=str(manifest.get("made_at", "")),
        revision=revision,
        size=file.stat().st_size,
        seconds=time.monotonic() - began,
        counts=_told_counts(manifest),
        left_out=_told_left_out(manifest),
        links=tuple(str(each) for each in _list(manifest.get("links"))),
    )


def _is_database(file: Path) -> bool:
    try:
        with file.open("rb") as head:
            return head.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False  # whoever opens it says why


def _restore_database(place: Place, file: Path, began: float, progress: Progress) -> Backup:
    """Put a database that is one file into a place that has none, brought up to date."""
    log = file.with_name(f"{file.name}-wal")
    if log.exists() and log.stat().st_size:
        raise Conflict(
            f"Beside {file} lies its log ({log.name}): a program has it open, or ended before it was "
            "written back. End that program, or open and close the file once, then restore it."
        )
    with _alone(place.data):
        _has_no_wiki(place)
        staged = _Staged.of(place)
        _fits(place, {DATABASE: _Member(file.stat().st_size, "", None)}, staged)
        staged.plan(ready=False)
        try:
            progress("copying the database")
            try:
                shutil.copyfile(file, staged.database)
                with staged.database.open("rb+") as copied:
                    os.fsync(copied.fileno())
            except OSError as error:
                raise Unavailable(f"{file} could not be copied: {_why(error)}.") from error
            progress("looking at the database")
            with _in_words_of(file), snapshots.opened(staged.database) as engine:
                revision = _brought_up(engine, file)
                with reading(engine) as session:
                    counts = {**_counts(session), "raw": 0, "vault": 0}
            staged.plan(ready=True)
        except BaseException:
            staged.clear()
            raise
        progress("putting it in place")
        _put(place, staged)
    made = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return Backup(
        path=file,
        made_at=made.isoformat(),
        revision=revision,
        size=file.stat().st_size,
        seconds=time.monotonic() - began,
        counts=counts,
        database_alone=True,
    )


def _damaged(file: Path, what: str) -> Unreadable:
    return Unreadable(f"{file.name} is damaged: {what}. Nothing was restored; use another backup.")


def _manifest(opened: archive.Archive, file: Path) -> dict[str, Any]:
    if MANIFEST not in opened.names:
        raise Unreadable(f"{file.name} is no backup of cere-bro: it has no {MANIFEST}.")
    if opened.size(MANIFEST) > _MOST_MANIFEST:
        raise _damaged(file, f"its {MANIFEST} is larger than any is")
    try:
        found = json.loads(opened.read(MANIFEST))
    except (ValueError, RecursionError) as error:
        raise _damaged(file, f"its {MANIFEST} cannot be read") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise Unreadable(
            f"{file.name} is no backup of cere-bro: its {MANIFEST} says nothing of one."
        )
    version = found.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise Unavailable(
            f"{file.name} was made by a newer version of cere-bro. Restore it with that."
        )
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _told_counts(manifest: dict[str, Any]) -> dict[str, int]:
    told = manifest.get("counts")
    told = told if isinstance(told, dict) else {}
    return {
        name: told[name] if isinstance(told.get(name), int) else 0
        for name in (*_COUNTED, "raw", "vault")
    }


def _told_left_out(manifest: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (str(each.get("path", "")), str(each.get("why", "")))
        for each in _list(manifest.get("left_out"))
        if isinstance(each, dict)
    )


def _members(opened: archive.Archive, manifest: dict[str, Any], file: Path) -> dict[str, _Member]:
    """What the manifest says of each file, when it says it of all of them and of no other."""
    told = manifest.get("members")
    members = {}
    for name, said in told.items() if isinstance(told, dict) else ():
        size, digest, mtime = (
            (said.get("size"), said.get("sha256"), said.get("mtime_ns"))
            if isinstance(said, dict)
            else (None, None, None)
        )
        if not isinstance(size, int) or not isinstance(digest, str):
            raise _damaged(file, f"its manifest does not say what {name!r} is")
        members[name] = _Member(size, digest, mtime if isinstance(mtime, int) else None)
    there = set(opened.names) - {MANIFEST}
    if DATABASE not in members:
        raise _damaged(file, "its manifest names no database")
    if missing := sorted(members.keys() - there):
        raise _damaged(file, f"{missing[0]!r} is missing")
    if more := sorted(there - members.keys()):
        raise _damaged(file, f"it holds {more[0]!r}, of which its manifest does not know")
    for name, member in members.items():
        if opened.size(name) != member.size:
            raise _damaged(file, f"{name!r} is not as long as its manifest says")
        known = name == DATABASE or _is_raw(name) or name.startswith("vault/")
        if not known or _is_staging(name):  # that could never be put in place
            raise _damaged(file, f"it holds {name!r}, which is no part of a backup")
    return members


def _is_raw(name: str) -> bool:
    parts = name.split("/")
    return (
        len(parts) == 3
        and parts[0] == "raw"
        and len(parts[2]) == 64
        and set(parts[2]) <= set("0123456789abcdef")
        and parts[1] == parts[2][:2]
    )


def _has_no_wiki(place: Place) -> None:
    """Raises Conflict when there is a wiki in the database."""
    if table := snapshots.first_filled(place.engine):
        raise Conflict(
            f"There is a wiki in the database already (table {table} has rows). A backup is restored "
            "into an empty place alone: set CEREBRO_DATA to a new folder, or move the old one away."
        )


def _is_empty(place: Place) -> None:
    """Raises Conflict unless nothing is where the backup would go."""
    _has_no_wiki(place)
    for folder, what in ((place.raw, "raw bytes"), (place.vault, "a vault")):
        for path in folder.rglob("*") if folder.is_dir() else ():
            inner = path.relative_to(folder)
            own = inner.parts[0] == _STAGED or inner.parts == (".cerebro", "vault.json")
            if not own and (path.is_symlink() or not path.is_dir()):
                raise Conflict(
                    f"{folder} holds {what} already ({inner}). A backup is restored into an empty "
                    "place alone: move the folder away first."
                )


@dataclass(frozen=True)
class _Staged:
    """Where a backup is unpacked before it is put in place: inside of where each part will be."""

    at: Path  # the plan
    raw: Path
    vault: Path
    database: Path

    @classmethod
    def of(cls, place: Place) -> _Staged:
        name = place.engine.url.database or ""
        home = Path(name).parent if snapshots.has_files(place.engine) else place.data
        return cls(
            place.data / _PLAN, place.raw / _STAGED, place.vault / _STAGED, home / f"{_STAGED}.db"
        )

    def plan(self, *, ready: bool) -> None:
        """Note that something is staged, and whether it is whole: from then on it is put in place."""
        part = self.at.with_name(f"{self.at.name}.part") if ready else self.at
        with part.open("w") as file:
            json.dump({"ready": ready}, file)
            file.flush()
            os.fsync(file.fileno())
        if ready:
            os.replace(part, self.at)
        _sync(self.at.parent)

    def is_ready(self) -> bool:
        try:
            return json.loads(self.at.read_bytes()).get("ready") is True
        except (ValueError, AttributeError):
            return False

    def clear(self) -> None:
        """Take everything that is staged away, and the plan at the end."""
        for folder in (self.raw, self.vault):
            shutil.rmtree(folder, ignore_errors=True)
        for end in ("", "-wal", "-shm", "-journal"):
            self.database.with_name(self.database.name + end).unlink(missing_ok=True)
        self.at.with_name(f"{self.at.name}.part").unlink(missing_ok=True)
        self.at.unlink(missing_ok=True)


def _fits(place: Place, members: Mapping[str, _Member], staged: _Staged) -> None:
    """Raises Unavailable when what is unpacked would not fit where it goes."""
    wanted: dict[int, tuple[Path, int]] = {}
    for start, folder in (
        ("raw/", place.raw),
        ("vault/", place.vault),
        (DATABASE, staged.database.parent),
    ):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            device = folder.stat().st_dev
        except OSError as error:
            raise Unavailable(f"The folder {folder} cannot be made: {_why(error)}.") from error
        size = sum(member.size for name, member in members.items() if name.startswith(start))
        wanted[device] = (folder, wanted.get(device, (folder, 0))[1] + size)
    for folder, size in wanted.values():
        free = shutil.disk_usage(folder).free
        if size > free:
            raise Unavailable(
                f"The backup unpacks to {size / 1e6:,.0f} MB, and {folder} has room for "
                f"{free / 1e6:,.0f} MB. Free some space first."
            )


def _unpack(
    opened: archive.Archive,
    members: Mapping[str, _Member],
    staged: _Staged,
    file: Path,
    progress: Progress,
) -> None:
    """Unpack every file beside its place and compare it with what the manifest says of it."""
    roots = {"raw": staged.raw, "vault": staged.vault}
    for folder in roots.values():
        folder.mkdir(exist_ok=True)
    folders: set[Path] = set()
    for number, (name, member) in enumerate(members.items()):
        if number % 500 == 0:
            progress(f"unpacking {number:,} of {len(members):,} files")
        root, _, inner = name.partition("/")
        path = staged.database if name == DATABASE else roots[root] / inner
        try:
            if path.parent not in folders:
                path.parent.mkdir(parents=True, exist_ok=True)
                folders.add(path.parent)
            digest = _unpack_one(opened, name, path, member)
        except OSError as error:
            raise Unavailable(
                f"{path.parent} cannot be written: {_why(error)}. Nothing was restored."
            ) from error
        if digest != member.sha256:
            raise _damaged(file, f"{name!r} is not what its manifest says")
    if _SYNCS_ALL:
        os.sync()
    for folder in sorted(folders, reverse=True):
        _sync(folder)


def _unpack_one(opened: archive.Archive, name: str, path: Path, member: _Member) -> str:
    digest = sha256()
    with path.open("xb") as target:
        for piece in opened.pieces(name):
            digest.update(piece)
            target.write(piece)
        if not _SYNCS_ALL:
            target.flush()
            os.fsync(target.fileno())
    if member.mtime_ns is not None:
        with suppress(OSError, OverflowError):
            os.utime(path, ns=(member.mtime_ns, member.mtime_ns))
    return digest.hexdigest()


def _look(path: Path, manifest: dict[str, Any], members: Mapping[str, _Member], file: Path) -> str:
    """See that the database is whole and belongs to the rest, bring it up to date; its old revision."""
    if not _is_database(path):
        raise _damaged(file, f"its {DATABASE} is no database")
    with _in_words_of(file), snapshots.opened(path) as engine:
        revision = _brought_up(engine, file, told=manifest.get("revision"))
        with reading(engine) as session:
            known = set(session.exec(select(Raw.sha256)))
        _agree(known, members, manifest, file)
        if not any(name.startswith("vault/") for name in members):
            with writing(engine) as session:
                mirror.mark_all(session)  # there is no file to compare a page with
    return revision


def _brought_up(engine: Engine, file: Path, *, told: object = None) -> str:
    """See that a database is whole, bring its schema up to date; the revision it was of.

    `told` is the revision that a manifest tells.
    """
    with reading(engine) as session:
        if wrong := damage(session):
            raise _damaged(file, f"its database is not whole ({wrong[0][:200]})")
    revision = schema.current(engine)
    if revision is None and told is None:
        raise Unreadable(f"{file.name} is a database, and none of a wiki. Nothing was restored.")
    if revision is None or (told is not None and revision != told):
        raise _damaged(file, "its manifest and its database are of different versions")
    schema.upgrade(engine)
    with reading(engine) as session:
        if broken_references(session):
            raise _damaged(file, "rows of its database point at rows that are gone")
    return revision


@contextmanager
def _in_words_of(file: Path) -> Iterator[None]:
    """What is wrong with a database that came out of a file is said of that file."""
    try:
        yield
    except sa.exc.DatabaseError as error:
        raise _damaged(file, "its database is none of a wiki") from error
    except Unavailable as error:
        if type(error.__cause__) is sa.exc.DatabaseError:  # of what the file holds, not of the disk
            raise _damaged(file, "its database is not whole") from error
        raise Unavailable(f"{file.name} was not restored. {error}") from error


def _agree(
    known: set[str], members: Mapping[str, _Member], manifest: dict[str, Any], file: Path
) -> None:
    there = {name.rsplit("/", 1)[1] for name in members if _is_raw(name)}
    left_out = {path.rsplit("/", 1)[-1] for path, _ in _told_left_out(manifest)}
    if more := sorted(there - known):
        raise _damaged(file, f"it holds raw bytes of which its database does not know ({more[0]})")
    if missing := sorted(known - there - left_out):
        raise _damaged(file, f"raw bytes that its database names are missing ({missing[0]})")


def _put(place: Place, staged: _Staged) -> None:
    """Move what is staged to where it belongs, the database last: with it the wiki is there."""
    try:
        for source in (staged.raw, staged.vault):
            _move_up(source)
        if staged.database.exists():
            if snapshots.has_files(place.engine) or not snapshots.first_filled(place.engine):
                snapshots.put(staged.database, place.engine)
            _sync(staged.database.parent)
    except OSError as error:
        raise Unavailable(
            f"The backup could not be put in place: {_why(error)}. Start again, and it is gone on with."
        ) from error
    staged.clear()


def _move_up(source: Path) -> None:
    """Move every file below a folder to the same path below the folder that it is in."""
    if not source.is_dir():
        return
    target = source.parent
    made: set[Path] = {target}
    for path in sorted(source.rglob("*")):
        if path.is_dir():
            continue
        to = target / path.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        made.add(to.parent)
        os.replace(path, to)
    for folder in made:
        _sync(folder)
    shutil.rmtree(source)


def finish(place: Place) -> str:
    """Go on with a restore that was killed, or take away what it left; in words what was done.

    For every start, before the database is looked at. Raises Conflict while another process restores
    here, and whatever keeps it from being finished.
    """
    staged = _Staged.of(place)
    if not staged.at.exists():
        return ""
    with _alone(place.data):
        if not staged.at.exists():
            return ""  # somebody else finished it
        if staged.is_ready():
            _put(place, staged)
            return "A backup whose restoring had been cut off is in place now."
        staged.clear()
        return "What a restore that had been cut off left behind was taken away."


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """No other process restores into this folder meanwhile. Raises Conflict."""
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"The folder {data} cannot be made: {_why(error)}.") from error
    if find_spec("fcntl") is None:  # a system without locks of folders
        yield
        return
    import fcntl

    descriptor = os.open(data, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(
                f"A backup is being restored into {data}. Wait until that is done."
            ) from error
        yield
    finally:
        os.close(descriptor)


# ---------------------------------------------------------------- before a migration


def before_migration(
    engine: Engine, data: Path, *, to: str, now: datetime, say: Callable[[str], None]
) -> None:
    """Keep a copy of the database as it is before its schema is changed; the newest five are kept.

    Of a database on a server the copy is a SQLite file of the same schema, which `restore` reads.
    Raises Unavailable when the copy cannot be made: then nothing is to be changed.
    """
    folder = data / "backups"
    file = folder / f"before-{to}-{now:%Y-%m-%d-%H%M%S}.db"
    for number in range(2, 1000):  # with a clock that stands still
        if not file.exists():
            break
        file = folder / f"before-{to}-{now:%Y-%m-%d-%H%M%S}-{number}.db"
    part = file.with_name(f".{file.name}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".before-*.part*"):  # of one that was killed: we are alone here
            left.unlink(missing_ok=True)
        snapshots.take_as_it_is(engine, part)
        with part.open("rb") as made:
            os.fsync(made.fileno())
        os.replace(part, file)
        _sync(folder)
        for old in sorted(folder.glob("before-*.db"), key=_age)[:-BEFORE]:
            old.unlink(missing_ok=True)
    except (OSError, Unavailable) as error:
        for end in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                part.with_name(part.name + end).unlink(missing_ok=True)
        why = _why(error) if isinstance(error, OSError) else str(error)
        raise Unavailable(
            f"The database was not brought up to date, because no copy of it could be made in {folder} "
            f"before: {why.rstrip('.')}."
        ) from error
    say(f"Before its schema is brought up to date, the database was copied to {file}.")


def _age(file: Path) -> tuple[int, str]:
    return file.stat().st_mtime_ns, file.name


# ---------------------------------------------------------------- one a day

DAYS, WEEKS = 7, 4  # daily backups that are kept, and of the days before them one a week
_RESERVE = 64 << 20  # bytes that a backup leaves free on the disk it is written to
_AGAIN = 3600.0  # seconds after one that failed in which no other is tried
_UNCHANGED = ("run", "model_call")  # counters that a day without any change raises, too


@dataclass(frozen=True)
class Kept:
    """How the daily backups stand: the newest one of them, and why there is none of today."""

    on: bool
    folder: Path
    newest: Path | None = None
    size: int = 0
    count: int = 0
    trouble: str = ""

    @property
    def day(self) -> str:
        """The day of the newest, as YYYY-MM-DD; "" when there is none."""
        return self.newest.stem.removeprefix("daily-") if self.newest else ""

    @property
    def says(self) -> str:
        """All of it in words, with how one is restored."""
        if not self.on:
            said = "none is made by itself: that is switched off in Settings"
        elif self.newest is None:
            said = "none was made yet; one a day is made while a worker runs"
        else:
            said = f"the newest is of {self.day}"
        if self.newest is not None:
            said += (
                f" ({self.newest}, {self.size / 1e6:,.1f} MB, {self.count} kept). To go back to it, "
                f"set CEREBRO_DATA to a new folder and say: cerebro restore {self.newest}"
            )
        return f"{said}. {self.trouble}" if self.trouble and self.on else said


def kept(session: Session, data: Path) -> Kept:
    """What daily backups there are in the data folder, and what kept the last one from being made."""
    folder = data / "backups"
    files = _dailies(folder)
    return Kept(
        on=preferences.backups_wanted(session),
        folder=folder,
        newest=files[-1] if files else None,
        size=_size(files[-1]) if files else 0,
        count=len(files),
        trouble=preferences.backup_trouble(session)[1],
    )


def keep_daily(place: Place, *, now: datetime, today: str) -> Backup | None:
    """Make the day's backup when it is due and prune the older ones; None when none is due.

    None is due on a day that has one, while nothing changed since the last, in the hour after one that
    failed, or where the reader wants none. Why one failed is kept, and raised as Unavailable.
    """
    with reading(place.engine) as session:
        if not preferences.backups_wanted(session):
            return None
        day, counted = preferences.backed_up(session)
        tried, trouble = preferences.backup_trouble(session)
        stands = _changes(session)
    folder = place.data / "backups"
    there = _dailies(folder)
    if there and (day == today or counted == stands):
        return None
    if trouble and 0 <= now.timestamp() - tried < _AGAIN:
        return None
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _has_room(place, folder, there)
            made = backup(place, folder / f"daily-{today}.zip", now=now, force=True)
            for old in _superfluous(_dailies(folder)):
                old.unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"{folder} cannot be written: {_why(error)}.") from error
    except CerebroError as error:
        said = f"No backup was made on {today}: {error}"
        with suppress(CerebroError), writing(place.engine, alone=False) as session:
            preferences.set_backup_trouble(session, now.timestamp(), said)
        raise Unavailable(said) from error
    with writing(place.engine, alone=False) as session:
        preferences.set_backed_up(session, today, stands)
        said = f"{len(made.left_out)} files could not be read for the backup of {today}, such as "
        trouble = f"{said}{made.left_out[0][0]}." if made.left_out else ""
        preferences.set_backup_trouble(session, now.timestamp(), trouble)
    return made


def _changes(session: Session) -> int:
    """A number that grows with what a backup would hold; what was chosen or ran does not count."""
    without = (SHOWN, *map(rows_of, _UNCHANGED))
    return sum(value for name, value in generations(session).items() if name not in without)


def _dailies(folder: Path) -> list[Path]:
    """The daily backups in a folder, oldest first."""
    found = []
    for path in folder.glob("daily-????-??-??.zip"):
        with suppress(ValueError):
            found.append((date.fromisoformat(path.stem.removeprefix("daily-")), path))
    return [path for _, path in sorted(found)]


def _superfluous(files: list[Path]) -> list[Path]:
    """Of daily backups, oldest first: those that are neither of the last days nor of their week's end."""
    older = files[:-DAYS]
    weeks = {date.fromisoformat(path.stem[6:]).isocalendar()[:2]: path for path in older}
    stay = set(list(weeks.values())[-WEEKS:])
    return [path for path in older if path not in stay]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0  # it was taken away meanwhile


def _has_room(place: Place, folder: Path, there: list[Path]) -> None:
    """Raises Unavailable unless a backup surely fits: the copied database lies beside it meanwhile."""
    own = place.engine.url.database or ""
    database = _size(Path(own)) if snapshots.has_files(place.engine) else 0
    if there:
        size = _size(there[-1]) * 5 // 4
    else:
        size = database + sum(
            _size(path) for root in (place.raw, place.vault) for path in root.rglob("*")
        )
    wanted, free = database + size + _RESERVE, shutil.disk_usage(folder).free
    if wanted > free:
        raise Unavailable(
            f"{folder} has room for {free / 1e6:,.0f} MB, and it takes about {wanted / 1e6:,.0f} MB. "
            "Free some space, or switch daily backups off in Settings."
        )
