"""What a Markdown body says: links with their places, structure, sentences, plain words."""

from __future__ import annotations

import json
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.grammar import parse
from app.domain.markdown import (
    Heading,
    WikiLink,
    Wording,
    first_words,
    headings,
    is_linkable,
    link_keys,
    name_key,
    plain_text,
    reword_wikilinks,
    sections,
    sentences,
    tags_in,
    wikilinks,
)

SHARED = Path(__file__).parents[2].parent / "shared"


def _shared_lines(path: str) -> list[dict[str, object]]:
    file = SHARED / path
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


# ------------------------------------------------------------------------------ wikilinks

FORMS = [
    # body, then for each link: target, text, heading, relation
    ("see [[Cache]]", [("Cache", None, None, None)]),
    ("see [[Cache|the cache]]", [("Cache", "the cache", None, None)]),
    ("see [[Cache#Size of it]]", [("Cache", None, "Size of it", None)]),
    ("see [[Cache#Part#Size|x]]", [("Cache", "x", "Size", None)]),
    ("see [[Cache#^b1]]", [("Cache", None, None, None)]),
    ("[[extends::Cache]]", [("Cache", None, None, "extends")]),
    (
        "[[ Part_Of :: Cache # Size | **bold** `words` ]]",
        [("Cache", "bold words", "Size", "part-of")],
    ),
    ("[[C#]] and [[C++]]", [("C#", None, None, None), ("C++", None, None, None)]),
    ("[[::Odd]]", [("::Odd", None, None, None)]),
    ("![[Cache]]", [("Cache", None, None, None)]),
    ("[[[Cache]]]", [("Cache", None, None, None)]),
    ("*[[A]]* **x [[B]]**", [("A", None, None, None), ("B", None, None, None)]),
    ("[[A|]] [[A| ]]", [("A", None, None, None), ("A", None, None, None)]),
    ("[text](My%20Page.md)", [("My Page", "text", None, None)]),
    ("[text](../notes/./Page.md#The%20end)", [("notes/Page", "text", "The end", None)]),
    ("[](Page.md)", [("Page", None, None, None)]),
    ("[text][r]\n\n[r]: Page.md", [("Page", "text", None, None)]),
    ("> - [[In]]\n>   [[Deep]]", [("In", None, None, None), ("Deep", None, None, None)]),
    ("# [[Top]] #", [("Top", None, None, None)]),
    ("[[Top]]\n===", [("Top", None, None, None)]),
    ("a[^1]\n\n[^1]: [[Note]]", [("Note", None, None, None)]),
    ("|x|\n|-|\n|`[[no]]` [[A\\|b]]|", [("A", "b", None, None)]),
    ("[[$\\ell_1$ norm|$\\ell_1$]]", [("$\\ell_1$ norm", "$\\ell_1$", None, None)]),
    # not links
    ("`[[A]]` ``[[B]] ` ``", []),
    ("```\n[[A]]\n```\n\n~~~\n[[A]]\n~~~\n\n    [[A]]", []),
    ("\\[[A]] [\\[A]]", []),
    ("$[[A]]$ and $$[[B]]$$", []),
    ("$$\n[[A]]\n$$", []),
    ("<!-- [[A]] -->\n\n<!--\n\n[[B]]\n\n--> x <!-- [[C]] --> y", []),
    ("[[]] [[ ]] [[|x]] [[#Here]] [[A\nB]]", []),
    ("[[plot.png]] ![[scan.PDF]] ![[photo.jpg|300]]", []),
    ("![a [[A]] b](x.png)", []),
    ("[[1]](https://example.org/one)", []),
    ("[x](https://example.org/A.md) [x](/A.md) [x](mailto:a.md)", []),
    ("unused\n\n[^1]: [[Note]]", []),
]


@pytest.mark.parametrize(("body", "expected"), FORMS)
def test_links_are_read_in_every_form_and_only_where_they_are_links(
    body: str, expected: list[tuple[str, str | None, str | None, str | None]]
) -> None:
    found = [(link.target, link.text, link.heading, link.relation) for link in wikilinks(body)]
    assert found == expected


