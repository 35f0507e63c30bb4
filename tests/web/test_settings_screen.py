"""Settings: what a browser chooses for itself, and what it is only told."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.money import LLMSettings
from app.domain.records import VaultProblem
from app.services import commits
from app.settings import Settings
from app.store.db import reading, writing
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


def test_private_addresses_that_may_be_fetched_from_are_named(
    client: TestClient, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "Private addresses fetched from"
    assert facts(client)[name].startswith("none: whatever leads to this machine")
    monkeypatch.setenv("CEREBRO_FETCH_ALLOW", "x")
    app.settings.fetch_allow = "Feeds.LAN:8080, [0:0::1]:80,127.0.0.1:8000,"
    assert facts(client)[name] == (
        "127.0.0.1:8000, [::1]:80, feeds.lan:8080: a source may lead to these, and to no other "
        "private address fixed by CEREBRO_FETCH_ALLOW"
    )


def test_no_secret_is_shown(client: TestClient, app: App) -> None:
    app.settings.password_hash = "$argon2id$very-secret"
    app.settings.database_url = "postgresql://reader:very-secret@localhost/wiki"
    answer = client.get("/settings")
    assert "very-secret" not in answer.text
    assert facts(client)["Password"].startswith("set")


# ---------------------------------------------------------------- model and budget

MODEL = {
    "model": "claude-sonnet-5-5",
    "daily": "0.1",
    "monthly": "2",
    "papers": "50",
    "second_look": "on",
}


def in_force(app: App) -> LLMSettings:
    with reading(app.engine) as session:
        return app.llm_in_force(session)


def test_nobody_chose_and_nothing_is_spent(app: App) -> None:
    assert in_force(app) == LLMSettings("", 0, None, batches=True, papers=200, second_look=False)


def test_model_and_budget_are_in_force_at_once(client: TestClient, app: App) -> None:
    answer = client.post("/settings/model", data=MODEL)
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings?saved=1#model")
    assert in_force(app) == LLMSettings(
        "claude-sonnet-5-5",
        100_000,
        2_000_000,
        batches=False,
        papers=50,
        second_look=True,
        prose=False,
    )
    other = App(app.settings, app.engine, app.weights)  # as a worker, which was not restarted
    assert in_force(other) == in_force(app)
    page = parsed(client.get("/settings"))
    typed = {box["name"]: box.get("value") for box in page.select("#model input")}
    boxes = {"batches": "on", "prose": "on", "edits": "on"}
    assert typed == MODEL | {"daily": "0.10", "monthly": "2.00"} | boxes
    assert page.select_one("[name=prose]").get("checked") is None  # what was not sent is off
    assert not page.select_one("[name=batches]").has_attr("checked")
    assert page.select_one("[name=second_look]").has_attr("checked")
    found = facts(client)
    assert found["Language model"] == "claude-sonnet-5-5 chosen above"
    assert found["Budget a day"] == "$0.10 chosen above"
    client.post("/settings/model", data={"batches": "on"})
    assert in_force(app) == LLMSettings(prose=False)
    assert facts(client)["Budget a month"] == "none beside that of a day default"


def test_what_was_set_at_the_start_is_not_the_readers_to_choose(
    client: TestClient, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRO_LLM_DAILY_BUDGET_USD", "0.30")
    monkeypatch.setenv("CEREBRO_LLM_MODEL", "house-model")
    app.settings = Settings(data=app.settings.data, timezone="UTC")
    client.post("/settings/model", data=MODEL)
    chosen = in_force(app)
    assert (chosen.model, chosen.daily, chosen.monthly) == ("house-model", 300_000, 2_000_000)
    page = parsed(client.get("/settings"))
    assert page.select_one("[name=daily]") is None
    assert page.select_one("[name=model]") is None
    said = words(page.select_one("#model"))
    assert "Model: house-model fixed where the program is started" in said
    assert "Dollars a day: 0.30 fixed" in said
    assert facts(client)["Language model"] == "house-model fixed by CEREBRO_LLM_MODEL"


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("model", "two words", "Use the id of a model"),
        ("model", "a\x00b", "Use the id of a model"),
        ("daily", "-1", "A day: use dollars"),
        ("daily", "much", "A day: use dollars"),
        ("daily", "1e400", "A day: use dollars"),
        ("daily", "0,5", "A day: use dollars"),
        ("monthly", "1000001", "A month: use dollars"),
        ("papers", "0", "Papers a day: use a whole number"),
        ("papers", "2.5", "Papers a day: use a whole number"),
        ("papers", "9" * 5_000, "Papers a day: use a whole number"),
    ],
)
def test_what_will_not_do_is_refused_and_stays_in_the_form(
    client: TestClient, app: App, field: str, value: str, sentence: str
) -> None:
    client.post("/settings/model", data=MODEL)
    before = in_force(app)
    answer = client.post("/settings/model", data=MODEL | {field: value, "second_look": ""})
    assert answer.status_code == 422
    page = parsed(answer)
    assert words(page.select_one("#llm-problem")).startswith(sentence)
    if "\x00" not in value:
        assert page.select_one(f"#llm-{field}")["value"] == value
    assert page.select_one(f"#llm-{field}").has_attr("aria-invalid")
    assert not page.select_one("[name=second_look]").has_attr("checked")
    assert in_force(app) == before


def test_the_screen_says_what_keeps_the_model_from_being_called(client: TestClient) -> None:
    assert "No model is set." in words(parsed(client.get("/settings")).select_one("#model p"))


def test_when_the_vault_is_committed_is_chosen_here(client: TestClient, app: App) -> None:
    def chosen() -> str:
        page = parsed(client.get("/settings"))
        return str(page.select_one("#git input[checked]")["value"])

    assert chosen() == "off"
    answer = client.post("/settings/git", data={"when": "daily"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings?saved=1#git")
    assert chosen() == "daily"
    with writing(app.engine) as session:
        session.add(
            VaultProblem(path=commits.PROBLEM, reason="A merge is under way.", at=app.clock())
        )
    assert "A merge is under way." in words(parsed(client.get("/settings")).select_one("#git"))
    assert client.post("/settings/git", data={"when": "--exec"}).status_code == 422
    assert chosen() == "daily"
    client.post("/settings/git", data={"when": "off"})
    assert "merge" not in words(parsed(client.get("/settings")).select_one("#git"))


def test_daily_backups_are_told_and_switched_off(client: TestClient) -> None:
    assert "There is none yet" in client.get("/settings").text
    assert "None was made yet" in client.get("/health").text
    assert client.post("/settings/backups", data={"when": "hourly"}).status_code == 422
    answer = client.post("/settings/backups", data={"when": "off"}, follow_redirects=False)
    assert answer.headers["location"] == "/settings?saved=1#backups"
    assert "Switched off." in client.get("/health").text
    told = client.get("/api/v1/health").json()["checks"]
    assert any("switched off" in each["says"] for each in told if each["check"] == "backups")
    client.post("/settings/backups", data={"when": "daily"})
    assert "Switched off." not in client.get("/health").text
