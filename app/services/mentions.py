"""Unlinked mentions: where pages say the name of a page, and the one step that makes it a link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlmodel import Session

from app.domain.mentions import Mention, in_body, in_text, sought
from app.domain.records import GONE, Decision, Link, LinkStatus, Origin, PageKind, Relation, Verdict
from app.domain.relations import PaperNames, names_of
from app.errors import Conflict, Invalid, NotFound
from app.store import decisions, links, mentions, pages
from app.store.pages import PERSON

SHOWN = 20  # pages of one list


@dataclass(frozen=True)
class Mentioning:
    """A page that says the name of another one; `mention.body` is None where an abstract says it."""

    id: int
    slug: str
    title: str
    kind: PageKind
    mention: Mention


@dataclass(frozen=True)
class Linked:
    """What `link` did: a new revision of the page, or a link whose decision can be undone."""

    title: str
    decision: Decision | None = None


def names(session: Session, page: Any) -> tuple[str, ...]:
    """The names by which pages may speak of a page; `page` has id, kind and title.

    Its title and its aliases; of a paper also what stands before the title's colon.
    """
    told = [page.title, *pages.aliases_of(session, page.id)]
    if page.kind == PageKind.PAPER:
        told += [name.text for name in names_of(PaperNames(page.id, page.title))]
    return sought(told)


def of(session: Session, page: Any, *, limit: int = SHOWN) -> list[Mentioning]:
    """Pages that say a name of this one and have no link to it, the newest first.

    Bounded: three statements, and at most `mentions.LOOKED_AT` pages are looked at.
    """
    wanted = names(session, page)
    found: list[Mentioning] = []
    for row in mentions.candidates(session, page.id, wanted):
        mention = _mention(row, page, wanted, title=page.title)
        if mention is not None:
            found.append(Mentioning(row.id, row.slug, row.title, row.kind, mention))
        if len(found) == limit:
            break
    return found


def _mention(row: Any, page: Any, wanted: Sequence[str], *, title: str) -> Mention | None:
    """Where the page of a row says one of the names; a link there would say `title`."""
    said = in_body(row.body, wanted, title=title, slug=page.slug)
    return said or in_text(row.abstract, wanted)


def link(session: Session, slug: str, source: str, *, now: datetime) -> Linked:
    """Make the first unlinked mention of a page in another one a link.

    In a body it is written into the text as it stands now, as a revision of the person. An abstract
    is never edited: an accepted link is made, as a decision that can be undone. Raises NotFound for
    no such page, Invalid without `source`, Conflict when nothing there says the name unlinked.
    """
    page = pages.get(session, slug)
    assert page.id is not None
    if page.kind in GONE:
        raise NotFound(f"{page.title} went into another page: link to that one.")
    if not source.strip():
        raise Invalid("Say which page mentions this one.", fields={"source": "No page was named."})
    other = pages.by_slug(session, source.strip())
    if other is None:
        raise NotFound(f"There is no page at {source.strip()[:100]!r}.")
    row = mentions.candidate(session, page.id, other.slug)
    # Of two pages with one title the name means the older one.
    meant = pages.named(session, page.title)
    title = page.title if meant is not None and meant.id == page.id else page.slug
    mention = None
    if row is not None:
        mention = _mention(row, page, names(session, page), title=title)
    if mention is None:
        raise Conflict("That page says the name nowhere without a link any more.")
    if mention.body is not None:
        content = replace(pages.content_of(session, other), body=mention.body)
        pages.revise(session, other, content, author=PERSON, now=now, note=f"linked {page.title}")
        return Linked(other.title)
    about = (other.kind, page.kind) == (PageKind.PAPER, PageKind.CONCEPT)
    assert other.id is not None
    made = links.add(
        session,
        Link(
            source_id=other.id,
            target_id=page.id,
            relation=Relation.ABOUT if about else Relation.MENTIONS,
            status=LinkStatus.PROPOSED,
            origin=Origin.LINKER,
            reason=f"It says {mention.written}.",
            evidence=[
                {
                    "quotation": mention.sentence,
                    "where": "abstract",
                    "verbatim": True,
                    "spans": [list(mention.span)],
                }
            ],
            created_at=now,
        ),
    )
    decision = decisions.decide_link(session, made, Verdict.ACCEPT, now=now)
    # No machine was sure of it: it does not count where confidence is held against decisions.
    decision.agreed = decision.confidence = None
    # Nobody proposed it: taken back it waits nowhere, and is not found here again.
    decision.before = {**decision.before, "status": LinkStatus.REJECTED.value}
    session.add(decision)
    return Linked(other.title, decision)
