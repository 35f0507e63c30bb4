"""The one gate in front of every answer: who is asked for, from where, how much, and with what headers.

It decides on the raw request (`scope`), never on what a header makes of the address, and it stands
outside of everything else, so that errors and static files carry the same headers as pages. It
knows nothing of pages, sessions or templates.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("cerebro.web")

MAX_BODY = 10_000_000
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?P<port>:[0-9]{1,5})?")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
VARY = (b"vary", b"HX-Request, HX-Request-Type")

_REFUSALS = {
    400: ("bad_request", "This name is not served here", "Open the wiki by the address it is set up for."),
    403: ("forbidden", "Not from there", "Another site asked for this change, so it was not made."),
    413: ("too_large", "Too large", "That is more than this wiki takes at once. Nothing was saved."),
    500: ("internal", "Something went wrong here", "This is a fault of the program. The log says more."),
}  # fmt: skip


class Security:
    """ASGI middleware. Add it last, so that it is outermost of what the application adds.

    `hosts` are names served beside loopback, each with a port ("wiki.example:8443") or for any.
    `crashed` makes the answer to an exception that nobody handled; without it, it goes on.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: frozenset[str] = frozenset(),
        max_body: int = MAX_BODY,
        larger: Mapping[str, int] | None = None,
        crashed: Callable[[Request, Exception], Response] | None = None,
    ) -> None:
        self._app = app
        self._hosts = LOOPBACK | hosts
        self._max_body = max_body
        self._larger = dict(larger or {})  # paths that take more, uploads
        self._crashed = crashed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # nothing here speaks it
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = scope["method"] == "HEAD"
        answered = _Answer(send, vary=not scope["path"].startswith("/static/"), bare=head)
        status = self._refused(scope)
        if status:
            await _refusal(scope, status)(scope, receive, answered.send)
            return
        if head:  # routes are written for GET; HEAD is the same answer without its body
            scope = {**scope, "method": "GET"}
        body = _Body(receive, self._limit(scope), answered)
        try:
            await self._app(scope, body.receive, answered.send)
        except Exception as error:
            if body.too_large and not answered.started:
                pass
            elif self._crashed is None or answered.started:
                raise
            else:
                await self._after_crash(scope, receive, answered, error)
        if body.too_large and not answered.started:
            answered.dropped = False
            await _refusal(scope, 413)(scope, receive, answered.send)

    async def _after_crash(
        self, scope: Scope, receive: Receive, answered: _Answer, error: Exception
    ) -> None:
        assert self._crashed is not None
        try:
            response = self._crashed(Request(scope, receive), error)
        except Exception:
            log.exception("the page that tells of an error failed itself")
            response = _refusal(scope, 500)
        await response(scope, receive, answered.send)

    def _refused(self, scope: Scope) -> int:
        """The status this request is turned away with, or 0."""
        headers = _headers(scope)
        host = self._host(headers.get(b"host", []))
        if host is None:
            return 400
        if scope["method"] not in SAFE_METHODS and not self._is_ours(headers, host):
            return 403
        lengths = headers.get(b"content-length", [])
        if lengths and lengths[0].isdigit() and int(lengths[0][:20]) > self._limit(scope):
            return 413
        return 0

    def _limit(self, scope: Scope) -> int:
        """The most bytes the body of this request may have."""
        return self._larger.get(scope["path"], self._max_body)

    def _host(self, values: list[str]) -> str | None:
        """The one Host of a request in lower case, if it is served here."""
        if len(values) != 1:
            return None
        host = values[0].lower()
        found = _HOST.fullmatch(host)
        if found is None or int((found["port"] or ":1")[1:]) not in range(1, 65536):
            return None
        return host if host in self._hosts or found["name"] in self._hosts else None

    def _is_ours(self, headers: dict[bytes, list[str]], host: str) -> bool:
        """Whether a change was asked for by our own pages, or by no browser at all.

        A browser says where a request comes from and a page cannot forge it. Behind a proxy that
        changes Host, Origin is held against the names that are served.
        """
        sites = headers.get(b"sec-fetch-site", [])
        origins = headers.get(b"origin", [])
        if sites:
            told = all(site in ("same-origin", "none") for site in sites)
            return told and all(self._host([_authority(each)]) for each in origins)
        return all(_authority(each) == host for each in origins)


def _authority(origin: str) -> str:
    """Host and port of an Origin header; "" for `null` and whatever is no origin."""
    try:
        parts = urlsplit(origin.lower())
        whole = (
            parts.scheme in ("http", "https")
            and origin.lower() == f"{parts.scheme}://{parts.netloc}"
        )
    except ValueError:
        return ""
    return parts.netloc if whole else ""


def _headers(scope: Scope) -> dict[bytes, list[str]]:
    found: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.lower(), []).append(value.decode("latin-1"))
    return found


class _Answer:
    """Sends an answer with our headers on it; drops one that came from a body cut short.

    `bare` sends no body, for HEAD.
    """

    def __init__(self, send: Send, *, vary: bool, bare: bool = False) -> None:
        self._send = send
        self._extra = [*HEADERS, VARY] if vary else [*HEADERS]
        self._bare = bare
        self.started = False
        self.dropped = False

    async def send(self, message: Message) -> None:
        if self.dropped:
            return
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": [*message.get("headers", ()), *self._extra]}
        elif self._bare:
            message = {**message, "body": b""}
        await self._send(message)


class _Body:
    """Counts a body as it comes in, and ends it when it is too large."""

    def __init__(self, receive: Receive, limit: int, answered: _Answer) -> None:
        self._receive = receive
        self._left = limit
        self._answered = answered
        self.too_large = False

    async def receive(self) -> Message:
        if self.too_large:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.too_large = True
                self._answered.dropped = not self._answered.started
                return {"type": "http.disconnect"}
        return message


def _refusal(scope: Scope, status: int) -> Response:
    """A short answer that repeats nothing of what was asked."""
    code, heading, sentence = _REFUSALS[status]
    if scope["path"].startswith("/api/"):
        told = {"error": {"code": code, "message": f"{heading}. {sentence}", "id": ""}}
        return Response(json.dumps(told), status, media_type="application/json")
    return Response(
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{heading}</title><link rel="stylesheet" href="/static/app.css">'
        f'<main class="failure alone"><h1>{heading}</h1><p class="lede">{sentence}</p></main></html>',
        status,
        media_type="text/html",
        headers={"Connection": "close"} if status == 413 else None,
    )
