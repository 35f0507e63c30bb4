"""A month on a screen: told when it is over, worked out while it runs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from starlette.testclient import TestClient

from app import pipeline
from app.bootstrap import App
from app.services.ingest import Report
from tests.web.conftest import Statements, listed, load, marks, member, parsed, words


def fill(app: App) -> Report:
    """April and May: listings on a few days, kept papers, a thread, and a page of a paper."""
    rows = [
        {"type": "topic", "id": "tides", "name": "Tides", "keep": "tides"},
        {"type": "thread", "id": "slack", "title": "Slack water", "claim": "It is short."},
    ]
    for number, day in enumerate(("2026-04-30", "2026-05-04", "2026-05-04", "2026-05-12"), 1):
        rows += [
            listed(number, day=day),
            marks(number, 5 + number, 3, day=day, primary_topic="tides"),
        ]
        if number != 3:
            rows += [
                {"type": "decision", "paper": f"arxiv:2605.{number:05}", "verdict": "keep"},
                member(number, "slack", day=day, note=f"note {number}"),
            ]
    return load(app, rows)


def test_the_month_that_runs_is_worked_out_and_not_kept(app: App, client: TestClient) -> None:
    fill(app)
    page = parsed(client.get("/digest/2026-05"))
    assert words(page.h1) == "May 2026"
    told = words(page.select_one(".prose"))
    assert told.startswith("Up to 14 May, 3 papers were listed on 2 days and 2 were kept.")
    assert "Slack water : 2 papers joined, 3 in all." in told
    assert page.select_one('.prose a[href="/w/slack"]') is not None
    assert page.select_one('.prose a[href="/triage/2026-05-04"]') is not None
    assert "The month is not over" in words(page.main)
    assert page.select_one('aside a[href="/triage/2026-05"]') is not None
    assert page.select_one('a[rel="prev"]')["href"] == "/digest/2026-04"
    assert page.select_one('a[rel="next"]') is None
    assert client.get("/w/digest-2026-05").status_code == 404


def test_a_month_that_is_over_is_a_page(app: App, client: TestClient) -> None:
    fill(app)
    app.settings.now = datetime(2026, 6, 2, 9, tzinfo=UTC)
    for month in ("2026-04", "2026-05"):
        pipeline.digest_now(app, month=month)
    sent_on = client.get("/w/digest-2026-05")
    assert (sent_on.status_code, sent_on.headers["location"]) == (303, "/digest/2026-05")
    page = parsed(client.get("/digest/2026-05"))
    assert words(page.select_one(".prose")).startswith("3 papers were listed on 2 days")
    assert "not over" not in words(page.main)
    links = [a["href"] for a in page.select("aside a")]
    assert "/w/digest-2026-05/edit" in links and "/digest/2026-05.html" in links
    assert (
        parsed(client.get("/digest/2026-04")).select_one('a[rel="next"]')["href"]
        == "/digest/2026-05"
    )
    # Today tells of days alone.
    assert client.get("/today/2026-05").status_code == 404
    assert words(parsed(client.get("/")).h1) != "May 2026"
    assert "/digest/2026-05" in client.get("/triage/2026-05").text


def test_programs_get_a_month_as_the_command_prints_it(app: App, client: TestClient) -> None:
    fill(app)
    told = client.get("/api/v1/digest/2026-05").json()
    assert told["text"].startswith("Up to 14 May") and told["title"] == "Digest of May 2026"
    assert told["day"] == "2026-05" and told["sections"][0]["name"] == "framing"
    app.settings.now = datetime(2026, 6, 2, 9, tzinfo=UTC)
    document = pipeline.digest_now(app, month="2026-05").document.as_json()
    told = client.get("/api/v1/digest/2026-05").json()
    assert {name: told[name] for name in document} == document and told["teller"] == "local"
    assert client.get("/api/v1/digest/2026-01").status_code == 404


def test_months_begin_at_the_newest(app: App, client: TestClient) -> None:
    assert client.get("/digest").headers["location"] == "/"  # nothing ever came in
    load(app, [listed(1, day="2026-03-04")])
    assert client.get("/digest").headers["location"] == "/digest/2026-03"


@pytest.mark.parametrize("month", ["2026-13", "2026-5", "may", "2026-05-44", "0000-01"])
def test_what_is_no_month_is_said(client: TestClient, month: str) -> None:
    answer = client.get(f"/digest/{month}")
    assert answer.status_code == 404 and "/digest/2026-05" in answer.text


def test_a_month_in_which_nothing_came_in_names_the_nearest(app: App, client: TestClient) -> None:
    fill(app)
    answer = client.get("/digest/2026-02")
    assert answer.status_code == 404
    assert (
        "Nothing came in during February 2026." in answer.text and "/digest/2026-04" in answer.text
    )


def test_a_month_takes_as_many_statements_whatever_it_holds(
    app: App, client: TestClient, statements: Statements
) -> None:
    fill(app)
    statements.seen.clear()
    client.get("/digest/2026-05")
    few = len(statements)
    load(
        app,
        [
            row
            for number in range(10, 40)
            for row in (
                listed(number, day=f"2026-05-{number % 13 + 1:02}"),
                {"type": "thread", "id": f"t{number}", "title": f"Thread {number}", "claim": "c"},
                {"type": "decision", "paper": f"arxiv:2605.{number:05}", "verdict": "keep"},
                member(number, f"t{number}", day="2026-05-04"),
            )
        ],
        name="more.jsonl",
    )
    statements.seen.clear()
    page = parsed(client.get("/digest/2026-05"))
    assert "and 19 more" in words(page.select_one(".prose"))
    assert len(statements) <= few + 2, statements.seen  # no more than what was not known at first


def test_nothing_in_a_title_becomes_markup(app: App, client: TestClient) -> None:
    title = "[x](javascript:1) | ]] {{count thread:slack}} <b>*bold*</b> # ![i](x.png)"
    load(
        app,
        [
            {"type": "thread", "id": "evil", "title": title, "claim": "c"},
            listed(1, day="2026-05-04", title=title),
            {"type": "decision", "paper": "arxiv:2605.00001", "verdict": "keep"},
            member(1, "evil", day="2026-05-04", note=title),
            listed(2, day="2026-05-05", title=title),
            marks(2, 9, 9, day="2026-05-05"),
        ],
    )
    prose = parsed(client.get("/digest/2026-05")).select_one(".prose")
    assert not prose.find_all(["img", "b", "script", "em", "strong"])
    assert all(a["href"].startswith(("/", "https://arxiv.org/")) for a in prose.find_all("a"))
    assert not [a for a in prose.find_all("a") if "live" in (a.get("class") or [])]
    assert "{{count thread:slack}}" in prose.get_text()


def test_a_day_leads_to_that_day(client: TestClient) -> None:
    response = client.get("/digest/2026-05-08", follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, "/today/2026-05-08")
    assert client.get("/digest/2026-05-41").status_code == 404
