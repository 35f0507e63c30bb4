"""Conflicts of a page and its file, ended by the reader's word."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlmodel import Session

from app.domain.notes import Note
from app.domain.records import Page, VaultConflict
from app.services.vault.pair import VAULT
from app.store import mirror, pages
from app.vault import notes


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
