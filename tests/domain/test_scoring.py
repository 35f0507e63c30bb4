"""The local scorer: what it makes of topics, of decisions, of both, and of next to nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import sparse

from app.domain import choices, novelty
from app.domain.scoring import Array, Held, Judged, Listed, Marks, Taste, TopicText

_SPOKEN = """
kilns kiln glaze clay potter firing oven ceramic bowl wheel slip
sails sail mast rope deck harbour wind keel rudder anchor tide
bees hive comb swarm queen honey pollen drone wax nectar brood
clocks clock gear spring pendulum dial hour escapement watch tick brass
"""
SUBJECTS = {line.split()[0]: line.split()[1:] for line in _SPOKEN.strip().splitlines()}
SIZE = 16
TOPICS = (
    TopicText("kilns", "Kilns", "glaze and clay, firing of bowls, or work on oven design."),
    TopicText("sails", "Sails and masts", "rope and rudder, harbour tides, wind on the keel."),
)


def paper(number: int, subject: str, *, vector: bool = False, said: str = "") -> Listed:
    """A paper that speaks of one subject, in words and, if asked for, as a vector."""
    drawn = np.random.default_rng(number)
    spoken = drawn.choice(SUBJECTS[subject], 6, replace=False)
    noise = " ".join(f"w{drawn.integers(400)}" for _ in range(12))
    return Listed(
        number,
        f"On {spoken[0]} and {spoken[1]}",
        said or f"We study {' '.join(spoken)} with {noise}.",
        towards(subject, drawn) if vector else None,
    )


def towards(subject: str, drawn: np.random.Generator) -> Array:
    """A unit vector near that of a subject."""
    made = drawn.normal(0, 0.15, SIZE)
    made[list(SUBJECTS).index(subject)] += 1
    return np.asarray(made / np.linalg.norm(made), np.float32)


def a_day(first: int, count: int = 80, *, vector: bool = False) -> tuple[list[Listed], list[str]]:
    """A day of papers about every subject in turn."""
    names = [list(SUBJECTS)[n % len(SUBJECTS)] for n in range(count)]
    return [paper(first + n, name, vector=vector) for n, name in enumerate(names)], names


def varied(count: int = 120, *, vector: bool = True) -> list[Listed]:
    """A day of papers that are about as like each other as those of a real day."""
    drawn = np.random.default_rng(11)
    common = drawn.normal(0, 1, 48)
    found = []
    for number in range(1, count + 1):
        said = [f"w{n}" for n in (drawn.pareto(0.6, 60) * 40).astype(int)]
        made = drawn.normal(0, 1, 48) + 0.6 * common
        unit = np.asarray(made / np.linalg.norm(made), np.float32)
        found.append(
            Listed(number, " ".join(said[:8]), " ".join(said[8:]), unit if vector else None)
        )
    return found


def decided(days: int, liked: str, *, vector: bool = False) -> list[Judged]:
    """Days of a reader who keeps every second paper of one subject and drops the rest."""
    found = []
    for day in range(days):
        papers, names = a_day(1_000 + 100 * day, vector=vector)
        found += [
            Judged(each, name == liked and place % 8 < 4, f"2026-05-{day + 1:02d}")
            for place, (each, name) in enumerate(zip(papers, names, strict=True))
        ]
    return found


def clause_vectors() -> dict[str, Array]:
    drawn = np.random.default_rng(7)
    return {clause: towards(topic.id, drawn) for topic in TOPICS for clause in topic.clauses}


def best(marks: Sequence[Marks], names: Sequence[str], subject: str) -> float:
    """The share of a subject's papers that stand above all others, by score."""
    own = [mark.score for mark, name in zip(marks, names, strict=True) if name == subject]
    others = [mark.score for mark, name in zip(marks, names, strict=True) if name != subject]
    return float(np.mean([score > max(others) for score in own]))


def sound(marks: Sequence[Marks], papers: Sequence[Listed]) -> None:
    """Everything is in its range, in order, and a number."""
    assert [mark.paper for mark in marks] == [each.id for each in papers]
    for mark in marks:
        assert math.isfinite(mark.score) and 0 <= mark.score <= 1
        assert isinstance(mark.score, float)
        assert 1 <= mark.relevance <= 10 and isinstance(mark.relevance, int)
        assert 1 <= mark.novelty <= 10 and isinstance(mark.novelty, int)
        for near in mark.near:
            assert 0 <= near.likeness <= 1
            assert bool(near.page) != bool(near.paper)


