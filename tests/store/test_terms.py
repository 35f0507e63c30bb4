"""Terms of papers in the database: replaced as a whole, counted by key, gone with their paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col

from app.domain.records import LinkStatus, Page, PageKind, PaperTerm, Relation
from app.domain.terms import Term
from app.store import runs, terms
from app.store.db import reading, writing
from tests.factories import THEN, make_engine, make_link, make_page

WITHERING = Term("cold wither", "cold withering", 3)
FIRING = Term("pan fir", "pan firing", 1)
INDEX = Term("lai", "leaf area index (LAI)", 2)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def make_papers(session: Session, count: int) -> list[int]:
    return [
        make_page(session, f"Tea {n}", PageKind.PAPER, text="Leaves.", published=f"2026-0{n + 1}")
        for n in range(count)
    ]


def waiting(session: Session) -> list[int]:
    statement = terms.waiting("terms", session, now=THEN)
    return sorted(row.page_id for row in session.connection().execute(statement))


def test_papers_wait_until_their_text_was_read_and_again_when_it_changed(engine: Engine) -> None:
    with writing(engine) as session:
        one, two = make_papers(session, 2)
        make_page(session, "A concept", text="It is no paper.")
        assert waiting(session) == [one, two]
        hashes: dict[int, str] = dict(
            session.connection().execute(terms.waiting("terms", session, now=THEN)).all()
        )
        runs.done(session, "terms", {one: terms.state(hashes[one]), two: terms.state("older")})
        assert waiting(session) == [two]
        runs.done(session, "terms", {two: f"{terms.RULES + 1}:{hashes[two]}"})
        assert waiting(session) == [two]  # read by other rules


def test_terms_of_a_paper_are_replaced_as_a_whole(engine: Engine) -> None:
    with writing(engine) as session:
        one, two = make_papers(session, 2)
        assert terms.replace(session, {one: [WITHERING, FIRING], two: [FIRING]}) == {
            "cold wither",
            "pan fir",
        }
        # What a paper has no more is touched too.
        assert terms.replace(session, {one: [INDEX]}) == {"cold wither", "pan fir", "lai"}
        rows = session.connection().execute(sa.select(PaperTerm.key, PaperTerm.page_id))  # type: ignore[call-overload]
        assert sorted(rows.all()) == [("lai", one), ("pan fir", two)]
        assert terms.replace(session, {one: []}) == {"lai"}


def test_paper_that_is_gone_is_left_out_and_its_terms_went_with_it(engine: Engine) -> None:
    with writing(engine) as session:
        one, two = make_papers(session, 2)
        terms.replace(session, {one: [WITHERING], two: [WITHERING]})
        session.connection().execute(sa.delete(Page).where(col(Page.id) == one))
        assert [use.paper for use in terms.uses(session, {"cold wither": 1}, most=9)] == [two]
        assert terms.replace(session, {one: [FIRING], two: [FIRING]}) == {"cold wither", "pan fir"}
        assert [use.paper for use in terms.uses(session, {"pan fir": 1}, most=9)] == [two]


def test_shared_terms_are_counted_by_key(engine: Engine) -> None:
    with writing(engine) as session:
        papers = make_papers(session, 4)
        terms.replace(session, {each: [WITHERING, FIRING] for each in papers[:3]})
        terms.replace(session, {papers[3]: [Term("pan fir", "Pan firing", 4), INDEX]})
        rows = {row.key: row for row in terms.shared(session, None)}
        assert {key: row.papers for key, row in rows.items()} == {"cold wither": 3, "pan fir": 4}
        assert (rows["pan fir"].titled, rows["pan fir"].weight) == (1, 7)
        assert [row.key for row in terms.shared(session, ["cold wither", "lai"])] == ["cold wither"]
        assert terms.shared(session, []) == []
        assert terms.count(session) == 4


def test_newest_papers_of_a_term_are_read(engine: Engine) -> None:
    with writing(engine) as session:
        papers = make_papers(session, 5)
        terms.replace(session, {each: [WITHERING] for each in papers})
        assert [use.paper for use in terms.uses(session, {"cold wither": 5}, most=2)] == papers[3:]
        every = terms.uses(session, {"cold wither": 5}, most=5)
        assert [use.paper for use in every] == papers


def test_acronyms_are_read_with_how_many_say_so(engine: Engine) -> None:
    with writing(engine) as session:
        papers = make_papers(session, 3)
        both = [INDEX, Term("leaf area index", INDEX.written, 2)]
        terms.replace(session, {papers[0]: both, papers[1]: both})
        terms.replace(session, {papers[2]: [Term("lai", "LAI", 1)]})
        assert terms.pairs(session, ["lai", "leaf area index"]) == [(INDEX.written, 2)]


def test_names_are_those_of_concepts_alone(engine: Engine) -> None:
    with writing(engine) as session:
        one = make_page(session, "Withering", aliases=("wilting",))
        make_page(session, "A note", PageKind.NOTE, aliases=("jotting",))
        assert sorted(terms.names(session)) == [(one, "Withering"), (one, "wilting")]


def test_accepted_and_likely_links_say_that_a_concept_fits(engine: Engine) -> None:
    with writing(engine) as session:
        one, two, three = make_papers(session, 3)
        concept = make_page(session, "Withering")
        make_link(session, one, concept, Relation.ABOUT)
        make_link(session, two, concept, Relation.ABOUT, status=LinkStatus.PROPOSED)
        make_link(session, three, concept, Relation.ABOUT, status=LinkStatus.REJECTED)
        # The link of the factory is as sure as can be.
        assert sorted(terms.placed(session, [one, two, three])) == [
            (one, concept, True),
            (two, concept, False),
        ]


def test_papers_come_the_earliest_first_and_undated_ones_last(engine: Engine) -> None:
    with writing(engine) as session:
        one, two = make_papers(session, 2)
        undated = make_page(session, "Undated", PageKind.PAPER, published="")
        early = make_page(session, "Early", PageKind.PAPER, published="2020")
    with reading(engine) as session:
        rows = terms.papers(session, [undated, two, early, one])
        assert [row.id for row in rows] == [early, one, two, undated]
        assert [text.title for text in terms.texts(session, [two, one])] == ["Tea 1", "Tea 0"]
