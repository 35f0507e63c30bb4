"""Sources: looking at an address, adding it, how each stands, what is asked of it, what it brought."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import (
    Delivery,
    DeliveryState,
    Fetch,
    FetchReason,
    FetchState,
    Item,
    Paper,
    PaperState,
    Raw,
    Source,
    SourceKind,
    Subscription,
)
from app.services import subscriptions
from app.sources.connectors import Found
from app.sources.defaults import DEFAULTS
from app.sources.http import Transport
from app.store.db import reading, writing
from app.web.templating import every, size
from app.worker import Worker
from tests.servers.hostile import Server, page
from tests.web.conftest import NOW, PARTIAL, Statements, parsed, words

FEED = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>Tide notes</title>
<link>https://tides.example.org/</link><description>d</description>
<item><title>Slack water &amp; why it keeps time</title><guid>tide-1</guid>
<link>https://tides.example.org/1</link><pubDate>Tue, 12 May 2026 08:00:00 GMT</pubDate>
<description>A note on slack water that is long enough to be read.</description></item>
<item><title>Old</title><guid>tide-0</guid><link>https://tides.example.org/0</link>
<pubDate>Tue, 12 May 2020 08:00:00 GMT</pubDate><description>Old.</description></item>
</channel></rss>"""
HOSTILE = '<script>alert(1)</script> "q" $x^2$ \u202eevil'


@pytest.fixture
def feed() -> Iterator[Server]:
    with Server(page(FEED, content_type="application/rss+xml")) as server:
        yield server


def subscribed(app: App, name: str = "Tides", number: int = 1, **fields: Any) -> int:
    """A feed that was fetched once, with what a test says of its subscription."""
    found = Found(
        key=f"feed:https://feed{number}.example.org/",
        connector="feed",
        url=f"https://feed{number}.example.org/",
        name=name,
    )
    with writing(app.engine) as session:
        source = subscriptions.add(session, found, connectors=app.connectors, now=app.clock())
        assert source.id is not None
        its = session.get(Subscription, source.id)
        assert its is not None
        its.tried_at = its.succeeded_at = NOW - timedelta(hours=3)
        its.due_at = NOW + timedelta(hours=21)
        for key, value in fields.items():
            setattr(its, key, value)
        session.add(its)
        return source.id


def fetched(app: App, source_id: int, **fields: Any) -> int:
    with writing(app.engine) as session:
        fetch = Fetch(
            **{
                "source_id": source_id,
                "reason": FetchReason.DUE,
                "state": FetchState.DONE,
                "asked_at": NOW,
                "started_at": NOW,
                **fields,
            }
        )
        session.add(fetch)
        session.flush()
        assert fetch.id is not None
        return fetch.id


def delivered(app: App, source_id: int, fetch_id: int, **fields: Any) -> int:
    with writing(app.engine) as session:
        if session.get(Raw, "a" * 64) is None:
            session.add(Raw(sha256="a" * 64, size=3, created_at=NOW))
            session.flush()
        delivery = Delivery(
            **{
                "source_id": source_id,
                "fetch_id": fetch_id,
                "name": "the feed",
                "url": "https://feed1.example.org/",
                "format": "feed",
                "headers": {"content-type": "application/rss+xml"},
                "raw_sha256": "a" * 64,
                "state": DeliveryState.READ,
                "received_at": NOW,
                **fields,
            }
        )
        session.add(delivery)
        session.flush()
        assert delivery.id is not None
        return delivery.id


def row_of(client: TestClient, source_id: int) -> Any:
    return parsed(client.get("/sources")).select_one(
        f"#sources li:has(a[href='/sources/{source_id}'])"
    )


# ---------------------------------------------------------------- looking and adding


def test_without_sources_the_short_list_is_offered_and_added(client: TestClient, app: App) -> None:
    screen = parsed(client.get("/sources"))
    offered = screen.select("input[name=source]")
    assert {each["value"] for each in offered} == {each.key for each in DEFAULTS}
    answer = client.post("/sources/offered", data={"source": ["cs-cl", "bair", "no such"]})
    assert answer.headers["location"] == "/sources?notice=offered"
    screen = parsed(client.get("/sources"))
    assert {words(each) for each in screen.select("#sources li a bdi")} == {
        "arXiv cs.CL",
        "BAIR blog",
    }
    assert screen.select("input[name=source]") == []
    assert "due now never asked yet" in words(screen.select_one("#sources li"))
    assert screen.select_one("#sources")["hx-get"] == "/sources"  # until they were asked


