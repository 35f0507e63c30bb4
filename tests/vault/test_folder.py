"""The folder of the vault: whatever lies in it, no byte of a person's is lost."""

from __future__ import annotations

import errno
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from app.errors import Conflict, NotFound, Unavailable, Unreadable
from app.vault import folder
from app.vault.folder import MAX_FILE, Vault, VaultState


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = Vault(tmp_path / "vault")
    vault.claim("w")
    return vault


def _put(vault: Vault, path: str, data: bytes = b"text") -> Path:
    place = vault.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


def _all_files(vault: Vault) -> list[str]:
    return sorted(
        str(path.relative_to(vault.root))
        for path in vault.root.rglob("*")
        if path.is_file() and path.name != "vault.json"
    )


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    """The nearest to a full disk that needs no rights: longer files fail half-written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# ---------------------------------------------------------------- what stands there


def test_a_folder_is_new_ours_or_another_wikis(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    assert vault.state("w") is VaultState.NEW
    (tmp_path / "vault" / ".obsidian").mkdir(parents=True)
    assert vault.state("w") is VaultState.NEW
    _put(vault, "mine.md")
    assert vault.state("w") is VaultState.FOREIGN
    assert vault.mark() == ""
    vault.claim("w")
    assert vault.state("w") is VaultState.OURS
    assert Vault(tmp_path / "vault").state("other") is VaultState.FOREIGN
    assert vault.mark() == "w"
    (vault.root / folder.MARK).unlink()
    assert vault.state("w", remembered=True) is VaultState.GONE
    assert Vault(tmp_path / "nowhere").state("w", remembered=True) is VaultState.GONE


@pytest.mark.parametrize("mark", [b"", b"{", b"[1]", b'{"wiki": 3}', b"\xff", b"[" * 100_000])
def test_a_torn_mark_is_none(tmp_path: Path, mark: bytes) -> None:
    vault = Vault(tmp_path)
    vault.claim("w")
    (vault.root / folder.MARK).write_bytes(mark)
    assert vault.mark() == ""


def test_a_file_where_the_vault_should_be_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "vault").write_text("x")
    vault = Vault(tmp_path / "vault")
    with pytest.raises(Unavailable, match="is not a folder"):
        vault.state("w")
    with pytest.raises(Unavailable):
        vault.claim("w")
    with pytest.raises(Unavailable):
        vault.scan()


def test_a_look_finds_pages_and_nothing_else(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(vault, "a.md")
    _put(vault, "deep/er/b.MD", b"12345")
    for other in ("c.txt", ".hidden.md", ".obsidian/x.md", "d.md~", "e.sync-conflict-1.md"):
        _put(vault, other)
    (vault.root / "folder.md").mkdir()
    _put(vault, "folder.md/inside.md")
    os.mkfifo(vault.root / "pipe.md")
    # By a short name: the address of a socket has a hundred bytes.
    monkeypatch.chdir(vault.root)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("socket.md")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("canary")
    (vault.root / "link.md").symlink_to(outside / "secret.md")
    (vault.root / "links").symlink_to(outside)
    (vault.root / "loop").symlink_to(vault.root)
    (vault.root / "dangling.md").symlink_to("nowhere")
    with open(os.fsencode(vault.root) + b"/caf\xe9.md", "wb"):
        pass
    seen = vault.scan()
    assert [(file.path, file.size) for file in seen] == [
        ("a.md", 4),
        ("deep/er/b.MD", 5),
        ("folder.md/inside.md", 4),
    ]
    assert set(vault.problems) == {
        "pipe.md",
        "socket.md",
        "link.md",
        "dangling.md",
        "caf\\udce9.md",
    }
    assert all(reason.endswith(".") for reason in vault.problems.values())


def test_a_folder_that_cannot_be_read_stops_no_look(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(vault, "closed/a.md")
    _put(vault, "open/b.md")
    real = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "no")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert [seen.path for seen in vault.scan()] == ["open/b.md"]
    assert vault.problems == {"closed": "closed cannot be read: the permissions do not allow it."}
    assert vault.could_be_there("closed/a.md") and not vault.could_be_there("open/a.md")


def test_a_very_deep_folder_stops_no_look(vault: Vault) -> None:
    _put(vault, "a.md")
    name = "d" * 200
    here = os.getcwd()
    os.chdir(vault.root)
    try:
        for _ in range(25):
            os.mkdir(name)
            os.chdir(name)
        Path("far.md").write_text("x")
    finally:
        os.chdir(here)
    assert [seen.path for seen in vault.scan()] == ["a.md"]
    assert any("too long" in reason for reason in vault.problems.values())


# ---------------------------------------------------------------- reading


def test_a_file_is_read_with_its_state(vault: Vault) -> None:
    place = _put(vault, "notes/a.md", b"\xef\xbb\xbfa\r\n")
    data, seen = vault.read("notes/a.md")
    assert data == b"\xef\xbb\xbfa\r\n"
    assert (seen.size, seen.mtime_ns) == (6, place.stat().st_mtime_ns)
    with pytest.raises(NotFound):
        vault.read("notes/b.md")
    with pytest.raises(NotFound):
        vault.read("nowhere/b.md")


def test_what_is_no_file_or_too_large_is_refused_in_words(vault: Vault) -> None:
    (vault.root / "folder.md").mkdir()
    os.mkfifo(vault.root / "pipe.md")
    with open(vault.root / "huge.md", "wb") as file:
        file.truncate(MAX_FILE + 1)
    for path in ("folder.md", "pipe.md", "huge.md"):
        with pytest.raises((Unreadable, Unavailable), match=r"\.$"):
            vault.read(path)


@pytest.mark.parametrize(
    "path",
    ["../out.md", "/etc/passwd", "a/../../b.md", "", "a//b.md", "./a.md", "a\x00.md", "a\udcff"],
)
def test_no_path_leads_out_of_the_vault(vault: Vault, path: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: vault.read(path),
        lambda: vault.write(path, b"x", expected=None),
        lambda: vault.remove(path, expected=_hash(b"")),
        lambda: vault.move(path, "b.md"),
        lambda: vault.move("a.md", path),
    ]
    _put(vault, "a.md")
    for call in calls:
        with pytest.raises(Unavailable, match="is no path in the vault"):
            call()
    assert _all_files(vault) == ["a.md"]


def test_nothing_is_read_or_written_through_a_link(vault: Vault, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.md").write_bytes(b"theirs")
    (vault.root / "link.md").symlink_to(outside / "x.md")
    (vault.root / "dangling.md").symlink_to(outside / "new.md")
    (vault.root / "linked").symlink_to(outside)
    for path in ("link.md", "dangling.md", "linked/x.md", "linked/new.md"):
        with pytest.raises(Unavailable):
            vault.read(path)
        for expected in (None, _hash(b"theirs")):
            with pytest.raises(Unavailable):
                vault.write(path, b"ours", expected=expected)
        with pytest.raises(Unavailable):
            vault.remove(path, expected=_hash(b"theirs"))
    assert [(p.name, p.read_bytes()) for p in outside.iterdir()] == [("x.md", b"theirs")]
    assert (vault.root / "link.md").is_symlink()


def test_the_hidden_folder_is_no_way_out_either(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    root = tmp_path / "vault"
    root.mkdir()
    (root / ".cerebro").symlink_to(outside)
    with pytest.raises(Unavailable, match="is a link"):
        Vault(root).claim("w")
    with pytest.raises(Unavailable, match="is a link"):
        Vault(root).write("a.md", b"x", expected=None)
    assert list(outside.iterdir()) == []


# ---------------------------------------------------------------- writing


def test_a_new_file_is_written_with_its_folder(vault: Vault) -> None:
    written = vault.write("mine/deep/a.md", b"one", expected=None)
    place = vault.root / "mine/deep/a.md"
    assert place.read_bytes() == b"one"
    assert written.displaced is None
    assert written.seen == vault.read("mine/deep/a.md")[1]
    assert vault.scan() == [written.seen]
    assert _all_files(vault) == ["mine/deep/a.md"]


def test_a_file_is_replaced_where_it_is_what_was_seen(vault: Vault) -> None:
    place = _put(vault, "a.md", b"one")
    place.chmod(0o640)
    written = vault.write("a.md", b"two", expected=_hash(b"one"))
    assert place.read_bytes() == b"two"
    assert written.displaced is None and written.seen == vault.read("a.md")[1]
    assert place.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("expected", [None, _hash(b"other")])
def test_what_was_not_seen_is_not_written_over(vault: Vault, expected: str | None) -> None:
    _put(vault, "a.md", b"theirs")
    with pytest.raises(Conflict):
        vault.write("a.md", b"ours", expected=expected)
    assert (vault.root / "a.md").read_bytes() == b"theirs"
    assert _all_files(vault) == ["a.md"]


def test_a_file_that_is_gone_is_not_made_again(vault: Vault) -> None:
    with pytest.raises(NotFound):
        vault.write("a.md", b"ours", expected=_hash(b"one"))
    assert _all_files(vault) == []


def test_a_folder_in_the_place_of_a_file_is_left(vault: Vault) -> None:
    (vault.root / "a.md").mkdir()
    for expected in (None, _hash(b"")):
        with pytest.raises(Unavailable, match="not a file"):
            vault.write("a.md", b"ours", expected=expected)
    _put(vault, "b", b"a file")
    with pytest.raises(Unavailable, match="not in a folder"):
        vault.write("b/a.md", b"ours", expected=None)


def test_a_write_in_that_very_moment_is_not_lost(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody saves, by a rename as editors do, after the last look and before the exchange."""
    _put(vault, "a.md", b"one")
    real = folder._write_new

    def late(place: Path, data: bytes, *, mode: int | None) -> os.stat_result:
        status = real(place, data, mode=mode)
        if data == b"ours":
            (vault.root / "beside").write_bytes(b"theirs")
            os.replace(vault.root / "beside", vault.root / "a.md")
        return status

    monkeypatch.setattr(folder, "_write_new", late)
    with pytest.raises(Conflict):
        vault.write("a.md", b"ours", expected=_hash(b"one"))
    assert (vault.root / "a.md").read_bytes() == b"theirs"
    assert _all_files(vault) == ["a.md"]


