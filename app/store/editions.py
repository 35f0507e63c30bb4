"""Editions: digests as they leave the wiki, each with the text of its page as it stands.

A person may have edited that text, so it is what is sent. Which of them went out by mail is here too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.digests import Document, Section
from app.domain.identifiers import whole_day
from app.domain.latex import plain_latex
from app.domain.ownership import PEOPLE
from app.domain.records import Attempt, AuthorKind, Digest, Done, Page, Preference
from app.errors import Invalid, NotFound
from app.store import runs


@dataclass(frozen=True)
class Edition:
    """A digest with the text of its page.

    `day` is a day or a month; `id` a URN that stays when text, title or address change, and that no
    other wiki gives to the same day.
    """

    id: str
    page_id: int
    version: int
    day: str
    title: str
    framing: str
    body: str
    made: datetime
    updated: datetime
    teller: str
    author_kind: AuthorKind

    @property
    def path(self) -> str:
        """Where it is read in the wiki."""
        return f"/digest/{self.day}" if len(self.day) == 7 else f"/today/{self.day}?view=full"

    @property
    def words(self) -> str:
        """Its day or month in words."""
        return day_in_words(self.day)

    @property
    def told(self) -> str:
        """Who made the text, in a sentence."""
        if self.author_kind in PEOPLE:
            return "A person edited it."
        if not self.teller:
            return "It came in from elsewhere."
        if self.teller == "local" and len(self.day) == 7:
            return "Counted from stored facts."
        if self.teller == "local":
            return "Told from stored facts, its sentences extracted from the texts."
        return f"Told by {self.teller}; what its checker could not find in the texts is left out."


def day_in_words(day: str) -> str:
    """ "14 May 2026" of a day, "May 2026" of a month; what is neither is given back."""
    try:
        parsed = date.fromisoformat(day if len(day) == 10 else f"{day}-01")
    except ValueError:
        return day
    return f"{parsed:%B %Y}" if len(day) == 7 else f"{parsed.day} {parsed:%B %Y}"


def newest(session: Session, *, limit: int) -> list[Edition]:
    """The digests of the newest days and months, a month after its last day."""
    return _editions(session, _QUERY.order_by(_PLACE.desc()).limit(limit))


def of_day(session: Session, day: str) -> Edition:
    """The digest of a day or month. Raises Invalid for what is neither, NotFound without one."""
    if whole_day(day if len(day) != 7 else f"{day}-01") is None:
        raise Invalid(
            f"{day[:40]!r} is neither a day such as 2026-05-14 nor a month such as 2026-05."
        )
    found = _editions(session, _QUERY.where(col(Digest.day) == day))
    if not found:
        raise NotFound(f"There is no digest of {day_in_words(day)}.")
    return found[0]


def of_page(session: Session, page_id: int) -> Edition:
    """The digest on a page. Raises NotFound for a page that is none."""
    found = _editions(session, _QUERY.where(col(Digest.page_id) == page_id))
    if not found:
        raise NotFound("The digest is gone.")
    return found[0]


def newest_day(session: Session) -> str:
    """The newest day that has a digest. Raises NotFound when none has."""
    statement = sa.select(sa.func.max(col(Digest.day))).where(sa.func.length(col(Digest.day)) == 10)
    found = session.connection().execute(statement).scalar()
    if not found:
        raise NotFound("There is no digest yet.")
    return str(found)


def document(session: Session, page_id: int) -> Document:
    """What is stored of a digest beside its text: its sections and ledger."""
    digest = session.get(Digest, page_id)
    if digest is None:
        raise NotFound("The digest is gone.")
    sections = tuple(Section.read(each) for each in digest.sections)
    return Document(digest.day, sections, dict(digest.ledger))


def feed_id(session: Session) -> str:
    """The URN of this wiki's feed: that of its first page, so that a move or a copy keeps it."""
    first = session.connection().execute(_FIRST).scalar()
    return uuid5(NAMESPACE_URL, f"cere-bro feed {_moment(first)}").urn


# Months are written with seven characters: "2026-05-99" comes after each day of May.
_PLACE = sa.case(
    (sa.func.length(col(Digest.day)) == 7, col(Digest.day) + "-99"), else_=col(Digest.day)
)
_QUERY: Any = sa.select(
    col(Page.id),
    col(Page.version),
    col(Digest.day),
    col(Page.title),
    col(Digest.framing),
    col(Page.body),
    col(Page.created_at),
    col(Page.updated_at),
    col(Digest.teller),
    col(Page.author_kind),
).join(Page, col(Page.id) == col(Digest.page_id))
_FIRST = sa.select(col(Page.created_at)).order_by(col(Page.id)).limit(1)


def _editions(session: Session, query: Any) -> list[Edition]:
    return [
        Edition(
            id=uuid5(NAMESPACE_URL, f"cere-bro {row.day} {_moment(row.created_at)}").urn,
            page_id=row.id,
            version=row.version,
            day=row.day,
            title=plain_latex(row.title),
            framing=row.framing,
            body=row.body,
            made=row.created_at,
            updated=row.updated_at,
            teller=row.teller,
            author_kind=row.author_kind,
        )
        for row in session.connection().execute(query)
    ]


