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
    seen = [str(a["href"]) for a in page.select(".members div a")]
    assert len(seen) == 100
    while earlier := page.select_one("#timeline a[rel=next]"):
        page = parsed(client.get(str(earlier["href"])))
        seen += [str(a["href"]) for a in page.select(".members div a")]
    assert len(seen) == len(set(seen)) == 250
    counts = {words(d.dt): words(d.dd) for d in page.select("dl.counts > div")}
    assert counts["papers"] == "250"
    for odd in ("~", "x~1", "~99999999999", "%00~1", "9999~1"):
        assert client.get(f"/w/long-one?after={odd}").status_code == 200


# ---------------------------------------------------------------- looking for threads


def about(number: int, concept: str) -> dict[str, Any]:
    return {"type": "link", "source": f"arxiv:2605.{number:05}", "relation": "about", "target": concept}  # fmt: skip


def fill_concepts(app: App) -> None:
    fill(app)
    load(
        app,
        [
            *(
                {"type": "concept", "id": slug, "title": slug.title()}
                for slug in ("caches", "keys")
            ),
            *(about(n, "caches") for n in (1, 4)),
            about(2, "keys"),
        ],
    )


def filters(client: TestClient, query: str = "") -> dict[str, tuple[str, str]]:
    """The filters of the list: where each leads, and how many threads there would be."""
    page = parsed(client.get(f"/threads{query}"))
    return {
        words(li.a): (str(li.a["href"]), words(li.span) if li.span else "")
        for li in page.select(".filters > li")
    }


def test_filters_are_links_with_counts_and_lead_to_what_they_say(
    client: TestClient, app: App
) -> None:
    fill_concepts(app)
    found = filters(client)
    assert found == {
        "moved this week": ("/threads?moved=week", "1"),
        "growing": ("/threads?status=growing", "1"),
        "dormant": ("/threads?status=dormant", "2"),
        "Caches": ("/threads?between=caches", "2"),
        "Keys": ("/threads?between=keys", "1"),
    }
    for words_, (url, number) in found.items():
        page = parsed(client.get(url))
        assert len(page.select(".threads > li")) == int(number), words_
        assert words(page.select_one(".filters [aria-current]")) == words_
    both = filters(client, "?between=caches")["Keys"]
    assert both == ("/threads?between=caches%2Ckeys", "1")
    assert list(listed(client, "?between=caches,keys")) == ["Thread: Growing one"]


def test_a_search_for_what_a_member_says_finds_its_thread_and_names_it(
    client: TestClient, app: App
) -> None:
    fill(app)
    page = parsed(client.get("/threads?q=began"))
    [found] = page.select(".threads > li")
    assert words(found.h2) == "Thread: Growing one"
    assert "Paper 1 : Began it." in words(found)
    assert page.select_one("#q")["value"] == "began"
    assert "No thread fits" in words(parsed(client.get("/threads?q=wombats")).select_one(".empty"))


def test_the_list_stands_as_it_stood_and_keeps_the_day(client: TestClient, app: App) -> None:
    fill(app)
    page = parsed(client.get("/threads?asof=2026-05-12"))
    assert "As the threads stood on 12 May 2026" in words(page.select_one(".notice"))
    assert "2 papers" in listed(client, "?asof=2026-05-12")["Thread: Growing one"]
    assert page.select_one(".threads a")["href"] == "/w/growing-one?asof=2026-05-12"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?asof=2026-02-30", "'2026-02-30' is no day that has been"),
        ("?asof=2027-01-01", "is no day that has been"),
        ("?status=great", "A thread is growing, dormant, contradicted, closed."),
        ("?between=no+such", "There is no concept called 'no such'."),
        ("?between=growing-one", "There is no concept called 'growing-one'."),
    ],
)
def test_what_cannot_be_asked_is_said_over_the_whole_list(
    client: TestClient, app: App, query: str, says: str
) -> None:
    fill(app)
    answer = client.get(f"/threads{query}")
    assert answer.status_code == 422
    page = parsed(answer)
    assert says in words(page.select_one(".problem"))
    assert len(page.select(".threads > li")) == 3


# ---------------------------------------------------------------- the page of one


def test_each_number_leads_to_its_rows(client: TestClient, app: App) -> None:
    fill_concepts(app)
    page = parsed(client.get("/w/growing-one"))
    urls = {words(d.dt): d.dd.a["href"] for d in page.select("dl.counts > div") if d.dd.a}
    with reading(app.engine) as session:
        first, last = (page_.slug for page_ in (
            session.exec(select(Page).where(Page.title == f"Paper {n}")).one() for n in (1, 3)
        ))  # fmt: skip
    assert urls == {
        "papers": "#timeline",
        "since": f"/w/{first}",
        "latest": f"/w/{last}",
        "this week": "#timeline",
        "concepts": "#concepts",
        "open questions": "#questions",
    }
    for anchor in ("#timeline", "#concepts", "#questions"):
        assert page.select_one(anchor) is not None
    assert words(page.select_one("#concepts p")) == "Caches 1 , Keys 1 ."
    assert "Speeding up: 2 in the last four weeks, 1 in the four before." in words(page.article)


