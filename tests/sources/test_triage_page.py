"""Saved pages of a personalised listing: a made-up day in three shapes, damage, and the real one."""

from __future__ import annotations

import html
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.items import (
    AssessmentArrival,
    Document,
    ListingArrival,
    PaperArrival,
    Rejected,
    TopicArrival,
)
from app.errors import Unreadable
from app.sources.base import File
from app.sources.triage_page import TriagePage

DAY = (Path(__file__).parent / "data" / "triage-day.txt").read_bytes()
SEED = Path(__file__).parents[3] / "shared" / "data" / "seeds" / "arxiv-triage-2026-05-08.txt"
READER = TriagePage()


def document(data: bytes | str, name: str = "page.txt") -> Document:
    return READER.read(File(name=name, data=data.encode() if isinstance(data, str) else data))


def read(data: bytes | str, name: str = "page.txt") -> list[Any]:
    return list(document(data, name).arrivals)


def of(kind: type, arrivals: list[Any]) -> list[Any]:
    return [arrival for arrival in arrivals if isinstance(arrival, kind)]


def changed(old: str, new: str) -> list[Any]:
    """The arrivals of the day with one thing changed."""
    text = DAY.decode()
    assert old in text
    return read(text.replace(old, new))


# ---------------------------------------------------------------- the day as it is


def test_day_is_the_documents_key() -> None:
    page = document(DAY)
    assert (page.key, page.published, page.format) == ("2031-03-03", "2031-03-03", "triage-page")
    assert page.source.key == "personalized-daily-arxiv"
    assert page.title == "Personalized Daily ArXiv Papers 2031-03-03"


def test_listing_holds_funnel_cost_neighbours_and_prompt() -> None:
    (listing,) = of(ListingArrival, read(DAY))
    prompt = listing.prompt
    assert prompt.startswith("System Prompt\n\nYou choose papers")
    assert prompt.endswith("Instructions\n\nRespond in JSONL.")
    assert listing == ListingArrival(
        day="2031-03-03",
        fetched=410,
        scanned=96,
        kept=4,
        model="owl-2-mini",
        prompt_tokens=12_500,
        completion_tokens=800,
        prompt_cost_usd=0.40,
        completion_cost_usd=0.08,
        prompt=prompt,
        previous_day="2031-02-27",
        next_day="2031-03-04",
        month="2031-03",
    )


def test_topics_take_ids_and_criteria_from_the_prompt() -> None:
    assert of(TopicArrival, read(DAY)) == [
        TopicArrival(
            id="tides_moons",
            name="Tides, Moons, and Orbits",
            keep="tidal dynamics, small moons, and orbit fits.",
            filter="rocket engineering.",
            extra={"description": "Motion of water and of small bodies."},
        ),
        TopicArrival(
            id="bread_chem",
            name="Bread Chemistry",
            keep="starch, gluten, fermentation.",
            filter="restaurant reviews.",
            extra={"description": "What happens in a loaf."},
        ),
        TopicArrival(
            id="knot_theory_2",
            name="Knot Theory 2",
            keep="knots in dimension two.",
            filter="neckties.",
        ),
    ]


def test_paper_keeps_its_abstract_in_full_and_waits_in_the_listing() -> None:
    papers = of(PaperArrival, read(DAY))
    assert papers[0] == PaperArrival(
        refs=("arxiv:3103.00011v2",),
        title="Slack Water Is a Limit Cycle",
        abstract="Harbour gauges are usually read as noise around a sine.\n"
        "We show that slack water follows $\\dot{x} = x - x^{3}$ with 3 constants:\n\n"
        "1. the depth of the sill;\n2. the delay of the bar.\n\n"
        "Both are measured. Code: https://example.org/slack .",
        authors=("Ada Brine", 'Bo Fj\\"ord'),
        day="2031-03-03",
        position=1,
    )
    assert [paper.position for paper in papers] == [1, 2, 3, 4]
    assert papers[1].authors == ("C. Regolith, Jr.", "Gus Impact")
    assert not any(paper.keep for paper in papers)


def test_assessment_names_the_primary_topic_first() -> None:
    assert of(AssessmentArrival, read(DAY))[0] == AssessmentArrival(
        paper="arxiv:3103.00011",
        day="2031-03-03",
        scorer="owl-2-mini",
        relevance=9,
        novelty=7,
        topics=("tides_moons", "bread_chem", "knot_theory_2"),
        comment="Derives slack water as a limit cycle and measures both constants.",
        topic_comment="Squarely about tidal dynamics.",
    )


def test_whole_day_is_read_without_a_problem() -> None:
    assert of(Rejected, read(DAY)) == []


# ---------------------------------------------------------------- the same day in other shapes


