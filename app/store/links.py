"""Links: writing edges and proposals, and reading them as rows for lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.domain.evidence import names_said
from app.domain.graph import STRENGTH, USUAL_STRENGTH
from app.domain.linking import PaperText
from app.domain.memory import Rejection, Returned
from app.domain.records import (
    GONE,
    Alias,
    AliasKind,
    Decision,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    PageText,
    Question,
    Relation,
    Role,
    Verdict,
    choice,
)
from app.domain.second_look import SecondLook
from app.errors import NotFound
from app.store.db import LARGEST_ID, bump

PAGE_SIZE = 50
STATUS = {
    Verdict.ACCEPT: LinkStatus.ACCEPTED,
    Verdict.REJECT: LinkStatus.REJECTED,
    Verdict.DEFER: LinkStatus.DEFERRED,
}
"""How a decision leaves what it is about."""


ACCEPTED = "links"  # the counter of what the graph is made of: which links are accepted, and how


@sa.event.listens_for(Session, "before_flush")
def _count_accepted(session: Session, _context: object, _instances: object) -> None:
    """Whoever changes which links are accepted: what was computed from them is stale."""
    found = [each for each in (*session.new, *session.deleted) if isinstance(each, Link)]
    found += [
        each for each in session.dirty if isinstance(each, Link) and session.is_modified(each)
    ]
    # A page that goes takes its links along.
    if any(map(_was_accepted, found)) or any(isinstance(each, Page) for each in session.deleted):
        bump(session, ACCEPTED)


def _was_accepted(link: Link) -> bool:
    """Whether a link is accepted, or was when it was read; true when nobody can say."""
    history = sa.inspect(link).attrs.status.load_history()
    unread = bool(history.added) and not history.deleted and sa.inspect(link).persistent
    return unread or LinkStatus.ACCEPTED in (*history.added, *history.unchanged, *history.deleted)


def _is(status: LinkStatus) -> sa.ColumnElement[bool]:
    """The status as a literal, so that the index of waiting links can be used."""
    return col(Link.status) == sa.literal(status.value, sa.String(), literal_execute=True)


def get(session: Session, link_id: int) -> Link:
    found = session.get(Link, link_id) if 0 < link_id <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"There is no proposal {link_id}.")
    return found


def between(session: Session, source_id: int, target_id: int, relation: Relation) -> Link | None:
    return session.exec(
        select(Link).where(
            Link.source_id == source_id, Link.target_id == target_id, Link.relation == relation
        )
    ).first()


def add(session: Session, link: Link) -> Link:
    """Store a new link. Its pair and relation must not be there yet."""
    session.add(link)
    session.flush()
    bump(session)
    return link


# How the queue may be sorted: the columns, and whether they fall. Each has an index of its own.
_ORDERS: dict[str, tuple[tuple[Any, ...], bool]] = {
    "confidence": ((col(Link.confidence), col(Link.id)), True),
    "newest": ((col(Link.created_at), col(Link.id)), True),
    "page": ((col(Link.source_id), col(Link.id)), False),
}


_OF_A_PROPOSAL = (
    *("id", "relation", "role", "confidence", "reason"),
    *("evidence", "signals", "origin", "status", "created_at", "extra"),
)


def _with_both_sides() -> sa.Select[Any]:
    source, target = aliased(Page), aliased(Page)
    statement: sa.Select[Any] = (
        sa.select(
            *(getattr(Link, name) for name in _OF_A_PROPOSAL),
            *(
                getattr(page, name).label(f"{side}_{name}")
                for side, page in (("source", source), ("target", target))
                for name in ("slug", "title", "kind")
            ),
            *(_of_its_question(name) for name in ("number", "text")),
        )
        .join(source, col(source.id) == col(Link.source_id))
        .join(target, col(target.id) == col(Link.target_id))
    )
    return statement


def _of_its_question(name: str) -> Any:
    """A column of the question that a proposed answer answers; null of any other link."""
    return (
        sa.select(getattr(Question, name))
        .where(col(Question.id) == col(Link.question_id))
        .scalar_subquery()
        .label(f"question_{name}")
    )


def proposals(
    session: Session,
    *,
    thread: str = "",
    sort: str = "confidence",
    tension: bool = False,
    status: LinkStatus = LinkStatus.PROPOSED,
    above: float = 0.0,
    after: int = 0,
    limit: int = PAGE_SIZE,
    offset: int = 0,
) -> list[Any]:
    """Rows of the review queue with both sides, in one statement whatever their number.

    `thread` keeps proposals whose source or target is that thread or a member of it; `tension`
    keeps the `contradicts` ones, otherwise they are left out. `after` is the id of the last link
    shown: what was decided meanwhile makes the next rows neither skip nor repeat.
    """
    values: dict[str, Any] = {"limit": limit, "offset": offset}
    values |= {"above": above} if above else {}
    values |= {"thread": thread} if thread else {}
    last = _place(session, after)
    values |= {f"last_{name}": value for name, value in last.items()}
    statement = _queue(
        sort if sort in _ORDERS else "confidence",
        status,
        tension=tension,
        above=bool(above),
        thread=bool(thread),
        after=bool(last),
    )
    return list(session.connection().execute(statement, values))


def _place(session: Session, link_id: int) -> dict[str, Any]:
    """Where a link stands in every order, decided as it may be; nothing when there is none."""
    if not 0 < link_id <= LARGEST_ID:
        return {}
    row = session.connection().execute(_PLACE, {"id": link_id}).first()
    return dict(row._mapping) if row else {}


_PLACE = sa.select(
    col(Link.id), col(Link.confidence), col(Link.created_at), col(Link.source_id)
).where(col(Link.id) == sa.bindparam("id"))


@cache
def _queue(
    sort: str, status: LinkStatus, *, tension: bool, above: bool, thread: bool, after: bool
) -> sa.Select[Any]:
    contradicts = col(Link.relation) == Relation.CONTRADICTS
    statement = _with_both_sides().where(_is(status), contradicts if tension else ~contradicts)
    if above:
        statement = statement.where(col(Link.confidence) >= sa.bindparam("above"))
    if thread:
        members = _members()
        touching = (
            sa.select(col(Link.id)).where(_is(status), col(side).in_(members))
            for side in (Link.source_id, Link.target_id)
        )
        statement = statement.where(col(Link.id).in_(sa.union(*touching)))
    keys, falling = _ORDERS[sort]
    if after:
        here = sa.tuple_(*keys)
        there = sa.tuple_(*(sa.bindparam(f"last_{key.key}", type_=key.type) for key in keys))
        statement = statement.where(here < there if falling else here > there)
    order = [key.desc() if falling else key for key in keys]
    return statement.order_by(*order).limit(sa.bindparam("limit")).offset(sa.bindparam("offset"))


def _members() -> sa.CompoundSelect[Any]:
    page = sa.select(col(Page.id)).where(col(Page.slug) == sa.bindparam("thread"))
    return sa.union(
        page,
        sa.select(col(Link.source_id)).where(
            col(Link.target_id).in_(page),
            col(Link.relation) == Relation.PART_OF,
            col(Link.status) == LinkStatus.ACCEPTED,
        ),
    )


def proposal(session: Session, link_id: int) -> Any:
    """One row like those of `proposals`, whatever its status. Raises NotFound."""
    get(session, link_id)
    return session.connection().execute(_ONE, {"id": link_id}).one()


_ONE = _with_both_sides().where(col(Link.id) == sa.bindparam("id"))


def count(
    session: Session, status: LinkStatus = LinkStatus.PROPOSED, *, tension: bool = False
) -> int:
    """How many links have this status; those in tension apart from the others."""
    return session.connection().execute(_counting(status, tension=tension)).scalar() or 0


@cache
def _counting(status: LinkStatus, *, tension: bool) -> sa.Select[Any]:
    contradicts = col(Link.relation) == Relation.CONTRADICTS
    return sa.select(sa.func.count()).where(_is(status), contradicts if tension else ~contradicts)


def backlinks(session: Session, page_id: int, *, limit: int = 50, before: int = 0) -> list[Any]:
    """Accepted links to a page, the newest link first.

    Rows: id, slug, title, kind, relation, role, note, evidence, origin. `before` is the id of the
    last one shown.
    """
    values = {"page": page_id, "before": before or LARGEST_ID, "limit": limit}
    return list(session.connection().execute(_BACKLINKS, values))


_SHOWN = (Page.slug, Page.title, Page.kind, Link.relation, Link.role, Link.note)
_BACKLINKS = (
    sa.select(col(Link.id), *(col(c) for c in _SHOWN), col(Link.evidence), col(Link.origin))
    .join(Page, col(Page.id) == col(Link.source_id))
    .where(
        col(Link.target_id) == sa.bindparam("page"),
        col(Link.status) == LinkStatus.ACCEPTED,
        col(Link.id) < sa.bindparam("before"),
    )
    .order_by(col(Link.id).desc())
    .limit(sa.bindparam("limit"))
)


def outgoing(session: Session, page_id: int, *, limit: int = 200) -> list[Any]:
    """Accepted links from a page: id, slug, title, kind, relation, role, note, day, evidence, origin."""
    return list(session.connection().execute(_OUTGOING, {"page": page_id, "limit": limit}))


_OUTGOING = (
    sa.select(
        col(Link.id), *(col(c) for c in _SHOWN), col(Link.day), col(Link.evidence), col(Link.origin)
    )
    .join(Page, col(Page.id) == col(Link.target_id))
    .where(col(Link.source_id) == sa.bindparam("page"), col(Link.status) == LinkStatus.ACCEPTED)
    .order_by(col(Link.relation), col(Page.title), col(Link.id))
    .limit(sa.bindparam("limit"))
)


def suggestions(session: Session, page_id: int, *, limit: int = 8) -> list[Any]:
    """Proposals that touch a page, surest first; `outgoing` says on which side the page stands."""
    return list(session.connection().execute(_SUGGESTIONS, {"page": page_id, "limit": limit}))


def _suggested(side: Any, other: Any, *, outgoing: bool) -> Any:
    """Of one side, from its index: a page that thousands link to costs no more than others."""
    return sa.select(
        sa.select(
            *(getattr(Link, name) for name in _SUGGESTED),
            sa.literal(outgoing, literal_execute=True).label("outgoing"),
            col(other).label("other"),
        )
        .where(col(side) == sa.bindparam("page"), col(Link.status) == LinkStatus.PROPOSED)
        .order_by(col(Link.confidence).desc(), col(Link.id))
        .limit(sa.bindparam("limit"))
        .subquery()
    )


_SUGGESTED = ("id", "relation", "confidence", "evidence", "reason")
_BOTH_SIDES = sa.union_all(
    _suggested(Link.source_id, Link.target_id, outgoing=True),
    _suggested(Link.target_id, Link.source_id, outgoing=False),
).subquery()
_SUGGESTIONS = (
    sa.select(
        *(_BOTH_SIDES.c[name] for name in (*_SUGGESTED, "outgoing")),
        col(Page.slug),
        col(Page.title),
        col(Page.kind),
    )
    .join(Page, col(Page.id) == _BOTH_SIDES.c.other)
    .order_by(_BOTH_SIDES.c.confidence.desc(), _BOTH_SIDES.c.id)
    .limit(sa.bindparam("limit"))
)


def counts(session: Session, page_id: int) -> dict[str, int]:
    """Accepted links at a page: `incoming`, `outgoing`, and the `threads` it is part of."""
    return dict(session.connection().execute(_COUNTS, {"page": page_id}).one()._mapping)


def papers_linking(session: Session, page_id: int) -> int:
    """How many papers have an accepted link to a page; each of them is looked at."""
    return session.connection().execute(_PAPERS_LINKING, {"page": page_id}).scalar() or 0


def by_status(session: Session) -> Counter[str]:
    """How many links there are of each status."""
    rows = sa.select(col(Link.status), sa.func.count()).group_by(col(Link.status))
    return Counter(
        {str(status.value): number for status, number in session.connection().execute(rows)}
    )


def _accepted(side: Any) -> sa.Select[Any]:
    return sa.select(sa.func.count()).where(
        col(side) == sa.bindparam("page"), col(Link.status) == LinkStatus.ACCEPTED
    )


_PART_OF = _accepted(Link.source_id).where(col(Link.relation) == Relation.PART_OF)
_COUNTS = sa.select(
    _accepted(Link.target_id).scalar_subquery().label("incoming"),
    _accepted(Link.source_id).scalar_subquery().label("outgoing"),
    _PART_OF.scalar_subquery().label("threads"),
)
_PAPERS_LINKING = (
    sa.select(sa.func.count(sa.distinct(col(Link.source_id))))
    .join(Page, col(Page.id) == col(Link.source_id))
    .where(
        col(Link.target_id) == sa.bindparam("page"),
        col(Link.status) == LinkStatus.ACCEPTED,
        col(Page.kind) == PageKind.PAPER,
    )
)


# How near a link says that two pages are: its relation's strength, and half of it for how sure it was.
WEIGHT: Any = (
    sa.case(
        *((col(Link.relation) == relation, value) for relation, value in STRENGTH.items()),
        else_=USUAL_STRENGTH,
    )
    * (1 + col(Link.confidence))
    / 2
).label("weight")


def weight(relation: Relation, confidence: float) -> float:
    """The same of one link."""
    return STRENGTH.get(relation, USUAL_STRENGTH) * (1 + confidence) / 2


_STANDING = (LinkStatus.ACCEPTED, LinkStatus.PROPOSED)


def edges_around(
    session: Session,
    page_ids: Iterable[int],
    *,
    statuses: Collection[LinkStatus] = _STANDING,
    since: datetime | None = None,
    before: datetime | None = None,
    limit: int = 400,
) -> list[Any]:
    """Edges with an end among the pages, accepted before proposed, then the surest first.

    Rows: source_id, target_id, relation, status, confidence. Each side and status is read from an
    index that holds the surest first: a page with thousands of links costs no more than others.
    `since` and `before` as in `stood`.
    """
    values: dict[str, object] = {"pages": list(page_ids), "most": limit}
    values |= {"since": since} if since is not None else {}
    values |= {"before": before} if before is not None else {}
    statement = _around(tuple(statuses), since is not None, before is not None)
    return list(session.connection().execute(statement, values))


@cache
def _around(statuses: tuple[LinkStatus, ...], since: bool, before: bool) -> sa.Select[Any]:
    """The statement of `edges_around`: every page screen runs it, and to build it takes longest."""
    pages: sa.BindParameter[Any] = sa.bindparam("pages", expanding=True)
    most = sa.bindparam("most", type_=sa.Integer)
    best = [
        sa.select(
            sa.select(*_edge_of(status))
            .where(
                col(side).in_(pages),
                *_in_span(
                    status, since, before, sa.select(col(Link.id)).where(col(side).in_(pages))
                ),
            )
            .order_by(col(Link.confidence).desc(), col(other).desc())
            .limit(most)
            .subquery()
        )
        for side, other in ((Link.source_id, Link.target_id), (Link.target_id, Link.source_id))
        for status in statuses
    ]
    found = sa.union(*best).subquery()
    return (
        sa.select(found)
        .order_by(found.c.status, found.c.confidence.desc(), found.c.source_id, found.c.target_id)
        .limit(most)
    )


def _edge_of(status: LinkStatus) -> list[Any]:
    """The columns of an edge, with the status it had then, which may be another one today."""
    then = sa.literal(status, choice(LinkStatus)).label("status")
    return [then if name == "status" else getattr(Link, name) for name in _EDGE]


def _in_span(
    status: LinkStatus, since: bool, before: bool, among: sa.Select[Any]
) -> list[sa.ColumnElement[bool]]:
    return stood(
        status,
        among=among.correlate(None),
        since=sa.bindparam("since", type_=sa.DateTime) if since else None,
        before=sa.bindparam("before", type_=sa.DateTime) if before else None,
    )


_EDGE = ("source_id", "target_id", "relation", "status", "confidence")


def edges_among(
    session: Session,
    page_ids: Iterable[int],
    *,
    since: datetime | None = None,
    before: datetime | None = None,
) -> list[Any]:
    """Accepted and proposed edges with both ends among the pages, as those of `edges_around`.

    With their `weight`; `since` and `before` as in `stood`.
    """
    values: dict[str, object] = {"pages": list(page_ids)}
    values |= {"since": since} if since is not None else {}
    values |= {"before": before} if before is not None else {}
    statement = _among(since is not None, before is not None)
    return list(session.connection().execute(statement, values))


@cache
def _among(since: bool, before: bool) -> sa.Select[Any]:
    pages: sa.BindParameter[Any] = sa.bindparam("pages", expanding=True)
    found = sa.union_all(
        *(
            sa.select(*_edge_of(status), WEIGHT, col(Link.id)).where(
                # Found by their sources alone: a page that thousands link to has few of its own.
                col(Link.source_id).in_(pages),
                (col(Link.target_id) + 0).in_(pages),
                *_in_span(
                    status,
                    since,
                    before,
                    sa.select(col(Link.id)).where(col(Link.source_id).in_(pages)),
                ),
            )
            for status in _STANDING
        )
    ).subquery()
    return sa.select(*(found.c[name] for name in (*_EDGE, "weight"))).order_by(
        found.c.status, found.c.confidence.desc(), found.c.id
    )


def stood(
    status: LinkStatus,
    *,
    since: Any = None,
    before: Any = None,
    link: Any = Link,
    among: Any = None,
) -> list[Any]:
    """Conditions on links that had this status just before the moment `before`; None is now.

    What was decided or undone later counts as it stood then: the first decision since then says how
    the link was before it. With `since`, only links that came to stand from that moment on: when
    they were decided, or made if nobody did. `link` is the alias the statement knows links by; `among`
    selects the ids of the few that it is about, so that not every decision since then is read.
    """
    moment = sa.func.coalesce(col(link.decided_at), col(link.created_at))
    from_then = [moment >= since] if since is not None else []
    if before is None:
        return [col(link.status) == status, *from_then]
    later = col(Decision.link_id).is_not(None) & (col(Decision.at) >= before)
    if among is not None:
        later &= col(Decision.link_id).in_(among)
    # While a text says a link, what is decided of it does not change it.
    by_text = col(link.origin) == Origin.AUTHOR
    undecided_since = col(link.id).not_in(sa.select(col(Decision.link_id)).where(later))
    as_it_is = (col(link.status) == status) & (moment < before) & (by_text | undecided_since)
    as_it_was = (col(link.created_at) < before) & col(link.id).in_(_before_that(status, later))
    as_it_was &= ~by_text
    return [as_it_is | as_it_was, *from_then]


def _before_that(status: LinkStatus, later: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The ids of links that the first of these decisions found in this status."""
    first, undone = aliased(Decision), aliased(Decision)
    firsts = sa.select(sa.func.min(col(Decision.id))).where(later).group_by(col(Decision.link_id))
    corrected = undone.before["made"].as_string().is_not(None)
    # An undo says nothing of what it found: that is what the decision it takes back had made.
    made = sa.case(
        (corrected, LinkStatus.REJECTED.value),
        *((col(undone.verdict) == verdict, left.value) for verdict, left in STATUS.items()),
    )
    found = sa.func.coalesce(made, first.before["status"].as_string())
    return (
        sa.select(col(first.link_id))
        .outerjoin(undone, col(undone.id) == col(first.undoes_id))
        .where(col(first.id).in_(firsts), found == status.value)
    )


