"""What a page says is written into its file, at its place; files of pages that are gone."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.domain.records import (
    PageKind,
    Relation,
    Revision,
)
from app.store import mirror, pages, removal
from app.store.db import writing
from app.store.pages import PERSON, Content
from tests.factories import make_link
from tests.services.vault.synced import NOW, Wiki, reading


def test_an_edited_page_is_written(wiki: Wiki) -> None:
    slug = wiki.page("Notes", "One.\n")
    wiki.pass_()
    wiki.edit(slug, "Two.\n")
    assert wiki.pass_().written == ["notes/Notes.md"]
    assert wiki.text("notes/Notes.md").endswith("Two.\n")
    wiki.agree()


def test_a_page_renamed_in_the_wiki_takes_its_file_along(wiki: Wiki) -> None:
    slug = wiki.page("Old name", "Text.\n")
    other = wiki.page("Other", "")
    with writing(wiki.engine) as session:
        source, target = pages.get(session, other), pages.get(session, slug)
        make_link(session, source.id or 0, target.id or 0, Relation.RELATED)
    wiki.pass_()
    assert "[[Old name]]" in wiki.text("notes/Other.md")
    with writing(wiki.engine) as session:
        page = pages.get(session, slug)
        content = replace(pages.content_of(session, page), title="New name")
        pages.revise(session, page, content, author=PERSON, now=NOW)
    wiki.pass_()
    assert wiki.files() == ["notes/New name.md", "notes/Other.md"]
    wiki.agree()


@pytest.mark.parametrize(
    "had",
    ["talk.mp3", 7, {"path": 1}, {"path": "../../x.md", "head": "", "newline": ""}],
)
def test_a_field_of_an_import_is_not_taken_for_where_a_file_was(wiki: Wiki, had: object) -> None:
    with writing(wiki.engine) as session:
        content = Content(title="One", kind=PageKind.NOTE, body="Text.\n")
        pages.create(session, content, author=PERSON, now=NOW, extra={mirror.HAD: had})
    wiki.pass_()
    assert wiki.files() == ["notes/One.md"]
    assert wiki.read("one").extra[mirror.HAD] == had
    wiki.agree()


@pytest.mark.parametrize("by_file", [True, False])
def test_a_page_that_is_put_back_has_its_file_where_and_how_it_was(
    wiki: Wiki, by_file: bool
) -> None:
    slug = wiki.page("One", "Text.\n")
    wiki.page("Two")
    wiki.pass_()
    here = wiki.file("mine/deep/One.md")
    here.parent.mkdir(parents=True)
    own = wiki.file("notes/One.md").read_bytes().replace(b"title:", b"mood: good # mine\ntitle:")
    here.write_bytes(own)
    wiki.file("notes/One.md").unlink()
    wiki.pass_()
    assert wiki.files() == ["mine/deep/One.md", "notes/Two.md"]
    if by_file:
        here.unlink()
    else:
        with writing(wiki.engine) as session:
            removal.remove(session, pages.get(session, slug), now=NOW)
    wiki.pass_()
    assert wiki.files() == ["notes/Two.md"]
    with writing(wiki.engine) as session:
        gone = removal.removed_at(session, slug)
        assert gone is not None
        removal.restore(session, gone, now=NOW, who="person", reason="")
    wiki.pass_()
    assert here.read_bytes() == own
    assert "file" not in wiki.read(slug).extra
    wiki.agree()


def test_a_page_that_is_gone_takes_its_file_along_unless_somebody_wrote_in_it(wiki: Wiki) -> None:
    one, two = wiki.page("One", "1\n"), wiki.page("Two", "2\n")
    wiki.pass_()
    from app.store import removal

    with writing(wiki.engine) as session:
        for slug in (one, two):
            removal.remove(session, pages.get(session, slug), now=NOW)
    wiki.replace("notes/Two.md", "2\n", "2 and more\n")
    report = wiki.pass_()
    assert "notes/One.md" in report.deleted
    assert not wiki.file("notes/One.md").exists()
    assert "2 and more\n" in {row.body for row in wiki.all(Revision)}


def not_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be taken out of a folder, nor renamed into it, as of one that is read-only."""
    for name in ("unlink", "rename"):
        real = getattr(os, name)

        def refusing(*paths: Any, real: Any = real, **more: Any) -> Any:
            if any(Path(path).is_relative_to(folder) for path in paths):
                raise PermissionError(13, "Permission denied")
            return real(*paths, **more)

        monkeypatch.setattr(os, name, refusing)


def test_a_file_that_cannot_be_taken_away_is_told_and_stops_no_other(
    wiki: Wiki, monkeypatch: pytest.MonkeyPatch
) -> None:
    for title in ("One", "Two", "Three"):
        wiki.page(title, "Text.\n")
    wiki.pass_()
    with writing(wiki.engine) as session:
        for slug in ("one", "two"):
            removal.remove(session, pages.get(session, slug), now=NOW, who="person")
    wiki.edit("three", "Said anew.\n")
    with monkeypatch.context() as patched:
        not_in(wiki.root / "notes", patched)
        report = wiki.pass_()
        assert report.refused == {
            f"notes/{title}.md": f"notes/{title}.md cannot be removed: the permissions do not allow it."
            for title in ("One", "Two")
        }
        assert report.deleted == [] and wiki.pass_().refused == report.refused
    assert wiki.text("notes/Three.md").endswith("Said anew.\n")
    report = wiki.pass_()
    assert sorted(report.deleted) == ["notes/One.md", "notes/Two.md"] and not report.refused
    with reading(wiki.engine) as session:
        assert mirror.problems(session) == []
    wiki.agree()


def test_a_companion_that_cannot_be_taken_away_is_told_and_goes_later(
    wiki: Wiki, monkeypatch: pytest.MonkeyPatch
) -> None:
    for title in ("One", "Two"):
        wiki.page(title, "Text.\n")
    wiki.pass_()
    with monkeypatch.context() as patched:
        not_in(wiki.root / ".cerebro/pages", patched)
        for title in ("One", "Two"):
            wiki.file(f"notes/{title}.md").unlink()
        report = wiki.pass_()
        assert sorted(report.removed) == ["notes/One.md", "notes/Two.md"]
        assert sorted(report.refused) == [".cerebro/pages/one.json", ".cerebro/pages/two.json"]
        wiki.page("Three", "Text.\n")
        wiki.pass_()
        assert "notes/Three.md" in wiki.files()
    with writing(wiki.engine) as session:
        page = removal.removed_at(session, "two")
        assert page is not None
        removal.restore(session, page, now=NOW, who="person")
    wiki.pass_()
    assert not wiki.file(".cerebro/pages/one.json").exists()
    assert wiki.file(".cerebro/pages/two.json").exists(), "it is a page's again"
    with reading(wiki.engine) as session:
        assert mirror.problems(session) == []
    wiki.agree()


def test_the_file_of_a_page_that_is_gone_went_with_its_folder(wiki: Wiki) -> None:
    wiki.page("One", "Text.\n")
    wiki.pass_()
    with writing(wiki.engine) as session:
        removal.remove(session, pages.get(session, "one"), now=NOW, who="person")
    shutil.rmtree(wiki.root / "notes")
    assert not wiki.pass_().refused
    wiki.agree()
