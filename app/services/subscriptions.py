"""Subscriptions: which sources are fetched, and what the reader asks of them.

What came in stays, whatever becomes of a subscription.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.identifiers import whole_day
from app.domain.records import (
    Attempt,
    Fetch,
    FetchReason,
    FetchState,
    Source,
    Subscription,
)
from app.domain.untrusted import line
from app.domain.wanted_days import first_day
from app.errors import Conflict, Invalid
from app.sources.connectors import Connector, Found, check
from app.store import sources
from app.store.db import SHOWN, bump

LEAST_MINUTES, MOST_MINUTES = 5, 60 * 24 * 31
MOST_DAYS = 370
"""The longest range of days of a back-fill."""
_OPTION_SIGNS, _NAME_SIGNS = 2_000, 200
_LARGEST = 1e15


def add(
    session: Session,
    found: Found,
    *,
    connectors: Sequence[Connector],
    every_minutes: int | None = None,
    now: datetime,
) -> Source:
    """Subscribe to a source; it is due at once. Raises Conflict for one that is there, Invalid else."""
    connector = _connector(found.connector, connectors)
    options = _options(found.options, connector)
    every = _every(every_minutes, connector)
    name = line(found.name)[:_NAME_SIGNS] or found.url
    if not found.key.strip() or not found.url.strip():
        raise Invalid("A source needs an address.")
    check(connector, found.url, options)
    source = session.exec(select(Source).where(Source.key == found.key)).first()
    its = session.get(Subscription, source.id) if source is not None else None
    there = source if its is not None else _same(session, found, options)
    if there is not None:
        raise Conflict(f"{there.name} is one of your sources already, as number {there.id}.")
    if source is None:
        source = Source(
            key=found.key, kind=connector.kind, name=name, url=found.url, created_at=now
        )
    else:  # it was known by what came in from it
        source.name, source.url, source.kind = name, found.url, connector.kind
    session.add(source)
    session.flush()
    assert source.id is not None
    session.add(
        Subscription(
            source_id=source.id,
            connector=connector.name,
            options=options,
            every_minutes=every,
            since=first_day(now),
            due_at=now,
        )
    )
    session.flush()
    bump(session, SHOWN)
    return source


def add_new(
    session: Session, wanted: Iterable[Found], *, connectors: Sequence[Connector], now: datetime
) -> int:
    """Subscribe to those of the sources that are not there, under whatever name; how many."""
    added = 0
    for found in wanted:
        try:
            with session.begin_nested():
                add(session, found, connectors=connectors, now=now)
            added += 1
        except Conflict:
            pass
    return added


def _same(session: Session, found: Found, options: Mapping[str, Any]) -> Source | None:
    """A source that is fetched from the same address in the same way, under another key."""
    pairs = session.exec(
        select(Source, Subscription)
        .join(Subscription, col(Subscription.source_id) == col(Source.id))
        .where(Source.url == found.url, Subscription.connector == found.connector)
    )
    return next((source for source, its in pairs if its.options == options), None)


def _connector(name: str, connectors: Sequence[Connector]) -> Connector:
    for each in connectors:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in connectors)
    raise Invalid(
        f"No connector is called {name[:40]!r}. Use one of: {names}.",
        fields={"connector": f"One of: {names}."},
    )


def _options(given: Mapping[str, Any], connector: Connector) -> dict[str, Any]:
    known = ", ".join(connector.options) or "none"
    options: dict[str, Any] = {}
    for name, value in given.items():
        if name not in connector.options:
            raise Invalid(
                f"{connector.name} has no option {name[:40]!r}. Its options: {known}.",
                fields={"options": f"Its options: {known}."},
            )
        if isinstance(value, str):
            value = value.strip()
            if len(value) > _OPTION_SIGNS or "\x00" in value:
                raise Invalid(f"The option {name} is too long, or holds what no text may hold.")
        elif value is not None and not isinstance(value, int | float | bool):
            raise Invalid(f"The option {name} is text, a number, or yes or no.")
        elif isinstance(value, int | float) and not abs(value) <= _LARGEST:  # nor what is no number
            raise Invalid(f"The option {name} is too large a number.")
        if value not in ("", None):
            options[name] = value
    return options


def _every(minutes: int | None, connector: Connector) -> int:
    if minutes is None:
        return connector.every_minutes
    if not LEAST_MINUTES <= minutes <= MOST_MINUTES:
        raise Invalid(
            "A source is fetched every 5 minutes at most, and once a month at least.",
            fields={"every": "From 5 minutes to 31 days."},
        )
    return minutes


def edit(
    session: Session,
    source_id: int,
    *,
    connectors: Sequence[Connector],
    name: str | None = None,
    every_minutes: int | None = None,
    options: Mapping[str, Any] | None = None,
    now: datetime,
) -> Source:
    """Change what is given. With other options it is fetched like a source that is new.

    Raises NotFound or Invalid.
    """
    row = sources.of(session, source_id, counts={})
    source, its = row.source, row.subscription
    if name is not None:
        if not (said := line(name)):
            raise Invalid("A source needs a name.", fields={"name": "Write a name."})
        source.name = said[:_NAME_SIGNS]
    if every_minutes is not None:
        its.every_minutes = _every(every_minutes, _connector(its.connector, connectors))
        soonest = (its.tried_at or now) + timedelta(minutes=its.every_minutes)
        if not its.failures:
            its.due_at = min(its.due_at, soonest) if its.tried_at else its.due_at
    if options is not None:
        chosen = _options(options, _connector(its.connector, connectors))
        if chosen != its.options:
            check(_connector(its.connector, connectors), source.url, chosen)
            its.options, its.cursor = chosen, {}
            its.since, its.stopped, its.due_at = first_day(now), "", now
            _end(session, source_id, now=now)
    session.add_all([source, its])
    bump(session, SHOWN)
    return source


def pause(session: Session, source_id: int) -> Source:
    """It is fetched no more by itself. A fetch that runs goes on to its end. Raises NotFound."""
    row = sources.of(session, source_id, counts={})
    row.subscription.paused = True
    session.add(row.subscription)
    bump(session, SHOWN)
    return row.source


def resume(session: Session, source_id: int, *, now: datetime) -> Source:
    """It is fetched by itself again, from now on, whatever stopped it. Raises NotFound."""
    row = sources.of(session, source_id, counts={})
    its = row.subscription
    its.paused, its.stopped, its.failures, its.last_error, its.due_at = False, "", 0, "", now
    session.add(its)
    bump(session, SHOWN)
    return row.source


def remove(session: Session, source_id: int, *, now: datetime) -> str:
    """Fetch it no more; what came in from it stays. Says so in a sentence. Raises NotFound."""
    row = sources.of(session, source_id)
    _end(session, source_id, now=now)
    # Its history ends with a fetch that never was: that says when.
    last = _queued(session, source_id, FetchReason.ASKED, now=now)
    last.error = sources.REMOVED
    _cancel(session, last, now=now)
    session.delete(row.subscription)
    session.flush()
    bump(session, SHOWN)
    number = row.counts.items
    stay = "Nothing had come in from it."
    if number:
        stay = f"The {number:,} {'item' if number == 1 else 'items'} that came in stay in the wiki."
    return f"{row.source.name} is fetched no more. {stay}"


def _end(session: Session, source_id: int, *, now: datetime) -> None:
    """Cancel every fetch of a source that waits or runs."""
    for fetch in session.exec(
        select(Fetch).where(Fetch.source_id == source_id, col(Fetch.state).in_(sources.ACTIVE))
    ):
        _cancel(session, fetch, now=now)
    session.flush()


def _cancel(session: Session, fetch: Fetch, *, now: datetime) -> None:
    fetch.cancel = True
    if fetch.state == FetchState.WAITING:
        fetch.state, fetch.ended_at = FetchState.CANCELLED, now
    session.add(fetch)


def ask(session: Session, source_id: int, *, now: datetime) -> Fetch:
    """Fetch what is new of it now, also when it is paused or stopped. Raises NotFound.

    A fetch of it that waits or runs already is that fetch.
    """
    sources.of(session, source_id, counts={})
    active = session.exec(
        select(Fetch).where(
            Fetch.source_id == source_id,
            col(Fetch.state).in_(sources.ACTIVE),
            Fetch.reason != FetchReason.BACKFILL,
            col(Fetch.cancel).is_(False),
        )
    ).first()
    if active is not None:
        return active
    return _queued(session, source_id, FetchReason.ASKED, now=now)


def _queued(
    session: Session,
    source_id: int,
    reason: FetchReason,
    *,
    first: str = "",
    last: str = "",
    now: datetime,
) -> Fetch:
    fetch = Fetch(
        source_id=source_id,
        reason=reason,
        state=FetchState.WAITING,
        first_day=first,
        last_day=last,
        asked_at=now,
    )
    session.add(fetch)
    session.flush()
    return fetch


def backfill(
    session: Session, source_id: int, first: str, last: str, *, today: date, now: datetime
) -> Fetch:
    """Bring what a source had on a range of days, inclusive. Raises NotFound, Invalid or Conflict."""
    sources.of(session, source_id, counts={})
    begin, end = _day(first, "from"), _day(last or first, "to")
    if begin > end:
        raise Invalid(
            f"A range of days begins before it ends: {end} is before {begin}.",
            fields={"from": "The first day.", "to": "The last day."},
        )
    if end > today:
        raise Invalid(f"{end} is in the future.", fields={"to": "Today at the latest."})
    if (end - begin).days >= MOST_DAYS:
        raise Invalid(
            f"These are more than {MOST_DAYS} days: ask for them a year at a time.",
            fields={"from": f"At most {MOST_DAYS} days."},
        )
    first, last = begin.isoformat(), end.isoformat()
    same = session.exec(
        select(Fetch).where(
            Fetch.source_id == source_id,
            col(Fetch.state).in_(sources.ACTIVE),
            Fetch.first_day == first,
            Fetch.last_day == last,
            col(Fetch.cancel).is_(False),
        )
    ).first()
    if same is not None:
        raise Conflict(f"The days {begin} to {end} are being fetched already, as fetch {same.id}.")
    return _queued(session, source_id, FetchReason.BACKFILL, first=first, last=last, now=now)


def _day(text: str, field: str) -> date:
    found = whole_day(text.strip())
    if found is None:
        raise Invalid(
            f"{text[:40]!r} is no day: write it like 2026-05-14.",
            fields={field: "A day like 2026-05-14."},
        )
    return found


def cancel(session: Session, fetch_id: int, *, now: datetime) -> Fetch:
    """End a fetch: at once when it waits, after its present request when it runs.

    What it brought stays. Raises NotFound, or Conflict when it has ended.
    """
    fetch = sources.fetch(session, fetch_id)
    if fetch.state not in sources.ACTIVE:
        raise Conflict("This fetch has ended already.")
    _cancel(session, fetch, now=now)
    its = session.get(Subscription, fetch.source_id)
    if its is not None and fetch.reason != FetchReason.BACKFILL:
        its.due_at = max(its.due_at, now + timedelta(minutes=its.every_minutes))
        session.add(its)
    session.connection().execute(
        sa.delete(Attempt).where(
            col(Attempt.step) == sources.FETCH, col(Attempt.subject_id) == fetch_id
        )
    )
    session.flush()
    bump(session, SHOWN)
    return fetch


def every_in_minutes(text: str) -> int:
    """How often, from words: 90, "90m", "6h", "2d". Raises Invalid."""
    said = text.strip().lower()
    number, unit = said.rstrip("mhd "), said.lstrip("0123456789 ").strip()
    if not number.isascii() or not number.isdigit() or len(number) > 6 or unit not in _UNITS:
        raise Invalid(
            f"{text[:40]!r} says not how often: write 90m, 6h or 2d.",
            fields={"every": "Write 90m, 6h or 2d."},
        )
    return int(number) * _UNITS[unit]


_UNITS = {"": 1, "m": 1, "h": 60, "d": 60 * 24}
