"""Reddit: listings of posts that people vote on, as the site gives them as JSON.

A post that leads elsewhere gets no page: of it stays which papers it links or names, with its score and
its comments in the item's state. A post with words of its own becomes an article. Below the gate nobody
has judged a post yet: it is looked at again until it is two days old, and left out if it never passes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from app.domain.identifiers import parse_url
from app.domain.items import (
    Arrival,
    Bundle,
    Document,
    MentionArrival,
    PageArrival,
    Rejected,
    SourceRef,
)
from app.domain.records import PageKind, SourceKind
from app.domain.untrusted import cut, line
from app.errors import Invalid, NotFetched, Unreadable
from app.sources.base import File
from app.sources.connectors import FEED_BYTES, Fetched, Found, Wanted, Web
from app.sources.markup import to_markdown
from app.sources.named_papers import named, paper_of

SITE = "https://www.reddit.com"
LEAST_SCORE = 20  # of a source, unless its reader says otherwise
WAITS_DAYS = 2  # a post below the gate
MOST_PAGES = 10  # Reddit gives a thousand posts, a hundred each
_MOST_PENDING = 300
_PER_PAGE = 100
SORTS = ("hot", "new", "top", "rising")

# What a fetch writes among the headers of a listing: its source's gate.
GATE_SCORE, GATE_FLAIRS, GATE_UNWANTED = "x-least-score", "x-flairs", "x-unwanted-flairs"

_NAME = re.compile(r"[A-Za-z0-9_]{2,40}(?:\+[A-Za-z0-9_]{2,40}){0,20}")
_WORDS = re.compile(r"/?r/([^\s/]+)/?(?:(hot|new|top|rising)/?)?", re.I)
_PATH = re.compile(r"/r/([^/]+)/?(?:(hot|new|top|rising)/?)?(?:\.json)?", re.I)
_HOSTS = frozenset(["reddit.com", "www.reddit.com", "old.reddit.com", "new.reddit.com"])
_FULLNAME = re.compile(r"t3_[a-z0-9]{1,20}")
_GONE = frozenset(["[removed]", "[deleted]", "[deleted by user]"])


@dataclass(frozen=True)
class Gate:
    """Which posts are items: from which score on, of which flairs (none: all), and of which not."""

    score: int = 0
    flairs: frozenset[str] = frozenset()
    unwanted: frozenset[str] = frozenset()

    def why_not(self, score: int, flair: str) -> str:
        """Why a post does not pass, '' when it does."""
        folded = flair.casefold()
        if self.flairs and folded not in self.flairs:
            return "flair"
        if folded and folded in self.unwanted:
            return "flair"
        return "score" if score < self.score else ""


@dataclass(frozen=True)
class Reddit:
    """Reads a listing; each post that passes its gate is an item. A saved file has no gate."""

    format: str = "reddit"

    def recognises(self, file: File) -> bool:
        head = file.data[:3_000].lstrip(b"\xef\xbb\xbf \t\r\n[")
        return head.startswith(b"{") and re.search(rb'"kind"\s*:\s*"Listing"', head) is not None

    def read(self, file: File) -> Bundle:
        """Read the listing. Raises Unreadable for JSON that is none."""
        posts = posts_of(file)
        subreddits = {_text(post.get("subreddit")) for post in posts} - {""}
        name = f"r/{next(iter(subreddits))}" if len(subreddits) == 1 else "Reddit"
        key = f"reddit:{name.removeprefix('r/').lower()}" if len(subreddits) == 1 else "reddit"
        url = f"{SITE}/{name}" if len(subreddits) == 1 else SITE
        return Bundle(
            source=SourceRef(key=key, kind=SourceKind.FORUM, name=name, url=url),
            format=self.format,
            documents=_documents(posts, gate_of(file.headers), name, self.format),
        )


def posts_of(file: File) -> list[Mapping[str, Any]]:
    """The posts of a listing. Raises Unreadable when the file is none."""
    if len(file.data) > FEED_BYTES:
        raise Unreadable(f"{file.name} is larger than a listing can be (10 MB).")
    try:
        value = json.loads(file.text())
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{file.name} is not whole JSON.") from error
    value = value[0] if isinstance(value, list) and value else value  # a post with its comments
    data = value.get("data") if isinstance(value, dict) else None
    children = data.get("children") if isinstance(data, dict) else None
    if not isinstance(children, list):
        raise Unreadable(f"{file.name} is no listing of Reddit.")
    return [
        child["data"]
        for child in children
        if isinstance(child, dict)
        and child.get("kind") == "t3"
        and isinstance(child.get("data"), dict)
    ]


def gate_of(headers: Mapping[str, str]) -> Gate:
    """The gate that a fetch wrote beside its listing."""
    score = headers.get(GATE_SCORE, "")
    return Gate(
        score=int(score) if re.fullmatch(r"-?\d{1,7}", score) else 0,
        flairs=_flairs(headers.get(GATE_FLAIRS, "")),
        unwanted=_flairs(headers.get(GATE_UNWANTED, "")),
    )


def _flairs(text: object) -> frozenset[str]:
    names = text if isinstance(text, list) else str(text or "").split(",")
    return frozenset(name for each in names if (name := line(str(each)).casefold()))


def _documents(
    posts: list[Mapping[str, Any]], gate: Gate, source_name: str, format: str
) -> Iterator[Document | Rejected]:
    seen: set[str] = set()
    for number, post in enumerate(posts, start=1):
        key, title = _text(post.get("name")) or _text(post.get("id")), _title(post)
        where = cut(title, 80) or f"post {number}"
        if not key or not title:
            yield Rejected(where=where, reason="It has no id or no title.")
            continue
        if key in seen or gate.why_not(_count(post, "score"), _text(post.get("link_flair_text"))):
            continue
        seen.add(key)
        if _is_gone(post):
            yield Rejected(where=where, reason="It was removed or deleted there.")
            continue
        yield _document(post, key, title, source_name, format)


def _document(
    post: Mapping[str, Any], key: str, title: str, source_name: str, format: str
) -> Document:
    url, words = _permalink(post), _words(post)
    state: dict[str, Any] = {
        "score": _count(post, "score"),
        "comments": _count(post, "num_comments"),
    }
    if flair := cut(_text(post.get("link_flair_text")), 80):
        state["flair"] = flair
    said = "\0".join((title, _text(post.get("url")), words))
    return Document(
        source=SourceRef(key="reddit", kind=SourceKind.FORUM, name=source_name),
        key=key,
        format=format,
        title=title,
        url=url,
        published=_day(post),
        hash=sha256(said.encode("utf-8", "replace")).hexdigest(),
        state=state,
        arrivals=tuple(_arrivals(post, title, url, words, source_name)),
    )


def _arrivals(
    post: Mapping[str, Any], title: str, url: str, words: str, source_name: str
) -> Iterator[Arrival]:
    day = _day(post)
    if words and url:
        extra = {"source": source_name, "published": day, "authors": [_text(post.get("author"))]}
        yield PageArrival(
            ref=f"url:{url}", kind=PageKind.ARTICLE, title=title, text=words, extra=extra
        )
    found: dict[str, str] = {}
    if linked := paper_of(_text(post.get("url"))):
        found[linked] = title
    for each in named(f"{title}\n\n{words}"):
        found.setdefault(each.paper, each.sentence)
    for paper, sentence in found.items():
        yield MentionArrival(
            paper=paper, section=title, day=day, text=sentence, source_name=source_name
        )


def _text(value: object) -> str:
    return line(value) if isinstance(value, str) else ""


def _title(post: Mapping[str, Any]) -> str:
    title = post.get("title")
    plain = title if isinstance(title, str) else ""
    for name, sign in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        plain = plain.replace(name, sign)
    return cut(line(plain), 300)


def _words(post: Mapping[str, Any]) -> str:
    """A post's own words as Markdown: made from its HTML, which is what everybody sees of it."""
    html = post.get("selftext_html")
    if isinstance(html, str) and html.strip():
        if html.lstrip().startswith(
            ("&lt;", "&amp;lt;")
        ):  # as the site escapes it unless asked not to
            for name, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&amp;", "&")):  # fmt: skip
                html = html.replace(name, sign)
        return to_markdown(html, base=SITE)
    text = post.get("selftext")
    if not isinstance(text, str):
        return ""
    # Markdown of theirs: through HTML, so that nothing in it acts here.
    parts = re.split(r"\n\s*\n", text)
    linked = (re.sub(r"\[([^\[\]\n]{1,300})\]\((https?://[^\s()]{1,1000})\)", r'<a href="\2">\1</a>', _shut(part)) for part in parts)  # fmt: skip
    return to_markdown("".join(f"<p>{part}</p>" for part in linked if part.strip()), base=SITE)


