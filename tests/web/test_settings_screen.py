"""Settings: what a browser chooses for itself, and what it is only told."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from tests.web.conftest import parsed, words

YEAR = 365 * 24 * 60 * 60


def cookies(answer: Any) -> dict[str, Any]:
    jar: SimpleCookie = SimpleCookie()
    for header in answer.headers.get_list("set-cookie"):
        jar.load(header)
    return dict(jar)


def facts(client: TestClient) -> dict[str, str]:
    page = parsed(client.get("/settings"))
    return {words(row.dt): words(row.dd) for row in page.select("dl.facts > div")}


@pytest.mark.parametrize(
    ("form", "theme", "keys"),
    [
        ({"theme": "dark", "keys": "on"}, "dark", "on"),
        ({"theme": "light"}, "light", "off"),
        ({"theme": "auto", "keys": "on"}, "", "on"),
        ({"theme": "system"}, "", "off"),
        ({}, "", "off"),
        ({"theme": " DARK ", "keys": "maybe", "extra": "field"}, "dark", "off"),
    ],
)
def test_choices_are_kept_in_cookies_for_a_year(
    client: TestClient, form: dict[str, str], theme: str, keys: str
) -> None:
    answer = client.post("/settings", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings?saved=1")
    kept = cookies(answer)
    assert {name: morsel.value for name, morsel in kept.items()} == {"theme": theme, "keys": keys}
    for morsel in kept.values():
        assert (morsel["path"], morsel["samesite"].lower(), morsel["max-age"]) == (
            "/",
            "lax",
            str(YEAR),
        )


def test_a_saved_choice_shows_on_every_page(client: TestClient) -> None:
    client.post("/settings", data={"theme": "dark"})
    page = parsed(client.get("/settings?saved=1"))
    assert page.html["data-theme"] == "dark"
    assert page.html["data-keys"] == "off"
    assert page.select_one("input[name=theme][checked]")["value"] == "dark"
    assert not page.select_one("input[name=keys]").has_attr("checked")
    assert words(page.select_one(".notice")) == "Saved."
    client.post("/settings", data={"theme": "auto", "keys": "on"})
    back = parsed(client.get("/threads"))
    assert not back.html.has_attr("data-theme")
    assert not back.html.has_attr("data-keys")


@pytest.mark.parametrize("theme", ["blue", "dark; HttpOnly", "light\r\nX-Bad: 1", "x" * 10_000])
def test_a_theme_there_is_none_of_is_refused(client: TestClient, theme: str) -> None:
    answer = client.post("/settings", data={"theme": theme})
    assert answer.status_code == 422
    assert "set-cookie" not in answer.headers
    assert words(parsed(answer).select_one(".lede")) == "A theme is light, dark or auto."


def test_the_wiki_says_where_its_data_is_and_that_vectors_are_off(
    client: TestClient, app: App
) -> None:
    found = facts(client)
    assert str(app.settings.data) in found["Data"]
    assert found["Vectors"].startswith("off: pages are found by words alone")
    assert found["Language model"].startswith("none: no model is ever called")


def test_what_a_variable_fixes_is_shown_as_fixed(
    client: TestClient, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRO_TIMEZONE", "UTC")
    found = facts(client)
    assert found["Time zone"] == "UTC fixed by CEREBRO_TIMEZONE"
    assert found["Budget a day"] == "none: nothing is spent default"


def test_no_secret_is_shown(client: TestClient, app: App) -> None:
    app.settings.password_hash = "$argon2id$very-secret"
    app.settings.database_url = "postgresql://reader:very-secret@localhost/wiki"
    answer = client.get("/settings")
    assert "very-secret" not in answer.text
    assert facts(client)["Password"].startswith("set")
