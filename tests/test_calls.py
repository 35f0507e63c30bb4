"""Calls of a model: never more than the budgets, never a cost that nobody knows as nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Engine
from sqlmodel import Session

from app import calls
from app.bootstrap import App
from app.domain import money
from app.domain.records import BatchState, CallState, ModelBatch, ModelCall
from app.llm.anthropic import AnthropicModel
from app.llm.base import Answer, BatchStands, Failure, Prompt, Reply, Request, Tokens
from app.services import costs
from app.services.linker import shipped_weights
from app.settings import Settings
from app.store import calls as stored
from app.store.db import reading, writing
from bench import budget
from tests import databases
from tests.factories import make_engine
from tests.llm_server import LlmServer, Scripted, refused

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
DAY = "2026-11-20"
MODEL = "claude-sonnet-5-5"
PROMPT = Prompt("triage", 1, "3f2a9c0112345678", "", "")
REQUEST = Request(MODEL, system="Judge papers. " * 50, user="A paper.", most_tokens=1_000)


class Scripts:
    """A model that answers what it is told to, and sees what is written while it does."""

    ready = ""

    def __init__(self, engine: Engine, *answers: Answer) -> None:
        self._engine = engine
        self._answers = list(answers)
        self._lock = threading.Lock()
        self.made = 0
        self.most_held = 0

    def ask(self, request: Request) -> Answer:
        with reading(self._engine) as session:
            held = stored.counted(session, stored.FIRST_DAY, stored.LAST_DAY)
        with self._lock:
            self.made += 1
            self.most_held = max(self.most_held, held)
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def count(self, request: Request) -> int | None:
        return None

    def send_batch(self, requests: Sequence[tuple[str, Request]]) -> str | Failure:
        answer = self._answers.pop(0)
        assert isinstance(answer, Failure) or answer.text
        return answer if isinstance(answer, Failure) else answer.text

    def look_at_batch(self, batch: str) -> BatchStands | Failure:
        raise AssertionError

    def results_of_batch(self, batch: str) -> Iterator[tuple[str, Answer]] | Failure:
        raise AssertionError

    def cancel_batch(self, batch: str) -> Failure | None:
        raise AssertionError


USED = Tokens(input=200, output=100)  # 1,400 at the price of the model


def reply(tokens: Tokens | None = USED, **other: Any) -> Reply:
    return replace(Reply("text", "end_turn", MODEL, "req_1", tokens), **other)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A wiki with a model, a dollar a day, and a clock that stands still."""
    settings = Settings(
        data=tmp_path,
        embedding_model="none",
        timezone="UTC",
        now=NOW,
        llm_model=MODEL,
        llm_daily_budget_usd=Decimal(1),
    )
    engine = make_engine(tmp_path)
    yield App(settings, engine, shipped_weights(None), model=Scripts(engine, reply()))
    engine.dispose()


def ask(app: App, request: Request = REQUEST, **other: Any) -> calls.Asked:
    given: dict[str, Any] = {"purpose": "triage", "about": DAY, "prompt": PROMPT, "papers": 3}
    return calls.ask(app, request, **(given | other))


def answering(app: App, *answers: Answer) -> Scripts:
    app.model = scripts = Scripts(app.engine, *answers)
    return scripts


def call_of(app: App, asked: calls.Asked | calls.Sent) -> ModelCall:
    with reading(app.engine) as session:
        found = session.get(ModelCall, asked.call_id)
        assert found is not None
        session.expunge(found)
        return found


def all_calls(app: App) -> list[ModelCall]:
    with reading(app.engine) as session:
        found = stored.newest(session, limit=1_000)
        session.expunge_all()
        return found


def worst(request: Request = REQUEST, *, batched: bool = False) -> int:
    price = _price(request.model)
    tokens = money.most_tokens(request.system, request.user, "")
    return money.worst_cost(tokens, request.most_tokens, price, batched=batched)


def _price(model: str) -> money.ModelPrice:
    from app.llm.prices import shipped

    found = money.in_force(shipped(), model, DAY)
    assert found is not None
    return found


# ---------------------------------------------------------------- one call


