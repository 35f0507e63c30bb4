"""Papers: one row for one work, whatever document speaks of it, and the page a kept one gets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from anyascii import anyascii
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.domain.identifiers import (
    PaperId,
    is_slug,
    parse_arxiv,
    parse_id,
    slugify,
    title_key,
)
from app.domain.independence import LISTED, Met, independent
from app.domain.records import (
    Announced,
    Assessment,
    Decision,
    Identifier,
    Item,
    Link,
    LinkStatus,
    Listing,
    ListingPaper,
    LooseLink,
    Mention,
    Page,
    PageKind,
    Paper,
    PaperState,
    PaperVector,
    Question,
    Source,
    SourceKind,
    Topic,
)
from app.store import joining, pages, topics, vectors
from app.store.db import bump

# Schemes of which a work has one: two papers that differ in it are two works, same title or not.
_EXCLUSIVE = ("arxiv", "doi")


def by_id(session: Session, identifier: PaperId) -> Paper | None:
    values = {"scheme": identifier.scheme, "value": identifier.value}
    return session.exec(_BY_ID, params=values).first()


# Made once: an import asks these of every paper, and putting one together costs more than asking.
_IDENTIFIED = (
    col(Identifier.scheme) == sa.bindparam("scheme"),
    col(Identifier.value) == sa.bindparam("value"),
)
_BY_ID = (
    select(Paper).join(Identifier, col(Identifier.paper_id) == col(Paper.id)).where(*_IDENTIFIED)
)
_IDENTIFIER = select(Identifier).where(*_IDENTIFIED)
_BY_TITLE = (
    select(Paper)
    .where(col(Paper.title_key) == sa.bindparam("key"))
    .order_by(col(Paper.id))
    .limit(20)
)


def of_page(session: Session, page_id: int) -> Paper | None:
    return session.exec(select(Paper).where(Paper.page_id == page_id)).first()


def facts_of(session: Session, page_id: int) -> Any:
    """What the page of a paper tells of it; None for a page of no paper.

    Fields: id, title, abstract, authors, venue, published, categories, code_url, extra.
    """
    return session.connection().execute(_FACTS_OF, {"page": page_id}).first()


_FACTS_OF = sa.select(
    col(Paper.id),
    col(Paper.title),
    col(Paper.abstract),
    col(Paper.authors),
    col(Paper.venue),
    col(Paper.published),
    col(Paper.categories),
    col(Paper.code_url),
    col(Paper.extra),
).where(col(Paper.page_id) == sa.bindparam("page"))


def assessments_of(session: Session, paper_id: int, *, limit: int = 3) -> list[Any]:
    """Rows (scorer, relevance, novelty, topic, comment, day) of a paper, the newest first."""
    return list(session.connection().execute(_ASSESSMENTS, {"paper": paper_id, "limit": limit}))


_ASSESSMENTS = (
    sa.select(
        col(Assessment.scorer),
        col(Assessment.relevance),
        col(Assessment.novelty),
        sa.func.coalesce(col(Topic.name), "").label("topic"),
        col(Assessment.comment),
        col(Assessment.day),
    )
    .outerjoin(Topic, col(Topic.id) == col(Assessment.topic_id))
    .where(col(Assessment.paper_id) == sa.bindparam("paper"))
    .order_by(col(Assessment.id).desc())
    .limit(sa.bindparam("limit"))
)


def identifier_rows(session: Session, paper_id: int) -> list[Any]:
    """Rows (scheme, value) of a paper's identifiers, arXiv first."""
    return list(session.connection().execute(_IDENTIFIERS, {"paper": paper_id}))


_IDENTIFIERS = (
    sa.select(col(Identifier.scheme), col(Identifier.value))
    .where(col(Identifier.paper_id) == sa.bindparam("paper"))
    .order_by(col(Identifier.scheme), col(Identifier.id))
)


def identifiers_of(session: Session, paper_id: int) -> list[Identifier]:
    """Identifiers of a paper, arXiv first."""
    return list(
        session.exec(
            select(Identifier)
            .where(Identifier.paper_id == paper_id)
            .order_by(col(Identifier.scheme), col(Identifier.id))
        )
    )


