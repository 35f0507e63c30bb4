"""The linker's rule on small wikis written here, with the weights that ship."""

from dataclasses import replace
from importlib import resources

import numpy as np
import pytest

from app.domain import features, words
from app.domain.confidence import Weights
from app.domain.linking import (
    Candidate,
    ConceptText,
    Knowledge,
    Pair,
    Papers,
    PaperText,
    SignalKind,
    rank,
)
from app.errors import Misconfigured

WEIGHTS = Weights.parse(
    resources.files("app.domain").joinpath("linker_weights.json").read_text(encoding="utf-8")
)
TEA = "Steeping leaves at low heat keeps the bitter tannins of green tea out of the cup."
CONCEPTS = (
    ConceptText(1, "Tea brewing", ("infusion",)),
    ConceptText(2, "Bridge engineering"),
    ConceptText(3, "Bird migration"),
    ConceptText(4, "Retrieval-Augmented Baking"),
)
PAPERS = (
    PaperText(10, "Tannins in green tea", TEA),
    PaperText(11, "Water hardness and tea leaves", "Soft water draws more from leaves of tea."),
    PaperText(12, "Cable stays under wind", "We load the deck of a suspension bridge with gusts."),
    PaperText(13, "Fatigue of steel decks", "Welds in a steel bridge deck crack under traffic."),
    PaperText(14, "Storks over the strait", "Tagged storks wait for thermals on their migration."),
    PaperText(15, "Night flight of thrushes", "Birds cross the sea at night in spring migration."),
    PaperText(20, "Oolong leaves", "How long to steep leaves of oolong tea in soft water."),
    PaperText(21, "Gusts on a footbridge", "Wind tunnel loads on the deck of a light bridge."),
    PaperText(
        22, "Warblers and headwinds", "Tagged birds delay migration when the wind is against."
    ),
)
ACCEPTED: set[Pair] = {(10, 1), (11, 1), (12, 2), (13, 2), (14, 3), (15, 3)}
TO_LINK = (20, 21, 22)


def know(
    accepted: set[Pair] = ACCEPTED,
    *,
    rejected: set[Pair] = frozenset(),  # type: ignore[assignment]
    neighbours: set[Pair] = frozenset(),  # type: ignore[assignment]
    papers: tuple[PaperText, ...] = PAPERS,
    concepts: tuple[ConceptText, ...] = CONCEPTS,
    vectors: tuple[np.ndarray, np.ndarray] | None = None,
) -> Knowledge:
    return Knowledge(
        concepts,
        papers,
        accepted=accepted,
        rejected=rejected,
        neighbours=neighbours,
        vectors=vectors,
        weights=WEIGHTS,
    )


def vectors_by_topic(
    papers: tuple[PaperText, ...] = PAPERS,
) -> tuple[np.ndarray, np.ndarray]:
    """Meaning in four directions: what a paper is about, and a little of everything."""
    topic = {10: 0, 11: 0, 12: 1, 13: 1, 14: 2, 15: 2, 20: 0, 21: 1, 22: 2}
    rng = np.random.default_rng(3)
    rows = rng.normal(0, 0.1, (len(papers), 8)).astype(np.float32)
    for row, paper in enumerate(papers):
        rows[row, topic[paper.id]] += 1
    return rows, np.eye(4, 8, dtype=np.float32)


def best(candidates: list[Candidate]) -> dict[int, int]:
    """The first concept of each paper."""
    return {c.paper: c.concept for c in reversed(candidates)}


def test_accepted_papers_of_a_concept_draw_the_papers_like_them() -> None:
    assert best(rank(TO_LINK, know())) == {20: 1, 21: 2, 22: 3}


def test_vectors_alone_are_enough_when_no_word_is_shared() -> None:
    strange = tuple(replace(p, title=f"t{p.id}", text=f"w{p.id}") for p in PAPERS)
    assert best(rank(TO_LINK, know(papers=strange, vectors=vectors_by_topic()))) == {
        20: 1,
        21: 2,
        22: 3,
    }


