"""Who of this machine lives: a file each beside the database, locked until its process ends, however it ends.

A worker that is killed cannot say that it is no more. Its lease would tell after some 20 seconds; a lock
that the system let go of tells at once. Where there is no such lock (PostgreSQL, whose workers may be
elsewhere; Windows) nothing is known here, and the lease decides.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from sqlalchemy.engine import Engine

from app.store.db import file_of

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Life:
    """One life; it ends with `end`, or with the process."""

    def __init__(self, path: Path | None = None, descriptor: int = -1) -> None:
        self._path = path
        self._descriptor = descriptor

    def end(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)  # before the lock: nobody is to find it free
            os.close(self._descriptor)


def begin(engine: Engine, name: str) -> Life:
    """Say that one of this name lives from now on; where that cannot be said, the lease says it."""
    folder = _folder(engine)
    if folder is None:
        return Life()
    try:
        folder.mkdir(exist_ok=True)
        path = folder / name
        # Locked before it has its name: who finds it finds it locked.
        descriptor = os.open(folder / f".{name}", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError:
        return Life()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(folder / f".{name}", path)
    except OSError:  # a file system without locks
        (folder / f".{name}").unlink(missing_ok=True)
        os.close(descriptor)
        return Life()
    return Life(path, descriptor)


def ended(engine: Engine) -> list[str]:
    """The names of those that ended without saying so."""
    folder = _folder(engine)
    return [] if folder is None else [path.name for path in _files(folder) if _is_free(path)]


def bury(engine: Engine, names: Collection[str]) -> None:
    """Forget them."""
    folder = _folder(engine)
    for name in names if folder is not None else ():
        assert folder is not None
        with suppress(OSError):
            (folder / name).unlink()


def _folder(engine: Engine) -> Path | None:
    file = file_of(engine)
    return None if fcntl is None or file is None else file.with_name("at-work")


def _files(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from [path for path in folder.iterdir() if not path.name.startswith(".")]


def _is_free(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        # Shared: two who look at the same time must not take each other for the living one.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
