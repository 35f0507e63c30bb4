"""Health: whether what is stored and what is derived from it agree, in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.records import Page, PageKind, PageText, Raw
from app.store.db import broken_references, damage


@dataclass(frozen=True)
class Finding:
    """One check: its name, whether all is well, and what was found in a sentence."""

    check: str
    ok: bool
    says: str


def check(session: Session, *, raw_folder: Path) -> list[Finding]:
    """Look at the database and what belongs to it. Changes nothing."""
    return [_integrity(session), _references(session), _texts(session), _raw(session, raw_folder)]


def _integrity(session: Session) -> Finding:
    found = damage(session)
    if not found:
        return Finding("database", True, "whole")
    return Finding("database", False, f"damaged: {'; '.join(found[:3])}. Restore a backup.")


def _references(session: Session) -> Finding:
    broken = broken_references(session)
    if not broken:
        return Finding("references", True, "every row points at a row that is there")
    return Finding("references", False, f"{broken} rows point at rows that are gone")


def _texts(session: Session) -> Finding:
    missing = session.scalar(
        sa.select(sa.func.count())
        .select_from(Page)
        .outerjoin(PageText, col(PageText.page_id) == col(Page.id))
        .where(col(PageText.page_id).is_(None), col(Page.kind) != PageKind.MERGED)
    )
    if not missing:
        return Finding("search", True, "every page can be found")
    return Finding("search", False, f"{missing} pages are not in the index. Save them once.")


def _raw(session: Session, folder: Path) -> Finding:
    missing = [
        digest
        for digest in session.exec(select(Raw.sha256))
        if not (folder / digest[:2] / digest).is_file()
    ]
    if not missing:
        return Finding("raw bytes", True, "every kept item has its bytes")
    return Finding("raw bytes", False, f"the bytes of {len(missing)} items are gone: {missing[0]}…")
