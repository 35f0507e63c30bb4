"""The worker: runs pending work step by step, and serves the encoder to searches.

On PostgreSQL any number of workers share the work of a wiki; on SQLite one works and another waits
until its lease runs out. A step that fails stops this round alone: the next round tries again,
later and later. Sources are asked, what they brought is read, and the vault is kept in step, on threads
beside the other steps: a server that is slow holds up nothing else, and what is new does not wait for the
encoder.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

from app.bootstrap import App
from app.domain.records import ActKind, RunState
from app.embeddings.remote import EncoderServer
from app.errors import CerebroError
from app.fetchers import Fetchers, Heard
from app.pipeline import FETCH, STEPS, VAULT, Step, begin, take_up
from app.services import backup
from app.store import acts, runs
from app.store.db import many_may_work, reading, writing
from app.syncing import Syncing

log = logging.getLogger("cerebro.worker")

IDLE_SECONDS = 1.0
LONGEST_PAUSE = 60.0
MOST_PASSES = 10  # of one run that goes on until nothing is pending
JOIN_SECONDS = 5.0  # for what runs beside the steps, when all is to end
BACKUP_SECONDS = 60.0  # between two looks whether a backup is due; the first comes as late
REST_SECONDS = 600.0  # after a run that the reader cancelled, unless told to go on

Progress = Callable[[str, int, int], None]


class Worker:
    """Runs the steps over one wiki until told to stop.

    `progress(step, done, all)` hears how many rows of a step this worker has done, and of how many:
    those and what still waits.
    """

    def __init__(
        self,
        app: App,
        *,
        progress: Progress | None = None,
        parent: int | None = None,
        steps: Sequence[Step] = STEPS,
    ) -> None:
        self.app = app
        self._steps = tuple(steps)
        self._parent = parent  # a worker that a server started ends with it, however it ends
        self.stopping = Event()
        self.turn = Event()
        self._progress = progress or (lambda step, done, all_of_them: None)
        self._run_id: int | None = None
        self._begun = False
        self._act: acts.Doing | None = None  # what this round makes, as one
        self._holds = False  # of a round that failed; rows that it holds are not taken up again
        self._cancelled = False  # the reader asked for the end of this run
        self._rests: tuple[int, float] | None = None  # after which run, until when

    def forever(self) -> None:
        """Work until `stopping` is set; wait for one's turn first, and between rounds."""
        server: EncoderServer | None = None
        reader = Worker(self.app, steps=[step for step in self._steps if step.beside])
        reader.stopping, reader.turn, reader._begun = self.stopping, self.turn, True
        others = (FETCH, VAULT)
        self._steps = tuple(step for step in self._steps if not step.beside and step not in others)
        beside = [
            Thread(target=self._fetch_all_day, name="fetch", daemon=True),
            Thread(target=reader._all_day, args=("sources",), name="deliveries", daemon=True),
            Thread(target=self._sync_all_day, name="vault", daemon=True),
            Thread(target=self._back_up_all_day, name="backup", daemon=True),
        ]
        try:
            with runs.at_work(self.app.engine, beat=self._beat) as owner:
                for thread in beside:
                    thread.start()
                pause = IDLE_SECONDS
                while not self.stopping.is_set():
                    server = server or self._serve_encoder()
                    pause = self._turn_of(lambda: self._rested_round("worker", owner), pause)
        finally:
            self.stopping.set()
            if server is not None:
                server.stop()
            for thread in beside:
                if thread.is_alive():
                    thread.join(JOIN_SECONDS)

    def _all_day(self, trigger: str) -> None:
        """The same without an encoder to serve, for a thread beside the one that has the lease."""
        pause = IDLE_SECONDS
        with runs.at_work(self.app.engine) as owner:
            while not self.stopping.is_set():
                pause = self._turn_of(lambda: self._rested_round(trigger, owner), pause)

    def _fetch_all_day(self) -> None:
        """Fetch what is due, all day."""
        pause = IDLE_SECONDS
        with runs.at_work(self.app.engine) as owner:
            fetchers = Fetchers(self.app, owner)
            while not self.stopping.is_set():
                pause = self._turn_of(lambda: sum(fetchers.run(self._must_stop)), pause)

    def _sync_all_day(self) -> None:
        """Keep the vault and the wiki in step, all day."""
        with runs.at_work(self.app.engine) as owner:
            Syncing(self.app, owner).run(self.stopping, self.turn.is_set)

    def _back_up_all_day(self) -> None:
        """Make a backup a day; why one was not made is told on the screens, too."""
        while not self.stopping.wait(BACKUP_SECONDS):
            self._turn_of(self._backed_up, IDLE_SECONDS)

    def _backed_up(self) -> int:
        try:
            made = backup.keep_daily(
                self.app.place, now=self.app.clock(), today=self.app.today().isoformat()
            )
        except CerebroError as error:  # it is tried again in an hour
            log.error("%s", error)
            return 1
        if made is not None:
            log.info("the day's backup is %s (%.1f MB)", made.path, made.size / 1e6)
        return 1

    def _must_stop(self) -> bool:
        return self.stopping.is_set()

    def _turn_of(self, work: Callable[[], int], pause: float) -> float:
        """Do some work when it is one's turn, then wait if there was none; the next pause in seconds."""
        if not self.turn.is_set():
            self.turn.wait(IDLE_SECONDS)
            return pause
        try:
            worked = work()
            pause = IDLE_SECONDS
        except Exception as error:
            worked = 0
            pause = min(pause * 2, LONGEST_PAUSE)
            log.error("a step failed, trying again in %.0f s: %s", pause, _words(error))
        if not worked:
            self.stopping.wait(pause)
        return pause

    def _rested_round(self, trigger: str, owner: str) -> int:
        return 0 if self._is_resting() else self._round(trigger, owner)

    def once(self, trigger: str) -> int:
        """Run every step until nothing is pending; how many rows were worked on.

        What a step raises ends the run as failed and is raised.
        """
        self._steps = tuple(step for step in self._steps if step is not FETCH)
        done = 0
        with self._fetching() as fetch, runs.at_work(self.app.engine) as owner:
            if VAULT in self._steps:  # what was written outside is work for the steps
                done += take_up(self.app, owner)
            fetch.ended.wait(IDLE_SECONDS / 4)  # most times nothing is due
            while not self.stopping.is_set() and self._rests is None:
                last = fetch.ended.is_set()
                done += self._round(trigger, owner, passes=MOST_PASSES)
                if last:
                    break
                fetch.ended.wait(IDLE_SECONDS)
            if fetch.trouble is not None:
                raise fetch.trouble
            return done + fetch.done

    @contextmanager
    def _fetching(self) -> Iterator[_Fetch]:
        """Fetch what is due beside the block, and no longer than that."""
        fetch = _Fetch()

        def run() -> None:
            try:
                with runs.at_work(self.app.engine) as owner:
                    fetchers = Fetchers(self.app, owner, heard=self._hear)
                    fetch.done = sum(fetchers.run(lambda: self._must_stop() or fetch.over.is_set()))
            except Exception as error:
                fetch.trouble = error
            finally:
                fetch.ended.set()

        thread = Thread(target=run, name="fetch", daemon=True)
        thread.start()
        try:
            yield fetch
        finally:
            fetch.over.set()
            thread.join(JOIN_SECONDS)

    def _hear(self, heard: Heard) -> None:
        self._progress(f"fetching {heard.name}", heard.seen, heard.total or heard.seen)

    def _round(self, trigger: str, owner: str, *, passes: int = 1) -> int:
        """Each step until nothing of it is pending; a step that fails does not stop the others.

        What a step makes may be work for one before it (a digest is a text to encode): it is done in
        another pass, of at most `passes`. Raises what the first one raised, at the end.
        """
        words = "A run of the worker"
        with acts.doing(self.app.engine, ActKind.WORK, words, clock=self.app.clock) as act:
            self._act = act
            return self._passes(trigger, owner, passes)

    def _passes(self, trigger: str, owner: str, passes: int) -> int:
        total = 0
        failed: list[tuple[str, Exception]] = []
        if self._holds:
            self._give_back(owner)
        if not self._begun:
            begin(self.app)
            self._begun = True
        for _ in range(passes):
            worked = 0
            for step in self._steps:
                try:
                    worked += self._drain(step, trigger, owner)
                except Exception as error:
                    failed.append((step.name, error))
                    self._holds = True
                    self._give_back(owner)
                if self._cancelled:
                    break
            total += worked
            if failed or not worked or self._cancelled:
                break
        if self._cancelled:
            self._end_early(owner)
            return total
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
        self._note(step.name, 0, 0, f"{step.name}: {waiting:,} waiting", waiting=waiting)
        while not self.stopping.is_set() and not self._cancelled:
            began = time.monotonic()
            batch = step.run(self.app, owner)
            if not batch.done and not batch.failed:
                break
            seconds = time.monotonic() - began
            done += batch.done
            with reading(self.app.engine) as session:  # others work too, and more may have come
                left = step.pending(session, self.app)
            told = f"{step.name}: {batch.done:,} done"
            told += f", {batch.failed:,} failed" if batch.failed else ""
            told += f": {batch.line}" if batch.line else ""
            self._note(step.name, batch.done, batch.failed, told, waiting=left, seconds=seconds)
            self._progress(step.name, done, done + left)
        return done

    def _end_early(self, owner: str) -> None:
        """End a run that was cancelled; what it had taken up is anybody's again."""
        self._give_back(owner)
        run_id = self._run_id
        self._finish(RunState.CANCELLED, "")
        self._cancelled = False
        if run_id is not None:
            self._rests = (run_id, time.monotonic() + REST_SECONDS)

    def _is_resting(self) -> bool:
        """Whether a run was cancelled lately, and nobody said since that work is to go on."""
        if self._rests is None:
            return False
        run_id, until = self._rests
        with reading(self.app.engine) as session:
            resting = time.monotonic() < until and runs.rests(session, run_id)
        if not resting:
            self._rests = None
        return resting

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
            if self._act is not None:
                self._act.run_id = self._run_id

    def _note(
        self,
        step: str,
        done: int,
        failed: int,
        line: str,
        *,
        waiting: int | None = None,
        seconds: float = 0.0,
    ) -> None:
        assert self._run_id is not None
        at = self.app.clock().astimezone(self.app.zone)
        with writing(self.app.engine) as session:
            self._cancelled |= runs.note(
                session,
                self._run_id,
                step=step,
                done=done,
                failed=failed,
                line=f"{at:%H:%M:%S} {line}" if line else "",
                waiting=waiting,
                seconds=seconds,
            )

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


@dataclass
class _Fetch:
    """What is fetched beside the steps of one run: sources asked, and what went wrong here."""

    ended: Event = field(default_factory=Event)
    over: Event = field(default_factory=Event)  # the run ended: fetch no more
    done: int = 0
    trouble: Exception | None = None


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, CerebroError) else f"{type(error).__name__}: {error}"
