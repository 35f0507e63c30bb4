"""What the page of a day says of a model: what it would cost, why not, and what was given up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import BatchState, CallState, ModelCall
from app.llm.anthropic import AnthropicModel
from app.store import batches, judging, preferences
from app.store.db import writing
from app.worker import Worker
from tests.llm_server import LlmServer, papers_of
from tests.web.conftest import NOW, listed, load, parsed, words

DAY = "2026-05-14"
TOPIC = {"type": "topic", "id": "tides", "name": "Tides", "keep": "models of tides"}


@pytest.fixture
def day(app: App, llm: LlmServer) -> App:
    """Three papers that the local scorer has marked."""
    load(app, [TOPIC, *(listed(n, day=DAY) for n in (1, 2, 3))])
    app.model = AnthropicModel(silence=5, deadline=20)
    work(app)
    return app


def work(app: App) -> None:
    Worker(app).once("test")


def choose(app: App, **values: str) -> None:
    chosen = {"llm_model": "claude-opus-4-5", "llm_daily_budget": "2", "llm_batches": "on"} | values
    with writing(app.engine) as session:
        preferences.set_llm(session, chosen)


def told(client: TestClient) -> str:
    return words(parsed(client.get(f"/triage/{DAY}")).select_one("main"))


def test_without_a_model_the_page_says_what_could_be(day: App, client: TestClient) -> None:
    page = parsed(client.get(f"/triage/{DAY}"))
    assert "A language model can judge these papers too. No model is set." in words(page)
    assert page.select_one('main a[href="/settings"]') is not None
    assert page.select_one(f'form[action="/triage/{DAY}/judge"]') is None


def test_a_price_that_is_not_known_leads_to_costs(day: App, client: TestClient) -> None:
    choose(day, llm_model="somebody-1")
    page = parsed(client.get(f"/triage/{DAY}"))
    assert "The price of somebody-1 is not known" in words(page)
    assert page.select_one('main a[href="/costs"]') is not None


def test_the_reader_sees_what_it_costs_asks_and_gets_the_marks(
    day: App, client: TestClient, llm: LlmServer
) -> None:
    choose(day)
    assert "can judge the best 3 of the papers that wait. That costs about $0.0" in told(client)
    assert "the budget has $2.00 left" in told(client)
    answer = client.post(f"/triage/{DAY}/judge", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/triage/{DAY}")
    assert "The worker is asking claude-opus-4-5 about 3 papers." in told(client)
    work(day)
    assert [len(papers_of(body)) for body in llm.messages] == [3]  # at once, and in no batch
    after = told(client)
    assert "can judge" not in after and "is asking" not in after
    assert "claude-opus-4-5" in after  # in the table of tokens and cost


def test_what_was_given_up_and_a_pause_are_told(day: App, client: TestClient) -> None:
    choose(day)
    with writing(day.engine) as session:
        found = judging.waiting(session, DAY, limit=9, now=None)
        for _ in range(judging.TRIES):
            judging.failed(
                session, [found[0].paper_id], "It said <b>no</b>.", now=NOW, wait=timedelta(0)
            )
        judging.pause(session, "The service is overloaded.", until=NOW + timedelta(minutes=5))
    answer = client.get(f"/triage/{DAY}")
    assert "Given up after three tries" in words(parsed(answer))
    assert "It said &lt;b&gt;no&lt;/b&gt;." in answer.text
    assert "The service is overloaded." in answer.text
    assert client.post(f"/triage/{DAY}/judge").status_code == 303
    assert "Given up" not in told(client)


@pytest.mark.parametrize("state", [BatchState.SENT, BatchState.FAILED, BatchState.COLLECTED])
def test_a_batch_is_told_until_it_is_collected(
    day: App, client: TestClient, state: BatchState
) -> None:
    choose(day)
    with writing(day.engine) as session:
        call = ModelCall(
            at=NOW, day=DAY, purpose="triage", model="m", state=CallState.RESERVED, reserved=1
        )
        session.add(call)
        session.flush()
        batch = batches.prepare(
            session,
            call_id=call.id or 0,
            purpose="triage",
            about=DAY,
            model="m",
            prompt="p",
            requests=[{"id": "r0", "papers": [1, 2]}],
            now=NOW,
        )
        batches.sent(session, batch, "b1", now=NOW)
        if state is not BatchState.SENT:
            batches.ended(session, batch, state, "It did not end within a day.", now=NOW)
    page = told(client)
    assert ("A message batch of 2 papers is under way" in page) == (state is BatchState.SENT)
    assert ("gave nothing: It did not end within a day." in page) == (state is BatchState.FAILED)


@pytest.mark.parametrize("wrong", ["2026-05-15", "2026-02-30", "x", "2026-05", "%00", "9" * 300])
def test_a_day_that_is_none_cannot_be_asked_for(client: TestClient, wrong: str) -> None:
    answer: Any = client.post(f"/triage/{wrong}/judge")
    assert answer.status_code == 404


def test_jobs_names_the_paper_that_was_given_up_and_no_page_of_that_number(
    day: App, client: TestClient
) -> None:
    load(day, [{"type": "concept", "id": "ebb", "title": "Ebb, which is no paper"}])
    with writing(day.engine) as session:
        judging.failed(session, [1], "It said nothing.", now=NOW, wait=timedelta(hours=1))
        judging.pause(session, "Overloaded.", until=NOW + timedelta(hours=1))
    page = words(parsed(client.get("/jobs")).select_one("main"))
    assert "Listed paper 1" in page and "It said nothing." in page
    assert "Ebb" not in page and "Overloaded" not in page
