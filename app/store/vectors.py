"""Vectors of pages and recent queries: their rows, the models they are of, and what is near.

Every vector is a unit row of little-endian float32, so a product is a cosine. Vectors of two models
never meet. SQLite's are kept in one matrix in memory (matrix.py); PostgreSQL searches its own by an
HNSW index, and no process holds them. It encodes nothing; who deletes pages makes way first.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col

from app.domain.records import (
    EmbeddingModel,
    PageText,
    PaperVector,
    QueryVector,
    TextVector,
    Unencoded,
    Vector,
)
from app.errors import Misconfigured, Unavailable
from app.store.db import generation, in_words, on_postgresql, reading, writing
from app.store.matrix import Ids, Part, Rows

COUNTER = "vectors"
KEPT_QUERIES = 500
OLDEST_PGVECTOR = (0, 8)
INDEXED_FROM = 2_000  # vectors of a model; fewer are scanned as fast
_LONGEST_INDEXED = 4_000  # numbers in a halfvec that pgvector indexes
_SOME = 1_000  # rows read, written or deleted in one go
_NUMBER = np.dtype("<f4")

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class NewVector:
    """A page's vector as it was made: by which model, of which text (`page_text.hash`)."""

    page_id: int
    model: str
    text_hash: str
    vector: Matrix


@dataclass(frozen=True)
class Pending:
    """A page whose text has no vector yet; `known` is what this text had before it was a page's."""

    page_id: int
    title: str
    text: str
    hash: str
    known: Matrix | None = None


# ---------------------------------------------------------------- rows


def save(session: Session, rows: Iterable[NewVector]) -> int:
    """Store vectors in place of older ones of the same page and model; how many were stored.

    A page that is gone, and a vector with a value that is no number, are left out. Raises
    Unavailable for a vector of another length than the others of its model.
    """
    kept = [row for row in rows if row.vector.size and np.isfinite(row.vector).all()]
    if not kept:
        return 0
    connection = session.connection()
    # Counted first: the row of the counter is held until the commit, so that `seq` follows the
    # order of commits, whoever else is writing.
    seq = _count(connection)
    for model, dim in dict.fromkeys((row.model, int(row.vector.size)) for row in kept):
        register(connection, model, dim)
    postgresql = on_postgresql(session)
    values = [
        {
            "page_id": row.page_id,
            "model": row.model,
            "dim": int(row.vector.size),
            "text_hash": row.text_hash,
            "data": _bytes(row.vector),
            "seq": seq,
        }
        | ({"half": _half(row.vector)} if postgresql else {})
        for row in kept
    ]
    stored = connection.execute(_SAVE_BOTH if postgresql else _SAVE, values).rowcount
    connection.execute(
        _ENCODED,
        [{"of": row.page_id, "text": row.text_hash, "made_by": row.model} for row in kept],
    )
    return int(stored)


_SAVE = sa.text(
    """INSERT INTO page_vector (page_id, model, dim, text_hash, data, seq)
    SELECT page.id, :model, :dim, :text_hash, :data, :seq FROM page WHERE page.id = :page_id
        AND page.kind NOT IN ('merged', 'removed')
    ON CONFLICT (page_id, model) DO UPDATE SET dim = excluded.dim,
        text_hash = excluded.text_hash, data = excluded.data, seq = excluded.seq"""
)
_SAVE_BOTH = sa.text(
    """INSERT INTO page_vector (page_id, model, dim, text_hash, data, seq, half)
    SELECT page.id, :model, :dim, :text_hash, :data, :seq, CAST(:half AS halfvec)
    FROM page WHERE page.id = :page_id
        AND page.kind NOT IN ('merged', 'removed') FOR KEY SHARE
    ON CONFLICT (page_id, model) DO UPDATE SET dim = excluded.dim, half = excluded.half,
        text_hash = excluded.text_hash, data = excluded.data, seq = excluded.seq"""
)
_ENCODED = sa.delete(Unencoded).where(
    col(Unencoded.page_id) == sa.bindparam("of"),
    col(Unencoded.hash) == sa.bindparam("text"),
    sa.exists().where(
        col(EmbeddingModel.id) == sa.bindparam("made_by"), col(EmbeddingModel.wanted)
    ),
)


