"""Pages become files: paths are reserved, files written over nothing but what was last seen there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlmodel import Session, select

from app.domain import syncing
from app.domain.identifiers import is_slug
from app.domain.markdown import name_key
from app.domain.notes import Note
from app.domain.records import Mirror, Page, PageKind
from app.errors import CerebroError, Conflict, NotFound, Unavailable, Unreadable
from app.services.vault import rows
from app.services.vault.looks import Looks
from app.services.vault.pair import Base, Bases, Pair, fields_of
from app.store import mirror, pages
from app.store.db import writing
from app.store.mirror import Told
from app.vault import journal, names, notes

_BATCH = 50  # files written before they are noted in one transaction
_FAILURES = 3  # files that cannot be written before no more are tried
_NO_FIELDS = "---\n---\n"  # of a file that had none: it is not told what its folder and text say
_GONE = 200  # files of pages that are gone, read at a time


class _Stuck(Exception):
    """A file cannot be taken away."""


class Writing:
    """Writes the files of pages that changed, and takes away those of pages that are gone."""

    def __init__(self, pair: Pair, looks: Looks, bases: Bases) -> None:
        self._pair = pair
        self._looks = looks
        self._bases = bases

    def write(self, *, after: int = 0, most: int | None = None) -> int:
        """Write the files of pages that changed, and take away those of pages that are gone.

        Of at most so many pages, by id `after` one; after which to go on, 0 when none is left.
        """
        self._pair.drop_left()
        self._take_away()
        self._reserve()
        done = 0
        while most is None or done < most:
            with self._pair.reading() as session:
                batch = mirror.waiting(session, after=after, limit=_BATCH)
                ids = [page_id for page_id, _ in batch]
                told = mirror.told(session, ids)
                # Gone since, or their files could not be taken away: they wait for the next time.
                standing = mirror.of_pages(session, {*ids} - {*told})
            if not batch:
                return 0
            self._write_some([each for each in batch if each[0] not in standing], told)
            after, done = batch[-1][0], done + len(batch)
        return after

    def _reserve(self) -> None:
        """Give pages that have no file yet the path that it will have."""
        if self._looks.may_be_pages():
            return
        while True:
            with self._pair.reading() as session:
                unwritten = mirror.unwritten(session)
            if not unwritten:
                return
            with writing(self._pair.engine, alone=False) as session:
                self._reserve_some(session, unwritten)

    def _reserve_some(self, session: Session, unwritten: Sequence[tuple[Any, ...]]) -> None:
        now = self._pair.clock()
        wanted = {
            names.path_key(stem)
            for _, title, slug, _ in unwritten
            for stem in (names.stem_of(title, slug), names.stem_of("", slug))
        }
        taken = mirror.taken(session, [], list(wanted)) | self._looks.strangers
        meant = pages.resolve(session, [title for _, title, _, _ in unwritten])
        had = mirror.extras_with(session, [row[0] for row in unwritten], mirror.HAD)
        for page_id, title, slug, kind in unwritten:
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
            session.add(rows.reserved(page_id, path, now))
        session.flush()
        mirror.mark_linking(session, [row[0] for row in unwritten])

    def _reserve_again(
        self, session: Session, page_id: int, had: Any, taken: set[str], now: datetime
    ) -> bool:
        """Reserve the path that a page's file had before the page was removed, if it is free.

        What stood before its text is written there again, keys and comments of other tools too.
        """
        page = session.get(Page, page_id)
        if not rows.is_a_file(had):  # an import brought a field of this name
            return False
        path = had["path"]
        key, stem = names.path_key(path), names.stem_key(path)
        if page is None:
            return False
        rows.has_a_file(session, page)
        if stem in taken or mirror.taken(session, [key], [stem]):
            return False
        taken.add(stem)
        session.add(
            rows.reserved(
                page_id, path, now, head=had["head"] or _NO_FIELDS, newline=had["newline"]
            )
        )
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
                self._pair.refuse(page.mirror.path, str(error))
                trouble += [error] if isinstance(error, Unavailable) else []
                if len(trouble) >= _FAILURES:
                    break  # it is the disk, not the file
                continue
            if made is not None:
                changed[page_id] = made
                done[page_id] = page.seq or seq
                self._pair.solve([made.get("path", page.mirror.path)])
        with writing(self._pair.engine, alone=False) as session:
            standing = mirror.of_pages(session, list(changed))
            moved = []
            for page_id, values in changed.items():
                if values and (row := standing.get(page_id)) is not None:
                    moved += [page_id] if values.get("path", "") not in ("", row.path) else []
                    row.sqlmodel_update(values)
                    session.add(row)
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
            made["side_hash"] = journal.companion(self._pair.vault, told.note.id, told.side)
        note, head = told.note, row.head
        data = bytes_of(note, row)
        if row.version == 0:
            return made | self._put(told, row.path, data, note.body, expected=None)
        if row.path.startswith(".moved/"):
            return None
        if sha256(data).hexdigest() == row.hash:
            return made
        try:
            standing, _ = self._pair.vault.read(row.path)
        except NotFound:
            self._looks.again(row.path)  # the next looks say whether it was deleted or moved
            return None
        except Unreadable:
            return None
        if sha256(standing).hexdigest() != row.hash:
            self._looks.again(row.path)
            return None  # an edit that is taken up first
        path = self._path_of(told, row)
        if path != row.path:
            try:
                self._pair.vault.move(row.path, path)
            except (Conflict, NotFound):
                path = row.path
            else:
                made |= rows.place(path)
        if note.id not in head:
            before = fields_of(head)
            if before is not None and is_slug(before.id) and before.id != note.id:
                self._pair.drop_companion(before.id)
        try:
            return made | self._put(told, path, data, note.body, expected=row.hash)
        except (Conflict, NotFound):
            self._looks.again(path)
            return made if made.get("path") else None

    def _put(
        self, told: Told, path: str, data: bytes, body: str, *, expected: str | None
    ) -> dict[str, Any]:
        row = told.mirror
        assert row is not None
        if expected is None:
            try:
                written = self._pair.vault.write(path, data, expected=None)
            except Conflict:
                data_there, seen = self._pair.vault.read(path)
                if data_there != data:  # somebody's: this page's file is called otherwise
                    self._looks.again(path, seen)
                    return self._elsewhere(told, path, data, body)
                written_seen = seen
            else:
                written_seen = written.seen
        else:
            written = self._pair.vault.write(path, data, expected=expected)
            written_seen = written.seen
            self._bases.keep(expected, path, Base(row.version, row.head, row.newline))
        self._pair.report.written.append(path)
        return {
            "version": told.version,
            **_split(data, body, row.newline),
            "hash": sha256(data).hexdigest(),
            "size": written_seen.size,
            "mtime_ns": written_seen.mtime_ns,
            "at": self._pair.clock(),
        }

    def _elsewhere(self, told: Told, taken: str, data: bytes, body: str) -> dict[str, Any]:
        """The path that was reserved has a file of somebody's: take another."""
        note = told.note
        assert note.kind is not None
        with self._pair.reading() as session:
            stems = {row.stem_key for row in session.exec(select(Mirror))}
        self._looks.strangers.add(names.stem_key(taken))
        path = names.free_path(note.kind, note.title, note.id, stems | self._looks.strangers)
        written = self._pair.vault.write(path, data, expected=None)
        self._pair.report.written.append(path)
        return {
            **rows.place(path),
            "version": told.version,
            **_split(data, body, "\n"),
            "hash": sha256(data).hexdigest(),
            "size": written.seen.size,
            "mtime_ns": written.seen.mtime_ns,
            "at": self._pair.clock(),
        }

    def _path_of(self, told: Told, row: Mirror) -> str:
        """Where a file lies that follows its page's title and kind; one a person named stays."""
        note, stem = told.note, names.stem(row.path)
        folder, _, _ = row.path.rpartition("/")
        wanted = names.stem_of(note.title, note.id)
        base = fields_of(row.head)
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
        with self._pair.reading() as session:
            taken = mirror.taken(session, [names.path_key(path)], [names.stem_key(path)])
        own = {row.path_key, row.stem_key}
        return row.path if (taken - own) or names.stem_key(path) in self._looks.strangers else path

    def _take_away(self) -> None:
        """Take away the files of pages that are gone, unless somebody wrote into them since."""
        failed: set[int | None] = set()  # what cannot be taken away now stops no other
        while True:
            with self._pair.reading() as session:
                found = mirror.without_page(session, limit=_GONE + len(failed))
            left = [row for row in found if row.id not in failed]
            if not left:
                return
            for row in left:
                try:
                    self._take_away_one(row)
                except _Stuck as error:
                    self._pair.refuse(row.path, str(error))
                    failed.add(row.id)

    def _take_away_one(self, row: Mirror) -> None:
        standing = None
        if row.version > 0 and not row.path.startswith(".moved/"):
            try:
                standing = self._pair.vault.remove(row.path, expected=row.hash)
            except (Unavailable, Unreadable) as error:
                raise _Stuck(str(error)) from error
        base = fields_of(row.head)
        if base is not None and is_slug(base.id):
            self._pair.drop_companion(base.id)
        with writing(self._pair.engine, alone=False) as session:
            found = session.get(Mirror, row.id)
            if found is not None:
                page = session.get(Page, found.page_id) if found.page_id else None
                rows.let_go(session, page, found)
        self._pair.solve([row.path])
        if standing is None:
            self._pair.report.deleted.append(row.path)

    # ------------------------------------------------------------ decisions

    def tell_decisions(self) -> None:
        """Add the decisions that are new to the vault's journal."""
        while True:
            with self._pair.reading() as session:
                lines = mirror.decisions_after(session, mirror.newest_decision(session))
            if not lines:
                return
            journal.append(self._pair.vault, [line for _, line in lines])
            with writing(self._pair.engine, alone=False) as session:
                mirror.note_decisions(session, lines[-1][0])
            self._pair.report.decisions += len(lines)


def bytes_of(note: Note, row: Mirror) -> bytes:
    """A page's file as it is to be: what the page says, in the words that its row says the file has.

    Keys and comments of other tools stay. A file that was never there says all of it.
    """
    if row.version == 0 and not row.head:
        return notes.render(note, newline=row.newline or "\n")
    said = fields_of(row.head)
    if said is not None:
        by_folder = names.kind_of_folder(row.path) or PageKind.NOTE
        note = syncing.worded(note, said, by_folder=by_folder)
    return notes.render(note, head=row.head, newline=row.newline or "\n")


def _split(data: bytes, body: str, newline: str) -> dict[str, str]:
    """Head and line ends of a file that was rendered with this text."""
    end = body.replace("\n", newline).encode()
    if newline in ("\n", "\r\n") and data.endswith(end):  # to parse takes most of a first writing
        return {"head": data[: len(data) - len(end)].decode(), "newline": newline}
    parsed = notes.parse(data)
    return {"head": parsed.head, "newline": parsed.newline}
