"""Saved mail: messages, mailboxes and Maildirs, with their stars; and what nobody should have sent."""

from __future__ import annotations

import time
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.bootstrap import READERS
from app.domain.items import Document, MentionArrival, PageArrival, Rejected
from app.domain.records import PageKind
from app.errors import Unreadable
from app.sources.base import File, reader_for
from app.sources.mail import MailReader, as_mailbox

FORMATS = Path(__file__).parents[3] / "shared" / "data" / "formats" / "email"
READER = MailReader()
HEAD = (
    b"From: Ada Lovelace <ada@example.org>\r\nSubject: Looms of the week\r\n"
    b"Date: Fri, 8 May 2026 23:30:00 -0700\r\nMessage-ID: <one@example.org>\r\n"
)
HTML = """<html><head><style>p{}</style></head><body>
<div style="display:none">A preheader&zwnj;&nbsp;</div>
<p><a href="https://example.org/issues/7">View in your browser</a></p>
<img src="https://track.example/open.gif" width="1" height="1">
<h1>Looms</h1><p>We liked <a href="https://click.example/CL0/https:%2F%2Farxiv.org%2Fabs%2F2605.00001/1/x">a
study of looms</a>, which is cheap.</p>
<table><tr><td><a href="https://example.org/x"><b>Attention to every single loom</b></a></td></tr></table>
<ul><li><a href="https://doi.org/10.1145/3292500.3330701">Third</a>: it fails to replicate.</li></ul>
<p>You are receiving this because you signed up. <a href="https://example.org/u">Unsubscribe</a></p>
<p>© 2026 Looms Inc, 1 Mill Lane</p></body></html>"""


def letter(html: str = HTML, text: str = "", **headers: str) -> bytes:
    made = EmailMessage(policy=SMTP)
    given = {
        "From": "Ada Lovelace <ada@example.org>", "Subject": "Looms of the week",
        "Date": "Fri, 8 May 2026 23:30:00 -0700", "Message-ID": "<one@example.org>",
    }  # fmt: skip
    for name, value in (given | {n.replace("_", "-"): v for n, v in headers.items()}).items():
        made[name] = value
    if text:
        made.set_content(text)
    if html:
        made.add_alternative(html, subtype="html") if text else made.set_content(
            html, subtype="html"
        )
    return made.as_bytes()


def read(data: bytes, name: str = "letter.eml") -> list[Document | Rejected]:
    return list(READER.read(File(name, data)).documents)


def one(data: bytes, name: str = "letter.eml") -> Document:
    (found,) = read(data, name)
    assert isinstance(found, Document), found
    return found


def only(document: Document, kind: type[Any]) -> list[Any]:
    return [each for each in document.arrivals if isinstance(each, kind)]


# ---------------------------------------------------------------- a newsletter


def test_a_newsletter_is_an_article_with_the_papers_it_names() -> None:
    document = one(letter(text="Plain words."))
    assert (document.key, document.title) == ("one@example.org", "Looms of the week")
    assert (document.published, document.url) == ("2026-05-08", "https://example.org/issues/7")
    assert document.state == {}
    (page,) = only(document, PageArrival)
    assert page.kind == PageKind.ARTICLE and page.ref.startswith("looms-of-the-week-")
    assert page.text == (
        "From Ada Lovelace.\n\n# Looms\n\n"
        "We liked [a study of looms](https://arxiv.org/abs/2605.00001), which is cheap.\n\n"
        "[**Attention to every single loom**](https://example.org/x)\n\n"
        "- [Third](https://doi.org/10.1145/3292500.3330701): it fails to replicate."
    )
    told = {each.paper: each for each in only(document, MentionArrival)}
    assert list(told) == [
        "arxiv:2605.00001", "title:Attention to every single loom", "doi:10.1145/3292500.3330701",
    ]  # fmt: skip
    third = told["doi:10.1145/3292500.3330701"]
    assert third.text == "Third: it fails to replicate."
    assert (third.day, third.source_name) == ("2026-05-08", "Ada Lovelace")


