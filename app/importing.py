"""Importing files, folders and web addresses, in batches between which others may write, with one report.

Beside the pipeline, not in it: a person asks for an import; nothing of it is pending. One that is
cut off has stored whole things, perhaps without the links between them; run again, it goes on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import Protocol

from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.domain.items import Rejected
from app.domain.records import ActKind
from app.errors import CerebroError, Conflict, Unreadable
from app.services import interchange, subscriptions
from app.services.ingest import Outcome, Report, import_files
from app.sources import archive
from app.sources.articles import fetched, is_address
from app.sources.base import GZIP, MAX_BYTES, File, Reader, read_ahead
from app.sources.connectors import Connector, Web
from app.sources.discovery import subscription
from app.sources.interchange import Interchange, is_whole
from app.sources.obsidian import FOLDER, Obsidian, of_vault
from app.store import acts
from app.store.db import settle, writing

BATCH = 100  # things stored between two commits, at most
HELD = 0.2  # seconds after which a commit comes sooner: others wait for it
BREATH = 0.02  # seconds in which another writer may begin
# Of other tools, and copies they made: never pages.
_SKIPPED = (".git", ".obsidian", ".trash", ".cerebro", "node_modules")


class Wiki(Protocol):
    """What an import needs of the App."""

    @property
    def engine(self) -> Engine: ...
    @property
    def readers(self) -> tuple[Reader, ...]: ...
    @property
    def raw_folder(self) -> Path: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...
    @property
    def web(self) -> Web: ...
    @property
    def connectors(self) -> tuple[Connector, ...]: ...


class _DryRun(Exception):
    """A dry run ends by throwing its transaction away."""


@dataclass
class Imported:
    """What an import of several files did. `failed` means that nothing in them could be taken."""

    report: Report = field(default_factory=Report)
    files: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)  # attachments of vaults, by their kind
    whole: bool = False  # a whole wiki was read back

    @property
    def failed(self) -> bool:
        return self.files == 0 or (bool(self.refused) and not self.report.counts)

    def as_json(self) -> dict[str, object]:
        return {
            "files": self.files,
            "new": self.report.total(Outcome.NEW),
            "changed": self.report.total(Outcome.CHANGED),
            "same": self.report.total(Outcome.SAME),
            "rejected": [{"where": where, "reason": reason} for where, reason in self.refused],
            "kinds": self.report.by_kind(),
            "left": dict(self.left),
            "unread": dict(self.report.unread),
        }

    def in_words(self) -> Iterator[str]:
        """Lines for a terminal: the totals, then each kind of thing."""
        yield (
            f"{self.report.total(Outcome.NEW)} new, {self.report.total(Outcome.CHANGED)} changed, "
            f"{self.report.total(Outcome.SAME)} same, {len(self.refused)} rejected"
            + (" (below, with the reasons)" if self.refused else "")
        )
        if changed := list(dict.fromkeys(self.report.changed)):
            yield f"  changed: {named_in_short(changed)}"
        for kind, counts in self.report.by_kind().items():
            yield f"  {kind}: " + ", ".join(f"{n} {name}" for name, n in counts.items())
        if self.left:
            kinds = ", ".join(f"{number} {kind}" for kind, number in self.left.most_common(8))
            yield f"  attachments left where they are: {self.left.total()} ({kinds})"
        if self.report.unread:
            kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(self.report.unread.items()))
            yield f"  only for a wiki that is empty, and not read into this one: {kinds}"


def import_paths(
    wiki: Wiki,
    paths: Sequence[Path | str],
    *,
    format: str | None = None,
    dry_run: bool = False,
    keep_raw: bool = True,
    progress: Callable[[int], None] = lambda at: None,
) -> Imported:
    """Import files, folders and zip archives (their Markdown and other readable files).

    What is hidden is passed over. A text that is a web address is fetched, and read by what comes, like
    a file. A file that cannot be read is refused with its reason; the others go on. A whole wiki, as an
    export wrote it, is read back into a wiki that is empty. `progress` hears how many things have been
    read.
    """
    result = Imported()
    paths = _read_back(wiki, paths, format, result, dry_run=dry_run, progress=progress)
    words = f"Import of {named_in_short([Path(each).name or str(each) for each in paths])}"
    with (
        ExitStack() as opened,
        acts.doing(wiki.engine, ActKind.IMPORT, words, clock=wiki.clock),
    ):
        return _import(wiki, paths, format, result, opened, dry_run, keep_raw, progress)


def _import(
    wiki: Wiki,
    paths: Sequence[Path | str],
    format: str | None,
    result: Imported,
    opened: ExitStack,
    dry_run: bool,
    keep_raw: bool,
    progress: Callable[[int], None],
) -> Imported:
    read, stored, since = result.report.total(Outcome.NEW), 0, time.monotonic()

    def count() -> None:
        nonlocal read, stored, since
        read += 1
        stored += 1
        progress(read)
        if (stored >= BATCH or time.monotonic() - since > HELD) and not dry_run:
            # Others may write between two batches. An import that is cut off is simply run again.
            session.commit()
            time.sleep(BREATH)
            stored, since = 0, time.monotonic()

    # What takes a while comes before anything is written: others wait for no server and no PDF.
    files, known = _gathered(wiki, paths, format, result, opened)
    readers = read_ahead(_loaded(files, Imported()), known, format=format)
    try:
        with writing(wiki.engine) as session:
            reports = import_files(
                session,
                _loaded(files, result),
                readers,
                format=format,
                raw_folder=wiki.raw_folder if keep_raw and not dry_run else None,
                now=wiki.clock(),
                progress=count,
            )
            for _, report in reports:
                if isinstance(report, Report):
                    _subscribe(session, wiki, report)
            if dry_run:
                raise _DryRun
            session.commit()
            if read >= BATCH:
                settle(wiki.engine)
    except _DryRun:
        pass
    for name, report in reports:
        if isinstance(report, CerebroError):
            result.refused.append((name, _once_named(name, str(report))))
            continue
        if not any((report.counts, report.rejected, report.unread)):
            result.refused.append((name, "There is nothing in it that can be imported."))
            continue
        result.files += 1
        result.report.add(report)
        result.refused += [(f"{name}, {r.where}", r.reason) for r in report.rejected]
    return result


def named_in_short(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    shown = ", ".join(name[:80] for name in names[:3])
    return f"{shown} and {len(names) - 3:,} more" if len(names) > 3 else shown


def _subscribe(session: Session, wiki: Wiki, report: Report) -> None:
    """Subscribe to the feeds that a list names. One that is subscribed to stays as it is."""
    for each in report.subscriptions:
        try:
            found = subscription(each.url, each.name, wiki.connectors)
            subscriptions.add(session, found, connectors=wiki.connectors, now=wiki.clock())
        except Conflict:
            report.counts["source", Outcome.SAME] += 1
        except CerebroError as error:
            report.rejected.append(Rejected(where=each.name[:80], reason=str(error)))
        else:
            report.counts["source", Outcome.NEW] += 1


def _once_named(name: str, reason: str) -> str:
    """A refusal that begins with the file's name, without it: it is printed behind that name."""
    return f"It {reason.removeprefix(f'{name} ')}" if reason.startswith(f"{name} ") else reason


