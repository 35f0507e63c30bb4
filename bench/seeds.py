"""Counts after importing the three sample documents, once and twice."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from pathlib import Path

from bench.process import SHARED, cerebro, run

TABLES = (
    "page",
    "paper",
    "item",
    "mention",
    "link",
    "thread",
    "question",
    "topic",
    "assessment",
    "episode",
    "digest",
    "listing",
    "revision",
)


def main() -> None:
    seeds = SHARED / "data" / "seeds"
    if not seeds.is_dir():
        print("The sample documents are not here; nothing was measured.")
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        for time in ("once", "twice"):
            out, cpu = run(cerebro("import", str(seeds), "--json"), data)
            said = json.loads(out)
            print(
                f"{time}: {said['files']} files, {said['new']} new, {said['changed']} changed, "
                f"{said['same']} same, {len(said['rejected'])} rejected, {cpu:.1f} CPU s"
            )
            print("  " + json.dumps(said["kinds"]))
            print("  rows: " + ", ".join(f"{t} {n}" for t, n in _rows(data)))


def _rows(data: Path) -> list[tuple[str, int]]:
    with sqlite3.connect(data / "cerebro.sqlite3") as connection:
        return [
            (table, connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608
            for table in TABLES
        ]


if __name__ == "__main__":
    main()