# What a topic asks for


def test_the_pieces_of_a_keep_text_are_what_it_asks_for() -> None:
    topic = TopicText(
        "heat",
        "Heat",
        "work on kiln design, glazes such as celadon, or ash; also keep a new way of measuring, "
        "marking, or mixing clay. Slow firing (raku)!",
    )
    assert topic.clauses == (
        "Heat",
        "kiln design",
        "glazes",
        "celadon",
        "ash",
        "a new way of measuring, marking, mixing clay",
        "Slow firing",
        "raku",
    )


@pytest.mark.parametrize(
    ("keep", "pieces"),
    [
        ("", ()),
        ("  , ;. \n - ", ()),
        ("- one thing\n- another thing\n* one thing", ("one thing", "another thing")),
        ("v1.5 of a kiln, e.g. gas", ("v1.5 of a kiln", "gas")),
        ("窑炉设计，釉料、陶土。", ("窑炉设计", "釉料", "陶土")),
        ("one, and", ("one",)),
    ],
)
def test_pieces_of_odd_texts(keep: str, pieces: tuple[str, ...]) -> None:
    assert TopicText("x", "Name", keep).clauses == ("Name", *pieces)


def test_a_topic_without_a_name_or_text_asks_for_nothing() -> None:
    assert TopicText("x", " ").clauses == ()


# Topics alone


@pytest.mark.parametrize("vector", [False, True])
def test_on_the_first_day_topics_order_the_papers(vector: bool) -> None:
    papers, names = a_day(1, vector=vector)
    taste = Taste(TOPICS, vectors=clause_vectors() if vector else None)
    marks = taste.judge(papers)
    sound(marks, papers)
    wanted = [
        mark.score for mark, name in zip(marks, names, strict=True) if name in ("kilns", "sails")
    ]
    others = [
        mark.score for mark, name in zip(marks, names, strict=True) if name in ("bees", "clocks")
    ]
    assert np.mean([a > b for a in wanted for b in others]) > 0.95
    for mark, name in zip(marks, names, strict=True):
        if name in ("kilns", "sails"):
            assert mark.topics[0] == name
    without = [mark for mark, name in zip(marks, names, strict=True) if name == "bees"]
    assert sum(not mark.topics for mark in without) > len(without) / 2
    assert all(mark.clause == "" for mark in marks if not mark.topics)


def test_the_clause_is_the_piece_that_the_paper_speaks_of() -> None:
    papers, _ = a_day(1)
    own = Listed(900, "Oven design", "We compare the design of one oven with another oven design.")
    mark = Taste(TOPICS).judge([*papers, own])[-1]
    assert mark.topics[0] == "kilns"
    assert mark.clause == "oven design"


def test_a_paper_of_two_topics_matches_both() -> None:
    papers, _ = a_day(1)
    both = Listed(
        900,
        "Glaze, clay, rope and rudder",
        "Clay glaze firing of bowls; harbour tides, wind, keel.",
    )
    mark = Taste(TOPICS).judge([*papers, both])[-1]
    assert set(mark.topics) == {"kilns", "sails"}


def test_relevance_does_not_hang_on_how_many_papers_the_day_has() -> None:
    papers, _ = a_day(1, 200)
    whole = {mark.paper: mark.relevance for mark in Taste(TOPICS).judge(papers)}
    few = {mark.paper: mark.relevance for mark in Taste(TOPICS).judge(papers[:40])}
    apart = [abs(whole[number] - few[number]) for number in few]
    assert np.mean(apart) < 1
    assert max(apart) <= 2


# Decisions


@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("topics", [(), TOPICS])
def test_decisions_bring_a_subject_up_that_no_topic_names(
    topics: tuple[TopicText, ...], vector: bool
) -> None:
    judged = decided(4, "bees", vector=vector)
    papers, names = a_day(1, vector=vector)
    taste = Taste(topics, judged, vectors=clause_vectors() if vector else {})
    marks = taste.judge(papers)
    sound(marks, papers)
    assert best(marks, names, "bees") > 0.9
    if not topics:
        assert all(mark.topics == () and mark.clause == "" for mark in marks)


