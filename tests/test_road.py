"""The road of architecture.md section 4: a day's listing becomes an accepted link, and back again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from sqlmodel import select
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import Decision, LinkStatus, Run, RunState
from app.embeddings.base import Direct
from app.importing import import_paths
from app.pipeline import STEPS, pending
from app.services.linker import shipped_weights
from app.settings import Settings
from app.store import links, runs
from app.store.db import reading
from app.store.vectors import VectorIndex
from app.web.app import create
from app.worker import Worker
from tests.factories import make_engine
from tests.fakes import HashingEncoder

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial"}

KNOWN: list[dict[str, Any]] = [
    {
        "type": "concept",
        "id": "kv-cache",
        "title": "KV cache",
        "aliases": ["key-value cache"],
        "text": "The key-value cache keeps keys and values of earlier tokens for attention.",
    },
    {
        "type": "concept",
        "id": "tide-prediction",
        "title": "Tide prediction",
        "text": "Predicting tides from harmonic constants of gauges and satellites.",
    },
    {
        "type": "concept",
        "id": "speech-recognition",
        "title": "Speech recognition",
        "text": "Turning recorded speech into words.",
    },
]
DAY: list[dict[str, Any]] = [
    {
        "type": "paper",
        "id": "arxiv:2605.05838v1",
        "title": "Evicting the KV cache by attention",
        "abstract": "We shrink the KV cache. Our key-value cache eviction keeps useful keys.",
        "authors": ["Ada Example"],
        "published": "2026-05-13",
        "day": "2026-05-14",
    },
    {
        "type": "paper",
        "id": "arxiv:2605.05839",
        "title": "Tide prediction with small networks",
        "abstract": "Tide prediction from few gauges. Harmonic constants are learnt.",
        "authors": ["Ben Sample"],
        "published": "2026-05-13",
        "day": "2026-05-14",
    },
]


def wiki(folder: Path) -> App:
    """The wiki in this folder, as a process that starts finds it."""
    settings = Settings(data=folder, timezone="UTC", now=NOW)
    encoder = HashingEncoder()
    return App(
        settings,
        make_engine(folder),
        shipped_weights(None),
        encoder=encoder,
        query_encoder=Direct(encoder),
        index=VectorIndex(encoder.model),
    )


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    made = wiki(tmp_path)
    yield made
    made.engine.dispose()


def browser(app: App) -> TestClient:
    return TestClient(create(app), base_url="http://127.0.0.1:8000", follow_redirects=False)


def take(app: App, rows: list[dict[str, Any]], name: str) -> None:
    path = app.settings.data / name
    path.write_text("\n".join(map(json.dumps, rows)))
    result = import_paths(app, [path])
    assert result.files == 1
    assert result.refused == []


def work(app: App) -> int:
    """Everything that is pending, as the worker does it."""
    return Worker(app).once("test")


def waiting(app: App) -> list[tuple[str, int]]:
    with reading(app.engine) as session:
        return pending(session, app)


def screen(client: TestClient, path: str) -> BeautifulSoup:
    response = client.get(path)
    assert response.status_code == 200, response.text
    return BeautifulSoup(response.text, "html.parser")


def text(page: BeautifulSoup) -> str:
    return " ".join(page.get_text(" ").split())


def form(page: Tag, start: str) -> str:
    """Where the first form that posts to such an address posts to."""
    found = page.select_one(f"form[action^='{start}']")
    assert found is not None, f"no form to {start}"
    return str(found["action"])


def proposed(client: TestClient) -> dict[tuple[str, str], dict[str, Any]]:
    body = client.get("/api/v1/review").json()
    return {(p["source"]["slug"], p["target"]["slug"]): p for p in body["proposals"]}


PAIR = ("evicting-the-kv-cache-by-attention", "kv-cache")


def test_a_listed_paper_becomes_an_accepted_link_and_back_again(app: App) -> None:
    take(app, KNOWN, "known.jsonl")
    take(app, DAY, "day.jsonl")
    with browser(app) as client:
        # The listing waits in the Inbox; nothing of it is a page, nothing is proposed.
        assert "Evicting the KV cache" in text(screen(client, "/inbox"))
        assert client.get(f"/w/{PAIR[0]}").status_code == 404
        assert work(app) == 13, (
            "four files of the vault, three concepts to encode, and to compare with one another; "
            "two listed papers to encode, their day to assess and to tell, and what is told to encode"
        )
        assert proposed(client) == {}

        # A person keeps the first paper: it gets its page, and the machine gets work.
        inbox = screen(client, "/inbox")
        [row] = [row for row in inbox.select("#queue > li") if "Evicting" in row.text]
        kept = client.post(form(row, "/inbox/"), data={"decision": "keep"})
        assert kept.status_code == 303
        assert "Evicting" not in text(screen(client, "/inbox"))
        assert client.get(f"/w/{PAIR[0]}").status_code == 200
        assert dict(waiting(app)).items() >= {"texts to encode": 1, "papers to link": 1}.items()

        # The worker encodes and links; what it proposes says why, and is no link yet.
        assert work(app) > 1
        assert waiting(app) == []
        found = proposed(client)
        assert list(found) == [PAIR]
        proposal = found[PAIR]
        assert proposal["relation"] == "about"
        assert 0.5 < proposal["confidence"] <= 1
        assert any("KV cache" in e["quotation"] for e in proposal["evidence"])
        assert proposal["reason"]
        assert client.get("/w/kv-cache.json").json()["backlinks"] == []

        # It waits in Review with both sides and its evidence.
        review = screen(client, "/review")
        assert "Evicting the KV cache by attention" in text(review)
        assert proposal["evidence"][0]["quotation"] in review.get_text()
        assert [mark.text for mark in review.select("#queue blockquote mark")]

        # The person accepts it.
        action = form(review, "/review/")
        assert action == f"/review/{proposal['id']}"
        accepted = client.post(action, data={"decision": "accept"}, headers=PARTIAL)
        assert accepted.status_code == 200
        assert "Accepted" in accepted.text
        assert client.post(action, data={"decision": "reject"}).status_code == 409

        # It is a link now, wherever links are told of.
        assert proposed(client) == {}
        backlinks = client.get("/w/kv-cache.json").json()["backlinks"]
        assert backlinks == [{"relation": "about", "source": PAIR[0]}]
        assert "Evicting the KV cache by attention" in text(screen(client, "/w/kv-cache"))
        assert "accepted" in text(screen(client, "/review?tab=decided"))
        for mode in ("words", "meaning", "both"):
            hits = client.get("/api/v1/search", params={"q": "KV cache eviction", "mode": mode})
            assert PAIR[0] in [hit["slug"] for hit in hits.json()["hits"]], mode
        graph = client.get("/api/v1/graph?focus=kv-cache&depth=1").json()
        assert [edge["status"] for edge in graph["edges"]] == ["accepted"]

        # Nothing twice: neither the worker nor the same listing brings anything back.
        assert work(app) == 1, "the file of the paper says its accepted link"
        assert work(app) == 0
        take(app, DAY, "day.jsonl")
        assert "Evicting" not in text(screen(client, "/inbox"))
        assert proposed(client) == {}

        # And it can be taken back.
        undo = form(screen(client, "/review?tab=decided"), "/decisions/")
        assert client.post(undo).status_code == 303
        assert list(proposed(client)) == [PAIR]
        assert client.get("/w/kv-cache.json").json()["backlinks"] == []


def test_what_was_rejected_is_not_proposed_again(app: App) -> None:
    take(app, KNOWN, "known.jsonl")
    take(app, [{**DAY[0], "day": None}], "kept.jsonl")
    work(app)
    with browser(app) as client:
        number = proposed(client)[PAIR]["id"]
        client.post(f"/review/{number}", data={"decision": "reject", "reason": "only in passing"})
        # A changed definition gives the linker the paper again.
        take(app, [{**KNOWN[0], "text": "Kept keys and values. " * 3}], "again.jsonl")
        assert work(app) > 0
        assert PAIR not in proposed(client)
    with reading(app.engine) as session:
        assert links.get(session, number).status is LinkStatus.REJECTED


def test_the_road_goes_on_where_a_killed_process_left_it(tmp_path: Path) -> None:
    first = wiki(tmp_path)
    take(first, KNOWN, "known.jsonl")
    take(first, [{**row, "day": None} for row in DAY], "kept.jsonl")
    steps = {step.name: step for step in STEPS}
    with runs.at_work(first.engine) as owner:
        assert steps["encode"].run(first, owner).done == 5
    first.engine.dispose()  # ... and here the process dies, before it could link

    second = wiki(tmp_path)
    left = dict(waiting(second))
    assert left["papers to link"] == 2
    assert "texts to encode" not in left, "what was encoded is not encoded again"
    assert work(second) >= 2
    with browser(second) as client:
        before = proposed(client)
    assert PAIR in before
    second.engine.dispose()

    third = wiki(tmp_path)
    assert waiting(third) == []
    assert work(third) == 0
    with runs.at_work(third.engine) as owner:
        assert steps["link"].run(third, owner).done == 0
    with browser(third) as client:
        assert proposed(client) == before
        assert client.post(f"/review/{before[PAIR]['id']}", data={"decision": "accept"})
    third.engine.dispose()

    fourth = wiki(tmp_path)
    with reading(fourth.engine) as session:
        assert links.get(session, before[PAIR]["id"]).status is LinkStatus.ACCEPTED
        assert len(session.exec(select(Decision)).all()) == 1
        states = [run.state for run in session.exec(select(Run))]
        assert states == [RunState.DONE]
    fourth.engine.dispose()


def test_a_step_that_fails_ends_its_run_and_loses_nothing(app: App) -> None:
    take(app, KNOWN, "known.jsonl")

    class Broken(HashingEncoder):
        def encode(self, texts: Any) -> Any:
            raise OSError("the model file is gone")

    good = app.encoder
    app.encoder = Broken()
    with pytest.raises(OSError, match="model file"):
        work(app)
    with reading(app.engine) as session:
        run = session.exec(select(Run)).one()
        assert run.state is RunState.FAILED
        assert "the model file is gone" in run.log
    app.encoder = good
    assert work(app) == 3, "the concepts; what needs no vectors was done in the round that failed"


def test_a_text_the_model_makes_no_numbers_of_is_not_pending_for_ever(app: App) -> None:
    take(app, KNOWN, "known.jsonl")

    class Odd(HashingEncoder):
        def encode(self, texts: Any) -> Any:
            return super().encode(texts) * float("nan")

    app.encoder = Odd()
    assert work(app) == 7
    assert waiting(app) == []
