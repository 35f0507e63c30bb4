"""Decisions: making one about a link, what was decided, what it undid, how a link stands by them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.domain.records import (
    Change,
    Decision,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    Paper,
    Relation,
    Verdict,
)
from app.errors import Conflict, Invalid, NotFound
from app.store import links, record
from app.store.db import LARGEST_ID, bump
from app.store.links import STATUS


def decide_link(
    session: Session,
    link: Link,
    verdict: Verdict,
    *,
    now: datetime,
    who: str = "person",
    batch: str = "",
    reason: str = "",
    relation: Relation | None = None,
    target_id: int | None = None,
) -> Decision:
    """Decide one proposed link: the one place where a proposal becomes accepted or rejected.

    With another `relation` or `target_id` that link is accepted instead, and the proposal counts
    as rejected. Decisions of one action share a `batch`. Raises Conflict when it was decided.
    """
    if link.status not in (LinkStatus.PROPOSED, LinkStatus.DEFERRED):
        raise Conflict(
            f"This was decided already: it is {link.status.value}. Undo that decision first."
        )
    status = STATUS[verdict]
    before = links.as_it_stands(link)
    if status == LinkStatus.ACCEPTED:
        made = _changed(session, link, relation=relation, target_id=target_id, now=now)
        if made is not None:
            before["made"] = made.id
            status = LinkStatus.REJECTED
    if status == LinkStatus.REJECTED:
        links.reject(session, link, at=now)
    else:
        link.status, link.decided_at = status, now
        session.add(link)
    counts = link.origin == Origin.LINKER and verdict in (Verdict.ACCEPT, Verdict.REJECT)
    if counts and links.rejection(link) is not None:
        _supersede(session, link.id or 0)
    decision = Decision(
        at=now,
        who=who,
        verdict=verdict,
        link_id=link.id,
        reason=reason.strip()[:1000],
        before=before,
        batch=batch or uuid4().hex,
        agreed=status == LinkStatus.ACCEPTED if counts else None,
        confidence=link.confidence if counts else None,
        signal=_strongest(link) if counts else "",
        kind=link.relation.value if counts else "",
        concept_id=link.target_id if counts else None,
    )
    session.add(decision)
    session.flush()
    bump(session)
    return decision


def _changed(
    session: Session,
    link: Link,
    *,
    relation: Relation | None,
    target_id: int | None,
    now: datetime,
) -> Link | None:
    """The link a person meant instead, accepted; None when the proposal itself is meant.

    The proposal then counts as rejected, so that it is not made again.
    """
    target_id = target_id or link.target_id
    wanted = relation or link.relation
    if (target_id, wanted) == (link.target_id, link.relation):
        return None
    if target_id == link.source_id:
        raise Invalid("A page cannot be linked to itself.")
    standing = links.between(session, link.source_id, target_id, wanted)
    if standing is not None:
        raise Conflict(_STANDS[standing.status])
    member = link.relation == wanted == Relation.PART_OF
    return links.add(
        session,
        Link(
            source_id=link.source_id,
            target_id=target_id,
            relation=wanted,
            # Of another thread it is a member of the same day; role and line were of the first one.
            day=link.day if member else "",
            status=LinkStatus.ACCEPTED,
            origin=Origin.LINKER,
            confidence=1.0,
            reason="changed in review",
            evidence=link.evidence,
            created_at=now,
            decided_at=now,
        ),
    )


_STANDS = {
    LinkStatus.ACCEPTED: "The two pages are linked that way already.",
    LinkStatus.REJECTED: "That link was rejected before. Undo that decision first.",
    LinkStatus.PROPOSED: "That link has been proposed itself. Decide it where it stands.",
    LinkStatus.DEFERRED: "That link has been proposed itself and put off. Decide it where it stands.",
}


def _strongest(link: Link) -> str:
    """The name of the signal that spoke strongest for a proposal, "" where none is stored."""
    return str(link.signals[0].get("name", "")) if link.signals else ""


def _supersede(session: Session, link_id: int) -> None:
    """A pair that returned is decided anew: what was decided before counts no more."""
    for earlier in session.exec(_counted(link_id)):
        earlier.superseded = True
        session.add(earlier)


def _counted(link_id: int) -> Any:
    """Selects the decisions about a link that stand and are of the linker's record, newest first."""
    return (
        select(Decision)
        .where(
            Decision.link_id == link_id,
            col(Decision.agreed).is_not(None),
            col(Decision.undone).is_(False),
        )
        .order_by(col(Decision.id).desc())
    )


