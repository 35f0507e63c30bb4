"""The Atom feed as a feed reader takes it, and a digest as a file to keep."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import feedparser
import pytest
from bs4 import BeautifulSoup
from sqlmodel import select
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import AuthorKind, Digest, Page, PageKind
from app.settings import Settings
from app.store import pages
from app.store.db import writing
from app.store.pages import PERSON, Content
from app.web.app import create
from tests.factories import make_page
from tests.web.conftest import NOW, Statements, listed, load, member

ATOM = {"a": "http://www.w3.org/2005/Atom"}
BODY = "Tides *turned*, see [[Slack water]] and [[Nobody]].\n\n## Note\n\n$x_i^2$ & <b>[^1]\n\n[^1]: so\n"


def digest(app: App, day: str, *, title: str = "", body: str = BODY, framing: str = "F.") -> int:
    with writing(app.engine) as session:
        title = title or f"Digest of {day}"
        page_id = make_page(
            session, title, PageKind.DIGEST, slug=f"digest-{day}", text=body, at=NOW
        )
        page = session.get(Page, page_id)
        assert page is not None
        page.author_kind = AuthorKind.AGENT
        session.add(page)
        session.add(Digest(page_id=page_id, day=day, framing=framing, teller="local"))
    return page_id


def taken(client: TestClient, **headers: str) -> Any:
    """The feed as a feed reader reads it; nothing in it may be wrong."""
    answer = client.get("/feed.xml", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/atom+xml; charset=utf-8"
    found = feedparser.parse(answer.content)
    assert not found.bozo and found.version == "atom10", found
    holds_to_the_rules(answer.text)
    return found


def holds_to_the_rules(text: str) -> None:
    """What RFC 4287 asks of a feed and its entries (sections 4.1.1 and 4.1.2)."""
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2005/Atom}feed"
    ids = []
    for each in (root, *root.findall("a:entry", ATOM)):
        for name in ("id", "title", "updated"):
            assert len(each.findall(f"a:{name}", ATOM)) == 1, name
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", each.findtext("a:id", "", ATOM))
        ids.append(each.findtext("a:id", "", ATOM))
        for name in ("updated", "published"):
            for moment in each.findall(f"a:{name}", ATOM):
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment.text or "")
        links = [(x.get("rel"), x.get("type")) for x in each.findall("a:link", ATOM)]
        assert len(links) == len(set(links)) and ("alternate", "text/html") in links
        assert all(str(x.get("href")).startswith("http") for x in each.findall("a:link", ATOM))
    assert len(ids) == len(set(ids))
    assert root.find("a:author/a:name", ATOM) is not None  # entries have none of their own
    for each in root.findall("a:entry/a:content", ATOM):
        assert each.get("type") == "html" and len(each) == 0


def test_a_feed_without_digests_is_a_feed(client: TestClient) -> None:
    found = taken(client)
    assert found.entries == [] and found.feed.title == "cere-bro: digests"


def test_the_newest_twenty_digests_are_in_it_in_full(app: App, client: TestClient) -> None:
    with writing(app.engine) as session:
        make_page(session, "Slack water", slug="slack-water")
    for day in range(1, 25):
        digest(app, f"2026-04-{day:02}")
    digest(app, "2026-04", title="Digest of April 2026")
    found = taken(client)
    assert [each.title for each in found.entries][:2] == [
        "Digest of April 2026",
        "Digest of 2026-04-24",
    ]
    assert len(found.entries) == 20
    month, day = found.entries[:2]
    assert month.link == "http://127.0.0.1:8000/digest/2026-04"
    assert day.link == "http://127.0.0.1:8000/today/2026-04-24?view=full"
    assert day.summary == "F."
    text = BeautifulSoup(day.content[0].value, "html.parser")
    assert [a["href"] for a in text.find_all("a", class_="wikilink")] == [
        "http://127.0.0.1:8000/w/slack-water"
    ]
    assert "Nobody" in text.get_text() and "x_i^2 & <b>" in text.get_text()
    assert all(a["href"].startswith("http://127.0.0.1:8000/") for a in text.find_all("a"))
    assert not text.find_all(["math", "script", "img"])


def test_live_claims_are_numbers_with_whole_addresses(app: App, client: TestClient) -> None:
    rows = [{"type": "thread", "id": "slack", "title": "Slack water", "claim": "It is short."}]
    load(app, [*rows, listed(1), member(1, "slack", day="2026-05-14")])
    digest(app, "2026-05-01", body="{{count thread:slack}} so far.")
    for text in (
        taken(client).entries[0].content[0].value,
        client.get("/today/2026-05-01.html").text,
    ):
        page = BeautifulSoup(text, "html.parser")
        [claim] = [a for a in page.find_all("a") if "/live?" in a["href"]]
        assert claim["href"].startswith("http://127.0.0.1:8000/live?") and claim.get_text() == "1"
        assert "{{" not in page.get_text()


def test_signs_that_no_xml_may_hold_do_no_harm(app: App, client: TestClient) -> None:
    digest(
        app,
        "2026-05-01",
        title="A & B <c> ]]> \x08\ufffe",
        framing="x\x0c\x1f & y",
        body="a\x0bb &",
    )
    [entry] = taken(client).entries
    assert entry.title.startswith("A &amp; B &lt;c&gt; ]]") or entry.title.startswith(
        "A & B <c> ]]"
    )


def test_an_id_stays_when_text_title_and_address_change(app: App, client: TestClient) -> None:
    page_id = digest(app, "2026-05-01")
    [before] = taken(client).entries
    feed_id = taken(client).feed.id
    with writing(app.engine) as session:
        page = session.get(Page, page_id)
        assert page is not None
        content = Content(title="Another", kind=PageKind.DIGEST, body="A person wrote this.")
        pages.revise(session, page, content, author=PERSON, now=NOW + timedelta(hours=1))
        pages.rename(session, page, "elsewhere", now=NOW)
    found = taken(client)
    [after] = found.entries
    assert (after.id, found.feed.id) == (before.id, feed_id)
    assert (after.title, after.summary) == ("Another", "A person wrote this.")
    assert after.updated_parsed > before.updated_parsed and after.published == before.published


def test_who_has_the_feed_is_told_so_until_it_changes(app: App, client: TestClient) -> None:
    digest(app, "2026-05-01")
    first = client.get("/feed.xml")
    tag = first.headers["etag"]
    for known in (tag, f'W/{tag}, "other"', "*"):
        again = client.get("/feed.xml", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"") and again.headers["etag"] == tag
    assert client.get("/feed.xml", headers={"If-None-Match": '"other"'}).status_code == 200
    load(app, [{"type": "paper", "id": "arxiv:2605.00001", "title": "Of no matter"}])
    assert client.get("/feed.xml", headers={"If-None-Match": tag}).status_code == 304
    with writing(app.engine) as session:  # where a link leads is a part of it
        make_page(session, "Slack water", slug="slack-water")
    changed = client.get("/feed.xml", headers={"If-None-Match": tag})
    assert changed.status_code == 200 and changed.headers["etag"] != tag


def test_a_second_look_at_the_feed_reads_no_texts(
    app: App, client: TestClient, statements: Statements
) -> None:
    for day in range(1, 8):
        digest(app, f"2026-05-{day:02}")
    client.get("/feed.xml")
    statements.seen.clear()
    client.get("/feed.xml")
    assert len(statements) <= 2, statements.seen


def test_addresses_are_those_the_wiki_is_asked_under_or_set_to(app: App) -> None:
    digest(app, "2026-05-01")
    with writing(app.engine) as session:
        make_page(session, "Slack water", slug="slack-water")
    app.settings.allowed_hosts = "wiki.example"
    with TestClient(create(app), base_url="https://wiki.example") as browser:
        assert taken(browser).entries[0].link.startswith("https://wiki.example/today/")
        assert browser.get("/feed.xml", headers={"Host": "evil.example"}).status_code == 400
    app.settings.base_url = "https://far.example/wiki"
    with TestClient(create(app), base_url="https://wiki.example") as browser:
        found = taken(browser)
        assert found.entries[0].link == "https://far.example/wiki/today/2026-05-01?view=full"
        assert found.feed.links[0].href == "https://far.example/wiki/feed.xml"
        assert 'href="https://far.example/wiki/w/slack-water"' in found.entries[0].content[0].value


def test_screens_say_where_the_feed_is(client: TestClient) -> None:
    head = BeautifulSoup(client.get("/").text, "html.parser").head
    assert head is not None
    link = head.find("link", {"type": "application/atom+xml"})
    assert link is not None and link["href"] == "/feed.xml" and link["rel"] == ["alternate"]


# ---------------------------------------------------------------- a file to keep


def test_a_digest_is_a_file_to_keep(app: App, client: TestClient) -> None:
    digest(app, "2026-05-01")
    digest(app, "2026-05")
    for path, name in (
        ("/today/2026-05-01.html", "digest-2026-05-01.html"),
        ("/digest/2026-05.html", "digest-2026-05.html"),
    ):
        answer = client.get(path)
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
        page = BeautifulSoup(answer.text, "html.parser")
        assert page.find("style") is not None and page.find("script") is None
        assert all(a["href"].startswith(("http", "#")) for a in page.find_all("a"))
    with writing(app.engine) as session:
        assert len(session.exec(select(Digest)).all()) == 2


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/today/2026-05-02.html", 404, "There is no digest of 2 May 2026."),
        ("/digest/2026-04.html", 404, "There is no digest of April 2026."),
        ("/today/yesterday.html", 422, "neither a day"),
    ],
)
def test_a_file_that_is_not_there_is_said(
    client: TestClient, path: str, status: int, says: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == status and says in answer.text


@pytest.mark.parametrize(
    "address", ["wiki.example", "ftp://x", "https://u:p@x", "https://x?y", "https://x/\nz"]
)
def test_a_base_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="use an address such as https://wiki"):
        Settings(base_url=address)
