"""Review: deciding once, changing what is meant, many at once, and taking it all back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.records import (
    AuthorKind,
    Decision,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    PageText,
    Paper,
    PaperState,
    Relation,
    Verdict,
)
from app.errors import Conflict, Invalid, NotFound
from app.services import pages as editing
from app.services import review
from app.store import decisions, links, pages, papers
from app.store.db import generation, reading, writing
from app.store.pages import Author, Content
from tests.factories import make_engine, make_link, make_page

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def queue(engine: Engine, count: int = 1) -> list[int]:
    """A paper with `count` waiting proposals to concepts; their ids."""
    with writing(engine) as session:
        paper = make_page(session, "A paper", PageKind.PAPER)
        return [
            make_link(
                session,
                paper,
                make_page(session, f"Concept {number}"),
                Relation.ABOUT,
                status=LinkStatus.PROPOSED,
            )
            for number in range(count)
        ]


def decide(engine: Engine, link_id: int, verdict: Verdict, **changes: object) -> int:
    with writing(engine) as session:
        decision = review.decide(session, link_id, verdict, now=NOW, **changes)  # type: ignore[arg-type]
        assert decision.id is not None
        return decision.id


def undo(engine: Engine, decision_id: int | None = None) -> int:
    with writing(engine) as session:
        return len(review.undo(session, decision_id, now=NOW).decisions)


def status(engine: Engine, link_id: int) -> LinkStatus:
    with reading(engine) as session:
        return links.get(session, link_id).status


# ---------------------------------------------------------------- one proposal


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict.ACCEPT, LinkStatus.ACCEPTED),
        (Verdict.REJECT, LinkStatus.REJECTED),
        (Verdict.DEFER, LinkStatus.DEFERRED),
    ],
)
def test_a_decision_makes_it_so_and_undo_takes_it_back(
    engine: Engine, verdict: Verdict, expected: LinkStatus
) -> None:
    [link_id] = queue(engine)
    with reading(engine) as session:
        counted = generation(session)
    decision_id = decide(engine, link_id, verdict, reason="  because  ")
    with reading(engine) as session:
        link = links.get(session, link_id)
        assert (link.status, link.decided_at) == (expected, NOW)
        made = decisions.get(session, decision_id)
        assert (made.who, made.verdict, made.reason) == ("person", verdict, "because")
        assert generation(session) > counted
    assert undo(engine, decision_id) == 1
    with reading(engine) as session:
        link = links.get(session, link_id)
        assert (link.status, link.decided_at) == (LinkStatus.PROPOSED, None)
        kinds = [(d.undone, d.undoes_id) for d in session.exec(select(Decision))]
        assert kinds == [(True, None), (False, decision_id)]


@pytest.mark.parametrize("first", [Verdict.ACCEPT, Verdict.REJECT])
@pytest.mark.parametrize("second", [Verdict.ACCEPT, Verdict.REJECT, Verdict.DEFER])
def test_what_was_decided_elsewhere_is_a_conflict_and_stays(
    engine: Engine, first: Verdict, second: Verdict
) -> None:
    [link_id] = queue(engine)
    decide(engine, link_id, first)
    stands = status(engine, link_id)
    with pytest.raises(Conflict, match="decided already"):
        decide(engine, link_id, second)
    assert status(engine, link_id) is stands
    with reading(engine) as session:
        assert len(session.exec(select(Decision)).all()) == 1


def test_what_was_put_off_can_be_decided_and_its_undo_puts_it_off_again(engine: Engine) -> None:
    [link_id] = queue(engine)
    decide(engine, link_id, Verdict.DEFER)
    last = decide(engine, link_id, Verdict.ACCEPT)
    undo(engine, last)
    assert status(engine, link_id) is LinkStatus.DEFERRED
    undo(engine)
    assert status(engine, link_id) is LinkStatus.PROPOSED


@pytest.mark.parametrize("number", [0, -1, 999, 2**63, 10**40])
def test_a_number_that_no_proposal_or_decision_has_is_not_found(
    engine: Engine, number: int
) -> None:
    with writing(engine) as session:
        with pytest.raises(NotFound):
            review.decide(session, number, Verdict.ACCEPT, now=NOW)
        with pytest.raises(NotFound):
            review.decide_paper(session, number, Verdict.KEEP, now=NOW)
        with pytest.raises(NotFound):
            review.undo(session, number, now=NOW)
        with pytest.raises(NotFound):
            links.proposal(session, number)


@pytest.mark.parametrize(
    ("word", "of", "expected"),
    [
        ("accept", "link", Verdict.ACCEPT),
        (" Reject ", "link", Verdict.REJECT),
        ("DEFER", "link", Verdict.DEFER),
        ("keep", "paper", Verdict.KEEP),
        ("drop", "paper", Verdict.DROP),
        ("defer", "paper", Verdict.DEFER),
    ],
)
def test_verdicts_are_read_from_words(word: str, of: str, expected: Verdict) -> None:
    assert review.verdict(word, of=of) is expected


@pytest.mark.parametrize(
    ("word", "of", "words"),
    [
        ("keep", "link", "accept, reject, defer"),
        ("accept", "paper", "keep, drop, defer"),
        ("", "link", "accept, reject, defer"),
        ("yes\n", "link", "accept, reject, defer"),
    ],
)
def test_a_wrong_verdict_is_told_the_right_ones(word: str, of: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        review.verdict(word, of=of)


# ---------------------------------------------------------------- another link is meant


def test_another_relation_is_accepted_in_place_of_the_proposed_one(engine: Engine) -> None:
    [link_id] = queue(engine)
    decision_id = decide(engine, link_id, Verdict.ACCEPT, relation=Relation.EXTENDS)
    with reading(engine) as session:
        proposed, made = session.exec(select(Link).order_by(col(Link.id))).all()
        assert proposed.status is LinkStatus.REJECTED
        assert (made.status, made.relation) == (LinkStatus.ACCEPTED, Relation.EXTENDS)
        assert made.target_id == proposed.target_id
    undo(engine, decision_id)
    with reading(engine) as session:
        assert session.exec(select(Link)).one().status is LinkStatus.PROPOSED


@pytest.mark.parametrize("target", ["Concept 1", "concept-1", "CONCEPT 1", " concept 1 "])
def test_another_target_is_found_by_any_of_its_names(engine: Engine, target: str) -> None:
    first, second = queue(engine, 2)
    with writing(engine) as session:
        session.delete(links.get(session, second))
    decide(engine, first, Verdict.ACCEPT, target=target)
    with reading(engine) as session:
        made = session.exec(select(Link).where(Link.status == LinkStatus.ACCEPTED)).one()
        page = session.get(Page, made.target_id)
        assert page is not None
        assert page.slug == "concept-1"


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"target": "Nobody"}, NotFound, "no page called 'Nobody'"),
        ({"target": "A paper"}, Invalid, "to itself"),
        ({"target": "Concept 1"}, Conflict, "proposed itself"),
        ({"target": "Concept 2"}, Conflict, "linked that way already"),
        ({"target": "Concept 3"}, Conflict, "rejected before"),
    ],
)
def test_a_change_that_cannot_be_leaves_the_proposal_waiting(
    engine: Engine, change: dict[str, str], error: type[Exception], says: str
) -> None:
    first, _, accepted, rejected = queue(engine, 4)
    decide(engine, accepted, Verdict.ACCEPT)
    decide(engine, rejected, Verdict.REJECT)
    with pytest.raises(error, match=says):
        decide(engine, first, Verdict.ACCEPT, **change)
    assert status(engine, first) is LinkStatus.PROPOSED


def test_the_proposed_relation_and_target_said_again_are_no_change(engine: Engine) -> None:
    [link_id] = queue(engine)
    decide(engine, link_id, Verdict.ACCEPT, relation=Relation.ABOUT, target="Concept 0")
    with reading(engine) as session:
        assert session.exec(select(Link)).one().status is LinkStatus.ACCEPTED


def save(engine: Engine, slug: str, body: str) -> None:
    with writing(engine) as session:
        page = pages.get(session, slug)
        content = Content(title=page.title, kind=page.kind, body=body)
        editing.save(session, slug, content, base=page.version, now=NOW)


def test_undo_leaves_alone_what_the_text_says_meanwhile(engine: Engine) -> None:
    [link_id] = queue(engine)
    decision_id = decide(engine, link_id, Verdict.ACCEPT)
    save(engine, "a-paper", "[[about::Concept 0]]")
    undo(engine, decision_id)
    with reading(engine) as session:
        link = links.get(session, link_id)
        assert (link.status, link.origin) == (LinkStatus.ACCEPTED, Origin.AUTHOR)
    save(engine, "a-paper", "No more.")
    with reading(engine) as session:
        link = links.get(session, link_id)
        assert link.origin is Origin.LINKER


def test_undo_of_a_change_keeps_the_link_that_the_text_says_meanwhile(engine: Engine) -> None:
    [link_id] = queue(engine)
    decision_id = decide(engine, link_id, Verdict.ACCEPT, relation=Relation.EXTENDS)
    save(engine, "a-paper", "[[extends::Concept 0]]")
    undo(engine, decision_id)
    with reading(engine) as session:
        found = {link.relation: link.status for link in session.exec(select(Link))}
        assert found == {
            Relation.ABOUT: LinkStatus.PROPOSED,
            Relation.EXTENDS: LinkStatus.ACCEPTED,
        }


# ---------------------------------------------------------------- many at once


def test_many_are_decided_as_one_and_undone_as_one(engine: Engine) -> None:
    ids = queue(engine, 4)
    decide(engine, ids[1], Verdict.REJECT)
    with writing(engine) as session:
        decided = review.decide_many(
            session, [*ids, ids[0], 999, 10**30], Verdict.ACCEPT, now=NOW, reason="sure"
        )
        assert [d.link_id for d in decided.decisions] == [ids[0], ids[2], ids[3]]
        assert [refused.split(":")[0] for refused in decided.refused] == [
            str(ids[1]),
            "999",
            str(10**30),
        ]
        one = decided.decisions[1].id
    assert status(engine, ids[1]) is LinkStatus.REJECTED
    assert undo(engine, one) == 3
    assert [status(engine, each) for each in ids] == [
        LinkStatus.PROPOSED,
        LinkStatus.REJECTED,
        LinkStatus.PROPOSED,
        LinkStatus.PROPOSED,
    ]


def test_more_than_can_be_looked_at_are_not_decided_at_once(engine: Engine) -> None:
    with writing(engine) as session, pytest.raises(Invalid, match="500"):
        review.decide_many(session, range(501), Verdict.ACCEPT, now=NOW)


def test_undo_without_a_number_takes_back_the_last_action_then_the_one_before(
    engine: Engine,
) -> None:
    first, second = queue(engine, 2)
    with writing(engine) as session, pytest.raises(NotFound, match="no decision to undo"):
        review.undo(session, None, now=NOW)
    decide(engine, first, Verdict.ACCEPT)
    decide(engine, second, Verdict.REJECT)
    undo(engine)
    assert (status(engine, first), status(engine, second)) == (
        LinkStatus.ACCEPTED,
        LinkStatus.PROPOSED,
    )
    undo(engine)
    assert status(engine, first) is LinkStatus.PROPOSED


def test_an_undo_cannot_be_undone_nor_done_twice(engine: Engine) -> None:
    [link_id] = queue(engine)
    decision_id = decide(engine, link_id, Verdict.ACCEPT)
    undo(engine, decision_id)
    for number in (decision_id, decision_id + 1):
        with pytest.raises(Conflict, match="undone already"):
            undo(engine, number)


def test_a_decision_overtaken_by_a_later_one_is_not_undone(engine: Engine) -> None:
    [link_id] = queue(engine)
    first = decide(engine, link_id, Verdict.DEFER)
    decide(engine, link_id, Verdict.ACCEPT)
    with pytest.raises(Conflict, match="decided again since"):
        undo(engine, first)
    assert status(engine, link_id) is LinkStatus.ACCEPTED


# ---------------------------------------------------------------- papers


def waiting(engine: Engine) -> int:
    with writing(engine) as session:
        paper = Paper(state=PaperState.WAITING, title="A find", title_key="afind", created_at=NOW)
        session.add(paper)
        session.flush()
        assert paper.id is not None
        return paper.id


def decide_paper(engine: Engine, paper_id: int, verdict: Verdict) -> int:
    with writing(engine) as session:
        decision = review.decide_paper(session, paper_id, verdict, now=NOW)
        assert decision.id is not None
        return decision.id


def paper_of(session: Session, paper_id: int) -> Paper:
    found = session.get(Paper, paper_id)
    assert found is not None
    return found


def test_undo_of_keep_takes_the_untouched_page_away(engine: Engine) -> None:
    paper_id = waiting(engine)
    decision_id = decide_paper(engine, paper_id, Verdict.KEEP)
    with writing(engine) as session:
        page = pages.get(session, "a-find")
        concept = make_page(session, "Concept")
        make_link(session, page.id or 0, concept, Relation.ABOUT, status=LinkStatus.PROPOSED)
    undo(engine, decision_id)
    with reading(engine) as session:
        assert pages.by_slug(session, "a-find") is None
        assert links.count(session) == 0
        found = paper_of(session, paper_id)
        assert (found.state, found.page_id) == (PaperState.WAITING, None)
    decide_paper(engine, paper_id, Verdict.KEEP)
    with reading(engine) as session:
        assert pages.get(session, "a-find").kind is PageKind.PAPER


def _edited(session: Session) -> None:
    page = pages.get(session, "a-find")
    content = Content(title=page.title, kind=page.kind, body="Notes.")
    editing.save(session, "a-find", content, base=page.version, now=NOW)


def _linked_to(session: Session) -> None:
    page = pages.get(session, "a-find")
    make_link(session, make_page(session, "Thread"), page.id or 0, Relation.COVERS)


def _linked_in_a_text(session: Session) -> None:
    content = Content(title="Note", kind=PageKind.NOTE, body="[[A find]]")
    pages.create(session, content, author=Author(AuthorKind.PERSON), now=NOW)


def _rejected_from(session: Session) -> None:
    page = pages.get(session, "a-find")
    concept = make_page(session, "Concept")
    make_link(session, page.id or 0, concept, Relation.ABOUT, status=LinkStatus.REJECTED)


@pytest.mark.parametrize("work", [_edited, _linked_to, _linked_in_a_text, _rejected_from])
def test_undo_of_keep_leaves_a_page_that_was_worked_on(engine: Engine, work: object) -> None:
    paper_id = waiting(engine)
    decision_id = decide_paper(engine, paper_id, Verdict.KEEP)
    with writing(engine) as session:
        work(session)  # type: ignore[operator]
    with pytest.raises(Conflict, match="worked on"):
        undo(engine, decision_id)
    with reading(engine) as session:
        assert pages.by_slug(session, "a-find") is not None
        assert paper_of(session, paper_id).state is PaperState.KEPT


@pytest.mark.parametrize("verdict", [Verdict.DROP, Verdict.DEFER])
def test_a_paper_that_was_put_away_comes_back_by_undo(engine: Engine, verdict: Verdict) -> None:
    paper_id = waiting(engine)
    decision_id = decide_paper(engine, paper_id, verdict)
    with reading(engine) as session:
        assert papers.count(session) == 0
    undo(engine, decision_id)
    with reading(engine) as session:
        assert papers.count(session) == 1


@pytest.mark.parametrize("first", [Verdict.KEEP, Verdict.DROP])
def test_a_paper_is_decided_once(engine: Engine, first: Verdict) -> None:
    paper_id = waiting(engine)
    decide_paper(engine, paper_id, first)
    with pytest.raises(Conflict, match="decided already"):
        decide_paper(engine, paper_id, Verdict.KEEP)


# ---------------------------------------------------------------- the summary of a kept paper

ABSTRACT = (
    "However, tide gauges drift. We propose Heron, a rule that finds the drift of gauges by [[storms]]. "
    "It finds 97% of them on twelve coasts."
)


def kept_with_abstract(engine: Engine, abstract: str = ABSTRACT) -> tuple[int, int]:
    """A paper with an abstract that was kept: its id and that of the decision."""
    paper_id = waiting(engine)
    with writing(engine) as session:
        paper_of(session, paper_id).abstract = abstract
    return paper_id, decide_paper(engine, paper_id, Verdict.KEEP)


def text_of(session: Session, page_id: int | None) -> tuple[str, str]:
    row = session.get(PageText, page_id)
    assert row is not None
    return row.text, row.hash


def test_a_kept_paper_has_the_extracted_summary_and_no_word_of_it_counts_twice(
    engine: Engine,
) -> None:
    kept_with_abstract(engine)
    with reading(engine) as session:
        page = pages.get(session, "a-find")
        assert page.body.startswith("*Extracted from the abstract")
        assert "**Result.** It finds 97% of them on twelve coasts." in page.body
        assert (page.author_kind, page.author) == (AuthorKind.EXTRACT, "extract@2")
        [revision] = pages.revisions(session, page.id or 0)
        assert (revision.author_kind, revision.body) == (AuthorKind.EXTRACT, page.body)
        assert text_of(session, page.id)[0] == ABSTRACT
        assert links.count(session) == 0  # what an abstract has in brackets is no link


def test_undo_of_keep_takes_the_page_with_its_summary_away(engine: Engine) -> None:
    paper_id, decision_id = kept_with_abstract(engine)
    undo(engine, decision_id)
    with reading(engine) as session:
        assert pages.by_slug(session, "a-find") is None
        assert paper_of(session, paper_id).state is PaperState.WAITING
        assert paper_of(session, paper_id).abstract == ABSTRACT


def test_a_summary_that_a_person_saved_is_theirs_and_stays(engine: Engine) -> None:
    _, decision_id = kept_with_abstract(engine)
    with writing(engine) as session:
        page = pages.get(session, "a-find")
        content = pages.content_of(session, page)
        editing.save(
            session,
            "a-find",
            replace(content, body=f"{content.body}\nMy own words.\n"),
            base=page.version,
            now=NOW,
        )
    with pytest.raises(Conflict, match="worked on"):
        undo(engine, decision_id)
    with reading(engine) as session:
        page = pages.get(session, "a-find")
        assert (page.author_kind, page.version) == (AuthorKind.PERSON, 2)
        assert "My own words." in text_of(session, page.id)[0]


def test_a_paper_without_an_abstract_is_kept_with_an_empty_page(engine: Engine) -> None:
    kept_with_abstract(engine, "")
    with reading(engine) as session:
        page = pages.get(session, "a-find")
        assert page.body == ""
        assert page.author_kind is AuthorKind.IMPORT


# ---------------------------------------------------------------- memory


def test_what_was_decided_is_not_proposed_again_and_its_history_stays(engine: Engine) -> None:
    [link_id] = queue(engine)
    decide(engine, link_id, Verdict.REJECT)
    with writing(engine) as session:
        link = links.get(session, link_id)
        made = links.propose(
            session,
            source_id=link.source_id,
            target_id=link.target_id,
            relation=Relation.ABOUT,
            confidence=0.99,
            reason="again",
            evidence=[],
            signals=[],
            text_hash="",
            origin=Origin.LINKER,
            now=NOW + timedelta(days=1),
        )
        assert not made
    undo(engine)
    with writing(engine) as session:
        links.withdraw_proposals(session, links.get(session, link_id).source_id, keep=set())
    with reading(engine) as session:
        assert links.get(session, link_id).status is LinkStatus.PROPOSED
        assert len(session.exec(select(Decision)).all()) == 2


def test_a_proposal_that_nobody_decided_is_withdrawn_when_it_is_not_made_any_more(
    engine: Engine,
) -> None:
    kept, gone = queue(engine, 2)
    with writing(engine) as session:
        link = links.get(session, kept)
        links.withdraw_proposals(session, link.source_id, keep={(link.target_id, Relation.ABOUT)})
    with reading(engine) as session:
        assert session.get(Link, kept) is not None
        assert session.get(Link, gone) is None
