"""Pages as a person edits them: save, create, restore, rename. Neither of two texts is ever lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session

from app.domain.markdown import name_key
from app.domain.merge import merge3
from app.domain.records import Page
from app.errors import EditConflict, Invalid
from app.store import pages
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
    carrying both texts and the merge with marks, when they touch the same lines, also when the page
    was merged into another one meanwhile, and the edit began from its own text; Invalid for
    content no page may have; NotFound when `base` names a page that is gone.
    """
    content = content.cleaned()
    page = began = pages.by_slug(session, slug)
    if page is None and base:  # renamed while it was written on, merged into another, or gone
        page = pages.former(session, slug) or pages.get(session, slug)
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
    body = merge3(common.body, mine.body, theirs.body)
    # Two different new titles are a conflict too: it is shown with the texts, and nothing is taken.
    both_titled = len({common.title, mine.title, theirs.title}) == 3
    if not body.clean or both_titled:
        raise EditConflict(
            "The page was changed while you wrote. Both texts are below; nothing was lost.",
            mine=mine.body,
            theirs=theirs.body,
            merged=body.text,
            revision=page.version,
        )
    return Content(
        title=mine.title if mine.title != common.title else theirs.title,
        kind=mine.kind if mine.kind != common.kind else theirs.kind,
        body=body.text,
        aliases=_merged_names(common.aliases, mine.aliases, theirs.aliases),
        tags=_merged_names(common.tags, mine.tags, theirs.tags),
    )


def _merged_names(
    common: tuple[str, ...], mine: tuple[str, ...], theirs: tuple[str, ...]
) -> tuple[str, ...]:
    """Names either side has, less those that one side took out."""
    old = {name_key(name) for name in common}
    gone = {
        key
        for key in old
        if key not in {name_key(n) for n in mine} or key not in {name_key(n) for n in theirs}
    }
    kept = {name_key(name): name for name in (*theirs, *mine)}
    return tuple(name for key, name in kept.items() if key not in gone)


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
