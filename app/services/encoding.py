"""Encoding: pages whose text has no vector yet get one. The model runs with no transaction open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlmodel import Session

from app.embeddings.base import Encoder
from app.store import vectors
from app.store.vectors import NewVector, Pending

BATCH = 128
# The encoder's window is 256 word pieces; what lies beyond some 2,000 characters it never sees.
_MAX_CHARACTERS = 4000


def pending(session: Session, model: str) -> int:
    """How many pages wait for a vector of this model."""
    return vectors.counts(session, model).pending


def claim(session: Session, model: str, *, limit: int = BATCH) -> list[Pending]:
    """The next pages to encode."""
    return vectors.pending(session, model, limit=limit)


def encode(encoder: Encoder, rows: Sequence[Pending]) -> list[NewVector]:
    """A vector for each page, of its title and text. Raises Unavailable without a model.

    A text that the model makes no numbers of is near nothing: left without a vector it would be
    pending for ever.
    """
    if not rows:
        return []
    made = encoder.encode([text_of(row.title, row.text) for row in rows])
    return [
        NewVector(row.page_id, encoder.model, row.hash, np.nan_to_num(vector, posinf=0, neginf=0))
        for row, vector in zip(rows, made, strict=True)
    ]


def text_of(title: str, text: str) -> str:
    """What is encoded of a page: its title and the beginning of its text."""
    return f"{title}. {text}"[:_MAX_CHARACTERS].strip()


def store(session: Session, made: Sequence[NewVector]) -> int:
    """Keep the vectors; how many were kept (a page may be gone meanwhile)."""
    return vectors.save(session, made)
