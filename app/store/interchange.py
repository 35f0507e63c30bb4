"""The rows of a whole wiki in the order of its interchange file, and back into an empty wiki."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, IntegrityError
from sqlmodel import Session, SQLModel, col, select

from app.domain.interchange import TYPES, LineType, columns
from app.domain.records import (
    GONE,
    Alias,
    AliasKind,
    Decision,
    Identifier,
    Link,
    ListingPaper,
    Page,
    PageKind,
    PageTag,
    Paper,
    PaperState,
    Prediction,
    PredictionTouch,
    Preference,
    Question,
    Revision,
    Thread,
    Verdict,
)
from app.store import papers
from app.store.db import load

CHUNK = 500
# How far the machine has come with the files of one vault: nobody's choice.
_OF_A_VAULT = ("vault_wiki", "vault_decisions", "vault_git_done")

Rows = dict[str, dict[str, Any]]  # of one line, by the name of their table


def lines(session: Session, kind: LineType) -> Iterator[tuple[Rows, dict[str, Any]]]:
    """What stands in each line of a type: its rows, and what is told to readers of the format."""
    connection = session.connection()
    found = connection.execute(_query(kind).execution_options(yield_per=CHUNK))
    told = _TOLD.get(kind.name, _pages_told if kind.kinds else _nothing)
    parts = [
        (part.name, list(columns(part.table)), next(iter(columns(part.table))))
        for part in kind.parts
    ]
    for chunk in found.partitions(CHUNK):
        some: list[Rows] = []
        for row in chunk:
            values = iter(row)
            each = {name: dict(zip(names, values, strict=False)) for name, names, _ in parts}
            # Of a row that is not there, an outer join has nulls, its key among them.
            some.append({name: each[name] for name, _, key in parts if each[name][key] is not None})
        yield from zip(some, told(session, some), strict=True)


def _query(kind: LineType) -> sa.Select[Any]:
    """All rows of a type's tables, side by side, in the order of its lines."""
    main = next(part.table for part in kind.parts if part.inside == "row")
    chosen = [getattr(part.table, name) for part in kind.parts for name in columns(part.table)]
    if main is Revision:
        # A text that its page has as well is not written twice.
        same = sa.case((col(Revision.body) == col(Page.body), None), else_=col(Revision.body))
        chosen = [same if each is Revision.body else each for each in chosen]
    key = [getattr(main, column.name) for column in main.__table__.primary_key]  # type: ignore[attr-defined]
    query = sa.select(*chosen).select_from(main).order_by(*key)
    if main is Revision:
        query = query.join(Page, col(Page.id) == col(Revision.page_id))
    elif main is Page:
        own = sa.exists().where(
            col(Paper.page_id) == col(Page.id), col(Page.kind) == PageKind.PAPER
        )
        query = query.where(col(Page.kind).in_(kind.kinds), ~own)
        query = query.outerjoin(Thread, col(Thread.page_id) == col(Page.id))
    elif main is Paper:
        query = query.outerjoin(
            Page, (col(Page.id) == col(Paper.page_id)) & (col(Page.kind) == PageKind.PAPER)
        )
    elif kind.name.removeprefix("other_") in _IN_WORDS:
        in_words = _IN_WORDS[kind.name.removeprefix("other_")]
        query = query.where(~in_words if kind.name.startswith("other_") else in_words)
    elif main is PredictionTouch:
        query = query.where(col(PredictionTouch.dismissed))  # the others are derived
    elif main is Preference:
        query = query.where(col(Preference.name).not_in(_OF_A_VAULT))
    return query


def _is_there(page_id: Any) -> sa.ColumnElement[bool]:
    return sa.exists().where(col(Page.id) == page_id, col(Page.kind).not_in(GONE))


# What the format has words for; of the same table all else is in lines of another type.
_IN_WORDS: dict[str, sa.ColumnElement[bool]] = {
    "link": sa.and_(_is_there(col(Link.source_id)), _is_there(col(Link.target_id))),
    "decision": sa.and_(
        col(Decision.paper_id).is_not(None),
        col(Decision.change_id).is_(None),
        col(Decision.undoes_id).is_(None),
        ~col(Decision.undone),
        col(Decision.verdict).in_((Verdict.KEEP, Verdict.DROP, Verdict.DEFER)),
    ),
    "question": sa.and_(~col(Question.withdrawn), _is_there(col(Question.page_id))),
    "prediction": _is_there(col(Prediction.page_id)),
}


