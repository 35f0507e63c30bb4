"""Questions are read from a text's own section, and follow it when it is edited."""

from __future__ import annotations

import pytest

from app.domain.questions import Standing, asked, in_step, left_open, numbered


def test_items_under_the_heading_are_the_questions_and_nothing_else_is() -> None:
    body = """## What it does

- Not a question.

## Open questions

- Does it *hold* for [[long context|long inputs]]?
- What is the price
  of a miss?
    - said under the item

1. And a third one?

### Aside

Words between.

## Results

- Not a question either.
"""
    assert asked(body) == [
        "Does it hold for long inputs?",
        "What is the price of a miss?",
        "And a third one?",
    ]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("## Research angle\n\n(1) Try it. (2) Measure it.", ["Try it.", "Measure it."]),
        ("**Research angle:** one thing to try\n\nNot this.", ["one thing to try"]),
        ("Research angles: (1) A first one, (2) another", ["A first one", "another"]),
        ("## Open questions\n\nIs it so?\n\nOr is it not?", ["Is it so?", "Or is it not?"]),
        ("```\n## Open questions\n- in code\n```", []),
        ("## Open questions about birds\n\n- Not this heading", []),
        ("These are open questions\n\n- of prose", []),
        ("## Open questions", []),
        ("", []),
    ],
)
def test_a_section_is_read_in_every_form_it_is_written(body: str, found: list[str]) -> None:
    assert asked(body) == found


def test_the_same_question_counts_once_and_a_flood_is_cut() -> None:
    assert asked("## Open questions\n- Is it so?\n- Is it  SO?") == ["Is it so?"]
    flood = "## Open questions\n" + "\n".join(f"- Is {n} enough?" for n in range(500))
    assert len(asked(flood)) == 40


def test_a_number_in_a_sentence_opens_no_question() -> None:
    assert numbered("(1) It sinks (3) times. (2) Then not.") == ["It sinks (3) times.", "Then not."]


@pytest.mark.parametrize(
    "sentence",
    [
        "We leave the extension to several languages to future work.",
        "Whether the effect holds for larger models remains an open question.",
    ],
)
def test_what_an_abstract_leaves_open_at_its_end_is_a_question(sentence: str) -> None:
    abstract = f"We propose a method of sorting. It is twice as fast. {sentence}"
    assert left_open(abstract) == [sentence]


@pytest.mark.parametrize(
    "abstract",
    [
        "Sorting at scale remains an open problem for practice. In this paper we propose a method.",
        "How to sort remains unclear, and we answer this in full here. It is fast.",
        "We propose a method. It is fast.",
        "",
    ],
)
def test_a_problem_that_the_paper_solves_is_not_left_open(abstract: str) -> None:
    assert left_open(abstract) == []


def test_a_reworded_question_stays_the_same_one() -> None:
    standing = [Standing(1, "Does the effect hold for long inputs?", in_text=True, kept=True)]
    steps = in_step(standing, ["Does the effect hold for very long inputs?", "Is it new?"])
    assert steps.reworded == {1: "Does the effect hold for very long inputs?"}
    assert steps.new == ("Is it new?",)
    assert not steps.gone
    assert not steps.withdrawn


def test_what_was_decided_is_withdrawn_and_the_rest_is_gone() -> None:
    standing = [
        Standing(1, "One?", in_text=True, kept=True),
        Standing(2, "Two?", in_text=True),
        Standing(3, "From elsewhere?", in_text=False),
    ]
    steps = in_step(standing, [])
    assert steps.withdrawn == (1,)
    assert steps.gone == (2,)


def test_a_question_from_elsewhere_that_the_text_now_lists_is_the_same_one() -> None:
    steps = in_step([Standing(3, "From elsewhere?", in_text=False)], ["from elsewhere"])
    assert steps.new == ()
    assert steps.reworded == {3: "from elsewhere"}


def test_one_that_is_listed_again_is_no_longer_withdrawn() -> None:
    standing = [Standing(1, "One?", in_text=True, kept=True, withdrawn=True)]
    assert in_step(standing, []).withdrawn == ()
    assert in_step(standing, ["One?"]).reworded == {1: "One?"}
