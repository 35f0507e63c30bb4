"""The one way text becomes HTML: what it shows, and what no text can make it do."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import nh3
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.markdown import name_key, wikilinks
from app.rendering import (
    LinkTarget,
    Rendered,
    outward,
    plain_title,
    render_abstract,
    render_body,
    render_marked,
    render_title,
)

SHARED = Path(__file__).parents[1].parent / "shared"
PAGES = {
    "kv cache": LinkTarget("kv-cache", "KV cache", "concept"),
    "paging": LinkTarget("paged-attention", "Paged attention", "concept"),
}


def _known(keys: Collection[str]) -> Mapping[str, LinkTarget]:
    return {key: PAGES[key] for key in keys if key in PAGES}


def _render(body: str) -> str:
    return str(render_body(body, _known).html)


def _soup(body: str) -> BeautifulSoup:
    return BeautifulSoup(_render(body), "html.parser")


# ------------------------------------------------------------------------------ links


def test_a_known_page_is_linked_and_an_unknown_one_can_be_created() -> None:
    page = _soup("[[KV  cache|it]], [[Paging#How it works]] and [[New & <odd>]]")
    known, headed, missing = page.find_all("a")
    assert (known["class"], known["href"], known.text) == (["wikilink"], "/w/kv-cache", "it")
    assert headed["href"] == "/w/paged-attention#p-how-it-works"
    assert missing["class"] == ["missing"]
    assert missing["href"] == "/w/new-and-odd/edit?title=New%20%26%20%3Codd%3E"
    assert missing["title"] == "No page yet: create"
    assert missing.text == "New & <odd>"


def test_all_names_of_a_body_are_looked_up_at_once() -> None:
    calls: list[set[str]] = []

    def resolve(keys: Collection[str]) -> Mapping[str, LinkTarget]:
        calls.append(set(keys))
        return {}

    render_body("[[A]] [[a|x]] [[AI/Nets]]\n\n| [[B]] |\n|-|\n\n`[[C]]` [d](D.md)", resolve)
    render_body("no links", resolve)
    assert calls == [{"a", "ai/nets", "nets", "b", "d"}]


def test_a_link_into_a_folder_finds_the_page_by_its_last_part() -> None:
    assert 'href="/w/kv-cache"' in _render("[[notes/KV cache]]")
    assert 'href="/w/kv-cache#p-size"' in _render("[x](../notes/KV%20cache.md#Size)")


def test_the_relation_stands_before_its_link() -> None:
    page = _soup("[[part-of::KV cache|that]]")
    assert page.select_one("span.relation").text == "part of"  # type: ignore[union-attr]
    assert page.text.strip() == "part of that"


def test_a_heading_link_leads_to_the_id_of_that_heading() -> None:
    body = "# Size & $n$\n\n[[#Size & $n$]] [x](#size-and-n)"
    page = BeautifulSoup(str(render_body(body, _known, id_prefix="q-").html), "html.parser")
    target = page.select_one("h2")
    assert target is not None
    assert [a["href"] for a in page.find_all("a")] == [f"#{target['id']}"] * 2


ADDRESSES = [
    # body, href (None: no link at all), rel
    ("https://example.org/a_(b).", "https://example.org/a_(b)", "noopener noreferrer"),
    ("(see http://example.org/x)", "http://example.org/x", "noopener noreferrer"),
    ("<mailto:a@example.org>", "mailto:a@example.org", "noopener noreferrer"),
    ("[x](/w/other)", "/w/other", None),
    ("[x](other)", "other", None),
    ("![alt](https://evil.example/p.png)", "https://evil.example/p.png", "noopener noreferrer"),
    ("run main.py or README.md, write to a@example.org", None, None),
    ("[x](javascript:alert(1))", None, None),
    ("[x](JaVaScRiPt&colon;alert(1))", None, None),
    ("[x](data:text/html,hi)", None, None),
    ("![x](data:image/svg+xml,hi)", None, None),
    ("[x](//evil.example)", None, None),
    ("[x](/\\evil.example)", None, None),
    ("[x](\\\\evil.example)", None, None),
    ("[x](vbscript:x) <javascript:x> [y](file:///etc/passwd)", None, None),
    ("javascript://example.org/%0aalert(1)", None, None),
]


@pytest.mark.parametrize(("body", "href", "rel"), ADDRESSES)
def test_only_web_mail_and_local_addresses_become_links(
    body: str, href: str | None, rel: str | None
) -> None:
    links = _soup(body).find_all("a")
    assert [link.get("href") for link in links] == ([href] if href else [])
    assert [" ".join(link.get("rel") or []) or None for link in links] == ([rel] if href else [])


def test_a_picture_is_a_link_with_its_alt_text_and_loads_nothing() -> None:
    page = _soup('![a *chart*](https://x.example/c.png "t") [![in](i.png)](https://y.example)')
    assert not page.find_all("img")
    assert [(a["href"], a.text) for a in page.find_all("a")] == [
        ("https://x.example/c.png", "a chart"),
        ("https://y.example", "in"),
    ]


def test_renderer_and_reader_agree_on_what_is_a_link() -> None:
    signs = [
        "[[",
        "]]",
        "|",
        ">",
        "-",
        "#",
        "(",
        "*",
        ")",
        "```",
        "<!--",
        "-->",
        "[^1]",
        "![",
        "[m](",
        "](j)",
        "`",
    ]
    links = [
        "[[A]]",
        "[[b|*c*]]",
        "`[[d]]`",
        "![[e]]",
        "[f](G.md)",
        "\\[[h]]",
        "$[[i]]$",
        "[[x.png]]",
        "<http://k.l>",
    ]
    blocks = ["\n", "\n\n", "    ", " ", "\n\n[^1]: [[n]]\n\n", "|a|\n|-|\n|"]
    fragments = st.sampled_from([*signs, *links, *blocks])

    @settings(max_examples=400, deadline=None)
    @given(st.lists(fragments, max_size=14).map("".join))
    def agree(body: str) -> None:
        links = _soup(body).select("a.missing, a.wikilink")
        shown = sorted(_target(str(link["href"])) for link in links)
        assert shown == sorted(name_key(link.target) for link in wikilinks(body))

    agree()


def _target(href: str) -> str:
    return name_key(unquote(href.partition("?title=")[2]))


# ------------------------------------------------------------------------------ blocks


def test_headings_begin_at_h2_and_make_the_contents() -> None:
    rendered = render_body("# One\n\n### Two $x$\n\n###### Six\n\n#\n", _known)
    assert [(h.level, h.text, h.anchor) for h in rendered.contents] == [
        (2, "One", "p-one"),
        (4, "Two $x$", "p-two-x"),
        (6, "Six", "p-six"),
    ]
    page = BeautifulSoup(str(rendered.html), "html.parser")
    assert [(tag.name, tag["id"]) for tag in page.find_all(["h2", "h4", "h6"])][:3] == [
        ("h2", "p-one"),
        ("h4", "p-two-x"),
        ("h6", "p-six"),
    ]
    assert not page.find_all("h1")
    deeper = render_body("### Three\n\n## Two\n\n### Three\n", _known)
    assert [h.level for h in deeper.contents] == [3, 2, 3]


def test_tables_and_wide_code_can_be_scrolled_by_keyboard() -> None:
    page = _soup("|a|b|\n|:-|-:|\n|1|2|\n\n```py\n" + "x" * 90 + "\n```\n\n```\nshort\n```\n")
    table = page.select_one("div.table")
    assert table is not None
    assert (table["tabindex"], table["role"], table["aria-label"]) == ("0", "region", "Table")
    assert [cell["class"] for cell in table.find_all(["th", "td"])] == [["left"], ["right"]] * 2
    assert [cell.get("scope") for cell in table.find_all("th")] == ["col", "col"]
    assert [pre.get("tabindex") for pre in page.find_all("pre")] == ["0", None]


def test_task_lists_show_boxes_nobody_can_tick() -> None:
    boxes = _soup("- [ ] open\n- [x] done\n").find_all("input")
    assert [(box["type"], box.has_attr("disabled"), box.has_attr("checked")) for box in boxes] == [
        ("checkbox", True, False),
        ("checkbox", True, True),
    ]


def test_footnotes_lead_there_and_back_under_the_prefix() -> None:
    body = "a[^n] b[^n]\n\n# fn:1\n\n[^n]: The *note*.\n"
    page = BeautifulSoup(str(render_body(body, _known, id_prefix="x-").html), "html.parser")
    ids = [tag["id"] for tag in page.find_all(id=True)]
    assert len(ids) == len(set(ids)) == 4
    assert all(each.startswith("x-") for each in ids)
    assert {str(a["href"])[1:] for a in page.find_all("a")} <= set(ids)
    assert "The note." in page.select_one("section.footnotes li").text  # type: ignore[union-attr]


def test_front_matter_and_comments_are_not_shown() -> None:
    assert _render("---\nkind: note\n---\nText <!-- [[secret]] --> on.\n") == "<p>Text  on.</p>\n"


def test_raw_html_is_shown_as_text() -> None:
    page = _soup('<b onclick="x">bold</b> <img src=x onerror=alert(1)>\n\n<script>x</script>\n')
    assert {tag.name for tag in page.find_all()} == {"p"}
    assert "<script>x</script>" in page.text


# ------------------------------------------------------------------------------ formulas


def _maths(html: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(str(tag)) for tag in BeautifulSoup(html, "html.parser")("math")]


def test_formulas_become_mathml_with_their_source_beside_them() -> None:
    html = _render("so $\\ell_1 < n^2$ and\n\n$$\\frac{a}{b}$$\n")
    inline, block = _maths(html)
    assert (inline.get("display"), inline.get("alttext")) == ("inline", "\\ell_1 < n^2")
    assert "".join(inline.itertext()) == "ℓ1<n2"
    assert (block.get("display"), block.find(".//mfrac") is not None) == ("block", True)
    spans = BeautifulSoup(html, "html.parser").select("span.formula")
    assert [span["title"] for span in spans] == ["\\ell_1 < n^2", "\\frac{a}{b}"]


UNCONVERTED = [
    "\\unknowncommand{x}",
    "\\frac",
    "x_",
    "\\left( a",
    "\\def\\a{\\a\\a}\\a",
    "\\newcommand{\\b}{\\b\\b}\\b",
    "\\sideset{_a}{^b}{\\sum}",
    "{" * 900,
    "x" * 2_001,
]


@pytest.mark.parametrize("source", UNCONVERTED, ids=lambda source: source[:20])
def test_a_formula_that_does_not_convert_is_shown_as_its_source(source: str) -> None:
    for html in (_render(f"a ${source}$ b"), str(render_title(f"a ${source}$ b"))):
        code = BeautifulSoup(html, "html.parser").select_one("code.formula")
        assert code is not None
        assert code.text == source


HOSTILE_FORMULAS = [
    "\\href{javascript:alert(1)}{x}",
    "\\text{<script>alert(1)</script>}",
    "\\text{&#x3c;img src=x onerror=alert(1)&#x3e;}",
    "\\style{position:fixed;color:red}{x}",
    '\\class{a" onclick="alert(1)}{x}',
    '\\textcolor{red"onmouseover="x}{y}',
    "\\color{expression(1)} z",
    "\\hspace{9999em}x\\raise{-999em}{y}",
    "\\unicode{x3c}script\\unicode{x3e} \\unicode{xd800} \\unicode{xffffff}",
    "\\operatorname{<b>} \\mbox{</math><script>x</script>}",
    "\\begin{matrix}<a>&</a>\\end{matrix}",
    "</math><img src=x onerror=alert(1)>",
    "\\text{]]><!--}",
    "x \"title='\\'",
]


@pytest.mark.parametrize("source", HOSTILE_FORMULAS)
def test_no_formula_carries_more_than_mathml(source: str) -> None:
    for html in (_render(f"a ${source}$ b"), str(render_title(f"a ${source}$ b"))):
        _assert_harmless(html)
        for math in _maths(html):
            for element in math.iter():
                for value in (element.get(name, "") for name in ("width", "height", "voffset")):
                    assert len(value) < 9


def test_a_placeholder_cannot_be_written_by_the_author() -> None:
    body = " ".join(f"m{'0' * 24}n{n}e" for n in range(3)) + " $x$"
    assert len(_maths(_render(body))) == 1
    assert _render("$x$") == _render("$x$")


# ------------------------------------------------------------------------------ titles

TITLES = [
    # text, words shown (formulas in MathML read out), plain
    (r"\emph{Fast} and \textbf{very {fast}} nets", "Fast and very fast nets", None),
    (r"G\"odel, Erd\H{o}s, \c{C}a, \'{\i}", "Gödel, Erdős, Ça, í", None),
    (r"the $\ell_1$-norm, 5$\times$ faster", "the ℓ1-norm, 5× faster", "the ℓ_1-norm, 5× faster"),
    (r"\textbf{(i) $x^2$ and (ii) $y$}", "(i) x2 and (ii) y", "(i) x^2 and (ii) y"),
    (r"at $5 and \$6, 10\% & <b>", "at $5 and $6, 10% & <b>", None),
    (r"C:\notes\{{ 7*7 }} {% raw %}", None, None),
    ("100% {{ 7*7 }} ~5 a_b #1 `x` *y* [[z]]", "100% {{ 7*7 }} ~5 a_b #1 `x` *y* [[z]]", None),
    (r"we give \method{}, \tool{x}", r"we give \method, \tool{x}", None),
    (r"\input{/etc/passwd} \LaTeX is", r"\input{/etc/passwd} LaTeX is", None),
    (r"see \href{http://a.b}{here} \url{c.d} \texttt{e}", "see here c.d e", None),
    ("two\n  lines\t", "two lines", None),
    ("\\", "\\", None),
    (r"open \emph{brace", "open brace", None),
    (r"stray } \emph{x}", r"stray } \emph{x}", None),
    ("\u202egnp.exe\u2066 a\0b\ud800", "gnp.exe a\ufffdb\ufffd", None),
    (r"\(a+b\) or \[c\]", "a+b or c", None),
    (r"$\sum_{i=1}^n \frac{x_i}{2\sqrt{n}}$", None, "∑_(i=1)^n x_i/(2√n)"),
    (r"$O(n\log n)$ in $\mathbb{R}^{d\times k}$", None, "O(n log n) in ℝ^(d×k)"),
]


@pytest.mark.parametrize(("text", "shown", "plain"), TITLES)
def test_titles_are_latex_not_markdown(text: str, shown: str | None, plain: str | None) -> None:
    html = str(render_title(text))
    _assert_harmless(html)
    if shown is not None:
        assert BeautifulSoup(html, "html.parser").text == shown
    if plain is not None or shown is not None:
        assert plain_title(text) == (plain or shown)


def test_a_title_keeps_what_looks_like_a_command_but_is_none() -> None:
    for text in (r"C:\notes", r"\\server\share"[1:], "{a} {b}", "50% \\foo"):
        assert plain_title(text) == text


def test_an_abstract_keeps_its_paragraphs() -> None:
    html = str(render_abstract("One\nline $a$.\n \n\nTwo <i>.\n"))
    page = BeautifulSoup(html, "html.parser")
    assert [p.text for p in page.find_all("p")] == ["One line a.", "Two <i>."]
    assert render_abstract(" \n\n") == ""


MARKED = [
    ("a <b> c", [(2, 5)], "a <mark>&lt;b&gt;</mark> c"),
    ("abcdef", [(3, 5), (0, 2), (1, 4)], "<mark>abcde</mark>f"),
    ("abc", [(-4, 1), (2, 99), (1, 1), (2, 1)], "<mark>a</mark>b<mark>c</mark>"),
    ("a&b", [], "a&amp;b"),
]


@pytest.mark.parametrize(("text", "spans", "expected"), MARKED)
def test_marked_text_is_escaped(text: str, spans: list[tuple[int, int]], expected: str) -> None:
    assert render_marked(text, spans) == expected


# ------------------------------------------------------------------------------ no active content


def _words(text: str) -> set[str]:
    return set(text.split())


MATHML = _words(
    "math mrow mi mn mo mtext mspace ms msup msub msubsup mfrac msqrt mroot munder mover "
    "munderover mtable mtr mtd mstyle mpadded mphantom menclose mmultiscripts mprescripts"
)
ALLOWED = {
    "p": set(),
    "br": set(),
    "hr": set(),
    **{f"h{level}": {"id"} for level in range(2, 7)},
    **{tag: set() for tag in ("em", "strong", "s", "blockquote", "mark", "tr", "thead", "tbody")},
    "code": {"class"},
    "pre": {"tabindex"},
    "ul": {"class"},
    "ol": {"start"},
    "li": {"id"},
    "a": {"href", "title", "class", "id", "rel", "aria-label"},
    "table": set(),
    "th": {"scope", "class"},
    "td": {"class"},
    "div": {"class", "tabindex", "role", "aria-label"},
    "span": {"class", "title"},
    "sup": {"class"},
    "section": {"class"},
    "input": {"type", "checked", "disabled", "aria-label"},
}
MATHML_ATTRIBUTES = _words(
    "display alttext displaystyle scriptlevel mathvariant stretchy fence form separator "
    "accent accentunder largeop movablelimits symmetric minsize maxsize lspace rspace width "
    "height depth voffset linethickness columnalign rowalign rowlines columnlines "
    "columnspacing rowspacing notation"
)


class _Inspector(HTMLParser):
    """Notes every element and attribute that is not on the lists above."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        allowed = MATHML_ATTRIBUTES if tag in MATHML else ALLOWED.get(tag)
        if allowed is None:
            self.faults.append(f"<{tag}>")
            return
        for name, value in attrs:
            if name not in allowed:
                self.faults.append(f"<{tag} {name}={value!r}>")
            if name == "href" and not _is_harmless(value or ""):
                self.faults.append(f"<{tag} href={value!r}>")
            if name == "type" and value != "checkbox":
                self.faults.append(f"<{tag} type={value!r}>")

    def handle_comment(self, data: str) -> None:
        self.faults.append(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self.faults.append(f"<!{decl}>")

    def handle_pi(self, data: str) -> None:
        self.faults.append(f"<?{data}>")

    def unknown_decl(self, data: str) -> None:
        self.faults.append(f"<![{data}>")


def _is_harmless(href: str) -> bool:
    plain = "".join(char for char in href.lower() if char > " ")
    if plain.startswith(("//", "/\\", "\\")):
        return False
    scheme = re.match(r"([a-z][a-z0-9+.-]*):", plain)  # what a browser takes for a scheme
    return scheme is None or scheme[1] in ("http", "https", "mailto")


# Both read HTML as browsers do; where the lenient one keeps more, something was there to keep.
_STRICT = nh3.Cleaner(
    tags=set(ALLOWED) | MATHML,
    attributes={**ALLOWED, **dict.fromkeys(MATHML, MATHML_ATTRIBUTES)},
    link_rel=None,
    url_schemes={"http", "https", "mailto"},
)
_LENIENT = nh3.Cleaner(
    tags=set(ALLOWED) | MATHML | {"script", "style", "img", "svg", "iframe", "form", "object"},
    attributes={
        **{tag: names | {"style", "onclick", "src"} for tag, names in ALLOWED.items()},
        **dict.fromkeys(MATHML, MATHML_ATTRIBUTES | {"href", "style", "class"}),
    },
    clean_content_tags=set(),
    link_rel=None,
    url_schemes={"http", "https", "mailto", "javascript", "data"},
)


def _assert_harmless(html: str) -> None:
    """No element, attribute or address off the lists, as Python and as a browser's parser see it."""
    inspector = _Inspector()
    inspector.feed(html)
    inspector.close()
    assert inspector.faults == []
    assert _STRICT.clean(html) == _LENIENT.clean(html)


def _everywhere(payload: str) -> str:
    """A body that holds a text in every place text can stand."""
    line = " ".join(payload.split())
    cell = line.replace("|", "\\|")
    return "\n\n".join(
        [
            payload,
            f"# {line}",
            f"[[{line}]] [[KV cache|{line}]] [[KV cache#{line}]] [[{line}::KV cache]]",
            f"| {cell} | [[{cell}]] |\n|---|---|\n| {cell} | `{cell}` |",
            f"- [ ] {line}\n- > {line}",
            f"text[^1] [{line}]({line}) ![{line}](<{line}> '{line}') <{line}>",
            f"[^1]: {line}",
            f"${line}$ $$\\text{{{line}}}$$ `{line}` **{line}**",
            f"[ref]: {line} '{line}'\n\n[ref] {line}",
            f"```{line}\n{payload}\n```\n\n    {line}",
            f"<!-- {line} --> https://example.org/{line}",
        ]
    )


def _payloads() -> Iterator[str]:
    yield from (
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "javascript:alert(1)",
        " jav\tascript:alert(1)",
        "data:text/html;base64,PHNjcmlwdD4=",
        "</title></textarea></style><svg/onload=alert(1)>",
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
        'x" style="position:fixed" hx-get="/logout" data-x="1',
        "](javascript:alert(1))",
        "{{7*7}}${7*7}<%= 7*7 %>",
        "\ud800\0\ufffe\u202e\U000e0041",
        '<a href="vbscript:x">',
        "&lt;script&gt;&#60;script&#62;&colon;",
    )
    for path in ("corpora/xss/payloads.jsonl", "corpora/own/prompt-injection.jsonl"):
        file = SHARED / path
        if file.exists():
            for row in file.read_text(encoding="utf-8").splitlines():
                found = json.loads(row)
                yield str(found.get("p") or found.get("text") or "")
    for path in ("corpora/strings/blns.json",):
        file = SHARED / path
        if file.exists():
            yield from (str(text) for text in json.loads(file.read_text(encoding="utf-8")))
    titles = SHARED / "corpora/own/titles.jsonl"
    if titles.exists():
        for row in titles.read_text(encoding="utf-8").splitlines():
            yield str(json.loads(row)["title"])


def test_no_hostile_text_does_anything_anywhere() -> None:
    count = 0
    for payload in _payloads():
        for html in (
            _render(_everywhere(payload)),
            str(render_title(payload)),
            str(render_abstract(payload)),
            str(render_marked(payload, [(1, 4)])),
        ):
            _assert_harmless(html)
        assert "\ud800" not in plain_title(payload)
        count += 1
    assert count >= 14


def test_the_inspector_of_these_tests_sees_what_is_wrong() -> None:
    for html in (
        "<script>x</script>",
        '<p onclick="x">a</p>',
        '<a href="javascript:x">a</a>',
        '<a href="jav\tascript:x">a</a>',
        '<a href="//evil.example">a</a>',
        '<img src="x">',
        '<p style="color:red">a</p>',
        "<math><mtext><style></style></mtext></math>",
        '<mi href="x">a</mi>',
        "<!-- x -->",
        '<input type="text">',
    ):
        with pytest.raises(AssertionError):
            _assert_harmless(html)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="<>\"'&$[]()|#!`*_\\:/=\n ax1^~;\0\ud800", max_size=80))
