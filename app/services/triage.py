"""Triage without a model: the local scorer assesses the papers of a listing, a whole day at a time.

The rule is domain/scoring.py: the reader's topics, and what they kept and dropped. A day is assessed
when it comes, and again when a topic changed or much more was decided. Like the linker: `take_up`,
`read` and `store` in transactions, `think` in none.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlmodel import Session

from app.domain import scoring, tiers
from app.domain.criteria import Comment, comment
from app.domain.identifiers import whole_day
from app.domain.scoring import Held, Judged, Listed, Marks, Taste, TopicText
from app.errors import Invalid, NotFound
from app.store import assessments, paper_vectors, papers, runs, vectors
from app.store.assessments import LOCAL, Told
from app.store.db import generations, rows_of
from app.store.vectors import Matrix, VectorIndex

STEP = "assess"
LEAST_DECIDED = 20  # decisions before which what was decided makes no day be assessed again
WORDS = "words"  # stands in the key for the model of vectors where there is none


@dataclass(frozen=True)
class Key:
    """What an assessment rests on, coarsely: its words are kept with it as `Assessment.prompt`.

    `stem` is that without the model of vectors.
    """

    stem: str
    model: str

    def __str__(self) -> str:
        return f"{self.stem} {self.model or WORDS}"


@dataclass(frozen=True)
class Work:
    """What a day's assessing thinks about: the whole listing, and which of its papers `wait`.

    `taste` is that fitted before, else `judged` is read. `sources` are where each paper was seen,
    `upvotes` those that it has, where any are recorded.
    """

    day: str
    key: Key
    papers: Sequence[Listed]
    wait: Collection[int]
    sources: Mapping[int, Sequence[str]]
    upvotes: Mapping[int, int]
    held: Held
    topics: tuple[TopicText, ...]
    decided: tuple[int, int]
    fit: object
    taste: Taste | None
    judged: Sequence[Judged]
    clauses: Mapping[str, Matrix]


@dataclass(frozen=True)
class Judgement:
    """What was thought of a day: a row for each paper that waits, and what its listing says of it."""

    day: str
    key: str
    told: list[Told]
    scanned: int
    picked: int
    prompt: str


@dataclass
class Fitted:
    """The scorer as it was fitted last, kept between days: one for the life of a process.

    Also what steps found nothing to do at, so that an idle worker does not look through the papers
    again. Safe between threads; what it holds is derived.
    """

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _taste: tuple[object, Taste] | None = None
    _idle: dict[str, object] = field(default_factory=dict)

    def known(self, fit: object) -> Taste | None:
        """The taste, if it was fitted of this."""
        kept = self._taste
        return kept[1] if kept is not None and kept[0] == fit else None

    def fitted(self, work: Work) -> Taste:
        """The taste of a day's work; made, in place of the one before, where it is another."""
        if work.taste is not None:
            return work.taste
        with self._lock:
            self._taste = None  # not two at once in memory
            made = Taste(work.topics, work.judged, vectors=work.clauses)
            self._taste = work.fit, made
            return made

    def waiting(self, session: Session, step: str, count: Callable[[], int]) -> int:
        """How many wait at a step; counted again only after something changed."""
        counted = generations(session)
        names = [rows_of(name) for name in ("paper", "decision")] + [vectors.COUNTER]
        stands = (*(counted.get(name, 0) for name in names), vectors.wanted(session))
        if self._idle.get(step) == stands:
            return 0
        found = count()
        if not found:
            self._idle[step] = stands
        return found


# ---------------------------------------------------------------- what waits


def key_of(session: Session, topics: Sequence[TopicText], decided: tuple[int, int]) -> Key:
    """Changes with the rule, with any topic, with the model of vectors, and with every tenth more
    that is decided: not every click assesses every day again.
    """
    count = sum(decided)
    step = 0
    if count >= LEAST_DECIDED:
        step = 1 + int(math.log(count / LEAST_DECIDED) / math.log(1.1) + 1e-9)
    told = repr((tuple(topics), step))
    digest = sha256(told.encode("utf-8", "replace")).hexdigest()[:12]
    return Key(f"{LOCAL}@{scoring.VERSION} {digest}", vectors.wanted(session) or "")


