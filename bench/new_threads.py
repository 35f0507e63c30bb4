"""New threads proposed on seven real days, replayed in order, printed for judging by eye.

    python -m bench new_threads [--words] [--floor 0.5] [--count 40]

A starter wiki is given each day what its reader kept, and the sample documents on their days; the
worker's steps encode, link and look for new threads, "today" being that day. Vectors are those of
earlier runs where they are kept (~/.cache/cerebro-bench). Printed are the threads proposed per day,
how many repeat an earlier one (must be none), and each with its members' sentences. With a `--floor`
below that of the program the caps of a day and of the queue are lifted; those above it are marked.
`--words` is a machine without the sentence model.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from app import pipeline
from app.bootstrap import App, build
from app.domain import new_threads as rule
from app.domain.records import Change, ChangeKind
from app.embeddings.sentence import SentenceTransformerEncoder
from app.importing import import_paths
from app.services import encoding, linker, membership, new_threads
from app.serving import load_starter
from app.settings import Settings
from app.store import changes, links, runs
from app.store.db import reading
from bench.fit_linker import DATA
from bench.kept_vectors import kept

STEPS = (encoding.STEP, linker.STEP, membership.STEP, new_threads.STEP)


def days_of(data: Path) -> dict[str, list[Path | list[dict[str, Any]]]]:
    """What comes on each day: lines of interchange, and files."""
    found: dict[str, list[Path | list[dict[str, Any]]]] = {}
    for path in sorted((data / "triage").glob("arxiv_triage_*.jsonl.gz")):
        day = path.name[13:23]
        found.setdefault(day, []).append(list(_kept(path, day)))
    for path in sorted((data / "seeds").glob("*-2026-*.txt")):
        found.setdefault(path.stem[-10:], []).append(path)
    return dict(sorted(found.items()))


def _kept(path: Path, day: str) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["selected"] and row["abstract"]:
                yield {
                    "type": "paper",
                    "id": f"arxiv:{row['arxiv_id']}",
                    "title": row["title"],
                    "abstract": row["abstract"],
                    "published": day,
                }


def _work(app: App) -> float:
    """The steps as a worker does them; CPU seconds of the last."""
    spent = 0.0
    pipeline.begin(app)
    with runs.at_work(app.engine) as owner:
        for step in (each for each in pipeline.STEPS if each.name in STEPS):
            begun = time.process_time()
            while step.run(app, owner).done:
                pass
            spent = time.process_time() - begun
    return spent


def _proposed(app: App, after: int) -> list[tuple[Change, dict[int, str]]]:
    with reading(app.engine) as session:
        rows = [
            each
            for each in changes.of_kind(session, ChangeKind.THREAD)
            if each.id is not None and each.id > after
        ]
        pages = {member["page"] for row in rows for member in row.content["members"]}
        named = {page: row["title"] for page, row in links.named(session, pages).items()}
        session.expunge_all()
    return [(row, named) for row in rows]


def main(arguments: Sequence[str] = ()) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench new_threads",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--words", action="store_true", help="without the sentence model")
    parser.add_argument("--floor", type=float, default=rule.FLOOR)
    parser.add_argument("--count", type=int, default=40, help="proposals to print")
    parser.add_argument("--data", type=Path, default=DATA)
    given = parser.parse_args(arguments)
    if not given.data.exists():
        print(f"There is no data at {given.data}; nothing was replayed.")
        return
    with TemporaryDirectory() as folder, ExitStack() as stack:
        if not given.words:
            stack.enter_context(patch.object(SentenceTransformerEncoder, "encode", kept))
        if given.floor < rule.FLOOR:
            think = new_threads.think
            stack.enter_context(
                patch.object(
                    new_threads,
                    "think",
                    lambda work, made=None: think(work, made, floor=given.floor),
                )
            )
            stack.enter_context(patch.object(new_threads, "A_DAY", 100))
            stack.enter_context(patch.object(new_threads, "MOST", 1_000))
        _replay(Path(folder), given.data, words=given.words, count=given.count)


def _replay(folder: Path, data: Path, *, words: bool, count: int) -> None:
    seen: list[tuple[str, set[int]]] = []
    shown = last = repeats = 0
    for day, parts in days_of(data).items():
        now = datetime.fromisoformat(f"{day}T20:00:00").replace(tzinfo=UTC)
        model = "none" if words else Settings().embedding_model
        app = build(Settings(data=folder, now=now, embedding_model=model))
        if not seen and not last:
            load_starter(app)
        for number, part in enumerate(parts):
            path = folder / f"{day}-{number}.jsonl"
            if isinstance(part, Path):
                path = part
            else:
                path.write_text("\n".join(map(json.dumps, part)), "utf-8")
            import_paths(app, [path], keep_raw=False)
        spent = _work(app)
        made = _proposed(app, last)
        print(f"\n{day}: {len(made)} proposed, {spent:.1f} CPU s", flush=True)
        for row, titles in made:
            members = {member["page"] for member in row.content["members"]}
            again = [key for key, some in seen if key == row.key or rule.overlaps(members, some)]
            repeats += bool(again)
            seen.append((row.key, members))
            last = max(last, row.id or 0)
            if shown < count:
                shown += 1
                _print(shown, row, titles)
        app.engine.dispose()
    above = f"{len(seen)} proposed, {repeats} of them repeats"
    print(f"\n{above} (must be 0)")


def _print(number: int, row: Change, titles: dict[int, str]) -> None:
    mark = "" if row.confidence >= rule.FLOOR else "  (below the floor)"
    print(f"\n{number:3} {row.confidence:.2f} {row.title}{mark}   [{row.key}]")
    print(f"    claim: {row.content['claim']}")
    for member in row.content["members"]:
        print(
            f"    - {member['role']:<11} {titles.get(member['page'], '')[:60]} | {member['line']}"
        )


if __name__ == "__main__":
    main()
