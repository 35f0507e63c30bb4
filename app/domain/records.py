"""Every table of cere-bro; the tables are the domain's records.

Table classes do not validate what they are given (SQLModel skips it), so outside data is parsed
into the frozen values of `items.py` first. Sessions, queries and writes live in `store`.
Times are aware UTC; a `day` or `published` is ISO text, because a source may know only the month.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class PageKind(StrEnum):
    """What a page is. The kind is data, never part of its address.

    A merged or removed page is none any more: no list, no search and no name leads to it. It is kept
    for its history and for an undo. The address of a merged one leads to the page it went into (its
    accepted Change); that of a removed one says when it was removed, and offers it back.
    """

    PAPER = "paper"
    CONCEPT = "concept"
    THREAD = "thread"
    DIGEST = "digest"
    ARTICLE = "article"
    EPISODE = "episode"
    NOTE = "note"
    MERGED = "merged"
    REMOVED = "removed"


GONE = (PageKind.MERGED, PageKind.REMOVED)
"""The kinds of what was a page, and is kept for its history."""

KINDS = tuple(kind for kind in PageKind if kind not in GONE)
"""The kinds that a page can be given, searched by and counted under."""


class Relation(StrEnum):
    """How one page is linked to another; product.md section 1 fixes the list."""

    ABOUT = "about"
    PART_OF = "part-of"
    EXTENDS = "extends"
    CONFIRMS = "confirms"
    CONTRADICTS = "contradicts"
    USES = "uses"
    COMPARES = "compares"
    ANSWERS = "answers"
    COVERS = "covers"
    RECOMMENDS = "recommends"
    BROADER = "broader"
    RELATED = "related"
    MENTIONS = "mentions"


class Role(StrEnum):
    """What a paper does in a thread (only on `part-of` links)."""

    STARTS = "starts"
    SUPPORTS = "supports"
    EXTENDS = "extends"
    CONTRADICTS = "contradicts"
    FORMALISES = "formalises"
    MEASURES = "measures"
    APPLIES = "applies"


class LinkStatus(StrEnum):
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DEFERRED = "deferred"


class Origin(StrEnum):
    """Who made a link. `author` is a wikilink in the text and always accepted."""

    AUTHOR = "author"
    LINKER = "linker"
    MODEL = "model"
    AGENT = "agent"
    IMPORT = "import"


class AuthorKind(StrEnum):
    """Who wrote a revision."""

    PERSON = "person"
    MODEL = "model"
    AGENT = "agent"
    IMPORT = "import"
    VAULT = "vault"
    EXTRACT = "extract"  # the machine, without a model: sentences taken from the text as they stand


class PaperState(StrEnum):
    """Where a paper stands with the reader. Only a kept paper has a page."""

    WAITING = "waiting"
    DEFERRED = "deferred"
    KEPT = "kept"
    DROPPED = "dropped"


class ChangeKind(StrEnum):
    """What a change would do to the wiki's pages."""

    CONCEPT = "concept"  # write a page for a term that has none
    MERGE = "merge"  # two concepts, or two threads, are one: the source goes into the target
    SPLIT = "split"  # a part of a concept or of a thread becomes one of its own
    THREAD = "thread"  # write a page for what several papers say together
    EDIT = "edit"  # give sections of a page that a machine owns another text
    REMOVE = "remove"  # take a page out of the wiki; kept, so that it can be put back


class Verdict(StrEnum):
    ACCEPT = "accept"
    REJECT = "reject"
    DEFER = "defer"
    KEEP = "keep"
    DROP = "drop"


class ThreadStatus(StrEnum):
    """Set by the reader; growing and dormant are computed from its members' dates."""

    OPEN = "open"
    CONTRADICTED = "contradicted"
    CLOSED = "closed"


class QuestionState(StrEnum):
    """What the reader said of a question. While they said nothing (open), accepted answers count."""

    OPEN = "open"
    PARTLY = "partly"
    ANSWERED = "answered"


class PredictionState(StrEnum):
    """How a prediction stands. The reader says so; that it is due is a matter of the day."""

    OPEN = "open"
    CAME_TRUE = "came-true"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class AliasKind(StrEnum):
    """A name a page also goes by, or an address it had before a rename."""

    NAME = "name"
    REDIRECT = "redirect"


class SourceKind(StrEnum):
    FILE = "file"
    LISTING = "listing"
    DIGEST = "digest"
    PODCAST = "podcast"
    FEED = "feed"
    MAIL = "mail"  # newsletters
    FORUM = "forum"  # posts that people vote on
    INDEX = "index"  # of papers: Semantic Scholar, OpenReview
    LIBRARY = "library"  # a reader's own bibliography
    WEB = "web"  # single pages and PDFs that somebody pasted in


class Announced(StrEnum):
    """What a listing said of a paper on one day."""

    NEW = "new"
    CROSS = "cross"
    REPLACED = "replaced"


class CallState(StrEnum):
    """Where a call of the model stands. Only a booked one has a cost that is known."""

    RESERVED = "reserved"  # its worst case counts against the caps
    BOOKED = "booked"
    RELEASED = "released"  # it was never made, or the service says that it costs nothing


class BatchState(StrEnum):
    """Where a Message Batch stands with us; what the service says of it is asked for."""

    PREPARED = "prepared"  # reserved and about to be sent; after a kill nobody knows whether it was
    SENT = "sent"
    COLLECTED = "collected"
    FAILED = "failed"


class RunState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ActKind(StrEnum):
    """What was done as a whole."""

    IMPORT = "import"
    DELIVERY = "delivery"  # what a fetch brought, read and stored
    WORK = "work"  # a run of the worker, or a command that runs its steps
    VAULT = "vault"  # files of the vault that were edited, made, moved or deleted
    UNDO = "undo"  # of another one, as a whole
    RENAME = "rename"  # of a page, with the links to it
    WORDING = "wording"  # of links, so that other programs follow them too


