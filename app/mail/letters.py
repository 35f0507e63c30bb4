"""A letter: the headers and the two forms of a text, put together so that no text can add a header."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

LIST_ID = "cere-bro digests <digests.cere-bro.localhost>"


def letter(
    *,
    sender: Address,
    to: Sequence[Address],
    subject: str,
    text: str,
    html: str,
    id: str,
    at: datetime,
) -> EmailMessage:
    """A letter of two forms, plain text and HTML, that say the same.

    `id` is the left side of its Message-ID: of one digest always the same, so that a program for
    mail knows a letter it has. `at` is when it is sent, aware.
    """
    made = EmailMessage(policy=SMTP)
    made["From"] = sender
    made["To"] = tuple(to)
    made["Subject"] = " ".join(subject.split())
    made["Date"] = format_datetime(at)
    made["Message-ID"] = f"<{id}@{_domain(sender)}>"
    made["List-Id"] = LIST_ID
    made["Auto-Submitted"] = "auto-generated"
    # Long lines and letters beyond ASCII are encoded: servers take lines of 998 bytes at most.
    made.set_content(text, cte="quoted-printable")
    made.add_alternative(html, subtype="html", cte="quoted-printable")
    return made


def _domain(sender: Address) -> str:
    """The sender's domain as a header may hold it."""
    try:
        return sender.domain.encode("idna").decode("ascii")
    except UnicodeError:
        return "localhost"
