"""Doctor: looks at everything that is stored, puts right what can be made anew, and says so in words.

What is derived (indexes, keys, links in texts, the Inbox's order, notes of workers) is mended by
itself; what only a backup can bring back is named, with what to do. Each look takes a few pages at a
time and first only reads: others go on writing, and a wiki where all is well is not written to.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.records import Raw
from app.errors import CerebroError, Unavailable
from app.store import checks, derived, mirror, schema, search, snapshots, vectors
from app.store.db import (
    COUNTED,
    SHOWN,
    TEXTS,
    broken_references,
    damage,
    reading,
    rebuild_indexes,
    rows_of,
    writing,
)
from app.store.links import ACCEPTED
from app.vault import journal
from app.vault.folder import MARK, Vault

Progress = Callable[[str], None]

_OLD = 86_400.0  # seconds after which a temporary file is nobody's any more
_STEP = 1 << 20
# How the temporary files of ours are called: in the data folder, where people may keep others, too,
# and in those of raw bytes.
_LOOSE = (".*.part", ".cerebro-backup-*")
_LOOSE_RAW = ("tmp*",)


@dataclass(frozen=True)
class Finding:
    """One check: its name, what was found and done in a sentence, and how it stands now.

    `wrong` rows or files were not as they should be; `ok` says that all is well now, which without
    `dry_run` it is when they could be mended.
    """

    check: str
    ok: bool
    says: str
    wrong: int = 0
    mended: bool = False


@dataclass(frozen=True)
class Patient:
    """What is looked at: the database, and the folders of data, raw bytes and the vault."""

    engine: Engine
    data: Path
    raw: Path
    vault: Path


def examine(
    patient: Patient,
    *,
    now: datetime,
    dry_run: bool = False,
    progress: Progress = lambda words: None,
) -> list[Finding]:
    """Look at everything, and mend what can be mended; with `dry_run` nothing is changed."""
    return list(_Doctor(patient, now, dry_run, progress).findings())


@dataclass(frozen=True)
class _Doctor:
    patient: Patient
    now: datetime
    dry_run: bool
    progress: Progress

    def findings(self) -> Iterator[Finding]:
        whole = self._database()
        yield whole
        if not whole.ok:
            return  # what a damaged file says of anything else is worth nothing
        made = self._schema()
        yield made
        mended = made.mended
        for look in (self._derived, self._index, self._at_once):
            for finding in look():
                mended = mended or finding.mended
                yield finding
        if mended:
            with writing(self.patient.engine) as session:
                names = ("concepts", TEXTS, SHOWN, ACCEPTED, *map(rows_of, sorted(COUNTED)))
                checks.count_all(session, names)
        yield self._references()
        yield self._vault()
        yield self._raw()
        yield self._loose_files()

    # -- the database itself

    def _database(self) -> Finding:
        self.progress("the database")
        with reading(self.patient.engine) as session:
            found = damage(session)
        if not found:
            return Finding("database", True, "whole")
        said = f"damaged: {'; '.join(' '.join(line.split()) for line in found[:3])[:300]}"
        if not self.dry_run:
            with suppress(CerebroError):
                rebuild_indexes(self.patient.engine)
                with reading(self.patient.engine) as session:
                    left = damage(session)
                if not left:
                    says = f"{said}. It was an index alone; all were made anew."
                    return Finding("database", True, says, len(found), mended=True)
        return Finding(
            "database",
            False,
            f"{said}. Make a copy of the data folder, and restore a backup into a new one.",
            len(found),
        )

    def _schema(self) -> Finding:
        self.progress("schema")
        try:
            lost = snapshots.lacking(self.patient.engine, mend=not self.dry_run)
        except Unavailable as error:
            says = f"whether all its indexes and triggers are there could not be seen: {error}"
            return Finding("schema", False, says)
        if lost:
            names = ", ".join(lost[:5])
            done = "to be made" if self.dry_run else "made"
            says = f"{len(lost)} of its indexes, triggers and functions were gone ({names}): {done} again"
            return Finding("schema", not self.dry_run, says, len(lost), mended=not self.dry_run)
        revision = schema.current(self.patient.engine)
        return Finding("schema", True, f"of revision {revision}, the newest")

    def _references(self) -> Finding:
        self.progress("references")
        wrong = self._mended(partial(_REFERENCES.mend, ids=(), now=self.now))
        with reading(self.patient.engine) as session:
            left = broken_references(session)
        if self.dry_run:
            left = max(left - wrong, 0)
        if left:
            return Finding(
                "references",
                False,
                f"{_rows(left)} point at rows that are gone. Restore a backup to have both.",
                wrong + left,
            )
        return self._found(_REFERENCES, wrong)

    # -- what is derived

    def _derived(self) -> Iterator[Finding]:
        """What is looked at a few pages at a time."""
        with reading(self.patient.engine) as session:
            chunks = list(derived.chunks(session))
        for look in _OF_PAGES:
            wrong = 0
            for ids in chunks:
                self.progress(look.check)
                wrong += self._mended(partial(look.mend, ids=ids, now=self.now))
            yield self._found(look, wrong)

    def _index(self) -> Iterator[Finding]:
        self.progress("word index")
        with reading(self.patient.engine) as session:
            whole = search.is_whole(session)
        if not whole and not self.dry_run:
            with writing(self.patient.engine) as session:
                search.rebuild(session)
        yield self._found(_INDEX, int(not whole))

    def _at_once(self) -> Iterator[Finding]:
        for look in _AT_ONCE:
            self.progress(look.check)
            yield self._found(look, self._mended(partial(look.mend, ids=(), now=self.now)))

    def _mended(self, mend: Callable[[Session], int]) -> int:
        """How many rows were wrong; they are right now, unless nothing is to be changed.

        A look that writes into a session that is thrown away comes first, so that nobody has to wait
        for one that finds nothing.
        """
        try:
            with reading(self.patient.engine) as session:
                wrong = mend(session)
        except Unavailable:
            wrong = -1  # somebody else wrote in the same moment
        if wrong == 0 or (self.dry_run and wrong > 0):
            return wrong
        with suppress(_Dry), writing(self.patient.engine) as session:
            wrong = mend(session)
            if self.dry_run:
                raise _Dry
        return wrong

    def _found(self, look: _Look, wrong: int) -> Finding:
        if not wrong:
            return Finding(look.check, True, look.well)
        says = f"{_rows(wrong)} {look.wrong}"
        if self.dry_run:
            return Finding(look.check, False, f"{says}: to be {look.done}", wrong)
        return Finding(look.check, True, f"{says}: {look.done}", wrong, mended=True)

    # -- files

    def _vault(self) -> Finding:
        """Whether the files are those that were written or taken up, by their bytes.

        One that was edited since shows by its time and is left to the next sync. What is not shown by
        a time is looked at anew by that sync, and what only machines read is written anew by it.
        """
        self.progress("vault")
        with reading(self.patient.engine) as session:
            rows = mirror.written_files(session)
            told = mirror.newest_decision(session)
        root = self.patient.vault
        if not rows:
            return Finding("vault", True, "no file was written to it yet")
        if not (root / MARK).is_file():
            return Finding(
                "vault",
                False,
                f"its files are not in {root}. Nothing is deleted for that: bring the folder back, "
                "or have it written again with `cerebro sync --anew`",
                len(rows),
            )
        other = [row for row in rows if _is_other(root / row.path, row)]
        beside = [row for row in rows if row.side_hash and _side(root, row.slug) != row.side_hash]
        numbers = (each.get("n") for each in journal.decisions(Vault(root)))
        last = max((n for n in numbers if type(n) is int and n <= told), default=0)
        behind = told > last
        wrong = len(other) + len(beside) + behind
        if wrong and not self.dry_run:
            with writing(self.patient.engine) as session:
                mirror.look_again(session, [row.id for row in other])
                mirror.write_beside(session, [row.page_id for row in beside])
                if behind:
                    mirror.note_decisions(session, last)
        return self._found(_VAULT, wrong)

    def _raw(self) -> Finding:
        """Whether every row has its bytes; bytes without a row are kept: they cost their room alone."""
        self.progress("raw bytes")
        with reading(self.patient.engine) as session:
            rows = session.exec(select(Raw.sha256).order_by(col(Raw.sha256))).all()
        missing, damaged = [], []
        for number, digest in enumerate(rows):
            if number % 100 == 0:
                self.progress(f"raw bytes: {number:,} of {len(rows):,}")
            try:
                found = _hash(self.patient.raw / digest[:2] / digest)
            except OSError:
                missing.append(digest)
            else:
                if found != digest:
                    damaged.append(digest)
        if missing or damaged:
            parts = [
                f"{_files(len(some))} {what} ({', '.join(some[:3])}{' …' if len(some) > 3 else ''})"
                for some, what in ((missing, "cannot be read"), (damaged, "hold other bytes"))
                if some
            ]
            return Finding(
                "raw bytes",
                False,
                f"{' and '.join(parts)}. Copy them from a backup's `raw` folder, or import the same "
                "files again; the pages made of them are not touched.",
                len(missing) + len(damaged),
            )
        known = set(rows)
        extra = [
            path
            for path in self.patient.raw.glob("*/*")
            if path.name not in known and _is_hash(path.name)
        ]
        says = "every kept item has its bytes"
        if extra:
            size = sum(path.stat().st_size for path in extra if path.is_file())
            says += f"; {_files(len(extra))} ({size / 1e6:,.1f} MB) belong to no item, and are kept"
        return Finding("raw bytes", True, says)

    def _loose_files(self) -> Finding:
        """Temporary files that a kill left."""
        data = self.patient.data
        found = [
            path
            for patterns, folders in (
                (_LOOSE, (data, data / "backups")),
                (_LOOSE_RAW, self.patient.raw.glob("??")),
            )
            for folder in folders
            for pattern in patterns
            for path in folder.glob(pattern)
            if _is_old(path)
        ]
        if not self.dry_run:
            for path in found:
                with suppress(OSError):
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    else:
                        path.unlink()
        left = [path for path in found if path.exists()] if not self.dry_run else []
        if left:
            return Finding(
                "temporary files",
                False,
                f"{_files(len(left))} cannot be taken away ({left[0]}): delete them yourself",
                len(found),
            )
        if not found:
            return Finding("temporary files", True, "none is left over")
        to_be = "to be taken away" if self.dry_run else "taken away"
        return Finding(
            "temporary files",
            not self.dry_run,
            f"{_files(len(found))} that were left over: {to_be}",
            len(found),
            mended=not self.dry_run,
        )


class _Dry(Exception):
    """Ends a transaction of which nothing is to stay."""


def _words(session: Session) -> int:
    if wrong := search.unlearned(session):
        derived.words(session)
    return wrong


def _unencoded(session: Session) -> int:
    if wrong := vectors.misnoted(session):
        vectors.restore(session)
    return wrong


class _Mend(Protocol):
    """Puts right what is wrong of these pages; how many rows were."""

    def __call__(self, session: Session, *, ids: Collection[int], now: datetime) -> int: ...


@dataclass(frozen=True)
class _Look:
    """A check, with what is said: when all is well, of so many rows that are wrong, and of their end."""

    check: str
    well: str
    wrong: str
    done: str
    mend: _Mend = lambda session, *, ids, now: 0


# In the order in which one needs the other.
_OF_PAGES = (
    _Look(
        "names",
        "every page is found by its title and its other names",
        "had a key that was not that of the name",
        "written anew",
        lambda session, *, ids, now: checks.keys(session, ids),
    ),
    _Look(
        "history",
        "the newest revision of every page says what the page says",
        "had a text that no newest revision had",
        "added to the history as they stand",
        lambda session, *, ids, now: checks.revisions(session, ids, now=now),
    ),
    _Look(
        "links in texts",
        "every link in a text is one of the graph",
        "in texts were not those of the graph",
        "linked anew",
        lambda session, *, ids, now: checks.author_links(session, ids, now=now),
    ),
    _Look(
        "links to pages nobody wrote",
        "all are known",
        "were not those of the texts",
        "noted anew",
        lambda session, *, ids, now: derived.red_links(session, ids),
    ),
    _Look(
        "search texts",
        "every page has one",
        "were not those of their pages",
        "written anew",
        lambda session, *, ids, now: derived.texts(session, ids),
    ),
    _Look(
        "words of pages",
        "every page is found by its words",
        "were not found by their words",
        "indexed anew",
        lambda session, *, ids, now: search.unfound(session, ids),
    ),
    _Look(
        "questions",
        "every question in a text is listed",
        "were not those of the texts",
        "brought in step",
        lambda session, *, ids, now: checks.questions(session, ids),
    ),
    _Look(
        "sections",
        "every section has an owner",
        "did not say whose their sections are",
        "read from the history again",
        lambda session, *, ids, now: checks.owned_sections(session, ids),
    ),
    _Look(
        "numbers in texts",
        "every number of papers is known",
        "were not those of the texts",
        "noted anew",
        lambda session, *, ids, now: derived.numbers(session, ids),
    ),
)
_INDEX = _Look(
    "word index",
    "it says what the pages say",
    "of it or more did not say what the pages say",
    "the whole index made anew",
)
_AT_ONCE = (
    _Look(
        "words of titles",
        "mistyped words can be corrected by all of them",
        "of titles were not known",
        "learned again",
        lambda session, *, ids, now: _words(session),
    ),
    _Look(
        "papers",
        "every paper stands in its place in the Inbox",
        "had another score, topic or day than what was said of them gives",
        "put in their place",
        lambda session, *, ids, now: derived.papers(session),
    ),
    _Look(
        "titles of papers",
        "papers of one title are known as such",
        "had a key that was not that of the title",
        "written anew",
        lambda session, *, ids, now: checks.paper_keys(session),
    ),
    _Look(
        "vectors",
        "what has no vector of its text yet is known",
        "were wrongly said to have a vector of their text, or to have none",
        "noted anew",
        lambda session, *, ids, now: _unencoded(session),
    ),
    _Look(
        "mirror",
        "every page that its file does not show yet is known",
        "were not noted to be written to the vault, though their file is older or is not there",
        "noted, and written at the next look at the vault",
        lambda session, *, ids, now: checks.unmirrored(session),
    ),
    _Look(
        "workers",
        "nobody who is gone is said to be at work",
        "were left by workers that are no more",
        "ended",
        lambda session, *, ids, now: checks.workers(session, now=now),
    ),
)
_VAULT = _Look(
    "vault",
    "every file has the bytes that were written or taken up",
    "or files of it were not as they were written, though nothing showed that they were edited",
    "noted, and brought in step by the next sync",
)
_REFERENCES = _Look(
    "references",
    "every row points at a row that is there",
    "of what is derived pointed at rows that are gone",
    "taken away",
    lambda session, *, ids, now: checks.references(session),
)


def _rows(number: int) -> str:
    return f"{number:,} {'row' if number == 1 else 'rows'}"


def _files(number: int) -> str:
    return f"{number:,} {'file' if number == 1 else 'files'}"


def _is_other(path: Path, row: Any) -> bool:
    """Whether a file looks as it did when it was last seen, and holds other bytes."""
    try:
        found = path.lstat()
        if (found.st_size, found.st_mtime_ns) != (row.size, row.mtime_ns):
            return False
        return _hash(path) != str(row.hash)
    except OSError:
        return False


def _side(root: Path, slug: str) -> str:
    try:
        return _hash(root / journal.companion_path(slug))
    except (OSError, CerebroError):
        return ""


def _hash(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(_STEP):
            digest.update(piece)
    return digest.hexdigest()


def _is_hash(name: str) -> bool:
    return len(name) == 64 and set(name) <= set("0123456789abcdef")


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > _OLD
    except OSError:
        return False
