"""A day of 1,086 papers from an arXiv on loopback, by processes that are killed in the midst of it.

python -m bench replay [--kills 20] [--papers 1086] [--page 100] [--command worker|fetch] [--seed 1]
                       [--source arxiv|arxiv-rss|oai] [--database sqlite|postgresql]

The server speaks arXiv's API, or what else is asked for (tests/servers/arxiv.py); the papers are those of a real day where the
real papers lie beside this checkout, and of the days about it for the rest. `cerebro worker --once`, or
`cerebro fetch`, is started, and killed (SIGKILL) at random moments of the work: as often while it asks
as while it reads. What a killed process held is set free at once, as if the 20 seconds had passed after
which it is anybody's; that is all that is done to the wiki from outside. At last it is let finish.

Triggers note each row that is written, so that what was done twice shows though it ends as one. Printed:
papers lost, rows written twice, requests asked again, and the least time between two requests.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from app.bootstrap import CONNECTORS, build
from app.services import subscriptions
from app.settings import Settings
from app.sources.arxiv import SPACING
from app.sources.connectors import Found
from app.store.db import reading, writing
from bench import postgres
from bench.process import ROOT, SHARED, cerebro, environment, machine
from tests.servers.arxiv import ArxivServer

DAY = "2026-05-08"
NOW = f"{DAY}T20:00:00+00:00"
# Those of the listing of the day, a Friday: from 14:00 of Wednesday to 14:00 of Thursday in New York.
BEGIN, END = datetime(2026, 5, 6, 18, tzinfo=UTC), datetime(2026, 5, 7, 18, tzinfo=UTC)
PATIENCE = 600.0  # seconds that one process may take
TABLES = {
    "item": "key",
    "paper": "title_key",
    "listing_paper": "paper_id",
    "delivery": "raw_sha256",
}


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench replay")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--papers", type=int, default=1_086)
    parser.add_argument("--page", type=int, default=100)
    parser.add_argument("--command", choices=["worker", "fetch"], default="worker")
    parser.add_argument("--source", choices=["arxiv", "arxiv-rss", "oai"], default="arxiv")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    asked = parser.parse_args(arguments)
    if asked.database == "postgresql" and not postgres.available():
        print("PostgreSQL is not installed; nothing was measured.")
        return
    print(machine())
    papers, real = day_of(asked.papers)
    print(f"{len(papers):,} papers of {DAY}, {real:,} of them real ones of that day")
    with (
        tempfile.TemporaryDirectory(prefix="replay-") as folder,
        ArxivServer(papers, today=DAY, page=asked.page) as server,
        _wiki(Path(folder), server, asked) as wiki,
    ):
        killed = wiki.kill(asked.command, asked.kills, random.Random(asked.seed))
        seconds = wiki.finish(asked.command)
        print(
            f"{killed} of {asked.kills} kills in the midst of it, then {seconds:.0f} s to the end"
        )
        for line in wiki.told(papers):
            print(line)


def day_of(number: int) -> tuple[list[dict[str, Any]], int]:
    """So many papers, submitted one by one over the time of the day's listing; how many are real ones of it."""
    rows: dict[str, tuple[str, str, list[str]]] = {}
    real = 0
    for day in (DAY, "2026-05-07", "2026-05-06", "2026-05-05"):
        path = SHARED / "data" / "triage" / f"arxiv_triage_{day}.jsonl.gz"
        if path.is_file():
            with gzip.open(path, "rt", encoding="utf-8") as file:
                for row in map(json.loads, file):
                    codes = [code for code in row.get("categories") or () if "." in code]
                    rows.setdefault(row["arxiv_id"], (row["title"], row["abstract"], codes))
        if day == DAY:
            real = len(rows)
    made = (
        (f"2605.9{n:04d}", (f"Case {n} of many", f"What is said of case {n} is short.", ["cs.CL"]))
        for n in range(number)
    )
    every = [*rows.items(), *made][:number]
    step = (END - BEGIN) / (len(every) + 1)
    papers = [
        {
            "id": own,
            "title": title,
            "abstract": abstract,
            "authors": ["Ada Park", "Ben Quill"],
            "categories": ["cs.CL", *codes],
            "versions": [f"{BEGIN + step * (n + 1):%Y-%m-%dT%H:%M:%SZ}"],
            "day": DAY,
        }
        for n, (own, (title, abstract, codes)) in enumerate(every)
    ]
    return papers, min(real, number)


