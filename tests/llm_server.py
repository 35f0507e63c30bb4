"""A server on loopback that speaks the Messages API, well or as badly as a test scripts it.

It answers over real sockets, so what is tested is our client with the real library. `answer` makes
the text of a reply from the body of its request; `script` puts what happens to the next calls in
place of that. Bodies and headers are recorded.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
COUNTED: Any = object()  # usage as the server counts it
CACHED_FROM = 1_024  # tokens of a system block from which it is cached


@dataclass(frozen=True)
class Scripted:
    """What happens to one call. With a status of 400 or more it is an error of that kind."""

    status: int = 200
    kind: str = ""
    message: str = "scripted"
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: float = 0  # seconds of silence before the first byte
    reset: bool = False  # the connection is reset before the first byte
    cut: int | None = None  # the connection ends after so many characters of text
    pings: int = 0  # events that say nothing, a hundredth of a second apart, before the text
    broken: str = ""  # an error event of this kind comes after the text
    text: str | None = None
    stop: Any = "end_turn"
    usage: Any = COUNTED
    content: list[Any] | None = None  # blocks in place of the one of text
    raw: bytes | None = None  # the body as it stands, in place of all that


KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
    529: "overloaded_error",
}


def refused(status: int, message: str = "scripted", kind: str = "", **headers: str) -> Scripted:
    """An error answer; headers by name with "_" for "-", so `retry_after="2"`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Scripted(status, kind or KINDS.get(status, "api_error"), message, named)


@dataclass(frozen=True)
class Recorded:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


def tokens_of(text: str) -> int:
    return len(text) // 4 + 1


def system_of(body: Body) -> str:
    """The system part of a request, as one text."""
    said = body.get("system", "")
    return said if isinstance(said, str) else "".join(block["text"] for block in said)


def user_of(body: Body) -> str:
    """The user part of a request, as one text."""
    parts = []
    for message in body["messages"]:
        said = message["content"]
        parts += [said] if isinstance(said, str) else [block["text"] for block in said]
    return "".join(parts)


def papers_of(body: Body) -> list[Body]:
    """The papers that a prompt shows, as the model reads them: id, title, abstract."""
    shown = re.search(r"<papers>\n(.*?)\n</papers>", user_of(body), re.S)
    return [json.loads(line) for line in shown.group(1).splitlines()] if shown else []


def mark(paper: Body, topic: str, **other: Any) -> str:
    """One line of a good reply about a paper; `other` are fields in capitals to say otherwise."""
    line = {
        "ARXIVID": paper["id"],
        "COMMENT": f"Fits: {paper['title'][:60]}",
        "RELEVANCE": 7,
        "NOVELTY": 6,
        "PRIMARY_TOPIC_ID": topic,
        "MATCHED_TOPIC_IDS": [topic],
        "TOPIC_MATCH_COMMENT": "Its method is the subject of the topic.",
        "HOTSPOT_PAPER_TAGS": [],
        "HOTSPOT_PAPER_COMMENT": "",
    }
    return json.dumps(line | other)


def topics_of(body: Body) -> list[str]:
    """Ids of the topic registry as a triage prompt lists them."""
    registry = system_of(body).partition("## Topic registry")[2].partition("\n## ")[0]
    return re.findall(r"^- ([^\s:]+): ", registry, re.M)


def good_answer(body: Body) -> str:
    """The reply of a model that does as it is told: marks, or the emptiest JSON of the schema."""
    papers, topics = papers_of(body), topics_of(body)
    if papers and topics:
        return "\n".join(mark(paper, topics[0]) for paper in papers)
    schema = (((body.get("output_config") or {}).get("format")) or {}).get("schema")
    return json.dumps(_filled(schema, schema)) if schema else "Hello."


