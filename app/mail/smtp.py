"""Handing one letter to an SMTP server, and saying in words what came of it.

What matters to who asks is whether the letter may have gone out: up to the end of its text a server
has taken nothing, and the letter can be sent again; once the text has ended, only its answer tells.
"""

from __future__ import annotations

import logging
import re
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from ipaddress import ip_address
from typing import Any

from app.settings import Server

log = logging.getLogger("cerebro.mail")

SECONDS = 30.0  # for each answer of the server; after the text of a letter ten times as long
LONGEST = 300  # characters of what a server says
_NAME = "[127.0.0.1]"  # what we call ourselves: this machine's own name is nobody's business


@dataclass(frozen=True)
class Sent:
    """The server took the letter, but not for the `refused`: address and what it said of it."""

    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NotSent:
    """The letter did not go out, and why.

    `again`: another time it may. `unsure`: the server had all of it and never said what it did with
    it, so that sending it again may send it twice.
    """

    why: str
    again: bool = True
    unsure: bool = False


@dataclass(frozen=True)
class Post:
    """Through which server mail goes, from whom and to whom."""

    server: Server
    sender: Address
    to: tuple[Address, ...]
    seconds: float = SECONDS
    context: ssl.SSLContext | None = None

    def send(self, made: EmailMessage) -> Sent | NotSent:
        """Hand a letter over. Never raises for what a server or a network does."""
        return _send(
            self.server,
            made,
            sender=self.sender,
            to=self.to,
            seconds=self.seconds,
            context=self.context or ssl.create_default_context(),
        )


def _send(
    server: Server,
    made: EmailMessage,
    *,
    sender: Address,
    to: Sequence[Address],
    seconds: float,
    context: ssl.SSLContext,
) -> Sent | NotSent:
    where = f"{server.host}:{server.port}"
    connection: _Connection | None = None
    try:
        connection = _connect(server, seconds, context)
        if why := _signed_on(connection, server):
            return NotSent(why, again=False)
        told = connection.send_message(made, sender.addr_spec, [each.addr_spec for each in to])
        return Sent({address: _said(*answer) for address, answer in told.items()})
    except smtplib.SMTPRecipientsRefused as error:
        answers = list(error.recipients.values())
        said = "; ".join(f"{who}: {_said(*a)}" for who, a in error.recipients.items())
        return NotSent(
            f"{where} takes no mail for {_cut(said)}",
            again=any(400 <= code < 500 for code, _ in answers),
        )
    except smtplib.SMTPNotSupportedError as error:
        return NotSent(f"{where} cannot do what the letter needs: {error}", again=False)
    except smtplib.SMTPAuthenticationError as error:
        return NotSent(
            f"{where} did not take the user and password: {_said(error.smtp_code, error.smtp_error)}",
            again=400 <= error.smtp_code < 500,
        )
    except smtplib.SMTPResponseException as error:
        # A connection that breaks while an answer is read is -1: nobody knows more.
        said = _said(error.smtp_code, error.smtp_error)
        if error.smtp_code < 0:
            return _broken(connection, where, said)
        return NotSent(f"{where} said no: {said}", again=400 <= error.smtp_code < 500)
    except ssl.SSLCertVerificationError as error:
        return NotSent(f"{where} could not prove who it is: {error.verify_message}", again=False)
    except (smtplib.SMTPException, OSError) as error:
        return _broken(connection, where, _words(error))
    except (MessageError, ValueError, UnicodeError) as error:  # an address no server here can take
        return NotSent(f"the letter cannot be written for mail: {_cut(str(error))}", again=False)
    finally:
        if connection is not None:
            connection.leave()


def _broken(connection: _Connection | None, where: str, why: str) -> NotSent:
    if connection is not None and connection.handed_over:
        return NotSent(
            f"{where} had the whole letter and never said whether it took it: {why}",
            again=False,
            unsure=True,
        )
    return NotSent(f"{where} could not be talked to: {why}")


class _Connection(smtplib.SMTP):
    """Notes when the text of the letter has ended: from then on it may have gone out."""

    handed_over = False

    def data(self, msg: Any) -> tuple[int, bytes]:
        """DATA, the text, the dot that ends it, and the answer to that.

        As smtplib does it, but the dot is sent apart from the text: what is lost before the dot is
        lost for certain.
        """
        self.putcmd("data")
        code, said = self.getreply()
        if code != 354:
            raise smtplib.SMTPDataError(code, said)
        text = re.sub(rb"(?m)^\.", b"..", msg)
        self.send(text if text.endswith(b"\r\n") else text + b"\r\n")
        assert self.sock is not None
        self.sock.settimeout(self.timeout * 10)
        self.handed_over = True
        self.send(b".\r\n")
        code, said = self.getreply()
        self.handed_over = code < 0  # once it answered, what it says is so
        return code, said

    def leave(self) -> None:
        """Say goodbye where that is possible, and hang up."""
        try:
            if self.sock is not None and not self.handed_over:
                self.sock.settimeout(1.0)
                self.quit()
        except (smtplib.SMTPException, OSError) as error:
            log.debug("no goodbye: %s", error)
        finally:
            self.close()


class _OverTLS(_Connection, smtplib.SMTP_SSL):
    """The same with TLS from the start."""


def _connect(server: Server, seconds: float, context: ssl.SSLContext) -> _Connection:
    if server.tls == "at once":
        return _OverTLS(server.host, server.port, _NAME, timeout=seconds, context=context)
    connection = _Connection(server.host, server.port, _NAME, timeout=seconds)
    try:
        connection.ehlo_or_helo_if_needed()
        offered = connection.has_extn("starttls") and not _is_here(server.host)
        if server.tls == "required" or offered:
            connection.starttls(context=context)
            connection.ehlo()
    except BaseException:
        connection.close()
        raise
    return connection


def _signed_on(connection: _Connection, server: Server) -> str:
    """Sign on with user and password, where there are; why that was not done, or ""."""
    if not server.user:
        return ""
    if not isinstance(connection.sock, ssl.SSLSocket) and not _is_here(server.host):
        return (
            f"{server.host}:{server.port} offers no TLS, and the password is not sent without: "
            "use starttls:// or smtps:// in CEREBRO_SMTP"
        )
    connection.login(server.user, server.password)
    return ""


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _said(code: int, answer: bytes | str) -> str:
    words = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    words = "".join(c if c.isprintable() else " " for c in words)
    return _cut(f"{code} {' '.join(words.split())}" if code > 0 else " ".join(words.split()))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0] + " …"


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _cut(" ".join(str(error).split()) or type(error).__name__)
