"""The program in a thread, a copy of one invented wiki for each test, and the Chromium on the path.

Every page that a test opens is listened to: a line on its console, a breach of the content policy,
a request to another host or a dialog nobody expected fails the test that caused it.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    expect,
    sync_playwright,
)

from app.bootstrap import App
from app.services.linker import shipped_weights
from app.settings import Settings
from app.store.db import open_engine
from app.web.app import create
from app.web.assets import ROOT
from app.web.memory import Bodies, Facts, Fragments
from tests.browser import wiki
from tests.factories import make_engine

HERE = Path(__file__).parent
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 20_000  # milliseconds: machines that test are busy
expect.set_options(timeout=PATIENCE)

_LISTEN = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One Chromium for the folder; where there is none, all of it is skipped."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium on the path")
    if not (ROOT / "static" / "manifest.json").is_file():
        pytest.skip("the files of the interface are not installed: run `cerebro assets`")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=ARGUMENTS)


@dataclass
class Server:
    """The program as it is served, over whichever database file a test gives it."""

    app: App
    web: FastAPI
    url: str


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The whole program behind uvicorn on a port of its own, over the wiki as it was built."""
    data = tmp_path_factory.mktemp("browser")
    settings = Settings(data=data, embedding_model="none", timezone="UTC", now=wiki.NOW)
    app = App(settings, make_engine(data), shipped_weights(None))
    wiki.build(app)
    app.engine.dispose()
    web = create(app)
    served = uvicorn.Server(
        uvicorn.Config(web, port=0, log_level="warning", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=served.run, name="served", daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not served.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    port = served.servers[0].sockets[0].getsockname()[1]
    yield Server(app, web, f"http://127.0.0.1:{port}")
    served.should_exit = True
    thread.join(timeout=20)


@pytest.fixture
def site(server: Server, tmp_path: Path) -> Iterator[Server]:
    """The server over a copy of the wiki that is this test's own."""
    built, copy = server.app.settings.data / "wiki.sqlite3", tmp_path / "wiki.sqlite3"
    shutil.copyfile(built, copy)
    server.app.engine = open_engine(f"sqlite:///{copy}")
    # What was kept of another test's copy is of other pages with the same ids and counters.
    state = server.web.state
    state.facts, state.bodies, state.fragments = Facts(), Bodies(), Fragments()
    yield server
    server.app.engine.dispose()


@pytest.fixture
def app(site: Server) -> App:
    """The App behind the server, to look into its database or to act behind the browser's back."""
    return site.app


@dataclass
class Heard:
    """What the pages of a test should not have said or asked for."""

    host: str
    expected: str = ""  # words of a console line that a test means to cause
    stays: bool | None = None  # the answer when an editor asks before it is left; None: unexpected
    asked_to_leave: int = 0
    problems: list[str] = field(default_factory=list)

    def said(self, message: ConsoleMessage) -> None:
        # The browser notes every answer of 400 and above; tests ask for some of those.
        known = ["Failed to load resource", *filter(None, [self.expected])]
        if message.type in ("error", "warning") and not any(k in message.text for k in known):
            self.problems.append(f"{message.type}: {message.text[:400]}")

    def failed(self, error: Any) -> None:
        self.problems.append(f"script: {error}")

    def asked(self, request: Request) -> None:
        if not request.url.startswith((self.host, "data:")):
            self.problems.append(f"request: {request.method} {request.url}")

    def stopped(self, dialog: Dialog) -> None:
        if dialog.type == "beforeunload" and self.stays is not None:
            self.asked_to_leave += 1
            if self.stays:
                dialog.dismiss()
            else:
                dialog.accept()
            return
        self.problems.append(f"dialog: {dialog.type} {dialog.message}")
        dialog.dismiss()


OpenPage = Callable[..., Page]


@pytest.fixture
def heard(site: Server) -> Heard:
    """What the pages of this test said; it fails at the end when that is anything."""
    return Heard(site.url)


@pytest.fixture
def open_page(chromium: Browser, site: Server, heard: Heard) -> Iterator[OpenPage]:
    """Opens pages, each in a browser of its own, as wide and in the colours asked for."""
    contexts = []

    def opened(
        *, width: int = 1360, height: int = 860, scheme: str = "light", **options: Any
    ) -> Page:
        context = chromium.new_context(
            base_url=site.url,
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        if options.get("java_script_enabled", True):
            context.add_init_script(_LISTEN)
        page = context.new_page()
        page.on("console", heard.said)
        page.on("pageerror", heard.failed)
        page.on("request", heard.asked)
        page.on("dialog", heard.stopped)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert heard.problems == []


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """A desktop browser with nothing open yet."""
    return open_page()
