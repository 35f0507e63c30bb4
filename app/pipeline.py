"""The order of the day: each step, in order, with the query that finds its pending work.

Work is derived from state, not from a queue: a page whose text has no vector, a kept paper the
linker has not seen as it stands. So a crash loses nothing, nothing is done twice, and progress is a
count. A batch takes its rows up, thinks without any transaction open, and writes in one short
transaction what is still its own: several workers share the work, and no row is done twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from typing import Any, Protocol

from sqlmodel import Session

from app import calls, fetchers, syncing
from app.domain.digests import Document
from app.domain.linking import Weights
from app.domain.money import LLMSettings
from app.domain.records import ModelBatch
from app.embeddings.base import Encoder
from app.errors import Unavailable
from app.llm.base import Failure, Model
from app.mail.smtp import NotSent, Post, Sent
from app.reading import rendered
from app.services import (
    arrivals,
    concepts,
    digest,
    edits,
    encoding,
    fetching,
    judging,
    linker,
    membership,
    months,
    new_threads,
    predictions,
    prose,
    questions,
    relations,
    rules,
    second_look,
    sending,
    terms,
    triage,
)
from app.services.triage import Fitted
from app.store import (
    assessments,
    digests,
    editions,
    links,
    mirror,
    paper_vectors,
    papers,
    runs,
    vectors,
)
from app.store.corpus import Library
from app.store.db import reading, writing
from app.store.editions import Edition
from app.store.relations import NameIndex
from app.store.vectors import VectorIndex


class Tools(fetchers.Tools, syncing.Tools, Protocol):
    """What steps are given; `bootstrap.App` has it all."""

    @property
    def encoder(self) -> Encoder | None: ...
    @property
    def index(self) -> VectorIndex | None: ...
    @property
    def model(self) -> Model | None: ...
    def llm_in_force(self, session: Session) -> LLMSettings: ...
    @property
    def weights(self) -> Weights: ...
    def weights_in_force(self, session: Session) -> Weights: ...
    @property
    def library(self) -> Library: ...
    @property
    def names(self) -> NameIndex: ...
    @property
    def scorer(self) -> Fitted: ...
    @property
    def post(self) -> Post | None: ...
    @property
    def home(self) -> str: ...
    @property
    def zone(self) -> tzinfo | None: ...


@dataclass(frozen=True)
class Batch:
    """What one batch of a step did. Neither done nor failed: nothing was pending.

    `line` says it for the log of the job, where the numbers do not.
    """

    done: int = 0
    failed: int = 0
    line: str = ""


@dataclass(frozen=True)
class Step:
    """One step: its name, what waits for it in words, how many wait, and one batch of it.

    A batch is given the owner of its holds (`runs.at_work`); `ready` says whether there may be one. All
    day, what is `beside` is run on a thread of its own, so that it does not wait for the others.
    """

    name: str
    waits: str
    pending: Callable[[Session, Tools], int]
    run: Callable[[Tools, str], Batch]
    ready: Callable[[Session, Tools], bool] = lambda session, tools: True
    beside: bool = False


def _fetch_pending(session: Session, tools: Tools) -> int:
    return fetching.pending(session, now=tools.clock())


def _fetch(tools: Tools, owner: str) -> Batch:
    done, failed = fetchers.Fetchers(tools, owner).run()
    return Batch(done=done, failed=failed)


def _deliveries_pending(session: Session, tools: Tools) -> int:
    return arrivals.pending(session, now=tools.clock())


def _deliveries(tools: Tools, owner: str) -> Batch:
    read = fetchers.read_delivery(tools, owner)
    if read is None:
        return Batch()
    return Batch(done=int(read.ok), failed=int(not read.ok), line=read.in_words)


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


def _papers_pending(session: Session, tools: Tools) -> int:
    encoder = tools.encoder
    if encoder is None:
        return 0
    return tools.scorer.waiting(
        session, encoding.PAPERS, lambda: encoding.pending_papers(session, encoder.model)
    )


def _papers(tools: Tools, owner: str, *, day: str = "") -> Batch:
    """Vectors for papers that have no page; of one listing alone with `day`."""
    if tools.encoder is None:
        return Batch()
    with writing(tools.engine) as session:
        rows = encoding.take_up_papers(session, tools.encoder, owner=owner, day=day)
    made = encoding.encode_papers(tools.encoder, rows)
    if made:
        with writing(tools.engine, alone=False) as session:
            encoding.store_papers(session, tools.encoder.model, made, owner=owner)
    return Batch(done=len(made))


def _assess_pending(session: Session, tools: Tools) -> int:
    encodes = tools.encoder is not None
    return tools.scorer.waiting(
        session, triage.STEP, lambda: triage.pending(session, encodes=encodes)
    )


def _may_assess(session: Session, tools: Tools) -> bool:
    """Not while papers or pages wait for vectors, nor by a worker of a model that is wanted no more."""
    encoder = tools.encoder
    if encoder is None:
        return True
    if vectors.wanted(session) not in (None, encoder.model):
        return False
    return not _papers_pending(session, tools) and not _encode_pending(session, tools)


def _assess(tools: Tools, owner: str) -> Batch:
    with writing(tools.engine) as session:
        if not _may_assess(session, tools):
            return Batch()
        day = triage.take_up(session, encodes=tools.encoder is not None, owner=owner)
    if not day:
        return Batch()
    _assess_day(tools, day, owner)
    return Batch(done=1)


def _assess_day(tools: Tools, day: str, owner: str = "") -> int:
    """Local marks for the papers of a day that wait; how many were stored."""
    if tools.encoder is not None:
        with reading(tools.engine) as session:
            clauses = triage.unencoded_clauses(session)
        if clauses:
            made = encoding.encoded(tools.encoder, clauses)
            with writing(tools.engine, alone=False) as session:
                paper_vectors.save_texts(
                    session, tools.encoder.model, dict(zip(clauses, made, strict=True))
                )
    with reading(tools.engine) as session:
        work = triage.read(session, tools.index, day, tools.scorer)
    judgement = triage.think(work, tools.scorer)
    with writing(tools.engine) as session:
        return triage.store(session, judgement, owner=owner, now=tools.clock())


def _judge_pending(session: Session, tools: Tools) -> int:
    return judging.pending(session, tools.llm_in_force(session), now=tools.clock())


def _may_judge(session: Session, tools: Tools) -> bool:
    """Not before the local scorer has marked what waits: the model is asked about the best alone."""
    return not _assess_pending(session, tools) and not calls.ready(session, tools)


def _judge(tools: Tools, owner: str, *, day: str = "") -> Batch:
    """One call about the papers that wait, or a day's Message Batch; of one day alone with `day`."""
    now = tools.clock()
    with writing(tools.engine) as session:
        # A day that is asked for does not wait for the local marks of others.
        if calls.ready(session, tools) if day else not _may_judge(session, tools):
            return Batch()
        chosen = tools.llm_in_force(session)
        taken = judging.take_up(session, chosen, owner=owner, now=now, day=day)
    if taken is None:
        return Batch()
    with writing(tools.engine) as session:
        works = _with_room(session, tools, judging.read(session, chosen, taken), taken, owner)
    if taken.batched:
        return _send_batch(tools, works, owner)
    done = failed = 0
    for work in works:
        asked = calls.ask(
            tools,
            work.request,
            purpose=judging.PURPOSE,
            about=work.day,
            prompt=work.prompt,
            papers=len(work.names),
        )
        with writing(tools.engine) as session:
            judged, missed = judging.store(
                session, work, asked.answer, call_id=asked.call_id, owner=owner, now=tools.clock()
            )
        done, failed = done + judged, failed + missed
    return Batch(done=done, failed=failed)


