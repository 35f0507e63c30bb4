"""Finding pages by words, names and filters, on either engine.

A person's words reach the word index as quoted strings, never as its syntax, so any query has an
answer. What is special to an engine stands in `store/fts5.py` and `store/tsvector.py`, which offer
the same functions (`Index`). Which rankings are joined, and what is said about them, is decided in
services. It reads only, but for `index` and `fill`, which write what is derived from page_text.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations
from math import ceil
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from rapidfuzz import process
from rapidfuzz.distance import OSA
from sqlalchemy.pool import Pool
from sqlmodel import Session, SQLModel

from app.domain.identifiers import parse_arxiv, parse_id
from app.domain.markdown import name_key
from app.domain.queries import (
    Field,
    Filters,
    Query,
    clean,
    has_letters,
    index_words,
    parse_query,
    unspaced,
)
from app.domain.records import GONE, AliasKind, LinkStatus, PageKind, Relation
from app.domain.words import STOP
from app.store import fts5, tsvector
from app.store.db import on_postgresql

ENOUGH = 10  # fewer hits than this by all words, and some of the words will do
PARTIAL = 100  # as many pages are added that have only some of the words
RANKED = 1000  # as many are put in order; the others are only counted
BROAD = 10_000  # of more pages than these, not every one is weighed
FEW = 2_000  # so many pages are looked up one by one
PARTS = 200  # as many pages are found letter by letter
OFFERED = 200  # the newest that match while somebody types; the best of them are offered
CLOSE = 0.72  # how alike a mistyped word must be (1: the same), swapped letters counting once
MOST = 0.6  # how much of what was typed a title must have
MAX_TYPED = 6
MAX_CLOSE = 8  # words a mistyped one may have been meant for
SHORTEST, LONGEST = 3, 40  # letters of the words a mistyped one is compared with


class Why(StrEnum):
    """Why a page is among the results."""

    WORDS = "words"
    MEANING = "meaning"
    BOTH = "both"
    TITLE = "title"
    RECENT = "recent"


@dataclass(frozen=True)
class ThreadRef:
    """A thread a page is an accepted part of."""

    slug: str
    title: str


@dataclass(frozen=True)
class Hit:
    """One result. `snippet` is (text, marked) in reading order; `date` an ISO day, month or year.

    `score` grows with relevance and compares only within one answer.
    """

    page_id: int
    slug: str
    title: str
    kind: PageKind
    score: float
    snippet: tuple[tuple[str, bool], ...]
    why: Why
    date: str = ""
    threads: tuple[ThreadRef, ...] = ()


@dataclass(frozen=True)
class Count:
    """One value a result may be narrowed to, and how many results would stay."""

    value: str
    label: str
    count: int


@dataclass(frozen=True)
class Facets:
    """Counts over a result; kinds, threads and topics by count, years from the newest on."""

    kinds: tuple[Count, ...] = ()
    threads: tuple[Count, ...] = ()
    years: tuple[Count, ...] = ()
    topics: tuple[Count, ...] = ()


@dataclass(frozen=True)
class Matched:
    """Pages best first, as (page id, score), and how many there are in all.

    At most 1,000 are in `ranked`. With `more`, `total` is only the least there are. With `lacking`,
    no page has one of the words, with `apart` none has all of them: a word may be mistyped.
    """

    ranked: list[tuple[int, float]] = field(default_factory=list)
    total: int = 0
    more: bool = False
    lacking: bool = False
    apart: bool = False

    @property
    def is_cut(self) -> bool:
        return self.more or self.total > len(self.ranked)


@dataclass(frozen=True)
class Completion:
    """A page offered while somebody types. `alias` is the other name that matched, or ""."""

    page_id: int
    slug: str
    title: str
    kind: PageKind
    alias: str = ""


# ---------------------------------------------------------------- the engine's part


class Index(Protocol):
    """What an engine's word index does; the modules fts5 and tsvector are each one."""

    @property
    def ROW(self) -> sa.ColumnElement[int]: ...

    def term(self, text: str, *, begins: bool = False, field: Field | None = None) -> str: ...
    def every(self, parts: Sequence[str]) -> str: ...
    def some(self, parts: Sequence[str]) -> str: ...
    def without(self, expression: str, unwanted: Sequence[str]) -> str: ...

    def found(
        self, expression: str, left: Sequence[sa.ColumnElement[bool]] = (), *, names: bool = False
    ) -> sa.Select[Any]: ...
    def score(self, expression: str, *, names: bool = False) -> sa.ColumnElement[float]: ...
    def one_of(self, column: sa.ColumnElement[int]) -> sa.ColumnElement[bool]: ...
    def ids(self, numbers: Collection[int]) -> object: ...
    def day(self, moment: sa.ColumnElement[Any]) -> sa.ColumnElement[str]: ...
    def contains(self, column: sa.ColumnElement[str], part: str) -> sa.ColumnElement[bool]: ...

    def snippets(
        self, session: Session, terms: Sequence[tuple[str, bool]], pages: Collection[int]
    ) -> Mapping[int, tuple[tuple[str, bool], ...]]: ...
    def index(self, session: Session, rows: Sequence[tuple[int, str, str, str]]) -> None: ...
    def wrong(self, session: Session, rows: Sequence[tuple[int, str, str, str]]) -> int: ...
    def is_whole(self, session: Session) -> bool: ...
    def rebuild(self, session: Session) -> None: ...


