"""Feeds of every kind, whole, odd and hostile; and asking for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from html import escape
from pathlib import Path

import pytest

from app.bootstrap import READERS
from app.domain.items import (
    Document,
    MentionArrival,
    PageArrival,
    PaperArrival,
    Rejected,
)
from app.domain.records import PageKind, SourceKind
from app.errors import NotFetched, Unreadable
from app.sources.base import File, reader_for
from app.sources.connectors import Fetched, Wanted
from app.sources.feeds import Feed, FeedConnector, parse
from app.sources.http import Transport
from app.sources.xml_text import decoded, root
from bench.feeds import CORPUS, conditions, files, met, read_whole, stated
from tests.servers.pages import Page as Answer
from tests.servers.pages import Site

OWN = Path(__file__).parents[3] / "shared/corpora/own/feeds"
TODAY = date(2026, 5, 8)
NOW = datetime(2026, 5, 8, 9, tzinfo=UTC)


def item(**parts: str) -> str:
    facts = {"title": "A post", "link": "https://blog.example/a", "guid": "a", **parts}
    inner = "".join(
        f"<{name}>{value if value.startswith('<![CDATA[') else escape(value)}</{name}>"
        for name, value in facts.items()
        if value
    )
    return f"<item>{inner}</item>"


def rss(*items: str, head: str = "") -> File:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" '
        'xmlns:slash="http://purl.org/rss/1.0/modules/slash/"><channel><title>A blog</title>'
        f"<link>https://blog.example/</link>{head}{''.join(items)}</channel></rss>"
    )
    return File("feed.xml", text.encode())


def read(file: File) -> list[Document]:
    return [each for each in Feed().read(file).documents if isinstance(each, Document)]


def only(file: File) -> Document:
    (document,) = read(file)
    return document


def page_of(document: Document) -> PageArrival:
    (page,) = [each for each in document.arrivals if isinstance(each, PageArrival)]
    return page


def mentions_of(document: Document) -> list[MentionArrival]:
    return [each for each in document.arrivals if isinstance(each, MentionArrival)]


# ---------------------------------------------------------------- formats

ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://blog.example/notes/">
<title>A blog</title><id>tag:blog.example,2026:feed</id><updated>2026-05-07T10:00:00Z</updated>
<entry><title type="html">On &amp;lt;b&amp;gt; and &lt;em&gt;more&lt;/em&gt;</title><id>tag:1</id>
<link href="one"/><published>2026-05-06T23:30:00-02:00</published><updated>2026-05-08T10:00:00Z</updated>
<author><name>Ada Park</name></author><category term="maps"/>
<content type="html">&lt;p&gt;See &lt;a href="two"&gt;the other one&lt;/a&gt;.&lt;/p&gt;</content></entry></feed>"""

RSS_10 = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="https://blog.example/"><title>A blog</title>
<link>https://blog.example/</link></channel><item rdf:about="https://blog.example/one"><title>One</title>
<link>https://blog.example/one</link><dc:date>2026-05-06</dc:date><description>Words.</description></item>
</rdf:RDF>"""

ATOM_03 = """<feed version="0.3" xmlns="http://purl.org/atom/ns#"><title>A blog</title><entry>
<title>One</title><id>one</id><link rel="alternate" type="text/html" href="https://blog.example/one"/>
<issued>2026-05-06T10:00:00Z</issued></entry></feed>"""

RSS_091 = """<rss version="0.91"><channel><title>A blog</title><link>https://blog.example/</link>
<item><title>One</title><link>https://blog.example/one</link></item></channel></rss>"""

CDF = """<CHANNEL HREF="https://blog.example/"><TITLE>A blog</TITLE><ITEM HREF="https://blog.example/one"
LASTMOD="2026-05-06T10:00:00Z"><TITLE>One</TITLE></ITEM></CHANNEL>"""

JSON_FEED = """{"version": "https://jsonfeed.org/version/1.1", "title": "A blog",
"home_page_url": "https://blog.example/", "items": [{"id": 7, "url": "/one", "title": "One",
"content_html": "<p>Words.</p>", "date_published": "2026-05-06T23:30:00-02:00",
"authors": [{"name": "Ada Park"}], "tags": ["maps"]}]}"""


