"""Search, the palette and completion, asked for by people and by odd strings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import Assessment, AssessmentTopic, Page, PageTag, Paper, Topic
from app.services import search as service
from app.store import search as stored
from app.store.db import writing
from tests.web.conftest import PARTIAL, Statements, load, member, parsed, words

ODD = (
    '"', "'", '"""', "*", "**", "(", ")", "AND", "OR NOT", "NEAR(a b, 2)", "title:x", "a AND", "^a",
    "{title} : x", "-", "--", "- -x", "kind:", "kind:nonsense", "thread:No Such", "year:x", "%", "_",
    "\x00", "\x00\x01", "\u202eabc", "\u200b", "🦉", "漢字", "ا", "a" * 5000, "[[x]]", "'; DROP TABLE page; --",
    "<script>alert(1)</script>", "{{ 7*7 }}", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
)  # fmt: skip


def fill(app: App) -> None:
    """Two concepts, a thread, and three kept papers, two of them in the thread."""
    rows: list[dict[str, Any]] = [
        {"type": "concept", "id": "kv-cache", "title": "KV cache", "aliases": ["key-value cache"],
         "text": "Keys and values of earlier tokens, kept so that decoding need not redo them."},
        {"type": "concept", "id": "eviction", "title": "Eviction",
         "text": "Taking entries out of a cache by some rule."},
        {"type": "thread", "id": "shared-cache", "title": "Cache as a shared object",
         "claim": "What is cached belongs to the system, not to one request."},
        *({"type": "paper", "id": f"arxiv:2605.{n:05}", "title": f"Cache study {n}",
           "abstract": "A cache is measured.", "published": f"202{3 + n}-05-01"} for n in range(1, 4)),
        member(1, "shared-cache", day="2026-05-01"),
        member(2, "shared-cache", day="2026-05-02"),
    ]  # fmt: skip
    load(app, rows)


def many(app: App, number: int) -> None:
    load(
        app,
        [
            {"type": "page", "id": f"note-{n}", "kind": "note", "title": f"Walnut note {n}", "text": "walnut"}
            for n in range(number)
        ],
    )  # fmt: skip


def query(url: str) -> dict[str, list[str]]:
    parts = urlsplit(url)
    assert parts.path == "/search"
    return parse_qs(parts.query)


def test_search_without_words_shows_recent_pages_and_how_to_ask(
    client: TestClient, app: App
) -> None:
    fill(app)
    page = parsed(client.get("/search"))
    assert "/w/kv-cache" in [a["href"] for a in page.select("#results li a")]
    assert "kind:paper" in words(page.select_one(".how"))


def test_results_tell_title_kind_words_and_thread(client: TestClient, app: App) -> None:
    fill(app)
    page = parsed(client.get("/search?q=cache+study+1"))
    first = page.select_one(".results > li")
    assert first.select_one(".title a")["href"] == "/w/cache-study-1"
    assert "Paper" in words(first)
    assert "found by words" in words(first)
    assert first.select_one(".meta a")["href"] == "/w/shared-cache"
    assert page.select_one("#q")["value"] == "cache study 1"
    assert [words(m).lower() for m in page.select("mark")][:1] == ["cache"]


def test_htmx_gets_the_results_alone_and_anybody_else_the_page(
    client: TestClient, app: App
) -> None:
    fill(app)
    part = client.get("/search?q=cac", headers=PARTIAL)
    assert "<html" not in part.text
    assert parsed(part).find(id="results").select(".results > li")
    assert "HX-Request" in part.headers["vary"]
    restored = {"HX-History-Restore-Request": "true", "HX-Request-Type": "full"}
    assert "<html" in client.get("/search?q=cac", headers=restored).text


def test_filters_are_links_with_counts_that_can_be_taken_back(client: TestClient, app: App) -> None:
    fill(app)
    page = parsed(client.get("/search?q=cache&mode=words"))
    kinds = {
        words(li.a): (words(li.select_one(".n")), li.a["href"]) for li in page.select(".filters li")
    }
    assert kinds["Paper"][0] == "3"
    assert query(kinds["Paper"][1]) == {"q": ["cache"], "mode": ["words"], "kind": ["paper"]}
    narrowed = parsed(client.get(kinds["Paper"][1]))
    assert len(narrowed.select(".results > li")) == 3
    assert narrowed.select_one("form.search input[name=kind]")["value"] == "paper"
    back = narrowed.select_one(".filters a:not([aria-current])")
    assert (words(back), query(back["href"])) == ("any kind", {"q": ["cache"], "mode": ["words"]})


