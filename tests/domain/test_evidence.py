"""Evidence is verbatim, marked, and said in one line."""

import time

import pytest

from app.domain.evidence import LONGEST, quotations, reason
from app.domain.linking import Candidate, ConceptText, PaperText, Signal, SignalKind

CONCEPT = ConceptText(1, "Tea brewing", ("cold infusion",))
PAPER = PaperText(
    2,
    "A tea for winter",
    "Kettles are old. Tea-brewing at altitude, e.g. in huts, needs time. "
    "Dr. Moss measured 2.5 litres of water!\n\n# Methods\n- A cold infusion takes a night.\n"
    "- Nothing of note.\n",
)
SIGNALS = (
    Signal(SignalKind.PAPERS, 1.4, ("water", "litres")),
    Signal(SignalKind.MENTION, 0.9, ("tea", "brewing")),
    Signal(SignalKind.SIZE, -0.2),
)


def test_quotations_are_pieces_of_the_paper() -> None:
    for quotation in quotations(PAPER, CONCEPT, SIGNALS):
        source = PAPER.title if quotation.where == "title" else PAPER.text
        assert quotation.text in source
        assert quotation.text == quotation.text.strip()


def test_sentences_that_say_the_name_come_first_and_whole() -> None:
    said = [each.text for each in quotations(PAPER, CONCEPT, SIGNALS)]
    assert said == [
        "Tea-brewing at altitude, e.g. in huts, needs time.",
        "A cold infusion takes a night.",
        "Dr. Moss measured 2.5 litres of water!",
    ]


def test_marks_cover_the_words_that_matched() -> None:
    marked = {
        quotation.text[start:end]
        for quotation in quotations(PAPER, CONCEPT, SIGNALS)
        for start, end in quotation.spans
    }
    assert marked == {"Tea-brewing", "cold infusion", "litres", "water"}


def test_other_forms_of_a_word_are_marked() -> None:
    paper = PaperText(3, "", "Every evening she brewed teas.")
    (found,) = quotations(paper, CONCEPT, ())
    assert [found.text[a:b] for a, b in found.spans] == ["brewed teas"]


def test_the_title_is_quoted_when_it_alone_speaks() -> None:
    (found,) = quotations(PaperText(4, "Brewing tea", "No more to say."), CONCEPT, ())
    assert (found.where, found.text) == ("title", "Brewing tea")


def test_a_sentence_that_adds_no_word_is_left_out() -> None:
    paper = PaperText(5, "", "Tea brewing is fun. Tea brewing is slow. Tea brewing is hot.")
    assert len(quotations(paper, CONCEPT, ())) == 1


def test_no_matching_word_means_no_quotation() -> None:
    assert quotations(PaperText(6, "Bridges", "Steel decks crack."), CONCEPT, ()) == ()


def test_a_long_sentence_is_cut_around_its_match() -> None:
    text = "grey " * 200 + "tea brewing " + "kettle " * 200 + "end."
    (found,) = quotations(PaperText(7, "", text), CONCEPT, ())
    assert len(found.text) <= LONGEST
    assert found.text in text
    assert [found.text[a:b] for a, b in found.spans] == ["tea brewing"]
    assert found.text.split()[0] == "grey"


@pytest.mark.parametrize("most", [0, 1, 2])
def test_no_more_quotations_than_asked(most: int) -> None:
    assert len(quotations(PAPER, CONCEPT, SIGNALS, most=most)) == most


@pytest.mark.parametrize(
    "text",
    ["", "\ud800", "\x00", "." * 60_000, "# " * 30_000, "tea " * 30_000, "\n \n" * 20_000, "1. " * 20_000, "茶" * 9_000],
    ids=["empty", "surrogate", "nul", "dots", "hashes", "words", "lines", "numbers", "no blanks"],
)  # fmt: skip
def test_hostile_text_is_read_quickly_and_quoted_verbatim(text: str) -> None:
    start = time.process_time()
    for quotation in quotations(PaperText(8, text, text), CONCEPT, SIGNALS):
        assert quotation.text in text
        assert all(0 <= a < b <= len(quotation.text) for a, b in quotation.spans)
    assert time.process_time() - start < 5


def candidate(*signals: Signal) -> Candidate:
    return Candidate(2, 1, 0.8, True, signals)


def test_the_reason_says_what_weighs_most_with_its_words() -> None:
    line = reason(candidate(*SIGNALS), CONCEPT)
    assert (
        line
        == "It reads like what Tea brewing holds (water, litres); it uses words of the name (tea, brewing)."
    )


@pytest.mark.parametrize("kind", list(SignalKind))
def test_every_kind_of_signal_makes_one_line(kind: SignalKind) -> None:
    line = reason(candidate(Signal(kind, 2.0, ("tea",))), CONCEPT)
    assert line.endswith(".")
    assert "\n" not in line


def test_a_weak_candidate_is_said_to_be_weak() -> None:
    assert "Nothing speaks strongly" in reason(candidate(Signal(SignalKind.NAME, -1.0)), CONCEPT)
