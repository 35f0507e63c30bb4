"""Neighbourhoods as they are drawn, and the matrix beside networkx."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from app.domain.graph import (
    HEIGHT,
    WIDTH,
    Edge,
    Groups,
    Network,
    among,
    around,
    by_size,
    communities,
    distances,
    louvain,
    network,
    pagerank,
    spread_labels,
    strongest,
)


def edge(source: int, target: int, weight: float = 1.0, *, proposed: bool = False) -> Edge:
    return Edge(source, target, proposed, weight)


def test_accepted_neighbours_come_before_proposed_ones_and_heavy_before_light() -> None:
    edges = [
        edge(1, 2, 0.9, proposed=True),
        edge(1, 3, 0.2),
        edge(4, 1, 0.8),
        edge(1, 5, 0.8),
        edge(2, 3, 1.0),
    ]
    assert strongest(1, edges, limit=9) == [4, 5, 3, 2]
    assert strongest(1, edges, limit=2) == [4, 5]
    assert strongest(1, edges, limit=0) == []
    assert strongest(9, edges, limit=9) == []


def test_the_best_edge_of_a_pair_counts() -> None:
    edges = [edge(1, 2, 0.9, proposed=True), edge(2, 1, 0.1), edge(1, 3, 0.5, proposed=True)]
    assert strongest(1, edges, limit=9) == [2, 3]


def test_a_page_is_no_neighbour_of_itself() -> None:
    assert strongest(1, [edge(1, 1)], limit=9) == []
    assert among({1}, [edge(1, 1)]) == []


def test_one_edge_a_pair_is_drawn_the_accepted_one() -> None:
    accepted = edge(2, 1, 0.1)
    edges = [edge(1, 2, 0.9, proposed=True), accepted, edge(1, 2, 1.0), edge(1, 9)]
    assert among({1, 2}, edges) == [accepted]


@pytest.mark.parametrize("count", [0, 1, 2, 8, 9, 11, 23])
def test_places_are_within_the_drawing_and_apart(count: int) -> None:
    places = around(0, list(range(1, count + 1)))
    assert len(places) == count + 1
    for place in places.values():
        assert 0 <= place.x <= WIDTH
        assert 0 <= place.y <= HEIGHT
    for one, other in combinations(places.values(), 2):
        assert abs(one.x - other.x) + abs(one.y - other.y) > 5


# ---------------------------------------------------------------- the whole graph, as a matrix


def made(pairs: list[tuple[int, int, float]]) -> Network:
    sources, targets, weights = zip(*pairs, strict=True) if pairs else ((), (), ())
    return network(
        np.array(sources, np.int64), np.array(targets, np.int64), np.array(weights, np.float32)
    )


def test_links_of_two_pages_add_up_whichever_way_they_point() -> None:
    net = made([(70, 5, 1.0), (5, 70, 0.5), (5, 70, 0.25), (900, 5, 1.0)])
    assert net.ids.tolist() == [5, 70, 900]
    assert net.matrix.toarray().tolist() == [[0, 1.75, 1], [1.75, 0, 0], [1, 0, 0]]
    assert net.matrix.dtype == np.float32
    assert net.rows([900, 5, 6, 10_000, -3]).tolist() == [2, 0, -1, -1, -1]
    assert len(net) == 3


def test_a_network_of_nothing_is_empty() -> None:
    net = made([])
    assert len(net) == 0
    assert net.rows([1, 2]).tolist() == [-1, -1]
    assert pagerank(net.matrix).tolist() == []
    assert communities(net.matrix).tolist() == []


graphs = st.integers(1, 14).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.lists(
            st.tuples(
                st.integers(0, count - 1), st.integers(0, count - 1), st.floats(0.0625, 4, width=32)
            ).filter(lambda link: link[0] != link[1]),
            max_size=40,
        ),
        st.dictionaries(st.integers(0, count - 1), st.floats(0.125, 5, width=32), max_size=3),
    )
)


@given(graphs)
@settings(max_examples=150, deadline=None)
def test_pagerank_is_that_of_networkx(
    given_: tuple[int, list[tuple[int, int, float]], dict[int, float]],
) -> None:
    """With rows that have no link, too: networkx is the reference for what becomes of their share."""
    count, pairs, restart = given_
    matrix, peer = sparse.lil_array((count, count), dtype=np.float32), nx.Graph()
    peer.add_nodes_from(range(count))
    for source, target, weight in pairs:
        matrix[source, target] += weight
        matrix[target, source] += weight
        before = peer.get_edge_data(source, target, {"weight": 0.0})["weight"]
        peer.add_edge(source, target, weight=before + weight)
    drawn = np.zeros(count, np.float32)
    drawn[list(restart)] = list(restart.values())
    ours = pagerank(matrix.tocsr(), drawn if restart else None, tolerance=1e-7)
    exact = nx.pagerank(peer, personalization=restart or None, tol=1e-12, max_iter=1000)
    theirs = np.array([exact[row] for row in range(count)])
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert ours.sum() == pytest.approx(1, abs=1e-5)
    for one, other in combinations(range(count), 2):
        if abs(theirs[one] - theirs[other]) > 2e-6:
            assert (ours[one] > ours[other]) == (theirs[one] > theirs[other])


def test_no_damping_is_the_restart_and_more_damping_reaches_farther() -> None:
    chain = made([(0, 1, 1), (1, 2, 1), (2, 3, 1)]).matrix
    start = np.array([1, 0, 0, 0], np.float32)
    assert pagerank(chain, start, damping=0).tolist() == [1, 0, 0, 0]
    assert pagerank(chain, start, damping=0.95)[3] > pagerank(chain, start, damping=0.5)[3] > 0


@given(graphs)
@settings(max_examples=60, deadline=None)
def test_distances_are_those_of_networkx(
    given_: tuple[int, list[tuple[int, int, float]], dict[int, float]],
) -> None:
    _, pairs, _ = given_
    net, peer = made(pairs), nx.Graph()
    if not pairs:
        return
    peer.add_weighted_edges_from(pairs)
    start = pairs[0][0]
    ways = nx.single_source_shortest_path_length(peer, start, cutoff=2)
    found = distances(net.matrix, net.rows([start]).tolist(), most=2)
    assert {page: int(at) for page, at in zip(net.ids, found, strict=True) if at >= 0} == ways
    assert distances(net.matrix, [], most=3).tolist() == [-1] * len(net)


def cliques(*sizes: int) -> Network:
    """Groups that are wholly joined, each to the next by one light link; ids in a mixed order."""
    names = np.random.default_rng(4).permutation(sum(sizes)).tolist()
    pairs: list[tuple[int, int, float]] = []
    first = 0
    for size in sizes:
        members = names[first : first + size]
        pairs += [(one, other, 1.0) for one, other in combinations(members, 2)]
        if first:
            pairs.append((names[first - 1], members[0], 0.1))
        first += size
    return made(pairs)


def by_leiden(matrix: sparse.csr_array) -> Groups:
    pytest.importorskip("graspologic_native")
    return communities(matrix)


@pytest.mark.parametrize(
    "found",
    [
        by_leiden,
        lambda matrix: by_size(louvain(matrix)),
        lambda matrix: by_size(spread_labels(matrix)),
    ],
    ids=["leiden", "louvain", "labels"],
)
def test_communities_are_the_groups_that_are_joined_closely(
    found: Callable[[sparse.csr_array], Groups],
) -> None:
    matrix = cliques(6, 9, 7, 5).matrix
    groups = found(matrix)
    assert np.bincount(groups).tolist() == [9, 7, 6, 5]
    for group in range(4):
        members = np.flatnonzero(groups == group)
        inside = matrix[members][:, members]
        assert inside.nnz == len(members) * (len(members) - 1)
    assert found(matrix).tolist() == groups.tolist()


def test_without_the_package_small_graphs_go_to_louvain_and_large_to_labels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matrix = cliques(5, 4).matrix
    expected = communities(matrix).tolist()
    monkeypatch.setattr("app.domain.graph.find_spec", lambda name: None)
    assert communities(matrix).tolist() == expected
    monkeypatch.setattr("app.domain.graph.SMALL", 3)
    assert communities(matrix).tolist() == expected


def test_pages_apart_are_communities_of_their_own() -> None:
    matrix = sparse.csr_array((5, 5), dtype=np.float32)
    assert communities(matrix).tolist() == [0, 1, 2, 3, 4]
    joined = sparse.lil_array((5, 5), dtype=np.float32)
    joined[3, 4] = joined[4, 3] = 1
    assert communities(joined.tocsr()).tolist() == [1, 2, 3, 0, 0]
