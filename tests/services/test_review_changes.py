"""Changes decided: a concept written, two put together, one taken apart, and everything undone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Engine
from sqlmodel import Session, select

from app.domain.records import (
    Change,
    ChangeKind,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    Relation,
    Verdict,
)
from app.errors import Conflict, Invalid, NotFound
from app.services import review
from app.store import changes, concepts, links, pages
from app.store.db import writing
from app.store.pages import PERSON, Content
from tests.factories import make_engine, make_link, make_page

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with writing(engine) as opened:
        yield opened


def concept(session: Session, title: str, body: str = "") -> Page:
    content = Content(title=title, kind=PageKind.CONCEPT, body=body)
    return pages.create(session, content, author=PERSON, now=NOW)


def proposed(session: Session, kind: ChangeKind, **values: Any) -> str:
    """A change that waits; its name."""
    given: dict[str, Any] = {
        "key": f"{kind}:test",
        "title": "Tidal locks",
        "confidence": 0.8,
        "reason": "three papers say it",
        "content": {},
        "evidence": [],
        "signals": [],
        "origin": Origin.LINKER,
    }
    assert changes.propose(session, kind=kind, now=NOW, **{**given, **values})
    [change] = changes.keyed(session, [values.get("key", f"{kind}:test")]).values()
    return f"c{change.id}"


def new_concept(session: Session, **content: Any) -> tuple[str, list[int]]:
    papers = [make_page(session, f"Paper {n}", PageKind.PAPER) for n in range(3)]
    whole = {"aliases": ["lock of tides"], "body": "They stop.", "members": papers, **content}
    return proposed(session, ChangeKind.CONCEPT, content=whole), papers


def decide(session: Session, name: str, verdict: Verdict = Verdict.ACCEPT, **changed: Any) -> int:
    decision = review.decide(session, name, verdict, now=NOW, **changed)
    assert decision.id is not None
    return decision.id


def undo(session: Session, decision_id: int | None = None) -> None:
    review.undo(session, decision_id, now=NOW)


def status(session: Session, name: str) -> LinkStatus:
    session.expire_all()
    return changes.get(session, int(name[1:])).status


def members(session: Session, slug: str) -> set[int]:
    page = pages.get(session, slug)
    rows = select(Link.source_id).where(
        Link.target_id == page.id, Link.status == LinkStatus.ACCEPTED
    )
    return set(session.exec(rows))


@pytest.mark.parametrize(
    ("text", "means"), [("7", "7"), (" c7 ", "c7"), ("C7", "c7"), (7, "7"), ("007", "7")]
)
def test_one_name_names_one_proposal(text: str | int, means: str) -> None:
    assert str(review.reference(text)) == means


@pytest.mark.parametrize("text", ["", "x", "c", "c-1", "-1", "7c", "c7;", "cc7", "7.0", "٧"])
def test_what_names_no_proposal_is_told_how_to(text: str) -> None:
    with pytest.raises(Invalid, match="as in 7, or a change by c and its number, as in c7"):
        review.reference(text)


def test_a_change_that_is_not_there_is_not_found(session: Session) -> None:
    for name in ("c1", "c0", f"c{10**40}"):
        with pytest.raises(NotFound, match="no proposal c"):
            decide(session, name)


def test_an_accepted_concept_is_a_page_with_its_papers_and_undo_takes_it_away(
    session: Session,
) -> None:
    name, papers = new_concept(session)
    done = decide(session, name)
    page = pages.get(session, "tidal-locks")
    assert (page.body, page.kind) == ("They stop.", PageKind.CONCEPT)
    assert pages.aliases_of(session, page.id or 0) == ["lock of tides"]
    assert page.author == "linker"
    assert members(session, "tidal-locks") == set(papers)
    with pytest.raises(Conflict, match="decided already: it is accepted"):
        decide(session, name)
    undo(session, done)
    assert pages.by_slug(session, "tidal-locks") is None
    assert status(session, name) == LinkStatus.PROPOSED
    with pytest.raises(Conflict, match="undone already"):
        undo(session, done)
    decide(session, name)
    assert members(session, "tidal-locks") == set(papers)


def test_a_person_may_change_the_title_and_untick_papers(session: Session) -> None:
    name, papers = new_concept(session)
    with pytest.raises(Invalid, match="holds no paper 4711"):
        decide(session, name, title="Locked tides", members=[papers[0], 4711])
    decide(session, name, title="Locked tides", members=[papers[0]])
    assert members(session, "locked-tides") == {papers[0]}
    assert pages.by_slug(session, "tidal-locks") is None
    assert pages.aliases_of(session, pages.get(session, "locked-tides").id or 0) == [
        "Tidal locks",  # the papers say it: it leads here, and is proposed no more
        "lock of tides",
    ]


def test_a_proposal_that_another_merge_closed_says_so(session: Session) -> None:
    going, one, other = (
        concept(session, title).id for title in ("KV caches", "KV cache", "Cached keys")
    )
    first, second = (
        proposed(session, ChangeKind.MERGE, key=str(target), source_id=going, target_id=target)
        for target in (one, other)
    )
    decide(session, first)
    with pytest.raises(Conflict, match="waits no more"):
        decide(session, second)


def test_a_page_of_that_name_made_meanwhile_is_named(session: Session) -> None:
    name, _ = new_concept(session)
    concept(session, "Tidal locks")
    with pytest.raises(Conflict, match="page of that name already: Tidal locks"):
        decide(session, name)
    assert status(session, name) == LinkStatus.PROPOSED


def test_a_page_somebody_worked_on_stays_and_so_does_the_decision(session: Session) -> None:
    name, _ = new_concept(session)
    done = decide(session, name)
    page = pages.get(session, "tidal-locks")
    edited = Content(title="Tidal locks", kind=PageKind.CONCEPT, body="Mine.")
    pages.revise(session, page, edited, author=PERSON, now=NOW)
    with pytest.raises(Conflict, match="worked on since"):
        undo(session, done)
    assert pages.get(session, "tidal-locks").body == "Mine."


def test_a_rejected_change_is_not_proposed_again_but_on_new_evidence(session: Session) -> None:
    name, _ = new_concept(session)
    done = decide(session, name, Verdict.REJECT, reason="not a thing")
    again: dict[str, Any] = {
        "kind": ChangeKind.CONCEPT,
        "key": "concept:test",
        "title": "Tidal locks",
        "confidence": 0.9,
        "reason": "five papers say it",
        "content": {},
        "evidence": [],
        "signals": [],
        "origin": Origin.LINKER,
        "now": NOW,
    }
    assert not changes.propose(session, **again)
    assert status(session, name) == LinkStatus.REJECTED
    assert changes.propose(session, again="two more papers since", **again)
    change = changes.get(session, int(name[1:]))
    assert change.reason == "two more papers since; five papers say it"
    with pytest.raises(Conflict, match="decided again since"):
        undo(session, done)


def two(session: Session) -> tuple[Page, Page, str]:
    source, target = concept(session, "Tidal locks"), concept(session, "Tidal lock", "It stops.")
    name = proposed(
        session,
        ChangeKind.MERGE,
        key=changes.merge_key(source.id or 0, target.id or 0),
        source_id=source.id,
        target_id=target.id,
    )
    return source, target, name


def test_an_accepted_merge_leads_to_the_page_that_stays(session: Session) -> None:
    source, target, name = two(session)
    paper = make_page(session, "Paper", PageKind.PAPER)
    make_link(session, paper, source.id or 0, Relation.ABOUT)
    done = decide(session, name)
    heir = concepts.heir(session, source.id or 0)
    assert heir is not None and heir.id == target.id
    assert members(session, "tidal-lock") == {paper}
    undo(session, done)
    assert members(session, "tidal-locks") == {paper}
    assert status(session, name) == LinkStatus.PROPOSED


def test_a_person_may_let_the_other_page_stay(session: Session) -> None:
    source, target, name = two(session)
    done = decide(session, name, swap=True)
    assert (source.kind, target.kind) == (PageKind.CONCEPT, PageKind.MERGED)
    assert source.body == "It stops.", "it takes the text where it has none"
    undo(session, done)
    change = changes.get(session, int(name[1:]))
    assert (change.source_id, change.target_id) == (source.id, target.id)
    assert (source.body, target.body) == ("", "It stops.")


def test_merges_are_undone_from_the_last_one_back(session: Session) -> None:
    first, second, third = (concept(session, f"{name} tide") for name in ("A", "B", "C"))
    one = review.merge(session, first.slug, "B tide", now=NOW)
    other = review.merge(session, third.slug, "b-tide", now=NOW)
    with pytest.raises(Conflict, match=r"changed again since \(C tide → B tide\)"):
        undo(session, one.id)
    undo(session, other.id)
    undo(session, one.id)
    kinds = {page.kind for page in (first, second, third)}
    assert kinds == {PageKind.CONCEPT}
    assert changes.count(session) == 0, "a person's own merge waits nowhere when it is undone"


def test_a_person_merges_by_name_and_is_told_what_does_not_go(session: Session) -> None:
    source = concept(session, "Tidal locks")
    make_page(session, "A paper", PageKind.PAPER)
    for into, wrong in (
        ("", "no page called ''"),
        ("nothing", "no page called 'nothing'"),
        ("tidal-locks", "this very page"),
        ("A paper", "A paper is no concept"),
    ):
        with pytest.raises(Invalid, match=wrong):
            review.merge(session, source.slug, into, now=NOW)
    with pytest.raises(NotFound):
        review.merge(session, "gone", "tidal-locks", now=NOW)


def test_a_merge_rejected_before_may_still_be_made_by_hand(session: Session) -> None:
    source, target, name = two(session)
    decide(session, name, Verdict.REJECT)
    done = review.merge(session, target.slug, source.slug, now=NOW)
    assert target.kind == PageKind.MERGED
    undo(session, done.id)
    assert status(session, name) == LinkStatus.REJECTED


def test_a_person_splits_a_concept_and_takes_it_back(session: Session) -> None:
    source = concept(session, "Tide")
    papers = [make_page(session, f"Paper {n}", PageKind.PAPER) for n in range(2)]
    for paper in papers:
        make_link(session, paper, source.id or 0, Relation.ABOUT)
    done = review.split(
        session, "tide", title="Spring tide", aliases=[], members=papers[:1], now=NOW
    )
    assert members(session, "spring-tide") == {papers[0]}
    assert members(session, "tide") == {papers[1]}
    undo(session, done.id)
    assert members(session, "tide") == set(papers)
    assert pages.by_slug(session, "spring-tide") is None
    kept = session.exec(select(Change)).one()
    assert (kept.status, kept.target_id) == (LinkStatus.REJECTED, None)


def test_a_split_needs_a_free_title(session: Session) -> None:
    concept(session, "Tide")
    concept(session, "Spring tide")
    for title, wrong in ((" ", "needs a title"), ("Spring tide", "already: Spring tide")):
        with pytest.raises(Invalid, match=wrong):
            review.split(session, "tide", title=title, aliases=[], members=[], now=NOW)


def test_links_and_changes_are_decided_as_one_and_undone_as_one(session: Session) -> None:
    name, papers = new_concept(session)
    source, target, merge = two(session)  # its name is taken by then
    link = make_link(session, papers[0], target.id or 0, status=LinkStatus.PROPOSED)
    decided = review.decide_many(session, [str(link), merge, name, "c999"], Verdict.ACCEPT, now=NOW)
    assert len(decided.decisions) == 2
    assert [each.partition(":")[0] for each in decided.refused] == [name, "c999"]
    assert pages.count(session) == 4, "what was refused wrote nothing"
    undo(session, decided.decisions[0].id)
    assert links.get(session, link).status == LinkStatus.PROPOSED
    assert status(session, merge) == LinkStatus.PROPOSED
    assert source.kind == PageKind.CONCEPT


@pytest.mark.parametrize("verdict", [None, Verdict.DEFER, Verdict.REJECT])
def test_a_split_is_taken_back_whatever_the_linker_proposed_since(
    session: Session, verdict: Verdict | None
) -> None:
    source = concept(session, "Tide")
    paper = make_page(session, "Paper", PageKind.PAPER)
    held = make_link(session, paper, source.id or 0, Relation.ABOUT)
    done = review.split(session, "tide", title="Spring tide", aliases=[], members=[paper], now=NOW)
    again = make_link(
        session,
        paper,
        source.id or 0,
        Relation.ABOUT,
        status=LinkStatus.PROPOSED,
        origin=Origin.LINKER,
    )
    if verdict is not None:
        decided = decide(session, str(again), verdict)
        with pytest.raises(Conflict, match="Take that decision back first"):
            undo(session, done.id)
        session.expire_all()
        undo(session, decided)
    undo(session, done.id)
    assert members(session, "tide") == {paper}
    assert session.get(Link, held) is not None
