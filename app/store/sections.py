"""Who owns the sections of a page. Only `pages.revise` writes here, and what takes a revision back.

A page that one author alone wrote has no rows: all of it is theirs. Rows come with the first revision
by somebody else, so that an import and a person's own saves write none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.ownership import MACHINES, Owned, Owner, owners, sections
from app.domain.records import AuthorKind, Page, PageSection, Revision

_COLUMNS = ("page_id", "key", "position", "hash", "owner", "author", "prompt", "at")


def of_page(session: Session, page: Page) -> list[Owned]:
    """The sections of a page in order, each with its owner."""
    assert page.id is not None
    rows = kept(session, page.id)
    if rows:
        return [Owned(row.key, row.hash, Owner(row.owner, row.author, row.prompt)) for row in rows]
    owner = Owner(page.author_kind, page.author, _prompt(session, page))
    return [Owned(each.key, each.hash, owner) for each in sections(page.body)]


def kept(session: Session, page_id: int) -> list[Any]:
    """The rows of a page as they are stored, in order; none where one author wrote it all."""
    return list(session.connection().execute(_ROWS, {"page": page_id}))


_ROWS = (
    sa.select(*(getattr(PageSection, name) for name in _COLUMNS))
    .where(col(PageSection.page_id) == sa.bindparam("page"))
    .order_by(col(PageSection.position))
)


def _prompt(session: Session, page: Page) -> str:
    """The prompt of the model that wrote the page's newest revision."""
    if page.author_kind != AuthorKind.MODEL:
        return ""
    newest = sa.select(col(Revision.prompt)).where(
        col(Revision.page_id) == page.id, col(Revision.number) == page.version
    )
    return session.connection().execute(newest).scalar() or ""


def note(session: Session, page: Page, body: str, author: Owner, *, now: datetime) -> None:
    """Note whose sections `body` has, which `author` is about to write over the page's own."""
    assert page.id is not None
    rows = kept(session, page.id)
    if not rows and (page.author_kind, page.author) == (author.kind, author.name):
        return
    before = of_page(session, page)
    times = {(row.key, row.hash): row.at for row in rows}
    made = [
        {
            "page_id": page.id,
            "key": each.key,
            "position": at,
            "hash": each.hash,
            "owner": each.owner.kind,
            "author": each.owner.name,
            "prompt": each.owner.prompt,
            "at": times.get(
                (each.key, each.hash), now if each.owner == author else page.updated_at
            ),
        }
        for at, each in enumerate(owners(before, body, author))
    ]
    put_back(session, page.id, made)


def keep(session: Session, texts: Sequence[tuple[Page, str]]) -> None:
    """Note that the sections of these texts are whose those of the pages are, one by one in their order.

    A text differs from its page's in how its links are written, and in nothing else.
    """
    ids = [page.id or 0 for page, _ in texts]
    held = set(session.connection().execute(_HELD, {"pages": ids}).scalars())
    for page, body in texts:
        if page.id in held or page.author_kind in MACHINES:
            _keep(session, page, body)


_HELD = (
    sa.select(col(PageSection.page_id))
    .where(col(PageSection.page_id).in_(sa.bindparam("pages", expanding=True)))
    .distinct()
)


def _keep(session: Session, page: Page, body: str) -> None:
    assert page.id is not None
    rows = kept(session, page.id)
    before, now = of_page(session, page), sections(body)
    if len(before) != len(now):  # more was changed than links: what is new is the page's author's
        held = owners(before, body, Owner(page.author_kind, page.author, _prompt(session, page)))
        before, rows = held, []
    times = [row.at for row in rows] or [page.updated_at] * len(now)
    made = [
        {
            "page_id": page.id,
            "key": each.key,
            "position": at,
            "hash": each.hash,
            "owner": old.owner.kind,
            "author": old.owner.name,
            "prompt": old.owner.prompt,
            "at": times[at],
        }
        for at, (old, each) in enumerate(zip(before, now, strict=True))
    ]
    put_back(session, page.id, made)


def from_history(session: Session, page: Page) -> list[dict[str, Any]]:
    """The rows that a page has by who wrote each of its revisions, as `put_back` takes them."""
    assert page.id is not None
    rows: list[dict[str, Any]] = []
    times: dict[tuple[str, str], datetime] = {}
    before: Owner | None = None
    held: list[Owned] = []
    for each in session.connection().execute(_HISTORY, {"page": page.id}):
        author = Owner(each.author_kind, each.author, each.prompt)
        if before is None or (
            not rows and (author.kind, author.name) == (before.kind, before.name)
        ):
            held = [Owned(found.key, found.hash, author) for found in sections(each.body)]
        else:
            held = owners(held, each.body, author)
            rows = [
                {
                    "page_id": page.id,
                    "key": found.key,
                    "position": at,
                    "hash": found.hash,
                    "owner": found.owner.kind,
                    "author": found.owner.name,
                    "prompt": found.owner.prompt,
                    "at": times.get((found.key, found.hash), each.at),
                }
                for at, found in enumerate(held)
            ]
        before = author
        times = {
            (found.key, found.hash): times.get((found.key, found.hash), each.at) for found in held
        }
    return rows


_HISTORY = (
    sa.select(
        col(Revision.author_kind),
        col(Revision.author),
        col(Revision.prompt),
        col(Revision.body),
        col(Revision.at),
    )
    .where(col(Revision.page_id) == sa.bindparam("page"))
    .order_by(col(Revision.number))
)


def inherit(session: Session, page: Page, came: Iterable[Owned], author: Owner) -> None:
    """Let sections that `author` brought over from another page stay whose they were there.

    `came` are that page's, with their owners; a section is known by its text.
    """
    assert page.id is not None
    owners_of = {each.hash: each.owner for each in came if each.hash}
    rows = from_json(as_json(kept(session, page.id)))
    for row in rows:
        by_author = (row["owner"], row["author"]) == (author.kind, author.name)
        if by_author and row["hash"] in owners_of:
            owner = owners_of[row["hash"]]
            row |= {"owner": owner.kind, "author": owner.name, "prompt": owner.prompt}
    put_back(session, page.id, rows)


def put_back(session: Session, page_id: int, rows: Sequence[dict[str, Any]]) -> None:
    """Let these be the rows of a page, as `as_rows` made them."""
    connection = session.connection()
    connection.execute(sa.delete(PageSection).where(col(PageSection.page_id) == page_id))
    if rows:
        connection.execute(sa.insert(PageSection), list(rows))


def as_json(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Rows of `kept` as a decision remembers them."""
    return [
        {
            **{name: getattr(row, name) for name in _COLUMNS if name not in ("owner", "at")},
            "owner": row.owner.value,
            "at": row.at.isoformat(),
        }
        for row in rows
    ]


def from_json(told: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `as_json` wrote, as `put_back` takes it."""
    return [
        {**each, "owner": AuthorKind(each["owner"]), "at": datetime.fromisoformat(each["at"])}
        for each in told
    ]
