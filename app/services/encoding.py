"""Encoding: pages whose text has no vector yet get one. The model runs with no transaction open."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from sqlmodel import Session

from app.embeddings.base import Encoder
from app.store import runs, vectors
from app.store.vectors import NewVector, Pending

STEP = "encode"
CLAIM = 128
# The encoder's window is 256 word pieces; what lies beyond some 2,000 characters it never sees.
_MAX_CHARACTERS = 4000


def choose(session: Session, encoder: Encoder) -> None:
    """Pages get vectors of this encoder's model from now on. Raises Unavailable without a model.

    Until all have one, searches and the linker go by the vectors of the model before.
    """
    vectors.want(session, encoder.model, setting=encoder.setting)


def pending(session: Session, model: str) -> int:
    """How many pages wait for a vector of this model; none once another was chosen."""
    if vectors.wanted(session) not in (None, model):
        return 0
    return vectors.count_pending(session, model)


def take_up(session: Session, encoder: Encoder, *, owner: str, limit: int = CLAIM) -> list[Pending]:
    """The next pages to encode; no other worker gets them while `owner` is at work.

    None once a worker that started later chose another model. Raises Unavailable without a model.
    """
    chosen, model = vectors.wanted(session), encoder.model
    if chosen is None:
        choose(session, encoder)
    elif chosen != model:
        return []
    clock = time.time()
    rows = vectors.pending(session, model, limit=limit, without=runs.held(STEP, clock=clock))
    runs.hold(session, STEP, [row.page_id for row in rows], owner=owner, clock=clock)
    return rows


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


def store(session: Session, made: Sequence[NewVector], *, owner: str) -> int:
    """Keep the vectors of pages that are still `owner`'s; how many (a page may be gone meanwhile)."""
    mine = runs.let_go(session, STEP, [row.page_id for row in made], owner=owner)
    return vectors.save(session, [row for row in made if row.page_id in mine])