def propose(
    session: Session,
    *,
    source_id: int,
    target_id: int,
    relation: Relation,
    confidence: float,
    reason: str,
    evidence: list[dict[str, Any]],
    signals: list[dict[str, Any]],
    text_hash: str,
    origin: Origin,
    now: datetime,
    role: Role | None = None,
    note: str = "",
    day: str = "",
    question_id: int | None = None,
    resembles: Sequence[int] = (),
    returns: Returned | None = None,
    among: Mapping[tuple[int, int], Link] | None = None,
) -> bool:
    """Put a proposal in the queue; True when it was not there before.

    A proposal that still waits is brought up to date instead of being made twice. What is linked,
    decided or a page with itself is left as it is; only a rejected pair `returns`, on new evidence,
    when it still stands as it was looked at. `resembles` are the pages it is most like; role, note
    and day are those of a member of a thread, `question_id` what an answer answers. Who proposes many names what the pages have, `among`
    the links of `standing`: no statement for each.
    """
    if source_id == target_id:
        return False
    if among is None:
        link = between(session, source_id, target_id, relation)
    else:
        link = among.get((source_id, target_id))
    new = link is None
    if link is None:
        link = Link(
            source_id=source_id,
            target_id=target_id,
            relation=relation,
            status=LinkStatus.PROPOSED,
            origin=origin,
            created_at=now,
        )
        bump(session)
    elif link.status == LinkStatus.REJECTED:
        if returns is None or rejection(link) != returns.since:
            return False
        new, link.status, link.decided_at, link.origin = True, LinkStatus.PROPOSED, None, origin
        memory = returns.memory(now, text_hash).as_json()
        link.extra = {**link.extra, REJECTION: memory, RETURNED: returns.why}
        bump(session)
    elif link.status != LinkStatus.PROPOSED:
        return False
    why = link.extra.get(RETURNED)
    link.confidence, link.reason = confidence, f"{why} {reason}" if why else reason
    link.evidence, link.signals, link.text_hash = evidence, signals, text_hash
    if SECOND_LOOK in link.extra:
        _look_still_stands(session, link)
    if link.origin == origin:  # what an import said of it is not this proposer's to take back
        link.role, link.note, link.day, link.question_id = role, note, day, question_id
    if [*resembles] != link.extra.get(RESEMBLES, []):
        link.extra = {**link.extra, RESEMBLES: [*resembles]}
    session.add(link)
    return new


