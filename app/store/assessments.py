"""Assessments of listed papers: what the local scorer reads, what it says, and a day as it stands.

What is read comes as values of domain/scoring.py. A paper's newest assessment is what lists show; one
by a model outranks one by the local scorer, which is therefore never added after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain import tiers
from app.domain.identifiers import slugify
from app.domain.records import (
    Assessment,
    AssessmentTopic,
    Decision,
    Identifier,
    Listing,
    ListingPaper,
    Page,
    PageKind,
    Paper,
    PaperState,
    Topic,
)
from app.domain.scoring import Held, Judged, Listed, TopicText
from app.store import paper_vectors, papers
from app.store.db import bump
from app.store.paper_vectors import UNDECIDED, to_vector
from app.store.vectors import Matrix, VectorIndex

LOCAL = "local"  # the scorer that needs no model
LISTINGS = 30  # the newest, whose papers are assessed without being asked for
LEARNED_KEPT = 5_000  # kept papers, the newest, that are learned from
NEAREST = 5  # pages that a paper is compared with
_SOME = 500  # ids in one statement
_BLOCK = 8_192  # pages whose vectors are looked at in one go


@dataclass(frozen=True)
class Told:
    """What the local scorer says of a paper, as it is stored."""

    paper_id: int
    score: float
    relevance: int
    novelty: int
    topics: tuple[str, ...] = ()
    comment: str = ""
    topic_comment: str = ""
    tags: list[str] = field(default_factory=list)
    tier: int | None = None
    tier_reason: str = ""
    evidence: list[dict[str, Any]] = field(default_factory=list)


# ---------------------------------------------------------------- what is read


def topics(session: Session) -> tuple[TopicText, ...]:
    """The topics that new papers are given, in the reader's order."""
    rows = session.connection().execute(
        sa.select(
            col(Topic.id),
            col(Topic.name),
            col(Topic.keep),
            col(Topic.filter),
            col(Topic.tier),
            col(Topic.threshold),
        )
        .where(col(Topic.retired).is_(False))
        .order_by(col(Topic.position), col(Topic.id))
    )
    return tuple(TopicText(*row) for row in rows)


def decided(session: Session) -> tuple[int, int]:
    """How many papers are kept, and how many dropped."""
    states = (PaperState.KEPT, PaperState.DROPPED)
    counted: dict[Any, int] = dict(
        session.connection()
        .execute(
            sa.select(col(Paper.state), sa.func.count())
            .where(col(Paper.state).in_(states))
            .group_by(col(Paper.state))
        )
        .all()
    )
    return counted.get(PaperState.KEPT, 0), counted.get(PaperState.DROPPED, 0)


def day_papers(session: Session, day: str, model: str) -> list[Listed]:
    """The whole listing of a day, in its order, with vectors by this model where there are any."""
    data, joins = paper_vectors.of_paper(model)
    statement = (
        sa.select(col(Paper.id), col(Paper.title), col(Paper.abstract), data)
        .select_from(Paper)
        .join(ListingPaper, col(ListingPaper.paper_id) == col(Paper.id))
    )
    for table, on in joins:
        statement = statement.outerjoin(table, on)
    statement = statement.where(col(ListingPaper.day) == day).order_by(
        col(ListingPaper.position), col(Paper.id)
    )
    return [each for each, _ in _listed(session.connection().execute(statement))]


def judged(session: Session, model: str) -> list[Judged]:
    """What the reader decided, newest first: bounded, so that a large wiki makes no day slow.

    The newest `LEARNED_KEPT` kept papers, those of listings before others (whose `day` is ""), and
    the newest `LEARNED_DROPPED` dropped ones.
    """
    found = _decided_as(session, PaperState.KEPT, model, limit=LEARNED_KEPT, listed=True)
    if len(found) < LEARNED_KEPT:
        left = LEARNED_KEPT - len(found)
        found += _decided_as(session, PaperState.KEPT, model, limit=left, listed=False)
    return found + _decided_as(
        session, PaperState.DROPPED, model, limit=paper_vectors.LEARNED_DROPPED
    )