def _with_room(
    session: Session, tools: Tools, works: Sequence[judging.Work], taken: judging.Taken, owner: str
) -> Sequence[judging.Work]:
    """The calls that the budget has room for: the best papers come first, and a first call that is too
    large is made smaller. What has no room is let go, and taken up when there is some.
    """
    requests = [work.request for work in works]
    fit = calls.within_budget(session, tools, requests, batched=taken.batched)
    if fit:
        judging.leave(session, works[fit:], owner=owner)
        return works[:fit]
    judging.leave(session, works[1:], owner=owner)
    first = works[0]
    while len(first.names) > 1:
        first, left = judging.halved(first)
        judging.leave(session, [left], owner=owner)
        if calls.within_budget(session, tools, [first.request], batched=taken.batched):
            break
    return [first]


def _send_batch(tools: Tools, works: Sequence[judging.Work], owner: str) -> Batch:
    """Send a day's calls as one Message Batch: written down before it is sent, named right after."""
    now = tools.clock()
    papers_asked = sum(len(work.names) for work in works)
    sent = calls.send_batch(
        tools,
        [(judging.request_id(number), work.request) for number, work in enumerate(works)],
        purpose=judging.PURPOSE,
        about=works[0].day,
        prompt=works[0].prompt,
        papers=papers_asked,
        prepared=lambda session, call_id: judging.prepare(session, works, call_id=call_id, now=now),
    )
    with writing(tools.engine) as session:
        judging.note_sent(
            session, works, sent.batch, call_id=sent.call_id, owner=owner, now=tools.clock()
        )
    return Batch(done=papers_asked) if isinstance(sent.batch, str) else Batch(failed=papers_asked)


