"""Vectors of pages and recent queries: their rows, and the matrix that answers "what is near".

Every vector is a unit row of little-endian float32, so a product is a cosine. Vectors of two
models never meet. It encodes nothing; who wrote vectors has counted "vectors" by it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlmodel import Session, col

from app.domain.records import PageText, QueryVector, Vector
from app.store.db import bump, generation

COUNTER = "vectors"
KEPT_QUERIES = 500
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
    """A page whose text has no vector yet."""

    page_id: int
    title: str
    names: str
    text: str
    hash: str


@dataclass(frozen=True)
class Counts:
    """How many pages have text, and how many of those a vector of that text as it stands."""

    pages: int
    current: int

    @property
    def pending(self) -> int:
        return self.pages - self.current


# ---------------------------------------------------------------- rows


def save(session: Session, rows: Iterable[NewVector]) -> int:
    """Store vectors in place of older ones of the same page and model; how many were stored.

    A page that is gone, and a vector with a value that is no number, are left out.
    """
    values = [
        {
            "page_id": row.page_id,
            "model": row.model,
            "dim": int(row.vector.size),
            "text_hash": row.text_hash,
            "data": _bytes(row.vector),
        }
        for row in rows
        if row.vector.size and np.isfinite(row.vector).all()
    ]
    if not values:
        return 0
    stored = 0
    for value in values:
        stored += session.connection().execute(_SAVE, value).rowcount
    bump(session, COUNTER)
    return stored


_SAVE = sa.text(
    """INSERT OR REPLACE INTO vector (page_id, model, dim, text_hash, data)
    SELECT :page_id, :model, :dim, :text_hash, :data
    WHERE EXISTS (SELECT 1 FROM page WHERE page.id = :page_id)"""
)


def pending(session: Session, model: str, *, limit: int) -> list[Pending]:
    """Pages whose text as it stands has no vector of this model, lowest id first."""
    statement = (
        sa.select(
            col(PageText.page_id),
            col(PageText.title),
            col(PageText.names),
            col(PageText.text),
            col(PageText.hash),
        )
        .where(~_is_current(model))
        .order_by(col(PageText.page_id))
        .limit(limit)
    )
    return [Pending(*row) for row in session.connection().execute(statement)]


def counts(session: Session, model: str) -> Counts:
    """How far the encoding of this model has come."""
    statement = sa.select(
        sa.func.count(), sa.func.coalesce(sa.func.sum(sa.cast(_is_current(model), sa.Integer)), 0)
    ).select_from(PageText)
    pages, current = session.connection().execute(statement).one()
    return Counts(pages=pages, current=current)


def _is_current(model: str) -> sa.Exists:
    return sa.exists().where(
        col(Vector.page_id) == col(PageText.page_id),
        col(Vector.model) == model,
        col(Vector.text_hash) == col(PageText.hash),
    )


def models(session: Session) -> dict[str, int]:
    """The models there are vectors of, with how many, most first."""
    statement = (
        sa.select(col(Vector.model), sa.func.count())
        .group_by(col(Vector.model))
        .order_by(sa.func.count().desc(), col(Vector.model))
    )
    return dict(session.connection().execute(statement).all())


def drop_others(session: Session, model: str) -> int:
    """Remove the vectors of every other model; how many. For after a change of model."""
    gone = (
        session.connection().execute(sa.delete(Vector).where(col(Vector.model) != model)).rowcount
    )
    session.connection().execute(sa.delete(QueryVector).where(col(QueryVector.model) != model))
    if gone:
        bump(session, COUNTER)
    return gone


def _bytes(vector: Matrix) -> bytes:
    return np.ascontiguousarray(vector, _NUMBER).tobytes()


# ---------------------------------------------------------------- recent queries


def recall(session: Session, model: str, text: str) -> Matrix | None:
    """The vector this query had when it was asked before, or None."""
    statement = sa.select(col(QueryVector.data)).where(
        col(QueryVector.model) == model, col(QueryVector.text) == text
    )
    data = session.connection().execute(statement).scalar()
    if not data or len(data) % _NUMBER.itemsize:
        return None
    return np.frombuffer(data, _NUMBER).astype(np.float32)


def remember(session: Session, model: str, text: str, vector: Matrix, *, now: datetime) -> None:
    """Keep a query's vector; the 500 queries asked last are kept."""
    session.merge(QueryVector(model=model, text=text, data=_bytes(vector), at=now))
    session.flush()
    newest: sa.Select[Any] = (
        sa.select(sa.literal_column("rowid"))
        .select_from(QueryVector)
        .order_by(col(QueryVector.at).desc(), sa.literal_column("rowid").desc())
        .limit(KEPT_QUERIES)
    )
    session.connection().execute(
        sa.delete(QueryVector).where(sa.literal_column("rowid").not_in(newest))
    )


# ---------------------------------------------------------------- the matrix


@dataclass(frozen=True)
class _Snapshot:
    """The vectors at one generation: rows of `matrix` belong to `page_ids`. Never changed."""

    generation: int
    page_ids: NDArray[np.int64]
    hashes: Mapping[int, str]
    row_of: Mapping[int, int]
    matrix: Matrix


