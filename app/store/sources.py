"""Reads of sources that are fetched: how each stands, what it brought, and what is due.

A subscription belongs to one source; a source whose subscription was taken away keeps its items, and
is none of these lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.domain.records import (
    GONE,
    Attempt,
    Delivery,
    DeliveryState,
    Done,
    Fetch,
    FetchReason,
    FetchState,
    Identifier,
    Item,
    Mention,
    Page,
    Paper,
    PaperState,
    Source,
    Subscription,
)
from app.errors import Invalid, NotFound
from app.store import runs
from app.store.db import LARGEST_ID, rows

FETCH = "fetch"  # holds of this step are by source, attempts by fetch
READ = "deliveries"
ACTIVE = (FetchState.WAITING, FetchState.RUNNING)
REMOVED = "The source was removed."  # what a fetch says that its removal cancelled


@dataclass(frozen=True)
class Counts:
    """What a source brought: items, the papers they are or speak of, and those of them kept.

    `waiting` deliveries are not read yet; `rejected` entries could not be.
    """

    items: int = 0
    papers: int = 0
    kept: int = 0
    waiting: int = 0
    rejected: int = 0


NOTHING = Counts()


@dataclass(frozen=True)
class Row:
    """A source as it stands. `under_way` are its fetches that run or wait, in the order of their turn."""

    source: Source
    subscription: Subscription
    counts: Counts = NOTHING
    under_way: tuple[Fetch, ...] = ()

    @property
    def active(self) -> Fetch | None:
        """The one whose turn it is."""
        return self.under_way[0] if self.under_way else None

    @property
    def id(self) -> int:
        assert self.source.id is not None
        return self.source.id

    @property
    def state(self) -> str:
        """fetching, stopped, paused, failing, new (never fetched) or well."""
        its = self.subscription
        if self.active is not None and self.active.state == FetchState.RUNNING:
            return "fetching"
        if its.stopped:
            return "stopped"
        if its.paused:
            return "paused"
        if its.failures:
            return "failing"
        return "well" if its.succeeded_at else "new"

    @property
    def next_try(self) -> datetime | None:
        """When it is fetched next by itself; None while it is paused or stopped."""
        its = self.subscription
        return None if its.paused or its.stopped else its.due_at


def listed(session: Session, *, counts: dict[int, Counts] | None = None) -> list[Row]:
    """Every source that is fetched, by name, in a constant number of statements.

    `counts` are those of `counted`, where they are remembered.
    """
    pairs = session.exec(_PAIRS.order_by(*_BY_NAME)).all()
    return _rows(session, pairs, counts if counts is not None else counted(session))


def troubled_first(
    session: Session, *, counts: dict[int, Counts], after: tuple[int, int] | None = None, limit: int
) -> list[tuple[int, Row]]:
    """So many sources with their rank, by it and by name: stopped 0, failing 1, fetched now 2, the others 3.

    `after` is the rank and the id of the one before; where that is gone, the first of its rank are next.
    """
    statement: Any = _PAIRS.add_columns(_RANK).order_by(_RANK, *_BY_NAME).limit(limit)
    if after is not None:
        rank, source_id = after
        its_name = sa.func.lower(session.scalar(_NAME, {"source": source_id}) or "")
        behind = sa.tuple_(sa.func.lower(col(Source.name)), col(Source.id)) > sa.tuple_(
            its_name, sa.literal(source_id)
        )
        statement = statement.where((rank < _RANK) | ((rank == _RANK) & behind))
    found = [(rank, (source, its)) for source, its, rank in session.exec(statement)]
    shown = _rows(session, [pair for _, pair in found], counts)
    return [(rank, row) for (rank, _), row in zip(found, shown, strict=True)]


def count(session: Session) -> int:
    """How many sources are fetched."""
    return session.scalar(sa.select(sa.func.count()).select_from(Subscription)) or 0


_PAIRS = select(Source, Subscription).join(
    Subscription, col(Subscription.source_id) == col(Source.id)
)
_BY_NAME = (sa.func.lower(Source.name), col(Source.id))
_NAME = sa.select(col(Source.name)).where(col(Source.id) == sa.bindparam("source"))
_RANK: Any = sa.case(
    (
        sa.exists().where(
            col(Fetch.source_id) == col(Subscription.source_id),
            col(Fetch.state) == FetchState.RUNNING,
        ),
        2,
    ),
    (col(Subscription.stopped) != "", 0),
    (col(Subscription.paused), 3),
    (col(Subscription.failures) > 0, 1),
    else_=3,
)


def of(session: Session, source_id: int, *, counts: dict[int, Counts] | None = None) -> Row:
    """One of them. Raises NotFound."""
    source = session.get(Source, source_id) if 0 < source_id <= LARGEST_ID else None
    its = session.get(Subscription, source_id) if source is not None else None
    if source is None:
        raise NotFound(f"There is no source {source_id}.")
    if its is None:
        raise NotFound(f"Nobody fetches {source.name}: it was removed, or is a file. Add it again.")
    known = counts if counts is not None else counted(session, source_id=source_id)
    return _rows(session, [(source, its)], known)[0]


def get(session: Session, named: str | int) -> Row:
    """The source with this id, key, name or address. Raises NotFound, or Invalid when several are meant."""
    text = str(named).strip()
    if text.isascii() and text.isdigit() and len(text) < 11:
        return of(session, int(text))
    has = sa.exists().where(col(Subscription.source_id) == col(Source.id))
    folded = text.casefold()
    for matches in (
        col(Source.key) == text,
        sa.or_(sa.func.lower(Source.name) == folded, col(Source.url) == text),
        sa.func.lower(Source.key).in_((folded, *(f"{each}:{folded}" for each in _names(session)))),
    ):
        found = session.exec(select(Source).where(has, matches).limit(2)).all()
        if len(found) > 1:
            raise Invalid(f"Several sources are called {text!r}: name one by its number.")
        if found and found[0].id is not None:
            return of(session, found[0].id)
    raise NotFound(f"There is no source {text[:80]!r}. `cerebro sources` lists those there are.")


def _names(session: Session) -> list[str]:
    return list(session.exec(select(Subscription.connector).distinct()))


def _rows(
    session: Session, pairs: Sequence[tuple[Source, Subscription]], counts: dict[int, Counts]
) -> list[Row]:
    ids = [its.source_id for _, its in pairs]
    only = col(Fetch.source_id).in_(ids) if len(ids) < 100 else sa.true()
    # The one that runs stands before those that wait behind it.
    under_way: dict[int, tuple[Fetch, ...]] = {}
    for fetch in session.exec(
        select(Fetch)
        .where(col(Fetch.state).in_(ACTIVE), only)
        .order_by(col(Fetch.state) != FetchState.RUNNING, col(Fetch.id))
    ):
        under_way[fetch.source_id] = (*under_way.get(fetch.source_id, ()), fetch)
    return [
        Row(
            source,
            its,
            counts.get(its.source_id, NOTHING),
            under_way.get(its.source_id, ()),
        )
        for source, its in pairs
    ]


def counted(session: Session, *, source_id: int | None = None) -> dict[int, Counts]:
    """What each source brought, or one. It reads the items of the wiki: remember it between writes."""
    one = {} if source_id is None else {"source": source_id}
    of_items, of_papers, of_deliveries = _COUNTS[source_id is not None]
    found: dict[int, dict[str, int]] = {}
    for statement in (of_items, of_papers, of_deliveries):
        for row in session.connection().execute(statement, one).mappings():
            values = dict(row)
            found.setdefault(values.pop("source_id"), {}).update(
                {name: int(value or 0) for name, value in values.items()}
            )
    return {each: Counts(**values) for each, values in found.items()}


def recounted(session: Session, counts: dict[int, Counts]) -> dict[int, Counts]:
    """Remembered counts, with deliveries as they are now: reading one that brings nothing changes nothing
    else."""
    now = {row.source_id: row for row in session.connection().execute(_COUNTS[False][2])}
    found = {
        each: replace(its, waiting=0, rejected=0) for each, its in counts.items() if each not in now
    }
    for each, row in now.items():
        found[each] = replace(
            counts.get(each, NOTHING), waiting=int(row.waiting), rejected=int(row.rejected or 0)
        )
    return found


def _counts(one: bool) -> tuple[Any, Any, Any]:
    has = sa.exists().where(col(Subscription.source_id) == col(Item.source_id))
    here = col(Item.source_id) == sa.bindparam("source") if one else has
    items = (
        sa.select(col(Item.source_id), sa.func.count().label("items"))
        .where(here)
        .group_by(col(Item.source_id))
    )
    is_one = sa.select(col(Item.source_id), col(Item.paper_id)).where(
        here, col(Item.paper_id).is_not(None)
    )
    speaks = (
        sa.select(col(Item.source_id), col(Mention.paper_id))
        .join(Mention, col(Mention.item_id) == col(Item.id))
        .where(here)
    )
    both = sa.union(is_one, speaks).subquery()
    papers = (
        sa.select(
            both.c.source_id,
            sa.func.count().label("papers"),
            sa.func.sum(sa.case((col(Paper.state) == PaperState.KEPT, 1), else_=0)).label("kept"),
        )
        .join(Paper, col(Paper.id) == both.c.paper_id)
        .group_by(both.c.source_id)
    )
    deliveries = sa.select(
        col(Delivery.source_id),
        sa.func.sum(sa.case((col(Delivery.state) == DeliveryState.WAITING, 1), else_=0)).label(
            "waiting"
        ),
        sa.func.sum(col(Delivery.rejected)).label("rejected"),
    ).group_by(col(Delivery.source_id))
    if one:
        deliveries = deliveries.where(col(Delivery.source_id) == sa.bindparam("source"))
    return items, papers, deliveries


_COUNTS = {one: _counts(one) for one in (False, True)}


def fetches(session: Session, source_id: int, *, limit: int = 20) -> list[Fetch]:
    """The fetches of a source, the newest first."""
    return list(
        session.exec(
            select(Fetch)
            .where(Fetch.source_id == source_id)
            .order_by(col(Fetch.id).desc())
            .limit(limit)
        )
    )


def fetch(session: Session, fetch_id: int) -> Fetch:
    """Raises NotFound."""
    found = session.get(Fetch, fetch_id) if 0 < fetch_id <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"There is no fetch {fetch_id}.")
    return found


def under_way(session: Session, *, limit: int = 50) -> list[tuple[Fetch, str]]:
    """Fetches that run or wait, with the names of their sources; those that run first."""
    found = session.exec(
        select(Fetch, Source.name)
        .join(Source, col(Source.id) == col(Fetch.source_id))
        .where(col(Fetch.state).in_(ACTIVE))
        .order_by(col(Fetch.state) != FetchState.RUNNING, col(Fetch.id))
        .limit(limit)
    )
    return [(fetch, name) for fetch, name in found]


def deliveries(session: Session, source_id: int, *, limit: int = 20) -> list[Delivery]:
    """The deliveries of a source, the newest first."""
    return list(
        session.exec(
            select(Delivery)
            .where(Delivery.source_id == source_id)
            .order_by(col(Delivery.id).desc())
            .limit(limit)
        )
    )


def due(session: Session, now: datetime) -> list[int]:
    """Sources whose time has come and that have no fetch of what is new yet, the longest due first."""
    moments = {"now": now, "future": now + runs.LONGEST_WAIT}
    return list(session.connection().execute(_DUE, moments).scalars())


_ITS_FETCH = sa.exists().where(
    col(Fetch.source_id) == col(Subscription.source_id),
    col(Fetch.state).in_(ACTIVE),
    col(Fetch.reason) != FetchReason.BACKFILL,
)
_DUE: Any = (
    sa.select(col(Subscription.source_id))
    .where(
        # One that was tried in the future is due: the clock was put back since.
        (col(Subscription.due_at) <= sa.bindparam("now"))
        | (col(Subscription.tried_at) > sa.bindparam("future")),
        col(Subscription.paused).is_(False),
        col(Subscription.stopped) == "",
        ~_ITS_FETCH,
    )
    .order_by(col(Subscription.due_at), col(Subscription.source_id))
)


def ready(
    session: Session, *, now: datetime, clock: float, only: Sequence[int] = ()
) -> list[tuple[int, int]]:
    """(fetch, source) of fetches that nobody is at and that may be tried now, of different sources.

    Those that were under way come first, then what the reader asked for, then what is due; last what
    is due of sources that failed the last time, so that they hold up no other.
    """
    is_due = col(Fetch.reason) == FetchReason.DUE
    statement = (
        sa.select(col(Fetch.id), col(Fetch.source_id))
        .outerjoin(Subscription, col(Subscription.source_id) == col(Fetch.source_id))
        .where(
            col(Fetch.state).in_(ACTIVE),
            col(Fetch.source_id).not_in(runs.held(FETCH, clock=clock)),
            col(Fetch.id).not_in(runs.blocked(session, FETCH, now=now)),
        )
        .order_by(
            sa.and_(is_due, sa.func.coalesce(col(Subscription.failures), 0) > 0),
            col(Fetch.state) != FetchState.RUNNING,
            is_due,
            col(Fetch.id),
        )
    )
    if only:
        statement = statement.where(col(Fetch.source_id).in_(only))
    found: dict[int, int] = {}
    for fetch_id, source_id in rows(session, statement):
        found.setdefault(source_id, fetch_id)
    return [(fetch_id, source_id) for source_id, fetch_id in found.items()]


def waiting(
    session: Session, *, now: datetime, clock: float, only: Sequence[int] = ()
) -> Delivery | None:
    """The oldest delivery to read that nobody is at; last those at which reading was cut off."""
    statement = (
        select(Delivery)
        .outerjoin(Done, sa.and_(col(Done.step) == READ, col(Done.subject_id) == col(Delivery.id)))
        .where(
            Delivery.state == DeliveryState.WAITING,
            col(Delivery.id).not_in(runs.held(READ, clock=clock)),
            col(Delivery.id).not_in(runs.blocked(session, READ, now=now)),
        )
        .order_by(col(Done.seen).is_not(None), col(Delivery.id))
        .limit(1)
    )
    if only:
        statement = statement.where(col(Delivery.source_id).in_(only))
    return session.exec(statement).first()


def cut_off(session: Session, delivery_id: int) -> int:
    """How often reading a delivery began without getting anywhere: each time its process died."""
    row = session.get(Done, (READ, delivery_id))
    return int(row.seen) if row is not None else 0


def note_begun(session: Session, delivery_id: int, times: int) -> None:
    """Note how often in a row its reading began; 0 once it got somewhere."""
    row = session.get(Done, (READ, delivery_id))
    if not times:
        if row is not None:
            session.delete(row)
        return
    row = row or Done(step=READ, subject_id=delivery_id, seen="")
    row.seen = str(times)
    session.add(row)


def count_waiting(session: Session, *, now: datetime, only: Sequence[int] = ()) -> int:
    """How many deliveries wait to be read and may be tried now."""
    statement = (
        sa.select(sa.func.count())
        .select_from(Delivery)
        .where(
            col(Delivery.state) == DeliveryState.WAITING,
            col(Delivery.id).not_in(runs.blocked(session, READ, now=now)),
        )
    )
    if only:
        statement = statement.where(col(Delivery.source_id).in_(only))
    return session.connection().execute(statement).scalar() or 0


def count_active(session: Session, *, now: datetime, only: Sequence[int] = ()) -> int:
    """How many fetches wait or run, but for those that failed and wait for another try."""
    statement = (
        sa.select(sa.func.count())
        .select_from(Fetch)
        .where(
            col(Fetch.state).in_(ACTIVE),
            col(Fetch.id).not_in(runs.blocked(session, FETCH, now=now)),
        )
    )
    if only:
        statement = statement.where(col(Fetch.source_id).in_(only))
    return session.connection().execute(statement).scalar() or 0


def known_keys(session: Session, source_id: int, keys: Sequence[str]) -> dict[str, str]:
    """Of these keys of items those that the source brought before, with the hash of each."""
    return dict(
        session.connection()
        .execute(
            sa.select(col(Item.key), col(Item.hash)).where(
                col(Item.source_id) == source_id, col(Item.key).in_(keys)
            )
        )
        .all()
    )


def came_before(session: Session, fetch: Fetch, raw: str, url: str) -> bool:
    """Whether these bytes are what came from this address the last time, in fetches of the same days.

    Where nothing came from the address, whether they came at all: an address may hold a token.
    """
    statement = (
        select(Delivery.raw_sha256)
        .join(Fetch, col(Fetch.id) == col(Delivery.fetch_id))
        .where(
            Delivery.source_id == fetch.source_id,
            Delivery.state != DeliveryState.FAILED,
            Fetch.first_day == fetch.first_day,
            Fetch.last_day == fetch.last_day,
        )
        .order_by(col(Delivery.id).desc())
        .limit(1)
    )
    last = session.exec(statement.where(Delivery.url == url)).first() if url else None
    if last is None:
        last = session.exec(statement.where(Delivery.raw_sha256 == raw)).first()
    return last == raw


def last_success_before(session: Session, fetch: Fetch) -> datetime | None:
    """When the source was last fetched without an error before this fetch."""
    return session.exec(
        select(Fetch.ended_at)
        .where(
            Fetch.source_id == fetch.source_id,
            col(Fetch.id) < fetch.id,
            Fetch.state == FetchState.DONE,
            Fetch.reason != FetchReason.BACKFILL,
        )
        .order_by(col(Fetch.id).desc())
        .limit(1)
    ).first()


def own_papers(session: Session, *, limit: int = 2_000) -> tuple[str, ...]:
    """Identifiers of papers that are kept, one each ("arxiv:…" where there is one), the newest first."""
    newest = (
        sa.select(col(Paper.id))
        .where(col(Paper.state) == PaperState.KEPT)
        .order_by(col(Paper.id).desc())
        .limit(limit)
        .subquery()
    )
    found = rows(
        session,
        sa.select(col(Identifier.paper_id), col(Identifier.scheme), col(Identifier.value))
        .join(newest, newest.c.id == col(Identifier.paper_id))
        .where(col(Identifier.scheme).in_(_SCHEMES)),
    )
    best: dict[int, tuple[int, str]] = {}
    for paper_id, scheme, value in found:
        choice = (_SCHEMES.index(scheme), f"{scheme}:{value}")
        best[paper_id] = min(best.get(paper_id, choice), choice)
    return tuple(best[each][1] for each in sorted(best, reverse=True))


_SCHEMES = ("arxiv", "doi", "s2", "openreview")


@dataclass(frozen=True)
class Outline:
    """A source as other readers' lists have it."""

    name: str
    url: str
    connector: str
    options: dict[str, Any] = field(default_factory=dict)


