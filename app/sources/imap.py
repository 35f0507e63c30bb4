"""Newsletters of a mailbox by IMAP: a folder, or what is starred in it. Nothing there is changed.

The server, the user and the password come from the settings (`CEREBRO_IMAP`) for each fetch and are
kept nowhere else; a source names only the folder. The folder is opened to look at it, and nothing that
is fetched counts as read. The server is believed nothing: every command has a deadline as a whole and
a number of bytes that its answer may have.
"""

from __future__ import annotations

import imaplib
import re
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from app.domain.identifiers import whole_day
from app.domain.records import SourceKind
from app.domain.untrusted import line
from app.errors import Invalid, NotFetched
from app.settings import Server, imap_server_of
from app.sources.connectors import Fetched, Found, Wanted, Web
from app.sources.mail import as_mailbox

COMMAND_SECONDS = 30.0  # one command and the whole of its answer
BATCH_SECONDS = 120.0  # one that brings messages
SECONDS = 900.0  # a fetch as a whole; the next one goes on where it stopped
MESSAGE_BYTES = 5_000_000  # of one message; of a longer one the beginning
BATCH_BYTES = 10_000_000
BATCH = 25  # messages
ANSWER_BYTES = 4_000_000  # of an answer that brings no messages
LOOK_BACK = 30  # days in which a star that was set or taken away is noticed
MOST = 20_000  # messages of one fetch: the oldest come first, the others next time
_MOST_STARS = 2_000

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_NAMES = re.compile(r"(?:imap|mail):(?!//)(.*)", re.I | re.S)
_WITH_SERVER = re.compile(r"(?:imaps?|starttls|mail)://", re.I)
_ONLY = ("all", "starred")
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,12})\b")
_FLAGS = re.compile(rb"\bFLAGS \(([^()]*)\)")
_NUMBER = re.compile(rb"\d{1,10}")
_LATER = re.compile(r"\[(?:UNAVAILABLE|INUSE|LIMIT)\]|try again|too many", re.I)
_BOTH_WAYS = 2  # what `shutdown` of a socket shuts: reading and writing


@dataclass(frozen=True)
class ImapConnector:
    name: str = "mail"
    kind: SourceKind = SourceKind.MAIL
    every_minutes: int = 60
    options: Mapping[str, str] = field(
        default_factory=lambda: {
            "folder": "The folder (or label) of the mailbox; default INBOX.",
            "only": "all: every message of it; starred: those with a star or flag.",
        }
    )
    context: Callable[[], ssl.SSLContext] = ssl.create_default_context

    def finds(self, text: str) -> Found | None:
        """`imap:Newsletters` and `mail:INBOX`: a folder of the mailbox that the settings name."""
        text = text.strip()
        if _WITH_SERVER.match(text):
            raise Invalid(
                "The server and its password belong into the setting CEREBRO_IMAP, where nothing "
                "else keeps them. Name the folder alone here, such as imap:INBOX."
            )
        named = _NAMES.fullmatch(text)
        if named is None:
            return None
        folder = _folder_of(named[1])
        return Found(
            key=f"mail:{folder}",
            connector=self.name,
            url=f"imap:{folder}",
            name=f"Mail in {folder}",
            options={"folder": folder, "only": "all"},
            words=f"Newsletters and other mail in the folder {folder} of your mailbox. What is "
            "fetched stays unread there; stars come with it.",
        )

    def fetch(self, web: Web, wanted: Wanted) -> Iterator[Fetched]:
        """Batches of messages as mailboxes, oldest first, then those whose star has changed."""
        if not wanted.secret:
            raise NotFetched(
                "No mailbox is named: set CEREBRO_IMAP (imaps://user:password@host) where the "
                "program starts.",
                again=False,
            )
        try:
            server = imap_server_of(wanted.secret)
        except ValueError as error:
            raise NotFetched(f"CEREBRO_IMAP is wrong: {error}.", again=False) from None
        only = str(wanted.options.get("only") or "all").strip().lower()
        if only not in _ONLY:
            raise NotFetched(f"The option only is {only[:40]!r}: use all or starred.", again=False)
        found = _NAMES.fullmatch(wanted.url)
        try:
            folder = _folder_of(str(wanted.options.get("folder") or (found[1] if found else "")))
        except Invalid as error:
            raise NotFetched(str(error), again=False) from None
        with _signed_in(web, server, self.context) as talk:
            yield from _Fetch(talk, wanted, folder, starred_only=only == "starred").run()


