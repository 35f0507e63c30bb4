"""The measurement of the local scorer, on days of made words."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.domain.scoring import TopicText
from bench import triage
from bench.triage import Day, Paper, no_vectors

TOPIC = TopicText("kilns", "Kilns", "glaze, clay, firing of bowls")


def a_day(day: str, first: int, count: int = 24) -> Day:
    """Every third paper is about kilns and kept."""
    return Day(
        day,
        tuple(
            Paper(
                f"{day}/{first + n}",
                "Clay and glaze" if n % 3 == 0 else f"Sails number {n}",
                f"firing bowls in a kiln w{n}" if n % 3 == 0 else f"rope, mast and deck w{n}",
                n % 3 == 0,
                novelty=8 if n % 3 == 0 else None,
                topics=("Kilns",) if n % 3 == 0 else (),
            )
            for n in range(count)
        ),
    )


def test_figures_of_an_order() -> None:
    score = np.array([0.9, 0.8, 0.7, 0.6])
    kept = np.array([True, False, True, False])
    assert triage.auc(score, kept) == 0.75
    assert triage.average_precision(score, kept) == pytest.approx((1 + 2 / 3) / 2)
    assert triage.recall(score, kept, 1) == 0.5
    assert triage.recall(score, kept, 4) == 1.0
    assert triage.auc(np.ones(4), kept) == 0.5


def test_calibration_error_is_nought_for_true_chances_and_great_for_false_ones() -> None:
    kept = np.array([True, False] * 50)
    assert triage.error(np.full(100, 0.5), kept) == 0
    assert triage.error(np.where(kept, 0.0, 1.0), kept) == 1


def test_rank_correlation() -> None:
    rising = np.array([1.0, 2.0, 2.0, 5.0])
    assert triage.rank_correlation(rising, rising**3) == pytest.approx(1)
    assert triage.rank_correlation(rising, -rising) == pytest.approx(-1)
    assert triage.rank_correlation(rising, np.ones(4)) == 0


def test_days_are_judged_before_their_choices_are_known() -> None:
    days = [a_day("2026-05-01", 0), a_day("2026-05-02", 100)]
    blind, after = triage.replayed(days, (), no_vectors)
    assert len(set(blind.score)) == 1
    assert triage.auc(after.score, after.day.kept) == 1
    *_, unlearned = triage.replayed(days, (), no_vectors, feedback=False)
    assert len(set(unlearned.score)) == 1


def test_no_paper_of_a_day_was_learned_from() -> None:
    """A week shown twice teaches nothing of itself the second time."""
    week = a_day("2026-05-01", 0)
    _, again = triage.replayed([week, week], (), no_vectors)
    assert len(set(again.score)) == 1


def test_picks_in_the_first_tenth_are_counted_after_a_first_quarter() -> None:
    weeks = [a_day(f"2026-05-{n:02d}", 100 * n, 90) for n in range(1, 5)]
    share, total = triage.in_first_tenth(weeks, no_vectors)
    assert total == 90
    assert share == pytest.approx(9 / 30)


def rows(path: Path, every: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in every)


def made_data(folder: Path) -> None:
    """Two days, listed papers of four months, picks of two weeks, and upvotes."""
    for day in ("2026-05-07", "2026-05-08"):
        rows(
            folder / "triage" / f"arxiv_triage_{day}.jsonl.gz",
            [
                {
                    "arxiv_id": paper.number,
                    "title": paper.title,
                    "abstract": paper.abstract,
                    "selected": paper.kept,
                    **({"novelty": 8, "topic": "Kilns", "topics": ["Kilns"]} if paper.kept else {}),
                }
                for paper in a_day(day, 0).papers
            ]
            # One that the reader found elsewhere, one without a text, one of an earlier day.
            + [
                {"arxiv_id": f"{day}/x", "title": "x", "abstract": "x", "selected": True, "in_pool": False},
                {"arxiv_id": f"{day}/y", "title": "y", "abstract": "", "selected": False},
            ]
            + [
                {"arxiv_id": f"2026-05-07/{n}", "title": "z", "abstract": "z", "selected": False}
                for n in range(1, 3)
                if day > "2026-05-07"
            ],
        )  # fmt: skip
    rows(
        folder / "papers.jsonl.gz",
        [
            {"arxiv_id": f"24{month:02d}.{n:05d}", "title": f"On {n}", "abstract": f"text {n}"}
            for month in range(1, 5)
            for n in range(8)
        ],
    )
    rows(
        folder / "triage" / "ml_papers_of_the_week.jsonl.gz",
        [
            {"week": "b", "arxiv_id": "2403.00001"},
            {"week": "b", "arxiv_id": "2403.00002"},
            {"week": "a", "arxiv_id": "2401.00003"},
            {"week": "a", "arxiv_id": "1901.99999"},
        ],
    )
    rows(
        folder / "triage" / "hf_daily_upvotes.jsonl.gz",
        [
            {
                "day": f"2024-04-{n + 1:02d}",
                "arxiv_id": f"2404.{n:05d}",
                "title": f"On {n}",
                "abstract": f"text {n}",
                "upvotes": n,
            }
            for n in range(10)
        ],
    )


def test_what_is_read_of_the_days(tmp_path: Path) -> None:
    made_data(tmp_path)
    first, second = triage.read_days(tmp_path)
    assert (first.day, len(first.papers), first.kept.sum()) == ("2026-05-07", 24, 8)
    assert (second.day, len(second.papers), second.kept.sum()) == ("2026-05-08", 24, 8)
    assert {paper.number for paper in first.papers}.isdisjoint(p.number for p in second.papers)
    assert second.papers[0].topics == ("Kilns",)


def test_picks_are_hidden_among_papers_of_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triage, "OTHERS", 6)
    made_data(tmp_path)
    early, late = triage.weeks_of_picks(tmp_path)
    assert [paper.number for paper in early.papers if paper.kept] == ["2401.00003"]
    assert [paper.number for paper in late.papers if paper.kept] == ["2403.00001", "2403.00002"]
    for week in (early, late):
        others = [paper.number for paper in week.papers if not paper.kept]
        assert len(others) == 6
        assert {"2401.00003", "2403.00001", "2403.00002"}.isdisjoint(others)
    assert all(number.startswith("2401") for number in [p.number for p in early.papers])

    upvoted = triage.weeks_of_upvotes(tmp_path)
    picks = [paper.number for week in upvoted for paper in week.papers if paper.kept]
    assert picks == ["2404.00008", "2404.00009"]
    others = [paper.number for week in upvoted for paper in week.papers if not paper.kept]
    assert others and not any(number.startswith("2404") for number in others)


def test_the_command_prints_every_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_data(tmp_path)
    topics = tmp_path / "topics.jsonl"
    row = {"type": "topic", "id": "kilns", "name": "Kilns", "keep": TOPIC.keep}
    topics.write_text(json.dumps({**row, "filter": "", "tier": 1}))
    triage.main(["--data", str(tmp_path), "--topics", str(topics), "--words", "--people"])
    said = capsys.readouterr().out
    for part in (
        "2026-05-07", "mean, day 2 on", "ece", "primary topic 1.000", "sample page", "recall@8",
        "kept share by relevance", "novelty 1..10", "picks of the week", "most upvoted",
    ):  # fmt: skip
        assert part in said, part


def test_without_data_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    triage.main(["--data", str(tmp_path / "none")])
    assert "nothing was judged" in capsys.readouterr().out
