"""A job is followed to its end by events, also over a restart of the server, and by nobody twice."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from playwright.sync_api import Page, Request, expect

from app.bootstrap import App
from app.domain.records import RunState
from app.serving import _Server
from app.store import runs
from app.store.db import reading, writing
from app.web.app import create
from tests.browser.conftest import Heard, OpenPage
from tests.browser.feeds import FIRST, begin_job, bring_sources


def note(app: App, line: str, done: int = 1) -> None:
    with writing(app.engine) as session:
        runs.note(session, FIRST, step="link", done=done, failed=0, line=line, waiting=10)


def finish(app: App) -> None:
    with writing(app.engine) as session:
        runs.finish(session, FIRST, RunState.DONE, now=app.clock())


def streams(page: Page) -> list[Request]:
    """Fills with the requests for events that the page sends from now on."""
    found: list[Request] = []
    page.on("request", lambda each: found.append(each) if "/events" in each.url else None)
    return found


def test_a_job_is_followed_to_its_end(page: Page, app: App) -> None:
    begin_job(app)
    asked = streams(page)
    page.goto(f"/jobs/{FIRST}")
    expect(page.locator("#job-state")).to_contain_text("running")
    page.locator("#job-log").focus()
    note(app, "09:00:05 link: <b>4</b> more", 4)
    expect(page.locator("#job-log")).to_contain_text("link: <b>4</b> more")
    expect(page.locator("#job-steps")).to_contain_text("7 of 17")
    lines = (page.locator("#job-log").text_content() or "").splitlines()
    assert [line.split()[1] for line in lines if line] == ["encode:", "link:", "link:"]
    finish(app)
    expect(page.locator("#job-state b")).to_have_text("done")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "job-log"  # nobody lost their place
    page.wait_for_timeout(1_500)  # longer than a browser waits before it asks again
    assert len(asked) == 1


def test_a_job_is_cancelled_while_it_is_followed(page: Page, app: App) -> None:
    begin_job(app)
    page.goto(f"/jobs/{FIRST}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#job-act")).to_contain_text("It ends after the batch")
    with writing(app.engine) as session:
        runs.finish(session, FIRST, RunState.CANCELLED, now=app.clock())
    expect(page.locator("#job-act")).to_contain_text("Go on now")


class Restarted:
    """The program on one port, stopped and started again."""

    def __init__(self, app: App) -> None:
        self.app = app
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        web = create(self.app)
        config = uvicorn.Config(web, port=self.port, log_level="warning")
        self._server = _Server(web.state.ending, config)
        self._thread = threading.Thread(target=self._server.run, name="restarted", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started:
            assert self._thread.is_alive() and time.monotonic() < deadline
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends by itself: a stream that goes on would hold it for ever."""
        self._server.should_exit = True
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()


@pytest.fixture
def restarted(app: App, heard: Heard) -> Iterator[Restarted]:
    made = Restarted(app)
    made.start()
    heard.host = made.url
    yield made
    made.stop()


def test_a_job_is_followed_over_a_restart_of_the_server(
    restarted: Restarted, open_page: OpenPage, app: App
) -> None:
    begin_job(app)
    page = open_page()
    asked = streams(page)
    page.goto(f"{restarted.url}/jobs/{FIRST}")
    note(app, "09:00:05 link: before")
    expect(page.locator("#job-log")).to_contain_text("link: before")
    restarted.stop()
    note(app, "09:00:06 link: meanwhile")
    restarted.start()
    expect(page.locator("#job-log")).to_contain_text("link: meanwhile")
    finish(app)
    expect(page.locator("#job-state b")).to_have_text("done")
    text = page.locator("#job-log").text_content() or ""
    assert [text.count(each) for each in ("before", "meanwhile")] == [1, 1]
    assert asked[-1].headers["last-event-id"] == "3"


def test_without_scripts_a_job_and_sources_are_read_and_acted_on(
    open_page: OpenPage, app: App
) -> None:
    begin_job(app)
    bring_sources(app)
    plain = open_page(java_script_enabled=False)
    plain.goto(f"/jobs/{FIRST}")
    expect(plain.locator("#job-state")).to_contain_text("updated")
    plain.get_by_role("button", name="Cancel").click()
    with reading(app.engine) as session:
        assert runs.get(session, FIRST).cancel
    plain.goto("/sources")
    expect(plain.locator("#sources > ul > li")).to_have_count(6)
    plain.get_by_role("link", name="Paused show").click()
    plain.get_by_role("button", name="Resume").click()
    expect(plain.locator(".notice")).to_contain_text("It is asked again")
    plain.get_by_role("button", name="Fetch now").click()
    expect(plain.locator("#now")).to_contain_text("waits for its turn")
    plain.get_by_role("button", name="Cancel this fetch").click()
    expect(plain.locator(".notice")).to_contain_text("That fetch ends")
    plain.get_by_role("link", name="Remove").click()
    plain.get_by_role("button", name="Remove it").click()
    expect(plain.locator("#sources > ul > li")).to_have_count(5)
