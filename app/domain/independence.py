"""Which of the places that a paper was met in are independent of each other. Pure.

The listing of an archive is one source, by whichever of its services it came. Two feeds of one site
are one, and so are a feed and the newsletter of the same name. What the reader asked for or keeps
themselves (files, a bibliography, an index of papers) is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.domain.records import SourceKind

LISTED = "arXiv listing"
DAILY_PAPERS = "Hugging Face daily papers"
OPENREVIEW = "OpenReview"

_OWN = (SourceKind.FILE, SourceKind.LIBRARY)
_FORMATS = {"hf-daily": DAILY_PAPERS, "openreview": OPENREVIEW}
_HOSTS = {"arxiv.org": LISTED, "huggingface.co": DAILY_PAPERS, "openreview.net": OPENREVIEW}
_PREFIXES = re.compile(
    r"(?:(?:www|m|old|feeds?|rss|blog|news|newsletter|export|api\d?)\.)+(?=[^.]+\.)"
)
# Where many publish under one host: the next part of the address says who.
_SHARED = re.compile(
    r"medium\.com|github\.io|github\.com|gitlab\.io|youtube\.com|feedburner\.com|megaphone\.fm|libsyn\.com"
    r"|simplecast\.com|transistor\.fm|buzzsprout\.com|art19\.com|acast\.com|anchor\.fm|podbean\.com"
    r"|soundcloud\.com|spreaker\.com|captivate\.fm|buttondown\.(?:com|email)|linkedin\.com|mastodon\.social"
    r"|bsky\.app|kill-the-newsletter\.com|google\.com|feedpress\.com|omnycontent\.com"
)


@dataclass(frozen=True)
class Met:
    """One place that a paper was met in.

    `name` and `kind` are its source's, `format` the item's; `address` is where the item stands,
    `site` where the source is; '' for what is not known.
    """

    name: str
    kind: SourceKind
    format: str = ""
    address: str = ""
    site: str = ""


def independent(places: Iterable[Met]) -> list[str]:
    """The names of the independent sources among these, each once, in their order."""
    groups: list[_Group] = []
    for met in places:
        name, sites = _who(met)
        if not name:
            continue
        mine = _Group(name, set(sites), {_key(name)})
        same = [group for group in groups if group.is_one_with(mine)]
        if not same:
            groups.append(mine)
            continue
        for other in (mine, *same[1:]):
            same[0].sites |= other.sites
            same[0].names |= other.names
        groups = [group for group in groups if group not in same[1:]]
    return [group.name for group in groups]


@dataclass(eq=False)
class _Group:
    """Places that are one source."""

    name: str
    sites: set[str]
    names: set[str]

    def is_one_with(self, other: _Group) -> bool:
        """They share a site; or a name, where one of them has no site."""
        if self.sites and other.sites:
            return bool(self.sites & other.sites)
        return bool(self.names & other.names)


def site_of(address: str) -> str:
    """Whose site an address is on: its host without the parts that name a service; '' for none."""
    try:
        parts = urlsplit(address)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return ""
    host = _PREFIXES.sub("", host, count=1) if not host.replace(".", "").isdigit() else host
    if not host:
        return ""
    shared = ".".join(host.split(".")[-2:])
    if _SHARED.fullmatch(shared):
        own = host.removesuffix(shared).rstrip(".")
        first = parts.path.strip("/").split("/")[0] if not own else ""
        first = (
            parts.path.strip("/") + parts.query
            if first in ("feeds", "feed", "s", "public")
            else first
        )
        return f"{host}/{first}".rstrip("/").lower()
    return f"{host}:{port}" if port and port not in (80, 443) else host


def _who(met: Met) -> tuple[str, list[str]]:
    """The name of a place's source and the sites that it is on; ('', []) for none of its own."""
    if met.kind in _OWN:
        return "", []
    fixed = _FORMATS.get(met.format, "")
    if met.kind == SourceKind.INDEX and not fixed:
        return "", []  # asked about the papers that are here
    if met.kind == SourceKind.LISTING and not fixed:
        fixed = LISTED
    sites = [site for site in (site_of(met.site), site_of(met.address)) if site]
    fixed = fixed or _HOSTS.get(site_of(met.site), "")
    if fixed:
        return fixed, [fixed]
    # An entry may lead to the paper itself: that is nobody's site.
    own = [site for site in sites if site not in _HOSTS and site != "doi.org"]
    if met.kind == SourceKind.FORUM:
        own = own[:1]  # a post is the forum's, wherever it leads
    if met.kind == SourceKind.WEB:  # what was pasted in has one source for all; its site wrote it
        return own[0] if own else "", own
    return met.name, own


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())