def _index_of(session: Session) -> Index:
    return tsvector if on_postgresql(session) else fts5


# ---------------------------------------------------------------- what a page has to be

_tables = SQLModel.metadata.tables
_page, _paper, _text, _alias = (_tables[name] for name in ("page", "paper", "page_text", "alias"))
_link, _word = _tables["link"], _tables["title_word"]
Id = sa.ColumnElement[int]
_is_member = sa.and_(_link.c.relation == Relation.PART_OF, _link.c.status == LinkStatus.ACCEPTED)


def _dated(index: Index) -> sa.ColumnElement[str]:
    episode, digest = _tables["episode"], _tables["digest"]

    def published(table: sa.Table) -> sa.ColumnElement[str | None]:
        own = sa.select(sa.func.nullif(table.c.published, ""))
        return own.where(table.c.page_id == _page.c.id).correlate(_page).scalar_subquery()

    day = sa.select(digest.c.day).where(digest.c.page_id == _page.c.id).correlate(_page)
    own = sa.case(
        (_page.c.kind == PageKind.PAPER, published(_paper)),
        (_page.c.kind == PageKind.EPISODE, published(episode)),
        (_page.c.kind == PageKind.DIGEST, day.scalar_subquery()),
    )
    return sa.func.coalesce(own, index.day(_page.c.created_at), type_=sa.String())


_DATE_HERE, _DATE_THERE = _dated(fts5), _dated(tsvector)


def _date(index: Index) -> sa.ColumnElement[str]:
    """The date of a page: that of the publication, else of the day the page was made."""
    return _DATE_THERE if index is tsvector else _DATE_HERE