def _folder_of(text: str) -> str:
    folder = " ".join(text.split()) or "INBOX"
    if not folder.isprintable() or len(folder) > 200:
        raise Invalid("The name of a folder is words on one line, such as imap:Newsletters.")
    return "INBOX" if folder.upper() == "INBOX" else folder


# ---------------------------------------------------------------- what is to be fetched


@dataclass
class _Fetch:
    """One fetch of a folder. `stars`: uids that were starred when the wiki last looked."""

    talk: _Talk
    wanted: Wanted
    folder: str
    starred_only: bool
    validity: int = 0
    next: int = 1
    stars: set[int] = field(default_factory=set)

    def run(self) -> Iterator[Fetched]:
        self.validity, upcoming = self.talk.examine(self.folder)
        backfill = bool(self.wanted.first or self.wanted.last)
        cursor = self.wanted.cursor
        mine = cursor.get("range", "") == self._range() and cursor.get("validity") == self.validity
        if mine:
            self.next = _whole(cursor.get("next"), 1)
            stars = cursor.get("stars")
            stars = stars if isinstance(stars, list) else []
            self.stars = {uid for each in stars if (uid := _whole(each, 0))}
        wanted = self._wanted(fresh=not mine)
        changed = set() if backfill else self._changed(set(wanted))
        if not self.starred_only and not backfill and not wanted:
            self.next = max(self.next, upcoming)
        uids = [*wanted, *sorted(changed)]
        seen = 0
        for batch, sizes in self._batches(uids):
            messages = self.talk.messages(batch, sizes)
            for uid in batch:
                if uid not in changed:
                    self.next = max(self.next, uid + 1)
                self.stars.discard(uid)
                if uid in messages and messages[uid][1]:
                    self.stars.add(uid)
            seen += len(batch)
            boxed = as_mailbox(
                (raw, starred, len(raw) if sizes.get(uid, 0) > MESSAGE_BYTES else 0)
                for uid, (raw, starred) in messages.items()
            )
            yield Fetched(
                cursor=self._cursor(),
                data=boxed,
                format="mail" if boxed else "",
                name=f"messages {seen - len(batch) + 1} to {seen} of {len(uids)}",
                url=self.wanted.url,
                seen=seen,
                total=len(uids),
            )
        if not uids:
            yield Fetched(cursor=self._cursor(), total=0)

    def _range(self) -> str:
        first, last = self.wanted.first, self.wanted.last
        return f"{first}..{last}" if first or last else ""

    def _cursor(self) -> dict[str, Any]:
        stars = sorted(self.stars, reverse=True)[:_MOST_STARS]
        found: dict[str, Any] = {"validity": self.validity, "next": self.next, "stars": stars}
        return found | ({"range": self._range()} if self._range() else {})

    def _wanted(self, *, fresh: bool) -> list[int]:
        """The uids of the messages to bring, oldest first."""
        criteria = []
        if self._range():
            if first := whole_day(self.wanted.first):
                criteria.append(f"SINCE {_spelled(first)}")
            if last := whole_day(self.wanted.last):
                criteria.append(f"BEFORE {_spelled(last + timedelta(days=1))}")
        elif fresh or self.starred_only:
            since = whole_day(self.wanted.since) if fresh else None
            criteria.append(f"SINCE {_spelled(since or self._look_back())}")
        if self.starred_only:
            criteria.append("FLAGGED")
        if not fresh and (not self.starred_only or self._range()):
            criteria.append(f"UID {self.next}:*")  # of which the last message is always one
        found = set(self.talk.search(" ".join(criteria)))
        if self.starred_only and not self._range():
            found -= self.stars
        elif not fresh:
            found = {uid for uid in found if uid >= self.next}
        return sorted(found)[:MOST]

    def _look_back(self) -> date:
        return self.wanted.today - timedelta(days=LOOK_BACK)

    def _changed(self, coming: set[int]) -> set[int]:
        """Messages that the wiki has, whose star was set or taken away since it looked."""
        now = set(self.talk.search(f"FLAGGED SINCE {_spelled(self._look_back())}"))
        gained = set() if self.starred_only else {u for u in now - self.stars if u < self.next}
        lost = self.stars - now
        if lost:
            flags = self.talk.facts(sorted(lost))
            # One that is gone from the folder, or too old to be looked for, says nothing.
            self.stars -= {uid for uid in lost if uid not in flags or flags[uid][1]}
            lost = {uid for uid in lost if uid in flags and not flags[uid][1]}
        return (gained | lost) - coming

    def _batches(self, uids: Sequence[int]) -> Iterator[tuple[list[int], dict[int, int]]]:
        """The uids in batches of a size that is kept in one go, with the size of each."""
        for start in range(0, len(uids), 500):
            part = uids[start : start + 500]
            sizes = {uid: size for uid, (size, _) in self.talk.facts(part).items()}
            batch: list[int] = []
            total = 0
            for uid in part:
                size = min(sizes.get(uid, 0), MESSAGE_BYTES)
                if batch and (len(batch) >= BATCH or total + size > BATCH_BYTES):
                    yield batch, sizes
                    batch, total = [], 0
                batch.append(uid)
                total += size
            if batch:
                yield batch, sizes


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and 0 < value < 2**32 else otherwise


