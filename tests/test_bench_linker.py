"""The measurements of the linker, on a small list of made words."""

from importlib import resources

import numpy as np
import pytest

from app.domain import learning as domain_learning
from app.domain.confidence import Weights
from app.domain.linking import ConceptText, PaperText
from app.domain.words import Lexicon
from bench import ablation, fit_linker, learning
from bench.fit_linker import CuratedList, Examples

WEIGHTS = Weights.parse(
    resources.files("app.domain").joinpath("linker_weights.json").read_text(encoding="utf-8")
)
SUBJECTS = ("kiln glaze clay potter", "sail mast rope deck", "hive comb swarm queen")


def a_list(count: int = 36) -> CuratedList:
    """Papers about three subjects in turn, each filed under its own."""
    papers = tuple(
        PaperText(at, f"On {SUBJECTS[at % 3].split()[at % 4]}", f"{SUBJECTS[at % 3]} n{at}")
        for at in range(count)
    )
    return CuratedList(
        name="made",
        concepts=tuple(ConceptText(at, said.split()[0]) for at, said in enumerate(SUBJECTS)),
        papers=papers,
        gold=frozenset((at, at % 3) for at in range(count)),
        lexicon=Lexicon(),
    )


def test_a_definition_is_made_of_papers_that_leave_the_wiki() -> None:
    whole = a_list()
    full = fit_linker.defined(whole)
    for concept in full.concepts:
        assert concept.text
        kept = {paper.text for paper in full.papers}
        assert not kept & {*concept.text.split("\n")}
        earlier = [p for p, c in whole.gold if c == concept.id and p < len(whole.papers) // 2]
        assert len(concept.text.split("\n")) <= len(earlier) // 2
    assert [paper.id for paper in full.papers] == list(range(len(full.papers)))
    named = {paper.text: paper.id for paper in full.papers}
    assert full.gold == {
        (named[whole.papers[p].text], c) for p, c in whole.gold if whole.papers[p].text in named
    }


@pytest.mark.parametrize("count", [0, 5, 12])
def test_a_reader_decides_as_the_list_does_and_stops(count: int) -> None:
    each = a_list()
    accepted, rejected = learning.decided(each, WEIGHTS, 4, 30, count)
    assert accepted <= each.gold
    assert not rejected & each.gold
    assert count <= len(accepted | rejected) <= count + len(each.concepts)
    assert all(4 <= paper < 30 for paper, _ in accepted | rejected)


def test_without_learning_nothing_is_learned_and_then_it_is_again() -> None:
    each = a_list()

    def habits() -> list[float]:
        known = each.knowledge(36, each.links(each.papers[:20]), WEIGHTS, {(21, 0), (24, 0)})
        return [abs(habit) for habit in known.learned.habits.values()]

    with ablation.unlearned({"learning.HABIT": ablation.NEVER}):
        assert max(habits(), default=0) < 1e-6
    assert max(habits()) > 1e-3
    assert domain_learning.HABIT < ablation.NEVER


def test_every_feature_belongs_to_a_signal() -> None:
    kinds = {ablation.kind_of(name) for name in ablation.FEATURES}
    assert kinds <= {*ablation.SignalKind}


def test_a_calibration_is_fitted_from_what_came_true() -> None:
    """Odds of 2 (0.88) that came true in six of ten, far rivals: it has to say less."""
    pairs = np.array([[2.0, -6.0]] * 500 + [[-3.0, 2.0]] * 500)
    linked = np.array([1.0] * 300 + [0.0] * 200 + [1.0] * 25 + [0.0] * 475)
    found = fit_linker.calibrated([[Examples(pairs, linked)]])
    assert min(found.above, found.below, found.rivals) >= 0
    odds = found.odds(pairs[[0, -1], 0], pairs[[0, -1], 1])
    assert 1 / (1 + np.exp(-odds)) == pytest.approx([0.6, 0.05], abs=0.03)
