"""Papers proposed as members of threads; accepted ones stand in the thread with role, line and day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain import membership as rule
from app.domain.records import Link, LinkStatus, PageKind, Relation, Role, Thread, Verdict
from app.services import membership, review
from app.services.linker import shipped_weights
from app.services.membership import Proposal
from app.store import links, threads
from app.store.corpus import Library
from app.store.db import reading, writing
from tests.factories import THEN, make_engine, make_link, make_page

CLAIM = "Boats that leave at slack water lose no time in the harbour."
MEMBERS = (
    "Boats that leave at slack water save fuel in the harbour.",
    "Ferries at slack water lose no time in the harbour and carry more boats.",
    "Waiting for slack water costs boats no time in a narrow harbour.",
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def ids(engine: Engine) -> dict[str, int]:
    """A thread about boats with three members, one about lamps with one, and two new papers."""
    with writing(engine) as session:
        found = {name: make_page(session, name, PageKind.THREAD) for name in ("Boats", "Lamps")}
        session.add(Thread(page_id=found["Boats"], claim=CLAIM))
        session.add(Thread(page_id=found["Lamps"], claim="Lamps that dim save oil."))
        for number, text in enumerate(MEMBERS):
            found[f"m{number}"] = page = make_page(
                session,
                f"Harbour study {number}",
                PageKind.PAPER,
                text=text,
                published=f"2026-01-0{number + 2}",
            )
            make_link(session, page, found["Boats"])
        lamp = make_page(
            session, "Dim lamps", PageKind.PAPER, text="Lamps dim.", published="2026-01-01"
        )
        make_link(session, lamp, found["Lamps"])
        found["new"] = make_page(
            session,
            "Slack water and boats",
            PageKind.PAPER,
            text="We show that boats that leave at slack water lose no time in the harbour.",
            published="2026-02-03",
        )
        found["tea"] = make_page(
            session, "Tea", PageKind.PAPER, text="Leaves steep in tea.", published="2026-02-04"
        )
    return found


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six papers make nobody sure: what is proposed here is what ranks well."""
    monkeypatch.setattr(rule, "LOWER", 0.0)


def work(engine: Engine, library: Library | None = None) -> list[Proposal]:
    with writing(engine) as session:
        taken = membership.take_up(session, owner="me", now=THEN)
    with reading(engine) as session:
        read = membership.read(session, None, taken, library)
    proposals = membership.think(read, replace(shipped_weights(), floor=0.0), proposed_only=True)
    with writing(engine) as session:
        membership.store(session, read, proposals, owner="me", now=THEN)
    return proposals


def waiting(session: Session) -> dict[tuple[int, int], Link]:
    found = session.exec(select(Link).where(Link.status == LinkStatus.PROPOSED)).all()
    return {(link.source_id, link.target_id): link for link in found}


@pytest.mark.usefixtures("eager")
def test_a_paper_that_bears_on_the_claim_is_proposed_with_role_line_and_day(
    engine: Engine, ids: dict[str, int]
) -> None:
    work(engine)
    with reading(engine) as session:
        found = waiting(session)
        link = found[ids["new"], ids["Boats"]]
        assert link.relation == Relation.PART_OF and link.role == Role.SUPPORTS
        assert link.day == "2026-02-03"
        assert (
            link.note == "We show that boats that leave at slack water lose no time in the harbour."
        )
        assert link.evidence[0]["quotation"] == link.note
        assert (ids["tea"], ids["Boats"]) not in found
        assert membership.pending(session, now=THEN) == 0


@pytest.mark.usefixtures("eager")
def test_an_accepted_proposal_is_a_member_in_its_place_and_is_counted(
    engine: Engine, ids: dict[str, int]
) -> None:
    work(engine)
    with writing(engine) as session:
        link_id = waiting(session)[ids["new"], ids["Boats"]].id
        assert link_id
        decision = review.decide(session, link_id, Verdict.ACCEPT, now=THEN)
        order = threads.order(session, ids["Boats"])
        assert [member.page_id for member in order][-1] == ids["new"]
        assert order[-1].day == "2026-02-03"
        [row] = threads.members(session, [link_id])
        assert (row.role, row.note[:7]) == (Role.SUPPORTS, "We show")
        rows = threads.all_threads(session, today=date(2026, 2, 4))
        numbers = {each.page_id: each.numbers for each in rows}[ids["Boats"]]
        assert (numbers.papers, numbers.latest) == (4, "2026-02-03")
        review.undo(session, decision.id, now=THEN)
        assert len(threads.order(session, ids["Boats"])) == 3


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("verdict", [Verdict.ACCEPT, Verdict.REJECT, Verdict.DEFER])
def test_a_decided_membership_never_comes_again(
    engine: Engine, ids: dict[str, int], verdict: Verdict
) -> None:
    work(engine)
    with writing(engine) as session:
        link_id = waiting(session)[ids["new"], ids["Boats"]].id
        assert link_id
        review.decide(session, link_id, verdict, now=THEN)
        thread = session.exec(select(Thread).where(Thread.page_id == ids["Boats"])).one()
        thread.claim = CLAIM + " Always."
        session.add(thread)
    with reading(engine) as session:
        assert membership.pending(session, now=THEN) == 6  # the claim is another one
    work(engine)
    with reading(engine) as session:
        assert (ids["new"], ids["Boats"]) not in waiting(session)


@pytest.mark.usefixtures("eager")
def test_withdrawing_touches_memberships_alone(engine: Engine, ids: dict[str, int]) -> None:
    with writing(engine) as session:
        tea = make_page(session, "Tea brewing")
        make_link(session, ids["new"], tea, Relation.ABOUT, status=LinkStatus.PROPOSED)
    work(engine)
    with writing(engine) as session:
        assert {(ids["new"], ids["Boats"]), (ids["new"], tea)} <= waiting(session).keys()
        links.withdraw_proposals(session, ids["new"], keep=set())  # of concepts, as the linker does
        assert (ids["new"], ids["Boats"]) in waiting(session)
        session.connection().execute(sa.delete(Link).where(col(Link.relation) == "part-of"))
        session.connection().execute(sa.text("DELETE FROM done"))
    work(engine)
    with reading(engine) as session:
        assert all(link.relation == Relation.PART_OF for link in waiting(session).values())


def test_without_threads_nothing_waits(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "Tea", PageKind.PAPER, text="Leaves.", published="2026-02-04")
        assert membership.pending(session, now=THEN) == 0
        assert membership.take_up(session, owner="me", now=THEN) == []


def test_candidates_are_told_with_their_role(engine: Engine, ids: dict[str, int]) -> None:
    with reading(engine) as session:
        read = membership.read(session, None, [ids["new"]])
    told = membership.think(read, shipped_weights(), limit=1)
    names = {page: name for name, page in ids.items()}
    [row] = membership.as_json(told, names)
    assert (row["paper"], row["target"], row["relation"]) == ("new", "Boats", "part-of")
    assert row["role"] == "supports" and 0 <= row["confidence"] <= 1