def _spelled(day: date) -> str:
    return f"{day.day}-{_MONTHS[day.month - 1]}-{day.year:04}"


# ---------------------------------------------------------------- the conversation


class _TooMuch(Exception):
    """An answer has more bytes than it may."""


class _Imap(imaplib.IMAP4):
    """The library's client over a socket that is connected already, which counts what it reads."""

    def __init__(self, connected: Any) -> None:
        self._connected = connected
        self.left = ANSWER_BYTES
        super().__init__()

    def _create_socket(self, timeout: float | None) -> Any:
        return self._connected

    def read(self, size: int) -> bytes:
        """A literal, whose size the server says."""
        if size > self.left:
            raise _TooMuch
        self.left -= size
        parts = []
        while size > 0:
            part = super().read(min(size, 65_536))
            if not part:
                raise self.abort("the connection ended in the middle of a message")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def readline(self) -> bytes:
        found: bytes = super().readline()
        self.left -= len(found)
        if self.left < 0:
            raise _TooMuch
        return found


@dataclass
class _Talk:
    """A conversation with a server: each command with a deadline, and its failures in words."""

    where: str
    hides: tuple[str, ...]  # what of it is never repeated
    until: float
    plug: Any  # the plain socket again: TLS or not, to shut it ends the conversation
    imap: _Imap = field(init=False)

    def examine(self, folder: str) -> tuple[int, int]:
        """Open a folder to look at; its UIDVALIDITY, and the uid that comes next."""
        with self.command(f"opening the folder {folder}"):
            kind, said = self.imap.select(_quoted(_utf7(folder)), readonly=True)
            if kind != "OK":
                raise NotFetched(
                    f"The mailbox of {self.where} has no folder {folder!r} that can be opened: "
                    f"{self.said(said)}",
                    again=False,
                )
            validity = self._number("UIDVALIDITY")
            upcoming = self._number("UIDNEXT")
        if not validity:
            raise NotFetched(f"{self.where} gives messages no lasting numbers (UIDVALIDITY).")
        return validity, max(1, upcoming)

    def _number(self, name: str) -> int:
        _, found = self.imap.response(name)
        match = _NUMBER.search(found[0] or b"") if found else None
        return int(match[0]) if match else 0

    def search(self, criteria: str) -> list[int]:
        with self.command("searching"):
            kind, said = self.imap.uid("SEARCH", criteria or "ALL")
            if kind != "OK":
                raise NotFetched(f"{self.where} did not search: {self.said(said)}")
            rows = [row for row in said if isinstance(row, bytes)]
            return [int(uid) for row in rows for uid in _NUMBER.findall(row) if int(uid) > 0]

    def facts(self, uids: Sequence[int]) -> dict[int, tuple[int, bool]]:
        """Of each uid that is there: bytes of the message, and whether it is starred."""
        found: dict[int, tuple[int, bool]] = {}
        wanted = set(uids)
        for start in range(0, len(uids), 500):
            with self.command("asking for sizes"):
                kind, said = self.imap.uid(
                    "FETCH", _listed(uids[start : start + 500]), "(UID FLAGS RFC822.SIZE)"
                )
                if kind != "OK":
                    raise NotFetched(f"{self.where} did not say what there is: {self.said(said)}")
                for row in said:
                    text = row if isinstance(row, bytes) else b""
                    uid, size, flags = _UID.search(text), _SIZE.search(text), _FLAGS.search(text)
                    if uid and size and flags and int(uid[1]) in wanted:
                        found[int(uid[1])] = (int(size[1]), _is_starred(flags[1]))
        return found

    def messages(
        self, uids: Sequence[int], sizes: Mapping[int, int]
    ) -> dict[int, tuple[bytes, bool]]:
        """Of each uid that is there: the message, its beginning if it is long, and whether it is starred."""
        expected = sum(min(sizes.get(uid, 0), MESSAGE_BYTES) for uid in uids)
        with self.command(
            "bringing messages", seconds=BATCH_SECONDS, most=2 * expected + ANSWER_BYTES
        ):
            kind, said = self.imap.uid(
                "FETCH", _listed(uids), f"(UID FLAGS BODY.PEEK[]<0.{MESSAGE_BYTES}>)"
            )
            if kind != "OK":
                raise NotFetched(f"{self.where} did not bring messages: {self.said(said)}")
        wanted, found = set(uids), {}
        for number, row in enumerate(said):
            if not isinstance(row, tuple) or len(row) < 2:
                continue
            after = said[number + 1] if number + 1 < len(said) else b""
            about = row[0] + b" " + (after if isinstance(after, bytes) else b"")
            uid, flags = _UID.search(about), _FLAGS.search(about)
            if uid and int(uid[1]) in wanted:
                found[int(uid[1])] = (row[1], bool(flags) and _is_starred(flags[1]))  # type: ignore[index]
        return found

    @contextmanager
    def command(
        self, doing: str, *, seconds: float = 0.0, most: int = ANSWER_BYTES
    ) -> Iterator[None]:
        """Time and bytes for one command; whatever goes wrong in it as NotFetched."""
        seconds = min(seconds or COMMAND_SECONDS, self.until - time.monotonic())
        if seconds <= 0:
            raise NotFetched(
                f"{self.where} took more than {SECONDS / 60:.0f} minutes; the next fetch goes on from here."
            )
        self.imap.left = most
        with self.watched(doing, seconds):
            yield

    @contextmanager
    def watched(self, doing: str, seconds: float) -> Iterator[None]:
        with _within(seconds, self.plug) as watch, _in_words(self, doing, watch):
            yield

    def said(self, answer: Iterable[Any]) -> str:
        """What the server answered, on one line, without what is secret."""
        words = " ".join(
            part.decode("utf-8", "replace") for part in answer if isinstance(part, bytes)
        )
        return f"{self.clean(words) or 'it does not say why'}."

    def clean(self, words: str) -> str:
        for secret in self.hides:
            words = words.replace(secret, "…")
        words = re.sub(r"^command: [A-Z]+ => |\[[A-Z ]+\] ", "", line(words))
        return words[:300].rstrip(" .")


