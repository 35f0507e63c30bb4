"""By what names texts link to pages: rewritten after a rename, and found where Obsidian would not follow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.ownership import Owner
from app.domain.records import (
    Act,
    ActKind,
    AuthorKind,
    Link,
    LinkStatus,
    Mirror,
    Origin,
    Page,
    PageKind,
    Question,
    QuestionState,
    Relation,
    Revision,
)
from app.services import acts as undoing
from app.services import pages as editing
from app.services import wording
from app.store import pages, sections
from app.store import wording as stored
from app.store.db import writing
from app.store.pages import PERSON, Author, Content
from tests.factories import THEN, make_engine, make_link

MODEL = Author(AuthorKind.MODEL, "a-model", "concept@1")


def astray(session: Session) -> list[stored.Astray]:
    return [each for _, links in stored.astray(session) for each in links]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def make_page(
    session: Session,
    title: str,
    kind: PageKind = PageKind.CONCEPT,
    *,
    text: str = "",
    aliases: tuple[str, ...] = (),
) -> Page:
    content = Content(title=title, kind=kind, body=text, aliases=aliases)
    return pages.create(session, content, author=PERSON, now=THEN)


def make_file(session: Session, page: Page, path: str) -> None:
    """The row of a page's file, as if the vault had been written."""
    session.add(
        Mirror(
            page_id=page.id,
            path=path,
            path_key=path.casefold(),
            stem_key=path.rpartition("/")[2].removesuffix(".md").casefold(),
            version=page.version,
            head="",
            newline="\n",
            hash="",
            side_hash="",
            size=0,
            mtime_ns=0,
            at=THEN,
        )
    )
    session.flush()


def body_of(session: Session, slug: str) -> str:
    return pages.get(session, slug).body


def retitle(session: Session, slug: str, title: str) -> editing.Saved:
    page = pages.get(session, slug)
    content = Content(title=title, kind=page.kind, body=page.body)
    return editing.save(session, slug, content, base=page.version, now=THEN, links=True)


# ---------------------------------------------------------------- a rename


TEXT = """Of [[Hub]], [[hub|the hub]], [[HUB#Parts]], ![[Hub]], [[uses::Hub]] and [[Nave]].

| a | b |
|---|---|
| [[Hub]] | [[Hub\\|x]] |

`[[Hub]]` and [file](Hub.md).

```
[[Hub]]
```
"""
RENAMED = """Of [[Nave of all]], [[Nave of all|the hub]], [[Nave of all#Parts]], ![[Nave of all]], [[uses::Nave of all]] and [[Nave]].

| a | b |
|---|---|
| [[Nave of all]] | [[Nave of all\\|x]] |

`[[Hub]]` and [file](Nave%20of%20all.md).

```
[[Hub]]
```
"""


def test_a_rename_is_written_into_the_texts_that_link_by_the_old_name(engine: Engine) -> None:
    with writing(engine) as session:
        hub = make_page(session, "Hub", text="Turns. See [[Nowhere]].", aliases=("Nave",))
        spoke = make_page(session, "Spoke", PageKind.NOTE, text=TEXT)
        other = make_page(session, "Other", PageKind.NOTE, text="Nothing of it.")
        before = {link.id: link.relation for link in session.exec(select(Link))}
        saved = retitle(session, "hub", "Nave of all")
        assert saved.linked == 1
        assert spoke.body == RENAMED
        assert (spoke.version, other.version) == (2, 1)
        assert {link.id: link.relation for link in session.exec(select(Link))} == before
        revision = pages.revision(session, spoke.id or 0, 2)
        assert (revision.author_kind, revision.note) == (
            AuthorKind.PERSON,
            "a page it links to was renamed",
        )
        assert hub.slug == "hub"


def test_without_being_asked_a_rename_leaves_other_texts_alone(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "Hub")
        spoke = make_page(session, "Spoke", PageKind.NOTE, text="[[Hub]]")
        content = Content(title="Nave", kind=PageKind.CONCEPT)
        editing.save(session, "hub", content, base=1, now=THEN)
        assert (spoke.body, spoke.version) == ("[[Hub]]", 1)
        assert session.exec(select(Act)).all() == []
        retitle(session, "spoke", "Another")  # nobody links to it
        assert session.exec(select(Act)).all() == []


