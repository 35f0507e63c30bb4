"""Finding pages by words, names and filters: every statement that knows SQLite's full-text index.

It reads only. A person's words reach the index as quoted strings, never as its syntax, so any
query has an answer. Which rankings are joined, and what is said about them, is decided in
services.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from secrets import token_hex
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import OSA
from sqlmodel import Session

from app.domain.identifiers import parse_arxiv, parse_id
from app.domain.markdown import name_key
from app.domain.queries import Filters, Query, clean, has_letters, parse_query
from app.domain.records import PageKind
from app.domain.words import STOP

ENOUGH = 10  # fewer hits than this by all words, and some of the words will do
PARTIAL = 100  # as many pages are added that have only some of the words
MAX_TITLES = 20_000  # as many titles are compared letter by letter
CLOSE = 0.72  # how alike a mistyped word must be (1: the same), swapped letters counting once
MOST = 0.6  # how much of what was typed a title must have
MAX_TYPED = 8
_WORD = re.compile(r"[^\W_]+")


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
    """Counts over a whole result; kinds and threads by count, years from the newest on."""

    kinds: tuple[Count, ...] = ()
    threads: tuple[Count, ...] = ()
    years: tuple[Count, ...] = ()


@dataclass(frozen=True)
class Completion:
    """A page offered while somebody types. `alias` is the other name that matched, or ""."""

    page_id: int
    slug: str
    title: str
    kind: PageKind
    alias: str = ""


# ---------------------------------------------------------------- statements

# A paper's date is that of its publication; where only a month or a year is known, "~" (which
# sorts behind every digit and hyphen) makes it reach to its end.
_DATE = sa.literal_column(
    """COALESCE(
        CASE page.kind
        WHEN 'paper' THEN
            (SELECT NULLIF(paper.published, '') FROM paper WHERE paper.page_id = page.id)
        WHEN 'episode' THEN
            (SELECT NULLIF(episode.published, '') FROM episode WHERE episode.page_id = page.id)
        WHEN 'digest' THEN (SELECT digest.day FROM digest WHERE digest.page_id = page.id)
        END,
        SUBSTR(page.created_at, 1, 10))""",
    type_=sa.String(),
)

_FILTERED = (
    sa.text("(:kind = '' OR page.kind = :kind)"),
    sa.text(
        """(:thread = '' OR page.id IN (
            SELECT link.source_id FROM link
            WHERE link.target_id = (SELECT t.id FROM page AS t WHERE t.slug = :thread)
              AND link.relation = 'part-of' AND link.status = 'accepted'))"""
    ),
    sa.text(
        """(:tag = '' OR EXISTS (
            SELECT 1 FROM page_tag WHERE page_tag.page_id = page.id AND page_tag.name = :tag))"""
    ),
    sa.or_(sa.text(":since = ''"), _DATE.concat("~") > sa.bindparam("since")),
    sa.or_(sa.text(":until = ''"), sa.bindparam("until").concat("~") >= _DATE),
    sa.text(
        """(:excluded = '' OR page.id NOT IN (
            SELECT rowid FROM page_fts WHERE page_fts MATCH :excluded))"""
    ),
)
_REQUIRED = sa.text(
    "(:phrases = '' OR page.id IN (SELECT rowid FROM page_fts WHERE page_fts MATCH :phrases))"
)
_ID = sa.literal_column("page.id", type_=sa.Integer())
_PAGE = sa.text("page")

# CROSS JOIN keeps the index outermost: the planner would otherwise ask it once for every page.
_BY_WORDS = (
    sa.select(
        _ID, sa.literal_column("bm25(page_fts, 5.0, 3.0, 1.0)", type_=sa.Float()).label("rank")
    )
    .select_from(sa.text("page_fts CROSS JOIN page ON page.id = page_fts.rowid"))
    .where(sa.text("page_fts MATCH :match"), *_FILTERED)
    .order_by(sa.text("rank"), _ID)
)
_ALLOWED = sa.select(_ID).select_from(_PAGE).where(*_FILTERED, _REQUIRED)
_RECENT = _ALLOWED.order_by(sa.text("page.updated_at DESC"), sa.text("page.id DESC"))
_AMONG = (
    sa.select(_ID)
    .select_from(_PAGE)
    .where(sa.text("page.id IN (SELECT value FROM json_each(:ids))"), *_FILTERED, _REQUIRED)
)
_BY_DATE = (
    sa.select(_ID)
    .select_from(_PAGE)
    .where(sa.text("page.id IN (SELECT value FROM json_each(:ids))"))
    .order_by(_DATE.desc(), sa.text("page.id DESC"))
)
_KINDS_AND_YEARS = (
    sa.select(
        sa.literal_column("page.kind", type_=sa.String()),
        sa.func.substr(_DATE, 1, 4).label("year"),
        sa.func.count(),
    )
    .select_from(_PAGE)
    .where(sa.text("page.id IN (SELECT value FROM json_each(:ids))"))
    .group_by(sa.literal_column("page.kind", type_=sa.String()), sa.literal_column("year"))
)
_THREADS = sa.text(
    """SELECT thread.slug, thread.title, COUNT(*) AS members
    FROM link CROSS JOIN page AS thread ON thread.id = link.target_id
    WHERE link.relation = 'part-of' AND link.status = 'accepted'
      AND link.source_id IN (SELECT value FROM json_each(:ids))
    GROUP BY thread.id ORDER BY members DESC, thread.title"""
)
_THREADS_OF = sa.text(
    """SELECT link.source_id, thread.slug, thread.title
    FROM link CROSS JOIN page AS thread ON thread.id = link.target_id
    WHERE link.relation = 'part-of' AND link.status = 'accepted'
      AND link.source_id IN (SELECT value FROM json_each(:ids))
    ORDER BY link.source_id, thread.title"""
)
_SHOWN = (
    sa.select(
        _ID,
        sa.literal_column("page.slug", type_=sa.String()),
        sa.literal_column("page.title", type_=sa.String()),
        sa.literal_column("page.kind", type_=sa.String()),
        _DATE,
        sa.literal_column("SUBSTR(page_text.text, 1, 400)", type_=sa.String()),
    )
    .select_from(sa.text("page LEFT JOIN page_text ON page_text.page_id = page.id"))
    .where(sa.text("page.id IN (SELECT value FROM json_each(:ids))"))
)
_SNIPPETS = sa.text(
    """SELECT rowid, snippet(page_fts, 2, :start, :end, '…', 36)
    FROM page_fts
    WHERE page_fts MATCH :match AND rowid IN (SELECT value FROM json_each(:ids))"""
)
_NAMED = sa.text(
    """SELECT page.id, 0 AS place FROM page WHERE page.slug = :slug
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
_CONTAINING = (
    sa.select(_ID)
    .select_from(sa.text("page_text CROSS JOIN page ON page.id = page_text.page_id"))
    .where(
        sa.text(
            """(INSTR(page_text.title, :part) OR INSTR(page_text.names, :part)
            OR INSTR(page_text.text, :part))"""
        ),
        *_FILTERED,
        _REQUIRED,
    )
    .order_by(sa.text("INSTR(page_text.title, :part) = 0"), sa.text("page.updated_at DESC"))
    .limit(200)
)
_TITLES = (
    sa.select(_ID, sa.literal_column("page.title", type_=sa.String()))
    .select_from(_PAGE)
    .where(*_FILTERED, _REQUIRED)
    .order_by(sa.text("page.updated_at DESC"))
    .limit(MAX_TITLES)
)
_OTHER_NAMES = sa.text(
    "SELECT page_id, name FROM alias WHERE kind = 'name' ORDER BY id DESC LIMIT :limit"
)

