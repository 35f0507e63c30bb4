"""Topics on screen: the list, the editor without JavaScript, two editors at once, and a trial."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import Assessment, Paper, PaperState, Topic
from app.store import topics as stored
from app.store.db import reading, writing
from tests.web.conftest import NOW, Statements, listed, load, parsed, words

FORM = {
    "name": "Boats",
    "keep": "listed papers, abstracts",
    "filter": "",
    "tier": "1",
    "threshold": "0.25",
    "place": "",
}


def made(app: App, *names: str, **fields: Any) -> None:
    with writing(app.engine) as session:
        for n, name in enumerate(names):
            session.add(Topic(id=name.lower(), name=name, position=n, **fields))


def papers(app: App, topic: str, *, kept: int, dropped: int, day: str = "2026-05-12") -> None:
    """Papers of a topic: kept ones score 0.8, dropped ones 0.3."""
    with writing(app.engine) as session:
        for n in range(kept + dropped):
            paper = Paper(
                title=f"{topic} {n}",
                title_key=f"{topic} {n}",
                state=PaperState.KEPT if n < kept else PaperState.DROPPED,
                published=day,
                created_at=NOW,
            )
            session.add(paper)
            session.flush()
            session.add(
                Assessment(
                    paper_id=paper.id or 0,
                    scorer="local",
                    day=day,
                    topic_id=topic,
                    score=0.8 if n < kept else 0.3,
                    at=NOW,
                )
            )


def form_of(page: Any) -> dict[str, str]:
    """What a browser would send of the editor's form."""
    form = page.select_one("#form")
    found = {
        field["name"]: field.get("value", "")
        for field in form.select("input[name]:not([readonly])")
    }
    # A browser drops the line feed that follows the tag.
    found |= {
        field["name"]: field.get_text().removeprefix("\n") for field in form.select("textarea")
    }
    for field in form.select("select"):
        chosen = field.select_one("option[selected]") or field.select_one("option")
        found[field["name"]] = chosen.get("value", chosen.get_text())
    return found


def topic(app: App, name: str) -> Topic:
    with reading(app.engine) as session:
        found = stored.get(session, name)
        session.expunge(found)
        return found


def test_an_empty_list_says_what_topics_are_for_and_offers_three(
    app: App, client: TestClient
) -> None:
    page = parsed(client.get("/topics"))
    assert "A topic says what you want to read about" in words(page.main)
    button = page.select_one("main form button")
    assert words(button) == "Add these three"
    answer = client.post(button.find_parent("form")["action"])
    assert answer.headers["location"] == "/topics"
    assert len(parsed(client.get("/topics")).select("tbody tr")) == 3
    assert client.post("/topics").status_code == 409


def test_a_topic_is_written_by_a_form(app: App, client: TestClient) -> None:
    page = parsed(client.get("/topics/_new"))
    form = page.select_one("#form")
    assert form_of(page)["threshold"] == "0.15"
    sent = form_of(page) | {"name": "KV caches", "keep": "eviction\n<b>paging</b>", "filter": "x"}
    answer = client.post(form["action"], data=sent)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/topics/kv_caches?saved=1"
    page = parsed(client.get("/topics/kv_caches?saved=1"))
    assert "Saved." in words(page.main)
    kept = form_of(page)
    assert (kept["name"], kept["keep"]) == ("KV caches", "eviction\n<b>paging</b>")
    assert page.select_one("main b") is None, "what was written is text"
    assert page.select_one("#id").has_attr("readonly")
    client.post("/topics/kv_caches", data=kept | {"id": "other", "tier": "4"})
    assert topic(app, "kv_caches").tier == 4


