"""What encoding costs: papers per CPU second beside plain SentenceTransformer.encode, same texts.

Run as `python -m bench.encode [papers]`. The texts are titles and abstracts of real papers where
`../shared` has them, else made up of the words of this program's own documentation. Cosines are to
the vectors the library makes in float32.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.embeddings import sentence
from app.embeddings.sentence import DEFAULT_MODEL, SentenceTransformerEncoder, available
from app.services.encoding import CLAIM, text_of
from bench.process import ROOT, SHARED

PAPERS = 256
BATCHES = (4, 8, 16, 32)
ROUNDS = 3

Matrix = NDArray[np.float32]


def texts(count: int) -> tuple[list[str], str]:
    """Texts as pages are encoded, and where they are from."""
    stored = SHARED / "data" / "papers.jsonl.gz"
    if stored.is_file():
        with gzip.open(stored, "rt", encoding="utf-8") as file:
            papers = [json.loads(line) for line in file]
        whole = [each for each in papers if each.get("abstract") and not each.get("truncated")]
        chosen = random.Random(5).sample(whole, min(count, len(whole)))
        return [text_of(each["title"], each["abstract"]) for each in chosen], "real papers"
    words = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
    spoken = words.split() or ["word"]
    generator = random.Random(5)
    made = (generator.choices(spoken, k=generator.randint(120, 320)) for _ in range(count))
    return [" ".join(each) for each in made], "made texts"


def cpu(work: Callable[[], Matrix]) -> tuple[Matrix, float]:
    """What the work made, and the CPU seconds it took."""
    begun = time.process_time()
    made = work()
    return made, time.process_time() - begun


def plainly(library: Any, asked: Sequence[str]) -> Matrix:
    made = library.encode(list(asked), normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(made, np.float32)


def in_claims(encoder: SentenceTransformerEncoder, asked: Sequence[str], claim: int) -> Matrix:
    """As the worker does it: so many pages at a time."""
    parts = [encoder.encode(asked[start : start + claim]) for start in range(0, len(asked), claim)]
    return np.concatenate(parts)


def main(papers: int = PAPERS) -> None:
    """Print a table; nothing is kept."""
    if not available(DEFAULT_MODEL):
        sys.exit(f"The sentence encoder is not installed. {sentence.INSTALL}")
    asked, origin = texts(papers)
    encoder = SentenceTransformerEncoder(threads=1)
    sized = {size: SentenceTransformerEncoder(threads=1, batch=size) for size in BATCHES}
    for each in (encoder, *sized.values()):
        each.encode(asked[:4])
    from sentence_transformers import SentenceTransformer

    folder = sentence.folder_of(DEFAULT_MODEL)
    library = SentenceTransformer(str(folder), device="cpu", local_files_only=True).eval()
    plainly(library, asked[:4])
    ways: dict[str, Callable[[], Matrix]] = {
        "SentenceTransformer.encode": lambda: plainly(library, asked),
        **{f"batches of {size}": partial(sized[size].encode, asked) for size in BATCHES},
        f"as the worker, claims of {CLAIM}": lambda: in_claims(encoder, asked, CLAIM),
    }
    # In turns, and the best of each: what else the machine does hits all alike.
    runs = [{name: cpu(work) for name, work in ways.items()} for _ in range(ROUNDS)]
    exact, _ = runs[0]["SentenceTransformer.encode"]
    spent = {name: min(run[name][1] for run in runs) for name in ways}
    print(f"{len(asked)} {origin}, one thread; this processor: {encoder.precision}")
    print(f"{'':32}{'papers/CPU s':>14}{'x plain':>9}{'cosine mean':>13}{'min':>9}")
    for name, seconds in spent.items():
        cosines = (runs[0][name][0] * exact).sum(axis=1)
        print(
            f"{name:32}{len(asked) / seconds:14.2f}"
            f"{spent['SentenceTransformer.encode'] / seconds:9.2f}"
            f"{cosines.mean():13.5f}{cosines.min():9.5f}"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
