"""Rows of the mirror: what waits, what pages say for their files, and decisions by names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, select

from app.domain.notes import NamedLink
from app.domain.records import (
    Decision,
    Digest,
    Identifier,
    Link,
    LinkStatus,
    Mirror,
    Origin,
    Page,
    PageKind,
    Paper,
    Relation,
    Thread,
    Unmirrored,
    VaultConflict,
    Verdict,
)
from app.store import decisions, links, mirror, pages, removal
from app.store.db import reading, writing
from app.store.pages import PERSON, Content
from app.vault.names import path_key, stem_key
from tests.factories import make_engine, make_link, make_page

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def a_file(session: Session, page_id: int, path: str, *, version: int = 1) -> Mirror:
    row = Mirror(
        page_id=page_id,
        path=path,
        path_key=path_key(path),
        stem_key=stem_key(path),
        version=version,
        hash="x" if version else "",
        size=1,
        mtime_ns=1,
        at=NOW,
    )
    session.add(row)
    session.flush()
    return row


def test_a_change_that_comes_while_a_file_is_written_is_not_forgotten(engine: Engine) -> None:
    with writing(engine) as session:
        page = pages.create(
            session, Content(title="One", kind=PageKind.NOTE), author=PERSON, now=NOW
        )
        assert page.id is not None
    with reading(engine) as session:
        [(page_id, seq)] = mirror.waiting(session)
        assert mirror.waits(session) and mirror.pending(session) == 1
    with writing(engine) as session:
        pages.revise(
            session,
            pages.get(session, "one"),
            Content(title="One", kind=PageKind.NOTE, body="Newer.\n"),
            author=PERSON,
            now=NOW,
        )
    with writing(engine) as session:
        mirror.written(session, {page_id: seq})
        [(page_id, seq)] = mirror.waiting(session)
        mirror.written(session, {page_id: seq})
        assert not mirror.waiting(session)
    with reading(engine) as session:
        assert not mirror.waits(session)


def test_pages_are_read_as_their_files_say_them(engine: Engine) -> None:
    with writing(engine) as session:
        paper = make_page(
            session,
            "A paper",
            PageKind.PAPER,
            text="Text.\n",
            tags=("b", "a"),
            aliases=("Alias",),
            published="2026-05-01",
            authors=("Ada", "Grace"),
        )
        thread = make_page(session, "A thread", PageKind.THREAD)
        session.add(Thread(page_id=thread, claim="So it is."))
        digest = make_page(session, "A day", PageKind.DIGEST)
        session.add(Digest(page_id=digest, day="2026-05-01", sections=[{"name": "x"}]))
        row = session.exec(select(Paper)).one()
        session.add(Identifier(scheme="arxiv", value="2605.00001", paper_id=row.id, versions=[1]))
        concept, twin = make_page(session, "Sea"), make_page(session, "Sea too")
        a_file(session, concept, "concepts/Sea.md")
        a_file(session, twin, "notes/SEA.md")
        a_file(session, thread, "threads/A thread.md")
        make_link(session, paper, thread, Relation.PART_OF)
        make_link(session, paper, concept, Relation.ABOUT)
        make_link(session, paper, digest, Relation.RELATED)
        make_link(session, paper, twin, Relation.USES, status=LinkStatus.REJECTED)
        make_link(session, paper, twin, Relation.MENTIONS, origin=Origin.AUTHOR)
        make_link(session, paper, twin, Relation.ABOUT, status=LinkStatus.PROPOSED)
        session.flush()
        statements: list[str] = []
        sa.event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        told = mirror.told(session, [paper, thread, digest])
        assert len(statements) < 20
    note = told[paper].note
    assert (note.id, note.kind, note.title) == ("a-paper", PageKind.PAPER, "A paper")
    assert (note.aliases, note.tags) == (("Alias",), ("a", "b"))
    assert note.identifiers == ("arxiv:2605.00001",)
    assert note.facts == {"authors": ("Ada", "Grace"), "published": "2026-05-01"}
    assert note.links == (
        NamedLink(Relation.ABOUT, "concepts/Sea"),  # another file has that name: the whole path
        NamedLink(Relation.PART_OF, "A thread"),
        NamedLink(Relation.RELATED, "a-day"),  # without a file its address
    )
    side = told[paper].side
    assert {(each["relation"], each["status"], each["origin"]) for each in side["links"]} == {
        ("about", "accepted", "linker"),
        ("part-of", "accepted", "linker"),
        ("related", "accepted", "linker"),
        ("uses", "rejected", "linker"),
        ("mentions", "accepted", "author"),
    }
    assert side["paper"]["authors"] == ["Ada", "Grace"]
    assert told[thread].note.facts == {"claim": "So it is.", "status": "open"}
    assert told[digest].note.facts == {"day": "2026-05-01"}
    assert told[digest].side["digest"]["sections"] == [{"name": "x"}]
    for page in told.values():
        json.dumps(page.side, allow_nan=False)


def test_names_in_files_mean_files_first_then_pages(engine: Engine) -> None:
    with writing(engine) as session:
        one = make_page(session, "One", aliases=("Uno",))
        other = make_page(session, "Other")
        a_file(session, one, "notes/Sea.md")
        a_file(session, other, "concepts/One.md")
        found = mirror.lookup(
            session, ["sea", "One", "concepts/One", "Uno", "other", "Nobody", "x/y"], path_key
        )
    assert found == {"sea": one, "One": other, "concepts/One": other, "Uno": one, "other": other}


def test_files_of_pages_that_are_gone_are_to_be_taken_away(engine: Engine) -> None:
    with writing(engine) as session:
        ids = {name: make_page(session, name) for name in ("Kept", "Removed", "Deleted")}
        for name, page_id in ids.items():
            a_file(session, page_id, f"notes/{name}.md")
        session.connection().execute(sa.delete(Unmirrored))
    with writing(engine) as session:
        removal.remove(session, pages.get(session, "removed"), now=NOW)
        session.delete(session.get(Page, ids["Deleted"]))
    with reading(engine) as session:
        rows = mirror.without_page(session)
        assert sorted(row.path for row in rows) == ["notes/Deleted.md", "notes/Removed.md"]
        assert mirror.waits(session)


def test_decisions_are_told_by_names_an_undo_too(engine: Engine) -> None:
    with writing(engine) as session:
        one, two = make_page(session, "One"), make_page(session, "Two")
        link = links.get(
            session, make_link(session, one, two, Relation.USES, status=LinkStatus.PROPOSED)
        )
        decision = decisions.decide_link(session, link, Verdict.ACCEPT, now=NOW)
        decisions.take_back_link(session, decision, now=NOW, batch="b")
    with writing(engine) as session:
        lines = mirror.decisions_after(session, mirror.newest_decision(session))
        assert [line["verdict"] for _, line in lines] == ["accept", "accept"]
        assert lines[0][1]["link"] == {"source": "one", "relation": "uses", "target": "two"}
        assert lines[1][1]["undoes"] == lines[0][1]["n"]
        mirror.note_decisions(session, lines[-1][0])
        assert not mirror.decisions_after(session, mirror.newest_decision(session))
        json.dumps([line for _, line in lines])


def test_a_link_put_in_and_taken_out_is_decided_each_time(engine: Engine) -> None:
    with writing(engine) as session:
        one, two = make_page(session, "One"), make_page(session, "Two")
        made = decisions.put_in(session, one, two, Relation.USES, now=NOW, reason="said so")
        assert made is not None
        assert decisions.put_in(session, one, two, Relation.USES, now=NOW, reason="x") is None
        [link] = session.exec(select(Link))
        decisions.take_out(session, link, now=NOW, reason="not so")
        assert link.status is LinkStatus.REJECTED
        decisions.put_in(session, one, two, Relation.USES, now=NOW, reason="after all")
        assert link.status is LinkStatus.ACCEPTED
        assert len(session.exec(select(Decision)).all()) == 3


def test_problems_and_conflicts_stand_until_they_are_solved(engine: Engine) -> None:
    with writing(engine) as session:
        page_id = make_page(session, "One")
        assert mirror.note_problem(session, "a.md", "It is no text.", now=NOW)
        session.flush()
        assert not mirror.note_problem(session, "a.md", "It is no text.", now=NOW)
        session.add(VaultConflict(page_id=page_id, base=1, text="x", hash="y", at=NOW))
        session.flush()
        assert [row.path for row in mirror.problems(session)] == ["a.md"]
        [(row, slug, title)] = mirror.conflicts(session)
        assert (row.text, slug, title) == ("x", "one", "One")
        assert mirror.in_conflict(session, [page_id, 99]) == {page_id}
        mirror.solved(session, ["a.md", "b.md"])
        assert not mirror.problems(session)
