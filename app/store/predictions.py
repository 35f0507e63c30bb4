"""Predictions as rows: what pages foretell, what is due, and the papers that bear on them."""

from __future__ import annotations

import calendar
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain import predictions
from app.domain.identifiers import title_key
from app.domain.predictions import Judged, Score
from app.domain.records import (
    Origin,
    Page,
    Prediction,
    PredictionState,
    PredictionTouch,
)
from app.errors import NotFound
from app.store.db import LARGEST_ID, bump, rows

PER_PAGE = 50
_OPEN = PredictionState.OPEN
_JUDGED = (PredictionState.CAME_TRUE, PredictionState.FAILED)


@dataclass(frozen=True)
class PredictionRow:
    """A prediction of a page. `made` and `resolved` are days; `due` a day, a month or a year, of which
    the last day counts, or "". `touches` counts the papers that bear on it.
    """

    id: int
    text: str
    made: str
    due: str
    probability: float | None
    state: PredictionState
    resolved: str
    resolution: str
    evidence: list[dict[str, Any]]
    page_id: int
    slug: str
    title: str
    touches: int

    def is_due(self, until: str) -> bool:
        """Whether it waits for its judgement on the day `until` (ISO)."""
        last = predictions.deadline(self.due) if self.due else None
        return self.state == _OPEN and last is not None and last.isoformat() <= until


@dataclass(frozen=True)
class TouchRow:
    """A paper that bears on a prediction by the words `quotation`, of which `spans` are shared."""

    prediction_id: int
    text: str
    made: str
    due: str
    predictor_slug: str
    predictor_title: str
    page_id: int
    slug: str
    title: str
    day: str
    confidence: float
    quotation: str
    spans: list[list[int]]


def _touched() -> Any:
    return (
        sa.select(sa.func.count())
        .where(
            col(PredictionTouch.prediction_id) == col(Prediction.id),
            ~col(PredictionTouch.dismissed),
        )
        .correlate(Prediction)
        .scalar_subquery()
    )


def _rows(*where: Any) -> sa.Select[Any]:
    return (
        sa.select(
            col(Prediction.id),
            col(Prediction.text),
            col(Prediction.made),
            col(Prediction.due),
            col(Prediction.probability),
            col(Prediction.state),
            col(Prediction.resolved),
            col(Prediction.resolution),
            col(Prediction.evidence),
            col(Prediction.page_id),
            col(Page.slug),
            col(Page.title),
            _touched().label("touches"),
        )
        .join(Page, col(Page.id) == col(Prediction.page_id))
        .where(*where)
    )


def _read(session: Session, statement: Any, **values: Any) -> list[PredictionRow]:
    return [PredictionRow(**row._mapping) for row in rows(session, statement, **values)]


def due(session: Session, *, until: str, limit: int = 200) -> list[PredictionRow]:
    """The open ones that are to be judged by the day `until` (ISO), the longest due first."""
    day = date.fromisoformat(until)
    ends = day.day == calendar.monthrange(day.year, day.month)[1]
    earlier = f"{day.year - (day.month == 1):04}-{day.month - 1 or 12:02}"
    return _read(
        session,
        _DUE.limit(limit),
        until=until,
        month=until[:7] if ends else earlier,
        year=until[:4] if ends and day.month == 12 else f"{day.year - 1:04}",
    )


_LENGTH = sa.func.length(col(Prediction.due))
# By the last day of a month or a year; what has no date comes last.
_DUE_KEY = sa.case(
    (_LENGTH == 10, col(Prediction.due)),
    (_LENGTH == 7, col(Prediction.due) + "-31"),
    (_LENGTH == 4, col(Prediction.due) + "-12-31"),
    else_=sa.literal("9999"),
)
_DUE = _rows(
    col(Prediction.state) == _OPEN,
    ((_LENGTH == 10) & (col(Prediction.due) <= sa.bindparam("until")))
    | ((_LENGTH == 7) & (col(Prediction.due) <= sa.bindparam("month")))
    | ((_LENGTH == 4) & (col(Prediction.due) <= sa.bindparam("year"))),
).order_by(_DUE_KEY, col(Prediction.id))


def of_page(session: Session, page_id: int) -> list[PredictionRow]:
    """What a page foretells, in the order in which it was noted."""
    return _read(session, _OF_PAGE, page=page_id)


_OF_PAGE = _rows(col(Prediction.page_id) == sa.bindparam("page")).order_by(col(Prediction.id))


def get(session: Session, prediction_id: int) -> Prediction:
    """Raises NotFound."""
    found = session.get(Prediction, prediction_id) if 0 < prediction_id <= LARGEST_ID else None
    if found is None:
        raise NotFound("There is no such prediction.")
    return found


def row(session: Session, prediction_id: int) -> PredictionRow:
    """Raises NotFound."""
    get(session, prediction_id)
    return _read(session, _rows(col(Prediction.id) == prediction_id))[0]


def keyed(session: Session, page_id: int, key: str) -> Prediction | None:
    return session.exec(
        select(Prediction).where(Prediction.page_id == page_id, Prediction.key == key)
    ).first()


def note(
    session: Session,
    page_id: int,
    text: str,
    *,
    due: str,
    made: str,
    origin: Origin,
    now: datetime,
    probability: float | None = None,
    extra: Mapping[str, Any] | None = None,
) -> bool:
    """Note what a page foretells; False when the page does already, whatever became of it."""
    if keyed(session, page_id, title_key(text)) is not None:
        return False
    session.add(
        Prediction(
            page_id=page_id,
            key=title_key(text),
            text=text,
            made=made,
            due=due,
            probability=probability,
            origin=origin,
            extra=dict(extra or {}),
            created_at=now,
        )
    )
    session.flush()
    bump(session)
    return True


