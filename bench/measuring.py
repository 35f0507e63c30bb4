"""Costs of requests over one wiki: what is asked, by which clocks, and how they are told."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import Any

import numpy as np
import sqlalchemy as sa

from app.domain.records import PageKind
from app.domain.words import STOP
from app.store.db import reading
from bench import built, wiki
from bench.language import Language
from bench.process import cpu_below

REQUESTS = 15  # different ones of an operation
ROUNDS = 3  # runs of each


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds of an operation over different requests, sorted."""

    values: tuple[float, ...]

    @property
    def p50(self) -> float:
        return float(np.percentile(self.values, 50))

    @property
    def p95(self) -> float:
        return float(np.percentile(self.values, 95))


@dataclass(frozen=True)
class Measured:
    """One row of the table at one size. `floor` is None where there is none to compare with."""

    name: str
    cost: float
    floor: float | None = None
    unit: str = "ms"


def told(
    name: str, cost: Cost, least: Cost | None = None, *, more: float = 0.0
) -> Iterator[Measured]:
    """The rows p50 and p95 of an operation; `more` milliseconds are part of its floor too."""
    floor = (least.p50 + more, least.p95 + more) if least else (None, None)
    yield Measured(f"{name} p50", cost.p50, floor[0])
    yield Measured(f"{name} p95", cost.p95, floor[1])


@dataclass
class Run:
    """A wiki under measurement, and what its requests are made of."""

    wiki: built.Wiki
    chance: random.Random = field(default_factory=lambda: random.Random(3))

    # ------------------------------------------------------------ clocks

    def database(self) -> float:
        """CPU seconds of the database's own processes."""
        return cpu_below(self.wiki.server.pid) if self.wiki.server else 0.0

    def spend(self, work: Callable[[], object]) -> float:
        """CPU milliseconds of this process and of the database for one call."""
        before = self.database()
        begun = time.process_time()
        work()
        spent = time.process_time() - begun
        return 1000 * (spent + self.database() - before)

    def cost(self, work: Callable[[Any], object], requests: Sequence[Any]) -> Cost:
        """Each request several times, after once to warm up: the median of each."""
        for request in requests:
            work(request)

        def typical(request: Any) -> float:
            return median(self.spend(lambda: work(request)) for _ in range(ROUNDS))

        return Cost(tuple(typical(request) for request in requests))

    def once(self, work: Callable[[Any], object], requests: Sequence[Any]) -> Cost:
        """Each request one time, for what changes the wiki or is kept once it was computed."""
        return Cost(tuple(self.spend(lambda r=r: work(r)) for r in requests))  # type: ignore[misc]

    # ------------------------------------------------------------ requests

    @cached_property
    def language(self) -> Language:
        """Its commonest words are those of the wiki, whatever its size."""
        return Language(1_000, seed=wiki.SEED)

    @cached_property
    def titles(self) -> list[list[str]]:
        """Words of titles of papers, without those that most papers have."""
        common = {*self.language.words[:100], *STOP}
        with reading(self.wiki.engine) as session:
            rows = session.connection().execute(
                sa.text("SELECT id, title FROM page WHERE kind = 'paper' ORDER BY id")
            )
            titles = [title for _, title in rows]
        found: list[list[str]] = []
        for title in self.chance.sample(titles, min(len(titles), 20 * REQUESTS)):
            words = [
                w for w in re.findall(r"[a-z]+", title.lower()) if w not in common and len(w) > 3
            ]
            if len(words) >= 3:
                found.append(words)
        return found

    def asked(self, words: int) -> list[str]:
        """Searches of so many words that stand in one title."""
        return [" ".join(self.chance.sample(some, words)) for some in self.titles[:REQUESTS]]

    @cached_property
    def common(self) -> list[str]:
        """Searches that no page answers whole: a common word with two of other titles."""
        frequent = [w for w in self.language.words[30:200] if w not in STOP and len(w) > 3]
        return [
            f"{self.chance.choice(frequent)} {one[0]} {other[-1]}"
            for one, other in zip(self.titles[:REQUESTS], self.titles[REQUESTS:], strict=False)
        ]

    @cached_property
    def typed(self) -> list[str]:
        """What stands in the palette while somebody types: beginnings, and a word with one."""
        titles = self.titles
        return [
            *(words[0][:2] for words in titles[:5]),
            *(words[0][:4] for words in titles[5:10]),
            *(f"{words[0]} {words[1][:3]}" for words in titles[10:REQUESTS]),
        ]

    @cached_property
    def slugs(self) -> dict[str, list[str]]:
        """Addresses by kind, some of each."""
        found: dict[str, list[str]] = {}
        with reading(self.wiki.engine) as session:
            for kind in PageKind:
                rows = session.connection().execute(
                    sa.text("SELECT slug FROM page WHERE kind = :kind ORDER BY id"),
                    {"kind": kind.value},
                )
                known = list(rows.scalars())
                found[kind.value] = self.chance.sample(known, min(len(known), 60))
        return found


# ---------------------------------------------------------------- the table


def lines(table: dict[int, list[Measured]]) -> Iterator[str]:
    """One row an operation: for each size its cost, its floor and the ratio; then the growth."""
    sizes = list(table)
    yield f"{'':32}" + "".join(f"{f'{size:,} pages':>28}" for size in sizes) + f"{'growth':>8}"
    names = dict.fromkeys(each.name for size in sizes for each in table[size])
    for name in names:
        row = {size: next((m for m in table[size] if m.name == name), None) for size in sizes}
        cells = "".join(f"{_cell(row[size]):>28}" for size in sizes)
        yield f"{name:32}{cells}{_growth({s: m.cost for s, m in row.items() if m}):>8}"


def _cell(measured: Measured | None) -> str:
    if measured is None:
        return "-"
    number = f"{measured.cost:,.{0 if measured.unit == 'MB' else 2}f} {measured.unit}"
    if not measured.floor:
        return number + " " * 14
    return f"{number} {measured.floor:6.2f} {measured.cost / measured.floor:5.1f}x"


def _growth(costs: dict[int, float]) -> str:
    """The slope of log cost on log size."""
    known = {size: cost for size, cost in costs.items() if cost > 0}
    if len(known) < 2:
        return "-"
    slope = np.polyfit(np.log(list(known)), np.log(list(known.values())), 1)[0]
    return f"{slope:.2f}"
