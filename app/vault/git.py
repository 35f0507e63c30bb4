"""The vault as a git repository: its own files committed, and nothing else of it touched.

Objects, one branch and the index are written as git writes them, by dulwich; no hook is run, no
configuration, remote or other branch changed, and no program called. What git itself would not do
unasked is not done: nothing is committed over changes that somebody staged, or in the middle of a merge.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dulwich.errors import NotGitRepository
from dulwich.file import FileLocked, GitFile
from dulwich.ignore import IgnoreFilterManager
from dulwich.index import (
    ConflictedIndexEntry,
    IndexChecksumWriter,
    IndexEntry,
    commit_tree,
    read_index_dict_with_version,
    write_index_dict,
)
from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.object_store import iter_tree_contents
from dulwich.objects import Blob, Commit
from dulwich.refs import SYMREF
from dulwich.repo import Repo

from app.errors import CerebroError, Conflict, Unavailable
from app.vault.names import is_page

BRANCH = b"main"
MACHINE = "cere-bro <cere-bro@localhost>"
PATIENCE = 5.0  # seconds that a lock of somebody else's is waited for
_FILE = 0o100644
_PACK = 50  # objects from which on they are written as one pack
_CHUNK = 2_000  # objects of one pack
_UNDER_WAY = {
    "MERGE_HEAD": "A merge",
    "CHERRY_PICK_HEAD": "A cherry-pick",
    "REVERT_HEAD": "A revert",
    "BISECT_LOG": "A bisect",
    "rebase-merge": "A rebase",
    "rebase-apply": "A rebase",
}
_MACHINERY = (".cerebro/vault.json", ".cerebro/decisions.jsonl")
_COMPANIONS = ".cerebro/pages/"


@dataclass(frozen=True)
class Changed:
    """Paths of the vault's own files that are another than in the last commit."""

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone)


def is_own(path: str) -> bool:
    """Whether a file of this path is one that the vault is made of: a page, or what goes with pages."""
    if path in _MACHINERY or (path.startswith(_COMPANIONS) and path.endswith(".json")):
        return True
    return is_page(path)


def record(
    root: Path,
    say: Callable[[Changed], tuple[str, str]],
    *,
    now: datetime,
    patience: float = PATIENCE,
) -> str:
    """Commit what changed of the vault's own files; the commit's id, "" when nothing did.

    `say` gives the message and the author ("Name <mail>", "" for whom git is told of, else the
    machine). A vault without a repository becomes one. Raises Conflict, in words, when that or the
    commit is not for us to make; Unavailable when a lock is held, or git's files cannot be read.
    """
    root = root.resolve()
    try:
        if not os.path.lexists(root / ".git"):
            _begin(root)
        _check_own(root)
        with closing(Repo(str(root))) as repo:
            return _record(repo, root, say, now=now, patience=patience)
    except CerebroError:
        raise
    except FileLocked as error:
        raise Unavailable(_locked(error)) from error
    except Exception as error:
        # What is odd in somebody's repository is told, and keeps nothing else of the wiki from working.
        raise Unavailable(
            f"The git repository of the vault cannot be read or written "
            f"({type(error).__name__}: {str(error)[:200]}). Nothing was committed; `git fsck` says more."
        ) from error


def _locked(error: FileLocked) -> str:
    name = os.path.basename(os.fsdecode(error.lockfilename))
    return (
        f"Another program is at the vault's git repository ({name} is there). Nothing was committed; "
        "it is tried again. If no program is, delete that file."
    )


# ---------------------------------------------------------------- a repository of its own


def _begin(root: Path) -> None:
    """Make the vault a repository, whole or not at all."""
    _check_around(root)
    beside = root / ".cerebro" / "git.new"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    with closing(Repo.init(str(beside), default_branch=BRANCH)) as repo:
        exclude = Path(repo.controldir()) / "info" / "exclude"
        exclude.parent.mkdir(exist_ok=True)
        exclude.write_text(".cerebro/replaced/\n.cerebro/git.new/\n*.tmp\n", encoding="utf-8")
    os.rename(beside / ".git", root / ".git")
    shutil.rmtree(beside, ignore_errors=True)


