"""Costs: what was spent against the budgets, prices, and what the reader chose for the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from sqlmodel import Session

from app.domain import money
from app.domain.money import LLMSettings, ModelPrice, Rates
from app.errors import Invalid
from app.llm.base import Tokens
from app.llm.prices import shipped
from app.store import calls, preferences, prices
from app.store.calls import Spent, Sum

DEAREST = 10_000 * money.MILLION  # for a million tokens: beyond it somebody mistook the unit
MOST_PAPERS = 5_000
LONGEST_MODEL = 100


# ---------------------------------------------------------------- prices


def all_prices(session: Session) -> tuple[ModelPrice, ...]:
    """Prices that came with the program and those the reader entered."""
    return (*shipped(), *prices.own(session))


def price_on(session: Session, model: str, day: str) -> ModelPrice | None:
    """What a model costs on a day (ISO); None when nobody said."""
    return money.in_force(all_prices(session), model, day)


_RATES = ("input", "output", "cache_read", "cache_write")
_WORDS = {
    "input": "Input",
    "output": "Output",
    "cache_read": "Cache read",
    "cache_write": "Cache write",
}


def save_price(session: Session, fields: Mapping[str, str]) -> ModelPrice:
    """Enter a price, or put it in place of the reader's own of that model and day.

    `fields`: model, since (ISO day), input, output, cache_read, cache_write in dollars for a million
    tokens, batch_percent. An empty cache_read costs as input, an empty cache_write a quarter more.
    Costs that were not known for want of this price are worked out. Raises Invalid with a sentence
    for each field that does not do.
    """
    given = {name: fields.get(name, "").strip() for name in ("model", "since", *_RATES)}
    wrong: dict[str, str] = {}
    if problem := _wrong_model(given["model"]) or ("" if given["model"] else "Name a model."):
        wrong["model"] = problem
    try:
        given["since"] = date.fromisoformat(given["since"]).isoformat()
    except ValueError:
        wrong["since"] = "Use a day such as 2026-11-28."
    rates: dict[str, int] = {}
    for name in _RATES:
        if not given[name] and name.startswith("cache"):
            input_rate = rates.get("input", 0)  # without one nothing is kept
            rates[name] = input_rate if name == "cache_read" else input_rate * 5 // 4
            continue
        amount = money.parsed(given[name])
        if amount is None or amount > DEAREST:
            wrong[name] = (
                f"{_WORDS[name]}: use dollars for a million tokens, from 0 to 10,000, such as 2.50."
            )
        else:
            rates[name] = amount
    percent = fields.get("batch_percent", "").strip() or "50"
    if not (percent.isascii() and percent.isdigit() and len(percent) < 4 and int(percent) <= 100):
        wrong["batch_percent"] = "Batch: use a whole percentage from 0 to 100, such as 50."
    if wrong:
        raise Invalid(" ".join(wrong.values()), fields=wrong)
    price = ModelPrice(
        given["model"],
        given["since"],
        Rates(**rates, cache_write_1h=max(2 * rates["input"], rates["cache_write"])),
        int(percent),
        own=True,
    )
    prices.put(session, price)
    _work_out(session, price.model)
    return price


def remove_price(session: Session, model: str, since: str) -> None:
    """Take a price of the reader's own away; what was booked by it stays. Raises NotFound."""
    prices.remove(session, model, since)


def _work_out(session: Session, model: str) -> None:
    """Costs of a model's calls that were not known when they were made."""
    known = all_prices(session)
    for call in calls.cost_unknown(session, model):
        tokens = Tokens(*(getattr(call, f"{kind}_tokens") for kind in calls.KINDS))
        price = money.in_force(known, model, call.day)
        if price is not None and tokens != Tokens():
            call.cost = money.cost(tokens, price, batched=call.batched)
            session.add(call)
    session.flush()


def _wrong_model(model: str) -> str:
    if len(model) > LONGEST_MODEL or not model.isprintable() or " " in model:
        return f"Use the id of a model as its service has it: no blanks, at most {LONGEST_MODEL} signs."
    return ""


# ---------------------------------------------------------------- what the reader chooses


