"""What happened, newest first: what people saved and decided, and what was done as a whole.

Three tables tell it: revisions by people, decisions, and acts. What belongs to an act is told by the
act alone, but for the activity of one page, which has every revision and decision about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.records import (
    Act,
    ActKind,
    AuthorKind,
    Change,
    ChangeKind,
    Decision,
    Link,
    Page,
    Paper,
    Relation,
    Revision,
    Verdict,
)
from app.errors import Invalid
from app.store import acts, decisions, removal
from app.store import pages as stored
from app.store.db import LARGEST_ID

PER_PAGE = 50


class What(StrEnum):
    """The kinds of things that happen, as the log is narrowed by them."""

    SAVE = "save"
    DECISION = "decision"
    REMOVAL = "removal"
    MERGE = "merge"
    ACT = "act"


_CHANGES = {
    What.REMOVAL: (ChangeKind.REMOVE,),
    What.MERGE: (ChangeKind.MERGE, ChangeKind.SPLIT),
}
YOU, MACHINE = "you", "machine"


@dataclass(frozen=True)
class Asked:
    """Which part of the log is asked for; what is left empty narrows nothing.

    `who`: "you", "machine", or who a decision names (rule:3). `page` is an address, `day` an ISO day
    as the reader's zone has it.
    """

    what: What | None = None
    who: str = ""
    page: str = ""
    day: str = ""


def what(word: str) -> What | None:
    """Read the name of a kind, "" for all. Raises Invalid, naming those there are."""
    if not word.strip():
        return None
    try:
        return What(word.strip().lower())
    except ValueError as error:
        known = ", ".join(each.value for each in What)
        raise Invalid(f"Nothing of the kind {word[:40]!r} happens. Use {known}.") from error


@dataclass(frozen=True)
class Place:
    """Where a row stands in the log: when, in which table, and its number there. Written at~table~id."""

    at: datetime
    table: int
    id: int

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{self.table}~{self.id}"

    @classmethod
    def read(cls, text: str) -> Place | None:
        """A place from an address; None for whatever is none."""
        parts = text[:80].split("~")
        if len(parts) != 3 or not all(each.isascii() and each.isdigit() for each in parts[1:]):
            return None
        try:
            at = datetime.fromisoformat(parts[0].replace(" ", "+"))
        except ValueError:
            return None
        number = int(parts[2])
        if at.tzinfo is None or number > LARGEST_ID or len(parts[1]) > 1:
            return None
        return cls(at, int(parts[1]), number)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of the log.

    `what` is its kind and `verb` what was done in a word or two ("saved", "accepted", "put back").
    `page` and `other` are (address, title), the address "" for none. Of a save `version`, of a decision
    `decision` and of an act `act` is the number. `undone` is whether it was taken back; `undoes`
    whether it is an undo itself.
    """

    place: Place
    what: What
    verb: str
    who: str
    title: str = ""
    slug: str = ""
    other: tuple[str, str] | None = None
    relation: str = ""
    reason: str = ""
    version: int = 0
    decision: int = 0
    act: int = 0
    kind: str = ""
    run: int | None = None
    counts: dict[str, Any] = field(default_factory=dict)
    undone: bool = False
    undoes: bool = False

    @property
    def at(self) -> datetime:
        return self.place.at


# Of one moment: what was done as a whole had begun before, and a decision saved what it wrote.
_ACTS, _REVISIONS, _DECISIONS = 0, 1, 2


def listed(
    session: Session,
    asked: Asked,
    *,
    zone: tzinfo | None,
    after: Place | None = None,
    limit: int = PER_PAGE,
) -> tuple[list[Event], Place | None]:
    """The newest lines of the log that come after a place, and where the next part begins.

    Raises Invalid for a day that is none, or a page that never was.
    """
    page_id = _page_id(session, asked.page) if asked.page else 0
    span = _span(asked.day, zone)
    found: list[Event] = []
    if asked.what in (None, What.SAVE) and asked.who in ("", YOU, MACHINE):
        found += _saves(session, asked, page_id, span, after, limit + 1)
    if asked.what != What.SAVE and asked.what != What.ACT:
        found += _decided(session, asked, page_id, span, after, limit + 1)
    if asked.what in (None, What.ACT) and not page_id and asked.who in ("", YOU, MACHINE):
        found += _done(session, asked.who, span, after, limit + 1)
    found.sort(key=lambda each: (each.at, each.place.table, each.place.id), reverse=True)
    return found[:limit], found[limit - 1].place if len(found) > limit else None