def _check_own(root: Path) -> None:
    """Raises Conflict unless the repository is all within the vault, where nothing leads out of it.

    A `.git` that is a file or a link names a repository elsewhere, and so may what is in it: a vault
    that came from somebody else would have commits made wherever it likes.
    """
    control = root / ".git"
    if not stat.S_ISDIR(os.lstat(control).st_mode):
        raise Conflict(
            "The vault's .git is a file or a link that leads to a repository elsewhere, which is not "
            "cere-bro's to commit to. Nothing was committed. Make the vault a repository of its own: "
            "move .git away, then it is made."
        )
    for name in ("commondir", "objects/info/alternates"):
        if os.path.lexists(control / name):
            raise Conflict(
                f"The vault's git repository keeps a part of itself elsewhere (.git/{name}). Nothing "
                "was committed. Make a clone of it that is whole (git clone --no-hardlinks), and let "
                "the vault be that."
            )
    for name in ("", "objects", "refs", "refs/heads", "index", "HEAD", "logs"):
        if os.path.islink(control / name):
            raise Conflict(
                f"In the vault's git repository .git/{name} is a link that leads elsewhere. Nothing was "
                "committed. Put what it leads to in its place."
            )


def _check_around(root: Path) -> None:
    """Raises Conflict when the folder belongs to a larger repository, which does not ignore it."""
    for folder in root.parents:
        if not os.path.lexists(folder / ".git"):
            continue
        try:
            with closing(Repo(str(folder))) as outer:
                inside = f"{root.relative_to(folder).as_posix()}/"
                if IgnoreFilterManager.from_repo(outer).is_ignored(inside):
                    return
        except NotGitRepository:
            continue
        raise Conflict(
            f"The vault lies in the git repository {folder}, which is not cere-bro's to commit to. "
            "Add the vault to its .gitignore, or make the vault a repository yourself (git init)."
        )


# ---------------------------------------------------------------- a commit


def _record(
    repo: Repo,
    root: Path,
    say: Callable[[Changed], tuple[str, str]],
    *,
    now: datetime,
    patience: float,
) -> str:
    branch, head = _branch(repo)
    index_path = repo.index_path()
    lock = _lock(index_path, patience)
    try:
        entries, version = _index(index_path)
        stale = _is_behind(repo, entries, head)
        if stale:
            entries = _brought_up(entries, _tree(repo, head))
        changed, made = _compare(repo, root, entries, _written_at(index_path))
        if not changed and not stale:
            lock.abort()
            return ""
        for path in changed.gone:
            del entries[os.fsencode(path)]
        entries.update(made)
        done = _move(repo, branch, head, entries, say, changed, now=now) if changed else ""
        # The branch first: an index that stayed behind is known again by the commit before.
        write_index_dict(writer := IndexChecksumWriter(lock), entries, version=version)
        writer.close()
        return done
    except BaseException:
        lock.abort()
        raise


def _branch(repo: Repo) -> tuple[Any, Any]:
    """The branch that is checked out, and its commit or None. Raises Conflict where there is none."""
    control = Path(repo.controldir())
    for name, words in _UNDER_WAY.items():
        if os.path.lexists(control / name):
            raise Conflict(
                f"{words} is under way in the vault's git repository. Finish it: then it goes on."
            )
    if repo.object_format != DEFAULT_OBJECT_FORMAT:
        raise Conflict("The vault's git repository names objects by SHA-256, which is not written.")
    found = repo.refs.read_ref(b"HEAD") or b""  # type: ignore[arg-type]
    if not found.startswith(SYMREF + b"refs/heads/"):
        raise Conflict(
            "No branch is checked out in the vault's git repository. Check one out: then it goes on."
        )
    branch = found[len(SYMREF) :]
    return branch, repo.refs.read_ref(branch)  # type: ignore[arg-type]


def _lock(index_path: str, patience: float) -> Any:
    until = time.monotonic() + patience
    while True:
        try:
            return GitFile(index_path, "wb")
        except FileLocked:
            if time.monotonic() >= until:
                raise
            time.sleep(0.1)


