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
from app.domain.records import Item, Mention, Page, Raw, Source
from app.errors import Unavailable


def keep_raw(folder: Path, data: bytes) -> str:
    """Write bytes under their SHA-256 in `folder`, synced before this returns; the hash.

    Bytes that are there already are not written again. Raises Unavailable when the disk refuses.
    """
    digest = sha256(data).hexdigest()
    path = folder / digest[:2] / digest
    if path.exists():
        return digest
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)
        _sync_folder(path.parent)
    except OSError as error:
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
    """Where a paper was met, newest first: item title and page, section, day, text, tier, source."""
    return list(session.connection().execute(_MENTIONS, {"paper": paper_id, "limit": limit}))


_MENTIONS: Any = (
    sa.select(
        col(Item.title).label("item_title"),
        col(Item.format),
        col(Item.published),
        col(Page.slug).label("page_slug"),
        col(Source.name).label("origin"),
        col(Mention.section),
        col(Mention.day),
        col(Mention.text),
        col(Mention.source_name),
        col(Mention.tier),
        col(Mention.tier_reason),
        col(Mention.why_it_matters),
    )
    .join(Item, col(Item.id) == col(Mention.item_id))
    .join(Source, col(Source.id) == col(Item.source_id))
    .outerjoin(Page, col(Page.id) == col(Item.page_id))
    .where(col(Mention.paper_id) == sa.bindparam("paper"))
    .order_by(col(Mention.day).desc(), col(Mention.id))
    .limit(sa.bindparam("limit"))
)
