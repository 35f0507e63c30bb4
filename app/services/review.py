"""Review: a person decides what a machine proposed, and may take every decision back.

A decision is a row that is only added to; an undo is a decision too. Proposals are decided from
`proposed` (or `deferred`) alone: whatever was decided elsewhere meanwhile is a Conflict.

A proposed link is named by its number, a change by "c" and its number. What accepting a change
writes stands in its `content`: of a new concept {"aliases", "body", "members" (ids of papers)}, of
a split {"title", "aliases", "members", and of a thread "claim"}, of an edit see store/edits.py; of a
new thread {"claim", "claim_from" (the paper whose sentence it is), "members" ({page, role, line,
day} each), "concepts"}; a merge needs none, its source
goes into its target.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlmodel import Session, col, select

from app.domain import summaries
from app.domain.records import (
    AuthorKind,
    Change,
    ChangeKind,
    Decision,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    Paper,
    PaperState,
    Relation,
    Verdict,
)
from app.errors import Conflict, Invalid, NotFound
from app.store import (
    changes,
    concepts,
    decisions,
    edits,
    links,
    new_threads,
    pages,
    papers,
    undoing,
)
from app.store.db import LARGEST_ID, bump
from app.store.pages import PERSON, Author, Content

_PAPER_STATE = undoing.PAPER_STATE
MAX_BULK = 500
MAX_CLAIM = 1_000  # characters of a thread's claim
MAX_PAPERS = 5_000  # that one action decides: a day has some hundreds, or a thousand


@dataclass(frozen=True)
class Decided:
    """What one action decided: its decisions, the batch that undoes them as one, what refused."""

    decisions: tuple[Decision, ...]
    batch: str
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reference:
    """Which proposal is meant: "7" is a link, "c7" a change."""

    number: int
    change: bool = False

    def __str__(self) -> str:
        return f"c{self.number}" if self.change else str(self.number)


_REFERENCE = re.compile(r"([cC]?)(\d{1,50})", re.ASCII)


def reference(text: str | int) -> Reference:
    """Read the name of a proposal. Raises Invalid for what is none."""
    if isinstance(text, int):
        return Reference(text)
    found = _REFERENCE.fullmatch(text.strip())
    if found is None:
        raise Invalid(
            f"{text[:40]!r} names no proposal. Give a link by its number, as in 7, "
            "or a change by c and its number, as in c7."
        )
    return Reference(int(found[2]), change=bool(found[1]))


def reference_of(decision: Decision) -> Reference | None:
    """The proposal that a decision was about; None when it was about a paper."""
    if decision.change_id is not None:
        return Reference(decision.change_id, change=True)
    return Reference(decision.link_id) if decision.link_id is not None else None


def verdict(word: str, *, of: str) -> Verdict:
    """Read a verdict on a proposal (accept, reject, defer) or a paper (keep, drop, defer).

    Raises Invalid, naming the words there are.
    """
    table: Sequence[Verdict] = list(links.STATUS if of == "link" else _PAPER_STATE)
    for known in table:
        if known.value == word.strip().lower():
            return known
    raise Invalid(f"{word!r} is no decision. Use {', '.join(v.value for v in table)}.")


def decide(
    session: Session,
    proposal: str | int | Reference,
    verdict: Verdict,
    *,
    now: datetime,
    reason: str = "",
    relation: Relation | None = None,
    target: str = "",
    title: str = "",
    members: Sequence[int] | None = None,
    claim: str = "",
    swap: bool = False,
    who: str = "person",
    batch: str = "",
) -> Decision:
    """Decide one proposal. A person who accepts may change what it says.

    Of a link: another `relation` or `target`, and that one is accepted instead. Of a new concept:
    another `title`, fewer `members` (ids of papers; None: all); of a new thread its `claim` too. Of a merge: `swap`, the other of
    the two pages stays. Raises Invalid or NotFound for no such proposal, target or title, Conflict
    when it was decided elsewhere or the wiki has moved on.
    """
    which = proposal if isinstance(proposal, Reference) else reference(proposal)
    if which.change:
        change = changes.get(session, which.number)
        _check_waits(session, change)
        return _decide_change(
            session,
            change,
            verdict,
            now=now,
            reason=reason,
            title=title,
            members=members,
            claim=claim,
            swap=swap,
            who=who,
            batch=batch,
        )
    link = links.get(session, which.number)
    target_id = None
    if target.strip():
        found = pages.named(session, target)
        if found is None and verdict == Verdict.ACCEPT:
            raise NotFound(f"There is no page called {target.strip()!r} to link to.")
        target_id = found.id if found else None
    return decisions.decide_link(
        session,
        link,
        verdict,
        now=now,
        who=who,
        batch=batch,
        reason=reason,
        relation=relation,
        target_id=target_id,
    )


def _check_waits(session: Session, change: Change) -> None:
    if change.status in (LinkStatus.PROPOSED, LinkStatus.DEFERRED):
        return
    decided = select(Decision.id).where(
        Decision.change_id == change.id,
        col(Decision.undone).is_(False),
        col(Decision.undoes_id).is_(None),
    )
    if session.exec(decided).first() is None:
        raise Conflict("This waits no more: one of its pages was merged. Undo that merge first.")
    raise Conflict(
        f"This was decided already: it is {change.status.value}. Undo that decision first."
    )


def _decide_change(
    session: Session,
    change: Change,
    verdict: Verdict,
    *,
    now: datetime,
    reason: str = "",
    title: str = "",
    members: Sequence[int] | None = None,
    claim: str = "",
    swap: bool = False,
    who: str = "person",
    batch: str = "",
) -> Decision:
    before: dict[str, Any] = {
        "status": change.status.value,
        "decided_at": change.decided_at.isoformat() if change.decided_at else None,
    }
    change_id = change.id
    if verdict == Verdict.ACCEPT:
        if swap and change.kind == ChangeKind.MERGE:
            change.source_id, change.target_id = change.target_id, change.source_id
            before["swapped"] = True
        if change.kind == ChangeKind.THREAD and " ".join(claim.split()):
            _reword(change, claim, before)
        session.flush()
        accept = _ACCEPT[change.kind]
        before["did"] = accept(session, change, title=title, members=members, now=now)
    change = changes.get(session, change_id or 0)
    change.status, change.decided_at = links.STATUS[verdict], now
    session.add(change)
    counts = change.origin == Origin.LINKER and verdict in (Verdict.ACCEPT, Verdict.REJECT)
    decision = Decision(
        at=now,
        who=who,
        verdict=verdict,
        change_id=change_id,
        reason=reason.strip()[:1000],
        before=before,
        batch=batch or uuid4().hex,
        agreed=verdict == Verdict.ACCEPT if counts else None,
        confidence=change.confidence if counts else None,
        kind=change.kind.value if counts else "",
    )
    session.add(decision)
    session.flush()
    bump(session)
    return decision


def _reword(change: Change, claim: str, before: dict[str, Any]) -> None:
    """Give a proposed thread the claim that the person wrote; `before` keeps the one it had.

    Raises Invalid for one that is too long.
    """
    words = " ".join(claim.split())
    if len(words) > MAX_CLAIM:
        wrong = f"A claim is one sentence: at most {MAX_CLAIM:,} characters."
        raise Invalid(wrong, fields={"claim": wrong})
    if words != change.content.get("claim"):
        kept = ("claim", "claim_from")
        before["content"] = {name: change.content.get(name) for name in kept}
        # Whose sentence it was is no more: it is the person's own.
        change.content = {**change.content, "claim": words, "claim_from": None}


# A page that a machine put together and a person took as it was.
_LINKER = Author(AuthorKind.AGENT, "linker")


def _accept_concept(
    session: Session, change: Change, *, title: str, members: Sequence[int] | None, now: datetime
) -> concepts.Memory:
    offered = [int(each) for each in change.content.get("members", [])]
    wanted = _chosen(offered, members)
    # Under another title the term stays a name of the page: it is what the papers say.
    aliases = [change.title, *(str(each) for each in change.content.get("aliases", []))]
    content = Content(
        title=title.strip() or change.title,
        kind=PageKind.CONCEPT,
        body=pages.by_file_names(session, str(change.content.get("body", ""))),
        aliases=tuple(aliases),
    ).cleaned()
    _, memory = concepts.write(
        session,
        content,
        wanted,
        origin=change.origin,
        confidence=change.confidence,
        evidence=change.evidence,
        author=_LINKER,
        now=now,
        note=f"proposed from {len(offered)} papers, accepted in review",
    )
    return memory


def _chosen(offered: Sequence[int], members: Sequence[int] | None) -> list[int]:
    """Those of the offered papers that were chosen; all where nobody chose. Raises Invalid."""
    if members is None:
        return list(offered)
    unknown = sorted(set(members) - set(offered))
    if unknown:
        named = ", ".join(map(str, unknown[:5]))
        wrong = f"This proposal holds no paper {named}. Choose among its own, or leave them out."
        raise Invalid(wrong, fields={"members": wrong})
    return [each for each in offered if each in set(members)]


def _accept_merge(
    session: Session, change: Change, *, title: str, members: Sequence[int] | None, now: datetime
) -> concepts.Memory:
    source, target = _pages_of(session, change)
    if source is None or target is None:
        raise Conflict("One of the two pages is gone: reject this proposal.")
    return concepts.merge(session, source, target, author=PERSON, now=now)


def _accept_split(
    session: Session, change: Change, *, title: str, members: Sequence[int] | None, now: datetime
) -> concepts.Memory:
    source, _ = _pages_of(session, change)
    if source is None:
        raise Conflict("The page to split is gone: reject this proposal.")
    offered = [int(each) for each in change.content.get("members", [])]
    made, memory = concepts.split(
        session,
        source,
        title=title.strip() or str(change.content.get("title", "")) or change.title,
        aliases=[str(each) for each in change.content.get("aliases", [])],
        members=_chosen(offered, members),
        claim=str(change.content.get("claim", "")),
        author=PERSON,
        now=now,
    )
    change = changes.get(session, change.id or 0)
    change.target_id = made.id
    session.add(change)
    return memory


def _accept_edit(
    session: Session, change: Change, *, title: str, members: Sequence[int] | None, now: datetime
) -> concepts.Memory:
    return edits.apply(session, change, now=now)


def _accept_thread(
    session: Session, change: Change, *, title: str, members: Sequence[int] | None, now: datetime
) -> concepts.Memory:
    offered = new_threads.pages_of(change.content)
    wanted = set(_chosen(offered, members))
    if len(wanted) < 2:
        wrong = "A thread joins two papers at least. Choose more of them, or reject the proposal."
        raise Invalid(wrong, fields={"members": wrong})
    return new_threads.write(
        session,
        title=title.strip() or change.title,
        claim=str(change.content.get("claim", "")),
        claim_from=int(change.content.get("claim_from") or 0),
        members=[each for each in change.content["members"] if each.get("page") in wanted],
        confidence=change.confidence,
        evidence=change.evidence,
        author=_LINKER,
        now=now,
    )


_ACCEPT = {
    ChangeKind.THREAD: _accept_thread,
    ChangeKind.CONCEPT: _accept_concept,
    ChangeKind.MERGE: _accept_merge,
    ChangeKind.SPLIT: _accept_split,
    ChangeKind.EDIT: _accept_edit,
}


def _pages_of(session: Session, change: Change) -> tuple[Page | None, Page | None]:
    source = session.get(Page, change.source_id) if change.source_id else None
    return source, session.get(Page, change.target_id) if change.target_id else None


def merge(session: Session, slug: str, into: str, *, now: datetime) -> Decision:
    """Let a concept or thread go into another because a person says so; a decision like any, with its undo.

    `into` is a name as links have it. Raises NotFound for no such page, Invalid when the two cannot
    become one.
    """
    source = pages.get(session, slug)
    named = pages.named(session, into) if into.strip() else None
    if named is None:
        wrong = (
            f"There is no page called {into.strip()[:100]!r}: name the {_word(source)} that stays."
        )
        raise Invalid(wrong, fields={"into": wrong})
    target = session.get(Page, named.id)
    assert source.id is not None and target is not None and target.id is not None
    key = changes.merge_key(source.id, target.id)
    change = changes.keyed(session, [key]).get(key)
    if change is None and source.id != target.id:
        change = _own(
            session,
            Change(
                kind=ChangeKind.MERGE,
                key=key,
                title=f"{source.title} → {target.title}",
                source_id=source.id,
                target_id=target.id,
                status=LinkStatus.REJECTED,
                origin=Origin.AUTHOR,
                created_at=now,
            ),
        )
    if change is None:
        raise Invalid(f"{source.title} is this very page: choose another {_word(source)}.")
    return _decide_change(
        session, change, Verdict.ACCEPT, now=now, swap=change.source_id != source.id
    )


def _word(page: Page) -> str:
    """What a page that is put together or taken apart is called."""
    return (PageKind.THREAD if page.kind == PageKind.THREAD else PageKind.CONCEPT).value


def split(
    session: Session,
    slug: str,
    *,
    title: str,
    aliases: Sequence[str],
    members: Sequence[int],
    now: datetime,
    claim: str = "",
) -> Decision:
    """Make a part of a concept or thread one of its own because a person says so.

    It is undone like any decision. A new thread may get a `claim`.

    Raises NotFound for no such page, Invalid when it cannot be split so.
    """
    source = pages.get(session, slug)
    if not title.strip():
        raise Invalid(
            f"The new {_word(source)} needs a title.", fields={"title": "Give it a title."}
        )
    taken = pages.named(session, title)
    if taken is not None and taken.id != source.id:
        wrong = f"There is a page of that name already: {taken.title}. Choose another title."
        raise Invalid(wrong, fields={"title": wrong})
    change = _own(
        session,
        Change(
            kind=ChangeKind.SPLIT,
            key=f"split:{uuid4().hex}",
            title=f"{source.title} → {' '.join(title.split())}",
            source_id=source.id,
            status=LinkStatus.REJECTED,
            origin=Origin.AUTHOR,
            content={
                "title": title,
                "aliases": list(aliases),
                "members": list(members),
                **({"claim": " ".join(claim.split())[:MAX_CLAIM]} if claim.strip() else {}),
            },
            created_at=now,
        ),
    )
    return _decide_change(session, change, Verdict.ACCEPT, now=now)


def _own(session: Session, change: Change) -> Change:
    """A person's own change. It counts as rejected before it is accepted: undone, it waits nowhere."""
    session.add(change)
    session.flush()
    return change


