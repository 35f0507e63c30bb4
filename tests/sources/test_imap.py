"""Mail by IMAP from a real server on loopback, and from one that does what servers should not."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.domain.items import Document
from app.errors import Invalid, NotFetched
from app.sources import imap
from app.sources.base import File
from app.sources.connectors import Fetched, Wanted
from app.sources.http import Transport
from app.sources.imap import ImapConnector
from app.sources.mail import MailReader
from tests.servers.imap import PASSWORD, ImapServer, ScriptedServer

TODAY = date.today()  # noqa: DTZ011  the server keeps the real clock
DAY = 24 * 60 * 60


def message(number: int, words: str = "") -> bytes:
    return (
        f"From: Ada <ada@example.org>\r\nSubject: Weekly {number}\r\nMessage-ID: <{number}@example.org>\r\n"
        f"Date: Fri, 8 May 2026 09:00:00 +0000\r\n\r\n{words or f'Words of number {number}.'}\r\n"
    ).encode()


def wanted(
    server: ImapServer | ScriptedServer, cursor: Mapping[str, Any] | None = None, **given: Any
) -> Wanted:
    given = {"url": "imap:INBOX", "options": {}, "today": TODAY, "secret": server.address} | given
    return Wanted(cursor=cursor or {}, **given)


def fetch(
    server: ImapServer | ScriptedServer, cursor: Mapping[str, Any] | None = None, **given: Any
) -> list[Fetched]:
    trusted = server.trusted if isinstance(server, ImapServer) else imap.ssl.create_default_context
    connector = ImapConnector(context=trusted)
    return list(connector.fetch(Transport(allow={server.pair}), wanted(server, cursor, **given)))


def items(fetched: list[Fetched]) -> dict[str, Any]:
    """The state of each message that came, by its title."""
    found = {}
    for each in fetched:
        if each.data:
            assert each.format == "mail"
            for document in MailReader().read(File("x", each.data)).documents:
                assert isinstance(document, Document)
                found[document.title] = document.state
    return found


@pytest.fixture(scope="module")
def kept() -> Iterator[ImapServer]:
    """A server with plain sockets for the whole module; each test has a folder of its own."""
    with ImapServer() as server:
        yield server


@pytest.fixture
def folder(kept: ImapServer, request: pytest.FixtureRequest) -> str:
    return f"F {request.node.name[:40]}".replace("[", " ").replace("]", "")


# ---------------------------------------------------------------- a mailbox


@pytest.mark.parametrize("tls", ["", "starttls", "at once"])
def test_messages_come_with_their_stars_and_stay_unread(tls: str) -> None:
    with ImapServer(tls=tls) as server:
        for number in range(3):
            server.append(message(number), starred=number == 1)
        fetched = fetch(server)
        assert items(fetched) == {
            "Weekly 0": {"starred": False}, "Weekly 1": {"starred": True}, "Weekly 2": {"starred": False},
        }  # fmt: skip
        assert [(each.seen, each.total, each.name) for each in fetched] == [
            (3, 3, "messages 1 to 3 of 3")
        ]
        assert b"\\Seen" not in b" ".join(server.flags())
        again = fetch(server, fetched[-1].cursor)
        assert items(again) == {} and again[-1].cursor == fetched[-1].cursor


def test_only_what_is_new_comes_after_that(kept: ImapServer, folder: str) -> None:
    url = f"imap:{folder}"
    kept.append(message(1), folder=f'"{folder}"')
    first = fetch(kept, url=url)
    assert list(items(first)) == ["Weekly 1"]
    kept.append(message(2), folder=f'"{folder}"')
    kept.append(message(3), folder=f'"{folder}"')
    assert list(items(fetch(kept, first[-1].cursor, url=url))) == ["Weekly 2", "Weekly 3"]


def test_a_star_that_is_set_or_taken_away_later_is_noticed(kept: ImapServer, folder: str) -> None:
    url, quoted = f"imap:{folder}", f'"{folder}"'
    for number in (1, 2):
        kept.append(message(number), folder=quoted)
    cursor = fetch(kept, url=url)[-1].cursor
    uid = cursor["next"] - 2
    kept.flag(uid, starred=True, folder=quoted)
    set_ = fetch(kept, cursor, url=url)
    assert items(set_) == {"Weekly 1": {"starred": True}}
    assert items(fetch(kept, set_[-1].cursor, url=url)) == {}
    kept.flag(uid, starred=False, folder=quoted)
    taken = fetch(kept, set_[-1].cursor, url=url)
    assert items(taken) == {"Weekly 1": {"starred": False}}
    kept.flag(uid, starred=True, folder=quoted)
    kept.remove(uid, folder=quoted)
    assert items(fetch(kept, taken[-1].cursor, url=url)) == {}


def test_only_starred_ones_where_that_is_asked_for(kept: ImapServer, folder: str) -> None:
    url, quoted, options = f"imap:{folder}", f'"{folder}"', {"only": "starred"}
    for number in (1, 2, 3):
        kept.append(message(number), folder=quoted, starred=number == 2)
    first = fetch(kept, url=url, options=options)
    assert items(first) == {"Weekly 2": {"starred": True}}
    kept.flag(first[-1].cursor["stars"][0] - 1, starred=True, folder=quoted)  # an older one
    second = fetch(kept, first[-1].cursor, url=url, options=options)
    assert items(second) == {"Weekly 1": {"starred": True}}
    assert items(fetch(kept, second[-1].cursor, url=url, options=options)) == {}


def test_a_fetch_that_was_cut_off_goes_on_where_it_was(
    kept: ImapServer, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "BATCH", 2)
    url = f"imap:{folder}"
    for number in range(7):
        kept.append(message(number), folder=f'"{folder}"', starred=number % 3 == 0)
    came: list[Fetched] = []
    cursor: Mapping[str, Any] = {}
    for _ in range(10):
        running = ImapConnector().fetch(Transport(allow={kept.pair}), wanted(kept, cursor, url=url))
        each = next(running)
        running.close()  # as a process that dies
        if not each.data:
            break
        came.append(each)
        cursor = each.cursor
    assert len(came) == 4
    titles = [title for each in came for title in items([each])]
    assert titles == [f"Weekly {number}" for number in range(7)]


def test_the_first_fetch_brings_what_came_since_and_a_back_fill_its_days(
    kept: ImapServer, folder: str
) -> None:
    url, now = f"imap:{folder}", time.time()
    for number, age in enumerate((100, 60, 50, 10, 0)):
        kept.append(message(number), folder=f'"{folder}"', at=now - age * DAY)
    first = fetch(kept, url=url, since=(TODAY - timedelta(days=30)).isoformat())
    assert list(items(first)) == ["Weekly 3", "Weekly 4"]
    days = {
        "first": (TODAY - timedelta(days=61)).isoformat(),
        "last": (TODAY - timedelta(days=49)).isoformat(),
    }
    filled = fetch(kept, url=url, **days)
    assert list(items(filled)) == ["Weekly 1", "Weekly 2"]
    assert items(fetch(kept, filled[-1].cursor, url=url, **days)) == {}
    assert items(fetch(kept, first[-1].cursor, url=url)) == {}


def test_a_mailbox_that_was_numbered_anew_is_read_anew(kept: ImapServer, folder: str) -> None:
    kept.append(message(1), folder=f'"{folder}"')
    cursor = dict(fetch(kept, url=f"imap:{folder}")[-1].cursor)
    again = fetch(kept, cursor | {"validity": cursor["validity"] + 1}, url=f"imap:{folder}")
    assert list(items(again)) == ["Weekly 1"]


@pytest.mark.parametrize(
    "cursor",
    [
        {"next": "x"},
        {"next": -5, "stars": "no"},
        {"stars": [None, 2**70]},
        {"range": 3},
        {"validity": []},
    ],
)
def test_a_cursor_that_is_none_begins_anew(kept: ImapServer, folder: str, cursor: Any) -> None:
    kept.append(message(1), folder=f'"{folder}"')
    validity = fetch(kept, url=f"imap:{folder}")[-1].cursor["validity"]
    assert list(items(fetch(kept, {"validity": validity} | cursor, url=f"imap:{folder}"))) == [
        "Weekly 1"
    ]


def test_of_a_long_message_the_beginning_comes(
    kept: ImapServer, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "MESSAGE_BYTES", 2_000)
    kept.append(message(1, "word " * 5_000), folder=f'"{folder}"')
    (fetched,) = fetch(kept, url=f"imap:{folder}")
    assert len(fetched.data) < 2_300 and b"X-Cerebro-Cut: 2000" in fetched.data
    assert list(items([fetched])) == ["Weekly 1"]


def test_folders_have_names_in_any_script(kept: ImapServer) -> None:
    name = "Lesestoff & Übriges 読む"
    kept.append(
        message(1), folder='"Lesestoff &- &ANw-briges &iq1,gA-"'.replace("&iq1,gA-", "&iq0wgA-")
    )
    with kept.client() as client:
        listed = b" ".join(row for row in client.list()[1] if isinstance(row, bytes))
    assert b"Lesestoff" in listed
    assert imap._utf7(name) == "Lesestoff &- &ANw-briges &iq0wgA-"
    with pytest.raises(NotFetched):
        fetch(kept, url="imap:No such folder")


# ---------------------------------------------------------------- what goes wrong, in words


def refused(server: Any, **given: Any) -> NotFetched:
    with pytest.raises(NotFetched) as error:
        fetch(server, **given)
    assert str(error.value).endswith(".") and "\n" not in str(error.value)
    assert len(str(error.value)) < 500
    return error.value


def test_a_wrong_password_is_not_tried_again(
    kept: ImapServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = kept.address.replace("sesame", "canary99")
    error = refused(kept, secret=wrong)
    assert not error.again and "did not take the user and the password" in str(error)
    assert "canary" not in str(error) + repr(error) + caplog.text
    assert error.__cause__ is None and error.__suppress_context__


def test_a_folder_that_is_not_there_is_named(kept: ImapServer) -> None:
    error = refused(kept, url="imap:Nowhere")
    assert not error.again and "no folder 'Nowhere'" in str(error)


def test_without_a_setting_it_says_which() -> None:
    with ScriptedServer(lambda name, _: []) as server:
        error = refused(server, secret="")
        assert not error.again and "set CEREBRO_IMAP" in str(error)
        error = refused(server, secret="pop://ada:canary@x")
        assert not error.again and "canary" not in str(error)
        assert not refused(server, options={"only": "some"}).again
        assert server.heard == []


def test_a_certificate_that_proves_nothing_is_refused() -> None:
    with ImapServer(tls="at once") as server, ImapServer() as other:
        connector = ImapConnector(context=other.trusted)
        with pytest.raises(NotFetched, match="could not prove who it is") as error:
            list(connector.fetch(Transport(allow={server.pair}), wanted(server)))
        assert not error.value.again


def test_a_password_is_not_sent_without_tls_where_tls_is_asked_for() -> None:
    with ScriptedServer(lambda name, _: []) as server:
        error = refused(server, secret=server.address.replace("imap://", "starttls://"))
        assert not error.again and "offers no TLS" in str(error)
        assert not any("canary91" in line for line in server.heard)


def test_a_private_address_has_to_be_allowed(kept: ImapServer) -> None:
    with pytest.raises(NotFetched):
        list(ImapConnector().fetch(Transport(), wanted(kept)))


def scripted(**answers: list[bytes] | None) -> ScriptedServer:
    given = {name.replace("_", " "): pieces for name, pieces in answers.items()}
    return ScriptedServer(lambda name, _: given.get(name, []))


OK = b"{tag} OK done\r\n"


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"LOGIN": [b"* BYE too busy canary91\r\n"]}, "broke off while signing in"),
        ({"LOGIN": None}, "broke off while signing in"),
        ({"CAPABILITY": [b"* CAPABILITY POP3\r\n", OK]}, "broke off while greeting"),
        ({"EXAMINE": [b"* BYE gone canary91\r\n", b"{tag} NO bye\r\n"]}, "INBOX"),
        ({"EXAMINE": [b"* 1 EXISTS\r\n", OK]}, "UIDVALIDITY"),
        ({"UID_SEARCH": [b"* SEARCH 1 x 2\r\n{tag} BAD canary91 what\r\n"]}, "searching"),
        ({"UID_SEARCH": [b"{tag} NO cannot\r\n"]}, "did not search: cannot"),
        ({"UID_SEARCH": [b"* SEARCH " + b"1 " * 700_000 + b"\r\n", OK]}, "searching"),
        ({"UID_SEARCH": [b"* SEARCH " + b"1 " * 400_000 + b"\r\n"] * 8}, "answered more than it may while searching"),
        ({"UID_FETCH": [b"* 1 FETCH (UID 1 BODY[] {4000000000}\r\nabc"]}, "answered more than it may"),
        ({"UID_FETCH": [b"* 1 FETCH (UID 1 BODY[] {3000}\r\nabc"], "hang_up": None}, "sizes"),
        ({"UID_FETCH": [b"\x00\xff\xfe\r\n" * 10, b"* 1 FETCH )(\r\n"], "slow": None}, "sizes"),
        ({"UID_FETCH": None}, "broke off while asking for sizes"),
    ],
    ids=range(13),
)  # fmt: skip
def test_a_server_that_does_not_keep_to_it_is_hung_up_on(
    answers: dict[str, list[bytes] | None], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "COMMAND_SECONDS", 1.0)
    with scripted(**answers) as server:
        error = refused(server)
        assert says in str(error) and "canary91" not in str(error)


@pytest.mark.parametrize("phase", ["greeting", "LOGIN", "EXAMINE", "UID SEARCH", "UID FETCH"])
@pytest.mark.parametrize("drips", [True, False], ids=["drips", "silent"])
def test_a_slow_server_has_one_deadline_for_all_of_an_answer(
    phase: str, drips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "COMMAND_SECONDS", 0.5)
    slow = [b"*", b"~"] * 3_000 if drips else [b"~~"]
    greeting = b"* OK here\r\n"
    server = ScriptedServer(lambda name, _: slow if name == phase else [], greeting=greeting)
    if phase == "greeting":
        server = ScriptedServer(lambda name, _: slow, greeting=b"* OK" if drips else b"")
    with server:
        error = refused(server)
        assert error.again and "within" in str(error)


def test_a_server_that_is_full_is_asked_again_later() -> None:
    with scripted(LOGIN=[b"{tag} NO [UNAVAILABLE] try again later\r\n"]) as server:
        assert refused(server).again


def test_what_nobody_asked_for_is_not_taken() -> None:
    stranger = b"* 9 FETCH (UID 999 FLAGS () BODY[]<0> {12}\r\nFrom: x\r\n\r\ny)\r\n"
    facts = b"* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 40)\r\n"

    def answers(name: str, arguments: str) -> list[bytes] | None:
        if name == "UID FETCH" and "BODY" in arguments:
            return [stranger, b"* 3 FETCH (FLAGS (\\Seen))\r\n", b"* 2 EXPUNGE\r\n", OK]
        return [facts, OK] if name == "UID FETCH" else []

    with ScriptedServer(answers) as server:
        (fetched,) = fetch(server)
        assert fetched.data == b"" and fetched.cursor["next"] == 2


def test_a_password_with_signs_goes_over_the_line_as_one() -> None:
    with ScriptedServer(lambda name, _: []) as server:
        secret = f"imap://a%20%22b:p%22%5C%20q@127.0.0.1:{server.port}"
        fetch(server, secret=secret)
        assert 'LOGIN "a \\"b" "p\\"\\\\ q"' in " ".join(server.heard)


# ---------------------------------------------------------------- naming it


@pytest.mark.parametrize(
    ("text", "folder"),
    [("imap:Newsletters", "Newsletters"), ("mail:inbox", "INBOX"), ("imap:", "INBOX"), (" IMAP: A  b ", "A b"),
     ("imap:Lists/ML & more", "Lists/ML & more")],
)  # fmt: skip
def test_a_folder_is_named_in_words(text: str, folder: str) -> None:
    found = ImapConnector().finds(text)
    assert found is not None
    assert (found.key, found.url) == (f"mail:{folder}", f"imap:{folder}")
    assert found.options == {"folder": folder, "only": "all"} and folder in found.words


@pytest.mark.parametrize(
    "text", ["cs.CL", "https://example.org/", "mailto:a@example.org", "Newsletters", ""]
)
def test_other_words_are_not_claimed(text: str) -> None:
    assert ImapConnector().finds(text) is None


@pytest.mark.parametrize(
    "text", ["imaps://ada:canary@mail.example", "imap://x", "imap:a\x00b", "imap:" + "x" * 300]
)
def test_a_password_or_an_odd_name_is_refused_and_not_said_again(text: str) -> None:
    with pytest.raises(Invalid) as error:
        ImapConnector().finds(text)
    assert "canary" not in str(error.value)


def test_the_secret_is_in_nothing_that_is_kept_or_shown(
    kept: ImapServer, folder: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    kept.append(message(1), folder=f'"{folder}"')
    asked = wanted(kept, url=f"imap:{folder}")
    fetched = list(ImapConnector().fetch(Transport(allow={kept.pair}), asked))
    said = repr(asked) + repr(fetched) + caplog.text
    assert PASSWORD not in said and "canary" not in said