# ---------------------------------------------------------------- rejected pairs

# In a link's `extra`.
RESEMBLES = "resembles"  # ids of pages the source is most like, the nearest first
REJECTION = "rejection"  # a Rejection: what is remembered of a pair that was rejected
MEMBER = "member"  # in what a decision remembers: role, note and day of a member as they were
RETURNED = "returned"  # the sentence that says why a rejected pair waits again
SECOND_LOOK = "second look"  # a SecondLook: what a model said of a pair the linker was unsure of
OWN = frozenset((RESEMBLES, REJECTION, RETURNED, SECOND_LOOK))  # what no import may say


def second_look(link: Link) -> SecondLook | None:
    """What a model said of the pair."""
    return SecondLook.parse(link.extra.get(SECOND_LOOK))


def sway(session: Session, link: Link, look: SecondLook) -> None:
    """Move a proposal, as the linker made it, by what a second look said."""
    link.extra = {**link.extra, SECOND_LOOK: look.as_json()}
    link.confidence, link.reason = look.moved, f"{link.reason} {look.words}".strip()
    if look.signal:
        parts = [*link.signals, look.signal]
        link.signals = sorted(parts, key=lambda part: -float(part.get("value") or 0))
    session.add(link)


def _look_still_stands(session: Session, link: Link) -> None:
    """A proposal made anew keeps its second look on the same texts; on others it is forgotten."""
    look, concept = second_look(link), session.get(PageText, link.target_id)
    stands = look and concept and (look.paper, look.concept) == (link.text_hash, concept.hash)
    if look and stands:
        sway(session, link, replace(look, confidence=link.confidence))
        return
    link.extra = {key: value for key, value in link.extra.items() if key != SECOND_LOOK}


