"""Rows that go when an import or a run is taken back as a whole, and come again when that is undone.

Papers and items with all that hangs on them, links and changes with what was decided of them. What
they were is kept as plain values by table, in the order in which they can be put again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.records import (
    Assessment,
    AssessmentTopic,
    Change,
    Decision,
    Identifier,
    Item,
    Link,
    Listing,
    ListingPaper,
    LooseLink,
    LooseMention,
    Mention,
    ModelCall,
    Page,
    Paper,
    Source,
    Topic,
)
from app.store import remembered
from app.store.remembered import Memory, chunks

Rows = dict[str, list[Memory]]
# Each after those that it refers to, with the columns that do.
_TABLES: tuple[tuple[Any, dict[str, Any]], ...] = (
    (Paper, {"page_id": Page}),
    (Identifier, {"paper_id": Paper, "page_id": Page}),
    (Item, {"paper_id": Paper, "page_id": Page}),
    (Listing, {"item_id": Item}),
    (ListingPaper, {"paper_id": Paper}),
    (Assessment, {"paper_id": Paper, "topic_id": Topic, "call_id": ModelCall}),
    (AssessmentTopic, {"assessment_id": Assessment, "topic_id": Topic}),
    (Mention, {"item_id": Item, "paper_id": Paper}),
    (LooseMention, {"item_id": Item}),
    (LooseLink, {"source_id": Page, "paper_id": Paper}),
    (Link, {"source_id": Page, "target_id": Page}),
    (Change, {"source_id": Page, "target_id": Page}),
    (Decision, {"link_id": Link, "change_id": Change, "paper_id": Paper}),
)
# What may be empty: a row whose other end is gone stays without it.
_OPTIONAL = {
    (Item, "paper_id"),
    (Item, "page_id"),
    (Listing, "item_id"),
    (Assessment, "topic_id"),
    (Assessment, "call_id"),
    (Paper, "page_id"),
}


def take_papers(session: Session, paper_ids: Collection[int]) -> dict[int, Rows]:
    """Delete papers with all that hangs on them; the rows of each."""
    found: dict[int, Rows] = {paper_id: {} for paper_id in paper_ids}
    for some in chunks(sorted(paper_ids)):
        of_paper = dict(
            session.connection()
            .execute(
                sa.select(col(Assessment.id), col(Assessment.paper_id)).where(
                    col(Assessment.paper_id).in_(some)
                )
            )
            .all()
        )
        topics: list[Memory] = []
        for part in chunks(each or 0 for each in of_paper):
            topics += remembered.take_rows(
                session, AssessmentTopic, col(AssessmentTopic.assessment_id).in_(part)
            )
        for row in topics:
            _add(found[of_paper[row["assessment_id"]]], AssessmentTopic, row)
        for table in (Decision, LooseLink, Mention, Assessment, ListingPaper, Identifier):
            column: Any = table.paper_id
            for row in remembered.take_rows(session, table, column.in_(some)):
                _add(found[row["paper_id"]], table, row)
        for row in remembered.take_rows(session, Paper, col(Paper.id).in_(some)):
            _add(found[row["id"]], Paper, row)
    session.expire_all()
    return found


def take_identifiers(session: Session, page_ids: Collection[int]) -> dict[int, Rows]:
    """Delete the identifiers of pages that are no paper's; the rows of each page that has any."""
    found: dict[int, Rows] = {}
    for some in chunks(sorted(page_ids)):
        for row in remembered.take_rows(session, Identifier, col(Identifier.page_id).in_(some)):
            _add(found.setdefault(row["page_id"], {}), Identifier, row)
    session.expire_all()
    return found


def take_said(session: Session, item_ids: Iterable[int]) -> Rows:
    """Delete what items say of papers."""
    found: Rows = {}
    for some in chunks(sorted(item_ids)):
        for table in (LooseMention, Mention):
            column: Any = table.item_id
            for row in remembered.take_rows(session, table, column.in_(some)):
                _add(found, table, row)
    session.expire_all()
    return found


def take_items(session: Session, items: Mapping[int, tuple[int | None, int | None]]) -> Rows:
    """Delete items that say nothing any more, by id with the paper and the page that each was."""
    found: Rows = {}
    for some in chunks(sorted(items)):
        for row in remembered.take_rows(session, Item, col(Item.id).in_(some)):
            paper_id, page_id = items[row["id"]]
            _add(found, Item, {**row, "paper_id": paper_id, "page_id": page_id})
    session.expire_all()
    return found


UNDONE = "undone"  # in the state of an item that came, was undone, and is not to come again


