"""What some words or an address lead to, on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.bootstrap import CONNECTORS, READERS
from app.errors import Invalid, NotFetched
from app.sources.connectors import Found
from app.sources.discovery import WELL_KNOWN, alternates, discover, subscription
from app.sources.http import Transport
from tests.servers.pages import Page, Site

RSS = (
    '<?xml version="1.0"?><rss version="2.0"><channel><title>{title}</title>'
    "<link>https://blog.example/</link><item><title>One</title><guid>1</guid>{more}</item></channel></rss>"
)
SOUND = '<enclosure url="https://a.example/1.mp3" length="1" type="audio/mpeg"/>'


def feed(title: str = "A blog", more: str = "") -> Page:
    return Page(RSS.format(title=title, more=more).encode())


def html(head: str) -> Page:
    text = f"<!doctype html><html><head><title>Home</title>{head}</head><body><p>Hello</p></body></html>"
    return Page(text.encode(), kind="text/html; charset=utf-8")


@pytest.fixture
def site() -> Iterator[Site]:
    with Site({}) as made:
        yield made


def find(site: Site, text: str) -> list[Found]:
    return discover(Transport(allow={site.pair}), text, CONNECTORS, READERS)


@pytest.mark.parametrize(
    ("text", "connector", "key"),
    [
        ("cs.CL", "arxiv", None),
        ("r/MachineLearning", "reddit", "reddit:machinelearning"),
        ("https://old.reddit.com/r/MachineLearning/top/", "reddit", "reddit:machinelearning"),
    ],
)
def test_words_that_a_connector_knows_are_asked_of_nobody(
    site: Site, text: str, connector: str, key: str | None
) -> None:
    (found,) = find(site, text)

    assert found.connector.startswith(connector)
    assert key is None or found.key == key
    assert found.words.endswith(".")
    assert not site.hits


@pytest.mark.parametrize(
    ("page", "connector", "words"),
    [
        (feed(), "feed", "Articles"),
        (feed(more=SOUND), "podcast", "Episodes"),
        (
            Page(
                b'{"version": "https://jsonfeed.org/version/1", "title": "A blog", "items": []}',
                kind="application/json",
            ),
            "feed",
            "Articles",
        ),
    ],
)
def test_an_address_is_known_by_what_it_answers(
    site: Site, page: Page, connector: str, words: str
) -> None:
    site.pages["/x"] = page

    (found,) = find(site, site.at("/x"))

    assert (found.connector, found.name, found.url) == (connector, "A blog", site.at("/x"))
    assert found.words.startswith(words)
    assert found.key == f"{connector}:{site.at('/x')}"


def test_a_feed_of_papers_and_one_of_links_say_so(site: Site) -> None:
    paper = "<link>https://arxiv.org/abs/2605.00001</link>"
    link = "<link>https://else.example/</link><description>Score: 12</description>"
    site.pages |= {"/papers": feed(more=paper), "/links": feed(more=link)}

    words = [find(site, site.at(path))[0].words for path in ("/papers", "/links")]

    assert words[0].startswith("Papers") and words[1].startswith("A list of links")


def test_a_listing_of_posts_at_any_address_is_reddits(site: Site) -> None:
    site.pages["/r/x.json"] = Page(
        b'{"kind": "Listing", "data": {"children": []}}', kind="application/json"
    )

    (found,) = find(site, site.at("/r/x.json"))

    assert found.connector == "reddit"


def test_a_list_of_feeds_leads_to_each_of_them(site: Site) -> None:
    site.pages["/mine.opml"] = Page(
        b'<opml version="2.0"><body><outline text="One" xmlUrl="https://one.example/feed"/>'
        b'<outline text="Two" xmlUrl="https://www.reddit.com/r/two"/></body></opml>'
    )

    found = find(site, site.at("/mine.opml"))

    assert [(each.connector, each.name) for each in found] == [("feed", "One"), ("reddit", "r/two")]
    assert site.paths == ["/mine.opml"]  # none of them is asked


def test_a_page_leads_to_the_feeds_it_names_those_of_comments_last(site: Site) -> None:
    site.pages |= {
        "/": html(
            '<link rel="alternate" type="application/rss+xml" title="Comments" href="/comments.xml">'
            '<LINK REL="Alternate" HREF="feed.xml?a=1&amp;b=2" TYPE="application/atom+xml">'
            '<link rel="stylesheet" type="text/xml" href="/style.xml">'
            '<link rel="alternate" type="application/rss+xml" href="javascript:alert(1)">'
            '<link rel="alternate" hreflang="de" href="/de">'
        ),
        "/feed.xml": feed("A blog"),
        "/comments.xml": feed("Its comments"),
    }

    found = find(site, site.url)

    assert [each.name for each in found] == ["A blog", "Its comments"]
    assert found[0].url == site.at("/feed.xml?a=1&b=2")
    assert site.paths == ["/", "/feed.xml?a=1&b=2", "/comments.xml"]


def test_a_feed_that_a_page_names_and_does_not_have_is_left_out(site: Site) -> None:
    site.pages |= {
        "/": html(
            '<link rel="alternate" type="application/rss+xml" href="/gone.xml">'
            '<link rel="alternate" type="application/rss+xml" href="/page">'
            '<link rel="alternate" type="application/rss+xml" href="/feed.xml">'
        ),
        "/page": html(""),
        "/feed.xml": feed(),
    }

    assert [each.url for each in find(site, site.url)] == [site.at("/feed.xml")]


def test_a_page_that_names_no_feed_is_tried_at_the_usual_paths(site: Site) -> None:
    site.pages |= {"/blog/post": html(""), "/atom.xml": feed()}

    (found,) = find(site, site.at("/blog/post"))

    assert found.url == site.at("/atom.xml")
    assert site.paths == ["/blog/post", "/feed", "/rss.xml", "/atom.xml"]


def test_a_site_without_feed_is_asked_a_few_times_and_said_so(site: Site) -> None:
    site.pages["/"] = html("")

    with pytest.raises(Invalid, match="neither it nor its host names a feed"):
        find(site, site.url)
    assert site.hits == 1 + len(WELL_KNOWN)


def test_a_page_that_names_a_thousand_feeds_is_not_followed_to_each(site: Site) -> None:
    links = (
        f'<link rel="alternate" type="application/rss+xml" href="/{n}.xml">' for n in range(1_000)
    )
    site.pages["/"] = html("".join(links))

    with pytest.raises(Invalid):
        find(site, site.url)
    assert site.hits < 15


def test_feeds_inside_are_not_reached_through_a_page(site: Site) -> None:
    with Site({"/feed": feed()}) as inside:
        site.pages["/"] = html(
            f'<link rel="alternate" type="application/rss+xml" href="{inside.at("/feed")}">'
        )

        with pytest.raises(Invalid):
            find(site, site.url)
        assert not inside.hits


def test_where_an_address_moved_for_good_is_where_the_source_is(site: Site) -> None:
    site.pages |= {
        "/old": Page(status="301 Moved Permanently", location="/new"),
        "/now": Page(status="302 Found", location="/new"),
        "/new": feed(),
    }

    assert find(site, site.at("/old"))[0].url == site.at("/new")
    assert find(site, site.at("/now"))[0].url == site.at("/now")


def test_an_address_that_does_not_answer_is_said(site: Site) -> None:
    with pytest.raises(NotFetched):
        find(site, site.at("/nothing"))


@pytest.mark.parametrize(
    "page",
    [
        Page(b"\x89PNG\r\n\x1a\n" + b"\0" * 1_000, kind="image/png"),
        Page(b"just words", kind="text/plain"),
        Page(b'{"a": 1}', kind="application/json"),
        Page(b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><channel/></rss>'),
    ],
)
def test_an_answer_that_is_nothing_known_is_refused_in_words(site: Site, page: Page) -> None:
    site.pages["/x"] = page

    with pytest.raises(Invalid, match="nothing else that can be subscribed to"):
        find(site, site.at("/x"))


@pytest.mark.parametrize(
    "text",
    ["", "   ", "some words of mine", "mailto:ada@example.org", "javascript:alert(1)", "file:///etc/passwd",
     "https://", "ftp://a.example/x", "r/a b!", "x" * 5_000, "http://[::1", "http://a\u202e.example/\x00"],
)  # fmt: skip
def test_what_names_no_source_is_refused_before_anything_is_asked(site: Site, text: str) -> None:
    with pytest.raises((Invalid, NotFetched)):
        find(site, text)
    assert not site.hits


def test_attributes_are_read_as_browsers_read_them() -> None:
    page = (
        "<link data-x=\"rel='alternate' href='/no'\" rel='feed' href=/a.xml>"
        "<link type='application/rss+xml' rel=alternate href=' /b.xml ' href='/c.xml'>"
        "<!-- <link rel=feed href=/no.xml> --><base href='https://other.example/'>"
        "<link rel=feed href=d.xml>"
    )

    assert [url for url, _ in alternates(page, "https://a.example/x/")] == [
        "https://a.example/a.xml", "https://a.example/b.xml", "https://other.example/d.xml",
    ]  # fmt: skip


def test_an_outlines_source_has_the_same_identity_as_the_discovered_one() -> None:
    with_slash = subscription("https://A.example/feed/", "A", CONNECTORS)

    assert with_slash.key == subscription("https://a.example/feed", "A", CONNECTORS).key
    assert with_slash.connector == "feed"
