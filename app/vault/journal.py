"""What the files of a vault do not show, beside them in `.cerebro`: decisions, and a companion a page.

`decisions.jsonl` is only ever appended to. `pages/<slug>.json` has of a page what `rebuild --from`
needs and its front matter leaves out. Both are for machines: nothing here is read to sync.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from hashlib import sha256
from typing import Any

from app.domain.identifiers import is_slug
from app.errors import Invalid, Unavailable
from app.vault.folder import MACHINERY, PAGES, Vault, fsync_folder, in_words

DECISIONS = "decisions.jsonl"


def append(vault: Vault, lines: Iterable[Mapping[str, Any]]) -> None:
    """Add lines to the decisions, and return when they are on disk. Raises Unavailable.

    What a killed process left of a line is taken away first: it was never acknowledged.
    """
    text = "".join(line_text(line) + "\n" for line in lines).encode()
    if not text:
        return
    path = vault.root / MACHINERY / DECISIONS
    vault.keep_machinery()
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        with closing(os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0)) as file:
            end = _whole_lines(file)
            file.seek(end)
            file.truncate()
            written = memoryview(text)
            try:
                while written:
                    written = written[file.write(written) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)  # a half line on a full disk
                raise
        fsync_folder(path.parent)
    except OSError as error:
        raise Unavailable(in_words(error, f"{MACHINERY}/{DECISIONS}", "written")) from error


def decisions(vault: Vault) -> Iterator[dict[str, Any]]:
    """Every line of the decisions in order. A line that is no JSON object is passed over."""
    path = vault.root / MACHINERY / DECISIONS
    if path.is_symlink():
        return
    try:
        with path.open("rb") as file:
            for line in file:
                if (found := _object(line)) is not None:
                    yield found
    except FileNotFoundError:
        return
    except OSError as error:
        raise Unavailable(in_words(error, f"{MACHINERY}/{DECISIONS}", "read")) from error


def companion(vault: Vault, slug: str, data: Mapping[str, Any]) -> str:
    """Write a page's companion unless it says this already; the SHA-256 of it. Raises Unavailable."""
    text = companion_text(data)
    path = companion_path(slug)
    if vault.machine_bytes(path) != text:
        vault.write_machine(path, text)
    return sha256(text).hexdigest()


def companion_hash(data: Mapping[str, Any]) -> str:
    """The SHA-256 that a companion with this data has."""
    return sha256(companion_text(data)).hexdigest()


def drop_companion(vault: Vault, slug: str) -> None:
    """Take a page's companion away; nothing when there is none."""
    vault.remove_machine(companion_path(slug))


def read_companion(vault: Vault, slug: str) -> dict[str, Any] | None:
    """What a page's companion says; None when there is none, or none that can be read."""
    found = vault.machine_bytes(companion_path(slug))
    return None if found is None else _object(found)


def companions(vault: Vault) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every companion that can be read, by its slug, in order."""
    for name in vault.machine_names(PAGES):
        slug, dot, ending = name.partition(".")
        if dot and ending == "json" and is_slug(slug):
            found = read_companion(vault, slug)
            if found is not None:
                yield slug, found


def companion_path(slug: str) -> str:
    """Where a page's companion lies in the vault."""
    if not is_slug(slug):
        raise Invalid(f"{slug[:80]!r} is no slug.")
    return f"{PAGES}/{slug}.json"


def companion_text(data: Mapping[str, Any]) -> bytes:
    """A companion as its file has it."""
    # In the order given: that of a digest's ledger is one that readers see.
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1)
    return (text + "\n").encode("utf-8", "replace")


def line_text(line: Mapping[str, Any]) -> str:
    """A decision as its line has it, without its end."""
    # Escaped to ASCII: no reader splits it at U+2028.
    return json.dumps(line, allow_nan=False)


def _whole_lines(file: Any) -> int:
    """Where the last whole line ends; a complete one that only misses its end gets it."""
    end: int = file.seek(0, os.SEEK_END)
    if not end:
        return 0
    block = 65_536
    tail, start = b"", end
    while start and b"\n" not in tail:
        start = max(0, start - block)
        file.seek(start)
        tail = file.read(end - start)
        block *= 4
    kept = tail.rfind(b"\n") + 1
    if kept == len(tail):
        return end
    if _object(tail[kept:]) is not None:
        file.seek(end)
        file.write(b"\n")
        return end + 1
    return start + kept


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
