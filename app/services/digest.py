"""Days told: the digest of each day on which something came in, from stored facts alone.

A day is told when nothing that came in on it waits for the steps before, and told anew while it is
the newest and its facts change, so that the evening knows what was kept in the morning. An older day
stays as it was told. What came in from elsewhere, and what a person edited, is never told over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from hashlib import sha256
from time import time as real_time
from typing import Any

from sqlmodel import Session

from app.domain import prose, telling
from app.domain.digests import Document, Section, as_markdown, framing
from app.domain.identifiers import whole_day
from app.domain.records import AuthorKind, Digest, Page, PageKind
from app.errors import Conflict, Invalid, NotFound
from app.store import digests, editions, pages, runs
from app.store.pages import Author, Content

STEP = "digest"
LOCAL = "local"
RECENT = 7  # days with something, the newest, that are told without being asked for
QUIET = timedelta(minutes=10)  # between two tellings of a day that nobody asked for
_TELLER = Author(AuthorKind.EXTRACT, LOCAL)


@dataclass(frozen=True)
class Work:
    """A day told and not stored yet; `version` is that of its page, 0 without one."""

    day: str
    document: Document
    version: int
    state: str  # of the wiki when it was read


def asked(day: str) -> str:
    """A day as somebody wrote it. Raises Invalid for what is none."""
    found = whole_day(day)
    if found is None or found.year == date.max.year:  # the calendar has no day after its last
        raise Invalid(f"{day[:40]!r} is no day. Write it as year, month and day: 2026-05-14.")
    return found.isoformat()


def is_ours(session: Session, day: str) -> bool:
    """Whether the digest of a day is ours to tell: there is none, or nobody else's hand is in it."""
    digest = digests.of_day(session, day)
    if digest is None:
        return True
    return digest.teller != "" and not pages.has_hand(session, digest.page_id)


def read(session: Session, day: str, *, zone: tzinfo | None) -> Work:
    """Tell a day from its facts. Raises NotFound when nothing came in on it."""
    if not digests.has_something(session, day):
        raise NotFound(f"Nothing came in on {day}.")
    begins = date.fromisoformat(day)
    facts = digests.facts(
        session, day, begin=_midnight(begins, zone), end=_midnight(begins + timedelta(1), zone)
    )
    digest = digests.of_day(session, day)
    page = session.get(Page, digest.page_id) if digest else None
    version = page.version if page else 0
    return Work(day, telling.tell(facts), version, digests.state(session))


def _midnight(day: date, zone: tzinfo | None) -> datetime:
    moment = datetime.combine(day, time.min)
    return moment.replace(tzinfo=zone) if zone else moment.astimezone()


def store(session: Session, work: Work, *, now: datetime, owner: str = "") -> bool:
    """Write the page of a day, or write it anew where its facts changed; whether that was done."""
    if owner and not runs.let_go(session, STEP, [_subject(work.day)], owner=owner):
        return False
    runs.done(session, STEP, {_subject(work.day): work.state})
    digest = digests.of_day(session, work.day)
    page = session.get(Page, digest.page_id) if digest else None
    if not is_ours(session, work.day) or (page.version if page else 0) != work.version:
        return False
    key = _key(work.document)
    if digest is not None and digest.key == key:
        return False
    document = work.document
    teller = LOCAL
    if digest is not None and digest.teller != LOCAL:
        old = Document(
            digest.day, tuple(Section.read(each) for each in digest.sections), digest.ledger
        )
        document = prose.carried(old, document)
        teller = digest.teller if _has_prose(document) else LOCAL
    told: dict[str, Any] = {
        "framing": framing(document),
        "sections": document.as_json()["sections"],
        "ledger": dict(document.ledger),
        "teller": teller,
        "key": key,
        "told_at": now,
        "struck": len(prose.struck(document)),
    }
    body = as_markdown(document)
    if digest is None or page is None:
        title = f"Digest of {editions.day_in_words(work.day)}"
        content = Content(title=title, kind=PageKind.DIGEST, body=body)
        slug = pages.free_slug(session, f"digest-{work.day}")
        made = pages.create(session, content, author=_TELLER, now=now, slug=slug)
        session.add(Digest(page_id=made.id or 0, day=work.day, **told))
        return True
    author = _TELLER if teller == LOCAL else Author(AuthorKind.MODEL, teller)
    content = replace(pages.content_of(session, page), body=body)
    pages.revise(session, page, content, author=author, now=now, note="told anew")
    digest.sqlmodel_update(told)
    session.add(digest)
    return True


def tell_again(session: Session, day: str, *, zone: tzinfo | None, now: datetime) -> bool:
    """Tell a day anew because somebody asks; whether anything changed.

    Raises Invalid or NotFound for the day, Conflict where the text is not ours to tell over.
    """
    day = asked(day)
    if not is_ours(session, day):
        raise Conflict("This digest is not told over: a person edited it, or it came in as it is.")
    return store(session, read(session, day, zone=zone), now=now)


def _key(document: Document) -> str:
    """The state of the facts. What the ledger counts may change without anything new to tell."""
    told = json.dumps(document.as_json()["sections"], sort_keys=True)
    return sha256(told.encode()).hexdigest()[:16]


def _has_prose(document: Document) -> bool:
    """Whether a sentence of a model stands in it."""
    every = prose.all_sentences(document)
    return any(each.by == AuthorKind.MODEL and not each.struck for _, each in every)


def _subject(day: str) -> int:
    """A day as the subject of a step: 20260514."""
    return int(day.replace("-", ""))


# ---------------------------------------------------------------- what waits


def pending(session: Session, *, today: date, now: datetime) -> int:
    """How many days are to be told, the newest anew when something changed since."""
    return len(_waiting(session, today=today, now=now))


def take_up(session: Session, *, today: date, owner: str, now: datetime) -> str:
    """The oldest day that is to be told and that nobody is at; "" for none."""
    clock = real_time()
    at_it = set(session.connection().execute(runs.held(STEP, clock=clock)).scalars())
    waiting = _waiting(session, today=today, now=now)
    day = next((each for each in reversed(waiting) if _subject(each) not in at_it), "")
    if day:
        runs.hold(session, STEP, [_subject(day)], owner=owner, clock=clock)
    return day


def _waiting(session: Session, *, today: date, now: datetime) -> list[str]:
    """Of the newest days those without a digest, and the newest of all when the wiki moved on."""
    days = digests.days_with_something(session, until=today.isoformat(), limit=RECENT)
    told = digests.told(session, days)
    seen = digests.seen(session, STEP, [_subject(day) for day in days])
    waiting = [day for day in days if day not in told and _subject(day) not in seen]
    newest = days[0] if days else ""
    digest = told.get(newest)
    if digest is None or not digest.teller or digest.told_at is None:
        return waiting
    if now - digest.told_at < QUIET or seen.get(_subject(newest)) == digests.state(session):
        return waiting
    return [newest, *waiting]
