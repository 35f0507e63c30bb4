"""The order of the day: each step, in order, with the query that finds its pending work.

Work is derived from state, not from a queue: a page whose text has no vector, a kept paper the
linker has not seen as it stands. So a crash loses nothing, nothing is done twice, and progress is a
count. A batch takes its rows up, thinks without any transaction open, and writes in one short
transaction what is still its own: several workers share the work, and no row is done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.domain.linking import Weights
from app.embeddings.base import Encoder
from app.services import concepts, encoding, linker, membership, relations, rules, terms
from app.store import links, papers, runs, vectors
from app.store.corpus import Library
from app.store.db import reading, writing
from app.store.relations import NameIndex
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
    def weights_in_force(self, session: Session) -> Weights: ...
    @property
    def library(self) -> Library: ...
    @property
    def names(self) -> NameIndex: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...


@dataclass(frozen=True)
class Batch:
    """What one batch of a step did. Neither done nor failed: nothing was pending."""

    done: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Step:
    """One step: its name, what waits for it in words, how many wait, and one batch of it.

    A batch is given the owner of its holds (`runs.at_work`); `ready` says whether there may be one.
    """

    name: str
    waits: str
    pending: Callable[[Session, Tools], int]
    run: Callable[[Tools, str], Batch]
    ready: Callable[[Session, Tools], bool] = lambda session, tools: True


def _encode_pending(session: Session, tools: Tools) -> int:
    return encoding.pending(session, tools.encoder.model) if tools.encoder else 0


def _encode(tools: Tools, owner: str) -> Batch:
    if tools.encoder is None:
        return Batch()
    with writing(tools.engine) as session:
        rows = encoding.take_up(session, tools.encoder, owner=owner)
    made = encoding.encode(tools.encoder, rows)
    if made:
        with writing(tools.engine, alone=False) as session:
            encoding.store(session, made, owner=owner)
    return Batch(done=len(made))


def _upkeep_pending(session: Session, tools: Tools) -> int:
    return vectors.overdue(session) if tools.encoder else 0


def _upkeep(tools: Tools, owner: str) -> Batch:
    return Batch(done=vectors.upkeep(tools.engine))


def _terms_pending(session: Session, tools: Tools) -> int:
    return terms.pending(session, now=tools.clock())


def _terms(tools: Tools, owner: str) -> Batch:
    now = tools.clock()
    with writing(tools.engine) as session:
        taken = terms.take_up(session, owner=owner, now=now)
        if not taken.hashes and not terms.is_due(session):
            return Batch()
    found = terms.extract(taken)
    with writing(tools.engine) as session:
        touched = terms.store(session, found, owner=owner)
    with reading(tools.engine) as session:
        field = terms.survey(session, touched)
    subjects = terms.judge(field)
    with reading(tools.engine) as session:
        chosen, left_out = terms.choose(session, subjects, field)
    told = terms.argue(chosen, field, now=now)
    with writing(tools.engine) as session:
        terms.propose(session, told, taken, field=field, left_out=left_out, owner=owner, now=now)
    return Batch(done=len(taken.hashes) or 1)


def _may_link(session: Session, tools: Tools) -> bool:
    """Not while texts wait for their vectors, perhaps with another worker: what is linked before its
    vector is there is not looked at again when it comes. After a change of model they may wait for
    hours: the old vectors serve.
    """
    return not _encode_pending(session, tools) or vectors.changing(session)


def _proposing(
    service: Any, waits: str, think: Callable[[Tools, Sequence[int]], tuple[Any, Sequence[Any]]]
) -> Step:
    """The step of a service that proposes links of papers: the linker, relations or membership.

    `think(tools, papers)` reads in one transaction and answers with the service's work and proposals.
    """

    def pending(session: Session, tools: Tools) -> int:
        waiting: int = service.pending(session, now=tools.clock())
        return waiting

    def run(tools: Tools, owner: str) -> Batch:
        now = tools.clock()
        with writing(tools.engine) as session:
            if not _may_link(session, tools):
                return Batch()
            taken = service.take_up(session, owner=owner, now=now)
        if not taken:
            return Batch()
        work, proposals = think(tools, taken)
        with writing(tools.engine) as session:
            service.store(session, work, proposals, owner=owner, now=now)
            # And of what went since it was taken up: it would be held for as long as this worker lives.
            runs.let_go(session, service.STEP, taken, owner=owner)
        return Batch(done=len(taken))

    return Step(service.STEP, waits, pending, run, _may_link)


def _link(tools: Tools, taken: Sequence[int]) -> tuple[linker.Work, list[linker.Proposal]]:
    with reading(tools.engine) as session:
        work = linker.read(session, tools.index, taken, tools.library)
        weights = tools.weights_in_force(session)
    return work, linker.rank_papers(work, weights, proposed_only=True)


def _relate(tools: Tools, taken: Sequence[int]) -> tuple[relations.Work, list[relations.Proposal]]:
    with reading(tools.engine) as session:
        work = relations.read(session, tools.index, taken, tools.names)
    return work, relations.think(work, proposed_only=True)


def _thread(
    tools: Tools, taken: Sequence[int]
) -> tuple[membership.Work, list[membership.Proposal]]:
    with reading(tools.engine) as session:
        work = membership.read(session, tools.index, taken, tools.library)
    return work, membership.think(work, tools.weights, proposed_only=True)


def _duplicates_pending(session: Session, tools: Tools) -> int:
    return concepts.pending(session)


def _duplicates(tools: Tools, owner: str) -> Batch:
    with writing(tools.engine) as session:
        if not concepts.take_up(session, owner=owner):
            return Batch()
    with reading(tools.engine) as session:
        work = concepts.read(session)
    found = concepts.think(work)
    with writing(tools.engine) as session:
        concepts.store(session, work, found, owner=owner, now=tools.clock())
    return Batch(done=1)


def _rules_pending(session: Session, tools: Tools) -> int:
    return rules.pending(session)


def _rules(tools: Tools, owner: str) -> Batch:
    with writing(tools.engine) as session:
        return Batch(done=rules.apply(session, now=tools.clock()))


STEPS = (
    Step("encode", "texts to encode", _encode_pending, _encode),
    Step("upkeep", "models of vectors to put in order", _upkeep_pending, _upkeep),
    Step("terms", "papers to read for terms", _terms_pending, _terms),
    _proposing(linker, "papers to link", _link),
    Step("duplicates", "looks for concepts that are one", _duplicates_pending, _duplicates),
    Step("rules", "links that a rule accepts", _rules_pending, _rules),
    _proposing(relations, "papers to read for what they say of others", _relate),
    _proposing(membership, "papers to compare with threads", _thread),
)


def begin(tools: Tools) -> None:
    """What a worker does once, before its first batch: pages are encoded by its model from now on."""
    if tools.encoder is not None:
        with writing(tools.engine) as session:
            encoding.choose(session, tools.encoder)


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
    with runs.at_work(tools.engine) as owner:
        while _encode(tools, owner).done:
            pass
    now = tools.clock()
    with reading(tools.engine) as session:
        wanted = [linker.page_of(session, paper)] if paper else linker.unlinked(session)
        work = linker.read(session, tools.index, wanted, tools.library)
        weights = tools.weights_in_force(session)
        names = papers.references(
            session, [*work.papers, *(concept.id for concept in work.concepts)]
        )
    ranked = linker.rank_papers(work, weights, limit=limit)
    made = 0
    if work.papers:
        with writing(tools.engine) as session:
            made = linker.store(session, work, ranked, now=now)
    with reading(tools.engine) as session:
        near = links.named(session, linker.resembled(ranked))
    rows = linker.as_json(ranked, names, near)
    others, others_made = _others_now(tools, wanted, limit=limit)
    # Paper by paper, each relation in order: sorting keeps what is in order already.
    place = {names[page_id]: at for at, page_id in enumerate(work.papers)}
    return sorted(
        [*rows, *others], key=lambda row: place.get(str(row["paper"]), len(place))
    ), made + others_made


def _others_now(
    tools: Tools, wanted: Sequence[int], *, limit: int
) -> tuple[list[dict[str, object]], int]:
    """The same for the other relations: what papers say of one another, and their threads."""
    now = tools.clock()
    with reading(tools.engine) as session:
        said = relations.read(session, tools.index, wanted, tools.names)
        joined = membership.read(session, tools.index, wanted, tools.library)
    findings = relations.think(said, limit=limit)
    members = membership.think(joined, tools.weights, limit=limit)
    with writing(tools.engine) as session:
        made = relations.store(session, said, findings, now=now)
        made += membership.store(session, joined, members, now=now)
    with reading(tools.engine) as session:
        ends = {each.finding.target for each in findings} | joined.threads.keys()
        names = papers.references(session, [*said.papers, *joined.papers, *ends])
    rows = relations.as_json(findings, names) + membership.as_json(members, names)
    return rows, made
