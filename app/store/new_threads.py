"""New threads as rows: papers that wait to be read for them, what stands, and what accepting writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.markdown import name_key
from app.domain.new_threads import Rarity, Source
from app.domain.records import (
    Change,
    ChangeKind,
    Done,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    PageText,
    Paper,
    Relation,
    Role,
    Thread,
    ThreadStatus,
    Topic,
)
from app.errors import Conflict
from app.store import concepts, pages, runs
from app.store.corpus import Library, chunks
from app.store.db import bump
from app.store.pages import Author, Content

PARTNERS = 60  # papers that are read with a new one
MOST_PARTNERS = 1_500  # of a batch
_FEWEST_PAPERS = 2  # that say a word, for it to lead to a partner


def waiting(step: str, session: Session, *, now: datetime) -> sa.Select[Any]:
    """Selects page_id and hash of kept papers whose text was not read for threads as it stands."""
    columns: Any = (col(PageText.page_id), col(PageText.hash))
    statement: sa.Select[Any] = sa.select(*columns)
    noted = sa.and_(col(Done.step) == step, col(Done.subject_id) == col(PageText.page_id))
    return (
        statement.join(Paper, col(Paper.page_id) == col(PageText.page_id))
        .outerjoin(Done, noted)
        .where(
            sa.func.coalesce(col(Done.seen), "") != col(PageText.hash),
            col(PageText.page_id).not_in(runs.blocked(session, step, now=now)),
        )
    )


def sources(session: Session, page_ids: Collection[int]) -> dict[int, Source]:
    """These kept papers as they are read: of what has an abstract the abstract, else its text."""
    found: dict[int, Source] = {}
    for some in chunks(sorted(page_ids)):
        rows = session.connection().execute(
            sa.select(
                col(Page.id),
                col(Page.title),
                sa.func.coalesce(sa.func.nullif(col(Paper.abstract), ""), col(PageText.text)),
                sa.func.coalesce(col(Paper.published), ""),
                col(Paper.authors),
                sa.case((col(Paper.abstract) != "", "abstract"), else_="text"),
            )
            .join(Paper, col(Paper.page_id) == col(Page.id))
            .join(PageText, col(PageText.page_id) == col(Page.id))
            .where(col(Page.id).in_(some), col(Page.kind) == PageKind.PAPER)
        )
        for page_id, title, text, published, authors, where in rows:
            found[page_id] = Source(page_id, title, text, published, tuple(authors or ()), where)
    return found


def partners(library: Library, stems: Mapping[int, Collection[str]]) -> list[int]:
    """Papers that share most rare words with statements of these; ids of pages, none of these, at most
    `MOST_PARTNERS`.

    stems: by paper, those of its statements. The library is up to date. One pass over the words of
    all papers, whatever number is asked about.
    """
    text = library.papers.text
    often = _often(library)
    columns = {
        column: stem
        for stem in sorted({stem for some in stems.values() for stem in some})
        if (column := library.lexicon.column(stem)) is not None
        and column < text.shape[1]
        and often[column] >= _FEWEST_PAPERS
    }
    if not columns:
        return []
    order = np.array(sorted(columns), np.int64)
    idf = np.log((text.shape[0] + 1) / (often[order] + 1))
    said = text[:, order]
    said.data = np.ones_like(said.data)
    place = {columns[int(column)]: at for at, column in enumerate(order)}
    own = np.isin(library.papers.ids, list(stems))
    ranked: list[list[int]] = []
    for some in stems.values():
        weights = np.zeros(len(order), np.float32)
        mine = [place[stem] for stem in some if stem in place]
        weights[mine] = idf[mine] ** 2
        score = np.asarray(said @ weights).ravel()
        score[own] = 0
        # Of equal ones the later: papers are in the order in which they came out.
        late = len(score) - 1 - np.argsort(-score[::-1], kind="stable")[:PARTNERS]
        ranked.append([int(library.papers.ids[at]) for at in late if score[at] > 0])
    # The best of each paper first, so that none goes without where there are too many.
    found = dict.fromkeys(page for some in zip_longest(*ranked) for page in some if page)
    return list(found)[:MOST_PARTNERS]


def rarity(library: Library, stems: Iterable[str]) -> Rarity:
    """How many kept papers say each of these stems."""
    often = _often(library)
    counts = {
        stem: int(often[column])
        for stem in set(stems)
        if (column := library.lexicon.column(stem)) is not None and column < len(often)
    }
    return Rarity(counts, library.papers.text.shape[0])


def _often(library: Library) -> Any:
    text = library.papers.text
    return np.bincount(text.indices, minlength=text.shape[1])


@dataclass(frozen=True)
class Standing:
    """A thread that was proposed before, as it stands; `members` are ids of pages."""

    key: str
    status: LinkStatus
    members: tuple[int, ...]
    reason: str
    at: datetime


def standing(session: Session) -> list[Standing]:
    """Every thread that was ever proposed, the oldest first."""
    rows = session.connection().execute(
        sa.select(
            col(Change.key),
            col(Change.status),
            col(Change.content),
            col(Change.reason),
            col(Change.decided_at),
            col(Change.created_at),
        )
        .where(col(Change.kind) == ChangeKind.THREAD)
        .order_by(col(Change.id))
    )
    return [
        Standing(row.key, row.status, pages_of(row.content), row.reason, row.decided_at or row[5])
        for row in rows
    ]


def pages_of(content: Mapping[str, Any]) -> tuple[int, ...]:
    """The ids of the members that a proposal names; what is none is left out."""
    rows = content.get("members", ())
    return tuple(
        row["page"] for row in rows if isinstance(row, Mapping) and isinstance(row.get("page"), int)
    )


def made_since(session: Session, *, now: datetime, hours: int = 24) -> int:
    """How many threads were proposed in the last hours."""
    counting = sa.select(sa.func.count()).where(
        col(Change.kind) == ChangeKind.THREAD, col(Change.created_at) > now - timedelta(hours=hours)
    )
    return session.connection().execute(counting).scalar_one()


def about(session: Session, page_ids: Collection[int]) -> dict[int, set[int]]:
    """The concepts (ids of pages) that each of these papers is about."""
    found: dict[int, set[int]] = {}
    for paper, concept in session.connection().execute(
        sa.select(col(Link.source_id), col(Link.target_id)).where(
            col(Link.source_id).in_(list(page_ids)),
            col(Link.relation) == Relation.ABOUT,
            col(Link.status) == LinkStatus.ACCEPTED,
        )
    ):
        found.setdefault(paper, set()).add(concept)
    return found


def slugs(session: Session, page_ids: Collection[int]) -> dict[int, str]:
    """The addresses of these papers, those that are there."""
    rows = session.connection().execute(
        sa.select(col(Page.id), col(Page.slug)).where(
            col(Page.id).in_(list(page_ids)), col(Page.kind) == PageKind.PAPER
        )
    )
    return {page_id or 0: slug for page_id, slug in rows}


def taken_names(session: Session, names: Sequence[str]) -> set[str]:
    """Those of the names that a page or a topic has already."""
    there = pages.resolve(session, names)
    topics = {name_key(name) for name in session.exec(select(Topic.name))}
    return {name for name in names if name_key(name) in there or name_key(name) in topics}


# ---------------------------------------------------------------- accepted


def write(
    session: Session,
    *,
    title: str,
    claim: str,
    claim_from: int,
    members: Sequence[Mapping[str, Any]],
    confidence: float,
    evidence: Sequence[Mapping[str, Any]],
    author: Author,
    now: datetime,
) -> concepts.Memory:
    """The page of a thread, its claim and its members; what `take_back` needs to take it away.

    claim_from: the paper whose sentence the claim is, 0 for none. members: {page, role, line, day} each; one whose page is gone is left out. A piece of evidence
    that names the address of a paper goes with that paper's place. Raises Conflict when a page has
    that name already, or no member is there any more.
    """
    taken = pages.resolve(session, [title]).get(name_key(title))
    if taken is not None:
        raise Conflict(
            f"There is a page of that name already: {taken.title}. "
            "Give the new thread another name, or reject the proposal."
        )
    there = slugs(session, [int(each["page"]) for each in members])
    if not there:
        raise Conflict("None of these papers has a page any more: reject this proposal.")
    page = pages.create(
        session,
        Content(title=title, kind=PageKind.THREAD, body=_body(session, len(there), claim_from)),
        author=author,
        now=now,
        note=f"proposed from {len(there)} papers, accepted in review",
    )
    assert page.id is not None
    session.add(Thread(page_id=page.id, claim=claim))
    linked = {
        link.source_id
        for link in session.exec(
            select(Link).where(Link.target_id == page.id, Link.relation == Relation.PART_OF)
        )
    }
    made = []
    for each in members:
        if each["page"] not in there or each["page"] in linked:
            continue
        linked.add(each["page"])
        made.append(
            Link(
                source_id=each["page"],
                target_id=page.id,
                relation=Relation.PART_OF,
                role=Role(each["role"]),
                note=str(each["line"]),
                day=str(each["day"]),
                status=LinkStatus.ACCEPTED,
                origin=Origin.LINKER,
                confidence=confidence,
                reason="among the papers the thread was proposed from",
                evidence=[dict(e) for e in evidence if e.get("page") == there[each["page"]]],
                created_at=now,
                decided_at=now,
            )
        )
    session.add_all(made)
    session.flush()
    pages.reindex(session, page)
    bump(session)
    return {
        "page": page.id,
        "links": [link.id for link in made],
        "said": [[link.role.value if link.role else "", link.note, link.day] for link in made],
        "claim": claim,
    }


def _body(session: Session, papers: int, claim_from: int) -> str:
    """What the page says: from how many papers it was put together, and whose sentence the claim is."""
    page = session.get(Page, claim_from) if claim_from else None
    if page is None:
        return f"Put together from {papers} papers.\n"
    title = " ".join(page.title.translate(_NO_LABEL).split())
    told = (
        f"Put together from {papers} papers. The claim is a sentence of [[{page.slug}|{title}]], "
        "as it stands there.\n"
    )
    return pages.by_file_names(session, told)


_NO_LABEL = str.maketrans({"[": "(", "]": ")", "{": "(", "}": ")", "|": "/", "\n": " ", "`": "'"})


def take_back(session: Session, memory: Mapping[str, Any], *, now: datetime) -> None:
    """Take away the thread that was written so. Raises Conflict when it was worked on since."""
    page = session.get(Page, memory["page"])
    if page is None:
        return
    thread = session.get(Thread, page.id)
    said = dict(zip(memory["links"], memory["said"], strict=True))
    links = session.exec(select(Link).where(col(Link.id).in_(list(said)))).all()
    moved = len(links) < len(said) or any(
        link.target_id != page.id
        or link.status != LinkStatus.ACCEPTED
        or [link.role.value if link.role else "", link.note, link.day] != said[link.id]
        for link in links
    )
    if (
        page.kind != PageKind.THREAD
        or moved
        or thread is None
        or thread.claim != memory["claim"]
        or thread.status != ThreadStatus.OPEN
    ):
        raise Conflict(
            f"{page.title} has been worked on since. The page stays; take back what was done there first."
        )
    concepts.take_page(session, page, but=memory["links"], now=now)