def test_a_call_is_booked_with_its_tokens_and_what_they_cost(app: App) -> None:
    tokens = Tokens(input=200, output=100, cache_read=50, cache_write=30)
    scripts = answering(app, reply(tokens))
    asked = ask(app)
    assert asked.answer == reply(tokens)
    call = call_of(app, asked)
    assert (call.day, call.purpose, call.about, call.model) == (DAY, "triage", DAY, MODEL)
    assert (call.prompt, call.papers, call.request_id) == ("triage@1 3f2a9c01", 3, "req_1")
    assert call.state == CallState.BOOKED
    assert (call.input_tokens, call.output_tokens) == (200, 100)
    assert (call.cache_read_tokens, call.cache_write_tokens) == (50, 30)
    assert call.cost == 200 * 2 + 100 * 10 + 5 + 75
    assert call.outcome == "Answered."
    assert call.reserved == worst() == scripts.most_held


def test_the_real_client_is_booked_by_what_the_service_says(app: App, llm: LlmServer) -> None:
    app.model = AnthropicModel()
    llm.answer = lambda body: "x" * 400
    call = call_of(app, ask(app))
    assert call.state == CallState.BOOKED
    assert call.output_tokens == 101
    assert call.cost == call.input_tokens * 2 + 101 * 10
    assert call.cost < (call.reserved or 0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 529])
def test_what_the_service_refuses_costs_nothing(app: App, llm: LlmServer, status: int) -> None:
    app.model = AnthropicModel()
    llm.script(*[refused(status)] * 5)
    asked = ask(app)
    assert isinstance(asked.answer, Failure)
    call = call_of(app, asked)
    assert (call.state, call.cost) == (CallState.RELEASED, 0)
    assert call.outcome == asked.answer.reason


@pytest.mark.parametrize("step", [Scripted(cut=40), Scripted(broken="overloaded_error")])
def test_an_answer_that_broke_off_counts_as_the_most_it_can_be(
    app: App, llm: LlmServer, step: Scripted
) -> None:
    app.model = AnthropicModel()
    llm.answer = lambda body: "x" * 400
    llm.script(*[step] * 5)
    asked = ask(app)
    assert isinstance(asked.answer, Failure)
    call = call_of(app, asked)
    assert (call.state, call.cost) == (CallState.BOOKED, call.reserved)
    assert call.outcome.endswith("What was billed is not known: counted as the most it can be.")


@pytest.mark.parametrize(
    "tokens",
    [
        None,
        Tokens(input=-1, output=10),
        Tokens(input=200, output=-100),
        Tokens(input=200, output=10**9),
        Tokens(input=10**18),
        Tokens(cache_read=2**63),
    ],
)
def test_usage_that_is_missing_or_cannot_be_counts_as_the_most_it_can_be(
    app: App, tokens: Tokens | None
) -> None:
    answering(app, reply(tokens))
    call = call_of(app, ask(app))
    assert (call.state, call.cost) == (CallState.BOOKED, call.reserved)
    assert "counted as the most it can be" in call.outcome


def test_a_dated_version_costs_what_its_model_does(app: App) -> None:
    answering(app, reply(model=f"{MODEL}-20260922"))
    call = call_of(app, ask(app))
    assert (call.model, call.cost) == (MODEL, 1_400)


def test_another_model_that_answers_is_booked_at_its_own_price(app: App) -> None:
    answering(app, reply(model="claude-opus-5-5"))
    call = call_of(app, ask(app, replace(REQUEST, most_tokens=4_000)))
    assert (call.model, call.cost) == ("claude-opus-5-5", 200 * 4 + 100 * 20)


def test_the_cost_of_an_unknown_model_is_unknown_until_its_price_is_entered(app: App) -> None:
    answering(app, reply(model="house-model"))
    call = call_of(app, ask(app))
    assert (call.state, call.cost, call.model) == (CallState.BOOKED, None, "house-model")
    assert call.outcome == "Answered. house-model answered, whose price is not known."
    with reading(app.engine) as session:
        assert stored.counted(session, DAY, DAY) == call.reserved
        [spent] = stored.by_use(session, DAY, DAY)
        assert (spent.sum.cost, spent.sum.unknown, spent.sum.held) == (0, 1, call.reserved)
    with writing(app.engine) as session:
        given = {"model": "house-model", "since": DAY, "input": "1", "output": "2"}
        costs.save_price(session, given)
    assert call_of(app, calls.Asked(reply(), call.id)).cost == 200 + 200


