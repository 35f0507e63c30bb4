"""Pages indexed a second by one worker and by four on one PostgreSQL, and that none is done twice.

python -m bench workers [--pages 1000] [--counts 1,4]

Workers are the program's own processes with the real encoder, one thread each. They have loaded
their model before the clock starts. Encoding is nearly all of the work, so as many workers as
there are cores is the most that helps. A trigger counts every vector that is written.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import sqlalchemy as sa

from app.store import vectors
from app.store.db import reading, writing
from bench import built, postgres, wiki
from bench.process import ROOT, cerebro, cpu_below, cpu_of, environment, machine

WIKI = 10_000
WARM = 128  # pages a worker may take at once: each gets some before the clock starts
PATIENCE = 1_800.0  # seconds

_LOG = (
    "CREATE TABLE bench_written (page_id integer NOT NULL)",
    """CREATE FUNCTION bench_note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO bench_written VALUES (NEW.page_id); RETURN NULL; END $$""",
    """CREATE TRIGGER bench_note AFTER INSERT OR UPDATE OF data ON page_vector
    FOR EACH ROW EXECUTE FUNCTION bench_note()""",
)


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench workers")
    parser.add_argument("--pages", type=int, default=1_000)
    parser.add_argument("--counts", default="1,4")
    asked = parser.parse_args(arguments)
    if not postgres.available() or wiki.vector_model() == "synthetic":
        print("PostgreSQL or the sentence encoder is not installed; nothing was measured.")
        return
    print(machine())
    alone = 0.0
    for count in (int(number) for number in asked.counts.split(",")):
        rate = _measure(count, asked.pages, alone)
        alone = alone or rate


def _measure(count: int, pages: int, alone: float) -> float:
    """Pages a second with so many workers."""
    with built.opened(WIKI, "postgresql") as found:
        assert found.server is not None
        found.server.ask(*_LOG, database=found.engine.url.database or "")
        with _workers(found, count) as workers:
            _forget(found, 1, count * WARM)
            _wait(found, workers)
            _clear(found)
            first = count * WARM + 1
            _forget(found, first, first + pages - 1)
            before = [cpu_of(worker.pid) for worker in workers], cpu_below(found.server.pid)
            begun = time.monotonic()
            _wait(found, workers)
            seconds = time.monotonic() - begun
            each = [cpu_of(w.pid) - b for w, b in zip(workers, before[0], strict=True)]
            database = cpu_below(found.server.pid) - before[1]
        written, distinct = _written(found)
        rate = pages / seconds
        print(
            f"{count} worker{'s' * (count > 1)}: {rate:.1f} pages a second ({seconds:.0f} s for {pages}"
            + (f", {rate / alone:.2f} x one worker" if alone else "")
            + f"); CPU ms a page: workers {1000 * sum(each) / pages:.1f}, "
            f"PostgreSQL {1000 * database / pages:.1f}; shares "
            + ", ".join(f"{spent / sum(each):.0%}" for spent in each)
        )
        print(
            f"  vectors written {written}, of {distinct} pages; each once: {written == distinct == pages}"
        )
        return rate


@contextmanager
def _workers(found: built.Wiki, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with ExitStack() as stack:
        started = []
        for _ in range(count):
            process = subprocess.Popen(
                cerebro("worker"),
                env=environment(found.data, {**found.settings, **one_thread}),
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get("BENCH_SAY") else subprocess.DEVNULL,
            )
            stack.callback(_end, process)
            started.append(process)
        yield started


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _forget(found: built.Wiki, first: int, last: int) -> None:
    """Take the vectors of these pages away: they wait for the encoder now."""
    with writing(found.engine) as session:
        session.connection().execute(
            sa.text("DELETE FROM page_vector WHERE page_id BETWEEN :first AND :last"),
            {"first": first, "last": last},
        )
        vectors.restore(session)


def _wait(found: built.Wiki, workers: Sequence[subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + PATIENCE
    while _pending(found):
        if time.monotonic() > until or any(worker.poll() is not None for worker in workers):
            sys.exit("The workers did not finish: one ended, or half an hour was not enough.")
        time.sleep(0.1)


def _pending(found: built.Wiki) -> int:
    with reading(found.engine) as session:
        return vectors.count_pending(session, wiki.vector_model())


def _clear(found: built.Wiki) -> None:
    with writing(found.engine) as session:
        session.connection().execute(sa.text("DELETE FROM bench_written"))


def _written(found: built.Wiki) -> tuple[int, int]:
    with reading(found.engine) as session:
        row = session.connection().execute(
            sa.text("SELECT COUNT(*), COUNT(DISTINCT page_id) FROM bench_written")
        ).one()  # fmt: skip
        return row[0], row[1]


if __name__ == "__main__":
    main(sys.argv[1:])
