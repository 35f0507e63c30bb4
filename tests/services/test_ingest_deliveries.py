"""Ingest of what fetches bring: many items in one file, each on its own, each stored once."""

from __future__ import annotations

import errno
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine
from sqlmodel import col, select

from app.domain.items import (
    Bundle,
    Document,
    PageArrival,
    PaperArrival,
    Rejected,
    SourceRef,
)
from app.domain.records import Item, Page, PageKind, Paper, Source, SourceKind
from app.errors import Unavailable
from app.services.ingest import Outcome, Report, import_files, store_delivery
from app.sources.base import File
from app.sources.interchange import Interchange
from app.store import items, pages
from app.store.db import reading, writing
from app.store.pages import PERSON
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
REF = SourceRef(key="gauges", kind=SourceKind.LISTING, name="Gauge readings")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def entry(number: int, *, title: str = "", hash: str = "", **state: object) -> Document:
    """A listing's entry of one paper."""
    paper = PaperArrival(
        refs=(f"arxiv:2605.0000{number}",), title=title or f"Tide {number}", day="2026-05-14"
    )
    return Document(
        source=REF,
        key=f"2605.0000{number}",
        format="told",
        title=paper.title,
        arrivals=(paper,),
        hash=hash or f"hash {number}",
        state=state,
    )


def deliver(engine: Engine, *documents: Document | Rejected) -> Report:
    """Store what a fetch of the source brought."""
    with writing(engine) as session:
        source = session.exec(select(Source).where(Source.key == "gauges")).first()
        if source is None:
            source = Source(key="gauges", kind=SourceKind.LISTING, name="Gauges", created_at=NOW)
            session.add(source)
            session.flush()
        bundle = Bundle(source=REF, format="told", documents=documents)
        return store_delivery(session, bundle, source, raw_sha256="f" * 64, size=10, now=NOW)


def stored(engine: Engine) -> list[tuple[str, str, str]]:
    """Key, hash and paper of each item."""
    with reading(engine) as session:
        found = session.exec(
            select(Item.key, Item.hash, Paper.title)
            .join(Paper, col(Paper.id) == col(Item.paper_id))
            .order_by(Item.key)
        )
        return list(found)


def test_each_entry_is_an_item_and_is_its_paper(engine: Engine) -> None:
    report = deliver(engine, entry(1), entry(2))
    assert report.by_kind() == {"paper": {"new": 2}}
    assert stored(engine) == [
        ("2605.00001", "hash 1", "Tide 1"),
        ("2605.00002", "hash 2", "Tide 2"),
    ]


def test_an_entry_that_says_what_it_said_is_not_looked_at_again(engine: Engine) -> None:
    deliver(engine, entry(1), entry(2))
    report = deliver(engine, entry(2), entry(3), entry(1, hash="other", upvotes=4))
    assert report.by_kind() == {"item": {"same": 1}, "paper": {"new": 1, "same": 1}}
    with reading(engine) as session:
        item = session.exec(select(Item).where(Item.key == "2605.00001")).one()
        assert (item.hash, item.state) == ("other", {"upvotes": 4})
        assert len(session.exec(select(Paper)).all()) == 3


def test_what_cannot_be_read_or_stored_fails_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.services import ingest

    real = ingest._Ingest._paper

    def poisoned(self: ingest._Ingest, arrival: PaperArrival) -> Outcome:
        if arrival.title == "Poison":
            raise ValueError("a value that no column takes")
        return real(self, arrival)

    monkeypatch.setattr(ingest._Ingest, "_paper", poisoned)
    report = deliver(
        engine, entry(1), Rejected(where="entry 2", reason="No title."), entry(3, title="Poison")
    )
    assert [each.where for each in report.rejected] == ["entry 2", "paper arxiv:2605.00003"]
    assert report.rejected[1].reason == "It could not be stored (ValueError); the log says more."
    assert report.by_kind() == {"paper": {"new": 1}}
    assert deliver(engine, entry(4)).total(Outcome.NEW) == 1