def rejection(link: Link) -> Rejection | None:
    """What is remembered of a pair that was ever rejected."""
    return Rejection.parse(link.extra.get(REJECTION))


def has_returned(link: Link) -> bool:
    """Whether a link waits although it was rejected: there is new evidence."""
    return link.status == LinkStatus.PROPOSED and RETURNED in link.extra


def reject(session: Session, link: Link, *, at: datetime) -> None:
    """Make a link a rejected one: the one place where that happens, whoever decides.

    What the pair is like now is remembered with it, so that it returns on new evidence alone.
    """
    link.status, link.decided_at = LinkStatus.REJECTED, at
    remember(session, link, at=at)


def remember(session: Session, link: Link, *, at: datetime) -> None:
    """Note of a rejected link what its paper says of the concept, added to what is known."""
    text = session.get(PageText, link.source_id)
    target = session.get(Page, link.target_id)
    names = session.exec(
        select(Alias.name).where(Alias.page_id == link.target_id, Alias.kind == AliasKind.NAME)
    )
    said: Mapping[str, str] = {}
    if text is not None and target is not None:
        said = names_said(PaperText(text.page_id, text.title, text.text), [target.title, *names])
    known = rejection(link) or Rejection(at, "", frozenset())
    look = second_look(link)  # a pair returns when the linker itself is surer
    sure = look.confidence if look else link.confidence if link.origin == Origin.LINKER else None
    memory = known.after(text.hash if text else "", said, sure, at=at, weighed=at)
    kept = {key: value for key, value in link.extra.items() if key != RETURNED}
    link.extra = {**kept, REJECTION: memory.as_json()}
    session.add(link)


