"""The client of the Messages API, against a server on loopback that behaves well and badly."""

from __future__ import annotations

import email.utils
import json
import socket
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from app.llm.anthropic import LONGEST_WAIT, NO_KEY, AnthropicModel
from app.llm.base import Answer, BatchStands, Failure, Reply, Request, Tokens
from tests.llm_server import LlmServer, Scripted, refused, system_of, user_of

REPLIES = Path(__file__).parents[3] / "shared/corpora/own/llm-replies.jsonl"


def request(**other: Any) -> Request:
    said: dict[str, Any] = {
        "model": "claude-test",
        "system": "You judge.",
        "user": "Judge this.",
        "most_tokens": 1_000,
    }
    return Request(**said | other)


@pytest.fixture
def model(llm: LlmServer) -> AnthropicModel:
    return AnthropicModel(silence=0.5, deadline=2.0)


def failed(answer: Answer | BatchStands | str | None) -> Failure:
    assert isinstance(answer, Failure), answer
    assert answer.reason.endswith(".") and "\n" not in answer.reason and len(answer.reason) < 320
    return answer


def replied(answer: Answer) -> Reply:
    assert isinstance(answer, Reply), answer
    return answer


# ------------------------------------------------------------------------------ a good call


def test_a_reply_with_its_tokens(llm: LlmServer, model: AnthropicModel) -> None:
    llm.answer = lambda body: "Good. " * 1_000
    reply = replied(model.ask(request()))
    assert reply == Reply(
        text="Good. " * 1_000,
        stop="end_turn",
        model="claude-test",
        request_id="req_1",
        tokens=Tokens(input=6, output=1_501),
    )
    sent = llm.recorded[0]
    assert sent.headers["authorization"] == "Bearer test"
    assert sent.body["max_tokens"] == 1_000
    assert not sent.body.keys() & {"tools", "tool_choice", "output_config", "temperature"}
    assert llm.models_asked == []


