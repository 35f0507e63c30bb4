"""Sources as a person asks for them: which an address leads to, what one would bring, and its fetch now.

Beside the pipeline, like an import: a person waits for it. Whatever asks the web here does so with no
transaction open, since turns of hosts are kept in the database.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from threading import Event, Thread
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.items import (
    Bundle,
    Document,
    EpisodeArrival,
    MentionArrival,
    PageArrival,
    PaperArrival,
    Ref,
    Rejected,
)
from app.domain.records import Fetch, FetchState, Source
from app.domain.untrusted import line
from app.domain.wanted_days import WantedDays, first_day, is_wanted
from app.errors import Invalid, NotFetched, Unreadable
from app.fetchers import Fetchers, Heard, Tools, read_delivery
from app.services import subscriptions
from app.sources import discovery
from app.sources.base import File, Reader, reader_for
from app.sources.connectors import FEED_BYTES, Connector, Fetched, Found, Response, Wanted, Web
from app.sources.opml import Outline, as_opml
from app.store import runs, sources
from app.store.db import reading, writing
from app.store.sources import Brought

MOST_SECONDS = 45.0
"""For finding or previewing, all requests together: a person waits."""
SAMPLES = 8
MOST_ENTRIES = 1_000  # of a preview
_REFUSALS = 20
_PAGE = 50  # entries of an answer that may be the first of several
_LOOK_AGAIN = 0.3  # seconds between two looks at what came, or at what somebody else is at


@dataclass(frozen=True)
class Sample:
    """An entry that would come in; `kind` says as what: paper, article, episode, note, mention or file."""

    title: str
    kind: str
    url: str = ""
    day: str = ""


@dataclass(frozen=True)
class Preview:
    """What a source would bring at first. Nothing of it is stored.

    `entries` stand in its first answer; of them `new` would come in, `known` came before, and `older`
    ones are left where they are. `more`: it has further pages. `words` say it in a sentence.
    """

    found: Found
    entries: int = 0
    new: int = 0
    known: int = 0
    older: int = 0
    more: bool = False
    samples: tuple[Sample, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    rejected_count: int = 0

    @property
    def words(self) -> str:
        new = f"{self.new:,} {'entry' if self.new == 1 else 'entries'} would come in"
        parts = [f"{new} from its first answer" if self.more else new]
        if self.known:
            parts.append(f"{self.known:,} came before")
        if self.older:
            parts.append(f"{self.older:,} older ones stay where they are")
        if self.rejected_count:
            parts.append(f"{self.rejected_count:,} cannot be read")
        return f"{', '.join(parts)}."

    def as_json(self) -> dict[str, object]:
        found = self.found
        return {
            "key": found.key,
            "name": found.name,
            "connector": found.connector,
            "url": found.url,
            "options": dict(found.options),
            "brings": found.words,
            "entries": self.entries,
            "new": self.new,
            "known": self.known,
            "older": self.older,
            "more": self.more,
            "samples": [asdict(sample) for sample in self.samples],
            "rejected": self.rejected_count,
            "refused": [{"where": r.where, "reason": r.reason} for r in self.rejected],
            "words": self.words,
        }


# ---------------------------------------------------------------- what an address leads to


@dataclass
class _Patient:
    """The web for as long as a person waits; it notes the first answer."""

    web: Web
    until: float
    first: Response | None = None

    def get(
        self,
        url: str,
        *,
        accept: str = "*/*",
        etag: str = "",
        modified: str = "",
        headers: Mapping[str, str] = {},
        limit: int = FEED_BYTES,
        spacing: float = 0.0,
    ) -> Response:
        self._check()
        answer = self.web.get(
            url,
            accept=accept,
            etag=etag,
            modified=modified,
            headers=headers,
            limit=limit,
            spacing=spacing,
        )
        self.first = self.first or answer
        return answer

    def dial(self, host: str, port: int) -> Any:
        self._check()
        return self.web.dial(host, port)

    def _check(self) -> None:
        if time.monotonic() > self.until:
            raise NotFetched(f"This took longer than {MOST_SECONDS:g} seconds, and was given up.")


def _patient(wiki: Tools) -> _Patient:
    return _Patient(wiki.web, time.monotonic() + MOST_SECONDS)


def find(wiki: Tools, text: str) -> list[Found]:
    """The sources that words or an address lead to, the likeliest first.

    Raises Invalid when there are none, NotFetched when the address does not answer.
    """
    return list(find_all(wiki, text)[0])


def find_all(wiki: Tools, text: str) -> tuple[list[Found], bool]:
    """Likewise, and whether they stand in a list of feeds (OPML), so that all of them are meant."""
    web = _patient(wiki)
    found = discovery.discover(web, text, wiki.connectors, wiki.readers)
    return found, web.first is not None and _is_list(web.first, wiki.readers)


def _is_list(answer: Response, readers: tuple[Reader, ...]) -> bool:
    file = File("answer", answer.data, url=answer.url, headers=answer.headers)
    try:
        return reader_for(file, readers).format == "opml"
    except Unreadable:
        return False


def named(
    wiki: Tools, text: str, *, connector: str, options: Mapping[str, Any] = {}, name: str = ""
) -> Found:
    """The source that is meant outright, unasked: by its connector, at this address. Raises Invalid."""
    by = next((each for each in wiki.connectors if each.name == connector), None)
    if by is None:
        names = ", ".join(each.name for each in wiki.connectors)
        raise Invalid(
            f"No connector is called {connector[:40]!r}. Use one of: {names}.",
            fields={"connector": f"One of: {names}."},
        )
    said = line(text)
    if not said:
        raise Invalid("A source needs an address.", fields={"address": "Write an address."})
    found = by.finds(said) or Found(
        key=discovery.source_key(connector, said), connector=connector, url=said, name=said
    )
    return with_choices(found, options=options, name=name)


def with_choices(found: Found, *, options: Mapping[str, Any] = {}, name: str = "") -> Found:
    """The source with what the reader chose of it. Other options are another source."""
    chosen = dict(found.options) | dict(options)
    key = found.key
    if options and chosen != dict(found.options):
        said = "&".join(f"{each}={chosen[each]}" for each in sorted(options))
        key = f"{found.key}?{said}"
    return replace(found, options=chosen, name=line(name) or found.name, key=key)


# ---------------------------------------------------------------- what a source would bring


def preview(wiki: Tools, found: Found) -> Preview:
    """Ask a source for its first answer and read it, and store nothing.

    Raises NotFetched when it does not answer, Unreadable when nothing in the answer is what it should
    be, and Invalid for a connector there is none of.
    """
    connector = next((each for each in wiki.connectors if each.name == found.connector), None)
    if connector is None:
        raise Invalid(f"There is no connector {found.connector!r} here.")
    since = first_day(wiki.clock())
    wanted = Wanted(
        url=found.url,
        options=found.options,
        cursor={},
        today=wiki.today(),
        since=since,
        papers=_papers(wiki, connector),
        secret=wiki.secret(connector.name),
    )
    answers = connector.fetch(_patient(wiki), wanted)
    try:
        first = next((each for each in answers if each.data), None)
        more = first is not None and _goes_on(first, answers)
    finally:
        _end(answers)
    if first is None:
        return Preview(found)
    return replace(_looked_at(wiki, found, first, since), more=more)


def _goes_on(first: Fetched, answers: Iterator[Fetched]) -> bool:
    """Whether more answers follow; of a long one that does not say, by asking for the next."""
    if first.total is not None or first.seen < _PAGE:
        return (first.total or 0) > first.seen
    try:
        return any(each.data for each in islice(answers, 1))
    except NotFetched:
        return True  # it was asked for: there is one


def _end(answers: Iterator[Fetched]) -> None:
    close = getattr(answers, "close", None)
    if close is not None:
        close()


def _papers(wiki: Tools, connector: Connector) -> tuple[Ref, ...]:
    if not getattr(connector, "asks_about_papers", False):
        return ()
    with reading(wiki.engine) as session:
        return sources.own_papers(session, limit=20)


def _looked_at(wiki: Tools, found: Found, first: Fetched, since: str) -> Preview:
    file = File(first.name or "answer", first.data, url=first.url, headers=first.headers)
    read = reader_for(file, wiki.readers, format=first.format).read(file)
    made: list[tuple[str, str, Sample | None]] = []  # key, hash, and what it is when it is wanted
    rejected: list[Rejected] = []
    refusals = entries = older = 0
    documents = read.documents if isinstance(read, Bundle) else (read,)
    for document in islice(documents, MOST_ENTRIES):
        if isinstance(document, Rejected):
            refusals += 1
            rejected += [document] if len(rejected) < _REFUSALS else []
            continue
        entries += 1
        if not is_wanted(document.published, read.format, WantedDays(since=since, lately=since)):
            older += 1
            continue
        sample = _sample(document) if len(made) < SAMPLES * 4 else None
        made.append((document.key, document.hash, sample))
    known = _known(wiki, found, [key for key, _, _ in made])
    new = [sample for key, hash, sample in made if known.get(key) != hash or not hash]
    return Preview(
        found=found if found.name != found.url else replace(found, name=_name(read, found)),
        entries=entries,
        new=len(new),
        known=len(made) - len(new),
        older=older,
        samples=tuple(sample for sample in new if sample is not None)[:SAMPLES],
        rejected=tuple(rejected),
        rejected_count=refusals,
    )


def _name(read: Document | Bundle, found: Found) -> str:
    return line(read.source.name) or found.name


def _known(wiki: Tools, found: Found, keys: list[str]) -> dict[str, str]:
    """Of these entries those that came before from the same source, with the hash of each."""
    with reading(wiki.engine) as session:
        source_id = session.connection().execute(
            sa.select(col(Source.id)).where(col(Source.key) == found.key)
        )
        number = source_id.scalar_one_or_none()
        return sources.known_keys(session, number, keys) if number and keys else {}


def _sample(document: Document) -> Sample:
    kind = "file"
    for arrival in document.arrivals:
        match arrival:
            case PaperArrival():
                kind = "paper"
            case EpisodeArrival():
                kind = "episode"
            case PageArrival():
                kind = arrival.kind.value
            case MentionArrival():
                kind = "mention"
                continue  # what it is a mention in may follow
            case _:
                continue
        break
    title = line(document.title)[:300] or document.key[:300]
    return Sample(title, kind, document.url[:2_000], document.published[:10])


# ---------------------------------------------------------------- a fetch, now


@dataclass(frozen=True)
class Result:
    """How a fetch that was asked for ended: `state` is done, failed, cancelled, or waiting (tried later)."""

    source_id: int
    name: str
    state: FetchState
    error: str
    responses: int
    brought: Brought
    refusals: tuple[tuple[str, str], ...] = ()  # where, and why

    @property
    def failed(self) -> bool:
        return self.state != FetchState.DONE

    @property
    def words(self) -> str:
        """A line for a terminal."""
        if self.failed:
            return f"{self.name}: {self.error or f'{self.state.value}.'}"
        numbers = self.brought
        parts = [(numbers.new, "new"), (numbers.changed, "changed"), (numbers.same, "same")]
        said = ", ".join(f"{number:,} {word}" for number, word in parts if number)
        rejected = f", {numbers.rejected:,} could not be read" if numbers.rejected else ""
        return f"{self.name}: {said or 'nothing new'}{rejected}"

    def as_json(self) -> dict[str, object]:
        return {
            "source": self.source_id,
            "name": self.name,
            "state": self.state.value,
            "error": self.error,
            "responses": self.responses,
            **asdict(self.brought),
            "refused": [{"where": where, "reason": why} for where, why in self.refusals],
        }


Progress = Callable[[int, int | None, str], None]
"""Hears how many entries came, of how many where that is known, and of which source; of several
sources, how many of them have ended."""


def fetch_now(
    wiki: Tools,
    source_ids: Sequence[int],
    *,
    first: str = "",
    last: str = "",
    progress: Progress = lambda done, total, words: None,
) -> list[Result]:
    """Fetch these sources and store what comes; a range of days of them with `first`.

    Waits for a worker that is at one of them already. Raises NotFound, Invalid or Conflict; that a
    source did not answer is a result.
    """
    only = tuple(dict.fromkeys(source_ids))
    with writing(wiki.engine) as session:
        asked = [_asked(wiki, session, each, first, last) for each in only]
    with runs.at_work(wiki.engine) as owner:
        while True:
            came = _fetch_and_read(wiki, owner, only, progress)
            with reading(wiki.engine) as session:
                now = wiki.clock()
                left = sources.count_active(session, now=now, only=only)
                left += sources.count_waiting(session, now=now, only=only)
            if not left:
                break
            if not came:  # somebody else is at it
                time.sleep(_LOOK_AGAIN)
    with reading(wiki.engine) as session:
        return [_result(session, each) for each in asked]


def _asked(wiki: Tools, session: Session, source_id: int, first: str, last: str) -> int:
    if first:
        fetch = subscriptions.backfill(
            session, source_id, first, last, today=wiki.today(), now=wiki.clock()
        )
    else:
        fetch = subscriptions.ask(session, source_id, now=wiki.clock())
    assert fetch.id is not None
    return fetch.id


def _fetch_and_read(wiki: Tools, owner: str, only: Sequence[int], progress: Progress) -> int:
    """Fetch in threads, and meanwhile read here what has come; how much was done."""

    ended: set[int] = set()

    def heard(said: Heard) -> None:
        if len(only) == 1:
            progress(said.seen, said.total, said.name)
        elif said.ended:
            ended.add(said.source_id)
            progress(len(ended), len(only), said.name)

    stopping = Event()
    came: list[int | Exception] = []

    def run() -> None:
        try:
            done, failed = Fetchers(wiki, owner, only=only, heard=heard).run(stopping.is_set)
            came.append(done + failed)
        except Exception as error:  # raised where it was asked for
            came.append(error)

    fetching = Thread(target=run, name="fetchers", daemon=True)
    fetching.start()
    read = 0
    try:
        while True:
            over = not fetching.is_alive()
            while read_delivery(wiki, owner, only=only) is not None:
                read += 1
            if over:
                break
            fetching.join(_LOOK_AGAIN)
    finally:
        stopping.set()
    [fetched] = came
    if isinstance(fetched, Exception):
        raise fetched
    return read + fetched


def _result(session: Session, fetch_id: int) -> Result:
    fetch = sources.fetch(session, fetch_id)
    source = session.get(Source, fetch.source_id)
    refused = sources.refusals(session, fetch_id)
    return Result(
        fetch.source_id,
        source.name if source else f"source {fetch.source_id}",
        fetch.state,
        fetch.error,
        fetch.responses,
        sources.brought(session, [fetch_id]).get(fetch_id, Brought()),
        tuple((f"{name}, {each['where']}", each["reason"]) for name, each in refused),
    )


# ---------------------------------------------------------------- for other programs


def told(row: sources.Row) -> dict[str, object]:
    """A source for the command line and the API."""
    source, its = row.source, row.subscription
    return {
        "id": row.id,
        "key": source.key,
        "name": source.name,
        "url": source.url,
        "kind": source.kind.value,
        "connector": its.connector,
        "options": its.options,
        "every_minutes": its.every_minutes,
        "state": row.state,
        "error": its.stopped or its.last_error,
        "failures": its.failures,
        "next_try": row.next_try,
        "tried_at": its.tried_at,
        "succeeded_at": its.succeeded_at,
        **asdict(row.counts),
        "fetch": fetch_told(row.active) if row.active else None,
    }


def fetch_told(fetch: Fetch, brought: Brought | None = None) -> dict[str, object]:
    """A fetch likewise, with what it brought where that was counted."""
    return {
        "id": fetch.id,
        "source": fetch.source_id,
        "reason": fetch.reason.value,
        "state": fetch.state.value,
        "from": fetch.first_day or None,
        "to": fetch.last_day or None,
        "responses": fetch.responses,
        "bytes": fetch.size,
        "seen": fetch.seen,
        "total": fetch.total,
        "error": fetch.error,
        "asked_at": fetch.asked_at,
        "ended_at": fetch.ended_at,
        **(asdict(brought) if brought else {}),
    }


def opml(wiki: Tools) -> bytes:
    """The feeds and podcasts among the sources as OPML."""
    with reading(wiki.engine) as session:
        outlines = sources.outlines(session)
    return as_opml(
        Outline(each.name, each.url)
        for each in outlines
        if each.connector in ("feed", "podcast") and each.url.startswith(("http://", "https://"))
    )
