"""Lists of feeds, in and out."""

from __future__ import annotations

from pathlib import Path

import pytest
from defusedxml import ElementTree

from app.bootstrap import READERS
from app.domain.items import Document, Rejected, SubscriptionArrival
from app.errors import Unreadable
from app.sources.base import File, reader_for
from app.sources.opml import Opml, Outline, as_opml

SAMPLE = Path(__file__).parents[3] / "shared/data/formats/opml/alan-turing-institute.opml"

LIST = """<?xml version="1.0" encoding="UTF-8"?>
<opml version="2.0"><head><title>Mine</title></head><body>
<outline text="Labs"><outline type="rss" text="A lab &amp; more" xmlUrl="https://a.example/feed.xml" htmlUrl="https://a.example/"/>
  <outline text="Deeper"><outline title="Another" text="x" XMLURL='https://b.example/feed?a=1&amp;b=2'></outline></outline>
</outline>
<outline text="Loose" type="rss" xmlUrl="feed:https://c.example/rss"/>
<outline text="Again" type="rss" xmlUrl="https://a.example/feed.xml"/>
<outline text="Script" type="rss" xmlUrl="javascript:alert(1)"/>
<outline text="No address" type="rss"/>
<outline text="A note without address"/>
</body></opml>"""


def read(text: str) -> list[SubscriptionArrival | Rejected]:
    document = Opml().read(File("list.opml", text.encode()))
    assert isinstance(document, Document)
    return [each for each in document.arrivals if isinstance(each, SubscriptionArrival | Rejected)]


def feeds(text: str) -> list[tuple[str, str, str]]:
    return [
        (each.url, each.name, each.folder)
        for each in read(text)
        if isinstance(each, SubscriptionArrival)
    ]


def test_each_outline_with_an_address_is_a_feed_in_its_folder_once() -> None:
    assert feeds(LIST) == [
        ("https://a.example/feed.xml", "A lab & more", "Labs"),
        ("https://b.example/feed?a=1&b=2", "Another", "Deeper"),
        ("https://c.example/rss", "Loose", ""),
    ]


def test_what_is_no_feed_is_said() -> None:
    reasons = [each.reason for each in read(LIST) if isinstance(each, Rejected)]

    assert reasons == [
        "'javascript:alert(1)' is no address of a feed.",
        "'No address' has no xmlUrl.",
    ]


def test_a_list_is_recognised_and_broken_xml_is_read_as_far_as_it_goes() -> None:
    broken = LIST.replace("&amp; more", "& more").replace("</body></opml>", "")

    assert reader_for(File("x", LIST.encode()), READERS).format == "opml"
    assert len(feeds(broken)) == 3


@pytest.mark.parametrize(
    "text",
    [
        "<opml><body/></opml>",
        "<opml><body><outline text='x'/></body></opml>",
        '<!DOCTYPE o [<!ENTITY x SYSTEM "file:///etc/passwd">]><opml><body><outline text="&x;" xmlUrl="https://a.example/"/></body></opml>',
        "<opml><body>" + '<outline text="x">' * 5_000,
    ],
)
def test_what_names_no_feed_or_is_not_safe_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match=r"names no feed|is refused"):
        read(text)


def test_a_list_that_is_written_is_read_again_as_it_was() -> None:
    mine = [
        Outline(
            "Ein \"Labor\" <1> & 'mehr'",
            "https://a.example/f?x=1&y=2",
            "https://a.example/",
            "L & M",
        ),
        Outline("Plain\x0b\u202e", "https://b.example/feed"),
    ]

    data = as_opml(mine)

    assert ElementTree.fromstring(data).get("version") == "2.0"
    assert feeds(data.decode()) == [
        ("https://b.example/feed", "Plain", ""),
        ("https://a.example/f?x=1&y=2", "Ein \"Labor\" <1> & 'mehr'", "L & M"),
    ]
    assert Opml().recognises(File("x", data))


@pytest.mark.skipif(not SAMPLE.is_file(), reason="the samples are not here")
def test_a_real_list_is_read() -> None:
    found = feeds(SAMPLE.read_text())

    assert len(found) == 12
    assert all(url.startswith("https://") and name for url, name, _ in found)
