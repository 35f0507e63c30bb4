"""In what order one save is written: is it synced before it is answered, and its file before its row?

python -m bench syscalls [--pages 400] [--all]

`strace` follows a server and its worker through one save over HTTP. On SQLite the write-ahead log is to be
synced between what is written into it and the answer; in the vault the new file is to be synced before it
takes its place, and its folder before the log is written that says the page is mirrored. Prints the
calls in their order (--all: each of them) and what of this holds. Linux alone; says so where strace is
not there or may not be used.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import built
from bench.client import Client
from bench.process import children_of, machine, serving

CALLS = "fsync,fdatasync,pwrite64,write,sendto,sendmsg,rename,renameat,renameat2,link,linkat,openat"
MARKER = "a-save-under-strace"
_CALL = re.compile(r"^(\d+)\s+([\d.]+) (\w+)\((.*)$")
_FILE = re.compile(r"\d+<([^>]*)>")
_AT = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Call:
    """One call: which thread, when, its name, the file it was about (or two), and what it was given."""

    thread: int
    at: float
    name: str
    files: tuple[str, ...]
    given: str

    @property
    def syncs(self) -> bool:
        return self.name in ("fsync", "fdatasync")


@dataclass(frozen=True)
class Found:
    """The calls of one save, of both processes, and whether each promise was kept."""

    calls: tuple[Call, ...]
    before_answer: bool  # the log was synced after its last write and before the answer
    before_place: (
        bool | None
    )  # the new file was synced before it took its place; None: none was made
    before_row: bool | None  # its folder was synced before the log says that it is mirrored

    def lines(self) -> Iterator[str]:
        """What was found, for reading."""
        for words, kept in (
            ("the log is synced before the answer goes out", self.before_answer),
            ("the file is synced before it takes its place", self.before_place),
            ("its folder is synced before the row says that it is mirrored", self.before_row),
        ):
            yield f"{words}: {'not seen' if kept is None else 'yes' if kept else 'NO'}"


def available() -> str:
    """Why calls cannot be followed here; "" when they can."""
    if shutil.which("strace") is None:
        return "strace is not installed; nothing was measured."
    tried = subprocess.run(
        ["strace", "-e", "trace=none", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        said = tried.stderr.strip().splitlines() or ["it ended with an error"]
        return f"strace may not be used here ({said[0]}); nothing was measured."
    return ""


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench syscalls")
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--all", action="store_true", help="print every call")
    asked = parser.parse_args(arguments)
    if why := available():
        print(why)
        return
    print(machine())
    with built.opened(asked.pages) as wiki:
        found = measure(wiki)
        shown = told(found, wiki.data, every=asked.all)
    for line in (*shown, *found.lines()):
        print(line)
    if False in (found.before_answer, found.before_place, found.before_row):
        sys.exit(1)


def measure(wiki: built.Wiki) -> Found:
    """Follow one save of a page through a server at rest."""
    trace = wiki.data / "strace.txt"
    with serving(wiki.data, wiki.settings) as (process, port):
        client = Client(port)
        page = {"title": "Under strace", "body": "As it was."}
        assert client.put_page("under-strace", page).ok
        _until_mirrored(wiki.data, "As it was.", 60)
        tracer = _attach(process.pid, trace)
        try:
            assert client.put_page("under-strace", {"body": f"{MARKER}."}).ok
            _until_mirrored(wiki.data, MARKER, 60)
            time.sleep(1.0)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(timeout=20)
    return judged(list(read(trace.read_text(errors="replace"))), wiki.data)


def _attach(pid: int, trace: Path) -> subprocess.Popen[bytes]:
    """strace on this process, its threads, and its children."""
    every = [str(pid), *map(str, children_of(pid))]
    words = ["strace", "-f", "-ttt", "-y", "-s", "120", "-e", f"trace={CALLS}", "-o", str(trace)]
    tracer = subprocess.Popen([*words, *(word for each in every for word in ("-p", each))])
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if all("TracerPid:\t0" not in Path(f"/proc/{one}/status").read_text() for one in every):
            return tracer
        time.sleep(0.05)
    return tracer


def _until_mirrored(data: Path, words: str, seconds: float) -> bool:
    """Wait until a file of the vault has these words; whether it does."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for path in (data / "vault").rglob("*nder*trace.md"):
            if ".cerebro" not in path.parts and words in path.read_text(errors="replace"):
                return True
        time.sleep(0.1)
    return False


def read(text: str) -> Iterator[Call]:
    """The calls that strace wrote down, in the order in which they began."""
    for line in text.splitlines():
        found = _CALL.match(line)
        if found:
            thread, at, name, given = found.groups()
            files = (*_FILE.findall(given), *_AT.findall(given))
            yield Call(int(thread), float(at), name, files[:4], given)


def judged(calls: list[Call], data: Path) -> Found:
    """Whether each promise was kept."""
    vault, wal = str(data / "vault"), str(data / "cerebro.sqlite3-wal")
    answer = next((n for n, c in enumerate(calls) if _answers(c)), len(calls))
    saver = calls[answer].thread if answer < len(calls) else 0
    own = [c for c in calls[:answer] if wal in c.files]
    before_answer = bool(saver and own and own[-1].syncs and any(c.name == "pwrite64" for c in own))
    placed = next((n for n, c in enumerate(calls) if _places(c, vault)), None)
    if placed is None:
        return Found(tuple(calls), before_answer, None, None)
    worker, beside = calls[placed].thread, _beside(calls[placed], vault)
    synced = [c for c in calls[:placed] if c.syncs and any(beside in file for file in c.files)]
    row = next(
        (
            n
            for n, c in enumerate(calls[placed:], placed)
            if c.thread == worker and c.name == "pwrite64" and wal in c.files
        ),
        None,
    )
    folders = [
        c
        for c in calls[placed : row or len(calls)]
        if c.syncs
        and any(file.startswith(vault) and "." not in Path(file).name for file in c.files)
    ]
    return Found(tuple(calls), before_answer, bool(synced), None if row is None else bool(folders))


def _answers(call: Call) -> bool:
    return call.name in ("sendto", "sendmsg", "write") and "HTTP/1.1 2" in call.given


def _places(call: Call, vault: str) -> bool:
    """Whether a call puts the page's file in its place."""
    return call.name.startswith(("rename", "link")) and "nder" in call.given and ".md" in call.given


def _beside(call: Call, vault: str) -> str:
    """The name that the new file has beside its place."""
    names = [Path(file).name for file in call.files if not file.startswith("/proc")]
    return next((name for name in names if name and not name.endswith(".md")), names[0])


def told(found: Found, data: Path, *, every: bool) -> Iterator[str]:
    """The calls about the wiki's files and the answer; of many alike, one line."""
    begun, last, times = found.calls[0].at if found.calls else 0.0, "", 0
    for call in found.calls:
        about = [file for file in call.files if file.startswith(str(data))]
        if not (about or _answers(call)) or (call.name == "openat" and not every):
            continue
        names = " ".join(os.path.relpath(file, data) for file in about) or "the answer"
        line = f"{call.thread} {call.name} {names}"
        if line == last and not every:
            times += 1
            continue
        if times:
            yield f"           … {times} more of these"
        last, times = line, 0
        yield f"{(call.at - begun) * 1000:8.1f} ms  {line}"


if __name__ == "__main__":
    main(sys.argv[1:])