# ---------------------------------------------------------------- for readers of the format


def _nothing(session: Session, some: Sequence[Rows]) -> Iterator[dict[str, Any]]:
    return ({} for _ in some)


def _pages_told(session: Session, some: Sequence[Rows]) -> Iterator[dict[str, Any]]:
    names = _names(session, [each["page"]["id"] for each in some if "page" in each])
    return (names[each["page"]["id"]] for each in some)


def _names(session: Session, ids: Sequence[int]) -> defaultdict[int, dict[str, Any]]:
    """The aliases and tags of pages."""
    found: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    aliases = sa.select(col(Alias.page_id), col(Alias.name)).where(
        col(Alias.page_id).in_(ids), col(Alias.kind) == AliasKind.NAME
    )
    for page_id, name in session.connection().execute(aliases.order_by(col(Alias.id))):
        found[page_id].setdefault("aliases", []).append(name)
    tags = sa.select(col(PageTag.page_id), col(PageTag.name)).where(col(PageTag.page_id).in_(ids))
    for page_id, name in session.connection().execute(tags.order_by(col(PageTag.name))):
        found[page_id].setdefault("tags", []).append(name)
    return found


def _papers_told(session: Session, some: Sequence[Rows]) -> Iterator[dict[str, Any]]:
    ids = [each["paper"]["id"] for each in some]
    names = _names(session, [each["page"]["id"] for each in some if "page" in each])
    called = _called(session, ids)
    days = _listed(session, ids)
    for each in some:
        paper, page = each["paper"], each.get("page")
        own = called[paper["id"]]
        slug = page["slug"] if page else paper["extra"].get("slug")
        told: dict[str, Any] = {"id": own[0] if own else slug or f"paper-{paper['id']}"}
        if len(own) > 1:
            told["identifiers"] = own[1:]
        if slug and page is None:
            told["slug"] = slug
        yield {
            **told,
            **(names[page["id"]] if page else {}),
            **days.get(paper["id"], {}),
            "keep": paper["state"] == PaperState.KEPT,
        }


def _called(session: Session, ids: Collection[int]) -> defaultdict[int, list[str]]:
    """The identifiers of papers, the one that they are named by first."""
    own = sa.select(col(Identifier.paper_id), col(Identifier.scheme), col(Identifier.value))
    own = own.where(col(Identifier.paper_id).in_(ids))
    found: defaultdict[int, list[str]] = defaultdict(list)
    order = (col(Identifier.scheme), col(Identifier.id))
    for row in session.connection().execute(own.order_by(*order)).all():
        found[row.paper_id].append(f"{row.scheme}:{row.value}")
    return found