def told_by(session: Session, paper: Paper) -> int | None:
    """The item that first told of the paper, if all that did are of its source; a listing is another.

    A paper that was there before the first of them came was told of by a file.
    """
    listed = sa.exists().where(col(ListingPaper.paper_id) == paper.id)
    first, sources = (
        session.connection()
        .execute(
            sa.select(
                sa.func.min(col(Item.id)), sa.func.count(sa.distinct(col(Item.source_id)))
            ).where(col(Item.paper_id) == paper.id, ~listed)
        )
        .one()
    )
    if first is None or sources != 1:
        return None
    came = session.get_one(Item, first).received_at
    return first if came <= paper.created_at else None


def reference(session: Session, paper: Paper) -> str:
    """How programs name the paper: `arxiv:…` or another identifier, else its page's slug."""
    assert paper.id is not None
    for found in identifiers_of(session, paper.id):
        return f"{found.scheme}:{found.value}"
    page = session.get(Page, paper.page_id) if paper.page_id else None
    return page.slug if page else wanted_slug(paper) or slugify(paper.title)


def wanted_slug(paper: Paper) -> str:
    """The address that a paper without a page was given; '' when it was given none."""
    slug = paper.extra.get("slug")
    return slug if isinstance(slug, str) else ""


def references(session: Session, page_ids: Iterable[int]) -> dict[int, str]:
    """How programs name each page: a paper by its first identifier, any other by its slug."""
    wanted = list(page_ids)
    names: dict[int, str] = {}
    for start in range(0, len(wanted), 500):
        chunk = wanted[start : start + 500]
        slugs = session.connection().execute(
            sa.select(col(Page.id), col(Page.slug)).where(col(Page.id).in_(chunk))
        )
        names.update({page_id: slug for page_id, slug in slugs if page_id is not None})
        found = session.connection().execute(
            sa.select(col(Paper.page_id), col(Identifier.scheme), col(Identifier.value))
            .join(Identifier, col(Identifier.paper_id) == col(Paper.id))
            .where(col(Paper.page_id).in_(chunk))
            .order_by(col(Identifier.scheme).desc(), col(Identifier.id).desc())
        )
        for page_id, scheme, value in found:  # the last one wins: arxiv sorts last here
            if page_id is not None:
                names[page_id] = f"{scheme}:{value}"
    return names


def find(
    session: Session, identifiers: Iterable[PaperId], title: str, *, authors: Iterable[str] = ()
) -> Paper | None:
    """The one paper these identifiers or this title mean, joining what proves to be the same work.

    Two rows that one document shows to be one paper are merged here. A title joins only when it
    does not contradict an identifier: another arXiv id under the same title is another paper. Nor,
    with `authors`, when both have authors and share none ("Deep Learning" is an article and a book).
    """
    known = list(identifiers)
    found: list[Paper] = []
    for identifier in known:
        paper = by_id(session, identifier)
        if paper is not None and paper not in found:
            found.append(paper)
    if title.strip():
        names = _name_words(authors)
        found += [
            p
            for p in _by_title(session, title)
            if p not in found
            and _fits(session, p, known)
            and not (names and p.authors and names.isdisjoint(_name_words(p.authors)))
        ]
    if not found:
        return None
    if len(found) == 1:
        return found[0]
    first, *rest = sorted(found, key=lambda p: (p.page_id is None, p.id))
    for other in rest:
        # Two that are both kept have two pages, perhaps with work in both: a person joins those.
        joinable = first.page_id is None or other.page_id is None
        if joinable and _fits(session, other, [*known, *_ids(session, first)]):
            absorb(session, first, other)
    return first


def _name_words(authors: Iterable[str]) -> set[str]:
    """The words of names, but for initials."""
    return {
        word
        for name in authors
        for word in re.findall(r"[a-z]{2,}", anyascii(name).lower().replace("'", ""))
    }


def _by_title(session: Session, title: str) -> list[Paper]:
    return list(session.exec(_BY_TITLE, params={"key": title_key(title)}))


def _ids(session: Session, paper: Paper) -> list[PaperId]:
    assert paper.id is not None
    return [PaperId(i.scheme, i.value) for i in identifiers_of(session, paper.id)]


def _fits(session: Session, paper: Paper, identifiers: list[PaperId]) -> bool:
    """Whether the paper may carry these identifiers beside its own."""
    own = {i.scheme: i.value for i in _ids(session, paper)}
    return all(own.get(i.scheme, i.value) == i.value for i in identifiers if i.scheme in _EXCLUSIVE)