def _shut(text: str) -> str:
    text = text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def _count(post: Mapping[str, Any], name: str) -> int:
    value = post.get(name)
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
    return int(value) if known else 0  # type: ignore[arg-type]


def _moment(post: Mapping[str, Any]) -> datetime | None:
    value = post.get("created_utc")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 4e9:
        return None
    return datetime.fromtimestamp(value, UTC)


def _day(post: Mapping[str, Any]) -> str:
    at = _moment(post)
    return at.date().isoformat() if at else ""


def _permalink(post: Mapping[str, Any]) -> str:
    path = _text(post.get("permalink"))
    url = f"{SITE}{path}" if path.startswith("/") else path
    return url if parse_url(url) is not None else ""


def _is_gone(post: Mapping[str, Any]) -> bool:
    if post.get("removed_by_category") or _text(post.get("selftext")) in _GONE:
        return True
    return _title(post) in _GONE or post.get("banned_by") is not None


# ---------------------------------------------------------------- fetching


@dataclass(frozen=True)
class RedditConnector:
    """Asks for the posts of a subreddit, and again for those that were below the gate."""

    name: str = "reddit"
    kind: SourceKind = SourceKind.FORUM
    every_minutes: int = 120
    options: Mapping[str, str] = field(
        default_factory=lambda: {
            "least_score": f"Posts from this score on ({LEAST_SCORE}).",
            "flairs": "Only posts with one of these flairs, with commas between.",
            "unwanted_flairs": "No posts with one of these flairs.",
            "sort": "new (all of them, the default), hot, top (of the week) or rising.",
        }
    )

    def finds(self, text: str) -> Found | None:
        """`r/MachineLearning`, or its address on reddit.com. Raises Invalid for a name that is none."""
        said = text.strip()
        match = _WORDS.fullmatch(said)
        if match is None:
            match = _in_address(said)
        if match is None:
            return None
        name = match[1]
        if not _NAME.fullmatch(name):
            raise Invalid(f"{cut(name, 60)!r} is no name of a subreddit: write r/MachineLearning.")
        sort = (match[2] or "").lower()
        return Found(
            key=f"reddit:{name.lower()}",
            connector=self.name,
            url=f"{SITE}/r/{name}",
            name=f"r/{name}",
            options={"sort": sort} if sort else {},
            words=f"Posts from a score of {LEAST_SCORE} on: the papers they link are mentioned.",
        )

    def fetch(self, web: Web, wanted: Wanted) -> Iterator[Fetched]:
        """Each page of the listing, then the posts that were below the gate and are not old yet."""
        filling = bool(wanted.first or wanted.last)
        gate = gate_of(_gate_headers(wanted.options))
        sort = str(wanted.options.get("sort") or "new").lower()
        sort = "new" if filling or sort not in SORTS else sort
        pending = _pending(wanted)
        last_seen = _number(wanted.cursor.get("newest"))
        newest = max(last_seen, _number(wanted.cursor.get("met")))
        waiting = dict(pending)  # from fetches before this one
        after, seen = _fullname(wanted.cursor.get("after")), 0
        for _ in range(MOST_PAGES if filling or sort == "new" else 1):
            asked = {"limit": _PER_PAGE, "raw_json": 1}
            url = _listing(wanted.url, sort, {**asked, **({"after": after} if after else {})})
            answer = web.get(url, accept="application/json")
            file = File("listing", answer.data, url=answer.url)
            posts, after = _posts_and_next(file, url)
            seen += len(posts)
            moments = [int(at.timestamp()) for post in posts if (at := _moment(post)) is not None]
            newest = max([newest, *moments])
            for post in posts:
                _note_pending(post, gate, pending)
                waiting.pop(_text(post.get("name")), None)  # this listing has it
            oldest = min(moments, default=0)
            day = datetime.fromtimestamp(oldest, UTC).date().isoformat() if oldest else ""
            bound = wanted.first if filling else wanted.since
            if not posts or (bound and day < bound) or (not filling and oldest <= last_seen):
                after = ""
            yield Fetched(
                cursor=_cursor(pending, last_seen if after else newest, after, newest),
                data=answer.data,
                format=self.name,
                name=f"{len(posts)} posts",
                url=answer.url,
                headers={**answer.headers, **_gate_headers(wanted.options)},
                seen=seen,
            )
            if not after:
                break
        if filling:
            return
        yield from self._again(web, wanted, pending, waiting, gate, newest)

    def _again(
        self,
        web: Web,
        wanted: Wanted,
        pending: dict[str, int],
        waiting: Mapping[str, int],
        gate: Gate,
        newest: int,
    ) -> Iterator[Fetched]:
        """What waits below the gate, asked for by name: a listing of new posts holds it no more."""
        names = sorted(waiting, key=lambda name: waiting[name])
        parts = urlsplit(wanted.url)
        for at in range(0, len(names), _PER_PAGE):
            some = names[at : at + _PER_PAGE]
            url = urlunsplit(
                (parts.scheme, parts.netloc, f"/by_id/{','.join(some)}.json", "raw_json=1", "")
            )
            try:
                answer = web.get(url, accept="application/json")
                posts, _ = _posts_and_next(File("posts", answer.data, url=answer.url), url)
            except NotFetched:
                return  # the new posts came; these are asked for next time
            for post in posts:
                if not gate.why_not(_count(post, "score"), _text(post.get("link_flair_text"))):
                    pending.pop(_text(post.get("name")), None)
            yield Fetched(
                cursor=_cursor(pending, newest, "", newest),
                data=answer.data,
                format=self.name,
                name=f"{len(posts)} posts again",
                url=answer.url,
                headers={**answer.headers, **_gate_headers(wanted.options)},
            )


