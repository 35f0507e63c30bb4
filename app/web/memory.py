"""What was worked out of the wiki, kept in this process until the wiki changes.

Counts over everything and the HTML of texts cost more than the page they stand on. Nothing here is
ever served stale: what is kept is kept under the database's own counters of changes (`store.db`),
which every process raises, and which are read first in each request.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from hashlib import sha256
from threading import Lock
from typing import Any, TypeVar, cast

from markupsafe import Markup
from sqlmodel import Session

from app.domain.live_claims import Claim, Filled
from app.rendering import Fill, LinkTarget, Rendered, Resolve, render_body
from app.store import live_claims
from app.store.db import COUNTED, SHOWN, generations, rows_of

MOST_FACTS = 4_000
MOST_BYTES = 32_000_000  # of rendered texts
MOST_FRAGMENTS = 8_000_000  # bytes
Found = TypeVar("Found")


def changes(session: Session, *tables: str) -> tuple[int, ...] | None:
    """How often the wiki had changed, or these tables, when this session began to read.

    None for a session that writes: what it sees is nobody else's yet, and must not be kept.
    """
    if session.get_bind().get_execution_options().get("write"):
        return None
    if SHOWN not in session.info:
        session.info[SHOWN] = generations(session)
    counted: dict[str, int] = session.info[SHOWN]
    assert COUNTED.issuperset(tables), tables
    names = [rows_of(table) for table in tables] or [SHOWN]
    return tuple(counted.get(name, 0) for name in names)


class Sent:
    """Forms that were sent, by the name that each had when it was shown."""

    def __init__(self, most: int = 500) -> None:
        self._most = most
        self._lock = Lock()
        self._known: OrderedDict[Hashable, None] = OrderedDict()

    def again(self, name: str, *fields: object) -> bool:
        """Whether the form of this name was sent before with these fields; "" is no name."""
        key = name, sha256(repr(fields).encode()).digest()
        with self._lock:
            known = bool(name) and key in self._known
            self._known[key] = None
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return known


class Facts:
    """Values by key, each made anew when a table that it is counted over was written into."""

    def __init__(self, most: int = MOST_FACTS) -> None:
        self._most = most
        self._lock = Lock()
        self._known: OrderedDict[Hashable, tuple[tuple[int, ...], Any]] = OrderedDict()

    def get(
        self, session: Session, key: Hashable, make: Callable[[], Found], *, of: tuple[str, ...]
    ) -> Found:
        """The value of `key`, counted over the tables `of`; by `make` when it is not known."""
        stands = changes(session, *of)
        if stands is None:
            return make()
        with self._lock:
            known = self._known.get(key)
            if known is not None and known[0] == stands:
                self._known.move_to_end(key)
                return cast(Found, known[1])
        made = make()
        with self._lock:
            self._known[key] = (stands, made)
            self._known.move_to_end(key)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return made


class Bodies:
    """The HTML of page texts, by page and version, as long as their links lead where they led, and
    their live claims say what they said.

    When a page or a name has changed, a text is compared and its links are looked up anew, which
    costs a tenth of writing it out; where it has live claims, they are counted anew when a table that
    they are counted over has changed. Bounded in bytes; what was not shown for longest goes first.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._lock = Lock()
        self._size = 0
        self._kept: OrderedDict[tuple[int, int], _Kept] = OrderedDict()

    def get(
        self,
        session: Session,
        page: tuple[int, int],
        read: Callable[[], str],
        resolve: Resolve,
        fill: Fill | None = None,
    ) -> Rendered:
        """The text of a page (its id and version) as HTML. `read` gives the text when it is needed."""
        plain = changes(session, "alias", "page")
        counted = changes(session, *live_claims.TABLES)
        with self._lock:
            kept = self._kept.get(page)
            if kept is not None:
                self._kept.move_to_end(page)
                if kept.stands == (counted if kept.claims else plain):
                    return kept.rendered
        body = read()
        digest = sha256(body.encode()).digest()
        if (
            kept is None
            or kept.digest != digest
            or kept.leads != _led(kept.leads, resolve)
            or (kept.claims and fill and kept.claims != dict(fill(list(kept.claims))))
        ):
            claims: dict[Claim, Filled] = {}
            leads: dict[str, LinkTarget | None] = {}

            def noting(keys: Collection[str]) -> Mapping[str, LinkTarget]:
                found = resolve(keys)
                leads.update({key: found.get(key) for key in keys})
                return found

            def counting(wanted: Collection[Claim]) -> Mapping[Claim, Filled]:
                claims.update(fill(wanted) if fill else {})
                return claims

            rendered = render_body(body, noting, counting if fill else None)
            kept = _Kept(digest, leads, claims, rendered, None)
        stands = counted if kept.claims else plain
        if stands is not None:
            self._keep(page, _Kept(digest, kept.leads, kept.claims, kept.rendered, stands))
        return kept.rendered

    def _keep(self, page: tuple[int, int], made: _Kept) -> None:
        with self._lock:
            before = self._kept.pop(page, None)
            self._size += made.size - (before.size if before else 0)
            self._kept[page] = made
            while self._size > self._most and self._kept:
                _, gone = self._kept.popitem(last=False)
                self._size -= gone.size


class Fragments:
    """Parts of screens as HTML, by all that is written in them: so that none can be stale."""

    def __init__(self, most: int = MOST_FRAGMENTS) -> None:
        self._most = most
        self._lock = Lock()
        self._size = 0
        self._kept: OrderedDict[Hashable, Markup] = OrderedDict()

    def get(self, content: Hashable, write: Callable[[], str]) -> Markup:
        """What `write` makes of `content`, which must name everything that it depends on."""
        with self._lock:
            if content in self._kept:
                self._kept.move_to_end(content)
                return self._kept[content]
        made = Markup(write())
        with self._lock:
            self._size += 4 * len(made) - 4 * len(self._kept.pop(content, ""))
            self._kept[content] = made
            while self._size > self._most:
                self._size -= 4 * len(self._kept.popitem(last=False)[1])
        return made


class _Kept:
    """A rendered text: the hash of its source, where its links led, what its claims said, and when."""

    __slots__ = ("claims", "digest", "leads", "rendered", "size", "stands")

    def __init__(
        self,
        digest: bytes,
        leads: dict[str, LinkTarget | None],
        claims: dict[Claim, Filled],
        rendered: Rendered,
        stands: tuple[int, ...] | None,
    ) -> None:
        self.digest, self.leads, self.claims = digest, leads, claims
        self.rendered, self.stands = rendered, stands
        # A character of text takes up to four bytes; a link, a heading about three hundred.
        parts = len(leads) + 4 * len(claims) + len(rendered.contents)
        self.size = 4 * len(rendered.html) + 300 * parts + 500


def _led(leads: dict[str, LinkTarget | None], resolve: Resolve) -> dict[str, LinkTarget | None]:
    found = resolve(list(leads)) if leads else {}
    return {key: found.get(key) for key in leads}