def test_years_and_threads_narrow_too(client: TestClient, app: App) -> None:
    fill(app)
    page = parsed(client.get("/search?q=cache"))
    links = {words(a): a["href"] for a in page.select(".filters a")}
    year = parsed(client.get(links["2025"]))
    assert [words(t) for t in year.select(".results .title")] == ["Cache study 2"]
    in_thread = parsed(client.get("/search?q=cache&thread=shared-cache"))
    assert {words(t) for t in in_thread.select(".results .title")} == {
        "Cache study 1",
        "Cache study 2",
    }


def on_topics(app: App) -> None:
    """The first two papers of `fill` were judged: both on memory, one on agents too."""
    with writing(app.engine) as session:
        session.add_all(
            [Topic(id="memory", name="Memory systems"), Topic(id="agents", name="Agents")]
        )
        session.flush()
        for number in (1, 2):
            title = col(Paper.title) == f"Cache study {number}"
            paper = session.exec(select(Paper.id).where(title)).one()
            assert paper is not None
            judged = Assessment(
                paper_id=paper,
                scorer="local",
                topic_id="memory",
                at=datetime(2026, 5, 8, tzinfo=UTC),
            )
            session.add(judged)
            session.flush()
            assert judged.id is not None
            if number == 1:
                session.add(AssessmentTopic(assessment_id=judged.id, topic_id="agents"))


def test_topics_are_offered_where_there_are_any(client: TestClient, app: App) -> None:
    fill(app)
    headings = [words(h) for h in parsed(client.get("/search?q=cache")).select("aside h2")]
    assert "Topic" not in headings
    on_topics(app)
    page = parsed(client.get("/search?q=cache"))
    links = {words(li.a): (li.select_one(".n"), li.a["href"]) for li in page.select(".filters li")}
    assert words(links["Memory systems"][0]) == "2"
    narrowed = parsed(client.get(links["Memory systems"][1]))
    assert {words(t) for t in narrowed.select(".results .title")} == {
        "Cache study 1",
        "Cache study 2",
    }
    assert narrowed.select_one("form.search input[name=topic]")["value"] == "memory"
    back = {words(a): a["href"] for a in narrowed.select(".filters a")}
    assert query(back["any topic"]) == {"q": ["cache"]}


def test_tags_and_spans_of_years_in_the_address_can_be_taken_back(
    client: TestClient, app: App
) -> None:
    fill(app)
    page = parsed(client.get("/search?q=cache&from=2024&to=2025"))
    assert {words(t) for t in page.select(".results .title")} == {"Cache study 1", "Cache study 2"}
    links = {words(a): a["href"] for a in page.select(".filters a")}
    assert "2024 to 2025" in links
    assert query(links["any year"]) == {"q": ["cache"]}
    with writing(app.engine) as session:
        page_id = session.exec(select(Page.id).where(Page.slug == "eviction")).one()
        assert page_id is not None
        session.add(PageTag(page_id=page_id, name="idea"))
    tagged = parsed(client.get("/search?q=cache&tag=idea"))
    assert [words(t) for t in tagged.select(".results .title")] == ["Eviction"]
    links = {words(a): a["href"] for a in tagged.select(".filters a")}
    assert query(links["any tag"]) == {"q": ["cache"]}