def test_what_is_wrong_comes_back_with_the_form(app: App, client: TestClient) -> None:
    made(app, "Tea")
    wrong = FORM | {"name": "", "threshold": "a lot", "tier": "7", "keep": "mine"}
    for address in ("/topics/_new", "/topics/tea"):
        answer = client.post(address, data=wrong)
        assert answer.status_code == 422
        page = parsed(answer)
        assert words(page.select_one("#keep")) == "mine"
        for field in ("name", "threshold", "tier"):
            told = page.select_one(f"#{page.select_one(f'#{field}')['aria-describedby']}")
            assert words(told).endswith(".")
        assert len(page.select("#summary a")) == 3
    assert topic(app, "tea").name == "Tea"
    assert client.post("/topics/_new", data=FORM | {"id": "tea"}).status_code == 422


def test_two_editors_see_both_texts(app: App, client: TestClient) -> None:
    made(app, "Tea")
    first = form_of(parsed(client.get("/topics/tea"))) | {"keep": "green leaves"}
    second = first | {"keep": "black leaves"}
    assert client.post("/topics/tea", data=first).status_code == 303
    answer = client.post("/topics/tea", data=second)
    assert answer.status_code == 409
    page = parsed(answer)
    assert "green leaves" in words(page.select_one(".notice"))
    assert words(page.select_one("#keep")) == "black leaves"
    assert topic(app, "tea").keep == "green leaves"
    assert client.post("/topics/tea", data=form_of(page)).status_code == 303
    assert topic(app, "tea").keep == "black leaves"


def test_a_place_that_others_moved_is_not_moved_back(app: App, client: TestClient) -> None:
    made(app, "Tea", "Boats", "Stones")
    opened = form_of(parsed(client.get("/topics/tea")))
    assert opened["place"] == "1"
    moved = form_of(parsed(client.get("/topics/stones"))) | {"place": "1"}
    client.post("/topics/stones", data=moved)
    client.post("/topics/tea", data=opened | {"keep": "leaves"})
    rows = parsed(client.get("/topics")).select("tbody th a[href^='/topics/']")
    assert [words(row) for row in rows] == ["Stones", "Tea", "Boats"]


def test_the_list_counts_and_links(app: App, client: TestClient) -> None:
    made(app, "Tea", "Boats", threshold=0.5)
    papers(app, "tea", kept=3, dropped=2)
    load(app, [listed(1), {"type": "assessment", "paper": "arxiv:2605.00001", "scorer": "x",
                           "day": "2026-05-14", "relevance": 9, "novelty": 9,
                           "primary_topic": "tea"}])  # fmt: skip
    page = parsed(client.get("/topics"))
    row = [words(cell) for cell in page.select("tbody tr")[0].select("td")]
    assert row[:8] == ["2", "0.5", "1", "3", "2", "4", "100% of 3", "44–100%"]
    assert page.select_one("td a")["href"] == "/inbox?topic=tea"
    assert "You kept 100% of 3 picked papers that you decided, too few" in words(page.main)


def test_a_threshold_is_proposed_and_taken_over(app: App, client: TestClient) -> None:
    made(app, "Tea", threshold=0.15)
    papers(app, "tea", kept=12, dropped=10)
    page = parsed(client.get("/topics"))
    assert words(page.select_one("td a[href='/topics/tea#threshold-proposed']")) == "0.8?"
    page = parsed(client.get("/topics/tea"))
    section = page.select_one("#threshold-proposed")
    assert "would have picked 10 fewer papers a day over 1 day" in words(section)
    assert "missed 0 of 12 that you kept" in words(section)
    form = section.select_one("form")
    sent = {field["name"]: field["value"] for field in form.select("input")}
    assert client.post(form["action"], data=sent).status_code == 303
    assert topic(app, "tea").threshold == 0.8
    assert "0.8 is right: by 22 decisions" in words(parsed(client.get("/topics/tea")).main)
    assert client.post(form["action"], data=sent).status_code == 409, "it is not as it was"


def test_a_topic_of_which_nothing_is_kept_is_questioned(app: App, client: TestClient) -> None:
    made(app, "Tea", "Boats")
    papers(app, "tea", kept=0, dropped=2)
    papers(app, "boats", kept=1, dropped=2)
    page = parsed(client.get("/topics"))
    assert [a["href"] for a in page.select("a.problem")] == ["/topics/tea#record"]
    assert "you dropped 2 papers of this topic and kept none" in words(
        parsed(client.get("/topics/tea")).main
    )


