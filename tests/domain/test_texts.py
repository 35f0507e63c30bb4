"""What a concept's own text is worth, beside its papers and beside vectors."""

import numpy as np
import pytest
from scipy import sparse

from app.domain import words
from app.domain.features import Judge
from app.domain.texts import LONGEST, ConceptText, Papers, PaperText, Texts

LONG = " ".join(f"lantern{at} wick{at} flame{at}" for at in range(200))
PAPERS = (
    PaperText(10, "Lantern glass", "Glass of a lantern keeps the flame from the wind."),
    PaperText(11, "Sails", "Canvas of sails in salt and sun."),
    PaperText(12, "Ropes", "How ropes of hemp wear on a deck."),
)


def texts(*concepts: ConceptText, vectors: bool = True) -> Texts:
    lexicon = words.Lexicon()
    papers = Papers.read(PAPERS, lexicon)
    meaning = np.eye(3, 4, dtype=np.float32), np.ones((len(concepts), 4), np.float32)
    return Texts(concepts, papers, lexicon, meaning if vectors else None)


def judge(of: Texts, members: dict[tuple[int, int], float]) -> Judge:
    places = np.array(list(members) or np.zeros((0, 2)), int).reshape(-1, 2).T
    matrix = sparse.csr_matrix((list(members.values()), tuple(places)), of.shape, dtype=np.float32)
    none = sparse.csr_matrix(of.shape, dtype=np.float32)
    return Judge(of, matrix, none, sparse.csr_matrix((of.shape[0],) * 2, dtype=np.float32))


def test_a_long_text_speaks_as_several_papers_and_a_bare_name_as_one() -> None:
    spoken = texts(ConceptText(1, "Lamps"), ConceptText(2, "Lights", text=LONG)).by_words.spoken
    assert 1 <= spoken[0] < 1.3
    assert spoken[1] == 1 + LONGEST


def test_vectors_weigh_less_where_texts_are_longer_than_what_they_know() -> None:
    bare = texts(ConceptText(1, "Lamps")).weights()
    long = texts(ConceptText(1, "Lamps", text=LONG)).weights()
    assert bare == pytest.approx((1, 1), abs=0.05)
    assert long[0] == 1
    assert long[1] < 0.3


def test_papers_bring_the_vectors_back() -> None:
    written = texts(ConceptText(1, "Lamps", text=LONG))
    few, many = (written.weights(np.full(1, size, np.float32))[1] for size in (1, 100))
    assert few < 0.4
    assert many > 0.8


def test_a_text_outweighs_one_paper_that_stands_in() -> None:
    """A waiting paper that came to stand in by chance does not decide what the concept is about."""
    text = "A lantern holds a flame behind glass. " * 12
    bare, written = (
        judge(texts(ConceptText(1, "Lamps", text=said), vectors=False), {(1, 0): 1.0})
        for said in ("", text)
    )
    lantern, ropes = np.array([0]), np.array([2])
    lead = [
        float((each._likeness(lantern) - each._likeness(ropes))[0, 0]) for each in (bare, written)
    ]
    assert lead[1] > lead[0] + 0.2


def test_no_concept_has_a_weight_all_the_same() -> None:
    assert texts().weights() == (1.0, 1.0)
