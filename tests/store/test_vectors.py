import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from numpy.typing import NDArray
from sqlalchemy.engine import Engine
from sqlmodel import Session, col

from app.domain.records import EmbeddingModel, Page, PageText, QueryVector, Unencoded, Vector
from app.errors import Misconfigured, Unavailable
from app.store import vectors
from app.store.db import bump, generation, open_engine, reading, writing
from app.store.schema import MIGRATIONS
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


def units(count: int, *, dim: int = 32, seed: int = 7) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def rows_of(session: Session) -> dict[str, int]:
    """The models there are vectors of, with how many."""
    statement = sa.select(col(Vector.model), sa.func.count()).group_by(col(Vector.model))
    return dict(session.connection().execute(statement).all())


def waiting(session: Session, model: str = ENCODER.model) -> list[int]:
    found = [each.page_id for each in vectors.pending(session, model, limit=100)]
    assert len(found) == vectors.count_pending(session, model)
    return found


def near(index: VectorIndex, session: Session, text: str, *, limit: int = 1) -> list[int]:
    return [page for page, _ in index.nearest(session, unit(text), limit=limit)]


def among(page_ids: list[int]) -> sa.Select[tuple[int]]:
    return sa.select(col(Page.id)).where(col(Page.id).in_(page_ids))


def delete(session: Session, *page_ids: int) -> None:
    session.connection().execute(sa.delete(Page).where(col(Page.id).in_(page_ids)))
    bump(session, vectors.COUNTER)


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize("chosen", [True, False], ids=["wanted", "any"])
def test_pages_wait_until_their_text_as_it_stands_has_a_vector(
    engine: Engine, chosen: bool
) -> None:
    with writing(engine) as session:
        if chosen:
            vectors.want(session, ENCODER.model, setting="hashing")
        pages = [make_page(session, f"Page {n}", text=f"text {n}") for n in range(5)]
        assert waiting(session) == pages
        assert encode_pending(session, limit=3) == 3
        assert waiting(session) == pages[3:]
        assert encode_pending(session) == 2
        assert waiting(session) == []
        assert waiting(session, "another model") == pages

        rewrite(session, pages[1], text="new")
        assert [each.hash for each in vectors.pending(session, ENCODER.model, limit=9)] == ["new"]
        assert encode_pending(session) == 1
        delete(session, pages[0])
        assert waiting(session) == []
        assert rows_of(session) == {ENCODER.model: 4}


def test_pages_that_others_are_at_are_left_out(engine: Engine) -> None:
    with writing(engine) as session:
        pages = [make_page(session, f"Page {n}") for n in range(4)]
        for model in (ENCODER.model, "another"):
            vectors.want(session, model, setting="m")
            found = vectors.pending(session, ENCODER.model, limit=2, without=among(pages[:2]))
            assert [each.page_id for each in found] == pages[2:]


def test_vector_of_a_text_that_changed_meanwhile_leaves_the_page_waiting(engine: Engine) -> None:
    with writing(engine) as session:
        vectors.want(session, ENCODER.model, setting="hashing")
        page = make_page(session, "Page", text="old")
    with reading(engine) as session:
        (row,) = vectors.pending(session, ENCODER.model, limit=9)
    with writing(engine) as session:
        rewrite(session, page, text="new")
    with writing(engine) as session:
        vectors.save(session, [NewVector(page, ENCODER.model, row.hash, unit("old"))])
        assert waiting(session) == [page]


def test_vector_of_no_page_or_no_number_is_left_out(engine: Engine) -> None:
    with writing(engine) as session:
        page = make_page(session, "Page")
        bad = unit("x").copy()
        for value in (np.nan, np.inf, -np.inf):
            bad[3] = value
            assert vectors.save(session, [NewVector(page, ENCODER.model, "h", bad)]) == 0
        rows = [
            NewVector(page + 999, ENCODER.model, "h", unit("x")),
            NewVector(page, ENCODER.model, "h", np.zeros(0, np.float32)),
        ]
        assert vectors.save(session, rows) == 0
        assert rows_of(session) == {}
        assert vectors.save(session, []) == 0


