"""The accepted links as one sparse matrix, read once and kept until they change.

What waits for a decision is not in it: ranks and communities rest on what a person, or their own
text, made true. A counter of its own says when it is stale, because pages are saved far more often
than links change.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.domain import graph
from app.domain.graph import Network
from app.domain.records import GONE, Link, LinkStatus, Page, PageKind, Relation
from app.errors import NotFound
from app.store import past
from app.store.db import generation
from app.store.links import ACCEPTED, WEIGHT, stood, weight
from app.store.past import Past

_ROWS = 20_000  # that are fetched at a time
_SPANS = 3  # networks of other dates that are kept
_RANKS = 16  # rankings that are kept of a network: 0.4 MB each at 100,000 pages


@dataclass(frozen=True)
class Span:
    """Links that came to stand from `since` on and before `before`; None leaves a side open."""

    since: datetime | None = None
    before: datetime | None = None


ALWAYS = Span()


_Key = tuple[tuple[int, float], ...] | None


class Standing:
    """The network at one generation, and what was computed of it so far. Safe between threads."""

    def __init__(self, network: Network, then: Past | None = None) -> None:
        self.network = network
        self.then = then  # of a network of another day: what was otherwise
        self._ranking, self._grouping = threading.Lock(), threading.Lock()
        self._ranks: OrderedDict[_Key, graph.Array] = OrderedDict()

    def ranks(self, restart: Mapping[int, float] | None = None) -> graph.Array:
        """PageRank of each row; with `restart`, personalised: weights by row, one or more."""
        key = None if restart is None else tuple(sorted(restart.items()))
        with self._ranking:
            found = self._ranks.get(key)
            if found is None:
                found = graph.pagerank(self.network.matrix, self._drawn(restart))
                found.flags.writeable = False
                self._ranks[key] = found
                if len(self._ranks) > _RANKS:
                    self._ranks.popitem(last=False)
            self._ranks.move_to_end(key)
            return found

    def _drawn(self, restart: Mapping[int, float] | None) -> graph.Array | None:
        if restart is None:
            return None
        drawn = np.zeros(len(self.network), np.float32)
        drawn[list(restart)] = list(restart.values())
        return drawn

    @property
    def communities(self) -> graph.Groups:
        """The community of each row; computed when first asked for."""
        with self._grouping:
            return self._communities

    @cached_property
    def _communities(self) -> graph.Groups:
        return graph.communities(self.network.matrix)


class LinkGraph:
    """The network of a wiki, kept for the life of a process. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Span, tuple[int, Standing]] = OrderedDict()

    def standing(self, session: Session, span: Span = ALWAYS) -> Standing:
        """The network of today's accepted links, or of those of a span of time among them.

        For a session that has not itself changed links: that might be rolled back. Costs one read
        of a counter while no link changed, and otherwise one read of all accepted links.
        """
        counted = generation(session, ACCEPTED)
        found = self._kept.get(span)
        if found is None or found[0] != counted:
            with self._lock:
                found = self._kept.get(span)
                if found is None or found[0] != counted:
                    then = past.before(session, span.before) if span.before else None
                    found = (counted, Standing(read(session, span, then), then))
                    self._keep(span, found)
        return found[1]

    def _keep(self, span: Span, found: tuple[int, Standing]) -> None:
        self._kept[span] = found
        self._kept.move_to_end(span)
        for old in [each for each in self._kept if each != ALWAYS][:-_SPANS]:
            del self._kept[old]


def read(session: Session, span: Span = ALWAYS, then: Past | None = None) -> Network:
    """The network of the accepted links of this session's moment, or of a span as `then` was."""
    statement = sa.select(col(Link.source_id), col(Link.target_id), WEIGHT, col(Link.id)).where(
        *stood(LinkStatus.ACCEPTED, since=span.since, before=span.before)
    )
    result = session.connection().execute(statement)
    parts = [np.zeros((0, 4))]
    # Past the rows of SQLAlchemy, which take three times as long as the numbers in them.
    while part := result.cursor.fetchmany(_ROWS):
        parts.append(
            np.fromiter(chain.from_iterable(part), np.float64, 4 * len(part)).reshape(-1, 4)
        )
    result.close()
    links = np.concatenate(parts)
    if then is not None:
        links = _as_then(links, then, span.since)
    return graph.network(
        links[:, 0].astype(np.int64), links[:, 1].astype(np.int64), links[:, 2].astype(np.float32)
    )


