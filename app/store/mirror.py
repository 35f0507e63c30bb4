"""What file of the vault says what of which page: rows of the mirror, and pages as their files say them.

`told` reads any number of pages in a dozen statements. Nothing here knows a folder: paths are text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.domain.markdown import is_linkable, link_keys, name_key, tags_in
from app.domain.notes import NamedLink, Note
from app.domain.records import (
    GONE,
    Alias,
    AliasKind,
    Decision,
    Digest,
    Episode,
    Identifier,
    Link,
    LinkStatus,
    Mirror,
    Origin,
    Page,
    PageKind,
    PageTag,
    Paper,
    Prediction,
    Preference,
    Question,
    Relation,
    Revision,
    Source,
    Thread,
    Unmirrored,
    VaultConflict,
    VaultProblem,
)
from app.store import decisions, pages

_WIKI = "vault_wiki"  # a preference: what the mark of the vault names this wiki
_DECISIONS = "vault_decisions"  # a preference: the id of the last decision in the vault's journal
_SOME = 500  # ids in one statement
_Value = TypeVar("_Value")


def wiki_name(session: Session) -> str | None:
    """What the mark in the vault calls this wiki; None before it ever had a vault."""
    found = session.get(Preference, _WIKI)
    return found.value if found else None


def name_wiki(session: Session) -> str:
    """The same, made now where there is none."""
    return wiki_name(session) or _set(session, _WIKI, uuid4().hex)


def take_name(session: Session, name: str) -> None:
    """Let this wiki be the one that the mark in a vault names: it was rebuilt from it."""
    _set(session, _WIKI, name)


def _set(session: Session, name: str, value: str) -> str:
    session.merge(Preference(name=name, value=value))
    session.flush()
    return value


# ---------------------------------------------------------------- rows


def ever_written(session: Session) -> bool:
    """Whether a file was ever written or taken up."""
    found = sa.select(col(Mirror.id)).where(col(Mirror.version) > 0).limit(1)
    return session.connection().execute(found).first() is not None


def files(session: Session) -> dict[str, tuple[int, int]]:
    """Size and time of every file as it was when it was last seen, by its path. Reserved ones are left out."""
    rows = session.connection().execute(_FILES)
    return {path: (size, mtime_ns) for path, size, mtime_ns in rows}


_FILES = sa.select(col(Mirror.path), col(Mirror.size), col(Mirror.mtime_ns)).where(
    col(Mirror.version) > 0
)


def written_files(session: Session) -> list[Any]:
    """Every file of a page as it was last seen: id, page_id, slug, path, hash, size, mtime_ns, side_hash."""
    return list(session.connection().execute(_WRITTEN_FILES))


_WRITTEN_FILES = (
    sa.select(
        *(
            getattr(Mirror, name)
            for name in ("id", "page_id", "path", "hash", "size", "mtime_ns", "side_hash")
        ),
        col(Page.slug),
    )
    .join(Page, col(Page.id) == col(Mirror.page_id))
    .where(col(Mirror.version) > 0)
    .order_by(col(Mirror.id))
)


def look_again(session: Session, mirror_ids: Sequence[int]) -> None:
    """Let the next look read these files, whatever their size and time say."""
    for some in _chunks(mirror_ids):
        anew = sa.update(Mirror).where(col(Mirror.id).in_(some)).values(mtime_ns=0)
        session.connection().execute(anew)


def write_beside(session: Session, page_ids: Sequence[int]) -> None:
    """Let the companions of these pages be written again."""
    for some in _chunks(page_ids):
        anew = sa.update(Mirror).where(col(Mirror.page_id).in_(some)).values(side_hash="")
        session.connection().execute(anew)
    mark(session, page_ids)


def count(session: Session) -> int:
    """How many files there are, those of pages that are gone left out."""
    counted = sa.select(sa.func.count()).select_from(Mirror)
    written = counted.where(col(Mirror.version) > 0, col(Mirror.page_id).is_not(None))
    return session.connection().execute(written).scalar_one()


def last(session: Session) -> datetime | None:
    """When a file and its page were last found or brought into step."""
    return session.connection().execute(sa.select(sa.func.max(Mirror.at))).scalar()


def at(session: Session, paths: Collection[str]) -> dict[str, Mirror]:
    """The rows of these files, by path."""
    found: dict[str, Mirror] = {}
    for some in _chunks(list(paths)):
        for row in session.exec(select(Mirror).where(col(Mirror.path).in_(some))):
            found[row.path] = row
    return found


def of_pages(session: Session, page_ids: Collection[int]) -> dict[int, Mirror]:
    """The rows of the files of these pages, by page."""
    found: dict[int, Mirror] = {}
    for some in _chunks(list(page_ids)):
        for row in session.exec(select(Mirror).where(col(Mirror.page_id).in_(some))):
            if row.page_id is not None:
                found[row.page_id] = row
    return found


def of_key(session: Session, path_key: str) -> Mirror | None:
    """The row of the file that file systems which fold case and accents take this path for."""
    return session.exec(select(Mirror).where(Mirror.path_key == path_key)).first()


def taken(session: Session, path_keys: Collection[str], stem_keys: Collection[str]) -> set[str]:
    """Those of the keys that a file has: paths and stems."""
    found: set[str] = set()
    for column, keys in ((Mirror.path_key, path_keys), (Mirror.stem_key, stem_keys)):
        for some in _chunks(list(keys)):
            rows = sa.select(col(column)).where(col(column).in_(some))
            found.update(session.connection().execute(rows).scalars())
    return found


def without_page(session: Session, *, limit: int = 200) -> list[Mirror]:
    """Files to be taken away: of pages that are gone, or wait because they are none any more."""
    rows = select(Mirror).where(col(Mirror.page_id).is_(None)).limit(limit)
    left = (
        select(Mirror)
        .join(Unmirrored, col(Unmirrored.page_id) == col(Mirror.page_id))
        .join(Page, col(Page.id) == col(Mirror.page_id))
        .where(col(Page.kind).in_(GONE))
        .limit(limit)
    )
    return [*session.exec(rows), *session.exec(left)]


HAD = "file was"  # with a blank: an import may bring a field "file"
"""In the `extra` of a page without a file: {path, head, newline} of the one it had, or is to have."""


def extras_with(session: Session, page_ids: Sequence[int], name: str) -> dict[int, Any]:
    """Of those pages whose `extra` has this field, its value."""
    found: dict[int, Any] = {}
    for some in _chunks(page_ids):
        rows = sa.select(col(Page.id), col(Page.extra)).where(col(Page.id).in_(some))
        found |= {
            page_id: extra[name]
            for page_id, extra in session.connection().execute(rows)
            if page_id is not None and name in extra
        }
    return found


def unwritten(session: Session, *, limit: int = 500) -> list[tuple[Any, ...]]:
    """Pages that wait and have no path yet: id, title, slug and kind."""
    rows = (
        sa.select(col(Page.id), col(Page.title), col(Page.slug), col(Page.kind))
        .join(Unmirrored, col(Unmirrored.page_id) == col(Page.id))
        .outerjoin(Mirror, col(Mirror.page_id) == col(Page.id))
        .where(col(Mirror.id).is_(None), col(Page.kind).not_in(GONE))
        .order_by(col(Page.id))
        .limit(limit)
    )
    return [tuple(row) for row in session.connection().execute(rows)]


def all_paths(session: Session) -> Iterator[tuple[int, str, str, PageKind, str | None]]:
    """Every page in order: id, slug, title, kind, and the path of its file where it has one."""
    rows = (
        sa.select(col(Page.id), col(Page.slug), col(Page.title), col(Page.kind), col(Mirror.path))
        .outerjoin(Mirror, col(Mirror.page_id) == col(Page.id))
        .where(col(Page.kind).not_in(GONE))
        .order_by(col(Page.id))
    )
    for row in session.connection().execute(rows.execution_options(yield_per=_SOME)):
        yield row.id, row.slug, row.title, row.kind, row.path


def waiting(session: Session, *, after: int = 0, limit: int = 200) -> list[tuple[int, int]]:
    """Pages whose files may not say what they say, by id after one: page and the count of its changes."""
    rows = (
        sa.select(col(Unmirrored.page_id), col(Unmirrored.seq))
        .where(col(Unmirrored.page_id) > after)
        .order_by(col(Unmirrored.page_id))
        .limit(limit)
    )
    return [(row[0], row[1]) for row in session.connection().execute(rows)]


def waits(session: Session) -> bool:
    """Whether a page waits for its file, a file to be taken away, or a decision to be told.

    Asked twice a second: three looks into an index.
    """
    told = newest_decision(session)
    found = sa.select(
        sa.exists(sa.select(col(Unmirrored.page_id)))
        | sa.exists(sa.select(col(Mirror.id)).where(col(Mirror.page_id).is_(None)))
        | sa.exists(sa.select(col(Decision.id)).where(col(Decision.id) > told))
    )
    return bool(session.connection().execute(found).scalar())


def pending(session: Session) -> int:
    """How many pages wait for their files."""
    counted = sa.select(sa.func.count()).select_from(Unmirrored)
    return session.connection().execute(counted).scalar_one()


def written(session: Session, seqs: Mapping[int, int]) -> None:
    """These pages wait no more, unless they changed since their changes were counted so."""
    if seqs:
        session.connection().execute(
            _WRITTEN, [{"page": page, "upto": seq} for page, seq in seqs.items()]
        )


_WRITTEN = sa.delete(Unmirrored).where(
    col(Unmirrored.page_id) == sa.bindparam("page"), col(Unmirrored.seq) == sa.bindparam("upto")
)


def mark(session: Session, page_ids: Iterable[int]) -> None:
    """Let these pages wait for their files."""
    rows = [{"page": page_id} for page_id in page_ids]
    if rows:
        session.connection().execute(_MARK, rows)


_MARK = sa.text(
    "INSERT INTO unmirrored (page_id, seq) VALUES (:page, 1) "
    "ON CONFLICT (page_id) DO UPDATE SET seq = unmirrored.seq + 1"
)


def mark_linking(session: Session, page_ids: Sequence[int]) -> None:
    """Let the pages that link to these wait: their files say how these are called."""
    for some in _chunks(page_ids):
        session.connection().execute(_MARK_LINKING, {"pages": list(some)})


_MARK_LINKING = sa.text(
    "INSERT INTO unmirrored (page_id, seq) SELECT DISTINCT source_id, 1 FROM link "
    "WHERE target_id IN :pages AND status = 'accepted' AND origin <> 'author' "
    "ON CONFLICT (page_id) DO UPDATE SET seq = unmirrored.seq + 1"
).bindparams(sa.bindparam("pages", expanding=True))


def mark_all(session: Session) -> None:
    """Forget every file, and let every page wait for its own, and every decision to be told again."""
    connection = session.connection()
    note_decisions(session, 0)
    connection.execute(sa.delete(Mirror))
    connection.execute(_MARK_ALL)


_MARK_ALL = sa.text(
    "INSERT INTO unmirrored (page_id, seq) SELECT id, 1 FROM page WHERE 1 = 1 "
    "ON CONFLICT (page_id) DO UPDATE SET seq = unmirrored.seq + 1"
)


# ---------------------------------------------------------------- problems and conflicts


def note_problem(session: Session, path: str, reason: str, *, now: datetime) -> bool:
    """Say what is wrong with a file ("" is the folder itself); whether that is news."""
    standing = session.get(VaultProblem, path)
    if standing is not None and standing.reason == reason:
        return False
    session.merge(VaultProblem(path=path, reason=reason, at=now))
    return True


def solved(session: Session, paths: Collection[str]) -> None:
    """Nothing is wrong with these files any more."""
    for some in _chunks(list(paths)):
        session.connection().execute(
            sa.delete(VaultProblem).where(col(VaultProblem.path).in_(some))
        )


def problems(session: Session) -> list[VaultProblem]:
    return list(session.exec(select(VaultProblem).order_by(col(VaultProblem.path))))


def conflict(session: Session, page_id: int) -> VaultConflict | None:
    return session.get(VaultConflict, page_id)


def conflicts(session: Session) -> list[tuple[VaultConflict, str, str]]:
    """Every conflict with the slug and the title of its page, the oldest first."""
    rows = session.exec(
        select(VaultConflict, Page.slug, Page.title)
        .join(Page, col(Page.id) == col(VaultConflict.page_id))
        .order_by(col(VaultConflict.at), col(VaultConflict.page_id))
    )
    return [(row, slug, title) for row, slug, title in rows]


def conflict_count(session: Session) -> int:
    counted = sa.select(sa.func.count()).select_from(VaultConflict)
    return session.connection().execute(counted).scalar_one()


def in_conflict(session: Session, page_ids: Collection[int]) -> set[int]:
    found: set[int] = set()
    for some in _chunks(list(page_ids)):
        rows = sa.select(col(VaultConflict.page_id)).where(col(VaultConflict.page_id).in_(some))
        found.update(session.connection().execute(rows).scalars())
    return found


def base_text(session: Session, page_id: int, version: int) -> str | None:
    """The text of a page as a revision has it; None when there is no such revision."""
    rows = sa.select(col(Revision.body)).where(
        col(Revision.page_id) == page_id, col(Revision.number) == version
    )
    return session.connection().execute(rows).scalar()


def revision_with(session: Session, page_id: int, body: str, *, after: int = 0) -> int | None:
    """The newest revision of a page after that number which has just this text."""
    rows = (
        sa.select(col(Revision.number))
        .where(
            col(Revision.page_id) == page_id,
            col(Revision.number) > after,
            col(Revision.body) == body,
        )
        .order_by(col(Revision.number).desc())
        .limit(1)
    )
    return session.connection().execute(rows).scalar()


def texts_before(session: Session, page_id: int, version: int, *, limit: int = 10) -> list[Any]:
    """Number and text of a page's revisions up to one, the newest first."""
    rows = (
        sa.select(col(Revision.number), col(Revision.body))
        .where(col(Revision.page_id) == page_id, col(Revision.number) <= version)
        .order_by(col(Revision.number).desc())
        .limit(limit)
    )
    return list(session.connection().execute(rows))