def _batches_pending(session: Session, tools: Tools) -> int:
    return judging.batches_due(session, now=tools.clock())


def _batches(tools: Tools, owner: str) -> Batch:
    now = tools.clock()
    with writing(tools.engine) as session:
        batch = judging.take_up_batch(session, owner=owner, now=now)
    if batch is None or batch.id is None:
        return Batch()
    seen = _look(tools, batch, now)
    with writing(tools.engine) as session:
        over, done, failed = judging.collected(session, batch.id, seen, owner=owner, now=now)
        if over is not None and seen.answers is not None:
            calls.book_batch(session, tools, over.call_id, judging.answers(over, seen.answers))
        elif over is not None:
            calls.give_up_batch(session, tools, over.call_id, seen.lost, free=False)
    return Batch(done=done or 1, failed=failed)


def _look(tools: Tools, batch: ModelBatch, now: datetime) -> judging.Seen:
    """Ask after a batch, and read its results when it has ended."""
    if why := judging.never_sent(batch):
        return judging.Seen(lost=why)
    if tools.model is None:
        return judging.Seen()
    found = tools.model.look_at_batch(batch.provider_id)
    if isinstance(found, Failure) or not found.ended:
        return judging.stands(batch, found, now=now)
    results = tools.model.results_of_batch(batch.provider_id)
    if isinstance(results, Failure):
        return judging.stands(batch, results, now=now)
    return judging.Seen(answers=dict(results))


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


def _bearing(service: Any, waits: str, think: Callable[[Any], Sequence[Any]]) -> Step:
    """The step of a service that reads papers for what they say to earlier pages."""

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
        with reading(tools.engine) as session:
            work = service.read(session, tools.index, taken, tools.library)
        found = think(work)
        with writing(tools.engine) as session:
            service.store(session, work, found, owner=owner, now=now)
        return Batch(done=len(taken.papers) + len(taken.new))

    return Step(service.STEP, waits, pending, run, _may_link)


def _new_threads_pending(session: Session, tools: Tools) -> int:
    return new_threads.pending(session, now=tools.clock())


