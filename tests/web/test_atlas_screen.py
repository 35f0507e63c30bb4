"""The atlas: every number agrees with the rows behind it, whatever the topics are called."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import Item, Mention, Paper, PaperState, Source, SourceKind, Topic
from app.store.db import writing
from tests.web.conftest import NOW, Statements, listed, load, marks, member, parsed, words

HOSTILE = '<script>alert("x")</script> & {{ 7*7 }} "топик"'
VIEWS = ("/atlas", "/atlas/growth", "/atlas/sources", "/atlas/kept")


def topics(app: App, *names: str, **fields: Any) -> None:
    with writing(app.engine) as session:
        for n, name in enumerate(names):
            session.add(Topic(id=f"t{n}", name=name, position=n, threshold=0.5, **fields))


def add(
    app: App,
    day: str,
    count: int = 1,
    *,
    topic: str | None = None,
    state: PaperState = PaperState.WAITING,
    score: float = 0.8,
) -> None:
    """Papers that came on a day, known by month or year alone where it is no more."""
    with writing(app.engine) as session:
        for n in range(count):
            title = f"{day} {topic} {state.value} {score} {n}"
            paper = Paper(
                title=title, title_key=title, state=state, published=day, created_at=NOW, came=day
            )
            session.add(paper)
            session.flush()
            paper.topic_id, paper.score = topic, score


def table(page: Any, index: int = 0) -> dict[str, list[str]]:
    """Rows of a table by their first cell, without it."""
    return {
        words(row.find(["th", "td"])): [words(cell) for cell in row.find_all("td")]
        for row in page.find_all("table")[index].select("tbody tr, tfoot tr")
    }


def behind(client: TestClient, url: str) -> int:
    """How many rows a list has over all its pages; it must say so too."""
    count, following = 0, url
    said = None
    while following:
        answer = client.get(following)
        assert answer.status_code == 200, following
        page = parsed(answer)
        said = said or int(words(page.select_one(".lede")).split()[0].replace(",", ""))
        count += len(page.select("main tbody tr"))
        more = page.select_one(".pager a[rel=next]")
        following = more["href"] if more else ""
    assert said == count
    return count


def test_an_empty_wiki_says_what_the_atlas_is_for(client: TestClient) -> None:
    for path in VIEWS:
        page = parsed(client.get(path))
        assert page.select_one(".empty") is not None, path
        assert page.find("table") is None


def test_topics_by_week_count_what_came_was_picked_and_kept(app: App, client: TestClient) -> None:
    topics(app, "Boats", "Ropes")
    add(app, "2026-05-12", 3, topic="t0")  # picked
    add(app, "2026-05-12", 2, topic="t0", score=0.15)  # not picked
    add(app, "2026-05-10", 1, topic="t0", state=PaperState.KEPT)  # the Sunday before
    add(app, "2026-05-13", 4, topic="t1", state=PaperState.DROPPED)
    add(app, "2026-05-13", 5)  # of no topic
    add(app, "2026-05", 7, topic="t0")  # of a month, not of a week
    picked = table(parsed(client.get("/atlas")))
    assert picked["Boats"] == [*[""] * 10, "1", "3", "4"]
    assert picked["Ropes"] == [*[""] * 11, "4", "4"]
    assert "No topic" not in picked
    came = table(parsed(client.get("/atlas?of=came")))
    assert came["Boats"][-3:] == ["1", "5", "6"] and came["No topic"][-2:] == ["5", "5"]
    assert came["all topics"][-3:] == ["1", "14", "15"]
    kept = table(parsed(client.get("/atlas?of=kept")))
    assert kept["Boats"][-3:] == ["1", "", "1"] and kept["Ropes"] == [""] * 12 + ["0"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "of=came",
        "of=kept&range=6-months",
        "range=year&of=came",
        "range=all&of=came",
        "of=came&asof=2026-05-06",
    ],
)
def test_every_cell_leads_to_just_its_papers(app: App, client: TestClient, query: str) -> None:
    topics(app, "Boats", HOSTILE)
    for n, day in enumerate(
        (
            "2024-02-29",
            "2025-09-01",
            "2026-01-04",
            "2026-05-03",
            "2026-05-04",
            "2026-05-06",
            "2026-05-07",
            "2026-05-14",
            "2026-05-20",
            "2026-05",
            "2026",
        )
    ):
        add(app, day, 1 + n, topic="t0")
        add(app, day, 2, topic="t1", state=PaperState.KEPT, score=0.05)
        add(app, day, 1, state=PaperState.KEPT)
    page = parsed(client.get(f"/atlas?{query}"))
    cells = page.select("table.heat td a")
    assert cells
    for cell in cells:
        assert behind(client, cell["href"]) == int(words(cell)), cell["href"]


def test_a_list_of_more_papers_than_a_page_goes_on(app: App, client: TestClient) -> None:
    topics(app, "Boats")
    add(app, "2026-05-12", 130, topic="t0")
    add(app, "2026-05-13", 130, topic="t0")
    [cell] = parsed(client.get("/atlas")).select("tbody td a")
    assert words(cell) == "260" and behind(client, cell["href"]) == 260


def test_hostile_names_stay_text_and_a_retired_topic_keeps_its_papers(
    app: App, client: TestClient
) -> None:
    topics(app, HOSTILE, "Nobody's", retired=True)
    add(app, "2026-05-12", 2, topic="t0")
    answer = client.get("/atlas")
    assert "<script>alert" not in answer.text
    rows = table(parsed(answer))
    assert rows[f"{HOSTILE} retired"][-1] == "2"
    assert not any(name.startswith("Nobody's") for name in rows)  # retired, and nothing of it
    assert HOSTILE in words(
        parsed(client.get("/atlas/papers?topic=t0&from=2026-05-11&to=2026-05-14")).h1
    )


@pytest.mark.parametrize(
    "query",
    [
        "range=x&of=y&page=-3",
        "asof=2026-99-99",
        "asof=2027-01-01",
        "asof=%00",
        "asof='%3Cb%3E",
        "page=99999",
    ],
)
def test_what_cannot_be_read_is_said_and_left_out(app: App, client: TestClient, query: str) -> None:
    topics(app, "Boats")
    add(app, "2026-05-12", topic="t0")
    for path in VIEWS:
        answer = client.get(f"{path}?{query}")
        assert answer.status_code == 200
        assert ("is no day that has been" in words(parsed(answer).main)) is ("asof" in query)


@pytest.mark.parametrize(
    "path",
    [
        "/atlas/papers",
        "/atlas/papers?from=2026-05-14&to=2026-05-01",
        "/atlas/papers?from=2026-W20&to=2026-W21",
        "/atlas/papers?topic=%00&from=2026-05-11&to=2026-05-14",
        "/atlas/papers?topic=gone&from=2026-05-11&to=2026-05-14",
        "/atlas/papers?thread=gone&from=2026-05-11&to=2026-05-14",
        "/atlas/papers?concept=gone&from=2026-05-11&to=2026-05-14",
        "/atlas/items?source=77&from=2026-05-11&to=2026-05-14",
        "/atlas/items?source=x&from=2026-05-11&to=2026-05-14",
    ],
)
def test_lists_of_what_is_not_there_are_not_found(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert len(words(parsed(answer).main)) > 20


def test_more_topics_than_there_is_room_for_are_on_the_next_page(
    app: App, client: TestClient
) -> None:
    topics(app, *(f"Topic {n:03}" for n in range(40)))
    add(app, "2026-05-12", topic="t39")
    first = parsed(client.get("/atlas?range=6-months"))
    names = set(table(first)) - {"all topics"}
    assert len(names) == 13
    following = first.select_one("a[rel=next]")
    while following:
        page = parsed(client.get(following["href"]))
        more = set(table(page)) - {"all topics"}
        assert not names & more
        names |= more
        following = page.select_one("a[rel=next]")
    assert len(names) == 40


# ---------------------------------------------------------------- growth


def test_what_grows_and_fades_leads_to_its_papers(app: App, client: TestClient) -> None:
    topics(app, "Boats", "Ropes", "Knots")
    for day, boats, ropes in (("2026-04-02", 5, 60), ("2026-05-02", 60, 5)):
        add(app, day, boats, topic="t0")
        add(app, day, ropes, topic="t1")
        add(app, day, 30, topic="t2")
    page = parsed(client.get("/atlas/growth"))
    heats, cools, same = (table(page, at) for at in range(3))
    assert list(heats) == ["Boats"] and heats["Boats"][:2] == ["60", "5"]
    assert list(cools) == ["Ropes"] and cools["Ropes"][:2] == ["5", "60"]
    assert list(same) == ["Knots"]
    assert float(heats["Boats"][2]) > 3 and float(cools["Ropes"][2]) < 0.4
    for link in page.select("td.right a"):
        assert behind(client, link["href"]) == int(words(link))


def test_concepts_and_threads_grow_by_kept_papers(app: App, client: TestClient) -> None:
    rows: list[dict[str, Any]] = [
        {"type": "concept", "id": "kelp", "title": "Kelp"},
        {"type": "thread", "id": "tides", "title": "Tides", "claim": "They turn."},
    ]
    for n in range(1, 25):
        day = "2026-05-05" if n > 6 else "2026-04-05"
        rows.append(
            {"type": "paper", "id": f"arxiv:2605.{n:05}", "title": f"P {n}", "published": day}
        )
        rows.append(
            {"type": "link", "source": f"arxiv:2605.{n:05}", "relation": "about", "target": "kelp"}
        )
        if n % 2:
            rows.append(member(n, "tides", day=day))
    load(app, rows)
    page = parsed(client.get("/atlas/growth"))
    found = {words(row.th): row for row in page.select("tbody tr")}
    for name, now, before in (("Concept: Kelp", 18, 6), ("Thread: Tides", 9, 3)):
        links = found[name].select("td.right a")
        assert [int(words(each)) for each in links] == [now, before]
        assert [behind(client, each["href"]) for each in links] == [now, before]


def test_a_first_month_is_compared_with_nothing(app: App, client: TestClient) -> None:
    topics(app, "Boats")
    add(app, "2026-05-12", 40, topic="t0")
    main = words(parsed(client.get("/atlas/growth")).main)
    assert "nothing to compare" in main


# ---------------------------------------------------------------- sources, and what was kept


def test_sources_by_week_lead_to_their_items(app: App, client: TestClient) -> None:
    load(app, [listed(n, day="2026-05-13") for n in range(1, 6)], name="a.jsonl")
    load(app, [listed(n, day="2026-05-14") for n in range(4, 8)], name="b.jsonl")
    with writing(app.engine) as session:
        source = Source(key="harbour", kind=SourceKind.DIGEST, name="Harbour & <b>", created_at=NOW)
        session.add(source)
        session.flush()
        assert source.id is not None
        for n, day in enumerate(("2026-05-12", "2026-05-13")):
            item = Item(source_id=source.id, key=day, format="x", title=f"News {day}", published=day, received_at=NOW, hash="h")  # fmt: skip
            session.add(item)
            session.flush()
            assert item.id is not None
            for paper in range(1, 3 + n):
                for section in ("a", "b"):  # named twice by one item: one paper
                    session.add(Mention(item_id=item.id, paper_id=paper, section=section, day=day if n else ""))  # fmt: skip
    page = parsed(client.get("/atlas/sources?of=papers"))
    rows = table(page)
    assert rows["arXiv listing listing"][11] == "9"
    assert rows["Harbour & <b> digest"][11] == "5"
    assert rows["all sources"][11] == "14"
    assert table(parsed(client.get("/atlas/sources?of=items")))["Harbour & <b> digest"][11] == "2"
    [listing, harbour] = page.select("td a")
    items = parsed(client.get(harbour["href"]))
    assert words(items.select_one(".lede")).startswith("2 items, 5 papers")
    assert len(items.select("main li")) == 5
    days = parsed(client.get(listing["href"]))
    assert words(days.select_one(".lede")).startswith("2 items, 9 papers")
    for section in days.select("main section"):
        number = int(words(section.select_one(".meta")).split()[-2])
        on_day = parsed(client.get(section.a["href"]))
        assert len(on_day.select("tbody tr")) == number
    for mark in page.select("svg a"):
        assert mark["aria-label"] and client.get(mark["href"]).status_code == 200


def test_a_mention_is_noticed_at_once(app: App, client: TestClient) -> None:
    load(app, [listed(1, day="2026-05-13")])
    before = words(parsed(client.get("/atlas/sources?of=papers")).main)
    assert "Harbour" not in before
    with writing(app.engine) as session:
        source = Source(key="h", kind=SourceKind.PODCAST, name="Harbour", created_at=NOW)
        session.add(source)
        session.flush()
        item = Item(source_id=source.id or 0, key="k", format="x", title="E", published="2026-05-13", received_at=NOW, hash="h")  # fmt: skip
        session.add(item)
        session.flush()
        session.add(Mention(item_id=item.id or 0, paper_id=1, section="a", day="2026-05-13"))
    assert "Harbour" in words(parsed(client.get("/atlas/sources?of=papers")).main)


def test_the_kept_share_is_of_picked_papers_that_were_decided(app: App, client: TestClient) -> None:
    topics(app, "Boats")
    add(app, "2026-05-12", 3, topic="t0", state=PaperState.KEPT)
    add(app, "2026-05-12", 1, topic="t0", state=PaperState.DROPPED)
    add(app, "2026-05-12", 5, topic="t0")
    add(
        app, "2026-05-12", 2, topic="t0", state=PaperState.KEPT, score=0.1
    )  # kept though not picked
    page = parsed(client.get("/atlas/kept"))
    assert table(page)["11 May 2026"][:4] == ["11", "9", "5", "3 of 4, 75%"]
    assert table(page)["4 May 2026"] == ["0", "0", "0", "–", "–"]
    for link in [*page.select("td a"), *page.select("svg a")]:
        number = words(link) or link["aria-label"].split()[-2]
        assert behind(client, link["href"]) == int(number)


# ---------------------------------------------------------------- for programs, and what it costs


def test_the_api_says_the_same(app: App, client: TestClient) -> None:
    topics(app, "Boats")
    add(app, "2026-05-12", 3, topic="t0")
    told = client.get("/api/v1/atlas?asof=2026-05-13").json()
    assert told["asof"] == "2026-05-13" and len(told["columns"]) == 12
    assert told["columns"][-1] == {"week": "2026-W20", "from": "2026-05-11", "to": "2026-05-13"}
    [topic] = told["topics"]
    assert topic["id"] == "t0" and topic["papers"] == [0] * 11 + [3]
    assert told["kept"][-1]["picked"] == 3


@pytest.mark.parametrize("path", VIEWS)
def test_a_view_asks_as_much_of_many_papers_as_of_few(
    app: App, client: TestClient, statements: Statements, path: str
) -> None:
    topics(app, "Boats", "Ropes")
    load(app, [listed(1), marks(1, 8, 8, primary_topic="t0")])
    add(app, "2026-04-12", 1, topic="t0")

    def asked() -> int:
        statements.seen.clear()
        assert client.get(path).status_code == 200
        return len(statements)

    few = asked()
    add(app, "2026-05-12", 60, topic="t1", state=PaperState.KEPT)
    add(app, "2026-04-12", 60, topic="t1", state=PaperState.KEPT)
    assert asked() <= few + 1
    assert asked() <= 4  # and what was counted is kept until something changes


def test_the_links_of_a_view_keep_its_choices(app: App, client: TestClient) -> None:
    topics(app, "Boats")
    add(app, "2026-05-12", topic="t0")
    page = parsed(client.get("/atlas?of=kept&range=year&asof=2026-05-01"))
    kept = {link["href"] for link in page.select("main nav a, main .meta a")}
    for url in kept - {"/atlas/kept?range=year&asof=2026-05-01"}:
        assert parse_qs(urlsplit(url).query).get("asof") == ["2026-05-01"], url
    form = page.select_one("main form")
    assert form["action"] == "/atlas" and form.select_one("[name=range]")["value"] == "year"