def test_vector_of_another_length_than_its_models_is_refused(engine: Engine) -> None:
    with writing(engine) as session:
        pages = [make_page(session, f"Page {n}") for n in range(2)]
        vectors.save(session, [NewVector(pages[0], "m@1", "h", unit("a"))])
    with (
        pytest.raises(Unavailable, match="m@1 have 32 numbers, and it made one of 5"),
        writing(engine) as session,
    ):
        vectors.save(session, [NewVector(pages[1], "m@1", "h", np.ones(5, np.float32))])
    with writing(engine) as session:
        vectors.save(session, [NewVector(pages[1], "m@2", "h", np.ones(5, np.float32))])
        assert rows_of(session) == {"m@1": 1, "m@2": 1}


def test_later_vectors_are_counted_higher(engine: Engine) -> None:
    with writing(engine) as session:
        pages = [make_page(session, f"Page {n}") for n in range(2)]
    counts = []
    for page in (*pages, pages[0]):
        with writing(engine) as session:
            vectors.save(session, [NewVector(page, "m", "h", unit("a"))])
        with reading(engine) as session:
            counts.append(session.get_one(Vector, (page, "m")).seq)
            assert counts[-1] <= generation(session, vectors.COUNTER)
    assert counts == sorted(set(counts))


# ---------------------------------------------------------------- what is near


def test_nearest_is_the_true_order(engine: Engine) -> None:
    rows = units(60)
    with writing(engine) as session:
        pages = [make_page(session, f"Page {n}") for n in range(60)]
        made = [NewVector(p, "m", "h", row) for p, row in zip(pages, rows, strict=True)]
        assert vectors.save(session, made) == 60
    index = VectorIndex("m")
    query = rows[10] * 0.9 + rows[20] * 0.1
    query /= np.linalg.norm(query)
    cosines = rows @ query
    expected = sorted(range(60), key=lambda at: -cosines[at])
    with reading(engine) as session:
        assert index.refresh(session)
        for limit in (1, 7, 60, 500):
            found = index.nearest(session, query, limit=limit)
            assert [page for page, _ in found] == [pages[at] for at in expected[:limit]]
            assert np.allclose([c for _, c in found], cosines[expected[:limit]], atol=1e-5)
        for allowed in (pages[:3], pages[::2], pages[1:], [], [10_000]):
            for limit in (1, 5):
                found = index.nearest(session, query, limit=limit, allowed=among(allowed))
                wanted = [pages[at] for at in expected if pages[at] in allowed][:limit]
                assert [page for page, _ in found] == wanted
        assert index.nearest(session, query, limit=0) == []
        assert index.nearest(session, np.ones(7, np.float32), limit=5) == []
        assert index.nearest(session, query * np.nan, limit=5) == []


def test_index_takes_in_only_what_is_counted(engine: Engine) -> None:
    index = VectorIndex(ENCODER.model)
    with writing(engine) as session:
        first = make_page(session, "Routing experts", text="routing of experts")
        encode_pending(session)
    with reading(engine) as session:
        assert index.refresh(session)
        assert not index.refresh(session)
        assert near(index, session, "routing experts") == [first]
    with writing(engine) as session:
        second = make_page(session, "Cache eviction", text="evicting rows of a cache")
        encode_pending(session)
    with reading(engine) as session:
        assert index.refresh(session)
        assert index.dim == 32
        assert near(index, session, "cache eviction", limit=9) == [second, first]


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
        delete(session, pages[3])
    with reading(engine) as session:
        index.refresh(session)
        assert sorted(near(index, session, "walrus", limit=9)) == pages[:3]
        assert near(index, session, "walrus") == [pages[0]]
        rows = index.matrix_for(session, [pages[1], pages[3], pages[0], pages[1]])
    assert rows.shape == (4, 32)
    assert not rows[1].any()
    assert rows[0] @ unit("Page 1 word1") == pytest.approx(1, abs=1e-5)
    assert np.array_equal(rows[0], rows[3])
    with writing(engine) as session:
        delete(session, *pages[:3])
    with reading(engine) as session:
        index.refresh(session)
        assert near(index, session, "walrus", limit=9) == []
        assert not index.matrix_for(session, pages).any()