def outlines(session: Session) -> list[Outline]:
    """What every source that is fetched is and where, by name: for export."""
    return [
        Outline(source.name, source.url, its.connector, dict(its.options))
        for source, its in session.exec(
            select(Source, Subscription)
            .join(Subscription, col(Subscription.source_id) == col(Source.id))
            .order_by(sa.func.lower(Source.name), col(Source.id))
        )
    ]


def tried(session: Session, fetch_id: int) -> Attempt | None:
    """How often a back-fill failed in a row, and when it goes on."""
    return session.get(Attempt, (FETCH, fetch_id))


def set_aside(session: Session, delivery_id: int) -> Attempt | None:
    """How often a delivery could not be read, and why."""
    return session.get(Attempt, (READ, delivery_id))


def delivery(session: Session, delivery_id: int) -> Delivery:
    """Raises NotFound."""
    found = session.get(Delivery, delivery_id) if 0 < delivery_id <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"There is no delivery {delivery_id}.")
    return found


@dataclass(frozen=True)
class Brought:
    """What became of the entries that some fetch brought, as far as they were read."""

    new: int = 0
    changed: int = 0
    same: int = 0
    rejected: int = 0


def brought(session: Session, fetch_ids: Sequence[int]) -> dict[int, Brought]:
    """What these fetches brought, each; one that brought nothing is not there."""
    names = ("new", "changed", "same", "rejected")
    statement = (
        sa.select(col(Delivery.fetch_id), *(sa.func.sum(getattr(Delivery, name)) for name in names))
        .where(col(Delivery.fetch_id).in_(fetch_ids))
        .group_by(col(Delivery.fetch_id))
    )
    rows = session.connection().execute(statement)
    return {fetch_id: Brought(*map(int, sums)) for fetch_id, *sums in rows}