def add_identifiers(session: Session, paper: Paper, identifiers: Iterable[PaperId]) -> bool:
    """Note identifiers and versions seen; whether any was new."""
    assert paper.id is not None
    changed = False
    for identifier in identifiers:
        values = {"scheme": identifier.scheme, "value": identifier.value}
        row = session.exec(_IDENTIFIER, params=values).first()
        if row is None:
            row = Identifier(
                scheme=identifier.scheme, value=identifier.value, paper_id=paper.id, versions=[]
            )
            changed = True
            session.add(row)
            joining.met(session, paper, identifier)
        if identifier.version is not None and identifier.version not in row.versions:
            row.versions = sorted({*row.versions, identifier.version})
            changed = True
        session.add(row)
    session.flush()
    return changed


def absorb(session: Session, paper: Paper, other: Paper) -> None:
    """Make two rows of one work one: everything known of `other` becomes known of `paper`.

    At most one of them may have a page. What was decided of either stands.
    """
    assert paper.id is not None
    assert other.id is not None
    session.flush()
    for table, keys in (
        (Mention, ("item_id", "section")),
        (Assessment, ("scorer", "day")),
        (ListingPaper, ("day",)),
        (PaperVector, ("model",)),
        (LooseLink, ("source_id", "relation")),
    ):
        _move(session, table, other.id, paper.id, keys)
    for owned in (Decision, Identifier, Item):
        session.connection().execute(
            sa.update(owned).where(col(owned.paper_id) == other.id).values(paper_id=paper.id)
        )
    session.expire_all()  # what is loaded of the rows moved is stale
    for name in _FACTS:
        if not getattr(paper, name) and getattr(other, name):
            setattr(paper, name, getattr(other, name))
    paper.extra = {**other.extra, **paper.extra}
    if paper.state == PaperState.WAITING:
        paper.state = other.state
    if paper.page_id is None and other.page_id is not None:
        page_id, other.page_id = other.page_id, None
        session.add(other)
        session.flush()
        paper.page_id, paper.state = page_id, PaperState.KEPT
    session.add(paper)
    session.delete(other)
    session.flush()
    if paper.page_id is not None:
        joining.kept(session, paper)
    touch(session, paper)


_FACTS = ("abstract", "authors", "venue", "published", "categories", "references", "code_url")


def _move(session: Session, table: Any, source: int, target: int, keys: tuple[str, ...]) -> None:
    """Hand rows over to another paper, leaving out those it has already."""
    has = aliased(table)
    double = sa.exists().where(
        has.paper_id == target, *(getattr(has, key) == getattr(table, key) for key in keys)
    )
    session.connection().execute(
        sa.update(table)
        .where(table.paper_id == source, ~double)
        .values(paper_id=target)
        .execution_options(synchronize_session=False)
    )
    session.connection().execute(sa.delete(table).where(table.paper_id == source))


def give_page(
    session: Session,
    paper: Paper,
    *,
    now: datetime,
    slug: str = "",
    body: str = "",
    aliases: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
    author: pages.Author = pages.IMPORT,
) -> Page:
    """The page of a kept paper; made now if it has none. The paper's state becomes kept."""
    page = session.get(Page, paper.page_id) if paper.page_id else None
    if page is not None:
        paper.state = PaperState.KEPT
        session.add(paper)
        return page
    page = pages.create(
        session,
        pages.Content(
            title=paper.title, kind=PageKind.PAPER, body=body, aliases=aliases, tags=tags
        ),
        author=author,
        now=now,
        slug=slug or wanted_slug(paper) or slugify(paper.title),
        paper=paper,
    )
    joining.kept(session, paper)
    return page


def is_untouched(session: Session, page: Page) -> bool:
    """Whether nobody has worked on the page of a paper.

    Work is an edit, a decided link, a question.
    """
    assert page.id is not None
    linked = sa.exists().where(
        (col(Link.source_id) == page.id) | (col(Link.target_id) == page.id),
        col(Link.status) != LinkStatus.PROPOSED,
        ~joining.is_said(page.id),
    )
    asked = sa.exists().where(col(Question.page_id) == page.id)
    return page.version == 1 and not session.scalar(sa.select(linked | asked))


def take_page(session: Session, paper: Paper) -> bool:
    """Take away the page that keeping a paper made; False when somebody has worked on it.

    The machine's waiting proposals go with the page, and that an episode or article covers or
    recommends the paper is remembered without it.
    """
    page = session.get(Page, paper.page_id) if paper.page_id else None
    if page is None:
        return True
    assert page.id is not None
    if not is_untouched(session, page):
        return False
    vectors.make_way(session)
    paper.page_id = None
    session.add(paper)
    session.flush()
    joining.loosen(session, paper, page.id)
    session.delete(page)
    session.flush()
    bump(session)
    return True


