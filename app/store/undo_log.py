"""The undo log: what an import changed in rows that were there before, so that it can be taken back.

What an act makes names it (store/acts.py). This is the rest: facts it filled in, identifiers, topics,
sources and listings it added, what had waited for a paper and joined it. An entry is
[table, key, before, after], as JSON takes it: `before` has the columns that were changed, or the whole
row where it was deleted; `after` what was put there, None where the row is gone. A row that was made
has no `before`. Of long values `after` has a hash: it is only compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import SessionTransaction
from sqlalchemy.orm.base import LoaderCallableStatus
from sqlmodel import Session, SQLModel, col, select

from app.domain.records import (
    GONE,
    Alias,
    AliasKind,
    Assessment,
    AssessmentTopic,
    Digest,
    Episode,
    Identifier,
    Item,
    Link,
    Listing,
    ListingPaper,
    LooseLink,
    LooseMention,
    Mention,
    Origin,
    Page,
    Paper,
    Prediction,
    Question,
    Source,
    Subscription,
    Thread,
    Topic,
    UndoLog,
)
from app.store.remembered import chunks, typed

Entry = list[Any]
Made = set[tuple[str, Any]]
KEY, MADE = "undo_log", "made by the act"  # in `Session.info`, each with its transaction

# Each with the columns that are another's to take back: of decisions, of triggers, of the text.
_TABLES: dict[type[SQLModel], frozenset[str]] = {
    Paper: frozenset(("page_id", "state", "score", "topic_id", "came", "act_id")),
    Item: frozenset(("act_id",)),
    Link: frozenset(("status", "decided_at", "reason", "confidence", "act_id")),
    # What the fetching of it writes; the rest a person does.
    Subscription: frozenset(
        (
            *("due_at", "cursor", "tried_at", "succeeded_at", "failures"),
            *("stopped", "last_error", "moved_to", "moved_times"),
        )
    ),
    **dict.fromkeys(
        (
            *(Identifier, Mention, LooseMention, LooseLink, Assessment, AssessmentTopic, Alias),
            *(Question, Prediction, Thread, Digest, Episode),
            *(Topic, Source, Listing, ListingPaper),
        ),
        frozenset(),
    ),
}
_ONLY = {Page: frozenset(("extra",))}  # the rest of a page is in its revisions
# Rows that go with another that the act made, by the column that names that one.
_OWNERS: dict[type[SQLModel], tuple[tuple[str, str], ...]] = {
    Identifier: (("paper_id", "paper"), ("page_id", "page")),
    Mention: (("item_id", "item"),),
    LooseMention: (("item_id", "item"),),
    LooseLink: (("source_id", "page"),),
    ListingPaper: (("paper_id", "paper"),),
    Assessment: (("paper_id", "paper"),),
    AssessmentTopic: (("assessment_id", "assessment"),),
    **dict.fromkeys((Question, Prediction, Thread, Digest, Episode, Alias), (("page_id", "page"),)),
}
# What others build on: it comes back first, and goes last.
GROUND = ("source", "subscription", "topic", "listing")
# People change these.
_CHANGED_SINCE = ("topic", "question", "prediction", "thread", "subscription")
_EVERY: tuple[type[SQLModel], ...] = (*_TABLES, *_ONLY)
_BY_NAME = {str(table.__tablename__): table for table in _EVERY}
_LONG = 80


def _name(table: type[SQLModel]) -> str:
    return str(table.__tablename__)


@cache
def _columns(table: Any) -> frozenset[str]:
    every = frozenset(each.name for each in table.__table__.columns)
    return every & _ONLY[table] if table in _ONLY else every - _TABLES[table]


def _key(row: SQLModel) -> list[Any]:
    return [getattr(row, each.name) for each in row.__table__.primary_key]  # type: ignore[attr-defined]


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.value if hasattr(value, "value") else value


def _short(value: Any) -> Any:
    """A value as it is compared: a long one by its hash."""
    plain = _plain(value)
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True)
    return plain if len(text) <= _LONG else {"#": sha256(text.encode()).hexdigest()[:24]}


# ---------------------------------------------------------------- keeping


def note(session: Session, made: Made) -> None:
    """Keep what this flush changes, for `taken`. `made` are the rows of the act, and grows."""
    where = session.get_nested_transaction() or session.get_transaction()
    found: list[Entry] = []
    new: Made = set()
    for row in session.new:
        found += _of_new(row, made, new)
    made |= new
    for row in session.dirty:
        if (entry := _of_dirty(row, made)) is not None:
            found.append(entry)
    for row in session.deleted:
        if (
            type(row) in _TABLES
            and not _is_of_text(row)
            and (_name(type(row)), *_key(row)) not in made
        ):
            table: Any = type(row).__table__
            whole = {each.name: _plain(getattr(row, each.name)) for each in table.columns}
            found.append([_name(type(row)), _key(row), whole, None])
    session.info.setdefault(KEY, []).extend((where, entry) for entry in found)
    session.info.setdefault(MADE, []).extend((where, row) for row in new)


def _of_new(row: Any, made: Made, new: Made) -> Iterator[Entry]:
    table = type(row)
    name = str(getattr(table, "__tablename__", ""))
    if isinstance(row, Page | Paper | Item | Link):
        new.add((name, *_key(row)))
        return
    if table not in _TABLES or _is_of_text(row):
        return
    owners = [(owner, getattr(row, column)) for column, owner in _OWNERS.get(table, ())]
    if any(each in made or each in new for each in owners):
        new.add((name, *_key(row)))
        return
    after = {each: _short(getattr(row, each)) for each in _columns(table)}
    yield [name, _key(row), None, after if name in _CHANGED_SINCE else {}]


def _of_dirty(row: Any, made: Made) -> Entry | None:
    table: Any = type(row)
    if table not in _TABLES and table not in _ONLY:
        return None
    if _is_of_text(row) or (_name(table), *_key(row)) in made:
        return None
    were = sa.inspect(row).committed_state
    before, after = {}, {}
    for name in _columns(table).intersection(were):
        now = getattr(row, name)
        if not isinstance(were[name], LoaderCallableStatus) and were[name] != now:
            before[name], after[name] = _plain(were[name]), _short(now)
    return [_name(table), _key(row), before, after] if before else None


def _is_of_text(row: Any) -> bool:
    """Whether it follows the text of a page, and so its revisions."""
    match row:
        case Link():
            return row.origin == Origin.AUTHOR
        case Question():
            return row.in_text
        case Alias():
            return row.kind != AliasKind.REDIRECT
    return False


def drop(session: Session, gone: SessionTransaction, made: Made) -> None:
    """Forget what was noted in a transaction, or within it: it was rolled back.

    Rows that it made are taken out of `made`: their ids are free for another's.
    """
    for name in (KEY, MADE):
        if kept := session.info.get(name):
            session.info[name] = [each for each in kept if not _is_within(each[0], gone)]
            if name == MADE:
                made -= {row for where, row in kept if _is_within(where, gone)}


def _is_within(inner: SessionTransaction | None, outer: SessionTransaction) -> bool:
    while inner is not None:
        if inner is outer:
            return True
        inner = inner.parent
    return False


def taken(session: Session) -> list[Entry]:
    """What was noted in this transaction, and is noted no more."""
    session.info.pop(MADE, None)
    return [entry for _, entry in session.info.pop(KEY, [])]


def keep(session: Session, act_id: int, entries: list[Entry]) -> None:
    """Write the entries of this transaction, as a row of their own."""
    session.connection().execute(sa.insert(UndoLog).values(act_id=act_id, entries=entries))


def of_act(session: Session, act_id: int) -> list[Entry]:
    """All that an act changed, in the order in which it did."""
    rows = sa.select(col(UndoLog.entries)).where(col(UndoLog.act_id) == act_id)
    found = session.connection().execute(rows.order_by(col(UndoLog.id))).scalars()
    return [entry for entries in found for entry in entries]


# ---------------------------------------------------------------- taking back


@dataclass(frozen=True)
class Left:
    """A row that could not be put back as it was, by its table and key, and why in a few words."""

    table: str
    key: list[Any]
    why: str


@dataclass
class Back:
    """What taking entries back did: the entries that undo it, what it left, and the papers and pages it changed."""

    entries: list[Entry] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    papers: set[int] = field(default_factory=set)
    pages: set[int] = field(default_factory=set)


def back(session: Session, entries: Sequence[Entry], *, ground: bool) -> Back:
    """Take entries back, the last one first: those of what others build on (`ground`), or the others.

    What was changed since stays as it is.
    """
    result = Back()
    wanted = [each for each in reversed(entries) if _is_ground(each) == ground]
    for start in range(0, len(wanted), 200):
        some = wanted[start : start + 200]
        held = _look(session, some)
        for entry in some:
            _back(session, entry, result)
        session.flush()
        held.clear()
    return result


def _is_ground(entry: Entry) -> bool:
    name, _, before, after = entry
    return name in GROUND or (name == "item" and (before is None or after is None))


def _look(session: Session, entries: Iterable[Entry]) -> list[Any]:
    """The rows, read together: while they are held, they are not read one by one."""
    keys: dict[str, list[Any]] = {}
    found: list[Any] = []
    for name, key, _, _ in entries:
        if len(key) == 1 and isinstance(key[0], int):
            keys.setdefault(name, []).append(key[0])
    for name, ids in keys.items():
        table: Any = _BY_NAME[name]
        column = next(iter(table.__table__.primary_key)).name
        for some in chunks(ids):
            found += session.exec(select(table).where(getattr(table, column).in_(some)))
    return found


def _back(session: Session, entry: Entry, result: Back) -> None:
    name, key, before, after = entry
    table = _BY_NAME.get(name)
    if table is None:  # of a newer version
        return
    row: Any = session.get(table, tuple(key) if len(key) > 1 else key[0])
    if after is None:
        _again(session, table, before, row, result)
    elif row is not None and before is None:
        _unmake(session, table, row, after, result)
    elif row is not None:
        _restore(session, table, row, before, after, result)


def _again(session: Session, table: Any, values: dict[str, Any], row: Any, result: Back) -> None:
    """Put a row again that was deleted."""
    values = typed(table.__table__, values)
    if isinstance(row, Source) and row.key != values["key"]:
        del values["id"]  # another source has that number by now
    elif row is not None:
        return
    new = table(**values)
    try:
        with session.begin_nested():
            session.add(new)
            session.flush()
    except IntegrityError:
        return  # what it was about is there in another row, or is gone
    result.entries.append([_name(table), _key(new), None, {}])
    _touch(new, result)


def sources_now(session: Session, entries: Iterable[Entry]) -> dict[int, int]:
    """Of sources that were deleted and are there again, their numbers now by those they had."""
    found: dict[int, int] = {}
    for name, key, before, after in entries:
        if name == "source" and before and after is None:
            by_key = select(Source.id).where(Source.key == before["key"])
            if (now := session.exec(by_key).first()) is not None:
                found[key[0]] = now
    return found


def _unmake(session: Session, table: Any, row: Any, after: dict[str, Any], result: Back) -> None:
    """Delete a row that was made."""
    name = _name(table)
    why = _KEEPS[name](session, row) if name in _KEEPS else ""
    if not why and any(_short(getattr(row, each)) != value for each, value in after.items()):
        why = "it was changed since"
    if why and isinstance(row, Topic):
        # What was judged by it keeps it; no new paper is.
        if not row.retired:
            result.entries.append([name, _key(row), {"retired": False}, {"retired": True}])
            row.retired = True
            session.add(row)
        why = f"{why}: it is retired"
    if why:
        if why is not _IN_USE:
            result.left.append(Left(name, _key(row), why))
        return
    whole = {each.name: _plain(getattr(row, each.name)) for each in table.__table__.columns}
    result.entries.append([name, _key(row), whole, None])
    _touch(row, result)
    session.delete(row)
    session.flush()


def _restore(
    session: Session,
    table: Any,
    row: Any,
    before: dict[str, Any],
    after: dict[str, Any],
    result: Back,
) -> None:
    """Give columns the values they had, wherever nothing else was written since."""
    was, now = {}, {}
    for column, value in typed(table.__table__, before).items():
        standing = getattr(row, column)
        if _short(standing) != after.get(column):
            if _plain(standing) != before[column]:
                what = column.replace("_", " ")
                result.left.append(Left(_name(table), _key(row), f"its {what} was changed since"))
            continue
        was[column], now[column] = _plain(standing), _short(before[column])
        setattr(row, column, value)
    if not was:
        return
    try:
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError:
        session.refresh(row)
        result.left.append(Left(_name(table), _key(row), "something else has its place since"))
        return
    result.entries.append([_name(table), _key(row), was, now])
    _touch(row, result)


def _touch(row: Any, result: Back) -> None:
    if isinstance(row, Paper):
        result.papers.add(row.id or 0)
    elif isinstance(row, Page):
        result.pages.add(row.id or 0)
    else:
        if (paper := getattr(row, "paper_id", None)) is not None:
            result.papers.add(paper)
        if (page := getattr(row, "page_id", None)) is not None:
            result.pages.add(page)


def _any(session: Session, *conditions: tuple[Any, Any]) -> bool:
    return any(
        session.connection()
        .execute(sa.select(sa.literal(1)).where(column == value).limit(1))
        .first()
        for column, value in conditions
    )


_IN_USE = "in use"  # which goes without saying


def _source_stays(session: Session, row: Source) -> str:
    # A subscription would go with it.
    tables = (Item, Episode, Subscription)
    used = [(col(table.source_id), row.id) for table in tables]
    return _IN_USE if _any(session, *used) else ""


def _subscription_stays(session: Session, row: Subscription) -> str:
    return (
        "it has brought something since"
        if _any(session, (col(Item.source_id), row.source_id))
        else ""
    )


def _topic_stays(session: Session, row: Topic) -> str:
    used = ((col(Assessment.topic_id), row.id), (col(AssessmentTopic.topic_id), row.id))
    return "papers were judged by it since" if _any(session, *used) else ""


def _listing_stays(session: Session, row: Listing) -> str:
    listed = _any(session, (col(ListingPaper.day), row.day))
    return _IN_USE if listed else ""


def _question_stays(session: Session, row: Question) -> str:
    return "a paper may answer it" if _any(session, (col(Link.question_id), row.id)) else ""


_KEEPS: dict[str, Callable[[Session, Any], str]] = {
    "source": _source_stays,
    "subscription": _subscription_stays,
    "topic": _topic_stays,
    "listing": _listing_stays,
    "question": _question_stays,
}


def called(session: Session, left: Left) -> tuple[str, str]:
    """What a row that was left is called, or what it hangs on, and the address of its page or ""."""
    key: Any = tuple(left.key) if len(left.key) > 1 else left.key[0]
    row: Any = session.get(_BY_NAME[left.table], key)
    paper_id = row.id if isinstance(row, Paper) else getattr(row, "paper_id", None)
    paper = session.get(Paper, paper_id) if paper_id is not None else None
    page_id = row.id if isinstance(row, Page) else getattr(row, "page_id", None)
    page_id = page_id or (paper.page_id if paper is not None else None)
    page = session.get(Page, page_id) if page_id is not None else None
    if page is not None and page.kind in GONE:
        page = None
    source_id = getattr(row, "source_id", None) if left.table == "subscription" else None
    source = session.get(Source, source_id) if source_id is not None else None
    named = page or paper or source or row
    name = next(
        (str(found) for each in ("title", "name", "day") if (found := getattr(named, each, ""))), ""
    )
    return name or f"{left.table} {left.key[0]}", page.slug if page is not None else ""
