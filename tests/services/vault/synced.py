"""A wiki with its vault, and a clock under which whatever was seen twice is stable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Engine
from sqlmodel import Session, select

from app.domain.markdown import name_key
from app.domain.records import (
    Page,
    PageKind,
    Unmirrored,
)
from app.services.vault.report import Report
from app.services.vault.sync import Sync
from app.store import db, mirror, pages
from app.store.db import writing
from app.store.pages import PERSON, Content
from app.vault.folder import Vault
from app.vault.notes import parse
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """What was read may be looked at afterwards."""
    with db.reading(engine) as session:
        yield session
        session.expunge_all()


class Clock:
    """Time that passes at each look at it: what was seen twice was the same for a second."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        self.at += 1.0
        return self.at


class Wiki:
    """A wiki with its vault."""

    def __init__(self, folder: Path) -> None:
        self.engine: Engine = make_engine(folder)
        self.root = folder / "vault"
        self.sync = self.started()

    def started(self) -> Sync:
        """A sync that remembers nothing, as after a kill."""
        return Sync(self.engine, Vault(self.root), clock=lambda: NOW, monotonic=Clock())

    def pass_(self, *, deletions: bool = False) -> Report:
        """Sync until nothing is left to do."""
        self.sync.begin()
        self.sync.open()
        for _ in range(4):
            self.sync.look(deletions=deletions)
            self.sync.look(deletions=deletions)
            self.sync.write()
        self.sync.tell_decisions()
        return self.sync.report

    def page(self, title: str, text: str = "", kind: PageKind = PageKind.NOTE, **more: Any) -> str:
        with writing(self.engine) as session:
            content = Content(title=title, kind=kind, body=text, **more)
            return pages.create(session, content, author=PERSON, now=NOW).slug

    def edit(self, slug: str, text: str) -> None:
        with writing(self.engine) as session:
            page = pages.get(session, slug)
            content = replace(pages.content_of(session, page), body=text)
            pages.revise(session, page, content, author=PERSON, now=NOW)

    def read(self, slug: str) -> Page:
        with reading(self.engine) as session:
            return pages.get(session, slug)

    def content(self, slug: str) -> Content:
        with reading(self.engine) as session:
            return pages.content_of(session, pages.get(session, slug))

    def file(self, path: str) -> Path:
        return self.root / path

    def text(self, path: str) -> str:
        return self.file(path).read_bytes().decode()

    def replace(self, path: str, old: str, new: str) -> None:
        """An editor that writes in place."""
        text = self.text(path)
        assert old in text, text
        self.file(path).write_bytes(text.replace(old, new).encode())

    def files(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.root))
            for path in self.root.rglob("*.md")
            if ".cerebro" not in path.parts
        )

    def all(self, table: Any) -> list[Any]:
        with reading(self.engine) as session:
            return list(session.exec(select(table)))

    def agree(self) -> None:
        """Every page has its file, and both say the same."""
        with reading(self.engine) as session:
            every = [
                p.id for p in session.exec(select(Page)) if p.kind not in ("merged", "removed")
            ]
            told = mirror.told(session, [page_id for page_id in every if page_id])
            assert not list(session.exec(select(Unmirrored)))
        for page in told.values():
            assert page.mirror is not None and page.mirror.version == page.version
            found = parse(self.file(page.mirror.path).read_bytes()).note
            assert found.body == page.note.body
            assert (found.title or page.note.title) == page.note.title
            assert found.id == page.note.id
            said, meant = (
                {(link.relation, name_key(link.name)) for link in note.links}
                for note in (found, page.note)
            )
            assert said == meant
            assert found.aliases == page.note.aliases
            others = page.side.get("untagged", [])
            tags = {name_key(tag) for tag in found.every_tag if tag not in others}
            assert tags == {name_key(tag) for tag in page.note.tags}
        assert len(self.files()) == len(told)
