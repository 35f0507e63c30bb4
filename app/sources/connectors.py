"""What a connector is: it asks one kind of service for what is new, and hands over bytes as they came.

A connector knows a service's addresses, pages and marks of progress, and nothing of the database:
whoever runs it stores each response before it goes on with the next, so that a fetch that was killed
goes on where it was. Reading the bytes is a reader's (base.py), the same as for a saved file.

A new service is one module and one line in `bootstrap.CONNECTORS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol
from urllib.parse import urlsplit

from app.domain.items import Ref
from app.domain.records import SourceKind
from app.errors import Invalid

FEED_BYTES = 10_000_000
FILE_BYTES = 100_000_000


@dataclass(frozen=True)
class Response:
    """An answer. `status` is 200, or 304 when nothing changed since `etag` or `modified`.

    `url` is where it came from, after redirects; `headers` have lower-case names; `data` is decoded.
    `moved`: where a redirect for good (301, 308) of the address asked leads, '' without one.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    data: bytes
    moved: str = ""


class Web(Protocol):
    """The one way out (sources/http.py): checked, bounded and polite."""

    def get(
        self,
        url: str,
        *,
        accept: str = "*/*",
        etag: str = "",
        modified: str = "",
        headers: Mapping[str, str] = {},
        limit: int = FEED_BYTES,
        spacing: float = 0.0,
    ) -> Response:
        """Ask for an address. Raises NotFetched, in words, for everything but 200 and 304.

        At most `limit` decoded bytes; `spacing` seconds at least between two requests to its host.
        """
        ...

    def dial(self, host: str, port: int) -> Any:
        """A connected socket to a checked address, for what is not HTTP. Raises NotFetched."""
        ...


@dataclass(frozen=True)
class Wanted:
    """What a connector is to bring.

    `cursor` is what it said last (Fetched.cursor), {} at first. `first` and `last` are ISO days,
    inclusive, of a back-fill; '' for what is new. `since` is the first day that a source which was
    never fetched brings (what is older is left where it is). `papers`: identifiers of the wiki's own
    papers, for a connector that `asks_about_papers`. `secret`: what it signs in with, from the settings.
    """

    url: str
    options: Mapping[str, Any]
    cursor: Mapping[str, Any]
    today: date
    first: str = ""
    last: str = ""
    since: str = ""
    papers: tuple[Ref, ...] = ()
    secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class Fetched:
    """One response to be kept and read as `format`. After it, the fetch goes on from `cursor`.

    Without `data` nothing is kept and the cursor alone moves on (nothing is new). `name` says in a few
    words which piece it is ("entries 101 to 200"). `seen` entries of `total` came so far.
    """

    cursor: Mapping[str, Any]
    data: bytes = b""
    format: str = ""
    name: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    seen: int = 0
    total: int | None = None
    moved: str = ""


@dataclass(frozen=True)
class Found:
    """A source that an address leads to, as it would be added. `key` is its identity: added once.

    `words` says what it brings in a sentence.
    """

    key: str
    connector: str
    url: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    words: str = ""


class Connector(Protocol):
    """A kind of service."""

    @property
    def name(self) -> str:
        """Its name in the database and on the command line: arxiv, feed, mail."""
        ...

    @property
    def kind(self) -> SourceKind: ...

    @property
    def every_minutes(self) -> int:
        """How often it is polite and useful to ask."""
        ...

    @property
    def options(self) -> Mapping[str, str]:
        """Its options with a sentence each, for forms and `cerebro sources add --option`."""
        ...

    def finds(self, text: str) -> Found | None:
        """The source that these words name ("cs.CL", "r/MachineLearning", an address it knows), unasked.

        None when it is not this connector's. Raises Invalid when it is, but not like that.
        """
        ...

    def fetch(self, web: Web, wanted: Wanted) -> Iterator[Fetched]:
        """Each response in order; the first request is not sent before the first is asked for.

        Raises NotFetched when the service does not answer; what was yielded before is kept.
        """
        ...


def check(connector: Connector, url: str, options: Mapping[str, Any]) -> None:
    """Raises Invalid for a source that this connector could not ask, as far as can be told unasked.

    A connector that knows more than that has a `check(url, options)` of its own.
    """
    if connector.kind is not SourceKind.MAIL:
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            known = False
        if not known:
            raise Invalid(f"{url[:80]!r} is no address on the web: it begins with https://.")
    own = getattr(connector, "check", None)
    if own is not None:
        own(url, options)
