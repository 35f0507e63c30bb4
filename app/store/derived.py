"""What is derived of pages and papers, made anew: searchable texts, red links, numbers, the Inbox's order.

Every function compares what stands there with what should, writes where they differ, and says how
many rows were wrong: in a wiki where all is well it writes nothing. Those of pages take some ids, so
that whoever repairs a large wiki can let others write in between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col

from app.domain.records import (
    GONE,
    Alias,
    AliasKind,
    Identifier,
    Page,
    PageKind,
    PageNumber,
    PageText,
    Paper,
    RedLink,
    Thread,
)
from app.domain.typed_counters import counters
from app.store import pages as written
from app.store import search, vectors
from app.store.db import COUNTED, SHOWN, TEXTS, bump, count_now, rows_of
from app.store.links import ACCEPTED

CHUNK = 500


@dataclass
class Wrong:
    """How many rows were wrong, and are right now."""

    texts: int = 0
    red_links: int = 0
    numbers: int = 0
    papers: int = 0

    @property
    def total(self) -> int:
        return self.texts + self.red_links + self.numbers + self.papers


def rebuild(session: Session, *, progress: Callable[[int], None] = lambda pages: None) -> Wrong:
    """Make everything derived of pages and papers anew, with its indexes; `progress` counts pages.

    For a database into which rows came past the write path. What a worker derives (vectors, terms,
    what bears on a prediction) is its pending work, and comes with its next run.
    """
    wrong = Wrong(papers=papers(session))
    done = 0
    for ids in chunks(session):
        wrong.texts += texts(session, ids)
        wrong.red_links += red_links(session, ids)
        wrong.numbers += numbers(session, ids)
        done += len(ids)
        progress(done)
    words(session)
    vectors.restore(session)
    unmirrored(session)
    count_now(session, ("wiki", "concepts", TEXTS, SHOWN, ACCEPTED, *map(rows_of, sorted(COUNTED))))
    return wrong


def chunks(session: Session, *, size: int = CHUNK) -> Iterator[list[int]]:
    """The ids of all pages, also of those that are gone, some at a time."""
    last = 0
    while found := session.connection().execute(_NEXT, {"last": last, "size": size}).all():
        ids = [row.id for row in found]
        yield ids
        last = ids[-1]


_NEXT = (
    sa.select(col(Page.id))
    .where(col(Page.id) > sa.bindparam("last"))
    .order_by(col(Page.id))
    .limit(sa.bindparam("size"))
)


# ---------------------------------------------------------------- what search reads


def texts(session: Session, ids: Collection[int]) -> int:
    """The searchable texts of these pages, found by their words. A page that is gone has none."""
    connection = session.connection()
    these = {"ids": list(ids)}
    there = {row.page_id: row for row in connection.execute(_TEXTS, these)}
    told = {each["page_id"]: each for each in _told(session, these)}
    gone = [page_id for page_id in there if page_id not in told]
    new = [each for page_id, each in told.items() if page_id not in there]
    other = [each for key, each in told.items() if key in there and _differs(there[key], each)]
    if gone:
        connection.execute(sa.delete(PageText).where(col(PageText.page_id).in_(gone)))
    if new:
        connection.execute(sa.insert(PageText), new)
    for each in other:
        mine = sa.update(PageText).where(col(PageText.page_id) == each["page_id"])
        connection.execute(mine.values(**each))
    if made := new + other:
        rows = [(each["page_id"], each["title"], each["names"], each["text"]) for each in made]
        called = [each["title"] for each in made]
        search.index_all(session, rows, called=called)
    if gone or made:
        bump(session, TEXTS)
    return len(gone) + len(made)


def _differs(row: Any, told: dict[str, Any]) -> bool:
    return any(getattr(row, name) != value for name, value in told.items())


def _told(session: Session, these: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What the rows of page_text should be."""
    connection = session.connection()
    names: defaultdict[int, list[str]] = defaultdict(list)
    for page_id, name in connection.execute(_NAMES, these):
        names[page_id].append(name)
    above: dict[int, str] = dict(connection.execute(_CLAIMS, these).all())
    for paper in connection.execute(_PAPERS, these).all():
        names[paper.page_id] += paper.authors
        above[paper.page_id] = paper.abstract
    for own in connection.execute(_IDENTIFIERS, these).all():
        names[own.page_id].append(own.value)
    for page in _pages(session, these["ids"]):
        others = "\n".join(names[page.id])
        text = written.searched_text(page.body, page.author_kind, above.get(page.id, ""))
        digest = written.searched_hash(page.title, others, text)
        yield {
            "page_id": page.id,
            "title": page.title,
            "names": others,
            "text": text,
            "hash": digest,
        }


