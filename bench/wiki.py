"""Made-up wikis of any size, written straight into the tables and kept for the next run.

A wiki of N pages has the figures of real papers and lists (bench/text.json: word frequencies,
lengths, concepts a paper, papers a concept, links a page, papers a day) and a language of its own
(bench/language.py). Chosen rather than measured are the shares of kinds and decisions, below.
Vectors are unit rows in one cluster a fifty pages, two of a cluster at a cosine of about 0.6;
encoding a hundred thousand texts would take hours.

It is whole: every table the program reads is filled, and nothing waits for the worker. The same
size and seed give the same wiki on both engines.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Engine
from sqlmodel import Session, col

from app.domain import records
from app.domain.identifiers import slugify, title_key
from app.domain.linking import SignalKind
from app.domain.markdown import link_keys, name_key, plain_text, wikilinks
from app.domain.records import Done, Listing, PageText, Paper, Question
from app.embeddings.sentence import DEFAULT_MODEL, available, model_id
from app.services import concepts as duplicates
from app.services import digest as telling
from app.services import membership, new_threads, relations
from app.services.encoding import text_of
from app.store import paper_vectors, search, terms, vectors
from app.store.bearing import QUESTIONS
from app.store.db import settle, writing
from bench.language import Integers, Language, punctuate
from bench.rows import Rows, Target, filling

NEWEST = date(2026, 5, 8)  # the last day of every wiki; servers of a measurement stand on it
NOW = datetime(2026, 5, 8, 18, 0, tzinfo=UTC)
DIM = 384
COSINE = 0.6  # of two vectors of one cluster
CLUSTER = 50  # pages
CHUNK = 5_000  # papers that are in memory at a time
LONGEST_SPAN = 3_650  # days over which papers came in
SEED = 7

# Chosen: what of a wiki is neither paper nor concept, and what was decided.
THREADS, NOTES, ARTICLES, EPISODES, DIGESTS = 1 / 400, 1 / 200, 1 / 200, 1 / 1_000, 1 / 500
WAITING, DEFERRED, DROPPED = 0.02, 0.002, 0.05  # papers without a page, as shares of the pages
LISTED = 0.6  # of the papers came by a listing and were judged
IN_THREADS = 0.15  # of the papers are part of a thread
UNLINKED = 0.05  # of the papers have proposals alone
REJECTED = 0.03
WITH_BODY = 0.05  # of the papers have a text of their own beside the abstract
NAMED = 0.7  # of the papers name their concept in the abstract
TOPICAL = 0.12  # of the words of an abstract are the concept's own
TOPIC_WORDS = 40


@dataclass(frozen=True)
class Counts:
    """How many pages of each kind make up a wiki of `pages`."""

    pages: int
    concepts: int
    papers: int
    threads: int
    notes: int
    articles: int
    episodes: int
    digests: int

    @classmethod
    def of(cls, pages: int, papers_a_concept: float, concepts: int = 0) -> Counts:
        """So many concepts, or as many as real lists have for their papers."""
        others = [
            max(1, round(pages * share)) for share in (THREADS, NOTES, ARTICLES, EPISODES, DIGESTS)
        ]
        threads, notes, articles, episodes, digests = others
        concepts = concepts or max(5, round((pages - sum(others)) / (papers_a_concept + 1)))
        papers = pages - sum(others) - concepts
        return cls(pages, concepts, papers, threads, notes, articles, episodes, digests)


def vector_model() -> str:
    """The name vectors carry: that of the program's encoder, so that it takes them for its own."""
    return model_id(DEFAULT_MODEL) if available(DEFAULT_MODEL) else "synthetic"