def test_a_wiki_without_decisions_links_by_name() -> None:
    named = PaperText(30, "Tea brewing at altitude", "On tea brewing where water boils early.")
    found = rank([30], know(set(), papers=(*PAPERS, named)))
    assert found[0].concept == 1
    assert found[0].signals[0].weight > 0
    assert "brewing" in {w.lower() for s in found[0].signals for w in s.words}


def test_an_alias_and_an_acronym_count_as_names() -> None:
    papers = (
        PaperText(30, "Cold infusion", "An infusion without heat."),
        PaperText(31, "RAB for sourdough", "We study RAB and its crust. RAB rises."),
    )
    first = best(rank([30, 31], know(set(), papers=(*PAPERS, *papers))))
    assert first == {30: 1, 31: 4}


def test_candidates_stand_in_order_with_confidences_between_zero_and_one() -> None:
    found = rank(TO_LINK, know())
    assert [c.paper for c in found] == sorted(
        [c.paper for c in found], key=[c.paper for c in found].index
    )
    for paper in TO_LINK:
        sure = [c.confidence for c in found if c.paper == paper]
        assert sure == sorted(sure, reverse=True)
        assert all(0 <= each <= 1 for each in sure)
        assert len(sure) == len(CONCEPTS)


def test_the_limit_bounds_candidates_and_most_bounds_proposals() -> None:
    eager = replace(WEIGHTS, floor=0.0)
    knowledge = Knowledge(CONCEPTS, PAPERS, accepted=ACCEPTED, weights=eager)
    assert len(rank([20], knowledge, limit=2)) == 2
    assert sum(c.proposed for c in rank([20], knowledge, most=1)) == 1


@pytest.mark.parametrize(
    ("accepted", "rejected", "excluded"),
    [
        (ACCEPTED | {(20, 1)}, set(), set()),
        (ACCEPTED, {(20, 1)}, set()),
        (ACCEPTED, set(), {(20, 1)}),
    ],
    ids=["linked", "rejected", "excluded"],
)
def test_a_decided_pair_is_not_a_candidate_again(
    accepted: set[Pair], rejected: set[Pair], excluded: set[Pair]
) -> None:
    knowledge = know(accepted, rejected=rejected)
    assert 1 not in {c.concept for c in rank([20], knowledge, excluded=excluded)}


def test_a_reopened_rejected_pair_may_return() -> None:
    knowledge = know(rejected={(20, 1)})
    assert 1 in {c.concept for c in rank([20], knowledge, reopened={(20, 1)})}


def test_the_same_paper_has_the_same_answer_whatever_is_asked_with_it() -> None:
    knowledge = know()
    alone = rank([21], knowledge)
    among = [c for c in rank(TO_LINK, knowledge) if c.paper == 21]
    again = [c for c in rank(TO_LINK, know()) if c.paper == 21]
    assert [(c.concept, c.proposed) for c in alone] == [(c.concept, c.proposed) for c in among]
    assert [c.confidence for c in alone] == pytest.approx([c.confidence for c in among], abs=1e-5)
    assert among == again


def test_a_decided_paper_is_judged_as_if_it_had_not_been() -> None:
    """Its own acceptance must not make it look like what it was accepted for."""
    wrong = know(ACCEPTED | {(21, 3)})
    pair = wrong.judge.features(np.array([wrong.row[21]]))[0, wrong.column[3]]
    before = know().judge.features(np.array([know().row[21]]))[0, 2]
    assert pair[0] == pytest.approx(before[0], abs=0.05)
    assert pair[2] == pytest.approx(before[2], abs=0.05)


def test_rejected_papers_like_it_lower_a_pair() -> None:
    twin = PaperText(23, "Gusts on a footbridge again", PAPERS[7].text)
    papers = (*PAPERS, twin)
    without = {c.concept: c.confidence for c in rank([23], know(papers=papers))}
    after = {c.concept: c.confidence for c in rank([23], know(papers=papers, rejected={(21, 2)}))}
    assert after[2] < without[2]