def test_a_score_is_a_chance() -> None:
    """Half of a subject's papers are kept and none of the others: the scores say so."""
    papers, names = a_day(1)
    marks = Taste((), decided(6, "bees")).judge(papers)
    score = np.array([mark.score for mark in marks])
    liked = np.array([name == "bees" for name in names])
    assert 0.3 < score[liked].mean() < 0.7
    assert score[~liked].mean() < 0.05


def test_one_kept_paper_is_enough_to_bring_up_its_like() -> None:
    papers, names = a_day(1)
    only = [Judged(paper(5_000, "bees"), True, "2026-05-01")]
    marks = Taste((), only).judge(papers)
    sound(marks, papers)
    means = {
        name: np.mean([m.score for m, n in zip(marks, names, strict=True) if n == name])
        for name in SUBJECTS
    }
    assert max(means, key=lambda name: means[name]) == "bees"
    assert 0.01 < np.mean([mark.score for mark in marks]) < 0.2


def test_many_kept_pages_and_no_drops_do_not_make_everything_relevant() -> None:
    papers, names = a_day(1)
    kept = [Judged(paper(5_000 + n, "bees"), True) for n in range(300)]
    marks = Taste((), kept).judge(papers)
    sound(marks, papers)
    assert best(marks, names, "bees") > 0.9
    others = [m.relevance for m, n in zip(marks, names, strict=True) if n != "bees"]
    assert np.mean(others) < 6


def test_drops_alone_lower_the_scores_and_leave_the_order_to_the_topics() -> None:
    papers, _ = a_day(1)
    first = Taste(TOPICS).judge(papers)
    drops = [Judged(paper(5_000 + n, "clocks"), False, "2026-05-01") for n in range(200)]
    later = Taste(TOPICS, drops).judge(papers)
    sound(later, papers)
    assert np.mean([m.score for m in later]) < np.mean([m.score for m in first])
    assert np.corrcoef([m.score for m in first], [m.score for m in later])[0, 1] > 0.8


def test_topics_fade_as_decisions_come() -> None:
    papers, names = a_day(1)

    def lead(days: int) -> float:
        marks = Taste(TOPICS, decided(days, "bees")).judge(papers)
        means = {
            subject: np.mean(
                [math.log(m.score) for m, n in zip(marks, names, strict=True) if n == subject]
            )
            for subject in SUBJECTS
        }
        return float(means["kilns"] - means["clocks"])

    assert lead(1) > lead(5)


def test_the_same_answer_each_time_and_in_any_order_of_decisions() -> None:
    papers, _ = a_day(1, vector=True)
    judged = decided(3, "bees", vector=True)
    vectors = clause_vectors()
    taste = Taste(TOPICS, judged, vectors=vectors)
    first = taste.judge(papers)
    assert taste.judge(papers) == first
    assert Taste(TOPICS, judged[::-1], vectors=vectors).judge(papers) == first


def test_one_taste_judges_several_days_as_another_would() -> None:
    one, _ = a_day(1)
    two, _ = a_day(501)
    judged = decided(3, "bees")
    taste = Taste(TOPICS, judged)
    taste.judge(one)
    assert [m.relevance for m in taste.judge(two)] == [
        m.relevance for m in Taste(TOPICS, judged).judge(two)
    ]


def test_what_is_learned_from_is_bounded_and_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.domain.scoring.KEPT", 20)
    monkeypatch.setattr("app.domain.scoring.DROPPED", 120)
    before, after = decided(3, "kilns"), decided(6, "bees")[-240:]
    papers, names = a_day(1)
    marks = Taste((), [*after, *before]).judge(papers)
    assert best(marks, names, "bees") > 0.8


def test_the_last_word_on_a_paper_counts() -> None:
    judged = decided(3, "bees")
    changed = [Judged(each.paper, False, each.day) for each in judged if each.kept]
    papers, _ = a_day(1)
    marks = Taste((), [*judged, *changed]).judge(papers)
    assert max(mark.score for mark in marks) < 0.1


# Papers as they come


@pytest.mark.parametrize("vector", [False, True])
def test_nothing_known_gives_one_score_and_marks_of_novelty(vector: bool) -> None:
    papers = varied(vector=vector)
    marks = Taste(()).judge(papers)
    sound(marks, papers)
    assert len({mark.score for mark in marks}) == 1
    assert len({mark.novelty for mark in marks}) > 2


