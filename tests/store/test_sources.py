"""What is read of sources: how each stands, what it brought, and in how many statements."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.domain.records import (
    Delivery,
    DeliveryState,
    Fetch,
    FetchReason,
    FetchState,
    Identifier,
    Item,
    Mention,
    Paper,
    PaperState,
    Raw,
    Source,
    SourceKind,
    Subscription,
)
from app.store import runs, sources
from app.store.db import reading, writing
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def make_source(session: Session, name: str, **its: Any) -> int:
    source = Source(key=name, kind=SourceKind.FEED, name=name, url=name, created_at=NOW)
    session.add(source)
    session.flush()
    assert source.id is not None
    given: dict[str, Any] = {"due_at": NOW, **its}
    session.add(Subscription(source_id=source.id, connector="feed", every_minutes=60, **given))
    session.flush()
    return source.id


def make_fetch(session: Session, source: int, state: FetchState, **its: Any) -> int:
    given: dict[str, Any] = {"reason": FetchReason.DUE, "asked_at": NOW, **its}
    fetch = Fetch(source_id=source, state=state, **given)
    session.add(fetch)
    session.flush()
    assert fetch.id is not None
    return fetch.id


def make_paper(session: Session, title: str, state: PaperState) -> int:
    paper = Paper(title=title, title_key=title, state=state, created_at=NOW)
    session.add(paper)
    session.flush()
    assert paper.id is not None
    return paper.id


def make_item(session: Session, source: int, key: str, paper: int | None = None) -> int:
    item = Item(
        source_id=source,
        key=key,
        format="feed",
        title=key,
        received_at=NOW,
        hash=key,
        paper_id=paper,
    )
    session.add(item)
    session.flush()
    assert item.id is not None
    return item.id


def test_a_paper_counts_once_for_a_source_however_it_came(engine: Engine) -> None:
    with writing(engine) as session:
        source, other = make_source(session, "a"), make_source(session, "b")
        kept = make_paper(session, "kept", PaperState.KEPT)
        waits = make_paper(session, "waits", PaperState.WAITING)
        make_item(session, source, "1", kept)
        says = make_item(session, source, "2")
        for paper, section in ((kept, "x"), (kept, "y"), (waits, "x")):
            session.add(Mention(item_id=says, paper_id=paper, section=section))
        fetch = make_fetch(session, source, FetchState.DONE)
        session.add(Raw(sha256="0", size=1, created_at=NOW))
        session.flush()
        for state, rejected in ((DeliveryState.READ, 3), (DeliveryState.WAITING, 0)):
            session.add(
                Delivery(
                    source_id=source,
                    fetch_id=fetch,
                    name="n",
                    format="feed",
                    raw_sha256="0",
                    state=state,
                    rejected=rejected,
                    received_at=NOW,
                )
            )
    with reading(engine) as session:
        first, second = sources.listed(session)
        assert first.counts == sources.Counts(items=2, papers=2, kept=1, waiting=1, rejected=3)
        assert second.counts == sources.NOTHING
        assert sources.of(session, source).counts == first.counts
        assert sources.of(session, other).counts == sources.NOTHING


@pytest.mark.parametrize(
    ("its", "state"),
    [
        ({}, "new"),
        ({"succeeded_at": NOW}, "well"),
        ({"succeeded_at": NOW, "failures": 1}, "failing"),
        ({"paused": True, "failures": 1}, "paused"),
        ({"stopped": "Gone.", "paused": True}, "stopped"),
    ],
)
def test_how_a_source_stands_in_a_word(engine: Engine, its: dict[str, Any], state: str) -> None:
    with writing(engine) as session:
        make_source(session, "a", **its)
    with reading(engine) as session:
        [row] = sources.listed(session)
        assert row.state == state
        assert (row.next_try is None) == (state in ("paused", "stopped"))


def test_the_list_takes_as_many_statements_for_one_source_as_for_many(engine: Engine) -> None:
    counted: list[int] = []
    for number in (1, 30):
        with writing(engine) as session:
            for each in range(number):
                source = make_source(session, f"s{number}-{each}")
                make_fetch(session, source, FetchState.DONE)
                make_fetch(session, source, FetchState.FAILED)
                waits = make_fetch(session, source, FetchState.WAITING, reason=FetchReason.BACKFILL)
                runs_now = make_fetch(session, source, FetchState.RUNNING)
        said: list[str] = []

        def hear(*given: object, said: list[str] = said) -> None:
            said.append(str(given[2]))

        sa.event.listen(engine, "before_cursor_execute", hear)
        with reading(engine) as session:
            rows = sources.listed(session)
            row = max(rows, key=lambda row: row.id)
            assert [each.id for each in row.under_way] == [runs_now, waits]
            assert row.active is row.under_way[0]
            assert row.state == "fetching"
        sa.event.remove(engine, "before_cursor_execute", hear)
        counted.append(len(said))
    assert counted[0] == counted[1] <= 8


def test_what_failed_comes_after_what_is_due_and_what_was_asked_for_before(engine: Engine) -> None:
    with writing(engine) as session:
        names = {}
        for name, failures, reason, state in (
            ("failed", 3, FetchReason.DUE, FetchState.WAITING),
            ("due", 0, FetchReason.DUE, FetchState.WAITING),
            ("asked", 3, FetchReason.ASKED, FetchState.WAITING),
            ("cut off", 0, FetchReason.DUE, FetchState.RUNNING),
            ("held", 0, FetchReason.DUE, FetchState.WAITING),
        ):
            source = make_source(session, name, failures=failures)
            names[source] = name
            make_fetch(session, source, state, reason=reason)
        held = next(each for each, name in names.items() if name == "held")
        runs.hold(session, sources.FETCH, [held], owner="another", clock=1000.0)
    with reading(engine) as session:
        ready = sources.ready(session, now=NOW, clock=1001.0)
        assert [names[source] for _, source in ready] == ["cut off", "asked", "due", "failed"]
        later = sources.ready(session, now=NOW, clock=1000.0 + 2 * runs.SECONDS)
        assert len(later) == 5


def test_due_is_what_has_no_fetch_yet_the_longest_due_first(engine: Engine) -> None:
    with writing(engine) as session:
        young = make_source(session, "young", due_at=NOW - timedelta(minutes=1))
        old = make_source(session, "old", due_at=NOW - timedelta(days=9))
        make_source(session, "later", due_at=NOW + timedelta(seconds=1))
        make_source(session, "paused", paused=True)
        make_source(session, "stopped", stopped="Gone.")
        make_fetch(session, make_source(session, "fetched"), FetchState.RUNNING)
        filled = make_source(session, "filled", due_at=NOW - timedelta(minutes=2))
        make_fetch(session, filled, FetchState.WAITING, reason=FetchReason.BACKFILL)
    with reading(engine) as session:
        assert sources.due(session, NOW) == [old, filled, young]


def test_papers_of_ones_own_go_by_one_identifier_each(engine: Engine) -> None:
    with writing(engine) as session:
        first = make_paper(session, "first", PaperState.KEPT)
        second = make_paper(session, "second", PaperState.KEPT)
        dropped = make_paper(session, "dropped", PaperState.DROPPED)
        for paper, scheme, value in (
            (first, "doi", "10.1/a"),
            (first, "arxiv", "2605.00001"),
            (second, "doi", "10.1/b"),
            (dropped, "arxiv", "2605.00002"),
        ):
            session.add(Identifier(scheme=scheme, value=value, paper_id=paper))
    with reading(engine) as session:
        assert sources.own_papers(session) == ("doi:10.1/b", "arxiv:2605.00001")
        assert sources.own_papers(session, limit=1) == ("doi:10.1/b",)
