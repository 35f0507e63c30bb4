"""Texts that somebody wrote into files while they were replaced: found beside, and lost nowhere."""

from __future__ import annotations

from contextlib import suppress
from difflib import SequenceMatcher
from hashlib import sha256

from sqlmodel import Session

from app.domain.records import GONE, Mirror, Page
from app.domain.syncing import spoken
from app.errors import Conflict, Unavailable, Unreadable
from app.services.vault.looks import STABLE_SECONDS, Looks
from app.services.vault.pair import Base, Bases, File, Pair
from app.services.vault.taking import Apart, Taking
from app.store import mirror
from app.vault import names, notes
from app.vault.folder import Seen, Stray
from app.vault.notes import Parsed


class Strays:
    """Looks for such texts, and takes them up like any other edit."""

    def __init__(self, pair: Pair, looks: Looks, taking: Taking, bases: Bases) -> None:
        self._pair = pair
        self._looks = looks
        self._taking = taking
        self._bases = bases
        self._strays: dict[str, tuple[str, float]] = {}

    def __len__(self) -> int:
        return len(self._strays)

    def look(self) -> None:
        """Take up what somebody wrote into a file that was replaced while they had it open."""
        now = self._pair.monotonic()
        found = {stray.kept: stray for stray in self._pair.vault.strays()}
        self._strays = {kept: look for kept, look in self._strays.items() if kept in found}
        for kept, stray in found.items():
            digest = sha256(stray.data).hexdigest()
            before = self._strays.get(kept)
            if before is None or before[0] != digest:
                self._strays[kept] = (digest, now)
            elif now - before[1] >= STABLE_SECONDS:
                self._looks.guarded(stray.path, self._take_stray, stray)
                self._strays.pop(kept, None)

    def _take_stray(self, stray: Stray) -> None:
        if not stray.data.strip():
            self._pair.vault.forget(stray.kept)
            return
        try:
            parsed = notes.parse(stray.data)
        except Unreadable as error:
            self._keep_apart(stray, str(error))
            return
        with self._pair.reading() as session:
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
            self._taking.take(File(stray.path, stray.data, seen, parsed), page.id, base=base)
        except Apart:
            self._keep_apart(stray, "")
            return
        self._pair.vault.forget(stray.kept)

    def _base_of(
        self, session: Session, page_id: int, row: Mirror, stray: Stray, parsed: Parsed
    ) -> Base:
        """What a text grew from: what stood in that file when it was replaced, or what it is most like."""
        if known := self._bases.of(stray.path):
            return known
        body = spoken(parsed.note.body)
        before = mirror.texts_before(session, page_id, max(row.version, 1))
        best, likeness = row.version, -1.0
        for number, text in before[1:] or before:
            found = SequenceMatcher(None, text.split("\n"), body.split("\n")).ratio()
            if found > likeness:
                best, likeness = number, found
        return Base(best, row.head, row.newline)

    def _keep_apart(self, stray: Stray, reason: str) -> None:
        """Put a text of no page beside the others, as a file of its own."""
        known = names.is_page(stray.path)  # a note of ours that was damaged may say anything
        folder = stray.path.rpartition("/")[0] if known else ""
        name = f"{names.stem(stray.path) if known else 'Text'} (found {stray.kept[:6]}).md"
        path = f"{folder}/{name}" if folder else name
        with suppress(Conflict):  # it was put there before, and the kill came then
            try:
                self._pair.vault.write(path, stray.data, expected=None)
            except Unavailable:
                if not folder:
                    raise
                path = name  # its folder is none any more: a link, or a file
                self._pair.vault.write(path, stray.data, expected=None)
        self._pair.vault.forget(stray.kept)
        if reason:
            self._pair.refuse(path, reason)
