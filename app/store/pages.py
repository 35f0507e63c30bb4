"""Pages: finding them, and the one write path that every change of a page takes.

A save, an import, a rename and an accepted proposal all end in `create` or `revise`, so that a
page, its revision, its names, its outgoing wikilinks and its searchable text never disagree.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from hashlib import sha256
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.file_names import is_file_name, stem
from app.domain.identifiers import is_slug, slugify
from app.domain.markdown import WikiLink, is_linkable, link_keys, name_key, plain_text, wikilinks
from app.domain.merge import merge3
from app.domain.ownership import PEOPLE, Owner
from app.domain.questions import left_open, poses
from app.domain.records import (
    GONE,
    Act,
    ActKind,
    Alias,
    AliasKind,
    AuthorKind,
    Digest,
    Draft,
    Episode,
    Identifier,
    Link,
    LinkStatus,
    Mirror,
    Origin,
    Page,
    PageKind,
    PageTag,
    PageText,
    Paper,
    PaperState,
    Question,
    RedLink,
    Relation,
    Revision,
    Thread,
)
from app.errors import Conflict, Invalid, NotFound
from app.store import decisions, links, numbers, questions, search, sections
from app.store.db import LARGEST_ID, TEXTS, bump, generation

MAX_BODY = 1_000_000
MAX_TITLE = 500


@dataclass(frozen=True)
class Author:
    """Who makes a revision; `prompt` names prompt and version when a model does."""

    kind: AuthorKind
    name: str = ""
    prompt: str = ""


PERSON = Author(AuthorKind.PERSON, "you")
IMPORT = Author(AuthorKind.IMPORT)


@dataclass(frozen=True, kw_only=True)
class Content:
    """What of a page is edited as one: a revision holds exactly this."""

    title: str
    kind: PageKind
    body: str = ""
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def cleaned(self) -> Content:
        """The same with blanks, repeats and characters no text may hold taken out.

        Raises Invalid, naming the field, for an empty or overlong title or body.
        """
        title = " ".join(_storable(self.title).split())
        wrong: dict[str, str] = {}
        if not title:
            wrong["title"] = "A page needs a title."
        elif len(title) > MAX_TITLE:
            wrong["title"] = f"A title may have {MAX_TITLE} characters at most."
        body = _storable(self.body).replace("\r\n", "\n").replace("\r", "\n")
        if len(body) > MAX_BODY:
            wrong["body"] = "The text is longer than a million characters: split the page."
        if self.kind in GONE:
            how = "a merge" if self.kind == PageKind.MERGED else "a removal"
            wrong["kind"] = (
                f"A page becomes a {self.kind.value} one by {how} alone. Choose another kind."
            )
        if wrong:
            raise Invalid(" ".join(wrong.values()), fields=wrong)
        own = name_key(title)
        return replace(
            self,
            title=title,
            body=body,
            aliases=_distinct(self.aliases, without={own}),
            tags=tuple(sorted(_distinct(tag.lstrip("#").lower() for tag in self.tags))),
        )


def _storable(text: str) -> str:
    """Text that every database takes: no NUL, no lone surrogates."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _distinct(names: Iterable[str], *, without: Collection[str] = ()) -> tuple[str, ...]:
    seen = set(without)
    kept = []
    for name in names:
        plain = " ".join(_storable(name).split())[:MAX_TITLE]
        key = name_key(plain)
        if key and key not in seen:
            seen.add(key)
            kept.append(plain)
    return tuple(kept)


@dataclass(frozen=True)
class PageRef:
    """A page as links need it."""

    id: int
    slug: str
    title: str
    kind: str


# ---------------------------------------------------------------- finding


def by_slug(session: Session, slug: str) -> Page | None:
    return session.exec(select(Page).where(Page.slug == slug)).first()


def get(session: Session, slug: str) -> Page:
    """The page at this address. Raises NotFound."""
    page = by_slug(session, slug)
    if page is None:
        raise NotFound(f"There is no page at {slug!r}.")
    return page


def head(session: Session, slug: str) -> Any:
    """A page without its text, as screens need it; None when there is none.

    Fields: id, slug, kind, title, version, author_kind, author, created_at, updated_at, and
    `written`: whether it has a text.
    """
    return session.connection().execute(_HEAD, {"slug": slug}).first()


def body_of(session: Session, page_id: int) -> str:
    """The text of a page; '' when there is no such page."""
    return session.connection().execute(_BODY, {"page": page_id}).scalar() or ""


_HEAD = sa.select(
    col(Page.id),
    col(Page.slug),
    col(Page.kind),
    col(Page.title),
    col(Page.version),
    col(Page.author_kind),
    col(Page.author),
    col(Page.created_at),
    col(Page.updated_at),
    (col(Page.body) != "").label("written"),
).where(col(Page.slug) == sa.bindparam("slug"))
_BODY = sa.select(col(Page.body)).where(col(Page.id) == sa.bindparam("page"))


def named(session: Session, name: str) -> PageRef | None:
    """The page a person means by a slug, title, alias or former address, without regard to case."""
    return resolve(session, [name]).get(name_key(name))


def resolve(session: Session, names: Iterable[str]) -> dict[str, PageRef]:
    """Pages by name, keyed by `name_key`: slug first, then title, alias, former address.

    Two pages may share a title but for case; the older one is meant then.
    """
    found: dict[str, tuple[int, PageRef]] = {}
    for key, rank, ref in holders(session, names):
        if key not in found or (rank, ref.id) < (found[key][0], found[key][1].id):
            found[key] = (rank, ref)
    return {key: ref for key, (_, ref) in found.items()}


def holders(session: Session, names: Iterable[str]) -> Iterator[tuple[str, int, PageRef]]:
    """Every page that has one of these names: its key, what it is to the page (0 slug, 1 title, 2 alias,
    3 former address), and the page. The least of those, of the oldest page, is the one that is meant.
    """
    keys = {key for name in names if (key := name_key(name)) and key == _storable(key)}
    for chunk in _chunks(sorted(keys), 400):
        for statement in _lookups():
            rows = session.connection().execute(statement, {"keys": chunk})
            for key, rank, page_id, slug, title, kind in rows:
                yield key, rank, PageRef(page_id, slug, title, _value(kind))


@cache
def _lookups() -> tuple[Any, ...]:
    keys: sa.BindParameter[Any] = sa.bindparam("keys", expanding=True)
    page = (col(Page.id), col(Page.slug), col(Page.title), col(Page.kind))
    rank = sa.case((col(Alias.kind) == AliasKind.NAME, 2), else_=3)
    return (
        sa.select(col(Page.slug), sa.literal(0), *page).where(col(Page.slug).in_(keys), standing()),
        sa.select(col(Page.title_key), sa.literal(1), *page).where(col(Page.title_key).in_(keys)),
        sa.select(col(Alias.key), rank, *page)
        .join(Page, col(Page.id) == col(Alias.page_id))
        .where(col(Alias.key).in_(keys)),
    )


