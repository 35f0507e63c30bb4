"""Items, their sources and raw bytes, and what they say of papers."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.items import SourceRef
from app.domain.records import (
    GONE,
    Item,
    Link,
    LinkStatus,
    ListingPaper,
    Mention,
    Page,
    Paper,
    Raw,
    Relation,
    Source,
)
from app.errors import Unavailable


def keep_raw(folder: Path, data: bytes) -> str:
    """Write bytes under their SHA-256 in `folder`, synced before this returns; the hash.

    Bytes that are there already are not written again. Raises Unavailable when the disk refuses.
    """
    digest = sha256(data).hexdigest()
    path = folder / digest[:2] / digest
    if path.exists():
        return digest
    part = ""
    try:
        made = not path.parent.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            part = file.name
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
        if made:
            _sync_folder(folder)
    except OSError as error:
        if part:
            Path(part).unlink(missing_ok=True)  # a full disk is not filled further
        raise Unavailable(f"{path.parent} cannot be written: {error.strerror}.") from error
    return digest


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def source(session: Session, ref: SourceRef, *, now: datetime) -> Source:
    """The source with this key, made on first sight; a longer description replaces a shorter."""
    found = session.exec(select(Source).where(Source.key == ref.key)).first()
    if found is None:
        found = Source(
            key=ref.key,
            kind=ref.kind,
            name=ref.name,
            url=ref.url,
            description=ref.description,
            created_at=now,
        )
    elif len(ref.description) > len(found.description):
        found.description = ref.description
    session.add(found)
    session.flush()
    return found


def item(session: Session, source_id: int, key: str) -> Item | None:
    return session.exec(select(Item).where(Item.source_id == source_id, Item.key == key)).first()


def note_raw(session: Session, digest: str, size: int, *, now: datetime) -> None:
    """Name raw bytes that `keep_raw` has written."""
    if session.get(Raw, digest) is None:
        session.add(Raw(sha256=digest, size=size, created_at=now))
        session.flush()


def mentions_of(session: Session, paper_id: int, *, limit: int = 20) -> list[Any]:
    """What was said of a paper, the newest first.

    Rows: item_title, format, published, url and state of the item, page_slug (None where it has no
    page), origin (the name of its source) and kind, section, day, text, source_name, tier,
    tier_reason, why_it_matters, stance, and relation: covers or recommends, when its page does.
    """
    return list(session.connection().execute(_MENTIONS, {"paper": paper_id, "limit": limit}))


_ITS_PAGE = (
    sa.select(col(Paper.page_id)).where(col(Paper.id) == sa.bindparam("paper")).scalar_subquery()
)
_SAID_TO = (
    sa.select(sa.func.min(col(Link.relation)))
    .where(
        col(Link.source_id) == col(Item.page_id),
        col(Link.target_id) == _ITS_PAGE,
        col(Link.relation).in_((Relation.COVERS, Relation.RECOMMENDS)),
        col(Link.status) == LinkStatus.ACCEPTED,
    )
    .correlate(Item)
    .scalar_subquery()
)
_SAID_ON = sa.case(
    (col(Mention.day) != "", col(Mention.day)),
    else_=sa.func.substr(col(Item.published), 1, 10),
)
_MENTIONS: Any = (
    sa.select(
        col(Item.title).label("item_title"),
        col(Item.format),
        col(Item.published),
        col(Item.url),
        col(Item.state),
        col(Page.slug).label("page_slug"),
        col(Source.name).label("origin"),
        col(Source.kind),
        col(Mention.section),
        col(Mention.day),
        col(Mention.text),
        col(Mention.source_name),
        col(Mention.tier),
        col(Mention.tier_reason),
        col(Mention.why_it_matters),
        col(Mention.stance),
        _SAID_TO.label("relation"),
    )
    .join(Item, col(Item.id) == col(Mention.item_id))
    .join(Source, col(Source.id) == col(Item.source_id))
    .outerjoin(Page, sa.and_(col(Page.id) == col(Item.page_id), col(Page.kind).not_in(GONE)))
    .where(col(Mention.paper_id) == sa.bindparam("paper"))
    .order_by(_SAID_ON.desc(), col(Mention.id))
    .limit(sa.bindparam("limit"))
)


def count_mentions(session: Session, paper_id: int) -> int:
    """How many mentions a paper has."""
    return session.connection().execute(_COUNT, {"paper": paper_id}).scalar() or 0


_COUNT = sa.select(sa.func.count()).where(col(Mention.paper_id) == sa.bindparam("paper"))


def entries_of(session: Session, paper_id: int, *, limit: int = 50) -> list[Any]:
    """The items that are the paper itself, the oldest first.

    Rows: name, kind and site of the source; format, url, key, published, received_at and state.
    """
    return list(session.connection().execute(_ENTRIES, {"paper": paper_id, "limit": limit}))


_ENTRIES = (
    sa.select(
        col(Source.name),
        col(Source.kind),
        col(Source.url).label("site"),
        col(Item.format),
        col(Item.url),
        col(Item.key),
        col(Item.published),
        col(Item.received_at),
        col(Item.state),
    )
    .join(Source, col(Source.id) == col(Item.source_id))
    .where(col(Item.paper_id) == sa.bindparam("paper"))
    .order_by(col(Item.id))
    .limit(sa.bindparam("limit"))
)


def first_listed(session: Session, paper_id: int) -> str:
    """The first day of a listing that the paper stands in; '' for none."""
    return session.connection().execute(_FIRST_LISTED, {"paper": paper_id}).scalar() or ""


_FIRST_LISTED = sa.select(sa.func.min(col(ListingPaper.day))).where(
    col(ListingPaper.paper_id) == sa.bindparam("paper")
)