def _count(connection: Connection) -> int:
    """Count a change now, and not at the commit as `bump` does; the new count."""
    return int(connection.execute(_COUNT, {"name": COUNTER}).scalar_one())


def make_way(session: Session) -> None:
    """For whoever deletes pages, before the first: count it, and wait for vectors being stored.

    They are counted before their pages are looked at: in the other order both would wait for ever.
    """
    _count(session.connection())


_COUNT = sa.text(
    "INSERT INTO generation (name, value) VALUES (:name, 1) "
    "ON CONFLICT (name) DO UPDATE SET value = generation.value + 1 RETURNING value"
)


def _bytes(vector: Matrix) -> bytes:
    return np.ascontiguousarray(vector, _NUMBER).tobytes()


def _half(vector: Matrix) -> str:
    """A vector as pgvector reads it."""
    largest = np.finfo(np.float16).max
    return str(np.clip(vector.ravel(), -largest, largest).astype(np.float16).tolist())


def pending(
    session: Session, model: str, *, limit: int, without: sa.Select[Any] | None = None
) -> list[Pending]:
    """Pages whose text as it stands has no vector of this model, lowest id first.

    `without` selects ids of pages that are left out: others are at them.
    """
    statement = _unencoded(
        session,
        model,
        col(PageText.page_id),
        col(PageText.title),
        col(PageText.text),
        col(PageText.hash),
    )
    if without is not None:
        statement = statement.where(col(PageText.page_id).not_in(without))
    statement = statement.order_by(col(PageText.page_id)).limit(limit)
    return [Pending(*row) for row in session.connection().execute(statement)]


def count_pending(session: Session, model: str) -> int:
    """How many pages' texts have no vector of this model."""
    if model == wanted(session):
        statement = sa.select(sa.func.count()).select_from(Unencoded)
    else:
        statement = _unencoded(session, model, sa.func.count(col(PageText.page_id)))
    return int(session.connection().execute(statement).scalar_one())


def _unencoded(session: Session, model: str, *columns: Any) -> sa.Select[Any]:
    """Of the pages without a vector of this model: kept by triggers for the wanted one alone."""
    if model == wanted(session):
        return sa.select(*columns).join(Unencoded, col(Unencoded.page_id) == col(PageText.page_id))
    return sa.select(*columns).where(~_is_current(model))


def _is_current(model: str) -> sa.Exists:
    return sa.exists().where(
        col(Vector.page_id) == col(PageText.page_id),
        col(Vector.model) == model,
        col(Vector.text_hash) == col(PageText.hash),
    )


# ---------------------------------------------------------------- models


def wanted(session: Session) -> str | None:
    """The model that pages are encoded by, or None before the first was chosen."""
    return _model(session, col(EmbeddingModel.wanted))


def serving(session: Session) -> str | None:
    """The model whose vectors searches use, or None while there are none."""
    return _model(session, col(EmbeddingModel.serves))


def changing(session: Session) -> bool:
    """Whether pages get vectors of one model while those of another serve."""
    return wanted(session) not in (None, serving(session))


def _model(session: Session, role: Any) -> str | None:
    statement = sa.select(col(EmbeddingModel.id)).where(role).order_by(col(EmbeddingModel.id))
    found: str | None = session.connection().execute(statement.limit(1)).scalar()
    return found


def _dim(session: Session, model: str) -> int:
    statement = sa.select(col(EmbeddingModel.dim)).where(col(EmbeddingModel.id) == model)
    return session.connection().execute(statement).scalar() or 0


def setting_of(session: Session, model: str) -> str | None:
    """The path or id that loads a model, or None for one that is not known."""
    statement = sa.select(col(EmbeddingModel.setting)).where(col(EmbeddingModel.id) == model)
    found: str | None = session.connection().execute(statement).scalar()
    return found or None


