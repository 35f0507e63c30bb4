"""The write path of pages: what is stored of a page always agrees with its text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlmodel import Session, select

from app.domain.identifiers import is_slug
from app.domain.records import Link, LinkStatus, Origin, Page, PageKind, RedLink, Relation
from app.errors import NotFound
from app.store import links, pages
from app.store.db import generation, reading, writing
from app.store.pages import IMPORT, PERSON, Content
from tests.factories import make_engine, make_link, make_page

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def create(session: Session, title: str, body: str = "", slug: str = "", **names: object) -> Page:
    content = Content(title=title, kind=PageKind.CONCEPT, body=body, **names)  # type: ignore[arg-type]
    return pages.create(session, content, author=PERSON, now=NOW, slug=slug)


def rewrite(session: Session, page: Page, body: str) -> bool:
    before = pages.content_of(session, page)
    content = Content(title=before.title, kind=before.kind, body=body, aliases=before.aliases)
    return pages.revise(session, page, content, author=PERSON, now=NOW)


def edges(session: Session) -> set[tuple[str, str, str]]:
    slugs = {page.id: page.slug for page in session.exec(select(Page))}
    return {
        (slugs[link.source_id], link.relation.value, slugs[link.target_id])
        for link in session.exec(select(Link).where(Link.status == LinkStatus.ACCEPTED))
    }


def reds(session: Session) -> list[str]:
    return sorted(session.exec(select(RedLink.name)))


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    "name",
    ["kv-cache", "KV Cache", "kv cache", "  KV   cache ", "Key–Value Cache", "former-address"],
)
def test_a_page_is_found_by_slug_title_alias_and_former_address(engine: Engine, name: str) -> None:
    with writing(engine) as session:
        page = create(session, "KV cache", slug="former-address", aliases=("key–value cache",))
        pages.rename(session, page, "kv-cache", now=NOW)
        found = pages.named(session, name)
    assert found is not None
    assert (found.slug, found.title, found.kind) == ("kv-cache", "KV cache", "concept")


def test_a_slug_outranks_a_title_a_title_an_alias_and_the_older_page_the_younger(
    engine: Engine,
) -> None:
    with writing(engine) as session:
        create(session, "One", slug="one", aliases=("tide",))
        assert pages.named(session, "tide").slug == "one"  # type: ignore[union-attr]
        create(session, "Tide", slug="two")
        create(session, "tide", slug="three")
        assert pages.named(session, "tide").slug == "two"  # type: ignore[union-attr]
        create(session, "Four", slug="tide")
        assert pages.named(session, "tide").slug == "tide"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["", " ", "\x00", "x" * 100_000, "' OR 1=1 --", "%", "_"])
def test_a_name_that_nobody_has_finds_nothing(engine: Engine, name: str) -> None:
    with writing(engine) as session:
        create(session, "Tide")
        assert pages.named(session, name) is None


def test_many_names_are_looked_up_in_few_statements(engine: Engine) -> None:
    with writing(engine) as session:
        for number in range(20):
            create(session, f"Page {number}")
    seen: list[str] = []
    with reading(engine) as session:
        event.listen(engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
        found = pages.resolve(session, [f"page {number}" for number in range(900)])
    assert len(found) == 20
    asked = [statement for statement in seen if statement.startswith("SELECT")]
    assert len(asked) == 9  # three for each 400 names


def test_addresses_are_kept_as_given_or_get_a_number(engine: Engine) -> None:
    with writing(engine) as session:
        made = [
            create(session, title, slug=slug).slug
            for title, slug in (
                ("A", "a--b-"),
                ("A", "a--b-"),
                ("Tide", ""),
                ("Tide", ""),
                ("TIDE", ""),
                ("潮汐", ""),
                ("潮汐", ""),
                ("X", "x" * 200),
                ("X", "x" * 200),
                ("???", ""),
            )
        ]
    assert made[:5] == ["a--b-", "a--b--2", "tide", "tide-2", "tide-3"]
    assert len(set(made)) == len(made)
    assert all(is_slug(slug) for slug in made)


def test_a_former_address_is_not_given_to_another_page(engine: Engine) -> None:
    with writing(engine) as session:
        page = create(session, "Tide")
        pages.rename(session, page, "ebb", now=NOW)
        assert create(session, "Tide").slug == "tide-2"


# ---------------------------------------------------------------- links of a text


def test_links_follow_the_text(engine: Engine) -> None:
    with writing(engine) as session:
        create(session, "Tide")
        create(session, "Moon")
        page = create(session, "Sea", "The [[tide]] and [[extends::Moon|the moon]]. [[Wind]].")
        assert edges(session) == {("sea", "mentions", "tide"), ("sea", "extends", "moon")}
        assert reds(session) == ["Wind"]
        [link] = session.exec(select(Link).where(Link.relation == Relation.EXTENDS))
        assert link.origin is Origin.AUTHOR
        assert link.evidence[0]["quotation"] == "The tide and extends the moon."
        rewrite(session, page, "The [[mentions::Moon]].")
        assert edges(session) == {("sea", "mentions", "moon")}
        assert reds(session) == []
        rewrite(session, page, "")
        assert edges(session) == set()


def test_a_page_is_not_linked_to_itself(engine: Engine) -> None:
    with writing(engine) as session:
        create(session, "Tide", "A [[tide]] is a [[TIDE]].")
        assert edges(session) == set()
        assert reds(session) == []


def test_code_holds_no_links(engine: Engine) -> None:
    with writing(engine) as session:
        create(session, "Tide")
        create(session, "Sea", "`[[tide]]`\n\n```\n[[tide]]\n```\n")
        assert edges(session) == set()


def test_a_machine_link_that_the_text_says_too_outlives_the_text(engine: Engine) -> None:
    with writing(engine) as session:
        tide = create(session, "Tide")
        page = create(session, "Sea")
        link_id = make_link(
            session, page.id or 0, tide.id or 0, Relation.MENTIONS, status=LinkStatus.PROPOSED
        )
        rewrite(session, page, "[[tide]]")
        assert links.get(session, link_id).status is LinkStatus.ACCEPTED
        rewrite(session, page, "[[tide]], said again.")
        rewrite(session, page, "Nothing.")
        link = links.get(session, link_id)
        assert (link.status, link.origin) == (LinkStatus.PROPOSED, Origin.LINKER)
        assert link.evidence == []


def test_a_thousand_red_links_become_links_at_once(engine: Engine) -> None:
    with writing(engine) as session:
        for number in range(300):
            create(session, f"Note {number}", f"See [[Tide]], number {number}.")
        tide = create(session, "Tide")
        assert links.counts(session, tide.id or 0)["incoming"] == 300
        assert reds(session) == []


# ---------------------------------------------------------------- what search reads


def searchable(session: Session, page: Page) -> tuple[str, str, str]:
    row = session.connection().execute(
        sa.text("SELECT title, names, text FROM page_text WHERE page_id = :id"), {"id": page.id}
    )
    return tuple(row.one())


def found(session: Session, word: str) -> list[int]:
    return list(
        session.connection()
        .execute(sa.text("SELECT rowid FROM page_fts WHERE page_fts MATCH :w"), {"w": word})
        .scalars()
    )


@pytest.mark.sqlite_only  # it looks into the full-text table itself
def test_searchable_text_follows_every_change(engine: Engine) -> None:
    with writing(engine) as session:
        page = create(session, "Tide", "**Springtide** in [[May]].", aliases=("ebb",))
        assert searchable(session, page) == ("Tide", "ebb", "Springtide in May.")
        assert found(session, "springtide") == [page.id]
        rewrite(session, page, "Neap.")
        assert found(session, "springtide") == []
        assert found(session, "neap") == [page.id]
        session.delete(page)
        session.flush()
        assert found(session, "neap") == []


def test_counters_move_with_pages_and_concepts(engine: Engine) -> None:
    def counted() -> tuple[int, int]:
        with reading(engine) as session:
            return generation(session), generation(session, "concepts")

    assert counted() == (0, 0)
    with writing(engine) as session:
        assert not pages.ever_had_one(session)
        create(session, "Tide")
    wiki, concepts = counted()
    assert (wiki, concepts) == (1, 1)
    with writing(engine) as session:
        pages.create(session, Content(title="N", kind=PageKind.NOTE), author=IMPORT, now=NOW)
    assert counted() == (2, 1)
    with writing(engine) as session:
        for page in session.exec(select(Page)):
            session.delete(page)
    with reading(engine) as session:
        assert pages.ever_had_one(session)


def test_reading_what_is_not_there(engine: Engine) -> None:
    with reading(engine) as session:
        assert pages.by_slug(session, "x") is None
        assert pages.former(session, "x") is None
        for ask in (lambda: pages.get(session, "x"), lambda: pages.revision(session, 1, 1)):
            with pytest.raises(NotFound):
                ask()


def test_links_as_lists_show_them(engine: Engine) -> None:
    with writing(engine) as session:
        paper = make_page(session, "Paper", PageKind.PAPER)
        thread = make_page(session, "Thread", PageKind.THREAD)
        concept = make_page(session, "Concept")
        make_link(session, paper, thread)
        make_link(session, paper, concept, Relation.ABOUT)
        make_link(session, thread, concept, Relation.RELATED, status=LinkStatus.PROPOSED)
        make_link(session, concept, paper, Relation.CONTRADICTS, status=LinkStatus.PROPOSED)
    with reading(engine) as session:
        assert links.counts(session, paper) == {
            "incoming": 0,
            "outgoing": 2,
            "threads": 1,
        }
        assert links.papers_linking(session, concept) == 1
        assert [row.slug for row in links.outgoing(session, paper)] == ["concept", "thread"]
        assert [row.slug for row in links.backlinks(session, concept)] == ["paper"]
        assert [(row.slug, row.outgoing) for row in links.suggestions(session, concept)] == [
            ("thread", False),
            ("paper", True),
        ]
        assert (links.count(session), links.count(session, tension=True)) == (1, 1)
        assert [row.source_slug for row in links.proposals(session)] == ["thread"]
        assert [row.source_slug for row in links.proposals(session, tension=True)] == ["concept"]
        assert len(links.proposals(session, thread="thread")) == 1
        assert links.proposals(session, thread="nowhere") == []
        for sort in ("confidence", "newest", "page", "nonsense"):
            assert len(links.proposals(session, sort=sort)) == 1
        assert len(links.edges_around(session, [concept])) == 3


def test_a_digest_is_no_orphan(engine: Engine) -> None:
    with writing(engine) as session:
        alone = make_page(session, "Alone")
        for day in ("2026-05-14", "2026-05"):
            make_page(session, f"Digest of {day}", kind=PageKind.DIGEST)
        assert pages.orphans(session) == [alone]