@dataclass
class _Watch:
    """Whether the time was up."""

    seconds: float
    fired: bool = False


@contextmanager
def _within(seconds: float, plug: Any) -> Iterator[_Watch]:
    """Hang up when the time is up: whoever reads or writes then fails."""
    watch = _Watch(seconds)

    def hang_up() -> None:
        watch.fired = True
        with suppress(OSError):
            plug.shutdown(_BOTH_WAYS)

    timer = threading.Timer(max(0.01, seconds), hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    finally:
        timer.cancel()


@contextmanager
def _in_words(talk: _Talk, doing: str, watch: _Watch) -> Iterator[None]:
    try:
        yield
    except NotFetched:
        raise
    except _TooMuch:
        raise NotFetched(
            f"{talk.where} answered more than it may while {doing}; it was hung up on."
        ) from None
    except Exception as error:  # the library raises what it likes on what is no IMAP
        if watch.fired or isinstance(error, TimeoutError):
            raise NotFetched(
                f"{talk.where} did not finish {doing} within {watch.seconds:.0f} seconds."
            ) from None
        if isinstance(error, ssl.SSLCertVerificationError):
            raise NotFetched(
                f"{talk.where} could not prove who it is: {error.verify_message}.", again=False
            ) from None
        if isinstance(error, imaplib.IMAP4.error | OSError):
            words = talk.clean(str(error))
            raise NotFetched(f"{talk.where} broke off while {doing}: {words}.") from None
        raise NotFetched(f"{talk.where} speaks no IMAP that can be understood.") from None


@contextmanager
def _signed_in(web: Web, server: Server, context: Callable[[], ssl.SSLContext]) -> Iterator[_Talk]:
    where = (
        f"[{server.host}]:{server.port}" if ":" in server.host else f"{server.host}:{server.port}"
    )
    connected = web.dial(server.host, server.port)
    talk = _Talk(where, _spellings(server), time.monotonic() + SECONDS, connected.dup())
    try:
        _greet(talk, connected, server, context)
        _sign_in(talk, server)
        yield talk
        with suppress(Exception), _within(2.0, talk.plug):
            talk.imap.logout()
    finally:
        with suppress(OSError):
            talk.plug.shutdown(_BOTH_WAYS)
        if hasattr(talk, "imap"):
            connected = talk.imap.sock
        with suppress(OSError):
            connected.close()
        talk.plug.close()


def _greet(
    talk: _Talk, connected: Any, server: Server, context: Callable[[], ssl.SSLContext]
) -> None:
    """Hear the greeting, over TLS where that is asked for."""
    with talk.watched("greeting", COMMAND_SECONDS):
        if server.tls == "at once":
            connected = context().wrap_socket(connected, server_hostname=server.host)
        talk.imap = imap = _Imap(connected)
        if server.tls == "required":
            if "STARTTLS" not in imap.capabilities:
                raise NotFetched(
                    f"{talk.where} offers no TLS, and the password is not sent without: name another "
                    "server, or imaps://, in CEREBRO_IMAP.",
                    again=False,
                )
            imap.host = server.host  # whose certificate it has to be
            imap.starttls(context())


def _spellings(server: Server) -> tuple[str, ...]:
    """Every way in which the password could come back in what a server says."""
    coded = (b64encode(_token(server)), b64encode(server.password.encode()))
    return (server.password, *(each.decode() for each in coded))


def _token(server: Server) -> bytes:
    return f"\0{server.user}\0{server.password}".encode()


def _sign_in(talk: _Talk, server: Server) -> None:
    imap = talk.imap
    with talk.watched("signing in", COMMAND_SECONDS):
        imap.left = ANSWER_BYTES
        if "AUTH=PLAIN" not in imap.capabilities and "LOGINDISABLED" in imap.capabilities:
            raise NotFetched(f"{talk.where} takes no password this way.", again=False)
        try:
            if "AUTH=PLAIN" in imap.capabilities:
                imap.authenticate("PLAIN", lambda _: _token(server))
            elif (server.user + server.password).isascii():
                plain = re.fullmatch(r"[\w.@+-]+", server.user)
                imap.login(server.user if plain else _quoted(server.user), server.password)
            else:
                raise NotFetched(
                    f"{talk.where} takes user and password in plain letters alone.", again=False
                )
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            # What a server says of a password is not repeated.
            if _LATER.search(str(error)):
                raise NotFetched(f"{talk.where} lets nobody in just now.") from None
            raise NotFetched(
                f"{talk.where} did not take the user and the password of CEREBRO_IMAP.", again=False
            ) from None


def _is_starred(flags: bytes) -> bool:
    return b"\\flagged" in flags.lower().split()


def _listed(uids: Sequence[int]) -> str:
    """Uids as IMAP writes many: 3,5:9."""
    parts: list[list[int]] = []
    for uid in sorted(uids):
        if parts and parts[-1][1] == uid - 1:
            parts[-1][1] = uid
        else:
            parts.append([uid, uid])
    return ",".join(f"{a}" if a == b else f"{a}:{b}" for a, b in parts)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _utf7(name: str) -> str:
    """The name of a folder as IMAP spells it: letters beyond ASCII in base64 of its own."""
    parts = []
    for found in re.finditer(r"[ -~]+|[^ -~]+", name):
        text = found[0]
        if text.isascii():
            parts.append(text.replace("&", "&-"))
        else:
            coded = b64encode(text.encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
            parts.append(f"&{coded}-")
    return "".join(parts)
