"""Search, the palette and completion, asked for by people and by odd strings."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
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
    statements.seen.clear()
    client.get("/search?q=walnut")
    few = len(statements)
    many(app, 50)
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
    assert {url: client.get(url).status_code for url in urls} == dict.fromkeys(urls, 200)


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
