"""A day of 1,000 papers added to a wiki: import, encoding and linking, beside encoding alone.

python -m bench.day, with the wiki's settings in the environment; started by `bench scale`. It is a
process of its own, so that its memory is that of a worker. Loading the model is left out on both
sides: a worker has it loaded. The texts are real where the real papers lie beside this checkout,
made up otherwise; made-up words cost the tokeniser more pieces, so the encoder reads full windows.
Prints one line of JSON, in CPU seconds and megabytes.
"""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from app.bootstrap import build
from app.importing import import_paths
from app.services.encoding import text_of
from app.settings import load
from app.worker import Worker
from bench import wiki
from bench.language import Language
from bench.process import SHARED, cpu_below, memory_of

PAPERS = 1_000


def main() -> None:
    app = build(load())
    if app.encoder is None:
        raise SystemExit("the sentence encoder is not installed")
    app.encoder.encode(["to load the model"])
    papers = texts()
    server = int(os.environ.get("BENCH_POSTGRES", "0"))

    def spend(work: Callable[[], object]) -> float:
        before = cpu_below(server) if server else 0.0
        begun = time.process_time()
        work()
        spent = time.process_time() - begun
        return spent + (cpu_below(server) - before if server else 0.0)

    encoder = app.encoder
    alone = spend(lambda: encoder.encode([text_of(title, text) for title, text in papers]))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "day.jsonl"
        file.write_text("\n".join(_line(n, *each) for n, each in enumerate(papers)), "utf-8")
        spent = {"import": spend(lambda: import_paths(app, [file], keep_raw=False))}
    clock: dict[str, float] = {}

    def hear(step: str, done: int, waiting: int) -> None:
        clock.setdefault(step, time.process_time())

    spent["work"] = spend(lambda: Worker(app, progress=hear).once("a day"))
    if "link" in clock:
        spent["link"] = time.process_time() - clock["link"]
    now, most = memory_of(os.getpid())
    total = spent["import"] + spent["work"]
    said = {"total": total, "encoding": alone, "link": 0.0, **spent, "rss": now, "most": most}
    print(json.dumps(said))


def texts() -> list[tuple[str, str]]:
    """Titles and abstracts of a day."""
    real = SHARED / "data" / "papers.jsonl.gz"
    if real.is_file():
        with gzip.open(real, "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        whole = [row for row in rows if not row.get("truncated")]
        return [(row["title"], row["abstract"]) for row in whole[-PAPERS:]]
    language = Language(1_000, seed=5)
    return [(language.prose(9), language.prose(185)) for _ in range(PAPERS)]


def _line(number: int, title: str, abstract: str) -> str:
    return json.dumps(
        {
            "type": "paper",
            "id": f"arxiv:2605.8{number:04}",
            "title": title,
            "abstract": abstract,
            "published": wiki.NEWEST.isoformat(),
        }
    )


if __name__ == "__main__":
    main()
