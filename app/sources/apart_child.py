"""Runs in a process of its own, started by `apart`: reads one untrusted file and says what is in it.

Nothing of the program is imported here. Before the file is looked at, the process gives up what it does
not need: time, memory, the network, files, other programs. Its answer is one JSON object on standard
output; that it ends without one is an answer too.
"""

from __future__ import annotations

import ctypes
import errno
import io
import json
import os
import platform
import re
import struct
import sys
from contextlib import suppress
from typing import Any, BinaryIO

MAX_PAGES = 300
_AUDITED = (
    "socket.", "subprocess.", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "os.system",
    "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
    "shutil.", "ftplib.", "urllib.", "smtplib.", "imaplib.", "http.client", "webbrowser.", "ctypes.dlopen",
)  # fmt: skip
_CATALOG = re.compile(rb"\b(\d{1,8} \d{1,5}) obj\s{0,9}<<[^<>]{0,500}/Type\s{0,9}/Catalog\b")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# System calls by machine: socket, connect, bind, listen, sendto, sendmsg, socketpair, execve, execveat,
# fork, vfork, ptrace, unlink(at), rename(at, at2), mkdir(at). Threads (clone) are of the process itself.
_SHUT = {
    "x86_64": (0xC000003E, (41, 42, 49, 50, 44, 46, 53, 59, 322, 57, 58, 101, 87, 263, 82, 264, 316, 83, 258)),
    "aarch64": (0xC00000B7, (198, 203, 200, 201, 206, 211, 199, 221, 281, 117, 35, 38, 276, 34)),
}  # fmt: skip


