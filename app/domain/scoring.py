"""The local scorer's rule: how likely does this reader keep a paper, and what is new in it?

Pure: no database, no file, no model, no clock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from app.domain import choices, novelty, words
from app.domain.confidence import sigmoid

Array = NDArray[np.float32]

VERSION = 1  # of the rule: what was marked by another is marked again

KEPT, DROPPED = 2_000, 4_000  # newest decisions that are learned from
CROWD = 2_000  # newest known papers that a day's are compared with for novelty
ENOUGH = 100  # drops; while there are fewer, papers of the day stand in for them
UNDECIDED = 0.3  # what such a paper weighs at most
LONGEST, LONGEST_TITLE = 4_000, 500  # characters that are read of an abstract and of a title
# Relevance is a line in the log-odds: 7 is a chance of one in six, 8 of two in seven, even odds 9.
EVEN, STEP = 9.3, 1.4
# A paper likes a page, or another paper, from here on: cosine of vectors, of words.
LIKE, LIKE_WORDS = 0.6, 0.3
# What is ordinary, measured on seven ordinary days.
GROUND = 50  # papers that the shipped means and spreads count as
BEST = 3  # clauses of all topics that a paper fits best
CLAUSES, MIDDLES = (0.156, 0.084), (0.25, 0.09)
WORDS, CLAUSE_WORDS = (0.035, 0.029), (0.014, 0.024)
BEST_ORDINARY, TOP_ORDINARY, WORD_ORDINARY = (1.75, 0.67), (0.85, 0.89), (1.17, 1.27)
BOUNDS = (-6.0, 12.0)
TOPICAL, TOPICAL_WORDS, LEVEL = 0.36, 0.6, -3.0
FITS, NEARLY = 0.5, 0.7  # spreads from which a topic matches, and so much of the best one


@dataclass(frozen=True)
class TopicText:
    """A topic of the registry as the reader wrote it; `threshold` is the score that picks a paper."""

    id: str
    name: str
    keep: str = ""
    filter: str = ""
    tier: int = 2
    threshold: float = 0.15

    @property
    def clauses(self) -> tuple[str, ...]:
        """The things that the topic asks for, one by one: its name and the pieces of its keep text."""
        found = [self.name.strip()]
        for piece in _BREAK.split(self.keep):
            asked = _LEAD.sub("", piece.strip(_BLANK))
            if _GERUND.match(asked) and _GERUND_LAST.search(found[-1]):
                found[-1] += f", {asked}"  # "for storing, updating or recalling" is one thing
            else:
                found.append(asked)
        return tuple(dict.fromkeys(part for part in found if part))


@dataclass(frozen=True, eq=False)
class Listed:
    """A paper of a listing. `vector` is the unit vector of its title and abstract, if there is one."""

    id: int
    title: str
    abstract: str
    vector: Array | None = None


@dataclass(frozen=True, eq=False)
class Judged:
    """What the reader decided about a listed paper, on the listing of `day`."""

    paper: Listed
    kept: bool
    day: str = ""


@dataclass(frozen=True, eq=False)
class Held:
    """What the wiki holds, for novelty: ids of pages and a unit vector a row (shape pages x numbers)."""

    pages: Sequence[int] = ()
    vectors: Array = field(default_factory=lambda: np.zeros((0, 0), np.float32))


@dataclass(frozen=True)
class Near:
    """What a paper is most like: a page of the wiki, or another paper of the day (the other is 0)."""

    page: int
    paper: int
    likeness: float  # cosine, 0..1


@dataclass(frozen=True)
class Marks:
    """What the scorer says of one paper.

    `score` 0..1 is how likely this reader keeps it, and orders a day. `relevance` is that on the
    fixed scale 1..10, so that 8 means the same tomorrow; `novelty` 1..10. `topics` are the ids of
    all topics it matches, the primary one first; () when none fits. `clause` is the piece of the
    primary topic's keep text that fits best, "" for none.
    """

    paper: int
    score: float
    relevance: int
    novelty: int
    topics: tuple[str, ...] = ()
    clause: str = ""
    near: tuple[Near, ...] = ()


def blended(score: float | None, relevance: int) -> float:
    """How likely a paper is kept when another scorer gives it this relevance, 1..10.

    The mean, in log-odds, of what the local scorer thinks (`score`, None where it does not) and of
    what that relevance means on its fixed scale: so a day keeps one order, whoever judged a paper.
    """
    odds = (min(max(relevance, 1), 10) + 0.5 - EVEN) / STEP
    if score is not None:
        sure = min(max(score, 1e-6), 1 - 1e-6)
        odds = (odds + math.log(sure / (1 - sure))) / 2
    return 1 / (1 + math.exp(-odds))


class Taste:
    """What is known of a reader's taste: their topics, and what they kept and dropped.

    Made once, it judges any number of days; what the decisions teach is found out at the first.
    """

    def __init__(
        self,
        topics: Sequence[TopicText],
        judged: Sequence[Judged] = (),
        *,
        vectors: Mapping[str, Array] | None = None,
    ) -> None:
        """`vectors`: unit vectors by clause and by topic name; None or {} where there are none."""
        self._topics = tuple(topics)
        self._vectors = dict(vectors or {})
        self._lexicon = words.Lexicon()
        self._judged = _newest(judged)
        self._kept = np.array([each.kept for each in self._judged], bool)
        self._counts = self._lexicon.counts(_text(each.paper) for each in self._judged)
        self._learned: _Learned | None = None

    def judge(self, papers: Sequence[Listed], held: Held | None = None) -> list[Marks]:
        """Marks for the papers of one day, in their order; the day is what they are new against too."""
        if not papers:
            return []
        known = [each.paper for each in self._judged]
        counts = self._lexicon.counts(_text(paper) for paper in papers)
        before = _wider(self._counts, counts.shape[1])
        size = _size(self._vectors, [*known, *papers])
        today = _Texts(counts, *_stacked(papers, size))
        past = _Texts(before, *_stacked(known, size))
        asked = _Asked(self._topics, self._vectors, self._lexicon, size)
        every = past.and_(today)
        fits = asked.fits(every, today)
        odds = fits.topical + LEVEL
        if self._kept.any():
            learned = self._taught(past, today, papers, asked)
            decided = learned.leaning.odds(learned.frame.rows(today))
            balance = learned.balance
            if balance is None:
                waiting = self._undecided(papers)
                balance = choices.anchored(
                    decided[waiting],
                    fits.topical[waiting],
                    self._kept,
                    usual=learned.leaning.usual,
                )
            odds = balance.odds(decided, fits.topical)
        elif len(known):
            # Nothing but drops: they say how often this reader keeps anything, and no more.
            odds = odds - np.log1p(len(known) / 100)
        shown = {paper.id for paper in papers}
        others = [n for n, each in enumerate(known) if each.id not in shown][-CROWD:]
        new, near = _newness(papers, past.only(np.array(others, np.int64)), today, held)
        relevance = np.clip(np.floor(EVEN + STEP * odds), 1, 10).astype(int)
        return [
            Marks(
                paper=paper.id,
                score=float(chance),
                relevance=int(mark),
                novelty=int(newness),
                topics=tuple(self._topics[n].id for n in matched),
                clause=asked.clause(matched[0], place, fits) if matched else "",
                near=near[place],
            )
            for place, (paper, chance, mark, newness, matched) in enumerate(
                zip(papers, sigmoid(odds), relevance, new, fits.matched(), strict=True)
            )
        ]

    def _taught(
        self, past: _Texts, today: _Texts, papers: Sequence[Listed], asked: _Asked
    ) -> _Learned:
        """What the decisions teach; while there are few drops, the papers of the day stand in."""
        if self._learned is not None and self._learned.frame.middle.shape == past.vectors.shape[1:]:
            return self._learned
        kept, counts = self._kept, np.ones(len(self._kept))
        texts = past
        missing = ENOUGH - int((~kept).sum())
        if missing > 0:
            waiting = self._undecided(papers)
            texts = past.and_(today.only(waiting))
            weight = min(UNDECIDED, missing / max(len(waiting), 1))
            kept = np.append(kept, np.zeros(len(waiting), bool))
            counts = np.append(counts, np.full(len(waiting), weight))
        frame = _Frame.over(texts)
        rows = frame.rows(texts)
        leaning = choices.learned(rows, kept, counts)
        days = [each.day for each in self._judged]
        numbers = {day: n for n, day in enumerate(sorted(set(days)))}
        balance = choices.balanced(
            rows.only(np.arange(len(days))),
            self._kept,
            asked.fits(past, past).topical,
            np.array([numbers[day] for day in days]),
            leaning,
            on=np.array([bool(day) for day in days]),
        )
        found = _Learned(frame, leaning, balance)
        if missing <= 0:
            self._learned = found
        return found

    def _undecided(self, papers: Sequence[Listed]) -> NDArray[np.int64]:
        """Where in the day the papers stand of which nothing was decided."""
        decided = {each.paper.id for each in self._judged}
        return np.array([n for n, each in enumerate(papers) if each.id not in decided], np.int64)


@dataclass(frozen=True, eq=False)
class _Texts:
    """Papers as counted words and vectors; `meant` says which have a vector."""

    counts: sparse.csr_matrix
    vectors: Array
    meant: NDArray[np.bool_]

    def and_(self, other: _Texts) -> _Texts:
        """These papers and the other ones."""
        return _Texts(
            sparse.vstack([self.counts, other.counts], format="csr"),
            np.vstack([self.vectors, other.vectors]),
            np.append(self.meant, other.meant),
        )

    def only(self, places: NDArray[np.int64]) -> _Texts:
        return _Texts(self.counts[places], self.vectors[places], self.meant[places])


@dataclass(frozen=True, eq=False)
class _Frame:
    """How words weigh and where the middle of the vectors is, for what is learned from decisions."""

    idf: Array
    columns: NDArray[np.int64]
    middle: Array

    @classmethod
    def over(cls, texts: _Texts) -> _Frame:
        """Of these papers; a word of one paper alone says nothing of another."""
        papers = np.bincount(texts.counts.indices, minlength=texts.counts.shape[1])
        least = 2 if texts.counts.shape[0] > 1 else 1
        middle = texts.vectors.sum(axis=0) / max(int(texts.meant.sum()), 1)
        return cls(words.rarity(texts.counts), np.flatnonzero(papers >= least), middle)

    def rows(self, texts: _Texts) -> choices.Rows:
        """Papers as they are learned from and judged."""
        counts = texts.counts
        # A word that came later is as rare as any.
        later = np.full(counts.shape[1] - len(self.idf), self.idf.max(initial=1), np.float32)
        weighed = words.weighed(counts, np.append(self.idf, later))
        vectors = np.where(texts.meant[:, None], texts.vectors - self.middle, 0)
        return choices.Rows(
            weighed[:, self.columns], np.asarray(choices.MEANING * vectors, np.float32)
        )


@dataclass(frozen=True, eq=False)
class _Learned:
    frame: _Frame
    leaning: choices.Leaning
    balance: choices.Balance | None


@dataclass(frozen=True, eq=False)
class _Fits:
    """How papers fit topics.

    topical: what the topics add to the log-odds that a paper is kept, (papers,); topics: fit in
    ordinary spreads, (papers, topics); clauses: the same by clause, (papers, clauses).
    """

    topical: NDArray[np.float64]
    topics: NDArray[np.float64]
    clauses: NDArray[np.float64]

    def matched(self) -> list[list[int]]:
        """The topics of each paper, the best first: those that fit well, and nearly as well."""
        found = []
        for row in self.topics:
            order = np.argsort(-row, kind="stable")
            found.append([int(n) for n in order if row[n] >= max(FITS, row[order[0]] * NEARLY)])
        return found


class _Asked:
    """What the topics ask for, as words and vectors."""

    def __init__(
        self,
        topics: Sequence[TopicText],
        vectors: Mapping[str, Array],
        lexicon: words.Lexicon,
        size: int,
    ) -> None:
        pieces = [(n, clause) for n, topic in enumerate(topics) for clause in topic.clauses]
        self._clauses = [clause for _, clause in pieces]
        self._of = np.array([n for n, _ in pieces], int)
        self._count = len(topics)
        self._profiles = lexicon.counts(
            words.joined((topic.name, topic.name, topic.keep)) for topic in topics
        )
        self._pieces = lexicon.counts(self._clauses)
        none = np.zeros(size, np.float32)
        found = [vectors.get(clause, none) for clause in self._clauses]
        rows = [row if row.shape == none.shape else none for row in found]
        self._vectors = np.stack(rows).astype(np.float32) if rows else np.zeros((0, size))
        self._middles = np.zeros((self._count, size), np.float32)
        for n in range(self._count):
            middle = self._vectors[self._of == n].sum(axis=0)
            self._middles[n] = middle / max(float(np.linalg.norm(middle)), 1e-9)

    def fits(self, ground: _Texts, texts: _Texts) -> _Fits:
        """How these papers fit; `ground` are the papers that show what is ordinary."""
        papers = texts.counts.shape[0]
        if not self._clauses:
            none = np.zeros((papers, 0))
            return _Fits(np.zeros(papers), none, none)
        width = self._pieces.shape[1]
        idf = words.rarity(_wider(ground.counts, width))
        told = words.weighed(_wider(texts.counts, width), idf)
        usual = words.weighed(_wider(ground.counts, width), idf)
        by_word = _standard(told, usual, words.weighed(_wider(self._profiles, width), idf), *WORDS)
        piece_words = _standard(told, usual, words.weighed(self._pieces, idf), *CLAUSE_WORDS)
        meant, seen = texts.vectors, ground.vectors[ground.meant]
        spoken = texts.meant[:, None] & np.any(self._vectors, axis=1)
        pieces = np.where(spoken, _standard(meant, seen, self._vectors, *CLAUSES), 0)
        wholes = texts.meant[:, None] & np.any(self._middles, axis=1)
        middles = np.where(wholes, _standard(meant, seen, self._middles, *MIDDLES), 0)
        best = np.sort(pieces, axis=1)[:, -BEST:].mean(axis=1)
        signals = [
            (best - BEST_ORDINARY[0]) / BEST_ORDINARY[1],
            (middles.max(axis=1) - TOP_ORDINARY[0]) / TOP_ORDINARY[1],
            (by_word.max(axis=1) - WORD_ORDINARY[0]) / WORD_ORDINARY[1],
        ]
        all_three = np.clip(sum(signals), *BOUNDS) * TOPICAL
        by_words = np.clip(signals[2], *BOUNDS) * TOPICAL_WORDS
        topical = np.where(wholes.any(axis=1), all_three, by_words)
        clauses = np.where(spoken, pieces + piece_words / 2, piece_words)
        topics = np.zeros((papers, self._count))
        for n in range(self._count):
            own = np.sort(clauses[:, self._of == n], axis=1)[:, -2:]
            if own.shape[1]:
                topics[:, n] = (own.mean(axis=1) + middles[:, n] + by_word[:, n]) / (
                    2 + wholes[:, n]
                )
        return _Fits(topical, topics, clauses)

    def clause(self, topic: int, place: int, fits: _Fits) -> str:
        """The piece of the topic that the paper fits best; its name only if it has no other."""
        own = np.flatnonzero(self._of == topic)
        own = own[1:] if len(own) > 1 else own
        return self._clauses[int(own[fits.clauses[place, own].argmax()])] if len(own) else ""


def _standard(
    rows: Array | sparse.csr_matrix,
    ground: Array | sparse.csr_matrix,
    asked: Array | sparse.csr_matrix,
    mean: float,
    spread: float,
) -> NDArray[np.float64]:
    """Cosines of rows and what is asked, in spreads above what is ordinary for what is asked.

    Few papers do not show what is ordinary: `mean` and `spread` count as GROUND papers.
    """
    cosines, usual = _dense(rows @ asked.T), _dense(ground @ asked.T)
    papers = len(usual)
    middle = (usual.sum(axis=0) + GROUND * mean) / (papers + GROUND)
    squares = ((usual - middle) ** 2).sum(axis=0) + GROUND * spread**2
    return np.asarray((cosines - middle) / np.sqrt(squares / (papers + GROUND)), np.float64)


def _dense(matrix: Array | sparse.csr_matrix) -> NDArray[np.float64]:
    full = matrix.toarray() if isinstance(matrix, sparse.csr_matrix) else matrix
    return np.asarray(full, np.float64)


def _newness(
    papers: Sequence[Listed], before: _Texts, today: _Texts, held: Held | None
) -> tuple[NDArray[np.int64], list[tuple[Near, ...]]]:
    """Novelty 1..10 of each paper, and what it is most like; `before` are known papers of old."""
    every = before.and_(today)
    first = len(before.meant)  # of today's in `every`
    idf = words.rarity(every.counts)
    told = words.weighed(today.counts, idf)
    alike = _dense(told @ words.weighed(every.counts, idf).T).astype(np.float32)
    close = today.vectors @ every.vectors.T
    ids = np.array([paper.id for paper in papers])
    for cosines in (alike, close):
        cosines[:, first:][ids[:, None] == ids[None, :]] = 0
    pages = np.zeros((len(papers), 0), np.float32)
    if held is not None and held.vectors.shape[1:] == today.vectors.shape[1:]:
        pages = today.vectors @ np.asarray(held.vectors, np.float32).T
    marks = novelty.marks(
        pages=pages,
        rivals=close[:, first:],
        crowd=close,
        rivals_words=alike[:, first:],
        crowd_words=alike,
        meant=today.meant,
    )
    near = []
    for place in range(len(papers)):
        found = [
            Near(int(held.pages[n]), 0, _cosine(pages[place, n]))
            for n in np.argsort(-pages[place], kind="stable")[:2]
            if held is not None and pages[place, n] >= LIKE
        ]
        by = close if today.meant[place] else alike
        least = LIKE if today.meant[place] else LIKE_WORDS
        other = int(by[place, first:].argmax())
        if by[place, first + other] >= least:
            found.append(Near(0, papers[other].id, _cosine(by[place, first + other])))
        near.append(tuple(found))
    return marks, near


def _cosine(value: float) -> float:
    return float(np.clip(value, 0, 1))


def _newest(judged: Sequence[Judged]) -> list[Judged]:
    """The newest decisions, at most KEPT and DROPPED of each kind, one a paper; oldest first."""
    last = {each.paper.id: each for each in judged}
    ordered = sorted(last.values(), key=lambda each: (each.day, each.paper.id))
    kept = [each for each in ordered if each.kept][-KEPT:]
    dropped = [each for each in ordered if not each.kept][-DROPPED:]
    return sorted([*kept, *dropped], key=lambda each: (each.day, each.paper.id))


def _text(paper: Listed) -> str:
    """What is counted of a paper: its title, twice, and its abstract."""
    title = paper.title[:LONGEST_TITLE]
    return f"{title}\n{title}\n{paper.abstract[:LONGEST]}"


def _size(vectors: Mapping[str, Array], papers: Sequence[Listed]) -> int:
    """How many numbers a vector has; one of another model, with more or fewer, is left alone."""
    rows = [*vectors.values(), *(each.vector for each in papers if each.vector is not None)]
    return len(rows[0]) if rows else 0


def _stacked(papers: Sequence[Listed], size: int) -> tuple[Array, NDArray[np.bool_]]:
    """Vectors of papers as rows, zeros for one without; and which have one."""
    rows = np.zeros((len(papers), size), np.float32)
    meant = np.zeros(len(papers), bool)
    for place, paper in enumerate(papers):
        vector = paper.vector
        if size and vector is not None and len(vector) == size and np.isfinite(vector).all():
            rows[place], meant[place] = vector, bool(np.any(vector))
    return rows, meant


def _wider(counts: sparse.csr_matrix, width: int) -> sparse.csr_matrix:
    """The same with empty columns for stems that were met later."""
    wide = (counts.shape[0], width)
    return sparse.csr_matrix((counts.data, counts.indices, counts.indptr), shape=wide)


_BREAK = re.compile(
    r"[,;:.!?]+(?=\s|$)|[,;、，；。：！？()（）\n]+|\s(?:such as|including|e\.g\.)\s"
)
_BLANK = " \t\r\n-*•–—"
_LEAD = re.compile(
    r"^(?:(?:and|or|also|plus|keep|such as|including|papers? on|(?:foundational )?works? on)(?:\s+|$))+",
    re.IGNORECASE,
)
_GERUND = re.compile(r"[a-z]{3,}ing\b")
_GERUND_LAST = re.compile(r"\s[a-z]{3,}ing$")