def refusals(
    session: Session, fetch_id: int, *, limit: int = 100
) -> list[tuple[str, dict[str, str]]]:
    """What of a fetch could not be read: the name of each piece, and {where, reason}."""
    found: list[tuple[str, dict[str, str]]] = []
    for delivery in session.exec(
        select(Delivery)
        .where(Delivery.fetch_id == fetch_id, col(Delivery.rejected) > 0)
        .order_by(col(Delivery.id))
        .limit(limit)
    ):
        found += [(delivery.name, each) for each in delivery.refusals]
    return found[:limit]


# ---------------------------------------------------------------- for screens


@dataclass(frozen=True)
class Imported:
    """A source that nobody fetches: files that were imported, or one that is fetched no more."""

    id: int
    name: str
    kind: str
    items: int
    received_at: datetime | None


def imported(session: Session) -> list[Imported]:
    """Each of them by name. It counts the items of the wiki: remember it between writes."""
    return [Imported(*row) for row in session.connection().execute(_IMPORTED)]


_IMPORTED: Any = (
    sa.select(
        col(Source.id),
        col(Source.name),
        col(Source.kind),
        sa.func.count(col(Item.id)),
        sa.func.max(col(Item.received_at)),
    )
    .outerjoin(Item, col(Item.source_id) == col(Source.id))
    .where(~sa.exists().where(col(Subscription.source_id) == col(Source.id)))
    .group_by(col(Source.id), col(Source.name), col(Source.kind))
    .order_by(sa.func.lower(col(Source.name)), col(Source.id))
)


