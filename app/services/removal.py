"""Taking pages out of the wiki, and putting them back, by their address."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from app.domain.records import Decision, Page, PageKind
from app.errors import Conflict, Gone, NotFound
from app.store import pages, removal


@dataclass(frozen=True)
class Removed:
    """A page that was removed: where it lived, where it is kept, when, by whom and why."""

    slug: str
    kept: str
    title: str
    at: datetime
    who: str
    reason: str
    decision: int


def remove(
    session: Session,
    slug: str,
    *,
    now: datetime,
    base: int | None = None,
    who: str = "person",
    reason: str = "",
) -> Decision:
    """Take the page at this address out of the wiki. `base` is the version it was seen at, None for any.

    Raises NotFound (Gone when it was removed before), Conflict when it was changed since `base`.
    """
    page = pages.by_slug(session, slug) or pages.former(session, slug)
    if page is None or page.kind == PageKind.REMOVED:
        check_gone(session, slug)
        page = pages.get(session, slug)
    if base is not None and base != page.version:
        raise Conflict(
            f"{page.title} was changed since you read it: it is at version {page.version} now. "
            "Read it again before you remove it."
        )
    return removal.remove(session, page, now=now, who=who, reason=reason)


def restore(session: Session, slug: str, *, now: datetime, who: str = "person") -> Page:
    """Put back the page that lived at this address, or is kept under it; the page, where it is now.

    Raises NotFound, or Conflict in words when something stands in the way.
    """
    page = _found(session, slug)
    if page is None:
        pages.get(session, slug)
        raise Conflict("This page was not removed: there is nothing to put back.")
    removal.restore(session, page, now=now, who=who)
    return page


def removed(session: Session, slug: str) -> Removed | None:
    """What is known of the removed page that lived at this address; None where there was none."""
    page = _found(session, slug)
    if page is None:
        return None
    _, decision = removal.standing(session, page)
    return Removed(
        slug=removal.address(session, page),
        kept=page.slug,
        title=page.title,
        at=decision.at,
        who=decision.who,
        reason=decision.reason,
        decision=decision.id or 0,
    )


def namesake(session: Session, slug: str, title: str) -> Removed | None:
    """The removed page that lived at this address, or the last one that had this title."""
    page = _found(session, slug) or removal.of_title(session, title)
    return removed(session, page.slug) if page is not None else None


def standing(session: Session, name: str) -> Page:
    """The page at an address, or of a title, alias or former address.

    Raises NotFound for none, Gone for one that was removed.
    """
    page = pages.by_slug(session, name)
    if page is None:
        found = pages.named(session, name)
        page = session.get(Page, found.id) if found else None
    if page is None or page.kind == PageKind.REMOVED:
        check_gone(session, name)
        raise NotFound(f"There is no page {name[:100]!r}.")
    return page


def check_gone(session: Session, slug: str) -> None:
    """Raises Gone where a page that was removed lived."""
    found = removed(session, slug)
    if found is not None:
        why = f" ({found.reason})" if found.reason else ""
        day = found.at.date().isoformat()
        raise Gone(
            f"{found.title} was removed on {day}{why}. "
            f"`cerebro undo {found.decision}` brings it back."
        )


def _found(session: Session, slug: str) -> Page | None:
    page = pages.by_slug(session, slug)
    if page is not None:
        return page if page.kind == PageKind.REMOVED else None
    return removal.removed_at(session, slug)