def test_a_rename_and_its_links_are_undone_as_one(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "Hub", aliases=("Boss",))
        make_page(session, "Spoke", PageKind.NOTE, text="About [[Hub]] and [[hub|it]].")
        make_page(session, "Later", PageKind.NOTE, text="Of the [[Hub]].\n\nAnd so on.")
    with writing(engine) as session:
        editing.rename(session, "hub", "the-nave", now=THEN, title="The nave", links=True)
        assert body_of(session, "spoke") == "About [[The nave]] and [[The nave|it]]."
    with writing(engine) as session:  # somebody goes on writing there
        page = pages.get(session, "later")
        content = Content(title="Later", kind=PageKind.NOTE, body=f"{page.body}\n\nMore.")
        editing.save(session, "later", content, base=2, now=THEN)
        act = session.exec(select(Act)).one()
        assert (act.kind, act.words) == (ActKind.RENAME, "Hub is called The nave")
        act_id = act.id or 0
    with writing(engine) as session:
        done = undoing.undo(session, act_id, now=THEN)
        assert not done.stays
        hub = pages.get(session, "hub")
        assert hub.title == "Hub" and pages.aliases_of(session, hub.id or 0) == ["Boss", "The nave"]
        assert body_of(session, "spoke") == "About [[Hub]] and [[hub|it]]."
        assert body_of(session, "later") == "Of the [[Hub]].\n\nAnd so on.\n\nMore."
        again = done.act
    with writing(engine) as session:
        undoing.undo(session, again, now=THEN)
        assert pages.get(session, "the-nave").title == "The nave"
        assert body_of(session, "spoke") == "About [[The nave]] and [[The nave|it]]."
        assert body_of(session, "later") == "Of the [[The nave]].\n\nAnd so on.\n\nMore."


def test_an_undo_leaves_the_address_of_a_page_that_was_moved_on(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "Hub")
        make_page(session, "Spoke", PageKind.NOTE, text="[[hub]]")
    with writing(engine) as session:
        editing.rename(session, "hub", "nave", now=THEN, links=True)
        assert body_of(session, "spoke") == "[[Hub]]" or body_of(session, "spoke") == "[[Hub|hub]]"
    with writing(engine) as session:
        editing.rename(session, "nave", "boss", now=THEN)
        done = undoing.undo(session, session.exec(select(Act.id)).one() or 0, now=THEN)
        assert [each.why for each in done.stays] == ["it was moved on since"]
        assert body_of(session, "spoke") == "[[hub]]"
        assert pages.named(session, "hub").slug == "boss"  # type: ignore[union-attr]


NAMES = [
    # new title, what is written for [[Hub]] and for [[Hub|x]]
    ("What: is it?", "[[hub|What: is it?]] [[hub|x]]"),
    ("A [b] | c", "[[hub|A b c]] [[hub|x]]"),
    ("Taken", "[[hub|Taken]] [[hub|x]]"),  # another page's title, and older
    ("figure.png", "[[hub|figure.png]] [[hub|x]]"),
    ("*Star*", "[[hub|\\*Star\\*]] [[hub|x]]"),
    ("HUB", "[[HUB]] [[HUB|x]]"),
    ("Ünïts", "[[Ünïts]] [[Ünïts|x]]"),
]


@pytest.mark.parametrize(("title", "expected"), NAMES)
def test_a_link_gets_a_name_that_leads_to_the_page_here_and_to_its_file(
    engine: Engine, title: str, expected: str
) -> None:
    with writing(engine) as session:
        make_page(session, "Taken")
        hub = make_page(session, "Hub")
        spoke = make_page(session, "Spoke", PageKind.NOTE, text="[[Hub]] [[Hub|x]]")
        make_file(session, hub, "concepts/Hub.md")
        retitle(session, "hub", title)
        assert spoke.body == expected
        link = session.exec(select(Link).where(Link.source_id == spoke.id)).one()
        assert link.target_id == hub.id


def test_an_address_that_was_the_name_of_the_file_is_written_too(engine: Engine) -> None:
    with writing(engine) as session:
        asks = make_page(session, "What is it?")
        spoke = make_page(session, "Spoke", PageKind.NOTE, text="[[what-is-it|it]] [[What is it?]]")
        make_file(session, asks, "concepts/what-is-it.md")
        retitle(session, "what-is-it", "An answer")
        assert spoke.body == "[[An answer|it]] [[An answer]]"
        retitle(session, "what-is-it", "The answer")
        assert spoke.body == "[[The answer|it]] [[The answer]]"


def test_a_file_that_a_person_named_keeps_its_name_and_the_links_to_it(engine: Engine) -> None:
    with writing(engine) as session:
        hub = make_page(session, "Hub", aliases=("My wheel",))
        spoke = make_page(session, "Spoke", PageKind.NOTE, text="[[My wheel]] and [[Hub]]")
        make_file(session, hub, "mine/My wheel.md")
        page = pages.get(session, "hub")
        content = Content(title="Nave", kind=page.kind, aliases=("My wheel",))
        editing.save(session, "hub", content, base=1, now=THEN, links=True)
        assert spoke.body == "[[My wheel]] and [[My wheel|Nave]]"