def file_names(session: Session, refs: Iterable[PageRef]) -> dict[int, str]:
    """By page id the name that a wikilink says so that it leads to the page here and, in the vault, to
    its file: the file's name or the title that it will be, else the slug.

    Of two pages with one title the name means the older one: the other is called by its slug.
    """
    by_id = {ref.id: ref for ref in refs}
    paths: dict[int, str] = {}
    for some in _chunked(sorted(by_id), 400):
        paths |= {
            row.page_id or 0: row.path
            for row in session.connection().execute(_PATHS, {"ids": some})
        }
    wanted = {
        page_id: name
        for page_id, ref in by_id.items()
        if is_linkable(name := stem(paths[page_id]) if page_id in paths else ref.title)
        and (page_id in paths or is_file_name(name))
    }
    meant = resolve(session, wanted.values())
    found = {page_id: ref.slug for page_id, ref in by_id.items()}
    for page_id, name in wanted.items():
        ref_of = meant.get(name_key(name))
        if ref_of is not None and ref_of.id == page_id:
            found[page_id] = name
    return found


def by_file_names(session: Session, text: str) -> str:
    """A text of the machine's with its wikilinks by the names of `file_names`; its words stay."""
    links_there = wikilinks(text) if "[[" in text else []
    refs = resolve(session, [link.target for link in links_there])
    names = file_names(session, refs.values())
    told = text
    for link in reversed(links_there):
        ref = refs.get(name_key(link.target))
        found = _PLAIN_LINK.fullmatch(text[link.start : link.end])
        if ref is None or found is None or found[1] != link.target:
            continue
        name, shown = names[ref.id], found[3]
        made = f"[[{name}]]" if shown in (name, None) else f"[[{name}{found[2]}{shown}]]"
        if shown is not None:
            told = f"{told[: link.start]}{made}{told[link.end :]}"
    same = [link.text or link.target for link in links_there]
    return told if same == [link.text or link.target for link in wikilinks(told)] else text


_PATHS = sa.select(col(Mirror.page_id), col(Mirror.path)).where(
    col(Mirror.page_id).in_(sa.bindparam("ids", expanding=True))
)
_PLAIN_LINK = re.compile(r"\[\[([^\[\]|#\\]+)(?:(\\?\|)([^\[\]|]*))?\]\]")