def want(session: Session, model: str, *, setting: str) -> None:
    """From now on pages are encoded by this model; `setting` is the path or id that loads it.

    Another model's vectors serve searches until this one has as many: see `upkeep`.
    """
    if model == wanted(session) and setting == setting_of(session, model):
        return
    connection = session.connection()
    _count(connection)
    changed = model != wanted(session)
    register(connection, model, 0)
    models = sa.update(EmbeddingModel)
    connection.execute(
        models.where(col(EmbeddingModel.id) == model).values(setting=_clean(setting))
    )
    connection.execute(models.values(wanted=col(EmbeddingModel.id) == model))
    served = serving(session)
    if served is None or not _has_vectors(connection, served):
        connection.execute(models.values(serves=col(EmbeddingModel.id) == model))
    if changed:
        _note_unencoded(connection, model)


def register(connection: Connection, model: str, dim: int) -> None:
    """Know a model and its length; the first one that is known serves."""
    statement = sa.select(col(EmbeddingModel.dim)).where(col(EmbeddingModel.id) == model)
    known = connection.execute(statement).scalar()
    if known is None:
        others = connection.execute(
            sa.select(sa.exists().where(col(EmbeddingModel.serves)))
        ).scalar_one()
        connection.execute(
            sa.insert(EmbeddingModel).values(
                id=model, setting="", dim=dim, wanted=False, serves=not others
            )
        )
    elif known == 0 and dim:
        connection.execute(
            sa.update(EmbeddingModel).where(col(EmbeddingModel.id) == model).values(dim=dim)
        )
    elif dim and known != dim:
        raise Unavailable(
            f"The vectors of {model} have {known} numbers, and it made one of {dim}: "
            "the model's files were changed. Put them back, or choose another model."
        )


def _has_vectors(connection: Connection, model: str) -> bool:
    return bool(
        connection.execute(sa.select(sa.exists().where(col(Vector.model) == model))).scalar()
    )


def _note_unencoded(connection: Connection, model: str) -> None:
    """Look through all pages for those without a vector of their text by this model."""
    connection.execute(sa.delete(Unencoded))
    connection.execute(
        sa.insert(Unencoded).from_select(
            ["page_id", "hash"],
            sa.select(col(PageText.page_id), col(PageText.hash)).where(~_is_current(model)),
        )
    )


def misnoted(session: Session) -> int:
    """How many pages are said to have no vector of their text and have one, or the other way round."""
    connection = session.connection()
    model = wanted(session) or ""
    waiting = sa.select(col(PageText.page_id), col(PageText.hash)).where(~_is_current(model))
    noted = sa.select(col(Unencoded.page_id), col(Unencoded.hash))
    told = {tuple(row) for row in connection.execute(waiting)}
    return len(told ^ {tuple(row) for row in connection.execute(noted)})


def restore(session: Session) -> None:
    """Make again what is derived of texts and vectors, after rows were copied in past `save`."""
    connection = session.connection()
    _count(connection)
    _note_unencoded(connection, wanted(session) or "")
    while on_postgresql(session) and (rows := connection.execute(_WITHOUT_HALF).all()):
        connection.execute(
            _FILL_HALF,
            [
                {"page_id": page_id, "model": model, "half": _half(np.frombuffer(data, _NUMBER))}
                for page_id, model, data in rows
            ],
        )


_WITHOUT_HALF = sa.text(
    "SELECT page_id, model, data FROM page_vector WHERE half IS NULL LIMIT 1000"
)
_FILL_HALF = sa.text(
    "UPDATE page_vector SET half = CAST(:half AS halfvec) WHERE page_id = :page_id AND model = :model"
)


# ---------------------------------------------------------------- upkeep


def overdue(session: Session) -> int:
    """How much `upkeep` would find to do."""
    takes_over = changing(session) and _all_encoded(session)
    unused = len(_unused(session)) if not takes_over else 1
    missing, stale = _indexes(session)
    return int(takes_over) + unused + len(missing) + len(stale)


