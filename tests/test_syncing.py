"""The syncing thread and its passes: real folders, real watching, and a wiki that goes on without."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy.engine import Engine
from sqlmodel import select

from app import syncing
from app.domain.records import Act, Hold, Page, PageKind, Revision, VaultProblem
from app.errors import Unavailable
from app.services import pages as editing
from app.store import mirror, pages, runs
from app.store.db import reading, writing
from app.store.pages import PERSON, Content
from app.syncing import Syncing, once
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
PATIENCE = 60.0  # seconds that a slow machine may take; nothing is timed


@dataclass
class Tools:
    engine: Engine
    vault_folder: Path

    @property
    def clock(self) -> Callable[[], datetime]:
        return lambda: NOW

    def today(self) -> date:
        return NOW.date()


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[Tools]:
    made = Tools(make_engine(tmp_path), tmp_path / "vault")
    yield made
    made.engine.dispose()


def write(tools: Tools, title: str, text: str) -> str:
    """A page of this title with this text, made or edited."""
    with writing(tools.engine) as session:
        page = pages.by_slug(session, title.lower())
        if page is None:
            content = Content(title=title, kind=PageKind.NOTE, body=text)
            return pages.create(session, content, author=PERSON, now=NOW).slug
        content = replace(pages.content_of(session, page), body=text)
        pages.revise(session, page, content, author=PERSON, now=NOW)
        return page.slug


def body(tools: Tools, slug: str) -> str | None:
    with reading(tools.engine) as session:
        page = pages.by_slug(session, slug)
        return page.body if page else None


def problems(tools: Tools) -> dict[str, str]:
    with reading(tools.engine) as session:
        return {row.path: row.reason for row in session.exec(select(VaultProblem))}


def text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)


@contextmanager
def running(tools: Tools) -> Iterator[None]:
    stopping = Event()
    with runs.at_work(tools.engine) as owner:
        thread = Thread(target=Syncing(tools, owner).run, args=(stopping,))
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(PATIENCE)
            assert not thread.is_alive()


def one_pass(tools: Tools, **options: bool) -> syncing.Report:
    with runs.at_work(tools.engine) as owner:
        return once(tools, owner, **options)


def test_what_is_edited_here_or_there_follows_by_itself(tools: Tools) -> None:
    slug = write(tools, "One", "Text.\n")
    path = tools.vault_folder / "notes" / "One.md"
    with running(tools):
        wait_for(lambda: text(path).endswith("Text.\n"))
        write(tools, "One", "Newer.\n")
        wait_for(lambda: text(path).endswith("Newer.\n"))
        path.write_text(text(path).replace("Newer.", "Newest."), "utf-8")
        wait_for(lambda: body(tools, slug) == "Newest.\n")
        (tools.vault_folder / "made.md").write_text("Made outside.\n")
        wait_for(lambda: body(tools, "made") == "Made outside.\n")
        wait_for(lambda: "id: made" in text(tools.vault_folder / "made.md"))
        moved = tools.vault_folder / "some folder"
        moved.mkdir()
        (tools.vault_folder / "made.md").rename(moved / "renamed.md")
        wait_for(lambda: "title: renamed" in text(moved / "renamed.md"))
        moved.rename(tools.vault_folder / "another folder")
        path.unlink()
        wait_for(lambda: body(tools, slug) is None)
        assert body(tools, "made") == "Made outside.\n"
    with reading(tools.engine) as session:
        assert not session.exec(select(Hold)).all()
        words = [act.words for act in session.exec(select(Act).order_by(Act.id))]  # type: ignore[arg-type]
        assert words[0] == "Files of the vault: 1 edited outside"
        assert "Files of the vault: 1 deleted outside" in words
        outside = session.exec(select(Revision).where(Revision.body == "Newest.\n")).one()
        assert outside.act_id is not None


def test_a_folder_that_comes_and_goes_is_one_sentence_and_no_loss(tools: Tools) -> None:
    slug = write(tools, "One", "Text.\n")
    root, away = tools.vault_folder, tools.vault_folder.with_name("away")
    with running(tools):
        wait_for(lambda: (root / "notes" / "One.md").is_file())
        root.rename(away)
        write(tools, "One", "Newer.\n")
        wait_for(lambda: "nothing was deleted" in problems(tools).get("", ""))
        assert body(tools, slug) == "Newer.\n"
        away.rename(root)
        wait_for(lambda: text(root / "notes" / "One.md").endswith("Newer.\n"))
        wait_for(lambda: not problems(tools))
        (root / "notes" / "One.md").write_text(
            text(root / "notes" / "One.md").replace("Newer.", "Watched again.")
        )
        wait_for(lambda: body(tools, slug) == "Watched again.\n")


def test_a_folder_that_cannot_be_written_is_tried_again(tools: Tools, tmp_path: Path) -> None:
    tools.vault_folder = tmp_path / "a file" / "vault"
    (tmp_path / "a file").write_text("")
    write(tools, "One", "Text.\n")
    with running(tools):
        wait_for(lambda: "a file" in problems(tools).get("", ""))
        (tmp_path / "a file").unlink()
        wait_for(lambda: (tools.vault_folder / "notes" / "One.md").is_file())
        wait_for(lambda: not problems(tools))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_vault_is_read_all_the_same(tools: Tools) -> None:
    slug = write(tools, "One", "Text.\n")
    one_pass(tools)
    path = tools.vault_folder / "notes" / "One.md"
    path.write_text(text(path).replace("Text.", "Edited."))
    for folder in (tools.vault_folder / "notes", tools.vault_folder / ".cerebro"):
        folder.chmod(0o555)
    try:
        one_pass(tools)
        assert body(tools, slug) == "Edited.\n"
    finally:
        for folder in (tools.vault_folder / "notes", tools.vault_folder / ".cerebro"):
            folder.chmod(0o755)


def test_one_process_is_at_the_vault_at_a_time(tools: Tools) -> None:
    write(tools, "One", "Text.\n")
    with runs.at_work(tools.engine) as other:
        with writing(tools.engine) as session:
            runs.hold(session, syncing.STEP, [1], owner=other, clock=time.time())
        with (
            runs.at_work(tools.engine) as owner,
            pytest.raises(Unavailable, match="Another process"),
        ):
            once(tools, owner, patience=0.2)
    assert one_pass(tools).written == ["notes/One.md"]


def test_what_an_old_vault_holds_becomes_pages_and_the_rest_is_left_alone(tools: Tools) -> None:
    root = tools.vault_folder
    files = {
        "Ideas.md": "Links: [[Deep/Thought]] and [[Daily]].\n",
        "Deep/Thought.md": "---\nstatus: seedling # mine\ntags:\n- idea\n---\n# Thought\n",
        "Daily.md": "﻿---\r\ncreated: 2024-01-01\r\n---\r\nA day.\r\n",
        "Empty.md": "",
        ".obsidian/app.json": "{}",
        ".trash/Old.md": "Old.\n",
        "pictures/a.png": "no picture",
        "board.canvas": "{}",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode())
    report = one_pass(tools)
    assert sorted(report.made) == ["Daily.md", "Deep/Thought.md", "Empty.md", "Ideas.md"]
    assert not report.refused and not report.waiting
    for name in (".obsidian/app.json", ".trash/Old.md", "pictures/a.png", "board.canvas"):
        assert (root / name).read_bytes() == files[name].encode()
    thought = (root / "Deep/Thought.md").read_text()
    assert "status: seedling # mine\ntags:\n- idea\n" in thought and thought.endswith("# Thought\n")
    assert "id: thought\n" in thought
    daily = (root / "Daily.md").read_bytes()
    assert daily.startswith(b"\xef\xbb\xbf---\r\n") and daily.endswith(b"---\r\nA day.\r\n")
    assert b"created: 2024-01-01\r\n" in daily and b"id: daily\r\n" in daily
    with reading(tools.engine) as session:
        titles = {page.title for page in session.exec(select(Page))}
        ideas = pages.get(session, "ideas")
        linked = {target.slug for target in session.exec(select(Page)) if target.id != ideas.id}
    assert titles == {"Ideas", "Thought", "Daily", "Empty"} and "thought" in linked
    before = {path: path.read_bytes() for path in root.rglob("*.md")}
    assert one_pass(tools).done == 0
    assert {path: path.read_bytes() for path in root.rglob("*.md")} == before


def test_many_pages_linked_to_each_other_agree_after_one_pass(tools: Tools) -> None:
    root = tools.vault_folder
    (root / "notes").mkdir(parents=True)
    for number in range(40):
        (root / "notes" / f"Note {number}.md").write_text(
            f'---\nrelated:\n  - "[[Note {(number + 1) % 40}]]"\n---\nText {number}.\n'
        )
    report = one_pass(tools)
    assert len(report.made) == 40 and not report.waiting and not report.refused
    assert one_pass(tools).done == 0
    with reading(tools.engine) as session:
        assert not mirror.pending(session)
        assert '"[[Note 1]]"' in (root / "notes" / "Note 0.md").read_text()


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CEREBRO_")}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={**kept, "CEREBRO_DATA": str(tmp_path / "data"), "CEREBRO_EMBEDDING_MODEL": "none"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.sqlite_only
def test_the_command_says_what_it_did_and_what_is_left(tmp_path: Path) -> None:
    vault = tmp_path / "data" / "vault"
    vault.mkdir(parents=True)
    (vault / "One.md").write_text("Text.\n")
    (vault / "bad.md").write_bytes(b"\xff\xfe")
    done = run(tmp_path, "sync")
    assert done.returncode == 3, done.stderr
    assert "made outside  One.md" in done.stdout
    assert "refused  bad.md: The file is UTF-16 text. Save it as UTF-8." in done.stdout
    (vault / "bad.md").unlink()
    done = run(tmp_path, "sync", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"refused": []' in done.stdout and '"waiting": 0' in done.stdout
    assert run(tmp_path, "sync").stderr.strip().endswith("In step.")
    done = run(tmp_path, "worker", "--once")
    assert done.returncode == 0, done.stderr


def test_a_save_while_its_file_was_edited_keeps_both(tools: Tools) -> None:
    slug = write(tools, "One", "Text.\n")
    path = tools.vault_folder / "notes" / "One.md"
    with running(tools):
        wait_for(lambda: text(path).endswith("Text.\n"))
        path.write_text(text(path).replace("Text.", "There."), "utf-8")
        with writing(tools.engine) as session:
            page = pages.get(session, slug)
            content = replace(pages.content_of(session, page), body="Here.\n")
            editing.save(session, slug, content, base=page.version, now=NOW)

        def disputed() -> bool:
            with reading(tools.engine) as session:
                page = pages.get(session, slug)
                row = mirror.conflict(session, page.id or 0)
                return row is not None and row.text.endswith("There.\n") and page.body == "Here.\n"

        wait_for(disputed)
        assert text(path).endswith("There.\n")