def _new_threads(tools: Tools, owner: str) -> Batch:
    now, encoder = tools.clock(), tools.encoder
    with writing(tools.engine) as session:
        if not _may_link(session, tools):
            return Batch()
        taken = new_threads.take_up(session, owner=owner, now=now)
    if not taken.hashes:
        return Batch()
    model = encoder.model if encoder else ""
    with reading(tools.engine) as session:
        work = new_threads.read(session, taken, tools.library, model=model)
    made: dict[str, Any] = {}
    if encoder and work.unencoded:
        rows = encoding.encoded(encoder, work.unencoded)
        made = dict(zip(work.unencoded, rows, strict=True))
        with writing(tools.engine, alone=False) as session:
            paper_vectors.save_texts(session, model, made)
    proposals = new_threads.think(work, made)
    with writing(tools.engine) as session:
        new_threads.store(session, work, proposals, taken, owner=owner, now=now)
    return Batch(done=len(taken.hashes) + len(taken.passed))


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


def _look_again_pending(session: Session, tools: Tools) -> int:
    today = tools.today().isoformat()
    return second_look.pending(session, tools.llm_in_force(session), today=today, now=tools.clock())


def _may_look_again(session: Session, tools: Tools) -> bool:
    """Not while papers wait for the model: triage has the first claim on the budget."""
    return not _judge_pending(session, tools) and not calls.ready(session, tools)


def _look_again(tools: Tools, owner: str) -> Batch:
    with writing(tools.engine) as session:
        if not _may_look_again(session, tools):
            return Batch()
        work = second_look.take_up(
            session,
            tools.llm_in_force(session),
            owner=owner,
            today=tools.today().isoformat(),
            now=tools.clock(),
        )
    if work is None:
        return Batch()
    asked = calls.ask(
        tools,
        work.request,
        purpose=second_look.PURPOSE,
        about="",
        prompt=work.prompt,
        papers=len(work.pairs),
    )
    with writing(tools.engine) as session:
        done, failed = second_look.store(
            session, work, asked.answer, owner=owner, now=tools.clock()
        )
    return Batch(done=done, failed=failed)


def _digest_pending(session: Session, tools: Tools) -> int:
    return digest.pending(session, today=tools.today(), now=tools.clock())


def _may_tell(session: Session, tools: Tools) -> bool:
    """Not while papers wait for their marks or their links: they are what is told."""
    before = STEPS[: [step.name for step in STEPS].index(digest.STEP)]
    waits = (step for step in before if step.name in _TOLD_FROM)
    return not any(step.pending(session, tools) for step in waits)


# Not what a model is waited for: a budget may be used up for the day.
_TOLD_FROM = {encoding.PAPERS, triage.STEP, linker.STEP, relations.STEP, membership.STEP}


def _digest(tools: Tools, owner: str) -> Batch:
    with writing(tools.engine) as session:
        day = digest.take_up(session, today=tools.today(), owner=owner, now=tools.clock())
    if not day:
        return Batch()
    with reading(tools.engine) as session:
        work = digest.read(session, day, zone=tools.zone)
    with writing(tools.engine) as session:
        digest.store(session, work, owner=owner, now=tools.clock())
    return Batch(done=1)


def _months_pending(session: Session, tools: Tools) -> int:
    return months.pending(session, today=tools.today())


def _months(tools: Tools, owner: str) -> Batch:
    today = tools.today()
    with writing(tools.engine) as session:
        month = months.take_up(session, today=today, owner=owner)
    if not month:
        return Batch()
    with reading(tools.engine) as session:
        work = months.read(session, month, today=today, zone=tools.zone)
    with writing(tools.engine) as session:
        months.store(session, work, owner=owner, now=tools.clock())
    return Batch(done=1)


def _mail_pending(session: Session, tools: Tools) -> int:
    return sending.pending(session, now=tools.clock()) if tools.post else 0


def _may_mail(session: Session, tools: Tools) -> bool:
    """Not while a model is about to write the digest."""
    return not (_prose_pending(session, tools) and _may_write(session, tools))


