"""Questions and predictions as a reader sees them, without JavaScript, and as programs do."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from app.store import predictions as stored
from app.store import questions
from app.store.db import reading
from tests.web.conftest import load, member, parsed, words

ASKED = ["Does it hold for long inputs?", "Is <b>it</b> cheap?"]


@pytest.fixture
def wiki(app: App) -> App:
    """A paper in a thread and about a concept, with two questions and three predictions."""
    load(
        app,
        [
            {
                "type": "paper",
                "id": "arxiv:2605.00001",
                "title": "Herons compared",
                "abstract": "We show that herons stand still.",
                "published": "2026-05-01",
                "keep": True,
                "slug": "herons",
                "questions": ASKED,
            },
            {"type": "thread", "id": "birds", "title": "Birds", "claim": "Birds stand."},
            {"type": "concept", "id": "standing", "title": "Standing"},
            member(1, "birds", day="2026-05-01"),
            {"type": "link", "source": "herons", "relation": "about", "target": "standing"},
            {"type": "page", "id": "note", "title": "A note", "text": "Then *all* herons flew."},
            {
                "type": "prediction",
                "page": "birds",
                "text": "All herons will fly.",
                "made": "2026-03-01",
                "due": "2026-04",
                "probability": 0.8,
            },
            {
                "type": "prediction",
                "page": "note",
                "text": "None lands.",
                "made": "2026-01-01",
                "due": "2027",
            },
            {"type": "prediction", "page": "note", "text": "Some will sing."},
        ],
    )
    return app


def ids(app: App) -> list[int]:
    with reading(app.engine) as session:
        return [row.id for row in questions.listed(session)]


def of(app: App, text: str) -> stored.PredictionRow:
    with reading(app.engine) as session:
        every = [*stored.open_ones(session), *stored.resolved(session)]
    return next(row for row in every if row.text == text)


def rows(response: Any) -> list[str]:
    return [words(each) for each in parsed(response).select("ul.members li")]


# ---------------------------------------------------------------- questions


def test_open_questions_are_listed_with_their_page_and_escaped(
    wiki: App, client: TestClient
) -> None:
    answer = client.get("/questions")
    assert len(rows(answer)) == 2
    assert "<b>it</b>" not in answer.text
    assert "Herons compared" in rows(answer)[0]
    assert len(rows(client.get("/questions?thread=birds"))) == 2
    assert len(rows(client.get("/questions?concept=standing"))) == 2
    assert rows(client.get("/questions?concept=nowhere")) == []
    assert rows(client.get("/questions?state=answered")) == []
    assert len(rows(client.get("/questions?state=%00x&before=abc"))) == 2


def test_the_readers_word_is_noted_where_the_form_stands(wiki: App, client: TestClient) -> None:
    second, first = ids(wiki)
    said = client.post(f"/questions/{first}", data={"state": "partly", "back": "/w/herons"})
    assert said.headers["location"] == f"/w/herons#q{first}"
    page = parsed(client.get("/w/herons"))
    assert "partly answered" in words(page.select_one(f"#q{first}"))
    assert "partly answered" in words(parsed(client.get("/w/birds")).select_one(f"#q{first}"))
    for back in ("//evil.example", "https://evil.example/", "/w/../x", ""):
        away = client.post(f"/questions/{second}", data={"state": "open", "back": back})
        assert away.headers["location"] == f"/w/herons#q{second}"
    assert client.post(f"/questions/{first}", data={"state": "maybe"}).status_code == 422
    assert client.post("/questions/99999", data={"state": "open"}).status_code == 404


def test_a_long_list_goes_on(app: App, client: TestClient) -> None:
    asked = [f"Is {number} enough for everybody?" for number in range(60)]
    load(app, [{"type": "page", "id": "note", "title": "A note", "questions": asked}])
    first = client.get("/questions")
    assert len(rows(first)) == 50
    further = parsed(first).select_one("a[rel=next]")["href"]
    assert len(rows(client.get(further))) == 10


# ---------------------------------------------------------------- predictions


def test_what_is_due_comes_first_and_what_has_no_date_last(wiki: App, client: TestClient) -> None:
    page = parsed(client.get("/predictions"))
    assert "All herons will fly." in words(page.select_one("#due"))
    every = [words(each) for each in page.select("ul.members li")]
    assert ["herons" in every[0], "None lands." in every[1], "no date" in every[2]] == [True] * 3


def test_a_prediction_is_added_on_a_page_and_a_bad_one_keeps_what_was_written(
    wiki: App, client: TestClient
) -> None:
    form = {"page": "herons", "text": "They nest.", "due": "in 90 days", "back": "/w/herons"}
    made = client.post("/predictions", data=form)
    assert made.status_code == 303
    assert made.headers["location"].startswith("/w/herons#p")
    assert "They nest." in words(parsed(client.get("/w/herons")).select_one("#predictions"))
    assert client.post("/predictions", data=form).status_code == 409
    bad = client.post("/predictions", data={**form, "text": "They leave.", "due": "soon"})
    assert bad.status_code == 422
    page = parsed(bad)
    assert "names no day to come" in words(page.select_one("#prediction-problem"))
    assert page.select_one("textarea[name=text]").text == "They leave."
    assert page.select_one("input[name=due]")["aria-invalid"] == "true"
    assert client.post("/predictions", data={}).status_code == 422


def test_a_judgement_quotes_a_page_and_is_taken_back(wiki: App, client: TestClient) -> None:
    one = of(wiki, "All herons will fly.").id
    form = {"state": "came-true", "page": "note", "quotation": "no heron", "resolution": "So."}
    refused = client.post(f"/predictions/{one}", data=form)
    assert refused.status_code == 422
    assert "do not stand in “A note”" in words(parsed(refused).select_one("#judge-problem"))
    assert parsed(refused).select_one("textarea[name=resolution]").text == "So."
    form["quotation"] = "Then all herons flew."
    assert client.post(f"/predictions/{one}", data=form).status_code == 303
    page = words(parsed(client.get(f"/predictions/{one}")).main)
    assert "Then all herons flew." in page
    assert "quoted exactly" in page
    assert client.post(f"/predictions/{one}", data=form).status_code == 409
    assert client.post(f"/predictions/{one}/reopen").status_code == 303
    assert of(wiki, "All herons will fly.").state.value == "open"
    assert client.post(f"/predictions/{one}/dismiss", data={"page": "herons"}).status_code == 404
    assert client.get("/predictions/99999").status_code == 404


def test_each_number_of_the_score_leads_to_its_rows(wiki: App, client: TestClient) -> None:
    for text, state, day in (
        ("All herons will fly.", "came-true", "2026-04-30"),
        ("None lands.", "failed", "2026-05-02"),
    ):
        one = of(wiki, text).id
        client.post(f"/predictions/{one}", data={"state": state, "day": day})
    page = parsed(client.get("/predictions?show=resolved"))
    told = words(page.select_one("dl.counts"))
    assert "50%" in told
    assert "0.04" in told
    assert page.select_one("dl.counts svg.spark") is not None
    for link in page.select("dl.counts a, table a"):
        behind = 2 if link.text == "50%" else 1
        assert len(rows(client.get(link["href"]))) == behind, link
    assert len(rows(client.get("/predictions?show=resolved&month=%00&state=x"))) == 2


# ---------------------------------------------------------------- programs


def test_programs_read_and_judge(wiki: App, client: TestClient) -> None:
    [_, first] = client.get("/api/v1/questions", params={"thread": "birds"}).json()
    assert (first["page"], first["number"], first["state"]) == ("herons", 1, "open")
    said = client.post(f"/api/v1/questions/{first['id']}", json={"state": "answered"})
    assert said.json()["state"] == "answered"
    assert client.get("/api/v1/questions?state=what").status_code == 422
    [due] = client.get("/api/v1/predictions?show=due").json()
    made = client.post("/api/v1/predictions", json={"page": "note", "text": "It rains."})
    assert made.status_code == 201
    assert made.json()["made"] == "2026-05-14"
    bad = client.post("/api/v1/predictions", json={"page": "note", "text": "", "due": "soon"})
    assert bad.status_code == 422
    judged = client.post(f"/api/v1/predictions/{due['id']}", json={"state": "failed"})
    assert judged.json()["resolved"] == "2026-05-14"
    assert client.get("/api/v1/predictions?show=resolved").json()[0]["id"] == due["id"]
    again = client.post(f"/api/v1/predictions/{due['id']}", json={"state": "failed"})
    assert again.status_code == 409
    assert client.post("/api/v1/predictions/99999", json={"state": "failed"}).status_code == 404
