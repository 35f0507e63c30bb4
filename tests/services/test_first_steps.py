"""The first steps: topics of one's own choosing, and a sample day that comes and goes whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import SQLModel, col, select

from app.domain.interests import INTERESTS
from app.domain.records import (
    AuthorKind,
    Listing,
    Page,
    Paper,
    PaperState,
    Topic,
    Verdict,
)
from app.errors import Invalid
from app.first_day import bring_sample
from app.services import first_steps, review
from app.services import pages as editing
from app.store import pages, preferences
from app.store.db import reading, writing
from tests.factories import make_engine, make_page

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
DAY = "2026-05-14"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def rows(engine: Engine) -> dict[str, int]:
    """How many rows each table has, but for counters and what is remembered of texts."""
    left_out = (
        "act",
        "undo_log",
        "generation",
        "unmirrored",
        "title_word",
        "preference",
        "source",
        "unencoded",
        "done",
        "raw",
    )
    with reading(engine) as session:
        return {
            table.name: session.connection().execute(
                sa.select(sa.func.count()).select_from(table)
            ).scalar_one()
            for table in SQLModel.metadata.sorted_tables
            if table.name not in left_out
        }  # fmt: skip


def bring(engine: Engine) -> int:
    with writing(engine) as session:
        return bring_sample(session, DAY, now=NOW)


def test_interests_become_topics_once(engine: Engine) -> None:
    own = first_steps.own_interests("- forgetting in agents, over years\n\n  tide clocks  ")
    with writing(engine) as session:
        assert first_steps.choose(session, {"serving", "safety", "no such"}, own) == 4
        assert first_steps.choose(session, {"serving"}, own) == 0
    with reading(engine) as session:
        made = session.exec(select(Topic).order_by(col(Topic.position))).all()
        assert [(t.id, t.name, t.position) for t in made] == [
            ("serving", "Serving language models", 0),
            ("safety", "Safety and alignment", 1),
            ("forgetting_in_agents_over_years", "Forgetting in agents, over years", 2),
            ("tide_clocks", "Tide clocks", 3),
        ]
        assert made[2].keep == "forgetting in agents, over years"
        assert all(t.filter for t in made[:2])


@pytest.mark.parametrize("own", ["\n".join(["a line"] * 9), "!!!\n", "\u2026 \u2014"])
def test_own_words_that_are_none_or_too_many_are_refused(own: str) -> None:
    with pytest.raises(Invalid):
        first_steps.own_interests(own)


def test_two_interests_that_make_the_same_id_have_two(engine: Engine) -> None:
    with writing(engine) as session:
        own = first_steps.own_interests("\u6f6e\u6c50\n\u6708\nserving!")
        assert first_steps.choose(session, {"serving"}, own) == 4
        found = session.exec(select(Topic.id).order_by(col(Topic.position))).all()
    assert found == ["serving", "interest", "interest_2", "serving_2"]


def test_no_interest_at_all_is_refused(engine: Engine) -> None:
    with writing(engine) as session, pytest.raises(Invalid, match="at least one interest"):
        first_steps.choose(session, (), [])


def test_interests_on_offer_are_topics_that_can_be(engine: Engine) -> None:
    assert len({each.id for each in INTERESTS}) == len(INTERESTS) >= 10
    with writing(engine) as session:
        assert first_steps.choose(session, {i.id for i in INTERESTS}, []) == len(INTERESTS)


def test_a_new_reader_is_one_until_something_is_decided_or_said(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "A page of the starter wiki")
    with reading(engine) as session:
        assert first_steps.standing(session) == first_steps.Standing(True, "")
    bring(engine)
    with writing(engine) as session:
        assert first_steps.standing(session) == first_steps.Standing(True, DAY)
        paper = session.exec(select(Paper)).first()
        assert paper is not None
        review.decide_paper(session, paper.id or 0, Verdict.DROP, now=NOW)
        assert not first_steps.standing(session).new
    with writing(engine) as session:
        first_steps.remove_sample(session)
        preferences.set_welcomed(session)
        assert first_steps.standing(session) == first_steps.Standing(False, "")


def test_the_sample_goes_whole_whatever_was_done_with_it(engine: Engine) -> None:
    before = rows(engine)
    count = bring(engine)
    assert count == bring(engine) >= 12
    with writing(engine) as session:
        papers = session.exec(select(Paper).order_by(col(Paper.id))).all()
        assert all(paper.title.endswith(" (sample)") for paper in papers)
        assert {paper.state for paper in papers} == {PaperState.WAITING}
        for paper, verdict in zip(papers[:4], [Verdict.KEEP, Verdict.DROP] * 2, strict=True):
            review.decide_paper(session, paper.id or 0, verdict, now=NOW)
    with writing(engine) as session:
        assert first_steps.remove_sample(session) == first_steps.Removed(count, 0)
        assert first_steps.remove_sample(session) == first_steps.Removed(0, 0)
    assert rows(engine) == before


def test_a_page_that_a_person_wrote_on_stays_and_so_does_a_day_with_other_papers(
    engine: Engine,
) -> None:
    count = bring(engine)
    with writing(engine) as session:
        paper = session.exec(select(Paper)).first()
        assert paper is not None
        review.decide_paper(session, paper.id or 0, Verdict.KEEP, now=NOW)
        page = session.get(Page, paper.page_id)
        assert page is not None
        content = pages.content_of(session, page)
        told = type(content)(title=content.title, kind=content.kind, body="My own words.")
        editing.save(session, page.slug, told, base=page.version, now=NOW)
        slug = page.slug
    with writing(engine) as session:
        assert first_steps.remove_sample(session) == first_steps.Removed(count - 1, 1)
    with reading(engine) as session:
        left = pages.get(session, slug)
        assert (left.body, left.author_kind) == ("My own words.", AuthorKind.PERSON)
        assert session.get(Listing, DAY) is not None
        assert len(session.exec(select(Paper)).all()) == 1