def upkeep(engine: Engine) -> int:
    """Bring models and indexes in order; how much was done. For the worker, outside a transaction.

    The wanted model takes over when every page has a vector of it, the vectors of models that
    neither serve nor are wanted go, and PostgreSQL gets its indexes, built while searches go on.
    """
    with _one_at_a_time(engine) as mine:
        if not mine:
            return 0
        done = _build_indexes(engine)
        with writing(engine) as session:
            model = wanted(session)
            if changing(session) and _all_encoded(session):
                _count(session.connection())
                session.connection().execute(
                    sa.update(EmbeddingModel).values(serves=col(EmbeddingModel.id) == model)
                )
                done += 1
        with reading(engine) as session:
            unused = _unused(session)
        for model in unused:
            _drop(engine, model)
        return done + len(unused) + _drop_indexes(engine)


def _all_encoded(session: Session) -> bool:
    return not session.connection().execute(sa.select(col(Unencoded.page_id)).limit(1)).first()


def _unused(session: Session) -> list[str]:
    """Models that neither serve nor are wanted; none while no model is wanted."""
    if wanted(session) is None:
        return []
    statement = sa.select(col(EmbeddingModel.id)).where(
        ~col(EmbeddingModel.wanted), ~col(EmbeddingModel.serves)
    )
    return list(session.connection().execute(statement).scalars())


def _drop(engine: Engine, model: str) -> None:
    """Remove a model and all its vectors, a few at a time: others write meanwhile."""
    owners: tuple[tuple[Any, Any], ...] = (
        (Vector, col(Vector.page_id)),
        (PaperVector, col(PaperVector.paper_id)),
    )
    for table, owner in owners:
        first = sa.select(owner).where(table.model == model).limit(_SOME)
        some = sa.delete(table).where(table.model == model, owner.in_(first))
        gone = _SOME
        while gone == _SOME:
            with writing(engine) as session:
                gone = session.connection().execute(some).rowcount
    with writing(engine) as session:
        for statement in (
            sa.delete(QueryVector).where(col(QueryVector.model) == model),
            sa.delete(TextVector).where(col(TextVector.model) == model),
            sa.delete(EmbeddingModel).where(col(EmbeddingModel.id) == model),
        ):
            session.connection().execute(statement)


# ---------------------------------------------------------------- PostgreSQL and its index


def require_pgvector(connection: Connection) -> None:
    """Create the extension where it is missing. Raises Misconfigured where there is none to use."""
    version = connection.execute(_INSTALLED).scalar()
    if version is None:
        try:
            with connection.begin_nested():
                connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
        except DBAPIError as error:
            raise Misconfigured(
                "PostgreSQL needs the extension pgvector 0.8 or newer. Install it on the server "
                "and, as its administrator, run in this database: CREATE EXTENSION vector."
            ) from error
        version = connection.execute(_INSTALLED).scalar_one()
    if _parts(version) < OLDEST_PGVECTOR:
        raise Misconfigured(
            f"PostgreSQL needs pgvector 0.8 or newer, and this database has {version}. Install it "
            "on the server and run in this database: ALTER EXTENSION vector UPDATE."
        )


_INSTALLED = sa.text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


@contextmanager
def _one_at_a_time(engine: Engine) -> Iterator[bool]:
    """Whether this is the only worker at it. On SQLite there is one worker anyway."""
    if not on_postgresql(engine):
        yield True
        return
    with in_words(engine), _outside_transactions(engine) as connection:
        mine = connection.execute(_LOCK, _UPKEEP).scalar()
        try:
            yield bool(mine)
        finally:
            if mine:
                connection.execute(_UNLOCK, _UPKEEP)


_UPKEEP = {"number": 0x63657266}  # "cerf": one worker of a database looks after its vectors
_LOCK = sa.text("SELECT pg_try_advisory_lock(:number)")
_UNLOCK = sa.text("SELECT pg_advisory_unlock(:number)")


def _outside_transactions(engine: Engine) -> Connection:
    return engine.execution_options(isolation_level="AUTOCOMMIT").connect()


def _index_name(model: str) -> str:
    return f"ix_page_vector_half_{sha256(model.encode()).hexdigest()[:12]}"


