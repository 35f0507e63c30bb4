"""Digests of our own that a model may write, and the texts that its sentences may rest on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain import prose
from app.domain.digests import Document, Section, as_markdown, framing
from app.domain.records import Digest, Identifier, Page, Paper
from app.store import pages
from app.store.pages import Author

_SOME = 400


@dataclass(frozen=True)
class Text:
    """What a page or paper says: `day` is when it was published or made, "" where nobody knows."""

    title: str
    text: str
    day: str
    kind: str
    slug: str = ""


def candidates(session: Session, *, since: str, told_before: datetime) -> list[Any]:
    """Rows (page_id, day, ledger, told_at) of the days told by us since `since` (ISO) that no person
    edited and whose telling has stood since `told_before`, the newest first.
    """
    statement: Any = (
        sa.select(col(Digest.page_id), col(Digest.day), col(Digest.ledger), col(Digest.told_at))
        .join(Page, col(Page.id) == col(Digest.page_id))
        .where(
            col(Digest.teller) != "",
            col(Digest.day) >= since,
            sa.func.length(col(Digest.day)) == 10,
            ~pages.by_people(col(Page.id)),
            col(Digest.told_at) <= told_before,
        )
        .order_by(col(Digest.day).desc())
    )
    return list(session.connection().execute(statement))


def standing(session: Session, page_id: int) -> tuple[Digest, Document] | None:
    """A day of ours as it is told now; None when it is gone, or a person's by now."""
    digest = session.get(Digest, page_id)
    if digest is None or not digest.teller or pages.has_hand(session, page_id):
        return None
    told = tuple(Section.read(each) for each in digest.sections)
    return digest, Document(digest.day, told, digest.ledger)


def struck(session: Session, page_id: int) -> list[dict[str, str]]:
    """What the checker took out of the digest on a page: {title, text, reason} of each sentence."""
    digest = session.get(Digest, page_id)
    if digest is None or not digest.struck or not digest.teller:
        return []
    told = Document(digest.day, tuple(Section.read(each) for each in digest.sections))
    return [
        {"title": title, "text": each.text, "reason": each.struck}
        for title, each in prose.struck(told)
    ]


def write(
    session: Session,
    digest: Digest,
    document: Document,
    *,
    teller: str,
    struck: int,
    author: Author,
    now: datetime,
) -> None:
    """Let this be how a day is told: its sections, and the page's text as a new revision."""
    page = session.get(Page, digest.page_id)
    assert page is not None
    digest.sections = [each.as_json() for each in document.sections]
    digest.ledger, digest.framing = dict(document.ledger), framing(document)
    digest.teller, digest.struck = teller, struck
    session.add(digest)
    content = replace(pages.content_of(session, page), body=as_markdown(document))
    pages.revise(
        session, page, content, author=author, now=now, note="written from the day's facts"
    )
    session.flush()


def texts(session: Session, ids: Iterable[str]) -> dict[str, Text]:
    """What stands under references (`arxiv:…`, `doi:…`) and slugs: papers by title and abstract, other
    pages by their title alone. What a person wrote on a page is told nobody.
    """
    wanted = list(dict.fromkeys(ids))
    found: dict[str, Text] = {}
    named = [each.split(":", 1) for each in wanted if ":" in each]
    for start in range(0, len(named), _SOME):
        found |= _papers(session, [(a, b) for a, b in named[start : start + _SOME]])
    slugs = [each for each in wanted if ":" not in each]
    for start in range(0, len(slugs), _SOME):
        found |= _pages(session, slugs[start : start + _SOME])
    return {each: found[each] for each in wanted if each in found}


def _papers(session: Session, named: Sequence[tuple[str, str]]) -> dict[str, Text]:
    rows: Any = session.connection().execute(
        sa.select(
            col(Identifier.scheme),
            col(Identifier.value),
            col(Paper.title),
            col(Paper.abstract),
            col(Paper.published),
            col(Page.slug),
        )
        .join(Paper, col(Paper.id) == col(Identifier.paper_id))
        .outerjoin(Page, col(Page.id) == col(Paper.page_id))
        .where(sa.tuple_(col(Identifier.scheme), col(Identifier.value)).in_(list(named)))
    )
    return {
        f"{scheme}:{value}": Text(title, abstract, published, "paper", slug or "")
        for scheme, value, title, abstract, published, slug in rows
    }


def _pages(session: Session, slugs: Sequence[str]) -> dict[str, Text]:
    rows: Any = session.connection().execute(
        sa.select(
            col(Page.slug),
            col(Page.title),
            col(Page.kind),
            col(Page.created_at),
            col(Paper.abstract),
            col(Paper.published),
        )
        .outerjoin(Paper, col(Paper.page_id) == col(Page.id))
        .where(col(Page.slug).in_(list(slugs)))
    )
    return {
        slug: Text(
            title,
            abstract or "",
            published or f"{made:%Y-%m-%d}",
            kind.value,
            slug,
        )
        for slug, title, kind, made, abstract, published in rows
    }
