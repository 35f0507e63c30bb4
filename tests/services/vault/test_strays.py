"""Texts written into files that were replaced meanwhile are lost nowhere."""

from __future__ import annotations

import json
import os

import pytest

from app.domain.records import (
    Revision,
    VaultConflict,
)
from app.services.vault import conflicts
from app.store import mirror, pages
from app.store.db import writing
from tests.services.vault.synced import NOW, Wiki


def test_an_edit_in_a_file_that_was_replaced_while_it_was_open_is_found(wiki: Wiki) -> None:
    slug = wiki.page("One", "One.\n\nTwo.\n")
    wiki.pass_()
    with wiki.file("notes/One.md").open("r+b") as opened:
        wiki.edit(slug, "One.\n\nTwo here.\n")
        wiki.pass_()
        text = opened.read()
        opened.seek(0)
        opened.write(text.replace(b"One.", b"One there."))
        opened.truncate()
    wiki.pass_()
    assert wiki.read(slug).body == "One there.\n\nTwo here.\n"
    wiki.agree()


def _written_late(opened: int, old: str, new: str) -> None:
    """An editor that still had the file open which was replaced saves into it."""
    text = os.pread(opened, 10_000, 0).decode().replace(old, new).encode()
    os.ftruncate(opened, 0)
    os.pwrite(opened, text, 0)
    os.close(opened)


def _every_text(wiki: Wiki) -> str:
    return "".join(
        [
            *(row.body for row in wiki.all(Revision)),
            *(row.text for row in wiki.all(VaultConflict)),
            *(wiki.text(path) for path in wiki.files()),
        ]
    )


def test_a_text_found_late_takes_the_place_of_no_conflict(wiki: Wiki) -> None:
    slug = wiki.page("A", "one\n\ntwo\n\nthree\n")
    wiki.pass_()
    opened = os.open(wiki.file("notes/A.md"), os.O_RDWR)
    wiki.edit(slug, "one\n\ntwo\n\nthree\n\nfour\n")
    wiki.pass_()
    wiki.replace("notes/A.md", "two", "two of the file")
    wiki.edit(slug, "one\n\ntwo of the page\n\nthree\n\nfour\n")
    wiki.pass_()
    _written_late(opened, "two", "two found late")
    wiki.pass_()
    (row,) = wiki.all(VaultConflict)
    assert "two of the file" in row.text
    with writing(wiki.engine) as session:
        page = pages.get(session, slug)
        found = mirror.conflict(session, page.id or 0)
        assert found is not None
        conflicts.settle(session, page, found, now=NOW)
    wiki.edit(slug, "one\n\ntwo of the page\n\nthree\n\nfour\n")
    wiki.pass_()
    every = _every_text(wiki)
    assert "two of the file" in every and "two found late" in every
    wiki.agree()


def test_a_text_found_late_that_does_not_join_outlives_the_next_edit_of_its_file(
    wiki: Wiki,
) -> None:
    slug = wiki.page("A", "one\n\ntwo\n\nthree\n")
    wiki.pass_()
    opened = os.open(wiki.file("notes/A.md"), os.O_RDWR)
    wiki.edit(slug, "one\n\ntwo of the page\n\nthree\n")
    wiki.pass_()
    _written_late(opened, "two", "two found late")
    wiki.pass_()
    wiki.replace("notes/A.md", "one", "ONE")
    wiki.pass_()
    assert wiki.read(slug).body == "ONE\n\ntwo of the page\n\nthree\n"
    assert "two found late" in _every_text(wiki)
    wiki.agree()


@pytest.mark.parametrize(
    "path",
    ["../../evil.md", ".git/hooks/x.md", 7, "", "/etc/x.md", "notes/One.md/x.md", "a\x00.md"],
)
def test_a_text_found_late_of_no_place_is_put_beside_and_stops_nothing(
    wiki: Wiki, path: object
) -> None:
    wiki.page("One", "Text.\n")
    wiki.pass_()
    folder = wiki.root / ".cerebro/replaced"
    (folder / "abcdef12.json").write_text(json.dumps({"path": path, "expected": "", "new": ""}))
    (folder / "abcdef12").write_text("Found.\n")
    wiki.pass_()
    (found,) = set(wiki.files()) - {"notes/One.md"}
    assert "/" not in found and wiki.text(found).endswith("Found.\n")
    assert "abcdef12" not in os.listdir(folder)
    wiki.agree()
