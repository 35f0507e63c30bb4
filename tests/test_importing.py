"""Importing from a terminal: folders as they are, Maildirs among them, and web addresses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.bootstrap import App
from app.domain.records import Item, Page, Raw, Source, SourceKind
from app.importing import Imported, import_paths
from app.services.ingest import Outcome
from app.services.linker import shipped_weights
from app.settings import Settings
from app.sources.http import Transport
from app.store.db import reading
from tests.factories import make_engine
from tests.servers.hostile import Server
from tests.servers.hostile import page as an_answer

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    settings = Settings(data=tmp_path / "data", embedding_model="none", timezone="UTC", now=NOW)
    settings.data.mkdir()
    engine = make_engine(settings.data)
    yield App(settings, engine, shipped_weights(None))
    engine.dispose()


def letter(number: int, words: str = "") -> bytes:
    return (
        f"From: Ada <ada@example.org>\nSubject: Weekly\nMessage-ID: <{number}@example.org>\n"
        f"Date: Fri, 8 May 2026 09:00:00 +0000\n\n{words or f'Words of number {number}.'}\n"
    ).encode()


def items(app: App) -> dict[str, Item]:
    with reading(app.engine) as session:
        found = {item.key: item for item in session.exec(sa.select(Item)).scalars()}
        for item in found.values():
            session.refresh(item)
        session.expunge_all()
        return found


def shown(done: Imported) -> list[str]:
    return [f"{where}: {reason}" for where, reason in done.refused]


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    box = tmp_path / "Mail"
    for folder in ("cur", "new", "tmp", ".Newsletters/cur", ".Newsletters/new", ".Newsletters/tmp"):
        (box / folder).mkdir(parents=True)
    (box / "cur" / "1.host:2,FS").write_bytes(letter(1))
    (box / "cur" / "2.host:2,S").write_bytes(letter(2))
    (box / "new" / "3.host").write_bytes(letter(3))
    (box / "tmp" / "4.host").write_bytes(letter(4))
    (box / ".Newsletters" / "cur" / "5.host:2,F").write_bytes(letter(5))
    (box / "dovecot-uidlist").write_text("3 V1 N6")
    (box / "cur" / ".hidden").write_text("x")
    return box


def test_a_maildir_is_its_messages_with_their_stars(app: App, maildir: Path) -> None:
    done = import_paths(app, [maildir])
    assert shown(done) == [] and done.files == 4
    assert {key: item.state for key, item in items(app).items()} == {
        "1@example.org": {"starred": True}, "2@example.org": {"starred": False},
        "3@example.org": {}, "5@example.org": {"starred": True},
    }  # fmt: skip
    with reading(app.engine) as session:
        (source,) = session.exec(sa.select(Source)).scalars()
        assert (source.kind, source.key) == (SourceKind.MAIL, "mail")
        titles = [page.title for page in session.exec(sa.select(Page)).scalars()]
        assert titles == ["Weekly"] * 4  # of one name, and four pages
    again = import_paths(app, [maildir]).report
    assert again.total(Outcome.NEW) == again.total(Outcome.CHANGED) == 0


def test_a_star_that_was_set_since_is_noticed(app: App, maildir: Path) -> None:
    import_paths(app, [maildir])
    (maildir / "cur" / "2.host:2,S").rename(maildir / "cur" / "2.host:2,FS")
    import_paths(app, [maildir])
    assert items(app)["2@example.org"].state == {"starred": True}


def test_other_folders_hide_what_they_hid(app: App, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    (vault / ".trash").mkdir(parents=True)
    (vault / "cur").mkdir()
    (vault / ".trash" / "a.md").write_text("# gone")
    (vault / "cur" / "b.md").write_text("# here")
    assert import_paths(app, [vault]).files == 1


def test_an_address_is_fetched_and_read_by_what_comes(app: App, tmp_path: Path) -> None:
    note = tmp_path / "note.md"
    note.write_text("# A note")
    bib = b"@article{a, title={A study of looms}, author={Lovelace, Ada}, year={2026}}"
    with Server(an_answer(bib)) as server:
        app.web = Transport(allow={server.pair})
        done = import_paths(app, [f"{server.url}refs.bib", note])
    assert shown(done) == [] and done.files == 2
    with reading(app.engine) as session:
        assert {page.title for page in session.exec(sa.select(Page)).scalars()} >= {"A note"}
        assert session.scalar(sa.select(sa.func.count()).select_from(Raw)) == 2


def test_a_dry_run_fetches_and_keeps_nothing(app: App) -> None:
    with Server(an_answer(letter(1))) as server:
        app.web = Transport(allow={server.pair})
        done = import_paths(app, [f"{server.url}a.eml"], dry_run=True)
    assert done.files == 1 and items(app) == {} and not app.raw_folder.exists()


def test_what_does_not_come_is_refused_by_its_address_and_the_others_go_on(
    app: App, tmp_path: Path
) -> None:
    note = tmp_path / "note.md"
    note.write_text("# A note")
    done = import_paths(app, ["http://127.0.0.1:1/x", "https://", note, tmp_path / "nowhere"])
    assert done.files == 1
    assert [where for where, _ in done.refused][:2] == ["http://127.0.0.1:1/x", "https://"]
    assert all(reason.endswith(".") for _, reason in done.refused)


def test_a_pdf_that_cannot_be_read_says_why(app: App, tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing else")
    done = import_paths(app, [tmp_path / "broken.pdf"])
    assert done.failed and "damaged" in shown(done)[0]
    assert shown(done)[0].count("broken.pdf") == 1