_NEWEST = sa.text(
    "SELECT id, slug, title, kind, '' FROM page ORDER BY updated_at DESC, id DESC LIMIT :limit"
)
_BEGINNING = sa.text(
    """SELECT page.id, page.slug, page.title, page.kind, name.alias
    FROM (
        SELECT id AS page_id, title_key AS key, '' AS alias FROM page
        WHERE title_key >= :key AND title_key < :stop
        UNION ALL
        SELECT page_id, key, CASE kind WHEN 'name' THEN name ELSE '' END FROM alias
        WHERE key >= :key AND key < :stop
    ) AS name CROSS JOIN page ON page.id = name.page_id
    ORDER BY name.key <> :key, name.alias <> '', LENGTH(name.key), page.title, page.id
    LIMIT :limit * 2"""
)
_COMPLETING = sa.text(
    """SELECT page.id, page.slug, page.title, page.kind, ''
    FROM page_fts CROSS JOIN page ON page.id = page_fts.rowid
    WHERE page_fts MATCH :match ORDER BY bm25(page_fts, 8.0, 5.0, 1.0), page.id LIMIT :limit"""
)


# ---------------------------------------------------------------- by words


def match(
    session: Session, query: Query, filters: Filters, *, typing: bool = False
) -> list[tuple[int, float]]:
    """Pages that hold the words, best first, as (page id, score).

    First those with every word; where they are fewer than ten, the best hundred with some follow.
    Phrases and exclusions always hold. With `typing` the last word may be a beginning. Empty when
    the query has no word an index can know.
    """
    terms = _terms(query, typing=typing)
    phrases = [_quoted(phrase) for phrase in query.phrases]
    if not terms and not phrases:
        return []
    values = _values(query, filters)
    found = _ranked(session, " AND ".join([*phrases, *terms]), values)
    if len(found) >= ENOUGH or len(terms) < 2:
        return found
    some = " AND ".join([*phrases, f"({' OR '.join(terms)})"])
    known = {page_id for page_id, _ in found}
    # Whoever has only some of the words never stands before one that has them all.
    floor = min((score for _, score in found), default=float("inf"))
    partly = [hit for hit in _ranked(session, some, values) if hit[0] not in known]
    return found + [(page_id, min(score, floor)) for page_id, score in partly[:PARTIAL]]


