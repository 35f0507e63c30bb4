"""One mail taken apart: its headers in words, and its text. It never raises, and no mail is too deep.

The standard library reads headers, parameters and encodings. Only the cutting into parts is done
here: its parser calls itself for a part in a part, and looks at every line once for each of them.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import getaddresses, parsedate_to_datetime
from typing import Literal

from app.domain.untrusted import line

MAX_HEADERS = 256_000  # bytes of one part's headers; what is beyond is not looked at
MAX_HEADER = 8_000  # characters of one header
MAX_PARTS = 300
MAX_DEPTH = 15
MAX_TEXT = 3_000_000  # bytes of a text, as it was sent

_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
# Those that mail is written in. Others are names of things that are slow, or no encodings of text.
_CHARSETS = re.compile(
    r"utf-?(?:8|16|32|7)(?:[-_](?:le|be|sig))?|ascii|iso8859[-_]\d+|cp\d{3,4}|koi8[-_][rtu]|mac[-_]\w+"
    r"|gb2312|gbk|gb18030|big5(?:hkscs)?|hz|euc[-_]\w+|iso2022[-_]\w+|shift_jis\w*|johab|tis[-_]620"
)


@dataclass(frozen=True)
class Mail:
    """What a mail says. `html` and `text` are its text in two forms, '' where it has none of them.

    `problems` say in words what of it could not be read.
    """

    headers: Message
    text: str = ""
    html: str = ""
    attachments: int = 0
    problems: tuple[str, ...] = ()

    def words(self, name: str, longest: int = 1_000) -> str:
        """A header on one line, decoded; '' when it has none."""
        return decoded(_raw(self.headers, name))[:longest].strip()

    def sender(self) -> tuple[str, str]:
        """Name and address of who it is from; the name is the address's where there is none."""
        given = _raw(self.headers, "From") or _raw(self.headers, "Sender")
        try:
            found = getaddresses([given.replace("\r", " ").replace("\n", " ")])
        except (ValueError, IndexError, RecursionError):
            found = []
        name, address = next(((n, a) for n, a in found if n or a), ("", ""))
        address = line(address)[:200]
        return (decoded(name) or address.partition("@")[0])[:200], address

    def day(self) -> str:
        """The ISO day it was sent on, as its sender counts days; '' when it does not say."""
        received = [_raw(self.headers, "Received").rpartition(";")[2]]
        for text in (_raw(self.headers, "Date"), _raw(self.headers, "Resent-Date"), *received):
            if found := _day(text):
                return found
        return ""


def _raw(headers: Message, name: str) -> str:
    value = headers.get(name)
    return str(value)[:MAX_HEADER] if value is not None else ""


def _day(text: str) -> str:
    try:
        found = parsedate_to_datetime(text.strip())
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
    return found.date().isoformat() if 1990 <= found.year <= 2100 else ""


