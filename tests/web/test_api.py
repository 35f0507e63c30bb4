"""The JSON API as contract.md states it, and what it says to requests that are wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from app.pipeline import triage_now
from app.services.linker import shipped_weights
from app.settings import Settings
from app.store import papers
from app.store.db import reading
from app.web.app import create
from tests.factories import make_engine
from tests.web.conftest import NOW, listed, load, member

Row = dict[str, Any]
WIKI: list[Row] = [
    {
        "type": "concept",
        "id": "kv-cache",
        "title": "KV cache",
        "aliases": ["key-value cache"],
        "tags": ["serving"],
        "text": "Keys and values of earlier tokens, kept. See [[paging]].",
    },
    {"type": "concept", "id": "paging", "title": "Paging", "text": "Memory in pages."},
    {
        "type": "paper",
        "id": "arxiv:2605.00001",
        "title": "Paged keys",
        "abstract": "We keep the key-value cache in pages.",
        "published": "2026-05-07",
        "slug": "paged-keys",
    },
    {
        "type": "paper",
        "id": "arxiv:2605.00002",
        "title": "Pages denied",
        "abstract": "Pages do not help the key-value cache.",
        "published": "2026-05-08",
    },
    {"type": "thread", "id": "less-memory", "title": "Less memory", "claim": "It is enough."},
    {
        "type": "link",
        "source": "arxiv:2605.00001",
        "relation": "about",
        "target": "kv-cache",
        "status": "proposed",
        "confidence": 0.9,
        "evidence": [{"quote": "We keep the key-value cache in pages."}],
    },
    {
        "type": "link",
        "source": "arxiv:2605.00002",
        "relation": "contradicts",
        "target": "arxiv:2605.00001",
        "status": "proposed",
        "confidence": 0.4,
    },
    member(1, "less-memory", day="2026-05-13"),
]


@pytest.fixture
def wiki(app: App) -> App:
    load(app, WIKI)
    return app


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A browser on a wiki that the tests only read, or fail to change."""
    folder = tmp_path_factory.mktemp("still")
    settings = Settings(data=folder, embedding_model="none", timezone="UTC", now=NOW)
    app = App(settings, make_engine(folder), shipped_weights(None))
    load(app, WIKI)
    with TestClient(create(app), base_url="http://127.0.0.1:8000", follow_redirects=False) as it:
        yield it
    app.engine.dispose()


def error_of(response: Any) -> Row:
    """The error of an answer, which must have the one shape of errors."""
    body = response.json()
    assert next(iter(body)) == "error"
    error: Row = body["error"]
    assert {"code", "message", "id"} <= set(error)
    assert error["message"]
    for word in ("Traceback", "sqlite", "sqlalchemy", "SELECT", "/work"):
        assert word.lower() not in json.dumps(body).lower()
    return error


# ---------------------------------------------------------------- reading


def test_a_page_with_its_links_and_version(still: TestClient) -> None:
    response = still.get("/api/v1/pages/paged-keys")
    assert response.headers["etag"] == '"1"'
    page = response.json()
    assert (page["slug"], page["id"], page["kind"]) == ("paged-keys", "arxiv:2605.00001", "paper")
    assert page["paper"]["identifiers"] == {"arxiv": "2605.00001"}
    assert page["links"] == [{"relation": "part-of", "target": "less-memory", "origin": "import"}]
    concept = still.get("/api/v1/pages/key-value cache").json()
    assert (concept["slug"], concept["aliases"]) == ("kv-cache", ["key-value cache"])
    assert concept["tags"] == ["serving"]
    paging = still.get("/api/v1/pages/paging").json()
    assert paging["backlinks"] == [{"relation": "mentions", "source": "kv-cache"}]


def test_the_text_of_a_page_as_it_was_written(still: TestClient) -> None:
    response = still.get("/api/v1/pages/paging/raw")
    assert response.text == "Memory in pages."
    assert response.headers["content-type"].startswith("text/plain")
    assert still.get("/w/paging.md").text == "Memory in pages."
    assert still.get("/w/paging.json").json()["title"] == "Paging"


def test_search_finds_by_words_and_says_why(still: TestClient) -> None:
    found = still.get("/api/v1/search", params={"q": "pages", "mode": "words"}).json()
    assert found["total"] >= 2
    assert {"slug", "title", "kind", "score", "why", "snippet", "threads"} <= set(found["hits"][0])
    narrowed = still.get("/api/v1/search?q=pages&kind=concept&limit=1").json()
    assert [hit["slug"] for hit in narrowed["hits"]] == ["paging"]