def test_offsets_are_those_of_the_source_wherever_the_link_stands() -> None:
    body = (
        "---\ntags: [[[no]]]\n---\r\n# About [[One]] #\r\n\r\n"
        "> 1. quoted\r\n>\t[[Two|2]] and\nlazy ![[Three]] here\r\n\r\n"
        "| [[Four\\|4]] | a \\| b [[Five]] |\n|---|---|\n| `[[Five]]` | [[Five\\|5]]\\|[[Six]] |\n\n"
        "- [ ] `[[Seven]]` [[Seven]]\n"
        "  - [eight](Eight.md#x)\n\n"
        "text[^n] \u2028 \x0b [[Nine]]\n\n[^n]: note \\| [[uses::Ten]]\n"
    )
    pieces = [body[link.start : link.end] for link in wikilinks(body)]
    assert pieces == [
        "[[One]]",
        "[[Two|2]]",
        "![[Three]]",
        "[[Four\\|4]]",
        "[[Five]]",
        "[[Five\\|5]]",
        "[[Six]]",
        "[[Seven]]",
        "[eight](Eight.md#x)",
        "[[Nine]]",
        "[[uses::Ten]]",
    ]


def test_a_link_knows_the_sentence_it_stands_in() -> None:
    body = (
        "It was slow. As Fig. 2 of *Ito et al.* shows, [[extends::Paged attention|paging]] is\n"
        "`fast` for $n > 3. 5$ tokens. The rest is known.\n"
    )
    (link,) = wikilinks(body)
    assert link.sentence == (
        "As Fig. 2 of Ito et al. shows, extends paging is fast for $n > 3. 5$ tokens."
    )


def test_two_links_in_one_sentence_share_it_and_the_next_one_does_not() -> None:
    links = wikilinks("We join [[A]] with [[B]]. Then [[C]] follows.")
    assert [link.sentence for link in links] == [
        "We join A with B.",
        "We join A with B.",
        "Then C follows.",
    ]


@pytest.mark.parametrize("case", _shared_lines("corpora/own/wikilinks.jsonl"), ids=str)
def test_sample_wikilinks_are_read_as_stated(case: dict[str, object]) -> None:
    links = wikilinks(str(case["md"]))
    assert [link.target for link in links] == case["links"]
    if "text" in case:
        assert links[0].text == case["text"]
    if "anchor" in case:
        assert links[0].heading == case["anchor"]


BLOCKS = st.sampled_from(
    [
        "plain [[Alpha]] text.",
        "two [[Beta|b]] and [[Gamma#H]]\nwrapped [[uses::Delta]] line",
        "# Head [[Alpha]]",
        "- item [[Beta]]\n  - deeper `[[x]]` [[Beta]]",
        "> quoted [[Alpha]]\n> on",
        "| a | [[Beta\\|b]] |\n|---|---|\n| `[[Beta\\|b]]` | x\\|[[Gamma]] |",
        "```\n[[Alpha]]\n```",
        "    [[Alpha]]",
        "1. $[[Alpha]]$ [[Alpha]]",
        "a[^q] [[Delta]]",
        "[^q]: foot [[Epsilon]]",
        "<!-- [[Alpha]] -->",
        "[file](Gamma.md) [[Gamma]](",
        "tab\t[[Alpha]]  \nhard ![[Beta]]",
        "\\[[Alpha]] [[[Alpha]]]",
    ]
)
BODIES = st.lists(BLOCKS, min_size=1, max_size=6).flatmap(
    lambda blocks: st.sampled_from(["\n\n", "\n", "\r\n\r\n", "\n> "]).map(
        lambda by: by.join(blocks)
    )
)


@settings(max_examples=300, deadline=None)
@given(BODIES)
def test_each_link_is_found_again_in_its_own_source(body: str) -> None:
    for link in wikilinks(body):
        (alone,) = wikilinks(body[link.start : link.end].replace("\\|", "|"))
        assert (alone.target, alone.text, alone.heading, alone.relation) == (
            link.target,
            link.text,
            link.heading,
            link.relation,
        )


def renamed(body: str, names: dict[str, str]) -> str:
    """The body with links by these names made links by others."""
    by_key = {name_key(old): new for old, new in names.items()}

    def wording(link: WikiLink) -> Wording | None:
        name = by_key.get(name_key(link.target.removesuffix(".md")))
        return Wording(name) if name is not None else None

    return reword_wikilinks(body, wording)


@settings(max_examples=300, deadline=None)
@given(BODIES)
def test_renaming_changes_the_links_and_nothing_else(body: str) -> None:
    before = wikilinks(body)
    written = renamed(body, {"ALPHA": "Omega point", "gamma": "G2"})
    new_names = {"Alpha": "Omega point", "Gamma": "G2"}
    assert [
        (link.target, link.text, link.heading, link.relation) for link in wikilinks(written)
    ] == [
        (new_names.get(link.target, link.target), link.text, link.heading, link.relation)
        for link in before
    ]
    back = renamed(written, {"Omega point": "Alpha", "G2": "Gamma"})
    assert back == body


