"""What templates show wherever it stands: questions, predictions, who wrote something."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from sqlmodel import Session

from app.domain.predictions import STATE_WORDS
from app.store import predictions
from app.store.predictions import PredictionRow
from app.store.questions import QuestionRow

# Where a form of a question or a prediction may lead back to.
_BACK = re.compile(
    r"/(?:w/[a-z0-9-]{1,300}|questions|predictions(?:/[0-9]{1,10})?)(?:\?[\w=&%.~+-]*)?"
)


def back_to(given: str, otherwise: str) -> str:
    """The screen that a form stood on, if it is one of ours."""
    return given if _BACK.fullmatch(given) else otherwise


def question_rows(rows: Iterable[QuestionRow]) -> list[dict[str, Any]]:
    """Questions as templates show them; what was withdrawn is told as such."""
    return [
        {
            "id": row.id,
            "number": row.number,
            "text": row.text,
            "state": row.state.value,
            "said": row.said.value,
            "day": row.day,
            "withdrawn": row.withdrawn,
            "slug": row.slug,
            "title": row.title,
            "by": {"slug": row.by[0], "title": row.by[1]} if row.by else None,
        }
        for row in rows
    ]


def prediction_rows(rows: Sequence[PredictionRow]) -> list[dict[str, Any]]:
    """Predictions as templates show them."""
    return [
        {
            "id": row.id,
            "text": row.text,
            "made": row.made,
            "due": row.due,
            "percent": None if row.probability is None else round(100 * row.probability),
            "state": row.state.value,
            "state_words": STATE_WORDS[row.state],
            "resolved": row.resolved,
            "resolution": row.resolution,
            "evidence": row.evidence,
            "slug": row.slug,
            "title": row.title,
            "touches": row.touches,
        }
        for row in rows
    ]


def due_rows(session: Session, today: date) -> list[dict[str, Any]]:
    """What is due today, for predictions/_due.html."""
    return prediction_rows(predictions.due(session, until=today.isoformat()))


def listed_words(words: Sequence[str]) -> str:
    """["you", "a model", "an import"] -> "you, a model and an import"."""
    return " and ".join([*([", ".join(words[:-1])] if words[1:] else []), *words[-1:]])
