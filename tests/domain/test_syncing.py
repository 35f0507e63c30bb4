"""What is to be done about a page, its file, and what both said when they last agreed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.notes import NamedLink, Note
from app.domain.records import PageKind, Relation
from app.domain.syncing import (
    Action,
    Renamed,
    believed,
    gone,
    join,
    joined_names,
    place,
    renamed,
    says_nothing,
    spoken,
    worded,
)

BASE = Note(
    id="tides",
    kind=PageKind.THREAD,
    title="Tides",
    aliases=("Ebb", "Flow"),
    tags=("sea",),
    identifiers=("url:https://example.org/",),
    facts={"claim": "They rise.", "status": "open"},
    links=(NamedLink(Relation.USES, "Moon"), NamedLink(Relation.ABOUT, "Sea")),
    body="One.\n\nTwo.\n\nThree.\n",
)


@pytest.mark.parametrize(
    ("page", "file", "action", "body"),
    [
        ({}, {}, Action.SAME, BASE.body),
        ({"body": "New.\n"}, {}, Action.SAME, "New.\n"),  # the page alone: nothing to take up
        ({}, {"body": "New.\n"}, Action.TAKE, "New.\n"),
        ({}, {"body": BASE.body.replace("\n", "\r\n")}, Action.SAME, BASE.body),
        (
            {"body": "One here.\n\nTwo.\n\nThree.\n"},
            {"body": "One.\n\nTwo.\n\nThree there.\n"},
            Action.MERGE,
            "One here.\n\nTwo.\n\nThree there.\n",
        ),
        ({"body": "Here.\n"}, {"body": "There.\n"}, Action.CONFLICT, "Here.\n"),
        ({"body": "Both.\n"}, {"body": "Both.\n"}, Action.SAME, "Both.\n"),
        ({}, {"tags": ("sea", "moon")}, Action.TAKE, BASE.body),
        ({"body": "Here.\n"}, {"tags": ()}, Action.TAKE, "Here.\n"),
        ({}, {"links": BASE.links[:1]}, Action.TAKE, BASE.body),
    ],
)
def test_who_changed_what_says_what_to_do(
    page: dict[str, object], file: dict[str, object], action: Action, body: str
) -> None:
    joined = join(BASE, replace(BASE, **page), replace(BASE, **file))  # type: ignore[arg-type]
    assert (joined.action, joined.note.body) == (action, body)


def test_fields_join_by_what_either_side_changed() -> None:
    page = replace(
        BASE,
        title="High tides",
        aliases=("Ebb", "Flow", "Spring"),
        facts={"claim": "They rise.", "status": "closed"},
    )
    file = replace(
        BASE,
        aliases=("Flow",),
        tags=("sea", "Moon"),
        facts={"claim": "They fall.", "status": "open"},
    )
    joined = join(BASE, page, file)
    note = joined.note
    assert (note.title, note.aliases, note.tags) == (
        "High tides",
        ("Flow", "Spring"),
        ("sea", "Moon"),
    )
    assert note.facts == {"claim": "They fall.", "status": "closed"}
    assert joined.gave_way == {}


def test_of_a_value_that_both_changed_the_files_counts_and_the_other_is_told() -> None:
    page = replace(BASE, title="Here", facts={**BASE.facts, "claim": "Here."})
    file = replace(BASE, title="There", facts={**BASE.facts, "claim": "There."})
    joined = join(BASE, page, file)
    assert (joined.note.title, joined.note.facts["claim"]) == ("There", "There.")
    assert joined.gave_way == {"title": "Here", "claim": "Here."}


def test_links_put_in_and_taken_out_are_told_by_name() -> None:
    file = replace(
        BASE, links=(NamedLink(Relation.USES, "moon"), NamedLink(Relation.RELATED, "Wind"))
    )
    joined = join(BASE, BASE, file)
    assert joined.put_in == (NamedLink(Relation.RELATED, "Wind"),)
    assert joined.taken_out == (NamedLink(Relation.ABOUT, "Sea"),)


@pytest.mark.parametrize("lost", ["id", "kind", "title"])
def test_what_a_file_cannot_take_away_it_does_not(lost: str) -> None:
    file = replace(BASE, **{lost: None if lost == "kind" else ""})  # type: ignore[arg-type]
    assert join(BASE, BASE, file).action is Action.SAME


def test_front_matter_that_is_gone_takes_nothing_away() -> None:
    joined = join(BASE, BASE, Note(body="Text.\n"))
    assert joined.note == replace(BASE, body="Text.\n") and not joined.taken_out
    assert says_nothing(Note(body="x")) and not says_nothing(BASE)


@pytest.mark.parametrize(
    ("owner", "said", "elsewhere", "action"),
    [
        (None, None, False, Action.NEW),
        (None, "tides", False, Action.MOVED),
        (None, "tides", True, Action.COPY),
        ("tides", None, False, Action.TAKE),
        ("tides", "tides", False, Action.TAKE),
        ("tides", "moon", True, Action.TAKE),  # another's text was pasted over it, front matter too
        ("tides", "moon", False, Action.MOVED),  # another's file was put in its place
    ],
)
def test_whose_a_file_is(
    owner: str | None, said: str | None, elsewhere: bool, action: Action
) -> None:
    assert place(owner=owner, said=said, elsewhere=elsewhere) is action


@pytest.mark.parametrize(
    ("vanished", "known", "is_believed"),
    [(1, 1, True), (9, 9, True), (10, 50, True), (10, 49, False), (5000, 5000, False)],
)
def test_many_files_gone_at_once_are_not_believed(
    vanished: int, known: int, is_believed: bool
) -> None:
    assert believed(vanished, known) is is_believed


def test_a_file_that_is_gone_deletes_what_it_said_and_no_more() -> None:
    assert gone(written=True, version=3, mirrored=3) is Action.DELETED
    assert gone(written=True, version=4, mirrored=3) is Action.WRITE
    assert gone(written=False, version=1, mirrored=0) is Action.WRITE


@pytest.mark.parametrize(
    ("old", "new", "title", "means"),
    [
        ("Tides", "Tides", "Tides", Renamed.NOTHING),
        ("Tides", "High tides", "Tides", Renamed.TITLE),
        ("Tides", "tides", "Tides", Renamed.TITLE),
        ("tides-2", "High tides", "Tides", Renamed.ALIAS),
        ("what-is-it", "it", "What: is it?", Renamed.ALIAS),
    ],
)
def test_what_a_new_name_of_a_file_means(old: str, new: str, title: str, means: Renamed) -> None:
    assert renamed(old, new, title=title) is means


def test_a_file_keeps_its_words() -> None:
    note = replace(BASE, kind=PageKind.NOTE, facts={})
    said = Note(
        id="tides",
        links=(NamedLink(Relation.USES, "notes/moon"),),
        facts={"status": "seedling"},
    )
    found = worded(note, said, by_folder=PageKind.NOTE)
    assert found.kind is None and found.facts == {"status": "seedling"}
    assert found.links[0].name == "notes/moon" and found.links[1].name == "Sea"
    assert worded(note, said, by_folder=PageKind.CONCEPT).kind is PageKind.NOTE


def test_tags_of_the_text_join_like_those_of_front_matter_and_are_not_said_twice() -> None:
    base = Note(id="t", title="T", tags=("front",), body="On #moon and #tide.\n")
    page = replace(base, tags=("front", "tide", "wiki"))  # the reader took `moon` off the page
    file = replace(base, body="On #moon and #shore.\n")
    assert join(base, page, file).note.tags == ("front", "wiki", "shore")
    bare = Note(body="On #moon, #tide and #shore.\n")
    assert join(base, page, bare).note.tags == ("front", "tide", "wiki", "shore")

    said = Note(id="t", tags=("front",))
    told = replace(page, body=file.body, tags=("front", "shore", "wiki"))
    assert worded(told, said, by_folder=PageKind.NOTE).tags == ("front", "wiki")
    assert worded(told, replace(said, tags=("shore",)), by_folder=PageKind.NOTE).tags == (
        *("front", "shore", "wiki"),
    )


NAMES = st.lists(st.sampled_from("abcdef"), unique=True).map(tuple)


@given(NAMES, NAMES, NAMES)
def test_no_name_of_either_side_is_lost_unless_one_took_it_out(
    base: tuple[str, ...], page: tuple[str, ...], file: tuple[str, ...]
) -> None:
    found = set(joined_names(base, page, file))
    assert found == {
        name for name in {*page, *file} if name not in base or (name in page and name in file)
    }


LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "\n"]), max_size=6).map("".join)


@given(LINES, LINES, LINES)
def test_no_line_of_either_side_is_lost(base: str, page: str, file: str) -> None:
    notes = [Note(id="x", title="X", body=body) for body in (base, page, file)]
    joined = join(*notes)
    if joined.action is Action.CONFLICT:
        assert joined.note.body == page and not joined.text.clean
    elif spoken(page) == spoken(base):
        assert joined.note.body == file
    elif spoken(file) == spoken(base):
        assert joined.note.body == page
