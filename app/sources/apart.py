"""Reading of untrusted files in a process of its own, which has little time, memory and nothing else.

A library that reads a PDF or a web page may hang, fill the memory or be led astray by what it reads.
So it does that where it can harm nobody: `apart_child.py` in a child process without network, files to
write or other programs, which is ended when its time is up.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import Unreadable

_CHILD = Path(__file__).with_name("apart_child.py")


@dataclass(frozen=True)
class Limits:
    """Of one reading: CPU and wall seconds, bytes of memory, characters of text, bytes of the answer."""

    cpu: int = 60
    wall: float = 120.0
    memory: int = 1 << 30
    text: int = 2_000_000
    answer: int = 16_000_000


LIMITS = Limits()
NO_ARTICLE = (
    "There is no article on this page, or it is put together by a script that is not run here. "
    "Save the page from your browser and import the file."
)


def read_apart(kind: str, data: bytes, limits: Limits = LIMITS) -> dict[str, Any]:
    """What the child says of the bytes, read as a "pdf" or an "article".

    Raises Unreadable with the reason ("It …", "Reading it …") where it says nothing of use.
    """
    with tempfile.TemporaryFile() as handed:
        handed.write(data)
        handed.seek(0)
        code, answer = _run(kind, handed, limits)
    if len(answer) > limits.answer:
        raise Unreadable("It holds more text than is read of one file.")
    try:
        found = json.loads(answer) if answer else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unreadable(_ended(code, limits))
    match found.get("error"):
        case None:
            return found
        case "memory":
            raise Unreadable(
                f"Reading it took more than {limits.memory // (1 << 20)} MiB of memory."
            )
        case "encrypted":
            raise Unreadable("It is locked with a password, or in a way that is not known here.")
        case "nested too deeply":
            raise Unreadable("It is nested too deeply to be read.")
        case "no article":
            raise Unreadable(NO_ARTICLE)
        case _:
            why = "".join(c for c in str(found.get("why", "")) if c.isprintable())[:200]
            raise Unreadable(f"It is damaged, or made in a way that is not known here ({why}).")


def _run(kind: str, handed: Any, limits: Limits) -> tuple[int, bytes]:
    """The child's exit code (of a signal negative) and what it wrote."""
    command = [sys.executable, "-I", str(_CHILD), kind]
    command += [str(limits.cpu), str(limits.memory), str(limits.text)]
    until = time.monotonic() + limits.wall
    parts: list[bytes] = []
    size = 0
    with subprocess.Popen(
        command,
        stdin=handed,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": "", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"},
        cwd="/" if os.name == "posix" else None,
    ) as child:
        assert child.stdout is not None
        try:
            while size <= limits.answer:
                left = until - time.monotonic()
                if left <= 0 or not select.select([child.stdout], [], [], left)[0]:
                    break
                part = os.read(child.stdout.fileno(), 65_536)
                if not part:
                    return child.wait(max(0.1, until - time.monotonic())), b"".join(parts)
                parts.append(part)
                size += len(part)
        except subprocess.TimeoutExpired:
            pass
        finally:
            child.kill()
    return -9, b"".join(parts) if size > limits.answer else b""


def _ended(code: int, limits: Limits) -> str:
    if code in (-24, -9, 137, 152):
        return f"Reading it takes too long: more than {limits.cpu} seconds of work."
    return "Reading it broke the reader, so nothing of it is known."