def put_in(
    session: Session,
    source_id: int,
    target_id: int,
    relation: Relation,
    *,
    now: datetime,
    reason: str,
    who: str = "person",
    batch: str = "",
) -> Decision | None:
    """Link two pages because a person says so; None when they are linked that way already.

    One that waits in Review is accepted, one that was rejected comes back.
    """
    link = links.between(session, source_id, target_id, relation)
    if link is not None and link.status == LinkStatus.ACCEPTED:
        return None
    if link is not None and link.status != LinkStatus.REJECTED:
        return decide_link(
            session, link, Verdict.ACCEPT, now=now, who=who, batch=batch, reason=reason
        )
    if link is None:
        # As rejected: taken back, it waits nowhere.
        link = Link(
            source_id=source_id,
            target_id=target_id,
            relation=relation,
            status=LinkStatus.REJECTED,
            origin=Origin.AGENT,
            reason=reason,
            created_at=now,
        )
        session.add(link)
        session.flush()
    before = links.as_a_member(link)
    link.status, link.decided_at = LinkStatus.ACCEPTED, now
    return said(session, link, Verdict.ACCEPT, before, now=now, reason=reason, who=who, batch=batch)


def take_out(
    session: Session,
    link: Link,
    *,
    now: datetime,
    reason: str,
    who: str = "person",
    batch: str = "",
) -> Decision:
    """Reject an accepted link. It is proposed again on new evidence alone.

    Raises Conflict when the text of its page says it: it is taken out there.
    """
    if link.origin == Origin.AUTHOR:
        raise Conflict("The text of that page itself says so. Edit it there.")
    before = links.as_a_member(link)
    links.reject(session, link, at=now)
    return said(session, link, Verdict.REJECT, before, now=now, reason=reason, who=who, batch=batch)


def said(
    session: Session,
    link: Link,
    verdict: Verdict,
    before: dict[str, Any],
    *,
    now: datetime,
    reason: str,
    who: str = "person",
    batch: str = "",
) -> Decision:
    """Note what a person said of a link that waited for nobody; `before` is how it stood."""
    session.add(link)
    decision = Decision(
        at=now,
        who=who,
        verdict=verdict,
        link_id=link.id,
        reason=reason[:1000],
        before=before,
        batch=batch or uuid4().hex,
    )
    session.add(decision)
    session.flush()
    bump(session)
    return decision


def take_back_link(
    session: Session, decision: Decision, *, now: datetime, batch: str, who: str = "person"
) -> None:
    """Undo one decision about a link: as it stood before, and a decision that says so.

    Raises Conflict when the link was decided again since.
    """
    took = _restore_link(session, decision)
    undo = undone(session, decision, now=now, batch=batch, who=who)
    if took is not None:
        undo.before = {TOOK: took}  # or nobody could tell that it stood for a while
        session.add(undo)
    if decision.agreed is not None:
        session.flush()
        earlier = session.exec(_counted(decision.link_id or 0)).first()
        if earlier is not None and earlier.superseded:
            earlier.superseded = False
            session.add(earlier)


TOOK = "took"  # in `before` of an undo: the link that a correction had made, which it took away


def _restore_link(session: Session, decision: Decision) -> dict[str, Any] | None:
    """Let a link stand as before; the row of one that a correction had made, which goes."""
    link = links.get(session, decision.link_id or 0)
    made_id = decision.before.get("made")
    expected = LinkStatus.REJECTED if made_id is not None else STATUS[decision.verdict]
    if link.origin == Origin.AUTHOR:
        return None  # the text of the page says it now, whatever was decided
    came_back = links.has_returned(link) and expected == LinkStatus.REJECTED
    newest = newest_of(session, link.id or 0)
    overtaken = newest is not None and newest.id != decision.id
    for page_id in (link.source_id, link.target_id):
        page = session.get_one(Page, page_id)
        if page.kind == PageKind.REMOVED:
            raise Conflict(f"{page.title} was removed since. Put it back first.")
    if overtaken or (link.status != expected and not came_back):
        raise Conflict("This link was decided again since. Undo the later decision first.")
    made = session.get(Link, made_id) if made_id is not None else None
    took = None
    if made is not None and made.origin != Origin.AUTHOR:  # unless the text says it meanwhile
        took = links.plain(made.model_dump())
        session.delete(made)
    links.put_back(session, link, decision.before)
    return took