def test_nothing_ticked_is_said_so(client: TestClient) -> None:
    for address in ("/sources/offered", "/sources"):
        answer = client.post(address, data={"source": "nothing"})
        assert answer.status_code == 422
        assert "Nothing was chosen" in words(parsed(answer).select_one("#problem"))


def test_an_address_is_looked_at_added_fetched_and_shows_what_it_brought(
    client: TestClient, app: App, feed: Server
) -> None:
    app.web = Transport(allow={feed.pair})  # type: ignore[misc]
    answer = client.post("/sources/find", data={"text": feed.url})
    assert answer.status_code == 200
    screen = parsed(answer)
    form = screen.select_one("form[action='/sources']")
    assert "Tide notes" in words(form)
    assert "1 entry would come in" in words(form)
    assert "Slack water & why it keeps time" in words(form)
    with reading(app.engine) as session:
        assert session.get(Source, 1) is None  # looking stores nothing
    answer = client.post("/sources", data={"found": form.select_one("[name=found]")["value"]})
    where = answer.headers["location"]
    assert (answer.status_code, where) == (303, "/sources/1?notice=added")
    Worker(app).once("test")
    screen = parsed(client.get(where))
    assert "Added." in words(screen.select_one(".notice"))
    counts = [words(each) for each in screen.select(".counts > div")]
    assert counts[0] == "items 1"
    cells = [words(cell) for cell in screen.select_one("table tbody tr").select("td")]
    assert (cells[2], cells[3], cells[4]) == ("done", "1", "1")
    items = parsed(client.get("/sources/1/items"))
    assert "Slack water & why it keeps time" in words(items.select_one(".list li"))
    known = parsed(client.post("/sources/find", data={"text": feed.url}))
    assert "one of your sources already" in words(known.select_one("a[href='/sources/1']").parent)
    assert known.select_one("[name=found]") is None
    again = client.post("/sources", data={"found": form.select_one("[name=found]")["value"]})
    assert again.status_code == 422
    assert "one of your sources already" in words(parsed(again).select_one("#problem"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("", "Give an address"),
        ("certainly no source", "names no source"),
        ("http://127.0.0.1:1/feed", "CEREBRO_FETCH_ALLOW"),
        ("file:///etc/passwd", "can be fetched"),
        (HOSTILE, "names no source"),
    ],
)
def test_what_leads_to_no_source_is_told_and_what_was_typed_stays(
    client: TestClient, asked: str, said: str
) -> None:
    answer = client.post("/sources/find", data={"text": asked})
    assert answer.status_code == 422
    screen = parsed(answer)
    assert said in words(screen.select_one("#problem"))
    assert screen.select_one("#text")["value"] == asked
    assert screen.select("main script") == []


@pytest.mark.parametrize(
    "field",
    [
        "",
        "{",
        "[]",
        '{"key": 1}',
        "[" * 50_000,
        json.dumps({"key": "k", "connector": "feed", "url": "u\n", "name": "n", "options": {}}),
        json.dumps({"key": "k", "connector": "none", "url": "u", "name": "n", "options": {}}),
        json.dumps({"key": "k", "connector": "feed", "url": "u", "name": "n", "options": []}),
        json.dumps({"key": "k", "connector": "feed", "url": "u", "name": "n", "options": {"a": 1}}),
    ],
)
def test_a_form_that_is_not_ours_adds_nothing(client: TestClient, app: App, field: str) -> None:
    answer = client.post("/sources", data={"found": field})
    assert answer.status_code == 422
    with reading(app.engine) as session:
        assert session.get(Source, 1) is None


# ---------------------------------------------------------------- how each stands


def test_a_source_says_its_schedule_and_its_last_run(client: TestClient, app: App) -> None:
    number = subscribed(app, every_minutes=1440)
    said = words(row_of(client, number))
    assert "every day, next tomorrow at 06:00" in said
    assert "asked 3 hours ago" in said


