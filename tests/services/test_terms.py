"""New concepts: what several papers speak of and no page has is proposed once, with their words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app import pipeline
from app.domain.markdown import wikilinks
from app.domain.records import Change, ChangeKind, LinkStatus, Page, PageKind, PageText, Relation
from app.domain.terms import term_key
from app.services import terms
from app.store import changes, runs
from app.store.db import bump, reading, rows_of, writing
from tests.factories import THEN, make_engine, make_link, make_page

STEP = next(step for step in pipeline.STEPS if step.name == terms.STEP)
DEFINED = "Cold withering is a way to dry picked leaves slowly in a cool draught."
TEXTS = (
    f"Tea was picked by hand. {DEFINED} It takes a night.",
    "We compare cold withering with pan firing and find that cold withering keeps the scent.",
    "Leaves of the hills gain from cold withering, as the cups show.",
)


@dataclass
class Tools:
    """What the step is given."""

    engine: Engine
    now: datetime = THEN

    def clock(self) -> datetime:
        return self.now


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def work(engine: Engine, *, owner: str = "me", now: datetime = THEN) -> int:
    """Batches until nothing waits; how many rows were done."""
    done = 0
    while batch := STEP.run(Tools(engine, now), owner):  # type: ignore[arg-type]
        if not batch.done:
            return done
        done += batch.done
    return done


def pending(engine: Engine) -> int:
    with reading(engine) as session:
        return STEP.pending(session, Tools(engine))  # type: ignore[arg-type]


def add(session: Session, title: str, text: str, published: str = "2026-03-01") -> int:
    return make_page(session, title, PageKind.PAPER, text=text, published=published)


@pytest.fixture
def papers(engine: Engine) -> list[int]:
    """Three papers about cold withering, and two of other things."""
    with writing(engine) as session:
        found = [
            add(session, f"Cold Withering of Tea, Part {n + 1}", text, f"2026-0{n + 3}-02")
            for n, text in enumerate(TEXTS)
        ]
        add(session, "Cable Stays", "The deck of the bridge was loaded with gusts of wind.")
        add(session, "Clay Pots", "The pot of clay was fired in a kiln for the third time.")
    return found


def proposed(engine: Engine) -> dict[str, Change]:
    with reading(engine) as session:
        found = {change.title: change for change in changes.of_kind(session, ChangeKind.CONCEPT)}
        session.expunge_all()
    return found


def decide(engine: Engine, title: str, status: LinkStatus) -> None:
    with writing(engine) as session:
        change = session.exec(select(Change).where(Change.title == title)).one()
        change.status, change.decided_at = status, THEN
        session.add(change)


def edit(engine: Engine, page_id: int, title: str, text: str) -> None:
    with writing(engine) as session:
        session.connection().execute(
            sa.update(PageText)
            .where(col(PageText.page_id) == page_id)
            .values(title=title, text=text, hash=f"{hash(title + text) & 0xFFFFFF:x}")
        )


def test_term_of_three_papers_is_proposed_with_their_words(
    engine: Engine, papers: list[int]
) -> None:
    assert pending(engine) == 5
    assert work(engine) == 5
    assert pending(engine) == 0
    change = proposed(engine)["Cold withering"]
    assert change.key == f"concept:{term_key('cold withering')}"
    assert change.content["members"] == papers
    assert change.reason == (
        "3 papers use the term, your wiki has no concept yet; since March 2026."
    )
    assert terms.FLOOR <= change.confidence < 1
    assert {signal["name"] for signal in change.signals} >= {"papers", "titles", "alone"}
    # The body is a quotation of the defining sentence, and whose it is.
    assert change.content["body"].startswith(f"> {DEFINED}\n")
    assert [link.target for link in wikilinks(change.content["body"])] == [
        "cold-withering-of-tea-part-1"
    ]
    assert len(change.evidence) == 3
    for number, quotation in enumerate(change.evidence):
        assert quotation["page"] == f"cold-withering-of-tea-part-{number + 1}"
        assert quotation["verbatim"] is True
        assert quotation["quotation"] in TEXTS[number]
        for start, end in quotation["spans"]:
            assert quotation["quotation"][start:end].lower() == "cold withering"


def test_nothing_is_proposed_twice_and_nothing_is_read_twice(
    engine: Engine, papers: list[int]
) -> None:
    work(engine)
    before = proposed(engine)["Cold withering"]
    assert work(engine) == 0
    with writing(engine) as session:
        add(session, "Cold Withering Again", "Much cold withering is done in May.", "2026-05-09")
    assert work(engine) == 1
    after = proposed(engine)["Cold withering"]
    assert (after.id, len(after.content["members"])) == (before.id, 4)
    assert after.reason.startswith("4 papers use the term")
    assert after.evidence == before.evidence


@pytest.mark.parametrize("kind", [PageKind.CONCEPT, PageKind.NOTE, PageKind.THREAD])
@pytest.mark.parametrize(
    ("title", "aliases"), [("Cold Withering", ()), ("Slow drying", ("cold withering",))]
)
def test_term_with_a_page_is_not_proposed(
    engine: Engine, papers: list[int], kind: PageKind, title: str, aliases: tuple[str, ...]
) -> None:
    with writing(engine) as session:
        make_page(session, title, kind, aliases=aliases)
    work(engine)
    assert "Cold withering" not in proposed(engine)


def test_term_that_a_concept_says_is_not_proposed(engine: Engine, papers: list[int]) -> None:
    with writing(engine) as session:
        make_page(session, "Cold-witherings of tea")
    work(engine)
    assert "Cold withering" not in proposed(engine)


def test_term_whose_papers_are_in_a_concept_that_says_a_part_of_it_is_not_proposed(
    engine: Engine, papers: list[int]
) -> None:
    with writing(engine) as session:
        concept = make_page(session, "Withering")
        for paper in papers:
            make_link(session, paper, concept, Relation.ABOUT)
    work(engine)
    assert "Cold withering" not in proposed(engine)


def test_page_made_meanwhile_withdraws_the_proposal(engine: Engine, papers: list[int]) -> None:
    work(engine)
    assert "Cold withering" in proposed(engine)
    with writing(engine) as session:
        make_page(session, "Cold withering")
        bump(session, rows_of("page"))  # as the program's own write path counts it
    assert pending(engine) == 1
    assert work(engine) == 1
    assert "Cold withering" not in proposed(engine)
    assert pending(engine) == 0


def test_page_made_while_the_batch_thought_counts(engine: Engine, papers: list[int]) -> None:
    with writing(engine) as session:
        taken = terms.take_up(session, owner="me", now=THEN)
    with writing(engine) as session:
        touched = terms.store(session, terms.extract(taken), owner="me")
    with reading(engine) as session:
        field = terms.survey(session, touched)
        chosen, _ = terms.choose(session, terms.judge(field), field)
    told = terms.argue(chosen, field, now=THEN)
    assert "Cold withering" in [each["title"] for each in told]
    with writing(engine) as session:
        make_page(session, "Cold withering")
    with writing(engine) as session:
        terms.propose(session, told, taken, field=field, left_out=False, owner="me", now=THEN)
    assert "Cold withering" not in proposed(engine)


def test_edited_and_deleted_papers_change_the_proposal(engine: Engine, papers: list[int]) -> None:
    with writing(engine) as session:
        more = add(session, "Cold Withering in May", "In May cold withering is done at night.")
    work(engine)
    edit(engine, more, "Iron kettles", "Kettles of iron were cast in the north.")
    assert work(engine) == 1
    assert proposed(engine)["Cold withering"].content["members"] == papers
    with writing(engine) as session:
        session.connection().execute(sa.delete(Page).where(col(Page.id) == papers[0]))
    assert work(engine) == 1  # the waiting ones are checked
    assert "Cold withering" not in proposed(engine)


def test_quotation_of_a_deleted_paper_is_replaced(engine: Engine, papers: list[int]) -> None:
    with writing(engine) as session:
        add(session, "Cold Withering in May", "In May cold withering is done at night.")
    work(engine)
    with writing(engine) as session:
        session.connection().execute(sa.delete(Page).where(col(Page.id) == papers[0]))
    work(engine)
    change = proposed(engine)["Cold withering"]
    assert "part-1" not in change.content["body"]
    assert "part-1" not in str(change.evidence)


def test_quotation_that_its_text_lost_is_replaced(engine: Engine, papers: list[int]) -> None:
    work(engine)
    assert DEFINED in proposed(engine)["Cold withering"].content["body"]
    edit(engine, papers[0], "Cold Withering of Tea, Part 1", "Some call cold withering a waste.")
    assert work(engine) == 1
    change = proposed(engine)["Cold withering"]
    assert DEFINED not in change.content["body"]
    assert DEFINED not in [each["quotation"] for each in change.evidence]


@pytest.mark.parametrize("status", [LinkStatus.ACCEPTED, LinkStatus.DEFERRED, LinkStatus.REJECTED])
def test_decided_terms_do_not_return(engine: Engine, papers: list[int], status: LinkStatus) -> None:
    work(engine)
    decide(engine, "Cold withering", status)
    for number in range(2):
        with writing(engine) as session:
            add(session, f"Cold Withering, Letter {number}", "A cold withering was done.")
        work(engine)
        assert "Cold withering" not in proposed(engine)


def test_rejected_term_returns_when_its_papers_doubled_and_says_so(
    engine: Engine, papers: list[int]
) -> None:
    work(engine)
    decide(engine, "Cold withering", LinkStatus.REJECTED)
    later = THEN + timedelta(days=40)

    def more(count: int) -> None:
        with writing(engine) as session:
            for number in range(count):
                title = f"On Cold Withering, Letter {number} of {count}"
                add(session, title, "Of cold withering I write.", "2026-06")
        work(engine, now=later)

    more(2)
    assert "Cold withering" not in proposed(engine)
    more(1)
    reason = (
        "Rejected on 8 May with 3 papers; now {} papers use it; "
        "your wiki has no concept yet; since March 2026."
    )
    assert proposed(engine)["Cold withering"].reason == reason.format(6)
    more(3)  # it waits: what is new is still told
    assert proposed(engine)["Cold withering"].reason == reason.format(9)


def test_decision_holds_for_an_acronym_and_its_expansion(engine: Engine) -> None:
    with writing(engine) as session:
        for number in range(3):
            add(session, f"On CWP, {number}", "The CWP of tea is what we measure with the CWP.")
    work(engine)
    decide(engine, "CWP", LinkStatus.REJECTED)
    with writing(engine) as session:
        for number in range(2):
            text = "The cold withering process (CWP) is an old one of the hills."
            add(session, f"The Cold Withering Process, {number}", text)
    work(engine)
    assert not [title for title in proposed(engine) if "CWP" in title or "process" in title]


def test_few_wait_at_once_and_the_rest_come_when_there_is_room(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "MOST", 2)
    monkeypatch.setattr(terms, "FEW", 2)
    colours = ("amber", "copper", "ivory", "olive")
    with writing(engine) as session:
        for number, colour in enumerate(colours):
            for part in range(3 + number):
                title = f"The {colour} liquor, part {part}"
                add(session, title, f"An {colour} liquor was seen in the cup of {colour} liquor.")
    work(engine)
    first = proposed(engine)
    assert len(first) == 2
    assert pending(engine) == 0
    surest = max(first.values(), key=lambda change: change.confidence)
    for title in first:
        decide(engine, title, LinkStatus.REJECTED)
    assert pending(engine) == 1
    work(engine)
    second = proposed(engine)
    assert len(second) == 2
    assert not {*first} & {*second}
    assert max(change.confidence for change in second.values()) <= surest.confidence
    for title in second:
        decide(engine, title, LinkStatus.REJECTED)
    work(engine)
    assert proposed(engine) == {}
    assert pending(engine) == 0  # it does not look again and again


def test_rows_of_a_killed_worker_are_done_by_another(
    engine: Engine, papers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(engine) as session:
        taken = terms.take_up(session, owner="killed", now=THEN)
    with writing(engine) as session:
        terms.store(session, terms.extract(taken), owner="killed")  # and no further
    assert work(engine) == 0
    clock = time.time()
    monkeypatch.setattr("app.services.terms.time.time", lambda: clock + 31)
    assert work(engine) == 5
    assert "Cold withering" in proposed(engine)


def test_rows_taken_over_are_not_stored_by_who_lost_them(engine: Engine, papers: list[int]) -> None:
    with writing(engine) as session:
        taken = terms.take_up(session, owner="slow", now=THEN)
        runs.give_back(session, "slow")
    found: dict[int, Any] = {page: [] for page in taken.hashes}
    assert work(engine) == 5
    with writing(engine) as session:
        assert terms.store(session, found, owner="slow") == set()
    assert "Cold withering" in proposed(engine)


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("", ""),
        ("Untitled", ""),
        ("COLD WITHERING OF TEA", ""),
        ("Das kalte Welken", "Wir welken die Blätter in der kalten Luft und messen den Duft. " * 9),
        ("冷萎凋", "茶叶在冷空气中萎凋。" * 50),
        ("Formulas", r"Let $x_{ij}$ and \[ \sum_i \] of \textbf{tea} be [[given]] | > # *so*."),
        ("(((((", "))))) (A) (AB (ABC) [[ ]] ``` $ $$ \\( \\[ <b>"),
    ],
)
def test_papers_of_every_sort_are_read(
    engine: Engine, papers: list[int], title: str, text: str
) -> None:
    with writing(engine) as session:
        make_page(session, title or "Nothing", PageKind.PAPER, text=text, published="2026")
    assert work(engine) == 6
    assert pending(engine) == 0
    assert "Cold withering" in proposed(engine)


def test_an_empty_wiki_has_nothing_to_do(engine: Engine) -> None:
    assert pending(engine) == 0
    assert work(engine) == 0


def test_what_another_worker_proposed_meanwhile_is_not_withdrawn(
    engine: Engine, papers: list[int]
) -> None:
    with writing(engine) as session:  # one worker has looked around before the other proposes
        mine = terms.take_up(session, owner="one", now=THEN)
        runs.give_back(session, "one")
    with reading(engine) as session:
        field = terms.survey(session, [])
    assert work(engine, owner="two") == 5
    assert "Cold withering" in proposed(engine)
    with writing(engine) as session:
        terms.propose(session, [], mine, field=field, left_out=False, owner="one", now=THEN)
    assert "Cold withering" in proposed(engine)
    assert work(engine) <= 1, "nothing is left to do but to look at what waits"
