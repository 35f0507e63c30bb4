"""Fetchers: one fetch a source at a time, each response kept once, whatever happens; and reading it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from app.bootstrap import App
from app.domain.items import Bundle, Document, PaperArrival, Rejected, SourceRef
from app.domain.records import (
    Attempt,
    Delivery,
    DeliveryState,
    Fetch,
    FetchReason,
    FetchState,
    Hold,
    Item,
    Paper,
    Source,
    SourceKind,
    Subscription,
)
from app.errors import Invalid, NotFetched, Unavailable, Unreadable
from app.fetchers import Fetchers, Heard, read_delivery
from app.services import arrivals, subscriptions
from app.services.ingest import _Ingest
from app.services.linker import shipped_weights
from app.settings import Settings
from app.sources.base import File
from app.sources.connectors import Fetched, Found, Wanted, Web
from app.store import items, runs
from app.store.db import open_engine, reading, writing
from tests import databases

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
PAGES = 3
ROOT = Path(__file__).parent.parent


def entries(*numbers: int, of: str = "s") -> bytes:
    """A response: lines of entries."""
    return "\n".join(json.dumps({"id": f"{of}{number}"}) for number in numbers).encode()


@dataclass
class Lines:
    """A reader of such responses; entries that say so are odd."""

    format: str = "lines"
    breaks: int = 0  # so often it fails as a whole at what holds "a"

    def recognises(self, file: File) -> bool:
        return False

    def read(self, file: File) -> Document | Bundle:
        if self.breaks and b'"a"' in file.data:
            self.breaks -= 1
            raise KeyError("a bug of the reader")
        if file.data.startswith(b"<"):
            raise Unreadable("This is no line.")
        ref = SourceRef(key="x", kind=SourceKind.LISTING, name="X")
        return Bundle(source=ref, format=self.format, documents=self._documents(file, ref))

    def _documents(self, file: File, ref: SourceRef) -> Iterator[Document | Rejected]:
        for number, text in enumerate(file.data.decode().splitlines()):
            row = json.loads(text)
            if "bad" in row:
                yield Rejected(where=f"line {number + 1}", reason="It is bad.")
                continue
            title = row.get("title", f"On {row['id']}")
            yield Document(
                source=ref,
                key=row["id"],
                format=row.get("format", self.format),
                title=title,
                arrivals=(PaperArrival(refs=(), title=title),),
                hash=sha256(text.encode()).hexdigest(),
                published=row.get("day", ""),
            )


@dataclass
class Asked:
    """A connector of `PAGES` pages that the test may interfere with before each."""

    name: str = "asked"
    kind: SourceKind = SourceKind.LISTING
    every_minutes: int = 60
    options: Mapping[str, str] = field(default_factory=dict)
    pages: int = PAGES
    before: Callable[[Wanted, int], None] = lambda wanted, number: None
    moved: str = ""
    wanted: list[Wanted] = field(default_factory=list)

    def finds(self, text: str) -> Found | None:
        return None

    def fetch(self, web: Web, wanted: Wanted) -> Iterator[Fetched]:
        self.wanted.append(wanted)
        start = int(wanted.cursor.get("next", 0))
        for number in range(start, self.pages):
            self.before(wanted, number)
            of = wanted.url.rpartition("/")[2] or "s"
            yield Fetched(
                cursor={"next": number + 1},
                data=entries(2 * number, 2 * number + 1, of=of),
                format="lines",
                name=f"page {number}",
                url=f"{wanted.url}?{number}",
                headers={"content-type": "text/lines"},
                seen=2 * number + 2,
                total=2 * self.pages,
                moved=self.moved,
            )
        self.before(wanted, self.pages)


@dataclass
class Wiki:
    """An App of a test whose clock is moved by hand."""

    app: App
    connector: Asked
    reader: Lines
    now: datetime = NOW

    def add(self, name: str = "s", connector: str = "asked", url: str = "") -> int:
        found = Found(f"{connector}:{name}", connector, url or f"https://{name}.test/{name}", name)
        with writing(self.app.engine) as session:
            made = subscriptions.add(session, found, connectors=self.app.connectors, now=self.now)
            assert made.id is not None
            return made.id

    def fetch(self, **given: Any) -> tuple[int, int]:
        with runs.at_work(self.app.engine) as owner:
            return Fetchers(self.app, owner, **given).run()

    def read(self) -> list[bool]:
        done = []
        with runs.at_work(self.app.engine) as owner:
            while (read := read_delivery(self.app, owner)) is not None:
                done.append(read.ok)
        return done

    def all(self, table: Any) -> list[Any]:
        with reading(self.app.engine) as session:
            found = list(session.exec(select(table)))
            session.expunge_all()
            return sorted(found, key=lambda row: getattr(row, "id", None) or 0)

    def its(self, source_id: int) -> Subscription:
        [found] = [each for each in self.all(Subscription) if each.source_id == source_id]
        assert isinstance(found, Subscription)
        return found

    def last(self) -> Fetch:
        found = self.all(Fetch)[-1]
        assert isinstance(found, Fetch)
        return found

    def titles(self) -> list[str]:
        return sorted(paper.title for paper in self.all(Paper))


def make(folder: Path, connector: Asked, reader: Lines, url: str = "") -> Wiki:
    app = App(
        Settings(data=folder, timezone="UTC", now=NOW),
        open_engine(url or databases.url_of(folder)),
        shipped_weights(None),
        readers=(reader,),
        connectors=(connector,),
    )
    return Wiki(app, connector, reader)


@pytest.fixture
def wiki(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wiki]:
    made = make(tmp_path, Asked(), Lines())
    monkeypatch.setattr(Settings, "clock", lambda self: made.now)
    yield made
    made.app.engine.dispose()


# ---------------------------------------------------------------- a fetch


def test_what_is_due_is_fetched_kept_as_it_came_and_read(wiki: Wiki) -> None:
    source = wiki.add()
    assert wiki.fetch() == (1, 0)
    fetch = wiki.last()
    assert (fetch.state, fetch.reason) == (FetchState.DONE, FetchReason.DUE)
    assert (fetch.responses, fetch.seen, fetch.total) == (3, 6, 6)
    kept = wiki.all(Delivery)
    assert [each.name for each in kept] == ["page 0", "page 1", "page 2"]
    assert kept[0].headers == {"content-type": "text/lines"}
    file = wiki.app.raw_folder / kept[0].raw_sha256[:2] / kept[0].raw_sha256
    assert file.read_bytes() == entries(0, 1)
    assert fetch.size == sum(len(entries(2 * n, 2 * n + 1)) for n in range(3))
    assert wiki.titles() == []
    assert wiki.read() == [True] * 3
    assert wiki.titles() == [f"On s{number}" for number in range(6)]
    assert [each.new for each in wiki.all(Delivery)] == [2, 2, 2]
    its = wiki.its(source)
    assert its.succeeded_at == NOW and its.cursor == {"next": 3}
    assert NOW + timedelta(hours=1) <= its.due_at <= NOW + timedelta(minutes=65)
    assert wiki.all(Hold) == []


def test_a_connector_is_told_what_is_wanted(wiki: Wiki) -> None:
    wiki.add()
    wiki.fetch()
    [wanted] = wiki.connector.wanted
    assert (wanted.url, wanted.cursor, wanted.since) == ("https://s.test/s", {}, "2026-04-14")
    assert (wanted.today, wanted.first, wanted.last) == (date(2026, 5, 14), "", "")


def test_after_a_long_sleep_a_source_is_fetched_once_and_from_its_cursor(wiki: Wiki) -> None:
    wiki.add()
    wiki.fetch()
    wiki.now += timedelta(days=10)
    wiki.connector.pages = 4
    assert wiki.fetch() == (1, 0)
    assert wiki.fetch() == (0, 0)
    assert [dict(each.cursor) for each in wiki.connector.wanted] == [{}, {"next": 3}]
    assert len(wiki.all(Delivery)) == 4


def anew(wiki: Wiki, source: int) -> None:
    """Have a source fetched from its beginning."""
    with writing(wiki.app.engine) as session:
        its = session.get(Subscription, source)
        assert its is not None
        its.cursor, its.due_at = {}, wiki.now
        session.add(its)
    wiki.fetch()


def test_pages_that_stand_as_they_did_are_kept_once(wiki: Wiki) -> None:
    source = wiki.add()
    wiki.fetch()
    anew(wiki, source)
    assert [each.responses for each in wiki.all(Fetch)] == [3, 3]
    assert len(wiki.all(Delivery)) == 3
    days = ("2026-05-01", "2026-05-03")
    for _ in range(2):  # a back-fill looks at other entries of the same bytes
        with writing(wiki.app.engine) as session:
            subscriptions.backfill(session, source, *days, today=date(2026, 5, 14), now=NOW)
        wiki.fetch()
        assert len(wiki.all(Delivery)) == 6


def test_a_page_that_is_again_as_it_was_before_the_last_change_is_kept(wiki: Wiki) -> None:
    source = wiki.add()
    bodies = [entries(1), entries(2), entries(1), entries(1)]
    real = wiki.connector.fetch

    def fetch(web: Web, wanted: Wanted) -> Iterator[Fetched]:
        body = bodies.pop(0)
        yield replace(next(real(web, wanted)), data=body)

    wiki.connector.fetch = fetch  # type: ignore[method-assign]
    wiki.fetch()
    for _ in range(3):
        anew(wiki, source)
    assert bodies == []
    assert len(wiki.all(Delivery)) == 3


def test_two_who_work_at_once_fetch_no_source_twice(wiki: Wiki, tmp_path: Path) -> None:
    """Another process: an engine, an owner and threads of its own, on the same database."""
    for number in range(12):
        wiki.add(f"s{number}")
    overlapping: list[str] = []
    at_it: set[str] = set()
    guard = threading.Lock()

    def before(wanted: Wanted, number: int) -> None:
        with guard:
            if wanted.url in at_it:
                overlapping.append(wanted.url)
            at_it.add(wanted.url)
        time.sleep(0.01)
        with guard:
            at_it.discard(wanted.url)

    wiki.connector.before = before
    others = [make(tmp_path, wiki.connector, wiki.reader) for _ in range(2)]
    came: list[tuple[int, int]] = []
    threads = [
        threading.Thread(target=lambda each=each: came.append(each.fetch(at_once=4)))
        for each in others
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlapping == []
    assert sum(done for done, _ in came) == 12
    assert len(wiki.connector.wanted) == 12
    assert len(wiki.all(Delivery)) == 12 * PAGES
    for each in others:
        each.app.engine.dispose()


def test_one_host_is_asked_for_one_source_at_a_time(wiki: Wiki) -> None:
    for number in range(5):
        wiki.add(f"s{number}", url=f"https://one.test/{number}")
    most, now_at_it = [0], [0]

    def before(wanted: Wanted, number: int) -> None:
        now_at_it[0] += 1
        most[0] = max(most[0], now_at_it[0])
        time.sleep(0.005)
        now_at_it[0] -= 1

    wiki.connector.before = before
    assert wiki.fetch() == (5, 0)
    assert most == [1]


def test_a_source_that_holds_its_thread_up_keeps_no_other_waiting(wiki: Wiki) -> None:
    for number in range(6):
        wiki.add(f"s{number}")
    go_on = threading.Event()
    heard: list[Heard] = []

    def before(wanted: Wanted, number: int) -> None:
        if wanted.url.endswith("s0"):
            assert go_on.wait(30)

    def hear(said: Heard) -> None:
        heard.append(said)
        if sum(each.ended for each in heard) == 5:
            go_on.set()  # only once the five others have come

    wiki.connector.before = before
    assert wiki.fetch(at_once=2, heard=hear) == (6, 0)
    assert [each.name for each in heard if each.ended][-1] == "s0"


# ---------------------------------------------------------------- how it may end


def refuse(error: Exception, at: int = 0) -> Callable[[Wanted, int], None]:
    def before(wanted: Wanted, number: int) -> None:
        if number == at:
            raise error

    return before


def test_what_does_not_answer_is_tried_later_and_later_and_goes_on_where_it_was(wiki: Wiki) -> None:
    source = wiki.add()
    wiki.connector.before = refuse(NotFetched("It is down."), at=1)
    waits = []
    for _ in range(12):
        assert wiki.fetch() == (0, 1)
        its = wiki.its(source)
        waits.append(its.due_at - wiki.now)
        assert wiki.fetch() == (0, 0)
        wiki.now = its.due_at
    assert (its.failures, its.last_error) == (12, "It is down.")
    assert timedelta(minutes=4) <= waits[0] <= timedelta(minutes=5)
    assert all(wait <= timedelta(days=1) for wait in waits)
    assert waits[-1] > timedelta(hours=19)
    assert len(wiki.all(Delivery)) == 1  # its first page came, and is not asked for again
    wiki.connector.before = lambda wanted, number: None
    assert wiki.fetch() == (1, 0)
    its = wiki.its(source)
    assert (its.failures, its.last_error) == (0, "")
    assert [each.name for each in wiki.all(Delivery)] == ["page 0", "page 1", "page 2"]


def test_who_asks_us_to_wait_is_waited_for(wiki: Wiki) -> None:
    source = wiki.add()
    wiki.connector.before = refuse(NotFetched("Too many.", after=7200))
    wiki.fetch()
    assert wiki.its(source).due_at == NOW + timedelta(hours=2)


def test_what_is_gone_for_good_is_stopped_until_the_reader_says_so(wiki: Wiki) -> None:
    source = wiki.add()
    wiki.connector.before = refuse(NotFetched("It is gone (410).", again=False, status=410))
    assert wiki.fetch() == (0, 1)
    its = wiki.its(source)
    assert its.stopped == "It is gone (410)."
    wiki.now += timedelta(days=100)
    assert wiki.fetch() == (0, 0)
    wiki.connector.before = lambda wanted, number: None
    with writing(wiki.app.engine) as session:
        subscriptions.resume(session, source, now=wiki.now)
    assert wiki.fetch() == (1, 0)
    assert wiki.its(source).stopped == ""


def test_asked_for_by_hand_a_stopped_source_that_answers_goes_on(wiki: Wiki) -> None:
    source = wiki.add()
    wiki.connector.before = refuse(Invalid("The option is wrong."))
    wiki.fetch()
    assert wiki.its(source).stopped == "The option is wrong."
    wiki.connector.before = lambda wanted, number: None
    with writing(wiki.app.engine) as session:
        subscriptions.ask(session, source, now=wiki.now)
    assert wiki.fetch(only=[source]) == (1, 0)
    assert wiki.its(source).stopped == ""


def test_a_bug_of_a_connector_is_a_failure_of_its_source_alone(
    wiki: Wiki, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = wiki.add("bad"), wiki.add("good")

    def before(wanted: Wanted, number: int) -> None:
        if "bad" in wanted.url and number == 2:
            raise ZeroDivisionError("oh")

    wiki.connector.before = before
    assert wiki.fetch() == (1, 1)
    assert "ZeroDivisionError" in wiki.its(bad).last_error
    assert "ZeroDivisionError: oh" in caplog.text
    assert wiki.its(good).failures == 0
    assert len(wiki.all(Delivery)) == PAGES + 2


def test_a_response_that_no_row_can_hold_is_a_failure_of_its_source_alone(wiki: Wiki) -> None:
    bad, good = wiki.add("bad"), wiki.add("good")
    real = wiki.connector.fetch

    def fetch(web: Web, wanted: Wanted) -> Iterator[Fetched]:
        for fetched in real(web, wanted):
            odd = {"cursor": {"at": {1, 2}}} if "bad" in wanted.url else {"total": 10**30}
            yield replace(fetched, **odd)

    wiki.connector.fetch = fetch  # type: ignore[method-assign]
    assert wiki.fetch() == (1, 1)
    assert wiki.its(bad).last_error.startswith("What it brought could not be kept")
    assert wiki.its(good).failures == 0
    assert wiki.fetch() == (0, 0)


def test_trouble_of_our_own_is_no_fault_of_a_source(wiki: Wiki) -> None:
    """A full disk, say: the fetch waits where it is, and whoever runs it hears of it."""
    source = wiki.add()
    wiki.connector.before = refuse(Unavailable("The disk is full."), at=1)
    with pytest.raises(Unavailable, match="disk is full"):
        wiki.fetch()
    assert (wiki.its(source).failures, wiki.last().state) == (0, FetchState.RUNNING)
    wiki.connector.before = lambda wanted, number: None
    assert wiki.fetch() == (1, 0)
    assert [each.name for each in wiki.all(Delivery)] == ["page 0", "page 1", "page 2"]


def test_a_connector_that_is_no_more_stops_its_sources(wiki: Wiki) -> None:
    source = wiki.add()
    wiki.app.connectors = ()
    assert wiki.fetch() == (0, 1)
    assert wiki.its(source).stopped == "There is no connector asked any more."


def test_an_address_that_moved_for_good_is_followed_after_three_times(wiki: Wiki) -> None:
    source = wiki.add()
    wiki.connector.moved = "https://new.test/s"
    addresses = []
    for number in range(4):
        wiki.connector.pages = PAGES * (number + 1)
        wiki.fetch()
        wiki.now += timedelta(hours=2)
        addresses.append(wiki.connector.wanted[-1].url)
    assert addresses == ["https://s.test/s"] * 3 + ["https://new.test/s"]
    assert wiki.its(source).moved_times == 1


def test_a_move_that_is_taken_back_is_none(wiki: Wiki) -> None:
    source = wiki.add()
    for number, moved in enumerate(["https://n.test/", "https://n.test/", "", "https://n.test/"]):
        wiki.connector.pages, wiki.connector.moved = PAGES * (number + 1), moved
        wiki.fetch()
        wiki.now += timedelta(hours=2)
    assert wiki.its(source).moved_times == 1
    assert wiki.all(Source)[0].url == "https://s.test/s"


# ---------------------------------------------------------------- what the reader asks for


def test_a_fetch_that_is_cancelled_ends_after_its_request_and_keeps_what_came(wiki: Wiki) -> None:
    source = wiki.add()

    def before(wanted: Wanted, number: int) -> None:
        if number == 1:
            with writing(wiki.app.engine) as session:
                [fetch] = session.exec(select(Fetch)).all()
                subscriptions.cancel(session, fetch.id or 0, now=wiki.now)

    wiki.connector.before = before
    wiki.fetch()
    assert wiki.last().state == FetchState.CANCELLED
    assert [each.name for each in wiki.all(Delivery)] == ["page 0", "page 1"]
    assert wiki.its(source).failures == 0
    assert wiki.fetch() == (0, 0)  # and is not due at once
    assert wiki.all(Hold) == []


@pytest.mark.parametrize("number", [1, PAGES])
def test_other_options_begin_anew_whenever_they_are_said(wiki: Wiki, number: int) -> None:
    source = wiki.add()
    wiki.connector.options = {"harbour": "Which one."}

    def before(wanted: Wanted, at: int) -> None:
        if at == number and not wanted.options:
            with writing(wiki.app.engine) as session:
                subscriptions.edit(
                    session,
                    source,
                    connectors=wiki.app.connectors,
                    options={"harbour": "Aber"},
                    now=wiki.now,
                )

    wiki.connector.before = before
    wiki.fetch()
    assert [each.state for each in wiki.all(Fetch)] == [FetchState.CANCELLED, FetchState.DONE]
    assert [each.cursor for each in wiki.connector.wanted] == [{}, {}]
    assert wiki.connector.wanted[1].options == {"harbour": "Aber"}


def test_a_source_that_is_taken_away_meanwhile_is_fetched_no_further(wiki: Wiki) -> None:
    source = wiki.add()

    def before(wanted: Wanted, number: int) -> None:
        if number == 1:
            with writing(wiki.app.engine) as session:
                subscriptions.remove(session, source, now=wiki.now)

    wiki.connector.before = before
    wiki.fetch()
    assert wiki.last().state == FetchState.CANCELLED
    assert wiki.read() == [True, True]
    assert len(wiki.titles()) == 4


def test_a_back_fill_has_a_cursor_of_its_own_and_moves_no_other(wiki: Wiki) -> None:
    source = wiki.add()
    wiki.fetch()
    due = wiki.its(source).due_at
    with writing(wiki.app.engine) as session:
        subscriptions.backfill(
            session, source, "2026-05-01", "2026-05-03", today=date(2026, 5, 14), now=NOW
        )
    wiki.connector.pages = 5
    assert wiki.fetch() == (1, 0)
    wanted = wiki.connector.wanted[-1]
    assert (wanted.first, wanted.last, wanted.cursor) == ("2026-05-01", "2026-05-03", {})
    its = wiki.its(source)
    assert (its.cursor, its.due_at) == ({"next": 3}, due)
    wiki.read()
    assert len(wiki.titles()) == 10


def test_a_back_fill_that_fails_goes_on_later_where_it_was_and_gives_up_in_the_end(
    wiki: Wiki,
) -> None:
    source = wiki.add()
    wiki.fetch()
    with writing(wiki.app.engine) as session:
        subscriptions.backfill(
            session, source, "2026-05-01", "2026-05-03", today=date(2026, 5, 14), now=NOW
        )
    wiki.connector.before = refuse(NotFetched("It is down."), at=2)
    with writing(wiki.app.engine) as session:
        subscriptions.pause(session, source)  # nothing is due meanwhile
    for number in range(5):
        assert wiki.fetch() == (0, 1)
        assert wiki.last().state == (FetchState.WAITING if number < 4 else FetchState.FAILED)
        assert wiki.fetch() == (0, 0)
        wiki.now = max([wiki.now, *(each.next_try_at for each in wiki.all(Attempt))])
    assert [each.cursor.get("next", 0) for each in wiki.connector.wanted[1:]] == [0, 2, 2, 2, 2]
    assert wiki.last().error == "It is down."
    assert wiki.its(source).failures == 0


def test_of_fetches_that_find_nothing_the_newest_are_remembered(wiki: Wiki) -> None:
    wiki.connector.pages = 0
    wiki.add()
    for _ in range(30):
        wiki.fetch()
        wiki.now += timedelta(hours=2)
    assert len(wiki.all(Fetch)) == 20
    assert wiki.last().id == 30


# ---------------------------------------------------------------- reading


def deliver(wiki: Wiki, *bodies: bytes, format: str = "lines", **fetch: Any) -> int:
    """Deliveries of a source as a fetch would leave them."""
    source = wiki.add()
    wiki.connector.pages = 0
    with writing(wiki.app.engine) as session:
        row = Fetch(
            source_id=source, reason=FetchReason.DUE, state=FetchState.DONE, asked_at=NOW, **fetch
        )
        session.add(row)
        session.flush()
        for number, body in enumerate(bodies):
            raw = items.keep_raw(wiki.app.raw_folder, body)
            items.note_raw(session, raw, len(body), now=NOW)
            session.add(
                Delivery(
                    source_id=source,
                    fetch_id=row.id or 0,
                    name=f"piece {number}",
                    format=format,
                    raw_sha256=raw,
                    state=DeliveryState.WAITING,
                    received_at=NOW,
                )
            )
    return source


def lines(*rows: dict[str, Any]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def test_what_cannot_be_read_is_counted_with_its_reason(wiki: Wiki) -> None:
    deliver(wiki, lines({"id": "a"}, {"bad": 1}, {"id": "b"}))
    assert wiki.read() == [True]
    [row] = wiki.all(Delivery)
    assert (row.state, row.new, row.rejected) == (DeliveryState.READ, 2, 1)
    assert row.refusals == [{"where": "line 2", "reason": "It is bad."}]


def test_entries_are_new_then_the_same_then_changed(wiki: Wiki) -> None:
    first = lines({"id": "a"}, {"id": "b"})
    deliver(wiki, first, lines({"id": "a"}, {"id": "b", "title": "Another"}, {"id": "c"}))
    wiki.read()
    counts = [(row.new, row.changed, row.same) for row in wiki.all(Delivery)]
    assert counts == [(2, 0, 0), (1, 1, 1)]
    assert len(wiki.all(Item)) == 3


def test_a_poison_entry_fails_alone(wiki: Wiki, monkeypatch: pytest.MonkeyPatch) -> None:
    real = _Ingest._paper

    def paper(self: Any, arrival: PaperArrival) -> Any:
        if "poison" in arrival.title:
            raise RuntimeError("poison")
        return real(self, arrival)

    monkeypatch.setattr(_Ingest, "_paper", paper)
    rows = [{"id": str(n), "title": "poison" if n == 30 else f"On {n}"} for n in range(50)]
    deliver(wiki, lines(*rows), lines({"id": "after"}))
    assert wiki.read() == [True, True]
    first, after = wiki.all(Delivery)
    assert (first.new, first.rejected, first.state) == (49, 1, DeliveryState.READ)
    assert first.refusals[0]["where"] == "poison"
    assert "RuntimeError" in first.refusals[0]["reason"]
    assert after.new == 1
    assert len(wiki.titles()) == 50


def test_a_delivery_that_fails_is_tried_five_times_and_then_set_aside(wiki: Wiki) -> None:
    deliver(wiki, lines({"id": "a"}), lines({"id": "b"}))
    wiki.reader.breaks = 5
    seen = []
    for _ in range(7):
        seen += wiki.read()
        wiki.now += timedelta(hours=1)
    assert seen == [False, True, False, False, False, False]
    first, second = wiki.all(Delivery)
    assert first.state == DeliveryState.FAILED
    assert "KeyError" in first.refusals[-1]["reason"]
    assert second.state == DeliveryState.READ
    with writing(wiki.app.engine) as session:
        arrivals.read_again(session, first.id)
    assert wiki.read() == [True]
    assert wiki.titles() == ["On a", "On b"]


@pytest.mark.parametrize(
    ("body", "format", "reason"),
    [
        (b"<html>", "lines", "This is no line."),
        (b"{}", "lost", "There is no reader of 'lost' any more."),
    ],
)
def test_what_is_of_no_use_is_not_tried_again(
    wiki: Wiki, body: bytes, format: str, reason: str
) -> None:
    deliver(wiki, body, format=format)
    assert wiki.read() == [False]
    [row] = wiki.all(Delivery)
    assert row.state == DeliveryState.FAILED
    assert row.refusals == [{"where": "piece 0", "reason": reason}]


def test_a_delivery_that_ends_whoever_reads_it_lets_the_others_go_first_and_is_set_aside(
    wiki: Wiki, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(wiki, lines({"id": "deadly"}), lines({"id": "b"}))
    real = wiki.reader.read

    def read(file: File) -> Document | Bundle:
        if b"deadly" in file.data:
            raise SystemExit  # as good as a kill: nobody gets to note a failure
        return real(file)

    monkeypatch.setattr(wiki.reader, "read", read)
    with pytest.raises(SystemExit):
        wiki.read()
    for _ in range(arrivals.CUT_OFF - 1):
        with pytest.raises(SystemExit):
            wiki.read()
        assert wiki.titles() == ["On b"]
    assert wiki.read() == []
    first, _ = wiki.all(Delivery)
    assert first.state == DeliveryState.FAILED
    assert first.refusals == [
        {"where": "piece 0", "reason": "The program ended 10 times while it was read."}
    ]
    monkeypatch.undo()
    with writing(wiki.app.engine) as session:
        arrivals.read_again(session, first.id)
    assert wiki.read() == [True]


def test_bytes_that_are_gone_from_the_disk_are_missed_in_words(wiki: Wiki) -> None:
    deliver(wiki, lines({"id": "a"}))
    [row] = wiki.all(Delivery)
    (wiki.app.raw_folder / row.raw_sha256[:2] / row.raw_sha256).unlink()
    assert wiki.read() == [False]
    [attempt] = wiki.all(Attempt)
    assert "are not in" in attempt.last_error


def test_a_feed_brings_the_days_that_are_wanted_and_tells_anew_what_came(wiki: Wiki) -> None:
    old = {"id": "old", "day": "2026-03-01", "format": "feed"}
    new = {"id": "new", "day": "2026-05-13", "format": "feed"}
    deliver(wiki, lines(old, new))
    wiki.read()
    assert wiki.titles() == ["On new"]
    [row] = wiki.all(Delivery)
    assert (row.new, row.same, row.rejected) == (1, 0, 0)


def test_reading_that_was_cut_off_goes_on_without_doing_anything_twice(
    wiki: Wiki, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(wiki, lines(*({"id": str(number)} for number in range(50))))
    real, calls = arrivals.count, [0]

    def count(*given: Any) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        real(*given)

    monkeypatch.setattr(arrivals, "count", count)
    with pytest.raises(KeyboardInterrupt):
        wiki.read()
    assert len(wiki.titles()) == 20
    assert wiki.read() == [True]
    [row] = wiki.all(Delivery)
    assert (row.new, row.changed, row.same) == (50, 0, 0)
    assert len(wiki.titles()) == 50


_CHILD = """
import sys, time
from pathlib import Path
from app.store import runs
runs.SECONDS = 0.8
from tests import test_fetchers as tests

