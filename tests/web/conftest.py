"""A whole wiki for screens: a real file, no vectors, a fixed clock, and the browser's side of HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from sqlalchemy import event
from sqlalchemy.engine import Engine
from starlette.testclient import TestClient

from app.bootstrap import READERS, App
from app.domain.records import LinkStatus
from app.services.ingest import Report, import_files
from app.services.linker import shipped_weights
from app.settings import Settings
from app.sources.base import File
from app.store import links
from app.store.db import reading, writing
from app.web.app import create
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial"}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """An empty wiki in a file of its own, whose clock stands at 9:00 on Thursday 14 May 2026."""
    settings = Settings(data=tmp_path / "data", embedding_model="none", timezone="UTC", now=NOW)
    settings.data.mkdir()
    engine = make_engine(settings.data)
    yield App(settings, engine, shipped_weights(None))
    engine.dispose()


@pytest.fixture
def client(app: App) -> Iterator[TestClient]:
    """A browser without JavaScript, on the machine the wiki runs on. Redirects are not followed."""
    with TestClient(
        create(app), base_url="http://127.0.0.1:8000", follow_redirects=False
    ) as browser:
        yield browser


def load(app: App, rows: list[dict[str, Any]], *, name: str = "test.jsonl") -> Report:
    """Import interchange rows; every one of them must be taken."""
    data = "\n".join(json.dumps(row) for row in rows).encode()
    with writing(app.engine) as session:
        [(_, report)] = import_files(
            session, [File(name, data)], READERS, raw_folder=app.raw_folder, now=app.clock()
        )
    assert isinstance(report, Report), report
    assert not report.rejected, report.rejected
    return report


def listed(number: int, *, day: str = "2026-05-14", **fields: Any) -> dict[str, Any]:
    """A paper of a day's listing that nobody has decided on."""
    return {
        "type": "paper",
        "id": f"arxiv:2605.{number:05}",
        "title": f"Listed paper {number}",
        "abstract": f"Abstract number {number}. It has a second sentence. And a third one.",
        "authors": ["Ada Example", "Ben Sample"],
        "published": day,
        "day": day,
        **fields,
    }


def marks(number: int, relevance: int, novelty: int, **fields: Any) -> dict[str, Any]:
    """What a scorer thought of a listed paper."""
    return {
        "type": "assessment",
        "paper": f"arxiv:2605.{number:05}",
        "scorer": "test",
        "day": "2026-05-14",
        "relevance": relevance,
        "novelty": novelty,
        **fields,
    }


def member(number: int, thread: str, *, day: str, **fields: Any) -> dict[str, Any]:
    """An accepted place of a paper in a thread."""
    return {
        "type": "link",
        "source": f"arxiv:2605.{number:05}",
        "relation": "part-of",
        "target": thread,
        "day": day,
        **fields,
    }


def parsed(response: Any) -> Any:
    """The HTML of an answer, as soup. Untyped: an element that is not there fails its test anyhow."""
    assert response.headers["content-type"].startswith("text/html"), response.headers
    return BeautifulSoup(response.text, "html.parser")


def words(element: Any) -> str:
    """The text of an element as a reader sees it, blanks run together."""
    assert element is not None
    return " ".join(element.get_text(" ").split())


def proposals(app: App) -> int:
    """How many links wait in Review."""
    with reading(app.engine) as session:
        return links.count(session, LinkStatus.PROPOSED)


@dataclass
class Statements:
    """The SQL statements that were run while it listened."""

    seen: list[str]

    def __len__(self) -> int:
        return len(self.seen)


@pytest.fixture
def statements(app: App) -> Iterator[Statements]:
    """Every SQL statement from here to the end of the test; clear `seen` to begin anew."""
    heard = Statements([])

    def hear(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        heard.seen.append(statement)

    engine: Engine = app.engine
    event.listen(engine, "before_cursor_execute", hear)
    yield heard
    event.remove(engine, "before_cursor_execute", hear)
