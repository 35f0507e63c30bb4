"""Subscriptions: what the reader asks of a source, and what is refused in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine
from sqlmodel import col, select

from app.domain.records import Fetch, FetchReason, FetchState, Source, SourceKind, Subscription
from app.errors import Conflict, Invalid, NotFound
from app.services import subscriptions
from app.sources.arxiv import ArxivConnector
from app.sources.connectors import Fetched, Found, Wanted, Web
from app.store import sources
from app.store.db import SHOWN, generation, reading, writing
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
TODAY = date(2026, 5, 14)


@dataclass(frozen=True)
class Tides:
    """A connector that is never asked here."""

    name: str = "tides"
    kind: SourceKind = SourceKind.FEED
    every_minutes: int = 60
    options: Mapping[str, str] = field(default_factory=lambda: {"harbour": "Which one."})

    def finds(self, text: str) -> Found | None:
        return None

    def fetch(self, web: Web, wanted: Wanted) -> Iterator[Fetched]:
        raise AssertionError("nobody asks")


ALL = (Tides(),)
FOUND = Found(
    key="tides:example.org/feed", connector="tides", url="https://example.org/feed", name="Tides"
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def source(engine: Engine) -> int:
    with writing(engine) as session:
        made = subscriptions.add(session, FOUND, connectors=ALL, now=NOW)
        assert made.id is not None
        return made.id


def its(engine: Engine, source_id: int) -> Subscription:
    with reading(engine) as session:
        found = session.get(Subscription, source_id)
        assert found is not None
        session.expunge(found)
        return found


def test_a_new_source_is_due_at_once_and_brings_thirty_days(engine: Engine, source: int) -> None:
    found = its(engine, source)
    assert (found.connector, found.every_minutes, found.due_at) == ("tides", 60, NOW)
    assert found.since == "2026-04-14"
    with reading(engine) as session:
        assert sources.due(session, NOW) == [source]
        row = sources.of(session, source)
        assert (row.source.kind, row.state, row.next_try) == (SourceKind.FEED, "new", NOW)


@pytest.mark.parametrize(
    "again",
    [FOUND, replace(FOUND, key="tides:another", name="Other")],
    ids=["the same key", "the same address"],
)
def test_a_source_is_added_once(engine: Engine, source: int, again: Found) -> None:
    with (
        pytest.raises(Conflict, match=f"Tides is one of your sources already, as number {source}"),
        writing(engine) as session,
    ):
        subscriptions.add(session, again, connectors=ALL, now=NOW)


def test_the_same_address_with_other_options_is_another_source(engine: Engine, source: int) -> None:
    other = replace(FOUND, key="tides:x", options={"harbour": "north"})
    with writing(engine) as session:
        made = subscriptions.add(session, other, connectors=ALL, now=NOW)
        assert made.id != source


@pytest.mark.parametrize(
    ("found", "every", "says"),
    [
        (
            replace(FOUND, connector="waves"),
            None,
            "No connector is called 'waves'. Use one of: tid",
        ),
        (replace(FOUND, options={"moon": "1"}), None, "tides has no option 'moon'. Its options: h"),
        (replace(FOUND, options={"harbour": "x" * 3000}), None, "too long"),
        (replace(FOUND, options={"harbour": ["x"]}), None, "is text, a number"),
        (FOUND, 4, "every 5 minutes at most"),
        (FOUND, 60 * 24 * 40, "once a month at least"),
        (replace(FOUND, url=" "), None, "needs an address"),
    ],
)
def test_what_cannot_be_fetched_is_refused_in_words(
    engine: Engine, found: Found, every: int | None, says: str
) -> None:
    with pytest.raises(Invalid, match=says), writing(engine) as session:
        subscriptions.add(session, found, connectors=ALL, every_minutes=every, now=NOW)
    with reading(engine) as session:
        assert sources.listed(session) == []


def test_paused_it_is_not_due_and_asked_for_it_is_fetched(engine: Engine, source: int) -> None:
    with writing(engine) as session:
        subscriptions.pause(session, source)
    with writing(engine) as session:
        assert sources.due(session, NOW + timedelta(days=9)) == []
        first = subscriptions.ask(session, source, now=NOW)
        assert subscriptions.ask(session, source, now=NOW).id == first.id
        assert (first.reason, first.state) == (FetchReason.ASKED, FetchState.WAITING)
    with writing(engine) as session:
        subscriptions.resume(session, source, now=NOW + timedelta(days=9))
    assert its(engine, source).due_at == NOW + timedelta(days=9)


def test_resumed_it_has_failed_no_more(engine: Engine, source: int) -> None:
    with writing(engine) as session:
        found = session.get(Subscription, source)
        assert found is not None
        found.stopped, found.failures, found.last_error = "It is gone.", 7, "It is gone."
        session.add(found)
    with reading(engine) as session:
        assert sources.of(session, source).state == "stopped"
        assert sources.due(session, NOW) == []
    with writing(engine) as session:
        subscriptions.resume(session, source, now=NOW)
    found = its(engine, source)
    assert (found.stopped, found.failures, found.last_error) == ("", 0, "")


def test_removed_what_came_in_stays_and_it_can_be_added_again(engine: Engine, source: int) -> None:
    with writing(engine) as session:
        fetch = subscriptions.ask(session, source, now=NOW)
        said = subscriptions.remove(session, source, now=NOW)
    assert said == "Tides is fetched no more. Nothing had come in from it."
    with reading(engine) as session:
        assert session.get(Source, source) is not None
        ended = sources.fetch(session, fetch.id or 0)
        assert ended.state == FetchState.CANCELLED
        with pytest.raises(NotFound):
            sources.of(session, source)
    with writing(engine) as session:
        assert subscriptions.add(session, FOUND, connectors=ALL, now=NOW).id == source


def test_other_options_begin_anew(engine: Engine, source: int) -> None:
    later = NOW + timedelta(days=20)
    with writing(engine) as session:
        found = session.get(Subscription, source)
        assert found is not None
        found.cursor, found.due_at = {"etag": "x"}, later + timedelta(days=1)
        session.add(found)
    with writing(engine) as session:
        subscriptions.edit(
            session, source, connectors=ALL, name="  Tide\ntables ", every_minutes=30, now=later
        )
    assert its(engine, source).cursor == {"etag": "x"}
    with writing(engine) as session:
        subscriptions.edit(session, source, connectors=ALL, options={"harbour": "n"}, now=later)
    found = its(engine, source)
    assert (found.cursor, found.due_at, found.since) == ({}, later, "2026-05-04")
    assert found.every_minutes == 30
    with reading(engine) as session:
        assert sources.get(session, "tide tables").id == source
    with pytest.raises(Invalid, match="needs a name"), writing(engine) as session:
        subscriptions.edit(session, source, connectors=ALL, name="\n", now=later)


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        ("2026-5-1", "2026-05-02", "'2026-5-1' is no day"),
        ("2026-05-02", "2026-05-01", "2026-05-01 is before 2026-05-02"),
        ("2026-05-14", "2026-05-15", "in the future"),
        ("2025-01-01", "2026-05-01", "a year at a time"),
    ],
)
def test_days_that_are_none_are_refused(
    engine: Engine, source: int, first: str, last: str, says: str
) -> None:
    with pytest.raises(Invalid, match=says), writing(engine) as session:
        subscriptions.backfill(session, source, first, last, today=TODAY, now=NOW)


def test_the_same_days_are_asked_for_once_at_a_time(engine: Engine, source: int) -> None:
    days = ("2026-05-01", "2026-05-03")
    with writing(engine) as session:
        fetch = subscriptions.backfill(session, source, *days, today=TODAY, now=NOW)
        assert (fetch.first_day, fetch.last_day, fetch.cursor) == (*days, {})
    with pytest.raises(Conflict, match="being fetched already"), writing(engine) as session:
        subscriptions.backfill(session, source, *days, today=TODAY, now=NOW)
    with writing(engine) as session:
        subscriptions.cancel(session, fetch.id or 0, now=NOW)
        again = subscriptions.backfill(session, source, *days, today=TODAY, now=NOW)
        assert again.id != fetch.id
    with pytest.raises(Conflict, match="ended already"), writing(engine) as session:
        subscriptions.cancel(session, fetch.id or 0, now=NOW)


def test_a_fetch_that_was_cancelled_before_it_ran_is_not_due_at_once(
    engine: Engine, source: int
) -> None:
    with writing(engine) as session:
        fetch = subscriptions.ask(session, source, now=NOW)
        subscriptions.cancel(session, fetch.id or 0, now=NOW)
    with reading(engine) as session:
        assert session.exec(select(Fetch.state).where(col(Fetch.id) == fetch.id)).one() == (
            FetchState.CANCELLED
        )
        assert sources.due(session, NOW) == []
        assert sources.due(session, NOW + timedelta(hours=1)) == [source]


def test_what_the_reader_changes_is_shown_at_once(engine: Engine, source: int) -> None:
    """Screens that were remembered show it: a pause is counted, the going of a fetch is not."""
    with reading(engine) as session:
        before = generation(session, SHOWN)
    with writing(engine) as session:
        subscriptions.ask(session, source, now=NOW)
    with reading(engine) as session:
        assert generation(session, SHOWN) == before
    with writing(engine) as session:
        subscriptions.pause(session, source)
    with reading(engine) as session:
        assert generation(session, SHOWN) > before


@pytest.mark.parametrize(
    ("text", "minutes"), [("90", 90), ("90m", 90), (" 6H ", 360), ("2 d", 2880)]
)
def test_how_often_in_words(text: str, minutes: int) -> None:
    assert subscriptions.every_in_minutes(text) == minutes


@pytest.mark.parametrize("text", ["", "h", "6 weeks", "-1h", "1.5h", "٣h", "9999999m", "hm6"])
def test_words_that_say_not_how_often(text: str) -> None:
    with pytest.raises(Invalid, match="says not how often"):
        subscriptions.every_in_minutes(text)


@pytest.mark.parametrize("named", ["0", "99", "-1", "99999999999999999999", "nobody", "", "%"])
def test_there_is_no_such_source(engine: Engine, source: int, named: str) -> None:
    with pytest.raises(NotFound), reading(engine) as session:
        sources.get(session, named)


def test_a_source_goes_by_number_key_name_and_address(engine: Engine, source: int) -> None:
    with reading(engine) as session:
        for named in (source, str(source), FOUND.key, "TIDES", FOUND.url, "example.org/feed"):
            assert sources.get(session, named).id == source


def test_a_name_of_two_sources_is_asked_back(engine: Engine, source: int) -> None:
    other = replace(FOUND, key="tides:other", url="https://example.net/feed")
    with writing(engine) as session:
        subscriptions.add(session, other, connectors=ALL, now=NOW)
    with pytest.raises(Invalid, match="Several sources"), reading(engine) as session:
        sources.get(session, "Tides")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://[::1/", "file:///etc/passwd", "cs"]
)
def test_what_is_no_address_of_the_web_is_refused(engine: Engine, url: str) -> None:
    with writing(engine) as session, pytest.raises(Invalid, match="no address on the web"):
        subscriptions.add(session, replace(FOUND, url=url), connectors=ALL, now=NOW)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan"), 10**40])
def test_an_option_is_a_number_that_can_be_kept(engine: Engine, number: float) -> None:
    found = replace(FOUND, options={"harbour": number})
    with writing(engine) as session, pytest.raises(Invalid, match="too large a number"):
        subscriptions.add(session, found, connectors=ALL, now=NOW)


def test_what_arxiv_would_refuse_is_refused_when_it_is_said(engine: Engine) -> None:
    connectors = (ArxivConnector(),)
    found = Found(
        key="arxiv:x", connector="arxiv", url="https://export.arxiv.org/api/query", name="x"
    )
    with writing(engine) as session, pytest.raises(Invalid, match="needs categories or a query"):
        subscriptions.add(session, found, connectors=connectors, now=NOW)
    found = replace(found, options={"categories": "cs.CL"})
    with writing(engine) as session:
        made = subscriptions.add(session, found, connectors=connectors, now=NOW)
        assert made.id is not None
    with writing(engine) as session, pytest.raises(Invalid, match="no category of arXiv"):
        subscriptions.edit(
            session, made.id, connectors=connectors, options={"categories": "cs.NOPE"}, now=NOW
        )