def test_a_thread_stands_as_it_stood_on_a_day(client: TestClient, app: App) -> None:
    fill_concepts(app)
    page = parsed(client.get("/w/growing-one?asof=2026-05-11"))
    counts = {words(d.dt): words(d.dd) for d in page.select("dl.counts > div")}
    assert (counts["papers"], counts["this week"]) == ("2", "1")
    assert len(page.select(".members > li")) == 2
    forms = {form["action"] for form in page.select("article form")}
    assert "/w/growing-one/thread" not in forms, "what was is not edited"
    assert page.select(".members .n a") == []
    wrong = client.get("/w/growing-one?asof=soon")
    assert wrong.status_code == 422
    assert "'soon' is no day that has been" in words(parsed(wrong).select_one(".problem"))


def test_a_contradiction_is_suggested_and_never_set(client: TestClient, app: App) -> None:
    fill(app)
    load(app, [member(4, "growing-one", day="2026-05-12", role="contradicts")])
    page = parsed(client.get("/w/growing-one"))
    suggested = page.select_one("article section.notice")
    assert "Paper 4 contradicts the claim" in words(suggested)
    assert "growing" in listed(client)["Thread: Growing one"]
    form = suggested.form
    answer = client.post(form["action"], data={i["name"]: i["value"] for i in form.select("input")})
    assert answer.status_code == 303
    assert "contradicted" in listed(client)["Thread: Growing one"]
    page = parsed(client.get("/w/growing-one"))
    assert page.select_one("article section.notice") is None
    assert words(page.select_one(".lede")) == "Growing one matters.", "the claim stays"


def test_the_reader_changes_the_claim_and_sees_the_one_before(client: TestClient, app: App) -> None:
    fill(app)
    client.post("/w/growing-one/thread", data={"claim": "It <b>grows</b>.", "status": "closed"})
    page = parsed(client.get("/w/growing-one"))
    assert words(page.select_one(".lede")) == "It <b>grows</b>."
    assert "until 14 May 2026: Growing one matters." in words(page.article)
    answer = client.post("/w/growing-one/thread", data={"claim": "x", "status": "great"})
    assert answer.status_code == 422
    assert parsed(answer).select_one("#claim")["value"] == "x", "nothing typed is lost"


def test_of_two_who_change_a_claim_at_once_the_second_sees_both(
    client: TestClient, app: App
) -> None:
    fill(app)
    url = "/w/growing-one/thread"
    form = parsed(client.get("/w/growing-one")).select_one(f"form:has(#claim)[action='{url}']")
    base = form.select_one("[name=base]")["value"]
    first = {"claim": "It grows.", "status": "open", "base": base}
    assert client.post(url, data=first).status_code == 303
    assert client.post(url, data=first).status_code == 303, "the same again is no other edit"
    second = {"claim": "It shrinks.", "status": "closed", "base": base}
    answer = client.post(url, data=second)
    assert answer.status_code == 409
    page = parsed(answer)
    assert "It grows." in words(page.select_one(".facts"))
    assert page.select_one("#claim")["value"] == "It shrinks."
    assert page.select_one("option[selected]").text == "closed"
    assert words(parsed(client.get("/w/growing-one")).select_one(".lede")) == "It grows."
    again = {**second, "base": page.select_one("[name=base]")["value"]}
    assert client.post(url, data=again).status_code == 303
    assert words(parsed(client.get("/w/growing-one")).select_one(".lede")) == "It shrinks."


def test_of_two_who_change_a_member_at_once_the_second_sees_both(
    client: TestClient, app: App
) -> None:
    fill(app)
    row = parsed(client.get("/w/growing-one")).select_one(".members > li")
    change = row.select_one(".n a")["href"]
    base = parsed(client.get(change)).select_one("[name=base]")["value"]
    said = {"role": "starts", "line": "First.", "day": "", "base": base}
    assert client.post(change, data=said).status_code == 303
    assert client.post(change, data=said).status_code == 303, "the same again is no other edit"
    answer = client.post(change, data={**said, "line": "Second."})
    assert answer.status_code == 409
    page = parsed(answer)
    assert "First." in words(page.select_one(".facts"))
    assert page.select_one("#line")["value"] == "Second."
    again = {**said, "line": "Second.", "base": page.select_one("[name=base]")["value"]}
    assert client.post(change, data=again).status_code == 303
    assert "Second." in words(parsed(client.get("/w/growing-one")).select_one("#timeline"))


