"""Digests leave the wiki: once by mail, whatever happens in between, and as a file that loads nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from bs4 import BeautifulSoup
from pydantic import SecretStr
from sqlmodel import select

from app import pipeline
from app.bootstrap import App
from app.domain.records import Attempt, AuthorKind, Digest, Done, Page, PageKind
from app.errors import Invalid, NotFound, Unavailable
from app.reading import rendered
from app.services import sending
from app.services.linker import shipped_weights
from app.settings import Settings
from app.store import editions, runs
from app.store.db import reading, writing
from tests.factories import make_engine, make_page
from tests.mail_server import BrokenServer, MailServer

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
BODY = """Tides *turned*, see [[Slack water]] and [[Nobody wrote this]].

## Deep Dives

### TideNet

It halves the error of $x_i^2$, see [the paper](https://arxiv.org/abs/2605.00001)[^1].

```
a ──► b
```

| day | papers |
| --- | --: |
| one | 2 |

<script>alert(1)</script> ![a picture](https://evil.example/x.png)

[^1]: said there
"""


class Timed(App):
    """An App whose records follow a time that a test moves."""

    now = NOW

    @property
    def clock(self) -> Any:
        return lambda: self.now


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as found:
        yield found


@pytest.fixture
def app(tmp_path: Path, server: MailServer) -> Iterator[Timed]:
    """A wiki with mail, whose clock stands at 9:00."""
    made = wiki(tmp_path, server.port)
    pipeline.begin(made)
    yield made
    made.engine.dispose()


def wiki(folder: Path, port: int | None, **fields: Any) -> Timed:
    settings = Settings(data=folder, embedding_model="none", timezone="UTC", **fields)
    if port is not None:
        settings.smtp = SecretStr(f"smtp://127.0.0.1:{port}")
        settings.mail_to = "Ada <ada@example.org>, ben@example.org"
    return Timed(settings, make_engine(folder), shipped_weights(None))


def told(app: Timed, day: str, *, teller: str = "local", body: str = BODY, hours: float = 1) -> int:
    """A digest of a day, told so many hours after nine; the clock goes on to then. Its page."""
    app.now = NOW + timedelta(hours=hours)
    with writing(app.engine) as session:
        page_id = make_page(
            session,
            f"Digest of {day}",
            PageKind.DIGEST,
            slug=f"digest-{day}",
            text=body,
            at=app.now,
        )
        digest = Digest(page_id=page_id, day=day, framing="Tides turned.", teller=teller)
        digest.told_at = app.now if teller else None
        session.add(digest)
    app.now += editions.SETTLED
    return page_id


def work(app: Timed) -> pipeline.Batch:
    """What the step does until nothing waits for it."""
    done = failed = 0
    [step] = [step for step in pipeline.STEPS if step.name == editions.STEP]
    with runs.at_work(app.engine) as owner:
        while True:
            with reading(app.engine) as session:
                if not step.pending(session, app):
                    return pipeline.Batch(done, failed)
            batch = step.run(app, owner)
            assert batch.done or batch.failed
            done, failed = done + batch.done, failed + batch.failed


def attempt(app: Timed, page_id: int) -> Attempt | None:
    with reading(app.engine) as session:
        found = session.get(Attempt, (editions.STEP, page_id))
        if found is not None:
            session.expunge(found)
        return found


def mailed(app: Timed, page_id: int) -> datetime | None:
    with reading(app.engine) as session:
        found = session.get(Digest, page_id)
        assert found is not None
        return found.mailed_at


def posting(app: Timed) -> tuple[str, str, str]:
    with reading(app.engine) as session:
        found = editions.last_posting(session)
        assert found is not None
        return found.day, found.state, found.why


# ---------------------------------------------------------------- what is sent, and when


def test_the_newest_digest_that_we_told_is_sent_once(app: Timed, server: MailServer) -> None:
    page_id = told(app, "2026-05-14")
    assert work(app) == pipeline.Batch(done=1)
    [took] = server.letters
    assert took.to == ["ada@example.org", "ben@example.org"]
    assert took.letter["Subject"] == "Digest of 2026-05-14"
    assert mailed(app, page_id) == app.now and posting(app) == ("2026-05-14", "sent", "")
    assert work(app) == pipeline.Batch()
    with writing(app.engine) as session:  # told anew, it is still the same day
        digest = session.get(Digest, page_id)
        assert digest is not None
        digest.key = "other"
        session.add(digest)
    assert work(app) == pipeline.Batch() and len(server.letters) == 1
    told(app, "2026-05-15", hours=24)
    assert work(app).done == 1
    assert [took.letter["Subject"][-10:] for took in server.letters] == ["2026-05-14", "2026-05-15"]
    ids = [took.letter["Message-ID"] for took in server.letters]
    assert len(set(ids)) == 2


def test_a_digest_goes_out_when_it_has_stood_for_a_while(app: Timed, server: MailServer) -> None:
    page_id = told(app, "2026-05-14")
    begun = app.now - editions.SETTLED

    def retold() -> None:
        with writing(app.engine) as session:
            digest = session.get(Digest, page_id)
            assert digest is not None
            digest.told_at = app.now
            session.add(digest)

    retold()
    app.now += editions.SETTLED - timedelta(seconds=1)
    assert work(app) == pipeline.Batch()
    retold()
    app.now = begun + editions.LATEST - timedelta(seconds=1)
    retold()
    assert work(app) == pipeline.Batch()
    app.now += timedelta(seconds=1)  # told over and over, it goes out as it stands
    assert work(app) == pipeline.Batch(done=1) and len(server.letters) == 1


def test_what_is_old_or_came_in_or_is_a_month_is_not_sent(app: Timed, server: MailServer) -> None:
    told(app, "2026-05-12", hours=-1)  # before mail was on
    assert work(app) == pipeline.Batch()
    told(app, "2026-05-13", teller="", hours=1)
    assert work(app) == pipeline.Batch()
    told(app, "2026-05", hours=2)
    assert work(app) == pipeline.Batch()
    told(app, "2026-05-14", hours=3)
    told(app, "2026-05-11", hours=4)  # an older day, told late
    assert work(app).done == 1
    assert [took.letter["Subject"] for took in server.letters] == ["Digest of 2026-05-14"]


def test_a_first_start_with_mail_sends_nothing_that_was_told_before(
    tmp_path: Path, server: MailServer
) -> None:
    app = wiki(tmp_path, None)
    pipeline.begin(app)
    told(app, "2026-05-14")
    assert work(app) == pipeline.Batch()
    with pytest.raises(Unavailable, match="Mail is off: set CEREBRO_SMTP and CEREBRO_MAIL_TO"):
        pipeline.mail_now(app, "2026-05-14")
    app.settings = wiki(tmp_path, server.port).settings
    app.now += timedelta(hours=1)
    pipeline.begin(app)
    assert work(app) == pipeline.Batch() and server.letters == []
    told(app, "2026-05-15", hours=24)
    assert work(app).done == 1
    # Off and on again: what was told meanwhile is old too.
    app.settings.smtp = SecretStr("")
    pipeline.begin(app)
    told(app, "2026-05-16", hours=48)
    app.settings.smtp = SecretStr(f"smtp://127.0.0.1:{server.port}")
    app.now += timedelta(hours=1)
    pipeline.begin(app)
    assert work(app) == pipeline.Batch() and len(server.letters) == 1


def test_a_letter_says_what_the_page_says_and_loads_nothing(app: Timed, server: MailServer) -> None:
    with writing(app.engine) as session:
        make_page(session, "Slack water", slug="slack-water")
    app.settings.base_url = "https://wiki.example"
    told(app, "2026-05-14")
    work(app)
    plain, html = server.letters[0].letter.iter_parts()
    text = plain.get_content().replace("\r\n", "\n")
    assert text.startswith("Digest of 2026-05-14\n\nTides turned, see Slack water and Nobody wrote")
    assert (
        "x_i^2" in text and "<https://arxiv.org/abs/2605.00001>" in text and "    a ──► b" in text
    )
    assert "Read it in the wiki: https://wiki.example/today/2026-05-14?view=full" in text
    shown = BeautifulSoup(html.get_content(), "html.parser")
    assert not shown.find_all(["script", "img", "link", "iframe", "math", "style"])
    hrefs = [a["href"] for a in shown.find_all("a")]
    assert "https://wiki.example/w/slack-water" in hrefs
    assert all(href.startswith("https://") for href in hrefs), hrefs
    assert "Nobody wrote this" in shown.get_text() and not [h for h in hrefs if "edit" in h]
    assert shown.find("h3")["style"] and shown.find("td")["style"]


# ---------------------------------------------------------------- what goes wrong


def test_a_server_that_puts_it_off_is_asked_again_later_and_later(
    app: Timed, server: MailServer
) -> None:
    page_id = told(app, "2026-05-14")
    server.handler.data.extend(["451 busy", "451 busy still"])
    assert work(app) == pipeline.Batch(failed=1)
    first = attempt(app, page_id)
    assert first is not None and not first.parked and "451 busy" in first.last_error
    assert posting(app)[1:] == ("failed", first.last_error) and mailed(app, page_id) is None
    app.now = first.next_try_at + timedelta(seconds=1)
    assert work(app) == pipeline.Batch(failed=1)
    second = attempt(app, page_id)
    assert second is not None
    assert second.next_try_at - app.now == timedelta(minutes=2)  # after one the first time
    app.now = second.next_try_at + timedelta(seconds=1)
    assert work(app) == pipeline.Batch(done=1)
    assert attempt(app, page_id) is None and len(server.letters) == 1


def test_a_server_that_refuses_it_parks_it_with_the_reason(app: Timed, server: MailServer) -> None:
    page_id = told(app, "2026-05-14")
    server.handler.data.append("554 no digests here")
    assert work(app) == pipeline.Batch(failed=1)
    found = attempt(app, page_id)
    assert found is not None and found.parked and "554 no digests here" in found.last_error
    app.now += timedelta(days=3)
    assert work(app) == pipeline.Batch() and server.letters == []
    assert "Sent" in pipeline.mail_now(app, "2026-05-14")
    assert attempt(app, page_id) is None and mailed(app, page_id) == app.now


def test_readers_that_were_not_taken_are_said(app: Timed, server: MailServer) -> None:
    server.handler.rcpt["ben@example.org"] = "550 no Ben here"
    told(app, "2026-05-14")
    assert work(app).done == 1
    assert posting(app) == ("2026-05-14", "sent", "not to ben@example.org (550 no Ben here)")
    assert work(app) == pipeline.Batch() and len(server.letters) == 1


def test_a_letter_of_which_nobody_knows_is_not_sent_again_by_itself(
    tmp_path: Path, server: MailServer
) -> None:
    with BrokenServer("dot") as broken:
        app = wiki(tmp_path, broken.port)
        pipeline.begin(app)
        page_id = told(app, "2026-05-14")
        assert work(app) == pipeline.Batch(failed=1)
        assert broken.got_all
    found = attempt(app, page_id)
    assert found is not None and found.parked
    assert "It may have gone out" in found.last_error
    assert "cerebro digest --day 2026-05-14 --mail" in found.last_error
    app.settings = wiki(tmp_path, server.port).settings
    with writing(app.engine) as session:  # "Run now" in Jobs
        session.connection().execute(sa.delete(Attempt))
    app.now += timedelta(days=1)
    assert work(app) == pipeline.Batch() and server.letters == []
    assert posting(app)[1] == "unsure"
    pipeline.mail_now(app, "2026-05-14")
    assert posting(app)[1:] == ("sent", "") and len(server.letters) == 1
    app.engine.dispose()


SCRIPT = """
import sys
from pathlib import Path
from app import pipeline
from app.bootstrap import App
from app.services.linker import shipped_weights
from app.settings import Settings
from app.store import editions, runs
from app.store.db import open_engine
settings = Settings(data=Path(sys.argv[1]), embedding_model="none", timezone="UTC")
app = App(settings, open_engine(sys.argv[2]), shipped_weights(None))
[step] = [step for step in pipeline.STEPS if step.name == editions.STEP]
with runs.at_work(app.engine) as owner:
    step.run(app, owner)
"""


def test_a_worker_that_is_killed_while_it_sends_sends_nothing_twice(
    tmp_path: Path, server: MailServer
) -> None:
    with BrokenServer("dot", hangs=True) as broken:
        app = wiki(tmp_path, broken.port)
        pipeline.begin(app)
        page_id = told(app, "2026-05-14")
        url = app.engine.url.render_as_string(hide_password=False)
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path), url],
            cwd=Path(__file__).parents[2],
            env={
                **os.environ,
                "CEREBRO_SMTP": f"smtp://127.0.0.1:{broken.port}",
                "CEREBRO_MAIL_TO": "ada@example.org",
                "CEREBRO_NOW": app.now.isoformat(),
            },
        )
        deadline = time.monotonic() + 60
        while not broken.got_all and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert broken.got_all and process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    app.settings = wiki(tmp_path, server.port).settings
    with writing(app.engine) as session:  # the time runs out after which a silent worker is none
        session.connection().execute(sa.text("UPDATE hold SET until = 0"))
    assert work(app) == pipeline.Batch(failed=1)  # set aside, with the reason
    found = attempt(app, page_id)
    assert found is not None and found.parked and "It may have gone out" in found.last_error
    assert work(app) == pipeline.Batch()
    assert server.letters == [] and mailed(app, page_id) is None
    app.engine.dispose()


def test_of_two_workers_one_sends(app: Timed, server: MailServer) -> None:
    told(app, "2026-05-14")
    with writing(app.engine) as session:
        assert sending.take_up(session, owner="one", now=app.now) is not None
        assert sending.take_up(session, owner="two", now=app.now) is None
        assert sending.pending(session, now=app.now) == 0


# ---------------------------------------------------------------- by hand


def test_a_person_may_send_any_digest_again(app: Timed, server: MailServer) -> None:
    told(app, "2026-05-12", teller="", hours=-2)
    told(app, "2026-05", hours=-1)
    assert pipeline.mail_now(app, "2026-05-12") == "Sent."
    assert pipeline.mail_now(app, "2026-05") == "Sent."
    app.now += timedelta(minutes=1)
    assert pipeline.mail_now(app, "2026-05-12") == "Sent."
    first, _, again = (took.letter["Message-ID"] for took in server.letters)
    assert first != again  # a program for mail that has the first shows the other too
    with pytest.raises(NotFound, match="no digest of 1 January 2026"):
        pipeline.mail_now(app, "2026-01-01")
    with pytest.raises(Invalid, match="neither a day"):
        pipeline.mail_now(app, "yesterday")
    server.handler.data.append("554 full")
    with pytest.raises(Unavailable, match=r"was not sent: .*554 full"):
        pipeline.mail_now(app, "2026-05-12")


def test_a_test_letter_goes_to_the_readers(app: Timed, server: MailServer) -> None:
    assert app.post is not None
    assert app.post.sender == Address("Ada", addr_spec="ada@example.org")
    app.post.send(sending.test_letter(app.post, base=app.home, now=app.now))
    [took] = server.letters
    assert took.letter["Subject"] == "cere-bro: mail works" and len(took.to) == 2


# ---------------------------------------------------------------- a file of its own


def as_file(app: Timed, day: str = "2026-05-14") -> tuple[str, Any]:
    with reading(app.engine) as session:
        edition = editions.of_day(session, day)
        html = rendered(session, edition.body).html
    told = sending.as_file(edition, html, base="https://wiki.example").decode()
    return told, BeautifulSoup(told, "html.parser")


def test_a_file_loads_nothing_and_runs_nothing(app: Timed) -> None:
    with writing(app.engine) as session:
        make_page(session, "Slack water", slug="slack-water")
    told(app, "2026-05-14")
    text, page = as_file(app)
    policy = page.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    style = page.find("style").string
    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert not page.find_all(["script", "img", "link", "iframe", "object", "form"])
    assert not re.search(r"url\(|@import|https?:", style) and " style=" not in text
    assert [t for t in page.find_all(True) for name in t.attrs if name.startswith("on")] == []
    assert page.find("math") is not None and "&lt;script&gt;" in text
    assert page.find("h1").get_text() == "Digest of 2026-05-14"


def test_links_of_a_file_lead_to_the_wiki_or_where_they_led_or_within(app: Timed) -> None:
    with writing(app.engine) as session:
        make_page(session, "Slack water", slug="slack-water")
    told(app, "2026-05-14")
    _, page = as_file(app)
    hrefs = {a["href"] for a in page.find_all("a")}
    assert "https://wiki.example/w/slack-water" in hrefs
    assert "https://arxiv.org/abs/2605.00001" in hrefs
    assert "https://wiki.example/today/2026-05-14?view=full" in hrefs
    within = [href for href in hrefs if href.startswith("#")]
    assert within and all(page.find(id=href[1:]) is not None for href in within)
    assert "Nobody wrote this" in page.get_text() and not [h for h in hrefs if "/edit" in h]


@pytest.mark.parametrize(
    ("teller", "person", "says"),
    [
        ("local", False, "Told from stored facts"),
        ("claude-x", False, "Told by claude-x"),
        ("", False, "It came in from elsewhere."),
        ("local", True, "A person edited it."),
    ],
)
def test_a_file_says_who_told_it(app: Timed, teller: str, person: bool, says: str) -> None:
    page_id = told(app, "2026-05-14", teller=teller)
    with writing(app.engine) as session:
        page = session.get(Page, page_id)
        assert page is not None
        page.author_kind = AuthorKind.PERSON if person else AuthorKind.AGENT
        session.add(page)
    assert says in as_file(app)[1].find("footer").get_text()


def test_editions_are_newest_first_and_a_month_comes_after_its_days(app: Timed) -> None:
    for day in ("2026-05-30", "2026-05", "2026-06-01", "2026-04"):
        told(app, day)
    with reading(app.engine) as session:
        found = editions.newest(session, limit=3)
        assert [each.day for each in found] == ["2026-06-01", "2026-05", "2026-05-30"]
        assert len({each.id for each in found}) == 3
        assert editions.newest_day(session) == "2026-06-01"
        assert [each.path for each in found[:2]] == [
            "/today/2026-06-01?view=full",
            "/digest/2026-05",
        ]
        assert session.exec(select(Done)).all() == []