def _page_id(session: Session, slug: str) -> int:
    page = (
        stored.by_slug(session, slug)
        or stored.former(session, slug)
        or stored.merged_at(session, slug)
        or removal.removed_at(session, slug)
    )
    if page is None or page.id is None:
        raise Invalid(f"There is no page at {slug[:100]!r}, and there was none.")
    return page.id


def _span(day: str, zone: tzinfo | None) -> tuple[datetime, datetime] | None:
    if not day:
        return None
    try:
        first = date.fromisoformat(day)
        begin, end = (
            datetime.combine(each, time(), zone) for each in (first, first + timedelta(days=1))
        )
        # Without a zone it is the day as this machine has it.
        return (begin, end) if zone else (begin.astimezone(), end.astimezone())
    except (ValueError, OverflowError, OSError) as error:
        raise Invalid(f"{day[:40]!r} is no day: write YYYY-MM-DD.") from error


def _where(
    table: int, at: Any, number: Any, span: tuple[datetime, datetime] | None, after: Place | None
) -> list[Any]:
    conditions: list[Any] = []
    if span is not None:
        conditions += [at >= span[0], at < span[1]]
    if after is not None:
        same = {-1: sa.true(), 0: number < after.id, 1: sa.false()}
        rank = (table > after.table) - (table < after.table)
        conditions += [at <= after.at, (at < after.at) | same[rank]]
    return conditions


# ---------------------------------------------------------------- saves


def _saves(
    session: Session,
    asked: Asked,
    page_id: int,
    span: tuple[datetime, datetime] | None,
    after: Place | None,
    limit: int,
) -> list[Event]:
    people = sa.text("revision.author_kind IN ('person', 'vault')")
    statement = (
        sa.select(
            col(Revision.id),
            col(Revision.at),
            col(Revision.number),
            col(Revision.note),
            col(Revision.author_kind),
            col(Revision.author),
            col(Revision.act_id),
            col(Page.slug),
            col(Page.title),
        )
        .join(Page, col(Page.id) == col(Revision.page_id))
        .where(*_where(_REVISIONS, col(Revision.at), col(Revision.id), span, after))
        .order_by(col(Revision.at).desc(), col(Revision.id).desc())
        .limit(limit)
    )
    if page_id:
        statement = statement.where(col(Revision.page_id) == page_id)
    elif asked.who == MACHINE:
        return []  # what a machine saves by itself is of an act
    else:
        statement = statement.where(col(Revision.act_id).is_(None), people)
    if page_id and asked.who:
        by_person = col(Revision.author_kind).in_((AuthorKind.PERSON, AuthorKind.VAULT))
        statement = statement.where(by_person if asked.who == YOU else ~by_person)
    return [
        Event(
            place=Place(row.at, _REVISIONS, row.id),
            what=What.SAVE,
            verb="written" if row.number == 1 else "saved",
            who=_writer(row.author_kind, row.author),
            title=row.title,
            slug=row.slug,
            reason=row.note,
            version=row.number,
            act=row.act_id or 0,
        )
        for row in session.connection().execute(statement)
    ]


def _writer(kind: AuthorKind, name: str) -> str:
    return YOU if kind == AuthorKind.PERSON else name or kind.value


# ---------------------------------------------------------------- decisions