def _ranked(
    session: Session, expression: str, values: Mapping[str, str]
) -> list[tuple[int, float]]:
    rows = session.connection().execute(_BY_WORDS, {**values, "match": expression})
    return [(page_id, -rank) for page_id, rank in rows.all()]


def _terms(query: Query, *, typing: bool = False) -> list[str]:
    """The words as quoted strings of the index. Little words count only where there are no others."""
    known = [word for word in query.words if has_letters(word)]
    last = known[-1] if typing and known and known[-1] == query.words[-1] else None
    telling = [word for word in known if word.casefold() not in STOP or word is last]
    terms = []
    for word in telling or known:
        begins = word.endswith("*") or (word is last and len(word) > 1)
        terms.append(_quoted(word) + ("*" if begins else ""))
    return terms


def _quoted(text: str) -> str:
    """The text as one string of the index's language: nothing in it has power there."""
    return '"' + text.replace('"', '""') + '"'


def _values(query: Query, filters: Filters) -> dict[str, str]:
    return {
        "kind": filters.kind.value if filters.kind else "",
        "thread": filters.thread,
        "tag": filters.tag,
        "since": filters.since,
        "until": filters.until,
        "excluded": " OR ".join(_quoted(term) for term in query.excluded),
        "phrases": " AND ".join(_quoted(phrase) for phrase in query.phrases),
    }


def containing(session: Session, query: Query, filters: Filters) -> list[int]:
    """Pages in which the query stands letter for letter, at most 200, titles first.

    For what a word index does not know: signs alone, and scripts that put no space between words.
    """
    part = query.plain.replace('"', "").strip()
    if not part:
        return []
    values = {**_values(query, filters), "part": part}
    return [row[0] for row in session.connection().execute(_CONTAINING, values)]