# The orders of the Inbox; within them stands what was listed first. Each has an index of its own.
BEST_FIRST: tuple[Any, ...] = (col(Paper.score), col(Paper.came), col(Paper.published))
_FALLING: dict[bool, tuple[Any, ...]] = {
    False: BEST_FIRST,
    True: (col(Paper.came), col(Paper.published), col(Paper.score)),
}


def waiting(
    session: Session,
    *,
    day: str = "",
    topic: str = "",
    minimum: int = 0,
    state: PaperState = PaperState.WAITING,
    picked: bool = False,
    newest: bool = False,
    after: int = 0,
    limit: int = 50,
    offset: int = 0,
) -> list[Any]:
    """Papers of one state as the Inbox shows them, best first, or the newest first.

    Rows: id, title, abstract, authors, published, state, came, relevance, novelty, comment,
    topic_comment, tags, tier, tier_reason, evidence and topic of the newest assessment. `minimum` is
    the least score, in hundredths; `picked` leaves out those below the threshold of their topic.
    `after` is the id of the last one shown, decided as it may be: it holds the place. Which papers
    they are is read from an index.
    """
    conditions = _conditions(day=day, topic=topic, minimum=minimum, state=state, picked=picked)
    falling = _FALLING[newest]
    last = session.connection().execute(_PLACE, {"id": after}).first() if after else None
    chosen: Any
    if last is None:
        chosen = _in_order(conditions, falling).limit(limit).offset(offset)
    else:
        # Those level with it in all but the last key, then in all but the last two, and so on:
        # each is one stretch of the index, wherever in the list it lies.
        there = [getattr(last, key.key) for key in falling]
        stretches = []
        for level in range(len(falling), -1, -1):
            same = [key == value for key, value in zip(falling, there, strict=True)][:level]
            beyond = falling[level] < there[level] if level < len(falling) else None
            behind = col(Paper.id) > last.id if beyond is None else beyond
            stretch = _in_order([*conditions, *same, behind], falling).limit(limit)
            stretches.append(sa.select(stretch.subquery()))
        joined = sa.union_all(*stretches).subquery()
        columns = [joined.c[key.key].desc() for key in falling]
        chosen = sa.select(joined).order_by(*columns, joined.c.id).limit(limit)
    ids = [row.id for row in session.connection().execute(chosen)]
    found = {row.id: row for row in marked(session, ids)}
    return [found[paper_id] for paper_id in ids if paper_id in found]


def _in_order(conditions: list[Any], falling: tuple[Any, ...]) -> sa.Select[Any]:
    statement = sa.select(col(Paper.id), *falling).where(*conditions)
    return statement.order_by(*(key.desc() for key in falling), col(Paper.id))


_PLACE = sa.select(col(Paper.id), col(Paper.score), col(Paper.came), col(Paper.published)).where(
    col(Paper.id) == sa.bindparam("id")
)


def _conditions(
    *, day: str, topic: str, minimum: int, state: PaperState, picked: bool
) -> list[Any]:
    conditions: list[Any] = [col(Paper.state) == state]
    if picked:
        reached = sa.exists().where(col(Topic.id) == col(Paper.topic_id), topics.is_picked())
        conditions.append(reached.correlate(Paper))
    if topic:
        conditions.append(col(Paper.topic_id) == topic)
    if minimum:
        conditions.append(col(Paper.score) >= minimum / 100 - 1e-9)
    if day:
        on_day = sa.select(col(ListingPaper.paper_id)).where(col(ListingPaper.day) == day)
        conditions.append(col(Paper.id).in_(on_day))
    return conditions


def marked(session: Session, paper_ids: Iterable[int]) -> list[Any]:
    """Rows as those of `waiting`, of these papers, best first."""
    return list(session.connection().execute(_MARKED, {"ids": list(paper_ids)}))


_NEWEST_MARKS = (
    sa.select(sa.func.max(col(Assessment.id)))
    .where(col(Assessment.paper_id) == col(Paper.id))
    .correlate(Paper)
    .scalar_subquery()
)
_MARKED = (
    sa.select(
        col(Paper.id),
        col(Paper.title),
        col(Paper.abstract),
        col(Paper.authors),
        col(Paper.published),
        col(Paper.state),
        col(Paper.came),
        col(Assessment.relevance),
        col(Assessment.novelty),
        col(Assessment.comment),
        col(Assessment.topic_comment),
        col(Assessment.tags),
        col(Assessment.tier),
        col(Assessment.tier_reason),
        col(Assessment.evidence),
        col(Topic.name).label("topic"),
    )
    .select_from(Paper)
    .outerjoin(Assessment, col(Assessment.id) == _NEWEST_MARKS)
    .outerjoin(Topic, col(Topic.id) == col(Assessment.topic_id))
    .where(col(Paper.id).in_(sa.bindparam("ids", expanding=True)))
    .order_by(*(key.desc() for key in _FALLING[False]), col(Paper.id))
)


