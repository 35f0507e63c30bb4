"""The Messages API through its own library: the one place that speaks to a language model.

Every outcome is a value: a Reply, or a Failure with a sentence and whether to come again. The
library's own tries are off, because a worker waits better than a call does. Replies are streamed, so
that a long one has no silence in it; a stream that ends before its last event is a Failure that may
have cost something, and the text of it is not used: half a reply is no reply. It is never certain
what such a call was billed, so it is not `free`, and who keeps the money keeps what was reserved.

What is sent and what comes back passes `domain.untrusted.plain`. No tools are ever sent; blocks of
anything but text are left out of a reply. The library is imported on the first call and not before.
"""

from __future__ import annotations

import email.utils
import json
import logging
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from app.domain.untrusted import line, plain
from app.llm.base import Answer, BatchStands, Failure, Reply, Request, Tokens

if TYPE_CHECKING:
    import anthropic
    import httpx2

log = logging.getLogger("cerebro.llm")

SILENCE = 90.0  # seconds without a byte after which a call is given up
DEADLINE = 900.0  # seconds for one call as a whole: 32,000 tokens come within
CONNECT = 10.0
LONGEST_WAIT = 3_600.0  # a service may ask for longer; we look again after an hour
NO_ACCESS_WAIT = 300.0  # a key or a credit that is missing is not there a minute later
_MOST_BYTES = 16_000_000  # of a stream
_MOST_BATCH_BYTES = 256_000_000  # of the results of a batch, as the service bounds it
_MOST_TOKENS = 1_000_000_000  # more than this nobody counted
_COUNTED = ("processing", "succeeded", "errored", "canceled", "expired")
_SERVICE = "api.anthropic.com"
NO_KEY = "No API key: set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL for a server of your own."