def test_an_atom_entry_is_an_article_under_its_address() -> None:
    document = only(File("a.xml", ATOM.encode()))

    page = page_of(document)
    assert document.key == "tag:1"
    assert document.title == page.title == "On <b> and more"
    assert page.ref == "url:https://blog.example/notes/one"
    assert page.kind is PageKind.ARTICLE
    assert page.text == "See [the other one](https://blog.example/notes/two)."
    assert document.published == "2026-05-07"  # in UTC
    assert page.extra["authors"] == ["Ada Park"]
    assert page.extra["categories"] == ["maps"]


@pytest.mark.parametrize(
    ("text", "key", "day"),
    [
        (RSS_10, "https://blog.example/one", "2026-05-06"),
        (ATOM_03, "one", "2026-05-06"),
        (RSS_091, "https://blog.example/one", ""),
        (CDF, "https://blog.example/one", "2026-05-06"),
        (JSON_FEED, "7", "2026-05-07"),
    ],
)
def test_each_kind_of_feed_is_recognised_and_read(text: str, key: str, day: str) -> None:
    file = File("feed", text.encode())

    assert reader_for(file, READERS).format == "feed"
    bundle = Feed().read(file)
    (document,) = bundle.documents
    assert isinstance(document, Document)
    assert (bundle.source.name, bundle.source.kind) == ("A blog", SourceKind.FEED)
    assert (document.key, document.title, document.published) == (key, "One", day)
    assert document.url == "https://blog.example/one"


@pytest.mark.parametrize(
    "text",
    [
        "<!doctype html><title>Sign in</title><p>First pay",
        "<html><head><title>rss</title></head><body><rss/></body></html>",
        '{"version": 1, "items": []}',
        "# Notes on <rss> and <feed>\n",
        "",
        '<?xml version="1.0"?><opml><body/></opml>',
    ],
)
def test_what_is_no_feed_is_not_taken_for_one(text: str) -> None:
    assert not Feed().recognises(File("x", text.encode()))


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("utf-16", "utf-16"), ("utf-16-le", "utf-16"), ("iso-8859-1", "iso-8859-1"), ("koi8-r", "koi8-r"),
     ("utf-32", "utf-32"), ("utf-8-sig", "utf-8")],
)  # fmt: skip
def test_the_encoding_is_the_one_that_is_marked_or_declared(encoding: str, declared: str) -> None:
    title = "Фёдор" if encoding == "koi8-r" else "Föö"
    text = f'<?xml version="1.0" encoding="{declared}"?><rss version="2.0"><channel><item><title>{title}</title></item></channel></rss>'

    file = File("f.xml", text.encode(encoding))

    assert Feed().recognises(file)
    assert only(file).title == title


def test_the_charset_of_the_header_counts_before_what_is_declared() -> None:
    text = '<?xml version="1.0" encoding="utf-8"?><rss><channel><item><title>Ж</title></item></channel></rss>'

    file = File(
        "f", text.encode("cp1251"), headers={"content-type": "text/xml; charset=windows-1251"}
    )

    assert only(file).title == "Ж"


def test_odd_encodings_that_take_long_are_not_tried() -> None:
    data = b'<?xml version="1.0" encoding="punycode"?><rss/>'

    assert decoded(data).startswith("<?xml")
    assert root(data) == "rss"


# ---------------------------------------------------------------- identity


def test_an_entry_without_guid_is_known_by_its_link_and_one_without_both_by_its_words() -> None:
    linked, bare = read(
        rss(item(guid=""), item(guid="", link="", title="Alone", pubDate="6 May 2026"))
    )
    again = read(rss(item(guid="", link="", title="Alone", pubDate="6 May 2026")))

    assert linked.key == "https://blog.example/a"
    assert [bare.key] == [each.key for each in again]


