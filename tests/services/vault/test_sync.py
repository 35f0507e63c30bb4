"""Two-way sync over real folders and real databases: whatever is edited where, nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.markdown import name_key
from app.domain.records import (
    AuthorKind,
    Decision,
    Identifier,
    Link,
    LinkStatus,
    Mirror,
    Origin,
    Page,
    PageKind,
    Paper,
    Relation,
    Revision,
    Thread,
    ThreadStatus,
    Unmirrored,
    VaultConflict,
    VaultProblem,
    Verdict,
)
from app.errors import Unavailable
from app.services import review
from app.services.pages import save
from app.services.vault import conflicts
from app.services.vault.report import Report
from app.services.vault.sync import Sync
from app.store import db, links, mirror, pages, removal
from app.store.db import writing
from app.store.pages import PERSON, Content
from app.vault import journal
from app.vault.folder import Vault
from app.vault.notes import parse
from tests.factories import make_engine, make_link, make_page

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """What was read may be looked at afterwards."""
    with db.reading(engine) as session:
        yield session
        session.expunge_all()


class Clock:
    """Time that passes at each look at it: what was seen twice was the same for a second."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        self.at += 1.0
        return self.at


class Wiki:
    """A wiki with its vault."""

    def __init__(self, folder: Path) -> None:
        self.engine: Engine = make_engine(folder)
        self.root = folder / "vault"
        self.sync = self.started()

    def started(self) -> Sync:
        """A sync that remembers nothing, as after a kill."""
        return Sync(self.engine, Vault(self.root), clock=lambda: NOW, monotonic=Clock())

    def pass_(self, *, deletions: bool = False) -> Report:
        """Sync until nothing is left to do."""
        self.sync.begin()
        self.sync.open()
        for _ in range(4):
            self.sync.look(deletions=deletions)
            self.sync.look(deletions=deletions)
            self.sync.write()
        self.sync.tell_decisions()
        return self.sync.report

    def page(self, title: str, text: str = "", kind: PageKind = PageKind.NOTE, **more: Any) -> str:
        with writing(self.engine) as session:
            content = Content(title=title, kind=kind, body=text, **more)
            return pages.create(session, content, author=PERSON, now=NOW).slug

    def edit(self, slug: str, text: str) -> None:
        with writing(self.engine) as session:
            page = pages.get(session, slug)
            content = replace(pages.content_of(session, page), body=text)
            pages.revise(session, page, content, author=PERSON, now=NOW)

    def read(self, slug: str) -> Page:
        with reading(self.engine) as session:
            return pages.get(session, slug)

    def content(self, slug: str) -> Content:
        with reading(self.engine) as session:
            return pages.content_of(session, pages.get(session, slug))

    def file(self, path: str) -> Path:
        return self.root / path

    def text(self, path: str) -> str:
        return self.file(path).read_bytes().decode()

    def replace(self, path: str, old: str, new: str) -> None:
        """An editor that writes in place."""
        text = self.text(path)
        assert old in text, text
        self.file(path).write_bytes(text.replace(old, new).encode())

    def files(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.root))
            for path in self.root.rglob("*.md")
            if ".cerebro" not in path.parts
        )

    def all(self, table: Any) -> list[Any]:
        with reading(self.engine) as session:
            return list(session.exec(select(table)))

    def agree(self) -> None:
        """Every page has its file, and both say the same."""
        with reading(self.engine) as session:
            every = [
                p.id for p in session.exec(select(Page)) if p.kind not in ("merged", "removed")
            ]
            told = mirror.told(session, [page_id for page_id in every if page_id])
            assert not list(session.exec(select(Unmirrored)))
        for page in told.values():
            assert page.mirror is not None and page.mirror.version == page.version
            found = parse(self.file(page.mirror.path).read_bytes()).note
            assert found.body == page.note.body
            assert (found.title or page.note.title) == page.note.title
            assert found.id == page.note.id
            said, meant = (
                {(link.relation, name_key(link.name)) for link in note.links}
                for note in (found, page.note)
            )
            assert said == meant
            assert (found.aliases, found.tags) == (page.note.aliases, page.note.tags)
        assert len(self.files()) == len(told)


@pytest.fixture
def wiki(tmp_path: Path) -> Iterator[Wiki]:
    made = Wiki(tmp_path)
    yield made
    made.engine.dispose()


