"""Jobs: runs, what waits, what was set aside, and the line at the foot of the navigation."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from fastapi import Request
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import ActKind, CallState, ModelCall, RunState
from app.store import acts, calls, pages, runs
from app.store.db import reading, writing
from app.web.app import create
from app.web.routes import jobs
from tests.web.conftest import NOW, PARTIAL, load, parsed, words


def ran(app: App, state: RunState | None, *, line: str = "") -> int:
    """A run that encoded three pages and linked none; None leaves it running."""
    with writing(app.engine) as session:
        run = runs.start(session, "worker", now=app.clock())
        assert run.id is not None
        runs.note(session, run.id, step="encode", done=3, failed=0, line="")
        runs.note(session, run.id, step="link", done=0, failed=1, line=line)
        if state is not None:
            runs.finish(session, run.id, state, now=app.clock())
        return run.id


def fail(app: App, slug: str, times: int) -> None:
    with writing(app.engine) as session:
        page_id = pages.get(session, slug).id
        assert page_id is not None
        for _ in range(times):
            runs.failed(session, "link", page_id, "No memory was left.", now=app.clock())


def test_before_the_first_run_the_screen_says_so(client: TestClient) -> None:
    page = parsed(client.get("/jobs"))
    assert "Nothing has run yet." in words(page.select_one(".empty"))
    assert page.select_one("#runs").get("hx-trigger") is None


def test_runs_are_listed_newest_first_with_their_steps(client: TestClient, app: App) -> None:
    ran(app, RunState.DONE)
    ran(app, RunState.FAILED, line="The disk is full.")
    rows = parsed(client.get("/jobs")).select(".runs > li")
    assert [words(row.select_one(".state")) for row in rows] == ["failed", "done"]
    assert [words(td) for td in rows[1].select("tbody tr")[0].select("td")][:3] == [
        "encode",
        "3",
        "0",
    ]
    assert "The disk is full." in words(rows[0].select_one("pre"))
    assert rows[0].details.has_attr("open")


def test_a_row_says_what_its_run_came_to(client: TestClient, app: App) -> None:
    quiet, made = ran(app, RunState.DONE), ran(app, RunState.DONE)
    with acts.doing(app.engine, ActKind.WORK, "A run", clock=app.clock, run_id=made):
        load(app, [{"type": "concept", "id": f"c{n}", "title": f"C {n}"} for n in range(2)])
    newest, oldest = parsed(client.get("/jobs")).select(".runs > li")
    assert "worker: 2 pages, 1 entry; 1 failed" in words(newest.summary)
    link = newest.select_one("a[href^='/activity/']")
    assert client.get(link["href"]).status_code == 200
    assert "worker: encode 3; 1 failed" in words(oldest.summary)
    assert oldest.select_one("a[href^='/activity/']") is None
    assert oldest.select_one(f"a[href='/jobs/{quiet}']") is not None


def test_a_running_job_is_asked_for_again_and_shown_at_the_foot(
    client: TestClient, app: App
) -> None:
    ran(app, None)
    page = parsed(client.get("/jobs"))
    assert page.select_one("#runs")["hx-get"] == "/jobs"
    assert "Working: encode 3" in words(page.select_one("#nav-status"))
    part = parsed(client.get("/jobs", headers=PARTIAL))
    assert part.select_one("html") is None
    assert part.select_one("#runs .running") is not None


def test_the_foot_is_answered_as_a_fragment(client: TestClient, app: App) -> None:
    still = parsed(client.get("/_/status", headers=PARTIAL))
    assert words(still.select_one("#nav-status")) == ""
    ran(app, None)
    assert "Working" in words(parsed(client.get("/_/status")).select_one("#nav-status a"))
    assert "<html" not in client.get("/_/status").text


def test_what_waits_is_counted_by_step(client: TestClient, app: App) -> None:
    load(
        app,
        [
            {"type": "concept", "id": "cache", "title": "Cache", "text": "A store of results."},
            {"type": "paper", "id": "arxiv:2605.00001", "title": "A cache study", "abstract": "Caches."},
        ],
    )  # fmt: skip
    waiting = words(parsed(client.get("/jobs")).find("p", class_="meta"))
    assert waiting.startswith("Waiting: ")
    for step in (
        "papers to read for terms 1",
        "papers to link 1",
        "concepts, or threads, that are one 1",
    ):
        assert step in waiting


def test_work_that_was_set_aside_is_named_and_can_be_tried_again(
    client: TestClient, app: App
) -> None:
    load(app, [{"type": "concept", "id": "cache", "title": "Cache"}, {"type": "concept", "id": "disk", "title": "Disk"}])  # fmt: skip
    fail(app, "disk", 1)
    fail(app, "cache", 5)
    rows = parsed(client.get("/jobs")).select("section li:has(.sentence)")
    assert [words(row.a) for row in rows] == ["Cache", "Disk"]
    assert "tried 5 times" in words(rows[0])
    assert "No memory was left." in words(rows[0])
    assert rows[0].a["href"] == "/w/cache"
    answer = client.post("/jobs", data={"anything": "else"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs")
    assert "No memory was left." not in client.get("/jobs").text


def test_a_failure_of_something_that_is_gone_has_no_link(client: TestClient, app: App) -> None:
    with writing(app.engine) as session:
        runs.failed(session, "encode", 4711, "It was gone.", now=app.clock())
    row = parsed(client.get("/jobs")).select_one("li:has(.sentence)")
    assert row.a is None
    assert "encode: number 4711" in words(row)


def test_looking_changes_nothing(client: TestClient, app: App) -> None:
    ran(app, None)
    for address in ("/jobs?page=abc&x='", "/_/status?x=1"):
        assert client.get(address).status_code == 200
    with reading(app.engine) as session:
        assert [run.state for run in runs.recent(session)] == [RunState.RUNNING]


# ---------------------------------------------------------------- one job


def test_a_job_shows_its_steps_its_lines_and_what_it_cost(client: TestClient, app: App) -> None:
    number = ran(app, RunState.DONE, line="link: <b>no memory</b>")
    with writing(app.engine) as session:
        for at, cost in ((NOW, 20_000), (NOW - timedelta(hours=1), 700_000)):
            calls.insert(
                session,
                ModelCall(
                    at=at,
                    day="2026-05-14",
                    purpose="judge",
                    model="m",
                    state=CallState.BOOKED,
                    cost=cost,
                ),
            )
    page = parsed(client.get(f"/jobs/{number}"))
    rows = [[words(cell) for cell in row.select("th, td")] for row in page.select("tbody tr")]
    assert rows[0][:2] == ["encode", "done"]
    assert rows[1][:2] == ["link", "failed"]
    assert words(page.select_one("#job-log")) == "link: <b>no memory</b>"
    assert "$0.02 spent" in words(page.select_one("#job-state"))
    assert page.select_one("[hx-sse\\:connect]") is None
    assert "hx-sse" not in client.get(f"/jobs/{number}").text
    link = parsed(client.get("/jobs")).select_one(f"a[href='/jobs/{number}']")
    assert words(link) == f"See job {number}"


def test_a_running_job_is_followed_and_can_be_cancelled(client: TestClient, app: App) -> None:
    number = ran(app, None, line="link: begun")
    page = parsed(client.get(f"/jobs/{number}"))
    follows = page.select_one("[hx-sse\\:connect]")
    assert follows["hx-sse:connect"] == f"/jobs/{number}/events?after=1"
    assert (follows["hx-sse:close"], follows["hx-swap"]) == ("done", "none")
    assert "updated 09:00:00 Refresh" in words(page.select_one("#job-state"))
    assert page.select_one("noscript meta[http-equiv=refresh]") is not None
    answer = client.post(f"/jobs/{number}/cancel")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/jobs/{number}")
    page = parsed(client.get(f"/jobs/{number}"))
    assert "It ends after the batch it is at." in words(page.select_one("#job-act"))
    with reading(app.engine) as session:
        assert runs.get(session, number).cancel


def test_a_job_that_is_over_is_not_cancelled_and_none_is_none(client: TestClient, app: App) -> None:
    number = ran(app, RunState.DONE)
    assert client.post(f"/jobs/{number}/cancel").status_code == 303
    with reading(app.engine) as session:
        assert not runs.get(session, number).cancel
    for path in ("/jobs/4711", "/jobs/4711/events", "/jobs/99999999999"):
        assert client.get(path).status_code == 404
    assert client.post("/jobs/4711/cancel").status_code == 404
    assert client.get("/jobs/abc").status_code == 422


def test_run_now_lets_work_go_on_after_a_cancelled_job(client: TestClient, app: App) -> None:
    number = ran(app, None)
    client.post(f"/jobs/{number}/cancel")
    with writing(app.engine) as session:
        runs.finish(session, number, RunState.CANCELLED, now=app.clock())
    page = parsed(client.get(f"/jobs/{number}"))
    assert words(page.select_one("#job-act button")) == "Go on now"
    assert "after ten minutes" in words(page.select_one(".notice"))
    client.post("/jobs")
    with reading(app.engine) as session:
        assert not runs.rests(session, number)


# ---------------------------------------------------------------- the stream


def events(text: str) -> list[dict[str, str]]:
    """The events of a stream as a browser takes them apart; comments are none."""
    found = []
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        for line in block.splitlines():
            name, _, value = line.partition(": ")
            if name:
                fields[name] = f"{fields[name]}\n{value}" if name in fields else value
        if fields and not block.startswith(":"):
            found.append(fields)
    return found


def test_the_stream_of_a_job_that_is_over_tells_its_end_and_closes(
    client: TestClient, app: App
) -> None:
    number = ran(app, RunState.DONE, line="link: </hx-partial><script>")
    answer = client.get(f"/jobs/{number}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    told, last = events(answer.text)
    assert last == {"event": "done", "data": "done"}
    assert told["id"] == "1"
    parts = BeautifulSoup(told["data"], "html.parser").find_all("hx-partial", recursive=False)
    assert [each["hx-target"] for each in parts] == [
        "#job-state",
        "#job-steps",
        "#job-log",
        "#job-act",
    ]
    assert parts[2].get_text() == "link: </hx-partial><script>\n"
    assert "script" not in [each.name for each in parts[2].find_all()]


def log(app: App, number: int, lines: range) -> None:
    with writing(app.engine) as session:
        for each in lines:
            runs.note(session, number, step="encode", done=1, failed=0, line=f"line {each}")


@pytest.mark.parametrize(
    ("since", "swap", "first"),
    [
        ("60", "beforeend", "line 61"),
        ("63", None, ""),
        ("", "innerHTML", "line 14"),
        ("3", "innerHTML", "line 14"),
        ("4711", "innerHTML", "line 14"),
        ("-1", "innerHTML", "line 14"),
        ("x' OR 1", "innerHTML", "line 14"),
    ],
)
def test_a_stream_goes_on_after_the_event_that_came_last(
    client: TestClient, app: App, since: str, swap: str | None, first: str
) -> None:
    number = ran(app, None)
    log(app, number, range(1, 64))
    with writing(app.engine) as session:
        runs.finish(session, number, RunState.DONE, now=app.clock())
    header = client.get(f"/jobs/{number}/events?after=1", headers={"Last-Event-ID": since})
    for answer in (header, client.get(f"/jobs/{number}/events", params={"after": since})):
        [told, _] = events(answer.text)
        part = BeautifulSoup(told["data"], "html.parser").find(attrs={"hx-target": "#job-log"})
        if swap is None:
            assert part is None
            continue
        assert part is not None
        assert (part["hx-swap"], part.get_text().splitlines()[0]) == (swap, first)


def test_a_stream_tells_what_changes_and_nothing_twice(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.streams.LOOK_SECONDS", 0.001)
    number = ran(app, None)

    async def follow() -> list[dict[str, str]]:
        web = create(app)
        heard: list[bytes] = []
        route = next(r for r in jobs.router.routes if getattr(r, "name", "") == "events")
        scope = {"type": "http", "app": web, "headers": [], "path": "/", "query_string": b""}
        response = route.endpoint(Request(scope), app, number, "0")  # type: ignore[attr-defined]
        async for chunk in response.body_iterator:
            heard.append(chunk)
            if b"id: 0" in chunk:
                log(app, number, range(1, 3))
            elif b"id: 2" in chunk:
                ends(app, number)
        return events(b"".join(heard).decode())

    told = asyncio.run(follow())
    assert [each.get("id") for each in told] == ["0", "2", "2", None]
    assert told[-1] == {"event": "done", "data": "done"}
    assert "line 1\nline 2\n" in told[1]["data"]
    assert "#job-log" not in told[2]["data"]


def ends(app: App, number: int) -> None:
    with writing(app.engine) as session:
        runs.finish(session, number, RunState.DONE, now=app.clock())