RENAMES = [
    ("[[Old]] [[old|text]] [[ OLD#H ]]", "[[New]] [[New|text]] [[ New#H ]]"),
    ("[[uses::Old|Old]] ![[Old]]", "[[uses::New|Old]] ![[New]]"),
    ("`[[Old]]` $[[Old]]$ \\[[Old]]", "`[[Old]]` $[[Old]]$ \\[[Old]]"),
    ("|[[Old\\|x]]|\n|-|\n|`a\\|b` [[Old]]|", "|[[New\\|x]]|\n|-|\n|`a\\|b` [[New]]|"),
    ("[a](Old.md) [b](<Old.md> 't') [c](Old.md#h)", "[a](New.md) [b](New.md 't') [c](New.md#h)"),
    ("[Old][o]\n\n[o]: Old.md", "[Old](New.md)\n\n[o]: Old.md"),
    ("[[Older]] [[Ol]] Old", "[[Older]] [[Ol]] Old"),
    ("[[Old.md]]\r\n[[Old]]", "[[New]]\r\n[[New]]"),
    # Lines of blanks that Markdown does not take for spaces, at the beginning of a paragraph.
    ("\u00a0\nSee [[Old]] and\n[x](Old.md).", "\u00a0\nSee [[New]] and\n[x](New.md)."),
    ("- \u00a0\n  \u2003\n  See [[Old]] now", "- \u00a0\n  \u2003\n  See [[New]] now"),
    ("\x0c\nsee [[Old]] too", "\x0c\nsee [[New]] too"),
]


@pytest.mark.parametrize(("body", "expected"), RENAMES)
def test_renaming_keeps_text_heading_and_relation(body: str, expected: str) -> None:
    assert renamed(body, {"Old": "New"}) == expected


SHOWN = [
    # body, name, what it shows instead, what is written
    (
        "[[Old]] ![[Old]] [[Old|text]]",
        "the-new",
        "The new?",
        "[[the-new|The new?]] ![[the-new]] [[the-new|text]]",
    ),
    ("[[Old#Part]] [[Old#^b1]]", "New", "old", "[[New#Part|old]] [[New#^b1|old]]"),
    ("[[Old|]] [[ Old ]]", "New", "old", "[[New|old]] [[ New|old]]"),
    (
        "|[[Old]]|x|\n|-|-|\n|[[uses::Old]]|[[Old\\|]]|",
        "New",
        "old",
        "|[[New\\|old]]|x|\n|-|-|\n|[[uses::New\\|old]]|[[New\\|old]]|",
    ),
    ("[[Old]]", "star", "*A* [b] | c", r"[[star|\*A\* b c]]"),
    ("[[Old]]", "New", "New", "[[New]]"),
    ("[a](Old.md)", "New", "old", "[a](New.md)"),
]


@pytest.mark.parametrize(("body", "name", "shown", "expected"), SHOWN)
def test_a_link_by_another_name_shows_what_it_is_told_to(
    body: str, name: str, shown: str, expected: str
) -> None:
    assert reword_wikilinks(body, lambda link: Wording(name, shown)) == expected


def test_a_bar_that_would_make_a_table_of_a_line_is_not_written() -> None:
    body = "[[Old]]\n|---|---|\n\n[[Old]]"
    assert reword_wikilinks(body, lambda link: Wording("New", "old")) == body
    assert reword_wikilinks(body, lambda link: Wording("New")) == body.replace("Old", "New")


def test_a_name_no_wikilink_can_hold_leaves_its_links_alone() -> None:
    body = "[[Old]]"
    for name in ("a|b", "a#b", "a]]b", "uses::b", "", " x", "pic.png", "two\nlines"):
        assert not is_linkable(name)
        assert renamed(body, {"Old": name}) == body
    assert is_linkable("C#")
    assert renamed(body, {"Old": "C#"}) == "[[C#]]"


# ------------------------------------------------------------------------------ names

NAME_TWINS = [
    ("KV  Cache\n", "kv cache"),
    ("Straße", "STRASSE"),
    ("Caf\u00e9", "cafe\u0301"),
    ("\u2126", "\u03a9"),  # the ohm sign is an omega
]