def _indexes(session: Session) -> tuple[list[tuple[str, int]], list[str]]:
    """Models (id, dim) that want an index of their vectors, and indexes of models that are gone."""
    if not on_postgresql(session):
        return [], []
    connection = session.connection()
    there: dict[str, bool] = dict(connection.execute(_THERE).all())
    models = connection.execute(
        sa.select(col(EmbeddingModel.id), col(EmbeddingModel.dim)).where(
            col(EmbeddingModel.wanted) | col(EmbeddingModel.serves)
        )
    ).all()
    names = {_index_name(model) for model, _ in models}
    missing = [
        (model, dim)
        for model, dim in models
        if 0 < dim <= _LONGEST_INDEXED
        and not there.get(_index_name(model))
        and _has_many(connection, model)
    ]
    return missing, sorted(set(there) - names)


_THERE = sa.text(
    """SELECT class.relname, pg_index.indisvalid FROM pg_index
    JOIN pg_class AS class ON class.oid = pg_index.indexrelid
    WHERE pg_index.indrelid = 'page_vector'::regclass AND class.relname LIKE 'ix_page_vector_half_%'"""
)


def _has_many(connection: Connection, model: str) -> bool:
    statement = sa.select(col(Vector.page_id)).where(col(Vector.model) == model)
    return connection.execute(statement.offset(INDEXED_FROM).limit(1)).first() is not None


def _build_indexes(engine: Engine) -> int:
    """Build what is missing; searches and writers go on. What broke off half way is begun anew."""
    with reading(engine) as session:
        missing = _indexes(session)[0]
    for model, dim in missing:
        name, quoted = _index_name(model), model.replace("'", "''")
        with in_words(engine), _outside_transactions(engine) as connection:
            driver: Any = connection.connection.driver_connection
            connection.detach()  # closed afterwards, and its settings with it
            for statement in (
                "SET lock_timeout = 0",  # the build waits for whoever reads since before it
                "SET maintenance_work_mem = '512MB'",
                f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
                f"""CREATE INDEX CONCURRENTLY {name} ON page_vector
                USING hnsw ((half::halfvec({dim})) halfvec_ip_ops)
                WITH (m = {LINKS}, ef_construction = {BUILD_BREADTH}) WHERE model = '{quoted}'""",
            ):
                driver.execute(statement.encode())
    return len(missing)


LINKS = 16  # neighbours of a vector in the index (pgvector's m)
BUILD_BREADTH = 64  # candidates while it is built (ef_construction)
SEARCH_BREADTH = 100  # candidates of a search (ef_search), at least
_WIDEST = 1_000  # and at most


def _drop_indexes(engine: Engine) -> int:
    with reading(engine) as session:
        stale = _indexes(session)[1]
    for name in stale:
        with in_words(engine), _outside_transactions(engine) as connection:
            connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    return len(stale)


def _nearest_in_database(
    session: Session,
    model: str,
    vector: Matrix,
    *,
    limit: int,
    allowed: sa.Select[Any] | None,
) -> list[tuple[int, float]]:
    connection, dim, wide = session.connection(), int(vector.size), limit + limit // 4 + 8
    far = wide if allowed is None else max(wide, 4 * limit)
    # The farther off, the more neighbours are alike, and the more of them the index overlooks.
    breadth = min(_WIDEST, max(SEARCH_BREADTH, 2 * wide if allowed is None else 8 * far))
    connection.execute(_SEARCH, {"breadth": str(breadth)})
    distance = f"(half::halfvec({dim}) <#> CAST(:query AS halfvec({dim})))"
    # The model's name stands in the text of the statement: only so its index is found.
    of_model = (
        col(Vector.model) == sa.bindparam("model", model, sa.String(), literal_execute=True),
        col(Vector.dim) == dim,
    )
    near = sa.select(col(Vector.page_id)).where(*of_model).order_by(sa.text(distance)).limit(far)
    # The sum is nothing the index knows: each of the rows that are left is looked at.
    among = (
        sa.select(col(Vector.page_id), col(Vector.data))
        .where(*of_model)
        .order_by(sa.text(distance + " + 0"))
        .limit(wide)
    )
    if allowed is not None:
        among = among.where(col(Vector.page_id).in_(allowed))
    some = among.where(col(Vector.page_id).in_(sa.select(near.subquery().c.page_id)))
    values = {"query": _half(vector)}
    found = connection.execute(some, values).all()
    if allowed is not None and len(found) < limit:
        # Too few of the nearest are allowed: the nearest of all that are.
        found = connection.execute(among, values).all()
    if not found:
        return []
    ids = np.array([row[0] for row in found], np.int64)
    cosines = np.frombuffer(b"".join(row[1] for row in found), _NUMBER).reshape(-1, dim) @ vector
    order = np.lexsort((ids, -cosines))[:limit]
    return [(int(ids[row]), float(cosines[row])) for row in order]