def test_trouble_is_told_in_words_with_the_next_try_and_stands_first(
    client: TestClient, app: App
) -> None:
    well = subscribed(app, "Aardvark", 1)
    failing = subscribed(
        app,
        "Zebra",
        2,
        failures=2,
        last_error="zebra.example.org is not to be spoken to just now (503).",
        due_at=NOW + timedelta(minutes=12),
    )
    stopped = subscribed(app, "Yak", 3, stopped="yak.example.org says that this is gone for good (410).")  # fmt: skip
    paused = subscribed(app, "Ibex", 4, paused=True)
    order = [each["href"] for each in parsed(client.get("/sources")).select("#sources li > p > a")]
    assert order == [f"/sources/{each}" for each in (stopped, failing, well, paused)]
    assert "just now (503), twice in a row; next try in 12 minutes." in words(
        row_of(client, failing).select_one(".problem")
    )
    assert words(row_of(client, stopped).select_one(".problem")).startswith("Stopped: yak")
    assert "paused" in words(row_of(client, paused))
    assert row_of(client, well).select_one(".problem") is None
    foot = words(parsed(client.get("/_/status")).select_one("#nav-status"))
    assert foot == "1 source stopped, 1 source failing"


def test_a_running_fetch_shows_its_progress_and_can_be_cancelled(
    client: TestClient, app: App
) -> None:
    number = subscribed(app)
    assert parsed(client.get("/sources")).select_one("#sources").get("hx-trigger") is None
    fetch = fetched(app, number, state=FetchState.RUNNING, seen=40, total=100)
    screen = parsed(client.get("/sources"))
    assert screen.select_one("#sources")["hx-get"] == "/sources"
    bar = screen.select_one("#sources progress")
    assert (bar["value"], bar["max"]) == ("40", "100")
    assert "1 source being asked" in words(screen.select_one("#nav-status"))
    part = parsed(client.get(f"/sources/{number}", headers=PARTIAL))
    assert part.select_one("html") is None
    assert "40 of 100" in words(part.select_one("#now"))
    assert "Fetched now" in words(parsed(client.get("/jobs")).select_one("#runs"))
    answer = client.post(f"/fetches/{fetch}/cancel")
    assert answer.headers["location"] == f"/sources/{number}?notice=cancelled"
    with reading(app.engine) as session:
        row = session.get(Fetch, fetch)
        assert row is not None and row.cancel
    assert "it ends" in words(parsed(client.get(f"/sources/{number}")).select_one("#now"))
    with writing(app.engine) as session:
        row = session.get(Fetch, fetch)
        assert row is not None
        row.state = FetchState.CANCELLED
        session.add(row)
    part = parsed(client.get(f"/sources/{number}", headers=PARTIAL)).select_one("#now")
    assert part.get("hx-get") is None
    assert "Show what came" in words(part)


@pytest.mark.parametrize("name", [HOSTILE, "שלום עולם", "n" * 200])
def test_a_name_from_outside_is_text_and_nothing_more(
    client: TestClient, app: App, name: str
) -> None:
    number = subscribed(app, name)
    fetch = fetched(app, number, state=FetchState.FAILED, error=HOSTILE)
    delivered(
        app,
        number,
        fetch,
        name=HOSTILE,
        url="javascript:alert(1)",
        headers={"x-evil": HOSTILE},
        rejected=1,
        refusals=[{"where": HOSTILE, "reason": HOSTILE}],
        state=DeliveryState.FAILED,
    )
    for address in ("/sources", f"/sources/{number}", f"/sources/{number}/items", "/jobs"):
        screen = parsed(client.get(address))
        assert screen.select("main script") == []
        assert "\u202e" not in client.get(address).text
        assert [a["href"] for a in screen.select("a[href^=javascript]")] == []
    assert screen.select_one("section li form[action^='/deliveries/']") is not None


def test_an_imported_file_stands_apart_and_leads_to_its_items(client: TestClient, app: App) -> None:
    with writing(app.engine) as session:
        source = Source(key="file:x", kind=SourceKind.FILE, name="day.html", created_at=NOW)
        session.add(source)
        session.flush()
        assert source.id is not None
        session.add(
            Item(source_id=source.id, key="1", format="x", title="One", received_at=NOW, hash="h")
        )
    screen = parsed(client.get("/sources"))
    assert screen.select_one("#sources") is None
    link = screen.select_one("main a[href='/sources/1']")
    assert words(link) == "day.html"
    assert "1 item" in words(link.parent)
    alone = client.get("/sources/1")
    assert alone.status_code == 200
    assert "read once, when it was imported" in words(parsed(alone).select_one(".lede"))
    assert parsed(alone).select_one("main form") is None
    assert "One" in words(parsed(client.get("/sources/1/items")).select_one(".list"))


