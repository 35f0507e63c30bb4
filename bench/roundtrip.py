"""A wiki is written to one file, read back into an empty one, and written again: the same bytes?

    python -m bench roundtrip [--papers N] [--worker] [--postgresql]

The three sample documents of ../shared and 5,000 papers with concepts, threads, links of every status,
decisions, questions, predictions and edits by a person; without ../shared made-up papers alone. Printed:
whether the bytes are the same, how many lines and bytes there are, the CPU seconds of both ways and the
most memory they held. With --worker the pending work is done first, without vectors, so that what the
program proposes is in it too; with --postgresql the way leads through PostgreSQL and back.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlmodel import col, select

from app.bootstrap import build
from app.domain.records import Page
from app.settings import Settings
from app.store.db import writing
from app.store.pages import PERSON, content_of, revise
from bench import postgres
from bench.process import ROOT, SHARED, cerebro, environment, run

PAPERS = 5_000
CONCEPTS, THREADS = 250, 60
EDITS = 400
SETTINGS = {"CEREBRO_EMBEDDING_MODEL": "none", "CEREBRO_NOW": "2026-05-28T20:00:00Z"}
_SYLLABLES = ("ka", "ro", "mi", "tel", "dun", "vas", "pe", "lor", "sha", "gu", "ner", "bel", "to")


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench roundtrip")
    parser.add_argument("--papers", type=int, default=PAPERS)
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--postgresql", action="store_true")
    asked = parser.parse_args(arguments)
    with TemporaryDirectory() as folder, ExitStack() as servers:
        place = Path(folder)
        _fill(place, asked.papers)
        if asked.worker:
            _, cpu = run(cerebro("worker", "--once"), place / "source", SETTINGS)
            print(f"pending work done: {cpu:.1f} CPU s")
        first = _export(place, "source", SETTINGS)
        print(f"lines {first.read_bytes().count(10):,}, bytes {first.stat().st_size:,}")
        _there(place, first, "sqlite", SETTINGS)
        if asked.postgresql:
            server = servers.enter_context(postgres.running(place / "server"))
            server.create("roundtrip")
            there = {**SETTINGS, "CEREBRO_DATABASE_URL": server.url("roundtrip")}
            _there(place, _there(place, first, "postgresql", there), "and back", SETTINGS)


def _there(place: Path, file: Path, name: str, settings: dict[str, str]) -> Path:
    """Read a file into an empty wiki and write that again; what is written."""
    _, cpu, memory = _run(place / name, settings, "import", str(file))
    print(f"{name}: import {cpu:.1f} CPU s, {memory:.0f} MB at most")
    again = _export(place, name, settings)
    same = again.read_bytes() == file.read_bytes()
    print(f"{name}: same bytes {'yes' if same else 'NO'}, sha256 {_hash(again)}")
    return again


def _export(place: Path, name: str, settings: dict[str, str]) -> Path:
    file = place / f"{name}.jsonl"
    _, cpu, memory = _run(place / name, settings, "export", "-o", str(file))
    print(f"{name}: export {cpu:.1f} CPU s, {memory:.0f} MB at most")
    return file


def _run(data: Path, settings: dict[str, str], *arguments: str) -> tuple[str, float, float]:
    """What a command printed, its CPU seconds, and the megabytes it held at most."""
    process = subprocess.Popen(
        cerebro(*arguments),
        env=environment(data, settings),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):
        raise SystemExit(
            f"{' '.join(arguments)} ended with {process.returncode}: {printed[-2000:]}"
        )
    return printed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def _hash(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()[:16]


# ---------------------------------------------------------------- what is in the wiki


def _fill(place: Path, papers: int) -> None:
    source = place / "source"
    seeds = SHARED / "data" / "seeds"
    if seeds.is_dir():
        run(cerebro("import", str(seeds)), source, SETTINGS)
    lines = place / "lines.jsonl"
    with lines.open("w", encoding="utf-8") as file:
        for line in _lines(papers):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    run(cerebro("import", str(lines)), source, SETTINGS)
    _edit(source)


def _lines(count: int) -> Iterator[dict[str, Any]]:
    dice = random.Random(7)
    papers = list(_papers(count, dice))
    refs = [paper["id"] for paper in papers]
    concepts = [f"{_word(dice)}-{number}" for number in range(CONCEPTS)]
    threads = [f"thread-{number}" for number in range(THREADS)]
    for slug in concepts:
        text = f"## What it is\n\nOf [[{dice.choice(concepts)}]] and [[{_word(dice)}]].\n"
        yield {
            "type": "concept",
            "id": slug,
            "title": slug.title(),
            "aliases": [_word(dice)],
            "text": text,
        }
    for slug in threads:
        yield {"type": "thread", "id": slug, "title": slug.title(), "claim": _words(dice, 12)}
        yield {"type": "question", "page": slug, "text": f"{_words(dice, 6)}?"}
        yield {"type": "prediction", "page": slug, "text": _words(dice, 8), "due": "2027-03"}
    yield from papers
    for ref in refs:
        for slug in dice.sample(concepts, 2):
            status = dice.choice(["accepted", "accepted", "rejected", "proposed", "deferred"])
            evidence = [{"quote": _words(dice, 9), "where": "abstract"}]
            line = {"type": "link", "source": ref, "relation": "about", "target": slug}
            yield {**line, "status": status, "at": "2026-05-20T08:00:00Z", "evidence": evidence}
        if dice.random() < 0.2:
            line = {"type": "link", "source": ref, "relation": "part-of"}
            yield {**line, "target": dice.choice(threads), "role": "supports", "day": "2026-05-20"}
        if dice.random() < 0.3:
            verdict = dice.choice(["keep", "drop", "defer"])
            yield {
                "type": "decision",
                "paper": ref,
                "verdict": verdict,
                "at": "2026-05-21T08:00:00Z",
            }


def _papers(count: int, dice: random.Random) -> Iterator[dict[str, Any]]:
    kept = SHARED / "data" / "papers.jsonl.gz"
    if not kept.is_file():
        for number in range(count):
            made = {"title": _words(dice, 9), "abstract": _words(dice, 150)}
            yield {"type": "paper", "id": f"arxiv:2601.{number + 1:05}", **made}
        return
    with gzip.open(kept, "rt", encoding="utf-8") as file:
        for line, _ in zip(file, range(count), strict=False):
            row = json.loads(line)
            said = {"title": row["title"], "abstract": row["abstract"], "published": row["date"]}
            listed = {"day": "2026-05-20"} if dice.random() < 0.5 else {}
            ref = f"arxiv:{row['arxiv_id']}"
            yield {"type": "paper", "id": ref, **said, "categories": row["categories"], **listed}


def _word(dice: random.Random) -> str:
    return "".join(dice.choices(_SYLLABLES, k=3))


def _words(dice: random.Random, count: int) -> str:
    return " ".join(_word(dice) for _ in range(count)).capitalize() + "."


def _edit(data: Path) -> None:
    """Let a person write on some pages."""
    app = build(Settings(data=data, embedding_model="none"))
    dice = random.Random(11)
    with writing(app.engine) as session:
        for page in session.exec(select(Page).order_by(col(Page.id)).limit(EDITS)).all():
            content = content_of(session, page)
            body = f"{content.body}\n\n## My notes\n\n{_words(dice, 30)} [[{page.title}]]\n"
            edited = replace(content, body=body, tags=(*content.tags, "read"))
            revise(session, page, edited, author=PERSON, now=app.clock(), note="Read.")
    app.engine.dispose()
