"""Sources over the JSON API: what a program may do with them, and what it is told when it may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from app.worker import Worker
from tests.servers import hostile
from tests.servers.hostile import Server, page
from tests.test_fetching import FEED, rss, site

ALL = "/api/v1/sources"


@pytest.fixture
def server(app: App) -> Iterator[Server]:
    with Server(rss()) as made:
        allow(app, made)
        yield made


def allow(app: App, *servers: Server) -> None:
    pairs = [f"127.0.0.1:{server.port}" for server in servers]
    app.settings.fetch_allow = ",".join([*filter(None, [app.settings.fetch_allow]), *pairs])
    app.__dict__.pop("web", None)


def add(client: TestClient, **given: Any) -> Any:
    answer = client.post(ALL, json=given)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_source_is_added_changed_and_removed(client: TestClient, server: Server) -> None:
    assert client.get(ALL).json() == []
    [made] = add(client, address=server.url, name="Mine", every_minutes=90)
    assert (made["name"], made["connector"], made["every_minutes"]) == ("Mine", "feed", 90)
    assert (made["state"], made["items"], made["error"]) == ("new", 0, "")
    one = f"{ALL}/{made['id']}"
    assert client.get(one).json()["fetches"] == []
    again = client.post(ALL, json={"address": server.url})
    assert again.status_code == 409 and "already" in again.json()["error"]["message"]
    changed = client.put(one, json={"name": "Ours", "every_minutes": 120}).json()
    assert (changed["name"], changed["every_minutes"]) == ("Ours", 120)
    assert client.post(f"{one}/pause").json()["next_try"] is None
    assert client.post(f"{one}/resume").json()["state"] == "new"
    assert "is fetched no more" in client.delete(one).json()["words"]
    assert client.get(one).status_code == 404
    assert client.get(ALL).json() == []


def test_a_preview_keeps_nothing(client: TestClient, server: Server) -> None:
    answer = client.post(ALL, json={"address": server.url, "preview": True})
    assert answer.status_code == 200
    [seen] = answer.json()
    assert (seen["new"], seen["older"], seen["connector"]) == (2, 1, "feed")
    assert [each["title"] for each in seen["samples"]] == ["one", "two"]
    assert client.get(ALL).json() == []


def test_of_a_list_each_is_added_once(client: TestClient, app: App, server: Server) -> None:
    with Server(site(server.port)) as other:
        allow(app, other)
        address = f"{other.url}list"
        assert [each["name"] for each in add(client, address=address)] == ["One", "Two"]
        assert add(client, address=address) == []


def test_a_fetch_is_asked_for_done_and_told(client: TestClient, app: App, server: Server) -> None:
    [made] = add(client, address=server.url)
    one = f"{ALL}/{made['id']}"
    asked = client.post(f"{one}/fetch", json={})
    assert (asked.status_code, asked.json()["state"]) == (202, "waiting")
    days = client.post(f"{one}/fetch", json={"from": "2026-02-01", "to": "2026-02-28"}).json()
    assert (days["reason"], days["from"], days["to"]) == ("back-fill", "2026-02-01", "2026-02-28")
    ended = client.post(f"/api/v1/fetches/{days['id']}/cancel")
    assert ended.json()["state"] == "cancelled"
    assert client.post(f"/api/v1/fetches/{days['id']}/cancel").status_code == 409
    Worker(app).once("test")
    told = client.get(one).json()
    assert (told["state"], told["items"]) == ("well", 2)
    assert {each["state"] for each in told["fetches"]} == {"done", "cancelled"}
    assert sum(each.get("new", 0) for each in told["fetches"]) == 2


def test_what_does_not_answer_or_may_not_be_asked_is_no_fault_of_ours(
    client: TestClient, app: App
) -> None:
    with Server(page(b"busy", status="503 Busy")) as busy, hostile.canary() as canary:
        allow(app, busy)
        for address in (
            *(busy.url, canary.url, "http://127.0.0.1/", "file:///etc/passwd", "http://user@x.y/"),
            *("", "no source at all", "http://", "x" * 1900, "http://[::1/", "\x00", "r/", "cs."),
        ):
            answer = client.post(ALL, json={"address": address})
            assert answer.status_code == 422, (address, answer.text)
            assert answer.json()["error"]["message"]
        assert canary.hits == 0
    assert client.get(ALL).json() == []


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("/1", {"every_minutes": 1}),
        ("/1", {"name": " "}),
        ("/1", {"options": {"nope": "x"}}),
        ("/1/fetch", {"from": "May"}),
        ("/1/fetch", {"to": "2026-05-01"}),
        ("/1/fetch", {"from": "2026-05-10", "to": "2026-05-01"}),
        ("/1/fetch", {"from": "2026-06-10"}),
    ],
)
def test_a_wrong_field_is_told(
    client: TestClient, server: Server, path: str, given: dict[str, Any]
) -> None:
    [made] = add(client, address=server.url)
    url = f"{ALL}{path.replace('1', str(made['id']))}"
    answer = client.post(url, json=given) if "fetch" in path else client.put(url, json=given)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["message"]


def test_a_source_there_is_none_of_is_404(client: TestClient) -> None:
    for number in ("0", "7", "-1", "99999999999999999999"):
        assert client.get(f"{ALL}/{number}").status_code == 404
        assert client.put(f"{ALL}/{number}", json={}).status_code == 404
        assert client.delete(f"{ALL}/{number}").status_code == 404
        assert client.post(f"/api/v1/fetches/{number}/cancel").status_code == 404
        for verb in ("pause", "resume", "fetch"):
            assert client.post(f"{ALL}/{number}/{verb}", json={}).status_code == 404


def test_outright_asks_nobody(client: TestClient, app: App, server: Server) -> None:
    [made] = add(client, address="http://127.0.0.1:1/feed", connector="feed", name="Later")
    assert (made["name"], made["url"]) == ("Later", "http://127.0.0.1:1/feed")
    assert server.asked == [] and FEED
    answer = client.post(ALL, json={"address": "x", "connector": "nope"})
    assert answer.status_code == 422
    assert "feed" in answer.json()["error"]["message"]
