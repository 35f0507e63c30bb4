"""Vectors of papers that have no page, and of short texts that are asked for again and again.

A row as in `vectors.py`: a unit vector of little-endian float32 numbers by the model that is named.
A trigger removes a paper's when its title or abstract changes. Those of dropped papers stay: the
local scorer learns from them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.records import (
    ListingPaper,
    Paper,
    PaperState,
    PaperVector,
    TextVector,
    Vector,
)
from app.store import vectors
from app.store.vectors import Matrix

UNDECIDED = (PaperState.WAITING, PaperState.DEFERRED)
LEARNED_DROPPED = 10_000  # dropped papers, the newest, that the scorer learns from
_SOME = 500  # ids in one statement
_NUMBER = np.dtype("<f4")


@dataclass(frozen=True)
class Unencoded:
    """A paper without a page and without a vector."""

    paper_id: int
    title: str
    abstract: str


def text_hash(text: str) -> str:
    """What a stored vector names the text by that it is of."""
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


# ---------------------------------------------------------------- papers


def undecided(
    session: Session,
    model: str,
    *,
    since: str,
    day: str = "",
    limit: int = 128,
    without: sa.Select[Any] | None = None,
) -> list[Unencoded]:
    """Listed papers that wait without a vector of this model, the newest listing first.

    Of listings from `since` on, or of the one of `day`. `without` selects papers that others are at.
    """
    statement = sa.select(col(Paper.id), col(Paper.title), col(Paper.abstract)).where(
        *_undecided(model, since=since, day=day)
    )
    if without is not None:
        statement = statement.where(col(Paper.id).not_in(without))
    statement = statement.order_by(col(Paper.came).desc(), col(Paper.id)).limit(limit)
    return _papers(session, statement)


def dropped(
    session: Session, model: str, *, limit: int = 128, without: sa.Select[Any] | None = None
) -> list[Unencoded]:
    """Dropped papers to learn from that have no vector of this model: after a change of model, or
    decided before they had one.
    """
    newest = _dropped()
    statement = sa.select(newest.c.id, newest.c.title, newest.c.abstract).where(
        ~_has_vector(newest.c.id, model)
    )
    if without is not None:
        statement = statement.where(newest.c.id.not_in(without))
    return _papers(session, statement.limit(limit))


def _papers(session: Session, statement: Any) -> list[Unencoded]:
    return [Unencoded(*row) for row in session.connection().execute(statement).all()]


def count_undecided(session: Session, model: str, *, since: str, day: str = "") -> int:
    """How many papers `undecided` would give in all."""
    counted = sa.select(sa.func.count(col(Paper.id))).where(
        *_undecided(model, since=since, day=day)
    )
    return int(session.connection().execute(counted).scalar_one())


def count_dropped(session: Session, model: str) -> int:
    """How many papers `dropped` would give in all."""
    newest = _dropped()
    counted = sa.select(sa.func.count()).select_from(newest).where(~_has_vector(newest.c.id, model))
    return int(session.connection().execute(counted).scalar_one())


def _undecided(model: str, *, since: str, day: str = "") -> list[Any]:
    listed = [col(ListingPaper.paper_id) == col(Paper.id)]
    if day:
        listed.append(col(ListingPaper.day) == day)
    conditions = [
        col(Paper.state).in_(UNDECIDED),
        sa.exists().where(*listed),
        ~_has_vector(col(Paper.id), model),
    ]
    return conditions if day else [col(Paper.came) >= since, *conditions]


def _dropped() -> sa.Subquery:
    return (
        sa.select(col(Paper.id), col(Paper.title), col(Paper.abstract))
        .where(col(Paper.state) == PaperState.DROPPED)
        .order_by(col(Paper.came).desc(), col(Paper.published).desc(), col(Paper.score).desc())
        .limit(LEARNED_DROPPED)
        .subquery()
    )


def _has_vector(paper_id: Any, model: str) -> sa.Exists:
    return sa.exists().where(col(PaperVector.paper_id) == paper_id, col(PaperVector.model) == model)


def save(session: Session, model: str, rows: Iterable[tuple[int, str, Matrix]]) -> int:
    """Store vectors as (paper, hash of the text, vector); how many were stored.

    A paper that is gone is left out. Raises Unavailable for a vector of another length than the
    others of its model.
    """
    kept = [row for row in rows if row[2].size]
    if not kept:
        return 0
    connection = session.connection()
    for size in {int(vector.size) for _, _, vector in kept}:
        vectors.register(connection, model, size)
    values = [
        {"paper": paper, "model": model, "hash": digest, "data": to_bytes(vector)}
        for paper, digest, vector in kept
    ]
    return int(connection.execute(_SAVE, values).rowcount)


_SAVE = sa.text(
    """INSERT INTO paper_vector (paper_id, model, text_hash, data)
    SELECT paper.id, :model, :hash, :data FROM paper WHERE paper.id = :paper
    ON CONFLICT (paper_id, model) DO UPDATE SET text_hash = excluded.text_hash, data = excluded.data"""
)


def handed_on(
    session: Session, page_ids: Collection[int], model: str
) -> dict[int, tuple[str, Matrix]]:
    """By page, the vector that its paper had while it waited, behind the hash of its text."""
    found: dict[int, tuple[str, Matrix]] = {}
    for some in _chunks(page_ids):
        rows = session.connection().execute(_HANDED, {"pages": some, "model": model}).all()
        for page_id, digest, data in rows:
            vector = to_vector(data)
            if vector is not None:
                found[page_id or 0] = digest, vector
    return found


_HANDED = (
    sa.select(col(Paper.page_id), col(PaperVector.text_hash), col(PaperVector.data))
    .join(PaperVector, col(PaperVector.paper_id) == col(Paper.id))
    .where(
        col(Paper.page_id).in_(sa.bindparam("pages", expanding=True)),
        col(PaperVector.model) == sa.bindparam("model"),
    )
)


def of_paper(model: str) -> tuple[sa.ColumnElement[bytes], list[tuple[Any, Any]]]:
    """A column with the vector of a paper, its own or its page's, and the outer joins it needs."""
    data: sa.ColumnElement[bytes] = sa.func.coalesce(col(PaperVector.data), col(Vector.data))
    return data, [
        (
            PaperVector,
            sa.and_(col(PaperVector.paper_id) == col(Paper.id), col(PaperVector.model) == model),
        ),
        (Vector, sa.and_(col(Vector.page_id) == col(Paper.page_id), col(Vector.model) == model)),
    ]


