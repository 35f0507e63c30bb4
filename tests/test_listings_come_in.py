"""Days of arXiv and of Hugging Face come in from servers on loopback: on which day, once, and as what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from app.bootstrap import CONNECTORS, App
from app.domain.records import (
    Announced,
    Delivery,
    DeliveryState,
    Fetch,
    FetchState,
    Item,
    Listing,
    ListingPaper,
    Paper,
    PaperState,
    Subscription,
)
from app.errors import Unavailable
from app.fetchers import Fetchers, read_delivery
from app.services import subscriptions
from app.services.linker import shipped_weights
from app.settings import Settings
from app.sources.connectors import Found, Response
from app.sources.http import Transport
from app.store import listings, papers, runs
from app.store.db import open_engine, reading, writing
from tests import databases
from tests.servers.arxiv import ArxivServer, Unpaced

DAY = "2026-05-08"
NOW = datetime(2026, 5, 8, 20, 0, tzinfo=UTC)


def paper(number: int, **facts: Any) -> dict[str, Any]:
    at = datetime(2026, 5, 6, 20, tzinfo=UTC) + timedelta(minutes=number)
    return {
        "id": f"2605.{number:05d}",
        "title": f"A reading of sample {number}",
        "abstract": f"Sample {number} is read with care.",
        "authors": ["Ada Park"],
        "versions": [f"{at:%Y-%m-%dT%H:%M:%SZ}"],
        **facts,
    }


class Wiki:
    """An App with the program's own connectors and readers, whose clock is moved by hand."""

    def __init__(self, folder: Path, server: ArxivServer) -> None:
        self.app = App(
            settings=Settings(data=folder, now=NOW),
            engine=open_engine(databases.url_of(folder)),
            weights=shipped_weights(),
        )
        self.server = server
        self.app.web = Unpaced(Transport(allow={server.pair}))

    def at(self, now: datetime) -> None:
        self.app.settings = self.app.settings.model_copy(update={"now": now})

    def add(self, connector: str, url: str, **options: str) -> int:
        found = Found(f"{connector}:{url}", connector, url, connector, options)
        with writing(self.app.engine) as session:
            made = subscriptions.add(session, found, connectors=CONNECTORS, now=self.app.clock())
            assert made.id is not None
            return made.id

    def fetch(self, source: int | None = None) -> None:
        """Fetch a source now, or go on with what was begun, and read what came."""
        if source is not None:
            with writing(self.app.engine) as session:
                subscriptions.ask(session, source, now=self.app.clock())
        with runs.at_work(self.app.engine) as owner:
            Fetchers(self.app, owner, only=[source] if source else ()).run()
            while read_delivery(self.app, owner) is not None:
                pass

    def all(self, table: Any) -> list[Any]:
        with reading(self.app.engine) as session:
            found = list(session.exec(select(table)))
            session.expunge_all()
            return found

    def keys(self) -> list[str]:
        return sorted(item.key for item in self.all(Item))


@pytest.fixture
def server() -> Iterator[ArxivServer]:
    with ArxivServer([paper(n) for n in range(1, 26)], today=DAY) as running:
        yield running


@pytest.fixture
def wiki(tmp_path: Path, server: ArxivServer) -> Iterator[Wiki]:
    made = Wiki(tmp_path, server)
    yield made
    made.app.engine.dispose()


def test_a_day_of_the_api_waits_in_the_inbox_once(wiki: Wiki, server: ArxivServer) -> None:
    source = wiki.add("arxiv", server.api, categories="cs.CL", page="10")
    wiki.fetch(source)
    assert wiki.keys() == [f"2605.{n:05d}" for n in range(1, 26)]
    found = wiki.all(Paper)
    assert {(each.state, each.came) for each in found} == {(PaperState.WAITING, DAY)}
    listed = wiki.all(ListingPaper)
    assert len(listed) == 25
    assert {(each.day, each.announced, each.version) for each in listed} == {
        (DAY, Announced.NEW, 1)
    }
    assert {each.paper_id for each in wiki.all(Item)} == {each.id for each in found}
    wiki.fetch(source)
    assert len(wiki.all(Item)) == len(wiki.all(Paper)) == len(wiki.all(ListingPaper)) == 25
    assert sum(each.new for each in wiki.all(Delivery)) == 25


class Dies:
    """A Web whose process dies at its nth request, or at once after it."""

    def __init__(self, web: Unpaced, at: int) -> None:
        self._web, self._left = web, at

    def get(self, url: str, **options: Any) -> Response:
        self._left -= 1
        if not self._left:
            raise Unavailable("The disk is full.")  # ends the fetch where it is, as a kill does
        return self._web.get(url, **options)

    def dial(self, host: str, port: int) -> Any:
        raise AssertionError


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_fetch_that_died_at_a_page_goes_on_there(
    wiki: Wiki, server: ArxivServer, at: int
) -> None:
    wiki.add("arxiv", server.api, categories="cs.CL", page="10")
    whole = wiki.app.web
    assert isinstance(whole, Unpaced)
    wiki.app.web = Dies(whole, at)
    with pytest.raises(Unavailable):
        wiki.fetch()
    assert len(server.asked) == at - 1
    wiki.app.web = whole
    wiki.fetch()
    assert wiki.keys() == [f"2605.{n:05d}" for n in range(1, 26)]
    assert len(server.asked) == 3  # none was asked for again
    assert [each.state for each in wiki.all(Fetch)] == [FetchState.DONE]
    assert sum(each.new for each in wiki.all(Delivery)) == 25