# ---------------------------------------------------------------- names


def lookup(
    session: Session, names: Collection[str], path_key: Callable[[str], str]
) -> dict[str, int]:
    """The pages that wikilinks in a file mean: by a file's path or name, else by any name of a page."""
    paths = {path_key(f"{name.removesuffix('.md')}.md"): name for name in names if "/" in name}
    stems = {name_key(name.removesuffix(".md")): name for name in names}
    found: dict[str, int] = {}
    for some in _chunks(list(paths)):
        rows = sa.select(col(Mirror.path_key), col(Mirror.page_id)).where(
            col(Mirror.path_key).in_(some), col(Mirror.page_id).is_not(None)
        )
        for key, page_id in session.connection().execute(rows):
            found[paths[key]] = int(page_id or 0)
    by_stem: dict[str, list[int]] = defaultdict(list)
    for some in _chunks(list(stems)):
        rows = sa.select(col(Mirror.stem_key), col(Mirror.page_id)).where(
            col(Mirror.stem_key).in_(some), col(Mirror.page_id).is_not(None)
        )
        for key, page_id in session.connection().execute(rows):
            by_stem[stems[key]].append(int(page_id or 0))
    found.update({n: ids[0] for n, ids in by_stem.items() if len(ids) == 1 and n not in found})
    left = [name for name in names if name not in found]
    if left:
        known = pages.resolve(session, [key for name in left for key in link_keys(name)])
        for name in left:
            page = next((known[key] for key in link_keys(name) if key in known), None)
            if page is not None:
                found[name] = page.id
    return found