def test_of_many_results_the_best_are_listed_and_all_are_counted(
    client: TestClient, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (stored, service):
        monkeypatch.setattr(module, "RANKED", 25)
    many(app, 30)
    first = parsed(client.get("/search?q=walnut"))
    assert "30 results" in words(first.select_one("#results .meta"))
    assert "the best 25" in words(first.select_one("aside"))
    assert "1 to 20 of 25" in words(first.select_one(".pager"))
    last = parsed(client.get("/search?q=walnut&page=9"))
    assert len(last.select(".results > li")) == 5
    assert last.select_one(".pager a[rel=next]") is None


def test_the_api_takes_the_same_filters_and_counts(client: TestClient, app: App) -> None:
    fill(app)
    on_topics(app)
    found = client.get(
        "/api/v1/search", params={"q": "cache", "topic": "memory", "to": "2024"}
    ).json()
    assert [hit["title"] for hit in found["hits"]] == ["Cache study 1"]
    assert (found["total"], found["reach"], found["counted"], found["more"]) == (1, 1, 1, False)
    assert found["facets"]["topic"] == [
        {"value": "agents", "label": "Agents", "count": 1},
        {"value": "memory", "label": "Memory systems", "count": 1},
    ]
    assert [each["value"] for each in found["facets"]["kind"]] == ["paper"]
    assert client.get("/api/v1/search?q=cache&tag=none").json()["total"] == 0
    dated = client.get("/api/v1/search?q=cache+kind:paper&sort=date").json()
    assert [hit["date"][:4] for hit in dated["hits"]] == ["2026", "2025", "2024"]


def test_results_are_grouped_by_thread_on_demand(client: TestClient, app: App) -> None:
    fill(app)
    switch = parsed(client.get('/search?q="cache study"')).select_one("#results .meta > a")
    assert words(switch) == "group by thread"
    page = parsed(client.get(switch["href"]))
    assert [words(h) for h in page.select("#results section > h2")][:2] == [
        "Thread: Cache as a shared object 2",
        "In no thread 1",
    ]


def test_long_answers_come_in_pages_and_a_page_too_far_is_the_last(
    client: TestClient, app: App
) -> None:
    many(app, 45)
    first = parsed(client.get("/search?q=walnut"))
    assert len(first.select(".results > li")) == 20
    assert "1 to 20 of 45" in words(first.select_one(".pager"))
    third = parsed(client.get("/search?q=walnut&page=3"))
    assert len(third.select(".results > li")) == 5
    assert words(parsed(client.get("/search?q=walnut&page=99")).select_one(".pager")) == words(
        third.select_one(".pager")
    )


def test_what_nobody_wrote_can_be_begun(client: TestClient, app: App) -> None:
    fill(app)
    page = parsed(client.get("/search?q=quantum+gravity+lattice"))
    assert page.select_one(".empty a")["href"] == "/w/quantum-gravity-lattice/edit"
    filtered = parsed(client.get("/search?q=kind:note+quantum"))
    assert filtered.select_one(".empty a") is None


@pytest.mark.parametrize("headers", [{}, PARTIAL])
@pytest.mark.parametrize("address", ["/search", "/_/palette", "/_/complete"])
def test_any_text_has_an_answer(
    client: TestClient, app: App, address: str, headers: dict[str, str]
) -> None:
    fill(app)
    for q in ODD:
        answer = client.get(address, params={"q": q}, headers=headers)
        assert answer.status_code == 200, q
        assert "<script>alert" not in answer.text
        assert ">49<" not in answer.text


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"mode": "psychic"}, "Search goes by words, meaning or both."),
        ({"kind": "novel"}, "No page is of that kind."),
        ({"from": "last tuesday"}, "A date is a year, a month or a day"),
        ({"thread": "Not A Slug"}, "A thread is named by its address"),
        ({"sort": "shuffle"}, "Results are sorted by relevance or date."),
    ],
)
def test_a_search_that_cannot_be_says_why_and_keeps_the_words(
    client: TestClient, app: App, fields: dict[str, str], sentence: str
) -> None:
    fill(app)
    answer = client.get("/search", params={"q": "cache", **fields})
    page = parsed(answer)
    assert answer.status_code == 422
    assert sentence in words(page.select_one("#results .notice"))
    assert page.select_one("#q")["value"] == "cache"


@pytest.mark.parametrize("page", ["abc", "-1", "0", "9" * 40, "1.5", "²", ""])
def test_a_page_number_that_is_none_is_the_first(client: TestClient, app: App, page: str) -> None:
    many(app, 3)
    answer = client.get("/search", params={"q": "walnut", "page": page, "extra": "x"})
    assert len(parsed(answer).select(".results > li")) == 3


def test_a_thread_nobody_has_is_named_in_the_notice(client: TestClient, app: App) -> None:
    fill(app)
    page = parsed(client.get("/search?q=cache&thread=no-such-thread"))
    assert "No thread has the address no-such-thread." in words(page.select_one(".notice"))


