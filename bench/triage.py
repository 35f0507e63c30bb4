"""How well the local scorer orders real arXiv days, and finds what people chose.

    python -m bench triage [--words] [--no-topics] [--no-feedback] [--people]

Seven days in order, one reader: each is judged before its choices are known. The protocol is that
of ../shared/eval/triage_eval.py, run in process, with the vectors of earlier runs kept in
~/.cache/cerebro-bench. Then the sample page: its 47 papers among those of their day.
`--people`: the picks of each week among 500 other papers of the same time, after learning from the
weeks before; no paper of a week was learned from before it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.scoring import Array, Judged, Listed, Marks, Taste, TopicText
from bench.fit_linker import DATA

TOPICS = DATA.parent / "eval" / "topics.jsonl"
SAMPLE = "2026-05-08"
OTHERS = 500  # papers that the picks of a week are hidden among
UPVOTED = 0.2  # of the papers of a site with upvotes: the most upvoted
BINS = 10

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Encode = Callable[[Sequence[str]], Mapping[str, Array]]


@dataclass(frozen=True)
class Paper:
    """A paper of a day and what the reader made of it; `topics`: names, the primary one first."""

    number: str
    title: str
    abstract: str
    kept: bool
    novelty: int | None = None
    topics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Day:
    """The papers of a day, in the order in which they came."""

    day: str
    papers: tuple[Paper, ...]

    @property
    def kept(self) -> Flags:
        return np.array([paper.kept for paper in self.papers], bool)


@dataclass(frozen=True, eq=False)
class Scored:
    """A day as the scorer marked it, before it knew the reader's choices; CPU seconds of that."""

    day: Day
    marks: Sequence[Marks]
    seconds: float

    @property
    def score(self) -> Numbers:
        return np.array([mark.score for mark in self.marks])


def auc(score: Numbers, kept: Flags) -> float:
    """The chance that a kept paper stands above a dropped one; ties count half."""
    above = score[kept][:, None] - score[~kept][None, :]
    return float(((above > 0) + (above == 0) / 2).mean()) if above.size else float("nan")


def average_precision(score: Numbers, kept: Flags) -> float:
    """Mean of the precision at each kept paper."""
    hits = kept[np.argsort(-score, kind="stable")]
    found = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(found[hits].mean()) if hits.any() else float("nan")


def recall(score: Numbers, kept: Flags, first: int) -> float:
    """The share of the kept papers among the first so many."""
    order = np.argsort(-score, kind="stable")[:first]
    return float(kept[order].sum() / max(kept.sum(), 1))


def error(score: Numbers, kept: Flags) -> float:
    """Expected calibration error over ten bins of equal width."""
    bins = np.minimum((score * BINS).astype(int), BINS - 1)
    parts = [
        (bins == n).mean() * abs(score[bins == n].mean() - kept[bins == n].mean())
        for n in range(BINS)
        if (bins == n).any()
    ]
    return float(sum(parts))


def rank_correlation(first: Numbers, second: Numbers) -> float:
    """Spearman's, ties at their mean rank; 0 where one of the two does not vary."""
    from scipy.stats import rankdata

    ranks = rankdata(first), rankdata(second)
    if not ranks[0].std() or not ranks[1].std():
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def read_days(data: Path) -> list[Day]:
    """The days, without the papers of earlier ones, and without those that only the reader saw."""
    seen: set[str] = set()
    days = []
    for path in sorted((data / "triage").glob("arxiv_triage_*.jsonl.gz")):
        rows = [
            row
            for row in _rows(path)
            if row.get("in_pool", True) and row.get("abstract") and row["arxiv_id"] not in seen
        ]
        seen |= {row["arxiv_id"] for row in rows}
        papers = tuple(
            Paper(
                row["arxiv_id"],
                row["title"],
                row["abstract"],
                bool(row["selected"]),
                row.get("novelty"),
                tuple(dict.fromkeys(n for n in (row.get("topic"), *row.get("topics", ())) if n)),
            )
            for row in rows
        )
        days.append(Day(path.name[13:23], papers))
    return days


def read_topics(path: Path) -> list[TopicText]:
    """Topics from lines of interchange."""
    return [
        TopicText(row["id"], row["name"], row["keep"], row["filter"], row["tier"])
        for row in map(json.loads, path.read_text("utf-8").splitlines())
    ]


def sentence_vectors(texts: Sequence[str]) -> Mapping[str, Array]:
    """What the sentence model gives, from the cache where it is there."""
    from app.embeddings.sentence import SentenceTransformerEncoder
    from bench.kept_vectors import kept

    encoder = SentenceTransformerEncoder()
    found: dict[str, Array] = {}
    for start in range(0, len(texts), 256):
        part = texts[start : start + 256]
        found |= dict(zip(part, kept(encoder, part), strict=True))
    return found


def no_vectors(texts: Sequence[str]) -> Mapping[str, Array]:
    """A machine without the sentence model."""
    return {}