def give_up(cpu: int, memory: int) -> None:
    """Lay down what reading a file does not need. Each on its own: not every system knows them all."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        for limit, value in (
            (resource.RLIMIT_CPU, cpu),
            (resource.RLIMIT_AS, memory),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, 64),
        ):
            with suppress(OSError, ValueError):
                resource.setrlimit(limit, (value, value))
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            _shut_system_calls(ctypes.CDLL(None, use_errno=True))
    sys.addaudithook(_refuse)


def _shut_system_calls(libc: Any) -> None:
    """No network and no other program: in a namespace of its own where that may be, by seccomp else."""
    libc.prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG: it does not outlive who asked
    new_user, new_net = 0x10000000, 0x40000000
    if libc.unshare(new_net) != 0:
        libc.unshare(new_user | new_net)
    arch, shut = _SHUT.get(platform.machine(), (0, ()))
    if not arch or libc.prctl(38, 1, 0, 0, 0) != 0:  # PR_SET_NO_NEW_PRIVS
        return
    load, equal, give = 0x20, 0x15, 0x06
    allow, refuse, kill = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
    program = [(load, 0, 0, 4), (equal, 1, 0, arch), (give, 0, 0, kill), (load, 0, 0, 0)]
    program += [(equal, len(shut) - at, 0, number) for at, number in enumerate(shut)]
    program += [(give, 0, 0, allow), (give, 0, 0, refuse)]
    packed = b"".join(struct.pack("HBBI", *each) for each in program)
    buffer = ctypes.create_string_buffer(packed)
    frame = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    libc.prctl(22, 2, ctypes.create_string_buffer(frame), 0, 0)  # PR_SET_SECCOMP, a filter


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(_AUDITED):
        raise PermissionError(f"{event} is not for a reader of files")
    if event == "open":
        _, mode, flags = (*arguments, None, None)[:3]
        writes = isinstance(mode, str) and any(sign in mode for sign in "wax+")
        if writes or (isinstance(flags, int) and flags & _WRITES):
            raise PermissionError("a reader of files writes none")


# ---------------------------------------------------------------- PDF


def read_pdf(source: BinaryIO, most: int) -> dict[str, Any]:
    """Text by page, metadata, and on the first page how large each piece of text is set."""
    from pypdf import PdfReader
    from pypdf.errors import PdfReadError

    try:
        reader = PdfReader(source, strict=False)
    except PdfReadError:
        # Its table of contents is lost: with an empty one the library looks for the objects itself.
        source.seek(0)
        whole = source.read()
        root = _CATALOG.search(whole)
        trailer = (
            b"\ntrailer\n<< /Root %b R >>" % root[1] if root and b"trailer" not in whole else b""
        )
        reader = PdfReader(io.BytesIO(whole + trailer + b"\nstartxref\n0\n%%EOF\n"), strict=False)
    if reader.is_encrypted and not reader.decrypt(""):
        return {"error": "encrypted"}
    found: dict[str, Any] = {"pages": 0, "failed": 0, "text": [], "sizes": [], "meta": {}}
    with suppress(Exception):
        found["meta"] = {
            str(name).lstrip("/"): str(value)[:2_000]
            for name, value in (reader.metadata or {}).items()
        }
    found["pages"] = len(reader.pages)
    left = most
    for number in range(min(found["pages"], MAX_PAGES)):
        sizes: list[tuple[float, str]] = []
        try:
            page = reader.pages[number]
            text = (
                page.extract_text(visitor_text=_sized(sizes))
                if number == 0
                else page.extract_text()
            )
        except MemoryError:
            raise
        except Exception as error:
            found["failed"] += 1
            found.setdefault("why", f"{type(error).__name__}: {error}"[:200])
            continue
        found["text"].append(text[:left])
        left -= len(text)
        if number == 0:
            found["sizes"] = [(round(size, 1), text[:500]) for size, text in sizes[:400]]
        if left <= 0:
            found["cut"] = True
            break
    found["cut"] = found.get("cut", False) or found["pages"] > MAX_PAGES
    return found


def _sized(sizes: list[tuple[float, str]]) -> Any:
    def visit(text: str, cm: list[float], tm: list[float], font: Any, size: float) -> None:
        if text.strip() and len(sizes) < 2_000:
            # Upright text alone: a stamp beside the page is turned.
            across, up = tm[0] * cm[0] + tm[1] * cm[2], tm[0] * cm[1] + tm[1] * cm[3]
            sizes.append((abs(size * across) if abs(up) < abs(across) else 0.0, text))

    return visit


# ---------------------------------------------------------------- articles


def read_article(source: BinaryIO, most: int) -> dict[str, Any]:
    """The article of a web page as HTML, without what stands around it, and what it says of itself."""
    from trafilatura import bare_extraction, extract

    html = source.read()
    options: dict[str, Any] = {
        "include_comments": False,
        "include_links": True,
        "include_formatting": True,
        "include_tables": True,
        "date_extraction_params": {"extensive_search": False, "original_date": True},
    }
    about: Any = bare_extraction(html, with_metadata=True, **options)
    if about is None:
        return {"error": "no article"}
    told = about.as_dict()
    text = extract(html, output_format="html", **options) or ""
    names = ("title", "author", "date", "url", "sitename", "description")
    found = {name: str(told.get(name) or "")[:4_000] for name in names}
    return {**found, "html": text[:most]}


_READERS = {"pdf": read_pdf, "article": read_article}


def main(arguments: list[str]) -> None:
    kind, cpu, memory, most = arguments[0], *map(int, arguments[1:4])
    if kind == "pdf":
        import pypdf  # noqa: F401  before anything is shut
    else:
        import trafilatura  # noqa: F401
    give_up(cpu, memory)
    try:
        answer = _READERS[kind](sys.stdin.buffer, most)
    except MemoryError:
        answer = {"error": "memory"}
    except RecursionError:
        answer = {"error": "nested too deeply"}
    except Exception as error:
        locked = type(error).__name__ == "DependencyError"
        answer = {
            "error": "encrypted" if locked else "unreadable",
            "why": f"{type(error).__name__}: {error}"[:300],
        }
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