def _chunked(numbers: list[int], size: int) -> Iterable[list[int]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


def standing() -> sa.ColumnElement[bool]:
    """Pages that went into another are left out; their names have gone there as well."""
    return col(Page.kind).not_in(GONE)


def _value(kind: Any) -> str:
    return str(getattr(kind, "value", kind))


def _chunks(keys: list[str], size: int) -> Iterable[list[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def aliases_of(session: Session, page_id: int) -> list[str]:
    """The names a person gave the page beside its title, in the order they were given."""
    return list(session.connection().execute(_ALIASES, {"page": page_id}).scalars())


def tags_of(session: Session, page_id: int) -> list[str]:
    return sorted(session.connection().execute(_TAGS, {"page": page_id}).scalars())


def _names_of(
    session: Session, page_ids: Sequence[int]
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """`aliases_of` and `tags_of` of several pages."""
    found: tuple[dict[int, list[str]], dict[int, list[str]]] = ({}, {})
    for names, statement in zip(found, (_ALIASES_OF, _TAGS_OF), strict=True):
        for page_id, name in session.connection().execute(statement, {"pages": page_ids}):
            names.setdefault(page_id, []).append(name)
    return found[0], {page_id: sorted(tags) for page_id, tags in found[1].items()}


_ALIASES = (
    sa.select(col(Alias.name))
    .where(col(Alias.page_id) == sa.bindparam("page"), col(Alias.kind) == AliasKind.NAME)
    .order_by(col(Alias.id))
)
_TAGS = sa.select(col(PageTag.name)).where(col(PageTag.page_id) == sa.bindparam("page"))
_SEVERAL: sa.BindParameter[Any] = sa.bindparam("pages", expanding=True)
_ALIASES_OF = (
    sa.select(col(Alias.page_id), col(Alias.name))
    .where(col(Alias.page_id).in_(_SEVERAL), col(Alias.kind) == AliasKind.NAME)
    .order_by(col(Alias.id))
)
_TAGS_OF = sa.select(col(PageTag.page_id), col(PageTag.name)).where(
    col(PageTag.page_id).in_(_SEVERAL)
)


def content_of(session: Session, page: Page) -> Content:
    """The page as its newest revision holds it."""
    assert page.id is not None
    return Content(
        title=page.title,
        kind=page.kind,
        body=page.body,
        aliases=tuple(aliases_of(session, page.id)),
        tags=tuple(tags_of(session, page.id)),
    )


def contents_of(session: Session, several: Sequence[Page]) -> dict[int, Content]:
    """`content_of` of a few pages, by id, in two statements."""
    aliases, tags = _names_of(session, [page.id or 0 for page in several])
    return {
        page.id or 0: Content(
            title=page.title,
            kind=page.kind,
            body=page.body,
            aliases=tuple(aliases.get(page.id or 0, ())),
            tags=tuple(tags.get(page.id or 0, ())),
        )
        for page in several
    }


def joined(common: Content, mine: Content, theirs: Content) -> tuple[Content, bool]:
    """Two edits of one text as one, and whether they join; where not, the body has both, with marks.

    Two different new titles are a conflict too: nothing is taken then.
    """
    body = merge3(common.body, mine.body, theirs.body)
    both_titled = len({common.title, mine.title, theirs.title}) == 3
    content = Content(
        title=mine.title if mine.title != common.title else theirs.title,
        kind=mine.kind if mine.kind != common.kind else theirs.kind,
        body=body.text,
        aliases=_joined_names(common.aliases, mine.aliases, theirs.aliases),
        tags=_joined_names(common.tags, mine.tags, theirs.tags),
    )
    return content, body.clean and not both_titled


def _joined_names(
    common: tuple[str, ...], mine: tuple[str, ...], theirs: tuple[str, ...]
) -> tuple[str, ...]:
    """Names either side has, less those that one side took out."""
    old = {name_key(name) for name in common}
    gone = {
        key
        for key in old
        if key not in {name_key(n) for n in mine} or key not in {name_key(n) for n in theirs}
    }
    kept = {name_key(name): name for name in (*theirs, *mine)}
    return tuple(name for key, name in kept.items() if key not in gone)


def addressed(session: Session, slug: str) -> PageRef | None:
    """The page of which a title or alias would have this address; the oldest of several."""
    start = slug.partition("-")[0]
    if not is_slug(slug) or not start:
        return None
    for key, owner in ((col(Page.title_key), col(Page.id)), (col(Alias.key), col(Alias.page_id))):
        alike = sa.select(key, owner).where(key.startswith(start, autoescape=True))
        rows = session.connection().execute(alike.order_by(owner).limit(2000))
        page_id = next((page_id for name, page_id in rows if slugify(name) == slug), None)
        page = session.get(Page, page_id) if page_id is not None else None
        if page is not None and page.id is not None:
            return PageRef(page.id, page.slug, page.title, page.kind.value)
    return None


def former(session: Session, slug: str) -> Page | None:
    """The page that lived at this address before a rename."""
    return session.exec(
        select(Page)
        .join(Alias, col(Alias.page_id) == col(Page.id))
        .where(Alias.key == slug, Alias.kind == AliasKind.REDIRECT)
    ).first()


def merged_at(session: Session, slug: str) -> Page | None:
    """The page that lived at this address before it went into another one, by a merge."""
    kept = f"{slug[:180]}-merged"
    return session.exec(
        select(Page)
        .where(Page.kind == PageKind.MERGED)
        .where((col(Page.slug) == kept) | col(Page.slug).startswith(f"{kept}-", autoescape=True))
        .order_by(col(Page.id).desc())
    ).first()


def revision(session: Session, page_id: int, number: int) -> Revision:
    """One revision of a page. Raises NotFound."""
    found = session.exec(
        select(Revision).where(Revision.page_id == page_id, Revision.number == number)
    ).first()
    if found is None:
        raise NotFound(f"This page has no version {number}.")
    return found


def revisions(session: Session, page_id: int, *, limit: int = 50, before: int = 0) -> list[Any]:
    """Rows of a page's history, newest first: a revision's columns without its id and act.

    `before` is the number of the last one shown.
    """
    values = {"page": page_id, "before": before or LARGEST_ID, "limit": limit}
    return list(session.connection().execute(_REVISIONS, values))


_REVISIONS = (
    sa.select(
        col(Revision.number),
        col(Revision.title),
        col(Revision.author_kind),
        col(Revision.author),
        col(Revision.prompt),
        col(Revision.note),
        col(Revision.kind),
        col(Revision.aliases),
        col(Revision.tags),
        col(Revision.at),
        col(Revision.body),
    )
    .where(
        col(Revision.page_id) == sa.bindparam("page"),
        col(Revision.number) < sa.bindparam("before"),
    )
    .order_by(col(Revision.number).desc())
    .limit(sa.bindparam("limit"))
)


def has_hand(session: Session, page_id: int) -> bool:
    """Whether a person ever wrote on the page: no machine writes over such a text."""
    return bool(session.connection().execute(_HAS_HAND, {"page": page_id}).scalar())


def by_people(page_id: Any) -> Any:
    """The condition that a person wrote a revision of this page."""
    return sa.exists().where(col(Revision.page_id) == page_id, *written_by_people())


def written_by_people() -> tuple[Any, ...]:
    """The conditions that a person wrote a revision: more than its links otherwise."""
    links_alone = sa.exists().where(
        col(Act.id) == col(Revision.act_id), col(Act.kind).in_((ActKind.RENAME, ActKind.WORDING))
    )
    return (
        col(Revision.author_kind).in_(sorted(PEOPLE)),
        col(Revision.note).not_in((TO_RENAMED, BY_FILES)) | ~links_alone.correlate(Revision),
    )


TO_RENAMED = "a page it links to was renamed"  # notes of revisions that only write links otherwise
BY_FILES = "its links are written by the names of files"


_HAS_HAND = sa.select(by_people(sa.bindparam("page", type_=sa.Integer)))


def ever_had_one(session: Session) -> bool:
    """Whether the wiki has or had a page."""
    return generation(session) > 0 or count(session) > 0


def count(session: Session, kind: PageKind | None = None, *, letter: str = "") -> int:
    """How many pages there are, of one kind or whose title begins with a letter, or of all."""
    statement = sa.select(sa.func.count()).select_from(Page).where(*_among(kind, letter))
    return session.connection().execute(statement).scalar() or 0


def questions_of(session: Session, page_id: int) -> list[Question]:
    return list(
        session.exec(
            select(Question).where(Question.page_id == page_id).order_by(col(Question.number))
        )
    )


# ---------------------------------------------------------------- lists


@dataclass(frozen=True)
class Place:
    """Where a row stands in a list: what the list is sorted by, then a number that tells equals apart.

    Written `key~number`, as it stands in addresses.
    """

    key: str
    number: int

    def __str__(self) -> str:
        return f"{self.key}~{self.number}"

    @classmethod
    def read(cls, text: str) -> Place | None:
        """A place from an address; None for whatever is none."""
        key, sign, number = text[: MAX_TITLE + 30].rpartition("~")
        if not sign or not number.isascii() or not number.isdigit() or len(number) > 10:
            return None
        if key != _storable(key) or int(number) > LARGEST_ID:
            return None
        return cls(key, int(number))


def listed(
    session: Session,
    *,
    recent: bool = False,
    kind: PageKind | None = None,
    letter: str = "",
    after: Place | None = None,
    before: Place | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[Any]:
    """Rows of the index by title, or the last changed first, with how many pages link to each.

    Rows: id, slug, title, title_key, kind, updated_at, links. `after` and `before` are the place of
    the row that these follow or come before (see `place_of`); a place that is none is no condition.
    """
    key = col(Page.updated_at) if recent else col(Page.title_key)
    chosen = sa.select(col(Page.id)).where(*_among(kind, letter))
    place = after or before
    edge = _edge(place, recent=recent) if place else None
    turned = after is None and before is not None and edge is not None
    if edge is not None:
        here = sa.tuple_(key, col(Page.id))
        chosen = chosen.where(here > edge if turned == recent else here < edge)
    order: list[Any] = [key, col(Page.id)]
    backwards = [each.desc() for each in order]
    chosen = chosen.order_by(*(backwards if recent != turned else order)).limit(limit)
    ids: list[Any] = list(session.connection().execute(chosen.offset(offset)).scalars())
    return rows_of(session, ids[::-1] if turned else ids)


def _edge(place: Place, *, recent: bool) -> Any:
    if not recent:
        return sa.tuple_(sa.literal(place.key), sa.literal(place.number))
    try:
        moment = datetime.fromisoformat(place.key)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    key = sa.literal(moment, Page.__table__.c.updated_at.type)  # type: ignore[attr-defined]
    return sa.tuple_(key, sa.literal(place.number))


def place_of(row: Any, *, recent: bool = False) -> Place:
    """Where a row of `listed` stands in its list."""
    return Place(row.updated_at.isoformat() if recent else row.title_key, row.id)


def rows_of(session: Session, page_ids: Sequence[int]) -> list[Any]:
    """Rows as those of `listed`, of these pages and in this order."""
    rows = session.connection().execute(_LISTED, {"ids": list(page_ids)})
    found = {row.id: row for row in rows}
    return [found[page_id] for page_id in page_ids if page_id in found]


_LISTED = sa.select(
    col(Page.id),
    col(Page.slug),
    col(Page.title),
    col(Page.title_key),
    col(Page.kind),
    col(Page.updated_at),
    sa.select(sa.func.count())
    .where(col(Link.target_id) == col(Page.id), col(Link.status) == LinkStatus.ACCEPTED)
    .scalar_subquery()
    .label("links"),
).where(col(Page.id).in_(sa.bindparam("ids", expanding=True)))


def _among(kind: PageKind | None, letter: str) -> list[Any]:
    conditions: list[Any] = [standing() if kind is None else col(Page.kind) == kind]
    if letter:
        conditions.append(col(Page.title_key) >= letter)
        conditions.append(col(Page.title_key) < letter + _LAST_LETTER)
    return conditions


_LAST_LETTER = "\U0010ffff"


def letters(session: Session) -> list[str]:
    """The letters that titles begin with, in order: one look into the index for each."""
    return list(session.connection().execute(_LETTERS).scalars())


def _first_letters() -> sa.Select[Any]:
    lowest = sa.select(sa.func.min(col(Page.title_key)).label("key"))
    first = lowest.where(col(Page.title_key) > "").cte("letters", recursive=True)
    following = (
        sa.select(sa.func.min(col(Page.title_key)))
        .where(col(Page.title_key) > sa.func.substr(first.c.key, 1, 1) + _LAST_LETTER)
        .correlate(first)
        .scalar_subquery()
    )
    chain = first.union_all(sa.select(following).where(first.c.key.is_not(None)))
    letter = sa.func.substr(chain.c.key, 1, 1)
    return sa.select(letter).where(chain.c.key.is_not(None), chain.c.key != "").order_by(letter)


_LETTERS = _first_letters()


def kinds(session: Session) -> list[tuple[PageKind, int]]:
    """How many pages there are of each kind that has any."""
    rows = session.connection().execute(
        sa.select(col(Page.kind), sa.func.count())
        .where(standing())
        .group_by(col(Page.kind))
        .order_by(col(Page.kind))
    )
    return [(kind, number) for kind, number in rows]


def orphans(session: Session) -> list[int]:
    """The pages that no accepted link touches, by title. Every page is looked at.

    Digests, of a day or a month, are found by their date and are none.
    """
    touched = (
        ~sa.exists().where(col(side) == col(Page.id), col(Link.status) == LinkStatus.ACCEPTED)
        for side in (Link.target_id, Link.source_id)
    )
    loose = col(Page.kind) != PageKind.DIGEST
    statement = sa.select(col(Page.id)).where(standing(), loose, *touched)
    ordered = statement.order_by(col(Page.title_key), col(Page.id))
    return [page_id for (page_id,) in session.connection().execute(ordered) if page_id is not None]


def wanted(session: Session, *, after: Place | None = None, limit: int = 500) -> list[Any]:
    """Rows (key, name, pages) of what is linked to and not written, the most wanted first.

    `after` is the key of the last one shown and its number of pages.
    """
    times = sa.func.count()
    statement = (
        sa.select(col(RedLink.key), sa.func.min(col(RedLink.name)), times)
        .group_by(col(RedLink.key))
        .order_by(times.desc(), col(RedLink.key))
        .limit(limit)
    )
    if after is not None:
        behind = (times == after.number) & (col(RedLink.key) > after.key)
        statement = statement.having((times < after.number) | behind)
    return list(session.connection().execute(statement))


def wanted_count(session: Session) -> int:
    statement = sa.select(sa.func.count(sa.distinct(col(RedLink.key))))
    return session.connection().execute(statement).scalar() or 0


# ---------------------------------------------------------------- the write path


def create(
    session: Session,
    content: Content,
    *,
    author: Author,
    now: datetime,
    slug: str = "",
    extra: Mapping[str, Any] | None = None,
    note: str = "",
    paper: Paper | None = None,
) -> Page:
    """A new page with its first revision, names, links and searchable text.

    `slug` is kept exactly as given when it is free; otherwise, and without one, a free address is
    made from it or the title. `paper` is the work a paper's page is about: it is kept by that.
    Raises Invalid for content no page may have.
    """
    content = content.cleaned()
    page = Page(
        slug=free_slug(session, slug or slugify(content.title)),
        kind=content.kind,
        title=content.title,
        title_key=name_key(content.title),
        body=content.body,
        author_kind=author.kind,
        author=author.name,
        created_at=now,
        updated_at=now,
        extra=dict(extra or {}),
    )
    session.add(page)
    session.flush()
    assert page.id is not None
    if paper is not None:
        paper.page_id, paper.state = page.id, PaperState.KEPT
        session.add(paper)
    _add_names(session, page.id, content)
    _write(session, page, content, author=author, now=now, note=note, fresh=True, paper=paper)
    _adopt_links(session, page, content, now=now, fresh=True)
    return page


def revise(
    session: Session,
    page: Page,
    content: Content,
    *,
    author: Author,
    now: datetime,
    note: str = "",
    keep_title: bool = True,
) -> bool:
    """Make `content` the newest revision of the page; whether there was anything to change.

    The title that a page gives up stays an alias, so that links by the old name still arrive; not
    without `keep_title`, where the title itself is taken back.
    """
    content = content.cleaned()
    _keep_standing(page)
    before = content_of(session, page)
    if keep_title and name_key(before.title) != name_key(content.title):
        content = replace(content, aliases=(*content.aliases, before.title)).cleaned()
    if content == before:
        return False
    _keep_kind(session, page, content.kind)
    owner = Owner(author.kind, author.name, author.prompt)
    if content.body != before.body or (author.kind, author.name) != (
        page.author_kind,
        page.author,
    ):
        sections.note(session, page, content.body, owner, now=now)
    page.author_kind, page.author = author.kind, author.name
    page.title, page.title_key = content.title, name_key(content.title)
    page.kind, page.body = content.kind, content.body
    page.version += 1
    page.updated_at = now
    _set_names(session, page, before, content)
    _write(session, page, content, author=author, now=now, note=note)
    _adopt_links(session, page, content, now=now)
    if not _names(before) <= _names(content):
        relink_all(session, linked_to(session, [page.id]), now=now)
    return True


def reword(
    session: Session, texts: Iterable[tuple[Page, str, Author]], *, now: datetime, note: str
) -> int:
    """Make these the newest revisions of pages whose links alone they write otherwise; of how many.

    Whose a page and its sections are stays. A text that is the page's own, or longer than one may be,
    is left out. Raises Conflict for a page that is none any more.
    """
    # All that is read of a text is read of it in turn: it is parsed once.
    new = (
        _Reworded(page, body, author, _links_in(page, body), _own_words(page, body))
        for page, body, author in texts
        if body != page.body and len(body) <= MAX_BODY
    )
    number = 0
    while some := list(islice(new, _AT_ONCE)):
        _reword(session, some, now=now, note=note)
        number += len(some)
    return number


_AT_ONCE = 250


@dataclass(frozen=True)
class _Reworded:
    """A text that a page is to have, with its links and the words that search reads of it."""

    page: Page
    body: str
    author: Author
    links: list[WikiLink]
    words: str


def _reword(session: Session, texts: Sequence[_Reworded], *, now: datetime, note: str) -> None:
    every = [each.page for each in texts]
    ids = [page.id or 0 for page in every]
    for page in every:
        _keep_standing(page)
    contents = contents_of(session, every)
    sections.keep(session, [(each.page, each.body) for each in texts])
    asking = questions.asking(session, ids)
    for each in texts:
        page, body = each.page, each.body
        if page.id in asking:
            questions.reword(session, page.id, page.body, body)
        page.body = body
        page.version += 1
        page.updated_at = now
        content = replace(contents[page.id or 0], body=body)
        session.add(page)
        session.add(_revision(page, content, author=each.author, now=now, note=note))
    session.flush()
    relink_several(session, every, now=now, found={each.page.id: each.links for each in texts})
    numbers.note(session, *every)
    own = {each.page.id: each.words for each in texts}
    _index_several(session, every, {i: each.aliases for i, each in contents.items()}, own)
    for each in texts:
        if each.page.id in asking or _may_ask(each.page, each.body, each.author):
            _ask(session, each.page, each.author, fresh=False, paper=None)
    bump(session)


def _may_ask(page: Page, body: str, author: Author) -> bool:
    """Whether a text may pose questions that its page has not."""
    extracted = page.kind == PageKind.PAPER and author.kind == AuthorKind.EXTRACT
    return extracted or poses(body)


def _keep_standing(page: Page) -> None:
    if page.kind == PageKind.REMOVED:
        raise Conflict(f"{page.title} was removed: put it back first.")
    if page.kind in GONE:
        raise Conflict(f"{page.title} went into another page: its text is kept as it was.")


def _keep_kind(session: Session, page: Page, kind: PageKind) -> None:
    """Raises Invalid when a page that is about a paper, a day or an episode would stop to be."""
    if kind == page.kind:
        return
    for table in (Paper, Digest, Episode):
        owner = sa.exists().where(col(table.page_id) == page.id)
        if session.scalar(sa.select(owner)):
            wrong = f"This page stays {_KIND_WORDS[page.kind]}: more than its text belongs to it."
            raise Invalid(wrong, fields={"kind": wrong})


_KIND_WORDS = {kind: f"{'an' if kind.value[0] in 'ae' else 'a'} {kind.value}" for kind in PageKind}


def rename(session: Session, page: Page, slug: str, *, now: datetime) -> None:
    """Give the page another address; the old one leads to it from now on.

    Raises Invalid for what is no slug and Conflict when another page lives there.
    """
    if not is_slug(slug):
        raise Invalid(
            "An address may hold small letters, digits and hyphens.",
            fields={"slug": "Use small letters, digits and hyphens."},
        )
    _keep_standing(page)
    if slug == page.slug:
        return
    if by_slug(session, slug) is not None:
        raise Conflict(f"Another page lives at {slug!r} already.")
    assert page.id is not None
    former = (col(Alias.key) == slug, col(Alias.kind) == AliasKind.REDIRECT)
    lost = session.connection().execute(sa.select(col(Alias.page_id)).where(*former)).scalar()
    session.connection().execute(sa.delete(Alias).where(*former))
    session.add(
        Alias(page_id=page.id, name=page.slug, key=name_key(page.slug), kind=AliasKind.REDIRECT)
    )
    gave_up = (page.slug, slug, now.isoformat(), lost or 0)
    page.extra = {**page.extra, FORMER: list(map(list, [*former_addresses(page.extra), gave_up]))}
    page.slug = slug
    session.add(page)
    session.flush()
    _adopt_links(session, page, content_of(session, page), now=now)
    # Of itself what it linked to by this name. Others linked to another page by the address that it had once,
    # or to this one by an address to which somebody else has the better claim now.
    sources = {page.id} | linked_to(session, [lost] if lost else [])
    if any(ref.id != page.id for _, _, ref in holders(session, [gave_up[0]])):
        sources |= linked_to(session, [page.id])
    relink_all(session, sources, now=now)
    bump(session)


# In `Page.extra`, the first one first: [address, the one it was given up for, when, the page that this one
# had led to until then, or 0].
FORMER = "former addresses"


def former_addresses(extra: Mapping[str, Any]) -> list[tuple[str, str, str, int]]:
    """What `rename` kept in the `extra` of a page; not what an import brought under that name."""
    kept = extra.get(FORMER)
    return [tuple(each) for each in kept if _is_given_up(each)] if isinstance(kept, list) else []


def _is_given_up(entry: Any) -> bool:
    if not isinstance(entry, list) or list(map(type, entry)) != [str, str, str, int]:
        return False
    try:
        return datetime.fromisoformat(entry[2]).tzinfo is not None
    except ValueError:
        return False


def lead(session: Session, page: Page, slug: str) -> None:
    """Let an address that nobody has lead to the page, as a former one does."""
    if _addresses(session, col(Page.slug) == slug, col(Alias.key) == slug):
        return
    assert page.id is not None
    session.add(Alias(page_id=page.id, name=slug, key=name_key(slug), kind=AliasKind.REDIRECT))
    session.flush()
    _adopt_links(session, page, content_of(session, page), now=page.updated_at)


def free_slug(session: Session, wanted: str) -> str:
    """`wanted`, or `wanted-2`, `wanted-3` … when a page or a former address has it."""
    base = wanted if is_slug(wanted) else slugify(wanted)
    if not session.connection().execute(_TAKEN, {"slug": base}).first():
        return base
    base = base[:190]  # room for a number
    taken = _addresses(
        session,
        col(Page.slug).startswith(f"{base}-", autoescape=True),
        col(Alias.key).startswith(f"{base}-", autoescape=True),
    )
    number = 2
    while f"{base}-{number}" in taken:
        number += 1
    return f"{base}-{number}"


_TAKEN = sa.union_all(
    sa.select(col(Page.slug)).where(col(Page.slug) == sa.bindparam("slug")),
    sa.select(col(Alias.key)).where(
        col(Alias.key) == sa.bindparam("slug"), col(Alias.kind) == AliasKind.REDIRECT
    ),
)


def _addresses(session: Session, of_page: Any, of_alias: Any) -> set[str]:
    """Addresses in use, present and former, under these conditions."""
    return set(
        session.connection()
        .execute(
            sa.union_all(
                sa.select(col(Page.slug)).where(of_page),
                sa.select(col(Alias.key)).where(of_alias, col(Alias.kind) == AliasKind.REDIRECT),
            )
        )
        .scalars()
    )


def _write(
    session: Session,
    page: Page,
    content: Content,
    *,
    author: Author,
    now: datetime,
    note: str,
    fresh: bool = False,
    paper: Paper | None = None,
) -> None:
    assert page.id is not None
    session.add(page)
    session.add(_revision(page, content, author=author, now=now, note=note))
    session.flush()
    if not fresh or _may_link(page.body):
        relink(session, page, now=now)
    numbers.note(session, page, fresh=fresh)
    _index(session, page, content.aliases, fresh=fresh, paper=paper)
    _ask(session, page, author, fresh=fresh, paper=paper)
    bump(session)


def _revision(
    page: Page, content: Content, *, author: Author, now: datetime, note: str
) -> Revision:
    assert page.id is not None
    return Revision(
        page_id=page.id,
        number=page.version,
        title=content.title,
        kind=content.kind,
        body=content.body,
        aliases=list(content.aliases),
        tags=list(content.tags),
        author_kind=author.kind,
        author=author.name,
        prompt=author.prompt,
        note=note,
        at=now,
    )


def _ask(session: Session, page: Page, author: Author, *, fresh: bool, paper: Paper | None) -> None:
    """Its questions follow its text; a digest tells those of other pages."""
    assert page.id is not None
    if page.kind != PageKind.DIGEST:
        questions.follow(session, page.id, page.body, fresh=fresh)
    if page.kind == PageKind.PAPER and author.kind == AuthorKind.EXTRACT:
        paper = paper or session.exec(select(Paper).where(Paper.page_id == page.id)).first()
        if paper is not None and (left := left_open(paper.abstract)):
            questions.add(session, page.id, left, day=paper.came or paper.published)


def _add_names(session: Session, page_id: int, content: Content) -> None:
    for name in content.aliases:
        session.add(Alias(page_id=page_id, name=name, key=name_key(name)))
    for name in content.tags:
        session.add(PageTag(page_id=page_id, name=name))


def _set_names(session: Session, page: Page, before: Content, content: Content) -> None:
    assert page.id is not None
    if (before.aliases, before.tags) == (content.aliases, content.tags):
        return
    session.connection().execute(
        sa.delete(Alias).where(col(Alias.page_id) == page.id, col(Alias.kind) == AliasKind.NAME)
    )
    session.connection().execute(sa.delete(PageTag).where(col(PageTag.page_id) == page.id))
    _add_names(session, page.id, content)


# ---------------------------------------------------------------- what follows from a body


@dataclass
class _Wanted:
    """The wikilinks of one body: by (page, relation), and those that lead nowhere yet."""

    links: dict[tuple[int, Relation], str] = field(default_factory=dict)
    red: dict[str, tuple[str, Relation, str]] = field(default_factory=dict)


def relink(session: Session, page: Page, *, now: datetime) -> None:
    """Make the author links and red links of a page agree with the wikilinks in its body.

    A link that its file in the vault puts in, to a page that nobody had written, is made once it is there.
    """
    relink_several(session, [page], now=now)


def relink_several(
    session: Session,
    several: Sequence[Page],
    *,
    now: datetime,
    found: Mapping[int | None, list[WikiLink]] | None = None,
) -> None:
    """The same of a few pages, in as many statements as of one. `found` are the links of their bodies."""
    for page in several:
        _put_in(session, page, now=now)
    if found is None:
        found = {page.id: _links_in(page, page.body) for page in several}
    links_of = found
    refs = resolve(
        session,
        [key for each in links_of.values() for link in each for key in link_keys(link.target)],
    )
    ids = [page.id for page in several]
    standing: dict[int, dict[tuple[int, Relation], Link]] = {}
    for link in session.exec(select(Link).where(col(Link.source_id).in_(ids))):
        standing.setdefault(link.source_id, {})[link.target_id, link.relation] = link
    red: dict[int, set[tuple[str, str, Relation, str]]] = {}
    for row in session.connection().execute(_RED, {"pages": ids}):
        red.setdefault(row.page_id, set()).add((row.key, row.name, row.relation, row.sentence))
    wanted_of: dict[int, _Wanted] = {}
    for page in several:
        assert page.id is not None
        put_in = page.extra.get(PUT_IN, ()) if page.kind not in GONE else ()
        wanted_of[page.id] = _wanted_by(page.id, links_of[page.id], refs, put_in)
    changed = [
        page_id
        for page_id, wanted in wanted_of.items()
        if {(key, *rest) for key, rest in wanted.red.items()} != red.get(page_id, set())
    ]
    if changed:
        session.connection().execute(_FORGET_RED, {"pages": changed})
    for page in several:
        assert page.id is not None
        _relink(session, page, wanted_of[page.id], standing.get(page.id, {}), now=now)
    for page_id in changed:
        for key, (name, relation, sentence) in wanted_of[page_id].red.items():
            session.add(
                RedLink(page_id=page_id, key=key, name=name, relation=relation, sentence=sentence)
            )
    session.flush()


_RED = sa.select(
    col(RedLink.page_id),
    col(RedLink.key),
    col(RedLink.name),
    col(RedLink.relation),
    col(RedLink.sentence),
).where(col(RedLink.page_id).in_(_SEVERAL))
_FORGET_RED = sa.delete(RedLink).where(col(RedLink.page_id).in_(_SEVERAL))


def _links_in(page: Page, body: str) -> list[WikiLink]:
    return wikilinks(body) if page.kind not in GONE and _may_link(body) else []


def _relink(
    session: Session,
    page: Page,
    wanted: _Wanted,
    standing: Mapping[tuple[int, Relation], Link],
    *,
    now: datetime,
) -> None:
    assert page.id is not None
    for (target_id, relation), sentence in wanted.links.items():
        _author_link(
            session,
            page.id,
            target_id,
            relation,
            sentence,
            standing.get((target_id, relation)),
            now,
        )
    for pair, link in standing.items():
        if link.origin == Origin.AUTHOR and pair not in wanted.links:
            _withdraw(session, link)


def red_links(
    session: Session, page_id: int, body: str, put_in: Iterable[Sequence[str]] = ()
) -> list[dict[str, Any]]:
    """The rows of red links that a page has by its body, by what its front matter puts in (`PUT_IN` of
    its `extra`) and by what pages there are.
    """
    return [
        {"page_id": page_id, "key": key, "name": name, "relation": relation, "sentence": sentence}
        for key, (name, relation, sentence) in _wanted(session, page_id, body, put_in).red.items()
    ]


def links_out(session: Session, page: Page) -> set[tuple[int, Relation]]:
    """The pages that the text of a page links to, and how, by what pages there are."""
    assert page.id is not None
    return set(_wanted(session, page.id, page.body).links) if page.kind not in GONE else set()


def _may_link(body: str) -> bool:
    """Whether a body can hold a link to a page at all: a look that spares most of them a parse."""
    return "[[" in body or ".md" in body


PUT_IN = (
    "put in"  # in `Page.extra`: [relation, name] of links in front matter that lead nowhere yet
)


def _put_in(session: Session, page: Page, *, now: datetime) -> None:
    """Make those links of the page's front matter whose pages are there by now."""
    waiting = page.extra.get(PUT_IN)
    if not waiting or page.kind in GONE or page.id is None:
        return
    found = resolve(session, [key for _, name in waiting for key in link_keys(name)])
    left = []
    for word, name in waiting:
        target = next((found[key] for key in link_keys(name) if key in found), None)
        if target is None:
            left.append([word, name])
        elif target.id != page.id:
            decisions.put_in(
                session, page.id, target.id, Relation(word), now=now, reason="put into its file"
            )
    if left != waiting:
        kept = {key: value for key, value in page.extra.items() if key != PUT_IN}
        page.extra = {**kept, PUT_IN: left} if left else kept
        session.add(page)


def _wanted(
    session: Session, page_id: int, body: str, put_in: Iterable[Sequence[str]] = ()
) -> _Wanted:
    found = wikilinks(body) if _may_link(body) else []
    refs = resolve(session, [key for link in found for key in link_keys(link.target)])
    return _wanted_by(page_id, found, refs, put_in)


def _wanted_by(
    page_id: int,
    found: Iterable[WikiLink],
    pages: Mapping[str, PageRef],
    put_in: Iterable[Sequence[str]],
) -> _Wanted:
    wanted = _Wanted()
    for link in found:
        keys = link_keys(link.target)
        relation = relation_of(link.relation)
        target = next((pages[k] for k in keys if k in pages), None)
        if target is not None:
            if target.id != page_id:
                wanted.links.setdefault((target.id, relation), link.sentence)
        elif keys:
            # Under its barest name: whichever page answers to one of its names answers to that.
            wanted.red.setdefault(keys[-1][:300], (link.target[:300], relation, link.sentence))
    for word, name in put_in:
        if keys := link_keys(name):
            wanted.red.setdefault(keys[-1][:300], (name[:300], Relation(word), ""))
    return wanted


def relation_of(word: str | None) -> Relation:
    """`[[extends::X]]` says how; any other word before the colons is read as a plain mention."""
    try:
        return Relation((word or "mentions").strip().lower())
    except ValueError:
        return Relation.MENTIONS


def _author_link(
    session: Session,
    source_id: int,
    target_id: int,
    relation: Relation,
    sentence: str,
    standing: Link | None,
    now: datetime,
) -> None:
    evidence = [{"quotation": sentence, "where": "text", "verbatim": False, "spans": []}]
    if standing is None:
        session.add(
            Link(
                source_id=source_id,
                target_id=target_id,
                relation=relation,
                status=LinkStatus.ACCEPTED,
                origin=Origin.AUTHOR,
                evidence=evidence,
                created_at=now,
                decided_at=now,
            )
        )
    elif standing.origin == Origin.AUTHOR:
        if standing.evidence != evidence:
            standing.evidence = evidence
            session.add(standing)
    else:  # what a person writes in the text overrides what a machine proposed or was told
        before = {
            "origin": standing.origin.value,
            "status": standing.status.value,
            "evidence": standing.evidence,
            "decided_at": standing.decided_at.isoformat() if standing.decided_at else None,
        }
        standing.extra = {**standing.extra, SAID_OVER: before}
        standing.origin = Origin.AUTHOR
        standing.status = LinkStatus.ACCEPTED
        standing.decided_at = now
        standing.evidence = evidence
        session.add(standing)


SAID_OVER = "before_author"  # in a link's `extra`: how it stood until the text said it


def _withdraw(session: Session, link: Link) -> None:
    """The wikilink is gone from the text: so is the link, unless it stood before on its own."""
    assert link.id is not None
    before = link.extra.get(SAID_OVER)
    if not isinstance(before, dict):
        session.delete(link)
        return
    # One that had come back after its rejection waits again: the rejection is not the last word.
    decided = None if links.RETURNED in link.extra else decisions.standing_status(session, link.id)
    link.extra = {key: value for key, value in link.extra.items() if key != SAID_OVER}
    link.origin = Origin(before["origin"])
    link.status = decided or LinkStatus(before["status"])
    if "decided_at" in before:
        at = before["decided_at"]
        link.decided_at = datetime.fromisoformat(at) if at else None
    link.evidence = before["evidence"]
    session.add(link)


def _names(content: Content) -> set[str]:
    return {name_key(name) for name in (content.title, *content.aliases)}


def _adopt_links(
    session: Session, page: Page, content: Content, *, now: datetime, fresh: bool = False
) -> None:
    """Links by a name this page now has are its own: their pages are linked anew.

    That is so for red links, and for links that reached another page by a lesser claim to the name.
    """
    assert page.id is not None
    keys = {page.slug, *_names(content)}
    if not fresh:
        former = select(Alias.key).where(Alias.page_id == page.id, Alias.kind == AliasKind.REDIRECT)
        keys.update(session.exec(former))
    bare = {key for name in keys for key in link_keys(name)}
    values = {"bare": list(bare), "keys": list(keys), "page": page.id}
    found = session.connection().execute(_TOUCHED, values).all()
    sources = {page_id for what, page_id in found if what == "red"}
    rivals = {page_id for what, page_id in found if what == "rival"}
    sources |= rivals | linked_to(session, rivals)  # a rival may have named itself so
    relink_all(session, sources - {page.id}, now=now)


# Made once: it is asked at every save, and putting it together costs more than asking.
_KEYS: sa.BindParameter[Any] = sa.bindparam("keys", expanding=True)
_TOUCHED: sa.CompoundSelect[Any] = sa.union(
    sa.select(sa.literal("red"), col(RedLink.page_id)).where(
        col(RedLink.key).in_(sa.bindparam("bare", expanding=True))
    ),
    sa.select(sa.literal("rival"), col(Alias.page_id)).where(
        col(Alias.key).in_(_KEYS), col(Alias.page_id) != sa.bindparam("page")
    ),
    sa.select(sa.literal("rival"), col(Page.id)).where(
        col(Page.title_key).in_(_KEYS), col(Page.id) != sa.bindparam("page")
    ),
)


def linked_to(session: Session, page_ids: Collection[int | None]) -> set[int]:
    """Pages whose text links to one of these."""
    if not page_ids:
        return set()
    statement = sa.select(col(Link.source_id)).where(
        col(Link.target_id).in_(page_ids), col(Link.origin) == Origin.AUTHOR
    )
    return set(session.connection().execute(statement).scalars())


def relink_all(session: Session, sources: Iterable[int], *, now: datetime) -> None:
    for some in _chunked(sorted(sources), _AT_ONCE):
        several = session.exec(select(Page).where(col(Page.id).in_(some)).order_by(col(Page.id)))
        relink_several(session, several.all(), now=now)


def stand_again(session: Session, page: Page, writers: Iterable[int], *, now: datetime) -> None:
    """Let a page that was none for a while be found, linked to and counted as its text and names say.

    `writers` are pages whose texts linked to it before, beside those with red links to its names.
    """
    assert page.id is not None
    relink(session, page, now=now)
    numbers.note(session, page)
    reindex(session, page)
    relink_all(session, {*writers} - {page.id}, now=now)
    _adopt_links(session, page, content_of(session, page), now=now)
    bump(session)


def reindex(session: Session, page: Page) -> None:
    """Write the searchable text of a page, and make it found by it."""
    assert page.id is not None
    _index(session, page, aliases_of(session, page.id))


def _index(
    session: Session,
    page: Page,
    aliases: Sequence[str],
    *,
    fresh: bool = False,
    paper: Paper | None = None,
) -> None:
    """`fresh`: the page is new, and nothing stands there yet. `paper`: its own, where it is known."""
    assert page.id is not None
    names, text = _searchable(session, page, aliases, paper, _own_words(page, page.body))
    digest = searched_hash(page.title, names, text)
    values = {"title": page.title, "names": names, "text": text, "hash": digest}
    standing = None if fresh else session.get(PageText, page.id)
    if standing is None:
        session.add(PageText(page_id=page.id, **values))
    elif standing.hash == digest:
        return
    else:
        standing.sqlmodel_update(values)
        session.add(standing)
    session.flush()
    search.index(session, page.id, title=page.title, names=names, text=text, aliases=aliases)
    bump(session, TEXTS)
    if page.kind == PageKind.CONCEPT:
        bump(session, "concepts")


def _index_several(
    session: Session,
    several: Sequence[Page],
    aliases: Mapping[int, Sequence[str]],
    own: Mapping[int | None, str],
) -> None:
    """`_index` of pages whose names are as they were. `own` are the words of their bodies."""
    ids = [page.id for page in several]
    standing = {
        each.page_id: each
        for each in session.exec(select(PageText).where(col(PageText.page_id).in_(ids)))
    }
    held = {
        each.page_id: each
        for each in session.exec(select(Paper).where(col(Paper.page_id).in_(ids)))
    }
    rows = []
    for page in several:
        assert page.id is not None
        names, text = _searchable(
            session, page, aliases.get(page.id, ()), held.get(page.id), own[page.id]
        )
        digest = searched_hash(page.title, names, text)
        row = standing.get(page.id) or PageText(
            page_id=page.id, title="", names="", text="", hash=""
        )
        if row.hash != digest:
            row.title, row.names, row.text, row.hash = page.title, names, text, digest
            session.add(row)
            rows.append((page.id, page.title, names, text))
    session.flush()
    search.index_all(session, rows, called=())
    bump(session, TEXTS)
    if any(page.kind == PageKind.CONCEPT for page in several):
        bump(session, "concepts")


def _searchable(
    session: Session, page: Page, aliases: Sequence[str], paper: Paper | None, own_text: str
) -> tuple[str, str]:
    """The other names of a page, one a line, and its text."""
    names, above = list(aliases), ""
    if page.kind == PageKind.PAPER:
        paper = paper or session.exec(select(Paper).where(Paper.page_id == page.id)).first()
        if paper is not None:
            names += paper.authors
            own = select(Identifier.value).where(Identifier.paper_id == paper.id)
            names += session.exec(own.order_by(col(Identifier.id))).all()
            above = paper.abstract
    elif page.kind == PageKind.THREAD:
        thread = session.get(Thread, page.id)
        above = thread.claim if thread else ""
    return "\n".join(names), "\n\n".join(part for part in (above, own_text) if part)


def _own_words(page: Page, body: str) -> str:
    return searched_text(body, page.author_kind, "")


def searched_text(body: str, author: AuthorKind, above: str) -> str:
    """What search reads of a page: `above`, its abstract or its claim, then its body without markup."""
    # What was extracted from the abstract is in the abstract: no word of it counts twice.
    own = plain_text(body) if body and author != AuthorKind.EXTRACT else ""
    return "\n\n".join(part for part in (above, own) if part)


def searched_hash(title: str, names: str, text: str) -> str:
    """What changes with anything that search reads of a page."""
    return sha256("\0".join((title, names, text)).encode()).hexdigest()[:16]


# ---------------------------------------------------------------- drafts


def keep_draft(
    session: Session, slug: str, *, base: int, title: str, body: str, now: datetime
) -> None:
    """Remember what stands in the editor; an earlier draft of the page is replaced."""
    session.merge(
        Draft(
            slug=slug[:200],
            base=base,
            title=_storable(title)[:MAX_TITLE],
            body=_storable(body)[:MAX_BODY],
            at=now,
        )
    )


def drop_draft(session: Session, slug: str) -> None:
    session.connection().execute(sa.delete(Draft).where(col(Draft.slug) == slug[:200]))