def test_of_a_mail_without_html_the_plain_text_counts() -> None:
    text = (
        "Hello,\n\n# no heading\n- one https://arxiv.org/abs/2605.00002\n- [[two]]\n\n> said\n-- \n"
    )
    (page,) = only(one(letter("", text)), PageArrival)
    assert page.text.split("\n\n", 1)[1] == (
        "Hello,\n\n\\# no heading\n- one https://arxiv.org/abs/2605.00002\n- \\[\\[two\\]\\]\n\n"
        "> said\n\\--"
    )


def test_html_of_pictures_alone_gives_way_to_the_plain_text() -> None:
    (page,) = only(one(letter("<img src=x>", "Words that say what it is about.")), PageArrival)
    assert "Words that say what it is about" in page.text


def test_two_newsletters_of_one_name_are_two_pages() -> None:
    first, second = (one(letter(Message_ID=f"<{n}@example.org>")) for n in "ab")
    refs = {only(each, PageArrival)[0].ref for each in (first, second)}
    assert len(refs) == 2


def test_attachments_are_no_text() -> None:
    made = EmailMessage(policy=SMTP)
    made["From"], made["Subject"] = "a@example.org", "Files"
    made.set_content("See the file, it is all in there.")
    made.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="x.pdf")
    made.add_attachment("words of the file", filename="x.txt")
    (page,) = only(one(made.as_bytes()), PageArrival)
    assert page.text == "From a.\n\nSee the file, it is all in there."


def test_a_forwarded_newsletter_is_read() -> None:
    inner = EmailMessage(policy=SMTP)
    inner["Subject"], inner["From"] = "Inner", "b@example.org"
    inner.set_content("<p>Words within, and some more of them.</p>", subtype="html")
    outer = EmailMessage(policy=SMTP)
    outer["Subject"], outer["From"] = "Fwd: Inner", "a@example.org"
    outer.set_content("For you.")
    outer.add_attachment(inner)
    (page,) = only(one(outer.as_bytes()), PageArrival)
    assert "Words within" in page.text


def test_a_mail_of_pictures_has_no_page_and_says_so() -> None:
    document = one(letter("<img src='https://x.example/a.png'>"))
    assert only(document, PageArrival) == []
    (refused,) = only(document, Rejected)
    assert "It has no text" in refused.reason


# ---------------------------------------------------------------- stars, mailboxes, Maildirs


@pytest.mark.parametrize(
    ("headers", "starred"),
    [
        ({"X_Status": "F"}, True), ({"X_Status": ""}, False), ({"X_Status": "AF"}, True),
        ({"X_Mozilla_Status": "0005"}, True), ({"X_Mozilla_Status": "0001"}, False),
        ({"X_Mozilla_Status": "zz"}, None), ({"X_Gmail_Labels": "Inbox,Starred"}, True),
        ({"X_Gmail_Labels": "Inbox,Unread"}, False), ({"X_Keywords": "\\Flagged work"}, True),
        ({"X_Status": "", "X_Gmail_Labels": "Starred"}, False), ({}, None),
    ],
)  # fmt: skip
def test_the_star_is_where_programs_for_mail_write_it(
    headers: dict[str, str], starred: bool | None
) -> None:
    state = one(letter(**headers)).state
    assert state == ({} if starred is None else {"starred": starred})


@pytest.mark.parametrize(
    ("name", "state"),
    [("cur/17.host:2,FS", {"starred": True}), ("cur/17.host:2,S", {"starred": False}), ("new/17.host", {}),
     ("cur/17.host;2,F", {"starred": True})],
)  # fmt: skip
def test_in_a_maildir_the_flag_stands_in_the_name(name: str, state: dict[str, bool]) -> None:
    assert one(letter(), name).state == state


def test_a_star_is_no_other_content() -> None:
    plain, starred = one(letter()), one(letter(X_Status="F", Status="RO", X_UID="5"))
    assert plain.hash == starred.hash and plain.state != starred.state