# ---------------------------------------------------------------- short texts


def of_texts(session: Session, model: str, texts: Iterable[str]) -> dict[str, Matrix]:
    """The vectors by this model of those of the texts that have one."""
    by_hash = {text_hash(text): text for text in texts}
    found: dict[str, Matrix] = {}
    for some in _chunks(by_hash):
        statement = sa.select(col(TextVector.hash), col(TextVector.data)).where(
            col(TextVector.model) == model, col(TextVector.hash).in_(some)
        )
        for digest, data in session.connection().execute(statement):
            vector = to_vector(data)
            if vector is not None:
                found[by_hash[digest]] = vector
    return found


def save_texts(session: Session, model: str, made: Mapping[str, Matrix]) -> None:
    """Keep the vectors of texts."""
    values = [
        {"model": model, "hash": text_hash(text), "data": to_bytes(vector)}
        for text, vector in made.items()
    ]
    if values:
        session.connection().execute(_SAVE_TEXT, values)


_SAVE_TEXT = sa.text(
    """INSERT INTO text_vector (model, hash, data) VALUES (:model, :hash, :data)
    ON CONFLICT (model, hash) DO UPDATE SET data = excluded.data"""
)


# ---------------------------------------------------------------- numbers


def to_bytes(vector: Matrix) -> bytes:
    return np.ascontiguousarray(vector, _NUMBER).tobytes()


def to_vector(data: bytes | None, size: int = 0) -> Matrix | None:
    """The vector in a row; None for none, or for one of another length than `size`."""
    if not data or len(data) % _NUMBER.itemsize or (size and len(data) != size * _NUMBER.itemsize):
        return None
    vector = np.frombuffer(data, _NUMBER).astype(np.float32)
    return np.nan_to_num(vector, posinf=0, neginf=0)


def _chunks(values: Iterable[Any]) -> Iterable[list[Any]]:
    every = list(values)
    return (every[start : start + _SOME] for start in range(0, len(every), _SOME))
