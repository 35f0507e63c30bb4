"""Fetchers: threads that ask one source each, and the reading of what they brought.

Between the services that keep the books (services/fetching.py, services/arrivals.py) and the connectors
and readers that know the formats. Nothing of the database is open while a server is asked or bytes are
read: a source that never answers holds up a thread, for half a minute, and nobody else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol

from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.domain.items import Bundle, Document, Rejected
from app.domain.records import ActKind, Fetch
from app.errors import CerebroError, NotFetched, NotFound, Unavailable, Unreadable
from app.services import arrivals, fetching, ingest
from app.sources.base import File, Reader
from app.sources.connectors import Connector, Fetched, Wanted, Web
from app.store import acts, items, sources
from app.store.db import reading, settle, writing

log = logging.getLogger("cerebro.sources")

AT_ONCE = 16
"""Sources that one worker asks at the same time."""
ENTRIES = 20  # of a delivery that are stored in one transaction
BREATH = 0.02  # seconds between two of them, in which another writer may begin
_LOOK = 0.5  # seconds between two looks at what has become due
_SETTLE = 500  # entries after which the planner is told anew what the tables hold


class Tools(Protocol):
    """What fetching needs of the App."""

    @property
    def engine(self) -> Engine: ...
    @property
    def web(self) -> Web: ...
    @property
    def connectors(self) -> tuple[Connector, ...]: ...
    @property
    def readers(self) -> tuple[Reader, ...]: ...
    @property
    def raw_folder(self) -> Path: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...
    def today(self) -> date: ...
    def secret(self, connector: str) -> str: ...


@dataclass(frozen=True)
class Heard:
    """What a fetch says while it runs, and at its end (`ended`), with why it failed."""

    fetch_id: int
    source_id: int
    name: str
    responses: int = 0
    seen: int = 0
    total: int | None = None
    ended: bool = False
    error: str = ""


class Fetchers:
    """Threads that fetch what is due for one owner of holds, each source on its own.

    `only`: nothing but what was asked of these sources. `heard` is called from the threads.
    """

    def __init__(
        self,
        tools: Tools,
        owner: str,
        *,
        only: Sequence[int] = (),
        at_once: int = AT_ONCE,
        heard: Callable[[Heard], None] = lambda heard: None,
    ) -> None:
        self._tools = tools
        self._owner = owner
        self._only = tuple(only)
        self._at_once = at_once
        self._heard = heard
        self._stopping: Callable[[], bool] = lambda: False
        self._ended: SimpleQueue[tuple[fetching.Taken, bool | Exception]] = SimpleQueue()

    def run(self, stopping: Callable[[], bool] = lambda: False) -> tuple[int, int]:
        """Fetch until nothing is left that nobody else is at: how many came, and how many did not.

        Once it is `stopping` it returns soon: what is under way is taken up again where it was.
        Raises what kept the wiki's own database or disk from being used.
        """
        self._stopping = stopping
        done = failed = 0
        running: dict[int, fetching.Taken] = {}
        trouble: Exception | None = None
        while not self._stopping():
            if trouble is None:
                for taken in self._take_up(running):
                    running[taken.source_id] = taken
                    name = f"fetch {taken.source_id}"
                    Thread(target=self._one, args=(taken,), name=name, daemon=True).start()
            if not running:
                break
            with suppress(Empty):
                while running:
                    taken, came = self._ended.get(timeout=_LOOK)
                    running.pop(taken.source_id, None)
                    if isinstance(came, Exception):
                        trouble = trouble or came
                    else:
                        done, failed = done + came, failed + (not came)
                    if self._ended.empty():
                        break
        if trouble is not None:
            raise trouble
        return done, failed

    def _take_up(self, running: dict[int, fetching.Taken]) -> list[fetching.Taken]:
        tools, now, clock = self._tools, self._tools.clock(), time.time()
        most = self._at_once - len(running)
        if most <= 0:
            return []
        with reading(tools.engine) as session:  # a look that writes nothing: most find nothing
            ready = sources.ready(session, now=now, clock=clock, only=self._only)
            if not ready and (self._only or not sources.due(session, now)):
                return []
        with writing(tools.engine) as session:
            return fetching.take_up(
                session,
                owner=self._owner,
                today=tools.today(),
                now=now,
                clock=clock,
                most=most,
                busy={each.host for each in running.values()},
                only=self._only,
            )

    # ------------------------------------------------------------ one fetch, on its thread

    def _one(self, taken: fetching.Taken) -> None:
        """Fetch one source. Says True when it came, False when not, or what went wrong here."""
        came: bool | Exception
        try:
            came = self._fetch(taken)
        except Unavailable as error:
            came = error
            with suppress(Exception), writing(self._tools.engine) as session:
                fetching.leave(session, taken, owner=self._owner)
        except Exception as error:
            log.exception("what %s brought could not be kept", taken.name)
            came = self._not_kept(taken, error)
        self._ended.put((taken, came))

    def _not_kept(self, taken: fetching.Taken, error: Exception) -> bool | Exception:
        """A response that no row can hold, however odd, is a failure of its source alone."""
        why = f"What it brought could not be kept ({type(error).__name__}); the log says more."
        now = self._tools.clock()
        try:
            with writing(self._tools.engine) as session:
                fetching.failed(session, taken, NotFetched(why), owner=self._owner, now=now)
        except Exception as trouble:
            return trouble
        self._heard(_told(taken, ended=True, error=why))
        return False

    def _fetch(self, taken: fetching.Taken) -> bool:
        tools = self._tools
        error: NotFetched | None = None
        responses = 0
        try:
            for fetched in self._asked(taken):
                row = self._keep(taken, fetched)
                if row is None:
                    self._heard(_told(taken, ended=True, error="It was ended early."))
                    return True
                responses = row.responses
                self._heard(_told(taken, responses=responses, seen=row.seen, total=row.total))
                if responses >= fetching.MOST_RESPONSES:
                    raise NotFetched("It sends on to one more page without end.")
                if self._stopping():
                    with writing(tools.engine) as session:
                        fetching.leave(session, taken, owner=self._owner)
                    return True
                with reading(tools.engine) as session:
                    ends = fetching.is_cancelled(session, taken)
                if ends:
                    with writing(tools.engine) as session:
                        fetching.cancelled(session, taken, owner=self._owner, now=tools.clock())
                    self._heard(_told(taken, ended=True, error="It was cancelled."))
                    return True
        except NotFetched as refused:
            error = refused
        now = tools.clock()
        with writing(tools.engine) as session:
            if error is None:
                fetching.succeeded(session, taken, owner=self._owner, now=now)
            else:
                fetching.failed(session, taken, error, owner=self._owner, now=now)
        if error is not None:
            log.info("%s was not fetched: %s", taken.name, error)
        self._heard(_told(taken, responses=responses, ended=True, error=str(error or "")))
        return error is None

    def _asked(self, taken: fetching.Taken) -> Iterator[Fetched]:
        """What the connector brings; whatever it raises is a NotFetched of this source alone."""
        tools = self._tools
        connector = next((c for c in tools.connectors if c.name == taken.connector), None)
        if connector is None:
            raise NotFetched(f"There is no connector {taken.connector} any more.", again=False)
        brought = connector.fetch(tools.web, self._told_all(connector, taken.wanted))
        try:
            while (fetched := _next(brought, taken)) is not None:
                yield fetched
        finally:
            with suppress(Exception):
                getattr(brought, "close", lambda: None)()

    def _told_all(self, connector: Connector, wanted: Wanted) -> Wanted:
        secret = self._tools.secret(connector.name)
        papers: tuple[str, ...] = ()
        if getattr(connector, "asks_about_papers", False):
            with reading(self._tools.engine) as session:
                papers = sources.own_papers(session)
        return replace(wanted, secret=secret, papers=papers)

    def _keep(self, taken: fetching.Taken, fetched: Fetched) -> Fetch | None:
        tools = self._tools
        # The bytes are on the disk before the row that names them.
        raw = items.keep_raw(tools.raw_folder, fetched.data) if fetched.data else ""
        with writing(tools.engine) as session:
            return fetching.keep(
                session, taken, fetched, raw=raw, owner=self._owner, now=tools.clock()
            )


def _told(
    taken: fetching.Taken,
    *,
    responses: int = 0,
    seen: int = 0,
    total: int | None = None,
    ended: bool = False,
    error: str = "",
) -> Heard:
    return Heard(taken.fetch_id, taken.source_id, taken.name, responses, seen, total, ended, error)


def _next(brought: Iterator[Fetched], taken: fetching.Taken) -> Fetched | None:
    try:
        return next(brought, None)
    except NotFetched:
        raise
    except Unavailable:
        raise  # ours is missing, not theirs: no fault of the source
    except CerebroError as error:
        raise NotFetched(str(error), again=False) from error
    except Exception as error:
        log.exception("the connector %s failed at %s", taken.connector, taken.name)
        raise NotFetched(
            f"Its connector failed ({type(error).__name__}); the log says more."
        ) from error


# ---------------------------------------------------------------- reading what came


@dataclass(frozen=True)
class Read:
    """A delivery that was read, and whether that went well."""

    source: str
    name: str
    ok: bool

    @property
    def in_words(self) -> str:
        return f"{self.source}, {self.name}"


def read_delivery(tools: Tools, owner: str, *, only: Sequence[int] = ()) -> Read | None:
    """Read the oldest delivery that waits (of these sources), and store what is in it.

    None when none waits. An entry that cannot be stored is refused alone.
    """
    now = tools.clock()
    with writing(tools.engine) as session:
        taken = arrivals.take_up(session, owner=owner, now=now, clock=time.time(), only=only)
    if taken is None:
        return None
    words = f"{taken.source}: {taken.name}"
    try:
        with acts.doing(tools.engine, ActKind.DELIVERY, words, clock=tools.clock):
            ok = _read(tools, taken, owner)
    except Unavailable:
        with suppress(Exception), writing(tools.engine) as session:
            arrivals.leave(session, taken, owner=owner)
        raise
    except Unreadable as error:
        ok, reason = False, str(error)
        with writing(tools.engine) as session:
            arrivals.unreadable(session, taken, reason, owner=owner)
    except Exception as error:
        log.exception("%s of %s could not be read", taken.name, taken.source)
        ok, reason = False, _failure(error)
        with writing(tools.engine) as session:
            arrivals.failed(session, taken, reason, owner=owner, now=tools.clock())
    return Read(taken.source, taken.name, ok)


def _failure(error: Exception) -> str:
    if isinstance(error, CerebroError):
        return str(error)
    return f"It could not be read ({type(error).__name__}); the log says more."


def _read(tools: Tools, taken: arrivals.Taken, owner: str) -> bool:
    reader = next((each for each in tools.readers if each.format == taken.format), None)
    if reader is None:
        raise Unreadable(f"There is no reader of {taken.format!r} any more.")
    data = _bytes(tools.raw_folder, taken.raw)
    read = reader.read(File(taken.name, data, url=taken.url, headers=taken.headers))
    entries = iter(read.documents) if isinstance(read, Bundle) else iter([read])
    number = 0
    while some := [_whole(each) for each in islice(entries, ENTRIES)]:
        if not _store(tools, taken, read, some, len(data), owner):
            return False
        number += len(some)
        time.sleep(BREATH)
    with writing(tools.engine) as session:
        finished = arrivals.finish(session, taken, owner=owner)
    if number >= _SETTLE:
        settle(tools.engine)
    return finished


def _bytes(folder: Path, digest: str) -> bytes:
    try:
        return (folder / digest[:2] / digest).read_bytes()
    except OSError as error:
        raise NotFound(f"The bytes {digest[:12]}… are not in {folder}.") from error


def _whole(entry: Document | Rejected) -> Document | Rejected:
    """An entry that can be gone through again, read before any transaction is open."""
    if isinstance(entry, Rejected):
        return entry
    return replace(entry, arrivals=tuple(entry.arrivals))


def _store(
    tools: Tools,
    taken: arrivals.Taken,
    read: Document | Bundle,
    entries: Sequence[Document | Rejected],
    size: int,
    owner: str,
) -> bool:
    """Store some entries in one transaction; one by one where they cannot be stored together.

    False when the delivery is somebody else's by now.
    """
    try:
        with writing(tools.engine) as session:
            return _put(session, tools, taken, read, entries, size, owner)
    except Unavailable:
        raise
    except Exception as error:
        if len(entries) > 1:
            return all(_store(tools, taken, read, [each], size, owner) for each in entries)
        [entry] = entries
        where = entry.where if isinstance(entry, Rejected) else entry.title or entry.key
        log.exception("%r of %s could not be stored", where[:200], taken.source)
        why = str(error) if isinstance(error, CerebroError) else _failure(error)
        refused = Rejected(where=where[:300], reason=why.replace("read", "stored", 1))
        with writing(tools.engine) as session:
            return _put(session, tools, taken, read, [refused], size, owner)


def _put(
    session: Session,
    tools: Tools,
    taken: arrivals.Taken,
    read: Document | Bundle,
    entries: Sequence[Document | Rejected],
    size: int,
    owner: str,
) -> bool:
    found = arrivals.wanted(session, taken, entries, owner=owner)
    if found is None:
        return False
    source = read.source
    report = ingest.store_delivery(
        session,
        Bundle(source=source, format=read.format, documents=found.entries),
        found.source,
        raw_sha256=taken.raw,
        size=size,
        now=tools.clock(),
    )
    arrivals.count(session, taken, found, report.rejected)
    return True
