"""Sync: the files of the vault and the pages of the database, brought into step a file at a time.

What a file says is taken up in one short transaction, and what a page says is written over nothing but
what was last seen there; so whoever writes, and whenever a process is killed, every text is in the page,
its history, the file, or a conflict that waits for the reader. The database is never open for writing
while a file is. `Sync` remembers what it saw at its last look alone: everything else is in rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime

from sqlalchemy.engine import Engine

from app.domain import syncing
from app.errors import Unavailable
from app.services.vault.looks import Looks
from app.services.vault.making import Making
from app.services.vault.pair import Bases, Pair
from app.services.vault.placing import Placing
from app.services.vault.report import Report
from app.services.vault.strays import Strays
from app.services.vault.taking import Taking
from app.services.vault.writing import Writing
from app.store import mirror
from app.store.db import writing
from app.vault.folder import Vault, VaultState


class Sync:
    """One wiki and its vault. For one thread, and one at a time of all processes (a hold sees to that).

    `clock` is the time of records, `monotonic` that of waiting.
    """

    def __init__(
        self,
        engine: Engine,
        vault: Vault,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pair = Pair(engine, vault, clock, monotonic)
        self._wiki = ""  # whose vault the folder is, by its mark
        bases = Bases()
        self._looks = Looks(self._pair)
        taking = Taking(self._pair)
        self._placing = Placing(self._pair, self._looks, taking, Making(self._pair, taking))
        self._strays = Strays(self._pair, self._looks, taking, bases)
        self._writing = Writing(self._pair, self._looks, bases)

    @property
    def vault(self) -> Vault:
        return self._pair.vault

    @property
    def report(self) -> Report:
        """What this pass did so far."""
        return self._pair.report

    def begin(self) -> None:
        """A new pass: what it does is told by itself."""
        self._pair.begin()

    # ------------------------------------------------------------ the folder

    def open(self, *, anew: bool = False) -> None:
        """See that the folder is this wiki's vault, and make it so where it may be.

        Raises Unavailable in one sentence when it is another's, or was lost. `anew`: it is taken as it
        is, and every page is written that is not there.
        """
        with self._pair.reading() as session:
            name, ever = mirror.wiki_name(session) or "", mirror.ever_written(session)
        state = self.vault.state(name, remembered=ever) if name else self._unnamed()
        if state is VaultState.OURS and not anew:
            self._wiki = name
            return
        root, other = self.vault.root, self.vault.mark()
        if other and other != name:
            raise Unavailable(
                f"{root} is the vault of another wiki: it is left alone. Name another folder in "
                "CEREBRO_VAULT."
            )
        if state is VaultState.GONE and not anew:
            raise self._lost()
        with writing(self._pair.engine) as session:
            name = mirror.name_wiki(session)
            if anew:
                mirror.mark_all(session)
        self.vault.claim(name)
        self._wiki = name

    def _lost(self) -> Unavailable:
        return Unavailable(
            f"The vault's files are not in {self.vault.root}: nothing was deleted in the wiki. Bring the "
            "folder back, or have it written again with `cerebro sync --anew`."
        )

    def _unnamed(self) -> VaultState:
        return self.vault.state("-")

    # ------------------------------------------------------------ looking

    def look(self, paths: Iterable[str] | None = None, *, deletions: bool = False) -> None:
        """Take up what changed in files that are as they were at the look before.

        All of them, or these paths and those that were not stable yet. `deletions`: that many files are
        gone is meant so.
        """
        self._strays.look()
        found, known = self._looks.changes(paths)
        settled = self._looks.settled(found)
        missing = [path for path in settled if found[path] is None]
        if missing and paths is not None:
            found, known = self._looks.changes(None)  # all that is gone, at one moment
            missing = [path for path in missing if path in found and found[path] is None]
        every = [path for path, seen in found.items() if seen is None]
        if missing and self._wiki and self.vault.mark() != self._wiki:
            self._looks.forget_all()
            raise self._lost()  # the folder itself went, since it was opened
        if missing and not deletions and not syncing.believed(len(every), known):
            self._pair.refuse(
                "",
                f"{len(every):,} of {known:,} files are gone from the vault at once: their pages were "
                "kept. Bring the files back, take the pages out with `cerebro sync --deletions`, or "
                "have the files written again with `cerebro sync --anew`.",
            )
            for path in missing:
                self._looks.forget(path)
            missing = []
        elif paths is None and (deletions or not every):
            self._pair.solve([""])
        files = [
            file
            for path in settled
            if found.get(path) is not None
            and (file := self._looks.read(path, found[path])) is not None
        ]
        self._placing.take_up(files, missing)

    @property
    def unsettled(self) -> bool:
        """Whether files were seen that may still be being written."""
        return bool(self._looks) or bool(self._strays)

    @property
    def steady(self) -> bool:
        """Whether what is unsettled was seen so long that no look takes it up: it is left."""
        return self._looks.steady

    def restless(self) -> bool:
        """Whether somebody wrote into a file that was replaced."""
        return bool(self.vault.strays())

    def waits(self) -> bool:
        """Whether the database has something to be written."""
        with self._pair.reading() as session:
            return mirror.waits(session)

    def left(self) -> int:
        """How much is left for another time: pages without their file, files not taken up."""
        with self._pair.reading() as session:
            waiting = mirror.pending(session)
        return waiting + len(self._looks) + len(self._strays)

    # ------------------------------------------------------------ writing

    def write(self, *, after: int = 0, most: int | None = None) -> int:
        """Write the files of pages that changed, and take away those of pages that are gone.

        Of at most so many pages, by id `after` one; after which to go on, 0 when none is left.
        """
        return self._writing.write(after=after, most=most)

    def tell_decisions(self) -> None:
        """Add the decisions that are new to the vault's journal."""
        self._writing.tell_decisions()
