"""Reads saved mail: one message (.eml, a file of a Maildir) or a mailbox (mbox), newsletters above all.

A message is an article: its text as Markdown, without pictures, counters and the lines about
unsubscribing, and the papers that it links or names. Its star comes with it where the file has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from app.domain.identifiers import slugify
from app.domain.items import Arrival, Bundle, Document, PageArrival, Rejected, SourceRef
from app.domain.records import PageKind, SourceKind
from app.domain.untrusted import plain
from app.errors import Unreadable
from app.sources.addresses import http_address
from app.sources.base import File
from app.sources.markup import escaped, line_start, to_markdown
from app.sources.mime import Mail, take_apart
from app.sources.named_papers import mentions, paper_of

SOURCE = SourceRef(key="mail", kind=SourceKind.MAIL, name="Mail")
CUT = "X-Cerebro-Cut"  # a header that says how many bytes were fetched of a message that has more

_LOOK = 16_384  # bytes
_MAX_TITLE = 300
_HEADER = re.compile(rb"([!-9;-~]{1,100}):(?:[ \t]|\r?$)")
_KNOWN = frozenset(
    b"from to cc bcc subject date message-id received return-path delivered-to mime-version reply-to "
    b"content-type x-mailer list-id list-unsubscribe dkim-signature sender user-agent x-status status "
    b"arc-seal x-gm-thrid x-gmail-labels x-mozilla-status x-original-to".split()
)
_SURE = frozenset(
    b"from received return-path message-id delivered-to subject x-original-to".split()
)
_FROM_LINE = re.compile(rb"From [^\r\n]{0,500}\r?\n")
_ENVELOPE = re.compile(rb"^From [^\r\n]{0,500}\r?\n(?=>?[!-9;-~]{1,100}:|>?From )", re.M)
_TO_QUOTE = re.compile(rb"^(>*From )", re.M)
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.M)
# What programs for mail write into a message about how it stands with them.
_STANDING = re.compile(
    rb"^(?:X-Status|Status|X-UID|X-UIDL|X-Keywords|X-Mozilla-Status2?|X-Mozilla-Keys|X-Gmail-Labels"
    rb"|X-GM-THRID|X-Evolution):[^\n]*\n(?:[ \t][^\n]*\n)*",
    re.M | re.I,
)
_MAILDIR = re.compile(r"[:;!-]2,([A-Za-z]*)$")
_STARRED = re.compile(r"\b(?:starred|markiert|suivis|destacados)\b|\\flagged\b", re.I)

_FOOTER = re.compile(
    r"unsubscribe|opt[- ]out|manage (?:your )?(?:\w+ )?(?:preferences|subscription)|update your (?:profile|preferences)"
    r"|(?:view|read|open) (?:this |it |the )?(?:\w+ )?(?:in|on) (?:your |a |the )?(?:browser|web|online|app)"
    r"|view online|you(?:'|’)?(?: a)?re receiving this|you (?:have )?received this (?:e-?mail|message|newsletter)"
    r"|no longer (?:wish|want) to receive|add us to your address book|this e-?mail was sent to"
    r"|abmelden|abbestellen|se d[ée]sabonner|darse de baja",
    re.I,
)
_SMALL_PRINT = re.compile(
    r"©|\(c\) ?20\d\d|copyright|all rights reserved|privacy policy|terms of (?:use|service)"
    r"|forward(?:ed)? (?:this|to)|refer a friend|advertise with us|^\W*$",
    re.I,
)
_ONLINE = re.compile(
    r"\[[^\]\n]{0,80}(?:browser|online|web version|on the web)[^\]\n]{0,40}\]\((https?://[^\s()]+)\)",
    re.I,
)
_LONGEST_FOOTER = 500  # characters of a paragraph that may be one
_NUMBERED = re.compile(r"(\s*)(?:([-*•·‣])|(\d{1,3})[.)])\s+(.*)")
_ADDRESS = re.compile(r"<?(https?://[^\s<>\"]+)>?", re.I)


@dataclass(frozen=True)
class MailReader:
    format: str = "mail"

    def recognises(self, file: File) -> bool:
        """Lines of headers that mail has, at the very beginning or below the line of a mailbox."""
        start = file.data[:_LOOK].lstrip(b"\r\n")
        if envelope := _FROM_LINE.match(start):
            start = start[envelope.end() :]
        return _begins_like_mail(start)

    def read(self, file: File) -> Bundle:
        """Each message a document. Raises Unreadable when there is no header at the beginning."""
        if not self.recognises(file):
            raise Unreadable(
                f"{file.name} is no mail: it does not begin with headers such as From and Subject."
            )
        return Bundle(source=SOURCE, format=self.format, documents=self._documents(file))

    def _documents(self, file: File) -> Iterator[Document | Rejected]:
        name = _MAILDIR.search(file.name)
        flags = name[1] if name else None
        seen: dict[str, str] = {}
        many = _FROM_LINE.match(file.data.lstrip(b"\r\n")) is not None
        for number, raw in enumerate(_messages(file.data), start=1):
            where = f"message {number}" if many else "the message"
            try:
                yield self._document(raw, flags, seen, where)
            except Exception as error:  # the others are read all the same
                yield Rejected(
                    where=where, reason=f"It could not be read ({type(error).__name__})."
                )

    def _document(
        self, raw: bytes, flags: str | None, seen: dict[str, str], where: str
    ) -> Document | Rejected:
        if not raw.strip():
            return Rejected(where=where, reason="It is empty.")
        mail = take_apart(raw)
        digest = sha256(_without_standing(raw)).hexdigest()
        key = mail.words("Message-ID", 300).strip("<> ") or f"sha256:{digest[:32]}"
        if seen.setdefault(key, digest) != digest:
            key = f"{key[:250]}#{digest[:12]}"  # another message under the same id
        day = mail.day()
        sender, _ = mail.sender()
        title = mail.words("Subject", _MAX_TITLE) or f"Mail from {sender or 'nobody'}"
        text, online = text_of(mail)
        starred = _starred(mail, flags)
        return Document(
            source=SOURCE,
            key=key,
            format=self.format,
            title=title,
            url=online,
            published=day,
            hash=digest,
            state={} if starred is None else {"starred": starred},
            arrivals=tuple(_arrivals(mail, key, title, text, sender, day, where)),
        )


def _begins_like_mail(start: bytes) -> bool:
    """Whether the first lines are headers, two of them such as mail has."""
    known: set[bytes] = set()
    lines = start.split(b"\n", 60)[:60]
    for number, line in enumerate(lines):
        line = line.rstrip(b"\r")
        if not line:
            break
        if line[:1] in b" \t" and number:
            continue
        header = _HEADER.match(line)
        if not header:
            if number and (line.startswith(b">From ") or number == len(lines) - 1):
                continue
            return False
        name = header[1].lower()
        if name in _KNOWN:
            known.add(name)
    return len(known) >= 2 and bool(known & _SURE)


def as_mailbox(messages: Iterable[tuple[bytes, bool, int]]) -> bytes:
    """Messages as a mailbox that `MailReader` reads: each as it was sent, whether it is starred, and
    how many bytes of it that is, where it has more (0: it is whole).

    The form is mboxrd, from which each comes back as it was, but for the ends of its lines.
    """
    parts = []
    for raw, starred, cut in messages:
        head = f"From -\nX-Status: {'F' if starred else ''}\n" + (f"{CUT}: {cut}\n" if cut else "")
        text = raw.replace(b"\r\n", b"\n")
        text = _FROM_LINE.sub(b"", text, count=1) if text.startswith(b"From ") else text
        parts += [head.encode(), _TO_QUOTE.sub(rb">\1", text).rstrip(b"\n"), b"\n\n"]
    return b"".join(parts)


def _messages(data: bytes) -> Iterator[bytes]:
    """The messages of a mailbox, or the one that the file is."""
    data = data.lstrip(b"\r\n")
    if not _FROM_LINE.match(data):
        yield data
        return
    begins = [
        found
        for found in _ENVELOPE.finditer(data)
        # A line of a text that begins with "From " has no empty line above it.
        if found.start() == 0
        or data[max(0, found.start() - 4) : found.start()].endswith((b"\n\n", b"\n\r\n"))
    ]
    for number, found in enumerate(begins):
        end = begins[number + 1].start() if number + 1 < len(begins) else len(data)
        body = data[found.end() : end]
        yield _QUOTED_FROM.sub(rb"\1", body) if b"\n>" in body or body.startswith(b">") else body


def _without_standing(raw: bytes) -> bytes:
    """The message as it was sent: how it stands with a program for mail is not what it says."""
    raw = raw.replace(b"\r\n", b"\n")
    head, _, body = raw.partition(b"\n\n")
    return _STANDING.sub(b"", head + b"\n").rstrip(b"\n") + b"\n\n" + body.rstrip(b"\n") + b"\n"


def _starred(mail: Mail, flags: str | None) -> bool | None:
    """Whether it has the star; None where nothing says."""
    if flags is not None:
        return "F" in flags
    if mail.headers.get("X-Status") is not None:
        return "F" in mail.words("X-Status").upper()
    said = False
    if mozilla := mail.words("X-Mozilla-Status"):
        try:
            if int(mozilla[:4], 16) & 0x0004:
                return True
            said = True
        except ValueError:
            said = False  # it says nothing that can be read
    for name in ("X-Gmail-Labels", "X-Keywords"):
        if labels := mail.words(name):
            if _STARRED.search(labels):
                return True
            said = said or name == "X-Gmail-Labels"
    return False if said else None


def _arrivals(
    mail: Mail, key: str, title: str, text: str, sender: str, day: str, where: str
) -> Iterator[Arrival | Rejected]:
    if text:
        slug = slugify(title)[:60].strip("-")
        yield PageArrival(
            # Newsletters are called the same week by week, and are not the same page.
            ref=f"{slug}-{sha256(key.encode('utf-8', 'replace')).hexdigest()[:8]}",
            kind=PageKind.ARTICLE,
            title=title,
            text=(f"From {escaped(sender)}.\n\n" if sender else "") + text,
            extra={"sender": sender} if sender else {},
        )
        yield from mentions(text, section="", day=day, source_name=sender, titles=True)
    else:
        has = "Only pictures or attachments are in it" if mail.attachments else "It has no text"
        yield Rejected(where=where, reason=f"{has}, so there is no page of “{title[:80]}”.")
    if cut := mail.words(CUT):
        yield Rejected(
            where=where, reason=f"It is larger than was fetched: {cut[:20]} bytes of it."
        )
    for problem in mail.problems:
        yield Rejected(where=where, reason=problem)


def text_of(mail: Mail) -> tuple[str, str]:
    """The text of a mail as Markdown, and the address it can be read at, '' where it names none.

    The HTML counts, where it has words; lines about unsubscribing are left out.
    """
    text = to_markdown(mail.html) if mail.html else ""
    if len(re.sub(r"\W+", "", text)) < 20 and mail.text:
        text = plain_to_markdown(mail.text) or text
    archived = http_address(mail.words("Archived-At", 2_000).strip("<> "))
    online = archived or next(iter(_ONLINE.findall(text[:5_000])), "")
    return _without_footer(text), online


def plain_to_markdown(text: str, limit: int = 250_000) -> str:
    """A text without marks as Markdown that shows it: paragraphs, lists and quotations as they were."""
    blocks = []
    for paragraph in re.split(r"\n[ \t]*\n", plain(text)[:limit]):
        lines = [_plain_line(each) for each in paragraph.split("\n") if each.strip()]
        if lines and not all(re.fullmatch(r"[\W_]*", each) for each in lines):
            blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _plain_line(text: str) -> str:
    quoted = re.match(r"(?:[ \t]?>){1,9}[ \t]?", text)
    before = "> " * quoted[0].count(">") if quoted else ""
    text = text[quoted.end() :] if quoted else text
    if entry := _NUMBERED.fullmatch(text.rstrip()):
        mark = "- " if entry[2] else f"{entry[3]}. "
        return f"{before}{mark}{line_start(_with_addresses(entry[4]))}"
    return before + line_start(_with_addresses(text.strip()))


def _with_addresses(text: str) -> str:
    """Words escaped, addresses as they lead; those of counters are left out."""
    parts, at = [], 0
    for found in _ADDRESS.finditer(text):
        address = found[1].rstrip(".,;:!?)]'")
        parts += [escaped(text[at : found.start()]), http_address(address)]
        at = found.start(1) + len(address)
        if found[0].startswith("<") and text[at : at + 1] == ">":
            at += 1
    return "".join([*parts, escaped(text[at:])]).rstrip()


def _without_footer(text: str) -> str:
    """The text without paragraphs about the subscription, and the small print beside them."""
    blocks = re.split(r"\n\n(?=\S)", text)
    kept: list[str] = []
    after = False
    for number, block in enumerate(blocks):
        short = len(re.sub(r"\(https?://[^)]*\)", "", block)) <= _LONGEST_FOOTER
        names_paper = any(paper_of(each) for each in _ADDRESS.findall(block)[:20])
        if short and not names_paper:
            if _FOOTER.search(block):
                after = number > len(blocks) // 2
                continue
            if after and _SMALL_PRINT.search(block):
                continue
        kept.append(block)
    while kept and (kept[-1] == "* * *" or (after and _SMALL_PRINT.search(kept[-1]))):
        kept.pop()
    return "\n\n".join(kept).strip()
