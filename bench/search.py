"""What a search costs: CPU milliseconds of words, both, palette and facets over synthetic pages.

Run as `python -m bench.search [pages]`. The texts are made up here, with the word frequencies of
real prose (a few words everywhere, most of them rare); vectors are random. It measures the engine
and not the encoder.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Engine

from app.domain.queries import Filters, parse_query
from app.services.search import search
from app.store.db import open_engine, reading, writing
from app.store.schema import upgrade
from app.store.search import complete, near_titles
from app.store.vectors import NewVector, VectorIndex, save

DIM = 384
VOCABULARY = 30_000
ROUNDS = 15


class RandomVectors:
    """Vectors by seed: what a query encoder would answer, without its cost."""

    def __init__(self) -> None:
        self._generator = np.random.default_rng(11)

    def encode_query(self, text: str) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = _units(self._generator, 1)[0]
        return vector


def _units(generator: np.random.Generator, count: int) -> NDArray[np.float32]:
    rows = generator.normal(size=(count, DIM)).astype(np.float32)
    units: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units


def words() -> list[str]:
    """A vocabulary in order of frequency: syllables, so that beginnings are shared as in a language."""
    generator = np.random.default_rng(3)
    parts = [
        "ka",
        "to",
        "ri",
        "men",
        "sol",
        "ta",
        "ve",
        "no",
        "pra",
        "lin",
        "dex",
        "mo",
        "ci",
        "bre",
    ]
    made: dict[str, None] = {}
    while len(made) < VOCABULARY:
        made["".join(generator.choice(parts, size=int(generator.integers(2, 5))))] = None
    return list(made)


def fill(engine: Engine, pages: int, vocabulary: list[str]) -> None:
    """Pages with a title of eight words and a text of 150, and a vector each."""
    generator = np.random.default_rng(5)

    def drawn(count: int) -> str:
        places = np.minimum(generator.zipf(1.15, size=count), VOCABULARY) - 1
        return " ".join(vocabulary[place] for place in places)

    kinds = ["paper"] * 8 + ["concept", "note"]
    rows = [
        {
            "id": number,
            "slug": f"page-{number}",
            "kind": kinds[number % 10],
            "title": (title := drawn(8)),
            "key": title,
            "at": f"20{20 + number % 7}-05-08 00:00:00.000000",
            "text": drawn(150),
        }
        for number in range(1, pages + 1)
    ]
    with writing(engine) as session:
        connection = session.connection()
        connection.execute(
            sa.text(
                """INSERT INTO page (id, slug, kind, title, title_key, body, version, author_kind,
                    author, created_at, updated_at, extra)
                VALUES (:id, :slug, :kind, :title, :key, :text, 1, 'import', '', :at, :at, '{}')"""
            ),
            rows,
        )
        connection.execute(
            sa.text(
                """INSERT INTO page_text (page_id, title, names, text, hash)
                VALUES (:id, :title, 'somebody else', :text, 'h')"""
            ),
            rows,
        )
        vectors = _units(generator, pages)
        save(session, (NewVector(n, "bench", "h", vectors[n - 1]) for n in range(1, pages + 1)))


def cost(work: Callable[[str], object], texts: list[str]) -> tuple[float, float]:
    """Median and worst CPU milliseconds over the texts, each run several times."""
    for text in texts:
        work(text)
    spent = []
    for _ in range(ROUNDS):
        for text in texts:
            begun = time.process_time()
            work(text)
            spent.append((time.process_time() - begun) * 1000)
    return median(spent), max(spent)


def main(pages: int = 10_000) -> None:
    """Print a table; nothing is kept."""
    vocabulary = words()
    common, middling, rare = vocabulary[0:3], vocabulary[60:63], vocabulary[4_000:4_003]
    with TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'wiki.sqlite3'}")
        upgrade(engine)
        fill(engine, pages, vocabulary)
        index, encoder = VectorIndex("bench"), RandomVectors()
        with reading(engine) as session:
            index.refresh(session)
            queries = {
                "one common word": [common[0]],
                "one middling word": middling,
                "two words": [f"{middling[0]} {rare[0]}", f"{common[1]} {middling[1]}"],
                "three words": [" ".join(middling), f"{common[0]} {middling[0]} {rare[0]}"],
                "no words (recent)": [""],
                "filtered": [f"kind:note year:2024 {middling[0]}"],
            }
            print(f"{pages} pages; CPU ms, median / worst")
            for name, texts in queries.items():
                words_alone = cost(lambda text: search(session, text, mode="words"), texts)
                both = cost(
                    lambda text: search(session, text, index=index, query_encoder=encoder), texts
                )
                print(f"{name:20} words {_shown(words_alone)}   both {_shown(both)}")
            typed = {
                "palette, 1 letter": ["k", "m"],
                "palette, 2 letters": ["ka", "so"],
                "palette, 4 letters": ["menk", "prat"],
                "palette, a word and a beginning": [f"{middling[0]} {middling[1][:3]}"],
                "palette, nothing there": ["qqqq"],
                "palette, no text": [""],
            }
            for name, texts in typed.items():
                print(f"{name:32} {_shown(cost(lambda text: complete(session, text), texts))}")
            lost = [middling[0][:-1] + "x", f"{rare[0]}y {rare[1]}z"]
            near = cost(lambda text: near_titles(session, parse_query(text), Filters()), lost)
            print(f"{'mistyped title':32} {_shown(near)}")
        engine.dispose()


def _shown(cost: tuple[float, float]) -> str:
    return f"{cost[0]:6.1f} / {cost[1]:6.1f}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
