"""How what was met of a paper is told."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.covering import covers
from app.domain.independence import Met
from app.domain.met import Entry, Standing, lag, lag_in_words, standings, state_in_words
from app.domain.records import SourceKind

LISTING = SourceKind.LISTING


@pytest.mark.parametrize(
    ("day", "appeared", "days"),
    [
        ("2026-05-10", ("2026-05-07", "2026-05-08"), 3),
        ("2026-05-10T08:00:00Z", ("2026-05", "2026-05-08"), 2),
        ("2026-05-08", ("2026-05-08",), 0),
        ("2026-05-01", ("2026-05-08",), -7),
        ("2026-05", ("2026-05-08",), None),
        ("", ("2026-05-08",), None),
        ("2026-05-08", ("2026", ""), None),
        ("no day", ("2026-05-08",), None),
    ],
)
def test_lag_is_counted_from_the_first_day(
    day: str, appeared: tuple[str, ...], days: int | None
) -> None:
    assert lag(day, *appeared) == days


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (None, ""),
        (0, "the day it appeared"),
        (1, "the day after it appeared"),
        (3, "3 days after it appeared"),
        (-1, "the day before it appeared"),
        (-12, "12 days before it appeared"),
        (100, "3 months after it appeared"),
        (1000, "3 years after it appeared"),
    ],
)
def test_lag_in_words(days: int | None, words: str) -> None:
    assert lag_in_words(days) == words


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({}, []),
        ({"starred": True, "upvotes": 34}, ["starred", "34 upvotes"]),
        ({"score": -3, "comments": 1}, ["score -3", "1 comment"]),
        ({"upvotes": 1, "comments": 0, "starred": False}, ["1 upvote"]),
        ({"upvotes": True, "score": "9", "comments": 10**30, "starred": "yes"}, []),
        ({"score": 12345}, ["score 12,345"]),
    ],
)
def test_what_a_source_says_in_words(state: dict[str, Any], words: list[str]) -> None:
    assert state_in_words(state) == words


def entry(name: str, kind: SourceKind, format: str = "x", **facts: Any) -> Entry:
    state, key = facts.pop("state", {}), facts.pop("key", "k")
    return Entry(Met(name, kind, format, facts.get("url", "")), key, facts.get("day", ""), state)


def test_one_listing_by_several_services_is_told_once() -> None:
    found = standings(
        [
            entry("arXiv cs.CL", LISTING, "arxiv-rss", day="2026-05-09"),
            entry("arXiv cs.CL", LISTING, "arxiv-atom", day="2026-05-08"),
            entry("arXiv, set cs", LISTING, "oai", url="https://arxiv.org/abs/2605.00001"),
            entry("Daily Papers", LISTING, "hf-daily", day="2026-05-09", state={"upvotes": 30}),
            entry("Daily Papers", LISTING, "hf-daily", day="2026-05-09", state={"upvotes": 34}),
            entry("your Zotero library", SourceKind.LIBRARY, key="zotero:smith2024x"),
            entry("Reference library", SourceKind.LIBRARY, key="jones1999#ab12", day="1999"),
            entry("Semantic Scholar", SourceKind.INDEX, day="2026-05-08"),
        ]
    )
    assert found == [
        Standing(
            "listed by arXiv cs.CL, arXiv, set cs",
            "2026-05-08",
            "https://arxiv.org/abs/2605.00001",
        ),
        Standing("Daily Papers, 34 upvotes", "2026-05-09", ""),
        Standing("in your Zotero library as smith2024x", "", ""),
        Standing("in your Reference library as jones1999", "", ""),
        Standing("known to Semantic Scholar", "", ""),
    ]


def test_a_listing_without_entries_has_its_day() -> None:
    assert standings([], listed="2026-05-08") == [Standing("listed", "2026-05-08", "")]
    assert standings([]) == []


@pytest.mark.parametrize(
    ("title", "text", "papers", "reason"),
    [
        ("Reading Slack Water Keeps Good Time", "", 5, "Its title says the title of the paper."),
        ("On tides", "slack-water keeps good time!", 1, "It links this paper only, and says its title."),
        ("On tides", "slack water keeps good time", 2, ""),
        ("On tides", "Nothing.", 1, ""),
        ("Slack water", "Keeps good time", 1, ""),
    ],
)  # fmt: skip
def test_what_covers_a_paper(title: str, text: str, papers: int, reason: str) -> None:
    assert covers("Slack Water Keeps Good Time", title=title, text=text, papers=papers) == reason


def test_a_coined_name_in_the_title_of_what_links_that_paper_only() -> None:
    paper, said = (
        "TideBench-2: A Test for Gauges",
        "It links this paper only, and has its name in its title.",
    )
    assert covers(paper, title="We tried TideBench-2", text="", papers=1) == said
    assert covers(paper, title="We tried TideBench-2", text="", papers=2) == ""
    assert covers("Tides: A Test for Gauges", title="Tides again", text="", papers=1) == ""
    # A title of two words is a phrase.
    assert covers("Tides", title="Tides", text="Tides", papers=1) == ""
