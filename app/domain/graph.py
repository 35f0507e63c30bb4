"""The graph as it is drawn and walked: small neighbourhoods of pages and links. No database here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import cos, pi, sin

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
