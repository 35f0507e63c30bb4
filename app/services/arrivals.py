"""Deliveries: bytes that fetches brought are taken up to be read, and what was in them is counted.

What stands in a delivery is stored by services/ingest.py, some entries in one transaction with their
counts here; app/fetchers.py goes between the two. A delivery that is read again brings nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from app.domain.items import Document, Rejected
from app.domain.records import Delivery, DeliveryState, Fetch, Source, Subscription
from app.domain.wanted_days import WantedDays, first_day, is_wanted
from app.store import runs, sources

STEP = sources.READ
REFUSALS = 100  # of a delivery that are kept in words
CUT_OFF = 10
"""So often in a row a delivery may end the process that reads it."""


@dataclass(frozen=True)
class Taken:
    """A delivery that was taken up. `before` of its entries were stored the last time it was read."""

    delivery_id: int
    source_id: int
    source: str
    name: str
    url: str
    headers: Mapping[str, str]
    format: str
    raw: str
    days: WantedDays
    before: int


def pending(session: Session, *, now: datetime, only: Sequence[int] = ()) -> int:
    return sources.count_waiting(session, now=now, only=only)


def take_up(
    session: Session, *, owner: str, now: datetime, clock: float, only: Sequence[int] = ()
) -> Taken | None:
    """The oldest delivery that nobody is at, for this owner."""
    while (found := sources.waiting(session, now=now, clock=clock, only=only)) is not None:
        assert found.id is not None
        if (times := sources.cut_off(session, found.id)) < CUT_OFF:
            break
        _fail(session, found, f"The program ended {times} times while it was read.")
        session.flush()
    source = session.get(Source, found.source_id) if found is not None else None
    if found is None or found.id is None or source is None:
        return None
    sources.note_begun(session, found.id, times + 1)
    before = found.new + found.changed
    found.same, found.rejected, found.refusals = 0, 0, []
    session.add(found)
    runs.hold(session, STEP, [found.id], owner=owner, clock=clock)
    return Taken(
        found.id,
        found.source_id,
        source.name,
        found.name,
        found.url,
        dict(found.headers),
        found.format,
        found.raw_sha256,
        _days(session, found),
        before,
    )


def _days(session: Session, delivery: Delivery) -> WantedDays:
    fetch = session.get(Fetch, delivery.fetch_id)
    its = session.get(Subscription, delivery.source_id)
    last = sources.last_success_before(session, fetch) if fetch is not None else None
    return WantedDays(
        first=fetch.first_day if fetch else "",
        last=fetch.last_day if fetch else "",
        since=its.since if its else first_day(delivery.received_at),
        lately=first_day(last or delivery.received_at),
    )


@dataclass(frozen=True)
class Wanted:
    """Entries of a delivery that are to be stored, and how many of them are new or changed."""

    source: Source
    entries: list[Document | Rejected]
    new: int
    changed: int
    same: int


def wanted(
    session: Session, taken: Taken, entries: Sequence[Document | Rejected], *, owner: str
) -> Wanted | None:
    """Those of the entries that are wanted; None when the delivery is somebody else's by now.

    An entry that came before is told anew, whatever its day.
    """
    if not runs.still_held(session, STEP, [taken.delivery_id], owner=owner):
        return None
    source = session.get(Source, taken.source_id)
    if source is None:
        return None
    keys = [each.key for each in entries if isinstance(each, Document)]
    known = sources.known_keys(session, taken.source_id, keys)
    kept: list[Document | Rejected] = []
    counts = {"new": 0, "changed": 0, "same": 0}
    for each in entries:
        if isinstance(each, Document):
            here = known.get(each.key)
            if here is None and not is_wanted(each.published, each.format, taken.days):
                continue
            own = each.hash or taken.raw
            counts["new" if here is None else "same" if here == own else "changed"] += 1
            known[each.key] = own
        kept.append(each)
    return Wanted(source, kept, **counts)


def count(session: Session, taken: Taken, found: Wanted, refused: Sequence[Rejected]) -> None:
    """Note what came of some entries, in the transaction that stores them."""
    row = session.get(Delivery, taken.delivery_id)
    if row is None:
        return
    row.new, row.changed = row.new + found.new, row.changed + found.changed
    row.same, row.rejected = row.same + found.same, row.rejected + len(refused)
    sources.note_begun(session, taken.delivery_id, 0)
    if refused and len(row.refusals) < REFUSALS:
        said = [{"where": each.where[:300], "reason": each.reason[:500]} for each in refused]
        row.refusals = [*row.refusals, *said][:REFUSALS]
    session.add(row)


def finish(session: Session, taken: Taken, *, owner: str) -> bool:
    """It was read to its end. False when it was somebody else's to end."""
    row = session.get(Delivery, taken.delivery_id)
    if not runs.let_go(session, STEP, [taken.delivery_id], owner=owner) or row is None:
        return False
    row.same = max(0, row.same - taken.before)  # what an earlier try stored is new all the same
    nothing = row.rejected and not (row.new or row.changed or row.same)
    row.state = DeliveryState.FAILED if nothing else DeliveryState.READ
    session.add(row)
    sources.note_begun(session, taken.delivery_id, 0)
    runs.forget(session, STEP, [taken.delivery_id])
    return True


def leave(session: Session, taken: Taken, *, owner: str) -> None:
    """Let go of a delivery that could not be read for a reason of our own: a full disk, say."""
    if runs.let_go(session, STEP, [taken.delivery_id], owner=owner):
        sources.note_begun(session, taken.delivery_id, 0)


def unreadable(session: Session, taken: Taken, reason: str, *, owner: str) -> None:
    """Nothing in it can be read, now or later."""
    if not runs.let_go(session, STEP, [taken.delivery_id], owner=owner):
        return
    _fail(session, sources.delivery(session, taken.delivery_id), reason)
    runs.forget(session, STEP, [taken.delivery_id])


def failed(session: Session, taken: Taken, reason: str, *, owner: str, now: datetime) -> None:
    """It could not be read this time; after five times it is set aside with its reason."""
    if not runs.let_go(session, STEP, [taken.delivery_id], owner=owner):
        return
    sources.note_begun(session, taken.delivery_id, 0)
    runs.failed(session, STEP, taken.delivery_id, reason, now=now)
    session.flush()
    attempt = sources.set_aside(session, taken.delivery_id)
    if attempt is not None and attempt.parked:
        _fail(session, sources.delivery(session, taken.delivery_id), reason)


def _fail(session: Session, row: Delivery, reason: str) -> None:
    row.state, row.rejected = DeliveryState.FAILED, row.rejected + 1
    row.refusals = [*row.refusals[: REFUSALS - 1], {"where": row.name, "reason": reason[:500]}]
    session.add(row)
    if row.id is not None:
        sources.note_begun(session, row.id, 0)


def read_again(session: Session, delivery_id: int) -> None:
    """Let a delivery that failed be read once more, by a reader that may know better now.

    Raises NotFound.
    """
    row = sources.delivery(session, delivery_id)
    row.state = DeliveryState.WAITING
    session.add(row)
    runs.forget(session, STEP, [delivery_id])
