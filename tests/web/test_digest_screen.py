"""A digest of our own: on Today, in full, told again, and for programs."""

from __future__ import annotations

from fastapi.testclient import TestClient

from app.bootstrap import App
from app.domain.records import PaperState
from app.store.db import writing
from tests.services.test_digest import DAY, list_paper
from tests.web.conftest import parsed, words


def test_a_day_is_told_by_a_button_and_read_in_full(client: TestClient, app: App) -> None:
    with writing(app.engine) as session:
        list_paper(session, "Rafts", state=PaperState.KEPT)
        list_paper(session, "Kayaks")
    button = parsed(client.get(f"/today/{DAY}")).select_one(f'form[action="/today/{DAY}/tell"]')
    assert button is not None
    assert words(button) == "Tell this day"
    assert client.post(f"/today/{DAY}/tell", follow_redirects=False).status_code == 303
    page = parsed(client.get(f"/today/{DAY}"))
    assert "Two papers of 40; first to read: Rafts and Kayaks" in words(page.select_one(".lede"))
    titles = [words(each) for each in page.select(".items h3")]
    assert titles == ["Rafts: a rule for boats", "Kayaks: a rule for boats"]
    assert "waited 18% less" in words(page.select_one(".items .summary"))
    full = parsed(client.get(f"/today/{DAY}?view=full"))
    assert "told " in words(full.select_one("article .meta"))
    assert [words(each) for each in full.select(".prose h2")][-1] == "Ledger"
    assert full.select_one('.prose a[href="/w/rafts-a-rule-for-boats"]') is not None
    assert client.get(f"/w/digest-{DAY}", follow_redirects=False).headers["location"] == (
        f"/today/{DAY}"
    )


def test_what_a_person_edited_is_not_told_over(client: TestClient, app: App) -> None:
    with writing(app.engine) as session:
        list_paper(session, "Rafts", state=PaperState.KEPT)
    client.post(f"/today/{DAY}/tell")
    form = {"title": "My day", "kind": "digest", "body": "Mine.", "base_rev": "1"}
    assert (
        client.post(f"/w/digest-{DAY}/edit", data=form, follow_redirects=False).status_code == 303
    )
    assert parsed(client.get(f"/today/{DAY}")).select_one('form[action$="/tell"]') is None
    refused = client.post(f"/today/{DAY}/tell")
    assert refused.status_code == 409
    assert "a person edited it" in refused.text
    assert "Mine." in client.get(f"/today/{DAY}?view=full").text


def test_programs_read_and_tell_digests(client: TestClient, app: App) -> None:
    assert client.get("/api/v1/digest").status_code == 404
    assert client.post(f"/api/v1/digest/{DAY}").status_code == 404
    assert client.post("/api/v1/digest/someday").status_code == 422
    with writing(app.engine) as session:
        list_paper(session, "Rafts", state=PaperState.KEPT)
    assert client.get(f"/api/v1/digest/{DAY}").status_code == 404
    told = client.post(f"/api/v1/digest/{DAY}").json()
    assert told["day"] == DAY
    assert [each["name"] for each in told["sections"]] == ["framing", "tldr", "deep-dives"]
    dive = told["sections"][2]["items"][0]
    assert dive["title"] == "Rafts: a rule for boats"
    assert all(
        sentence["by"] in ("extract", "agent") and sentence["ids"]
        for part in dive["parts"]
        for sentence in part["sentences"]
    )
    assert client.get("/api/v1/digest").json() == told
    assert client.get(f"/api/v1/digest/{DAY}").json() == told