@dataclass(frozen=True)
class Brief:
    """How all sources stand, for one line: fetches that run, and sources that need the reader."""

    running: int = 0
    stopped: int = 0
    failing: int = 0


def brief(session: Session) -> Brief:
    """In one statement over rows of subscriptions and active fetches alone.

    One that failed once is tried again soon, and is no trouble yet.
    """
    return Brief(*session.connection().execute(_BRIEF).one())


_BRIEF = sa.select(
    sa.select(sa.func.count())
    .select_from(Fetch)
    .where(col(Fetch.state) == FetchState.RUNNING)
    .scalar_subquery(),
    *(
        sa.select(sa.func.count())
        .select_from(Subscription)
        .where(col(Subscription.paused).is_(False), which)
        .scalar_subquery()
        for which in (
            col(Subscription.stopped) != "",
            (col(Subscription.stopped) == "") & (col(Subscription.failures) > 1),
        )
    ),
)


@dataclass(frozen=True)
class Outage:
    """That nothing can come in: of so many sources that are fetched by themselves, none is well.

    `reason` is what the last one asked said; `next_try` the soonest, None where all were stopped.
    """

    sources: int
    reason: str
    next_try: datetime | None


def outage(session: Session) -> Outage | None:
    """Whether every source that is not paused failed or was stopped; None too where there is none."""
    total, well = session.connection().execute(_STAND).one()
    if not total or well:
        return None
    last = session.exec(
        select(Subscription)
        .where(_AWAKE)
        .order_by(col(Subscription.tried_at).is_(None), col(Subscription.tried_at).desc())
        .limit(1)
    ).one()
    soonest = session.exec(
        select(Subscription.due_at)
        .where(_AWAKE, col(Subscription.stopped) == "")
        .order_by(col(Subscription.due_at))
        .limit(1)
    ).first()
    return Outage(total, last.stopped or last.last_error, soonest)