def count(
    session: Session,
    state: PaperState = PaperState.WAITING,
    *,
    day: str = "",
    topic: str = "",
    minimum: int = 0,
    picked: bool = False,
) -> int:
    """How many papers are in this state; of a topic, of a day, from a score in hundredths on, or picked."""
    conditions = _conditions(day=day, topic=topic, minimum=minimum, state=state, picked=picked)
    statement = sa.select(sa.func.count()).select_from(Paper).where(*conditions)
    return session.connection().execute(statement).scalar() or 0


def count_by_topic(
    session: Session,
    *,
    day: str = "",
    minimum: int = 0,
    state: PaperState = PaperState.WAITING,
    picked: bool = False,
) -> list[Any]:
    """Rows (id, name, papers) of the topics of such papers, most first; id None for no topic."""
    conditions = _conditions(day=day, topic="", minimum=minimum, state=state, picked=picked)
    numbers = (
        sa.select(col(Paper.topic_id), sa.func.count().label("papers"))
        .where(*conditions)
        .group_by(col(Paper.topic_id))
        .subquery()
    )
    return list(
        session.connection().execute(
            sa.select(col(Topic.id), col(Topic.name), numbers.c.papers)
            .select_from(numbers)
            .outerjoin(Topic, col(Topic.id) == numbers.c.topic_id)
            .order_by(numbers.c.papers.desc(), col(Topic.name))
        )
    )


def sources_of(session: Session, paper_ids: Iterable[int]) -> dict[int, list[str]]:
    """The independent sources that each of these papers was met in, by name; [] for none.

    Met in is: listed, spoken of, or an entry of its own (domain/independence.py says which of these
    are one). Two statements for 500 papers.
    """
    wanted = list(dict.fromkeys(paper_ids))
    met: dict[int, list[Met]] = {paper_id: [] for paper_id in wanted}
    for start in range(0, len(wanted), 500):
        chunk = {"ids": wanted[start : start + 500]}
        listed = {row[0]: row[1] for row in session.connection().execute(_ON_A_LISTING, chunk)}
        for paper_id, *said in session.connection().execute(_MET_IN, chunk):
            met[paper_id].append(Met(*said))
        for paper_id, by_an_archive in listed.items():
            # Other lists are of a day too, and their entries say so themselves.
            if by_an_archive or not any(each.format in _LISTS for each in met[paper_id]):
                met[paper_id].insert(0, _LISTED)
    return {paper_id: independent(found) for paper_id, found in met.items()}


_LISTED = Met(LISTED, SourceKind.LISTING)
_LISTS = ("hf-daily",)
_THESE: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_BY_AN_ARCHIVE = sa.case(
    (col(ListingPaper.announced).is_not(None) | col(Listing.item_id).is_not(None), 1), else_=0
)
_ON_A_LISTING = (
    sa.select(col(ListingPaper.paper_id), sa.func.max(_BY_AN_ARCHIVE))
    .outerjoin(Listing, col(Listing.day) == col(ListingPaper.day))
    .where(col(ListingPaper.paper_id).in_(_THESE))
    .group_by(col(ListingPaper.paper_id))
)


def _places(paper_id: Any, order: Any, name: Any) -> sa.Select[Any]:
    """Of items that have to do with papers: whose they are, and where they stand."""
    return sa.select(
        paper_id.label("paper"),
        name.label("name"),
        col(Source.kind).label("kind"),
        col(Item.format).label("format"),
        col(Item.url).label("address"),
        col(Source.url).label("site"),
        order.label("at"),
    ).join(Source, col(Source.id) == col(Item.source_id))


