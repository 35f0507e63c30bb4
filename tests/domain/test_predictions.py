"""Dates in words, what a text foretells, and the score."""

from __future__ import annotations

from datetime import date

import pytest

from app.domain.predictions import (
    Judged,
    deadline,
    due_in,
    entries_of,
    given_due,
    score,
    stands_in,
    stated,
    watched,
)

MADE = date(2026, 5, 14)


@pytest.mark.parametrize(
    ("words", "due"),
    [
        ("in the next 90 days", "2026-08-12"),
        ("within three months", "2026-08-14"),
        ("within a year", "2027-05-14"),
        ("in the next two weeks", "2026-05-28"),
        ("by 2027 Q2", "2027-06"),
        ("by Q2 2027", "2027-06"),
        ("by Q1", "2027-03"),
        ("in H2 2026", "2026-12"),
        ("before Q3 2026", "2026-06"),
        ("before the end of 2026", "2026"),
        ("by the end of the year", "2026"),
        ("by year-end", "2026"),
        ("before 2027", "2026"),
        ("by the beginning of 2027", "2026"),
        ("by next year", "2027"),
        ("by June", "2026-06"),
        ("by March", "2027-03"),
        ("before June 2027", "2027-05"),
        ("by 1 June 2027", "2027-06-01"),
        ("by June 1, 2027", "2027-06-01"),
        ("by 2026-09-30", "2026-09-30"),
        ("before 2026-09", "2026-08"),
        ("by May 2027", "2027-05"),
        # What names no day to come.
        ("in the last 90 days", ""),
        ("in 2025", ""),
        ("it may be in may", ""),
        ("by May", "2026-05"),
        ("by 2026-13-40", ""),
        ("by February 30, 2027", ""),
        ("by Q9 2027", ""),
        ("in 0 words", ""),
        ("by 99 days", ""),
        ("", ""),
    ],
)
def test_a_due_date_is_read_relative_to_the_day_it_was_said(words: str, due: str) -> None:
    assert due_in(f"We expect a benchmark {words}.", MADE) == due


@pytest.mark.parametrize(
    ("given", "due"),
    [
        ("2026-09-30", "2026-09-30"),
        ("2027", "2027"),
        ("Q2 2027", "2027-06"),
        ("90 days", "2026-08-12"),
        (" in  90 days ", "2026-08-12"),
        ("2026-02-30", ""),
        ("0000", ""),
        ("soon", ""),
        ("9" * 400, ""),
    ],
)
def test_a_person_writes_a_date_in_many_ways(given: str, due: str) -> None:
    assert given_due(given, MADE) == due


def test_the_last_day_of_a_due_date_counts() -> None:
    assert deadline("2026") == date(2026, 12, 31)
    assert deadline("2028-02") == date(2028, 2, 29)
    assert deadline("2026-05-14") == MADE
    assert deadline("") is None
    assert deadline("2026-13") is None


def test_only_a_sentence_with_expectation_and_date_foretells() -> None:
    text = (
        "The field should expect a second benchmark in the next 90 days. It came within two months. "
        "Will it land by 2027? Papers must be submitted by June and will be reviewed. "
        "It will be better."
    )
    found = stated(text, MADE)
    assert [(each.text, each.due) for each in found] == [
        ("The field should expect a second benchmark in the next 90 days.", "2026-08-12")
    ]


def test_an_entry_worth_watching_needs_no_date() -> None:
    section = "- **Pricing.** The price will fall by half. More words here for length.\n- A link\n"
    found = watched(entries_of(section), MADE)
    assert [(each.text, each.due) for each in found] == [("The price will fall by half.", "")]
    assert entries_of("One.\n\nTwo.") == ["One.", "Two."]


def test_a_quotation_has_to_stand_there_but_for_white_space() -> None:
    assert stands_in("it  fell\nby half", ["Then it fell by half."])
    assert not stands_in("it fell by 0.5", ["Then it fell by half."])
    assert not stands_in("  ", ["anything"])


def test_the_score_counts_shares_and_distances_by_month() -> None:
    found = score(
        [
            Judged(True, "2026-05-01", 0.8),
            Judged(False, "2026-05-20", 0.5),
            Judged(True, "2026-04-02"),
        ]
    )
    assert (found.total.resolved, found.total.came_true, found.total.weighed) == (3, 2, 2)
    assert found.total.brier == pytest.approx((0.04 + 0.25) / 2)
    assert [each.name for each in found.months] == ["2026-04", "2026-05"]
    assert found.months[0].brier is None
    assert found.months[1].share == 0.5
    empty = score([])
    assert empty.total.share is None
    assert empty.months == ()