def test_every_page_gets_a_file_called_by_its_title(wiki: Wiki) -> None:
    wiki.page("KV cache", "Keys and values.\n", PageKind.CONCEPT, aliases=("key cache",))
    wiki.page("What: is it?", "A question.\n")
    report = wiki.pass_()
    assert wiki.files() == ["concepts/KV cache.md", "notes/what-is-it.md"]
    assert sorted(report.written) == wiki.files()
    text = wiki.text("concepts/KV cache.md")
    assert "id: kv-cache\n" in text and "title: KV cache\n" in text and "key cache" in text
    assert text.endswith("Keys and values.\n")
    wiki.agree()
    assert wiki.pass_().done == 0


def test_an_edited_file_becomes_a_revision_by_the_vault(wiki: Wiki) -> None:
    slug = wiki.page("Notes", "One.\n")
    wiki.pass_()
    wiki.replace("notes/Notes.md", "One.", "One and two.")
    report = wiki.pass_()
    assert report.taken == ["notes/Notes.md"] and not report.written
    page = wiki.read(slug)
    assert page.body == "One and two.\n" and page.author_kind is AuthorKind.VAULT
    wiki.agree()


def test_an_edited_page_is_written(wiki: Wiki) -> None:
    slug = wiki.page("Notes", "One.\n")
    wiki.pass_()
    wiki.edit(slug, "Two.\n")
    assert wiki.pass_().written == ["notes/Notes.md"]
    assert wiki.text("notes/Notes.md").endswith("Two.\n")
    wiki.agree()


def test_both_edited_in_different_places_join(wiki: Wiki) -> None:
    slug = wiki.page("Notes", "One.\n\nTwo.\n\nThree.\n")
    wiki.pass_()
    wiki.edit(slug, "One here.\n\nTwo.\n\nThree.\n")
    wiki.replace("notes/Notes.md", "Three.", "Three there.")
    report = wiki.pass_()
    assert report.merged == ["notes/Notes.md"]
    assert wiki.read(slug).body == "One here.\n\nTwo.\n\nThree there.\n"
    assert wiki.text("notes/Notes.md").endswith("One here.\n\nTwo.\n\nThree there.\n")
    wiki.agree()


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


def test_fields_of_both_sides_join_even_where_texts_do_not(wiki: Wiki) -> None:
    slug = wiki.page("Notes", "One.\n", tags=("a", "b"), aliases=("first",))
    wiki.pass_()
    with writing(wiki.engine) as session:
        page = pages.get(session, slug)
        content = replace(
            pages.content_of(session, page), body="Here.\n", tags=("a", "b", "c"), title="Jottings"
        )
        pages.revise(session, page, content, author=PERSON, now=NOW)
    wiki.replace("notes/Notes.md", "One.", "There.")
    wiki.replace("notes/Notes.md", "- a\n", "- d\n")
    wiki.pass_()
    content = wiki.content(slug)
    assert content.tags == ("b", "c", "d")
    assert content.title == "Jottings" and set(content.aliases) == {"first", "Notes"}


def test_a_link_taken_out_is_rejected_and_not_proposed_again(wiki: Wiki) -> None:
    one = wiki.page("One", "Text.\n", PageKind.CONCEPT)
    two = wiki.page("Two", "", PageKind.CONCEPT)
    with writing(wiki.engine) as session:
        source, target = pages.get(session, one), pages.get(session, two)
        make_link(session, source.id or 0, target.id or 0, Relation.USES, origin=Origin.LINKER)
    wiki.pass_()
    assert 'uses:\n  - "[[Two]]"\n' in wiki.text("concepts/One.md")
    wiki.replace("concepts/One.md", 'uses:\n  - "[[Two]]"\n', "")
    wiki.pass_()
    [link] = wiki.all(Link)
    assert link.status is LinkStatus.REJECTED
    [decision] = wiki.all(Decision)
    assert (decision.who, decision.verdict) == ("person", Verdict.REJECT)
    with writing(wiki.engine) as session:
        again = links.propose(
            session,
            source_id=link.source_id,
            target_id=link.target_id,
            relation=Relation.USES,
            confidence=0.9,
            reason="alike",
            evidence=[],
            signals=[],
            text_hash="",
            origin=Origin.LINKER,
            now=NOW,
        )
        assert not again
    wiki.agree()
    with writing(wiki.engine) as session:
        review.undo(session, decision.id or 0, now=NOW)
    wiki.pass_()
    assert '"[[Two]]"' in wiki.text("concepts/One.md")