def _decided(
    session: Session,
    asked: Asked,
    page_id: int,
    span: tuple[datetime, datetime] | None,
    after: Place | None,
    limit: int,
) -> list[Event]:
    conditions = _where(_DECISIONS, col(Decision.at), col(Decision.id), span, after)
    if page_id:
        conditions.append(sa.or_(*_about(page_id)))
    else:
        conditions.append(col(Decision.act_id).is_(None))
    if asked.who == YOU:
        conditions.append(col(Decision.who) == "person")
    elif asked.who == MACHINE:
        conditions.append(col(Decision.who) != "person")
    elif asked.who:
        conditions.append(col(Decision.who) == asked.who)
    if asked.what in _CHANGES:
        kinds = sa.select(col(Change.id)).where(col(Change.kind).in_(_CHANGES[asked.what]))
        conditions.append(col(Decision.change_id).in_(kinds))
    elif asked.what == What.DECISION:
        others = [kind for each in _CHANGES.values() for kind in each]
        of_page = sa.select(col(Change.id)).where(col(Change.kind).in_(others))
        conditions.append(
            col(Decision.change_id).is_(None) | col(Decision.change_id).not_in(of_page)
        )
    chosen = (
        sa.select(col(Decision.id))
        .where(*conditions)
        .order_by(col(Decision.at).desc(), col(Decision.id).desc())
        .limit(limit)
    )
    ids = list(session.connection().execute(chosen).scalars())
    rows = session.connection().execute(_TOLD, {"ids": ids}) if ids else ()
    return [_event(row) for row in rows]


def _about(page_id: int) -> list[Any]:
    sides = (col(Link.source_id), col(Link.target_id))
    links = [sa.select(col(Link.id)).where(side == page_id) for side in sides]
    changes = [
        sa.select(col(Change.id)).where(column == page_id)
        for column in (col(Change.source_id), col(Change.target_id))
    ]
    paper = sa.select(col(Paper.id)).where(col(Paper.page_id) == page_id)
    return [
        col(Decision.link_id).in_(sa.union_all(*links)),
        col(Decision.change_id).in_(sa.union_all(*changes)),
        col(Decision.paper_id).in_(paper),
    ]


_TOLD = decisions.told(
    "id", "at", "who", "verdict", "reason", "undone", "undoes_id", "act_id"
).where(col(Decision.id).in_(sa.bindparam("ids", expanding=True)))
_VERBS = {
    Verdict.ACCEPT: "accepted",
    Verdict.REJECT: "rejected",
    Verdict.DEFER: "put off",
    Verdict.KEEP: "kept",
    Verdict.DROP: "dropped",
}
# What accepting a change did, and what taking that back did.
_DID = {
    ChangeKind.REMOVE: ("removed", "put back"),
    ChangeKind.MERGE: ("merged", "merge taken back"),
    ChangeKind.SPLIT: ("split", "split taken back"),
}


def of_decisions(session: Session, ids: Sequence[int]) -> list[Event]:
    """These decisions as lines of the log, in their order."""
    rows = session.connection().execute(_TOLD, {"ids": list(ids)}) if ids else ()
    found = {row.id: _event(row) for row in rows}
    return [found[each] for each in ids if each in found]


def in_words(event: Event) -> str:
    """A line of the log without who and when: "kept Paged keys", "accepted Paged keys about KV cache"."""
    parts = (event.verb, event.title, event.relation or ("and" if event.other else ""))
    return " ".join((*filter(None, parts), *((event.other[1],) if event.other else ())))


def _event(row: Any) -> Event:
    undoes = row.undoes_id is not None
    what = next((what for what, kinds in _CHANGES.items() if row.change_kind in kinds), None)
    verb = f"{_VERBS[row.verdict]}, taken back" if undoes else _VERBS[row.verdict]
    if row.change_kind in _DID and row.verdict == Verdict.ACCEPT:
        verb = _DID[row.change_kind][undoes]
    title, slug = row.source_title, row.source_slug or ""
    if title is None:
        title, slug = row.change_title or row.paper_title or "", row.paper_slug or ""
    other = (row.target_slug or "", row.target_title) if row.target_title is not None else None
    return Event(
        place=Place(row.at, _DECISIONS, row.id),
        what=what or What.DECISION,
        verb=verb,
        who=YOU if row.who == "person" else row.who,
        title=title,
        slug=slug,
        other=other if row.change_kind != ChangeKind.REMOVE else None,
        relation=row.relation.value if isinstance(row.relation, Relation) else "",
        reason=row.reason,
        decision=row.id,
        act=row.act_id or 0,
        kind=row.change_kind.value if row.change_kind else "",
        undone=row.undone,
        undoes=undoes,
    )


# ---------------------------------------------------------------- acts


