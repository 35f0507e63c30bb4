"""Which entries of what a source sent come in, by their day."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.domain.wanted_days import WantedDays, first_day, is_wanted

FILL = WantedDays(first="2026-05-02", last="2026-05-04", since="2026-04-14", lately="2026-04-20")
NEW = WantedDays(since="2026-04-14", lately="2026-04-20")


@pytest.mark.parametrize(
    ("published", "wanted"),
    [
        ("2026-05-01T23:59:59Z", False),
        ("2026-05-02", True),
        ("2026-05-04T23:59:59+00:00", True),
        ("2026-05-05", False),
        ("2026-05", False),  # nobody knows whether it is of these days
        ("", False),
    ],
)
def test_a_back_fill_of_a_feed_brings_its_days_alone(published: str, wanted: bool) -> None:
    assert is_wanted(published, "feed", FILL) is wanted


@pytest.mark.parametrize("format", ["arxiv-atom", "arxiv-rss", "hf-daily", "oai", "mail", "jsonl"])
def test_who_asks_for_days_itself_is_believed(format: str) -> None:
    assert is_wanted("2020-01-01", format, FILL)


@pytest.mark.parametrize(
    ("published", "wanted"), [("2026-04-13", False), ("2026-04-14", True), ("", True), ("1", True)]
)
def test_a_source_brings_nothing_older_than_its_first_day(published: str, wanted: bool) -> None:
    assert is_wanted(published, "podcast", NEW) is wanted


def test_an_old_record_that_only_changed_is_not_new() -> None:
    assert not is_wanted("2026-04-19", "oai", NEW)
    assert is_wanted("2026-04-20", "oai", NEW)


def test_the_first_day_is_thirty_days_back() -> None:
    assert first_day(datetime(2026, 5, 14, 23, 59, tzinfo=UTC)) == "2026-04-14"
