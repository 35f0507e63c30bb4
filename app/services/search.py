"""Search: words and meaning joined into one ranked, filtered, explained answer.

It only reads: who wants the vector of a query kept passes `remember`. Without vectors, or when
the encoder does not answer in time, words alone answer, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session

from app.domain.identifiers import clean_date, is_slug
from app.domain.queries import Filters, Query, fuse, fused_scores, has_letters, parse_query
from app.domain.records import PageKind
from app.embeddings.base import QueryEncoder
from app.errors import Invalid
from app.store import search as found_by
from app.store.search import Facets, Hit, ThreadRef, Why
from app.store.vectors import VectorIndex, recall

NEAREST = 50  # pages that meaning may add
SIMILAR = 0.25  # below this cosine two texts have nothing in common
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

    `notice` is a sentence for the reader when something about the answer is not as asked, or "".
    """

    hits: tuple[Hit, ...] = ()
    total: int = 0
    facets: Facets = field(default_factory=Facets)
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
    sort: str = Sort.RELEVANCE,
    limit: int = 20,
    offset: int = 0,
    typing: bool = False,
    index: VectorIndex | None = None,
    query_encoder: QueryEncoder | None = None,
    remember: Remember | None = None,
) -> Results:
    """Find pages by words, by meaning, or by both (ranks joined); without text, the recent ones.

    Operators in the text win over the filters beside it. Dates are ISO days, months or years, both
    ends included. `limit` is at most 100. With `typing` the last word may be a beginning.
    `remember(model, text, vector)` is called for a vector that was made anew. Raises Invalid for a
    mode, kind, sort, thread address or date that cannot be.
    """
    wanted, order = _mode(mode), _sort(sort)
    query = parse_query(text)
    filters = _narrowed(query.filters, kind=kind, thread=thread, since=since, until=until, tag=tag)
    limit, offset = max(1, min(limit, MAX_PAGE)), max(0, offset)
    meaning = _Meaning(index, query_encoder, remember)
    if query.is_empty:
        answer = _Answer(ranked=found_by.recent(session, query, filters))
    else:
        ask = _Ask(session, text, query, filters, meaning, typing)
        answer = _find(ask, wanted)
    ranked = answer.ranked
    if order is Sort.DATE:
        ranked = found_by.by_date(session, ranked)
    return Results(
        hits=found_by.hits(
            session,
            query,
            ranked[offset : offset + limit],
            why=answer.why,
            scores=answer.scores,
            typing=typing,
        ),
        total=len(ranked),
        facets=found_by.facets(session, ranked),
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
        if not len(self.index):
            return [], NO_VECTORS
        vector = self._vector(session, query.plain)
        if vector is None or vector.size != self.index.dim:
            return [], NO_ENCODER
        allowed = found_by.allowed(session, query, filters)
        found = self.index.nearest(vector, limit=NEAREST, allowed=allowed)
        return [(page_id, cosine) for page_id, cosine in found if cosine >= SIMILAR], ""

    def _vector(self, session: Session, text: str) -> NDArray[np.float32] | None:
        assert self.index is not None
        known = recall(session, self.index.model, text)
        if known is not None and known.size == self.index.dim:
            return known
        made = self.encoder.encode_query(text) if self.encoder else None
        if made is not None and made.size == self.index.dim and self.remember:
            self.remember(self.index.model, text, made)
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

    def by_words(self) -> list[tuple[int, float]]:
        found = found_by.match(self.session, self.query, self.filters, typing=self.typing)
        plain = self.query.plain
        if found or (plain.isascii() and has_letters(plain)):
            return found
        # Signs, and scripts without spaces, which the word index does not take apart.
        parts = found_by.containing(self.session, self.query, self.filters)
        return [(page_id, 0.0) for page_id in parts]

    def by_meaning(self) -> tuple[list[tuple[int, float]], str]:
        return self.meaning.near(self.session, self.query, self.filters)


def _find(ask: _Ask, mode: Mode) -> _Answer:
    """The whole ranking for a query with words, and what is to be said about it."""
    near, notice = ask.by_meaning() if mode is not Mode.WORDS else ([], "")
    by_words = ask.by_words() if mode is not Mode.MEANING or not near else []
    answer = _joined(by_words, near)
    answer.notice = notice
    if not by_words and mode is not Mode.MEANING:
        _fall_back(ask, answer, mode)
    _put_first(answer, found_by.named(ask.session, ask.text, ask.query, ask.filters))
    return answer


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
    if not query.is_empty and not has_letters(query.plain):
        return ONLY_SIGNS
    if filters or query.excluded:
        return "Nothing was found with these filters."
    return "" if query.is_empty else "Nothing was found."


# ---------------------------------------------------------------- what was asked


def _narrowed(
    typed: Filters,
    *,
    kind: str | None,
    thread: str | None,
    since: str | None,
    until: str | None,
    tag: str | None,
) -> Filters:
    """The filters beside the text, where the text does not say otherwise."""
    if kind and kind not in {each.value for each in PageKind}:
        known = ", ".join(each.value for each in PageKind)
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
        tag=(tag or "").strip().lstrip("#").lower(),
    )
    if typed.since or typed.until:
        filters = replace(filters, since=typed.since, until=typed.until)
    return replace(
        filters,
        kind=typed.kind or filters.kind,
        thread=typed.thread or filters.thread,
        tag=typed.tag or filters.tag,
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