def test_one_guid_with_one_link_is_one_item_the_later_changed() -> None:
    documents = read(
        rss(
            item(title="Old", pubDate="Tue, 05 May 2026 10:00:00 GMT"),
            item(title="New", pubDate="Wed, 06 May 2026 10:00:00 GMT"),
        )
    )

    assert [each.title for each in documents] == ["New"]


def test_one_guid_for_several_things_keeps_them_apart() -> None:
    several = [
        item(title=f"Post {n}", link=f"https://blog.example/{n}", guid="1") for n in range(3)
    ]

    first, second = read(rss(*several)), read(rss(*reversed(several)))

    assert len({each.key for each in first}) == 3
    assert {each.key for each in first} == {each.key for each in second}
    assert len({page_of(each).ref for each in first}) == 3


def test_entries_that_all_lead_to_one_place_have_pages_of_their_own() -> None:
    documents = read(
        rss(*(item(title=f"Part {n}", guid=str(n), link="https://blog.example/") for n in range(3)))
    )

    assert len({page_of(each).ref for each in documents}) == 3
    assert not any(page_of(each).ref.startswith("url:") for each in documents)


def test_feeds_with_the_same_guid_and_title_do_not_share_a_page() -> None:
    one = item(link="", guid="1")
    other = File("f.xml", rss(one).data.replace(b"blog.example", b"other.example"))

    assert page_of(only(rss(one))).ref != page_of(only(other)).ref


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Score: 12<br/>Comments: 3", "Score: 4,021<br/>Comments: 1022"),
        ("Read by 14 views. Words.", "Read by 15 views. Words."),
        ("Words. Generated at 2026-05-08 10:00:01.", "Words. Generated at 2026-05-08 11:30:09."),
        ("Words, posted 3 hours ago", "Words, posted 4 hours ago"),
        ("It is 10:15:20 now", "It is 10:16:20 now"),
    ],
)
def test_clocks_and_counters_change_nothing(before: str, after: str) -> None:
    assert only(rss(item(description=before))).hash == only(rss(item(description=after))).hash


def test_other_words_change_an_entry() -> None:
    hashes = {
        only(rss(item(description=words, title=title))).hash
        for words, title in [
            ("One.", "A"),
            ("Two.", "A"),
            ("One.", "B"),
            ("91.2 % of them", "A"),
            ("92.1 % of them", "A"),
        ]
    }

    assert len(hashes) == 5


# ---------------------------------------------------------------- what becomes of an entry


def test_papers_that_an_article_links_or_names_are_mentioned_with_their_sentence() -> None:
    html = (
        '<p>First words. We like <a href="https://arxiv.org/abs/2605.00001v2">this work</a> a lot. '
        "Then there is doi:10.1234/abc.5 too. And more.</p>"
    )

    document = only(rss(item(description=html, pubDate="Wed, 06 May 2026 10:00:00 GMT")))

    found = mentions_of(document)
    assert [each.paper for each in found] == ["arxiv:2605.00001v2", "doi:10.1234/abc.5"]
    assert found[0].text == "We like this work a lot."
    assert (found[0].day, found[0].source_name) == ("2026-05-06", "A blog")


def test_nothing_in_an_articles_text_acts() -> None:
    html = (
        "<p onclick=x()>Words [[Secret]] {{count pages}} $x$</p><script>alert(1)</script>"
        '<img src="https://track.example/p.gif"><iframe src="https://evil.example"></iframe>'
        '<a href="javascript:alert(1)">press</a>'
    )

    text = page_of(only(rss(item(description=html)))).text

    assert "\\[\\[Secret" in text and "\\{{" in text
    for part in ("alert", "track.example", "evil.example", "onclick", "javascript"):
        assert part not in text


def test_a_title_is_plain_text_on_one_line() -> None:
    title = "<![CDATA[A <b>bold</b>\n  claim &amp; more<script>x</script>\u202e]]>"

    assert only(rss(item(title=title))).title == "A bold claim & more"


def test_an_entry_without_title_is_called_by_its_first_words() -> None:
    assert only(rss(item(title="", description="<p>Said in short.</p>"))).title == "Said in short."


