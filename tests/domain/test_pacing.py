from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from app.domain.pacing import LONGEST, back_off, next_due, retry_after
from tests.servers.hostile import asks_to_wait

NOW = datetime(2026, 5, 14, 20, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(("value", "seconds"), asks_to_wait(NOW).items(), ids=lambda v: str(v)[:30])
def test_retry_after_is_read_in_each_form(value: str, seconds: float | None) -> None:
    assert retry_after(value, now=NOW) == seconds


def test_a_date_is_honoured_to_the_second_whatever_its_zone() -> None:
    then = NOW + timedelta(seconds=95)
    assert retry_after(format_datetime(then, usegmt=True), now=NOW) == 95.0
    assert retry_after("Thu, 14 May 2026 22:01:35 +0200", now=NOW) == 95.0


def test_back_off_doubles_up_to_a_day() -> None:
    waits = [back_off(failures, 0.0) for failures in range(12)]
    assert waits[:4] == [timedelta(0), *(timedelta(minutes=m) for m in (5, 10, 20))]
    assert all(later == min(2 * one, LONGEST) for one, later in pairwise(waits[1:]))
    assert back_off(10**9, 0.0) == LONGEST


def test_back_off_is_spread_and_never_longer_than_a_day() -> None:
    spread = {back_off(40, jitter / 10) for jitter in range(11)}
    assert len(spread) == 11
    assert max(spread) == LONGEST
    assert min(spread) == LONGEST * 0.8
    # Whatever was drawn, one failure more is a longer wait.
    assert back_off(3, 1.0) > back_off(2, 0.0)


def test_what_failed_is_due_when_it_asked_to_be_and_rarer_if_it_goes_on() -> None:
    hour = timedelta(hours=1)
    assert next_due(NOW, every=hour) == NOW + hour
    assert next_due(NOW, every=hour, failures=1) == NOW + timedelta(minutes=5)
    assert next_due(NOW, every=hour, failures=1, after=90.0) == NOW + timedelta(seconds=90)
    assert next_due(NOW, every=hour, failures=5, after=90.0) == NOW + back_off(4, 0.0)
    assert next_due(NOW, every=hour, failures=5, after=86400.0) == NOW + LONGEST
