"""Feeds, podcasts, posts and lists of feeds come in from a site on loopback: once, and as what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from app.bootstrap import App
from app.domain.records import (
    Delivery,
    Episode,
    Item,
    Link,
    LooseMention,
    Page,
    PageKind,
    Relation,
    Source,
    Subscription,
)
from app.fetchers import Fetchers, read_delivery
from app.importing import import_paths
from app.services import subscriptions
from app.services.linker import shipped_weights
from app.settings import Settings
from app.sources.connectors import Found
from app.sources.discovery import discover
from app.sources.http import Transport
from app.store import runs
from app.store.db import open_engine, reading, writing
from tests import databases
from tests.servers.pages import Page as Answer
from tests.servers.pages import Site

NOW = datetime(2026, 5, 8, 20, tzinfo=UTC)
SOUND = '<enclosure url="https://a.example/1.mp3" length="1" type="audio/mpeg"/>'


def feed(*items: str) -> Answer:
    text = (
        '<rss version="2.0" xmlns:podcast="https://podcastindex.org/namespace/1.0"><channel>'
        f"<title>A blog</title><link>https://blog.example/</link>{''.join(items)}</channel></rss>"
    )
    return Answer(text.encode(), etag=f'"{hash(text)}"')


def item(words: str = "First words.", *, guid: str = "a", day: int = 6, more: str = "") -> str:
    return (
        f"<item><title>Post {guid}</title><guid>{guid}</guid><link>https://blog.example/{guid}</link>"
        f"<pubDate>{day:02} May 2026 10:00:00 GMT</pubDate><description>{words}</description>{more}</item>"
    )


class Wiki:
    """An App with the program's own connectors and readers, on a site."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.app = App(
            settings=Settings(data=folder, now=NOW),
            engine=open_engine(databases.url_of(folder)),
            weights=shipped_weights(),
        )
        self.site = site
        self.app.web = Transport(allow={site.pair})

    def add(self, path: str) -> int:
        found = discover(self.app.web, self.site.at(path), self.app.connectors, self.app.readers)
        return self.subscribe(found[0])

    def subscribe(self, found: Found) -> int:
        with writing(self.app.engine) as session:
            made = subscriptions.add(
                session, found, connectors=self.app.connectors, now=self.app.clock()
            )
            assert made.id is not None
            return made.id

    def fetch(self, source: int) -> Delivery | None:
        """Fetch a source now and read what came; the last delivery."""
        with writing(self.app.engine) as session:
            subscriptions.ask(session, source, now=self.app.clock())
        with runs.at_work(self.app.engine) as owner:
            Fetchers(self.app, owner, only=[source]).run()
            while read_delivery(self.app, owner) is not None:
                pass
        brought = self.all(Delivery)
        return brought[-1] if brought else None

    def all(self, table: Any) -> list[Any]:
        with reading(self.app.engine) as session:
            found = list(session.exec(select(table).order_by(*table.__table__.primary_key)))
            session.expunge_all()
            return found

    def pages(self, kind: PageKind) -> list[Page]:
        return [page for page in self.all(Page) if page.kind == kind]


@pytest.fixture
def site() -> Iterator[Site]:
    with Site({}) as made:
        yield made


@pytest.fixture
def wiki(tmp_path: Path, site: Site) -> Iterator[Wiki]:
    made = Wiki(tmp_path, site)
    yield made
    made.app.engine.dispose()


def test_an_entry_comes_once_is_corrected_and_a_counter_is_no_change(
    wiki: Wiki, site: Site
) -> None:
    site.pages["/feed"] = feed(item())
    source = wiki.add("/feed")

    def counts() -> tuple[int, int, int]:
        brought = wiki.fetch(source)
        assert brought is not None and not brought.rejected
        return brought.new, brought.changed, brought.same

    first = counts()
    site.pages["/feed"] = feed(item("Better words. 3 comments"))
    corrected = counts()
    site.pages["/feed"] = feed(item("Better words. 9 comments"))
    counted = counts()

    (page,) = wiki.pages(PageKind.ARTICLE)
    (arrived,) = wiki.all(Item)
    assert first[0] > 0 and corrected[1] > 0 and counted == (0, 0, 1)
    assert page.body.startswith("Better words.")
    assert arrived.page_id == page.id


