"""The extracted summary: sentences of an abstract as they stand, each with its role."""

from __future__ import annotations

import pytest

from app.domain.markdown import plain_text, wikilinks
from app.domain.summaries import MARK, MOST, Role, as_markdown, extract

TITLE = "Heron: eviction by predicted reuse"
PROBLEM = "However, policies that look at the past alone fail on programs with changing phases."
APPROACH = "We propose Heron, a policy that evicts cache lines by predicted reuse."
HOW = "Heron learns online from the last hundred misses."
RESULT = "On twelve programs it saves 14% of all misses and 2.1 ms a frame."
LIMITS = "Our method assumes that a program has phases at all."
CODE = "Code is available at https://github.com/example/heron_1."
ABSTRACT = " ".join(
    ["Processors spend much of their time on memory.", PROBLEM, APPROACH, HOW, RESULT, LIMITS, CODE]
)


def test_it_takes_what_the_paper_is_about_and_leaves_the_rest() -> None:
    summary = extract(TITLE, ABSTRACT)

    assert summary is not None
    assert [(each.role, each.text) for each in summary.sentences] == [
        (Role.PROBLEM, PROBLEM),
        (Role.APPROACH, APPROACH),
        (Role.RESULT, RESULT),
        (Role.LIMITS, LIMITS),
        (Role.CODE, CODE),
    ]
    assert all(ABSTRACT[each.start : each.end] == each.text for each in summary.sentences)


def test_of_two_results_the_one_with_a_number_is_taken() -> None:
    vague = "Experiments show that it improves on older policies."
    summary = extract(TITLE, f"{APPROACH} {vague} {RESULT}")

    assert summary is not None
    assert RESULT in [each.text for each in summary.sentences]


def test_a_sentence_that_is_said_twice_is_taken_once() -> None:
    summary = extract(TITLE, f"{APPROACH} {RESULT} {APPROACH.upper()} {RESULT}")

    assert summary is not None
    assert [each.text for each in summary.sentences] == [APPROACH, RESULT]


def test_where_nothing_is_proposed_the_sentence_most_like_the_title_says_what_it_does() -> None:
    summary = extract(
        "Tide gauges of the north", "Storms are many. The tide gauges of the north drift slowly."
    )

    assert summary is not None
    assert [e.text for e in summary.sentences if e.role == Role.APPROACH] == [
        "The tide gauges of the north drift slowly."
    ]


def test_the_end_of_an_abstract_that_was_cut_is_left_out() -> None:
    summary = extract(TITLE, f"{APPROACH} On twelve programs it saves 14% of all mis")

    assert summary is not None
    assert [each.text for each in summary.sentences] == [APPROACH]


@pytest.mark.parametrize("abstract", ["", "  \n\n ", "\t"])
def test_without_an_abstract_there_is_no_summary(abstract: str) -> None:
    assert extract(TITLE, abstract) is None


@pytest.mark.parametrize(
    "abstract",
    [
        "One word",
        "x" * 50_000,
        "a. " * 9_000,
        "We propose $" * 3_000,
        "(" * 9_000,
        "However, " * 9_000 + ".",
        "1% " * 9_000,
        "我们提出一种方法。它节省百分之十四。",
        "- We propose a list.\n- It saves 3%.\n",
    ],
)
def test_odd_abstracts_give_whole_pieces_of_themselves(abstract: str) -> None:
    summary = extract(TITLE, abstract)

    if summary is not None:
        assert 1 <= len(summary.sentences) <= MOST
        assert all(abstract[each.start : each.end] == each.text for each in summary.sentences)
        assert as_markdown(summary).startswith(MARK)


def test_on_a_page_it_says_that_it_is_extracted_and_reads_as_the_abstract_does() -> None:
    summary = extract(TITLE, ABSTRACT)
    assert summary is not None

    body = as_markdown(summary)

    assert body.startswith(f"{MARK}\n\n**Problem.** However,")
    assert body.endswith("\n")
    for each in summary.sentences:
        assert each.text in plain_text(body)


@pytest.mark.parametrize(
    "sentence",
    [
        "We propose [[Other page]] and [a link](https://example.org/x) for *all* of it.",
        "We propose `code`, <b>tags</b>, _stress_ and a_name with | bars ~~and~~ more.",
        "We propose # no heading, &amp; no entity, and ![no picture](x.png) at all.",
        "We propose 5 * 3 * 2 [1] lines with a \\* and a footnote[^1] besides.",
    ],
)
def test_what_means_something_in_markdown_means_itself(sentence: str) -> None:
    summary = extract(TITLE, sentence)
    assert summary is not None

    body = as_markdown(summary)

    assert wikilinks(body) == []
    assert sentence in plain_text(body)


def test_formulas_and_addresses_stay_as_they_are() -> None:
    sentence = r"We propose $a_i^* = \frac{b_1}{c*d}$ (see https://example.org/a_b_c) for it."
    summary = extract(TITLE, sentence)
    assert summary is not None

    assert f"**What it does.** {sentence}" in as_markdown(summary)
