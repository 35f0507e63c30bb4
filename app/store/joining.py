"""What waits for a paper or a page that is not there yet, and what joins when it comes.

Something that arrived may speak of a paper the wiki has not met: a loose mention. It may cover or
recommend something that has no page: a loose link. Each becomes a mention or a link once, whatever
comes first, and a link becomes loose again when the page at its other end goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain import covering
from app.domain.identifiers import PaperId
from app.domain.records import (
    Decision,
    Identifier,
    Item,
    Link,
    LinkStatus,
    LooseLink,
    LooseMention,
    Mention,
    Origin,
    Page,
    PageKind,
    Paper,
    Relation,
    Source,
    SourceKind,
)
from app.domain.stance import stance_of
from app.store import links
from app.store.db import bump

SAID = (Relation.COVERS, Relation.RECOMMENDS)  # what an episode or article does to another work
# Sources that speak of papers in words of their own.
SPEAKING = (
    SourceKind.FEED,
    SourceKind.PODCAST,
    SourceKind.MAIL,
    SourceKind.FORUM,
    SourceKind.WEB,
)
_COVERING = (PageKind.ARTICLE, PageKind.EPISODE)
_FACTS = ("day", "text", "source_name", "stance")


def loose_mention(
    session: Session, item_id: int, identifier: PaperId, section: str
) -> LooseMention | None:
    """The loose mention of this paper in this section of an item."""
    return session.exec(
        select(LooseMention).where(
            LooseMention.item_id == item_id,
            LooseMention.scheme == identifier.scheme,
            LooseMention.value == identifier.value,
            LooseMention.section == section,
        )
    ).first()


def met(session: Session, paper: Paper, identifier: PaperId) -> None:
    """The paper has this identifier from now on: what spoke of it by that name joins it."""
    values = {"scheme": identifier.scheme, "value": identifier.value}
    waiting = session.connection().execute(_WAITING, values).all()
    if not waiting:
        return
    assert paper.id is not None
    joined = []
    for mention, loose_id in waiting:
        if mention:
            loose = session.get_one(LooseMention, loose_id)
            joined.append(loose.item_id)
            _join(session, loose, paper)
        else:
            known = session.get_one(LooseLink, loose_id)
            _say_again(session, known, paper)
            session.delete(known)
    session.flush()
    for item_id in dict.fromkeys(joined):
        consider(session, item_id, [paper])
    bump(session)


# Made once, and asked in one statement: an import asks it of every identifier.
_WAITING = sa.union_all(
    *(
        sa.select(sa.literal(mention), col(table.id)).where(
            col(table.scheme) == sa.bindparam("scheme"), col(table.value) == sa.bindparam("value")
        )
        for mention, table in ((1, LooseMention), (0, LooseLink))
    )
)


def _join(session: Session, loose: LooseMention, paper: Paper) -> None:
    """Make a loose mention a mention; one paper named twice in a section is mentioned there once."""
    standing = session.exec(
        select(Mention).where(
            Mention.item_id == loose.item_id,
            Mention.paper_id == paper.id,
            Mention.section == loose.section,
        )
    ).first() or Mention(item_id=loose.item_id, paper_id=paper.id or 0, section=loose.section)
    for name in _FACTS:
        if not getattr(standing, name):
            setattr(standing, name, getattr(loose, name))
    kind = session.connection().execute(_KIND, {"item": loose.item_id}).scalar()
    if standing.stance is None and kind in SPEAKING:  # now that its title is known
        standing.stance = stance_of(standing.text, (loose.value, paper.title))
    session.add(standing)
    session.delete(loose)
    session.flush()


_KIND = (
    sa.select(col(Source.kind))
    .join(Item, col(Item.source_id) == col(Source.id))
    .where(col(Item.id) == sa.bindparam("item"))
)


def consider(session: Session, item_id: int, papers: Iterable[Paper]) -> None:
    """Note that the page of an item covers the paper it is chiefly about (domain/covering.py)."""
    row = session.connection().execute(_PIECE, {"item": item_id}).first()
    if row is None:
        return
    named = session.connection().execute(_NAMED_BY, {"item": item_id}).scalar() or 0
    for paper in papers:
        reason = covering.covers(paper.title, title=row.title, text=row.body, papers=named)
        if reason:
            say(
                session,
                row.id,
                Relation.COVERS,
                paper=paper,
                day=row.published[:10],
                reason=reason,
                at=row.received_at,
            )


_PIECE = (
    sa.select(
        col(Page.id), col(Page.title), col(Page.body), col(Item.published), col(Item.received_at)
    )
    .join(Item, col(Item.page_id) == col(Page.id))
    .where(col(Item.id) == sa.bindparam("item"), col(Page.kind).in_(_COVERING))
)
_NAMED_BY = sa.select(
    sa.select(sa.func.count(sa.distinct(col(Mention.paper_id))))
    .where(col(Mention.item_id) == sa.bindparam("item"))
    .scalar_subquery()
    + sa.select(
        sa.func.count(sa.distinct(col(LooseMention.scheme) + ":" + col(LooseMention.value)))
    )
    .where(col(LooseMention.item_id) == sa.bindparam("item"))
    .scalar_subquery()
)


def say(
    session: Session,
    source_id: int,
    relation: Relation,
    *,
    paper: Paper | None = None,
    identifier: PaperId | None = None,
    note: str = "",
    day: str = "",
    reason: str = "",
    at: datetime,
) -> bool:
    """A page covers or recommends a paper, or what has this identifier; whether that was not known.

    It is a link where the paper has a page, else a loose one. Nothing is kept by it.
    """
    said: dict[str, Any] = {"note": note, "day": day, "reason": reason}
    if paper is not None and paper.page_id is not None:
        return link(session, source_id, relation, paper.page_id, at=at, **said)
    key: dict[str, Any] = {"source_id": source_id, "relation": relation}
    if paper is not None:
        key |= {"scheme": "", "value": "", "paper_id": paper.id}
    else:
        assert identifier is not None
        key |= {"scheme": identifier.scheme, "value": identifier.value, "paper_id": None}
    standing = session.exec(select(LooseLink).filter_by(**key)).first()
    if standing is None:
        session.add(LooseLink(**key, **said, created_at=at))
        session.flush()
        return True
    standing.note = standing.note or note
    session.add(standing)
    return False


def link(
    session: Session,
    source_id: int,
    relation: Relation,
    target_id: int,
    *,
    note: str = "",
    day: str = "",
    reason: str = "",
    at: datetime,
) -> bool:
    """An accepted link between two pages, unless there is one, or one that somebody rejected."""
    if source_id == target_id or links.between(session, source_id, target_id, relation):
        return False
    links.add(
        session,
        Link(
            source_id=source_id,
            target_id=target_id,
            relation=relation,
            note=note,
            day=day,
            status=LinkStatus.ACCEPTED,
            origin=Origin.IMPORT,
            reason=reason,
            created_at=at,
            decided_at=at,
        ),
    )
    return True


def kept(session: Session, paper: Paper) -> None:
    """The paper has a page from now on: what covers or recommends it links there."""
    assert paper.id is not None
    assert paper.page_id is not None
    found = session.exec(select(LooseLink).where(LooseLink.paper_id == paper.id))
    _tighten(session, found.all(), paper.page_id)


def addressed(session: Session, page_id: int, identifier: PaperId) -> None:
    """A page that is no paper's has this identifier from now on."""
    found = session.exec(
        select(LooseLink).where(
            LooseLink.scheme == identifier.scheme, LooseLink.value == identifier.value
        )
    )
    _tighten(session, found.all(), page_id)


