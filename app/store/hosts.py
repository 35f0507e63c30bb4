"""Whose turn it is to ask a host, for all processes of this wiki: one at a time, and spaced.

A turn ends by itself when its process died with it. Times are of the real clock: the machines that
work on one wiki agree on it to a second or so.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from threading import get_ident
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from app.domain.pacing import LONGEST
from app.domain.records import FetchHost
from app.errors import Unavailable
from app.store.db import reading, writing

log = logging.getLogger("cerebro.sources")

LOOK_AGAIN = 0.1  # seconds, while somebody else has the turn
_SET_BACK = 600.0  # what lies further ahead was written before the clock was set back


class Hosts:
    """The turns of all hosts. Each call is a transaction of its own: none may be open around it."""

    def __init__(self, engine: Engine, *, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock
        self._process = uuid4().hex

    def take(self, host: str, *, spacing: float, seconds: float) -> float:
        """Take the turn of a host for `seconds` at most: 0 when it is ours, else how long to wait.

        `spacing` seconds at least lie between the end of its last request and now.
        """
        with reading(self._engine) as session:
            wait = self._wait(session, host, spacing)
        if wait is None:
            try:
                with writing(self._engine, alone=False) as session:
                    session.add(FetchHost(name=host))
                    session.flush()
                    return 0.0 if self._claim(session, host, spacing, seconds) else LOOK_AGAIN
            except IntegrityError:  # somebody else was first
                return LOOK_AGAIN
        if wait > 0:
            return wait
        with writing(self._engine, alone=False) as session:
            return 0.0 if self._claim(session, host, spacing, seconds) else LOOK_AGAIN

    def give(self, host: str, *, spacing: float) -> None:
        """Give the turn back; nobody asks the host within the next `spacing` seconds."""
        now = self._clock()
        statement = (
            sa.update(FetchHost)
            .where(col(FetchHost.name) == host, col(FetchHost.owner) == self._owner())
            .values(owner="", until=0.0, asked_at=now, next_at=_later(now + spacing))
        )
        try:
            with writing(self._engine, alone=False) as session:
                session.connection().execute(statement)
        except Unavailable as error:  # what was fetched is worth more: the turn ends by itself
            log.warning("the turn of %s could not be given back: %s", host, error)

    def hold(self, host: str, seconds: float) -> None:
        """Nobody asks a host, whose turn is ours, for so many seconds; a day at most."""
        until = self._clock() + min(seconds, LONGEST.total_seconds())
        with writing(self._engine, alone=False) as session:
            session.connection().execute(
                sa.update(FetchHost)
                .where(col(FetchHost.name) == host)
                .values(next_at=_later(until))
            )

    def _wait(self, session: Session, host: str, spacing: float) -> float | None:
        """Seconds until it is worth trying to take the turn; None for a host nobody asked yet."""
        found = session.get(FetchHost, host)
        if found is None:
            return None
        now = self._clock()
        set_back = found.asked_at >= now + _SET_BACK
        due = 0.0 if set_back else max(found.next_at, found.asked_at + spacing)
        if due > now:
            return due - now
        taken = found.owner and now < found.until < now + _SET_BACK
        return min(found.until - now, LOOK_AGAIN) if taken else 0.0

    def _claim(self, session: Session, host: str, spacing: float, seconds: float) -> bool:
        now = self._clock()
        until, asked_at = col(FetchHost.until), col(FetchHost.asked_at)
        free = sa.or_(col(FetchHost.owner) == "", until <= now, until >= now + _SET_BACK)
        due = sa.or_(
            sa.and_(asked_at <= now - spacing, col(FetchHost.next_at) <= now),
            asked_at >= now + _SET_BACK,
        )
        done = session.connection().execute(
            sa.update(FetchHost)
            .where(col(FetchHost.name) == host, free, due)
            .values(owner=self._owner(), until=now + seconds)
        )
        return done.rowcount == 1

    def _owner(self) -> str:
        """This thread of this process, also of one that was forked from where this was made."""
        return f"{self._process}:{os.getpid()}:{get_ident()}"


def _later(moment: float) -> sa.Case[float]:
    """The moment before which a host is not asked: this one, or the one there is if it is later."""
    return sa.case((col(FetchHost.next_at) > moment, col(FetchHost.next_at)), else_=moment)
