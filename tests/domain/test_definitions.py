"""Definitions are the papers' own sentences, and nothing else."""

import pytest

from app.domain.definitions import Text, as_markdown, definition, places, use
from app.domain.markdown import plain_text
from app.domain.terms import term_key

KEY = term_key("cold withering")


def best(*texts: str) -> tuple[str, bool] | None:
    found = definition([KEY], [Text(n, "Tea", text) for n, text in enumerate(texts)])
    return (found[0].text, found[1]) if found else None


@pytest.mark.parametrize(
    "sentence",
    [
        "Cold withering is a way to dry leaves slowly in a draught below ten degrees.",
        "Cold withering (CW) is the slow loss of water that leaves have before they are rolled.",
        "Cold-withering refers to the drying of picked leaves in a cool and airy room.",
        "Cold withering, a slow drying of leaves in cool air, keeps the scent of the flowers.",
        "The cold withering of leaves is one thing; cold witherings are the older craft of the hills.",
    ],
)
def test_the_sentence_that_defines_is_found_among_others(sentence: str) -> None:
    others = (
        "We compare cold withering with pan firing on forty teas and find a lighter cup.",
        "Pan firing is a way to stop the leaves from turning brown. It needs no cold withering.",
    )
    found = best(others[0], f"Tea is old. {sentence} It costs little.", others[1])
    assert found is not None
    assert found[0] == sentence
    assert found[1] or sentence.startswith("The cold")


def test_without_a_definition_a_sentence_that_uses_the_term_is_quoted_as_such() -> None:
    text = "Tea is old. Leaves that had a cold withering gave a light cup."
    assert best(text) == ("Leaves that had a cold withering gave a light cup.", False)
    assert best("Tea is old.") is None
    assert definition([KEY], []) is None


def test_a_quotation_is_a_piece_of_the_text_and_marks_the_term() -> None:
    text = "Tea is old. In cold  withering, and in\ncold-withering too, leaves dry."
    said = use([KEY], Text(5, "Tea", text))
    assert said is not None
    assert said.paper == 5
    assert said.text in text
    assert [said.text[start:end] for start, end in said.spans] == [
        "cold  withering",
        "cold-withering",
    ]


def test_the_label_of_a_feed_and_the_mark_of_a_list_are_not_quoted() -> None:
    label = "arXiv:2605.00001v1 Announce Type: new Abstract: "
    for mark in (label, "2) ", "- "):
        assert best(f"{mark}Cold withering dries leaves. Tea is old.") == (
            "Cold withering dries leaves.",
            False,
        )


def test_a_term_of_the_title_alone_is_quoted_from_there() -> None:
    said = use([KEY], Text(5, "Cold Withering of Tea", "It dries leaves."))
    assert said is not None
    assert (said.text, said.where) == ("Cold Withering of Tea", "title")
    assert said.spans == ((0, 14),)
    assert use([KEY], Text(5, "Tea", "It dries leaves.")) is None


def test_words_apart_are_not_the_term() -> None:
    assert places("cold. withering", [KEY]) == []
    assert places("cold and very long withering", [KEY]) == []
    assert places("chains of thoughts", [term_key("chain of thought")]) == [(0, 18)]
    assert places("pre-training helps", [term_key("pretraining")]) == [(0, 12)]
    assert places("", [KEY]) == []


@pytest.mark.parametrize(
    "text",
    [
        "Uses *stars*, _lines_, `ticks` and [[a page]] or [a](b) <b>bold</b> | # ~~x~~ !",
        "# begins like a heading",
        "- begins like a list",
        "12. begins like a numbered list",
        "> begins like a quotation",
        "A back\\slash and braces {x}",
    ],
)
def test_quoted_text_shows_as_it_is(text: str) -> None:
    assert plain_text(as_markdown(text)) == text


def test_formulas_stay_formulas_and_lines_become_one() -> None:
    assert as_markdown("The sum $a_1 * b_2$\nof *all*") == "The sum $a_1 * b_2$ of \\*all\\*"


@pytest.mark.parametrize("text", ["cold " * 50_000, "cold withering is a " * 10_000, "(" * 50_000])
def test_hostile_texts_are_quoted_in_pieces_or_not_at_all(text: str) -> None:
    found = definition([KEY], [Text(1, "Tea", text)])
    assert found is None or (found[0].text in text and len(found[0].text) < 2_000)
