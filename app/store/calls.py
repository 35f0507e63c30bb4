"""Calls of models as they were made: what they used, what they cost, what is held for those under way.

A call counts against its day with its cost; with what was reserved for it while the cost is not known.
One that was released counts with nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.records import BatchState, CallState, ModelBatch, ModelCall
from app.store.db import LARGEST_ID, rows

FIRST_DAY, LAST_DAY = "", "9999-12-31"
KINDS = ("input", "output", "cache_read", "cache_write", "cache_write_1h")


@dataclass(frozen=True)
class Sum:
    """Calls together: money in millionths, tokens by kind in the order of `KINDS`.

    `cost` is what is known. Beside it stand `unknown` calls whose cost nobody knows and `unfinished`
    ones, with what is `held` for both; `calls` counts them too, but none that was released.
    """

    calls: int = 0
    cost: int = 0
    unknown: int = 0
    unfinished: int = 0
    held: int = 0
    tokens: tuple[int, ...] = (0, 0, 0, 0, 0)
    papers: int = 0

    @property
    def counts(self) -> int:
        """What it counts against a budget."""
        return self.cost + self.held

    @property
    def input_tokens(self) -> int:
        """Tokens of prompts, those that a cache had or took too."""
        return sum(self.tokens) - self.output_tokens

    @property
    def output_tokens(self) -> int:
        return self.tokens[KINDS.index("output")]

    def __add__(self, other: Sum) -> Sum:
        return Sum(
            self.calls + other.calls,
            self.cost + other.cost,
            self.unknown + other.unknown,
            self.unfinished + other.unfinished,
            self.held + other.held,
            tuple(a + b for a, b in zip(self.tokens, other.tokens, strict=True)),
            self.papers + other.papers,
        )


@dataclass(frozen=True)
class Spent:
    """What one model was used for one purpose."""

    purpose: str
    model: str
    sum: Sum


_STATE, _COST, _RESERVED = col(ModelCall.state), col(ModelCall.cost), col(ModelCall.reserved)
_DAY = col(ModelCall.day)
_BOOKED, _UNDER_WAY = _STATE == CallState.BOOKED, _STATE == CallState.RESERVED
_COUNTS = _STATE != CallState.RELEASED
_KNOWN = _BOOKED & _COST.is_not(None)
_HELD = sa.case((_KNOWN, 0), (_COUNTS, sa.func.coalesce(_RESERVED, 0)), else_=0)


def _add(value: Any) -> Any:
    # PostgreSQL adds whole numbers up to a number with fractions.
    return sa.cast(sa.func.coalesce(sa.func.sum(value), 0), sa.BigInteger)


_MONEY = (
    _add(sa.case((_COUNTS, 1), else_=0)),
    _add(sa.case((_KNOWN, _COST), else_=0)),
    _add(sa.case((_BOOKED & _COST.is_(None), 1), else_=0)),
    _add(sa.case((_UNDER_WAY, 1), else_=0)),
    _add(_HELD),
)
_BETWEEN = _DAY.between(sa.bindparam("first"), sa.bindparam("last"))


def counted(session: Session, first: str, last: str) -> int:
    """What counts against the budget of these days, from `first` to `last` (ISO)."""
    statement = sa.select(_add(sa.case((_KNOWN, _COST), else_=_HELD))).where(_BETWEEN)
    found: int = (
        session.connection().execute(statement, {"first": first, "last": last}).scalar_one()
    )
    return found


def since(session: Session, began: datetime, ended: datetime | None = None) -> Sum:
    """What was called from one moment on, or up to another: money, no tokens, no papers."""
    at = col(ModelCall.at)
    # Days are of the reader, moments are not: a day before and after is enough, and has an index.
    first = (began - timedelta(days=1)).date().isoformat()
    last = (ended + timedelta(days=1)).date().isoformat() if ended else LAST_DAY
    statement = sa.select(*_MONEY).where(_BETWEEN, at >= began)
    if ended is not None:
        statement = statement.where(at <= ended)
    [money] = rows(session, statement, first=first, last=last)
    return Sum(*money)


def by_day(session: Session, first: str = FIRST_DAY, last: str = LAST_DAY) -> dict[str, Sum]:
    """The days between two on which there were calls, each with its money; no tokens, no papers."""
    statement = sa.select(_DAY, *_MONEY).where(_BETWEEN).group_by(_DAY).order_by(_DAY)
    found = rows(session, statement, first=first, last=last)
    return {day: Sum(*money) for day, *money in found}


# By state, and known or not: plain sums of columns are twice as fast as sums of cases.
_BY_USE = (
    sa.select(
        col(ModelCall.purpose),
        col(ModelCall.model),
        _STATE,
        _COST.is_(None),
        sa.func.count(),
        *(
            _add(getattr(ModelCall, name))
            for name in ("cost", "reserved", *(f"{kind}_tokens" for kind in KINDS), "papers")
        ),
    )
    .where(_COUNTS)
    .group_by(col(ModelCall.purpose), col(ModelCall.model), _STATE, _COST.is_(None))
)


def by_use(session: Session, first: str = FIRST_DAY, last: str = LAST_DAY) -> list[Spent]:
    """What was spent between two days, by purpose and model, in the order of their names."""
    return _uses(rows(session, _BY_USE.where(_BETWEEN), first=first, last=last))


def of_listing(session: Session, day: str) -> list[Spent]:
    """What the calls about the listing of a day used and cost, whenever they were made."""
    return _uses(rows(session, _BY_USE.where(col(ModelCall.about) == sa.bindparam("day")), day=day))


def of_listings(session: Session, first: str, last: str) -> dict[str, list[Spent]]:
    """The same for every day from `first` to `last` whose listing a call was about."""
    about = col(ModelCall.about)
    statement = _BY_USE.add_columns(about).group_by(about)
    days: dict[str, list[Any]] = {}
    between = about.between(sa.bindparam("first"), sa.bindparam("last"))
    for *use, day in rows(session, statement.where(between), first=first, last=last):
        days.setdefault(day, []).append(use)
    return {day: _uses(uses) for day, uses in days.items()}


def _uses(found: Sequence[Any]) -> list[Spent]:
    uses: dict[tuple[str, str], Sum] = {}
    for purpose, model, state, nobody_knows, count, cost, reserved, *tokens, papers in found:
        under_way = state == CallState.RESERVED
        known = not under_way and not nobody_knows
        part = Sum(
            calls=count,
            cost=cost if known else 0,
            unknown=0 if known or under_way else count,
            unfinished=count if under_way else 0,
            held=0 if known else reserved,
            tokens=tuple(tokens),
            papers=papers,
        )
        uses[purpose, model] = uses.get((purpose, model), Sum()) + part
    return [Spent(*use, uses[use]) for use in sorted(uses)]


def newest(session: Session, *, limit: int, before: int = 0) -> list[ModelCall]:
    """The last calls, newest first; with `before`, those made before the call of that id."""
    statement = (
        sa.select(ModelCall)
        .where(col(ModelCall.id) < (before or LARGEST_ID))
        .order_by(col(ModelCall.id).desc())
        .limit(limit)
    )
    return list(session.execute(statement).scalars())


def insert(session: Session, call: ModelCall) -> int:
    """Keep a call; its id."""
    session.add(call)
    session.flush()
    assert call.id is not None
    return call.id


def unfinished(session: Session, call_id: int) -> ModelCall | None:
    """A call that is still under way, as it stands now; None when it was settled, or there is none."""
    found = session.get(ModelCall, call_id, populate_existing=True)
    return found if found is not None and found.state == CallState.RESERVED else None


def settle_abandoned(session: Session, *, before: datetime, now: datetime, outcome: str) -> int:
    """Book calls begun earlier than `before` that nobody will finish, at what was reserved; how many.

    A call of a Message Batch that is under way is none of them, however long it takes.
    """
    awaited = sa.select(col(ModelBatch.call_id)).where(
        col(ModelBatch.state).in_([BatchState.PREPARED, BatchState.SENT])
    )
    done = session.connection().execute(
        sa.update(ModelCall)
        .where(_UNDER_WAY, col(ModelCall.at) < before, col(ModelCall.id).not_in(awaited))
        .values(state=CallState.BOOKED, cost=_RESERVED, outcome=outcome, ended_at=now)
    )
    return done.rowcount


def cost_unknown(session: Session, model: str) -> list[ModelCall]:
    """Calls of a model that were made and whose cost nobody knows."""
    statement = sa.select(ModelCall).where(_BOOKED, _COST.is_(None), col(ModelCall.model) == model)
    return list(session.execute(statement).scalars())


_REPLIES = (
    sa.select(col(ModelCall.output_tokens), col(ModelCall.papers))
    .where(
        _BOOKED,
        col(ModelCall.purpose) == sa.bindparam("purpose"),
        col(ModelCall.model) == sa.bindparam("model"),
        col(ModelCall.papers) > 0,
        col(ModelCall.output_tokens) > 0,
    )
    .order_by(col(ModelCall.id).desc())
    .limit(50)
)


def reply_tokens_a_paper(session: Session, purpose: str, model: str) -> float | None:
    """How long a model's replies were lately, in tokens a paper; None when there were none."""
    found = rows(session, _REPLIES, purpose=purpose, model=model)
    papers = sum(row.papers for row in found)
    return sum(row.output_tokens for row in found) / papers if papers else None
