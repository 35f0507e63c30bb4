"""What papers say of one another becomes proposals: once, brought up to date, never twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.records import (
    Link,
    LinkStatus,
    Origin,
    PageKind,
    PageText,
    Paper,
    Relation,
    Verdict,
)
from app.services import relations
from app.store import decisions, links, runs, search
from app.store.db import reading, writing
from app.store.relations import NameIndex
from tests.factories import THEN, make_engine, make_link, make_page


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def names() -> NameIndex:
    return NameIndex()


def paper(session: Session, title: str, text: str = "", published: str = "2026-01-01") -> int:
    page_id = make_page(session, title, PageKind.PAPER, text=text, published=published)
    session.connection().execute(
        sa.update(Paper).where(col(Paper.page_id) == page_id).values(abstract=text)
    )
    return page_id


def work(engine: Engine, names: NameIndex) -> int:
    """One batch as the worker does it; how many papers it read."""
    with writing(engine) as session:
        taken = relations.take_up(session, owner="me", now=THEN)
    with reading(engine) as session:
        read = relations.read(session, None, taken, names)
    proposals = relations.think(read, proposed_only=True)
    with writing(engine) as session:
        relations.store(session, read, proposals, owner="me", now=THEN)
    return len(taken)


def work_off(engine: Engine, names: NameIndex) -> None:
    while work(engine, names):
        pass


def waiting(session: Session) -> list[tuple[int, int, Relation]]:
    found = session.exec(select(Link).where(Link.status == LinkStatus.PROPOSED)).all()
    return sorted((link.source_id, link.target_id, link.relation) for link in found)


def rewrite(session: Session, page_id: int, text: str) -> None:
    values = {"text": text, "hash": f"of {text}"[:60]}
    session.connection().execute(
        sa.update(PageText).where(col(PageText.page_id) == page_id).values(**values)
    )
    search.fill(session)


def test_a_sentence_that_says_it_becomes_a_proposal_with_that_sentence(
    engine: Engine, names: NameIndex
) -> None:
    text = "Fog is thick. We build on TideNet and add wind."
    with writing(engine) as session:
        tides = paper(session, "TideNet: Forecasting Slack Water")
        fog = paper(session, "FogNet: Tides in Fog", text, "2026-02-01")
    work_off(engine, names)
    with reading(engine) as session:
        assert waiting(session) == [(fog, tides, Relation.EXTENDS)]
        [link] = session.exec(select(Link)).all()
        assert link.origin == Origin.LINKER and 0.5 <= link.confidence < 1
        [evidence] = link.evidence
        assert evidence["quotation"] == "We build on TideNet and add wind."
        assert evidence["where"] == "abstract" and evidence["verbatim"] is True
        assert relations.pending(session, now=THEN) == 0


def test_a_paper_read_before_is_read_again_when_its_words_become_a_name(
    engine: Engine, names: NameIndex
) -> None:
    with writing(engine) as session:
        fog = paper(session, "Tides in Fog", "We use EbbNet for all boats.", "2026-02-01")
        beside = paper(session, "Lamps", "We paint lamps.", "2026-02-01")
    work_off(engine, names)
    with writing(engine) as session:
        assert waiting(session) == []
        ebb = paper(session, "EbbNet: Water Leaves", "Water leaves.", "2026-01-01")
    assert work(engine, names) == 1  # the new one alone
    assert work(engine, names) == 1  # and then the one whose words hold its name
    assert work(engine, names) == 0
    with reading(engine) as session:
        assert waiting(session) == [(fog, ebb, Relation.USES)]
        assert beside not in {source for source, _, _ in waiting(session)}


def test_what_the_text_does_not_say_any_more_is_withdrawn_and_other_relations_are_left(
    engine: Engine, names: NameIndex
) -> None:
    with writing(engine) as session:
        tides = paper(session, "TideNet: Forecasting Slack Water")
        fog = paper(session, "FogNet: Tides in Fog", "We use TideNet daily.", "2026-02-01")
        tea = make_page(session, "Tea brewing")
        make_link(session, fog, tea, Relation.ABOUT, status=LinkStatus.PROPOSED)
    work_off(engine, names)
    with writing(engine) as session:
        assert (fog, tides, Relation.USES) in waiting(session)
        rewrite(session, fog, "We compare against TideNet.")
    work_off(engine, names)
    with writing(engine) as session:
        expected = sorted([(fog, tea, Relation.ABOUT), (fog, tides, Relation.COMPARES)])
        assert waiting(session) == expected
        # Nor does the linker of concepts take back what this one proposed.
        links.withdraw_proposals(session, fog, keep={(tea, Relation.ABOUT)})
        assert waiting(session) == expected


@pytest.mark.parametrize("verdict", [Verdict.ACCEPT, Verdict.REJECT, Verdict.DEFER])
def test_a_decided_pair_does_not_come_again_with_any_relation(
    engine: Engine, names: NameIndex, verdict: Verdict
) -> None:
    with writing(engine) as session:
        paper(session, "TideNet: Forecasting Slack Water")
        fog = paper(session, "FogNet: Tides in Fog", "We use TideNet daily.", "2026-02-01")
    work_off(engine, names)
    with writing(engine) as session:
        [link] = session.exec(select(Link)).all()
        decisions.decide_link(session, link, verdict, now=THEN)
        rewrite(session, fog, "We use TideNet daily. We build on TideNet.")
    work_off(engine, names)
    with reading(engine) as session:
        assert waiting(session) == []
        assert len(session.exec(select(Link)).all()) == 1


def test_a_claim_in_tension_has_a_sentence_from_each_side(engine: Engine, names: NameIndex) -> None:
    with writing(engine) as session:
        tides = paper(
            session,
            "TideNet: Forecasting Slack Water",
            "Buoys float. We report that slack water comes with a delay.",
        )
        text = "Contrary to TideNet, we see slack water without any delay."
        fog = paper(session, "FogNet: Tides in Fog", text, "2026-02-01")
    work_off(engine, names)
    with reading(engine) as session:
        assert waiting(session) == [(fog, tides, Relation.CONTRADICTS)]
        [link] = session.exec(select(Link)).all()
        mine, theirs = link.evidence
        assert mine["quotation"] == text
        assert theirs["quotation"] == "We report that slack water comes with a delay."
        assert theirs["where"] == "TideNet, abstract"


def test_a_name_that_the_field_writes_small_names_no_paper(
    engine: Engine, names: NameIndex
) -> None:
    with writing(engine) as session:
        paper(session, "MOORING: Ropes of Many Kinds")
        for number in range(4):
            paper(session, f"Ropes {number}", f"A mooring breaks {number} times.")
        paper(session, "FogNet: Tides in Fog", "We use MOORING daily.", "2026-02-01")
    work_off(engine, names)
    with reading(engine) as session:
        assert waiting(session) == []


def test_references_of_a_source_raise_the_confidence(engine: Engine, names: NameIndex) -> None:
    from app.domain.records import Identifier

    with writing(engine) as session:
        tides = paper(session, "TideNet: Forecasting Slack Water")
        ids = [
            paper(session, f"FogNet{n}: Tides in Fog", "We use TideNet daily.", "2026-02-01")
            for n in range(2)
        ]
        rows = {row.page_id: row for row in session.exec(select(Paper)).all()}
        session.add(Identifier(scheme="arxiv", value="2401.00001", paper_id=rows[tides].id))
        rows[ids[0]].references = ["arxiv:2401.00001"]
        session.add(rows[ids[0]])
    work_off(engine, names)
    with reading(engine) as session:
        sure = {link.source_id: link.confidence for link in session.exec(select(Link)).all()}
        assert sure[ids[0]] > sure[ids[1]]


def test_candidates_below_the_floor_are_told_and_not_stored(
    engine: Engine, names: NameIndex
) -> None:
    with writing(engine) as session:
        tides = paper(session, "TideNet: Forecasting Slack Water")
        text = "However, existing methods such as TideNet need buoys."
        fog = paper(session, "FogNet: Tides in Fog", text, "2026-02-01")
    with reading(engine) as session:
        read = relations.read(session, None, [fog], names)
    told = relations.think(read)
    assert [(each.finding.target, each.proposed) for each in told] == [(tides, False)]
    with writing(engine) as session:
        assert relations.store(session, read, told, now=THEN) == 0
        assert waiting(session) == []
    [row] = relations.as_json(told, {tides: "tides", fog: "fog"})
    assert (row["paper"], row["target"], row["proposed"]) == ("fog", "tides", False)


def test_two_workers_never_read_one_paper(engine: Engine, names: NameIndex) -> None:
    with writing(engine) as session:
        ids = [paper(session, f"FogNet{n}: Tides in Fog") for n in range(2)]
    with writing(engine) as session:
        assert relations.take_up(session, owner="me", now=THEN) == ids
    with writing(engine) as session:
        assert relations.take_up(session, owner="you", now=THEN) == []
    with reading(engine) as session:
        read = relations.read(session, None, ids, names)
    with writing(engine) as session:  # who lost the hold stores nothing
        relations.store(session, read, [], owner="you", now=THEN)
        assert relations.pending(session, now=THEN) == 2
        runs.give_back(session, "me")
        assert relations.take_up(session, owner="you", now=THEN) == ids


def test_names_of_papers_that_went_are_forgotten(engine: Engine, names: NameIndex) -> None:
    with writing(engine) as session:
        tides = paper(session, "TideNet: Forecasting Slack Water")
        fog = paper(session, "FogNet: Tides in Fog", "We use TideNet daily.", "2026-02-01")
    with reading(engine) as session:
        assert relations.read(session, None, [fog], names).found[fog]
    with writing(engine) as session:
        session.connection().execute(
            sa.update(Paper).where(col(Paper.page_id) == tides).values(page_id=None)
        )
    with reading(engine) as session:
        assert relations.read(session, None, [fog], names).found[fog] == []