def _done(
    session: Session,
    who: str,
    span: tuple[datetime, datetime] | None,
    after: Place | None,
    limit: int,
) -> list[Event]:
    statement = (
        sa.select(*_OF_AN_ACT)
        .where(*_where(_ACTS, col(Act.at), col(Act.id), span, after))
        .where(*_by(who))
        .order_by(col(Act.at).desc(), col(Act.id).desc())
        .limit(limit)
    )
    return _acts(session, session.connection().execute(statement).all())


_YOURS = (ActKind.RENAME, ActKind.WORDING)


def _by(who: str) -> list[sa.ColumnElement[bool]]:
    if not who:
        return []
    return [col(Act.kind).in_(_YOURS) if who == YOU else col(Act.kind).not_in(_YOURS)]


_OF_AN_ACT: Sequence[Any] = (
    col(Act.id),
    col(Act.at),
    col(Act.kind),
    col(Act.words),
    col(Act.counts),
    col(Act.run_id),
    col(Act.undone),
    col(Act.undoes_id),
)


def _acts(session: Session, rows: Iterable[Any]) -> list[Event]:
    found = list(rows)
    unknown = [row.id for row in found if not row.counts]
    counted = acts.counted(session, unknown) if unknown else {}
    return [
        Event(
            place=Place(row.at, _ACTS, row.id),
            what=What.ACT,
            verb=_KINDS[row.kind],
            who=YOU if row.kind in _YOURS else MACHINE,
            title=row.words,
            kind=row.kind.value,
            act=row.id,
            run=row.run_id,
            counts=row.counts or counted[row.id],
            undone=row.undone,
            undoes=row.undoes_id is not None,
        )
        for row in found
    ]


_KINDS = {
    ActKind.IMPORT: "imported",
    ActKind.DELIVERY: "came in",
    ActKind.WORK: "worked",
    ActKind.VAULT: "taken from the vault",
    ActKind.UNDO: "as a whole",
    ActKind.RENAME: "renamed",
    ActKind.WORDING: "links rewritten",
}


def act(session: Session, act_id: int) -> Event:
    """One act as a line of the log. Raises NotFound."""
    acts.get(session, act_id)
    statement = sa.select(*_OF_AN_ACT).where(col(Act.id) == act_id)
    return _acts(session, session.connection().execute(statement).all())[0]


def undone_by(session: Session, act_id: int) -> int:
    """The number of the act that took this one back last, or of what this one took back; 0 for none."""
    row = acts.get(session, act_id)
    if row.undoes_id:
        return row.undoes_id
    newest = sa.select(sa.func.max(col(Act.id))).where(col(Act.undoes_id) == act_id)
    return session.connection().execute(newest).scalar() or 0


def stays_of(session: Session, act_id: int) -> list[dict[str, str]]:
    """What an undo left as it stands: {title, why, slug} each."""
    kept = acts.get(session, act_id).taken.get(acts.STAYS, [])
    return [dict(each) for each in kept]


def pages_of(session: Session, act_id: int, *, limit: int = PER_PAGE) -> list[Any]:
    """The first pages that an act made or changed: rows (slug, title, number)."""
    statement = (
        sa.select(
            col(Page.slug), col(Page.title), sa.func.min(col(Revision.number)).label("number")
        )
        .join(Page, col(Page.id) == col(Revision.page_id))
        .where(col(Revision.act_id) == act_id)
        .group_by(col(Page.id), col(Page.slug), col(Page.title))
        .order_by(col(Page.id))
        .limit(limit)
    )
    return list(session.connection().execute(statement))


def as_json(event: Event) -> dict[str, object]:
    """A line as programs get it; what does not apply is left out."""
    told: dict[str, object] = {
        "at": event.at.isoformat(),
        "what": event.what.value,
        "verb": event.verb,
        "who": event.who,
        "title": event.title,
        "page": event.slug,
        "other": {"page": event.other[0], "title": event.other[1]} if event.other else None,
        "relation": event.relation,
        "reason": event.reason,
        "version": event.version,
        "decision": event.decision,
        "act": event.act,
        "kind": event.kind,
        "run": event.run,
        "counts": event.counts,
        "undone": event.undone,
    }
    return {name: value for name, value in told.items() if value or name == "undone"}