def test_threads_with_computed_counters(still: TestClient) -> None:
    [thread] = still.get("/api/v1/threads").json()
    assert (thread["slug"], thread["papers"], thread["this_week"]) == ("less-memory", 1, 1)
    assert thread["status"] == "growing"


def test_the_graph_around_a_page(still: TestClient) -> None:
    graph = still.get("/api/v1/graph", params={"focus": "kv-cache", "depth": 1}).json()
    assert {node["slug"]: node["distance"] for node in graph["nodes"]} == {
        "kv-cache": 0,
        "paging": 1,
        "paged-keys": 1,
    }
    assert {(e["source"], e["relation"], e["target"], e["status"]) for e in graph["edges"]} == {
        ("kv-cache", "mentions", "paging", "accepted"),
        ("paged-keys", "about", "kv-cache", "proposed"),
    }
    wider = still.get("/api/v1/graph", params={"focus": "kv-cache", "depth": 3}).json()
    assert {node["slug"]: node["distance"] for node in wider["nodes"]} == {
        "kv-cache": 0,
        "paging": 1,
        "paged-keys": 1,
        "less-memory": 2,
    }


def test_health_says_whether_all_is_well(still: TestClient) -> None:
    body = still.get("/api/v1/health").json()
    assert body["ok"] is True
    assert {check["check"] for check in body["checks"]} >= {"database", "references", "search"}
    assert still.get("/healthz").json()["status"] == "ok"


def test_candidates_are_ranked_and_nothing_is_stored(still: TestClient) -> None:
    before = still.get("/api/v1/review").json()
    body = still.get("/api/v1/papers/arxiv:2605.00002/candidates").json()
    assert body["candidates"]
    confidences = [each["confidence"] for each in body["candidates"]]
    assert confidences == sorted(confidences, reverse=True)
    assert {"target", "relation", "proposed", "evidence", "signals"} <= set(body["candidates"][0])
    by_page = still.get("/api/v1/papers/pages-denied/candidates?limit=1").json()
    assert len(by_page["candidates"]) == 1
    assert still.get("/api/v1/review").json() == before


def test_the_description_of_the_api_loads_and_names_every_route(client: TestClient) -> None:
    described = client.get("/api/v1/openapi.json").json()
    assert described["openapi"].startswith("3.")
    for path in (
        "/api/v1/search",
        "/api/v1/pages/{slug}",
        "/api/v1/pages/{slug}/raw",
        "/api/v1/pages/{slug}/related",
        "/api/v1/review",
        "/api/v1/review/{id}",
        "/api/v1/papers/{id}/candidates",
        "/api/v1/threads",
        "/api/v1/graph",
        "/api/v1/health",
    ):
        assert path in described["paths"], path
    assert "put" in described["paths"]["/api/v1/pages/{slug}"]


# ---------------------------------------------------------------- writing a page


def put(client: TestClient, slug: str, tag: str | None = None, **fields: Any) -> Any:
    headers = {"If-Match": tag} if tag is not None else {}
    return client.put(f"/api/v1/pages/{slug}", json=fields, headers=headers)


def test_a_page_is_made_and_then_changed_by_its_etag(app: App, client: TestClient) -> None:
    made = put(client, "tides", title="Tides", kind="concept", body="One.", aliases=["ebb"])
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    changed = put(client, "tides", made.headers["etag"], body="Two.")
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    page = client.get("/api/v1/pages/tides").json()
    assert (page["title"], page["body"], page["aliases"]) == ("Tides", "Two.", ["ebb"])
    same = put(client, "tides", 'W/"2"', body="Two.")
    assert same.headers["etag"] == '"2"'
    assert put(client, "tides", "*", body="Three.").headers["etag"] == '"3"'


def test_whatever_stands_there_is_not_written_over_at_a_former_address(
    app: App, client: TestClient
) -> None:
    put(client, "tides", title="Tides", body="One.")
    client.post("/w/tides/rename", data={"slug": "high-tides"})
    refused = put(client, "tides", "*", body="Two.")
    assert (refused.status_code, "'high-tides'" in error_of(refused)["message"]) == (409, True)
    assert client.get("/api/v1/pages/high-tides/raw").text == "One."
    assert put(client, "tides", '"1"', body="Two.").json()["slug"] == "high-tides"


@pytest.mark.parametrize("tag", [None, "", '"x"', '"²"', '"-1"', "9" * 13, '"99"'])
def test_a_change_without_the_version_it_began_from_is_refused(
    still: TestClient, tag: str | None
) -> None:
    response = still.put(
        "/api/v1/pages/paging",
        json={"body": "x"},
        headers={"If-Match": tag.encode()} if tag is not None else {},  # type: ignore[dict-item]
    )
    assert response.status_code == 422
    error_of(response)
    assert still.get("/api/v1/pages/paging/raw").text == "Memory in pages."


