"""What may be asked: how an address is written, where it leads, and what is nobody's to fetch.

Everything that comes in names addresses: feeds, redirects, pages, mail. None of them may make this
machine ask itself or its neighbours. So an address has one spelling only, which every part reads
alike, and the places a name leads to are looked at where the connection is made (http.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import quote, urljoin

import idna

from app.errors import NotFetched

LONGEST = 8_000  # characters of an address
PORTS = {"http": 80, "https": 443}

_PARTS = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(?::([0-9]{1,5})?)?", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Signs that two programs read in two ways, or that would end a line of the request.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")
_AS_IT_IS = "!$%&'()*+,/:;=?@[]~|"


@dataclass(frozen=True)
class Target:
    """An address taken apart. `host` is in lower case and ASCII, without brackets; `path` has its query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        """Host and port as they stand in an address, the usual port left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.path}"


def target_of(url: str) -> Target:
    """Take an address apart. Raises NotFetched, for good, for every spelling but the plain one."""
    text = url.strip(" ")
    _check_signs(text)
    parts = _PARTS.fullmatch(text)
    if parts is None:
        named = _SCHEME.match(text)
        if named and named[0].lower() not in ("http:", "https:"):
            raise refused(f"Only http and https are fetched, not {named[0][:20]} addresses.")
        raise refused(
            f"{_shown(text)} is no address. Use one such as https://example.org/feed.xml."
        )
    scheme, authority = parts[1].lower(), parts[2]
    if "@" in authority:
        raise refused("An address with a user or a password in it is not fetched. Take that out.")
    split = _AUTHORITY.fullmatch(authority)
    port = int(split[2]) if split and split[2] else PORTS[scheme]
    if split is None or not 0 < port < 65536:
        raise refused(f"{_shown(text)} names no host that can be asked.")
    path = quote((parts[3] or "/") + (parts[4] or ""), safe=_AS_IT_IS)
    return Target(scheme, host_of(split[1]), port, path)


def joined(base: Target, location: str, *, by: Target) -> Target:
    """Where a redirect of `base` leads. Raises NotFetched as `target_of` does, but not for good:
    the address that was asked for, `by`, may lead elsewhere another time.
    """
    text = location.strip(" ")
    try:
        _check_signs(text)
        return target_of(urljoin(base.url, text))
    except ValueError:
        raise NotFetched(f"{by.netloc} sends on to {_shown(text)}, which is no address.") from None
    except NotFetched as error:
        raise NotFetched(f"{by.netloc} sends on to what is not fetched. {error}") from None


def host_of(text: str) -> str:
    """A host in its one spelling. Raises NotFetched for another spelling of an address of four numbers,
    a dot at the end, and names that no name server would know.
    """
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1]))
        except ValueError:
            raise refused(f"{_shown(text)} is no IPv6 address.") from None
    host = text.lower()
    if not host.isascii():
        # Strictly: a full-width digit or dot is no other way to write 127.0.0.1.
        try:
            host = idna.encode(host, strict=True).decode("ascii")
        except (idna.IDNAError, UnicodeError, ValueError):
            raise refused(f"{_shown(text)} is no name a host can have.") from None
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise refused(
                f"{_shown(text)} is another spelling of an address of four numbers. Write it plainly."
            ) from None
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise refused(f"{_shown(text)} is no name a host can have.")
    return host


# Names that stand for this machine or its neighbours wherever they are asked for (RFC 6761, 6762,
# 8375, and the one that is kept for private use). A name of one part is completed by the resolver.
_LOCAL = ("localhost", "local", "localdomain", "internal", "home.arpa")


def is_numeric(host: str) -> bool:
    """Whether a host (in its one spelling) is an address already, and no name."""
    return ":" in host or host.rpartition(".")[2].isdecimal()


def is_local(host: str) -> bool:
    """Whether a host is a name of the local network, whatever it leads to."""
    if is_numeric(host):
        return False
    return "." not in host or any(host.endswith(f".{name}") for name in _LOCAL)


# The registries of special addresses (RFC 6890 and what followed), written out: what Python knows of
# them differs from version to version. Of IPv6 only what was ever given out is public (2000::/3).
_SPECIAL = tuple(
    map(
        ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
            *(
                "172.16.0.0/12",
                "192.0.0.0/24",
                "192.0.2.0/24",
                "192.31.196.0/24",
                "192.52.193.0/24",
            ),
            *("192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
            "168.63.129.16/32",  # what Azure answers its own machines at
            *("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
        ),
    )
)
_GIVEN_OUT = ip_network("2000::/3")


def is_public(address: str) -> bool:
    """Whether an address, as numbers, is one of the open internet. False for what is no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and (found.scope_id or found not in _GIVEN_OUT):
        return False  # with these go ::1, fc00::/7, fe80::/10, ff00::/8, ::ffff:0:0/96 and 64:ff9b::/96
    return found.is_global and not any(found in network for network in _SPECIAL)


def in_turn(addresses: Sequence[str]) -> list[str]:
    """The addresses to try, the first of each family first: one family may lead nowhere from here."""
    known = list(dict.fromkeys(addresses))
    first = {":" in address: address for address in reversed(known)}
    ahead = sorted(first.values(), key=known.index)
    return [*ahead, *(address for address in known if address not in ahead)]


def refused(why: str) -> NotFetched:
    """An address that is not asked, now or later."""
    return NotFetched(why, again=False)


def _check_signs(text: str) -> None:
    if len(text) > LONGEST:
        raise refused(f"An address of more than {LONGEST:,} characters is not fetched.")
    if _FORBIDDEN.search(text):
        raise refused("An address with a backslash or a control character in it is not fetched.")


def _shown(text: str) -> str:
    """What was given, short, and without a query: it may hold a key."""
    plain = "".join(sign if sign.isprintable() else "\ufffd" for sign in text.partition("?")[0])
    return repr(plain if len(plain) <= 80 else f"{plain[:79]}…")