_EMPTY = _Snapshot(-1, np.zeros(0, np.int64), {}, {}, np.zeros((0, 0), np.float32))


class VectorIndex:
    """All vectors of one model in one contiguous matrix, kept for the life of a process.

    Safe to share between threads: a search reads the snapshot that stood when it began.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self._lock = threading.Lock()
        self._snapshot = _EMPTY

    def __len__(self) -> int:
        return len(self._snapshot.page_ids)

    @property
    def dim(self) -> int:
        """Numbers in a vector; 0 while there is none."""
        return int(self._snapshot.matrix.shape[1])

    @property
    def page_ids(self) -> NDArray[np.int64]:
        """The pages that have a vector, in the order of the rows."""
        return self._snapshot.page_ids

    def refresh(self, session: Session) -> bool:
        """Take in what was written since the last look; whether anything was.

        For a session that does not itself have vectors to commit: they might be rolled back. Costs one read of a counter while nothing changed, and otherwise the hashes of all
        vectors and the vectors that are new.
        """
        if generation(session, COUNTER) == self._snapshot.generation:
            return False
        with self._lock:
            counted = generation(session, COUNTER)
            if counted == self._snapshot.generation:
                return False
            self._snapshot = self._load(session, self._snapshot, counted)
            return True

    def _load(self, session: Session, old: _Snapshot, counted: int) -> _Snapshot:
        connection = session.connection()
        statement = sa.select(col(Vector.page_id), col(Vector.text_hash)).where(
            col(Vector.model) == self.model
        )
        hashes: dict[int, str] = dict(connection.execute(statement).all())
        wanted = [page_id for page_id, text in hashes.items() if old.hashes.get(page_id) != text]
        loaded = self._read(session, wanted)
        dim = old.matrix.shape[1] or next((len(v) for v in loaded.values()), 0)
        kept = np.array(
            [p in hashes and p not in loaded for p in old.page_ids.tolist()], dtype=np.bool_
        )
        added = {page_id: vector for page_id, vector in loaded.items() if len(vector) == dim}
        page_ids = np.concatenate([old.page_ids[kept], np.fromiter(added, np.int64, len(added))])
        matrix = np.empty((len(page_ids), dim), np.float32)
        stay = int(kept.sum())
        if stay:
            np.compress(kept, old.matrix, axis=0, out=matrix[:stay])
        for row, vector in enumerate(added.values(), start=stay):
            matrix[row] = vector
        matrix.flags.writeable = False
        return _Snapshot(
            generation=counted,
            page_ids=page_ids,
            hashes={page_id: hashes[page_id] for page_id in page_ids.tolist()},
            row_of={page_id: row for row, page_id in enumerate(page_ids.tolist())},
            matrix=matrix,
        )

    def _read(self, session: Session, page_ids: Sequence[int]) -> dict[int, Matrix]:
        found: dict[int, Matrix] = {}
        for start in range(0, len(page_ids), 500):
            statement = sa.select(col(Vector.page_id), col(Vector.data)).where(
                col(Vector.model) == self.model,
                col(Vector.page_id).in_(page_ids[start : start + 500]),
            )
            for page_id, data in session.connection().execute(statement):
                if data and len(data) % _NUMBER.itemsize == 0:
                    found[page_id] = np.frombuffer(data, _NUMBER)
        return found

    def nearest(
        self, query_vector: Matrix, *, limit: int, allowed: NDArray[np.int64] | None = None
    ) -> list[tuple[int, float]]:
        """The pages nearest to a unit vector, as (page id, cosine), nearest first.

        `allowed` names the pages that may be among them. Empty for a vector of another length.
        """
        snapshot = self._snapshot
        vector = np.asarray(query_vector, np.float32).ravel()
        if limit < 1 or not len(snapshot.page_ids) or vector.size != snapshot.matrix.shape[1]:
            return []
        if allowed is None:
            ids, cosines = snapshot.page_ids, snapshot.matrix @ vector
        else:
            rows = np.flatnonzero(np.isin(snapshot.page_ids, allowed))
            ids = snapshot.page_ids[rows]
            # Few rows are gathered; of many, the whole product is cheaper than the copy.
            few = len(rows) * 8 < len(snapshot.page_ids)
            cosines = snapshot.matrix[rows] @ vector if few else (snapshot.matrix @ vector)[rows]
        if len(ids) > limit:
            best = np.argpartition(-cosines, limit - 1)[:limit]
            ids, cosines = ids[best], cosines[best]
        order = np.lexsort((ids, -cosines))
        return [(int(ids[row]), float(cosines[row])) for row in order]

    def matrix_for(self, page_ids: Sequence[int]) -> Matrix:
        """The vectors of these pages, one row each, (len(page_ids), dim); zeros where there is none."""
        snapshot = self._snapshot
        found = np.zeros((len(page_ids), snapshot.matrix.shape[1]), np.float32)
        rows = [(at, snapshot.row_of.get(page_id)) for at, page_id in enumerate(page_ids)]
        have = [(at, row) for at, row in rows if row is not None]
        if have:
            found[[at for at, _ in have]] = snapshot.matrix[[row for _, row in have]]
        return found
