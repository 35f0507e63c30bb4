"""Evidence is verbatim, marked, and said in one line."""

import json
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.evidence import (
    LONGEST,
    name_stems,
    names_said,
    quotations,
    reason,
    short_title,
)
from app.domain.linking import Candidate, ConceptText, PaperText, Signal, SignalKind

CORPORA = Path(__file__).parents[3] / "shared" / "corpora"

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
    ]


def test_marks_cover_the_words_that_matched() -> None:
    marked = {
        quotation.text[start:end]
        for quotation in quotations(PAPER, CONCEPT, SIGNALS)
        for start, end in quotation.spans
    }
    assert marked == {"Tea-brewing", "cold infusion"}


def test_words_shared_with_the_papers_are_quoted_where_no_name_is_said() -> None:
    (found,) = quotations(PAPER, ConceptText(1, "Chemistry"), SIGNALS[:1])
    assert found.text == "Dr. Moss measured 2.5 litres of water!"
    assert [found.text[a:b] for a, b in found.spans] == ["litres", "water"]


def test_the_sentence_that_says_what_the_paper_does_comes_before_what_others_did() -> None:
    text = (
        "Existing kettles are known to spoil tea brewing. Tea brewing is old. "
        "In this paper, we propose a kettle for tea brewing at altitude."
    )
    found = quotations(PaperText(9, "", text), CONCEPT, ())
    assert found[0].text.startswith("In this paper")


@pytest.mark.parametrize(
    ("text", "signals"),
    [
        ("We boil water.", (Signal(SignalKind.PAPERS, 2.0, ("water", "leaves")),)),
        (
            "We propose a novel model and method.",
            (Signal(SignalKind.PAPERS, 2.0, ("model", "method", "novel")),),
        ),
        ("Kettles brewing over.", ()),
        ("The tea room has the code at https://example.org/tea.", SIGNALS),
    ],
    ids=["one word", "words of any paper", "half a name in passing", "where the code is"],
)
def test_a_weak_word_in_common_is_not_quoted(text: str, signals: tuple[Signal, ...]) -> None:
    assert quotations(PaperText(10, "", text), CONCEPT, signals) == ()


def test_a_piece_of_a_name_speaks_for_it() -> None:
    concept = ConceptText(1, "Steeping / Cold Brewing: Methods")
    (found,) = quotations(PaperText(11, "", "Long steeping spoils it. Methods vary."), concept, ())
    assert found.text == "Long steeping spoils it."


def test_the_title_is_not_quoted_beside_a_sentence() -> None:
    paper = PaperText(12, "Brewing tea", "We study tea brewing. Tea brewing with leaves is fun.")
    assert {each.where for each in quotations(paper, CONCEPT, SIGNALS)} == {"text"}


def test_nothing_in_a_formula_is_marked() -> None:
    text = "For tea brewing we show $tea_{brewing} = \\text{tea brewing}$ holds."
    (found,) = quotations(PaperText(13, "", text), CONCEPT, ())
    assert [found.text[a:b] for a, b in found.spans] == ["tea brewing"]
    assert found.spans[0][0] == text.index("tea")


def test_a_long_sentence_is_not_cut_within_a_formula() -> None:
    formula = "$" + "x + " * 30 + "y$"
    text = "Tea brewing " + "leaf " * 50 + formula + " and more " * 40 + "."
    (found,) = quotations(PaperText(14, "", text), CONCEPT, ())
    assert found.text.count("$") in (0, 2)


def test_what_the_feed_wrote_before_an_abstract_is_not_quoted() -> None:
    text = "arXiv:2605.01234v1 Announce Type: new Abstract: We study tea brewing in huts."
    (found,) = quotations(PaperText(15, "", text), CONCEPT, ())
    assert found.text == "We study tea brewing in huts."