class FetchState(StrEnum):
    """Where a fetch stands. One that waits or runs is taken up, or gone on with, by any worker."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class FetchReason(StrEnum):
    DUE = "due"
    ASKED = "asked"
    BACKFILL = "back-fill"  # a range of days that the reader asked for


class DeliveryState(StrEnum):
    WAITING = "waiting"
    READ = "read"
    FAILED = "failed"  # nothing in it could be read


class Stance(StrEnum):
    """How an item speaks of a paper, when it says so in words."""

    SUPPORTS = "supports"
    DISPUTES = "disputes"


def choice(values: type[StrEnum]) -> sa.Enum:
    """A column that holds the value of a StrEnum as plain text, readable from raw SQL."""
    return sa.Enum(
        values,
        native_enum=False,
        length=20,
        values_callable=lambda enum: [member.value for member in enum],
    )


def json_column(default: Any = list) -> Any:
    """A JSON column. Assign a new value to change it: a change in place is not saved."""
    # Not the type itself: of that the library parses the signature for every row that is made.
    return Field(default_factory=lambda: default(), sa_type=sa.JSON, nullable=False)


class _Number(sa.types.TypeDecorator[float]):
    """A number with a fraction, in a column that was first made for whole ones and may still say so."""

    impl = sa.Float
    cache_ok = True

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> float | None:
        return None if value is None else float(value)


# ---------------------------------------------------------------- what was done


class Act(SQLModel, table=True):
    """Something that was done as a whole, and can be undone as a whole: an import, a run.

    What it made or changed names it by `act_id` (Revision, Link, Change, Decision, Item, Paper); a
    person's own save or decision is no act. `words` says it in the activity log; `counts` has numbers
    by what was done ({"pages": 3}). An undo names the act it took back, and keeps in `taken` the rows
    that went with it, by table.
    """

    id: int | None = Field(default=None, primary_key=True)
    kind: ActKind = Field(sa_type=choice(ActKind))
    at: datetime = Field(index=True)
    words: str
    counts: dict[str, Any] = json_column(dict)
    run_id: int | None = Field(default=None, index=True)
    undone: bool = False
    undoes_id: int | None = None
    # Last on purpose: lists read the columns before it.
    taken: dict[str, Any] = json_column(dict)


class UndoLog(SQLModel, table=True):
    """What one transaction of an act changed in rows that were there before (store/undo_log.py)."""

    __tablename__ = "undo_log"

    id: int | None = Field(default=None, primary_key=True)
    act_id: int = Field(foreign_key="act.id", index=True)
    entries: list[Any] = json_column()


def _of_an_act() -> Any:
    """The act that made a row; null of what a person did by itself, and of what is older."""
    return Field(default=None)


def _by_act(table: str) -> sa.Index:
    """An index of the rows that acts made, by act; of the others `_by_itself` is one."""
    where = sa.text("act_id IS NOT NULL")
    return sa.Index(f"ix_{table}_act_id", "act_id", sqlite_where=where, postgresql_where=where)


def _by_itself(name: str, condition: str = "") -> sa.Index:
    """An index by time over rows that are of no act: those that the activity log tells one by one."""
    where = sa.text(f"act_id IS NULL AND {condition}" if condition else "act_id IS NULL")
    return sa.Index(name, "at", sqlite_where=where, postgresql_where=where)


# ---------------------------------------------------------------- what arrived


class Source(SQLModel, table=True):
    """A place items come from: a saved file, a listing, a show, a feed."""

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(unique=True)
    kind: SourceKind = Field(sa_type=choice(SourceKind))
    name: str
    url: str = ""
    description: str = ""
    created_at: datetime


class Subscription(SQLModel, table=True):
    """That a source is fetched: by which connector, when, and how that went.

    `options` is what the connector needs beside the source's address (categories, a score gate, a
    folder), `cursor` where its next fetch goes on. `stopped` says why it is not tried again until the
    reader says so; `failures` counts those in a row. `since` is the first day that it brings by itself.
    """

    source_id: int = Field(primary_key=True, foreign_key="source.id", ondelete="CASCADE")
    connector: str
    options: dict[str, Any] = json_column(dict)
    cursor: dict[str, Any] = json_column(dict)
    every_minutes: int
    since: str = ""
    due_at: datetime = Field(index=True)
    paused: bool = False
    stopped: str = ""
    failures: int = 0
    last_error: str = ""
    tried_at: datetime | None = None
    succeeded_at: datetime | None = None
    moved_to: str = ""  # where it was sent to for good, and how often in a row
    moved_times: int = 0


class Fetch(SQLModel, table=True):
    """One fetch of a source. `cursor` is where it goes on after its process died.

    `first_day` and `last_day` (inclusive) are those of a back-fill. `seen` of `total` entries came so
    far; `total` is None while nobody knows.
    """

    __tablename__ = "source_fetch"  # "fetch" is a word of SQL

    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="source.id", index=True, ondelete="CASCADE")
    reason: FetchReason = Field(sa_type=choice(FetchReason))
    state: FetchState = Field(sa_type=choice(FetchState), index=True)
    first_day: str = ""
    last_day: str = ""
    cursor: dict[str, Any] = json_column(dict)
    responses: int = 0
    size: int = Field(default=0, sa_type=sa.BigInteger)  # bytes
    seen: int = 0
    total: int | None = None
    error: str = ""
    cancel: bool = False
    asked_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None


class Delivery(SQLModel, table=True):
    """Bytes that a fetch brought, with the headers they came with, waiting to be read or read.

    `refusals` is a list of {where, reason}: what in it could not be read (the first 100).
    """

    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="source.id", index=True, ondelete="CASCADE")
    fetch_id: int = Field(foreign_key="source_fetch.id", index=True, ondelete="CASCADE")
    name: str
    url: str = ""
    format: str
    headers: dict[str, str] = json_column(dict)
    raw_sha256: str = Field(foreign_key="raw.sha256")
    state: DeliveryState = Field(sa_type=choice(DeliveryState), index=True)
    new: int = 0
    changed: int = 0
    same: int = 0
    rejected: int = 0
    refusals: list[dict[str, str]] = json_column()
    received_at: datetime


class FetchHost(SQLModel, table=True):
    """When a host may be asked again, when it was asked last, and who asks it now, until when at most.

    By the real clock (seconds since 1970). `name` has the port, unless it is the usual one.
    """

    __tablename__ = "fetch_host"

    name: str = Field(primary_key=True)
    next_at: float = 0.0
    asked_at: float = 0.0
    owner: str = ""
    until: float = 0.0


class Raw(SQLModel, table=True):
    """The bytes of an item; the file raw/ab/abcdef… in the data folder holds them."""

    sha256: str = Field(primary_key=True)
    size: int
    created_at: datetime


class Item(SQLModel, table=True):
    """One thing that arrived. `key` is its identity within its source, `hash` its content.

    `paper_id`: the paper it is (an entry of a listing or a bibliography); `page_id`: its own page.
    `state` is what its source says of it: starred, upvotes, score, comments.
    """

    __table_args__ = (sa.UniqueConstraint("source_id", "key"), _by_act("item"))

    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="source.id", index=True)
    key: str
    format: str
    title: str
    url: str = ""
    published: str = ""
    received_at: datetime
    hash: str
    raw_sha256: str | None = Field(default=None, foreign_key="raw.sha256")
    page_id: int | None = Field(default=None, foreign_key="page.id", ondelete="SET NULL")
    paper_id: int | None = Field(
        default=None, foreign_key="paper.id", ondelete="SET NULL", index=True
    )
    state: dict[str, Any] = json_column(dict)
    act_id: int | None = _of_an_act()


class Mention(SQLModel, table=True):
    """An item that is about a paper the wiki has: where it stood and what was said there."""

    __table_args__ = (sa.UniqueConstraint("item_id", "paper_id", "section"),)

    id: int | None = Field(default=None, primary_key=True)
    item_id: int = Field(foreign_key="item.id", index=True, ondelete="CASCADE")
    paper_id: int = Field(foreign_key="paper.id", index=True, ondelete="CASCADE")
    section: str
    day: str = ""
    text: str = ""
    source_name: str = ""
    tier: int | None = None
    tier_reason: str = ""
    why_it_matters: str = ""
    stance: Stance | None = Field(default=None, sa_type=choice(Stance))


class LooseMention(SQLModel, table=True):
    """An item that speaks of a paper the wiki has not met; it becomes a mention when the paper comes."""

    __tablename__ = "loose_mention"

    __table_args__ = (
        sa.UniqueConstraint("item_id", "scheme", "value", "section"),
        sa.Index("ix_loose_mention_scheme_value", "scheme", "value"),
    )

    id: int | None = Field(default=None, primary_key=True)
    item_id: int = Field(foreign_key="item.id", index=True, ondelete="CASCADE")
    scheme: str
    value: str
    section: str
    day: str = ""
    text: str = ""
    source_name: str = ""
    stance: Stance | None = Field(default=None, sa_type=choice(Stance))


class LooseLink(SQLModel, table=True):
    """A `covers` or `recommends` link of a page whose other end has no page yet; a link when it has.

    The other end is a paper that was not kept (`paper_id`), or `scheme` and `value` of something the
    wiki has not met, which are '' otherwise.
    """

    __tablename__ = "loose_link"

    __table_args__ = (
        sa.UniqueConstraint("source_id", "relation", "scheme", "value", "paper_id"),
        sa.Index("ix_loose_link_scheme_value", "scheme", "value"),
    )

    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="page.id", index=True, ondelete="CASCADE")
    relation: Relation = Field(sa_type=choice(Relation))
    scheme: str = ""
    value: str = ""
    paper_id: int | None = Field(
        default=None, foreign_key="paper.id", index=True, ondelete="CASCADE"
    )
    note: str = ""
    day: str = ""
    reason: str = ""
    created_at: datetime


# ---------------------------------------------------------------- what the wiki knows


class Page(SQLModel, table=True):
    """A node. `version` is the number of its newest revision; a save names the one it began from."""

    __table_args__ = (
        sa.Index("ix_page_kind_title_key", "kind", "title_key"),
        sa.Index("ix_page_kind_updated_at", "kind", "updated_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    slug: str = Field(unique=True)
    kind: PageKind = Field(sa_type=choice(PageKind))
    title: str
    title_key: str = Field(index=True)
    version: int = 1
    author_kind: AuthorKind = Field(sa_type=choice(AuthorKind))
    author: str = ""
    created_at: datetime
    updated_at: datetime = Field(index=True)
    extra: dict[str, Any] = json_column(dict)
    # Last on purpose: lists read the columns before it and never walk through long bodies.
    body: str = ""


class PageText(SQLModel, table=True):
    """What search and the linker read of a page. Derived, and the word index is derived from it.

    `names` holds aliases, identifiers and authors; `text` the body without markup and, for a
    paper, its abstract. `hash` changes with title, aliases or text: vectors name the hash they
    were made from. The word index follows by trigger on SQLite; on PostgreSQL it is two more
    columns, which store/search.py writes.
    """

    __tablename__ = "page_text"

    page_id: int = Field(primary_key=True, foreign_key="page.id", ondelete="CASCADE")
    title: str
    names: str
    text: str
    hash: str


class TitleWord(SQLModel, table=True):
    """A word of some title or alias, as the word index has it. Derived: mistyped words are meant
    to be one of these. A word stays when the last title that had it is gone.
    """

    __tablename__ = "title_word"

    id: int | None = Field(default=None, primary_key=True)
    word: str = Field(unique=True)


class Alias(SQLModel, table=True):
    """Another name of a page. `key` is the name as names are compared (markdown.name_key)."""

    __table_args__ = (sa.UniqueConstraint("page_id", "key", "kind"),)

    id: int | None = Field(default=None, primary_key=True)
    page_id: int = Field(foreign_key="page.id", ondelete="CASCADE")
    name: str
    key: str = Field(index=True)
    kind: AliasKind = Field(default=AliasKind.NAME, sa_type=choice(AliasKind))


class PageTag(SQLModel, table=True):
    __tablename__ = "page_tag"

    page_id: int = Field(primary_key=True, foreign_key="page.id", ondelete="CASCADE")
    name: str = Field(primary_key=True, index=True)


class Revision(SQLModel, table=True):
    """A page as it stood. Revisions are never changed or removed."""

    __table_args__ = (
        sa.UniqueConstraint("page_id", "number"),
        _by_act("revision"),
        _by_itself("ix_revision_of_people", "author_kind IN ('person', 'vault')"),
    )

    id: int | None = Field(default=None, primary_key=True)
    page_id: int = Field(foreign_key="page.id", ondelete="CASCADE")
    number: int
    title: str
    kind: PageKind = Field(sa_type=choice(PageKind))
    body: str
    aliases: list[str] = json_column()
    tags: list[str] = json_column()
    author_kind: AuthorKind = Field(sa_type=choice(AuthorKind))
    author: str = ""
    prompt: str = ""
    note: str = ""
    at: datetime
    act_id: int | None = _of_an_act()


class Mirror(SQLModel, table=True):
    """The file of a page in the vault, as it was when the two last agreed.

    `path` is relative to the vault, with slashes; `path_key` the same as file systems compare that
    fold case and accents, and `stem_key` its last part without the ending, which wikilinks name. `version`
    is the page's version that the file says, the common base of a merge; 0 before it was ever written,
    when `path` is the one it will have. `head` is all that stands before the text (byte order mark,
    front matter with comments and keys of other tools), as it stands; `newline` how lines end. `hash` is
    the SHA-256 of the file, `size` and `mtime_ns` what spares reading it again; `side_hash` that of its
    companion in .cerebro/pages. Without a page the file is to be taken away.
    """

    id: int | None = Field(default=None, primary_key=True)
    page_id: int | None = Field(
        default=None, foreign_key="page.id", unique=True, ondelete="SET NULL"
    )
    path: str = Field(unique=True)
    path_key: str = Field(unique=True)
    stem_key: str = Field(index=True)
    version: int
    head: str = ""
    newline: str = "\n"
    hash: str
    side_hash: str = ""
    size: int = Field(sa_type=sa.BigInteger)
    mtime_ns: int = Field(sa_type=sa.BigInteger)
    at: datetime


class Unmirrored(SQLModel, table=True):
    """A page whose file may not say any more what the page says. Derived: triggers add, sync takes away.

    `seq` grows with every change, so that one that comes while the file is written is not forgotten.
    The page may be gone.
    """

    page_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    seq: int = Field(default=1, sa_column_kwargs={"server_default": "1"})


class VaultConflict(SQLModel, table=True):
    """The file and the page both changed, and do not join: `text` is the file, until a person merges.

    `base` is the version both grew from, `hash` that of the file's bytes.
    """

    __tablename__ = "vault_conflict"

    page_id: int = Field(primary_key=True, foreign_key="page.id", ondelete="CASCADE")
    base: int
    text: str
    hash: str
    at: datetime


class VaultProblem(SQLModel, table=True):
    """A file of the vault that is not taken up, or cannot be written, and why in a sentence."""

    __tablename__ = "vault_problem"

    path: str = Field(primary_key=True)
    reason: str
    at: datetime


class Draft(SQLModel, table=True):
    """What stood in the editor and was not saved yet; offered on return."""

    slug: str = Field(primary_key=True)
    base: int = 0
    title: str = ""
    body: str = ""
    at: datetime


class Paper(SQLModel, table=True):
    """A work the wiki has met. It waits in the Inbox and gets its page when kept.

    `score` and `topic_id` are those of its newest assessment. `score` is the chance of keeping, 0..1:
    as the scorer said it, else what its relevance means on the fixed scale of domain/scoring.py; 0
    when nobody judged. Less than 2e-8 is added for its relevance and novelty, which order equals.
    `came` is the first day it was listed on, or the newest that announced it as new, else when it was
    published. They are derived, so that the Inbox is an index: triggers on assessment, listing_paper
    and this table keep them.
    """

    __table_args__ = (
        sa.Index("ix_paper_best", "state", "score", "came", "published", "id", "topic_id"),
        sa.Index("ix_paper_newest", "state", "came", "published", "score", "id", "topic_id"),
        sa.Index("ix_paper_topic", "state", "topic_id", "score"),
        # What the atlas counts, in the order in which it is grouped.
        sa.Index("ix_paper_topic_by_day", "topic_id", "came", "state", "score"),
        sa.Index("ix_paper_published_of_page", "page_id", "published"),
        _by_act("paper"),
    )

    id: int | None = Field(default=None, primary_key=True)
    page_id: int | None = Field(
        default=None, foreign_key="page.id", unique=True, ondelete="SET NULL"
    )
    state: PaperState = Field(sa_type=choice(PaperState))
    title: str
    title_key: str = Field(index=True)
    abstract: str = ""
    authors: list[str] = json_column()
    venue: str = ""
    published: str = Field(default="", index=True)
    categories: list[str] = json_column()
    references: list[str] = json_column()
    code_url: str = ""
    extra: dict[str, Any] = json_column(dict)
    created_at: datetime
    score: float = Field(default=0, sa_type=_Number, sa_column_kwargs={"server_default": "0"})
    topic_id: str | None = None
    came: str = Field(default="", sa_column_kwargs={"server_default": ""})
    act_id: int | None = _of_an_act()


class Identifier(SQLModel, table=True):
    """arxiv:, doi:, url: … of a paper, or of a page that is none (an article's address)."""

    __table_args__ = (
        sa.UniqueConstraint("scheme", "value"),
        sa.CheckConstraint("(paper_id IS NULL) <> (page_id IS NULL)", name="one_owner"),
    )

    id: int | None = Field(default=None, primary_key=True)
    scheme: str
    value: str
    paper_id: int | None = Field(
        default=None, foreign_key="paper.id", index=True, ondelete="CASCADE"
    )
    page_id: int | None = Field(default=None, foreign_key="page.id", index=True, ondelete="CASCADE")
    versions: list[int] = json_column()


_PROPOSED, _DEFERRED = sa.text("status = 'proposed'"), sa.text("status = 'deferred'")


def _waiting(name: str, *columns: str, where: sa.TextClause = _PROPOSED) -> sa.Index:
    """An index over the links of one status that wait for a decision."""
    return sa.Index(name, *columns, sqlite_where=where, postgresql_where=where)


class Link(SQLModel, table=True):
    """A typed edge. While `proposed` it is a proposal and waits in Review under its id.

    A rejected link stays as a row: that is the memory which keeps it from coming back.
    `evidence` is a list of {quotation, text, where, verbatim, spans}; `signals` a list of
    {name, value, words}, strongest first. `text_hash` names the source text it was proposed on.
    Of an `answers` link `question_id` is the question of the target that the source answers.
    `extra` has "resembles" (ids of pages), "rejection" (memory.Rejection) and "returned" (why it is
    back), written by store/links.py, beside what an import brought.
    """

    __table_args__ = (
        sa.UniqueConstraint("source_id", "target_id", "relation"),
        # Of what waits alone: an index over every status would tempt the planner away from the
        # better ones. Queries name the status as a literal (store/links.py), or it is not used.
        _waiting("ix_link_waiting", "confidence", "id", "relation"),
        _waiting("ix_link_waiting_newest", "created_at", "id", "relation"),
        _waiting("ix_link_waiting_by_page", "source_id", "id", "relation"),
        _waiting("ix_link_put_off", "confidence", "id", "relation", where=_DEFERRED),
        sa.Index("ix_link_in_newest", "target_id", "status", "id"),
        sa.Index(
            "ix_link_member",
            "target_id",
            "source_id",
            "day",
            sqlite_where=sa.text("relation = 'part-of' AND status = 'accepted'"),
            postgresql_where=sa.text("relation = 'part-of' AND status = 'accepted'"),
        ),
        sa.Index("ix_link_target_id_relation_status", "target_id", "relation", "status"),
        # The surest links of a page without reading all it has; they hold all that is asked of an edge.
        sa.Index("ix_link_out", "source_id", "status", "confidence", "target_id", "relation"),
        sa.Index("ix_link_in", "target_id", "status", "confidence", "source_id", "relation"),
        sa.CheckConstraint("source_id <> target_id", name="not_to_itself"),
        _by_act("link"),
    )

    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="page.id", ondelete="CASCADE")
    target_id: int = Field(foreign_key="page.id", ondelete="CASCADE")
    relation: Relation = Field(sa_type=choice(Relation))
    role: Role | None = Field(default=None, sa_type=choice(Role))
    note: str = ""
    day: str = ""
    status: LinkStatus = Field(sa_type=choice(LinkStatus))
    origin: Origin = Field(sa_type=choice(Origin))
    confidence: float = 1.0
    reason: str = ""
    evidence: list[dict[str, Any]] = json_column()
    signals: list[dict[str, Any]] = json_column()
    text_hash: str = ""
    question_id: int | None = Field(default=None, index=True)
    extra: dict[str, Any] = json_column(dict)
    created_at: datetime
    decided_at: datetime | None = Field(default=None, index=True)
    act_id: int | None = _of_an_act()