def test_the_system_part_is_cached_and_the_papers_never(
    llm: LlmServer, model: AnthropicModel
) -> None:
    long = request(system="Judge with care. " * 400)
    first, second = replied(model.ask(long)), replied(model.ask(long))
    assert llm.messages[0]["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in json.dumps(llm.messages[0]["messages"])
    assert first.tokens is not None and second.tokens is not None
    assert first.tokens.cache_write == second.tokens.cache_read == 1_701
    assert first.tokens.cache_read == second.tokens.cache_write == 0
    assert first.tokens.input == second.tokens.input == 3


def test_a_schema_asks_for_json(llm: LlmServer, model: AnthropicModel) -> None:
    schema = {
        "type": "object",
        "properties": {"summary": {"type": "string"}},
        "required": ["summary"],
        "additionalProperties": False,
    }
    reply = replied(model.ask(request(schema=schema)))
    assert json.loads(reply.text) == {"summary": ""}
    assert llm.messages[0]["output_config"] == {"format": {"type": "json_schema", "schema": schema}}


@pytest.mark.parametrize(
    ("efforts", "sent"), [(("low", "high"), True), (("high",), False), ((), False), (None, False)]
)
def test_an_effort_is_named_to_models_that_know_it(
    llm: LlmServer, model: AnthropicModel, efforts: tuple[str, ...] | None, sent: bool
) -> None:
    llm.efforts = efforts
    for _ in range(2):
        replied(model.ask(request(effort="low")))
    assert [("output_config" in body) for body in llm.messages] == [sent, sent]
    assert not sent or llm.messages[0]["output_config"] == {"effort": "low"}
    assert llm.models_asked == ["claude-test"]


def test_input_tokens_are_counted(llm: LlmServer, model: AnthropicModel) -> None:
    assert model.count(request(user="x" * 400)) == 104
    assert "max_tokens" not in llm.recorded[0].body
    for step in (
        refused(404),
        refused(500),
        Scripted(reset=True),
        Scripted(raw=b"<html>"),
        Scripted(raw=b'{"input_tokens": -4}'),
        Scripted(raw=b'{"input_tokens": "many"}'),
        Scripted(raw=b"[1]"),
    ):
        llm.script(step)
        assert model.count(request()) is None


def test_invisible_characters_go_neither_way(llm: LlmServer, model: AnthropicModel) -> None:
    hidden = "seen\U000e0049\U000e0067\u200b\u202e\u2066\ud83d\x00 and\r\nread"
    llm.answer = lambda body: hidden
    reply = replied(model.ask(request(system=hidden, user=hidden)))
    assert reply.text == "seen and\nread"
    assert system_of(llm.messages[0]) == user_of(llm.messages[0]) == "seen and\nread"


def test_a_model_that_retires_is_called_without_a_warning(
    llm: LlmServer, model: AnthropicModel
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert replied(model.ask(request(model="claude-sonnet-4-5"))).model == "claude-sonnet-4-5"


# ------------------------------------------------------------------------------ odd replies


@pytest.mark.parametrize("stop", ["max_tokens", "refusal", "pause_turn"])
def test_how_a_reply_ended_is_told(llm: LlmServer, model: AnthropicModel, stop: str) -> None:
    llm.script(Scripted(text='{"summary": "It wor', stop=stop))
    reply = replied(model.ask(request()))
    assert (reply.text, reply.stop) == ('{"summary": "It wor', stop)
    assert reply.tokens is not None


@pytest.mark.parametrize(
    "content",
    [
        [],
        [{"type": "tool_use", "id": "toolu_1", "name": "delete_page", "input": {"id": 1}}],
        [{"type": "thinking", "thinking": "Hm.", "signature": "x"}],
        [{"type": "text", "text": None}],
        [{"type": "text", "text": 5}],
        [{"type": "brand_new"}, "text", None, 7],
    ],
)
def test_what_is_no_text_is_left_out(
    llm: LlmServer, model: AnthropicModel, content: list[Any]
) -> None:
    llm.script(Scripted(content=content), Scripted(content=[*content, _TEXT, _TEXT]))
    assert replied(model.ask(request())).text == ""
    assert replied(model.ask(request())).text == "Yes. Yes. "


_TEXT = {"type": "text", "text": "Yes. "}


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        "many",
        {"input_tokens": 10},
        {"output_tokens": 10},
        {"input_tokens": -1, "output_tokens": 5},
        {"input_tokens": 10, "output_tokens": -5},
        {"input_tokens": "10", "output_tokens": 5},
        {"input_tokens": 10, "output_tokens": 5.5},
        {"input_tokens": True, "output_tokens": 5},
        {"input_tokens": 10, "output_tokens": 10**12},
        {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": -3},
        {
            "input_tokens": 1,
            "output_tokens": 5,
            "cache_creation_input_tokens": 3,
            "cache_creation": {"ephemeral_1h_input_tokens": 9},
        },
    ],
)
def test_usage_that_is_missing_or_cannot_be_is_unknown(
    llm: LlmServer, model: AnthropicModel, usage: Any
) -> None:
    llm.script(Scripted(usage=usage))
    reply = replied(model.ask(request()))
    assert reply.tokens is None and reply.text == "Hello."


def test_usage_by_kind(llm: LlmServer, model: AnthropicModel) -> None:
    llm.script(
        Scripted(
            usage={
                "input_tokens": 1,
                "output_tokens": 2,
                "cache_read_input_tokens": 3,
                "cache_creation_input_tokens": 9,
                "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
            }
        ),
        Scripted(
            usage={"input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": None}
        ),
    )
    assert replied(model.ask(request())).tokens == Tokens(1, 2, 3, 4, 5)
    assert replied(model.ask(request())).tokens == Tokens(1, 2)


# ------------------------------------------------------------------------------ refusals


def test_one_try_a_call(llm: LlmServer, model: AnthropicModel) -> None:
    for status in (408, 409, 429, 500, 529):
        llm.script(refused(status, x_should_retry="true"))
        failed(model.ask(request()))
    assert len(llm.messages) == 5


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry_after": "2"}, 2.0),
        ({"retry_after": "1.5"}, 1.5),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after_ms": "250"}, 0.25),
        ({"retry_after_ms": "250", "retry_after": "9"}, 0.25),
        ({"retry_after_ms": "soon", "retry_after": "9"}, 9.0),
        ({"retry_after": "999999999"}, LONGEST_WAIT),
        ({"retry_after": "1e400"}, LONGEST_WAIT),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": ""}, None),
        ({"retry_after": "Fri, 32 Foo 9999 99:99:99 GMT"}, None),
        ({"retry_after": "Fri, 08 May 2015 09:00:00 GMT"}, 0.0),
        ({"retry_after": "Fri, 08 May 2115 09:00:00 GMT"}, LONGEST_WAIT),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 529, 503])