class AnthropicModel:
    """A service that has the Messages API, reached as ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL say.

    `silence` and `deadline` are in seconds, for tests.
    """

    def __init__(self, *, silence: float = SILENCE, deadline: float = DEADLINE) -> None:
        self._silence = silence
        self._deadline = deadline
        self._efforts: dict[str, frozenset[str]] = {}  # by model: what it may be asked to spend

    @property
    def ready(self) -> str:
        return "" if any(_credentials()) else NO_KEY

    # ------------------------------------------------------------ one call

    def ask(self, request: Request) -> Answer:
        if missing := self.ready:
            return _no_access(missing)
        try:
            stream = self._client.messages.create(**self._said(request), stream=True)
        except self._faults as error:
            return _failure(error, sent=True)
        try:
            return self._read(request, stream)
        except self._faults as error:
            return _failure(error, sent=True)
        finally:
            stream.close()

    def count(self, request: Request) -> int | None:
        if self.ready:
            return None
        try:
            said = self._said(request)
            del said["max_tokens"]
            counted = self._client.messages.count_tokens(**said).input_tokens
        except self._faults as error:
            log.info("tokens not counted: %s", _failure(error, sent=False).reason)
            return None
        return _whole(counted)

    def _read(self, request: Request, stream: anthropic.Stream[Any]) -> Answer:
        import anthropic

        response = stream.response
        request_id = line(response.headers.get("request-id", ""))[:100]
        started: dict[str, Any] = {}
        ended: dict[str, Any] = {}
        texts: dict[Any, list[str]] = {}  # by block, in the order in which they began
        timed = cast("httpx2.Response", _Timed(response, self._deadline, _MOST_BYTES))
        for event in anthropic.Stream.raw_events(timed):
            if not event.data or event.event == "ping":
                continue
            said = event.json()
            if not isinstance(said, dict):
                continue
            match said.get("type"):
                case "message_start":
                    started = _object(said, "message")
                case "content_block_start":
                    block = _object(said, "content_block")
                    if block.get("type") == "text":
                        texts[str(said.get("index"))] = [_text(block.get("text"))]
                case "content_block_delta":
                    delta = _object(said, "delta")
                    if delta.get("type") == "text_delta" and str(said.get("index")) in texts:
                        texts[str(said.get("index"))].append(_text(delta.get("text")))
                case "message_delta":
                    ended |= _object(said, "delta")
                    ended["usage"] = _object(ended, "usage") | _object(said, "usage")
                case "message_stop":
                    # Of the reply only the last event knows: what the first says is a beginning.
                    first = _object(started, "usage") | {"output_tokens": None}
                    last = {k: v for k, v in _object(ended, "usage").items() if v is not None}
                    return Reply(
                        text=plain("".join("".join(parts) for parts in texts.values())),
                        stop=line(_text(ended.get("stop_reason")))[:40],
                        model=line(_text(started.get("model")))[:100] or request.model,
                        request_id=request_id,
                        tokens=_tokens(first | last),
                    )
                case "error":
                    return _failed_within(_object(said, "error"), request_id)
                case _:
                    pass
        return Failure(
            "The reply broke off before its end.", later=True, status=200, request_id=request_id
        )

    # ------------------------------------------------------------ batches

    def send_batch(self, requests: Sequence[tuple[str, Request]]) -> str | Failure:
        if missing := self.ready:
            return _no_access(missing)
        try:
            wanted: Any = [
                {"custom_id": name, "params": self._said(request)} for name, request in requests
            ]
            batch = self._client.messages.batches.create(requests=wanted).id
        except self._faults as error:
            return _failure(error, sent=True)
        if not isinstance(batch, str) or not batch.strip():
            return Failure("The service took the batch and gave it no id.", later=False)
        return batch

    def look_at_batch(self, batch: str) -> BatchStands | Failure:
        if missing := self.ready:
            return _no_access(missing)
        try:
            found = self._client.messages.batches.retrieve(batch)
            ended, told = found.processing_status == "ended", found.request_counts
        except self._faults as error:
            return _failure(error, sent=False)
        counts = {name: _whole(getattr(told, name, None)) for name in _COUNTED}
        return BatchStands(ended, {name: n for name, n in counts.items() if n is not None})

    def results_of_batch(self, batch: str) -> Iterator[tuple[str, Answer]] | Failure:
        """Read whole before the first is given: half of the results would pass for all of them."""
        if missing := self.ready:
            return _no_access(missing)
        try:
            streaming = self._client.messages.batches.with_streaming_response
            with streaming.results(batch) as response:
                timed = _Timed(response.http_response, self._deadline, _MOST_BATCH_BYTES)
                told = b"".join(timed.iter_bytes())
        except self._faults as error:
            return _failure(error, sent=False)
        return _results(told)

    def cancel_batch(self, batch: str) -> Failure | None:
        if missing := self.ready:
            return _no_access(missing)
        try:
            self._client.messages.batches.cancel(batch)
        except self._faults as error:
            return _failure(error, sent=False)
        return None

    # ------------------------------------------------------------ the library

    @cached_property
    def _client(self) -> anthropic.Anthropic:
        import anthropic
        import httpx2

        # A model that is about to retire is the reader's choice; Settings tells them, no warning does.
        warnings.filterwarnings("ignore", r"The model '.*' is deprecated", DeprecationWarning)
        key, token = _credentials()
        return anthropic.Anthropic(
            api_key=key,
            auth_token=token,
            max_retries=0,
            timeout=httpx2.Timeout(self._silence, connect=min(CONNECT, self._silence)),
        )

    @cached_property
    def _faults(self) -> tuple[type[Exception], ...]:
        """What the library, the network or nonsense from the other end can raise."""
        import anthropic
        import httpx2

        return (
            anthropic.AnthropicError,
            httpx2.HTTPError,
            httpx2.InvalidURL,
            httpx2.StreamError,
            OSError,
            ValueError,  # no JSON, no UTF-8
            TypeError,  # JSON of other types than the library counts on
            AttributeError,  # the same
            RecursionError,  # JSON nested too deep
        )

    def _said(self, request: Request) -> dict[str, Any]:
        """The request as the service takes it; the system part ends what it may cache."""
        said: dict[str, Any] = {
            "model": request.model,
            "max_tokens": request.most_tokens,
            "messages": [{"role": "user", "content": plain(request.user)}],
        }
        if system := plain(request.system):
            cached = {"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}
            said["system"] = [cached]
        asked: dict[str, Any] = {}
        if request.schema is not None:
            asked["format"] = {"type": "json_schema", "schema": request.schema}
        if request.effort and request.effort in self._efforts_of(request.model):
            asked["effort"] = request.effort
        if asked:
            said["output_config"] = asked
        return said

    def _efforts_of(self, model: str) -> frozenset[str]:
        """The efforts that a model knows, as the service says once; none where it does not say.

        To name one to a model that knows none is an error, and which do changes with every model.
        """
        if (known := self._efforts.get(model)) is not None:
            return known
        try:
            asking = self._client.with_options(timeout=CONNECT)
            capabilities = asking.models.retrieve(model).capabilities
        except self._faults as error:
            failure = _failure(error, sent=False)
            log.info("efforts of %s are not known: %s", model, failure.reason)
            if failure.status == 404:  # a server that has no such address; else it is asked again
                self._efforts[model] = frozenset()
            return frozenset()
        told = getattr(capabilities, "effort", None)
        found = frozenset(
            level
            for level in ("low", "medium", "high")
            if getattr(getattr(told, level, None), "supported", False) is True
        )
        self._efforts[model] = found
        return found


class _Timed:
    """The bytes of a response within a time and a size as a whole.

    A service that sends a sign of life every minute is never silent, and never done.
    """

    def __init__(self, response: httpx2.Response, seconds: float, size: int) -> None:
        self._response = response
        self._until = time.monotonic() + seconds
        self._left = size

    def iter_bytes(self) -> Iterator[bytes]:
        for chunk in self._response.iter_bytes():
            self._left -= len(chunk)
            if self._left < 0:
                raise ValueError("the answer is too long")
            if time.monotonic() > self._until:
                raise TimeoutError("the answer takes too long")
            yield chunk


def _credentials() -> tuple[str | None, str | None]:
    """Key and token that the library is given, one of them or none, of the environment.

    A server of one's own needs none; the library does, so it is given "none" there.
    """
    key = os.environ.get("ANTHROPIC_API_KEY", "").strip()
    token = os.environ.get("ANTHROPIC_AUTH_TOKEN", "").strip()
    if key or token:
        return (key, None) if key else (None, token)
    try:
        host = urlsplit(os.environ.get("ANTHROPIC_BASE_URL", "").strip()).hostname
    except ValueError:
        host = None
    return ("none", None) if host and host != _SERVICE else (None, None)


# ---------------------------------------------------------------- what comes back


def _object(of: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = of.get(name)
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int | None:
    """A count: a whole number that can be one; None otherwise."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MOST_TOKENS else None


def _tokens(usage: Mapping[str, Any]) -> Tokens | None:
    """Tokens by kind; None when one that is billed is missing or cannot be."""
    read = usage.get("cache_read_input_tokens")
    write = usage.get("cache_creation_input_tokens")
    kinds = _object(usage, "cache_creation")
    hour = kinds.get("ephemeral_1h_input_tokens")
    counted = [
        _whole(usage.get("input_tokens")),
        _whole(usage.get("output_tokens")),
        *(_whole(0 if value is None else value) for value in (read, write, hour)),
    ]
    sure = [value for value in counted if value is not None]
    if len(sure) < len(counted) or sure[4] > sure[3]:
        return None
    return Tokens(
        input=sure[0],
        output=sure[1],
        cache_read=sure[2],
        cache_write=sure[3] - sure[4],
        cache_write_1h=sure[4],
    )


def _reply(message: Mapping[str, Any]) -> Reply:
    """A message that came whole."""
    blocks = message.get("content")
    texts = [
        _text(block.get("text"))
        for block in (blocks if isinstance(blocks, list) else [])
        if isinstance(block, dict) and block.get("type") == "text"
    ]
    return Reply(
        text=plain("".join(texts)),
        stop=line(_text(message.get("stop_reason")))[:40],
        model=line(_text(message.get("model")))[:100],
        tokens=_tokens(_object(message, "usage")),
    )


def _results(told: bytes) -> Iterator[tuple[str, Answer]]:
    """Answers of a batch; a line that is none is left out, and its request is without an answer."""
    for row in told.splitlines():
        try:
            said = json.loads(row)
        except (ValueError, RecursionError):
            log.warning("a line of a batch's results is no JSON")
            continue
        if not isinstance(said, dict) or not isinstance(said.get("custom_id"), str):
            continue
        result = _object(said, "result")
        match result.get("type"):
            case "succeeded":
                yield said["custom_id"], _reply(_object(result, "message"))
            case "errored":
                error = _object(result, "error")
                failed = _failed_within(_object(error, "error") or error, "")
                # The service bills nothing for a request of a batch that did not succeed.
                yield said["custom_id"], Failure(failed.reason, failed.later, free=True)
            case "canceled":
                yield said["custom_id"], Failure("The batch was cancelled.", later=True, free=True)
            case "expired":
                reason = "The service did not come to it within a day."
                yield said["custom_id"], Failure(reason, later=True, free=True)
            case _:
                continue


# ---------------------------------------------------------------- what went wrong


def _no_access(reason: str) -> Failure:
    return Failure(reason, later=True, wait=NO_ACCESS_WAIT, free=True)


def _failed_within(error: Mapping[str, Any], request_id: str) -> Failure:
    """An error in place of the rest of a reply: no status tells of it, its type does."""
    kind = line(_text(error.get("type")))[:60]
    later = kind not in ("invalid_request_error", "not_found_error", "request_too_large")
    said = _quoted(error.get("message"))
    return Failure(
        f"The service gave up ({kind or 'no reason given'}){said}.",
        later=later,
        status=200,
        request_id=request_id,
    )


def _failure(error: Exception, *, sent: bool) -> Failure:
    """What the library raised, as a value. `sent`: the call would have cost something."""
    import anthropic
    import httpx2

    if isinstance(error, anthropic.APIStatusError):
        return _refused(error, sent=sent)
    cause: BaseException | None = error
    if isinstance(error, anthropic.APIConnectionError):
        cause = error.__cause__
    slow = (anthropic.APITimeoutError, httpx2.TimeoutException, TimeoutError)
    if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout):
        return Failure("The service cannot be reached.", later=True, free=True)
    if isinstance(error, slow) or isinstance(cause, slow):
        return Failure("The service did not answer in time.", later=True, free=not sent)
    if isinstance(cause, httpx2.UnsupportedProtocol | httpx2.InvalidURL):
        reason = "ANTHROPIC_BASE_URL is no address of a server: it begins with https:// or http://."
        return Failure(reason, later=True, wait=NO_ACCESS_WAIT, free=True)
    if isinstance(cause, UnicodeEncodeError | httpx2.LocalProtocolError):
        reason = "ANTHROPIC_API_KEY has characters that no key has: set it anew."
        return Failure(reason, later=True, wait=NO_ACCESS_WAIT, free=True)
    if isinstance(cause, httpx2.HTTPError | OSError):
        return Failure("The connection to the service broke.", later=True, free=not sent)
    log.warning("unexpected answer of the service: %s: %s", type(error).__name__, error)
    return Failure("The service answered with what is no reply.", later=True, free=not sent)


def _refused(error: anthropic.APIStatusError, *, sent: bool) -> Failure:
    """An answer with a status that says no."""
    status = error.status_code
    body = error.body if isinstance(error.body, dict) else {}
    told = _object(body, "error")
    kind = _text(told.get("type"))
    code = _text(_object(told, "details").get("error_code"))
    said = _quoted(told.get("message"))
    request_id = line(error.response.headers.get("request-id", ""))[:100]
    wait = _wait(error.response.headers)

    def failure(
        reason: str, later: bool, *, free: bool = True, wait: float | None = None
    ) -> Failure:
        return Failure(reason, later, wait, free, status, request_id)

    # Older answers say it in words alone.
    if "billing" in kind or "billing" in code or "credit balance" in said.lower():
        reason = "The account has no credit: add some at the service."
        return failure(reason, True, wait=max(wait or 0, NO_ACCESS_WAIT))
    match status:
        case 401:
            reason = (
                "The service does not take the key: set ANTHROPIC_API_KEY to one that is valid."
            )
            return failure(reason, True, wait=max(wait or 0, NO_ACCESS_WAIT))
        case 403:
            reason = f"The key may not do this{said}: allow it at the service, or set another key."
            return failure(reason, True, wait=max(wait or 0, NO_ACCESS_WAIT))
        case 404:
            return failure(f"The service does not have this model or batch{said}.", False)
        case 413:
            return failure("The request is too large for the service.", False)
        case 429:
            return failure("The service takes no more calls just now.", True, wait=wait)
        case 503 | 529:
            return failure("The service is overloaded.", True, wait=wait)
        case 408 | 409:
            return failure(f"The service asks to come again{said}.", True, wait=wait)
        case _ if status >= 500:
            # It may have worked on it before it failed: nobody says that this is not billed.
            reason = f"The service failed ({status})."
            return failure(reason, True, free=not sent, wait=wait)
        case _ if status >= 400:
            return failure(f"The service refuses the request{said}.", False)
        case _:
            return failure(f"The service answered with status {status}.", True, free=not sent)


def _quoted(message: Any) -> str:
    """What the service says, for the end of a sentence: ": …", or nothing."""
    said = line(_text(message)[:1_000]).rstrip(".")
    return f": {said[:200]}" if said else ""


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, of `retry-after-ms`, or of `retry-after` in seconds or as a date.

    None when neither can be read. Never more than an hour.
    """
    for name, unit in (("retry-after-ms", 1_000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return min(seconds, LONGEST_WAIT)
        if seconds == math.inf:
            return LONGEST_WAIT
    try:
        when = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)
