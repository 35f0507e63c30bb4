"""SMTP servers on loopback: one that takes mail as servers do, and one that breaks off where it is told.

`MailServer` is aiosmtpd with TLS and passwords; what it took is in `letters`. `BrokenServer` speaks line
by line and stops at a phase, so that the client meets what no real library lets a server do.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from types import TracebackType
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "ada", "open/sesame@home"


@dataclass
class Took:
    """A letter as the server took it."""

    sender: str
    to: list[str]
    letter: EmailMessage
    raw: bytes
    tls: bool
    user: str


@dataclass
class _Handler:
    """`answers` are what the server says next after RCPT or DATA, in place of taking it."""

    letters: list[Took] = field(default_factory=list)
    rcpt: dict[str, str] = field(default_factory=dict)
    data: deque[str] = field(default_factory=deque)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := self.rcpt.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.data and not (answer := self.data.popleft()).startswith("250"):
            return answer
        raw = bytes(envelope.content or b"")
        letter = message_from_bytes(raw, policy=default)
        assert isinstance(letter, EmailMessage)
        user = session.auth_data.login.decode() if session.auth_data else ""
        to = list(envelope.rcpt_tos)
        self.letters.append(
            Took(envelope.mail_from or "", to, letter, raw, session.ssl is not None, user)
        )
        return "250 taken"


class MailServer:
    """A server for the time of a `with`. `tls` is "", "starttls" or "at once"."""

    def __init__(self, *, tls: str = "", password: bool = False, utf8: bool = False) -> None:
        self.handler = _Handler()
        options: dict[str, Any] = {"hostname": "127.0.0.1", "port": 0, "enable_SMTPUTF8": utf8}
        self._ca: trustme.CA | None = None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if tls:
            self._ca = trustme.CA()
            self._ca.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        if tls == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        elif tls == "at once":
            options["ssl_context"] = context
        if password:
            options |= {
                "authenticator": _knows,
                "auth_required": True,
                "auth_require_tls": tls == "starttls",
            }
        self._controller = _Controller(self.handler, **options)

    @property
    def letters(self) -> list[Took]:
        return self.handler.letters

    @property
    def port(self) -> int:
        assert self._controller.server is not None
        found: int = self._controller.server.sockets[0].getsockname()[1]
        return found

    def trusted(self) -> ssl.SSLContext:
        """What a client trusts that knows this server's authority."""
        context = ssl.create_default_context()
        if self._ca is not None:
            self._ca.configure_trust(context)
        return context

    def __enter__(self) -> MailServer:
        self._controller.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._controller.stop()


class _Controller(Controller):
    def _trigger_server(self) -> None:
        """The library connects once to begin; with port 0 it must learn which one that is."""
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


def _knows(server: SMTP, session: Session, envelope: Envelope, kind: str, data: Any) -> AuthResult:
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (
        USER.encode(),
        PASSWORD.encode(),
    )
    return AuthResult(success=known, handled=known, auth_data=data)


class BrokenServer:
    """Goes along up to a phase and then hangs up, or says no more when it `hangs`.

    Phases: "greeting", "ehlo", "mail", "rcpt", "data" (before the text), "text" (in the middle of it),
    "dot" (after all of it, without an answer), "garbage" (after all of it, with no answer a server gives).
    """

    def __init__(self, phase: str, *, hangs: bool = False) -> None:
        self.phase, self.hangs = phase, hangs
        self.got_all = False
        self._ended = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> BrokenServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listening.close()
        self._thread.join(5)

    def _serve(self) -> None:
        with suppress(OSError):
            client, _ = self._listening.accept()
            with client, client.makefile("rb") as lines:
                self._talk(client, lines)
                if self.hangs:
                    self._ended.wait(10)

    def _talk(self, client: socket.socket, lines: Any) -> None:
        if self.phase == "greeting":
            return
        client.sendall(b"220 here\r\n")
        for line in lines:
            verb = line[:4].lower().strip()
            if verb == self.phase.encode()[:4]:
                return
            if verb == b"data":
                client.sendall(b"354 go on\r\n")
                for text in lines:
                    if self.phase == "text":
                        return
                    if text == b".\r\n":
                        self.got_all = True
                        break
                if self.phase == "garbage":
                    client.sendall(b"what was that?\r\n")
                return
            client.sendall(b"250 fine\r\n")