def test_a_link_put_in_accepts_its_proposal(wiki: Wiki) -> None:
    one, two = wiki.page("One", "Text.\n"), wiki.page("Two")
    with writing(wiki.engine) as session:
        source, target = pages.get(session, one), pages.get(session, two)
        make_link(
            session,
            source.id or 0,
            target.id or 0,
            Relation.ABOUT,
            status=LinkStatus.PROPOSED,
            origin=Origin.LINKER,
        )
    wiki.pass_()
    wiki.replace("notes/One.md", "title: One\n", 'title: One\nabout: ["[[two]]"]\n')
    wiki.pass_()
    [link] = wiki.all(Link)
    assert link.status is LinkStatus.ACCEPTED
    [decision] = wiki.all(Decision)
    assert decision.agreed is True and decision.reason == "put into its file"
    lines = list(journal.decisions(Vault(wiki.root)))
    assert [line["link"] for line in lines] == [
        {"source": "one", "relation": "about", "target": "two"}
    ]
    wiki.agree()


def test_a_link_to_a_page_nobody_wrote_waits_for_it(wiki: Wiki) -> None:
    wiki.page("One", "Text.\n")
    wiki.pass_()
    wiki.replace("notes/One.md", "title: One\n", 'title: One\nextends:\n  - "[[Later]]"\n')
    wiki.pass_()
    assert '"[[Later]]"' in wiki.text("notes/One.md") and not wiki.all(Link)
    wiki.agree()
    wiki.page("Later")
    wiki.pass_()
    [link] = wiki.all(Link)
    assert (link.relation, link.status) == (Relation.EXTENDS, LinkStatus.ACCEPTED)
    assert wiki.text("notes/One.md").count("[[Later]]") == 1
    wiki.agree()


def test_a_file_made_outside_becomes_a_page_and_nothing_else_of_it_is_touched(wiki: Wiki) -> None:
    wiki.pass_()
    wiki.file("concepts").mkdir(exist_ok=True)
    text = "---\n# mine\ncssclasses: [wide]\ntags: [x]\n---\n\nSee [[Two]].\n"
    wiki.file("concepts/One.md").write_text(text)
    wiki.file("plain.md").write_text("Just text.\n")
    report = wiki.pass_()
    assert sorted(report.made) == ["concepts/One.md", "plain.md"]
    one, plain = wiki.read("one"), wiki.read("plain")
    assert (one.kind, one.title, one.body) == (PageKind.CONCEPT, "One", "\nSee [[Two]].\n")
    assert (plain.kind, plain.title) == (PageKind.NOTE, "plain")
    written = wiki.text("concepts/One.md")
    assert "# mine\ncssclasses: [wide]\ntags: [x]\n" in written
    assert "id: one\n" in written and "kind" not in written
    assert written.endswith("---\n\nSee [[Two]].\n")
    assert wiki.text("plain.md").endswith("Just text.\n") and "id: plain" in wiki.text("plain.md")
    assert wiki.pass_().done == 0


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


def test_a_deleted_file_removes_its_page_and_it_comes_back_with_the_file(wiki: Wiki) -> None:
    slug = wiki.page("One", "Text.\n")
    wiki.page("Two")
    wiki.pass_()
    kept = wiki.file("notes/One.md").read_bytes()
    wiki.file("notes/One.md").unlink()
    assert wiki.pass_().removed == ["notes/One.md"]
    with reading(wiki.engine) as session:
        assert pages.by_slug(session, slug) is None
    assert wiki.files() == ["notes/Two.md"]
    wiki.file("notes/One.md").write_bytes(kept.replace(b"Text.", b"Text, again."))
    wiki.pass_()
    page = wiki.read(slug)
    assert page.body == "Text, again.\n" and page.version > 1
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


def test_a_deleted_file_of_a_page_that_moved_on_is_written_again(wiki: Wiki) -> None:
    slug = wiki.page("One", "Text.\n")
    wiki.pass_()
    wiki.edit(slug, "Newer.\n")
    wiki.file("notes/One.md").unlink()
    report = wiki.pass_()
    assert not report.removed
    assert wiki.text("notes/One.md").endswith("Newer.\n")
    wiki.agree()


def test_many_files_gone_at_once_are_not_believed(wiki: Wiki) -> None:
    for number in range(30):
        wiki.page(f"Page {number}", f"{number}\n")
    wiki.pass_()
    for path in wiki.files()[:25]:
        wiki.file(path).unlink()
    report = wiki.pass_()
    assert not report.removed and "--deletions" in report.refused[""]
    assert [row.path for row in wiki.all(VaultProblem)] == [""]
    report = wiki.pass_(deletions=True)
    assert len(report.removed) == 25
    assert not wiki.all(VaultProblem)
    assert len(wiki.files()) == 5


