import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Engine
from sqlmodel import Session, col

from app.domain.records import Page, PageText
from app.store import vectors
from app.store.db import bump, reading, writing
from app.store.vectors import NewVector, VectorIndex
from tests.factories import THEN, make_engine, make_page
from tests.fakes import HashingEncoder

ENCODER = HashingEncoder(dim=32)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = make_engine(tmp_path)
    yield opened
    opened.dispose()


def encode_pending(session: Session, *, limit: int = 100) -> int:
    waiting = vectors.pending(session, ENCODER.model, limit=limit)
    rows = ENCODER.encode([f"{each.title} {each.text}" for each in waiting])
    return vectors.save(
        session,
        [
            NewVector(each.page_id, ENCODER.model, each.hash, row)
            for each, row in zip(waiting, rows, strict=True)
        ],
    )


def rewrite(session: Session, page_id: int, *, text: str) -> None:
    session.connection().execute(
        sa.update(PageText).where(col(PageText.page_id) == page_id).values(text=text, hash=text)
    )


def unit(text: str) -> NDArray[np.float32]:
    return ENCODER.encode([text])[0]


def test_pages_wait_until_their_text_as_it_stands_has_a_vector(engine: Engine) -> None:
    with writing(engine) as session:
        pages = [make_page(session, f"Page {n}", text=f"text {n}") for n in range(5)]
        assert vectors.counts(session, ENCODER.model) == vectors.Counts(pages=5, current=0)
        assert encode_pending(session, limit=3) == 3
        waiting = [each.page_id for each in vectors.pending(session, ENCODER.model, limit=9)]
        assert waiting == pages[3:]
        assert encode_pending(session) == 2
        assert vectors.counts(session, ENCODER.model).pending == 0
        assert len(vectors.pending(session, "another model", limit=9)) == 5

        rewrite(session, pages[1], text="new")
        assert [each.hash for each in vectors.pending(session, ENCODER.model, limit=9)] == ["new"]
        assert encode_pending(session) == 1
        assert vectors.models(session) == {ENCODER.model: 5}


def test_vector_of_no_page_or_no_number_is_left_out(engine: Engine) -> None:
    with writing(engine) as session:
        page = make_page(session, "Page")
        bad = np.full(32, np.nan, np.float32)
        rows = [
            NewVector(999, ENCODER.model, "h", unit("x")),
            NewVector(page, ENCODER.model, "h", bad),
            NewVector(page, ENCODER.model, "h", np.zeros(0, np.float32)),
        ]
        assert vectors.save(session, rows) == 0
        assert vectors.models(session) == {}


