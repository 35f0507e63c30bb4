"""A sentence bears on a question when it says what was found in the question's own rare words."""

from __future__ import annotations

import pytest

from app.domain.bearing import Asked, Board, Read, best, rarity_of

QUESTION = "Does speculative decoding keep the sampling distribution at high temperature?"
ANSWER = "We show that speculative decoding keeps the sampling distribution exactly at every temperature."
COMMON = {"decod": 3, "model": 90, "sampl": 5}


def board(*asked: Asked) -> Board:
    return Board(asked, rarity_of(COMMON, 100))


def paper(text: str, *, page: int = 9, day: str = "2026-05-14") -> Read:
    return Read(page, "A title of no words in common", text, day)


def test_the_sentence_that_says_it_is_quoted_with_its_words_marked() -> None:
    text = f"Birds are many. {ANSWER} Code is there."
    [found] = board(Asked(1, 2, QUESTION, "2026-05-01")).bearings(paper(text))
    assert found.sentence == ANSWER
    assert found.sentence in text
    marked = [found.sentence[start:end] for start, end in found.spans]
    assert "speculative" in marked
    assert "distribution" in marked
    assert best([found]) == [found]


@pytest.mark.parametrize(
    "text",
    [
        "Speculative decoding is a way of sampling. A distribution has a temperature.",  # no finding
        "Does speculative decoding keep the sampling distribution at every temperature, we ask?",
        "We show that birds sing.",
        "",
    ],
)
def test_what_is_no_finding_of_the_question_bears_on_nothing(text: str) -> None:
    assert best(board(Asked(1, 2, QUESTION, "2026-05-01")).bearings(paper(text))) == []


@pytest.mark.parametrize("day", ["2026-05-14", "2026-05-20", ""])
def test_only_an_earlier_question_is_answered(day: str) -> None:
    assert board(Asked(1, 2, QUESTION, day)).bearings(paper(ANSWER)) == []


def test_a_paper_does_not_answer_its_own_question_nor_one_without_telling_words() -> None:
    assert board(Asked(1, 9, QUESTION, "2026-05-01")).bearings(paper(ANSWER)) == []
    assert board(Asked(1, 2, "Does it work?", "2026-05-01")).bearings(paper(ANSWER)) == []


def test_meaning_raises_and_lowers_how_sure_it_is() -> None:
    asked = board(Asked(1, 2, QUESTION, "2026-05-01"))
    [plain] = asked.bearings(paper(ANSWER))
    [near] = asked.bearings(paper(ANSWER), lambda page, one: 0.7)
    [far] = asked.bearings(paper(ANSWER), lambda page, one: 0.0)
    assert far.confidence < plain.confidence < near.confidence
