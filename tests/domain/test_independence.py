"""Which places are independent sources of a paper."""

from __future__ import annotations

import pytest

from app.domain.independence import DAILY_PAPERS, LISTED, OPENREVIEW, Met, independent, site_of
from app.domain.records import SourceKind

FEED, LISTING, MAIL = SourceKind.FEED, SourceKind.LISTING, SourceKind.MAIL


def feed(name: str, site: str = "", address: str = "") -> Met:
    return Met(name, FEED, "feed", address, site)


@pytest.mark.parametrize(
    ("places", "names"),
    [
        ([], []),
        # One listing, by whichever service it came.
        (
            [
                Met("arXiv cs.CL", LISTING, "arxiv-atom", "https://arxiv.org/abs/2605.00001"),
                Met("arXiv cs.LG", LISTING, "arxiv-rss", "", "https://rss.arxiv.org/rss/cs.LG"),
                Met("arXiv, set cs", LISTING, "oai", "", "https://oaipmh.arxiv.org/oai"),
                Met("Daily page", LISTING, "triage-page"),
                feed("cs.CL updates", "https://rss.arxiv.org/rss/cs.CL"),
            ],
            [LISTED],
        ),
        (
            [
                Met("arXiv cs.CL", LISTING, "arxiv-atom"),
                Met("Daily Papers", LISTING, "hf-daily", "https://huggingface.co/papers/1"),
                Met("ICLR", SourceKind.INDEX, "openreview"),
                Met("Semantic Scholar", SourceKind.INDEX, "s2"),
            ],
            [LISTED, DAILY_PAPERS, OPENREVIEW],
        ),
        # Two feeds of one site; a saved file of a feed and its subscription.
        (
            [
                feed("Tides", "https://blog.example.org/feed", "https://example.org/1"),
                feed("Tides, notes", "https://www.example.org/notes.xml"),
                feed("Tides", "", "https://example.org/1"),
            ],
            ["Tides"],
        ),
        # One name on two sites is two; a newsletter without a site is its namesake's.
        ([feed("Notes", "https://a.example"), feed("Notes", "https://b.example")], ["Notes"] * 2),
        ([feed("Tide Notes", "https://a.example"), Met("tide notes", MAIL)], ["Tide Notes"]),
        ([Met("Tide Notes", MAIL), Met("Moon Notes", MAIL)], ["Tide Notes", "Moon Notes"]),
        # What leads to the paper itself says nothing of whose it is.
        (
            [
                feed("A", "https://a.example", "https://arxiv.org/abs/2605.00001"),
                feed("B", "https://b.example", "https://arxiv.org/abs/2605.00001"),
            ],
            ["A", "B"],
        ),
        # A forum is one, whatever its posts lead to; who only points at another's piece is no second.
        (
            [
                Met("r/tides", SourceKind.FORUM, "reddit", "https://x.example/1", "https://www.reddit.com/r/tides"),
                Met("r/moon", SourceKind.FORUM, "reddit", "https://y.example/1", "https://old.reddit.com/r/moon"),
                feed("X", "https://x.example"),
            ],
            ["r/tides", "X"],
        ),
        (
            [feed("X", "https://x.example"), feed("Links", "https://l.example", "https://x.example/1")],
            ["X"],
        ),
        # A third that joins two makes them one.
        (
            [
                feed("X", "https://x.example"),
                feed("Y", "https://y.example"),
                feed("Z", "https://z.example"),
                feed("XZ", "https://x.example", "https://z.example/1"),
            ],
            ["X", "Y"],
        ),
        # The reader's own.
        ([Met("Files", SourceKind.FILE), Met("Zotero", SourceKind.LIBRARY)], []),
        # What was pasted in is its site's; a paper that was, nobody's.
        (
            [
                Met("Web pages", SourceKind.WEB, "html", "https://a.example/1"),
                Met("Web pages", SourceKind.WEB, "html", "https://b.example/1"),
                Met("Web pages", SourceKind.WEB, "pdf", "https://arxiv.org/pdf/2605.00001"),
            ],
            ["a.example", "b.example"],
        ),
        # Many publish under one host.
        (
            [
                feed("One", "https://medium.com/feed/@one"),
                feed("Two", "https://medium.com/feed/@two"),
                feed("Three", "https://three.substack.com/feed"),
                feed("Four", "https://four.substack.com/feed"),
            ],
            ["One", "Two", "Three", "Four"],
        ),
    ],
)  # fmt: skip
def test_independent_sources(places: list[Met], names: list[str]) -> None:
    assert independent(places) == names


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("https://www.Example.org/a", "example.org"),
        ("https://feeds.feedburner.com/tides", "feedburner.com/tides"),
        ("https://feeds.example.org:8443/x", "example.org:8443"),
        ("https://127.0.0.1:4000/x", "127.0.0.1:4000"),
        ("https://rss.com/podcasts/x", "rss.com"),
        ("https://[::1", ""),
        ("https://example.org:99999/", ""),
        ("mailto:a@example.org", ""),
        ("", ""),
    ],
)
def test_the_site_of_an_address(address: str, site: str) -> None:
    assert site_of(address) == site