def decide_many(
    session: Session,
    proposals: Sequence[str | int | Reference],
    verdict: Verdict,
    *,
    now: datetime,
    reason: str = "",
    who: str = "person",
) -> Decided:
    """Decide several proposals as one action: one decision each, one undo for all.

    What was decided elsewhere is left as it stands and named in `refused`. Raises Invalid when one
    of the names is none, or there are too many; nothing is decided then.
    """
    if len(proposals) > MAX_BULK:
        raise Invalid(f"At most {MAX_BULK} proposals can be decided at once.")
    batch, made, refused = uuid4().hex, [], []
    which = [each if isinstance(each, Reference) else reference(each) for each in proposals]
    for each in dict.fromkeys(which):
        try:
            # What a change had begun to write when it met a conflict is taken back.
            with session.begin_nested() if each.change else nullcontext():
                made.append(
                    decide(session, each, verdict, now=now, reason=reason, who=who, batch=batch)
                )
        except (Conflict, Invalid, NotFound) as error:
            refused.append(f"{each}: {error}")
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
    decision = _decide_paper(
        session,
        paper_id,
        paper,
        verdict,
        now=now,
        reason=reason,
        who=who,
        batch=batch or uuid4().hex,
    )
    session.flush()
    bump(session)
    return decision


def _decide_paper(
    session: Session,
    paper_id: int,
    paper: Paper | None,
    verdict: Verdict,
    *,
    now: datetime,
    reason: str,
    who: str,
    batch: str,
) -> Decision:
    if paper is None:
        raise NotFound(f"There is no paper {paper_id}.")
    state = _PAPER_STATE[verdict]
    if paper.state not in (PaperState.WAITING, PaperState.DEFERRED):
        raise Conflict(f"This paper was decided already: it is {paper.state.value}.")
    before: dict[str, object] = {"state": paper.state.value, "page": paper.page_id}
    if state == PaperState.KEPT:
        _give_page(session, paper, now=now)
    paper.state = state
    session.add(paper)
    decision = Decision(
        at=now,
        who=who,
        verdict=verdict,
        paper_id=paper.id,
        reason=reason.strip()[:1000],
        before=before,
        batch=batch,
    )
    session.add(decision)
    return decision