def test_no_text_makes_rendering_fail(text: str) -> None:
    _assert_harmless(_render(text))
    _assert_harmless(str(render_title(text)))
    _assert_harmless(str(render_abstract(text)))
    plain_title(text)


def test_every_example_of_the_markdown_specification_is_rendered() -> None:
    file = SHARED / "corpora/markdown/commonmark-spec.json"
    if not file.exists():
        pytest.skip("no ../shared/corpora here")
    examples = json.loads(file.read_text(encoding="utf-8"))
    for example in examples:
        rendered = render_body(example["markdown"], _known)
        assert "notice" not in rendered.html
        _assert_harmless(str(rendered.html))
    assert len(examples) > 600


# ------------------------------------------------------------------------------ bounds


def _is_refused(rendered: Rendered) -> bool:
    return str(rendered.html).startswith('<p class="notice">Shown as it is written: ')


def test_a_body_that_cannot_be_read_is_shown_as_it_is_written() -> None:
    for body in ("<b>" + "a" * 1_000_001, "[[a]] " + "*" * 400_000):
        rendered = render_body(body, _known)
        assert _is_refused(rendered)
        assert rendered.contents == []
        _assert_harmless(str(rendered.html).replace(' class="notice"', ""))
        assert BeautifulSoup(str(rendered.html), "html.parser").pre.text == body  # type: ignore[union-attr]


