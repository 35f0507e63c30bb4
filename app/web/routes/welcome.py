"""The first steps of a new reader: interests, sources, and a first day to look at."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session, col

from app.bootstrap import App
from app.domain.interests import INTERESTS
from app.domain.records import (
    Assessment,
    Digest,
    Fetch,
    FetchState,
    ListingPaper,
    Source,
    Subscription,
)
from app.errors import Invalid
from app.first_day import bring_sample
from app.services import first_steps, subscriptions
from app.sources.defaults import DEFAULTS, default, found
from app.store import listings, preferences
from app.store import topics as stored_topics
from app.web.deps import Form, Reads, TheApp, Writes, text
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)

SAMPLE, SOURCES = "sample", "sources"
_NOTICES = {
    "removed": "The sample is gone.",
    "stays": "The sample is gone, but for the pages that you wrote on: they are yours.",
}


@router.get("/welcome")
def welcome(request: Request, session: Reads, app: TheApp) -> Response:
    """The form, with what the reader has already."""
    notice = _NOTICES.get(request.query_params.get("notice", ""), "")
    ticked = {each.key for each in DEFAULTS if each.ticked}
    return _shown(request, session, app, sources=ticked, notice=notice)


@router.post("/welcome")
def begin(request: Request, app: TheApp, form: Form, session: Writes) -> Response:
    """Make the topics, add the sources, bring the sample, and show how the first day comes about."""
    interests = {each for each in form.getlist("interest") if isinstance(each, str)}
    sources = {each for each in form.getlist("source") if isinstance(each, str)}
    own, first = text(form, "own"), text(form, "first", SAMPLE)
    try:
        with session.begin_nested():
            first_steps.choose(session, interests, first_steps.own_interests(own))
            added = _subscribe(session, app, sources)
            if first == SOURCES and not (added or _subscribed(session, app)):
                raise Invalid("Choose at least one source, or look at the sample first.")
    except Invalid as error:
        return _shown(
            request,
            session,
            app,
            interests=interests,
            sources=sources,
            own=own,
            first=first,
            problem=str(error),
            status=422,
        )
    preferences.set_welcomed(session)
    if first != SOURCES:
        bring_sample(session, app.today().isoformat(), now=app.clock())
    return RedirectResponse("/welcome/day", 303)


@router.post("/welcome/sample")
def sample(session: Writes, app: TheApp) -> Response:
    """Bring the sample for somebody who does not want to wait."""
    bring_sample(session, app.today().isoformat(), now=app.clock())
    return RedirectResponse("/welcome/day", 303)


@router.post("/welcome/skip")
def skip(session: Writes) -> Response:
    """No first steps: Today does not offer them again; More leads to them."""
    preferences.set_welcomed(session)
    return RedirectResponse("/", 303)


@router.post("/welcome/remove")
def remove(session: Writes) -> Response:
    """Take the sample out."""
    removed = first_steps.remove_sample(session)
    return RedirectResponse(f"/welcome?notice={'stays' if removed.stay else 'removed'}", 303)


@router.get("/welcome/day")
def first_day(request: Request, session: Reads, app: TheApp) -> Response:
    """How far the first day is; the day itself as soon as it is told."""
    day = first_steps.standing(session).sample_day or listings.newest(session)
    papers, judged = session.connection().execute(_JUDGED, {"day": day}).one()
    told = bool(session.connection().execute(_TOLD, {"day": day}).scalar())
    if day and papers and judged >= papers and told:
        return RedirectResponse(f"/today/{day}", 303)
    return screen(
        request,
        "welcome/day.html",
        day=day,
        papers=papers,
        judged=judged or 0,
        told=told,
        sample=bool(first_steps.standing(session).sample_day),
        sources=dict(
            zip(
                ("waiting", "running", "failed"),
                session.connection().execute(_FETCHES).one(),
                strict=True,
            )
        ),
    )


_JUDGED = sa.select(
    sa.func.count(sa.distinct(col(ListingPaper.paper_id))),
    sa.func.count(sa.distinct(col(Assessment.paper_id))),
).select_from(ListingPaper).outerjoin(
    Assessment, col(Assessment.paper_id) == col(ListingPaper.paper_id)
).where(col(ListingPaper.day) == sa.bindparam("day"))  # fmt: skip
_TOLD = sa.select(sa.exists().where(col(Digest.day) == sa.bindparam("day")))
_FETCHES = sa.select(
    *(
        sa.func.coalesce(sa.func.sum(sa.case((col(Fetch.state) == state, 1), else_=0)), 0)
        for state in (FetchState.WAITING, FetchState.RUNNING, FetchState.FAILED)
    )
)


def _shown(
    request: Request,
    session: Session,
    app: App,
    *,
    interests: Collection[str] = (),
    sources: Collection[str] = (),
    own: str = "",
    first: str = SAMPLE,
    problem: str = "",
    notice: str = "",
    status: int = 200,
) -> Response:
    have = {topic.id for topic in stored_topics.listed(session)}
    fetched = _subscribed(session, app)
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in DEFAULTS:
        groups.setdefault(each.group, []).append(
            {
                "key": each.key,
                "name": each.name,
                "words": each.words,
                "chosen": each.key in sources,
                "have": each.key in fetched,
            }
        )
    return screen(
        request,
        "welcome/page.html",
        status_code=status,
        interests=[
            {
                "id": each.id,
                "name": each.name,
                "words": each.words,
                "chosen": each.id in interests,
                "have": each.id in have,
            }
            for each in INTERESTS
        ],
        own=own,
        groups=[{"name": name, "sources": offered} for name, offered in groups.items()],
        first=first,
        sample=first_steps.sample_papers(session),
        day=first_steps.standing(session).sample_day,
        problem=problem,
        notice=notice,
    )


def _subscribed(session: Session, app: App) -> Collection[str]:
    """Which of the sources on offer are fetched already, by their keys."""
    keys = {found(each, app.connectors).key: each.key for each in DEFAULTS}
    return {
        keys[key] for key in session.connection().execute(_FETCHED, {"keys": list(keys)}).scalars()
    }


_FETCHED = (
    sa.select(col(Source.key))
    .join(Subscription, col(Subscription.source_id) == col(Source.id))
    .where(col(Source.key).in_(sa.bindparam("keys", expanding=True)))
)


def _subscribe(session: Session, app: App, keys: Collection[str]) -> int:
    """Add those of the sources on offer that are not there; how many. They are due at once."""
    chosen = [default(key) for key in sorted(keys)]
    return subscriptions.add_new(
        session,
        [found(each, app.connectors) for each in chosen if each is not None],
        connectors=app.connectors,
        now=app.clock(),
    )