def decoded(text: str) -> str:
    """Words of a header, encoded or not, on one line with nothing invisible in it."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        parts = decode_header(text)
    except (HeaderParseError, ValueError):
        return line(text)
    said = [
        part if isinstance(part, str) else _as_text(part, charset or "us-ascii")
        for part, charset in parts
    ]
    return line("".join(said))


def take_apart(data: bytes) -> Mail:
    """Read a mail, whatever it is. What is not looked at is said in `problems`."""
    headers, body = _split(data)
    walk = _Walk()
    found = walk.part(headers, body, 0)
    return Mail(
        headers,
        text="\n\n".join(text for kind, text in found if kind == "plain").strip(),
        html="\n".join(text for kind, text in found if kind == "html").strip(),
        attachments=walk.attachments,
        problems=tuple(dict.fromkeys(walk.problems)),
    )


def _split(data: bytes) -> tuple[Message, bytes]:
    """The headers of a part and what is below them."""
    if data.startswith((b"\n", b"\r\n")):  # a part without headers
        return Message(), data.lstrip(b"\r\n")
    end = _END_OF_HEADERS.search(data, 0, MAX_HEADERS)
    head = data[: end.start()] if end else data[:MAX_HEADERS]
    body = data[end.end() :] if end else b""
    if not end and len(data) > MAX_HEADERS:
        after = _END_OF_HEADERS.search(data, MAX_HEADERS)
        body = data[after.end() :] if after else b""
    try:
        headers = BytesHeaderParser(policy=compat32).parsebytes(head + b"\n\n")
    except Exception:  # whatever the library makes of what is no mail
        headers = Message()
    return headers, body


_Kind = Literal["plain", "html"]
_Text = tuple[_Kind, str]


@dataclass
class _Walk:
    """The way through the parts of a mail."""

    parts: int = 0
    attachments: int = 0
    left: int = MAX_TEXT
    problems: list[str] = field(default_factory=list)

    def part(self, headers: Message, body: bytes, depth: int) -> list[_Text]:
        """The texts of a part, in order."""
        self.parts += 1
        if self.parts > MAX_PARTS:
            self.problems.append(f"It has more than {MAX_PARTS} parts; the others are not read.")
            return []
        kind = _content_type(headers)
        if kind.startswith("multipart/") and (boundary := _boundary(headers)):
            if depth >= MAX_DEPTH:
                self.problems.append(
                    f"Its parts are nested more than {MAX_DEPTH} deep; the inner ones are not read."
                )
                return []
            return self._several(kind, boundary, body, depth)
        if kind == "message/rfc822" and depth < MAX_DEPTH:
            inner, below = _split(_transferred(headers, body))
            return self.part(inner, below, depth + 1)
        if _is_attached(headers) or kind not in ("text/plain", "text/html"):
            if kind.startswith("multipart/"):
                kind = "text/plain"  # without a boundary it is one text
            else:
                self.attachments += 1
                return []
        return self._text("html" if kind == "text/html" else "plain", headers, body)

    def _several(self, kind: str, boundary: bytes, body: bytes, depth: int) -> list[_Text]:
        found: list[_Text] = []
        for piece in _pieces(body, boundary):
            if self.parts > MAX_PARTS:
                break
            texts = self.part(*_split(piece), depth + 1)
            if kind == "multipart/alternative" and any(k == "html" and t.strip() for k, t in texts):
                found = [each for each in found if each[0] == "plain"]
            found += texts
        return found

    def _text(self, kind: _Kind, headers: Message, body: bytes) -> list[_Text]:
        raw = _transferred(headers, body)
        if len(raw) > self.left:
            self.problems.append(
                f"Its text is longer than {MAX_TEXT // 1_000_000} MB; the end is not read."
            )
        raw = raw[: self.left]
        self.left -= len(raw)
        try:
            charset = str(headers.get_content_charset("") or "")
        except Exception:
            charset = ""
        return [(kind, _as_text(raw, charset).replace("\r\n", "\n").replace("\r", "\n"))]


def _pieces(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """What stands between the lines that a boundary makes; what is before the first is no part."""
    mark = b"--" + boundary
    at = 0 if body.startswith(mark) else _next(body, mark, 0)
    while at >= 0:
        after = at + len(mark)
        if body.startswith(b"--", after):
            return
        begins = body.find(b"\n", after)
        if begins < 0:
            return
        ends = _next(body, mark, begins)
        piece = body[begins + 1 : ends if ends >= 0 else len(body)]
        yield piece.removesuffix(b"\n").removesuffix(b"\r") if ends >= 0 else piece
        at = ends


def _next(body: bytes, mark: bytes, start: int) -> int:
    """Where the next line begins that the boundary makes; -1 for none."""
    at = start
    while (at := body.find(b"\n" + mark, at)) >= 0:
        rest = body[at + 1 + len(mark) : at + 200 + len(mark)].split(b"\n", 1)[0].strip()
        if rest in (b"", b"--"):
            return at + 1
        at += 1  # another boundary that only begins like this one
    return -1


def _content_type(headers: Message) -> str:
    try:
        return headers.get_content_type()
    except Exception:
        return "text/plain"


def _boundary(headers: Message) -> bytes:
    try:
        given = headers.get_boundary("")
    except Exception:
        return b""
    return str(given).strip().encode("utf-8", "surrogateescape")[:200] if given else b""


def _is_attached(headers: Message) -> bool:
    return _raw(headers, "Content-Disposition").strip().lower().startswith("attachment")


def _transferred(headers: Message, body: bytes) -> bytes:
    """The bytes of a part as they were before they were made fit for mail."""
    how = _raw(headers, "Content-Transfer-Encoding").strip().lower()
    if how == "quoted-printable":
        return quopri.decodestring(body[: MAX_TEXT * 3])
    if how == "base64":
        packed = re.sub(rb"[^A-Za-z0-9+/]", b"", body[: MAX_TEXT * 2])
        try:
            return base64.b64decode(packed[: len(packed) - len(packed) % 4] + _rest(packed))
        except (binascii.Error, ValueError):
            return b""
    return body


def _rest(packed: bytes) -> bytes:
    """The end of base64 that was cut off, filled up."""
    left = packed[len(packed) - len(packed) % 4 :]
    return left + b"=" * (4 - len(left)) if len(left) > 1 else b""


def _as_text(raw: bytes, charset: str) -> str:
    """The text of bytes in a charset; where that is wrong or unknown, UTF-8, else Windows' Latin-1."""
    for name in (charset.strip(" \"'"), "utf-8"):
        try:
            known = codecs.lookup(name).name
            if _CHARSETS.fullmatch(known) and (name == "utf-8" or known != "ascii"):
                return raw.decode(known, "strict" if name == "utf-8" else "replace")
        except (LookupError, UnicodeError, ValueError):
            continue
    return raw.decode("cp1252", "replace")
