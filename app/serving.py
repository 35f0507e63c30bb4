"""`cerebro serve`: the web process, one worker process beside it, and what a first start loads.

The worker is a process of its own, so that torch never sits in the web process. It is watched: one
that dies is started again, and it ends with the server.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn

from app.bootstrap import App, build
from app.errors import Misconfigured, Unavailable
from app.importing import import_paths
from app.settings import load
from app.store import pages
from app.store.db import file_of, is_read_only, reading
from app.web.app import create

log = logging.getLogger("cerebro.serve")

STARTER = Path(__file__).parents[1] / "wiki"


def serve(
    *,
    host: str,
    port: int,
    with_worker: bool,
    with_starter: bool,
    no_password: bool,
) -> None:
    """Serve until stopped. Raises Misconfigured or Unavailable with one line that says why not."""
    settings = load()
    if not _is_loopback(host) and not no_password:
        raise Misconfigured(
            f"{host} can be reached by others, and this version asks nobody for a password. Listen "
            "on 127.0.0.1, or say --no-password where something else keeps strangers out."
        )
    app = build(settings)
    if is_read_only(app.engine):
        log.warning(
            "%s cannot be written: what is there can be read and backed up, and nothing is changed. "
            "No worker is started.",
            file_of(app.engine),
        )
        with_worker = with_starter = False
    if with_starter:
        load_starter(app)
    listening = _listen(host, port)
    web = create(app)
    server = _Server(
        web.state.ending,
        uvicorn.Config(
            web,
            log_level=settings.log,
            access_log=settings.log in ("debug", "info"),
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        ),
    )
    # uvicorn ends by the signal that it was sent: by default at once, and the worker would be left alone.
    signal.signal(signal.SIGTERM, _terminated)
    print(f"cere-bro is at http://{_shown(host)}:{port} (stop with Ctrl-C)", flush=True)
    with _WorkerProcess(lambda: server.started) if with_worker else _Nothing():
        server.run(sockets=[listening])


def _terminated(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def load_starter(app: App) -> int:
    """Load the starter wiki into a wiki that never had a page; how many pages it has then."""
    with reading(app.engine) as session:
        if pages.ever_had_one(session) or not STARTER.is_dir():
            return 0
    imported = import_paths(app, [STARTER], format="markdown", keep_raw=False)
    for where, reason in imported.refused:
        log.warning("starter wiki, %s: %s", where, reason)
    return imported.files


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    """The listening socket, opened here so that a taken port is one clear line."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        raise Unavailable(
            f"Port {port} on {host} cannot be used: {error.strerror}. Choose another with --port."
        ) from error
    return listening


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _Server(uvicorn.Server):
    """A server that lets the pages that follow a job know when it is about to end."""

    def __init__(self, ending: threading.Event, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending.set()  # it waits for open answers, and theirs have no end of their own
        await super().shutdown(sockets)


class _Nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


_LIVED_SECONDS = 60.0  # after which a worker that ends is not one that cannot be started
_LONGEST_PAUSE = 15.0  # a disk that has room again is noticed soon


class _WorkerProcess:
    """A `cerebro worker` that lives as long as the server, started again when it dies."""

    def __init__(self, ready: Callable[[], bool]) -> None:
        self._ready = ready
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._watch = threading.Thread(target=self._keep, name="worker", daemon=True)

    def __enter__(self) -> None:
        self._watch.start()

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _keep(self) -> None:
        while not self._ready():  # readers are answered first: to load it takes as long again
            if self._stopping.wait(0.05):
                return
        pause = 1.0
        command = [sys.executable, "-m", "app.cli", "worker"]
        while not self._stopping.is_set():
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "CEREBRO_PARENT": str(os.getpid())},
            )
            began = time.monotonic()
            code = self._process.wait()
            if time.monotonic() - began >= _LIVED_SECONDS:
                pause = 1.0  # it worked: what ended it is new
            if self._stopping.wait(pause):
                return
            log.warning("the worker ended with code %s and is started again", code)
            pause = min(pause * 2, _LONGEST_PAUSE)
