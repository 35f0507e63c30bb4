"""Passes over real folders and real databases: whatever is edited where, nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, col, select

from app.domain.records import (
    Decision,
    Link,
    LinkStatus,
    Mirror,
    PageKind,
    Relation,
    VaultProblem,
)
from app.errors import Unavailable
from app.services.vault.sync import Sync
from app.store import mirror, pages
from app.store.db import writing
from app.vault import journal
from app.vault.folder import Vault
from tests.factories import make_engine, make_link
from tests.services.vault.synced import NOW, Wiki, reading


def test_every_page_gets_a_file_called_by_its_title(wiki: Wiki) -> None:
    wiki.page("KV cache", "Keys and values.\n", PageKind.CONCEPT, aliases=("key cache",))
    wiki.page("What: is it?", "A question.\n")
    report = wiki.pass_()
    assert wiki.files() == ["concepts/KV cache.md", "notes/what-is-it.md"]
    assert sorted(report.written) == wiki.files()
    text = wiki.text("concepts/KV cache.md")
    assert "id: kv-cache\n" in text and "title: KV cache\n" in text and "key cache" in text
    assert text.endswith("Keys and values.\n")
    wiki.agree()
    assert wiki.pass_().done == 0


def test_many_files_gone_at_once_are_not_believed(wiki: Wiki) -> None:
    for number in range(30):
        wiki.page(f"Page {number}", f"{number}\n")
    wiki.pass_()
    for path in wiki.files()[:25]:
        wiki.file(path).unlink()
    report = wiki.pass_()
    assert not report.removed and "--deletions" in report.refused[""]
    assert [row.path for row in wiki.all(VaultProblem)] == [""]
    report = wiki.pass_(deletions=True)
    assert len(report.removed) == 25
    assert not wiki.all(VaultProblem)
    assert len(wiki.files()) == 5


def test_a_folder_that_vanished_deletes_nothing(wiki: Wiki) -> None:
    slug = wiki.page("One", "Text.\n")
    wiki.pass_()
    wiki.root.rename(wiki.root.with_name("away"))
    with pytest.raises(Unavailable, match="cerebro sync --anew"):
        wiki.pass_()
    wiki.root.mkdir()
    with pytest.raises(Unavailable):
        wiki.pass_()
    assert wiki.read(slug).body == "Text.\n"
    wiki.root.rmdir()
    wiki.root.with_name("away").rename(wiki.root)
    assert wiki.pass_().done == 0
    wiki.root.rename(wiki.root.with_name("away"))
    wiki.sync.open(anew=True)
    wiki.pass_()
    wiki.agree()


def test_the_vault_of_another_wiki_is_left_alone(wiki: Wiki, tmp_path: Path) -> None:
    wiki.page("One", "Text.\n")
    wiki.pass_()
    (tmp_path / "other").mkdir()
    other = make_engine(tmp_path / "other")
    with pytest.raises(Unavailable, match="another wiki"):
        Sync(other, Vault(wiki.root), clock=lambda: NOW).open()
    other.dispose()


def test_a_sync_that_remembers_nothing_agrees_with_what_stands(wiki: Wiki) -> None:
    for number in range(5):
        wiki.page(f"Page {number}", f"{number}\n", tags=("t",))
    wiki.pass_()
    with writing(wiki.engine) as session:
        mirror.mark_all(session)
        session.flush()
    before = {path: wiki.file(path).read_bytes() for path in wiki.files()}
    report = wiki.pass_()
    assert not report.made and not report.written and not report.conflicts
    assert {path: wiki.file(path).read_bytes() for path in wiki.files()} == before
    wiki.agree()


def test_a_folder_that_goes_in_the_middle_of_a_pass_deletes_nothing(wiki: Wiki) -> None:
    slugs = [wiki.page(f"Page {number}", "Text.\n") for number in range(3)]
    wiki.pass_()
    wiki.sync.begin()
    wiki.sync.open()
    wiki.root.rename(wiki.root.with_name("elsewhere"))
    wiki.root.mkdir()  # as an empty place is left where a disk was
    wiki.sync.look()
    with pytest.raises(Unavailable, match="nothing was deleted"):
        wiki.sync.look()
    assert {wiki.read(slug).kind for slug in slugs} == {PageKind.NOTE}
    wiki.root.rmdir()
    wiki.root.with_name("elsewhere").rename(wiki.root)
    assert not wiki.pass_().removed
    wiki.agree()


def test_a_read_only_folder_is_one_sentence_and_recovers(wiki: Wiki) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    wiki.page("One", "Text.\n")
    wiki.pass_()
    wiki.page("Two", "Text.\n")
    wiki.file("notes").chmod(0o555)
    with pytest.raises(Unavailable, match="permissions"):
        wiki.pass_()
    wiki.file("notes").chmod(0o755)
    wiki.pass_()
    wiki.agree()


class Killed(BaseException):
    """The process ends here."""


def steps(monkeypatch: pytest.MonkeyPatch, at: int) -> list[str]:
    """Let the `at`-th step of a sync be its last: a commit, or something done to a file."""
    seen: list[str] = []

    def stepping(name: str, inner: Any) -> Any:
        def run(*given: Any, **named: Any) -> Any:
            seen.append(name)
            if len(seen) == at:
                raise Killed
            found = inner(*given, **named)
            seen.append(f"{name}, done")
            if len(seen) == at:
                raise Killed
            return found

        return run

    monkeypatch.setattr(Session, "commit", stepping("commit", Session.commit))
    for name in ("write", "remove", "move", "forget"):
        monkeypatch.setattr(Vault, name, stepping(name, getattr(Vault, name)))
    for name in ("companion", "append"):
        monkeypatch.setattr(journal, name, stepping(name, getattr(journal, name)))
    return seen


def test_killed_at_any_step_the_next_pass_puts_it_right(tmp_path: Path) -> None:
    killed = 0
    for at in range(1, 400):
        (tmp_path / str(at)).mkdir()
        wiki = Wiki(tmp_path / str(at))
        slug = wiki.page("One", "One.\n\nTwo.\n\nThree.\n", tags=("a",))
        other = wiki.page("Other", "Else.\n")
        gone = wiki.page("Gone", "Gone.\n")
        with writing(wiki.engine) as session:
            source, target = pages.get(session, slug), pages.get(session, other)
            make_link(session, source.id or 0, target.id or 0, Relation.USES)
        wiki.pass_()
        wiki.edit(slug, "One here.\n\nTwo.\n\nThree.\n")
        wiki.replace("notes/One.md", "Three.", "Three there.")
        wiki.replace("notes/One.md", 'uses:\n  - "[[Other]]"\n', "")
        wiki.file("notes/Other.md").rename(wiki.file("notes/Renamed.md"))
        wiki.file("notes/Gone.md").unlink()
        wiki.file("notes/New.md").write_text("New.\n")
        with pytest.MonkeyPatch.context() as patch:
            seen = steps(patch, at)
            try:
                wiki.pass_()
            except Killed:
                killed += 1
            over = len(seen) < at
        wiki.sync = wiki.started()
        wiki.pass_()
        wiki.agree()
        assert wiki.read(slug).body == "One here.\n\nTwo.\n\nThree there.\n"
        assert wiki.content(other).title == "Renamed"
        assert wiki.read("new").body == "New.\n"
        with reading(wiki.engine) as session:
            assert pages.by_slug(session, gone) is None
            assert all(link.status is LinkStatus.REJECTED for link in session.exec(select(Link)))
            decided = session.exec(select(Decision.id).where(col(Decision.link_id).is_not(None)))
            assert len(list(decided)) == 1
        lines = [line["n"] for line in journal.decisions(Vault(wiki.root))]
        assert set(lines) == {row.id for row in wiki.all(Decision)}
        assert len(wiki.all(Mirror)) == 3
        wiki.engine.dispose()
        if over:
            break
    assert killed > 20
