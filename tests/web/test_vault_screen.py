"""The vault in the browser: how it stands, and the form for a page that its file contradicts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import Session, select
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.merge import IN_FILE, ON_PAGE
from app.domain.records import AuthorKind, PageKind, Revision, VaultConflict, VaultProblem
from app.store import pages
from app.store.db import reading, writing
from app.store.pages import PERSON, Content
from app.syncing import once
from tests.web.conftest import NOW, parsed, words

BASE = "A first line.\n\nA second line.\n"
FILE = BASE.replace("second", "filed")
PAGE = BASE.replace("second", "typed")
HEAD = "---\nid: shelf\nkind: concept\ntitle: Shelf\ntags: [wood]\nuses:\n  - '[[Nowhere]]'\n---\n"


@pytest.fixture
def wiki(app: App) -> App:
    """A concept whose file and page were changed in the same line."""
    with writing(app.engine) as session:
        content = Content(title="Shelf", kind=PageKind.CONCEPT, body=BASE)
        page = pages.create(session, content, author=PERSON, now=NOW)
        pages.revise(session, page, replace(content, body=PAGE), author=PERSON, now=NOW)
        pages.create(session, replace(content, title="Board"), author=PERSON, now=NOW)
        dispute(session, FILE)
    return app


def dispute(session: Session, text: str, *, name: str = "1") -> None:
    page_id = pages.get(session, "shelf").id
    row = {"page_id": page_id, "base": 1, "text": HEAD + text, "hash": name * 64, "at": NOW}
    session.merge(VaultConflict(**row))


def bodies(app: App) -> list[tuple[str, str]]:
    """Who wrote each version of the page in conflict, and its text, the oldest first."""
    with reading(app.engine) as session:
        page_id = pages.get(session, "shelf").id
        rows = session.exec(
            select(Revision).where(Revision.page_id == page_id).order_by(Revision.number)
        )
        return [(row.author_kind.value, row.body) for row in rows]


def is_over(app: App) -> bool:
    with reading(app.engine) as session:
        return session.exec(select(VaultConflict)).first() is None


def form_of(client: TestClient) -> dict[str, str]:
    page = parsed(client.get("/w/shelf/conflict"))
    fields = {each["name"]: each["value"] for each in page.select("#editor input[type=hidden]")}
    return fields | {"body": page.select_one("#body").text.removeprefix("\n")}


def post(client: TestClient, fields: dict[str, str]) -> Any:
    return client.post("/w/shelf/conflict", data=fields)


def test_a_page_in_conflict_says_so_wherever_a_reader_looks(wiki: App, client: TestClient) -> None:
    for path in ("/w/shelf", "/vault", "/health"):
        page = parsed(client.get(path))
        assert page.select_one("main a[href='/w/shelf/conflict']") is not None, path
    assert parsed(client.get("/w/board")).select_one("a[href$='/conflict']") is None
    waits = parsed(client.get("/")).select_one("a[href='/vault#conflicts']")
    assert words(waits) == "1 page to put together with its file"


def test_the_form_has_both_texts_what_each_changed_and_one_with_marks(
    wiki: App, client: TestClient
) -> None:
    page = parsed(client.get("/w/shelf/conflict"))
    file, here = page.select(".panes > section")
    assert words(file.select_one("ins")) == "A filed line."
    assert words(here.select_one("ins")) == "A typed line."
    assert words(file.select_one("del")) == words(here.select_one("del")) == "A second line."
    assert [each.text for each in page.select("pre")] == [FILE, PAGE]
    body = form_of(client)["body"]
    assert all(each in body for each in (IN_FILE, "A filed line.", ON_PAGE, "A typed line."))
    told = words(page.select_one(".facts"))
    assert "tags in the file: wood" in told and "uses: Nowhere" in told


def test_a_text_put_together_is_saved_and_both_others_are_in_the_history(
    wiki: App, client: TestClient
) -> None:
    joined = BASE.replace("A second", "A filed and typed")
    saved = post(client, form_of(client) | {"body": joined, "keep": "merged"})
    assert saved.headers["location"] == "/w/shelf?saved=settled"
    assert bodies(wiki)[1:] == [("person", PAGE), ("vault", FILE), ("person", joined)]
    assert is_over(wiki)
    assert client.get("/w/shelf/conflict").status_code == 404
    assert post(client, {"body": "x"}).status_code == 409, "it has ended"


@pytest.mark.parametrize(
    ("keep", "then"),
    [("file", [("vault", FILE)]), ("page", [("vault", FILE), ("person", PAGE)])],
)
def test_one_of_the_two_is_kept_by_one_press_and_the_other_stays_in_history(
    wiki: App, client: TestClient, keep: str, then: list[tuple[str, str]]
) -> None:
    assert post(client, form_of(client) | {"keep": keep}).status_code == 303
    assert bodies(wiki)[2:] == then
    assert is_over(wiki)


def test_a_file_edited_again_meanwhile_is_shown_with_what_was_written(
    wiki: App, client: TestClient
) -> None:
    fields = form_of(client) | {"body": "What I wrote.\n", "keep": "merged"}
    with writing(wiki.engine) as session:
        dispute(session, FILE.replace("filed", "filed again"), name="2")
    answer = post(client, fields)
    page = parsed(answer)
    assert answer.status_code == 409 and "changed again" in words(page.select_one(".warn"))
    assert page.select_one("#body").text.strip() == "What I wrote."
    assert (
        "A filed again line." in page.select("pre")[0].text and page.select("pre")[1].text == PAGE
    )
    assert len(bodies(wiki)) == 2 and not is_over(wiki)
    again = {each["name"]: each["value"] for each in page.select("#editor input[type=hidden]")}
    assert post(client, fields | again).status_code == 303
    assert bodies(wiki)[-1] == ("person", "What I wrote.\n")


def test_a_page_edited_again_meanwhile_is_no_other_case(wiki: App, client: TestClient) -> None:
    fields = form_of(client) | {"keep": "file"}
    with writing(wiki.engine) as session:
        page = pages.get(session, "shelf")
        content = replace(pages.content_of(session, page), body="Newer.\n")
        pages.revise(session, page, content, author=PERSON, now=NOW)
    assert post(client, fields).status_code == 409
    assert bodies(wiki)[-1] == ("person", "Newer.\n") and not is_over(wiki)


def test_marks_that_were_left_are_not_saved(wiki: App, client: TestClient) -> None:
    answer = post(client, form_of(client) | {"keep": "merged"})
    assert answer.status_code == 422
    page = parsed(answer)
    assert "There are still marks in the text" in words(page.select_one("#body-problem"))
    assert IN_FILE in page.select_one("#body").text
    assert len(bodies(wiki)) == 2 and not is_over(wiki)


def test_a_text_no_page_may_have_is_refused_and_kept(wiki: App, client: TestClient) -> None:
    answer = post(client, form_of(client) | {"body": "x" * 1_000_001, "keep": "merged"})
    assert answer.status_code == 422 and "longer than a million" in answer.text
    assert len(bodies(wiki)) == 2 and not is_over(wiki)


def test_posts_that_make_no_sense_change_nothing(wiki: App, client: TestClient) -> None:
    for fields in ({}, {"hash": "x", "version": "y"}, {"version": "9" * 30}):
        assert post(client, fields).status_code == 409
    assert client.post("/w/nowhere/conflict", data={}).status_code == 404
    assert client.get("/w/nowhere/conflict").status_code == 404
    assert len(bodies(wiki)) == 2


def test_the_vault_says_where_it_is_what_waits_and_what_is_left_alone(
    wiki: App, client: TestClient
) -> None:
    with writing(wiki.engine) as session:
        for number in range(210):
            path, reason = f"notes/{number:03}.md", "This is <b>no</b> text."
            session.add(VaultProblem(path=path, reason=reason, at=NOW))
    page = parsed(client.get("/vault"))
    text = words(page.main)
    assert str(wiki.vault_folder) in text
    assert "2 pages to be written" in text and "Nobody watches it" in text
    assert "Left alone 210" in text and "And 10 more." in text
    assert page.select_one("#problems b") is None, "what stands in a reason is text"
    assert "210 files left alone" in words(parsed(client.get("/health")).select_one("#vault"))


def test_an_empty_wiki_has_a_quiet_vault(app: App, client: TestClient) -> None:
    text = words(parsed(client.get("/vault")).main)
    assert "all files say what their pages say" in text
    assert "No file is in conflict, and none is left alone." in text


def test_whose_text_it_is_stays_whose_it_was(wiki: App, client: TestClient) -> None:
    assert post(client, form_of(client) | {"keep": "file"}).status_code == 303
    with reading(wiki.engine) as session:
        assert pages.get(session, "shelf").author_kind == AuthorKind.VAULT


def test_file_and_page_are_put_together_from_edit_to_file(app: App, client: TestClient) -> None:
    """With the real folder: both edited, the conflict seen, one text saved, and the file has it."""
    with writing(app.engine) as session:
        content = Content(title="Shelf", kind=PageKind.CONCEPT, body=BASE)
        pages.create(session, content, author=PERSON, now=NOW)
    once(app, "test")
    file = app.vault_folder / "concepts" / "Shelf.md"
    file.write_text(file.read_text().replace("second", "filed"))
    client.post(
        "/w/shelf/edit", data={"title": "Shelf", "kind": "concept", "base_rev": "1", "body": PAGE}
    )
    once(app, "test")
    assert file.read_text().endswith(FILE) and client.get("/w/shelf.md").text == PAGE
    joined = BASE.replace("A second", "A filed and typed")
    saved = post(client, form_of(client) | {"body": joined, "keep": "merged"})
    assert saved.status_code == 303
    once(app, "test")
    assert file.read_text().endswith(joined)
    assert {body for _, body in bodies(app)} == {BASE, FILE, PAGE, joined}
    assert "No file is in conflict" in words(parsed(client.get("/vault")).main)
