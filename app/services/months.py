"""Months told: a page for each month that is over, a view of the one that runs.

A month is told by the worker once it is over, and looked at again once a day for as long as the next
month runs: what was decided late counts still. After that, and from `cerebro digest --month`, it is
told anew only when somebody asks. Once a person edited its page, the text is theirs. The month that
runs has no page: its overview is worked out when it is asked for, and kept nowhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from hashlib import sha256
from time import time as real_time
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain import months as telling
from app.domain.digests import Document
from app.domain.months import Month, first_and_last
from app.domain.records import AuthorKind, Digest, Done, Page, PageKind
from app.errors import Invalid, NotFound
from app.store import editions, months, pages, runs
from app.store.pages import Author, Content

STEP = "months"
LOCAL = "local"
_TELLER = Author(AuthorKind.AGENT, LOCAL)


@dataclass(frozen=True)
class Told:
    """A month as it is shown: its text, its document, and its page if it has one."""

    month: str
    body: str
    document: Document
    page_id: int | None = None
    running: bool = False


def asked(month: str) -> str:
    """A month as somebody wrote it. Raises Invalid for what is none."""
    if not telling.is_month(month):
        raise Invalid(f"{month[:40]!r} is no month. Write it as year and month: 2026-05.")
    return month


def shown(session: Session, month: str, *, today: date, zone: tzinfo | None) -> Told:
    """The overview of a month: its page as it stands, else as its facts tell it now.

    Raises Invalid for what is no month, NotFound for one in which nothing came in.
    """
    asked(month)
    kept = _kept(session, month)
    if kept is not None:
        digest, page = kept
        return Told(month, page.body, editions.document(session, digest.page_id), page.id)
    facts = _facts(session, month, today=today, zone=zone)
    return Told(
        month,
        telling.as_markdown(facts),
        telling.document(facts),
        running=bool(facts.until),
    )


def _kept(session: Session, month: str) -> tuple[Digest, Page] | None:
    found = session.exec(
        select(Digest, Page).where(col(Digest.day) == month, col(Page.id) == col(Digest.page_id))
    ).first()
    return (found[0], found[1]) if found else None


def _facts(session: Session, month: str, *, today: date, zone: tzinfo | None) -> Month:
    """Raises NotFound for a month in which nothing came in."""
    first, last = first_and_last(month)
    if not months.is_known(session, month):
        raise NotFound(f"Nothing came in during {telling.in_words(month)}.")
    return months.facts(
        session,
        month,
        begin=_midnight(first, zone),
        end=_midnight(last + timedelta(1), zone),
        until=today.isoformat() if first <= today <= last else "",
    )


def _midnight(day: date, zone: tzinfo | None) -> datetime:
    moment = datetime.combine(day, time.min)
    return moment.replace(tzinfo=zone) if zone else moment.astimezone()


# ---------------------------------------------------------------- telling


@dataclass(frozen=True)
class Work:
    """A month read to be told; `facts` None when its text is not ours to tell."""

    month: str
    day: str  # on which it was read
    over: bool
    facts: Month | None


def read(session: Session, month: str, *, today: date, zone: tzinfo | None) -> Work:
    """The facts of a month. Raises Invalid or NotFound."""
    asked(month)
    kept = _kept(session, month)
    ours = kept is None or _is_ours(session, kept[0])
    facts = _facts(session, month, today=today, zone=zone) if ours else None
    return Work(month, today.isoformat(), today > first_and_last(month)[1], facts)


def store(session: Session, work: Work, *, now: datetime, owner: str = "") -> bool:
    """Write the page of a month that is over, or write it anew; whether that was done.

    Nothing is stored of a month that runs, of one that stands as it was told, or of one that a person
    edited meanwhile.
    """
    facts = work.facts
    if not work.over:
        return False
    if owner and not runs.let_go(session, STEP, [_subject(work.month)], owner=owner):
        return False
    runs.done(session, STEP, {_subject(work.month): work.day})
    kept = _kept(session, work.month)
    if facts is None or (kept is not None and not _is_ours(session, kept[0])):
        return False
    document = telling.document(facts)
    body = pages.by_file_names(session, telling.as_markdown(facts))
    key = sha256(json.dumps(document.as_json(), sort_keys=True).encode()).hexdigest()[:16]
    if kept is not None and kept[0].key == key:
        return False
    told: dict[str, Any] = {
        "framing": telling.framing(facts),
        "sections": document.as_json()["sections"],
        "ledger": dict(document.ledger),
        "teller": LOCAL,
        "key": key,
        "told_at": now,
    }
    if kept is None:
        title = f"Digest of {telling.in_words(work.month)}"
        content = Content(title=title, kind=PageKind.DIGEST, body=body)
        page = pages.create(session, content, author=_TELLER, now=now, slug=f"digest-{work.month}")
        assert page.id is not None
        session.add(Digest(page_id=page.id, day=work.month, **told))
        return True
    digest, page = kept
    content = replace(pages.content_of(session, page), body=body)
    pages.revise(session, page, content, author=_TELLER, now=now)
    digest.sqlmodel_update(told)
    session.add(digest)
    return True


def _is_ours(session: Session, digest: Digest) -> bool:
    return digest.teller != "" and not pages.has_hand(session, digest.page_id)


def _subject(month: str) -> int:
    """A month as the subject of a step: 202605."""
    return int(month.replace("-", ""))


# ---------------------------------------------------------------- what waits


def pending(session: Session, *, today: date) -> int:
    """How many months are to be told, or looked at again."""
    return len(_waiting(session, today=today))


def take_up(session: Session, *, today: date, owner: str) -> str:
    """The oldest month that is to be told and that nobody is at; "" for none."""
    clock = real_time()
    at_it = set(session.connection().execute(runs.held(STEP, clock=clock)).scalars())
    month = next(
        (each for each in _waiting(session, today=today) if _subject(each) not in at_it), ""
    )
    if month:
        runs.hold(session, STEP, [_subject(month)], owner=owner, clock=clock)
    return month


def _waiting(session: Session, *, today: date) -> list[str]:
    last = f"{today.replace(day=1) - timedelta(1):%Y-%m}"
    seen: dict[int, str] = dict(
        session.connection()
        .execute(sa.select(col(Done.subject_id), col(Done.seen)).where(col(Done.step) == STEP))
        .all()
    )
    return [
        month
        for month in months.months_with_days(session, before=f"{today:%Y-%m}")
        if (known := seen.get(_subject(month))) is None
        or (month == last and known != today.isoformat())
    ]
