"""Concepts and threads that become one, or two: what moves, and what must be remembered to move it back.

A merged page keeps its row, its text and its history; its names, its links and what else hung on it
go to the page it went into, so that no list and no search meets it. What each function returns is
kept with the decision (`Decision.before`), and is all that taking it back needs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.domain.markdown import name_key
from app.domain.ownership import Owner
from app.domain.records import (
    GONE,
    Alias,
    AliasKind,
    Change,
    ChangeKind,
    Decision,
    Identifier,
    Item,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    PageTag,
    PageText,
    Question,
    Relation,
    Rule,
    Thread,
    Vector,
)
from app.errors import Conflict, Invalid
from app.store import changes, links, pages, remembered, sections, vectors
from app.store.db import TEXTS, bump
from app.store.pages import Author, Content
from app.store.remembered import chunks, difference, plain, put_back_links

Memory = remembered.Memory
CLAIMS = "claims"  # in `Page.extra` of a thread: the claims it had before
_MOST_EVIDENCE = 8
_BEGINNING = 3_000  # characters of a paper's text, for its words
_RANK = {
    LinkStatus.PROPOSED: 0,
    LinkStatus.DEFERRED: 1,
    LinkStatus.REJECTED: 2,
    LinkStatus.ACCEPTED: 3,
}
# What a link says of its two pages; the rest is who it is.
_SAID = (
    *("role", "note", "day", "status", "origin", "confidence", "reason", "evidence", "signals"),
    *("text_hash", "extra", "created_at", "decided_at"),
)


# What is put together and taken apart, and how a paper belongs to it.
_HOLDS = {PageKind.CONCEPT: Relation.ABOUT, PageKind.THREAD: Relation.PART_OF}


def belongs(kind: PageKind) -> Relation:
    """How papers are linked to a page of this kind: about a concept, part of a thread."""
    return _HOLDS.get(kind, Relation.ABOUT)


def heir(session: Session, page_id: int) -> Page | None:
    """The page that a merged one went into, at the end of all merges; None for any other page."""
    found, seen = session.get(Page, page_id), set[int]()
    while found is not None and found.kind == PageKind.MERGED and found.id not in seen:
        seen.add(found.id or 0)
        into = session.exec(
            select(Change.target_id).where(
                Change.kind == ChangeKind.MERGE,
                Change.source_id == found.id,
                Change.status == LinkStatus.ACCEPTED,
            )
        ).first()
        found = session.get(Page, into) if into else None
    return found if seen else None


def stays(session: Session, one: Page, other: Page) -> tuple[Page, Page]:
    """Two concepts, or threads, as (the one that goes, the one that stays).

    The one with more accepted links stays, then the one with more text, then the older.
    """

    def weight(page: Page) -> tuple[int, int, int]:
        assert page.id is not None
        counted = links.counts(session, page.id)
        return counted["incoming"] + counted["outgoing"], len(page.body), -page.id

    return (other, one) if weight(one) > weight(other) else (one, other)


# ---------------------------------------------------------------- two become one


def merge(session: Session, source: Page, target: Page, *, author: Author, now: datetime) -> Memory:
    """Let a concept or thread go into another of its kind; what `unmerge` needs to undo it.

    The target takes its names, addresses, tags and links, what was decided about them included; of
    two links that become the same the more decided one speaks. It takes the text too, after its own
    and under a heading of the source's title. A thread keeps its own claim, and takes the other's
    where it has none. Raises Invalid for a page with itself, or one of another kind.
    """
    _check(source, target)
    assert source.id is not None and target.id is not None
    writers = pages.linked_to(session, [source.id])
    before = _watched(session, source.id, target.id, writers)
    was_source, was_target = pages.content_of(session, source), pages.content_of(session, target)
    memory: Memory = {
        "pages": [
            source.id,
            target.id,
        ],  # a change of a merge that was undone is not of them for good
        "claim": _take_claim(session, source, target),
        "source": {
            "slug": source.slug,
            "kind": source.kind.value,
            "title_key": source.title_key,
            "aliases": _alias_rows(session, source.id),
            "tags": list(was_source.tags),
        },
        "addresses": _take_names(session, source, target),
        "writers": sorted(writers),
    }
    memory["rest"] = _move_the_rest(session, source.id, target.id)
    _move(session, _author_links(session, source.id, target.id), "target_id", target.id)
    added = _under_heading(was_target.body, source.title, was_source.body)
    wanted = replace(
        was_target,
        body=was_target.body + added,
        aliases=(*was_target.aliases, source.title, *was_source.aliases),
        tags=(*was_target.tags, *was_source.tags),
    )
    note = f"{source.title} went into this page"
    came = sections.of_page(session, source)
    pages.revise(session, target, wanted, author=author, now=now, note=note)
    sections.inherit(session, target, came, Owner(author.kind, author.name, author.prompt))
    pages.relink_all(session, {*writers, source.id, target.id}, now=now)
    _join_links(session, source.id, target.id)
    session.flush()
    session.expire_all()
    now_target = pages.content_of(session, target)
    memory["target"] = {
        "aliases": _added(was_target.aliases, now_target.aliases),
        "tags": _added(was_target.tags, now_target.tags),
        "body": now_target.body if now_target.body != was_target.body else None,
        "was": was_target.body,
        "added": added,
    }
    memory["links"] = difference(before, _watched(session, source.id, target.id, writers, before))
    say_so(session)
    return memory


def _under_heading(body: str, title: str, more: str) -> str:
    """What is added to a text so that it holds another one as well; nothing when it does already."""
    if not more.strip() or more.strip() in body:
        return ""
    return f"\n\n## {title}\n\n{more}" if body.strip() else more


def _without(given: Mapping[str, Any], body: str) -> str:
    """The text as it stands less what the merge added to it; what was written since stays."""
    if body == given["body"]:
        return str(given["was"])
    added = str(given["added"]) if given["was"] else ""
    return body.replace(added, "", 1) if added else body


def unmerge(
    session: Session, source: Page, target: Page, memory: Memory, *, author: Author, now: datetime
) -> None:
    """Take a merge back. Raises Conflict, in words, when something stands in the way.

    What was written or decided since stays where it is; what the merge moved goes back.
    """
    _check_undoing(session, source, target, memory)
    assert source.id is not None and target.id is not None
    was = memory["source"]
    writers = {*memory["writers"], *pages.linked_to(session, [source.id, target.id])}
    for slug in memory["addresses"]:
        session.connection().execute(
            sa.delete(Alias).where(
                col(Alias.page_id) == target.id,
                col(Alias.key) == name_key(slug),
                col(Alias.kind) == AliasKind.REDIRECT,
            )
        )
    source.slug, source.title_key, source.kind = was["slug"], was["title_key"], target.kind
    session.add(source)
    thread = session.get(Thread, target.id)
    if thread is not None and memory.get("claim") and thread.claim == memory["claim"]:
        thread.claim = ""
        session.add(thread)
    for row in was["aliases"]:
        session.connection().execute(sa.insert(Alias.__table__).values(row))  # type: ignore[attr-defined]
    session.add_all(PageTag(page_id=source.id, name=name) for name in was["tags"])
    session.flush()
    put_back_links(session, memory["links"], source.id, target.id)
    _put_back_the_rest(session, memory["rest"], source.id, target.id)
    session.expire_all()
    given, standing = memory["target"], pages.content_of(session, target)
    content = replace(
        standing,
        body=_without(given, standing.body),
        aliases=_less(standing.aliases, given["aliases"]),
        tags=_less(standing.tags, given["tags"]),
    )
    note = f"{source.title} is a page of its own again"
    pages.revise(session, target, content, author=author, now=now, note=note)
    pages.relink_all(session, {*writers, source.id, target.id}, now=now)
    pages.reindex(session, source)
    say_so(session)


def _take_claim(session: Session, source: Page, target: Page) -> str:
    """The claim that a thread without one gets from the one that goes into it, else ""."""
    theirs, own = session.get(Thread, source.id), session.get(Thread, target.id)
    if target.kind != PageKind.THREAD or not (theirs and theirs.claim) or (own and own.claim):
        return ""
    own = own or Thread(page_id=target.id or 0)
    own.claim = theirs.claim
    session.add(own)
    return own.claim


def effect(
    session: Session, source_id: int, target_id: int, *, kind: PageKind = PageKind.CONCEPT
) -> dict[str, int]:
    """What a merge would move: `links`, `papers` (that both hold: `shared`), `names`, `mentions`."""
    held = [_members_of(page_id, kind) for page_id in (source_id, target_id)]
    one, other = (set(session.connection().execute(each).scalars()) for each in held)
    counted = links.counts(session, source_id)
    return {
        "papers": len(one),
        "shared": len(one & other),
        "links": counted["incoming"] + counted["outgoing"],
        "names": len(pages.aliases_of(session, source_id)) + 1,
        "mentions": len(pages.linked_to(session, [source_id])),
    }


def paper_counts(session: Session, page_ids: Collection[int]) -> dict[int, int]:
    """How many papers each of these concepts or threads holds; those with none are left out."""
    statement = (
        sa.select(col(Link.target_id), sa.func.count())
        .where(
            col(Link.target_id).in_(list(page_ids)),
            col(Link.relation).in_(list(_HOLDS.values())),
            col(Link.status) == LinkStatus.ACCEPTED,
        )
        .group_by(col(Link.target_id))
    )
    return dict(session.connection().execute(statement).all())


def members(
    session: Session, page_id: int, *, limit: int, kind: PageKind = PageKind.CONCEPT
) -> list[Any]:
    """The papers a concept or thread holds, the newest link first: id, slug, title, text (its beginning).

    Links that a text makes are left out: they stay as the text says.
    """
    statement = (
        sa.select(
            col(Page.id),
            col(Page.slug),
            col(Page.title),
            sa.func.substr(col(PageText.text), 1, _BEGINNING).label("text"),
        )
        .join(Link, col(Link.source_id) == col(Page.id))
        .outerjoin(PageText, col(PageText.page_id) == col(Page.id))
        .where(
            col(Link.target_id) == page_id,
            col(Link.relation) == belongs(kind),
            col(Link.status) == LinkStatus.ACCEPTED,
            col(Link.origin) != Origin.AUTHOR,
        )
        .order_by(col(Link.id).desc())
        .limit(limit)
    )
    return list(session.connection().execute(statement))


def _members_of(page_id: int, kind: PageKind) -> sa.Select[Any]:
    return sa.select(col(Link.source_id)).where(
        col(Link.target_id) == page_id,
        col(Link.relation) == belongs(kind),
        col(Link.status) == LinkStatus.ACCEPTED,
    )


def _check(source: Page, target: Page) -> None:
    if source.kind not in _HOLDS:
        wrong = "only two concepts, or two threads, can become one."
        raise Invalid(f"{source.title} is no {PageKind.CONCEPT.value}: {wrong}")
    word = source.kind.value
    if source.id == target.id:
        raise Invalid(f"{source.title} is this very page: choose another {word}.")
    if target.kind != source.kind:
        raise Invalid(f"{target.title} is no {word}: only two {word}s can become one.")


def _check_undoing(session: Session, source: Page, target: Page, memory: Memory) -> None:
    if source.kind != PageKind.MERGED:
        raise Conflict(f"{source.title} is a page of its own already.")
    if target.kind == PageKind.MERGED:
        into = heir(session, target.id or 0)
        raise Conflict(
            f"{target.title} went into {into.title if into else 'another page'} since. "
            "Undo that merge first."
        )
    if target.kind == PageKind.REMOVED:
        raise Conflict(f"{target.title} was removed since. Put it back first.")
    kind = memory["source"].get("kind", PageKind.CONCEPT.value)
    if target.kind != kind:
        raise Conflict(f"{target.title} is no {kind} any more. Make it one again first.")
    taken = pages.by_slug(session, memory["source"]["slug"])
    if taken is not None:
        raise Conflict(f"{taken.title} lives at {taken.slug!r} now. Move it to another address.")


def _take_names(session: Session, source: Page, target: Page) -> list[str]:
    """Let the addresses of the source lead to the target, and nothing to the source.

    Returns the addresses that the target did not have.
    """
    assert source.id is not None and target.id is not None
    former = select(Alias.name, Alias.key).where(Alias.kind == AliasKind.REDIRECT)
    theirs = [(source.slug, name_key(source.slug))]
    theirs += session.exec(former.where(Alias.page_id == source.id).order_by(col(Alias.id))).all()
    taken = {key for _, key in session.exec(former.where(Alias.page_id == target.id))}
    vectors.make_way(session)
    for table in (Alias, PageTag, PageText, Vector):
        session.connection().execute(sa.delete(table).where(col(table.page_id) == source.id))
    source.slug = pages.free_slug(session, f"{source.slug[:180]}-merged")
    source.kind, source.title_key = PageKind.MERGED, ""
    session.add(source)
    new = [(name, key) for name, key in theirs if key not in taken]
    session.add_all(
        Alias(page_id=target.id, name=name, key=key, kind=AliasKind.REDIRECT) for name, key in new
    )
    session.flush()
    session.expire_all()
    return [name for name, _ in new]


def _added(before: Sequence[str], after: Sequence[str]) -> list[str]:
    known = {name_key(name) for name in before}
    return [name for name in after if name_key(name) not in known]


def _less(names: Sequence[str], gone: Sequence[str]) -> tuple[str, ...]:
    keys = {name_key(name) for name in gone}
    return tuple(name for name in names if name_key(name) not in keys)


def say_so(session: Session) -> None:
    """What was computed from links, from concepts or from pages is stale."""
    for counter in (links.ACCEPTED, "concepts", "wiki", TEXTS):
        bump(session, counter)


# ---------------------------------------------------------------- links


def _author_links(session: Session, source_id: int, target_id: int) -> list[int]:
    """Links by texts to the source whose pages have none like it to the target."""
    other = aliased(Link)
    statement = sa.select(col(Link.id)).where(
        col(Link.target_id) == source_id,
        col(Link.origin) == Origin.AUTHOR,
        col(Link.source_id) != target_id,
        ~sa.exists().where(
            col(other.source_id) == col(Link.source_id),
            col(other.relation) == col(Link.relation),
            col(other.target_id) == target_id,
        ),
    )
    return [found or 0 for found in session.connection().execute(statement).scalars()]


def _join_links(session: Session, source_id: int, target_id: int) -> None:
    """Move what links still touch the source; those that become one with another are joined.

    What finds no place stays with the merged page, as rejected: shown nowhere, and still there.
    """
    for here, there in (("target_id", "source_id"), ("source_id", "target_id")):
        here_column, there_column = getattr(Link, here), getattr(Link, there)
        mine = session.exec(select(Link).where(here_column == source_id)).all()
        others: dict[tuple[int, Relation], Link] = {}
        for some in chunks({getattr(link, there) for link in mine}):
            statement = select(Link).where(here_column == target_id, there_column.in_(some))
            for link in session.exec(statement):
                others[getattr(link, there), link.relation] = link
        moved = []
        for link in mine:
            other = others.get((getattr(link, there), link.relation))
            if getattr(link, there) == target_id:
                link.status = LinkStatus.REJECTED
            elif other is None:
                moved.append(link.id or 0)
                continue
            else:
                _join(link, other)
                session.add(other)
            session.add(link)
        session.flush()
        _move(session, moved, here, target_id)


def _join(link: Link, other: Link) -> None:
    """Let `other` say what either says, and `link` rest."""
    theirs, mine = other.evidence, link.evidence
    if other.origin != Origin.AUTHOR:  # what a text says is said by that text alone
        if _RANK[link.status] > _RANK[other.status]:
            for name in _SAID:
                setattr(other, name, getattr(link, name))
            theirs, mine = mine, theirs
        other.evidence = [*theirs, *(each for each in mine if each not in theirs)]
        other.evidence = other.evidence[: max(_MOST_EVIDENCE, len(theirs))]
    if link.status == other.status == LinkStatus.ACCEPTED:  # in both: what one does not say
        other.role, other.note = other.role or link.role, other.note or link.note
    link.status = LinkStatus.REJECTED


def _move(session: Session, link_ids: Sequence[int], column: str, page_id: int) -> None:
    for some in chunks(link_ids):
        session.connection().execute(
            sa.update(Link).where(col(Link.id).in_(some)).values({column: page_id})
        )
    session.expire_all()


def _watched(
    session: Session,
    source_id: int,
    target_id: int,
    writers: Collection[int],
    before: Iterable[int] = (),
) -> dict[int, Memory]:
    """Every link that a merge may change, as plain values by id; those of `before` in any case."""
    pair = [source_id, target_id]
    partners = sa.select(col(Link.source_id)).where(col(Link.target_id) == source_id)
    conditions: list[Any] = [
        col(Link.target_id) == source_id,
        col(Link.source_id).in_(pair),
        (col(Link.target_id) == target_id) & col(Link.source_id).in_(partners),
    ]
    for some in chunks(writers):
        mine = col(Link.source_id).in_(some)
        conditions.append(
            mine & ((col(Link.origin) == Origin.AUTHOR) | col(Link.target_id).in_(pair))
        )
    conditions += [col(Link.id).in_(some) for some in chunks(before)]
    return remembered.links(session, *conditions)


def _alias_rows(session: Session, page_id: int) -> list[Memory]:
    table = Alias.__table__  # type: ignore[attr-defined]
    columns = (column for column in table.c if column.name != "id")
    statement = sa.select(*columns).where(table.c.page_id == page_id).order_by(table.c.id)
    return [plain(row) for row in session.connection().execute(statement)]


# ---------------------------------------------------------------- what else hangs on a page


def _move_the_rest(session: Session, source_id: int, target_id: int) -> Memory:
    """Rules, identifiers, items and questions go to the target; changes about the source rest."""
    moved: dict[str, list[int]] = {}
    for table, column in _OWNED:
        here = getattr(table, column)
        found = session.exec(select(table.id).where(here == source_id).order_by(table.id)).all()
        moved[table.__name__] = list(found)
        session.connection().execute(
            sa.update(table).where(here == source_id).values({column: target_id})
        )
    last = sa.select(sa.func.max(Question.number)).where(col(Question.page_id) == target_id)
    number = session.scalar(last) or 0
    numbers: list[list[int | None]] = []
    for question in pages.questions_of(session, source_id):
        number += 1
        numbers.append([question.id, question.number, int(question.in_text)])
        # The text it stood in went too: that of the target does not list it.
        question.page_id, question.number, question.in_text = target_id, number, False
        session.add(question)
    session.flush()
    return {
        "owned": moved,
        "questions": numbers,
        "changes": _rest_changes(session, source_id, target_id),
    }


_OWNED: tuple[tuple[Any, str], ...] = (
    (Rule, "concept_id"),
    (Identifier, "page_id"),
    (Item, "page_id"),
)


def _rest_changes(session: Session, source_id: int, target_id: int) -> list[Any]:
    """Proposals about the source wait no longer; a rejected merge of it is one of the target."""

    def of_the_target(change: Change) -> Memory:
        if change.kind != ChangeKind.MERGE:
            return {}
        other = change.target_id if change.source_id == source_id else change.source_id
        key = changes.merge_key(other or 0, target_id)
        if not other or other == target_id or changes.keyed(session, [key]):
            return {}
        side = "source_id" if change.source_id == source_id else "target_id"
        return {"key": key, side: target_id}

    return remembered.rest_changes(session, [source_id], of_the_target)


def _put_back_the_rest(session: Session, memory: Memory, source_id: int, target_id: int) -> None:
    for table, column in _OWNED:
        here = getattr(table, column)
        for some in chunks(memory["owned"][table.__name__]):
            session.connection().execute(
                sa.update(table)
                .where(table.id.in_(some), here == target_id)
                .values({column: source_id})
            )
    for question_id, number, *in_text in memory["questions"]:
        question = session.get(Question, question_id)
        if question is not None and question.page_id == target_id:
            question.page_id, question.number = source_id, number
            question.in_text = bool(in_text and in_text[0])
            session.add(question)
            session.flush()
    remembered.put_back_changes(session, memory["changes"])


# ---------------------------------------------------------------- one becomes two


def split(
    session: Session,
    source: Page,
    *,
    title: str,
    aliases: Sequence[str],
    members: Collection[int],
    author: Author,
    now: datetime,
    claim: str = "",
) -> tuple[Page, Memory]:
    """Make a part of a concept or thread a page of its own: these of its names and of its papers.

    The text stays; a new thread has a `claim` of its own. Returns the new page and what `unsplit`
    needs. Raises Invalid when the page is neither, or the new title is the old one.
    """
    assert source.id is not None
    if source.kind not in _HOLDS:
        wrong = "only a concept or a thread can be split."
        raise Invalid(f"{source.title} is no {PageKind.CONCEPT.value}: {wrong}")
    if name_key(title) == source.title_key:
        wrong = f"The new {source.kind.value} needs a title of its own."
        raise Invalid(wrong, fields={"title": wrong})
    before = pages.content_of(session, source)
    own = {name_key(name): name for name in before.aliases}
    going = {name_key(name) for name in (*aliases, title)} & own.keys()
    staying = tuple(name for key, name in own.items() if key not in going)
    note = f"split: {' '.join(title.split())} is a page of its own"
    pages.revise(
        session, source, replace(before, aliases=staying), author=author, now=now, note=note
    )
    made = pages.create(
        session,
        Content(
            title=title,
            kind=source.kind,
            aliases=tuple(own[key] for key in own if key in going),
            tags=before.tags,
        ),
        author=author,
        now=now,
        note=f"split from {source.title}",
    )
    assert made.id is not None
    if source.kind == PageKind.THREAD:
        session.add(Thread(page_id=made.id, claim=claim))
        session.flush()
        pages.reindex(session, made)
    wanted = set(members)
    rows = session.connection().execute(
        sa.select(col(Link.id), col(Link.source_id))
        .where(
            col(Link.target_id) == source.id,
            col(Link.relation) == belongs(source.kind),
            col(Link.status) == LinkStatus.ACCEPTED,
            col(Link.origin) != Origin.AUTHOR,  # what a text says stays as it says it
        )
        .order_by(col(Link.id))
    )
    standing = session.connection().execute(
        sa.select(col(Link.source_id)).where(
            col(Link.target_id) == made.id, col(Link.relation) == belongs(source.kind)
        )
    )
    wanted -= set(standing.scalars())
    held = {paper: link_id or 0 for link_id, paper in rows}
    if unknown := sorted(set(members) - held.keys()):
        named = ", ".join(map(str, unknown[:5]))
        wrong = f"{source.title} holds no paper {named}. Load the page again and choose anew."
        raise Invalid(wrong, fields={"member": wrong})
    moved = [link_id for paper, link_id in held.items() if paper in wanted]
    _move(session, moved, "target_id", made.id)
    say_so(session)
    return made, {
        "page": made.id,
        "kind": source.kind.value,
        "links": moved,
        "aliases": [own[key] for key in sorted(going)],
    }


def unsplit(
    session: Session, source: Page, memory: Memory, *, author: Author, now: datetime
) -> None:
    """Take a split back: names and papers return and the page it made goes. Raises Conflict."""
    assert source.id is not None
    made = session.get(Page, memory["page"])
    kind = memory.get("kind", PageKind.CONCEPT.value)
    if source.kind != kind:
        raise Conflict(f"{source.title} is no {kind} any more. Undo what was done to it first.")
    if made is not None:
        _make_room(session, source, made, memory["links"])
        _move(session, memory["links"], "target_id", source.id)
        take_page(session, made, but=(), now=now)
    before = pages.content_of(session, source)
    names = replace(before, aliases=(*before.aliases, *memory["aliases"]))
    pages.revise(session, source, names, author=author, now=now, note="the split was taken back")
    say_so(session)


def _make_room(session: Session, source: Page, made: Page, link_ids: Sequence[int]) -> None:
    """Take away what was proposed of papers that go back to `source`: they are about it again.

    Raises Conflict when it was accepted or decided.
    """
    moved, again = aliased(Link), aliased(Link)
    undecided = ~sa.exists().where(
        col(Decision.link_id) == col(again.id),
        col(Decision.undone).is_(False),
        col(Decision.undoes_id).is_(None),
    )
    found: list[Any] = []
    for some in chunks(link_ids):
        found += session.connection().execute(
            sa.select(
                col(moved.id),
                col(again.id),
                sa.and_(col(again.status) != LinkStatus.ACCEPTED, undecided),
            )
            .join(again, col(again.source_id) == col(moved.source_id))
            .where(
                col(moved.id).in_(some),
                col(again.target_id) == source.id,
                col(again.relation) == belongs(source.kind),
            )
        )
    if not all(is_free for _, _, is_free in found):
        raise Conflict(
            f"A paper that moved to {made.title} was decided about {source.title} again since. "
            "Take that decision back first."
        )
    for back, proposed, _ in found:
        # What was decided of it and taken back stays on record, with the link that stays.
        session.connection().execute(
            sa.update(Decision).where(col(Decision.link_id) == proposed).values(link_id=back)
        )
        session.connection().execute(sa.delete(Link).where(col(Link.id) == proposed))


# ---------------------------------------------------------------- a new concept


def write(
    session: Session,
    content: Content,
    members: Sequence[int],
    *,
    origin: Origin,
    confidence: float,
    evidence: Sequence[Memory],
    author: Author,
    now: datetime,
    note: str,
) -> tuple[Page, Memory]:
    """A concept's page and the papers that are about it; what `take_page` needs to take it away.

    A piece of evidence that names the address of a paper goes with that paper's link. Raises
    Conflict when a page has that name already; other names that some page has are left out.
    """
    taken = pages.resolve(session, [content.title, *content.aliases])
    standing = taken.get(name_key(content.title))
    if standing is not None:
        raise Conflict(
            f"There is a page of that name already: {standing.title}. "
            "Give the new one another title, or reject the proposal."
        )
    free = tuple(name for name in content.aliases if name_key(name) not in taken)
    page = pages.create(session, replace(content, aliases=free), author=author, now=now, note=note)
    assert page.id is not None
    papers = session.connection().execute(
        sa.select(col(Page.id), col(Page.slug)).where(
            col(Page.id).in_(list(members)), col(Page.kind) == PageKind.PAPER
        )
    )
    slugs = dict(papers.all())
    linked = {link.source_id for link in _about(session, page.id)}
    made = []
    for member in dict.fromkeys(members):
        if member not in slugs or member in linked:
            continue
        link = Link(
            source_id=member,
            target_id=page.id,
            relation=Relation.ABOUT,
            status=LinkStatus.ACCEPTED,
            origin=origin,
            confidence=confidence,
            reason="among the papers the concept was proposed from",
            evidence=[dict(each) for each in evidence if each.get("page") == slugs[member]],
            created_at=now,
            decided_at=now,
        )
        session.add(link)
        made.append(link)
    session.flush()
    bump(session)
    return page, {"page": page.id, "links": [link.id for link in made]}


def _about(session: Session, page_id: int) -> Sequence[Link]:
    return session.exec(
        select(Link).where(Link.target_id == page_id, Link.relation == Relation.ABOUT)
    ).all()


def take_page(session: Session, page: Page, *, but: Collection[int], now: datetime) -> None:
    """Take away a page that a decision made, its links `but` included.

    Raises Conflict when somebody has worked on it since: an edit, a claim, a link, a question, a rule.
    Proposals go with it, and what texts link to is unwritten again.
    """
    assert page.id is not None
    worked = [
        sa.exists().where(
            (col(Link.source_id) == page.id) | (col(Link.target_id) == page.id),
            col(Link.status) != LinkStatus.PROPOSED,
            col(Link.origin) != Origin.AUTHOR,
            col(Link.id).not_in(list(but)),
        ),
        sa.exists().where(col(Question.page_id) == page.id),
        sa.exists().where(col(Rule.concept_id) == page.id),
    ]
    if (
        page.version > 1
        or page.extra.get(CLAIMS)
        or page.kind in GONE
        or session.scalar(sa.select(sa.or_(*worked)))
    ):
        raise Conflict(
            f"{page.title} has been worked on since. The page stays; take back what was done there "
            "first."
        )
    writers = pages.linked_to(session, [page.id])
    vectors.make_way(session)
    changed = sa.update(Change).where(col(Change.target_id) == page.id)
    keep = changed.where(col(Change.kind) == ChangeKind.SPLIT).values(target_id=None)
    session.connection().execute(keep)
    session.delete(page)
    session.flush()
    session.expire_all()
    pages.relink_all(session, writers, now=now)
    say_so(session)
