"""Words of a saved page: what a reader of HTML sees, and nothing else."""

from __future__ import annotations

import pytest

from app.errors import Unreadable
from app.sources.base import File
from app.sources.page_text import MAX_PAGE_BYTES, html_text, is_html, page_lines


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("One<br>Two<br/>Three", "One\nTwo\nThree"),
        ("a <b>bold</b>\n   word", "a bold word"),
        ("<ol><li>One<li>Two</ol>", "1. One\n2. Two"),
        ("<ul><li>One<ol><li>In</ol><li>Two</ul>", "• One\n\n1. In\n\n• Two"),
        ("<table><tr><td>a</td><td>1</td></tr><tr><td>b</td></tr></table>", "a 1\n\nb"),
        ("&lt;p&gt; &amp; &#x1F30A;", "<p> & 🌊"),
        ("a<script>x < y; '</p>'</script>b<style>p>a{}</style>c", "abc"),
        ("a<!-- > <p>no -->b<!-- never closed", "ab"),
        ("<p class=\"[&>svg]:w-4\" title='x'>One</p>", "One"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("One <p", "One <p"),
        ('One <a title="open', 'One <a title="open'),
        ("<SCRIPT>no</SCRIPT>Yes", "Yes"),
        ("<script>never closed", ""),
    ],
)
def test_only_what_a_reader_sees_is_left(html: str, text: str) -> None:
    assert html_text(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href="https://x.org/?a=1&amp;b=2">Words</a>.', "Words [https://x.org/?a=1&b=2]."),
        ("<a class=b href='http://x.org'>Words</a>", "Words [http://x.org]"),
        ('<a href="javascript:x">Words</a> <a name="y">more</a>', "Words more"),
    ],
)
def test_links_are_written_out_when_asked_for(html: str, text: str) -> None:
    assert html_text(html, links=True) == text


def test_markdown_keeps_its_text_and_loses_only_its_html_tables() -> None:
    text = "# A < B\n<table><tr><td>n</td><td>3</td></tr></table>\n<b>stays</b>\r\n<table>open"
    assert not is_html(text)
    lines = page_lines(File(name="a.md", data=text.encode()))
    assert [line for line in lines if line] == ["# A < B", "n 3", "<b>stays</b>", "<table>open"]


def test_page_of_any_size_is_not_taken() -> None:
    with pytest.raises(Unreadable, match="20 MB"):
        page_lines(File(name="a", data=b" " * (MAX_PAGE_BYTES + 1)))


@pytest.mark.parametrize(
    "unit", ['<a "', "<a '", "<!--", "<!", "<", "</", "<p ", "<script>", "&", "<a href='"]
)
def test_html_of_tags_that_never_end_is_read_in_good_time(unit: str) -> None:
    assert isinstance(html_text(unit * (1_000_000 // len(unit)), links=True), str)
