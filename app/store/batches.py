"""Message Batches as they stand with us: prepared, sent, collected, failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.records import BatchState, ModelBatch

SOONEST, LATEST = timedelta(minutes=1), timedelta(hours=1)
GIVEN_UP = timedelta(hours=26)  # a service ends a batch within a day; after that nobody waits
KEPT = timedelta(days=28)  # a service keeps the results of one about as long
LOST = timedelta(minutes=30)  # after which one that was never said to be sent is not about to be
_OPEN = (BatchState.PREPARED, BatchState.SENT)


def prepare(
    session: Session,
    *,
    call_id: int,
    purpose: str,
    about: str,
    model: str,
    prompt: str,
    requests: Sequence[dict[str, Any]],
    now: datetime,
) -> ModelBatch:
    """Write down a batch before it is sent: `requests` are {id, papers}."""
    batch = ModelBatch(
        call_id=call_id,
        purpose=purpose,
        about=about,
        model=model,
        prompt=prompt,
        state=BatchState.PREPARED,
        requests=list(requests),
        created_at=now,
        next_look_at=now + SOONEST,
    )
    session.add(batch)
    session.flush()
    return batch


def of_call(session: Session, call_id: int) -> ModelBatch | None:
    return session.exec(select(ModelBatch).where(ModelBatch.call_id == call_id)).first()


def sent(session: Session, batch: ModelBatch, provider_id: str, *, now: datetime) -> None:
    """The service took it, and calls it this."""
    batch.provider_id, batch.state = provider_id, BatchState.SENT
    batch.next_look_at = now + SOONEST
    session.add(batch)
    session.flush()


def ended(
    session: Session, batch: ModelBatch, state: BatchState, why: str, *, now: datetime
) -> None:
    """It was collected, or gives nothing."""
    batch.state, batch.error, batch.ended_at = state, why[:500], now
    session.add(batch)
    session.flush()


def look_later(
    session: Session, batch: ModelBatch, *, now: datetime, wait: float | None, why: str = ""
) -> None:
    """Look again when it is half as old again, after a minute at least and an hour at most."""
    pause = min(max((now - batch.created_at) / 2, SOONEST), LATEST)
    batch.next_look_at = now + max(pause, timedelta(seconds=min(wait or 0, 3600)))
    batch.error = why[:500]
    session.add(batch)
    session.flush()


def opened(session: Session, *, about: str = "") -> list[ModelBatch]:
    """Those under way, of one day or of all, oldest first."""
    statement = select(ModelBatch).where(col(ModelBatch.state).in_(_OPEN))
    if about:
        statement = statement.where(ModelBatch.about == about)
    return list(session.exec(statement.order_by(col(ModelBatch.id))))


def due(session: Session, *, now: datetime) -> list[ModelBatch]:
    """Those to look at now: sent ones whose time has come, and prepared ones that were never sent."""
    return [
        batch
        for batch in opened(session)
        if batch.next_look_at <= now
        and (batch.state == BatchState.SENT or now - batch.created_at >= LOST)
    ]


def papers_under_way(session: Session) -> set[int]:
    """Ids of papers that a batch under way is about."""
    return {
        int(paper)
        for batch in opened(session)
        for request in batch.requests
        for paper in request.get("papers", ())
    }


def of_day(session: Session, day: str) -> list[Any]:
    """Rows (state, model, created_at, ended_at, error, requests) of a day's batches, newest first."""
    return list(
        session.connection().execute(
            sa.select(
                col(ModelBatch.state),
                col(ModelBatch.model),
                col(ModelBatch.created_at),
                col(ModelBatch.ended_at),
                col(ModelBatch.error),
                col(ModelBatch.requests),
            )
            .where(col(ModelBatch.about) == day)
            .order_by(col(ModelBatch.id).desc())
            .limit(5)
        )
    )
