"""Eight workers at the cap: how many calls were made, and by how much the budget was overshot.

python -m bench budget [--workers 8] [--tries 25] [--database postgresql]

Workers are processes of their own on one database. Each asks again and again for calls that cost
their worst case, of which the budget has room for a part; a model that answers at once stands in for
the service. What counts is what was reserved and booked, which no call can exceed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Engine
from sqlmodel import Session

from app import calls
from app.domain import money
from app.domain.money import LLMSettings
from app.llm.base import Model, Prompt, Reply, Request
from app.store import calls as stored
from app.store import schema
from app.store.db import open_engine, reading
from bench import postgres
from bench.process import ROOT

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
MODEL = "claude-sonnet-5-5"
REQUEST = Request(MODEL, "Judge papers.", "A paper.", 1_000)


@dataclass
class Caller:
    """What `calls.ask` needs, with a model that answers at once and says not what it used."""

    engine: Engine
    daily: int

    @property
    def model(self) -> Model | None:
        answers: Any = _Answers()
        return answers  # type: ignore[no-any-return]

    @property
    def clock(self) -> Callable[[], datetime]:
        return lambda: NOW

    def today(self) -> date:
        return NOW.date()

    def llm_in_force(self, session: Session) -> LLMSettings:
        return LLMSettings(model=MODEL, daily=self.daily)


class _Answers:
    ready = ""

    def ask(self, request: Request) -> Reply:
        return Reply("text", "end_turn", MODEL)


@dataclass(frozen=True)
class Found:
    """So many calls were made of so many tries; money in millionths."""

    made: int
    tries: int
    counted: int
    budget: int
    of_one: int

    @property
    def overshoot(self) -> int:
        return max(0, self.counted - self.budget)


def measure(url: str, *, workers: int, tries: int, admitted: int) -> Found:
    """Let processes ask on the empty wiki at `url`, with a budget for `admitted` calls and a half."""
    engine = open_engine(url)
    caller = Caller(engine, money.MOST)
    with reading(engine) as session:
        of_one = calls.estimate(session, caller, [REQUEST]).worst or 0
    budget = admitted * of_one + of_one // 2
    command = [sys.executable, "-m", "bench.budget", "--work", url, str(budget), str(tries)]
    started = [
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(workers)
    ]
    for process in started:  # each says that it is ready, so that all begin at once
        assert process.stdout
        process.stdout.readline()
    said = []
    for process in started:
        assert process.stdin
        process.stdin.close()
    for process in started:
        assert process.stdout
        said.append(int(process.stdout.read()))
        process.wait()
    with reading(engine) as session:
        counted = stored.counted(session, NOW.date().isoformat(), NOW.date().isoformat())
    engine.dispose()
    return Found(sum(said), workers * tries, counted, budget, of_one)


def _work(url: str, budget: int, tries: int) -> None:
    caller = Caller(open_engine(url), budget)
    prompt = Prompt("bench", 1, "0" * 16, "", "")
    print("ready", flush=True)
    sys.stdin.read()
    made = 0
    for _ in range(tries):
        asked = calls.ask(caller, REQUEST, purpose="triage", about="", prompt=prompt)
        made += isinstance(asked.answer, Reply)
    print(made)


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench budget")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--tries", type=int, default=25)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    asked = parser.parse_args(arguments)
    admitted = asked.workers * asked.tries // 3
    with tempfile.TemporaryDirectory() as folder:
        if asked.database == "postgresql":
            with postgres.running(Path(folder)) as server:
                server.create("budget")
                _report(server.url("budget"), asked, admitted)
        else:
            _report(f"sqlite:///{Path(folder) / 'wiki.sqlite3'}", asked, admitted)


def _report(url: str, asked: argparse.Namespace, admitted: int) -> None:
    engine = open_engine(url)
    schema.upgrade(engine)
    engine.dispose()
    found = measure(url, workers=asked.workers, tries=asked.tries, admitted=admitted)
    print(
        f"{asked.workers} workers on {asked.database}: {found.made} of {found.tries} calls made, "
        f"{admitted} admitted; counted {money.dollars(found.counted)} of "
        f"{money.dollars(found.budget)}; overshoot {money.dollars(found.overshoot)}"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        _work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main(sys.argv[1:])
