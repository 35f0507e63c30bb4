"""A proposed text in Review, what was struck of it, and whose the sections of a page are."""

from __future__ import annotations

from typing import Any

from sqlmodel import select
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain import ownership
from app.domain.digests import Document, Section, Sentence, as_markdown
from app.domain.records import AuthorKind, Change, ChangeKind, Digest, Origin, Page, PageKind
from app.services import pages as editing
from app.store import changes, pages
from app.store.db import reading, writing
from app.store.pages import PERSON, Author, Content
from tests.factories import THEN
from tests.web.conftest import parsed, words

TEXT = "- Oolong <b>steeps</b> 18.3% longer. [[oolong|Oolong]]"


def propose(app: App, **section: Any) -> tuple[str, str]:
    """A page a person wrote, with a machine's section, and a text proposed for it; slug and "c7"."""
    with writing(app.engine) as session:
        body = "What tea is.\n\n## Recent\n\n- Old news.\n"
        page = pages.create(
            session, Content(title="Tea", kind=PageKind.CONCEPT), author=PERSON, now=THEN
        )
        content = Content(title="Tea", kind=PageKind.CONCEPT, body="What tea is.\n")
        pages.revise(session, page, content, author=PERSON, now=THEN)
        content = Content(title="Tea", kind=PageKind.CONCEPT, body=body)
        pages.revise(session, page, content, author=Author(AuthorKind.MODEL, "m"), now=THEN)
        old = ownership.named(body, "recent")
        assert old is not None and page.id is not None
        told = {"key": "recent", "title": "Recent", "before_hash": old.hash, "text": TEXT}
        changes.propose(
            session,
            kind=ChangeKind.EDIT,
            key=f"edit:{page.id}:recent:1",
            title="Tea",
            target_id=page.id,
            confidence=0.5,
            reason="3 papers were accepted since.",
            content={
                "base": page.version,
                "author": {"name": "claude-test", "prompt": "concept@1 x"},
                "sections": [{**told, **section}],
                "papers": [],
                "struck": [
                    {"text": "It is <i>99%</i> so.", "struck": "The number “99%” is wrong."}
                ],
            },
            evidence=[],
            signals=[],
            origin=Origin.MODEL,
            now=THEN,
        )
        change = session.exec(select(Change)).one()
        return page.slug, f"c{change.id}"


def body_of(app: App, slug: str) -> str:
    with reading(app.engine) as session:
        return pages.get(session, slug).body


def test_the_row_shows_what_would_change_and_what_was_struck(app: App, client: TestClient) -> None:
    slug, name = propose(app)
    page = parsed(client.get("/review?tab=concepts"))
    row = page.select_one(f"#s{name}")
    assert row.select_one(f'a[href="/w/{slug}"]') and "new text" in words(row)
    assert words(row.select_one(".diff ins")) == TEXT
    assert words(row.select_one(".diff del.line")) == "- Old news."
    assert "written by claude-test" in words(row) and "1 sentence was struck" in words(row)
    assert "It is <i>99%</i> so." in words(row) and row.find("b", string="steeps") is None
    assert row.select_one("textarea") is None


def test_it_is_accepted_seen_and_undone_on_the_screens(app: App, client: TestClient) -> None:
    slug, name = propose(app)
    before = body_of(app, slug)
    client.post(f"/review/{name}", data={"decision": "accept"})
    assert "18.3%" in body_of(app, slug) and "Old news" not in body_of(app, slug)
    page = parsed(client.get(f"/w/{slug}"))
    assert "unreviewed" not in words(page.select_one("article"))
    told = words(page.select_one(".rail"))
    assert "“recent” is written by claude-test" in told and "All else is written by you" in told
    decided = parsed(client.get("/review?tab=decided"))
    assert "a new text" in words(decided.main) and decided.select_one(f'a[href="/w/{slug}"]')
    undo = decided.select_one('form[action$="/undo"]')["action"]
    client.post(undo)
    assert body_of(app, slug) == before
    assert parsed(client.get("/review?tab=concepts")).select_one(f"#s{name}")


def test_one_that_cannot_be_made_says_why_and_loses_nothing(app: App, client: TestClient) -> None:
    slug, name = propose(app)
    with writing(app.engine) as session:
        page = pages.get(session, slug)
        mine = Content(
            title="Tea", kind=PageKind.CONCEPT, body=page.body.replace("Old news", "My news")
        )
        editing.save(session, slug, mine, base=page.version, now=THEN)
    row = parsed(client.get("/review?tab=concepts")).select_one(f"#s{name}")
    assert "A person wrote “Recent” since" in words(row) and row.select_one(".diff") is None
    answer = client.post(f"/review/{name}", data={"decision": "accept"})
    assert answer.status_code == 409 and "it is theirs" in answer.text
    assert "My news" in body_of(app, slug)
    assert client.post(f"/review/{name}", data={"decision": "reject"}).status_code < 400


def test_a_page_that_one_person_wrote_says_nothing_of_machines(
    app: App, client: TestClient
) -> None:
    with writing(app.engine) as session:
        pages.create(
            session,
            Content(title="Tea", kind=PageKind.CONCEPT, body="# A\n\nx\n"),
            author=PERSON,
            now=THEN,
        )
        assert isinstance(session.exec(select(Page)).one(), Page)
    assert "is written by" not in words(parsed(client.get("/w/tea")).main)


def test_a_digest_shows_how_many_sentences_were_struck_and_which(
    app: App, client: TestClient
) -> None:
    wrong = Sentence("Tea is <b>99%</b> so.", ("tea",), AuthorKind.MODEL, "The number is wrong.")
    right = Sentence("Tea is so.", ("tea",), AuthorKind.MODEL)
    section = Section("tldr", "TL;DR", ((right,), (wrong,)))
    with writing(app.engine) as session:
        page = pages.create(
            session,
            Content(
                title="Digest of 14 May 2026",
                kind=PageKind.DIGEST,
                body=as_markdown(Document("2026-05-14", (section,))),
            ),
            author=Author(AuthorKind.MODEL, "claude-test", "digest@1 x"),
            now=THEN,
        )
        session.add(
            Digest(
                page_id=page.id or 0,
                day="2026-05-14",
                sections=[section.as_json()],
                teller="claude-test",
                struck=1,
            )
        )
    page = parsed(client.get("/today/2026-05-14?view=full"))
    told = words(page.select_one("article"))
    assert "written by claude-test" in told and "unreviewed" in told
    assert "1 sentence was struck: see it" in told and "Tea is <b>99%</b> so." in told
    assert "99%" not in words(page.select_one(".prose"))
