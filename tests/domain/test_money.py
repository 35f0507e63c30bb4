"""Money: costs of tokens, bounds that hold, and amounts in words."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from app.domain import money
from app.domain.money import ModelPrice, Rates
from app.llm.base import Tokens

RATES = Rates(2_000_000, 10_000_000, 200_000, 2_500_000, 4_000_000)
PRICE = ModelPrice("m", "2026-01-01", RATES)
LONG = Rates(500_000, 2_500_000, 50_000, 625_000, 1_000_000)
BANDED = ModelPrice(
    "b", "2026-01-01", Rates(100_000, 500_000, 10_000, 125_000, 200_000), 50, 100_000, LONG
)


def test_each_kind_of_token_has_its_rate() -> None:
    tokens = Tokens(
        input=1_000, output=100, cache_read=10_000, cache_write=2_000, cache_write_1h=50
    )
    assert money.cost(tokens, PRICE) == 2_000 + 1_000 + 2_000 + 5_000 + 200
    assert money.cost(tokens, PRICE, batched=True) == 5_100


def test_costs_are_rounded_up_so_that_many_are_never_less_than_is_billed() -> None:
    cheap = ModelPrice("c", "2026-01-01", Rates(1, 1, 1, 1, 1))
    assert money.cost(Tokens(input=1), cheap) == 1
    assert money.cost(Tokens(), cheap) == 0


def test_a_long_prompt_costs_more_for_all_its_tokens() -> None:
    short, long = (
        Tokens(input=50_000, cache_read=50_000, output=10),
        Tokens(input=100_001, output=10),
    )
    assert money.cost(short, BANDED) == 5_000 + 500 + 5
    assert money.cost(long, BANDED) == -(-100_001 * 5 // 10) + 25


@pytest.mark.parametrize("price", [PRICE, BANDED])
@pytest.mark.parametrize("batched", [False, True])
def test_no_call_within_its_bounds_costs_more_than_its_worst_case(
    price: ModelPrice, batched: bool
) -> None:
    chosen = random.Random(5)
    for _ in range(500):
        prompt, reply = chosen.randrange(200_000), chosen.randrange(40_000)
        cut = sorted(chosen.randrange(prompt + 1) for _ in range(2))
        used = Tokens(
            input=cut[0],
            cache_read=cut[1] - cut[0],
            cache_write=prompt - cut[1],
            output=chosen.randrange(reply + 1),
        )
        worst = money.worst_cost(prompt, reply, price, batched=batched)
        assert money.cost(used, price, batched=batched) <= worst


def test_a_text_has_no_more_tokens_than_bytes() -> None:
    assert money.most_tokens("abc", "ß", "") == 5 + money.AROUND
    assert money.most_tokens("\ud800") == 3 + money.AROUND  # half a sign breaks nothing


def test_the_newest_price_that_began_counts_and_of_two_the_readers_own() -> None:
    later = ModelPrice("m", "2026-05-01", RATES)
    mine = ModelPrice("m", "2026-05-01", RATES, own=True)
    other = ModelPrice("n", "2026-06-01", RATES)
    prices = [PRICE, mine, later, other]
    assert money.in_force(prices, "m", "2026-04-30") is PRICE
    assert money.in_force(prices, "m", "2026-05-01") is mine
    assert money.in_force(prices, "m", "2025-12-31") is None
    assert money.in_force(prices, "M", "2026-05-01") is None


@pytest.mark.parametrize(
    ("typed", "amount"),
    [
        ("0", 0),
        ("0.1", 100_000),
        ("$2.50", 2_500_000),
        (" $ 3 ", 3_000_000),
        (".000001", 1),
        ("1000000", 1_000_000_000_000),
        ("1000000.01", None),
        ("-1", None),
        ("1e3", None),
        ("0.0000001", None),
        ("0,5", None),
        ("١", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("9" * 5_000, None),
    ],
)
def test_amounts_as_they_are_typed(typed: str, amount: int | None) -> None:
    assert money.parsed(typed) == amount


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (None, "cost unknown"),
        (0, "$0"),
        (1, "under $0.0001"),
        (49, "under $0.0001"),
        (50, "$0.0001"),
        (12_345, "$0.0123"),
        (120_000, "$0.12"),
        (123_000, "$0.123"),
        (999_949, "$0.9999"),
        (999_950, "$1.00"),
        (1_234_567_890, "$1,234.57"),
    ],
)
def test_amounts_in_words(amount: int | None, words: str) -> None:
    assert money.dollars(amount) == words


def test_amounts_come_back_as_they_were_kept() -> None:
    for amount in (0, 1, 100_000, 12_345, 5_000_000, 123_456_789):
        assert money.parsed(money.exact(amount)) == amount
    assert money.exact(100_000) == "0.10"
    assert money.of_dollars(Decimal("0.1")) == 100_000


def test_a_month_has_all_its_days() -> None:
    assert money.month_of("2028-02-10") == ("2028-02-01", "2028-02-29")
    assert money.month_of("2026-12-31") == ("2026-12-01", "2026-12-31")
