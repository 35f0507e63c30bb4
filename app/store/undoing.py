"""Taking decisions back: what one decided stands again as it did before, and a decision says so.

Of a link, a paper or a change; where what it decided moved on since, it cannot be taken back alone.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, select

from app.domain.records import (
    Change,
    ChangeKind,
    Decision,
    LinkStatus,
    Page,
    Paper,
    PaperState,
    Verdict,
)
from app.errors import Conflict
from app.store import changes, concepts, decisions, edits, links, new_threads, papers, removal
from app.store.pages import PERSON

PAPER_STATE = {
    Verdict.KEEP: PaperState.KEPT,
    Verdict.DROP: PaperState.DROPPED,
    Verdict.DEFER: PaperState.DEFERRED,
}


LOST = "lost"  # in `before`: the wiki was rebuilt from its vault, and no file says what it did


def take_back(session: Session, decision: Decision, *, now: datetime, batch: str) -> None:
    """Undo one decision. Raises Conflict, in words, when what it decided moved on since."""
    if LOST in decision.before:
        raise Conflict(
            "This was decided before the wiki was rebuilt from its vault, whose files do not say what "
            "it changed: it cannot be undone. Decide anew what you want otherwise."
        )
    if decision.link_id is not None:
        decisions.take_back_link(session, decision, now=now, batch=batch)
        return
    if decision.change_id is not None:
        _restore_change(session, decision, now=now)
    elif decision.paper_id is not None:
        _restore_paper(session, decision)
    decisions.undone(session, decision, now=now, batch=batch)


def _restore_change(session: Session, decision: Decision, *, now: datetime) -> None:
    change_id = decision.change_id or 0
    change = changes.get(session, change_id)
    if change.status != links.STATUS[decision.verdict]:
        raise Conflict("This proposal was decided again since. Undo the later decision first.")
    did, before = decision.before.get("did"), dict(decision.before)
    if did is not None:
        later = _later(session, change, decision)
        if later is not None:
            raise Conflict(
                f"The same page was changed again since ({later.title}). Undo that first."
            )
        source, target = (
            session.get(Page, page_id) if page_id else None
            for page_id in (change.source_id, change.target_id)
        )
        match change.kind:
            case ChangeKind.CONCEPT:
                page = session.get(Page, did["page"])
                if page is not None:
                    concepts.take_page(session, page, but=did["links"], now=now)
            case ChangeKind.MERGE:
                if source is None or target is None:
                    raise Conflict("One of the two pages is gone: this cannot be undone.")
                concepts.unmerge(session, source, target, did, author=PERSON, now=now)
            case ChangeKind.SPLIT:
                if source is None:
                    raise Conflict("The page that was split is gone: this cannot be undone.")
                concepts.unsplit(session, source, did, author=PERSON, now=now)
            case ChangeKind.THREAD:
                new_threads.take_back(session, did, now=now)
            case ChangeKind.EDIT:
                edits.take_back(session, change, did, now=now)
            case ChangeKind.REMOVE:
                removal.put_back(session, change, now=now)
    change = changes.get(session, change_id)
    if before.get("swapped"):
        change.source_id, change.target_id = change.target_id, change.source_id
    if "content" in before:
        change.content = {**change.content, **before["content"]}
    change.status = LinkStatus(str(before["status"]))
    at = before.get("decided_at")
    change.decided_at = datetime.fromisoformat(at) if at else None
    session.add(change)
    session.flush()


def _later(session: Session, change: Change, decision: Decision) -> Change | None:
    """A merge or split of the same concepts that was accepted after this decision and stands."""
    pair = [each for each in (change.source_id, change.target_id) if each is not None]
    if change.kind == ChangeKind.CONCEPT:
        pair = [decision.before["did"]["page"]]
    return session.exec(
        select(Change)
        .join(Decision, col(Decision.change_id) == col(Change.id))
        .where(
            Change.id != change.id,
            col(Change.kind).in_([ChangeKind.MERGE, ChangeKind.SPLIT]),
            Change.status == LinkStatus.ACCEPTED,
            col(Change.source_id).in_(pair) | col(Change.target_id).in_(pair),
            Decision.verdict == Verdict.ACCEPT,
            col(Decision.undone).is_(False),
            col(Decision.undoes_id).is_(None),
            col(Decision.id) > decision.id,
        )
        .order_by(col(Decision.id).desc())
    ).first()


def _restore_paper(session: Session, decision: Decision) -> None:
    paper = session.get(Paper, decision.paper_id)
    if paper is None or paper.state != PAPER_STATE[decision.verdict]:
        raise Conflict("This paper was decided again since. Undo the later decision first.")
    made_page = decision.verdict == Verdict.KEEP and decision.before.get("page") is None
    if made_page and not papers.take_page(session, paper):
        raise Conflict(
            "The page of this paper has been worked on since. It stays; remove its links first."
        )
    paper.state = PaperState(str(decision.before["state"]))
    session.add(paper)
