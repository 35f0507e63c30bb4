"""Concepts in the browser: their tab of Review, merged and split by hand, and met nowhere after."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import Change, ChangeKind, LinkStatus, Origin
from app.store import changes, pages
from app.store.db import reading, writing
from tests.web.conftest import NOW, PARTIAL, Statements, load, parsed, words

Row = dict[str, Any]


def wiki(app: App, papers: int = 3) -> None:
    """Two concepts that are one, papers about the first of them, and a text that names it."""
    rows: list[Row] = [
        {"type": "concept", "id": "tidal-locks", "title": "Tidal locks", "aliases": ["locks"]},
        {"type": "concept", "id": "tidal-lock", "title": "Tidal lock", "text": "It stops a tide."},
        {"type": "page", "id": "walk", "title": "A walk", "text": "I saw [[Tidal locks]] there."},
    ]
    for number in range(1, papers + 1):
        rows += [
            {"type": "paper", "id": f"arxiv:2605.{number:05}", "title": f"Paper {number}"},
            {
                "type": "link",
                "source": f"arxiv:2605.{number:05}",
                "relation": "about",
                "target": "tidal-locks",
                "status": "accepted",
            },
        ]
    load(app, rows)


def propose(app: App, kind: ChangeKind, **values: Any) -> str:
    given: dict[str, Any] = {
        "key": f"{kind}:test",
        "title": "Spring <b>tides</b>",
        "confidence": 0.8,
        "reason": "three papers say it",
        "content": {},
        "evidence": [],
        "signals": [],
        "origin": Origin.LINKER,
        "now": NOW,
    }
    with writing(app.engine) as session:
        changes.propose(session, kind=kind, **{**given, **values})
        [change] = changes.keyed(session, [values.get("key", f"{kind}:test")]).values()
        return f"c{change.id}"


def new_concept(app: App) -> tuple[str, list[int]]:
    with reading(app.engine) as session:
        ids = [pages.get(session, f"paper-{n}").id or 0 for n in (1, 2, 3)]
    content = {"aliases": ["springs"], "body": "They are *high*.", "members": ids}
    evidence = [
        {
            "quotation": "We measure spring tides.",
            "where": "abstract",
            "verbatim": True,
            "spans": [[11, 17]],
            "page": "paper-1",
            "title": "Paper 1",
        }
    ]
    return propose(app, ChangeKind.CONCEPT, content=content, evidence=evidence), ids


def new_merge(app: App) -> str:
    with reading(app.engine) as session:
        one, other = pages.get(session, "tidal-locks").id, pages.get(session, "tidal-lock").id
    assert one and other
    return propose(
        app,
        ChangeKind.MERGE,
        key=changes.merge_key(one, other),
        title="Tidal locks → Tidal lock",
        source_id=one,
        target_id=other,
        confidence=0.95,
    )


def status(app: App, name: str) -> LinkStatus:
    with reading(app.engine) as session:
        return changes.get(session, int(name[1:])).status


def tab(client: TestClient) -> Any:
    return parsed(client.get("/review?tab=concepts"))


def test_the_tab_shows_what_would_be_written_and_why(app: App, client: TestClient) -> None:
    wiki(app)
    name, ids = new_concept(app)
    page = tab(client)
    [row] = page.select("#queue > li[id^=s]")
    assert row["id"] == f"s{name}"
    text = words(row)
    for part in ("new concept", "Spring <b>tides", "0.80", "three papers say it", "They are high."):
        assert part in text
    assert "We measure spring tides." in text and row.mark.text == "spring"
    assert [int(box["value"]) for box in row.select("[name=member][checked]")] == ids
    assert row.select_one('a[href="/w/paper-2"]')
    assert page.select_one(".tabs [aria-current]").text.split() == ["Pages", "1"]
    assert page.select_one("#nav-review").text == "1"


def test_a_merge_shows_both_sides_and_how_many_papers_they_hold(
    app: App, client: TestClient
) -> None:
    wiki(app)
    new_merge(app)
    [row] = tab(client).select("#queue > li")
    assert "Tidal locks merge into → Tidal lock 3 papers → 0 papers" in words(row)
    assert "keep Tidal locks instead" in words(row)


def test_the_number_of_statements_does_not_grow_with_the_queue(
    app: App, client: TestClient, statements: Statements
) -> None:
    wiki(app)
    new_concept(app)
    tab(client)
    statements.seen.clear()
    tab(client)
    few = len(statements)
    for number in range(20):
        propose(app, ChangeKind.CONCEPT, key=f"concept:{number}", title=f"Term {number}")
    new_merge(app)
    tab(client)
    statements.seen.clear()
    assert len(tab(client).select("#queue > li[id]")) == 22
    assert len(statements) <= few + 1


def test_fifty_are_shown_at_once_and_the_rest_comes_after_them(
    app: App, client: TestClient
) -> None:
    for number in range(55):
        propose(app, ChangeKind.CONCEPT, key=f"concept:{number}", title=f"Term {number}")
    page = tab(client)
    assert len(page.select("#queue > li[id]")) == 50
    further = client.get(page.select_one(".more a")["href"], headers=PARTIAL)
    assert len(parsed(further).select("li[id^=sc]")) == 5
    assert "<html" not in further.text


def test_an_accepted_concept_with_another_title_and_fewer_papers(
    app: App, client: TestClient
) -> None:
    wiki(app)
    name, ids = new_concept(app)
    given = {"decision": "accept", "title": "High tides", "members": "1", "member": [str(ids[0])]}
    answer = client.post(f"/review/{name}", data=given, headers=PARTIAL)
    assert answer.status_code == 200
    assert "Accepted: High tides" in answer.text
    page = parsed(client.get("/w/high-tides"))
    assert page.select_one(".prose em").text == "high"
    assert "1 paper" in words(page.select_one("header.head"))
    assert "Nothing to review" in words(tab(client).main)


def test_no_ticked_paper_means_none_and_no_form_field_means_all(
    app: App, client: TestClient
) -> None:
    wiki(app)
    name, _ = new_concept(app)
    client.post(f"/review/{name}", data={"decision": "accept", "members": "1"})
    assert "paper" not in words(parsed(client.get("/w/spring-b-tides-b")).select_one(".head .meta"))
    undone = client.post("/decisions/1/undo")
    assert undone.headers["location"] == "/review?tab=concepts"
    client.post(f"/review/{name}", data={"decision": "accept"})
    assert "3 papers" in words(parsed(client.get("/w/spring-b-tides-b")).select_one(".head .meta"))


def test_undo_puts_the_row_and_the_counts_back(app: App, client: TestClient) -> None:
    wiki(app)
    name = new_merge(app)
    done = client.post(f"/review/{name}", data={"decision": "accept"}, headers=PARTIAL)
    [form] = parsed(done).select("form[action^='/decisions/']")
    back = client.post(form["action"], headers=PARTIAL)
    assert f'id="s{name}"' in back.text
    assert [each.text for each in parsed(back).select("hx-partial[hx-target='#nav-review']")] == [
        "1"
    ]
    assert status(app, name) == LinkStatus.PROPOSED
    again = client.post(form["action"], headers=PARTIAL)
    assert again.status_code == 409 and "undone already" in again.text


def test_links_and_changes_are_decided_in_bulk(app: App, client: TestClient) -> None:
    wiki(app)
    name, merge = new_concept(app)[0], new_merge(app)
    given = {"id": [name, merge, "c99"], "decision": "reject"}
    answer = client.post("/review/bulk", data=given, headers=PARTIAL)
    assert "Rejected: 2 proposals; 1 were decided elsewhere" in answer.text
    assert f'hx-target="#s{name}"' in answer.text
    assert {status(app, name), status(app, merge)} == {LinkStatus.REJECTED}


@pytest.mark.parametrize("name", ["x", "c", "7x", "c-1", "%20"])
def test_a_bad_name_of_a_proposal_is_told_in_one_sentence(client: TestClient, name: str) -> None:
    answer = client.post(f"/review/{name}", data={"decision": "accept"})
    assert answer.status_code == 422
    assert "names no proposal. Give a link by its number, as in 7" in words(parsed(answer).main)


def test_what_was_put_off_has_a_view(app: App, client: TestClient) -> None:
    wiki(app)
    name, _ = new_concept(app)
    assert "put off" not in words(tab(client).main)
    client.post(f"/review/{name}", data={"decision": "defer"})
    [link] = [a for a in tab(client).select(".sorted a") if "put off (1)" in a.text]
    assert f"s{name}" in client.get(link["href"]).text


def test_decided_changes_are_listed_with_their_undo(app: App, client: TestClient) -> None:
    wiki(app)
    name, merge = new_concept(app)[0], new_merge(app)
    for each in (name, merge):
        client.post(f"/review/{each}", data={"decision": "accept"})
    page = parsed(client.get("/review?tab=decided"))
    lines = [words(line) for line in page.select("#decided > li")]
    assert lines[0].startswith("accepted Tidal locks merged into → Tidal lock")
    assert lines[1].startswith("accepted Spring <b>tides</b> a new concept")
    history = page.select_one("#decided a[href$='/history']")["href"]
    assert history == "/w/tidal-locks-merged/history"
    assert client.get(history).status_code == 200


def test_a_screen_is_sent_again_when_a_change_was_decided(app: App, client: TestClient) -> None:
    wiki(app)
    name, _ = new_concept(app)
    first = client.get("/review?tab=concepts")
    known = {"If-None-Match": first.headers["etag"]}
    assert client.get("/review?tab=concepts", headers=known).status_code == 304
    client.post(f"/review/{name}", data={"decision": "defer"})
    assert client.get("/review?tab=concepts", headers=known).status_code == 200
    assert client.get("/inbox").text.count('id="nav-review"></span>') == 1


# ---------------------------------------------------------------- by hand


def test_a_merge_by_hand_says_first_what_would_move(app: App, client: TestClient) -> None:
    wiki(app)
    new_merge(app)
    page = parsed(client.get("/w/tidal-locks"))
    assert page.select_one('a[href="/w/tidal-locks/merge?into=tidal-lock"]')
    asked = parsed(client.get("/w/tidal-locks/merge"))
    assert "three papers say it" in words(asked.main), "the likely ones are offered"
    shown = parsed(client.get("/w/tidal-locks/merge?into=Tidal+lock"))
    said = words(shown.select_one(".notice"))
    assert "3 papers, 4 links, 2 names, and what 1 text say" in said
    assert shown.select_one('a[href="/w/tidal-lock/merge?into=tidal-locks"]')
    done = client.post("/w/tidal-locks/merge", data={"into": "tidal-lock"})
    assert done.headers["location"] == "/w/tidal-lock?saved=joined"
    assert "It can be undone in Review" in client.get(done.headers["location"]).text


@pytest.mark.parametrize(
    ("into", "wrong"),
    [("nowhere", "no page called"), ("tidal-locks", "this very page"), ("A walk", "no concept")],
)
def test_what_cannot_be_merged_is_said_beside_the_field(
    app: App, client: TestClient, into: str, wrong: str
) -> None:
    wiki(app)
    for answer in (
        client.get("/w/tidal-locks/merge", params={"into": into}),
        client.post("/w/tidal-locks/merge", data={"into": into}),
    ):
        assert answer.status_code == 422
        page = parsed(answer)
        assert wrong in words(page.select_one("#into-wrong"))
        assert page.select_one("#into")["value"] == into


def test_only_a_concept_has_these_forms(app: App, client: TestClient) -> None:
    wiki(app)
    for path in ("/w/walk/merge", "/w/walk/split"):
        assert client.get(path).status_code == 422
        assert client.post(path, data={"into": "tidal-lock", "title": "x"}).status_code == 422
    assert client.get("/w/nowhere/merge").status_code == 404
    assert "/w/walk/merge" not in client.get("/w/walk").text


def test_a_split_by_hand(app: App, client: TestClient) -> None:
    wiki(app)
    page = parsed(client.get("/w/tidal-locks/split"))
    boxes = [box["value"] for box in page.select("[name=member]")]
    assert len(boxes) == 3
    given = {"title": "Sea locks", "alias": ["locks"], "member": boxes[:1]}
    done = client.post("/w/tidal-locks/split", data=given)
    assert done.headers["location"] == "/w/sea-locks?saved=split"
    made = words(parsed(client.get("/w/sea-locks")).select_one(".head"))
    assert "1 paper" in made and "also: locks" in made
    assert "2 papers" in words(parsed(client.get("/w/tidal-locks")).select_one(".head"))
    assert client.get("/w/locks").headers["location"] == "/w/sea-locks"


def test_a_split_that_cannot_be_made_keeps_what_was_chosen(app: App, client: TestClient) -> None:
    wiki(app)
    boxes = [b["value"] for b in parsed(client.get("/w/tidal-locks/split")).select("[name=member]")]
    given = {"title": "Tidal lock", "alias": ["locks"], "member": boxes[:2]}
    answer = client.post("/w/tidal-locks/split", data=given)
    assert answer.status_code == 422
    page = parsed(answer)
    assert "page of that name already: Tidal lock" in words(page.select_one("#title-wrong"))
    assert page.select_one("#title")["value"] == "Tidal lock"
    assert [box["value"] for box in page.select("[name=member][checked]")] == boxes[:2]
    assert page.select_one("[name=alias][checked]")["value"] == "locks"


def test_a_merged_page_is_met_nowhere(app: App, client: TestClient) -> None:
    wiki(app)
    client.post("/w/tidal-locks/merge", data={"into": "tidal-lock"})
    for old in ("tidal-locks", "locks"):
        answer = client.get(f"/w/{old}")
        assert (answer.status_code, answer.headers["location"]) == (308, "/w/tidal-lock")
    merged = client.get("/w/tidal-locks-merged")
    assert (merged.status_code, merged.headers["location"]) == (307, "/w/tidal-lock")
    for path in (
        "/pages",
        "/pages?view=kind",
        "/pages?view=recent",
        "/search?q=locks",
        "/search",
        "/api/v1/search?q=tidal",
        "/api/v1/complete?q=tidal",
        "/_/complete?q=tidal",
        "/api/v1/graph",
        "/w/walk",
        "/w/tidal-lock/edit",
    ):
        answer = client.get(path)
        assert "tidal-locks-merged" not in answer.text, path
        assert 'value="merged"' not in answer.text, path
    assert "Merged" not in client.get("/pages?view=kind").text
    assert '"merged"' not in client.get("/api/v1/openapi.json").text
    assert client.get("/search?q=kind:merged").status_code == 200
    written = {"title": "X", "kind": "merged", "body": ""}
    refused = client.put("/api/v1/pages/x", json=written)
    assert refused.status_code == 422 and "is no kind of page. Use paper, concept" in refused.text
    text = parsed(client.get("/w/walk")).select_one(".prose a")
    assert (text["href"], text.text) == ("/w/tidal-lock", "Tidal locks")


def test_a_merged_page_takes_no_edit(app: App, client: TestClient) -> None:
    wiki(app)
    client.post("/w/tidal-locks/merge", data={"into": "tidal-lock"})
    given = {"title": "Tidal locks", "kind": "concept", "body": "new", "base_rev": "1"}
    answer = client.post("/w/tidal-locks-merged/edit", data=given)
    assert answer.status_code in (409, 422)
    assert "went into another page" in answer.text


# ---------------------------------------------------------------- for programs


def test_the_api_lists_and_decides_changes(app: App, client: TestClient) -> None:
    wiki(app)
    name, ids = new_concept(app)
    merge = new_merge(app)
    answer = client.get("/api/v1/review").json()
    assert [each["id"] for each in answer["changes"]] == [merge, name]
    assert answer["changes_next"] is None
    first, second = answer["changes"]
    assert (first["kind"], first["source"]["slug"]) == ("merge", "tidal-locks")
    assert (second["kind"], second["source"], second["content"]["members"]) == (
        "concept",
        None,
        ids,
    )
    only = client.get("/api/v1/review?kind=concept").json()
    assert [each["id"] for each in only["changes"]] == [name] and only["proposals"] == []
    assert client.get("/api/v1/review?kind=link").json()["changes"] == []
    paged = client.get("/api/v1/review?limit=1").json()
    rest = client.get(f"/api/v1/review?changes_after={paged['changes_next']}").json()
    assert [each["id"] for each in rest["changes"]] == [name]
    given = {"decision": "accept", "title": "High tides", "members": ids[:2]}
    made = client.post(f"/api/v1/review/{name}", json=given).json()
    assert (made["id"], made["verdict"]) == (name, "accept")
    page = client.get("/api/v1/pages/high-tides").json()
    assert len(page["backlinks"]) == 2
    swapped = client.post(f"/api/v1/review/{merge}", json={"decision": "accept", "swap": True})
    assert swapped.status_code == 200
    assert client.get("/w/tidal-lock").headers["location"] == "/w/tidal-locks"
    undone = client.post(f"/api/v1/decisions/{swapped.json()['decision']}/undo")
    assert undone.status_code == 200
    assert client.get("/w/tidal-lock").status_code == 200


@pytest.mark.parametrize("name", ["x", "c", "c1c"])
def test_the_api_says_what_a_name_is(client: TestClient, name: str) -> None:
    answer = client.post(f"/api/v1/review/{name}", json={"decision": "accept"})
    assert answer.status_code == 422
    assert "as in 7, or a change by c and its number" in answer.text
    assert client.post("/api/v1/review/c7", json={"decision": "accept"}).status_code == 404


def test_what_is_refused_by_hand_writes_nothing(app: App, client: TestClient) -> None:
    wiki(app)
    boxes = [b["value"] for b in parsed(client.get("/w/tidal-locks/split")).select("[name=member]")]
    given = {"title": "x" * 600, "alias": ["locks"], "member": boxes[:1]}
    answer = client.post("/w/tidal-locks/split", data=given)
    assert answer.status_code == 422
    assert "500 characters at most" in words(parsed(answer).select_one("#title-wrong"))
    assert client.post("/w/tidal-locks/merge", data={"into": "A walk"}).status_code == 422
    with reading(app.engine) as session:
        page = pages.get(session, "tidal-locks")
        assert pages.aliases_of(session, page.id or 0) == ["locks"]
        assert page.version == 1
        assert session.exec(select(Change)).all() == []
