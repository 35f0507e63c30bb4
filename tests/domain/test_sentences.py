"""Where sentences end: prose, lists, headings, formulas; every sentence an exact piece."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.sentences import sentence_spans, sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\n ", []),
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("No end", ["No end"]),
        ("See Fig. 3 of Moss et al. for it. Next.", ["See Fig. 3 of Moss et al. for it.", "Next."]),
        ("It is 2.5 litres, e.g. of tea.", ["It is 2.5 litres, e.g. of tea."]),
        ("We use $x. y$ here. Then stop.", ["We use $x. y$ here.", "Then stop."]),
        ("Methods\n\nWe boil.", ["Methods", "We boil."]),
        ("Kinds:\n- green\n- black", ["Kinds:", "- green", "- black"]),
        ("Kinds:\n+ green\n1. black", ["Kinds:", "+ green", "1. black"]),
        ("Old.\n## Methods\nNew", ["Old.", "## Methods\nNew"]),
        ("He said\n> boil it\nagain", ["He said", "> boil it\nagain"]),
        ("Table\n| a | b |\n| c | d |", ["Table", "| a | b |", "| c | d |"]),
        ("a line\nthat goes on #3 - so.", ["a line\nthat goes on #3 - so."]),
        ("水。茶！", ["水。", "茶！"]),
    ],
)
def test_a_text_is_cut_where_sentences_end(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


PIECES = st.sampled_from(
    [". ", "! ", "\n", "\n\n", "\n- ", "# ", "|", "> ", "$", "e.g. ", "Fig. 1", "We ", "a", "。"]
)


@settings(deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=40).map("".join))
def test_the_sentences_are_the_text_in_order_and_nothing_is_lost(text: str) -> None:
    spans = sentence_spans(text)
    at = 0
    for start, end in spans:
        assert at <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        assert not text[at:start].strip()
        at = end
    assert not text[at:].strip()
