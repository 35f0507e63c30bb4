"""Prices of models that the reader entered; those that came with the program are in `app.llm`."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.money import ModelPrice, Rates
from app.domain.records import Price
from app.errors import NotFound
from app.store.db import rows

_OWN = sa.select(
    *(
        getattr(Price, name).label(name)
        for name in ("model", "since", *Rates.__dataclass_fields__, "batch_percent")
    )
).order_by(col(Price.model), col(Price.since))


def own(session: Session) -> tuple[ModelPrice, ...]:
    """Every price that the reader entered, by model and day."""
    return tuple(
        ModelPrice(
            model=row.model,
            since=row.since,
            rates=Rates(*(getattr(row, name) for name in Rates.__dataclass_fields__)),
            batch_percent=row.batch_percent,
            own=True,
        )
        for row in rows(session, _OWN)
    )


def put(session: Session, price: ModelPrice) -> None:
    """Keep a price in place of the reader's own of that model and day, if there is one."""
    session.merge(
        Price(
            model=price.model,
            since=price.since,
            batch_percent=price.batch_percent,
            **asdict(price.rates),
        )
    )
    session.flush()


def remove(session: Session, model: str, since: str) -> None:
    """Forget a price of the reader's own. Raises NotFound."""
    found = session.get(Price, (model, since))
    if found is None:
        raise NotFound("You entered no such price. Only your own can be removed.")
    session.delete(found)
    session.flush()
