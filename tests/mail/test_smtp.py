"""Mail is handed to real servers on loopback; what came of it is said, whatever the server does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from app.mail.letters import letter
from app.mail.smtp import NotSent, Post, Sent
from app.settings import Server, addresses, server_of
from tests.mail_server import PASSWORD, USER, BrokenServer, MailServer

ADA = Address("Ada", addr_spec="ada@example.org")
BEN = Address("Ben, of Kew", addr_spec="ben@example.org")
LONG = ("x" * 70 + "\n") * 90_000  # more than a connection holds that nobody reads from
NOW = datetime(2026, 5, 14, 20, tzinfo=UTC)


def made(**fields: str) -> EmailMessage:
    told = {
        "subject": "Digest of 14 May 2026",
        "text": "Tides turn.\n",
        "html": "<p>Tides turn.</p>",
    }
    return letter(sender=ADA, to=(ADA, BEN), id="one", at=NOW, **(told | fields))


def post(server: MailServer | BrokenServer, *, seconds: float = 5, **fields: str) -> Post:
    told = {"host": "127.0.0.1", "port": server.port, "tls": "offered"} | fields
    context = server.trusted() if isinstance(server, MailServer) else None
    return Post(Server(**told), ADA, (ADA, BEN), seconds, context)  # type: ignore[arg-type]


def said(part: Any) -> str:
    """The text of a part, its lines ended as ours are."""
    return str(part.get_content()).replace("\r\n", "\n")


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as found:
        yield found


def test_a_letter_arrives_with_its_headers_and_both_forms(server: MailServer) -> None:
    assert post(server).send(made()) == Sent()
    [took] = server.letters
    assert (took.sender, took.to) == ("ada@example.org", ["ada@example.org", "ben@example.org"])
    told = took.letter
    assert told["Subject"] == "Digest of 14 May 2026"
    assert told["To"].addresses == (ADA, BEN) and told["From"].addresses == (ADA,)
    assert parsedate_to_datetime(told["Date"]) == NOW
    assert told["Message-ID"] == "<one@example.org>"
    assert told["Auto-Submitted"] == "auto-generated"
    assert "<digests.cere-bro.localhost>" in told["List-Id"]
    assert told.get_content_type() == "multipart/alternative"
    plain, html = told.iter_parts()
    assert (plain.get_content_type(), said(plain)) == ("text/plain", "Tides turn.\n")
    assert (html.get_content_type(), said(html)) == ("text/html", "<p>Tides turn.</p>\n")


def test_no_text_can_add_a_header(server: MailServer) -> None:
    evil = "Tides\r\nBcc: eve@example.org\n\nand a body\x0b"
    assert post(server).send(made(subject=evil)) == Sent()
    [took] = server.letters
    assert (
        took.letter["Bcc"] is None
        and took.letter["Subject"] == "Tides Bcc: eve@example.org and a body"
    )
    assert took.to == ["ada@example.org", "ben@example.org"]


def test_a_name_cannot_add_a_header_either() -> None:
    with pytest.raises(ValueError, match="one line"):
        addresses("Ada\r\nBcc: eve@example.org <ada@example.org>")


def test_long_lines_dots_and_other_letters_arrive_as_they_are(server: MailServer) -> None:
    text = f"{'x' * 5000}\n.\n..two\n.hidden\nÅngström, 数, 🜁\n"
    html = f"<p>{'y' * 3000}</p>\n.\n"
    assert post(server).send(made(text=text, html=html, subject="Digest: Ångström, 数")) == Sent()
    [took] = server.letters
    plain, shown = took.letter.iter_parts()
    assert said(plain) == text and said(shown) == html
    assert took.letter["Subject"] == "Digest: Ångström, 数"
    assert max(map(len, took.raw.split(b"\r\n"))) < 998
    assert took.raw.isascii()


def test_tls_is_used_where_it_is_offered_and_required_where_that_is_asked() -> None:
    with MailServer(tls="starttls", password=True) as server:
        asked = post(server, tls="required", user=USER, password=PASSWORD)
        assert asked.send(made()) == Sent()
        assert (server.letters[0].tls, server.letters[0].user) == (True, USER)
    with MailServer(tls="at once") as server:
        assert post(server, tls="at once").send(made()) == Sent()
    with MailServer() as server:
        came = post(server, tls="required").send(made())
        assert isinstance(came, NotSent) and "STARTTLS" in came.why and not came.again
        assert server.letters == []


def test_a_server_that_cannot_prove_who_it_is_gets_nothing() -> None:
    for tls in ("starttls", "at once"):
        with MailServer(tls=tls, password=tls == "starttls") as server, MailServer() as other:
            asked = Post(
                Server("127.0.0.1", server.port, "required" if tls == "starttls" else tls, USER, PASSWORD),
                ADA, (ADA,), 5, other.trusted(),
            )  # fmt: skip
            came = asked.send(made())
            assert isinstance(came, NotSent) and "prove who it is" in came.why, came
            assert server.letters == []


def test_a_wrong_password_is_said_and_not_tried_again_and_never_shown() -> None:
    with MailServer(tls="starttls", password=True) as server:
        came = post(server, tls="required", user=USER, password="wrong-secret").send(made())
    assert isinstance(came, NotSent) and not came.again and not came.unsure
    assert "did not take the user and password" in came.why and "wrong-secret" not in came.why
    assert "wrong-secret" not in repr(Server("h", 1, "offered", USER, "wrong-secret"))


def test_a_password_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.mail.smtp._is_here", lambda host: False)
    with MailServer() as server:
        came = post(server, user=USER, password=PASSWORD).send(made())
        assert isinstance(came, NotSent) and "the password is not sent without" in came.why
        assert not came.again and server.letters == []


def test_a_server_that_puts_it_off_is_asked_again_and_one_that_refuses_is_not(
    server: MailServer,
) -> None:
    for answer, again in (("451 try later", True), ("554 no such thing", False)):
        server.handler.data.append(answer)
        came = post(server).send(made())
        assert isinstance(came, NotSent) and (came.again, came.unsure) == (again, False)
        assert came.why.endswith(f"said no: {answer}")
    assert server.letters == []


def test_readers_that_a_server_does_not_know_are_named(server: MailServer) -> None:
    server.handler.rcpt["ben@example.org"] = "550 no Ben here"
    assert post(server).send(made()) == Sent({"ben@example.org": "550 no Ben here"})
    assert [took.to for took in server.letters] == [["ada@example.org"]]
    server.handler.rcpt["ada@example.org"] = "450 greylisted"
    came = post(server).send(made())
    assert isinstance(came, NotSent) and came.again  # Ada may be taken another time
    assert "ada@example.org: 450 greylisted" in came.why and len(server.letters) == 1


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("phase", ["greeting", "ehlo", "mail", "rcpt", "data", "text"])
def test_what_breaks_before_the_text_has_ended_was_not_sent_for_certain(
    phase: str, hangs: bool
) -> None:
    with BrokenServer(phase, hangs=hangs) as server:
        came = post(server, seconds=0.3).send(made(text=LONG))
        assert isinstance(came, NotSent), came
        assert (came.again, came.unsure) == (True, False), came
        assert not server.got_all


@pytest.mark.parametrize(("phase", "hangs"), [("dot", False), ("dot", True), ("garbage", False)])
def test_what_breaks_after_the_text_has_ended_may_have_gone_out(phase: str, hangs: bool) -> None:
    with BrokenServer(phase, hangs=hangs) as server:
        came = post(server, seconds=0.05).send(made())
        assert isinstance(came, NotSent), came
        assert (came.again, came.unsure) == (False, True), came
        assert server.got_all and "never said whether it took it" in came.why


def test_a_server_that_is_not_there_is_said(server: MailServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    came = Post(Server("127.0.0.1", port, "offered"), ADA, (ADA,), 5).send(made())
    assert came == NotSent(f"127.0.0.1:{port} could not be talked to: Connection refused")


def test_an_address_beyond_ascii_that_the_server_cannot_take_is_said() -> None:
    bo = Address("Bo", "bø", "example.org")
    told = letter(sender=ADA, to=(bo,), subject="s", text="t", html="h", id="i", at=NOW)
    with MailServer(utf8=True) as server:
        assert Post(Server("127.0.0.1", server.port, "offered"), ADA, (bo,), 5).send(told) == Sent()
        assert server.letters[0].to == ["bø@example.org"]
    with MailServer() as server:
        came = Post(Server("127.0.0.1", server.port, "offered"), ADA, (bo,), 5).send(told)
        assert isinstance(came, NotSent) and not came.again and server.letters == []


# ---------------------------------------------------------------- addresses of servers


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("smtp://mail.example", Server("mail.example", 25, "offered")),
        ("starttls://a:b@mail.example", Server("mail.example", 587, "required", "a", "b")),
        ("smtps://a%40x:p%2Fw%40@mail.example:4650", Server("mail.example", 4650, "at once", "a@x", "p/w@")),
        ("smtp://[::1]:2525", Server("::1", 2525, "offered")),
    ],
)  # fmt: skip
def test_a_server_is_read_from_its_address(address: str, server: Server) -> None:
    assert server_of(address) == server


@pytest.mark.parametrize(
    "address",
    [
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://hunter2:@mail.example",
        "smtp://mail.example:hunter2",
        "smtp://mail.example/hunter2",
        "smtp://a:hunter2%0d%0aX@mail.example",
        "smtp://a:hunter2?x@mail.example",
    ],
)
def test_an_address_that_is_none_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        server_of(address)
    assert "hunter2" not in str(refused.value)