def _decided_as(
    session: Session, state: PaperState, model: str, *, limit: int, listed: bool | None = None
) -> list[Judged]:
    on_a_day = sa.exists().where(col(ListingPaper.paper_id) == col(Paper.id))
    day = sa.case((on_a_day, col(Paper.came)), else_="")
    data, joins = paper_vectors.of_paper(model)
    statement = sa.select(
        col(Paper.id), col(Paper.title), col(Paper.abstract), data, day
    ).select_from(Paper)
    for table, on in joins:
        statement = statement.outerjoin(table, on)
    statement = statement.where(col(Paper.state) == state)
    if listed is not None:
        statement = statement.where(on_a_day if listed else ~on_a_day)
    # The order of an index, read from its end.
    newest = (col(Paper.came), col(Paper.published), col(Paper.score), col(Paper.id))
    statement = statement.order_by(*(key.desc() for key in newest)).limit(limit)
    kept = state == PaperState.KEPT
    rows = session.connection().execute(statement)
    return [Judged(each, kept, rest[0]) for each, rest in _listed(rows)]


def _listed(rows: Iterable[Any]) -> Iterator[tuple[Listed, tuple[Any, ...]]]:
    """Rows (id, title, abstract, vector, …) as papers, and what else stands in them.

    A vector of another length than the first is left out: nothing can be compared with it.
    """
    size = 0
    for paper_id, title, abstract, data, *rest in rows:
        vector = to_vector(data, size)
        if vector is not None:
            size = size or vector.size
        yield Listed(paper_id, title, abstract, vector), tuple(rest)


def held(session: Session, index: VectorIndex | None, papers: Sequence[Listed], model: str) -> Held:
    """The pages of the wiki that are nearest to these papers: `NEAREST` of each, papers and concepts.

    Of a large wiki no more than a block of vectors is in memory beside the index.
    """
    asked = [paper.vector for paper in papers if paper.vector is not None]
    if index is None or not asked:
        return Held()
    index.refresh(session)
    if index.model != model or index.dim != asked[0].size:
        return Held()
    kinds = (PageKind.PAPER, PageKind.CONCEPT)
    pages = np.fromiter(
        session.connection()
        .execute(sa.select(col(Page.id)).where(col(Page.kind).in_(kinds)).order_by(col(Page.id)))
        .scalars(),
        np.int64,
    )
    own = _own_pages(session, [paper.id for paper in papers])
    near = _nearest(session, index, np.stack(asked), pages[~np.isin(pages, own)])
    return Held(near.tolist(), index.matrix_for(session, near.tolist()))


def _own_pages(session: Session, paper_ids: Sequence[int]) -> list[int]:
    """Pages of the day's own papers: a paper is not new against the wiki when it is in it itself."""
    found: list[int] = []
    for some in _chunks(paper_ids):
        statement = sa.select(col(Paper.page_id)).where(
            col(Paper.id).in_(some), col(Paper.page_id).is_not(None)
        )
        found += [page or 0 for page in session.connection().execute(statement).scalars()]
    return found


def _nearest(session: Session, index: VectorIndex, asked: Matrix, pages: Any) -> Any:
    """Ids of the `NEAREST` pages of each row, together, in order."""
    best = np.zeros((len(asked), 0), np.float32)
    ids = np.zeros((len(asked), 0), np.int64)
    for start in range(0, len(pages), _BLOCK):
        some = pages[start : start + _BLOCK]
        likeness = asked @ index.matrix_for(session, some.tolist()).T
        count = min(NEAREST, likeness.shape[1])
        top = np.argpartition(likeness, -count, axis=1)[:, -count:]
        best = np.concatenate([best, np.take_along_axis(likeness, top, 1)], axis=1)
        ids = np.concatenate([ids, some[top]], axis=1)
        if best.shape[1] > NEAREST:
            top = np.argpartition(best, -NEAREST, axis=1)[:, -NEAREST:]
            best, ids = np.take_along_axis(best, top, 1), np.take_along_axis(ids, top, 1)
    return np.unique(ids[best > 0])


# ---------------------------------------------------------------- what waits


def oldest_scored(session: Session) -> str:
    """The first of the newest `LISTINGS` days; papers that wait since before are left as they are."""
    found: str | None = (
        session.connection()
        .execute(
            sa.select(col(Listing.day))
            .order_by(col(Listing.day).desc())
            .offset(LISTINGS - 1)
            .limit(1)
        )
        .scalar()
    )
    return found or ""


def newest_day(session: Session) -> str:
    """The day of the newest listing that has papers; "" for none."""
    return (
        session.connection().execute(sa.select(sa.func.max(col(ListingPaper.day)))).scalar() or ""
    )


def has_papers(session: Session, day: str) -> bool:
    there = sa.exists().where(col(ListingPaper.day) == day)
    return bool(session.connection().execute(sa.select(there)).scalar())