# ---------------------------------------------------------------- by name


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
    if distinct and (filters or query.excluded or query.phrases):
        kept = set(among(session, query, filters, distinct))
        return [page_id for page_id in distinct if page_id in kept]
    return distinct


def near_titles(
    session: Session, query: Query, filters: Filters, *, limit: int = 10
) -> list[tuple[int, float]]:
    """Pages whose title or alias is nearly what was typed, as (page id, likeness 0..1), best first.

    At most the 20,000 newest titles are compared.
    """
    typed = [word for word in _WORD.findall(query.plain.casefold()) if word not in STOP][:MAX_TYPED]
    if not any(len(word) > 3 for word in typed):
        return []
    connection = session.connection()
    names: dict[int, set[str]] = {}
    for page_id, title in connection.execute(_TITLES, _values(query, filters)):
        names[page_id] = set(_WORD.findall(title.casefold()))
    for page_id, name in connection.execute(_OTHER_NAMES, {"limit": MAX_TITLES}):
        if page_id in names:
            names[page_id].update(_WORD.findall(name.casefold()))
    known = set().union(*names.values()) if names else set()
    likeness: dict[int, float] = {}
    for word in typed:
        close = {
            other: score
            for other, score, _ in process.extract(
                word, known, scorer=OSA.normalized_similarity, score_cutoff=CLOSE, limit=40
            )
        }
        for page_id, held in names.items() if close else ():
            if best := max((close[other] for other in held & close.keys()), default=0.0):
                likeness[page_id] = likeness.get(page_id, 0.0) + best / len(typed)
    near = [(page_id, score) for page_id, score in likeness.items() if score >= MOST]
    return sorted(near, key=lambda each: (-each[1], len(names[each[0]]), each[0]))[:limit]


def complete(session: Session, text: str, *, limit: int = 8) -> tuple[Completion, ...]:
    """Pages to offer while a name is typed, for the palette and after `[[`.

    The title or alias itself, then what begins with it, then pages with these words in title or
    names, then anywhere. Without text the pages changed last.
    """
    limit = max(1, min(limit, 50))
    connection = session.connection()
    plain = clean(text)
    if not plain:
        return _completions(connection.execute(_NEWEST, {"limit": limit}))
    key = name_key(plain)
    found: tuple[Completion, ...] = ()
    if key:
        values = {"key": key, "stop": key + "\U0010ffff", "limit": limit}
        found = _completions(connection.execute(_BEGINNING, values), limit=limit)
    for columns in ("{title names} : ", ""):
        terms = _terms(parse_query(plain), typing=True)
        # One letter begins too many words, and two in the text say nothing.
        if len(found) >= limit or not terms or len(plain) < (2 if columns else 3):
            break
        values = {"match": f"{columns}({' AND '.join(terms)})", "limit": limit * 2}
        more = _completions(connection.execute(_COMPLETING, values))
        known = {each.page_id for each in found}
        found = (*found, *(each for each in more if each.page_id not in known))[:limit]
    return found


def _completions(rows: Iterable[Any], *, limit: int | None = None) -> tuple[Completion, ...]:
    distinct: dict[int, Completion] = {}
    for page_id, slug, title, kind, alias in rows:
        distinct.setdefault(page_id, Completion(page_id, slug, title, PageKind(kind), alias))
    return tuple(distinct.values())[:limit]


# ---------------------------------------------------------------- by filters


def allowed(session: Session, query: Query, filters: Filters) -> NDArray[np.int64] | None:
    """Ids of the pages that filters, phrases and exclusions leave; None when they leave all."""
    if not (filters or query.phrases or query.excluded):
        return None
    rows = session.connection().execute(_ALLOWED, _values(query, filters))
    return np.fromiter((row[0] for row in rows), np.int64)


