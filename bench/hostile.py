"""What servers do to a client: how each request ends, when, and at what memory.

python -m bench hostile                 all of it, at the real deadline: about two minutes
python -m bench hostile --seconds 3     the same with a shorter one
python -m bench hostile slow_body ...   these behaviours alone

Each request is made in a process of its own, so that the memory shown is its own: the most it held
above what it held before. Ends with 1 when a request was over later than a second after its deadline,
took more than 200 MiB, or reached the server that nobody may reach.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from app.errors import NotFetched
from app.sources.connectors import FEED_BYTES, FILE_BYTES
from app.sources.http import SECONDS, Transport
from bench.process import ROOT, memory_of
from tests.servers import hostile
from tests.servers.hostile import HOSTILE, Behaviour, Server, Talk, page, sends_to

MOST_MIB = 200.0
LATE = 1.0  # seconds after the deadline at which a request must be over
PUBLIC = "93.184.215.14"  # stands for any address of the open internet; nothing is sent there
AT_ONCE = 12  # requests that only wait


@dataclass(frozen=True)
class Asked:
    """One request: what it is called, of which server, and how."""

    name: str
    url: str
    allow: tuple[tuple[str, int], ...]
    seconds: float
    limit: int = FEED_BYTES
    times: int = 1  # one request after the other, each for a path of its own: 0, 1, 2 …
    # A name that leads to PUBLIC the first time, which is this port of loopback, and inside after it.
    rebinds: int = 0


@dataclass(frozen=True)
class Came:
    """What came of it: the reason in words or "a page", seconds, and MiB above the beginning."""

    name: str
    words: str
    seconds: float
    mib: float
    inside: int = 0  # connections to an address inside that a resolver made up


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench hostile")
    parser.add_argument("names", nargs="*", help="behaviours; default all")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="the deadline of a request")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args(list(arguments))
    if chosen.one:
        print(json.dumps(asdict(_ask(Asked(**json.loads(chosen.one))))))
        return
    with ExitStack() as stack:
        canaries = list(_canaries(stack))
        waiting, working = _requests(stack, chosen.names, chosen.seconds, canaries)
        print(f"deadline {chosen.seconds:g} s; {len(waiting) + len(working)} requests")
        print(f"{'':34}{'s':>7}{'MiB':>8}  what came")
        came = []
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for each in pool.map(_in_a_process, waiting):
                came.append(_told(each))
        came += [_told(_in_a_process(each)) for each in working]
        hits = sum(canary.hits for canary in canaries) + sum(each.inside for each in came)
    slowest = max(came, key=lambda each: each.seconds)
    largest = max(came, key=lambda each: each.mib)
    print(f"\nlongest {slowest.seconds:.2f} s ({slowest.name}); at most {chosen.seconds + LATE:g}")
    print(f"largest {largest.mib:.1f} MiB ({largest.name}); at most {MOST_MIB:g}")
    ports = ", ".join(f"{canary.host} port {canary.port}" for canary in canaries)
    print(f"{hits} connections to what nobody may reach ({ports}); none is allowed")
    bad = slowest.seconds > chosen.seconds + LATE or largest.mib > MOST_MIB or hits
    sys.exit(1 if bad else 0)


def _canaries(stack: ExitStack) -> Iterator[Server]:
    """Servers inside: on a port of their own, and on the usual one where that is free and allowed."""
    for host, port in (("127.0.0.1", 0), ("127.0.0.1", 80), ("::1", 80)):
        with suppress(OSError):
            behaviour = page(b"what nobody outside may see")
            yield stack.enter_context(Server(behaviour, host=host, port=port))


def _large(talk: Talk) -> None:
    """A file as large as one may be, which is no hostile thing at all."""
    talk.answer(content_length=str(FILE_BYTES))
    piece = os.urandom(1 << 20)
    sent = 0
    while sent < FILE_BYTES:
        talk.send(piece[: FILE_BYTES - sent])
        sent += len(piece)


def _sending(locations: Sequence[str]) -> Behaviour:
    """Each path, which is a number, is sent on to one of these."""

    def behaviour(talk: Talk) -> None:
        location = locations[int(talk.request.path[1:])]
        # On the wire a header is bytes, which the server writes as Latin-1.
        sends_to(location.encode("utf-8").decode("latin-1"))(talk)

    return behaviour


def _requests(
    stack: ExitStack, names: Sequence[str], seconds: float, canaries: Sequence[Server]
) -> tuple[list[Asked], list[Asked]]:
    """All requests: those that only wait, and those that work."""
    waiting: list[Asked] = []
    working: list[Asked] = []
    waits = {
        *("slow_headers", "slow_body", "slow_chunks", "slow_status", "says_nothing"),
        *("stops_in_the_body", "slow_handshake", "no_handshake"),
    }

    def add(name: str, behaviour: Behaviour, *, silent: bool = False, **more: int) -> None:
        if names and name not in names:
            return
        server = stack.enter_context(Server(behaviour, silent=silent))
        url = server.url.replace("http:", "https:") if silent else server.url
        asked = Asked(name, url, (server.pair,), seconds, **more)
        (waiting if name in waits else working).append(asked)

    for name, behaviour in HOSTILE.items():
        add(name, behaviour)
    add("slow_handshake", hostile.slow_handshake, silent=True)
    add("no_handshake", hostile.says_nothing, silent=True)
    for name in ("gzip_bomb", "deflate_bomb", "endless_body"):
        add(f"{name} of a file", HOSTILE[name], limit=FILE_BYTES)
    add("a file of 100 MB", _large, limit=FILE_BYTES)
    for canary in canaries:
        locations = hostile.redirects(canary.port)
        add(f"redirects to {canary.host}:{canary.port}", _sending(locations), times=len(locations))
    for name, behaviour in (
        ("rebinding", page(b"public")),
        ("rebinding by a redirect", sends_to("http://feeds.example/again")),
    ):
        if not names or name in names:
            server = stack.enter_context(Server(behaviour))
            working.append(Asked(name, "http://feeds.example/", (), seconds, rebinds=server.port))
    return waiting, working


def _in_a_process(asked: Asked) -> Came:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "hostile", "--one", json.dumps(asdict(asked))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{asked.name} ended with {done.returncode}: {done.stderr[-2000:]}")
    return Came(**json.loads(done.stdout))


def _told(came: Came) -> Came:
    print(f"{came.name[:33]:34}{came.seconds:7.2f}{came.mib:8.1f}  {came.words[:110]}", flush=True)
    return came


def _ask(asked: Asked) -> Came:
    """Make the request in this process."""
    resolved: list[str] = []
    inside: list[str] = []

    def resolve(host: str) -> list[str]:
        resolved.append(host)
        return [PUBLIC] if len(resolved) == 1 else ["127.0.0.1"]

    def connect(address: str, port: int, seconds: float) -> socket.socket:
        if address == PUBLIC:
            return socket.create_connection(("127.0.0.1", asked.rebinds), seconds)
        inside.append(address)
        raise ConnectionRefusedError

    make = partial(Transport, allow={(host, port) for host, port in asked.allow})
    made = make(seconds=asked.seconds)
    if asked.rebinds:
        made = make(seconds=asked.seconds, resolve=resolve, connect=connect)
    with Server(page()) as warm:  # what every request loads
        Transport(allow={warm.pair}).get(warm.url)
    if asked.url.startswith("https:"):
        _ = made._context
    Path("/proc/self/clear_refs").write_text("5")  # the most it held is counted anew
    before, _ = memory_of(os.getpid())
    begun = time.monotonic()
    words = _words(made, asked)
    seconds = time.monotonic() - begun
    if asked.rebinds:  # the name leads inside from now on
        words = f"{words}, then: {_words(made, asked)}"
    if asked.times > 1:
        said = [_words(made, replace(asked, url=f"{asked.url}{n}")) for n in range(asked.times)]
        pages = sum(each.startswith("a page") for each in said)
        words = f"{asked.times} addresses, {pages} of them asked; the last: {said[-1]}"
    _, most = memory_of(os.getpid())
    return Came(asked.name, words, seconds, most - before, len(inside))


def _words(web: Transport, asked: Asked) -> str:
    try:
        return f"a page of {len(web.get(asked.url, limit=asked.limit).data):,} bytes"
    except NotFetched as error:
        return str(error)


if __name__ == "__main__":
    main(sys.argv[1:])