def test_the_number_of_statements_does_not_grow_with_results(
    client: TestClient, app: App, statements: Statements
) -> None:
    many(app, 12)
    client.get("/search?q=walnut")  # the counts of the navigation are kept from here on
    statements.seen.clear()
    client.get("/search?q=walnut")
    few = len(statements)
    many(app, 50)
    client.get("/search?q=walnut")
    statements.seen.clear()
    client.get("/search?q=walnut")
    assert len(statements) == few


# ---------------------------------------------------------------- the palette


def offered(client: TestClient, q: str) -> dict[str, list[str]]:
    """What the palette shows, by group."""
    html = parsed(client.get("/_/palette", params={"q": q}))
    assert html.select_one("html") is None
    return {
        words(group.select_one(".label")): [words(o.span) for o in group.select("[role=option]")]
        for group in html.select("[role=group]")
    }


def test_the_palette_opens_with_recent_pages_and_commands(client: TestClient, app: App) -> None:
    fill(app)
    groups = offered(client, "")
    assert list(groups) == ["Recent", "Commands"]
    assert "KV cache" in groups["Recent"]
    assert "New page" in groups["Commands"]


def test_the_palette_finds_pages_by_title_alias_and_words(client: TestClient, app: App) -> None:
    fill(app)
    assert offered(client, "kv")["Pages"][0] == "KV cache"
    assert offered(client, "key-value")["Pages"][0] == "KV cache"
    assert "Cache study 3" in offered(client, "study 3")["Pages"]


def test_a_greater_sign_asks_for_commands_and_a_hash_for_threads(
    client: TestClient, app: App
) -> None:
    fill(app)
    assert offered(client, "> rev") == {"Commands": ["Go to Review"]}
    assert "Import papers or notes" in offered(client, ">")["Commands"]
    assert offered(client, "#") == {"Threads": ["Cache as a shared object"]}
    assert offered(client, "# shared obj") == {"Threads": ["Cache as a shared object"]}
    assert offered(client, "#kind:paper cache") == {}


def test_every_command_leads_somewhere(client: TestClient) -> None:
    html = parsed(client.get("/_/palette", params={"q": ">"}))
    urls = [option["data-url"] for option in html.select("[role=option]")]
    assert len(urls) > 5
    found = {url: client.get(url, follow_redirects=True).status_code for url in urls}
    assert found == dict.fromkeys(urls, 200)


def test_when_nothing_is_called_that_the_palette_offers_a_search(
    client: TestClient, app: App
) -> None:
    fill(app)
    html = parsed(client.get("/_/palette", params={"q": "zebra & co"}))
    [option] = html.select("[role=option]")
    assert query(option["data-url"]) == {"q": ["zebra & co"]}


# ---------------------------------------------------------------- after [[


def completions(client: TestClient, q: str) -> list[tuple[str, str]]:
    html = parsed(client.get("/_/complete", params={"q": q}))
    return [(option["data-insert"], words(option)) for option in html.select("[role=option]")]


def test_names_are_completed_and_a_new_one_is_offered_last(client: TestClient, app: App) -> None:
    fill(app)
    found = completions(client, "KV")
    assert found[0][0] == "KV cache"
    assert found[-1] == ("KV", "create “KV”")


def test_an_alias_is_inserted_as_the_words_of_the_link(client: TestClient, app: App) -> None:
    fill(app)
    assert completions(client, "key-va")[0][0] == "KV cache|key-value cache"


def test_a_name_that_is_there_is_not_offered_for_creation(client: TestClient, app: App) -> None:
    fill(app)
    assert [text for _, text in completions(client, "eviction")] == ["Eviction Concept"]


def test_two_pages_of_one_title_are_each_linked_by_a_name_of_their_own(
    client: TestClient, app: App
) -> None:
    load(
        app,
        [
            {"type": "concept", "id": "routing", "title": "Routing"},
            {"type": "page", "id": "routing-notes", "kind": "note", "title": "Routing"},
        ],
    )
    assert {insert for insert, _ in completions(client, "routing")} == {
        "Routing",
        "routing-notes|Routing",
    }