def decide_papers(
    session: Session,
    paper_ids: Sequence[int],
    verdict: Verdict,
    *,
    now: datetime,
    reason: str = "",
    who: str = "person",
) -> Decided:
    """Decide several papers of the Inbox as one action: one decision each, one undo for all.

    What was decided elsewhere, or is gone, is left as it stands and named in `refused`. Raises Invalid
    for more than `MAX_PAPERS`; nothing is decided then.
    """
    wanted = list(dict.fromkeys(paper_ids))
    if len(wanted) > MAX_PAPERS:
        raise Invalid(f"At most {MAX_PAPERS:,} papers can be decided at once.")
    batch, made, refused = uuid4().hex, [], []
    for start in range(0, len(wanted), MAX_BULK):
        some = [each for each in wanted[start : start + MAX_BULK] if 0 < each <= LARGEST_ID]
        found = {
            each.id: each for each in session.exec(select(Paper).where(col(Paper.id).in_(some)))
        }
        for paper_id in wanted[start : start + MAX_BULK]:
            paper = found.get(paper_id)
            try:
                made.append(
                    _decide_paper(
                        session,
                        paper_id,
                        paper,
                        verdict,
                        now=now,
                        reason=reason,
                        who=who,
                        batch=batch,
                    )
                )
            except (Conflict, NotFound) as error:
                refused.append(f"{paper_id}: {error}")
        session.flush()
    bump(session)
    return Decided(tuple(made), batch, tuple(refused))


def _give_page(session: Session, paper: Paper, *, now: datetime) -> None:
    """The page of a kept paper; a new one has the extracted summary, where there is an abstract."""
    found = summaries.extract(paper.title, paper.abstract) if paper.page_id is None else None
    if found is None:
        papers.give_page(session, paper, now=now)
        return
    author = Author(AuthorKind.EXTRACT, summaries.AUTHOR)
    papers.give_page(session, paper, now=now, body=summaries.as_markdown(found), author=author)


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
        undoing.take_back(session, decision, now=now, batch=batch)
    session.flush()
    bump(session)
    return Decided(tuple(taken_back), newest.batch)
