"""Topics as rows: the registry in the reader's order, and what became of the papers of each.

What is counted is counted in the database, over the marks that a paper carries itself (`Paper.score`,
`Paper.topic_id`): four statements, however many papers and topics there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain import topics as rule
from app.domain.record import WEEKS, monday_of
from app.domain.records import Listing, ListingPaper, Paper, PaperState, Topic
from app.domain.topics import Proposed, Tally, TopicWeek
from app.errors import NotFound
from app.store.db import rows

_EXACT = 1e-9  # what a score may have lost on its way into and out of the database


@dataclass(frozen=True)
class Record:
    """What became of a topic's papers, in all and by week, and the threshold that asks for.

    `quiet`: the last weeks together, where the reader dropped papers of them and kept none.
    """

    tally: Tally = field(default_factory=Tally)
    weeks: tuple[TopicWeek, ...] = ()
    proposed: Proposed | None = None
    quiet: Tally | None = None


def listed(session: Session) -> list[Topic]:
    """Every topic, those in use first, in the reader's order."""
    return list(
        session.exec(select(Topic).order_by(col(Topic.retired), col(Topic.position), col(Topic.id)))
    )


def find(session: Session, topic_id: str) -> Topic | None:
    """The topic of this id; whatever else the text is, there is none."""
    return session.get(Topic, topic_id) if rule.ID.fullmatch(topic_id) else None


def get(session: Session, topic_id: str) -> Topic:
    """Raises NotFound."""
    found = find(session, topic_id)
    if found is None:
        raise NotFound(f"There is no topic {topic_id[:100]!r}. The list of them is at /topics.")
    return found


# ---------------------------------------------------------------- what became of papers


def is_picked() -> sa.ColumnElement[bool]:
    """Whether a paper's score reaches its topic's threshold; needs Paper and Topic."""
    picked: sa.ColumnElement[bool] = col(Paper.score) >= col(Topic.threshold) - _EXACT
    return picked


def _counted(*columns: Any) -> sa.Select[Any]:
    return (
        sa.select(col(Paper.topic_id), *columns, sa.func.count())
        .select_from(Paper)
        .join(Topic, col(Topic.id) == col(Paper.topic_id))
        .group_by(col(Paper.topic_id), *columns)
    )


# Rounding less than a half: the engines differ where exactly a half is rounded.
_step = sa.cast(sa.func.round(col(Paper.score) * rule.STEPS - 0.4999999), sa.Integer)
_PICKED = sa.case((is_picked(), 1), else_=0)
_BY_SCORE = _counted(col(Paper.state), _PICKED, _step)
_BY_DAY = _counted(col(Paper.state), _PICKED, col(Paper.came)).where(
    # Every state is named, so that the index by state and day alone is read.
    col(Paper.state).in_(list(PaperState)),
    col(Paper.came) >= sa.bindparam("since"),
)
_DAYS = sa.select(sa.func.count()).select_from(
    sa.select(col(Paper.came)).where(col(Paper.topic_id).is_not(None)).distinct().subquery()
)


def records(session: Session, *, today: date) -> dict[str, Record]:
    """The record of each topic by its id; a topic that no paper has is there too."""
    thresholds: dict[str, float] = dict(
        rows(session, sa.select(col(Topic.id), col(Topic.threshold)))
    )
    tallies = dict.fromkeys(thresholds, Tally())
    scores: dict[str, dict[tuple[PaperState, int], int]] = {name: {} for name in thresholds}
    for name, state, picked, step, count in rows(session, _BY_SCORE):
        tallies[name] = tallies[name].plus(PaperState(state), bool(picked), count)
        key = PaperState(state), int(step)
        scores[name][key] = scores[name].get(key, 0) + count
    days = int(session.connection().execute(_DAYS).scalar_one())
    since = monday_of(today) - timedelta(weeks=WEEKS - 1)
    by_day: dict[str, list[tuple[str, PaperState, bool, int]]] = {name: [] for name in thresholds}
    for name, state, picked, day, count in rows(session, _BY_DAY, since=since.isoformat()):
        by_day[name].append((day, PaperState(state), bool(picked), count))
    found = {}
    for name, now in thresholds.items():
        weeks = rule.by_week(by_day[name], today=today)
        found[name] = Record(
            tally=tallies[name],
            weeks=weeks,
            proposed=rule.propose(scores[name], tallies[name], now=now, days=days),
            quiet=rule.is_quiet(weeks, today=today),
        )
    return found


def together(records: Mapping[str, Record]) -> Tally:
    """What became of the papers of all topics."""
    return sum((each.tally for each in records.values()), Tally())


# ---------------------------------------------------------------- a day to try topics on


def days(session: Session, *, limit: int) -> list[str]:
    """The newest days that have a listing with papers, newest first."""
    there = sa.exists().where(col(ListingPaper.day) == col(Listing.day))
    statement = (
        sa.select(col(Listing.day)).where(there).order_by(col(Listing.day).desc()).limit(limit)
    )
    return list(session.connection().execute(statement).scalars())


def states(session: Session, day: str) -> dict[int, PaperState]:
    """Where each paper of a day's listing stands with the reader."""
    statement = (
        sa.select(col(Paper.id), col(Paper.state))
        .join(ListingPaper, col(ListingPaper.paper_id) == col(Paper.id))
        .where(col(ListingPaper.day) == day)
    )
    return {paper: PaperState(state) for paper, state in rows(session, statement)}