def test_one_definition_cannot_be_spread_over_a_whole_page() -> None:
    html = _render("[a]: " + "u" * 1_900 + "\n\n" + "[a] " * 10_000)
    assert len(html) < 2_000_000
    assert "<a>" in html
    assert len(_render("$" + "x_1 " * 400 + "y$ ")) < 100_000
    many = _render(" ".join(f"$a_{{{n}}} + b$" for n in range(9_000)))
    assert 0 < many.count('<code class="formula">') < 9_000


HARD = [
    "[[a]] " * 20_000,
    "![[a|*b*]] " * 5_000,
    "$x_1$ " * 10_000,
    "$$\n" + "\\frac{" * 400 + "\n$$\n",
    "| a " * 200 + "|\n" + "|-" * 200 + "|\n" + "b\n" * 400,
    "> " * 5_000 + "x",
    "[^1]: x\n\n" + "[^1]" * 10_000,
]


@pytest.mark.parametrize("body", HARD, ids=lambda body: repr(body[:12]))
def test_bodies_made_to_hurt_are_rendered_in_time(body: str) -> None:
    began = time.process_time()
    render_body(body, _known)
    assert time.process_time() - began < 5


def test_sample_hard_bodies_are_rendered_or_refused_in_time() -> None:
    file = SHARED / "corpora/own/markdown-pathological.jsonl"
    if not file.exists():
        pytest.skip("no ../shared/corpora here")
    for line in file.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        body = case["pre"] + case["unit"] * case["n"] + case["post"]
        began = time.process_time()
        html = render_body(body, _known).html
        assert time.process_time() - began < case["max_s"] * 1.5, case["name"]
        assert html or not body.strip()