# ---------------------------------------------------------------- pages as their files say them


@dataclass(frozen=True)
class Told:
    """A page as its file is to say it.

    `side` is what its companion holds beside. `seq` counts the changes that this has seen, 0 where none
    waits. `mirror` is its file as last seen, if there is one. `disputed`: file and page are in conflict.
    """

    page_id: int
    version: int
    note: Note
    side: dict[str, Any] = field(repr=False)
    seq: int = 0
    mirror: Mirror | None = None
    disputed: bool = False


def told(session: Session, page_ids: Collection[int]) -> dict[int, Told]:
    """These pages as their files are to say them, by id; those that are none any more are left out."""
    found: dict[int, Told] = {}
    for some in _chunks(list(page_ids)):
        found.update(_Reading(session, some).all())
    return found


class _Reading:
    """Some pages, and what belongs to them, each table read once."""

    def __init__(self, session: Session, ids: Sequence[int]) -> None:
        self._connection = session.connection()
        self._ids = list(ids)
        self._rows = {
            row.id: row
            for row in self._connection.execute(
                sa.select(*_of(Page, *_PAGE)).where(
                    col(Page.id).in_(self._ids), col(Page.kind).not_in(GONE)
                )
            )
        }
        self._ids = list(self._rows)
        self._papers = self._by_page(Paper, *_PAPER)
        self._aliases = self._by_page(Alias, "name", "kind", order=col(Alias.id))
        self._tags = self._by_page(PageTag, "name", order=col(PageTag.name))
        self._threads = self._by_page(Thread, "claim", "status")
        self._digests = self._by_page(Digest, *_columns(Digest))
        self._questions = self._by_page(Question, *_columns(Question), order=col(Question.number))
        self._predictions = self._by_page(
            Prediction, *_columns(Prediction), order=col(Prediction.id)
        )
        self._episodes = self._episodes_of()
        self._identifiers = self._identifiers_of()
        self._links = self._links_of()
        self._mirrors = of_pages(session, self._ids)
        self._seqs: dict[int, int] = {
            row.page_id: row.seq for row in self._select(Unmirrored, "seq")
        }
        self._disputed = in_conflict(session, self._ids)

    def all(self) -> dict[int, Told]:
        return {
            page_id: Told(
                page_id,
                row.version,
                self._note(row),
                self._side(row),
                self._seqs.get(page_id, 0),
                self._mirrors.get(page_id),
                page_id in self._disputed,
            )
            for page_id, row in self._rows.items()
        }

    # ------------------------------------------------------------ reading

    def _select(self, table: Any, *names: str, order: Any = None) -> list[Any]:
        statement = sa.select(col(table.page_id), *_of(table, *names)).where(
            col(table.page_id).in_(self._ids)
        )
        if order is not None:
            statement = statement.order_by(order)
        return list(self._connection.execute(statement)) if self._ids else []

    def _by_page(self, table: Any, *names: str, order: Any = None) -> dict[int, list[Any]]:
        names = tuple(name for name in names if name != "page_id")
        found: dict[int, list[Any]] = defaultdict(list)
        for row in self._select(table, *names, order=order):
            found[row.page_id].append(row)
        return found

    def _episodes_of(self) -> dict[int, Any]:
        statement = (
            sa.select(
                *_of(Episode, *_columns(Episode)),
                *(getattr(Source, name).label(f"of_{name}") for name in _SOURCE),
            )
            .join(Source, col(Source.id) == col(Episode.source_id))
            .where(col(Episode.page_id).in_(self._ids))
        )
        return {row.page_id: row for row in self._connection.execute(statement)}

    def _identifiers_of(self) -> dict[int, list[Any]]:
        owner = sa.func.coalesce(col(Identifier.page_id), col(Paper.page_id)).label("owner")
        statement = (
            sa.select(owner, *_of(Identifier, "scheme", "value", "versions"))
            .outerjoin(Paper, col(Paper.id) == col(Identifier.paper_id))
            .where(col(Identifier.page_id).in_(self._ids) | col(Paper.page_id).in_(self._ids))
            .order_by(col(Identifier.id))
        )
        found: dict[int, list[Any]] = defaultdict(list)
        for row in self._connection.execute(statement):
            found[row.owner].append(row)
        return found

    def _links_of(self) -> dict[int, list[Any]]:
        target = aliased(Page)
        statement = (
            sa.select(
                *_of(Link, "source_id", *_LINK),
                col(target.slug).label("slug"),
                col(Mirror.path).label("path"),
                col(Mirror.stem_key).label("stem_key"),
                sa.select(col(Question.number))
                .where(col(Question.id) == col(Link.question_id))
                .scalar_subquery()
                .label("question"),
            )
            .join(target, col(target.id) == col(Link.target_id))
            .outerjoin(Mirror, col(Mirror.page_id) == col(target.id))
            .where(
                col(Link.source_id).in_(self._ids),
                col(Link.status) != LinkStatus.PROPOSED,
                col(target.kind).not_in(GONE),
            )
            .order_by(col(Link.source_id), col(Link.relation), col(target.title_key), col(Link.id))
        )
        found: dict[int, list[Any]] = defaultdict(list)
        for row in self._connection.execute(statement):
            found[row.source_id].append(row)
        keys = {row.stem_key for rows in found.values() for row in rows if row.stem_key}
        self._doubles: set[str] = set()
        for some in _chunks(list(keys)):
            doubles = (
                sa.select(col(Mirror.stem_key))
                .where(col(Mirror.stem_key).in_(some))
                .group_by(col(Mirror.stem_key))
                .having(sa.func.count() > 1)
            )
            self._doubles.update(self._connection.execute(doubles).scalars())
        return found

    # ------------------------------------------------------------ telling

    def _note(self, row: Any) -> Note:
        return Note(
            id=row.slug,
            kind=row.kind,
            title=row.title,
            aliases=tuple(
                each.name for each in self._aliases[row.id] if each.kind == AliasKind.NAME
            ),
            tags=tuple(each.name for each in self._tags[row.id]),
            identifiers=tuple(f"{each.scheme}:{each.value}" for each in self._identifiers[row.id]),
            facts=self._facts(row),
            links=(
                *(
                    NamedLink(each.relation, self._name(each))
                    for each in self._links[row.id]
                    if each.status == LinkStatus.ACCEPTED and each.origin != Origin.AUTHOR
                ),
                *(
                    NamedLink(Relation(word), name)
                    for word, name in row.extra.get(pages.PUT_IN, ())
                ),
            ),
            body=row.body,
        )

    def _name(self, link: Any) -> str:
        """What a wikilink must say to be found by other tools too: a file's name, or its whole path."""
        if not link.path:
            return str(link.slug)
        path = str(link.path).removesuffix(".md")
        name = path if link.stem_key in self._doubles else path.rpartition("/")[2]
        return name if is_linkable(name) else str(link.slug)

    def _facts(self, row: Any) -> dict[str, str | tuple[str, ...]]:
        facts: dict[str, str | tuple[str, ...]] = {}
        if row.kind == PageKind.PAPER:
            for paper in self._papers[row.id]:
                facts = {
                    "authors": tuple(paper.authors),
                    "published": paper.published,
                    "venue": paper.venue,
                    "categories": tuple(paper.categories),
                    "code": paper.code_url,
                }
        elif row.kind == PageKind.THREAD:
            for thread in self._threads[row.id]:
                facts = {"claim": thread.claim, "status": thread.status.value}
        elif row.kind == PageKind.DIGEST:
            for digest in self._digests[row.id]:
                facts = {"day": digest.day}
        elif row.kind == PageKind.EPISODE and row.id in self._episodes:
            facts = {"published": self._episodes[row.id].published}
        return {name: value for name, value in facts.items() if value}

    def _untagged(self, row: Any) -> list[str]:
        """What stands in the text like a tag, and is none of the page's."""
        tags = {name_key(each.name) for each in self._tags[row.id]}
        return [tag for tag in tags_in(row.body) if name_key(tag) not in tags]

    def _side(self, row: Any) -> dict[str, Any]:
        side: dict[str, Any] = {
            "format": 1,
            "id": row.slug,
            "number": row.id,  # of two pages that one name fits, the older one has it
            "kind": row.kind.value,
            "title": row.title,
            "version": row.version,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "author": {"kind": row.author_kind.value, "name": row.author},
            "extra": row.extra,
            "redirects": [
                each.name for each in self._aliases[row.id] if each.kind == AliasKind.REDIRECT
            ],
            "identifiers": [
                {"scheme": each.scheme, "value": each.value, "versions": each.versions}
                for each in self._identifiers[row.id]
            ],
            "links": [
                {
                    "relation": each.relation,
                    "target": each.slug,
                    **{name: getattr(each, name) for name in _LINK if name != "relation"},
                    "question": each.question,
                }
                for each in self._links[row.id]
            ],
        }
        for name, rows in (
            ("paper", self._papers),
            ("thread", self._threads),
            ("digest", self._digests),
        ):
            if rows[row.id]:
                side[name] = _dict(rows[row.id][0])
        if row.id in self._episodes:
            said = _dict(self._episodes[row.id])
            source = {name: said.pop(f"of_{name}") for name in _SOURCE}
            side["episode"] = {k: v for k, v in said.items() if k != "source_id"} | {
                "source": source
            }
        for name, rows in (("questions", self._questions), ("predictions", self._predictions)):
            if rows[row.id]:
                side[name] = [
                    {k: v for k, v in _dict(each).items() if k != "id"} for each in rows[row.id]
                ]
        if untagged := self._untagged(row):
            side["untagged"] = untagged
        plain: dict[str, Any] = _plain(side)
        return plain


