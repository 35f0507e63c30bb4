"""Ingest: what a reader hands over becomes topics, pages, papers, links and mentions.

Idempotent by content: the same document twice changes nothing. One paper met in several documents
is one row, joined by identifier or title. What a person wrote is never overwritten, and what a
person decided is only replaced by an import that names a later time.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError
from sqlmodel import Session, col, select

from app.domain import citations
from app.domain import items as arrived
from app.domain.digests import SectionName
from app.domain.identifiers import PaperId, is_slug, parse_id, title_key, whole_day
from app.domain.markdown import name_key
from app.domain.predictions import deadline, entries_of, given_due, stated, watched
from app.domain.records import (
    Alias,
    AliasKind,
    Assessment,
    AssessmentTopic,
    AuthorKind,
    Decision,
    Digest,
    Episode,
    Identifier,
    Item,
    Link,
    LinkStatus,
    Listing,
    ListingPaper,
    LooseMention,
    Mention,
    Origin,
    Page,
    PageKind,
    Paper,
    PaperState,
    PredictionState,
    QuestionState,
    Relation,
    Revision,
    Source,
    SourceKind,
    Thread,
    Topic,
    Verdict,
)
from app.domain.stance import stance_of
from app.errors import CerebroError, Unreadable
from app.sources.base import File, Reader, reader_for, unpacked
from app.store import (
    assessments,
    decisions,
    edits,
    forgetting,
    items,
    joining,
    links,
    pages,
    papers,
    predictions,
    questions,
    removal,
    threads,
)
from app.store.db import bump
from app.store.pages import IMPORT, Author, Content

log = logging.getLogger("cerebro.ingest")

_STATE = {
    Verdict.KEEP: PaperState.KEPT,
    Verdict.DROP: PaperState.DROPPED,
    Verdict.DEFER: PaperState.DEFERRED,
}
_LINK_VERDICT = {
    LinkStatus.ACCEPTED: Verdict.ACCEPT,
    LinkStatus.REJECTED: Verdict.REJECT,
    LinkStatus.DEFERRED: Verdict.DEFER,
}


_JOINS = (
    arrived.LinkArrival,
    arrived.DecisionArrival,
    arrived.MentionArrival,
    arrived.AssessmentArrival,
    arrived.QuestionArrival,
    arrived.PredictionArrival,
)


# Of papers alone: an address may be anything.
_SCHEMES = ("arxiv", "doi", "openreview", "s2")
_WAITING_FACTS = ("day", "text", "source_name", "stance")
_SECTIONS = {Relation.RECOMMENDS: "Recommended reading"}
_NOTES = ("markdown", "obsidian")  # formats in which a file is a page
_MACHINE = (AuthorKind.IMPORT, AuthorKind.EXTRACT)  # nobody wrote what these put on a page


class Outcome(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    SAME = "same"


@dataclass
class Report:
    """What an import did: outcomes by kind of thing, and what was refused, with reasons."""

    counts: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    rejected: list[arrived.Rejected] = field(default_factory=list)
    subscriptions: list[arrived.SubscriptionArrival] = field(default_factory=list)  # to be made
    unread: Counter[str] = field(default_factory=Counter)  # lines, by their type
    changed: list[str] = field(default_factory=list)  # what pages and papers are called

    def total(self, outcome: Outcome) -> int:
        return sum(n for (_, found), n in self.counts.items() if found == outcome)

    def by_kind(self) -> dict[str, dict[str, int]]:
        """{"paper": {"new": 3, …}, …}"""
        table: dict[str, dict[str, int]] = {}
        for (kind, outcome), number in sorted(self.counts.items()):
            table.setdefault(kind, {})[outcome.value] = number
        return table

    def add(self, other: Report) -> None:
        self.counts += other.counts
        self.rejected += other.rejected
        self.unread += other.unread
        self.changed += other.changed


class _Refused(CerebroError):
    """This arrival cannot be stored; the sentence goes into the report."""


@dataclass(frozen=True)
class _Past:
    """What a page has been: whether anybody but imports wrote on it, and all it ever held."""

    edited: bool
    had_text: bool
    names: frozenset[str]
    tags: frozenset[str]


class _Ingest:
    """One document on its way in: things first, then what joins them, so that order is free."""

    def __init__(
        self,
        session: Session,
        document: arrived.Document,
        *,
        source: Source,
        report: Report,
        now: datetime,
        name: str = "",
        written: dict[int, str] | None = None,
    ) -> None:
        self.session = session
        # Of a file of notes its name, and which file of the same import wrote the text of which page.
        self.name = name if document.format in _NOTES else ""
        self.written = {} if written is None else written
        self.document = document
        self.source = source
        self.now = now
        self.report = report
        # A file in which a person states facts may correct them; a page that was saved only adds.
        self.authoritative = document.source.kind == SourceKind.FILE
        self.papers: list[int] = []  # those that the document tells of, in order
        self.stored = 0  # the paper of the newest arrival of one
        self.local_papers: dict[str, int] = {}  # by title_key
        self.local_slugs: dict[str, int] = {}
        self.joining: list[arrived.Arrival] = []
        self.mentioned: dict[int, Paper] = {}

    def stands(self) -> bool:
        """Whether this very item came before, as it is; what its source says of it is brought up to date."""
        assert self.source.id is not None
        found = items.item(self.session, self.source.id, self.document.key)
        if found is not None and forgetting.is_undone(found):
            return True  # it came, and was undone: its source does not bring it again
        if found is None or not self.document.hash or found.hash != self.document.hash:
            return False
        if (state := {**found.state, **self.document.state}) != found.state:
            found.state = state
            self.session.add(found)
        return True

    def things(self, hash: str, raw_size: int | None, progress: Callable[[], None]) -> None:
        """Store topics, pages and papers; what joins them waits for `joins`."""
        self.item = self._item(hash, raw_size)
        for arrival in self.document.arrivals:
            progress()
            if isinstance(arrival, arrived.Rejected):
                self.report.rejected.append(arrival)
            elif isinstance(arrival, _JOINS):
                self.joining.append(arrival)
            else:
                self._store(arrival)
        # An entry of a bundle that tells of one paper, and has no page of its own, is that paper.
        if self.document.hash and self.item.page_id is None and len(set(self.papers)) == 1:
            self.item.paper_id = self.papers[0]
            self.session.add(self.item)

    def joins(self, progress: Callable[[], None]) -> None:
        """Store links, decisions, mentions and assessments, now that everything they name is there."""
        for arrival in sorted(self.joining, key=self._when):
            progress()
            self._store(arrival)
        if self.document.hash and self.item.page_id is not None and self.mentioned:
            assert self.item.id is not None
            joining.consider(self.session, self.item.id, self.mentioned.values())

    def _when(self, arrival: arrived.Arrival) -> tuple[datetime, bool]:
        """When what it says was decided: of two words on one thing the later one counts.

        What covers or recommends a paper comes after what is said of it.
        """
        if isinstance(arrival, arrived.LinkArrival):
            return _time(arrival.at) or self.now, self._is_said(arrival)
        if isinstance(arrival, arrived.DecisionArrival):
            return _time(arrival.at) or self.now, False
        return self.now, False

    def _is_said(self, arrival: arrived.LinkArrival) -> bool:
        """Whether it is what an entry of a feed says, which keeps no paper and waits for its end."""
        return (
            bool(self.document.hash)
            and arrival.relation in joining.SAID
            and arrival.status == LinkStatus.ACCEPTED
        )

    def _store(self, arrival: arrived.Arrival) -> None:
        kind = type(arrival).__name__.removesuffix("Arrival").lower()
        if isinstance(arrival, arrived.PageArrival):
            kind = arrival.kind.value
        try:
            with self.session.begin_nested():
                outcome = self._dispatch(arrival)
        except (
            CerebroError,
            ArithmeticError,
            ValueError,
            TypeError,
            DataError,
            IntegrityError,
        ) as error:
            # One that cannot be stored, however odd, fails alone.
            if isinstance(error, CerebroError):
                reason = str(error)
            else:
                log.exception("%s %s could not be stored", kind, _label(arrival))
                reason = f"It could not be stored ({type(error).__name__}); the log says more."
            self.report.rejected.append(
                arrived.Rejected(where=f"{kind} {_label(arrival)}", reason=reason)
            )
        else:
            if isinstance(arrival, arrived.PaperArrival):
                self._remember(arrival, self.stored)
            if outcome is not None:
                self.report.counts[kind, outcome] += 1
                if outcome is Outcome.CHANGED and (title := _title(arrival)):
                    self.report.changed.append(title)

    def _dispatch(self, arrival: arrived.Arrival) -> Outcome | None:
        match arrival:
            case arrived.TopicArrival():
                return self._topic(arrival)
            case arrived.PageArrival():
                page, outcome = self._page(arrival)
                if self.document.hash:
                    self._belongs(page)
                return outcome
            case arrived.PaperArrival():
                return self._paper(arrival)
            case arrived.ThreadArrival():
                return self._thread(arrival)
            case arrived.DigestArrival():
                return self._digest(arrival)
            case arrived.EpisodeArrival():
                return self._episode(arrival)
            case arrived.ListingArrival():
                return self._listing(arrival)
            case arrived.LinkArrival():
                return self._link(arrival)
            case arrived.DecisionArrival():
                return self._decision(arrival)
            case arrived.MentionArrival():
                return self._mention(arrival)
            case arrived.AssessmentArrival():
                return self._assessment(arrival)
            case arrived.QuestionArrival():
                return self._question(arrival)
            case arrived.PredictionArrival():
                return self._prediction(arrival)
            case arrived.SubscriptionArrival():
                self.report.subscriptions.append(arrival)  # whoever imports sees to it
                return None
            case arrived.Unread():
                self.report.unread[arrival.type] += 1
                return None

    # ------------------------------------------------------------ the item itself

    def _item(self, hash: str, raw_size: int | None) -> Item:
        assert self.source.id is not None
        if raw_size is not None:
            items.note_raw(self.session, hash, raw_size, now=self.now)
        own = self.document.hash or hash
        item = items.item(self.session, self.source.id, self.document.key)
        if item is not None and forgetting.is_undone(item):  # a person brings it now
            self.session.delete(item)
            self.session.flush()
            item = None
        if item is None:
            item = Item(
                source_id=self.source.id,
                key=self.document.key,
                format=self.document.format,
                title=self.document.title,
                url=self.document.url,
                published=self.document.published,
                received_at=self.now,
                hash=own,
                raw_sha256=hash if raw_size is not None else None,
                state=dict(self.document.state),
            )
        else:
            if item.hash != own:
                item.hash = own
                item.raw_sha256 = hash if raw_size is not None else None
            if self.document.state:
                item.state = {**item.state, **self.document.state}
        self.session.add(item)
        self.session.flush()
        return item

    # ------------------------------------------------------------ things

    def _topic(self, topic: arrived.TopicArrival) -> Outcome:
        standing = self.session.get(Topic, topic.id)
        if standing is None:
            position = self.session.scalar(sa.select(sa.func.count()).select_from(Topic)) or 0
            new = Topic(
                id=topic.id,
                name=topic.name,
                keep=topic.keep,
                filter=topic.filter,
                tier=topic.tier,
                position=position,
                extra=dict(topic.extra),
            )
            if topic.threshold is not None:
                new.threshold = topic.threshold
            self.session.add(new)
            return Outcome.NEW
        facts: dict[str, Any] = {"name": topic.name, "keep": topic.keep, "filter": topic.filter}
        if self.authoritative:
            facts |= {"tier": topic.tier, "threshold": topic.threshold}
        return self._fill(standing, facts, extra=topic.extra)

    def _page(self, arrival: arrived.PageArrival) -> tuple[Page, Outcome]:
        page = self._existing(arrival)
        self._check_removed(page or (self.session.get(Page, self._own_page())))
        if page is None:
            page = self._new_page(arrival)
            self._writes(page)
            return page, Outcome.NEW
        if page.kind != arrival.kind:
            if not arrival.text and not arrival.aliases:
                return page, Outcome.SAME  # it was only named, and the name is taken
            raise _Refused(
                f"{page.slug!r} is a {page.kind.value} here, not a {arrival.kind.value}. "
                "Give it another id."
            )
        self._writes(page)
        outcome = self._revise(
            page,
            title=arrival.title,
            text=arrival.text,
            aliases=arrival.aliases,
            tags=arrival.tags,
        )
        if arrival.extra and (merged := {**page.extra, **arrival.extra}) != page.extra:
            page.extra = merged
            outcome = Outcome.CHANGED
        return page, _most(outcome, self._questions(page, arrival.questions))

    def _writes(self, page: Page) -> None:
        """Two files of one import are two pages: what the first says is not replaced by the second."""
        if not self.name:
            return
        other = self.written.setdefault(page.id or 0, self.name)
        if other != self.name:
            raise _Refused(
                f"{self.name} would be the same page as {other}, {page.title!r}. Rename one of them, "
                "or give it an id of its own, and import it again."
            )

    def _own_page(self) -> int:
        """The page of an entry that has one of its own, 0 for none: as a whole it is that page."""
        return (self.item.page_id or 0) if self.document.hash else 0

    def _check_removed(self, page: Page | None) -> None:
        """What a person removed, no import brings back."""
        if page is not None and page.kind == PageKind.REMOVED:
            raise _Refused(f"{page.title} was removed. Put it back to have it brought up to date.")

    def _existing(self, arrival: arrived.PageArrival) -> Page | None:
        identifier = parse_id(arrival.ref)
        if identifier is not None:
            owner = self._owner(identifier)
            return self.session.get(Page, owner) if owner else None
        if arrival.ref:
            return pages.by_slug(self.session, arrival.ref) or pages.former(
                self.session, arrival.ref
            )
        return self._called(arrival)

    def _called(self, arrival: arrived.PageArrival) -> Page | None:
        """The page that has or had just this title: another case may be another page."""
        title = " ".join(arrival.title.split())
        same = self.session.exec(
            select(Page)
            .where(Page.title_key == name_key(title), Page.kind == arrival.kind)
            .order_by(col(Page.id))
        )
        found = next((page for page in same if page.title == title), None)
        if found is not None:
            return found
        return self.session.exec(
            select(Page)
            .join(Alias, col(Alias.page_id) == col(Page.id))
            .where(Alias.name == title, Alias.kind == AliasKind.NAME, Page.kind == arrival.kind)
            .order_by(col(Page.id))
        ).first()

    def _identified(self, identifier: PaperId) -> int | None:
        """The page an identifier leads to, a paper's or its own."""
        owner = self._owner(identifier)
        page = self.session.get(Page, owner) if owner else None
        return owner if page is not None and page.kind != PageKind.REMOVED else None

    def _owner(self, identifier: PaperId) -> int | None:
        """The page that has an identifier, be it a removed one."""
        row = self.session.exec(
            select(Identifier).where(
                Identifier.scheme == identifier.scheme, Identifier.value == identifier.value
            )
        ).first()
        if row is None:
            return None
        if row.page_id is not None:
            return row.page_id
        paper = self.session.get(Paper, row.paper_id)
        return paper.page_id if paper else None

    def _new_page(self, arrival: arrived.PageArrival) -> Page:
        identifier = parse_id(arrival.ref)
        if identifier is not None and papers.by_id(self.session, identifier) is not None:
            raise _Refused(f"{arrival.ref} is a paper that waits in the Inbox, not a page.")
        page = pages.create(
            self.session,
            Content(
                title=arrival.title,
                kind=arrival.kind,
                body=arrival.text,
                aliases=arrival.aliases,
                tags=arrival.tags,
            ),
            author=IMPORT,
            now=self.now,
            slug=arrival.ref if is_slug(arrival.ref) else "",
            extra=arrival.extra,
            note=self.document.title,
        )
        if identifier is not None:
            assert page.id is not None
            self.session.add(
                Identifier(
                    scheme=identifier.scheme, value=identifier.value, page_id=page.id, versions=[]
                )
            )
            joining.addressed(self.session, page.id, identifier)
        self._questions(page, arrival.questions)
        return page

    def _revise(
        self,
        page: Page,
        *,
        title: str = "",
        text: str = "",
        aliases: Iterable[str] = (),
        tags: Iterable[str] = (),
    ) -> Outcome:
        """Bring an imported page up to date; a page a person edited only gains names.

        Text that a person took out, and names they took away, stay away. The page of an item of its own
        (an article, an episode) is told anew when its source corrects it. What a source says anew of a
        page that a person edited is proposed.
        """
        before = pages.content_of(self.session, page)
        past = self._past(page)
        own = bool(self.document.hash) and self.item.page_id == page.id
        may_replace = (self.authoritative or own) and not past.edited
        extracted = page.author_kind == AuthorKind.EXTRACT  # gives way to any text of its own
        fill = (not before.body or extracted) and not (past.edited and past.had_text)
        content = Content(
            title=title if title and may_replace else before.title,
            kind=before.kind,
            body=text if text and (may_replace or fill) else before.body,
            aliases=(*before.aliases, *_without(aliases, past.names if past.edited else ())),
            tags=(*before.tags, *_without(tags, past.tags if past.edited else ())),
        )
        changed = pages.revise(
            self.session,
            page,
            content,
            author=_author(page, content),
            now=self.now,
            note=self.document.title,
        )
        if text and past.edited and (self.authoritative or own) and content.body == before.body:
            changed = self._propose(page, text) or changed
        return Outcome.CHANGED if changed else Outcome.SAME

    def _propose(self, page: Page, text: str) -> bool:
        """Propose what the document says anew of a page that a person edited."""
        text = Content(title=page.title, kind=page.kind, body=text).cleaned().body
        return edits.propose_import(
            self.session,
            page,
            text,
            source="" if self.authoritative else self.source.key,
            name=self.document.title or self.source.name,
            now=self.now,
        )

    def _past(self, page: Page) -> _Past:
        assert page.id is not None
        rows = self.session.exec(
            select(Revision).where(Revision.page_id == page.id).order_by(col(Revision.number))
        ).all()
        return _Past(
            edited=any(row.author_kind not in _MACHINE for row in rows),
            had_text=any(row.body for row in rows),
            names=frozenset(name for row in rows for name in (row.title, *row.aliases)),
            tags=frozenset(tag for row in rows for tag in row.tags),
        )

    def _questions(self, page: Page, texts: tuple[str, ...]) -> Outcome:
        assert page.id is not None
        added = texts and questions.add(self.session, page.id, texts, day=self.document.published)
        return Outcome.CHANGED if added else Outcome.SAME

    def _paper(self, arrival: arrived.PaperArrival) -> Outcome:
        identifiers = [found for ref in arrival.refs if (found := parse_id(ref))]
        paper = self._standing_paper(arrival, identifiers)
        if paper is None:
            outcome, paper = Outcome.NEW, self._new_paper(arrival)
        else:
            outcome = self._known_paper(paper, arrival, identifiers)
        assert paper.id is not None
        if papers.add_identifiers(self.session, paper, identifiers):
            outcome = _most(outcome, Outcome.CHANGED)
        if arrival.day:
            outcome = _most(outcome, self._listed(paper, arrival, identifiers))
        fresh = outcome is Outcome.NEW  # nobody can have decided on it
        if paper.page_id is not None or (
            arrival.keep and (fresh or self._may_keep(paper, at=None))
        ):
            outcome = _most(outcome, self._keep(paper, arrival))
        elif arrival.slug and not papers.wanted_slug(paper):
            paper.extra = {**paper.extra, "slug": arrival.slug}
            self.session.add(paper)
        if outcome == Outcome.CHANGED:
            papers.touch(self.session, paper)
        self.stored = paper.id
        return outcome

    def _remember(self, arrival: arrived.PaperArrival, paper_id: int) -> None:
        """A paper that was stored, by the names this document has for it."""
        self.papers.append(paper_id)
        for name in (arrival.title, *arrival.aliases):
            self.local_papers.setdefault(title_key(name), paper_id)
        if arrival.slug:
            self.local_slugs.setdefault(arrival.slug, paper_id)

    def _standing_paper(
        self, arrival: arrived.PaperArrival, identifiers: list[PaperId]
    ) -> Paper | None:
        """The paper an arrival tells of: by identifier, else by its own slug, else by title."""
        if not identifiers and arrival.slug:
            page = pages.by_slug(self.session, arrival.slug)
            if page is not None and page.kind != PageKind.PAPER:
                raise _Refused(
                    f"{page.slug!r} is a {page.kind.value} here, not a paper. Give it another id."
                )
            named = papers.named(self.session, arrival.slug)
            if named is not None:
                return named
        own = self.document.source.kind == SourceKind.LIBRARY
        authors = arrival.authors if own else ()
        return papers.find(self.session, identifiers, arrival.title, authors=authors)

    def _may_keep(self, paper: Paper, *, at: datetime | None) -> bool:
        """Whether a paper may be kept now: one that was decided otherwise only by a later word."""
        if paper.state == PaperState.KEPT:
            return True
        last = decisions.last(self.session, paper_id=paper.id)
        return last is None or (at is not None and at > last.at)

    def _new_paper(self, arrival: arrived.PaperArrival) -> Paper:
        title = " ".join(arrival.title.split())
        if not title:
            raise _Refused("A paper needs a title.")
        paper = Paper(
            state=PaperState.WAITING,
            title=title,
            title_key=title_key(title),
            abstract=arrival.abstract,
            authors=list(arrival.authors),
            venue=arrival.venue,
            published=arrival.published,
            categories=list(arrival.categories),
            references=list(arrival.references),
            code_url=arrival.code_url,
            extra=dict(arrival.extra),
            created_at=self.now,
        )
        self.session.add(paper)
        self.session.flush()
        return paper

    def _known_paper(
        self, paper: Paper, arrival: arrived.PaperArrival, identifiers: list[PaperId]
    ) -> Outcome:
        facts: dict[str, Any] = {
            "abstract": arrival.abstract,
            "authors": list(arrival.authors),
            "venue": arrival.venue,
            "published": arrival.published,
            "categories": list(arrival.categories),
            "references": list(arrival.references),
            "code_url": arrival.code_url,
        }
        age = self._age(paper, identifiers)
        may_replace = age > 0 or (age == 0 and (self.authoritative or self._told_it(paper)))
        if self.document.source.kind == SourceKind.LIBRARY:
            # A library often knows less: the year alone, the first of the authors.
            if paper.published.startswith(arrival.published):
                facts["published"] = ""
            if len(arrival.authors) < len(paper.authors):
                facts["authors"] = []
        extra = dict(arrival.extra)
        if citations.EXTRA in extra:
            extra[citations.EXTRA] = citations.joined(
                paper.extra.get(citations.EXTRA) or {}, extra[citations.EXTRA], newer=may_replace
            )
        outcome = self._fill(paper, facts, extra=extra, may_replace=may_replace)
        title = " ".join(arrival.title.split())
        if title and title != paper.title and may_replace:
            paper.title, paper.title_key = title, title_key(title)
            outcome = Outcome.CHANGED
            page = self.session.get(Page, paper.page_id) if paper.page_id else None
            if page is not None and not self._past(page).edited:
                content = replace(pages.content_of(self.session, page), title=title)
                pages.revise(
                    self.session,
                    page,
                    content,
                    author=_author(page, content),
                    now=self.now,
                    note=self.document.title,
                )
        self.session.add(paper)
        return outcome

    def _told_it(self, paper: Paper) -> bool:
        """Whether this entry of the reader's own library is all that told of the paper: it may correct it."""
        if self.document.source.kind != SourceKind.LIBRARY or self.item.paper_id != paper.id:
            return False
        return papers.told_by(self.session, paper) == self.item.id

    def _age(self, paper: Paper, identifiers: list[PaperId]) -> int:
        """1 for a later version of the paper than any seen before, -1 for an earlier one, else 0."""
        assert paper.id is not None
        seen = {
            (row.scheme, row.value): max(row.versions, default=0)
            for row in papers.identifiers_of(self.session, paper.id)
        }
        for found in identifiers:
            newest = seen.get((found.scheme, found.value), 0)
            if found.version and newest and found.version != newest:
                return 1 if found.version > newest else -1
        return 0

    def _listed(
        self, paper: Paper, arrival: arrived.PaperArrival, identifiers: list[PaperId]
    ) -> Outcome:
        """Note that it stands in that day's listing. What was decided of it on another day stands."""
        assert paper.id is not None
        named = next((found.version for found in identifiers if found.version), None)
        facts: dict[str, Any] = {
            "version": arrival.version or named,
            "announced": arrival.announced,
        }
        standing = self.session.get(ListingPaper, (arrival.day, paper.id))
        if standing is not None:
            return self._fill(standing, facts)
        if self.session.get(Listing, arrival.day) is None:
            self.session.add(Listing(day=arrival.day, month=arrival.day[:7]))
        self.session.add(
            ListingPaper(day=arrival.day, paper_id=paper.id, position=arrival.position, **facts)
        )
        self.session.flush()
        return Outcome.CHANGED

    def _keep(self, paper: Paper, arrival: arrived.PaperArrival) -> Outcome:
        had_page = paper.page_id is not None
        taken = pages.by_slug(self.session, arrival.slug) if arrival.slug else None
        page = papers.give_page(
            self.session,
            paper,
            now=self.now,
            slug=arrival.slug,
            body=arrival.text,
            aliases=arrival.aliases,
            tags=arrival.tags,
        )
        outcome = Outcome.CHANGED
        if arrival.text:
            self._writes(page)
        if had_page:
            outcome = self._revise(
                page, text=arrival.text, aliases=arrival.aliases, tags=arrival.tags
            )
        if arrival.slug and arrival.slug != page.slug and taken is None:
            pages.lead(self.session, page, arrival.slug)
        return _most(outcome, self._questions(page, arrival.questions))

    def _thread(self, arrival: arrived.ThreadArrival) -> Outcome:
        page, outcome = self._page(arrival.page)
        assert page.id is not None
        thread = self.session.get(Thread, page.id)
        if thread is None:
            self.session.add(Thread(page_id=page.id, claim=arrival.claim))
        elif (
            arrival.claim
            and thread.claim != arrival.claim
            and self.authoritative
            and not threads.is_claimed(page)
        ):
            thread.claim = arrival.claim
            self.session.add(thread)
            outcome = _most(outcome, Outcome.CHANGED)
        self.session.flush()
        pages.reindex(self.session, page)
        return outcome

    def _digest(self, arrival: arrived.DigestArrival) -> Outcome:
        page, outcome = self._page(arrival.page)
        assert page.id is not None
        self._belongs(page)
        other = self.session.exec(select(Digest).where(Digest.day == arrival.day)).first()
        if other is not None and other.page_id != page.id:
            raise _Refused(f"There is another digest of {arrival.day} already.")
        facts = {
            "framing": arrival.framing,
            "sections": [
                {"name": s.name, "title": s.title, "items": list(s.items), "text": s.text}
                for s in arrival.sections
            ],
            "ledger": dict(arrival.ledger),
        }
        outcome = _most(outcome, self._facts(Digest, page.id, facts, day=arrival.day))
        return _most(outcome, self._foretold(page.id, arrival))

    def _foretold(self, page_id: int, arrival: arrived.DigestArrival) -> Outcome:
        """What a digest of a day says is to come: under "Worth Watching", and with a date anywhere."""
        made = whole_day(arrival.day)
        if made is None:
            return Outcome.SAME
        watching = [s.text for s in arrival.sections if s.name == SectionName.WATCHING]
        found = watched(entries_of("\n".join(watching)), made)
        for section in arrival.sections:
            found += stated(section.text, made)
        outcome = Outcome.SAME
        for each in found:
            new = predictions.note(
                self.session,
                page_id,
                each.text,
                due=each.due,
                made=arrival.day,
                origin=Origin.IMPORT,
                now=self.now,
            )
            outcome = _most(outcome, Outcome.CHANGED if new else Outcome.SAME)
        return outcome

    def _episode(self, arrival: arrived.EpisodeArrival) -> Outcome:
        page, outcome = self._page(arrival.page)
        assert page.id is not None
        assert self.source.id is not None
        self._belongs(page)
        facts = {
            "published": arrival.published,
            "minutes": arrival.minutes,
            "ai_generated": arrival.ai_generated,
            "takeaways": list(arrival.takeaways),
            "chapters": [asdict(chapter) for chapter in arrival.chapters],
        }
        return _most(outcome, self._facts(Episode, page.id, facts, source_id=self.source.id))

    def _belongs(self, page: Page) -> None:
        """The first page that stands for a whole item is where the item leads to."""
        if self.item.page_id is None:
            self.item.page_id = page.id
            self.session.add(self.item)

    def _listing(self, arrival: arrived.ListingArrival) -> Outcome:
        facts = {k: v for k, v in asdict(arrival).items() if k != "day"}
        standing = self.session.get(Listing, arrival.day)
        if standing is None:
            self.session.add(Listing(day=arrival.day, item_id=self.item.id, **facts))
            return Outcome.NEW
        return self._fill(standing, {**facts, "item_id": self.item.id}, may_replace=True)

    # ------------------------------------------------------------ what joins things

    def _find_paper(self, ref: str) -> Paper | None:
        """The paper a reference means, by this document's own names first."""
        scheme, _, rest = ref.partition(":")
        if scheme == "title":
            key = title_key(rest)
            local = self.local_papers.get(key)
            known = self.session.get(Paper, local) if local is not None else None
            return known or papers.find(self.session, [], rest)
        identifier = parse_id(ref)
        if identifier is not None:
            return papers.by_id(self.session, identifier)
        local = self.local_slugs.get(ref)
        known = self.session.get(Paper, local) if local is not None else None
        return known or papers.named(self.session, ref)

    def _known(self, ref: str) -> Paper:
        paper = self._find_paper(ref)
        if paper is None:
            raise _Refused(f"No paper {ref!r} is here or in this file.")
        return paper

    def _page_id(self, ref: str, arrival: arrived.LinkArrival) -> int:
        """The page a reference means; an accepted link gives a paper that still waits its page."""
        identifier = parse_id(ref)
        if identifier is not None and (owner := self._identified(identifier)):
            return owner
        if identifier is None and not ref.startswith("title:"):
            found = pages.named(self.session, ref)
            if found is not None and ref not in self.local_slugs:
                return found.id
            if self._find_paper(ref) is None:
                raise _Refused(f"There is no page {ref!r} here or in this file.")
        paper = self._known(ref)
        if paper.page_id is not None:
            return paper.page_id
        if arrival.status != LinkStatus.ACCEPTED:
            raise _Refused(f"{ref} is not kept, so nothing is linked to it.")
        if not self._may_keep(paper, at=_time(arrival.at)):
            raise _Refused(f"{ref} was decided otherwise ({paper.state.value}): keep it first.")
        page = papers.give_page(self.session, paper, now=self.now)
        assert page.id is not None
        return page.id

    def _link(self, arrival: arrived.LinkArrival) -> Outcome:
        if self._is_said(arrival):
            return self._said(arrival)
        source_id = self._page_id(arrival.source, arrival)
        target_id = self._page_id(arrival.target, arrival)
        if source_id == target_id:
            raise _Refused("A page cannot be linked to itself.")
        link = links.between(self.session, source_id, target_id, arrival.relation)
        if link is None:
            link = links.add(self.session, self._new_link(arrival, source_id, target_id))
            if link.status == LinkStatus.REJECTED:
                links.reject(self.session, link, at=link.decided_at or self.now)
            return Outcome.NEW
        return self._known_link(link, arrival)

    def _said(self, arrival: arrived.LinkArrival) -> Outcome:
        """An episode or article covers or recommends something, which may have no page yet."""
        source_id = self._page_id(arrival.source, arrival)
        identifier = parse_id(arrival.target)
        paper = self._find_paper(arrival.target)
        target_id = paper.page_id if paper is not None else None
        if target_id is None and paper is None:
            if identifier is not None:
                target_id = self._identified(identifier)
            elif (found := pages.named(self.session, arrival.target)) is not None:
                target_id = found.id
        at = _time(arrival.at) or self.now
        facts = {
            "note": arrival.note,
            "day": arrival.day or self.document.published[:10],
            "reason": arrival.reason,
        }
        if target_id is not None:
            new = joining.link(self.session, source_id, arrival.relation, target_id, at=at, **facts)
        elif paper is not None or identifier is not None:
            new = joining.say(
                self.session,
                source_id,
                arrival.relation,
                paper=paper,
                identifier=identifier,
                at=at,
                **facts,
            )
        else:
            raise _Refused(
                f"There is nothing called {arrival.target[:100]!r} here or in this file."
            )
        outcome = Outcome.NEW if new else Outcome.SAME
        if paper is not None or (identifier is not None and identifier.scheme in _SCHEMES):
            outcome = _most(outcome, self._spoken_of(arrival, paper, identifier))
        return outcome

    def _spoken_of(
        self, arrival: arrived.LinkArrival, paper: Paper | None, identifier: PaperId | None
    ) -> Outcome:
        """What covers or recommends a paper mentions it, be it in these words alone."""
        if paper is not None:
            own = select(Mention.id).where(
                Mention.item_id == self.item.id, Mention.paper_id == paper.id
            )
        else:
            assert identifier is not None
            own = select(LooseMention.id).where(
                LooseMention.item_id == self.item.id,
                LooseMention.scheme == identifier.scheme,
                LooseMention.value == identifier.value,
            )
        if self.session.exec(own).first() is not None:
            return Outcome.SAME
        mention = arrived.MentionArrival(
            paper=arrival.target,
            section=_SECTIONS.get(arrival.relation, ""),
            day=arrival.day or self.document.published[:10],
            text=arrival.note,
        )
        return self._mention(mention) or Outcome.SAME

    def _new_link(self, arrival: arrived.LinkArrival, source_id: int, target_id: int) -> Link:
        at = _time(arrival.at)
        decided = arrival.status != LinkStatus.PROPOSED
        return Link(
            source_id=source_id,
            target_id=target_id,
            relation=arrival.relation,
            role=arrival.role,
            note=arrival.note,
            day=arrival.day,
            status=arrival.status,
            origin=Origin.IMPORT,
            confidence=_confidence(arrival),
            reason=arrival.reason,
            evidence=self._evidence(arrival),
            extra=_without_own(arrival.extra),
            created_at=at or self.now,
            decided_at=(at or self.now) if decided else None,
        )

    def _evidence(self, arrival: arrived.LinkArrival) -> list[dict[str, Any]]:
        return [
            {
                "quotation": quotation.quote,
                "where": quotation.where or self.document.title,
                "verbatim": False,
                "spans": [],
            }
            for quotation in arrival.evidence
        ]

    def _known_link(self, link: Link, arrival: arrived.LinkArrival) -> Outcome:
        outcome = Outcome.SAME
        if link.status != arrival.status and self._may_decide(link, arrival):
            self._decide_link(link, arrival)
            outcome = Outcome.CHANGED
        facts = {"note": arrival.note, "day": arrival.day, "role": arrival.role}
        if not link.evidence and arrival.evidence:
            facts["evidence"] = self._evidence(arrival)  # type: ignore[assignment]
        may_replace = self.authoritative and not self._is_by_hand(link, facts, arrival)
        extra = _without_own(arrival.extra)
        return _most(outcome, self._fill(link, facts, extra=extra, may_replace=may_replace))

    def _is_by_hand(
        self, link: Link, facts: Mapping[str, Any], arrival: arrived.LinkArrival
    ) -> bool:
        """Whether a person said what stands on a link, and the document does not say it was later."""
        if all(not value or value == getattr(link, name) for name, value in facts.items()):
            return False
        said = decisions.last(self.session, link_id=link.id, who="person")
        at = _time(arrival.at)
        return said is not None and links.MEMBER in said.before and (at is None or at <= said.at)

    def _may_decide(self, link: Link, arrival: arrived.LinkArrival) -> bool:
        if link.origin == Origin.AUTHOR or arrival.status == LinkStatus.PROPOSED:
            return False
        at = _time(arrival.at)
        said = decisions.last(self.session, link_id=link.id, who="person")
        if said is not None:
            return at is not None and at > said.at
        return at is None or link.decided_at is None or at > link.decided_at

    def _decide_link(self, link: Link, arrival: arrived.LinkArrival) -> None:
        at = _time(arrival.at) or self.now
        self.session.add(
            Decision(
                at=at,
                who="import",
                verdict=_LINK_VERDICT[arrival.status],
                link_id=link.id,
                reason=arrival.reason or self.document.title,
                before=links.as_it_stands(link),
                batch=uuid4().hex,
            )
        )
        if arrival.status == LinkStatus.REJECTED:
            links.reject(self.session, link, at=at)
        else:
            link.status, link.decided_at = arrival.status, at
            self.session.add(link)

    def _decision(self, arrival: arrived.DecisionArrival) -> Outcome:
        paper = self._known(arrival.paper)
        state = _STATE[arrival.verdict]
        if paper.state == state:
            return Outcome.SAME
        at = _time(arrival.at)
        said = decisions.last(self.session, paper_id=paper.id)
        if said is not None and (at is None or at <= said.at):
            return Outcome.SAME
        before = {"state": paper.state.value, "page": paper.page_id}
        if state == PaperState.KEPT:
            papers.give_page(self.session, paper, now=self.now)
        elif paper.page_id is not None:
            page = self.session.get_one(Page, paper.page_id)
            if not papers.is_untouched(self.session, page):
                raise _Refused(
                    f"The page of {arrival.paper} has been worked on, so it is not dropped."
                )
            removal.remove(
                self.session, page, now=self.now, who="import", reason=self.document.title
            )
        paper.state = state
        self.session.add(paper)
        self.session.add(
            Decision(
                at=at or self.now,
                who="import",
                verdict=arrival.verdict,
                paper_id=paper.id,
                reason=arrival.reason,
                before=before,
                batch=uuid4().hex,
            )
        )
        return Outcome.NEW

    def _noted_at(self, ref: str) -> int:
        """The page that a question or a prediction belongs to."""
        identifier = parse_id(ref)
        found = self._identified(identifier) if identifier else None
        if found is None and identifier is None and ref not in self.local_slugs:
            row = pages.named(self.session, ref)
            found = row.id if row is not None else None
        if found is None and (paper := self._find_paper(ref)) is not None:
            if paper.page_id is None:
                raise _Refused(f"{ref} is not kept: keep it first, and import this again.")
            found = paper.page_id
        if found is None:
            raise _Refused(f"There is no page {ref!r} here or in this file.")
        return found

    def _question(self, arrival: arrived.QuestionArrival) -> Outcome:
        page_id = self._noted_at(arrival.page)
        day = arrival.day or self.document.published
        new = questions.add(self.session, page_id, [arrival.text], day=day)
        standing = questions.called(self.session, page_id, arrival.text)
        said = arrival.state or QuestionState.OPEN
        if standing is None or said in (QuestionState.OPEN, standing.state):
            return Outcome.NEW if new else Outcome.SAME
        if not new and standing.state != QuestionState.OPEN:
            return Outcome.SAME  # the reader's word stands
        standing.state = said
        self.session.add(standing)
        return Outcome.NEW if new else Outcome.CHANGED

    def _prediction(self, arrival: arrived.PredictionArrival) -> Outcome:
        page_id = self._noted_at(arrival.page)
        made = arrival.made or self.document.published or self.now.date().isoformat()
        day = whole_day(made) or self.now.date()
        due = given_due(arrival.due, day) if arrival.due else ""
        if arrival.due and not due:
            raise _Refused(
                f"The due date {arrival.due[:40]!r} is none: write YYYY-MM-DD, YYYY-MM or YYYY."
            )
        if due and (last := deadline(due)) is not None and last < day:
            raise _Refused(f"It is due on {due}, before the day it was made, {day.isoformat()}.")
        text = " ".join(arrival.text.split())
        new = predictions.note(
            self.session,
            page_id,
            text,
            due=due,
            made=day.isoformat(),
            probability=arrival.probability,
            origin=Origin.IMPORT,
            now=self.now,
            extra=arrival.extra,
        )
        row = predictions.keyed(self.session, page_id, title_key(text))
        assert row is not None
        outcome = (
            Outcome.NEW
            if new
            else self._fill(row, {"due": due, "probability": arrival.probability})
        )
        untouched = row.state == PredictionState.OPEN and "judgements" not in row.extra
        if arrival.state != PredictionState.OPEN and untouched:
            row.state, row.resolution = arrival.state, arrival.resolution
            row.resolved = arrival.resolved or self.now.date().isoformat()
            self.session.add(row)
            outcome = _most(outcome, Outcome.CHANGED)
        return outcome

    def _mention(self, arrival: arrived.MentionArrival) -> Outcome | None:
        """What is said of a paper; of one that the wiki has not met it waits for its coming.

        None where an entry names a paper by a title that nobody knows here: it may be no paper.
        """
        paper = self._find_paper(arrival.paper)
        if arrival.stance is None and self.source.kind in joining.SPEAKING:
            names = (arrival.paper.partition(":")[2], paper.title if paper is not None else "")
            arrival = replace(arrival, stance=stance_of(arrival.text, names))
        if paper is None:
            identifier = parse_id(arrival.paper)
            if identifier is not None and identifier.scheme in _SCHEMES:
                return self._loose(arrival, identifier)
            if self.document.hash and arrival.paper.startswith("title:"):
                return None
            raise _Refused(f"No paper {arrival.paper!r} is here or in this file.")
        standing = self.session.exec(
            select(Mention).where(
                Mention.item_id == self.item.id,
                Mention.paper_id == paper.id,
                Mention.section == arrival.section,
            )
        ).first()
        facts = {k: v for k, v in asdict(arrival).items() if k not in ("paper", "section")}
        assert self.item.id is not None
        assert paper.id is not None
        self.mentioned[paper.id] = paper
        if standing is None:
            self.session.add(
                Mention(item_id=self.item.id, paper_id=paper.id, section=arrival.section, **facts)
            )
            return Outcome.NEW
        return self._fill(standing, facts, may_replace=True)

    def _loose(self, arrival: arrived.MentionArrival, identifier: PaperId) -> Outcome:
        assert self.item.id is not None
        facts = {name: getattr(arrival, name) for name in _WAITING_FACTS}
        standing = joining.loose_mention(self.session, self.item.id, identifier, arrival.section)
        if standing is not None:
            return self._fill(standing, facts, may_replace=True)
        self.session.add(
            LooseMention(
                item_id=self.item.id,
                scheme=identifier.scheme,
                value=identifier.value,
                section=arrival.section,
                **facts,
            )
        )
        self.session.flush()
        return Outcome.NEW

    def _assessment(self, arrival: arrived.AssessmentArrival) -> Outcome:
        paper = self._known(arrival.paper)
        assert paper.id is not None
        known = set(self.session.exec(select(Topic.id)))
        topics = [topic for topic in dict.fromkeys(arrival.topics) if topic in known]
        standing = self.session.exec(
            select(Assessment).where(
                Assessment.paper_id == paper.id,
                Assessment.scorer == arrival.scorer,
                Assessment.day == arrival.day,
            )
        ).first()
        facts: dict[str, Any] = {
            "relevance": arrival.relevance,
            "novelty": arrival.novelty,
            "topic_id": topics[0] if topics else None,
            "comment": arrival.comment,
            "topic_comment": arrival.topic_comment,
            "tags": list(arrival.tags),
        }
        if standing is None:
            outcome = Outcome.NEW
            standing = Assessment(
                paper_id=paper.id, day=arrival.day, scorer=arrival.scorer, at=self.now, **facts
            )
            self.session.add(standing)
            self.session.flush()
        else:
            outcome = self._fill(standing, facts, may_replace=True)
        return _most(outcome, self._matched(standing, topics))

    def _matched(self, assessment: Assessment, topics: Collection[str]) -> Outcome:
        """Note all topics an assessment matches, in place of those noted before."""
        assert assessment.id is not None
        standing = self.session.exec(
            select(AssessmentTopic).where(AssessmentTopic.assessment_id == assessment.id)
        ).all()
        if not topics or {row.topic_id for row in standing} == set(topics):
            return Outcome.SAME
        for row in standing:
            if row.topic_id not in topics:
                self.session.delete(row)
        for topic in set(topics) - {row.topic_id for row in standing}:
            self.session.add(AssessmentTopic(assessment_id=assessment.id, topic_id=topic))
        self.session.flush()
        return Outcome.CHANGED

    # ------------------------------------------------------------ comparing with what stands

    def _facts(self, table: Any, page_id: int, facts: Mapping[str, Any], **fixed: Any) -> Outcome:
        standing = self.session.get(table, page_id)
        if standing is None:
            self.session.add(table(page_id=page_id, **facts, **fixed))
            self.session.flush()
            return Outcome.CHANGED
        return self._fill(standing, facts, may_replace=True)

    def _fill(
        self,
        row: Any,
        facts: Mapping[str, Any],
        *,
        extra: Mapping[str, Any] | None = None,
        may_replace: bool | None = None,
    ) -> Outcome:
        """Set what is known now; a fact that stands is replaced only where the document may.

        Unless told, a file in which a person states facts may.
        """
        replacing = self.authoritative if may_replace is None else may_replace
        outcome = Outcome.SAME
        for name, value in facts.items():
            standing = getattr(row, name)
            empty = standing in (None, "", [], {})
            if value in (None, "", [], {}) or value == standing:
                continue
            if empty or replacing:
                setattr(row, name, value)
                outcome = Outcome.CHANGED
        if extra and (merged := {**row.extra, **extra}) != row.extra:
            row.extra = merged
            outcome = Outcome.CHANGED
        self.session.add(row)
        return outcome