class Told(tests.Lines):
    def read(self, file):
        print("reads " + file.name, flush=True)
        time.sleep(0.05)
        return super().read(file)

def before(wanted, number):
    print("asks for page " + str(number), flush=True)
    time.sleep(0.05)

wiki = tests.make(Path(sys.argv[1]), tests.Asked(pages=6, before=before), Told(), sys.argv[2])
wiki.fetch()
wiki.read()
print("end", flush=True)
"""


def test_a_process_that_is_killed_loses_nothing_and_nothing_comes_twice(wiki: Wiki) -> None:
    wiki.add()
    url = wiki.app.engine.url.render_as_string(hide_password=False)
    for kill_at in ("asks for page 2", "reads page 1", "end"):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(wiki.app.settings.data), url],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        said = ""
        while said.strip() != kill_at:
            said = child.stdout.readline()
            assert said, f"it ended before it said {kill_at!r}"
        child.send_signal(signal.SIGKILL)
        child.communicate()
        time.sleep(0.9)  # what it held is anybody's then
    assert [each.name for each in wiki.all(Delivery)] == [f"page {n}" for n in range(6)]
    assert {each.state for each in wiki.all(Delivery)} == {DeliveryState.READ}
    assert sum(each.new for each in wiki.all(Delivery)) == 12
    assert len(wiki.titles()) == len(set(wiki.titles())) == 12
    assert [each.state for each in wiki.all(Fetch)] == [FetchState.DONE]
    assert wiki.last().responses == 6