def as_markdown(text: str) -> str:
    head, _, prompt = text.partition("Paper Selection Prompt\n")
    head = re.sub(r"(?m)^(Personalized Daily .*)$", r"# \1", head)
    head = re.sub(
        r"(?m)^  (\d+)\. (.+) Authors: (.+)$", r"\1. [\2](#paper-x)\n**Authors:** \3", head
    )
    head = re.sub(r"(?m)^(.+ \(\d+\))$", r'## \1 <a id="topic-x"></a>', head)
    head = re.sub(
        r"(?m)^(\d)\. (.+)\n\nArXiv ID: (\S+)$",
        r"---\n\n### \1. [\2](https://arxiv.org/abs/\3) <a id='paper-x'></a>\n\n**ArXiv ID:** \3",
        head,
    )
    head = head.replace(" Novelty:", "\n**Novelty:**")
    head = re.sub(
        r"(?m)^(Primary Topic|Also Matches|Authors|Abstract|Comment|Topic Match|Relevance):",
        r"**\1:**",
        head,
    )
    quoted = "\n".join(f"> {line}" for line in prompt.strip().split("\n"))
    return f"{head}---\n\n# Paper Selection Prompt\n\n{quoted}\n"


def as_html(text: str) -> str:
    parts = [html.escape(part).replace("\n", "<br>") for part in text.split("\n\n")]
    body = "".join(f"<p>{part}</p>" for part in parts)
    head = '<script>let a = "<p>1. No</p>"</script><!-- 1. no --><style>p > a {}</style>'
    return f'<!DOCTYPE html><html><head>{head}</head><body class="a>b">{body}</body></html>'


@pytest.mark.parametrize("shape", [as_markdown, as_html, lambda text: text.replace("\n", "\r\n")])
def test_markdown_html_and_other_line_ends_tell_the_same(shape: Any) -> None:
    data = shape(DAY.decode())
    assert READER.recognises(File(name="page", data=data.encode()))
    arrivals, expected = read(data), read(DAY)
    assert of(Rejected, arrivals) == []
    assert of(TopicArrival, arrivals) == of(TopicArrival, expected)
    assert of(AssessmentArrival, arrivals) == of(AssessmentArrival, expected)
    assert [paper.title for paper in of(PaperArrival, arrivals)] == [
        paper.title for paper in of(PaperArrival, expected)
    ]
    assert [paper.authors for paper in of(PaperArrival, arrivals)] == [
        paper.authors for paper in of(PaperArrival, expected)
    ]
    assert of(ListingArrival, arrivals)[0].model == "owl-2-mini"


def test_html_tables_inside_markdown_are_rows() -> None:
    table = (
        "<table>\n<tr><th>Model</th><th>Metric</th></tr>\n<tr><td><code>owl-3</code></td>\n"
        "<td>Tokens</td><td>7</td><td>5</td><td>12</td><td>9</td><td>8</td><td>0</td></tr>\n"
        "<tr><td>Cost</td><td>$0.10</td><td>n/a</td><td>-</td></tr></table>"
    )
    (listing,) = of(
        ListingArrival, read(f"# Personalized Daily ArXiv Papers 2031-03-04\n{table}\n")
    )
    assert (listing.model, listing.prompt_tokens, listing.completion_tokens) == ("owl-3", 7, 5)
    assert (listing.fetched, listing.scanned, listing.kept) == (9, 8, 0)
    assert (listing.prompt_cost_usd, listing.completion_cost_usd) == (0.10, None)


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2031-03-04", "2031-03-04"),
        ("2031/3/4", "2031-03-04"),
        ("03/04/2031", "2031-03-04"),
        ("March 4, 2031", "2031-03-04"),
        ("for Mar 4 2031", "2031-03-04"),
    ],
)
def test_day_of_the_title_in_other_words(written: str, day: str) -> None:
    text = f"Personalized Daily arXiv Papers {written}\nTotal relevant papers: 0\n"
    assert document(text).key == day
    assert of(ListingArrival, read(text))[0].kept == 0


def test_day_of_last_resort_is_in_the_file_name() -> None:
    text = DAY.decode().replace("Papers 2031-03-03", "Papers")
    assert document(text, name="saved-2031-03-09.txt").key == "2031-03-09"


@pytest.mark.parametrize(
    "text", ["Personalized Daily ArXiv Papers\n", "Daily ArXiv Papers 2031-03-04"]
)
def test_page_without_a_day_or_without_anything_else_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match=r"page\.txt"):
        document(text)


# ---------------------------------------------------------------- what does not agree