def days_to_assess(
    session: Session, key: str, *, any_like: str = "", without: Collection[str] = ()
) -> list[str]:
    """Days of the newest listings with papers that wait unassessed by this key, newest first.

    A paper is assessed on the day it came. What a model assessed waits for nothing; nor, with
    `any_like`, what was assessed by a key that begins so.
    """
    rows = session.connection().execute(
        sa.select(col(ListingPaper.day))
        .join(Paper, col(Paper.id) == col(ListingPaper.paper_id))
        .where(
            col(ListingPaper.day) >= oldest_scored(session),
            col(Paper.came) == col(ListingPaper.day),
            *_unassessed(key, any_like),
        )
        .group_by(col(ListingPaper.day))
        .order_by(col(ListingPaper.day).desc())
    )
    return [day for day in rows.scalars() if day not in without]


def is_unassessed(session: Session, day: str, key: str, *, any_like: str = "") -> bool:
    """Whether papers of this day wait unassessed by this key."""
    statement = (
        sa.select(col(Paper.id))
        .join(ListingPaper, col(ListingPaper.paper_id) == col(Paper.id))
        .where(col(ListingPaper.day) == day, _of_this_day(day), *_unassessed(key, any_like))
    )
    return session.connection().execute(statement.limit(1)).first() is not None


def _of_this_day(day: str) -> Any:
    """Whether a paper is to be assessed on this day: it came on it, or has no marks from another."""
    elsewhere = sa.exists().where(
        col(Assessment.paper_id) == col(Paper.id), col(Assessment.day) != day
    )
    return sa.or_(col(Paper.came) == day, ~elsewhere.correlate(Paper))


def _unassessed(key: str, any_like: str) -> list[Any]:
    by_key = col(Assessment.prompt) == key
    if any_like:
        by_key = sa.or_(by_key, col(Assessment.prompt).startswith(any_like, autoescape=True))
    current = sa.and_(col(Assessment.day) == col(ListingPaper.day), by_key)
    return [
        col(Paper.state).in_(UNDECIDED),
        ~sa.exists().where(
            col(Assessment.paper_id) == col(Paper.id),
            sa.or_(col(Assessment.scorer) != LOCAL, current),
        ),
    ]


# ---------------------------------------------------------------- what is stored


def save(session: Session, day: str, told: Sequence[Told], *, prompt: str, now: datetime) -> int:
    """Store what the local scorer says of the papers of a day that wait still; how many.

    In place of what it said of them on that day before. What a model assessed, or the reader decided,
    meanwhile is left out. A topic that is gone is given to no paper.
    """
    known = set(session.connection().execute(sa.select(col(Topic.id))).scalars())
    standing = waiting(session, day)
    new, changed = [], []
    for each in told:
        if each.paper_id not in standing:
            continue
        named = [topic for topic in each.topics if topic in known]
        row = {
            "prompt": prompt,
            "relevance": each.relevance,
            "novelty": each.novelty,
            "topic_id": named[0] if named else None,
            "comment": each.comment,
            "topic_comment": each.topic_comment,
            "score": each.score,
            "tags": each.tags,
            "tier": each.tier,
            "tier_reason": each.tier_reason,
            "evidence": each.evidence,
            "at": now,
        }
        before = standing[each.paper_id]
        if before is None:
            new.append({"paper_id": each.paper_id, "day": day, "scorer": LOCAL, **row})
        else:
            changed.append({"of": before, **row})
    connection = session.connection()
    if new:
        connection.execute(sa.insert(Assessment), new)
    if changed:
        connection.execute(
            sa.update(Assessment).where(col(Assessment.id) == sa.bindparam("of")), changed
        )
        for some in _chunks([row["of"] for row in changed]):
            connection.execute(
                sa.delete(AssessmentTopic).where(col(AssessmentTopic.assessment_id).in_(some))
            )
    of_paper = waiting(session, day)
    matched = [
        {"assessment_id": assessment, "topic_id": topic}
        for each in told
        if (assessment := of_paper.get(each.paper_id)) is not None
        for topic in dict.fromkeys(each.topics)
        if topic in known
    ]
    if matched:
        connection.execute(sa.insert(AssessmentTopic), matched)
    if new or changed:
        bump(session)
    return len(new) + len(changed)


