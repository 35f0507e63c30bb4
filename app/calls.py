"""One call of the model: reserved against the budgets, made, booked.

Before a call its worst case is written down as reserved, in one short transaction of a writer that
is alone: so many workers at once never spend more than the budgets. No transaction is open while the
model answers. Afterwards the call is booked at what the tokens cost, or at its worst case where
nobody can say what was billed, or released where it is certain that nothing was. A process that dies
leaves its reservation, which goes on counting: after a day it is booked as it stands.

A reservation cannot be exceeded: no token is shorter than a byte (`money.most_tokens`), each counts
as the dearest kind, and the reply is bounded by the request itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.domain import money
from app.domain.money import LLMSettings, ModelPrice, dollars
from app.domain.records import CallState, ModelCall
from app.llm.base import Answer, Failure, Model, Prompt, Reply, Request, Tokens
from app.services import costs
from app.store import calls as stored
from app.store.db import LARGEST_ID, writing

ABANDONED = timedelta(hours=24)  # no call takes as long; its process has died
REPLY_A_PAPER = 250  # tokens, until there is a record of replies
_DATED = re.compile(r"-\d{8}")


class Caller(Protocol):
    """What a call needs; `bootstrap.App` has it all."""

    @property
    def engine(self) -> Engine: ...
    @property
    def model(self) -> Model | None: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...
    def today(self) -> date: ...
    def llm_in_force(self, session: Session) -> LLMSettings: ...


@dataclass(frozen=True)
class Asked:
    """What a call gave, and the row it was booked in; None when it was not made."""

    answer: Answer
    call_id: int | None


@dataclass(frozen=True)
class Sent:
    """A Message Batch that was begun, by its id at the service, and the row it is reserved in."""

    batch: str | Failure
    call_id: int | None


@dataclass(frozen=True)
class Estimate:
    """What calls would cost, in millionths, before they are made; None where the price is not known.

    `expected` by the length of the texts and of earlier replies, `worst` at most. `room` is what the
    budgets have left now.
    """

    expected: int | None
    worst: int | None
    model: str
    room: int

    @property
    def known(self) -> bool:
        return self.expected is not None


def ready(session: Session, tools: Caller, model: str = "") -> str:
    """ "" when a call may be made now; else one sentence that says why not and what to do.

    Of `model`, or of the model that is in force.
    """
    chosen = tools.llm_in_force(session)
    model = model or chosen.model
    if not model:
        return "No model is set. Name one in Settings."
    if chosen.daily == 0:
        return "The budget of a day is 0: nothing is spent. Set one in Settings."
    if tools.model is None:
        return "No language model can be called from here."
    if tools.model.ready:
        return tools.model.ready
    today = tools.today().isoformat()
    if costs.price_on(session, model, today) is None:
        return f"The price of {model} is not known. Enter it on the Costs screen (/costs)."
    return _no_room(session, chosen, today, least=1)


def ask(
    tools: Caller, request: Request, *, purpose: str, about: str, prompt: Prompt, papers: int = 0
) -> Asked:
    """Make one call. `purpose` says in words what for, `about` which day's listing, `papers` how many.

    The answer is a Failure that is `free` and may be tried later when no call may be made: no model,
    key, price or room in the budgets.
    """
    with writing(tools.engine) as session:
        held = _reserve(
            session, tools, [request], purpose=purpose, about=about, prompt=prompt, papers=papers
        )
    if isinstance(held, Failure):
        return Asked(held, None)
    assert tools.model is not None
    answer = tools.model.ask(request)
    with writing(tools.engine, alone=False) as session:
        if call := stored.unfinished(session, held):
            _book(session, call, [answer], now=tools.clock())
    return Asked(answer, held)


def send_batch(
    tools: Caller,
    requests: Sequence[tuple[str, Request]],
    *,
    purpose: str,
    about: str,
    prompt: Prompt,
    papers: int = 0,
    prepared: Callable[[Session, int], None] = lambda session, call_id: None,
) -> Sent:
    """Begin a Message Batch of requests to one model, each by an id of ours.

    `prepared` runs in the transaction of the reservation, with the id of its row: what is written
    there is kept before anything is sent. A batch that the service took stays reserved until it is
    collected (`book_batch`).
    """
    with writing(tools.engine) as session:
        held = _reserve(
            session,
            tools,
            [request for _, request in requests],
            purpose=purpose,
            about=about,
            prompt=prompt,
            papers=papers,
            batched=True,
        )
        if not isinstance(held, Failure):
            prepared(session, held)
    if isinstance(held, Failure):
        return Sent(held, None)
    assert tools.model is not None
    batch = tools.model.send_batch(requests)
    if isinstance(batch, Failure):
        with writing(tools.engine, alone=False) as session:
            give_up_batch(session, tools, held, batch.reason, free=batch.free)
    return Sent(batch, held)


def book_batch(session: Session, tools: Caller, call_id: int, answers: Iterable[Answer]) -> None:
    """Book a batch by an answer for each of its requests, in the transaction that stores them.

    Where one of them does not say what was billed, the whole batch counts as its worst case.
    """
    if call := stored.unfinished(session, call_id):
        _book(session, call, list(answers), now=tools.clock())


def give_up_batch(session: Session, tools: Caller, call_id: int, why: str, *, free: bool) -> None:
    """Settle a batch that gives nothing: at nothing when that is certain (`free`), or its worst case."""
    if call := stored.unfinished(session, call_id):
        _book(session, call, [Failure(why, later=False, free=free)], now=tools.clock())


def within_budget(
    session: Session, tools: Caller, requests: Sequence[Request], *, batched: bool
) -> int:
    """How many of these requests, from the first on, there is room for today."""
    chosen, today = tools.llm_in_force(session), tools.today().isoformat()
    price = costs.price_on(session, requests[0].model, today)
    if price is None:
        return 0
    room, fit = _room(session, chosen, today), 0
    for request in requests:
        room -= _worst(request, price, batched=batched)
        if room < 0:
            break
        fit += 1
    return fit


def estimate(
    session: Session,
    tools: Caller,
    requests: Sequence[Request],
    *,
    purpose: str = "",
    papers: int = 0,
    batched: bool = False,
) -> Estimate:
    """What these requests to one model would cost today."""
    chosen, today = tools.llm_in_force(session), tools.today().isoformat()
    model = requests[0].model if requests else chosen.model
    room = _room(session, chosen, today)
    price = costs.price_on(session, model, today)
    if price is None:
        return Estimate(None, None, model, room)
    worst = sum(_worst(request, price, batched=batched) for request in requests)
    said = stored.reply_tokens_a_paper(session, purpose, model)
    reply = int(papers * (said or REPLY_A_PAPER)) // max(len(requests), 1)
    expected, cached = 0, ""
    for request in requests:
        system, user = money.likely_tokens(request.system), money.likely_tokens(request.user)
        again = request.system == cached and not batched
        used = Tokens(
            input=user,
            output=min(reply or request.most_tokens // 2, request.most_tokens),
            cache_read=system if again else 0,
            cache_write=0 if again else system,
        )
        expected += money.cost(used, price, batched=batched)
        cached = request.system
    return Estimate(min(expected, worst), worst, model, room)


# ---------------------------------------------------------------- before


def _reserve(
    session: Session,
    tools: Caller,
    requests: Sequence[Request],
    *,
    purpose: str,
    about: str,
    prompt: Prompt,
    papers: int,
    batched: bool = False,
) -> int | Failure:
    """The row that holds the worst case of these requests, or why they may not be made."""
    now, today = tools.clock(), tools.today().isoformat()
    stored.settle_abandoned(
        session,
        before=now - ABANDONED,
        now=now,
        outcome="Never finished: its process ended. Counted as the most it can be.",
    )
    model = requests[0].model
    assert all(request.model == model for request in requests)
    if why_not := ready(session, tools, model):
        return Failure(why_not, later=True, free=True)
    price = costs.price_on(session, model, today)
    assert price is not None
    worst = sum(_worst(request, price, batched=batched) for request in requests)
    if why_not := _no_room(session, tools.llm_in_force(session), today, least=worst):
        return Failure(why_not, later=True, free=True)
    return stored.insert(
        session,
        ModelCall(
            at=now,
            day=today,
            purpose=purpose,
            about=about,
            model=model,
            prompt=prompt.label,
            state=CallState.RESERVED,
            batched=batched,
            reserved=worst,
            papers=papers,
        ),
    )


def _worst(request: Request, price: ModelPrice, *, batched: bool) -> int:
    shape = json.dumps(request.schema) if request.schema else ""
    read = money.most_tokens(request.system, request.user, shape)
    return money.worst_cost(read, request.most_tokens, price, batched=batched)


def _spent(session: Session, chosen: LLMSettings, today: str) -> list[tuple[str, int, int]]:
    """Each budget in force: of what, how much, and what counts against it."""
    found = [("day", chosen.daily, stored.counted(session, today, today))]
    if chosen.monthly is not None:
        first, last = money.month_of(today)
        found.append(("month", chosen.monthly, stored.counted(session, first, last)))
    return found


def _room(session: Session, chosen: LLMSettings, today: str) -> int:
    return max(0, min(most - counts for _, most, counts in _spent(session, chosen, today)))


def _no_room(session: Session, chosen: LLMSettings, today: str, *, least: int) -> str:
    """ "" when every budget has so much left; else a sentence."""
    for of, most, counts in _spent(session, chosen, today):
        if counts >= most:
            return f"The budget of a {of}, {dollars(most)}, is used up. Calls go on with the next {of}."
        if least > most:
            return (
                f"This may cost up to {dollars(least)}, which is more than the budget of a {of}, "
                f"{dollars(most)}. Raise it in Settings, or ask about fewer papers at once."
            )
        if counts + least > most:
            return (
                f"The budget of a {of}, {dollars(most)}, has {dollars(most - counts)} left, "
                f"and this may cost up to {dollars(least)}."
            )
    return ""


# ---------------------------------------------------------------- after


def _book(session: Session, call: ModelCall, answers: Sequence[Answer], *, now: datetime) -> None:
    """Settle a call by what came back for it; a batch has several answers."""
    replies = [each for each in answers if isinstance(each, Reply)]
    failures = [each for each in answers if isinstance(each, Failure)]
    call.ended_at = now
    call.request_id = next((each.request_id for each in answers if each.request_id), "")
    said = [_outcome(replies, len(answers))] if replies else []
    said += sorted({each.reason for each in failures})[:3]
    told = bool(answers) and all(each.free for each in failures)
    if not replies and told:
        call.state, call.cost = CallState.RELEASED, 0
    else:
        call.state = CallState.BOOKED
        said += _cost(session, call, replies, told=told)
    call.outcome = " ".join(said) or "Nothing came back."
    session.add(call)


def _cost(session: Session, call: ModelCall, replies: Sequence[Reply], *, told: bool) -> list[str]:
    """Enter tokens and cost; what is to be said of them. `told`: all that was billed is in replies."""
    used, spent, unpriced = Tokens(), 0, set()
    answering = {_answered_by(call.model, reply.model) for reply in replies}
    priced = {model: costs.price_on(session, model, call.day) for model in answering}
    for reply in replies:
        if reply.tokens is None or not _can_be(reply.tokens):
            told = False
            continue
        model = _answered_by(call.model, reply.model)
        used = _together(used, reply.tokens)
        if (price := priced[model]) is None:
            unpriced.add(model)
        else:
            spent += money.cost(reply.tokens, price, batched=call.batched)
    if _can_be(used):
        for kind in stored.KINDS:
            setattr(call, f"{kind}_tokens", getattr(used, kind))
    if len(answering) == 1:
        call.model = answering.pop()  # what its price is looked up by
    if not told or not _can_be(used) or (not unpriced and spent > (call.reserved or 0)):
        call.cost = call.reserved
        return ["What was billed is not known: counted as the most it can be."]
    call.cost = None if unpriced else spent
    return [f"{model} answered, whose price is not known." for model in sorted(unpriced)]


_STOPS = {
    "end_turn": "answered",
    "stop_sequence": "answered",
    "max_tokens": "cut off",
    "refusal": "refused",
}


def _outcome(replies: Sequence[Reply], asked: int) -> str:
    """ "answered", or for several requests how many ended how."""
    ends = [_STOPS.get(reply.stop, reply.stop or "ended") for reply in replies]
    if asked == 1:
        return ends[0].capitalize() + "."
    counts = ", ".join(f"{ends.count(end)} {end}" for end in dict.fromkeys(ends))
    return f"{counts} of {asked}."


def _answered_by(asked: str, answered: str) -> str:
    """Whose price counts: a model's dated version costs what the model does."""
    if not answered or (
        answered.startswith(asked) and _DATED.fullmatch(answered.removeprefix(asked))
    ):
        return asked
    return answered[: costs.LONGEST_MODEL]


def _can_be(tokens: Tokens) -> bool:
    return all(0 <= getattr(tokens, kind) <= LARGEST_ID for kind in stored.KINDS)


def _together(one: Tokens, other: Tokens) -> Tokens:
    return Tokens(*(getattr(one, kind) + getattr(other, kind) for kind in stored.KINDS))
