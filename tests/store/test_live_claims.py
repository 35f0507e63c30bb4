"""Live claims against a real graph: the number, the list, and what a plain recount says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlmodel import Session, select

from app.domain.live_claims import Claim, Filled, Verb, read
from app.domain.records import (
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    Paper,
    Prediction,
    PredictionState,
    Question,
    QuestionState,
    Relation,
    Role,
    Topic,
)
from app.store import live_claims
from app.store.db import reading, writing
from app.store.live_claims import Found
from tests.factories import make_engine, make_link, make_page

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
DAYS = ["2026-05-14", "2026-05-13", "2026-05", "2026-04-30", "2026", "2025-12-01", ""]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def claim(text: str) -> Claim:
    found = read(text)
    assert isinstance(found, Claim), found
    return found


def said(engine: Engine, text: str) -> Filled:
    with reading(engine) as session:
        return live_claims.fill(session, [claim(text)])[claim(text)]


def link(session: Session, source: int, target: int, **fields: object) -> None:
    made = session.get(Link, make_link(session, source, target))
    assert made is not None
    for name, value in fields.items():
        setattr(made, name, value)
    session.add(made)
    session.flush()


def small(session: Session) -> None:
    """A thread of three papers and an article, and two concepts that one paper joins."""
    thread = make_page(session, "Tides", PageKind.THREAD, aliases=("The tide thread",))
    moon, sea = make_page(session, "Moon"), make_page(session, "Sea")
    papers = [
        make_page(session, f"Paper {n}", PageKind.PAPER, published=f"2026-05-1{n}")
        for n in range(1, 4)
    ]
    article = make_page(session, "An article", PageKind.ARTICLE)
    link(session, papers[0], thread, role=Role.STARTS)
    link(session, papers[1], thread, role=Role.FORMALISES, day="2026-04-02")
    link(session, papers[2], thread, status=LinkStatus.PROPOSED)
    link(session, article, thread)
    for paper in papers[:2]:
        link(session, paper, moon, relation=Relation.ABOUT)
    session.add(Question(page_id=papers[0], number=1, text="Why?", day="2026-05-11"))
    session.add(
        Question(page_id=thread, number=1, text="How?", day="", state=QuestionState.ANSWERED)
    )
    session.add(
        Prediction(
            page_id=papers[1],
            key="it rises",
            text="It rises.",
            made="2026-05-12",
            state=PredictionState.CAME_TRUE,
            origin=Origin.AUTHOR,
            created_at=NOW,
        )
    )
    assert sea


def test_each_verb_says_what_the_graph_says(engine: Engine) -> None:
    with writing(engine) as session:
        small(session)
    assert said(engine, "count thread:tides").words == "3"
    assert said(engine, 'count thread:"The tide thread" kind:paper').words == "2"
    assert said(engine, "first thread:Tides").plain() == "Paper 2 (2 April 2026)"
    assert said(engine, "latest thread:tides").href == "/w/paper-1"
    assert said(engine, "since thread:tides").words == "2 April 2026"
    assert said(engine, "count thread:tides since:2026-05").words == "1"
    assert said(engine, "first concept:moon relation:formalises").words == "Paper 2"
    assert said(engine, "count kind:question thread:tides").words == "2"
    assert said(engine, "count kind:question thread:tides state:open").words == "1"
    assert said(engine, "first kind:question state:open").words == "Why?"
    assert said(engine, "count kind:prediction state:came-true thread:tides").words == "1"
    assert said(engine, "count thread:tides asof:2026-05-07").words == "0", "made on the 8th"
    assert said(engine, "count thread:tides asof:2026-05-08").words == "3"


def test_none_holds_until_a_paper_joins_them(engine: Engine) -> None:
    with writing(engine) as session:
        small(session)
    none = said(engine, "none concept:moon concept:sea kind:paper")
    assert (none.words, none.off) == ("no paper yet joins them", False)
    with writing(engine) as session:
        sea = session.exec(select(Page).where(Page.slug == "sea")).one()
        paper = session.exec(select(Page).where(Page.slug == "paper-1")).one()
        assert sea.id and paper.id
        link(session, paper.id, sea.id, relation=Relation.ABOUT)
    now = said(engine, "none concept:moon concept:sea kind:paper")
    assert (now.words, now.off) == ("1 paper", True)
    assert "Now there is 1 paper" in now.title


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("count thread:gone", "No page is called “gone”"),
        ("count thread:moon", "is a concept, no thread"),
        ("count topic:boats", "No topic is called"),
    ],
)
def test_a_name_that_leads_nowhere_is_said(engine: Engine, text: str, says: str) -> None:
    with writing(engine) as session:
        small(session)
    filled = said(engine, text)
    assert says in filled.title
    assert (filled.words, filled.off) == ("", True)


def test_a_name_that_is_a_statement_stays_a_name(engine: Engine) -> None:
    with writing(engine) as session:
        small(session)
    assert said(engine, "count tag:\"x' OR '1'='1\"").words == "0"
    assert "No page" in said(engine, 'count thread:"\'; DROP TABLE page; --"').title
    assert said(engine, "count thread:tides").words == "3"


def test_however_many_claims_there_are_the_statements_are_as_many(engine: Engine) -> None:
    with writing(engine) as session:
        small(session)
    wanted = [claim(f"count thread:tides since:{year}") for year in range(1980, 2026)]

    def statements(claims: list[Claim]) -> int:
        seen: list[str] = []

        def note(_c: object, _k: object, statement: str, *_: object) -> None:
            seen.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        with reading(engine) as session:
            live_claims.fill(session, claims)
        event.remove(engine, "before_cursor_execute", note)
        return len(seen)

    assert statements(wanted) <= statements(wanted[:1]) + 1
    assert statements([*wanted, *(replace(each, verb=Verb.FIRST) for each in wanted)]) <= 8


# ---------------------------------------------------------------- no counter ever disagrees

_STATUSES = [LinkStatus.ACCEPTED] * 3 + [LinkStatus.PROPOSED, LinkStatus.REJECTED]


def _wiki(session: Session, random: Random) -> None:
    threads = [make_page(session, f"Thread {n}", PageKind.THREAD) for n in range(3)]
    concepts = [make_page(session, f"Concept {n}") for n in range(3)]
    session.add(Topic(id="boats", name="Boats"))
    session.flush()
    for n in range(24):
        kind = PageKind.ARTICLE if n % 6 == 0 else PageKind.PAPER
        tags = ("blue",) if random.random() < 0.3 else ()
        page = make_page(session, f"Work {n}", kind, published=random.choice(DAYS), tags=tags)
        for thread in random.sample(threads, random.randrange(3)):
            link(
                session,
                page,
                thread,
                day=random.choice(DAYS),
                role=random.choice([None, *Role]),
                status=random.choice(_STATUSES),
            )
        for concept in random.sample(concepts, random.randrange(3)):
            for relation in random.sample([Relation.ABOUT, Relation.USES, Relation.EXTENDS], 2):
                link(session, page, concept, relation=relation, status=random.choice(_STATUSES))
    session.connection().execute(
        sa.update(Paper).where(sa.column("id") % 3 == 0).values(topic_id="boats")
    )


def _recount(session: Session, asked: Claim) -> int:
    """The same from every row, one by one."""
    by_slug = {page.slug: page for page in session.exec(select(Page))}
    papers = {paper.page_id: paper for paper in session.exec(select(Paper))}
    links = [each for each in session.exec(select(Link)) if each.status == LinkStatus.ACCEPTED]

    def joined(page: Page, target: str, relation: Relation | None) -> Link | None:
        return next(
            (
                each
                for each in links
                if (each.source_id, each.target_id) == (page.id, by_slug[target].id)
                and relation in (None, each.relation)
            ),
            None,
        )

    def day(page: Page, first: Link | None) -> str:
        paper = papers.get(page.id)
        return (first.day if first else "") or (paper.published if paper else "")

    def answers(page: Page) -> bool:
        paper = papers.get(page.id)
        members = [joined(page, name, Relation.PART_OF) for name in asked.threads]
        about = [joined(page, name, asked.relation or Relation.ABOUT) for name in asked.concepts]
        if None in members or None in about:
            return False
        if asked.role and asked.threads and any(m and m.role != asked.role for m in members):
            return False
        plays = any(each.source_id == page.id and each.role == asked.role for each in links)
        if asked.role and not asked.threads and not plays:
            return False
        at = day(page, next(iter([*members, *about]), None))
        begin = {10: at, 7: f"{at}-01", 4: f"{at}-01-01"}.get(len(at), "")
        return (
            (not asked.kind or page.kind.value == asked.kind)
            and (not asked.topic or bool(paper and paper.topic_id == asked.topic))
            and (not asked.tags or _tagged(session, page))
            and (not asked.since or begin >= asked.since)
            and (not asked.until or "" < begin <= asked.until)
        )

    return sum(answers(page) for page in by_slug.values())


def _tagged(session: Session, page: Page) -> bool:
    statement = sa.text("SELECT count(*) FROM page_tag WHERE page_id = :page AND name = 'blue'")
    return bool(session.connection().execute(statement, {"page": page.id}).scalar())


def _asked(random: Random) -> Claim:
    names = random.sample([*(f"thread:thread-{n}" for n in range(3))], random.randrange(3))
    names += random.sample([f"concept:concept-{n}" for n in range(3)], random.randrange(3))
    more = ["kind:paper", "kind:article", "tag:blue", "topic:boats", "role:starts", "role:extends"]
    more += ["since:2026-05", "since:2026-05-01", "until:2026-05-13", "since:2026", "until:2026-04"]
    chosen = {each.partition(":")[0]: each for each in random.sample(more, random.randrange(4))}
    if any(name.startswith("concept") for name in names) and random.random() < 0.4:
        chosen["relation"] = "relation:uses"
    selectors = [*names, *chosen.values()] or ["kind:paper"]
    return claim("count " + " ".join(selectors))


@pytest.mark.parametrize("seed", range(3))
def test_no_counter_disagrees_with_the_graph(engine: Engine, seed: int) -> None:
    random = Random(seed)
    with writing(engine) as session:
        _wiki(session, random)
    asked = list(dict.fromkeys(_asked(random) for _ in range(25)))
    asked += [
        claim(f"count {target} {kind} since:{since}")
        for target in ("thread:thread-0", "concept:concept-1")
        for kind in ("", "kind:paper")
        for since in ("2026", "2026-05", "2026-05-01 until:2026-05-13")
    ]
    asked = list(dict.fromkeys(asked))
    with reading(engine) as session:
        filled = live_claims.fill(session, asked)
        found = live_claims.find(session, asked)
        disagree = []
        for each in asked:
            place = found[each]
            assert isinstance(place, Found)
            assert each.verb is Verb.COUNT
            listed = _whole_list(session, place)
            numbers = {
                int(filled[each].words),
                live_claims.count(session, place),
                len(listed),
                len(set(listed)),
                _recount(session, each),
            }
            if len(numbers) != 1:
                disagree.append((each, numbers))
        for each in asked:  # alone, and among many, it is counted in another way
            if live_claims.fill(session, [each])[each] != filled[each]:
                disagree.append((each, set()))
    assert disagree == []
    assert any(int(each.words) for each in filled.values())


def _whole_list(session: Session, found: Found) -> list[int]:
    """Every row of the list, three at a time."""
    ids: list[int] = []
    after = None
    while rows := live_claims.listed(session, found, after=after, limit=3):
        ids += [row.id for row in rows]
        after = (rows[-1].day, rows[-1].id)
    return ids