class RedLink(SQLModel, table=True):
    """A wikilink to a page nobody wrote yet. Derived from the body of its page."""

    __tablename__ = "red_link"

    page_id: int = Field(primary_key=True, foreign_key="page.id", ondelete="CASCADE")
    key: str = Field(primary_key=True, index=True)
    name: str
    relation: Relation = Field(default=Relation.MENTIONS, sa_type=choice(Relation))
    sentence: str = ""


class Change(SQLModel, table=True):
    """A proposal that is no link: a new concept or thread, two that are one, a page's new text.

    It waits in Review beside the proposed links, under "c" and its id. `key` says what it is about,
    so that it is made once: a rejected change stays as a row, and that is the memory which keeps it
    from coming back. `content` has what accepting it would write (services/review.py says what, by
    kind); `evidence` and `signals` are those of a link. A person's own merge or split is a change
    too, accepted from the start, so that it can be undone.
    """

    # The id of one taken back is never given again: somebody may still have it on their screen.
    __table_args__ = (_by_act("change"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True)
    kind: ChangeKind = Field(sa_type=choice(ChangeKind))
    key: str = Field(unique=True)
    title: str
    source_id: int | None = Field(
        default=None, foreign_key="page.id", index=True, ondelete="CASCADE"
    )
    target_id: int | None = Field(
        default=None, foreign_key="page.id", index=True, ondelete="CASCADE"
    )
    status: LinkStatus = Field(sa_type=choice(LinkStatus), index=True)
    origin: Origin = Field(sa_type=choice(Origin))
    confidence: float = 1.0
    reason: str = ""
    content: dict[str, Any] = json_column(dict)
    evidence: list[dict[str, Any]] = json_column()
    signals: list[dict[str, Any]] = json_column()
    created_at: datetime
    decided_at: datetime | None = None
    act_id: int | None = _of_an_act()


class Rule(SQLModel, table=True):
    """A standing order of the person: accept proposals of this relation from `least` up.

    Of one concept, or of all where there is none. What it decides is a decision of "rule" and its
    id; a rule that ended decides nothing more.
    """

    id: int | None = Field(default=None, primary_key=True)
    concept_id: int | None = Field(
        default=None, foreign_key="page.id", index=True, ondelete="CASCADE"
    )
    relation: Relation = Field(default=Relation.ABOUT, sa_type=choice(Relation))
    least: float
    created_at: datetime
    ended_at: datetime | None = None


class PaperTerm(SQLModel, table=True):
    """A term of a kept paper, under the key by which its ways of writing are one. Derived.

    `weight` says how much it is the paper's subject (domain/terms.py).
    """

    __tablename__ = "paper_term"
    __table_args__ = {
        "sqlite_with_rowid": False
    }  # the rows of a term side by side: they are counted

    key: str = Field(primary_key=True)
    page_id: int = Field(primary_key=True, foreign_key="page.id", index=True, ondelete="CASCADE")
    term: str
    weight: int = Field(default=1, sa_column_kwargs={"server_default": "1"})


_COUNTS = sa.text("agreed IS NOT NULL AND NOT undone AND NOT superseded")


def _record(name: str, *columns: str) -> sa.Index:
    """An index over the decisions that are the linker's record, by who decided."""
    return sa.Index(name, "who", *columns, "agreed", sqlite_where=_COUNTS, postgresql_where=_COUNTS)


class Decision(SQLModel, table=True):
    """What somebody decided about a link, a change or a paper, and how it stood before.

    Decisions are only added to. An undo is a decision too: `undoes_id` names the one it takes back.
    Decisions of one bulk action share a `batch`, so that one undo takes back all.

    Of a proposal of the linker that was accepted or rejected: `agreed` says whether it was taken as
    proposed (a correction is not); it had that `confidence` then, that strongest `signal`, was of
    that `kind` (a relation, or what a change would do) and of that concept. A pair that returned
    and was decided anew has older decisions that are `superseded`. That is the linker's record
    (domain/record.py); of all else `agreed` is null.
    """

    __table_args__ = (
        _record("ix_decision_by_confidence", "confidence"),
        _record("ix_decision_by_kind", "kind", "signal"),
        _record("ix_decision_by_concept", "concept_id", "confidence"),
        _record("ix_decision_by_time", "at"),
        _by_act("decision"),
        _by_itself("ix_decision_by_itself"),
    )

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(index=True)
    who: str = "person"
    verdict: Verdict = Field(sa_type=choice(Verdict))
    link_id: int | None = Field(default=None, foreign_key="link.id", index=True, ondelete="CASCADE")
    paper_id: int | None = Field(
        default=None, foreign_key="paper.id", index=True, ondelete="CASCADE"
    )
    change_id: int | None = Field(
        default=None, foreign_key="change.id", index=True, ondelete="CASCADE"
    )
    reason: str = ""
    before: dict[str, Any] = json_column(dict)
    batch: str = Field(default="", index=True)
    undoes_id: int | None = Field(default=None, foreign_key="decision.id", ondelete="CASCADE")
    undone: bool = False
    agreed: bool | None = None
    superseded: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    confidence: float | None = None
    signal: str = Field(default="", sa_column_kwargs={"server_default": ""})
    kind: str = Field(default="", sa_column_kwargs={"server_default": ""})
    concept_id: int | None = Field(default=None, foreign_key="page.id", ondelete="SET NULL")
    act_id: int | None = _of_an_act()


class Thread(SQLModel, table=True):
    """The claim of a thread page. Its members are `part-of` links; its counters are computed."""

    page_id: int = Field(primary_key=True, foreign_key="page.id", ondelete="CASCADE")
    claim: str = ""
    status: ThreadStatus = Field(default=ThreadStatus.OPEN, sa_type=choice(ThreadStatus))


class Question(SQLModel, table=True):
    """An open problem a page raised, which a later paper may answer.

    `state` is the reader's word. Where that is `open`, an accepted `answers` link that names the
    question makes it answered (store/questions.py). `in_text`: it stands under a heading of the
    page's own text, and follows it. `withdrawn`: it was taken out there, and is kept for what was
    decided of it.
    """

    __table_args__ = (sa.UniqueConstraint("page_id", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    page_id: int = Field(foreign_key="page.id", ondelete="CASCADE")
    number: int
    text: str
    state: QuestionState = Field(default=QuestionState.OPEN, sa_type=choice(QuestionState))
    day: str = ""
    in_text: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    withdrawn: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})


class Prediction(SQLModel, table=True):
    """A claim that can turn out wrong, with the day on which it is to be judged.

    `page_id` is the page that made it, `made` the day (ISO); `due` a day, a month or a year, of
    which the last day counts, or "" when nobody said. `probability` is what its author gave it, if
    anything. `evidence` of its resolution is a list of {page, quotation}.
    """

    __table_args__ = (sa.UniqueConstraint("page_id", "key"),)

    id: int | None = Field(default=None, primary_key=True)
    page_id: int = Field(foreign_key="page.id", ondelete="CASCADE")
    key: str  # its text as texts are compared: a prediction stands once on a page
    text: str
    made: str = ""
    due: str = Field(default="", index=True)
    probability: float | None = None
    state: PredictionState = Field(
        default=PredictionState.OPEN, sa_type=choice(PredictionState), index=True
    )
    resolved: str = ""  # the day on which it was judged
    resolution: str = ""  # why, in the reader's words
    evidence: list[dict[str, Any]] = json_column()
    origin: Origin = Field(sa_type=choice(Origin))
    extra: dict[str, Any] = json_column(dict)
    created_at: datetime


class PredictionTouch(SQLModel, table=True):
    """A paper that bears on a prediction, by a sentence of its own. Derived, but for `dismissed`."""

    __tablename__ = "prediction_touch"

    prediction_id: int = Field(primary_key=True, foreign_key="prediction.id", ondelete="CASCADE")
    page_id: int = Field(primary_key=True, foreign_key="page.id", index=True, ondelete="CASCADE")
    day: str = ""
    confidence: float
    quotation: str
    spans: list[list[int]] = json_column()
    dismissed: bool = False


class PageSection(SQLModel, table=True):
    """Who wrote a section of a page last: a machine may propose another text for its own alone.

    A section is what stands under one heading of the body up to the next (domain/ownership.py); `key`
    names it within its page, "" what stands before the first heading. Kept by the write path of pages.
    """

    __tablename__ = "page_section"

    page_id: int = Field(primary_key=True, foreign_key="page.id", ondelete="CASCADE")
    key: str = Field(primary_key=True)
    position: int
    hash: str
    owner: AuthorKind = Field(sa_type=choice(AuthorKind))
    author: str = ""
    prompt: str = ""
    at: datetime


class PageNumber(SQLModel, table=True):
    """A number of papers in the text of a page, typed or live: what Health looks at again.

    Derived from the body by the write path of pages (domain/typed_counters.py). `start` is where `says`
    stands in the body; `around` the paragraph of a typed one, "" of a live claim.
    """

    __tablename__ = "page_number"

    page_id: int = Field(primary_key=True, foreign_key="page.id", ondelete="CASCADE")
    start: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    counts: str
    says: str
    around: str = ""


class Digest(SQLModel, table=True):
    """One day, or one month, told in sections; `day` is "2026-05-14" or "2026-05".

    `sections` is a list of {name, title, text, items}: of one that came in, `items` are titles; of
    one of our own, domain/digests.py says what they are. `teller` is "" of one that came in, "local"
    or the id of a model of our own; `key` the state of the facts it was told from. `struck` counts
    sentences of a model that its checker took out. The page's body is the text; once a person
    edited it, nothing is told anew.
    """

    page_id: int = Field(primary_key=True, foreign_key="page.id", ondelete="CASCADE")
    day: str = Field(unique=True)
    framing: str = ""
    sections: list[dict[str, Any]] = json_column()
    ledger: dict[str, Any] = json_column(dict)
    teller: str = Field(default="", sa_column_kwargs={"server_default": ""})
    key: str = Field(default="", sa_column_kwargs={"server_default": ""})
    struck: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    told_at: datetime | None = None
    mailed_at: datetime | None = None


class Episode(SQLModel, table=True):
    """A podcast episode. `chapters` is a list of {at, title, text}, `at` in seconds."""

    page_id: int = Field(primary_key=True, foreign_key="page.id", ondelete="CASCADE")
    source_id: int = Field(foreign_key="source.id")
    published: str = ""
    minutes: int | None = None
    ai_generated: str = ""
    takeaways: list[str] = json_column()
    chapters: list[dict[str, Any]] = json_column()


# ---------------------------------------------------------------- triage


class Topic(SQLModel, table=True):
    """What the reader wants to read about: what to keep, what to filter.

    A paper of the topic is picked when its score (0..1) reaches `threshold`. A retired topic is
    given to no new paper; what was judged by it keeps it.
    """

    id: str = Field(primary_key=True)
    name: str
    keep: str = ""
    filter: str = ""
    tier: int = 2
    threshold: float = 0.15
    position: int = 0
    retired: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    extra: dict[str, Any] = json_column(dict)


class Listing(SQLModel, table=True):
    """One day of a listing: the funnel, what it cost, the prompt it was judged by."""

    day: str = Field(primary_key=True)
    item_id: int | None = Field(default=None, foreign_key="item.id", ondelete="SET NULL")
    fetched: int | None = None
    scanned: int | None = None
    kept: int | None = None
    model: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_cost_usd: float | None = None
    completion_cost_usd: float | None = None
    prompt: str = ""
    previous_day: str = ""
    next_day: str = ""
    month: str = ""
    # The reader asked for a model's marks of this day now, whatever is done by itself.
    judge_now: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})


