"""What the front matter of a file says beyond names and text, made so: identifiers, facts, links.

Each takes what page and file last had in common (`base`) and what the file says now, changes what
differs between the two, and returns in sentences what could not be.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from sqlmodel import Session, select

from app.domain.identifiers import clean_date, parse_id
from app.domain.markdown import name_key
from app.domain.notes import FACTS, NamedLink, Note
from app.domain.records import (
    Episode,
    Identifier,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    Paper,
    Relation,
    Thread,
    ThreadStatus,
)
from app.store import decisions, links, mirror, pages, papers, threads
from app.vault import names

_MAX_CLAIM = 1_000  # signs of a thread's claim


def apply(session: Session, page: Page, base: Note, file: Note, now: datetime) -> list[str]:
    """All of them."""
    return [
        *_identify(session, page, base, file),
        *_state(session, page, base, file, now),
        *_link(session, page, base, file, now),
    ]


def _identify(session: Session, page: Page, base: Note, file: Note) -> list[str]:
    """Identifiers that were put in or taken out."""
    had, has = {name_key(i) for i in base.identifiers}, {name_key(i) for i in file.identifiers}
    refused: list[str] = []
    if had == has:
        return refused
    paper = papers.of_page(session, page.id or 0)
    for text in file.identifiers:
        if name_key(text) in had:
            continue
        found = parse_id(text)
        if found is None:
            refused.append(f"{text[:80]!r} is no identifier: write arxiv:…, doi:…, or url:….")
            continue
        row = _identifier(session, found.scheme, found.value)
        if row is not None and not _is_of(row, page, paper):
            refused.append(f"{found} belongs to another page.")
        elif paper is not None:
            papers.add_identifiers(session, paper, [found])
        elif row is None:
            session.add(
                Identifier(scheme=found.scheme, value=found.value, page_id=page.id, versions=[])
            )
    for text in base.identifiers:
        found = parse_id(text) if name_key(text) not in has else None
        row = _identifier(session, found.scheme, found.value) if found else None
        if row is not None and _is_of(row, page, paper):
            session.delete(row)
    session.flush()
    if paper is not None:
        papers.touch(session, paper)
    return refused


def _state(session: Session, page: Page, base: Note, file: Note, now: datetime) -> list[str]:
    """Facts of its kind that were changed."""
    changed = {
        name: file.facts.get(name, "")
        for name in FACTS.get(page.kind, ())
        if file.facts.get(name, "") != base.facts.get(name, "")
    }
    if not changed:
        return []
    text = {name: one(value) for name, value in changed.items()}
    match page.kind:
        case PageKind.PAPER:
            paper = papers.of_page(session, page.id or 0)
            return _state_paper(session, paper, changed, text) if paper is not None else []
        case PageKind.THREAD:
            thread = session.get(Thread, page.id) or Thread(page_id=page.id or 0)
            claim = " ".join(text.get("claim", thread.claim).split())
            status = text.get("status", thread.status.value)
            if (thread.claim and not claim) or len(claim) > _MAX_CLAIM:
                return [f"claim: A claim is one sentence, at most {_MAX_CLAIM:,} characters."]
            if status not in {each.value for each in ThreadStatus}:
                every = ", ".join(each.value for each in ThreadStatus)
                return [f"status: A thread is one of {every}."]
            threads.set_claim(session, page, claim, ThreadStatus(status), now=now)
        case PageKind.EPISODE:
            episode = session.get(Episode, page.id)
            day = clean_date(text.get("published", ""))
            if episode is not None and (day or not text.get("published")):
                episode.published = day
                session.add(episode)
        case PageKind.DIGEST:
            return ["day: A digest stays that of its day."]
        case _:
            pass
    session.flush()
    return []


def _link(session: Session, page: Page, base: Note, file: Note, now: datetime) -> list[str]:
    """Links of front matter that were put in or taken out: decisions like any other."""
    _link_members(session, page, base, file, now)
    if {*base.links} == {*file.links} or page.id is None:
        return []
    every = {link.name for link in (*base.links, *file.links)}
    found = mirror.lookup(session, every, names.path_key)
    had = {(link.relation, found[link.name]) for link in base.links if link.name in found}
    has = {(link.relation, found[link.name]) for link in file.links if link.name in found}
    refused: list[str] = []
    batch = uuid4().hex
    for relation, target_id in sorted(had - has):
        link = links.between(session, page.id, target_id, relation)
        stands = link is not None and link.status == LinkStatus.ACCEPTED
        if link is not None and stands and link.origin != Origin.AUTHOR:
            decisions.take_out(session, link, now=now, reason="taken out of its file", batch=batch)
    for relation, target_id in sorted(has - had):
        if target_id == page.id:
            refused.append(f"{relation.value}: A page cannot be linked to itself.")
            continue
        decisions.put_in(
            session,
            page.id,
            target_id,
            relation,
            now=now,
            reason="put into its file",
            batch=batch,
        )
    _note_red(session, page, file.links, found, now)
    return refused


def _link_members(session: Session, page: Page, base: Note, file: Note, now: datetime) -> None:
    """Papers that the file of a thread lists as its members are."""
    new = [name for name in file.members if name not in base.members]
    if page.kind is not PageKind.THREAD or not new or page.id is None:
        return
    found = mirror.lookup(session, new, names.path_key)
    for member_id in sorted({*found.values()} - {page.id}):
        decisions.put_in(
            session,
            member_id,
            page.id,
            Relation.PART_OF,
            now=now,
            reason="put into its file",
        )


def _note_red(
    session: Session,
    page: Page,
    said: Sequence[NamedLink],
    found: dict[str, int],
    now: datetime,
) -> None:
    """Links to pages that nobody wrote yet are kept by their names, until somebody does."""
    left = [[link.relation.value, link.name] for link in said if link.name not in found]
    if left != page.extra.get(pages.PUT_IN, []):
        kept = {key: value for key, value in page.extra.items() if key != pages.PUT_IN}
        page.extra = {**kept, pages.PUT_IN: left} if left else kept
        session.add(page)
        session.flush()
        pages.relink(session, page, now=now)


def _identifier(session: Session, scheme: str, value: str) -> Identifier | None:
    return session.exec(
        select(Identifier).where(Identifier.scheme == scheme, Identifier.value == value)
    ).first()


def _is_of(row: Identifier, page: Page, paper: Paper | None) -> bool:
    return (
        row.page_id == page.id
        if row.page_id is not None
        else bool(paper is not None and row.paper_id == paper.id)
    )


def one(value: str | tuple[str, ...]) -> str:
    """A fact as one text: of a list its parts, apart by commas."""
    return value.strip() if isinstance(value, str) else ", ".join(value)


def _several(value: str | tuple[str, ...]) -> list[str]:
    found = [value] if isinstance(value, str) else list(value)
    return [each.strip() for each in found if each.strip()]


def _state_paper(
    session: Session,
    paper: Paper,
    changed: dict[str, str | tuple[str, ...]],
    text: dict[str, str],
) -> list[str]:
    refused = []
    if "authors" in changed:
        paper.authors = _several(changed["authors"])
    if "categories" in changed:
        paper.categories = _several(changed["categories"])
    if "venue" in changed:
        paper.venue = text["venue"]
    if "code" in changed:
        paper.code_url = text["code"]
    if "published" in changed:
        day = clean_date(text["published"])
        if text["published"] and not day:
            refused.append(
                "published: A date is a year, a month or a day: 2026, 2026-05 or 2026-05-08."
            )
        else:
            paper.published = day
    session.add(paper)
    session.flush()
    papers.touch(session, paper)
    return refused
