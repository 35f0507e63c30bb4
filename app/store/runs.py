"""Runs, attempts and holds: what workers did, what failed, and who is at what now.

A worker says that it is alive by a lease it renews; what it is at, it holds until the lease would
run out. So the rows of a worker that was killed are taken up by another within `SECONDS`, and
two workers on one wiki never do a row twice: a result is stored by whoever holds its row, alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.records import Attempt, Hold, Lease, Run, RunState
from app.errors import NotFound
from app.store import lives
from app.store.db import LARGEST_ID, must_be_writable, writing

log = logging.getLogger("cerebro.worker")

PARK_AFTER = 5
LONGEST_WAIT = timedelta(days=2)  # a next try that is later is from before the clock was put back
SECONDS = 20.0  # after which what a silent worker held is anybody's
_LOG_LINES = 200


@dataclass(frozen=True)
class Standing:
    """How a run stands, for who follows it. `lines` is how many its log ever had; `log` the newest."""

    state: RunState
    steps: list[dict[str, Any]]
    log: list[str]
    lines: int
    cancel: bool
    started_at: datetime
    ended_at: datetime | None


def standing(session: Session, run_id: int) -> Standing:
    """One short read of a run. Raises NotFound."""
    run = get(session, run_id)
    return Standing(
        state=run.state,
        steps=run.steps,
        log=run.log.split("\n") if run.log else [],
        lines=run.lines,
        cancel=run.cancel,
        started_at=run.started_at,
        ended_at=run.ended_at,
    )


def start(session: Session, trigger: str, *, owner: str = "", now: datetime) -> Run:
    run = Run(trigger=trigger, owner=owner, state=RunState.RUNNING, started_at=now)
    session.add(run)
    session.flush()
    return run


def note(
    session: Session,
    run_id: int,
    *,
    step: str,
    done: int,
    failed: int,
    line: str,
    waiting: int | None = None,
    seconds: float = 0.0,
) -> bool:
    """Add to a run's step counts and, with `line`, to its log (the newest 200 lines are kept).

    The step is the one it is at now; `waiting` rows of it are left, when that is known. Whether the
    reader asked for the end of the run.
    """
    run = session.get(Run, run_id)
    if run is None:
        return False
    steps = {entry["name"]: {**entry, "now": False} for entry in run.steps}
    entry = steps.setdefault(step, {"name": step, "done": 0, "failed": 0})
    entry["done"] += done
    entry["failed"] += failed
    entry["seconds"] = entry.get("seconds", 0.0) + seconds
    entry["now"] = True
    if waiting is not None:
        entry["waiting"] = waiting
    run.steps = list(steps.values())
    if line:
        # One row each: what a page or a service said may have several.
        run.log = "\n".join([*run.log.split("\n"), " ".join(line.split())][-_LOG_LINES:]).lstrip(
            "\n"
        )
        run.lines += 1
    session.add(run)
    return run.cancel


def finish(session: Session, run_id: int, state: RunState, *, now: datetime) -> None:
    run = session.get(Run, run_id)
    if run is not None:
        run.state, run.ended_at = state, now
        run.steps = [{**entry, "now": False} for entry in run.steps]
        session.add(run)


def cancel(session: Session, run_id: int) -> Run:
    """Ask for the end of a run: its worker looks between two batches. One that is over stays as it is.

    Raises NotFound.
    """
    run = get(session, run_id)
    if run.state == RunState.RUNNING:
        run.cancel = True
        session.add(run)
    return run


def go_on(session: Session) -> None:
    """Let workers that rest after a cancelled run begin again."""
    resting = sa.select(col(Run.id)).where(
        col(Run.state) == RunState.CANCELLED, col(Run.cancel).is_(True)
    )
    if found := session.connection().execute(resting).scalars().all():
        session.connection().execute(
            sa.update(Run).where(col(Run.id).in_(found)).values(cancel=False)
        )


def rests(session: Session, run_id: int) -> bool:
    """Whether nobody asked yet that work go on after this run was cancelled."""
    found = sa.select(col(Run.cancel)).where(col(Run.id) == run_id)
    return bool(session.connection().execute(found).scalar())


def get(session: Session, run_id: int) -> Run:
    found = session.get(Run, run_id) if 0 < run_id <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"There is no job {run_id}.")
    return found


def recent(session: Session, *, limit: int = 50) -> list[Run]:
    return list(session.exec(select(Run).order_by(col(Run.id).desc()).limit(limit)))


def abandon(session: Session, *, clock: float, now: datetime) -> None:
    """Runs of workers that are no more are over; their work is taken up again by state."""
    alive = sa.select(col(Lease.owner)).where(_runs(col(Lease.until), clock))
    dead = sa.select(col(Run.id)).where(
        col(Run.state) == RunState.RUNNING, col(Run.owner).not_in(alive)
    )
    # Asked at each beat: an update of nothing would count as a change of every screen.
    if found := session.connection().execute(dead).scalars().all():
        session.connection().execute(
            sa.update(Run).where(col(Run.id).in_(found)).values(state=RunState.FAILED, ended_at=now)
        )


# ---------------------------------------------------------------- rows that fail


def blocked(session: Session, step: str, *, now: datetime) -> sa.Select[Any]:
    """Subjects of a step that are parked or not to be tried yet, as a subquery."""
    next_try = col(Attempt.next_try_at)
    waits = sa.and_(next_try > now, next_try <= now + LONGEST_WAIT)
    return sa.select(col(Attempt.subject_id)).where(
        col(Attempt.step) == step, col(Attempt.parked) | waits
    )


def failed(
    session: Session,
    step: str,
    subject_id: int,
    error: str,
    *,
    now: datetime,
    park_after: int = PARK_AFTER,
) -> None:
    """Count a failure: tried again after 1, 2, 4 … minutes, parked after the fifth, or `park_after`."""
    row = session.get(Attempt, (step, subject_id)) or Attempt(
        step=step, subject_id=subject_id, next_try_at=now
    )
    row.attempts += 1
    row.last_error = error[:500]
    row.next_try_at = now + timedelta(minutes=2 ** (row.attempts - 1))
    row.parked = row.attempts >= park_after
    session.add(row)


def done(session: Session, step: str, seen: dict[int, str]) -> None:
    """Note the state in which a step saw each subject; earlier failures are forgotten."""
    if seen:
        rows = [{"step": step, "subject": each, "seen": state} for each, state in seen.items()]
        session.connection().execute(_SEEN, rows)
    forget(session, step, seen)


_SEEN = sa.text(
    """INSERT INTO done (step, subject_id, seen) VALUES (:step, :subject, :seen)
    ON CONFLICT (step, subject_id) DO UPDATE SET seen = excluded.seen"""
)


def forget(session: Session, step: str, subjects: Collection[int]) -> None:
    for chunk in _chunks(sorted(subjects), 500):
        session.connection().execute(
            sa.delete(Attempt).where(col(Attempt.step) == step, col(Attempt.subject_id).in_(chunk))
        )


def _chunks(values: list[int], size: int) -> list[list[int]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


# ---------------------------------------------------------------- who is at what


@contextmanager
def at_work(engine: Engine, *, beat: Callable[[str], None] = lambda owner: None) -> Iterator[str]:
    """A new owner of holds, whose lease and holds are renewed until the block ends, then given back.

    `beat(owner)` is called at each renewal, from the thread that renews. What cannot be renewed
    (the database is away, say) runs out, and what was done meanwhile is not stored. What one held that
    was killed on this machine is anybody's as soon as another begins (see `lives`). Raises Unavailable
    for a database that can be read alone.
    """
    must_be_writable(engine)
    owner = uuid4().hex
    ended, signed_on = Event(), Event()
    life = lives.begin(engine, owner)

    def renew() -> None:
        dead = lives.ended(engine)
        with writing(engine, alone=False) as session:
            for each in dead:
                give_back(session, each)
                session.connection().execute(sa.delete(Lease).where(col(Lease.owner) == each))
            _renew(session, owner, clock=time.time())
        lives.bury(engine, dead)

    def keep() -> None:
        while not ended.is_set():
            # Each for itself: that the database is away keeps nobody from seeing that it has to end.
            for step in (renew, lambda: beat(owner)):
                try:
                    step()
                except Exception as error:
                    log.warning("a worker's lease was not renewed: %s", error)
            signed_on.set()
            ended.wait(SECONDS / 4)

    thread = Thread(target=keep, name="lease", daemon=True)
    thread.start()
    try:
        signed_on.wait()  # before that, its runs are those of nobody
        yield owner
    finally:
        ended.set()
        thread.join()
        with suppress(Exception), writing(engine, alone=False) as session:
            give_back(session, owner)
            session.connection().execute(sa.delete(Lease).where(col(Lease.owner) == owner))
        life.end()


def give_back(session: Session, owner: str) -> None:
    """End everything this worker holds: others, or itself later, take the rows up again."""
    session.connection().execute(sa.delete(Hold).where(col(Hold.owner) == owner))


def _renew(session: Session, owner: str, *, clock: float) -> None:
    connection = session.connection()
    connection.execute(
        _SIGN_ON, {"name": f"worker {owner}", "owner": owner, "until": clock + SECONDS}
    )
    for table in (Hold, Lease):
        connection.execute(
            sa.update(table).where(col(table.owner) == owner).values(until=clock + SECONDS)
        )
    # What the dead left behind.
    connection.execute(sa.delete(Lease).where(col(Lease.until) < clock - SECONDS))


_SIGN_ON = sa.text(
    """INSERT INTO lease (name, owner, until) VALUES (:name, :owner, :until)
    ON CONFLICT (name) DO NOTHING"""
)


def is_alone(session: Session, owner: str, *, clock: float) -> bool:
    """Whether this worker is the one that may run all day; it is when no other living one is."""
    return bool(
        session.connection()
        .execute(
            _ALONE,
            {"owner": owner, "until": clock + SECONDS, "clock": clock, "most": clock + 2 * SECONDS},
        )
        .rowcount
    )


_ALONE = sa.text(
    """INSERT INTO lease (name, owner, until) VALUES ('worker', :owner, :until)
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
    WHERE lease.owner = excluded.owner OR lease.until <= :clock OR lease.until > :most"""
)


def _runs(until: Any, clock: float) -> sa.ColumnElement[bool]:
    """Whether a lease or hold still runs; not one from before the clock was put back a long way."""
    return sa.and_(until > clock, until <= clock + 2 * SECONDS)


def held(step: str, *, clock: float) -> sa.Select[Any]:
    """Subjects of a step that some worker is at, as a subquery."""
    return sa.select(col(Hold.subject_id)).where(
        col(Hold.step) == step, _runs(col(Hold.until), clock)
    )


def take_up(
    session: Session,
    step: str,
    waiting: sa.Select[Any],
    *,
    limit: int,
    owner: str,
    newest: bool = False,
) -> list[int]:
    """The next subjects of a step, by id; no other worker gets them while `owner` is at work.

    waiting: selects the ids of those that wait. newest: the highest id first.
    """
    clock = time.time()
    subject = waiting.selected_columns[0]
    free = waiting.where(subject.not_in(held(step, clock=clock)))
    taken = free.order_by(subject.desc() if newest else subject).limit(limit)
    found: list[int] = list(session.connection().execute(taken).scalars())
    hold(session, step, found, owner=owner, clock=clock)
    return found


def hold(
    session: Session, step: str, subjects: Collection[int], *, owner: str, clock: float
) -> None:
    """Take up rows that nobody is at, read in this same transaction.

    The transaction is one that writers take turns for, so nobody else can take them up in between.
    """
    rows = [
        {"step": step, "subject": subject, "owner": owner, "until": clock + SECONDS}
        for subject in subjects
    ]
    if rows:
        session.connection().execute(_HOLD, rows)


_HOLD = sa.text(
    """INSERT INTO hold (step, subject_id, owner, until) VALUES (:step, :subject, :owner, :until)
    ON CONFLICT (step, subject_id) DO UPDATE SET owner = excluded.owner, until = excluded.until"""
)


def is_anybody_at_work(session: Session, *, clock: float) -> bool:
    """Whether a worker is alive, whatever it is at."""
    alive = sa.select(col(Lease.owner)).where(_runs(col(Lease.until), clock))
    return session.connection().execute(alive.limit(1)).first() is not None


def count_held(session: Session, step: str, *, clock: float) -> int:
    """How many rows of a step workers are at."""
    subjects = held(step, clock=clock).subquery()
    return (
        session.connection().execute(sa.select(sa.func.count()).select_from(subjects)).scalar_one()
    )


def still_held(session: Session, step: str, subjects: Collection[int], *, owner: str) -> set[int]:
    """Those of the rows that are one's own still, for who stores a part of the results first."""
    mine: set[int] = set()
    for chunk in _chunks(sorted(subjects), 500):
        own = (col(Hold.step) == step, col(Hold.owner) == owner, col(Hold.subject_id).in_(chunk))
        mine.update(
            session.connection().execute(sa.select(col(Hold.subject_id)).where(*own)).scalars()
        )
    return mine