class Reader:
    """Papers as the scorer reads them: one id a paper, with its vector if there is a model."""

    def __init__(self, encode: Encode) -> None:
        self.encode = encode
        self._known: dict[str, Listed] = {}

    def read(self, papers: Sequence[Paper]) -> list[Listed]:
        """These papers, in order."""
        from app.services.encoding import text_of

        new = {paper.number: paper for paper in papers if paper.number not in self._known}
        texts = {number: text_of(each.title, each.abstract) for number, each in new.items()}
        vectors = self.encode(list(texts.values()))
        for number, paper in new.items():
            self._known[number] = Listed(
                len(self._known) + 1, paper.title, paper.abstract, vectors.get(texts[number])
            )
        return [self._known[paper.number] for paper in papers]


def replayed(
    days: Sequence[Day], topics: Sequence[TopicText], encode: Encode, *, feedback: bool = True
) -> Iterator[Scored]:
    """Each day judged by what was decided on the days before; no paper of it was learned from."""
    asked = encode([clause for topic in topics for clause in topic.clauses])
    reader = Reader(encode)
    judged: dict[int, Judged] = {}
    for day in days:
        papers = reader.read(day.papers)
        shown = {paper.id for paper in papers}
        before = [each for each in judged.values() if each.paper.id not in shown]
        start = time.process_time()
        marks = Taste(topics, before, vectors=asked).judge(papers)
        yield Scored(day, marks, time.process_time() - start)
        if feedback:
            for paper, kept in zip(papers, day.kept, strict=True):
                judged[paper.id] = Judged(paper, bool(kept), day.day)


def weeks_of_picks(data: Path) -> list[Day]:
    """The picks of each week that have an abstract, among OTHERS papers of about its time."""
    known = _known(data)
    weeks: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in _rows(data / "triage" / "ml_papers_of_the_week.jsonl.gz"):
        if row["arxiv_id"] in known:
            # Not every week names its year; the number of a paper does.
            weeks[row["arxiv_id"][:2], row["week"]].add(row["arxiv_id"])
    return _hidden(list(weeks.values()), set().union(*weeks.values()), known)


def weeks_of_upvotes(data: Path) -> list[Day]:
    """The most upvoted papers of each week, among OTHERS papers of about its time."""
    known = _known(data)
    rows = list(_rows(data / "triage" / "hf_daily_upvotes.jsonl.gz"))
    least = float(np.quantile([row["upvotes"] for row in rows], 1 - UPVOTED))
    weeks: dict[tuple[int, int], set[str]] = defaultdict(set)
    for row in rows:
        if row["upvotes"] >= least and row["abstract"]:
            known.setdefault(row["arxiv_id"], row)
            year, week, _ = date.fromisoformat(row["day"]).isocalendar()
            weeks[year, week].add(row["arxiv_id"])
    return _hidden(list(weeks.values()), {row["arxiv_id"] for row in rows}, known)