def test_a_feed_of_papers_lists_them_for_their_day() -> None:
    html = "<p><b>Authors:</b> Ada Park, Ben Quill</p><p><b>Upvotes:</b> 52</p><p><b>Summary:</b> We look.</p>"

    document = only(
        rss(
            item(
                title="A study",
                link="https://huggingface.co/papers/2605.00001",
                description=html,
                pubDate="Wed, 06 May 2026 10:00:00 GMT",
            )
        )
    )

    (paper,) = document.arrivals
    assert isinstance(paper, PaperArrival)
    assert paper.refs == ("arxiv:2605.00001",)
    assert (paper.title, paper.abstract, paper.day) == ("A study", "We look.", "2026-05-06")
    assert paper.authors == ("Ada Park", "Ben Quill")
    assert not paper.keep
    assert document.state == {"upvotes": 52}


def test_a_list_of_links_gets_no_pages_but_says_which_papers_it_led_to() -> None:
    frame = 'Score: 342<br/>Comments: 22<br/>By: ada<br/>Discussion: <a href="https://news.example/1">https://news.example/1</a>'
    entries = [
        item(guid="1", title="A study", link="https://arxiv.org/abs/2605.00001", description=frame),
        item(guid="2", title="A tool", link="https://tool.example/", description=frame),
        item(guid="3", title="A talk", link="https://talk.example/", description=frame),
    ]

    paper, tool, _ = read(rss(*entries))

    assert [each.paper for each in mentions_of(paper)] == ["arxiv:2605.00001"]
    assert paper.state == {"score": 342, "comments": 22}
    assert not list(tool.arrivals)


def test_a_blogs_own_post_with_a_score_stays_an_article() -> None:
    document = only(rss(item(description="Score: 3"), head=""))
    same_site = replace(rss(item(description="Score: 3")), url="https://blog.example/feed")

    assert not list(document.arrivals) or page_of(document)
    assert page_of(only(same_site)).title == "A post"


@pytest.mark.parametrize(
    "written",
    [
        "32 Foo 99999 25:61:61 +9999",
        "Mon, 01 Jan 0001 00:00:00 GMT",
        "9999-12-31T23:59:59Z",
        "",
        "soon",
    ],
)
def test_a_date_that_is_a_slip_is_none(written: str) -> None:
    assert only(rss(item(pubDate=written))).published == ""


def test_a_relative_link_counts_from_the_feeds_own_address() -> None:
    file = replace(rss(item(link="/posts/1")), url="https://there.example/feeds/all.xml")

    assert only(file).url == "https://there.example/posts/1"


@pytest.mark.parametrize("said", ["https://[::1", "javascript:x", "\x00", "//"])
def test_a_header_that_lies_about_the_address_is_passed_over(said: str) -> None:
    file = replace(
        rss(item(link="1")), url="https://there.example/f.xml", headers={"content-location": said}
    )

    assert only(file).url == "https://there.example/1"


def test_marks_of_campaigns_make_no_second_page() -> None:
    plain, marked = read(
        rss(item(guid="1"), item(guid="2", link="https://blog.example/b?utm_source=rss&x=1"))
    )

    assert marked.url == "https://blog.example/b?x=1"
    assert page_of(marked).ref == "url:https://blog.example/b?x=1" != page_of(plain).ref


def test_a_guid_stays_as_it_is_wherever_the_feed_lies() -> None:
    here = rss(item(guid="post-1"))
    there = replace(here, url="https://there.example/f.xml")

    assert only(here).key == only(there).key == "post-1"
    assert only(here).hash == only(there).hash


def test_a_link_that_is_no_web_address_is_none() -> None:
    document = only(rss(item(link="javascript:alert(1)", guid="file:///etc/passwd")))

    assert document.url == ""
    assert not page_of(document).ref.startswith("url:")


def test_an_entry_with_nothing_in_it_is_rejected_and_the_others_stay() -> None:
    found = list(Feed().read(rss("<item></item>", item())).documents)

    assert [type(each) for each in found] == [Rejected, Document]


# ---------------------------------------------------------------- what is refused


