"""What must agree in the database beside what `derived` makes anew: looked at, and put right.

Every function says how many rows were wrong, and writes nothing where none is; what it wrote is right
when it returns. Those that take ids look at these pages alone, so that others may write in between.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col, select

from app.domain import questions as asking
from app.domain.identifiers import title_key
from app.domain.markdown import name_key
from app.domain.ownership import MACHINES, sections
from app.domain.records import (
    GONE,
    Alias,
    AliasKind,
    Hold,
    Lease,
    Link,
    Mirror,
    Origin,
    Page,
    PageKind,
    PageSection,
    PageTag,
    Paper,
    Question,
    Revision,
    Run,
    RunState,
    Unmirrored,
)
from app.store import pages, runs
from app.store import questions as kept_questions
from app.store import sections as kept_sections
from app.store.db import bump, count_now

# Rows of these say nothing that is not said elsewhere, or are nobody's when what they are of is gone.
OF_NO_OTHER_USE = (
    *("page_text", "red_link", "page_number", "page_section", "page_vector", "paper_vector"),
    *("unencoded", "paper_term", "prediction_touch"),
)


# ---------------------------------------------------------------- pages


def keys(session: Session, ids: Collection[int]) -> int:
    """The keys by which pages and their other names are found."""
    connection = session.connection()
    wrong = 0
    named = sa.select(col(Page.id), col(Page.title), col(Page.title_key)).where(
        col(Page.id).in_(list(ids)), col(Page.kind).not_in(GONE)
    )
    for page_id, title, key in connection.execute(named).all():
        if key != name_key(title):
            own = sa.update(Page).where(col(Page.id) == page_id)
            connection.execute(own.values(title_key=name_key(title)))
            wrong += 1
    called = sa.select(col(Alias.id), col(Alias.name), col(Alias.key)).where(
        col(Alias.page_id).in_(list(ids)), col(Alias.kind) == AliasKind.NAME
    )
    for alias_id, name, key in connection.execute(called).all():
        if key != name_key(name):
            own = sa.update(Alias).where(col(Alias.id) == alias_id)
            connection.execute(own.values(key=name_key(name)))
            wrong += 1
    return wrong


def paper_keys(session: Session) -> int:
    """The keys by which papers of the same title are found."""
    connection = session.connection()
    rows = connection.execute(sa.select(col(Paper.id), col(Paper.title), col(Paper.title_key)))
    wrong = [(one, title_key(title)) for one, title, key in rows if key != title_key(title)]
    for one, key in wrong:
        connection.execute(sa.update(Paper).where(col(Paper.id) == one).values(title_key=key))
    return len(wrong)


def revisions(session: Session, ids: Collection[int], *, now: datetime) -> int:
    """Whether the newest revision of each page says what the page says; else one is added that does."""
    connection = session.connection()
    newest = (
        sa.select(col(Revision.page_id), sa.func.max(col(Revision.number)).label("number"))
        .where(col(Revision.page_id).in_(list(ids)))
        .group_by(col(Revision.page_id))
        .subquery()
    )
    rows = connection.execute(
        sa.select(
            col(Page.id),
            col(Page.version),
            newest.c.number,
            sa.func.coalesce(
                (col(Page.body) == col(Revision.body)) & (col(Page.title) == col(Revision.title)),
                sa.false(),
            ).label("same"),
        )
        .outerjoin(newest, newest.c.page_id == col(Page.id))
        .outerjoin(
            Revision,
            (col(Revision.page_id) == col(Page.id)) & (col(Revision.number) == newest.c.number),
        )
        .where(col(Page.id).in_(list(ids)), col(Page.kind).not_in(GONE))
    ).all()
    torn = [row for row in rows if not row.same or row.version != row.number]
    for row in torn:
        page = session.get(Page, row.id)
        assert page is not None
        last = row.number or 0
        if last >= page.version:
            page.version = last if row.same else last + 1
        if page.version > last:
            session.add(_revision_of(session, page, now=now))
        session.add(page)
        session.flush()
    return len(torn)


def _revision_of(session: Session, page: Page, *, now: datetime) -> Revision:
    assert page.id is not None
    content = pages.content_of(session, page)
    return Revision(
        page_id=page.id,
        number=page.version,
        title=page.title,
        kind=page.kind,
        body=page.body,
        aliases=list(content.aliases),
        tags=list(content.tags),
        author_kind=page.author_kind,
        author=page.author,
        note="as the page stood, which no revision said",
        at=now,
    )


def author_links(session: Session, ids: Collection[int], *, now: datetime) -> int:
    """The links that stand in the texts of these pages."""
    chosen = select(Page).where(col(Page.id).in_(list(ids))).order_by(col(Page.id))
    written = sa.select(col(Link.source_id), col(Link.target_id), col(Link.relation)).where(
        col(Link.source_id).in_(list(ids)), col(Link.origin) == Origin.AUTHOR
    )
    standing: dict[int, set[Any]] = {}
    for source, target, relation in session.connection().execute(written):
        standing.setdefault(source, set()).add((target, relation))
    wrong = 0
    for page in session.exec(chosen).all():
        differ = pages.links_out(session, page) ^ standing.get(page.id or 0, set())
        if differ:
            pages.relink(session, page, now=now)
            wrong += len(differ)
    return wrong


def questions(session: Session, ids: Collection[int]) -> int:
    """The questions that the texts of these pages list."""
    listed = sa.select(col(Question.page_id), col(Question.text)).where(
        col(Question.page_id).in_(list(ids)),
        col(Question.in_text),
        col(Question.withdrawn).is_(False),
    )
    standing: dict[int, set[str]] = {}
    for page_id, text in _rows(session, listed):
        standing.setdefault(page_id, set()).add(text)
    bodies = sa.select(col(Page.id), col(Page.body)).where(
        col(Page.id).in_(list(ids)), col(Page.kind).not_in((*GONE, PageKind.DIGEST))
    )
    wrong = 0
    for page_id, body in _rows(session, bodies):
        asked = set(asking.asked(body)) if asking.poses(body) else set()
        if differ := asked ^ standing.get(page_id, set()):
            kept_questions.follow(session, page_id, body)
            wrong += len(differ)
    return wrong


def owned_sections(session: Session, ids: Collection[int]) -> int:
    """Whose the sections of these pages are, where that is not said of the text that stands there.

    Also where a machine is said to have written all of a page of which it did not.
    """
    rows: dict[int, list[tuple[str, str]]] = {}
    told = (
        sa.select(col(PageSection.page_id), col(PageSection.key), col(PageSection.hash))
        .where(col(PageSection.page_id).in_(list(ids)))
        .order_by(col(PageSection.page_id), col(PageSection.position))
    )
    for page_id, key, digest in session.connection().execute(told):
        rows.setdefault(page_id, []).append((key, digest))
    others = sa.exists().where(
        col(Revision.page_id) == col(Page.id), col(Revision.author_kind).not_in(MACHINES)
    )
    suspect = sa.select(col(Page.id)).where(
        col(Page.id).in_(list(ids)), col(Page.author_kind).in_(MACHINES), others
    )
    looked = set(rows) | set(session.connection().execute(suspect).scalars())
    wrong = 0
    for page_id in sorted(one for one in looked if one is not None):
        page = session.get(Page, page_id)
        if page is None or page.kind in GONE:
            continue
        now = [(each.key, each.hash) for each in sections(page.body)]
        if rows.get(page_id) == now:
            continue
        made = kept_sections.from_history(session, page)
        if [(each["key"], each["hash"]) for each in made] not in ([], now):
            continue  # its revisions do not end in this text: `revisions` comes first
        if not made and page_id not in rows:
            continue
        kept_sections.put_back(session, page_id, made)
        wrong += 1
    return wrong


def unmirrored(session: Session) -> int:
    """Pages whose file says another version, or is not there, and that nobody noted to be written."""
    behind = (
        sa.select(col(Page.id), sa.literal(1))
        .outerjoin(Mirror, col(Mirror.page_id) == col(Page.id))
        .where(
            ~sa.exists().where(col(Unmirrored.page_id) == col(Page.id)),
            sa.or_(
                (col(Page.kind).in_(GONE)) & col(Mirror.id).is_not(None),
                (col(Page.kind).not_in(GONE))
                & (col(Mirror.id).is_(None) | (col(Mirror.version) < col(Page.version))),
            ),
        )
    )
    found = session.connection().execute(behind).all()
    if found:
        session.connection().execute(
            sa.insert(Unmirrored), [{"page_id": page_id, "seq": seq} for page_id, seq in found]
        )
    return len(found)


def _rows(session: Session, statement: Any) -> list[Any]:
    return list(session.connection().execute(statement))


# ---------------------------------------------------------------- rows that point at nothing


def references(session: Session) -> int:
    """Rows of what is derived whose page or paper is gone go with it; how many there were."""
    connection = session.connection()
    wrong = 0
    for name in OF_NO_OTHER_USE:
        table = SQLModel.metadata.tables[name]
        for column in table.columns:
            for key in column.foreign_keys:
                there = sa.exists().where(key.column == column)
                lost = sa.delete(table).where(column.is_not(None), ~there)
                wrong += max(connection.execute(lost).rowcount, 0)
    tags = sa.delete(PageTag).where(~sa.exists().where(col(Page.id) == col(PageTag.page_id)))
    return wrong + max(connection.execute(tags).rowcount, 0)


# ---------------------------------------------------------------- who is at work


def workers(session: Session, *, now: datetime) -> int:
    """What workers left that are no more: leases, rows they were at, runs that say they go on."""
    clock = time.time()
    connection = session.connection()
    wrong = 0
    for table in (Hold, Lease):
        over = sa.or_(
            col(table.until) < clock - runs.SECONDS, col(table.until) > clock + 3 * runs.SECONDS
        )
        wrong += max(connection.execute(sa.delete(table).where(over)).rowcount, 0)
    going = sa.select(sa.func.count()).where(col(Run.state) == RunState.RUNNING)
    before = connection.execute(going).scalar_one()
    runs.abandon(session, clock=clock, now=now)
    return wrong + before - int(connection.execute(going).scalar_one())


def count_all(session: Session, names: Iterable[str]) -> None:
    """Let everybody look anew who remembers something, after rows were put right."""
    bump(session)
    count_now(session, names)