def _filtered(
    index: Index, filters: Filters, row: Id | None = None, *, broad: bool = False
) -> list[sa.ColumnElement[bool]]:
    """Conditions on the table page, or on the page whose id is in `row` of another table.

    Of many rows, `broad`, it is cheaper to know all pages of a kind than to look each up.
    """
    page = _page.c.id if row is None else row

    def held(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        return (
            sa.and_(*conditions)
            if row is None
            else sa.exists().where(_page.c.id == row, *conditions)
        )

    left: list[sa.ColumnElement[bool]] = []
    if filters.kind and broad:
        left.append(page.in_(sa.select(_page.c.id).where(_page.c.kind == filters.kind)))
    elif filters.kind:
        left.append(held(_page.c.kind == filters.kind))
    if filters.thread:
        thread = _page.alias("thread")
        at = sa.select(thread.c.id).where(thread.c.slug == filters.thread).scalar_subquery()
        members = sa.select(_link.c.source_id).where(_link.c.target_id == at, _is_member)
        left.append(page.in_(members))
    if filters.tag:
        tags = _tables["page_tag"]
        left.append(page.in_(sa.select(tags.c.page_id).where(tags.c.name == filters.tag)))
    if filters.topic:
        left.append(page.in_(_on_topic(filters.topic)))
    # Where only a month or a year is known, "~" (which sorts behind every digit and hyphen) makes
    # it reach to its end.
    date, dated = _date(index), []
    if filters.since:
        dated.append(date.concat("~") > filters.since)
    if filters.until:
        dated.append(date <= filters.until + "~")
    return [*left, held(*dated)] if dated else left


def _newest_assessments() -> sa.Subquery:
    """The newest assessment of each paper, as columns id and paper_id."""
    table = _tables["assessment"]
    newest = sa.select(sa.func.max(table.c.id).label("id"), table.c.paper_id)
    return newest.group_by(table.c.paper_id).subquery("newest")


def _on_topic(topic: str) -> sa.Select[Any]:
    """Selects the pages of papers whose newest assessment names the topic."""
    newest = _newest_assessments()
    assessment, matched = _tables["assessment"], _tables["assessment_topic"]
    other = sa.select(matched.c.assessment_id).where(matched.c.topic_id == topic)
    return (
        sa.select(_paper.c.page_id)
        .join(newest, newest.c.paper_id == _paper.c.id)
        .join(assessment, assessment.c.id == newest.c.id)
        .where(
            _paper.c.page_id.is_not(None),
            sa.or_(assessment.c.topic_id == topic, assessment.c.id.in_(other)),
        )
    )


def _left(index: Index, query: Query, filters: Filters) -> list[sa.ColumnElement[bool]]:
    """Conditions on the table page: filters, and what the query binds besides its words."""
    left = _filtered(index, filters)
    if bound := _bound(index, query):
        left.append(_page.c.id.in_(index.found(index.every(bound))))
    if unwanted := _unwanted(index, query):
        left.append(_page.c.id.not_in(index.found(index.some(unwanted))))
    return left


def _bound(index: Index, query: Query) -> list[str]:
    fields = [index.term(each.text, field=each.field) for each in query.required]
    return [*(index.term(phrase) for phrase in query.phrases), *fields]


def _unwanted(index: Index, query: Query) -> list[str]:
    fields = [each for each in query.fields if each.excluded]
    return [
        *(index.term(text) for text in query.excluded),
        *(index.term(each.text, field=each.field) for each in fields),
    ]


def allowed(session: Session, query: Query, filters: Filters) -> sa.Select[Any] | None:
    """Selects ids of the pages that filters, phrases, fields and exclusions leave; None: all."""
    if not (filters or query.binds):
        return None
    return sa.select(_page.c.id).where(*_left(_index_of(session), query, filters))


def among(session: Session, query: Query, filters: Filters, ids: Collection[int]) -> set[int]:
    """Which of these pages filters, phrases, fields and exclusions leave."""
    index = _index_of(session)
    left = _left(index, query, filters)
    these = sa.select(_page.c.id).where(index.one_of(_page.c.id), *left)
    return {row[0] for row in session.connection().execute(these, {"ids": index.ids(ids)})}


def recent(
    session: Session, query: Query, filters: Filters, *, limit: int, by_date: bool = False
) -> Matched:
    """The pages that filters and exclusions leave, the one changed last first, or by their date."""
    index = _index_of(session)
    left = _left(index, query, filters)
    first = _date(index) if by_date else _page.c.updated_at
    order = (first.desc(), _page.c.id.desc())
    there = _page.c.kind.not_in(GONE)
    rows = session.connection().execute(
        sa.select(_page.c.id).where(there, *left).order_by(*order).limit(limit)
    )
    ranked = [(row[0], 0.0) for row in rows]
    if len(ranked) < limit:
        return Matched(ranked, len(ranked))
    if not left:
        return Matched(ranked, _count(session, sa.select(_page.c.id).where(there)))
    most = limit + BROAD
    total = _count(session, sa.select(_page.c.id).where(there, *left).limit(most))
    return Matched(ranked, total, more=total == most)


def _count(session: Session, statement: sa.Select[Any]) -> int:
    counted = sa.select(sa.func.count()).select_from(statement.subquery())
    return session.connection().execute(counted).scalar_one()


def by_date(session: Session, ids: Collection[int]) -> list[int]:
    """The same pages, the newest first by their own date."""
    asked = {"ids": _index_of(session).ids(ids)}
    return [row[0] for row in session.connection().execute(_of_pages(session).by_date, asked)]


def thread_title(session: Session, slug: str) -> str | None:
    """What the thread at this address is called, or None when there is none."""
    title = sa.select(_page.c.title).where(_page.c.slug == slug, _page.c.kind == PageKind.THREAD)
    return session.connection().execute(title).scalar()


def topic_name(session: Session, topic: str) -> str | None:
    """What the topic of this id is called, or None when there is none."""
    table = _tables["topic"]
    return session.connection().execute(sa.select(table.c.name).where(table.c.id == topic)).scalar()


# ---------------------------------------------------------------- of pages that are known

_OFFERED = (_page.c.id, _page.c.slug, _page.c.title, _page.c.kind)


class _OfPages:
    """Statements about the pages whose ids the parameter `ids` lists; made once for each engine."""

    def __init__(self, index: Index) -> None:
        these, date = index.one_of(_page.c.id), _date(index)
        self.by_date = sa.select(_page.c.id).where(these).order_by(date.desc(), _page.c.id.desc())
        self.titles = sa.select(_page.c.id, _page.c.title).where(these)
        self.aliases = sa.select(_alias.c.page_id, _alias.c.name).where(
            index.one_of(_alias.c.page_id), _alias.c.kind == AliasKind.NAME
        )
        self.offered = sa.select(*_OFFERED).where(these)
        start = sa.func.substr(_text.c.text, 1, 400)
        self.shown = (
            sa.select(*_OFFERED, date, start)
            .outerjoin(_text, _text.c.page_id == _page.c.id)
            .where(these)
        )
        self.members = (
            sa.select(_link.c.source_id, _page.c.slug, _page.c.title)
            .join(_page, _page.c.id == _link.c.target_id)
            .where(_is_member, index.one_of(_link.c.source_id))
            .order_by(_link.c.source_id, _page.c.title)
        )
        year = sa.func.substr(date, 1, 4).label("year")
        dated = sa.select(_page.c.kind, year).where(these).subquery()
        self.kinds = sa.select(dated.c.kind, dated.c.year, sa.func.count()).group_by(
            dated.c.kind, dated.c.year
        )
        self.threads, self.topics = _threads_among(index), _topics_among(index)


def _threads_among(index: Index) -> sa.Select[Any]:
    members = (
        sa.select(_link.c.target_id, sa.func.count().label("count"))
        .where(_is_member, index.one_of(_link.c.source_id))
        .group_by(_link.c.target_id)
        .subquery()
    )
    of_thread = sa.select(_page.c.slug, _page.c.title, members.c.count)
    return of_thread.join(members, members.c.target_id == _page.c.id)


def _topics_among(index: Index) -> sa.Select[Any]:
    assessment, matched, topic = (
        _tables[name] for name in ("assessment", "assessment_topic", "topic")
    )
    newest = (
        sa.select(sa.func.max(assessment.c.id).label("id"))
        .join(_paper, _paper.c.id == assessment.c.paper_id)
        .where(index.one_of(_paper.c.page_id))
        .group_by(assessment.c.paper_id)
        .cte("newest")
    )
    primary = sa.select(assessment.c.id, assessment.c.topic_id).join(
        newest, newest.c.id == assessment.c.id
    )
    others = sa.select(matched.c.assessment_id, matched.c.topic_id).join(
        newest, newest.c.id == matched.c.assessment_id
    )
    named = sa.union(primary, others).subquery()
    counted = sa.select(topic.c.id, topic.c.name, sa.func.count())
    return counted.join(named, named.c.topic_id == topic.c.id).group_by(topic.c.id, topic.c.name)


_HERE, _THERE = _OfPages(fts5), _OfPages(tsvector)


def _of_pages(session: Session) -> _OfPages:
    return _THERE if on_postgresql(session) else _HERE


# ---------------------------------------------------------------- by words


def match(
    session: Session,
    query: Query,
    filters: Filters,
    *,
    typing: bool = False,
    by_date: bool = False,
) -> Matched:
    """Pages that hold the words, best first; with `by_date` the newest of them first.

    First those with every word; where they are fewer than ten, the best hundred with some follow.
    Phrases, fields and exclusions always hold. With `typing` the last word may be a beginning.
    Where more than 10,000 pages have the words, those that have them in title or names are weighed
    and the newest of the others follow; under filters no more than these are counted. Empty when
    the query has no word an index can know.
    """
    index = _index_of(session)
    terms = [index.term(text, begins=begins) for text, begins in _terms(query, typing=typing)]
    bound = _bound(index, query)
    if not terms and not bound:
        return Matched()
    ask = _Words(session, index, filters, _unwanted(index, query))
    found = ask.best(index.every([*bound, *terms]), by_date=by_date)
    if found.total >= ENOUGH or len(terms) < 2:
        return found
    partly, lacking = ask.partly(terms, bound)
    known = {page_id for page_id, _ in found.ranked}
    # Whoever has only some of the words never stands before one that has them all.
    floor = min((score for _, score in found.ranked), default=float("inf"))
    rest = [(page_id, min(score, floor)) for page_id, score in partly if page_id not in known]
    ranked = [*found.ranked, *rest[:PARTIAL]]
    return Matched(ranked, len(ranked), lacking=lacking, apart=not found.total)


@dataclass(frozen=True)
class _Words:
    """Statements over the word index, for pages that filters and exclusions leave."""

    session: Session
    index: Index
    filters: Filters
    unwanted: Sequence[str] = ()

    def found(
        self,
        expression: str,
        left: Sequence[sa.ColumnElement[bool]] = (),
        *,
        names: bool = False,
    ) -> sa.Select[Any]:
        if not names:
            return self.index.found(self.index.without(expression, self.unwanted), left)
        found = self.index.found(expression, left, names=True)
        if self.unwanted:
            # Elsewhere in the page it is unwanted too.
            others = self.index.found(self.index.some(self.unwanted))
            found = found.where(self.index.ROW.not_in(others))
        return found

    def best(self, expression: str, *, by_date: bool = False) -> Matched:
        """The best thousand pages that match, and how many match."""
        total = self.count(expression)
        if self.filters:
            # What a page is costs more than that it matches: it is asked once.
            ids = self.newest(expression, BROAD + 1, broad=total > FEW)
            total = len(ids)
            if total <= BROAD:
                among = [self.index.one_of(self.index.ROW)]
                ordered = self.dated if by_date else self.weighed
                return Matched(ordered(expression, among, RANKED, ids) if ids else [], total)
        if by_date:
            ranked = self.dated(expression, self.conditions(broad=True), RANKED)
        elif total > BROAD:
            ranked = self.broadly(expression)
        else:
            ranked = self.weighed(expression, [], RANKED)
        return Matched(ranked, total, more=bool(self.filters))

    def conditions(self, *, broad: bool) -> list[sa.ColumnElement[bool]]:
        return _filtered(self.index, self.filters, self.index.ROW, broad=broad)

    def count(self, expression: str) -> int:
        """How many pages match, whatever the filters."""
        return _count(self.session, self.found(expression))

    def weighed(
        self,
        expression: str,
        left: Sequence[sa.ColumnElement[bool]],
        limit: int,
        ids: Collection[int] = (),
    ) -> list[tuple[int, float]]:
        score = self.index.score(expression).label("score")
        found = self.found(expression, left).add_columns(score)
        return self._rows(found.order_by(score.desc(), sa.text("id")).limit(limit), ids)

    def broadly(self, expression: str) -> list[tuple[int, float]]:
        """The best by title and names, then the newest: weighing every page would take too long."""
        score = self.index.score(expression, names=True).label("score")
        left = self.conditions(broad=False)
        found = self.found(expression, left, names=True).add_columns(score)
        weighed = found.order_by(sa.text("id DESC")).limit(BROAD).subquery()
        best = sa.select(weighed).order_by(weighed.c.score.desc(), weighed.c.id).limit(RANKED)
        ranked = self._rows(best)
        if len(ranked) < RANKED:
            known = {page_id for page_id, _ in ranked}
            least = min((score for _, score in ranked), default=0.0)
            newest = self.newest(expression, RANKED)
            ranked += [(page_id, least) for page_id in newest if page_id not in known]
        return ranked[:RANKED]

    def newest(
        self, expression: str, limit: int, *, names: bool = False, broad: bool = False
    ) -> list[int]:
        found = self.found(expression, self.conditions(broad=broad), names=names)
        rows = self.session.connection().execute(found.order_by(sa.text("id DESC")).limit(limit))
        return [row[0] for row in rows]

    def dated(
        self,
        expression: str,
        left: Sequence[sa.ColumnElement[bool]],
        limit: int,
        ids: Collection[int] = (),
    ) -> list[tuple[int, float]]:
        """The newest by their own date."""
        date = sa.select(_date(self.index)).where(_page.c.id == self.index.ROW)
        when = date.scalar_subquery().label("date")
        found = self.found(expression, left).add_columns(when)
        ordered = found.order_by(when.desc(), sa.text("id DESC")).limit(limit)
        return [(page_id, 0.0) for page_id, _ in self._pairs(ordered, ids)]

    def partly(
        self, terms: Sequence[str], bound: Sequence[str]
    ) -> tuple[list[tuple[int, float]], bool]:
        """The best pages that have some of the terms, and whether no page has one of them.

        The rarest terms count: others are everywhere.
        """
        counts = sorted((self.count(term), place) for place, term in enumerate(terms))
        room = BROAD
        telling: list[str] = []
        for count, place in counts:
            if room < BROAD and count > room:
                break
            room -= count
            telling.append(terms[place])
        lacking = counts[0][0] == 0
        expression = self.index.every([*bound, self.index.some(telling)])
        if room < 0:
            return self.broadly(expression)[: PARTIAL + ENOUGH], lacking
        left = self.conditions(broad=BROAD - room > FEW)
        return self.weighed(expression, left, PARTIAL + ENOUGH), lacking

    def _rows(
        self, statement: sa.Select[Any], ids: Collection[int] = ()
    ) -> list[tuple[int, float]]:
        return [(page_id, float(score)) for page_id, score in self._pairs(statement, ids)]

    def _pairs(self, statement: sa.Select[Any], ids: Collection[int]) -> Iterable[Any]:
        """Rows of a statement; `ids` are those it may ask for."""
        asked = {"ids": self.index.ids(ids)} if ids else {}
        return self.session.connection().execute(statement, asked)


def holding(session: Session, query: Query, ids: Collection[int], *, typing: bool) -> set[int]:
    """Which of these pages hold every word of the query."""
    index = _index_of(session)
    terms = [index.term(text, begins=begins) for text, begins in _terms(query, typing=typing)]
    if not ids or not (parts := [*_bound(index, query), *terms]):
        return set()
    expression = index.without(index.every(parts), _unwanted(index, query))
    found = index.found(expression).subquery()
    these = sa.select(found.c.id).where(index.one_of(found.c.id))
    return {row[0] for row in session.connection().execute(these, {"ids": index.ids(ids)})}


def _terms(query: Query, *, typing: bool = False) -> list[tuple[str, bool]]:
    """The words as (text, may be a beginning). Little words count only where there are no others."""
    known = [word for word in query.words if has_letters(word)]
    last = known[-1] if typing and known and known[-1] == query.words[-1] else None
    telling = [word for word in known if word.casefold() not in STOP or word is last]
    return [
        (word, word.endswith("*") or (word is last and len(word) > 1)) for word in telling or known
    ]


def containing(session: Session, query: Query, filters: Filters) -> list[int]:
    """Pages in which the query stands letter for letter, at most 200, titles first.

    For what a word index does not know: signs alone, and scripts that put no space between words.
    Empty, without a look, for other queries.
    """
    part = query.plain.replace('"', "").strip()
    if not part or (has_letters(part) and not unspaced(part)):
        return []
    index = _index_of(session)
    fields = (_text.c.title, _text.c.names, _text.c.text)
    holds = sa.or_(*(index.contains(each, part) for each in fields))
    statement = (
        sa.select(_page.c.id)
        .join(_text, _text.c.page_id == _page.c.id)
        .where(holds, *_left(index, query, filters))
        .order_by(index.contains(_text.c.title, part).desc(), _page.c.updated_at.desc())
        .limit(PARTS)
    )
    return [row[0] for row in session.connection().execute(statement)]


# ---------------------------------------------------------------- by name

_NAMED = sa.text(
    """SELECT page.id, 0 AS place FROM page WHERE page.slug = :slug AND page.kind NOT IN ('merged', 'removed')
    UNION ALL SELECT page.id, 1 FROM page WHERE page.title_key = :key
    UNION ALL SELECT alias.page_id, 2 FROM alias WHERE alias.key = :key
    ORDER BY place, 1 LIMIT 20"""
)
_IDENTIFIED = sa.text(
    """SELECT COALESCE(identifier.page_id, paper.page_id) AS page_id
    FROM identifier LEFT JOIN paper ON paper.id = identifier.paper_id
    WHERE identifier.scheme = :scheme AND identifier.value = :value
      AND COALESCE(identifier.page_id, paper.page_id) IS NOT NULL"""
)


def named(session: Session, text: str, query: Query, filters: Filters) -> list[int]:
    """Pages whose slug, title, alias, former address or identifier the text is, as filtered."""
    plain = clean(text)
    found: list[int] = []
    if key := name_key(plain):
        rows = session.connection().execute(_NAMED, {"slug": plain.lower(), "key": key})
        found += [row[0] for row in rows]
    if identifier := parse_id(plain) or parse_arxiv(plain):
        values = {"scheme": identifier.scheme, "value": identifier.value}
        found += [row[0] for row in session.connection().execute(_IDENTIFIED, values)]
    distinct = list(dict.fromkeys(found))
    if distinct and (filters or query.binds):
        kept = among(session, query, filters, distinct)
        return [page_id for page_id in distinct if page_id in kept]
    return distinct


# ---------------------------------------------------------------- mistyped names


class _Vocabulary:
    """The words of all titles and aliases, by length; read once and then only what is new."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = (0, "")
        self.by_length: dict[int, list[str]] = {}

    def refresh(self, session: Session) -> None:
        statement = sa.select(_word.c.id, _word.c.word).order_by(_word.c.id)
        with self._lock:
            since = statement.where(_word.c.id >= self._last[0])
            rows = session.connection().execute(since).all()
            # Writers take turns, so ids come in order; where the last known word is another now,
            # it was taken back, and all is read anew.
            if rows and self._last[0] and tuple(rows[0]) == self._last:
                rows = rows[1:]
            elif self._last[0]:
                self.by_length = {}
                rows = session.connection().execute(statement).all()
                self._last = (0, "")
            for number, word in rows:
                self._last = (number, word)
                self.by_length.setdefault(len(word), []).append(word)

    def close(self, typed: str) -> dict[str, float]:
        """Words that may have been meant, with their likeness from 0.72 to 1; the nearest eight."""
        length = len(typed)
        near = {}
        for size in range(ceil(length * CLOSE), int(length / CLOSE) + 1):
            for word, score, _ in process.extract(
                typed,
                self.by_length.get(size, ()),
                scorer=OSA.normalized_similarity,
                score_cutoff=CLOSE,
                limit=MAX_CLOSE,
            ):
                near[word] = score
        best = sorted(near.items(), key=lambda each: (-each[1], each[0]))[:MAX_CLOSE]
        return dict(best)


# A vocabulary for each database: engines of one database share its pool.
_vocabularies: WeakKeyDictionary[Pool, _Vocabulary] = WeakKeyDictionary()


def _vocabulary(session: Session) -> _Vocabulary:
    known = _vocabularies.setdefault(session.get_bind().engine.pool, _Vocabulary())
    known.refresh(session)
    return known


def near_titles(
    session: Session, query: Query, filters: Filters, *, limit: int = 10
) -> list[tuple[int, float]]:
    """Pages whose title or alias is nearly what was typed, as (page id, likeness 0..1), best first.

    The words are corrected by those of all titles; one title or alias has to have most of their
    letters. Of those that are as near, the one with fewer words comes first.
    """
    typed = [word for word in index_words(query.plain) if word not in STOP][:MAX_TYPED]
    if not any(len(word) > 3 for word in typed):
        return []
    vocabulary = _vocabulary(session)
    # What is too short to be mistyped recognisably is not in the vocabulary: it stands for itself.
    close = [
        (len(word), near)
        for word in typed
        if (near := {word: 1.0} if len(word) < SHORTEST else vocabulary.close(word))
    ]
    least = ceil(MOST * len(typed))
    if len(close) < least:
        return []
    index = _index_of(session)
    groups = [index.some([index.term(word) for word in near]) for _, near in close]
    enough = [index.every(some) for some in combinations(groups, least)]
    expression = index.every([*_bound(index, query), index.some(enough)])
    ask = _Words(session, index, filters, _unwanted(index, query))
    letters = sum(map(len, typed))
    best: dict[int, tuple[float, int]] = {}
    for page_id, name in _names_of(session, ask.newest(expression, RANKED, names=True)):
        held = set(index_words(name))
        met = sum(
            size * max((near[word] for word in held & near.keys()), default=0.0)
            for size, near in close
        )
        found = (met / letters, -len(held))
        best[page_id] = max(best.get(page_id, found), found)
    order = sorted(best, key=lambda page_id: (*(-value for value in best[page_id]), page_id))
    return [(page_id, best[page_id][0]) for page_id in order if best[page_id][0] >= MOST][:limit]


def _names_of(session: Session, ids: Collection[int]) -> Iterator[tuple[int, str]]:
    """Titles and aliases of these pages, as (page id, name)."""
    if not ids:
        return
    asked, of_pages = {"ids": _index_of(session).ids(ids)}, _of_pages(session)
    yield from session.connection().execute(of_pages.titles, asked)
    yield from session.connection().execute(of_pages.aliases, asked)


# ---------------------------------------------------------------- while somebody types

_BEGINNING = sa.text(
    """SELECT page.id, page.slug, page.title, page.kind, begun.alias
    FROM (
        SELECT * FROM (
            SELECT id AS page_id, title_key AS key, '' AS alias FROM page
            WHERE title_key >= :key AND title_key < :stop ORDER BY title_key LIMIT :most
        ) AS titled
        UNION ALL
        SELECT * FROM (
            SELECT page_id, key, CASE kind WHEN 'name' THEN name ELSE '' END FROM alias
            WHERE key >= :key AND key < :stop ORDER BY key LIMIT :most
        ) AS other
    ) AS begun JOIN page ON page.id = begun.page_id
    ORDER BY begun.key <> :key, begun.alias <> '', LENGTH(begun.key), page.title, page.id
    LIMIT :limit"""
)


def complete(session: Session, text: str, *, limit: int = 8) -> tuple[Completion, ...]:
    """Pages to offer while a name is typed, for the palette and after `[[`.

    The title or alias itself, then what begins with it, then pages with these words in title or
    names, then anywhere; of many, the newest. Without text the pages changed last.
    """
    limit = max(1, min(limit, 50))
    connection = session.connection()
    plain = clean(text)
    if not plain:
        newest = sa.select(*_OFFERED).where(_page.c.kind.not_in(GONE))
        newest = newest.order_by(_page.c.updated_at.desc(), _page.c.id.desc())
        return _completions((*row, "") for row in connection.execute(newest.limit(limit)))
    key = name_key(plain)
    found: tuple[Completion, ...] = ()
    if key:
        values = {"key": key, "stop": key + "\U0010ffff", "most": OFFERED, "limit": limit * 2}
        found = _completions(connection.execute(_BEGINNING, values), limit=limit)
    index = _index_of(session)
    terms = [
        index.term(word, begins=begins) for word, begins in _terms(parse_query(plain), typing=True)
    ]
    ask = _Words(session, index, Filters())
    for names in (True, False):
        # One letter begins too many words, and two in the text say nothing.
        if len(found) >= limit or not terms or len(plain) < (2 if names else 3):
            break
        ids = ask.newest(index.every(terms), OFFERED if names else limit * 2, names=names)
        rows = connection.execute(_of_pages(session).offered, {"ids": index.ids(ids)}).all()
        more = _completions((*row, "") for row in _told(rows, plain, ids, names=names))
        known = {each.page_id for each in found}
        found = (*found, *(each for each in more if each.page_id not in known))[:limit]
    return found


def _told(rows: Sequence[Any], typed: str, ids: Sequence[int], *, names: bool) -> list[Any]:
    """In the order of offering: titles that have the words, short ones first; else the newest."""
    place = {page_id: at for at, page_id in enumerate(ids)}
    if not names:
        return sorted(rows, key=lambda row: place[row[0]])
    words = index_words(typed)

    def order(row: Any) -> tuple[bool, int, int]:
        title = index_words(row[2])
        held = all(any(each.startswith(word[:4]) for each in title) for word in words)
        return not held, len(row[2]), place[row[0]]

    return sorted(rows, key=order)


def _completions(rows: Iterable[Any], *, limit: int | None = None) -> tuple[Completion, ...]:
    distinct: dict[int, Completion] = {}
    for page_id, slug, title, kind, alias in rows:
        distinct.setdefault(page_id, Completion(page_id, slug, title, PageKind(kind), alias))
    return tuple(distinct.values())[:limit]


# ---------------------------------------------------------------- as shown


def facets(session: Session, ids: Collection[int]) -> Facets:
    """How many of these pages are of each kind, year and topic, and in each thread (first 20)."""
    if not ids:
        return Facets()
    connection, of_pages = session.connection(), _of_pages(session)
    asked = {"ids": _index_of(session).ids(ids)}
    kinds: dict[str, int] = {}
    years: dict[str, int] = {}
    for kind, when, count in connection.execute(of_pages.kinds, asked):
        kinds[kind] = kinds.get(kind, 0) + count
        years[when] = years.get(when, 0) + count
    return Facets(
        kinds=_counts((kind, kind, count) for kind, count in kinds.items()),
        threads=_counts(connection.execute(of_pages.threads, asked))[:20],
        years=tuple(Count(y, y, n) for y, n in sorted(years.items(), reverse=True) if y),
        topics=_counts(connection.execute(of_pages.topics, asked))[:20],
    )


def _counts(rows: Iterable[tuple[str, str, int]]) -> tuple[Count, ...]:
    return tuple(Count(*row) for row in sorted(rows, key=lambda row: (-row[2], row[1], row[0])))


def hits(
    session: Session,
    query: Query,
    ids: Sequence[int],
    *,
    why: Mapping[int, Why],
    scores: Mapping[int, float],
    typing: bool = False,
) -> tuple[Hit, ...]:
    """These pages as results, in the order given; one that is gone meanwhile is left out.

    The snippet shows the words where they stand; without any, how the text begins.
    """
    if not ids:
        return ()
    index, connection, of_pages = _index_of(session), session.connection(), _of_pages(session)
    asked = {"ids": index.ids(ids)}
    threads: dict[int, list[ThreadRef]] = {}
    for page_id, slug, title in connection.execute(of_pages.members, asked):
        threads.setdefault(page_id, []).append(ThreadRef(slug, title))
    terms = [*_terms(query, typing=typing), *((phrase, False) for phrase in query.phrases)]
    snippets = index.snippets(session, terms, ids) if terms else {}
    found = []
    shown = {row[0]: row for row in connection.execute(of_pages.shown, asked)}
    for page_id in ids:
        if page_id not in shown:
            continue
        _, slug, title, kind, date, start = shown[page_id]
        found.append(
            Hit(
                page_id=page_id,
                slug=slug,
                title=title,
                kind=PageKind(kind),
                score=scores.get(page_id, 0.0),
                snippet=snippets.get(page_id) or _beginning(start or ""),
                why=why.get(page_id, Why.RECENT),
                date=date,
                threads=tuple(threads.get(page_id, ())),
            )
        )
    return tuple(found)


def _beginning(text: str) -> tuple[tuple[str, bool], ...]:
    plain = " ".join(text.split())
    if len(plain) > 240:
        plain = plain[:240].rsplit(" ", 1)[0] + " …"
    return ((plain, False),) if plain else ()


def saying(session: Session, phrase: str, *, limit: int) -> list[int]:
    """Pages whose title, names or text have the words of a phrase one after the other, the newest first.

    As the word index has words: without case and endings.
    """
    return saying_any(session, [phrase], limit=limit)


def saying_any(
    session: Session, phrases: Sequence[str], *, limit: int, unlinked_to: int | None = None
) -> list[int]:
    """The same for any of several phrases; those alone that have no link to the page `unlinked_to`."""
    index = _index_of(session)
    terms = [index.term(words) for each in phrases if (words := " ".join(index_words(each)))]
    if not terms:
        return []
    linked = sa.exists().where(_link.c.source_id == index.ROW, _link.c.target_id == unlinked_to)
    found = index.found(index.some(terms), [] if unlinked_to is None else [~linked])
    statement = found.order_by(sa.text("id DESC")).limit(limit)
    return list(session.connection().execute(statement).scalars())


# ---------------------------------------------------------------- writing


def index(
    session: Session, page_id: int, *, title: str, names: str, text: str, aliases: Sequence[str]
) -> None:
    """Make the searchable text of a page found: called by whoever writes a row of page_text.

    `names` holds the aliases too, beside authors and identifiers, whose words no title has.
    """
    index_all(session, [(page_id, title, names, text)], called=[title, *aliases])


def index_all(
    session: Session, rows: Sequence[tuple[int, str, str, str]], *, called: Iterable[str]
) -> None:
    """Make rows of page_text found: page id, title, names, text. `called` are titles and aliases."""
    _index_of(session).index(session, rows)
    _learn(session, called)


def unfound(session: Session, ids: Collection[int]) -> int:
    """How many of these pages were not found by just the words of their page_text; now they are."""
    rows = session.connection().execute(
        sa.select(_text.c.page_id, _text.c.title, _text.c.names, _text.c.text).where(
            _text.c.page_id.in_(list(ids))
        )
    )
    every = [cast("tuple[int, str, str, str]", tuple(row)) for row in rows]
    return _index_of(session).wrong(session, every)


def is_whole(session: Session) -> bool:
    """Whether the word index as a whole says the same as page_text."""
    return _index_of(session).is_whole(session)


def unlearned(session: Session) -> int:
    """How many words of titles and aliases a mistyped one could not be corrected by."""
    known = set(session.connection().execute(sa.select(_word.c.word)).scalars())
    aliases = sa.select(_alias.c.name).where(_alias.c.kind == AliasKind.NAME)
    wanted: set[str] = set()
    for names in (sa.select(_text.c.title), aliases):
        for some in session.connection().execute(names).scalars().partitions(5_000):
            wanted |= _learnable(some)
    return len(wanted - known)


def rebuild(session: Session) -> None:
    """Make all that searching needs anew from page_text, after its rows were copied in."""
    _index_of(session).rebuild(session)
    fill(session)


def fill(session: Session, *, batch: int = 500) -> None:
    """Make all rows of page_text found, as if each had just been written."""
    connection = session.connection()
    last = 0
    while rows := connection.execute(
        sa.select(_text.c.page_id, _text.c.title, _text.c.names, _text.c.text)
        .where(_text.c.page_id > last)
        .order_by(_text.c.page_id)
        .limit(batch)
    ).all():
        last = rows[-1][0]
        _index_of(session).index(session, [cast("tuple[int, str, str, str]", row) for row in rows])
    learn_all(session)


def learn_all(session: Session, *, batch: int = 5_000) -> None:
    """Keep the words of every title and alias, so that a mistyped one can be corrected by them."""
    aliases = sa.select(_alias.c.name).where(_alias.c.kind == AliasKind.NAME)
    for names in (sa.select(_text.c.title), aliases):
        found = session.connection().execute(names).scalars()
        for some in found.partitions(batch):
            _learn(session, some)


def _learn(session: Session, names: Iterable[str]) -> None:
    """Keep the words of these names, so that a mistyped one can be corrected by them."""
    words = _learnable(names)
    connection = session.connection()
    for chunk in _chunks(sorted(words), 500):
        known = connection.execute(sa.select(_word.c.word).where(_word.c.word.in_(chunk)))
        if new := sorted(set(chunk) - set(known.scalars())):
            connection.execute(_NEW_WORD, [{"word": word} for word in new])


def _learnable(names: Iterable[str]) -> set[str]:
    return {
        word
        for name in names
        for word in index_words(name)
        if SHORTEST <= len(word) <= LONGEST and not word.isdigit()
    }


# Another writer may have had the word in the same moment.
_NEW_WORD = sa.text("INSERT INTO title_word (word) VALUES (:word) ON CONFLICT (word) DO NOTHING")


def _chunks(words: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(words), size):
        yield words[start : start + size]
