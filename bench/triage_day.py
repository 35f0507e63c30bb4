"""A day's 1,086 papers judged without a model, end to end, beside encoding the same texts once.

python -m bench triage_day [pages] [decided]. Import, encoding, assessing and reading the day back, in
CPU seconds of one run and one process: first in a wiki that has the topics alone, then in a made-up
one in which so many papers were decided. The second day of each finds the scorer fitted (warm) unless
something was decided. At last half a day is kept and dropped, and kept papers get the vectors of their
pages: what had to be encoded again is counted.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import sqlalchemy as sa

from app import pipeline
from app.bootstrap import App, build
from app.domain.records import Verdict
from app.importing import import_paths
from app.services import encoding, review
from app.settings import Settings
from app.store import assessments, paper_vectors, runs, vectors
from app.store.db import reading, writing
from bench import built, day, wiki

PAPERS = 1_086
FIRST = wiki.NEWEST + timedelta(days=12)
SIZE = (106_600, 100_000)  # 100,000 of the pages are papers, and as many again are dropped
TOPICS = (
    ("memory", "Memory of agents", "long-term memory of agents, retrieval, forgetting", "surveys"),
    ("serving", "Serving", "key-value caches, batching, speculative decoding, quantisation", ""),
    ("training", "Training", "optimisers, scaling, data curation, distillation", "medical images"),
    ("world", "World models", "models of environments, planning, open-ended learning", ""),
    ("inside", "Inside models", "representations, sparse autoencoders, circuits", ""),
)
STEPS = ("import", "papers", "assess", "read")


def main(given: Sequence[str] = ()) -> None:
    """Prints a row for each day; `given` are pages and dropped papers of the large wiki."""
    pages, dropped = (*map(int, given), *SIZE[len(given) :])
    texts = day.texts()
    texts += [(f"{title} again", text) for title, text in texts[: PAPERS - len(texts)]]
    print(f"a day of {len(texts):,} papers, CPU seconds")
    print("".join(f"{word:>10}" for word in ("", "encoding", *STEPS, "together", "ratio")))
    with TemporaryDirectory() as folder:
        app = build(Settings(data=Path(folder), now=wiki.NOW))
        _days(app, "new", texts)
        _decide(app, FIRST.isoformat(), len(texts) // 2)
        app.engine.dispose()
    with built.opened(pages) as found:
        _drop(found, dropped)
        with reading(found.engine) as session:
            kept, gone = assessments.decided(session)
        print(f"in a wiki of {kept:,} kept and {gone:,} dropped papers")
        _days(found.app, "large", texts)


def _loaded(app: App) -> Any:
    if app.encoder is None:
        raise SystemExit("the sentence encoder is not installed")
    app.encoder.encode(["to load the model"])
    pipeline.begin(app)
    return app.encoder


def _spend(work: Callable[..., object], *given: object) -> float:
    begun = time.process_time()
    work(*given)
    return time.process_time() - begun


def _days(app: App, name: str, texts: list[tuple[str, str]]) -> None:
    """Two days of the same texts; those of the second are told apart by a word."""
    alone = _spend(_loaded(app).encode, [encoding.text_of(*each) for each in texts])
    rows = [
        {"type": "topic", "id": topic, "name": title, "keep": keep, "filter": filter_}
        for topic, title, keep, filter_ in TOPICS
    ]
    _import(app, "topics", rows)
    # The latter day is of other words in another order: the same text would be the same paper.
    chance = random.Random(7)
    for at, warm in ((FIRST, False), (FIRST + timedelta(days=1), True)):
        listed = at.isoformat()
        papers = [
            {
                "type": "paper",
                "id": f"doi:10.5555/{name}.{listed}.{number}",
                "title": f"{title} {listed}" if warm else title,
                "abstract": _shuffled(text, chance) if warm else text,
                "day": listed,
            }
            for number, (title, text) in enumerate(texts)
        ]
        spent = {"import": _spend(_import, app, listed, papers), "papers": 0.0}
        if warm:
            _made_up(app)  # what was encoded once costs the same again
        else:
            spent["papers"] = _spend(_steps, app, encoding.PAPERS)
        spent["assess"] = _spend(_steps, app, "assess")
        spent["read"] = _spend(_read, app, listed, len(texts))
        total = sum(spent.values())
        words = f"{name}, warm" if warm else name
        print(
            f"{words[:10]:>10}"
            + f"{alone:10.2f}"
            + "".join(f"{spent[step]:10.2f}" for step in STEPS)
            + f"{total:10.2f}{total / alone:10.2f}",
            flush=True,
        )


def _shuffled(text: str, chance: random.Random) -> str:
    sentences = text.split(". ")
    chance.shuffle(sentences)
    return ". ".join(sentences)


def _import(app: App, name: str, rows: list[dict[str, Any]]) -> None:
    file = app.settings.data / f"{name}.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    if refused := import_paths(app, [file], keep_raw=False).refused:
        raise SystemExit(f"not imported: {refused[:3]}")


def _steps(app: App, name: str) -> None:
    """One step as a worker does it, until nothing waits."""
    [step] = [each for each in pipeline.STEPS if each.name == name]
    with runs.at_work(app.engine) as owner:
        while step.run(app, owner).done:
            pass


def _read(app: App, listed: str, expected: int) -> None:
    with reading(app.engine) as session:
        rows = assessments.of_day(session, listed)
    if len(rows) != expected:
        raise SystemExit(f"{len(rows)} of {expected} papers of {listed} were judged")


def _made_up(app: App) -> None:
    """Vectors like those of the day before, for what waits for one."""
    chance = np.random.default_rng(3)
    with writing(app.engine) as session:
        model = vectors.wanted(session) or ""
        waiting = paper_vectors.undecided(session, model, since="", limit=10_000)
        made = chance.standard_normal((len(waiting), wiki.DIM), np.float32)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        paper_vectors.save(
            session,
            model,
            [(each.paper_id, "made up", row) for each, row in zip(waiting, made, strict=True)],
        )


def _decide(app: App, listed: str, count: int) -> None:
    """One in ten of half a day is kept; then the pages get their vectors."""
    with reading(app.engine) as session:
        rows = assessments.of_day(session, listed)[:count]
    with writing(app.engine) as session:
        for at, row in enumerate(rows):
            verdict = Verdict.DROP if at % 10 else Verdict.KEEP
            review.decide_paper(session, row["id"], verdict, now=wiki.NOW)
    with _counting(app) as texts:
        spent = _spend(_steps, app, encoding.STEP)
    kept = -(-count // 10)
    print(f"{kept} of them kept: {spent:.2f} s, {len(texts)} texts encoded again")


@contextmanager
def _counting(app: App) -> Iterator[list[str]]:
    """The texts that are encoded meanwhile."""
    encoder: Any = app.encoder
    given: list[str] = []
    encode = encoder.encode

    def counted(texts: Sequence[str]) -> Any:
        given.extend(texts)
        return encode(texts)

    encoder.encode = counted
    try:
        yield given
    finally:
        encoder.encode = encode


def _drop(found: built.Wiki, count: int) -> None:
    """As many papers more, dropped on days long ago; the newest of them have vectors."""
    with writing(found.engine) as session:
        connection = session.connection()
        first = last = connection.execute(sa.text("SELECT max(id) FROM paper")).scalar_one()
        while count > last - first:
            more = {"first": first, "last": last, "count": count - (last - first)}
            last += connection.execute(_MORE, more).rowcount
        connection.execute(_LISTED, {"first": first})
    with writing(found.engine) as session:
        model = wiki.vector_model()
        chance = np.random.default_rng(5)
        while rows := paper_vectors.dropped(session, model, limit=2_000):
            made = chance.standard_normal((len(rows), wiki.DIM), np.float32)
            made /= np.linalg.norm(made, axis=1, keepdims=True)
            paper_vectors.save(
                session,
                model,
                [(each.paper_id, "made up", row) for each, row in zip(rows, made, strict=True)],
            )


_MORE = sa.text(
    """INSERT INTO paper (id, state, title, title_key, abstract, authors, venue, published,
        categories, "references", code_url, extra, created_at)
    SELECT :last + id, 'dropped', title || ' ' || :last, title_key || :last, abstract, authors,
        venue, published, categories, "references", code_url, extra, created_at
    FROM paper WHERE id <= :first ORDER BY id LIMIT :count"""
)
_LISTED = sa.text(
    """INSERT INTO listing_paper (day, paper_id, position)
    SELECT published, id, 0 FROM paper WHERE id > :first"""
)


if __name__ == "__main__":
    main(sys.argv[1:])
