"""Running the program as its users do, and reading what CPU time it took."""

from __future__ import annotations

import os
import platform
import resource
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.error import URLError

import numpy as np

from bench.client import free_port

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
TICKS = os.sysconf("SC_CLK_TCK")
NOTHING: Mapping[str, str] = {}
WITHOUT_MODEL: Mapping[str, str] = {"CEREBRO_EMBEDDING_MODEL": "none"}
_NOT_A_USERS = ("CEREBRO_", "ANTHROPIC_", "PYTHONDONTWRITEBYTECODE")


def cerebro(*arguments: str) -> list[str]:
    """The command line of this checkout."""
    return [sys.executable, "-m", "app.cli", *arguments]


def environment(data: Path, settings: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """An environment with a wiki of its own, no key, and these variables; compiled files are kept."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_A_USERS)}
    return {**kept, "CEREBRO_DATA": str(data), "HF_HUB_OFFLINE": "1", **settings}


def run(
    arguments: Sequence[str], data: Path, settings: Mapping[str, str] = NOTHING
) -> tuple[str, float]:
    """Standard output of a command and the CPU seconds it and its children took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        arguments,
        env=environment(data, settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3):
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, cpu


def cpu_of(pid: int) -> float:
    """CPU seconds of one running process so far, all its threads (Linux)."""
    # Linux numbers the CPU clock of any process so; it counts nanoseconds where /proc has ticks.
    with suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_below(pid: int) -> float:
    """CPU seconds of a process, of all processes below it, and of those it has buried."""
    total, left = 0.0, [pid]
    while left:
        one = left.pop()
        with suppress(OSError):
            fields = _stat(one)
            total += cpu_of(one) + (int(fields[13]) + int(fields[14])) / TICKS
            left += children_of(one)
    return total


def children_of(pid: int) -> list[int]:
    """The processes that this one started, from whichever of its threads (Linux)."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/pid/stat from the third on: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def memory_of(pid: int) -> tuple[float, float]:
    """Megabytes a process holds now, and the most it held (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return int(found["VmRSS"]) / 1024, int(found["VmHWM"]) / 1024


def machine() -> str:
    """Cores, processor and versions, in a line."""
    model = "processor unknown"
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return (
        f"{os.cpu_count()} cores, {model}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, numpy {np.__version__}"
    )


def serve(port: int) -> list[str]:
    """The command of a whole server on this port: screens, worker, vault; no starter pages."""
    return cerebro("serve", "--port", str(port), "--no-starter")


def started(
    arguments: Sequence[str],
    data: Path,
    settings: Mapping[str, str] = NOTHING,
    said: IO[bytes] | None = None,
    *,
    apart: bool = False,
) -> subprocess.Popen[bytes]:
    """A process on its way. Its log goes to `said`; `apart` it can be ended with all below it."""
    return subprocess.Popen(
        arguments,
        env=environment(data, settings),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=said or subprocess.PIPE,
        start_new_session=apart,
    )


@contextmanager
def serving(
    data: Path, settings: Mapping[str, str] = NOTHING, said: IO[bytes] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A whole server without a model, and the port on which it answers."""
    port = free_port()
    with server(serve(port), data, port, {**settings, **WITHOUT_MODEL}, said) as process:
        yield process, port


@contextmanager
def server(
    arguments: Sequence[str],
    data: Path,
    port: int,
    settings: Mapping[str, str] = NOTHING,
    said: IO[bytes] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server process that answers on this port; ended afterwards. Its log goes to `said`."""
    process = started(arguments, data, settings, said)
    try:
        wait_for(port, process)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        if process.poll() is not None:
            said = process.stderr.read().decode() if process.stderr else ""
            sys.exit(f"The server ended with {process.returncode}: {said[-2000:]}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).read()
            return
        except (URLError, OSError):
            time.sleep(0.05)
    sys.exit("The server did not answer within a minute.")
