"""Topics: what the reader wants to read about, edited, tried out on a past day, and retired.

Nothing here decides a paper. A change of a topic makes the worker judge anew what waits; what was
decided keeps the marks that it was decided by. A topic is retired, never deleted: papers keep it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain import topics as rule
from app.domain.interests import INTERESTS
from app.domain.record import threshold_of
from app.domain.records import PaperState, Topic
from app.domain.scoring import Judged, Listed, Marks, Taste, TopicText
from app.domain.topics import Tally
from app.domain.untrusted import line, plain
from app.embeddings.base import QueryEncoder
from app.errors import Conflict, Invalid
from app.store import assessments, paper_vectors, vectors
from app.store import topics as stored
from app.store.db import bump
from app.store.topics import Record
from app.store.vectors import Matrix

LONGEST_NAME, LONGEST_TEXT = 200, 8_000
THRESHOLD: float = Topic.model_fields["threshold"].default
SHOWN = 25  # papers of each kind that a trial names
MOVES = 10
ENCODING_SECONDS = 2.0  # for what a changed topic asks for that has no vector yet

EXAMPLES = tuple(
    Topic(
        id=each.id,
        name=each.name,
        keep=each.keep,
        filter=each.filter,
        tier=each.tier,
        threshold=THRESHOLD,
    )
    for each in INTERESTS[:3]
)


@dataclass(frozen=True)
class Wanted:
    """A topic as somebody asks for it, checked. `place` is where in the list, from 1; 0: leave it."""

    id: str
    name: str
    keep: str
    filter: str
    tier: int
    threshold: float
    place: int = 0

    @property
    def text(self) -> TopicText:
        return TopicText(self.id, self.name, self.keep, self.filter, self.tier, self.threshold)


def proposed_id(name: str) -> str:
    """The id for a topic of this name: its letters and digits, joined by "_"; "" for none."""
    kept = "".join(sign if sign.isascii() and sign.isalnum() else " " for sign in name.lower())
    return "_".join(kept.split())[:60].strip("_")


def wanted(given: Mapping[str, str], *, topic_id: str = "") -> Wanted:
    """Check the fields of a topic: name, keep, filter, tier, threshold, place; `id` of a new one.

    `topic_id` names one that is there. Raises Invalid with a sentence for each field that is wrong.
    """
    wrong: dict[str, str] = {}
    name = line(given.get("name", ""))
    keep, filter_text = (plain(given.get(part, "")).strip() for part in ("keep", "filter"))
    if not name:
        wrong["name"] = "Give the topic a name."
    elif len(name) > LONGEST_NAME:
        wrong["name"] = f"A name has at most {LONGEST_NAME} characters."
    for part, text in (("keep", keep), ("filter", filter_text)):
        if len(text) > LONGEST_TEXT:
            wrong[part] = f"This text has at most {LONGEST_TEXT:,} characters."
    identifier = topic_id or given.get("id", "").strip() or proposed_id(name)
    if not topic_id and (identifier or name) and not rule.ID.fullmatch(identifier):
        wrong["id"] = (
            'Give it an id that begins with a letter or digit (a-z, 0-9); then also "_", "-", ".".'
        )
    tier = given.get("tier", "").strip() or "2"
    if tier not in ("1", "2", "3", "4"):
        wrong["tier"] = "A tier is 1, 2, 3 or 4."
    threshold = threshold_of(given.get("threshold", "") or str(THRESHOLD))
    if threshold is None:
        wrong["threshold"] = "Use a number from 0 to 1, such as 0.25."
    place = given.get("place", "").strip()
    if place and not (place.isascii() and place.isdigit() and 0 < int(place[:6]) <= 10_000):
        wrong["place"] = "A place in the list is a whole number from 1 on."
    if wrong or threshold is None:
        raise Invalid(" ".join(wrong.values()), fields=wrong)
    return Wanted(
        identifier, name, keep, filter_text, int(tier), threshold, int(place[:6]) if place else 0
    )


def base_of(topic: Topic) -> str:
    """What a form or program names the state of a topic by that it began from."""
    said = (topic.name, topic.keep, topic.filter, topic.tier, topic.threshold, topic.retired)
    return sha256(repr(said).encode("utf-8", "replace")).hexdigest()[:16]


def fields_of(topic: Topic) -> dict[str, str]:
    """The fields of a topic as `wanted` reads them; its place is left as it is."""
    return {
        "id": topic.id,
        "name": topic.name,
        "keep": topic.keep,
        "filter": topic.filter,
        "tier": str(topic.tier),
        "threshold": f"{topic.threshold:g}",
    }


def make(session: Session, asked: Wanted) -> Topic:
    """Add a topic, last in the list unless a place is asked for. Raises Invalid where its id is taken."""
    if session.get(Topic, asked.id) is not None:
        raise Invalid(
            f"There is a topic {asked.id!r} already.",
            fields={"id": "This id is taken, perhaps by a retired topic. Choose another."},
        )
    count = session.connection().execute(sa.select(sa.func.count(col(Topic.id)))).scalar_one()
    topic = Topic(
        id=asked.id,
        name=asked.name,
        keep=asked.keep,
        filter=asked.filter,
        tier=asked.tier,
        threshold=asked.threshold,
        position=count,
    )
    try:
        with session.begin_nested():
            session.add(topic)
    except sa.exc.IntegrityError:
        raise Conflict(f"A topic {asked.id!r} was made elsewhere just now.") from None
    _put(session, topic, asked.place)
    return topic


def save(session: Session, asked: Wanted, *, base: str) -> Topic:
    """Write a topic. Raises NotFound, or Conflict where it is not as it was when the edit began."""
    topic = _standing(session, asked.id, base)
    topic.name, topic.keep, topic.filter = asked.name, asked.keep, asked.filter
    topic.tier, topic.threshold = asked.tier, asked.threshold
    session.add(topic)
    _put(session, topic, asked.place)
    return topic


def retire(session: Session, topic_id: str, *, retired: bool, base: str) -> Topic:
    """Give a topic to no new paper, or to new papers again. Raises NotFound or Conflict."""
    topic = _standing(session, topic_id, base)
    topic.retired = retired
    session.add(topic)
    session.flush()
    bump(session)
    return topic


def add_examples(session: Session) -> list[Topic]:
    """Three topics to begin with, in a registry that has none. Raises Conflict in one that has."""
    if stored.listed(session):
        raise Conflict("There are topics already: the examples are for an empty list.")
    made = [
        Topic(**each.model_dump(exclude={"position"}), position=n)
        for n, each in enumerate(EXAMPLES)
    ]
    session.add_all(made)
    session.flush()
    bump(session)
    return made


def _standing(session: Session, topic_id: str, base: str) -> Topic:
    topic = stored.get(session, topic_id)
    session.refresh(topic, with_for_update=True)  # two who save at once: one of them is told
    if base != base_of(topic):
        raise Conflict(f"The topic {topic.name!r} was changed elsewhere since you began.")
    return topic


def _put(session: Session, topic: Topic, place: int) -> None:
    """Move a topic to its place among those in use; the others keep their order."""
    session.flush()
    if place and not topic.retired:
        others = [each for each in stored.listed(session) if not each.retired and each is not topic]
        others.insert(place - 1, topic)
        for position, each in enumerate(others):
            if each.position != position:
                each.position = position
                session.add(each)
        session.flush()
    bump(session)


# ---------------------------------------------------------------- tried out on a day


@dataclass(frozen=True)
class Mark:
    """What the local scorer says of a paper by one registry."""

    score: float
    relevance: int
    topic: str
    picked: bool


@dataclass(frozen=True)
class Moved:
    """A paper by the registry as it stands and as it would be."""

    paper_id: int
    title: str
    state: PaperState
    before: Mark
    after: Mark


@dataclass(frozen=True)
class Trial:
    """What a changed registry would make of a day.

    `gained` papers would be picked anew and `lost` no longer, best first; `moved` are the largest
    changes of relevance of the others; `renamed` would have another topic. Each list is cut; the
    counts are whole. `unencoded`: pieces of topics that were compared by words alone;
    `decisions` were learned from.
    """

    day: str
    papers: int
    picked_before: int
    picked_after: int
    gained: tuple[Moved, ...]
    gained_count: int
    lost: tuple[Moved, ...]
    lost_count: int
    moved: tuple[Moved, ...]
    moved_count: int
    renamed: tuple[Moved, ...]
    renamed_count: int
    unencoded: int
    decisions: int


@dataclass(frozen=True)
class Work:
    """What a trial thinks about, read in one transaction."""

    day: str
    before: tuple[TopicText, ...]
    after: tuple[TopicText, ...]
    papers: Sequence[Listed]
    states: Mapping[int, PaperState]
    judged: Sequence[Judged]
    model: str
    clauses: Mapping[str, Matrix]


def read(session: Session, asked: Wanted | None, *, topic_id: str = "", day: str = "") -> Work:
    """What there is to know for trying a topic as asked on a day's listing; None: without it.

    Without a day on the newest. Learned is from what was decided on other, earlier days: the day is
    judged as it would have been in its morning. Raises Invalid for a day without a listing.
    """
    chosen = day or assessments.newest_day(session)
    if not chosen or not assessments.has_papers(session, chosen):
        raise Invalid(
            f"There is no listing of {day[:40]!r} to try this on."
            if day
            else "There is no listing yet to try this on: import papers with a `day` first.",
            fields={"day": "Choose a day that has a listing."},
        )
    before = assessments.topics(session)
    name = asked.id if asked else topic_id
    after = [topic for topic in before if topic.id != name]
    if asked is not None:
        standing = [n for n, topic in enumerate(before) if topic.id == name]
        place = asked.place - 1 if asked.place else standing[0] if standing else len(after)
        after.insert(place, asked.text)
    model = vectors.wanted(session) or ""
    pieces = _clauses([*before, *after])
    return Work(
        day=chosen,
        before=before,
        after=tuple(after),
        papers=assessments.day_papers(session, chosen, model),
        states=stored.states(session, chosen),
        judged=[each for each in assessments.judged(session, model) if each.day < chosen],
        model=model,
        clauses=paper_vectors.of_texts(session, model, pieces) if model else {},
    )


def think(work: Work, encoder: QueryEncoder | None) -> Trial:
    """Judge the day by both registries; `encoder` is asked for vectors that are missing."""
    clauses = dict(work.clauses)
    missing = _encode(work, clauses, encoder)
    taste = Taste(work.before, work.judged, vectors=clauses)
    before = _marks(taste.judge(work.papers), work.before)
    changed = Taste(work.after, work.judged, vectors=clauses)
    after = _marks(changed.judge(work.papers), work.after)
    rows = [
        Moved(
            paper.id,
            paper.title,
            work.states.get(paper.id, PaperState.WAITING),
            before[paper.id],
            after[paper.id],
        )
        for paper in work.papers
    ]
    gained = [row for row in rows if row.after.picked and not row.before.picked]
    lost = [row for row in rows if row.before.picked and not row.after.picked]
    moved = [
        row
        for row in rows
        if row.before.picked == row.after.picked and row.before.relevance != row.after.relevance
    ]
    renamed = [row for row in rows if row.before.topic != row.after.topic]
    gained.sort(key=lambda row: -row.after.score)
    lost.sort(key=lambda row: -row.before.score)
    moved.sort(
        key=lambda row: (
            -abs(row.after.relevance - row.before.relevance),
            -abs(row.after.score - row.before.score),
        )
    )
    renamed.sort(key=lambda row: -row.after.score)
    return Trial(
        day=work.day,
        papers=len(rows),
        picked_before=sum(row.before.picked for row in rows),
        picked_after=sum(row.after.picked for row in rows),
        gained=tuple(gained[:SHOWN]),
        gained_count=len(gained),
        lost=tuple(lost[:SHOWN]),
        lost_count=len(lost),
        moved=tuple(moved[:MOVES]),
        moved_count=len(moved),
        renamed=tuple(renamed[:MOVES]),
        renamed_count=len(renamed),
        unencoded=missing,
        decisions=len(work.judged),
    )


def _clauses(topics: Sequence[TopicText]) -> list[str]:
    return list(dict.fromkeys(clause for topic in topics for clause in topic.clauses))


def _encode(work: Work, clauses: dict[str, Matrix], encoder: QueryEncoder | None) -> int:
    """Vectors for pieces that have none, as long as there is time; how many are left without."""
    if not work.model:
        return 0  # nothing has vectors here: words alone are the rule
    missing = [clause for clause in _clauses([*work.before, *work.after]) if clause not in clauses]
    until = time.monotonic() + ENCODING_SECONDS
    for done, clause in enumerate(missing):
        vector = None
        if encoder is not None and time.monotonic() < until:
            vector = encoder.encode_query(clause, work.model)
        if vector is None:
            return len(missing) - done
        clauses[clause] = vector
    return 0


def _marks(found: Sequence[Marks], topics: Sequence[TopicText]) -> dict[int, Mark]:
    thresholds = {topic.id: topic.threshold for topic in topics}
    marks = {}
    for each in found:
        topic = each.topics[0] if each.topics else ""
        picked = bool(topic) and each.score >= thresholds[topic]
        marks[each.paper] = Mark(float(each.score), each.relevance, topic, picked)
    return marks


# ---------------------------------------------------------------- for programs


def told(topic: Topic, record: Record) -> dict[str, Any]:
    """A topic with its record, as programs get it."""
    proposed = record.proposed
    return {
        "id": topic.id,
        "name": topic.name,
        "keep": topic.keep,
        "filter": topic.filter,
        "tier": topic.tier,
        "threshold": topic.threshold,
        "retired": topic.retired,
        "etag": base_of(topic),
        **_told(record.tally),
        "weeks": [
            {"monday": week.monday.isoformat(), **_told(week.tally)}
            for week in record.weeks
            if week.tally != Tally()
        ],
        "proposed": None
        if proposed is None
        else {
            "threshold": proposed.threshold,
            "kept": proposed.kept,
            "decided": proposed.decided,
            "missed": proposed.missed,
            "missed_now": proposed.missed_now,
            "more_a_day": round(proposed.more_a_day, 2),
            "f2": round(proposed.worth, 4),
            "f2_now": round(proposed.worth_now, 4),
            "better": proposed.is_better,
            "days": proposed.days,
        },
        "nothing_kept_lately": record.quiet is not None,
    }


def _told(tally: Tally) -> dict[str, Any]:
    share = tally.precision
    low, high = share.interval
    return {
        "picked": tally.picked,
        "waiting": tally.undecided,
        "kept": tally.kept,
        "dropped": tally.dropped,
        "missed": tally.missed,
        "judged": share.count,
        "precision": None if share.share is None else round(share.share, 4),
        "interval": [round(low, 4), round(high, 4)],
    }


def trial_told(trial: Trial) -> dict[str, Any]:
    """A trial as programs get it."""

    def mark(each: Mark) -> dict[str, Any]:
        return {
            "score": round(each.score, 6),
            "relevance": each.relevance,
            "topic": each.topic or None,
            "picked": each.picked,
        }

    def papers(some: Sequence[Moved]) -> list[dict[str, Any]]:
        return [
            {
                "id": each.paper_id,
                "title": each.title,
                "state": each.state.value,
                "before": mark(each.before),
                "after": mark(each.after),
            }
            for each in some
        ]

    return {
        "day": trial.day,
        "papers": trial.papers,
        "picked": {"before": trial.picked_before, "after": trial.picked_after},
        "newly_picked": {"count": trial.gained_count, "papers": papers(trial.gained)},
        "no_longer_picked": {"count": trial.lost_count, "papers": papers(trial.lost)},
        "moved": {"count": trial.moved_count, "papers": papers(trial.moved)},
        "other_topic": {"count": trial.renamed_count, "papers": papers(trial.renamed)},
        "by_words_alone": trial.unencoded,
        "decisions": trial.decisions,
    }