def laughs() -> str:
    lines = ['<!ENTITY a "lol">']
    for name, before in zip("bcdefghij", "abcdefghi", strict=True):
        lines.append(f'<!ENTITY {name} "{f"&{before};" * 10}">')
    return f"<!DOCTYPE r [{''.join(lines)}]><rss><channel><title>&j;</title></channel></rss>"


HOSTILE = {
    "laughs": laughs(),
    "quadratic": f'<!DOCTYPE r [<!ENTITY a "{"x" * 50_000}">]><rss><channel><title>{"&a;" * 5_000}</title></channel></rss>',
    "file": '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><channel><title>&x;</title></channel></rss>',
    "parameter": '<!DOCTYPE r [<!ENTITY % x SYSTEM "http://127.0.0.1/x.dtd"> %x;]><rss><channel/></rss>',
    "after a comment": '<!-- <x --><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><channel><title>&x;</title></channel></rss>',
    "deep": f"<rss><channel><item>{'<a>' * 100_000}",
    "elements": f"<rss><channel>{'<x/>' * 260_000}</channel></rss>",
    "broken and large": f"<rss><channel><item><title>{'& ' * 2_000_000}",
    "large": f"<rss><channel><!--{'x' * 10_000_001}--></channel></rss>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_xml_that_grows_fetches_or_never_ends_is_refused_in_words(name: str) -> None:
    with pytest.raises(Unreadable, match=r"refused|larger than"):
        Feed().read(File("evil.xml", HOSTILE[name].encode()))


def test_entities_of_its_own_that_do_no_harm_are_read() -> None:
    text = '<!DOCTYPE rss [\n<!ENTITY who "Ada">\n]>\n<rss version="2.0"><channel><item><title>By &who;</title></item></channel></rss>'

    assert only(File("f.xml", text.encode())).title == "By Ada"


def test_a_name_of_a_file_is_not_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret.xml"
    secret.write_bytes(rss(item(title="Secret")).data)

    with pytest.raises(Unreadable):
        Feed().read(File("x", str(secret).encode()))


@pytest.mark.parametrize(
    "data",
    [b"<rss", b"<rss><channel><item><title>x", b"<feed xmlns='http://www.w3.org/2005/Atom'><entry>",
     b"\xff\xfe<\x00r\x00s\x00s\x00", b"<rss>\x00\x01\x02</rss>", b"<rss><item><pubDate>\xff</pubDate>",
     b'<?xml version="1.0" encoding="\xff\xfe"?><rss/>', b"<?xml encoding='zlib'?><rss/>",
     b'{"version": "https://jsonfeed.org/version/1", "items": [null, 1, {"id": {}}, {"url": ["x"]}]}',
     b'{"version": "https://jsonfeed.org/version/1", "items": 5}',
     b'{"version": "https://jsonfeed.org/version/1", "items": [' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_broken_bytes_are_read_or_refused_and_never_raise(data: bytes) -> None:
    assert isinstance(read_whole(File("x", data)), str)


@pytest.mark.skipif(not OWN.is_dir(), reason="the corpora are not here")
def test_the_handmade_feeds_are_read_or_refused_quickly() -> None:
    words = {path.name: read_whole(File(path.name, path.read_bytes())) for path in OWN.iterdir()}

    assert "refused" in words["billion-laughs.xml"] and "refused" in words["xxe-file.xml"]
    assert words["bad-dates.xml"] == words["same-guid.xml"] == words["truncated.xml"] == ""
    same = File("f.xml", (OWN / "same-guid.xml").read_bytes())
    assert len(read(same)) == 1


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpora are not here")
def test_odd_feeds_raise_nothing_and_meet_what_is_expected_of_them() -> None:
    right = total = 0
    for path in files():
        headers, expression = stated(path.read_bytes())
        file = File(path.name, path.read_bytes(), headers=headers)
        read_whole(file)
        if "127.0.0.1" in expression:
            continue
        for each in conditions(expression):
            total += 1
            right += met(each, parse(file))[0]

    assert total >= 150
    assert right / total >= 0.95


# ---------------------------------------------------------------- fetching


@pytest.fixture
def site() -> Iterator[Site]:
    with Site({}) as made:
        yield made


def fetch(site: Site, path: str = "/feed", **wanted: object) -> list[Fetched]:
    facts = {"url": site.at(path), "options": {}, "cursor": {}, "today": TODAY, **wanted}
    web = Transport(allow={site.pair})
    return list(FeedConnector().fetch(web, Wanted(**facts)))  # type: ignore[arg-type]


def test_a_feed_that_did_not_change_is_not_brought_again(site: Site) -> None:
    site.pages["/feed"] = Answer(rss(item()).data, etag='"one"')

    (first,) = fetch(site)
    (second,) = fetch(site, cursor=first.cursor)

    assert first.data == rss(item()).data
    assert (first.format, first.headers["content-type"]) == ("feed", "application/xml")
    assert second.data == b"" and second.cursor == first.cursor
    assert site.asked[1].headers["if-none-match"] == '"one"'


def test_where_a_feed_moved_for_good_is_said(site: Site) -> None:
    site.pages["/feed"] = Answer(status="301 Moved Permanently", location="/new")
    site.pages["/new"] = Answer(rss(item()).data)

    (fetched,) = fetch(site)

    assert fetched.moved == fetched.url == site.at("/new")


def test_a_feed_that_is_gone_is_not_asked_again(site: Site) -> None:
    site.pages["/feed"] = Answer(b"gone", status="410 Gone")

    with pytest.raises(NotFetched) as error:
        fetch(site)
    assert not error.value.again


def test_a_page_in_place_of_a_feed_is_no_delivery(site: Site) -> None:
    site.pages["/feed"] = Answer(b"<!doctype html><title>Sign in</title>", kind="text/html")

    with pytest.raises(NotFetched, match="something else than a feed"):
        fetch(site)


@pytest.mark.parametrize("name", ["laughs", "quadratic", "deep"])
def test_a_feed_that_is_not_safe_to_read_is_said_and_not_kept(site: Site, name: str) -> None:
    site.pages["/feed"] = Answer(HOSTILE[name].replace("<rss>", '<rss version="2.0">').encode())

    with pytest.raises(NotFetched, match="is refused"):
        fetch(site)


def test_a_back_fill_follows_older_pages_until_its_first_day(site: Site) -> None:
    def page(day: int, older: str) -> Answer:
        link = f'<atom:link xmlns:atom="http://www.w3.org/2005/Atom" rel="next" href="{older}"/>'
        entry = item(guid=str(day), pubDate=f"{day} Apr 2026 10:00:00 GMT")
        return Answer(rss(entry, head=link).data, etag='"x"')

    site.pages |= {
        "/feed": page(28, "/2"),
        "/2": page(20, "/3"),
        "/3": page(10, "/4"),
        "/4": page(1, "/4"),
    }

    found = fetch(site, first="2026-04-15", last="2026-04-30")
    later = fetch(site, first="2026-04-15", last="2026-04-30", cursor=found[0].cursor)

    assert [each.url for each in found] == [site.at(path) for path in ("/feed", "/2", "/3")]
    assert [each.url for each in later] == [site.at(path) for path in ("/2", "/3")]
    assert len({each.name for each in found}) == 3


def test_older_pages_that_lead_in_a_circle_end(site: Site) -> None:
    link = '<atom:link xmlns:atom="http://www.w3.org/2005/Atom" rel="next" href="/feed"/>'
    site.pages["/feed"] = Answer(rss(item(), head=link).data)

    assert len(fetch(site, first="2020-01-01", last="2026-05-01")) == 1


def test_a_podcast_under_a_feeds_name_is_read_as_one(site: Site) -> None:
    sound = '<enclosure url="https://a.example/1.mp3" length="1" type="audio/mpeg"/>'
    site.pages["/feed"] = Answer(rss(item().replace("</item>", f"{sound}</item>")).data)

    (fetched,) = fetch(site)

    assert fetched.format == "podcast"