def test_letters_of_other_forms_are_the_words_they_are() -> None:
    concept = ConceptText(1, "Fluffy Filters")
    text = "We use \ufb02u\ufb00y \ufb01lters daily."
    (found,) = quotations(PaperText(16, "", text), concept, ())
    assert [found.text[a:b] for a, b in found.spans] == ["\ufb02u\ufb00y \ufb01lters"]
    assert (
        quotations(PaperText(17, "", "Brewing tea\u0301 is hard."), ConceptText(1, "tea"), ()) == ()
    )


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Tea brewing", "Tea-brewing"),
        ("tea-brewings", "Tea-brewing"),
        ("Cold Infusion", "cold infusion"),
        ("Winter", "winter"),
        ("infusion cold", None),
        ("Tea infusion", None),
        ("of", None),
        ("", None),
        ("!!", None),
        ("5", None),
    ],
)
def test_a_name_is_said_whole_or_not_at_all(name: str, said: str | None) -> None:
    assert list(names_said(PAPER, [name]).values()) == ([said] if said else [])


def test_a_letter_that_stands_for_several_words_does_not_shift_the_others() -> None:
    paper = PaperText(1, "", "\ufdfa and \ufdfa, then cold infusion of tea.")
    assert names_said(paper, ["cold infusion"]) == {"cold infus": "cold infusion"}


def test_names_that_differ_in_writing_are_one() -> None:
    assert name_stems("KV-Caches") == name_stems("kv cache") == name_stems(" KV  cache ")
    assert len(names_said(PAPER, ["Tea brewing", "tea-brewing", "TEA BREWING"])) == 1


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


# ---------------------------------------------------------------- every piece is exact

PIECES = [
    "tea", "brewing", "cold infusion", " ", "\n", "\n\n", ". ", "\u2019", "\ud800", "\x00", "\u202e",
    "\u0301", "\ufb01", "\u0130", "\u1e9e", "$x^2$", "\\(", "$", "\n- ", "# ", "茶", "\u05ea\u05d4", "😀",
    "e.g. ", "3.5", "We propose ", "\\textbf{tea}", "\uff34\uff45\uff41", "\ufdfa", "½",
]  # fmt: skip
ALPHABET = st.one_of(st.sampled_from(PIECES), st.text(max_size=8))
TEXTS = st.lists(ALPHABET, max_size=60).map("".join)


def exact(paper: PaperText, concept: ConceptText, signals: tuple[Signal, ...]) -> None:
    """Each quotation is a piece of the paper, and each mark covers words that were sought."""
    sought = {
        stem
        for name in (concept.name, *concept.aliases, *(w for each in signals for w in each.words))
        for stem in name_stems(name).split()
    }
    found = quotations(paper, concept, signals)
    assert len(found) <= 3
    assert len({(each.where, each.text) for each in found}) == len(found)
    for each in found:
        assert each.text in (paper.title if each.where == "title" else paper.text)
        assert each.text == each.text.strip()
        assert 0 < len(each.text) <= LONGEST + 100
        assert each.spans
        ends = [0]
        for start, end in each.spans:
            assert ends[-1] <= start < end <= len(each.text)
            ends.append(end)
            assert {*name_stems(each.text[start:end]).split()} & sought
            assert not unicodedata.combining((each.text[end:] or " ")[0])


@settings(deadline=None)
@given(title=TEXTS, text=TEXTS, name=TEXTS, alias=TEXTS)
def test_any_text_is_quoted_exactly(title: str, text: str, name: str, alias: str) -> None:
    paper = PaperText(1, title, text)
    exact(paper, CONCEPT, SIGNALS)
    exact(paper, ConceptText(2, name, (alias,)), SIGNALS)
    line = reason(candidate(*SIGNALS), paper, ConceptText(2, name, (alias,)), [title])
    assert "\n" not in line.replace(name, "")
    for written in names_said(paper, [name, alias]).values():
        assert written[:20].split()[0] in title + text


def hostile() -> Iterator[str]:
    blns = CORPORA / "strings" / "blns.json"
    if blns.exists():
        yield from json.loads(blns.read_text(encoding="utf-8"))
    titles = CORPORA / "own" / "titles.jsonl"
    if titles.exists():
        for line in titles.read_text(encoding="utf-8").splitlines():
            yield str(json.loads(line)["title"])