def _in_address(said: str) -> re.Match[str] | None:
    try:
        parts = urlsplit(said if "://" in said else f"https://{said}")
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or (parts.hostname or "") not in _HOSTS:
        return None
    return _PATH.fullmatch(parts.path)


def _gate_headers(options: Mapping[str, Any]) -> dict[str, str]:
    score = options.get("least_score")
    said = str(score).strip() if score is not None else ""
    return {
        GATE_SCORE: said if re.fullmatch(r"-?\d{1,7}", said) else str(LEAST_SCORE),
        GATE_FLAIRS: ",".join(sorted(_flairs(options.get("flairs")))),
        GATE_UNWANTED: ",".join(sorted(_flairs(options.get("unwanted_flairs")))),
    }


def _listing(url: str, sort: str, asked: Mapping[str, object]) -> str:
    parts = urlsplit(url)
    if sort == "top":
        asked = {**asked, "t": "week"}
    path = f"{parts.path.rstrip('/')}/{sort}.json"
    return urlunsplit((parts.scheme, parts.netloc, path, urlencode(asked), ""))


def _posts_and_next(file: File, url: str) -> tuple[list[Mapping[str, Any]], str]:
    try:
        posts = posts_of(file)
    except Unreadable as error:
        raise NotFetched(f"{url} answers with something else than a listing of posts.") from error
    value = json.loads(file.text())
    data = value.get("data") if isinstance(value, dict) else None
    after = _text(data.get("after")) if isinstance(data, dict) else ""
    return posts, _fullname(after)


