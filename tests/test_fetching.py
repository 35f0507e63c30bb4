"""Sources as a person asks for them: found, previewed, and fetched now. Real servers on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from app import fetching
from app.bootstrap import App, build
from app.domain.records import FetchState, SourceKind
from app.errors import Conflict, Invalid, NotFetched, NotFound, Unreadable
from app.services import subscriptions
from app.settings import Settings
from app.sources.connectors import Fetched, Found, Wanted, Web
from app.store import sources
from app.store.db import reading, writing
from tests import databases
from tests.servers.hostile import Behaviour, Server, Talk, page

NOW = "2026-05-14T20:00:00Z"


def feed(*entries: tuple[str, str], title: str = "A feed") -> bytes:
    """An RSS feed of entries: (name, day as it stands in May 2026)."""
    items = "".join(
        f"<item><title>{name}</title><guid>{name}</guid><link>https://feed.example/{name}</link>"
        f"<pubDate>{day} 09:00:00 GMT</pubDate><description>What {name} says.</description></item>"
        for name, day in entries
    )
    return (
        f'<?xml version="1.0"?><rss version="2.0"><channel><title>{title}</title>{items}'
        "</channel></rss>"
    ).encode()


NEW, OLD = "Tue, 12 May 2026", "Mon, 02 Feb 2026"
FEED = feed(("one", NEW), ("two", NEW), ("three", OLD))


def rss(body: bytes = FEED) -> Behaviour:
    return page(body, content_type="application/rss+xml")


def site(port: int) -> Behaviour:
    """A page that names a feed, the list of feeds, a page that names none, and a slow one."""
    address = f"http://127.0.0.1:{port}/"
    named = f'<html><head><link rel="alternate" type="application/rss+xml" href="{address}"></head>'
    listed = (
        '<?xml version="1.0"?><opml version="2.0"><body>'
        f'<outline type="rss" text="One" xmlUrl="{address}"/>'
        f'<outline type="rss" text="Two" xmlUrl="{address}two"/></body></opml>'
    )

    def behaviour(talk: Talk) -> None:
        path = talk.request.path
        if path == "/":
            talk.answer(named.encode(), content_type="text/html")
        elif path == "/list":
            talk.answer(listed.encode(), content_type="text/x-opml")
        else:
            talk.answer(status="404 Not Found")

    return behaviour


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(rss()) as made:
        yield made


def wiki(folder: Path, *servers: Server) -> App:
    return build(
        Settings(
            data=folder,
            database_url=databases.url_of(folder),
            embedding_model="none",
            now=NOW,
            fetch_allow=",".join(f"127.0.0.1:{each.port}" for each in servers),
        )
    )


def subscribe(app: App, found: Found) -> int:
    with writing(app.engine) as session:
        made = subscriptions.add(session, found, connectors=app.connectors, now=app.clock())
        assert made.id is not None
        return made.id


@dataclass
class Pages:
    """A connector that asks for daily papers so often; that of Hugging Face asks for each of 30 days."""

    number: int = 1
    seen: int = 1
    total: int | None = None
    name: str = "pages"
    kind: SourceKind = SourceKind.LISTING
    every_minutes: int = 60
    options: Mapping[str, str] = field(default_factory=dict)

    def finds(self, text: str) -> Found | None:
        return None

    def fetch(self, web: Web, wanted: Wanted) -> Iterator[Fetched]:
        for number in range(1, self.number + 1):
            yield Fetched(
                cursor={},
                data=web.get(wanted.url).data,
                format="hf-daily",
                name=f"page {number}",
                url=wanted.url,
                seen=number * self.seen,
                total=self.total,
            )


# ---------------------------------------------------------------- finding


def test_a_feed_a_page_that_names_it_and_a_list_are_found(tmp_path: Path, server: Server) -> None:
    with Server(site(server.port)) as other:
        app = wiki(tmp_path, server, other)
        [itself] = fetching.find(app, server.url)
        assert (itself.connector, itself.url, itself.name) == ("feed", server.url, "A feed")
        [named], is_list = fetching.find_all(app, other.url)
        assert (named, is_list) == (itself, False)
        listed, is_list = fetching.find_all(app, f"{other.url}list")
        assert is_list and [each.name for each in listed] == ["One", "Two"]
        with pytest.raises(NotFetched, match="no such page"):
            fetching.find(app, f"{other.url}nowhere")
    with pytest.raises(Invalid):
        fetching.find(app, "no source at all")


def test_finding_is_given_up_when_it_takes_too_long(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(site(server.port)) as other:
        app = wiki(tmp_path, server, other)
        monkeypatch.setattr(fetching, "MOST_SECONDS", -1.0)
        with pytest.raises(NotFetched, match="given up"):
            fetching.find(app, other.url)
        assert (other.asked, server.asked) == ([], [])


def test_a_source_is_named_outright(tmp_path: Path) -> None:
    app = wiki(tmp_path)
    found = fetching.named(app, "http://127.0.0.1:1/feed", connector="feed", name="Mine")
    assert (found.connector, found.url, found.name) == ("feed", "http://127.0.0.1:1/feed", "Mine")
    category = fetching.named(app, "cs.CL", connector="arxiv")
    assert category.connector == "arxiv" and category.url.startswith("http")
    with pytest.raises(Invalid, match=r"Use one of: .*feed"):
        fetching.named(app, "cs.CL", connector="nope")
    with pytest.raises(Invalid, match="address"):
        fetching.named(app, "  ", connector="feed")


def test_other_options_are_another_source() -> None:
    found = Found(key="reddit:x", connector="reddit", url="https://r.example/x", name="x")
    assert fetching.with_choices(found) == found
    chosen = fetching.with_choices(found, options={"score": "50"}, name=" Mine ")
    assert (chosen.name, chosen.options, chosen.key) == (
        "Mine",
        {"score": "50"},
        "reddit:x?score=50",
    )


# ---------------------------------------------------------------- a preview


def test_a_preview_says_what_would_come_in_and_stores_nothing(
    tmp_path: Path, server: Server
) -> None:
    app = wiki(tmp_path, server)
    [found] = fetching.find(app, server.url)
    seen = fetching.preview(app, found)
    assert (seen.entries, seen.new, seen.known, seen.older, seen.more) == (3, 2, 0, 1, False)
    assert seen.words == "2 entries would come in, 1 older ones stay where they are."
    assert [(each.title, each.kind, each.day) for each in seen.samples] == [
        ("one", "article", "2026-05-12"),
        ("two", "article", "2026-05-12"),
    ]
    assert seen.as_json()["new"] == 2
    with reading(app.engine) as session:
        assert sources.listed(session) == []
    number = subscribe(app, found)
    fetching.fetch_now(app, [number])
    again = fetching.preview(app, found)
    assert (again.new, again.known, again.older) == (0, 2, 1)


@pytest.mark.parametrize(
    ("connector", "more", "requests"),
    [
        (Pages(), False, 1),
        (Pages(2, seen=50), True, 2),
        (Pages(1, seen=50), False, 1),
        (Pages(2, seen=50, total=100), True, 1),
        (Pages(1, seen=50, total=50), False, 1),
    ],
)
def test_a_preview_says_whether_more_follows(
    tmp_path: Path, connector: Pages, more: bool, requests: int
) -> None:
    paper = {"paper": {"id": "2605.00001", "title": "A paper"}, "publishedAt": "2026-05-14"}
    with Server(page(json.dumps([paper]).encode())) as server:
        app = wiki(tmp_path, server)
        app.connectors = (connector,)
        seen = fetching.preview(app, fetching.named(app, server.url, connector="pages"))
        assert (seen.more, len(server.asked)) == (more, requests)
        assert ("from its first answer" in seen.words) == more


def test_a_preview_of_what_does_not_answer_says_why(tmp_path: Path) -> None:
    with Server(page(b"gone", status="410 Gone")) as gone, Server(page(b"no feed")) as other:
        app = wiki(tmp_path, gone, other)
        with pytest.raises(NotFetched, match="gone for good"):
            fetching.preview(app, fetching.named(app, gone.url, connector="feed"))
        with pytest.raises((NotFetched, Unreadable)):
            fetching.preview(app, fetching.named(app, other.url, connector="feed"))
        with pytest.raises(NotFetched, match="no public address"):
            fetching.preview(app, fetching.named(app, "http://127.0.0.1/", connector="feed"))
        unknown = replace(fetching.named(app, gone.url, connector="feed"), connector="nope")
        with pytest.raises(Invalid, match="no connector"):
            fetching.preview(app, unknown)


# ---------------------------------------------------------------- a fetch, now


def test_sources_are_fetched_now_and_say_how_it_went(tmp_path: Path, server: Server) -> None:
    with Server(page(b"gone", status="410 Gone")) as gone:
        app = wiki(tmp_path, server, gone)
        good = subscribe(app, fetching.find(app, server.url)[0])
        bad = subscribe(app, fetching.named(app, gone.url, connector="feed", name="Gone"))
        heard: list[str] = []
        came = fetching.fetch_now(
            app, [good, bad, good], progress=lambda done, total, name: heard.append(name)
        )
        assert [each.state for each in came] == [FetchState.DONE, FetchState.FAILED]
        assert (came[0].words, came[0].failed) == ("A feed: 2 new", False)
        assert came[1].failed and "gone for good" in came[1].words
        assert came[0].as_json()["new"] == 2
        assert {"A feed", "Gone"} <= set(heard)
        [again] = fetching.fetch_now(app, [good])
        assert again.words in ("A feed: 2 same", "A feed: nothing new")
        with reading(app.engine) as session:
            told = fetching.told(sources.of(session, bad))
            assert (told["state"], told["next_try"]) == ("stopped", None)
            assert "gone for good" in str(told["error"])
            assert fetching.told(sources.of(session, good))["items"] == 2


def test_what_could_not_be_read_is_told_with_the_rest(tmp_path: Path) -> None:
    paper = {"id": "2605.00001", "title": "A paper", "summary": "What it says."}
    answers = [{"paper": paper, "publishedAt": "2026-05-14T00:00:00Z"}, {"paper": {"id": 7}}, 8]
    body = json.dumps(answers).encode()
    with Server(page(body, content_type="application/json")) as server:
        app = wiki(tmp_path, server)
        app.connectors = (Pages(),)
        found = fetching.named(app, server.url, connector="pages")
        number = subscribe(app, found)
        seen = fetching.preview(app, found)
        assert (seen.new, seen.rejected_count) == (1, 2)
        assert seen.words.endswith(", 2 cannot be read.")
        [came] = fetching.fetch_now(app, [number])
        assert (came.brought.new, came.failed) == (1, False)
        assert came.refusals and all(where and why for where, why in came.refusals)
        assert "could not be read" in came.words


def test_days_of_a_source_are_fetched(tmp_path: Path, server: Server) -> None:
    app = wiki(tmp_path, server)
    number = subscribe(app, fetching.find(app, server.url)[0])
    [came] = fetching.fetch_now(app, [number], first="2026-02-01", last="2026-02-28")
    assert came.words == "A feed: 1 new"
    for first, last in (("2026-05-20", ""), ("2026-05-02", "2026-05-01"), ("May", "")):
        with pytest.raises(Invalid):
            fetching.fetch_now(app, [number], first=first, last=last)
    with pytest.raises(NotFound):
        fetching.fetch_now(app, [999])


def test_feeds_and_podcasts_are_written_as_a_list(tmp_path: Path, server: Server) -> None:
    app = wiki(tmp_path, server)
    subscribe(app, fetching.find(app, server.url)[0])
    subscribe(app, fetching.named(app, "cs.CL", connector="arxiv"))
    written = fetching.opml(app)
    assert written.count(b"<outline") == 1
    assert f'xmlUrl="{server.url}"'.encode() in written
    with Server(page(written, content_type="text/x-opml")) as other:
        (tmp_path / "other").mkdir()
        again = wiki(tmp_path / "other", server, other)
        found, is_list = fetching.find_all(again, other.url)
        assert is_list and [each.url for each in found] == [server.url]
    with pytest.raises(Conflict, match="already"):
        subscribe(app, found[0])
