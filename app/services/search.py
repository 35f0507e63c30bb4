"""Search: words and meaning joined into one ranked, filtered, explained answer.

It only reads: who wants the vector of a query kept passes `remember`. Without vectors, or when
the encoder does not answer in time, words alone answer, and the answer says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session

from app.domain.asof import as_of
from app.domain.identifiers import clean_date, is_slug
from app.domain.queries import (
    MAX_TOPIC,
    Filters,
    Query,
    clean,
    fuse,
    fused_scores,
    has_letters,
    index_words,
    parse_query,
)
from app.domain.records import KINDS, PageKind
from app.domain.threads import STATES as THREAD_STATES
from app.embeddings.base import QueryEncoder
from app.errors import Invalid
from app.store import pages
from app.store import search as found_by
from app.store import threads as stored_threads
from app.store.pages import PageRef
from app.store.search import RANKED, Facets, Hit, Matched, ThreadRef, Why
from app.store.threads import Says, ThreadRow
from app.store.vectors import VectorIndex, recall

NEAREST = 50  # pages that meaning may add
SIMILAR = 0.25  # below this cosine two texts have nothing in common
MEANT = 3  # titles that may have been meant, before pages with only some of the words
MAX_PAGE = 100

Remember = Callable[[str, str, NDArray[np.float32]], None]

NO_ENCODER = "The encoder did not answer in time: found by words alone."
NO_VECTORS = "No page has a vector yet: found by words alone."
ONLY_SIGNS = "There is nothing to look for in this. Use letters or digits."
ONLY_MEANING = "No page has these words. These are nearest by meaning."
ONLY_TITLES = "No page has these words. These titles are close."


class Mode(StrEnum):
    """By what pages are found."""

    WORDS = "words"
    MEANING = "meaning"
    BOTH = "both"


class Sort(StrEnum):
    RELEVANCE = "relevance"
    DATE = "date"


@dataclass(frozen=True)
class Group:
    """The results of this screen that are part of one thread; `thread` is None for the others."""

    thread: ThreadRef | None
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class Results:
    """One screen of an answer. `total` counts all of it; `mode` is how it was found in the end.

    With `more`, `total` is only the least there are. Screens reach to the first `reach` results,
    and the facets count the first `counted`. `notice` is a sentence for the reader when something
    about the answer is not as asked, or "".
    """

    hits: tuple[Hit, ...] = ()
    total: int = 0
    more: bool = False
    reach: int = 0
    facets: Facets = field(default_factory=Facets)
    counted: int = 0
    notice: str = ""
    mode: Mode = Mode.WORDS
    filters: Filters = field(default_factory=Filters)

    def by_thread(self) -> tuple[Group, ...]:
        """The hits grouped by thread, in the order of their best hit; those in none come last."""
        groups: dict[ThreadRef | None, list[Hit]] = {}
        for hit in self.hits:
            for thread in hit.threads or (None,):
                groups.setdefault(thread, []).append(hit)
        named = [Group(thread, tuple(hits)) for thread, hits in groups.items() if thread]
        return (*named, Group(None, tuple(groups[None]))) if None in groups else tuple(named)


@dataclass
class _Answer:
    """A ranking while it is put together."""

    ranked: list[int] = field(default_factory=list)
    why: dict[int, Why] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)
    total: int = 0
    more: bool = False
    notice: str = ""
    mode: Mode = Mode.WORDS

    def add(self, ranking: list[tuple[int, float]], why: Why) -> None:
        """Put pages behind those that are there already."""
        for page_id, score in ranking:
            if page_id not in self.why:
                self.ranked.append(page_id)
                self.why[page_id] = why
                self.scores[page_id] = score


def search(
    session: Session,
    text: str,
    *,
    mode: str = Mode.BOTH,
    kind: str | None = None,
    thread: str | None = None,
    since: str | None = None,
    until: str | None = None,
    tag: str | None = None,
    topic: str | None = None,
    sort: str = Sort.RELEVANCE,
    limit: int = 20,
    offset: int = 0,
    typing: bool = False,
    faceted: bool = True,
    index: VectorIndex | None = None,
    query_encoder: QueryEncoder | None = None,
    remember: Remember | None = None,
) -> Results:
    """Find pages by words, by meaning, or by both (ranks joined); without text, the recent ones.

    Operators in the text win over the filters beside it. Dates are ISO days, months or years, both
    ends included. `limit` is at most 100. The best 1,000 results by words can be reached and are
    counted in the facets; `total` counts all. With `typing` the last word may be a beginning.
    `remember(model, text, vector)` is called for a vector that was made anew. Raises Invalid for a
    mode, kind, sort, thread address or date that cannot be.
    """
    wanted, order = _mode(mode), _sort(sort)
    query = parse_query(text)
    filters = _narrowed(
        query.filters, kind=kind, thread=thread, since=since, until=until, tag=tag, topic=topic
    )
    limit, offset = max(1, min(limit, MAX_PAGE)), max(0, offset)
    by_date = order is Sort.DATE
    if query.is_empty:
        least = max(offset + limit, RANKED if faceted else 0)
        found = found_by.recent(session, query, filters, limit=least, by_date=by_date)
        answer = _Answer([page_id for page_id, _ in found.ranked])
        answer.total, answer.more = found.total, found.more
        reach = found.total
    else:
        meaning = _Meaning(index, query_encoder, remember)
        answer = _find(_Ask(session, text, query, filters, meaning, typing, by_date), wanted)
        reach = len(answer.ranked)
        if by_date:
            answer.ranked = found_by.by_date(session, answer.ranked)
    ranked = answer.ranked
    counted = ranked[:RANKED] if faceted else []
    return Results(
        hits=found_by.hits(
            session,
            query,
            ranked[offset : offset + limit],
            why=answer.why,
            scores=answer.scores,
            typing=typing,
        ),
        total=answer.total,
        more=answer.more,
        reach=reach,
        facets=found_by.facets(session, counted),
        counted=len(counted),
        notice=answer.notice if ranked else _why_nothing(session, query, filters),
        mode=answer.mode,
        filters=filters,
    )


@dataclass(frozen=True)
class _Meaning:
    """What meaning needs, where it is there at all."""

    index: VectorIndex | None
    encoder: QueryEncoder | None
    remember: Remember | None

    def near(
        self, session: Session, query: Query, filters: Filters
    ) -> tuple[list[tuple[int, float]], str]:
        """Pages near in meaning, and a sentence when meaning could not be asked."""
        if not has_letters(query.plain):
            return [], ""
        if self.index is None:
            return [], NO_VECTORS if self.encoder else ""
        self.index.refresh(session)
        if not self.index.dim:
            return [], NO_VECTORS
        vector = self._vector(session, query.plain)
        if vector is None or vector.size != self.index.dim:
            return [], NO_ENCODER
        allowed = found_by.allowed(session, query, filters)
        found = self.index.nearest(session, vector, limit=NEAREST, allowed=allowed)
        return [(page_id, cosine) for page_id, cosine in found if cosine >= SIMILAR], ""

    def _vector(self, session: Session, text: str) -> NDArray[np.float32] | None:
        assert self.index is not None
        model = self.index.model
        known = recall(session, model, text)
        if known is not None and known.size == self.index.dim:
            return known
        made = self.encoder.encode_query(text, model) if self.encoder else None
        if made is not None and made.size == self.index.dim and self.remember:
            self.remember(model, text, made)
        return made


@dataclass(frozen=True)
class _Ask:
    """One search on its way: what is asked, of whom."""

    session: Session
    text: str
    query: Query
    filters: Filters
    meaning: _Meaning
    typing: bool
    by_date: bool

    def by_words(self) -> Matched:
        found = found_by.match(
            self.session, self.query, self.filters, typing=self.typing, by_date=self.by_date
        )
        if found.total:
            return found
        # Signs, and scripts without spaces, which the word index does not take apart.
        parts = found_by.containing(self.session, self.query, self.filters)
        return Matched([(page_id, 0.0) for page_id in parts], len(parts))

    def by_meaning(self) -> tuple[list[tuple[int, float]], str]:
        return self.meaning.near(self.session, self.query, self.filters)


def _find(ask: _Ask, mode: Mode) -> _Answer:
    """The whole ranking for a query with words, and what is to be said about it."""
    near, notice = ask.by_meaning() if mode is not Mode.WORDS else ([], "")
    words = ask.by_words() if mode is not Mode.MEANING or not near else Matched()
    answer = _joined(words.ranked, near)
    answer.notice = notice
    if not words.ranked and mode is not Mode.MEANING:
        _fall_back(ask, answer, mode)
    elif words.lacking or words.apart:
        # Where no page has all the words one is often mistyped, and the others find too much.
        titles = found_by.near_titles(ask.session, ask.query, ask.filters, limit=MEANT)
        answer.why |= dict.fromkeys((page_id for page_id, _ in titles), Why.TITLE)
        _put_first(answer, [page_id for page_id, _ in titles])
    _put_first(answer, found_by.named(ask.session, ask.text, ask.query, ask.filters))
    _count(ask, answer, words)
    return answer


def _count(ask: _Ask, answer: _Answer, words: Matched) -> None:
    """How many results there are: all that have the words, and those that came from elsewhere."""
    ranked = {page_id for page_id, _ in words.ranked}
    others = [page_id for page_id in answer.ranked if page_id not in ranked]
    if words.is_cut and others:
        # Some may have the words and stand behind the best thousand.
        having = found_by.holding(ask.session, ask.query, others, typing=ask.typing)
        for page_id in having:
            answer.why[page_id] = (
                Why.BOTH if answer.why[page_id] is Why.MEANING else answer.why[page_id]
            )
        others = [page_id for page_id in others if page_id not in having]
    answer.total, answer.more = words.total + len(others), words.more


def _joined(by_words: list[tuple[int, float]], near: list[tuple[int, float]]) -> _Answer:
    """Both rankings as one, each page with the reason it is there."""
    if not (by_words and near):
        alone = _Answer(mode=Mode.MEANING if near else Mode.WORDS)
        alone.add(by_words, Why.WORDS)
        alone.add(near, Why.MEANING)
        return alone
    words, meant = [page_id for page_id, _ in by_words], [page_id for page_id, _ in near]
    why = dict.fromkeys(meant, Why.MEANING)
    for page_id in words:
        why[page_id] = Why.BOTH if page_id in why else Why.WORDS
    return _Answer(fuse(words, meant), why, fused_scores(words, meant), mode=Mode.BOTH)


def _fall_back(ask: _Ask, answer: _Answer, mode: Mode) -> None:
    """Nothing has the words: titles that are nearly them come first, then what is near in meaning."""
    near = [(page_id, answer.scores[page_id]) for page_id in answer.ranked]
    if mode is Mode.WORDS:
        near, _ = ask.by_meaning()
    titles = found_by.near_titles(ask.session, ask.query, ask.filters)
    answer.ranked, answer.why, answer.scores = [], {}, {}
    answer.add(titles, Why.TITLE)
    answer.add(near, Why.MEANING)
    answer.mode = Mode.MEANING if near else Mode.WORDS
    if titles:
        answer.notice = f"{ONLY_TITLES} {answer.notice}".strip()
    elif near:
        answer.notice = ONLY_MEANING


def _put_first(answer: _Answer, named: list[int]) -> None:
    """A page that is called just so comes first, whatever its words count."""
    best = max(answer.scores.values(), default=1.0)
    for page_id in named:
        answer.why.setdefault(page_id, Why.WORDS)
        answer.scores[page_id] = best
    first = set(named)
    answer.ranked = [*named, *(page_id for page_id in answer.ranked if page_id not in first)]


def _why_nothing(session: Session, query: Query, filters: Filters) -> str:
    """Why there is nothing to show, in a sentence."""
    if filters.thread and found_by.thread_title(session, filters.thread) is None:
        return f"No thread has the address {filters.thread}."
    if filters.topic and found_by.topic_name(session, filters.topic) is None:
        return f"There is no topic {filters.topic}."
    if not (query.is_empty or query.fields or has_letters(query.plain)):
        return ONLY_SIGNS
    if filters or query.excludes:
        return "Nothing was found with these filters."
    return "" if query.is_empty else "Nothing was found."


# ---------------------------------------------------------------- threads

MOST_THREADS = 100  # that words and meaning may find
_SAID = 2  # members that are named with a thread they found
_PLACE = 60  # as in reciprocal-rank fusion: how fast a page further down counts less


@dataclass(frozen=True)
class AskedThreads:
    """Which threads are wanted; what is left empty narrows nothing.

    `query` is looked for in claims and in members, by words and meaning. `between` are names of
    concepts: a thread has members about each of them. `moved`: it got a member in the last week. As
    of `asof`, an ISO day.
    """

    query: str = ""
    status: str = ""
    moved: bool = False
    between: tuple[str, ...] = ()
    asof: str = ""


@dataclass(frozen=True)
class FoundThreads:
    """Threads, the best first for a query, else the last moved first, as they stood on `day`.

    `said` names for a thread the members by which it was found; `facets` count by status, and
    "moved", the threads that there would be with that filter in place of the one of its kind.
    """

    rows: tuple[ThreadRow, ...]
    day: date
    said: dict[int, tuple[Says, ...]]
    facets: dict[str, int]
    concepts: tuple[PageRef, ...] = ()
    notice: str = ""


def threads(
    session: Session,
    asked: AskedThreads,
    *,
    today: date,
    counted: Callable[[date], list[ThreadRow]] | None = None,
    index: VectorIndex | None = None,
    query_encoder: QueryEncoder | None = None,
    remember: Remember | None = None,
) -> FoundThreads:
    """The threads that fit. `counted` gives all of them as of a day, where they are known already.

    Raises Invalid for a status, concept or day that cannot be.
    """
    if asked.status and asked.status not in THREAD_STATES:
        raise _invalid("status", f"A thread is {', '.join(THREAD_STATES)}.")
    day = as_of(asked.asof, today)
    rows = counted(day) if counted else stored_threads.all_threads(session, today=day)
    rows = sorted(rows, key=lambda row: row.title.casefold())
    rows.sort(key=lambda row: row.numbers.latest, reverse=True)
    named = tuple(_concept(session, name) for name in asked.between if name.strip())
    if named:
        ids = [each.id for each in named]
        within = stored_threads.between(session, ids, until=day.isoformat())
        rows = [row for row in rows if row.page_id in within]
    said: dict[int, tuple[Says, ...]] = {}
    notice = ""
    if clean(asked.query):
        meaning = _Meaning(index, query_encoder, remember)
        scores, said, notice = _scored(session, asked.query, meaning, until=day.isoformat())
        rows = [row for row in rows if row.page_id in scores]
        rows.sort(key=lambda row: -scores[row.page_id])
        rows = rows[:MOST_THREADS]
    # A filter counts what there would be without it, the others in force.
    facets = Counter(row.numbers.status for row in rows if row.numbers.this_week or not asked.moved)
    right = [row for row in rows if asked.status in ("", row.numbers.status)]
    facets["moved"] = sum(bool(row.numbers.this_week) for row in right)
    return FoundThreads(
        rows=tuple(row for row in right if row.numbers.this_week or not asked.moved),
        day=day,
        said=said,
        facets=dict(facets),
        concepts=named,
        notice=notice,
    )


def _concept(session: Session, name: str) -> PageRef:
    found = pages.named(session, name)
    if found is None or found.kind != PageKind.CONCEPT:
        raise _invalid("between", f"There is no concept called {name.strip()[:100]!r}.")
    return found


def _scored(
    session: Session, text: str, meaning: _Meaning, *, until: str
) -> tuple[dict[int, float], dict[int, tuple[Says, ...]], str]:
    """What threads the words and the meaning lead to: a score each, the members that say so.

    A thread is found by its own text, by its members' texts, and by their lines in it. It counts by
    the place of its own page, twice, and of its best members.
    """
    query = parse_query(text)
    filters = replace(query.filters, kind=None, thread="")
    if query.is_empty or not has_letters(query.plain):
        return {}, {}, ONLY_SIGNS
    answer = _find(_Ask(session, text, query, filters, meaning, False, False), Mode.BOTH)
    places = {page_id: place for place, page_id in enumerate(answer.ranked, start=1)}
    scores = {page_id: 2 / (_PLACE + place) for page_id, place in places.items()}
    noted = stored_threads.noting(session, index_words(query.plain), until=until, limit=RANKED)
    lines = {(each.thread_id, each.page_id) for each in noted}
    found: dict[int, dict[int, Says]] = {}
    for each in (*stored_threads.holding(session, answer.ranked, until=until), *noted):
        found.setdefault(each.thread_id, {})[each.page_id] = each

    def place(each: Says) -> int:
        said = (each.thread_id, each.page_id) in lines
        return 1 if said else places[each.page_id]

    said = {}
    for thread_id, members in found.items():
        best = sorted(members.values(), key=lambda each: (place(each), each.page_id))[:3]
        scores[thread_id] = scores.get(thread_id, 0.0) + sum(
            1 / (_PLACE + place(each)) for each in best
        )
        said[thread_id] = tuple(best[:_SAID])
    return scores, said, answer.notice


# ---------------------------------------------------------------- what was asked


def _narrowed(
    typed: Filters,
    *,
    kind: str | None,
    thread: str | None,
    since: str | None,
    until: str | None,
    tag: str | None,
    topic: str | None,
) -> Filters:
    """The filters beside the text, where the text does not say otherwise."""
    if kind and kind not in {each.value for each in KINDS}:
        known = ", ".join(each.value for each in KINDS)
        raise _invalid("kind", f"No page is of that kind. Kinds are {known}.")
    if thread and not is_slug(thread):
        raise _invalid(
            "thread", "A thread is named by its address: small letters, digits, hyphens."
        )
    filters = Filters(
        kind=PageKind(kind) if kind else None,
        thread=thread or "",
        since=_date("since", since),
        until=_date("until", until),
        tag=clean(tag or "").lstrip("#").lower(),
        topic=clean(topic or "")[:MAX_TOPIC],
    )
    if typed.since or typed.until:
        filters = replace(filters, since=typed.since, until=typed.until)
    return replace(
        filters,
        kind=typed.kind or filters.kind,
        thread=typed.thread or filters.thread,
        tag=typed.tag or filters.tag,
        topic=typed.topic or filters.topic,
    )


def _date(name: str, text: str | None) -> str:
    if not text or not text.strip():
        return ""
    if not (date := clean_date(text)):
        raise _invalid(name, "A date is a year, a month or a day: 2026, 2026-05 or 2026-05-08.")
    return date


def _mode(text: str) -> Mode:
    if text not in {mode.value for mode in Mode}:
        raise _invalid("mode", "Search goes by words, meaning or both.")
    return Mode(text)


def _sort(text: str) -> Sort:
    if text not in {sort.value for sort in Sort}:
        raise _invalid("sort", "Results are sorted by relevance or date.")
    return Sort(text)


def _invalid(name: str, message: str) -> Invalid:
    return Invalid(message, fields={name: message})
