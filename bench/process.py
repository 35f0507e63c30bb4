"""Running the program as its users do, and reading what CPU time it took."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
TICKS = os.sysconf("SC_CLK_TCK")


def cerebro(*arguments: str) -> list[str]:
    """The command line of this checkout."""
    return [sys.executable, "-m", "app.cli", *arguments]


def environment(data: Path) -> dict[str, str]:
    """An environment with a wiki of its own and no key."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CEREBRO_", "ANTHROPIC_"))}
    return {**kept, "CEREBRO_DATA": str(data), "HF_HUB_OFFLINE": "1"}


def run(arguments: Sequence[str], data: Path) -> tuple[str, float]:
    """Standard output of a command and the CPU seconds it and its children took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        arguments, env=environment(data), cwd=ROOT, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3):
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, cpu


def cpu_of(pid: int) -> float:
    """CPU seconds of one running process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def server(arguments: Sequence[str], data: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server process that answers on this port; ended afterwards."""
    process = subprocess.Popen(
        arguments,
        env=environment(data),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
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