def _author(page: Page, content: Content) -> Author:
    """Who a change of an import is by: an extracted text that it leaves as it is stays extracted."""
    if page.author_kind == AuthorKind.EXTRACT and content.body == page.body:
        return Author(AuthorKind.EXTRACT, page.author)
    return IMPORT


def _most(*outcomes: Outcome) -> Outcome:
    for outcome in (Outcome.NEW, Outcome.CHANGED):
        if outcome in outcomes:
            return outcome
    return Outcome.SAME


def _without(names: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """The names that are none of those, whatever their case."""
    gone = {name_key(name) for name in known}
    return tuple(name for name in names if name_key(name.lstrip("#")) not in gone)


def _without_own(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What an import says of a link, but for what the wiki notes there itself."""
    return {key: value for key, value in extra.items() if key not in links.OWN}


def _confidence(arrival: arrived.LinkArrival) -> float:
    """As stated; else sure of what was decided, and undecided of what was not."""
    if arrival.confidence is not None:
        return arrival.confidence
    return 0.5 if arrival.status == LinkStatus.PROPOSED else 1.0


def _time(text: str) -> datetime | None:
    """An ISO date or time; one without a zone counts as UTC. None for anything else."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _title(arrival: arrived.Arrival) -> str:
    """What a page or paper is called; "" for whatever is none."""
    match arrival:
        case arrived.PageArrival() | arrived.PaperArrival():
            return arrival.title
        case arrived.ThreadArrival() | arrived.DigestArrival() | arrived.EpisodeArrival():
            return arrival.page.title
    return ""


def _label(arrival: arrived.Arrival) -> str:
    match arrival:
        case arrived.LinkArrival():
            return f"{arrival.source} {arrival.relation.value} {arrival.target}"
        case arrived.PaperArrival():
            return arrival.refs[0] if arrival.refs else arrival.title
        case arrived.PageArrival():
            return arrival.ref or arrival.title
        case arrived.ThreadArrival() | arrived.DigestArrival() | arrived.EpisodeArrival():
            return arrival.page.ref or arrival.page.title
        case arrived.TopicArrival():
            return arrival.id
        case arrived.ListingArrival():
            return arrival.day
        case arrived.SubscriptionArrival():
            return arrival.url
        case arrived.QuestionArrival() | arrived.PredictionArrival():
            return f"of {arrival.page}: {arrival.text[:60]}"
        case arrived.Unread():
            return arrival.type
        case _:
            return arrival.paper


def import_files(
    session: Session,
    files: Iterable[File],
    readers: Sequence[Reader],
    *,
    format: str | None = None,
    raw_folder: Path | None,
    now: datetime,
    progress: Callable[[], None] = lambda: None,
) -> list[tuple[str, Report | CerebroError]]:
    """Read saved files by their content (or as `format`) and store what they say.

    For each file its name with a report, or with the reason why nothing in it could be read. Links
    hold whatever the order of files and lines. Bytes are kept under `raw_folder` before the row
    that names them; None keeps none. `progress` is called once an arrival.
    """
    results: list[tuple[str, Report | CerebroError]] = []
    begun: list[_Ingest] = []
    written: dict[int, str] = {}
    for file in files:
        try:
            plain = unpacked(file)
            read = reader_for(plain, readers, format=format).read(plain)
            if raw_folder is None:
                digest, size = sha256(file.data).hexdigest(), None
            else:
                digest, size = items.keep_raw(raw_folder, file.data), len(file.data)
        except Unreadable as error:
            results.append((file.name, error))
            continue
        source = items.source(session, read.source, now=now)
        report = Report()
        for each in _documents(read):
            if isinstance(each, arrived.Rejected):
                report.rejected.append(each)
                continue
            one = _Ingest(
                session,
                each,
                source=source,
                report=report,
                now=now,
                name=file.name,
                written=written,
            )
            one.things(digest, size, progress)
            begun.append(one)
        results.append((file.name, report))
    _join(session, begun, progress)
    return results


def store_delivery(
    session: Session,
    read: arrived.Document | arrived.Bundle,
    source: Source,
    *,
    raw_sha256: str,
    size: int,
    now: datetime,
    progress: Callable[[], None] = lambda: None,
) -> Report:
    """Store what a reader made of bytes that a fetch of `source` brought, which are kept already.

    An entry that came before, and says now what it said then, is not looked at again.
    """
    report = Report()
    begun: list[_Ingest] = []
    for each in _documents(read):
        if isinstance(each, arrived.Rejected):
            report.rejected.append(each)
            continue
        one = _Ingest(session, each, source=source, report=report, now=now)
        if one.stands():
            report.counts["item", Outcome.SAME] += 1
            continue
        one.things(raw_sha256, size, progress)
        begun.append(one)
    _join(session, begun, progress)
    return report


def _join(session: Session, begun: Sequence[_Ingest], progress: Callable[[], None]) -> None:
    for one in begun:
        one.joins(progress)
    met = {paper_id for one in begun for paper_id in (*one.papers, *one.mentioned)}
    assessments.tier_anew(session, met)
    if any(one.report.total(Outcome.NEW) or one.report.total(Outcome.CHANGED) for one in begun):
        bump(session)


def _documents(
    read: arrived.Document | arrived.Bundle,
) -> Iterable[arrived.Document | arrived.Rejected]:
    return read.documents if isinstance(read, arrived.Bundle) else (read,)
