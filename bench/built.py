"""Made-up wikis that are built once, kept, and copied for each measurement.

They are kept in the folder that BENCH_DATA names, else in the system's temporary one, under the
size, the engine and a hash of what makes them: the generator and the schema. One that another hash
made is removed when a new one is built. Delete them at will.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from sqlalchemy.engine import Engine

from app.bootstrap import App
from app.bootstrap import build as build_app
from app.settings import Settings
from app.store.db import open_engine
from app.store.schema import MIGRATIONS, upgrade
from bench import postgres, wiki

ENGINES = ("sqlite", "postgresql")
_MAKERS = ("language.py", "rows.py", "text.json", "wiki.py")


def place() -> Path:
    """The folder in which wikis are kept."""
    return Path(os.environ.get("BENCH_DATA") or tempfile.gettempdir())


def fingerprint() -> str:
    """Changes with the generator and with the schema."""
    digest = sha256(wiki.vector_model().encode())
    for path in (
        *(Path(__file__).with_name(name) for name in _MAKERS),
        *sorted((MIGRATIONS / "versions").glob("*.py")),
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]


@dataclass(frozen=True)
class Wiki:
    """A wiki to measure: `data` is its folder, `url` its database; free to be written to."""

    pages: int
    data: Path
    url: str
    server: postgres.Server | None = None

    @property
    def settings(self) -> Mapping[str, str]:
        """Variables for a process that is to serve it, on the day on which it stands."""
        return {"CEREBRO_DATABASE_URL": self.url, "CEREBRO_NOW": wiki.NOW.isoformat()}

    @cached_property
    def engine(self) -> Engine:
        return open_engine(self.url)

    @cached_property
    def app(self) -> App:
        """The program over this wiki, in this process."""
        return build_app(Settings(data=self.data, database_url=self.url, now=wiki.NOW))

    @property
    def file(self) -> Path | None:
        """The database file; None on PostgreSQL."""
        return None if self.server else self.data / "cerebro.sqlite3"


@contextmanager
def opened(pages: int, database: str = "sqlite", concepts: int = 0) -> Iterator[Wiki]:
    """A copy of the wiki of this size, built first if it is not kept yet; removed afterwards.

    `concepts`: how many, on SQLite; 0 for as many as real lists have for their papers.
    """
    with tempfile.TemporaryDirectory(prefix="cerebro-bench-run-", dir=place()) as folder:
        data = Path(folder)
        if database == "sqlite":
            shutil.copyfile(_sqlite(pages, concepts), data / "cerebro.sqlite3")
            yield from _closing(Wiki(pages, data, f"sqlite:///{data / 'cerebro.sqlite3'}"))
            return
        with postgres.running(place() / "cerebro-bench-postgresql") as server:
            kept = _postgresql(pages, server)
            name = f"run_{os.getpid()}"
            server.create(name, template=kept)
            try:
                yield from _closing(Wiki(pages, data, server.url(name), server))
            finally:
                server.drop(name)


def _closing(found: Wiki) -> Iterator[Wiki]:
    try:
        yield found
    finally:
        if "engine" in found.__dict__:
            found.engine.dispose()
        if "app" in found.__dict__:
            found.app.engine.dispose()


def _sqlite(pages: int, concepts: int = 0) -> Path:
    """The kept file of this size."""
    size = f"{pages}-{concepts}" if concepts else f"{pages}"
    folder = place() / f"cerebro-bench-{size}-sqlite-{fingerprint()}"
    path = folder / "cerebro.sqlite3"
    if not path.exists():
        for older in place().glob(f"cerebro-bench-{size}-sqlite-*"):
            shutil.rmtree(older, ignore_errors=True)
        folder.mkdir(parents=True)
        unfinished = folder / f"unfinished-{os.getpid()}"
        _fill(f"sqlite:///{unfinished}", pages, concepts)
        unfinished.rename(path)
    return path


def _postgresql(pages: int, server: postgres.Server) -> str:
    """The kept database of this size."""
    name = f"wiki_{pages}_{fingerprint()}"
    if not server.has(name):
        for (older,) in server.ask(
            f"SELECT datname FROM pg_database WHERE datname LIKE 'wiki_{pages}_%'"  # noqa: S608
        ):
            server.drop(older)
        unfinished = f"unfinished_{os.getpid()}"
        server.create(unfinished)
        _fill(server.url(unfinished), pages)
        server.ask("VACUUM (ANALYZE)", database=unfinished)
        server.rename(unfinished, name)
    return name


def _fill(url: str, pages: int, concepts: int = 0) -> None:
    print(f"building {pages:,} pages, once", flush=True)
    engine = open_engine(url)
    try:
        upgrade(engine)
        wiki.build(
            engine, pages, concepts=concepts, say=lambda line: print(f"  {line}", flush=True)
        )
    finally:
        engine.dispose()