def _tighten(session: Session, found: Iterable[LooseLink], page_id: int) -> None:
    for loose in found:
        link(
            session,
            loose.source_id,
            loose.relation,
            page_id,
            note=loose.note,
            day=loose.day,
            reason=loose.reason,
            at=loose.created_at,
        )
        session.delete(loose)
    session.flush()


def is_said(page_id: int) -> sa.ColumnElement[bool]:
    """Whether a link is what a source says of this page: nobody's work, and it can be loose again."""
    decided = sa.exists().where(col(Decision.link_id) == col(Link.id))
    return sa.and_(
        col(Link.target_id) == page_id,
        col(Link.relation).in_(SAID),
        col(Link.origin) == Origin.IMPORT,
        col(Link.status) == LinkStatus.ACCEPTED,
        ~decided,
    )


def loosen(session: Session, paper: Paper, page_id: int) -> None:
    """The page of the paper goes: what covers or recommends it is remembered of the paper."""
    for each in session.exec(select(Link).where(is_said(page_id))).all():
        _say_again(session, each, paper)


def _say_again(session: Session, said: Link | LooseLink, paper: Paper) -> None:
    """Note of this paper what is said of it already, in another way."""
    say(
        session,
        said.source_id,
        said.relation,
        paper=paper,
        note=said.note,
        day=said.day,
        reason=said.reason,
        at=said.created_at,
    )


def loose_links(session: Session, source_id: int, relation: Relation) -> list[Any]:
    """What a page covers or recommends that has no page: rows (scheme, value, title, note, day).

    `title` is the paper's where the wiki has met it, with `scheme` and `value` of one identifier.
    """
    values = {"source": source_id, "relation": relation}
    return list(session.connection().execute(_LOOSE, values))


def _of_its_paper(name: str) -> Any:
    """A column of the first identifier of the paper at the other end."""
    return (
        sa.select(getattr(Identifier, name))
        .where(col(Identifier.paper_id) == col(LooseLink.paper_id))
        .order_by(col(Identifier.scheme), col(Identifier.id))
        .limit(1)
        .correlate(LooseLink)
        .scalar_subquery()
    )


_LOOSE = (
    sa.select(
        sa.func.coalesce(_of_its_paper("scheme"), col(LooseLink.scheme)).label("scheme"),
        sa.func.coalesce(_of_its_paper("value"), col(LooseLink.value)).label("value"),
        sa.func.coalesce(col(Paper.title), "").label("title"),
        col(LooseLink.note),
        col(LooseLink.day),
    )
    .outerjoin(Paper, col(Paper.id) == col(LooseLink.paper_id))
    .where(
        col(LooseLink.source_id) == sa.bindparam("source"),
        col(LooseLink.relation) == sa.bindparam("relation"),
    )
    .order_by(col(LooseLink.id))
)