def test_what_is_older_than_thirty_days_is_no_item(wiki: Wiki, site: Site) -> None:
    old = item(guid="old").replace("May 2026", "Mar 2026")
    site.pages["/feed"] = feed(item(guid="new"), old)

    wiki.fetch(wiki.add("/feed"))

    assert [each.key for each in wiki.all(Item)] == ["new"]


def test_a_paper_that_an_article_names_is_noted_before_the_wiki_meets_it(
    wiki: Wiki, site: Site
) -> None:
    site.pages["/feed"] = feed(item("We liked arXiv:2605.00001 a lot."))

    wiki.fetch(wiki.add("/feed"))

    (loose,) = wiki.all(LooseMention)
    assert "2605.00001" in repr(loose)


def test_chapters_join_their_episode_and_the_transcript_leads_to_it(wiki: Wiki, site: Site) -> None:
    more = (
        f'{SOUND}<podcast:chapters url="{site.at("/1.json")}"/>'
        f'<podcast:transcript url="{site.at("/1.vtt")}" type="text/vtt"/>'
    )
    site.pages |= {
        "/feed": feed(item(more=more)),
        "/1.json": Answer(
            json.dumps({"chapters": [{"startTime": 0, "title": "First"}]}).encode(),
            kind="application/json",
        ),
        "/1.vtt": Answer(
            b"WEBVTT\n\n00:00:01.000 --> 00:00:04.000\n<v Ada>Maps are learned.", kind="text/vtt"
        ),
    }
    source = wiki.add("/feed")

    for _ in range(2):
        wiki.fetch(source)

    (episode,), (told,) = wiki.all(Episode), wiki.pages(PageKind.EPISODE)
    (transcript,) = wiki.pages(PageKind.ARTICLE)
    assert [each["title"] for each in episode.chapters] == ["First"]
    assert told.body == "First words."
    assert "Maps are learned." in transcript.body
    related = [each for each in wiki.all(Link) if each.relation == Relation.RELATED]
    assert [(each.source_id, each.target_id) for each in related] == [(transcript.id, told.id)]
    assert site.paths.count("/1.json") == site.paths.count("/1.vtt") == 1


def test_a_post_comes_when_it_passes_the_gate(wiki: Wiki, site: Site) -> None:
    def listing(score: int) -> Answer:
        post = {
            "name": "t3_1", "title": "A study", "score": score, "num_comments": 4, "subreddit": "Maps",
            "url": "https://arxiv.org/abs/2605.00001", "permalink": "/r/Maps/comments/1/a/",
            "created_utc": NOW.timestamp() - 3600, "selftext": "",
        }  # fmt: skip
        data = {"kind": "Listing", "data": {"children": [{"kind": "t3", "data": post}]}}
        return Answer(json.dumps(data).encode(), kind="application/json")

    site.pages["/r/Maps/new.json"] = listing(3)
    source = wiki.subscribe(Found("reddit:maps", "reddit", site.at("/r/Maps"), "r/Maps"))

    wiki.fetch(source)
    before = wiki.all(Item)
    site.pages["/r/Maps/new.json"] = listing(300)
    wiki.fetch(source)

    (after,) = wiki.all(Item)
    assert before == []
    assert after.state == {"score": 300, "comments": 4}
    assert len(wiki.all(LooseMention)) == 1


def test_an_imported_list_subscribes_to_each_feed_once(wiki: Wiki, tmp_path: Path) -> None:
    path = tmp_path / "list.opml"
    path.write_text(
        '<opml version="2.0"><body><outline text="Labs"><outline text="A" xmlUrl="https://a.example/f"/>'
        '</outline><outline text="B" xmlUrl="https://b.example/f"/><outline text="C" xmlUrl="mailto:x"/>'
        "</body></opml>"
    )

    first, second = (import_paths(wiki.app, [path]) for _ in range(2))

    subscribed = {each.source_id for each in wiki.all(Subscription)}
    urls = {each.url for each in wiki.all(Source) if each.id in subscribed}
    assert urls == {"https://a.example/f", "https://b.example/f"}
    assert first.as_json()["kinds"] == {"source": {"new": 2}}
    assert second.as_json()["kinds"] == {"source": {"same": 2}}
    assert len(first.refused) == 1
