"""Commits of a real vault by a real sync: when they are made, what they say, and what keeps them away."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dulwich.repo import Repo

from app import syncing
from app.bootstrap import App
from app.domain.records import AuthorKind, PageKind, VaultProblem
from app.services import commits, pages
from app.services.linker import shipped_weights
from app.settings import Settings
from app.store import pages as stored
from app.store import preferences
from app.store.db import reading, writing
from app.store.pages import Content
from app.store.preferences import Commits
from app.vault.git import Changed
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


class Timed(App):
    """An App whose records follow a time that a test moves."""

    now = NOW

    @property
    def clock(self) -> Any:
        return lambda: self.now


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Timed]:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = Settings(data=tmp_path / "data", embedding_model="none", timezone="UTC")
    settings.data.mkdir()
    engine = make_engine(settings.data)
    yield Timed(settings, engine, shipped_weights(None))
    engine.dispose()


def save(app: App, slug: str, body: str, *, author: stored.Author = stored.PERSON) -> None:
    with writing(app.engine) as session:
        page = stored.by_slug(session, slug)
        content = Content(title=slug.title(), kind=PageKind.CONCEPT, body=body)
        base = page.version if page else 0
        pages.save(session, slug, content, base=base, now=app.clock(), author=author)


def choose(app: App, when: Commits) -> None:
    with writing(app.engine) as session:
        preferences.set_commits(session, when)


def sync(app: App) -> None:
    syncing.once(app, "test")


def subjects(app: App) -> list[str]:
    """What the commits say first, the newest first; [] without a repository."""
    if not (app.vault_folder / ".git").exists():
        return []
    with closing(Repo(str(app.vault_folder))) as repo:
        return [
            each.commit.message.decode().split("\n")[0]
            for each in repo.get_walker()
        ]  # fmt: skip


def problem(app: App) -> str:
    with reading(app.engine) as session:
        found = session.get(VaultProblem, commits.PROBLEM)
        return found.reason if found else ""


def test_nothing_is_committed_unless_the_reader_switched_it_on(app: Timed) -> None:
    save(app, "tea", "Warm.\n")
    sync(app)
    assert not (app.vault_folder / ".git").exists()
    choose(app, Commits.EACH)
    sync(app)
    assert subjects(app) == ["1 page new"]
    choose(app, Commits.OFF)
    save(app, "tea", "Hot.\n")
    sync(app)
    assert subjects(app) == ["1 page new"]


def test_each_change_set_is_a_commit_that_says_who_wrote(app: Timed) -> None:
    choose(app, Commits.EACH)
    save(app, "tea", "Warm.\n")
    save(app, "milk", "Cold.\n", author=stored.IMPORT)
    sync(app)
    sync(app)
    save(app, "tea", "Hot.\n")
    sync(app)
    path = next(app.vault_folder.rglob("Tea.md"))
    path.write_text(path.read_text().replace("Hot.", "Hot, I say."))
    sync(app)
    assert subjects(app) == ["1 page changed", "1 page changed", "2 pages new"]
    with closing(Repo(str(app.vault_folder))) as repo:
        newest, _, first = (each.commit for each in repo.get_walker())
        assert b"Written by you, in the vault (1)." in newest.message
        assert b"you (1)" in first.message and b"imports (1)" in first.message
        assert b"new: Tea" in first.message
        assert first.author == b"cere-bro <cere-bro@localhost>"
    if shutil.which("git"):
        done = subprocess.run(
            ["git", "fsck", "--strict"], cwd=app.vault_folder, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_once_a_day_is_once_a_day(app: Timed) -> None:
    choose(app, Commits.DAILY)
    save(app, "tea", "Warm.\n")
    sync(app)
    save(app, "tea", "Hot.\n")
    sync(app)
    assert len(subjects(app)) == 1
    app.now = NOW + timedelta(days=1)
    sync(app)
    sync(app)
    assert len(subjects(app)) == 2


def test_why_none_was_made_is_told_until_one_is(app: Timed) -> None:
    choose(app, Commits.EACH)
    with closing(Repo.init(str(app.settings.data))):
        pass
    save(app, "tea", "Warm.\n")
    sync(app)
    assert "lies in the git repository" in problem(app)
    assert next(app.vault_folder.rglob("Tea.md")).exists(), "the vault is written all the same"
    shutil.rmtree(app.settings.data / ".git")
    sync(app)
    assert (subjects(app), problem(app)) == (["1 page new"], "")


def test_the_vault_never_takes_the_repository_for_pages(app: Timed) -> None:
    choose(app, Commits.EACH)
    save(app, "tea", "Warm.\n")
    sync(app)
    (app.vault_folder / ".git" / "note.md").write_text("not a page")
    sync(app)
    with reading(app.engine) as session:
        assert stored.count(session) == 1


def test_a_message_names_what_changed_in_words() -> None:
    written = Counter({(AuthorKind.PERSON, "you"): 2, (AuthorKind.MODEL, "claude\nx"): 1})
    changed = Changed(
        new=tuple(f"notes/{n}.md" for n in range(60)),
        changed=("concepts/A\tb.md", ".cerebro/pages/a.json"),
        gone=("papers/Old.md",),
    )
    told = commits.message(changed, written).splitlines()
    assert told[0] == "1 page changed, 60 new, 1 gone"
    assert told[2] == "Written by you (2) and claude x (1)."
    assert told[4] == "changed: A b"
    assert told[-1] == "and 12 more"
    only = Changed(changed=(".cerebro/decisions.jsonl",))
    assert commits.message(only, Counter()) == "Decisions and links\n"
