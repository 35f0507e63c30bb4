"""Importing files, folders and web addresses, in batches between which others may write, with one report.

Beside the pipeline, not in it: a person asks for an import; nothing of it is pending. One that is
cut off has stored whole things, perhaps without the links between them; run again, it goes on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.domain.items import Rejected
from app.errors import CerebroError, Conflict
from app.services import subscriptions
from app.services.ingest import Outcome, Report, import_files
from app.sources.articles import fetched, is_address
from app.sources.base import MAX_BYTES, File, Reader, read_ahead
from app.sources.connectors import Connector, Web
from app.sources.discovery import subscription
from app.sources.obsidian import FOLDER, Obsidian, of_vault
from app.store.db import settle, writing

BATCH = 100  # things stored between two commits
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
    """What an import of several files did. `failed` means that no file could be read at all."""

    report: Report = field(default_factory=Report)
    files: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)  # attachments of vaults, by their kind

    @property
    def failed(self) -> bool:
        return self.files == 0

    def as_json(self) -> dict[str, object]:
        return {
            "files": self.files,
            "new": self.report.total(Outcome.NEW),
            "changed": self.report.total(Outcome.CHANGED),
            "same": self.report.total(Outcome.SAME),
            "rejected": [{"where": where, "reason": reason} for where, reason in self.refused],
            "kinds": self.report.by_kind(),
            "left": dict(self.left),
        }

    def in_words(self) -> Iterator[str]:
        """Lines for a terminal: the totals, then each kind of thing."""
        yield (
            f"{self.report.total(Outcome.NEW)} new, {self.report.total(Outcome.CHANGED)} changed, "
            f"{self.report.total(Outcome.SAME)} same, {len(self.refused)} rejected"
        )
        for kind, counts in self.report.by_kind().items():
            yield f"  {kind}: " + ", ".join(f"{n} {name}" for name, n in counts.items())
        if self.left:
            kinds = ", ".join(f"{number} {kind}" for kind, number in self.left.most_common(8))
            yield f"  attachments left where they are: {self.left.total()} ({kinds})"


def import_paths(
    wiki: Wiki,
    paths: Sequence[Path | str],
    *,
    format: str | None = None,
    dry_run: bool = False,
    keep_raw: bool = True,
    progress: Callable[[int], None] = lambda at: None,
) -> Imported:
    """Import files and folders (their Markdown and other readable files, not what is hidden).

    A text that is a web address is fetched, and read by what comes, like a file. A file that cannot
    be read is refused with its reason; the others go on. `progress` hears how many things have been
    read.
    """
    result = Imported()
    read = 0

    def count() -> None:
        nonlocal read
        read += 1
        progress(read)
        if read % BATCH == 0 and not dry_run:
            # Others may write between two batches. An import that is cut off is simply run again.
            session.commit()
            time.sleep(BREATH)

    # What takes a while comes before anything is written: others wait for no server and no PDF.
    files, known = _gathered(wiki, paths, format, result)
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
        result.files += 1
        result.report.add(report)
        result.refused += [(f"{name}, {r.where}", r.reason) for r in report.rejected]
    return result


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


def _gathered(
    wiki: Wiki, paths: Sequence[Path | str], format: str | None, result: Imported
) -> tuple[list[tuple[Path, str] | File], tuple[Reader, ...]]:
    """The files to read, and what reads them: first of all an Obsidian vault's notes as such.

    What else a vault has is attachments: they are counted, and left where they are.
    """
    files: list[tuple[Path, str] | File] = []
    names: list[str] = []
    for path in paths:
        found = list(_found(wiki, path, result))
        vault = format is None and not is_address(str(path)) and (Path(path) / FOLDER).is_dir()
        if vault or format == Obsidian.format:
            here = [each.name if isinstance(each, File) else each[1] for each in found]
            its, left = of_vault(here)
            result.left += left
            found = [each for each, name in zip(found, here, strict=True) if name in its.names]
            names += sorted(its.names)
        files += found
    if not names:
        return files, wiki.readers
    return files, (of_vault(names)[0], *wiki.readers)


def _found(wiki: Wiki, path: Path | str, result: Imported) -> Iterator[tuple[Path, str] | File]:
    """The files that a path means, or what is at an address."""
    if isinstance(path, Path) or not is_address(path):
        yield from _files(Path(path), result)
        return
    try:
        yield fetched(wiki.web, path)
    except CerebroError as error:
        result.refused.append((path.strip()[:200], str(error)))


def _loaded(files: list[tuple[Path, str] | File], result: Imported) -> Iterator[File]:
    for each in files:
        if isinstance(each, File):
            yield each
            continue
        path, name = each
        try:
            if path.stat().st_size > MAX_BYTES:
                result.refused.append((name, f"Larger than {MAX_BYTES // 1_000_000} MB: split it."))
                continue
            yield File(name, path.read_bytes())
        except OSError as error:
            result.refused.append((name, f"Cannot be read: {error.strerror}."))


def _files(path: Path, result: Imported) -> Iterator[tuple[Path, str]]:
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
                yield found, str(inside)
        if empty:
            result.refused.append((str(path), "There is no file in this folder to read."))
    elif path.is_file():
        yield path, path.name
    else:
        result.refused.append((str(path), "There is no such file or folder."))


def _maildirs(path: Path) -> frozenset[Path]:
    """The Maildirs in a folder, that folder itself and hidden ones (`.Newsletters`) included."""
    found = (each.parent for each in (path / "cur", *path.rglob("cur")) if each.is_dir())
    return frozenset(each for each in found if (each / "new").is_dir() and (each / "tmp").is_dir())


def _is_hidden(inside: Path) -> bool:
    """Whether a file in a folder is no page of it: hidden, of another tool, or a copy it made."""
    if any(part.startswith(".") or part in _SKIPPED for part in inside.parts):
        return True
    return ".sync-conflict-" in inside.name or inside.name.endswith(("~", ".tmp", ".swp"))
