"""The one way out: everything that is fetched is asked for here, and checked where it is dialled.

What is asked for, and where it sends on to, comes from outside. So each connection is made by our own
dialer, which looks at every address of the name and connects to the one it looked at; nobody can ask
around it, and a name that leads elsewhere a moment later leads nobody anywhere. One deadline covers
the whole request, bytes are counted while they are unpacked, and a host is asked by one at a time.
"""

from __future__ import annotations

import io
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import httpcore2

from app import __version__
from app.domain import pacing
from app.errors import NotFetched
from app.sources.connectors import FEED_BYTES, Response
from app.sources.targets import (
    PORTS,
    Target,
    host_of,
    in_turn,
    is_local,
    is_numeric,
    is_public,
    joined,
    refused,
    target_of,
)
from app.sources.turns import Pace, Turns
from app.sources.unpacking import unpacking

log = logging.getLogger("cerebro.sources")

SECONDS = 30.0
"""What a request may take as a whole: finding the host, connecting, all redirects, the last byte."""
PATIENCE = 60.0
"""How long a request waits for its turn before that."""
REDIRECTS = 5
HEADER_BYTES = 64 * 1024
USER_AGENT = (
    f"cere-bro/{__version__} (personal research wiki; fetches what its reader subscribed to)"
)

_MAIL_PORTS = frozenset({143, 993})
_WEB_PORTS = frozenset(PORTS.values())
_TRIES = 4  # addresses of one name
_MARGIN = 5.0  # seconds by which a turn outlasts the request, so that it never ends under it
_LONGEST_MARK = 1_000  # characters of an ETag that are kept and sent back
_OURS = frozenset({"host", "connection", "user-agent", "accept-encoding", "cookie", "referer"})


Resolve = Callable[[str], Sequence[str]]
"""The addresses of a name, as numbers. Raises OSError when there are none."""
Connect = Callable[[str, int, float], socket.socket]
"""A connection to an address (as numbers) and port within so many seconds. Raises OSError."""