class ListingPaper(SQLModel, table=True):
    """A paper in the listing of a day; `version` and `announced` as the listing named them."""

    __tablename__ = "listing_paper"
    __table_args__ = (sa.Index("ix_listing_paper_days", "paper_id", "day"),)

    day: str = Field(primary_key=True)
    paper_id: int = Field(primary_key=True, foreign_key="paper.id", ondelete="CASCADE")
    position: int = 0
    version: int | None = None
    announced: Announced | None = Field(default=None, sa_type=choice(Announced))


class Assessment(SQLModel, table=True):
    """Relevance, novelty, topics and comment for one paper by one scorer on one day.

    `score` (0..1) is how likely this reader keeps the paper, and orders a day; null of a scorer that
    does not say. `evidence` is a list of {kind: "criterion", text, quotation, where, spans}, what the
    comment rests on, and {kind: "near", page, paper, likeness}, what the paper is most like. `prompt`
    is "name@version hash" of a model's prompt, or the key of what the local scorer knew.
    """

    __table_args__ = (sa.UniqueConstraint("paper_id", "scorer", "day"),)

    id: int | None = Field(default=None, primary_key=True)
    paper_id: int = Field(foreign_key="paper.id", ondelete="CASCADE")
    day: str = ""
    scorer: str
    prompt: str = ""
    relevance: int | None = None
    novelty: int | None = None
    topic_id: str | None = Field(default=None, foreign_key="topic.id")
    comment: str = ""
    topic_comment: str = ""
    tags: list[str] = json_column()
    score: float | None = None
    hotspot_comment: str = Field(default="", sa_column_kwargs={"server_default": ""})
    tier: int | None = None
    tier_reason: str = Field(default="", sa_column_kwargs={"server_default": ""})
    evidence: list[dict[str, Any]] = Field(
        default_factory=list,
        sa_type=sa.JSON,
        nullable=False,
        sa_column_kwargs={"server_default": "[]"},
    )
    call_id: int | None = Field(default=None, foreign_key="model_call.id", ondelete="SET NULL")
    at: datetime