_SEARCH = sa.text(
    "SELECT set_config('hnsw.ef_search', :breadth, true), "
    "set_config('hnsw.iterative_scan', 'relaxed_order', true)"
)


def written_since(session: Session, model: str, counted: int) -> NDArray[np.int64]:
    """The pages whose vectors of a model were written after a count of `COUNTER`."""
    statement = sa.select(col(Vector.page_id)).where(
        col(Vector.model) == model, col(Vector.seq) > counted
    )
    return np.array(session.connection().execute(statement).scalars().all(), np.int64)


# ---------------------------------------------------------------- recent queries


def recall(session: Session, model: str, text: str) -> Matrix | None:
    """The vector this query had when it was asked before, or None."""
    statement = sa.select(col(QueryVector.data)).where(
        col(QueryVector.model) == model, col(QueryVector.text) == _clean(text)
    )
    data = session.connection().execute(statement).scalar()
    if not data or len(data) % _NUMBER.itemsize:
        return None
    return np.frombuffer(data, _NUMBER).astype(np.float32)


def remember(session: Session, model: str, text: str, vector: Matrix, *, now: datetime) -> None:
    """Keep a query's vector; the 500 queries asked last are kept."""
    session.merge(QueryVector(model=model, text=_clean(text), data=_bytes(vector), at=now))
    session.flush()
    key = sa.tuple_(col(QueryVector.model), col(QueryVector.text))
    newest = (
        sa.select(col(QueryVector.model), col(QueryVector.text))
        .order_by(col(QueryVector.at).desc(), col(QueryVector.model), col(QueryVector.text))
        .limit(KEPT_QUERIES)
    )
    session.connection().execute(sa.delete(QueryVector).where(key.not_in(newest)))


