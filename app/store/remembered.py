"""What taking something back needs: rows as plain values, what became of links, and putting them again.

A merge, a split and a removal change many rows at once. What they found is kept, as JSON takes it,
with the change or its decision; these functions make such memories and put back what they say,
wherever nothing else was written since.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from app.domain.records import Change, Link, LinkStatus, Origin
from app.store import pages
from app.store.db import insert_new
from app.store.links import plain as plain_values

Memory = dict[str, Any]
SOME = 400  # ids in one statement
_LINK = Link.__table__  # type: ignore[attr-defined]


def chunks(ids: Iterable[int]) -> Iterator[list[int]]:
    """These ids, as many at a time as a statement may name."""
    every = iter(ids)
    return iter(lambda: list(islice(every, SOME)), [])


def plain(row: Any) -> Memory:
    """A row of a table as JSON takes it."""
    return plain_values(row._mapping)


def typed(table: sa.Table, values: Mapping[str, Any]) -> Memory:
    """What `plain` made of a row, as its table takes it; columns that it has no more are left out."""
    return {
        name: datetime.fromisoformat(value)
        if isinstance(value, str) and isinstance(table.c[name].type, UTCDateTime)
        else value
        for name, value in values.items()
        if name in table.c
    }


# ---------------------------------------------------------------- links


def links(session: Session, *conditions: sa.ColumnElement[bool]) -> dict[int, Memory]:
    """Every link that one of these conditions holds for, as plain values by id."""
    found: dict[int, Memory] = {}
    for condition in conditions:
        for row in session.connection().execute(sa.select(_LINK).where(condition)):
            found[row.id] = plain(row)
    return found


def difference(before: dict[int, Memory], after: dict[int, Memory]) -> Memory:
    """What became of links: moved (ids by column), changed (columns before and after), gone, made."""
    moved: dict[str, list[int]] = {"source_id": [], "target_id": []}
    changed: list[Any] = []
    for link_id in sorted(before.keys() & after.keys()):
        old, new = before[link_id], after[link_id]
        names = [name for name in old if old[name] != new[name]]
        if len(names) == 1 and names[0] in moved:
            moved[names[0]].append(link_id)
        elif names:
            changed.append(
                [link_id, {name: old[name] for name in names}, {name: new[name] for name in names}]
            )
    return {
        "moved": moved,
        "changed": changed,
        "gone": [before[link_id] for link_id in sorted(before.keys() - after.keys())],
        # What a text said over was there before: it is itself again when the text says it no more.
        "made": [
            link_id
            for link_id in sorted(after.keys() - before.keys())
            if pages.SAID_OVER not in after[link_id]["extra"]
        ],
    }


def put_back_links(
    session: Session, memory: Memory, source_id: int = 0, target_id: int = 0
) -> None:
    """Undo a `difference`, column by column, where nothing else was written since.

    What was moved from `source_id` to `target_id` goes back.
    """
    connection = session.connection()
    for some in chunks(memory["made"]):  # by texts alone: they say again what they say
        connection.execute(
            sa.delete(Link).where(col(Link.id).in_(some), col(Link.origin) == Origin.AUTHOR)
        )
    for some_changed in _parts(memory["changed"]):
        standing = links(session, _LINK.c.id.in_([link_id for link_id, _, _ in some_changed]))
        for link_id, old, new in some_changed:
            here = standing.get(link_id, {})
            back = {name: old[name] for name in old if name in here and here[name] == new[name]}
            if back:
                connection.execute(
                    sa.update(_LINK).where(_LINK.c.id == link_id).values(typed(_LINK, back))
                )
    for column, link_ids in memory["moved"].items():
        side = getattr(Link, column)
        for some in chunks(link_ids):
            still = (col(Link.id).in_(some)) & (side == target_id)
            connection.execute(sa.update(Link).where(still).values({column: source_id}))
    put_rows(session, Link, memory["gone"])


def _parts(values: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), SOME):
        yield list(values[start : start + SOME])


# ---------------------------------------------------------------- proposals


def rest_changes(
    session: Session,
    page_ids: Collection[int],
    of_rejected: Callable[[Change], Memory] = lambda change: {},
) -> list[Any]:
    """Proposals about these pages wait no longer; (id, columns before, columns after) of each.

    `of_rejected` says what becomes of one that was rejected before.
    """
    memory: list[Any] = []
    for some in chunks(page_ids):
        either = col(Change.source_id).in_(some) | col(Change.target_id).in_(some)
        statement = select(Change).where(either, Change.status != LinkStatus.ACCEPTED)
        for change in session.exec(statement.order_by(col(Change.id))).all():
            if change.status != LinkStatus.REJECTED:
                values: Memory = {"status": LinkStatus.REJECTED}
            else:
                values = of_rejected(change)
            if not values:
                continue
            memory.append([change.id, {name: getattr(change, name) for name in values}, values])
            change.sqlmodel_update(values)
            session.add(change)
            session.flush()
    return memory


def put_back_changes(session: Session, memory: Iterable[Any]) -> None:
    """Undo `rest_changes`, where nothing else was written since."""
    for change_id, old, new in reversed(list(memory)):
        change = session.get(Change, change_id)
        if change is not None and all(getattr(change, name) == new[name] for name in new):
            if "status" in old:
                old = {**old, "status": LinkStatus(old["status"])}
            change.sqlmodel_update(old)
            session.add(change)
            session.flush()


# ---------------------------------------------------------------- rows


def take_rows(session: Session, model: Any, condition: Any) -> list[Memory]:
    """Delete the rows of a table that a condition holds for; as plain values, in the order they came."""
    table = model.__table__
    statement = sa.select(table).where(condition).order_by(*table.primary_key.columns)
    found = [plain(row) for row in session.connection().execute(statement)]
    if found:
        session.connection().execute(sa.delete(table).where(condition))
    return found


def put_rows(session: Session, model: Any, rows: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Insert rows again; of those that have an id, which one they have now, by the one they had.

    An id that another row was given meanwhile is left to it. A row that would be a second one of its
    kind, by a constraint of its table, is left out.
    """
    table = model.__table__
    placed: dict[int, int] = {}
    for some in _parts(rows):
        values = [typed(table, row) for row in some]
        if "id" not in table.c:
            insert_new(session, table, values)
            continue
        ids = [row["id"] for row in values]
        taken = _there(session, table, ids)
        insert_new(session, table, [row for row in values if row["id"] not in taken])
        placed |= {each: each for each in _there(session, table, ids) - taken}
        for row in values:
            if row["id"] in taken:
                old = row.pop("id")
                if (made := insert_new(session, table, [row])) is not None:
                    placed[old] = made
    return placed


def _there(session: Session, table: sa.Table, ids: Sequence[int]) -> set[int]:
    found = sa.select(table.c.id).where(table.c.id.in_(ids))
    return set(session.connection().execute(found).scalars())