def _moment(value: datetime | None) -> str:
    return value.isoformat() if value else ""


# ---------------------------------------------------------------- mail

STEP = "mail"
_SINCE = "mail_since"
SETTLED = timedelta(minutes=15)  # that a digest stands as it is before it goes out
LATEST = timedelta(hours=2)  # after which one that is told over and over goes out as it stands


def mail_since(session: Session) -> datetime | None:
    """When mail was switched on: what was told before is not sent by itself."""
    kept = session.get(Preference, _SINCE)
    return datetime.fromisoformat(kept.value) if kept else None


def note_mail(session: Session, *, on: bool, now: datetime) -> None:
    """Note that mail is on, from now on, or that it is off."""
    kept = session.get(Preference, _SINCE)
    if on and kept is None:
        session.add(Preference(name=_SINCE, value=now.isoformat()))
    elif not on and kept is not None:
        session.delete(kept)


def unsent(session: Session, *, now: datetime) -> int | None:
    """The page of the newest day that we told, if it is to be mailed now; None otherwise.

    It goes out when it has stood for a while: a day is told anew while its papers are read, and a
    model may write it after that.
    """
    since = mail_since(session)
    if since is None:
        return None
    newest = session.connection().execute(_NEWEST_TOLD).first()
    if newest is None or newest.mailed_at is not None or newest.created_at <= since:
        return None
    rests = (newest.told_at or newest.created_at) <= now - SETTLED
    if not rests and newest.created_at > now - LATEST:
        return None
    ruled_out = sa.union(
        sa.select(col(Done.subject_id)).where(col(Done.step) == STEP),
        runs.blocked(session, STEP, now=now),
        runs.held(STEP, clock=time.time()),
    ).subquery()
    found = sa.select(sa.literal(1)).where(ruled_out.c.subject_id == newest.page_id)
    return None if session.connection().execute(found).first() else int(newest.page_id)


_NEWEST_TOLD = (
    sa.select(col(Digest.page_id), col(Digest.mailed_at), col(Digest.told_at), col(Page.created_at))
    .join(Page, col(Page.id) == col(Digest.page_id))
    .where(col(Digest.teller) != "", sa.func.length(col(Digest.day)) == 10)
    .order_by(col(Digest.day).desc())
    .limit(1)
)


@dataclass(frozen=True)
class Posting:
    """What became of the mail of a digest. `state`: begun, sent, unsure or failed; `why` in words."""

    page_id: int
    day: str
    state: str
    why: str = ""
    at: datetime | None = None


BEGUN, SENT, UNSURE, FAILED = "begun", "sent", "unsure", "failed"


def begin_posting(session: Session, page_id: int) -> None:
    """Write down, before a server is spoken to, that this digest is being sent."""
    # Not by `runs.done`, which forgets how often it failed before.
    session.merge(Done(step=STEP, subject_id=page_id, seen=BEGUN))
    session.flush()


def end_posting(session: Session, page_id: int, state: str, why: str, *, now: datetime) -> None:
    """Write down what became of it. One that failed may be sent again."""
    if state == FAILED:
        session.connection().execute(
            sa.delete(Done).where(col(Done.step) == STEP, col(Done.subject_id) == page_id)
        )
        return
    runs.done(session, STEP, {page_id: f"{state}: {why}" if why else state})
    if state == SENT:
        session.connection().execute(
            sa.update(Digest).where(col(Digest.page_id) == page_id).values(mailed_at=now)
        )


def being_sent(session: Session) -> set[int]:
    """The digests that are being sent now."""
    return set(session.connection().execute(runs.held(STEP, clock=time.time())).scalars())


def left_behind(session: Session) -> list[int]:
    """Digests whose sending began and that no worker is at: it was killed in between."""
    held = runs.held(STEP, clock=time.time())
    rows = session.connection().execute(
        sa.select(col(Done.subject_id)).where(
            col(Done.step) == STEP, col(Done.seen) == BEGUN, col(Done.subject_id).not_in(held)
        )
    )
    return [int(row.subject_id) for row in rows]


def last_posting(session: Session) -> Posting | None:
    """What became of the newest digest that was to go out; None when none ever was."""
    row = session.connection().execute(_LAST).first()
    if row is None:
        return None
    state, _, why = (row.seen or FAILED).partition(": ")
    return Posting(row.page_id, row.day, state, why or row.last_error or "", row.mailed_at)


_LAST = (
    sa.select(
        col(Digest.page_id),
        col(Digest.day),
        col(Digest.mailed_at),
        col(Done.seen),
        col(Attempt.last_error),
    )
    .outerjoin(Done, (col(Done.step) == STEP) & (col(Done.subject_id) == col(Digest.page_id)))
    .outerjoin(
        Attempt, (col(Attempt.step) == STEP) & (col(Attempt.subject_id) == col(Digest.page_id))
    )
    .where(col(Done.seen).is_not(None) | col(Attempt.step).is_not(None))
    .order_by(_PLACE.desc())
    .limit(1)
)
