"""The worker: runs pending work step by step, and serves the encoder to searches.

On PostgreSQL any number of workers share the work of a wiki; on SQLite one works and another waits
until its lease runs out. A step that fails stops this round alone: the next round tries again,
later and later.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from threading import Event

from app.bootstrap import App
from app.domain.records import RunState
from app.embeddings.remote import EncoderServer
from app.errors import CerebroError
from app.pipeline import STEPS, Step, begin
from app.store import runs
from app.store.db import many_may_work, reading, writing

log = logging.getLogger("cerebro.worker")

IDLE_SECONDS = 1.0
LONGEST_PAUSE = 60.0
MOST_PASSES = 10  # of one run that goes on until nothing is pending

Progress = Callable[[str, int, int], None]


class Worker:
    """Runs the steps over one wiki until told to stop.

    `progress(step, done, all)` hears how many rows of a step this worker has done, and of how many:
    those and what still waits.
    """

    def __init__(
        self, app: App, *, progress: Progress | None = None, parent: int | None = None
    ) -> None:
        self.app = app
        self._parent = parent  # a worker that a server started ends with it, however it ends
        self.stopping = Event()
        self.turn = Event()
        self._progress = progress or (lambda step, done, all_of_them: None)
        self._run_id: int | None = None
        self._begun = False
        self._holds = False  # of a round that failed; rows that it holds are not taken up again

    def forever(self) -> None:
        """Work until `stopping` is set; wait for one's turn first, and between rounds."""
        pause = IDLE_SECONDS
        server: EncoderServer | None = None
        try:
            with runs.at_work(self.app.engine, beat=self._beat) as owner:
                while not self.stopping.is_set():
                    server = server or self._serve_encoder()
                    if not self.turn.is_set():
                        self.turn.wait(IDLE_SECONDS)
                        continue
                    try:
                        worked = self._round("worker", owner)
                        pause = IDLE_SECONDS
                    except Exception as error:
                        worked = 0
                        pause = min(pause * 2, LONGEST_PAUSE)
                        log.error("a step failed, trying again in %.0f s: %s", pause, _words(error))
                    if not worked:
                        self.stopping.wait(pause)
        finally:
            self.stopping.set()
            if server is not None:
                server.stop()

    def once(self, trigger: str) -> int:
        """Run every step until nothing is pending; how many rows were worked on.

        What a step raises ends the run as failed and is raised.
        """
        with runs.at_work(self.app.engine) as owner:
            return self._round(trigger, owner, passes=MOST_PASSES)

    def _round(self, trigger: str, owner: str, *, passes: int = 1) -> int:
        """Each step until nothing of it is pending; a step that fails does not stop the others.

        What a step makes may be work for one before it (a digest is a text to encode): it is done in
        another pass, of at most `passes`. Raises what the first one raised, at the end.
        """
        total = 0
        failed: list[tuple[str, Exception]] = []
        if self._holds:
            self._give_back(owner)
        if not self._begun:
            begin(self.app)
            self._begun = True
        for _ in range(passes):
            worked = 0
            for step in STEPS:
                try:
                    worked += self._drain(step, trigger, owner)
                except Exception as error:
                    failed.append((step.name, error))
                    self._holds = True
                    self._give_back(owner)
            total += worked
            if failed or not worked:
                break
        if not failed:
            self._finish(RunState.DONE, "")
            return total
        self._finish(RunState.FAILED, "; ".join(f"{name}: {_words(e)}" for name, e in failed))
        raise failed[0][1]

    def _give_back(self, owner: str) -> None:
        with writing(self.app.engine, alone=False) as session:
            runs.give_back(session, owner)
        self._holds = False

    def _drain(self, step: Step, trigger: str, owner: str) -> int:
        with reading(self.app.engine) as session:
            waiting = step.pending(session, self.app)
            free = waiting and waiting - runs.count_held(session, step.name, clock=time.time())
            if free <= 0 or not step.ready(session, self.app):
                return 0
        self._start(trigger, owner)
        done = 0
        self._progress(step.name, 0, waiting)
        while not self.stopping.is_set():
            batch = step.run(self.app, owner)
            if not batch.done and not batch.failed:
                break
            done += batch.done
            self._note(step.name, batch.done, batch.failed, "")
            with reading(self.app.engine) as session:  # others work too, and more may have come
                self._progress(step.name, done, done + step.pending(session, self.app))
        return done

    def _beat(self, owner: str) -> None:
        """At each renewal of the lease: whose turn it is, and who is no more."""
        if self._parent is not None and os.getppid() != self._parent:
            self.stopping.set()
            return
        clock = time.time()
        with writing(self.app.engine, alone=False) as session:
            mine = many_may_work(self.app.engine) or runs.is_alone(session, owner, clock=clock)
            if mine:
                runs.abandon(session, clock=clock, now=self.app.clock())
        if mine:
            self.turn.set()
        else:
            self.turn.clear()

    # ------------------------------------------------------------ the run, for the Jobs page

    def _start(self, trigger: str, owner: str) -> None:
        if self._run_id is None:
            with writing(self.app.engine) as session:
                run = runs.start(session, trigger, owner=owner, now=self.app.clock())
                self._run_id = run.id

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

    # ------------------------------------------------------------ the encoder

    def _serve_encoder(self) -> EncoderServer | None:
        """Answer searches from here, unless another worker of this folder does already."""
        app = self.app
        if app.encoder is None:
            return None
        server = EncoderServer(
            app.encoder, app.settings.data, app.settings.encoder, others=app.encoder_of
        )
        try:
            server.start()
        except CerebroError as error:
            log.debug("searches by meaning are not served from here: %s", error)
            return None
        return server


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, CerebroError) else f"{type(error).__name__}: {error}"
