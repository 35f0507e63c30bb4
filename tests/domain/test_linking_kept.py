"""Knowledge that is brought up to date answers like knowledge that is made anew."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib import resources

import numpy as np
import pytest

from app.domain import linking, texts
from app.domain.confidence import Weights
from app.domain.linking import ConceptText, Knowledge, Pair, Papers, PaperText, rank
from app.domain.words import Lexicon

WEIGHTS = Weights.parse(
    resources.files("app.domain").joinpath("linker_weights.json").read_text(encoding="utf-8")
)
SAME = 1e-4  # how far a confidence may lie from that of a fresh fit over the same frame
NEAR = 0.01  # and, in the mean, from that of one with a frame and lessons of its own
FIELDS = ("tea", "bridge", "bird", "clay", "tide", "loom")


@dataclass
class Wiki:
    """A small wiki in which anything may change."""

    chance: np.random.Generator
    meaning: bool
    lexicon: Lexicon = field(default_factory=Lexicon)
    papers: dict[int, PaperText] = field(default_factory=dict)  # in the order of their dates
    concepts: dict[int, ConceptText] = field(default_factory=dict)
    vectors: dict[int, np.ndarray] = field(default_factory=dict)
    accepted: list[Pair] = field(default_factory=list)
    rejected: list[Pair] = field(default_factory=list)
    last: int = 0

    def said(self, number: int, words: int) -> str:
        own = [f"{FIELDS[number % 6]}{at}" for at in self.chance.integers(0, 12, words)]
        common = [f"common{at}" for at in self.chance.integers(0, 25, words)]
        return " ".join(own + common)

    def new_paper(self, at: int | None = None) -> int:
        """A paper of one of six fields; the newest, or one that comes in place of another."""
        self.last += at is None
        page = at or 1_000 + self.last
        number = int(self.chance.integers(6))
        self.papers[page] = PaperText(page, self.said(number, 2), self.said(number, 12))
        self.vectors[page] = np.eye(6, 8)[number] + self.chance.normal(0, 0.2, 8)
        if self.chance.random() < 0.1:
            self.vectors[page] = np.zeros(8)
        return page

    def new_concept(self, number: int) -> None:
        page = 1 + number
        text = self.said(number, 6) if self.chance.random() < 0.5 else ""
        self.concepts[page] = ConceptText(page, f"{FIELDS[number % 6]}{number} study", (), text)
        self.vectors[page] = np.eye(6, 8)[number % 6] + self.chance.normal(0, 0.1, 8)

    def change(self, what: str) -> None:
        page = int(self.chance.choice([*self.papers]))
        concept = int(self.chance.choice([*self.concepts]))
        if what == "paper":
            self.new_paper()
        elif what == "older paper":
            new = self.new_paper()
            self.papers = {new: self.papers.pop(new), **self.papers}
        elif what == "edit":
            self.new_paper(page)
        elif what == "vector":
            self.vectors[page] = self.chance.normal(0, 1, 8)
        elif what == "remove":
            del self.papers[page]
        elif what == "accept":
            self.accepted.append((page, concept))
        elif what == "reject":
            self.rejected.append((page, concept))
        elif what == "undo" and self.accepted:
            self.accepted.pop(int(self.chance.integers(len(self.accepted))))
        elif what == "concept":
            self.new_concept(len(self.concepts) + int(self.chance.integers(5)))
        elif what == "rename":
            self.concepts[concept] = replace(self.concepts[concept], name=self.said(concept, 1))
        elif what == "drop concept":
            del self.concepts[concept]

    def know(self, papers: Papers, earlier: Knowledge | None = None, like: Knowledge | None = None):
        concepts = [self.concepts[page] for page in sorted(self.concepts)]
        known = [np.array([self.vectors[page] for page in some], np.float32).reshape(-1, 8)
                 for some in (papers.ids.tolist(), sorted(self.concepts))]  # fmt: skip
        return Knowledge(
            concepts,
            papers,
            accepted=[*self.accepted],
            rejected=[*self.rejected],
            neighbours=[(1_001, 1_002), (1_003, 1_009)],
            vectors=(known[0], known[1]) if self.meaning else None,
            weights=WEIGHTS,
            lexicon=self.lexicon,
            earlier=earlier,
            like=like,
        )

    def read(self, held: Papers | None = None) -> Papers:
        """All papers; those that `held` has as they are now are not read again."""
        if held is None:
            return Papers.read(self.papers.values(), self.lexicon)
        marks = dict(zip(held.ids.tolist(), held.marks.tolist(), strict=True))
        late = [
            each for each in self.papers.values()
            if marks.get(each.id) != hash((each.title, each.text))
        ]  # fmt: skip
        if not late and [*self.papers] == held.ids.tolist():
            return held
        return held.updated([*self.papers], Papers.read(late, self.lexicon))


CHANGES = (
    *("paper", "older paper", "edit", "vector", "remove", "accept", "accept", "reject", "undo"),
    *("concept", "rename", "drop concept"),
)


def lived(seed: int, meaning: bool, steps: int) -> Iterator[tuple[Wiki, Knowledge]]:
    """A wiki and what is known of it, brought up to date after each few changes."""
    wiki = Wiki(np.random.default_rng(seed), meaning)
    for number in range(8):
        wiki.new_concept(number)
    for _ in range(50):
        page = wiki.new_paper()
        if wiki.chance.random() < 0.6:
            own = [c for c in wiki.concepts if FIELDS[(c - 1) % 6] in wiki.papers[page].title]
            wiki.accepted.append((page, own[0]))
    papers = wiki.read()
    known = wiki.know(papers)
    for _ in range(steps):
        for what in wiki.chance.choice(CHANGES, wiki.chance.integers(1, 4)):
            wiki.change(str(what))
        papers = wiki.read(papers)
        known = wiki.know(papers, known)
        yield wiki, known


def sure(known: Knowledge) -> np.ndarray:
    """The confidence of every paper in every concept."""
    return known.confidence(known.judge.features(np.arange(len(known.papers.ids))))


@pytest.mark.parametrize("meaning", [True, False], ids=["vectors", "words"])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_is_as_sure_as_what_is_fitted_anew(seed: int, meaning: bool) -> None:
    frames: list[object] = []
    lessons: list[object] = []
    for wiki, known in lived(seed, meaning, 12):
        fresh = wiki.know(wiki.read(), like=known)
        assert np.abs(sure(known) - sure(fresh)).max() < SAME
        assert np.abs(sure(known.by_words) - sure(fresh.by_words)).max() < SAME
        frames.append(known.texts.frame)
        lessons.append(known.learned)
        asked = known.papers.ids[-3:].tolist()
        together = rank(asked, known, limit=3)
        alone = [one for paper in asked for one in rank([paper], known, limit=3)]
        assert [(c.paper, c.concept) for c in together] == [(c.paper, c.concept) for c in alone]
        assert [c.confidence for c in together] == pytest.approx(
            [c.confidence for c in alone], abs=1e-6
        )
    for kept in (frames, lessons):  # most of the time, and not for ever
        assert 1 < len({id(each) for each in kept}) < 12


@pytest.mark.parametrize("seed", range(3, 5))
def test_what_is_kept_drifts_little_from_a_frame_of_its_own(seed: int) -> None:
    for wiki, known in lived(seed, True, 6):
        fresh = wiki.know(wiki.read())
        assert np.abs(sure(known) - sure(fresh)).mean() < NEAR


def test_nothing_is_summed_anew_that_did_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    wiki, known = next(lived(1, True, 1))
    papers, before = known.papers, sure(known)
    monkeypatch.setattr(texts.Frame, "fit", None)
    monkeypatch.setattr(linking, "learn", None)
    monkeypatch.setattr(linking.Knowledge, "_stand_ins", None)
    same = wiki.know(papers, known)
    assert same.judge.profiles[1].turned.base is known.judge.profiles[1].turned.base
    assert same.texts.parts[-1] is known.texts.parts[-1]
    assert np.array_equal(sure(same), before)


def test_another_lexicon_or_other_weights_begin_anew() -> None:
    wiki, known = next(lived(2, True, 1))
    wiki.lexicon = Lexicon()
    anew = wiki.know(wiki.read(), known)
    assert anew.texts.frame is not known.texts.frame
    assert np.abs(sure(anew) - sure(wiki.know(wiki.read()))).max() < SAME
