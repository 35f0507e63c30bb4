"""Mail on the Settings screen: on or off, to whom, what became of the last, and a test letter."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from app import pipeline
from app.bootstrap import App
from app.domain.records import Digest, PageKind
from app.store import editions, runs
from app.store.db import writing
from tests.factories import make_page
from tests.mail_server import PASSWORD, USER, MailServer
from tests.web.conftest import parsed, words


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as found:
        yield found


@pytest.fixture
def on(app: App, server: MailServer) -> App:
    app.settings.smtp = SecretStr(f"smtp://127.0.0.1:{server.port}")
    app.settings.mail_to = "Ada <ada@example.org>"
    pipeline.begin(app)
    return app


def section(client: TestClient) -> str:
    return words(parsed(client.get("/settings")).select_one("#mail"))


def test_mail_that_is_off_says_what_is_missing(app: App, client: TestClient) -> None:
    assert "Mail is off: CEREBRO_SMTP and CEREBRO_MAIL_TO are not set." in section(client)
    app.settings.smtp = SecretStr("smtp://127.0.0.1:1")
    assert "Mail is off: CEREBRO_MAIL_TO is not set." in section(client)
    assert "Send a test letter" not in section(client)
    answer = client.post("/settings/mail/test")
    assert answer.status_code == 409 and "CEREBRO_SMTP" in answer.text


@pytest.mark.usefixtures("on")
def test_a_test_letter_is_sent(client: TestClient, server: MailServer) -> None:
    assert "goes by mail to Ada <ada@example.org>" in section(client)
    answer = client.post("/settings/mail/test")
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings?mailed=1#mail")
    assert [took.letter["Subject"] for took in server.letters] == ["cere-bro: mail works"]
    assert "A test letter is on its way" in words(parsed(client.get("/settings?mailed=1")).main)


def test_a_test_letter_that_was_not_sent_says_why(on: App, client: TestClient) -> None:
    on.settings.smtp = SecretStr("smtp://127.0.0.1:1")
    answer = client.post("/settings/mail/test")
    assert answer.status_code == 502
    said = words(parsed(answer).select_one("#mail .problem"))
    assert said == "It was not sent: 127.0.0.1:1 could not be talked to: Connection refused."


def test_a_password_is_on_no_screen(on: App, client: TestClient, server: MailServer) -> None:
    on.settings.smtp = SecretStr(f"smtp://{USER}:open%2Fsesame%40home@127.0.0.1:{server.port}")
    for answer in (client.get("/settings"), client.post("/settings/mail/test")):
        assert PASSWORD not in answer.text and "sesame" not in answer.text
        assert f"127.0.0.1:{server.port}" in answer.text
    assert "sesame" not in repr(on.settings)


def test_what_became_of_the_last_digest_is_said(
    on: App, client: TestClient, server: MailServer
) -> None:
    def told(day: str, hours: int) -> None:
        assert on.settings.now is not None
        on.settings.now += timedelta(hours=hours)
        with writing(on.engine) as session:
            page_id = make_page(
                session, f"Digest of {day}", PageKind.DIGEST, text="So.", at=on.settings.now
            )
            session.add(Digest(page_id=page_id, day=day, teller="local"))
        on.settings.now += editions.SETTLED
        [step] = [step for step in pipeline.STEPS if step.name == "mail"]
        with runs.at_work(on.engine) as owner:
            step.run(on, owner)

    assert "The digest of" not in section(client)
    told("2026-05-14", 1)
    assert "The digest of 14 May 2026 was sent" in section(client)
    server.handler.data.append("554 no room")
    told("2026-05-15", 24)
    said = section(client)
    assert "The digest of 15 May 2026 was not sent: " in said and "554 no room" in said
    jobs = words(parsed(client.get("/jobs")).main)
    assert "mail: Digest of 2026-05-15" in jobs and "554 no room" in jobs
