"""A month in words: its weeks, its counts, and what no title can do to its text."""

from __future__ import annotations

from datetime import date

import pytest

from app.domain.digests import Document, Section
from app.domain.markdown import wikilinks
from app.domain.months import (
    Asked,
    Best,
    Day,
    Grown,
    Joined,
    Kept,
    Month,
    Predicted,
    Ref,
    Tension,
    as_markdown,
    document,
    first_and_last,
    framing,
    is_month,
    score,
    week_of,
    weeks_of,
)
from app.domain.records import PredictionState

TIDE, EBB = Ref("TideNet: $x^2$ [v2] | more", "tidenet"), Ref("Ebb", url="https://arxiv.org/abs/1")
FULL = Month(
    "2026-05",
    grown=(Grown(Ref("Slack water", "slack"), 2, 9, (Joined(TIDE, "2026-05-04", "a [[note]]"),)),),
    threads_grown=14,
    new_threads=(Ref("Slack water", "slack"),),
    new_concepts=(Ref("Ebb", "ebb"), Ref("Flood", "flood")),
    kept=(Kept("Tides | seas", (0, 2, 1, 0, 0)), Kept("", (1, 0, 0, 0, 0))),
    best=(
        Best(TIDE, "2026-05-04", 9, 8, ("arXiv listing", "a show")),
        Best(EBB, "", None, 7, ("arXiv listing",)),
    ),
    answered=(Asked("How *long*?", 2, TIDE, "2026-05-03", Ref("Ebb", "ebb")),),
    opened=(Asked("How deep?", 1, TIDE),),
    made=(Predicted("It will turn.", TIDE, due="2026-06-30"),),
    due=(Predicted("It would.", TIDE, due="2026-05", state=PredictionState.FAILED),),
    tensions=(Tension(TIDE, Ref("Ebb", "ebb"), "It is\nnot."),),
    days=(Day("2026-05-04", True, True, 40, 3), Day("2026-05-05", True)),
    counts={"new_concepts": 30, "opened": 12, "listed": 40},
    ledger={
        "sources": {"arXiv": 1}, "papers": {"listed": 40, "kept": 4},
        "pages": {"created": {"paper": 4}, "updated": {}}, "cost_usd": "0.12", "struck": 1,
    },
)  # fmt: skip


@pytest.mark.parametrize(
    ("month", "weeks"),
    [
        ("2026-05", [(1, 3), (4, 10), (11, 17), (18, 24), (25, 31)]),  # begins on a Friday
        ("2026-06", [(1, 7), (8, 14), (15, 21), (22, 28), (29, 30)]),  # on a Monday
        ("2026-02", [(1, 1), (2, 8), (9, 15), (16, 22), (23, 28)]),  # on a Sunday
        ("2026-08", [(1, 2), (3, 9), (10, 16), (17, 23), (24, 30), (31, 31)]),
    ],
)
def test_weeks_run_from_monday_to_sunday_within_the_month(
    month: str, weeks: list[tuple[int, int]]
) -> None:
    assert weeks_of(month) == weeks
    first, last = first_and_last(month)
    for day in range(first.toordinal(), last.toordinal() + 1):
        each = date.fromordinal(day)
        begin, end = weeks[week_of(month, each.isoformat())]
        assert begin <= each.day <= end
    assert week_of(month, month) == 0 and week_of(month, "2025-01-31") == 0


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-5", "0000-01", "2026-05-01", "", "２０２６-05"]
)
def test_what_is_no_month(text: str) -> None:
    assert not is_month(text) and is_month("2026-05")


def test_a_month_says_what_it_was() -> None:
    assert framing(FULL) == (
        "40 papers were listed on 1 day and 4 were kept. "
        "14 threads grew, Slack water most: 2 papers joined it."
    )
    assert framing(Month("2026-05")) == "No paper was kept."
    assert framing(Month("2026-05", until="2026-05-14", counts={"listed": 1})) == (
        "Up to 14 May, one paper was listed on 0 days and 0 were kept."
    )


def test_the_text_has_every_section_and_links_what_it_names() -> None:
    text = as_markdown(FULL)
    heads = [line[3:] for line in text.split("\n") if line.startswith("## ")]
    assert heads == [
        "Threads that grew",
        "New threads and concepts",
        "Best papers",
        "Papers kept by topic and week",
        "Questions",
        "Predictions",
        "Contradictions",
        "Days",
        "Ledger",
    ]
    assert {link.target for link in wikilinks(text)} == {"slack", "tidenet", "ebb", "flood"}
    for said in (
        "2 papers joined, 9 in all.\n  - 4 May: [[tidenet|TideNet: x^2 (v2) / more]], a \\[\\[note\\]\\]",
        "- and 13 more",
        "30 new concepts: [[ebb|Ebb]], [[flood|Flood]] and 28 more.",
        "relevance 9, novelty 8, cross-source: arXiv listing and a show, 4 May",
        "2. [Ebb](<https://arxiv.org/abs/1>): novelty 7\n",
        "| Tides \\| seas | 3 |  | 2 | 1 |  |  |",
        "One question was answered, and 12 came up.",
        "[[ebb|Ebb]] answers question 2 of [[tidenet|TideNet: x^2 (v2) / more]]: “How \\*long\\*?”",
        "): due 30 June 2026, open",
        "): due May 2026, failed",
        "contradicts [[ebb|Ebb]]: “It is not.”",
        "- [4 May](/today/2026-05-04): 40 papers, 3 kept, [listing](/triage/2026-05-04)",
        "- [5 May](/today/2026-05-05)\n",
        "- Cost: $0.12",
        "- 1 sentence of a model struck by the checker",
    ):
        assert said in text, said


def test_what_is_empty_is_left_out() -> None:
    assert as_markdown(Month("2026-05")) == "No paper was kept.\n"
    assert [each.name for each in document(Month("2026-05")).sections] == ["framing"]


def test_a_document_is_read_as_it_was_written() -> None:
    told = document(FULL)
    again = Document(
        told.day, tuple(Section.read(each) for each in told.as_json()["sections"]), told.ledger
    )
    assert again.as_json() == told.as_json()
    assert all(each["name"] and each["title"] for each in told.as_json()["sections"])
    [slack] = told.as_json()["sections"][1]["items"]
    assert (slack["ref"], slack["joined"], slack["papers"]) == ("slack", 2, 9)


def test_predictions_are_scored() -> None:
    def judged(state: PredictionState, probability: float | None = None) -> Predicted:
        return Predicted("p", TIDE, state=state, probability=probability)

    assert score([]) == "" == score([judged(PredictionState.WITHDRAWN)])
    found = score(
        [
            judged(PredictionState.CAME_TRUE, 0.9),
            judged(PredictionState.FAILED, 0.5),
            judged(PredictionState.FAILED),
        ]
    )
    assert found == (
        "Of 3 predictions judged, 1 came true and 2 failed. Brier score 0.13 over 2 probabilities."
    )
