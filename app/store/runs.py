"""Runs, attempts and leases: what the worker did, what failed, and who may work now."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.records import Attempt, Done, Lease, Run, RunState
from app.errors import NotFound
from app.store.db import LARGEST_ID

PARK_AFTER = 5
_LOG_LINES = 200


def start(session: Session, trigger: str, *, now: datetime) -> Run:
    run = Run(trigger=trigger, state=RunState.RUNNING, started_at=now)
    session.add(run)
    session.flush()
    return run


def note(session: Session, run_id: int, *, step: str, done: int, failed: int, line: str) -> None:
    """Add to a run's step counts and, with `line`, to its log (the newest 200 lines are kept)."""
    run = session.get(Run, run_id)
    if run is None:
        return
    steps = {entry["name"]: dict(entry) for entry in run.steps}
    entry = steps.setdefault(step, {"name": step, "done": 0, "failed": 0})
    entry["done"] += done
    entry["failed"] += failed
    run.steps = list(steps.values())
    if line:
        run.log = "\n".join([*run.log.splitlines(), line][-_LOG_LINES:])
    session.add(run)


def finish(session: Session, run_id: int, state: RunState, *, now: datetime) -> None:
    run = session.get(Run, run_id)
    if run is not None:
        run.state, run.ended_at = state, now
        session.add(run)


def get(session: Session, run_id: int) -> Run:
    found = session.get(Run, run_id) if 0 < run_id <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"There is no job {run_id}.")
    return found


def recent(session: Session, *, limit: int = 50) -> list[Run]:
    return list(session.exec(select(Run).order_by(col(Run.id).desc()).limit(limit)))


def abandon_others(session: Session, *, now: datetime) -> None:
    """Runs that a killed worker left open are over; their work is taken up again by state."""
    session.connection().execute(
        sa.update(Run)
        .where(col(Run.state) == RunState.RUNNING)
        .values(state=RunState.FAILED, ended_at=now)
    )


# ---------------------------------------------------------------- rows that fail


def blocked(session: Session, step: str, *, now: datetime) -> sa.Select[Any]:
    """Subjects of a step that are parked or not to be tried yet, as a subquery."""
    return sa.select(col(Attempt.subject_id)).where(
        col(Attempt.step) == step, col(Attempt.parked) | (col(Attempt.next_try_at) > now)
    )


def failed(session: Session, step: str, subject_id: int, error: str, *, now: datetime) -> None:
    """Count a failure: tried again after 1, 2, 4 … minutes, parked after the fifth."""
    row = session.get(Attempt, (step, subject_id)) or Attempt(
        step=step, subject_id=subject_id, next_try_at=now
    )
    row.attempts += 1
    row.last_error = error[:500]
    row.next_try_at = now + timedelta(minutes=2 ** (row.attempts - 1))
    row.parked = row.attempts >= PARK_AFTER
    session.add(row)


def done(session: Session, step: str, seen: dict[int, str]) -> None:
    """Note the state in which a step saw each subject; earlier failures are forgotten."""
    for subject_id, state in seen.items():
        session.merge(Done(step=step, subject_id=subject_id, seen=state))
    forget(session, step, seen)


def forget(session: Session, step: str, subjects: Collection[int]) -> None:
    for chunk in _chunks(sorted(subjects), 500):
        session.connection().execute(
            sa.delete(Attempt).where(col(Attempt.step) == step, col(Attempt.subject_id).in_(chunk))
        )


def _chunks(values: list[int], size: int) -> list[list[int]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


# ---------------------------------------------------------------- who may work


def claim(session: Session, name: str, owner: str, *, clock: float, seconds: float) -> bool:
    """Take or renew a lease; False while another owner's has not run out.

    `clock` is the real time in seconds: a lease must run out whatever CEREBRO_NOW says.
    """
    lease = session.get(Lease, name)
    if lease is not None and lease.owner != owner and lease.until > clock:
        return False
    session.merge(Lease(name=name, owner=owner, until=clock + seconds))
    return True


def release(session: Session, name: str, owner: str) -> None:
    session.connection().execute(
        sa.delete(Lease).where(col(Lease.name) == name, col(Lease.owner) == owner)
    )


def in_words(run: Run) -> str:
    """What the newest job is doing, or that it failed, in a line; "" when all is well."""
    if run.state == RunState.FAILED:
        return "The last job failed"
    if run.state != RunState.RUNNING:
        return ""
    parts = [f"{step['name']} {step['done']:,}" for step in run.steps if step["done"]]
    return "Working: " + ", ".join(parts) if parts else "Working"
