"""Citations: names, keys, and what a paper keeps of an entry."""

from __future__ import annotations

import pytest

from app.domain.citations import (
    Citation,
    Name,
    joined,
    kept_of,
    of_paper,
    usable_key,
    usual_key,
    with_unique_keys,
)
from app.domain.identifiers import PaperId


@pytest.mark.parametrize(
    ("shown", "written"),
    [
        ("Ana de la Cruz", "de la Cruz, Ana"),
        ("Sam Davis Jr.", "Davis, Jr., Sam"),
        ("OpenLab", "{OpenLab}"),
        ("The Tide Collaboration", "{The Tide Collaboration}"),
        ("Li", "{Li}"),
    ],
)
def test_a_name_that_is_known_as_shown_divides_and_is_shown_the_same(
    shown: str, written: str
) -> None:
    name = Name.guessed(shown)
    assert (name.written, name.shown) == (written, shown)
    assert Name.kept(written) == name


def test_the_usual_key_says_who_what_and_when() -> None:
    names = (Name("Núñez Ortiz", "A."),)
    assert usual_key(names, "The Tides of a {Bay}: a study", "2021-05") == (
        "nunezortizTidesBayStudy2021"
    )
    assert usual_key((), "", "") == "untitled"


def test_keys_are_made_usable_and_unique() -> None:
    given = [Citation(title="x", key=key) for key in ("a b{", "a-b", "A-B", "a-b", "")]
    assert [each.key for each in with_unique_keys(given)] == [
        "a-b",
        "a-b-2",
        "A-B-3",
        "a-b-4",
        "untitled",
    ]
    assert usable_key("a,b}c") == "a-b-c"


def paper(**facts: object) -> Citation:
    given: dict[str, object] = {
        "title": "Tides of a bay",
        "abstract": "",
        "authors": ["Ana Doe"],
        "published": "2021",
        "venue": "",
        "categories": [],
        "identifiers": [],
        "tags": [],
        "extra": {},
    }
    return of_paper(**{**given, **facts})  # type: ignore[arg-type]


def test_a_paper_that_no_library_told_of_keeps_nothing_of_its_own_export() -> None:
    ids = [PaperId("arxiv", "2101.00001"), PaperId("doi", "10.1000/tide")]
    made = paper(identifiers=ids, categories=["physics.ao-ph"], venue="Journal of Tides")
    assert kept_of(made, ids) == {}
    assert made.kind == "article"


def test_what_an_entry_said_comes_back() -> None:
    citation = Citation(
        title="Tides of a bay",
        key="tides",
        kind="phdthesis",
        authors=(Name("Doe", "Ana", "Jr"), Name("Bay Watch", body=True)),
        others=True,
        published="2021",
        doi="10.1000/Tide",
        urls=("https://example.org/tides",),
        fields={"address": "Oslo"},
    )
    ids = [PaperId("doi", "10.1000/tide")]
    back = paper(
        authors=[name.shown for name in citation.authors],
        identifiers=ids,
        extra={"citation": kept_of(citation, ids)},
    )
    assert back == citation


def test_names_that_changed_meanwhile_are_told_as_they_are_now() -> None:
    kept = {"names": ["Doe, Ana Maria"]}
    back = paper(authors=["Bo Lee"], extra={"citation": kept})
    assert [name.written for name in back.authors] == ["Lee, Bo"]


def test_two_entries_of_one_work() -> None:
    first = {"key": "one", "fields": {"volume": "1"}}
    both = joined(first, {"key": "two", "fields": {"volume": "2", "pages": "3"}}, newer=False)
    assert both == {"key": "one", "keys": ["two"], "fields": {"volume": "1", "pages": "3"}}
    assert joined(both, {"key": "two", "fields": {"volume": "2"}}, newer=False) == both
    assert joined(first, {"key": "one", "fields": {"volume": "2"}}, newer=True)["fields"] == {
        "volume": "2"
    }
    # An export told two papers of one key apart: that is no key of its own.
    assert joined(first, {"key": "one-2"}, newer=False) == first


@pytest.mark.parametrize("key", ["Doe&Roe(2020)", "__tide", "Other-", "tide$h_1$", "a=b"])
def test_a_key_comes_back_as_it_was_written_and_is_no_other_key(key: str) -> None:
    standing = {"key": key, "keys": ["c&d"]}
    [written] = with_unique_keys([Citation(title="Tides", key=key)])
    for came in (written.key, f"{written.key}-2"):
        assert joined(standing, {"key": came, "keys": ["c-d"]}, newer=True) == standing
    assert joined(standing, {"key": "elsewhere"}, newer=True)["keys"] == ["c&d", "elsewhere"]
