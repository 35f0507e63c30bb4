"""Twenty backups while three writers write: does each restore, with all that was acknowledged before it?

python -m bench backups [--backups 20] [--writers 3] [--pages 300] [--database sqlite|postgresql]

Each writer counts up on a page of its own over HTTP and makes a new page every tenth time; server and
worker run, and mirror it all into the vault. Of each backup that `cerebro backup` makes meanwhile it is
looked at: whether every file of the vault in it is the one that its database has noted (one moment);
and, restored into an empty place, whether the database is whole and every write is there that was
acknowledged before the backup began. The first and the last are restored by `cerebro restore`, which
brings the vault in step: there every file has to say what its page says.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sqlite3
import statistics
import sys
import threading
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from app.services.backup import Place, restore
from app.store.db import open_engine
from bench import built, postgres
from bench.client import Client
from bench.process import WITHOUT_MODEL, cerebro, cpu_below, machine, run, serving


@dataclass
class Found:
    """What came of it; `wrong` says in words what should not be."""

    backups: int = 0
    writes: int = 0
    files: int = 0
    cpu: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench backups")
    parser.add_argument("--backups", type=int, default=20)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    asked = parser.parse_args(arguments)
    if asked.database == "postgresql" and not postgres.available():
        print("PostgreSQL is not installed; nothing was measured.")
        return
    print(machine())
    with built.opened(asked.pages, asked.database) as wiki:
        found = measure(wiki, backups=asked.backups, writers=asked.writers)
    print(
        f"{found.backups} backups of {statistics.median(found.sizes) / 1e6:.1f} MB beside "
        f"{found.writes} acknowledged writes, {statistics.median(found.cpu):.2f} CPU seconds each; "
        f"{found.files} files of vaults compared"
    )
    for words in found.wrong:
        print(words)
    print(f"wrong: {len(found.wrong)}")
    if found.wrong:
        sys.exit(1)


class _Writer(threading.Thread):
    """Counts up on a page of its own. `acknowledged` is the last number that was, `made` its pages."""

    def __init__(self, port: int, number: int, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.slug = f"writer-{number}"
        self.acknowledged = 0
        self.made = 0
        self._client, self._over = Client(port), over

    def run(self) -> None:
        while not self._over.is_set():
            number = self.acknowledged + 1
            body = f"{number} so far, [[writer-0]].\n"
            stands = self._client.get(f"/api/v1/pages/{self.slug}")
            base = stands.etag if stands.ok else None
            told = {"title": self.slug, "body": body}
            answer = (
                self._client.put_page(self.slug, told, base=base)
                if base
                else (self._client.put_page(self.slug, told))
            )
            if answer.ok:
                self.acknowledged = number
            if number % 10 == 0:
                slug = f"{self.slug}-made-{self.made + 1}"
                if self._client.put_page(slug, {"title": slug, "body": "New.\n"}).ok:
                    self.made += 1


def measure(wiki: built.Wiki, *, backups: int, writers: int) -> Found:
    """Make so many backups while so many write, and look at each."""
    found, over = Found(), threading.Event()
    settings = {**wiki.settings, **WITHOUT_MODEL}
    with (
        serving(wiki.data, wiki.settings) as (process, port),
        TemporaryDirectory() as folder,
    ):
        threads = [_Writer(port, number, over) for number in range(writers)]
        for thread in threads:
            thread.start()
        _mirrored(wiki.data / "vault", len(threads))
        for number in range(backups):
            before = {thread.slug: (thread.acknowledged, thread.made) for thread in threads}
            file = Path(folder) / f"{number}.zip"
            _, cpu = run(cerebro("backup", str(file)), wiki.data, settings)
            found.cpu.append(cpu)
            found.sizes.append(file.stat().st_size)
            found.backups += 1
            _of_one_moment(file, found)
            ends = number in (0, backups - 1)
            _restored(file, Path(folder) / "restored", before, found, by_command=ends)
            file.unlink()
        over.set()
        for thread in threads:
            thread.join()
        found.writes = sum(thread.acknowledged + thread.made for thread in threads)
        assert cpu_below(process.pid) > 0
    return found


def _mirrored(vault: Path, least: int) -> None:
    """Wait until the worker has begun to write the vault."""
    until = time.monotonic() + 120
    while len(list(vault.rglob("writer-*.md"))) < least:
        if time.monotonic() > until:
            sys.exit("The worker wrote no vault in two minutes.")
        time.sleep(0.2)


def _of_one_moment(file: Path, found: Found) -> None:
    with zipfile.ZipFile(file) as opened, TemporaryDirectory() as folder:
        opened.extract("wiki.db", folder)
        with sqlite3.connect(Path(folder) / "wiki.db") as wiki:
            noted = dict(wiki.execute("SELECT path, hash FROM mirror WHERE version > 0"))
        there = {
            name.removeprefix("vault/"): hashlib.sha256(opened.read(name)).hexdigest()
            for name in opened.namelist()
            if name.startswith("vault/") and "/.cerebro/" not in name and name.endswith(".md")
        }
    found.files += len(there)
    for path in sorted(noted.keys() | there.keys()):
        if noted.get(path) != there.get(path):
            found.wrong.append(f"{file.name}: {path} in the vault is not what the database noted")


def _restored(
    file: Path,
    data: Path,
    before: dict[str, tuple[int, int]],
    found: Found,
    *,
    by_command: bool,
) -> None:
    data.mkdir()
    path = data / "cerebro.sqlite3"
    if by_command:
        run(cerebro("restore", str(file)), data, WITHOUT_MODEL)
    else:
        engine = open_engine(f"sqlite:///{path}")
        restore(Place(engine, data, data / "raw", data / "vault"), file)
        engine.dispose()
    with sqlite3.connect(path) as wiki:
        if wiki.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            found.wrong.append(f"{file.name}: the database is damaged")
        if wiki.execute("PRAGMA foreign_key_check").fetchall():
            found.wrong.append(f"{file.name}: rows point at rows that are gone")
        bodies = dict(wiki.execute("SELECT slug, body FROM page WHERE slug LIKE 'writer-%'"))
        files = dict(
            wiki.execute(
                "SELECT page.slug, mirror.path FROM mirror JOIN page ON page.id = mirror.page_id"
            )
        )
    for slug, (acknowledged, made) in before.items():
        counted = int(bodies.get(slug, "0").split()[0])
        if counted < acknowledged:
            found.wrong.append(
                f"{file.name}: {slug} says {counted}, {acknowledged} was acknowledged"
            )
        lost = [n for n in range(1, made + 1) if f"{slug}-made-{n}" not in bodies]
        if lost:
            found.wrong.append(f"{file.name}: {len(lost)} new pages of {slug} are gone")
    for slug, body in bodies.items() if by_command else ():
        said = (data / "vault" / files[slug]).read_text() if slug in files else ""
        if not said.endswith(body):
            found.wrong.append(f"{file.name}: the file of {slug} does not say what the page says")
    shutil.rmtree(data)
