"""The review queue in the browser: one by one, in bulk, changed, put back."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import Link, LinkStatus, Origin
from app.store import links
from app.store.db import reading, writing
from tests.web.conftest import PARTIAL, Statements, listed, load, member, parsed, proposals, words

Row = dict[str, Any]


def queue(app: App, count: int = 3, *, start: int = 1) -> None:
    """Papers that wait to be linked to one concept; the surest has confidence 0.99."""
    rows: list[Row] = [
        {"type": "concept", "id": "tides", "title": "Tides"},
        {"type": "concept", "id": "moon", "title": "The moon"},
        {"type": "thread", "id": "pull", "title": "Pull", "claim": "The moon pulls."},
    ]
    for number in range(start, start + count):
        rows += [
            {
                "type": "paper",
                "id": f"arxiv:2605.{number:05}",
                "title": f"Paper <b>{number}</b>",
                "abstract": "Tides.",
            },
            {
                "type": "link",
                "source": f"arxiv:2605.{number:05}",
                "relation": "about",
                "target": "tides",
                "status": "proposed",
                "confidence": max(0.1, round(1 - number / 100, 2)),
                "reason": "Its name is in the title",
                "evidence": [{"quote": "We measure <i>tides</i>."}],
            },
        ]
    load(app, rows)


def numbers(client: TestClient, path: str = "/review") -> list[str]:
    """The ids of the proposals on a screen, in order."""
    return [str(row["id"])[1:] for row in parsed(client.get(path)).select("#queue > li[id^=s]")]


def status(app: App, number: str) -> LinkStatus:
    with reading(app.engine) as session:
        return links.get(session, int(number)).status


def test_an_empty_queue_says_so(app: App, client: TestClient) -> None:
    for tab in ("", "?tab=concepts", "?tab=tension", "?tab=decided", "?tab=nonsense"):
        assert "Nothing" in words(parsed(client.get(f"/review{tab}")).main)


def test_a_proposal_shows_both_sides_the_relation_the_reason_and_the_words(
    app: App, client: TestClient
) -> None:
    queue(app, 1)
    page = parsed(client.get("/review"))
    [row] = page.select("#queue > li[id^=s]")
    text = words(row)
    for part in ("is about", "Tides", "0.99", "Its name is in the title", "We measure <i>tides"):
        assert part in text
    assert row.i is None, "a quotation is text, not HTML"
    assert row.select_one('a[href="/w/tides"]')


def test_the_surest_come_first_and_other_orders_are_offered(app: App, client: TestClient) -> None:
    queue(app, 3)
    best = numbers(client)
    assert numbers(client, "/review?sort=newest") == best[::-1]
    assert len(numbers(client, "/review?sort=page")) == 3
    assert numbers(client, "/review?sort=nonsense") == best


def test_a_long_queue_comes_in_parts_that_miss_and_repeat_nothing(
    app: App, client: TestClient
) -> None:
    queue(app, 60)
    first = numbers(client)
    assert len(first) == 50
    more = client.get("/review?page=2", headers=PARTIAL)
    rest = [str(row["id"])[1:] for row in parsed(more).select("li[id^=s]")]
    assert len(rest) == 10
    assert len({*first, *rest}) == 60
    assert parsed(more).find("html") is None


def test_the_queue_needs_as_many_statements_for_many_as_for_few(
    app: App, client: TestClient, statements: Statements
) -> None:
    def asked() -> tuple[int, int]:
        """Right after a change, and again."""
        client.get("/more")  # counts what the navigation shows, jobs the first time alone
        numbers = []
        for _ in range(2):
            statements.seen.clear()
            client.get("/review")
            numbers.append(len(statements))
        return numbers[0], numbers[1]

    queue(app, 5)
    few = asked()
    queue(app, 40, start=6)
    assert all(many <= fewer for many, fewer in zip(asked(), few, strict=True))
    assert few[1] <= 4, "counts over the whole wiki are kept until it changes"


def test_the_queue_can_be_narrowed_to_a_thread(app: App, client: TestClient) -> None:
    queue(app, 3)
    load(app, [member(2, "pull", day="2026-05-14")])
    assert len(numbers(client, "/review?thread=pull")) == 1
    assert numbers(client, "/review?thread=nowhere") == []


# ---------------------------------------------------------------- deciding


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        ("accept", LinkStatus.ACCEPTED),
        ("reject", LinkStatus.REJECTED),
        ("defer", LinkStatus.DEFERRED),
    ],
)
def test_a_button_decides_and_leads_back(
    app: App, client: TestClient, decision: str, expected: LinkStatus
) -> None:
    queue(app, 2)
    first, second = numbers(client)
    response = client.post(f"/review/{first}", data={"decision": decision, "reason": "so"})
    assert (response.status_code, response.headers["location"]) == (303, "/review")
    assert status(app, first) is expected
    assert numbers(client) == [second]
    again = client.post(f"/review/{first}", data={"decision": "accept"})
    if expected is not LinkStatus.DEFERRED:
        assert again.status_code == 409
        assert status(app, first) is expected


def test_a_key_decides_and_the_answer_offers_to_undo(app: App, client: TestClient) -> None:
    queue(app, 1)
    [number] = numbers(client)
    answer = client.post(f"/review/{number}", data={"decision": "accept"}, headers=PARTIAL)
    assert answer.status_code == 200
    assert "Accepted: " in answer.text
    undo = parsed(answer).select_one("form[action^='/decisions/']")
    assert undo is not None
    back = client.post(str(undo["action"]), headers=PARTIAL)
    assert parsed(back).select_one(f"li#s{number}")
    assert status(app, number) is LinkStatus.PROPOSED
    assert numbers(client) == [number]


def test_another_relation_is_chosen_without_javascript(app: App, client: TestClient) -> None:
    queue(app, 1)
    [number] = numbers(client)
    page = parsed(client.get(f"/review?changing={number}"))
    chosen = page.select_one("select[name=relation] option[selected]")
    assert chosen is not None
    assert chosen["value"] == "about"
    given = {"decision": "accept", "relation": "extends", "target": "The moon"}
    assert client.post(f"/review/{number}", data=given).status_code == 303
    assert status(app, number) is LinkStatus.REJECTED
    moon = client.get("/w/moon.json").json()
    assert moon["backlinks"][0]["relation"] == "extends"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"decision": ""},
        {"decision": "keep"},
        {"decision": "accept", "relation": "likes"},
        {"decision": "accept", "target": "Nobody at all"},
        {"decision": "accept", "target": "arxiv:2605.00001"},
    ],
)
def test_a_decision_that_is_none_changes_nothing(
    app: App, client: TestClient, given: dict[str, str]
) -> None:
    queue(app, 1)
    [number] = numbers(client)
    for headers in ({}, PARTIAL):
        response = client.post(f"/review/{number}", data=given, headers=headers)
        assert response.status_code in (404, 422)
    assert proposals(app) == 1


def test_a_suggestion_decided_on_its_page_leads_back_to_the_page(
    app: App, client: TestClient
) -> None:
    queue(app, 2)
    first, second = numbers(client)
    given = {"decision": "accept", "next": "/w/tides"}
    assert client.post(f"/review/{first}", data=given).headers["location"] == "/w/tides"
    for elsewhere in ("https://evil.example/", "//evil.example", "/\\evil.example", "/w//x", "x"):
        given = {"decision": "defer", "next": elsewhere}
        answer = client.post(f"/review/{second}", data=given)
        assert answer.headers["location"] == "/review", elsewhere


# ---------------------------------------------------------------- in bulk


def test_all_above_a_confidence_are_accepted_after_a_look_and_undone_as_one(
    app: App, client: TestClient
) -> None:
    queue(app, 12)
    assert parsed(client.get("/review")).select_one('a[href="/review?sure=1"]')
    asked = parsed(client.get("/review?sure=1"))
    assert proposals(app) == 12, "to ask changes nothing"
    form = asked.select_one('form.choices[action="/review/bulk"]')
    assert form is not None
    ids = [str(field["value"]) for field in form.select("[name=id]")]
    assert len(ids) == 10
    done = client.post("/review/bulk", data={"id": ids, "decision": "accept"}, headers=PARTIAL)
    assert "Accepted: 10 links" in done.text
    assert proposals(app) == 2
    decided = parsed(client.get("/review?tab=decided"))
    undo = decided.select_one("form[action^='/decisions/']")
    assert undo is not None
    assert "Undo all 10" in words(undo)
    client.post(str(undo["action"]))
    assert proposals(app) == 12
    assert len(parsed(client.get("/review?tab=decided")).select("#decided > li")) == 10


def test_a_bulk_decision_leaves_alone_what_was_decided_meanwhile(
    app: App, client: TestClient
) -> None:
    queue(app, 3)
    ids = numbers(client)
    client.post(f"/review/{ids[1]}", data={"decision": "reject"})
    given = {"id": [*ids, "999", "x", "-4", "9" * 30], "decision": "accept"}
    answer = client.post("/review/bulk", data=given, headers=PARTIAL)
    assert "Accepted: 2 links; 3 were decided elsewhere" in answer.text
    assert status(app, ids[1]) is LinkStatus.REJECTED


@pytest.mark.parametrize(
    "given", [{}, {"decision": "accept"}, {"id": ["x"], "decision": "accept"}, {"id": ["1"]}]
)
def test_a_bulk_decision_on_nothing_is_refused(
    app: App, client: TestClient, given: dict[str, Any]
) -> None:
    queue(app, 1)
    assert client.post("/review/bulk", data=given).status_code == 422
    assert proposals(app) == 1


# ---------------------------------------------------------------- afterwards


def test_what_was_decided_is_listed_with_its_reason_and_taken_back_once(
    app: App, client: TestClient
) -> None:
    queue(app, 1)
    load(app, [listed(50)])
    [number] = numbers(client)
    client.post(f"/review/{number}", data={"decision": "reject", "reason": "Too <b>thin</b>"})
    paper = parsed(client.get("/inbox")).select_one("form[action^='/inbox/']")
    assert paper is not None
    client.post(str(paper["action"]), data={"decision": "keep"})
    rows = [words(row) for row in parsed(client.get("/review?tab=decided")).select("#decided > li")]
    assert rows[0].startswith("kept Listed paper 50")
    assert "rejected" in rows[1]
    assert "Too <b>thin</b>" in rows[1]
    undo = parsed(client.get("/review?tab=decided")).select("form[action^='/decisions/']")
    for form, back in zip(undo, ("/inbox", "/review"), strict=True):
        answer = client.post(str(form["action"]))
        assert answer.headers["location"] == back
        assert client.post(str(form["action"])).status_code == 409
    assert proposals(app) == 1
    assert "Listed paper 50" in client.get("/inbox").text


def test_an_undo_of_a_kept_paper_puts_it_back_into_the_inbox_at_once(
    app: App, client: TestClient
) -> None:
    load(app, [listed(1)])
    form = parsed(client.get("/inbox")).select_one("form[action^='/inbox/']")
    assert form is not None
    kept = client.post(str(form["action"]), data={"decision": "keep"}, headers=PARTIAL)
    undo = parsed(kept).select_one("form[action^='/decisions/']")
    assert undo is not None
    back = client.post(str(undo["action"]), headers=PARTIAL)
    assert "Listed paper 1" in back.text
    assert client.get("/w/listed-paper-1").status_code == 404


def test_how_often_such_links_were_accepted_is_told(app: App, client: TestClient) -> None:
    queue(app, 8)
    with writing(app.engine) as session:  # as if the linker had proposed them
        session.connection().execute(sa.update(Link).values(origin=Origin.LINKER))
    for number in numbers(client)[1:7]:
        client.post(f"/review/{number}", data={"decision": "accept"})
    assert "accepted 100% of the last 6 at this confidence" in words(
        parsed(client.get("/review")).main
    )


def test_a_claim_in_tension_waits_on_its_own_tab(app: App, client: TestClient) -> None:
    queue(app, 2)
    load(
        app,
        [
            {
                "type": "link",
                "source": "arxiv:2605.00001",
                "relation": "contradicts",
                "target": "arxiv:2605.00002",
                "status": "proposed",
            }
        ],
    )
    assert len(numbers(client)) == 2
    [number] = numbers(client, "/review?tab=tension")
    assert client.post(f"/review/{number}", data={"decision": "accept"}).status_code == 303
    assert numbers(client, "/review?tab=tension") == []


def test_another_site_cannot_decide(app: App, client: TestClient) -> None:
    queue(app, 1)
    [number] = numbers(client)
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = client.post(f"/review/{number}", data={"decision": "accept"}, headers=headers)
        assert answer.status_code == 403
    assert client.get(f"/review/{number}?decision=accept").status_code == 405
    assert proposals(app) == 1


def test_the_answer_to_a_program_is_json(app: App, client: TestClient) -> None:
    queue(app, 1)
    [number] = numbers(client)
    answer = client.post(
        f"/api/v1/review/{number}",
        content=json.dumps({"decision": "accept"}),
        headers={"Content-Type": "application/json; charset=utf-8"},
    )
    assert answer.json()["verdict"] == "accept"


def test_what_was_put_off_can_be_seen_and_decided(app: App, client: TestClient) -> None:
    queue(app, 2)
    first = numbers(client)[0]
    client.post(f"/review/{first}", data={"decision": "defer"})
    assert "put off (1)" in words(parsed(client.get("/review")).select_one(".sorted"))
    assert numbers(client, "/review?sort=later") == [first]
    assert "Accept all above" in words(parsed(client.get("/review")).select_one(".sorted"))
    later = words(parsed(client.get("/review?sort=later")).select_one(".sorted"))
    assert "Accept all above" not in later, "that is about what waits, not about these"
    client.post(f"/review/{first}", data={"decision": "accept"})
    assert status(app, first) == LinkStatus.ACCEPTED
    assert "put off" not in words(parsed(client.get("/review")).select_one(".sorted"))


@pytest.mark.parametrize("sort", ["confidence", "newest", "page"])
def test_every_order_of_a_long_queue_goes_on_where_it_was(
    app: App, client: TestClient, sort: str
) -> None:
    queue(app, 120)
    seen, path = [], f"/review?sort={sort}"
    while path:
        page = parsed(client.get(path))
        rows = [str(row["id"])[1:] for row in page.select("#queue > li[id^=s]")]
        client.post(f"/review/{rows[-1]}", data={"decision": "reject"})
        seen += rows
        more = page.select_one("li.more a")
        path = str(more["href"]) if more else ""
    assert len(seen) == len(set(seen)) == 120


def test_a_long_list_of_decisions_comes_in_parts_and_is_undone_whole(
    app: App, client: TestClient
) -> None:
    queue(app, 130)
    ids = [*numbers(client), *numbers(client, "/review?page=2"), *numbers(client, "/review?page=3")]
    client.post("/review/bulk", data={"id": ids, "decision": "accept"}, headers=PARTIAL)
    page = parsed(client.get("/review?tab=decided"))
    lines = page.select("#decided > li[id^=d]")
    assert len(lines) == 100
    assert "Undo all 130" in words(lines[0])
    more = page.select_one("#decided > li.more a")
    assert more is not None
    rest = parsed(client.get(str(more["href"]), headers=PARTIAL))
    assert rest.html is None
    assert len({str(li["id"]) for li in [*lines, *rest.select("li[id^=d]")]}) == 130
    for odd in ("x", "-1", "9" * 30):
        assert client.get(f"/review?tab=decided&before={odd}").status_code == 200