def test_hostile_strings_are_quoted_exactly() -> None:
    for text in hostile():
        for paper in (
            PaperText(1, text, f"{text} tea brewing {text}. We propose {text}"),
            PaperText(1, "", f"tea brewing\n{text}\ncold infusion"),
        ):
            exact(paper, CONCEPT, SIGNALS)
            exact(paper, ConceptText(2, text, (text[::-1],)), SIGNALS)


@pytest.mark.parametrize(
    "unit", ["[", "$", "\\(", "a. ", "we ", "`", "\n|", "we  . ", "\u202e", "e.g. "]
)
def test_pathological_text_is_quoted_exactly_too(unit: str) -> None:
    text = unit * (20_000 // len(unit))
    exact(PaperText(1, "", f"{text} tea brewing {text}"), CONCEPT, SIGNALS)


# ---------------------------------------------------------------- the reason


def candidate(*signals: Signal) -> Candidate:
    return Candidate(2, 1, 0.8, True, signals)


LIKE = ["Kettle: how to boil", "Mug: how to hold", "Spoon: how to stir"]
NOTHING = PaperText(3, "Ferries", "They cross the river.")


@pytest.mark.parametrize(
    ("paper", "concept", "signals", "like", "line"),
    [
        (PAPER, CONCEPT, SIGNALS, [], "It says “Tea-brewing”."),
        (
            PAPER, CONCEPT, SIGNALS, LIKE,
            "It says “Tea-brewing” and is like Kettle and Mug, which are in Tea brewing.",
        ),
        (
            PAPER, ConceptText(1, "Tea for huts: Habits"), SIGNALS, LIKE[:1],
            "It says “Tea” and “huts” and is like Kettle, which is in Tea for huts: Habits.",
        ),
        (
            PAPER, ConceptText(1, "Chemistry"), SIGNALS[:1], LIKE,
            "It is like Kettle and Mug, which are in Chemistry: they share the words water and litres.",
        ),
        (
            PAPER, ConceptText(1, "Chemistry"), SIGNALS[:1], [],
            "It shares the words water and litres with Chemistry.",
        ),
        (
            NOTHING, CONCEPT, (Signal(SignalKind.CLASSIFIER, 1.0),), LIKE,
            "It is like Kettle and Mug, which are in Tea brewing.",
        ),
        (
            NOTHING, CONCEPT, (Signal(SignalKind.NAME, 1.0),), LIKE,
            "It is near to what Tea brewing means.",
        ),
        (
            NOTHING, CONCEPT, (Signal(SignalKind.GRAPH, 1.0),), LIKE,
            "Papers that it shares a thread or references with are in Tea brewing.",
        ),
        (
            NOTHING, CONCEPT, (Signal(SignalKind.NAME, -1.0), Signal(SignalKind.PAPERS, 0.05)), LIKE,
            "Nothing speaks strongly for Tea brewing; of what the wiki holds it is nearest.",
        ),
    ],
)  # fmt: skip
def test_the_reason_names_the_words_and_the_papers(
    paper: PaperText,
    concept: ConceptText,
    signals: tuple[Signal, ...],
    like: list[str],
    line: str,
) -> None:
    assert reason(candidate(*signals), paper, concept, like) == line


@pytest.mark.parametrize("kind", list(SignalKind))
def test_every_kind_of_signal_makes_one_line(kind: SignalKind) -> None:
    line = reason(candidate(Signal(kind, 2.0, ("tea",))), PAPER, CONCEPT)
    assert line.endswith(".")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("title", "short"),
    [
        ("Kettle: how to boil water", "Kettle"),
        ("How to boil water", "How to boil water"),
        ("$K^2$: how to boil", "K^2"),
        ("Boil " * 30, "Boil " * 11 + "Boil…"),
        ("x" * 100, "x" * 60 + "…"),
        ("", ""),
    ],
)
def test_a_paper_is_called_by_what_is_short(title: str, short: str) -> None:
    assert short_title(title) == short
