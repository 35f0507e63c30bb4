"""The first steps on screen: three short steps in one form, a sample that is judged, told and removed."""

from __future__ import annotations

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import Source, Subscription
from app.pipeline import digest_now, triage_now
from app.sources.defaults import DEFAULTS
from app.store.db import reading
from tests.web.conftest import load, parsed

DAY = "2026-05-14"


def test_today_offers_the_first_steps_to_a_new_reader_alone(app: App, client: TestClient) -> None:
    load(app, [{"type": "concept", "id": "tides", "title": "Tides", "text": "They turn."}])
    assert parsed(client.get("/")).select_one("a[href='/welcome']")
    assert client.post("/welcome/skip").headers["location"] == "/"
    assert not parsed(client.get("/")).select_one(".day a[href='/welcome']")
    assert client.get("/welcome").status_code == 200  # it can be found again


def test_the_form_offers_interests_and_sources(app: App, client: TestClient) -> None:
    page = parsed(client.get("/welcome"))
    assert len(page.select("input[name=interest]")) >= 10
    sources = page.select("input[name=source]")
    assert [each["value"] for each in sources] == [each.key for each in DEFAULTS]
    assert [each["value"] for each in page.select("input[name=source][checked]")] == [
        each.key for each in DEFAULTS if each.ticked
    ]


def test_a_first_day_in_one_click_without_a_network(app: App, client: TestClient) -> None:
    assert client.post(
        "/welcome", data={"interest": ["agent_memory"], "own": "tide clocks", "first": "sample"}
    ).headers["location"] == "/welcome/day"  # fmt: skip
    waiting = parsed(client.get("/welcome/day"))
    assert "15 papers came in." in waiting.get_text()
    assert waiting.select_one("meta[http-equiv=refresh]")
    triage_now(app, day=DAY)
    digest_now(app, day=DAY)
    assert client.get("/welcome/day").headers["location"] == f"/today/{DAY}"
    day = parsed(client.get(f"/today/{DAY}"))
    assert "15 papers of this day are a sample" in day.get_text()
    assert day.select_one("form[action='/welcome/remove'] button")
    topics = parsed(client.get("/topics")).get_text()
    assert "Memory of agents" in topics and "Tide clocks" in topics
    again = parsed(client.get("/welcome"))
    assert again.select_one("input[value=agent_memory]").has_attr("disabled")

    assert client.post("/welcome/remove").headers["location"] == "/welcome?notice=removed"
    assert client.get(f"/today/{DAY}").status_code == 404
    assert "sample" not in client.get("/inbox").text


def test_chosen_sources_are_fetched_from_now_on_each_once(app: App, client: TestClient) -> None:
    wanted = {"interest": "serving", "source": ["cs-cl", "hf-daily", "twiml", "no such"]}
    for _ in range(2):
        answer = client.post("/welcome", data={**wanted, "first": "sources"})
        assert answer.headers["location"] == "/welcome/day"
    with reading(app.engine) as session:
        found = session.exec(
            select(Source.name, Subscription.connector, Subscription.due_at)
            .join(Subscription, col(Subscription.source_id) == col(Source.id))
            .order_by(Source.name)
        ).all()
    assert found == [
        ("Hugging Face daily papers", "hf-daily", app.clock()),
        ("The TWIML AI Podcast", "podcast", app.clock()),
        ("arXiv cs.CL", "arxiv", app.clock()),
    ]
    page = parsed(client.get("/welcome"))
    assert page.select_one("input[value=cs-cl]").has_attr("disabled")
    waiting = parsed(client.get("/welcome/day"))
    assert "Your sources are being asked." in waiting.get_text()
    assert waiting.select_one("form[action='/welcome/sample'] button")
    client.post("/welcome/sample")
    assert "15 papers came in." in parsed(client.get("/welcome/day")).get_text()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"first": "sample"}, "Choose at least one interest"),
        ({"own": "\n".join(["tides"] * 9)}, "at most 8 lines"),
        ({"interest": "serving", "first": "sources"}, "Choose at least one source"),
        ({"interest": "no such", "source": "no such"}, "Choose at least one interest"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_lost(
    app: App, client: TestClient, fields: dict[str, str], words: str
) -> None:
    answer = client.post("/welcome", data=fields)
    assert answer.status_code == 422
    page = parsed(answer)
    assert words in page.select_one("#summary").get_text()
    assert page.select_one("textarea[name=own]").get_text().strip() == fields.get("own", "")
    if "first" in fields:
        assert page.select_one(f"input[value={fields['first']}][checked]")
    assert not parsed(client.get("/topics")).select("table.rows")  # nothing is half done
