"""The graph as it is drawn and walked: small neighbourhoods to look at, and the whole as a matrix.

No database here. Ranks and communities are computed on a sparse matrix; networkx is used where a
graph is small, and is what the tests compare with.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from app.domain.records import Relation

WIDTH, HEIGHT = 262, 208
DRAWN = 8  # neighbours beyond which labels cover one another in a drawing of this size


@dataclass(frozen=True)
class Edge:
    source: int
    target: int
    proposed: bool
    weight: float


@dataclass(frozen=True)
class Place:
    """Where a node stands in a drawing, in its own units, from the top left."""

    x: float
    y: float


def strongest(focus: int, edges: Sequence[Edge], *, limit: int) -> list[int]:
    """The neighbours of `focus` worth drawing: accepted before proposed, heavier before lighter."""
    best: dict[int, tuple[bool, float]] = {}
    for edge in edges:
        if focus not in (edge.source, edge.target):
            continue
        other = edge.target if edge.source == focus else edge.source
        if other == focus:
            continue
        rank = (not edge.proposed, edge.weight)
        best[other] = max(best.get(other, rank), rank)
    return sorted(best, key=lambda node: (*(-value for value in best[node]), node))[:limit]


def among(nodes: Collection[int], edges: Sequence[Edge]) -> list[Edge]:
    """Edges with both ends among the nodes, one a pair; an accepted one hides a proposed one."""
    kept: dict[tuple[int, int], Edge] = {}
    for edge in edges:
        if edge.source in nodes and edge.target in nodes and edge.source != edge.target:
            pair = (min(edge.source, edge.target), max(edge.source, edge.target))
            if pair not in kept or (kept[pair].proposed and not edge.proposed):
                kept[pair] = edge
    return list(kept.values())


def around(focus: int, neighbours: Sequence[int]) -> dict[int, Place]:
    """Places for a focus and its neighbours: it in the middle, they on an ellipse around it."""
    places = {focus: Place(WIDTH / 2, HEIGHT / 2 - 4)}
    count = len(neighbours)
    for number, node in enumerate(neighbours):
        angle = -pi / 2 + 2 * pi * number / max(count, 1)
        places[node] = Place(
            WIDTH / 2 + cos(angle) * (WIDTH / 2 - 34),
            HEIGHT / 2 - 4 + sin(angle) * (HEIGHT / 2 - 26),
        )
    return places


# ---------------------------------------------------------------- the whole graph, as a matrix

# What a link says of two pages' nearness, by its relation: a bare mention says least.
STRENGTH = {Relation.MENTIONS: 0.5}
USUAL_STRENGTH = 1.0
SMALL = 20_000  # links up to which networkx finds communities in about a second

Array = NDArray[np.float32]
Ids = NDArray[np.int64]
Groups = NDArray[np.int32]


@dataclass(frozen=True)
class Network:
    """Pages joined by links, whichever way these point. Never changed.

    `ids` are the n page ids that have a link, ascending; `matrix` is (n, n), symmetric, float32,
    with nothing on its diagonal: the weights of all links between two pages added up.
    """

    ids: Ids
    matrix: sparse.csr_array

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, page_ids: Ids | Sequence[int]) -> Ids:
        """The row of each page, -1 for one without links."""
        wanted = np.asarray(page_ids, np.int64)
        if not len(self.ids):
            return np.full(len(wanted), -1, np.int64)
        places = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        return np.where(self.ids[places] == wanted, places, -1)


def network(source_ids: Ids, target_ids: Ids, weights: Array) -> Network:
    """The network of these links; the three arrays are of one length, weights above zero."""
    ids, ends = np.unique(np.concatenate([source_ids, target_ids]), return_inverse=True)
    sources, targets = np.split(ends.astype(np.int32), 2)
    apart = sources != targets
    half = sparse.csr_array(
        (weights[apart].astype(np.float32), (sources[apart], targets[apart])),
        shape=(len(ids), len(ids)),
    )
    return Network(ids, (half + half.T).tocsr())


def pagerank(
    matrix: sparse.csr_array,
    restart: Array | None = None,
    *,
    damping: float = 0.85,
    tolerance: float = 1e-6,
) -> Array:
    """How likely a reader who follows links at random is to be on each page, (n,), summing to 1.

    `matrix` is (n, n), symmetric, of weights; a link is followed in proportion to its weight. With
    1 - `damping` the reader starts anew, as from a page without links: at a page drawn by
    `restart`, (n,), not negative and not all zero, or anywhere. Personalised PageRank is that with
    a restart at one page or a few. Power iteration in single precision, until the scores change by
    less than `tolerance` in all (the sum of the absolute changes).
    """
    count = matrix.shape[0]
    if not count:
        return np.zeros(0, np.float32)
    start = np.ones(count, np.float32) if restart is None else restart.astype(np.float32)
    start = start / start.sum()
    strength = matrix.sum(axis=1)
    share = np.divide(np.float32(damping), strength, out=np.zeros_like(start), where=strength > 0)
    scores: Array = start
    for _ in range(_MOST_STEPS):
        moved = matrix @ (scores * share)
        moved += (1 - moved.sum()) * start  # what the damping took, and the pages without links
        change = np.abs(moved - scores).sum()
        scores = moved
        if change < tolerance:
            break
    return scores


_MOST_STEPS = 200  # 0.85 ** 100 is below 1e-7: only a larger damping comes near


def distances(matrix: sparse.csr_array, starts: Sequence[int], *, most: int) -> NDArray[np.int8]:
    """Links on the shortest way from any of `starts` to each row, (n,); -1 beyond `most`."""
    found = np.full(matrix.shape[0], -1, np.int8)
    ring = np.asarray(starts, np.int64)
    found[ring] = 0
    for distance in range(1, most + 1):
        reached = np.zeros(len(found), np.bool_)
        reached[matrix[ring].indices] = True
        ring = np.flatnonzero(reached & (found < 0))
        if not len(ring):
            break
        found[ring] = distance
    return found


def communities(matrix: sparse.csr_array, *, seed: int = 1) -> Groups:
    """The group of pages, closely joined among themselves, that each row belongs to, (n,).

    Groups are numbered from 0, the largest first and of equal ones that with the lowest row. The
    same matrix and seed give the same groups. Found by the Leiden algorithm where graspologic-native
    is installed, else by Louvain in networkx up to 20,000 links, else by label propagation, which
    is coarser.
    """
    if not matrix.nnz:
        return np.arange(matrix.shape[0], dtype=np.int32)
    if find_spec("graspologic_native") is not None:
        groups = _leiden(matrix, seed)
    elif matrix.nnz // 2 <= SMALL:
        groups = louvain(matrix, seed=seed)
    else:
        groups = spread_labels(matrix, seed=seed)
    return by_size(groups)


def _leiden(matrix: sparse.csr_array, seed: int) -> Ids:
    from graspologic_native import leiden_csr

    ordered = matrix.sorted_indices()
    _, groups = leiden_csr(
        ordered.indptr.astype(np.int64),
        ordered.indices.astype(np.int32),
        ordered.data.astype(np.float64),
        ordered.shape[0],
        seed=seed,
    )
    # A row without links is in no group: it is one of its own.
    alone: Ids = np.arange(ordered.shape[0], dtype=np.int64) + ordered.shape[0]
    for row, group in groups.items():
        alone[row] = group
    return alone


def louvain(matrix: sparse.csr_array, *, seed: int = 1) -> Ids:
    """Groups by the Louvain method, (n,); for small networks: it takes seconds at 20,000 links."""
    import networkx as nx

    graph = nx.from_scipy_sparse_array(matrix)
    groups = np.zeros(matrix.shape[0], np.int64)
    for number, members in enumerate(nx.community.louvain_communities(graph, seed=seed)):
        groups[list(members)] = number
    return groups


def spread_labels(matrix: sparse.csr_array, *, seed: int = 1, most: int = 30) -> Ids:
    """Groups by label propagation, (n,): each row takes the label its neighbours weigh most for.

    A random half of the rows moves at a time, because two that both move may swap for ever. Ends
    when fewer than one in a thousand moves, or after `most` rounds.
    """
    count = matrix.shape[0]
    generator = np.random.default_rng(seed)
    labels = np.arange(count)
    for _ in range(most):
        moved = 0
        half = generator.random(count) < 0.5
        for turn in (half, ~half):
            rows = np.flatnonzero(turn)
            holds = sparse.csr_array((np.ones(count, np.float32), (np.arange(count), labels)))
            votes = (matrix[rows] @ holds).tocoo()
            # The last of a row is its heaviest label; of equal ones the label it has, then the least.
            own = votes.col == labels[rows][votes.row]
            order = np.lexsort((-votes.col, own, votes.data, votes.row))
            row, label = votes.row[order], votes.col[order]
            last = np.append(row[1:] != row[:-1], True) if len(row) else np.zeros(0, bool)
            before = labels[rows[row[last]]]
            labels[rows[row[last]]] = label[last]
            moved += int((before != label[last]).sum())
        if moved * 1000 <= count:
            break
    return labels


def by_size(groups: Ids) -> Groups:
    """The same groups, numbered from the largest; of equal ones that with the lowest row first."""
    _, first, inverse, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -sizes))
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    return number[inverse]
