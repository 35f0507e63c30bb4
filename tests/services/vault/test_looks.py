"""What of the folder is looked at, what is never read, and what is refused alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain.records import (
    Page,
    Revision,
    VaultProblem,
)
from tests.services.vault.synced import Wiki


@pytest.mark.parametrize(
    "name",
    [
        "One.sync-conflict-20260514-090000-ABC.md",
        "One (conflicted copy 2026-05-14).md",
        ".hidden.md",
        ".obsidian/One.md",
        "~One.md",
        "One.md~",
        "One.tmp.md",
        "#One.md#",
        "One.md.swp",
    ],
)
def test_what_other_tools_leave_is_never_read(wiki: Wiki, name: str) -> None:
    wiki.pass_()
    path = wiki.file(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("Not a page.\n")
    wiki.pass_()
    assert not wiki.all(Page) and path.read_text() == "Not a page.\n"


def test_links_of_the_file_system_are_neither_read_nor_written_through(
    wiki: Wiki, tmp_path: Path
) -> None:
    slug = wiki.page("One", "Text.\n")
    wiki.pass_()
    outside = tmp_path / "outside.md"
    outside.write_text("Secret.\n")
    wiki.file("notes/link.md").symlink_to(outside)
    wiki.file("notes/One.md").unlink()
    wiki.file("notes/One.md").symlink_to(outside)
    wiki.edit(slug, "Newer.\n")
    wiki.pass_()
    assert outside.read_text() == "Secret.\n"
    assert all("Secret" not in row.body for row in wiki.all(Revision))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff\xfea\x00", "UTF-16"),
        (b"a\x00b", "zero bytes"),
        (b"\xc3\x28", "UTF-8"),
        (b"x" * 6_000_000, "larger"),
    ],
)
def test_what_is_no_text_is_refused_alone_and_left(wiki: Wiki, data: bytes, says: str) -> None:
    wiki.page("One", "Text.\n")
    wiki.pass_()
    wiki.file("notes/bad.md").write_bytes(data)
    wiki.file("notes/good.md").write_text("Good.\n")
    report = wiki.pass_()
    assert says in report.refused["notes/bad.md"]
    assert report.made == ["notes/good.md"]
    assert wiki.file("notes/bad.md").read_bytes() == data
    wiki.file("notes/bad.md").write_text("Now it is.\n")
    wiki.pass_()
    assert not wiki.all(VaultProblem)
    wiki.agree()