def let_go(session: Session, step: str, subjects: Collection[int], *, owner: str) -> set[int]:
    """End one's holds of these rows; those that were one's own to the end.

    In the transaction that stores the results: of the others, somebody else stores them.
    """
    mine: set[int] = set()
    for chunk in _chunks(sorted(subjects), 500):
        own = (col(Hold.step) == step, col(Hold.owner) == owner, col(Hold.subject_id).in_(chunk))
        found = sa.select(col(Hold.subject_id)).where(*own).with_for_update()
        mine.update(session.connection().execute(found).scalars())
        session.connection().execute(sa.delete(Hold).where(*own))
    return mine


def newest_in_words(session: Session) -> str:
    """`in_words` of the newest job, without reading its log."""
    newest = session.connection().execute(_NEWEST).first()
    return in_words(newest.state, newest.steps) if newest else ""


_NEWEST = sa.select(col(Run.state), col(Run.steps)).order_by(col(Run.id).desc()).limit(1)


def in_words(state: RunState, steps: list[dict[str, Any]]) -> str:
    """What a job is doing, or that it failed, in a line; "" when all is well."""
    if state == RunState.FAILED:
        return "The last job failed"
    if state != RunState.RUNNING:
        return ""
    parts = [f"{step['name']} {step['done']:,}" for step in steps if step["done"]]
    return "Working: " + ", ".join(parts) if parts else "Working"
