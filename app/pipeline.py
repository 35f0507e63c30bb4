"""The order of the day: each step, in order, with the query that finds its pending work.

Work is derived from state, not from a queue: a page whose text has no vector, a kept paper the
linker has not seen as it stands. So a crash loses nothing, nothing is done twice, and progress is a
count. A batch reads, thinks without any transaction open, and writes in one short transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.domain.linking import Weights
from app.domain.words import Lexicon
from app.embeddings.base import Encoder
from app.services import encoding, linker
from app.store import papers
from app.store.db import reading, writing
from app.store.vectors import VectorIndex


class Tools(Protocol):
    """What steps are given; `bootstrap.App` has it all."""

    @property
    def engine(self) -> Engine: ...
    @property
    def encoder(self) -> Encoder | None: ...
    @property
    def index(self) -> VectorIndex | None: ...
    @property
    def weights(self) -> Weights: ...
    @property
    def lexicon(self) -> Lexicon: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...


@dataclass(frozen=True)
class Batch:
    """What one batch of a step did. Neither done nor failed: nothing was pending."""

    done: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Step:
    """One step: its name, what waits for it in words, how many wait, and one batch of it."""

    name: str
    waits: str
    pending: Callable[[Session, Tools], int]
    run: Callable[[Tools], Batch]


def _encode_pending(session: Session, tools: Tools) -> int:
    return encoding.pending(session, tools.encoder.model) if tools.encoder else 0


def _encode(tools: Tools) -> Batch:
    if tools.encoder is None:
        return Batch()
    with reading(tools.engine) as session:
        rows = encoding.claim(session, tools.encoder.model)
    made = encoding.encode(tools.encoder, rows)
    if made:
        with writing(tools.engine) as session:
            encoding.store(session, made)
    return Batch(done=len(made))


def _link_pending(session: Session, tools: Tools) -> int:
    return linker.pending(session, now=tools.clock())


def _link(tools: Tools) -> Batch:
    now = tools.clock()
    with reading(tools.engine) as session:
        work = linker.claim(session, tools.index, now=now)
    if not work.papers:
        return Batch()
    proposals = linker.rank_papers(work, tools.weights, lexicon=tools.lexicon)
    with writing(tools.engine) as session:
        linker.store(session, work, proposals, now=now)
    return Batch(done=len(work.papers))


STEPS = (
    Step("encode", "texts to encode", _encode_pending, _encode),
    Step("link", "papers to link", _link_pending, _link),
)


def pending(session: Session, tools: Tools) -> list[tuple[str, int]]:
    """What waits, by step: (words, count), steps with nothing left out."""
    waiting = [(step.waits, step.pending(session, tools)) for step in STEPS]
    return [(words, count) for words, count in waiting if count]


def link_now(
    tools: Tools, *, paper: str = "", limit: int = 10
) -> tuple[list[dict[str, object]], int]:
    """Run the linker now, for all kept papers without an accepted `about` link or for one.

    Texts without a vector are encoded first. Returns a row a candidate, below the floor too,
    surest first within a paper, and how many new links were proposed. Raises NotFound.
    """
    while _encode(tools).done:
        pass
    now = tools.clock()
    with reading(tools.engine) as session:
        work = linker.claim(session, tools.index, now=now, all_unlinked=not paper, paper=paper)
        names = papers.references(
            session, [*work.papers, *(concept.id for concept in work.concepts)]
        )
    ranked = linker.rank_papers(work, tools.weights, limit=limit, lexicon=tools.lexicon)
    made = 0
    if work.papers:
        with writing(tools.engine) as session:
            made = linker.store(session, work, ranked, now=now)
    rows: list[dict[str, object]] = [
        {
            "paper": names[proposal.candidate.paper],
            "target": names[proposal.candidate.concept],
            "relation": "about",
            "confidence": round(proposal.candidate.confidence, 6),
            "proposed": proposal.candidate.proposed,
            "reason": proposal.reason,
            "evidence": linker.evidence_json(proposal),
            "signals": linker.signals_json(proposal.candidate),
        }
        for proposal in ranked
    ]
    return rows, made
