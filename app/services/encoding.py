"""Encoding: what has no vector yet gets one. The model runs with no transaction open.

Pages come first; then papers of listings, which have no page, for the local scorer. The vector of a
paper's title and abstract is handed on to its page when it is kept: each text is encoded once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sqlmodel import Session

from app.embeddings.base import Encoder, Matrix
from app.store import assessments, paper_vectors, runs, vectors
from app.store.paper_vectors import Unencoded
from app.store.vectors import NewVector, Pending

STEP = "encode"
PAPERS = "papers"
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
    return _with_known(session, rows, model)


def _with_known(session: Session, rows: list[Pending], model: str) -> list[Pending]:
    """What was encoded while its paper waited in the Inbox is not encoded again for its page."""
    handed = paper_vectors.handed_on(session, [row.page_id for row in rows], model)
    found = []
    for row in rows:
        digest, vector = handed.get(row.page_id, ("", None))
        same = digest and digest == paper_vectors.text_hash(text_of(row.title, row.text))
        found.append(replace(row, known=vector) if same else row)
    return found


def encode(encoder: Encoder, rows: Sequence[Pending]) -> list[NewVector]:
    """A vector for each page, of its title and text. Raises Unavailable without a model.

    A text that the model makes no numbers of is near nothing: left without a vector it would be
    pending for ever.
    """
    new = [row for row in rows if row.known is None]
    made = iter(encoded(encoder, [text_of(row.title, row.text) for row in new]))
    return [
        NewVector(
            row.page_id, encoder.model, row.hash, next(made) if row.known is None else row.known
        )
        for row in rows
    ]


def encoded(encoder: Encoder, texts: Sequence[str]) -> Matrix:
    """A row a text, without a value that is no number."""
    if not texts:
        return np.zeros((0, 0), np.float32)
    return np.nan_to_num(encoder.encode(texts), posinf=0, neginf=0)


def text_of(title: str, text: str) -> str:
    """What is encoded of a page: its title and the beginning of its text."""
    return f"{title}. {text}"[:_MAX_CHARACTERS].strip()


def store(session: Session, made: Sequence[NewVector], *, owner: str) -> int:
    """Keep the vectors of pages that are still `owner`'s; how many (a page may be gone meanwhile)."""
    mine = runs.let_go(session, STEP, [row.page_id for row in made], owner=owner)
    return vectors.save(session, [row for row in made if row.page_id in mine])


# ---------------------------------------------------------------- papers of listings


def pending_papers(session: Session, model: str, *, day: str = "") -> int:
    """How many papers of the newest listings wait for a vector, and how many dropped ones that the
    scorer learns from; of one listing alone with `day`. None once another model was chosen.
    """
    if vectors.wanted(session) not in (None, model):
        return 0
    if day:
        return paper_vectors.count_undecided(session, model, since="", day=day)
    since = assessments.oldest_scored(session)
    return paper_vectors.count_undecided(session, model, since=since) + paper_vectors.count_dropped(
        session, model
    )


def take_up_papers(
    session: Session, encoder: Encoder, *, owner: str, day: str = ""
) -> list[Unencoded]:
    """The next papers to encode, those that wait first; of one listing alone with `day`."""
    model = encoder.model
    if vectors.wanted(session) not in (None, model):
        return []
    clock = time.time()
    held = runs.held(PAPERS, clock=clock)
    since = assessments.oldest_scored(session)
    rows = paper_vectors.undecided(session, model, since=since, day=day, limit=CLAIM, without=held)
    if not rows and not day:
        rows = paper_vectors.dropped(session, model, limit=CLAIM, without=held)
    runs.hold(session, PAPERS, [row.paper_id for row in rows], owner=owner, clock=clock)
    return rows


def encode_papers(encoder: Encoder, rows: Sequence[Unencoded]) -> list[tuple[int, str, Matrix]]:
    """Of each paper its id, the hash of its text and the vector of that."""
    texts = [text_of(row.title, row.abstract) for row in rows]
    made = encoded(encoder, texts)
    return [
        (row.paper_id, paper_vectors.text_hash(text), vector)
        for row, text, vector in zip(rows, texts, made, strict=True)
    ]


def store_papers(
    session: Session, model: str, made: Sequence[tuple[int, str, Matrix]], *, owner: str
) -> int:
    """Keep the vectors of papers that are still `owner`'s; how many."""
    mine = runs.let_go(session, PAPERS, [row[0] for row in made], owner=owner)
    return paper_vectors.save(session, model, [row for row in made if row[0] in mine])