def test_on_a_disk_without_exchange_the_displaced_text_is_kept(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "_swapper", lambda: None)
    _put(vault, "a.md", b"one")
    assert vault.write("a.md", b"two", expected=_hash(b"one")).displaced is None
    real = folder._write_new

    def late(place: Path, data: bytes, *, mode: int | None) -> os.stat_result:
        if data == b"ours":
            (vault.root / "a.md").write_bytes(b"theirs")
        return real(place, data, mode=mode)

    monkeypatch.setattr(folder, "_write_new", late)
    written = vault.write("a.md", b"ours", expected=_hash(b"two"))
    assert written.displaced == b"theirs"
    assert [tuple(stray) for stray in vault.strays()] == [("a.md", b"theirs")]
    vault.forget(written.kept)
    assert vault.strays() == []


def test_without_hard_links_a_new_file_is_renamed_there(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_link)
    monkeypatch.setattr(folder, "_swapper", lambda: None)
    vault.write("a.md", b"one", expected=None)
    vault.write("a.md", b"two", expected=_hash(b"one"))
    assert (vault.root / "a.md").read_bytes() == b"two"
    _put(vault, "b.md", b"theirs")
    with pytest.raises(Conflict):
        vault.move("a.md", "b.md")


def test_two_hundred_writes_beside_an_editor_lose_nothing(vault: Vault) -> None:
    """Both replace the file again and again; every text of the editor stands or was seen."""
    _put(vault, "a.md", b"start")
    texts = [f"theirs {number}".encode() for number in range(200)]
    seen = {b"start"}

    def edit() -> None:
        for number, text in enumerate(texts):
            beside = vault.root / f".edit-{number}"
            beside.write_bytes(text)
            # An editor that looks first, as ours does: it never writes over what it did not read.
            os.rename(vault.root / "a.md", vault.root / f".took-{number}")
            os.rename(beside, vault.root / "a.md")

    editor = threading.Thread(target=edit)
    editor.start()
    number = 0
    while editor.is_alive() or number < 20:
        number += 1
        try:
            data, _ = vault.read("a.md")
            seen.add(data)
            vault.write("a.md", f"ours {number}".encode(), expected=_hash(data))
        except (Conflict, NotFound, Unavailable):
            continue
    editor.join()
    left = {path.read_bytes() for path in vault.root.rglob("*") if path.is_file()}
    assert set(texts) <= seen | left


