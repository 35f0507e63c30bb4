"""The matrix of accepted links: what is in it, and when it is read anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from app.domain.graph import STRENGTH, Network
from app.domain.records import Link, LinkStatus, Origin, Page, PageKind, Relation, Verdict
from app.errors import NotFound
from app.services import review
from app.store import pages
from app.store.db import generation, reading, writing
from app.store.graph import LinkGraph, Span, pages_of_thread, read
from app.store.links import ACCEPTED, edges_among, edges_around
from app.store.pages import PERSON, Content
from tests.factories import THEN, make_engine, make_link, make_page


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def wiki(engine: Engine) -> list[int]:
    """Five pages, none of them linked; their ids."""
    with writing(engine) as session:
        return [make_page(session, f"Page {letter}") for letter in "abcde"]


def pairs(network: Network) -> dict[tuple[int, int], float]:
    matrix = network.matrix.tocoo()
    found = zip(matrix.row.tolist(), matrix.col.tolist(), matrix.data.tolist(), strict=True)
    ids = network.ids.tolist()
    return {(ids[row], ids[column]): round(weight, 6) for row, column, weight in found}


def counted(engine: Engine) -> int:
    with reading(engine) as session:
        return generation(session, ACCEPTED)


def test_accepted_links_alone_are_in_the_matrix_by_relation_and_confidence(
    engine: Engine, wiki: list[int]
) -> None:
    a, b, c, d, e = wiki
    with writing(engine) as session:
        make_link(session, a, b)
        made = make_link(session, c, a, Relation.MENTIONS)
        link = session.get(Link, made)
        assert link is not None
        link.confidence = 0.5
        make_link(session, c, a, Relation.EXTENDS)
        for status in (LinkStatus.PROPOSED, LinkStatus.REJECTED, LinkStatus.DEFERRED):
            make_link(session, d, e, list(Relation)[list(LinkStatus).index(status)], status=status)
    with reading(engine) as session:
        network = read(session)
    heavy = 1 + STRENGTH[Relation.MENTIONS] * 0.75
    assert pairs(network) == {(a, b): 1, (b, a): 1, (a, c): heavy, (c, a): heavy}


def test_links_of_a_span_of_time_alone(engine: Engine, wiki: list[int]) -> None:
    a, b, c, d, _ = wiki
    with writing(engine) as session:
        for days, (source, target) in enumerate([(a, b), (b, c), (c, d)]):
            link = session.get(Link, make_link(session, source, target))
            assert link is not None
            link.decided_at = THEN + timedelta(days=days) if days else None
    day = timedelta(days=1)
    with reading(engine) as session:
        until = pairs(read(session, Span(before=THEN + day)))
        since = pairs(read(session, Span(since=THEN + day)))
        between = pairs(read(session, Span(since=THEN + day, before=THEN + 2 * day)))
        assert pairs(read(session, Span(since=THEN + 9 * day))) == {}
        [edge] = edges_among(session, wiki, since=THEN + day, before=THEN + 2 * day)
        around = edges_around(session, [b], before=THEN + day)
    assert set(until) == {(a, b), (b, a)}
    assert set(since) == {(b, c), (c, b), (c, d), (d, c)}
    assert set(between) == {(b, c), (c, b)}
    assert (edge.source_id, edge.target_id) == (b, c)
    assert [(each.source_id, each.target_id) for each in around] == [(a, b)]


# ---------------------------------------------------------------- when it is stale


def test_it_is_read_once_until_links_change(engine: Engine, wiki: list[int]) -> None:
    graph = LinkGraph()
    with writing(engine) as session:
        make_link(session, wiki[0], wiki[1])
    with reading(engine) as session:
        first = graph.standing(session)
        assert len(first.network) == 2
    with writing(engine) as session:
        pages.create(session, Content(title="New", kind=PageKind.NOTE), author=PERSON, now=THEN)
    with reading(engine) as session:
        assert graph.standing(session) is first
    with writing(engine) as session:
        make_link(session, wiki[1], wiki[2])
    with reading(engine) as session:
        assert len(graph.standing(session).network) == 3


def test_every_way_to_change_an_accepted_link_counts_and_no_other(
    engine: Engine, wiki: list[int]
) -> None:
    a, b, c, _, _ = wiki
    before = counted(engine)

    def moved() -> bool:
        nonlocal before
        last, before = before, counted(engine)
        return before > last

    with writing(engine) as session:
        waiting = make_link(session, a, b, status=LinkStatus.PROPOSED)
    assert not moved()
    with writing(engine) as session:
        decision = review.decide(session, waiting, Verdict.ACCEPT, now=THEN).id
    assert moved()
    with writing(engine) as session:
        review.undo(session, decision, now=THEN)
    assert moved()
    with writing(engine) as session:
        review.decide(session, waiting, Verdict.REJECT, now=THEN)
    assert not moved()
    with writing(engine) as session:
        page = pages.get(session, "page-a")
        content = Content(title="Page a", kind=PageKind.CONCEPT, body="See [[Page c]].")
        pages.revise(session, page, content, author=PERSON, now=THEN)
    assert moved()
    with writing(engine) as session:
        page = pages.get(session, "page-a")
        content = Content(title="Page a", kind=PageKind.CONCEPT, body="See [[Page c]] again.")
        pages.revise(session, page, content, author=PERSON, now=THEN)
    moved()  # the sentence around the link is part of the link
    with writing(engine) as session:
        page = pages.get(session, "page-a")
        content = Content(title="Page a", kind=PageKind.CONCEPT, body="See nothing.")
        pages.revise(session, page, content, author=PERSON, now=THEN)
    assert moved()
    with writing(engine) as session:
        page = pages.get(session, "page-b")
        content = Content(title="Page b", kind=PageKind.CONCEPT, body="Words alone.")
        pages.revise(session, page, content, author=PERSON, now=THEN)
    assert not moved()
    with writing(engine) as session:
        made = make_link(session, b, c)
    assert moved()
    with writing(engine) as session:
        link = session.get(Link, made)
        assert link is not None
        session.expire(link)
        link.status = LinkStatus.REJECTED  # set without being read
    assert moved()
    with writing(engine) as session:
        session.delete(session.get(Page, c))
    assert moved()


def test_what_was_not_committed_counts_for_nothing(engine: Engine, wiki: list[int]) -> None:
    before = counted(engine)

    def fail() -> None:
        with writing(engine) as session:
            make_link(session, wiki[0], wiki[1])
            raise NotFound("Nothing of it happened.")

    with pytest.raises(NotFound):
        fail()
    assert counted(engine) == before


def test_spans_are_kept_apart_and_only_a_few(engine: Engine, wiki: list[int]) -> None:
    graph = LinkGraph()
    with writing(engine) as session:
        make_link(session, wiki[0], wiki[1])
    spans = [Span(before=THEN + timedelta(days=days)) for days in range(1, 9)]
    with reading(engine) as session:
        always = graph.standing(session)
        made = [graph.standing(session, span) for span in spans]
        assert graph.standing(session, spans[-1]) is made[-1]
        assert graph.standing(session, spans[0]) is not made[0]
        assert graph.standing(session) is always


def test_threads_that_ask_at_once_share_one_matrix_and_its_ranks(
    engine: Engine, wiki: list[int]
) -> None:
    with writing(engine) as session:
        for target in wiki[1:]:
            make_link(session, wiki[0], target)
    graph, found, ranks = LinkGraph(), [], []
    start = threading.Barrier(6)

    def ask() -> None:
        start.wait()
        with reading(engine) as session:
            standing = graph.standing(session)
            found.append(standing)
            ranks.append(standing.ranks({0: 1.0}))
            assert standing.communities.tolist() == [0] * 5

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len({id(each) for each in found}) == 1
    assert len({id(each) for each in ranks}) == 1
    with pytest.raises(ValueError, match="read-only"):
        ranks[0][0] = 1


# ---------------------------------------------------------------- edges for drawings


def test_edges_around_pages_come_accepted_first_then_surest(
    engine: Engine, wiki: list[int]
) -> None:
    a, b, c, d, e = wiki
    with writing(engine) as session:
        for source, target, status, confidence in [
            (a, b, LinkStatus.PROPOSED, 0.9),
            (c, a, LinkStatus.ACCEPTED, 0.3),
            (a, d, LinkStatus.ACCEPTED, 0.8),
            (e, a, LinkStatus.REJECTED, 1.0),
            (b, c, LinkStatus.ACCEPTED, 1.0),
        ]:
            link = session.get(Link, make_link(session, source, target, status=status))
            assert link is not None
            link.confidence = confidence
    with reading(engine) as session:

        def asked(ids: list[int], **how: object) -> list[tuple[int, int]]:
            found = edges_around(session, ids, **how)  # type: ignore[arg-type]
            return [(edge.source_id, edge.target_id) for edge in found]

        assert asked([a]) == [(a, d), (c, a), (a, b)]
        assert asked([a], limit=2) == [(a, d), (c, a)]
        assert asked([a, b, c]) == [(b, c), (a, d), (c, a), (a, b)]
        assert asked([a], statuses=(LinkStatus.REJECTED,)) == [(e, a)]
        assert asked([]) == asked([10_000]) == []
        among = edges_among(session, [a, b, c])
    assert [(edge.source_id, edge.target_id) for edge in among] == [(b, c), (c, a), (a, b)]
    assert among[0].weight == 1
    assert among[0].status is LinkStatus.ACCEPTED


def test_edges_at_a_page_are_read_from_an_index(engine: Engine, wiki: list[int]) -> None:
    """Both sides, in their order, whatever the page has: nothing is sorted but what is returned."""
    with writing(engine) as session:
        for number in range(600):
            page = Page(
                slug=f"p{number}",
                title=f"P{number}",
                title_key=f"p{number}",
                kind=PageKind.NOTE,
                author_kind="person",
                created_at=THEN,
                updated_at=THEN,
            )
            session.add(page)
            session.flush()
            session.add(
                Link(
                    source_id=page.id,
                    target_id=wiki[0],
                    relation=Relation.ABOUT,
                    status=LinkStatus.ACCEPTED,
                    origin=Origin.LINKER,
                    confidence=number / 600,
                    created_at=THEN,
                )
            )
    with reading(engine) as session:
        found = edges_around(session, [wiki[0]], limit=10)
        assert [round(edge.confidence * 600) for edge in found] == list(range(599, 589, -1))
        if session.get_bind().dialect.name != "sqlite":
            return
        heard: list[tuple[str, object]] = []
        sa.event.listen(
            engine,
            "before_cursor_execute",
            lambda _c, _k, sql, values, *_: heard.append((sql, values)),
        )
        edges_around(session, [wiki[0]], limit=10)
        sql, values = heard[0]
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()
    steps = [row[3] for row in plan]
    assert sum("USING COVERING INDEX ix_link_out" in step for step in steps) == 2
    assert sum("USING COVERING INDEX ix_link_in" in step for step in steps) == 2
    assert not any(step.startswith("SCAN link") for step in steps)


def test_the_pages_of_a_thread(engine: Engine, wiki: list[int]) -> None:
    with writing(engine) as session:
        thread = make_page(session, "A thread", PageKind.THREAD)
        make_link(session, wiki[0], thread)
        make_link(session, wiki[1], thread, status=LinkStatus.PROPOSED)
        make_link(session, wiki[2], thread, Relation.MENTIONS)
    with reading(engine) as session:
        assert pages_of_thread(session, "a-thread").tolist() == [thread, wiki[0]]
        for slug in ("page-a", "nowhere", ""):
            with pytest.raises(NotFound):
                pages_of_thread(session, slug)
