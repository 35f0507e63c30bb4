"""Pages that are taken out of the wiki, and put back as they were.

A removed page keeps its row, its text and its history, under an address of its own. Its names go, and
with them what texts link to: the links there are red until it is back. Its other links rest as
rejected ones, so that what was decided about them stays on record. All of it is remembered in a
change of its own, accepted from the start; putting the page back is the undo of that decision.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.identifiers import is_slug
from app.domain.records import (
    GONE,
    Alias,
    AliasKind,
    Change,
    ChangeKind,
    Decision,
    Digest,
    Episode,
    Link,
    LinkStatus,
    LooseLink,
    Origin,
    Page,
    PageKind,
    PageTag,
    PageText,
    Paper,
    PaperState,
    PaperTerm,
    Prediction,
    PredictionTouch,
    Question,
    RedLink,
    Thread,
    Vector,
    Verdict,
)
from app.errors import Conflict, NotFound
from app.store import (
    concepts,
    decisions,
    forgetting,
    joining,
    numbers,
    pages,
    remembered,
    vectors,
)
from app.store.remembered import Memory, chunks

_PAGE = "page"
# What hangs on a page alone, by the column that names it: it goes and comes with the page.
_OWN: tuple[tuple[Any, str], ...] = (
    (Alias, "page_id"),
    (PageTag, "page_id"),
    (Thread, "page_id"),
    (Digest, "page_id"),
    (Episode, "page_id"),
    (Question, "page_id"),
    (PredictionTouch, "page_id"),
    (Prediction, "page_id"),
    (PaperTerm, "page_id"),
    (LooseLink, "source_id"),
)
_TOUCHES = "touches"  # what papers say of its predictions


def remove(
    session: Session,
    page: Page,
    *,
    now: datetime,
    who: str = "person",
    reason: str = "",
    batch: str = "",
) -> Decision:
    """Take a page out of the wiki; the decision that says so, by which `restore` puts it back.

    The paper of a paper's page counts as dropped. Raises Conflict when it is no page any more.
    """
    (decision,) = remove_all(session, [page], now=now, who=who, reason=reason, batch=batch)
    return decision


def remove_all(
    session: Session,
    gone: Sequence[Page],
    *,
    now: datetime,
    who: str = "person",
    reason: str = "",
    batch: str = "",
    forgotten: Mapping[int, Memory] | None = None,
) -> list[Decision]:
    """Take several pages out as one action, one undo for all; the decision about each, in their order.

    With `forgotten` an import is taken back: their papers are as they were before they were kept, and
    may be kept again. It has, by page, the rows that went with a page's paper (store/forgetting.py).
    """
    for page in gone:
        if page.kind in GONE:
            word = "removed" if page.kind == PageKind.REMOVED else "merged into another page"
            raise Conflict(f"{page.title} was {word} already.")
    session.flush()
    vectors.make_way(session)
    ids = [page.id or 0 for page in gone]
    writers = {writer for some in chunks(ids) for writer in pages.linked_to(session, some)}
    before = _links(session, ids, writers)
    was: dict[int, Memory] = {
        page.id or 0: {
            "slug": page.slug,
            "kind": page.kind.value,
            "title_key": page.title_key,
            "writers": [],
        }
        for page in gone
    }
    for link in before.values():
        if link["origin"] == Origin.AUTHOR and link["target_id"] in was:
            was[link["target_id"]]["writers"].append(link["source_id"])
    memories: dict[int, Memory] = {page_id: {_PAGE: values} for page_id, values in was.items()}
    for page_id, rows in (forgotten or {}).items():
        memories[page_id]["forgotten"] = rows
    state = PaperState.DROPPED if forgotten is None else PaperState.WAITING
    _take_papers(session, ids, memories, state)
    for change in remembered.rest_changes(session, ids):
        _share(session, change, memories)
    _take_rows(session, ids, memories)
    for table in (PageText, Vector, RedLink):
        for some in chunks(ids):
            session.connection().execute(sa.delete(table).where(col(table.page_id).in_(some)))
    for page in gone:
        page.slug = pages.free_slug(session, f"{page.slug[:180]}-removed")
        page.kind, page.title_key = PageKind.REMOVED, ""
        session.add(page)
        session.flush()
    session.expire_all()
    _look_again(session, ids)
    speaking = {link["source_id"] for link in before.values() if link["origin"] == Origin.AUTHOR}
    pages.relink_all(session, speaking & {*writers, *ids}, now=now)
    for page in gone:
        numbers.note(session, page)
    _rest_links(session, ids)
    _look_again(session, ids)
    after = _links(session, ids, writers, before)
    for page_id, became in _by_page(remembered.difference(before, after), memories, before, after):
        memories[page_id]["links"] = became
    dropped = forgotten is None
    made = _decide(
        session, gone, memories, now=now, who=who, reason=reason, batch=batch, dropped=dropped
    )
    concepts.say_so(session)
    return made


def _look_again(session: Session, ids: Sequence[int]) -> None:
    """Read pages together that would be read one by one."""
    for some in chunks(ids):
        session.exec(select(Page).where(col(Page.id).in_(some))).all()


def _links(
    session: Session,
    ids: Collection[int],
    writers: Collection[int],
    also: Collection[int] = (),
) -> dict[int, Memory]:
    """Every link that a removal may change: those of the pages, and what texts that link to them say."""
    conditions: list[Any] = []
    for some in chunks(ids):
        conditions += [col(Link.source_id).in_(some), col(Link.target_id).in_(some)]
    conditions += [
        col(Link.source_id).in_(some) & (col(Link.origin) == Origin.AUTHOR)
        for some in chunks(writers)
    ]
    conditions += [col(Link.id).in_(some) for some in chunks(also)]
    return remembered.links(session, *conditions)


def _take_papers(
    session: Session, ids: Sequence[int], memories: dict[int, Memory], state: PaperState
) -> None:
    """Their papers have none any more: what covers or recommends them is remembered of the papers."""
    for some in chunks(ids):
        for paper in session.exec(select(Paper).where(col(Paper.page_id).in_(some))).all():
            page_id = paper.page_id or 0
            memories[page_id]["paper"] = {"id": paper.id, "state": paper.state.value}
            paper.page_id, paper.state = None, state
            session.add(paper)
            session.flush()
            joining.loosen(session, paper, page_id)


def _share(session: Session, change: Any, memories: dict[int, Memory]) -> None:
    """Note what became of a proposal with the first of the pages it is about."""
    found = session.get(Change, change[0])
    sides = (found.source_id, found.target_id) if found else ()
    page_id = next((each for each in sides if each in memories), next(iter(memories)))
    memories[page_id].setdefault("changes", []).append(change)


def _take_rows(session: Session, ids: Sequence[int], memories: dict[int, Memory]) -> None:
    for some in chunks(ids):
        asked = sa.select(col(Prediction.id)).where(col(Prediction.page_id).in_(some))
        of_prediction = dict(
            session.connection()
            .execute(
                sa.select(col(Prediction.id), col(Prediction.page_id)).where(
                    col(Prediction.page_id).in_(some)
                )
            )
            .all()
        )
        about = col(PredictionTouch.prediction_id).in_(asked)
        for row in remembered.take_rows(session, PredictionTouch, about):
            rows = memories[of_prediction[row["prediction_id"]]].setdefault("rows", {})
            rows.setdefault(_TOUCHES, []).append(row)
        for table, column in _OWN:
            here = getattr(table, column)
            for row in remembered.take_rows(session, table, here.in_(some)):
                rows = memories[row[column]].setdefault("rows", {})
                rows.setdefault(table.__name__, []).append(row)


def _rest_links(session: Session, ids: Sequence[int]) -> None:
    """The links that are left are shown nowhere; what was decided about them stays on record."""
    for some in chunks(ids):
        either = col(Link.source_id).in_(some) | col(Link.target_id).in_(some)
        session.connection().execute(
            sa.update(Link)
            .where(either, col(Link.status) != LinkStatus.REJECTED)
            .values(status=LinkStatus.REJECTED)
        )
    session.expire_all()


def _by_page(
    became: Memory,
    memories: Mapping[int, Memory],
    before: Mapping[int, Memory],
    after: Mapping[int, Memory],
) -> list[tuple[int, Memory]]:
    """What became of links, shared out among the pages it is because of."""
    shared: dict[int, Memory] = {page_id: _nothing() for page_id in memories}
    first = next(iter(memories))

    def owner(link: Memory) -> int:
        sides = (link["source_id"], link["target_id"])
        return next((each for each in sides if each in shared), first)

    for entry in became["changed"]:
        shared[owner(before[entry[0]])]["changed"].append(entry)
    for link in became["gone"]:
        shared[owner(link)]["gone"].append(link)
    for link_id in became["made"]:
        shared[owner(after[link_id])]["made"].append(link_id)
    return list(shared.items())


def _nothing() -> Memory:
    return {"moved": {}, "changed": [], "gone": [], "made": []}


def _decide(
    session: Session,
    gone: Sequence[Page],
    memories: Mapping[int, Memory],
    *,
    now: datetime,
    who: str,
    reason: str,
    batch: str,
    dropped: bool,
) -> list[Decision]:
    batch = batch or uuid4().hex
    removals = [
        Change(
            kind=ChangeKind.REMOVE,
            key=f"remove:{uuid4().hex}",
            title=page.title,
            source_id=page.id,
            status=LinkStatus.ACCEPTED,
            origin=Origin.AUTHOR,
            content=memories[page.id or 0],
            created_at=now,
            decided_at=now,
        )
        for page in gone
    ]
    session.add_all(removals)
    session.flush()
    made = []
    for page, change in zip(gone, removals, strict=True):
        memory = memories[page.id or 0]
        made.append(
            Decision(
                at=now,
                who=who,
                verdict=Verdict.ACCEPT,
                change_id=change.id,
                # The last word on its paper: no import keeps it again.
                paper_id=memory["paper"]["id"] if dropped and "paper" in memory else None,
                reason=reason.strip()[:1000],
                # Taken back, it waits nowhere.
                before={"status": LinkStatus.REJECTED.value, "did": {"page": page.id}},
                batch=batch,
            )
        )
    session.add_all(made)
    session.flush()
    return made


# ---------------------------------------------------------------- finding


def of_title(session: Session, title: str) -> Page | None:
    """The page that was removed last of those that had this title."""
    return session.exec(
        select(Page)
        .where(
            Page.kind == PageKind.REMOVED,  # which has no name any more, but its title
            sa.func.lower(col(Page.title)) == sa.func.lower(title.strip()),
        )
        .order_by(col(Page.updated_at).desc(), col(Page.id).desc())
        .limit(1)
    ).first()


def removed_at(session: Session, slug: str) -> Page | None:
    """The page that lived at this address before it was removed; of several the last one removed."""
    kept = f"{slug[:180]}-removed"
    found = session.exec(
        select(Page)
        .join(Change, col(Change.source_id) == col(Page.id))
        .where(
            Page.kind == PageKind.REMOVED,
            (col(Page.slug) == kept) | col(Page.slug).startswith(f"{kept}-", autoescape=True),
            Change.kind == ChangeKind.REMOVE,
            Change.status == LinkStatus.ACCEPTED,
        )
        .order_by(col(Change.id).desc())
    )
    return next((page for page in found if address(session, page) == slug), None)


def address(session: Session, page: Page) -> str:
    """The address that a removed page had. Raises NotFound when it was not removed."""
    return str(standing(session, page)[0].content[_PAGE]["slug"])


def standing(session: Session, page: Page) -> tuple[Change, Decision]:
    """The change that took a page out, and its decision: when, by whom, why. Raises NotFound."""
    found = session.exec(
        select(Change, Decision)
        .join(Decision, col(Decision.change_id) == col(Change.id))
        .where(
            Change.kind == ChangeKind.REMOVE,
            Change.source_id == page.id,
            Change.status == LinkStatus.ACCEPTED,
            col(Decision.undone).is_(False),
            col(Decision.undoes_id).is_(None),
        )
        .order_by(col(Decision.id).desc())
    ).first()
    if page.kind != PageKind.REMOVED or found is None:
        raise NotFound(f"{page.title} was not removed.")
    return found


# ---------------------------------------------------------------- putting back


def restore(
    session: Session, page: Page, *, now: datetime, who: str = "person", reason: str = ""
) -> Decision:
    """Put a removed page back; the decision that says so, and where the page is when not as before.

    Raises NotFound when it was not removed, Conflict when something that came since stands in the way.
    """
    change, decision = standing(session, page)
    was = change.content[_PAGE]["slug"]
    put_back(session, change, now=now)
    change.status, change.decided_at = LinkStatus.REJECTED, None
    session.add(change)
    moved = f"Its address {was} was taken: it is at {page.slug} now." if page.slug != was else ""
    words = " ".join(part for part in (reason.strip(), moved) if part)
    return decisions.undone(
        session, decision, now=now, batch=uuid4().hex, who=who, reason=words[:1000]
    )


def put_back(session: Session, change: Change, *, now: datetime) -> Page:
    """Undo what a removal did; its change and decision are the caller's. Raises Conflict.

    An address that another page has meanwhile is not taken from it: the page gets a free one.
    """
    memory: Memory = change.content
    page = session.get(Page, change.source_id) if change.source_id else None
    if page is None:
        raise Conflict(f"{change.title} is gone: it cannot be put back.")
    _check(session, page, memory)
    assert page.id is not None
    was = memory[_PAGE]
    page.slug = _free(session, was["slug"])
    page.kind, page.title_key = PageKind(was["kind"]), was["title_key"]
    session.add(page)
    session.flush()
    _put_rows(session, page.id, memory.get("rows", {}))
    if "forgotten" in memory:
        forgetting.put(session, memory["forgotten"])
    _put_links(session, page.id, memory["links"])
    session.expire_all()
    paper = session.get(Paper, memory["paper"]["id"]) if "paper" in memory else None
    if paper is not None:
        paper.page_id, paper.state = page.id, PaperState(memory["paper"]["state"])
        session.add(paper)
        session.flush()
        joining.kept(session, paper)
    _tighten(session, page.id)
    remembered.put_back_changes(session, memory.get("changes", []))
    pages.stand_again(session, page, was["writers"], now=now)
    concepts.say_so(session)
    return page


def _tighten(session: Session, page_id: int) -> None:
    """What the page covers or recommends may have a page of its own by now."""
    said = select(Paper).join(LooseLink, col(LooseLink.paper_id) == col(Paper.id))
    for paper in session.exec(
        said.where(LooseLink.source_id == page_id, col(Paper.page_id).is_not(None))
    ).all():
        joining.kept(session, paper)


def _check(session: Session, page: Page, memory: Memory) -> None:
    if page.kind != PageKind.REMOVED:
        raise Conflict(f"{page.title} is back already.")
    if "paper" in memory:
        paper = session.get(Paper, memory["paper"]["id"])
        other = session.get(Page, paper.page_id) if paper and paper.page_id else None
        if other is not None:
            raise Conflict(
                f"The paper has a page again since: {other.slug}. Remove that one first."
            )
    if forgetting.is_known(session, memory.get("forgotten", {})):
        raise Conflict(f"{page.title} came again since, by another import.")
    for row in memory.get("rows", {}).get(Digest.__name__, ()):
        told = session.exec(select(Digest).where(Digest.day == row["day"])).first()
        if told is not None:
            other = session.get_one(Page, told.page_id)
            raise Conflict(
                f"There is another digest of {row['day']} since: {other.slug}. "
                "Remove that one first."
            )


def _free(session: Session, slug: str) -> str:
    """The address that a page had, unless another page lives there now; one like it then."""
    if is_slug(slug) or pages.by_slug(session, slug) is not None:
        return pages.free_slug(session, slug)
    return slug


def _put_rows(session: Session, page_id: int, rows: Mapping[str, Any]) -> None:
    """Insert again what hung on the page, but for what refers to rows that went meanwhile."""
    placed: dict[str, dict[int, int]] = {}
    for table, _ in sorted(_OWN, key=lambda own: own[0] is PredictionTouch):
        found = rows.get(table.__name__, [])
        if table is Alias:
            found = [each for each in found if not _taken(session, each)]
        elif table is LooseLink:
            found = _with(session, found, "paper_id", Paper)
        elif table is PredictionTouch:
            found = _with(session, found, "prediction_id", Prediction)
        placed[table.__name__] = remembered.put_rows(session, table, found)
    new = placed[Prediction.__name__]
    touches = [
        {**each, "prediction_id": new[each["prediction_id"]]}
        for each in rows.get(_TOUCHES, [])
        if each["prediction_id"] in new
    ]
    remembered.put_rows(session, PredictionTouch, _with(session, touches, "page_id", Page))
    for old, question in placed[Question.__name__].items():
        if old == question:
            continue
        session.connection().execute(
            sa.update(Link)
            .where(col(Link.target_id) == page_id, col(Link.question_id) == old)
            .values(question_id=question)
        )


def _taken(session: Session, alias: Memory) -> bool:
    """Whether a former address leads elsewhere by now."""
    if alias["kind"] != AliasKind.REDIRECT:
        return False
    standing = pages.former(session, alias["key"])
    return standing is not None or pages.by_slug(session, alias["key"]) is not None


def _with(session: Session, rows: Sequence[Memory], column: str, table: Any) -> list[Memory]:
    """The rows whose other end is there."""
    wanted = {row[column] for row in rows} - {None}
    there: set[Any] = {None}
    for some in chunks(sorted(wanted)):
        there.update(session.exec(select(table.id).where(table.id.in_(some))).all())
    return [row for row in rows if row[column] in there]


def _put_links(session: Session, page_id: int, became: Memory) -> None:
    """Put links back; those to a page that is removed itself come back with that one."""
    changed = [entry[0] for entry in became["changed"]]
    ends = {
        link_id: (link["source_id"], link["target_id"])
        for some in chunks(changed)
        for link_id, link in remembered.links(session, col(Link.id).in_(some)).items()
    }
    ends |= {link["id"]: (link["source_id"], link["target_id"]) for link in became["gone"]}
    wanted = {end for both in ends.values() for end in both}
    kinds: dict[int, PageKind] = {}
    for some in chunks(sorted(wanted)):
        found = sa.select(col(Page.id), col(Page.kind)).where(col(Page.id).in_(some))
        kinds |= {row.id: row.kind for row in session.connection().execute(found)}

    def waits_for(link_id: int) -> int:
        """The other page that has to be back first; 0 for none."""
        others = (end for end in ends.get(link_id, ()) if end != page_id)
        return next((end for end in others if kinds.get(end) == PageKind.REMOVED), 0)

    later: dict[int, Memory] = {}
    now = _nothing() | {"made": became["made"]}
    for entry in became["changed"]:
        other = waits_for(entry[0])
        (later.setdefault(other, _nothing()) if other else now)["changed"].append(entry)
    for link in became["gone"]:
        if not all(end in kinds for end in ends[link["id"]]):
            continue
        other = waits_for(link["id"])
        (later.setdefault(other, _nothing()) if other else now)["gone"].append(link)
    remembered.put_back_links(session, now)
    for other, links in later.items():
        _leave(session, other, links)


def _leave(session: Session, page_id: int, links: Memory) -> None:
    """Let links come back with another page."""
    change, _ = standing(session, session.get_one(Page, page_id))
    known = change.content["links"]
    joined = {name: [*known[name], *links[name]] for name in ("changed", "gone")}
    change.content = {**change.content, "links": {**known, **joined}}
    session.add(change)
    session.flush()