def as_it_stands(link: Link) -> dict[str, Any]:
    """How a link stands before it is decided, for `put_back`."""
    return {
        "status": link.status.value,
        "decided_at": link.decided_at.isoformat() if link.decided_at else None,
        "memory": {key: link.extra[key] for key in (REJECTION, RETURNED) if key in link.extra},
    }


def as_a_member(link: Link) -> dict[str, Any]:
    """The same with what is said of a member of a thread: role, note and day."""
    said = {"role": link.role.value if link.role else None, "note": link.note, "day": link.day}
    return {**as_it_stands(link), MEMBER: said}


def put_back(session: Session, link: Link, before: Mapping[str, Any]) -> None:
    """Let a link stand again as `as_it_stands` found it."""
    came_back = str(link.extra.get(RETURNED) or "")
    kept = {key: value for key, value in link.extra.items() if key not in (REJECTION, RETURNED)}
    link.extra = {**kept, **before.get("memory", {})}
    if came_back and came_back != link.extra.get(RETURNED):
        link.reason = link.reason.removeprefix(came_back).lstrip()
    at = before.get("decided_at")
    link.decided_at = datetime.fromisoformat(at) if at else None
    link.status = LinkStatus(str(before["status"]))
    if (said := before.get(MEMBER)) is not None:
        link.role = Role(said["role"]) if said["role"] else None
        link.note, link.day = said["note"], said["day"]
    session.add(link)


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row as JSON takes them."""
    return {
        name: value.isoformat()
        if isinstance(value, datetime)
        else value.value
        if isinstance(value, Enum)
        else value
        for name, value in values.items()
    }


def rejected_from(session: Session, source_ids: Sequence[int], relation: Relation) -> list[Any]:
    """Rejected links from these pages: source_id, target_id, extra."""
    found: list[Any] = []
    for start in range(0, len(source_ids), _SOME):
        statement = sa.select(col(Link.source_id), col(Link.target_id), col(Link.extra)).where(
            col(Link.source_id).in_(source_ids[start : start + _SOME]),
            col(Link.relation) == relation,
            col(Link.status) == LinkStatus.REJECTED,
        )
        found += session.connection().execute(statement)
    return found


def accepted_since(
    session: Session, target_ids: Sequence[int], relation: Relation, since: datetime
) -> list[Any]:
    """Accepted links to these pages decided after a moment: source_id, target_id, decided_at."""
    found: list[Any] = []
    for start in range(0, len(target_ids), _SOME):
        statement = sa.select(col(Link.source_id), col(Link.target_id), col(Link.decided_at)).where(
            col(Link.target_id).in_(target_ids[start : start + _SOME]),
            col(Link.relation) == relation,
            col(Link.status) == LinkStatus.ACCEPTED,
            col(Link.decided_at) > since,
        )
        found += session.connection().execute(statement)
    return found


def resembled(session: Session, rows: Iterable[Any]) -> dict[int, list[dict[str, str]]]:
    """For links with `id` and `extra` the pages they resemble, as {slug, title}, by link.

    One statement for all of them, none where there is nothing to ask; pages that went, and those
    merged into another, are left out.
    """
    wanted = {row.id: _ids(row.extra.get(RESEMBLES)) for row in rows}
    known = named(session, {page_id for some in wanted.values() for page_id in some})
    return {
        link_id: [known[page_id] for page_id in some if page_id in known]
        for link_id, some in wanted.items()
    }


def named(session: Session, page_ids: Collection[int]) -> dict[int, dict[str, str]]:
    """Slug and title of those of the pages that are there."""
    ids = sorted(page_ids)
    known: dict[int, dict[str, str]] = {}
    for start in range(0, len(ids), _SOME):
        values = {"ids": ids[start : start + _SOME]}
        for row in session.connection().execute(_NAMED, values):
            known[row.id] = {"slug": row.slug, "title": row.title}
    return known


def _ids(stored: object) -> list[int]:
    """Page ids out of a link's `extra`, which an import may have filled with anything."""
    every = stored if isinstance(stored, list) else []
    return [each for each in every if type(each) is int and 0 < each <= LARGEST_ID][:10]