@dataclass
class _Wiki:
    data: Path
    engine: Engine
    server: ArxivServer
    settings: dict[str, str]
    page: int
    source: int
    starts: list[int] = field(default_factory=list)  # requests before each start

    def kill(self, command: str, times: int, chance: random.Random) -> int:
        """Start it and kill it, at moments spread over the work; how often it was in the midst of it."""
        moments = sorted(chance.random() for _ in range(times))
        done = 0
        for moment in moments:
            process = self._start(command)
            begun = self._progress()
            deadline = time.monotonic() + PATIENCE
            while process.poll() is None and time.monotonic() < deadline:
                now = self._progress()
                # Past the moment already: as soon as it does something.
                if now >= moment and now > begun:
                    break
                time.sleep(0.01)
            time.sleep(chance.random())
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                done += 1
            process.wait()
            self._free()
        return done

    def finish(self, command: str) -> float:
        begun = time.monotonic()
        process = self._start(command)
        process.wait(timeout=PATIENCE)
        return time.monotonic() - begun

    def _start(self, command: str) -> subprocess.Popen[bytes]:
        self.starts.append(len(self.server.asked))
        words = ("worker", "--once") if command == "worker" else ("fetch", str(self.source))
        return subprocess.Popen(
            cerebro(*words),
            env=environment(self.data, self.settings),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _progress(self) -> float:
        """From 0 to 1: half of it is asking, half of it reading."""
        total = max(1, len(self.server.papers))
        items = int(self._ask("SELECT count(*) FROM item")[0][0])
        asked = len(self.server.asked) * self.page
        return 0.5 * min(1.0, asked / total) + 0.5 * items / total

    def _free(self) -> None:
        """What the dead held is anybody's, as it would be after 20 seconds."""
        with writing(self.engine, alone=False) as session:
            for statement in ("UPDATE hold SET until = 0", "UPDATE lease SET until = 0"):
                session.connection().execute(sa.text(statement))

    def _ask(self, statement: str, **given: str) -> list[Any]:
        with reading(self.engine) as session:
            return list(session.connection().execute(sa.text(statement), given))

    def told(self, papers: Sequence[dict[str, Any]]) -> Iterator[str]:
        """What came of it, a line each."""
        ids = {paper["id"] for paper in papers}
        keys = {row[0] for row in self._ask("SELECT key FROM item")}
        known = {row[0] for row in self._ask("SELECT value FROM identifier WHERE scheme = 'arxiv'")}
        on_day = self._ask(
            "SELECT i.value FROM listing_paper l JOIN identifier i ON i.paper_id = l.paper_id "
            "WHERE i.scheme = 'arxiv' AND l.day = :day",
            day=DAY,
        )
        listed = {row[0] for row in on_day}
        lost = len(ids - keys), len(ids - known), len(ids - listed)
        yield f"lost: {lost[0]} items, {lost[1]} papers, {lost[2]} lines of the listing"
        states = Counter(row[0] for row in self._ask("SELECT state FROM delivery"))
        fetches = Counter(row[0] for row in self._ask("SELECT state FROM source_fetch"))
        yield f"deliveries: {dict(states)}, fetches: {dict(fetches)}"
        for table in TABLES:
            written = self._ask(
                "SELECT what, count(*) FROM bench_written WHERE name = :name GROUP BY what",
                name=table,
            )
            again = sum(number - 1 for _, number in written)
            rows = self._ask(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608
            yield f"{table}: {rows:,} rows, {again} written a second time"
        new, changed, same, rejected = self._ask(
            "SELECT sum(new), sum(changed), sum(same), sum(rejected) FROM delivery"
        )[0]
        yield (
            f"entries read: {new:,} new, {changed} changed, {same} met on two pages, {rejected} refused"
        )
        seen: set[object] = set()
        again = Counter[int]()
        for number, each in enumerate(self.server.asked):
            start = sum(1 for begun in self.starts if begun <= number)
            again[start] += (what := (each.path, tuple(sorted(each.query.items())))) in seen
            seen.add(what)
        yield (
            f"requests: {len(self.server.asked)}, {again.total()} of them asked again, "
            f"at most {max(again.values(), default=0)} by one process"
        )
        times = [each.at for each in self.server.asked]
        least = min((b - a for a, b in pairwise(times)), default=0.0)
        yield f"least time between two requests: {least:.2f} s (at least {SPACING:.0f} are asked for)"


@contextmanager
def _wiki(folder: Path, server: ArxivServer, asked: argparse.Namespace) -> Iterator[_Wiki]:
    if asked.database == "sqlite":
        yield from _made(folder, server, asked, "")
        return
    with postgres.running(folder / "postgresql") as running:
        running.create("replay")
        yield from _made(folder, server, asked, running.url("replay"))


def _made(
    folder: Path, server: ArxivServer, asked: argparse.Namespace, url: str
) -> Iterator[_Wiki]:
    host, port = server.pair
    settings = {
        "CEREBRO_NOW": NOW,
        "CEREBRO_EMBEDDING_MODEL": "none",
        "CEREBRO_FETCH_ALLOW": f"{host}:{port}",
        **({"CEREBRO_DATABASE_URL": url} if url else {}),
    }
    given: dict[str, Any] = {"database_url": url} if url else {}
    app = build(
        Settings(
            data=folder,
            now=datetime.fromisoformat(NOW),
            embedding_model="none",
            fetch_allow=f"{host}:{port}",
            **given,
        )
    )
    addresses = {"arxiv": server.api, "arxiv-rss": f"{server.root}/rss/cs.CL", "oai": server.oai}
    options = {
        "arxiv": {"categories": "cs.CL", "page": str(asked.page)},
        "oai": {"metadataPrefix": "arXivRaw"},
    }
    found = Found(
        key=f"{asked.source}:replayed",
        connector=asked.source,
        url=addresses[asked.source],
        name="arXiv on loopback",
        options=options.get(asked.source, {}),
    )
    with writing(app.engine) as session:
        _note_writes(session.connection())
        source = subscriptions.add(session, found, connectors=CONNECTORS, now=app.clock())
        number = source.id or 0
    try:
        page = len(server.papers) if asked.source == "arxiv-rss" else asked.page
        yield _Wiki(folder, app.engine, server, settings, page, number)
    finally:
        app.engine.dispose()


def _note_writes(connection: sa.Connection) -> None:
    """Triggers that note each row written, by its identity."""
    connection.execute(sa.text("CREATE TABLE bench_written (name varchar, what varchar)"))
    for table, what in TABLES.items():
        note = f"INSERT INTO bench_written VALUES ('{table}', {'NEW.' + what});"  # noqa: S608
        if connection.dialect.name == "postgresql":
            connection.execute(
                sa.text(
                    f"CREATE FUNCTION bench_note_{table}() RETURNS trigger LANGUAGE plpgsql AS "
                    f"$$ BEGIN {note} RETURN NULL; END $$"
                )
            )
            connection.execute(
                sa.text(
                    f"CREATE TRIGGER bench_{table} AFTER INSERT ON {table} FOR EACH ROW "
                    f"EXECUTE FUNCTION bench_note_{table}()"
                )
            )
        else:
            connection.execute(
                sa.text(f"CREATE TRIGGER bench_{table} AFTER INSERT ON {table} BEGIN {note} END")
            )