# ---------------------------------------------------------------- lists


def open_ones(session: Session, *, after: str = "", limit: int = PER_PAGE) -> list[PredictionRow]:
    """The open ones, the soonest due first, those without a date last.

    `after` is the place of the last one shown (`place_of`); what is none is no condition.
    """
    statement = _rows(col(Prediction.state) == _OPEN)
    if (place := _place(after)) is not None:
        statement = statement.where(sa.tuple_(_DUE_KEY, col(Prediction.id)) > place)
    return _read(session, statement.order_by(_DUE_KEY, col(Prediction.id)).limit(limit))


def resolved(
    session: Session,
    *,
    state: PredictionState | None = None,
    month: str = "",
    weighed: bool = False,
    after: str = "",
    limit: int = PER_PAGE,
) -> list[PredictionRow]:
    """What was judged or withdrawn, the last first; of one state, of one month of its resolution.

    `weighed`: only what had a probability, and came true or failed.
    """
    where: list[Any] = [col(Prediction.state) != _OPEN]
    if state is not None:
        where.append(col(Prediction.state) == state)
    if month:
        where.append(col(Prediction.resolved).startswith(f"{month}-", autoescape=True))
    if weighed:
        where += [col(Prediction.probability).is_not(None), col(Prediction.state).in_(_JUDGED)]
    statement = _rows(*where)
    if (place := _place(after)) is not None:
        statement = statement.where(sa.tuple_(col(Prediction.resolved), col(Prediction.id)) < place)
    ordered = statement.order_by(col(Prediction.resolved).desc(), col(Prediction.id).desc())
    return _read(session, ordered.limit(limit))


def place_of(row: PredictionRow) -> str:
    """Where a row stands in its list, as it stands in addresses."""
    ends = {10: row.due, 7: f"{row.due}-31", 4: f"{row.due}-12-31"}.get(len(row.due), "9999")
    return f"{ends if row.state == _OPEN else row.resolved}~{row.id}"


def _place(text: str) -> Any:
    key, sign, number = text[:40].rpartition("~")
    if not sign or not number.isascii() or not number.isdigit() or "\x00" in key:
        return None
    return (
        sa.tuple_(sa.literal(key), sa.literal(int(number))) if int(number) <= LARGEST_ID else None
    )


def counts(session: Session) -> dict[PredictionState, int]:
    """How many stand how."""
    found = dict.fromkeys(PredictionState, 0)
    found |= {row.state: row.number for row in rows(session, _COUNTS)}
    return found


_COUNTS = sa.select(col(Prediction.state), sa.func.count().label("number")).group_by(
    col(Prediction.state)
)


def score(session: Session) -> Score:
    """How well was foretold, over all that came true or failed."""
    return predictions.score(
        [
            Judged(row.state == PredictionState.CAME_TRUE, row.resolved, row.probability)
            for row in rows(session, _SCORED)
        ]
    )


_SCORED = sa.select(
    col(Prediction.state), col(Prediction.resolved), col(Prediction.probability)
).where(col(Prediction.state).in_(_JUDGED))


# ---------------------------------------------------------------- papers that bear on them

_PREDICTOR = Page.__table__.alias("predictor")  # type: ignore[attr-defined]


def _touches(*where: Any) -> Any:
    return (
        sa.select(
            col(PredictionTouch.prediction_id),
            col(Prediction.text),
            col(Prediction.made),
            col(Prediction.due),
            _PREDICTOR.c.slug.label("predictor_slug"),
            _PREDICTOR.c.title.label("predictor_title"),
            col(PredictionTouch.page_id),
            col(Page.slug),
            col(Page.title),
            col(PredictionTouch.day),
            col(PredictionTouch.confidence),
            col(PredictionTouch.quotation),
            col(PredictionTouch.spans),
        )
        .join(Prediction, col(Prediction.id) == col(PredictionTouch.prediction_id))
        .join(_PREDICTOR, _PREDICTOR.c.id == col(Prediction.page_id))
        .join(Page, col(Page.id) == col(PredictionTouch.page_id))
        .where(~col(PredictionTouch.dismissed), *where)
        .order_by(col(PredictionTouch.confidence).desc(), col(PredictionTouch.page_id))
    )


_OF = _touches(col(PredictionTouch.prediction_id).in_(sa.bindparam("ids", expanding=True)))


def touches_of(session: Session, prediction_ids: Sequence[int]) -> dict[int, list[TouchRow]]:
    """The papers that bear on each of these, the surest first; what was dismissed left out."""
    found: dict[int, list[TouchRow]] = defaultdict(list)
    if prediction_ids:
        for each in rows(session, _OF, ids=list(prediction_ids)):
            found[each.prediction_id].append(TouchRow(**each._mapping))
    return found


def touch(session: Session, prediction_id: int, page_id: int) -> PredictionTouch:
    """Raises NotFound."""
    known = 0 < prediction_id <= LARGEST_ID and 0 < page_id <= LARGEST_ID
    found = session.get(PredictionTouch, (prediction_id, page_id)) if known else None
    if found is None:
        raise NotFound("That paper is not said to bear on this prediction any more.")
    return found
