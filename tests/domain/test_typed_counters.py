"""Typed counters: which numbers of a text count papers, and what is written in their place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.typed_counters import Counter, Counts, counters, live_form, made_live, read


def only(text: str) -> Counter:
    [found] = counters(text)
    return found


@pytest.mark.parametrize(
    ("text", "says", "number", "counts"),
    [
        ("It is eight papers strong.", "eight papers strong", 8, Counts.TOTAL),
        ("Now 8 papers.", "Now 8 papers", 8, Counts.TOTAL),
        ("Thirty-one papers so far.", "Thirty-one papers so far", 31, Counts.TOTAL),
        ("We have 12 papers in this thread.", "12 papers in this thread", 12, Counts.TOTAL),
        ("**Three papers\nin two weeks**", "Three papers\nin two weeks", 3, Counts.WINDOW),
        ("The third paper in this thread.", "third paper in this thread", 3, Counts.PLACE),
        ("The 21st paper of the tide thread", "21st paper of the tide thread", 21, Counts.PLACE),
    ],
)
def test_a_typed_counter_is_found(text: str, says: str, number: int, counts: Counts) -> None:
    found = only(text)
    assert (found.says, found.number, found.counts) == (says, number, counts)
    again = read(found.says)
    assert again is not None and again.number == number


@pytest.mark.parametrize(
    "text",
    [
        "Three papers agree.",
        "In 2026 papers in physics changed.",
        "`eight papers strong`",
        "```\neight papers strong\n```",
        "$8 papers strong$",
        "The paper is strong.",
        "The first thread.",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert counters(text) == []


def test_the_number_alone_is_made_live() -> None:
    assert live_form(only("Now 8 papers."), "count thread:x") == "Now {{count thread:x}} papers"
    place = only("the third paper in this thread")
    assert live_form(place, "count thread:x") == "paper {{count thread:x}} in this thread"


def test_it_is_written_where_it_stands_or_not_at_all() -> None:
    body = "A `now 8 papers`.\n\n| a |\n|---|\n| now 8 papers |\n"
    found = only(body)
    assert found.start == body.rindex("now 8")
    made = made_live(body, found.start, found.says, "LIVE")
    assert made == body[: found.start] + "LIVE" + " |\n"
    assert made_live("moved " + body, found.start, found.says, "LIVE") is None
    assert made_live(body, -1, found.says, "LIVE") is None


def test_live_claims_are_found_beside_them() -> None:
    found = counters("{{count thread:x}} papers so far, and {{sum}}.")
    assert [(each.counts, each.says) for each in found] == [
        (Counts.CLAIM, "{{count thread:x}}"),
        (Counts.CLAIM, "{{sum}}"),
    ]


@given(st.text(alphabet="now 8 papers strong in thr{}`|\n*-the third", max_size=300))
def test_any_text_is_read_and_what_is_found_stands_there(text: str) -> None:
    for found in counters(text):
        assert text[found.start :].startswith(found.says)
