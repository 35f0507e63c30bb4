"""Review: a person decides what a machine proposed, and may take every decision back.

A decision is a row that is only added to; an undo is a decision too. Links are decided from
`proposed` (or `deferred`) alone: whatever was decided elsewhere meanwhile is a Conflict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlmodel import Session, col, select

from app.domain.records import (
    Decision,
    Link,
    LinkStatus,
    Origin,
    Paper,
    PaperState,
    Relation,
    Verdict,
)
from app.errors import Conflict, Invalid, NotFound
from app.store import decisions, links, pages, papers
from app.store.db import LARGEST_ID, bump

_LINK_STATUS = {
    Verdict.ACCEPT: LinkStatus.ACCEPTED,
    Verdict.REJECT: LinkStatus.REJECTED,
    Verdict.DEFER: LinkStatus.DEFERRED,
}
_PAPER_STATE = {
    Verdict.KEEP: PaperState.KEPT,
    Verdict.DROP: PaperState.DROPPED,
    Verdict.DEFER: PaperState.DEFERRED,
}
MAX_BULK = 500


@dataclass(frozen=True)
class Decided:
    """What one action decided: its decisions, the batch that undoes them as one, what refused."""

    decisions: tuple[Decision, ...]
    batch: str
    refused: tuple[str, ...] = ()


def verdict(word: str, *, of: str) -> Verdict:
    """Read a verdict on a link (accept, reject, defer) or a paper (keep, drop, defer).

    Raises Invalid, naming the words there are.
    """
    table: Sequence[Verdict] = list(_LINK_STATUS if of == "link" else _PAPER_STATE)
    for known in table:
        if known.value == word.strip().lower():
            return known
    raise Invalid(f"{word!r} is no decision. Use {', '.join(v.value for v in table)}.")


def decide(
    session: Session,
    link_id: int,
    verdict: Verdict,
    *,
    now: datetime,
    reason: str = "",
    relation: Relation | None = None,
    target: str = "",
    who: str = "person",
    batch: str = "",
) -> Decision:
    """Decide one proposed link; with another `relation` or `target`, accept that one instead.

    Raises NotFound for no such proposal or target, Conflict when it was decided elsewhere.
    """
    link = links.get(session, link_id)
    if link.status not in (LinkStatus.PROPOSED, LinkStatus.DEFERRED):
        raise Conflict(
            f"This was decided already: it is {link.status.value}. Undo that decision first."
        )
    status = _LINK_STATUS[verdict]
    before: dict[str, object] = {"status": link.status.value}
    if status == LinkStatus.ACCEPTED:
        made = _changed(session, link, relation=relation, target=target, now=now)
        if made is not None:
            before["made"] = made.id
            status = LinkStatus.REJECTED
    link.status, link.decided_at = status, now
    session.add(link)
    decision = Decision(
        at=now,
        who=who,
        verdict=verdict,
        link_id=link.id,
        reason=reason.strip()[:1000],
        before=before,
        batch=batch or uuid4().hex,
    )
    session.add(decision)
    session.flush()
    bump(session)
    return decision


def _changed(
    session: Session, link: Link, *, relation: Relation | None, target: str, now: datetime
) -> Link | None:
    """The link a person meant instead, accepted; None when the proposal itself is meant.

    The proposal then counts as rejected, so that it is not made again.
    """
    target_id = link.target_id
    if target.strip():
        found = pages.named(session, target)
        if found is None:
            raise NotFound(f"There is no page called {target.strip()!r} to link to.")
        target_id = found.id
    wanted = relation or link.relation
    if (target_id, wanted) == (link.target_id, link.relation):
        return None
    if target_id == link.source_id:
        raise Invalid("A page cannot be linked to itself.")
    standing = links.between(session, link.source_id, target_id, wanted)
    if standing is not None:
        raise Conflict(_STANDS[standing.status])
    return links.add(
        session,
        Link(
            source_id=link.source_id,
            target_id=target_id,
            relation=wanted,
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


def decide_many(
    session: Session,
    link_ids: Sequence[int],
    verdict: Verdict,
    *,
    now: datetime,
    reason: str = "",
    who: str = "person",
) -> Decided:
    """Decide several links as one action: one decision each, one undo for all.

    What was decided elsewhere is left as it stands and named in `refused`.
    """
    if len(link_ids) > MAX_BULK:
        raise Invalid(f"At most {MAX_BULK} links can be decided at once.")
    batch, made, refused = uuid4().hex, [], []
    for link_id in dict.fromkeys(link_ids):
        try:
            made.append(
                decide(session, link_id, verdict, now=now, reason=reason, who=who, batch=batch)
            )
        except (Conflict, NotFound) as error:
            refused.append(f"{link_id}: {error}")
    return Decided(tuple(made), batch, tuple(refused))


def decide_paper(
    session: Session,
    paper_id: int,
    verdict: Verdict,
    *,
    now: datetime,
    reason: str = "",
    who: str = "person",
    batch: str = "",
) -> Decision:
    """Keep, drop or put off a paper of the Inbox. A kept paper gets its page.

    Raises NotFound, or Conflict when it was decided elsewhere.
    """
    paper = session.get(Paper, paper_id) if 0 < paper_id <= LARGEST_ID else None
    if paper is None:
        raise NotFound(f"There is no paper {paper_id}.")
    state = _PAPER_STATE[verdict]
    if paper.state not in (PaperState.WAITING, PaperState.DEFERRED):
        raise Conflict(f"This paper was decided already: it is {paper.state.value}.")
    before: dict[str, object] = {"state": paper.state.value, "page": paper.page_id}
    if state == PaperState.KEPT:
        papers.give_page(session, paper, now=now)
    paper.state = state
    session.add(paper)
    decision = Decision(
        at=now,
        who=who,
        verdict=verdict,
        paper_id=paper.id,
        reason=reason.strip()[:1000],
        before=before,
        batch=batch or uuid4().hex,
    )
    session.add(decision)
    session.flush()
    bump(session)
    return decision


def undo(session: Session, decision_id: int | None, *, now: datetime) -> Decided:
    """Take back a decision and all others of the same action; without an id, the last action.

    Raises NotFound, or Conflict when it was undone already or what it decided moved on since.
    """
    if decision_id is None:
        newest = decisions.newest_standing(session)
        if newest is None:
            raise NotFound("There is no decision to undo.")
    else:
        newest = decisions.get(session, decision_id)
        if newest.undone or newest.undoes_id is not None:
            raise Conflict("That decision was undone already.")
    batch = uuid4().hex
    taken_back = decisions.of_batch(session, newest.batch) if newest.batch else [newest]
    for decision in taken_back:
        _take_back(session, decision)
        decision.undone = True
        session.add(decision)
        session.add(
            Decision(
                at=now,
                verdict=decision.verdict,
                link_id=decision.link_id,
                paper_id=decision.paper_id,
                before={},
                batch=batch,
                undoes_id=decision.id,
            )
        )
    session.flush()
    bump(session)
    return Decided(tuple(taken_back), newest.batch)


def _take_back(session: Session, decision: Decision) -> None:
    if decision.link_id is not None:
        _restore_link(session, decision)
    elif decision.paper_id is not None:
        _restore_paper(session, decision)


def _restore_link(session: Session, decision: Decision) -> None:
    assert decision.link_id is not None
    link = links.get(session, decision.link_id)
    made_id = decision.before.get("made")
    expected = LinkStatus.REJECTED if made_id is not None else _LINK_STATUS[decision.verdict]
    if link.origin == Origin.AUTHOR:
        return  # the text of the page says it now, whatever was decided
    if link.status != expected:
        raise Conflict("This link was decided again since. Undo the later decision first.")
    made = session.get(Link, made_id) if made_id is not None else None
    if made is not None and made.origin != Origin.AUTHOR:  # unless the text says it meanwhile
        session.delete(made)
    link.status = LinkStatus(str(decision.before["status"]))
    link.decided_at = None
    session.add(link)


def _restore_paper(session: Session, decision: Decision) -> None:
    paper = session.get(Paper, decision.paper_id)
    if paper is None or paper.state != _PAPER_STATE[decision.verdict]:
        raise Conflict("This paper was decided again since. Undo the later decision first.")
    made_page = decision.verdict == Verdict.KEEP and decision.before.get("page") is None
    if made_page and not papers.take_page(session, paper):
        raise Conflict(
            "The page of this paper has been worked on since. It stays; remove its links first."
        )
    paper.state = PaperState(str(decision.before["state"]))
    session.add(paper)


def accepted_share(session: Session, confidence: float, *, last: int = 200) -> tuple[int, int]:
    """Of the last decided links proposed at about this confidence: (accepted, decided)."""
    rows = session.exec(
        select(Link.status)
        .join(Decision, col(Decision.link_id) == col(Link.id))
        .where(
            col(Decision.undone).is_(False),
            col(Decision.undoes_id).is_(None),
            col(Decision.verdict).in_([Verdict.ACCEPT, Verdict.REJECT]),
            col(Link.confidence).between(confidence - 0.1, confidence + 0.1),
        )
        .order_by(col(Decision.id).desc())
        .limit(last)
    ).all()
    return sum(status == LinkStatus.ACCEPTED for status in rows), len(rows)