def test_a_full_disk_leaves_nothing_behind(vault: Vault) -> None:
    _put(vault, "a.md", b"one")
    with _file_size_limit(10_000):
        with pytest.raises(Unavailable, match="cannot be written"):
            vault.write("a.md", b"x" * 50_000, expected=_hash(b"one"))
        with pytest.raises(Unavailable, match="cannot be written"):
            vault.write("b.md", b"x" * 50_000, expected=None)
    assert (vault.root / "a.md").read_bytes() == b"one"
    assert _all_files(vault) == ["a.md"]


def test_a_name_that_the_disk_does_not_take_is_told_in_words(vault: Vault) -> None:
    with pytest.raises(Unavailable, match="too long"):
        vault.write("n" * 300 + ".md", b"x", expected=None)
    assert _all_files(vault) == []


# ---------------------------------------------------------------- removing, moving


def test_a_file_is_removed_where_it_is_what_was_seen(vault: Vault) -> None:
    _put(vault, "a.md", b"one")
    assert vault.remove("a.md", expected=_hash(b"other")) == b"one"
    assert (vault.root / "a.md").exists()
    assert vault.remove("a.md", expected=_hash(b"one")) is None
    assert not (vault.root / "a.md").exists()
    assert vault.remove("a.md", expected=_hash(b"one")) is None
    assert vault.strays() == []


