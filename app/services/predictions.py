"""Predictions: noted by hand or on the way in, judged on evidence, and touched by new papers.

A judgement keeps how the prediction stood before, so that it can be taken back. Papers that bear on
an open prediction are found by the rule of `domain/bearing.py`; they decide nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlmodel import Session, col, select

from app.domain.bearing import Bearing
from app.domain.identifiers import title_key, whole_day
from app.domain.markdown import plain_text
from app.domain.predictions import LONGEST, STATE_WORDS, deadline, given_due, stands_in
from app.domain.records import (
    GONE,
    Origin,
    Page,
    PageKind,
    PageText,
    Paper,
    Prediction,
    PredictionState,
    PredictionTouch,
)
from app.errors import Conflict, Invalid
from app.store import bearing, corpus, pages, predictions
from app.store.bearing import PREDICTIONS, Taken, Work
from app.store.corpus import Library
from app.store.db import bump
from app.store.predictions import PredictionRow
from app.store.vectors import VectorIndex

STEP = PREDICTIONS.step
_BEFORE = "before"  # in `extra`: how it stood before it was judged
LONGEST_REASON = 2_000
LONGEST_QUOTATION = 2_000


# ---------------------------------------------------------------- noting


def wanted_probability(given: str | float | None) -> float | None:
    """A probability as a person writes it: 0.7, 70% or 70; None for nothing.

    Raises Invalid.
    """
    plain = str(given if given is not None else "").strip().replace(",", ".")
    if not plain:
        return None
    percent = plain.endswith("%")
    try:
        number = float(plain.rstrip("% "))
    except ValueError:
        number = -1.0
    if percent or number > 1:
        number /= 100
    if not 0 <= number <= 1:
        wrong = "A probability is a number from 0 to 1, or a percentage."
        raise Invalid(wrong, fields={"probability": wrong})
    return number


def add(
    session: Session,
    page: str,
    text: str,
    *,
    due: str = "",
    made: str = "",
    probability: str | float | None = None,
    today: date,
    now: datetime,
    origin: Origin = Origin.AUTHOR,
) -> PredictionRow:
    """Note what a page (an address or a name) foretells; `due` as `given_due` reads it.

    Without `made` it is made today. Raises Invalid for a field that says nothing usable, NotFound
    for a page that is not there, Conflict for what the page foretells already.
    """
    found = _page(session, page)
    plain = " ".join(text.replace("\x00", "").split())
    wrong: dict[str, str] = {}
    if not plain:
        wrong["text"] = "A prediction needs a sentence that can turn out wrong."
    elif len(plain) > LONGEST:
        wrong["text"] = f"A prediction may have {LONGEST:,} characters at most."
    day = whole_day(made.strip()) if made.strip() else today
    if day is None:
        wrong["made"] = f"{made.strip()[:40]!r} is not a day (YYYY-MM-DD)."
    by = given_due(due, day or today) if due.strip() else ""
    if due.strip() and not by:
        wrong["due"] = (
            f"{due.strip()[:40]!r} names no day to come: write 2026-09-30, 2026-09, 2026 or "
            "“in 90 days”."
        )
    elif by and day is not None and (deadline(by) or day) < day:
        wrong["due"] = f"{by} is before the day it was made, {day.isoformat()}."
    try:
        share = wanted_probability(probability)
    except Invalid as error:
        wrong |= error.fields
        share = None
    if wrong:
        raise Invalid(" ".join(wrong.values()), fields=wrong)
    assert day is not None
    assert found.id is not None
    new = predictions.note(
        session,
        found.id,
        plain,
        due=by,
        made=day.isoformat(),
        probability=share,
        origin=origin,
        now=now,
    )
    noted = predictions.keyed(session, found.id, title_key(plain))
    assert noted is not None
    if not new:
        raise Conflict(f"“{found.title}” foretells this already.")
    return predictions.row(session, noted.id or 0)


def _page(session: Session, name: str) -> Page:
    plain = name.replace("\x00", "").strip()[:500]
    found = pages.by_slug(session, plain) or pages.former(session, plain)
    if found is None and plain and (row := pages.named(session, plain)) is not None:
        found = session.get(Page, row.id)
    if found is None or found.kind in GONE:
        wrong = f"There is no page {plain[:80]!r}." if plain else "Name the page that foretells it."
        raise Invalid(wrong, fields={"page": wrong})
    return found


# ---------------------------------------------------------------- judging


def resolve(
    session: Session,
    prediction_id: int,
    state: str,
    *,
    resolution: str = "",
    page: str = "",
    quotation: str = "",
    day: str = "",
    today: date,
) -> PredictionRow:
    """Judge a prediction: came-true, failed or withdrawn; "open" is `reopen`.

    A quotation is evidence and has to stand in the text of the page it names, word for word. How the
    prediction stood before is kept. Raises NotFound; Invalid with one sentence that says what is
    wrong; Conflict for one that was judged already.
    """
    row = predictions.get(session, prediction_id)
    wrong: dict[str, str] = {}
    try:
        wanted = PredictionState(state.strip().lower().replace(" ", "-"))
    except ValueError:
        known = ", ".join(each.value for each in PredictionState)
        sentence = f"{state[:40]!r} is no state of a prediction: it is one of {known}."
        raise Invalid(sentence, fields={"state": sentence}) from None
    if wanted == PredictionState.OPEN:
        return reopen(session, prediction_id)
    judged = whole_day(day.strip()) if day.strip() else today
    if judged is None or judged > today:
        wrong["day"] = f"{day.strip()[:40]!r} is no day up to today (YYYY-MM-DD)."
    elif judged.isoformat() < row.made:
        wrong["day"] = f"It was made on {row.made}: judge it by a day after that."
    reason = resolution.replace("\x00", "").strip()
    if len(reason) > LONGEST_REASON:
        wrong["resolution"] = f"Say why in {LONGEST_REASON:,} characters at most."
    quoted = " ".join(quotation.replace("\x00", "").split())
    proof: list[dict[str, Any]] = []
    if quoted or page.strip():
        try:
            proof = _evidence(session, page, quoted)
        except Invalid as error:
            wrong |= error.fields
    if wrong:
        raise Invalid(" ".join(wrong.values()), fields=wrong)
    if row.state != PredictionState.OPEN:
        raise Conflict(f"It was judged already: it {_was(row.state)}. Open it again first.")
    assert judged is not None
    row.extra = {**row.extra, _BEFORE: _as_it_stands(row)}
    row.state, row.resolved = wanted, judged.isoformat()
    row.resolution, row.evidence = reason, proof
    session.add(row)
    session.flush()
    bump(session)
    return predictions.row(session, prediction_id)


def _was(state: PredictionState) -> str:
    words = STATE_WORDS[state]
    return f"was {words}" if state == PredictionState.WITHDRAWN else words


def _evidence(session: Session, page: str, quotation: str) -> list[dict[str, Any]]:
    if not page.strip():
        wrong = "Name the page that the quotation stands in."
        raise Invalid(wrong, fields={"page": wrong})
    found = _page(session, page)
    if not quotation:
        return [{"page": found.slug, "quotation": ""}]
    if len(quotation) > LONGEST_QUOTATION:
        wrong = f"Quote {LONGEST_QUOTATION:,} characters at most."
        raise Invalid(wrong, fields={"quotation": wrong})
    said = session.get(PageText, found.id)
    paper = session.exec(select(Paper).where(Paper.page_id == found.id)).first()
    texts = [found.title, found.body, plain_text(found.body)]
    texts += [said.text] if said else []
    texts += [paper.abstract] if paper else []
    if not stands_in(quotation, texts):
        wrong = f"These words do not stand in “{found.title}”: copy them from its text."
        raise Invalid(wrong, fields={"quotation": wrong})
    return [{"page": found.slug, "quotation": quotation}]


def _as_it_stands(row: Prediction) -> dict[str, Any]:
    return {
        "state": row.state.value,
        "resolved": row.resolved,
        "resolution": row.resolution,
        "evidence": row.evidence,
    }


def reopen(session: Session, prediction_id: int) -> PredictionRow:
    """Take a judgement back: the prediction is open again. Its words are kept in `extra`.

    Raises NotFound, and Conflict for one that is open.
    """
    row = predictions.get(session, prediction_id)
    if row.state == PredictionState.OPEN:
        raise Conflict("This prediction is open: there is no judgement to take back.")
    past = [*row.extra.get("judgements", []), _as_it_stands(row)][-20:]
    row.extra = {name: each for name, each in row.extra.items() if name != _BEFORE}
    row.extra = {**row.extra, "judgements": past}
    row.state, row.resolved, row.resolution, row.evidence = PredictionState.OPEN, "", "", []
    session.add(row)
    session.flush()
    bump(session)
    return predictions.row(session, prediction_id)


def dismiss(session: Session, prediction_id: int, page: str, *, back: bool = False) -> None:
    """Say that a paper (its address) does not bear on a prediction; it is not shown any more.

    `back` shows it again. Raises NotFound.
    """
    found = pages.get(session, page)
    touch = predictions.touch(session, prediction_id, found.id or 0)
    touch.dismissed = not back
    session.add(touch)
    session.flush()
    bump(session)


# ---------------------------------------------------------------- the step: papers that bear on one


def pending(session: Session, *, now: datetime) -> int:
    """How many kept papers and new predictions were not held against each other."""
    return bearing.pending(session, PREDICTIONS, now=now)


def take_up(session: Session, *, owner: str, now: datetime) -> Taken:
    return bearing.take_up(session, PREDICTIONS, owner=owner, now=now)


def read(session: Session, index: VectorIndex | None, taken: Taken, library: Library) -> Work:
    return bearing.read(session, PREDICTIONS, index, taken, library)


def think(work: Work) -> list[Bearing]:
    """Which papers bear on what."""
    return work.found()


def store(
    session: Session, work: Work, found: Sequence[Bearing], *, now: datetime, owner: str = ""
) -> int:
    """Write down which papers bear on what; how many are new. What was dismissed stays so.

    What a paper that was read whole does not bear on any more goes.
    """
    mine, new = bearing.still(session, PREDICTIONS, work.taken, owner)
    asked = {each.id: each for each in bearing.asked(session, PREDICTIONS)}
    alive = corpus.alive(session, {each.paper for each in found} | mine, *PageKind)
    kept = {(each.asked, each.paper) for each in found}
    for touch in session.exec(
        select(PredictionTouch).where(col(PredictionTouch.page_id).in_(sorted(mine)))
    ).all():
        gone = (touch.prediction_id, touch.page_id) not in kept and touch.prediction_id in asked
        if gone and not touch.dismissed:
            session.delete(touch)
    made = 0
    for each in found:
        wanted = each.paper in mine or each.asked in new
        if not wanted or each.asked not in asked or each.paper not in alive:
            continue
        standing = session.get(PredictionTouch, (each.asked, each.paper))
        made += standing is None
        row = standing or PredictionTouch(
            prediction_id=each.asked, page_id=each.paper, confidence=0.0, quotation=""
        )
        row.day = work.papers[each.paper].read.day
        row.confidence, row.quotation = each.confidence, each.sentence
        row.spans = [list(span) for span in each.spans]
        session.add(row)
    session.flush()
    bearing.done(session, PREDICTIONS, work, mine, new)
    if made:
        bump(session)
    return made


def as_json(row: PredictionRow) -> dict[str, object]:
    """A prediction as programs get it."""
    return {
        "id": row.id,
        "page": row.slug,
        "title": row.title,
        "text": row.text,
        "made": row.made,
        "due": row.due,
        "probability": row.probability,
        "state": row.state.value,
        "resolved": row.resolved,
        "resolution": row.resolution,
        "evidence": row.evidence,
        "touched_by": row.touches,
    }
