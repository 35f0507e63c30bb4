"""Jobs: runs, what waits, what was set aside, and the line at the foot of the navigation."""

from __future__ import annotations

from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import RunState
from app.store import pages, runs
from app.store.db import reading, writing
from tests.web.conftest import PARTIAL, load, parsed, words


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
