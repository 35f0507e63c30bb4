"""Sync: the files of the vault and the pages of the database, brought into step a file at a time.

What a file says is taken up in one short transaction, and what a page says is written over nothing but
what was last seen there; so whoever writes, and whenever a process is killed, every text is in the page,
its history, the file, or a conflict that waits for the reader. The database is never open for writing
while a file is. `Sync` remembers what it saw at its last look alone: everything else is in rows.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import SequenceMatcher
from hashlib import sha256
from typing import Any
from uuid import uuid4

from sqlalchemy.engine import Engine
from sqlmodel import Session, select

from app.domain import syncing
from app.domain.identifiers import clean_date, is_slug, parse_id, slugify, title_key, whole_day
from app.domain.items import SourceRef
from app.domain.markdown import name_key
from app.domain.notes import FACTS, NamedLink, Note
from app.domain.records import (
    GONE,
    AuthorKind,
    Digest,
    Episode,
    Identifier,
    LinkStatus,
    Mirror,
    Origin,
    Page,
    PageKind,
    Paper,
    PaperState,
    Relation,
    SourceKind,
    Thread,
    ThreadStatus,
    VaultConflict,
)
from app.domain.syncing import Action, Renamed, spoken
from app.errors import CerebroError, Conflict, Invalid, NotFound, Unavailable, Unreadable
from app.store import decisions, items, links, mirror, pages, papers, removal, threads
from app.store.db import reading, writing
from app.store.mirror import Told
from app.store.pages import Author, Content
from app.vault import journal, names, notes
from app.vault.folder import Seen, Stray, Vault, VaultState
from app.vault.notes import Parsed

log = logging.getLogger("cerebro.vault")

VAULT = Author(AuthorKind.VAULT, "vault")
STABLE_SECONDS = 0.3
"""A file is taken up when it was the same for so long."""
GONE_SECONDS = 0.8
"""And it counts as deleted when it was away for so long: editors that replace a file take it away first."""
PATIENCE = 3.0  # seconds that new pages wait for files of which nobody knows yet whose they are
_MAX_CLAIM = 1_000  # signs of a thread's claim
_BATCH = 50  # files written before they are noted in one transaction
_KEPT = 2_000  # bases of replaced files that are remembered
_TRIES = 5
_FAILURES = 3  # files that cannot be written before no more are tried


@dataclass
class Report:
    """What a sync did, by paths; `refused` has sentences by path ("" is the folder itself).

    `waiting` is what it left for another time: pages without their file, files not taken up.
    """

    written: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)  # pages, because their files were deleted
    deleted: list[str] = field(default_factory=list)  # files, because their pages are gone
    renamed: dict[str, str] = field(
        default_factory=dict
    )  # what pages of moved files are called now
    refused: dict[str, str] = field(default_factory=dict)
    decisions: int = 0
    waiting: int = 0

    _DONE = (
        "written",
        "taken",
        "merged",
        "conflicts",
        "made",
        "moved",
        "copied",
        "removed",
        "deleted",
    )

    def counts(self) -> dict[str, int]:
        """How many of each, those of nothing left out."""
        found = {name: len(getattr(self, name)) for name in self._DONE}
        return {name: number for name, number in found.items() if number}

    @property
    def done(self) -> int:
        """How many files or pages were changed."""
        return sum(self.counts().values())

    @property
    def in_words(self) -> str:
        """Such as "3 written, 1 edited outside"; "" when nothing was done."""
        return _told(self.counts())

    @property
    def taken_up(self) -> str:
        """The same of what files changed in the wiki."""
        return _told({k: n for k, n in self.counts().items() if k not in ("written", "deleted")})

    def lines(self) -> list[tuple[str, list[str]]]:
        """What was done, in words, with the paths."""
        return [(_WORDS[name].removeprefix("{:,} "), getattr(self, name)) for name in self.counts()]

    def as_json(self, refused: Mapping[str, str]) -> dict[str, Any]:
        """As programs get it, with what stands refused by paths."""
        return {
            **{name: getattr(self, name) for name in self._DONE},
            "renamed": self.renamed,
            "refused": [{"path": p, "reason": r} for p, r in sorted(refused.items())],
            "decisions": self.decisions,
            "waiting": self.waiting,
        }


def _told(counts: dict[str, int]) -> str:
    return ", ".join(_WORDS[name].format(number) for name, number in counts.items())


_WORDS = {
    "written": "{:,} written",
    "taken": "{:,} edited outside",
    "merged": "{:,} edited on both sides and merged",
    "conflicts": "{:,} in conflict",
    "made": "{:,} made outside",
    "moved": "{:,} moved",
    "copied": "{:,} copied",
    "removed": "{:,} deleted outside",
    "deleted": "{:,} taken away",
}


@dataclass(frozen=True)
class _File:
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
class _Base:
    """What page and file last had in common: the fields as a head says them, and a revision's text."""

    version: int
    head: str
    newline: str = "\n"


class _Apart(Exception):
    """A text that was found beside its file does not join the page: it gets a file of its own."""


def file_of(row: VaultConflict) -> Note:
    """The file of a conflict, read."""
    return notes.parse(row.text.encode()).note