def test_no_papers_no_marks() -> None:
    assert Taste(TOPICS, decided(1, "bees")).judge([]) == []


ODD = (
    Listed(801, "", ""),
    Listed(802, "", "", np.zeros(SIZE, np.float32)),
    Listed(803, "the of and", "is the"),
    Listed(804, "窑炉设计的新方法", "我们研究釉料与陶土在高温下的变化。"),
    Listed(805, "Обжиг глины", "Мы изучаем обжиг глины."),
    Listed(806, "\u202e\x00 \ud83d", "kiln " * 50_000),
    Listed(807, "On kilns", "clay", np.full(SIZE, np.nan, np.float32)),
    Listed(808, "On kilns", "clay", np.ones(3, np.float32)),
    Listed(809, "On kilns", "clay"),
    Listed(809, "On kilns", "clay"),
)


@pytest.mark.parametrize("topics", [(), TOPICS])
@pytest.mark.parametrize("days", [0, 1, 2])
def test_odd_papers_are_marked_like_any(topics: tuple[TopicText, ...], days: int) -> None:
    papers, _ = a_day(1, 20, vector=True)
    every = [*papers, *ODD]
    judged = [
        *decided(days, "bees", vector=True),
        *(Judged(each, True, "2026-05-09") for each in ODD),
    ]
    held = Held([1, 2], np.stack([towards("bees", np.random.default_rng(n)) for n in range(2)]))
    for known in (judged, judged[: 80 * days]):
        taste = Taste(topics, known, vectors=clause_vectors())
        sound(taste.judge(every, held), every)
        sound(taste.judge(ODD, held), ODD)
        for alone in (ODD[0], ODD[7]):
            sound(taste.judge([alone], held), [alone])
    sound(Taste(topics, [Judged(ODD[0], True)]).judge(ODD[:1]), ODD[:1])


def test_a_paper_without_a_vector_is_judged_by_its_words() -> None:
    papers, names = a_day(1, vector=True)
    bare = [
        Listed(each.id, each.title, each.abstract) if place % 8 >= 4 else each
        for place, each in enumerate(papers)
    ]
    marks = Taste(TOPICS, decided(4, "bees", vector=True), vectors=clause_vectors()).judge(bare)
    sound(marks, bare)
    assert best(marks, names, "bees") > 0.6


def test_vectors_may_come_after_the_first_day() -> None:
    judged = decided(3, "bees")
    taste = Taste(TOPICS, judged)
    bare, _ = a_day(1)
    taste.judge(bare)
    papers, names = a_day(501, vector=True)
    marks = taste.judge(papers)
    sound(marks, papers)
    assert best(marks, names, "bees") > 0.6


def test_topics_whose_vectors_are_not_there_yet_are_read_by_their_words() -> None:
    papers, names = a_day(1, vector=True)
    marks = Taste(TOPICS, vectors={}).judge(papers)
    for mark, name in zip(marks, names, strict=True):
        if name in ("kilns", "sails"):
            assert mark.topics[0] == name


# Novelty


def test_what_a_page_says_already_is_not_new() -> None:
    papers = varied()
    vector = papers[0].vector
    assert vector is not None
    held = Held([77], vector[None, :])
    before, after = Taste(()).judge(papers)[0], Taste(()).judge(papers, held)[0]
    assert before.novelty > 2
    assert after.novelty == 1
    assert after.near[0].page == 77
    assert after.near[0].likeness == pytest.approx(1, abs=1e-5)
    assert after.score == before.score


def test_two_papers_of_a_day_that_say_the_same_are_near_each_other() -> None:
    for vector in (False, True):
        papers = varied(vector=vector)
        twin = Listed(900, papers[3].title, papers[3].abstract, papers[3].vector)
        marks = Taste(()).judge([*papers, twin])
        for mark, other in ((marks[3], 900), (marks[-1], papers[3].id)):
            assert mark.novelty <= 2
            assert other in [near.paper for near in mark.near]


def test_a_paper_is_not_compared_with_itself() -> None:
    papers = varied()
    alone = Taste(()).judge(papers)
    known = Taste((), [Judged(each, False, "2026-05-01") for each in papers]).judge(papers)
    assert [mark.novelty for mark in known] == [mark.novelty for mark in alone]