def test_session_that_began_earlier_does_not_set_the_index_back(engine: Engine) -> None:
    index = VectorIndex(ENCODER.model)
    with writing(engine) as session:
        first = make_page(session, "Routing", text="routing")
        encode_pending(session)
    with reading(engine) as early:
        index.refresh(early)
        with writing(engine) as session:
            second = make_page(session, "Walrus", text="walrus")
            encode_pending(session)
        with reading(engine) as session:
            assert index.refresh(session)
            assert near(index, session, "walrus", limit=9) == [second, first]
            assert not index.refresh(early)
            assert near(index, session, "walrus", limit=9) == [second, first]


def test_vectors_of_other_models_stay_out(engine: Engine) -> None:
    with writing(engine) as session:
        pages = [make_page(session, f"Page {n}") for n in range(2)]
        vectors.save(session, [NewVector(pages[0], "m", "h", unit("a"))])
        vectors.save(session, [NewVector(pages[1], "other", "h", unit("a"))])
    with reading(engine) as session:
        for model, page in (("m", pages[0]), ("other", pages[1]), ("none", None)):
            index = VectorIndex(model)
            index.refresh(session)
            assert near(index, session, "a", limit=9) == ([page] if page else [])


def test_empty_index_answers(engine: Engine) -> None:
    for index in (VectorIndex("m"), VectorIndex()):
        with reading(engine) as session:
            assert near(index, session, "x") == []
            assert index.matrix_for(session, [1, 2]).shape == (2, 0)
            index.refresh(session)
            assert near(index, session, "x") == []
        assert index.dim == 0


@pytest.mark.parametrize("broken", [b"", b"abc", np.ones(5, np.float32).tobytes()])
@pytest.mark.sqlite_only
def test_damaged_vector_harms_no_other(engine: Engine, broken: bytes) -> None:
    with writing(engine) as session:
        pages = [make_page(session, f"Page {n}", text="walrus") for n in range(3)]
        encode_pending(session)
        session.connection().execute(
            sa.update(Vector).where(col(Vector.page_id) == pages[0]).values(data=broken)
        )
        session.connection().execute(
            sa.update(Vector)
            .where(col(Vector.page_id) == pages[1])
            .values(data=np.full(32, np.nan, "<f4").tobytes())
        )
    index = VectorIndex(ENCODER.model)
    with reading(engine) as session:
        index.refresh(session)
        found = index.nearest(session, unit("walrus"), limit=3)
    assert found[0][0] == pages[2]
    assert dict(found).get(pages[1], 0) == 0


def test_searches_go_on_while_the_index_grows(engine: Engine) -> None:
    index = VectorIndex(ENCODER.model)
    with writing(engine) as session:
        first = make_page(session, "Routing", text="routing")
        encode_pending(session)
    stop = threading.Event()
    wrong: list[BaseException] = []

    def look() -> None:
        try:
            while not stop.is_set():
                with reading(engine) as session:
                    index.refresh(session)
                    found = index.nearest(session, unit("routing"), limit=3)
                    assert found
                    assert found[0][0] == first
                    assert found[0][1] > 0.8
                    assert index.matrix_for(session, [first])[0] @ unit("routing") > 0.8
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(15):
        with writing(engine) as session:
            make_page(session, f"Page {number}", text=f"other {number}")
            rewrite(session, first, text=f"routing {'routing ' * number}")
            encode_pending(session)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    with reading(engine) as session:
        index.refresh(session)
        assert len(near(index, session, "routing", limit=99)) == 16


# ---------------------------------------------------------------- a change of model

OTHER = HashingEncoder(dim=48)


