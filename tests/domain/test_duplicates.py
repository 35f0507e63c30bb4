"""Which concepts are likely one, and which only look alike; and a concept in two halves."""

from __future__ import annotations

import numpy as np
import pytest

from app.domain import duplicates
from app.domain.division import smaller_half
from app.domain.duplicates import Duplicate
from app.domain.texts import ConceptText

NONE = np.empty((0, 2), np.int64)


def pair(one: str, other: str, **of_other: object) -> list[Duplicate]:
    concepts = [ConceptText(1, one), ConceptText(2, other, **of_other)]  # type: ignore[arg-type]
    return duplicates.find(concepts, NONE)


def held(*sets: range) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Concept 1 holds the papers of the first range, 2 of the second, and so on."""
    rows = [(number, paper) for number, some in enumerate(sets, start=1) for paper in some]
    return np.array(rows, np.int64)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KV cache", "KV-Caches"),
        ("KV cache", "key-value cache"),
        ("Code RAG", "RAG for code"),
        ("RAG", "Retrieval-augmented generation"),
        ("RAG", "Retrieval-Augmented Generation (RAG)"),
        ("Fine-tuning", "Fine tuning"),
        ("Finetuning", "Fine-Tuning"),
        ("Quantisation", "Quantization"),
        ("LLM agents", "Agents of large language models"),
        ("Tool use", "Tool usage"),
    ],
)
def test_two_ways_of_writing_one_name_are_one(one: str, other: str) -> None:
    [found] = pair(one, other)
    assert found.confidence > 0.8
    assert found.reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Agents", "LLM agents"),
        ("Quantization", "KV cache quantization"),
        ("Code generation", "Code review"),
        ("Diffusion", "Video diffusion models"),
        ("", "Caches"),
        ("AI", "Attention index"),
    ],
)
def test_a_broader_or_another_name_is_not(one: str, other: str) -> None:
    assert pair(one, other) == []


def test_an_alias_is_a_name_too() -> None:
    [found] = pair("Tidal lock", "Gauge", aliases=("tidal locks",))
    assert "Tidal lock" in found.reason


def test_an_acronym_that_a_text_spells_out_is_believed() -> None:
    [found] = pair("TGN", "Tide gauge network", text="A tide gauge network (TGN) measures.")
    assert found.reason == "TGN is the acronym of Tide gauge network"
    assert found.confidence > 0.8
    assert pair("TGN", "Tide gauge network") == [], "three letters may be the initials of much"
    assert pair("TGN", "Tiny graph nets", text="A tide gauge network (TGN) measures.") == []


def test_nearly_the_same_papers_and_words_are_enough_and_are_named() -> None:
    concepts = [ConceptText(1, "Idle store"), ConceptText(2, "Unasked memory")]
    texts = {1: "caches dropped while idle " * 3, 2: "idle caches dropped while waiting"}
    [found] = duplicates.find(concepts, held(range(1, 10), range(1, 9)), texts)
    assert found.shared == tuple(range(1, 9))
    assert found.reason.startswith("both hold 8 of the 9 papers that either holds")
    assert {signal.name for signal in found.signals} == {"other names", "papers", "words"}
    assert duplicates.find(concepts, held(range(1, 10), range(6, 20)), texts) == []
    assert duplicates.find(concepts, held(range(1, 4), range(1, 4)), texts) == [], "too few to tell"


def test_a_narrower_concept_whose_papers_are_among_those_of_the_broader_stays_one() -> None:
    concepts = [ConceptText(1, "Quantization"), ConceptText(2, "KV cache quantization")]
    texts = {1: "bits of weights and caches", 2: "bits of caches"}
    assert duplicates.find(concepts, held(range(1, 20), range(1, 12)), texts) == []


def test_one_name_for_two_things_is_less_sure() -> None:
    concepts = [ConceptText(1, "Memory"), ConceptText(2, "Memory")]
    near = {1: "agents remember dialogues", 2: "what agents remember of dialogues"}
    far = {1: "agents remember dialogues", 2: "bandwidth of accelerators"}
    papers = held(range(1, 5), range(11, 15))
    [alike] = duplicates.find(concepts, papers, near)
    unlike = duplicates.find(concepts, papers, far, floor=0)
    assert alike.confidence > 0.9 > 0.6 > unlike[0].confidence


def test_only_concepts_that_may_have_one_are_asked_for_their_texts() -> None:
    concepts = [ConceptText(1, "Tide"), ConceptText(2, "Tides"), ConceptText(3, "Moon")]
    assert duplicates.candidates(concepts, held(range(3), range(3), range(3))) == {1, 2}
    assert duplicates.find([], NONE) == []


def test_papers_of_two_subjects_fall_into_two() -> None:
    tides = {n: f"tide gauge harbour water level {n}" for n in range(1, 6)}
    birds = {n: f"bird migration flight feather {n}" for n in range(11, 14)}
    assert smaller_half({**tides, **birds}) == set(birds)


@pytest.mark.parametrize("texts", [{}, {1: "a tide"}, dict.fromkeys(range(9), "")])
def test_what_falls_into_no_two_groups_is_not_split(texts: dict[int, str]) -> None:
    assert smaller_half(texts) == set()