def remember(session: Session, rows: Mapping[str, list[Memory]]) -> None:
    """Of items that were taken, go on knowing that they came: of each its key, and nothing else."""
    bare = [
        {**row, "page_id": None, "paper_id": None, "state": {UNDONE: True}, "act_id": None}
        for row in rows.get(Item.__name__, [])
    ]
    remembered.put_rows(session, Item, bare)


def is_undone(item: Item) -> bool:
    """Whether it came, and was undone since."""
    return bool(item.state.get(UNDONE))


def _forget_again(session: Session, rows: Collection[Memory]) -> None:
    """Make room for items that were undone, and come again."""
    for some in chunks(row["id"] for row in rows):
        for item in session.exec(select(Item).where(col(Item.id).in_(some))):
            if is_undone(item):
                session.delete(item)
    session.flush()


def take_listings(session: Session, days: Collection[str]) -> Rows:
    """Delete the listings of those days on which no paper is listed any more."""
    found: Rows = {}
    listed = sa.exists().where(col(ListingPaper.day) == col(Listing.day))
    for day in sorted(days):
        for row in remembered.take_rows(
            session, Listing, sa.and_(col(Listing.day) == day, ~listed)
        ):
            _add(found, Listing, row)
    return found


def take_decided(session: Session, table: Any, ids: Collection[int]) -> Rows:
    """Delete links or changes (`table`), with the decisions about them."""
    found: Rows = {}
    about: Any = Decision.link_id if table is Link else Decision.change_id
    for some in chunks(sorted(ids)):
        for row in remembered.take_rows(session, Decision, about.in_(some)):
            _add(found, Decision, row)
        for row in remembered.take_rows(session, table, table.id.in_(some)):
            _add(found, table, row)
    session.expire_all()
    return found


def _add(rows: Rows, table: Any, row: Memory) -> None:
    rows.setdefault(table.__name__, []).append(row)


def joined(*found: Mapping[str, list[Memory]]) -> Rows:
    """Rows of several takings as one."""
    rows: Rows = {}
    for each in found:
        for name, some in each.items():
            rows.setdefault(name, []).extend(some)
    return rows


def is_known(session: Session, rows: Mapping[str, list[Memory]]) -> bool:
    """Whether something has one of these identifiers by now: what they are of came again."""
    for row in rows.get(Identifier.__name__, []):
        standing = select(Identifier.id).where(
            Identifier.scheme == row["scheme"], Identifier.value == row["value"]
        )
        if session.exec(standing).first() is not None:
            return True
    return False


def _came_again(session: Session, rows: Mapping[str, list[Memory]]) -> set[int]:
    """Of taken papers those that are here by now: by identifier, by title those that have none."""
    named: dict[int, list[Memory]] = {}
    for row in rows.get(Identifier.__name__, []):
        named.setdefault(row["paper_id"], []).append(row)
    found = set[int]()
    for row in rows.get(Paper.__name__, []):
        mine = named.get(row["id"], [])
        alike = select(Paper.id).where(Paper.title_key == row["title_key"])
        if is_known(session, {Identifier.__name__: mine}) or (
            not mine and session.exec(alike).first() is not None
        ):
            found.add(row["id"])
    return found


def put(
    session: Session, rows: Mapping[str, list[Memory]], *, sources: Mapping[int, int] | None = None
) -> None:
    """Insert taken rows again. What refers to something that is gone, or came anew, is left out.

    sources: the numbers that sources have now, by those they had.
    """
    placed: dict[Any, dict[int, int]] = {}
    anew = _came_again(session, rows)
    for table, refers in _TABLES:
        found = [dict(row) for row in rows.get(table.__name__, [])]
        if table is Item:
            _forget_again(session, found)
            found = _led(session, found, (Item, "source_id"), Source, sources or {}, ())
        if table is Paper:
            found = [row for row in found if row["id"] not in anew]
        for column, other in refers.items():
            away = {row["id"] for row in rows.get(other.__name__, [])}
            found = _led(session, found, (table, column), other, placed.get(other, {}), away)
        placed[table] = remembered.put_rows(session, table, found)
    session.expire_all()


def _led(
    session: Session,
    rows: list[Memory],
    where: tuple[Any, str],
    other: Any,
    again: Mapping[int, int],
    away: Collection[Any],
) -> list[Memory]:
    """The rows with a column (`where`) that leads to what is there: put `again`, or never `away`."""
    column = where[1]
    wanted = {row[column] for row in rows} - {None, *away}
    there: set[Any] = set()
    for some in chunks(sorted(wanted)):
        there.update(session.exec(select(other.id).where(other.id.in_(some))).all())
    kept = []
    for row in rows:
        value = row[column]
        if value in again:
            row[column] = again[value]
        elif value is not None and value not in there:
            if where not in _OPTIONAL:
                continue
            row[column] = None
        kept.append(row)
    return kept
