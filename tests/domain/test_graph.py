"""Neighbourhoods as they are drawn."""

from __future__ import annotations

from itertools import combinations

import pytest

from app.domain.graph import HEIGHT, WIDTH, Edge, among, around, strongest


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