def _hidden(
    weeks: Sequence[set[str]], not_others: set[str], known: Mapping[str, Mapping[str, Any]]
) -> list[Day]:
    """Weeks in the order of their papers; numbers of papers tell which are of about a time."""
    others = sorted(number for number in known if number not in not_others)
    days = []
    for picks in sorted((sorted(week) for week in weeks), key=lambda week: week[len(week) // 2]):
        middle = picks[len(picks) // 2]
        first = int(np.searchsorted(others, middle)) - OTHERS // 2
        first = max(0, min(first, len(others) - OTHERS))
        papers = [(number, True) for number in picks]
        papers += [(number, False) for number in others[first : first + OTHERS]]
        days.append(
            Day(
                middle,
                tuple(
                    Paper(number, known[number]["title"], known[number]["abstract"], kept)
                    for number, kept in papers
                ),
            )
        )
    return days


def in_first_tenth(weeks: Sequence[Day], encode: Encode) -> tuple[float, int]:
    """The share of the picks among the first tenth of their week, and how many picks there are.

    The first quarter of the weeks is learned from and not counted.
    """
    found = total = 0
    for place, scored in enumerate(replayed(weeks, (), encode)):
        if place >= len(weeks) // 4:
            kept = scored.day.kept
            share = recall(scored.score, kept, len(kept) // 10)
            found += round(share * kept.sum())
            total += int(kept.sum())
    return found / max(total, 1), total


def sample_page(days: Sequence[Day], topics: Sequence[TopicText], encode: Encode) -> None:
    """The papers of the sample page among those of its day: recall by 47 and by 94."""
    place = next(n for n, day in enumerate(days) if day.day == SAMPLE)
    for name, before in (
        ("as the first day", days[place : place + 1]),
        ("after", days[: place + 1]),
    ):
        *_, scored = replayed(before, topics, encode)
        kept = scored.day.kept
        count = int(kept.sum())
        print(
            f"sample page {SAMPLE} {name}: {count} of {len(kept)}, "
            f"recall@{count} {recall(scored.score, kept, count):.3f} "
            f"@{2 * count} {recall(scored.score, kept, 2 * count):.3f}"
        )


def print_days(results: Sequence[Scored], topics: Sequence[TopicText]) -> None:
    """The figures of each day and their means from the second on."""
    print(f"{'day':<12} {'pool':>5} {'kept':>5} {'auc':>6} {'ap':>6} {'r@2k':>6} {'cpu s':>6}")
    figures = []
    for scored in results:
        kept, score = scored.day.kept, scored.score
        count = int(kept.sum())
        row = auc(score, kept), average_precision(score, kept), recall(score, kept, 2 * count)
        figures.append(row)
        print(
            f"{scored.day.day:<12} {len(kept):>5} {count:>5} "
            + " ".join(f"{figure:6.3f}" for figure in row)
            + f" {scored.seconds:6.2f}"
        )
    means = np.mean(figures[1:], axis=0)
    print(f"{'mean, day 2 on':<24} " + " ".join(f"{figure:6.3f}" for figure in means))
    later = results[1:]
    score = np.concatenate([each.score for each in later])
    kept = np.concatenate([each.day.kept for each in later])
    print(
        f"ece {error(score, kept):.3f} (first day {error(results[0].score, results[0].day.kept):.3f})"
    )
    names = {topic.id: topic.name for topic in topics}
    first = [
        (names[mark.topics[0]] if mark.topics else "", paper.topics)
        for each in results
        for mark, paper in zip(each.marks, each.day.papers, strict=True)
        if paper.topics
    ]
    if first and names:
        primary = np.mean([said == true[0] for said, true in first])
        any_of = np.mean([said in true for said, true in first])
        print(f"primary topic {primary:.3f}, one of its topics {any_of:.3f} ({len(first)} kept)")


def print_scales(results: Sequence[Scored]) -> None:
    """Does a mark mean the same each day; and how novelty is spread."""
    print("\nkept share by relevance, day by day (papers)")
    for mark in range(10, 0, -1):
        cells, kept_all, all_all = [], 0, 0
        for each in results:
            at = np.array([marks.relevance == mark for marks in each.marks])
            kept = int(each.day.kept[at].sum())
            cells.append(f"{kept / at.sum():.2f} ({at.sum()})" if at.any() else "-")
            if each is not results[0]:
                kept_all, all_all = kept_all + kept, all_all + int(at.sum())
        share = f"{kept_all / all_all:.3f}" if all_all else "-"
        print(f"{mark:>2} " + " ".join(f"{cell:>10}" for cell in cells) + f"   day 2 on {share}")
    novelty = np.array([marks.novelty for each in results for marks in each.marks], float)
    relevance = np.array([marks.relevance for each in results for marks in each.marks], float)
    spread = np.bincount(novelty.astype(int), minlength=11)[1:] / len(novelty)
    print("novelty 1..10: " + " ".join(f"{share:.2f}" for share in spread))
    print(f"novelty against relevance: rank correlation {rank_correlation(novelty, relevance):.2f}")
    model = [
        (marks.novelty, paper.novelty)
        for each in results
        for marks, paper in zip(each.marks, each.day.papers, strict=True)
        if paper.novelty is not None
    ]
    if model:
        ours, theirs = np.array(model, float).T
        print(
            f"novelty against a model's: rank correlation {rank_correlation(ours, theirs):.2f} "
            f"({len(model)} papers; the model gives {len(set(theirs))} different marks)"
        )


def _known(data: Path) -> dict[str, Mapping[str, Any]]:
    return {row["arxiv_id"]: row for row in _rows(data / "papers.jsonl.gz") if row["abstract"]}


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def main(arguments: Sequence[str] = ()) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench triage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--topics", type=Path, default=TOPICS, help="lines of interchange")
    parser.add_argument("--words", action="store_true", help="without the sentence model")
    parser.add_argument("--no-topics", action="store_true", help="by decisions alone")
    parser.add_argument("--no-feedback", action="store_true", help="by topics alone")
    parser.add_argument("--people", action="store_true", help="what people chose, too")
    given = parser.parse_args(arguments)
    if not given.data.exists() or not given.topics.exists():
        print(f"There is no data at {given.data} or {given.topics}; nothing was judged.")
        return
    encode = no_vectors if given.words else sentence_vectors
    days = read_days(given.data)
    topics = [] if given.no_topics else read_topics(given.topics)
    results = list(replayed(days, topics, encode, feedback=not given.no_feedback))
    print_days(results, topics)
    sample_page(days, topics, encode)
    print_scales(results)
    if given.people:
        for name, weeks in (
            ("picks of the week", weeks_of_picks(given.data)),
            ("most upvoted", weeks_of_upvotes(given.data)),
        ):
            share, total = in_first_tenth(weeks, encode)
            print(f"{name}: {share:.3f} of {total} in the first tenth ({len(weeks)} weeks)")
