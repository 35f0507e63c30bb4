"""A wiki's database and its vault, and what every part of a sync needs of the two."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.domain.notes import Note
from app.domain.records import GONE, AuthorKind
from app.errors import Unavailable, Unreadable
from app.services.vault.report import Report
from app.store import mirror, pages
from app.store.db import reading, writing
from app.store.pages import Author
from app.vault import journal, notes
from app.vault.folder import PAGES, Seen, Vault
from app.vault.notes import Parsed

VAULT = Author(AuthorKind.VAULT, "vault")
_KEPT = 2_000  # bases of replaced files that are remembered


@dataclass(frozen=True)
class File:
    """A file that was read."""

    path: str
    data: bytes
    seen: Seen
    parsed: Parsed

    @property
    def note(self) -> Note:
        return self.parsed.note

    @property
    def hash(self) -> str:
        return sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Base:
    """What page and file last had in common: the fields as a head says them, and a revision's text."""

    version: int
    head: str
    newline: str = "\n"


class Pair:
    """One wiki and its vault, for any number of passes. For one thread.

    `clock` is the time of records, `monotonic` that of waiting. `report` is what this pass did so far,
    `problems` are the paths of which something stands refused.
    """

    def __init__(
        self,
        engine: Engine,
        vault: Vault,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self.engine = engine
        self.vault = vault
        self.clock = clock
        self.monotonic = monotonic
        self.report = Report()
        self.problems: set[str] = set()

    def begin(self) -> None:
        """A new pass: what it does is told by itself."""
        self.report = Report()
        with self.reading() as session:
            self.problems = {row.path for row in mirror.problems(session)}

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One moment of the database; what was read of it may be looked at afterwards."""
        with reading(self.engine) as session:
            yield session
            session.expunge_all()

    def refuse(self, path: str, reason: str) -> None:
        """Say what is wrong with a file ("" is the folder itself), for the reader and in the report."""
        if self.report.refused.get(path) == reason:
            return
        self.report.refused[path] = reason
        self.problems.add(path)
        with writing(self.engine, alone=False) as session:
            mirror.note_problem(session, path, reason, now=self.clock())

    def solve(self, paths: Collection[str]) -> None:
        """Nothing is wrong with these files any more."""
        if gone := self.problems & set(paths):
            with writing(self.engine, alone=False) as session:
                mirror.solved(session, gone)
            self.problems -= gone

    def drop_companion(self, slug: str) -> None:
        """Take away what lay beside the file of a page that is not at this address any more.

        Where that cannot be, it is refused by name, and tried again by `drop_left`.
        """
        path = journal.companion_path(slug)
        with self.reading() as session:
            page = pages.by_slug(session, slug)
        try:
            if page is None or page.kind in GONE:
                journal.drop_companion(self.vault, slug)
            # else it is another's: a copy says the id it came from
        except Unavailable as error:
            self.refuse(path, str(error))
        else:
            self.solve([path])

    def drop_left(self) -> None:
        """Take away what could not be at passes before."""
        for path in [each for each in self.problems if each.startswith(f"{PAGES}/")]:
            self.drop_companion(path.removeprefix(f"{PAGES}/").removesuffix(".json"))


class Bases:
    """What stood in the files that were replaced last, by the SHA-256 of their bytes."""

    def __init__(self) -> None:
        self._bases: OrderedDict[str, tuple[str, Base]] = OrderedDict()

    def keep(self, digest: str, path: str, base: Base) -> None:
        self._bases[digest] = (path, base)
        while len(self._bases) > _KEPT:
            self._bases.popitem(last=False)

    def of(self, path: str) -> Base | None:
        """What stood there when it was replaced last; None when that is not known."""
        return next((base for at, base in reversed(self._bases.values()) if at == path), None)


def fields_of(head: str) -> Note | None:
    """The fields that front matter says; None when it cannot be read."""
    if not head:
        return Note()
    try:
        parsed = notes.parse(head.encode())
    except Unreadable:
        return None
    return None if parsed.problem else replace(parsed.note, body="")
