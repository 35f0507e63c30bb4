"""A save that fails for no fault of the reader's: the answer has what they wrote, and reading goes on."""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import PageKind
from app.store import pages
from app.store.db import reading, writing
from app.store.pages import PERSON, Content
from app.web.app import ROUTERS
from tests.web.conftest import NOW, PARTIAL, parsed, words

LONG = "Words that nobody wants to write twice.\n" * 20_000
FIELDS = {"title": "Shelf", "kind": "concept", "aliases": "rack", "tags": "wood", "base_rev": "1"}


@pytest.fixture
def wiki(app: App) -> App:
    with writing(app.engine) as session:
        content = Content(title="Shelf", kind=PageKind.CONCEPT, body="A text.")
        pages.create(session, content, author=PERSON, now=NOW)
    return app


@contextmanager
def full(app: App) -> Iterator[None]:
    """The file of the database cannot grow."""

    def narrow(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=1")  # SQLite keeps what there is

    sa.event.listen(app.engine, "begin", narrow)
    try:
        yield
    finally:
        sa.event.remove(app.engine, "begin", narrow)
        with app.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=4294967294")


@contextmanager
def busy(app: App) -> Iterator[None]:
    """Nobody can begin to write."""

    def refuse(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("write"):
            locked = sqlite3.OperationalError("database is locked")
            raise sa.exc.OperationalError("BEGIN", {}, locked)

    sa.event.listen(app.engine, "begin", refuse)
    try:
        yield
    finally:
        sa.event.remove(app.engine, "begin", refuse)


@pytest.mark.sqlite_only
@pytest.mark.parametrize("fault", [full, busy])
def test_the_editor_comes_back_with_what_was_written(
    wiki: App, client: TestClient, fault: type
) -> None:
    fields = FIELDS | {"body": LONG}
    with fault(wiki):
        answer = client.post("/w/shelf/edit", data=fields)
        page = parsed(answer)
        assert answer.status_code == (507 if fault is full else 503)
        assert "Your text is below" in words(page.select_one(".notice[role=alert]"))
        assert page.select_one("#body").text.removeprefix("\n") == LONG
        for name in ("title", "aliases", "tags", "base_rev"):
            element = page.select_one(f"#editor [name={name}]")
            assert (element.get("value") or element.text) == FIELDS[name]
        assert client.get("/w/shelf").status_code == 200, "reading goes on"
        assert client.get("/w/shelf/history").status_code == 200
    with reading(wiki.engine) as session:
        assert pages.get(session, "shelf").body == "A text."
    assert client.post("/w/shelf/edit", data=fields).status_code == 303, "without a restart"
    assert client.get("/w/shelf.md").text == LONG


@pytest.mark.sqlite_only
def test_a_new_page_comes_back_as_one(wiki: App, client: TestClient) -> None:
    fields = FIELDS | {"title": "Another", "base_rev": "", "body": LONG}
    with full(wiki):
        answer = client.post("/w/new-page/edit", data=fields)
    assert answer.status_code == 507 and "New page" in words(parsed(answer).h1)
    assert LONG in parsed(answer).select_one("#body").text


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (
            "/topics/new",
            {"name": "Long context", "description": "What is said of very long inputs."},
        ),
        ("/predictions", {"claim": "Every phone will hold a model.", "due": "2027-01-01"}),
        ("/w/shelf/thread", {"claim": "A claim of several words", "status": "open"}),
        ("/w/shelf/restore", {"version": "1"}),
    ],
)
def test_any_form_can_be_sent_again_from_the_page_that_says_what_went_wrong(
    wiki: App, client: TestClient, path: str, fields: dict[str, str]
) -> None:
    with busy(wiki):
        answer = client.post(path, data=fields)
    assert answer.status_code == 503
    form = parsed(answer).select_one("main form")
    assert (form["action"], form["method"]) == (path, "post")
    kept = {
        each["name"]: each.get("value") if each.name == "input" else each.text.removeprefix("\n")
        for each in form.select("input, textarea")
    }
    assert kept == fields
    shown = {each["name"] for each in form.select("textarea")}
    assert all(name in shown for name, value in fields.items() if " " in value)


@pytest.mark.sqlite_only
def test_what_is_sent_again_holds_no_password_and_no_markup(wiki: App, client: TestClient) -> None:
    hostile = "</textarea><script>alert(1)</script> and words"
    with busy(wiki):
        answer = client.post("/w/shelf/rename?x=%22%3E", data={"title": hostile, "password": "s"})
    page = parsed(answer)
    form = page.select_one("main form")
    assert form.select_one("textarea").text.removeprefix("\n") == hostile
    assert form.select_one("script") is None and form.select_one("[name=password]") is None
    assert form["action"] == "/w/shelf/rename?x=%22%3E"


@pytest.mark.sqlite_only
def test_a_part_of_a_page_gets_one_line_and_programs_get_json(
    wiki: App, client: TestClient
) -> None:
    with busy(wiki):
        part = client.post("/decisions/1/undo", data={}, headers=PARTIAL)
        told = client.put("/api/v1/pages/shelf", json={"body": "x"})
    assert part.status_code == 503 and parsed(part).select_one(".alert p") is not None
    assert parsed(part).select_one("form") is None
    assert told.status_code in (405, 422, 503) and "error" in told.json()


def test_words_that_were_refused_are_not_lost_by_going_back(wiki: App, client: TestClient) -> None:
    answer = client.post("/w/shelf/rename", data={"slug": "Not An Address", "title": "New words"})
    assert answer.status_code == 422
    shown = [each.text.strip() for each in parsed(answer).select("main textarea")]
    assert shown == ["Not An Address", "New words"]
    plain = client.post("/w/shelf/restore", data={"version": "99"})
    assert plain.status_code == 404 and parsed(plain).select_one("main form") is None


def test_every_form_is_read_before_the_database_is_asked(app: App) -> None:
    """What was posted is kept then, also where not even a transaction can begin."""
    late = []
    for router in ROUTERS:
        for route in router.router.routes:
            names = list(inspect.signature(route.endpoint).parameters.items())
            kinds = ["form" if name == "form" else str(each.annotation) for name, each in names]
            if (
                "form" in kinds
                and "Writes" in kinds
                and kinds.index("form") > kinds.index("Writes")
            ):
                late.append(route.path)
    assert late == []
