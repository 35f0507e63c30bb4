"""Pages as a person edits them: save, create, restore, rename. Neither of two texts is ever lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session

from app.domain.merge import merge3
from app.domain.records import Page
from app.errors import EditConflict, Invalid
from app.store import pages, removal
from app.store.pages import PERSON, Author, Content


@dataclass(frozen=True)
class Saved:
    """The page after a save; `merged` says that somebody else's edit was joined in."""

    page: Page
    changed: bool
    merged: bool = False


def save(
    session: Session,
    slug: str,
    content: Content,
    *,
    base: int,
    now: datetime,
    author: Author = PERSON,
    note: str = "",
) -> Saved:
    """Save an edit that began from revision `base` (0: a new page).

    When the page moved on meanwhile, the two edits are merged line by line. Raises EditConflict,
    carrying both texts and the merge with marks, when they touch the same lines, even with the same
    change: what both wrote may be meant twice. Likewise when the page
    was merged into another one meanwhile, and the edit began from its own text, or removed; Invalid for
    content no page may have; NotFound when `base` names a page that is gone.
    """
    content = content.cleaned()
    page = began = pages.by_slug(session, slug)
    if page is None and base:  # renamed while it was written on, merged into another, or gone
        page = pages.former(session, slug)
        if page is None:
            _check_removed(session, slug, content)
            page = pages.get(session, slug)
        began = pages.merged_at(session, slug) or page
    if page is None:
        page = pages.create(session, content, author=author, now=now, slug=slug, note=note)
        pages.drop_draft(session, slug)
        return Saved(page, changed=True)
    assert page.id is not None
    merged = began is not page or page.version != base
    if merged:
        content = _merged(session, page, content, base, began or page)
    changed = pages.revise(session, page, content, author=author, now=now, note=note)
    pages.drop_draft(session, slug)
    return Saved(page, changed=changed, merged=merged and changed)


def _check_removed(session: Session, slug: str, mine: Content) -> None:
    """Raises EditConflict where the page was removed: saved again, the text is a new page there."""
    gone = removal.removed_at(session, slug)
    if gone is not None:
        raise EditConflict(
            "The page was removed while you wrote. Save your text as a new page here, "
            "or put the removed one back first.",
            mine=mine.body,
            theirs=gone.body,
            merged=mine.body,
            revision=0,
        )


def _merged(session: Session, page: Page, mine: Content, base: int, began: Page) -> Content:
    """The edit of a revision of the page `began`, and how `page` stands now, as one."""
    assert began.id is not None
    theirs = pages.content_of(session, page)
    if not 0 <= base <= began.version:
        raise Invalid(f"This page has no revision {base} to edit from. Open it again.")
    if base:
        old = pages.revision(session, began.id, base)
        common = Content(
            title=old.title,
            kind=old.kind,
            body=old.body,
            aliases=tuple(old.aliases),
            tags=tuple(old.tags),
        )
    else:
        common = Content(title="", kind=mine.kind)
    joined, clean = pages.joined(common, mine, theirs)
    # Who counted from four to five would not be counted where somebody else did so too.
    if not clean or merge3(common.body, mine.body, theirs.body).alike:
        raise EditConflict(
            "The page was changed while you wrote. Both texts are below; nothing was lost.",
            mine=mine.body,
            theirs=theirs.body,
            merged=joined.body,
            revision=page.version,
        )
    return joined


def restore(session: Session, slug: str, number: int, *, now: datetime) -> Saved:
    """Make an earlier revision the newest again, as a new revision. Raises NotFound."""
    page = pages.get(session, slug)
    assert page.id is not None
    old = pages.revision(session, page.id, number)
    content = Content(
        title=old.title,
        kind=old.kind,
        body=old.body,
        aliases=tuple(old.aliases),
        tags=tuple(old.tags),
    )
    changed = pages.revise(
        session, page, content, author=PERSON, now=now, note=f"restored revision {number}"
    )
    return Saved(page, changed=changed)


def rename(session: Session, slug: str, new_slug: str, *, now: datetime, title: str = "") -> Page:
    """Move a page to another address, and to another title if one is given; links keep arriving.

    Raises NotFound, Invalid for what is no address, Conflict when another page lives there.
    """
    page = pages.get(session, slug)
    pages.rename(session, page, new_slug.strip(), now=now)
    if title.strip():
        content = replace(pages.content_of(session, page), title=title)
        pages.revise(session, page, content, author=PERSON, now=now, note="renamed")
    return page
