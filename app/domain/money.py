"""Money: what tokens cost, the most a call can cost, budgets, and amounts in words.

Money is whole millionths of a US dollar everywhere; a price is millionths of a dollar for a million
tokens. Costs are rounded up, so that a sum of them is never less than what is billed. What is not
known is None, which is not nothing.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

MILLION = 1_000_000
MOST = 1_000_000 * MILLION  # no budget and no price is larger: a million dollars


class Counted(Protocol):
    """Tokens of a call by kind, as they are billed (`app.llm.base.Tokens`)."""

    @property
    def input(self) -> int: ...
    @property
    def output(self) -> int: ...
    @property
    def cache_read(self) -> int: ...
    @property
    def cache_write(self) -> int: ...
    @property
    def cache_write_1h(self) -> int: ...


@dataclass(frozen=True)
class Rates:
    """Millionths of a dollar for a million tokens of each kind."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int


@dataclass(frozen=True)
class ModelPrice:
    """What a model costs from a day on (ISO). `batch_percent` of it in a Message Batch.

    Some models cost more when the prompt is long: above `long_above` tokens all tokens of the call,
    of the reply too, cost `long`. `own`: the reader entered it; else it came with the program, from
    `source`, as it was on the day `seen`.
    """

    model: str
    since: str
    rates: Rates
    batch_percent: int = 50
    long_above: int = 0
    long: Rates | None = None
    own: bool = False
    source: str = ""
    seen: str = ""

    def rates_for(self, prompt_tokens: int) -> Rates:
        """The rates of a call whose prompt, cached or not, has so many tokens."""
        return self.long if self.long and prompt_tokens > self.long_above else self.rates


@dataclass(frozen=True)
class LLMSettings:
    """What is in force for calls of the model. "" is no model; budgets in millionths.

    `daily` 0: no spending. `monthly` None: none beside the daily one. `batches`: what is not asked
    for now goes through Message Batches. `papers`: the most that a day's listing gives the model.
    `prose`: it writes the day's digest; `edits`: it proposes texts for pages of papers and concepts.
    """

    model: str = ""
    daily: int = 0
    monthly: int | None = None
    batches: bool = True
    papers: int = 200
    second_look: bool = False
    prose: bool = True
    edits: bool = False


def in_force(prices: Iterable[ModelPrice], model: str, day: str) -> ModelPrice | None:
    """The price of a model on a day: the newest that began, of two the reader's own. None: unknown."""
    began = [each for each in prices if each.model == model and each.since <= day]
    return max(began, key=lambda each: (each.since, each.own), default=None)


def cost(tokens: Counted, price: ModelPrice, *, batched: bool = False) -> int:
    """What these tokens cost, rounded up."""
    kept = tokens.cache_read + tokens.cache_write + tokens.cache_write_1h
    rates = price.rates_for(tokens.input + kept)
    return _rounded(
        tokens.input * rates.input
        + tokens.output * rates.output
        + tokens.cache_read * rates.cache_read
        + tokens.cache_write * rates.cache_write
        + tokens.cache_write_1h * rates.cache_write_1h,
        price.batch_percent if batched else 100,
    )


def worst_cost(
    input_tokens: int, output_tokens: int, price: ModelPrice, *, batched: bool = False
) -> int:
    """The most that a call of at most so many tokens can cost.

    Every token of the prompt counts as the dearest kind that a call of ours can have (nothing is
    asked to be cached for an hour), at the rates of whichever length of prompt costs more.
    """
    bands = [price.rates]
    if price.long and input_tokens > price.long_above:
        bands.append(price.long)
    dearest = max(
        input_tokens * max(band.input, band.cache_read, band.cache_write)
        + output_tokens * band.output
        for band in bands
    )
    return _rounded(dearest, price.batch_percent if batched else 100)


def _rounded(amount: int, percent: int) -> int:
    return -(-amount * percent // (100 * MILLION))


AROUND = 2_000  # tokens that a service may add to a request: roles, the wish for JSON


def most_tokens(*texts: str) -> int:
    """More tokens than these texts can be: no token is shorter than a byte, and some are added."""
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) + AROUND


def likely_tokens(*texts: str) -> int:
    """About how many tokens these texts are: some four bytes of English each."""
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) // 4


# ---------------------------------------------------------------- days


def month_of(day: str) -> tuple[str, str]:
    """The first and last day of the month of an ISO day."""
    parsed = date.fromisoformat(day)
    last = parsed.replace(day=monthrange(parsed.year, parsed.month)[1])
    return parsed.replace(day=1).isoformat(), last.isoformat()


# ---------------------------------------------------------------- in words and from words

_AMOUNT = re.compile(r"\$?\s*([0-9]{1,7}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})")


def parsed(text: str) -> int | None:
    """Dollars as somebody types them ("0.5", "$12") in millionths; None for what is no amount."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        return None
    amount = of_dollars(Decimal(found[1]))
    return amount if amount <= MOST else None


def of_dollars(amount: Decimal) -> int:
    """Dollars in millionths; what is less than a millionth is left out, never added."""
    return int(amount * MILLION)


def in_dollars(amount: int) -> Decimal:
    """Millionths as dollars, exactly."""
    return Decimal(amount) / MILLION


def exact(amount: int) -> str:
    """An amount with all its digits, and cents at least: 100000 -> "0.10", 12345 -> "0.012345"."""
    whole, rest = divmod(amount, MILLION)
    digits = f"{rest:06}".rstrip("0")
    return f"{whole}.{digits:0<2}"


def dollars(amount: int | None) -> str:
    """An amount as a screen says it: "$12.34", "$0.0123", "$0"; None is "cost unknown".

    Below a dollar with four digits, above in cents, rounded; what is there is never shown as nothing.
    """
    if amount is None:
        return "cost unknown"
    if amount == 0:
        return "$0"
    if amount < 50:
        return "under $0.0001"
    if amount < MILLION - 50:
        digits = f"{(amount + 50) // 100:04}"
        return f"$0.{digits[:2]}{digits[2:].rstrip('0')}"
    return f"${in_dollars(amount):,.2f}"