def test_a_folder_that_vanished_deletes_nothing(wiki: Wiki) -> None:
    slug = wiki.page("One", "Text.\n")
    wiki.pass_()
    wiki.root.rename(wiki.root.with_name("away"))
    with pytest.raises(Unavailable, match="cerebro sync --anew"):
        wiki.pass_()
    wiki.root.mkdir()
    with pytest.raises(Unavailable):
        wiki.pass_()
    assert wiki.read(slug).body == "Text.\n"
    wiki.root.rmdir()
    wiki.root.with_name("away").rename(wiki.root)
    assert wiki.pass_().done == 0
    wiki.root.rename(wiki.root.with_name("away"))
    wiki.sync.open(anew=True)
    wiki.pass_()
    wiki.agree()


def test_the_vault_of_another_wiki_is_left_alone(wiki: Wiki, tmp_path: Path) -> None:
    wiki.page("One", "Text.\n")
    wiki.pass_()
    (tmp_path / "other").mkdir()
    other = make_engine(tmp_path / "other")
    with pytest.raises(Unavailable, match="another wiki"):
        Sync(other, Vault(wiki.root), clock=lambda: NOW).open()
    other.dispose()


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


def test_front_matter_that_cannot_be_read_keeps_the_fields_and_takes_the_text(wiki: Wiki) -> None:
    slug = wiki.page("One", "Text.\n", tags=("a",))
    wiki.pass_()
    wiki.replace("notes/One.md", "title: One", "title: [One")
    wiki.replace("notes/One.md", "Text.", "Newer.")
    wiki.pass_()
    content = wiki.content(slug)
    assert (content.title, content.tags, content.body) == ("One", ("a",), "Newer.\n")
    assert [row.path for row in wiki.all(VaultProblem)] == ["notes/One.md"]
    assert "title: [One" in wiki.text("notes/One.md")
    wiki.edit(slug, "Newest.\n")
    wiki.pass_()
    assert wiki.text("notes/One.md").endswith("Newest.\n")
    assert "title: [One" in wiki.text("notes/One.md")
    wiki.replace("notes/One.md", "title: [One", "title: Uno")
    wiki.pass_()
    assert wiki.content(slug).title == "Uno" and not wiki.all(VaultProblem)
    wiki.agree()


def test_front_matter_that_is_gone_is_written_again(wiki: Wiki) -> None:
    slug = wiki.page("One", "Text.\n", tags=("a",), aliases=("uno",))
    wiki.pass_()
    wiki.file("notes/One.md").write_text("Text without.\n")
    wiki.pass_()
    content = wiki.content(slug)
    assert (content.body, content.tags, content.aliases) == ("Text without.\n", ("a",), ("uno",))
    wiki.agree()


def test_the_facts_of_a_paper_and_of_a_thread_are_taken_up(wiki: Wiki) -> None:
    with writing(wiki.engine) as session:
        make_page(session, "A paper", PageKind.PAPER, published="2026-05-01", authors=("Ada",))
    thread = wiki.page("A thread", "", PageKind.THREAD)
    with writing(wiki.engine) as session:
        session.add(Thread(page_id=pages.get(session, thread).id or 0, claim="It is so."))
    wiki.pass_()
    wiki.replace("papers/A paper.md", "- Ada\n", "- Ada\n  - Grace\n")
    wiki.replace("papers/A paper.md", "title: A paper\n", "title: A paper\nvenue: ICML\n")
    wiki.replace(
        "papers/A paper.md",
        "title: A paper\n",
        'title: A paper\nidentifiers: ["arxiv:2605.00001"]\n',
    )
    wiki.replace("threads/A thread.md", "It is so.", "It is not so.")
    wiki.replace("threads/A thread.md", "status: open", "status: closed")
    report = wiki.pass_()
    assert not report.refused
    [paper] = wiki.all(Paper)
    assert (paper.authors, paper.venue) == (["Ada", "Grace"], "ICML")
    assert [row.value for row in wiki.all(Identifier)] == ["2605.00001"]
    [row] = wiki.all(Thread)
    assert (row.claim, row.status) == ("It is not so.", ThreadStatus.CLOSED)
    assert wiki.read(thread).extra["claims"][0]["claim"] == "It is so."
    wiki.agree()