def encode_by(session: Session, encoder: HashingEncoder, *, limit: int = 100) -> int:
    rows = vectors.pending(session, encoder.model, limit=limit)
    made = encoder.encode([row.text or "?" for row in rows])
    return vectors.save(
        session,
        [
            NewVector(row.page_id, encoder.model, row.hash, vector)
            for row, vector in zip(rows, made, strict=True)
        ],
    )


def test_old_vectors_serve_until_the_new_model_has_read_every_page(engine: Engine) -> None:
    index = VectorIndex()
    with writing(engine) as session:
        vectors.want(session, ENCODER.model, setting="old path")
        pages = [make_page(session, f"Page {n}", text=f"word{n} walrus") for n in range(6)]
        encode_by(session, ENCODER)
        vectors.remember(session, ENCODER.model, "walrus", unit("walrus"), now=THEN)
    with reading(engine) as session:
        index.refresh(session)
        assert (index.model, index.dim) == (ENCODER.model, 32)
        assert vectors.overdue(session) == 0
    with writing(engine) as session:
        vectors.want(session, OTHER.model, setting="new path")
        assert waiting(session, OTHER.model) == pages
        encode_by(session, OTHER, limit=4)
    with reading(engine) as session:
        index.refresh(session)
        assert (vectors.wanted(session), vectors.serving(session)) == (OTHER.model, ENCODER.model)
        assert index.model == ENCODER.model
        assert len(near(index, session, "walrus", limit=9)) == 6
        assert vectors.setting_of(session, ENCODER.model) == "old path"
        assert vectors.overdue(session) == 0
    assert vectors.upkeep(engine) == 0
    with writing(engine) as session:
        encode_by(session, OTHER)
    with reading(engine) as session:
        assert vectors.overdue(session)
    assert vectors.upkeep(engine)
    with reading(engine) as session:
        assert vectors.overdue(session) == 0
        assert rows_of(session) == {OTHER.model: 6}
        assert vectors.serving(session) == OTHER.model
        assert session.exec(sa.select(sa.func.count()).select_from(QueryVector)).scalar() == 0
        assert index.refresh(session)
        assert (index.model, index.dim) == (OTHER.model, 48)
        found = index.nearest(session, OTHER.encode(["walrus"])[0], limit=9)
        assert sorted(page for page, _ in found) == pages


def test_going_back_to_the_old_model_gives_up_the_new_one(engine: Engine) -> None:
    with writing(engine) as session:
        vectors.want(session, ENCODER.model, setting="a")
        page = make_page(session, "Page", text="walrus")
        encode_by(session, ENCODER)
        vectors.want(session, OTHER.model, setting="b")
        changed = make_page(session, "Another", text="otter")
        vectors.want(session, ENCODER.model, setting="a")
        assert waiting(session) == [changed]
        assert page not in waiting(session)
    vectors.upkeep(engine)
    with reading(engine) as session:
        assert vectors.serving(session) == ENCODER.model
        models = session.connection().execute(sa.select(col(EmbeddingModel.id))).scalars().all()
        assert models == [ENCODER.model]


def test_model_that_never_made_a_vector_does_not_serve(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "Page")
        vectors.want(session, "never@1", setting="x")
        assert vectors.serving(session) == "never@1"
        vectors.want(session, ENCODER.model, setting="y")
        assert vectors.serving(session) == ENCODER.model


def test_models_path_is_kept_up_to_date(engine: Engine) -> None:
    with writing(engine) as session:
        vectors.want(session, "m@1", setting="/old/m")
        vectors.want(session, "m@1", setting="/new/m\0")
        assert vectors.setting_of(session, "m@1") == "/new/m "
        assert vectors.setting_of(session, "none") is None


