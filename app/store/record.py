"""The linker's record, counted: decisions of the person about proposals of the linker.

Only decisions that stand, each pair once. What a rule decided would flatter the record, and what
was imported was never proposed: both are counted apart. Each count walks along one partial index of
the table of decisions, and no count reads a link.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.record import (
    Bin,
    Share,
    Week,
    WhatIf,
    bins,
    calibration_error,
    edges,
    mondays,
)
from app.domain.records import GONE, Decision, Link, LinkStatus, Origin, Page, PageKind, Relation
from app.store.db import rows

PERSON = "person"
BY_RULE = "rule "  # and the number of the rule
CONCEPTS = 50
MOST = 1_000  # concepts, for programs


class Of(NamedTuple):
    """What was decided of one signal, concept or kind; `name` as filters have it."""

    name: str
    title: str
    decided: Share


# Word for word the condition of the indexes, so that SQLite knows them to be of use.
COUNTS: Any = sa.and_(
    col(Decision.agreed).is_not(None),
    sa.literal_column("NOT decision.undone"),
    sa.literal_column("NOT decision.superseded"),
)
_ACCEPTED: Any = sa.func.coalesce(sa.func.sum(sa.cast(col(Decision.agreed), sa.Integer)), 0)
_COUNT: Any = sa.func.count()
_sure: Any = col(Decision.confidence)


def _of(who: str = PERSON) -> Any:
    return sa.and_(COUNTS, col(Decision.who) == who)


def accepted_near(session: Session, confidence: float, *, last: int = 200) -> tuple[int, int]:
    """Of the last links that the person decided, proposed at about this confidence: (accepted,
    decided)."""
    rows = (
        session.connection()
        .execute(
            sa.select(col(Decision.agreed))
            .where(
                _of(),
                col(Decision.link_id).is_not(None),
                _sure.between(confidence - 0.1, confidence + 0.1),
            )
            .order_by(col(Decision.id).desc())
            .limit(last)
        )
        .scalars()
        .all()
    )
    return sum(map(bool, rows)), len(rows)


def by_confidence(session: Session) -> tuple[Bin, ...]:
    """All ten bins of the record."""
    counted = {
        at: (count, int(accepted), total) for at, count, accepted, total in rows(session, _bins())
    }
    return bins([counted[at] for at in range(len(edges()))])


@cache
def _bins() -> Any:
    last = len(edges()) - 1
    parts = [
        sa.select(
            sa.literal(at, literal_execute=True),
            _COUNT,
            _ACCEPTED,
            sa.func.coalesce(sa.func.sum(_sure), 0.0),
        ).where(_of(), _sure >= start, _sure < (2.0 if at == last else end))
        for at, (start, end) in enumerate(edges())
    ]
    return sa.union_all(*parts)


def by_kind_and_signal(session: Session) -> list[tuple[str, str, Share]]:
    """(kind, strongest signal, what was decided), links and changes alike."""
    return [
        (kind, signal, Share(count, int(accepted)))
        for kind, signal, count, accepted in rows(session, _KINDS)
    ]


_KINDS = (
    sa.select(col(Decision.kind), col(Decision.signal), _COUNT, _ACCEPTED)
    .where(_of())
    .group_by(col(Decision.kind), col(Decision.signal))
)


def by_concept(session: Session, *, limit: int = CONCEPTS) -> tuple[list[Of], int]:
    """The concepts about which most was decided, and how many concepts there are in all."""
    tally = rows(session, _CONCEPTS)
    tally.sort(key=lambda each: (-each[1], each[0]))
    most = {concept: Share(count, int(accepted)) for concept, count, accepted in tally[:limit]}
    named = {page: (slug, title) for page, slug, title in rows(session, _NAMES, ids=list(most))}
    return [Of(*named[page], share) for page, share in most.items() if page in named], len(tally)


_TARGETS = (
    sa.select(col(Decision.concept_id), _COUNT.label("count"), _ACCEPTED.label("accepted"))
    .where(_of(), col(Decision.concept_id).is_not(None))
    .group_by(col(Decision.concept_id))
    .subquery()
)
# Papers and threads are linked to as well. What was decided of a merged concept stays its own.
_CONCEPTS = sa.select(*_TARGETS.c).join(
    Page,
    sa.and_(
        col(Page.id) == _TARGETS.c.concept_id,
        col(Page.kind).in_([PageKind.CONCEPT, *GONE]),
    ),
)
_NAMES = sa.select(col(Page.id), col(Page.slug), col(Page.title)).where(
    col(Page.id).in_(sa.bindparam("ids", expanding=True))
)


def by_week(session: Session, *, today: date) -> tuple[Week, ...]:
    """The last weeks in which something was decided, and those between."""
    first = session.connection().execute(_FIRST).scalar()
    shown = mondays(today, first.astimezone(UTC).date() if first else None)
    if not shown:
        return ()
    values = {f"monday_{at}": _begins(monday) for at, monday in enumerate(shown)}
    values["next_monday"] = _begins(shown[-1] + timedelta(weeks=1))
    counted = {
        at: Share(count, int(accepted))
        for at, count, accepted in rows(session, _weeks(len(shown)), **values)
    }
    return tuple(Week(monday, counted[at]) for at, monday in enumerate(shown))


@cache
def _weeks(count: int) -> Any:
    """Built once for each number of weeks: to build it takes longer than to run it."""
    moments = [f"monday_{at}" for at in range(count)] + ["next_monday"]
    at = col(Decision.at)
    bound = [sa.bindparam(name, type_=Decision.__table__.c.at.type) for name in moments]  # type: ignore[attr-defined]
    parts = [
        sa.select(sa.literal(week, literal_execute=True), _COUNT, _ACCEPTED).where(
            _of(), at >= bound[week], at < bound[week + 1]
        )
        for week in range(count)
    ]
    return sa.union_all(*parts)


_FIRST = sa.select(sa.func.min(col(Decision.at))).where(_of())


def _begins(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def during(monday: date) -> tuple[Any, Any]:
    """Conditions on decisions: made in the week that begins on this day."""
    begin = _begins(monday)
    return col(Decision.at) >= begin, col(Decision.at) < begin + timedelta(weeks=1)


def apart(session: Session) -> tuple[int, int]:
    """What is not in the record: how many proposals rules decided, and how many links came decided."""
    found = session.connection().execute(_APART).one()
    return int(found[0]), int(found[1])


_APART = sa.select(
    sa.select(_COUNT)
    .where(COUNTS, col(Decision.who) >= BY_RULE, col(Decision.who) < BY_RULE + "a")
    .scalar_subquery(),
    sa.select(_COUNT)
    .select_from(Decision)
    .where(
        col(Decision.who) == "import",
        col(Decision.link_id).is_not(None),
        col(Decision.undone).is_(False),
    )
    .scalar_subquery(),
)


def decided_from(
    session: Session, threshold: float, *, concept_id: int | None = None, kind: str = ""
) -> tuple[Share, int]:
    """What the person decided at or above a confidence, and what they accepted below it."""
    values: dict[str, Any] = {"threshold": threshold}
    values |= {"concept": concept_id} if concept_id else {}
    values |= {"kind": kind} if kind else {}
    statement = _decided_from(bool(concept_id), bool(kind))
    count, accepted, missed = session.connection().execute(statement, values).one()
    return Share(count, int(accepted)), missed


@cache
def _decided_from(concept: bool, kind: bool) -> Any:
    only = [col(Decision.concept_id) == sa.bindparam("concept")] if concept else []
    only += [col(Decision.kind) == sa.bindparam("kind")] if kind else []
    above = sa.select(_COUNT.label("count"), _ACCEPTED.label("accepted")).where(
        _of(), _sure >= sa.bindparam("threshold"), *only
    )
    below = sa.select(_ACCEPTED).where(_of(), _sure < sa.bindparam("threshold"), *only)
    return above.add_columns(below.scalar_subquery().label("missed"))


def what_if(session: Session, threshold: float, *, concept_id: int | None = None) -> WhatIf:
    """What another threshold would mean, for one concept or all."""
    decided, missed = decided_from(session, threshold, concept_id=concept_id)
    values: dict[str, Any] = {"threshold": threshold}
    values |= {"concept": concept_id} if concept_id else {}
    waiting, staying = session.connection().execute(_waiting(bool(concept_id)), values).one()
    return WhatIf(threshold, decided, missed, waiting, int(staying))


@cache
def _waiting(concept: bool) -> Any:
    staying = sa.case((col(Link.confidence) >= sa.bindparam("threshold"), 1), else_=0)
    statement = sa.select(_COUNT, sa.func.coalesce(sa.func.sum(staying), 0)).where(
        # As a literal, so that the index of waiting links can be used.
        col(Link.status)
        == sa.literal(LinkStatus.PROPOSED.value, sa.String(), literal_execute=True),
        col(Link.relation) != Relation.CONTRADICTS,
        col(Link.origin) == Origin.LINKER,
    )
    if concept:
        statement = statement.where(col(Link.target_id) == sa.bindparam("concept"))
    return statement


def told(session: Session, *, today: date) -> dict[str, object]:
    """The record as programs get it: the same numbers as the screen."""
    found = by_confidence(session)
    kinds = by_kind_and_signal(session)
    concepts, total = by_concept(session, limit=MOST)
    by_rule, imported = apart(session)
    whole = sum((each.decided for each in found), Share())
    error = calibration_error(found)

    def tally(share: Share) -> dict[str, object]:
        low, high = share.interval
        return {
            "decided": share.count,
            "accepted": share.accepted,
            "share": None if share.share is None else round(share.share, 4),
            "interval": [round(low, 4), round(high, 4)],
        }

    def named(pairs: Iterable[tuple[str, Share]], name: str) -> list[dict[str, object]]:
        sums: dict[str, Share] = {}
        for key, share in pairs:
            sums[key] = sums.get(key, Share()) + share
        return [{name: key, **tally(share)} for key, share in sorted(sums.items())]

    return {
        **tally(whole),
        "expected_calibration_error": None if error is None else round(error, 4),
        "by_confidence": [
            {
                "from": each.start,
                "to": each.end,
                "confidence": round(each.confidence, 4),
                **tally(each.decided),
            }
            for each in found
        ],
        "by_signal": named(((signal, share) for _, signal, share in kinds), "signal"),
        "by_kind": named(((kind, share) for kind, _, share in kinds), "kind"),
        "by_concept": [{"concept": each.name, **tally(each.decided)} for each in concepts],
        "concepts": total,
        "by_week": [
            {"week": each.name, **tally(each.decided)} for each in by_week(session, today=today)
        ],
        "apart": {"by_rule": by_rule, "imported": imported},
    }