def undone(
    session: Session,
    decision: Decision,
    *,
    now: datetime,
    batch: str,
    who: str = "person",
    reason: str = "",
) -> Decision:
    """Mark a decision as undone, by one more decision; what it decided is put back elsewhere."""
    decision.undone = True
    session.add(decision)
    undo = Decision(
        at=now,
        who=who,
        verdict=decision.verdict,
        link_id=decision.link_id,
        paper_id=decision.paper_id,
        change_id=decision.change_id,
        reason=reason,
        before={},
        batch=batch,
        undoes_id=decision.id,
    )
    session.add(undo)
    session.flush()
    return undo


def newest_of(session: Session, link_id: int) -> Decision | None:
    """The newest decision about a link that was not undone."""
    return session.exec(
        select(Decision)
        .where(
            Decision.link_id == link_id,
            col(Decision.undone).is_(False),
            col(Decision.undoes_id).is_(None),
        )
        .order_by(col(Decision.id).desc())
    ).first()


def standing_status(session: Session, link_id: int) -> LinkStatus | None:
    """How the newest decision that was not undone leaves a link; None when there is none."""
    newest = newest_of(session, link_id)
    if newest is not None and newest.before.get("made") is not None:
        return LinkStatus.REJECTED  # corrected: another link stands in its place
    return STATUS.get(newest.verdict) if newest else None


def last(
    session: Session, *, link_id: int | None = None, paper_id: int | None = None, who: str = ""
) -> Decision | None:
    """The last word on a link or a paper, an undo included; with `who`, the last of theirs."""
    statement = select(Decision).where(
        Decision.link_id == link_id, Decision.paper_id == paper_id, col(Decision.undone).is_(False)
    )
    if who:
        statement = statement.where(Decision.who == who)
    return session.exec(statement.order_by(col(Decision.id).desc())).first()


def get(session: Session, decision_id: int) -> Decision:
    found = session.get(Decision, decision_id) if 0 < decision_id <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"There is no decision {decision_id}.")
    return found


def newest_standing(session: Session) -> Decision | None:
    """The last decision that can still be undone."""
    return session.exec(
        select(Decision)
        .where(col(Decision.undone).is_(False), col(Decision.undoes_id).is_(None))
        .order_by(col(Decision.id).desc())
    ).first()


def of_batch(session: Session, batch: str) -> list[Decision]:
    """Decisions made by one action and not undone yet, newest first."""
    return list(
        session.exec(
            select(Decision)
            .where(Decision.batch == batch, col(Decision.undone).is_(False))
            .where(col(Decision.undoes_id).is_(None))
            .order_by(col(Decision.id).desc())
        )
    )


@dataclass(frozen=True)
class Only:
    """Which decisions to list; what is left empty narrows nothing.

    `who` decided. The others keep decisions of the linker's record: with a confidence from `start`
    up to `end` (1 included), of a strongest `signal`, a `kind`, a concept, a week that begins on
    `monday`; that `agreed` or did not.
    """

    who: str = ""
    start: float | None = None
    end: float | None = None
    signal: str | None = None
    kind: str = ""
    concept_id: int | None = None
    monday: date | None = None
    agreed: bool | None = None

    def conditions(self) -> list[Any]:
        """As conditions of a statement."""
        sure = col(Decision.confidence)
        # Few are of one concept or week: an index finds them. Of what many are, the newest are found
        # sooner by walking down from the newest; the added "" keeps the planner from an index.
        few = self.concept_id is not None or self.monday is not None
        decider = col(Decision.who) if few else col(Decision.who) + ""
        found: list[Any] = [decider == self.who] if self.who else []
        counted: list[Any] = []
        counted += [sure >= self.start] if self.start is not None else []
        if self.end is not None:
            counted.append(sure <= self.end if self.end >= 1 else sure < self.end)
        counted += [col(Decision.signal) == self.signal] if self.signal is not None else []
        counted += [col(Decision.kind) == self.kind] if self.kind else []
        counted += [col(Decision.concept_id) == self.concept_id] if self.concept_id else []
        counted += record.during(self.monday) if self.monday else []
        counted += [col(Decision.agreed).is_(self.agreed)] if self.agreed is not None else []
        return [*found, record.COUNTS, *counted] if counted else found


