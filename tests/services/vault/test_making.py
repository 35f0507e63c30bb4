"""Files of no page: made outside, and what they become."""

from __future__ import annotations

import pytest

from app.domain.records import (
    PageKind,
    Paper,
)
from tests.services.vault.synced import Wiki


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