def build(
    engine: Engine,
    pages: int,
    *,
    concepts: int = 0,
    seed: int = SEED,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Fill an empty wiki with today's schema."""
    begun = time.process_time()
    with filling(engine) as target:
        builder = _Builder(target, pages, seed, concepts)
        for what in builder.steps():
            say(f"{time.process_time() - begun:7.1f} CPU s  {what}")
    with writing(engine) as session:
        search.fill(session, batch=2_000)
    say(f"{time.process_time() - begun:7.1f} CPU s  the word index")
    with writing(engine) as session:
        vectors.restore(session)
        _note_read(session)
    vectors.upkeep(engine)
    settle(engine)
    say(f"{time.process_time() - begun:7.1f} CPU s  {pages:,} pages")


def _note_read(session: Session) -> None:
    """That each kept paper was read for what it says of others and with others, and for threads."""
    kept = sa.select(col(PageText.page_id), col(PageText.hash)).join(
        Paper, col(Paper.page_id) == col(PageText.page_id)
    )
    seen = kept.subquery()
    compared = membership.state(session)
    for step, state in (
        (relations.STEP, seen.c.hash),
        (membership.STEP, seen.c.hash + f":{compared}"),
        (new_threads.STEP, seen.c.hash),
        (QUESTIONS.step, seen.c.hash),
    ):
        _note(session, sa.select(sa.literal(step), seen.c.page_id, state))
    _note(session, sa.select(sa.literal(QUESTIONS.news), col(Question.id), col(Question.text)))
    # And that its days were told: of the newest no worker is to make pages while it is measured.
    day = sa.cast(sa.func.replace(col(Listing.day), "-", ""), sa.Integer)
    _note(session, sa.select(sa.literal(telling.STEP), day, sa.literal("")))


def _note(session: Session, rows: Any) -> None:
    session.connection().execute(sa.insert(Done).from_select(["step", "subject_id", "seen"], rows))


# ---------------------------------------------------------------- vectors


class Vectors:
    """Unit rows in clusters."""

    def __init__(self, clusters: int, seed: int) -> None:
        self._chance = np.random.default_rng(seed)
        self.centres = _unit(self._chance.standard_normal((clusters, DIM), np.float32))

    def rows(self, clusters: Integers) -> NDArray[np.float32]:
        """A vector for each of these cluster numbers, (len(clusters), DIM) float32."""
        around = _unit(self._chance.standard_normal((len(clusters), DIM), np.float32))
        centres = self.centres[clusters % len(self.centres)]
        return _unit(
            np.sqrt(np.float32(COSINE)) * centres + np.sqrt(np.float32(1 - COSINE)) * around
        )


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


# ---------------------------------------------------------------- the wiki


@dataclass(eq=False)
class _Concept:
    """What papers and texts need to know of a concept."""

    id: int
    name: str
    title: str
    slug: str
    words: Integers
    papers: list[tuple[int, str, str]] = field(default_factory=list)  # the newest: id, slug, title


@dataclass(frozen=True)
class _Works:
    """Every paper there is, oldest first, kept or not: the day it came in and what became of it."""

    day: Integers  # days before NEWEST
    state: NDArray[np.str_]
    serial: Integers  # number in its month
    listed: NDArray[np.bool_]


@dataclass(frozen=True)
class _Draw:
    """What was drawn for one paper, before rows are made of it."""

    number: int
    concepts: tuple[_Concept, ...]
    title: str
    abstract: str


class _Builder:
    def __init__(self, target: Target, pages: int, seed: int, concepts: int) -> None:
        self.target = target
        self.chance = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.language = Language(pages * 200, seed=seed)
        self.figures = self.language.figures
        self.counts = Counts.of(pages, self.figures["papers_a_concept"], concepts)
        self.vectors = Vectors(max(1, pages // CLUSTER), seed)
        self.model = vector_model()
        self.rows = {
            model.__name__: Rows(model, more=target.more(model))
            for model in (
                records.Topic, records.Source, records.Page, records.PageText, records.Revision,
                records.Alias, records.PageTag, records.RedLink, records.Paper, records.Identifier,
                records.Item, records.Listing, records.ListingPaper, records.Assessment,
                records.AssessmentTopic, records.Mention, records.Thread, records.Question,
                records.Digest, records.Episode, records.Link, records.Decision, records.Done,
                records.EmbeddingModel, records.Vector, records.PaperVector, records.Generation,
            )
        }  # fmt: skip
        self.slugs: set[int] = set()  # hashes: a million addresses as text would take 150 MB
        self.ids = dict.fromkeys(self.rows, 0)
        self.waiting_vectors: list[tuple[int, str, int]] = []
        self.pageless: list[tuple[int, str, int]] = []  # papers that wait for a vector likewise
        self.concepts: list[_Concept] = []
        self.by_key: dict[str, int] = {}
        self.topics = [f"topic-{self._words(1)}-{number}" for number in range(12)]
        self.tags = [self._words(1) for _ in range(40)]
        self.told: dict[int, list[tuple[int, int, str, str]]] = {}  # papers of the digests' days
        self._times: dict[tuple[int, int], object] = {}
        self._surnames = self.language.words[300:]

    def steps(self) -> Iterator[str]:
        """Writes the wiki; yields what was written, step by step."""
        self._frame()
        self._concepts()
        self._threads()
        yield f"{len(self.concepts):,} concepts"
        for start in range(0, len(self.works.day), CHUNK):
            self._papers(start, min(start + CHUNK, len(self.works.day)))
            self._flush()
            if start % (20 * CHUNK) == 0:
                yield f"{self.rows['Paper'].count:,} papers"
        self._digests()
        self._notes()
        self._flush()
        self._counters()
        self._flush()
        yield ", ".join(f"{name} {rows.count:,}" for name, rows in self.rows.items())

    def _flush(self) -> None:
        self._write_vectors()
        for rows in self.rows.values():
            rows.flush(self.target)

    def _id(self, name: str) -> int:
        self.ids[name] += 1
        return self.ids[name]

    def _time(self, days: int, hour: int = 9) -> object:
        """So many days before the newest one, as the database takes it."""
        if (days, hour) not in self._times:
            at = NOW.replace(hour=hour, minute=days % 60) - timedelta(days=days)
            self._times[days, hour] = self.target.time(at)
        return self._times[days, hour]

    def _words(self, count: int) -> str:
        """Words that say something, one of the middle of the vocabulary each."""
        return " ".join(
            self.language.words[int(200 * (100 ** self.chance.random()))
                                % len(self.language.words)] for _ in range(count)
        )  # fmt: skip

    # ------------------------------------------------------------ what came in, and when

    @cached_property
    def works(self) -> _Works:
        pages = self.counts.pages
        apart = {
            "waiting": max(3, round(pages * WAITING)),
            "deferred": max(1, round(pages * DEFERRED)),
            "dropped": max(1, round(pages * DROPPED)),
        }
        total = self.counts.papers + sum(apart.values())
        span = min(LONGEST_SPAN, max(1, round(total / self.figures["papers_a_day"])))
        day = span - 1 - np.arange(total) * span // total
        state = np.full(total, "kept", dtype="<U8")
        recent = self.numbers.permutation(min(total, 3 * (apart["waiting"] + apart["deferred"])))
        new = total - 1 - recent[: apart["waiting"] + apart["deferred"]]
        state[new[: apart["waiting"]]] = "waiting"
        state[new[apart["waiting"] :]] = "deferred"
        kept = np.flatnonzero(state == "kept")
        state[self.numbers.permutation(kept)[: apart["dropped"]]] = "dropped"
        listed = (state != "kept") | (self.numbers.random(total) < LISTED)
        months = np.array(
            [(NEWEST - timedelta(days=int(d))).toordinal() for d in range(span)], dtype=np.int64
        )
        month_of_day = np.array(
            [date.fromordinal(int(o)).year * 12 + date.fromordinal(int(o)).month for o in months]
        )
        month = month_of_day[day]
        serial = np.arange(total) - np.searchsorted(month, month)
        return _Works(day, state, serial, listed)

    def _frame(self) -> None:
        """Topics, sources, and the listing of each day."""
        for place, topic in enumerate(self.topics):
            self.rows["Topic"].add(
                id=topic, name=self._words(2).capitalize(), keep=self.language.prose(20),
                filter=self.language.prose(12), tier=1 + place % 3, position=place,
            )  # fmt: skip
        for key, kind in (("listing", "listing"), ("digest", "digest"), ("podcast", "podcast")):
            self.rows["Source"].add(
                id=self._id("Source"), key=f"bench:{key}", kind=kind, name=f"A {key}",
                created_at=self._time(0),
            )  # fmt: skip
        works = self.works
        days = int(works.day.max()) + 1
        kept = np.bincount(works.day[(works.state == "kept") & works.listed], minlength=days)
        for days_ago in range(days - 1, -1, -1):
            day = (NEWEST - timedelta(days=days_ago)).isoformat()
            self._item("listing", 1, day, days_ago)
            self.rows["Listing"].add(
                day=day, item_id=self.ids["Item"], fetched=900, scanned=600, month=day[:7],
                kept=int(kept[days_ago]), model="a scorer", prompt_tokens=400_000,
                completion_tokens=30_000, prompt_cost_usd=0.4, completion_cost_usd=0.1,
            )  # fmt: skip

    def _item(
        self, format: str, source: int, day: str, days_ago: int, page: int | None = None
    ) -> int:
        number = self._id("Item")
        self.rows["Item"].add(
            id=number, source_id=source, key=f"{format} {day} {number}", format=format,
            title=f"The {format} of {day}", published=day, received_at=self._time(days_ago),
            hash=f"{number:064x}", page_id=page,
        )  # fmt: skip
        return number

    # ------------------------------------------------------------ pages

    def _slug(self, title: str) -> str:
        slug = base = slugify(title)
        number = 2
        while hash(slug) in self.slugs:
            slug, number = f"{base}-{number}", number + 1
        self.slugs.add(hash(slug))
        return slug

    def _page(
        self,
        page_id: int,
        kind: str,
        title: str,
        slug: str,
        days_ago: int,
        *,
        body: str = "",
        aliases: tuple[str, ...] = (),
        tags: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
        first: str = "",
        cluster: int = 0,
        versions: int = 1,
    ) -> str:
        """A page with all that follows from it; the hash of its text. `first` is what stands in its
        searchable text before the body."""
        created, updated = self._time(days_ago), self._time(max(0, days_ago - versions + 1), 11)
        author = "import" if versions == 1 else "person"
        self.rows["Page"].add(
            id=page_id, slug=slug, kind=kind, title=title, title_key=name_key(title),
            version=versions, author_kind=author, author="" if versions == 1 else "you",
            created_at=created, updated_at=updated, body=body,
        )  # fmt: skip
        for number in range(1, versions + 1):
            self.rows["Revision"].add(
                id=self._id("Revision"), page_id=page_id, number=number, title=title, kind=kind,
                body=body if number == versions else "", aliases=json.dumps(aliases),
                tags=json.dumps(tags), author_kind="import" if number == 1 else "person",
                author="" if number == 1 else "you", at=created if number == 1 else updated,
            )  # fmt: skip
        for alias in aliases:
            self.rows["Alias"].add(
                id=self._id("Alias"), page_id=page_id, name=alias, key=name_key(alias), kind="name"
            )
        for tag in tags:
            self.rows["PageTag"].add(page_id=page_id, name=tag)
        text = "\n\n".join(part for part in (first, plain_text(body) if body else "") if part)
        known = "\n".join((*aliases, *names))
        digest = sha256("\0".join((title, known, text)).encode()).hexdigest()[:16]
        self.rows["PageText"].add(page_id=page_id, title=title, names=known, text=text, hash=digest)
        self.waiting_vectors.append((page_id, digest, cluster))
        if "[[" in body:
            self._links_of_text(page_id, body, days_ago)
        return digest

    def _links_of_text(self, page_id: int, body: str, days_ago: int) -> None:
        """The wikilinks of a body as links of its author; those to nowhere as red links."""
        reached: set[int] = set()
        missing: set[str] = set()
        for link in wikilinks(body):
            keys = link_keys(link.target)
            target = next((self.by_key[key] for key in keys if key in self.by_key), None)
            if target is None and keys[-1] not in missing:
                missing.add(keys[-1])
                self.rows["RedLink"].add(
                    page_id=page_id, key=keys[-1], name=link.target, sentence=link.sentence
                )
            elif target is not None and target != page_id and target not in reached:
                reached.add(target)
                quoted = {
                    "quotation": link.sentence,
                    "where": "text",
                    "verbatim": False,
                    "spans": [],
                }
                self._link(
                    page_id, target, "mentions", days_ago, origin="author", evidence=[quoted]
                )

    def _link(
        self, source: int, target: int, relation: str, days_ago: int, *, status: str = "accepted",
        origin: str = "linker", confidence: float = 1.0, **more: Any,
    ) -> int:  # fmt: skip
        number = self._id("Link")
        decided = status != "proposed"
        more = {k: json.dumps(v) if isinstance(v, list) else v for k, v in more.items()}
        self.rows["Link"].add(
            id=number, source_id=source, target_id=target, relation=relation, status=status,
            origin=origin, confidence=confidence, created_at=self._time(days_ago, 10),
            decided_at=self._time(days_ago, 12) if decided else None, **more,
        )  # fmt: skip
        if decided and origin == "linker":
            self._decision(
                {"accepted": "accept", "rejected": "reject", "deferred": "defer"}[status],
                days_ago, link_id=number, before=json.dumps({"status": "proposed"}),
            )  # fmt: skip
        return number

    def _decision(self, verdict: str, days_ago: int, **about: object) -> None:
        number = self._id("Decision")
        self.rows["Decision"].add(
            id=number, at=self._time(days_ago, 12), who="person", verdict=verdict,
            batch=f"{number:032x}", **about,
        )  # fmt: skip

    def _write_vectors(self) -> None:
        for start in range(0, len(self.waiting_vectors), CHUNK):
            chunk = self.waiting_vectors[start : start + CHUNK]
            made = self.vectors.rows(np.array([cluster for _, _, cluster in chunk]))
            for (page_id, digest, _), vector in zip(chunk, made, strict=True):
                self.rows["Vector"].add(
                    page_id=page_id, model=self.model, dim=DIM, text_hash=digest, seq=1,
                    data=vector.tobytes(), **self.target.twice(vector),
                )  # fmt: skip
        self.waiting_vectors = []
        if self.pageless:
            made = self.vectors.rows(np.array([cluster for _, _, cluster in self.pageless]))
            for (paper_id, digest, _), vector in zip(self.pageless, made, strict=True):
                self.rows["PaperVector"].add(
                    paper_id=paper_id, model=self.model, text_hash=digest, data=vector.tobytes()
                )
        self.pageless = []

    # ------------------------------------------------------------ concepts and threads

    def _concepts(self) -> None:
        count = self.counts.concepts
        words = self.language.numbers("concept_name_words", count).tolist()
        aliases = self.language.numbers("aliases_of_a_concept", count).tolist()
        lengths = self.language.lengths("concept_words", count).tolist()
        linked = self.language.lengths("wikilinks_of_a_concept", count).tolist()
        vocabulary = len(self.language.words)
        for number in range(count):
            name = self._words(words[number])
            while name_key(name) in self.by_key:
                name = self._words(words[number] + 1)
            title = name.capitalize()
            reach = self.chance.random() * 2 + 2  # 100 to 10,000
            topical = np.clip((100 * 10 ** (self.numbers.random(TOPIC_WORDS) * (reach - 1))).astype(
                np.int64), 0, vocabulary - 1)  # fmt: skip
            page_id = self._id("Page")
            slug = self._slug(title)
            self.concepts.append(_Concept(page_id, name, title, slug, topical))
            self.by_key[name_key(title)] = self.by_key[slug] = page_id
        for number, concept in enumerate(self.concepts):
            others = self.chance.sample(self.concepts, min(count, linked[number]))
            days_ago = self.chance.randrange(int(self.works.day.max()) + 1)
            self._page(
                concept.id, "concept", concept.title, concept.slug, days_ago,
                body=self._body(lengths[number], [other.title for other in others]),
                aliases=tuple(self._words(2) for _ in range(aliases[number])),
                tags=tuple(sorted(set(self.chance.choices(self.tags, k=2)))), cluster=number,
            )  # fmt: skip
            for other in others[:2]:
                if other.id != concept.id:
                    self._link(concept.id, other.id, "related", days_ago, origin="import")
            self._question(concept.id)

    def _body(self, words: int, linked: list[str]) -> str:
        """Sections of prose, a link in each paragraph; now and then one that leads nowhere yet."""
        if self.chance.random() < 0.1:
            linked = [*linked, self._words(3)]
        parts = max(1, len(linked))
        paragraphs = [
            f"{self.language.prose(words // parts)} As in [[{name}]], {self._words(3)}."
            for name in linked
        ] or [self.language.prose(words)]
        middle = (len(paragraphs) + 1) // 2
        return "\n\n".join(
            ["## What it is", *paragraphs[:middle], "## What is known", *paragraphs[middle:]]
        )

    def _question(self, page_id: int) -> None:
        self.rows["Question"].add(
            id=self._id("Question"), page_id=page_id, number=1, text=self.language.prose(15),
            day=NEWEST.isoformat(),
        )  # fmt: skip

    def _threads(self) -> None:
        self.threads = []
        for number in range(self.counts.threads):
            title = self._words(4).capitalize()
            page_id = self._id("Page")
            slug = self._slug(title)
            self.threads.append(page_id)
            self.by_key[slug] = page_id
            claim = self.language.prose(25)
            body = self._body(150, [c.title for c in self.chance.sample(self.concepts, 3)])
            self._page(
                page_id, "thread", title, slug, self.chance.randrange(60), body=body, first=claim,
                cluster=number,
            )  # fmt: skip
            self.rows["Thread"].add(page_id=page_id, claim=claim)

    # ------------------------------------------------------------ papers

    @cached_property
    def _popularity(self) -> NDArray[np.float64]:
        drawn = np.sort(self.language.lengths("papers_of_a_concept", len(self.concepts)))
        return np.cumsum(self.numbers.permutation(drawn) / drawn.sum())

    @cached_property
    def _size_of_threads(self) -> NDArray[np.float64]:
        weights = 1 / (np.arange(len(self.threads)) + 3)
        return np.cumsum(weights / weights.sum())

    def _drawn(self, start: int, stop: int) -> Iterator[_Draw]:
        """Texts of the papers of a chunk: words of the language and of each paper's concept."""
        language, count = self.language, stop - start
        many = language.numbers("concepts_of_a_paper", count).tolist()
        chosen = np.searchsorted(self._popularity, self.numbers.random(count * 6)).tolist()
        last = len(self.concepts) - 1
        of_paper = [
            tuple(
                self.concepts[min(c, last)]
                for c in dict.fromkeys(chosen[at * 6 : at * 6 + many[at]])
            )
            for at in range(count)
        ]
        titles, title_stops, _ = self._spoken("title_words", of_paper, 0.4)
        tokens, stops, ends = self._spoken("abstract_words", of_paper, TOPICAL)
        begun = title_begun = 0
        for at, concepts in enumerate(of_paper):
            concept = concepts[0]
            if self.chance.random() < NAMED:
                tokens[begun + self.chance.randrange(5, 45)] = concept.name
            if self.chance.random() < 0.15:
                titles[title_begun] = concept.name
            title_begun, begun = title_stops[at], stops[at]
        punctuate(tokens, ends)
        begun = title_begun = 0
        for at, concepts in enumerate(of_paper):
            title = " ".join(titles[title_begun : title_stops[at]])
            abstract = " ".join(tokens[begun : stops[at]])
            title_begun, begun = title_stops[at], stops[at]
            yield _Draw(start + at, concepts, title[:1].upper() + title[1:], abstract)

    def _spoken(
        self, lengths: str, of_paper: list[tuple[_Concept, ...]], topical: float
    ) -> tuple[list[str], list[int], Integers]:
        """Tokens of texts that lie one behind the other, where each stops, where sentences end."""
        language = self.language
        length = language.lengths(lengths, len(of_paper))
        stops = np.cumsum(length)
        total = int(stops[-1])
        ranks = language.ranks(total)
        own = np.stack([concepts[0].words for concepts in of_paper])
        which = (TOPIC_WORDS * self.numbers.random(total) ** 2).astype(np.int64)
        topics = own[np.repeat(np.arange(len(of_paper)), length), which]
        ranks = np.where(self.numbers.random(total) < topical, topics, ranks)
        return language.spell(ranks), stops.tolist(), language.sentence_ends(stops)

    def _papers(self, start: int, stop: int) -> None:
        works = self.works
        extra = self.language.lengths("links_from_a_page", stop - start).tolist()
        told_days = self.counts.digests
        for draw in self._drawn(start, stop):
            at = draw.number
            days_ago, state = int(works.day[at]), str(works.state[at])
            published = NEWEST - timedelta(days=days_ago)
            arxiv = f"{published.year % 100:02}{published.month:02}.{int(works.serial[at]) + 1:05}"
            paper_id = self._id("Paper")
            authors = tuple(self._author() for _ in range(self.chance.randint(2, 6)))
            page_id, slug = None, ""
            if state == "kept":
                page_id = self._id("Page")
                slug = self._slug(draw.title)
                self._kept(draw, page_id, slug, arxiv, authors, days_ago, extra[at - start])
            self.rows["Paper"].add(
                id=paper_id, page_id=page_id, state=state, title=draw.title,
                title_key=title_key(draw.title), abstract=draw.abstract,
                authors=json.dumps(authors), published=published.isoformat(),
                categories='["cs.LG"]', references=self._references(at), created_at=self._time(days_ago),
            )  # fmt: skip
            self.rows["Identifier"].add(
                id=self._id("Identifier"), scheme="arxiv", value=arxiv, paper_id=paper_id,
                versions="[1]",
            )  # fmt: skip
            if page_id is None:
                digest = paper_vectors.text_hash(text_of(draw.title, draw.abstract))
                self.pageless.append((paper_id, digest, draw.concepts[0].id - 1))
            if works.listed[at]:
                self._listed(paper_id, published.isoformat(), at, state, days_ago)
            if days_ago < told_days and page_id is not None:
                told = self.told.setdefault(days_ago, [])
                if len(told) < 12:
                    told.append((paper_id, page_id, slug, draw.title))

    def _author(self) -> str:
        first, last = self.chance.choices(self._surnames, k=2)
        return f"{first.capitalize()} {last.capitalize()}"

    def _references(self, at: int) -> str:
        """Earlier papers that this one cites, where a source told."""
        if at < 10 or self.chance.random() > 0.2:
            return "[]"
        cited = []
        for _ in range(5):
            other = self.chance.randrange(max(0, at - 20_000), at)
            day = NEWEST - timedelta(days=int(self.works.day[other]))
            cited.append(
                f"arxiv:{day.year % 100:02}{day.month:02}.{int(self.works.serial[other]) + 1:05}"
            )
        return json.dumps(cited)

    def _kept(
        self, draw: _Draw, page_id: int, slug: str, arxiv: str, authors: tuple[str, ...],
        days_ago: int, links: int,
    ) -> None:  # fmt: skip
        chance = self.chance
        concept = draw.concepts[0]
        body, versions = "", 1
        if chance.random() < WITH_BODY:
            body, versions = self._body(100, [concept.title]), 2
        digest = self._page(
            page_id, "paper", draw.title, slug, days_ago, body=body, versions=versions,
            aliases=(self._words(2),) if chance.random() < 0.03 else (),
            tags=(chance.choice(self.tags),) if chance.random() < 0.3 else (),
            names=(*authors, arxiv), first=draw.abstract, cluster=concept.id - 1,
        )  # fmt: skip
        self._about(draw, page_id, digest, days_ago)
        if chance.random() < IN_THREADS:
            place = int(np.searchsorted(self._size_of_threads, chance.random()))
            day = (NEWEST - timedelta(days=days_ago)).isoformat()
            self._link(
                page_id, self.threads[min(place, len(self.threads) - 1)], "part-of", days_ago,
                origin="import", role=chance.choice(["supports", "extends", "measures"]),
                note=self.language.prose(12), day=day,
            )  # fmt: skip
        for relation, (other, _, _) in zip(
            ("extends", "compares", "uses", "confirms", "related") * 6,
            concept.papers[: max(0, links - len(draw.concepts))], strict=False,
        ):  # fmt: skip
            self._link(page_id, other, relation, days_ago, origin="import")
        if chance.random() < 0.02:
            self._question(page_id)
        concept.papers.insert(0, (page_id, slug, draw.title))
        del concept.papers[30:]

    def _about(self, draw: _Draw, page_id: int, digest: str, days_ago: int) -> None:
        chance = self.chance
        waits = chance.random() < UNLINKED
        for concept in draw.concepts:
            quotation = _quotation(draw.abstract, concept.name)
            surest = [
                {"name": kind.value, "value": round(chance.uniform(-1, 3), 4), "words": words}
                for kind, words in (
                    (SignalKind.PAPERS, [self.language.words[int(w)] for w in concept.words[:3]]),
                    (SignalKind.CLASSIFIER, []),
                    (SignalKind.NEIGHBOURS, []),
                    (SignalKind.NAME, concept.name.split()[:2]),
                )
            ]
            known = chance.random() < 0.4
            self._link(
                page_id, concept.id, "about", 0 if waits else days_ago,
                status="proposed" if waits else "accepted",
                origin="import" if known and not waits else "linker",
                confidence=round(chance.uniform(0.3, 0.99), 6), reason=f"Like the papers of {concept.title}.",
                evidence=[quotation], signals=surest, text_hash=digest,
            )  # fmt: skip
        if chance.random() < REJECTED:
            other = chance.choice(self.concepts)
            if other not in draw.concepts:
                status = "deferred" if chance.random() < 0.1 else "rejected"
                self._link(page_id, other.id, "about", days_ago, status=status, confidence=0.4)
        # Made words make no terms: that each paper was read for them is noted alone.
        self.rows["Done"].add(step="terms", subject_id=page_id, seen=terms.state(digest))
        if waits:
            self.rows["Done"].add(
                step="link", subject_id=page_id, seen=f"{digest}:{self.counts.concepts}"
            )

    def _listed(self, paper_id: int, day: str, at: int, state: str, days_ago: int) -> None:
        self.rows["ListingPaper"].add(day=day, paper_id=paper_id, position=at % 70)
        number = self._id("Assessment")
        topics = list(dict.fromkeys(self.chance.choices(self.topics, k=2)))
        self.rows["Assessment"].add(
            id=number, paper_id=paper_id, day=day, scorer="a scorer",
            relevance=self.chance.randint(3, 10), novelty=self.chance.randint(3, 10),
            topic_id=topics[0], comment=self.language.prose(20), at=self._time(days_ago),
        )  # fmt: skip
        for topic in topics:
            self.rows["AssessmentTopic"].add(assessment_id=number, topic_id=topic)
        verdict = {"kept": "keep", "dropped": "drop", "deferred": "defer"}.get(state)
        if verdict:
            self._decision(
                verdict,
                days_ago,
                paper_id=paper_id,
                before=json.dumps({"state": "waiting", "page": None}),
            )

    # ------------------------------------------------------------ digests, notes, articles, episodes

    def _digests(self) -> None:
        for days_ago in sorted(self.told, reverse=True)[-self.counts.digests :]:
            day = (NEWEST - timedelta(days=days_ago)).isoformat()
            told = self.told[days_ago]
            page_id = self._id("Page")
            self.by_key.update({slug: page for _, page, slug, _ in told})
            sections = []
            for name, title, some in (
                ("deepDives", "Deep dives", told[:3]),
                ("alsoToday", "Also today", told[3:]),
            ):
                text = "\n\n".join(
                    f"[[{slug}]] {self.language.prose(40)}" for _, _, slug, _ in some
                )
                items = [title for _, _, _, title in some]
                sections.append({"name": name, "title": title, "items": items, "text": text})
            body = "\n\n".join(f"## {s['title']}\n\n{s['text']}" for s in sections)
            slug = self._slug(f"digest {day}")
            self._page(page_id, "digest", f"Digest of {day}", slug, days_ago, body=body)
            framing = self.language.prose(60)
            self.rows["Digest"].add(
                page_id=page_id, day=day, framing=framing, sections=json.dumps(sections),
                ledger='{"scanned": 600, "kept": 40}',
            )  # fmt: skip
            item = self._item("digest", 2, day, days_ago, page_id)
            for place, (paper_id, _, _, _) in enumerate(told):
                self.rows["Mention"].add(
                    id=self._id("Mention"), item_id=item, paper_id=paper_id, day=day,
                    section="Deep dives" if place < 3 else "Also today", text=self.language.prose(30),
                    source_name="a list", why_it_matters=self.language.prose(15),
                )  # fmt: skip

    def _notes(self) -> None:
        count = self.counts
        for kind, number in (("note", count.notes), ("article", count.articles),
                             ("episode", count.episodes)):  # fmt: skip
            for at in range(number):
                concept = self.chance.choice(self.concepts)
                read = [slug for _, slug, _ in concept.papers[:2]]
                self.by_key.update({slug: page for page, slug, _ in concept.papers[:2]})
                title = self._words(5).capitalize()
                page_id = self._id("Page")
                slug = self._slug(title)
                days_ago = self.chance.randrange(int(self.works.day.max()) + 1)
                self._page(
                    page_id, kind, title, slug, days_ago, cluster=concept.id - 1,
                    body=self._body(250, [concept.title, *read]), versions=1 + at % 2,
                    tags=(self.chance.choice(self.tags),),
                )  # fmt: skip
                day = (NEWEST - timedelta(days=days_ago)).isoformat()
                if kind == "article":
                    self.rows["Identifier"].add(
                        id=self._id("Identifier"), scheme="url", page_id=page_id,
                        value=f"https://example.org/{slug}",
                    )  # fmt: skip
                elif kind == "episode":
                    self._item("podcast", 3, day, days_ago, page_id)
                    self.rows["Episode"].add(
                        page_id=page_id, source_id=3, published=day, minutes=45,
                        takeaways=json.dumps([self.language.prose(12) for _ in range(3)]),
                    )  # fmt: skip

    def _counters(self) -> None:
        """Caches key on these; the state noted for the linker names the concepts' one."""
        for name, value in (
            ("concepts", self.counts.concepts), ("wiki", self.counts.pages),
            ("links", self.rows["Link"].count), ("vectors", 1),
        ):  # fmt: skip
            self.rows["Generation"].add(name=name, value=value)
        looked = f"{self.counts.concepts}:{self.rows['Link'].count // duplicates.EVERY}"
        self.rows["Done"].add(step=duplicates.STEP, subject_id=0, seen=looked)
        self.rows["EmbeddingModel"].add(
            id=self.model, setting=DEFAULT_MODEL, dim=DIM, wanted=True, serves=True
        )


def _quotation(text: str, name: str) -> dict[str, object]:
    """The sentence that holds the name, with the name marked; else the first one."""
    at = text.find(name)
    start = text.rfind(". ", 0, at) + 2 if text.rfind(". ", 0, max(at, 0)) >= 0 else 0
    end = text.find(". ", max(at, start))
    quoted = text[start : end + 1 if end >= 0 else len(text)]
    spans = [[at - start, at - start + len(name)]] if at >= 0 else []
    return {"quotation": quoted, "where": "abstract", "verbatim": True, "spans": spans}
