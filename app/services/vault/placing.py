"""Whose each file is: its page's as before, moved, copied, of no page yet, or gone."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from sqlmodel import Session

from app.domain import syncing
from app.domain.identifiers import is_slug
from app.domain.records import GONE, Mirror, Page
from app.domain.syncing import Action
from app.errors import NotFound, Unavailable, Unreadable
from app.services.vault.looks import Looks
from app.services.vault.making import Making
from app.services.vault.pair import File, Pair
from app.services.vault.taking import Taking
from app.store import mirror, pages
from app.vault import names, notes


class Placing:
    """Gives every file that settled to whom it belongs."""

    def __init__(self, pair: Pair, looks: Looks, taking: Taking, making: Making) -> None:
        self._pair = pair
        self._looks = looks
        self._taking = taking
        self._making = making

    def take_up(self, files: Sequence[File], missing: Sequence[str]) -> None:
        if not files and not missing:
            return
        with self._pair.reading() as session:
            rows = mirror.at(session, [*(file.path for file in files), *missing])
            rows = {path: row for path, row in rows.items() if row.version > 0}
            said = self._said(session, files)
            own = mirror.of_pages(session, set(said.values()))
        gone = {row.page_id: row for path, row in rows.items() if path in missing}
        by_hash = {row.hash: row for row in gone.values() if row.page_id is not None}
        here = {file.path: said.get(file.path) for file in files}
        claimed: set[int] = set()
        later: list[tuple[File, int | None]] = []
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
                self._looks.guarded(file.path, self._taking.arrived, file, page_id, written)
            elif action is Action.TAKE and owner is not None:
                claimed.add(owner)
                self._looks.guarded(file.path, self._taking.take, file, owner)
            else:
                later.append((file, page_id if action is Action.COPY else None))
        for file, copy_of in later:
            self._looks.guarded(file.path, self._making.make, file, copy_of)
        for page_id, row in gone.items():
            if page_id is not None and page_id not in claimed:
                self._looks.guarded(row.path, self._taking.deleted, page_id)

    def _said(self, session: Session, files: Sequence[File]) -> dict[str, int]:
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
        if row.path_key == names.path_key(but) and not self._pair.vault.is_called(row.path):
            return False  # where case does not count, the old name still opens the renamed file
        if row.path in here:
            return here[row.path] in (page_id, None)
        try:
            data, _ = self._pair.vault.read(row.path)
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
        with self._pair.reading() as session:
            page = session.get(Page, page_id)
        return said in ("", page.slug if page else "")