def pending(session: Session, *, encodes: bool) -> int:
    """How many days of the newest listings have papers to assess.

    `encodes`: whether this process makes vectors. One that does not leaves what another assessed.
    """
    return len(_days(session, encodes=encodes))


def _days(session: Session, *, encodes: bool, without: Sequence[str] = ()) -> list[str]:
    key = key_of(session, assessments.topics(session), assessments.decided(session))
    return assessments.days_to_assess(
        session, str(key), any_like=_alike(key, encodes=encodes), without=without
    )


def _alike(key: Key, *, encodes: bool) -> str:
    """Keys that are as good: two workers of which one has no encoder do not outdo each other."""
    return "" if encodes or not key.model else f"{key.stem} "


def take_up(session: Session, *, encodes: bool, owner: str) -> str:
    """The next day to assess, the newest first; "" for none. No other worker gets it meanwhile."""
    clock = time.time()
    held = set(session.connection().execute(runs.held(STEP, clock=clock)).scalars())
    for day in _days(session, encodes=encodes):
        if subject(day) not in held:
            runs.hold(session, STEP, [subject(day)], owner=owner, clock=clock)
            return day
    return ""


def subject(day: str) -> int:
    """A day as the number by which it is held."""
    return int("".join(sign for sign in day if sign.isdigit()) or 0)


def unencoded_clauses(session: Session) -> list[str]:
    """What topics ask for, piece by piece, that has no vector by the model of vectors yet."""
    model = vectors.wanted(session)
    asked = _clauses(assessments.topics(session))
    if model is None or not asked:
        return []
    known = paper_vectors.of_texts(session, model, asked)
    return [clause for clause in asked if clause not in known]


def _clauses(topics: Sequence[TopicText]) -> list[str]:
    return list(dict.fromkeys(clause for topic in topics for clause in topic.clauses))


def read(session: Session, index: VectorIndex | None, day: str, fitted: Fitted) -> Work:
    """What there is to know for assessing a day: its whole listing, and what was learned."""
    topics, decided = assessments.topics(session), assessments.decided(session)
    key = key_of(session, topics, decided)
    clauses = paper_vectors.of_texts(session, key.model, _clauses(topics)) if key.model else {}
    listed = assessments.day_papers(session, day, key.model)
    wait = assessments.waiting(session, day).keys()
    decisions = generations(session).get(rows_of("decision"), 0)
    fit: object = (topics, decided, decisions, key.model, frozenset(clauses))
    taste = fitted.known(fit)
    return Work(
        day=day,
        key=key,
        papers=listed,
        wait=wait,
        sources=papers.sources_of(session, wait),
        upvotes=papers.upvotes_of(session, [paper.id for paper in listed]),
        held=assessments.held(session, index, listed, key.model),
        topics=topics,
        decided=decided,
        fit=fit,
        taste=taste,
        judged=() if taste else assessments.judged(session, key.model),
        clauses=clauses,
    )


# ---------------------------------------------------------------- thinking


def think(work: Work, fitted: Fitted) -> Judgement:
    """What the local scorer says of every paper of the day."""
    marks = fitted.fitted(work).judge(work.papers, work.held)
    topics = {topic.id: topic for topic in work.topics}
    most = list(work.upvotes.values())
    told = [
        _told(
            each,
            paper,
            topics,
            work.sources.get(paper.id, ()),
            tiers.tags(
                work.sources.get(paper.id, ()),
                upvotes=work.upvotes.get(paper.id),
                day_upvotes=most,
            ),
        )
        for each, paper in zip(marks, work.papers, strict=True)
        if paper.id in work.wait
    ]
    picked = sum(
        each.topics[:1] != () and each.score >= topics[each.topics[0]].threshold for each in marks
    )
    return Judgement(work.day, str(work.key), told, len(marks), picked, in_words(work))


