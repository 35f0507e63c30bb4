"""Acts: what was done as a whole, so that it can be told as one, and undone as one.

Whoever does something as a whole says so once, by `doing`; every row that is made meanwhile by the
same thread names the act. It gets its own row with the first of them: an act that made nothing
leaves none. Rows that go past the session, by an INSERT of their own, would not be marked: of these
tables nothing in the program writes new rows that way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.orm import SessionTransaction
from sqlmodel import Session, col

from app.domain.records import (
    Act,
    ActKind,
    Change,
    Decision,
    Item,
    Link,
    Origin,
    Page,
    Paper,
    Revision,
)
from app.errors import CerebroError, NotFound
from app.store import undo_log
from app.store.db import LARGEST_ID, writing

log = logging.getLogger("cerebro.acts")

MARKED = (Revision, Link, Change, Decision, Item, Paper)
# In `Act.taken`, beside the rows that an undo took: what it left, and why; what it changed in rows that
# were there before, and in those that others build on (store/undo_log.py has the same of an import).
STAYS, UNDO_LOG, GROUND = "stays", "undo_log", "ground"
ADDRESS = "address"  # likewise of a rename: the page, the address that it had and the one it got
BESIDE = (STAYS, UNDO_LOG, GROUND, ADDRESS)
_LOGGED = (ActKind.IMPORT, ActKind.DELIVERY)
_ON_SESSION = "act"


@dataclass
class Doing:
    """Something that is being done. `id` is that of its act, None while nothing was made."""

    kind: ActKind
    words: str
    at: datetime
    run_id: int | None = None
    id: int | None = None
    made: undo_log.Made = field(default_factory=set, repr=False)
    _sure_in: object = None  # the transaction in which the row was seen

    def row(self, session: Session) -> int:
        """The id of the act, with a row that this transaction sees; what was rolled back is made again."""
        here = session.get_transaction()
        if self.id is not None and (here is None or self._sure_in is not here):
            seen = sa.select(col(Act.id)).where(
                col(Act.id) == self.id, col(Act.kind) == self.kind, col(Act.at) == self.at
            )
            if session.connection().execute(seen).first() is None:
                self.id = None
        if self.id is None:
            values = {
                "kind": self.kind,
                "words": self.words,
                "at": self.at,
                "run_id": self.run_id,
                "counts": {},
                "taken": {},
                "undone": False,
            }
            statement = sa.insert(Act).values(values).returning(col(Act.id))
            self.id = session.connection().execute(statement).scalar_one()
        self._sure_in = session.get_transaction()
        assert self.id is not None
        return self.id


_DOING: ContextVar[Doing | None] = ContextVar("doing", default=None)


@contextmanager
def doing(
    engine: Engine,
    kind: ActKind,
    words: str,
    *,
    clock: Callable[[], datetime],
    run_id: int | None = None,
) -> Iterator[Doing]:
    """All that this thread writes in the block is one act, in however many transactions.

    In a block within another one the inner act counts. At the end the act is counted; one that was
    cut off is counted when it is shown.
    """
    act = Doing(kind, words, clock(), run_id)
    token = _DOING.set(act)
    try:
        yield act
    finally:
        _DOING.reset(token)
        if act.id is not None:
            _settle(engine, act)


def _settle(engine: Engine, act: Doing) -> None:
    try:
        with writing(engine) as session:
            assert act.id is not None
            found = counted(session, [act.id])[act.id]
            session.connection().execute(
                sa.update(Act)
                .where(col(Act.id) == act.id, col(Act.at) == act.at)
                .values(counts=found, words=act.words, run_id=act.run_id)
            )
    except CerebroError as error:  # what was done is done, and is counted when it is looked at
        log.warning("act %s could not be counted: %s", act.id, error)


def begin(
    session: Session, kind: ActKind, words: str, *, now: datetime, run_id: int | None = None
) -> Doing:
    """All that this session writes from now on is one act."""
    act = Doing(kind, words, now, run_id)
    session.info[_ON_SESSION] = act
    return act


def current(session: Session) -> Doing | None:
    """What is being done by whoever writes in this session."""
    found = session.info.get(_ON_SESSION)
    return found if isinstance(found, Doing) else _DOING.get()


@sa.event.listens_for(Session, "before_flush")
def _mark(session: Session, _context: object, _instances: object) -> None:
    """What is new is of the act that is being done."""
    act = current(session)
    if act is None:
        return
    new: list[Any] = [
        each for each in session.new if isinstance(each, MARKED) and each.act_id is None
    ]
    if new:
        act_id = act.row(session)
        for each in new:
            each.act_id = act_id


@sa.event.listens_for(Session, "after_flush")
def _note(session: Session, _context: object) -> None:
    """What an import changes in rows that were there before is kept with its act."""
    act = current(session)
    if act is not None and act.kind in _LOGGED:
        undo_log.note(session, act.made)


def _keep_notes(session: Session) -> None:
    """Write what was noted in this transaction."""
    act = current(session)
    if act is None or act.kind not in _LOGGED or session.in_nested_transaction():
        return
    session.flush()
    if entries := undo_log.taken(session):
        undo_log.keep(session, act.row(session), entries)


# Before the counters of changes are raised: it writes too.
sa.event.listen(Session, "before_commit", _keep_notes, insert=True)


@sa.event.listens_for(Session, "after_soft_rollback")
def _look_again(session: Session, gone: SessionTransaction) -> None:
    """What was rolled back may have been the row of the act."""
    act = current(session)
    undo_log.drop(session, gone, set() if act is None else act.made)
    if act is not None:
        act._sure_in = None


def note_address(session: Session, page: Page, slug: str) -> None:
    """Keep with the act that is being done the address that the page had until then."""
    act = current(session)
    if act is not None and page.slug != slug:
        row = get(session, act.row(session))
        row.taken = {**row.taken, ADDRESS: [page.id, slug, page.slug]}
        session.add(row)
        session.flush()


def get(session: Session, act_id: int) -> Act:
    """Raises NotFound."""
    found = session.get(Act, act_id) if 0 < act_id <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"There is no act {act_id}: `cerebro activity` lists them.")
    return found


def counted(session: Session, act_ids: Collection[int]) -> dict[int, dict[str, int]]:
    """What each of these acts made, by its kind: as many statements whatever their number.

    `pages` it made, `texts` of pages it changed, `papers`, `links` that no text makes, `proposals`
    of other kinds, `decisions` and `items`; what there was none of is left out.
    """
    found: dict[int, dict[str, int]] = {act_id: {} for act_id in act_ids}
    values = {"acts": list(found)}
    for name, statement in _COUNTS.items():
        for act_id, number in session.connection().execute(statement, values):
            found[act_id][name] = number
    return found


def of_runs(session: Session, run_ids: Collection[int]) -> dict[int, tuple[int, dict[str, int]]]:
    """For each of these runs that made something: its newest act, and what all of its acts made.

    Of an act that is not over, nothing is counted yet.
    """
    found: dict[int, tuple[int, dict[str, int]]] = {}
    for row in session.connection().execute(_OF_RUNS, {"runs": list(run_ids)}):
        _, counts = found.get(row.run_id, (0, {}))
        for name, number in row.counts.items():
            counts[name] = counts.get(name, 0) + number
        found[row.run_id] = (row.id, counts)
    return found


_OF_RUNS = (
    sa.select(col(Act.id), col(Act.run_id), col(Act.counts))
    .where(col(Act.run_id).in_(sa.bindparam("runs", expanding=True)), col(Act.kind) != ActKind.UNDO)
    .order_by(col(Act.id))
)


def _count(column: Any, *conditions: Any, of: Any = None) -> sa.Select[Any]:
    number = sa.func.count() if of is None else sa.func.count(sa.distinct(of))
    acts: sa.BindParameter[Any] = sa.bindparam("acts", expanding=True)
    return sa.select(column, number).where(column.in_(acts), *conditions).group_by(column)


_COUNTS = {
    "pages": _count(col(Revision.act_id), col(Revision.number) == 1),
    "texts": _count(
        col(Revision.act_id),
        col(Revision.number) > 1,
        of=col(Revision.page_id),
    ),
    "papers": _count(col(Paper.act_id)),
    "links": _count(col(Link.act_id), col(Link.origin) != Origin.AUTHOR),
    "proposals": _count(col(Change.act_id), col(Change.origin) != Origin.AUTHOR),
    "decisions": _count(col(Decision.act_id)),
    "items": _count(col(Item.act_id)),
}