class AssessmentTopic(SQLModel, table=True):
    """A topic an assessment matches, its primary one included."""

    __tablename__ = "assessment_topic"

    assessment_id: int = Field(primary_key=True, foreign_key="assessment.id", ondelete="CASCADE")
    topic_id: str = Field(primary_key=True, foreign_key="topic.id", index=True)


class ModelCall(SQLModel, table=True):
    """One call of a model, or one Message Batch: reserved before it is made, booked after.

    Money is in millionths of a US dollar. `reserved` is the worst case; `cost` is null while it is
    not known, which is not nothing. `day` is the reader's day it counts against; `about` the day of
    the listing or what else it was for. Tokens are kinds as the service bills them.
    """

    __tablename__ = "model_call"
    __table_args__ = (sa.Index("ix_model_call_spent", "day", "state", "cost", "reserved"),)

    id: int | None = Field(default=None, primary_key=True)
    at: datetime
    day: str
    purpose: str
    about: str = Field(default="", index=True)
    model: str
    prompt: str = ""
    state: CallState = Field(sa_type=choice(CallState), index=True)
    batched: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reserved: int | None = Field(default=None, sa_type=sa.BigInteger)
    cost: int | None = Field(default=None, sa_type=sa.BigInteger)
    papers: int = 0
    outcome: str = ""
    request_id: str = ""
    ended_at: datetime | None = None