def test_paper_under_two_topics_arrives_once_with_both() -> None:
    again = DAY.decode().split("\n1. Rye Forgets")[1].split("Knot Theory 2 (1)")[0]
    again = "1. Rye Forgets" + again.replace(
        "Primary Topic: Bread", "Primary Topic: Tides, Moons, and Orbits\n\nAlso Matches: Bread"
    )
    arrivals = changed("1. Unknots You Can Sit On\n\nArXiv", f"{again}\n2. Unknots\n\nArXiv")
    ids = [paper.refs[0] for paper in of(PaperArrival, arrivals)]
    assert ids == ["arxiv:3103.00011v2", "arxiv:3103.00012", "arxiv:3103.00013", "arxiv:3103.00014"]
    assert len(of(AssessmentArrival, arrivals)) == 4
    assert of(AssessmentArrival, arrivals)[2].topics == ("bread_chem", "tides_moons")


@pytest.mark.parametrize(
    ("old", "new", "where", "words"),
    [
        ("Bread Chemistry1\n", "Bread Chemistry6\n", "coverage table", "says 6, 1 were read"),
        ("410 96 4\n", "410 96 9\n", "paper table", "9 relevant papers, 4 were read"),
        ("800 13,300", "800 14,000", "token table", "do not add up"),
        ("3103.00013\n", "31O3.13\n", "paper 3, Rye Forgets Faster Than Wheat", "no arXiv id"),
        (
            "ArXiv ID: 3103.00013\n",
            "\n",
            "paper 3, Rye Forgets Faster Than Wheat",
            "has no arXiv id",
        ),
        ("Relevance: 8 Novelty: 8", "Relevance: 80 Novelty: 8", "paper 3", "relevance '80'"),
        ("Relevance: 8 Novelty: 8", "Relevance: 8 Novelty: high", "paper 3", "novelty 'high'"),
        ("Relevance: 8 Novelty: 8\n", "\n", "paper 3, Rye Forgets Faster Than Wheat", "no marks"),
        ("Bread Chemistry, Knot Theory 2\n", "Bread, Knot Theory 2\n", "paper 1", "'Bread'"),
    ],
)
def test_what_does_not_agree_is_said(old: str, new: str, where: str, words: str) -> None:
    arrivals = changed(old, new)
    assert [(said.where, words in said.reason) for said in of(Rejected, arrivals)] == [
        (where, True)
    ]
    assert len(of(PaperArrival, arrivals)) == 4
    assert len(of(AssessmentArrival, arrivals)) == 4


def test_paper_without_an_id_is_known_by_its_title() -> None:
    arrivals = changed("ArXiv ID: 3103.00013\n", "\n")
    assert of(PaperArrival, arrivals)[2].refs == ()
    assert of(AssessmentArrival, arrivals)[2].paper == "title:Rye Forgets Faster Than Wheat"


def test_lost_title_is_given_back_from_the_contents() -> None:
    arrivals = changed("1. Unknots You Can Sit On\n\nArXiv", "ArXiv")
    assert of(PaperArrival, arrivals)[3].title == "Unknots You Can Sit On"


def test_fields_in_another_order_are_the_same_fields() -> None:
    old = "ArXiv ID: 3103.00013\n\nPrimary Topic: Bread Chemistry\n\nAuthors: Dora Miche, Emil Kruste\n"
    new = "Authors: Dora Miche, Emil Kruste\n\nPrimary Topic: Bread Chemistry\n\nArXiv ID: 3103.00013\n"
    assert changed(old, new) == read(DAY)


def test_page_cut_off_in_an_abstract_keeps_what_is_there_and_says_what_is_missing() -> None:
    arrivals = read(DAY[: DAY.index(b"is twice as fast")])
    papers, marks = of(PaperArrival, arrivals), of(AssessmentArrival, arrivals)
    assert papers[2].abstract == "Starch retrogradation in rye"
    assert (marks[2].relevance, marks[2].novelty) == (None, None)
    assert [said.reason for said in of(Rejected, arrivals)] == [
        "It has no marks.",
        "Knot Theory 2: the table says 1, 0 were read.",
        "It says 4 relevant papers, 3 were read.",
    ]


def test_title_with_nothing_under_it_is_said() -> None:
    arrivals = changed("\n2. Moonlets: A Cat", "\n2. Cut Away\n\n3. Moonlets: A Cat")
    assert of(Rejected, arrivals) == [
        Rejected(where="2. Cut Away", reason="Nothing stands under this title.")
    ]
    assert len(of(PaperArrival, arrivals)) == 4