def test_a_path_that_ends_in_the_old_name_is_a_link_to_it_unless_it_is_another_pages_title(
    engine: Engine,
) -> None:
    with writing(engine) as session:
        make_page(session, "Hub")
        make_page(session, "a/Hub")
        spoke = make_page(
            session, "Spoke", PageKind.NOTE, text="[[concepts/Hub]] [[a/Hub]] [[b/Hub.md]]"
        )
        retitle(session, "hub", "Nave")
        assert spoke.body == "[[Nave]] [[a/Hub]] [[Nave]]"


def test_sections_and_pages_stay_whose_they_were(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "Hub")
        mixed = make_page(
            session, "Mixed", text="Mine, of [[Hub]].\n\n## Recent\n\nTheirs, of [[Hub]].\n"
        )
        content = pages.content_of(session, mixed)
        mixed_body = "Mine, of [[Hub]].\n\n## Recent\n\nWritten by it, of [[Hub]].\n"
        pages.revise(
            session,
            mixed,
            Content(title=content.title, kind=content.kind, body=mixed_body),
            author=MODEL,
            now=THEN,
        )
        content = Content(
            title="Told", kind=PageKind.NOTE, body="It tells of [[Hub]].\n\n## On [[Hub]]\n\nAll."
        )
        told = pages.create(session, content, author=MODEL, now=THEN, slug="told")
        made = {each.key: each.owner for each in sections.of_page(session, mixed)}
        assert made == {"": Owner(AuthorKind.PERSON, "you"), "recent": Owner(*_of(MODEL))}
        retitle(session, "hub", "Nave")
        assert "[[Nave]]" in told.body and "[[Hub]]" not in told.body + mixed.body
        assert {each.key: each.owner for each in sections.of_page(session, mixed)} == made
        assert (told.author_kind, told.author) == (AuthorKind.MODEL, "a-model")
        assert {each.owner for each in sections.of_page(session, told)} == {Owner(*_of(MODEL))}
        assert [each.key for each in sections.of_page(session, told)] == ["", "on-nave"]
        act = session.exec(select(Act.id)).one() or 0
        undoing.undo(session, act, now=THEN)
        assert told.body == content.body
        assert {each.owner for each in sections.of_page(session, told)} == {Owner(*_of(MODEL))}
        assert {each.key: each.owner for each in sections.of_page(session, mixed)} == made


def _of(author: Author) -> tuple[AuthorKind, str, str]:
    return author.kind, author.name, author.prompt


def test_what_was_decided_of_links_and_questions_stays(engine: Engine) -> None:
    with writing(engine) as session:
        hub = make_page(session, "Hub")
        text = "Of [[Hub]].\n\n## Open questions\n\n- Why [[Hub]]?\n"
        spoke = make_page(session, "Spoke", PageKind.NOTE, text=text)
        accepted = session.get_one(
            Link, make_link(session, spoke.id or 0, hub.id or 0, relation=Relation.EXTENDS)
        )
        accepted.note = "seen by me"
        question = session.exec(select(Question)).one()
        question.state = QuestionState.ANSWERED
        session.add_all([accepted, question])
        session.flush()
        retitle(session, "hub", "Nave of everything that turns")
        links = {link.relation: link for link in session.exec(select(Link))}
        assert links[Relation.EXTENDS].status == LinkStatus.ACCEPTED
        assert links[Relation.EXTENDS].note == "seen by me"
        assert links[Relation.MENTIONS].origin == Origin.AUTHOR
        standing = session.exec(select(Question)).one()
        assert (standing.id, standing.state) == (question.id, QuestionState.ANSWERED)
        assert "Nave" in standing.text


# ---------------------------------------------------------------- links that Obsidian does not follow


