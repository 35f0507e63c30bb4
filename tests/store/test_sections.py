"""Who owns the sections of a page, kept by the one write path that saves, imports and merges share."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col

from app.domain.records import AuthorKind, Page, PageKind, PageSection
from app.services import pages as editing
from app.services import review
from app.store import pages, sections
from app.store.db import reading, writing
from app.store.pages import IMPORT, PERSON, Author, Content
from tests.factories import THEN, make_engine

MODEL = Author(AuthorKind.MODEL, "claude-test", "concept@1 x")
AGENT = Author(AuthorKind.AGENT, "linker")
BODY = "Tea.\n\n## Leaves\n\nGreen.\n\n## Pots\n\nRound.\n"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return make_engine(tmp_path)


def make(session: Session, author: Author, body: str = BODY, title: str = "Tea") -> Page:
    content = Content(title=title, kind=PageKind.CONCEPT, body=body)
    return pages.create(session, content, author=author, now=THEN)


def write(session: Session, page: Page, author: Author, old: str, new: str) -> None:
    assert old in page.body
    content = Content(title=page.title, kind=page.kind, body=page.body.replace(old, new))
    pages.revise(session, page, content, author=author, now=THEN + timedelta(days=1))


def owners(session: Session, page: Page) -> dict[str, str]:
    return {each.key: each.owner.kind.value for each in sections.of_page(session, page)}


@pytest.mark.parametrize("author", [PERSON, IMPORT, AGENT, MODEL])
def test_a_page_of_one_author_is_theirs_and_has_no_rows(engine: Engine, author: Author) -> None:
    with writing(engine) as session:
        page = make(session, author)
        write(session, page, author, "Round", "Square")
        assert owners(session, page) == dict.fromkeys(("", "leaves", "pots"), author.kind.value)
        assert sections.kept(session, page.id or 0) == []
        assert sections.of_page(session, page)[0].owner.prompt == author.prompt


def test_who_changed_a_text_last_owns_it(engine: Engine) -> None:
    with writing(engine) as session:
        page = make(session, AGENT)
        write(session, page, PERSON, "Round", "Square")
        assert owners(session, page) == {"": "agent", "leaves": "agent", "pots": "person"}
        write(session, page, MODEL, "Green", "Black")
        assert owners(session, page) == {"": "agent", "leaves": "model", "pots": "person"}
        rows = sections.kept(session, page.id or 0)
        assert [(row.position, row.author, row.prompt) for row in rows] == [
            (0, "linker", ""),
            (1, "claude-test", "concept@1 x"),
            (2, "you", ""),
        ]
        assert [row.at.day for row in rows] == [THEN.day, THEN.day + 1, THEN.day + 1]


def test_a_title_alone_changes_no_owner(engine: Engine) -> None:
    with writing(engine) as session:
        page = make(session, PERSON)
        content = Content(title="Green tea", kind=PageKind.CONCEPT, body=page.body)
        pages.revise(session, page, content, author=MODEL, now=THEN)
        assert page.author_kind == AuthorKind.MODEL
        assert set(owners(session, page).values()) == {"person"}


def test_a_restored_text_is_the_person_s_who_restored_it(engine: Engine) -> None:
    with writing(engine) as session:
        page = make(session, PERSON)
        write(session, page, MODEL, "Green", "Black")
        editing.restore(session, page.slug, 1, now=THEN)
        assert set(owners(session, page).values()) == {"person"}


def test_a_merge_keeps_the_owners_of_the_page_that_stays(engine: Engine) -> None:
    with writing(engine) as session:
        page, other = make(session, PERSON), make(session, AGENT, "A cup.\n", "Cups")
        write(session, page, MODEL, "Green", "Black")
        before = owners(session, page)
        assert before["leaves"] == "model"
        decision = review.merge(session, other.slug, page.slug, now=THEN)
        after = owners(session, page)
        assert {key: after[key] for key in ("", "leaves")} == {"": "person", "leaves": "model"}
        review.undo(session, decision.id, now=THEN)
        assert owners(session, page)["leaves"] == "model"


def test_rows_go_with_their_page(engine: Engine) -> None:
    with writing(engine) as session:
        page = make(session, PERSON)
        write(session, page, MODEL, "Green", "Black")
        session.connection().execute(sa.delete(Page).where(col(Page.id) == page.id))
    with reading(engine) as session:
        count = sa.select(sa.func.count()).select_from(PageSection)
        assert session.connection().execute(count).scalar_one() == 0


def test_a_body_that_is_no_markdown_is_one_section(engine: Engine) -> None:
    with writing(engine) as session:
        page = make(session, PERSON, "[" * 400_000)
        write(session, page, MODEL, "[" * 400_000, "# x\n" * 200_000)
        assert owners(session, page) == {"": "model"}
