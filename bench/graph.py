"""The graph at size: the matrix beside networkx, and what a request of the graph costs.

python -m bench.graph [nodes] [links] [url]     by default 100,000 and 1,000,000, in a SQLite file

All numbers are CPU seconds of this process. Both ranks start anew at the same page; networkx is
measured as it is called by default, and again down to the tolerance of ours to compare the order.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import networkx as nx
import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col

from app.domain import graph
from app.domain.records import Link, LinkStatus, Page, PageKind, Relation
from app.services import graph as asked
from app.store import links, pages
from app.store.db import open_engine, reading, settle
from app.store.graph import LinkGraph, read
from app.store.schema import upgrade
from bench.rows import Rows, filling

Result = TypeVar("Result")
START = datetime(2024, 1, 1, tzinfo=UTC)
QUOTATION = '[{"quotation": "%s", "text": "", "where": "abstract", "verbatim": true, "spans": []}]'
TOP = 20
FOCUSED = 20  # pages that the cost of a request is the median of


def fill(engine: Engine, nodes: int, count: int) -> None:
    """Pages in groups of about 200, joined within them and to a few that all link to."""
    generator = np.random.default_rng(7)
    sources = generator.integers(0, nodes, count)
    near = sources - sources % 200 + generator.integers(0, 200, count)
    famous = (generator.pareto(1.0, count) * nodes / 10_000).astype(np.int64)
    targets = np.where(generator.random(count) < 0.7, near, famous) % nodes
    kinds = [PageKind.PAPER] * 16 + [PageKind.CONCEPT] * 3 + [PageKind.THREAD]
    relations = [Relation.ABOUT, Relation.ABOUT, Relation.MENTIONS, Relation.EXTENDS]
    pairs = np.unique(np.stack([sources, targets], axis=1)[sources != targets], axis=0)
    order = generator.permutation(len(pairs))
    confidences = generator.random(len(pairs)).round(4)
    evidence = QUOTATION % ("words of a paper that speak for the link " * 6)
    with filling(engine) as target:
        pages = Rows(Page)
        for number in range(nodes):
            at = target.time(START + timedelta(minutes=number))
            pages.add(
                id=number + 1,
                slug=f"page-{number}",
                kind=kinds[number * 7 % 20].value,
                title=f"Page number {number}",
                title_key=f"page number {number}",
                author_kind="import",
                created_at=at,
                updated_at=at,
            )
        pages.flush(target)
        rows = Rows(Link)
        for number, place in enumerate(order.tolist()):
            source, end = pairs[place].tolist()
            at = target.time(START + timedelta(seconds=number * 50))
            waits = number % 20 == 0
            rows.add(
                id=number + 1,
                source_id=source + 1,
                target_id=end + 1,
                relation=relations[number % 4].value,
                status="proposed" if waits else "accepted",
                origin="linker",
                confidence=float(confidences[number]),
                evidence=evidence,
                created_at=at,
                decided_at=None if waits else at,
            )
            if number % 100_000 == 0:
                rows.flush(target)
        rows.flush(target)
    settle(engine)


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What it gives, and the CPU seconds it takes."""
    begun = time.process_time()
    result = work()
    return result, time.process_time() - begun


def median(work: Callable[[int], object], over: list[int]) -> float:
    """The median CPU milliseconds over these, each once."""
    return 1000 * float(np.median([timed(partial(work, each))[1] for each in over]))


