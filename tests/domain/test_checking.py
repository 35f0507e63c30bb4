"""The checker: what a sentence may say by the texts it rests on, and what it may not."""

from __future__ import annotations

import pytest

from app.domain.checking import check

TEA = r"""LeafCache: Serving Millions of Teapots from One Kettle. 2026-05-14.
We present LeafCache, a managed kettle for group relative steeping optimisation (GRSO). It moves only the
leaf, under 1\% of the pot's size, which gives an $18.3\times$ shorter step on Oolong-4B and 2.85x on
Sencha2.5-GR-30B; several pots at once shorten the day by 1.77x. It holds $10^{6}$ addressable leaves
and loads them 8.5--8.7x faster. The public and the hidden taste correlate at $-0.13$. Bitterness falls
from 12.4 to 8.1%. Accuracy on Brew-bench Verified rises by 5 percentage points in 40 ms. There are three
axes, 2,614 cups and a key-value store (see arXiv 2604.01234). Half of the pots were cold."""
ID = "arxiv:2605.13779"


@pytest.mark.parametrize(
    "sentence",
    [
        "LeafCache makes the step 18.3x shorter on Oolong-4B.",
        "The step of the 4B pot is shorter by a factor of 18.3.",
        "The step is 18.3 times shorter, and 2.85-fold with Sencha2.5-GR-30B.",
        "It holds a million addressable leaves.",
        "It holds 10^6 leaves, or 1,000,000, and loads them 8.5 to 8.7x faster.",
        "Loading leaves is 8.5\u20138.7\u00d7 faster.",
        "Public and hidden taste correlate at \u22120.13.",
        "There is a negative correlation of 0.13 between public and hidden taste.",
        "Bitterness falls from 12.4% to 8.1 percent.",
        "Accuracy on Brew-bench Verified rises by 5 points within 40 milliseconds.",
        "Three axes are named, and 3 are measured on 2614 cups.",
        "The leaf is under 1% of the pot.",
        "50% of the pots were cold.",
        "The KV store of LeafCache follows arXiv:2604.01234v2.",
        "Group Relative Steeping Optimisation runs in LeafCache's kettle.",
        "On May 14, LeafCaches came; in the wiki since 05-14.",
        "This paper (arXiv 2605.13779) serves teapots.",
        "It \u201cmoves only the leaf\u201d of each pot.",
        "Surprisingly, one kettle is enough for the pots.",
        "Serving teapots needs one kettle.",
        "Half of the pots were cold.",
    ],
)
def test_what_is_true_stands(sentence: str) -> None:
    assert check(sentence, [TEA], [ID]) == ""


@pytest.mark.parametrize(
    ("sentence", "named"),
    [
        ("LeafCache makes the step 13.8x shorter.", "13.8x"),
        ("Several pots at once shorten the day by 17.7x.", "17.7x"),
        ("LeafCache makes the step 18.3% shorter.", "18.3%"),
        ("Accuracy on Brew-bench rises by 5%.", "5%"),
        ("Accuracy on Brew-bench rises within 40 s.", "40 s"),
        ("It holds 10^7 addressable leaves.", "10^7"),
        ("It holds a billion addressable leaves.", "billion"),
        ("Public and hidden taste correlate at 0.13.", "0.13"),
        ("Four axes are named.", "four"),
        ("A third of the pots were cold.", "third"),
        ("With Oolong-8B the step of the pot is shorter.", "Oolong-8B"),
        ("With Sencha3.5-GR-30B the step is shorter.", "Sencha3.5-GR-30B"),
        ("RootCache moves only the leaf.", "RootCache"),
        ("Orthrus moves only the leaf of the pot.", "Orthrus"),
        ("The kettle is better than Darjeeling on taste.", "Darjeeling"),
        ("The leaf follows arXiv 2604.01235.", "2604.01235"),
        ("The leaf is read at https://evil.example/x of the pot.", "https://evil.example/x"),
        ("On May 15 the kettle came.", "May 15"),
        ("It came on 2026-06-14 with a kettle.", "2026-06-14"),
        ("It \u201cmoves only the whole pot\u201d of the kettle.", "moves only the whole pot"),
        ("The kettle runs under the XQZ rule.", "XQZ"),
    ],
)
def test_what_is_planted_is_caught(sentence: str, named: str) -> None:
    assert named in check(sentence, [TEA], [ID])


def test_a_sentence_that_rests_on_nothing_states_no_number_and_no_name() -> None:
    assert "rests on no text" in check("It is 3x faster.", [])
    assert "rests on no text" in check("So says LeafCache.", [])
    assert check("So the question becomes another one.", []) == ""


def test_a_sentence_about_another_thing_than_its_source_says_is_caught() -> None:
    said = "Recurrent networks forget long sequences of musical notes during training."
    assert check(said, [TEA], [ID]) == "It speaks of other things than what it rests on."


def test_a_sentence_may_count_what_it_rests_on() -> None:
    texts = [
        TEA,
        "Steeping at night. Pots steep in the dark.",
        "Steeping by day. Pots steep in light.",
    ]
    assert check("Three papers today steep pots.", texts, ["a", "b", "c"]) == ""
    assert "seven" in check("Seven papers today steep pots.", texts, ["a", "b", "c"])
    counted = "thread Night steeping: 7 papers since 2026-04-16"
    assert check("Seven papers steep at night since 04-16.", [*texts, counted], ["a", "b"]) == ""
    assert "eight" in check("Eight papers steep at night.", [*texts, counted], ["a", "b"])


def test_a_list_behind_a_colon_may_be_counted() -> None:
    assert check("Two findings: the leaf is small; the pots were cold.", [TEA], [ID]) == ""
    assert check("Four findings: the leaf is small; the pots were cold.", [TEA], [ID])


def test_a_short_word_of_capitals_is_not_a_small_word() -> None:
    assert "IT" in check("The kettle is run by IT of the pot.", [TEA], [ID])


@pytest.mark.parametrize(
    "hostile",
    [
        "1" * 5_000,
        "1," * 3_000,
        "A" * 5_000,
        "A-1." * 2_000,
        "\u201c" * 4_000,
        "$" * 4_000,
        "\\text{" * 2_000,
        "10^99999999999 leaves",
        "1e999 and 10^999 leaves",
        "\u00b2\u00b3\u2070" * 2_000,
        "{" * 5_000,
        "a\u0301" * 3_000,
        "",
    ],
    ids=lambda text: text[:12],
)
def test_no_text_stops_it(hostile: str) -> None:
    assert isinstance(check(hostile, [TEA], [ID]), str)
    assert isinstance(check("The step is 18.3x shorter.", [hostile], [ID]), str)
