"""Costs: what was spent against the budgets, and prices that the reader enters."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlmodel import Session
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import CallState, ModelCall
from app.store import calls, prices
from app.store.db import reading, writing
from tests.web.conftest import NOW, Statements, parsed, words

MODEL = "claude-sonnet-5-5"


def call(**fields: Any) -> ModelCall:
    given: dict[str, Any] = {
        "at": NOW,
        "day": "2026-05-14",
        "purpose": "triage",
        "about": "2026-05-13",
        "model": MODEL,
        "prompt": "triage@1 3f2a9c01",
        "state": CallState.BOOKED,
        "input_tokens": 1_200,
        "output_tokens": 300,
        "cache_read_tokens": 40,
        "cache_write_tokens": 7,
        "reserved": 90_000,
        "cost": 12_345,
        "papers": 20,
        "outcome": "Answered.",
    }
    return ModelCall(**(given | fields))


def keep(app: App, *made: ModelCall) -> None:
    with writing(app.engine) as session:
        for each in made:
            calls.insert(session, each)


def rows(page: Any, label: str) -> list[list[str]]:
    return [
        [words(cell) for cell in row.select("td, th")]
        for row in page.select(f'[aria-label="{label}"] tbody tr')
    ]


def test_nothing_spent_says_why_nothing_is_called(client: TestClient) -> None:
    page = parsed(client.get("/costs"))
    assert words(page.select_one(".empty p")) == (
        "Nothing was spent. No model is set. Name one in Settings."
    )
    assert words(page.select_one("#nav-status")) == ""


def test_today_the_month_and_all_stand_against_their_budgets(client: TestClient, app: App) -> None:
    app.settings.llm_daily_budget_usd = Decimal("0.5")
    app.settings.llm_monthly_budget_usd = Decimal(10)
    keep(
        app,
        call(),
        call(day="2026-05-01", cost=2_000_000),
        call(day="2026-04-30", cost=30_000_000, model="claude-opus-5-5"),
        call(state=CallState.RELEASED, cost=0, outcome="The service is overloaded."),
    )
    page = parsed(client.get("/costs"))
    assert rows(page, "Against the budget") == [
        ["Today", "1", "$0.0123", "$0.50", "$0.4877"],
        ["This month", "2", "$2.01", "$10.00", "$7.99"],
        ["All", "3", "$32.01", "–", "–"],
    ]
    assert words(page.select_one(".lede")) == (
        "Today $0.0123 (budget $0.50); this month $2.01 (budget $10.00)."
    )
    assert words(page.select_one("#nav-status")) == "$0.0123 today, $2.01 this month"


def test_by_use_and_model_in_the_time_asked_for(client: TestClient, app: App) -> None:
    keep(
        app,
        call(),
        call(purpose="second look", papers=2),
        call(day="2026-04-30", model="claude-opus-5-5", cost=1_000_000),
    )
    month = parsed(client.get("/costs"))
    assert rows(month, "By use") == [
        ["second look", MODEL, "1", "2", "1,247", "300", "$0.0123"],
        ["triage", MODEL, "1", "20", "1,247", "300", "$0.0123"],
    ]
    assert rows(month, "By model") == [[MODEL, "2", "2,494", "600", "$0.0247"]]
    ever = parsed(client.get("/costs?period=all"))
    assert [row[1] for row in rows(ever, "By use")] == [MODEL, "claude-opus-5-5", MODEL]
    assert words(ever.select_one(".tabs [aria-current]")) == "All"
    assert parsed(client.get("/costs?period=never")).select_one(".tabs [aria-current]")


def test_an_unknown_cost_is_never_shown_as_nothing(client: TestClient, app: App) -> None:
    keep(app, call(cost=None, model="house-model", reserved=70_000))
    page = parsed(client.get("/costs"))
    assert rows(page, "Against the budget")[0][2] == "1 call of unknown cost, at most $0.07"
    assert rows(page, "By use")[0][-1] == "1 call of unknown cost, at most $0.07"
    assert rows(page, "Calls")[0][7] == "cost unknown, at most $0.07"
    assert words(page.select_one("#nav-status")) == "up to $0.07 today, up to $0.07 this month"
    assert "house-model not known" in " ".join(rows(page, "Prices")[0])


def test_an_unfinished_call_is_shown_with_what_is_set_aside(client: TestClient, app: App) -> None:
    keep(app, call(), call(state=CallState.RESERVED, cost=None, outcome="", reserved=90_000))
    page = parsed(client.get("/costs"))
    assert rows(page, "Against the budget")[0][1:3] == [
        "2",
        "$0.0123 and 1 unfinished, at most $0.09",
    ]
    assert rows(page, "Calls")[0][7] == "unfinished, at most $0.09"


def test_a_used_up_budget_is_said(client: TestClient, app: App) -> None:
    class Ready:
        ready = ""

    app.settings = app.settings.model_copy()
    app.settings.llm_model = MODEL
    app.settings.llm_daily_budget_usd = Decimal("0.01")
    app.model = Ready()  # type: ignore[assignment]
    with writing(app.engine) as session:
        _enter(session)
    keep(app, call())
    page = parsed(client.get("/costs"))
    assert words(page.select_one(".notice")) == (
        "Nothing is called now. The budget of a day, $0.01, is used up. "
        "Calls go on with the next day."
    )


def _enter(session: Session) -> None:
    from app.services.costs import save_price

    save_price(session, {"model": MODEL, "since": "2026-01-01", "input": "1", "output": "2"})


def test_calls_are_listed_newest_first_with_what_they_used(client: TestClient, app: App) -> None:
    keep(app, *(call(at=NOW - timedelta(minutes=60 - n), input_tokens=n) for n in range(60)))
    page = parsed(client.get("/costs"))
    found = rows(page, "Calls")
    assert [row[3] for row in found] == [str(n) for n in range(59, 9, -1)]
    assert found[0] == [
        "1 minute ago",
        "triage 13 May 2026",
        f"{MODEL} triage@1",
        "59",
        "40",
        "7",
        "300",
        "$0.0123",
        "Answered.",
    ]
    link = page.select_one('[aria-label="Calls"] tbody a')
    assert link["href"] == "/triage/2026-05-13"
    older = parsed(client.get(page.select_one("#calls .choices a")["href"]))
    assert [row[3] for row in rows(older, "Calls")] == [str(n) for n in range(9, -1, -1)]
    assert words(older.select_one("#calls h2")) == "Older calls"


def test_what_calls_say_is_text(client: TestClient, app: App) -> None:
    keep(app, call(outcome="<b>x</b>", about="<i>", model="<script>", purpose="<u>"))
    assert "<b>x" not in (said := client.get("/costs").text)
    assert "<script>&" not in said
    assert "&lt;script&gt;" in said


def test_the_screen_asks_as_often_whatever_was_called(
    client: TestClient, app: App, statements: Statements
) -> None:
    client.get("/costs")
    keep(app, call())
    statements.seen.clear()
    client.get("/costs")
    few = len(statements)
    keep(app, *(call(model=f"m{n}", purpose=f"p{n}", day=f"2026-05-{n + 1:02}") for n in range(12)))
    statements.seen.clear()
    client.get("/costs")
    assert len(statements) == few
    statements.seen.clear()
    client.get("/costs")
    assert len(statements) < few  # sums are kept until something is called again


# ---------------------------------------------------------------- prices

GIVEN = {
    "model": "house-model",
    "since": "2026-05-01",
    "input": "1.50",
    "output": "$6",
    "cache_read": "",
    "cache_write": "",
    "batch_percent": "40",
}


def test_a_price_is_entered_replaced_and_removed(client: TestClient, app: App) -> None:
    answer = client.post("/costs/prices", data=GIVEN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/costs#prices")
    [row] = rows(parsed(client.get("/costs")), "Prices")
    assert row[:7] == ["house-model", "1 May 2026", "1.50", "6.00", "1.50", "1.875", "40%"]
    client.post("/costs/prices", data=GIVEN | {"input": "3", "cache_read": "0.1"})
    [row] = rows(parsed(client.get("/costs")), "Prices")
    assert row[2:6] == ["3.00", "6.00", "0.10", "3.75"]
    gone = {"model": "house-model", "since": "2026-05-01"}
    assert client.post("/costs/prices/remove", data=gone).status_code == 303
    assert rows(parsed(client.get("/costs")), "Prices") == []
    assert client.post("/costs/prices/remove", data=gone).status_code == 404


def test_a_price_of_the_readers_own_goes_before_one_that_was_shipped(
    client: TestClient, app: App
) -> None:
    app.settings.now = NOW.replace(month=11)
    keep(app, call(day="2026-11-14"))
    [row] = rows(parsed(client.get("/costs")), "Prices")
    assert row[1:3] == ["7 October 2026", "2.00"]
    assert row[-1].startswith("shipped, as of 28 November 2026")
    client.post("/costs/prices", data=GIVEN | {"model": MODEL, "since": "2026-10-07"})
    [row] = rows(parsed(client.get("/costs")), "Prices")
    assert row[1:3] == ["7 October 2026", "1.50"]
    assert row[-1] == "yours Remove"
    client.post("/costs/prices", data=GIVEN | {"model": MODEL, "since": "2027-01-01"})
    later = rows(parsed(client.get("/costs")), "Prices")[1]
    assert later[1] == "1 January 2027, not yet"


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("model", "", "Name a model."),
        ("model", "two words", "Use the id of a model"),
        ("model", "x" * 101, "Use the id of a model"),
        ("since", "yesterday", "Use a day such as"),
        ("since", "", "Use a day such as"),
        ("input", "-1", "Input: use dollars for a million tokens"),
        ("input", "", "Input: use dollars"),
        ("output", "much", "Output: use dollars"),
        ("output", "10000.01", "Output: use dollars"),
        ("cache_read", "nan", "Cache read: use dollars"),
        ("cache_write", "1e9", "Cache write: use dollars"),
        ("batch_percent", "101", "Batch: use a whole percentage"),
        ("batch_percent", "-5", "Batch: use a whole percentage"),
        ("batch_percent", "²", "Batch: use a whole percentage"),
    ],
)
def test_a_price_that_will_not_do_is_refused_and_kept_in_the_form(
    client: TestClient, app: App, field: str, value: str, sentence: str
) -> None:
    answer = client.post("/costs/prices", data=GIVEN | {field: value})
    assert answer.status_code == 422
    page = parsed(answer)
    assert words(page.select_one("#price-problem")).startswith(sentence)
    for name, typed in (GIVEN | {field: value}).items():
        box = page.select_one(f"#price-{name}")
        assert box["value"] == typed
        assert box.has_attr("aria-invalid") == (name == field)
    with reading(app.engine) as session:
        assert prices.own(session) == ()


def test_several_wrong_fields_each_have_a_sentence(client: TestClient) -> None:
    answer = client.post("/costs/prices", data={})
    assert answer.status_code == 422
    said = words(parsed(answer).select_one("#price-problem"))
    assert said.startswith("Name a model. Use a day such as 2026-11-28. Input: use")


# ---------------------------------------------------------------- for programs


def test_programs_get_the_same(client: TestClient, app: App) -> None:
    app.settings.llm_daily_budget_usd = Decimal("0.5")
    keep(app, call(), call(cost=None, model="house-model", reserved=70_000))
    told = client.get("/api/v1/costs").json()
    assert told["day"] == "2026-05-14"
    assert told["budget"] == {"day": 0.5, "month": None}
    assert told["today"] == {
        "cost": 0.012345,
        "calls": 2,
        "cost_unknown": 1,
        "unfinished": 0,
        "held": 0.07,
    }
    assert [(use["purpose"], use["model"]) for use in told["month_by_use"]] == [
        ("triage", MODEL),
        ("triage", "house-model"),
    ]
    assert told["month_by_use"][0]["tokens"] == {
        "input": 1_200,
        "output": 300,
        "cache_read": 40,
        "cache_write": 7,
        "cache_write_1h": 0,
    }
    assert {"model": "house-model", "known": False} in told["prices"]