def test_the_list_takes_as_many_statements_for_thirty_as_for_one(
    client: TestClient, app: App, statements: Statements
) -> None:
    subscribed(app, number=1)
    client.get("/sources")
    statements.seen.clear()
    client.get("/sources")
    one = len(statements)
    for number in range(2, 31):
        fetched(app, subscribed(app, f"Feed {number}", number))
    client.get("/sources")
    statements.seen.clear()
    client.get("/sources")
    assert len(statements) == one


# ---------------------------------------------------------------- what is asked of one


def test_schedule_name_and_options_are_changed(client: TestClient, app: App) -> None:
    client.post("/sources/offered", data={"source": "r-ml"})
    screen = parsed(client.get("/sources/1"))
    fields = {each["name"]: each.get("value", "") for each in screen.select("#schedule input")}
    assert fields["every"] == "2h"
    fields |= {"name": "Reddit", "every": "3d", "option-least_score": "50"}
    answer = client.post("/sources/1", data=fields)
    assert answer.headers["location"] == "/sources/1?notice=saved"
    with reading(app.engine) as session:
        its, source = session.get(Subscription, 1), session.get(Source, 1)
        assert its is not None and source is not None
        assert (source.name, its.every_minutes, its.options["least_score"]) == (
            "Reddit",
            4320,
            "50",
        )
    assert "every 3 days" in words(parsed(client.get("/sources/1")).select_one("#now"))


def test_what_cannot_be_saved_is_told_and_stays_in_the_form(client: TestClient, app: App) -> None:
    number = subscribed(app)
    answer = client.post(f"/sources/{number}", data={"name": "Tides", "every": "often"})
    assert answer.status_code == 422
    screen = parsed(answer)
    assert "says not how often" in words(screen.select_one("#summary"))
    assert screen.select_one("#every")["value"] == "often"
    assert screen.select_one("#every")["aria-invalid"] == "true"
    answer = client.post(f"/sources/{number}", data={"name": "  ", "every": "6h"})
    assert "needs a name" in words(parsed(answer).select_one("#summary"))


def test_a_source_is_paused_resumed_asked_and_removed(client: TestClient, app: App) -> None:
    number = subscribed(app)
    at = f"/sources/{number}"
    assert client.post(f"{at}/pause").headers["location"] == f"{at}?notice=paused"
    assert "paused" in words(parsed(client.get(at)).select_one("#now"))
    assert client.post(f"{at}/resume").headers["location"] == f"{at}?notice=resumed"
    assert client.post(f"{at}/fetch").headers["location"] == f"{at}?notice=asked"
    assert "waits for its turn" in words(parsed(client.get(at)).select_one("#now"))
    asked = parsed(client.get(f"{at}?confirm=remove"))
    assert asked.select_one(f"form[action='{at}/remove']") is not None
    answer = client.post(f"{at}/remove")
    screen = parsed(client.get(answer.headers["location"]))
    assert words(screen.select_one(".notice")).startswith("Tides is fetched no more")
    gone = client.get(at)
    assert gone.status_code == 410
    assert "removed" in words(parsed(gone).select_one(".lede"))
    assert parsed(gone).select_one(".lede time")["datetime"] == NOW.isoformat()
    assert parsed(gone).select_one("form[action='/sources/find'] [name=text]") is not None
    assert client.get(f"{at}/items").status_code == 200
    refused = client.post(f"{at}/pause")
    assert refused.status_code == 404
    assert "was removed" in words(parsed(refused).main)