_PAGE = (
    *("id", "slug", "kind", "title", "version", "author_kind", "author"),
    *("created_at", "updated_at", "extra", "body"),
)
_PAPER = (
    *("title", "abstract", "authors", "venue", "published", "categories", "references"),
    *("code_url", "extra", "created_at"),
)
_LINK = (
    *("relation", "status", "origin", "role", "note", "day", "confidence", "reason", "evidence"),
    *("signals", "extra", "created_at", "decided_at"),
)
_SOURCE = ("key", "kind", "name", "url")


def _of(table: Any, *names: str) -> list[Any]:
    return [col(getattr(table, name)) for name in names]


def _columns(table: Any) -> tuple[str, ...]:
    return tuple(column.name for column in table.__table__.columns if column.name != "act_id")


def _dict(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row._mapping.items() if name != "page_id"}


def _plain(value: Any) -> Any:
    """Rows as JSON has them."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


# ---------------------------------------------------------------- decisions


def newest_decision(session: Session) -> int:
    """The id of the last decision that stands in the vault's journal."""
    found = session.get(Preference, _DECISIONS)
    return int(found.value) if found and found.value.isdigit() else 0


def note_decisions(session: Session, upto: int) -> None:
    """Decisions up to this id stand in the vault's journal."""
    _set(session, _DECISIONS, str(upto))