def test_a_topic_is_retired_and_taken_up_again(app: App, client: TestClient) -> None:
    made(app, "Tea")
    for retired, heading in ((True, "Take it up again"), (False, "Retire it")):
        page = parsed(client.get("/topics/tea"))
        form = page.select_one("form[action='/topics/tea/retire']")
        sent = {field["name"]: field["value"] for field in form.select("input")}
        assert client.post(form["action"], data=sent).status_code == 303
        assert topic(app, "tea").retired is retired
        page = parsed(client.get("/topics/tea"))
        assert heading in words(page.main)
    assert client.post("/topics/tea/retire", data={"retired": "1"}).status_code == 409


def test_a_change_is_tried_before_it_is_saved(app: App, client: TestClient) -> None:
    made(app, "Tea", threshold=0.01)
    load(app, [listed(n, title=f"Kettle <i>{n}</i>") for n in range(1, 13)])
    with writing(app.engine) as session:
        session.connection().execute(sa.update(Topic).values(keep="listed papers, second sentence"))
    page = parsed(client.get("/topics/tea"))
    button = page.select_one("button[formaction]")
    assert words(button) == "See what would change"
    address = button["formaction"].partition("#")[0]
    sent = form_of(page) | {"threshold": "1", "name": "Tea & leaves"}
    answer = client.post(address, data=sent)
    assert answer.status_code == 200
    page = parsed(answer)
    said = words(page.select_one("#trial"))
    assert "0 of 12 papers would be picked" in said and "Nothing is saved." in said
    assert page.select_one("#trial i") is None
    assert form_of(page) | {"day": ""} == sent | {"day": ""}, "the form is as it was sent"
    assert topic(app, "tea").name == "Tea"
    assert client.post("/topics/tea", data=form_of(page)).status_code == 303
    assert topic(app, "tea").name == "Tea & leaves"
    again = form_of(parsed(client.get("/topics/tea")))
    assert "Nothing would change." in words(
        parsed(client.post(address, data=again)).select_one("#trial")
    )
    without = parsed(client.post(address, data=again | {"without": "1"}))
    assert "Without this topic" in words(without.select_one("#trial"))
    new = parsed(client.post("/topics/_new/try", data=FORM))
    assert new.select_one("#trial") and new.select_one("#id")["value"] == ""


@pytest.mark.parametrize(
    ("address", "fields", "status"),
    [
        ("/topics/tea/try", {"day": "2026-02-31"}, 422),
        ("/topics/tea/try", {"day": "x" * 5000}, 422),
        ("/topics/tea/try", {"name": ""}, 422),
        ("/topics/none/try", {}, 404),
        ("/topics/none", {}, 404),
        ("/topics/none/retire", {"retired": "1"}, 404),
        ("/topics/none/threshold", {"threshold": "0.5"}, 404),
        ("/topics/tea/threshold", {"threshold": "2"}, 422),
        ("/topics/tea", {"name": "\x00\ud800".encode("utf-8", "replace").decode()}, 409),
    ],
)
def test_bad_input_is_refused_in_words(
    app: App, client: TestClient, address: str, fields: dict[str, str], status: int
) -> None:
    made(app, "Tea")
    load(app, [listed(1)])
    answer = client.post(address, data=FORM | fields)
    assert answer.status_code == status
    assert words(parsed(answer).main)


@pytest.mark.parametrize("name", ["none", "%00", "a%2Fb", "_old", "x" * 400, "%ED%A0%80"])
def test_a_topic_that_is_not_there_is_not_found(client: TestClient, name: str) -> None:
    assert client.get(f"/topics/{name}").status_code == 404


def test_a_screen_is_known_until_a_paper_or_topic_changes(app: App, client: TestClient) -> None:
    made(app, "Tea")
    for address in ("/topics", "/topics/tea"):
        tag = client.get(address).headers["etag"]
        assert client.get(address, headers={"If-None-Match": tag}).status_code == 304
        papers(app, "tea", kept=1, dropped=0)
        assert client.get(address, headers={"If-None-Match": tag}).status_code == 200


