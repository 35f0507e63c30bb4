"""The web application: routes, templates, static files and the one security middleware."""

from __future__ import annotations

from threading import Event

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlmodel import Session
from starlette.middleware.gzip import GZipMiddleware

from app import __version__
from app.bootstrap import App
from app.domain.records import PageKind
from app.services.costs import in_words
from app.store import changes, links, pages, papers, runs
from app.store import sources as sources_stored
from app.store.db import reading
from app.web import templating
from app.web.assets import Assets, Static
from app.web.deps import facts
from app.web.memory import Bodies, Facts, Fragments, Sent
from app.web.routes import (
    activity,
    api,
    atlas,
    concepts,
    costs,
    export,
    feed,
    health,
    history,
    importing,
    inbox,
    jobs,
    judging,
    live,
    mentions,
    months,
    page,
    predictions,
    questions,
    record,
    removal,
    review,
    rules,
    search,
    settings,
    sources,
    threads,
    today,
    topics,
    triage,
    vault,
    welcome,
)
from app.web.security import Security
from app.web.streams import Streams
from app.web.templating import plural

ROUTERS = (
    feed,  # before what takes a day: /today/2026-05-14.html is a file
    today,
    inbox,
    triage,
    judging,
    record,
    review,
    rules,
    concepts,
    page,
    removal,
    history,
    activity,
    export,
    questions,
    predictions,
    mentions,
    live,
    health,
    vault,
    months,
    threads,
    topics,
    atlas,
    search,
    sources,
    jobs,
    costs,
    settings,
    importing,
    welcome,
    api,
)


def create(app: App) -> FastAPI:
    """The ASGI application over one wiki."""
    web = FastAPI(
        title="cere-bro",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    web.state.app = app
    web.state.facts = Facts()
    web.state.bodies = Bodies()
    web.state.fragments = Fragments()
    web.state.sent = Sent()
    web.state.ending = Event()  # set when the server is about to stop
    web.state.streams = Streams(web.state.ending)
    assets = Assets.load()
    templating.install(
        web,
        assets=assets,
        nav=lambda request: _nav(app, request),
        clock=app.clock,
        zone=app.settings.zone,
    )
    for module in ROUTERS:
        web.include_router(module.router)
    web.mount("/static", Static(assets), name="static")

    @web.get("/healthz", include_in_schema=False)
    def healthz() -> JSONResponse:
        """Whether the process answers and its database opens; no model, no worker is asked."""
        with reading(app.engine) as session:
            session.connection().execute(text("SELECT 1"))
        return JSONResponse({"status": "ok", "version": __version__})

    web.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=2)
    web.add_middleware(
        Security,
        hosts=app.settings.hosts,
        larger={"/import": importing.MAX_UPLOAD + 1_000_000},  # and what multipart adds
        crashed=templating.crashed,
    )
    return web


def _nav(app: App, request: Request) -> templating.Nav:
    """The counts beside the navigation, counted once for each change of the wiki."""
    session = getattr(request.state, "reads", None)
    if session is not None:
        return _counted(app, facts(request), session)
    with reading(app.engine) as own:
        return _counted(app, facts(request), own)


def _to_review(session: Session) -> int:
    return links.count(session) + links.count(session, tension=True) + changes.count(session)


def _sources_in_words(session: Session) -> str:
    """Whether sources are asked now, and how many need the reader; "" when all is well."""
    brief = sources_stored.brief(session)
    parts = [
        f"{plural(brief.running, 'source')} being asked" if brief.running else "",
        f"{plural(brief.stopped, 'source')} stopped" if brief.stopped else "",
        f"{plural(brief.failing, 'source')} failing" if brief.failing else "",
    ]
    return ", ".join(part for part in parts if part)


def _counted(app: App, known: Facts, session: Session) -> templating.Nav:
    day = app.today().isoformat()
    return templating.Nav(
        inbox=known.get(session, "inbox", lambda: papers.count(session), of=("paper",)),
        review=known.get(session, "review", lambda: _to_review(session), of=("change", "link")),
        threads=known.get(
            session, "threads", lambda: pages.count(session, PageKind.THREAD), of=("page",)
        ),
        job=known.get(session, "job", lambda: runs.newest_in_words(session), of=("run",)),
        sources=_sources_in_words(session),
        cost=known.get(session, ("cost", day), lambda: in_words(session, day), of=("model_call",)),
    )