def decisions_after(
    session: Session, number: int, *, limit: int = 1000
) -> list[tuple[int, dict[str, Any]]]:
    """Decisions after an id, as lines of the journal: what they are about by names, not by ids."""
    statement = (
        decisions.told(*_DECISION)
        .where(col(Decision.id) > number)
        .order_by(col(Decision.id))
        .limit(limit)
    )
    rows = list(session.connection().execute(statement))
    papers = [row.paper_id for row in rows if row.paper_id is not None]
    named: dict[int, list[str]] = defaultdict(list)
    for some in _chunks(papers):
        ids = sa.select(*_of(Identifier, "paper_id", "scheme", "value")).where(
            col(Identifier.paper_id).in_(some)
        )
        for paper_id, scheme, value in session.connection().execute(
            ids.order_by(col(Identifier.id))
        ):
            named[paper_id].append(f"{scheme}:{value}")
    return [(row.id, _plain(_line(row, named))) for row in rows]


_DECISION = (
    *("id", "at", "who", "verdict", "reason", "batch", "before", "undoes_id", "agreed"),
    *("confidence", "signal", "kind", "link_id", "paper_id", "change_id"),
)


def _line(row: Any, named: Mapping[int, list[str]]) -> dict[str, Any]:
    line: dict[str, Any] = {
        "n": row.id,
        **{name: getattr(row, name) for name in ("at", "who", "verdict", "reason", "batch")},
        "undoes": row.undoes_id,
        **{name: getattr(row, name) for name in ("agreed", "confidence", "signal", "kind")},
        "before": row.before,
    }
    if row.link_id is not None:
        line["link"] = {
            "source": row.source_slug,
            "relation": row.relation,
            "target": row.target_slug,
        }
    if row.paper_id is not None:
        line["paper"] = {
            "ids": named.get(row.paper_id, []),
            "title": row.paper_title,
            "page": row.paper_slug,
        }
    if row.change_id is not None:
        line["change"] = {
            "kind": row.change_kind,
            "key": row.change_key,
            "title": row.change_title,
            "source": row.source_slug,
            "target": row.target_slug,
        }
    return line


def _chunks(values: Sequence[_Value]) -> Iterable[Sequence[_Value]]:
    for start in range(0, len(values), _SOME):
        yield values[start : start + _SOME]
