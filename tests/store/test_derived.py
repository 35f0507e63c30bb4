"""What is derived: nothing is wrong after the write path, and whatever is wrong is made right."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, SQLModel, select

from app.domain.queries import Filters, parse_query
from app.domain.records import (
    Announced,
    Assessment,
    Identifier,
    ListingPaper,
    Page,
    PageKind,
    Paper,
    PaperState,
    Thread,
    Topic,
)
from app.store import derived, search
from app.store.db import reading, writing
from app.store.pages import IMPORT, PERSON, Content, create, reindex, revise
from tests.factories import THEN, make_engine

TABLES = ("page_text", "red_link", "page_number", "title_word")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Pages of every sort that derived rows follow, written by the write path."""
    engine = make_engine(tmp_path)
    with writing(engine) as session:
        tide = create(
            session,
            Content(title="Tide", kind=PageKind.CONCEPT, body="See [[Moon]].", aliases=("Flood",)),
            author=PERSON,
            now=THEN,
        )
        paper = Paper(
            state=PaperState.KEPT,
            title="On tides",
            title_key="on tides",
            abstract="The abstract says ebb.",
            authors=["Ana Doe"],
            created_at=THEN,
        )
        session.add(paper)
        session.flush()
        for value in ("2605.00002", "2605.00001"):
            session.add(Identifier(scheme="arxiv", value=value, paper_id=paper.id))
        session.flush()
        content = Content(
            title="On tides", kind=PageKind.PAPER, body="Of the [[Tide]] and [[Sun]]."
        )
        create(session, content, author=IMPORT, now=THEN, paper=paper)
        thread = create(
            session,
            Content(title="Moons", kind=PageKind.THREAD, body="It is eight papers strong."),
            author=PERSON,
            now=THEN,
        )
        session.add(Thread(page_id=thread.id or 0, claim="Moons pull."))
        session.flush()
        reindex(session, thread)
        revise(
            session,
            tide,
            Content(
                title="Tides",
                kind=PageKind.CONCEPT,
                body="See [[Moon]] and [[Sun]].",
                aliases=("Flood",),
            ),
            author=PERSON,
            now=THEN,
        )
    return engine


def rows(session: Session) -> dict[str, set[Any]]:
    tables = SQLModel.metadata.tables
    told = {
        name: {tuple(row) for row in session.connection().execute(sa.select(tables[name]))}
        for name in TABLES
        if name != "title_word"
    }
    words = sa.select(tables["title_word"].c.word)
    return {**told, "title_word": set(session.connection().execute(words).scalars())}


def found(session: Session, words: str) -> list[int]:
    return [page for page, _ in search.match(session, parse_query(words), Filters()).ranked]


def test_nothing_is_wrong_after_the_write_path(engine: Engine) -> None:
    with writing(engine) as session:
        assert derived.rebuild(session) == derived.Wrong()


def test_all_is_made_anew_where_nothing_is_left(engine: Engine) -> None:
    with writing(engine) as session:
        before = rows(session)
        assert before["red_link"] and before["page_number"] and before["title_word"]
        for name in TABLES:
            session.connection().execute(sa.delete(SQLModel.metadata.tables[name]))
        wrong = derived.rebuild(session)
        assert rows(session) == before
        assert (wrong.texts, wrong.red_links) == (3, len(before["red_link"]))
    with reading(engine) as session:
        assert found(session, "ebb") == found(session, "2605.00002") != []


def test_what_is_wrong_is_made_right_and_counted(engine: Engine) -> None:
    with writing(engine) as session:
        before = rows(session)
        connection = session.connection()
        connection.execute(sa.text("UPDATE page_text SET text = 'rubbish' WHERE title = 'Tides'"))
        connection.execute(sa.text("UPDATE red_link SET sentence = 'x' WHERE key = 'moon'"))
        connection.execute(sa.text("DELETE FROM page_number"))
        wrong = derived.rebuild(session)
        assert wrong == derived.Wrong(texts=1, red_links=2, numbers=len(before["page_number"]))
        assert rows(session) == before
        assert found(session, "rubbish") == []


def test_a_page_that_is_gone_has_nothing(engine: Engine) -> None:
    with writing(engine) as session:
        page = session.exec(select(Page).where(Page.slug == "moons")).one()
        page.kind = PageKind.REMOVED
        session.add(page)
        session.flush()
        assert derived.rebuild(session).total == 2  # its text and its number
        assert found(session, "pull") == []


def test_the_inbox_order_is_that_of_the_triggers(tmp_path: Path) -> None:
    engine = make_engine(tmp_path)
    dice = Random(7)
    with writing(engine) as session:
        session.add(Topic(id="t", name="T"))
        session.flush()
        for number in range(60):
            paper = Paper(
                state=PaperState.WAITING,
                title=f"P{number}",
                title_key=f"p{number}",
                published=dice.choice(["", "2026-05", "2026-05-07"]),
                created_at=THEN,
            )
            session.add(paper)
            session.flush()
            assert paper.id is not None
            for day in dice.sample(["2026-05-08", "2026-05-09", "2026-05-10"], dice.randrange(3)):
                announced = dice.choice([None, *Announced])
                session.add(ListingPaper(day=day, paper_id=paper.id, announced=announced))
            for scorer in dice.sample(["local", "model", "page"], dice.randrange(3)):
                session.add(
                    Assessment(
                        paper_id=paper.id,
                        scorer=scorer,
                        at=THEN,
                        relevance=dice.choice([None, *range(1, 11)]),
                        novelty=dice.choice([None, 3]),
                        score=dice.choice([None, 0.0, 0.37]),
                        topic_id=dice.choice([None, "t"]),
                    )
                )
            session.flush()
    order = sa.text("SELECT id, score, topic_id, came FROM paper ORDER BY id")
    with writing(engine) as session:
        kept = session.connection().execute(order).all()
        assert len({row.score for row in kept}) > 10
        assert derived.papers(session) == 0
        session.connection().execute(
            sa.text("UPDATE paper SET score = 7, topic_id = 't', came = '1'")
        )
        assert derived.papers(session) == 60
        assert session.connection().execute(order).all() == kept