def test_neighbours_in_the_graph_speak_for_their_concepts() -> None:
    vague = PaperText(24, "A note", "Some remarks.")
    papers = (*PAPERS, vague)
    apart = {c.concept: c.confidence for c in rank([24], know(papers=papers))}
    joined = know(papers=papers, neighbours={(24, 14), (15, 24)})
    near = {c.concept: c.confidence for c in rank([24], joined)}
    assert near[3] > 1.5 * apart[3]
    assert near[1] <= apart[1]
    (found,) = [c for c in rank([24], joined) if c.concept == 3]
    assert max(found.signals, key=lambda signal: signal.weight).kind is SignalKind.GRAPH


def test_half_of_the_neighbours_speak_half_as_loud() -> None:
    vague = PaperText(24, "A note", "Some remarks.")
    judge = know(papers=(*PAPERS, vague), neighbours={(24, 14), (24, 10)}).judge
    graph = judge.features(np.array([len(PAPERS)]))[0, :, features.FEATURES.index("graph")]
    assert graph.max() == pytest.approx(0.5)
    assert graph.sum() <= 1


def test_a_paper_without_a_vector_is_judged_by_words() -> None:
    meaning = vectors_by_topic()
    meaning[0][PAPERS.index(next(p for p in PAPERS if p.id == 20))] = 0
    knowledge = know(vectors=meaning)
    assert rank([20], knowledge) == rank([20], know())


def test_numbers_that_are_none_count_as_no_vector() -> None:
    meaning = vectors_by_topic()
    meaning[0][:] = np.nan
    assert rank([20], know(vectors=meaning)) == rank([20], know())


def test_signals_name_the_words_that_matched() -> None:
    first = rank([20], know())[0]
    papers = next(signal for signal in first.signals if signal.kind is SignalKind.PAPERS)
    assert papers.weight > 0
    assert {"leaves", "tea"} <= {word.lower() for word in papers.words}
    assert {signal.kind for signal in first.signals} == set(SignalKind)


@pytest.mark.parametrize(
    ("concepts", "papers", "asked"),
    [
        ((), PAPERS, TO_LINK),
        (CONCEPTS, (), TO_LINK),
        ((), (), ()),
        (CONCEPTS, PAPERS, ()),
        (CONCEPTS, PAPERS, (999,)),
    ],
    ids=["no concepts", "no papers", "nothing", "nothing asked", "unknown paper"],
)
def test_what_is_not_there_has_no_candidates(
    concepts: tuple[ConceptText, ...], papers: tuple[PaperText, ...], asked: tuple[int, ...]
) -> None:
    assert rank(asked, know(concepts=concepts, papers=papers)) == []


@pytest.mark.parametrize("accepted", [set(), {(10, 1)}], ids=["cold", "warm"])
@pytest.mark.parametrize("vectors", [False, True], ids=["words", "vectors"])
def test_one_concept_and_one_paper_are_enough(accepted: set[Pair], vectors: bool) -> None:
    papers = (PAPERS[0], PAPERS[6])
    meaning = (np.eye(2, 3, dtype=np.float32), np.ones((1, 3), np.float32)) if vectors else None
    knowledge = know(accepted, concepts=CONCEPTS[:1], papers=papers, vectors=meaning)
    found = rank([20], knowledge)
    assert [c.concept for c in found] == [1]
    assert np.isfinite(found[0].confidence)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "the of and",
        "\ud800",
        "\x00",
        "ﬁne 茶 чай",
        "x" * 50_000,
        "🍵" * 100,
        "-" * 999,
    ],
    ids=["empty", "blank", "stop", "surrogate", "nul", "scripts", "long", "emoji", "hyphens"],
)
def test_odd_texts_are_ranked_without_complaint(text: str) -> None:
    concepts = (*CONCEPTS, ConceptText(5, text, (text,), text))
    papers = (*PAPERS, PaperText(40, text, text))
    for accepted in (set[Pair](), {*ACCEPTED, (40, 5)}):
        found = rank([40, 20], know(accepted, concepts=concepts, papers=papers))
        assert {c.paper for c in found} == {40, 20}
        assert all(np.isfinite(c.confidence) for c in found)


