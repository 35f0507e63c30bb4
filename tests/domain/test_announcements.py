"""On which day's listing a submission stands."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from app.domain.announcements import listing_day, submitted_for


@pytest.mark.parametrize(
    ("submitted", "listed"),
    [
        ("2026-05-07T17:59:00Z", "2026-05-08"),  # Thursday before the cut-off: Friday's
        ("2026-05-07T18:00:00Z", "2026-05-11"),  # after it: Monday's
        ("2026-05-08T17:59:00Z", "2026-05-11"),
        ("2026-05-08T18:00:00Z", "2026-05-12"),  # over the weekend: Tuesday's
        ("2026-05-10T12:00:00Z", "2026-05-12"),
        ("2026-05-11T17:59:00Z", "2026-05-12"),
        ("2026-05-11T18:00:00Z", "2026-05-13"),
        ("2026-01-06T18:59:00Z", "2026-01-07"),  # an hour later in winter
        ("2026-01-06T19:00:00Z", "2026-01-08"),
        ("2026-03-09T17:59:00Z", "2026-03-10"),  # the day after the clocks went on
        ("2026-11-02T18:59:00Z", "2026-11-03"),  # and after they went back
        ("2026-05-07T00:00:00+09:00", "2026-05-07"),
        ("2026-05-07T12:00:00", "2026-05-08"),  # without a zone it is UTC
    ],
)
def test_the_listing_of_what_was_submitted(submitted: str, listed: str) -> None:
    assert listing_day(datetime.fromisoformat(submitted)) == listed


@pytest.mark.parametrize("year", [1, 1800, 2500, 9999])
def test_a_year_that_is_a_slip_has_no_listing(year: int) -> None:
    assert listing_day(datetime(year, 1, 1, tzinfo=UTC)) == ""


def test_all_of_a_days_listing_was_submitted_in_the_time_asked_for() -> None:
    for offset in range(30):
        day = date(2026, 5, 1) + timedelta(days=offset)
        begin, end = submitted_for(day, day)
        listed = [
            at
            for hours in range(-24 * 6, 48)
            if listing_day(
                at := datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hours)
            )
            == day.isoformat()
        ]
        assert all(begin <= at < end for at in listed), day
        assert end - begin <= timedelta(days=5)


@pytest.mark.parametrize("day", [date.min, date.max])
def test_the_ends_of_the_calendar_are_days_like_others(day: date) -> None:
    begin, end = submitted_for(day, day)
    assert begin.year >= 1989 and end.year <= 2201