def test_a_removed_source_says_what_came_from_it(client: TestClient, app: App) -> None:
    number = subscribed(app, "<b>Yaks</b>")
    with writing(app.engine) as session:
        for each in range(3):
            session.add(
                Item(source_id=number, key=str(each), format="feed", title="Yak", hash="h",
                     received_at=NOW)
            )  # fmt: skip
        subscriptions.remove(session, number, now=app.clock())
    screen = parsed(client.get(f"/sources/{number}"))
    assert words(screen.h1) == "<b>Yaks</b>"
    link = screen.select_one(f".counts a[href='/sources/{number}/items?of=items']")
    assert words(link) == "3"
    # Fetched again it is a source like any other, and its history tells of the gap.
    again = Found(
        key="feed:https://feed1.example.org/",
        connector="feed",
        url="https://feed1.example.org/",
        name="Yaks",
    )
    with writing(app.engine) as session:
        assert subscriptions.add(
            session, again, connectors=app.connectors, now=app.clock()
        ).id == number  # fmt: skip
    back = client.get(f"/sources/{number}")
    assert back.status_code == 200
    assert "The source was removed." in back.text


def test_each_fetch_of_a_source_is_named_and_cancelled_by_itself(
    client: TestClient, app: App
) -> None:
    number = subscribed(app)
    runs_now = fetched(app, number, state=FetchState.RUNNING, seen=40, total=100)
    waits = fetched(
        app,
        number,
        state=FetchState.WAITING,
        reason=FetchReason.BACKFILL,
        first_day="2026-04-01",
        last_day="2026-04-07",
    )
    forms = parsed(client.get(f"/sources/{number}")).select("#now form")
    assert [form["action"] for form in forms] == [
        f"/fetches/{each}/cancel" for each in (runs_now, waits)
    ]
    assert "back-fill, 1 April" in words(forms[1])
    assert "1 more waiting" in words(row_of(client, number))
    assert "back-fill, 1 April" in words(parsed(client.get("/jobs")).select_one("#runs"))
    client.post(f"/fetches/{runs_now}/cancel")
    now = parsed(client.get(f"/sources/{number}")).select_one("#now")
    assert [form["action"] for form in now.select("form:has(button)")] == [
        f"/fetches/{waits}/cancel"
    ]
    with reading(app.engine) as session:
        row = session.get(Fetch, waits)
        assert row is not None and row.state == FetchState.WAITING and not row.cancel


def test_many_sources_stand_on_pages_those_in_trouble_first(
    client: TestClient, app: App, statements: Statements
) -> None:
    for number in range(250):
        # Names that fold to the same, and that sort otherwise by case.
        its: dict[str, Any] = {}
        if number % 100 == 7:
            its = {"stopped": "yak"} if number > 100 else {"failures": 3, "last_error": "yak"}
        subscribed(app, ("tide" if number % 2 else "TIDE") + str(number % 5), number, **its)
    seen: list[str] = []
    at: str | None = "/sources"
    sizes = []
    while at:
        screen = parsed(client.get(at))
        rows = screen.select("#sources > ul > li")
        sizes.append(len(rows))
        seen += [row.a["href"] for row in rows]
        link = screen.select_one("a[rel=next]")
        at = link["href"] if link else None
    assert sizes == [100, 100, 50]
    assert len(set(seen)) == 250
    troubled = [int(each.rsplit("/", 1)[1]) for each in seen[:3]]
    assert troubled == [108, 208, 8]
    statements.seen.clear()
    client.get("/sources?after=3-250")
    assert len(statements) < 30
    for odd in ("x", "3-0", "-1", "9-99999999999999999999", "3-4711"):
        assert client.get(f"/sources?after={odd}").status_code == 200


def test_days_are_asked_for_and_wrong_ones_refused(client: TestClient, app: App) -> None:
    number = subscribed(app)
    at = f"/sources/{number}/backfill"
    for begin, end, said in (
        ("2026-05-10", "2026-05-01", "begins before it ends"),
        ("soon", "2026-05-01", "is no day"),
        ("2026-05-10", "2026-06-01", "in the future"),
        ("2020-01-01", "2026-05-01", "a year at a time"),
    ):
        answer = client.post(at, data={"from": begin, "to": end})
        assert answer.status_code == 422
        screen = parsed(answer)
        assert said in words(screen.select_one("#summary"))
        assert screen.select_one("#from")["value"] == begin
    answer = client.post(at, data={"from": "2026-05-01", "to": "2026-05-02"})
    assert answer.status_code == 303
    row = parsed(client.get(f"/sources/{number}")).select_one("table tbody tr")
    assert "back-fill, 1 May 2026 to 2 May 2026" in words(row)
    assert client.post(at, data={"from": "2026-05-01", "to": "2026-05-02"}).status_code == 409


