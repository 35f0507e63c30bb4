"""Streams: they end when the server does, are bounded in number, and wait for no client for ever."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest
from starlette.types import Message

from app.errors import Unavailable
from app.web.streams import Streams, Told


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.streams.LOOK_SECONDS", 0.001)


def nothing(since: str) -> None:
    return None


async def taken(streams: Streams, look: object, after: str = "") -> bytes:
    return b"".join([chunk async for chunk in streams.events(look, after)])  # type: ignore[arg-type]


def test_a_stream_ends_when_the_server_is_about_to() -> None:
    ending = Event()

    def look(since: str) -> Told | None:
        ending.set()
        return None

    assert asyncio.run(taken(Streams(ending), look)) == b": ping\n\n"


def test_a_stream_ends_after_its_time_so_that_the_browser_asks_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.web.streams.LONGEST_SECONDS", 0.05)
    assert b"done" not in asyncio.run(taken(Streams(Event()), nothing))


def test_a_quiet_stream_says_a_word_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.streams.QUIET_SECONDS", 0.0)
    monkeypatch.setattr("app.web.streams.LONGEST_SECONDS", 0.2)
    assert asyncio.run(taken(Streams(Event()), nothing)).count(b": ping") > 1


def test_a_database_that_goes_away_and_comes_back_ends_no_stream() -> None:
    answers = iter([Unavailable("The database is away."), Told("<p>a\nb</p>", "7", last=True)])

    def look(since: str) -> Told | None:
        answer = next(answers)
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    text = asyncio.run(taken(Streams(Event()), look)).decode()
    assert text == ": ping\n\ndata: <p>a\ndata: b</p>\nid: 7\n\nevent: done\ndata: done\n\n"


def test_each_look_goes_on_from_what_was_told() -> None:
    asked: list[str] = []

    def look(since: str) -> Told | None:
        asked.append(since)
        return Told("x", str(len(asked)), last=len(asked) == 3)

    asyncio.run(taken(Streams(Event()), look, "0"))
    assert asked == ["0", "1", "2"]


async def sent(streams: Streams, send: object) -> None:
    async def never() -> Message:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    scope = {"type": "http", "asgi": {"spec_version": "2.3"}, "headers": []}
    await streams.response(nothing, after="")(scope, never, send)  # type: ignore[arg-type]


def test_a_client_that_takes_nothing_is_given_up_and_its_place_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.web.streams.SLOW_SECONDS", 0.05)
    streams = Streams(Event())

    async def stuck(message: Message) -> None:
        assert streams.open == 1
        await asyncio.sleep(60)

    asyncio.run(sent(streams, stuck))
    assert streams.open == 0


def test_a_client_that_leaves_ends_its_stream() -> None:
    streams = Streams(Event())

    async def leave() -> None:
        async def send(message: Message) -> None:
            gone.set()

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        gone = asyncio.Event()
        scope = {"type": "http", "asgi": {"spec_version": "2.3"}, "headers": []}
        response = streams.response(nothing, after="")
        await asyncio.wait_for(response(scope, receive, send), timeout=20)  # type: ignore[arg-type]

    asyncio.run(leave())
    assert streams.open == 0


def test_there_are_so_many_and_no_more() -> None:
    streams = Streams(Event())
    streams.open = 40
    with pytest.raises(Unavailable, match="Too many pages"):
        streams.response(nothing, after="")
