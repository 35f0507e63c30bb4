"""Syncing: the thread that keeps the vault and the database in step, and one pass of it by command.

Files are watched where the system tells of changes, and looked at once a minute in any case; what waits
in the database is asked twice a second. One process syncs a wiki at a time (a hold), for one pass. What
goes wrong is said in a row for the reader and tried again, later and later: the wiki goes on without.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Protocol

from sqlalchemy.engine import Engine

from app.domain.records import ActKind
from app.errors import CerebroError, Unavailable
from app.services import commits
from app.services.vault.looks import STABLE_SECONDS
from app.services.vault.report import Report
from app.services.vault.sync import Sync
from app.store import acts, mirror, runs
from app.store.db import reading, writing
from app.vault.folder import Vault
from app.vault.names import is_page

log = logging.getLogger("cerebro.vault")

STEP = "vault"
LOOK_SECONDS = 0.5
SCAN_SECONDS = 60.0
LONGEST_PAUSE = 30.0
HOLD_SECONDS = 60.0  # for which a command waits for whoever is at it
_ONE = 1  # the subject of the hold: there is one vault
_WRITTEN = 500  # pages that are written before others may have the hold
_RESTART_SECONDS = 2.0  # between two tries to watch
_ROUNDS = 20  # of one pass by command, until nothing moves any more


class Tools(Protocol):
    """What syncing needs of the App."""

    @property
    def engine(self) -> Engine: ...
    @property
    def vault_folder(self) -> Path: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...
    def today(self) -> date: ...


def _sync_of(tools: Tools) -> Sync:
    return Sync(tools.engine, Vault(tools.vault_folder), clock=tools.clock)


def once(
    tools: Tools,
    owner: str,
    *,
    deletions: bool = False,
    anew: bool = False,
    write: bool = True,
    patience: float = HOLD_SECONDS,
    stopping: Callable[[], bool] = lambda: False,
) -> Report:
    """One whole pass, until nothing moves any more. Raises Unavailable in words.

    `deletions`: however many files are gone, their pages are taken out. `anew`: the folder is taken as
    it is, and every file that is not there is written. Without `write` files are only read.
    """
    sync = _sync_of(tools)
    sync.begin()
    with _at_it(tools.engine, owner, patience=patience), _one_act(tools, sync):
        sync.open(anew=anew)
        for _ in range(_ROUNDS):
            before = sync.report.done
            sync.look(deletions=deletions)
            while sync.unsettled and not stopping():
                time.sleep(STABLE_SECONDS / 2)
                waited = sync.report.done, len(sync.report.refused)
                sync.look(deletions=deletions)
                if sync.steady and waited == (sync.report.done, len(sync.report.refused)):
                    break
            if write:
                sync.write()
            if stopping() or sync.report.done == before:
                break
        if write:
            sync.tell_decisions()
        sync.report.waiting = sync.left()
    if write and not sync.report.waiting:
        _record(tools, sync)
    return sync.report


def _record(tools: Tools, sync: Sync) -> None:
    """Commit the vault to its git repository, where the reader wants it and something changed."""
    today = tools.today().isoformat()
    with reading(tools.engine) as session:
        if not commits.is_due(session, today=today):
            return
    commits.make(tools.engine, sync.vault.root, now=tools.clock(), today=today)


@contextmanager
def _one_act(tools: Tools, sync: Sync) -> Iterator[None]:
    """What files change in the wiki is told, and can be undone, as one."""
    with acts.doing(tools.engine, ActKind.VAULT, _WORDS, clock=tools.clock) as act:
        yield
        told = sync.report.taken_up
        act.words = f"{_WORDS}: {told}" if told else _WORDS


_WORDS = "Files of the vault"


@contextmanager
def _at_it(engine: Engine, owner: str, *, patience: float) -> Iterator[None]:
    """Be the one that syncs. Raises Unavailable when somebody else is at it for too long."""
    until = time.monotonic() + patience
    while not _hold(engine, owner):
        if time.monotonic() >= until:
            raise Unavailable("Another process is at the vault. Try again in a moment.")
        time.sleep(0.1)
    try:
        yield
    finally:
        with suppress(Unavailable):
            _let_go(engine, owner)


def _hold(engine: Engine, owner: str) -> bool:
    clock = time.time()
    with reading(engine) as session:  # a look that writes nothing
        if runs.count_held(session, STEP, clock=clock) and not runs.still_held(
            session, STEP, [_ONE], owner=owner
        ):
            return False
    with writing(engine) as session:
        mine = runs.still_held(session, STEP, [_ONE], owner=owner)
        if runs.count_held(session, STEP, clock=clock) and not mine:
            return False
        runs.hold(session, STEP, [_ONE], owner=owner, clock=clock)
    return True


def _let_go(engine: Engine, owner: str) -> None:
    with writing(engine) as session:
        runs.let_go(session, STEP, [_ONE], owner=owner)


class Watch:
    """Paths of pages that changed, as the system tells; None after what may have been missed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = Lock()
        self._paths: set[str] = set()
        self._missed = True
        self._begun_at = -_RESTART_SECONDS
        self._stop = Event()
        self._thread: Thread | None = None
        self.woken = Event()

    def taken(self) -> set[str] | None:
        """What changed since this was asked; None when everything is to be looked at."""
        if self._thread is None or not self._thread.is_alive():
            self._begin()
        with self._lock:
            paths, self._paths = self._paths, set()
            missed, self._missed = self._missed, False
        self.woken.clear()
        return None if missed else paths

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _begin(self) -> None:
        now = time.monotonic()
        if self._stop.is_set() or now - self._begun_at < _RESTART_SECONDS:
            return
        if not self._root.is_dir():
            return
        self._begun_at = now
        with self._lock:
            self._missed = True
        self._thread = Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._watch(polling=False)
        except Exception as error:
            log.info("the vault is watched by looking at it: %s", error)
            with suppress(Exception):
                self._watch(polling=True)

    def _watch(self, *, polling: bool) -> None:
        from watchfiles import watch  # what it needs would slow every command's start

        folder = self._root.stat().st_ino
        for changes in watch(
            self._root,
            stop_event=self._stop,
            debounce=200,
            step=50,
            rust_timeout=1000,
            yield_on_timeout=True,
            force_polling=polling or None,
            poll_delay_ms=1000,
            watch_filter=None,
            raise_interrupt=False,
            ignore_permission_denied=True,
        ):
            self._note(path for _, path in changes)
            if not self._root.is_dir() or self._root.stat().st_ino != folder:
                return  # another folder comes to its place

    def _note(self, changed: Iterable[str]) -> None:
        found = set()
        missed = False
        for each in changed:
            with suppress(ValueError):
                path = Path(each).relative_to(self._root).as_posix()
                if path.split("/")[0].startswith("."):
                    continue
                if is_page(path):
                    found.add(path)
                elif not path.lower().endswith(".md") and "." not in path.rpartition("/")[2]:
                    missed = True  # a folder that was moved says nothing of its files
        with self._lock:
            self._paths |= found
            self._missed |= missed
        if found or missed:
            self.woken.set()