def settle(session: Session, page: Page, row: VaultConflict, *, now: datetime) -> None:
    """End a conflict: the file's text becomes a revision by the vault, over the page as it stands.

    Whoever saves after it grew from both, and history has all three texts. The file is written then.
    """
    assert page.id is not None
    note = file_of(row)
    content = replace(pages.content_of(session, page), body=note.body)
    pages.revise(
        session, page, content, author=VAULT, now=now, note="the file, as it was in conflict"
    )
    standing = mirror.of_pages(session, [page.id]).get(page.id)
    if standing is not None and standing.hash == row.hash:
        standing.version = page.version
        session.add(standing)
    session.delete(row)
    session.flush()
    mirror.mark(session, [page.id])


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
        self.engine = engine
        self.vault = vault
        self.report = Report()
        self._clock = clock
        self._monotonic = monotonic
        self._looks: dict[str, tuple[Seen | None, float]] = {}
        self._refused: dict[str, Seen] = {}  # files that were read in vain, as they were then
        self._strays: dict[str, tuple[str, float]] = {}
        self._bases: OrderedDict[str, tuple[str, _Base]] = OrderedDict()  # by hash: path and base
        self._taken: set[str] = set()  # stems of files that no row knows
        self._problems: set[str] = set()
        self._wiki = ""  # whose vault the folder is, by its mark

    # ------------------------------------------------------------ the folder

    def open(self, *, anew: bool = False) -> None:
        """See that the folder is this wiki's vault, and make it so where it may be.

        Raises Unavailable in one sentence when it is another's, or was lost. `anew`: it is taken as it
        is, and every page is written that is not there.
        """
        with self._reading() as session:
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
        with writing(self.engine) as session:
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
        self._look_at_strays()
        found, known = self._changes(paths)
        settled = self._settled(found)
        missing = [path for path in settled if found[path] is None]
        if missing and paths is not None:
            found, known = self._changes(None)  # all that is gone, at one moment
            missing = [path for path in missing if path in found and found[path] is None]
        every = [path for path, seen in found.items() if seen is None]
        if missing and self._wiki and self.vault.mark() != self._wiki:
            self._looks.clear()
            raise self._lost()  # the folder itself went, since it was opened
        if missing and not deletions and not syncing.believed(len(every), known):
            self._refuse(
                "",
                f"{len(every):,} of {known:,} files are gone from the vault at once: their pages were "
                "kept. Bring the files back, take the pages out with `cerebro sync --deletions`, or "
                "have the files written again with `cerebro sync --anew`.",
            )
            for path in missing:
                self._looks.pop(path, None)
            missing = []
        elif paths is None and (deletions or not every):
            self._solve([""])
        files = [
            file
            for path in settled
            if found.get(path) is not None and (file := self._read(path, found[path])) is not None
        ]
        self._take_up(files, missing)

    @property
    def unsettled(self) -> bool:
        """Whether files were seen that may still be being written."""
        return bool(self._looks) or bool(self._strays)

    @property
    def steady(self) -> bool:
        """Whether what is unsettled was seen so long that no look takes it up: it is left."""
        oldest = min((at for _, at in self._looks.values()), default=None)
        return oldest is not None and self._monotonic() - oldest > PATIENCE

    def restless(self) -> bool:
        """Whether somebody wrote into a file that was replaced."""
        return bool(self.vault.strays())

    def waits(self) -> bool:
        """Whether the database has something to be written."""
        with self._reading() as session:
            return mirror.waits(session)

    def left(self) -> int:
        """How much is left for another time: pages without their file, files not taken up."""
        with self._reading() as session:
            waiting = mirror.pending(session)
        return waiting + len(self._looks) + len(self._strays)

    def _changes(self, paths: Iterable[str] | None) -> tuple[dict[str, Seen | None], int]:
        """Files that are not as they were when last seen, None for those that are gone; of how many."""
        if paths is None:
            with self._reading() as session:
                known = mirror.files(session)
            number = len(known)
            seen = {each.path: each for each in self.vault.scan()}
            every: Collection[str] = {*seen, *known}
            self._note_passed_over()
            left = {path for path in self._problems if not path.startswith(".")}
            self._solve(left - {"", *seen, *known, *self.vault.problems})
        else:
            every = {path for path in paths if names.is_page(path)} | set(self._looks)
            with self._reading() as session:
                rows = mirror.at(session, every)
                number = mirror.count(session)
            known = {p: (row.size, row.mtime_ns) for p, row in rows.items() if row.version > 0}
            seen = {each.path: each for path in every if (each := self.vault.seen(path))}
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
            self._taken = {names.stem_key(path) for path in seen if path not in known}
        else:
            for path in every:
                if path not in found:
                    self._looks.pop(path, None)
        return found, number

    def _may_be_there(self, path: str) -> bool:
        """Whether a file that no look finds may stand there all the same: it, or a folder, is a link now."""
        if path in self.vault.problems or self.vault.could_be_there(path):
            return True
        folders = path.split("/")[:-1]
        return any(
            self.vault.root.joinpath(*folders[: number + 1]).is_symlink()
            for number in range(len(folders))
        )

    def _note_passed_over(self) -> None:
        for path, reason in self.vault.problems.items():
            self._refuse(path, reason)

    def _settled(self, found: dict[str, Seen | None]) -> list[str]:
        """Those that were the same for long enough; the others are looked at again."""
        now = self._monotonic()
        settled = []
        for path, seen in found.items():
            before = self._looks.get(path)
            if before is None or before[0] != seen:
                self._looks[path] = (seen, now)
            elif now - before[1] >= (GONE_SECONDS if seen is None else STABLE_SECONDS):
                settled.append(path)
        return settled

    def _read(self, path: str, seen: Seen | None) -> _File | None:
        try:
            data, now = self.vault.read(path)
            if now != seen:
                self._looks[path] = (now, self._monotonic())
                return None
            file = _File(path, data, now, notes.parse(data))
        except NotFound:
            return None
        except Unreadable as error:
            if seen is not None:
                self._refused[path] = seen
            self._refuse(path, str(error))
        except Unavailable as error:
            self._refuse(path, str(error))
        else:
            return file
        self._looks.pop(path, None)
        return None

    # ------------------------------------------------------------ whose a file is

    def _take_up(self, files: Sequence[_File], missing: Sequence[str]) -> None:
        if not files and not missing:
            return
        with self._reading() as session:
            rows = mirror.at(session, [*(file.path for file in files), *missing])
            rows = {path: row for path, row in rows.items() if row.version > 0}
            said = self._said(session, files)
            own = mirror.of_pages(session, set(said.values()))
        gone = {row.page_id: row for path, row in rows.items() if path in missing}
        by_hash = {row.hash: row for row in gone.values() if row.page_id is not None}
        here = {file.path: said.get(file.path) for file in files}
        claimed: set[int] = set()
        later: list[tuple[_File, int | None]] = []
        for file in files:
            row = rows.get(file.path)
            owner = row.page_id if row is not None else None
            page_id = said.get(file.path)
            if page_id is None and owner is None and file.hash in by_hash:
                page_id = by_hash[file.hash].page_id  # moved, and it never named its page
            standing = own.get(page_id) if page_id is not None else None
            if page_id is not None and standing is None and by_hash.get(file.hash) is not None:
                standing = by_hash[file.hash]
            written = standing is not None and standing.version > 0
            elsewhere = page_id is not None and (
                page_id in claimed
                or (
                    written
                    and standing is not None
                    and standing.path != file.path
                    and self._stands(standing, page_id, here, but=file.path)
                )
            )
            action = syncing.place(
                owner=None if owner is None else str(owner),
                said=None if page_id is None else str(page_id),
                elsewhere=elsewhere,
            )
            if action is Action.MOVED and page_id is not None:
                claimed.add(page_id)
                gone.pop(page_id, None)
                if row is not None and row.page_id is not None and row.page_id != page_id:
                    gone.setdefault(row.page_id, row)  # its own file was replaced by this one
                self._guarded(file.path, self._arrived, file, page_id, written)
            elif action is Action.TAKE and owner is not None:
                claimed.add(owner)
                self._guarded(file.path, self._take, file, owner)
            else:
                later.append((file, page_id if action is Action.COPY else None))
        for file, copy_of in later:
            self._guarded(file.path, self._make, file, copy_of)
        for page_id, row in gone.items():
            if page_id is not None and page_id not in claimed:
                self._guarded(row.path, self._deleted, page_id)

    def _said(self, session: Session, files: Sequence[_File]) -> dict[str, int]:
        """The pages that the ids of files name, by path; those that are none (any more) are left out."""
        found: dict[str, int] = {}
        for file in files:
            slug = file.note.id
            if not is_slug(slug):
                continue
            page = pages.by_slug(session, slug) or pages.former(session, slug)
            if page is not None and page.id is not None and page.kind not in GONE:
                found[file.path] = page.id
        return found

    def _stands(self, row: Mirror, page_id: int, here: dict[str, int | None], *, but: str) -> bool:
        """Whether the file of a page still lies where it lay, is still that page's, and not that of `but`."""
        if row.path_key == names.path_key(but) and not self.vault.is_called(row.path):
            return False  # where case does not count, the old name still opens the renamed file
        if row.path in here:
            return here[row.path] in (page_id, None)
        try:
            data, _ = self.vault.read(row.path)
        except NotFound:
            return False
        except (Unavailable, Unreadable):
            return True
        if sha256(data).hexdigest() == row.hash:
            return True
        try:
            said = notes.parse(data).note.id
        except Unreadable:
            return True
        with self._reading() as session:
            page = session.get(Page, page_id)
        return said in ("", page.slug if page else "")

    def _guarded(self, path: str, work: Callable[..., None], *given: Any) -> None:
        """Do something about one file; what goes wrong with it stops no other."""
        try:
            work(*given)
        except Unavailable:
            raise
        except CerebroError as error:
            self._refuse(path, str(error))
        except Exception as error:
            log.exception("the file %s could not be taken up", path)
            self._refuse(
                path, f"It could not be taken up ({type(error).__name__}); the log says more."
            )
        else:
            self._looks.pop(path, None)
            return
        file = next((each for each in given if isinstance(each, _File)), None)
        if file is not None:
            self._refused[path] = file.seen
        self._looks.pop(path, None)

    # ------------------------------------------------------------ a file of a page

    def _arrived(self, file: _File, page_id: int, written: bool) -> None:
        """The file of a page lies elsewhere now; or it is the page's, and nobody knew."""
        now = self._clock()
        with writing(self.engine) as session:
            page = session.get(Page, page_id)
            if page is None or page.kind in GONE:
                return
            row = mirror.of_pages(session, [page_id]).get(page_id)
            self._make_way(session, file.path, but=row)
            if row is None or row.version == 0:
                row = self._adopted(session, page, file, row, now)
            else:
                was = row.path
                row.path, row.path_key = file.path, names.path_key(file.path)
                row.stem_key = names.stem_key(file.path)
                self._renamed(session, page, row, file, names.stem(was), now)
            session.add(row)
            mirror.mark(session, [page_id])
            mirror.mark_linking(session, [page_id])
        self._solve([file.path])
        if written:
            self.report.moved.append(file.path)
        if not written or file.hash != row.hash:
            self._take(file, page_id, moved=written)
        else:
            self._note_seen(page_id, file)

    def _make_way(self, session: Session, path: str, *, but: Mirror | None) -> None:
        """No other row has this path: one that was only reserved goes, another waits for its file."""
        key = names.path_key(path)
        other = mirror.of_key(session, key)
        if other is None or (but is not None and other.id == but.id):
            return
        if other.version == 0:
            session.delete(other)
            if other.page_id is not None:
                mirror.mark(session, [other.page_id])
        else:
            other.path = other.path_key = other.stem_key = f".moved/{other.id}"
            session.add(other)
        session.flush()

    def _adopted(
        self, session: Session, page: Page, file: _File, row: Mirror | None, now: datetime
    ) -> Mirror:
        """A row for a file that is a page's by its id, and of which nothing is known but that."""
        assert page.id is not None
        _has_a_file(session, page)
        version = mirror.revision_with(session, page.id, spoken(file.note.body)) or 0
        row = row or Mirror(
            page_id=page.id,
            path="",
            path_key="",
            stem_key="",
            version=0,
            hash="",
            size=0,
            mtime_ns=0,
            at=now,
        )
        row.path, row.path_key = file.path, names.path_key(file.path)
        row.stem_key = names.stem_key(file.path)
        row.version, row.hash = version, ""
        row.newline = file.parsed.newline
        return row

    def _renamed(
        self, session: Session, page: Page, row: Mirror, file: _File, old: str, now: datetime
    ) -> None:
        new = names.stem(file.path)
        base = _fields(row.head)
        if base is None or old == new or file.note.title not in ("", base.title):
            return
        before = pages.content_of(session, page)
        match syncing.renamed(old, new, title=page.title):
            case Renamed.TITLE:
                content = replace(before, title=new)
            case Renamed.ALIAS:
                found = pages.named(session, new)
                if found is not None:
                    return
                content = replace(before, aliases=(*before.aliases, new))
            case _:
                return
        pages.revise(
            session, page, content, author=VAULT, now=now, note="its file was renamed in the vault"
        )
        if page.title != before.title:
            self.report.renamed[file.path] = page.title

    def _note_seen(self, page_id: int, file: _File) -> None:
        with writing(self.engine, alone=False) as session:
            row = mirror.of_pages(session, [page_id]).get(page_id)
            if row is not None:
                row.size, row.mtime_ns = file.seen.size, file.seen.mtime_ns
                session.add(row)

    def _take(
        self,
        file: _File,
        page_id: int,
        *,
        base: _Base | None = None,
        moved: bool = False,
    ) -> None:
        """Take up what a file says of its page. With a `base` it is a text that was found beside it."""
        for _ in range(_TRIES):
            if self._taken_up(file, page_id, base, moved):
                return
        raise Conflict(f"The page of {file.path} changed each time its file was taken up.")

    def _taken_up(self, file: _File, page_id: int, base: _Base | None, moved: bool) -> bool:
        now = self._clock()
        with self._reading() as session:
            told = mirror.told(session, [page_id]).get(page_id)
            if told is None or told.mirror is None:
                return self._left_alone(base)
            row = told.mirror
            told_same = base is None and file.hash == row.hash
            disputed = mirror.conflict(session, page_id)
            common = self._common(session, told, file, base, disputed)
        if told_same:
            self._note_seen(page_id, file)
            return True
        old, base_version = common
        note = file.note
        if file.parsed.problem:
            note = replace(old, body=note.body)
        joined = syncing.join(old, told.note, note)
        conflict = joined.action is Action.CONFLICT
        if base is not None and (conflict or disputed is not None):
            raise _Apart  # a page has one conflict: that of its file
        with writing(self.engine) as session:
            page = session.get(Page, page_id)
            standing = mirror.of_pages(session, [page_id]).get(page_id)
            if page is None or page.kind in GONE or standing is None:
                return self._left_alone(base)
            if page.version != told.version or standing.hash != row.hash:
                return False
            refused = self._apply(session, page, old, note, joined, now)
            if file.parsed.problem:
                refused.append(file.parsed.problem)
            if base is None:
                self._seen_as(standing, file, now)
            if conflict:
                self._dispute(session, page_id, file, base_version, now)
                standing.version = standing.version or page.version
            else:
                if disputed is not None:
                    session.delete(mirror.conflict(session, page_id) or disputed)
                if base is None:
                    same = spoken(note.body) == page.body
                    standing.version = page.version if same else base_version or page.version
            session.add(standing)
            session.flush()
            changed = page.version != told.version or (
                mirror.told(session, [page_id])[page_id].note != told.note
            )
            mirror.mark(session, [page_id])
            if refused:
                mirror.note_problem(session, file.path, " ".join(refused), now=now)
            else:
                mirror.solved(session, [file.path])
        if refused:
            self.report.refused[file.path] = " ".join(refused)
        if conflict:
            self.report.conflicts.append(file.path)
        elif changed and joined.action is Action.MERGE:
            self.report.merged.append(file.path)
        elif changed and not moved:
            self.report.taken.append(file.path)
        return True

    def _left_alone(self, base: _Base | None) -> bool:
        """The page is gone meanwhile: its file stays, and a text that is nowhere else gets one."""
        if base is not None:
            raise _Apart
        return True

    def _common(
        self,
        session: Session,
        told: Told,
        file: _File,
        base: _Base | None,
        disputed: VaultConflict | None,
    ) -> tuple[Note, int]:
        """The note that page and file grew from, and the number of its revision (0: nothing)."""
        row = told.mirror
        assert row is not None
        known = base or _Base(row.version, row.head, row.newline)
        version = known.version
        if disputed is not None:
            version = min(version, disputed.base) if version else disputed.base
        body = spoken(file.note.body)
        # A kill between file and row: the file says a version that its row does not know of yet.
        newer = mirror.revision_with(session, told.page_id, body, after=version)
        if newer is not None and base is None and disputed is None:
            version = newer
        fields = _fields(known.head)
        if fields is None:  # they could not be read, and now they can: what the file says counts
            fields = Note(id=told.note.id, kind=told.note.kind)
        elif not row.hash and base is None:
            # Nothing is known of its fields: what either side names is kept, values are the page's.
            fields = replace(
                file.note,
                id=told.note.id,
                title=file.note.title or told.note.title,
                kind=file.note.kind or told.note.kind,
                aliases=(),
                tags=(),
                identifiers=(),
                links=(),
            )
        text = mirror.base_text(session, told.page_id, version) if version else None
        return replace(fields, body=text or ""), version if text is not None else 0

    def _seen_as(self, row: Mirror, file: _File, now: datetime) -> None:
        row.head, row.newline = file.parsed.head, file.parsed.newline
        row.hash, row.size, row.mtime_ns = file.hash, file.seen.size, file.seen.mtime_ns
        row.at = now

    def _dispute(
        self, session: Session, page_id: int, file: _File, base: int, now: datetime
    ) -> None:
        session.merge(
            VaultConflict(
                page_id=page_id, base=base, text=file.data.decode(), hash=file.hash, at=now
            )
        )

    def _apply(
        self,
        session: Session,
        page: Page,
        base: Note,
        file: Note,
        joined: syncing.Joined,
        now: datetime,
    ) -> list[str]:
        """Make a page say what it and its file say together; what of the file could not be, in sentences."""
        refused: list[str] = []
        note = "edited in the vault"
        if joined.gave_way:
            told = "; ".join(f"{name}: {value}" for name, value in joined.gave_way.items())
            note = f"{note}; changed here as well, and given up: {told}"[:500]
        before = pages.content_of(session, page)
        content = Content(
            title=joined.note.title,
            kind=joined.note.kind or page.kind,
            body=joined.note.body,
            aliases=joined.note.aliases,
            tags=joined.note.tags,
        )
        for _ in range(3):
            try:
                pages.revise(session, page, content, author=VAULT, now=now, note=note)
                break
            except Invalid as error:
                refused += [f"{name}: {sentence}" for name, sentence in error.fields.items()]
                if not error.fields:
                    raise
                content = replace(content, **{name: getattr(before, name) for name in error.fields})
        refused += self._identify(session, page, base, file)
        refused += self._state(session, page, base, file, now)
        refused += self._link(session, page, base, file, now)
        return refused

    # ------------------------------------------------------------ fields

    def _identify(self, session: Session, page: Page, base: Note, file: Note) -> list[str]:
        """Identifiers that were put in or taken out."""
        had, has = {name_key(i) for i in base.identifiers}, {name_key(i) for i in file.identifiers}
        refused: list[str] = []
        if had == has:
            return refused
        paper = papers.of_page(session, page.id or 0)
        for text in file.identifiers:
            if name_key(text) in had:
                continue
            found = parse_id(text)
            if found is None:
                refused.append(f"{text[:80]!r} is no identifier: write arxiv:…, doi:…, or url:….")
                continue
            row = _identifier(session, found.scheme, found.value)
            if row is not None and not _is_of(row, page, paper):
                refused.append(f"{found} belongs to another page.")
            elif paper is not None:
                papers.add_identifiers(session, paper, [found])
            elif row is None:
                session.add(
                    Identifier(scheme=found.scheme, value=found.value, page_id=page.id, versions=[])
                )
        for text in base.identifiers:
            found = parse_id(text) if name_key(text) not in has else None
            row = _identifier(session, found.scheme, found.value) if found else None
            if row is not None and _is_of(row, page, paper):
                session.delete(row)
        session.flush()
        if paper is not None:
            papers.touch(session, paper)
        return refused

    def _state(
        self, session: Session, page: Page, base: Note, file: Note, now: datetime
    ) -> list[str]:
        """Facts of its kind that were changed."""
        changed = {
            name: file.facts.get(name, "")
            for name in FACTS.get(page.kind, ())
            if file.facts.get(name, "") != base.facts.get(name, "")
        }
        if not changed:
            return []
        text = {name: _one(value) for name, value in changed.items()}
        match page.kind:
            case PageKind.PAPER:
                paper = papers.of_page(session, page.id or 0)
                return _state_paper(session, paper, changed, text) if paper is not None else []
            case PageKind.THREAD:
                thread = session.get(Thread, page.id) or Thread(page_id=page.id or 0)
                claim = " ".join(text.get("claim", thread.claim).split())
                status = text.get("status", thread.status.value)
                if (thread.claim and not claim) or len(claim) > _MAX_CLAIM:
                    return [f"claim: A claim is one sentence, at most {_MAX_CLAIM:,} characters."]
                if status not in {each.value for each in ThreadStatus}:
                    every = ", ".join(each.value for each in ThreadStatus)
                    return [f"status: A thread is one of {every}."]
                threads.set_claim(session, page, claim, ThreadStatus(status), now=now)
            case PageKind.EPISODE:
                episode = session.get(Episode, page.id)
                day = clean_date(text.get("published", ""))
                if episode is not None and (day or not text.get("published")):
                    episode.published = day
                    session.add(episode)
            case PageKind.DIGEST:
                return ["day: A digest stays that of its day."]
            case _:
                pass
        session.flush()
        return []

    def _link(
        self, session: Session, page: Page, base: Note, file: Note, now: datetime
    ) -> list[str]:
        """Links of front matter that were put in or taken out: decisions like any other."""
        self._link_members(session, page, base, file, now)
        if {*base.links} == {*file.links} or page.id is None:
            return []
        every = {link.name for link in (*base.links, *file.links)}
        found = mirror.lookup(session, every, names.path_key)
        had = {(link.relation, found[link.name]) for link in base.links if link.name in found}
        has = {(link.relation, found[link.name]) for link in file.links if link.name in found}
        refused: list[str] = []
        batch = uuid4().hex
        for relation, target_id in sorted(had - has):
            link = links.between(session, page.id, target_id, relation)
            stands = link is not None and link.status == LinkStatus.ACCEPTED
            if link is not None and stands and link.origin != Origin.AUTHOR:
                decisions.take_out(
                    session, link, now=now, reason="taken out of its file", batch=batch
                )
        for relation, target_id in sorted(has - had):
            if target_id == page.id:
                refused.append(f"{relation.value}: A page cannot be linked to itself.")
                continue
            decisions.put_in(
                session,
                page.id,
                target_id,
                relation,
                now=now,
                reason="put into its file",
                batch=batch,
            )
        self._note_red(session, page, file.links, found, now)
        return refused

    def _link_members(
        self, session: Session, page: Page, base: Note, file: Note, now: datetime
    ) -> None:
        """Papers that the file of a thread lists as its members are."""
        new = [name for name in file.members if name not in base.members]
        if page.kind is not PageKind.THREAD or not new or page.id is None:
            return
        found = mirror.lookup(session, new, names.path_key)
        for member_id in sorted({*found.values()} - {page.id}):
            decisions.put_in(
                session,
                member_id,
                page.id,
                Relation.PART_OF,
                now=now,
                reason="put into its file",
            )

    def _note_red(
        self,
        session: Session,
        page: Page,
        said: Sequence[NamedLink],
        found: dict[str, int],
        now: datetime,
    ) -> None:
        """Links to pages that nobody wrote yet are kept by their names, until somebody does."""
        left = [[link.relation.value, link.name] for link in said if link.name not in found]
        if left != page.extra.get(pages.PUT_IN, []):
            kept = {key: value for key, value in page.extra.items() if key != pages.PUT_IN}
            page.extra = {**kept, pages.PUT_IN: left} if left else kept
            session.add(page)
            session.flush()
            pages.relink(session, page, now=now)

    # ------------------------------------------------------------ a file of no page

    def _make(self, file: _File, copy_of: int | None) -> None:
        """A page for a file that is none's: made outside, or copied."""
        now = self._clock()
        with writing(self.engine) as session:
            twin = mirror.of_key(session, names.path_key(file.path))
            if twin is not None and twin.version > 0 and twin.page_id is not None:
                raise Invalid(
                    f"Its name is that of {twin.path} but for case or accents: many file systems "
                    "take the two for one. Give it another name."
                )
            if twin is not None:
                session.delete(twin)
                session.flush()
                if twin.page_id is not None:
                    mirror.mark(session, [twin.page_id])
            note = file.note
            original = session.get(Page, copy_of) if copy_of is not None else None
            stem = names.stem(file.path)
            if original is not None:
                said = note.title.strip()
                same = not said or name_key(said) == name_key(original.title)
                note = replace(note, id="", identifiers=(), title=stem if same else said)
            back = removal.removed_at(session, note.id) if is_slug(note.id) else None
            if back is not None and back.id is not None:
                self._put_back(session, back, file, now)
                page: Page = back
                refused: list[str] = []
            else:
                page, refused = self._made(session, note, file.path, now)
                session.add(_row(page, file, now))
            session.flush()
            assert page.id is not None
            mirror.mark(session, [page.id])
            refused += [file.parsed.problem] if file.parsed.problem else []
            if refused:
                mirror.note_problem(session, file.path, " ".join(refused), now=now)
            else:
                mirror.solved(session, [file.path])
        if refused:
            self.report.refused[file.path] = " ".join(refused)
        (self.report.made if copy_of is None else self.report.copied).append(file.path)
        if back is not None and page.id is not None:
            self._take(file, page.id, moved=True)

    def _put_back(self, session: Session, page: Page, file: _File, now: datetime) -> None:
        """The file of a removed page is there again: so is the page."""
        assert page.id is not None
        removal.restore(session, page, now=now, who="person", reason="its file came back")
        row = mirror.of_pages(session, [page.id]).get(page.id)
        row = self._adopted(session, page, file, row, now)
        row.version = row.version or page.version  # it grew from what the page said when it went
        session.add(row)

    def _made(
        self, session: Session, note: Note, path: str, now: datetime
    ) -> tuple[Page, list[str]]:
        refused: list[str] = []
        stem = names.stem(path)
        title = note.title.strip() or stem
        kind = note.kind or names.kind_of_folder(path) or PageKind.NOTE
        if kind is PageKind.DIGEST and not self._is_free_day(session, note):
            kind = PageKind.NOTE
            refused.append("It is no digest: those have a `day` that no other digest has.")
        aliases = note.aliases
        slug = note.id if is_slug(note.id) else slugify(title)
        known = {name_key(name) for name in (title, slug, *aliases)}
        if name_key(stem) not in known and pages.named(session, stem) is None:
            aliases = (*aliases, stem)
        content = Content(
            title=title, kind=kind, body=note.body, aliases=aliases, tags=note.tags
        ).cleaned()
        if kind is PageKind.PAPER:
            page = self._made_paper(session, content, note, slug, now)
        else:
            page = pages.create(
                session, content, author=VAULT, now=now, slug=slug, note="made in the vault"
            )
            assert page.id is not None
            if kind is PageKind.THREAD:
                session.add(Thread(page_id=page.id))
            elif kind is PageKind.DIGEST:
                session.add(Digest(page_id=page.id, day=_one(note.facts.get("day", ""))))
            elif kind is PageKind.EPISODE:
                ref = SourceRef(key="vault", kind=SourceKind.FILE, name="Vault")
                source = items.source(session, ref, now=now)
                session.add(Episode(page_id=page.id, source_id=source.id or 0))
            session.flush()
        nothing = Note(facts={"day": note.facts["day"]} if "day" in note.facts else {})
        refused += self._identify(session, page, nothing, note)
        refused += self._state(session, page, nothing, note, now)
        refused += self._link(session, page, nothing, note, now)
        return page, refused

    def _made_paper(
        self, session: Session, content: Content, note: Note, slug: str, now: datetime
    ) -> Page:
        found = papers.find(
            session, [each for i in note.identifiers if (each := parse_id(i))], content.title
        )
        standing = session.get(Page, found.page_id) if found and found.page_id else None
        if standing is not None:
            raise Invalid(
                f"The paper it is about has a page already: [[{standing.title}]]. Write there, or "
                "make this a note (`kind: note`) without the paper's title and identifiers."
            )
        paper = found or Paper(
            state=PaperState.WAITING,
            title=content.title,
            title_key=title_key(content.title),
            created_at=now,
        )
        session.add(paper)
        session.flush()
        page = papers.give_page(
            session,
            paper,
            now=now,
            slug=slug,
            body=content.body,
            aliases=content.aliases,
            tags=content.tags,
            author=VAULT,
        )
        if page.title != content.title:
            pages.revise(session, page, content, author=VAULT, now=now)
        return page

    def _is_free_day(self, session: Session, note: Note) -> bool:
        day = _one(note.facts.get("day", ""))
        whole = whole_day(day) is not None or (len(day) == 7 and clean_date(day) == day)
        return whole and session.exec(select(Digest).where(Digest.day == day)).first() is None

    # ------------------------------------------------------------ a file that is gone

    def _deleted(self, page_id: int) -> None:
        now = self._clock()
        slug = path = told = ""
        removed = False
        with writing(self.engine) as session:
            page = session.get(Page, page_id)
            row = mirror.of_pages(session, [page_id]).get(page_id)
            if row is None:
                return
            path = told = row.path
            disputed = mirror.conflict(session, page_id) is not None
            if page is None or page.kind in GONE:
                _let_go(session, page, row)
                return
            slug = page.slug
            if path.startswith(".moved/"):  # another page's file lies where its own lay
                told = page.title
            means = syncing.gone(written=True, version=page.version, mirrored=row.version)
            removed = means is Action.DELETED and not disputed
            if removed:
                removal.remove(
                    session, page, now=now, who="person", reason="its file was deleted in the vault"
                )
                _let_go(session, page, row)
            else:  # the page moved on meanwhile, and whoever deleted the file never saw that
                row.version, row.hash, row.size, row.mtime_ns = 0, "", 0, 0
                session.add(row)
                session.flush()
                mirror.mark(session, [page_id])
            mirror.solved(session, [path])
        self._looks.pop(path, None)
        if removed:
            self._drop_companion(slug)
            self.report.removed.append(told)

    def _drop_companion(self, slug: str) -> None:
        """Take away what lay beside the file of a page that is not at this address any more."""
        with self._reading() as session:
            page = pages.by_slug(session, slug)
        if (
            page is None or page.kind in GONE
        ):  # else it is another's: a copy says the id it came from
            journal.drop_companion(self.vault, slug)

    # ------------------------------------------------------------ texts found beside their files

    def _look_at_strays(self) -> None:
        """Take up what somebody wrote into a file that was replaced while they had it open."""
        now = self._monotonic()
        found = {stray.kept: stray for stray in self.vault.strays()}
        self._strays = {kept: look for kept, look in self._strays.items() if kept in found}
        for kept, stray in found.items():
            digest = sha256(stray.data).hexdigest()
            before = self._strays.get(kept)
            if before is None or before[0] != digest:
                self._strays[kept] = (digest, now)
            elif now - before[1] >= STABLE_SECONDS:
                self._guarded(stray.path, self._take_stray, stray)
                self._strays.pop(kept, None)

    def _take_stray(self, stray: Stray) -> None:
        if not stray.data.strip():
            self.vault.forget(stray.kept)
            return
        try:
            parsed = notes.parse(stray.data)
        except Unreadable as error:
            self._keep_apart(stray, str(error))
            return
        with self._reading() as session:
            row = mirror.at(session, [stray.path]).get(stray.path)
            page = session.get(Page, row.page_id) if row and row.page_id else None
            if row is None or page is None or page.kind in GONE or page.id is None:
                base = None
            else:
                base = self._base_of(session, page.id, row, stray, parsed)
        if base is None or page is None or page.id is None:
            self._keep_apart(stray, "")
            return
        seen = Seen(stray.path, len(stray.data), 0)
        try:
            self._take(_File(stray.path, stray.data, seen, parsed), page.id, base=base)
        except _Apart:
            self._keep_apart(stray, "")
            return
        self.vault.forget(stray.kept)

    def _base_of(
        self, session: Session, page_id: int, row: Mirror, stray: Stray, parsed: Parsed
    ) -> _Base:
        """What a text grew from: what stood in that file when it was replaced, or what it is most like."""
        for path, base in reversed(self._bases.values()):
            if path == stray.path:
                return base
        body = spoken(parsed.note.body)
        before = mirror.texts_before(session, page_id, max(row.version, 1))
        best, likeness = row.version, -1.0
        for number, text in before[1:] or before:
            found = SequenceMatcher(None, text.split("\n"), body.split("\n")).ratio()
            if found > likeness:
                best, likeness = number, found
        return _Base(best, row.head, row.newline)

    def _keep_apart(self, stray: Stray, reason: str) -> None:
        """Put a text of no page beside the others, as a file of its own."""
        known = names.is_page(stray.path)  # a note of ours that was damaged may say anything
        folder = stray.path.rpartition("/")[0] if known else ""
        name = f"{names.stem(stray.path) if known else 'Text'} (found {stray.kept[:6]}).md"
        path = f"{folder}/{name}" if folder else name
        with suppress(Conflict):  # it was put there before, and the kill came then
            try:
                self.vault.write(path, stray.data, expected=None)
            except Unavailable:
                if not folder:
                    raise
                path = name  # its folder is none any more: a link, or a file
                self.vault.write(path, stray.data, expected=None)
        self.vault.forget(stray.kept)
        if reason:
            self._refuse(path, reason)

    # ------------------------------------------------------------ writing files

    def write(self, *, after: int = 0, most: int | None = None) -> int:
        """Write the files of pages that changed, and take away those of pages that are gone.

        Of at most so many pages, by id `after` one; after which to go on, 0 when none is left.
        """
        self._take_away()
        self._reserve()
        done = 0
        while most is None or done < most:
            with self._reading() as session:
                batch = mirror.waiting(session, after=after, limit=_BATCH)
                told = mirror.told(session, [page_id for page_id, _ in batch])
            if not batch:
                return 0
            self._write_some(batch, told)
            after, done = batch[-1][0], done + len(batch)
        return after

    def _reserve(self) -> None:
        """Give pages that have no file yet the path that it will have."""
        oldest = min((at for seen, at in self._looks.values() if seen is not None), default=None)
        if oldest is not None and self._monotonic() - oldest < PATIENCE:
            with self._reading() as session:
                known = mirror.at(session, list(self._looks))
            if any(
                path not in known for path, (seen, _) in self._looks.items() if seen is not None
            ):
                return  # whose these files are is not known yet: one may be a page's own
        while True:
            with self._reading() as session:
                rows = mirror.unwritten(session)
            if not rows:
                return
            with writing(self.engine, alone=False) as session:
                self._reserve_some(session, rows)

    def _reserve_some(self, session: Session, rows: Sequence[tuple[Any, ...]]) -> None:
        now = self._clock()
        wanted = {
            names.path_key(stem)
            for _, title, slug, _ in rows
            for stem in (names.stem_of(title, slug), names.stem_of("", slug))
        }
        taken = mirror.taken(session, [], list(wanted)) | self._taken
        meant = pages.resolve(session, [title for _, title, _, _ in rows])
        had = mirror.extras_with(session, [row[0] for row in rows], mirror.HAD)
        for page_id, title, slug, kind in rows:
            if (before := had.get(page_id)) and self._reserve_again(
                session, page_id, before, taken, now
            ):
                continue
            # A wikilink by a name that means another page must not find this one's file.
            means = meant.get(name_key(title))
            mine = means is None or means.id == page_id
            path = names.free_path(kind, title if mine else "", slug, taken)
            while names.stem(path) not in (title, slug) and mirror.taken(
                session, [names.path_key(path)], [names.stem_key(path)]
            ):  # numbered, and that number is taken as well
                taken.add(names.stem_key(path))
                path = names.free_path(kind, title if mine else "", slug, taken)
            taken.add(names.stem_key(path))
            session.add(
                Mirror(
                    page_id=page_id,
                    path=path,
                    path_key=names.path_key(path),
                    stem_key=names.stem_key(path),
                    version=0,
                    hash="",
                    size=0,
                    mtime_ns=0,
                    at=now,
                )
            )
        session.flush()
        mirror.mark_linking(session, [row[0] for row in rows])

    def _reserve_again(
        self, session: Session, page_id: int, had: Any, taken: set[str], now: datetime
    ) -> bool:
        """Reserve the path that a page's file had before the page was removed, if it is free.

        What stood before its text is written there again, keys and comments of other tools too.
        """
        page = session.get(Page, page_id)
        if not _is_a_file(had):  # an import brought a field of this name
            return False
        path = had["path"]
        key, stem = names.path_key(path), names.stem_key(path)
        if page is None:
            return False
        _has_a_file(session, page)
        if stem in taken or mirror.taken(session, [key], [stem]):
            return False
        taken.add(stem)
        row = Mirror(
            page_id=page_id,
            path=path,
            path_key=key,
            stem_key=stem,
            version=0,
            head=had["head"],
            newline=had["newline"],
            hash="",
            size=0,
            mtime_ns=0,
            at=now,
        )
        session.add(row)
        return True

    def _write_some(self, batch: Sequence[tuple[int, int]], told: dict[int, Told]) -> None:
        done: dict[int, int] = {}
        changed: dict[int, dict[str, Any]] = {}
        trouble: list[Unavailable] = []
        for page_id, seq in batch:
            page = told.get(page_id)
            if page is None or page.disputed:
                done[page_id] = seq
                continue
            if page.mirror is None:
                continue
            try:
                made = self._written(page)
            except CerebroError as error:
                self._refuse(page.mirror.path, str(error))
                trouble += [error] if isinstance(error, Unavailable) else []
                if len(trouble) >= _FAILURES:
                    break  # it is the disk, not the file
                continue
            if made is not None:
                changed[page_id] = made
                done[page_id] = page.seq or seq
                self._solve([made.get("path", page.mirror.path)])
        with writing(self.engine, alone=False) as session:
            rows = mirror.of_pages(session, list(changed))
            moved = []
            for page_id, values in changed.items():
                if values and page_id in rows:
                    moved += (
                        [page_id] if values.get("path", "") not in ("", rows[page_id].path) else []
                    )
                    rows[page_id].sqlmodel_update(values)
                    session.add(rows[page_id])
            session.flush()
            mirror.written(session, done)
            mirror.mark_linking(session, moved)
        if len(trouble) >= _FAILURES:
            raise trouble[0]

    def _written(self, told: Told) -> dict[str, Any] | None:
        """See that a file says what its page does; how its row changes. None: not now.

        Nothing is written over but what the row remembers.
        """
        row = told.mirror
        assert row is not None
        made: dict[str, Any] = {}
        if journal.companion_hash(told.side) != row.side_hash:
            made["side_hash"] = journal.companion(self.vault, told.note.id, told.side)
        note = told.note
        if row.version == 0:
            data = notes.render(note, head=row.head, newline=row.newline or "\n")
            return made | self._put(told, row.path, data, note.body, expected=None)
        if row.path.startswith(".moved/"):
            return None
        head = row.head
        data = notes.render(note, head=head, newline=row.newline)
        if sha256(data).hexdigest() == row.hash:
            return made
        if (said := _fields(head)) is not None:
            by_folder = names.kind_of_folder(row.path) or PageKind.NOTE
            note = syncing.worded(note, said, by_folder=by_folder)
            data = notes.render(note, head=head, newline=row.newline)
            if sha256(data).hexdigest() == row.hash:
                return made
        try:
            standing, _ = self.vault.read(row.path)
        except NotFound:
            return self._missing(told, made)
        except Unreadable:
            return None
        if sha256(standing).hexdigest() != row.hash:
            self._looks.setdefault(row.path, (None, self._monotonic()))
            return None  # an edit that is taken up first
        path = self._path_of(told, row)
        if path != row.path:
            try:
                self.vault.move(row.path, path)
            except (Conflict, NotFound):
                path = row.path
            else:
                made |= {
                    "path": path,
                    "path_key": names.path_key(path),
                    "stem_key": names.stem_key(path),
                }
        if note.id not in head:
            before = _fields(head)
            if before is not None and is_slug(before.id) and before.id != note.id:
                self._drop_companion(before.id)
        try:
            return made | self._put(told, path, data, note.body, expected=row.hash)
        except (Conflict, NotFound):
            self._looks.setdefault(path, (None, self._monotonic()))
            return made if made.get("path") else None

    def _missing(self, told: Told, made: dict[str, Any]) -> dict[str, Any] | None:
        """Its file is not there: the next looks say whether it was deleted or moved."""
        row = told.mirror
        assert row is not None
        if row.path not in self._looks:
            self._looks[row.path] = (None, self._monotonic())
        return None

    def _put(
        self, told: Told, path: str, data: bytes, body: str, *, expected: str | None
    ) -> dict[str, Any]:
        row = told.mirror
        assert row is not None
        if expected is None:
            try:
                written = self.vault.write(path, data, expected=None)
            except Conflict:
                data_there, seen = self.vault.read(path)
                if data_there != data:  # somebody's: this page's file is called otherwise
                    self._looks.setdefault(path, (seen, self._monotonic()))
                    return self._elsewhere(told, path, data, body)
                written_seen = seen
            else:
                written_seen = written.seen
        else:
            written = self.vault.write(path, data, expected=expected)
            written_seen = written.seen
            self._bases[expected] = (path, _Base(row.version, row.head, row.newline))
            while len(self._bases) > _KEPT:
                self._bases.popitem(last=False)
        self.report.written.append(path)
        return {
            "version": told.version,
            **_split(data, body, row.newline),
            "hash": sha256(data).hexdigest(),
            "size": written_seen.size,
            "mtime_ns": written_seen.mtime_ns,
            "at": self._clock(),
        }

    def _elsewhere(self, told: Told, taken: str, data: bytes, body: str) -> dict[str, Any]:
        """The path that was reserved has a file of somebody's: take another."""
        note = told.note
        assert note.kind is not None
        with self._reading() as session:
            stems = {row.stem_key for row in session.exec(select(Mirror))}
        self._taken.add(names.stem_key(taken))
        path = names.free_path(note.kind, note.title, note.id, stems | self._taken)
        written = self.vault.write(path, data, expected=None)
        self.report.written.append(path)
        return {
            "path": path,
            "path_key": names.path_key(path),
            "stem_key": names.stem_key(path),
            "version": told.version,
            **_split(data, body, "\n"),
            "hash": sha256(data).hexdigest(),
            "size": written.seen.size,
            "mtime_ns": written.seen.mtime_ns,
            "at": self._clock(),
        }

    def _path_of(self, told: Told, row: Mirror) -> str:
        """Where a file lies that follows its page's title and kind; one a person named stays."""
        note, stem = told.note, names.stem(row.path)
        folder, _, _ = row.path.rpartition("/")
        wanted = names.stem_of(note.title, note.id)
        base = _fields(row.head)
        if base is None or note.kind is None:
            return row.path
        if base.kind is not None and base.kind != note.kind and folder == names.FOLDERS[base.kind]:
            folder = names.FOLDERS[note.kind]
        follows = stem in (names.stem_of(base.title, base.id), base.id)
        if stem != wanted and (not follows or base.title == note.title):
            wanted = stem
        path = "/".join(filter(None, (folder, f"{wanted}.md")))
        if path == row.path:
            return path
        with self._reading() as session:
            taken = mirror.taken(session, [names.path_key(path)], [names.stem_key(path)])
        own = {row.path_key, row.stem_key}
        return row.path if (taken - own) or names.stem_key(path) in self._taken else path

    def _take_away(self) -> None:
        """Take away the files of pages that are gone, unless somebody wrote into them since."""
        while True:
            with self._reading() as session:
                rows = mirror.without_page(session)
            if not rows:
                return
            self._take_away_some(rows)

    def _take_away_some(self, rows: Sequence[Mirror]) -> None:
        for row in rows:
            standing = None
            if row.version > 0 and not row.path.startswith(".moved/"):
                standing = self.vault.remove(row.path, expected=row.hash)
            base = _fields(row.head)
            if base is not None and is_slug(base.id):
                self._drop_companion(base.id)
            with writing(self.engine, alone=False) as session:
                found = session.get(Mirror, row.id)
                if found is not None:
                    page = session.get(Page, found.page_id) if found.page_id else None
                    _let_go(session, page, found)
            if standing is None:
                self.report.deleted.append(row.path)

    # ------------------------------------------------------------ decisions

    def tell_decisions(self) -> None:
        """Add the decisions that are new to the vault's journal."""
        while True:
            with self._reading() as session:
                lines = mirror.decisions_after(session, mirror.newest_decision(session))
            if not lines:
                return
            journal.append(self.vault, [line for _, line in lines])
            with writing(self.engine, alone=False) as session:
                mirror.note_decisions(session, lines[-1][0])
            self.report.decisions += len(lines)

    # ------------------------------------------------------------ what is wrong

    def _refuse(self, path: str, reason: str) -> None:
        if self.report.refused.get(path) == reason:
            return
        self.report.refused[path] = reason
        self._problems.add(path)
        with writing(self.engine, alone=False) as session:
            mirror.note_problem(session, path, reason, now=self._clock())

    def _solve(self, paths: Collection[str]) -> None:
        if gone := self._problems & set(paths):
            with writing(self.engine, alone=False) as session:
                mirror.solved(session, gone)
            self._problems -= gone

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        """One moment of the database; what was read of it may be looked at afterwards."""
        with reading(self.engine) as session:
            yield session
            session.expunge_all()

    def begin(self) -> None:
        """A new pass: what it does is told by itself."""
        self.report = Report()
        with self._reading() as session:
            self._problems = {row.path for row in mirror.problems(session)}


