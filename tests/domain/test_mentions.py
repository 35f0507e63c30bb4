"""Unlinked mentions: the exact place, and the body with the link in it."""

from __future__ import annotations

import pytest

from app.domain.markdown import plain_text, wikilinks
from app.domain.mentions import in_body, in_text, sought

NAMES = ("Slack water", "SW", "TideNet")


def linked(body: str, names: tuple[str, ...] = ("Slack water", "TideNet")) -> str | None:
    found = in_body(body, names, title="Slack water", slug="slack-water")
    return found.body if found else None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("At Slack water boats go.", "At [[Slack water]] boats go."),
        ("At slack water boats go.", "At [[Slack water|slack water]] boats go."),
        ("We read TideNet daily.", "We read [[Slack water|TideNet]] daily."),
        ("*Slack water* helps.", "*[[Slack water]]* helps."),
        ("# Slack water\n\nIn slack water.", "# Slack water\n\nIn [[Slack water|slack water]]."),
        ("`Slack water` and Slack water.", "`Slack water` and [[Slack water]]."),
        (
            "| when | what |\n|---|---|\n| slack water | go |\n",
            "| when | what |\n|---|---|\n| [[Slack water\\|slack water]] | go |\n",
        ),
    ],
)
def test_the_first_place_that_can_hold_a_link_gets_one(body: str, expected: str) -> None:
    assert linked(body) == expected
    assert plain_text(expected) == plain_text(body)
    assert len(wikilinks(expected)) == len(wikilinks(body)) + 1


@pytest.mark.parametrize(
    "body",
    [
        "See [[slack water]].",
        "See [[tides|slack water]].",
        "[slack water](https://example.org/slack-water)",
        "`slack water`",
        "```\nslack water\n```",
        "    slack water in code",
        "$slack water$",
        "Slack water\n===========",
        "## On slack water",
        "https://example.org/TideNet",
        "slack waters and backslack water and tidenet",
        "slack-water and TideNet-2",
        "",
    ],
)
def test_links_code_formulas_headings_and_parts_of_words_are_left_alone(body: str) -> None:
    assert linked(body) is None


def test_the_sentence_is_told_with_the_place_of_the_name() -> None:
    found = in_body("Fog. At *slack* water, or slack water, we go.", NAMES, title="T", slug="t")
    assert found is not None
    start, end = found.span
    assert found.sentence[start:end] == "slack water"
    assert found.sentence.startswith("At slack water")


def test_a_title_that_no_link_can_hold_is_linked_by_its_address() -> None:
    found = in_body("We read TideNet.", ("TideNet",), title="A [b] | c", slug="a-b-c")
    assert found is not None and found.body == "We read [[a-b-c|TideNet]]."


def test_an_abstract_is_quoted_and_not_edited() -> None:
    found = in_text("Fog. In slack water boats go.", ("Slack water",))
    assert found is not None and found.body is None
    assert found.sentence == "In slack water boats go." and found.span == (3, 14)
    assert in_text("Nothing here.", ("Slack water",)) is None


def test_names_that_are_too_short_or_numbers_are_not_looked_for() -> None:
    assert sought(["Slack  water", "SW", "2024", "Slack water", "TideNet"]) == (
        "Slack water",
        "TideNet",
    )
