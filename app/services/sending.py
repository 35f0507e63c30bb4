"""Digests leave the wiki: as a file of their own, and by mail.

What is sent is the text of a digest's page as it stands, written by the one renderer, with addresses
that lead back to the wiki.

Mail is off while no server and no reader are named. Then the newest day that we told goes out, once.
What was told before mail was on does not, nor a day that is not the newest. A letter goes out at most
once: that sending has begun is written down before the server is spoken to. A worker that is killed
in between leaves a letter of which nobody knows whether it went out; it is set aside in words, and a
person may send it again. The other way round a reader would now and then get a digest twice, which
nobody can take back; what did not come can be sent by hand, and stands in the wiki in any case.
"""

from __future__ import annotations

import time
from base64 import b64encode
from datetime import datetime
from email.message import EmailMessage
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template

from sqlmodel import Session

from app.errors import Conflict
from app.mail.letters import letter
from app.mail.plain import as_text
from app.mail.smtp import NotSent, Post, Sent
from app.rendering import outward
from app.store import editions, runs
from app.store.editions import STEP, Edition

HOME = "http://127.0.0.1:8000"
"""Where the wiki is when nobody says so: where `cerebro serve` puts it."""
TRIES = 10  # of a letter that a server puts off: over eight hours and a half


# ---------------------------------------------------------------- a file of its own


def as_file(edition: Edition, html: str, *, base: str) -> bytes:
    """The digest as one HTML file that loads nothing: its style within, and no script.

    `html` is its body as the renderer wrote it; links lead to the wiki at `base`, or to where they
    always led.
    """
    style = _stored("standalone.css")
    address = escape(f"{base}{edition.path}")
    return (
        _template("standalone.html")
        .substitute(
            style=style,
            style_hash=f"sha256-{b64encode(sha256(style.encode()).digest()).decode()}",
            title=escape(edition.title),
            kind=f"cere-bro · {escape(edition.words)}",
            body=outward(html, base=base),
            foot=f'{escape(edition.told)} <a href="{address}">Read it in the wiki.</a>',
        )
        .encode()
    )


@cache
def _template(name: str) -> Template:
    return Template(_stored(name))


@cache
def _stored(name: str) -> str:
    return files("app.services").joinpath(name).read_text("utf-8")


# ---------------------------------------------------------------- a letter

_MAILED = {
    "h2": "font-size:22px;line-height:1.2;margin:32px 0 8px",
    "h3": "font-size:19px;line-height:1.25;margin:24px 0 8px",
    "h4": "font-size:17px;line-height:1.3;margin:16px 0 4px",
    "p": "margin:0 0 12px",
    "ul": "margin:0 0 12px;padding-left:20px",
    "ol": "margin:0 0 12px;padding-left:24px",
    "li": "margin:0 0 4px",
    "blockquote": "margin:0 0 12px;padding-left:12px;border-left:2px solid #8b857a",
    "pre": "margin:0 0 12px;font:13px/1.4 Menlo,Consolas,monospace;white-space:pre;overflow-x:auto",
    "table": "border-collapse:collapse;margin:0 0 12px;font:15px/1.4 Helvetica,Arial,sans-serif",
    "th": "padding:4px 16px 4px 0;text-align:left;border-bottom:1px solid #8b857a",
    "td": "padding:4px 16px 4px 0;text-align:left;border-bottom:1px solid #8b857a",
    "hr": "border:0;border-top:1px solid #8b857a",
}


def compose(
    edition: Edition, html: str, post: Post, *, base: str, now: datetime, again: bool = False
) -> EmailMessage:
    """The digest as a letter: plain text and HTML, neither of which loads anything.

    `again`: a person asks for it, so that a program for mail that has it shall show it anew.
    """
    address = f"{base}{edition.path}"
    text = as_text(outward(html, base=base, at=edition.path, formulas=False))
    shown = outward(html, base=base, at=edition.path, formulas=False, styles=_MAILED)
    mark = f".{int(now.timestamp())}" if again else ""
    return letter(
        sender=post.sender,
        to=post.to,
        subject=edition.title,
        text=f"{edition.title}\n\n{text}\n-- \n{edition.told}\nRead it in the wiki: {address}\n",
        html=_template("letter.html").substitute(
            title=escape(edition.title),
            body=shown,
            foot=f'{escape(edition.told)} <a href="{escape(address)}">Read it in the wiki.</a>',
        ),
        id=f"{edition.id.rpartition(':')[2]}{mark}",
        at=now,
    )