class Price(SQLModel, table=True):
    """What a model costs from a day on, in millionths of a US dollar for a million tokens.

    The newest row that begins no later than a day counts on it. Shipped prices are in
    app/llm/prices.json; a row here goes before one of the same model and day there.
    """

    model: str = Field(primary_key=True)
    since: str = Field(primary_key=True)
    input: int = Field(sa_type=sa.BigInteger)
    output: int = Field(sa_type=sa.BigInteger)
    cache_read: int = Field(sa_type=sa.BigInteger)
    cache_write: int = Field(sa_type=sa.BigInteger)
    cache_write_1h: int = Field(sa_type=sa.BigInteger)
    batch_percent: int = 50  # of the price, when called in a Message Batch


class ModelBatch(SQLModel, table=True):
    """A Message Batch. Its id at the service is kept before it is asked after.

    `requests` is a list of {id, papers}: which papers each request of it was about.
    """

    __tablename__ = "model_batch"

    id: int | None = Field(default=None, primary_key=True)
    provider_id: str = Field(default="", index=True)
    call_id: int = Field(foreign_key="model_call.id", ondelete="CASCADE")
    purpose: str
    about: str = ""
    model: str
    prompt: str = ""
    state: BatchState = Field(sa_type=choice(BatchState), index=True)
    requests: list[dict[str, Any]] = json_column()
    created_at: datetime
    next_look_at: datetime
    ended_at: datetime | None = None
    error: str = ""