class Syncing:
    """Keeps one wiki and its vault in step for as long as it runs."""

    def __init__(self, tools: Tools, owner: str) -> None:
        self._tools = tools
        self._owner = owner
        self._sync = _sync_of(tools)
        self._watch = Watch(self._sync.vault.root)
        self._scan_at = 0.0
        self._rest_until = 0.0  # of what waits in the database and could not be done
        self._rest = LOOK_SECONDS
        self._pause = LOOK_SECONDS
        self._paths: set[str] | None = set()

    def run(self, stopping: Event, may: Callable[[], bool] = lambda: True) -> None:
        """Sync until it is `stopping`, whenever one `may`."""
        try:
            while not stopping.is_set():
                if may():
                    self._watch.woken.wait(self._turn())
                else:
                    stopping.wait(LOOK_SECONDS)
        finally:
            self._watch.stop()

    def _turn(self) -> float:
        """One look; the seconds until the next."""
        try:
            self.look()
        except Unavailable as error:
            return self._failed(str(error))
        except Exception as error:
            log.exception("the vault could not be synced")
            why = str(error) if isinstance(error, CerebroError) else type(error).__name__
            return self._failed(f"The vault could not be synced ({why}); the log says more.")
        self._pause = LOOK_SECONDS
        return LOOK_SECONDS / 2 if self._sync.unsettled else LOOK_SECONDS

    def _failed(self, why: str) -> float:
        log.warning("the vault: %s", why)
        self._scan_at = 0.0  # nobody knows what was missed
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        with suppress(Exception), writing(self._tools.engine, alone=False) as session:
            mirror.note_problem(session, "", why, now=self._tools.clock())
        return self._pause

    def look(self) -> Report | None:
        """Do what there is to do; None when there is nothing, or somebody else is at it."""
        now = time.monotonic()
        paths = self._watch.taken()
        if paths is None or now >= self._scan_at:
            self._paths = None
        elif self._paths is not None:
            self._paths |= paths
        waits = now >= self._rest_until and self._sync.waits()
        idle = self._paths is not None and not self._paths
        if idle and not waits and not self._sync.unsettled and not self._sync.restless():
            return None
        if not _hold(self._tools.engine, self._owner):
            return None
        self._sync.begin()
        try:
            self._sync.open()
            if self._paths is None:
                self._scan_at = now + SCAN_SECONDS
            with _one_act(self._tools, self._sync):
                self._sync.look(self._paths)
            self._paths = set()
            after = 0
            while after := self._sync.write(after=after, most=_WRITTEN):
                _let_go(self._tools.engine, self._owner)
                if not _hold(self._tools.engine, self._owner):
                    return self._sync.report
            self._sync.tell_decisions()
        finally:
            with suppress(Unavailable):
                _let_go(self._tools.engine, self._owner)
        if not self._sync.left():
            _record(self._tools, self._sync)
        if waits and not self._sync.report.done:
            self._rest = min(self._rest * 2, LONGEST_PAUSE / 3)
            self._rest_until = time.monotonic() + self._rest
        else:
            self._rest = LOOK_SECONDS
        return self._sync.report
