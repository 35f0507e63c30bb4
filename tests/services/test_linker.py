"""The linker's reading and storing: what is kept between batches, and what goes into Review."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.records import Link, LinkStatus, Origin, Page, PageKind, PageText, Relation
from app.services.linker import Proposal, rank_papers, read, shipped_weights, store
from app.store import corpus, db, links
from app.store.corpus import Library
from app.store.db import reading, writing
from tests.factories import THEN, make_engine, make_link, make_page

EAGER = replace(shipped_weights(), floor=0.05)
TEXTS = {
    "Tannins in green tea": "Steeping leaves at low heat keeps the tannins of tea brewing out.",
    "Water hardness and tea": "Soft water draws more from leaves, and tea brewing depends on it.",
    "Cable stays under wind": "We load the deck of a suspension bridge with gusts.",
    "Fatigue of steel decks": "Welds in a steel bridge deck crack under traffic.",
    "Oolong leaves": "How long to steep leaves of oolong tea in soft water.",
    "Gusts on a footbridge": "Wind tunnel loads on the deck of a light bridge.",
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def ids(engine: Engine) -> dict[str, int]:
    """Two concepts, six papers; four of them are linked."""
    with writing(engine) as session:
        found = {name: make_page(session, name) for name in ("Tea brewing", "Bridge engineering")}
        for number, (title, text) in enumerate(TEXTS.items()):
            published = f"2026-01-{number + 1:02}"
            found[title] = make_page(session, title, PageKind.PAPER, text=text, published=published)
        for title, concept in zip(
            TEXTS, ("Tea brewing",) * 2 + ("Bridge engineering",) * 2, strict=False
        ):
            make_link(session, found[title], found[concept], Relation.ABOUT)
    return found


def ranked(session: Session, wanted: list[int], library: Library | None = None) -> list[Proposal]:
    return rank_papers(read(session, None, wanted, library), EAGER)


def edit(session: Session, page_id: int, text: str) -> None:
    session.connection().execute(
        sa.update(PageText)
        .where(col(PageText.page_id) == page_id)
        .values(text=text, hash=f"{hash(text) & 0xFFFFFF:x}")
    )
    db.bump(session, db.TEXTS)


def change(session: Session, ids: dict[str, int], what: str) -> None:
    if what == "added":
        make_page(session, "Kettles", PageKind.PAPER, text="Tea in soft water", published="2025")
    elif what == "edited":
        edit(session, ids["Water hardness and tea"], "Kettles and oolong leaves in spring water.")
    elif what == "removed":
        session.connection().execute(
            sa.delete(Page).where(col(Page.id) == ids["Tannins in green tea"])
        )
    elif what == "decided":
        make_link(session, ids["Oolong leaves"], ids["Tea brewing"], Relation.ABOUT)
    elif what == "rejected":
        make_link(
            session,
            ids["Fatigue of steel decks"],
            ids["Tea brewing"],
            Relation.ABOUT,
            status=LinkStatus.REJECTED,
        )


@pytest.mark.parametrize(
    "changes",
    [
        (),
        ("added",),
        ("edited",),
        ("removed",),
        ("decided",),
        ("rejected",),
        ("edited", "added", "removed", "rejected", "decided"),
    ],
    ids=lambda changes: "+".join(changes) or "nothing",
)
def test_a_library_that_is_kept_ranks_like_a_new_one(
    engine: Engine, ids: dict[str, int], changes: tuple[str, ...]
) -> None:
    wanted = [ids["Oolong leaves"], ids["Gusts on a footbridge"]]
    library = Library()
    with reading(engine) as session:
        before = ranked(session, wanted, library)
    for what in changes:
        with writing(engine) as session:
            change(session, ids, what)
        with reading(engine) as session:
            library.refresh(session)
    with reading(engine) as session:
        kept, fresh = ranked(session, wanted, library), ranked(session, wanted)
    assert [(p.candidate.paper, p.candidate.concept) for p in kept] == [
        (p.candidate.paper, p.candidate.concept) for p in fresh
    ]
    sure = [p.candidate.confidence for p in kept]
    assert sure == pytest.approx([p.candidate.confidence for p in fresh], abs=1e-4)
    assert [p.evidence for p in kept] == [p.evidence for p in fresh]
    assert bool(changes) != (sure == [p.candidate.confidence for p in before])


def test_only_texts_that_changed_are_read_again(
    engine: Engine, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []
    texts = corpus.texts
    monkeypatch.setattr(
        corpus, "texts", lambda session, some: (asked.append(list(some)), texts(session, some))[1]
    )
    library = Library()
    for changed in (set(TEXTS), set(), {"Oolong leaves"}):
        with writing(engine) as session:
            if len(changed) == 1:
                edit(session, ids["Oolong leaves"], "Other leaves.")
        asked.clear()
        with reading(engine) as session:
            library.refresh(session)
        assert {page_id for some in asked for page_id in some} == {ids[name] for name in changed}


def test_what_is_asked_of_papers_that_are_gone_is_nothing(
    engine: Engine, ids: dict[str, int]
) -> None:
    with reading(engine) as session:
        work = read(session, None, [99_999, ids["Tea brewing"]])
    assert work.papers == ()
    assert rank_papers(work, EAGER) == []
    with writing(engine) as session:
        assert store(session, work, [], now=THEN) == 0


def test_proposals_are_stored_once_brought_up_to_date_and_withdrawn(
    engine: Engine, ids: dict[str, int]
) -> None:
    paper, concept = ids["Oolong leaves"], ids["Tea brewing"]
    with reading(engine) as session:
        work = read(session, None, [paper])
    proposals = rank_papers(work, EAGER, proposed_only=True)
    assert {each.candidate.concept for each in proposals} >= {concept}
    for _ in range(2):
        with writing(engine) as session:
            store(session, work, proposals, now=THEN)
        with reading(engine) as session:
            links = session.exec(select(Link).where(Link.source_id == paper)).all()
            assert len(links) == len(proposals)
    surer = [
        replace(each, candidate=replace(each.candidate, confidence=0.875))
        for each in proposals
        if each.candidate.concept == concept
    ]
    with writing(engine) as session:
        store(session, work, surer, now=THEN)
    with reading(engine) as session:
        links = session.exec(select(Link).where(Link.source_id == paper)).all()
        assert [(link.target_id, link.confidence, link.status) for link in links] == [
            (concept, 0.875, LinkStatus.PROPOSED)
        ]
    with writing(engine) as session:
        store(session, work, [], now=THEN)
    with reading(engine) as session:
        assert session.exec(select(Link).where(Link.source_id == paper)).all() == []


@pytest.mark.parametrize("gone", ["Oolong leaves", "Tea brewing"])
def test_a_page_that_went_since_it_was_read_gets_no_proposal(
    engine: Engine, ids: dict[str, int], gone: str
) -> None:
    with reading(engine) as session:
        work = read(session, None, [ids["Oolong leaves"]])
    proposals = rank_papers(work, EAGER)
    with writing(engine) as session:
        session.connection().execute(sa.delete(Page).where(col(Page.id) == ids[gone]))
    with writing(engine) as session:
        store(session, work, proposals, now=THEN)
    with reading(engine) as session:
        found = session.exec(select(Link).where(Link.status == LinkStatus.PROPOSED)).all()
        assert not {ids[gone]} & {
            each for link in found for each in (link.source_id, link.target_id)
        }


@pytest.mark.parametrize("status", [LinkStatus.DEFERRED, LinkStatus.REJECTED])
def test_a_pair_that_was_put_off_or_rejected_is_not_ranked(
    engine: Engine, ids: dict[str, int], status: LinkStatus
) -> None:
    paper, concept = ids["Oolong leaves"], ids["Tea brewing"]
    with writing(engine) as session:
        make_link(session, paper, concept, Relation.ABOUT, status=status)
    with reading(engine) as session:
        assert concept not in {each.candidate.concept for each in ranked(session, [paper])}


def test_what_an_import_said_of_a_proposal_stays(engine: Engine) -> None:
    with writing(engine) as session:
        paper = make_page(session, "Paper", PageKind.PAPER)
        concept = make_page(session, "Tide", PageKind.CONCEPT)
        link_id = make_link(
            session,
            paper,
            concept,
            Relation.ABOUT,
            status=LinkStatus.PROPOSED,
            origin=Origin.IMPORT,
        )
        link = links.get(session, link_id)
        link.note, link.day = "seen in the margin", "2026-05"
        made = links.propose(
            session,
            source_id=paper,
            target_id=concept,
            relation=Relation.ABOUT,
            confidence=0.7,
            reason="It says tide.",
            evidence=[],
            signals=[],
            text_hash="",
            origin=Origin.LINKER,
            now=THEN,
        )
        assert not made
        assert link.reason == "It says tide."
        assert (link.note, link.day) == ("seen in the margin", "2026-05")
