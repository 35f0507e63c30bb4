"""The vault's git repository: real ones, read back by git itself where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dulwich import porcelain
from dulwich.repo import Repo

from app.errors import Conflict, Unavailable
from app.vault import git
from app.vault.git import Changed

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
GIT = shutil.which("git")
with_git = pytest.mark.skipif(GIT is None, reason="git is not installed")


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration of the machine's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    root = tmp_path / "vault"
    for path, text in {
        "concepts/KV cache.md": "Keys and values.\n",
        "papers/Zürich — a paper.md": "Of tea.\r\n",
        ".cerebro/vault.json": "{}\n",
        ".cerebro/pages/kv-cache.json": "{}\n",
        ".cerebro/replaced/old.md": "What stood here.\n",
        ".obsidian/app.json": "{}\n",
        "notes/~tmp.tmp.md": "half",
        "image.png": "not a page",
    }.items():
        write(root, path, text)
    return root


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(text.encode())


def commit(root: Path, *, author: str = git.MACHINE, patience: float = 0.2) -> str:
    def say(changed: Changed) -> tuple[str, str]:
        told = [*changed.new, *changed.changed, *(f"-{path}" for path in changed.gone)]
        return "\n".join(["Said", "", *told]), author

    return git.record(root, say, now=NOW, patience=patience)


def tree(root: Path, revision: bytes = b"HEAD") -> dict[str, bytes]:
    with closing(Repo(str(root))) as repo:
        commit_id = repo.refs[revision]  # type: ignore[index]
        entries = git._tree(repo, commit_id)
        return {os.fsdecode(p): repo[sha].as_raw_string() for p, (sha, _) in entries.items()}


def run(root: Path, *words: str) -> str:
    assert GIT
    done = subprocess.run([GIT, *words], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


OURS = {
    "concepts/KV cache.md": b"Keys and values.\n",
    "papers/Zürich — a paper.md": b"Of tea.\r\n",
    ".cerebro/vault.json": b"{}\n",
    ".cerebro/pages/kv-cache.json": b"{}\n",
}


def test_a_vault_becomes_a_repository_of_its_own_files(vault: Path) -> None:
    assert len(commit(vault)) == 40
    assert tree(vault) == OURS
    assert commit(vault) == "", "nothing changed"


@with_git
def test_git_reads_what_was_written(vault: Path) -> None:
    commit(vault)
    write(vault, "concepts/KV cache.md", "Keys, values and time.\n")
    write(vault, "concepts/-rf.md", "A name that looks like an option.\n")
    (vault / "papers/Zürich — a paper.md").unlink()
    commit(vault, author="A Reader <reader@example.org>")
    run(vault, "fsck", "--strict")
    assert run(vault, "log", "--format=%an <%ae>|%cn|%s").splitlines() == [
        "A Reader <reader@example.org>|cere-bro|Said",
        "cere-bro <cere-bro@localhost>|cere-bro|Said",
    ]
    assert run(vault, "-c", "core.quotepath=off", "status", "--porcelain").splitlines() == [
        "?? .obsidian/", "?? image.png", "?? notes/",
    ]  # fmt: skip
    assert run(vault, "branch", "--show-current").strip() == "main"
    assert "commit: Said" in run(vault, "reflog")
    changes = run(vault, "-c", "core.quotepath=off", "show", "--name-status", "--format=", "HEAD")
    assert sorted(changes.split("\n")) == [
        "", "A\tconcepts/-rf.md", "D\tpapers/Zürich — a paper.md", "M\tconcepts/KV cache.md",
    ]  # fmt: skip


def test_what_else_a_repository_holds_stays_as_it_is(vault: Path) -> None:
    with closing(Repo.init(str(vault), default_branch=b"mine")) as repo:
        config = repo.get_config()
        config.set((b"remote", b"origin"), b"url", b"ssh://example.org/x")
        config.set((b"user",), b"name", b"A <Reader")
        config.set((b"user",), b"email", b"reader@example.org")
        config.write_to_path()
    hook = vault / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {vault}/hooked\nexit 1\n")
    hook.chmod(0o755)
    porcelain.add(str(vault), [str(vault / "image.png")])
    porcelain.commit(
        str(vault), message=b"Mine", author=b"me <me@x>", committer=b"me <me@x>", no_verify=True
    )
    (vault / "image.png").write_text("changed, and not ours to commit")
    before = {
        path: path.read_bytes()
        for path in sorted((vault / ".git").rglob("*"))
        if path.is_file() and path.name in ("config", "pre-commit", "description", "exclude")
    }
    assert commit(vault, author="")
    assert all(path.read_bytes() == data for path, data in before.items())
    assert not (vault / "hooked").exists()
    assert tree(vault) == OURS | {"image.png": b"not a page"}
    with closing(Repo(str(vault))) as repo:
        made = repo[repo.head()]
        assert made.author == b"A Reader <reader@example.org>"  # type: ignore[attr-defined]
        assert repo.refs.read_ref(b"HEAD") == b"ref: refs/heads/mine"  # type: ignore[arg-type]
        assert sorted(repo.refs.allkeys()) == [b"HEAD", b"refs/heads/mine"]


def test_what_somebody_staged_is_theirs(vault: Path) -> None:
    commit(vault)
    write(vault, "concepts/KV cache.md", "Staged.\n")
    porcelain.add(str(vault), [str(vault / "concepts/KV cache.md")])
    index = (vault / ".git/index").read_bytes()
    with pytest.raises(Conflict, match="staged"):
        commit(vault)
    assert (vault / ".git/index").read_bytes() == index
    assert tree(vault) == OURS
    porcelain.commit(str(vault), message=b"Mine", author=b"me <me@x>", committer=b"me <me@x>")
    write(vault, "concepts/Tea.md", "Now it goes on.\n")
    assert commit(vault)
    assert tree(vault)["concepts/KV cache.md"] == b"Staged.\n"


def test_a_killed_commit_is_brought_to_its_end(
    vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def commit_half() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(git, "write_index_dict", killed)  # the branch moved, the index did not
            with pytest.raises(KeyboardInterrupt):
                commit(vault)

    commit_half()
    assert tree(vault) == OURS
    assert commit(vault) == ""
    write(vault, "concepts/KV cache.md", "More.\n")
    commit_half()
    write(vault, "concepts/Tea.md", "Tea.\n")
    assert commit(vault)
    assert tree(vault)["concepts/KV cache.md"] == b"More.\n"
    if GIT:
        run(vault, "fsck", "--strict")
        assert "concepts" not in run(vault, "status", "--porcelain")


def test_a_lock_is_waited_for_and_told(vault: Path) -> None:
    commit(vault)
    write(vault, "concepts/Tea.md", "Tea.\n")
    lock = vault / ".git/index.lock"
    lock.write_bytes(b"")
    with pytest.raises(Unavailable, match=r"index\.lock is there"):
        commit(vault)
    assert lock.exists(), "it is not ours to take away"

    def release() -> None:
        time.sleep(0.3)
        lock.unlink()

    other = threading.Thread(target=release)
    other.start()
    assert commit(vault, patience=20)
    other.join()
    (vault / ".git/refs/heads/main.lock").write_bytes(b"")
    write(vault, "concepts/Tea.md", "Cold tea.\n")
    with pytest.raises(Unavailable, match=r"main\.lock is there"):
        commit(vault)
    assert not lock.exists()
    (vault / ".git/refs/heads/main.lock").unlink()
    assert commit(vault)


@pytest.mark.parametrize("name", ["MERGE_HEAD", "rebase-merge", "CHERRY_PICK_HEAD"])
def test_nothing_is_committed_in_the_middle_of_something(vault: Path, name: str) -> None:
    commit(vault)
    (vault / ".git" / name).write_bytes(b"")
    write(vault, "concepts/Tea.md", "Tea.\n")
    with pytest.raises(Conflict, match="under way"):
        commit(vault)
    assert "concepts/Tea.md" not in tree(vault)


def test_a_head_at_no_branch_is_left_there(vault: Path) -> None:
    first = commit(vault)
    (vault / ".git/HEAD").write_text(f"{first}\n")
    write(vault, "concepts/Tea.md", "Tea.\n")
    with pytest.raises(Conflict, match="No branch"):
        commit(vault)


def test_a_larger_repository_is_not_ours(vault: Path, tmp_path: Path) -> None:
    outer = tmp_path
    with closing(Repo.init(str(outer))):
        pass
    with pytest.raises(Conflict, match="lies in the git repository"):
        commit(vault)
    assert not (vault / ".git").exists()
    (outer / ".gitignore").write_text("vault/\n")
    assert commit(vault)
    assert tree(vault) == OURS


def test_what_is_ignored_or_a_link_or_another_repository_stays_out(
    vault: Path, tmp_path: Path
) -> None:
    write(vault, ".gitignore", "secret.md\n")
    write(vault, "notes/secret.md", "mine alone")
    (tmp_path / "elsewhere.md").write_text("out of the vault")
    (vault / "notes/link.md").symlink_to(tmp_path / "elsewhere.md")
    (vault / "notes/x.md").mkdir()
    (vault / "away").symlink_to(tmp_path)
    inner = vault / "inner"
    inner.mkdir()
    write(inner, "page.md", "of another repository")
    with closing(Repo.init(str(inner))):
        pass
    commit(vault)
    assert tree(vault) == OURS


def test_a_file_that_is_a_link_by_now_is_not_gone(vault: Path, tmp_path: Path) -> None:
    commit(vault)
    (tmp_path / "elsewhere.md").write_text("out of the vault")
    (vault / "concepts/KV cache.md").unlink()
    (vault / "concepts/KV cache.md").symlink_to(tmp_path / "elsewhere.md")
    assert commit(vault) == ""
    assert tree(vault) == OURS


def test_a_folder_that_cannot_be_listed_takes_nothing_out(
    vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(vault)
    real = os.scandir

    def refused(path: object = ".") -> object:
        if str(path).endswith("concepts"):
            raise PermissionError(13, "no")
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(Unavailable, match="cannot be listed"):
        commit(vault)
    monkeypatch.undo()
    assert tree(vault) == OURS


def test_a_repository_that_cannot_be_read_is_told(vault: Path) -> None:
    commit(vault)
    (vault / ".git/index").write_bytes(b"DIRC\0\0\0\2\0\0\xff\xffnonsense")
    write(vault, "concepts/Tea.md", "Tea.\n")
    with pytest.raises(Unavailable, match="cannot be read"):
        commit(vault)
    assert not (vault / ".git/index.lock").exists()


@pytest.mark.parametrize(
    "leads", ["a file", "a link", "a part is a link", "commondir", "objects/info/alternates"]
)
def test_a_repository_elsewhere_is_not_followed(vault: Path, tmp_path: Path, leads: str) -> None:
    other, own = tmp_path / "other", vault / ".git"
    other.mkdir()
    write(other, "concepts/Sea.md", "Salt.\n")
    commit(other)
    was = tree(other)
    if leads == "a file":
        own.write_text(f"gitdir: {other / '.git'}\n")
    elif leads == "a link":
        own.symlink_to(other / ".git", target_is_directory=True)
    else:
        commit(vault)
        if leads == "a part is a link":
            shutil.rmtree(own / "refs/heads")
            (own / "refs/heads").symlink_to(other / ".git/refs/heads", target_is_directory=True)
        else:
            (own / leads).parent.mkdir(parents=True, exist_ok=True)
            (own / leads).write_text(f"{other / '.git'}\n")
    write(vault, "concepts/Tea.md", "Tea.\n")
    with pytest.raises(Conflict, match="elsewhere"):
        commit(vault)
    assert tree(other) == was


def test_many_files_go_in_as_packs_and_what_stands_is_not_read_again(
    vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(200):
        write(vault, f"notes/Page {number}.md", f"Page {number}.\n")
    commit(vault)
    assert len(tree(vault)) == len(OURS) + 200
    assert len(list((vault / ".git/objects/pack").glob("*.pack"))) == 1
    time.sleep(0.02)
    write(vault, "notes/Page 7.md", "Seven.\n")
    read: list[str] = []
    real = git._no_links
    monkeypatch.setattr(
        git, "_no_links", lambda path, flags: (read.append(path), real(path, flags))[1]
    )
    os.utime(vault / ".git/index", ns=(time.time_ns() + 10**9,) * 2)
    commit(vault)
    assert [Path(path).name for path in read] == ["Page 7.md"]
    assert tree(vault)["notes/Page 7.md"] == b"Seven.\n"


def test_a_save_within_the_moment_of_a_commit_is_seen(vault: Path) -> None:
    for text in ("one\n", "two\n", "six\n"):  # all of one length, and in one tick of the clock
        write(vault, "concepts/KV cache.md", text)
        assert commit(vault)
        assert tree(vault)["concepts/KV cache.md"] == text.encode()
