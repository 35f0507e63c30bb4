"""Tiers: the reader's topics say them, sources raise them, and the reason says why."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.domain.scoring import TopicText
from app.domain.tiers import DAILY_HOT, tags, tier

CACHES = TopicText("caches", "Caches", tier=1)
SERVING = TopicText("serving", "Serving", tier=1)
TIDES = TopicText("tides", "Tide gauges", tier=2)
ROBOTS = TopicText("robots", "Robots", tier=4)
TWO = ("arXiv listing", "The Daily Tide")


@pytest.mark.parametrize(
    ("topics", "relevance", "sources", "number", "reason"),
    [
        ((), 9, (), 4, "it matches no topic"),
        ((TIDES,), 9, (), 2, "Tide gauges is a topic of tier 2"),
        ((TIDES,), None, (), 2, "Tide gauges is a topic of tier 2"),
        (
            (ROBOTS, CACHES),
            9,
            (),
            1,
            "Caches is a topic of tier 1, the highest that it matches",
        ),
        ((CACHES, SERVING), 9, (), 1, "Caches and Serving are topics of tier 1"),
        (
            (TIDES,),
            9,
            TWO,
            1,
            "Tide gauges is a topic of tier 2; seen by two sources (arXiv listing and The Daily "
            "Tide), which raises it by one",
        ),
        (
            (TIDES,),
            9,
            ("arXiv listing", "arXiv listing", ""),
            2,
            "Tide gauges is a topic of tier 2",
        ),
        (
            (CACHES,),
            9,
            TWO,
            1,
            "Caches is a topic of tier 1; seen by two sources (arXiv listing and The Daily Tide)",
        ),
        (
            (TIDES,),
            2,
            (),
            3,
            "Tide gauges is a topic of tier 2; a relevance of 2 lowers it by one",
        ),
        ((ROBOTS,), 1, (), 4, "Robots is a topic of tier 4"),
        (
            (),
            None,
            ("A", "B", "C", "D"),
            3,
            "it matches no topic; seen by four sources (A, B, C and 1 more), which raises it by one",
        ),
        ((TopicText("odd", "Odd", tier=9),), 9, (), 4, "Odd is a topic of tier 4"),
        ((TopicText("odd", "Odd", tier=-1),), 9, (), 1, "Odd is a topic of tier 1"),
    ],
)
def test_a_tier_and_its_reason(
    topics: Sequence[TopicText],
    relevance: int | None,
    sources: Sequence[str],
    number: int,
    reason: str,
) -> None:
    found = tier(topics, relevance, 5, (), sources)

    assert (found.number, found.reason) == (number, reason)


def test_novelty_and_talk_move_no_tier_but_talk_is_named() -> None:
    assert tier((TIDES,), 9, 1, (), ()) == tier((TIDES,), 9, 10, (), ())

    hot = tier((TIDES,), 9, 5, (DAILY_HOT,), ())

    assert (hot.number, hot.reason) == (
        2,
        "Tide gauges is a topic of tier 2; much talked about that day",
    )


@pytest.mark.parametrize(
    ("sources", "upvotes", "others", "hot"),
    [
        ((), None, (), False),
        (TWO, None, (), False),
        ((*TWO, "A show"), None, (), True),
        ((*TWO, "A show"), 0, (50, 40), True),
        (("A", "A", "A", ""), None, (), False),
        ((), 40, (40, 3, 2), True),
        ((), 3, (40, 3, 2), False),
        ((), 1, (1,), False),  # one upvote is no talk
        ((), 31, tuple(range(12, 32)), True),  # the most of twenty, and the next
        ((), 30, tuple(range(12, 32)), True),
        ((), 29, tuple(range(12, 32)), False),
        ((), 5, (), False),
    ],
)
def test_what_a_day_talks_about(
    sources: Sequence[str], upvotes: int | None, others: Sequence[int], hot: bool
) -> None:
    assert tags(sources, upvotes=upvotes, day_upvotes=others) == ([DAILY_HOT] if hot else [])
