"""Writing what a wiki is exported as: a folder of files, or one file that holds them.

A folder is there whole or not at all: it is written beside itself and renamed at the end.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Callable, Iterable
from datetime import tzinfo
from pathlib import Path, PurePosixPath
from typing import IO

from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.errors import Conflict, Invalid, Unavailable
from app.services import site
from app.services.vault import files as vaultfiles
from app.store.db import reading

File = tuple[str, Iterable[bytes]]


def _markdown(
    session: Session, *, zone: tzinfo | None, progress: Callable[[int], None]
) -> Iterable[File]:
    return vaultfiles.files(session, progress=progress)  # claims stay as they are written


FOLDERS: dict[str, Callable[..., Iterable[File]]] = {
    "markdown": _markdown,
    "site": site.files,
}
"""The formats that are many files, and what writes them."""

_SAME_DAY = (1980, 1, 1, 0, 0, 0)  # of every file of an archive: the same wiki is the same bytes


def into_folder(
    engine: Engine,
    format: str,
    folder: Path,
    *,
    zone: tzinfo | None = None,
    progress: Callable[[int], None] = lambda at: None,
) -> None:
    """Write the wiki into a folder that is empty or not there; `zone` is the reader's (None: the system's).

    Raises Conflict when it is not empty, Unavailable when it cannot be written.
    """
    part = folder.with_name(f".{folder.name}.part")
    try:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise Conflict(f"{folder} is no folder. Name one that is empty, or not there yet.")
        if folder.is_dir() and any(folder.iterdir()):
            raise Conflict(
                f"{folder} is not empty. Name a folder that is, or one that is not there."
            )
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        with reading(engine) as session:
            for path, pieces in _files(session, format, zone, progress):
                place = part.joinpath(*PurePosixPath(path).parts)
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("xb") as file:
                    file.writelines(pieces)
        if folder.is_dir():
            folder.rmdir()
        part.rename(folder)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def into_archive(
    engine: Engine,
    format: str,
    file: IO[bytes],
    *,
    zone: tzinfo | None = None,
    progress: Callable[[int], None] = lambda at: None,
) -> None:
    """Write the wiki as a zip archive; `zone` is the reader's (None: the system's)."""
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
        reading(engine) as session,
    ):
        for path, pieces in _files(session, format, zone, progress):
            entry = zipfile.ZipInfo(path, _SAME_DAY)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            with archive.open(entry, "w") as packed:
                for piece in pieces:
                    packed.write(piece)


def _files(
    session: Session, format: str, zone: tzinfo | None, progress: Callable[[int], None]
) -> Iterable[File]:
    if format not in FOLDERS:
        raise Invalid(f"There is no format {format[:40]!r} of many files: {', '.join(FOLDERS)}.")
    return FOLDERS[format](session, zone=zone, progress=progress)
