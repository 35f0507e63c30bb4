"""The vault of a made-up wiki: what it costs to write it, to look at it, and how soon it follows.

    python -m bench.mirror [--pages 5000] [--database sqlite] [--times 10]
    python -m bench.mirror --looks 50000

CPU seconds of this process: every page written for the first time; a pass with nothing to do, which
looks at every file; one of the looks that a worker takes twice a second while nothing happens. Then a
worker's thread runs beside, a page is edited in the wiki and a file outside, in turn, and the seconds
are told after which both said the same, the longest of all. With `--looks` only the looks are measured,
over so many bare pages whose files and rows are put there straight away (SQLite).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import sqlalchemy as sa

from app.bootstrap import App, build
from app.domain.records import AuthorKind, Mirror, Page, PageKind, Unmirrored
from app.services.vault.sync import Sync
from app.settings import Settings
from app.store import mirror, pages, runs
from app.store.db import reading, writing
from app.store.pages import PERSON
from app.syncing import Syncing, once
from app.vault.folder import Vault
from bench import built


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--pages", type=int, default=5_000)
    options.add_argument("--database", choices=built.ENGINES, default="sqlite")
    options.add_argument("--times", type=int, default=10)
    options.add_argument("--looks", type=int, default=0)
    chosen = options.parse_args()
    if chosen.looks:
        with TemporaryDirectory(prefix="cerebro-bench-", dir=built.place()) as folder:
            app = build(Settings(data=Path(folder)))
            _pretend(app, chosen.looks)
            with runs.at_work(app.engine) as owner:
                _look(app, owner)
            app.engine.dispose()
        return
    with built.opened(chosen.pages, chosen.database) as wiki:
        app = wiki.app
        with writing(app.engine) as session:
            mirror.mark_all(session)
        with runs.at_work(app.engine) as owner:
            spent = time.process_time()
            report = once(app, owner)
            _say("written for the first time", time.process_time() - spent, len(report.written))
            _look(app, owner)
        _follow(app, chosen.times)


def _look(app: App, owner: str) -> None:
    spent = time.process_time()
    report = once(app, owner)
    _say("a pass with nothing to do", time.process_time() - spent, report.done)
    sync = Sync(app.engine, Vault(app.vault_folder), clock=app.clock)
    spent = time.process_time()
    for _ in range(100):
        sync.waits()
        sync.restless()
    _say("a look at the database alone", (time.process_time() - spent) / 100, 0)


def _pretend(app: App, number: int) -> None:
    """So many notes, each with its file and the row that says so."""
    with runs.at_work(app.engine) as owner:
        once(app, owner)  # the folder is claimed
    rows, files = [], []
    now = app.clock()
    for at in range(1, number + 1):
        data = f"---\nid: note-{at}\nkind: note\ntitle: Note {at}\n---\nText {at}.\n"
        path = f"notes/Note {at}.md"
        (app.vault_folder / path).write_text(data)
        seen = (app.vault_folder / path).stat()
        rows.append(
            {
                "id": at,
                "slug": f"note-{at}",
                "title": f"Note {at}",
                "kind": PageKind.NOTE,
                "title_key": f"note {at}",
                "body": f"Text {at}.\n",
                "version": 1,
                "extra": {},
                "author_kind": AuthorKind.PERSON,
                "author": "you",
                "created_at": now,
                "updated_at": now,
            }
        )
        files.append(
            {
                "page_id": at,
                "path": path,
                "path_key": path.casefold(),
                "version": 1,
                "stem_key": f"note {at}",
                "head": data.rpartition("Text")[0],
                "newline": "\n",
                "hash": sha256(data.encode()).hexdigest(),
                "side_hash": "",
                "at": now,
                "size": seen.st_size,
                "mtime_ns": seen.st_mtime_ns,
            }
        )
    with writing(app.engine) as session:
        session.connection().execute(sa.insert(Page), rows)
        session.connection().execute(sa.insert(Mirror), files)
        session.connection().execute(sa.delete(Unmirrored))


def _say(what: str, seconds: float, number: int) -> None:
    print(f"{what:<32} {seconds:9.4f} CPU s   {number:,} files")


def _follow(app: App, times: int) -> None:
    stopping = Event()
    with runs.at_work(app.engine) as owner:
        thread = Thread(target=Syncing(app, owner).run, args=(stopping,))
        thread.start()
        time.sleep(3.0)  # its first look at everything
        with reading(app.engine) as session:
            rows = pages.listed(session, kind=PageKind.CONCEPT, limit=times)
            slugs = [row.slug for row in rows]
            files = {row.slug: mirror.of_pages(session, [row.id])[row.id].path for row in rows}
        out, back = [], []
        for slug in slugs:
            path = app.vault_folder / files[slug]
            mark = f"written in the wiki, {time.time_ns()}"
            with writing(app.engine) as session:
                page = pages.get(session, slug)
                content = replace(pages.content_of(session, page), body=f"{page.body}\n{mark}\n")
                pages.revise(session, page, content, author=PERSON, now=app.clock())
            begun = time.monotonic()
            while mark not in path.read_text("utf-8"):
                time.sleep(0.01)
            out.append(time.monotonic() - begun)
            mark = f"written in the file, {time.time_ns()}"
            path.write_text(path.read_text("utf-8") + mark + "\n", "utf-8")
            begun = time.monotonic()
            while mark not in _body(app, slug):
                time.sleep(0.01)
            back.append(time.monotonic() - begun)
        spent = time.process_time()
        time.sleep(10.0)
        idle = (time.process_time() - spent) / 10.0
        stopping.set()
        thread.join()
    print(f"{'a page edited, then its file':<32} {max(out):9.2f} s at most of {len(out)}")
    print(f"{'a file edited, then its page':<32} {max(back):9.2f} s at most of {len(back)}")
    print(f"{'while nothing happens':<32} {idle:9.4f} CPU s a second")


def _body(app: App, slug: str) -> str:
    with reading(app.engine) as session:
        return pages.get(session, slug).body


if __name__ == "__main__":
    main()
