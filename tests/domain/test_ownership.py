"""Sections of a body, and whose they are after somebody wrote over them."""

from __future__ import annotations

import pytest

from app.domain.ownership import (
    Owned,
    Owner,
    added,
    named,
    owners,
    removed,
    sections,
    text_of,
    written,
)
from app.domain.records import AuthorKind

PERSON = Owner(AuthorKind.PERSON, "you")
MODEL = Owner(AuthorKind.MODEL, "m", "concept@1 x")
BODY = "Tea is hot.\n\n## Leaves\n\nThey are green.\n\n## Pots\n\nThey are round.\n\n### Lids\n\nThey fit.\n"


def owned(body: str, **by_key: Owner) -> list[Owned]:
    return [Owned(s.key, s.hash, by_key.get(s.key or "first", PERSON)) for s in sections(body)]


def whose(found: list[Owned]) -> dict[str, AuthorKind]:
    return {each.key: each.owner.kind for each in found}


def test_a_body_is_cut_at_its_headings() -> None:
    found = sections(BODY)
    assert [(s.key, s.title, s.level) for s in found] == [
        ("", "", 0),
        ("leaves", "Leaves", 2),
        ("pots", "Pots", 2),
        ("lids", "Lids", 3),
    ]
    assert "".join(BODY[s.start : s.end] for s in found) == BODY
    assert [text_of(BODY, s) for s in found][2:] == ["They are round.", "They fit."]


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ("", [""]),
        ("Words alone.", [""]),
        ("# Only\n", ["only"]),
        ("```\n# code\n```\n", [""]),
        ("> # quoted\n\n- # listed\n", [""]),
        ("Title\n=====\n\nText\n", ["title"]),
        ("## A\n\n## A\n\nx", ["a", "a-2"]),
        ("---\ntags: x\n---\n# A\n", ["", "a"]),
        ("a\r\n\r\n# B\r\n\r\nc\r\n", ["", "b"]),
        ("# \x00\ud800 odd\n", ["odd"]),
    ],
)
def test_what_cuts_a_body(body: str, keys: list[str]) -> None:
    found = sections(body)
    assert [s.key for s in found] == keys
    assert "".join(body[s.start : s.end] for s in found) == body or found[0].start != 0


def test_only_what_changed_becomes_the_author_s() -> None:
    before = owned(BODY, leaves=MODEL)
    after = BODY.replace("round", "square")
    assert whose(owners(before, after, MODEL)) == {
        "": AuthorKind.PERSON,
        "leaves": AuthorKind.MODEL,
        "pots": AuthorKind.MODEL,
        "lids": AuthorKind.PERSON,
    }


def test_moved_and_renamed_sections_keep_their_owner() -> None:
    before = owned(BODY, leaves=MODEL)
    moved = "Tea is hot.\n\n## Pots\n\nThey are round.\n\n### Lids\n\nThey fit.\n\n## Foliage\n\nThey are green.\n"
    assert whose(owners(before, moved, PERSON))["foliage"] == AuthorKind.MODEL
    blanks = BODY.replace("They are green.\n", "They are green.   \n\n\n")
    assert whose(owners(before, blanks, PERSON))["leaves"] == AuthorKind.MODEL


def test_a_text_that_is_copied_is_owned_by_the_old_owner_once() -> None:
    before = owned("## A\n\nSame.\n", a=MODEL)
    found = owners(before, "## B\n\nSame.\n\n## C\n\nSame.\n", PERSON)
    assert whose(found) == {"b": AuthorKind.MODEL, "c": AuthorKind.PERSON}


def test_writing_a_section_leaves_all_others_as_they_are() -> None:
    made = written(BODY, "leaves", "They are black.")
    assert made == BODY.replace("green", "black")
    more = added(BODY, "Recent", "- A cup.")
    assert more.startswith(BODY.rstrip()) and more.endswith("## Recent\n\n- A cup.\n")
    assert removed(more, "recent") == BODY
    first = written("Old.\n\n## A\n\nx\n", "", "New.")
    assert first == "New.\n\n## A\n\nx\n"
    assert named(BODY, "nothing") is None
    with pytest.raises(KeyError):
        written(BODY, "nothing", "x")
