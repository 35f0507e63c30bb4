"""Topics: the registry with what became of each topic's papers, the editor, and the trial of a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session
from starlette.datastructures import FormData

from app.bootstrap import App
from app.domain.record import FEW, Share
from app.domain.records import Topic
from app.domain.topics import Proposed, Tally
from app.errors import CerebroError, Conflict, Invalid
from app.services import topics
from app.services.topics import Mark, Moved, Trial
from app.store import topics as stored
from app.store.db import reading
from app.store.topics import Record
from app.web.deps import Form, Reads, TheApp, UnlessKnown, Writes, facts, text
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)

NEW = "_new"  # in an address; no id of a topic begins so
DAYS = 20  # that a change can be tried on
_FIELDS = ("id", "name", "keep", "filter", "tier", "threshold", "place")


def recorded(request: Request, session: Session, app: App) -> dict[str, Record]:
    """What became of the papers of each topic, counted once for each change of papers."""
    today = app.today()
    return facts(request).get(
        session,
        ("topics", today),
        lambda: stored.records(session, today=today),
        of=("paper",),
    )


def _record(request: Request, session: Session, topic: Topic | None, app: App) -> Record:
    """What became of the papers of a topic; nothing of one that is not there yet."""
    return recorded(request, session, app)[topic.id] if topic else Record()


@router.get("/topics", dependencies=[UnlessKnown])
def listed(request: Request, session: Reads, app: TheApp) -> Response:
    """Every topic in its order, with its precision and what it would be better picked from."""
    every = stored.listed(session)
    found = recorded(request, session, app)
    rows = [_row(topic, found.get(topic.id, Record())) for topic in every]
    return screen(
        request,
        "topics/page.html",
        rows=[row for row in rows if not row["retired"]],
        retired=[row for row in rows if row["retired"]],
        whole=_tally(stored.together(found)),
        examples=[each.name for each in topics.EXAMPLES],
        few=FEW,
    )


@router.post("/topics")
def begin(session: Writes) -> Response:
    """Add the examples to an empty list."""
    topics.add_examples(session)
    return RedirectResponse("/topics", 303)


@router.get(f"/topics/{NEW}")
def blank(request: Request, session: Reads) -> Response:
    """The form for a topic that is not there yet."""
    form = {"tier": "2", "threshold": f"{topics.THRESHOLD:g}"}
    return _edit(request, session, None, form, record=Record())


@router.get("/topics/{topic_id}", dependencies=[UnlessKnown])
def edit(request: Request, topic_id: str, session: Reads, app: TheApp) -> Response:
    """A topic: its form, its record by week, and a threshold that asks for."""
    topic = stored.get(session, topic_id)
    record = _record(request, session, topic, app)
    saved = request.query_params.get("saved") == "1"
    return _edit(request, session, topic, _form_of(session, topic), record=record, saved=saved)


@router.post("/topics/{topic_id}")
def save(request: Request, topic_id: str, form: Form, session: Writes, app: TheApp) -> Response:
    """Write a topic, or make one. What is wrong, or was changed elsewhere, comes back in the form."""
    new = topic_id == NEW
    given = _given(form)
    try:
        if new:
            made = topics.make(session, topics.wanted(given))
        else:
            asked = topics.wanted(_moved(given, form), topic_id=topic_id)
            made = topics.save(session, asked, base=text(form, "base"))
    except (Invalid, Conflict) as error:
        return _again(request, session, topic_id, given, form, error, app)
    return RedirectResponse(f"/topics/{made.id}?saved=1", 303)


@router.post("/topics/{topic_id}/try")
def try_out(request: Request, topic_id: str, form: Form, app: TheApp) -> Response:
    """What a changed topic would make of a day, beside the registry as it stands. Stores nothing."""
    given = _given(form)
    new = topic_id == NEW
    without = text(form, "without") == "1" and not new
    day = text(form, "day").strip()
    with reading(app.engine) as session:
        try:
            asked = None
            if not without:
                asked = topics.wanted(_moved(given, form), topic_id="" if new else topic_id)
            if not new:
                stored.get(session, topic_id)
            work = topics.read(session, asked, topic_id=topic_id, day=day)
        except Invalid as error:
            return _again(request, session, topic_id, given, form, error, app)
    trial = topics.think(work, app.query_encoder)
    with reading(app.engine) as session:
        topic = None if new else stored.get(session, topic_id)
        return _edit(
            request,
            session,
            topic,
            given | _bases(form),
            record=_record(request, session, topic, app),
            trial=_trial(trial, {each.id: each.name for each in (*work.before, *work.after)}),
            without=without,
        )


@router.post("/topics/{topic_id}/retire")
def retire(topic_id: str, form: Form, session: Writes) -> Response:
    """Retire a topic, or take it up again."""
    topics.retire(session, topic_id, retired=text(form, "retired") == "1", base=text(form, "base"))
    return RedirectResponse(f"/topics/{topic_id}?saved=1", 303)


@router.post("/topics/{topic_id}/threshold")
def take_over(topic_id: str, form: Form, session: Writes) -> Response:
    """Save a topic with another threshold, the rest as it stands."""
    topic = stored.get(session, topic_id)
    kept = topics.fields_of(topic) | {"threshold": text(form, "threshold")}
    topics.save(session, topics.wanted(kept, topic_id=topic_id), base=text(form, "base"))
    return RedirectResponse(f"/topics/{topic_id}?saved=1", 303)


# ---------------------------------------------------------------- the form


def _given(form: FormData) -> dict[str, str]:
    return {name: text(form, name) for name in _FIELDS}


def _bases(form: FormData) -> dict[str, str]:
    return {"base": text(form, "base"), "placed": text(form, "placed"), "day": text(form, "day")}


def _moved(given: Mapping[str, str], form: FormData) -> dict[str, str]:
    """The fields, without a place that is the one the form came with: others may have moved it."""
    same = given["place"].strip() == text(form, "placed").strip()
    return {**given, "place": "" if same else given["place"]}


def _form_of(session: Session, topic: Topic) -> dict[str, str]:
    order = [each.id for each in stored.listed(session) if not each.retired]
    place = str(order.index(topic.id) + 1) if topic.id in order else ""
    base = topics.base_of(topic)
    return topics.fields_of(topic) | {"place": place, "placed": place, "base": base}


def _again(
    request: Request,
    session: Session,
    topic_id: str,
    given: dict[str, str],
    form: FormData,
    error: CerebroError,
    app: App,
) -> Response:
    """The form as it was sent, with what is wrong with it; or with what was saved meanwhile."""
    topic = None if topic_id == NEW else stored.get(session, topic_id)
    kept, theirs = given | _bases(form), None
    if isinstance(error, Conflict) and topic is not None:
        theirs = _form_of(session, topic)
        kept |= {"base": theirs["base"]}
    fields = error.fields if isinstance(error, Invalid) else {}
    return _edit(
        request,
        session,
        topic,
        kept,
        record=_record(request, session, topic, app),
        errors=fields,
        problem="" if fields else str(error),
        theirs=theirs,
        status=409 if isinstance(error, Conflict) else 422,
    )


def _edit(
    request: Request,
    session: Session,
    topic: Topic | None,
    form: dict[str, str],
    *,
    record: Record,
    errors: Mapping[str, str] | None = None,
    problem: str = "",
    theirs: dict[str, str] | None = None,
    trial: dict[str, Any] | None = None,
    without: bool = False,
    saved: bool = False,
    status: int = 200,
) -> Response:
    return screen(
        request,
        "topics/topic.html",
        status_code=status,
        topic=_row(topic, record) if topic else None,
        address=f"/topics/{topic.id if topic else NEW}",
        form=form,
        errors=errors or {},
        problem=problem,
        theirs=theirs,
        trial=trial,
        without=without,
        saved=saved,
        days=stored.days(session, limit=DAYS),
        few=FEW,
    )


# ---------------------------------------------------------------- in words


def _row(topic: Topic, record: Record) -> dict[str, Any]:
    return {
        "id": topic.id,
        "name": topic.name,
        "tier": topic.tier,
        "threshold": f"{topic.threshold:g}",
        "retired": topic.retired,
        "base": topics.base_of(topic),
        **_tally(record.tally),
        "weeks": [
            {
                "monday": week.monday,
                "at": at,
                **_tally(week.tally),
                # As the bars of the linker's record name them.
                "count": week.tally.precision.count,
                "accepted": week.tally.precision.accepted,
            }
            for at, week in enumerate(record.weeks)
        ],
        "points": [week.tally.picked for week in record.weeks],
        "proposed": _proposed(record.proposed),
        "quiet": _tally(record.quiet) if record.quiet else None,
    }


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "waiting": tally.undecided,
        "kept": tally.kept,
        "dropped": tally.dropped,
        "decided": tally.decided,
        "picked": tally.picked,
        "picked_kept": tally.picked_kept,
        "picked_dropped": tally.picked_dropped,
        "picked_undecided": tally.picked_undecided,
        "missed": tally.missed,
        **_share(tally.precision),
    }


def _share(share: Share) -> dict[str, Any]:
    low, high = share.interval
    return {
        "judged": share.count,
        "percent": None if share.share is None else round(100 * share.share),
        "between": f"{round(100 * low)}–{round(100 * high)}",
    }


def _proposed(found: Proposed | None) -> dict[str, Any] | None:
    if found is None:
        return None
    each = abs(found.more_a_day)
    return {
        "threshold": f"{found.threshold:g}",
        "better": found.is_better,
        "kept": found.kept,
        "decided": found.decided,
        "percent": round(100 * found.found / found.kept),
        "missed": found.missed,
        "missed_now": found.missed_now,
        "days": found.days,
        "a_day": f"{each:.0f}" if each >= 10 else f"{each:.1f}",
        "fewer": found.more_a_day < 0,
        "same": each < 0.05,
    }


def _trial(trial: Trial, names: Mapping[str, str]) -> dict[str, Any]:
    def mark(each: Mark) -> dict[str, Any]:
        return {
            "score": f"{each.score:.2f}",
            "relevance": each.relevance,
            "topic": names.get(each.topic, ""),
        }

    def papers(some: tuple[Moved, ...]) -> list[dict[str, Any]]:
        return [
            {
                "title": row.title,
                "state": row.state.value,
                "before": mark(row.before),
                "after": mark(row.after),
            }
            for row in some
        ]

    return {
        "day": trial.day,
        "papers": trial.papers,
        "before": trial.picked_before,
        "after": trial.picked_after,
        "unencoded": trial.unencoded,
        "decisions": trial.decisions,
        "groups": [
            (words, count, papers(some))
            for words, count, some in (
                ("Would be picked", trial.gained_count, trial.gained),
                ("Would not be picked any more", trial.lost_count, trial.lost),
                ("Largest moves of the others", trial.moved_count, trial.moved),
                ("Would have another topic", trial.renamed_count, trial.renamed),
            )
        ],
    }