def _fullname(value: object) -> str:
    """A post's name as Reddit's addresses have it, '' for anything else."""
    return value if isinstance(value, str) and _FULLNAME.fullmatch(value) else ""


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float) and 0 <= value < 4e9 else 0


def _pending(wanted: Wanted) -> dict[str, int]:
    """Names of posts that wait below the gate, with when they were written; the old ones are given up."""
    given = wanted.cursor.get("pending")
    oldest = datetime(wanted.today.year, wanted.today.month, wanted.today.day, tzinfo=UTC)
    bound = int((oldest - timedelta(days=WAITS_DAYS)).timestamp())
    return {
        name: at
        for name, at in (given.items() if isinstance(given, Mapping) else ())
        if _fullname(name) and _number(at) >= bound
    }


def _note_pending(post: Mapping[str, Any], gate: Gate, pending: dict[str, int]) -> None:
    name, at = _text(post.get("name")), _moment(post)
    if not _fullname(name) or at is None:
        return
    if gate.why_not(_count(post, "score"), _text(post.get("link_flair_text"))) != "score":
        pending.pop(name, None)
    elif len(pending) < _MOST_PENDING and not _is_gone(post):
        pending[name] = int(at.timestamp())


def _cursor(pending: Mapping[str, int], newest: int, after: str, met: int) -> dict[str, Any]:
    cursor: dict[str, Any] = {"newest": newest, "pending": dict(pending)}
    if after:
        cursor |= {"after": after, "met": met}
    return cursor