# ---------------------------------------------------------------- small things


def _fields(head: str) -> Note | None:
    """The fields that front matter says; None when it cannot be read."""
    if not head:
        return Note()
    try:
        parsed = notes.parse(head.encode())
    except Unreadable:
        return None
    return None if parsed.problem else replace(parsed.note, body="")


def _split(data: bytes, body: str, newline: str) -> dict[str, str]:
    """Head and line ends of a file that was rendered with this text."""
    end = body.replace("\n", newline).encode()
    if newline in ("\n", "\r\n") and data.endswith(end):  # to parse takes most of a first writing
        return {"head": data[: len(data) - len(end)].decode(), "newline": newline}
    parsed = notes.parse(data)
    return {"head": parsed.head, "newline": parsed.newline}


def _let_go(session: Session, page: Page | None, row: Mirror) -> None:
    """Forget a file; of a page that was removed it is kept with the page how it was."""
    if page is not None and page.kind is PageKind.REMOVED and not row.path.startswith(".moved/"):
        had = {"path": row.path, "head": row.head, "newline": row.newline}
        page.extra = {**page.extra, mirror.HAD: had}
        session.add(page)
    session.delete(row)


def _is_a_file(had: Any) -> bool:
    """Whether this is what `_let_go` kept of a file."""
    return (
        isinstance(had, dict)
        and all(isinstance(had.get(name), str) for name in ("path", "head", "newline"))
        and names.is_page(had["path"])
        and not {"", ".", ".."} & set(had["path"].split("/"))
    )


