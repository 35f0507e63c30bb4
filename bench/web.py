"""Server CPU a request at 10,000 pages, beside a floor: raw sqlite3 and one Jinja template.

The floor serves the rows of each screen from the same database file by the same web server, with
no sessions, no records, no rules. Both run in this run, so their ratio means something. "known" is
the answer to a browser that has the screen already (304), where the screen has an ETag.
"""

from __future__ import annotations

import json
import random
import sqlite3
import statistics
import sys
import tempfile
from pathlib import Path

import httpx2

from bench.process import cerebro, cpu_of, run, server

PAGES = 10_000
CONCEPTS = 300
REQUESTS = 60
ROUTES = {
    "page": "/w/{slug}",
    "review": "/review",
    "search": "/search?q={word}&mode=words",
    "palette": "/_/palette?q={word}",
    "index": "/pages?page={number}",
}


def synthetic(pages: int, *, seed: int = 7) -> list[dict[str, object]]:
    """Rows of a wiki: concepts, papers with abstracts of Zipf words, links accepted and proposed."""
    chance = random.Random(seed)
    syllables = ["ka", "to", "mi", "re", "sol", "ven", "dra", "pli", "qua", "zen", "bor", "lin"]
    words = sorted(
        {"".join(chance.choices(syllables, k=chance.randint(2, 4))) for _ in range(6000)}
    )
    weights = [1 / (rank + 3) for rank in range(len(words))]

    def said(count: int) -> str:
        return " ".join(chance.choices(words, weights, k=count))

    rows: list[dict[str, object]] = [
        {
            "type": "concept",
            "id": f"concept-{n}",
            "title": f"{said(2)} {n}",
            "text": f"{said(120)}\n\n## What is known\n\n{said(80)} [[concept-{(n * 7) % CONCEPTS}]]",
        }
        for n in range(CONCEPTS)
    ]
    for n in range(pages - CONCEPTS):
        paper = f"arxiv:26{n // 99999 + 1:02}.{n % 99999:05}"
        rows.append(
            {
                "type": "paper",
                "id": paper,
                "title": f"{said(7)} {n}".capitalize(),
                "abstract": said(150),
                "published": f"2026-{n % 9 + 1:02}-{n % 28 + 1:02}",
            }
        )
        for target in {chance.randrange(CONCEPTS) for _ in range(2)}:
            rows.append(
                {
                    "type": "link",
                    "source": paper,
                    "relation": "about",
                    "target": f"concept-{target}",
                    "status": "proposed" if n % 20 == 0 else "accepted",
                    "confidence": round(chance.random(), 3),
                    "evidence": [{"quote": said(25), "where": "abstract"}],
                }
            )
    return rows


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        file = data / "wiki.jsonl"
        rows = synthetic(PAGES)
        file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        _, cpu = run(cerebro("import", str(file)), data)
        print(f"import: {len(rows)} rows, {cpu:.0f} CPU s, {1000 * cpu / len(rows):.1f} ms a row")
        file.unlink()
        slugs, words = _samples(data)
        with (
            server(cerebro("serve", "--no-worker", "--port", "8792"), data, 8792) as ours,
            server(_floor_command(), data, 8793) as floor,
        ):
            print(
                f"{'screen':10} {'cpu ms':>8} {'floor ms':>9} {'ratio':>6} {'known':>6} {'kB':>6} {'wall p95 ms':>12}"
            )
            for name, pattern in ROUTES.items():
                paths = [
                    pattern.format(slug=slug, word=word, number=n % 50 + 1)
                    for n, (slug, word) in enumerate(zip(slugs, words, strict=True))
                ]
                mine, size, wall = _measure(8792, ours.pid, paths)
                low, _, _ = _measure(8793, floor.pid, paths)
                known = _measure_known(8792, ours.pid, paths)
                print(
                    f"{name:10} {mine:8.1f} {low:9.1f} {mine / low:6.1f} {known:>6} "
                    f"{size / 1000:6.0f} {wall:12.0f}"
                )


def _samples(data: Path) -> tuple[list[str], list[str]]:
    chance = random.Random(3)
    with sqlite3.connect(data / "cerebro.sqlite3") as connection:
        slugs = [slug for (slug,) in connection.execute("SELECT slug FROM page")]
        titles = [title for (title,) in connection.execute("SELECT title FROM page")]
    return (
        [chance.choice(slugs) for _ in range(REQUESTS)],
        [chance.choice(chance.choice(titles).split()[:-1]) for _ in range(REQUESTS)],
    )


def _measure(port: int, pid: int, paths: list[str]) -> tuple[float, float, float]:
    """CPU milliseconds a request, bytes of an answer, 95th percentile of wall milliseconds."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for path in paths[:10]:
            client.get(path)
        before = cpu_of(pid)
        answers = [client.get(path, follow_redirects=True) for path in paths]
        spent = cpu_of(pid) - before
    wall = sorted(answer.elapsed.total_seconds() * 1000 for answer in answers)
    size = statistics.mean(len(answer.content) for answer in answers)
    return 1000 * spent / len(paths), size, wall[int(0.95 * len(wall)) - 1]


def _measure_known(port: int, pid: int, paths: list[str]) -> str:
    """CPU milliseconds of a 304; "" for screens without an ETag."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        tags = {path: client.get(path).headers.get("etag", "") for path in dict.fromkeys(paths)}
        if not all(tags.values()):
            return ""
        before = cpu_of(pid)
        for path in paths:
            answer = client.get(path, headers={"If-None-Match": tags[path]})
            assert answer.status_code == 304, path
    return f"{1000 * (cpu_of(pid) - before) / len(paths):.1f}"


def _floor_command() -> list[str]:
    return [
        sys.executable,
        "-m",
        "uvicorn",
        "bench.floor:application",
        "--port",
        "8793",
        "--log-level",
        "error",
    ]


if __name__ == "__main__":
    main()
