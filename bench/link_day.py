"""A day's papers linked in a made-up wiki: reading, fitting, ranking and storing, in CPU seconds.

python -m bench.link_day [pages] [papers]. So many papers come in on each of two days, with vectors
made up as well, and are linked as a worker links them: the first day in a process that has read
nothing yet (cold), the second in the same one (warm).
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import sqlalchemy as sa

from app.domain.linking import Knowledge
from app.importing import import_paths
from app.services import linker
from app.store import runs, vectors
from app.store.db import reading, writing
from bench import built, wiki
from bench.process import memory_of

STEPS = ("reading", "fitting", "ranking", "storing")


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    pages, papers = (*given, *(100_000, 1_000)[len(given) :])
    with built.opened(pages) as found:
        days = {}
        for day in ("cold", "warm"):
            _arrive(found, day, papers)
            days[day] = _linked(found)
        now, _ = memory_of(os.getpid())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{papers:,} papers linked in a wiki of {pages:,} pages, CPU seconds")
    print("".join(f"{word:>10}" for word in ("", *STEPS, "together")))
    for day, spent in days.items():
        numbers = [spent[step] for step in STEPS]
        print(f"{day:>10}" + "".join(f"{each:10.1f}" for each in (*numbers, sum(numbers))))
    print(f"memory: {now:,.0f} MB at the end, {most:,.0f} MB at most")


def _arrive(found: built.Wiki, day: str, papers: int) -> None:
    """Papers are imported that say what others say in another order, with a vector like theirs."""
    chance = random.Random(day)
    with reading(found.engine) as session:
        rows = session.connection().execute(_LIKE, {"count": papers}).all()
    lines, about = [], {}
    for number, (title, abstract, concept) in enumerate(rows):
        words, sentences = title.split(), abstract.split(". ")
        chance.shuffle(words)
        chance.shuffle(sentences)
        said = f"{' '.join(words)} {day}"
        about[said] = concept
        lines.append(
            {
                "type": "paper", "id": f"doi:10.5555/{day}.{number}", "title": said,
                "abstract": ". ".join(sentences), "published": wiki.NEWEST.isoformat(),
            }
        )  # fmt: skip
    file = found.data / f"{day}.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    import_paths(found.app, [file], keep_raw=False)
    model = wiki.vector_model()
    near = wiki.Vectors(max(1, found.pages // wiki.CLUSTER), wiki.SEED)
    with writing(found.engine) as session:
        waiting = vectors.pending(session, model, limit=10 * papers)
        made = near.rows(np.array([about.get(each.title, 1) - 1 for each in waiting]))
        vectors.save(
            session,
            [
                vectors.NewVector(each.page_id, model, each.hash, row)
                for each, row in zip(waiting, made, strict=True)
            ],
        )


_LIKE = sa.text(
    """SELECT paper.title, paper.abstract, min(link.target_id) FROM paper
    JOIN link ON link.source_id = paper.page_id
    WHERE link.relation = 'about' AND link.status = 'accepted'
    GROUP BY paper.id, paper.title, paper.abstract ORDER BY paper.id DESC LIMIT :count"""
)


def _linked(found: built.Wiki) -> dict[str, float]:
    """What the steps cost, done as `pipeline` does them until nothing waits."""
    app, spent = found.app, dict.fromkeys(STEPS, 0.0)

    @contextmanager
    def clock(step: str) -> Iterator[None]:
        begun = time.process_time()
        try:
            yield
        finally:
            spent[step] += time.process_time() - begun

    def fitted(*given: object, **named: object) -> Knowledge:
        with clock("fitting"):
            return Knowledge(*given, **named)  # type: ignore[arg-type]

    index = app.index or vectors.VectorIndex()
    if app.index is None:
        app.index = index
    with runs.at_work(app.engine) as owner, patch.object(linker, "Knowledge", fitted):
        while True:
            with clock("reading"):
                with writing(app.engine) as session:
                    taken = linker.take_up(session, owner=owner, now=wiki.NOW)
                if not taken:
                    break
                with reading(app.engine) as session:
                    work = linker.read(session, index, taken, app.library)
            fits = spent["fitting"]
            with clock("ranking"):
                ranked = linker.rank_papers(work, app.weights, proposed_only=True)
            spent["ranking"] -= spent["fitting"] - fits
            with clock("storing"), writing(app.engine) as session:
                linker.store(session, work, ranked, owner=owner, now=wiki.NOW)
    return spent


if __name__ == "__main__":
    main()
