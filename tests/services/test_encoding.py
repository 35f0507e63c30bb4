"""Encoding: every text gets its vector once, whatever stops it, and never two models mix."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Engine
from sqlmodel import Session, col

from app.domain.records import Page, PageText, Vector
from app.errors import Unavailable
from app.services import encoding
from app.store import vectors
from app.store.db import bump, reading, writing
from tests.factories import make_engine, make_page
from tests.fakes import HashingEncoder

ENCODER = HashingEncoder(dim=32)
OTHER = HashingEncoder(dim=48)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = make_engine(tmp_path)
    yield opened
    opened.dispose()


def pages(engine: Engine, count: int) -> list[int]:
    with writing(engine) as session:
        return [make_page(session, f"Page {n}", text=f"text{n} walrus") for n in range(count)]


def batch(
    engine: Engine, encoder: HashingEncoder = ENCODER, *, owner: str = "me", limit: int = 128
) -> int:
    """One batch as a worker does it; how many vectors were stored."""
    with writing(engine) as session:
        rows = encoding.take_up(session, encoder, owner=owner, limit=limit)
    made = encoding.encode(encoder, rows)
    with writing(engine, alone=False) as session:
        return encoding.store(session, made, owner=owner)


def left(session: Session, encoder: HashingEncoder = ENCODER) -> int:
    return encoding.pending(session, encoder.model)


def test_batches_go_on_until_nothing_is_left(engine: Engine) -> None:
    made = pages(engine, 7)
    counts = []
    while batch(engine, limit=3):
        with reading(engine) as session:
            counts.append(left(session))
    assert counts == [4, 1, 0]
    with reading(engine) as session:
        stored = session.connection().execute(sa.select(col(Vector.page_id), col(Vector.data)))
        found = {page: np.frombuffer(data, "<f4") for page, data in stored}
    for number, page in enumerate(made):
        expected = ENCODER.encode([f"Page {number}. text{number} walrus"])[0]
        assert np.allclose(found[page], expected, atol=1e-6)


def test_batch_that_was_killed_is_taken_up_by_another(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages(engine, 3)
    with writing(engine) as session:
        assert len(encoding.take_up(session, ENCODER, owner="killed")) == 3
        assert left(session) == 3
    assert batch(engine) == 0  # somebody is at them
    now = encoding.time.time()
    monkeypatch.setattr("app.services.encoding.time.time", lambda: now + 31)
    assert batch(engine) == 3


def test_text_that_changes_while_it_is_encoded_is_encoded_again(engine: Engine) -> None:
    page, *_ = pages(engine, 2)
    with writing(engine) as session:
        rows = encoding.take_up(session, ENCODER, owner="me")
    with writing(engine) as session:
        session.connection().execute(
            sa.update(PageText).where(col(PageText.page_id) == page).values(text="x", hash="new")
        )
    with writing(engine) as session:
        encoding.store(session, encoding.encode(ENCODER, rows), owner="me")
        assert left(session) == 1
    assert batch(engine) == 1
    with reading(engine) as session:
        assert left(session) == 0
        assert session.get_one(Vector, (page, ENCODER.model)).text_hash == "new"


def test_page_that_is_deleted_while_it_is_encoded_is_no_harm(engine: Engine) -> None:
    gone, kept = pages(engine, 2)
    with writing(engine) as session:
        rows = encoding.take_up(session, ENCODER, owner="me")
    with writing(engine) as session:
        session.connection().execute(sa.delete(Page).where(col(Page.id) == gone))
        bump(session, vectors.COUNTER)
    with writing(engine) as session:
        assert encoding.store(session, encoding.encode(ENCODER, rows), owner="me") == 1
    with reading(engine) as session:
        assert left(session) == 0
        assert session.connection().execute(sa.select(col(Vector.page_id))).scalars().all() == [
            kept
        ]


class Odd(HashingEncoder):
    """Makes no numbers of one text, too large ones of another."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = super().encode(texts)
        for row, text in zip(rows, texts, strict=True):
            if "text0" in text:
                row[:] = np.nan
            if "text1" in text:
                row[3] = np.inf
        return rows


def test_text_without_a_usable_vector_does_not_wait_for_ever(engine: Engine) -> None:
    pages(engine, 3)
    assert batch(engine, Odd(dim=32)) == 3
    with reading(engine) as session:
        assert left(session) == 0
        for (data,) in session.connection().execute(sa.select(col(Vector.data))):
            assert np.isfinite(np.frombuffer(data, "<f4")).all()


class Shrunk(HashingEncoder):
    """A model whose files were swapped behind its name."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return super().encode(texts)[:, :8]


def test_vectors_of_another_length_stop_the_step_with_a_sentence(engine: Engine) -> None:
    pages(engine, 4)
    assert batch(engine, limit=2) == 2
    with pytest.raises(Unavailable, match="have 32 numbers, and it made one of 8"):
        batch(engine, Shrunk(dim=32))
    with reading(engine) as session:
        assert left(session) == 2


def test_model_chosen_last_gets_the_pages_and_the_one_before_serves(engine: Engine) -> None:
    made = pages(engine, 4)
    batch(engine)
    with writing(engine) as session:
        encoding.choose(session, OTHER)
        assert (left(session), left(session, OTHER)) == (0, 4)
        assert encoding.take_up(session, ENCODER, owner="an older worker") == []
        assert vectors.changing(session)
    assert batch(engine, OTHER, limit=3) == 3
    assert vectors.upkeep(engine) == 0
    with reading(engine) as session:
        assert vectors.serving(session) == ENCODER.model
        assert vectors.setting_of(session, ENCODER.model) == ENCODER.setting
    assert batch(engine, OTHER) == 1
    assert vectors.upkeep(engine) == 2
    index = vectors.VectorIndex()
    with reading(engine) as session:
        index.refresh(session)
        assert index.model == OTHER.model
        query = OTHER.encode(["walrus"])[0]
        assert sorted(page for page, _ in index.nearest(session, query, limit=9)) == made
        assert not vectors.changing(session)


def test_nothing_to_encode_asks_nothing_of_the_model() -> None:
    class Unasked(HashingEncoder):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            raise AssertionError

    assert encoding.encode(Unasked(), []) == []


def test_only_the_beginning_of_a_text_is_encoded() -> None:
    assert encoding.text_of("A title", "and a text") == "A title. and a text"
    assert len(encoding.text_of("A title", "long " * 10_000)) <= 4_000
    assert encoding.text_of("", "") == "."