def _mail(tools: Tools, owner: str) -> Batch:
    """Send the digest that waits. Nothing is open while a server is spoken to."""
    if tools.post is None:
        return Batch()
    now = tools.clock()
    with writing(tools.engine) as session:
        lost = sending.set_aside(session, now=now)
        edition = sending.take_up(session, owner=owner, now=now)
    if edition is None:
        return Batch(failed=lost)
    came = _posted(tools, tools.post, edition, owner)
    sent = isinstance(came, Sent)
    return Batch(done=int(sent), failed=lost + int(not sent))


def _posted(
    tools: Tools, post: Post, edition: Edition, owner: str, *, again: bool = False
) -> Sent | NotSent:
    """Hand over a digest that was taken up, and write down what came of it."""
    now = tools.clock()
    with reading(tools.engine) as session:
        html = rendered(session, edition.body, tools.zone).html
    letter = sending.compose(edition, html, post, base=tools.home, now=now, again=again)
    came = post.send(letter)
    with writing(tools.engine) as session:
        sending.store(session, edition, came, owner=owner, now=tools.clock())
    return came


def _prose_pending(session: Session, tools: Tools) -> int:
    chosen = tools.llm_in_force(session)
    return prose.pending(session, chosen, today=tools.today(), now=tools.clock())


def _may_write(session: Session, tools: Tools) -> bool:
    """Not while papers wait for the model: what it says of them is told in the digest."""
    return not _judge_pending(session, tools) and not calls.ready(session, tools)


def _prose(tools: Tools, owner: str) -> Batch:
    with writing(tools.engine) as session:
        if not _may_write(session, tools):
            return Batch()
        work = prose.take_up(
            session,
            tools.llm_in_force(session),
            owner=owner,
            today=tools.today(),
            now=tools.clock(),
        )
    if work is None:
        return Batch()
    asked = calls.ask(
        tools, work.request, purpose=prose.PURPOSE, about=work.day, prompt=work.prompt, papers=1
    )
    with writing(tools.engine) as session:
        done, failed = prose.store(session, work, asked.answer, owner=owner, now=tools.clock())
    return Batch(done=done, failed=failed)


def _edits_pending(session: Session, tools: Tools) -> int:
    today = tools.today().isoformat()
    return edits.pending(session, tools.llm_in_force(session), today=today, now=tools.clock())


def _may_edit(session: Session, tools: Tools) -> bool:
    """Last of all that costs money."""
    return _may_look_again(session, tools) and not _look_again_pending(session, tools)


def _edits(tools: Tools, owner: str) -> Batch:
    with writing(tools.engine) as session:
        if not _may_edit(session, tools):
            return Batch()
        work = edits.take_up(
            session,
            tools.llm_in_force(session),
            owner=owner,
            today=tools.today().isoformat(),
            now=tools.clock(),
        )
    if work is None:
        return Batch()
    asked = calls.ask(
        tools, work.request, purpose=edits.PURPOSE, about="", prompt=work.prompt, papers=1
    )
    with writing(tools.engine) as session:
        done, failed = edits.store(session, work, asked.answer, owner=owner, now=tools.clock())
    return Batch(done=done, failed=failed)


def _vault_pending(session: Session, tools: Tools) -> int:
    return mirror.pending(session)


def take_up(tools: Tools, owner: str) -> int:
    """Take up what was edited in the vault: it is work for the steps. How many files."""
    return _vault(tools, owner, write=False).done


def _vault(tools: Tools, owner: str, *, write: bool = True) -> Batch:
    """One pass; a vault that cannot be reached holds up nothing else, and says so in a row."""
    try:
        report = syncing.once(tools, owner, write=write)
    except Unavailable as error:
        with writing(tools.engine, alone=False) as session:
            mirror.note_problem(session, "", str(error), now=tools.clock())
        return Batch()
    return Batch(done=report.done, line=report.in_words)