def _resolve(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _connect(address: str, port: int, seconds: float) -> socket.socket:
    return socket.create_connection((address, port), seconds)


class Transport:
    """The Web (connectors.py), for real.

    `allow` are the exact pairs of host and port that may be private, and may have other ports than the
    usual. `pace` says whose turn it is; by default that of this process alone. `seconds` is the deadline
    of a request. `context` checks certificates, `resolve` and `connect` find and reach a host.
    """

    def __init__(
        self,
        *,
        allow: Collection[tuple[str, int]] = (),
        pace: Pace | None = None,
        seconds: float = SECONDS,
        patience: float = PATIENCE,
        context: ssl.SSLContext | None = None,
        resolve: Resolve = _resolve,
        connect: Connect = _connect,
    ) -> None:
        self._allow = frozenset(allow)
        self._pace: Pace = Turns() if pace is None else pace
        self._seconds = seconds
        self._patience = patience
        self._given_context = context
        self._resolve = resolve
        self._connect = connect

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return self._given_context or httpcore2.default_ssl_context()

    def get(
        self,
        url: str,
        *,
        accept: str = "*/*",
        etag: str = "",
        modified: str = "",
        headers: Mapping[str, str] = {},
        limit: int = FEED_BYTES,
        spacing: float = 0.0,
    ) -> Response:
        """Ask for an address. Raises NotFetched, in words, for everything but 200 and 304.

        `headers` are for the host of `url` alone: where it sends on to another, they are not sent. No
        transaction of the database may be open meanwhile: turns are kept there.
        """
        first = target = target_of(url)
        marks = {"If-None-Match": etag.strip(), "If-Modified-Since": modified.strip()}
        marks = {name: mark for name, mark in marks.items() if 0 < len(mark) <= _LONGEST_MARK}
        given = {k: v for k, v in headers.items() if k.lower() not in _OURS}
        deadline = _Deadline(self._seconds)
        moved, for_good = "", True
        for hop in range(REDIRECTS + 1):
            own = given if target.origin == first.origin else {}
            self._permit(target.host, target.port, _WEB_PORTS, by=first if hop else None)
            with _in_words(target.netloc, deadline), self._turn(target, spacing, deadline):
                answer = self._ask(target, {"Accept": accept, **own, **marks}, limit, deadline)
                if (seconds := _asked_to_wait(answer)) is not None:
                    self._pace.hold(target.netloc, seconds)
            if answer.location is None:
                return _response(target, answer, asked_if_new=bool(marks), moved=moved)
            target = joined(target, answer.location, by=first)
            for_good = for_good and answer.status in (301, 308)
            moved = target.url if for_good else moved
        raise NotFetched(f"{first.netloc} sends on to another address more than {REDIRECTS} times.")

    def dial(self, host: str, port: int) -> socket.socket:
        """A connected socket to a checked address, for mail. Raises NotFetched.

        Each of its operations may take `seconds`; how long they may take together is the caller's.
        """
        deadline = _Deadline(self._seconds)
        name = host_of(f"[{host}]" if ":" in host else host)
        shown = f"{host}:{port}"
        with _in_words(shown, deadline):
            dialled = self._dial(name, port, _MAIL_PORTS, deadline)
        dialled.settimeout(self._seconds)
        return dialled

    # ------------------------------------------------------------ one request

    @contextmanager
    def _turn(self, target: Target, spacing: float, deadline: _Deadline) -> Iterator[None]:
        """Wait for the host's turn. The deadline does not run meanwhile."""
        host, begun = target.netloc, time.monotonic()
        seconds = deadline.left() + _MARGIN
        while wait := self._pace.take(host, spacing=spacing, seconds=seconds):
            if deadline.waited + time.monotonic() - begun + wait > self._patience:
                why = f"is not to be asked again for {_in_time(wait)}"
                if wait < 1:
                    why = "is asked for something else all the while: our turn did not come"
                raise NotFetched(f"{host} {why}.", after=wait)
            time.sleep(wait)
        deadline.stood(time.monotonic() - begun)
        try:
            yield
        finally:
            self._pace.give(host, spacing=spacing)

    def _ask(
        self, target: Target, headers: Mapping[str, str], limit: int, deadline: _Deadline
    ) -> _Answer:
        """One request and its answer; the body of a 200 alone is read."""
        dialer = _Dialer(self, deadline, most=2 * limit + 16 * HEADER_BYTES)
        https = target.scheme == "https"
        connection = httpcore2.HTTPConnection(
            httpcore2.Origin(target.scheme.encode(), target.host.encode(), target.port),
            ssl_context=self._context if https else None,
            network_backend=dialer,
        )
        request = httpcore2.Request(
            "GET",
            httpcore2.URL(
                scheme=target.scheme.encode(),
                host=target.host.encode(),
                port=target.port,
                target=target.path.encode("ascii"),
            ),
            headers=[
                (name.encode("ascii", "replace"), value.encode("latin-1", "replace"))
                for name, value in {
                    "Host": target.netloc,
                    "User-Agent": USER_AGENT,
                    "Accept-Encoding": "gzip, deflate",
                    "Connection": "close",
                    **headers,
                }.items()
            ],
        )
        try:
            came = connection.handle_request(request)
            dialer.head_is_read()
            answer = _Answer(target.netloc, came.status, _headers(came.headers))
            if came.status == 200:
                assert isinstance(came.stream, Iterable)
                answer.data = _body(answer, came.stream, limit, deadline)
            return answer
        finally:
            connection.close()
            dialer.hang_up()

    # ------------------------------------------------------------ the dialer

    def _permit(
        self, host: str, port: int, usual: Collection[int], *, by: Target | None = None
    ) -> None:
        """What can be said without asking anybody. Raises NotFetched for what is not fetched.

        `by` is the address that led here: it may lead elsewhere another time.
        """
        if (host, port) in self._allow:
            return
        if port not in usual:
            why = f"{host} on port {port} is not fetched from"
        elif is_local(host):
            why = f"{host} is a name of the local network"
        elif is_numeric(host) and not is_public(host):
            why = f"{host} is no public address"
        else:
            return
        why = f"{by.netloc} sends on, and {why}" if by else why
        raise _private(why, host, port, again=by is not None)

    def _dial(
        self, host: str, port: int, usual: Collection[int], deadline: _Deadline
    ) -> socket.socket:
        """Connect to a host: the only place where that is done, and where it is decided whether.

        `host` is in its one spelling (targets.py). Every address it has must be public, or the pair
        of host and port be allowed. Raises NotFetched when it is not, OSError when nothing answers.
        """
        self._permit(host, port, usual)
        addresses = [host] if is_numeric(host) else self._addresses(host, deadline)
        for address in addresses:
            if not (is_public(address) or (host, port) in self._allow):
                # Tomorrow it may lead elsewhere: in a hotel, all names lead to its own page.
                why = f"{host} leads to {address}, which is no public address"
                raise _private(why, host, port, again=True)
        failure: OSError = OSError("no address")
        tried = in_turn(addresses)[:_TRIES]
        for place, address in enumerate(tried):
            try:
                # An address that swallows everything leaves time for the next.
                share = deadline.left() / (len(tried) - place)
                dialled = self._connect(address, port, share)
                dialled.settimeout(deadline.left())
                with suppress(OSError):
                    dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return dialled
            except OSError as error:
                failure = error
        raise failure

    def _addresses(self, host: str, deadline: _Deadline) -> list[str]:
        """The addresses of a name. In a thread of its own: the resolver knows no deadline of ours."""
        found: SimpleQueue[Sequence[str] | Exception] = SimpleQueue()

        def look() -> None:
            try:
                found.put(self._resolve(host))
            except Exception as error:  # handed over, and raised there
                found.put(error)

        Thread(target=look, name="resolver", daemon=True).start()
        try:
            came = found.get(timeout=deadline.left())
        except Empty:
            raise _Late from None
        if isinstance(came, UnicodeError):
            raise refused(f"{host} is no name a host can have.")
        if isinstance(came, Exception):
            raise came
        if not came:
            raise socket.gaierror("no address")
        return list(came)


# ---------------------------------------------------------------- time


class _Late(Exception):
    """The deadline of the request has passed."""


class _TooMuch(Exception):
    """More bytes came than were asked for; the words say of what."""


class _Deadline:
    """When a request must be over. What it waits for its turn does not count."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.waited = 0.0
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, more than 0. Raises _Late when there are none."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise _Late
        return left

    def stood(self, seconds: float) -> None:
        """So much time passed that does not count."""
        self.waited += seconds
        self._until += seconds


# ---------------------------------------------------------------- the connection


class _Stream(httpcore2.NetworkStream):
    """A socket whose every operation ends by the deadline, and which counts what comes."""

    def __init__(self, sock: socket.socket, deadline: _Deadline, most: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._most = most
        self._came = 0
        self.in_head = True

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        # A limit for the head as it comes on the wire: also for 100 Continue without end.
        most = HEADER_BYTES if self.in_head else self._most
        if self._came >= most:
            raise _TooMuch("headers" if self.in_head else "")
        self._sock.settimeout(self._deadline.left())
        try:
            data = self._sock.recv(min(max_bytes, most - self._came))
        except TimeoutError:
            raise _Late from None
        except OSError as error:
            raise httpcore2.ReadError(error) from error
        self._came += len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = memoryview(buffer)
        while left:
            self._sock.settimeout(self._deadline.left())
            try:
                left = left[self._sock.send(left) :]
            except TimeoutError:
                raise _Late from None
            except OSError as error:
                raise httpcore2.WriteError(error) from error

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> _Stream:
        """The handshake, in this very stream. Python bounds one as a whole by the socket's timeout."""
        self._sock.settimeout(self._deadline.left())
        try:
            self._sock = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname)
        except TimeoutError:
            raise _Late from None
        return self

    def close(self) -> None:
        self._sock.close()

    def get_extra_info(self, info: str) -> Any:
        return None  # nobody asks but for HTTP/2, which is not spoken