_THESE: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_STANDING = col(Page.kind).not_in(GONE)
_BODIES = sa.select(
    col(Page.id),
    col(Page.title),
    col(Page.body),
    col(Page.kind),
    col(Page.author_kind),
    col(Page.extra),
).where(col(Page.id).in_(_THESE), _STANDING)
_TEXTS = sa.select(*PageText.__table__.columns).where(  # type: ignore[attr-defined]
    col(PageText.page_id).in_(_THESE)
)
_NAMES = (
    sa.select(col(Alias.page_id), col(Alias.name))
    .where(col(Alias.page_id).in_(_THESE), col(Alias.kind) == AliasKind.NAME)
    .order_by(col(Alias.id))
)
_CLAIMS = (
    sa.select(col(Thread.page_id), col(Thread.claim))
    .join(Page, col(Page.id) == col(Thread.page_id))
    .where(col(Thread.page_id).in_(_THESE), col(Page.kind) == PageKind.THREAD)
)
_OF_A_PAPER = (col(Page.kind) == PageKind.PAPER) & col(Paper.page_id).in_(_THESE)
_PAPERS = (
    sa.select(col(Paper.page_id), col(Paper.authors), col(Paper.abstract))
    .join(Page, col(Page.id) == col(Paper.page_id))
    .where(_OF_A_PAPER)
)
_IDENTIFIERS = (
    sa.select(col(Paper.page_id), col(Identifier.value))
    .join(Paper, col(Paper.id) == col(Identifier.paper_id))
    .join(Page, col(Page.id) == col(Paper.page_id))
    .where(_OF_A_PAPER)
    .order_by(col(Identifier.id))
)


def words(session: Session) -> None:
    """The words that mistyped ones are meant to be, of the titles and aliases there are now."""
    session.connection().execute(sa.delete(SQLModel.metadata.tables["title_word"]))
    search.learn_all(session)


# ---------------------------------------------------------------- what follows from bodies


def red_links(session: Session, ids: Collection[int]) -> int:
    """The red links of these pages: how many are there now, or are not any more, that were wrong."""
    return _alike(
        session,
        RedLink,
        ids,
        [
            row
            for page in _pages(session, ids)
            for row in written.red_links(
                session, page.id, page.body, put_in=page.extra.get(written.PUT_IN, ())
            )
        ],
    )


def numbers(session: Session, ids: Collection[int]) -> int:
    """The numbers of papers in the texts of these pages, typed and live."""
    return _alike(
        session,
        PageNumber,
        ids,
        [
            {
                "page_id": page.id,
                "start": each.start,
                "counts": each.counts.value,
                "says": each.says,
                "around": each.around,
            }
            for page in _pages(session, ids)
            for each in counters(page.body)
        ],
    )


def _pages(session: Session, ids: Collection[int]) -> Sequence[Any]:
    """Those of these pages that are not gone: id, title, body, kind, author_kind, extra."""
    return session.connection().execute(_BODIES, {"ids": list(ids)}).all()


def _alike(
    session: Session, table: type[SQLModel], ids: Collection[int], told: list[dict[str, Any]]
) -> int:
    """Let the rows of a table that belong to these pages be these; how many were not."""
    connection = session.connection()
    made: sa.Table = table.__table__  # type: ignore[attr-defined]
    own = made.c.page_id.in_(list(ids))
    there = {tuple(row) for row in connection.execute(sa.select(made).where(own))}
    want = {tuple(row[column.name] for column in made.columns) for row in told}
    if there == want:
        return 0
    connection.execute(sa.delete(made).where(own))
    if told:
        connection.execute(sa.insert(made), told)
    return len(there ^ want)


# ---------------------------------------------------------------- what triggers keep


def papers(session: Session) -> int:
    """Where papers stand in the Inbox, as their triggers would have kept it."""
    changed = session.connection().execute(_PAPERS_IN_ORDER).rowcount
    return max(changed, 0)


# As the triggers of the migrations say it: a test holds the two against each other.
_PAPERS_IN_ORDER = sa.text(
    """UPDATE paper SET score = told.score, topic_id = told.topic_id, came = told.came
    FROM (
        SELECT each.id AS id, newest.topic_id AS topic_id,
            coalesce(
                CASE WHEN newest.id IS NULL THEN NULL WHEN newest.score IS NOT NULL THEN newest.score
                WHEN newest.relevance IS NULL THEN 0 WHEN newest.relevance >= 10 THEN 0.70206
                WHEN newest.relevance = 9 THEN 0.53565 WHEN newest.relevance = 8 THEN 0.36091
                WHEN newest.relevance = 7 THEN 0.21658 WHEN newest.relevance = 6 THEN 0.1192
                WHEN newest.relevance = 5 THEN 0.06214 WHEN newest.relevance = 4 THEN 0.03141
                WHEN newest.relevance = 3 THEN 0.01563 WHEN newest.relevance = 2 THEN 0.00771
                ELSE 0.00379 END
                + (coalesce(newest.relevance, 0) * 10 + coalesce(newest.novelty, 0)) / 1e10,
                0
            ) AS score,
            coalesce(
                (SELECT coalesce(max(CASE WHEN announced = 'new' THEN day END), min(day))
                FROM listing_paper WHERE listing_paper.paper_id = each.id),
                each.published
            ) AS came
        FROM paper AS each LEFT JOIN assessment AS newest ON newest.id =
            (SELECT max(assessment.id) FROM assessment WHERE assessment.paper_id = each.id)
    ) AS told
    WHERE told.id = paper.id AND (paper.score <> told.score OR paper.came <> told.came
        OR coalesce(paper.topic_id, '') <> coalesce(told.topic_id, ''))"""
)


def unmirrored(session: Session) -> None:
    """Let the vault be looked through for every page: its file may not say what the page says."""
    session.connection().execute(_UNMIRRORED)


_UNMIRRORED = sa.text(
    """INSERT INTO unmirrored (page_id, seq) SELECT id, 1 FROM page WHERE true
    ON CONFLICT (page_id) DO UPDATE SET seq = unmirrored.seq + 1"""
)
