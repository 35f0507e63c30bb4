"""Listings of posts: what becomes of each, the gate, and asking again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from app.bootstrap import READERS
from app.domain.items import Document, MentionArrival, PageArrival, Rejected
from app.errors import Invalid, NotFetched, Unreadable
from app.sources.base import File, reader_for
from app.sources.connectors import Fetched, Wanted
from app.sources.http import Transport
from app.sources.reddit import (
    GATE_FLAIRS,
    GATE_SCORE,
    GATE_UNWANTED,
    LEAST_SCORE,
    MOST_PAGES,
    Reddit,
    RedditConnector,
)
from tests.servers.pages import Page, Site

TODAY = date(2026, 5, 8)


def post(number: int = 1, *, hours: float = 24, **facts: Any) -> dict[str, Any]:
    """A post of so many hours before the end of the day."""
    at = datetime(2026, 5, 8, 20, tzinfo=UTC) - timedelta(hours=hours)
    return {
        "kind": "t3",
        "data": {
            "name": f"t3_{number}",
            "id": str(number),
            "subreddit": "Maps",
            "title": f"Post {number}",
            "selftext": "",
            "url": f"https://else.example/{number}",
            "permalink": f"/r/Maps/comments/{number}/post/",
            "score": 100,
            "num_comments": 7,
            "created_utc": at.timestamp(),
            "author": "ada",
            "link_flair_text": "Research",
            **facts,
        },
    }


def listing(*posts: Any, after: str | None = None) -> bytes:
    return json.dumps({"kind": "Listing", "data": {"after": after, "children": posts}}).encode()


def documents(*posts: Any, **headers: str) -> list[Document | Rejected]:
    return list(Reddit().read(File("r.json", listing(*posts), headers=headers)).documents)


def only(*posts: Any, **headers: str) -> Document:
    (document,) = documents(*posts, **headers)
    assert isinstance(document, Document)
    return document


def papers(document: Document) -> list[str]:
    return [each.paper for each in document.arrivals if isinstance(each, MentionArrival)]


# ---------------------------------------------------------------- posts


def test_a_post_that_links_a_paper_is_a_mention_with_its_score() -> None:
    document = only(post(url="https://arxiv.org/pdf/2605.00001v2"))

    (mention,) = document.arrivals
    assert isinstance(mention, MentionArrival)
    assert (mention.paper, mention.day, mention.source_name) == (
        "arxiv:2605.00001v2",
        "2026-05-07",
        "r/Maps",
    )
    assert mention.text == "Post 1"
    assert document.state == {"score": 100, "comments": 7, "flair": "Research"}
    assert (document.key, document.published) == ("t3_1", "2026-05-07")
    assert document.url == "https://www.reddit.com/r/Maps/comments/1/post/"


def test_a_post_that_leads_elsewhere_gets_no_page() -> None:
    assert not list(only(post()).arrivals)


@pytest.mark.parametrize(
    "facts",
    [
        {"selftext": "We read [it](https://arxiv.org/abs/2605.00001). <script>x</script> [[Secret]]"},
        {"selftext_html": '<div class="md"><p>We read <a href="https://arxiv.org/abs/2605.00001">it</a>.</p><script>x</script><p>[[Secret]]</p></div>'},
        {"selftext_html": '&lt;div class="md"&gt;&lt;p&gt;We read &lt;a href="https://arxiv.org/abs/2605.00001"&gt;it&lt;/a&gt;. [[Secret]]&lt;/p&gt;&lt;/div&gt;'},
    ],
)  # fmt: skip
def test_a_post_with_words_of_its_own_is_an_article_in_which_nothing_acts(
    facts: dict[str, str],
) -> None:
    document = only(post(**facts))

    page, mention = document.arrivals
    assert isinstance(page, PageArrival) and isinstance(mention, MentionArrival)
    assert page.ref == "url:https://www.reddit.com/r/Maps/comments/1/post/"
    assert page.text.startswith("We read [it](https://arxiv.org/abs/2605.00001).")
    assert "[[Secret" not in page.text and not re.search(r"(?<!\\)<script", page.text)
    assert mention.paper == "arxiv:2605.00001"


def test_a_score_changes_no_post_and_its_words_do() -> None:
    before, liked, edited = (only(post(**facts)) for facts in ({}, {"score": 900, "num_comments": 80}, {"selftext": "x"}))  # fmt: skip

    assert before.hash == liked.hash != edited.hash
    assert liked.state["score"] == 900


@pytest.mark.parametrize(
    "facts",
    [{"selftext": "[removed]"}, {"selftext": "[deleted]"}, {"removed_by_category": "moderator"},
     {"title": "[deleted by user]"}],
)  # fmt: skip
def test_a_post_that_was_removed_is_left_out_in_words(facts: dict[str, str]) -> None:
    gone, there = documents(post(1, **facts), post(2))

    assert isinstance(gone, Rejected) and "removed or deleted" in gone.reason
    assert isinstance(there, Document)


def test_the_gate_leaves_out_low_scores_and_unwanted_flairs() -> None:
    posts = [
        post(1, score=19), post(2, score=20), post(3, link_flair_text="Meme"),
        post(4, link_flair_text="News"), post(5, link_flair_text=None),
    ]  # fmt: skip

    def keys(**headers: str) -> list[str]:
        return [each.key for each in documents(*posts, **headers) if isinstance(each, Document)]

    assert keys(**{GATE_SCORE: "20"}) == ["t3_2", "t3_3", "t3_4", "t3_5"]
    assert keys(**{GATE_FLAIRS: "news,research"}) == ["t3_1", "t3_2", "t3_4"]
    assert keys(**{GATE_UNWANTED: "meme"}) == ["t3_1", "t3_2", "t3_4", "t3_5"]
    assert len(keys()) == 5  # a saved file has none


def test_a_post_page_and_a_listing_are_recognised_and_other_json_is_not() -> None:
    page = b"[" + listing(post()) + b"," + listing() + b"]"

    assert reader_for(File("a", listing(post())), READERS).format == "reddit"
    assert reader_for(File("a", page), READERS).format == "reddit"
    assert len(list(Reddit().read(File("a", page)).documents)) == 1
    assert not Reddit().recognises(File("a", b'{"kind": "List", "data": {}}'))


def test_odd_posts_are_rejected_or_read_and_never_raise() -> None:
    odd: list[Any] = [
        None, 5, {"kind": "t1", "data": {}}, {"kind": "t3", "data": None}, {"kind": "t3", "data": {}},
        post(2, score="many", created_utc="soon", permalink=5, title="\u202eOdd\n title", url=None),
        post(3, created_utc=1e300), post(4, created_utc=-5), post(2), post(5, score=1e300, selftext=7),
    ]  # fmt: skip

    found = documents(*odd)
    told = [each for each in found if isinstance(each, Document)]

    assert [each.key for each in told] == ["t3_2", "t3_3", "t3_4", "t3_5"]
    assert told[0].title == "Odd title" and told[0].published == "" and told[0].state["score"] == 0
    assert [type(each) for each in found].count(Rejected) == 1
    for each in told:
        list(each.arrivals)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"kind": "Listing"}', b'{"kind": "Listing", "data": {"children": 5}}', b"[" * 99_999, b"<html>"]
)  # fmt: skip
def test_what_is_no_listing_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        Reddit().read(File("r.json", data))


# ---------------------------------------------------------------- finding


@pytest.mark.parametrize(
    ("text", "url", "sort"),
    [
        ("r/Maps", "https://www.reddit.com/r/Maps", ""),
        ("/r/maps/", "https://www.reddit.com/r/maps", ""),
        ("r/a1+b2", "https://www.reddit.com/r/a1+b2", ""),
        ("https://old.reddit.com/r/Maps/top/", "https://www.reddit.com/r/Maps", "top"),
        ("reddit.com/r/Maps", "https://www.reddit.com/r/Maps", ""),
    ],
)
def test_a_subreddit_is_found_by_its_name_or_address(text: str, url: str, sort: str) -> None:
    found = RedditConnector().finds(text)

    assert found is not None
    assert (found.url, found.options.get("sort", "")) == (url, sort)
    assert found.key == f"reddit:{url.rpartition('/')[2].lower()}"


@pytest.mark.parametrize(
    "text", ["cs.CL", "https://www.reddit.com/", "https://www.reddit.com/r/Maps/.rss", "https://reddit.com.evil.example/r/Maps", "https://www.reddit.com/r/Maps/comments/1/post/", "maps", "https://[::1"]
)  # fmt: skip
def test_other_words_are_not_reddits(text: str) -> None:
    assert RedditConnector().finds(text) is None


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(Invalid, match="no name of a subreddit"):
        RedditConnector().finds("r/<script>")


# ---------------------------------------------------------------- fetching


@pytest.fixture
def site() -> Iterator[Site]:
    with Site({}) as made:
        yield made


def fetch(site: Site, **wanted: object) -> list[Fetched]:
    facts = {"url": site.at("/r/Maps"), "options": {}, "cursor": {}, "today": TODAY, **wanted}
    web = Transport(allow={site.pair})
    return list(RedditConnector().fetch(web, Wanted(**facts)))  # type: ignore[arg-type]


def answer(*posts: Any, after: str | None = None) -> Page:
    return Page(listing(*posts, after=after), kind="application/json")


def items(fetched: Fetched) -> list[str]:
    """What the reader makes of a delivery."""
    file = File(fetched.name, fetched.data, url=fetched.url, headers=fetched.headers)
    return [each.key for each in Reddit().read(file).documents if isinstance(each, Document)]


def test_new_posts_are_brought_with_the_gate_they_are_to_pass(site: Site) -> None:
    site.pages["/r/Maps/new.json"] = answer(
        post(2, score=50), post(1, score=LEAST_SCORE - 1, hours=80)
    )

    (default,) = fetch(site)
    (strict,) = fetch(site, options={"least_score": "60"})
    (loose,) = fetch(site, options={"least_score": 0, "unwanted_flairs": "Meme"})

    assert (items(default), items(strict), items(loose)) == (["t3_2"], [], ["t3_2", "t3_1"])
    assert default.headers[GATE_SCORE] == str(LEAST_SCORE)
    assert "limit=100" in site.paths[0]


def test_a_post_below_the_gate_is_looked_at_again_until_it_passes(site: Site) -> None:
    site.pages["/r/Maps/new.json"] = answer(post(1, score=3, hours=20))
    (first,) = fetch(site)
    site.pages["/r/Maps/new.json"] = answer(post(2, score=50, hours=2))
    site.pages["/by_id/t3_1.json"] = answer(post(1, score=300, hours=20))

    new, later = fetch(site, cursor=first.cursor)
    last = fetch(site, cursor=later.cursor)

    assert items(first) == []
    assert (items(new), items(later)) == (["t3_2"], ["t3_1"])
    assert len(last) == 1 and later.cursor["pending"] == {}


def test_a_post_that_never_passes_is_given_up_after_two_days(site: Site) -> None:
    site.pages["/r/Maps/new.json"] = answer(post(1, score=3, hours=20))
    site.pages["/by_id/t3_1.json"] = answer(post(1, score=4, hours=20))
    cursor = fetch(site)[-1].cursor
    site.pages["/r/Maps/new.json"] = answer()

    waits = fetch(site, cursor=cursor, today=date(2026, 5, 9))
    given_up = fetch(site, cursor=cursor, today=date(2026, 5, 11))

    assert len(waits) == 2 and len(given_up) == 1
    assert given_up[0].cursor["pending"] == {}


def test_older_pages_are_followed_to_what_was_seen_and_each_is_kept_on_its_own(site: Site) -> None:
    site.pages["/r/Maps/new.json"] = answer(post(4, hours=1), post(3, hours=2), after="t3_3")
    site.pages["/r/Maps/new.json?limit=100&raw_json=1&after=t3_3"] = answer(
        post(2, hours=3), post(1, hours=4), after="t3_1"
    )
    site.pages["/r/Maps/new.json?limit=100&raw_json=1&after=t3_1"] = answer(post(0, hours=5))

    whole = fetch(site)
    after_a_kill = fetch(site, cursor=whole[0].cursor)
    site.pages["/r/Maps/new.json"] = answer(post(5, hours=0.5), post(4, hours=1), after="t3_4")
    next_time = fetch(site, cursor=whole[-1].cursor)

    assert [items(each) for each in whole] == [["t3_4", "t3_3"], ["t3_2", "t3_1"], ["t3_0"]]
    assert [items(each) for each in after_a_kill] == [["t3_2", "t3_1"], ["t3_0"]]
    assert after_a_kill[-1].cursor == whole[-1].cursor
    assert len(next_time) == 1


def test_a_first_fetch_ends_at_its_first_day_and_pages_without_end_do_too(site: Site) -> None:
    site.pages["/r/Maps/new.json"] = answer(post(1, hours=30), after="t3_1")

    assert len(fetch(site, since="2026-05-08")) == 1
    assert len(fetch(site, since="2020-01-01")) == MOST_PAGES


def test_posts_that_cannot_be_asked_for_by_name_keep_no_new_one_back(site: Site) -> None:
    site.pages["/r/Maps/new.json"] = answer(post(1, score=3, hours=20))
    cursor = fetch(site)[-1].cursor
    site.pages["/r/Maps/new.json"] = answer(post(2, score=50, hours=2))

    (fetched,) = fetch(site, cursor=cursor)

    assert items(fetched) == ["t3_2"]
    assert "t3_1" in fetched.cursor["pending"]


def test_what_is_no_listing_is_not_kept(site: Site) -> None:
    site.pages["/r/Maps/new.json"] = Page(b"<html>Sign in</html>", kind="text/html")

    with pytest.raises(NotFetched, match="something else than a listing"):
        fetch(site)


def test_a_name_in_the_cursor_that_is_none_is_never_asked_for(site: Site) -> None:
    site.pages["/r/Maps/new.json"] = answer()
    cursor = {
        "pending": {"../../admin?x=": 1778270400, "t3_1": "soon"},
        "after": "/../x",
        "newest": "x",
    }

    assert len(fetch(site, cursor=cursor)) == 1
    assert all("admin" not in path and ".." not in path for path in site.paths)
