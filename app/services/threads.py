"""Threads as a person keeps them: the claim, the status, and who is a member in which role.

What is done to a member is a decision like those of Review, and is undone like them. A claim that
was replaced stays with the page, and is shown there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from hashlib import sha256
from typing import Any

from sqlmodel import Session

from app.domain.identifiers import clean_date
from app.domain.records import (
    Decision,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    Relation,
    Role,
    Thread,
    ThreadStatus,
    Verdict,
)
from app.errors import Conflict, Invalid, NotFound
from app.store import decisions, links, pages, papers, threads
from app.store.db import LARGEST_ID
from app.store.threads import ThreadRow

MAX_CLAIM = 1_000
MAX_LINE = 500


def get(session: Session, slug: str) -> Page:
    """The page of a thread. Raises NotFound, also for a page of another kind."""
    page = pages.get(session, slug)
    if page.kind != PageKind.THREAD:
        raise NotFound(f"{page.title} is no thread.")
    return page


def base_of(said: Thread | Link | None) -> str:
    """What a form names the state by that it began from: of a thread's claim, or of a member."""
    if isinstance(said, Link):
        told = tuple(_saying(said).values())
    else:
        told = (said.claim, said.status.value) if said else ("", ThreadStatus.OPEN.value)
    return sha256(repr(told).encode("utf-8", "replace")).hexdigest()[:16]


def edit(
    session: Session, slug: str, *, claim: str, status: str, base: str = "", now: datetime
) -> bool:
    """Give a thread another claim, or mark it open, contradicted or closed; whether it changed.

    The claim it had is kept. Raises NotFound, or Invalid for a claim too long or taken away, or no such
    status; with a `base` Conflict when the claim or the status was changed since.
    """
    page = get(session, slug)
    words = " ".join(claim.split())
    if len(words) > MAX_CLAIM:
        wrong = f"A claim is one sentence: at most {MAX_CLAIM:,} characters."
        raise Invalid(wrong, fields={"claim": wrong})
    if status not in {each.value for each in ThreadStatus}:
        wrong = f"A thread is {', '.join(each.value for each in ThreadStatus)}: choose one of them."
        raise Invalid(wrong, fields={"status": wrong})
    thread = session.get(Thread, page.id, with_for_update=True) or Thread(page_id=page.id or 0)
    stands = (words, status) == (thread.claim, thread.status.value)  # a second click on the button
    if base and base != base_of(thread) and not stands:
        raise Conflict("The claim was changed elsewhere since you began.")
    if thread.claim and not words:
        wrong = "A thread needs a claim: say in one sentence what its papers say together."
        raise Invalid(wrong, fields={"claim": wrong})
    return threads.set_claim(session, page, words, ThreadStatus(status), now=now)


def add_member(
    session: Session,
    slug: str,
    name: str,
    *,
    role: str = "",
    line: str = "",
    day: str = "",
    now: datetime,
) -> Decision:
    """Make a page a member of a thread; `name` is its title, address or identifier.

    One that waits in Review as a proposal is accepted, one that was taken out comes back. Without a
    `day` it counts from the day its paper came out. Raises NotFound, Invalid, or Conflict when it is
    a member already.
    """
    thread, said = get(session, slug), _said(role, line, day)
    member = _named(session, name)
    if member.kind == PageKind.THREAD:
        wrong = f"{member.title} is a thread: join the two instead."
        raise Invalid(wrong, fields={"paper": wrong})
    assert thread.id is not None and member.id is not None
    link = links.between(session, member.id, thread.id, Relation.PART_OF)
    if link is not None and link.status == LinkStatus.ACCEPTED:
        raise Conflict(f"{member.title} is in this thread already.")
    if link is None:
        # As rejected: taken back, it waits nowhere.
        link = Link(
            source_id=member.id,
            target_id=thread.id,
            relation=Relation.PART_OF,
            status=LinkStatus.REJECTED,
            origin=Origin.AGENT,
            reason="added by hand",
            created_at=now,
        )
        session.add(link)
        session.flush()
    before = links.as_a_member(link)
    link.status, link.decided_at = LinkStatus.ACCEPTED, now
    _say(link, {name: value or getattr(link, name) for name, value in said.items()})
    return decisions.said(session, link, Verdict.ACCEPT, before, now=now, reason="added by hand")


def change_member(
    session: Session,
    slug: str,
    link_id: int,
    *,
    role: str,
    line: str,
    day: str,
    base: str = "",
    now: datetime,
) -> Decision | None:
    """Give a member another role, line or day; None when nothing changed.

    Raises NotFound, Invalid, and with a `base` Conflict when something else was said of it since.
    """
    link, said = member_of(session, slug, link_id), _said(role, line, day)
    session.refresh(link, with_for_update=True)  # two who save at once: one of them is told
    if base and base != base_of(link) and said != _saying(link):
        raise Conflict("What is said of it was changed elsewhere since you began.")
    if said == _saying(link):
        return None
    before = links.as_a_member(link)
    _say(link, said)
    return decisions.said(
        session, link, Verdict.ACCEPT, before, now=now, reason="role or line changed"
    )