def test_a_model_without_a_price_is_not_called(app: App) -> None:
    scripts = answering(app, reply())
    asked = ask(app, replace(REQUEST, model="house-model"))
    assert asked == calls.Asked(
        Failure(
            "The price of house-model is not known. Enter it on the Costs screen (/costs).",
            later=True,
            free=True,
        ),
        None,
    )
    assert (scripts.made, all_calls(app)) == (0, [])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"llm_model": ""}, "No model is set. Name one in Settings."),
        (
            {"llm_daily_budget_usd": Decimal(0)},
            "The budget of a day is 0: nothing is spent. Set one in Settings.",
        ),
    ],
)
def test_nothing_is_called_without_a_model_or_a_budget(
    app: App, change: dict[str, Any], sentence: str
) -> None:
    scripts = answering(app, reply())
    app.settings = app.settings.model_copy(update=change)
    with reading(app.engine) as session:
        assert calls.ready(session, app) == sentence
    if "llm_model" not in change:
        assert ask(app).answer == Failure(sentence, later=True, free=True)
    assert (scripts.made, all_calls(app)) == (0, [])


def test_nothing_is_called_by_default(tmp_path: Path) -> None:
    app = App(Settings(data=tmp_path, now=NOW), make_engine(tmp_path), shipped_weights(None))
    scripts = answering(app, reply())
    assert isinstance(ask(app).answer, Failure)
    assert scripts.made == 0


def test_without_a_key_nothing_is_called(app: App) -> None:
    app.model = AnthropicModel()
    asked = ask(app)
    assert isinstance(asked.answer, Failure)
    assert asked.answer.reason == app.model.ready
    assert all_calls(app) == []


# ---------------------------------------------------------------- budgets


def with_budget(app: App, **settings: Any) -> None:
    app.settings = app.settings.model_copy(update=settings)


def dollars(amount: int) -> Decimal:
    return money.in_dollars(amount)


def test_a_call_that_may_cost_more_than_is_left_is_not_made(app: App) -> None:
    with_budget(app, llm_daily_budget_usd=dollars(worst() + 1_399))
    scripts = answering(app, reply())
    assert isinstance(ask(app).answer, Reply)  # costs 1,400
    refusal = ask(app).answer
    assert isinstance(refusal, Failure)
    assert refusal.free
    assert refusal.reason.startswith("The budget of a day, ")
    assert "left, and this may cost up to" in refusal.reason
    assert scripts.made == 1
    with_budget(app, llm_daily_budget_usd=dollars(worst() + 1_400))
    assert isinstance(ask(app).answer, Reply)


def test_a_call_larger_than_the_whole_budget_says_so(app: App) -> None:
    with_budget(app, llm_daily_budget_usd=dollars(worst() - 1))
    refusal = ask(app).answer
    assert isinstance(refusal, Failure)
    assert "which is more than the budget of a day" in refusal.reason


def test_the_month_counts_beside_the_day(app: App) -> None:
    with_budget(app, llm_monthly_budget_usd=dollars(worst() + 1_400))
    assert isinstance(ask(app).answer, Reply)
    with_budget(app, now=NOW + timedelta(days=1))
    assert isinstance(ask(app).answer, Reply)
    with_budget(app, now=NOW + timedelta(days=2))
    refusal = ask(app).answer
    assert isinstance(refusal, Failure)
    assert refusal.reason.startswith("The budget of a month")
    with_budget(app, now=NOW + timedelta(days=11))  # the first of December
    assert isinstance(ask(app).answer, Reply)


def test_a_day_is_the_readers_day(app: App) -> None:
    with_budget(app, timezone="Pacific/Auckland", now=datetime(2026, 11, 20, 12, 0, tzinfo=UTC))
    assert call_of(app, ask(app)).day == "2026-11-21"


def test_what_was_chosen_on_a_screen_is_in_force_at_once(app: App) -> None:
    app.settings = Settings(data=app.settings.data, timezone="UTC", now=NOW)
    answering(app, reply())
    assert isinstance(ask(app).answer, Failure)
    with writing(app.engine) as session:
        costs.save_llm(session, {"model": MODEL, "daily": "1"}, fixed=frozenset())
    assert isinstance(ask(app).answer, Reply)
    with writing(app.engine) as session:
        costs.save_llm(session, {"model": MODEL, "daily": "0"}, fixed=frozenset())
    assert isinstance(ask(app).answer, Failure)


