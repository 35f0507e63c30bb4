"""Answers that go on: a stream of events to one page, bounded in number, length and patience.

A stream reads for a moment and waits; between two looks it holds no session and no thread. A page
that is left, or a server that stops, ends it; a browser that was cut off asks again by itself and
says which event it had last.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from threading import Event

import anyio
import anyio.to_thread
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.types import Message, Send

from app.errors import CerebroError, Unavailable

log = logging.getLogger("cerebro.web")

MOST = 40  # streams at once; a browser opens one a page
LOOK_SECONDS = 1.0
LONGEST_SECONDS = 600.0  # then the browser asks again
SLOW_SECONDS = 30.0  # that a client may take for one message
QUIET_SECONDS = 15.0  # after which a word is sent, so that a client that vanished is noticed
DONE = "done"  # the event after which nothing follows


@dataclass(frozen=True)
class Told:
    """What is new: HTML of partials, the id to go on from, and whether it is the last."""

    html: str
    id: str
    last: bool = False


class Streams:
    """The streams of one process."""

    def __init__(self, ending: Event) -> None:
        self.ending = ending  # set when the server is about to stop
        self.open = 0
        self._readers = anyio.CapacityLimiter(4)  # not those that answer other requests

    def response(self, look: Callable[[str], Told | None], *, after: str) -> EventSourceResponse:
        """Follow something by `look(id)`, which says what is new since that id, in a short read.

        Raises Unavailable when as many are open as there may be.
        """
        if self.open >= MOST:
            raise Unavailable("Too many pages follow a job just now. Refresh this one by hand.")
        return _Response(self, look, after)

    async def events(self, look: Callable[[str], Told | None], after: str) -> AsyncIterator[bytes]:
        """The stream itself, as bytes; it begins with a word, so that the headers go out at once."""
        yield KEEPALIVE_COMMENT
        ends = time.monotonic() + LONGEST_SECONDS
        spoke = time.monotonic()
        while not self.ending.is_set() and time.monotonic() < ends:
            try:
                told = await anyio.to_thread.run_sync(look, after, limiter=self._readers)
            except CerebroError as error:  # the database is away: it may come back
                log.debug("a stream could not look: %s", error)
                told = None
            if told is not None:
                after, spoke = told.id, time.monotonic()
                yield format_sse_event(data_str=told.html, id=told.id)
                if told.last:
                    yield format_sse_event(data_str=DONE, event=DONE)
                    return
            elif time.monotonic() - spoke > QUIET_SECONDS:
                spoke = time.monotonic()
                yield KEEPALIVE_COMMENT
            await asyncio.sleep(LOOK_SECONDS)


class _Response(EventSourceResponse):
    """Counts itself while it is open, and gives up a client that takes nothing."""

    def __init__(self, streams: Streams, look: Callable[[str], Told | None], after: str) -> None:
        super().__init__(
            streams.events(look, after),
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._streams = streams

    async def stream_response(self, send: Send) -> None:
        async def patient(message: Message) -> None:
            with anyio.fail_after(SLOW_SECONDS):
                await send(message)

        self._streams.open += 1
        try:
            await super().stream_response(patient)
        except TimeoutError:
            log.debug("a client of a stream took nothing for %.0f s", SLOW_SECONDS)
        finally:
            self._streams.open -= 1
