"""A day with 1,000 papers told, beside assessing the same papers; encoding is done before.

python -m bench digest_day. CPU seconds of one run and one process: the day assessed by the local
scorer, then told in the morning (nothing is kept yet), then told again with a third of it kept. What
is told is read from the database, put into sentences and written to its page.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from app import pipeline
from app.bootstrap import App, build
from app.domain.digests import SectionName
from app.domain.records import Verdict
from app.importing import import_paths
from app.services import digest, review
from app.settings import Settings
from app.store import assessments, paper_vectors, runs, vectors
from app.store.db import reading, writing
from bench import day, wiki

PAPERS = 1_000
KEPT = 3  # one in so many
TOPICS = (
    ("memory", "Memory of agents", "long-term memory of agents, retrieval, forgetting"),
    ("serving", "Serving", "key-value caches, batching, speculative decoding, quantisation"),
    ("training", "Training", "optimisers, scaling, data curation, distillation"),
)


def main(given: Sequence[str] = ()) -> None:
    """Prints a row for each telling; `given` is how many papers the day has."""
    count = int(given[0]) if given else PAPERS
    texts = day.texts()
    texts += [(f"{title} again", text) for title, text in texts[: count - len(texts)]]
    listed = wiki.NOW.date().isoformat()
    with TemporaryDirectory() as folder:
        app = build(Settings(data=Path(folder), now=wiki.NOW))
        pipeline.begin(app)
        _bring(app, listed, texts[:count])
        assessing = _spend(_assess, app)
        print(f"a day of {count:,} papers, CPU seconds: assessing them {assessing:.2f}")
        print(f"{'':>10}{'telling':>10}{'ratio':>10}{'told':>10}")
        _told(app, "morning", listed, assessing)
        _keep(app, listed)
        _told(app, "evening", listed, assessing)
        app.engine.dispose()


def _spend(work: Callable[..., object], *given: object) -> float:
    begun = time.process_time()
    work(*given)
    return time.process_time() - begun


def _told(app: App, name: str, listed: str, assessing: float) -> None:
    spent = _spend(_tell, app, listed)
    with reading(app.engine) as session:
        work = digest.read(session, listed, zone=app.settings.zone)
    told = {section.name: len(section.items) for section in work.document.sections}
    papers = told.get(SectionName.DEEP_DIVES, 0) + told.get(SectionName.QUICK_HITS, 0)
    print(f"{name:>10}{spent:10.2f}{spent / assessing:10.3f}{papers:10,}", flush=True)


def _tell(app: App, listed: str) -> None:
    with reading(app.engine) as session:
        work = digest.read(session, listed, zone=app.settings.zone)
    with writing(app.engine) as session:
        digest.store(session, work, now=app.clock())


def _bring(app: App, listed: str, texts: Sequence[tuple[str, str]]) -> None:
    """Topics and papers, and vectors of the right size: encoding is another measurement."""
    rows: list[dict[str, Any]] = [
        {"type": "topic", "id": topic, "name": name, "keep": keep} for topic, name, keep in TOPICS
    ]
    rows += [
        {
            "type": "paper",
            "id": f"doi:10.5555/{number}",
            "title": title,
            "abstract": abstract,
            "day": listed,
        }
        for number, (title, abstract) in enumerate(texts)
    ]
    file = app.settings.data / "day.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    if refused := import_paths(app, [file], keep_raw=False).refused:
        raise SystemExit(f"not imported: {refused[:3]}")
    with writing(app.engine) as session:
        model = vectors.wanted(session) or ""
        waiting = paper_vectors.undecided(session, model, since="", limit=10_000)
        made = np.random.default_rng(3).standard_normal((len(waiting), wiki.DIM), np.float32)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        paper_vectors.save(
            session,
            model,
            [(each.paper_id, "made up", row) for each, row in zip(waiting, made, strict=True)],
        )


def _assess(app: App) -> None:
    [step] = [each for each in pipeline.STEPS if each.name == "assess"]
    with runs.at_work(app.engine) as owner:
        while step.run(app, owner).done:
            pass


def _keep(app: App, listed: str) -> None:
    with reading(app.engine) as session:
        rows = assessments.of_day(session, listed)
    with writing(app.engine) as session:
        for row in rows[::KEPT]:
            review.decide_paper(session, row["id"], Verdict.KEEP, now=wiki.NOW)
