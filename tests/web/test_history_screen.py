"""What was, in the browser: versions, who wrote what, decisions about links, and a page as of a day."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import AuthorKind, LinkStatus, PageKind, Relation, Verdict
from app.exporting import into_folder
from app.services import review
from app.store import pages
from app.store.db import writing
from app.store.pages import PERSON, Author, Content
from tests.factories import make_link
from tests.web.conftest import NOW, Statements, parsed, words

VAULT = Author(AuthorKind.VAULT, "vault")
MODEL = Author(AuthorKind.MODEL, "a-model", "page-text/3")
FIRST = "It is kept.\n\nAs long as it is read.\n"


def day(number: int, hour: int = 12) -> datetime:
    return datetime(2026, 5, number, hour, tzinfo=UTC)


def revise(session: Session, slug: str, author: Author, at: datetime, **fields: Any) -> None:
    page = pages.get(session, slug)
    content = replace(pages.content_of(session, page), **fields)
    assert pages.revise(session, page, content, author=author, now=at)


@pytest.fixture
def wiki(app: App) -> App:
    """A concept with three versions, and two others."""
    with writing(app.engine) as session:
        for title, kind in (
            ("Shelf", PageKind.CONCEPT),
            ("Board", PageKind.CONCEPT),
            ("Wood", PageKind.NOTE),
        ):
            content = Content(title=title, kind=kind, body=FIRST if title == "Shelf" else "")
            pages.create(session, content, author=Author(AuthorKind.IMPORT), now=day(4))
        more = FIRST.replace("read", "asked for")
        revise(session, "shelf", VAULT, day(6), body=more, aliases=("rack",), tags=("wood",))
        revise(session, "shelf", MODEL, day(8), body=more + "\nA model says so.\n")
    return app


@contextmanager
def linked(app: App) -> Iterator[tuple[Session, int]]:
    """A proposed link from Board to Shelf, made on 5 May."""
    with writing(app.engine) as session:
        board, shelf = (pages.get(session, slug).id or 0 for slug in ("board", "shelf"))
        link_id = make_link(session, board, shelf, Relation.USES, status=LinkStatus.PROPOSED)
        link = review.links.get(session, link_id)
        link.created_at, link.reason = day(5), "its name is there"
        session.add(link)
        session.flush()
        yield session, link_id


# ---------------------------------------------------------------- versions


def test_the_history_says_who_wrote_each_version_and_what_else_changed(
    wiki: App, client: TestClient
) -> None:
    rows = [words(row) for row in parsed(client.get("/w/shelf/history")).select("tbody tr")]
    assert "a-model page-text/3" in rows[0] and "current" in rows[0]
    assert "vault" in rows[1] and "other names, tags changed" in rows[1] and "Restore" in rows[1]
    assert "an import" in rows[2]


def test_a_diff_shows_title_kind_names_and_tags_too(wiki: App, client: TestClient) -> None:
    with writing(wiki.engine) as session:
        revise(session, "shelf", PERSON, day(9), title="Shelves", kind=PageKind.NOTE, tags=())
    page = parsed(client.get("/w/shelf/diff?from=3&to=4"))
    told = {words(each.dt): each.dd for each in page.select(".facts > div")}
    assert list(told) == ["title", "kind", "other names", "tags"]
    assert (words(told["title"].find("del")), words(told["title"].find("ins"))) == (
        "Shelf",
        "Shelves",
    )
    assert words(told["tags"].find("del")) == "wood" and told["tags"].find("ins") is None
    assert words(told["other names"].find("ins")) == "Shelf", "the old title goes on leading here"
    assert "The two versions have the same text." in words(page.main)
    form = page.select_one("form[action='/w/shelf/restore']")
    client.post(form["action"], data={"version": form.select_one("[name=version]")["value"]})
    shown = client.get("/w/shelf.json").json()
    assert (shown["title"], shown["kind"], shown["tags"]) == ("Shelf", "concept", ["wood"])


# ---------------------------------------------------------------- who wrote what


def test_each_paragraph_names_who_wrote_it_last_and_leads_to_the_version(
    wiki: App, client: TestClient
) -> None:
    page = parsed(client.get("/w/shelf/blame"))
    told = [(words(each.dt), words(each.dd)) for each in page.select("main .how > div")]
    assert [text for _, text in told] == [
        "It is kept.",
        "As long as it is asked for.",
        "A model says so.",
    ]
    assert "an import" in told[0][0] and "version 1" in told[0][0]
    assert "vault" in told[1][0]
    assert "a-model page-text/3" in told[2][0]
    assert page.select(".how a")[2]["href"] == "/w/shelf/diff?to=3"
    assert page.select(".how dd")[2]["class"][-1] == "unreviewed"


def test_a_page_without_a_text_has_nobody_to_name(wiki: App, client: TestClient) -> None:
    assert "Nothing is written here yet." in words(parsed(client.get("/w/wood/blame")).main)
    assert client.get("/w/nowhere/blame").status_code == 404


def test_a_long_text_comes_in_parts(wiki: App, client: TestClient) -> None:
    body = "".join(f"Paragraph {number}.\n\n" for number in range(450))
    with writing(wiki.engine) as session:
        revise(session, "wood", PERSON, day(9), body=body)
    page = parsed(client.get("/w/wood/blame"))
    assert "1 to 200 of 450" in words(page.select_one(".pager"))
    last = parsed(client.get("/w/wood/blame?from=400"))
    assert "Paragraph 449." in words(last.select_one(".how"))
    assert last.select_one(".pager [rel=next]") is None
    for odd in ("x", "-1", "999999999999"):
        assert client.get(f"/w/wood/blame?from={odd}").status_code == 200


def test_of_very_many_versions_the_newest_are_followed(
    wiki: App, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store.history.MOST_TEXT", 100)
    with writing(wiki.engine) as session:
        for number in range(6):
            body = FIRST + f"\nLine {number}.\n"
            revise(session, "shelf", PERSON, day(9, number), body=body)
    page = parsed(client.get("/w/shelf/blame"))
    assert "What stood already in version 8 is not followed further back" in words(page.main)
    told = [words(each.dt) for each in page.select(".how > div")]
    assert "somebody" in told[0] and "version 8 or before" in told[0]
    assert "version 9" in told[1]


def test_what_was_asks_as_much_for_many_versions_as_for_few(
    wiki: App, client: TestClient, statements: Statements
) -> None:
    def asked() -> list[int]:
        counts = []
        for path in ("/w/shelf/history", "/w/shelf/blame", "/w/shelf/decisions"):
            statements.seen.clear()
            client.get(path)
            counts.append(len(statements))
        return counts

    asked()
    few = asked()
    with writing(wiki.engine) as session:
        for number in range(40):
            revise(session, "shelf", PERSON, day(9) + timedelta(minutes=number), body=f"{number}")
    asked()
    assert asked() == few


# ---------------------------------------------------------------- decisions about links


def test_a_link_tells_what_was_decided_of_it_and_only_the_last_word_can_be_undone(
    wiki: App, client: TestClient
) -> None:
    with linked(wiki) as (session, link_id):
        first = review.decide(session, link_id, Verdict.REJECT, now=day(7), reason="no")
        review.undo(session, first.id, now=day(8))
        review.decide(session, link_id, Verdict.ACCEPT, now=day(9), reason="after all")
    path = f"/links/{link_id}/history"
    page = parsed(client.get(path))
    told = [words(each) for each in page.select(".decided > li")]
    assert [each.split()[0] for each in told] == ["accepted", "undid", "rejected", "made"]
    assert "after all" in told[0] and "Undo" in told[0]
    assert "undone" in told[2] and "no" in told[2]
    assert "proposed by the linker its name is there" in told[3]
    of_page = parsed(client.get("/w/shelf/decisions"))
    assert of_page.select_one(".decided .rel")["href"] == path
    form = page.select_one(".decided form")
    back = client.post(form["action"], data={"next": form.select_one("[name=next]")["value"]})
    assert back.headers["location"] == path
    assert words(parsed(client.get(path)).select_one(".bar-head p")) == "proposed"


def test_a_link_that_is_not_there_is_answered_in_words(wiki: App, client: TestClient) -> None:
    for number in ("77", "0", "99999999999999999999"):
        answer = client.get(f"/links/{number}/history")
        assert answer.status_code == 404
        assert "There is no link" in words(parsed(answer).main)


def test_decisions_go_on_behind_the_last_one_shown(wiki: App, client: TestClient) -> None:
    with linked(wiki) as (session, link_id):
        for number in range(30):
            made = review.decide(session, link_id, Verdict.REJECT, now=day(9, number % 24))
            review.undo(session, made.id, now=day(10))
    page = parsed(client.get("/w/board/decisions"))
    assert len(page.select(".decided > li")) == 50
    rest = parsed(client.get(page.select_one("a[rel=next]")["href"]))
    assert len(rest.select(".decided > li")) == 10 and rest.select_one("a[rel=next]") is None


# ---------------------------------------------------------------- as of a day


def test_a_page_stands_as_it_stood_at_the_end_of_a_day(wiki: App, client: TestClient) -> None:
    page = parsed(client.get("/w/shelf?asof=2026-05-06"))
    text = words(page.article)
    assert "As it stood at the end of 6 May 2026, in version 2" in text
    assert "As long as it is asked for." in text and "A model says so." not in text
    assert "also: rack" in text
    assert page.select_one("a[href='/w/shelf']") is not None
    assert page.select("main form[method=post]") == [], "what was is not edited"
    assert page.select_one("main a[href$='/edit']") is None
    earlier = words(parsed(client.get("/w/shelf?asof=2026-05-04")).article)
    assert "As long as it is read." in earlier and "rack" not in earlier


def test_a_day_before_the_page_and_what_is_no_day_are_answered_in_words(
    wiki: App, client: TestClient
) -> None:
    before = client.get("/w/shelf?asof=2026-05-03")
    assert before.status_code == 404
    told = words(parsed(before).main)
    assert "was not there yet on 3 May 2026. It is here since 4 May 2026." in told
    for odd in ("2026-02-30", "soon", "2027-01-01", "'<b>", "0000-00-00"):
        answer = client.get("/w/shelf", params={"asof": odd})
        assert answer.status_code == 422, odd
        assert "is no day that has been" in words(parsed(answer).select_one(".problem"))
    assert client.get("/w/shelf?asof=0001-01-01").status_code == 404
    assert client.get("/w/shelf?asof=").status_code == 200
    moved = client.get("/w/rack?asof=2026-05-06")
    assert moved.headers["location"] == "/w/shelf?asof=2026-05-06"


def test_links_are_those_that_were_accepted_then(wiki: App, client: TestClient) -> None:
    with linked(wiki) as (session, link_id):
        accepted = review.decide(session, link_id, Verdict.ACCEPT, now=day(6))
        review.undo(session, accepted.id, now=day(8))
        review.decide(session, link_id, Verdict.REJECT, now=day(9))

    def incoming(number: int) -> bool:
        page = parsed(client.get(f"/w/shelf?asof=2026-05-{number:02}"))
        return page.select_one(f"a[href='/links/{link_id}/history']") is not None

    assert [number for number in range(4, 14) if incoming(number)] == [6, 7]

    def edges(number: int) -> list[str]:
        asked = {"focus": "shelf", "asof": f"2026-05-{number:02}"}
        told = client.get("/api/v1/graph", params=asked).json()
        return [edge["status"] for edge in told["edges"]]

    assert edges(4) == []
    assert edges(5) == ["proposed"]
    assert edges(6) == edges(7) == ["accepted"], "undone and rejected later"
    assert edges(8) == ["proposed"]
    assert edges(9) == edges(13) == []


def test_a_link_put_right_in_review_was_a_proposal_before(wiki: App, client: TestClient) -> None:
    with linked(wiki) as (session, link_id):
        review.decide(session, link_id, Verdict.ACCEPT, now=day(7), relation=Relation.EXTENDS)
        undone = review.decisions.newest_standing(session)
        assert undone is not None
        review.undo(session, undone.id, now=day(9))

    def relations(number: int) -> set[tuple[str, str]]:
        asked = {"focus": "shelf", "asof": f"2026-05-{number:02}"}
        edges = client.get("/api/v1/graph", params=asked).json()["edges"]
        return {(edge["relation"], edge["status"]) for edge in edges}

    assert relations(6) == {("uses", "proposed")}
    assert relations(8) == {("extends", "accepted")}, "an undo took it away later"
    assert relations(10) == {("uses", "proposed")}


def test_a_thread_has_the_text_of_the_day_and_nothing_to_press(
    wiki: App, client: TestClient
) -> None:
    with writing(wiki.engine) as session:
        thread = Content(title="A claim", kind=PageKind.THREAD, body="First words.")
        pages.create(session, thread, author=PERSON, now=day(5))
        revise(session, "a-claim", PERSON, day(7), body="Later words.")
    page = parsed(client.get("/w/a-claim?asof=2026-05-06"))
    assert "First words." in words(page.article) and "Later words." not in words(page.article)
    assert page.select("main form[method=post]") == []
    young = client.get("/w/a-claim?asof=2026-05-01")
    assert young.status_code == 200, "its members may be older than its page here"
    assert "its text here is younger" in words(parsed(young).article)


def test_the_readers_time_zone_says_when_a_day_ends(wiki: App, client: TestClient) -> None:
    with writing(wiki.engine) as session:
        revise(session, "board", PERSON, day(8, 23), body="Late.")
    wiki.settings.timezone = "Asia/Tokyo"  # it was 9 May there
    early = words(parsed(client.get("/w/board?asof=2026-05-08")).article)
    assert "Late." not in early
    assert "Late." in words(parsed(client.get("/w/board?asof=2026-05-09")).article)


def test_a_claim_of_a_day_says_one_number_on_page_preview_and_export(
    wiki: App, client: TestClient, tmp_path: Path
) -> None:
    claim = "Told: {{count kind:concept asof:2026-05-08}} concepts."
    with writing(wiki.engine) as session:
        content = Content(title="Late", kind=PageKind.CONCEPT, body="")
        pages.create(session, content, author=PERSON, now=day(8, 23))
        revise(session, "wood", PERSON, day(9), body=claim)
    for zone, number in (("Asia/Tokyo", 2), ("America/Los_Angeles", 3)):  # 9 May there; 8 May there
        wiki.settings.timezone = zone
        with writing(wiki.engine) as session:  # what is kept of a text goes with its version
            body = f"{claim}\n\n{zone}"
            revise(session, "wood", PERSON, day(10), body=body)
        told = f"Told: {number} concepts."
        assert told in words(parsed(client.get("/w/wood")).article)
        shown = client.post("/_/preview", data={"body": claim}, headers={"HX-Request": "true"})
        assert told in words(parsed(shown))
        folder = tmp_path / zone.replace("/", "-")
        into_folder(wiki.engine, "site", folder, zone=wiki.zone)
        assert told in (folder / "w" / "wood.html").read_text()


def test_the_history_offers_a_day_and_the_screens_need_no_script(
    wiki: App, client: TestClient
) -> None:
    form = parsed(client.get("/w/shelf/history")).select_one("form[action='/w/shelf']")
    assert (form["method"], form.select_one("[type=date]")["max"]) == (
        "get",
        NOW.date().isoformat(),
    )


# ---------------------------------------------------------------- for programs


def test_programs_get_versions_blame_differences_and_a_page_on_a_day(
    wiki: App, client: TestClient
) -> None:
    api = "/api/v1/pages/shelf"
    first = client.get(f"{api}/history?limit=2").json()
    assert [row["number"] for row in first["revisions"]] == [3, 2] and first["next"] == 2
    assert first["revisions"][1]["changed"] == ["body", "aliases", "tags"]
    rest = client.get(f"{api}/history", params={"before": first["next"]}).json()
    assert [row["number"] for row in rest["revisions"]] == [1] and rest["next"] is None
    assert client.get(f"{api}/history/1").json()["body"] == FIRST
    blamed = client.get(f"{api}/blame").json()["paragraphs"]
    assert [row["revisions"][0]["author_kind"] for row in blamed] == ["import", "vault", "model"]
    lines = client.get(f"{api}/diff?from=1&to=2").json()
    assert {row["kind"] for row in lines["lines"]} == {"same", "added", "removed"}
    assert lines["fields"]["aliases"] == {"from": [], "to": ["rack"]}
    then = client.get(f"{api}/asof/2026-05-06").json()
    assert then["number"] == 2 and then["aliases"] == ["rack"]


def test_programs_are_told_what_is_wrong_in_a_sentence(wiki: App, client: TestClient) -> None:
    api = "/api/v1/pages/shelf"
    for path, status, says in (
        ("/api/v1/pages/nowhere/history", 404, "There is no page 'nowhere'."),
        (f"{api}/history/4", 404, "Shelf has no version 4: they go from 1 to 3."),
        (f"{api}/diff?from=1&to=99999999", 404, "they go from 1 to 3"),
        (f"{api}/asof/2026-13-40", 422, "'2026-13-40' is no day that has been."),
        (f"{api}/asof/2999-01-01", 422, "is no day that has been: it is"),
        (f"{api}/asof/2026-05-03", 404, "was not there yet on 2026-05-03. It is here since"),
        ("/api/v1/links/99999999999999999999/history", 404, "There is no link"),
        ("/api/v1/graph?asof=2026-13-40", 422, "no day that has been"),
    ):
        answer = client.get(path)
        assert answer.status_code == status, path
        assert says in answer.json()["error"]["message"], path
    assert client.get(f"{api}/history?before={10**30}").status_code == 422


def test_a_program_restores_a_version_that_nobody_overtook(wiki: App, client: TestClient) -> None:
    api = "/api/v1/pages/shelf"
    assert client.post(f"{api}/restore", json={"version": 1}).status_code == 422, "no If-Match"
    late = client.post(f"{api}/restore", json={"version": 1}, headers={"If-Match": '"2"'})
    assert late.status_code == 409 and late.json()["version"] == 3
    assert late.json()["mine"] == FIRST and "A model says so." in late.json()["theirs"]
    done = client.post(f"{api}/restore", json={"version": 1}, headers={"If-Match": '"3"'})
    assert done.status_code == 200 and done.headers["etag"] == '"4"'
    assert done.json()["body"] == FIRST
    gone = client.post(f"{api}/restore", json={"version": 9}, headers={"If-Match": "*"})
    assert gone.status_code == 404


def test_a_program_follows_a_link(wiki: App, client: TestClient) -> None:
    with linked(wiki) as (session, link_id):
        accepted = review.decide(session, link_id, Verdict.ACCEPT, now=day(6), reason="so it is")
        review.undo(session, accepted.id, now=day(8))
    told = client.get(f"/api/v1/links/{link_id}/history?limit=1").json()
    assert told["status"] == "proposed" and told["came"] == "proposed by the linker"
    assert [row["undoes"] for row in told["decisions"]] == [accepted.id]
    rest = client.get(f"/api/v1/links/{link_id}/history", params={"before": told["next"]}).json()
    [row] = rest["decisions"]
    assert row["reason"] == "so it is" and row["undone_at"].startswith("2026-05-08")
    assert len(client.get("/api/v1/pages/shelf/decisions").json()["decisions"]) == 2
    assert "undone on 8 May" in words(parsed(client.get(f"/links/{link_id}/history")).main)
