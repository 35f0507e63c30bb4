"""Newsletters from a mailbox to pages and mentions: fetched, kept, read; and a password that is nowhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import SQLModel
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import Fetch, FetchState, Item, LooseMention, Page, Source, Subscription
from app.fetchers import Fetchers, read_delivery
from app.services import subscriptions
from app.services.linker import shipped_weights
from app.settings import Settings
from app.sources.imap import ImapConnector
from app.store.db import reading, writing
from app.web.app import create
from tests.factories import make_engine
from tests.servers.imap import PASSWORD, ImapServer

NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.strftime("%a, %d %b %Y %H:%M:%S +0000")


def message(number: int) -> bytes:
    return (
        f"From: Ada <ada@example.org>\r\nSubject: Weekly {number}\r\nMessage-ID: <{number}@example.org>\r\n"
        f"Date: {TODAY}\r\nContent-Type: text/html\r\n\r\n<p>We read <a href='https://arxiv.org/abs/2605.0000"
        f"{number}'>a study of looms</a> with care.</p>\r\n"
    ).encode()


@pytest.fixture(scope="module")
def server() -> Iterator[ImapServer]:
    with ImapServer() as running:
        yield running


def app_of(folder: Path, server: ImapServer, address: str = "") -> App:
    settings = Settings(
        data=folder / "data",
        embedding_model="none",
        timezone="UTC",
        now=NOW,
        fetch_allow=f"127.0.0.1:{server.port}",
        imap=address or server.address,  # type: ignore[arg-type]
    )
    settings.data.mkdir()
    return App(settings, make_engine(settings.data), shipped_weights(None))


def subscribe(app: App, folder: str) -> None:
    found = ImapConnector().finds(f"imap:{folder}")
    assert found is not None
    with writing(app.engine) as session:
        subscriptions.add(session, found, connectors=app.connectors, now=app.clock())
        session.commit()


def fetch(app: App) -> None:
    with writing(app.engine) as session:
        row = session.exec(sa.select(Subscription)).scalar_one()
        row.due_at = app.clock() - timedelta(minutes=1)
        session.add(row)
        session.commit()
    Fetchers(app, "test").run()
    while read_delivery(app, "test") is not None:
        pass


def everything(app: App) -> str:
    """All that the database and the data folder hold, in one text."""
    parts = []
    with reading(app.engine) as session:
        for table in SQLModel.metadata.sorted_tables:
            parts += [repr(tuple(row)) for row in session.connection().execute(sa.select(table))]
    parts += [
        path.read_bytes().decode("latin-1")
        for path in app.settings.data.rglob("*")
        if path.is_file()
    ]
    return "\n".join(parts)


def test_a_newsletter_becomes_a_page_with_its_papers_and_its_star(
    server: ImapServer, tmp_path: Path
) -> None:
    app = app_of(tmp_path, server)
    for number in (1, 2):
        server.append(message(number), folder="Letters", starred=number == 2)
    subscribe(app, "Letters")
    fetch(app)
    with reading(app.engine) as session:
        kept = session.exec(sa.select(Item).order_by(Item.key)).scalars().all()  # type: ignore[arg-type]
        assert [(item.title, item.state) for item in kept] == [
            ("Weekly 1", {"starred": False}), ("Weekly 2", {"starred": True}),
        ]  # fmt: skip
        assert session.exec(sa.select(Source.name)).scalars().all() == ["Mail in Letters"]
        page = session.get(Page, kept[0].page_id)
        assert (
            page is not None and "[a study of looms](https://arxiv.org/abs/2605.00001)" in page.body
        )
        loose = session.exec(sa.select(LooseMention).order_by(LooseMention.value)).scalars().all()  # type: ignore[arg-type]
        assert [(each.value, each.text, each.source_name) for each in loose] == [
            (f"2605.0000{n}", "We read a study of looms with care.", "Ada") for n in (1, 2)
        ]
        uids = session.exec(sa.select(Subscription.cursor)).scalar_one()
    server.flag(uids["next"] - 2, starred=True, folder="Letters")
    fetch(app)
    with reading(app.engine) as session:
        kept = session.exec(sa.select(Item).order_by(Item.key)).scalars().all()  # type: ignore[arg-type]
        assert [item.state for item in kept] == [{"starred": True}] * 2
    app.engine.dispose()


@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
def test_the_password_is_in_no_row_file_log_page_or_error(
    server: ImapServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    address = server.address.replace("sesame", "sesamy") if wrong else server.address
    app = app_of(tmp_path, server, address)
    server.append(message(3), folder="Canary")
    subscribe(app, "Canary")
    fetch(app)
    said = [everything(app), caplog.text, repr(app.settings), repr(app.settings.mailbox)]
    with reading(app.engine) as session:
        (state, error) = session.exec(sa.select(Fetch.state, Fetch.error)).one()  # type: ignore[call-overload]
        stopped = session.exec(sa.select(Subscription.stopped)).scalar_one()
    assert state == (FetchState.FAILED if wrong else FetchState.DONE)
    assert not wrong or ("did not take the user" in error and stopped)
    with TestClient(create(app), base_url="http://127.0.0.1:8000") as browser:
        for path in ("/settings", "/sources", "/sources/1", "/jobs", "/api/v1/sources"):
            said.append(browser.get(path).text)
    assert "127.0.0.1" in said[4]  # the screen says which server, and nothing else of it
    for text in said:
        assert PASSWORD not in text and "canary/91" not in text and "canary%2F91" not in text
    app.engine.dispose()
