"""Stance: only what points at the paper, in words of our own."""

from __future__ import annotations

import pytest

from app.domain.records import Stance
from app.domain.stance import said_of, stance_of

S, D = Stance.SUPPORTS, Stance.DISPUTES
TITLE = "Slack Water Keeps Time"


@pytest.mark.parametrize(
    ("text", "stance"),
    [
        ("We could not reproduce the main result of Slack Water Keeps Time.", D),
        ("We couldn\u2019t replicate the numbers in arXiv:2605.00001.", D),
        ("Three groups failed to reproduce Slack Water Keeps Time on open data.", D),
        ("New buoy data contradict the central claim of Slack Water Keeps Time.", D),
        ("The headline number of Slack Water Keeps Time does not hold up on other coasts.", D),
        ("This paper's main claim is badly overstated.", D),
        ("I am sceptical about Slack Water Keeps Time.", D),
        (
            "A follow-up casts serious doubt on the findings of https://arxiv.org/abs/2605.00001v2.",
            D,
        ),
        ("The proof in Slack Water Keeps Time was later retracted.", D),
        ("We found an error in this paper.", D),
        ("Our harbour logs confirm the findings of Slack Water Keeps Time.", S),
        ("An independent team replicated the results of arXiv:2605.00001 within a month.", S),
        ("The effect in Slack Water Keeps Time has since been independently confirmed.", S),
        ("What we see in the estuary is consistent with Slack Water Keeps Time.", S),
        ("Slack Water Keeps Time holds up well on the northern gauges.", S),
        ("This lends strong support to the claims of arXiv:2605.00001.", S),
    ],
)
def test_a_stance_that_points_at_the_paper(text: str, stance: Stance) -> None:
    assert stance_of(text, (TITLE, "2605.00001")) == stance


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Slack Water Keeps Time (arXiv:2605.00001)",
        "Three papers on tides: Slack Water Keeps Time, Moon Bias, Estuary Drift.",
        "Slack Water Keeps Time proposes a clock that runs on tides and reports an error of 2 %.",
        "Slack Water Keeps Time contradicts what Moon Bias said last year.",
        "Slack Water Keeps Time confirms an old guess about estuaries.",
        "The authors of arXiv:2605.00001 could not reproduce the numbers of their rivals.",
        "It is not clear whether anybody can confirm the findings of Slack Water Keeps Time.",
        "Does the claim of Slack Water Keeps Time hold up?",
        "If the effect in Slack Water Keeps Time holds up, harbours will change.",
        "Nothing here contradicts Slack Water Keeps Time.",
        "Nobody has confirmed the claims of Slack Water Keeps Time yet, and nobody may.",
        "Our logs confirm the findings of arXiv:2605.00009, not of Slack Water Keeps Time.",
        "We reproduce the results of Slack Water Keeps Time, but its main claim does not hold.",
        "Slack Water Keeps Time shows that older tide tables are misleading.",
        "Contrary to popular belief, Slack Water Keeps Time is about clocks.",
        "We validate Slack on three benchmarks.",
    ],
)
def test_what_reports_asks_or_lists_has_none(text: str) -> None:
    assert stance_of(text, (TITLE, "2605.00001")) is None


def test_the_words_that_say_it_are_marked() -> None:
    text = "Good news first. We could not reproduce the results of arXiv:2605.00001."
    found = said_of(text)
    assert found is not None
    assert [text[start:end] for start, end in found.spans] == ["could not reproduce"]


def test_of_several_papers_the_one_named_beside_the_cue() -> None:
    text = "We confirm the findings of arXiv:2605.00001, and list arXiv:2605.00002 beside it."
    assert stance_of(text, ("2605.00001",)) == S
    assert stance_of(text, ("2605.00002",)) is None
    assert stance_of(text) is None  # of whom it speaks nobody says


def test_odd_and_long_text_is_read_in_bounds() -> None:
    assert stance_of("confirm " * 100_000) is None
    assert stance_of("\ufffd\x00 contradicts \u202e the paper" * 500, ("\u0130" * 10,)) in (None, D)
