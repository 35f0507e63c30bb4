"""Rebuild: what is derived is made anew; or a whole wiki, in an empty database, from its vault alone.

From a vault come the pages with their names, facts, questions and predictions, the links that were
decided, and the decisions. What only the database had is not there to be found: earlier revisions,
papers that were never kept and their marks, what was fetched, proposals that waited. A file that was
written by hand, or by another program, is taken as far as it goes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session, SQLModel

from app.domain.identifiers import clean_date, is_slug, parse_id, slugify, title_key, whole_day
from app.domain.interchange import BadRow, columns
from app.domain.markdown import link_keys, name_key
from app.domain.notes import FACTS, Note
from app.domain.records import (
    GONE,
    Alias,
    AliasKind,
    AuthorKind,
    Change,
    ChangeKind,
    Decision,
    Digest,
    Episode,
    Identifier,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    PageTag,
    Paper,
    PaperState,
    Prediction,
    Question,
    Relation,
    Revision,
    Source,
    Thread,
    Verdict,
)
from app.errors import CerebroError, Conflict, Invalid, NotFound
from app.store import changes, derived, links, mirror, pages, questions
from app.store import interchange as stored
from app.store.pages import PUT_IN, Content
from app.store.undoing import LOST
from app.vault import journal, names, notes
from app.vault.folder import Vault

Progress = Callable[[int, int, str], None]
_CHUNK = 500
_MANY = 3_000  # authors
_LARGEST = 2**30  # a page's number: there is room behind it
_STATES = {
    Verdict.KEEP: PaperState.KEPT,
    Verdict.DROP: PaperState.DROPPED,
    Verdict.DEFER: PaperState.DEFERRED,
}


def _quiet(done: int, total: int, words: str) -> None:
    return


# ---------------------------------------------------------------- what is derived


@dataclass
class Derived:
    """How many rows of what is derived were wrong, by what they are."""

    pages: int
    texts: int
    red_links: int
    numbers: int
    papers: int

    def as_json(self) -> dict[str, int]:
        return asdict(self)

    def in_words(self) -> str:
        wrong = {
            "searchable texts": self.texts,
            "red links": self.red_links,
            "numbers in texts": self.numbers,
            "places in the Inbox": self.papers,
        }
        found = ", ".join(f"{number:,} {name}" for name, number in wrong.items() if number)
        made = f"All that is derived of {self.pages:,} pages was made anew"
        return f"{made}: {found} were wrong." if found else f"{made}: nothing was wrong."


def anew(session: Session, *, progress: Progress = _quiet) -> Derived:
    """Make anew what is derived of the rows there are. Files, vectors and terms follow by themselves."""
    total = pages.count(session)
    wrong = derived.rebuild(session, progress=lambda done: progress(done, total, "pages"))
    return Derived(total, wrong.texts, wrong.red_links, wrong.numbers, wrong.papers)


# ---------------------------------------------------------------- from a vault


@dataclass
class Rebuilt:
    """What came of a vault. `problems` has a sentence for each file that did not come, or not whole."""

    pages: Counter[str] = field(default_factory=Counter)
    by_hand: int = 0
    links: Counter[str] = field(default_factory=Counter)
    decisions: int = 0
    left_out: int = 0  # decisions about what is in no file
    papers: int = 0  # papers without a page that decisions name
    problems: dict[str, str] = field(default_factory=dict)

    def in_words(self) -> str:
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(self.pages.items()))
        said = [f"{sum(self.pages.values()):,} pages ({kinds})"]
        if self.by_hand:
            said.append(f"{self.by_hand:,} of them from their files alone")
        every = ", ".join(f"{number:,} {status}" for status, number in sorted(self.links.items()))
        said.append(f"{sum(self.links.values()):,} links ({every})" if every else "no links")
        said.append(f"{self.decisions:,} decisions")
        if self.left_out:
            said.append(f"{self.left_out:,} about what is in no file were left out")
        return "; ".join(said)

    def as_json(self) -> dict[str, Any]:
        return {
            "pages": dict(sorted(self.pages.items())),
            "by_hand": self.by_hand,
            "links": dict(sorted(self.links.items())),
            "decisions": self.decisions,
            "decisions_left_out": self.left_out,
            "papers": self.papers,
            "problems": [{"path": p, "reason": r} for p, r in sorted(self.problems.items())],
        }


def from_vault(
    session: Session, vault: Vault, *, now: datetime, progress: Progress = _quiet
) -> Rebuilt:
    """Restore a wiki into this empty one from the files of a vault, which is only read.

    In the caller's transaction, to be thrown away when this raises: Conflict where the wiki is not
    empty, NotFound for a folder without pages, Unavailable for one that cannot be read.
    """
    if not stored.is_empty(session):
        raise Conflict(
            "This wiki is not empty, and a vault is restored into an empty one alone: name a new "
            "folder in CEREBRO_DATA, or have the files of this vault taken up with `cerebro sync`."
        )
    return _Restoring(session, vault, now, progress).all()


@dataclass
class _Found:
    """A file and its companion; the text is left in the file until it is stored."""

    path: str
    note: Note
    side: Mapping[str, Any]
    changed: datetime  # the file
    broken: bool = False  # its front matter could not be read
    head: str = ""
    newline: str = "\n"
    id: int = 0
    slug: str = ""
    content: Content = field(default_factory=lambda: Content(title="", kind=PageKind.NOTE))

    def fact(self, name: str) -> Any:
        """A fact that the file says; None where its companion is to be asked."""
        return None if self.broken else self.note.facts.get(name)


class _Restoring:
    def __init__(self, session: Session, vault: Vault, now: datetime, progress: Progress) -> None:
        self._session = session
        self._vault = vault
        self._now = now
        self._progress = progress
        self._done = Rebuilt()
        self._found: list[_Found] = []
        self._by_slug: dict[str, _Found] = {}
        self._by_key: dict[str, int] = {}  # pages by any name, the surer ones first
        self._by_stem: dict[str, int | None] = {}
        self._identifiers: dict[tuple[str, str], tuple[str, int]] = {}  # of what they are
        self._paper_of: dict[int, int] = {}  # papers by page
        self._questions: dict[tuple[int, int], int] = {}
        self._links: dict[tuple[int, Relation, int], dict[str, Any]] = {}
        self._ids: Counter[type[SQLModel]] = Counter()

    def all(self) -> Rebuilt:
        self._look()
        self._name()
        self._store_pages()
        self._store_links()
        self._store_decisions()
        self._remember_the_vault()
        self._derive()
        return self._done

    # ------------------------------------------------------------ looking

    def _look(self) -> None:
        seen = self._vault.scan()
        self._done.problems.update(self._vault.problems)
        for number, file in enumerate(seen, start=1):
            self._progress(number, len(seen), "files")
            try:
                data, state = self._vault.read(file.path)
                parsed = notes.parse(data)
            except CerebroError as error:
                self._done.problems[file.path] = str(error)
                continue
            side = self._side_of(parsed.note.id)
            untagged = {name_key(tag) for tag in _texts(side.get("untagged"))}
            tags = tuple(t for t in parsed.note.every_tag if name_key(t) not in untagged)
            note = replace(parsed.note, body="", tags=tags)
            if parsed.problem:
                self._done.problems[file.path] = parsed.problem
            changed = datetime.fromtimestamp(state.mtime_ns / 1e9, UTC)
            self._found.append(
                _Found(
                    file.path,
                    note,
                    side,
                    min(changed, self._now),
                    broken=bool(parsed.problem),
                    head=parsed.head,
                    newline=parsed.newline,
                )
            )
        if not self._found:
            raise NotFound(f"There are no pages in {self._vault.root}.")

    def _side_of(self, slug: str) -> Mapping[str, Any]:
        side = journal.read_companion(self._vault, slug) if is_slug(slug) else None
        return _clean(side) if side else {}

    def _body_of(self, found: _Found) -> str:
        """Read once more when it is stored: the texts of a large wiki are never all in memory."""
        try:
            return notes.parse(self._vault.read(found.path)[0]).note.body
        except CerebroError as error:
            self._done.problems[found.path] = str(error)
            return ""

    # ------------------------------------------------------------ names

    def _name(self) -> None:
        """Whose each file is: its address, its title, its kind; and which names lead to it."""
        self._found.sort(key=_is_copy)
        for found in self._found:
            if is_slug(found.note.id) and found.note.id not in self._by_slug:
                found.slug = found.note.id
                self._by_slug[found.slug] = found
        former = {
            slug
            for found in self._by_slug.values()
            for slug in _texts(found.side.get("redirects"))
            if is_slug(slug)
        }
        self._found.sort(key=lambda found: found.path)
        for found in self._found:
            self._entitle(found)
            if not found.slug:
                found.slug = _free(slugify(found.content.title), self._by_slug, former)
                self._by_slug[found.slug] = found
                if is_slug(found.note.id):
                    self._done.problems[found.path] = (
                        f"Another file has its id, {found.note.id}: this one is a page of its own."
                    )
                    found.note = replace(found.note, identifiers=())
                    found.side = {}
        self._number()
        self._lead()

    def _number(self) -> None:
        """The numbers that the pages had, new ones behind them: of two that one name fits, the older
        one has it."""
        taken: set[int] = set()
        for found in self._found:
            number = found.side.get("number")
            if isinstance(number, int) and 0 < number < _LARGEST and number not in taken:
                found.id = int(number)
                taken.add(found.id)
        self._ids[Page] = max(taken, default=0)
        for found in self._found:
            found.id = found.id or self._next(Page)
        self._found.sort(key=lambda found: found.id)

    def _entitle(self, found: _Found) -> None:
        side = found.side
        stem = names.stem(found.path)
        said = side.get("title") if found.broken else ""
        title = found.note.title.strip() or (said if isinstance(said, str) else "") or stem
        kind = found.note.kind
        if kind is None:
            try:
                kind = PageKind(str(side.get("kind")))
            except ValueError:
                kind = names.kind_of_folder(found.path) or PageKind.NOTE
        aliases = found.note.aliases
        if not side and name_key(stem) not in {name_key(name) for name in (title, *aliases)}:
            aliases = (*aliases, stem)  # wikilinks elsewhere name the file
        content = Content(
            title=title,
            kind=PageKind.NOTE if kind in GONE else kind,
            aliases=aliases,
            tags=found.note.tags,
        )
        try:
            found.content = content.cleaned()
        except Invalid as error:
            self._done.problems[found.path] = str(error)
            short = " ".join(title.split())[: pages.MAX_TITLE]
            found.content = replace(content, title=short or stem[: pages.MAX_TITLE]).cleaned()

    def _lead(self) -> None:
        """Names in the order in which they are believed: address, title, another name, a former one."""
        for tell in (
            lambda each: [each.slug],
            lambda each: [each.content.title],
            lambda each: list(each.content.aliases),
            lambda each: _texts(each.side.get("redirects")),
        ):
            for found in self._found:
                for name in tell(found):
                    self._by_key.setdefault(name_key(name), found.id)
        for found in self._found:
            key = names.stem_key(found.path)
            self._by_stem[key] = None if key in self._by_stem else found.id
            self._by_stem[names.path_key(found.path)] = found.id

    def _page_named(self, name: str) -> int | None:
        """The page that a wikilink in a file means, as sync finds it."""
        plain = name.removesuffix(".md")
        if "/" in plain and (found := self._by_stem.get(names.path_key(f"{plain}.md"))):
            return found
        if found := self._by_stem.get(names.path_key(plain)):
            return found
        if identifier := parse_id(name):
            what, number = self._identifiers.get((identifier.scheme, identifier.value), ("", 0))
            if what == "page":
                return number
        return next((self._by_key[key] for key in link_keys(name) if key in self._by_key), None)

    # ------------------------------------------------------------ rows

    def _next(self, table: type[SQLModel]) -> int:
        self._ids[table] += 1
        return self._ids[table]

    def _put(self, table: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(rows), _CHUNK):
            wrong = stored.put(self._session, table, rows[start : start + _CHUNK])
            if wrong:
                place, why = wrong
                raise Invalid(f"A {table.__tablename__} cannot be stored: {why} ({place + start})")

    def _store_pages(self) -> None:
        days: set[str] = set()
        held: dict[type[SQLModel], list[dict[str, Any]]] = defaultdict(list)
        sources: dict[str, int] = {}
        for number, found in enumerate(self._found, start=1):
            self._progress(number, len(self._found), "pages")
            self._as_rows(found, held, days, sources)
            if number % _CHUNK == 0 or number == len(self._found):
                for table in _IN_ORDER:
                    self._put(table, held.pop(table, []))

    def _as_rows(
        self,
        found: _Found,
        held: dict[type[SQLModel], list[dict[str, Any]]],
        days: set[str],
        sources: dict[str, int],
    ) -> None:
        side, content = found.side, found.content
        if content.kind is PageKind.DIGEST:
            day = str(found.fact("day") or _object(side.get("digest")).get("day") or "")
            if not _is_day(day) or day in days:
                self._done.problems[found.path] = (
                    "It is no digest: those have a `day` that no other digest has."
                )
                content = found.content = replace(content, kind=PageKind.NOTE)
            days.add(day)
        author = _object(side.get("author"))
        given = {
            **{
                name: side[name] for name in ("version", "created_at", "updated_at") if name in side
            },
            "extra": {
                **{k: v for k, v in _object(side.get("extra")).items() if k != PUT_IN},
                # Its file lies there again, with the keys and comments of other tools.
                mirror.HAD: {"path": found.path, "head": found.head, "newline": found.newline},
            },
            "author_kind": author.get("kind"),
            "author": author.get("name"),
        }
        page = _row(
            Page,
            given,
            id=found.id,
            slug=found.slug,
            kind=content.kind,
            title=content.title,
            title_key=name_key(content.title),
            body=Content(title="x", kind=content.kind, body=self._body_of(found)).cleaned().body,
            otherwise={
                "author_kind": AuthorKind.VAULT,
                "author": "vault",
                "created_at": found.changed,
                "updated_at": found.changed,
            },
        )
        held[Page].append(page)
        held[Revision].append(
            {
                "id": self._next(Revision),
                "page_id": found.id,
                "number": page["version"],
                "title": content.title,
                "kind": content.kind,
                "body": page["body"],
                "aliases": list(content.aliases),
                "tags": list(content.tags),
                "author_kind": page["author_kind"],
                "author": page["author"],
                "note": "as its file in the vault had it",
                "at": page["updated_at"],
            }
        )
        self._names_of(found, held)
        self._facts_of(found, page, held, sources)
        self._done.pages[content.kind.value] += 1
        self._done.by_hand += not side

    def _names_of(self, found: _Found, held: dict[type[SQLModel], list[dict[str, Any]]]) -> None:
        former = [
            slug
            for slug in dict.fromkeys(_texts(found.side.get("redirects")))
            if is_slug(slug) and slug not in self._by_slug
        ]
        for kind, own in ((AliasKind.NAME, found.content.aliases), (AliasKind.REDIRECT, former)):
            for name in own:
                held[Alias].append(
                    {
                        "id": self._next(Alias),
                        "page_id": found.id,
                        "name": name,
                        "key": name_key(name),
                        "kind": kind,
                    }
                )
        for tag in found.content.tags:
            held[PageTag].append({"page_id": found.id, "name": tag})

    def _facts_of(
        self,
        found: _Found,
        page: dict[str, Any],
        held: dict[type[SQLModel], list[dict[str, Any]]],
        sources: dict[str, int],
    ) -> None:
        side, kind = found.side, found.content.kind
        told = {
            _COLUMN.get(name, name): list(value) if isinstance(value, tuple) else value
            for name in FACTS.get(kind, ())
            if (value := found.fact(name)) is not None
        }
        if side and not found.broken:  # what a companion says and its file does not was taken out
            told = {
                **{_COLUMN.get(name, name): _NOTHING.get(name, "") for name in FACTS.get(kind, ())},
                **told,
            }
        owner = ("page", found.id)
        if kind is PageKind.PAPER:
            paper_id = self._next(Paper)
            self._paper_of[found.id] = paper_id
            owner = ("paper", paper_id)
            given = {**_object(side.get("paper")), **told}
            every = _texts(_object(side.get("paper")).get("authors"))
            if len(every) > _MANY and every[: len(told.get("authors", ()))] == told.get("authors"):
                given["authors"] = every  # a file has the first of very many
            given["published"] = clean_date(str(given.get("published") or ""))
            # The paper keeps the title it came with, unless its page was given another one since.
            title = given.get("title")
            if not isinstance(title, str) or title_key(title) != title_key(page["title"]):
                given["title"] = page["title"]
            row = _row(
                Paper,
                given,
                id=paper_id,
                page_id=found.id,
                state=PaperState.KEPT,
                otherwise={"created_at": page["created_at"]},
            )
            held[Paper].append(
                {**row, "title_key": title_key(row["title"]), "came": row["published"]}
            )
        elif kind is PageKind.THREAD:
            given = {**_object(side.get("thread")), **told}
            if not given.get("status"):
                given.pop("status", None)
            held[Thread].append(_row(Thread, given, page_id=found.id))
        elif kind is PageKind.DIGEST:
            given = {**_object(side.get("digest")), **{k: v for k, v in told.items() if v}}
            held[Digest].append(_row(Digest, given, page_id=found.id))
        elif kind is PageKind.EPISODE:
            given = {**_object(side.get("episode")), **told}
            given["published"] = clean_date(str(given.get("published") or ""))
            source_id = self._source_of(_object(given.pop("source", None)), page, held, sources)
            held[Episode].append(_row(Episode, given, page_id=found.id, source_id=source_id))
        self._identify(found, owner, held)
        self._ask(found, page, held)

    def _source_of(
        self,
        given: Mapping[str, Any],
        page: dict[str, Any],
        held: dict[type[SQLModel], list[dict[str, Any]]],
        sources: dict[str, int],
    ) -> int:
        key = given.get("key")
        key = key if isinstance(key, str) and key else "vault"
        if key not in sources:
            sources[key] = self._next(Source)
            row = _row(
                Source,
                given,
                id=sources[key],
                key=key,
                otherwise={"created_at": page["created_at"], "kind": "file", "name": "The vault"},
            )
            held[Source].append({**row, "name": row["name"] or "The vault"})
        return sources[key]

    def _identify(
        self,
        found: _Found,
        owner: tuple[str, int],
        held: dict[type[SQLModel], list[dict[str, Any]]],
    ) -> None:
        versions: dict[tuple[str, str], list[int]] = {}
        kept = []
        for each in _objects(found.side.get("identifiers")):
            pair = (str(each.get("scheme")), str(each.get("value")))
            told = each.get("versions")
            if isinstance(told, list):
                versions[pair] = [version for version in told if isinstance(version, int)]
            kept.append(f"{pair[0]}:{pair[1]}")
        said = kept if found.broken else list(found.note.identifiers)
        if not is_slug(found.note.id) and found.note.id:
            said.insert(0, found.note.id)
        for text in said:
            read = parse_id(text)
            if read is None:
                continue
            key = (read.scheme, read.value)
            if key in self._identifiers:
                if self._identifiers[key] != ("page", found.id):
                    self._done.problems[found.path] = f"{read} belongs to another page."
                continue
            self._identifiers[key] = ("page", found.id)
            held[Identifier].append(
                {
                    "id": self._next(Identifier),
                    "scheme": read.scheme,
                    "value": read.value,
                    "paper_id": owner[1] if owner[0] == "paper" else None,
                    "page_id": owner[1] if owner[0] == "page" else None,
                    "versions": versions.get(key, [read.version] if read.version else []),
                }
            )

    def _ask(
        self,
        found: _Found,
        page: dict[str, Any],
        held: dict[type[SQLModel], list[dict[str, Any]]],
    ) -> None:
        numbers: set[int] = set()
        for each in _objects(found.side.get("questions")):
            number = each.get("number")
            if not isinstance(number, int) or number in numbers or not each.get("text"):
                continue
            numbers.add(number)
            row = _row(Question, each, id=self._next(Question), page_id=found.id)
            held[Question].append(row)
            self._questions[found.id, number] = row["id"]
        keys: set[str] = set()
        for each in _objects(found.side.get("predictions")):
            text = each.get("text")
            if not isinstance(text, str) or not text.strip():
                continue
            key = each.get("key")
            key = key if isinstance(key, str) and key else title_key(text)
            if key in keys:
                continue
            keys.add(key)
            held[Prediction].append(
                _row(
                    Prediction,
                    each,
                    id=self._next(Prediction),
                    page_id=found.id,
                    key=key,
                    otherwise={"origin": Origin.IMPORT, "created_at": page["created_at"]},
                )
            )

    # ------------------------------------------------------------ links

    def _store_links(self) -> None:
        waiting: dict[int, list[list[str]]] = {}
        for found in self._found:
            sided = set()
            for row in self._sided(found):
                key = (row["source_id"], row["relation"], row["target_id"])
                self._links.setdefault(key, row)
                sided.add(key)
            if not found.broken and (left := self._said(found, sided)):
                waiting[found.id] = left
        for number, row in enumerate(self._links.values(), start=1):
            row["id"] = number
        self._put(Link, list(self._links.values()))
        for page_id, left in waiting.items():
            page = self._session.get_one(Page, page_id)
            page.extra = {**page.extra, PUT_IN: left}
            self._session.add(page)
        self._session.flush()

    def _sided(self, found: _Found) -> Iterator[dict[str, Any]]:
        """The links that the companion of a page has."""
        for each in _objects(found.side.get("links")):
            name = each.get("target")
            target = self._page_at(name) if isinstance(name, str) else None
            if target is None or target == found.id:
                continue
            try:
                relation = Relation(str(each.get("relation")))
            except ValueError:
                continue
            asked = each.get("question")
            extra = {k: v for k, v in _object(each.get("extra")).items() if k != links.RESEMBLES}
            row = _row(
                Link,
                {**each, "extra": extra},
                id=1,
                source_id=found.id,
                target_id=target,
                relation=relation,
                question_id=self._questions.get((target, asked))
                if isinstance(asked, int)
                else None,
                otherwise={
                    "status": LinkStatus.ACCEPTED,
                    "origin": Origin.IMPORT,
                    "created_at": found.changed,
                },
            )
            if row["status"] is not LinkStatus.PROPOSED:
                yield row

    def _page_at(self, slug: str) -> int | None:
        found = self._by_slug.get(slug)
        return found.id if found else self._by_key.get(name_key(slug))

    def _said(self, found: _Found, sided: set[tuple[int, Relation, int]]) -> list[list[str]]:
        """Let links be those that front matter names; what of these leads nowhere."""
        said: set[tuple[int, Relation, int]] = set()
        nowhere: list[list[str]] = []
        for link in found.note.links:
            target = self._page_named(link.name)
            if target is None:
                nowhere.append([link.relation.value, link.name])
            elif target != found.id:
                said.add((found.id, link.relation, target))
        for name in found.note.members:
            member = self._page_named(name)
            if member is not None and member != found.id:
                said.add((member, Relation.PART_OF, found.id))
        for key in said:
            row = self._links.get(key)
            if row is None:
                self._links[key] = _row(
                    Link,
                    {},
                    id=1,
                    source_id=key[0],
                    relation=key[1],
                    target_id=key[2],
                    status=LinkStatus.ACCEPTED,
                    origin=Origin.IMPORT,
                    created_at=found.changed,
                    decided_at=found.changed,
                )
            elif row["status"] is not LinkStatus.ACCEPTED:
                row["status"] = LinkStatus.ACCEPTED
        for key in sided - said:
            row = self._links[key]
            if row["status"] is LinkStatus.ACCEPTED and row["origin"] is not Origin.AUTHOR:
                row["status"] = LinkStatus.REJECTED  # taken out of the file since
        return nowhere

    # ------------------------------------------------------------ decisions

    def _store_decisions(self) -> None:
        lines: dict[int, dict[str, Any]] = {}
        for line in journal.decisions(self._vault):
            number = line.get("n")
            if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 2**31:
                lines[number] = _clean(line)
        for line in lines.values():
            if not isinstance(line.get("undoes"), int):
                line["undoes"] = None
        undone = {line["undoes"] for line in lines.values() if line["undoes"] in lines}
        states = self._states(lines, undone)
        rows: dict[int, dict[str, Any]] = {}
        proposals = _Proposals(self._page_at, self._next)
        for number in sorted(lines):
            line = lines[number]
            about = self._about(line, states, proposals)
            undoes = line["undoes"]
            if not about or (undoes is not None and undoes not in rows):
                self._done.left_out += 1
                continue
            row = _row(
                Decision,
                {name: line[name] for name in _SAID if name in line},
                id=number,
                undoes_id=undoes,
                undone=number in undone,
                before=self._before(line, about),
                **about,
                otherwise={"at": self._now, "verdict": Verdict.ACCEPT},
            )
            rows[number] = row
        _supersede(rows.values())
        self._put(Change, proposals.decided(rows.values()))
        self._put(Decision, list(rows.values()))
        self._done.decisions = len(rows)
        if lines:
            mirror.note_decisions(self._session, max(lines))

    def _about(
        self,
        line: Mapping[str, Any],
        states: Mapping[str, PaperState],
        proposals: _Proposals,
    ) -> dict[str, Any]:
        """The columns that say what a decision is about; none when that is in no file."""
        about: dict[str, Any] = {}
        if link := _object(line.get("link")):
            source, target = (self._page_at(str(link.get(end))) for end in ("source", "target"))
            try:
                relation = Relation(str(link.get("relation")))
            except ValueError:
                return {}
            if source is None or target is None:
                return {}
            row = self._links.get((source, relation, target))
            if row is None:
                return {}
            about["link_id"] = row["id"]
            if line.get("agreed") is not None:
                about["concept_id"] = target
        if paper := _object(line.get("paper")):
            paper_id = self._paper_in(paper, states)
            if paper_id is None:
                return {}
            about["paper_id"] = paper_id
        if change := _object(line.get("change")):
            change_id = proposals.find(change)
            if change_id is None:
                return {}
            about["change_id"] = change_id
        return about

    def _paper_in(self, said: Mapping[str, Any], states: Mapping[str, PaperState]) -> int | None:
        """The paper of a decision: kept, or known by this decision alone."""
        for text in _texts(said.get("ids")):
            read = parse_id(text)
            what, number = self._identifiers.get(
                (read.scheme, read.value) if read else ("", ""), ("", 0)
            )
            if what == "page":
                return self._paper_of.get(number)
            if what == "paper":
                return number
        page = said.get("page")
        if isinstance(page, str) and (found := self._page_at(page)) in self._paper_of:
            return self._paper_of[found or 0]
        state = states.get(_paper_key(said))
        title = said.get("title")
        if state is None or not isinstance(title, str) or not title:
            return None
        number = self._next(Paper)
        self._put(
            Paper,
            [
                _row(
                    Paper,
                    {},
                    id=number,
                    state=PaperState.DROPPED if state is PaperState.KEPT else state,
                    title=title,
                    created_at=self._now,
                )
                | {"title_key": title_key(title)}
            ],
        )
        for text in _texts(said.get("ids")):
            if (read := parse_id(text)) and (read.scheme, read.value) not in self._identifiers:
                self._identifiers[read.scheme, read.value] = ("paper", number)
                self._put(
                    Identifier,
                    [
                        {
                            "id": self._next(Identifier),
                            "scheme": read.scheme,
                            "value": read.value,
                            "paper_id": number,
                            "versions": [],
                        }
                    ],
                )
        self._done.papers += 1
        return number

    def _states(
        self, lines: Mapping[int, Mapping[str, Any]], undone: set[int]
    ) -> dict[str, PaperState]:
        """How the last decision that stands leaves each paper."""
        found: dict[str, PaperState] = {}
        for number in sorted(lines):
            line = lines[number]
            paper = _object(line.get("paper"))
            if not paper or number in undone or line.get("undoes") is not None:
                continue
            try:
                found[_paper_key(paper)] = _STATES[Verdict(str(line.get("verdict")))]
            except (KeyError, ValueError):
                continue
        return found

    def _before(self, line: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
        """How it stood before, as far as names say it: numbers of rows mean others now."""
        before = dict(_object(line.get("before")))
        if "change_id" in about:
            return {LOST: True}
        if "paper_id" in about and "link_id" not in about:
            if before.get("page") is not None or "state" not in before:
                return {**before, LOST: True}
            return before
        if "made" in before or "status" not in before:
            return {**{k: v for k, v in before.items() if k != "made"}, LOST: True}
        return before

    # ------------------------------------------------------------ what follows

    def _remember_the_vault(self) -> None:
        """The wiki is the one whose vault this is: sync goes on where it was."""
        if name := self._vault.mark():
            mirror.take_name(self._session, name)

    def _derive(self) -> None:
        """What texts say is made of them: links, questions, and all that is found by search."""
        session = self._session
        for number, found in enumerate(self._found, start=1):
            self._progress(number, len(self._found), "links")
            page = session.get_one(Page, found.id)
            at = page.updated_at
            pages.relink(session, page, now=at)
            if page.kind is not PageKind.DIGEST:
                questions.follow(session, found.id, page.body, fresh=False)
            if number % _CHUNK == 0:
                session.flush()
                session.expunge_all()
        session.flush()
        derived.rebuild(session)
        self._done.links = links.by_status(session)


class _Proposals:
    """Changes that decisions name. What they would have done is in no file: only that they were decided."""

    def __init__(
        self, page_at: Callable[[str], int | None], number: Callable[[type[SQLModel]], int]
    ) -> None:
        self._page_at = page_at
        self._number = number
        self._rows: dict[str, dict[str, Any]] = {}

    def find(self, said: Mapping[str, Any]) -> int | None:
        try:
            kind = ChangeKind(str(said.get("kind")))
        except ValueError:
            return None
        source, target = (
            self._page_at(name) if isinstance(name := said.get(end), str) else None
            for end in ("source", "target")
        )
        key = said.get("key")
        if not isinstance(key, str) or not key:
            return None
        if kind is ChangeKind.MERGE:
            if source is None or target is None or source == target:
                return None  # done long ago, or one of the two is gone
            key = changes.merge_key(source, target)
        elif kind in (ChangeKind.REMOVE, ChangeKind.SPLIT, ChangeKind.EDIT):
            return None  # their keys are numbers of rows, and what they did is in the files
        if key not in self._rows:
            self._rows[key] = {
                "id": self._number(Change),
                "kind": kind,
                "key": key,
                "title": str(said.get("title") or ""),
                "source_id": source,
                "target_id": target,
                "origin": Origin.LINKER,
            }
        return int(self._rows[key]["id"])

    def decided(self, decisions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The rows of those changes that some decision still stands about."""
        last: dict[int, Mapping[str, Any]] = {}
        first: dict[int, Mapping[str, Any]] = {}
        for row in decisions:
            if (change_id := row.get("change_id")) is None:
                continue
            first.setdefault(change_id, row)
            if not row["undone"] and row["undoes_id"] is None:
                last[change_id] = row
        return [
            {
                **row,
                # One that waited again would have to say what it would do: it is made anew.
                "status": links.STATUS[last[row["id"]]["verdict"]]
                if row["id"] in last
                else LinkStatus.REJECTED,
                "created_at": first[row["id"]]["at"],
                "decided_at": last.get(row["id"], first[row["id"]])["at"],
            }
            for row in self._rows.values()
            if row["id"] in first
        ]