def recent(
    session: Session, *, limit: int = 100, before: int = 0, only: Only | None = None
) -> list[Any]:
    """The newest decisions with what they were about, one row each, newest first.

    Rows: id, at, who, verdict, reason, undone, batch, relation, change_kind, change_title,
    source_slug, source_title, source_kind, target_slug, target_title, target_kind, paper_title,
    paper_slug. `before` is the id of the last one shown.
    """
    values = {"before": before or LARGEST_ID, "limit": limit}
    statement = _recent()
    if only is not None:
        # Their ids first: thousands may match, and only those shown are joined with pages.
        chosen = (
            sa.select(col(Decision.id))
            .where(
                col(Decision.undoes_id).is_(None),
                col(Decision.id) < sa.bindparam("before"),
                *only.conditions(),
            )
            .order_by(col(Decision.id).desc())
            .limit(sa.bindparam("limit"))
        )
        statement = statement.where(col(Decision.id).in_(sa.select(chosen.subquery())))
    return list(session.connection().execute(statement, values))


@cache
def _recent() -> Any:
    return (
        told("id", "at", "who", "verdict", "reason", "undone", "batch")
        .where(col(Decision.undoes_id).is_(None), col(Decision.id) < sa.bindparam("before"))
        .order_by(col(Decision.id).desc())
        .limit(sa.bindparam("limit"))
    )


def told(*names: str) -> Any:
    """Selects these columns of decisions, and beside them what each was about.

    relation of a link; change_kind, change_key, change_title; source_slug, source_title, source_kind
    and target_… of the pages of either; paper_title, and paper_slug of its page. None where it has none.
    """
    source, target, kept = aliased(Page), aliased(Page), aliased(Page)
    return (
        sa.select(
            *(col(getattr(Decision, name)) for name in names),
            col(Link.relation),
            col(Change.kind).label("change_kind"),
            col(Change.key).label("change_key"),
            col(Change.title).label("change_title"),
            col(source.slug).label("source_slug"),
            col(source.title).label("source_title"),
            col(source.kind).label("source_kind"),
            col(target.slug).label("target_slug"),
            col(target.title).label("target_title"),
            col(target.kind).label("target_kind"),
            col(Paper.title).label("paper_title"),
            col(kept.slug).label("paper_slug"),
        )
        .select_from(Decision)
        .outerjoin(Link, col(Link.id) == col(Decision.link_id))
        .outerjoin(Change, col(Change.id) == col(Decision.change_id))
        .outerjoin(
            source, col(source.id) == sa.func.coalesce(col(Link.source_id), col(Change.source_id))
        )
        .outerjoin(
            target, col(target.id) == sa.func.coalesce(col(Link.target_id), col(Change.target_id))
        )
        .outerjoin(Paper, col(Paper.id) == col(Decision.paper_id))
        .outerjoin(kept, col(kept.id) == col(Paper.page_id))
    )


def standing_in(session: Session, batches: Collection[str]) -> dict[str, int]:
    """How many decisions of each batch still stand: those that one undo would take back."""
    rows = session.connection().execute(
        sa.select(col(Decision.batch), sa.func.count())
        .where(
            col(Decision.batch).in_(list(batches)),
            col(Decision.undone).is_(False),
            col(Decision.undoes_id).is_(None),
        )
        .group_by(col(Decision.batch))
    )
    return dict(rows.all())


def verdicts_since(session: Session, moment: datetime) -> dict[Verdict, int]:
    """How many proposals were decided each way from then on, what was undone left out."""
    rows = session.connection().execute(
        sa.select(col(Decision.verdict), sa.func.count())
        .where(
            col(Decision.at) >= moment,
            col(Decision.paper_id).is_(None),
            col(Decision.undone).is_(False),
            col(Decision.undoes_id).is_(None),
        )
        .group_by(col(Decision.verdict))
    )
    return dict(rows.all())
