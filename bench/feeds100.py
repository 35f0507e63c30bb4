"""A hundred feeds on loopback, thirty of them hostile: when the others are up to date, and what is said.

python -m bench feeds100                    SQLite, one worker; at most three minutes
python -m bench feeds100 --database postgresql --workers 2

The feeds are subscribed to, then workers are started as they run in service. Each good feed has six
entries of the last days. Printed: when the last good feed was up to date and where it may be (180 s);
for each hostile one the reason and when it is tried next; entries that came twice; connections to what
nobody may reach; the most memory that a worker held. Ends with 1 when something is not as it should be.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa
from sqlmodel import Session, col

from app.bootstrap import CONNECTORS, App, build
from app.domain.records import Item, Source, Subscription
from app.services import subscriptions
from app.settings import Settings
from app.sources.connectors import Found
from app.store.db import reading, writing
from bench import postgres
from bench.process import NOTHING, cerebro, environment, memory_of
from tests.servers import hostile
from tests.servers.hostile import HOSTILE, Behaviour, Server, Talk, page, sends_to

GOOD, ENTRIES = 70, 6
MOST_SECONDS = 180.0
MOST_MIB = 1024.0  # of a worker, with everything it loads

# What a server does on the way; thirty with those below.
_ON_THE_WAY = (
    *("slow_headers", "slow_body", "slow_chunks", "slow_status", "says_nothing"),
    *("stops_in_the_body", "endless_body", "endless_chunks", "endless_headers", "endless_continue"),
    *(
        "gzip_bomb",
        "deflate_bomb",
        "empty_blocks",
        "too_short",
        "resets",
        "garbage",
        "loop",
        "nothing",
    ),
)


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench feeds100")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args(list(arguments))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="cerebro-feeds-")))
        url = ""
        if chosen.database == "postgresql":
            server = stack.enter_context(postgres.running(folder / "postgresql"))
            server.create("feeds")
            url = server.url("feeds")
        canary = stack.enter_context(hostile.canary())
        good, bad = _servers(stack, canary)
        allow = ",".join(f"{server.host}:{server.port}" for server in (*good, *bad.values()))
        given = {"CEREBRO_EMBEDDING_MODEL": "none", "CEREBRO_FETCH_ALLOW": allow}
        given |= {"CEREBRO_DATABASE_URL": url} if url else {}
        app = build(
            Settings(data=folder, database_url=url, embedding_model="none", fetch_allow=allow)
        )
        _subscribe(app, good, bad)
        began = time.monotonic()
        with _workers(chosen.workers, folder, given) as running:
            came = _watch(app, running, began)
        print(f"{chosen.workers} worker(s) on {chosen.database}")
        sys.exit(0 if _told(came, canary.hits, len(bad)) else 1)


@dataclass
class Came:
    """What was seen: seconds until all good feeds were up to date (None: they were not), and the rest."""

    seconds: float | None
    up_to_date: int
    tried: int
    twice: int
    mib: float
    hostile: list[tuple[str, str, str]]


def _servers(stack: ExitStack, canary: Server) -> tuple[list[Server], dict[str, Server]]:
    good = [stack.enter_context(Server(_feed(number))) for number in range(GOOD)]
    behaviours = {name: HOSTILE[name] for name in _ON_THE_WAY} | _in_the_text(canary.url)
    bad = {name: stack.enter_context(Server(each)) for name, each in behaviours.items()}
    return good, bad


def _feed(number: int) -> Behaviour:
    """A feed that answers 304 to who has it already."""
    now = datetime.now(UTC)
    entries = "".join(
        f"<item><title>Entry {entry} of feed {number}</title>"
        f"<link>https://feed-{number}.example/{entry}</link><guid>{number}-{entry}</guid>"
        f"<pubDate>{format_datetime(now - timedelta(days=entry, hours=1))}</pubDate>"
        f"<description>What feed {number} says in its entry {entry}, at some length.</description>"
        "</item>"
        for entry in range(ENTRIES)
    )
    text = _rss(f"<title>Feed {number}</title>{entries}")

    def behaviour(talk: Talk) -> None:
        if talk.request.headers.get("if-none-match") == f'"{number}"':
            talk.answer(status="304 Not Modified")
        else:
            talk.answer(text.encode(), content_type="application/rss+xml", etag=f'"{number}"')

    return behaviour


def _rss(text: str, before: str = "") -> str:
    return f'<?xml version="1.0"?>{before}<rss version="2.0"><channel>{text}</channel></rss>'


def _in_the_text(canary: str) -> dict[str, Behaviour]:
    """What stands in a feed, or is said in place of one."""
    laughs = "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "ha">' for n in range(10)
    )
    item = "<item><title>{}</title><guid>1</guid></item>"
    links = (
        f'<item><title>Links</title><guid>1</guid><link>{canary}</link><enclosure url="{canary}" '
        f'type="audio/mpeg"/><description>&lt;img src="{canary}"&gt;&lt;script src="{canary}"&gt;'
        f"&lt;/script&gt;</description></item><image><url>{canary}</url></image>"
        f'<link rel="hub" href="{canary}"/><icon>{canary}</icon>'
    )
    include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{canary}"/>'
    texts = {
        "laughs": _rss(item.format("&l9;"), f"<!DOCTYPE rss [{laughs}]>"),
        "quadratic": _rss(
            item.format("&a;" * 50_000), f'<!DOCTYPE rss [<!ENTITY a "{"a" * 50_000}">]>'
        ),
        "external entity": _rss(
            item.format("&x;"), f'<!DOCTYPE rss [<!ENTITY x SYSTEM "{canary}">]>'
        ),
        "external document type": _rss(item.format("x"), f'<!DOCTYPE rss SYSTEM "{canary}">'),
        "include": _rss(item.format(include)),
        "deep": _rss("<a>" * 200_000),
        "links to inside": _rss(links),
        "a page with a feed inside": f'<html><link rel="alternate" type="application/rss+xml" '
        f'href="{canary}"><p>no feed</p></html>',
    }
    return {
        **{name: page(text.encode(), content_type="text/xml") for name, text in texts.items()},
        "sent inside": sends_to(canary),
        "sent inside for good": sends_to(canary, status="301 Moved Permanently"),
        "gone": page(b"gone", status="410 Gone"),
        "busy": page(b"busy", status="503 Service Unavailable", retry_after="1200"),
    }


def _subscribe(app: App, good: Sequence[Server], bad: dict[str, Server]) -> None:
    named = [(f"hostile {name}", server.url) for name, server in bad.items()]
    named += [(f"good {number}", server.url) for number, server in enumerate(good)]
    now = app.clock()
    with writing(app.engine) as session:
        for name, url in named:  # the hostile ones first, as if they were due the longest
            found = Found(key=url, connector="feed", url=url, name=name)
            subscriptions.add(session, found, connectors=CONNECTORS, now=now)


@contextmanager
def _workers(
    count: int, data: Path, given: dict[str, str]
) -> Iterator[list[subprocess.Popen[bytes]]]:
    running = [
        subprocess.Popen(
            cerebro("worker"),
            env=environment(data, NOTHING) | given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(count)
    ]
    try:
        yield running
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(60)


def _watch(app: App, running: list[subprocess.Popen[bytes]], began: float) -> Came:
    """Look every second until the good feeds are up to date and the others were tried."""
    up_to_date_at = None
    most = 0.0
    while True:
        time.sleep(1)
        passed = time.monotonic() - began
        for process in running:
            if process.poll() is not None:
                sys.exit(f"A worker ended with {process.returncode}.")
            most = max(most, memory_of(process.pid)[1])
        with reading(app.engine) as session:
            fresh, tried = _up_to_date(session), _tried(session)
            if fresh == GOOD and up_to_date_at is None:
                up_to_date_at = passed
            over = fresh == GOOD and tried == GOOD + len(_hostile(session))
            if over or passed > MOST_SECONDS + 60:
                return Came(up_to_date_at, fresh, tried, _twice(session), most, _hostile(session))


def _up_to_date(session: Session) -> int:
    """Good feeds of which every entry is there."""
    counted = (
        sa.select(col(Item.source_id))
        .join(Source, col(Source.id) == col(Item.source_id))
        .where(col(Source.name).startswith("good "))
        .group_by(col(Item.source_id))
        .having(sa.func.count() >= ENTRIES)
    )
    return len(session.connection().execute(counted).all())


def _tried(session: Session) -> int:
    statement = sa.select(sa.func.count()).where(col(Subscription.tried_at).is_not(None))
    return session.connection().execute(statement).scalar_one()


def _twice(session: Session) -> int:
    """Entries of good feeds that are there more often than they were sent."""
    statement = (
        sa.select(sa.func.count())
        .select_from(Item)
        .join(Source, col(Source.id) == col(Item.source_id))
        .where(col(Source.name).startswith("good "))
    )
    return max(0, session.connection().execute(statement).scalar_one() - GOOD * ENTRIES)


def _hostile(session: Session) -> list[tuple[str, str, str]]:
    """Name, reason and what is next of each hostile feed."""
    statement = (
        sa.select(
            col(Source.name),
            col(Subscription.last_error),
            col(Subscription.stopped),
            col(Subscription.due_at),
        )
        .join(Source, col(Source.id) == col(Subscription.source_id))
        .where(col(Source.name).startswith("hostile "))
        .order_by(col(Source.name))
    )
    return [
        (
            name.removeprefix("hostile "),
            stopped or error,
            "stopped" if stopped else f"{due:%H:%M:%S}",
        )
        for name, error, stopped, due in session.connection().execute(statement)
    ]


def _told(came: Came, hits: int, bad: int) -> bool:
    """Print it; whether all is as it should be."""
    for name, why, then in came.hostile:
        print(f"{name:28}{then:>10}  {why[:110] or 'read'}")
    seconds = "not" if came.seconds is None else f"after {came.seconds:.0f} s"
    print(
        f"\n{came.up_to_date} of {GOOD} good feeds up to date: {seconds} (at most {MOST_SECONDS:g})"
    )
    print(f"{came.tried - came.up_to_date} of {bad} hostile ones were tried")
    print(f"{came.twice} entries twice; {hits} connections to what nobody may reach")
    print(f"a worker held {came.mib:.0f} MiB at most (of {MOST_MIB:g})")
    in_time = came.seconds is not None and came.seconds <= MOST_SECONDS
    return in_time and not came.twice and not hits and came.mib <= MOST_MIB


if __name__ == "__main__":
    main(sys.argv[1:])
