"""Rows of the mirror: what stands where, what is reserved, and what is kept of a file that is gone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Session

from app.domain.records import Mirror, Page, PageKind
from app.services.vault.pair import File
from app.store import mirror
from app.vault import names


def place(path: str) -> dict[str, Any]:
    """The columns that say where a file lies."""
    return {
        "path": path,
        "path_key": names.path_key(path),
        "stem_key": names.stem_key(path),
    }


def reserved(
    page_id: int | None, path: str, now: datetime, *, head: str = "", newline: str = "\n"
) -> Mirror:
    """The row of a file that is to be written there, and is not yet."""
    return Mirror(
        page_id=page_id,
        **place(path),
        version=0,
        head=head,
        newline=newline,
        hash="",
        size=0,
        mtime_ns=0,
        at=now,
    )


def lies_at(row: Mirror, path: str) -> None:
    """A file lies elsewhere now."""
    row.sqlmodel_update(place(path))


def of_file(page: Page, file: File, now: datetime) -> Mirror:
    """The row of a file that says just what its page says."""
    return Mirror(
        page_id=page.id,
        **place(file.path),
        version=page.version,
        head=file.parsed.head,
        newline=file.parsed.newline,
        hash=file.hash,
        size=file.seen.size,
        mtime_ns=file.seen.mtime_ns,
        at=now,
    )


def let_go(session: Session, page: Page | None, row: Mirror) -> None:
    """Forget a file; of a page that was removed it is kept with the page how it was."""
    if page is not None and page.kind is PageKind.REMOVED and not row.path.startswith(".moved/"):
        had = {"path": row.path, "head": row.head, "newline": row.newline}
        page.extra = {**page.extra, mirror.HAD: had}
        session.add(page)
    session.delete(row)


def is_a_file(had: Any) -> bool:
    """Whether this is what `let_go` kept of a file."""
    return (
        isinstance(had, dict)
        and all(isinstance(had.get(name), str) for name in ("path", "head", "newline"))
        and names.is_page(had["path"])
        and not {"", ".", ".."} & set(had["path"].split("/"))
    )


def has_a_file(session: Session, page: Page) -> None:
    """A page that came back has a file again: what was kept of the one it had is not needed any more."""
    if mirror.HAD in page.extra:
        page.extra = {name: value for name, value in page.extra.items() if name != mirror.HAD}
        session.add(page)