_AWAKE = col(Subscription.paused).is_(False)
_STAND = sa.select(
    sa.func.count(),
    sa.func.count(
        sa.case(((col(Subscription.stopped) == "") & (col(Subscription.failures) == 0), 1))
    ),
).where(_AWAKE)


def failed_deliveries(session: Session, *, limit: int = 50) -> list[tuple[Delivery, str]]:
    """Deliveries of which nothing could be read, with the names of their sources, newest first."""
    rows = session.exec(
        select(Delivery, Source.name)
        .join(Source, col(Source.id) == col(Delivery.source_id))
        .where(Delivery.state == DeliveryState.FAILED)
        .order_by(col(Delivery.id).desc())
        .limit(limit)
    )
    return [(delivery, name) for delivery, name in rows]


@dataclass(frozen=True)
class Named:
    """What a source is called, and whether it is fetched."""

    name: str
    fetched: bool


def named(session: Session, source_id: int) -> Named:
    """Any source, also one that is fetched no more. Raises NotFound."""
    source = session.get(Source, source_id) if 0 < source_id <= LARGEST_ID else None
    if source is None:
        raise NotFound(f"There is no source {source_id}.")
    return Named(source.name, session.get(Subscription, source_id) is not None)


@dataclass(frozen=True)
class Gone:
    """A source that nobody fetches, with what came from it.

    `removed`: it was fetched once, else it is a file that was read; `at` is when the reader removed
    it, None where that was not noted.
    """

    source: Source
    counts: Counts
    removed: bool
    at: datetime | None


