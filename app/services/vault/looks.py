"""Looks at the folder: which files changed, and have been the same for long enough to be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import Any

from app.errors import CerebroError, NotFound, Unavailable, Unreadable
from app.services.vault.pair import File, Pair
from app.store import mirror
from app.vault import names, notes
from app.vault.folder import Seen

log = logging.getLogger("cerebro.vault")

STABLE_SECONDS = 0.3
"""A file is taken up when it was the same for so long."""
GONE_SECONDS = 0.8
"""And it counts as deleted when it was away for so long: editors that replace a file take it away first."""
PATIENCE = 3.0
"""Seconds that new pages wait for files of which nobody knows yet whose they are."""


class Looks:
    """What was seen at the looks before: files that may still be being written, files read in vain.

    `strangers` are the stems of files that no row knows.
    """

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._looks: dict[str, tuple[Seen | None, float]] = {}
        self._refused: dict[str, Seen] = {}  # files that were read in vain, as they were then
        self.strangers: set[str] = set()

    def __len__(self) -> int:
        return len(self._looks)

    @property
    def steady(self) -> bool:
        """Whether what is unsettled was seen so long that no look takes it up: it is left."""
        oldest = min((at for _, at in self._looks.values()), default=None)
        return oldest is not None and self._pair.monotonic() - oldest > PATIENCE

    def may_be_pages(self) -> bool:
        """Whether files were seen of late of which nobody knows whose they are: one may be a page's own."""
        oldest = min((at for seen, at in self._looks.values() if seen is not None), default=None)
        if oldest is None or self._pair.monotonic() - oldest >= PATIENCE:
            return False
        with self._pair.reading() as session:
            known = mirror.at(session, list(self._looks))
        return any(path not in known for path, (seen, _) in self._looks.items() if seen is not None)

    def again(self, path: str, seen: Seen | None = None) -> None:
        """Let the next looks see what became of a file."""
        self._looks.setdefault(path, (seen, self._pair.monotonic()))

    def forget(self, path: str) -> None:
        """A file was dealt with."""
        self._looks.pop(path, None)

    def forget_all(self) -> None:
        """Begin anew: no file counts as seen."""
        self._looks.clear()

    def changes(self, paths: Iterable[str] | None) -> tuple[dict[str, Seen | None], int]:
        """Files that are not as they were when last seen, None for those that are gone; of how many."""
        if paths is None:
            with self._pair.reading() as session:
                known = mirror.files(session)
            number = len(known)
            seen = {each.path: each for each in self._pair.vault.scan()}
            every: Collection[str] = {*seen, *known}
            self._note_passed_over()
            left = {path for path in self._pair.problems if not path.startswith(".")}
            self._pair.solve(left - {"", *seen, *known, *self._pair.vault.problems})
        else:
            every = {path for path in paths if names.is_page(path)} | set(self._looks)
            with self._pair.reading() as session:
                rows = mirror.at(session, every)
                number = mirror.count(session)
            known = {p: (row.size, row.mtime_ns) for p, row in rows.items() if row.version > 0}
            seen = {each.path: each for path in every if (each := self._pair.vault.seen(path))}
        found: dict[str, Seen | None] = {}
        for path in sorted(every):
            now = seen.get(path)
            if now is None:
                if path in known and not self._may_be_there(path):
                    found[path] = None
            elif known.get(path) != (now.size, now.mtime_ns) and self._refused.get(path) != now:
                found[path] = now
        if paths is None:
            self._looks = {path: look for path, look in self._looks.items() if path in found}
            self.strangers = {names.stem_key(path) for path in seen if path not in known}
        else:
            for path in every:
                if path not in found:
                    self._looks.pop(path, None)
        return found, number

    def _may_be_there(self, path: str) -> bool:
        """Whether a file that no look finds may stand there all the same: it, or a folder, is a link now."""
        if path in self._pair.vault.problems or self._pair.vault.could_be_there(path):
            return True
        folders = path.split("/")[:-1]
        return any(
            self._pair.vault.root.joinpath(*folders[: number + 1]).is_symlink()
            for number in range(len(folders))
        )

    def _note_passed_over(self) -> None:
        for path, reason in self._pair.vault.problems.items():
            self._pair.refuse(path, reason)

    def settled(self, found: dict[str, Seen | None]) -> list[str]:
        """Those that were the same for long enough; the others are looked at again."""
        now = self._pair.monotonic()
        settled = []
        for path, seen in found.items():
            before = self._looks.get(path)
            if before is None or before[0] != seen:
                self._looks[path] = (seen, now)
            elif now - before[1] >= (GONE_SECONDS if seen is None else STABLE_SECONDS):
                settled.append(path)
        return settled

    def read(self, path: str, seen: Seen | None) -> File | None:
        """A file that settled, read; None for one that cannot be, or changed since."""
        try:
            data, now = self._pair.vault.read(path)
            if now != seen:
                self._looks[path] = (now, self._pair.monotonic())
                return None
            file = File(path, data, now, notes.parse(data))
        except NotFound:
            return None
        except Unreadable as error:
            if seen is not None:
                self._refused[path] = seen
            self._pair.refuse(path, str(error))
        except Unavailable as error:
            self._pair.refuse(path, str(error))
        else:
            return file
        self._looks.pop(path, None)
        return None

    def guarded(self, path: str, work: Callable[..., None], *given: Any) -> None:
        """Do something about one file; what goes wrong with it stops no other."""
        try:
            work(*given)
        except Unavailable:
            raise
        except CerebroError as error:
            self._pair.refuse(path, str(error))
        except Exception as error:
            log.exception("the file %s could not be taken up", path)
            self._pair.refuse(
                path, f"It could not be taken up ({type(error).__name__}); the log says more."
            )
        else:
            self._looks.pop(path, None)
            return
        file = next((each for each in given if isinstance(each, File)), None)
        if file is not None:
            self._refused[path] = file.seen
        self._looks.pop(path, None)
