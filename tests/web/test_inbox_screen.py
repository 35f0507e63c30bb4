"""The Inbox as a reader meets it, with and without htmx, and with what should not be sent."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import Assessment, ListingPaper, Paper, PaperState
from app.services import review
from app.store import decisions, papers
from app.store.db import reading, writing
from app.web.routes.inbox import PER_PAGE
from tests.web.conftest import PARTIAL, Statements, listed, load, marks, parsed, words

CACHES = {"type": "topic", "id": "caches", "name": "Caches", "keep": "Anything about caches."}
AGENTS = {"type": "topic", "id": "agents", "name": "Agents", "keep": "Agents that use tools."}


def fill(app: App, number: int) -> None:
    """So many papers of one day, the first two marked for a topic each."""
    rows = [CACHES, AGENTS, *(listed(n) for n in range(1, number + 1))]
    rows += [marks(1, 6, 7, primary_topic="caches", comment="Names the one cache that matters.")]
    if number > 1:
        rows += [marks(2, 9, 9, primary_topic="agents")]
    load(app, rows)


def titles(html: Any) -> list[str]:
    return [words(each) for each in html.select("#queue > li[id] .title")]


def waiting(app: App) -> int:
    with reading(app.engine) as session:
        return papers.count(session)


def test_an_empty_inbox_says_what_would_come_in(client: TestClient) -> None:
    page = parsed(client.get("/inbox"))
    assert "Inbox is empty" in words(page.select_one(".empty"))
    assert page.select_one(".empty a")["href"] == "/import"


def test_papers_wait_best_first_with_their_marks_and_abstract(client: TestClient, app: App) -> None:
    fill(app, 3)
    page = parsed(client.get("/inbox"))
    assert titles(page) == ["Listed paper 2", "Listed paper 1", "Listed paper 3"]
    second = page.select("#queue > li")[1]
    assert "Names the one cache that matters." in words(second)
    assert "Abstract number 1." in words(second)
    assert "Ada Example, Ben Sample" in words(second)
    assert second.select_one("[data-open]")["href"] == "https://arxiv.org/abs/2605.00001"
    assert "3 papers to decide" in words(page.select_one(".bar-head"))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("?topic=caches", ["Listed paper 1"]),
        ("?min=40", ["Listed paper 2"]),
        ("?day=2026-05-14&topic=agents", ["Listed paper 2"]),
        ("?sort=newest", ["Listed paper 2", "Listed paper 1", "Listed paper 3"]),
        ("?sort=nonsense&page=abc&min=x&extra=1", ["Listed paper 2", "Listed paper 1", "Listed paper 3"]),
        ("?day=yesterday&page=-4", ["Listed paper 2", "Listed paper 1", "Listed paper 3"]),
    ],
)  # fmt: skip
def test_the_address_narrows_the_inbox(
    client: TestClient, app: App, query: str, shown: list[str]
) -> None:
    fill(app, 3)
    assert titles(parsed(client.get(f"/inbox{query}"))) == shown


@pytest.mark.parametrize(
    "query",
    ["?topic='; DROP TABLE paper; --", '?topic="quoted"', "?topic=%00", "?min=99", "?day=1999-01-01"],
)  # fmt: skip
def test_a_view_in_which_nothing_waits_leads_to_the_whole_inbox(
    client: TestClient, app: App, query: str
) -> None:
    fill(app, 3)
    answer = client.get(f"/inbox{query}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/inbox")
    assert len(titles(parsed(client.get("/inbox")))) == 3


def test_topics_are_offered_with_how_many_wait(client: TestClient, app: App) -> None:
    fill(app, 3)
    menu = parsed(client.get("/inbox")).select(".menu li")
    assert sorted(words(each) for each in menu) == ["Agents 1", "Caches 1"]
    chosen = parsed(client.get("/inbox?topic=caches&min=3"))
    assert "from Caches" in words(chosen.select_one(".sorted"))
    assert [each["href"] for each in chosen.select(".menu a")] == [
        "/inbox?min=3",
        "/inbox?topic=agents&min=3",
    ]


def test_the_next_papers_come_as_rows_alone(client: TestClient, app: App) -> None:
    fill(app, 20)
    page = parsed(client.get("/inbox?sort=newest"))
    assert len(titles(page)) == PER_PAGE
    more = page.select_one("#queue > li.more")["hx-get"]
    assert more.startswith("/inbox?sort=newest&page=2")
    rows = parsed(client.get(more, headers=PARTIAL))
    assert rows.select_one("html") is None
    assert len(rows.select("li[id]")) == 20 - PER_PAGE
    assert rows.select_one("li.more") is None
    assert len(titles(parsed(client.get(more)))) == 20 - PER_PAGE
    assert len(titles(parsed(client.get("/inbox?sort=newest&page=2")))) == 20 - PER_PAGE


def test_no_paper_is_passed_over_when_some_were_decided_meanwhile(
    client: TestClient, app: App
) -> None:
    fill(app, 40)
    page = parsed(client.get("/inbox"))
    seen = [li["id"] for li in page.select("#queue > li[id]")]
    for paper in (*seen[:6], seen[-1]):
        client.post(f"/inbox/{paper[1:]}", data={"decision": "drop"}, headers=PARTIAL)
    more = page.select_one("#queue > li.more a")["href"]
    while more:
        rows = parsed(client.get(more, headers=PARTIAL))
        seen += [li["id"] for li in rows.select("li[id]")]
        link = rows.select_one("li.more a")
        more = link["href"] if link else ""
    assert len(seen) == len(set(seen)) == 40


@pytest.mark.parametrize("after", ["999", "abc", "-1", "9" * 30, "'"])
def test_a_place_that_is_nowhere_is_the_beginning(client: TestClient, app: App, after: str) -> None:
    fill(app, 3)
    page = parsed(client.get("/inbox", params={"after": after}))
    assert len(titles(page)) == 3


def test_keeping_a_paper_gives_it_a_page_and_comes_back(client: TestClient, app: App) -> None:
    fill(app, 2)
    answer = client.post("/inbox/1", data={"decision": "keep", "next": "/inbox?topic=caches"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/inbox?topic=caches")
    assert client.get("/w/listed-paper-1").status_code == 200
    assert waiting(app) == 1


@pytest.mark.parametrize(
    "wanted",
    ["", "https://elsewhere.example/", "//elsewhere.example/inbox", "/settings", "/inboxes", "/inbox?a\r\nX: y"],
)  # fmt: skip
def test_no_form_leads_out_of_the_inbox(client: TestClient, app: App, wanted: str) -> None:
    fill(app, 1)
    answer = client.post("/inbox/1", data={"decision": "drop", "next": wanted})
    assert (answer.status_code, answer.headers["location"]) == (303, "/inbox")


@pytest.mark.parametrize(
    ("decision", "said"), [("keep", "Kept"), ("drop", "Dropped"), ("defer", "Put off")]
)
def test_a_decision_by_htmx_says_so_and_offers_undo(
    client: TestClient, app: App, decision: str, said: str
) -> None:
    fill(app, 2)
    answer = parsed(client.post("/inbox/1", data={"decision": decision}, headers=PARTIAL))
    assert f"{said}: Listed paper 1" in words(answer.select_one(".toast p"))
    assert words(answer.find("hx-partial", {"hx-target": "#nav-inbox"})) == "1"
    assert answer.select_one("html, li") is None
    undo = client.post(answer.select_one(".toast form")["action"], headers=PARTIAL)
    assert undo.status_code == 200
    assert "Listed paper 1" in words(parsed(undo).find("li", id="p1"))
    assert waiting(app) == 2


def test_what_was_put_off_can_be_looked_at(client: TestClient, app: App) -> None:
    fill(app, 2)
    client.post("/inbox/1", data={"decision": "defer"})
    page = parsed(client.get("/inbox"))
    assert titles(page) == ["Listed paper 2"]
    assert "/inbox?sort=later" in [a["href"] for a in page.select(".sorted a")]
    assert titles(parsed(client.get("/inbox?sort=later"))) == ["Listed paper 1"]


@pytest.mark.parametrize("headers", [{}, PARTIAL])
def test_a_paper_decided_elsewhere_is_a_conflict(
    client: TestClient, app: App, headers: dict[str, str]
) -> None:
    fill(app, 1)
    with writing(app.engine) as session:
        review.decide_paper(session, 1, review.verdict("drop", of="paper"), now=app.clock())
    answer = client.post("/inbox/1", data={"decision": "keep"}, headers=headers)
    assert answer.status_code == 409
    assert "decided already" in words(parsed(answer))
    with reading(app.engine) as session:
        assert papers.count(session, PaperState.DROPPED) == 1
        assert len(decisions.recent(session)) == 1


@pytest.mark.parametrize(
    ("address", "form", "status"),
    [
        ("/inbox/1", {}, 422),
        ("/inbox/1", {"decision": "burn"}, 422),
        ("/inbox/1", {"decision": "accept"}, 422),
        ("/inbox/1", {"decision": ["keep", "drop"], "extra": "x" * 10_000}, 303),
        ("/inbox/999", {"decision": "keep"}, 404),
        ("/inbox/0", {"decision": "keep"}, 422),
        ("/inbox/abc", {"decision": "keep"}, 422),
        ("/inbox/99999999999999999999", {"decision": "keep"}, 422),
    ],
)
def test_a_decision_that_cannot_be_is_refused_in_a_sentence(
    client: TestClient, app: App, address: str, form: dict[str, str], status: int
) -> None:
    fill(app, 1)
    answer = client.post(address, data=form)
    assert answer.status_code == status
    assert waiting(app) == (0 if status == 303 else 1)
    if status != 303:
        assert words(parsed(answer).select_one(".failure .lede")).endswith(".")


def test_a_long_inbox_asks_the_database_no_more(
    client: TestClient, app: App, statements: Statements
) -> None:
    def asked() -> tuple[int, int]:
        """Right after a change, and again."""
        client.get("/more")  # counts what the navigation shows, jobs the first time alone
        numbers = []
        for _ in range(2):
            statements.seen.clear()
            assert client.get("/inbox").status_code == 200
            numbers.append(len(statements))
        return numbers[0], numbers[1]

    fill(app, 10)
    few = asked()
    load(app, [listed(n) for n in range(11, 51)])
    assert asked() == few
    assert few[1] < few[0] <= 13
    assert "50 papers to decide" in words(parsed(client.get("/inbox")).select_one(".bar-head"))


def in_order(client: TestClient, path: str) -> list[str]:
    """The papers of a view in order, part after part as a reader without JavaScript walks them."""
    found: list[str] = []
    while path:
        page = parsed(client.get(path))
        found += titles(page)
        more = page.select_one("#queue > li.more a")
        path = str(more["href"]) if more else ""
    return found


def test_every_order_is_the_one_that_its_rows_say(client: TestClient, app: App) -> None:
    """The order is read from columns that triggers keep: here it is worked out from the rows."""
    days = ["2026-05-14", "2026-05-12", "", "2026-05-13"]
    papers_ = {n: (days[n % 4], n % 5 and n % 7, n % 3 + 1) for n in range(1, 41)}
    rows: list[dict[str, Any]] = [CACHES, AGENTS]
    for n, (day, relevance, novelty) in papers_.items():
        rows.append(listed(n, published=f"2026-0{n % 3 + 1}-01", day=day or "2026-05-20"))
        if relevance:
            topic = "caches" if n % 2 else "agents"
            rows.append(marks(n, relevance, novelty, primary_topic=topic, day="2026-05-01"))
    load(app, rows)
    with writing(app.engine) as session:  # some were met elsewhere than in a listing
        session.connection().execute(
            sa.delete(ListingPaper).where(col(ListingPaper.day) == "2026-05-20")
        )

    def place(n: int, *, newest: bool) -> tuple[Any, ...]:
        day, relevance, novelty = papers_[n]
        published = f"2026-0{n % 3 + 1}-01"
        keys = [
            (-relevance, -novelty if relevance else 0),
            _falling(day or published),
            _falling(published),
        ]
        return (*(keys[1:] + keys[:1] if newest else keys), n)

    for query, newest, wanted in (
        ("", False, list(papers_)),
        ("?sort=newest", True, list(papers_)),
        ("?topic=caches", False, [n for n in papers_ if papers_[n][1] and n % 2]),
        ("?min=1", False, [n for n in papers_ if papers_[n][1] >= 3]),
        ("?day=2026-05-14", False, [n for n in papers_ if n % 4 == 0]),
    ):
        expected = sorted(wanted, key=lambda n: place(n, newest=newest))
        assert in_order(client, f"/inbox{query}") == [f"Listed paper {n}" for n in expected], query


def _falling(day: str) -> int:
    return -int(day.replace("-", ""))


def test_a_paper_moves_in_the_inbox_with_what_is_said_of_it(client: TestClient, app: App) -> None:
    def first() -> str:
        return titles(parsed(client.get("/inbox")))[0]

    def stands(number: int) -> tuple[float, str | None, str]:
        with reading(app.engine) as session:
            paper = papers.named(session, f"arxiv:2605.{number:05}")
            assert paper is not None
            return round(paper.score, 5), paper.topic_id, paper.came

    load(app, [CACHES, *(listed(n) for n in (1, 2, 3)), marks(2, 5, 5)])
    assert first() == "Listed paper 2"
    load(app, [marks(3, 9, 9, primary_topic="caches")], name="second.jsonl")
    assert (first(), stands(3)) == ("Listed paper 3", (0.53565, "caches", "2026-05-14"))
    load(app, [marks(3, 1, 1, day="2026-05-15")], name="third.jsonl")
    assert (first(), stands(3)) == ("Listed paper 2", (0.00379, None, "2026-05-14"))
    load(app, [listed(3, day="2026-05-20")], name="fourth.jsonl")
    assert stands(3)[2] == "2026-05-14"  # seen before
    load(app, [listed(3, day="2026-05-21", announced="new")], name="fifth.jsonl")
    assert stands(3)[2] == "2026-05-21"
    with writing(app.engine) as session:
        session.connection().execute(sa.delete(Assessment))
        session.connection().execute(sa.delete(ListingPaper))
        session.connection().execute(sa.update(Paper).values(published="2020-01"))
    assert stands(3) == (0, None, "2020-01")
    assert first() == "Listed paper 1"
