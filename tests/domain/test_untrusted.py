"""Text of strangers made plain: nothing unseen stays, and nothing that is seen is lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.untrusted import cut, line, plain, prose


@pytest.mark.parametrize(
    "text",
    [
        "Plain words, with punctuation; and\ttabs\nand lines.",
        "Éric prouvé, Übung, naïve, Ångström",
        "e\u0301 combining", "日本語のテキスト", "한국어", "עברית", "العربية ١٢٣", "हिन्दी में",
        "x² ≤ ∑ᵢ αᵢ, ℝⁿ → ℂ",
        "emoji 🎉 and 👍🏽",
        "\ue000 private use",
    ],
)  # fmt: skip
def test_what_is_seen_stays(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    "unseen",
    [
        *"\0\x07\x1b\x7f\x80\xad\u034f\u061c\u115f\u180e\u200b\u200d\u200e\u202a\u202e\u2060\u2066",
        *"\u2069\u3164\ufe0f\ufeff\uffa0\ufff9\uffff\ud800\udfff",
        "\U000e0001", "\U000e0049", "\U000e007f", "\U000e0100", "\U000e01ef", "\U0001d173",
    ],
)  # fmt: skip
def test_what_is_not_seen_goes(unseen: str) -> None:
    assert plain(f"a{unseen}b{unseen}") == "ab"
    assert line(f" a{unseen} \n b ") == "a b"


@pytest.mark.parametrize("end", ["\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\n"])
def test_lines_end_in_one_way(end: str) -> None:
    assert plain(f"a{end}b") == "a\nb"
    assert line(f"a{end}b") == "a b"


def test_half_a_pair_of_surrogates_goes_and_a_whole_character_stays() -> None:
    assert plain("a\ud83d b \U0001f389") == "a b \U0001f389"


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=60))
def test_plain_text_is_text_and_plain_twice_is_plain(text: str) -> None:
    once = plain(text)
    once.encode("utf-8")
    assert plain(once) == once and "\0" not in once and "\r" not in once


@settings(max_examples=200, deadline=None)
@given(st.text('ab <>[]()!|:/"=\n', max_size=80), st.integers(5, 60))
def test_prose_is_short_and_has_no_link_left(text: str, longest: int) -> None:
    said = prose(text, longest)
    assert len(said) <= longest and "\n" not in said
    assert "https" not in prose(f"{text}https://example.org/{text}", 500)


def test_markup_within_markup_goes_too() -> None:
    assert prose("[a ![b](https://x.example/1)](https://x.example/2) c", 400) == "a b c"
    assert prose("![[picture.png]] and [[a|[[b]]]]", 400) == "picture.png and b"


@pytest.mark.parametrize(
    "text", ["[" * 4_000, "<" * 4_000, "<a " * 1_300, "![" * 2_000, "[a](" * 1_000, "(" * 4_000]
)
def test_hostile_markup_takes_no_time(text: str) -> None:
    assert len(prose(text, 400)) <= 400


def test_a_text_is_cut_at_a_word() -> None:
    assert cut("one two three", 13) == "one two three"
    assert cut("one two three", 12) == "one two…"
    assert cut("one two, three", 9) == "one two…"
    assert cut("onetwothree", 6) == "onetw…"
