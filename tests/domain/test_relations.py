"""What papers say of one another: names that are said, and the words that decide the relation."""

from __future__ import annotations

import pytest

from app.domain.records import Relation
from app.domain.relations import (
    FLOOR,
    Finding,
    NameKind,
    Names,
    Other,
    PaperNames,
    candidates,
    counterpart,
    findings,
    is_ordinary,
    judged,
    names_of,
    reason,
)

TIDES, PLAIN, SPEAKER = 1, 2, 9
NAMES = Names(
    [
        PaperNames(TIDES, "TideNet: Forecasting Slack Water with Buoys", arxiv=("2401.00001",)),
        PaperNames(PLAIN, "Harbour lamps that dim when no ship is near"),
        PaperNames(3, "BuoyBench: A Benchmark for Reading Buoys"),
        PaperNames(4, "Drift: Small Boats in a Wide Current"),
        PaperNames(SPEAKER, "SlackNet: Tides Once More"),
    ]
)


def said(text: str, title: str = "SlackNet: Tides Once More") -> list[Finding]:
    return findings(SPEAKER, title, text, NAMES)


def kinds(title: str, **more: tuple[str, ...]) -> dict[str, NameKind]:
    return {name.text: name.kind for name in names_of(PaperNames(1, title, **more))}


def test_the_names_of_a_paper_are_its_coined_word_its_title_aliases_and_number() -> None:
    found = kinds("TideNet: Forecasting Slack Water", aliases=("TN-2",), arxiv=("2401.00001",))
    assert found == {
        "2401.00001": NameKind.IDENTIFIER,
        "TideNet: Forecasting Slack Water": NameKind.TITLE,
        "TideNet": NameKind.COINED,
        "TN-2": NameKind.ALIAS,
    }


@pytest.mark.parametrize(
    "title",
    ["Position: lamps should dim", "tides: a view", "AI: what now", "Towards Calm Seas: a plan"],
)
def test_ordinary_words_before_a_colon_are_no_name(title: str) -> None:
    assert set(kinds(title).values()) <= {NameKind.TITLE}


@pytest.mark.parametrize(
    ("text", "relation"),
    [
        ("We build on TideNet and add wind.", Relation.EXTENDS),
        ("Our model extends TideNet to rivers.", Relation.EXTENDS),
        ("We use TideNet to label the buoys.", Relation.USES),
        ("Our forecasts are based on TideNet.", Relation.USES),
        ("SlackNet outperforms TideNet by two hours.", Relation.COMPARES),
        ("We compare against baselines such as LampNet and TideNet.", Relation.COMPARES),
        ("We forecast without using TideNet.", Relation.COMPARES),
        ("Our results confirm TideNet: slack water comes late.", Relation.CONFIRMS),
        ("Our measurements are consistent with TideNet.", Relation.CONFIRMS),
        ("Contrary to TideNet, we see no delay.", Relation.CONTRADICTS),
        ("Our measurements are not consistent with TideNet.", Relation.CONTRADICTS),
        ("We fail to replicate TideNet on the north coast.", Relation.CONTRADICTS),
    ],
)
def test_words_around_the_name_decide_the_relation(text: str, relation: Relation) -> None:
    found = said(text)
    assert [(each.target, each.relation) for each in found] == [(TIDES, relation)]


def test_the_quotation_is_the_sentence_with_name_and_words_marked() -> None:
    text = "Boats wait. We build on TideNet and add wind. It works."
    [found] = said(text)
    [quotation] = found.quotations
    assert quotation.text == "We build on TideNet and add wind." and quotation.text in text
    assert [quotation.text[a:b] for a, b in quotation.spans] == ["build on", "TideNet"]
    assert "TideNet" in reason(found) and "build on" in reason(found)


@pytest.mark.parametrize(
    "text",
    [
        "We use TideNet-2 and MiniTideNet.",  # names of others
        "We use tidenet as a word.",  # not as it is written
        "We propose TideNet, a lamp that dims.",  # its own thing of that name
        "TideNet was there.",  # nothing is said of it
        "Drift is what boats do. The drift of boats is used often.",  # an ordinary word
        "We use SlackNet for harbours.",  # its own name
        "",
    ],
)
def test_nothing_is_found_where_nothing_is_said(text: str) -> None:
    assert said(text) == []


def test_a_name_of_two_papers_or_of_a_concept_names_neither() -> None:
    twice = Names([PaperNames(1, "TideNet: One"), PaperNames(2, "TideNet: Two")])
    assert findings(9, "", "We use TideNet daily.", twice) == []
    assert findings(9, "", "We use TideNet daily.", NAMES, besides={"tidenet"}) == []


