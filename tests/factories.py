"""Rows for tests, written as the program would write them, with as little to say as possible."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, SQLModel

from app.domain.identifiers import slugify
from app.domain.markdown import name_key
from app.domain.records import (
    Alias,
    AuthorKind,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    PageTag,
    PageText,
    Paper,
    PaperState,
    Relation,
)
from app.store import search
from app.store.db import open_engine
from tests import databases

THEN = datetime(2026, 5, 8, 9, 0, tzinfo=UTC)


def make_engine(folder: Path) -> Engine:
    """A real, empty database with today's schema, on the engine under test."""
    return open_engine(databases.url_of(folder))


def make_page(
    session: Session,
    title: str,
    kind: PageKind = PageKind.CONCEPT,
    *,
    text: str = "",
    aliases: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
    slug: str = "",
    at: datetime = THEN,
    published: str = "",
    authors: tuple[str, ...] = (),
) -> int:
    """A page with its searchable text, names and tags; with `published`, a kept paper too. Its id."""
    page = Page(
        slug=slug or slugify(title),
        kind=kind,
        title=title,
        title_key=name_key(title),
        body=text,
        author_kind=AuthorKind.PERSON,
        created_at=at,
        updated_at=at,
    )
    session.add(page)
    session.flush()
    assert page.id is not None
    names = "\n".join([*aliases, *authors])
    digest = sha256("\0".join([title, names, text]).encode()).hexdigest()[:16]
    session.add(PageText(page_id=page.id, title=title, names=names, text=text, hash=digest))
    for name in aliases:
        session.add(Alias(page_id=page.id, name=name, key=name_key(name)))
    for name in tags:
        session.add(PageTag(page_id=page.id, name=name))
    if kind is PageKind.PAPER:
        session.add(
            Paper(
                page_id=page.id,
                state=PaperState.KEPT,
                title=title,
                title_key=name_key(title),
                authors=list(authors),
                published=published,
                created_at=at,
            )
        )
    session.flush()
    search.index(session, page.id, title=title, names=names, text=text, aliases=aliases)
    return page.id


def make_link(
    session: Session,
    source_id: int,
    target_id: int,
    relation: Relation = Relation.PART_OF,
    *,
    status: LinkStatus = LinkStatus.ACCEPTED,
    confidence: float = 1.0,
    origin: Origin = Origin.LINKER,
    signals: tuple[str, ...] = (),
) -> int:
    """A link between two pages; its id."""
    link = Link(
        source_id=source_id,
        target_id=target_id,
        relation=relation,
        status=status,
        origin=origin,
        confidence=confidence,
        signals=[{"name": name, "value": 1.0, "words": []} for name in signals],
        created_at=THEN,
    )
    session.add(link)
    session.flush()
    assert link.id is not None
    return link.id


def linked(
    session: Session,
    source: Page,
    target: Page,
    status: LinkStatus = LinkStatus.ACCEPTED,
    relation: Relation = Relation.ABOUT,
    *,
    origin: Origin = Origin.LINKER,
    **values: Any,
) -> Link:
    """A link between two pages, with whatever else it has."""
    assert source.id is not None and target.id is not None
    made = Link(
        source_id=source.id,
        target_id=target.id,
        relation=relation,
        status=status,
        origin=origin,
        created_at=THEN,
        **values,
    )
    session.add(made)
    session.flush()
    return made


# Rows that only say when the machine last did something, or are made anew from the others.
_MADE_ANEW = frozenset(
    {"generation", "unmirrored", "page_vector", "title_word", "unencoded", "page_text_data"}
)


def every_row(session: Session, *, but: Collection[str] = ()) -> dict[str, list[dict[str, Any]]]:
    """Every row of the wiki by its table, in one order, but for these and those made anew."""
    session.flush()
    session.expire_all()
    found: dict[str, list[dict[str, Any]]] = {}
    for name, table in sorted(SQLModel.metadata.tables.items()):
        if name not in _MADE_ANEW and name not in but:
            rows = session.connection().execute(sa.select(table))
            found[name] = sorted((dict(row._mapping) for row in rows), key=repr)
    return found