# Never in turn with the others: all day a worker asks sources, and syncs, on threads beside them.
FETCH = Step(fetching.STEP, "sources to fetch", _fetch_pending, _fetch)
VAULT = Step(syncing.STEP, "files of the vault to write", _vault_pending, _vault)
STEPS = (
    FETCH,
    Step(arrivals.STEP, "deliveries to read", _deliveries_pending, _deliveries, beside=True),
    Step("encode", "texts to encode", _encode_pending, _encode),
    Step("upkeep", "models of vectors to put in order", _upkeep_pending, _upkeep),
    Step(encoding.PAPERS, "listed papers to encode", _papers_pending, _papers),
    Step(triage.STEP, "listings to assess", _assess_pending, _assess, _may_assess),
    Step(judging.JUDGE, "papers for a model to judge", _judge_pending, _judge, _may_judge),
    Step(judging.BATCHES, "message batches to look at", _batches_pending, _batches),
    Step("terms", "papers to read for terms", _terms_pending, _terms),
    _proposing(linker, "papers to link", _link),
    Step(
        "duplicates",
        "looks for concepts, or threads, that are one",
        _duplicates_pending,
        _duplicates,
    ),
    Step("rules", "links that a rule accepts", _rules_pending, _rules),
    _proposing(relations, "papers to read for what they say of others", _relate),
    _proposing(membership, "papers to compare with threads", _thread),
    Step(
        new_threads.STEP,
        "papers to read for new threads",
        _new_threads_pending,
        _new_threads,
        _may_link,
    ),
    _bearing(questions, "papers to hold against open questions", questions.think),
    _bearing(predictions, "papers to hold against predictions", predictions.think),
    Step(
        second_look.LOOK_AGAIN,
        "unsure links for a second look",
        _look_again_pending,
        _look_again,
        _may_look_again,
    ),
    Step(digest.STEP, "days to tell", _digest_pending, _digest, _may_tell),
    Step(prose.STEP, "digests for a model to write", _prose_pending, _prose, _may_write),
    Step(edits.STEP, "pages for a model to write", _edits_pending, _edits, _may_edit),
    Step(months.STEP, "months to tell", _months_pending, _months),
    Step(editions.STEP, "digests to send by mail", _mail_pending, _mail, _may_mail),
    VAULT,
)


def judge_now(tools: Tools, day: str) -> tuple[int, int]:
    """Have a model judge what waits of a day, without waiting for a worker.

    (papers judged, papers not); it ends when nothing is left to ask, or a call is refused. Raises
    NotFound for a day without a listing, Unavailable with the reason when no call may be made.
    """
    with writing(tools.engine) as session:
        if why_not := calls.ready(session, tools):
            raise Unavailable(why_not)
        judging.ask_for(session, day)
    done = failed = 0
    with runs.at_work(tools.engine) as owner:
        while (batch := _judge(tools, owner, day=day)) != Batch():
            done, failed = done + batch.done, batch.failed
    return done, failed


@dataclass(frozen=True)
class ToldNow:
    """A digest that was asked for. `edition` is its page; a month that is not over has none."""

    day: str
    body: str
    document: Document
    edition: Edition | None


def digest_now(tools: Tools, *, day: str = "", month: str = "") -> ToldNow:
    """The digest of a day, of the newest without one, or of a month. Raises Invalid or NotFound.

    A month is told anew first, where it is ours to tell.
    """
    if month:
        return _month_now(tools, month)
    if day:
        _tell_now(tools, day)
    with reading(tools.engine) as session:
        edition = editions.of_day(session, day or editions.newest_day(session))
        document = editions.document(session, edition.page_id)
    return ToldNow(edition.day, edition.body, document, edition)


def _tell_now(tools: Tools, day: str) -> None:
    """Tell a day if there is no digest of it, or if it is today's and ours."""
    day = digest.asked(day)
    with reading(tools.engine) as session:
        stands = digests.of_day(session, day)
        if stands is not None and day != tools.today().isoformat():
            return
        if not digest.is_ours(session, day):
            return
        work = digest.read(session, day, zone=tools.zone)
    with writing(tools.engine) as session:
        digest.store(session, work, now=tools.clock())