def test_links_that_obsidian_would_not_follow_are_found_and_written(engine: Engine) -> None:
    with writing(engine) as session:
        cache = make_page(session, "KV cache", aliases=("KVC", "key-value cache"))
        asks = make_page(session, "What is it?")
        make_file(session, cache, "concepts/KV cache.md")
        make_file(session, asks, "concepts/what-is-it.md")
        text = (
            "[[kv CACHE]] [[KV cache#A|b]] [[concepts/KV cache]] [[nobody]] `[[KVC]]`\n\n"
            "[[KVC]] [[KVC|shown]] [[kv-cache]] [[KVC#Part]] ![[KVC]] [[What is it?]] [[mine/KV cache]]\n\n"
            "| [[KVC]] |\n|---|\n\n[[uses::KVC]] [[about::KV cache]]"
        )
        make_page(session, "Spoke", PageKind.NOTE, text=text)
        found = astray(session)
        assert [each.says for each in found if each.wording] == [
            *("[[KVC]]", "[[KVC|shown]]", "[[kv-cache]]", "[[KVC#Part]]", "![[KVC]]"),
            *("[[What is it?]]", "[[mine/KV cache]]", "[[KVC]]"),
        ]
        assert [each.says for each in found if not each.wording] == [
            "[[uses::KVC]]",
            "[[about::KV cache]]",
        ]
        done = wording.word(session, now=THEN)
        assert (done.pages, done.links, done.stay) == (1, 8, 2)
        assert body_of(session, "spoke") == (
            "[[kv CACHE]] [[KV cache#A|b]] [[concepts/KV cache]] [[nobody]] `[[KVC]]`\n\n"
            "[[KV cache|KVC]] [[KV cache|shown]] [[KV cache|kv-cache]] [[KV cache#Part|KVC § Part]] "
            "![[KV cache]] [[what-is-it|What is it?]] [[KV cache|mine/KV cache]]\n\n"
            "| [[KV cache\\|KVC]] |\n|---|\n\n[[uses::KVC]] [[about::KV cache]]"
        )
        assert [each.says for each in astray(session)] == [
            "[[uses::KVC]]",
            "[[about::KV cache]]",
        ]
        again = wording.word(session, now=THEN)
        assert (again.pages, again.stay, again.act) == (0, 2, None)
        act = session.exec(select(Act)).one()
        assert act.kind == ActKind.WORDING
        undoing.undo(session, act.id or 0, now=THEN)
        assert body_of(session, "spoke") == text


def test_a_name_of_one_page_that_is_anothers_file_is_astray(engine: Engine) -> None:
    with writing(engine) as session:
        one = make_page(session, "KV cache")
        other = make_page(session, "The second", aliases=("second",))
        make_file(session, one, "concepts/KV cache.md")
        make_file(session, other, "mine/kv-cache.md")
        make_page(session, "Spoke", PageKind.NOTE, text="[[kv-cache]]")
        [found] = astray(session)
        assert found.target.slug == "kv-cache"
        wording.word(session, now=THEN)
        assert body_of(session, "spoke") == "[[KV cache|kv-cache]]"


def test_a_look_at_a_wiki_takes_as_many_statements_however_many_links_it_has(
    engine: Engine,
) -> None:
    from sqlalchemy import event

    counts = []
    with writing(engine) as session:
        make_page(session, "Hub", aliases=("Nave",))
        for number in range(60):
            make_page(session, f"Spoke {number}", PageKind.NOTE, text="[[Nave]] [[Hub]]")
            if number in (5, 59):
                said: list[str] = []
                listen = lambda *args, said=said: said.append(args[2])  # noqa: E731
                event.listen(engine, "before_cursor_execute", listen)
                assert sum(len(found) for _, found in stored.astray(session)) == number + 1
                event.remove(engine, "before_cursor_execute", listen)
                counts.append(len(said))
    assert counts[0] == counts[1]


def test_revisions_of_an_act_name_it(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "Hub", aliases=("Nave",))
        make_page(session, "Spoke", PageKind.NOTE, text="[[Nave]]")
        done = wording.word(session, now=THEN)
        named = session.exec(select(Revision.number).where(col(Revision.act_id) == done.act)).all()
        assert named == [2]
        assert PERSON.kind == AuthorKind.PERSON


def test_the_statements_of_a_rename_and_its_undo_hardly_grow_with_the_pages(engine: Engine) -> None:
    seen: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
    numbers = []
    for name, count in (("Few", 5), ("Many", 65)):
        with writing(engine) as session:
            make_page(session, name)
            for at in range(count):
                make_page(session, f"{name} {at}", text=f"See [[{name}]] and [[Nothing {at}]].\n")
        seen.clear()
        with writing(engine) as session:
            old = name.lower()
            editing.rename(session, old, f"{old}-new", title=f"{name} new", links=True, now=THEN)
        with writing(engine) as session:
            done = session.exec(select(Act).order_by(col(Act.id).desc())).first()
            assert done is not None and done.id is not None
            undoing.undo(session, done.id, now=THEN)
            assert f"See [[{name}]] " in pages.get(session, f"{old}-4").body
        numbers.append(len(seen))
    # Of each page the new revision, once for the rename and once for its undo.
    assert numbers[1] - numbers[0] <= 2 * 60 + 10, numbers