def test_a_mailbox_is_its_messages() -> None:
    text = "First words here.\n\nFrom here on it is quoted.\n>From there too.\n\nFrom now: x\n"
    first, second = letter("", text), letter(Message_ID="<two@example.org>", Subject="Second")
    boxed = as_mailbox([(first, True, 0), (second, False, 0)])
    one_, two = read(boxed, "all.mbox")
    assert isinstance(one_, Document) and isinstance(two, Document)
    assert [each.key for each in (one_, two)] == ["one@example.org", "two@example.org"]
    assert [each.state for each in (one_, two)] == [{"starred": True}, {"starred": False}]
    (page,) = only(one_, PageArrival)
    assert "From here on it is quoted.\n\\>From there too" in page.text.replace("> From", "\\>From")
    # What was fetched is what was saved.
    assert one_.hash == one(first).hash and two.hash == one(second).hash


def test_a_mailbox_as_others_write_it() -> None:
    lines = letter("", "Words.\n\nFrom a line that is none.\n").replace(b"\r\n", b"\n")
    data = (
        b"From 1234@xxx Fri May 08 09:00:00 +0000 2026\nX-Gmail-Labels: Starred\n" + lines
        + b"\nFrom - Sat May  9 09:00:00 2026\nX-Mozilla-Status: 0001\n"
        + lines.replace(b"<one@", b"<two@")
    )  # fmt: skip
    found = read(data, "All mail.mbox")
    assert [each.state for each in found if isinstance(each, Document)] == [
        {"starred": True}, {"starred": False},
    ]  # fmt: skip
    assert "From a line that is none." in only(found[0], PageArrival)[0].text  # type: ignore[arg-type]


def test_two_messages_under_one_id_are_two_and_one_twice_is_one() -> None:
    first, second = letter(), letter("<p>Other words than the first one.</p>")
    keys = [each.key for each in read(as_mailbox([(m, False, 0) for m in (first, second, first)]))]  # type: ignore[union-attr]
    assert keys[0] == keys[2] == "one@example.org" and keys[1].startswith("one@example.org#")


def test_what_was_not_fetched_whole_says_so() -> None:
    (document,) = read(as_mailbox([(letter(), False, 5_000_000)]))
    assert isinstance(document, Document)
    assert "5000000 bytes" in only(document, Rejected)[0].reason


# ---------------------------------------------------------------- whether it is mail


def test_it_is_known_by_its_headers() -> None:
    assert reader_for(File("x", letter()), READERS).format == "mail"
    assert reader_for(File("x", as_mailbox([(letter(), False, 0)])), READERS).format == "mail"
    assert reader_for(File("cur/1:2,S", letter()), READERS).format == "mail"


@pytest.mark.parametrize(
    "data",
    [
        b"This is not a valid eml.", b"From here on: it is a text.\n\nMore.", b"Subject: x\n\nA note.",
        b"# Date: x\nFrom: y", b"---\nfrom: a\nsubject: b\n---\n", b'{"From": "a"}', b"<html>From: a\nSubject: b",
        b"\x00\x01", b"To: do\nDate: today\n", b"", b"%PDF-1.4",
    ],
)  # fmt: skip
def test_other_files_are_not_claimed(data: bytes) -> None:
    assert not READER.recognises(File("x", data))
    with pytest.raises(Unreadable, match="is no mail"):
        READER.read(File("x", data))


@pytest.mark.skipif(not FORMATS.exists(), reason="the formats are not beside the checkout")
def test_the_real_files_are_read_or_refused_in_words() -> None:
    document = one((FORMATS / "html.eml").read_bytes())
    (page,) = only(document, PageArrival)
    assert document.published == "2022-10-15" and "http://localhost:8080" not in page.text
    assert "<" not in page.text and "changed via" not in page.text
    with pytest.raises(Unreadable, match="is no mail"):
        READER.read(File("broken.eml", (FORMATS / "broken.eml").read_bytes()))


# ---------------------------------------------------------------- hostile


def nested(depth: int) -> bytes:
    parts = [
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(depth)
    ]
    return HEAD + b"".join(parts) + b"\r\nwords at the very bottom of it"


