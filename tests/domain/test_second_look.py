"""What counts of a second look's reply, and how far it moves a confidence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.domain.second_look import Fits, Said, SecondLook, read

TITLE = "Steeping oolong"
ABSTRACT = "We measure how long leaves of oolong\nshould steep in soft water."
QUOTE = "how long leaves of oolong should steep"


def reply(*answers: Any) -> str:
    return json.dumps({"answers": list(answers)})


def answer(concept: Any = "c1", fits: Any = "yes", quote: Any = QUOTE) -> dict[str, Any]:
    return {"concept": concept, "fits": fits, "quote": quote}


def said(text: str, concepts: tuple[str, ...] = ("c1", "c2")) -> dict[str, Said]:
    return read(text, concepts, title=TITLE, abstract=ABSTRACT)


def test_a_quotation_stands_in_the_title_or_the_abstract_letter_by_letter() -> None:
    assert said(reply(answer())) == {"c1": Said(Fits.YES, QUOTE)}
    assert said(reply(answer(quote=TITLE))) == {"c1": Said(Fits.YES, TITLE)}


@pytest.mark.parametrize(
    "quote",
    [
        "",
        "oolong",
        "How long leaves of oolong should steep",
        "leaves of oolong steep in soft water",
        "Steeping oolong We measure",
        ABSTRACT + ABSTRACT * 8,
    ],
)
def test_yes_without_words_of_the_paper_is_unsure(quote: str) -> None:
    assert said(reply(answer(quote=quote))) == {"c1": Said(Fits.UNSURE)}
    assert said(reply(answer(fits="no", quote=quote))) == {"c1": Said(Fits.NO)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Yes, it fits.",
        "[]",
        "{}",
        '{"answers": null}',
        '{"answers": {"c1": "yes"}}',
        "[" * 100_000,
        reply("c1", None, 3, []),
        reply(answer("c9")),
        reply(answer(1), answer(None), answer(["c1"])),
        reply(answer(fits="certainly"), answer("c2", fits=True)),
        reply(answer(fits=["yes"]), answer("c2", fits={})),
        reply(answer(quote=None), answer("c2", quote=["x"])),
        reply(answer(), answer(fits="no")),
        reply(answer(), answer(), answer()),
    ],
)
def test_what_is_not_in_the_form_or_said_twice_is_not_said(text: str) -> None:
    assert said(text) == {}


def test_what_is_wrong_with_one_answer_leaves_the_others() -> None:
    assert said(reply(answer(fits="maybe"), answer("c2", "no", ""))) == {"c2": Said(Fits.NO)}


def look(fits: Fits, confidence: float = 0.5, quote: str = "") -> SecondLook:
    return SecondLook(fits, quote, "m-1", "aa", "bb", confidence)


@pytest.mark.parametrize(
    ("fits", "before", "after"),
    [
        (Fits.YES, 0.5, 0.7311),
        (Fits.NO, 0.5, 0.2689),
        (Fits.YES, 0.7, 0.8638),
        (Fits.NO, 0.3, 0.1362),
        (Fits.UNSURE, 0.42, 0.42),
        (Fits.YES, 1.0, 1.0),
        (Fits.NO, 0.0, 0.0),
    ],
)
def test_it_moves_a_confidence_by_one_in_log_odds(fits: Fits, before: float, after: float) -> None:
    assert look(fits, before).moved == pytest.approx(after, abs=1e-4)


def test_it_is_kept_and_read_again_as_it_was() -> None:
    kept = look(Fits.YES, quote=QUOTE)
    assert SecondLook.parse(json.loads(json.dumps(kept.as_json()))) == kept
    assert QUOTE in kept.words and "m-1" in kept.words


@pytest.mark.parametrize(
    "other",
    [
        None,
        "yes",
        {},
        {"fits": "yes"},
        look(Fits.NO).as_json() | {"fits": "certainly"},
        look(Fits.NO).as_json() | {"confidence": "high"},
        look(Fits.NO).as_json() | {"confidence": float("nan")},
        look(Fits.NO).as_json() | {"quote": 3},
        look(Fits.NO).as_json() | {"more": ""},
    ],
)
def test_what_was_not_written_by_it_is_no_second_look(other: object) -> None:
    assert SecondLook.parse(other) is None