def ranking(session: Session, network: graph.Network) -> None:
    """PageRank from one page, beside networkx."""
    rows: Any = session.connection().execute(
        sa.select(col(Link.source_id), col(Link.target_id), links.WEIGHT).where(
            col(Link.status) == LinkStatus.ACCEPTED
        )
    )
    pairs = [(source, target, weight) for source, target, weight in rows]

    def build() -> nx.Graph:
        made = nx.Graph()
        for source, target, weight in pairs:
            if made.has_edge(source, target):
                made[source][target]["weight"] += weight
            else:
                made.add_edge(source, target, weight=weight)
        return made

    peer, built = timed(build)
    print(f"{'networkx graph, from rows already read':44} {built:8.3f} s")
    focus = int(network.ids[len(network) // 2])
    restart = np.zeros(len(network), np.float32)
    restart[network.rows([focus])] = 1
    ours, cost = timed(lambda: graph.pagerank(network.matrix, restart))
    theirs, peer_cost = timed(lambda: nx.pagerank(peer, personalization={focus: 1}))
    exact = nx.pagerank(peer, personalization={focus: 1}, tol=1e-6 / len(network), max_iter=500)
    best = network.ids[np.argsort(-ours, kind="stable")[:TOP]].tolist()
    print(f"{'PageRank from a page, on the matrix':44} {cost:8.3f} s")
    print(f"{'PageRank from a page, networkx':44} {peer_cost:8.3f} s   {peer_cost / cost:.0f} x")
    for name, scores in (("by default", theirs), ("as exact as ours", exact)):
        top = sorted(scores, key=lambda each: -scores[each])[:TOP]
        order = "the same, in the same order" if best == top else (
            f"{len(set(best) & set(top))} of {TOP} the same"
        )  # fmt: skip
        print(f"{f'first {TOP}, networkx {name}':44} {order}")
    most = max(abs(exact[each] - float(ours[row])) for row, each in enumerate(network.ids.tolist()))
    print(f"{'largest difference of a score':44} {most:8.1e}")


def requests(session: Session, kept: LinkGraph) -> None:
    """What a request of the graph costs once the matrix stands; ranks are new for each page."""
    generator = np.random.default_rng(3)
    drawn = generator.choice(kept.standing(session).network.ids, 4 * FOCUSED, replace=False)
    first, second, third, fourth = (part.tolist() for part in np.split(drawn, 4))
    everything = asked.Filters()

    def page(page_id: int) -> Page:
        found = session.get(Page, page_id)
        assert found is not None
        return found

    for depth, some in ((2, first), (3, second)):

        def around(page_id: int, depth: int = depth) -> object:
            return asked.around(session, kept, page(page_id), everything, depth=depth)

        spent = median(around, some)
        print(f"{f'around a page, {depth} links deep':44} {spent:8.2f} ms")
    again = median(lambda each: asked.around(session, kept, page(each), everything), second[-5:])
    print(f"{'around a page asked for lately':44} {again:8.2f} ms")
    spent = median(lambda each: asked.related(session, kept, page(each)), third)
    print(f"{'related to a page':44} {spent:8.2f} ms")
    _, spent = timed(lambda: asked.whole(session, kept, everything))
    print(f"{'the whole, the first time':44} {1000 * spent:8.2f} ms")
    _, spent = timed(lambda: asked.whole(session, kept, everything))
    print(f"{'the whole, again':44} {1000 * spent:8.2f} ms")
    spent = median(lambda each: links.edges_around(session, [each], limit=100), fourth)
    print(f"{'links at a page, from SQL':44} {spent:8.2f} ms")
    famous = int(kept.standing(session).network.ids[0])
    spent = median(lambda _: links.edges_around(session, [famous], limit=100), [0] * 5)
    print(f"{'links at the page with most, from SQL':44} {spent:8.2f} ms")
    most, spent = timed(lambda: sum(len(part) for part in asked.graphml(session, kept)))
    print(f"{'GraphML, written':44} {spent:8.2f} s    {most / 1e6:.0f} MB")


def main(nodes: int = 100_000, count: int = 1_000_000, url: str = "") -> None:
    """Print a table; in a file of its own nothing is kept."""
    with TemporaryDirectory() as folder:
        engine = open_engine(url or f"sqlite:///{Path(folder) / 'wiki.sqlite3'}")
        upgrade(engine)
        with reading(engine) as session:
            empty = pages.count(session) == 0
        if empty:
            fill(engine, nodes, count)
        kept = LinkGraph()
        with reading(engine) as session:
            network, cost = timed(lambda: read(session))
            matrix = network.matrix
            size = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
            print(f"{len(network)} pages, {matrix.nnz // 2} pairs of them linked; CPU")
            print(f"{'matrix, from the database':44} {cost:8.3f} s    {size / 1e6:.0f} MB")
            ranking(session, network)
            groups, cost = timed(lambda: graph.communities(matrix))
            how = "Leiden" if find_spec("graspologic_native") else "labels"
            found = f"{groups.max() + 1} of them"
            print(f"{f'communities, {how}':44} {cost:8.3f} s    {found}")
            _, cost = timed(lambda: graph.spread_labels(matrix))
            print(f"{'communities, label propagation':44} {cost:8.3f} s")
            kept.standing(session)
            requests(session, kept)
        engine.dispose()


if __name__ == "__main__":
    nodes, count, url, *_ = [*sys.argv[1:], *("100000", "1000000", "")[len(sys.argv) - 1 :]]
    main(int(nodes), int(count), url)
