"""The linker's record and rules on screen, by address and by command of programs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import LinkStatus, PageKind, Relation, Verdict
from app.services import review
from app.settings import Settings
from app.store import links, preferences
from app.store.db import generation, reading, writing
from app.web.app import create
from tests.factories import make_link, make_page
from tests.web.conftest import NOW, Statements, parsed, words


def wiki(app: App, decided: int = 0, waiting: int = 0) -> list[int]:
    """Proposals about two concepts; every third of the decided ones is rejected. Ids of the waiting."""
    with writing(app.engine) as session:
        targets = [make_page(session, title) for title in ("Tides", "The moon & stars")]
        found = []
        for n in range(decided + waiting):
            link = make_link(
                session,
                make_page(session, f"Paper <b>{n}</b>", PageKind.PAPER),
                targets[n % 2],
                Relation.ABOUT,
                status=LinkStatus.PROPOSED,
                confidence=0.99 - 0.02 * (n % 40),
                signals=(("name", "papers")[n % 2],),
            )
            if n < decided:
                verdict = Verdict.REJECT if n % 3 == 2 else Verdict.ACCEPT
                at = NOW - timedelta(weeks=n % 5)
                review.decide(session, link, verdict, now=at)
            else:
                found.append(link)
    return found


def rows_behind(client: TestClient, address: str) -> int:
    page = parsed(client.get(address))
    return len(page.select("#decided > li[id^=d]"))


def test_with_nothing_decided_it_says_what_will_be_here(client: TestClient) -> None:
    page = parsed(client.get("/review/record"))
    assert "You have not decided anything that the linker proposed" in words(page.main)
    assert words(page.select_one(".tabs [aria-current]")) == "Record"
    assert page.select_one("svg") is None
    assert page.select_one("#what-if"), "what another threshold means for what waits can be asked"


def test_few_decisions_are_said_to_be_too_few(app: App, client: TestClient) -> None:
    wiki(app, 19)
    page = parsed(client.get("/review/record"))
    assert "19 decisions are too few to judge" in words(page.main)
    assert page.title.get_text() == "The linker's record · cere-bro"


def test_enough_decisions_are_judged(app: App, client: TestClient) -> None:
    wiki(app, 20)
    assert "too few" not in words(parsed(client.get("/review/record")).main)


def test_every_number_leads_to_its_rows(app: App, client: TestClient) -> None:
    wiki(app, 24)
    page = parsed(client.get("/review/record"))
    lede = page.select_one(".lede")
    accepted, whole = lede.select("a")
    assert (words(accepted), words(whole)) == ("16", "24 proposals")
    assert rows_behind(client, whole["href"]) == 24
    assert rows_behind(client, accepted["href"]) == 16
    seen = 0
    for line in page.select("table.rows tbody tr"):
        decided, share = line.select("td")[:2]
        if decided.a is None:
            assert words(decided) == "0"
            continue
        count = int(words(decided))
        assert rows_behind(client, decided.a["href"]) == count, words(line)
        assert round(100 * rows_behind(client, share.a["href"]) / count) == int(words(share)[:-1])
        seen += 1
    assert seen > 12


def test_the_picture_says_what_the_table_beside_it_holds(app: App, client: TestClient) -> None:
    wiki(app, 24)
    page = parsed(client.get("/review/record"))
    plot, bars = page.select("svg[role=img]")
    [table] = [each for each in page.select("table.rows") if "mean" in words(each.thead)]
    assert len(plot.select("circle")) == len(table.select("tbody tr"))
    assert "Share accepted against confidence" in plot["aria-label"]
    assert "table that follows" in bars["aria-label"]
    assert page.select("[style]") == []


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("from=x", "is no confidence"),
        ("to=1.5", "is no confidence"),
        ("week=2026-W60", "is no week"),
        ("week=9999-W52", "is no week"),
        ("concept=nowhere", "There is no page"),
        ("agreed=perhaps", "yes or no"),
    ],
)
def test_a_filter_that_is_none_is_named(
    app: App, client: TestClient, address: str, says: str
) -> None:
    answer = client.get(f"/review?tab=decided&{address}")
    assert answer.status_code == 422
    assert says in words(parsed(answer).main)


def test_filters_are_said_and_kept_for_the_next_rows(
    app: App, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.routes.review.DECIDED", 5)
    wiki(app, 24)
    address: str | None = "/review?tab=decided&who=person&concept=tides&signal=name"
    seen: list[str] = []
    while address:
        page = parsed(client.get(address))
        assert "Tides" in words(page.select_one(".sorted"))
        seen += [each["id"] for each in page.select("#decided > li[id^=d]")]
        more = page.select_one("li.more a")
        address = more["href"] if more else None
    assert len(seen) == len(set(seen)) == 12


def test_another_threshold_without_a_script(app: App, client: TestClient) -> None:
    wiki(app, 24, 6)
    page = parsed(client.get("/review/record?threshold=80%25&concept=tides"))
    said = words(page.select_one("#threshold .notice"))
    assert "From 0.8 on in Tides" in said
    assert "would have been missed" in said
    for link in page.select("#threshold .notice li a"):
        count = words(link).removesuffix("%").split()[0]
        assert rows_behind(client, link["href"]) > 0 or count == "0"
    assert page.select_one("#threshold .notice form") is None, "a floor is of all concepts"
    assert "concept=tides" in page.select_one("#threshold .notice a[href^='/rules']")["href"]


@pytest.mark.parametrize(
    ("query", "says"),
    [("threshold=2", "is no confidence"), ("concept=nowhere", "is no concept")],
)
def test_a_threshold_that_does_not_do_says_so_beside_the_field(
    client: TestClient, query: str, says: str
) -> None:
    page = parsed(client.get(f"/review/record?{query}"))
    assert says in words(page.select_one("#what-if-problem"))
    assert page.select_one("#what-if[aria-invalid]")


def test_the_floor_is_moved_and_given_back(app: App, client: TestClient) -> None:
    wiki(app, 0, 3)
    with reading(app.engine) as session:
        before, own = generation(session, "concepts"), app.weights_in_force(session).floor
    page = parsed(client.get("/review/record?threshold=0.77"))
    form = page.select_one("#threshold .notice form")
    assert words(form.button) == "Propose from 0.77 on"
    answer = client.post(form["action"], data={"threshold": form.input["value"]})
    assert answer.status_code == 303
    assert "Saved" in words(parsed(client.get(answer.headers["location"])).main)
    with reading(app.engine) as session:
        assert app.weights_in_force(session).floor == 0.77
        assert generation(session, "concepts") > before, "papers are looked at anew"
    assert "from a confidence of 0.77 on" in client.get("/settings").text
    back = [
        each
        for each in parsed(client.get("/review/record")).select("form")
        if "floor" in each["action"]
    ]
    client.post(back[-1]["action"], data={"threshold": ""})
    with reading(app.engine) as session:
        assert app.weights_in_force(session).floor == own


def test_a_floor_that_is_none_changes_nothing(app: App, client: TestClient) -> None:
    answer = client.post("/review/record/floor", data={"threshold": "many"})
    assert answer.status_code == 422
    with reading(app.engine) as session:
        assert preferences.floor(session) is None


def test_a_set_variable_wins(app: App) -> None:
    app.settings = Settings(**{**app.settings.model_dump(), "linker_floor": 0.66})
    with writing(app.engine) as session:
        preferences.set_floor(session, 0.1)
    with TestClient(
        create(app), base_url="http://127.0.0.1:8000", follow_redirects=False
    ) as client:
        page = parsed(client.get("/review/record?threshold=0.9"))
        assert "0.66 on, fixed by CEREBRO_LINKER_FLOOR" in words(page.main)
        assert page.select("form[action='/review/record/floor']") == []
        assert client.post("/review/record/floor", data={"threshold": "0.9"}).status_code == 409
    with reading(app.engine) as session:
        assert app.weights_in_force(session).floor == 0.66


def test_the_record_is_not_sent_twice_and_never_stale(app: App, client: TestClient) -> None:
    [link] = wiki(app, 21, 1)
    first = client.get("/review/record")
    known = {"If-None-Match": first.headers["etag"]}
    assert client.get("/review/record", headers=known).status_code == 304
    client.post(f"/review/{link}", data={"decision": "accept"})
    again = client.get("/review/record", headers=known)
    assert again.status_code == 200
    assert "22 proposals" in words(parsed(again).select_one(".lede"))


def test_the_record_costs_as_many_statements_for_many_as_for_few(
    app: App, client: TestClient, statements: Statements
) -> None:
    def cost() -> int:
        statements.seen.clear()
        assert client.get("/review/record?threshold=0.5").status_code == 200
        return len(statements)

    def decide(count: int) -> None:
        with writing(app.engine) as session:
            for n in range(count):
                link = make_link(
                    session,
                    make_page(session, f"More {count} {n}", PageKind.PAPER),
                    make_page(session, f"Concept {count} {n}"),
                    Relation.ABOUT,
                    status=LinkStatus.PROPOSED,
                    confidence=n / count,
                    signals=(f"signal {n}",),
                )
                review.decide(session, link, Verdict.ACCEPT, now=NOW)

    wiki(app, 2, 1)
    cost()  # what stands beside every screen is known from here on
    decide(1)
    few = cost()
    decide(40)
    assert cost() == few


# ---------------------------------------------------------------- rules


def test_a_rule_is_shown_before_it_is_switched_on(app: App, client: TestClient) -> None:
    waiting = wiki(app, 0, 8)
    page = parsed(client.get("/rules"))
    assert "The first rule" in words(page.main)
    page = parsed(client.get("/rules?concept=Tides&least=0.9"))
    notice = page.select_one("#new .notice")
    assert "It would accept 3 waiting links now" in words(notice)
    assert "nobody knows how often it would be wrong" in words(notice)
    assert len(notice.select("li")) == 3
    with reading(app.engine) as session:
        assert {links.get(session, each).status for each in waiting} == {LinkStatus.PROPOSED}
    form = notice.form
    fields = {each["name"]: each["value"] for each in form.select("input")}
    made = client.post(form["action"], data=fields)
    assert made.status_code == 303
    audit = parsed(client.get(made.headers["location"]))
    assert "3 accepted" in words(audit.main)
    assert len(audit.select("#decided > li[id^=d]")) == 3
    for _ in range(2):  # counted, and remembered
        assert "Rule 1" in words(parsed(client.get("/rules")).main)


def test_what_a_rule_accepted_is_signed_and_undone_one_by_one(app: App, client: TestClient) -> None:
    wiki(app, 0, 8)
    client.post("/rules", data={"concept": "tides", "least": "0.9"})
    page = parsed(client.get("/review?tab=decided"))
    line = page.select_one("#decided > li")
    assert line.select_one("a[href='/rules/1']")
    audited = parsed(client.get("/rules/1")).select_one("#decided > li")
    assert audited["id"] == line["id"]
    fields = {each["name"]: each["value"] for each in audited.select("input")}
    undone = client.post(audited.form["action"], data=fields)
    assert (undone.status_code, undone.headers["location"]) == (303, "/rules/1")
    said = words(parsed(client.get("/rules/1")).main)
    assert "1 undone since" in said
    assert "2 standing" in said
    record = words(parsed(client.get("/review/record")).main)
    assert "You have not decided anything" in record, "a rule does not flatter the record"


def test_all_of_a_rule_is_undone_after_a_question(app: App, client: TestClient) -> None:
    waiting = wiki(app, 0, 8)
    client.post("/rules", data={"concept": "", "least": "0.9"})
    ask = parsed(client.get("/rules/1?confirm=undo"))
    assert "Take back 5 links" in words(ask.main)
    done = client.post(ask.select_one("section.notice form")["action"])
    assert done.status_code == 303
    told = words(parsed(client.get(done.headers["location"])).main)
    assert "5 links taken back" in told
    assert "The rule has ended" in told
    with reading(app.engine) as session:
        assert {links.get(session, each).status for each in waiting} == {LinkStatus.PROPOSED}


def test_a_rule_is_ended_after_a_question(app: App, client: TestClient) -> None:
    wiki(app, 0, 2)
    client.post("/rules", data={"concept": "", "least": "0.9"})
    ask = parsed(client.get("/rules/1?confirm=end"))
    assert client.post(ask.select_one("section.notice form")["action"]).status_code == 303
    assert "ended" in words(parsed(client.get("/rules")).main)
    assert client.post("/rules/1/end").status_code == 409


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"concept": "", "least": "0.2"}, 422, "no confidence for a rule"),
        ({"concept": "nowhere", "least": "0.9"}, 422, "does not exist"),
        ({}, 422, "no confidence for a rule"),
    ],
)
def test_a_rule_that_does_not_do_says_so(
    app: App, client: TestClient, fields: dict[str, str], status: int, says: str
) -> None:
    wiki(app)
    posted = client.post("/rules", data=fields)
    assert posted.status_code == status
    assert says in words(parsed(posted).main)
    if fields:
        shown = parsed(client.get("/rules", params=fields))
        assert says in words(shown.select_one("#rule-problem"))
        assert shown.select_one("#new [aria-invalid]")


@pytest.mark.parametrize("path", ["/rules/7", "/rules/0", "/rules/99999999999999"])
def test_a_rule_that_is_none_is_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
    assert client.post(f"{path}/end").status_code == 404


def test_a_concept_offers_a_rule_of_its_own(app: App, client: TestClient) -> None:
    wiki(app, 0, 1)
    link = parsed(client.get("/w/tides")).select_one("a[href^='/rules?']")
    form = parsed(client.get(link["href"].partition("#")[0]))
    assert form.select_one("#concept")["value"] == "tides"


# ---------------------------------------------------------------- for programs


def test_programs_get_the_numbers_of_the_screen(app: App, client: TestClient) -> None:
    empty = client.get("/api/v1/record").json()
    assert (empty["decided"], empty["share"]) == (0, None)
    wiki(app, 24)
    got: dict[str, Any] = client.get("/api/v1/record").json()
    assert (got["decided"], got["accepted"], got["concepts"]) == (24, 16, 2)
    assert sum(each["decided"] for each in got["by_confidence"]) == 24
    assert {each["signal"] for each in got["by_signal"]} == {"name", "papers"}
    assert {each["concept"] for each in got["by_concept"]} == {"tides", "the-moon-and-stars"}
    assert len(got["by_week"]) == 5
    assert got["apart"] == {"by_rule": 0, "imported": 0}


def test_programs_make_end_and_undo_rules(app: App, client: TestClient) -> None:
    wiki(app, 0, 8)
    seen = client.post("/api/v1/rules", json={"least": 0.9, "preview": True}).json()
    assert (seen["waiting"], len(seen["first"])) == (5, 5)
    assert client.get("/api/v1/rules").json() == []
    made = client.post("/api/v1/rules", json={"concept": "tides", "least": 0.9})
    assert made.status_code == 201
    assert (made.json()["accepted"], made.json()["in_force"]) == (3, True)
    again = client.post("/api/v1/rules", json={"concept": "tides", "least": 0.9})
    assert again.status_code == 409
    assert client.post("/api/v1/rules", json={"least": 7}).status_code == 422
    assert client.post("/api/v1/rules/1/end").json()["in_force"] is False
    assert client.post("/api/v1/rules/1/undo").json() == {"rule": 1, "undone": 3, "stay": []}
    assert client.get("/api/v1/rules").json()[0]["standing"] == 0
    assert client.post("/api/v1/rules/9/undo").status_code == 404
