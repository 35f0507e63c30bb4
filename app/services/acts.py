"""Undoing as a whole what was done as a whole: an import, a delivery, a run, a look at the vault.

What somebody worked on since stays, and is named. The undo is an act too: what it removed comes back
by undoing it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.records import (
    GONE,
    Act,
    ActKind,
    AuthorKind,
    Change,
    ChangeKind,
    Decision,
    Item,
    Link,
    LinkStatus,
    ListingPaper,
    Origin,
    Page,
    Paper,
    PaperState,
    Revision,
    Run,
    RunState,
    Verdict,
)
from app.errors import CerebroError, Conflict
from app.store import (
    acts,
    assessments,
    decisions,
    forgetting,
    links,
    pages,
    removal,
    touched,
    undo_log,
    undoing,
)
from app.store.acts import Doing
from app.store.db import bump
from app.store.pages import Author, Content
from app.store.remembered import chunks

MOST_NAMED = 500  # of what stays: kept with the undo


@dataclass(frozen=True)
class Stays:
    """A page, or another thing, that an undo left as it stands, and why in a few words."""

    title: str
    why: str
    slug: str = ""


@dataclass
class Undone:
    """What an undo did. `counts` as those of its act; `stays` is what it left.

    `of` says in words what was undone; `titles` are those of its pages, the first of them by name.
    """

    act: int
    of: str = ""
    titles: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    stays: list[Stays] = field(default_factory=list)

    def in_words(self) -> Iterator[str]:
        """Sentences for a terminal or a screen."""
        done = _told(self.counts, _WORDS)
        named = ", ".join(self.titles[:3]) + (", …" if len(self.titles) > 3 else "")
        done += f" ({named})" if named else ""
        of = self.of.removeprefix(_UNDO)
        verb = "Undone" if of == self.of else "Brought back"
        yield f"{verb}, {of}: {done or 'there was nothing left to do'}."
        yield from self._left()

    def _left(self) -> Iterator[str]:
        reasons = Counter(each.why for each in self.stays)
        for why, number in reasons.most_common():
            some = [each.title for each in self.stays if each.why == why]
            named = ", ".join(some[:3]) + (", …" if number > 3 else "")
            stay = "1 stays" if number == 1 else f"{number:,} stay"
            yield f"{stay}: {why} ({named})."

    def as_json(self) -> dict[str, object]:
        """What programs get of it."""
        return {
            "act": self.act,
            "undid": self.of,
            "titles": self.titles[:MOST_NAMED],
            "counts": dict(self.counts),
            "stays": [asdict(each) for each in self.stays],
        }


_UNDO, _BACK = "Undo: ", "Brought back: "
_WORDS = {
    "removed": ("page removed", "pages removed"),
    "back": ("page put back", "pages put back"),
    "texts": ("page has its earlier text", "pages have their earlier text"),
    "links": ("link gone", "links gone"),
    "proposals": ("proposal withdrawn", "proposals withdrawn"),
    "decisions": ("decision taken back", "decisions taken back"),
    "decided": ("decision made again", "decisions made again"),
    "papers": ("paper gone", "papers gone"),
    "items": ("entry forgotten", "entries forgotten"),
    "rows": ("row back", "rows back"),
    "facts": ("fact as before", "facts as before"),
}


_MADE = {
    "pages": ("page", "pages"),
    "texts": ("text changed", "texts changed"),
    "papers": ("paper", "papers"),
    "links": ("link", "links"),
    "proposals": ("proposal", "proposals"),
    "decisions": ("decision", "decisions"),
    "items": ("entry", "entries"),
}
_STAYED = {"stays": ("stays", "stay")}


def counts_in_words(counts: Mapping[str, int], *, undo: bool) -> str:
    """What an act made, or an `undo` did, in words: "3 pages, 1 paper"."""
    return _told(counts, {**(_WORDS if undo else _MADE), **_STAYED})


def _told(counts: Mapping[str, int], words: Mapping[str, tuple[str, str]]) -> str:
    return ", ".join(
        f"{number:,} {one if number == 1 else many}"
        for name, (one, many) in words.items()
        if (number := counts.get(name, 0))
    )


def undo(session: Session, act_id: int, *, now: datetime) -> Undone:
    """Take back an act as a whole, in this transaction. Raises NotFound, or Conflict in words."""
    act = acts.get(session, act_id)
    _check(session, act)
    of = act.words.removeprefix(_UNDO)
    words = f"{_BACK if act.kind == ActKind.UNDO else _UNDO}{of}"
    doing = acts.begin(session, ActKind.UNDO, words, now=now)
    done = Undone(doing.row(session), act.words)
    taken: dict[str, Any] = {}
    if act.kind == ActKind.UNDO:
        taken = _put_again(session, act, done, now=now)
        _earlier_texts(session, act, (), done, now=now)
    else:
        taken = _take_back(session, act, done, now=now)
    _former_address(session, act, done, now=now)
    act = acts.get(session, act_id)
    act.undone = True
    session.add(act)
    if act.kind == ActKind.UNDO and act.undoes_id:
        first = acts.get(session, act.undoes_id)
        first.undone = False
        session.add(first)
    _note(session, doing, act_id, done, taken)
    bump(session)
    return done


def newest_undo(session: Session) -> Act | None:
    """The undo of an act that nothing was decided after, when that can be undone itself."""
    found = session.exec(
        select(Act)
        .where(Act.kind == ActKind.UNDO, col(Act.undone).is_(False))
        .order_by(col(Act.id).desc())
        .limit(1)
    ).first()
    first = session.get(Act, found.undoes_id) if found is not None and found.undoes_id else None
    if found is None or first is None or first.kind == ActKind.UNDO:
        return None
    newest = decisions.newest_standing(session)
    after = newest is not None and newest.act_id != found.id and newest.at > found.at
    return None if after else found


def _check(session: Session, act: Act) -> None:
    if act.undone:
        raise Conflict("That was undone already: undo the undo to have it back.")
    if act.kind == ActKind.UNDO and act.undoes_id:
        first = acts.get(session, act.undoes_id)
        if first.kind == ActKind.UNDO:
            raise Conflict(f"This brought back what was undone. Undo act {first.undoes_id} itself.")
    run = session.get(Run, act.run_id) if act.run_id else None
    if run is not None and run.state == RunState.RUNNING:
        raise Conflict("This run is still going: wait for its end, or stop it first.")


def _note(
    session: Session, doing: Doing, undoes: int, done: Undone, taken: Mapping[str, Any]
) -> None:
    done.counts = +done.counts  # without what there was none of
    row = acts.get(session, doing.row(session))
    stays = [asdict(each) for each in done.stays[:MOST_NAMED]]
    address = {name: kept for name, kept in row.taken.items() if name == acts.ADDRESS}
    row.undoes_id = undoes
    row.taken = {**taken, **address, **({acts.STAYS: stays} if stays else {})}
    row.counts = dict(done.counts) | ({"stays": len(done.stays)} if done.stays else {})
    session.add(row)
    session.flush()


# ---------------------------------------------------------------- taking back


def _take_back(session: Session, act: Act, done: Undone, *, now: datetime) -> dict[str, Any]:
    """Undo all of an act that is no undo; the rows that went, and what undoes the rest."""
    act_id = act.id or 0
    entries = undo_log.of_act(session, act_id)
    # First: what had waited for its papers waits again, and tells of them no more.
    facts = _as_before(session, entries, done, ground=False)
    made = touched.made_by(session, act_id)
    why = touched.since(session, act_id, made)
    if act.kind == ActKind.VAULT:
        # Somebody wrote these files: with its page, a file would go.
        why |= {page_id: touched.Why.A_FILE for page_id in made if page_id not in why}
    gone = [page_id for page_id in made if page_id not in why]
    for page in _pages(session, list(why)):
        done.stays.append(Stays(page.title, _STAY[why[page.id or 0]], page.slug))
    _take_back_decisions(session, act_id, set(gone), done, now=now)
    taken = [_withdraw(session, act_id, set(gone), done)]
    _earlier_texts(session, act, gone, done, now=now)
    taken.append(
        _take_pages_and_papers(
            session,
            act_id,
            gone,
            done,
            now=now,
            days={key[0] for name, key, before, _ in entries if name == "listing" and not before},
            remember=act.kind == ActKind.DELIVERY,
        )
    )
    ground = _as_before(session, entries, done, ground=True)
    return {**forgetting.joined(*taken), acts.UNDO_LOG: facts, acts.GROUND: ground}


def _as_before(
    session: Session, entries: Sequence[undo_log.Entry], done: Undone, *, ground: bool
) -> list[undo_log.Entry]:
    """Rows that were there before an import, as they were before it; the entries that undo this."""
    back = undo_log.back(session, entries, ground=ground)
    # Where something came from, and days that list papers, nobody misses.
    done.counts["facts"] += sum(each[0] not in ("source", "listing") for each in back.entries)
    for left in back.left:
        title, slug = undo_log.called(session, left)
        done.stays.append(Stays(title, left.why, slug))
    assessments.tier_anew(session, back.papers)
    touched_pages = set(back.pages)
    for some in chunks(sorted(back.papers)):
        theirs = select(Paper.page_id).where(col(Paper.id).in_(some))
        touched_pages.update(page_id for page_id in session.exec(theirs) if page_id is not None)
    for page in _pages(session, sorted(touched_pages)):
        if page.kind not in GONE:
            pages.reindex(session, page)
    return back.entries


_STAY = {
    touched.Why.EDITED: "you edited them since",
    touched.Why.DECIDED: "you decided about them since",
    touched.Why.TOLD: "something else tells of them as well",
    touched.Why.A_FILE: "their files are yours: whoever deletes one removes its page",
}


def _pages(session: Session, page_ids: Sequence[int]) -> list[Page]:
    found: list[Page] = []
    for some in chunks(page_ids):
        found += session.exec(select(Page).where(col(Page.id).in_(some)).order_by(col(Page.id)))
    return found


def _take_back_decisions(
    session: Session, act_id: int, gone: Set[int], done: Undone, *, now: datetime
) -> None:
    """Its decisions, the newest first; those about what goes anyway rest with it."""
    batch = uuid4().hex
    going = set(touched.papers_alone(session, act_id, gone))
    made = select(Revision.page_id).where(Revision.act_id == act_id, Revision.number == 1)
    own = set(session.exec(made))
    statement = (
        select(Decision)
        .where(
            Decision.act_id == act_id,
            col(Decision.undone).is_(False),
            col(Decision.undoes_id).is_(None),
        )
        .order_by(col(Decision.id).desc())
    )
    for decision in session.exec(statement).all():
        link = session.get(Link, decision.link_id) if decision.link_id else None
        if link is not None and not gone.isdisjoint((link.source_id, link.target_id)):
            continue
        paper = session.get(Paper, decision.paper_id) if decision.paper_id else None
        goes = paper is not None and (paper.page_id in gone or paper.id in going)
        if goes and decision.change_id is None:
            continue
        change = session.get(Change, decision.change_id) if decision.change_id else None
        if change is not None and change.kind == ChangeKind.REMOVE and change.source_id in own:
            continue  # it made that page, and took it out again
        try:
            with session.begin_nested():
                undoing.take_back(session, decision, now=now, batch=batch)
        except CerebroError as error:
            done.stays.append(_left(session, decision, error))
        else:
            done.counts["decisions"] += 1


def _left(session: Session, decision: Decision, error: CerebroError) -> Stays:
    """A decision that could not be taken back, by what it was about."""
    title = f"decision {decision.id}"
    link = session.get(Link, decision.link_id) if decision.link_id else None
    change = session.get(Change, decision.change_id) if decision.change_id else None
    page = session.get(Page, link.source_id) if link else None
    if change is not None:
        title = change.title
    why = str(error).rstrip(".")
    return Stays(page.title if page else title, why, page.slug if page else "")


def _withdraw(session: Session, act_id: int, gone: Set[int], done: Undone) -> forgetting.Rows:
    """Links and proposals that it made, and that nobody else decided about."""
    others = sa.exists().where(
        (col(Decision.act_id) != act_id) | col(Decision.act_id).is_(None),
        col(Decision.undoes_id).is_(None),
    )
    wanted = sa.select(col(Link.id), col(Link.status), col(Link.source_id), col(Link.target_id))
    rows = session.connection().execute(
        wanted.where(
            col(Link.act_id) == act_id,
            col(Link.origin) != Origin.AUTHOR,  # of its text, and follows it
            ~others.where(col(Decision.link_id) == col(Link.id)).correlate(Link),
        )
    )
    links: list[int] = []
    for row in rows:
        if gone.isdisjoint((row.source_id, row.target_id)):
            links.append(row.id)
            waits = row.status in (LinkStatus.PROPOSED, LinkStatus.DEFERRED)
            done.counts["proposals" if waits else "links"] += 1
    changed = session.connection().execute(
        sa.select(col(Change.id)).where(
            col(Change.act_id) == act_id,
            col(Change.status).in_((LinkStatus.PROPOSED, LinkStatus.DEFERRED)),
            ~others.where(col(Decision.change_id) == col(Change.id)).correlate(Change),
        )
    )
    proposals = [change_id or 0 for (change_id,) in changed]
    done.counts["proposals"] += len(proposals)
    return forgetting.joined(
        forgetting.take_decided(session, Link, links),
        forgetting.take_decided(session, Change, proposals),
    )


# ---------------------------------------------------------------- texts


def _earlier_texts(
    session: Session, act: Act, gone: Collection[int], done: Undone, *, now: datetime
) -> None:
    """Pages that it revised get the text before it, as a new revision, joined with what came since."""
    act_id = act.id or 0
    first = acts.get(session, act.undoes_id) if act.undoes_id else act
    came_in = first.kind in (ActKind.IMPORT, ActKind.DELIVERY)
    revised = select(Revision.page_id).where(Revision.act_id == act_id, Revision.number > 1)
    page_ids = sorted(set(session.exec(revised)) - set(gone))
    links_alone = _writes_links(session, act_id)
    reworded: list[tuple[Page, str, Author]] = []
    texts = _texts_since(session, act_id, page_ids)
    for page, rows, now_has in texts:
        content = _without(rows, now_has, act_id)
        if content is None:
            done.stays.append(Stays(page.title, "its text was edited at the same place", page.slug))
            continue
        only_text = replace(now_has, body=content[0].body) == content[0]
        if links_alone and only_text and len(content[0].body) <= pages.MAX_BODY:
            reworded.append((page, content[0].body, content[1]))
            continue
        try:
            with session.begin_nested():
                changed = pages.revise(
                    session,
                    page,
                    content[0],
                    author=content[1],
                    now=now,
                    note=_NOTE,
                    keep_title=not came_in,  # no link was written by the title that it brought
                )
        except CerebroError as error:
            done.stays.append(Stays(page.title, str(error).rstrip("."), page.slug))
        else:
            done.counts["texts"] += changed
            if changed:
                done.titles.append(page.title)
    done.titles += [page.title for page, body, _ in reworded if body != page.body]
    done.counts["texts"] += pages.reword(session, reworded, now=now, note=_NOTE)


def _texts_since(
    session: Session, act_id: int, page_ids: Sequence[int]
) -> Iterator[tuple[Page, list[Revision], Content]]:
    """Pages that stand, each with its revisions from the one before the act on, and as it is now."""
    begins = (
        sa.select(col(Revision.page_id), sa.func.min(col(Revision.number)).label("number"))
        .where(col(Revision.act_id) == act_id)
        .group_by(col(Revision.page_id))
        .subquery()
    )
    for some in chunks(page_ids):
        rows: dict[int, list[Revision]] = {}
        for row in session.exec(
            select(Revision)
            .join(begins, col(Revision.page_id) == begins.c.page_id)
            .where(col(Revision.page_id).in_(some), col(Revision.number) >= begins.c.number - 1)
            .order_by(col(Revision.page_id), col(Revision.number))
        ):
            rows.setdefault(row.page_id, []).append(row)
        standing = [page for page in _pages(session, some) if page.kind not in GONE]
        contents = pages.contents_of(session, standing)
        for page in standing:
            yield page, rows[page.id or 0], contents[page.id or 0]


_NOTE = "what changed it was undone as a whole"


def _writes_links(session: Session, act_id: int) -> bool:
    """Whether all that an act, or what it undid, did to other texts is to write their links otherwise."""
    act = acts.get(session, act_id)
    while act.kind == ActKind.UNDO and act.undoes_id:
        act = acts.get(session, act.undoes_id)
    return act.kind in (ActKind.RENAME, ActKind.WORDING)


def _former_address(session: Session, act: Act, done: Undone, *, now: datetime) -> None:
    """A page that it moved lives where it did before, unless somebody moved it on."""
    page_id, before, after = act.taken.get(acts.ADDRESS, (0, "", ""))
    page = session.get(Page, page_id) if page_id else None
    if page is None:
        return
    if page.slug != after:
        done.stays.append(Stays(page.title, "it was moved on since", page.slug))
        return
    try:
        with session.begin_nested():
            pages.rename(session, page, before, now=now)
    except CerebroError as error:
        done.stays.append(Stays(page.title, str(error).rstrip("."), page.slug))
    else:
        acts.note_address(session, page, after)


def _without(
    rows: Sequence[Revision], content: Content, act_id: int
) -> tuple[Content, Author] | None:
    """The page as it would stand without what an act wrote in it; None where that does not join.

    With who wrote that: where nobody did anything since, whoever wrote the text before. `rows` are its
    revisions from the one before the act on, `content` the page as it is.
    """
    author = _author(rows[-1])
    at = len(rows) - 1
    while at > 0:
        if rows[at].act_id != act_id:
            at -= 1
            continue
        last = at
        while at > 0 and rows[at].act_id == act_id:
            at -= 1
        if rows[at].act_id == act_id:
            break  # it made the page: there is nothing before
        if last == len(rows) - 1:
            author = _author(rows[at])
        content, clean = pages.joined(_content(rows[last]), _content(rows[at]), content)
        if not clean:
            return None
    return content, author


def _content(row: Revision) -> Content:
    return Content(
        title=row.title,
        kind=row.kind,
        body=row.body,
        aliases=tuple(row.aliases),
        tags=tuple(row.tags),
    )


def _author(row: Revision) -> Author:
    return Author(AuthorKind(row.author_kind), row.author, row.prompt)


# ---------------------------------------------------------------- pages, papers, items


def _take_pages_and_papers(
    session: Session,
    act_id: int,
    gone: Sequence[int],
    done: Undone,
    *,
    now: datetime,
    days: set[str],
    remember: bool,
) -> forgetting.Rows:
    """The pages it made, the papers it brought that nothing else tells of, and what arrived.

    `days` are those whose listing it made. With `remember` the wiki goes on knowing that it had arrived: its source does not bring it again.
    """
    papers = touched.papers_alone(session, act_id, gone)
    items = _items_that_go(session, act_id, gone, papers)
    decided = _decisions_of_papers(session, act_id, gone)
    said = forgetting.take_said(session, items)
    went = forgetting.take_papers(session, papers)
    own = {
        row["page_id"]: rows
        for rows in went.values()
        for row in rows[Paper.__name__]
        if row["page_id"] is not None
    }
    own |= {
        page_id: forgetting.joined(own.get(page_id, {}), rows)
        for page_id, rows in forgetting.take_identifiers(session, gone).items()
    }
    if gone:
        removed = _pages(session, gone)
        done.titles += [page.title for page in removed]
        removal.remove_all(
            session, removed, now=now, reason="what made it was undone", forgotten=own
        )
        done.counts["removed"] += len(removed)
    for decision, state in decided:
        paper = session.get(Paper, decision.paper_id)
        if paper is not None:
            paper.state = state
            session.add(paper)
            decisions.undone(session, decision, now=now, batch=uuid4().hex)
            done.counts["decisions"] += 1
    alone = [rows for rows in went.values() if rows[Paper.__name__][0]["page_id"] is None]
    days.update(row["day"] for rows in went.values() for row in rows.get(ListingPaper.__name__, []))
    listings = forgetting.take_listings(session, days)
    forgotten = forgetting.take_items(session, items)
    if remember:
        forgetting.remember(session, forgotten)
    done.counts["papers"] += len(went)
    done.counts["items"] += len(items)
    return forgetting.joined(*alone, said, forgotten, listings)


def _items_that_go(
    session: Session, act_id: int, gone: Collection[int], papers: Collection[int]
) -> dict[int, tuple[int | None, int | None]]:
    """Its items, with the paper and page that each is; one that is of its own making, and stays, stays.

    What its source says of that later belongs there.
    """
    rows = session.connection().execute(
        sa.select(
            col(Item.id),
            col(Item.paper_id),
            col(Item.page_id),
            col(Paper.act_id),
            sa.select(col(Revision.act_id))
            .where(col(Revision.page_id) == col(Item.page_id), col(Revision.number) == 1)
            .scalar_subquery()
            .label("page_act"),
        )
        .outerjoin(Paper, col(Paper.id) == col(Item.paper_id))
        .where(col(Item.act_id) == act_id)
        .order_by(col(Item.id))
    )
    going, alone = set(gone), set(papers)
    found: dict[int, tuple[int | None, int | None]] = {}
    for row in rows:
        its_page = row.page_act == act_id and row.page_id not in going
        its_paper = row.act_id == act_id and row.paper_id not in alone
        if not its_page and not its_paper:
            found[row.id] = (row.paper_id, row.page_id)
    return found


def _decisions_of_papers(
    session: Session, act_id: int, gone: Collection[int]
) -> list[tuple[Decision, PaperState]]:
    """Its decisions that kept papers which others brought, with how those stood before."""
    found: list[tuple[Decision, PaperState]] = []
    for some in chunks(gone):
        statement = (
            select(Decision)
            .join(Paper, col(Paper.id) == col(Decision.paper_id))
            .where(
                col(Paper.page_id).in_(some),
                Decision.act_id == act_id,
                col(Decision.change_id).is_(None),
                col(Decision.undone).is_(False),
                col(Decision.undoes_id).is_(None),
            )
            .order_by(col(Decision.id).desc())
        )
        for decision in session.exec(statement).all():
            found.append((decision, PaperState(str(decision.before["state"]))))
    return found


# ---------------------------------------------------------------- undoing an undo


def _put_again(session: Session, act: Act, done: Undone, *, now: datetime) -> dict[str, Any]:
    """Put again what an undo took away: rows, and the pages that it removed; what undoes the rest."""
    ground = _as_before(session, act.taken.get(acts.GROUND, []), done, ground=True)
    removed = session.exec(
        select(Change, Page)
        .join(Page, col(Page.id) == col(Change.source_id))
        .where(
            Change.act_id == act.id,
            Change.kind == ChangeKind.REMOVE,
            Change.status == LinkStatus.ACCEPTED,
        )
        .order_by(col(Change.id))
    ).all()
    for change, page in removed:
        taken = pages.by_slug(session, removal.address(session, page))
        if taken is not None:
            done.stays.append(Stays(change.title, "another page has its address since", taken.slug))
            continue
        try:
            with session.begin_nested():
                removal.restore(session, page, now=now)
        except CerebroError as error:
            done.stays.append(Stays(change.title, str(error).rstrip("."), page.slug))
        else:
            done.counts["back"] += 1
            done.titles.append(change.title)
    rows = {name: some for name, some in act.taken.items() if name not in acts.BESIDE}
    done.counts["rows"] += sum(map(len, rows.values()))
    gone = act.taken.get(acts.GROUND, [])
    forgetting.put(session, rows, sources=undo_log.sources_now(session, gone))
    _decide_again(session, act, done, now=now)
    facts = _as_before(session, act.taken.get(acts.UNDO_LOG, []), done, ground=False)
    return {acts.UNDO_LOG: facts, acts.GROUND: ground}


def _decide_again(session: Session, act: Act, done: Undone, *, now: datetime) -> None:
    """What the act that was undone had decided is decided again, in the same order."""
    statement = (
        select(Decision)
        .where(Decision.act_id == act.id, col(Decision.undoes_id).is_not(None))
        .order_by(col(Decision.undoes_id))
    )
    for taken_back in session.exec(statement).all():
        first = session.get_one(Decision, taken_back.undoes_id)
        change = session.get(Change, first.change_id) if first.change_id else None
        link = session.get(Link, first.link_id) if first.link_id else None
        paper = session.get(Paper, first.paper_id) if first.paper_id else None
        page = session.get(Page, change.source_id) if change is not None else None
        before: dict[str, Any] = {}
        if change is not None and (change.kind != ChangeKind.REMOVE or page is None):
            why = "it was decided then, and waits to be decided anew"
            done.stays.append(Stays(change.title, why, page.slug if page else ""))
            continue
        if page is not None:
            if page.kind not in GONE:
                again = removal.remove(session, page, now=now, who=first.who, reason=first.reason)
                again.act_id = first.act_id
                session.add(again)
                done.counts["decided"] += 1
            continue
        if link is not None and link.origin != Origin.AUTHOR:
            if link.status == links.STATUS.get(first.verdict):
                continue
            before = links.as_it_stands(link)
            if first.verdict == Verdict.REJECT:
                links.reject(session, link, at=now)
            else:
                link.status, link.decided_at = links.STATUS[first.verdict], first.at
            session.add(link)
        elif paper is not None and paper.page_id is None:
            before = {"state": paper.state.value, "page": None}
            paper.state = undoing.PAPER_STATE[first.verdict]
            session.add(paper)
        else:
            continue
        session.add(
            Decision(
                at=now,
                who=first.who,
                verdict=first.verdict,
                link_id=first.link_id,
                paper_id=first.paper_id,
                reason=first.reason,
                before=before,
                batch=uuid4().hex,
                act_id=first.act_id,  # whose undo takes it back
            )
        )
        done.counts["decided"] += 1
    session.flush()
