"""The terms of kept papers: which papers wait to be read for them, and who shares which term."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.definitions import Text
from app.domain.records import (
    Alias,
    AliasKind,
    Change,
    ChangeKind,
    Done,
    Link,
    LinkStatus,
    Page,
    PageKind,
    PageText,
    Paper,
    PaperTerm,
    Relation,
)
from app.domain.termhood import LEAST, Use
from app.domain.terms import Term
from app.store import runs

RULES = 1  # of domain/terms.py: with another number every paper is read again
FITS = 0.5  # confidence from which a waiting `about` link says that a concept fits
_SOME = 400  # keys or ids in one statement


def waiting(step: str, session: Session, *, now: datetime) -> sa.Select[Any]:
    """Selects page_id and hash of kept papers whose text was not read for terms as it stands."""
    noted = sa.and_(col(Done.step) == step, col(Done.subject_id) == col(PageText.page_id))
    columns: Any = (col(PageText.page_id), col(PageText.hash))
    statement: sa.Select[Any] = sa.select(*columns)
    return (
        statement.join(Paper, col(Paper.page_id) == col(PageText.page_id))
        .outerjoin(Done, noted)
        .where(
            sa.func.coalesce(col(Done.seen), "") != state(col(PageText.hash)),
            col(PageText.page_id).not_in(runs.blocked(session, step, now=now)),
        )
    )


def state(text_hash: Any) -> Any:
    """What `Done` notes of a paper that was read: the rules it was read by, and its text."""
    return f"{RULES}:" + text_hash


def replace(session: Session, found: Mapping[int, Sequence[Term]]) -> set[str]:
    """Keep the terms of these papers in place of those they had; every key that either has.

    A page that is gone meanwhile is left out.
    """
    touched: set[str] = set()
    connection = session.connection()
    for some in _chunks(sorted(found)):
        touched.update(
            connection.execute(
                sa.select(col(PaperTerm.key)).where(col(PaperTerm.page_id).in_(some)).distinct()
            ).scalars()
        )
        connection.execute(sa.delete(PaperTerm).where(col(PaperTerm.page_id).in_(some)))
        alive = set(
            connection.execute(sa.select(col(Page.id)).where(col(Page.id).in_(some))).scalars()
        )
        rows = [
            {"key": term.key, "page_id": page_id, "term": term.written, "weight": term.weight}
            for page_id in some
            if page_id in alive
            for term in found[page_id]
        ]
        if rows:
            connection.execute(sa.insert(PaperTerm), rows)
            touched.update(row["key"] for row in rows)
    return touched


def count(session: Session) -> int:
    """How many kept papers there are."""
    return session.connection().execute(_COUNT).scalar_one()


_COUNT = sa.select(sa.func.count()).select_from(Paper).where(col(Paper.page_id).is_not(None))


def count_waiting(session: Session) -> int:
    """How many new concepts wait in Review."""
    return session.connection().execute(_WAITING).scalar_one()


_WAITING = (
    sa.select(sa.func.count())
    .select_from(Change)
    .where(col(Change.kind) == ChangeKind.CONCEPT, col(Change.status) == LinkStatus.PROPOSED)
)


def shared(session: Session, keys: Iterable[str] | None) -> list[Any]:
    """Rows (key, papers, titled, weight) of the terms that enough papers share; `keys` or all.

    `titled` counts the papers that have it in their title, `weight` is the sum of the weights.
    """
    papers = sa.func.count()
    statement = (
        sa.select(
            col(PaperTerm.key),
            papers.label("papers"),
            sa.func.sum(sa.case((col(PaperTerm.weight) >= 3, 1), else_=0)).label("titled"),
            sa.func.sum(col(PaperTerm.weight)).label("weight"),
        )
        .group_by(col(PaperTerm.key))
        .having(papers >= LEAST)
    )
    if keys is None:
        return list(session.connection().execute(statement))
    found: list[Any] = []
    for some in _chunks(sorted(set(keys))):
        found += session.connection().execute(statement.where(col(PaperTerm.key).in_(some)))
    return found


def pairs(session: Session, keys: Iterable[str]) -> list[tuple[str, int]]:
    """(term, papers) of the terms under these keys that are written "expansion (ACRONYM)"."""
    found: list[Any] = []
    for some in _chunks(sorted(set(keys))):
        found += session.connection().execute(
            sa.select(col(PaperTerm.key), col(PaperTerm.term), sa.func.count())
            .where(col(PaperTerm.key).in_(some), col(PaperTerm.term).like("%(%)"))
            .group_by(col(PaperTerm.key), col(PaperTerm.term))
        )
    most: dict[str, int] = {}  # the same paper has it under both its keys
    for _, term, papers in found:
        most[term] = max(papers, most.get(term, 0))
    return list(most.items())


def uses(session: Session, counts: Mapping[str, int], *, most: int) -> list[Use]:
    """The papers of these terms, of each the newest `most`; `counts` says how many each has."""
    columns: Any = (
        col(PaperTerm.page_id),
        col(PaperTerm.key),
        col(PaperTerm.term),
        col(PaperTerm.weight),
    )
    statement: sa.Select[Any] = sa.select(*columns)
    found: list[Any] = []
    for some in _chunks(sorted(key for key, count in counts.items() if count <= most)):
        found += session.connection().execute(statement.where(col(PaperTerm.key).in_(some)))
    newest = (
        statement.where(col(PaperTerm.key) == sa.bindparam("key"))
        .order_by(col(PaperTerm.page_id).desc())
        .limit(most)
    )
    for key in sorted(key for key, count in counts.items() if count > most):
        found += session.connection().execute(newest, {"key": key})
    return sorted((Use(*row) for row in found), key=lambda use: (use.key, use.paper))


def names(session: Session) -> list[tuple[int, str]]:
    """(page, name) of every concept, by title and by each other name."""
    statement: sa.CompoundSelect[Any] = sa.union_all(
        sa.select(col(Page.id), col(Page.title)).where(col(Page.kind) == PageKind.CONCEPT),
        sa.select(col(Alias.page_id), col(Alias.name))
        .join(Page, col(Page.id) == col(Alias.page_id))
        .where(col(Page.kind) == PageKind.CONCEPT, col(Alias.kind) == AliasKind.NAME),
    )
    return [(page_id, name) for page_id, name in session.connection().execute(statement)]


def placed(session: Session, page_ids: Collection[int]) -> list[tuple[int, int, bool]]:
    """(paper, concept, accepted) of the concepts that fit these papers: linked, or likely so."""
    found: list[tuple[int, int, bool]] = []
    fits = sa.or_(
        col(Link.status) == LinkStatus.ACCEPTED,
        sa.and_(col(Link.status) == LinkStatus.PROPOSED, col(Link.confidence) >= FITS),
    )
    for some in _chunks(sorted(page_ids)):
        found += (
            (source_id, target_id, status == LinkStatus.ACCEPTED)
            for source_id, target_id, status in session.connection().execute(
                sa.select(col(Link.source_id), col(Link.target_id), col(Link.status)).where(
                    col(Link.source_id).in_(some), col(Link.relation) == Relation.ABOUT, fits
                )
            )
        )
    return found


def papers(session: Session, page_ids: Collection[int]) -> list[Any]:
    """Rows (id, slug, title, published, hash of the text) of these papers, the earliest first."""
    found: list[Any] = []
    for some in _chunks(sorted(page_ids)):
        found += session.connection().execute(
            sa.select(
                col(Page.id),
                col(Page.slug),
                col(Page.title),
                col(Paper.published),
                col(PageText.hash),
            )
            .join(Paper, col(Paper.page_id) == col(Page.id))
            .join(PageText, col(PageText.page_id) == col(Page.id))
            .where(col(Page.id).in_(some))
        )
    return sorted(found, key=lambda row: (row.published or "9", row.id))


def texts(session: Session, page_ids: Sequence[int]) -> tuple[Text, ...]:
    """What these pages say, in the order given; without those that are gone."""
    found: dict[int, Text] = {}
    for some in _chunks(page_ids):
        rows = session.connection().execute(
            sa.select(col(PageText.page_id), col(PageText.title), col(PageText.text)).where(
                col(PageText.page_id).in_(some)
            )
        )
        found |= {page_id: Text(page_id, title, text) for page_id, title, text in rows}
    return tuple(found[page_id] for page_id in page_ids if page_id in found)


def _chunks(values: Sequence[Any]) -> Iterator[list[Any]]:
    every = iter(values)
    return iter(lambda: list(islice(every, _SOME)), [])