def _index(index_path: str) -> tuple[dict[bytes, IndexEntry], int | None]:
    """What the index says, and in which version. Raises Conflict for what it cannot be kept in."""
    try:
        with open(index_path, "rb") as file:
            entries, version, extensions = read_index_dict_with_version(file)
    except FileNotFoundError:
        return {}, None
    if any(bytes(each.signature)[:1].islower() for each in extensions):
        raise Conflict("The vault's git index is split or sparse, which is not written.")
    found: dict[bytes, IndexEntry] = {}
    for path, entry in entries.items():
        if isinstance(entry, ConflictedIndexEntry):
            raise Conflict(
                "Files of the vault's git repository are in conflict. Resolve them: then it goes on."
            )
        found[path] = entry
    return found, version


def _written_at(index_path: str) -> int:
    try:
        return os.stat(index_path).st_mtime_ns
    except FileNotFoundError:
        return 0


def _tree(repo: Repo, commit_id: Any) -> dict[bytes, tuple[Any, int]]:
    tree = repo[commit_id].tree  # type: ignore[attr-defined]
    return {
        each.path: (each.sha, each.mode) for each in iter_tree_contents(repo.object_store, tree)
    }


def _is_behind(repo: Repo, entries: Mapping[bytes, IndexEntry], head: Any) -> bool:
    """Whether the index stayed behind the last commit, which was ours, and nothing is staged.

    Raises Conflict when somebody staged something: it is theirs to commit.
    """
    staged = {path: (entry.sha, entry.mode) for path, entry in entries.items()}
    if staged == (_tree(repo, head) if head else {}):
        return False
    last = repo[head] if head else None
    if isinstance(last, Commit) and last.committer == MACHINE.encode():
        before = _tree(repo, last.parents[0]) if last.parents else {}
        if staged == before:
            return True
    raise Conflict(
        "Changes are staged in the vault's git repository that are not cere-bro's. Commit or unstage "
        "them: then it goes on."
    )


def _brought_up(
    entries: Mapping[bytes, IndexEntry], tree: Mapping[bytes, tuple[Any, int]]
) -> dict[bytes, IndexEntry]:
    """The entries of an index as they were to be at a commit; of what changed nothing is known by stat."""
    return {
        path: entry
        if (entry := entries.get(path)) is not None and entry.sha == sha
        else IndexEntry(0, 0, 0, 0, mode, 0, 0, 0, sha)
        for path, (sha, mode) in tree.items()
    }


def _compare(
    repo: Repo, root: Path, entries: Mapping[bytes, IndexEntry], written_at: int
) -> tuple[Changed, dict[bytes, IndexEntry]]:
    """What changed, and the entry of each file that has another now; new bytes are stored."""
    ignored, blobs = IgnoreFilterManager.from_repo(repo), _Blobs(repo)
    made: dict[bytes, IndexEntry] = {}
    new, changed, there = [], [], set()
    for path, place, found in _files(root):
        name = os.fsencode(path)
        there.add(name)
        if found is None:  # no file of ours, but something stands there
            continue
        entry = entries.get(name)
        if entry is None and ignored.is_ignored(path):
            continue
        if entry is not None and _is_as(entry, found, written_at):
            continue
        try:
            with open(place, "rb", opener=_no_links) as file:
                found, data = os.fstat(file.fileno()), file.read()
        except FileNotFoundError:
            continue  # it went this very moment: the next commit says so
        blob = Blob.from_string(data)
        is_new = entry is None or entry.sha != blob.id
        if is_new:
            blobs.add(blob)
        made[name] = _entry(found, blob.id, entry)
        if entry is None:
            new.append(path)
        elif is_new:
            changed.append(path)
    blobs.flush()
    gone = [
        path
        for name, entry in entries.items()
        if name not in there
        and not entry.skip_worktree
        and stat.S_ISREG(entry.mode)
        and is_own(path := os.fsdecode(name))
        and not os.path.lexists(root / path)
    ]
    return Changed(tuple(sorted(new)), tuple(sorted(changed)), tuple(sorted(gone))), made


