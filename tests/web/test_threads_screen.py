"""Threads: the list with numbers that are counted, and what a thread's own page tells."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import Page, Thread, ThreadStatus
from app.store import pages
from app.store.db import reading, writing
from app.web.routes.threads import thread_context
from tests.web.conftest import Statements, load, member, parsed, words


def thread(slug: str, title: str, **fields: Any) -> dict[str, Any]:
    return {"type": "thread", "id": slug, "title": title, "claim": f"{title} matters.", **fields}


def paper(number: int, **fields: Any) -> dict[str, Any]:
    return {"type": "paper", "id": f"arxiv:2605.{number:05}", "title": f"Paper {number}", **fields}


def fill(app: App) -> None:
    """A thread that grows, one that sleeps, one without members."""
    load(
        app,
        [
            thread("growing-one", "Growing one"),
            thread("sleeping-one", "Sleeping one"),
            thread("new-one", "New one"),
            *(paper(n, questions=[f"What about {n}?"]) for n in range(1, 6)),
            member(1, "growing-one", day="2026-04-02", role="starts", note="Began it."),
            member(2, "growing-one", day="2026-05-11", role="supports"),
            member(3, "growing-one", day="2026-05-13"),
            member(4, "sleeping-one", day="2025-12-01"),
            member(5, "sleeping-one", day="2025"),
        ],
    )


def listed(client: TestClient, query: str = "") -> dict[str, str]:
    """The threads of the list in order, each with its line of numbers."""
    page = parsed(client.get(f"/threads{query}"))
    return {words(li.h2.a): words(li.select_one(".meta")) for li in page.select(".threads > li")}


def context(app: App, slug: str) -> dict[str, Any]:
    with reading(app.engine) as session:
        page = pages.head(session, slug)
        return thread_context(session, page.id, today=date(2026, 5, 14))


def test_a_wiki_without_threads_says_what_a_thread_is(client: TestClient) -> None:
    page = parsed(client.get("/threads"))
    assert "A thread is one claim" in words(page.select_one(".empty"))


def test_threads_are_listed_with_counted_numbers_the_last_moved_first(
    client: TestClient, app: App
) -> None:
    fill(app)
    found = listed(client)
    assert list(found) == ["Thread: Growing one", "Thread: Sleeping one", "Thread: New one"]
    growing = found["Thread: Growing one"]
    for words_ in ("3 papers", "since 2 April 2026", "3 open questions", "+2 this week", "growing"):
        assert words_ in growing
    assert "dormant" in found["Thread: Sleeping one"]
    assert "0 papers" in found["Thread: New one"]


def test_the_line_of_weeks_is_said_in_words_too(client: TestClient, app: App) -> None:
    fill(app)
    label = parsed(client.get("/threads")).select_one("svg.spark")["aria-label"]
    assert label == "papers in each of the last twelve weeks: 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2"


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("?sort=papers", "Thread: Growing one"),
        ("?sort=momentum", "Thread: Growing one"),
        ("?sort=questions", "Thread: Growing one"),
        ("?sort='; DROP TABLE thread; --&page=abc&extra=1", "Thread: Growing one"),
        ("?page=-1", "Thread: Growing one"),
        ("?page=99999999999999999999", "Thread: Growing one"),
    ],
)
def test_any_sort_and_page_has_an_answer(
    client: TestClient, app: App, query: str, first: str
) -> None:
    fill(app)
    assert next(iter(listed(client, query))) == first


def test_many_threads_come_in_pages_that_keep_the_sort(client: TestClient, app: App) -> None:
    load(app, [thread(f"thread-{n}", f"Thread number {n}") for n in range(60)])
    page = parsed(client.get("/threads?sort=papers"))
    assert "60 threads" in words(page.select_one(".bar-head"))
    assert len(page.select(".threads > li")) == 50
    following = page.select_one(".pager a[rel=next]")["href"]
    assert following == "/threads?sort=papers&page=2"
    assert len(parsed(client.get(following)).select(".threads > li")) == 10


def test_what_the_reader_marked_wins_over_what_is_counted(client: TestClient, app: App) -> None:
    fill(app)
    with writing(app.engine) as session:
        page_id = session.exec(select(Page.id).where(Page.slug == "growing-one")).one()
        row = session.get(Thread, page_id)
        assert row is not None
        row.status = ThreadStatus.CONTRADICTED
        session.add(row)
    assert "contradicted" in listed(client)["Thread: Growing one"]


def test_a_thread_page_tells_its_claim_numbers_and_months(client: TestClient, app: App) -> None:
    fill(app)
    page = parsed(client.get("/w/growing-one"))
    assert words(page.select_one("article .lede")) == "Growing one matters."
    counts = {words(d.dt): words(d.dd) for d in page.select("dl.counts > div")}
    assert counts["papers"] == "3"
    assert counts["since"] == "April 2026"
    assert counts["this week"] == "2"
    assert [words(h) for h in page.select(".month h3")] == ["May 2026 2", "April 2026 1"]
    last = page.select(".month li")[-1]
    assert (words(last.select_one(".role")), words(last.p)) == ("starts", "Began it.")
    assert {words(q.p) for q in page.select(".questions > li")} == {
        "What about 1?",
        "What about 2?",
        "What about 3?",
    }


def test_points_count_papers_a_month_up_to_now(app: App) -> None:
    fill(app)
    found = context(app, "growing-one")
    assert found["points"] == [1, 2]
    assert found["months_words"] == "papers in each month since April 2026: 1, 2"


def test_years_without_months_and_no_dates_at_all_have_their_own_places(app: App) -> None:
    load(app, [thread("old", "Old"), *(paper(n) for n in range(1, 4)),
               member(1, "old", day="2025"), member(2, "old", day="2025-03"), member(3, "old", day="")])  # fmt: skip
    found = context(app, "old")
    assert [month["name"] for month in found["months"]] == ["March 2025", "2025", "Without a date"]
    assert found["counts"][0] == {"words": "papers", "number": 3, "url": "#timeline"}


def test_points_of_an_old_thread_reach_back_two_years_at_most(app: App) -> None:
    load(app, [thread("old", "Old"), paper(1), paper(2),
               member(1, "old", day="1999-01-01"), member(2, "old", day="2026-05-02")])  # fmt: skip
    found = context(app, "old")
    assert len(found["points"]) == 24
    assert sum(found["points"]) == 1


def test_threads_that_are_linked_or_share_members_are_related(app: App) -> None:
    load(
        app,
        [
            *(thread(name, name.capitalize()) for name in ("one", "two", "three", "four")),
            *(paper(n) for n in range(1, 4)),
            *(member(n, name, day="2026-05-01") for n in (1, 2) for name in ("one", "two")),
            member(3, "one", day="2026-05-01"),
            member(3, "three", day="2026-05-01"),
            {"type": "link", "source": "four", "relation": "contradicts", "target": "one"},
        ],
    )
    assert [(r["slug"], r["words"]) for r in context(app, "one")["related"]] == [
        ("four", "contradicts this thread"),
        ("two", "2 papers in both"),
    ]
    assert context(app, "four")["related"][0]["words"] == "this thread contradicts it"


def test_a_thread_without_members_points_to_what_is_suggested(client: TestClient, app: App) -> None:
    fill(app)
    page = parsed(client.get("/w/new-one"))
    assert page.select_one("#timeline .empty a")["href"] == "/review"


def test_the_number_of_statements_does_not_grow_with_threads_or_members(
    client: TestClient, app: App, statements: Statements
) -> None:
    def grow(start: int, stop: int) -> None:
        load(app, [thread(f"t-{n}", f"T {n}") for n in range(start, stop)])
        load(app, [paper(n) for n in range(start, stop)])
        load(app, [member(n, "t-1", day="2026-05-01") for n in range(start, stop)])
        client.get("/more")  # counts what the navigation shows, jobs the first time alone

    def asked(address: str) -> int:
        statements.seen.clear()
        assert client.get(address).status_code == 200
        return len(statements)

    grow(1, 11)
    few = [asked("/threads"), asked("/w/t-1")]
    grow(11, 51)
    assert [asked("/threads"), asked("/w/t-1")] == few


def test_a_long_timeline_goes_on_where_it_was(client: TestClient, app: App) -> None:
    days = [f"2026-{month:02}-{day:02}" for month in (1, 2, 3) for day in range(1, 29)]
    rows = [thread("long-one", "Long one"), *(paper(n) for n in range(1, 251))]
    rows += [member(n, "long-one", day=days[n % len(days)]) for n in range(1, 251)]
    load(app, rows)
    page = parsed(client.get("/w/long-one"))
    months = [words(h) for h in page.select(".month h3")]
    assert months[0].startswith("March 2026 8"), "the whole month is counted, shown or not"
    seen = [str(a["href"]) for a in page.select(".members a")]
    assert len(seen) == 100
    while earlier := page.select_one("#timeline a[rel=next]"):
        page = parsed(client.get(str(earlier["href"])))
        seen += [str(a["href"]) for a in page.select(".members a")]
    assert len(seen) == len(set(seen)) == 250
    counts = {words(d.dt): words(d.dd) for d in page.select("dl.counts > div")}
    assert counts["papers"] == "250"
    for odd in ("~", "x~1", "~99999999999", "%00~1", "9999~1"):
        assert client.get(f"/w/long-one?after={odd}").status_code == 200