def _filled(schema: Any, root: Any) -> Any:
    """The smallest value that a JSON schema allows."""
    if "$ref" in schema:
        return _filled(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _filled(schema["anyOf"][0], root)
    if schema.get("type") == "object":
        return {name: _filled(each, root) for name, each in schema.get("properties", {}).items()}
    empty: dict[str, Any] = {"array": [], "string": "", "integer": 1, "number": 1, "boolean": True}
    return empty.get(schema.get("type", "null"))


class LlmServer:
    """The server. Use as a context manager; `url` is its base URL."""

    def __init__(self) -> None:
        self.answer: Callable[[Body], str] = good_answer
        self.recorded: list[Recorded] = []
        self.efforts: tuple[str, ...] | None = (
            "low",
            "medium",
            "high",
        )  # None: it has no such page
        self.models_asked: list[str] = []  # whose page was looked at; these calls are not recorded
        self.key: str | None = None  # the only key it takes; None takes any
        self.batches: dict[str, Body] = {}
        self.looks_before_end = 1  # of a batch: so often it is in progress when asked
        self.batch_results: dict[str, Body] = {}  # by custom id, in place of an answer
        self.batch_lost: set[str] = set()  # custom ids that the results leave out
        self.batch_extra: list[str] = []  # lines that the results have besides
        self._scripted: deque[Scripted] = deque()
        self._cached: set[str] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Listening(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> LlmServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def script(self, *steps: Scripted) -> None:
        """What happens to the next calls of any kind, one a call; then all is well again."""
        self._scripted.extend(steps)

    @property
    def messages(self) -> list[Body]:
        """Bodies of the calls for a message, in order; tries that failed are among them."""
        return [
            each.body
            for each in self.recorded
            if each.method == "POST" and each.path == "/v1/messages"
        ]

    def end_batches(self) -> None:
        for batch in self.batches.values():
            batch["looks"] = self.looks_before_end

    # ------------------------------------------------------------ what it says

    def step(self) -> Scripted | None:
        with self._lock:
            return self._scripted.popleft() if self._scripted else None

    def wait(self, seconds: float) -> None:
        self._closing.wait(seconds)

    def message(self, body: Body, step: Scripted) -> Body:
        text = self.answer(body) if step.text is None and step.content is None else step.text or ""
        content = [{"type": "text", "text": text}] if step.content is None else list(step.content)
        return {
            "id": f"msg_{len(self.recorded)}",
            "type": "message",
            "role": "assistant",
            "model": body.get("model", "stub"),
            "content": content,
            "stop_reason": step.stop,
            "stop_sequence": None,
            "usage": self._usage(body, text) if step.usage is COUNTED else step.usage,
        }

    def _usage(self, body: Body, text: str) -> Body:
        system, size = system_of(body), tokens_of(system_of(body))
        marked = isinstance(body.get("system"), list) and any(
            block.get("cache_control") for block in body["system"]
        )
        read = write = 0
        if marked and size >= CACHED_FROM:
            with self._lock:
                if system in self._cached:
                    read = size
                else:
                    self._cached.add(system)
                    write = size
        return {
            "input_tokens": tokens_of(user_of(body)) + (0 if read or write else size),
            "output_tokens": tokens_of(text),
            "cache_creation_input_tokens": write,
            "cache_read_input_tokens": read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": write,
                "ephemeral_1h_input_tokens": 0,
            },
        }

    def make_batch(self, body: Body) -> Body:
        with self._lock:
            name = f"msgbatch_{len(self.batches) + 1}"
            self.batches[name] = {
                "requests": body["requests"],
                "looks": 0,
                "cancelled": False,
                "results": None,
            }
        return self.batch(name, look=False)

    def batch(self, name: str, *, look: bool = True) -> Body:
        batch = self.batches[name]
        ended = batch["cancelled"] or batch["looks"] >= self.looks_before_end
        if look:
            batch["looks"] += 1
        counts = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        if ended:
            for line in self.results(name):
                counts[json.loads(line)["result"]["type"]] += 1
        else:
            counts["processing"] = len(batch["requests"])
        return {
            "id": name,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts,
            "created_at": "2026-05-08T06:00:00Z",
            "expires_at": "2026-05-09T06:00:00Z",
            "ended_at": "2026-05-08T07:00:00Z" if ended else None,
            "cancel_initiated_at": None,
            "archived_at": None,
            "results_url": f"{self.url}/v1/messages/batches/{name}/results" if ended else None,
        }

    def results(self, name: str) -> list[str]:
        """Lines of a batch that ended, last request first; an answer is made once."""
        batch = self.batches[name]
        if batch["results"] is None:
            made = []
            for request in reversed(batch["requests"]):
                asked, params = request["custom_id"], request["params"]
                if asked in self.batch_lost:
                    continue
                result = self.batch_results.get(asked)
                if result is None and batch["cancelled"]:
                    result = {"type": "canceled"}
                if result is None:
                    said = self.message(params, Scripted())
                    result = {"type": "succeeded", "message": said}
                made.append(json.dumps({"custom_id": asked, "result": result}))
            batch["results"] = made
        return batch["results"]


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or a connection reset as scripted, is nothing to print."""


def _handler(server: LlmServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            with suppress(ConnectionError):
                self._answer()

        def _answer(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            sent = self.rfile.read(size)
            body = json.loads(sent) if sent else None
            path = self.path.partition("?")[0]
            if path.startswith("/v1/models/"):
                self._model(path.rpartition("/")[2])
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.recorded.append(Recorded(self.command, path, headers, body))
            step = server.step() or Scripted()
            if step.hang:
                server.wait(step.hang)
            if step.reset:
                self._reset()
            elif server.key is not None and f"Bearer {server.key}" != headers.get("authorization"):
                self._refuse(refused(401, "invalid key"))
            elif step.status >= 400:
                self._refuse(step)
            elif step.raw is not None:
                self._send(step.raw, step.headers)
            else:
                self._route(path, body, step)

        def _route(self, path: str, body: Any, step: Scripted) -> None:
            batch = re.fullmatch(r"/v1/messages/batches/([^/]+)(/results|/cancel)?", path)
            if path == "/v1/messages/count_tokens":
                counted = tokens_of(system_of(body)) + tokens_of(user_of(body))
                self._json({"input_tokens": counted})
            elif path == "/v1/messages/batches":
                self._json(server.make_batch(body))
            elif batch and batch.group(1) not in server.batches:
                self._refuse(refused(404, "no such batch"))
            elif batch and batch.group(2) == "/results":
                lines = [*server.results(batch.group(1)), *server.batch_extra]
                told = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
                if step.cut is not None:
                    self._send_some(told, step.cut)
                else:
                    self._send(told, {"content-type": "application/x-jsonl"})
            elif batch and batch.group(2) == "/cancel":
                server.batches[batch.group(1)]["cancelled"] = True
                self._json(server.batch(batch.group(1), look=False))
            elif batch:
                self._json(server.batch(batch.group(1)))
            elif path != "/v1/messages":
                self._refuse(refused(404, "no such address"))
            elif body.get("stream"):
                self._stream(server.message(body, step), step)
            else:
                told = json.dumps(server.message(body, step)).encode()
                if step.cut is not None:
                    self._send_some(told, step.cut)
                else:
                    self._send(told, step.headers)

        def _model(self, name: str) -> None:
            server.models_asked.append(name)
            if server.efforts is None:
                self._refuse(refused(404, "no such model"))
                return
            levels = {
                level: {"supported": level in server.efforts} for level in ("low", "medium", "high")
            }
            effort = {"supported": bool(server.efforts), "max": {"supported": False}} | levels
            self._json({"id": name, "type": "model", "capabilities": {"effort": effort}})

        def _json(self, said: Body) -> None:
            self._send(json.dumps(said).encode(), {})

        def _refuse(self, step: Scripted) -> None:
            said = {"type": "error", "error": {"type": step.kind, "message": step.message}}
            told = json.dumps(said).encode() if step.raw is None else step.raw
            self._send(told, step.headers, step.status)

        def _send(self, told: bytes, headers: Mapping[str, str], status: int = 200) -> None:
            self._head({"content-length": str(len(told))} | dict(headers), status)
            self.wfile.write(told)

        def _send_some(self, told: bytes, size: int) -> None:
            """The head promises all, and the connection ends before it came."""
            self._head({"content-length": str(len(told))})
            self.wfile.write(told[:size])
            self._close()

        def _head(self, headers: Mapping[str, str], status: int = 200) -> None:
            self.send_response(status)
            named = {"content-type": "application/json", "request-id": "req_1"} | dict(headers)
            for name, value in named.items():
                self.send_header(name, value)
            self.end_headers()

        def _stream(self, message: Body, step: Scripted) -> None:
            self._head(
                {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
                | dict(step.headers)
            )
            usage = message["usage"]
            begun: Any = usage
            if isinstance(usage, dict) and "output_tokens" in usage:
                begun = (
                    usage | {"output_tokens": min(1, usage["output_tokens"] or 0)}
                    if (isinstance(usage["output_tokens"], int))
                    else usage
                )
            self._event(
                {
                    "type": "message_start",
                    "message": message | {"content": [], "stop_reason": None, "usage": begun},
                }
            )
            for _ in range(step.pings):
                self._event({"type": "ping"})
                server.wait(0.01)
            left = step.cut
            for place, block in enumerate(message["content"]):
                for event in _events_of(block, place):
                    delta = event.get("delta") or {}
                    if left is not None and delta.get("type") == "text_delta":
                        delta["text"] = delta["text"][:left]
                        left -= len(delta["text"])
                        self._event(event)
                        if left <= 0:
                            self._close()
                            return
                    else:
                        self._event(event)
            if step.cut is not None:
                self._close()
                return
            if step.broken:
                said = {"type": step.broken, "message": "scripted"}
                self._event({"type": "error", "error": said})
            else:
                self._event(
                    {
                        "type": "message_delta",
                        "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
                        "usage": usage,
                    }
                )
                self._event({"type": "message_stop"})
            self.wfile.write(b"0\r\n\r\n")

        def _event(self, event: Body) -> None:
            told = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(told), told))
            self.wfile.flush()

        def _close(self) -> None:
            self.wfile.flush()
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def _reset(self) -> None:
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    return Handler


def _events_of(block: Any, place: int) -> Iterable[Body]:
    if isinstance(block, dict) and block.get("type") == "text" and isinstance(block["text"], str):
        yield {
            "type": "content_block_start",
            "index": place,
            "content_block": {"type": "text", "text": ""},
        }
        text = block["text"]
        for start in range(0, len(text), 1_000):
            yield {
                "type": "content_block_delta",
                "index": place,
                "delta": {"type": "text_delta", "text": text[start : start + 1_000]},
            }
    else:
        yield {"type": "content_block_start", "index": place, "content_block": block}
    yield {"type": "content_block_stop", "index": place}
