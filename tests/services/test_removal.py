"""Removing pages by their address; what a person removed, no import brings back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from app.bootstrap import App
from app.domain.items import Bundle, Document, PageArrival, SourceRef
from app.domain.records import PageKind, Paper, PaperState, SourceKind
from app.errors import Conflict, Gone, NotFound
from app.importing import Imported, import_paths
from app.services import removal
from app.services.ingest import store_delivery
from app.services.linker import shipped_weights
from app.settings import Settings
from app.store import items, pages
from app.store.db import reading, writing
from tests.factories import THEN, make_engine

LATER = THEN + timedelta(days=1)
PAPER = {
    "type": "paper",
    "id": "arxiv:2605.00001",
    "title": "Paged keys",
    "slug": "paged-keys",
    "keep": True,
}
CONCEPT = {"type": "concept", "id": "paging", "title": "Paging", "text": "Memory in pages."}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    engine = make_engine(tmp_path)
    yield App(Settings(data=tmp_path / "data", now=THEN), engine, shipped_weights(None))
    engine.dispose()


def imported(app: App, tmp_path: Path, *rows: dict[str, Any]) -> Imported:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return import_paths(app, [path])


def delivered(app: App, text: str) -> list[str]:
    """An entry of a feed with a text of its own, as it is now; why it was refused."""
    source = SourceRef(key="feed:a", kind=SourceKind.FEED, name="A feed")
    page = PageArrival(
        ref="url:https://example.org/a", kind=PageKind.ARTICLE, title="An article", text=text
    )
    entry = Document(
        source=source,
        key="a",
        format="feed",
        title="An article",
        arrivals=[page],
        hash=text,
    )
    bundle = Bundle(source=source, format="feed", documents=[entry])
    with writing(app.engine) as session:
        row = items.source(session, source, now=THEN)
        items.note_raw(session, "f" * 64, 9, now=THEN)
        report = store_delivery(session, bundle, row, raw_sha256="f" * 64, size=9, now=THEN)
    return [each.reason for each in report.rejected]


def test_no_delivery_brings_back_what_was_removed(app: App) -> None:
    assert delivered(app, "It says so.") == []
    with writing(app.engine) as session:
        removal.remove(session, "an-article", now=LATER)
    assert delivered(app, "It says so.") == [], "nothing new in it"
    refused = "An article was removed. Put it back to have it brought up to date."
    assert delivered(app, "Told anew.") == [refused]
    with reading(app.engine) as session:
        assert pages.listed(session) == []
    with writing(app.engine) as session:
        removal.restore(session, "an-article", now=LATER)
    assert delivered(app, "Told anew again.") == []
    with reading(app.engine) as session:
        assert pages.get(session, "an-article").body == "Told anew again."


def test_no_import_keeps_the_paper_of_a_removed_page_again(app: App, tmp_path: Path) -> None:
    assert imported(app, tmp_path, PAPER).refused == []
    with writing(app.engine) as session:
        removal.remove(session, "paged-keys", now=LATER)
    imported(app, tmp_path, PAPER)
    with reading(app.engine) as session:
        assert pages.listed(session) == []
        assert session.exec(select(Paper)).one().state == PaperState.DROPPED
    with writing(app.engine) as session:
        removal.restore(session, "paged-keys", now=LATER)
    imported(app, tmp_path, PAPER)
    with reading(app.engine) as session:
        assert session.exec(select(Paper)).one().state == PaperState.KEPT


def test_a_page_is_named_by_where_it_lives_lived_or_is_kept(app: App, tmp_path: Path) -> None:
    imported(app, tmp_path, CONCEPT)
    with writing(app.engine) as session:
        pages.rename(session, pages.get(session, "paging"), "pages", now=THEN)
        removal.remove(session, "paging", now=LATER, reason="old")  # by its former address
        found = removal.removed(session, "pages")
        assert found is not None and (found.slug, found.kept) == ("pages", "pages-removed")
        assert removal.removed(session, "pages-removed") == found
        assert removal.removed(session, "nowhere") is None
        with pytest.raises(Gone, match=r"Paging was removed on 2026-05-09 \(old\)"):
            removal.remove(session, "pages", now=LATER)
        with pytest.raises(Gone):
            removal.remove(session, "pages-removed", now=LATER)
        back = removal.restore(session, "pages-removed", now=LATER)
        assert back.slug == "pages"
        former = pages.former(session, "paging")
        assert former is not None and former.id == back.id


def test_bad_addresses_and_older_versions_are_said_no_to(app: App, tmp_path: Path) -> None:
    imported(app, tmp_path, CONCEPT)
    with writing(app.engine) as session:
        with pytest.raises(NotFound):
            removal.remove(session, "nowhere", now=LATER)
        with pytest.raises(NotFound):
            removal.restore(session, "nowhere", now=LATER)
        with pytest.raises(Conflict, match="nothing to put back"):
            removal.restore(session, "paging", now=LATER)
        with pytest.raises(Conflict, match="at version 1 now"):
            removal.remove(session, "paging", now=LATER, base=7)
        assert removal.remove(session, "paging", now=LATER, base=1).who == "person"
