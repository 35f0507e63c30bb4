"""The prices that came with the program are whole and of sense."""

from __future__ import annotations

from datetime import date

from app.domain.money import MILLION, in_force
from app.llm.prices import shipped


def test_every_shipped_price_is_dated_sourced_and_in_order() -> None:
    prices = shipped()
    assert len(prices) > 5
    assert len({(each.model, each.since) for each in prices}) == len(prices)
    for each in prices:
        rates = each.rates
        assert date.fromisoformat(each.since) <= date.fromisoformat(each.seen)
        assert each.source.startswith("https://")
        assert not each.own
        assert 0 < rates.cache_read < rates.input < rates.cache_write < rates.cache_write_1h
        assert rates.input < rates.output <= 1_000 * MILLION
        assert 0 < each.batch_percent <= 100
        if each.long:
            assert each.long_above > 0
            assert each.long.input > rates.input


def test_a_price_that_fell_counts_from_its_day_on() -> None:
    before = in_force(shipped(), "claude-sonnet-5-5", "2026-10-06")
    after = in_force(shipped(), "claude-sonnet-5-5", "2026-10-07")
    assert before and after
    assert after.rates.cache_read < before.rates.cache_read
    assert after.rates.input == before.rates.input == 2 * MILLION