class _Dialer(httpcore2.NetworkBackend):
    """What httpcore2 connects by, for one request."""

    def __init__(self, transport: Transport, deadline: _Deadline, most: int) -> None:
        self._transport = transport
        self._deadline = deadline
        self._most = most
        self._stream: _Stream | None = None

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> _Stream:
        sock = self._transport._dial(host, port, _WEB_PORTS, self._deadline)
        self._stream = _Stream(sock, self._deadline, self._most)
        return self._stream

    def head_is_read(self) -> None:
        if self._stream is not None:
            self._stream.in_head = False

    def hang_up(self) -> None:
        if self._stream is not None:
            self._stream.close()


# ---------------------------------------------------------------- the answer


@dataclass
class _Answer:
    """An answer as it came. `data` is decoded, and of a 200 only."""

    host: str
    status: int
    headers: Mapping[str, str]
    data: bytes = b""

    @property
    def location(self) -> str | None:
        """Where it sends on to, as it says it; None when it does not."""
        if self.status not in (301, 302, 303, 307, 308):
            return None
        return self.headers.get("location")


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case names; of one that came twice all values, but the first of Location.

    Cookies are not kept, and not handed on.
    """
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key == "location":
            # Beyond ASCII in practice UTF-8, whatever the standard says.
            with suppress(UnicodeDecodeError):
                text = value.decode("utf-8")
            found.setdefault(key, text)
        elif key not in ("set-cookie", "set-cookie2"):
            found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _body(answer: _Answer, stream: Iterable[bytes], limit: int, deadline: _Deadline) -> bytes:
    """The decoded body. Raises _TooMuch beyond `limit` bytes, on the wire or unpacked."""
    length = answer.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 15 or int(length) > limit):
        raise _TooMuch(_size(limit))
    packed = unpacking(answer.headers.get("content-encoding", ""), answer.host)
    body = io.BytesIO()  # hands out what it holds without a copy
    try:
        for chunk in stream:
            deadline.left()
            for piece in packed.feed(chunk) if packed else (chunk,):
                if body.tell() + len(piece) > limit:
                    raise _TooMuch(_size(limit))
                body.write(piece)
    except _TooMuch as error:
        raise _TooMuch(str(error) or _size(limit)) from None
    if packed:
        packed.end()
    return body.getvalue()


def _response(target: Target, answer: _Answer, *, asked_if_new: bool, moved: str) -> Response:
    """The answer handed over. Raises NotFetched for all but 200 with a body, and 304 when asked."""
    host, status = answer.host, answer.status
    if status == 200 and answer.data:
        return Response(target.url, status, answer.headers, answer.data, moved)
    if status == 200:
        raise NotFetched(f"{host} answered with nothing.", status=status)
    if status == 304 and asked_if_new:
        return Response(target.url, status, answer.headers, b"", moved)
    again = status not in (401, 407, 410)
    raise NotFetched(_said(host, status), again=again, after=_asked_to_wait(answer), status=status)


_WORDS = {
    401: "{host} asks who we are: it wants a user and password, or a key (401).",
    403: "{host} does not let us in (403).",
    404: "{host} knows no such page (404).",
    407: "A proxy before {host} asks who we are (407).",
    408: "{host} lost patience (408).",
    410: "{host} says that this is gone for good (410).",
    429: "{host} was asked too often (429).",
    451: "{host} may not show this, for legal reasons (451).",
    503: "{host} is not to be spoken to just now (503).",
}


def _said(host: str, status: int) -> str:
    if status in _WORDS:
        return _WORDS[status].format(host=host)
    if 500 <= status < 600:
        return f"{host} has a fault of its own ({status})."
    if status in (301, 302, 303, 307, 308):
        return f"{host} sends on to another address and does not say which ({status})."
    return f"{host} answered with something else than the page ({status})."


def _asked_to_wait(answer: _Answer) -> float | None:
    """Seconds for which the host asks to be left alone, None when it does not."""
    if answer.status < 400:
        return None
    # Sent twice, the values were joined: the first counts. A date has a comma of its own.
    said = answer.headers.get("retry-after", "")
    now = datetime.fromtimestamp(time.time(), UTC)
    found = pacing.retry_after(said, now=now)
    return pacing.retry_after(said.partition(",")[0], now=now) if found is None else found


# ---------------------------------------------------------------- words


@contextmanager
def _in_words(host: str, deadline: _Deadline) -> Iterator[None]:
    """What goes wrong on the way becomes NotFetched, in one sentence."""
    try:
        yield
    except NotFetched:
        raise
    except _Late:
        raise NotFetched(
            f"{host} did not answer in full within {deadline.seconds:g} seconds."
        ) from None
    except _TooMuch as error:
        raise NotFetched(f"{host} sends more than {_most(error)}.") from None
    except socket.gaierror as error:
        raise NotFetched(f"{host} cannot be found: no such name is known just now.") from error
    except ssl.SSLCertVerificationError as error:
        why = _plain(error.verify_message or "")
        raise NotFetched(f"{host} has no certificate that can be trusted: {why}.") from error
    except ssl.SSLError as error:
        raise NotFetched(f"{host} cannot be spoken to in secret (TLS).") from error
    except TimeoutError as error:
        raise NotFetched(f"{host} cannot be reached: it does not answer.") from error
    except ConnectionRefusedError as error:
        raise NotFetched(f"{host} refused the connection.") from error
    except httpcore2.LocalProtocolError as error:
        raise refused(f"{host} cannot be asked like that: a header of ours is wrong.") from error
    except httpcore2.RemoteProtocolError as error:
        raise NotFetched(_broke_rules(host, str(error))) from error
    except (httpcore2.NetworkError, OSError) as error:
        raise NotFetched(f"{host} cannot be reached, or broke off in the middle.") from error


def _broke_rules(host: str, said: str) -> str:
    if "disconnected without" in said:
        return f"{host} hung up without an answer."
    if "without sending complete" in said:
        return f"{host} broke off in the middle of its answer."
    return f"{host} does not answer as HTTP is spoken."


def _most(error: _TooMuch) -> str:
    return f"{HEADER_BYTES // 1024} kB of headers" if str(error) == "headers" else str(error)


def _private(why: str, host: str, port: int, *, again: bool) -> NotFetched:
    pair = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return NotFetched(
        f"{why}. If that is meant, list {pair} in CEREBRO_FETCH_ALLOW where the program is started.",
        again=again,
    )


def _size(limit: int) -> str:
    return f"{limit / 1e6:g} MB, the most that is read of it"


def _in_time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"


def _plain(text: str) -> str:
    """A server's own words: short, and of printable signs only."""
    return re.sub(r"[^\x20-\x7e]", "?", text)[:100]