def test_nearest_is_the_true_order(engine: Engine) -> None:
    generator = np.random.default_rng(7)
    rows = generator.normal(size=(60, 32)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with writing(engine) as session:
        pages = [make_page(session, f"Page {n}") for n in range(60)]
        made = [NewVector(p, "m", "h", row) for p, row in zip(pages, rows, strict=True)]
        vectors.save(session, made)
    index = VectorIndex("m")
    with reading(engine) as session:
        assert index.refresh(session)
    query = rows[10] * 0.9 + rows[20] * 0.1
    query /= np.linalg.norm(query)
    cosines = rows @ query
    expected = sorted(range(60), key=lambda at: -cosines[at])
    for limit in (1, 7, 60, 500):
        found = index.nearest(query, limit=limit)
        assert [page for page, _ in found] == [pages[at] for at in expected[:limit]]
        assert np.allclose([c for _, c in found], cosines[expected[:limit]], atol=1e-5)
    for allowed in (pages[:3], pages[::2], [], [10_000]):
        found = index.nearest(query, limit=5, allowed=np.array(allowed, np.int64))
        wanted = [pages[at] for at in expected if pages[at] in allowed][:5]
        assert [page for page, _ in found] == wanted
    assert index.nearest(query, limit=0) == []
    assert index.nearest(np.ones(7, np.float32), limit=5) == []


def test_index_takes_in_only_what_is_counted(engine: Engine) -> None:
    index = VectorIndex(ENCODER.model)
    with writing(engine) as session:
        first = make_page(session, "Routing experts", text="routing of experts")
        encode_pending(session)
    with reading(engine) as session:
        assert index.refresh(session)
        assert not index.refresh(session)
        assert index.nearest(unit("routing experts"), limit=1)[0][0] == first
    with writing(engine) as session:
        second = make_page(session, "Cache eviction", text="evicting rows of a cache")
        encode_pending(session)
    with reading(engine) as session:
        assert index.refresh(session)
        assert (len(index), index.dim) == (2, 32)
        assert index.nearest(unit("cache eviction"), limit=1)[0][0] == second


def test_index_follows_changed_and_removed_vectors(engine: Engine) -> None:
    index = VectorIndex(ENCODER.model)
    with writing(engine) as session:
        pages = [make_page(session, f"Page {n}", text=f"word{n}") for n in range(4)]
        encode_pending(session)
    with reading(engine) as session:
        index.refresh(session)
    with writing(engine) as session:
        rewrite(session, pages[0], text="walrus walrus")
        encode_pending(session)
        session.connection().execute(sa.delete(Page).where(col(Page.id) == pages[3]))
        bump(session, vectors.COUNTER)
    with reading(engine) as session:
        index.refresh(session)
    assert sorted(index.page_ids.tolist()) == pages[:3]
    assert index.nearest(unit("walrus"), limit=1)[0][0] == pages[0]
    rows = index.matrix_for([pages[1], pages[3], pages[0]])
    assert rows.shape == (3, 32)
    assert not rows[1].any()
    assert rows[0] @ unit("Page 1 word1") == pytest.approx(1, abs=1e-5)


def test_vectors_of_other_models_and_lengths_stay_out(engine: Engine) -> None:
    with writing(engine) as session:
        pages = [make_page(session, f"Page {n}") for n in range(3)]
        vectors.save(
            session,
            [
                NewVector(pages[0], "m", "h", unit("a")),
                NewVector(pages[1], "m", "h", np.ones(5, np.float32)),
                NewVector(pages[2], "other", "h", unit("a")),
            ],
        )
    index = VectorIndex("m")
    with writing(engine) as session:
        index.refresh(session)
        assert index.page_ids.tolist() == [pages[0]]
        assert vectors.drop_others(session, "m") == 1
        assert vectors.models(session) == {"m": 2}


def test_empty_index_answers(engine: Engine) -> None:
    index = VectorIndex("m")
    assert index.nearest(unit("x"), limit=5) == []
    assert index.matrix_for([1, 2]).shape == (2, 0)
    with reading(engine) as session:
        index.refresh(session)
    assert len(index) == 0


def test_searches_go_on_while_the_index_grows(engine: Engine) -> None:
    index = VectorIndex(ENCODER.model)
    with writing(engine) as session:
        make_page(session, "Routing", text="routing")
        encode_pending(session)
    stop = threading.Event()
    wrong: list[BaseException] = []

    def look() -> None:
        try:
            while not stop.is_set():
                with reading(engine) as session:
                    index.refresh(session)
                found = index.nearest(unit("routing"), limit=3)
                assert found
                assert found[0][1] > 0.8
                index.matrix_for([1, 2, 3])
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(15):
        with writing(engine) as session:
            make_page(session, f"Page {number}", text=f"other {number}")
            encode_pending(session)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    with reading(engine) as session:
        index.refresh(session)
    assert len(index) == 16


def test_queries_asked_last_are_remembered(engine: Engine) -> None:
    with writing(engine) as session:
        assert vectors.recall(session, "m", "x") is None
        vectors.remember(session, "m", "x", unit("x"), now=THEN)
        known = vectors.recall(session, "m", "x")
        assert known is not None
        assert np.array_equal(known, unit("x"))
        assert vectors.recall(session, "other", "x") is None
        for number in range(vectors.KEPT_QUERIES):
            later = THEN + timedelta(seconds=number + 1)
            vectors.remember(session, "m", f"q{number}", unit("y"), now=later)
        assert vectors.recall(session, "m", "x") is None
        assert vectors.recall(session, "m", "q0") is not None
        vectors.remember(session, "m", "q0", unit("z"), now=THEN + timedelta(days=1))
        again = vectors.recall(session, "m", "q0")
        assert again is not None
        assert np.array_equal(again, unit("z"))
