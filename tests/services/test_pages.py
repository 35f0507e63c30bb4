"""Saving pages: two people at once, titles and addresses that change, and nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from app.domain.records import AuthorKind, Draft, PageKind
from app.errors import Conflict, EditConflict, Invalid, NotFound
from app.services import pages as editing
from app.services.pages import Saved
from app.store import concepts, links, pages
from app.store.db import reading, writing
from app.store.pages import Author, Content
from tests.factories import make_engine, make_page

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
POEM = "One tide\n\nTwo tides\n\nThree tides\n"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def save(
    engine: Engine,
    slug: str,
    body: str = "",
    *,
    base: int = 0,
    title: str = "Tides",
    kind: PageKind = PageKind.CONCEPT,
    aliases: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
) -> Saved:
    content = Content(title=title, kind=kind, body=body, aliases=aliases, tags=tags)
    with writing(engine) as session:
        return editing.save(session, slug, content, base=base, now=NOW)


def stands(engine: Engine, slug: str) -> Content:
    with reading(engine) as session:
        return pages.content_of(session, pages.get(session, slug))


def history(engine: Engine, slug: str) -> list[str]:
    """All bodies a page ever had, newest first."""
    with reading(engine) as session:
        return [row.body for row in pages.revisions(session, pages.get(session, slug).id or 0)]


def linking_here(engine: Engine, slug: str) -> list[str]:
    with reading(engine) as session:
        page = pages.get(session, slug)
        return sorted(row.slug for row in links.backlinks(session, page.id or 0))


# ---------------------------------------------------------------- saving


def test_a_new_page_is_made_and_its_draft_is_gone(engine: Engine) -> None:
    with writing(engine) as session:
        pages.keep_draft(session, "tides", base=0, title="Tides", body="Half", now=NOW)
    saved = save(engine, "tides", POEM, aliases=("ebb and flow", "EBB and flow"), tags=("#Sea",))
    assert (saved.changed, saved.merged, saved.page.version) == (True, False, 1)
    assert stands(engine, "tides") == Content(
        title="Tides",
        kind=PageKind.CONCEPT,
        body=POEM,
        aliases=("ebb and flow",),
        tags=("sea",),
    )
    with reading(engine) as session:
        assert session.get(Draft, "tides") is None


def test_a_save_that_changes_nothing_makes_no_revision(engine: Engine) -> None:
    save(engine, "tides", POEM, tags=("b", "a"))
    for tags in (("a", "b"), ("b", "a"), ("b", "#A", "b")):
        saved = save(engine, "tides", POEM, base=1, tags=tags)
        assert (saved.changed, saved.page.version) == (False, 1)


def test_line_ends_of_a_browser_are_no_change(engine: Engine) -> None:
    save(engine, "tides", POEM)
    assert not save(engine, "tides", POEM.replace("\n", "\r\n"), base=1).changed


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": " \x00\n"}, "title"),
        ({"title": "x" * 501}, "title"),
        ({"body": "x" * 1_000_001}, "body"),
    ],
)
def test_what_no_page_may_have_is_named_by_its_field(
    engine: Engine, fields: dict[str, str], field: str
) -> None:
    save(engine, "tides", POEM)
    with pytest.raises(Invalid) as refused:
        save(engine, "tides", base=1, **fields)  # type: ignore[arg-type]
    assert list(refused.value.fields) == [field]
    assert history(engine, "tides") == [POEM]


def test_signs_that_no_database_takes_are_taken_out(engine: Engine) -> None:
    save(engine, "tides", "a\x00b \ud800 c", title="Ti\x00des \udfff")
    content = stands(engine, "tides")
    assert (content.title, content.body) == ("Tides ?", "ab ? c")


# ---------------------------------------------------------------- two at once


def test_edits_of_different_lines_are_joined(engine: Engine) -> None:
    save(engine, "tides", POEM)
    save(engine, "tides", POEM.replace("One", "1"), base=1, aliases=("ebb",))
    saved = save(engine, "tides", POEM.replace("Three", "3"), base=1, tags=("sea",))
    assert saved.merged
    content = stands(engine, "tides")
    assert content.body == "1 tide\n\nTwo tides\n\n3 tides\n"
    assert (content.aliases, content.tags) == (("ebb",), ("sea",))


def test_a_name_that_one_side_took_out_stays_out(engine: Engine) -> None:
    save(engine, "tides", POEM, aliases=("ebb", "flow"))
    save(engine, "tides", POEM, base=1, aliases=("flow",))
    save(engine, "tides", POEM + "More\n", base=1, aliases=("ebb", "flow", "surge"))
    assert stands(engine, "tides").aliases == ("flow", "surge")


def test_edits_of_the_same_line_are_a_conflict_that_carries_both(engine: Engine) -> None:
    save(engine, "tides", POEM)
    theirs = POEM.replace("Two", "2")
    save(engine, "tides", theirs, base=1)
    mine = POEM.replace("Two", "Zwei")
    with pytest.raises(EditConflict) as conflict:
        save(engine, "tides", mine, base=1)
    error = conflict.value
    assert (error.mine, error.theirs, error.revision) == (mine, theirs, 2)
    assert "2 tides" in error.merged
    assert "Zwei tides" in error.merged
    assert history(engine, "tides") == [theirs, POEM]
    save(engine, "tides", error.merged, base=error.revision)
    assert stands(engine, "tides").body == error.merged


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("Two so far.\n", "Two so far.\n"),
        ("Two so far.\n\nOne.\n\nMine.\n", "Two so far.\n\nOne.\n"),
        ("Two so far.\n\nOne.\n\nMine.\n", "Two so far.\n\nOurs.\n"),
    ],
)
def test_the_same_change_by_two_is_a_conflict_for_it_may_be_meant_twice(
    engine: Engine, mine: str, theirs: str
) -> None:
    save(engine, "tally", "One so far.\n\nOne.\n", title="Tally", base=0)
    save(engine, "tally", theirs, title="Tally", base=1)
    with pytest.raises(EditConflict) as conflict:
        save(engine, "tally", mine, title="Tally", base=1)
    assert (conflict.value.mine, conflict.value.theirs) == (mine, theirs)
    assert conflict.value.merged.count("Two so far.") == 1
    assert "Mine." not in mine or "Mine." in conflict.value.merged
    assert stands(engine, "tally").body == theirs


def test_two_different_new_titles_are_a_conflict(engine: Engine) -> None:
    save(engine, "tides", POEM)
    save(engine, "tides", POEM, base=1, title="Ebb")
    with pytest.raises(EditConflict):
        save(engine, "tides", POEM, base=1, title="Flow")
    assert stands(engine, "tides").title == "Ebb"


@pytest.mark.parametrize(("title", "body"), [("Tides", "Other"), ("Flow", ""), ("Flow", POEM)])
def test_a_page_that_somebody_else_made_meanwhile_is_not_written_over(
    engine: Engine, title: str, body: str
) -> None:
    save(engine, "tides", POEM)
    with pytest.raises(EditConflict):
        save(engine, "tides", body, title=title)
    assert stands(engine, "tides") == Content(title="Tides", kind=PageKind.CONCEPT, body=POEM)


@pytest.mark.parametrize("base", [2, 99, -1, 10**12])
def test_a_revision_that_never_was_is_no_base(engine: Engine, base: int) -> None:
    save(engine, "tides", POEM)
    with pytest.raises(Invalid, match="no version"):
        save(engine, "tides", "Mine", base=base)


def test_a_page_that_is_gone_is_not_found(engine: Engine) -> None:
    with pytest.raises(NotFound):
        save(engine, "tides", POEM, base=3)


def test_no_update_is_lost_when_eight_write_at_once(engine: Engine) -> None:
    save(engine, "counter", "0", title="Counter")

    def count(_: int) -> int:
        done = 0
        while done < 10:
            with writing(engine) as session:
                page = pages.get(session, "counter")
                content = Content(title="Counter", kind=page.kind, body=str(int(page.body) + 1))
                saved = editing.save(session, "counter", content, base=page.version, now=NOW)
                done += saved.changed
        return done

    with ThreadPoolExecutor(8) as threads:
        acknowledged = sum(threads.map(count, range(8)))
    assert acknowledged == 80
    assert stands(engine, "counter").body == "80"
    with reading(engine) as session:
        assert pages.get(session, "counter").version == 81


def test_stale_writers_meet_as_conflicts_and_every_text_is_found(engine: Engine) -> None:
    save(engine, "log", "start\n", title="Log")

    def write(name: int) -> list[str]:
        lost: list[str] = []
        for turn in range(10):
            with reading(engine) as session:
                page = pages.get(session, "log")
                base, body = page.version, page.body
            mine = f"{body}{name}-{turn}\n"
            while True:
                try:
                    save(engine, "log", mine, base=base, title="Log")
                    break
                except EditConflict as conflict:
                    mine, base = conflict.theirs + f"{name}-{turn}\n", conflict.revision
        return lost

    with ThreadPoolExecutor(4) as threads:
        assert all(lost == [] for lost in threads.map(write, range(4)))
    lines = stands(engine, "log").body.split()
    assert sorted(lines[1:]) == sorted(f"{n}-{t}" for n in range(4) for t in range(10))


# ---------------------------------------------------------------- titles and addresses


def test_links_by_the_old_title_still_arrive(engine: Engine) -> None:
    save(engine, "tides", POEM)
    save(engine, "n", "[[Tides]]", title="N")
    save(engine, "tides", POEM, base=1, title="Ebb and flow")
    assert stands(engine, "tides").aliases == ("Tides",)
    assert linking_here(engine, "tides") == ["n"]
    save(engine, "m", "[[tides]] and [[EBB AND FLOW]]", title="M")
    assert linking_here(engine, "tides") == ["m", "n"]


def test_a_title_in_another_case_is_no_new_name(engine: Engine) -> None:
    save(engine, "tides", POEM)
    save(engine, "tides", POEM, base=1, title="TIDES")
    assert stands(engine, "tides").aliases == ()


def test_a_name_that_is_taken_away_leaves_red_links(engine: Engine) -> None:
    save(engine, "tides", POEM, aliases=("ebb",))
    save(engine, "n", "[[ebb]]", title="N")
    assert linking_here(engine, "tides") == ["n"]
    save(engine, "tides", POEM, base=1)
    assert linking_here(engine, "tides") == []


def move(engine: Engine, slug: str, new: str, title: str = "") -> None:
    with writing(engine) as session:
        editing.rename(session, slug, new, now=NOW, title=title)


def test_a_moved_page_is_reached_by_its_old_address(engine: Engine) -> None:
    save(engine, "tides", POEM, title="About the sea")
    save(engine, "n", "[[tides]] [[ebb]]", title="N")
    move(engine, "tides", "ebb", title="Ebb")
    assert linking_here(engine, "ebb") == ["n"]
    with reading(engine) as session:
        for name in ("tides", "ebb", "Ebb", "about the sea"):
            found = pages.named(session, name)
            assert found is not None, name
            assert found.slug == "ebb"


def test_an_edit_begun_before_a_move_is_saved_at_the_new_address(engine: Engine) -> None:
    save(engine, "tides", POEM)
    move(engine, "tides", "ebb")
    saved = save(engine, "tides", POEM + "More\n", base=1)
    assert saved.page.slug == "ebb"
    assert stands(engine, "ebb").body == POEM + "More\n"


def test_there_and_back_again(engine: Engine) -> None:
    save(engine, "tides", POEM)
    for new in ("ebb", "tides", "ebb", "flow", "tides"):
        with reading(engine) as session:
            now_at = pages.named(session, "Tides")
        assert now_at is not None
        move(engine, now_at.slug, new)
    with reading(engine) as session:
        for name in ("tides", "ebb", "flow"):
            found = pages.named(session, name)
            assert found is not None, name
            assert found.slug == "tides"


@pytest.mark.parametrize(
    ("new", "error"),
    [
        ("Ebb", Invalid),
        ("", Invalid),
        ("a/b", Invalid),
        ("../x", Invalid),
        ("x" * 201, Invalid),
        ("other", Conflict),
    ],
)
def test_an_address_that_cannot_be_is_refused(
    engine: Engine, new: str, error: type[Exception]
) -> None:
    save(engine, "tides", POEM)
    save(engine, "other", POEM, title="Other")
    with pytest.raises(error):
        move(engine, "tides", new)
    assert stands(engine, "tides").body == POEM


# ---------------------------------------------------------------- history


def test_an_earlier_text_comes_back_as_a_new_revision(engine: Engine) -> None:
    save(engine, "tides", "First", aliases=("ebb",))
    save(engine, "tides", "Second", base=1, title="Flow", kind=PageKind.NOTE)
    with writing(engine) as session:
        assert editing.restore(session, "tides", 1, now=NOW).changed
    content = stands(engine, "tides")
    assert (content.title, content.kind, content.body) == ("Tides", PageKind.CONCEPT, "First")
    assert content.aliases == ("ebb", "Flow")
    assert history(engine, "tides") == ["First", "Second", "First"]
    with writing(engine) as session:
        assert not editing.restore(session, "tides", 3, now=NOW).changed
        for number in (0, 4, 10**9):
            with pytest.raises(NotFound):
                editing.restore(session, "tides", number, now=NOW)


def test_who_wrote_a_revision_is_kept(engine: Engine) -> None:
    model = Author(AuthorKind.MODEL, "a-model", "digest v3")
    content = Content(title="Tides", kind=PageKind.NOTE, body="Prose.")
    with writing(engine) as session:
        editing.save(session, "tides", content, base=0, now=NOW, author=model, note="a try")
    with reading(engine) as session:
        [row] = pages.revisions(session, pages.get(session, "tides").id or 0)
        assert (row.author_kind, row.author, row.note) == (AuthorKind.MODEL, "a-model", "a try")


def test_a_paper_stays_a_paper(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "Tides", PageKind.PAPER)
    with pytest.raises(Invalid, match="stays a paper") as refused:
        save(engine, "tides", "Text", base=1, kind=PageKind.CONCEPT)
    assert list(refused.value.fields) == ["kind"]


def test_an_edit_of_a_page_that_was_merged_meanwhile_keeps_both_texts(engine: Engine) -> None:
    save(engine, "neap-tide", "Weak tides.\n", title="Neap tide")
    save(engine, "tides", POEM)
    with writing(engine) as session:
        concepts.merge(
            session,
            pages.get(session, "neap-tide"),
            pages.get(session, "tides"),
            author=pages.PERSON,
            now=NOW,
        )
    saved = save(engine, "neap-tide", "Weak tides, twice a month.\n", title="Neap tide", base=1)
    assert saved.merged and saved.page.slug == "tides"
    assert stands(engine, "tides").body.startswith(POEM)
    assert stands(engine, "tides").body.endswith("Weak tides, twice a month.\n")
    assert stands(engine, "tides").title == "Tides"
    with pytest.raises(EditConflict) as told:
        save(engine, "neap-tide", "Strong tides.\n", title="Neap tide", base=1)
    assert told.value.mine == "Strong tides.\n"
    assert told.value.theirs == stands(engine, "tides").body
