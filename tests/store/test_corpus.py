"""What the linker keeps between batches is what it would read and fit from nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.linking import rank
from app.domain.records import Alias, Link, LinkStatus, Page, PageKind, PageText, Paper, Relation
from app.services.linker import shipped_weights
from app.store import corpus, vectors
from app.store.corpus import Facts, Library
from app.store.db import TEXTS, bump, reading, writing
from app.store.vectors import NewVector, VectorIndex
from tests.factories import make_engine, make_link, make_page
from tests.fakes import HashingEncoder

ENCODER = HashingEncoder(dim=16)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def ids(engine: Engine) -> dict[str, int]:
    with writing(engine) as session:
        found = {name: make_page(session, name) for name in ("Tea", "Bridges")}
        found["Thread"] = make_page(session, "Thread", PageKind.THREAD)
        for number in range(6):
            name = f"Paper {number}"
            text = "tea leaves in soft water" if number % 2 else "steel decks in the wind"
            found[name] = make_page(
                session, name, PageKind.PAPER, text=text, published=f"2026-01-0{number + 1}"
            )
        for number in range(4):
            concept = "Tea" if number % 2 else "Bridges"
            make_link(session, found[f"Paper {number}"], found[concept], Relation.ABOUT)
        encode(session)
    return found


def encode(session: Session) -> None:
    waiting = vectors.pending(session, ENCODER.model, limit=100)
    rows = ENCODER.encode([f"{each.title} {each.text}" for each in waiting])
    made = zip(waiting, rows, strict=True)
    vectors.save(
        session, [NewVector(each.page_id, ENCODER.model, each.hash, row) for each, row in made]
    )


def plain(facts: Facts, library: Library) -> dict[str, object]:
    """Facts as values that can be compared, whichever lexicon counted them."""
    said = [
        sorted(
            (library.lexicon.written(int(c)).lower(), n)
            for c, n in zip(r.indices, r.data, strict=True)
        )
        for r in (facts.papers.text[row] for row in range(len(facts.papers.ids)))
    ]
    pairs = {
        name: sorted(map(tuple, getattr(facts, name).tolist()))
        for name in ("accepted", "rejected", "neighbours")
    }
    rows = [part.round(5).tolist() for part in facts.vectors or ()]
    return {
        "ids": facts.papers.ids.tolist(), "said": said, "concepts": facts.concepts,
        "vectors": rows, "titles": {page: library.titles[page] for page in facts.papers.ids.tolist()},
    } | pairs  # fmt: skip


def rewritten(session: Session, ids: dict[str, int]) -> None:
    session.connection().execute(
        sa.update(PageText)
        .where(col(PageText.page_id) == ids["Paper 4"])
        .values(title="Kettles", text="kettles of soft water", hash="another")
    )
    bump(session, TEXTS)


def dated(session: Session, ids: dict[str, int]) -> None:
    session.connection().execute(
        sa.update(Paper).where(col(Paper.page_id) == ids["Paper 0"]).values(published="2026-02-01")
    )


def cited(session: Session, ids: dict[str, int]) -> None:
    make_link(session, ids["Paper 0"], ids["Thread"])
    make_link(session, ids["Paper 5"], ids["Thread"])


def undone(session: Session, ids: dict[str, int]) -> None:
    link = session.get(Link, 1)
    assert link is not None
    link.status = LinkStatus.PROPOSED
    session.add(link)


def revectored(session: Session, ids: dict[str, int]) -> None:
    row = np.eye(16, dtype=np.float32)[3]
    vectors.save(session, [NewVector(ids["Paper 2"], ENCODER.model, "x", row)])


CHANGES: dict[str, Callable[[Session, dict[str, int]], object]] = {
    "a new paper": lambda session, ids: make_page(
        session, "Oolong", PageKind.PAPER, text="oolong", published="2026-01-03"
    ),
    "a paper rewritten": rewritten,
    "a paper dated anew": dated,
    "a paper gone": lambda session, ids: session.connection().execute(
        sa.delete(Page).where(col(Page.id) == ids["Paper 1"])
    ),
    "a new concept": lambda session, ids: make_page(session, "Kettles", text="water"),
    "an alias": lambda session, ids: session.add(
        Alias(page_id=ids["Tea"], name="Infusion", key="infusion")
    ),
    "a concept gone": lambda session, ids: session.connection().execute(
        sa.delete(Page).where(col(Page.id) == ids["Bridges"])
    ),
    "a link accepted": lambda session, ids: make_link(
        session, ids["Paper 5"], ids["Tea"], Relation.ABOUT
    ),
    "a link rejected": lambda session, ids: make_link(
        session, ids["Paper 5"], ids["Bridges"], Relation.ABOUT, status=LinkStatus.REJECTED
    ),
    "a link taken back": undone,
    "papers in one thread": cited,
    "a vector made": lambda session, ids: encode(session),
    "a vector made anew": revectored,
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_kept_is_what_a_new_library_reads(
    engine: Engine, ids: dict[str, int], what: str
) -> None:
    library, index = Library(), VectorIndex(ENCODER.model)
    with reading(engine) as session:
        before = library.facts(session, index)
        known = library.know("about", before, WEIGHTS)
    with writing(engine) as session:
        if what == "a vector made":  # of a paper that the library knows without one
            make_page(session, "Late", PageKind.PAPER, text="tea", published="2026-03-01")
    with reading(engine) as session:
        library.facts(session, index)
    with writing(engine) as session:
        CHANGES[what](session, ids)
    fresh = Library()
    with reading(engine) as session:
        kept = library.facts(session, index)
        anew = fresh.facts(session, VectorIndex(ENCODER.model))
    assert plain(kept, library) == plain(anew, fresh)
    assert plain(kept, library) != plain(before, library)
    assert library.know("about", kept, WEIGHTS) is not known


WEIGHTS = shipped_weights()


def test_nothing_is_read_or_fitted_again_while_nothing_changed(
    engine: Engine, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    library, index = Library(), VectorIndex(ENCODER.model)
    with reading(engine) as session:
        facts = library.facts(session, index)
        known = library.know("about", facts, WEIGHTS)
    with writing(engine) as session:
        # What the linker itself writes is no news to it.
        proposed = LinkStatus.PROPOSED
        make_link(session, ids["Paper 5"], ids["Tea"], Relation.ABOUT, status=proposed)
    for name in ("concepts", "texts", "comembers", "citations"):
        monkeypatch.setattr(corpus, name, None)
    with reading(engine) as session:
        again = library.facts(session, index)
        assert again.papers is facts.papers
        assert again.accepted is facts.accepted
        assert library.know("about", again, WEIGHTS) is known
    assert library.know("about", again, shipped_weights()) is not known


def test_another_floor_is_no_reason_to_fit_anew(
    engine: Engine, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library()
    with reading(engine) as session:
        facts = library.facts(session, None)
    known = library.know("about", facts, WEIGHTS)
    asked = [ids["Paper 5"]]
    every = rank(asked, known)
    monkeypatch.setattr(corpus, "Knowledge", None)
    for floor in (0.0, every[0].confidence, 1.0):
        other = library.know("about", facts, replace(WEIGHTS, floor=floor))
        proposed = [each.confidence >= floor for each in every]
        assert [each.proposed for each in rank(asked, other)] == proposed
        assert len(rank(asked, other, proposed_only=True)) == sum(proposed)
    assert library.know("about", facts, WEIGHTS) is known


def test_knowledge_of_two_names_is_kept_apart(engine: Engine, ids: dict[str, int]) -> None:
    library = Library()
    with reading(engine) as session:
        facts = library.facts(session, None)
    about = library.know("about", facts, WEIGHTS)
    none = np.zeros((0, 2), np.int64)
    other = Facts(facts.papers, facts.concepts, none, none, none, None)
    assert not library.know("part-of", other, WEIGHTS).warm.any()
    assert library.know("about", facts, WEIGHTS) is about


def test_papers_that_cite_much_the_same_are_neighbours(engine: Engine, ids: dict[str, int]) -> None:
    """Three shared references make two papers neighbours; two do not, nor what everybody cites."""
    references = {
        "Paper 0": ["doi:a", "doi:b", "doi:c", "doi:all"],
        "Paper 1": ["doi:c", "doi:b", "doi:a", "doi:a"],
        "Paper 2": ["doi:a", "doi:b", "doi:all"],
    }
    with writing(engine) as session:
        for number in range(40):
            make_page(session, f"More {number}", PageKind.PAPER)
        for page in session.exec(select(Page).where(Page.kind == PageKind.PAPER)).all():
            paper = session.exec(select(Paper).where(Paper.page_id == page.id)).one()
            paper.references = references.get(page.title, ["doi:all", "doi:also", "doi:besides"])
            session.add(paper)
    with reading(engine) as session:
        pairs = {frozenset(pair) for pair in corpus.citations(session).tolist()}
    assert pairs == {frozenset({ids["Paper 0"], ids["Paper 1"]})}
