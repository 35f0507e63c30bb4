"""Files that are moved, swapped, copied or renamed, and whose they are then."""

from __future__ import annotations

import os
from pathlib import Path

from app.domain.records import (
    Page,
    PageKind,
    Revision,
)
from app.services.vault.sync import Sync
from app.vault import journal
from app.vault.folder import Vault
from tests.services.vault.synced import NOW, Clock, Wiki


def test_a_renamed_file_renames_its_page(wiki: Wiki) -> None:
    slug = wiki.page("Old name", "Text.\n")
    wiki.pass_()
    wiki.file("elsewhere").mkdir()
    wiki.file("notes/Old name.md").rename(wiki.file("elsewhere/New name.md"))
    report = wiki.pass_()
    assert report.moved == ["elsewhere/New name.md"] and not report.removed
    content = wiki.content(slug)
    assert content.title == "New name" and "Old name" in content.aliases
    assert wiki.files() == ["elsewhere/New name.md"]
    wiki.agree()


def test_a_renamed_file_of_a_title_that_is_no_file_name_is_an_alias(wiki: Wiki) -> None:
    slug = wiki.page("What: is it?", "Text.\n")
    wiki.pass_()
    wiki.file("notes/what-is-it.md").rename(wiki.file("notes/it.md"))
    wiki.pass_()
    content = wiki.content(slug)
    assert content.title == "What: is it?" and "it" in content.aliases
    wiki.agree()


def test_two_files_that_swap_places_are_two_moves(wiki: Wiki) -> None:
    wiki.page("One", "1\n")
    wiki.page("Two", "2\n")
    wiki.pass_()
    wiki.file("notes/One.md").rename(wiki.file("notes/x"))
    wiki.file("notes/Two.md").rename(wiki.file("notes/One.md"))
    wiki.file("notes/x").rename(wiki.file("notes/Two.md"))
    report = wiki.pass_()
    assert len(report.moved) == 2 and not report.removed and not report.made
    assert {p.body for p in wiki.all(Page)} == {"1\n", "2\n"}
    assert {r.body for r in wiki.all(Revision)} == {"1\n", "2\n"}


def test_a_copy_is_another_page(wiki: Wiki) -> None:
    wiki.page("One", "Text.\n", aliases=("uno",))
    wiki.pass_()
    wiki.file("notes/One copy.md").write_bytes(wiki.file("notes/One.md").read_bytes())
    report = wiki.pass_()
    assert report.copied == ["notes/One copy.md"]
    copy = wiki.read("one-copy")
    assert (copy.title, copy.body) == ("One copy", "Text.\n")
    assert "id: one-copy\n" in wiki.text("notes/One copy.md")
    assert "id: one\n" in wiki.text("notes/One.md")
    wiki.agree()


def test_a_copy_and_its_end_leave_what_lies_beside_the_first(wiki: Wiki) -> None:
    slug = wiki.page("One", "Text.\n")
    wiki.pass_()
    beside = wiki.root / journal.companion_path(slug)
    said = beside.read_bytes()
    wiki.file("notes/One copy.md").write_bytes(wiki.file("notes/One.md").read_bytes())
    wiki.pass_()
    assert beside.read_bytes() == said
    assert wiki.root.joinpath(journal.companion_path("one-copy")).exists()
    wiki.file("notes/One copy.md").unlink()
    wiki.pass_()
    assert beside.read_bytes() == said
    assert not wiki.root.joinpath(journal.companion_path("one-copy")).exists()
    wiki.agree()


class _Folding(Vault):
    """A vault on a disk that opens a file by its name in whatever case."""

    def _place(self, path: str, *, make: bool = False) -> Path:
        place = super()._place(path, make=make)
        if not place.parent.is_dir():
            return place
        every = {name.casefold(): name for name in os.listdir(place.parent)}
        return place.with_name(every.get(place.name.casefold(), place.name))


def test_a_file_renamed_in_case_alone_keeps_its_page_where_case_does_not_count(wiki: Wiki) -> None:
    slug = wiki.page("KV cache", "Text.\n")
    wiki.sync = Sync(wiki.engine, _Folding(wiki.root), clock=lambda: NOW, monotonic=Clock())
    wiki.pass_()
    os.rename(wiki.file("notes/KV cache.md"), wiki.file("notes/kv cache.md"))
    report = wiki.pass_()
    assert report.moved == ["notes/kv cache.md"]
    assert not report.removed and not report.copied and not report.refused
    assert (wiki.read(slug).title, wiki.read(slug).kind) == ("kv cache", PageKind.NOTE)
    assert wiki.files() == ["notes/kv cache.md"]
