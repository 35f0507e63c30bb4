"""HTTP servers on loopback that behave as servers should not, and one that nobody may reach.

`Server` answers each request as it was told to. `HOSTILE` names what servers do to hold a client up,
to fill its memory, or to confuse it; `redirects` are the ways to send it to an address inside. A
behaviour goes on until the client hangs up or the server ends.
"""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from functools import cache
from types import TracebackType

EVERY = 0.02  # seconds between two bytes of what drips


@dataclass(frozen=True)
class Asked:
    """A request as it came: its path with the query, and its headers by lower-case names."""

    path: str
    headers: dict[str, str]


@dataclass
class Talk:
    """One connection, after its request came. `number` counts the server's connections from 0."""

    sock: socket.socket
    request: Asked
    number: int
    url: str
    ended: threading.Event = field(repr=False)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self, body: bytes = b"", *, status: str = "200 OK", **headers: str) -> None:
        """A whole answer; `headers` with _ for -. Its length is said unless it is given as ''."""
        said = {"content_length": str(len(body)), "content_type": "text/plain", **headers}
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in said.items() if value]
        self.send(f"HTTP/1.1 {status}\r\n".encode() + "\r\n".join(lines).encode() + b"\r\n\r\n")
        self.send(body)

    def go_on(self) -> bool:
        """Wait a moment; False when the server ends."""
        return not self.ended.wait(EVERY)

    def drip(self, data: bytes) -> None:
        """Send byte by byte, over and over."""
        place = 0
        while self.go_on():
            self.send(data[place : place + 1])
            place = (place + 1) % len(data)

    def flood(self, data: bytes) -> None:
        """Send this over and over, as fast as it is taken."""
        while not self.ended.is_set():
            self.send(data)

    def wait(self) -> None:
        """Say nothing more."""
        self.ended.wait(120)


Behaviour = Callable[[Talk], None]


