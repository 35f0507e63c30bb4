"""A page's file is taken up: what it says is joined with what the page says; a file that is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlmodel import Session

from app.domain import syncing
from app.domain.notes import Note
from app.domain.records import GONE, Mirror, Page, VaultConflict
from app.domain.syncing import Action, Renamed, spoken
from app.errors import Conflict, Invalid
from app.services.vault import fields, rows
from app.services.vault.pair import VAULT, Base, File, Pair, fields_of
from app.store import mirror, pages, removal
from app.store.db import writing
from app.store.mirror import Told
from app.store.pages import Content
from app.vault import names

_TRIES = 5


class Apart(Exception):
    """A text that was found beside its file does not join the page: it gets a file of its own."""


class Taking:
    """Takes up files of pages, each in one short transaction."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair

    def arrived(self, file: File, page_id: int, written: bool) -> None:
        """The file of a page lies elsewhere now; or it is the page's, and nobody knew."""
        now = self._pair.clock()
        with writing(self._pair.engine) as session:
            page = session.get(Page, page_id)
            if page is None or page.kind in GONE:
                return
            row = mirror.of_pages(session, [page_id]).get(page_id)
            self._make_way(session, file.path, but=row)
            if row is None or row.version == 0:
                row = adopted(session, page, file, row, now)
            else:
                was = row.path
                rows.lies_at(row, file.path)
                self._renamed(session, page, row, file, names.stem(was), now)
            session.add(row)
            mirror.mark(session, [page_id])
            mirror.mark_linking(session, [page_id])
        self._pair.solve([file.path])
        if written:
            self._pair.report.moved.append(file.path)
        if not written or file.hash != row.hash:
            self.take(file, page_id, moved=written)
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

    def _renamed(
        self, session: Session, page: Page, row: Mirror, file: File, old: str, now: datetime
    ) -> None:
        new = names.stem(file.path)
        base = fields_of(row.head)
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
            self._pair.report.renamed[file.path] = page.title

    def _note_seen(self, page_id: int, file: File) -> None:
        with writing(self._pair.engine, alone=False) as session:
            row = mirror.of_pages(session, [page_id]).get(page_id)
            if row is not None:
                row.size, row.mtime_ns = file.seen.size, file.seen.mtime_ns
                session.add(row)

    def take(
        self,
        file: File,
        page_id: int,
        *,
        base: Base | None = None,
        moved: bool = False,
    ) -> None:
        """Take up what a file says of its page. With a `base` it is a text that was found beside it."""
        for _ in range(_TRIES):
            if self._taken_up(file, page_id, base, moved):
                return
        raise Conflict(f"The page of {file.path} changed each time its file was taken up.")

    def _taken_up(self, file: File, page_id: int, base: Base | None, moved: bool) -> bool:
        now = self._pair.clock()
        with self._pair.reading() as session:
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
            raise Apart  # a page has one conflict: that of its file
        with writing(self._pair.engine) as session:
            page = session.get(Page, page_id)
            standing = mirror.of_pages(session, [page_id]).get(page_id)
            if page is None or page.kind in GONE or standing is None:
                return self._left_alone(base)
            if page.version != told.version or standing.hash != row.hash:
                return False
            refused = _apply(session, page, old, note, joined, now)
            if file.parsed.problem:
                refused.append(file.parsed.problem)
            if base is None:
                _seen_as(standing, file, now)
            if conflict:
                _dispute(session, page_id, file, base_version, now)
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
            self._pair.report.refused[file.path] = " ".join(refused)
        if conflict:
            self._pair.report.conflicts.append(file.path)
        elif changed and joined.action is Action.MERGE:
            self._pair.report.merged.append(file.path)
        elif changed and not moved:
            self._pair.report.taken.append(file.path)
        return True

    def _left_alone(self, base: Base | None) -> bool:
        """The page is gone meanwhile: its file stays, and a text that is nowhere else gets one."""
        if base is not None:
            raise Apart
        return True

    def _common(
        self,
        session: Session,
        told: Told,
        file: File,
        base: Base | None,
        disputed: VaultConflict | None,
    ) -> tuple[Note, int]:
        """The note that page and file grew from, and the number of its revision (0: nothing)."""
        row = told.mirror
        assert row is not None
        known = base or Base(row.version, row.head, row.newline)
        version = known.version
        if disputed is not None:
            version = min(version, disputed.base) if version else disputed.base
        body = spoken(file.note.body)
        # A kill between file and row: the file says a version that its row does not know of yet.
        newer = mirror.revision_with(session, told.page_id, body, after=version)
        if newer is not None and base is None and disputed is None:
            version = newer
        fields = fields_of(known.head)
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

    # ------------------------------------------------------------ a file that is gone

    def deleted(self, page_id: int) -> None:
        """The file of a page is gone: so is the page, unless it moved on meanwhile."""
        now = self._pair.clock()
        slug = path = told = ""
        removed = False
        with writing(self._pair.engine) as session:
            page = session.get(Page, page_id)
            row = mirror.of_pages(session, [page_id]).get(page_id)
            if row is None:
                return
            path = told = row.path
            disputed = mirror.conflict(session, page_id) is not None
            if page is None or page.kind in GONE:
                rows.let_go(session, page, row)
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
                rows.let_go(session, page, row)
            else:  # the page moved on meanwhile, and whoever deleted the file never saw that
                row.version, row.hash, row.size, row.mtime_ns = 0, "", 0, 0
                session.add(row)
                session.flush()
                mirror.mark(session, [page_id])
            mirror.solved(session, [path])
        if removed:
            self._pair.drop_companion(slug)
            self._pair.report.removed.append(told)


def adopted(session: Session, page: Page, file: File, row: Mirror | None, now: datetime) -> Mirror:
    """A row for a file that is a page's by its id, and of which nothing is known but that."""
    assert page.id is not None
    rows.has_a_file(session, page)
    version = mirror.revision_with(session, page.id, spoken(file.note.body)) or 0
    row = row or rows.reserved(page.id, file.path, now)
    rows.lies_at(row, file.path)
    row.version, row.hash = version, ""
    row.newline = file.parsed.newline
    return row


def _seen_as(row: Mirror, file: File, now: datetime) -> None:
    row.head, row.newline = file.parsed.head, file.parsed.newline
    row.hash, row.size, row.mtime_ns = file.hash, file.seen.size, file.seen.mtime_ns
    row.at = now


def _dispute(session: Session, page_id: int, file: File, base: int, now: datetime) -> None:
    session.merge(
        VaultConflict(page_id=page_id, base=base, text=file.data.decode(), hash=file.hash, at=now)
    )


def _apply(
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
    return refused + fields.apply(session, page, base, file, now)