def tier_anew(session: Session, paper_ids: Collection[int]) -> int:
    """Give waiting papers the tier that they have with the sources they were met in by now; how many
    it changed.

    A source that comes after a paper was judged raises it without judging it again.
    """
    found: list[Any] = []
    for some in _chunks(sorted(set(paper_ids))):
        found += session.connection().execute(_TIERED, {"ids": some}).all()
    if not found:
        return 0
    met = papers.sources_of(session, [row.paper_id for row in found])
    matched = _matched(session, [row.id for row in found])
    known = {topic.id: topic for topic in topics(session)}
    changed = []
    for row in found:
        names = _primary_first(row.topic_id, matched.get(row.id, []))
        if any(name not in known for name in names):
            continue  # a topic that was retired since counts as it did
        own = [known[name] for name in names]
        sources = met[row.paper_id]
        tags = list(dict.fromkeys([*row.tags, *tiers.tags(sources)]))
        tier = tiers.tier(own, row.relevance, row.novelty, tags, sources)
        now = {"tags": tags, "tier": tier.number, "tier_reason": tier.reason}
        if now != {name: getattr(row, name) for name in now}:
            changed.append({"row": row.id, **now})
    if changed:
        session.connection().execute(_TIER_ANEW, changed)
        bump(session)
    return len(changed)


_NEWEST_OF = (
    sa.select(sa.func.max(col(Assessment.id)))
    .where(col(Assessment.paper_id) == col(Paper.id))
    .correlate(Paper)
    .scalar_subquery()
)
_TIERED = (
    sa.select(
        *(
            getattr(Assessment, name)
            for name in ("id", "paper_id", "topic_id", "relevance", "novelty")
        ),
        col(Assessment.tags),
        col(Assessment.tier),
        col(Assessment.tier_reason),
    )
    .select_from(Paper)
    .join(Assessment, col(Assessment.id) == _NEWEST_OF)
    .where(
        col(Paper.id).in_(sa.bindparam("ids", expanding=True)),
        col(Paper.state).in_((PaperState.WAITING, PaperState.DEFERRED)),
        col(Assessment.tier).is_not(None),
    )
)
_TIER_ANEW = (
    sa.update(Assessment)
    .where(col(Assessment.id) == sa.bindparam("row"))
    .values({name: sa.bindparam(name) for name in ("tags", "tier", "tier_reason")})
)


def waiting(session: Session, day: str) -> dict[int, int | None]:
    """The papers that wait for marks of this day and that no model assessed, and the id of what the
    local scorer said of each on it.
    """
    by_model = sa.exists().where(
        col(Assessment.paper_id) == col(Paper.id), col(Assessment.scorer) != LOCAL
    )
    own = sa.alias(sa.inspect(Assessment).local_table)
    rows = session.connection().execute(
        sa.select(col(Paper.id), own.c.id)
        .join(ListingPaper, col(ListingPaper.paper_id) == col(Paper.id))
        .outerjoin(
            own, sa.and_(own.c.paper_id == col(Paper.id), own.c.scorer == LOCAL, own.c.day == day)
        )
        .where(
            col(ListingPaper.day) == day,
            col(Paper.state).in_(UNDECIDED),
            _of_this_day(day),
            ~by_model,
        )
    )
    return dict(rows.all())


def tell_listing(session: Session, day: str, *, scanned: int, kept: int, prompt: str) -> None:
    """Say how a day was judged, on a listing of our own: a page that was imported keeps its facts."""
    session.connection().execute(
        sa.update(Listing)
        .where(col(Listing.day) == day, col(Listing.item_id).is_(None), col(Listing.model) == "")
        .values(scanned=scanned, kept=kept, prompt=prompt)
    )


# ---------------------------------------------------------------- a day as it stands


def of_day(session: Session, day: str) -> list[dict[str, Any]]:
    """The papers of a listing with their newest marks, best first, as `triage --json` prints them.

    Left out: what was decided on an earlier day. Keys beside those: `id`, `title`, `tier`, `state`.
    """
    by = sa.alias(sa.inspect(Assessment).local_table)
    newest = (
        sa.select(sa.func.max(col(Assessment.id)))
        .where(col(Assessment.paper_id) == col(Paper.id))
        .correlate(Paper)
        .scalar_subquery()
    )
    rows = (
        session.connection()
        .execute(
            sa.select(
                col(Paper.id),
                col(Paper.title),
                col(Paper.state),
                col(Paper.extra),
                by.c.id.label("assessment"),
                by.c.scorer,
                col(Paper.score),
                by.c.relevance,
                by.c.novelty,
                by.c.topic_id,
                by.c.comment,
                by.c.tier,
            )
            .select_from(Paper)
            .join(ListingPaper, col(ListingPaper.paper_id) == col(Paper.id))
            .join(by, by.c.id == newest)
            .where(
                col(ListingPaper.day) == day,
                sa.or_(col(Paper.state).in_(UNDECIDED), _decided_here(day)),
            )
            .order_by(*(key.desc() for key in papers.BEST_FIRST), col(Paper.id))
        )
        .all()
    )
    names = names_of(session, {row.id: (row.title, row.extra) for row in rows})
    matched = _matched(session, [row.assessment for row in rows])
    return [
        {
            "paper": names[row.id],
            "score": min(1.0, round(row.score, 6)),
            "relevance": row.relevance,
            "novelty": row.novelty,
            "primary_topic": row.topic_id,
            "topics": _primary_first(row.topic_id, matched.get(row.assessment, [])),
            "comment": row.comment,
            "scorer": row.scorer,
            "id": row.id,
            "title": row.title,
            "tier": row.tier,
            "state": str(PaperState(row.state)),
        }
        for row in rows
    ]