def test_what_could_not_be_read_is_told_with_its_place_and_read_again(
    client: TestClient, app: App
) -> None:
    number = subscribed(app)
    fetch = fetched(app, number, seen=10)
    bad = delivered(
        app,
        number,
        fetch,
        state=DeliveryState.FAILED,
        rejected=1,
        refusals=[{"where": "line 7", "reason": "It has no title."}],
    )
    delivered(app, number, fetch, new=7, same=1, rejected=1, refusals=[])
    screen = parsed(client.get(f"/sources/{number}"))
    cells = [words(td) for td in screen.select_one("table tbody tr").select("td")]
    assert cells[3:8] == ["10", "7", "0", "1", "2"]
    failed = screen.select_one(".runs .failed")
    assert "line 7 It has no title." in words(failed)
    assert "content-type application/rss+xml" in words(failed.select_one(".facts"))
    aside = parsed(client.get("/jobs")).select_one("section li:has(form[action^='/deliveries'])")
    assert "Tides , the feed" in words(aside)
    assert "It has no title." in words(aside)
    assert client.post(f"/deliveries/{bad}/again").status_code == 303
    with reading(app.engine) as session:
        row = session.get(Delivery, bad)
        assert row is not None and row.state == DeliveryState.WAITING
    assert "/deliveries/" not in client.get("/jobs").text


def test_kept_of_scanned_leads_to_the_papers_it_counts(client: TestClient, app: App) -> None:
    number = subscribed(app)
    with writing(app.engine) as session:
        for at in range(120):
            paper = Paper(
                state=PaperState.KEPT if at < 3 else PaperState.WAITING,
                title=f"Paper {at}",
                title_key=f"paper {at}",
                created_at=NOW,
            )
            session.add(paper)
            session.flush()
            session.add(
                Item(
                    source_id=number,
                    key=str(at),
                    format="x",
                    title=f"Paper {at}",
                    received_at=NOW,
                    hash="h",
                    paper_id=paper.id,
                )
            )
    row = row_of(client, number)
    kept, papers = row.select("a[href*='items?of=']")
    assert (words(kept), words(papers)) == ("3 kept", "120 papers")
    assert len(parsed(client.get(kept["href"])).select(".list > li")) == 3
    first = parsed(client.get(papers["href"]))
    rest = parsed(client.get(first.select_one("a[rel=next]")["href"]))
    listed = [*first.select(".list > li"), *rest.select(".list > li")]
    titles = [words(each.select_one("[dir]")) for each in listed]
    assert len(set(titles)) == 120
    assert rest.select_one("a[rel=next]") is None


@pytest.mark.parametrize("number", ["0", "4711", "99999999999", "-1"])
def test_a_source_that_is_not_there(client: TestClient, number: str) -> None:
    for method, path in (
        ("GET", ""),
        ("GET", "/items"),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/remove"),
        ("POST", "/fetch"),
        ("POST", "/backfill"),
        ("POST", ""),
    ):
        assert client.request(method, f"/sources/{number}{path}").status_code in (404, 422)
    assert client.post(f"/fetches/{number}/cancel").status_code == 404
    assert client.post(f"/deliveries/{number}/again").status_code == 404


def test_the_list_goes_out_as_opml(client: TestClient, app: App) -> None:
    subscribed(app, "Tides & <more>")
    answer = client.get("/sources.opml")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert 'xmlUrl="https://feed1.example.org/"' in answer.text
    assert "Tides &amp; &lt;more&gt;" in answer.text


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(5, "every 5 minutes"), (60, "every hour"), (90, "every 90 minutes"), (360, "every 6 hours"),
     (1440, "every day"), (10080, "every week"), (44640, "every 31 days")],
)  # fmt: skip
def test_how_often_in_words(minutes: int, said: str) -> None:
    assert every(minutes) == said


def test_sizes_in_words() -> None:
    assert [size(each) for each in (1, 840, 12_000, 3_400_000)] == [
        "1 byte",
        "840 bytes",
        "12 kB",
        "3.4 MB",
    ]
