"""A day's papers linked in a made-up wiki: reading, fitting, ranking and storing, in CPU seconds.

python -m bench link_day [pages] [papers] [concepts]. So many papers come in on each of two days,
with vectors made up as well, and are linked as a worker links them: the first day in a process that
has read nothing yet (cold), the second in the same one (warm). Then one link is accepted, and one
paper is asked about as the API asks (one). Beside them a plain product of the same size, in the
same run and by one thread: the vectors of the papers with those of all papers and concepts.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import sqlalchemy as sa

from app.domain import learning, linking
from app.domain.records import Verdict
from app.importing import import_paths
from app.services import linker, review
from app.store import corpus, runs, vectors
from app.store.db import reading, writing
from bench import built, wiki
from bench.process import memory_of

STEPS = ("reading", "fitting", "ranking", "storing")
SIZE = (106_600, 1_000, 5_000)  # 100,000 of the pages are papers
BLOCK, SLAB = 256, 8_192


def main(given: Sequence[str] = ()) -> None:
    """Prints a row for each day; `given` are pages, papers and concepts."""
    pages, papers, concepts = (*map(int, given), *SIZE[len(given) :])
    with built.opened(pages, concepts=concepts) as found:
        started, _ = memory_of(os.getpid())
        days, plain = {}, {}
        for day in ("cold", "warm"):
            _arrive(found, day, papers)
            days[day] = _linked(found)
            now, most = memory_of(os.getpid())
            plain[day] = _plain(found, papers)
        days["one"], plain["one"] = _one(found), _plain(found, 1)
        count = len(found.app.library.papers.ids)
        rows = count * wiki.DIM * 4 / 2**20
    print(f"{papers:,} papers linked in a wiki of {count:,} papers, CPU seconds")
    print("".join(f"{word:>10}" for word in ("", *STEPS, "together", "product", "ratio")))
    for day, spent in days.items():
        numbers = [spent[step] for step in STEPS]
        numbers += [sum(numbers), plain[day]]
        ratio = numbers[-2] / max(plain[day], 1e-9)
        print(f"{day:>10}" + "".join(f"{each:10.2f}" for each in numbers) + f"{ratio:10.1f}")
    print(
        f"memory: {started:,.0f} MB before, {now:,.0f} MB at the end, {most:,.0f} MB at most; "
        f"the papers' vectors are {rows:,.0f} MB: {(most - started) / rows:.1f} times"
    )


def _plain(found: built.Wiki, papers: int) -> float:
    """CPU seconds of so many vectors times all, in blocks; the vectors are random."""
    chance = np.random.default_rng(1)
    known = found.app.library.papers.ids
    rows = chance.standard_normal((len(known), wiki.DIM), np.float32)
    with reading(found.engine) as session:
        concepts = chance.standard_normal((len(corpus.concepts(session)), wiki.DIM), np.float32)
    begun = time.process_time()
    for start in range(0, papers, BLOCK):
        some = rows[start : min(start + BLOCK, papers)]
        for first in range(0, len(rows), SLAB):
            some @ rows[first : first + SLAB].T
        some @ concepts.T
    return time.process_time() - begun


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


class _Clock:
    """CPU seconds by step; those of fitting are taken out of the step they fall into."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(STEPS, 0.0)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        begun, fits = time.process_time(), self.spent["fitting"]
        try:
            yield
        finally:
            inner = self.spent["fitting"] - fits if step != "fitting" else 0.0
            self.spent[step] += time.process_time() - begun - inner

    @contextmanager
    def fits(self) -> Iterator[None]:
        """Knowledge made, and what decisions teach, count as fitting."""

        def timed(function: Callable[..., Any]) -> Callable[..., Any]:
            def called(*given: Any, **named: Any) -> Any:
                with self("fitting"):
                    return function(*given, **named)

            return called

        with (
            patch.object(corpus, "Knowledge", timed(linking.Knowledge)),
            patch("app.domain.linking.learn", timed(learning.learn)),
        ):
            yield


def _index(found: built.Wiki) -> vectors.VectorIndex:
    """The vectors, also where no encoder is installed."""
    index = found.app.index = found.app.index or vectors.VectorIndex()
    return index


def _linked(found: built.Wiki) -> dict[str, float]:
    """What the steps cost, done as `pipeline` does them until nothing waits."""
    app, clock, index = found.app, _Clock(), _index(found)
    with runs.at_work(app.engine) as owner, clock.fits():
        while True:
            with clock("reading"):
                with writing(app.engine) as session:
                    taken = linker.take_up(session, owner=owner, now=wiki.NOW)
                if not taken:
                    break
                with reading(app.engine) as session:
                    work = linker.read(session, index, taken, app.library)
            with clock("ranking"):
                ranked = linker.rank_papers(work, app.weights, proposed_only=True)
            with clock("storing"), writing(app.engine) as session:
                linker.store(session, work, ranked, owner=owner, now=wiki.NOW)
    return clock.spent


_PROPOSED = sa.text("SELECT max(id) FROM link WHERE relation = 'about' AND status = 'proposed'")


def _one(found: built.Wiki) -> dict[str, float]:
    """A link is accepted; then another paper is asked about."""
    app, clock, index = found.app, _Clock(), _index(found)
    with reading(app.engine) as session:
        proposed = session.connection().execute(_PROPOSED).scalar_one()
        asked = linker.unlinked(session)[-1]
    with writing(app.engine) as session:
        review.decide(session, str(proposed), Verdict.ACCEPT, now=wiki.NOW)
    with clock.fits():
        with clock("reading"), reading(app.engine) as session:
            work = linker.read(session, index, [asked], app.library)
        with clock("ranking"):
            linker.rank_papers(work, app.weights)
    return clock.spent


if __name__ == "__main__":
    main(sys.argv[1:])