def _has_a_file(session: Session, page: Page) -> None:
    if mirror.HAD in page.extra:
        page.extra = {name: value for name, value in page.extra.items() if name != mirror.HAD}
        session.add(page)


def _row(page: Page, file: _File, now: datetime) -> Mirror:
    return Mirror(
        page_id=page.id,
        path=file.path,
        path_key=names.path_key(file.path),
        stem_key=names.stem_key(file.path),
        version=page.version,
        head=file.parsed.head,
        newline=file.parsed.newline,
        hash=file.hash,
        size=file.seen.size,
        mtime_ns=file.seen.mtime_ns,
        at=now,
    )


def _identifier(session: Session, scheme: str, value: str) -> Identifier | None:
    return session.exec(
        select(Identifier).where(Identifier.scheme == scheme, Identifier.value == value)
    ).first()


def _is_of(row: Identifier, page: Page, paper: Paper | None) -> bool:
    return (
        row.page_id == page.id
        if row.page_id is not None
        else bool(paper is not None and row.paper_id == paper.id)
    )


def _one(value: str | tuple[str, ...]) -> str:
    return value.strip() if isinstance(value, str) else ", ".join(value)


def _several(value: str | tuple[str, ...]) -> list[str]:
    found = [value] if isinstance(value, str) else list(value)
    return [each.strip() for each in found if each.strip()]


def _state_paper(
    session: Session,
    paper: Paper,
    changed: dict[str, str | tuple[str, ...]],
    text: dict[str, str],
) -> list[str]:
    refused = []
    if "authors" in changed:
        paper.authors = _several(changed["authors"])
    if "categories" in changed:
        paper.categories = _several(changed["categories"])
    if "venue" in changed:
        paper.venue = text["venue"]
    if "code" in changed:
        paper.code_url = text["code"]
    if "published" in changed:
        day = clean_date(text["published"])
        if text["published"] and not day:
            refused.append(
                "published: A date is a year, a month or a day: 2026, 2026-05 or 2026-05-08."
            )
        else:
            paper.published = day
    session.add(paper)
    session.flush()
    papers.touch(session, paper)
    return refused
