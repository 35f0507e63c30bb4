"""Unlinked mentions on screen: the rail fetches them, and one button links one; with and without scripts."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import LinkStatus
from app.store import links, pages
from app.store.db import reading
from tests.web.conftest import PARTIAL, load, parsed, words

WIKI: list[dict[str, Any]] = [
    {"type": "concept", "id": "slack-water", "title": "Slack water", "text": "Calm."},
    {
        "type": "page",
        "id": "log",
        "kind": "note",
        "title": "Log <b>",
        "text": "We left at slack water & came back.",
    },
    {
        "type": "paper",
        "id": "arxiv:2605.00001",
        "title": "On boats",
        "abstract": "Boats in slack water wait.",
        "published": "2026-05-07",
        "slug": "on-boats",
    },
]


@pytest.fixture(autouse=True)
def wiki(app: App) -> None:
    load(app, WIKI)


def test_the_rail_invites_and_fetches_when_it_is_seen(client: TestClient) -> None:
    section = parsed(client.get("/w/slack-water")).select_one(".rail #mentions")
    assert section["hx-get"] == section.a["href"] == "/w/slack-water/mentions"
    assert section["hx-trigger"] == "revealed"


def test_a_digest_and_others_without_a_name_have_no_such_part(client: TestClient) -> None:
    row = {"type": "page", "id": "post", "kind": "article", "title": "A post", "text": "Words."}
    load(client.app.state.app, [row])  # type: ignore[attr-defined]
    assert parsed(client.get("/w/post")).select_one("#mentions") is None


def test_each_mention_shows_its_sentence_with_the_name_marked(client: TestClient) -> None:
    part = parsed(client.get("/w/slack-water/mentions", headers=PARTIAL))
    rows = part.select("li")
    assert [words(row.a) for row in rows] == ["On boats", "Log <b>"]
    assert [words(row.select_one("mark")) for row in rows] == ["slack water", "slack water"]
    assert words(rows[1].select_one(".sentence")) == "We left at slack water & came back."
    assert part.select_one("html") is None


def test_without_htmx_it_is_a_page_of_its_own(client: TestClient) -> None:
    page = parsed(client.get("/w/slack-water/mentions"))
    assert words(page.h1) == "Mentioned, not linked"
    assert len(page.select("form button[name=source]")) == 2
    nothing = parsed(client.get("/w/log/mentions"))
    assert "No page says this name" in words(nothing.select_one("#main"))


def test_a_list_that_is_cut_says_so(client: TestClient, app: App) -> None:
    assert "There are more" not in words(parsed(client.get("/w/slack-water/mentions")).main)
    notes = [
        {"type": "page", "id": f"n{n}", "kind": "note", "title": f"N{n}", "text": "Slack water."}
        for n in range(19)
    ]
    load(app, notes)
    page = parsed(client.get("/w/slack-water/mentions"))
    assert len(page.select("form button[name=source]")) == 20
    assert "There are more" in words(page.main)


def test_the_button_writes_the_link_and_leads_back(client: TestClient, app: App) -> None:
    answer = client.post("/w/slack-water/mentions", data={"source": "log"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/w/slack-water/mentions")
    with reading(app.engine) as session:
        body = pages.get(session, "log").body
    assert body == "We left at [[Slack water|slack water]] & came back."
    left = parsed(client.get("/w/slack-water/mentions", headers=PARTIAL)).select("li")
    assert [words(row.a) for row in left] == ["On boats"]
    rail = parsed(client.get("/w/slack-water")).select_one(".rail")
    assert "Log <b>" in words(rail)  # it is linked from there now


def test_htmx_gets_a_toast_and_a_link_from_an_abstract_can_be_undone(
    client: TestClient, app: App
) -> None:
    answer = client.post("/w/slack-water/mentions", data={"source": "on-boats"}, headers=PARTIAL)
    assert answer.status_code == 200
    toast = parsed(answer)
    assert "Linked: On boats" in words(toast)
    undo = toast.select_one("form[action^='/decisions/']")["action"]
    with reading(app.engine) as session:
        assert links.count(session, LinkStatus.ACCEPTED) == 1
    assert client.post(undo, headers=PARTIAL).status_code == 200
    with reading(app.engine) as session:
        assert links.count(session, LinkStatus.ACCEPTED) == 0


@pytest.mark.parametrize(
    ("data", "status"),
    [({}, 422), ({"source": "nowhere"}, 404), ({"source": "slack-water"}, 409)],
)
def test_what_cannot_be_linked_is_said(
    client: TestClient, data: dict[str, str], status: int
) -> None:
    answer = client.post("/w/slack-water/mentions", data=data, headers=PARTIAL)
    assert answer.status_code == status
    assert words(parsed(answer))


def test_a_page_that_is_not_there_has_no_mentions(client: TestClient) -> None:
    assert client.get("/w/nowhere/mentions").status_code == 404
