"""What live claims come to: every claim of a text counted in one statement, and the rows behind one.

The number and the list are made from the same statement (`_rows`), so they cannot differ. Nothing of
a claim's text reaches the database but as a value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.domain.asof import end_of
from app.domain.live_claims import Claim, Filled, Noun, Verb, day_before, named, noun_of, written
from app.domain.markdown import link_keys, name_key
from app.domain.records import (
    GONE,
    Link,
    LinkStatus,
    Page,
    PageKind,
    PageTag,
    Paper,
    Prediction,
    Question,
    Relation,
    Role,
    Topic,
)
from app.store import pages, past
from app.store.links import stood
from app.store.pages import PageRef
from app.store.past import Past
from app.store.questions import stands

TABLES = ("alias", "link", "page", "paper", "prediction", "question")
"""The tables that a claim is counted over: where none of them changed, no number did."""


@dataclass(frozen=True)
class Found:
    """A claim whose names are pages: their ids stand in the order of the names."""

    claim: Claim
    threads: tuple[int, ...]
    concepts: tuple[int, ...]
    pages: tuple[int, ...]
    topic: str
    titles: Mapping[str, str]
    then: Past | None = None  # of a claim as of a day


@dataclass(frozen=True)
class Row:
    """One of what is counted: its place in the list, the page it stands on, and its words."""

    id: int
    day: str
    slug: str
    title: str
    kind: str
    text: str = ""


# ---------------------------------------------------------------- names


def find(
    session: Session, claims: Collection[Claim], zone: tzinfo | None = None
) -> dict[Claim, Found | str]:
    """Each claim with the pages it names, or a sentence that says which name leads nowhere.

    The day of `asof:` ends where the reader is (`zone`; None: the system's).
    """
    keys = {key for claim in claims for name, _ in claim.names() for key in link_keys(name)}
    known = pages.resolve(session, keys) if keys else {}
    topics = _topics(session) if any(claim.topic for claim in claims) else {}
    days = {claim.asof for claim in claims if claim.asof}
    pasts = {day: past.before(session, _after(day, zone)) for day in days}
    return {claim: _found(claim, known, topics, pasts.get(claim.asof)) for claim in claims}


def _topics(session: Session) -> dict[str, tuple[str, str]]:
    rows = session.connection().execute(sa.select(col(Topic.id), col(Topic.name)))
    found: dict[str, tuple[str, str]] = {}
    for topic_id, name in rows:
        found.setdefault(name_key(name), (topic_id, name))
        found[name_key(topic_id)] = (topic_id, name)
    return found


def _found(
    claim: Claim,
    known: Mapping[str, PageRef],
    topics: Mapping[str, tuple[str, str]],
    then: Past | None,
) -> Found | str:
    ids: dict[str, list[int]] = {"thread": [], "concept": [], "": []}
    titles: dict[str, str] = {}
    for name, kind in claim.names():
        page = next((known[key] for key in link_keys(name) if key in known), None)
        if page is None:
            return f"No page is called “{name}”. It may have been renamed; put the name right."
        if kind and page.kind != kind:
            return (
                f"“{page.title}” is a {page.kind}, no {kind}. Write page: or {page.kind}: for it."
            )
        ids[kind].append(page.id)
        titles[name] = page.title
    topic, topic_name = "", ""
    if claim.topic:
        if name_key(claim.topic) not in topics:
            return f"No topic is called “{claim.topic}”. The Topics screen lists them."
        topic, topic_name = topics[name_key(claim.topic)]
        titles["topic:" + claim.topic] = topic_name
    pages_of = (tuple(ids["thread"]), tuple(ids["concept"]), tuple(ids[""]))
    return Found(claim, *pages_of, topic, titles, then)


# ---------------------------------------------------------------- the rows of a claim


def _literal(value: StrEnum) -> Any:
    # As a literal, so that the indexes over links of one status can be used.
    return sa.literal(value.value, sa.String(), literal_execute=True)


def _rows(found: Found) -> sa.Select[Any]:
    """What a claim counts: (id, day), the day as ISO text, '' where it is not known."""
    match found.claim.noun:
        case Noun.QUESTION:
            return _questions(found)
        case Noun.PREDICTION:
            return _predictions(found)
        case _:
            return _dated(_pages(found), found.claim)


def _dated(statement: sa.Select[Any], claim: Claim) -> sa.Select[Any]:
    day = statement.selected_columns["day"]
    if claim.since:
        # A month or a year counts from its first day, and is less than that as text.
        statement = statement.where(day > day_before(claim.since))
    if claim.until:
        statement = statement.where(day != "", day <= claim.until)
    return statement


def _pages(found: Found) -> sa.Select[Any]:
    claim = found.claim
    then = None if found.then is None else _as_then(found.then)
    anchor, row = _link(then)
    first = _first(found)
    statement: sa.Select[Any]
    if first is None:
        page_id: Any = col(Page.id)
        source: Any = sa.select(
            page_id.label("id"), sa.func.coalesce(col(Paper.published), "").label("day")
        )
        statement = (
            source.select_from(Page)
            .outerjoin(Paper, col(Paper.page_id) == page_id)
            .where(*_there(found.then))
        )
    else:
        page_id = row.source_id
        day = sa.func.coalesce(sa.func.nullif(row.day, ""), col(Paper.published), "")
        statement = (
            sa.select(page_id.label("id"), day.label("day"))
            .select_from(anchor)
            .outerjoin(Paper, col(Paper.page_id) == page_id)
            .where(*_standing(row, first[0], first[1], found))
        )
        if claim.kind:
            statement = statement.join(Page, col(Page.id) == page_id)
    for target, relation in _targets(found)[0 if first is None else 1 :]:
        _, link = _link(then)
        statement = statement.where(
            page_id.in_(sa.select(link.source_id).where(*_standing(link, target, relation, found)))
        )
    if claim.role and not found.threads:
        _, link = _link(then)
        statement = statement.where(
            page_id.in_(
                sa.select(link.source_id).where(
                    *_standing(link, None, Relation.PART_OF, found), link.role == claim.role
                )
            )
        )
    if claim.kind:
        statement = statement.where(col(Page.kind) == PageKind(claim.kind))
    if found.topic:
        statement = statement.where(col(Paper.topic_id) == found.topic)
    for tag in claim.tags:
        statement = statement.where(
            page_id.in_(sa.select(col(PageTag.page_id)).where(col(PageTag.name) == tag))
        )
    return statement


def _targets(found: Found) -> list[tuple[int, Relation | None]]:
    """The pages that must be linked to, each with the relation, None for any. A thread comes first."""
    relation = found.claim.relation
    return [
        *((thread, Relation.PART_OF) for thread in found.threads),
        *((concept, relation or Relation.ABOUT) for concept in found.concepts),
        *((page, relation) for page in found.pages),
    ]


def _first(found: Found) -> tuple[int, Relation] | None:
    """The link that the rows are read along: one a page, so that no page is counted twice."""
    targets = _targets(found)
    if not targets or targets[0][1] is None:
        return None
    return targets[0][0], targets[0][1]


def _standing(link: Any, target: int | None, relation: Relation | None, found: Found) -> list[Any]:
    claim = found.claim
    conditions: list[Any] = []
    if found.then is None:  # those of then are accepted ones
        conditions.append(link.status == _literal(LinkStatus.ACCEPTED))
    if target is not None:
        conditions.append(link.target_id == target)
    if relation is not None:
        conditions.append(link.relation == _literal(relation))
    if claim.role and target is not None and relation is Relation.PART_OF:
        conditions.append(link.role == Role(claim.role))
    return conditions


def _link(then: Any) -> tuple[Any, Any]:
    """Links to read from, and their columns: those of today, or of a day."""
    link: Any = aliased(Link) if then is None else then.alias()
    return link, link if then is None else link.c


_LINKED = ("source_id", "target_id", "relation", "role", "day")


def _as_then(then: Past) -> Any:
    """The accepted links of a moment, with the columns that a claim asks for."""
    link: Any = aliased(Link)
    statement: Any = sa.select(*(getattr(link, name) for name in _LINKED)).where(
        *stood(LinkStatus.ACCEPTED, before=then.moment, link=link),
        col(link.id).not_in(_numbers_of(then.replaced)),
        col(link.source_id).not_in(_numbers_of(then.gone)),
        col(link.target_id).not_in(_numbers_of(then.gone)),
    )
    rows = [
        (each.source_id, each.target_id, each.relation.value, each.role, each.day)
        for each in then.links
        if each.status == LinkStatus.ACCEPTED
    ]
    if rows:
        kinds = (sa.Integer, sa.Integer, sa.String, sa.String, sa.String)
        columns = (sa.column(name, kind()) for name, kind in zip(_LINKED, kinds, strict=True))
        table = sa.values(*columns, name="otherwise", literal_binds=True).data(
            [(*row[:3], row[3].value if row[3] else None, row[4]) for row in rows]
        )
        statement = sa.union_all(statement, sa.select(*table.c))
    return statement.subquery()


def _numbers_of(ids: Iterable[int]) -> Any:
    """Numbers as they stand in a statement: there may be more than it can have parameters."""
    return [sa.literal(each, sa.Integer(), literal_execute=True) for each in ids]


def _there(then: Past | None) -> list[Any]:
    """Conditions on pages that are there, or were."""
    if then is None:
        return [col(Page.kind).not_in(GONE)]
    back = [page_id for page_id in then.pages if page_id not in then.gone]
    there = col(Page.kind).not_in(GONE) & col(Page.id).not_in(_numbers_of(then.gone))
    return [col(Page.created_at) < then.moment, there | col(Page.id).in_(_numbers_of(back))]


def _after(day: str, zone: tzinfo | None) -> datetime:
    """The end of a day where the reader is."""
    return end_of(min(date.fromisoformat(day), date(2999, 12, 31)), zone)


def _of_pages(found: Found, owner: Any) -> list[Any]:
    """On the pages that answer the claim's selectors; a thread's own page is with its members."""
    claim = found.claim
    bare = replace(claim, noun=Noun.PAGE, since="", until="", state="")
    if not (claim.names() or claim.role or claim.topic or claim.tags):
        return []
    inside = sa.select(_pages(replace(found, claim=bare)).subquery().c.id)
    only_thread = len(found.threads) == 1 and len(claim.names()) == 1
    if only_thread and not (claim.role or claim.topic or claim.tags):
        return [owner.in_(inside) | (owner == found.threads[0])]
    return [owner.in_(inside)]


def _questions(found: Found) -> sa.Select[Any]:
    asked = sa.func.coalesce(
        sa.func.nullif(col(Question.day), ""),
        sa.func.nullif(col(Paper.came), ""),
        col(Paper.published),
        "",
    )
    statement: Any = (
        sa.select(col(Question.id).label("id"), asked.label("day"))
        .select_from(Question)
        .outerjoin(Paper, col(Paper.page_id) == col(Question.page_id))
        .where(~col(Question.withdrawn), *_of_pages(found, col(Question.page_id)))
    )
    if found.claim.state:
        statement = statement.where(stands() == found.claim.state)
    return _dated(statement, found.claim)


def _predictions(found: Found) -> sa.Select[Any]:
    statement: Any = sa.select(
        col(Prediction.id).label("id"), col(Prediction.made).label("day")
    ).where(*_of_pages(found, col(Prediction.page_id)))
    if found.claim.state:
        statement = statement.where(sa.cast(col(Prediction.state), sa.String) == found.claim.state)
    return _dated(statement, found.claim)


# ---------------------------------------------------------------- evaluating


def fill(
    session: Session, claims: Collection[Claim], zone: tzinfo | None = None
) -> dict[Claim, Filled]:
    """What each claim says now. A handful of statements, however many claims there are.

    One that names what is not there has no words, and says so in its title.
    """
    found = find(session, claims, zone)
    sound = [each for each in found.values() if isinstance(each, Found)]
    numbers = _numbers(session, sound)
    shown = rows_by_id(
        session, [(each.claim.noun, row[1]) for each, row in zip(sound, numbers, strict=True)]
    )
    said: dict[Claim, Filled] = {
        claim: Filled("", "", why, off=True) for claim, why in found.items() if isinstance(why, str)
    }
    for each, (number, row_id, day) in zip(sound, numbers, strict=True):
        row = shown.get((each.claim.noun, row_id)) if row_id is not None else None
        said[each.claim] = _said(each, number, row, day)
    return said


def count(session: Session, found: Found) -> int:
    """How many rows a claim has, whatever its verb is."""
    statement = sa.select(sa.func.count()).select_from(_rows(found).subquery())
    return session.connection().execute(statement).scalar() or 0


def _numbers(session: Session, found: Sequence[Found]) -> list[tuple[int, int | None, str]]:
    """(number, id of the first or latest row, its day) of each claim.

    In one statement; where many are plain counts, those are read off the days of their members, in
    one more for threads and one for concepts.
    """
    plain = {at for at, each in enumerate(found) if _is_plain(each)}
    if len(plain) <= _FEW:
        plain = set()
    numbers: dict[int, tuple[int, int | None, str]] = {}
    parts = [_number(at, each) for at, each in enumerate(found) if at not in plain]
    if parts:
        for row in session.connection().execute(sa.union_all(*parts)):
            numbers[row.at] = (row.number, row.id, row.day or "")
    days = _days_of(session, [found[at] for at in plain])
    for at in plain:
        numbers[at] = (_within(found[at].claim, days[_targets(found[at])[0]]), None, "")
    return [numbers.get(at, (0, None, "")) for at in range(len(found))]


_FEW = 5


def _is_plain(found: Found) -> bool:
    """Whether a claim counts the members of one thread, or the pages about one concept, by their days."""
    claim = found.claim
    bare = Claim(
        claim.verb,
        threads=claim.threads,
        concepts=claim.concepts,
        kind=claim.kind,
        since=claim.since,
        until=claim.until,
    )
    counts = claim.verb in (Verb.COUNT, Verb.NONE)
    return counts and bare == claim and len(claim.threads) + len(claim.concepts) == 1


_Target = tuple[int, Relation | None]


def _days_of(session: Session, found: Sequence[Found]) -> dict[_Target, list[tuple[str, str, int]]]:
    """How many pages of each kind are linked to each target on each day."""
    days: dict[_Target, list[tuple[str, str, int]]] = {_targets(each)[0]: [] for each in found}
    for relation in (Relation.PART_OF, Relation.ABOUT):
        ids = sorted({target for target, its in days if its is relation})
        for row in session.connection().execute(_DAYS[relation], {"ids": ids}) if ids else ():
            kind = str(getattr(row.kind, "value", row.kind))
            days[row.target_id, relation].append((row.day, kind, row.number))
    return days


def _linked_days(relation: Relation) -> sa.Select[Any]:
    day = sa.func.coalesce(sa.func.nullif(col(Link.day), ""), col(Paper.published), "").label("day")
    rows: Any = (
        sa.select(col(Link.target_id), day, col(Page.kind), sa.func.count().label("number"))
        .select_from(Link)
        .join(Page, col(Page.id) == col(Link.source_id))
        .outerjoin(Paper, col(Paper.page_id) == col(Link.source_id))
        .where(
            col(Link.status) == _literal(LinkStatus.ACCEPTED),
            col(Link.relation) == _literal(relation),
            col(Link.target_id).in_(sa.bindparam("ids", expanding=True)),
        )
        .group_by(col(Link.target_id), sa.literal_column("2"), col(Page.kind))
    )
    return rows  # type: ignore[no-any-return]


_DAYS = {relation: _linked_days(relation) for relation in (Relation.PART_OF, Relation.ABOUT)}


def _within(claim: Claim, days: Sequence[tuple[str, str, int]]) -> int:
    """The same as `_dated` asks of the database."""
    after = day_before(claim.since) if claim.since else None
    return sum(
        number
        for day, kind, number in days
        if claim.kind in ("", kind)
        and (after is None or day > after)
        and (not claim.until or "" < day <= claim.until)
    )


def _number(at: int, found: Found) -> Any:
    rows = _rows(found).subquery()
    number: Any
    place = sa.literal(at, sa.Integer(), literal_execute=True).label("at")
    if found.claim.verb in (Verb.COUNT, Verb.NONE):
        number = sa.select(
            place,
            sa.func.count().label("number"),
            sa.cast(sa.null(), sa.Integer).label("id"),
            sa.cast(sa.null(), sa.String).label("day"),
        ).select_from(rows)
        return number
    latest = found.claim.verb is Verb.LATEST
    order = (rows.c.day.desc(), rows.c.id.desc()) if latest else (rows.c.day, rows.c.id)
    one = sa.select(rows.c.id, rows.c.day).where(rows.c.day != "").order_by(*order).limit(1)
    inner = one.subquery()
    number = sa.select(place, sa.literal(1, sa.Integer()).label("number"), inner.c.id, inner.c.day)
    return number


def address(claim: Claim) -> str:
    """The screen that lists what a claim counts."""
    return "/live?" + urlencode({"q": written(claim)})


def _said(found: Found, number: int, row: Row | None, day: str) -> Filled:
    claim, words = found.claim, named(found.claim, found.titles)
    noun = noun_of(claim)
    listed = address(claim)
    match claim.verb:
        case Verb.COUNT:
            return Filled(f"{number:,}", listed, f"{_plural(number, noun)} {words}".strip())
        case Verb.NONE if number == 0:
            joins = len(claim.names()) > 1
            phrase = f"no {noun} yet joins them" if joins else f"no {noun} yet"
            return Filled(phrase, listed, f"No {noun} {words}".strip())
        case Verb.NONE:
            title = f"This said there is none. Now there are {_plural(number, noun)} {words}"
            if number == 1:
                title = f"This said there is none. Now there is 1 {noun} {words}"
            return Filled(_plural(number, noun), listed, title.strip(), off=True)
        case Verb.SINCE:
            if row is None:
                return Filled("no day yet", listed, f"No dated {noun} {words}".strip())
            return Filled(day_words(day), listed, f"The first {noun} {words}: {row.title}")
        case _:
            which = "first" if claim.verb is Verb.FIRST else "latest"
            if row is None:
                return Filled("none yet", listed, f"No dated {noun} {words}".strip())
            place = f"/w/{row.slug}" + ("#questions" if claim.noun is Noun.QUESTION else "")
            return Filled(
                row.text or row.title,
                place,
                f"The {which} {noun} {words}".strip(),
                after=f" ({day_words(day)})",
            )


_MONTHS = "January February March April May June July August September October November December"


def day_words(day: str) -> str:
    """ISO text in words: a day, a month or a year, as far as it is known."""
    parts = day.split("-")
    try:
        words = [parts[0], _MONTHS.split()[int(parts[1]) - 1]] if len(parts) > 1 else [parts[0]]
        return " ".join(reversed([*words, str(int(parts[2]))] if len(parts) > 2 else words))
    except (ValueError, IndexError):
        return day


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


# ---------------------------------------------------------------- the list


def listed(
    session: Session, found: Found, *, after: tuple[str, int] | None = None, limit: int
) -> list[Row]:
    """The rows that a claim counts, newest first; those behind the place (day, id) `after`."""
    rows = _rows(found).subquery()
    statement = sa.select(rows.c.id, rows.c.day)
    if after is not None:
        day, row_id = after
        statement = statement.where(
            (rows.c.day < day) | ((rows.c.day == day) & (rows.c.id < row_id))
        )
    statement = statement.order_by(rows.c.day.desc(), rows.c.id.desc()).limit(limit)
    places = session.connection().execute(statement).all()
    noun = found.claim.noun
    shown = rows_by_id(session, [(noun, row_id) for row_id, _ in places])
    return [replace(shown[noun, row_id], day=day or "") for row_id, day in places]


def rows_by_id(
    session: Session, wanted: Iterable[tuple[Noun, int | None]]
) -> dict[tuple[Noun, int], Row]:
    """Rows as they are shown, by what they are and their id."""
    ids: dict[Noun, set[int]] = {noun: set() for noun in Noun}
    for noun, row_id in wanted:
        if row_id is not None:
            ids[noun].add(row_id)
    found: dict[tuple[Noun, int], Row] = {}
    for noun, some in ids.items():
        if some:
            rows = session.connection().execute(_SHOWN[noun], {"ids": sorted(some)})
            for row in rows:
                kind = str(getattr(row.kind, "value", row.kind))
                found[noun, row.id] = Row(row.id, "", row.slug, row.title, kind, row.text)
    return found


def _shown(table: Any, text: Any, page: Any) -> sa.Select[Any]:
    statement = sa.select(
        col(table.id), col(Page.slug), col(Page.title), col(Page.kind), text.label("text")
    )
    if table is not Page:
        statement = statement.join(Page, col(Page.id) == page)
    return statement.where(col(table.id).in_(sa.bindparam("ids", expanding=True)))


_SHOWN: dict[Noun, sa.Select[Any]] = {
    Noun.PAGE: _shown(Page, sa.literal(""), Page.id),
    Noun.QUESTION: _shown(Question, col(Question.text), Question.page_id),
    Noun.PREDICTION: _shown(Prediction, col(Prediction.text), Prediction.page_id),
}