def test_how_long_to_wait(
    llm: LlmServer, model: AnthropicModel, status: int, headers: dict[str, str], wait: float | None
) -> None:
    llm.script(refused(status, **headers))
    failure = failed(model.ask(request()))
    assert (failure.later, failure.free, failure.wait) == (True, True, wait)
    assert failure.status == status and failure.request_id == "req_1"


def test_a_wait_until_a_time_of_day(llm: LlmServer, model: AnthropicModel) -> None:
    llm.script(refused(429, retry_after=email.utils.formatdate(time.time() + 600, usegmt=True)))
    wait = failed(model.ask(request())).wait
    assert wait is not None and 500 < wait <= 600


@pytest.mark.parametrize(
    ("step", "word"),
    [
        (refused(401), "ANTHROPIC_API_KEY"),
        (refused(403), "key"),
        (refused(402), "credit"),
        (refused(400, "Your credit balance is too low to access the API."), "credit"),
        (refused(403, kind="billing_error"), "credit"),
    ],
)
def test_without_access_it_is_asked_again_much_later(
    llm: LlmServer, model: AnthropicModel, step: Scripted, word: str
) -> None:
    llm.script(step)
    failure = failed(model.ask(request()))
    assert failure.later and failure.free
    assert failure.wait is not None and failure.wait >= 60
    assert word in failure.reason


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_what_is_wrong_in_itself_is_not_asked_again(
    llm: LlmServer, model: AnthropicModel, status: int
) -> None:
    llm.script(refused(status, "prompt is too long\u202e\n<b>now</b> " + "x" * 5_000))
    failure = failed(model.ask(request()))
    assert not failure.later and failure.free and failure.status == status
    assert "\u202e" not in failure.reason


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_service_that_failed_may_have_billed(
    llm: LlmServer, model: AnthropicModel, status: int
) -> None:
    llm.script(refused(status))
    failure = failed(model.ask(request()))
    assert failure.later and not failure.free


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[]", b'"x"', b"\xff\xfe"])
def test_a_refusal_without_words(llm: LlmServer, model: AnthropicModel, body: bytes) -> None:
    llm.script(Scripted(status=429, raw=body), Scripted(status=400, raw=body))
    assert failed(model.ask(request())).later
    assert not failed(model.ask(request())).later


# ------------------------------------------------------------------------------ broken connections


@pytest.mark.parametrize(
    "step",
    [
        Scripted(hang=5),
        Scripted(reset=True),
        Scripted(cut=0),
        Scripted(text="x" * 5_000, cut=1_500),
        Scripted(broken="overloaded_error"),
        Scripted(raw=b""),
        Scripted(raw=b"<html>Please sign in</html>"),
        Scripted(raw=b"event: message_start\ndata: {\n\n"),
        Scripted(raw=b'event: message_start\ndata: "x"\n\nevent: message_stop\ndata: [1]\n\n'),
        Scripted(raw=b"event: x\ndata: " + b"[" * 200_000 + b"\n\n"),
        Scripted(raw=b"event: message_start\ndata: \xff\xfe\n\n"),
    ],
)
def test_half_a_reply_is_no_reply_and_may_have_cost(
    llm: LlmServer, model: AnthropicModel, step: Scripted
) -> None:
    llm.script(step)
    failure = failed(model.ask(request()))
    assert failure.later and not failure.free
    assert replied(model.ask(request())).text == "Hello."