@pytest.mark.parametrize(
    "data",
    [
        nested(1000), nested(30_000), HEAD + b"X-A: " + b"a" * 2_000_000 + b"\r\n\r\nwords",
        HEAD + b"X-A: a\r\n" * 100_000 + b"\r\nwords", HEAD.replace(b"Looms", b"=?utf-8?q?a?= " * 50_000) + b"\r\nwords",
        b"Subject: x\r\nFrom: " + b"(" * 10_000 + b"\r\n\r\nwords",
        HEAD + b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a-b" * 300_000,
        HEAD + b"Content-Type: text/plain; charset=" + b"x" * 5_000 + b"\r\n\r\nwords",
        HEAD + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\nhello\r\n" * 50_000,
        HEAD + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--xx\r\n\r\nhello\r\n" * 50_000,
        HEAD + b"Content-Type: multipart/mixed\r\n\r\nno boundary, so only words",
        HEAD + b"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n--\r\n",
        HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 5_000,
        HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=A" * 500_000,
        HEAD + b"Content-Transfer-Encoding: base64\r\nContent-Type: text/html\r\n\r\nPGI+PGI+A",
        HEAD + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=" * 500_000,
        HEAD + b"Content-Type: text/html\r\n\r\n" + b"<div>" * 50_000,
        HEAD.replace(b"2026", b"99999") + b"\r\nwords", HEAD.replace(b"8 May", b"31 Feb") + b"\r\nwords",
        HEAD.replace(b"23:30", b"99:99") + b"\r\nwords", HEAD + b"\r\n\x00\x00words\x00", HEAD.replace(b"Looms", b"\x00\xff\xfe") + b"\r\nw",
        HEAD, HEAD + b"\r\n", b"From a\n" * 50_000 + HEAD, b"From a\n" + HEAD * 3,
        HEAD.replace(b"<one@example.org>", b"<" + b"x" * 5_000 + b">") + b"\r\nwords",
        HEAD + b"Content-Type: text/plain; charset*0*=utf-8'en'%FF; name*=x''%00\r\n\r\nwords",
    ],
    ids=range(28),
)  # fmt: skip
def test_no_mail_is_too_odd(data: bytes) -> None:
    begun = time.process_time()
    if not READER.recognises(File("x", data)):
        return
    for document in READER.read(File("x", data)).documents:
        if isinstance(document, Document):
            assert document.key and document.title and len(document.key) <= 320
            assert "\x00" not in document.title + document.key
            assert document.published in ("", "2026-05-08")
            for each in document.arrivals:
                if isinstance(each, PageArrival):
                    assert "\x00" not in each.text and len(each.text) < 300_000
    assert time.process_time() - begun < 10


def test_parts_that_are_too_deep_are_said_to_be() -> None:
    document = one(nested(1000))
    assert document.title == "Looms of the week"
    assert any("nested more than" in each.reason for each in only(document, Rejected))


@pytest.mark.parametrize(
    ("charset", "raw", "words"),
    [
        ("utf-8", "café".encode(), "café"), ("iso-8859-1", "café".encode("latin-1"), "café"),
        ("us-ascii", "café".encode(), "café"), ("utf-8", "café".encode("latin-1"), "café"),
        ("nonsense", "café".encode(), "café"), ("koi8-r", "привет".encode("koi8-r"), "привет"),
        ("gb2312", "你好".encode("gb2312"), "你好"), ("iso-2022-jp", "こんにちは".encode("iso-2022-jp"), "こんにちは"),
        ("utf-7", "caf\u00e9".encode("utf-7"), "café"), ("rot13", b"words", "words"), ("zlib", b"words", "words"),
    ],
)  # fmt: skip
def test_a_wrong_charset_loses_no_words(charset: str, raw: bytes, words: str) -> None:
    head = HEAD + f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode()
    (page,) = only(one(head + b"Some words before it: " + raw), PageArrival)
    assert page.text.endswith(f"Some words before it: {words}")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.binary(max_size=400))
def test_any_bytes_behind_headers_are_read_or_refused(head: bytes, body: bytes) -> None:
    data = HEAD + head + b"\r\n\r\n" + body
    for document in (
        READER.read(File("x", data)).documents if READER.recognises(File("x", data)) else ()
    ):
        if isinstance(document, Document):
            list(document.arrivals)