def _clean(text: str) -> str:
    """A text that both engines can keep: no NUL, no halves of characters."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")


# ---------------------------------------------------------------- what is near


@dataclass(frozen=True)
class _State:
    """What an index knew at one generation. `rows` stays empty on PostgreSQL."""

    generation: int
    model: str
    dim: int
    rows: Rows


class VectorIndex:
    """What is near, among the vectors of the model that serves, or of one that is named.

    One for the life of a process, safe to share between threads: a search reads the state that
    stood when it began. A change of the serving model is noticed by `refresh`.
    """

    def __init__(self, model: str | None = None) -> None:
        self._named = model
        self._lock = threading.Lock()
        self._state = _State(-1, model or "", 0, Rows.none())

    @property
    def model(self) -> str:
        """The model the vectors are of; "" while there is none."""
        return self._state.model

    @property
    def dim(self) -> int:
        """Numbers in a vector; 0 while there is none."""
        return self._state.dim

    def refresh(self, session: Session) -> bool:
        """Take in what was written since the last look; whether anything was.

        For a session that does not itself have vectors to commit: they might be rolled back. Costs
        one read of a counter while nothing changed, and otherwise a read of the new vectors. A
        session that began before the last look learns nothing new.
        """
        if generation(session, COUNTER) <= self._state.generation:
            return False
        with self._lock:
            counted = generation(session, COUNTER)
            if counted <= self._state.generation:
                return False
            self._state = self._looked(session, self._state, counted)
            return True

    def _looked(self, session: Session, old: _State, counted: int) -> _State:
        model = self._named or serving(session) or ""
        if on_postgresql(session):
            return _State(counted, model, _dim(session, model), old.rows)
        if model != old.model:
            old = _State(-1, model, 0, Rows.none())
        rows = _caught_up(session, model, old.rows, since=old.generation)
        return _State(counted, model, rows.dim, rows)

    def nearest(
        self,
        session: Session,
        query_vector: Matrix,
        *,
        limit: int,
        allowed: sa.Select[Any] | None = None,
    ) -> list[tuple[int, float]]:
        """The pages nearest to a unit vector, as (page id, cosine), nearest first.

        `allowed` selects the ids of the pages that may be among them, before they are ranked.
        Empty for a vector of another length.
        """
        state = self._state
        vector = np.asarray(query_vector, np.float32).ravel()
        if limit < 1 or not state.dim or vector.size != state.dim or not np.isfinite(vector).all():
            return []
        if on_postgresql(session):
            return _nearest_in_database(session, state.model, vector, limit=limit, allowed=allowed)
        if allowed is None:
            return state.rows.nearest(vector, limit=limit)
        # To read the ids of a filter that leaves most pages costs more than the whole scan. The
        # nearest of all that it leaves are the nearest it leaves, if there are enough of them.
        near = state.rows.nearest(vector, limit=4 * limit)
        left = _left(session, allowed, [page_id for page_id, _ in near])
        if len(left) >= limit or len(near) == len(state.rows):
            return [pair for pair in near if pair[0] in left][:limit]
        ids = np.fromiter(session.connection().execute(allowed).scalars(), np.int64)
        return state.rows.nearest(vector, limit=limit, allowed=ids)

    def matrix_for(self, session: Session, page_ids: Sequence[int]) -> Matrix:
        """The vectors of these pages, one row each, (len(page_ids), dim); zeros where there is none."""
        state, ids = self._state, np.asarray(page_ids, np.int64)
        if not on_postgresql(session):
            return state.rows.of(ids)
        found = np.zeros((len(ids), state.dim), np.float32)
        for start in range(0, len(ids), 10 * _SOME):
            some = ids[start : start + 10 * _SOME]
            among = sa.any_(sa.literal(some.tolist(), ARRAY(sa.Integer)))
            parts = _read(session, state.model, state.dim, col(Vector.page_id) == among)
            rows = Rows.none().extended(parts, expected=len(some))
            if len(rows):
                found[start : start + len(some)] = rows.of(some)
        return found


def _left(session: Session, allowed: sa.Select[Any], page_ids: list[int]) -> set[int]:
    """Which of these pages are allowed. Each is looked up by its id, whatever the planner thinks."""
    asked = sa.func.json_each(json.dumps(page_ids)).table_valued("value")
    same = allowed.where(allowed.selected_columns[0] == asked.c.value)
    return set(
        session.connection().execute(sa.select(asked.c.value).where(same.exists())).scalars()
    )


def _caught_up(session: Session, model: str, rows: Rows, *, since: int) -> Rows:
    """The rows with what was written after a count, and without what is gone."""
    connection = session.connection()
    late = sa.and_(col(Vector.model) == model, col(Vector.seq) > since)
    count = sa.select(sa.func.count()).select_from(Vector)
    new = connection.execute(count.where(late)).scalar_one()
    if new:
        parts = _read(session, model, rows.dim or _dim(session, model), col(Vector.seq) > since)
        rows = rows.extended(parts, expected=int(new))
    if connection.execute(count.where(col(Vector.model) == model)).scalar_one() != len(rows):
        present = sa.select(col(Vector.page_id)).where(col(Vector.model) == model)
        rows = rows.without(np.fromiter(connection.execute(present).scalars(), np.int64))
    return rows


def _read(session: Session, model: str, dim: int, condition: Any) -> Iterator[Part]:
    """Vectors of a model, a thousand at a time, with their pages' ids. Damaged ones are left out."""
    statement = sa.select(col(Vector.page_id), col(Vector.data)).where(
        col(Vector.model) == model, condition
    )
    result = session.connection().execute(
        statement.order_by(col(Vector.seq)), execution_options={"yield_per": _SOME}
    )
    size = dim * _NUMBER.itemsize
    for part in result.partitions():
        whole = [row for row in part if len(row[1]) == size]
        ids: Ids = np.fromiter((row[0] for row in whole), np.int64, len(whole))
        block = np.frombuffer(b"".join(row[1] for row in whole), _NUMBER).reshape(len(whole), dim)
        yield ids, np.nan_to_num(block, posinf=0, neginf=0)
