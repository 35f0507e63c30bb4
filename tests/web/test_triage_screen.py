"""The page of a day, its lists and entries, dropping the rest, months and hotspots."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col, select
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import (
    Assessment,
    CallState,
    Listing,
    ModelCall,
    Page,
    Paper,
    PaperState,
)
from app.services import review
from app.store.db import bump, reading, writing
from tests.web.conftest import NOW, Statements, listed, load, marks, parsed, words

DAY = "2026-05-14"
CACHES = {"type": "topic", "id": "caches", "name": "Caches", "keep": "Anything about caches.", "threshold": 0.5}  # fmt: skip
AGENTS = {"type": "topic", "id": "agents", "name": "Agents", "keep": "Agents that use tools.", "threshold": 0.5}  # fmt: skip


def fill(app: App, number: int, *, day: str = DAY, start: int = 1) -> None:
    """So many papers of a day, each marked; odd ones are picked for caches, even ones fall short."""
    numbers = range(start, start + number)
    rows: list[dict[str, Any]] = [CACHES, AGENTS]
    rows += [listed(n, day=day) for n in numbers]
    rows += [
        marks(n, 9 if n % 2 else 3, 7 if n % 2 else 2, day=day, primary_topic="caches",
              topics=["caches", "agents"], comment=f"Reason {n}.", topic_comment=f"Why {n}.")
        for n in numbers
    ]  # fmt: skip
    load(app, rows, name=f"{day}.jsonl")


def state(app: App, number: int) -> PaperState:
    with reading(app.engine) as session:
        found = session.scalar(
            sa.select(col(Paper.state)).where(col(Paper.title) == f"Listed paper {number}")
        )
        return PaperState(found)


def waiting(app: App) -> int:
    with reading(app.engine) as session:
        statement = sa.select(sa.func.count()).where(col(Paper.state) == PaperState.WAITING)
        return int(session.scalar(statement) or 0)


def test_without_any_day_it_says_how_one_comes_in(client: TestClient) -> None:
    answer = client.get("/triage")
    assert answer.status_code == 200
    assert parsed(answer).select_one(".empty a")["href"] == "/import"


def test_the_newest_day_is_where_triage_leads(client: TestClient, app: App) -> None:
    fill(app, 1, day="2026-05-12")
    fill(app, 1, day="2026-05-13", start=2)
    answer = client.get("/triage")
    assert (answer.status_code, answer.headers["location"]) == (303, "/triage/2026-05-13")


def test_a_day_shows_its_funnel_queue_coverage_contents_and_entries(
    client: TestClient, app: App
) -> None:
    fill(app, 4)
    page = parsed(client.get(f"/triage/{DAY}"))
    funnel = {words(a).split(" ", 1)[1]: words(a).split()[0] for a in page.select("main > .meta a b ~ *, main > .meta a") if a.b}  # fmt: skip
    assert funnel == {"in the listing": "4", "scanned": "4", "picked": "2", "kept": "0", "dropped": "0"}  # fmt: skip
    assert [words(t) for t in page.select("#queue .title")] == ["Listed paper 1", "Listed paper 3"]
    assert page.select_one('#queue input[name="next"]')["value"] == f"/triage/{DAY}"
    assert "Caches 2" in words(page.select_one("[aria-label='Topic coverage'] tbody"))
    assert "Caches (2)" in words(page.select_one("#contents"))
    assert "Ada Example, Ben Sample" in words(page.select_one("#contents"))
    entry = words(page.select_one(".entries > li"))
    for said in ("arXiv:2605.00001", "also matches Agents", "Abstract number 1.", "Reason 1.", "Why 1."):  # fmt: skip
        assert said in entry
    assert "No model was called" in words(page)
    ids = [each["id"] for each in page.select("[id]")]
    assert len(ids) == len(set(ids))


def test_a_decision_from_the_queue_comes_back_to_the_day(client: TestClient, app: App) -> None:
    fill(app, 2)
    form = parsed(client.get(f"/triage/{DAY}")).select_one("#queue form")
    answer = client.post(form["action"], data={"decision": "keep", "next": f"/triage/{DAY}"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/triage/{DAY}")
    page = parsed(client.get(f"/triage/{DAY}"))
    assert not page.select("#queue")
    assert "kept" in words(page.select_one("#contents"))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("2026-05-13", "/triage/2026-05-14"),
        ("2026-02-30", "A day is written"),
        ("today", "A day is written"),
        ("2026-5-14", "A day is written"),
        ("2026-04", "/triage/2026-05"),
        ("9999-12-31", "/triage/2026-05-14"),
        ("0000-05", "A day is written year, month, day"),
        (f"{DAY}?topic=nothing", "No paper of this day"),
        (f"{DAY}?from=99999", "has no entry"),
        ("hotspots?day=x", "A day is written"),
    ],
)
def test_what_is_not_there_is_said_in_words(
    client: TestClient, app: App, address: str, said: str
) -> None:
    fill(app, 1)
    answer = client.get(f"/triage/{address}")
    assert answer.status_code == 404
    assert said in words(parsed(answer))


def test_days_beside_are_those_that_exist(client: TestClient, app: App) -> None:
    fill(app, 1, day="2026-05-11")
    fill(app, 1, day="2026-05-13", start=2)
    page = parsed(client.get("/triage/2026-05-13"))
    assert page.select_one("[rel=prev]")["href"] == "/triage/2026-05-11"
    assert page.select_one("[rel=next]") is None
    assert page.select_one(".bar-head a[href='/triage/2026-05']")


def test_entries_go_on_from_one_paper_to_the_last(client: TestClient, app: App) -> None:
    fill(app, 70)
    page = parsed(client.get(f"/triage/{DAY}"))
    shown = [li["id"] for li in page.select(".entries > li")]
    link = page.select_one("nav[aria-label=Entries] [rel=next]")
    while link:
        page = parsed(client.get(link["href"]))
        shown += [li["id"] for li in page.select(".entries > li")]
        link = page.select_one("[rel=next]:not(.bar-head *)")
    assert len(shown) == len(set(shown)) == 35
    assert page.select_one("[rel=prev]:not(.bar-head *)")
    assert words(page.select_one("main > .meta")).startswith("All topics")


def test_every_paper_of_the_day_can_be_reached_as_a_list(client: TestClient, app: App) -> None:
    fill(app, 120)
    first = parsed(client.get(f"/triage/{DAY}?list=all"))
    second = parsed(client.get(first.select_one(".pager [rel=next]")["href"]))
    assert len(first.select("tbody tr")) + len(second.select("tbody tr")) == 120
    assert len(parsed(client.get(f"/triage/{DAY}?list=all&page=999")).select("tbody tr")) == 20
    assert "No paper of this day" in words(parsed(client.get(f"/triage/{DAY}?list=kept")))


def test_papers_without_marks_are_said_to_wait(client: TestClient, app: App) -> None:
    load(app, [listed(1), listed(2)])
    page = parsed(client.get(f"/triage/{DAY}"))
    assert "2 papers wait without marks" in words(page)
    assert page.select_one(f"a[href='/triage/{DAY}/rest']") is None


def test_dropping_the_others_asks_first_and_is_undone_as_one(client: TestClient, app: App) -> None:
    fill(app, 20)
    link = parsed(client.get(f"/triage/{DAY}")).select_one(f"a[href='/triage/{DAY}/rest']")
    assert "drop the other 10" in words(link)
    asked = parsed(client.get(link["href"]))
    assert len(asked.select(".roomy li")) == 5
    form = asked.select_one("form[method=post]")
    data = {field["name"]: field["value"] for field in form.select("input")}
    answer = client.post(form["action"], data=data)
    assert answer.status_code == 303
    assert waiting(app) == 10
    assert state(app, 1) == PaperState.WAITING
    assert state(app, 2) == PaperState.DROPPED
    undo = parsed(client.get(answer.headers["location"])).select_one(".notice form")
    back = client.post(undo["action"], data={"next": undo.select_one("input")["value"]})
    assert (back.status_code, back.headers["location"]) == (303, f"/triage/{DAY}")
    assert waiting(app) == 20
    again = parsed(client.get(answer.headers["location"]))
    assert again.select_one(".notice form") is None


def test_dropping_by_score_takes_what_is_below_it(client: TestClient, app: App) -> None:
    fill(app, 4)
    asked = parsed(client.get(f"/triage/{DAY}/rest?below=1"))
    assert "No undecided paper of this day is below a score of 0.01." in words(asked)
    asked = parsed(client.get(f"/triage/{DAY}/rest?below=50"))
    assert "Drop 2 papers?" in words(asked)
    assert "with a score below 0.50" in words(asked)
    those = asked.select_one("input[name=those]")["value"]
    client.post(f"/triage/{DAY}/rest", data={"below": "50", "those": those})
    assert (waiting(app), state(app, 1), state(app, 2)) == (
        2,
        PaperState.WAITING,
        PaperState.DROPPED,
    )


def test_nothing_is_dropped_when_the_day_changed_meanwhile(client: TestClient, app: App) -> None:
    fill(app, 8)
    asked = parsed(client.get(f"/triage/{DAY}/rest"))
    those = asked.select_one("input[name=those]")["value"]
    load(app, [marks(2, 9, 9, primary_topic="caches")], name="again.jsonl")  # picked by now
    with writing(app.engine) as session:  # and one that was picked is so no more
        session.execute(sa.update(Paper).where(col(Paper.id) == 1).values(score=0.1))
    for sent in (those, "", "x", "4"):
        answer = client.post(f"/triage/{DAY}/rest", data={"those": sent})
        assert answer.status_code == 409
    assert waiting(app) == 8


def test_many_papers_are_decided_as_one_and_what_was_decided_is_left(app: App) -> None:
    fill(app, 6)
    with writing(app.engine) as session:
        ids = list(session.scalars(sa.select(col(Paper.id)).order_by(col(Paper.id))))
        review.decide_paper(session, ids[0], review.verdict("keep", of="paper"), now=NOW)
    with writing(app.engine) as session:
        drop = review.verdict("drop", of="paper")
        done = review.decide_papers(session, [*ids, ids[1], 0, 10**18], drop, now=NOW)
    assert len(done.decisions) == 5
    assert len(done.refused) == 3
    assert state(app, 1) == PaperState.KEPT
    with writing(app.engine) as session:
        assert len(review.undo(session, done.decisions[2].id, now=NOW).decisions) == 5
    assert waiting(app) == 5


def test_a_paper_listed_again_stands_under_seen_before(client: TestClient, app: App) -> None:
    fill(app, 3, day="2026-05-12")
    with writing(app.engine) as session:
        review.decide_paper(session, 1, review.verdict("drop", of="paper"), now=NOW)
    load(app, [listed(1, day=DAY, version=2, announced="replaced"), listed(9, day=DAY)])
    page = parsed(client.get(f"/triage/{DAY}"))
    seen = words(page.select_one("#seen"))
    assert "Listed paper 1 replaced, version 2, first listed on" in seen
    assert "dropped" in seen
    assert page.select_one("#seen a[href='/triage/2026-05-12']")
    assert not page.select("#contents")


def test_a_paper_that_was_replaced_is_not_new_where_the_wiki_never_met_it(
    client: TestClient, app: App
) -> None:
    load(app, [listed(1, day=DAY, version=3, announced="replaced"), listed(9, day=DAY)])
    seen = words(parsed(client.get(f"/triage/{DAY}")).select_one("#seen"))
    assert "Listed paper 1 replaced, version 3" in seen and "first listed" not in seen
    assert "Listed paper 9" not in seen


def test_tokens_and_cost_of_a_page_and_of_our_own_calls(client: TestClient, app: App) -> None:
    fill(app, 1)
    with writing(app.engine) as session:
        listing = session.get(Listing, DAY)
        assert listing is not None
        listing.model, listing.prompt_tokens, listing.completion_tokens = "page-model", 4_000, 500
        listing.prompt_cost_usd = 1.05
        session.add(listing)
        for cost in (12_300, None):
            session.add(
                ModelCall(at=NOW, day=DAY, purpose="triage", about=DAY, model="own-model", state=CallState.BOOKED,
                          input_tokens=700, output_tokens=30, cost=cost)
            )  # fmt: skip
    told = words(parsed(client.get(f"/triage/{DAY}")).select_one("[aria-label='Tokens and cost']"))
    for said in ("page-model", "4,000", "4,500", "$1.05", "unknown", "own-model", "1,400", "$0.0123", "cost unknown of 1 call"):  # fmt: skip
        assert said in told
    month = words(parsed(client.get("/triage/2026-05")))
    assert "$0.0123" in month


def test_a_month_has_its_days_with_totals(client: TestClient, app: App) -> None:
    fill(app, 2, day="2026-04-30")
    fill(app, 4, day="2026-05-12", start=10)
    fill(app, 6, day="2026-05-13", start=20)
    page = parsed(client.get("/triage/2026-05"))
    assert len(page.select("tbody tr")) == 2
    assert "Listed paper 11" in words(page.select("tbody tr")[0])
    assert words(page.select_one("tfoot")).startswith("2 days 10")
    assert page.select_one("[rel=prev]")["href"] == "/triage/2026-04"
    assert page.select_one("[rel=next]") is None


def test_hotspots_are_the_tagged_papers_newest_first(client: TestClient, app: App) -> None:
    for day, start in (("2026-05-12", 1), ("2026-05-13", 11)):
        load(
            app,
            [
                listed(start, day=day),
                listed(start + 1, day=day),
                marks(start, 4, 9, day=day, tags=["new_frontier"], comment=f"Opens {day}."),
                marks(start + 1, 4, 9, day=day),
            ],
            name=f"{day}.jsonl",
        )
    page = parsed(client.get("/triage/hotspots"))
    assert [words(t) for t in page.select(".title")] == ["Listed paper 11", "Listed paper 1"]
    assert "new frontier" in words(page)
    assert "Opens 2026-05-12." in words(page)
    only = parsed(client.get("/triage/hotspots?day=2026-05-12"))
    assert [words(t) for t in only.select(".title")] == ["Listed paper 1"]
    assert "No paper of this day" in words(parsed(client.get("/triage/hotspots?day=2026-05-11")))


def test_what_a_paper_or_a_model_says_is_text(client: TestClient, app: App) -> None:
    evil = '<script>alert(1)</script><a href="javascript:x">y</a>'
    load(
        app,
        [
            CACHES,
            listed(1, title=evil, abstract=evil, authors=[evil]),
            marks(1, 9, 9, primary_topic="caches", comment=evil + "\u202e", topic_comment=evil, tags=["new_frontier"]),
        ],
    )  # fmt: skip
    for address in (f"/triage/{DAY}", f"/triage/{DAY}?from=1", f"/triage/{DAY}?list=all", "/triage/2026-05", "/triage/hotspots"):  # fmt: skip
        answer = client.get(address)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "\u202e" not in answer.text.split('<ul class="results')[-1]
        assert not parsed(answer).select("a[href^=javascript]")


@pytest.mark.parametrize(
    "address", ["/triage/2026-05-14", "/triage/2026-05-14?list=all", "/triage/2026-05-14?from=1", "/triage/2026-05", "/triage/hotspots", "/inbox"]
)  # fmt: skip
def test_a_screen_asks_as_many_statements_for_fifty_papers_as_for_ten(
    client: TestClient, app: App, statements: Statements, address: str
) -> None:
    fill(app, 3)
    client.get(address)  # what is counted once, and the pragmas of a first connection
    asked = []
    for more, start in ((7, 4), (40, 11)):
        fill(app, more, start=start)
        fill(app, 2, day="2026-05-13", start=200 + start)
        statements.seen.clear()
        assert client.get(address).status_code == 200
        asked.append(len(statements))
    assert asked[0] == asked[1]


def test_a_day_of_a_thousand_papers_stays_within_its_weight(client: TestClient, app: App) -> None:
    words_ = "An abstract of some length that says what was measured and how. " * 22
    rows: list[dict[str, Any]] = [CACHES]
    rows += [
        listed(n, abstract=words_, authors=[f"Author {n} {i}" for i in range(8)])
        for n in range(1, 1087)
    ]
    rows += [marks(n, 9 if n % 10 == 0 else 2, 6 if n % 10 == 0 else 1, primary_topic="caches") for n in range(1, 1087)]  # fmt: skip
    load(app, rows)
    for address in (f"/triage/{DAY}", f"/triage/{DAY}?topic=caches", f"/triage/{DAY}?list=all", "/inbox"):  # fmt: skip
        answer = client.get(address)
        assert len(answer.content) < 60_000, (address, len(answer.content))


def test_a_browser_that_has_the_day_is_told_so_until_something_is_decided(
    client: TestClient, app: App
) -> None:
    fill(app, 2)
    tag = client.get(f"/triage/{DAY}").headers["etag"]
    assert client.get(f"/triage/{DAY}", headers={"If-None-Match": tag}).status_code == 304
    client.post("/inbox/1", data={"decision": "drop"})
    assert client.get(f"/triage/{DAY}", headers={"If-None-Match": tag}).status_code == 200


def test_a_paper_names_the_pages_it_is_nearest_to_and_its_tier(
    client: TestClient, app: App
) -> None:
    load(
        app,
        [
            CACHES,
            {"type": "page", "id": "cache-lines", "title": "Cache lines", "kind": "concept", "body": "A line."},
            {"type": "page", "id": "old-note", "title": "Old note", "kind": "note", "body": "A note."},
            listed(1),
            marks(1, 9, 9, primary_topic="caches", tags=["daily_hot"]),
        ],
    )  # fmt: skip
    with writing(app.engine) as session:
        pages = {each.slug: each.id for each in session.exec(select(Page))}
        [assessment] = session.exec(select(Assessment))
        assessment.tier, assessment.tier_reason = 2, "Caches is a topic of tier 2"
        assessment.evidence = [
            {"kind": "near", "page": pages["cache-lines"], "paper": None, "likeness": 0.7},
            {"kind": "near", "page": pages["old-note"], "paper": None, "likeness": 0.9},
            {"kind": "near", "page": 10**6, "paper": None, "likeness": 0.95},
            {"kind": "near", "page": None, "paper": 1, "likeness": 0.99},
            {"kind": "criterion", "text": "caches", "quotation": "cache"},
        ]
        session.add(assessment)
    row = parsed(client.get("/inbox")).select_one("#queue > li")
    assert "nearest in the wiki" in words(row)
    assert [a["href"] for a in row.select(".meta a")] == ["/w/old-note", "/w/cache-lines"]
    assert "tier 2" in words(row)
    assert "daily hot" in words(row)
    entry = parsed(client.get(f"/triage/{DAY}?from=1")).select_one(".entries > li")
    assert "Caches is a topic of tier 2" in words(entry)
    assert [a["href"] for a in entry.select(".meta a[href^='/w/']")] == ["/w/old-note", "/w/cache-lines"]  # fmt: skip


def test_a_later_version_of_a_paper_that_waits_says_so(client: TestClient, app: App) -> None:
    load(app, [listed(1, day="2026-05-12")])
    load(app, [listed(1, day=DAY, version=3, announced="replaced")])
    row = parsed(client.get("/inbox")).select("#queue > li")
    assert len(row) == 1
    assert "version 3, first listed on 2026-05-12, last on 2026-05-14" in words(row[0])


def test_the_inbox_of_a_day_shows_the_picked_ones_or_all(client: TestClient, app: App) -> None:
    fill(app, 4)
    page = parsed(client.get(f"/inbox?day={DAY}&picked=1"))
    assert len(page.select("#queue > li[id]")) == 2
    assert "2 papers to decide" in words(page.select_one(".bar-head"))
    assert page.select_one(f".bar-head a[href='/triage/{DAY}']")
    every = page.select_one(f".sorted a[href='/inbox?day={DAY}']")
    assert len(parsed(client.get(every["href"])).select("#queue > li[id]")) == 4


@pytest.mark.parametrize(
    ("wanted", "leads"),
    [
        (f"/triage/{DAY}", f"/triage/{DAY}"),
        ("/triage/\\evil", "/inbox"),
        ("//evil.example/triage/", "/inbox"),
        ("/triage/x\r\nSet-Cookie: a=b", "/inbox"),
    ],
)
def test_a_decision_leads_to_no_other_place(
    client: TestClient, app: App, wanted: str, leads: str
) -> None:
    fill(app, 1)
    answer = client.post("/inbox/1", data={"decision": "drop", "next": wanted})
    assert answer.headers["location"] == leads


def test_the_prompt_of_a_day_is_shown_in_full(client: TestClient, app: App) -> None:
    fill(app, 1)
    assert "Nothing is recorded" in words(parsed(client.get(f"/triage/{DAY}?list=prompt")))
    for prompt in ("Keep what is <b>new</b>.", "Keep what is <b>new</b>. " * 400):
        with writing(app.engine) as session:
            session.execute(sa.update(Listing).values(prompt=prompt))
            bump(session)
        page = parsed(client.get(f"/triage/{DAY}"))
        link = page.select_one("a[href$='list=prompt']")
        shown = parsed(client.get(link["href"])) if link else page
        assert words(shown.select_one("details .told")) == prompt.strip()
