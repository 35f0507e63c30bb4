"""Renaming with the links to a page, and links that Obsidian does not follow: on screens, in the API."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import PageKind
from app.store import pages
from app.store.db import reading, writing
from app.store.pages import PERSON, Content
from tests.web.conftest import NOW, parsed, words

TEXTS = {
    "KV cache": "It holds keys.",
    "One": "About the [[KV cache]].",
    "Two": "About the [[kv cache|cache]] and `[[KV cache]]`.",
    "Three": "About the [[KVC]].",
}


@pytest.fixture(autouse=True)
def _texts(app: App) -> None:
    with writing(app.engine) as session:
        for title, body in TEXTS.items():
            aliases = ("KVC",) if title == "KV cache" else ()
            content = Content(title=title, kind=PageKind.NOTE, body=body, aliases=aliases)
            pages.create(session, content, author=PERSON, now=NOW)


def bodies(app: App) -> list[str]:
    with reading(app.engine) as session:
        return [pages.get(session, slug).body for slug in ("one", "two", "three")]


def fields_of(client: TestClient, slug: str, **changed: str) -> dict[str, Any]:
    form = parsed(client.get(f"/w/{slug}/edit")).select_one("#editor")
    fields = {
        each["name"]: each.get("value", "")
        for each in form.select("input[name]")
        if each.get("type") != "checkbox" or each.has_attr("checked")
    }
    fields |= {each["name"]: each.text.removeprefix("\n") for each in form.select("textarea")}
    chosen = form.select_one("select option[selected]")
    return {**fields, "kind": chosen["value"], **changed}


def test_the_editor_offers_to_write_a_new_title_into_the_pages_that_link_here(
    app: App, client: TestClient
) -> None:
    page = parsed(client.get("/w/kv-cache/edit"))
    assert "write the new one where the 3 pages that link here say the old one" in words(
        page.select_one("#editor")
    )
    assert parsed(client.get("/w/one/edit")).select_one("input[name=links]") is None
    assert parsed(client.get("/new")).select_one("input[name=links]") is None
    fields = fields_of(client, "kv-cache", title="Key-value store")
    assert fields["links"] == "1"
    saved = client.post("/w/kv-cache/edit", data=fields)
    assert saved.headers["location"] == "/w/kv-cache?saved=linked"
    assert "Activity can undo it" in words(parsed(client.get("/w/kv-cache?saved=linked")).main)
    assert bodies(app) == [
        "About the [[Key-value store]].",
        "About the [[Key-value store|cache]] and `[[KV cache]]`.",
        "About the [[KVC]].",
    ]
    log = parsed(client.get("/activity?who=you"))
    assert "renamed KV cache is called Key-value store 3 texts changed" in words(log.main)
    form = log.select_one('form[action^="/activity/"]')
    assert "KV cache is called" not in words(parsed(client.get("/activity?who=machine")).main)
    assert client.post(form["action"]).status_code == 303
    assert bodies(app) == list(TEXTS.values())[1:]


def test_the_links_stay_where_the_box_is_not_checked(app: App, client: TestClient) -> None:
    fields = fields_of(client, "kv-cache", title="Key-value store")
    del fields["links"]
    shown = client.post("/w/kv-cache/edit", data={**fields, "preview": "1"})
    box = parsed(shown).select_one("input[name=links]")
    assert box is not None and not box.has_attr("checked")
    assert client.post("/w/kv-cache/edit", data=fields).headers["location"] == "/w/kv-cache"
    assert bodies(app) == list(TEXTS.values())[1:]
    assert client.get("/w/Key-value store").status_code == 308


def test_a_refused_title_writes_nothing_and_comes_back_with_the_box(
    app: App, client: TestClient
) -> None:
    fields = fields_of(client, "kv-cache", title=" ")
    answer = client.post("/w/kv-cache/edit", data=fields)
    assert answer.status_code == 422
    assert parsed(answer).select_one("input[name=links]").has_attr("checked")
    for odd in ("x", "-1", "9" * 40, ""):
        again = client.post("/w/kv-cache/edit", data={**fields, "linked": odd})
        assert again.status_code == 422
    fields = fields_of(client, "kv-cache", title="Another", body="Mine.")
    client.put(
        "/api/v1/pages/kv-cache", json={"body": "Theirs."}, headers={"If-Match": fields["base_rev"]}
    )
    assert client.post("/w/kv-cache/edit", data=fields).status_code == 409
    assert bodies(app) == list(TEXTS.values())[1:]
    assert "is called" not in client.get("/activity").text


def test_a_moved_page_takes_its_links_along(app: App, client: TestClient) -> None:
    data = {"slug": "store", "title": "Key-value store", "links": "1"}
    assert client.post("/w/kv-cache/rename", data=data).status_code == 303
    assert bodies(app)[0] == "About the [[Key-value store]]."


def test_programs_ask_for_it(app: App, client: TestClient) -> None:
    match = {"If-Match": "*"}
    title = {"title": "Key-value store"}
    assert client.put("/api/v1/pages/kv-cache", json=title, headers=match).status_code == 200
    assert bodies(app)[0] == "About the [[KV cache]]."
    title = {"title": "The store", "links": True}
    assert client.put("/api/v1/pages/kv-cache", json=title, headers=match).status_code == 200
    # By its newest title nobody linked: who links by another name of it is found by Health.
    assert bodies(app)[0] == "About the [[KV cache]]."
    wrong = client.put("/api/v1/pages/kv-cache", json={"links": "perhaps"}, headers=match)
    assert wrong.status_code == 422


def test_health_counts_links_that_obsidian_does_not_follow_and_writes_them(
    app: App, client: TestClient
) -> None:
    page = parsed(client.get("/health?check=astray-links"))
    assert "It says [[KVC]] ; leads to KV cache here alone." in words(page.main)
    assert page.select_one('form[action="/health/links"]')
    done = client.post("/health/links")
    assert done.headers["location"].startswith("/activity/")
    act = parsed(client.get(done.headers["location"]))
    assert "links rewritten" in words(act.main) and act.select_one('a[href="/w/three"]')
    assert bodies(app)[2] == "About the [[KV cache|KVC]]."
    assert not parsed(client.get("/health")).select_one('form[action="/health/links"]')
    assert client.post("/health/links").headers["location"] == "/health"
    undone = client.post(f"{done.headers['location']}/undo")
    assert undone.status_code == 303
    assert bodies(app) == list(TEXTS.values())[1:]
