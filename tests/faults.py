"""Faults on purpose: at the n-th statement, at the commit, at the n-th step of the file system.

`failing` counts what is asked for and fails once; `fingerprint` says whether anything of a database
differs; `killed_at` runs work in a process of its own that ends, as if killed, at its n-th step.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from app.store.db import on_postgresql

KILLED = 87  # what a process ended with that `killed_at` ended
# What the interpreter tells an audit hook of, and that changes a folder.
_STEPS = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.symlink", "os.truncate"}


class Planned(Exception):
    """The fault that was asked for."""


@dataclass
class Counted:
    """How many steps there were so far, and whether one failed."""

    steps: int = 0
    failed: bool = False


@contextmanager
def failing(engine: Engine, at: int | None) -> Iterator[Counted]:
    """Let the step number `at` of every writer fail; the commit is a step too. None: only count."""
    counted = Counted()

    def step(connection: Any) -> None:
        if not connection.get_execution_options().get("write"):
            return
        counted.steps += 1
        if counted.steps == at:
            counted.failed = True
            raise Planned(f"step {at}")

    def statement(connection: Any, *_: object) -> None:
        step(connection)

    def commit(connection: Any) -> None:
        try:
            step(connection)
        except Planned:
            if on_postgresql(engine):  # a server that refuses a commit has ended the transaction
                connection.connection.dbapi_connection.rollback()
            raise

    sa.event.listen(engine, "before_cursor_execute", statement)
    sa.event.listen(engine, "commit", commit)
    try:
        yield counted
    finally:
        sa.event.remove(engine, "before_cursor_execute", statement)
        sa.event.remove(engine, "commit", commit)


def fingerprint(engine: Engine) -> dict[str, str]:
    """A hash of the rows of each table, what indexes words and meanings among them."""
    found = {}
    with engine.connect() as connection:
        if on_postgresql(engine):
            named = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            rows = "SELECT md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) FROM {} AS t"
        else:
            named = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
            rows = "SELECT * FROM {}"
        quote = connection.dialect.identifier_preparer.quote
        for name in connection.exec_driver_sql(named).scalars().all():
            asked = connection.exec_driver_sql(rows.format(quote(name)))
            lines = sorted(map(repr, map(tuple, asked)))
            found[name] = sha256("\n".join(lines).encode()).hexdigest()
    return found


def killed_at(number: int, work: Callable[[], None]) -> bool:
    """Do the work in a child that ends without a word at its n-th file step; whether it got there.

    Steps are: a file opened for writing, what is written and synced, and every rename, link, removal
    and new folder. Raises AssertionError when the work itself failed.
    """
    child = os.fork()
    if child == 0:
        try:
            _end_at(number)
            work()
        except BaseException as error:
            print(f"the work failed: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, KILLED), f"the work ended with {code}"
    return code == KILLED


def _end_at(number: int) -> None:
    left = number

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(KILLED)

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event in _STEPS or (event == "open" and _writes(given)):
            step()

    sync: Callable[[Any], None] = os.fsync

    def fsync(file: Any) -> None:
        step()
        sync(file)

    os.fsync = fsync
    sys.addaudithook(hook)


def _writes(given: tuple[Any, ...]) -> bool:
    path, mode, flags = given
    if str(path).startswith(("/dev/", "/proc/")):
        return False
    return bool(mode and set(mode) & set("wax+")) or bool(flags & (os.O_WRONLY | os.O_RDWR))
