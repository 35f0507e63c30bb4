"""Unlinked mentions: found by the word index, linked by one step, never shown when linked or decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.records import (
    AuthorKind,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    Paper,
    PaperState,
    Relation,
    Verdict,
)
from app.errors import Conflict, Invalid, NotFound
from app.services import mentions, review
from app.store import pages
from app.store.db import reading, writing
from app.store.pages import PERSON, Content
from tests.factories import THEN, make_engine, make_link, make_page


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def write(session: Session, title: str, body: str, kind: PageKind = PageKind.NOTE) -> int:
    content = Content(title=title, kind=kind, body=body)
    page = pages.create(session, content, author=PERSON, now=THEN)
    assert page.id is not None
    return page.id


def only_abstract(session: Session, page_id: int, text: str) -> None:
    """Let a paper say a text in its abstract alone."""
    run = session.connection().execute
    run(sa.update(Paper).where(col(Paper.page_id) == page_id).values(abstract=text))
    run(sa.update(Page).where(col(Page.id) == page_id).values(body=""))


@pytest.fixture
def ids(engine: Engine) -> dict[str, int]:
    with writing(engine) as session:
        found = {
            "water": write(session, "Slack water", "Calm.", PageKind.CONCEPT),
            "says": write(session, "Log", "We left at slack water. At slack water we came."),
            "links": write(session, "Chart", "See [[slack water]] and slack water."),
            "code": write(session, "Script", "`slack water`"),
            "silent": write(session, "Tea", "Leaves."),
        }
        text = "Boats in slack water wait."
        found["paper"] = make_page(
            session, "On boats", PageKind.PAPER, text=text, published="2026-01-01"
        )
        only_abstract(session, found["paper"], text)
    return found


def found(session: Session, slug: str = "slack-water") -> dict[int, str]:
    rows = mentions.of(session, pages.head(session, slug))
    return {each.id: each.mention.sentence for each in rows}


def test_pages_that_say_the_name_without_a_link_are_found(
    engine: Engine, ids: dict[str, int]
) -> None:
    with reading(engine) as session:
        assert found(session) == {
            ids["says"]: "We left at slack water.",
            ids["paper"]: "Boats in slack water wait.",
        }


@pytest.mark.parametrize("status", list(LinkStatus))
def test_what_is_linked_or_decided_is_no_unlinked_mention(
    engine: Engine, ids: dict[str, int], status: LinkStatus
) -> None:
    with writing(engine) as session:
        make_link(session, ids["paper"], ids["water"], Relation.ABOUT, status=status)
        assert ids["paper"] not in found(session)


def test_a_short_name_of_a_paper_is_looked_for(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "TideNet: Slack Water and Buoys", PageKind.PAPER, published="2026-01-01")
        log = write(session, "Log", "We ran TideNet at night.")
        assert found(session, "tidenet-slack-water-and-buoys") == {log: "We ran TideNet at night."}


def test_the_first_place_in_a_body_becomes_a_link_by_a_revision_of_the_person(
    engine: Engine, ids: dict[str, int]
) -> None:
    with writing(engine) as session:
        linked = mentions.link(session, "slack-water", "log", now=THEN)
        assert (linked.title, linked.decision) == ("Log", None)
        page = pages.get(session, "log")
        assert page.body == "We left at [[Slack water|slack water]]. At slack water we came."
        revision = pages.revision(session, ids["says"], page.version)
        assert (revision.author_kind, revision.note) == (AuthorKind.PERSON, "linked Slack water")
        [link] = session.exec(select(Link).where(Link.source_id == ids["says"])).all()
        assert (link.target_id, link.origin) == (ids["water"], Origin.AUTHOR)
        assert ids["says"] not in found(session)


def test_it_is_written_into_the_text_as_it_stands_now(engine: Engine, ids: dict[str, int]) -> None:
    with writing(engine) as session:
        page = pages.get(session, "log")
        content = Content(title="Log", kind=PageKind.NOTE, body="New words. In slack water we go.")
        pages.revise(session, page, content, author=PERSON, now=THEN)
        mentions.link(session, "slack-water", "log", now=THEN)
        expected = "New words. In [[Slack water|slack water]] we go."
        assert pages.get(session, "log").body == expected


def test_an_abstract_is_not_edited_but_linked_by_a_decision_that_can_be_undone(
    engine: Engine, ids: dict[str, int]
) -> None:
    with writing(engine) as session:
        before = pages.get(session, "on-boats")
        version, body = before.version, before.body
        linked = mentions.link(session, "slack-water", "on-boats", now=THEN)
        assert linked.decision is not None and linked.decision.who == "person"
        [link] = session.exec(select(Link).where(Link.source_id == ids["paper"])).all()
        assert (link.relation, link.status) == (Relation.ABOUT, LinkStatus.ACCEPTED)
        assert link.evidence[0]["quotation"] == "Boats in slack water wait."
        after = pages.get(session, "on-boats")
        assert (after.version, after.body) == (version, body)
        review.undo(session, linked.decision.id, now=THEN)
        session.refresh(link)
        assert link.status == LinkStatus.REJECTED, "nobody had proposed it: it waits nowhere"
        with pytest.raises(Conflict):
            mentions.link(session, "slack-water", "on-boats", now=THEN)


def test_what_was_extracted_from_an_abstract_is_not_edited_either(
    engine: Engine, ids: dict[str, int]
) -> None:
    said = "We propose boats that wait in slack water."
    with writing(engine) as session:
        paper = Paper(
            state=PaperState.WAITING,
            title="Boats",
            title_key="boats",
            abstract=said,
            created_at=THEN,
        )
        session.add(paper)
        session.flush()
        review.decide_paper(session, paper.id or 0, Verdict.KEEP, now=THEN)
        page_id = paper.page_id or 0
    with writing(engine) as session:
        assert found(session)[page_id] == said
        linked = mentions.link(session, "slack-water", "boats", now=THEN)
        assert linked.decision is not None
    with reading(engine) as session:
        page = session.get_one(Page, page_id)
        assert (page.author_kind, page.version) == (AuthorKind.EXTRACT, 1)


def test_between_other_pages_an_abstract_makes_a_mention(engine: Engine) -> None:
    with writing(engine) as session:
        write(session, "Slack water", "Calm.", PageKind.THREAD)
        text = "Boats in slack water wait."
        paper = make_page(session, "On boats", PageKind.PAPER, text=text, published="2026-01-01")
        only_abstract(session, paper, text)
        mentions.link(session, "slack-water", "on-boats", now=THEN)
        [link] = session.exec(select(Link).where(Link.source_id == paper)).all()
        assert link.relation == Relation.MENTIONS


@pytest.mark.parametrize(
    ("slug", "source", "error"),
    [
        ("nowhere", "log", NotFound),
        ("slack-water", "nowhere", NotFound),
        ("slack-water", " ", Invalid),
        ("slack-water", "chart", Conflict),  # linked already
        ("slack-water", "script", Conflict),  # in code alone
        ("slack-water", "tea", Conflict),  # not said
        ("slack-water", "slack-water", Conflict),  # itself
    ],
)
@pytest.mark.usefixtures("ids")
def test_what_cannot_be_linked_is_refused_in_words(
    engine: Engine, slug: str, source: str, error: type[Exception]
) -> None:
    with writing(engine) as session, pytest.raises(error):
        mentions.link(session, slug, source, now=THEN)


def test_a_title_that_leads_elsewhere_is_linked_by_the_address(engine: Engine) -> None:
    with writing(engine) as session:
        write(session, "Slack water", "The first.", PageKind.CONCEPT)
        second = Content(title="Slack water", kind=PageKind.NOTE, body="The second.")
        pages.create(session, second, author=PERSON, now=THEN, slug="slack-water-again")
        write(session, "Log", "In slack water we go.")
        mentions.link(session, "slack-water-again", "log", now=THEN)
        assert pages.get(session, "log").body == "In [[slack-water-again|slack water]] we go."


def test_the_number_of_statements_does_not_grow_with_the_pages(engine: Engine) -> None:
    with writing(engine) as session:
        write(session, "Slack water", "Calm.", PageKind.CONCEPT)
        for number in range(3):
            write(session, f"Log {number}", "In slack water we go.")
    few = statements(engine)
    with writing(engine) as session:
        for number in range(3, 40):
            write(session, f"Log {number}", "In slack water we go.")
    assert statements(engine) == few


def statements(engine: Engine) -> int:
    told: list[str] = []

    def note(*arguments: object) -> None:
        told.append(str(arguments[2]))

    event.listen(engine, "before_cursor_execute", note)
    try:
        with reading(engine) as session:
            assert found(session)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(told)


def test_a_page_that_went_into_another_gets_no_link(engine: Engine, ids: dict[str, int]) -> None:
    with writing(engine) as session:
        write(session, "Still water", "Calm too.", PageKind.CONCEPT)
        review.merge(session, "slack-water", "still-water", now=THEN)
        merged = next(
            page.slug for page in session.exec(select(Page)) if page.kind == PageKind.MERGED
        )
        with pytest.raises(NotFound, match="went into another page"):
            mentions.link(session, merged, "on-boats", now=THEN)