def test_feed_and_api_of_one_day_are_one_listing_and_a_replacement_is_not_new(
    wiki: Wiki, server: ArxivServer
) -> None:
    for each in list(server.papers):
        server.papers[server.papers.index(each)] = {**each, "day": DAY}
    feed = wiki.add("arxiv-rss", f"{server.root}/rss/cs.CL")
    wiki.fetch(feed)
    wiki.fetch(wiki.add("arxiv", server.api, categories="cs.CL", page="10"))
    assert len(wiki.all(Paper)) == len(wiki.all(ListingPaper)) == 25
    # The next working day: one of them again in a second version, and one that is old and never met.
    server.state.today = "2026-05-11"
    server.papers[:] = [
        paper(1, versions=["2026-05-06T20:01:00Z", "2026-05-08T12:00:00Z"], announced="replace", day="2026-05-11"),
        paper(90, versions=["2024-01-01T00:00:00Z"] * 3, announced="replace-cross", day="2026-05-11"),
        paper(91, announced="cross", day="2026-05-11"),
        paper(92, announced="new", day="2026-05-11"),
    ]  # fmt: skip
    wiki.at(NOW + timedelta(days=3))
    wiki.fetch(feed)
    with reading(wiki.app.engine) as session:
        rows = {row.title[-2:]: bool(row.seen) for row in listings.papers_of(session, "2026-05-11")}
        assert rows == {" 1": True, "90": True, "91": False, "92": False}
        before = papers.seen_before(session, "2026-05-11")
        assert [(row.first_day, row.version_before, row.version) for row in before] == [
            (DAY, 1, 2),
            (None, None, 3),
        ]
    first = next(each for each in wiki.all(Paper) if each.title.endswith(" 1"))
    assert first.came == DAY


def test_a_harvest_brings_what_is_new_and_leaves_out_what_is_old(
    wiki: Wiki, server: ArxivServer
) -> None:
    server.papers[:] = [
        paper(1, day=DAY),
        paper(2, versions=["2019-01-01T12:00:00Z"], datestamp=DAY, doi="10.1234/x"),
        paper(3, deleted=True, day=DAY),
        paper(4, versions=["2026-02-03T12:00:00Z", "2026-05-07T12:00:00Z"], day=DAY),
    ]
    wiki.fetch(wiki.add("oai", server.oai, metadataPrefix="arXivRaw"))
    assert wiki.keys() == ["2605.00001", "2605.00004"]
    listed = {(each.day, each.announced) for each in wiki.all(ListingPaper)}
    assert listed == {
        (DAY, Announced.NEW),
        ("2026-02-04", Announced.NEW),
        (DAY, Announced.REPLACED),
    }
    (delivery,) = wiki.all(Delivery)
    assert delivery.refusals == [
        {"where": "oai:arXiv.org:2605.00003", "reason": "The repository says that it was deleted."}
    ]


def test_upvotes_follow_from_fetch_to_fetch(wiki: Wiki, server: ArxivServer) -> None:
    def entry(upvotes: int) -> dict[str, Any]:
        told = {"id": "2605.00001", "title": "Voted for", "summary": "So.", "upvotes": upvotes,
                "submittedOnDailyAt": f"{DAY}T00:00:00.000Z", "authors": [{"name": "Ada Park"}]}  # fmt: skip
        return {"paper": told, "numComments": 1}

    source = wiki.add("hf-daily", server.hf)
    for upvotes in (4, 5, 40):
        server.state.daily[DAY] = [entry(upvotes)]
        wiki.fetch(source)
        (item,) = wiki.all(Item)
        assert item.state == {"upvotes": upvotes, "comments": 1}
    (found,) = wiki.all(Paper)
    assert found.extra["upvotes"] == 40 and found.came == DAY
    (row,) = wiki.all(ListingPaper)
    assert (row.day, row.announced) == (DAY, None)


def test_a_page_that_cannot_be_read_says_so_and_harms_no_other(
    wiki: Wiki, server: ArxivServer
) -> None:
    server.papers.append(paper(60, title=""))
    wiki.fetch(wiki.add("arxiv", server.api, categories="cs.CL", page="10"))
    assert len(wiki.all(Paper)) == 25
    refused = [said for each in wiki.all(Delivery) for said in each.refusals]
    assert refused == [{"where": "entry 1", "reason": "arxiv:2605.00060 has no title."}]
    assert {each.state for each in wiki.all(Delivery)} == {DeliveryState.READ}


def test_a_back_fill_brings_its_day_and_leaves_the_mark_of_what_is_new(
    wiki: Wiki, server: ArxivServer
) -> None:
    source = wiki.add("arxiv", server.api, categories="cs.CL", page="10")
    wiki.fetch(source)
    before = wiki.all(Subscription)[0].cursor
    server.papers.extend(paper(200 + n, versions=["2026-03-03T12:00:00Z"]) for n in range(15))
    with writing(wiki.app.engine) as session:
        subscriptions.backfill(
            session, source, "2026-03-04", "2026-03-04", today=wiki.app.today(), now=NOW
        )
    wiki.fetch()
    assert len(wiki.all(Paper)) == 40
    assert {each.day for each in wiki.all(Listing)} == {DAY, "2026-03-04"}
    assert wiki.all(Subscription)[0].cursor == before