# ---------------------------------------------------------------- derived, and the machine's own


class EmbeddingModel(SQLModel, table=True):
    """A model there are vectors of, or will be. `id` is its name and revision, "name@fingerprint".

    `setting` is the path or id that loads it, `dim` how many numbers its vectors have (0: not known
    yet). Pages get vectors of the one that is `wanted`; searches use those of the one that `serves`
    until the wanted one has them all.
    """

    __tablename__ = "embedding_model"

    id: str = Field(primary_key=True)
    setting: str = ""
    dim: int = 0
    wanted: bool = False
    serves: bool = False


class Vector(SQLModel, table=True):
    """A page's text as one unit vector of `dim` little-endian float32 numbers.

    `model` names the model and its revision, `text_hash` the text. `seq` is the count of "vectors"
    at the write: of two vectors the one committed later has the larger. On PostgreSQL a column
    `half` has the vector again, for the index that the database searches.
    """

    __tablename__ = "page_vector"  # "vector" is a type of PostgreSQL's extension
    __table_args__ = (sa.Index("ix_page_vector_model", "model", "seq"),)

    page_id: int = Field(primary_key=True, foreign_key="page.id", ondelete="CASCADE")
    model: str = Field(primary_key=True)
    dim: int
    text_hash: str
    data: bytes
    seq: int = Field(default=0, sa_column_kwargs={"server_default": "0"})