def _told(
    marks: Marks,
    paper: Listed,
    topics: Mapping[str, TopicText],
    sources: Sequence[str],
    tags: list[str],
) -> Told:
    """A paper's marks with their reasons: its strongest criterion, its tier, and what it is most like."""
    matched = [topics[topic] for topic in marks.topics]
    tier = tiers.tier(matched, marks.relevance, marks.novelty, tags, sources)
    said = Comment("", "")
    if matched:
        said = comment(
            matched[0],
            marks.clause,
            paper.title,
            paper.abstract,
            next_topic=matched[1] if matched[1:] else None,
        )
    near: list[dict[str, Any]] = [
        {
            "kind": "near",
            "page": each.page or None,
            "paper": each.paper or None,
            "likeness": round(float(each.likeness), 4),
        }
        for each in marks.near
    ]
    return Told(
        paper_id=paper.id,
        score=min(1.0, max(0.0, float(marks.score))),
        relevance=marks.relevance,
        novelty=marks.novelty,
        topics=marks.topics,
        comment=said.comment,
        topic_comment=said.topic_comment,
        tags=tags,
        tier=tier.number,
        tier_reason=tier.reason,
        evidence=[*said.evidence, *near],
    )


def in_words(work: Work) -> str:
    """How a day was judged, for the end of its page: the scorer, what it learned from, the topics."""
    kept, dropped = work.decided
    lines = [
        f"Judged by the local scorer, without a model ({work.key}). It orders a day by how likely "
        f"you keep each paper, from {len(work.topics):,} topics, {kept:,} papers kept and "
        f"{dropped:,} dropped.",
    ]
    for topic in work.topics:
        lines += ["", f"## {topic.name} ({topic.id})", ""]
        lines.append(f"Tier {topic.tier}; picked from a score of {topic.threshold:.2f} on.")
        lines += [f"{word}: {text}" for word, text in _texts(topic) if text]
    return "\n".join(lines)


def _texts(topic: TopicText) -> list[tuple[str, str]]:
    return [("Keep", topic.keep.strip()), ("Filter", topic.filter.strip())]


# ---------------------------------------------------------------- storing


def store(session: Session, judgement: Judgement, *, owner: str = "", now: datetime) -> int:
    """Keep what was said of the papers that wait still; how many. Nothing of a day that is no longer
    `owner`'s; without an owner it is stored at any rate, and twice is as once.
    """
    day = judgement.day
    if owner and not runs.let_go(session, STEP, [subject(day)], owner=owner):
        return 0
    stored = assessments.save(session, day, judgement.told, prompt=judgement.key, now=now)
    if stored:
        assessments.tell_listing(
            session,
            day,
            scanned=judgement.scanned,
            kept=judgement.picked,
            prompt=judgement.prompt,
        )
    return stored


# ---------------------------------------------------------------- asked for one day


def day_asked(session: Session, day: str) -> str:
    """The day of a listing that is there; without one the newest. Raises Invalid or NotFound."""
    if not day:
        newest = assessments.newest_day(session)
        if not newest:
            raise NotFound("There is no listing yet: import papers with a `day` first.")
        return newest
    if whole_day(day) is None:
        raise Invalid(f"{day[:40]!r} is no day. Write it as 2026-05-08.")
    if not assessments.has_papers(session, day):
        newest = assessments.newest_day(session)
        hint = f"The newest listing is of {newest}." if newest else "There is no listing yet."
        raise NotFound(f"There is no listing of {day}. {hint}")
    return day


def waits(session: Session, day: str, *, encodes: bool) -> bool:
    """Whether papers of a day wait unassessed, as things stand."""
    key = key_of(session, assessments.topics(session), assessments.decided(session))
    return assessments.is_unassessed(session, day, str(key), any_like=_alike(key, encodes=encodes))


FIELDS = (
    *("paper", "score", "relevance", "novelty"),
    *("primary_topic", "topics", "comment", "scorer"),
)


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `assessments.of_day` as programs get it."""
    return {name: row[name] for name in FIELDS}