@pytest.mark.parametrize(("one", "other"), NAME_TWINS)
def test_names_that_differ_only_in_writing_are_one(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@given(st.text())
def test_a_name_key_is_its_own_key_and_normal(name: str) -> None:
    key = name_key(name)
    assert name_key(key) == key
    assert unicodedata.is_normalized("NFC", key)


def test_a_path_or_file_name_is_looked_up_by_its_last_part_too() -> None:
    assert link_keys("AI/Deep Nets.md") == ("ai/deep nets.md", "ai/deep nets", "deep nets")
    assert link_keys("Deep Nets") == ("deep nets",)


# ------------------------------------------------------------------------------ structure


def test_headings_have_level_text_and_anchors_of_their_own() -> None:
    body = (
        "# The $\\ell_1$ *norm*\n\n## Uses\n\ntext\n\nUses\n----\n\n### Uses 2\n\n### Größe `x`\n"
    )
    assert headings(body) == [
        Heading(1, "The $\\ell_1$ norm", "the-ell-1-norm"),
        Heading(2, "Uses", "uses"),
        Heading(2, "Uses", "uses-2"),
        Heading(3, "Uses 2", "uses-2-2"),
        Heading(3, "Größe x", "grosse-x"),
    ]


@given(st.lists(st.sampled_from(["a", "A", "a 2", "a-2", "", "?", "b"]), max_size=12))
def test_anchors_never_repeat(texts: list[str]) -> None:
    anchors = [heading.anchor for heading in headings("\n\n".join(f"# {text}" for text in texts))]
    assert len(anchors) == len(set(anchors)) == len(texts)


def test_sections_hold_the_plain_text_under_each_heading() -> None:
    body = "Intro *here*.\n\n# One\n\nFirst [[A|a]].\n\n- x\n- y\n\n## Two\n"
    assert [(h and h.text, text) for h, text in sections(body)] == [
        (None, "Intro here."),
        ("One", "First a.\n\nx\n\ny"),
        ("Two", ""),
    ]


def test_plain_text_keeps_what_is_seen_and_drops_the_markup() -> None:
    body = (
        "---\nkind: note\n---\n# Top\n\n**Bold** [link](https://x.example) ![alt *text*](p.png)\n"
        "next `code` &amp; $a_1$\\\nend<!-- gone -->.\n\n"
        "| a | b |\n|--|--|\n| 1 | [[P\\|q]] |\n\n```py\nx = 1\n```\n\n$$\ny^2\n$$\n\n"
        "foot[^1] ~~old~~\n\n[^1]: The note.\n"
    )
    assert plain_text(body) == (
        "Top\n\nBold link alt text next code & $a_1$ end.\n\na\tb\n1\tq\n\nx = 1\n\n$$y^2$$\n\n"
        "foot old\n\nThe note."
    )


FIRST = [
    ("# Title\n\nOne two *three* four", 3, "One two three…"),
    ("One two", 2, "One two"),
    ("One two", 5, "One two"),
    ("# Only a heading", 2, "Only a…"),
    ("", 5, ""),
    ("text", 0, ""),
    ("|a|b|\n|-|-|\n\nAfter the table.", 2, "After the…"),
]


@pytest.mark.parametrize(("body", "count", "expected"), FIRST)
def test_first_words_come_from_the_prose(body: str, count: int, expected: str) -> None:
    assert first_words(body, count) == expected


FORMULAS = [
    ("$x$ is 5", "$x$"),
    ("5$\\times$ and $\\sim$10", "$\\times$"),
    ("cost $n^2$.", "$n^2$"),
    ("at $1.05 and $0.51", None),
    ("US$5 to US$10", None),
    ("between $5 and $ 6", None),
    ("\\$x\\$", None),
    ("a $ b$", None),
]


@pytest.mark.parametrize(("body", "formula"), FORMULAS)
def test_money_is_not_a_formula(body: str, formula: str | None) -> None:
    children = parse(body).tokens[1].children or []
    found = [f"${token.content}$" for token in children if token.type == "math_inline"]
    assert found[:1] == ([formula] if formula else [])


# ------------------------------------------------------------------------------ sentences

SENTENCES = [
    ["It works.", "We measured it!", "Did it fail?", "No."],
    ["As Smith et al. (2020) and J. R. R. Jones et al. show, it holds.", "We agree."],
    ["We follow Ito et al.", "We then prune."],
    [
        "See Fig. 3, Eq. (2), Sec. 4.1 and Tab. 5 for e.g. GPT-4 vs. BERT, i.e. both.",
        "It is 3.5 B.",
    ],
    ["The rate is 0.5 at p. 12 of vol. 3, no. 4.", "Version 2.0 is out."],
    ["The answer is no.", "It stays."],
    ["It is fast etc.", "The rest follows."],
    ["The i.i.d. case w.r.t. noise is solved (cf. Ref. [3]).", "Next."],
    ["We use mBERT.", "nnU-Net is better.", "It ends."],
    ['He said "it works."', "Then he left."],
    ["The set {a, b}... is open.", "Wait...", "What?!", "Yes."],
    ["The loss is $x. Y$ for all.", "Done."],
    ["Yahoo! is a name.", "So is U.S. law."],
    ["We propose A.", "The U.K. The end of it."[:0] or "It ends."],
    ["これは文です。", "次の文です！", "Ende."],
    ["1. First we read.", "2. Then we write."],
]


@pytest.mark.parametrize("expected", SENTENCES)
def test_sentences_of_scientific_english_are_cut_where_they_end(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected


def test_blank_lines_and_list_items_end_a_sentence_and_line_breaks_do_not() -> None:
    text = "A title without a stop\n\nA sentence over\ntwo lines. Points:\n- one thing\n- another\n"
    assert sentences(text) == [
        "A title without a stop",
        "A sentence over\ntwo lines.",
        "Points:",
        "- one thing",
        "- another",
    ]


@given(st.text(alphabet="Ab.!? \n\"'()3e.g$\\。-", max_size=120) | st.text(max_size=60))
def test_sentences_are_pieces_of_the_text_and_lose_only_white_space(text: str) -> None:
    found = sentences(text)
    at = 0
    for sentence in found:
        assert sentence == sentence.strip() != ""
        place = text.index(sentence, at)
        assert text[at:place].strip() == ""
        at = place + len(sentence)
    assert text[at:].strip() == ""


# ------------------------------------------------------------------------------ hostile bodies


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="[]()|#!`*_$\\<>-:\n\t 1a.^~&;\r\0\ud800", max_size=120))
def test_no_text_makes_reading_fail(body: str) -> None:
    document = parse(body)
    assert document.refused is None
    assert len(document.source) == len(body)
    for link in wikilinks(body):
        assert 0 <= link.start < link.end <= len(body)
    plain_text(body)
    headings(body)
    assert renamed(body, {"never": "there"}) == body


