"""The pages of the wiki as a site of files shows them, read some at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.domain.records import (
    GONE,
    Alias,
    AliasKind,
    Digest,
    Episode,
    Identifier,
    Link,
    LinkStatus,
    Page,
    PageKind,
    PageTag,
    Paper,
    Question,
    Thread,
)

_SOME = 500


@dataclass
class Shown:
    """A page, and what belongs to it. `paper`, `thread`, `digest` and `episode` are rows, or None.

    `out` and `back` are rows (relation, role, note, slug, title, kind) of accepted links from and to it.
    """

    page: Any
    aliases: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    identifiers: list[tuple[str, str]] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    out: list[Any] = field(default_factory=list)
    back: list[Any] = field(default_factory=list)
    paper: Any = None
    thread: Any = None
    digest: Any = None
    episode: Any = None


def titles(session: Session) -> Iterator[tuple[int, str, str, str, PageKind]]:
    """Every page by kind and title: id, slug, title, the key it is sorted by, kind."""
    rows = (
        sa.select(
            col(Page.id), col(Page.slug), col(Page.title), col(Page.title_key), col(Page.kind)
        )
        .where(col(Page.kind).not_in(GONE))
        .order_by(col(Page.kind), col(Page.title_key), col(Page.id))
    )
    for row in session.connection().execute(rows.execution_options(yield_per=_SOME)):
        yield row.id, row.slug, row.title, row.title_key, row.kind


def shown(session: Session, ids: Collection[int]) -> list[Shown]:
    """These pages, by id. A constant number of statements."""
    these = {"ids": list(ids)}
    connection = session.connection()
    found = {row.id: Shown(row) for row in connection.execute(_PAGES, these)}
    for page_id, name in connection.execute(_ALIASES, these):
        found[page_id].aliases.append(name)
    for page_id, name in connection.execute(_TAGS, these):
        found[page_id].tags.append(name)
    for page_id, text in connection.execute(_QUESTIONS, these):
        found[page_id].questions.append(text)
    for page_id, scheme, value in connection.execute(_IDENTIFIERS, these):
        found[page_id].identifiers.append((scheme, value))
    for name, statement in _FACTS.items():
        for row in connection.execute(statement, these):
            setattr(found[row.page_id], name, row)
    for side, statement in (("out", _OUT), ("back", _BACK)):
        rows: defaultdict[int, list[Any]] = defaultdict(list)
        for row in connection.execute(statement, these):
            rows[row.page_id].append(row)
        for page_id, links in rows.items():
            setattr(found[page_id], side, links)
    return list(found.values())


_THESE: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_PAGES = (
    sa.select(
        col(Page.id),
        col(Page.slug),
        col(Page.title),
        col(Page.title_key),
        col(Page.kind),
        col(Page.body),
        col(Page.updated_at),
    )
    .where(col(Page.id).in_(_THESE), col(Page.kind).not_in(GONE))
    .order_by(col(Page.id))
)
_ALIASES = (
    sa.select(col(Alias.page_id), col(Alias.name))
    .where(col(Alias.page_id).in_(_THESE), col(Alias.kind) == AliasKind.NAME)
    .order_by(col(Alias.id))
)
_TAGS = (
    sa.select(col(PageTag.page_id), col(PageTag.name))
    .where(col(PageTag.page_id).in_(_THESE))
    .order_by(col(PageTag.name))
)
_QUESTIONS = (
    sa.select(col(Question.page_id), col(Question.text))
    .where(col(Question.page_id).in_(_THESE), ~col(Question.in_text), ~col(Question.withdrawn))
    .order_by(col(Question.number))
)
_OWNER = sa.func.coalesce(col(Identifier.page_id), col(Paper.page_id)).label("page_id")
_IDENTIFIERS = (
    sa.select(_OWNER, col(Identifier.scheme), col(Identifier.value))
    .select_from(Identifier)
    .outerjoin(Paper, col(Paper.id) == col(Identifier.paper_id))
    .where(sa.or_(col(Identifier.page_id).in_(_THESE), col(Paper.page_id).in_(_THESE)))
    .order_by(col(Identifier.id))
)
_FACTS = {
    "paper": sa.select(
        col(Paper.page_id),
        col(Paper.authors),
        col(Paper.venue),
        col(Paper.published),
        col(Paper.abstract),
        col(Paper.code_url),
    ).where(col(Paper.page_id).in_(_THESE)),
    "thread": sa.select(col(Thread.page_id), col(Thread.claim), col(Thread.status)).where(
        col(Thread.page_id).in_(_THESE)
    ),
    "digest": sa.select(col(Digest.page_id), col(Digest.day)).where(
        col(Digest.page_id).in_(_THESE)
    ),
    "episode": sa.select(
        col(Episode.page_id), col(Episode.published), col(Episode.takeaways)
    ).where(col(Episode.page_id).in_(_THESE)),
}


def _links(own: Any, other: Any) -> sa.Select[Any]:
    there = aliased(Page)
    return (
        sa.select(
            own.label("page_id"),
            col(Link.relation),
            col(Link.role),
            col(Link.note),
            col(there.slug),
            col(there.title),
            col(there.kind),
        )
        .join(there, col(there.id) == other)
        .where(
            own.in_(_THESE), col(Link.status) == LinkStatus.ACCEPTED, col(there.kind).not_in(GONE)
        )
        .order_by(own, col(Link.relation), col(there.title_key), col(Link.id))
    )


_OUT = _links(col(Link.source_id), col(Link.target_id))
_BACK = _links(col(Link.target_id), col(Link.source_id))