def test_an_unusual_paper_is_newer_than_one_of_a_crowd() -> None:
    crowd = [paper(n, "bees", vector=True) for n in range(1, 60)]
    lone = paper(900, "clocks", vector=True)
    marks = Taste(()).judge([*crowd, lone])
    assert marks[-1].novelty > np.median([mark.novelty for mark in marks[:-1]])


def test_held_vectors_of_another_model_are_left_alone() -> None:
    papers, _ = a_day(1, 12, vector=True)
    marks = Taste(()).judge(papers, Held([1], np.ones((1, 3), np.float32)))
    assert all(near.page == 0 for mark in marks for near in mark.near)


def test_ordinary_likenesses_are_marked_in_the_middle() -> None:
    count = 400
    drawn = np.random.default_rng(3)

    def drawn_as(ordinary: novelty.Ordinary) -> Array:
        best = drawn.normal(ordinary.mean, ordinary.spread, count)
        return np.asarray(np.tile(best[:, None], (1, count)), np.float32)

    marks = novelty.marks(
        pages=drawn_as(novelty.PAGE)[:, :5],
        rivals=drawn_as(novelty.RIVAL),
        crowd=drawn_as(novelty.CROWDED),
        rivals_words=drawn_as(novelty.RIVAL_WORDS),
        crowd_words=drawn_as(novelty.CROWDED_WORDS),
        meant=np.ones(count, bool),
    )
    assert 4 <= np.median(marks) <= 7
    assert len(set(marks.tolist())) >= 5


# What the choices teach


def made_rows(count: int, seed: int = 0) -> tuple[choices.Rows, np.ndarray]:
    """Papers whose first vector number decides, with noise."""
    drawn = np.random.default_rng(seed)
    vectors = drawn.normal(0, 1, (count, 4)).astype(np.float32)
    kept = vectors[:, 0] + drawn.normal(0, 0.5, count) > 1.2
    return choices.Rows(sparse.csr_matrix((count, 3), dtype=np.float32), vectors), kept


def test_a_habit_started_from_another_is_the_same() -> None:
    rows, kept = made_rows(300)
    ones = np.ones(300)
    cold = choices.learned(rows, kept, ones)
    other = choices.learned(rows.only(np.arange(200)), kept[:200], np.ones(200))
    warm = choices.learned(rows, kept, ones, start=other)
    assert np.allclose(cold.odds(rows), warm.odds(rows), atol=1e-2)


def test_too_little_to_try_gives_no_balance() -> None:
    rows, kept = made_rows(60)
    ones, none = np.ones(60), np.zeros(60)
    leaning = choices.learned(rows, kept, ones)
    days = np.arange(60) // 10
    off = np.zeros(60, bool)
    assert choices.balanced(rows, kept, none, days, leaning, on=off) is None
    one = np.zeros(60, bool)
    one[0] = True
    assert choices.balanced(rows, one, none, days, leaning, on=~off) is None
    found = choices.balanced(rows, kept, none, days, leaning, on=~off)
    assert found is not None
    assert 0.5 <= found.decisions <= 2


def test_topics_that_tell_the_choices_keep_their_weight_and_others_lose_it() -> None:
    rows, kept = made_rows(400)
    blind = choices.Rows(rows.words, np.zeros((400, 4), np.float32))
    leaning = choices.learned(blind, kept, np.ones(400))
    days, on = np.arange(400) // 50, np.ones(400, bool)
    telling = np.where(kept, 1.0, -1.0)
    noise = np.random.default_rng(5).normal(0, 1, 400)
    good = choices.balanced(blind, kept, telling, days, leaning, on=on)
    bad = choices.balanced(blind, kept, noise, days, leaning, on=on)
    assert good is not None and bad is not None
    assert good.topics > bad.topics


def test_an_anchored_balance_keeps_as_often_as_an_ordinary_reader() -> None:
    odds = np.random.default_rng(1).normal(3, 2, 500)
    kept = np.ones(2, bool)
    balance = choices.anchored(odds, np.zeros(500), kept, usual=3.0)
    chance = 1 / (1 + np.exp(-balance.odds(odds, np.zeros(500))))
    assert chance.mean() == pytest.approx(choices.ORDINARY, rel=0.15)
    assert (np.diff(chance[np.argsort(odds)]) >= 0).all()