def _listed(session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """The day of the listing under which each paper came."""
    rows = session.connection().execute(
        sa.select(
            col(ListingPaper.paper_id),
            col(ListingPaper.day),
            col(ListingPaper.position),
            col(ListingPaper.announced),
            col(ListingPaper.version),
        )
        .join(Paper, col(Paper.id) == col(ListingPaper.paper_id))
        .where(col(ListingPaper.paper_id).in_(ids), col(ListingPaper.day) == col(Paper.came))
    )
    return {
        row.paper_id: {
            "day": row.day,
            "position": row.position,
            **({"announced": row.announced.value} if row.announced else {}),
            **({"version": row.version} if row.version else {}),
        }
        for row in rows
    }


def _links_told(session: Session, some: Sequence[Rows]) -> Iterator[dict[str, Any]]:
    links = [each["link"] for each in some]
    ids = {each[end] for each in links for end in ("source_id", "target_id")}
    refs = papers.references(session, ids)
    return (
        {"source": refs[link["source_id"]], "target": refs[link["target_id"]]} for link in links
    )


def _decisions_told(session: Session, some: Sequence[Rows]) -> Iterator[dict[str, Any]]:
    ids = [each["decision"]["paper_id"] for each in some]
    named = _paper_refs(session, set(ids))
    return ({"paper": named[each]} for each in ids)


def _paper_refs(session: Session, paper_ids: Collection[int]) -> dict[int, str]:
    called = _called(session, paper_ids)
    found = {each: called[each][0] for each in paper_ids if called[each]}
    if left := [each for each in paper_ids if each not in found]:
        slugs = (
            sa.select(col(Paper.id), col(Page.slug), col(Paper.extra))
            .outerjoin(Page, col(Page.id) == col(Paper.page_id))
            .where(col(Paper.id).in_(left))
        )
        for paper_id, slug, extra in session.connection().execute(slugs).all():
            found[paper_id] = slug or extra.get("slug") or f"paper-{paper_id}"
    return found


def _of_pages_told(session: Session, some: Sequence[Rows]) -> Iterator[dict[str, Any]]:
    ids = [row["page_id"] for each in some for row in each.values()]
    refs = papers.references(session, set(ids))
    return ({"page": refs[each]} for each in ids)


def _assessments_told(session: Session, some: Sequence[Rows]) -> Iterator[dict[str, Any]]:
    rows = [each["assessment"] for each in some]
    named = _paper_refs(session, {row["paper_id"] for row in rows})
    topics = SQLModel.metadata.tables["assessment_topic"]
    matched: defaultdict[int, list[str]] = defaultdict(list)
    own = sa.select(topics).where(topics.c.assessment_id.in_([row["id"] for row in rows]))
    order = (topics.c.assessment_id, topics.c.topic_id)
    for assessment_id, topic_id in session.connection().execute(own.order_by(*order)).all():
        matched[assessment_id].append(topic_id)
    for row in rows:
        own_topics = {"topics": matched[row["id"]]} if row["id"] in matched else {}
        yield {"paper": named[row["paper_id"]], **own_topics}


_TOLD = {
    "paper": _papers_told,
    "link": _links_told,
    "decision": _decisions_told,
    "question": _of_pages_told,
    "prediction": _of_pages_told,
    "assessment": _assessments_told,
}


# ---------------------------------------------------------------- into an empty wiki


def is_empty(session: Session) -> bool:
    """Whether nothing is in the wiki that a file of a whole one brings, but for choices."""
    tables = {part.table for kind in TYPES for part in kind.parts} - {Preference}
    connection = session.connection()
    return not any(
        connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
        for table in sorted(tables, key=lambda table: table.__name__)
    )


def put(
    session: Session, table: type[SQLModel], rows: Sequence[dict[str, Any]]
) -> tuple[int, str] | None:
    """Store rows past the write path, triggers asleep; what is derived of them is made anew later.

    None, or the place of the first row that cannot stand here and why. Then the transaction is to be
    thrown away.
    """
    if table is Revision:
        _find_bodies(session, rows)
    elif table is Preference:
        # What was chosen here, before the file came, stands.
        chosen = {*session.exec(select(Preference.name)), *_OF_A_VAULT}
        rows = [row for row in rows if row["name"] not in chosen]
    made: sa.Table = table.__table__  # type: ignore[attr-defined]
    names = [column.name for column in made.columns]
    values = [tuple(row.get(name, _default(table, name)) for name in names) for row in rows]
    if not values or _put(session, made, values):
        return None
    for place, one in enumerate(values):
        if not _put(session, made, [one]):
            return place, _why(session.connection(), made, dict(zip(names, one, strict=True)))
    return None


def _put(session: Session, table: sa.Table, values: Sequence[tuple[Any, ...]]) -> bool:
    try:
        with session.begin_nested():
            load(session.connection(), table, values)
    except (IntegrityError, DataError):
        return False
    return True


def _default(table: type[SQLModel], name: str) -> Any:
    """Of a column that no line has."""
    return table.model_fields[name].get_default(call_default_factory=True)


def _find_bodies(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    without = [row for row in rows if row["body"] is None]
    ids = {row["page_id"] for row in without}
    bodies = dict(
        session.connection()
        .execute(sa.select(col(Page.id), col(Page.body)).where(col(Page.id).in_(ids)))
        .all()
    )
    for row in without:
        row["body"] = bodies[row["page_id"]]


def _why(connection: Connection, table: sa.Table, row: dict[str, Any]) -> str:
    """The sentence for a row that the database does not take."""
    for rule in sorted(table.constraints, key=lambda rule: str(rule.name)):
        if isinstance(rule, sa.UniqueConstraint | sa.PrimaryKeyConstraint):
            same = [column == row[column.name] for column in rule.columns]
            if connection.execute(sa.select(sa.literal(1)).where(*same).limit(1)).first():
                shared = " and ".join(column.name for column in rule.columns)
                return f"An earlier line of this type has the same {shared}."
    return "It cannot stand in a wiki: something in it contradicts itself."
