"""Whose turn it is to ask a host: one at a time, and spaced. For one process; store/hosts.py for all."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock, get_ident
from typing import Protocol


class Pace(Protocol):
    """Whose turn it is to ask a host, by name and port. Turns are of threads."""

    def take(self, host: str, *, spacing: float, seconds: float) -> float:
        """Take the turn for `seconds` at most: 0 when it is ours, else how long to wait to ask again.

        `spacing` seconds at least lie between the end of the host's last request and now.
        """
        ...

    def give(self, host: str, *, spacing: float) -> None:
        """Give the turn back; nobody asks the host within the next `spacing` seconds."""
        ...

    def hold(self, host: str, seconds: float) -> None:
        """Nobody asks a host, whose turn is ours, for so many seconds."""
        ...


class Turns:
    """The turns of one process, in memory."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._next: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._taken: dict[str, tuple[int, float]] = {}  # by which thread, until when

    def take(self, host: str, *, spacing: float, seconds: float) -> float:
        with self._lock:
            now = self._clock()
            due = max(self._next.get(host, now), self._asked.get(host, now - spacing) + spacing)
            if due > now:
                return due - now
            _, until = self._taken.get(host, (0, now))
            if until > now:
                return min(until - now, 0.05)
            self._taken[host] = (get_ident(), now + seconds)
            return 0.0

    def give(self, host: str, *, spacing: float) -> None:
        with self._lock:
            owner, _ = self._taken.get(host, (0, 0.0))
            if owner != get_ident():
                return
            del self._taken[host]
            now = self._asked[host] = self._clock()
            self._next[host] = max(self._next.get(host, 0.0), now + spacing)

    def hold(self, host: str, seconds: float) -> None:
        with self._lock:
            self._next[host] = max(self._next.get(host, 0.0), self._clock() + seconds)