# Mail comes from many writers by one source: who wrote it is said with what they say.
_WRITER = sa.case(
    (
        sa.and_(col(Source.kind) == SourceKind.MAIL, col(Mention.source_name) != ""),
        col(Mention.source_name),
    ),
    else_=col(Source.name),
)
_PLACES = sa.union_all(
    _places(col(Mention.paper_id), sa.func.min(col(Mention.id)), _WRITER)
    .join(Mention, col(Mention.item_id) == col(Item.id))
    .where(col(Mention.paper_id).in_(_THESE), col(Source.kind) != SourceKind.FILE)
    .group_by(
        col(Mention.paper_id),
        _WRITER,
        col(Source.kind),
        col(Item.format),
        col(Item.url),
        col(Source.url),
    ),
    _places(col(Item.paper_id), sa.literal(0), col(Source.name)).where(
        # A paper that the reader pasted in, or has in a library, nobody else showed them.
        col(Item.paper_id).in_(_THESE),
        col(Source.kind).not_in((SourceKind.FILE, SourceKind.WEB, SourceKind.LIBRARY)),
    ),
).subquery()
_MET_IN = sa.select(*[column for column in _PLACES.c if column.key != "at"]).order_by(
    _PLACES.c.paper, _PLACES.c.at
)


def upvotes_of(session: Session, paper_ids: Iterable[int]) -> dict[int, int]:
    """How many upvotes are recorded of those papers that have any (`extra.upvotes`, whole numbers)."""
    wanted = list(dict.fromkeys(paper_ids))
    found: dict[int, int] = {}
    for start in range(0, len(wanted), 500):
        chunk = {"ids": wanted[start : start + 500]}
        for paper_id, said in session.connection().execute(_UPVOTES, chunk):
            if isinstance(said, int) and not isinstance(said, bool) and said >= 0:
                found[paper_id] = said
    return found


_UPVOTES = sa.select(col(Paper.id), col(Paper.extra)["upvotes"]).where(col(Paper.id).in_(_THESE))


def seen_before(session: Session, day: str, *, limit: int = 500) -> list[Any]:
    """Papers of a day's listing that stood on an earlier day's, or were replaced: they are not new on it.

    Rows: paper_id, title, state, page_id, first_day (when it was first listed, None when it was on none
    that the wiki has), version_before (the
    newest that an earlier listing named), version and announced (as this day's listing has them;
    each None where it says nothing), in the order of the listing.
    """
    return list(session.connection().execute(_SEEN_BEFORE, {"day": day, "limit": limit}))


_EARLIER = aliased(ListingPaper)
_IS_EARLIER = (
    col(_EARLIER.paper_id) == col(ListingPaper.paper_id),
    col(_EARLIER.day) < col(ListingPaper.day),
)
_FIRST_DAY = (
    sa.select(sa.func.min(col(_EARLIER.day)))
    .where(*_IS_EARLIER)
    .correlate(ListingPaper)
    .scalar_subquery()
)
_VERSION_BEFORE = (
    sa.select(sa.func.max(col(_EARLIER.version)))
    .where(*_IS_EARLIER)
    .correlate(ListingPaper)
    .scalar_subquery()
)
_SEEN_BEFORE = (
    sa.select(
        col(ListingPaper.paper_id),
        col(Paper.title),
        col(Paper.state),
        col(Paper.page_id),
        _FIRST_DAY.label("first_day"),
        _VERSION_BEFORE.label("version_before"),
        col(ListingPaper.version),
        col(ListingPaper.announced),
    )
    .join(Paper, col(Paper.id) == col(ListingPaper.paper_id))
    .where(
        col(ListingPaper.day) == sa.bindparam("day"),
        sa.or_(
            col(ListingPaper.announced).is_not_distinct_from(Announced.REPLACED),
            sa.exists(sa.select(col(_EARLIER.day)).where(*_IS_EARLIER).correlate(ListingPaper)),
        ),
    )
    .order_by(col(ListingPaper.position), col(ListingPaper.paper_id))
    .limit(sa.bindparam("limit"))
)


def touch(session: Session, paper: Paper) -> None:
    """After a change of a paper's own facts: its page's searchable text and the caches follow."""
    if paper.page_id is not None:
        page = session.get(Page, paper.page_id)
        if page is not None:
            pages.reindex(session, page)
    bump(session)


def named(session: Session, name: str) -> Paper | None:
    """The paper that `arxiv:…`, `doi:…`, a bare arXiv id, or a page's name means.

    A paper that waits has no page yet: the slug it was given names it.
    """
    identifier = parse_id(name) or parse_arxiv(name)
    if identifier is not None:
        return by_id(session, identifier)
    page = pages.named(session, name)
    if page is not None:
        return of_page(session, page.id)
    if not is_slug(name):
        return None
    given = col(Paper.extra)["slug"].as_string() == name
    return session.exec(select(Paper).where(given).order_by(col(Paper.id))).first()
