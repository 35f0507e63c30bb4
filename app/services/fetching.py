"""Fetching, as the database sees it: what is taken up, each response as it came, and how it ended.

A fetch is held by its source, so that no source is fetched twice at once, whoever works. Each response
is a delivery in the transaction that moves the cursor past it: a kill loses none and brings none twice.
Nothing here asks anybody for anything: app/fetchers.py does, with no transaction open.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain import pacing
from app.domain.records import (
    Attempt,
    Delivery,
    DeliveryState,
    Fetch,
    FetchReason,
    FetchState,
    Source,
    Subscription,
)
from app.domain.untrusted import line
from app.errors import NotFetched
from app.sources.connectors import Fetched, Wanted
from app.store import items, runs, sources
from app.store.db import LARGEST_ID, SHOWN, bump

STEP = sources.FETCH
SIGHTINGS = 3
"""So often in a row a source has to be seen elsewhere for good before its address follows."""
MOST_RESPONSES = 5_000  # of one fetch
_KEPT = 20  # fetches of a source that brought nothing, of which we keep the newest
_URL_SIGNS = 4_000
_LATEST = timedelta(
    minutes=5
)  # by which the next one is put off, so that not all are asked at once


@dataclass(frozen=True)
class Taken:
    """A fetch that was taken up: what its connector is told, but for papers and secrets."""

    fetch_id: int
    source_id: int
    name: str
    connector: str
    wanted: Wanted
    host: str


def pending(session: Session, *, now: datetime, only: Sequence[int] = ()) -> int:
    """How many sources are due or asked for, those that are being fetched among them."""
    waiting = sources.due(session, now)
    if only:
        waiting = [each for each in waiting if each in only]
    return len(waiting) + sources.count_active(session, now=now, only=only)


def take_up(
    session: Session,
    *,
    owner: str,
    today: date,
    now: datetime,
    clock: float,
    most: int,
    busy: Collection[str] = (),
    only: Sequence[int] = (),
) -> list[Taken]:
    """Take up at most so many fetches for this owner, of different hosts that are not `busy`.

    A source that was due several times is fetched once. With `only`, fetches of these sources alone,
    and none that is merely due.
    """
    if not only:
        for source_id in sources.due(session, now):
            session.add(
                Fetch(
                    source_id=source_id,
                    reason=FetchReason.DUE,
                    state=FetchState.WAITING,
                    asked_at=now,
                )
            )
        session.flush()
    taken: list[Taken] = []
    at_work = set(busy)
    for fetch_id, source_id in sources.ready(session, now=now, clock=clock, only=only):
        if len(taken) >= most:
            break
        fetch, source = session.get(Fetch, fetch_id), session.get(Source, source_id)
        its = session.get(Subscription, source_id)
        if fetch is None:
            continue
        if source is None or its is None or fetch.cancel:
            _over(session, fetch, FetchState.CANCELLED, now=now)
            continue
        host = _host(source, its)
        if host in at_work:
            continue
        at_work.add(host)
        if fetch.state == FetchState.WAITING:
            fetch.state, fetch.started_at = FetchState.RUNNING, fetch.started_at or now
            if fetch.reason != FetchReason.BACKFILL:
                fetch.cursor = dict(its.cursor)
        its.tried_at = now
        session.add_all([fetch, its])
        taken.append(_taken(fetch, source, its, host, today))
    runs.hold(session, STEP, [each.source_id for each in taken], owner=owner, clock=clock)
    return taken


def _host(source: Source, its: Subscription) -> str:
    try:
        return urlsplit(source.url).netloc.lower() or f"{its.connector}:{source.url}"
    except ValueError:
        return source.key


def _taken(fetch: Fetch, source: Source, its: Subscription, host: str, today: date) -> Taken:
    assert fetch.id is not None and source.id is not None
    wanted = Wanted(
        url=source.url,
        options=dict(its.options),
        cursor=dict(fetch.cursor),
        today=today,
        first=fetch.first_day,
        last=fetch.last_day,
        since=its.since,
    )
    return Taken(fetch.id, source.id, source.name, its.connector, wanted, host)


def keep(
    session: Session,
    taken: Taken,
    fetched: Fetched,
    *,
    raw: str = "",
    owner: str,
    now: datetime,
) -> Fetch | None:
    """A response, whose bytes are kept as `raw`, and where the fetch goes on from; None to stop there.

    Stop: the fetch is somebody else's now, or was cancelled, or its subscription is gone.
    """
    if not runs.still_held(session, STEP, [taken.source_id], owner=owner):
        return None
    fetch = session.get(Fetch, taken.fetch_id)
    its = session.get(Subscription, taken.source_id)
    if fetch is None or fetch.state != FetchState.RUNNING:
        return None
    if raw:
        items.note_raw(session, raw, len(fetched.data), now=now)
        if not sources.came_before(session, fetch, raw, line(fetched.url)[:_URL_SIGNS]):
            session.add(
                Delivery(
                    source_id=taken.source_id,
                    fetch_id=taken.fetch_id,
                    name=line(fetched.name)[:200] or taken.name[:200],
                    url=line(fetched.url)[:_URL_SIGNS],
                    format=fetched.format,
                    headers=dict(fetched.headers),
                    raw_sha256=raw,
                    state=DeliveryState.WAITING,
                    received_at=now,
                )
            )
    if its is not None and not fetch.cancel:  # else the subscription may be another by now
        if fetch.responses == 0:
            _sight(session, its, fetched.moved)
        if fetch.reason != FetchReason.BACKFILL:
            its.cursor = dict(fetched.cursor)
        session.add(its)
    fetch.cursor = dict(fetched.cursor)
    fetch.responses += 1
    fetch.size += len(fetched.data)
    fetch.seen = min(max(fetch.seen, fetched.seen), LARGEST_ID)
    if fetched.total is not None:
        fetch.total = min(max(fetched.total, 0), LARGEST_ID)
    session.add(fetch)
    runs.forget(session, STEP, [taken.fetch_id])
    if fetch.cancel or its is None:
        cancelled(session, taken, owner=owner, now=now)
        return None
    return fetch


def _sight(session: Session, its: Subscription, moved: str) -> None:
    """Count how often in a row a source was elsewhere for good; then its address follows."""
    if not moved:
        its.moved_to, its.moved_times = "", 0
        return
    its.moved_times = its.moved_times + 1 if moved == its.moved_to else 1
    its.moved_to = moved
    source = session.get(Source, its.source_id)
    if its.moved_times >= SIGHTINGS and source is not None:
        source.url, its.moved_to, its.moved_times = moved, "", 0
        session.add(source)


def is_cancelled(session: Session, taken: Taken) -> bool:
    """Whether the reader asked for its end, or took the subscription away."""
    found = session.exec(select(Fetch.cancel).where(Fetch.id == taken.fetch_id)).first()
    return found is None or found or session.get(Subscription, taken.source_id) is None


def cancelled(session: Session, taken: Taken, *, owner: str, now: datetime) -> None:
    """End a fetch that the reader cancelled; what it brought stays."""
    runs.let_go(session, STEP, [taken.source_id], owner=owner)
    fetch = session.get(Fetch, taken.fetch_id)
    if fetch is not None and fetch.state in sources.ACTIVE:
        _over(session, fetch, FetchState.CANCELLED, now=now)


def leave(session: Session, taken: Taken, *, owner: str) -> None:
    """Let go of a fetch where it is: whoever takes it up next goes on from its cursor."""
    runs.let_go(session, STEP, [taken.source_id], owner=owner)


def succeeded(session: Session, taken: Taken, *, owner: str, now: datetime) -> None:
    """It brought all there was."""
    fetch, its = _ending(session, taken, owner)
    if fetch is None:
        return
    if fetch.cancel or its is None:  # the subscription may ask for something else by now
        _over(session, fetch, FetchState.CANCELLED, now=now)
        return
    _over(session, fetch, FetchState.DONE, now=now)
    if its.failures or its.stopped:
        bump(session, SHOWN)
    its.failures, its.last_error, its.stopped, its.succeeded_at = 0, "", "", now
    if fetch.reason != FetchReason.BACKFILL:
        every = timedelta(minutes=its.every_minutes)
        its.due_at = pacing.next_due(now, every=every) + random.random() * min(every / 20, _LATEST)
    session.add(its)


def failed(session: Session, taken: Taken, error: NotFetched, *, owner: str, now: datetime) -> None:
    """It was not answered as it should be: it is tried again later, or stopped until the reader says so."""
    fetch, its = _ending(session, taken, owner)
    if fetch is None:
        return
    why = line(str(error))[:500]
    fetch.error = why
    if fetch.cancel or its is None:
        _over(session, fetch, FetchState.CANCELLED, now=now)
        return
    backfill = fetch.reason == FetchReason.BACKFILL
    if backfill and error.again and _again(session, taken.fetch_id, error, now=now):
        fetch.state = FetchState.WAITING
        session.add(fetch)
        return
    _over(session, fetch, FetchState.FAILED, now=now)
    if backfill and error.again:
        return
    if not its.failures or not error.again:
        bump(session, SHOWN)
    its.last_error = why
    if error.again:
        its.failures += 1
        its.due_at = pacing.next_due(
            now,
            every=timedelta(minutes=its.every_minutes),
            failures=its.failures,
            after=error.after,
            jitter=random.random(),
        )
    else:
        its.stopped = why
    session.add(its)


def _again(session: Session, fetch_id: int, error: NotFetched, *, now: datetime) -> bool:
    """Note when a back-fill goes on; False after so many failures in a row."""
    row = session.get(Attempt, (STEP, fetch_id)) or Attempt(
        step=STEP, subject_id=fetch_id, next_try_at=now
    )
    row.attempts += 1
    row.last_error = str(error)[:500]
    row.next_try_at = pacing.next_due(
        now,
        every=timedelta(0),
        failures=row.attempts,
        after=error.after,
        jitter=random.random(),
    )
    session.add(row)
    return row.attempts < runs.PARK_AFTER


def _ending(session: Session, taken: Taken, owner: str) -> tuple[Fetch | None, Subscription | None]:
    """The rows of a fetch that is still ours to end."""
    mine = runs.let_go(session, STEP, [taken.source_id], owner=owner)
    fetch = session.get(Fetch, taken.fetch_id) if mine else None
    if fetch is None or fetch.state != FetchState.RUNNING:
        return None, None
    return fetch, session.get(Subscription, taken.source_id)


def _over(session: Session, fetch: Fetch, state: FetchState, *, now: datetime) -> None:
    fetch.state, fetch.ended_at = state, now
    if state == FetchState.DONE:
        fetch.error = ""
    session.add(fetch)
    session.flush()
    assert fetch.id is not None
    runs.forget(session, STEP, [fetch.id])
    _forget_empty(session, fetch.source_id)


def _forget_empty(session: Session, source_id: int) -> None:
    """Of the fetches that brought nothing the newest are kept: most of them find nothing new."""
    empty = (
        sa.select(col(Fetch.id))
        .where(
            col(Fetch.source_id) == source_id,
            col(Fetch.state).not_in(sources.ACTIVE),
            ~sa.exists().where(col(Delivery.fetch_id) == col(Fetch.id)),
        )
        .order_by(col(Fetch.id).desc())
        .offset(_KEPT)
    )
    old = list(session.connection().execute(empty).scalars())
    if old:
        session.connection().execute(sa.delete(Fetch).where(col(Fetch.id).in_(old)))
