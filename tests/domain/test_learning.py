"""What decisions teach: which way it goes, how far, and that nothing breaks it."""

from importlib import resources

import numpy as np
import pytest

from app.domain import learning
from app.domain.confidence import Calibration, Weights
from app.domain.linking import (
    ConceptText,
    Knowledge,
    Pair,
    PaperText,
    SignalKind,
    rank,
)

WEIGHTS = Weights.parse(
    resources.files("app.domain").joinpath("linker_weights.json").read_text(encoding="utf-8")
)
SUBJECTS = (
    ("Tea brewing", "steep leaves water kettle tannin oolong cup infusion heat"),
    ("Bridge engineering", "deck cable wind load steel weld span girder gust"),
    ("Bird migration", "stork flight season tag thermals warbler night coast route"),
    ("Glass making", "kiln furnace molten silica blow anneal sand bead pane"),
)
CONCEPTS = tuple(ConceptText(at, name) for at, (name, _) in enumerate(SUBJECTS))


def papers(count: int) -> tuple[PaperText, ...]:
    """Papers about the subjects in turn, each saying six words of its subject and two of another."""
    rng = np.random.default_rng(7)
    found = []
    for at in range(count):
        own = SUBJECTS[at % 4][1].split()
        other = SUBJECTS[(at + 1 + at % 3) % 4][1].split()
        said = [*rng.choice(own, 6, replace=False), *rng.choice(other, 2, replace=False)]
        found.append(PaperText(100 + at, f"On {said[0]} and {said[1]}", " ".join(said)))
    return tuple(found)


def know(
    accepted: set[Pair],
    rejected: set[Pair] = frozenset(),  # type: ignore[assignment]
    *,
    count: int = 48,
    concepts: tuple[ConceptText, ...] = CONCEPTS,
) -> Knowledge:
    return Knowledge(concepts, papers(count), accepted=accepted, rejected=rejected, weights=WEIGHTS)


def linked(first: int, last: int) -> set[Pair]:
    """Each paper to its own subject."""
    return {(100 + at, at % 4) for at in range(first, last)}


def sure(knowledge: Knowledge, paper: int, concept: int) -> float:
    return next(c.confidence for c in rank([paper], knowledge) if c.concept == concept)


def test_nothing_decided_teaches_nothing() -> None:
    knowledge = know(set())
    assert knowledge.weights.dump() == WEIGHTS.dump()
    assert not knowledge.learned.habits


def refused(count: int) -> set[Pair]:
    """Papers about tea that the reader did not want under tea."""
    return {(100 + at, 0) for at in range(24, 24 + 4 * count, 4)}


def test_few_decisions_move_less_than_many() -> None:
    few, many = (know(linked(0, 24), refused(n)).learned.habits[0] for n in (1, 5))
    assert many < few < 0


def test_a_reader_who_refuses_a_concept_is_offered_it_less() -> None:
    before, after = know(linked(0, 24)), know(linked(0, 24), refused(5))
    assert sure(after, 144, 0) < sure(before, 144, 0) - 0.1


def test_a_rejected_pair_lowers_its_like() -> None:
    accepted = linked(0, 24)
    alike = 100 + 40  # about the same subject as paper 144
    before, after = know(accepted), know(accepted, {(alike, 0)})
    assert sure(after, 144, 0) < sure(before, 144, 0)


def test_a_habit_is_a_signal_that_is_shown() -> None:
    knowledge = know(linked(0, 24), refused(5))
    first = next(c for c in rank([144], knowledge) if c.concept == 0)
    shown = next(s.weight for s in first.signals if s.kind is SignalKind.HABIT)
    assert shown == pytest.approx(knowledge.learned.habits[0], abs=1e-3)
    assert shown < 0


def test_a_taught_confidence_keeps_the_order_of_the_odds() -> None:
    knowledge = know(linked(0, 32), {(132, 1), (133, 2)})
    features = knowledge.judge.features(np.arange(36, 48))
    odds, chance = knowledge.odds(features), knowledge.confidence(features)
    assert (np.argsort(odds, axis=1) == np.argsort(chance, axis=1)).all()


def test_accepted_as_foretold_makes_surer_and_refused_less_sure() -> None:
    """The trial: the latest decided papers, judged by what was decided before."""
    true, false = linked(0, 40), linked(0, 30) | {(100 + at, (at + 2) % 4) for at in range(30, 40)}
    kept, broken = (know(each).weights.calibration("warm/words") for each in (true, false))
    odds, none = np.full(1, 3, np.float32), np.zeros(1, np.float32)
    assert broken.odds(odds, none)[0] < kept.odds(odds, none)[0]


def test_thousands_of_rejections_are_bounded() -> None:
    count = 2_400
    all_of_them = {(100 + at, concept) for at in range(60, count) for concept in range(4)}
    knowledge = know(linked(0, 60), all_of_them, count=count + 4)
    found = rank([100 + count], knowledge)
    assert len(found) == 4
    assert all(np.isfinite(c.confidence) and not c.proposed for c in found)
    assert all(abs(habit) <= learning.WIDEST for habit in knowledge.learned.habits.values())


@pytest.mark.parametrize(
    ("accepted", "rejected"),
    [
        ({(100, 0)}, set()),
        (set(), {(100, 0)}),
        (set(), {(100 + at, at % 4) for at in range(40)}),
        ({(100, 0)}, {(101, 0), (102, 0), (103, 0)}),
        ({(100 + at, 0) for at in range(40)}, set()),
        ({(100 + at, concept) for at in range(40) for concept in range(4)}, set()),
        ({(100, 0)}, {(100, 0)}),
    ],
    ids=["one yes", "one no", "only no", "one yes", "one concept", "everything", "both"],
)
def test_one_sided_decisions_teach_without_complaint(
    accepted: set[Pair], rejected: set[Pair]
) -> None:
    found = rank([144, 145], know(accepted, rejected))
    assert len(found) == 8
    assert all(0 <= c.confidence <= 1 for c in found)


@pytest.mark.parametrize("accepted", [set(), {(100, 0)}], ids=["cold", "warm"])
def test_one_concept_teaches_without_complaint(accepted: set[Pair]) -> None:
    found = rank([147], know(accepted, {(101, 0)}, concepts=CONCEPTS[:1]))
    assert [c.concept for c in found] == [0]


def test_texts_that_say_all_the_same_teach_without_complaint() -> None:
    same = tuple(PaperText(100 + at, "Notes", "Notes on it.") for at in range(24))
    knowledge = Knowledge(
        CONCEPTS, same, accepted=linked(0, 12), rejected={(112, 1)}, weights=WEIGHTS
    )
    found = rank([120], knowledge)
    assert all(np.isfinite(c.confidence) for c in found)


def test_a_trial_needs_papers_decided_before_it() -> None:
    """Three decided papers leave no quarter to try with: the shipped calibration stays."""
    assert know(linked(0, 3)).weights.calibration("warm/words") == WEIGHTS.calibration("warm/words")
    assert isinstance(know(linked(0, 3)).weights.calibration("cold/words"), Calibration)


def test_only_the_latest_decided_papers_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "TAUGHT", 8)
    knowledge = know(linked(0, 40))
    ground = learning.Decided(
        knowledge.judge, knowledge.accepted, knowledge.rejected, knowledge.ids[1]
    )
    assert ground.latest().tolist() == list(range(32, 40))