def save_llm(session: Session, fields: Mapping[str, str], *, fixed: frozenset[str]) -> None:
    """Keep what was chosen for the model; it is in force from the next call on, in every process.

    `fields`: model, daily, monthly, papers as typed; batches, second_look, prose and edits "on" or nothing. What
    is `fixed` (the names of `LLMSettings`) is left as it is. Raises Invalid with a sentence a field.
    """
    wrong: dict[str, str] = {}
    given = {
        name: fields.get(name, "").strip()
        for name in ("model", "daily", "monthly", "papers")
        if name not in fixed
    }
    if problem := _wrong_model(given.get("model", "")):
        wrong["model"] = problem
    kept: dict[str, str | None] = {}
    if "model" in given:
        kept["llm_model"] = given["model"] or None
    for name, empty in (("daily", "0 for no spending"), ("monthly", "nothing for none")):
        if name not in given:
            continue
        amount = money.parsed(given[name]) if given[name] else None
        if given[name] and amount is None:
            wrong[name] = (
                f"{'A day' if name == 'daily' else 'A month'}: use dollars up to a million, "
                f"such as 0.50; {empty}."
            )
        kept[f"llm_{name}_budget"] = None if amount is None else money.exact(amount)
    papers = given["papers"] or str(LLMSettings.papers)
    if not (papers.isascii() and papers.isdigit() and 1 <= int(papers[:9]) <= MOST_PAPERS):
        wrong["papers"] = f"Papers a day: use a whole number from 1 to {MOST_PAPERS:,}."
    if wrong:
        raise Invalid(" ".join(wrong.values()), fields=wrong)
    kept["llm_papers"] = str(int(papers))
    kept["llm_batches"] = "on" if fields.get("batches") == "on" else "off"
    for name in ("second_look", "prose", "edits"):
        kept[f"llm_{name}"] = "on" if fields.get(name) == "on" else "off"
    preferences.set_llm(session, kept)


# ---------------------------------------------------------------- what was spent


@dataclass(frozen=True)
class Spending:
    """What was spent, as of a day. `days` has every day on which there were calls."""

    day: str
    today: Sum
    month: Sum
    all: Sum
    days: dict[str, Sum]

    def last_days(self, number: int) -> list[tuple[str, Sum]]:
        """So many days up to today, oldest first, those without calls too."""
        end = date.fromisoformat(self.day)
        named = [(end - timedelta(days=back)).isoformat() for back in range(number)]
        return [(day, self.days.get(day, Sum())) for day in reversed(named)]


def spending(session: Session, day: str) -> Spending:
    """Sums of that day, of its month and of all time."""
    days = calls.by_day(session)
    first, last = money.month_of(day)
    return Spending(
        day,
        days.get(day, Sum()),
        sum((each for when, each in days.items() if first <= when <= last), Sum()),
        sum(days.values(), Sum()),
        days,
    )


def in_words(session: Session, day: str) -> str:
    """One line for the navigation: what today and the month cost so far; "" for no calls."""
    days = calls.by_day(session, *money.month_of(day))
    month = sum(days.values(), Sum())
    if not month.calls:
        return ""
    return f"{at_most(days.get(day, Sum()))} today, {at_most(month)} this month"


def at_most(found: Sum) -> str:
    """A sum in words; what is held for calls whose cost is not known (yet) is said, not added."""
    if not found.unknown and not found.unfinished:
        return money.dollars(found.cost)
    held = money.dollars(found.held)
    return f"{money.dollars(found.cost)} and up to {held} more" if found.cost else f"up to {held}"


def told(session: Session, settings: LLMSettings, day: str) -> dict[str, object]:
    """What was spent as programs get it: dollars as numbers; what is not known is counted beside."""
    found = spending(session, day)
    first, last = money.month_of(day)
    used = calls.by_use(session)
    return {
        "day": day,
        "model": settings.model or None,
        "budget": {
            "day": _number(settings.daily),
            "month": None if settings.monthly is None else _number(settings.monthly),
        },
        "today": _sum(found.today),
        "month": _sum(found.month),
        "all": _sum(found.all),
        "month_by_use": [_use(each) for each in calls.by_use(session, first, last)],
        "all_by_use": [_use(each) for each in used],
        "prices": [_price(each) for each in prices_in_use(session, settings, used, day)],
    }


def prices_in_use(
    session: Session, settings: LLMSettings, used: Iterable[Spent], day: str
) -> list[ModelPrice | str]:
    """Prices of the model that is set, of those that were used and of those the reader priced.

    Of each the one in force on `day` and every one of the reader's own; its id alone where no price
    is known.
    """
    known = all_prices(session)
    named = {settings.model, *(each.model for each in used)} | {e.model for e in known if e.own}
    found: list[ModelPrice | str] = []
    for model in sorted(named - {""}):
        now = money.in_force(known, model, day)
        found.append(now or model)
        found += [each for each in known if each.own and each.model == model and each != now]
    return found


def _sum(found: Sum) -> dict[str, object]:
    return {
        "cost": _number(found.cost),
        "calls": found.calls,
        "cost_unknown": found.unknown,
        "unfinished": found.unfinished,
        "held": _number(found.held),
    }


def _use(each: Spent) -> dict[str, object]:
    tokens = dict(zip(calls.KINDS, each.sum.tokens, strict=True))
    return {
        "purpose": each.purpose,
        "model": each.model,
        **_sum(each.sum),
        "papers": each.sum.papers,
        "tokens": tokens,
    }


def _price(each: ModelPrice | str) -> dict[str, object]:
    if isinstance(each, str):
        return {"model": each, "known": False}
    rates = {name: _number(getattr(each.rates, name)) for name in Rates.__dataclass_fields__}
    return {
        "model": each.model,
        "known": True,
        "since": each.since,
        "origin": "yours" if each.own else "shipped",
        **rates,
        "batch_percent": each.batch_percent,
    }


def _number(amount: int) -> float:
    return float(money.in_dollars(amount))
