"""The graph as it is asked for: around a page, the whole by rank, what is related, and as GraphML.

Ranks and communities come from the matrix of accepted links (store/graph.py), titles and edges from
the database. Proposals are shown and never ranked by; only a page's own say where to look as well,
so that a page that is new has a neighbourhood too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from itertools import zip_longest
from typing import Any, NamedTuple
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from sqlmodel import Session

from app.domain.asof import as_of, end_of, midnight
from app.domain.graph import Array, Ids, distances
from app.domain.records import KINDS, LinkStatus, Page, PageKind
from app.errors import Invalid
from app.store import graph as stored
from app.store import links
from app.store.graph import ALWAYS, LinkGraph, Span, Standing
from app.store.past import Past, edges

MOST_NODES = 300
MOST_RELATED = 50
PROPOSED = 0.25  # of a restart at the page itself, at a page that a sure proposal joins to it
_UNDECIDED = 200  # proposals of one page that are looked at
_MOST_ANSWERED = 10_000
_ANSWERED = (LinkStatus.PROPOSED, LinkStatus.DEFERRED, LinkStatus.REJECTED)


@dataclass(frozen=True)
class Node:
    """A page of an answer. `community` and a score above 0 need an accepted link.

    `score` is its PageRank: from the focus if there is one, in the whole wiki otherwise. `distance`
    is in links from the focus; None without one.
    """

    slug: str
    title: str
    kind: PageKind
    community: int | None
    score: float
    distance: int | None = None


class Edge(NamedTuple):
    """A link of an answer, by slugs. `weight` is what ranks count it for, accepted or not."""

    source: str
    target: str
    relation: str
    status: str
    weight: float


@dataclass(frozen=True)
class Picture:
    """Nodes, the highest rank first, a focus before all; `left_out` are those there is no room for."""

    focus: str | None
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    left_out: int


@dataclass(frozen=True)
class Filters:
    """Pages of this kind, of this thread (its slug), joined by links of this span of time."""

    kind: PageKind | None = None
    thread: str = ""
    span: Span = ALWAYS


def filters(
    *,
    kind: str = "",
    thread: str = "",
    since: str = "",
    asof: str = "",
    today: date,
    zone: tzinfo | None,
) -> Filters:
    """Read filters as typed; `since` and `asof` are days of `zone` (None: the system's), both included, "" for any.

    Raises Invalid for a kind or a day that is none, and for an `asof` later than `today`.
    """
    wanted = {each.value: each for each in KINDS}.get(kind.strip().lower())
    if kind.strip() and wanted is None:
        raise Invalid(f"{kind[:40]!r} is no kind of page. Use {', '.join(KINDS)}.")
    first = _day(since)
    last = as_of(asof, today) if asof.strip() else None
    if first and last and first > last:
        raise Invalid("since is later than asof: no link can be of both.")
    return Filters(
        wanted,
        thread.strip(),
        Span(
            since=midnight(first, zone) if first else None,
            before=end_of(last, zone) if last else None,
        ),
    )


def _day(text: str) -> date | None:
    if not text.strip():
        return None
    try:
        found = datetime.strptime(text.strip(), "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        found = date.min
    if not 1900 <= found.year < 3000:
        raise Invalid("since has to be a day, such as 2026-05-31.")
    return found


# ---------------------------------------------------------------- pictures


def around(
    session: Session,
    graph: LinkGraph,
    page: Page,
    filters: Filters,
    *,
    depth: int = 2,
    limit: int = MOST_NODES,
) -> Picture:
    """The pages at most `depth` links from a page, those kept that rank highest from it.

    The page's own proposals count as links here, those of other pages do not. Raises NotFound for a
    thread that does not exist.
    """
    assert page.id is not None
    standing = graph.standing(session, filters.span)
    near = _near(session, standing, page.id, filters.span)
    ids, steps, scores = near.within(depth)
    chosen = _chosen(session, filters)
    if chosen is not None:
        kept = np.isin(ids, chosen)
        ids, steps, scores = ids[kept], steps[kept], scores[kept]
    order = np.lexsort((ids, steps, -scores))[: limit - 1]
    shown = [page.id, *ids[order].tolist()]
    named = stored.names(session, shown)
    return Picture(
        focus=page.slug,
        nodes=_nodes(
            graph.standing(session),
            named,
            shown,
            scores=[near.score, *scores[order].tolist()],
            steps=[0, *steps[order].tolist()],
            then=standing.then,
        ),
        edges=_edges(session, named, filters.span, standing.then),
        left_out=len(ids) - len(order),
    )


def whole(
    session: Session, graph: LinkGraph, filters: Filters, *, limit: int = MOST_NODES
) -> Picture:
    """The pages that rank highest in the whole wiki, and the links among them.

    Only pages with accepted links have a rank. Raises NotFound for a thread that does not exist.
    """
    standing = graph.standing(session, filters.span)
    ids, scores = standing.network.ids, standing.ranks()
    chosen = _chosen(session, filters)
    rows = np.arange(len(ids)) if chosen is None else np.flatnonzero(np.isin(ids, chosen))
    order = rows[np.lexsort((ids[rows], -scores[rows]))][:limit]
    shown = ids[order].tolist()
    named = stored.names(session, shown)
    return Picture(
        focus=None,
        nodes=_nodes(
            graph.standing(session),
            named,
            shown,
            scores=scores[order].tolist(),
            then=standing.then,
        ),
        edges=_edges(session, named, filters.span, standing.then),
        left_out=len(rows) - len(shown),
    )


def related(session: Session, graph: LinkGraph, page: Page, *, limit: int = 10) -> tuple[Node, ...]:
    """The pages that rank highest from a page and are not linked with it, the nearest first.

    What was proposed, put off or rejected between the two is left out as well.
    """
    assert page.id is not None
    near = _near(session, graph.standing(session), page.id, ALWAYS)
    network = near.standing.network
    scores = near.scores.copy()
    answered = links.edges_around(session, [page.id], statuses=_ANSWERED, limit=_MOST_ANSWERED)
    known = network.rows([end for edge in answered for end in (edge.source_id, edge.target_id)])
    scores[known[known >= 0]] = 0
    if near.row is not None:
        scores[[near.row, *network.matrix[[near.row]].indices]] = 0
    order = np.lexsort((network.ids, -scores))[:limit]
    order = order[scores[order] > 0]
    shown = network.ids[order].tolist()
    named = stored.names(session, shown)
    return _nodes(near.standing, named, shown, scores=scores[order].tolist())


@dataclass(frozen=True)
class _Near:
    """A page in a network: its row if it has one, its proposals, and the ranks from there, (n,)."""

    standing: Standing
    row: int | None
    proposed: Ids
    scores: Array

    @property
    def score(self) -> float:
        return float(self.scores[self.row]) if self.row is not None else 0.0

    def within(self, depth: int) -> tuple[Ids, Ids, Array]:
        """The other pages at most `depth` links away: their ids, distances and scores."""
        network = self.standing.network
        rows = network.rows(self.proposed)
        steps = np.full(len(network), depth + 1, np.int64)
        own = [] if self.row is None else [self.row]
        for starts, already in ((own, 0), (rows[rows >= 0].tolist(), 1)):
            found = distances(network.matrix, starts, most=depth - already)
            steps[found >= 0] = np.minimum(steps, found + already)[found >= 0]
        steps[own] = depth + 1
        reached = np.flatnonzero(steps <= depth)
        apart = self.proposed[rows < 0]  # they have no accepted link, so no row
        return (
            np.concatenate([network.ids[reached], apart]),
            np.concatenate([steps[reached], np.ones(len(apart), np.int64)]),
            np.concatenate([self.scores[reached], np.zeros(len(apart), np.float32)]),
        )


def _near(session: Session, standing: Standing, page_id: int, span: Span) -> _Near:
    waiting = links.edges_around(
        session,
        [page_id],
        statuses=(LinkStatus.PROPOSED,),
        since=span.since,
        before=span.before,
        limit=_UNDECIDED,
    )
    if standing.then is not None:
        waiting = edges(
            standing.then,
            waiting,
            {page_id},
            statuses=(LinkStatus.PROPOSED,),
            since=span.since,
        )
    sure: dict[int, float] = {}
    for edge in waiting:
        other = edge.target_id if edge.source_id == page_id else edge.source_id
        sure[other] = max(sure.get(other, 0.0), edge.confidence)
    network = standing.network
    row, *rows = network.rows([page_id, *sure]).tolist()
    restart = {row: 1.0} if row >= 0 else {}
    for place, confidence in zip(rows, sure.values(), strict=True):
        if place >= 0 and confidence > 0:
            restart[place] = PROPOSED * confidence
    return _Near(
        standing,
        row if row >= 0 else None,
        np.array(list(sure), np.int64),
        standing.ranks(restart) if restart else np.zeros(len(network), np.float32),
    )


def _chosen(session: Session, filters: Filters) -> Ids | None:
    """The pages that the filters let through; None when they let through all."""
    chosen: Ids | None = None
    if filters.thread:
        chosen = stored.pages_of_thread(session, filters.thread)
    if filters.kind is not None:
        of_kind = stored.pages_of_kind(session, filters.kind)
        chosen = of_kind if chosen is None else np.intersect1d(chosen, of_kind)
    return chosen


def _nodes(
    today: Standing,
    named: Mapping[int, Any],
    page_ids: Sequence[int],
    *,
    scores: Sequence[float],
    steps: Sequence[int] = (),
    then: Past | None = None,
) -> tuple[Node, ...]:
    """Nodes of the pages that are still there, called as they were `then`.

    With the communities of today, whatever the span: a page keeps its colour while a date moves.
    """
    rows = today.network.rows(page_ids).tolist()
    called = {each: then.called(named[each]) if then else named[each] for each in named}
    return tuple(
        Node(
            slug=called[each].slug,
            title=called[each].title,
            kind=called[each].kind,
            community=int(today.communities[row]) if row >= 0 else None,
            score=score,
            distance=distance,
        )
        for each, row, score, distance in zip_longest(page_ids, rows, scores, steps)
        if each in named
    )


def _edges(
    session: Session, named: Mapping[int, Any], span: Span, then: Past | None
) -> tuple[Edge, ...]:
    slugs = {page_id: then.called(row).slug if then else row.slug for page_id, row in named.items()}
    among = links.edges_among(session, list(slugs), since=span.since, before=span.before)
    if then is not None:
        statuses = (LinkStatus.ACCEPTED, LinkStatus.PROPOSED)
        among = edges(then, among, slugs, statuses=statuses, both=True, since=span.since)
    return tuple(
        Edge(
            slugs[each.source_id],
            slugs[each.target_id],
            each.relation.value,
            each.status.value,
            each.weight,
        )
        for each in among
    )


# ---------------------------------------------------------------- the whole as a file


def graphml(session: Session, graph: LinkGraph) -> Iterator[str]:
    """Every page and accepted link as a GraphML document, piece by piece, whatever their number.

    A directed graph whose nodes are named by slug. Characters that XML cannot hold become U+FFFD.
    """
    standing = graph.standing(session)
    network, scores, groups = standing.network, standing.ranks(), standing.communities
    yield _HEAD
    for part in stored.all_pages(session):
        rows = network.rows([page.id for page in part]).tolist()
        yield "".join(
            f"    <node id={quoteattr(slug)}>"
            f'<data key="title">{escape(_NO_XML.sub(_REPLACEMENT, title))}</data>'
            f'<data key="kind">{kind.value}</data>'
            + (f'<data key="community">{groups[row]}</data>' if row >= 0 else "")
            + f'<data key="pagerank">{scores[row] if row >= 0 else 0.0}</data></node>\n'
            for (_, slug, title, kind), row in zip(part, rows, strict=True)
        )
    for part in stored.all_links(session):
        yield "".join(
            f'    <edge id="link-{number}" source={quoteattr(source)} target={quoteattr(target)}>'
            f'<data key="relation">{relation.value}</data>'
            + (f'<data key="role">{role.value}</data>' if role else "")
            + f'<data key="confidence">{confidence}</data><data key="weight">{weight}</data></edge>\n'
            for number, source, target, relation, role, confidence, weight in part
        )
    yield "  </graph>\n</graphml>\n"


_KEYS = (
    ("node", "title", "string"),
    ("node", "kind", "string"),
    ("node", "community", "int"),
    ("node", "pagerank", "double"),
    ("edge", "relation", "string"),
    ("edge", "role", "string"),
    ("edge", "confidence", "double"),
    ("edge", "weight", "double"),
)
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    + "".join(
        f'  <key id="{name}" for="{owner}" attr.name="{name}" attr.type="{kind}"/>\n'
        for owner, name, kind in _KEYS
    )
    + '  <graph id="cere-bro" edgedefault="directed">\n'
)
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_REPLACEMENT = "\ufffd"
