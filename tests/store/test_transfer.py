"""Copying a wiki between databases: all of it, exactly, into an empty one, or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import SQLModel, select

from app.domain.queries import Filters, parse_query
from app.domain.records import (
    Change,
    ChangeKind,
    Decision,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    PaperTerm,
    Relation,
    Rule,
    Verdict,
)
from app.errors import CerebroError, Conflict
from app.store import search, transfer, vectors
from app.store.db import COUNTED, SHOWN, generation, open_engine, reading, rows_of, writing
from app.store.links import ACCEPTED
from app.store.pages import PERSON, Content, create
from app.store.schema import upgrade
from app.store.vectors import NewVector
from tests import databases
from tests.factories import THEN, make_engine, make_link, make_page


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Engine]:
    """A wiki with something of every odd kind: accents, JSON, bytes, times, an undone decision."""
    folder = tmp_path / "source"
    folder.mkdir()
    engine = make_engine(folder)
    with writing(engine) as session:
        thread = make_page(session, "Thread of tides", PageKind.THREAD)
        paper = make_page(
            session,
            "Żółć and “quotes” 🌊",
            PageKind.PAPER,
            text="Tide\tand\\N moon.\n",
            tags=("sea",),
        )
        create(
            session,
            Content(
                title="A note",
                kind=PageKind.NOTE,
                body="[[Thread of tides]] and [[nowhere]]",
                aliases=("alias",),
            ),
            author=PERSON,
            now=THEN,
            extra={"a": [1, None, {"ü": "\\"}]},
        )
        link = make_link(session, paper, thread, Relation.PART_OF)
        session.add(Decision(at=THEN, verdict=Verdict.ACCEPT, link_id=link, undone=True))
        session.flush()
        session.add(Decision(at=THEN, verdict=Verdict.REJECT, link_id=link, undoes_id=1))
        concept = make_page(session, "Tide", PageKind.CONCEPT)
        change = Change(
            kind=ChangeKind.SPLIT,
            key="split:1",
            title="Tide → Spring tide",
            source_id=concept,
            status=LinkStatus.REJECTED,
            origin=Origin.AUTHOR,
            content={"members": [paper], "title": "Spring tide"},
            created_at=THEN,
        )
        session.add(change)
        session.add(Rule(concept_id=concept, least=0.9, created_at=THEN, ended_at=THEN))
        session.add(PaperTerm(key="spring tide", page_id=paper, term="spring tides", weight=3))
        session.flush()
        session.add(
            Decision(
                at=THEN,
                who="rule 1",
                verdict=Verdict.REJECT,
                change_id=change.id,
                before={"did": {"links": [1]}},
                agreed=False,
                confidence=0.1,
                concept_id=concept,
            )
        )
        unit = np.zeros(8, np.float32)
        unit[3] = 1
        text = session.connection().execute(
            sa.text("SELECT hash FROM page_text WHERE page_id = :id"), {"id": paper}
        )
        vectors.save(session, [NewVector(paper, "m@1", text.scalar_one(), unit)])
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty, migrated database of either engine."""
    if request.param == "postgresql":
        engine = open_engine(databases.create())
    else:
        engine = open_engine(f"sqlite:///{tmp_path}/target.sqlite3")
    upgrade(engine)
    yield engine
    engine.dispose()


def test_every_row_arrives_as_it_was(source: Engine, target: Engine) -> None:
    copied = {each.table: each for each in transfer.copy(source, target)}
    assert copied["page"].rows == 4
    assert copied["decision"].rows == 3
    assert [copied[name].rows for name in ("change", "rule", "paper_term")] == [1, 1, 1]
    assert copied["page_vector"].rows == 1
    assert not {"hold", "lease"} & set(copied)
    with reading(source) as before, reading(target) as after:
        for table in SQLModel.metadata.sorted_tables:
            if table.name in copied and table.name != "generation":  # vectors are counted anew
                wanted = [tuple(row) for row in before.connection().execute(ordered(table))]
                found = [tuple(row) for row in after.connection().execute(ordered(table))]
                assert found == wanted, table.name
                assert copied[table.name].rows == len(wanted)
        assert generation(after) == generation(before)


def test_who_looked_at_the_empty_target_sees_that_it_is_filled(
    source: Engine, target: Engine
) -> None:
    with writing(source) as session:  # as a wiki of an older version that was not written to since
        session.connection().execute(sa.text("DELETE FROM generation"))
    names = [SHOWN, ACCEPTED, *map(rows_of, COUNTED)]
    with reading(target) as session:
        before = [generation(session, name) for name in names]
    transfer.copy(source, target)
    with reading(target) as session:
        after = [generation(session, name) for name in names]
    assert all(new > old for new, old in zip(after, before, strict=True))


def ordered(table: sa.Table) -> sa.Select[tuple[object, ...]]:
    return sa.select(table).order_by(*table.primary_key.columns)


def test_the_copy_can_be_searched_and_written_to(source: Engine, target: Engine) -> None:
    transfer.copy(source, target)
    with reading(target) as session:
        query = parse_query("zolc moon")
        found = search.match(session, query, Filters())
        titles = [page.title for page in session.exec(select(Page)) if page.id in set(ids(found))]
        assert titles == ["Żółć and “quotes” 🌊"]
    with writing(target) as session:
        page = make_page(session, "One more")
        link = make_link(session, page, 1)
        assert page > 3
        assert link > 1
        assert session.get(Link, link) is not None


def ids(found: object) -> list[int]:
    ranked = getattr(found, "ranked", found)
    return [each[0] if isinstance(each, tuple) else each for each in ranked]


def test_a_database_with_rows_is_never_written_over(source: Engine, target: Engine) -> None:
    with writing(target) as session:
        make_page(session, "Mine")
    with pytest.raises(Conflict, match="is not empty"):
        transfer.copy(source, target)
    with reading(target) as session:
        assert [page.title for page in session.exec(select(Page))] == ["Mine"]


def test_a_copy_that_is_not_exact_is_none(
    source: Engine, target: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = transfer.load

    def lossy(connection: object, table: sa.Table, rows: object) -> None:
        every = list(rows)  # type: ignore[call-overload]
        load(connection, table, every[:-1] if table.name == "decision" else every)  # type: ignore[arg-type]

    monkeypatch.setattr(transfer, "load", lossy)
    with pytest.raises(CerebroError, match="decision is not exact"):
        transfer.copy(source, target)
    with reading(target) as session:
        assert session.exec(select(Page)).all() == []


def test_the_hash_is_of_the_values_whatever_the_engine(source: Engine, target: Engine) -> None:
    there = {each.table: each.hash for each in transfer.copy(source, target)}
    assert there["draft"] == hashlib.sha256().hexdigest()  # of an empty table
    assert len(set(there.values())) > 5


def test_progress_is_heard(source: Engine, target: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "CHUNK", 1)
    heard: list[int] = []
    copied = transfer.copy(source, target, progress=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] <= sum(each.rows for each in copied)