def gone(session: Session, source_id: int) -> Gone | None:
    """One that nobody fetches; None for one that is fetched. Raises NotFound for what never was."""
    if named(session, source_id).fetched:
        return None
    source = session.get_one(Source, source_id)
    fetched, at = session.connection().execute(_LAST_OF, {"source": source_id}).one()
    counts = counted(session, source_id=source_id).get(source_id, NOTHING)
    return Gone(source, counts, bool(fetched), at)


_LAST_OF = sa.select(
    sa.func.count(), sa.func.max(sa.case((col(Fetch.error) == REMOVED, col(Fetch.ended_at))))
).where(col(Fetch.source_id) == sa.bindparam("source"))


def with_keys(session: Session, keys: Sequence[str]) -> dict[str, int]:
    """The sources among those that are fetched that have one of these keys."""
    statement = (
        sa.select(col(Source.key), col(Source.id))
        .join(Subscription, col(Subscription.source_id) == col(Source.id))
        .where(col(Source.key).in_(keys))
    )
    rows: Any = session.connection().execute(statement)
    return dict(rows.all())


@dataclass(frozen=True)
class Listed:
    """An item or a paper that a source brought. `slug` is its page, '' for none."""

    id: int
    title: str
    day: str
    url: str
    slug: str
    kind: str
    state: str


