"""Workers: several share the work of one wiki and do nothing twice; what a dead one was at goes on."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlmodel import Session, col, select

from app.bootstrap import App
from app.domain.records import (
    Decision,
    Hold,
    LinkStatus,
    Page,
    PageKind,
    Relation,
    Run,
    RunState,
)
from app.errors import Unavailable
from app.importing import import_paths
from app.pipeline import STEPS, VAULT, pending
from app.services import linker, rules, subscriptions
from app.services.linker import shipped_weights
from app.settings import Settings
from app.sources.connectors import Found
from app.store import links, preferences, runs, sources
from app.store.db import many_may_work, open_engine, reading, writing
from app.store.vectors import VectorIndex
from app.worker import Worker
from tests import databases
from tests.factories import make_link, make_page
from tests.fakes import HashingEncoder
from tests.servers.hostile import Server, page, says_nothing

PAGES = 40
PAPERS = PAGES // 2
WITHOUT_VECTORS = PAPERS + 1  # papers are read for terms; one look for duplicates
ROUND = (
    PAGES + 3 * PAPERS + WITHOUT_VECTORS
)  # and encoded, linked, read for what they say of others and for what they say together


class Counting(HashingEncoder):
    """An encoder that remembers what it was given, and takes a moment for it."""

    def __init__(self, given: Counter[str], seconds: float = 0.0) -> None:
        super().__init__()
        self.given = given
        self.seconds = seconds

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.given.update(texts)
        time.sleep(self.seconds * len(texts))
        return super().encode(texts)


def wiki(folder: Path, encoder: HashingEncoder) -> App:
    return App(
        Settings(data=folder, timezone="UTC"),
        open_engine(databases.url_of(folder)),
        shipped_weights(None),
        encoder=encoder,
        index=VectorIndex(encoder.model),
    )


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A wiki of concepts and papers of which nothing is encoded or linked yet."""
    app = wiki(tmp_path, HashingEncoder())
    rows: list[dict[str, Any]] = [
        {"type": "concept", "id": f"c{n}", "title": f"Concept {n}", "text": f"About matter {n}."}
        for n in range(PAGES // 2)
    ]
    rows += [
        {
            "type": "paper",
            "id": f"arxiv:2605.{n:05}",
            "title": f"On concept {n}",
            "abstract": f"Concept {n} is a matter of number {n}.",
        }
        for n in range(PAGES // 2)
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    assert not import_paths(app, [file]).refused
    app.engine.dispose()
    return tmp_path


def left(app: App) -> dict[str, int]:
    with reading(app.engine) as session:
        return dict(pending(session, app))


def test_workers_that_work_at_once_encode_and_link_each_page_once(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.encoding.CLAIM", 3)
    given: Counter[str] = Counter()
    apps = [wiki(filled, Counting(given, 0.002)) for _ in range(3)]
    done: list[int] = []
    threads = [
        threading.Thread(target=lambda app=app: done.append(Worker(app).once("test")))
        for app in apps
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Worker(apps[0]).once("test")  # whoever saw the last texts being encoded left the links to it
    assert len(given) == PAGES
    assert set(given.values()) == {1}
    assert left(apps[0]) == {}
    with reading(apps[0].engine) as session:
        assert session.exec(select(Hold)).all() == []
        steps = [step for run in session.exec(select(Run)) for step in run.steps]
    counted: Counter[str] = Counter()
    for step in steps:
        counted[step["name"]] += step["done"]
    assert counted["encode"] == PAGES
    assert counted["link"] == PAGES // 2
    for app in apps:
        app.engine.dispose()


def test_what_a_killed_worker_held_is_taken_up_when_its_hold_runs_out(filled: Path) -> None:
    app = wiki(filled, HashingEncoder())
    with reading(app.engine) as session:
        before = left(app)
        subjects = [row.page_id for row in _pages(session)]
    with writing(app.engine) as session:  # as a worker leaves it that is killed in the middle
        runs.hold(session, "encode", subjects, owner="killed", clock=time.time())
        runs.start(session, "worker", owner="killed", now=app.clock())
    assert left(app) == before
    others = [step for step in STEPS if step is not VAULT]
    assert Worker(app, steps=others).once("test") == WITHOUT_VECTORS
    with writing(app.engine) as session:  # its time is over
        session.connection().execute(sa.update(Hold).values(until=time.time() - 1))
    assert Worker(app, steps=others).once("test") == ROUND - WITHOUT_VECTORS
    assert Worker(app).once("test") == PAGES
    assert left(app) == {}
    app.engine.dispose()


def _pages(session: Any) -> Any:
    from app.domain.records import PageText

    return session.exec(select(PageText).order_by(col(PageText.page_id))).all()


def test_a_result_that_comes_after_its_hold_ran_out_is_not_stored(filled: Path) -> None:
    """A worker that was stopped for a while finds that another did its rows, and lets them be."""
    app = wiki(filled, HashingEncoder())

    class Stopped(HashingEncoder):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            with writing(app.engine) as session:  # meanwhile another took all of it up
                for each in session.exec(select(Hold)).all():
                    each.owner = "another"
                    session.add(each)
            return super().encode(texts)

    app.encoder = Stopped()
    encode = next(step for step in STEPS if step.name == "encode")
    before = left(app)
    with runs.at_work(app.engine) as owner:
        encode.run(app, owner)
    assert left(app) == before
    app.engine.dispose()


def test_a_step_that_fails_gives_back_what_it_held_and_stops_no_other(filled: Path) -> None:
    app = wiki(filled, HashingEncoder())

    class Broken(HashingEncoder):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            raise OSError("no model")

    good, app.encoder = app.encoder, Broken()
    worker = Worker(app)
    with runs.at_work(app.engine) as owner:
        with pytest.raises(OSError, match="no model"):
            worker._round("test", owner)
        assert "papers to read for terms" not in left(app)  # what needs no vector went on
        with reading(app.engine) as session:
            [run] = session.exec(select(Run))
            assert run.log.endswith(" encode: OSError: no model")
        app.encoder = good
        assert worker._round("test", owner) == ROUND - WITHOUT_VECTORS
    app.engine.dispose()


def test_what_could_not_be_given_back_is_given_back_later(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away in the middle of a batch, and is away for the giving back as well."""
    app = wiki(filled, HashingEncoder())
    worker = Worker(app)

    def away(*_: object, **__: object) -> None:
        raise Unavailable("away")

    with runs.at_work(app.engine) as owner:
        with monkeypatch.context() as broken:
            broken.setattr("app.services.encoding.store", away)
            broken.setattr("app.store.runs.give_back", away)
            with pytest.raises(Unavailable, match="away"):
                worker._round("test", owner)
        assert worker._round("test", owner) == ROUND + PAGES
    app.engine.dispose()


def test_a_paper_that_goes_while_it_is_looked_at_is_held_by_nobody(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = wiki(filled, HashingEncoder())
    read = linker.read

    def late(session: Session, index: Any, wanted: Sequence[int], library: Any) -> Any:
        with writing(app.engine) as writer:
            writer.delete(writer.get_one(Page, wanted[0]))
        return read(session, index, wanted, library)

    monkeypatch.setattr(linker, "read", late)
    with runs.at_work(app.engine) as owner:
        Worker(app)._round("test", owner)
        with reading(app.engine) as session:
            assert session.exec(select(Hold)).all() == []
    app.engine.dispose()


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_that_run_all_day_start_and_end_clean(
    filled: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SECONDS", 2.0)
    apps = [wiki(filled, HashingEncoder()) for _ in range(workers)]
    all_day = [Worker(app) for app in apps]
    threads = [threading.Thread(target=worker.forever) for worker in all_day]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 60
    while left(apps[0]) and time.monotonic() < until:
        time.sleep(0.1)
    assert left(apps[0]) == {}
    turns = sum(worker.turn.is_set() for worker in all_day)
    assert turns == (workers if many_may_work(apps[0].engine) else 1)
    for worker in all_day:
        worker.stopping.set()
        worker.turn.set()
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive()
    with reading(apps[0].engine) as session:
        assert session.exec(select(Hold)).all() == []
        assert {run.state for run in session.exec(select(Run))} == {RunState.DONE}
    for app in apps:
        app.engine.dispose()


def test_a_floor_that_moves_has_papers_looked_at_anew(filled: Path) -> None:
    app = wiki(filled, HashingEncoder())

    def proposals(floor: float) -> int:
        with writing(app.engine) as session:
            preferences.set_floor(session, floor)
        assert left(app)
        Worker(app).once("test")
        with reading(app.engine) as session:
            return links.count(session)

    assert proposals(1.0) == 0
    assert proposals(0.0) > 0
    assert proposals(1.0) == 0, "what it would not propose any more is withdrawn"


def test_the_worker_accepts_what_a_rule_says_and_once(filled: Path) -> None:
    app = wiki(filled, HashingEncoder())
    Worker(app).once("test")
    with writing(app.engine) as session:
        rule, _ = rules.make(session, rules.wanted(session, concept="", least=0.9), now=app.clock())
        concept = make_page(session, "Tides")
        sure, unsure = (
            make_link(
                session,
                make_page(session, f"A paper of {confidence}", PageKind.PAPER),
                concept,
                Relation.ABOUT,
                status=LinkStatus.PROPOSED,
                confidence=confidence,
            )
            for confidence in (0.95, 0.85)
        )
    step = next(step for step in STEPS if step.name == "rules")
    with reading(app.engine) as session:
        assert step.pending(session, app) == 1
    with runs.at_work(app.engine) as owner:
        assert [step.run(app, owner).done for _ in range(2)] == [1, 0]
    with reading(app.engine) as session:
        assert step.pending(session, app) == 0
        assert links.get(session, sure).status is LinkStatus.ACCEPTED
        assert links.get(session, unsure).status is LinkStatus.PROPOSED
        made = session.exec(select(Decision).where(Decision.link_id == sure)).one()
        assert made.who == f"rule {rule.id}"


# ---------------------------------------------------------------- sources


FEED = """<?xml version="1.0"?><rss version="2.0"><channel><title>Tides</title>
<link>https://tides.test/</link><description>d</description>
<item><guid>{n}</guid><title>Tide {n} of today</title><link>https://tides.test/{n}</link>
<pubDate>{day}</pubDate><description>The water rose by {n} metres in the harbour.</description></item>
</channel></rss>"""


def feed(number: int) -> bytes:
    return FEED.format(n=number, day=format_datetime(datetime.now(UTC))).encode()


def subscribed(folder: Path, encoder: HashingEncoder, *servers: Server) -> App:
    app = wiki(folder, encoder)
    app.settings = Settings(
        data=folder,
        timezone="UTC",
        fetch_allow=",".join(f"{host}:{port}" for host, port in (each.pair for each in servers)),
    )
    with writing(app.engine) as session:
        for server in servers:
            found = Found(f"feed:{server.url}", "feed", server.url, f"Port {server.port}")
            subscriptions.add(session, found, connectors=app.connectors, now=app.clock())
    return app


def articles(app: App) -> list[str]:
    with reading(app.engine) as session:
        pages = session.exec(select(Page.title).where(Page.kind == PageKind.ARTICLE))
        return sorted(pages)


def test_one_run_fetches_what_is_due_reads_it_and_works_on_what_came(tmp_path: Path) -> None:
    given: Counter[str] = Counter()
    with Server(page(feed(1))) as good, Server(page(b"", status="500 Broken")) as bad:
        app = subscribed(tmp_path, Counting(given), good, bad)
        Worker(app).once("test")
        Worker(app).once("test")
        assert len(good.asked) == len(bad.asked) == 1  # neither is due again
    assert articles(app) == ["Tide 1 of today"]
    assert any("Tide 1" in text for text in given)
    with reading(app.engine) as session:
        rows = {row.source.url: row for row in sources.listed(session)}
        assert (rows[good.url].state, rows[bad.url].state) == ("well", "failing")
        assert "500" in rows[bad.url].subscription.last_error
        assert rows[good.url].counts.items == 1
        assert {run.state for run in session.exec(select(Run))} == {RunState.DONE}
    app.engine.dispose()


class Stuck(HashingEncoder):
    """An encoder that is at it until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.begun.set()
        self.go.wait(60)
        return super().encode(texts)


def test_all_day_neither_a_silent_source_nor_the_encoder_holds_up_what_comes_in(
    tmp_path: Path,
) -> None:
    encoder = Stuck()
    with (
        Server(says_nothing) as silent,
        Server(page(feed(1))) as first,
        Server(page(feed(2))) as second,
    ):
        app = subscribed(tmp_path, encoder, silent, first)
        worker = Worker(app)
        thread = threading.Thread(target=worker.forever)
        thread.start()
        try:
            assert encoder.begun.wait(30)  # the first article is being encoded, without end
            with writing(app.engine) as session:
                found = Found(f"feed:{second.url}", "feed", second.url, "Second")
                app.settings.fetch_allow += f",{second.host}:{second.port}"
                del app.web  # made anew with the pair that is allowed now
                subscriptions.add(session, found, connectors=app.connectors, now=app.clock())
            until = time.monotonic() + 30
            while len(articles(app)) < 2 and time.monotonic() < until:
                time.sleep(0.05)
            assert articles(app) == ["Tide 1 of today", "Tide 2 of today"]
        finally:
            encoder.go.set()
            worker.stopping.set()
            thread.join(30)
        assert not thread.is_alive()
    with reading(app.engine) as session:
        rows = {row.source.url: row for row in sources.listed(session)}
        assert rows[silent.url].active is not None  # whoever works next goes on with it
        assert session.exec(select(Hold)).all() == []
    app.engine.dispose()


def test_a_cancelled_job_ends_between_two_batches_and_its_worker_rests(filled: Path) -> None:
    app = wiki(filled, HashingEncoder())

    class Asking(HashingEncoder):
        """The reader asks for the end of the job while its first batch is encoded."""

        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            with writing(app.engine) as session:
                for run in session.exec(select(Run)).all():
                    assert run.id is not None
                    runs.cancel(session, run.id)
            return super().encode(texts)

    app.encoder = Asking()
    worker = Worker(app)
    before = left(app)
    with runs.at_work(app.engine) as owner:
        worker._round("test", owner)
        with reading(app.engine) as session:
            [run] = session.exec(select(Run)).all()
            assert (run.state, run.ended_at is not None) == (RunState.CANCELLED, True)
            assert session.exec(select(Hold)).all() == []
            assert run.steps[-1]["name"] == "encode"  # what was done is kept, no more was begun
        assert 0 < sum(left(app).values()) < sum(before.values())
        assert worker._is_resting()
        with writing(app.engine) as session:
            runs.go_on(session)
        assert not worker._is_resting()
        app.encoder = HashingEncoder()
        worker._round("test", owner)
    assert not left(app)
    app.engine.dispose()


def test_a_job_says_how_far_each_step_is_and_writes_a_line_a_batch(filled: Path) -> None:
    app = wiki(filled, HashingEncoder())
    Worker(app).once("test")
    with reading(app.engine) as session:
        [run] = session.exec(select(Run)).all()
        steps = {step["name"]: step for step in run.steps}
        assert (steps["encode"]["waiting"], steps["encode"]["now"]) == (0, False)
        assert steps["encode"]["seconds"] > 0
        assert f"encode: {PAGES} waiting" in run.log
        assert run.lines == len(run.log.splitlines())
    app.engine.dispose()
