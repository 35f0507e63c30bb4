"""A rejected pair: what is remembered, and what brings it back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.memory import (
    SURER,
    Rejection,
    joined_since,
    new_names,
    returned,
)

THEN = datetime(2026, 5, 12, 9, 0, tzinfo=UTC)
LATER = THEN + timedelta(days=3)
REJECTION = Rejection(THEN, "one", frozenset({"tea"}), 0.4)
TITLES = ("Kettle: boiling", "Mug: holding", "Spoon: stirring")


def look(
    rejection: Rejection = REJECTION,
    *,
    said: dict[str, str] | None = None,
    text_hash: str = "one",
    joined: tuple[str, ...] = (),
    confidence: float = 0.9,
) -> str | None:
    found = returned(
        rejection,
        concept="Tea brewing",
        said=said or {},
        text_hash=text_hash,
        joined=joined,
        confidence=confidence,
    )
    return found.why if found else None


def test_nothing_new_brings_nothing_back() -> None:
    assert look() is None
    assert look(said={"tea": "Tea"}) is None
    assert look(said={"tea": "Tea"}, text_hash="two") is None, "the text changed in other places"


def test_a_name_that_the_text_says_now_is_new() -> None:
    assert look(said={"tea": "Tea", "tea brew": "Tea-brewing"}, text_hash="two") == (
        "Rejected on 12 May 2026; since then the paper says “Tea-brewing”."
    )


def test_a_new_name_of_the_concept_that_the_paper_says_is_new() -> None:
    assert look(said={"infus": "infusion", "steep": "steeping"}) == (
        "Rejected on 12 May 2026; since then Tea brewing is also called “infusion” and “steeping”, "
        "which the paper says."
    )


@pytest.mark.parametrize(
    ("count", "confidence", "then", "back"),
    [
        (3, 0.4 + SURER + 0.01, 0.4, True),
        (3, 0.4 + SURER - 0.01, 0.4, False),
        (2, 0.99, 0.4, False),
        (3, 0.99, None, False),
    ],
    ids=["three and surer", "not clearly surer", "two papers", "nobody knows how sure it was"],
)
def test_papers_accepted_since_bring_it_back_when_the_linker_is_surer(
    count: int, confidence: float, then: float | None, back: bool
) -> None:
    rejection = Rejection(THEN, "one", frozenset(), then)
    why = look(rejection, joined=TITLES[:count], confidence=confidence)
    assert (why is not None) is back
    if why:
        assert why == (
            "Rejected on 12 May 2026; since then Kettle, Mug and Spoon, which it resembles, were "
            "accepted into Tea brewing, and the confidence rose from 0.40 to 0.56."
        )


def test_the_same_evidence_never_brings_it_back_twice() -> None:
    found = returned(
        REJECTION,
        concept="Tea brewing",
        said={"tea brew": "tea brewing"},
        text_hash="two",
        joined=TITLES,
        confidence=0.7,
    )
    assert found is not None
    memory = found.memory(LATER, "two")
    assert memory.said == {"tea", "tea brew"}
    assert (memory.at, memory.weighed) == (THEN, LATER), "the day of the rejection stays"
    assert (memory.text_hash, memory.confidence) == ("two", 0.7)
    for text_hash in ("two", "three"):
        assert look(memory, said={"tea brew": "tea brewing"}, text_hash=text_hash) is None
    # The text lost the name and has it again: it was weighed.
    assert look(memory.after("three", (), 0.1), said={"tea brew": "x"}) is None
    accepted = dict.fromkeys((1, 2, 3), THEN + timedelta(days=1))
    assert joined_since(REJECTION, [1, 2, 3], accepted) == [1, 2, 3]
    assert joined_since(memory, [1, 2, 3], accepted) == []
    assert look(memory, joined=TITLES, confidence=0.7 + SURER / 2) is None


def test_what_was_accepted_before_or_is_far_does_not_count() -> None:
    accepted = {1: LATER, 2: THEN, 3: THEN - timedelta(days=1), 9: LATER}
    assert joined_since(REJECTION, [3, 2, 1, 4], accepted) == [1]
    assert new_names(REJECTION, {"tea": "tea", "pot": "pots"}) == {"pot": "pots"}


def test_a_memory_is_stored_and_read() -> None:
    assert Rejection.parse(REJECTION.as_json()) == REJECTION
    weighed = Rejection(THEN, "", frozenset("x"), None, LATER)
    assert Rejection.parse(weighed.as_json()) == weighed
    bare = Rejection(THEN, "", frozenset())
    assert Rejection.parse(bare.as_json()) == bare


@pytest.mark.parametrize(
    "stored", [None, 3, "x", [], {}, {"at": "yesterday"}, {"at": None, "said": ["x"]}]
)
def test_what_is_no_memory_is_none(stored: object) -> None:
    assert Rejection.parse(stored) is None


def test_a_memory_with_odd_parts_is_read_as_far_as_it_goes() -> None:
    found = Rejection.parse({"at": "2026-05-12", "said": {"a": 1}, "confidence": "high"})
    assert found == Rejection(datetime(2026, 5, 12, tzinfo=UTC), "", frozenset(), None)