def test_a_paper_that_is_refused_late_is_nobodys_item(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.services import ingest

    def late(self: ingest._Ingest, *_: object) -> Outcome:
        raise ValueError("refused when the paper was made already")

    monkeypatch.setattr(ingest._Ingest, "_listed", late)
    report = deliver(engine, entry(1))
    assert len(report.rejected) == 1
    with reading(engine) as session:
        assert session.exec(select(Item)).one().paper_id is None
        assert session.exec(select(Paper)).all() == []


def test_a_full_disk_is_not_filled_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(items.os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left"):
        items.keep_raw(tmp_path, b"tides")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_item_with_a_page_of_its_own_leads_there(engine: Engine) -> None:
    article = Document(
        source=REF,
        key="urn:1",
        format="told",
        title="On tides",
        arrivals=(
            PageArrival(ref="url:https://example.org/1", kind=PageKind.ARTICLE, title="On tides"),
            PaperArrival(refs=("arxiv:2605.00009",), title="Tide 9", day="2026-05-14"),
        ),
        hash="h",
    )
    deliver(engine, article)
    with reading(engine) as session:
        item = session.exec(select(Item)).one()
        page = session.exec(select(Page).where(Page.kind == PageKind.ARTICLE)).one()
        assert (item.page_id, item.paper_id) == (page.id, None)


def article(text: str, *, hash: str, **state: object) -> Document:
    page = PageArrival(
        ref="url:https://example.org/1", kind=PageKind.ARTICLE, title="On tides", text=text
    )
    return Document(
        source=REF,
        key="urn:1",
        format="told",
        title="On tides",
        arrivals=(page,),
        hash=hash,
        state=state,
    )


def test_a_corrected_article_is_told_anew_unless_somebody_wrote_on_it(engine: Engine) -> None:
    deliver(engine, article("They rise.", hash="1"))
    deliver(engine, article("They rise and fall.", hash="2"))
    with writing(engine) as session:
        page = session.exec(select(Page)).one()
        assert page.body == "They rise and fall."
        content = pages.content_of(session, page)
        pages.revise(session, page, replace(content, body="Mine."), author=PERSON, now=NOW, note="")
    deliver(engine, article("They fall.", hash="3"))
    with reading(engine) as session:
        assert session.exec(select(Page)).one().body == "Mine."


def test_what_its_source_says_of_an_item_is_kept_up_to_date(engine: Engine) -> None:
    deliver(engine, article("They rise.", hash="1", upvotes=3))
    report = deliver(engine, article("They rise.", hash="1", upvotes=9, starred=True))
    assert report.by_kind() == {"item": {"same": 1}}
    with reading(engine) as session:
        assert session.exec(select(Item)).one().state == {"upvotes": 9, "starred": True}


@dataclass(frozen=True)
class Many:
    """A reader that makes these documents of any bytes."""

    documents: Sequence[Document | Rejected]
    format: str = "told"

    def recognises(self, file: File) -> bool:
        return True

    def read(self, file: File) -> Bundle:
        return Bundle(source=REF, format=self.format, documents=self.documents)


def test_a_saved_file_of_many_items_is_one_report(engine: Engine, tmp_path: Path) -> None:
    readers = [Many((entry(1), Rejected(where="entry 2", reason="No title."), entry(3)))]
    with writing(engine) as session:
        [(name, report)] = import_files(
            session, [File("listing.xml", b"x")], readers, raw_folder=tmp_path / "raw", now=NOW
        )
    assert isinstance(report, Report)
    assert (name, report.by_kind(), len(report.rejected)) == (
        "listing.xml",
        {"paper": {"new": 2}},
        1,
    )
    with reading(engine) as session:
        raws = {item.raw_sha256 for item in session.exec(select(Item))}
    assert len(raws) == 1  # the file that both stood in


def test_a_packed_file_is_read_and_an_archive_refused(engine: Engine) -> None:
    line = b'{"type": "concept", "id": "tides", "title": "Tides"}'
    tar = b"tides/".ljust(257, b"\0") + b"ustar\0".ljust(300, b"\0")
    files = [
        File("facts.jsonl.gz", gzip.compress(line)),
        File("cut.jsonl.gz", gzip.compress(line)[:-9]),
        File("wiki.tar.gz", gzip.compress(tar)),
        File("wiki.zip", b"PK\x03\x04" + b"\0" * 40),
    ]
    with writing(engine) as session:
        results = dict(import_files(session, files, [Interchange()], raw_folder=None, now=NOW))
    report = results["facts.jsonl.gz"]
    assert isinstance(report, Report)
    assert report.by_kind() == {"concept": {"new": 1}}
    assert str(results["cut.jsonl.gz"]) == "cut.jsonl.gz is a gzip file that is cut off."
    for name in ("wiki.tar.gz", "wiki.zip"):
        assert "unpack it into a folder" in str(results[name])