def test_edits_of_different_lines_merge_and_of_the_same_conflict(
    app: App, client: TestClient
) -> None:
    put(client, "tides", title="Tides", body="One\n\nTwo\n\nThree\n")
    put(client, "tides", '"1"', body="1\n\nTwo\n\nThree\n")
    merged = put(client, "tides", '"1"', body="One\n\nTwo\n\n3\n")
    assert merged.json()["body"] == "1\n\nTwo\n\n3\n"
    conflict = put(client, "tides", '"1"', body="Uno\n\nTwo\n\nThree\n")
    assert conflict.status_code == 409
    assert error_of(conflict)["code"] == "edit_conflict"
    body = conflict.json()
    assert body["mine"].startswith("Uno")
    assert body["theirs"] == "1\n\nTwo\n\n3\n"
    assert "Uno" in body["merged"]
    assert body["version"] == 3
    assert client.get("/api/v1/pages/tides").json()["version"] == 3


def test_a_page_is_written_at_its_former_address(wiki: App, client: TestClient) -> None:
    client.post("/w/paging/rename", data={"slug": "pages-of-memory"})
    changed = put(client, "paging", '"1"', body="Changed.")
    assert changed.status_code == 200
    assert changed.json()["slug"] == "pages-of-memory"


@pytest.mark.parametrize("slug", ["Not a slug", "a_b", "x" * 201, "é", "..", "%00", "a%2Fb"])
def test_an_address_that_no_page_may_have_is_refused(still: TestClient, slug: str) -> None:
    response = put(still, slug, title="T", body="x")
    assert response.status_code in (404, 405, 422)
    error_of(response)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"title": 5}',
        b'{"title": null, "body": ["x"]}',
        b'{"body": {"a": 1}}',
        b'{"kind": "castle"}',
        b'{"aliases": "one"}',
        b'{"tags": [1, 2]}',
        b'{"title": "\\ud800"}',
        b'{"title": ""}',
        b'{"title": "' + b"x" * 501 + b'"}',
        b"\xff\xfe",
        b'{"title": NaN}',
        b"[" * 20_000,
        b'{"title": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_wrong_body_is_said_to_be_wrong(still: TestClient, body: bytes) -> None:
    response = still.put(
        "/api/v1/pages/tides", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code in (400, 422), response.text
    error_of(response)
    assert still.get("/api/v1/pages/tides").status_code == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "a\x00b", "body": "c\x00d"},
        {"title": "T", "aliases": ["", " ", "\x00", "a" * 5000], "tags": ["#", "##x"]},
        {"title": "<script>alert(1)</script>", "body": "<script>alert(1)</script>"},
        {"title": "T", "body": "[[" * 5000},
        {"title": "' OR 1=1; --"},
    ],
)
def test_odd_text_is_stored_as_text(app: App, client: TestClient, fields: Row) -> None:
    assert put(client, "odd", **fields).status_code == 201
    assert client.get("/api/v1/pages/odd").status_code == 200
    shown = client.get("/w/odd")
    assert shown.status_code == 200
    assert "<script>alert" not in shown.text


# ---------------------------------------------------------------- review


def waiting(client: TestClient) -> Row:
    body: Row = client.get("/api/v1/review").json()
    return body


def test_the_queue_holds_proposals_and_claims_in_tension_apart(still: TestClient) -> None:
    body = waiting(still)
    assert body["waiting"] == 1
    [proposal] = body["proposals"]
    assert proposal["source"] == {"slug": "paged-keys", "title": "Paged keys"}
    assert (proposal["relation"], proposal["confidence"]) == ("about", 0.9)
    assert proposal["evidence"][0]["quotation"] == "We keep the key-value cache in pages."
    assert [each["relation"] for each in body["tension"]] == ["contradicts"]


@pytest.mark.parametrize("as_json", [True, False])
def test_a_decision_by_json_or_form_and_its_undo(
    wiki: App, client: TestClient, as_json: bool
) -> None:
    number = waiting(client)["proposals"][0]["id"]
    given = {"decision": "accept", "reason": "clear"}
    response = client.post(
        f"/api/v1/review/{number}", **({"json": given} if as_json else {"data": given})
    )
    assert response.status_code == 200
    made = response.json()
    assert (made["id"], made["verdict"]) == (number, "accept")
    assert waiting(client)["waiting"] == 0
    again = client.post(f"/api/v1/review/{number}", json=given)
    assert again.status_code == 409
    assert error_of(again)["code"] == "conflict"
    undone = client.post(f"/api/v1/decisions/{made['decision']}/undo")
    assert undone.json() == {"undone": [made["decision"]]}
    assert waiting(client)["waiting"] == 1
    twice = client.post(f"/api/v1/decisions/{made['decision']}/undo")
    assert twice.status_code == 409
    error_of(twice)


