"""Sources in every state a reader may find them in, a job that runs, and a web that answers at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlmodel import Session, select

from app.bootstrap import App
from app.domain.records import (
    Delivery,
    DeliveryState,
    Fetch,
    FetchReason,
    FetchState,
    Item,
    Paper,
    PaperState,
    Raw,
    Run,
    RunState,
    Source,
    SourceKind,
    Subscription,
)
from app.services import subscriptions
from app.sources.connectors import Response
from app.store import runs
from app.store.db import writing

FIRST = 9001
_NAMES = (
    ("The harbour listing", SourceKind.LISTING, "arxiv"),
    ("A feed whose title is a whole sentence, because its author wrote all that it is about into it",
     SourceKind.FEED, "feed"),
    ("יומן הגאות", SourceKind.FEED, "feed"),
    ("<script>alert(1)</script> & $x^2$ [[tide]] \u202e", SourceKind.FORUM, "reddit"),
    ("Letters", SourceKind.MAIL, "mail"),
    ("Paused show", SourceKind.PODCAST, "podcast"),
)  # fmt: skip


def bring_sources(app: App) -> None:
    """Six sources: one fetched now, one failing, one stopped, one waiting, one new, one paused."""
    now = app.clock()
    states: list[dict[str, Any]] = [
        {},
        {"failures": 2, "last_error": "harbour.example.org is not to be spoken to just now (503)."},
        {"stopped": "harbour.example.org says that this is gone for good (410)."},
        {},
        {"tried_at": None, "succeeded_at": None},
        {"paused": True},
    ]
    with writing(app.engine) as session:
        session.add(Raw(sha256="b" * 64, size=3, created_at=now))
        session.flush()
        for at, ((name, kind, connector), state) in enumerate(zip(_NAMES, states, strict=True)):
            number = FIRST + at
            session.add(
                Source(
                    id=number,
                    key=f"test:{number}",
                    kind=kind,
                    name=name,
                    url=f"https://harbour.example.org/{number}",
                    created_at=now,
                )
            )
            session.flush()
            its: dict[str, Any] = {
                "source_id": number,
                "connector": connector,
                "every_minutes": 60 * (at + 1),
                "due_at": now + timedelta(minutes=12 + 200 * at),
                "tried_at": now - timedelta(hours=at),
                "succeeded_at": now - timedelta(hours=at),
            }
            session.add(Subscription(**its | state))
        session.flush()
        _fetches(session, app)


def lose_sources(app: App) -> None:
    """The same six, of which none can be reached."""
    bring_sources(app)
    with writing(app.engine) as session:
        for its in session.exec(select(Subscription)):
            its.failures, its.last_error = 3, "harbour.example.org is not to be found."
            session.add(its)


def remove_a_source(app: App) -> None:
    bring_sources(app)
    with writing(app.engine) as session:
        subscriptions.remove(session, FIRST, now=app.clock())


def _fetches(session: Session, app: App) -> None:
    now = app.clock()
    fetches = (
        (FIRST, FetchState.DONE, FetchReason.DUE, {"seen": 12, "total": 12, "size": 45_000}),
        (FIRST, FetchState.RUNNING, FetchReason.DUE, {"seen": 400, "total": 1086}),
        (FIRST + 3, FetchState.WAITING, FetchReason.ASKED, {}),
        (FIRST, FetchState.FAILED, FetchReason.BACKFILL,
         {"first_day": "2026-04-01", "last_day": "2026-04-07", "error": "It lost patience (408)."}),
    )  # fmt: skip
    for at, (source, state, reason, more) in enumerate(fetches):
        session.add(
            Fetch(id=FIRST + at, source_id=source, state=state, reason=reason, asked_at=now, **more)
        )
    session.flush()
    for state, refusals in (
        (DeliveryState.READ, [{"where": "entry 7", "reason": "It has no title."}]),
        (DeliveryState.FAILED, [{"where": "the answer", "reason": "It is no feed, but a page."}]),
    ):
        session.add(
            Delivery(
                source_id=FIRST,
                fetch_id=FIRST,
                name="entries 1 to 12",
                url="https://harbour.example.org/feed?from=1",
                format="feed",
                headers={"content-type": "application/rss+xml", "etag": '"a-very-long-' + "x" * 90},
                raw_sha256="b" * 64,
                state=state,
                new=9,
                same=2,
                rejected=1,
                refusals=refusals,
                received_at=now,
            )
        )
    for at in range(3):
        paper = Paper(
            state=PaperState.KEPT if at else PaperState.WAITING,
            title=f"On the $n^{at}$ tides of a harbour",
            title_key=f"harbour {at}",
            published="2026-05-12",
            created_at=now,
        )
        session.add(paper)
        session.flush()
        session.add(
            Item(
                source_id=FIRST,
                key=str(at),
                format="feed",
                title=paper.title,
                published="2026-05-12",
                received_at=now,
                hash="h",
                paper_id=paper.id,
            )
        )


def begin_job(app: App) -> None:
    """A job that runs, with one step behind it and one under way."""
    with writing(app.engine) as session:
        session.add(Run(id=FIRST, trigger="worker", state=RunState.RUNNING, started_at=app.clock()))
        session.flush()
        told = {"failed": 0, "line": "09:00:00 encode: 40 done", "seconds": 1.5}
        runs.note(session, FIRST, step="encode", done=40, waiting=0, **told)  # type: ignore[arg-type]
        told["line"] = "09:00:04 link: 3 done"
        runs.note(session, FIRST, step="link", done=3, waiting=17, **told)  # type: ignore[arg-type]


class OneFeed:
    """A web where a feed with one entry is at every address."""

    def get(self, url: str, **asked: Any) -> Response:
        headers: Mapping[str, str] = {"content-type": "application/rss+xml"}
        return Response(url, 200, headers, _FEED)

    def dial(self, host: str, port: int) -> Any:
        raise AssertionError("nobody dials")


_FEED = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>Harbour notes</title>
<link>https://harbour.example.org/</link><description>d</description>
<item><title>Slack water, and $x^2$ of it</title><guid>1</guid><link>https://harbour.example.org/1</link>
<description>A note on slack water that is long enough to be read.</description></item>
<item><description></description></item></channel></rss>"""


def answer_with_a_feed(app: App) -> None:
    app.web = OneFeed()  # type: ignore[misc]
