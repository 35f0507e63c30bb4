"""A day's digest from the database: what is told of it, when it is told anew, and when never."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.digests import Section
from app.domain.records import (
    Announced,
    Assessment,
    AuthorKind,
    Digest,
    Link,
    Listing,
    ListingPaper,
    Origin,
    Page,
    PageKind,
    Paper,
    PaperState,
    Prediction,
    PredictionState,
    Revision,
    Thread,
    Topic,
)
from app.errors import Conflict, Invalid, NotFound
from app.services import digest, pages
from app.store import digests
from app.store import pages as stored
from app.store.db import reading, writing
from tests.factories import make_engine, make_link, make_page

DAY = "2026-05-14"
NOW = datetime(2026, 5, 14, 9, tzinfo=UTC)
ABSTRACT = (
    "Boats that wait for the tide lose hours. We propose Slack, a rule by which {name} leave early. "
    "Over ninety nights {name} waited 18% less. The study of {name} is limited to one harbour."
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def list_paper(
    session: Session,
    name: str,
    *,
    state: PaperState = PaperState.WAITING,
    score: float = 0.5,
    day: str = DAY,
) -> int:
    """A paper in the listing of a day, with marks."""
    if session.get(Listing, day) is None:
        session.add(Listing(day=day, fetched=40))
        session.flush()
    if session.get(Topic, "boats") is None:
        session.add(Topic(id="boats", name="Boats", keep="tides", threshold=0.3))
        session.flush()
    page_id = None
    if state == PaperState.KEPT:
        page_id = make_page(
            session, f"{name}: a rule for boats", PageKind.PAPER, published="2026-05-13"
        )
        paper = session.exec(select(Paper).where(Paper.page_id == page_id)).one()
        paper.abstract = ABSTRACT.format(name=name)
    else:
        paper = Paper(
            state=state,
            title=f"{name}: a rule for boats",
            title_key=f"{name} a rule for boats".lower(),
            abstract=ABSTRACT.format(name=name),
            published="2026-05-13",
            created_at=NOW,
        )
    session.add(paper)
    session.flush()
    assert paper.id is not None
    session.add(ListingPaper(day=day, paper_id=paper.id, announced=Announced.NEW))
    session.flush()
    session.add(
        Assessment(
            paper_id=paper.id,
            day=day,
            scorer="local",
            relevance=8,
            novelty=6,
            topic_id="boats",
            score=score,
            tier=1,
            at=NOW,
        )
    )
    session.flush()
    return paper.id


def told(engine: Engine, day: str = DAY, *, now: datetime = NOW) -> bool:
    with reading(engine) as session:
        work = digest.read(session, day, zone=UTC)
    with writing(engine) as session:
        return digest.store(session, work, now=now)


def stands(engine: Engine, day: str = DAY) -> tuple[Digest, Page]:
    with reading(engine) as session:
        found = session.exec(select(Digest).where(Digest.day == day)).one()
        page = session.get_one(Page, found.page_id)
        session.expunge_all()
    return found, page


def titles(found: Digest, name: str) -> list[str]:
    sections = [Section.read(each) for each in found.sections]
    return [item.title for each in sections if each.name == name for item in each.items]


def test_a_morning_tells_what_is_picked_and_nothing_dropped(engine: Engine) -> None:
    with writing(engine) as session:
        list_paper(session, "Rafts")
        list_paper(session, "Canoes", score=0.1)
        list_paper(session, "Ferries", state=PaperState.DROPPED)
        list_paper(session, "Kayaks", state=PaperState.KEPT, score=0.1)
    assert told(engine)
    found, page = stands(engine)
    assert (page.slug, page.kind, page.title) == (
        f"digest-{DAY}",
        PageKind.DIGEST,
        "Digest of 14 May 2026",
    )
    assert (page.author_kind, found.teller, found.told_at) == (AuthorKind.EXTRACT, "local", NOW)
    assert titles(found, "deep-dives") == ["Kayaks: a rule for boats", "Rafts: a rule for boats"]
    assert "Canoes" not in page.body
    assert "Ferries" not in page.body
    assert found.ledger["papers"] == {
        "listed": 4,
        "seen before": 0,
        "picked": 2,
        "kept": 1,
        "dropped": 1,
    }
    assert found.framing == "Two papers of 4 new; first to read: Kayaks and Rafts."


def test_a_paper_of_an_earlier_day_is_not_told_again(engine: Engine) -> None:
    with writing(engine) as session:
        paper = list_paper(session, "Rafts", day="2026-05-13")
        list_paper(session, "Kayaks")
        session.add(ListingPaper(day=DAY, paper_id=paper))
    told(engine)
    found, page = stands(engine)
    assert titles(found, "deep-dives") == ["Kayaks: a rule for boats"]
    assert "1 of them new" in page.body


def test_the_same_facts_are_told_once_and_others_anew(engine: Engine) -> None:
    with writing(engine) as session:
        list_paper(session, "Rafts")
    assert told(engine)
    assert not told(engine)
    with writing(engine) as session:
        list_paper(session, "Kayaks")
    assert told(engine, now=NOW + timedelta(hours=1))
    _, page = stands(engine)
    assert page.version == 2
    assert "Kayaks" in page.body


def test_what_a_person_edited_is_theirs(engine: Engine) -> None:
    with writing(engine) as session:
        list_paper(session, "Rafts")
    told(engine)
    with writing(engine) as session:
        page = stored.get(session, f"digest-{DAY}")
        content = stored.content_of(session, page)
        content = type(content)(title=content.title, kind=content.kind, body="Mine.")
        pages.save(session, page.slug, content, base=page.version, now=NOW)
        list_paper(session, "Kayaks")
    assert not told(engine)
    assert stands(engine)[1].body == "Mine."
    with writing(engine) as session, pytest.raises(Conflict, match="a person edited it"):
        digest.tell_again(session, DAY, zone=UTC, now=NOW)


def test_an_edit_while_it_was_told_wins(engine: Engine) -> None:
    with writing(engine) as session:
        list_paper(session, "Rafts")
    told(engine)
    with writing(engine) as session:
        list_paper(session, "Kayaks")
    with reading(engine) as session:
        work = digest.read(session, DAY, zone=UTC)
    with writing(engine) as session:
        page = stored.get(session, f"digest-{DAY}")
        content = stored.content_of(session, page)
        content = type(content)(title=content.title, kind=content.kind, body="Mine.")
        pages.save(session, page.slug, content, base=page.version, now=NOW)
    with writing(engine) as session:
        assert not digest.store(session, work, now=NOW)
    assert stands(engine)[1].body == "Mine."


def test_what_came_in_from_elsewhere_is_never_told_over(engine: Engine) -> None:
    with writing(engine) as session:
        list_paper(session, "Rafts")
        page = make_page(session, "Their digest", PageKind.DIGEST, text="Theirs.")
        session.add(Digest(page_id=page, day=DAY, framing="Theirs."))
    assert not told(engine)
    assert stands(engine)[1].body == "Theirs."


@pytest.mark.parametrize(
    "day", ["", "yesterday", "2026-02-30", "2026-5-1", "2026-05", "9999-12-31"]
)
def test_what_is_no_day_is_refused_in_a_sentence(engine: Engine, day: str) -> None:
    with writing(engine) as session, pytest.raises(Invalid, match="is no day"):
        digest.tell_again(session, day, zone=UTC, now=NOW)


def test_a_day_without_anything_is_not_told(engine: Engine) -> None:
    with reading(engine) as session, pytest.raises(NotFound, match="Nothing came in"):
        digest.read(session, DAY, zone=UTC)


def test_a_thread_is_told_in_the_numbers_of_that_day(engine: Engine) -> None:
    with writing(engine) as session:
        paper = list_paper(session, "Rafts", state=PaperState.KEPT)
        page = session.get_one(Paper, paper).page_id
        assert page is not None
        thread = make_page(session, "Slack water", PageKind.THREAD)
        session.add(Thread(page_id=thread, claim="Boats at slack water lose no time."))
        for number in (1, 2, 3):
            member = make_page(
                session, f"Study {number}", PageKind.PAPER, published=f"2026-04-0{number}"
            )
            make_link(session, member, thread)
        later = make_page(session, "A later study", PageKind.PAPER, published="2026-06-01")
        make_link(session, later, thread)
        make_link(session, page, thread)
    told(engine)
    found, page_row = stands(engine)
    assert titles(found, "connecting-the-dots") == ["Slack water"]
    assert "[4 papers since April 2026](</w/slack-water#timeline>)" in page_row.body
    assert "A later study" not in page_row.body
    assert "[Study 3](</w/study-3>) (3 April 2026)" in page_row.body


def test_a_member_without_a_date_joined_when_its_paper_came(engine: Engine) -> None:
    with writing(engine) as session:
        paper = list_paper(session, "Rafts", state=PaperState.KEPT)
        page = session.get_one(Paper, paper).page_id
        assert page is not None
        thread = make_page(session, "Slack water", PageKind.THREAD)
        session.add(Thread(page_id=thread, claim="Boats at slack water lose no time."))
        for name, came in (("Two days ago", "2026-05-12"), ("Tomorrow", "2026-05-15")):
            member = make_page(session, name, PageKind.PAPER)
            other = session.exec(select(Paper).where(Paper.page_id == member)).one()
            other.published, other.came = "", came
            session.add(other)
            make_link(session, member, thread)
        make_link(session, page, thread)
    told(engine)
    _, page_row = stands(engine)
    assert "[2 papers since May 2026](</w/slack-water#timeline>)" in page_row.body
    assert "[Two days ago](</w/two-days-ago>) (12 May 2026)" in page_row.body
    assert "Tomorrow" not in page_row.body


def test_who_joined_a_thread_later_is_not_told_to_have_joined(engine: Engine) -> None:
    with writing(engine) as session:
        paper = list_paper(session, "Rafts", state=PaperState.KEPT)
        page = session.get_one(Paper, paper).page_id
        assert page is not None
        thread = make_page(session, "Slack water", PageKind.THREAD)
        session.add(Thread(page_id=thread, claim="Boats at slack water lose no time."))
        session.get_one(Link, make_link(session, page, thread)).day = "2026-06-01"
    told(engine)
    found, page_row = stands(engine)
    assert titles(found, "deep-dives") == ["Rafts: a rule for boats"]
    assert "Slack water" not in page_row.body


def test_predictions_are_told_on_their_days(engine: Engine) -> None:
    with writing(engine) as session:
        list_paper(session, "Rafts")
        page = make_page(session, "A forecast", PageKind.NOTE)
        for text, due, made in (
            ("Due today.", DAY, "2026-01-01"),
            ("Due later.", "2026-06-01", "2026-01-01"),
            ("Made today.", "2027", DAY),
        ):
            session.add(
                Prediction(
                    page_id=page,
                    key=text.lower(),
                    text=text,
                    made=made,
                    due=due,
                    state=PredictionState.OPEN,
                    origin=Origin.AUTHOR,
                    created_at=NOW,
                )
            )
    told(engine)
    assert titles(stands(engine)[0], "worth-watching") == ["Due today.", "Made today."]


def test_days_wait_until_they_are_told(engine: Engine) -> None:
    with writing(engine) as session:
        list_paper(session, "Rafts")
        list_paper(session, "Kayaks", day="2026-05-13")
        list_paper(session, "Ferries", day="2026-05-20")  # to come
    today = date(2026, 5, 14)
    with writing(engine) as session:
        assert digest.pending(session, today=today, now=NOW) == 2
        assert digest.take_up(session, today=today, owner="one", now=NOW) == "2026-05-13"
        assert digest.take_up(session, today=today, owner="two", now=NOW) == DAY
        assert digest.take_up(session, today=today, owner="three", now=NOW) == ""
    for day, owner in (("2026-05-13", "one"), (DAY, "two")):
        with reading(engine) as session:
            work = digest.read(session, day, zone=UTC)
        with writing(engine) as session:
            assert digest.store(session, work, owner=owner, now=NOW)
    later = NOW + digest.QUIET
    with reading(engine) as session:
        assert digest.pending(session, today=today, now=later) == 0
    with writing(engine) as session:
        list_paper(session, "Canoes")
    with reading(engine) as session:
        assert digest.pending(session, today=today, now=NOW + timedelta(minutes=1)) == 0
        assert digest.pending(session, today=today, now=later) == 1


def test_facts_take_the_same_number_of_statements_whatever_the_day_holds(engine: Engine) -> None:
    counted: list[int] = []

    def read() -> int:
        seen: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            seen.append(statement)

        sa.event.listen(engine, "before_cursor_execute", note)
        with reading(engine) as session:
            digests.facts(session, DAY, begin=NOW, end=NOW + timedelta(days=1))
        sa.event.remove(engine, "before_cursor_execute", note)
        return len(seen)

    for names in (("Rafts", "Canoes"), tuple(f"Boat {n}" for n in range(30))):
        with writing(engine) as session:
            for name in names:
                list_paper(session, name, state=PaperState.KEPT)
        counted.append(read())
    assert counted[0] == counted[1]


def test_the_stored_document_is_json_and_the_page_one_revision(engine: Engine) -> None:
    with writing(engine) as session:
        list_paper(session, "Rafts", state=PaperState.KEPT)
    told(engine)
    found, page = stands(engine)
    json.dumps([found.sections, found.ledger])
    with reading(engine) as session:
        revisions = session.exec(select(Revision).where(Revision.page_id == page.id)).all()
        assert [each.author_kind for each in revisions] == [AuthorKind.EXTRACT]
        assert session.exec(select(Page).where(col(Page.kind) == PageKind.DIGEST)).all()