def test_a_paper_made_outside_is_kept(wiki: Wiki) -> None:
    wiki.pass_()
    wiki.file("papers/New.md").write_text(
        "---\ntitle: A new paper\nidentifiers: [arxiv:2605.00002]\nauthors: [Ada]\n---\nText.\n"
    )
    report = wiki.pass_()
    assert not report.refused
    [paper] = wiki.all(Paper)
    assert (paper.title, paper.authors, paper.state.value) == ("A new paper", ["Ada"], "kept")
    page = wiki.read("a-new-paper")
    assert page.id == paper.page_id and "New" in wiki.content("a-new-paper").aliases
    wiki.agree()
    wiki.file("papers/Again.md").write_text("---\nidentifiers: [arxiv:2605.00002]\n---\nMore.\n")
    report = wiki.pass_()
    assert "has a page already" in report.refused["papers/Again.md"]
    assert wiki.text("papers/Again.md").endswith("More.\n")


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


def test_a_sync_that_remembers_nothing_agrees_with_what_stands(wiki: Wiki) -> None:
    for number in range(5):
        wiki.page(f"Page {number}", f"{number}\n", tags=("t",))
    wiki.pass_()
    with writing(wiki.engine) as session:
        mirror.mark_all(session)
        session.flush()
    before = {path: wiki.file(path).read_bytes() for path in wiki.files()}
    report = wiki.pass_()
    assert not report.made and not report.written and not report.conflicts
    assert {path: wiki.file(path).read_bytes() for path in wiki.files()} == before
    wiki.agree()


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


def test_a_folder_that_goes_in_the_middle_of_a_pass_deletes_nothing(wiki: Wiki) -> None:
    slugs = [wiki.page(f"Page {number}", "Text.\n") for number in range(3)]
    wiki.pass_()
    wiki.sync.begin()
    wiki.sync.open()
    wiki.root.rename(wiki.root.with_name("elsewhere"))
    wiki.root.mkdir()  # as an empty place is left where a disk was
    wiki.sync.look()
    with pytest.raises(Unavailable, match="nothing was deleted"):
        wiki.sync.look()
    assert {wiki.read(slug).kind for slug in slugs} == {PageKind.NOTE}
    wiki.root.rmdir()
    wiki.root.with_name("elsewhere").rename(wiki.root)
    assert not wiki.pass_().removed
    wiki.agree()


def test_names_that_differ_in_case_alone_are_refused_in_words(wiki: Wiki) -> None:
    wiki.page("One", "Text.\n")
    wiki.pass_()
    twin = wiki.file("notes/ONE.md")
    if twin.exists():
        pytest.skip("this disk folds case")
    twin.write_text("Other.\n")
    report = wiki.pass_()
    assert "case or accents" in report.refused["notes/ONE.md"]
    assert twin.read_text() == "Other.\n"


def test_a_read_only_folder_is_one_sentence_and_recovers(wiki: Wiki) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    wiki.page("One", "Text.\n")
    wiki.pass_()
    wiki.page("Two", "Text.\n")
    wiki.file("notes").chmod(0o555)
    with pytest.raises(Unavailable, match="permissions"):
        wiki.pass_()
    wiki.file("notes").chmod(0o755)
    wiki.pass_()
    wiki.agree()


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


# ---------------------------------------------------------------- tags in the text


def tags_of(wiki: Wiki, slug: str) -> tuple[str, ...]:
    return wiki.content(slug).tags


def test_tags_in_the_text_of_a_file_are_the_pages_and_not_said_twice(wiki: Wiki) -> None:
    wiki.pass_()
    text = (
        "---\ntags: [in-front]\n---\nOn #Memory/pages and #paging, not `#code`, #42 or [a](#b).\n"
    )
    wiki.file("notes/Mine.md").write_text(text)
    wiki.pass_()
    assert tags_of(wiki, "mine") == ("in-front", "memory/pages", "paging")
    written = wiki.text("notes/Mine.md")
    assert "tags: [in-front]\n" in written and written.endswith(text.rpartition("---\n")[2])

    wiki.replace("notes/Mine.md", "#paging", "#swapping")
    wiki.pass_()
    assert tags_of(wiki, "mine") == ("in-front", "memory/pages", "swapping")
    wiki.replace("notes/Mine.md", "tags: [in-front]", "tags: [in-front, swapping]")
    wiki.replace("notes/Mine.md", " and #swapping", "")
    wiki.pass_()
    assert tags_of(wiki, "mine") == ("in-front", "memory/pages", "swapping")
    wiki.agree()


