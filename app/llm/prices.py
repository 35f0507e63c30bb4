"""The prices that came with the program: dated, each with where it was read.

`prices.json` is a list of {model, since, input, output, cache_read, cache_write, cache_write_1h,
batch_percent, seen, source} in US dollars for a million tokens, as text; with `long` ({above, and
the five rates}) where a long prompt costs more.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from app.domain.money import ModelPrice, Rates, of_dollars

PATH = Path(__file__).with_name("prices.json")


@cache
def shipped() -> tuple[ModelPrice, ...]:
    """Every price in the file, in its order."""
    return tuple(_price(row) for row in json.loads(PATH.read_text("utf-8")))


def _price(row: dict[str, Any]) -> ModelPrice:
    long = row.get("long")
    return ModelPrice(
        model=row["model"],
        since=row["since"],
        rates=_rates(row),
        batch_percent=row["batch_percent"],
        long_above=long["above"] if long else 0,
        long=_rates(long) if long else None,
        source=row["source"],
        seen=row["seen"],
    )


def _rates(row: dict[str, Any]) -> Rates:
    return Rates(**{name: of_dollars(Decimal(row[name])) for name in Rates.__dataclass_fields__})