def test_an_error_within_a_reply_that_no_second_try_mends(
    llm: LlmServer, model: AnthropicModel
) -> None:
    llm.script(Scripted(broken="invalid_request_error"))
    assert not failed(model.ask(request())).later


def test_signs_of_life_do_not_keep_a_call_for_ever(llm: LlmServer) -> None:
    model = AnthropicModel(silence=0.5, deadline=0.2)
    llm.script(Scripted(pings=1_000))
    failure = failed(model.ask(request()))
    assert failure.later and not failure.free
    assert failure.reason == "The service did not answer in time."


def test_a_service_that_is_not_there_bills_nothing(
    model: AnthropicModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    failure = failed(model.ask(request()))
    assert failure.later and failure.free
    assert failure.reason == "The service cannot be reached."


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://127.0.0.1", "http://", "http://[", "http://x:y"]
)
def test_an_address_that_is_none(
    model: AnthropicModel, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    failure = failed(model.ask(request()))
    assert failure.free


def test_a_key_that_is_none(
    llm: LlmServer, model: AnthropicModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "schlüssel\n7")
    failure = failed(model.ask(request()))
    assert failure.free and failure.later and "ANTHROPIC_API_KEY" in failure.reason
    assert llm.recorded == []


def test_no_key_no_call(model: AnthropicModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.delenv("ANTHROPIC_BASE_URL")
    assert model.ready == NO_KEY
    for answer in (
        model.ask(request()),
        model.send_batch([("a", request())]),
        model.look_at_batch("b"),
        model.results_of_batch("b"),
        model.cancel_batch("b"),
    ):
        failure = answer
        assert isinstance(failure, Failure)
        assert failure.reason == NO_KEY and failure.free and failure.later
        assert failure.wait is not None and failure.wait >= 60
    assert model.count(request()) is None
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
    assert model.ready == NO_KEY


def test_a_server_of_ones_own_needs_no_key(
    llm: LlmServer, model: AnthropicModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert model.ready == ""
    assert replied(model.ask(request())).text == "Hello."
    assert llm.recorded[0].headers["authorization"] == "Bearer none"


# ------------------------------------------------------------------------------ batches


def sent(model: AnthropicModel, *names: str) -> str:
    batch = model.send_batch([(name, request(user=f"Judge {name}.")) for name in names])
    assert isinstance(batch, str), batch
    return batch


def results(model: AnthropicModel, batch: str) -> dict[str, Answer]:
    found = model.results_of_batch(batch)
    assert not isinstance(found, Failure), found
    return dict(found)


def test_a_batch_is_sent_looked_at_and_collected(llm: LlmServer, model: AnthropicModel) -> None:
    llm.answer = lambda body: user_of(body).upper()
    batch = sent(model, "a", "b", "c")
    assert model.look_at_batch(batch) == BatchStands(
        ended=False,
        counts={"processing": 3, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
    )
    stands = model.look_at_batch(batch)
    assert isinstance(stands, BatchStands) and stands.ended and stands.counts["succeeded"] == 3
    found = model.results_of_batch(batch)
    assert not isinstance(found, Failure)
    answers = list(found)
    assert [name for name, _ in answers] == ["c", "b", "a"]
    for name, answer in answers:
        reply = replied(answer)
        assert reply.text == f"JUDGE {name.upper()}."
        assert reply.tokens == Tokens(6, 3)
    params = llm.recorded[0].body["requests"][0]["params"]
    assert params["system"][0]["cache_control"] and "stream" not in params


def test_requests_of_a_batch_end_each_in_its_own_way(llm: LlmServer, model: AnthropicModel) -> None:
    batch = sent(model, "good", "wrong", "late", "gone", "lost", "odd")
    llm.batch_results = {
        "wrong": _errored("invalid_request_error"),
        "late": {"type": "expired"},
        "gone": {"type": "canceled"},
        "odd": {"type": "succeeded", "message": {"content": None, "usage": {"input_tokens": -1}}},
    }
    llm.batch_lost = {"lost"}
    llm.batch_extra = ["no JSON", "[]", '{"custom_id": 7}', '{"custom_id": "x"}', "[" * 200_000]
    llm.end_batches()
    found = results(model, batch)
    assert set(found) == {"good", "wrong", "late", "gone", "odd"}
    assert replied(found["good"]).text == "Hello."
    assert not failed(found["wrong"]).later
    assert failed(found["late"]).later and failed(found["gone"]).later
    assert all(failed(found[name]).free for name in ("wrong", "late", "gone"))
    assert replied(found["odd"]) == Reply("", "", "")


def _errored(kind: str) -> dict[str, Any]:
    error = {"type": "error", "error": {"type": kind, "message": "prompt is too long"}}
    return {"type": "errored", "error": error}


def test_results_are_all_or_none(llm: LlmServer, model: AnthropicModel) -> None:
    batch = sent(model, "a", "b")
    failure = model.results_of_batch(batch)  # asked too early
    assert isinstance(failure, Failure) and failure.later
    llm.end_batches()
    llm.script(Scripted(), Scripted(cut=200))
    failure = model.results_of_batch(batch)
    assert isinstance(failure, Failure) and failure.later and failure.free
    assert len(results(model, batch)) == 2


def test_a_batch_is_cancelled(llm: LlmServer, model: AnthropicModel) -> None:
    batch = sent(model, "a")
    assert model.cancel_batch(batch) is None
    assert failed(results(model, batch)["a"]).reason == "The batch was cancelled."


def test_a_batch_nobody_knows(model: AnthropicModel) -> None:
    for answer in (
        model.look_at_batch("msgbatch_9"),
        model.results_of_batch("msgbatch_9"),
        model.cancel_batch("msgbatch_9"),
        model.look_at_batch(""),
    ):
        assert isinstance(answer, Failure)


@pytest.mark.parametrize(
    "step",
    [
        refused(429, retry_after="3"),
        refused(500),
        Scripted(reset=True),
        Scripted(hang=5),
        Scripted(raw=b"<html>"),
        Scripted(raw=b"[]"),
        Scripted(raw=b'{"id": 7}'),
    ],
)
def test_batches_fail_as_calls_do(llm: LlmServer, model: AnthropicModel, step: Scripted) -> None:
    batch = sent(model, "a")
    llm.script(step)
    failed(model.send_batch([("a", request())]))
    if step.raw is None:
        llm.script(step)
        assert failed(model.look_at_batch(batch)).later
        llm.script(step)
        assert failed(model.cancel_batch(batch)).later


def test_a_batch_that_stands_oddly_has_not_ended(llm: LlmServer, model: AnthropicModel) -> None:
    for raw in (b"{}", b'{"processing_status": 5, "request_counts": {"succeeded": "x"}}', b"[]"):
        llm.script(Scripted(raw=raw))
        stands = model.look_at_batch("b")
        assert isinstance(stands, Failure) or (not stands.ended and stands.counts == {})


# ------------------------------------------------------------------------------ a shared corpus


@pytest.mark.skipif(not REPLIES.exists(), reason="the shared replies are not here")
def test_every_reply_of_the_shared_corpus_is_an_answer(
    llm: LlmServer, model: AnthropicModel
) -> None:
    rows = [json.loads(row) for row in REPLIES.read_text("utf-8").splitlines()]
    assert rows
    for row in rows:
        if row.get("status", 200) >= 400:
            raw = json.dumps(row["json"]).encode()
            step = Scripted(status=row["status"], headers=row.get("headers", {}), raw=raw)
        elif "json" in row:
            said = row["json"]
            step = Scripted(content=said["content"], stop=said["stop_reason"], usage=said["usage"])
        else:
            step = Scripted(hang=min(row.get("hang_s", 0), 5), reset=row.get("reset", False))
        llm.script(step)
        answer = model.ask(request())
        if "json" in row and step.status == 200:
            assert replied(answer).text == row["json"]["content"][0]["text"], row["name"]
            assert replied(answer).tokens == Tokens(10, 5)
        else:
            failed(answer)