def test_day_with_no_papers_still_has_its_frame() -> None:
    head, _, rest = DAY.decode().partition("Topic Coverage")
    prompt = "Paper Selection Prompt" + rest.partition("Paper Selection Prompt")[2]
    arrivals = read(head.replace("410 96 4", "410 96 0") + prompt)
    assert of(Rejected, arrivals) == of(PaperArrival, arrivals) == []
    assert [topic.id for topic in of(TopicArrival, arrivals)] == ["tides_moons", "bread_chem"]
    assert of(ListingArrival, arrivals)[0].scanned == 96


def test_numbers_no_table_can_hold_are_not_known() -> None:
    arrivals = changed("12,500 800 13,300 410", "99999999999999999999 800 1 410")
    assert of(ListingArrival, arrivals)[0].prompt_tokens is None


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("Personalized Daily ArXiv Papers 2031-03-03", True),
        ("1. T\nArXiv ID: 1\nRelevance: 3\nNovelty: 4", True),
        ("# Daily Digest 2031-03-03\n\nRelevance of novelty", False),
        ("", False),
    ],
)
def test_recognises_the_title_or_the_marks(text: str, ours: bool) -> None:
    assert READER.recognises(File(name="x", data=text.encode())) is ours


# ---------------------------------------------------------------- damage, and the real page


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=30),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
)
@settings(deadline=None)
def test_damaged_page_is_read_or_unreadable(
    flips: list[tuple[int, int]], cut: int, length: int
) -> None:
    data = bytearray(DAY)
    for at, byte in flips:
        data[at % len(data)] = byte
    del data[cut : cut + length % 3000]
    READER.recognises(File(name="page.txt", data=bytes(data)))
    with suppress(Unreadable):
        arrivals = read(bytes(data))
        assert len(of(PaperArrival, arrivals)) == len(of(AssessmentArrival, arrivals))


@pytest.mark.parametrize(
    "unit",
    [
        "1. A\n",
        "1. A\nArXiv ID: 3103.00011\n",
        "Authors: (\n",
        "A (1)\n",
        "Abstract: \n1. x\n",
        "Relevance: ",
        " Authors: ",
        "- a: b ",
        "(((",
        "](",
        "[",
        " ",
        "\n",
        "<table>",
        "<!--",
        "<a ",
        '<a "',
    ],
)
def test_long_repetitions_are_read_in_good_time(unit: str) -> None:
    text = "Personalized Daily ArXiv Papers 2031-03-03\nTotal relevant papers: 1\n"
    if unit.startswith("<"):
        text = "<!doctype html><p>" + text.replace("\n", "</p><p>")
    assert read(text + unit * (400_000 // len(unit)))


@pytest.mark.skipif(not SEED.is_file(), reason="no ../shared/data")
def test_real_page_is_read_whole() -> None:
    arrivals = read(SEED.read_bytes(), SEED.name)
    papers, marks = of(PaperArrival, arrivals), of(AssessmentArrival, arrivals)
    assert of(Rejected, arrivals) == []
    assert len(papers) == len(marks) == len({paper.refs for paper in papers}) == 75
    assert all(paper.authors and len(paper.abstract) > 600 for paper in papers)
    assert all(mark.relevance and mark.novelty and mark.comment for mark in marks)
    assert sum(len(mark.topics) > 1 for mark in marks) == 45
    assert [topic.id for topic in of(TopicArrival, arrivals)] == [
        "architecture_training",
        "efficiency_scaling",
        "representation_structure",
        "memory_systems",
        "world_models_open_ended_rl",
    ]
    assert all(topic.keep and topic.filter for topic in of(TopicArrival, arrivals))
    (listing,) = of(ListingArrival, arrivals)
    assert (listing.fetched, listing.scanned, listing.kept) == (1086, 702, 75)
    assert (listing.prompt_tokens, listing.completion_tokens) == (418_992, 33_915)
    assert (listing.prompt_cost_usd, listing.completion_cost_usd) == (1.05, 0.51)
    assert (listing.previous_day, listing.next_day, listing.month) == (
        "2026-05-07",
        "2026-05-11",
        "2026-05",
    )
    assert (listing.model, len(listing.prompt)) == ("gpt-5.4", 7875)


@pytest.mark.skipif(not SEED.is_file(), reason="no ../shared/data")
@given(
    st.lists(st.tuples(st.integers(0, 180_000), st.integers(0, 255)), max_size=60),
    st.integers(0, 180_000),
    st.integers(0, 60_000),
)
@settings(deadline=None, max_examples=40)
def test_real_page_damaged_is_still_read(
    flips: list[tuple[int, int]], cut: int, length: int
) -> None:
    data = bytearray(SEED.read_bytes())
    for at, byte in flips:
        data[at % len(data)] = byte
    del data[cut : cut + length]
    assert len(of(PaperArrival, read(bytes(data), SEED.name))) >= 30