def _as_then(links: Any, then: Past, since: datetime | None) -> Any:
    """Rows (source, target, weight, id) of today's links as they were."""
    gone = np.array(sorted(then.gone), np.float64)
    out = np.isin(links[:, 3], np.fromiter(then.replaced, np.float64, len(then.replaced)))
    out |= np.isin(links[:, 0], gone) | np.isin(links[:, 1], gone)
    other = [
        (each.source_id, each.target_id, weight(each.relation, each.confidence), each.id)
        for each in then.links
        if each.status == LinkStatus.ACCEPTED
        and (since is None or (each.came is not None and each.came >= since))
    ]
    return np.concatenate([links[~out], np.array(other, np.float64).reshape(-1, 4)])


def _parts(session: Session, statement: Any) -> Iterator[Sequence[Any]]:
    """Rows as they come from the database, some thousands at a time."""
    result = session.connection().execute(
        statement, execution_options={"yield_per": _ROWS, "stream_results": True}
    )
    yield from result.partitions()


# ---------------------------------------------------------------- rows that go with it


def names(session: Session, page_ids: Sequence[int]) -> dict[int, Any]:
    """Rows by page id: id, slug, title, kind. Pages that are gone are left out."""
    statement = sa.select(col(Page.id), col(Page.slug), col(Page.title), col(Page.kind)).where(
        col(Page.id).in_(page_ids)
    )
    return {row.id: row for row in session.connection().execute(statement)}


def pages_of_kind(session: Session, kind: PageKind) -> graph.Ids:
    """The ids of all pages of a kind, in no order."""
    statement = sa.select(col(Page.id)).where(col(Page.kind) == kind)
    return np.fromiter(session.connection().execute(statement).scalars(), np.int64)


def pages_of_thread(session: Session, thread: str) -> graph.Ids:
    """The ids of a thread's page and of its members. Raises NotFound."""
    statement = sa.select(col(Page.id)).where(
        col(Page.slug) == thread, col(Page.kind) == PageKind.THREAD
    )
    page_id = session.connection().execute(statement).scalar()
    if page_id is None:
        raise NotFound(f"There is no thread {thread[:100]!r}.")
    members = sa.select(col(Link.source_id)).where(
        col(Link.target_id) == page_id,
        col(Link.relation) == Relation.PART_OF,
        col(Link.status) == LinkStatus.ACCEPTED,
    )
    return np.array([page_id, *session.connection().execute(members).scalars()], np.int64)


def all_pages(session: Session) -> Iterator[Sequence[Any]]:
    """Every page, some thousands at a time: id, slug, title, kind."""
    return _parts(
        session,
        sa.select(col(Page.id), col(Page.slug), col(Page.title), col(Page.kind))
        .where(col(Page.kind).not_in(GONE))
        .order_by(col(Page.id)),
    )


def all_links(session: Session) -> Iterator[Sequence[Any]]:
    """Every accepted link, some thousands at a time.

    Rows: id, source and target (slugs), relation, role, confidence, weight.
    """
    source, target = aliased(Page), aliased(Page)
    return _parts(
        session,
        sa.select(
            col(Link.id),
            col(source.slug).label("source"),
            col(target.slug).label("target"),
            col(Link.relation),
            col(Link.role),
            col(Link.confidence),
            WEIGHT,
        )
        .join(source, col(source.id) == col(Link.source_id))
        .join(target, col(target.id) == col(Link.target_id))
        .where(col(Link.status) == LinkStatus.ACCEPTED)
        .order_by(col(Link.id)),
    )
