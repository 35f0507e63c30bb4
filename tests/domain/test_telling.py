"""A day told from its facts: what is said, in which order, and what is never said."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from app.domain.digests import Document, SectionName, as_markdown
from app.domain.records import AuthorKind, PredictionState
from app.domain.telling import (
    DEEP_LEAST,
    DEEP_MOST,
    QUICK_MOST,
    Answering,
    Day,
    Foretold,
    Joining,
    Known,
    OtherFact,
    PaperFact,
    Relating,
    Said,
    ThreadFact,
    tell,
)

TIDES = (
    "kelp",
    "reef",
    "buoy",
    "sail",
    "mast",
    "keel",
    "oar",
    "pier",
    "dune",
    "gull",
    "cove",
    "surf",
)


def a_paper(number: int, **given: object) -> PaperFact:
    word = TIDES[number % len(TIDES)] + "x" * (number // len(TIDES))
    fields: dict[str, object] = {
        "id": number,
        "title": f"{word.capitalize()}: harbours measured with a {word}",
        "ref": f"arxiv:2605.{number:05}",
        "url": f"/w/{word}",
        "abstract": (
            f"Harbours that rely on a {word} lose hours when the {word} drifts. "
            f"We propose {word.capitalize()}, a rule that moves the {word} before the tide turns. "
            f"Over ninety nights the {word} rule cuts waiting by {10 + number}%. "
            f"Our {word} study is limited to narrow harbours."
        ),
        "kept": True,
        "score": 10.0 + number / 100,
        "topic": "Harbours",
        "tier": 2,
        "sources": ("arXiv listing",),
    }
    return PaperFact(**(fields | given))  # type: ignore[arg-type]


def known(name: str, day: str = "2026-04-16", gloss: str = "") -> Known:
    return Known(name, f"/w/{name.lower()}", name.lower(), day, gloss)


def a_day(papers: int = 3, **given: object) -> Day:
    fields: dict[str, object] = {
        "day": "2026-05-14",
        "papers": tuple(a_paper(number) for number in range(1, papers + 1)),
        "listed": 664,
        "new": 600,
        "picked": 7,
        "ledger": {"papers": {"listed": 664, "kept": papers}},
    }
    return Day(**(fields | given))  # type: ignore[arg-type]


def names(document: Document) -> list[str]:
    return [section.name for section in document.sections]


def items(document: Document, name: str) -> list[str]:
    section = document.section(name)
    return [item.title for item in section.items] if section else []


def text_of(document: Document, name: str) -> str:
    section = document.section(name)
    return as_markdown(Document(document.day, (section,))) if section else ""


def test_sections_stand_in_their_order_and_none_is_empty() -> None:
    told = tell(
        a_day(
            12,
            predictions=(Foretold("Piers float by 2027.", known("Pier"), "2027", "made"),),
            others=(OtherFact("A letter", "/w/letter", "letter", "article", "A paper boat"),),
        )
    )
    order = [name.value for name in SectionName]
    assert names(told) == sorted(names(told), key=order.index)
    assert {"framing", "tldr", "deep-dives", "industry-pulse", "worth-watching", "quick-hits"} == (
        set(names(told))
    )
    assert all(section.items or section.paragraphs for section in told.sections)


def test_a_day_with_nothing_has_no_section() -> None:
    assert tell(Day("2026-05-14")).sections == ()
    assert as_markdown(tell(Day("2026-05-14"))) == ""


def test_one_paper_is_told_in_the_singular() -> None:
    told = as_markdown(tell(a_day(1, listed=1, new=1, picked=1)))
    assert told.startswith("One paper: [Reef](</w/reef>).")
    assert "1 paper came in" in told
    assert "1 was kept" in told
    assert "papers" not in told.split("## Ledger")[0]


@pytest.mark.parametrize(("papers", "dives"), [(1, 1), (4, 4), (5, 5), (12, 5), (28, 7), (90, 8)])
def test_five_to_eight_papers_are_told_at_length(papers: int, dives: int) -> None:
    told = tell(a_day(papers))
    assert len(items(told, "deep-dives")) == dives
    assert DEEP_LEAST <= dives <= DEEP_MOST or papers < DEEP_LEAST
    assert len(items(told, "quick-hits")) == min(papers - dives, QUICK_MOST)
    assert not set(items(told, "deep-dives")) & set(items(told, "quick-hits"))


def test_no_topic_takes_every_deep_dive_while_others_wait() -> None:
    crowd = [a_paper(number, topic="Harbours", score=18.0) for number in range(1, 9)]
    others = [a_paper(number, topic="Lamps", score=9.0) for number in range(9, 12)]
    told = tell(replace(a_day(0), papers=(*crowd, *others)))
    lamps = {each.title for each in others}
    assert len(lamps & set(items(told, "deep-dives"))) == 2


def test_tier_signals_and_a_second_source_come_first() -> None:
    plain, tiered, crossed, joined = (
        a_paper(1, score=19.0),
        a_paper(2, tier=1, score=2.0),
        a_paper(3, tier=1, score=1.0, sources=("arXiv listing", "A letter")),
        a_paper(4, tier=1, score=1.0),
    )
    day = replace(
        a_day(0),
        papers=(plain, tiered, crossed, joined),
        relations=(Relating(4, "contradicts", known("Buoys")),),
    )
    assert items(tell(day), "deep-dives") == [
        each.title for each in (crossed, joined, tiered, plain)
    ]


def test_every_sentence_of_a_text_is_quoted_whole_and_once() -> None:
    day = a_day(40)
    told = tell(day)
    body = as_markdown(told)
    quoted = re.findall(r"“([^”]*)”", body)
    assert len(quoted) > 10
    assert len(quoted) == len(set(quoted))
    abstracts = "\n".join(each.abstract for each in day.papers)
    for each in quoted:
        assert each in abstracts
        assert each[-1] == "."


def test_sentences_of_ours_name_what_they_rest_on() -> None:
    day = a_day(
        3,
        threads=(
            ThreadFact(
                "Slack water",
                "slack",
                "Boats wait less.",
                4,
                "2026-03-01",
                (Joining(1, "supports", ""),),
            ),
        ),
    )
    told = tell(day)
    every = [
        sentence
        for section in told.sections
        for item in section.items
        for part in item.parts
        for sentence in part.sentences
    ]
    assert every
    assert all(sentence.ids for sentence in every)
    extracted = [each for each in every if each.by == AuthorKind.EXTRACT]
    texts = {each.ref: each.abstract for each in day.papers} | {"slack": "Boats wait less."}
    assert all(each.text in texts[each.ids[0]] for each in extracted)


def test_a_thread_is_told_with_its_count_its_past_and_what_is_open() -> None:
    thread = ThreadFact(
        "Slack water",
        "slack-water",
        "Boats that leave at slack water lose no time.",
        9,
        "2026-04-16",
        (Joining(1, "supports", ""), Joining(2, "contradicts", "", suggested=True)),
        ((known("Tip", gloss="Few boats carry the load."), "starts"),),
        ("Does it hold for rafts?",),
    )
    whole = tell(a_day(3, threads=(thread,)))
    assert as_markdown(whole).count("Boats that leave at slack water lose no time.") == 1
    told = text_of(whole, "connecting-the-dots")
    assert "### [Slack water](</w/slack-water>)" in told
    assert "Today [Reef](</w/reef>) (supports) joins, which makes [9 papers since April" in told
    assert "Suggested beside: [Buoy](</w/buoy>)." in told
    assert "[Tip](</w/tip>) (16 April 2026) starts it: Few boats carry the load." in told
    assert "“Does it hold for rafts?”" in told


def test_a_suggested_member_is_no_member() -> None:
    thread = ThreadFact(
        "Slack water", "slack", "Boats wait less.", 4, "2026-03-01", (Joining(1, "", "", True),)
    )
    told = tell(a_day(3, threads=(thread,)))
    assert "Reef](</w/reef>) is suggested for it; without that it has [4 papers since March" in (
        as_markdown(told)
    )
    assert "Slack water" not in text_of(told, "tldr")
    assert "4 papers" not in text_of(told, "framing")


def test_the_framing_says_what_joins_most() -> None:
    thread = ThreadFact(
        "Slack water",
        "slack",
        "Boats wait less.",
        8,
        "2026-04-16",
        (Joining(1, "supports", ""), Joining(2, "contradicts", "")),
    )
    told = text_of(tell(a_day(3, threads=(thread,))), "framing")
    assert told.strip() == (
        "[Reef](</w/reef>) supports and [Buoy](</w/buoy>) contradicts a claim that now has "
        "[8 papers](</w/slack>) since April 2026: Boats wait less."
    )
    bare = replace(thread, joined=(Joining(1, "", ""), Joining(2, "", "")))
    told = text_of(tell(a_day(3, threads=(bare,))), "framing")
    assert told.startswith("[Reef](</w/reef>) and [Buoy](</w/buoy>) join a claim that now has")


def test_a_thread_is_weighed_by_what_its_members_do_for_the_claim() -> None:
    thread = ThreadFact(
        "Slack water",
        "slack",
        "Boats wait less.",
        4,
        "2026-04-16",
        (Joining(1, "supports", ""),),
        (
            (known("Tip", gloss="Few boats carry the load."), "measures"),
            (known("Row", gloss="Rowing boats wait as long as ever."), "contradicts"),
        ),
        roles={"supports": 2, "contradicts": 1, "measures": 1},
    )
    told = tell(a_day(3, threads=(thread,)))
    picture = text_of(told, "big-picture")
    assert "[Reef](</w/reef>) supports the claim of “[Slack water](</w/slack>)”." in picture
    assert "Of its members [two support, one contradicts and one measures it]" in picture
    assert "On the other side, [Row](</w/row>) (16 April 2026): Rowing boats wait as" in picture
    assert as_markdown(told).count("Rowing boats wait as long as ever.") == 1
    assert "It supports the claim of “[Slack water](</w/slack>)”, which now has [4 papers]" in (
        text_of(told, "deep-dives")
    )


def test_an_earlier_page_speaks_for_itself_in_quotation_marks() -> None:
    earlier = ((known("Row", gloss="We row against the tide."), "contradicts"),)
    joined = (Joining(1, "supports", ""),)
    thread = ThreadFact("Slack water", "slack", "Boats wait.", 2, "2026-04-16", joined, earlier)
    told = as_markdown(tell(a_day(3, threads=(thread,))))
    assert "[Row](</w/row>) (16 April 2026): “We row against the tide.”" in told


def test_a_sentence_that_points_back_is_told_with_the_one_before() -> None:
    abstract = (
        "Harbour masters count waiting boats by hand. This misses those that turn away at dusk, "
        "which is a costly gap. We propose Reef, a buoy that counts every hull it hears."
    )
    told = text_of(tell(replace(a_day(0), papers=(a_paper(1, abstract=abstract),))), "deep-dives")
    assert "**The problem.** “Harbour masters count waiting boats by hand.” “This misses" in told


def test_a_result_in_numbers_is_told_once_at_the_top() -> None:
    abstract = (
        "Boats that rely on a rope lose hours. We propose Reef, a rope that stretches at night. "
        "Reef cuts waiting by 40% over ninety nights in two harbours. "
        "On rafts Reef improves the same measure by 12%."
    )
    told = tell(replace(a_day(0), papers=(a_paper(1, abstract=abstract),)))
    assert "Reef: “Reef cuts waiting by 40% over" in text_of(told, "tldr")
    assert as_markdown(told).count("by 40%") == 1
    assert "**Takeaways.** “On rafts Reef" in text_of(told, "deep-dives")


def test_what_another_source_says_is_told_in_its_words() -> None:
    said = Said(
        "A letter", "Deep Dives", "Reefs **slow** the tide by a third. They are cheap, too."
    )
    told = text_of(tell(replace(a_day(0), papers=(a_paper(1, said=(said,)),))), "deep-dives")
    assert "**What others say.** A letter: “Reefs slow the tide by a third.”" in told


def test_signals_are_named_with_the_earlier_page_its_day_and_gloss() -> None:
    day = a_day(
        3,
        relations=(
            Relating(1, "confirms", known("Ebb", gloss="Ebb tides are short."), "Reef agrees."),
            Relating(2, "contradicts", known("Flow", "2026-05-12"), suggested=True),
        ),
        answers=(Answering(3, "Do rafts drift?", 2, known("Raft", "2026-05-01"), "They do."),),
        predictions=(
            Foretold("Piers float by June.", known("Pier"), "2026-06", "touched", paper=1),
        ),
    )
    told = tell(day)
    dives = text_of(told, "deep-dives")
    assert "It confirms [Ebb](</w/ebb>) (16 April 2026). “Reef agrees.”" in dives
    assert "Suggested: it contradicts [Flow](</w/flow>) (12 May 2026)." in dives
    assert "It answers question 2 of [Raft](</w/raft>) (1 May 2026): Do rafts drift?" in dives
    assert "It bears on the prediction of [Pier](</w/pier>)" in dives
    assert "“Ebb tides are short.”" in text_of(told, "big-picture")
    found = {item.title: item.signals for item in told.section("deep-dives").items}  # type: ignore[union-attr]
    assert [found[each.title] for each in day.papers] == [
        ("confirmation", "prediction touched"),
        ("contradiction",),
        ("gap filled",),
    ]


def test_three_of_a_kind_are_seen_and_two_are_not() -> None:
    drift, rope = known("Drift"), known("Rope")
    papers = [a_paper(number, concepts=(drift, rope)) for number in (1, 2, 3)]
    papers.append(a_paper(4, concepts=(drift,)))
    told = text_of(tell(replace(a_day(0), papers=tuple(papers), held={"drift": 12})), "big-picture")
    assert "Four papers of the day are about [Drift](</w/drift>)" in told
    assert "Before them the wiki had [12 papers](</w/drift>) about Drift." in told
    assert "join Drift and Rope" not in told  # the same papers but one
    alone = tell(replace(a_day(0), papers=tuple(papers[:2])))
    assert alone.section("big-picture") is None


def test_a_suggested_concept_is_said_to_be_one() -> None:
    drift = known("Drift")
    papers = [a_paper(number, concepts=(drift,), likely=frozenset({"drift"})) for number in (1, 2)]
    papers.append(a_paper(3, concepts=(drift,)))
    told = text_of(tell(replace(a_day(0), papers=tuple(papers))), "big-picture")
    assert "Three papers of the day (two as suggested) are about" in told
    none_accepted = [replace(each, likely=frozenset({"drift"})) for each in papers]
    told = text_of(tell(replace(a_day(0), papers=tuple(none_accepted))), "big-picture")
    assert "Three papers of the day may be about" in told


def test_what_others_found_is_no_result_of_a_paper() -> None:
    paper = a_paper(
        1,
        abstract="We propose a rule for boats at night. The rule is short. "
        "Recent work by two crews shows that rules cut drift by 40%. "
        "Experiments show that most boats achieve their berth 20% faster.",
    )
    told = text_of(tell(replace(a_day(0), papers=(paper,))), "tldr")
    assert "Recent work" not in told


def test_predictions_are_told_by_why_they_matter_today() -> None:
    pier = known("Pier")
    day = a_day(
        1,
        predictions=(
            Foretold("Rafts sink.", pier, "2027-01-01", "made"),
            Foretold("Gulls leave.", pier, "2026-05-14", "due"),
            Foretold("Ropes fray.", pier, "", "resolved", PredictionState.CAME_TRUE),
        ),
    )
    told = tell(day)
    assert items(told, "worth-watching") == ["Gulls leave.", "Ropes fray.", "Rafts sink."]
    words = text_of(told, "worth-watching")
    assert "Due 14 May 2026, and to be judged" in words
    assert "Came true: predicted by [Pier]" in words
    assert "[1 prediction](</predictions?state=due>) came due." in text_of(told, "tldr")


def test_what_a_source_says_is_why_it_matters() -> None:
    said = Said("A letter", "Deep Dives", "text", "Reefs are the new piers.")
    told = text_of(tell(replace(a_day(0), papers=(a_paper(1, said=(said,)),))), "deep-dives")
    assert "**Why it matters.** A letter: “Reefs are the new piers.”" in told


def test_a_diagram_is_kept_as_it_was_drawn() -> None:
    drawn = "  a ──► b\n      ```\n  └──► c"
    told = text_of(tell(replace(a_day(0), papers=(a_paper(1, diagram=drawn),))), "deep-dives")
    assert f"````\n{drawn}\n````" in told


@pytest.mark.parametrize(
    "hostile",
    [
        "[[kv cache]] and {{count thread:x}}",
        "# a heading\n\n- a list",
        "<script>alert(1)</script> <img src=x onerror=y>",
        "a](javascript:alert(1)) [b](http://c)",
        "`code` ```fence``` *em* __strong__",
        "“quoted” |table|\n|---|",
        "\x00\u202e hidden \ud800 signs",
    ],
)
def test_no_text_has_power(hostile: str) -> None:
    from app.domain.markdown import wikilinks
    from app.rendering import render_body

    paper = a_paper(
        1, title=hostile, abstract=f"We propose {hostile} for boats that wait at night."
    )
    day = replace(
        a_day(0),
        papers=(paper, *(a_paper(n, concepts=(known(hostile),)) for n in (2, 3, 4))),
        others=(OtherFact(hostile, "/w/x", "x", "article", hostile, hostile),),
        predictions=(Foretold(hostile, known(hostile), "2026", "made"),),
        threads=(ThreadFact(hostile, "x", hostile, 3, "2026", (Joining(1, "", hostile),)),),
        ledger={"sources": {hostile: 3}},
    )
    body = as_markdown(tell(day))
    assert wikilinks(body) == []
    html = str(render_body(body, lambda keys: {}).html)
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript:' not in html
    assert html.count("<h2") == body.count("\n## ") + body.startswith("## ")


def test_latex_is_read_and_formulas_stay() -> None:
    paper = a_paper(
        1, abstract=r"We propose \emph{B\'el\'ady} boats with $O(n^2)$ cost at 5\% risk, no less."
    )
    told = text_of(tell(replace(a_day(0), papers=(paper,))), "deep-dives")
    assert "We propose Bélády boats with $O(n^2)$ cost at 5% risk, no less." in told


def test_dashes_ties_and_emphasis_are_set() -> None:
    paper = a_paper(
        1, abstract="We propose *slack rows* of 3--5 boats---``rafts'' too---with F1~0.9 in all."
    )
    told = text_of(tell(replace(a_day(0), papers=(paper,))), "deep-dives")
    assert "We propose slack rows of 3–5 boats—‘rafts’ too—with F1\N{NO-BREAK SPACE}0.9 in" in told


def test_a_stored_document_is_read_as_it_was_told() -> None:
    from app.domain.digests import Section

    told = tell(a_day(12))
    stored = told.as_json()
    assert tuple(Section.read(each) for each in stored["sections"]) == told.sections