def test_another_relation_and_target_by_json(wiki: App, client: TestClient) -> None:
    number = waiting(client)["proposals"][0]["id"]
    given = {"decision": "accept", "relation": "extends", "target": "Paging"}
    assert client.post(f"/api/v1/review/{number}", json=given).status_code == 200
    page = client.get("/api/v1/pages/paged-keys").json()
    assert {"relation": "extends", "target": "paging", "origin": "linker"} in page["links"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"decision": ""},
        {"decision": "keep"},
        {"decision": ["accept"]},
        {"decision": None},
        {"decision": "accept", "relation": "likes"},
        {"decision": "accept", "reason": 5},
        {"decision": "accept", "target": {"a": 1}},
        {"decision": "accept", "reason": "x" * 1001},
        {"decision": "accept", "target": "\ud800"},
        [],
        "accept",
        5,
        None,
    ],
)
def test_a_decision_that_is_none_leaves_the_proposal(still: TestClient, given: object) -> None:
    before = waiting(still)
    response = still.post(
        f"/api/v1/review/{before['proposals'][0]['id']}",
        content=json.dumps(given),
        headers={"Content-Type": "application/json"},
    )
    assert response.status_code == 422, response.text
    error_of(response)
    assert waiting(still) == before


# ---------------------------------------------------------------- wrong requests


NUMBERS = ["0", "-1", "999999", "9" * 19, "9" * 40, "9" * 5000, "1.5", "x", "%00", "١", "1e3"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/review/{}",
        "/api/v1/decisions/{}/undo",
        "/review/{}",
        "/decisions/{}/undo",
        "/inbox/{}",
    ],
)
def test_a_number_that_names_nothing_is_refused(still: TestClient, path: str) -> None:
    for number in NUMBERS:
        response = still.post(path.format(number), data={"decision": "accept"})
        assert 400 <= response.status_code < 500, (number, response.text)
        if path.startswith("/api/"):
            error_of(response)


@pytest.mark.parametrize(
    "query",
    [
        "search?limit=0",
        "search?limit=x",
        "search?limit=" + "9" * 30,
        "search?offset=-1",
        "search?mode=psychic",
        "search?kind=castle",
        "search?thread=Not+a+slug",
        "search?from=yesterday",
        "search?q=" + "x" * 2001,
        "review?limit=5000",
        "review?offset=" + "9" * 30,
        "graph?focus=nowhere",
        "graph?focus=kv-cache&depth=9",
        "pages/nowhere",
        "pages/nowhere/raw",
        "pages/" + "x" * 400,
        "papers/arxiv:9999.99999/candidates",
        "papers/kv-cache/candidates",
        "papers//candidates",
        "papers/%20/candidates",
        "papers/x/candidates?limit=0",
        "nothing/here",
    ],
)
def test_a_wrong_query_has_an_error_of_the_one_shape(still: TestClient, query: str) -> None:
    response = still.get(f"/api/v1/{query}")
    assert response.status_code in (404, 422), response.text
    error_of(response)


ODD = [
    "",
    " ",
    "%00",
    "%ff",
    "%ED%A0%80",
    "..",
    "%2e%2e%2f",
    "'%22%3b--",
    "%F0%9F%92%A9",
    "a" * 290,
]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/search?q={}",
        "/api/v1/search?q=x&thread={}",
        "/api/v1/review?thread={}",
        "/api/v1/graph?focus={}",
        "/api/v1/pages/{}",
        "/api/v1/papers/{}/candidates",
        "/w/{}",
        "/w/{}.md",
        "/w/{}/edit",
        "/w/{}/history",
        "/w/{}/links",
        "/w/kv-cache/diff?from={}&to=1",
        "/_/card/{}",
        "/arxiv/{}",
        "/doi/{}",
        "/pages?by={}",
        "/pages?by=title&letter={}",
        "/pages?by=kind&kind={}&page={}",
        "/review?tab={}",
        "/review?thread={}&sort={}&page={}",
        "/new?title={}",
    ],
)
def test_no_odd_word_in_an_address_breaks_the_server(still: TestClient, path: str) -> None:
    for odd in ODD:
        response = still.get(path.format(*[odd] * path.count("{}")))
        assert response.status_code < 500, (odd, response.text)