def test_the_number_of_statements_does_not_grow(
    app: App, client: TestClient, statements: Statements
) -> None:
    made(app, "Tea")
    papers(app, "tea", kept=1, dropped=1)

    def count(address: str) -> int:
        statements.seen.clear()
        client.get(address)
        return len(statements)

    counts = []
    for n in range(2):
        client.get("/topics")
        with writing(app.engine) as session:
            for m in range(20 * n):
                session.add(Topic(id=f"t{m}", name=f"T {m}", position=m))
        papers(app, "tea", kept=5, dropped=5)
        counts.append((count("/topics"), count("/topics/tea")))
    assert counts[0] == counts[1]


# ---------------------------------------------------------------- for programs


def test_programs_make_change_and_list_topics(app: App, client: TestClient) -> None:
    address = "/api/v1/topics/boats"
    made_now = client.put(address, json={"name": "Boats", "keep": "hulls", "threshold": 0.3})
    assert made_now.status_code == 201
    tag = made_now.headers["etag"]
    assert made_now.json()["etag"] == tag.strip('"')
    assert client.put(address, json={"tier": 1}).status_code == 422, "If-Match is missing"
    changed = client.put(address, json={"tier": 1}, headers={"If-Match": tag})
    assert changed.status_code == 200
    assert (changed.json()["tier"], changed.json()["keep"]) == (1, "hulls")
    assert client.put(address, json={"tier": 3}, headers={"If-Match": tag}).status_code == 409
    retired = client.put(address, json={"retired": True}, headers={"If-Match": "*"})
    assert retired.json()["retired"] is True
    [row] = client.get("/api/v1/topics").json()
    assert (row["id"], row["threshold"], row["proposed"]) == ("boats", 0.3, None)
    assert (row["precision"], row["interval"]) == (None, [0.0, 1.0])


def test_programs_are_told_the_record(app: App, client: TestClient) -> None:
    made(app, "Tea", threshold=0.15)
    papers(app, "tea", kept=12, dropped=10)
    [row] = client.get("/api/v1/topics").json()
    assert (row["picked"], row["kept"], row["dropped"], row["missed"]) == (22, 12, 10, 0)
    assert row["precision"] == pytest.approx(12 / 22, abs=1e-4)
    assert row["proposed"]["threshold"] == 0.8
    assert row["proposed"]["more_a_day"] == -10
    assert [week["monday"] for week in row["weeks"]] == ["2026-05-11"]


def test_programs_try_a_topic(app: App, client: TestClient) -> None:
    load(app, [listed(n) for n in range(1, 9)])
    address = "/api/v1/topics/boats/try"
    found = client.post(address, json={"name": "Boats", "keep": "abstract", "threshold": 0})
    assert found.status_code == 200
    body = found.json()
    assert (body["day"], body["papers"], body["picked"]["before"]) == ("2026-05-14", 8, 0)
    assert body["newly_picked"]["count"] == body["picked"]["after"]
    assert client.get("/api/v1/topics").json() == []
    assert client.post(address, json={"keep": "no name"}).status_code == 422
    assert client.post(address, json={"name": "B", "day": "2026-01-01"}).status_code == 422
    assert client.post(address, json={"name": "B", "threshold": 7}).status_code == 422


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("_new", {"name": "X"}),
        ("a%20b", {"name": "X"}),
        ("boats", {}),
        ("boats", {"name": "X", "tier": 9}),
        ("boats", {"name": "X", "threshold": "much"}),
        ("boats", {"name": ["X"]}),
        ("boats", {"name": "X", "keep": "y" * 9000}),
    ],
)
def test_programs_are_refused_in_words(client: TestClient, name: str, body: dict[str, Any]) -> None:
    answer = client.put(f"/api/v1/topics/{name}", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]
    assert client.get("/api/v1/topics").json() == []
