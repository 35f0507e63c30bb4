"""Live claims on pages and the list behind a number; the Health screen and what it puts right."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import PageKind
from app.reading import told
from app.services import pages as editing
from app.store import pages
from app.store.db import reading, writing
from app.store.pages import Content
from tests.web.conftest import NOW, Statements, load, member, parsed, words


def paper(number: int) -> dict[str, Any]:
    return {"type": "paper", "id": f"arxiv:2605.{number:05}", "title": f"Paper {number}"}


def write(app: App, slug: str, body: str, kind: PageKind = PageKind.NOTE) -> None:
    with writing(app.engine) as session:
        page = pages.by_slug(session, slug)
        title = page.title if page else slug.capitalize()
        content = Content(title=title, kind=page.kind if page else kind, body=body)
        editing.save(session, slug, content, base=page.version if page else 0, now=NOW)


@pytest.fixture(autouse=True)
def _tides(app: App) -> None:
    load(
        app,
        [
            {"type": "thread", "id": "tides", "title": "The tide thread", "claim": "It rises."},
            *(paper(number) for number in range(1, 131)),
            *(member(number, "tides", day=f"2026-05-{number:02}") for number in (1, 2, 3)),
        ],
    )


def test_a_number_is_counted_and_leads_to_its_rows(app: App, client: TestClient) -> None:
    write(app, "note", "There are **{{count thread:tides}}** papers, see {{latest thread:tides}}.")
    page = parsed(client.get("/w/note"))
    number = page.select_one("strong a")
    assert number is not None and words(number) == "3"
    assert "in the thread The tide thread" in number["title"]
    assert "Paper 3 (3 May 2026)." in words(page.select_one("article"))
    rows = parsed(client.get(number["href"])).select(".members a")
    assert [words(row) for row in rows] == ["Paper 3", "Paper 2", "Paper 1"]


def test_a_number_is_new_as_soon_as_the_graph_is(app: App, client: TestClient) -> None:
    write(app, "note", "There are {{count thread:tides}} papers.")
    first = client.get("/w/note")
    assert "3</a> papers" in first.text
    load(app, [paper(4), member(4, "tides", day="2026-05-04")])
    again = client.get("/w/note", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 200
    assert "4</a> papers" in again.text


def test_a_page_with_claims_costs_no_more_once_it_is_known(
    app: App, client: TestClient, statements: Statements
) -> None:
    write(app, "note", "There are {{count thread:tides}} papers.")
    write(app, "plain", "There are no papers.")
    for slug in ("note", "plain"):
        client.get(f"/w/{slug}")
    statements.seen.clear()
    client.get("/w/note")
    with_claims = len(statements)
    statements.seen.clear()
    client.get("/w/plain")
    assert with_claims == len(statements)


def test_what_cannot_be_counted_is_shown_as_written_and_says_why(
    app: App, client: TestClient
) -> None:
    hurt = '{{count thread:"<script>alert(1)</script>"}}'
    write(app, "note", f"{hurt} and {{{{sum up}}}} and `{{{{count thread:tides}}}}`.")
    page = parsed(client.get("/w/note"))
    marks = page.select("article .missing[title]")
    assert [words(mark) for mark in marks] == [hurt, "{{sum up}}"]
    assert "No page is called" in marks[0]["title"]
    assert "No live claim is called “sum”" in marks[1]["title"]
    assert "{{count thread:tides}}" in words(page.select_one("article code"))
    assert page.select("article script") == []


def test_a_heading_and_the_contents_say_the_number(app: App, client: TestClient) -> None:
    write(app, "note", "## {{count thread:tides}} papers\n\nText.\n\n## More\n\nText.")
    page = parsed(client.get("/w/note"))
    assert "3 papers" in words(page.select_one("nav.contents"))
    assert words(page.select_one("article h2")) == "3 papers"


def test_the_preview_counts_and_the_raw_text_does_not(app: App, client: TestClient) -> None:
    body = "{{count thread:tides}} papers"
    assert "3</a> papers" in client.post("/_/preview", data={"body": body}).text
    write(app, "note", body)
    assert client.get("/w/note.md").text.strip() == body
    with reading(app.engine) as session:
        assert told(session, f"{body}, `{body}`") == f"3 papers, `{body}`"


def test_the_list_goes_on_page_by_page(client: TestClient) -> None:
    seen: list[str] = []
    address: str | None = "/live?q=count+kind:paper"
    while address:
        page = parsed(client.get(address))
        assert words(page.h1).startswith("130 papers")
        seen += [row["href"] for row in page.select(".members a")]
        more = page.select_one('a[rel="next"]')
        address = more["href"] if more else None
    assert len(seen) == len(set(seen)) == 130


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("q=sum", "No live claim is called"),
        ("q=count+thread:gone", "No page is called"),
        ("q=count+thread:tides&after=x", "3 pages"),
        ("q=%7B%7Bcount+thread:tides%7D%7D", "3 pages"),
        ("", "A number in a text"),
    ],
)
def test_any_question_has_an_answer(client: TestClient, query: str, says: str) -> None:
    answer = client.get(f"/live?{query}")
    assert answer.status_code == 200
    assert says in words(parsed(answer).main)


# ---------------------------------------------------------------- health


def found(client: TestClient, check: str) -> list[dict[str, str]]:
    checks = client.get("/api/v1/health").json()["texts"]
    return next(each["findings"] for each in checks if each["check"] == check)


def body(app: App, slug: str) -> str:
    with reading(app.engine) as session:
        return pages.get(session, slug).body


def test_a_typed_counter_that_is_wrong_is_found_and_put_right(app: App, client: TestClient) -> None:
    before = "**Now** the tide thread is eight papers strong; `eight papers strong` is code.\n"
    write(app, "note", before)
    [doubt] = found(client, "typed-counters")
    assert doubt["says"] == "eight papers strong"
    assert doubt["found"].startswith("3 papers in the thread The tide thread")
    form = parsed(client.get("/health")).select_one('form[action="/health/live"]')
    assert form is not None
    fields = {each["name"]: each["value"] for each in form.select("input")}
    assert client.post("/health/live", data=fields).status_code == 303
    live = "{{count thread:tides kind:paper}} papers strong"
    assert body(app, "note") == before.replace("eight papers strong", live, 1)
    assert found(client, "typed-counters") == []
    assert client.post("/health/live", data=fields).status_code == 409, "it is done"
    with writing(app.engine) as session:
        editing.restore(session, "note", 1, now=NOW)
    assert len(found(client, "typed-counters")) == 1, "taken back in the history"


@pytest.mark.parametrize(
    "text",
    [
        "The tide thread is three papers strong.",
        "It is nine papers strong.",  # of what, nobody can say
        "The tide thread has {{count thread:tides}} papers so far.",
        "The tide thread: `nine papers strong`.",
    ],
)
def test_what_is_right_or_of_nothing_known_is_left_alone(
    app: App, client: TestClient, text: str
) -> None:
    write(app, "note", text)
    assert found(client, "typed-counters") == []


def test_a_thread_counts_its_own_papers(app: App, client: TestClient) -> None:
    write(app, "tides", "Now 12 papers. Seven papers in two days. The fourth paper in this thread.")
    says = [doubt["says"] for doubt in found(client, "typed-counters")]
    assert says == ["Now 12 papers", "Seven papers in two days", "fourth paper in this thread"]


def test_live_claims_that_do_not_hold_are_found(app: App, client: TestClient) -> None:
    write(app, "note", "{{count thread:gone}}, {{sum}}, {{none thread:tides}}, {{count tag:x}}.")
    says = {doubt["says"]: doubt["found"] for doubt in found(client, "live-claims")}
    assert list(says) == ["{{count thread:gone}}", "{{sum}}", "{{none thread:tides}}"]
    assert "Now there are 3 pages" in says["{{none thread:tides}}"]
    assert "{{sum}}" in words(parsed(client.get("/health?check=live-claims")).main)


def test_health_asks_as_much_however_much_there_is(
    app: App, client: TestClient, statements: Statements
) -> None:
    def asked() -> int:
        write(app, "other", f"Text {len(client.get('/api/v1/health').text)}.")
        statements.seen.clear()
        assert client.get("/health").status_code == 200
        return len(statements)

    write(app, "note", "The tide thread is nine papers strong. {{count thread:gone}}")
    few = asked()
    line = "The tide thread is nine papers strong. {{count thread:gone}} [[Nobody wrote]]\n\n"
    write(app, "note", line * 20)
    load(
        app, [{"type": "page", "kind": "note", "id": f"n{n}", "title": f"N {n}"} for n in range(40)]
    )
    assert asked() <= few + 1