def test_a_member_is_added_changed_and_taken_out_by_forms(client: TestClient, app: App) -> None:
    fill(app)
    url = "/w/new-one/members"
    assert parsed(client.get(url)).select_one("input[name=paper]") is not None
    wrong = client.post(url, data={"paper": "arxiv:2605.99999", "role": "starts", "line": "Yes."})
    assert wrong.status_code == 422
    page = parsed(wrong)
    assert "no page called" in words(page.select_one(".problem"))
    assert page.select_one("input[name=line]")["value"] == "Yes.", "nothing typed is lost"
    data = {"paper": "arxiv:2605.00005", "role": "starts", "line": "Yes.", "day": "2026-05-02"}
    assert client.post(url, data=data).status_code == 303
    [row] = parsed(client.get("/w/new-one")).select(".members > li")
    assert "starts" in words(row)
    assert "Paper 5 Yes." in words(row)
    change = row.select_one(".n a")["href"]
    assert parsed(client.get(change)).select_one("option[selected]").text == "starts"
    client.post(change, data={"role": "", "line": "No.", "day": ""})
    [row] = parsed(client.get("/w/new-one")).select(".members > li")
    assert "Paper 5 No." in words(row)
    assert client.post(change, data={"do": "out"}).status_code == 303
    assert parsed(client.get("/w/new-one")).select(".members > li") == []
    assert client.get(change).status_code == 404
    assert client.get("/w/nothing/members").status_code == 404


def test_two_threads_are_joined_and_one_is_split_by_forms(client: TestClient, app: App) -> None:
    fill(app)
    asked = parsed(client.get("/w/sleeping-one/merge?into=growing-one"))
    assert "Sleeping one goes into Growing one : 2 papers" in words(asked.select_one(".notice"))
    assert client.get("/w/sleeping-one/merge?into=no").status_code == 422
    answer = client.post("/w/sleeping-one/merge", data={"into": "growing-one"})
    assert answer.headers["location"] == "/w/growing-one?saved=joined"
    assert client.get("/w/sleeping-one").headers["location"] == "/w/growing-one"
    page = parsed(client.get("/w/growing-one"))
    assert len(page.select(".members > li")) == 5
    assert "Sleeping one went into this thread" in words(page.select_one("#joins"))
    form = parsed(client.get("/w/growing-one/split"))
    box = next(
        i for i in form.select("input[name=member]") if i["aria-label"] == "Paper 5"
    )  # fmt: skip
    data = {"title": "Sleepers", "claim": "They sleep.", "member": box["value"]}
    answer = client.post("/w/growing-one/split", data=data)
    assert answer.headers["location"] == "/w/sleepers?saved=split"
    page = parsed(client.get("/w/sleepers"))
    assert words(page.select_one(".lede")) == "They sleep."
    assert "Growing one is what this thread was split from" in words(page.select_one("#joins"))
    page = parsed(client.get("/w/growing-one"))
    assert "Sleepers was split off from this thread" in words(page.select_one("#joins"))


def test_a_paper_in_several_threads_names_them_and_is_found_in_each(
    client: TestClient, app: App
) -> None:
    fill(app)
    load(app, [member(1, "sleeping-one", day="2026-05-01")])
    page = parsed(client.get("/search?q=paper&mode=words&group=thread"))
    groups = {words(s.h2.a): words(s) for s in page.select("#results section") if s.h2 and s.h2.a}
    assert "Paper 1" in groups["Growing one"]
    assert "Paper 1" in groups["Sleeping one"]
    page = parsed(client.get("/search?q=paper&mode=words&thread=sleeping-one"))
    found = {words(li.select_one(".title")): words(li) for li in page.select(".results > li")}
    assert set(found) == {"Paper 1", "Paper 4", "Paper 5"}
    assert "in Growing one , Sleeping one" in found["Paper 1"]


# ---------------------------------------------------------------- for programs


def test_programs_ask_for_threads_as_people_do(client: TestClient, app: App) -> None:
    fill_concepts(app)

    def slugs(query: str) -> list[str]:
        return [each["slug"] for each in client.get(f"/api/v1/threads{query}").json()]

    assert slugs("") == ["growing-one", "sleeping-one", "new-one"]
    assert slugs("?moved=week") == ["growing-one"]
    assert slugs("?status=dormant") == ["sleeping-one", "new-one"]
    assert slugs("?between=caches,keys") == ["growing-one"]
    assert slugs("?q=began") == ["growing-one"]
    told = client.get("/api/v1/threads/growing-one?asof=2026-05-12").json()
    assert (told["id"], told["papers"], told["this_week"]) == ("growing-one", 2, 1)
    assert [each["role"] for each in told["members"]] == ["supports", "starts"]
    assert told["concepts"][0] == {"slug": "caches", "title": "Caches", "papers": 1}
    for query in ("?asof=x", "?status=x", "?between=x", "?moved=month"):
        assert client.get(f"/api/v1/threads{query}").status_code == 422, query
    assert client.get("/api/v1/threads/none").status_code == 404
    assert client.get("/api/v1/threads/caches").status_code == 404


@pytest.mark.parametrize(
    "path", ["/threads?asof=0001-01-01", "/api/v1/threads?asof=0001-01-01", "/digest/9999-12"]
)
def test_days_at_the_ends_of_the_calendar_break_nothing(client: TestClient, path: str) -> None:
    assert client.get(path).status_code < 500