def test_rows_that_were_copied_in_are_taken_stock_of(engine: Engine) -> None:
    with writing(engine) as session:
        vectors.want(session, ENCODER.model, setting="a")
        pages = [make_page(session, f"Page {n}", text=f"word{n}") for n in range(3)]
        session.connection().execute(sa.delete(Unencoded))
        session.connection().execute(
            sa.insert(Vector).values(
                page_id=pages[0],
                model=ENCODER.model,
                dim=32,
                text_hash=session.get_one(PageText, pages[0]).hash,
                data=unit("word0").tobytes(),
            )
        )
        session.connection().execute(sa.update(EmbeddingModel).values(dim=32))
        vectors.restore(session)
        assert waiting(session) == pages[1:]
    index = VectorIndex()
    with reading(engine) as session:
        index.refresh(session)
        assert near(index, session, "word0") == pages[:1]


@pytest.mark.sqlite_only
def test_vectors_of_an_earlier_version_are_kept(tmp_path: Path) -> None:
    """As the first version left them: an old model's few, one of no use, a page without any."""
    engine = open_engine(f"sqlite:///{tmp_path / 'early.sqlite3'}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.execution_options(write="alone").connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for page in (1, 2, 3):
            connection.exec_driver_sql(
                "INSERT INTO page (id, slug, kind, title, title_key, body, version, author_kind, "
                "author, created_at, updated_at, extra) VALUES (?, ?, 'note', 't', 't', '', 1, "
                "'person', '', '2026-05-08 00:00:00', '2026-05-08 00:00:00', '{}')",
                (page, f"page-{page}"),
            )
            connection.exec_driver_sql(
                "INSERT INTO page_text (page_id, title, names, text, hash) "
                "VALUES (?, 't', '', 'text', ?)",
                (page, f"h{page}"),
            )
        for page, model, row in (
            (1, "name/of@2", unit("walrus")),
            (2, "name/of@2", unit("otter")),
            (1, "name/of@1", unit("walrus")),
            (3, "name/of@2", np.ones(5, np.float32)),
        ):
            connection.exec_driver_sql(
                "INSERT INTO vector (page_id, model, dim, text_hash, data) VALUES (?, ?, ?, ?, ?)",
                (page, model, row.size, f"h{page}", row.tobytes()),
            )
        command.upgrade(config, "head")
        connection.commit()
    index = VectorIndex()
    with reading(engine) as session:
        index.refresh(session)
        assert index.model == vectors.wanted(session) == "name/of@2"
        assert vectors.setting_of(session, "name/of@2") == "name/of"
        assert near(index, session, "otter", limit=9) == [2, 1]
        assert waiting(session, "name/of@2") == [3]
    assert vectors.upkeep(engine) == 1
    with reading(engine) as session:
        assert rows_of(session) == {"name/of@2": 2}
    engine.dispose()


# ---------------------------------------------------------------- PostgreSQL's index


@pytest.mark.postgresql_only
def test_index_is_built_when_there_are_many_and_goes_with_its_model(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "INDEXED_FROM", 150)
    model = "it's 100%: a model@1"
    rows = units(300)
    with writing(engine) as session:
        vectors.want(session, model, setting="a")
        pages = [make_page(session, f"Page {n}") for n in range(300)]
        hashes = {row.page_id: row.hash for row in vectors.pending(session, model, limit=300)}
        made = zip(pages[:150], rows, strict=False)
        vectors.save(session, [NewVector(p, model, hashes[p], row) for p, row in made])
    assert vectors.upkeep(engine) == 0
    with writing(engine) as session:
        made = zip(pages[150:], rows[150:], strict=True)
        vectors.save(session, [NewVector(p, model, hashes[p], row) for p, row in made])
        assert vectors.overdue(session) == 1
    assert vectors.upkeep(engine) == 1
    index = VectorIndex()
    with reading(engine) as session:
        assert vectors.overdue(session) == 0
        index.refresh(session)
        expected = [pages[at] for at in np.argsort(-(rows @ rows[9]))[:5]]
        with plans(session) as seen:
            found = index.nearest(session, rows[9], limit=5)
        assert [page for page, _ in found] == expected
        assert "ix_page_vector_half_" in seen[-1]
        (only,) = index.nearest(session, rows[9], limit=5, allowed=among([pages[7]]))
        assert only[0] == pages[7]
    with writing(engine) as session:
        vectors.want(session, ENCODER.model, setting="b")
        encode_by(session, ENCODER, limit=300)
    # The new model's index, its taking over, the old model's vectors and index.
    assert vectors.upkeep(engine) == 4
    with reading(engine) as session:
        assert vectors.overdue(session) == 0
        assert rows_of(session) == {ENCODER.model: 300}


@contextmanager
def plans(session: Session) -> Iterator[list[str]]:
    """How the server goes about each query of vectors that is made meanwhile, without a sort."""
    seen: list[str] = []
    connection = session.connection()
    for setting in ("seqscan", "sort", "bitmapscan"):
        connection.exec_driver_sql(f"SET LOCAL enable_{setting} = off")

    def look(
        asked: sa.Connection, cursor: object, statement: str, values: object, *_: object
    ) -> None:
        if "<#>" in statement and not statement.startswith("EXPLAIN"):
            plan = asked.exec_driver_sql(f"EXPLAIN {statement}", values).scalars()  # type: ignore[arg-type]
            seen.append("\n".join(plan))

    sa.event.listen(connection, "before_cursor_execute", look)
    try:
        yield seen
    finally:
        sa.event.remove(connection, "before_cursor_execute", look)


@pytest.mark.postgresql_only
def test_only_one_worker_looks_after_vectors_at_a_time(engine: Engine) -> None:
    with writing(engine) as session:
        vectors.want(session, "old@1", setting="a")
        page = make_page(session, "Page", text="walrus")
        vectors.save(session, [NewVector(page, "old@1", "h", unit("a"))])
        vectors.want(session, ENCODER.model, setting="b")
        encode_by(session, ENCODER)
    with vectors._one_at_a_time(engine) as mine:
        assert mine
        assert vectors.upkeep(engine) == 0
    assert vectors.upkeep(engine) == 2


@pytest.mark.postgresql_only
@pytest.mark.parametrize(
    ("version", "said"), [("0.7.4", "has 0.7.4.* ALTER EXTENSION"), ("0.8", ""), ("1.0.1", "")]
)
def test_extension_that_is_too_old_is_said_in_a_sentence(
    engine: Engine, version: str, said: str
) -> None:
    with writing(engine) as session:
        connection = session.connection()
        connection.execute(
            sa.text("UPDATE pg_extension SET extversion = :v WHERE extname = 'vector'"),
            {"v": version},
        )
        if said:
            with pytest.raises(Misconfigured, match=said):
                vectors.require_pgvector(connection)
        else:
            vectors.require_pgvector(connection)
        session.rollback()


@pytest.mark.postgresql_only
def test_writers_beside_each_other_are_all_seen(engine: Engine) -> None:
    """A vector that is committed late is not overlooked by who has read a later count."""
    with writing(engine) as session:
        pages = [make_page(session, f"Page {n}", text=f"word{n}") for n in range(40)]
    index = VectorIndex(ENCODER.model)
    wrong: list[BaseException] = []

    def write(mine: list[int]) -> None:
        try:
            for page in mine:
                with writing(engine, alone=False) as session:
                    vectors.save(session, [NewVector(page, ENCODER.model, "h", unit("a"))])
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(pages[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    with reading(engine) as session:
        index.refresh(session)
        assert sorted(near(index, session, "a", limit=99)) == pages
        seqs = session.connection().execute(sa.select(col(Vector.seq))).scalars().all()
        assert len(set(seqs)) == 40


# ---------------------------------------------------------------- recent queries


@pytest.mark.parametrize("text", ["a\0b", "half \ud800", "🧠 " * 500])
def test_any_query_can_be_remembered(engine: Engine, text: str) -> None:
    with writing(engine) as session:
        vectors.remember(session, "m", text, unit("x"), now=THEN)
        assert vectors.recall(session, "m", text) is not None


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