def _no_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _files(root: Path) -> Iterator[tuple[str, str, os.stat_result | None]]:
    """The vault's own files: path, place and what stat says, None for what is no regular file.

    Raises Unavailable when a folder cannot be listed: its files are not gone.
    """
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as listed:
                found = sorted(listed, key=lambda each: each.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Unavailable(f"The folder {folder or root} cannot be listed: {error}") from error
        if folder and any(each.name == ".git" for each in found):
            continue  # a repository of its own
        for each in found:
            path = f"{folder}/{each.name}" if folder else each.name
            if each.is_dir(follow_symlinks=False):
                if not each.name.startswith(".") or path == ".cerebro":
                    folders.append(path)
            elif is_own(path):
                said = each.stat(follow_symlinks=False)
                yield path, each.path, said if stat.S_ISREG(said.st_mode) else None


def _is_as(entry: IndexEntry, found: os.stat_result, written_at: int) -> bool:
    """Whether a file is surely the one that the index speaks of, by what stat says."""
    seconds, rest = divmod(found.st_mtime_ns, 10**9)
    return (
        entry.size == found.st_size & 0xFFFFFFFF
        and entry.mtime == (seconds, rest)
        and entry.ino == found.st_ino & 0xFFFFFFFF
        # One that was written in the moment in which the index was may have been written once more.
        and found.st_mtime_ns < written_at
    )


def _entry(found: os.stat_result, blob: Any, before: IndexEntry | None) -> IndexEntry:
    return IndexEntry(
        ctime=divmod(found.st_ctime_ns, 10**9),
        mtime=divmod(found.st_mtime_ns, 10**9),
        dev=found.st_dev & 0xFFFFFFFF,
        ino=found.st_ino & 0xFFFFFFFF,
        mode=before.mode if before is not None else _FILE,
        uid=found.st_uid & 0xFFFFFFFF,
        gid=found.st_gid & 0xFFFFFFFF,
        size=found.st_size & 0xFFFFFFFF,
        sha=blob,
    )


class _Blobs:
    """Files' bytes on their way into the repository: a few as objects, many as packs."""

    def __init__(self, repo: Repo) -> None:
        self._store = repo.object_store
        self._waiting: list[Blob] = []

    def add(self, blob: Blob) -> None:
        self._waiting.append(blob)
        if len(self._waiting) >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        if len(self._waiting) < _PACK:
            for blob in self._waiting:
                self._store.add_object(blob)
        else:
            self._store.add_objects([(blob, None) for blob in self._waiting])
        self._waiting = []


def _move(
    repo: Repo,
    branch: Any,
    head: Any,
    entries: Mapping[bytes, IndexEntry],
    say: Callable[[Changed], tuple[str, str]],
    changed: Changed,
    *,
    now: datetime,
) -> str:
    """Make the commit and let the branch be at it; the commit's id."""
    message, author = say(changed)
    made = Commit()
    made.tree = commit_tree(
        repo.object_store, [(path, entry.sha, entry.mode) for path, entry in entries.items()]
    )
    made.parents = [head] if head else []
    made.author = (author or _identity(repo) or MACHINE).encode("utf-8", "replace")
    made.committer = MACHINE.encode()
    made.author_time = made.commit_time = int(now.timestamp())
    made.author_timezone = made.commit_timezone = 0
    made.encoding = b"UTF-8"
    made.message = message.encode("utf-8", "replace")
    repo.object_store.add_object(made)
    log: dict[str, Any] = {
        "committer": made.committer,
        "timestamp": made.commit_time,
        "timezone": 0,
        "message": b"commit: " + made.message.split(b"\n", 1)[0],
    }
    moved = (
        repo.refs.set_if_equals(branch, head, made.id, **log)
        if head
        else repo.refs.add_if_new(branch, made.id, **log)
    )
    if not moved:
        raise Unavailable(
            "Somebody else committed to the vault's git repository meanwhile. It is tried again."
        )
    return str(made.id.decode("ascii"))


def _identity(repo: Repo) -> str:
    """Who git is told to commit as, in its own configuration; "" for nobody."""
    config = repo.get_config_stack()
    try:
        name, mail = (config.get((b"user",), key).decode() for key in (b"name", b"email"))
    except (KeyError, UnicodeDecodeError):
        return ""
    plain = [" ".join(part.translate(_NO_NAME).split()) for part in (name, mail)]
    return "{} <{}>".format(*plain) if all(plain) else ""


_NO_NAME = str.maketrans("<>\0\r", "    ")