_NAMED = sa.select(col(Page.id), col(Page.slug), col(Page.title)).where(
    col(Page.id).in_(sa.bindparam("ids", expanding=True)), col(Page.kind).not_in(GONE)
)


def standing(
    session: Session, source_ids: Sequence[int], relation: Relation
) -> dict[tuple[int, int], Link]:
    """The links of one relation from these pages, whatever their status, by source and target."""
    found: dict[tuple[int, int], Link] = {}
    for start in range(0, len(source_ids), _SOME):
        some = source_ids[start : start + _SOME]
        statement = select(Link).where(col(Link.source_id).in_(some), Link.relation == relation)
        found |= {(link.source_id, link.target_id): link for link in session.exec(statement)}
    return found


def with_proposals(
    session: Session, source_ids: Sequence[int], *, of: Collection[Relation] = (Relation.ABOUT,)
) -> list[int]:
    """Those of the pages from which a proposal of the linker waits, of one of these relations."""
    found: list[int] = []
    for start in range(0, len(source_ids), _SOME):
        some = source_ids[start : start + _SOME]
        statement = sa.select(col(Link.source_id)).where(
            col(Link.source_id).in_(some),
            _is(LinkStatus.PROPOSED),
            col(Link.origin) == Origin.LINKER,
            col(Link.relation).in_(of),
        )
        found += session.connection().execute(statement.distinct()).scalars()
    return found


_SOME = 1_000  # pages in one statement


def withdraw_proposals(
    session: Session,
    source_id: int,
    *,
    keep: set[tuple[int, Relation]],
    of: Collection[Relation] = (Relation.ABOUT,),
) -> None:
    """Take back the linker's waiting proposals of a page that it would not make any more.

    Only of the relations `of`: each proposer answers for its own. One that a person has decided and
    put back stays: their decisions would go with it. One that had come back after a rejection is
    rejected as before.
    """
    decided = sa.exists().where(col(Decision.link_id) == col(Link.id)).correlate(Link)
    for link, has_decisions in session.exec(
        select(Link, decided).where(
            Link.source_id == source_id,
            Link.status == LinkStatus.PROPOSED,
            Link.origin == Origin.LINKER,
            col(Link.relation).in_(of),
        )
    ):
        if (link.target_id, link.relation) in keep:
            continue
        memory = rejection(link) if RETURNED in link.extra else None
        if memory is not None:
            link.status, link.decided_at = LinkStatus.REJECTED, memory.at
            link.extra = {key: value for key, value in link.extra.items() if key != RETURNED}
            session.add(link)
            bump(session)
        elif not has_decisions:
            session.delete(link)
            bump(session)