def items(session: Session, source_id: int, *, before: int, limit: int) -> list[Listed]:
    """What came in from a source, the newest first; with `before`, what is older than that item."""
    own, paper = aliased(Page), aliased(Page)
    statement: Any = (
        sa.select(
            col(Item.id),
            col(Item.title),
            col(Item.published),
            col(Item.url),
            sa.func.coalesce(own.slug, paper.slug, ""),
            sa.func.coalesce(
                sa.cast(own.kind, sa.String),
                sa.case((col(Paper.id).is_not(None), "paper"), else_=""),
            ),
            sa.func.coalesce(sa.cast(col(Paper.state), sa.String), ""),
        )
        .outerjoin(own, sa.and_(col(own.id) == col(Item.page_id), col(own.kind).not_in(GONE)))
        .outerjoin(Paper, col(Paper.id) == col(Item.paper_id))
        .outerjoin(paper, col(paper.id) == col(Paper.page_id))
        .where(col(Item.source_id) == source_id, col(Item.id) < (before or LARGEST_ID))
        .order_by(col(Item.id).desc())
        .limit(limit)
    )
    return [Listed(*row) for row in session.connection().execute(statement)]


def papers(
    session: Session, source_id: int, *, kept: bool, before: int, limit: int
) -> list[Listed]:
    """The papers that items of a source are or speak of, or those of them kept, the newest first."""
    is_one = sa.select(col(Item.paper_id)).where(
        col(Item.source_id) == source_id, col(Item.paper_id).is_not(None)
    )
    speaks = (
        sa.select(col(Mention.paper_id))
        .join(Item, col(Item.id) == col(Mention.item_id))
        .where(col(Item.source_id) == source_id)
    )
    statement: Any = (
        sa.select(
            col(Paper.id),
            col(Paper.title),
            col(Paper.published),
            sa.literal(""),
            sa.func.coalesce(col(Page.slug), ""),
            sa.literal("paper"),
            sa.cast(col(Paper.state), sa.String),
        )
        .outerjoin(Page, col(Page.id) == col(Paper.page_id))
        .where(col(Paper.id).in_(sa.union(is_one, speaks)), col(Paper.id) < (before or LARGEST_ID))
        .order_by(col(Paper.id).desc())
        .limit(limit)
    )
    if kept:
        statement = statement.where(col(Paper.state) == PaperState.KEPT)
    return [Listed(*row) for row in session.connection().execute(statement)]
