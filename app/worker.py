"""The worker: runs pending work step by step, and serves the encoder to searches.

One worker holds the lease on a wiki; another waits until it runs out. A step that fails stops this
round alone: the next round tries again, later and later.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from threading import Event, Thread
from uuid import uuid4

from app.bootstrap import App
from app.domain.records import RunState
from app.embeddings.remote import EncoderServer
from app.errors import CerebroError
from app.pipeline import STEPS, Step
from app.store import runs
from app.store.db import reading, writing

log = logging.getLogger("cerebro.worker")

LEASE_SECONDS = 20.0
IDLE_SECONDS = 1.0
LONGEST_PAUSE = 60.0

Progress = Callable[[str, int, int], None]


class Worker:
    """Runs the steps over one wiki until told to stop. `progress(step, done, waiting)` hears of it."""

    def __init__(
        self, app: App, *, progress: Progress | None = None, parent: int | None = None
    ) -> None:
        self.app = app
        self._parent = parent  # a worker that a server started ends with it, however it ends
        self.owner = f"{os.getpid()}-{uuid4().hex[:8]}"
        self.stopping = Event()
        self.leased = Event()
        self._progress = progress or (lambda step, done, waiting: None)
        self._run_id: int | None = None

    def forever(self) -> None:
        """Work until `stopping` is set; wait for the lease first, and between rounds."""
        server = self._serve_encoder()
        beat = Thread(target=self._hold_lease, name="lease", daemon=True)
        beat.start()
        pause = IDLE_SECONDS
        try:
            while not self.stopping.is_set():
                if not self.leased.is_set():
                    self.leased.wait(IDLE_SECONDS)
                    continue
                try:
                    worked = self.once("worker")
                    pause = IDLE_SECONDS
                except Exception as error:
                    worked = 0
                    pause = min(pause * 2, LONGEST_PAUSE)
                    log.error("a step failed, trying again in %.0f s: %s", pause, _words(error))
                if not worked:
                    self.stopping.wait(pause)
        finally:
            self.stopping.set()
            with writing(self.app.engine) as session:
                runs.release(session, "worker", self.owner)
            if server is not None:
                server.stop()

    def once(self, trigger: str) -> int:
        """Run every step until nothing is pending; how many rows were worked on.

        What a step raises ends the run as failed and is raised.
        """
        total = 0
        try:
            for step in STEPS:
                total += self._drain(step, trigger)
        except Exception as error:
            self._finish(RunState.FAILED, _words(error))
            raise
        self._finish(RunState.DONE, "")
        return total

    def _drain(self, step: Step, trigger: str) -> int:
        with reading(self.app.engine) as session:
            waiting = step.pending(session, self.app)
        if not waiting:
            return 0
        self._start(trigger)
        done = 0
        self._progress(step.name, 0, waiting)
        while not self.stopping.is_set():
            batch = step.run(self.app)
            if not batch.done and not batch.failed:
                break
            done += batch.done
            self._note(step.name, batch.done, batch.failed, "")
            self._progress(step.name, done, max(waiting, done))
        return done

    # ------------------------------------------------------------ the run, for the Jobs page

    def _start(self, trigger: str) -> None:
        if self._run_id is None:
            with writing(self.app.engine) as session:
                self._run_id = runs.start(session, trigger, now=self.app.clock()).id

    def _note(self, step: str, done: int, failed: int, line: str) -> None:
        assert self._run_id is not None
        with writing(self.app.engine) as session:
            runs.note(session, self._run_id, step=step, done=done, failed=failed, line=line)

    def _finish(self, state: RunState, line: str) -> None:
        if self._run_id is None:
            return
        if line:
            self._note("failed", 0, 1, line)
        with writing(self.app.engine) as session:
            runs.finish(session, self._run_id, state, now=self.app.clock())
        self._run_id = None

    # ------------------------------------------------------------ lease and encoder

    def _hold_lease(self) -> None:
        """Take the lease as soon as it is free, and renew it while a long batch runs."""
        while not self.stopping.is_set():
            if self._parent is not None and os.getppid() != self._parent:
                self.stopping.set()
                return
            try:
                self._claim()
            except Exception as error:
                log.warning("the lease was not renewed: %s", _words(error))
            self.stopping.wait(LEASE_SECONDS / 3)

    def _claim(self) -> None:
        with writing(self.app.engine) as session:
            mine = runs.claim(
                session, "worker", self.owner, clock=time.time(), seconds=LEASE_SECONDS
            )
            if mine and not self.leased.is_set():
                runs.abandon_others(session, now=self.app.clock())
        if mine:
            self.leased.set()
        else:
            self.leased.clear()

    def _serve_encoder(self) -> EncoderServer | None:
        if self.app.encoder is None:
            return None
        server = EncoderServer(self.app.encoder, self.app.settings.data, self.app.settings.encoder)
        try:
            server.start()
        except CerebroError as error:
            log.warning("searches by meaning are not served: %s", error)
            return None
        return server


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, CerebroError) else f"{type(error).__name__}: {error}"