def test_letter(post: Post, *, base: str, now: datetime) -> EmailMessage:
    """A letter that says that mail works."""
    words = "This is a test. Mail from your wiki works: each new digest will come this way."
    return letter(
        sender=post.sender,
        to=post.to,
        subject="cere-bro: mail works",
        text=f"{words}\n\n{base}/settings#mail\n",
        html=_template("letter.html").substitute(
            title="Mail works",
            body=f'<p style="{_MAILED["p"]}">{words}</p>',
            foot=f'<a href="{escape(base)}/settings#mail">Settings</a>',
        ),
        id=f"test.{int(now.timestamp())}",
        at=now,
    )


# ---------------------------------------------------------------- what was sent


def begin(session: Session, post: Post | None, *, now: datetime) -> None:
    """What a worker notes once: since when there is mail."""
    editions.note_mail(session, on=post is not None, now=now)


def pending(session: Session, *, now: datetime) -> int:
    """How many digests wait to be sent, or to be set aside."""
    return len(editions.left_behind(session)) + (editions.unsent(session, now=now) is not None)


def set_aside(session: Session, *, now: datetime) -> int:
    """Tell of letters whose sending began and never ended; how many there were."""
    found = editions.left_behind(session)
    for page_id in found:
        _note_unsure(session, page_id, "the worker ended while it was sent", now=now)
    return len(found)


def take_up(session: Session, *, owner: str, now: datetime) -> Edition | None:
    """The digest to send now, which from here on counts as begun."""
    page_id = editions.unsent(session, now=now)
    return None if page_id is None else _taken(session, editions.of_page(session, page_id), owner)


def take_up_day(session: Session, day: str, *, owner: str) -> Edition:
    """The digest of a day or month that a person asks to have sent, whether it went out or not.

    Raises Invalid, NotFound, and Conflict while a worker sends it.
    """
    edition = editions.of_day(session, day)
    if edition.page_id in editions.being_sent(session):
        raise Conflict(f"The digest of {edition.words} is being sent now. Look again in a minute.")
    return _taken(session, edition, owner)


def _taken(session: Session, edition: Edition, owner: str) -> Edition:
    runs.hold(session, STEP, [edition.page_id], owner=owner, clock=time.time())
    editions.begin_posting(session, edition.page_id)
    return edition


def store(
    session: Session, edition: Edition, came: Sent | NotSent, *, owner: str, now: datetime
) -> bool:
    """Write down what came of it; whether it was sent. What may work another time is tried again."""
    runs.let_go(session, STEP, [edition.page_id], owner=owner)
    if isinstance(came, Sent):
        editions.end_posting(
            session, edition.page_id, editions.SENT, in_words(came, but=True), now=now
        )
        return True
    if came.unsure:
        _note_unsure(session, edition.page_id, came.why, now=now)
        return False
    editions.end_posting(session, edition.page_id, editions.FAILED, came.why, now=now)
    tries = TRIES if came.again else 1
    runs.failed(session, STEP, edition.page_id, came.why, now=now, park_after=tries)
    return False


def _note_unsure(session: Session, page_id: int, why: str, *, now: datetime) -> None:
    day = editions.of_page(session, page_id).day
    told = f"It may have gone out: {why.rstrip('.')}. Send it again with `cerebro digest --day {day} --mail`."
    editions.end_posting(session, page_id, editions.UNSURE, told, now=now)
    runs.failed(session, STEP, page_id, told, now=now, park_after=1)


def in_words(came: Sent | NotSent, *, but: bool = False) -> str:
    """What came of a letter, in a sentence; with `but` only to whom it did not go."""
    if isinstance(came, NotSent):
        return f"It was not sent: {came.why.rstrip('.')}."
    told = "; ".join(f"{who} ({why})" for who, why in came.refused.items())
    if but:
        return f"not to {told}" if told else ""
    return f"Sent, but not to {told}." if told else "Sent."
