"""Duplicates looked for by the worker: proposed, withdrawn, remembered, and not looked for in vain."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Engine

from app.domain.records import (
    AuthorKind,
    ChangeKind,
    LinkStatus,
    Origin,
    PageKind,
    Relation,
    Thread,
    Verdict,
)
from app.services import concepts, review
from app.store import changes, corpus, pages, runs
from app.store.db import reading, writing
from app.store.pages import PERSON, Author, Content
from tests.factories import make_engine, make_link

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def page(engine: Engine, title: str, kind: PageKind = PageKind.CONCEPT, **content: Any) -> int:
    with writing(engine) as session:
        whole = Content(title=title, kind=kind, **content)
        author = Author(AuthorKind.PERSON)
        made = pages.create(session, whole, author=author, now=NOW)
        assert made.id is not None
        return made.id


def hold(engine: Engine, concept: int, papers: list[int]) -> None:
    """Let a concept hold papers, by a write each: the worker looks again after some of them."""
    for paper in papers:
        with writing(engine) as session:
            make_link(session, paper, concept, Relation.ABOUT)


def look(engine: Engine) -> int:
    """What one batch of the worker does; how many proposals are new, -1 when it had no work."""
    with writing(engine) as session:
        if not concepts.take_up(session, owner="test"):
            return -1
    with reading(engine) as session:
        work = concepts.read(session)
    found = concepts.think(work)
    with writing(engine) as session:
        return concepts.store(session, work, found, owner="test", now=NOW)


def waiting(engine: Engine) -> list[Any]:
    with reading(engine) as session:
        return changes.waiting(session)


def test_an_empty_wiki_has_no_work(engine: Engine) -> None:
    assert look(engine) == -1


def test_duplicates_are_proposed_once_and_not_looked_for_again(engine: Engine) -> None:
    page(engine, "Tidal locks")
    page(engine, "Tidal lock", body="It stops.")
    assert look(engine) == 1
    [row] = waiting(engine)
    assert row.title == "Tidal locks → Tidal lock", "the one with a text stays"
    assert row.target_slug == "tidal-lock"
    assert "two ways of writing one name" in row.reason
    assert look(engine) == -1
    page(engine, "Another thing")
    assert look(engine) == 0
    assert len(waiting(engine)) == 1


def test_the_one_with_more_links_stays_and_what_both_hold_is_named(engine: Engine) -> None:
    papers = [page(engine, f"Paper {n}", PageKind.PAPER) for n in range(4)]
    plural, single = page(engine, "Tidal locks"), page(engine, "Tidal lock", body="It stops.")
    hold(engine, plural, papers)
    hold(engine, single, papers[:3])
    look(engine)
    [row] = waiting(engine)
    assert row.target_id == plural
    assert row.content == {"shared": papers[:3], "held": 3}


def test_a_proposal_that_is_not_true_any_more_is_withdrawn(engine: Engine) -> None:
    page(engine, "Tidal locks")
    page(engine, "Tidal lock")
    look(engine)
    with writing(engine) as session:
        one = pages.get(session, "tidal-locks")
        content = Content(title="Sea locks", kind=PageKind.CONCEPT)
        pages.revise(session, one, content, author=PERSON, now=NOW)
        renamed = Content(title="Sea locks", kind=PageKind.CONCEPT, aliases=())
        pages.revise(session, one, renamed, author=PERSON, now=NOW)
    assert look(engine) == 0
    assert waiting(engine) == []


def test_a_person_who_said_that_they_are_two_is_not_asked(engine: Engine) -> None:
    one, other = page(engine, "Tidal locks"), page(engine, "Tidal lock")
    with writing(engine) as session:
        make_link(session, one, other, Relation.BROADER)
    assert look(engine) == 0


def test_a_rejected_one_returns_only_when_they_hold_clearly_more_together(engine: Engine) -> None:
    papers = [page(engine, f"Paper {n}", PageKind.PAPER) for n in range(12)]
    one, other = page(engine, "Tidal locks"), page(engine, "Tidal lock")
    hold(engine, one, papers)
    hold(engine, other, papers[:2])
    assert look(engine) == 1
    [row] = waiting(engine)
    with writing(engine) as session:
        review.decide(session, f"c{row.id}", Verdict.REJECT, now=NOW)
    hold(engine, other, papers[2:4])
    page(engine, "A new page makes it look again")
    assert look(engine) == 0
    assert waiting(engine) == []
    hold(engine, other, papers[4:5])
    page(engine, "And again")
    assert look(engine) == 1
    [row] = waiting(engine)
    assert row.reason.startswith("since it was rejected they hold 5 papers together, 2 then; ")


def test_it_looks_again_after_some_links_and_not_after_each(engine: Engine) -> None:
    papers = [page(engine, f"Paper {n}", PageKind.PAPER) for n in range(45)]
    one = page(engine, "Tide")
    look(engine)
    looked = []
    for paper in papers:
        hold(engine, one, [paper])
        looked.append(look(engine))
    assert looked.count(0) == 2
    assert looked.count(-1) == 43


def test_two_workers_do_not_look_at_once(engine: Engine) -> None:
    page(engine, "Tidal locks")
    page(engine, "Tidal lock")
    with writing(engine) as session:
        assert concepts.take_up(session, owner="one")
    with writing(engine) as session:
        assert not concepts.take_up(session, owner="two")
    with reading(engine) as session:
        work = concepts.read(session)
    with writing(engine) as session:
        assert concepts.store(session, work, concepts.think(work), owner="two", now=NOW) == 0
        assert runs.let_go(session, concepts.STEP, [0], owner="one") == {0}
    assert look(engine) == 1


def test_a_page_merged_while_it_was_thought_about_is_left_out(engine: Engine) -> None:
    page(engine, "Tidal locks")
    page(engine, "Tidal lock")
    with writing(engine) as session:
        concepts.take_up(session, owner="one")
    with reading(engine) as session:
        work = concepts.read(session)
    with writing(engine) as session:
        review.merge(session, "tidal-locks", "tidal-lock", now=NOW)
    with writing(engine) as session:
        assert concepts.store(session, work, concepts.think(work), owner="one", now=NOW) == 0
    assert waiting(engine) == []
    assert look(engine) == 0, "what it saw is not what is there: it looks again"


def test_a_merged_page_gets_no_link_from_a_linker_that_read_before(engine: Engine) -> None:
    one, other = page(engine, "Tidal locks"), page(engine, "Tidal lock")
    with writing(engine) as session:
        review.merge(session, "tidal-locks", "tidal-lock", now=NOW)
        assert corpus.alive(session, {one, other}, PageKind.PAPER, PageKind.CONCEPT) == {other}


def test_what_an_agent_proposed_is_not_the_workers_to_withdraw(engine: Engine) -> None:
    one, other = page(engine, "Tide"), page(engine, "Moon")
    with writing(engine) as session:
        changes.propose(
            session,
            kind=ChangeKind.MERGE,
            key=changes.merge_key(one, other),
            title="Tide → Moon",
            source_id=one,
            target_id=other,
            confidence=1.0,
            reason="an agent says so",
            content={},
            evidence=[],
            signals=[],
            origin=Origin.AGENT,
            now=NOW,
        )
    look(engine)
    assert [row.status for row in waiting(engine)] == [LinkStatus.PROPOSED]


def test_a_merge_made_by_hand_and_undone_is_not_proposed_again(engine: Engine) -> None:
    papers = [page(engine, f"Paper {n}", PageKind.PAPER) for n in range(6)]
    one, other = page(engine, "Tidal locks"), page(engine, "Tidal lock")
    hold(engine, one, papers)
    hold(engine, other, papers[:5])
    with writing(engine) as session:
        done = review.merge(session, "tidal-locks", "tidal-lock", now=NOW)
        review.undo(session, done.id, now=NOW)
    assert look(engine) == 0
    assert waiting(engine) == []


def test_threads_that_are_near_the_same_are_proposed_to_be_joined(engine: Engine) -> None:
    def claim(thread: int, text: str) -> None:
        with writing(engine) as session:
            session.merge(Thread(page_id=thread, claim=text))

    one, other = (page(engine, title, PageKind.THREAD) for title in ("Cheap keys", "Small keys"))
    claim(one, "Keys and values can be kept at half the precision")
    assert look(engine) == 0
    claim(other, "Values and keys can be kept at half the precision")
    assert look(engine) == 1
    [row] = waiting(engine)
    assert (row.kind, row.source_kind, row.target_kind) == (
        ChangeKind.MERGE,
        PageKind.THREAD,
        PageKind.THREAD,
    )
    assert row.reason == "Their claims say nearly the same."
    assert look(engine) == -1, "nothing changed"
    with writing(engine) as session:
        review.decide(session, f"c{row.id}", Verdict.REJECT, now=NOW)
    claim(other, "Values and keys can be kept at half the precision too")
    look(engine)
    assert waiting(engine) == [], "what was rejected does not come back"


def test_a_proposed_join_is_withdrawn_when_the_claims_part(engine: Engine) -> None:
    one, other = (page(engine, title, PageKind.THREAD) for title in ("Cheap keys", "Small keys"))
    with writing(engine) as session:
        for thread in (one, other):
            session.add(Thread(page_id=thread, claim="Keys can be kept at half the precision"))
    assert look(engine) == 1
    with writing(engine) as session:
        session.merge(Thread(page_id=other, claim="Benchmarks leak into training data"))
    look(engine)
    assert waiting(engine) == []
