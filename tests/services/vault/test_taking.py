"""A page's file edited outside: joined with its page, in fields and text; and deleted."""

from __future__ import annotations

from dataclasses import replace

from app.domain.records import (
    AuthorKind,
    VaultProblem,
)
from app.store import mirror, pages
from app.store.db import writing
from app.store.pages import PERSON
from tests.services.vault.synced import NOW, Wiki, reading


def test_an_edited_file_becomes_a_revision_by_the_vault(wiki: Wiki) -> None:
    slug = wiki.page("Notes", "One.\n")
    wiki.pass_()
    wiki.replace("notes/Notes.md", "One.", "One and two.")
    report = wiki.pass_()
    assert report.taken == ["notes/Notes.md"] and not report.written
    page = wiki.read(slug)
    assert page.body == "One and two.\n" and page.author_kind is AuthorKind.VAULT
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


def test_a_deleted_file_of_a_page_that_moved_on_is_written_again(wiki: Wiki) -> None:
    slug = wiki.page("One", "Text.\n")
    wiki.pass_()
    wiki.edit(slug, "Newer.\n")
    wiki.file("notes/One.md").unlink()
    report = wiki.pass_()
    assert not report.removed
    assert wiki.text("notes/One.md").endswith("Newer.\n")
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


def tags_of(wiki: Wiki, slug: str) -> tuple[str, ...]:
    return wiki.content(slug).tags


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