def test_a_file_without_front_matter_keeps_what_its_page_has_beside_new_tags(wiki: Wiki) -> None:
    wiki.page("One", "Text.\n", tags=("first",), aliases=("Uno",))
    wiki.pass_()
    wiki.file("notes/One.md").write_text("Text on #second.\n")
    wiki.pass_()
    assert tags_of(wiki, "one") == ("first", "second")
    assert wiki.content("one").aliases == ("Uno",)
    wiki.agree()


def test_a_tag_taken_from_a_page_stays_away_while_its_text_says_it(wiki: Wiki) -> None:
    wiki.pass_()
    wiki.file("notes/Mine.md").write_text("On #paging and #memory.\n")
    wiki.pass_()
    with writing(wiki.engine) as session:
        page = pages.get(session, "mine")
        fewer = replace(pages.content_of(session, page), tags=("memory", "added"))
        pages.revise(session, page, fewer, author=PERSON, now=NOW)
    wiki.pass_()
    assert "tags: [added]" in wiki.text("notes/Mine.md") or "- added" in wiki.text("notes/Mine.md")
    wiki.replace("notes/Mine.md", "On ", "More on ")
    wiki.pass_()
    assert tags_of(wiki, "mine") == ("added", "memory")
    with reading(wiki.engine) as session:
        [told] = mirror.told(session, [wiki.read("mine").id or 0]).values()
    assert told.side["untagged"] == ["paging"]
    wiki.agree()


class Killed(BaseException):
    """The process ends here."""


def steps(monkeypatch: pytest.MonkeyPatch, at: int) -> list[str]:
    """Let the `at`-th step of a sync be its last: a commit, or something done to a file."""
    seen: list[str] = []

    def stepping(name: str, inner: Any) -> Any:
        def run(*given: Any, **named: Any) -> Any:
            seen.append(name)
            if len(seen) == at:
                raise Killed
            found = inner(*given, **named)
            seen.append(f"{name}, done")
            if len(seen) == at:
                raise Killed
            return found

        return run

    monkeypatch.setattr(Session, "commit", stepping("commit", Session.commit))
    for name in ("write", "remove", "move", "forget"):
        monkeypatch.setattr(Vault, name, stepping(name, getattr(Vault, name)))
    for name in ("companion", "append"):
        monkeypatch.setattr(journal, name, stepping(name, getattr(journal, name)))
    return seen


def test_killed_at_any_step_the_next_pass_puts_it_right(tmp_path: Path) -> None:
    killed = 0
    for at in range(1, 400):
        (tmp_path / str(at)).mkdir()
        wiki = Wiki(tmp_path / str(at))
        slug = wiki.page("One", "One.\n\nTwo.\n\nThree.\n", tags=("a",))
        other = wiki.page("Other", "Else.\n")
        gone = wiki.page("Gone", "Gone.\n")
        with writing(wiki.engine) as session:
            source, target = pages.get(session, slug), pages.get(session, other)
            make_link(session, source.id or 0, target.id or 0, Relation.USES)
        wiki.pass_()
        wiki.edit(slug, "One here.\n\nTwo.\n\nThree.\n")
        wiki.replace("notes/One.md", "Three.", "Three there.")
        wiki.replace("notes/One.md", 'uses:\n  - "[[Other]]"\n', "")
        wiki.file("notes/Other.md").rename(wiki.file("notes/Renamed.md"))
        wiki.file("notes/Gone.md").unlink()
        wiki.file("notes/New.md").write_text("New.\n")
        with pytest.MonkeyPatch.context() as patch:
            seen = steps(patch, at)
            try:
                wiki.pass_()
            except Killed:
                killed += 1
            over = len(seen) < at
        wiki.sync = wiki.started()
        wiki.pass_()
        wiki.agree()
        assert wiki.read(slug).body == "One here.\n\nTwo.\n\nThree there.\n"
        assert wiki.content(other).title == "Renamed"
        assert wiki.read("new").body == "New.\n"
        with reading(wiki.engine) as session:
            assert pages.by_slug(session, gone) is None
            assert all(link.status is LinkStatus.REJECTED for link in session.exec(select(Link)))
            decided = session.exec(select(Decision.id).where(col(Decision.link_id).is_not(None)))
            assert len(list(decided)) == 1
        lines = [line["n"] for line in journal.decisions(Vault(wiki.root))]
        assert set(lines) == {row.id for row in wiki.all(Decision)}
        assert len(wiki.all(Mirror)) == 3
        wiki.engine.dispose()
        if over:
            break
    assert killed > 20