# ---------------------------------------------------------------- what leaves the wiki


def test_what_leaves_the_wiki_has_whole_addresses() -> None:
    target = LinkTarget("slack", "Slack water", "concept")
    body = "[[Slack]] [[Nobody]] [a](https://x.y/z?a=1&b=2) [b](sub/page) [c](#up) [d](//evil/x)[^1]\n\n[^1]: n\n"
    html = render_body(body, lambda keys: {"slack": target}).html
    told = outward(html, base="https://w.example/wiki", at="/today/x?view=full")
    hrefs = [a["href"] for a in BeautifulSoup(told, "html.parser").find_all("a")]
    assert hrefs[:2] == ["https://w.example/wiki/w/slack", "https://x.y/z?a=1&b=2"]
    assert "https://w.example/wiki/today/x?view=full#p-up" in hrefs
    assert all(href.startswith("https://") for href in hrefs)
    assert "Nobody" in told and "/edit" not in told
    within = outward(html, base="https://w.example")
    assert 'href="#p-up"' in within and 'href="#p-fn:1"' in within


def test_formulas_leave_as_letters_where_mathml_is_of_no_use() -> None:
    html = render_body("a $x_i^2$ b $\\frac{a}{b}$ c $<&>$ d\n\n$$\\sqrt{n}$$\n", lambda k: {}).html
    told = outward(html, base="https://w", formulas=False)
    assert "<math" not in told and "<mi" not in told
    words = BeautifulSoup(told, "html.parser").get_text()
    assert "a x_i^2 b a/b c" in words and "d" in words and "√n" in words
    assert outward(html, base="https://w").count("<math") == html.count("<math")


def test_a_letter_carries_its_style_and_nothing_else() -> None:
    body = "# H\n\n- [x] done\n\n| a |\n|--:|\n| 1 |\n\n```\n" + "x" * 60 + "\n```\n"
    html = render_body(body, lambda k: {}).html
    told = outward(
        html, base="https://w", formulas=False, styles={"h2": "margin:0", "td": "padding:0"}
    )
    soup = BeautifulSoup(told, "html.parser")
    assert {name for tag in soup.find_all(True) for name in tag.attrs} <= {
        "style",
        "href",
        "scope",
        "start",
    }
    assert soup.h2["style"] == "margin:0" and "☑ done" in soup.get_text()


@given(st.text(max_size=200))
def test_what_leaves_is_as_clean_as_what_stays(body: str) -> None:
    html = render_body(body, lambda k: {}).html
    for told in (
        outward(html, base="https://w"),
        outward(html, base="https://w", at="/x", formulas=False, styles={"p": "margin:0"}),
    ):
        soup = BeautifulSoup(told, "html.parser")
        assert not soup.find_all(["script", "img", "iframe", "svg", "style"])
        assert (
            soup.get_text().split() == BeautifulSoup(html, "html.parser").get_text().split()
            or "$" in body
        )