def test_a_file_is_moved_and_never_over_another(vault: Vault) -> None:
    _put(vault, "a.md", b"a")
    _put(vault, "b.md", b"b")
    vault.move("a.md", "new/folder/c.md")
    assert (vault.root / "new/folder/c.md").read_bytes() == b"a"
    with pytest.raises(Conflict):
        vault.move("b.md", "new/folder/c.md")
    with pytest.raises(NotFound):
        vault.move("a.md", "d.md")
    assert _all_files(vault) == ["b.md", "new/folder/c.md"]


# ---------------------------------------------------------------- what was replaced


def test_what_an_editor_writes_into_a_replaced_file_is_told_until_it_is_forgotten(
    vault: Vault,
) -> None:
    place = _put(vault, "a.md", b"one")
    with place.open("r+b") as held:  # an editor that keeps its file open, and saves in place
        vault.write("a.md", b"two", expected=_hash(b"one"))
        assert vault.strays() == []
        held.write(b"theirs")
    for reader in (vault, vault, Vault(vault.root)):
        assert [tuple(stray) for stray in reader.strays()] == [("a.md", b"theirs")]
    vault.forget(vault.strays()[0].kept)
    assert vault.strays() == []
    assert (vault.root / "a.md").read_bytes() == b"two"
    assert _all_files(vault) == ["a.md"]


def test_what_stayed_as_it_was_is_forgotten_after_a_minute(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(vault, "a.md", b"one")
    vault.write("a.md", b"two", expected=_hash(b"one"))
    assert vault.strays() == [] and len(_all_files(vault)) == 3
    monkeypatch.setattr(folder, "KEPT_FOR", 0.0)
    assert vault.strays() == [] and _all_files(vault) == ["a.md"]


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("step", range(1, 14))
@pytest.mark.parametrize("there", [True, False])
def test_a_kill_at_any_step_leaves_the_old_file_or_the_new_and_no_false_tale(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, step: int, there: bool
) -> None:
    if there:
        _put(vault, "a.md", b"one")
    left = [step]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if left[0] == 0:
                raise _Killed
            left[0] -= 1
            if left[0] == 0:
                raise _Killed
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in ("write", "fsync", "replace", "link", "unlink", "rename"):
            patch.setattr(os, name, counted(getattr(os, name)))
        with suppress(_Killed):
            vault.write("a.md", b"two", expected=_hash(b"one") if there else None)
    after = Vault(vault.root)
    assert after.strays() == []
    found = {seen.path: after.read(seen.path)[0] for seen in after.scan()}
    assert found in ([{"a.md": b"one"}, {"a.md": b"two"}] if there else [{}, {"a.md": b"two"}])