def test_a_paper_far_from_everything_is_not_proposed() -> None:
    far = PaperText(50, "Tariffs of medieval guilds", "Ledgers of dyers list fees paid in wool.")
    knowledge = know(papers=(*PAPERS, far))
    assert not any(c.proposed for c in rank([50], knowledge))
    assert rank([50], knowledge, proposed_only=True) == []


def test_pairs_that_name_unknown_pages_are_left_out() -> None:
    odd = know(ACCEPTED | {(10, 999), (999, 1)}, rejected={(998, 997)}, neighbours={(1, 2)})
    assert rank(TO_LINK, odd) == rank(TO_LINK, know())


def test_a_definition_draws_papers_before_any_is_accepted() -> None:
    named = ConceptText(6, "Kinesiology of ascent")
    defined = replace(named, text="Climbing a wall: grip, chalk, holds, and how climbers train.")
    paper = PaperText(60, "Grip strength", "Climbers train grip on small holds with chalk.")
    sure = [
        next(
            c.confidence
            for c in rank([60], know(concepts=(*CONCEPTS, one), papers=(*PAPERS, paper)))
            if c.concept == 6
        )
        for one in (named, defined)
    ]
    assert sure[1] > sure[0]


def test_a_paper_that_stands_in_for_a_concept_is_not_its_own_reason() -> None:
    papers = tuple(
        PaperText(row, title) for row, title in enumerate(("Kiln", "Kiln glazes", "Ferry", "Lathe"))
    )
    knowledge = know(set(), papers=papers, concepts=(ConceptText(1, "Kiln building"),))
    said = {
        found.paper: {word.lower() for signal in found.signals for word in signal.words}
        for found in rank([0, 1], knowledge)
    }
    assert "kiln" in said[0]
    assert "glazes" not in said[1]  # no other paper and no name says so


def test_papers_brought_up_to_date_rank_as_papers_read_anew() -> None:
    """Some come, one is edited, one goes, and their order changes."""
    lexicon = words.Lexicon()
    edited = replace(PAPERS[1], title="Kettles", text="A kettle of soft water for tea leaves.")
    late = (edited, *PAPERS[5:])
    order = [paper.id for paper in (*PAPERS[4:], PAPERS[0], edited, PAPERS[2])]
    held = Papers.read(PAPERS[:5], lexicon).updated(order, Papers.read(late, lexicon))
    by_id = {paper.id: paper for paper in (*PAPERS, edited)}
    fresh = know(papers=tuple(by_id[each] for each in order))
    kept = Knowledge(CONCEPTS, held, accepted=ACCEPTED, weights=WEIGHTS, lexicon=lexicon)
    assert_same(rank(TO_LINK, kept), rank(TO_LINK, fresh))


def assert_same(some: list[Candidate], others: list[Candidate]) -> None:
    """The same candidates in the same order, as sure but for rounding."""
    assert [(c.paper, c.concept, c.proposed) for c in some] == [
        (c.paper, c.concept, c.proposed) for c in others
    ]
    assert [c.confidence for c in some] == pytest.approx([c.confidence for c in others], abs=1e-4)


@pytest.mark.parametrize("most", [1, 5])
def test_the_proposed_alone_are_those_that_are_proposed_among_all(most: int) -> None:
    knowledge = know()
    every = rank(TO_LINK, knowledge, most=most)
    assert rank(TO_LINK, knowledge, most=most, proposed_only=True) == [
        each for each in every if each.proposed
    ]
    assert any(each.proposed for each in every)


def test_pairs_may_come_as_an_array() -> None:
    array = np.array(sorted(ACCEPTED))
    knowledge = Knowledge(CONCEPTS, PAPERS, accepted=array, weights=WEIGHTS)
    assert rank(TO_LINK, knowledge) == rank(TO_LINK, know())