def _month_now(tools: Tools, month: str) -> ToldNow:
    today = tools.today()
    with reading(tools.engine) as session:
        work = months.read(session, month, today=today, zone=tools.zone)
    with writing(tools.engine) as session:
        months.store(session, work, now=tools.clock())
    with reading(tools.engine) as session:
        told = months.shown(session, month, today=today, zone=tools.zone)
        page = editions.of_page(session, told.page_id) if told.page_id else None
    return ToldNow(month, told.body, told.document, page)


def mail_now(tools: Tools, day: str) -> str:
    """Send the digest of a day or month by mail, whether it went out before or not; in words, to whom.

    Raises Invalid or NotFound for the day, Conflict while a worker sends it, and Unavailable with the
    reason when mail is off or the letter did not go out.
    """
    if tools.post is None:
        raise Unavailable("Mail is off: set CEREBRO_SMTP and CEREBRO_MAIL_TO.")
    with runs.at_work(tools.engine) as owner:
        with writing(tools.engine) as session:
            edition = sending.take_up_day(session, day, owner=owner)
        came = _posted(tools, tools.post, edition, owner, again=True)
    if isinstance(came, NotSent):
        raise Unavailable(f"The digest of {edition.words} was not sent: {came.why.rstrip('.')}.")
    return sending.in_words(came)


def begin(tools: Tools) -> None:
    """What a worker does once, before its first batch: its model encodes pages, its mail is on or off."""
    _choose_encoder(tools)
    with writing(tools.engine) as session:
        sending.begin(session, tools.post, now=tools.clock())


def _choose_encoder(tools: Tools) -> None:
    if tools.encoder is not None:
        with writing(tools.engine) as session:
            encoding.choose(session, tools.encoder)


def pending(session: Session, tools: Tools) -> list[tuple[str, int]]:
    """What waits, by step: (words, count), steps with nothing left out."""
    waiting = [(step.waits, step.pending(session, tools)) for step in STEPS]
    return [(words, count) for words, count in waiting if count]


def triage_now(
    tools: Tools,
    day: str = "",
    *,
    progress: Callable[[int, int, str], None] = lambda at, of, words: None,
) -> tuple[str, list[dict[str, Any]]]:
    """The papers of a day's listing as the local scorer orders them; of the newest without a day.

    What has no vector or no marks yet gets them first; `progress` hears how many of how many texts
    of which kind have been encoded. Returns the day and a row a paper, best first
    (`assessments.of_day`). Raises Invalid or NotFound.
    """
    with reading(tools.engine) as session:
        day = triage.day_asked(session, day)
    _choose_encoder(tools)
    with runs.at_work(tools.engine) as owner:
        for words, left, encode in (
            ("pages", _encode_pending, _encode),
            ("papers", _papers_left(day), partial(_papers, day=day)),
        ):
            done = 0
            while waits := _count(tools, left):
                progress(done, done + waits, f"encoding {words}")
                made = encode(tools, owner).done
                done += made
                if not made:
                    time.sleep(_AT_IT)  # a worker is at them
    with reading(tools.engine) as session:
        unmarked = triage.waits(session, day, encodes=tools.encoder is not None)
    if unmarked:
        _assess_day(tools, day)
    with reading(tools.engine) as session:
        return day, assessments.of_day(session, day)


_AT_IT = 0.2  # seconds between two looks at what another worker is at


def _count(tools: Tools, left: Callable[[Session, Tools], int]) -> int:
    with reading(tools.engine) as session:
        return left(session, tools)


def _papers_left(day: str) -> Callable[[Session, Tools], int]:
    """How many papers of a day wait for a vector."""

    def left(session: Session, tools: Tools) -> int:
        encoder = tools.encoder
        return encoding.pending_papers(session, encoder.model, day=day) if encoder else 0

    return left


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