def spend(app: App, workers: int, tries: int) -> int:
    """Ask so often from as many threads; how many calls were made."""
    start = threading.Barrier(workers)

    def work(_number: int) -> int:
        start.wait()
        return sum(isinstance(ask(app).answer, Reply) for _ in range(tries))

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(work, range(workers)))


def test_eight_workers_spend_no_more_than_the_budget(app: App) -> None:
    """Each call costs its worst case, and the budget has room for 13 of 40."""
    with_budget(app, llm_daily_budget_usd=dollars(13 * worst() + worst() // 2))
    scripts = answering(app, reply(None))
    made = spend(app, workers=8, tries=5)
    with reading(app.engine) as session:
        counted = stored.counted(session, DAY, DAY)
    assert (made, scripts.made, counted) == (13, 13, 13 * worst())
    assert scripts.most_held <= 13 * worst()
    assert len(all_calls(app)) == 13


def test_what_a_call_did_not_cost_is_there_for_the_next(app: App) -> None:
    """Room for one worst case at a time: eight workers still make every call that it admits."""
    with_budget(app, llm_daily_budget_usd=dollars(worst() + 9 * 1_400))
    scripts = answering(app, reply())
    while spend(app, workers=8, tries=3):
        pass
    with reading(app.engine) as session:
        counted = stored.counted(session, DAY, DAY)
    assert (scripts.made, counted) == (10, 10 * 1_400)
    assert scripts.most_held <= worst() + 9 * 1_400


def test_processes_spend_no_more_than_the_budget_either(tmp_path: Path) -> None:
    make_engine(tmp_path).dispose()
    found = budget.measure(databases.url_of(tmp_path), workers=4, tries=6, admitted=9)
    assert (found.made, found.tries, found.overshoot) == (9, 24, 0)
    assert found.counted == 9 * found.of_one


# ---------------------------------------------------------------- a process that dies


class Killed(BaseException):
    pass


def kill(app: App) -> ModelCall:
    """A process that dies in the middle of a call; what it leaves."""
    scripts = answering(app, reply())

    def dies(request: Request) -> Answer:
        raise Killed

    scripts.ask = dies  # type: ignore[method-assign]
    with pytest.raises(Killed):
        ask(app)
    return all_calls(app)[0]


def test_what_a_dead_process_reserved_goes_on_counting(app: App) -> None:
    with_budget(app, llm_daily_budget_usd=dollars(2 * worst() - 1))
    left = kill(app)
    assert (left.state, left.cost) == (CallState.RESERVED, None)
    answering(app, reply())
    assert isinstance(ask(app).answer, Failure)
    with reading(app.engine) as session:
        found = costs.spending(session, DAY)
    assert (found.today.unfinished, found.today.cost, found.today.held) == (1, 0, worst())


def test_after_a_day_it_is_booked_as_it_stands(app: App) -> None:
    kill(app)
    answering(app, reply())
    with_budget(app, now=NOW + timedelta(hours=24))
    ask(app)
    assert all_calls(app)[-1].state == CallState.RESERVED
    with_budget(app, now=NOW + timedelta(hours=24, seconds=1))
    ask(app)
    left = all_calls(app)[-1]
    assert (left.state, left.cost, left.day) == (CallState.BOOKED, left.reserved, DAY)
    assert left.outcome.startswith("Never finished")


def test_what_was_settled_is_not_booked_again(app: App) -> None:
    asked = ask(app)
    before = call_of(app, asked)
    assert asked.call_id is not None
    with writing(app.engine) as session:
        calls.book_batch(session, app, asked.call_id, [reply(Tokens(input=1))])
    assert call_of(app, asked) == before


# ---------------------------------------------------------------- batches

REQUESTS = [(f"r{number}", replace(REQUEST, user=f"Paper {number}.")) for number in range(4)]


def send(app: App, **other: Any) -> calls.Sent:
    given: dict[str, Any] = {"purpose": "triage", "about": DAY, "prompt": PROMPT, "papers": 4}
    return calls.send_batch(app, REQUESTS, **(given | other))


def book(app: App, sent: calls.Sent, answers: list[Answer]) -> ModelCall:
    assert sent.call_id is not None
    with writing(app.engine) as session:
        calls.book_batch(session, app, sent.call_id, answers)
    return call_of(app, sent)


def test_a_batch_is_reserved_and_booked_at_the_price_of_batches(app: App) -> None:
    answering(app, reply(text="msgbatch_1"))
    sent = send(app)
    assert sent.batch == "msgbatch_1"
    call = call_of(app, sent)
    assert (call.state, call.batched) == (CallState.RESERVED, True)
    assert call.reserved == sum(worst(request, batched=True) for _, request in REQUESTS)
    call = book(app, sent, [reply(), reply(stop="max_tokens"), reply(), reply(stop="refusal")])
    assert call.cost == 4 * 700
    assert (call.input_tokens, call.output_tokens) == (800, 400)
    assert call.outcome == "2 answered, 1 cut off, 1 refused of 4."


def test_requests_of_a_batch_that_failed_cost_nothing(app: App) -> None:
    answering(app, reply(text="msgbatch_1"))
    expired = Failure("It expired.", later=True, free=True)
    call = book(app, send(app), [reply(), expired, expired, expired])
    assert (call.state, call.cost) == (CallState.BOOKED, 700)
    assert call.outcome == "1 answered of 4. It expired."
    answering(app, reply(text="msgbatch_2"))
    call = book(app, send(app), [expired] * 4)
    assert (call.state, call.cost) == (CallState.RELEASED, 0)


def test_a_batch_with_a_reply_of_unknown_usage_counts_as_the_most_it_can_be(app: App) -> None:
    answering(app, reply(text="msgbatch_1"))
    call = book(app, send(app), [reply(), reply(None)])
    assert call.cost == call.reserved
    assert call.input_tokens == 200


@pytest.mark.parametrize("free", [True, False])
def test_a_batch_that_could_not_be_sent(app: App, free: bool) -> None:
    answering(app, Failure("No.", later=True, free=free))
    call = call_of(app, send(app))
    assert call.state == (CallState.RELEASED if free else CallState.BOOKED)
    assert call.cost == (0 if free else call.reserved)


def test_a_batch_under_way_is_never_given_up_for_its_age(app: App) -> None:
    def prepared(session: Session, call_id: int) -> None:
        session.add(
            ModelBatch(
                call_id=call_id,
                purpose="triage",
                model=MODEL,
                state=BatchState.PREPARED,
                created_at=NOW,
                next_look_at=NOW,
            )
        )

    answering(app, reply(text="msgbatch_1"))
    sent = send(app, prepared=prepared)
    with_budget(app, now=NOW + timedelta(days=9))
    answering(app, reply())
    ask(app)
    assert call_of(app, sent).state == CallState.RESERVED


def test_a_batch_beyond_the_budget_leaves_nothing(app: App) -> None:
    with_budget(app, llm_daily_budget_usd=dollars(worst()))
    prepared: list[int] = []
    sent = send(app, prepared=lambda session, call_id: prepared.append(call_id))
    assert isinstance(sent.batch, Failure)
    assert (sent.call_id, prepared, all_calls(app)) == (None, [], [])


# ---------------------------------------------------------------- estimates


def test_an_estimate_lies_between_nothing_and_the_worst_case(app: App) -> None:
    requests = [request for _, request in REQUESTS]
    with reading(app.engine) as session:
        found = calls.estimate(session, app, requests, purpose="triage", papers=4)
        half = calls.estimate(session, app, requests, purpose="triage", papers=4, batched=True)
    assert found.known
    assert found.expected is not None
    assert found.worst == sum(map(worst, requests))
    assert 0 < found.expected < found.worst
    assert half.worst == -(-found.worst // 2) or half.worst == sum(
        worst(request, batched=True) for request in requests
    )
    assert found.room == 1_000_000


def test_an_estimate_learns_how_long_replies_are(app: App) -> None:
    requests = [request for _, request in REQUESTS]

    def expected() -> int:
        with reading(app.engine) as session:
            found = calls.estimate(session, app, requests, purpose="triage", papers=4).expected
        assert found is not None
        return found

    before = expected()
    answering(app, reply(Tokens(input=200, output=30)))
    ask(app)  # 3 papers, 10 tokens each
    assert expected() == before - 4 * (calls.REPLY_A_PAPER - 10) * 10


def test_without_a_price_there_is_no_estimate(app: App) -> None:
    with reading(app.engine) as session:
        found = calls.estimate(session, app, [replace(REQUEST, model="house-model")])
    assert (found.known, found.expected, found.worst, found.room) == (False, None, None, 1_000_000)