@pytest.mark.parametrize("slab", [1, 7, 64])
def test_the_nearest_papers_are_those_of_a_full_comparison(
    slab: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared slab by slab, with a threshold from a sample, the votes are those of all at once."""
    monkeypatch.setattr(features, "SLAB", slab)
    rng = np.random.default_rng(5)
    papers = tuple(
        PaperText(100 + at, " ".join(f"w{w}" for w in rng.integers(0, 30, 6))) for at in range(90)
    )
    accepted = {(paper.id, 1 + paper.id % 4) for paper in papers}
    judge = know(accepted, papers=papers).judge
    rows = np.arange(12)
    near = judge.texts.space(rows) @ judge.texts.space(judge.decided).T
    near[rows, rows] = 0
    wanted = np.sort(np.maximum(near, 0), axis=1)[:, : -features.NEIGHBOURS - 1 : -1]
    at, _, found, rank_of = judge._nearest(rows)
    held = np.zeros_like(wanted)
    held[at, rank_of] = found
    assert held == pytest.approx(wanted, abs=1e-5)


def test_a_text_is_counted_whatever_is_counted_with_it() -> None:
    texts = [f"{paper.title}. {paper.text}" for paper in PAPERS] + ["", "of the", "ﬁne TEA teas"]
    together, lexicon = words.Lexicon(), words.Lexicon()
    counted = together.counts(texts).toarray()
    for row, text in enumerate(texts):
        alone = lexicon.counts([text]).toarray()[0]
        said = {lexicon.written(c).lower(): alone[c] for c in np.flatnonzero(alone)}
        assert said == {
            together.written(c).lower(): counted[row, c] for c in counted[row].nonzero()[0]
        }
        assert sum(said.values()) == len(words.stems(text))


def test_weights_survive_writing_and_reading() -> None:
    assert Weights.parse(WEIGHTS.dump()).dump() == WEIGHTS.dump()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"floor": 2, "scales": {}}',
        '{"floor": .5}',
        '{"floor":0.5,"scales":{"a":{}}}',
    ],
)
def test_weights_that_cannot_be_read_say_so(text: str) -> None:
    with pytest.raises(Misconfigured, match="linker"):
        Weights.parse(text)


@pytest.mark.parametrize(
    ("lost", "renamed"), [("warm/words", None), (None, "smell")], ids=["stage", "feature"]
)
def test_weights_of_another_rule_are_refused(lost: str | None, renamed: str | None) -> None:
    scales = {name: scale for name, scale in WEIGHTS.scales.items() if name != lost}
    if renamed:
        odd = scales["cold/words"]
        scales["cold/words"] = replace(odd, names=(renamed, *odd.names[1:]))
    with pytest.raises(Misconfigured, match=lost or renamed):
        Knowledge(CONCEPTS, PAPERS, accepted=ACCEPTED, weights=Weights(scales, 0.5))


@pytest.mark.parametrize(
    "group",
    [
        ("cache", "caches", "cached", "caching"),
        ("quantize", "quantized", "quantization", "quantizing"),
        ("policy", "policies"),
        ("agent", "agents"),
        ("plan", "plans", "planning", "planned"),
        ("compress", "compression", "compressed"),
    ],
)
def test_forms_of_one_word_share_a_stem(group: tuple[str, ...]) -> None:
    assert len({words.stem(word) for word in group}) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("bias", "base"), ("king", "kind"), ("string", "strong"), ("new", "newton")]
)
def test_different_words_keep_different_stems(one: str, other: str) -> None:
    assert words.stem(one) != words.stem(other)


def test_offsets_of_words_point_into_the_text_as_given() -> None:
    text = "The ﬁrst KV-caches, and 2.5x more"
    assert [text[w.start : w.end] for w in words.words(text)] == [
        "The", "ﬁrst", "KV", "caches", "and", "2", "5x", "more",
    ]  # fmt: skip