def _primary_first(primary: str | None, names: Sequence[str]) -> list[str]:
    return ([primary] if primary else []) + [name for name in names if name != primary]


def _decided_here(day: str) -> Any:
    """Whether a paper that is decided waited on this day: it was assessed on it, and decided after."""
    here = (
        sa.select(sa.func.max(col(Assessment.at)))
        .where(col(Assessment.paper_id) == col(Paper.id), col(Assessment.day) == day)
        .correlate(Paper)
        .scalar_subquery()
    )
    last = (
        sa.select(sa.func.max(col(Decision.at)))
        .where(
            col(Decision.paper_id) == col(Paper.id),
            col(Decision.undone).is_(False),
            col(Decision.undoes_id).is_(None),
        )
        .correlate(Paper)
        .scalar_subquery()
    )
    earlier = sa.exists().where(
        col(ListingPaper.paper_id) == col(Paper.id), col(ListingPaper.day) < day
    )
    return sa.and_(
        here.is_not(None), last.is_not(None), sa.or_(~earlier.correlate(Paper), last >= here)
    )


def count_unassessed(session: Session, day: str) -> int:
    """How many papers of a listing wait without any marks."""
    marked = sa.exists().where(col(Assessment.paper_id) == col(Paper.id))
    statement = (
        sa.select(sa.func.count())
        .select_from(Paper)
        .join(ListingPaper, col(ListingPaper.paper_id) == col(Paper.id))
        .where(col(ListingPaper.day) == day, col(Paper.state).in_(UNDECIDED), ~marked)
    )
    return int(session.connection().execute(statement).scalar_one())


def names_of(
    session: Session, papers: Mapping[int, tuple[str, Mapping[str, Any]]]
) -> dict[int, str]:
    """How programs name each paper, by (title, extra): `arxiv:…` or another identifier, else a slug."""
    names: dict[int, str] = {}
    for some in _chunks(list(papers)):
        rows = session.connection().execute(
            sa.select(col(Identifier.paper_id), col(Identifier.scheme), col(Identifier.value))
            .where(col(Identifier.paper_id).in_(some))
            .order_by(col(Identifier.scheme).desc(), col(Identifier.id).desc())
        )
        names |= {paper or 0: f"{scheme}:{value}" for paper, scheme, value in rows}
        slugs = session.connection().execute(
            sa.select(col(Paper.id), col(Page.slug))
            .join(Page, col(Page.id) == col(Paper.page_id))
            .where(col(Paper.id).in_(some))
        )
        for paper_id, slug in slugs:
            names.setdefault(paper_id or 0, slug)
    for paper_id, (title, extra) in papers.items():
        given = extra.get("slug")
        names.setdefault(paper_id, given if isinstance(given, str) and given else slugify(title))
    return names


def _matched(session: Session, assessments: Sequence[int]) -> dict[int, list[str]]:
    """Topics by assessment, in the reader's order."""
    found: dict[int, list[str]] = {}
    for some in _chunks(assessments):
        rows = session.connection().execute(
            sa.select(col(AssessmentTopic.assessment_id), col(AssessmentTopic.topic_id))
            .join(Topic, col(Topic.id) == col(AssessmentTopic.topic_id))
            .where(col(AssessmentTopic.assessment_id).in_(some))
            .order_by(col(Topic.position), col(Topic.id))
        )
        for assessment, topic in rows:
            found.setdefault(assessment, []).append(topic)
    return found


def _chunks(values: Sequence[Any]) -> Iterator[list[Any]]:
    return (list(values[start : start + _SOME]) for start in range(0, len(values), _SOME))