HARD = [
    "[[" * 20_000,
    "[" * 60_000,
    "[[a|" * 20_000,
    "[^a" * 20_000 + "\n\n[^1]: x",
    "<!--" * 20_000,
    "<!-- a\n" * 8_000,
    "http://" * 10_000,
    "https://a.b/(" * 6_000,
    "$$a\n\n" * 10_000,
    "$\\$" * 20_000,
    "|a" * 300 + "|\n" + "|-" * 300 + "|\n" + "a\n" * 300,
    "![" * 300 + "a" + "](b)" * 300,
    "[a]: " + "u" * 1_900 + "\n\n" + "[a] " * 10_000,
    "# a\n" * 8_000,
    "." * 100_000 + "x",
    "\n \n" * 30_000,
    "- [ ] a\n" * 8_000,
]


@pytest.mark.parametrize("body", HARD, ids=lambda body: repr(body[:12]))
def test_text_made_to_hurt_is_read_in_time(body: str) -> None:
    began = time.process_time()
    wikilinks(body)
    sentences(body)
    assert time.process_time() - began < 4


def test_what_is_too_long_or_too_dense_is_refused_in_words() -> None:
    assert parse("a" * 1_000_001).refused == "it is longer than 1,000,000 characters"
    assert parse("*" * 400_000).refused == "it has too many lines or signs of markup"
    assert wikilinks("[[A]]" + "*" * 400_000) == []
    assert plain_text("a" * 1_000_001) == "a" * 1_000_001
    assert parse("word " * 190_000).refused is None


@pytest.mark.parametrize(
    "case", _shared_lines("corpora/own/markdown-pathological.jsonl"), ids=lambda c: str(c["name"])
)
def test_sample_hard_bodies_are_read_in_time(case: dict[str, object]) -> None:
    body = f"{case['pre']}{str(case['unit']) * int(str(case['n']))}{case['post']}"
    began = time.process_time()
    wikilinks(body)
    assert time.process_time() - began < float(str(case["max_s"])) * 1.5


def test_tags_of_a_text_are_those_that_stand_as_words_in_it() -> None:
    body = (
        "# A heading #of-it\n#start (#in/brackets), #Case #case #twice #twice; x#no http://a.b/#no\n"
        "`#code` [a link](a#b) [x](y #z) [[Page #part]] #42 #4th #end/\n```\n#fenced\n```\n\\#no # #\n"
    )
    assert tags_in(body) == ["of-it", "start", "in/brackets", "Case", "case", "twice", "4th", "end"]
    assert tags_in("Nothing, # or ## of it\n") == []
    assert len(tags_in(" ".join(f"#t{number}" for number in range(5_000)))) == 200
