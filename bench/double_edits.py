"""Two edits of one page within a second, one in the wiki and one in its file: is either ever lost?

    python -m bench.double_edits [--times 500] [--at-once 25] [--database sqlite]

A worker's thread syncs beside. Each time another page is saved by the service that the editor's form calls and
its file by an editor that knows nothing of it: one that writes in place, one that truncates and writes in
two pieces, one that writes another file and renames it over, one that keeps the file open for the whole
second. Both begin from the text that stood there before, in random order and some random moment apart;
every other time they change the same line. Afterwards each marker must stand in the page, its history, its
file or a conflict; the first is told that does not.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from sqlmodel import select

from app.bootstrap import App, build
from app.domain.records import PageKind, Revision, VaultConflict
from app.errors import EditConflict
from app.services.pages import save
from app.settings import Settings
from app.store import mirror, pages, runs
from app.store.db import reading, writing
from app.store.pages import PERSON, Content
from app.syncing import Syncing
from bench import postgres
from bench.built import ENGINES, place

LINES = 12
SEED = 11


def _in_place(path: Path, text: bytes) -> None:
    with path.open("r+b") as file:
        file.write(text)
        file.truncate()


def _in_pieces(path: Path, text: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        file.write(text[: len(text) // 2])
        time.sleep(0.05)
        file.write(text[len(text) // 2 :])


def _renamed_over(path: Path, text: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.swp")
    beside.write_bytes(text)
    os.replace(beside, path)


def _held_open(path: Path, text: bytes) -> None:
    with path.open("r+b") as file:
        time.sleep(0.4)
        file.write(text)
        file.truncate()


EDITORS: tuple[Callable[[Path, bytes], None], ...] = (
    _in_place,
    _in_pieces,
    _renamed_over,
    _held_open,
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--times", type=int, default=500)
    options.add_argument("--at-once", dest="at_once", type=int, default=25)
    options.add_argument("--database", choices=ENGINES, default="sqlite")
    chosen = options.parse_args()
    with TemporaryDirectory(prefix="cerebro-bench-", dir=place()) as folder:
        if chosen.database == "sqlite":
            _run(Settings(data=Path(folder)), chosen.times, chosen.at_once)
            return
        with postgres.running(place() / "cerebro-bench-postgresql") as server:
            name = f"double_{os.getpid()}"
            server.create(name)
            try:
                settings = Settings(data=Path(folder), database_url=server.url(name))
                _run(settings, chosen.times, chosen.at_once)
            finally:
                server.drop(name)


def _run(settings: Settings, times: int, at_once: int) -> None:
    app, chance, stopping = build(settings), random.Random(SEED), Event()
    text = "".join(f"Line {number}.\n\n" for number in range(LINES))
    with writing(app.engine) as session:
        for number in range(times):
            content = Content(title=f"Page {number}", kind=PageKind.NOTE, body=text)
            pages.create(session, content, author=PERSON, now=app.clock())
    markers: list[tuple[str, str, str]] = []
    with runs.at_work(app.engine) as owner:
        thread = Thread(target=Syncing(app, owner).run, args=(stopping,))
        thread.start()
        while not all(_path(app, number).is_file() for number in range(times)):
            time.sleep(0.1)
        done = 0
        while done < times:
            some = [
                Thread(target=_both, args=(app, done + number, chance.random(), markers))
                for number in range(min(at_once, times - done))
            ]
            for each in some:
                each.start()
            for each in some:
                each.join()
            done += len(some)
            print(f"\r{done} of {times}", end="", file=sys.stderr, flush=True)
        _rest(app)
        stopping.set()
        thread.join()
    _tell(app, markers)
    app.engine.dispose()


def _rest(app: App) -> None:
    """Wait until nothing has waited for two seconds."""
    begun = quiet = time.monotonic()
    while time.monotonic() - quiet < 2.0 and time.monotonic() - begun < 120.0:
        time.sleep(0.2)
        with reading(app.engine) as session:
            if mirror.pending(session):
                quiet = time.monotonic()
    print(f"\nat rest {quiet - begun:.1f} s after the last edit")


def _both(app: App, turn: int, wait: float, markers: list[tuple[str, str, str]]) -> None:
    """One double edit. Markers: the page, the text, and by whom."""
    slug, path = f"page-{turn}", _path(app, turn)
    editor = EDITORS[turn % len(EDITORS)]
    mine, theirs = f"[app {turn}]", f"[file {turn}]"
    same = turn // len(EDITORS) % 2 == 0
    line = f"Line {turn % LINES}."
    other = line if same else f"Line {(turn + 5) % LINES}."
    with reading(app.engine) as session:
        page = pages.get(session, slug)
        base, content = page.version, pages.content_of(session, page)
    before = path.read_bytes()

    def outside() -> None:
        editor(path, before.replace(other.encode(), f"{other} {theirs}".encode(), 1))
        markers.append((slug, theirs, editor.__name__.strip("_")))

    beside = Thread(target=outside)
    if wait < 0.5:
        beside.start()
        time.sleep(wait)
    body = content.body.replace(line, f"{line} {mine}", 1)
    try:
        with writing(app.engine) as session:
            save(session, slug, replace(content, body=body), base=base, now=app.clock())
        markers.append((slug, mine, "the wiki"))
    except EditConflict:
        markers.append((slug, "", "refused, with both texts"))  # nothing was acknowledged
    if wait >= 0.5:
        time.sleep(wait - 0.5)
        beside.start()
    beside.join()


def _path(app: App, number: int) -> Path:
    return app.vault_folder / "notes" / f"Page {number}.md"


def _tell(app: App, markers: list[tuple[str, str, str]]) -> None:
    found: dict[str, dict[str, str]] = {}
    with reading(app.engine) as session:
        for slug in sorted({slug for slug, _, _ in markers}):
            page = pages.get(session, slug)
            history = session.exec(select(Revision.body).where(Revision.page_id == page.id))
            disputed = session.get(VaultConflict, page.id)
            row = mirror.of_pages(session, [page.id or 0])[page.id or 0]
            found[slug] = {
                "page": page.body,
                "file": (app.vault_folder / row.path).read_text("utf-8"),
                "history": "\0".join(history),
                "conflict": disputed.text if disputed else "",
            }
    counted: Counter[tuple[str, str]] = Counter()
    lost = []
    for slug, marker, by in markers:
        places = [where for where, held in found[slug].items() if marker in held]
        counted[by, "+".join(places) if marker else "refused"] += 1
        if not places:
            lost.append((slug, marker, by))
    print()
    for (by, found_in), number in sorted(counted.items()):
        print(f"{by:<26} {found_in or 'NOWHERE':<34} {number:5}")
    edits = sum(1 for _, marker, _ in markers if marker)
    with reading(app.engine) as session:
        waiting = mirror.pending(session)
        problems = [f"{row.path}: {row.reason}" for row in mirror.problems(session)]
    print(f"{waiting} pages wait", *problems[:5], sep="; ")
    conflicts = sum(1 for held in found.values() if held["conflict"])
    print(f"{edits - len(lost):,} of {edits:,} edits found; {conflicts} pages in conflict")
    if lost:
        sys.exit(f"lost: {lost[0]}")


if __name__ == "__main__":
    main()
