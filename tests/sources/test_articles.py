"""Web pages: the paper that one is about, the article on it, and what has neither."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.bootstrap import READERS
from app.domain.items import Document, MentionArrival, PageArrival, PaperArrival
from app.domain.records import PageKind
from app.errors import Invalid, NotFetched, Unreadable
from app.sources.apart import Limits
from app.sources.articles import ArticleReader, asked_address, fetched
from app.sources.base import File, reader_for
from app.sources.connectors import Response

HERE = "https://looms.example/posts/checks"
WORDS = (
    "We tried the check on forty looms for a year, and wrote down what it found each week. "
    "Most of what it found was wrong thread, which nobody had seen before it was on the roll. "
)
ARTICLE = f"""<!doctype html><html lang="en"><head><title>Why checks pay | Loom notes</title>
<meta name="author" content="Ada Lovelace"><meta property="article:published_time" content="2026-05-08T10:00:00Z">
<link rel="canonical" href="{HERE}"></head><body><nav><a href="/">Home</a> <a href="/about">About us</a></nav>
<article><h1>Why checks pay</h1><p>{WORDS}</p><p>It rests on <a href="https://arxiv.org/abs/2605.00001">a study of
cheap looms</a>, which says the same. Write [[wrong]] or {{{{count thread:x}}}} and nothing acts.</p>
<h2>What it costs</h2><p>{WORDS}</p><ul><li>A tenth of a roll.</li><li><a href="../tables">A table of it</a>.</li></ul>
<img src="https://track.example/x.gif"><script>alert(1)</script></article>
<footer>All rights reserved. <a href="/privacy">Privacy</a></footer></body></html>""".encode()


def meta(**tags: str | list[str]) -> bytes:
    rows = "".join(
        f'<meta name="{name}" content="{value}">'
        for name, given in tags.items()
        for value in ([given] if isinstance(given, str) else given)
    )
    return f"<!doctype html><html><head><title>A page</title>{rows}</head><body>x</body></html>".encode()


def read(data: bytes, url: str = "", name: str = "page.html", **headers: str) -> Document:
    kept = {key.replace("_", "-"): value for key, value in headers.items()}
    return ArticleReader().read(File(name, data, url, kept))


def only(document: Document, kind: type[Any]) -> list[Any]:
    return [each for each in document.arrivals if isinstance(each, kind)]


# ---------------------------------------------------------------- an article


@pytest.mark.parametrize("url", ["", f"{HERE}?utm_source=x", f"{HERE}#part"])
def test_the_article_of_a_page_is_taken_out(url: str) -> None:
    document = read(ARTICLE, url)
    assert (document.title, document.published) == ("Why checks pay", "2026-05-08")
    assert document.key == document.url == HERE
    (page,) = only(document, PageArrival)
    assert (page.kind, page.ref) == (PageKind.ARTICLE, f"url:{HERE}")
    assert page.text.startswith("We tried the check") and "## What it costs" in page.text
    assert "- [A table of it](https://looms.example/tables)." in page.text
    for gone in ("About us", "Privacy", "track.example", "alert"):
        assert gone not in page.text
    assert "\\[\\[wrong\\]\\]" in page.text and "\\{{count" in page.text
    assert page.extra["author"] == "Ada Lovelace"
    mention = only(document, MentionArrival)[0]
    assert mention.paper == "arxiv:2605.00001"
    assert mention.text == "It rests on a study of cheap looms, which says the same."


def test_a_page_cannot_claim_to_be_on_another_host() -> None:
    assert read(ARTICLE, "https://copy.example/a").url == "https://copy.example/a"


@pytest.mark.parametrize(
    ("data", "headers", "words"),
    [
        ("naïve café".encode("latin-1"), {"content_type": "text/html; charset=ISO-8859-1"}, "naïve café"),
        ('<meta charset="windows-1251">привет'.encode("cp1251"), {}, "привет"),
        ("\ufeffnaïve".encode("utf-16"), {}, "naïve"), ("naïve".encode(), {"content_type": "text/html; charset=no-such"}, "naïve"),
        ("naïve".encode(), {"content_type": "text/html; charset=punycode"}, "naïve"),
    ],
)  # fmt: skip
def test_a_page_is_read_in_the_signs_it_was_written_in(
    data: bytes, headers: dict[str, str], words: str
) -> None:
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    head = f"<html><body><article><p>{WORDS * 2}</p><p>And the words are: "
    tail = "</p></article></body></html>"
    if wide:
        data = (f"\ufeff{head}" + data.decode("utf-16").lstrip("\ufeff") + tail).encode("utf-16-le")
        data = data if data.startswith(b"\xff\xfe") else b"\xff\xfe" + data
    else:
        data = head.encode() + data + tail.encode()
    (page,) = only(read(data, **headers), PageArrival)
    assert words in page.text


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"<html><body><div id=app></div><script src=x></script></body></html>", "no article"),
        (b"<html><body><p>Short.</p></body></html>", "no article"), (b"<html>" + b"<div>" * 100_000, "no article|nested|broke"),
        (b"<html>" + b"x" * 10_000_000, "larger than a page can be"),
    ],
    ids=range(4),
)  # fmt: skip
def test_a_page_without_an_article_is_refused_in_words(data: bytes, says: str) -> None:
    with pytest.raises(Unreadable, match=says) as error:
        read(data)
    assert str(error.value).endswith(".") and len(str(error.value)) < 300


def test_a_page_that_takes_for_ever_is_put_down() -> None:
    with pytest.raises(Unreadable, match="takes too long"):
        ArticleReader(limits=Limits(wall=0.01)).read(File("page.html", ARTICLE))


# ---------------------------------------------------------------- a paper


def test_what_a_page_says_for_indexes_makes_it_that_paper() -> None:
    abstract = "We ask a router for the cheapest model that will do. " * 8
    data = meta(
        citation_title="Cheap routing &amp; checks", citation_author=["Lovelace, Ada", "Charles Babbage"],
        citation_arxiv_id="2605.00001", citation_doi="10.1145/3292500.3330701", citation_date="2026/05/07",
        citation_abstract=abstract, citation_pdf_url="https://arxiv.org/pdf/2605.00001",
        citation_conference_title="Looms 2026",
    )  # fmt: skip
    document = read(data, "https://arxiv.org/abs/2605.00001v2")
    (paper,) = document.arrivals
    assert isinstance(paper, PaperArrival)
    assert paper.refs[0] == "arxiv:2605.00001v2" and "doi:10.1145/3292500.3330701" in paper.refs
    assert paper.title == "Cheap routing & checks" and paper.authors == (
        "Ada Lovelace",
        "Charles Babbage",
    )
    assert paper.published == document.published == "2026-05-07" and paper.keep
    assert paper.abstract == abstract.strip() and paper.venue == "Looms 2026"


@pytest.mark.parametrize(
    ("url", "title", "paper"),
    [
        ("https://huggingface.co/papers/2605.00001", "Paper page - Cheap routing", "arxiv:2605.00001"),
        ("https://openreview.net/forum?id=aB3_x", "Cheap routing | OpenReview", "openreview:aB3_x"),
        ("https://aclanthology.org/2024.acl-long.1/", "Cheap routing", "doi:10.18653/v1/2024.acl-long.1"),
    ],
)  # fmt: skip
def test_a_paper_at_its_own_address_is_known_by_that(url: str, title: str, paper: str) -> None:
    data = f'<html><head><meta property="og:title" content="{title}"></head></html>'.encode()
    (arrival,) = read(data, url).arrivals
    assert isinstance(arrival, PaperArrival)
    assert (arrival.refs, arrival.title, arrival.keep) == ((paper,), "Cheap routing", True)


@pytest.mark.parametrize(
    "tags",
    [{"citation_title": "A study"}, {"citation_doi": "10.1145/3292500.3330701"}, {"citation_arxiv_id": "2605.00001"},
     {"citation_title": "A study", "citation_doi": "none", "citation_arxiv_id": "../x"}],
)  # fmt: skip
def test_a_title_or_a_number_alone_makes_no_paper(tags: dict[str, str]) -> None:
    with pytest.raises(Unreadable):
        read(meta(**tags))


def test_odd_data_of_a_paper_are_kept_in_bounds() -> None:
    names = [f"Author {n}" for n in range(3_000)]
    data = meta(
        citation_title="x" * 9_000, citation_doi="10.1145/1", citation_author=names, citation_date="9999/99/99",
    )  # fmt: skip
    (paper,) = read(data).arrivals
    assert isinstance(paper, PaperArrival)
    assert len(paper.title) <= 1_000 and len(paper.authors) <= 1_000 and paper.published == "9999"


# ---------------------------------------------------------------- which files are pages


def test_a_page_is_known_by_its_beginning() -> None:
    for data in (
        ARTICLE,
        b"\xef\xbb\xbf <!-- x --> <?xml version='1.0'?>\n<!DOCTYPE html>\n<html>",
        b"<HTML >",
        b"<body>x",
    ):
        assert reader_for(File("download", data), READERS).format == "html"


@pytest.mark.parametrize(
    "data", [b"<rss><item><body>x</body></item></rss>", b"<!-- x --><feed><html></html></feed>", b"words <html>", b'{"html": "<html>"}',
             b"<!DOCTYPE html PUBLIC 'x'><rss version='2'>", b"<?xml version='1.0'?><opml>"],
)  # fmt: skip
def test_what_only_holds_html_is_no_page(data: bytes) -> None:
    assert not ArticleReader().recognises(File("x", data))


# ---------------------------------------------------------------- an address that was pasted in


class Web:
    """Answers as a test says, and notes what was asked."""

    def __init__(self, answer: Response | NotFetched) -> None:
        self.answer, self.asked = answer, []  # type: ignore[var-annotated]

    def get(self, url: str, **given: Any) -> Response:
        self.asked.append((url, given.get("spacing", 0.0)))
        if isinstance(self.answer, NotFetched):
            raise self.answer
        return self.answer

    def dial(self, host: str, port: int) -> Any:
        raise AssertionError


def answer(url: str, data: bytes = ARTICLE, headers: Mapping[str, str] = {}) -> Response:
    return Response(url, 200, headers, data)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("https://arxiv.org/abs/2605.00001", "https://arxiv.org/abs/2605.00001"),
        ("http://arxiv.org/pdf/2605.00001v2.pdf", "https://arxiv.org/abs/2605.00001v2"),
        ("https://huggingface.co/papers/2605.00001", "https://arxiv.org/abs/2605.00001"),
        ("https://www.alphaxiv.org/abs/2605.00001", "https://arxiv.org/abs/2605.00001"),
        ("arxiv:2605.00001", "https://arxiv.org/abs/2605.00001"), ("doi:10.1145/1", "https://doi.org/10.1145/1"),
        ("openreview:aB3_x", "https://openreview.net/forum?id=aB3_x"),
        ("https://openreview.net/forum?id=aB3_x", "https://openreview.net/forum?id=aB3_x"),
        (" https://example.org/a?b=1 ", "https://example.org/a?b=1"),
        ("http://127.0.0.1:8000/abs/2605.00001", "http://127.0.0.1:8000/abs/2605.00001"),
    ],
)  # fmt: skip
def test_of_a_paper_on_arxiv_its_page_there_is_asked_for(given: str, asked: str) -> None:
    assert asked_address(given) == asked


@pytest.mark.parametrize(
    "given",
    [
        "",
        "arxiv.org/abs/1",
        "ftp://example.org",
        "javascript:alert(1)",
        "https://",
        "/etc/passwd",
        "http:///x",
    ],
)
def test_what_is_no_address_is_refused_in_a_sentence(given: str) -> None:
    web = Web(answer(""))
    with pytest.raises(Invalid, match=r"^This"):
        fetched(web, given)
    assert web.asked == []


def test_what_is_at_an_address_is_a_file_that_knows_where_it_is_from() -> None:
    web = Web(
        answer("https://looms.example/final%20page.html", headers={"content-type": "text/html"})
    )
    file = fetched(web, "https://looms.example/go")
    assert (file.name, file.url) == ("final page.html", "https://looms.example/final%20page.html")
    assert reader_for(file, READERS).read(file).url == HERE  # type: ignore[union-attr]
    assert web.asked == [("https://looms.example/go", 0.0)]


def test_arxiv_is_asked_no_more_often_than_it_likes() -> None:
    web = Web(answer("https://arxiv.org/abs/2605.00001"))
    fetched(web, "https://arxiv.org/pdf/2605.00001")
    assert web.asked == [("https://arxiv.org/abs/2605.00001", 3.0)]


def test_saved_pages_of_known_kinds_are_claimed_before(tmp_path: Path) -> None:
    names = [reader.format for reader in READERS]
    assert names.index("html") == len(names) - 1
    assert names.index("mail") < names.index("markdown")