def take_out(
    session: Session, slug: str, link_id: int, *, now: datetime, reason: str = ""
) -> Decision:
    """Let a page be a member no more. It is proposed again on new evidence alone.

    Raises NotFound, or Conflict when the text of the page itself says that it belongs there.
    """
    link = member_of(session, slug, link_id)
    if link.origin == Origin.AUTHOR:
        raise Conflict("The text of that page says that it is part of this thread. Edit it there.")
    return decisions.take_out(session, link, now=now, reason=reason.strip() or "taken out by hand")


def member_of(session: Session, slug: str, link_id: int) -> Link:
    """The link that makes a page a member of this thread. Raises NotFound."""
    page = get(session, slug)
    link = session.get(Link, link_id) if 0 < link_id <= LARGEST_ID else None
    if (
        link is None
        or link.target_id != page.id
        or link.relation != Relation.PART_OF
        or link.status != LinkStatus.ACCEPTED
    ):
        raise NotFound(f"{page.title} has no such member any more.")
    return link


def _named(session: Session, name: str) -> Page:
    """The page that a person means by a name. Raises Invalid in words."""
    found = pages.named(session, name) if name.strip() else None
    page = session.get(Page, found.id) if found else None
    if page is None and name.strip():
        paper = papers.named(session, name)
        page = session.get(Page, paper.page_id) if paper and paper.page_id else None
        if paper is not None and page is None:
            wrong = f"{paper.title} has no page yet: keep it in the Inbox first."
            raise Invalid(wrong, fields={"paper": wrong})
    if page is None:
        wrong = (
            f"There is no page called {name.strip()[:100]!r}. Give a title, an address or an arXiv id."
            if name.strip()
            else "Name the paper: its title, its address or its arXiv id."
        )
        raise Invalid(wrong, fields={"paper": wrong})
    return page


def _said(role: str, line: str, day: str) -> dict[str, Any]:
    """What a person says of a member, as a link has it. Raises Invalid."""
    if role and role not in {each.value for each in Role}:
        wrong = f"A role is {', '.join(each.value for each in Role)}, or none."
        raise Invalid(wrong, fields={"role": wrong})
    note = " ".join(line.split())
    if len(note) > MAX_LINE:
        wrong = f"What it contributes is one line: at most {MAX_LINE} characters."
        raise Invalid(wrong, fields={"line": wrong})
    found = clean_date(day)
    if found != day.strip():
        wrong = "A date is a year, a month or a day: 2026, 2026-05 or 2026-05-08."
        raise Invalid(wrong, fields={"day": wrong})
    return {"role": Role(role) if role else None, "note": note, "day": found}


def _saying(link: Link) -> dict[str, Any]:
    return {"role": link.role, "note": link.note, "day": link.day}


def _say(link: Link, said: dict[str, Any]) -> None:
    link.role, link.note, link.day = said["role"], said["note"], said["day"]


def as_json(
    session: Session, rows: Sequence[ThreadRow], *, until: date, members: bool = False
) -> list[dict[str, Any]]:
    """Threads with their computed numbers, as programs get them, as of the day `until`.

    `concepts` are those that members are about, each with how many; with `members` the members
    stand too, the newest first.
    """
    ids = [row.page_id for row in rows]
    over = threads.concepts(session, ids, until=until.isoformat()) if ids else {}
    found: dict[int, list[dict[str, str]]] = {}
    if members and ids:
        for each in threads.members_of(session, ids, until=until.isoformat()):
            found.setdefault(each.thread_id, []).append(
                {
                    "slug": each.paper_slug,
                    "title": each.paper_title,
                    "role": each.role,
                    "line": each.note,
                    "day": each.day,
                }
            )
    return [
        {
            "id": row.slug,
            "slug": row.slug,
            "title": row.title,
            "claim": row.claim,
            "papers": row.numbers.papers,
            "since": row.numbers.since,
            "latest": row.numbers.latest,
            "this_week": row.numbers.this_week,
            "momentum": row.numbers.momentum,
            "weekly": list(row.numbers.weekly),
            "status": row.numbers.status,
            "questions": row.questions,
            "concepts": [
                {"slug": each.slug, "title": each.title, "papers": each.papers}
                for each in over.get(row.page_id, ())
            ],
            **({"members": found.get(row.page_id, [])} if members else {}),
        }
        for row in rows
    ]
