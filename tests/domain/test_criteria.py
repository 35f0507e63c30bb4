"""The comment of the local scorer: one criterion, and what the paper says of it."""

from __future__ import annotations

import json
from itertools import product

import pytest

from app.domain.criteria import LONGEST, Comment, comment
from app.domain.scoring import TopicText

CACHES = TopicText(
    "caches", "Cache design", keep="eviction of cache lines, prefetching, coherence protocols"
)
TIDES = TopicText("tides", "Tide gauges", keep="harbour sensors, drift of gauges, storm surges")
ABSTRACT = (
    "Processors spend much of their time on memory. Existing policies for the eviction of cache "
    "lines look at the past alone. We propose Heron, a policy that evicts cache lines by predicted "
    "reuse. On twelve programs it saves 14% of all misses. Code is available at "
    "https://github.com/example/heron."
)


def of(abstract: str, *, clause: str = "eviction of cache lines", title: str = "Heron") -> Comment:
    return comment(CACHES, clause, title, abstract)


def test_it_names_the_criterion_and_what_the_paper_does_about_it() -> None:
    made = of(ABSTRACT)

    assert made.comment == (
        "Eviction of cache lines: it proposes Heron, a policy that evicts cache lines by "
        "predicted reuse."
    )


def test_the_sentence_stands_in_evidence_as_the_paper_has_it() -> None:
    [evidence] = of(ABSTRACT).evidence

    assert evidence["kind"] == "criterion"
    assert evidence["text"] == "eviction of cache lines"
    assert evidence["where"] == "abstract"
    assert evidence["quotation"] in ABSTRACT
    marked = [evidence["quotation"][start:end] for start, end in evidence["spans"]]
    assert marked == ["evicts cache lines"]


def test_what_others_did_is_told_only_when_the_paper_says_no_more() -> None:
    background = "Existing policies for the eviction of cache lines look at the past alone."

    assert of(f"{background} We present a new eviction order.").comment == (
        "Eviction of cache lines: it presents a new eviction order."
    )
    assert of(background).comment == f"Eviction of cache lines: {background}"


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("We study eviction and show that our rule wins.", "it studies eviction and shows that its rule wins."),
        ("In this paper, we present an eviction rule.", "it presents an eviction rule."),
        ("To this end, we further analyze the eviction rule.", "it further analyzes the eviction rule."),
        ("We address eviction under load.", "it addresses eviction under load."),
        ("Moreover, eviction rules are learned online.", "Eviction rules are learned online."),
        ("Our eviction rule is learned while we run.", "Its eviction rule is learned while the authors run."),
        (r"We propose \emph{Heron} for eviction at rate $\alpha$.", "it proposes Heron for eviction at rate α."),
    ],
)  # fmt: skip
def test_we_is_told_as_it(sentence: str, told: str) -> None:
    assert of(sentence).comment == f"Eviction of cache lines: {told}"


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        (  # between clauses
            "We propose a policy for eviction that looks at the reuse of each of the lines it holds, "
            "which makes it possible to hold far fewer of them than all of the older policies had to "
            "hold for the same programs on the same machines.",
            "it proposes a policy for eviction that looks at the reuse of each of the lines it holds.",
        ),
        (  # not within what is quoted
            'We propose a policy for eviction named "first come, first served, unless it is needed '
            'again, which is rarely so", and compare it with the policies that all processors of the '
            "last ten years have had for the very same programs.",
            'it proposes a policy for eviction named "first come, first served, unless it is needed '
            'again, which is rarely so".',
        ),
        (  # not after what only leads up to it
            "By looking at all of the lines held, the policy for eviction that is proposed here "
            "takes the oldest of them, which is what a reader of the older papers would have said "
            "that it should never do at all.",
            "By looking at all of the lines held, the policy for eviction that is proposed here "
            "takes the oldest of them.",
        ),
    ],
)
def test_a_long_sentence_ends_between_clauses(sentence: str, told: str) -> None:
    assert of(sentence).comment == f"Eviction of cache lines: {told}"


def test_without_an_abstract_the_title_speaks() -> None:
    made = of("", title="Eviction for the patient")

    assert made.comment == "Eviction of cache lines: Eviction for the patient."
    assert made.evidence[0]["where"] == "title"


def test_a_criterion_too_long_for_a_comment_goes_by_its_topic() -> None:
    clause = "eviction of cache lines " * 6

    made = of(ABSTRACT, clause=clause)

    assert made.comment.startswith("Cache design: it proposes Heron")
    assert made.evidence[0]["text"] == clause.strip()


def test_a_paper_without_a_criterion_is_told_under_its_topic() -> None:
    assert of(ABSTRACT, clause="").comment.startswith("Cache design: it proposes Heron")


def test_the_topic_comment_names_the_words_that_fit_and_the_next_topic_where_it_is_near() -> None:
    abstract = "We propose an eviction of cache lines for harbour sensors that see storm surges."

    near = comment(CACHES, "", "A cache", abstract, next_topic=TIDES)
    alone = comment(CACHES, "", "A cache", abstract)
    far = comment(TIDES, "", "Drift of a tide gauge", "Harbour sensors.", next_topic=CACHES)

    assert alone.topic_comment == "Cache design: it says “cache lines” and “eviction”."
    assert "Next is Tide gauges, with" in near.topic_comment
    assert "storm surges" in near.topic_comment
    assert "Next" not in far.topic_comment


def test_a_topic_of_which_it_says_no_word_is_called_near_in_meaning() -> None:
    made = comment(CACHES, "", "On birds", "We count herons along the coast for ten long years.")

    assert made.topic_comment == (
        "Cache design: nearest in meaning, though it says none of the words of that topic."
    )


ODD = [
    "",
    " \n\t",
    "\x00\ufeff",
    "word",
    "." * 5_000,
    "we " * 20_000,
    "We propose " + "a, " * 20_000,
    "(" * 20_000,
    '"' * 20_001,
    "$" * 9_999,
    r"\frac{" * 3_000,
    "“" * 9_000 + "We propose eviction.",
    "缓存。我们提出一种缓存替换策略。" * 50,
    "We propose \U000e0041\u202eeviction of cache lines\u202c by rank.",
    "<script>alert(1)</script> We propose [[Other page]] for eviction | of lines.",
    "x" * 100_000,
]


@pytest.mark.parametrize(("title", "abstract"), list(product(("", "A title", "t" * 3_000), ODD)))
def test_odd_texts_give_a_short_line_and_evidence_that_is_verbatim(
    title: str, abstract: str
) -> None:
    made = comment(CACHES, "eviction", title, abstract, next_topic=TIDES)

    assert len(made.comment) <= LONGEST
    for text in (made.comment, made.topic_comment):
        assert text == " ".join(text.split())
        assert not set("\x00\ufeff\u202e\u202c\U000e0041") & set(text)
    for evidence in made.evidence:
        assert evidence["quotation"] in (abstract if evidence["where"] == "abstract" else title)
        for start, end in evidence["spans"]:
            assert 0 <= start < end <= len(evidence["quotation"])
    assert json.loads(json.dumps(made.evidence)) == made.evidence
    assert comment(CACHES, "eviction", title, abstract, next_topic=TIDES) == made


def test_a_topic_without_a_word_harms_nothing() -> None:
    made = comment(TopicText("empty", " "), "", "A title", ABSTRACT)

    assert made.comment == "it proposes Heron, a policy that evicts cache lines by predicted reuse."