class PaperVector(SQLModel, table=True):
    """The vector of a paper's title and abstract, for papers that have no page yet or never will."""

    __tablename__ = "paper_vector"

    paper_id: int = Field(primary_key=True, foreign_key="paper.id", ondelete="CASCADE")
    model: str = Field(primary_key=True)
    text_hash: str
    data: bytes


class TextVector(SQLModel, table=True):
    """The vector of a short text that is asked for again and again: a clause of a topic."""

    __tablename__ = "text_vector"

    model: str = Field(primary_key=True)
    hash: str = Field(primary_key=True)
    data: bytes


class Unencoded(SQLModel, table=True):
    """A page whose text has no vector of the wanted model, and the hash of that text.

    Derived: triggers on page_text add, a vector of this very text takes away.
    """

    page_id: int = Field(primary_key=True, foreign_key="page_text.page_id", ondelete="CASCADE")
    hash: str


class QueryVector(SQLModel, table=True):
    """The vector of a recent search, so that it need not be made again."""

    __tablename__ = "query_vector"

    model: str = Field(primary_key=True)
    text: str = Field(primary_key=True)
    data: bytes
    at: datetime


class Run(SQLModel, table=True):
    """What one trigger did: steps as {name, done, failed, waiting, seconds, now}, and its last words.

    `lines` is how many lines its log ever had; the newest of them are kept.
    """

    id: int | None = Field(default=None, primary_key=True)
    trigger: str
    owner: str = ""
    state: RunState = Field(sa_type=choice(RunState))
    steps: list[dict[str, Any]] = json_column()
    log: str = ""
    lines: int = 0
    cancel: bool = False  # the reader asked for its end
    started_at: datetime
    ended_at: datetime | None = None


class Attempt(SQLModel, table=True):
    """A row that failed in a step: how often, when it is tried again, and why it failed."""

    step: str = Field(primary_key=True)
    subject_id: int = Field(primary_key=True)
    attempts: int = 0
    next_try_at: datetime
    last_error: str = ""
    parked: bool = False


class Done(SQLModel, table=True):
    """The state a step last saw of a row: its pending work is where the row has moved on."""

    step: str = Field(primary_key=True)
    subject_id: int = Field(primary_key=True)
    seen: str


class Hold(SQLModel, table=True):
    """A row that a worker is at: no other takes it up until the hold runs out, by the real clock."""

    step: str = Field(primary_key=True)
    subject_id: int = Field(primary_key=True)
    owner: str = Field(index=True)
    until: float


class Lease(SQLModel, table=True):
    """Who is at work, and on SQLite who alone may be. The real clock counts, never CEREBRO_NOW."""

    name: str = Field(primary_key=True)
    owner: str
    until: float


class Preference(SQLModel, table=True):
    """What the Settings screen changed; a set variable wins."""

    name: str = Field(primary_key=True)
    value: str


class Generation(SQLModel, table=True):
    """A counter that grows with every change of what it names; caches and ETags key on it."""

    name: str = Field(primary_key=True)
    value: int = 0
