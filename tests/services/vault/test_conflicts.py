"""Page and file edited in one place: a conflict, and what ends it."""

from __future__ import annotations

from dataclasses import replace

from app.domain.records import (
    Revision,
    VaultConflict,
)
from app.services.pages import save
from app.services.vault import conflicts
from app.store import mirror, pages
from app.store.db import writing
from tests.services.vault.synced import NOW, Wiki


def test_both_edited_in_one_place_are_a_conflict_that_a_save_ends(wiki: Wiki) -> None:
    slug = wiki.page("Notes", "One.\n")
    wiki.pass_()
    wiki.edit(slug, "One here.\n")
    wiki.replace("notes/Notes.md", "One.", "One there.")
    report = wiki.pass_()
    assert report.conflicts == ["notes/Notes.md"]
    assert wiki.read(slug).body == "One here.\n"
    assert wiki.text("notes/Notes.md").endswith("One there.\n")
    [row] = wiki.all(VaultConflict)
    assert conflicts.file_of(row).body == "One there.\n"
    wiki.replace("notes/Notes.md", "One there.", "One over there.")
    wiki.edit(slug, "One right here.\n")
    wiki.pass_()
    [row] = wiki.all(VaultConflict)
    assert conflicts.file_of(row).body == "One over there.\n"
    with writing(wiki.engine) as session:
        page = pages.get(session, slug)
        found = mirror.conflict(session, page.id or 0)
        assert found is not None
        conflicts.settle(session, page, found, now=NOW)
        content = replace(pages.content_of(session, page), body="Both.\n")
        save(session, slug, content, base=page.version, now=NOW)
    assert wiki.pass_().written == ["notes/Notes.md"]
    assert wiki.text("notes/Notes.md").endswith("Both.\n")
    bodies = [row.body for row in wiki.all(Revision)]
    assert "One over there.\n" in bodies and "One right here.\n" in bodies
    assert not wiki.all(VaultConflict)
    wiki.agree()


def test_a_conflict_ends_when_the_file_joins_again(wiki: Wiki) -> None:
    slug = wiki.page("Notes", "One.\n")
    wiki.pass_()
    wiki.edit(slug, "One here.\n")
    wiki.replace("notes/Notes.md", "One.", "One there.")
    wiki.pass_()
    wiki.replace("notes/Notes.md", "One there.", "One here.")
    wiki.pass_()
    assert not wiki.all(VaultConflict)
    wiki.agree()
