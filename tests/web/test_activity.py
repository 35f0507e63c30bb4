"""The activity log and the screens of removed pages: what happened, and taking it back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import (
    Act,
    ActKind,
    AuthorKind,
    Link,
    LinkStatus,
    Origin,
    PageKind,
    Relation,
    Revision,
    Verdict,
)
from app.services import pages as editing
from app.services import removal, review
from app.store import activity, acts, links, pages
from app.store.activity import Asked, Place, What
from app.store.db import reading, writing
from app.store.pages import PERSON, Content
from tests.web.conftest import NOW, Statements, load, parsed, words

LATER = NOW + timedelta(hours=1)
ROWS: list[dict[str, Any]] = [
    {"type": "concept", "id": "cache", "title": "Cache", "text": "See [[paging]]."},
    {"type": "concept", "id": "paging", "title": "Paging", "text": "Memory in pages."},
]


@pytest.fixture
def wiki(app: App) -> App:
    """Two pages by an import that is an act, one saved by a person."""
    with acts.doing(app.engine, ActKind.IMPORT, "Import of test.jsonl", clock=app.clock):
        load(app, ROWS)
    with writing(app.engine) as session:
        mine = Content(title="Mine", kind=PageKind.NOTE, body="Text.")
        pages.create(session, mine, author=PERSON, now=NOW, slug="mine")
    return app


def shown(client: TestClient, address: str) -> list[str]:
    page = parsed(client.get(address))
    return [words(each) for each in page.select("main ul.decided > li > p")]


# ---------------------------------------------------------------- removing


def test_a_page_is_removed_and_put_back_by_plain_forms(wiki: App, client: TestClient) -> None:
    answer = client.post("/w/paging/remove", data={"reason": "twice here"}, follow_redirects=True)
    assert answer.status_code == 410
    page = parsed(answer)
    said = words(page.select_one("main"))
    assert "Paging" in said and "removed by you" in said and "twice here" in said
    form = page.select_one("main form[action$='/put-back']")
    assert form is not None and form["method"] == "post"
    history = client.get(page.select_one("main form a[href$='/history']")["href"])
    assert history.status_code == 200 and "Paging" in history.text
    assert parsed(client.get("/w/cache")).select_one("main a[href^='/w/paging/edit']") is not None
    back = client.post(form["action"], follow_redirects=True)
    assert back.status_code == 200 and "Put back, with its names and links." in back.text
    assert client.get("/w/paging").status_code == 200
    assert client.post("/w/paging/put-back").status_code == 409
    assert client.post("/w/nowhere/put-back").status_code == 404
    assert client.post("/w/nowhere/remove").status_code == 404


def test_who_follows_a_link_to_a_removed_page_is_told_of_it(wiki: App, client: TestClient) -> None:
    with writing(wiki.engine) as session:
        titled = Content(title="A <b>bay</b>", kind=PageKind.NOTE, body="Text.")
        pages.create(session, titled, author=PERSON, now=NOW, slug="elsewhere")
    for page in ("mine", "elsewhere"):
        client.post(f"/w/{page}/remove")
    at_its_address = parsed(client.get("/w/mine/edit"))
    assert "was removed" in words(at_its_address.select_one(".notice"))
    by_its_title = parsed(client.get("/w/a-b-bay-b/edit?title=a+<b>BAY</b>"))
    told = by_its_title.select_one(".notice a")
    assert (told["href"], words(told)) == ("/w/elsewhere", "A <b>bay</b>")
    assert parsed(client.get("/w/never/edit?title=Never")).select_one(".notice") is None


def test_a_page_that_was_edited_meanwhile_is_not_removed_unseen(
    wiki: App, client: TestClient
) -> None:
    with writing(wiki.engine) as session:
        content = pages.content_of(session, pages.get(session, "mine"))
        editing.save(session, "mine", replace(content, body="More."), base=1, now=LATER)
    assert client.post("/w/mine/remove", data={"base_rev": "1"}).status_code == 409
    assert client.get("/w/mine").status_code == 200
    client.post("/w/mine/remove", data={"base_rev": "2"})
    assert client.get("/w/mine").status_code == 410
    assert client.post("/w/mine/remove").status_code == 410, "removed before"


def test_at_a_taken_address_the_new_page_is_read_and_the_old_one_comes_back_elsewhere(
    wiki: App, client: TestClient
) -> None:
    client.post("/w/mine/remove")
    with writing(wiki.engine) as session:
        new = Content(title="Mine", kind=PageKind.NOTE, body="Anew.")
        editing.save(session, "mine", new, base=0, now=LATER)
    assert client.get("/w/mine").status_code == 200
    answer = client.post("/w/mine-removed/put-back", follow_redirects=True)
    assert answer.url.path == "/w/mine-2"
    assert "Another page has its address now" in answer.text


def test_what_was_written_on_a_page_removed_meanwhile_is_not_lost(
    wiki: App, client: TestClient
) -> None:
    with writing(wiki.engine) as session:
        removal.remove(session, "mine", now=LATER)
    fields = {"title": "Mine", "kind": "note", "body": "What I wrote.", "base_rev": "1"}
    answer = client.post("/w/mine/edit", data=fields)
    assert answer.status_code == 409
    page = parsed(answer)
    assert "removed while you wrote" in words(page.select_one("main"))
    again = fields | {"base_rev": page.select_one("#editor [name=base_rev]")["value"]}
    assert page.select_one("#editor [name=body]").text.strip() == "What I wrote."
    client.post("/w/mine/edit", data=again)
    with reading(wiki.engine) as session:
        assert pages.get(session, "mine").body == "What I wrote."


def test_the_api_removes_with_the_version_that_was_read(wiki: App, client: TestClient) -> None:
    address = "/api/v1/pages/mine"
    assert client.delete(address).status_code == 422
    assert client.delete(address, headers={"If-Match": '"7"'}).status_code == 409
    tag = client.get(address).headers["ETag"]
    gone = client.delete(address, headers={"If-Match": tag}, params={"reason": "old"})
    assert gone.status_code == 200 and gone.json()["removed"] == "mine"
    again = client.get(address)
    assert again.status_code == 410 and again.json()["error"]["code"] == "gone"
    assert "(old)" in again.json()["error"]["message"]
    assert client.delete(address, headers={"If-Match": "*"}).status_code == 410
    assert client.delete("/api/v1/pages/nowhere", headers={"If-Match": "*"}).status_code == 404
    undone = client.post(f"/decisions/{gone.json()['decision']}/undo", follow_redirects=False)
    assert undone.status_code == 303
    assert client.get(address).status_code == 200


# ---------------------------------------------------------------- the log


def test_everything_that_happened_is_told_once_newest_first(wiki: App, client: TestClient) -> None:
    with writing(wiki.engine) as session:
        one, other = (pages.get(session, slug).id or 0 for slug in ("cache", "mine"))
        link = links.add(
            session,
            Link(
                source_id=one,
                target_id=other,
                relation=Relation.ABOUT,
                status=LinkStatus.PROPOSED,
                origin=Origin.LINKER,
                created_at=NOW,
            ),
        )
        at = LATER
        decided = review.decide(session, link.id or 0, Verdict.ACCEPT, now=at, reason="yes")
        review.undo(session, decided.id, now=at + timedelta(minutes=1))
        removal.remove(session, "mine", now=at + timedelta(minutes=2), reason="old")
        removal.restore(session, "mine", now=at + timedelta(minutes=3))
        review.merge(session, "paging", "Cache", now=at + timedelta(minutes=4))
    assert shown(client, "/activity") == [
        "merged Paging → Cache",
        "saved Cache version 2 Paging went into this page",
        "put back Mine",
        "removed Mine old",
        "accepted, taken back Cache is about → Mine",
        "accepted Cache is about → Mine yes",
        "written Mine version 1",
        "imported Import of test.jsonl 2 pages, 1 entry",
    ]
    assert [each.split()[0] for each in shown(client, "/activity?kind=removal")] == [
        "put",
        "removed",
    ]
    assert len(shown(client, "/activity?kind=merge")) == 1
    assert len(shown(client, "/activity?kind=act")) == 1
    assert len(shown(client, "/activity?kind=decision")) == 2
    assert len(shown(client, "/activity?kind=save")) == 2
    assert len(shown(client, "/activity?who=machine")) == 1
    assert len(shown(client, "/activity?who=you")) == 7
    assert shown(client, "/activity?who=rule:3") == []
    assert len(shown(client, f"/activity?day={NOW.date()}")) == 8
    assert shown(client, "/activity?day=2026-05-01") == []
    of_page = shown(client, "/activity?page=mine")
    assert [each.split()[0] for each in of_page] == [
        "put",
        "removed",
        "accepted,",
        "accepted",
        "written",
    ]
    assert len(shown(client, "/activity?page=paging")) == 5, "its address leads to the other"
    assert client.get("/activity?page=nowhere").status_code == 422
    assert client.get("/activity?day=someday").status_code == 422
    assert client.get("/activity?kind=nonsense&after=rubbish").status_code == 200


def test_an_import_is_undone_from_the_log_and_the_undo_as_well(
    wiki: App, client: TestClient
) -> None:
    with writing(wiki.engine) as session:
        content = pages.content_of(session, pages.get(session, "paging"))
        editing.save(session, "paging", replace(content, body="Mine."), base=1, now=LATER)
    page = parsed(client.get("/activity?kind=act"))
    link = page.select_one("main ul.decided a")["href"]
    act = parsed(client.get(link))
    assert {words(each) for each in act.select("main li a")} == {"Cache", "Paging"}
    form = act.select_one("main form[action$='/undo']")["action"]
    answer = client.post(form, follow_redirects=True)
    told = parsed(answer)
    assert answer.url.path.startswith("/activity/")
    assert "Paging you edited them since" in words(told.select_one("main"))
    assert "1 page removed" in words(told.select_one("main"))
    assert client.get("/w/cache").status_code == 410
    assert client.get("/w/paging").status_code == 200
    assert client.post(f"{link}/undo").status_code == 409
    form = told.select_one("main form[action$='/undo']")["action"]
    again = client.post(form, follow_redirects=True)
    assert again.status_code == 200
    assert client.get("/w/cache").status_code == 200
    for number in ("0", "4711", "99999999999999"):
        assert client.get(f"/activity/{number}").status_code == 404
        assert client.post(f"/activity/{number}/undo").status_code == 404


def test_the_api_tells_it_and_undoes(wiki: App, client: TestClient) -> None:
    told = client.get("/api/v1/activity", params={"limit": 1}).json()
    rest = client.get("/api/v1/activity", params={"after": told["next"]}).json()
    assert [each["verb"] for each in (*told["activity"], *rest["activity"])] == [
        "written",
        "imported",
    ]
    assert rest["next"] is None
    act = rest["activity"][0]["act"]
    assert client.get("/api/v1/activity?kind=nonsense").status_code == 422
    done = client.post(f"/api/v1/activity/{act}/undo").json()
    assert done["counts"]["removed"] == 2 and done["stays"] == []
    assert client.post(f"/api/v1/activity/{act}/undo").status_code == 409
    assert client.post("/api/v1/activity/4711/undo").status_code == 404


# ---------------------------------------------------------------- parts of it


@pytest.mark.parametrize(
    "text",
    ["", "~~", "x~1~2", "2026-05-14~1~2", "2026-05-14T09:00:00+00:00~1~99999999999999", "a~b~c~d"],
)
def test_what_is_no_place_is_none(text: str) -> None:
    assert Place.read(text) is None


def test_no_line_is_left_out_or_told_twice_between_parts(wiki: App) -> None:
    with writing(wiki.engine) as session:
        one, other = (pages.get(session, slug).id or 0 for slug in ("cache", "mine"))
        for number in range(30):  # all at one moment, as an import or a fast hand makes them
            content = Content(title=f"N{number}", kind=PageKind.NOTE)
            pages.create(session, content, author=PERSON, now=NOW)
            session.add(Act(kind=ActKind.WORK, at=NOW, words=f"run {number}"))
        link = links.add(
            session,
            Link(
                source_id=one,
                target_id=other,
                relation=Relation.ABOUT,
                status=LinkStatus.PROPOSED,
                origin=Origin.LINKER,
                created_at=NOW,
            ),
        )
        for _ in range(15):
            decided = review.decide(session, link.id or 0, Verdict.ACCEPT, now=NOW)
            review.undo(session, decided.id, now=NOW)
    seen: list[str] = []
    after: Place | None = None
    with reading(wiki.engine) as session:
        while True:
            events, after = activity.listed(session, Asked(), zone=None, after=after, limit=7)
            seen += [str(each.place) for each in events]
            if after is None:
                break
            assert Place.read(str(after)) == after
    assert len(seen) == len(set(seen)) == 30 + 30 + 30 + 2


def test_it_costs_as_many_statements_however_long_it_is(
    wiki: App, client: TestClient, statements: Statements
) -> None:
    def cost(address: str) -> int:
        before = len(statements.seen)
        assert client.get(address).status_code == 200
        return len(statements.seen) - before

    addresses = ("/activity", "/activity?kind=act", "/activity?page=mine", "/activity?kind=removal")
    client.get("/activity")  # what is remembered between requests is read once
    few = [cost(address) for address in addresses]
    _many(wiki.engine)
    assert [cost(address) for address in addresses] == few


def _many(engine: Engine) -> None:
    with writing(engine) as session:
        page = pages.get(session, "mine")
        values = {"page_id": page.id, "title": "t", "kind": PageKind.NOTE, "body": ""}
        values |= {"author_kind": AuthorKind.PERSON, "at": LATER, "aliases": [], "tags": []}
        rows = [{**values, "number": number} for number in range(2, 300)]
        session.connection().execute(
            sa.insert(Revision).values(author="", prompt="", note=""), rows
        )
        session.add_all(
            Act(kind=ActKind.WORK, at=LATER, words=f"run {n}", counts={"links": 1})
            for n in range(200)
        )


def test_the_newest_lines_are_found_by_indexes(wiki: App) -> None:
    if wiki.engine.dialect.name != "sqlite":
        pytest.skip("plans are read on SQLite")
    _many(wiki.engine)
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith("EXPLAIN"):
            plan = _c.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            seen.extend(row[3] for row in plan)

    with reading(wiki.engine) as session:
        session.connection()
        sa.event.listen(wiki.engine, "before_cursor_execute", note)
        try:
            activity.listed(session, Asked(), zone=None)
        finally:
            sa.event.remove(wiki.engine, "before_cursor_execute", note)
    assert not any("TEMP B-TREE" in line and "ORDER BY" in line for line in seen), seen
    for name in ("ix_revision_of_people", "ix_decision_by_itself", "ix_act_at"):
        assert any(name in line for line in seen), (name, seen)


def test_kinds_are_read_and_refused() -> None:
    assert activity.what("") is None and activity.what(" Save ") == What.SAVE
    with pytest.raises(Exception, match="Use save, decision"):
        activity.what("nonsense")