def recent(session: Session, query: Query, filters: Filters) -> list[int]:
    """Every page that filters and exclusions leave, the one changed last first."""
    rows = session.connection().execute(_RECENT, _values(query, filters))
    return [row[0] for row in rows.all()]


def among(session: Session, query: Query, filters: Filters, ids: Collection[int]) -> list[int]:
    """Which of these pages filters, phrases and exclusions leave, in no order."""
    values = {**_values(query, filters), "ids": _json(ids)}
    return [row[0] for row in session.connection().execute(_AMONG, values)]


def by_date(session: Session, ids: Collection[int]) -> list[int]:
    """The same pages, the newest first by their own date."""
    return [row[0] for row in session.connection().execute(_BY_DATE, {"ids": _json(ids)}).all()]


def thread_title(session: Session, slug: str) -> str | None:
    """What the thread at this address is called, or None when there is none."""
    statement = sa.text("SELECT title FROM page WHERE slug = :slug AND kind = 'thread'")
    row = session.connection().execute(statement, {"slug": slug}).first()
    return row[0] if row else None


def _json(ids: Collection[int]) -> str:
    return json.dumps(list(ids))


# ---------------------------------------------------------------- as shown


def facets(session: Session, ids: Collection[int]) -> Facets:
    """How many of these pages are of each kind, each year, and in each thread (the first 20)."""
    if not ids:
        return Facets()
    connection = session.connection()
    values = {"ids": _json(ids)}
    kinds: dict[str, int] = {}
    years: dict[str, int] = {}
    for kind, year, count in connection.execute(_KINDS_AND_YEARS, values):
        kinds[kind] = kinds.get(kind, 0) + count
        years[year] = years.get(year, 0) + count
    return Facets(
        kinds=tuple(Count(k, k, n) for k, n in sorted(kinds.items(), key=lambda e: (-e[1], e[0]))),
        threads=tuple(
            Count(slug, title, count)
            for slug, title, count in connection.execute(_THREADS, values).fetchmany(20)
        ),
        years=tuple(Count(y, y, n) for y, n in sorted(years.items(), reverse=True) if y),
    )


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
    connection = session.connection()
    values = {"ids": _json(ids)}
    threads: dict[int, list[ThreadRef]] = {}
    for page_id, slug, title in connection.execute(_THREADS_OF, values):
        threads.setdefault(page_id, []).append(ThreadRef(slug, title))
    snippets = _snippets(session, query, ids, typing=typing)
    shown = {row[0]: row for row in connection.execute(_SHOWN, values)}
    found = []
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


def _snippets(
    session: Session, query: Query, ids: Sequence[int], *, typing: bool
) -> dict[int, tuple[tuple[str, bool], ...]]:
    terms = [*_terms(query, typing=typing), *(_quoted(phrase) for phrase in query.phrases)]
    if not terms:
        return {}
    # Unguessable, so that no text can mark itself.
    token = token_hex(4)
    start, end = f"\x02{token}", f"\x03{token}"
    values = {"match": " OR ".join(terms), "ids": _json(ids), "start": start, "end": end}
    return {
        page_id: _parts(text, start, end)
        for page_id, text in session.connection().execute(_SNIPPETS, values)
        if text
    }


def _parts(text: str, start: str, end: str) -> tuple[tuple[str, bool], ...]:
    parts: list[tuple[str, bool]] = []
    first, *others = " ".join(text.split()).split(start)
    parts.append((first, False))
    for piece in others:
        marked, _, after = piece.partition(end)
        parts += [(marked, True), (after, False)]
    return tuple(part for part in parts if part[0])


def _beginning(text: str) -> tuple[tuple[str, bool], ...]:
    plain = " ".join(text.split())
    if len(plain) > 240:
        plain = plain[:240].rsplit(" ", 1)[0] + " …"
    return ((plain, False),) if plain else ()
