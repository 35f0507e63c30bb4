"""What is done as a whole: which rows name their act, and that an act without any leaves none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy.engine import Engine
from sqlmodel import Session, select

from app.domain.records import (
    Act,
    ActKind,
    Item,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    Paper,
    PaperState,
    Relation,
    Revision,
    Source,
    SourceKind,
    Verdict,
)
from app.errors import NotFound
from app.store import acts, decisions, pages
from app.store.db import reading, writing
from app.store.pages import PERSON, Content
from tests.factories import THEN, make_engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def clock() -> datetime:
    return THEN


def page(session: Session, title: str) -> Page:
    content = Content(title=title, kind=PageKind.CONCEPT)
    return pages.create(session, content, author=PERSON, now=THEN)


def lose(engine: Engine) -> None:
    """Make a page in a transaction that fails."""
    with writing(engine) as session:
        page(session, "Lost")
        raise RuntimeError


def lose_within(session: Session) -> None:
    with session.begin_nested():
        page(session, "Lost as well")
        raise RuntimeError


def acts_of(engine: Engine) -> list[Act]:
    with reading(engine) as session:
        found = session.exec(select(Act).order_by(Act.id)).all()  # type: ignore[arg-type]
        session.expunge_all()
    return list(found)


def test_every_kind_of_row_names_it_and_it_is_counted(engine: Engine) -> None:
    with acts.doing(engine, ActKind.IMPORT, "Import of a", clock=clock) as act:
        with writing(engine) as session:
            one, other = page(session, "One"), page(session, "Other")
            pages.revise(
                session,
                one,
                Content(title="One", kind=PageKind.CONCEPT, body="More."),
                author=PERSON,
                now=THEN,
            )
            source = Source(key="s", kind=SourceKind.FILE, name="S", created_at=THEN)
            paper = Paper(state=PaperState.WAITING, title="P", title_key="p", created_at=THEN)
            session.add_all([source, paper])
            session.flush()
            item = Item(
                source_id=source.id or 0,
                key="k",
                format="f",
                title="t",
                received_at=THEN,
                hash="h",
            )
            session.add(item)
        with writing(engine) as session:  # another transaction, the same act
            link = Link(
                source_id=one.id or 0,
                target_id=other.id or 0,
                relation=Relation.ABOUT,
                status=LinkStatus.PROPOSED,
                origin=Origin.LINKER,
                created_at=THEN,
            )
            session.add(link)
            session.flush()
            decisions.decide_link(session, link, Verdict.ACCEPT, now=THEN, who="rule:1")
        act.words = "Import of a and b"
    (found,) = acts_of(engine)
    assert (found.id, found.kind, found.words) == (act.id, ActKind.IMPORT, "Import of a and b")
    assert found.counts == {
        "pages": 2, "texts": 1, "papers": 1, "links": 1, "decisions": 1, "items": 1
    }  # fmt: skip
    with reading(engine) as session:
        for table in (Revision, Paper, Item, Link):
            marks = session.exec(select(table.act_id)).all()  # type: ignore[attr-defined]
            assert set(marks) == {act.id}, table


def test_one_that_made_nothing_leaves_no_row(engine: Engine) -> None:
    with acts.doing(engine, ActKind.WORK, "A run", clock=clock) as act, reading(engine) as session:
        assert pages.count(session) == 0
    assert act.id is None and acts_of(engine) == []


def test_a_persons_own_save_is_of_no_act(engine: Engine) -> None:
    with writing(engine) as session:
        page(session, "Mine")
        assert session.exec(select(Revision.act_id)).all() == [None]
        assert acts.current(session) is None
    assert acts_of(engine) == []


def test_what_is_rolled_back_leaves_nothing_and_what_follows_has_its_act(engine: Engine) -> None:
    with acts.doing(engine, ActKind.IMPORT, "Import", clock=clock) as act:
        with pytest.raises(RuntimeError):
            lose(engine)
        with writing(engine) as session:
            with pytest.raises(RuntimeError):
                lose_within(session)
            page(session, "Kept")
            assert session.exec(select(Revision.act_id)).all() == [act.id]
    (found,) = acts_of(engine)
    assert (found.id, found.counts) == (act.id, {"pages": 1})


def test_a_dry_run_leaves_no_row(engine: Engine) -> None:
    with acts.doing(engine, ActKind.IMPORT, "Import", clock=clock), pytest.raises(RuntimeError):
        lose(engine)
    assert acts_of(engine) == []


def test_the_inner_act_counts_and_another_thread_has_none(engine: Engine) -> None:
    def beside() -> None:
        with writing(engine) as session:
            page(session, "Beside")

    with acts.doing(engine, ActKind.WORK, "A run", clock=clock) as run:
        with (
            acts.doing(engine, ActKind.DELIVERY, "Delivery", clock=clock) as inner,
            writing(engine) as session,
        ):
            page(session, "Inner")
        with writing(engine) as session:
            page(session, "Outer")
        thread = Thread(target=beside)
        thread.start()
        thread.join()
    with reading(engine) as session:
        rows = session.exec(select(Revision.title, Revision.act_id)).all()
    assert sorted(rows) == [("Beside", None), ("Inner", inner.id), ("Outer", run.id)]


def test_one_session_alone_can_be_an_act(engine: Engine) -> None:
    with writing(engine) as session:
        act = acts.begin(session, ActKind.VAULT, "The vault", now=THEN + timedelta(days=1))
        page(session, "One")
        assert act.id is not None
        assert acts.get(session, act.id).words == "The vault"
        assert acts.counted(session, [act.id]) == {act.id: {"pages": 1}}
    with writing(engine) as session:
        page(session, "Two")
        assert set(session.exec(select(Revision.act_id)).all()) == {act.id, None}


@pytest.mark.parametrize("number", [0, -1, 4711, 2**40])
def test_an_unknown_number_is_said_to_be_one(engine: Engine, number: int) -> None:
    with reading(engine) as session, pytest.raises(NotFound, match=f"no act {number}"):
        acts.get(session, number)