_IN_ORDER: tuple[type[SQLModel], ...] = (
    Source,
    Page,
    Revision,
    Alias,
    PageTag,
    Paper,
    Thread,
    Digest,
    Episode,
    Identifier,
    Question,
    Prediction,
)
_COLUMN = {"code": "code_url"}
_NOTHING: Mapping[str, Any] = {"authors": [], "categories": []}
_SAID = ("at", "who", "verdict", "reason", "batch", "agreed", "confidence", "signal", "kind")


def _row(
    table: type[SQLModel],
    given: Mapping[str, Any],
    *,
    otherwise: Mapping[str, Any] | None = None,
    **fixed: Any,
) -> dict[str, Any]:
    """A row of what a file says: what is not as its column needs it counts as not said."""
    row: dict[str, Any] = {}
    for name, column in columns(table).items():
        if name in fixed:
            row[name] = fixed[name]
            continue
        if given.get(name) is not None and not column.references:
            try:
                row[name] = column.read(given[name])
                continue
            except BadRow:
                pass
        if otherwise and name in otherwise:
            row[name] = otherwise[name]
            continue
        try:
            row[name] = column.missing()
        except BadRow:
            row[name] = None
    return row


def _supersede(rows: Iterable[dict[str, Any]]) -> None:
    """Of several decisions about one proposal the last that stands is of the linker's record."""
    counted: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row.get("link_id") and row["agreed"] is not None and not row["undone"]:
            counted[row["link_id"]].append(row)
    for several in counted.values():
        for row in several[:-1]:
            row["superseded"] = True


def _is_copy(found: _Found) -> tuple[bool, str]:
    """Of two files with one id the one that is called what its page is called goes first."""
    called = names.stem_of(found.note.title.strip(), found.note.id)
    keys = {names.path_key(called), names.path_key(found.note.id)}
    return names.stem_key(found.path) not in keys, found.path


def _free(slug: str, taken: Mapping[str, object], former: set[str]) -> str:
    free, number = slug, 2
    while free in taken or free in former:
        free = f"{slug}-{number}"
        number += 1
    return free


def _is_day(text: str) -> bool:
    return whole_day(text) is not None or (len(text) == 7 and clean_date(text) == text)


def _paper_key(said: Mapping[str, Any]) -> str:
    ids = _texts(said.get("ids"))
    return ids[0] if ids else title_key(str(said.get("title") or ""))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _clean(value: Any) -> Any:
    """JSON without what no database takes."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    return value