def test_a_listed_paper_waits_and_is_no_page_of_the_api(app: App, client: TestClient) -> None:
    load(app, [listed(1)])
    assert client.get("/api/v1/pages/arxiv:2605.00001").status_code == 404
    response = client.get("/api/v1/papers/arxiv:2605.00001/candidates")
    assert response.status_code == 404
    assert "kept" in error_of(response)["message"]


def test_another_site_may_not_write_and_is_told_as_json(wiki: App, client: TestClient) -> None:
    response = client.put(
        "/api/v1/pages/tides", json={"title": "T"}, headers={"Origin": "https://evil.example"}
    )
    assert response.status_code == 403
    error_of(response)
    assert client.get("/api/v1/pages/tides").status_code == 404


def test_what_waits_is_read_in_parts(still: TestClient) -> None:
    whole = still.get("/api/v1/review").json()
    assert whole["next"] is None
    seen, after = [], 0
    while True:
        part = still.get(f"/api/v1/review?limit=1&after={after}").json()
        seen += [row["id"] for row in part["proposals"]]
        if part["next"] is None:
            break
        after = part["next"]
    assert seen == [row["id"] for row in whole["proposals"]]
    assert still.get("/api/v1/review?after=999999").status_code == 200
    assert still.get("/api/v1/review?after=x").status_code == 422
    assert still.get(f"/api/v1/review?after={9**20}").status_code == 422


# ---------------------------------------------------------------- triage


def test_a_day_is_told_best_first_with_what_has_no_marks_yet(app: App, client: TestClient) -> None:
    load(app, [listed(1), listed(2), listed(3)])
    assert client.get("/api/v1/triage").json() == {
        "day": "2026-05-14", "unassessed": 3, "papers": [],
    }  # fmt: skip
    triage_now(app)
    told = client.get("/api/v1/triage", params={"day": "2026-05-14"}).json()
    assert told["unassessed"] == 0
    assert {row["paper"] for row in told["papers"]} == {
        f"arxiv:2605.{number:05}" for number in (1, 2, 3)
    }
    assert [row["score"] for row in told["papers"]] == sorted(
        (row["score"] for row in told["papers"]), reverse=True
    )
    assert {row["scorer"] for row in told["papers"]} == {"local"}


@pytest.mark.parametrize(
    ("day", "status"), [("2026-05-13", 404), ("soon", 422), ("2026-05-14\0", 422), ("9" * 50, 422)]
)
def test_a_day_without_a_listing_is_refused(
    app: App, client: TestClient, day: str, status: int
) -> None:
    load(app, [listed(1)])
    answer = client.get("/api/v1/triage", params={"day": day})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_papers_of_the_inbox_are_decided_by_name(app: App, client: TestClient) -> None:
    load(app, [listed(1), {**listed(2), "id": "doi:10.1000/a/b"}, listed(3)])
    kept = client.post("/api/v1/inbox/arxiv:2605.00001", json={"decision": "keep"})
    assert kept.status_code == 200
    assert (kept.json()["paper"], kept.json()["verdict"]) == ("arxiv:2605.00001", "keep")
    dropped = client.post("/api/v1/inbox/doi:10.1000/a/b", data={"decision": "drop"})
    assert dropped.json()["verdict"] == "drop"
    assert client.get("/w/listed-paper-1").status_code == 200
    again = client.post("/api/v1/inbox/arxiv:2605.00001", json={"decision": "drop"})
    assert again.status_code == 409
    undone = client.post(f"/api/v1/decisions/{kept.json()['decision']}/undo")
    assert undone.json() == {"undone": [kept.json()["decision"]]}
    assert (
        client.post("/api/v1/inbox/arxiv:2605.00001", json={"decision": "defer"}).status_code == 200
    )


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("arxiv:2605.99999", {"decision": "keep"}, 404),
        ("arxiv:2605.00001", {"decision": "accept"}, 422),
        ("arxiv:2605.00001", {}, 422),
        ("arxiv:2605.00001", {"decision": "keep", "reason": "x" * 2000}, 422),
        ("%20", {"decision": "keep"}, 404),
    ],
)
def test_a_decision_on_a_paper_that_cannot_be_is_refused(
    app: App, client: TestClient, name: str, body: Row, status: int
) -> None:
    load(app, [listed(1)])
    answer = client.post(f"/api/v1/inbox/{name}", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    with reading(app.engine) as session:
        assert papers.count(session) == 1