def _read_back(
    wiki: Wiki,
    paths: Sequence[Path | str],
    format: str | None,
    result: Imported,
    *,
    dry_run: bool,
    progress: Callable[[int], None],
) -> list[Path | str]:
    """Read the first file that holds a whole wiki back into one that is empty; the other paths."""
    left = list(paths)
    for path in paths if format in (None, Interchange.format) else ():
        if (isinstance(path, str) and is_address(path)) or not _holds_a_whole_wiki(Path(path)):
            continue
        try:
            with writing(wiki.engine) as session, Path(path).open("rb") as file:
                if not interchange.is_empty(session):
                    return left
                left.remove(path)
                counts = interchange.restore(session, interchange.lines_of(file), progress=progress)
                if dry_run:
                    raise _DryRun
        except Unreadable as error:
            result.refused.append((Path(path).name, str(error)))
            return left
        except _DryRun:
            pass
        else:
            settle(wiki.engine)
        result.files, result.whole = 1, True
        result.report.counts.update({(kind, Outcome.NEW): n for kind, n in counts.items()})
        return left
    return left


def _holds_a_whole_wiki(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return is_whole(file.read(2_000))
    except OSError:
        return False  # whoever reads it hears of it


@dataclass(frozen=True)
class _There:
    """A file that is read when it is its turn; `read` raises OSError or Unreadable."""

    name: str
    size: int
    read: Callable[[], bytes]
    packed: bool = False  # in an archive


def _gathered(
    wiki: Wiki,
    paths: Sequence[Path | str],
    format: str | None,
    result: Imported,
    opened: ExitStack,
) -> tuple[list[_There | File], tuple[Reader, ...]]:
    """The files to read, and what reads them: first of all an Obsidian vault's notes as such.

    What else a vault has is attachments: they are counted, and left where they are.
    """
    files: list[_There | File] = []
    names: list[str] = []
    for path in paths:
        found, vault = _found(wiki, path, result, opened)
        if (vault and format is None) or format == Obsidian.format:
            here = [each.name for each in found]
            its, left = of_vault(here)
            result.left += left
            found = [each for each, name in zip(found, here, strict=True) if name in its.names]
            names += sorted(its.names)
        files += found
    if not names:
        return files, wiki.readers
    return files, (of_vault(names)[0], *wiki.readers)


def _found(
    wiki: Wiki, path: Path | str, result: Imported, opened: ExitStack
) -> tuple[Sequence[_There | File], bool]:
    """The files that a path means, or what is at an address, and whether they are an Obsidian vault."""
    try:
        if isinstance(path, str) and is_address(path):
            return [fetched(wiki.web, path)], False
        path = Path(path)
        if _is_archive(path):
            return unpacked_files(opened.enter_context(archive.opened(path)))
    except CerebroError as error:
        result.refused.append((_called(path), _once_named(_called(path), str(error))))
        return [], False
    return list(_files(path, result)), (path / FOLDER).is_dir()


def _called(path: Path | str) -> str:
    return path.name if isinstance(path, Path) else path.strip()[:200]


def _is_archive(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return archive.is_archive(file.read(4))
    except OSError:
        return False  # a folder, or none: whoever reads it hears of it


def unpacked_files(packed: archive.Archive) -> tuple[list[_There], bool]:
    """What an archive holds to read, and whether that is an Obsidian vault. Raises Unreadable."""
    names = packed.names
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise Unreadable("It is a document of another program, not an archive of files.")
    shown = [name for name in names if not _is_hidden(PurePosixPath(name))]
    if not shown:
        raise Unreadable("There is no file in this archive to read.")
    vault = any(FOLDER in PurePosixPath(name).parts for name in names)
    return [
        _There(name, packed.size(name), partial(packed.read, name), packed=True) for name in shown
    ], vault


def _loaded(files: Sequence[_There | File], result: Imported) -> Iterator[File]:
    for each in files:
        if isinstance(each, File):
            yield each
            continue
        if each.size > MAX_BYTES:
            reason = f"Larger than {MAX_BYTES // 1_000_000} MB: split it."
            result.refused.append((each.name, reason))
            continue
        try:
            data = each.read()
        except OSError as error:
            result.refused.append((each.name, f"Cannot be read: {error.strerror}."))
            continue
        if each.packed and (archive.is_archive(data) or data.startswith(GZIP)):
            reason = "It is an archive in an archive. Unpack it, and import what is in it."
            result.refused.append((each.name, reason))
            continue
        yield File(each.name, data)


def _files(path: Path, result: Imported) -> Iterator[_There]:
    """The files a path means, with the names they are reported and keyed by."""
    if path.is_dir():
        empty = True
        boxes = _maildirs(path)
        for found in sorted(path.rglob("*")):
            inside = found.relative_to(path)
            # A link that leaves the folder is not followed: a vault is what lies in it.
            within = found.is_file() and found.resolve().is_relative_to(path.resolve())
            box = next((each for each in found.parents if each in boxes), None)
            if box is not None:
                # Of a Maildir the messages: what else lies there is its server's.
                wanted = found.parent in (box / "cur", box / "new") and found.name[0] != "."
            else:
                wanted = not _is_hidden(inside)
            if within and wanted:
                empty = False
                yield _on_disk(found, str(inside))
        if empty:
            result.refused.append((str(path), "There is no file in this folder to read."))
    elif path.is_file():
        yield _on_disk(path, path.name)
    else:
        result.refused.append((str(path), "There is no such file or folder."))


def _on_disk(path: Path, name: str) -> _There:
    try:
        size = path.stat().st_size
    except OSError:
        size = 0  # whoever reads it hears of it
    return _There(name, size, path.read_bytes)


def _maildirs(path: Path) -> frozenset[Path]:
    """The Maildirs in a folder, that folder itself and hidden ones (`.Newsletters`) included."""
    found = (each.parent for each in (path / "cur", *path.rglob("cur")) if each.is_dir())
    return frozenset(each for each in found if (each / "new").is_dir() and (each / "tmp").is_dir())


def _is_hidden(inside: PurePath) -> bool:
    """Whether a file in a folder is no page of it: hidden, of another tool, or a copy it made."""
    if any(part.startswith(".") or part in _SKIPPED for part in inside.parts):
        return True
    return ".sync-conflict-" in inside.name or inside.name.endswith(("~", ".tmp", ".swp"))
