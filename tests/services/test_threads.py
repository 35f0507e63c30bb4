"""Threads as a person keeps them: claim, status, members, joins and splits, all of it undone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, SQLModel, select

from app.domain.records import (
    Change,
    ChangeKind,
    Decision,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    Relation,
    Role,
    Thread,
    ThreadStatus,
)
from app.errors import Conflict, Invalid, NotFound
from app.services import review, threads
from app.services.search import AskedThreads
from app.services.search import threads as find
from app.store import concepts, pages
from app.store import threads as stored
from app.store.db import writing
from app.store.pages import PERSON, Content
from tests.factories import make_engine, make_link, make_page

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
TODAY = NOW.date()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with writing(engine) as opened:
        yield opened


def a_thread(session: Session, title: str, claim: str = "") -> Page:
    page = pages.create(session, Content(title=title, kind=PageKind.THREAD), author=PERSON, now=NOW)
    session.add(Thread(page_id=page.id or 0, claim=claim))
    session.flush()
    pages.reindex(session, page)
    return page


def paper(session: Session, title: str, published: str = "2026-05-01", text: str = "") -> int:
    return make_page(session, title, PageKind.PAPER, published=published, text=text)


def join(session: Session, paper_id: int, thread: Page, **said: Any) -> Link:
    link = session.get(Link, make_link(session, paper_id, thread.id or 0))
    assert link is not None
    link.sqlmodel_update(said)
    session.add(link)
    session.flush()
    return link


def standing(session: Session, slug: str) -> dict[str, tuple[str, str, str]]:
    """The members of a thread: role, line and day of each, by the title of its page."""
    session.expire_all()
    rows = stored.members_of(session, [pages.get(session, slug).id or 0])
    assert len({row.page_id for row in rows}) == len(rows), "nobody is a member twice"
    return {row.paper_title: (row.role, row.note, row.day) for row in rows}


def rows_of_everything(session: Session) -> dict[str, list[Any]]:
    """Every row that tells what the wiki is; counters, revisions and decisions only grow."""
    grows = {
        "unmirrored",
        "decision",
        "change",
        "revision",
        "generation",
        "done",
        "title_word",
        "page_section",
    }
    session.flush()
    session.expire_all()
    found = {}
    for table in SQLModel.metadata.sorted_tables:
        if table.name in grows:
            continue
        columns = [c for c in table.c if c.name not in ("id", "version", "updated_at")]
        if table.name in ("link", "page"):
            columns = [c for c in table.c if c.name not in ("version", "updated_at")]
        rows = session.connection().execute(sa.select(*columns))
        found[table.name] = sorted(map(repr, rows))
    return found


# ---------------------------------------------------------------- claim and status


def test_a_claim_is_replaced_and_the_one_before_is_kept(session: Session) -> None:
    page = a_thread(session, "Cheap keys", "Keys can be cut.")
    assert threads.edit(session, page.slug, claim="Keys  can be halved.", status="open", now=NOW)
    thread = session.get(Thread, page.id)
    assert thread is not None
    assert thread.claim == "Keys can be halved."
    assert [each["claim"] for each in page.extra[concepts.CLAIMS]] == ["Keys can be cut."]
    assert not threads.edit(session, page.slug, claim=thread.claim, status="open", now=NOW)
    [row] = find(session, AskedThreads(query="halved"), today=TODAY).rows
    assert row.slug == page.slug, "it is found by its new claim at once"


def test_the_reader_marks_a_thread_and_opens_it_again(session: Session) -> None:
    page = a_thread(session, "Cheap keys", "Keys can be cut.")
    for status in ("contradicted", "closed"):
        threads.edit(session, page.slug, claim="Keys can be cut.", status=status, now=NOW)
        [row] = stored.all_threads(session, today=TODAY)
        assert row.numbers.status == status
    threads.edit(session, page.slug, claim="Keys can be cut.", status="open", now=NOW)
    found = session.get(Thread, page.id)
    assert found is not None
    assert found.status == ThreadStatus.OPEN


def test_a_claim_too_long_and_a_status_nobody_knows_are_refused(session: Session) -> None:
    page = a_thread(session, "Cheap keys", "Keys can be cut.")
    with pytest.raises(Invalid, match="at most 1,000 characters"):
        threads.edit(session, page.slug, claim="x" * 1_001, status="open", now=NOW)
    with pytest.raises(Invalid, match="open, contradicted, closed"):
        threads.edit(session, page.slug, claim="", status="growing", now=NOW)
    with pytest.raises(Invalid, match="needs a claim"):
        threads.edit(session, page.slug, claim=" ", status="open", now=NOW)
    make_page(session, "A concept")
    with pytest.raises(NotFound, match="is no thread"):
        threads.edit(session, "a-concept", claim="", status="open", now=NOW)


# ---------------------------------------------------------------- members


def test_a_member_added_by_hand_is_undone_and_waits_nowhere(session: Session) -> None:
    page = a_thread(session, "Cheap keys")
    paper(session, "Halving keys")
    said = {"role": "starts", "line": " It  began. ", "day": "2026-05-02"}
    made = threads.add_member(session, page.slug, "Halving keys", **said, now=NOW)
    assert standing(session, page.slug) == {"Halving keys": ("starts", "It began.", "2026-05-02")}
    with pytest.raises(Conflict, match="in this thread already"):
        threads.add_member(session, page.slug, "halving-keys", now=NOW)
    review.undo(session, made.id, now=NOW)
    assert standing(session, page.slug) == {}
    assert [link.status for link in session.exec(select(Link))] == [LinkStatus.REJECTED]
    threads.add_member(session, page.slug, "halving-keys", now=NOW)
    assert standing(session, page.slug) == {"Halving keys": ("", "", "2026-05-01")}


def test_a_proposed_member_that_is_added_by_hand_is_proposed_again_after_an_undo(
    session: Session,
) -> None:
    page = a_thread(session, "Cheap keys")
    link_id = make_link(
        session, paper(session, "Halving keys"), page.id or 0, status=LinkStatus.PROPOSED
    )
    made = threads.add_member(session, page.slug, "Halving keys", role="supports", now=NOW)
    assert made.link_id == link_id
    assert standing(session, page.slug)["Halving keys"][0] == "supports"
    review.undo(session, made.id, now=NOW)
    link = session.get(Link, link_id)
    assert link is not None
    assert (link.status, link.role) == (LinkStatus.PROPOSED, None)


def test_role_and_line_are_changed_and_put_back(session: Session) -> None:
    page = a_thread(session, "Cheap keys")
    link = join(session, paper(session, "Halving keys"), page, role=Role.STARTS, note="Began it.")
    number = link.id or 0
    changed = threads.change_member(
        session, page.slug, number, role="contradicts", line="It does not hold.", day="", now=NOW
    )
    assert changed is not None
    assert standing(session, page.slug)["Halving keys"][:2] == ("contradicts", "It does not hold.")
    same = threads.change_member(
        session, page.slug, number, role="contradicts", line="It does not hold.", day="", now=NOW
    )
    assert same is None
    review.undo(session, changed.id, now=NOW)
    assert standing(session, page.slug)["Halving keys"][:2] == ("starts", "Began it.")


def test_a_member_is_taken_out_and_comes_back_as_it_was(session: Session) -> None:
    page = a_thread(session, "Cheap keys")
    link = join(session, paper(session, "Halving keys"), page, role=Role.STARTS, note="Began it.")
    out = threads.take_out(session, page.slug, link.id or 0, now=NOW)
    assert standing(session, page.slug) == {}
    with pytest.raises(NotFound, match="no such member"):
        threads.take_out(session, page.slug, link.id or 0, now=NOW)
    review.undo(session, out.id, now=NOW)
    assert standing(session, page.slug) == {"Halving keys": ("starts", "Began it.", "2026-05-01")}


def test_a_member_by_the_text_of_a_page_is_taken_out_there(session: Session) -> None:
    page = a_thread(session, "Cheap keys")
    link = join(session, paper(session, "Halving keys"), page, origin=Origin.AUTHOR)
    with pytest.raises(Conflict, match="Edit it there"):
        threads.take_out(session, page.slug, link.id or 0, now=NOW)


@pytest.mark.parametrize(
    ("name", "said", "says"),
    [
        ("", {}, "Name the paper"),
        ("Nobody wrote this", {}, "no page called 'Nobody wrote this'"),
        ("Halving keys", {"role": "destroys"}, "A role is starts"),
        ("Halving keys", {"line": "x" * 501}, "one line"),
        ("Halving keys", {"day": "14 May"}, "A date is a year"),
        ("Halving keys", {"day": "2026-02-30"}, "A date is a year"),
        ("Cheap keys", {}, "is a thread: join the two"),
    ],
)
def test_what_can_be_no_member_is_said_in_words(
    session: Session, name: str, said: dict[str, str], says: str
) -> None:
    page = a_thread(session, "Cheap keys")
    paper(session, "Halving keys")
    with pytest.raises(Invalid, match=says):
        threads.add_member(session, page.slug, name, **said, now=NOW)
    assert session.exec(select(Decision)).all() == []


# ---------------------------------------------------------------- joins and splits


def two(session: Session) -> tuple[Page, Page]:
    """Two threads with a member in both, one of each alone, and a proposal."""
    one = a_thread(session, "Cheap keys", "Keys can be cut.")
    other = a_thread(session, "Small keys", "Keys can be small.")
    both, alone, third, waits = (paper(session, f"Paper {n}") for n in "abcd")
    join(session, both, one, role=Role.EXTENDS, note="A line.", day="2026-04-01")
    join(session, both, other, role=Role.SUPPORTS, day="2026-04-05")
    join(session, alone, one, role=Role.STARTS, note="Began it.", day="2026-03-01")
    join(session, third, other)
    make_link(session, waits, one.id or 0, status=LinkStatus.PROPOSED)
    return one, other


def test_joined_threads_lose_no_member_and_have_none_twice(session: Session) -> None:
    one, other = two(session)
    before = rows_of_everything(session)
    done = review.merge(session, one.slug, other.slug, now=NOW)
    assert standing(session, "small-keys") == {
        "Paper a": ("supports", "A line.", "2026-04-05"),
        "Paper b": ("starts", "Began it.", "2026-03-01"),
        "Paper c": ("", "", "2026-05-01"),
    }
    assert [row.claim for row in stored.all_threads(session, today=TODAY)] == ["Keys can be small."]
    found = concepts.heir(session, one.id or 0)
    assert found is not None
    assert found.slug == "small-keys"
    named = pages.addressed(session, "cheap-keys")
    assert named is not None
    assert named.slug == "small-keys"
    [told] = stored.joins_and_splits(session, other.id or 0)
    assert (told.kind, told.source_id) == (ChangeKind.MERGE, one.id)
    review.undo(session, done.id, now=NOW)
    assert rows_of_everything(session) == before
    assert stored.joins_and_splits(session, other.id or 0) == []


def test_a_thread_without_a_claim_takes_the_one_of_the_thread_that_goes(session: Session) -> None:
    one = a_thread(session, "Cheap keys", "Keys can be cut.")
    other = a_thread(session, "Small keys")
    before = rows_of_everything(session)
    done = review.merge(session, one.slug, other.slug, now=NOW)
    assert [row.claim for row in stored.all_threads(session, today=TODAY)] == ["Keys can be cut."]
    review.undo(session, done.id, now=NOW)
    assert rows_of_everything(session) == before


def test_a_thread_and_a_concept_do_not_become_one(session: Session) -> None:
    page = a_thread(session, "Cheap keys")
    make_page(session, "Key cache")
    with pytest.raises(Invalid, match="Key cache is no thread: only two threads"):
        review.merge(session, page.slug, "Key cache", now=NOW)
    with pytest.raises(Invalid, match="name the thread that stays"):
        review.merge(session, page.slug, "Nothing", now=NOW)
    with pytest.raises(Invalid, match="choose another thread"):
        review.merge(session, page.slug, page.slug, now=NOW)


def test_a_part_of_a_thread_becomes_one_of_its_own_and_comes_back(session: Session) -> None:
    one, _ = two(session)
    [going] = session.exec(select(Page.id).where(Page.title == "Paper b"))
    before = rows_of_everything(session)
    done = review.split(
        session,
        one.slug,
        title="Cut by half",
        aliases=[],
        members=[going or 0],
        claim="Half is enough.",
        now=NOW,
    )
    assert standing(session, "cut-by-half") == {"Paper b": ("starts", "Began it.", "2026-03-01")}
    assert set(standing(session, "cheap-keys")) == {"Paper a"}
    made = pages.get(session, "cut-by-half")
    assert made.kind == PageKind.THREAD
    claims = {row.slug: row.claim for row in stored.all_threads(session, today=TODAY)}
    assert claims["cut-by-half"] == "Half is enough."
    [told] = stored.joins_and_splits(session, one.id or 0)
    assert (told.kind, told.other_slug) == (ChangeKind.SPLIT, "cut-by-half")
    review.undo(session, done.id, now=NOW)
    assert rows_of_everything(session) == before


def test_a_split_whose_claim_was_rewritten_since_stays(session: Session) -> None:
    one, _ = two(session)
    done = review.split(session, one.slug, title="Cut", aliases=[], members=[], claim="A.", now=NOW)
    threads.edit(session, "cut", claim="B.", status="open", now=NOW)
    with pytest.raises(Conflict, match="worked on since"):
        review.undo(session, done.id, now=NOW)


# ---------------------------------------------------------------- looking for threads


def library(session: Session) -> None:
    """Three threads over two concepts."""
    cache, lora = make_page(session, "KV cache"), make_page(session, "LoRA adapters")
    growing = a_thread(session, "Cheap keys", "Keys of attention can be halved.")
    old = a_thread(session, "Old worry", "Benchmarks leak into training.")
    closed = a_thread(session, "Done deal", "Adapters can be merged.")
    about = {
        paper(session, "Halving the cache", "2026-05-12", "We quantise values."): (growing, cache),
        paper(session, "Adapters on caches", "2026-04-02"): (growing, lora),
        paper(session, "A leak", "2025-11-03", "Tests were seen before."): (old, cache),
        paper(session, "Merging adapters", "2026-05-13"): (closed, lora),
    }
    for paper_id, (thread, concept) in about.items():
        join(session, paper_id, thread)
        make_link(session, paper_id, concept, Relation.ABOUT)
    [first] = session.exec(select(Link).where(Link.target_id == closed.id))
    first.note = "Weights averaged without harm."
    session.add(first)
    threads.edit(session, "done-deal", claim="Adapters can be merged.", status="closed", now=NOW)


def slugs(session: Session, **asked: Any) -> list[str]:
    return [row.slug for row in find(session, AskedThreads(**asked), today=TODAY).rows]


def test_threads_are_found_by_claim_by_member_and_by_a_members_line(session: Session) -> None:
    library(session)
    assert slugs(session, query="attention halved")[0] == "cheap-keys"
    assert slugs(session, query="quantise values") == ["cheap-keys"]
    found = find(session, AskedThreads(query="averaged harm"), today=TODAY)
    assert [row.slug for row in found.rows] == ["done-deal"]
    [said] = found.said[found.rows[0].page_id]
    assert (said.title, said.note) == ("Merging adapters", "Weights averaged without harm.")
    assert slugs(session, query="wombat") == []
    assert find(session, AskedThreads(query="!!!"), today=TODAY).notice


def test_threads_are_filtered_and_each_filter_says_what_there_would_be(session: Session) -> None:
    library(session)
    assert slugs(session) == ["done-deal", "cheap-keys", "old-worry"]
    assert slugs(session, status="dormant") == ["old-worry"]
    assert slugs(session, moved=True) == ["done-deal", "cheap-keys"]
    assert slugs(session, between=("kv-cache", "LoRA adapters")) == ["cheap-keys"]
    assert slugs(session, between=("kv-cache",), moved=True) == ["cheap-keys"]
    found = find(session, AskedThreads(status="closed"), today=TODAY)
    assert found.facets == {"closed": 1, "growing": 1, "dormant": 1, "moved": 1}
    found = find(session, AskedThreads(moved=True), today=TODAY)
    assert found.facets == {"closed": 1, "growing": 1, "moved": 2}


def test_threads_stand_as_they_stood_on_a_day(session: Session) -> None:
    library(session)
    rows = {r.slug: r for r in find(session, AskedThreads(asof="2026-04-30"), today=TODAY).rows}
    assert rows["cheap-keys"].numbers.papers == 1
    assert rows["done-deal"].numbers.papers == 0
    assert rows["old-worry"].numbers.papers == 1
    between = ("kv-cache", "lora-adapters")
    assert slugs(session, between=between, asof="2026-04-30") == []


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"status": "great"}, "A thread is growing, dormant, contradicted, closed"),
        ({"between": ("no such concept",)}, "no concept called 'no such concept'"),
        ({"between": ("cheap-keys",)}, "no concept called"),
        ({"asof": "2026-02-30"}, "is no day that has been"),
        ({"asof": "2026-05-15"}, "is no day that has been"),
        ({"asof": "May"}, "Write it as in 2026-05-08"),
    ],
)
def test_what_cannot_be_asked_is_said(session: Session, asked: dict[str, Any], says: str) -> None:
    library(session)
    with pytest.raises(Invalid, match=says):
        find(session, AskedThreads(**asked), today=TODAY)


def test_who_was_there_before_a_day(session: Session) -> None:
    library(session)
    page = session.exec(select(Page).where(Page.slug == "cheap-keys")).one()
    assert page.id is not None
    [before] = stored.members_before(session, page.id, "2026-05-12", limit=5)
    assert before.paper_title == "Adapters on caches"
    assert stored.members_before(session, page.id, "2026-04-02", limit=5) == []


def test_threads_for_programs_name_concepts_and_members(session: Session) -> None:
    library(session)
    [row] = find(session, AskedThreads(query="attention"), today=TODAY).rows[:1]
    [told] = threads.as_json(session, [row], until=TODAY, members=True)
    assert {each["slug"]: each["papers"] for each in told["concepts"]} == {
        "kv-cache": 1,
        "lora-adapters": 1,
    }
    assert [each["slug"] for each in told["members"]] == ["halving-the-cache", "adapters-on-caches"]
    [then] = threads.as_json(session, [row], until=date(2026, 4, 30), members=True)
    assert [each["slug"] for each in then["members"]] == ["adapters-on-caches"]
    assert [each["slug"] for each in then["concepts"]] == ["lora-adapters"]


def test_a_proposed_join_may_be_accepted_the_other_way_round(session: Session) -> None:
    one, other = two(session)
    change = Change(
        kind=ChangeKind.MERGE,
        key="merge:test",
        title="Cheap keys → Small keys",
        source_id=one.id,
        target_id=other.id,
        status=LinkStatus.PROPOSED,
        origin=Origin.LINKER,
        created_at=NOW,
    )
    session.add(change)
    session.flush()
    review.decide(session, f"c{change.id}", review.Verdict.ACCEPT, now=NOW, swap=True)
    assert set(standing(session, "cheap-keys")) == {"Paper a", "Paper b", "Paper c"}
