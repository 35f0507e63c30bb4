"""Triage by a model: which papers it is asked about, in which calls, and what becomes of its replies.

The model judges after the local scorer, the best papers of a day first, within the budget. Each is
judged once; what a reply leaves out is asked again in a smaller call, and parked with the reason
after the third try. Nothing here calls anybody: the pipeline takes rows up, makes the call with no
transaction open, and hands the reply back to be stored.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlmodel import Session

from app.domain import replies, scoring, tiers
from app.domain.identifiers import whole_day
from app.domain.money import LLMSettings
from app.domain.records import BatchState, ModelBatch
from app.domain.replies import ModelMarks
from app.domain.scoring import TopicText
from app.errors import NotFound
from app.llm.base import Answer, BatchStands, Failure, Prompt, Reply, Request
from app.llm.prompts import PaperText, load, paper_id, rendered, triage_request
from app.store import assessments, batches, judging, papers, runs
from app.store.judging import STEP, Row, Verdict, Waits

PURPOSE = "triage"
JUDGE, BATCHES = STEP, "batches"  # the steps
A_CALL = (30, 8, 1)  # papers in one call: at first, after one try in vain, after two
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(hours=1)  # between calls that are refused
A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Taken:
    """Papers of a day that are taken up, call by call; `batched`: to be sent in one Message Batch."""

    day: str
    calls: tuple[tuple[int, ...], ...]
    batched: bool = False

    @property
    def papers(self) -> list[int]:
        return [paper for call in self.calls for paper in call]


@dataclass(frozen=True)
class Work:
    """What a call is about. `names` leads from what the model calls a paper to its row."""

    day: str
    model: str
    prompt: Prompt
    topics: tuple[TopicText, ...]
    names: Mapping[str, Row]

    @property
    def key(self) -> str:
        """The prompt and the topics, for `Assessment.prompt`."""
        told = sha256(repr(self.topics).encode("utf-8", "replace")).hexdigest()[:8]
        return f"{self.prompt.label} {told}"

    @property
    def request(self) -> Request:
        shown = [PaperText(name, row.title, row.abstract) for name, row in self.names.items()]
        return triage_request(self.prompt, self.topics, shown, model=self.model)


# ---------------------------------------------------------------- what waits


def pending(session: Session, chosen: LLMSettings, *, now: datetime) -> int:
    """How many papers wait for a model that may be asked about them now."""
    if not chosen.model or not chosen.daily or judging.paused(session, now=now):
        return 0
    return sum(len(waits) for _, waits in _waiting(session, chosen, now=now))


def _waiting(
    session: Session, chosen: LLMSettings, *, now: datetime, held: Any = None
) -> Iterator[tuple[str, list[Waits]]]:
    """Days and their papers to judge: those the reader asked for, then the newest listing."""
    if not assessments.topics(session):
        return
    under_way = batches.papers_under_way(session)
    for day in dict.fromkeys([*judging.asked_days(session), assessments.newest_day(session)]):
        if day:
            found = judging.waiting(
                session, day, limit=chosen.papers, now=now, without=under_way, held=held
            )
            yield day, found


def take_up(
    session: Session, chosen: LLMSettings, *, owner: str, now: datetime, day: str = ""
) -> Taken | None:
    """The papers of the next call, or of a day's Message Batch; None when there is nothing to ask.

    Of one day alone with `day`. What was asked about in vain comes first, in a call of its own and with fewer papers.
    """
    if not chosen.model or not chosen.daily or judging.paused(session, now=now):
        return None
    clock = time.time()
    asked = set(judging.asked_days(session))
    for on, found in _waiting(session, chosen, now=now, held=runs.held(STEP, clock=clock)):
        if day and on != day:
            continue
        if not found:
            if on in asked:
                judging.asked_no_more(session, on)
            continue
        if chosen.batches and on not in asked:
            taken = Taken(on, _calls(found), batched=True)
        else:
            taken = Taken(on, _calls(found)[:1])
        runs.hold(session, STEP, taken.papers, owner=owner, clock=clock)
        return taken
    return None


def _calls(found: Sequence[Waits]) -> tuple[tuple[int, ...], ...]:
    """Papers in calls, those with most tries first, none beside one with other tries."""
    made: list[tuple[int, ...]] = []
    for tries in sorted({each.tries for each in found}, reverse=True):
        level = [each.paper_id for each in found if each.tries == tries]
        size = A_CALL[min(tries, len(A_CALL) - 1)]
        made += [tuple(level[start : start + size]) for start in range(0, len(level), size)]
    return tuple(made)


def read(session: Session, chosen: LLMSettings, taken: Taken) -> list[Work]:
    """What the calls are about, one by one."""
    topics = assessments.topics(session)
    prompt = load("triage")
    return [
        Work(
            taken.day,
            chosen.model,
            prompt,
            topics,
            {paper_id(row.id, row.arxiv): row for row in judging.papers(session, call, taken.day)},
        )
        for call in taken.calls
    ]


def would_ask(session: Session, chosen: LLMSettings, day: str) -> list[Work]:
    """The calls that would be made about a day now, for what they would cost; [] for none.

    What was parked is among it: the reader who asks means all that is left.
    """
    if not assessments.topics(session):
        return []
    found = judging.waiting(
        session, day, limit=chosen.papers, now=None, without=batches.papers_under_way(session)
    )
    fresh = [Waits(each.paper_id, 0) for each in found]
    return read(session, chosen, Taken(day, _calls(fresh)))


def ask_for(session: Session, day: str) -> None:
    """The reader wants a day judged now. Raises NotFound for a day without a listing."""
    if whole_day(day) is None or not assessments.has_papers(session, day):
        raise NotFound(f"There is no listing of {day[:40]!r}.")
    judging.ask_for(session, day)


# ---------------------------------------------------------------- what came back


def store(
    session: Session,
    work: Work,
    answer: Answer,
    *,
    call_id: int | None,
    owner: str = "",
    now: datetime,
) -> tuple[int, int]:
    """Keep the marks of a reply, and note what is to be asked again; (papers judged, papers not).

    Nothing of papers that are no longer `owner`'s.
    """
    rows = {row.id: name for name, row in work.names.items()}
    mine = set(runs.let_go(session, STEP, list(rows), owner=owner)) if owner else set(rows)
    if isinstance(answer, Failure):
        _note_failure(session, [each for each in rows if each in mine], answer, now=now)
        return 0, len(mine)
    judging.go_on(session)
    return _store_reply(session, work, answer, mine, call_id=call_id, now=now)


def _store_reply(
    session: Session,
    work: Work,
    reply: Reply,
    mine: set[int],
    *,
    call_id: int | None,
    now: datetime,
) -> tuple[int, int]:
    said = "" if reply.stop == "refusal" else reply.text
    found = replies.read(said, list(work.names), [topic.id for topic in work.topics])
    marks = {work.names[name].id: each for name, each in found.marks.items()}
    marks = {paper: each for paper, each in marks.items() if paper in mine}
    sources = papers.sources_of(session, marks)
    by_id = {row.id: row for row in work.names.values()}
    stored = judging.save(
        session,
        work.day,
        [
            verdict(by_id[paper], each, work.topics, sources.get(paper, ()))
            for paper, each in marks.items()
        ],
        model=work.model,
        prompt=work.key,
        call_id=call_id,
        now=now,
    )
    if stored:
        judging.tell_listing(
            session, work.day, model=work.model, prompt=rendered(work.prompt, work.topics)
        )
    missing = [name for name in found.missing if work.names[name].id in mine]
    for name in missing:
        why = _STOPPED.get(reply.stop) or found.why(name)
        judging.failed(session, [work.names[name].id], why, now=now, wait=timedelta(0))
    return stored, len(missing)


_STOPPED = {
    "refusal": "The model refused to answer.",
    "max_tokens": "The reply was cut off before it came to this paper.",
}


def verdict(
    row: Row, marks: ModelMarks, topics: Sequence[TopicText], sources: Sequence[str]
) -> Verdict:
    """A model's marks as they are stored: with a tier, and a score that orders the day.

    What the paper is most like in the wiki is the local scorer's finding, and stays.
    """
    matched = [topic for name in marks.topics for topic in topics if topic.id == name]
    tier = tiers.tier(matched, marks.relevance, marks.novelty, marks.tags, sources)
    return Verdict(
        paper_id=row.id,
        score=scoring.blended(row.score, marks.relevance),
        relevance=marks.relevance,
        novelty=marks.novelty,
        topics=marks.topics,
        comment=marks.comment,
        topic_comment=marks.topic_comment,
        tags=list(marks.tags),
        hotspot_comment=marks.hotspot_comment,
        tier=tier.number,
        tier_reason=tier.reason,
        evidence=[each for each in row.evidence if each.get("kind") == "near"],
    )


def _note_failure(
    session: Session, paper_ids: Iterable[int], failure: Failure, *, now: datetime
) -> None:
    """Wait before the next call; a call that was made and gave nothing is a try of its papers."""
    wait = min(max(timedelta(seconds=failure.wait or 0), SHORTEST), LONGEST)
    judging.pause(session, failure.reason, until=now + wait)
    if not failure.free or not failure.later:
        judging.failed(session, paper_ids, failure.reason, now=now, wait=wait)


# ---------------------------------------------------------------- Message Batches


def prepare(session: Session, works: Sequence[Work], *, call_id: int, now: datetime) -> None:
    """Write down the batch that is about to be sent, in the transaction that reserves its cost."""
    first = works[0]
    batches.prepare(
        session,
        call_id=call_id,
        purpose=PURPOSE,
        about=first.day,
        model=first.model,
        prompt=first.prompt.label,
        requests=[
            {"id": request_id(number), "papers": [row.id for row in work.names.values()]}
            for number, work in enumerate(works)
        ],
        now=now,
    )


def request_id(number: int) -> str:
    """What a request of a batch is called, by its place."""
    return f"r{number}"


def halved(work: Work) -> tuple[Work, Work]:
    """A call as two, the better papers in the first."""
    names = list(work.names.items())
    middle = (len(names) + 1) // 2
    first, second = dict(names[:middle]), dict(names[middle:])
    return replace(work, names=first), replace(work, names=second)


def leave(session: Session, works: Sequence[Work], *, owner: str) -> None:
    """Give back the papers of calls that are not made now."""
    ids = [row.id for work in works for row in work.names.values()]
    if ids:
        runs.let_go(session, STEP, ids, owner=owner)


def note_sent(
    session: Session,
    works: Sequence[Work],
    answer: str | Failure,
    *,
    call_id: int | None,
    owner: str,
    now: datetime,
) -> None:
    """What became of sending: the id at the service is kept before it is ever asked after."""
    ids = [row.id for work in works for row in work.names.values()]
    runs.let_go(session, STEP, ids, owner=owner)
    batch = batches.of_call(session, call_id) if call_id is not None else None
    if isinstance(answer, Failure):
        if batch is not None:
            batches.ended(session, batch, BatchState.FAILED, answer.reason, now=now)
        _note_failure(session, ids, answer, now=now)
        return
    assert batch is not None
    judging.go_on(session)
    batches.sent(session, batch, answer, now=now)


def batches_due(session: Session, *, now: datetime) -> int:
    """How many Message Batches are to be looked at now."""
    return len(batches.due(session, now=now))


def take_up_batch(session: Session, *, owner: str, now: datetime) -> ModelBatch | None:
    """The next batch to look at; no other worker gets it meanwhile."""
    clock = time.time()
    held = set(session.connection().execute(runs.held(BATCHES, clock=clock)).scalars())
    for batch in batches.due(session, now=now):
        if batch.id not in held:
            runs.hold(session, BATCHES, [batch.id or 0], owner=owner, clock=clock)
            return batch
    return None


@dataclass(frozen=True)
class Seen:
    """A batch as it was found: not ended yet, or its answers by request, or lost."""

    answers: dict[str, Answer] | None = None
    failure: Failure | None = None
    lost: str = ""


def never_sent(batch: ModelBatch) -> str:
    """Why a batch that has no id at the service gives nothing; "" for one that has."""
    if batch.state == BatchState.PREPARED:
        return "The program ended while it was sent, and nobody knows whether it was."
    return ""


def stands(batch: ModelBatch, found: BatchStands | Failure, *, now: datetime) -> Seen:
    """What looking at a batch means, before its results are read."""
    age = now - batch.created_at
    if isinstance(found, Failure):
        # Results are kept for weeks: a machine that was off or offline has not lost them.
        gone = not found.later or age > batches.KEPT
        return Seen(lost=found.reason) if gone else Seen(failure=found)
    return Seen(lost="It did not end within a day.") if age > batches.GIVEN_UP else Seen()


def answers(batch: ModelBatch, given: Mapping[str, Answer]) -> list[Answer]:
    """An answer for each request of a batch; of one that has none nobody knows what it cost."""
    return [given.get(str(each.get("id")), _NO_ANSWER) for each in batch.requests]


_NO_ANSWER = Failure("The batch had no answer for it.", later=True)


def collected(
    session: Session, batch_id: int, seen: Seen, *, owner: str, now: datetime
) -> tuple[ModelBatch | None, int, int]:
    """Store what a batch gave. (the batch when it is over now, papers judged, papers not)."""
    if not runs.let_go(session, BATCHES, [batch_id], owner=owner):
        return None, 0, 0
    batch = session.get(ModelBatch, batch_id)
    if batch is None or batch.state not in (BatchState.PREPARED, BatchState.SENT):
        return None, 0, 0
    if seen.lost:
        about = [int(paper) for each in batch.requests for paper in each.get("papers", ())]
        # Not again within the day by itself: it may have been sent, and cost what it costs.
        judging.failed(session, about, seen.lost, now=now, wait=A_DAY)
        batches.ended(session, batch, BatchState.FAILED, seen.lost, now=now)
        return batch, 0, len(about)
    if seen.answers is None:
        failure = seen.failure
        batches.look_later(
            session,
            batch,
            now=now,
            wait=failure.wait if failure else None,
            why=failure.reason if failure else "",
        )
        return None, 0, 0
    done = left = 0
    topics, prompt = assessments.topics(session), load("triage")
    for each in batch.requests:
        ids = [int(paper) for paper in each.get("papers", ())]
        rows = judging.papers(session, ids, batch.about)
        names = {paper_id(row.id, row.arxiv): row for row in rows}
        work = Work(batch.about, batch.model, prompt, topics, names)
        answer = seen.answers.get(str(each.get("id")), _NO_ANSWER)
        if isinstance(answer, Reply):
            judged, missed = _store_reply(
                session, work, answer, set(ids), call_id=batch.call_id, now=now
            )
        else:
            tried = [row.id for row in rows]
            judging.failed(session, tried, answer.reason, now=now, wait=timedelta(0))
            judged, missed = 0, len(rows)
        done, left = done + judged, left + missed
    batches.ended(session, batch, BatchState.COLLECTED, "", now=now)
    return batch, done, left
