"""Pages as a person edits them: save, create, restore, rename. Neither of two texts is ever lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session

from app.domain.merge import merge3
from app.domain.records import ActKind, Page
from app.errors import EditConflict, Invalid, NotFound
from app.store import acts, pages, removal, wording
from app.store.pages import PERSON, Author, Content
from app.store.wording import Called


@dataclass(frozen=True)
class Saved:
    """The page after a save; `merged` says that somebody else's edit was joined in.

    `linked` is how many other pages had its new name written into their links.
    """

    page: Page
    changed: bool
    merged: bool = False
    linked: int = 0


def save(
    session: Session,
    slug: str,
    content: Content,
    *,
    base: int,
    now: datetime,
    author: Author = PERSON,
    note: str = "",
    links: bool = False,
) -> Saved:
    """Save an edit that began from revision `base` (0: a new page).

    `links`: where it gives the page another title, the pages that link to it by the old one link by
    the new one; then all of it is one act.

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
    before = _renaming(session, page, content.title, page.slug, now=now) if links else None
    changed = pages.revise(session, page, content, author=author, now=now, note=note)
    linked = wording.follow(session, page, before, author=author, now=now) if before else 0
    pages.drop_draft(session, slug)
    return Saved(page, changed=changed, merged=merged and changed, linked=linked)


def _renaming(
    session: Session, page: Page, title: str, slug: str, *, now: datetime
) -> Called | None:
    """What the page was called, where it is to be called otherwise and other texts link to it.

    From here on it is an act: it can be undone with what it does to those texts.
    """
    assert page.id is not None
    if (page.title, page.slug) == (title, slug) or not wording.writers(session, page.id):
        return None
    before = wording.called(session, page)
    words = f"{page.title} is called {title}" if title != page.title else f"{title} moved to {slug}"
    acts.begin(session, ActKind.RENAME, words, now=now)
    return before


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
        raise Invalid(f"This page has no version {base} to edit from. Open it again.")
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


def restore(
    session: Session, slug: str, number: int, *, now: datetime, base: int | None = None
) -> Saved:
    """Make an earlier revision the newest again, as a new revision.

    `base` is the revision that was read: where there is a later one by now nothing is written, and
    EditConflict has both texts. Raises NotFound for no such page or revision.
    """
    page = pages.get(session, slug)
    assert page.id is not None
    if not 0 < number <= page.version:
        raise NotFound(f"{page.title} has no version {number}: they go from 1 to {page.version}.")
    old = pages.revision(session, page.id, number)
    if base is not None and base != page.version:
        raise EditConflict(
            f"The page is at version {page.version} by now, not at {base}. Look at its history, and "
            "restore again if you still want to.",
            mine=old.body,
            theirs=page.body,
            merged=old.body,
            revision=page.version,
        )
    content = Content(
        title=old.title,
        kind=old.kind,
        body=old.body,
        aliases=tuple(old.aliases),
        tags=tuple(old.tags),
    )
    changed = pages.revise(
        session, page, content, author=PERSON, now=now, note=f"restored version {number}"
    )
    return Saved(page, changed=changed)


def rename(
    session: Session,
    slug: str,
    new_slug: str,
    *,
    now: datetime,
    title: str = "",
    links: bool = False,
) -> Page:
    """Move a page to another address, and to another title if one is given; links keep arriving.

    `links`: the pages that link to it by the old name or address link by the new one; then all of it
    is one act. Raises NotFound, Invalid for what is no address, Conflict when another page lives there.
    """
    page = pages.get(session, slug)
    new_slug = new_slug.strip()
    title = " ".join(title.split()) or page.title
    before = _renaming(session, page, title, new_slug, now=now) if links else None
    pages.rename(session, page, new_slug, now=now)
    content = replace(pages.content_of(session, page), title=title)
    pages.revise(session, page, content, author=PERSON, now=now, note="renamed")
    if before is not None:
        acts.note_address(session, page, before.slug)
        wording.follow(session, page, before, author=PERSON, now=now)
    return page
