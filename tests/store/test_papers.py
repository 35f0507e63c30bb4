"""Papers: the sources that speak of them, and which of a day's listing were there before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlmodel import Session, select

from app.domain.independence import LISTED
from app.domain.records import (
    Announced,
    Item,
    Listing,
    ListingPaper,
    Mention,
    Paper,
    PaperState,
    Source,
    SourceKind,
)
from app.store import papers
from app.store.db import reading, writing
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def make_paper(session: Session, title: str, state: PaperState = PaperState.WAITING) -> int:
    paper = Paper(state=state, title=title, title_key=title.lower(), created_at=NOW)
    session.add(paper)
    session.flush()
    assert paper.id is not None
    return paper.id


def list_on(session: Session, day: str, *rows: ListingPaper) -> None:
    if session.get(Listing, day) is None:
        session.add(Listing(day=day))
    session.flush()
    session.add_all(rows)
    session.flush()


def mention(session: Session, paper_id: int, source: str, key: str, kind: SourceKind) -> None:
    """The paper is spoken of in an item (`key`) of a source."""
    found = session.exec(select(Source).where(Source.key == source)).first()
    if found is None:
        found = Source(key=source, kind=kind, name=source.title(), created_at=NOW)
        session.add(found)
        session.flush()
    item = Item(source_id=found.id or 0, key=key, format="x", title=key, received_at=NOW, hash=key)
    session.add(item)
    session.flush()
    session.add(Mention(item_id=item.id or 0, paper_id=paper_id, section="s"))
    session.flush()


def test_sources_are_counted_once_each(engine: Engine) -> None:
    with writing(engine) as session:
        nowhere, everywhere, twice = (make_paper(session, title) for title in "ABC")
        for day in ("2026-05-12", "2026-05-13"):
            list_on(session, day, ListingPaper(day=day, paper_id=everywhere))
        mention(session, everywhere, "a digest", "one", SourceKind.DIGEST)
        mention(session, everywhere, "a show", "first", SourceKind.PODCAST)
        mention(session, everywhere, "a show", "second", SourceKind.PODCAST)
        mention(session, everywhere, "a daily page", "page", SourceKind.LISTING)
        mention(session, everywhere, "my files", "file", SourceKind.FILE)
        mention(session, twice, "a show", "third", SourceKind.PODCAST)
        mention(session, twice, "a show", "fourth", SourceKind.PODCAST)
    with reading(engine) as session:
        assert papers.sources_of(session, [nowhere, everywhere, twice]) == {
            nowhere: [],
            everywhere: [LISTED, "A Digest", "A Show"],
            twice: ["A Show"],
        }
        assert papers.sources_of(session, []) == {}


@pytest.mark.parametrize(
    ("recorded", "upvotes"),
    [
        ({"upvotes": 31}, 31),
        ({"upvotes": 0}, 0),
        ({"upvotes": "many"}, None),
        ({"upvotes": -3}, None),
        ({"upvotes": 1.5}, None),
        ({"upvotes": None}, None),
        ({"upvotes": [4]}, None),
        ({}, None),
    ],
)
def test_upvotes_are_whole_numbers_or_none(
    engine: Engine, recorded: dict[str, object], upvotes: int | None
) -> None:
    with writing(engine) as session:
        paper_id = make_paper(session, "A")
        session.get_one(Paper, paper_id).extra = recorded
    with reading(engine) as session:
        assert papers.upvotes_of(session, [paper_id, 77]).get(paper_id) == upvotes


def test_sources_of_many_papers_take_as_many_statements_as_those_of_one(engine: Engine) -> None:
    with writing(engine) as session:
        ids = [make_paper(session, f"Paper {number}") for number in range(30)]
        for paper_id in ids:
            mention(session, paper_id, "a show", f"about {paper_id}", SourceKind.PODCAST)

    def statements(some: list[int]) -> int:
        asked: list[str] = []

        def note(*args: object) -> None:
            asked.append(str(args[2]))

        with reading(engine) as session:
            papers.sources_of(session, [])  # what begins a transaction is no part of it
            session.connection()
            event.listen(engine, "before_cursor_execute", note)
            try:
                papers.sources_of(session, some)
            finally:
                event.remove(engine, "before_cursor_execute", note)
        return len(asked)

    assert statements(ids) == statements(ids[:1]) <= 2


def test_a_day_tells_what_it_has_that_was_there_before(engine: Engine) -> None:
    with writing(engine) as session:
        new, again, replaced = (make_paper(session, title) for title in ("N", "A", "R"))
        list_on(session, "2026-05-11", ListingPaper(day="2026-05-11", paper_id=replaced, version=1))
        list_on(
            session,
            "2026-05-12",
            ListingPaper(day="2026-05-12", paper_id=again),
            ListingPaper(day="2026-05-12", paper_id=replaced, version=2),
        )
        list_on(
            session,
            "2026-05-13",
            ListingPaper(day="2026-05-13", paper_id=new, position=1),
            ListingPaper(day="2026-05-13", paper_id=again, position=3),
            ListingPaper(
                day="2026-05-13",
                paper_id=replaced,
                position=2,
                version=4,
                announced=Announced.REPLACED,
            ),
        )
        list_on(session, "2026-05-14", ListingPaper(day="2026-05-14", paper_id=replaced, version=9))
    with reading(engine) as session:
        rows = papers.seen_before(session, "2026-05-13")
        assert [
            (row.paper_id, row.title, row.first_day, row.version_before, row.version, row.announced)
            for row in rows
        ] == [
            (replaced, "R", "2026-05-11", 2, 4, Announced.REPLACED),
            (again, "A", "2026-05-12", None, None, None),
        ]
        assert {row.state for row in rows} == {PaperState.WAITING}
        assert papers.seen_before(session, "2026-05-11") == []
        assert papers.seen_before(session, "2031-01-01") == []
        assert len(papers.seen_before(session, "2026-05-13", limit=1)) == 1


def test_a_paper_waits_under_its_first_day_until_it_is_announced_as_new_again(
    engine: Engine,
) -> None:
    with writing(engine) as session:
        paper_id = make_paper(session, "N")

    def came() -> str:
        with reading(engine) as session:
            return session.get_one(Paper, paper_id).came

    def listed(day: str, announced: Announced | None) -> str:
        with writing(engine) as session:
            list_on(session, day, ListingPaper(day=day, paper_id=paper_id, announced=announced))
        return came()

    assert came() == ""
    assert listed("2026-05-12", None) == "2026-05-12"
    assert listed("2026-05-13", Announced.REPLACED) == "2026-05-12"
    assert listed("2026-05-11", Announced.CROSS) == "2026-05-11"
    assert listed("2026-05-14", Announced.NEW) == "2026-05-14"
    assert listed("2026-05-15", None) == "2026-05-14"
    with writing(engine) as session:
        session.get_one(Paper, paper_id).published = "2026-01-01"
    assert came() == "2026-05-14"
    with writing(engine) as session:
        for day in ("2026-05-14", "2026-05-11"):
            session.delete(session.get_one(ListingPaper, (day, paper_id)))
    assert came() == "2026-05-12"