class Server:
    """A server for the time of a `with`; each connection has a thread. `asked` are its requests.

    `silent`: the behaviour begins before a request was read, or a handshake made. `host` is where it
    listens; `hits` counts the connections.
    """

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        tls: ssl.SSLContext | None = None,
        silent: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._behaviour, self._tls, self._silent = behaviour, tls, silent
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.create_server((host, port), family=family)
        self.host = host
        self.port: int = self._listening.getsockname()[1]
        self.asked: list[Asked] = []
        self.hits = 0
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._serve, daemon=True)]

    @property
    def url(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self._tls else ''}://{shown}:{self.port}/"

    @property
    def pair(self) -> tuple[str, int]:
        return self.host, self.port

    def __enter__(self) -> Server:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._listening.close()
        for thread in self._threads:
            thread.join(5)

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            number, self.hits = self.hits, self.hits + 1
            thread = threading.Thread(target=self._talk, args=(client, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _talk(self, client: socket.socket, number: int) -> None:
        client.settimeout(20)
        try:
            with suppress(OSError, ValueError):
                if not self._silent and self._tls:
                    client = self._tls.wrap_socket(client, server_side=True)
                request = Asked("", {}) if self._silent else _request(client)
                if not self._silent:
                    self.asked.append(request)
                self._behaviour(Talk(client, request, number, self.url, self._ended))
        finally:
            client.close()


def _request(client: socket.socket) -> Asked:
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            raise ValueError("no request")
        data += more
    first, *lines = data.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Asked(first.split(" ")[1], {name.lower(): value for name, value in headers.items()})


def canary() -> Server:
    """A server inside, which nothing that is fetched may reach: its `hits` must stay 0."""
    return Server(lambda talk: talk.answer(b"what nobody outside may see"))


def page(body: bytes = b"a page", *, status: str = "200 OK", **headers: str) -> Behaviour:
    """The same answer to everybody."""
    return lambda talk: talk.answer(body, status=status, **headers)


def sends_to(location: str, *, status: str = "302 Found") -> Behaviour:
    return lambda talk: talk.answer(status=status, location=location)


# ---------------------------------------------------------------- what holds a client up

_OK = b"HTTP/1.1 200 OK\r\n"


def slow_headers(talk: Talk) -> None:
    talk.send(_OK)
    talk.drip(b"x-more: and more\r\n")


def slow_body(talk: Talk) -> None:
    talk.send(_OK + b"content-length: 10000\r\n\r\n")
    talk.drip(b"more ")


def slow_chunks(talk: Talk) -> None:
    talk.send(_OK + b"transfer-encoding: chunked\r\n\r\n")
    talk.drip(b"1\r\nx\r\n")


def slow_status(talk: Talk) -> None:
    talk.drip(b"HTTP/1.1 200 A long reason")


def says_nothing(talk: Talk) -> None:
    talk.wait()


def stops_in_the_body(talk: Talk) -> None:
    talk.send(_OK + b"content-length: 100\r\n\r\nhalf of it")
    talk.wait()


def slow_handshake(talk: Talk) -> None:
    """For TLS, before anything was read: the record that never ends."""
    talk.send(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb\x03\x03")
    talk.drip(b"\x00")


# ---------------------------------------------------------------- what fills its memory


def endless_body(talk: Talk) -> None:
    talk.send(_OK + b"\r\n")
    talk.flood(b"more and more " * 4096)


def endless_chunks(talk: Talk) -> None:
    talk.send(_OK + b"transfer-encoding: chunked\r\n\r\n")
    talk.flood(b"1\r\nx\r\n" * 8192)


def endless_chunk_extensions(talk: Talk) -> None:
    talk.send(_OK + b"transfer-encoding: chunked\r\n\r\n")
    talk.flood(b"1;" + b"a=b;" * 8192 + b"\r\nx\r\n")


def endless_chunk_line(talk: Talk) -> None:
    talk.send(_OK + b"transfer-encoding: chunked\r\n\r\n1;")
    talk.flood(b"a" * 65536)


def endless_trailers(talk: Talk) -> None:
    talk.send(_OK + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
    talk.flood(b"x-more: and more\r\n" * 4096)


def endless_headers(talk: Talk) -> None:
    talk.send(_OK)
    talk.flood(b"x-more: and more\r\n" * 4096)


def endless_header(talk: Talk) -> None:
    talk.send(_OK + b"x-more: ")
    talk.flood(b"m" * 65536)


def endless_status(talk: Talk) -> None:
    talk.send(b"HTTP/1.1 200 ")
    talk.flood(b"O" * 65536)


def endless_continue(talk: Talk) -> None:
    talk.flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 1024)


def huge_length(talk: Talk) -> None:
    talk.send(_OK + b"content-length: 999999999999999999\r\n\r\n")
    talk.flood(b"x" * 65536)


@cache
def _zeros(container: int) -> tuple[bytes, bytes]:
    """The beginning of a packed stream, and 16 MB of zeros packed so that they may be repeated."""
    packing = zlib.compressobj(9, zlib.DEFLATED, container)
    begun = packing.compress(b"") + packing.flush(zlib.Z_FULL_FLUSH)
    return begun, packing.compress(bytes(1 << 24)) + packing.flush(zlib.Z_FULL_FLUSH)


def _bomb(encoding: str, container: int) -> Behaviour:
    def behaviour(talk: Talk) -> None:
        begun, more = _zeros(container)
        talk.send(_OK + f"content-encoding: {encoding}\r\n\r\n".encode() + begun)
        talk.flood(more)

    return behaviour


def empty_blocks(talk: Talk) -> None:
    """Packed blocks that hold nothing: bytes come without end, and nothing is unpacked."""
    begun, _ = _zeros(31)
    talk.send(_OK + b"content-encoding: gzip\r\n\r\n" + begun)
    talk.flood(b"\x00\x00\x00\xff\xff" * 8192)


def endless_gzip_files(talk: Talk) -> None:
    """One packed file of nothing after another."""
    talk.send(_OK + b"content-encoding: gzip\r\n\r\n")
    talk.flood(gzip.compress(b"") * 1024)


def packed_twice(talk: Talk) -> None:
    talk.answer(gzip.compress(gzip.compress(b"a page")), content_encoding="gzip, gzip")


def packed_as_br(talk: Talk) -> None:
    talk.send(_OK + b"content-encoding: br\r\n\r\n")
    talk.flood(bytes(65536))


# ---------------------------------------------------------------- what confuses it


def hangs_up(talk: Talk) -> None:
    pass


def too_short(talk: Talk) -> None:
    talk.answer(b"half of", content_length="1000")


def chunks_cut(talk: Talk) -> None:
    talk.send(_OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhalf")


def gzip_cut(talk: Talk) -> None:
    talk.answer(gzip.compress(os.urandom(2000))[:-900], content_encoding="gzip")


def gzip_damaged(talk: Talk) -> None:
    whole = bytearray(gzip.compress(b"a page of many words " * 50))
    whole[-6] ^= 255
    talk.answer(bytes(whole), content_encoding="gzip")


def no_gzip(talk: Talk) -> None:
    talk.answer(b"not packed at all", content_encoding="gzip")


def deflate_of_one_byte(talk: Talk) -> None:
    talk.answer(b"x", content_encoding="deflate")


def resets(talk: Talk) -> None:
    talk.send(_OK + b"content-length: 100\r\n\r\nhalf of it")
    talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def garbage(talk: Talk) -> None:
    talk.send(b"\x00\xff\x13\x37" * 100 + b"\r\n\r\n")


def other_protocol(talk: Talk) -> None:
    talk.send(b"220 mail.example ESMTP\r\n500 what?\r\n\r\n")


def chunk_nonsense(talk: Talk) -> None:
    talk.send(_OK + b"transfer-encoding: chunked\r\n\r\nzz\r\nwhat\r\n0\r\n\r\n")


def negative_chunk(talk: Talk) -> None:
    talk.send(_OK + b"transfer-encoding: chunked\r\n\r\n-5\r\nwhat\r\n0\r\n\r\n")


def two_lengths(talk: Talk) -> None:
    talk.send(_OK + b"content-length: 3\r\ncontent-length: 30\r\n\r\nabc")


def negative_length(talk: Talk) -> None:
    talk.send(_OK + b"content-length: -1\r\n\r\nabc")


def header_without_name(talk: Talk) -> None:
    talk.send(_OK + b": value\r\ncontent-length: 3\r\n\r\nabc")


def nul_in_header(talk: Talk) -> None:
    talk.send(_OK + b"x-more: a\x00b\r\ncontent-length: 3\r\n\r\nabc")


def odd_status(talk: Talk) -> None:
    talk.answer(b"what?", status="999 Odd")


def switches(talk: Talk) -> None:
    talk.send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n")
    talk.wait()


def nothing(talk: Talk) -> None:
    talk.answer(b"")


def gzip_of_nothing(talk: Talk) -> None:
    talk.answer(gzip.compress(b""), content_encoding="gzip")


def a_part(talk: Talk) -> None:
    talk.answer(b"abc", status="206 Partial Content", content_range="bytes 0-2/9")


def unasked_304(talk: Talk) -> None:
    talk.answer(status="304 Not Modified")


# ---------------------------------------------------------------- where it is sent


def loop(talk: Talk) -> None:
    talk.answer(status="302 Found", location=talk.url)


def chain(talk: Talk) -> None:
    talk.answer(status="301 Moved Permanently", location=f"/{talk.number + 1}")


def to_nowhere(talk: Talk) -> None:
    talk.answer(status="302 Found")


HOSTILE: dict[str, Behaviour] = {
    **{
        each.__name__: each
        for each in (
            *(slow_headers, slow_body, slow_chunks, slow_status, says_nothing, stops_in_the_body),
            *(endless_body, endless_chunks, endless_chunk_extensions, endless_chunk_line),
            *(endless_trailers, endless_headers, endless_header, endless_status),
            *(endless_continue, huge_length, empty_blocks, endless_gzip_files, packed_twice),
            *(packed_as_br, hangs_up, too_short, chunks_cut, gzip_cut, gzip_damaged, no_gzip),
            *(deflate_of_one_byte, resets, garbage, other_protocol, chunk_nonsense),
            *(negative_chunk, two_lengths, negative_length, header_without_name, nul_in_header),
            *(odd_status, switches, nothing, gzip_of_nothing, a_part, unasked_304),
            *(loop, chain, to_nowhere),
        )
    },
    "gzip_bomb": _bomb("gzip", 31),
    "x_gzip_bomb": _bomb("x-gzip", 31),
    "deflate_bomb": _bomb("deflate", 15),
    "raw_deflate_bomb": _bomb("deflate", -15),
}
"""By name, all but those that begin before a request was read (`slow_handshake`). None is a page."""


def redirects(port: int) -> list[str]:
    """Ways to say in a Location header: ask this machine, or something that is no web at all."""
    at = "" if port == 80 else f":{port}"
    hosts = (
        *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1"),
        *("017700000001", "0", "0.0.0.0", "127.0.0.1.", "127.255.255.254", "localhost"),
        *("LOCALHOST", "localhost.", "feeds.localhost", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]"),
        *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
        *("[::127.0.0.1]", "[fe80::1%25lo]", "[fc00::1]", "10.0.0.1", "192.168.0.1", "172.16.0.1"),
        *("169.254.169.254", "100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("192.0.0.192", "198.18.0.1", "%31%32%37.0.0.1", "metadata.google.internal", "router"),
        *(
            "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
            "127\u30020\u30020\u30021",
            "\u2460\u2461\u2466.0.0.1",
        ),
        *("user@127.0.0.1", "feeds.example@127.0.0.1", "feeds.example:80@127.0.0.1"),
    )
    return [
        *(f"http://{host}{at}/" for host in hosts),
        *(f"//127.0.0.1{at}/", f"///127.0.0.1{at}/", f"\\\\127.0.0.1{at}/", f"/\\127.0.0.1{at}/"),
        *(f"http:\\\\127.0.0.1{at}/", f"http:/\\127.0.0.1{at}/", f"HTTP://127.0.0.1{at}/"),
        *(
            f"https://127.0.0.1{at}/",
            f" http://127.0.0.1{at}/",
            f"http://127.0.0.1{at}#@feeds.example/",
        ),
        *(f"http://feeds.example\\@127.0.0.1{at}/", f"http://127.0.0.1{at}\\@feeds.example/"),
        *(f"ht\ttp://127.0.0.1{at}/", f"http://127.0.0.1\t{at}/", f"http://127.0.0.1{at}?x"),
        *("file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:25/_MAIL", "data:,x"),
        *("javascript:alert(1)", "unix:/var/run/docker.sock", "dict://127.0.0.1:11211/stats"),
        *("http://127.0.0.1:22/", "http://127.0.0.1:25/", "http:///", "http://", "http://:80/"),
        *("http://[::1/", "http://::1/", "http://a..b/", "http://127.0.0.1:99999/", "http://x:y/"),
    ]


# ---------------------------------------------------------------- what it is asked to wait


def asks_to_wait(now: datetime) -> dict[str, float | None]:
    """Values of Retry-After with the seconds they mean `now` (aware, UTC); None for nonsense."""
    return {
        "120": 120.0,
        " 7 ": 7.0,
        "0": 0.0,
        "007": 7.0,
        "1.5": 1.5,
        "86400": 86400.0,
        "86401": 86400.0,
        "99999999999999999999": 86400.0,
        "9" * 5000: 86400.0,
        format_datetime(now.replace(microsecond=0), usegmt=True): 0.0,
        "Wed, 21 Oct 2015 07:28:00 GMT": 0.0,
        "Fri, 31 Dec 9999 23:59:59 GMT": 86400.0,
        "Sunday, 06-Nov-94 08:49:37 GMT": 0.0,
        "Sun Nov  6 08:49:37 1994": 0.0,
        "-5": None,
        "soon": None,
        "1e3": None,
        "": None,
        "Mon, 99 Xxx 2026 99:99:99 GMT": None,
        "\u0661\u0662": None,
    }
