"""Eight writers count on one page over HTTP, beside an import and a backup: is any count lost?

python -m bench writers [--writers 8] [--turns 25] [--papers 2000] [--pages 2000] [--database sqlite|postgresql]

Each reads the page, adds one to its number, and saves it from the version it read; told that somebody
was quicker (409), it reads again. Meanwhile `cerebro import` reads a file of papers, and `cerebro
backup` makes a backup, again and again until the writers are done; the worker works too. Printed: the number
on the page beside how many saves were acknowledged, every status, conflicts without both texts, seconds
of an edit and CPU seconds of the server, and which transactions kept others waiting for 200 ms or more.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import built, postgres
from bench.client import Client
from bench.process import ROOT, WITHOUT_MODEL, cerebro, cpu_below, environment, machine, serving

PAGE = "tally"
P99_SECONDS = 1.0
_LONG = re.compile(r"a transaction of (\d+) ms wrote into (.*)")


@dataclass
class Found:
    """What came of it; `seconds` of each save that was acknowledged."""

    acknowledged: int = 0
    counted: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)  # what else was answered
    without_both: int = 0  # conflicts whose answer lacks one of the two texts
    seconds: list[float] = field(default_factory=list)
    cpu: float = 0.0
    backups: int = 0
    beside: list[str] = field(default_factory=list)  # what of import and backup failed
    long: list[tuple[int, str]] = field(default_factory=list)  # ms, tables

    @property
    def lost(self) -> int:
        return self.acknowledged - self.counted

    @property
    def failures(self) -> int:
        """Answers of 500 and above."""
        return sum(number for status, number in self.statuses.items() if status >= 500)

    def lines(self) -> Iterator[str]:
        """What was found, for reading."""
        yield f"{self.acknowledged} saves acknowledged, the page says {self.counted}: {self.lost} lost"
        yield f"answers to saves: {dict(sorted(self.statuses.items()))}, {self.failures} of 5xx"
        yield from (f"    {number} times {said}" for said, number in self.refused.items())
        yield f"conflicts that lack one of the texts: {self.without_both}"
        cut = statistics.quantiles(self.seconds, n=100)
        yield (
            f"seconds of a save: median {cut[49]:.3f}, p90 {cut[89]:.3f}, p99 {cut[98]:.3f}, "
            f"most {max(self.seconds):.3f} (p99 at most {P99_SECONDS:.0f} s)"
        )
        yield f"CPU seconds of server and worker: {self.cpu:.1f}; backups made: {self.backups}"
        yield from self.beside
        yield f"transactions of 200 ms or more: {len(self.long)}"
        for ms, tables in sorted(self.long, reverse=True)[:8]:
            yield f"    {ms} ms: {tables}"


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench writers")
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--turns", type=int, default=25)
    parser.add_argument("--papers", type=int, default=2_000)
    parser.add_argument("--pages", type=int, default=2_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    asked = parser.parse_args(arguments)
    if asked.database == "postgresql" and not postgres.available():
        print("PostgreSQL is not installed; nothing was measured.")
        return
    print(machine())
    with built.opened(asked.pages, asked.database) as wiki:
        found = measure(wiki, writers=asked.writers, turns=asked.turns, papers=asked.papers)
    for line in found.lines():
        print(line)
    if found.lost or found.failures or found.without_both:
        sys.exit(1)


def measure(wiki: built.Wiki, *, writers: int, turns: int, papers: int) -> Found:
    """Let so many writers count so often each, beside an import of so many papers and backups."""
    found, lock = Found(), threading.Lock()
    settings = {**wiki.settings, **WITHOUT_MODEL, "CEREBRO_LOG": "info"}
    log = wiki.data / "serve.log"
    with log.open("wb") as said, serving(wiki.data, settings, said) as (process, port):
        assert Client(port).put_page(PAGE, {"title": "Tally", "body": "0 so far.\n"}).ok
        with _beside(wiki, settings, papers, found):
            before = cpu_below(process.pid)
            threads = [
                threading.Thread(target=_count, args=(Client(port), turns, found, lock))
                for _ in range(writers)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            found.cpu = cpu_below(process.pid) - before
        found.counted = int(Client(port).get(f"/w/{PAGE}.md").text.split()[0])
    found.long += [
        (int(ms), tables) for ms, tables in _LONG.findall(log.read_text(errors="replace"))
    ]
    return found


def _count(client: Client, turns: int, found: Found, lock: threading.Lock) -> None:
    """Add one so many times; a save that was refused is tried again from what stands there then."""
    done = 0
    while done < turns:
        stands = client.get(f"/api/v1/pages/{PAGE}")
        number = int(stands.json()["body"].split()[0])
        begun = time.monotonic()
        answer = client.put_page(PAGE, {"body": f"{number + 1} so far.\n"}, base=stands.etag)
        took = time.monotonic() - begun
        with lock:
            found.statuses[answer.status] += 1
            if answer.ok:
                found.acknowledged += 1
                found.seconds.append(took)
            elif answer.status == 409:
                told = answer.json()
                found.without_both += not (told.get("mine") and told.get("theirs"))
            else:
                found.refused[answer.text[:200]] += 1
        done += answer.ok


@contextmanager
def _beside(
    wiki: built.Wiki, settings: dict[str, str], papers: int, found: Found
) -> Iterator[None]:
    """An import of so many papers, and backups, until the block and the import are over."""
    file = wiki.data / "papers.jsonl"
    file.write_text("\n".join(map(json.dumps, _papers(papers))))
    over = threading.Event()

    def run(*words: str) -> None:
        done = subprocess.run(
            cerebro(*words),
            env=environment(wiki.data, settings),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        long = _LONG.findall(done.stderr)
        found.long += [(int(ms), f"{words[0]}: {tables}") for ms, tables in long]
        if done.returncode:
            said = done.stderr.strip().splitlines()
            found.beside.append(f"{words[0]} ended with {done.returncode}: {said[-1:]}")
        elif words[0] == "backup":
            found.backups += 1

    def back_up() -> None:
        folder = Path(wiki.data.parent) / f"{wiki.data.name}-backups"
        folder.mkdir()
        try:
            number = 0
            while not over.is_set():
                number += 1
                run("backup", str(folder / f"{number}.zip"))
        finally:
            shutil.rmtree(folder)

    threads = [threading.Thread(target=run, args=("import", str(file)))] if papers else []
    threads.append(threading.Thread(target=back_up))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _papers(number: int) -> Iterator[dict[str, str]]:
    for n in range(number):
        yield {
            "type": "paper",
            "id": f"arxiv:2609.{n:05d}",
            "title": f"Case {n} of many",
            "abstract": f"What is said of case {n} is short, and said again. " * 8,
        }


if __name__ == "__main__":
    main(sys.argv[1:])
