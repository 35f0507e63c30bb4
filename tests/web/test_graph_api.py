"""The graph over HTTP, and as a GraphML file: a small wiki of two groups of papers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import PageKind
from app.services.graph import graphml
from app.services.linker import shipped_weights
from app.settings import Settings
from app.store.db import reading, writing
from app.web.app import create
from tests.factories import make_engine, make_link, make_page
from tests.web.conftest import NOW, load

Row = dict[str, Any]


def paper(number: int) -> Row:
    return {
        "type": "paper",
        "id": f"arxiv:2605.{number:05}",
        "title": f"Paper {number}",
        "slug": f"paper-{number}",
        "published": "2026-05-07",
    }


def about(number: int, target: str, day: str = "2026-05-10", **fields: Any) -> Row:
    return {
        "type": "link",
        "source": f"arxiv:2605.{number:05}",
        "relation": "about",
        "target": target,
        "status": "accepted",
        "at": f"{day}T08:00:00Z",
        **fields,
    }


WIKI: list[Row] = [
    {"type": "concept", "id": "caches", "title": "Caches"},
    {"type": "concept", "id": "bridges", "title": "Bridges & piers <1>"},
    {"type": "concept", "id": "lonely", "title": "Lonely"},
    {"type": "thread", "id": "less-memory", "title": "Less memory", "claim": "It is enough."},
    *(paper(number) for number in range(1, 9)),
    *(about(number, "caches", f"2026-05-{number:02}") for number in (1, 2, 3, 4)),
    *(about(number, "bridges", f"2026-05-{number:02}") for number in (5, 6, 7)),
    about(4, "bridges", "2026-05-12"),
    about(8, "caches", "2026-05-13", status="proposed", confidence=0.8),
    about(3, "bridges", "2026-05-13", status="rejected"),
    about(1, "less-memory", "2026-05-09", relation="part-of"),
]


@pytest.fixture(scope="module")
def wiki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("graph")
    settings = Settings(data=folder, embedding_model="none", timezone="UTC", now=NOW)
    app = App(settings, make_engine(folder), shipped_weights(None))
    load(app, WIKI)
    yield app
    app.engine.dispose()


@pytest.fixture(scope="module")
def still(wiki: App) -> Iterator[TestClient]:
    with TestClient(create(wiki), base_url="http://127.0.0.1:8000", follow_redirects=False) as it:
        yield it


def graph(still: TestClient, **asked: Any) -> Any:
    response = still.get("/api/v1/graph", params=asked)
    assert response.status_code == 200, response.text
    return response.json()


def slugs(answer: Any) -> list[str]:
    return [node["slug"] for node in answer["nodes"]]


# ---------------------------------------------------------------- around a page


def test_a_neighbourhood_is_ordered_by_rank_from_the_focus(still: TestClient) -> None:
    near = graph(still, focus="caches", depth=1)
    assert near["focus"] == "caches"
    assert near["left_out"] == 0
    assert slugs(near)[0] == "caches"
    assert set(slugs(near)[1:]) == {f"paper-{number}" for number in (1, 2, 3, 4, 8)}
    scores = [node["score"] for node in near["nodes"]]
    assert scores == sorted(scores, reverse=True)
    by_slug = {node["slug"]: node for node in near["nodes"]}
    assert by_slug["caches"] == {
        "slug": "caches",
        "title": "Caches",
        "kind": "concept",
        "community": by_slug["paper-2"]["community"],
        "score": scores[0],
        "distance": 0,
    }
    assert (by_slug["paper-8"]["score"], by_slug["paper-8"]["community"]) == (0, None)
    edges = {
        (e["source"], e["target"]): (e["relation"], e["status"], e["weight"]) for e in near["edges"]
    }
    assert edges["paper-1", "caches"] == ("about", "accepted", 1)
    assert edges["paper-8", "caches"] == ("about", "proposed", 0.9)
    assert len(edges) == 5


def test_depth_reaches_farther(still: TestClient) -> None:
    assert "less-memory" not in slugs(graph(still, focus="caches", depth=1))
    two = graph(still, focus="caches")
    assert {node["slug"]: node["distance"] for node in two["nodes"]}["less-memory"] == 2
    assert "paper-5" not in slugs(two)
    assert "paper-5" in slugs(graph(still, focus="caches", depth=3))


def test_two_groups_are_two_communities(still: TestClient) -> None:
    groups = {node["slug"]: node["community"] for node in graph(still)["nodes"]}
    assert groups["paper-2"] == groups["paper-3"] == groups["caches"]
    assert groups["paper-5"] == groups["paper-6"] == groups["bridges"]
    assert groups["caches"] != groups["bridges"]


def test_a_limit_keeps_the_highest_and_counts_the_rest(still: TestClient) -> None:
    whole = graph(still, focus="caches", depth=3)
    cut = graph(still, focus="caches", depth=3, limit=4)
    assert slugs(cut) == slugs(whole)[:4]
    assert cut["left_out"] == len(whole["nodes"]) - 4
    kept = set(slugs(cut))
    assert all(edge["source"] in kept and edge["target"] in kept for edge in cut["edges"])
    assert slugs(graph(still, focus="caches", limit=1)) == ["caches"]


def test_a_page_that_is_only_proposed_for_has_a_neighbourhood(still: TestClient) -> None:
    near = graph(still, focus="paper-8", depth=2)
    assert slugs(near)[:2] == ["paper-8", "caches"]
    distances = {node["slug"]: node["distance"] for node in near["nodes"]}
    assert distances["caches"] == 1
    assert distances["paper-1"] == 2
    assert all(node["score"] > 0 for node in near["nodes"][1:])


def test_a_page_without_links_stands_alone(still: TestClient) -> None:
    alone = graph(still, focus="lonely")
    assert slugs(alone) == ["lonely"]
    assert (alone["edges"], alone["left_out"]) == ([], 0)


def test_a_focus_goes_by_any_of_its_names(still: TestClient) -> None:
    assert graph(still, focus="Bridges & piers <1>")["focus"] == "bridges"


# ---------------------------------------------------------------- the whole, and filters


def test_without_a_focus_the_highest_ranks_of_all_are_shown(still: TestClient) -> None:
    whole = graph(still)
    assert whole["focus"] is None
    assert set(slugs(whole)[:2]) == {"caches", "bridges"}
    assert "lonely" not in slugs(whole)
    assert sum(node["score"] for node in whole["nodes"]) == pytest.approx(1, abs=1e-4)
    assert "distance" not in whole["nodes"][0]
    cut = graph(still, limit=3)
    assert slugs(cut) == slugs(whole)[:3]
    assert cut["left_out"] == len(whole["nodes"]) - 3
    assert graph(still, focus=" ") == whole


def test_filters_by_kind_and_thread(still: TestClient) -> None:
    papers = graph(still, kind="paper")
    assert {node["kind"] for node in papers["nodes"]} == {"paper"}
    assert len(papers["nodes"]) == 7
    around = graph(still, focus="caches", depth=3, kind="concept")
    assert slugs(around) == ["caches", "bridges"]
    assert around["edges"] == []
    assert set(slugs(graph(still, thread="less-memory"))) == {"less-memory", "paper-1"}
    assert slugs(graph(still, thread="less-memory", kind="paper")) == ["paper-1"]


def test_the_graph_as_of_a_day_and_since_a_day(still: TestClient) -> None:
    early = graph(still, asof="2026-05-02")
    assert set(slugs(early)) == {"caches", "paper-1", "paper-2"}
    assert slugs(graph(still, asof="2026-05-12")) != slugs(graph(still, asof="2026-05-11"))
    late = graph(still, since="2026-05-09")
    assert set(slugs(late)) == {"paper-1", "less-memory", "paper-4", "bridges"}
    both = graph(still, since="2026-05-03", asof="2026-05-03")
    assert set(slugs(both)) == {"paper-3", "caches"}
    assert graph(still, asof="1999-01-01")["nodes"] == []
    before = graph(still, focus="caches", asof="2026-05-12")
    assert "paper-8" not in slugs(before)  # its proposal was not made yet
    assert "paper-8" in slugs(graph(still, focus="caches", asof="2026-05-13"))
    today = {node["slug"]: node["community"] for node in graph(still)["nodes"]}
    assert all(node["community"] == today[node["slug"]] for node in early["nodes"])


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"focus": "nowhere"}, 404, "There is no page 'nowhere'."),
        ({"thread": "nowhere"}, 404, "There is no thread 'nowhere'."),
        ({"thread": "caches"}, 404, "There is no thread 'caches'."),
        ({"kind": "castle"}, 422, "'castle' is no kind of page."),
        ({"asof": "yesterday"}, 422, "'yesterday' is no day that has been. Write it as in"),
        ({"asof": "2026-02-30"}, 422, "is no day that has been"),
        ({"asof": "2999-01-01"}, 422, "'2999-01-01' is no day that has been: it is"),
        ({"since": "0001-01-01"}, 422, "since has to be a day"),
        ({"since": "9999-12-31"}, 422, "since has to be a day"),
        ({"since": "2026-05-03", "asof": "2026-05-02"}, 422, "since is later than asof"),
        ({"focus": "caches", "depth": 0}, 422, ""),
        ({"focus": "caches", "depth": 4}, 422, ""),
        ({"limit": 0}, 422, ""),
        ({"limit": 301}, 422, ""),
        ({"limit": "many"}, 422, ""),
        ({"focus": "x" * 301}, 422, ""),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    still: TestClient, asked: Row, status: int, says: str
) -> None:
    response = still.get("/api/v1/graph", params=asked)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) >= {"code", "message", "id"}
    assert says in error["message"]
    assert error["message"].endswith(".") and "\n" not in error["message"]


def test_an_empty_wiki_has_an_empty_graph(app: App, client: TestClient) -> None:
    assert client.get("/api/v1/graph").json() == {
        "focus": None, "nodes": [], "edges": [], "left_out": 0
    }  # fmt: skip


def test_a_decision_is_seen_at_once(app: App, client: TestClient) -> None:
    load(app, WIKI)
    assert "paper-8" not in slugs(graph(client))
    [row] = client.get("/api/v1/review").json()["proposals"]
    made = client.post(f"/api/v1/review/{row['id']}", data={"decision": "accept"}).json()
    assert "paper-8" in slugs(graph(client))
    client.post(f"/api/v1/decisions/{made['decision']}/undo")
    assert "paper-8" not in slugs(graph(client))


def test_a_picture_is_bounded_and_takes_few_statements(
    app: App, client: TestClient, statements: Any
) -> None:
    with writing(app.engine) as session:
        hub = make_page(session, "Hub")
        for number in range(700):
            make_link(session, make_page(session, f"Leaf {number}", PageKind.NOTE), hub)
    client.get("/api/v1/graph", params={"focus": "hub"})
    statements.seen.clear()
    near = graph(client, focus="hub")
    assert len(near["nodes"]) == 300
    assert len(near["edges"]) == 299
    assert near["left_out"] == 401
    assert len([sql for sql in statements.seen if sql.startswith("SELECT")]) <= 8
    whole = graph(client)
    assert (len(whole["nodes"]), whole["left_out"]) == (300, 401)


# ---------------------------------------------------------------- related


def test_related_pages_are_near_and_not_linked(still: TestClient) -> None:
    answer = still.get("/api/v1/pages/paper-1/related").json()
    assert answer["page"] == "paper-1"
    found = [node["slug"] for node in answer["related"]]
    assert set(found[:4]) == {"paper-2", "paper-3", "paper-4", "bridges"}
    assert not {"paper-1", "caches", "less-memory"} & set(found)
    assert found.index("paper-4") < found.index("paper-5")
    scores = [node["score"] for node in answer["related"]]
    assert scores == sorted(scores, reverse=True)
    assert set(answer["related"][0]) == {"slug", "title", "kind", "community", "score"}
    assert len(still.get("/api/v1/pages/paper-1/related?limit=2").json()["related"]) == 2


def test_what_was_proposed_or_rejected_is_not_related(still: TestClient) -> None:
    def related(slug: str) -> list[str]:
        answer = still.get(f"/api/v1/pages/{slug}/related").json()
        return [node["slug"] for node in answer["related"]]

    assert "bridges" in related("paper-2")
    assert "bridges" not in related("paper-3")  # rejected
    assert "caches" not in related("paper-8")  # proposed: its papers are near all the same
    assert "paper-1" in related("paper-8")
    assert related("lonely") == []


def test_related_of_nothing_is_an_error(still: TestClient) -> None:
    assert still.get("/api/v1/pages/nowhere/related").status_code == 404
    for limit in ("0", "51", "x"):
        assert still.get(f"/api/v1/pages/caches/related?limit={limit}").status_code == 422


# ---------------------------------------------------------------- GraphML


def test_networkx_reads_the_graphml_back(wiki: App, tmp_path: Path) -> None:
    with reading(wiki.engine) as session:
        text = "".join(graphml(session, wiki.graph))
    file = tmp_path / "wiki.graphml"
    file.write_text(text, "utf-8")
    read = nx.read_graphml(file)
    assert read.is_directed()
    assert len(read) == 12
    assert read.nodes["bridges"]["title"] == "Bridges & piers <1>"
    assert read.nodes["paper-1"]["kind"] == "paper"
    assert read.nodes["paper-2"]["community"] == read.nodes["caches"]["community"]
    assert "community" not in read.nodes["lonely"]
    assert sum(node["pagerank"] for _, node in read.nodes(data=True)) == pytest.approx(1, abs=1e-4)
    assert set(read.edges) == {
        *((f"paper-{number}", "caches") for number in (1, 2, 3, 4)),
        *((f"paper-{number}", "bridges") for number in (4, 5, 6, 7)),
        ("paper-1", "less-memory"),
    }
    assert read.edges["paper-1", "less-memory"]["relation"] == "part-of"
    assert read.edges["paper-1", "caches"]["weight"] == 1.0


def test_graphml_holds_what_xml_cannot(app: App, tmp_path: Path) -> None:
    with writing(app.engine) as session:
        make_page(session, "Odd \x01\x0b\ufffe ]]> \"quotes\" 'and' \U0001f600\ttab", slug="odd")
    with reading(app.engine) as session:
        text = "".join(graphml(session, app.graph))
    file = tmp_path / "odd.graphml"
    file.write_text(text, "utf-8")
    title = nx.read_graphml(file).nodes["odd"]["title"]
    assert title == "Odd \ufffd\ufffd\ufffd ]]> \"quotes\" 'and' \U0001f600\ttab"
