"""Questions follow the text of their page, and a paper that answers one is proposed once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.records import (
    AuthorKind,
    Link,
    LinkStatus,
    PageKind,
    Paper,
    PaperState,
    Question,
    QuestionState,
    Relation,
    Verdict,
)
from app.errors import Invalid, NotFound
from app.services import pages as editing
from app.services import questions, review
from app.store import pages
from app.store import questions as store
from app.store.corpus import Library
from app.store.db import reading, writing
from app.store.pages import Author, Content
from tests.factories import THEN, make_engine, make_link, make_page

ASKS = "Does speculative decoding keep the sampling distribution at high temperature?"
ANSWERS = (
    "We show that speculative decoding keeps the sampling distribution exactly at high temperature."
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def write(session: Session, *asked: str, slug: str = "kept") -> int:
    """Save a page that lists these questions; its id."""
    body = "Words.\n\n## Open questions\n\n" + "".join(f"- {each}\n" for each in asked)
    page = pages.by_slug(session, slug)
    content = Content(title="Kept", kind=PageKind.CONCEPT, body=body)
    saved = editing.save(session, slug, content, base=page.version if page else 0, now=THEN)
    assert saved.page.id is not None
    return saved.page.id


def texts(session: Session, page_id: int) -> list[tuple[str, str, bool]]:
    return [
        (each.text, each.state.value, each.withdrawn) for each in store.of_page(session, page_id)
    ]


def work(engine: Engine) -> int:
    """One batch as the worker does it; how many proposals it made."""
    with writing(engine) as session:
        taken = questions.take_up(session, owner="me", now=THEN)
    with reading(engine) as session:
        read = questions.read(session, None, taken, Library())
    found = questions.think(read)
    with writing(engine) as session:
        return questions.store(session, read, found, owner="me", now=THEN)


def paper(session: Session, title: str, text: str, day: str) -> int:
    page_id = make_page(session, title, PageKind.PAPER, text=text, published=day)
    session.connection().execute(
        sa.update(Paper).where(col(Paper.page_id) == page_id).values(abstract=text, came=day)
    )
    return page_id


def asked(session: Session, *, day: str = "2026-05-01", text: str = ASKS) -> tuple[int, int]:
    """A paper that asked; its page and the id of its question."""
    page_id = paper(session, "An earlier paper", "Of birds.", day)
    store.add(session, page_id, [text], day=day)
    return page_id, store.of_page(session, page_id)[0].id


# ---------------------------------------------------------------- in step with the text


def test_questions_follow_the_text_and_a_reworded_one_keeps_its_state(engine: Engine) -> None:
    with writing(engine) as session:
        page_id = write(session, "Does it hold for long inputs?", "Is it cheap?")
        first = store.of_page(session, page_id)[0]
        questions.set_state(session, first.id, "partly")
        write(session, "Does it hold for very long inputs?", "Is it new?")
        assert texts(session, page_id) == [
            ("Does it hold for very long inputs?", "partly", False),
            ("Is it new?", "open", False),
        ]
        assert store.of_page(session, page_id)[0].id == first.id


def test_a_question_taken_out_goes_unless_something_was_said_of_it(engine: Engine) -> None:
    with writing(engine) as session:
        page_id = write(session, "Does it hold for long inputs?", "Is it cheap?")
        questions.set_state(session, store.of_page(session, page_id)[0].id, "answered")
        write(session)
        assert texts(session, page_id) == [("Does it hold for long inputs?", "answered", True)]
        assert store.listed(session) == []
        write(session, "Does it hold for long inputs?")
        assert texts(session, page_id) == [("Does it hold for long inputs?", "answered", False)]


def test_what_an_import_asked_stays_when_the_text_never_listed_it(engine: Engine) -> None:
    with writing(engine) as session:
        page_id = write(session, "Is it cheap?")
        assert store.add(session, page_id, ["From a digest?", "is it CHEAP"]) == 1
        write(session)
        assert texts(session, page_id) == [("From a digest?", "open", False)]


def test_an_extracted_page_asks_what_its_abstract_leaves_open(engine: Engine) -> None:
    left = "We leave the extension to several languages to future work."
    with writing(engine) as session:
        row = Paper(
            title="P",
            title_key="p",
            abstract=f"We sort. {left}",
            state=PaperState.WAITING,
            created_at=THEN,
        )
        session.add(row)
        session.flush()
        page = pages.create(
            session,
            Content(title="P", kind=PageKind.PAPER, body="Sorted."),
            author=Author(AuthorKind.EXTRACT, "extract"),
            now=THEN,
            paper=row,
        )
        assert page.id is not None
        assert texts(session, page.id) == [(left, "open", False)]


# ---------------------------------------------------------------- the reader's word


def test_a_word_is_taken_back_with_open_and_any_other_is_refused(engine: Engine) -> None:
    with writing(engine) as session:
        _, one = asked(session)
        assert questions.set_state(session, one, " Answered ").state == QuestionState.ANSWERED
        assert questions.set_state(session, one, "open").state == QuestionState.OPEN
        with pytest.raises(Invalid, match="it is one of open, partly, answered"):
            questions.set_state(session, one, "maybe")
        with pytest.raises(NotFound):
            questions.set_state(session, 10**18, "open")


# ---------------------------------------------------------------- answers


def test_a_later_paper_that_says_so_is_proposed_and_an_undo_opens_it_again(engine: Engine) -> None:
    with writing(engine) as session:
        asker, one = asked(session)
        answerer = paper(session, "A later paper", f"Birds. {ANSWERS}", "2026-05-14")
        paper(session, "Another", "We show that birds sing.", "2026-05-14")
    assert work(engine) == 1
    with writing(engine) as session:
        link = session.exec(select(Link).where(Link.relation == Relation.ANSWERS)).one()
        assert (link.source_id, link.target_id, link.question_id) == (answerer, asker, one)
        assert link.evidence[0]["quotation"] == ANSWERS
        assert link.evidence[0]["where"] == "abstract"
        assert link.status == LinkStatus.PROPOSED
        which = review.reference(str(link.id))
        made = review.decide(session, which, Verdict.ACCEPT, now=THEN)
        row = store.row(session, one)
        assert row.state == QuestionState.ANSWERED
        assert row.by == ("a-later-paper", "A later paper")
        assert store.open_of(session, [asker]) == []
        assert (row.number, row.day) == (1, "2026-05-01")
        assert made.id is not None
        review.undo(session, made.id, now=THEN)
        assert store.row(session, one).state == QuestionState.OPEN


def test_a_rejected_answer_never_comes_back_and_nothing_is_read_twice(engine: Engine) -> None:
    with writing(engine) as session:
        asked(session)
        paper(session, "A later paper", ANSWERS, "2026-05-14")
    assert work(engine) == 1
    with writing(engine) as session:
        assert questions.pending(session, now=THEN) == 0
        link = session.exec(select(Link).where(Link.relation == Relation.ANSWERS)).one()
        review.decide(session, review.reference(str(link.id)), Verdict.REJECT, now=THEN)
        store.add(session, link.target_id, ["Does something else hold as well for birds?"])
        assert questions.pending(session, now=THEN) == 1
    assert work(engine) == 0
    with reading(engine) as session:
        link = session.exec(select(Link).where(Link.relation == Relation.ANSWERS)).one()
        assert link.status == LinkStatus.REJECTED


def test_a_new_question_is_held_against_papers_that_were_read_before(engine: Engine) -> None:
    with writing(engine) as session:
        asked(session, text="Do birds sing in the early morning hours of spring?")
        paper(session, "A later paper", ANSWERS, "2026-05-14")
    assert work(engine) == 0
    with writing(engine) as session:
        other = paper(session, "A second earlier paper", "Of fish.", "2026-05-02")
        store.add(session, other, [ASKS], day="2026-05-02")
    assert work(engine) == 1


def test_an_earlier_paper_answers_nothing_and_no_question_means_no_work(engine: Engine) -> None:
    with writing(engine) as session:
        paper(session, "A paper", ANSWERS, "2026-04-01")
        assert questions.pending(session, now=THEN) == 0
        asked(session, day="2026-05-01")
    assert work(engine) == 0


def test_a_proposal_goes_with_the_question_it_would_answer(engine: Engine) -> None:
    with writing(engine) as session:
        page_id = write(session, ASKS)
        question = session.exec(select(Question)).one()
        question.day = "2026-05-01"
        session.add(question)
        paper(session, "A later paper", ANSWERS, "2026-05-14")
    assert work(engine) == 1
    with writing(engine) as session:
        write(session)
        assert texts(session, page_id) == []
        assert session.exec(select(Link).where(Link.relation == Relation.ANSWERS)).all() == []


# ---------------------------------------------------------------- lists


def test_the_list_is_narrowed_by_state_thread_and_concept(engine: Engine) -> None:
    with writing(engine) as session:
        page_id, one = asked(session)
        thread = make_page(session, "A thread", PageKind.THREAD)
        concept = make_page(session, "A concept")
        make_link(session, page_id, thread, Relation.PART_OF)
        make_link(session, page_id, concept, Relation.ABOUT)
        other, two = make_page(session, "Other"), 0
        store.add(session, other, ["Elsewhere asked?"])
        two = store.of_page(session, other)[0].id
        questions.set_state(session, two, "partly")
        assert [row.id for row in store.listed(session)] == [two, one]
        assert [row.id for row in store.listed(session, state=QuestionState.OPEN)] == [one]
        assert [row.id for row in store.listed(session, thread="a-thread")] == [one]
        assert [row.id for row in store.listed(session, concept="a-concept")] == [one]
        assert [row.id for row in store.listed(session, before=two)] == [one]
        assert [row.id for row in store.of_thread(session, thread)] == [one]
        assert store.counts(session) == {
            QuestionState.OPEN: 1,
            QuestionState.PARTLY: 1,
            QuestionState.ANSWERED: 0,
        }
        assert {row.id for row in store.open_of(session, [page_id, other])} == {one, two}
