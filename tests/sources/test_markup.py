"""Untrusted HTML as Markdown in which nothing acts, addresses that lead on, and papers that are named."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.grammar import parse
from app.domain.markdown import live_claims, plain_text, wikilinks
from app.rendering import render_body
from app.sources.addresses import http_address
from app.sources.markup import MAX_MARKDOWN, escaped, line_start, to_markdown
from app.sources.named_papers import mentions, named, paper_of

XSS = Path(__file__).parents[3] / "shared" / "corpora" / "xss" / "payloads.jsonl"


def test_headings_lists_links_code_and_quotations_come_through() -> None:
    html = """
    <html><head><title>no</title><style>p {}</style></head><body><h2>News of <em>looms</em></h2>
    <p>One <b>bold</b> word,<br>then <a href="https://example.org/a?b=1">a link</a> and <code>a*b</code>.</p>
    <ul><li>first<ul><li>inner</li></ul></li><li><p>second</p><p>more</p></li></ul>
    <ol><li>x</li><li>y</li></ol><blockquote><p>said</p></blockquote><pre>if a &lt; b:
      c()</pre><hr><p>end</p></body></html>"""
    assert to_markdown(html) == (
        "## News of *looms*\n\n"
        "One **bold** word,\\\nthen [a link](https://example.org/a?b=1) and `a*b`.\n\n"
        "- first\n  - inner\n- second\n\n  more\n\n1. x\n2. y\n\n> said\n\n"
        "```\nif a < b:\n      c()\n```\n\n* * *\n\nend"
    )


@pytest.mark.parametrize(
    "words",
    [
        "[[A page]]", "![[A page]]", "{{count thread:x}}", "$x^2$", "$$y$$", "**no**", "_no_", "`no`", "# no",
        "- no", "1. no", "> no", "---", "===", "[x](https://example.org)", "[x]: https://example.org",
        "[^1]", "| a | b |", "~~no~~", "\\[[no]]", "&amp;amp; &copy", "<b>", "a \\ b", "+ no", "***", "~~~",
    ],
)  # fmt: skip
def test_what_means_something_in_markdown_is_only_words(words: str) -> None:
    html = f"<p>{words.replace('<', '&lt;')}</p>"
    made = to_markdown(html)
    assert wikilinks(made) == []
    assert live_claims(made) == []
    shown = render_body(made, lambda keys: {}).html
    inside = shown.removeprefix("<p>").removesuffix("</p>\n")
    bare = '<a href="https://example.org" rel="noopener noreferrer">https://example.org</a>'
    assert "<" not in inside.replace(bare, "")  # an address that everyone can read is a link
    assert (
        plain_text(made).split()
        == words.replace("&amp;amp;", "&amp;").replace("&copy", "©").split()
    )


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="[]{}$*_`#>-+=|~!&\\<:/ab1. \n", max_size=60))
def test_any_signs_stay_signs(text: str) -> None:
    html = "<p>" + text.replace("&", "&amp;").replace("<", "&lt;") + "</p>"
    made = to_markdown(html)
    assert wikilinks(made) == [] and live_claims(made) == []
    assert "".join(plain_text(made).split()) == "".join(text.split())


def test_pictures_scripts_forms_and_hidden_text_are_left_out() -> None:
    html = """<p>Seen.<img src="https://track.example/1.gif" width=1 height=1></p>
    <script>alert(1)</script><iframe src="https://x.example">in a frame</iframe>
    <div style="DISPLAY: none">preheader</div><p hidden>hid</p><span style="font-size:0px">tiny</span>
    <div style="max-height:0;overflow:hidden">flat</div><p style="opacity:0.9">Nearly solid.</p>
    <div aria-hidden="true"><div>within</div> also</div><button>Press</button><p>Zero\u200bwidth\U000e0041.</p>"""
    assert to_markdown(html).split("\n\n") == ["Seen.", "Nearly solid.", "Zerowidth."]


@pytest.mark.parametrize(
    "href",
    ["javascript:alert(1)", "data:text/html,x", "mailto:a@example.org", "ftp://example.org/", "/rel", "",
     "https://user:pass@example.org/", "https://[bad/", "java\tscript:alert(1)", "//example.org/x"],
)  # fmt: skip
def test_only_addresses_of_the_web_are_links(href: str) -> None:
    assert to_markdown(f'<p><a href="{href}">words</a></p>') == "words"


def test_relative_addresses_count_from_the_page() -> None:
    html = '<a href="../two?x=1">two</a> <a href="//other.example/">other</a>'
    made = to_markdown(html, base="https://blog.example/a/b/")
    assert made == "[two](https://blog.example/a/two?x=1) [other](https://other.example/)"


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 25_000 + "x", "<ul><li>" * 12_000 + "x", "<blockquote>" * 12_000 + "x",
        "<b>" * 25_000 + "x" + "</b>" * 25_000, "<em>a" * 12_000 + "</em>" * 12_000,
        "<a href='http://x.example/'>" * 12_000 + "x", "<" * 20_000, "<a " + 'x="' * 25_000,
        "<p>" + "x<br>" * 25_000, "`" * 20_000, "<td>x" * 25_000, "<pre>" * 25_000, "<!--" * 25_000,
        "<div style='display:none'>" * 12_000, "&#x1F600;" * 25_000,
    ],
    ids=lambda html: html[:12],
)  # fmt: skip
def test_html_made_to_hurt_is_read_in_one_pass(html: str) -> None:
    begun = time.process_time()
    made = to_markdown(html)
    assert (
        time.process_time() - begun < 20
    )  # a second or two; what grows with the square takes minutes
    assert len(made) <= MAX_MARKDOWN * 1.1


@pytest.mark.skipif(not XSS.exists(), reason="the corpora are not beside the checkout")
def test_no_payload_of_the_corpus_leaves_anything_that_acts() -> None:
    for row in map(json.loads, XSS.read_text().splitlines()):
        made = to_markdown(f"<p>before</p>{row['p']}<p>after</p>")
        assert not any(
            address.lower().lstrip().startswith(("javascript:", "data:", "vbscript:"))
            for token in parse(made).tokens
            for child in token.children or ()
            if isinstance(address := child.attrs.get("href", ""), str)
        )
        assert not any(
            token.type == "image" for t in parse(made).tokens for token in t.children or ()
        )


def test_plain_words_can_be_put_into_markdown() -> None:
    assert plain_text(line_start(escaped("1. not *a* list"))) == "1. not *a* list"
    assert line_start("2026 was a year") == "2026 was a year"


# ---------------------------------------------------------------- addresses that lead on

PAPER = "https://arxiv.org/abs/2605.00001"
CODED = "https%3A%2F%2Farxiv.org%2Fabs%2F2605.00001"
B64 = base64.urlsafe_b64encode(PAPER.encode()).decode().rstrip("=")
JSON64 = base64.urlsafe_b64encode(json.dumps({"e": PAPER, "p": 1}).encode()).decode().rstrip("=")
MANDRILL = base64.b64encode(json.dumps({"p": json.dumps({"url": PAPER})}).encode()).decode()
OPAQUE = "u001." + "aB3-" * 20


@pytest.mark.parametrize(
    "address",
    [
        PAPER, f"{PAPER}?utm_source=news&utm_medium=mail", f"https://www.google.com/url?q={CODED}&sa=D",
        f"https://eur01.safelinks.protection.outlook.com/?url={CODED}&data=05",
        f"https://tracking.tldr.example/CL0/{CODED}/1/0100019", f"https://x.awstrack.me/L0/{CODED}/1/01",
        f"https://click.convertkit-mail.example/a1b2/c3d4/{B64}", f"https://substack.com/redirect/2/{JSON64}",
        f"https://mandrillapp.com/track/click/3/x?p={MANDRILL}", f"https://medium.com/r/?url={CODED}",
        "https://urldefense.com/v3/__https://arxiv.org/abs/2605.00001__;!!abc$",
        "https://urldefense.proofpoint.com/v2/url?u=https-3A__arxiv.org_abs_2605.00001&d=x",
        f"https://l.example/l.php?u=https%3A%2F%2Fwww.google.com%2Furl%3Fq%3D{CODED.replace('%', '%25')}",
    ],
)  # fmt: skip
def test_an_address_in_an_address_takes_its_place(address: str) -> None:
    assert http_address(address) == PAPER


@pytest.mark.parametrize(
    "address",
    [
        f"https://{OPAQUE[:5]}ct.sendgrid.net/ls/click?upn={OPAQUE}",
        f"https://x.us1.list-manage.com/track/click?u={'0a' * 20}&id=1",
        f"https://link.mail.beehiiv.example/ss/c/{OPAQUE}/1", f"https://substack.com/redirect/{'a1' * 20}?j=x",
    ],
)  # fmt: skip
def test_of_a_counter_that_alone_knows_the_target_the_words_stay(address: str) -> None:
    assert to_markdown(f'<p>See <a href="{address}">the paper</a>.</p>') == "See the paper."


def test_an_address_that_only_holds_another_stays() -> None:
    address = "https://web.archive.org/web/2026/https://example.org/"
    assert http_address(address) == address
    assert http_address("https://example.org/?url=https://other.example/") == (
        "https://example.org/?url=https://other.example/"
    )
    assert http_address("https://click.example/?url=javascript:alert(1)").startswith(
        "https://click"
    )


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_no_address_breaks_its_link(text: str) -> None:
    made = http_address("https://example.org/" + text)
    assert not set(made) & set('()[]<> \n\t"`\\|')


# ---------------------------------------------------------------- papers that are named


@pytest.mark.parametrize(
    ("address", "paper"),
    [
        ("https://arxiv.org/abs/2605.00001v2", "arxiv:2605.00001v2"),
        ("http://www.arxiv.org/pdf/2605.00001.pdf", "arxiv:2605.00001"),
        ("https://arxiv.org/html/2605.00001v1#S2", "arxiv:2605.00001v1"),
        ("https://export.arxiv.org/abs/math.GT/0309136", "arxiv:math/0309136"),
        ("https://huggingface.co/papers/2605.00001", "arxiv:2605.00001"),
        ("https://www.alphaxiv.org/abs/2605.00001", "arxiv:2605.00001"),
        ("https://doi.org/10.1145/3292500.3330701", "doi:10.1145/3292500.3330701"),
        ("https://doi.org/10.48550/arXiv.2605.00001", "arxiv:2605.00001"),
        ("https://dl.acm.org/doi/pdf/10.1145/3292500.3330701", "doi:10.1145/3292500.3330701"),
        ("https://aclanthology.org/2024.acl-long.1.pdf", "doi:10.18653/v1/2024.acl-long.1"),
        ("https://openreview.net/forum?id=aB3_x-9", "openreview:aB3_x-9"),
        ("https://arxiv.org/list/cs.CL/new", None), ("https://huggingface.co/papers", None),
        ("https://example.org/abs/2605.00001", None), ("https://arxiv.org.example/abs/2605.00001", None),
        ("https://openreview.net/forum?id=../x", None), ("https://[", None),
    ],
)  # fmt: skip
def test_a_paper_is_known_by_its_address(address: str, paper: str | None) -> None:
    assert paper_of(address) == paper


def test_each_paper_is_named_once_with_the_sentence_around_it() -> None:
    text = (
        "# Of the week\n\nFirst words. [A study of looms](https://arxiv.org/abs/2605.00001) fails to hold "
        "up. Others too.\n\n- **arXiv:2605.00002**: cheap and quick.\n- See doi:10.1145/3292500.3330701.\n\n"
        "### [Two looms](https://openreview.net/forum?id=abcdef)\n\nTwo are more than one. Then nothing.\n\n"
        "Again arXiv:2605.00001v2, and https://arxiv.org/pdf/2605.00003."
    )
    assert [(each.paper, each.sentence) for each in named(text)] == [
        ("arxiv:2605.00001", "A study of looms fails to hold up."),
        ("arxiv:2605.00002", "arXiv:2605.00002: cheap and quick."),
        ("doi:10.1145/3292500.3330701", "See doi:10.1145/3292500.3330701."),
        ("openreview:abcdef", "Two looms Two are more than one."),
        ("arxiv:2605.00003", "Again arXiv:2605.00001v2, and https://arxiv.org/pdf/2605.00003."),
    ]


def test_titles_are_named_where_they_could_be_some() -> None:
    text = (
        "[A study of many looms](https://example.org/x) and “Attention to every single loom” are good, "
        "[read more](https://example.org/y) is not, nor [The very same study](https://arxiv.org/abs/2605.00001)."
    )
    assert [each.paper for each in named(text, titles=True)] == [
        "title:A study of many looms", "title:Attention to every single loom", "arxiv:2605.00001",
    ]  # fmt: skip
    (first,) = mentions(text, section="news", day="2026-05-08", source_name="Ada")
    assert (first.paper, first.section, first.day, first.source_name) == (
        "arxiv:2605.00001", "news", "2026-05-08", "Ada",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "version 2605.00001 of it",
        "arXiv:2605.000012345",
        "10.12/x",
        "call 10.1234 now",
        "xarxiv:2605.00001",
    ],
)
def test_numbers_are_no_papers(text: str) -> None:
    assert named(text) == []


@pytest.mark.parametrize(
    "text", ["[" * 50_000, "[a](http://x.example/)" * 6_000, "10.1234/" * 12_000, "arxiv:" * 15_000, '"' * 20_000,
             "*" * 20_000, "> " * 25_000, "http://" * 15_000, "[x\\\n" * 20_000, "a " * 50_000],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_a_text_made_to_hurt_is_looked_through_once(text: str) -> None:
    begun = time.process_time()
    named(text, titles=True)
    assert time.process_time() - begun < 10