def test_a_paper_that_went_is_not_named_any_more_and_a_new_name_is() -> None:
    names = Names([PaperNames(1, "TideNet: One")])
    names.add(PaperNames(1, "EbbNet: One"))
    assert findings(9, "", "We use TideNet daily.", names) == []
    assert [each.target for each in findings(9, "", "We use EbbNet daily.", names)] == [1]
    names.remove(1)
    assert findings(9, "", "We use EbbNet daily.", names) == []


def test_a_number_and_a_whole_title_name_a_paper() -> None:
    by_number = said("We build on arXiv:2401.00001v2 here.")
    by_title = said("We use Harbour lamps that dim when no ship is near in every port.")
    assert [each.name.kind for each in (*by_number, *by_title)] == [
        NameKind.IDENTIFIER,
        NameKind.TITLE,
    ]


def one(text: str) -> Finding:
    [found] = said(text)
    return found


def test_a_paper_says_nothing_of_a_later_one() -> None:
    finding = one("We build on TideNet.")
    assert judged(finding, Other("TideNet", "", "2024-05"), published="2024-04-30") is None
    assert judged(finding, Other("TideNet", "", "2024-05"), published="2024-05-30") is not None
    assert judged(finding, Other("TideNet", "", ""), published="2024-04-30") is not None


def test_references_and_meaning_raise_or_lower_the_confidence() -> None:
    finding, other = one("We use TideNet."), Other("TideNet", "")
    plain = judged(finding, other)
    cited = judged(finding, other, cited=True)
    left_out = judged(finding, other, cited=False)
    near = judged(finding, other, nearness=0.8)
    far = judged(finding, other, nearness=0.0)
    assert plain and cited and left_out and near and far
    assert cited.confidence > near.confidence > plain.confidence > far.confidence
    assert plain.confidence > left_out.confidence
    assert reason(cited).endswith("its references list it.")


def test_to_be_better_on_a_benchmark_is_to_use_it() -> None:
    finding = one("SlackNet outperforms all baselines on BuoyBench.")
    found = judged(finding, Other("BuoyBench: A Benchmark for Reading Buoys", ""))
    assert found is not None and found.relation == Relation.USES


def test_of_a_pair_the_surest_relation_alone_is_proposed() -> None:
    found = candidates(said("We build on TideNet. Fog came. Lamps like TideNet are used."))
    proposed = [(each.target, each.relation) for each, proposed in found if proposed]
    assert proposed == [(TIDES, Relation.EXTENDS)]
    assert all(each.confidence >= FLOOR for each, proposed in found if proposed)


def test_what_only_exists_and_is_listed_stays_below_the_floor() -> None:
    found = candidates(said("However, existing methods such as TideNet need many buoys."))
    assert [proposed for _, proposed in found] == [False]


def test_a_name_that_texts_write_small_is_an_ordinary_word() -> None:
    [name] = [each for each in names_of(PaperNames(4, "MOORING: Ropes")) if each.text == "MOORING"]
    assert is_ordinary(name, ["Mooring ropes and mooring rings.", "The mooring broke."])
    assert not is_ordinary(name, ["MOORING holds.", "We use MOORING."])


def test_the_other_side_is_the_sentence_that_speaks_of_the_same() -> None:
    finding = one("Contrary to TideNet, we see no delay of slack water.")
    text = "Buoys float. We report that slack water comes with a delay. Lamps dim."
    found = counterpart(finding, Other("TideNet", text))
    assert found is not None and found.text == "We report that slack water comes with a delay."
    assert counterpart(finding, Other("TideNet", "Lamps dim.")) is None


def test_a_very_long_sentence_is_cut_around_its_marks() -> None:
    text = "Fog " * 400 + "we build on TideNet " + "and fog " * 200
    [quotation] = said(text)[0].quotations
    assert len(quotation.text) <= 500 and quotation.text in text
    assert [quotation.text[a:b] for a, b in quotation.spans] == ["build on", "TideNet"]


@pytest.mark.parametrize(
    "text",
    [
        f"We extend {'A' * 30_000}, TideNet here.",
        f"{'7' * 50_000} TideNet.",
        "TideNet " * 7_000,
        "TideNet, " * 6_000,
        "Aa and " * 8_000 + "TideNet",
    ],
)
def test_a_text_without_end_is_read_in_time(text: str) -> None:
    for each in said(text):
        assert each.quotations[0].text in text
        assert len(each.quotations[0].text) < 2_000
