"""What readers of outside documents hand over: frozen, validated values, before any of it is stored.

A reader (app/sources) turns bytes into a `Document`: what the item itself is, and a stream of
arrivals. `services/ingest` writes them. A reference (`Ref`) to another thing is text: a slug, or
`arxiv:…`, `doi:…`, `url:…`, or `title:…` for a paper that a text names without an identifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.records import (
    Announced,
    LinkStatus,
    PageKind,
    PredictionState,
    QuestionState,
    Relation,
    Role,
    SourceKind,
    Stance,
    Verdict,
)

Ref = str
Extra = Mapping[str, Any]


@dataclass(frozen=True)
class Unread:
    """A line that only a wiki which is empty can take: of a type that the interchange format lacks."""

    type: str


@dataclass(frozen=True, kw_only=True)
class TopicArrival:
    id: str
    name: str
    keep: str = ""
    filter: str = ""
    tier: int = 2
    threshold: float | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PageArrival:
    """A concept, note or article; also the page part of a thread, digest or episode.

    `ref` is the slug asked for, or `url:…` for an article known by its address; '' lets the wiki
    choose a slug from the title. An empty text never overwrites one that is there.
    """

    ref: Ref
    kind: PageKind
    title: str
    text: str = ""
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PaperArrival:
    """A paper as one document tells of it. What is empty is not known, and changes nothing.

    `refs`: its identifiers (`arxiv:2605.05838v2` notes version 2); none: known by title alone.
    `day`: it stands in that day's listing, undecided; `announced` and
    `version`: what the listing said it was there (a version that an arXiv id has goes without).
    `keep`: it is kept and gets a page.
    `text`: Markdown for its page; `slug`: the address asked for.
    """

    refs: tuple[Ref, ...]
    title: str
    abstract: str = ""
    authors: tuple[str, ...] = ()
    published: str = ""
    venue: str = ""
    categories: tuple[str, ...] = ()
    references: tuple[Ref, ...] = ()
    code_url: str = ""
    day: str = ""
    position: int = 0
    announced: Announced | None = None
    version: int | None = None
    keep: bool = False
    slug: str = ""
    text: str = ""
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class QuestionArrival:
    """An open problem that a page raises; no `state`: nobody said."""

    page: Ref
    text: str
    state: QuestionState | None = None
    day: str = ""


@dataclass(frozen=True, kw_only=True)
class PredictionArrival:
    """What a page foretells. `due`: a day, a month or a year, or words ("in the next 90 days").

    `made`: the day it was said, '' for that of the document.
    """

    page: Ref
    text: str
    made: str = ""
    due: str = ""
    probability: float | None = None
    state: PredictionState = PredictionState.OPEN
    resolved: str = ""
    resolution: str = ""
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ThreadArrival:
    page: PageArrival
    claim: str


@dataclass(frozen=True, kw_only=True)
class Quotation:
    """A piece of evidence: words, and where they stand ("abstract", a section's title)."""

    quote: str
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class LinkArrival:
    """A link between two things of this document or of the wiki. `day`: a thread member's date."""

    source: Ref
    relation: Relation
    target: Ref
    status: LinkStatus = LinkStatus.ACCEPTED
    role: Role | None = None
    note: str = ""
    day: str = ""
    at: str = ""
    confidence: float | None = None
    reason: str = ""
    evidence: tuple[Quotation, ...] = ()
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DecisionArrival:
    """keep, drop or defer for a paper."""

    paper: Ref
    verdict: Verdict
    at: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class MentionArrival:
    """The document speaks of a paper, in `section`, saying `text`.

    A paper that the wiki has not met is noted all the same, when `paper` is an identifier.
    """

    paper: Ref
    section: str
    day: str = ""
    text: str = ""
    source_name: str = ""
    tier: int | None = None
    tier_reason: str = ""
    why_it_matters: str = ""
    stance: Stance | None = None


@dataclass(frozen=True, kw_only=True)
class AssessmentArrival:
    """One scorer's marks for a paper; topics by id, the primary one first."""

    paper: Ref
    day: str
    scorer: str
    relevance: int | None
    novelty: int | None
    topics: tuple[str, ...]
    comment: str = ""
    topic_comment: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ListingArrival:
    """A day page's frame: funnel, tokens and dollars, prompt, neighbouring days."""

    day: str
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


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of a digest, in order; `items` are the titles of its entries."""

    name: str
    title: str
    text: str = ""
    items: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DigestArrival:
    """A day told in sections. `ledger`: counts by name, as the document's own last lines state."""

    day: str
    page: PageArrival
    framing: str
    sections: tuple[Section, ...]
    ledger: Extra


@dataclass(frozen=True, kw_only=True)
class Chapter:
    at: int  # seconds from the beginning
    title: str
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class EpisodeArrival:
    """One episode. `paper` is what it covers; `ai_generated` its own words of disclosure."""

    page: PageArrival
    published: str = ""
    minutes: int | None = None
    ai_generated: str = ""
    takeaways: tuple[str, ...] = ()
    chapters: tuple[Chapter, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SubscriptionArrival:
    """A source that somebody else's list names: its address, and the folder it stands in ('' for none)."""

    url: str
    name: str
    folder: str = ""


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """What could not be read: where it stood ("line 12", "paper 3") and why, in one sentence."""

    where: str
    reason: str


Arrival = (
    TopicArrival
    | PageArrival
    | PaperArrival
    | ThreadArrival
    | DigestArrival
    | EpisodeArrival
    | ListingArrival
    | LinkArrival
    | DecisionArrival
    | MentionArrival
    | AssessmentArrival
    | QuestionArrival
    | PredictionArrival
    | SubscriptionArrival
    | Unread
)


@dataclass(frozen=True, kw_only=True)
class SourceRef:
    """The source a document comes from: a show, a listing, or the file itself."""

    key: str
    kind: SourceKind
    name: str
    url: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Document:
    """One item, read. `key` is its identity within its source: the same key twice is the same item.

    `arrivals` may be lazy and may be gone through once; it never raises: what cannot be read comes
    as `Rejected`. `hash` is that of its content, '' where the document is the whole file; `state`
    what the source says of it (starred, upvotes, score, comments).
    """

    source: SourceRef
    key: str
    format: str
    title: str
    arrivals: Iterable[Arrival | Rejected]
    url: str = ""
    published: str = ""
    hash: str = ""
    state: Extra = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Several items in one file: the entries of a listing, a feed, a mailbox, a bibliography.

    `documents` may be lazy and may be gone through once; it never raises: an entry that cannot be read
    comes as `Rejected`, and the others with it.
    """

    source: SourceRef
    format: str
    documents: Iterable[Document | Rejected]
