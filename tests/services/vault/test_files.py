"""The vault as files to take along: byte for byte those that syncing keeps."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import Engine
from sqlmodel import Session, select

from app.domain.records import Decision, Mirror, Origin, Page, PageKind, Relation, Verdict
from app.services.vault.files import files
from app.services.vault.sync import Sync
from app.store.db import reading, writing
from app.store.pages import PERSON, Content, create, get, revise
from app.vault.folder import Vault
from tests.factories import THEN, make_engine, make_link
from tests.services.vault.synced import NOW, Clock


def synced(engine: Engine, root: Path) -> None:
    sync = Sync(engine, Vault(root), clock=lambda: NOW, monotonic=Clock())
    sync.begin()
    sync.open()
    for _ in range(4):
        sync.look()
        sync.look()
        sync.write()
    sync.tell_decisions()


def told(engine: Engine) -> dict[str, bytes]:
    with reading(engine) as session:
        return {path: b"".join(pieces) for path, pieces in files(session)}


def on_disk(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "replaced" not in path.parts
    }


def page(session: Session, title: str, kind: PageKind, body: str = "") -> int:
    content = Content(title=title, kind=kind, body=body, aliases=("Also: it",), tags=("sea",))
    made = create(session, content, author=PERSON, now=THEN)
    assert made.id
    return made.id


def filled(engine: Engine) -> None:
    with writing(engine) as session:
        tide = page(session, "Tide", PageKind.CONCEPT, "Of [[Moon]].\n")
        moon = page(session, "Moon", PageKind.NOTE, "It pulls.")
        odd = page(session, "What? / Why", PageKind.NOTE)
        twin = page(session, "TIDE", PageKind.NOTE)
        for at in (odd, twin):
            link = make_link(session, moon, at, Relation.RELATED, origin=Origin.LINKER)
            session.add(Decision(at=THEN, verdict=Verdict.ACCEPT, link_id=link))
        make_link(session, tide, odd, Relation.RELATED, origin=Origin.LINKER)


def test_they_are_the_files_of_a_vault_that_is_in_step(tmp_path: Path) -> None:
    engine, root = make_engine(tmp_path), tmp_path / "vault"
    filled(engine)
    synced(engine, root)
    assert told(engine) == on_disk(root)
    # What a person and other tools wrote stays in them, and so does where a person put them.
    moon = root / "notes" / "Moon.md"
    text = moon.read_bytes().replace(b"id: moon\n", b"id: moon\n# mine\ncssclass: wide\n")
    moon.write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    (root / "mine").mkdir()
    (root / "concepts" / "Tide.md").rename(root / "mine" / "Tide.md")
    synced(engine, root)
    files_now = told(engine)
    assert b"# mine\r\ncssclass: wide\r\n" in files_now["notes/Moon.md"]
    assert "mine/Tide.md" in files_now
    assert files_now == on_disk(root)


def test_before_a_vault_was_ever_written_they_are_those_it_will_have(tmp_path: Path) -> None:
    engine, root = make_engine(tmp_path), tmp_path / "vault"
    filled(engine)
    before = told(engine)
    assert b'related:\n  - "[[' in before["notes/Moon.md"]
    synced(engine, root)
    after = on_disk(root)
    assert {**before, ".cerebro/vault.json": after[".cerebro/vault.json"]} == after


def test_they_say_what_the_page_says_where_the_vault_lags_behind(tmp_path: Path) -> None:
    engine, root = make_engine(tmp_path), tmp_path / "vault"
    filled(engine)
    synced(engine, root)
    with writing(engine) as session:
        moon = get(session, "moon")
        content = Content(title="Moon", kind=PageKind.NOTE, body="It pulls more.")
        revise(session, moon, content, author=PERSON, now=NOW)
        page(session, "New", PageKind.NOTE)
    found = told(engine)
    assert b"It pulls more." in found["notes/Moon.md"] and "notes/New.md" in found
    synced(engine, root)
    assert on_disk(root) == found


def test_pages_that_are_gone_have_none(tmp_path: Path) -> None:
    engine, root = make_engine(tmp_path), tmp_path / "vault"
    filled(engine)
    synced(engine, root)
    with writing(engine) as session:
        moon = session.exec(select(Page).where(Page.slug == "moon")).one()
        moon.kind = PageKind.REMOVED
        session.add(moon)
        assert session.exec(select(Mirror).where(Mirror.page_id == moon.id)).one()
    assert "notes/Moon.md" not in told(engine)
