"""Decisions and companions beside the files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from app.errors import Invalid, Unavailable
from app.vault import journal
from app.vault.folder import MACHINERY, PAGES, Vault


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = Vault(tmp_path / "vault")
    vault.claim("w")
    return vault


def _file(vault: Vault) -> Path:
    return vault.root / MACHINERY / journal.DECISIONS


def test_decisions_are_appended_and_read_in_order(vault: Vault) -> None:
    assert list(journal.decisions(vault)) == []
    journal.append(vault, [])
    assert not _file(vault).exists()
    journal.append(vault, [{"n": 1, "reason": "é\u2028\n\udc80"}, {"n": 2}])
    journal.append(vault, [{"n": 3}])
    assert [line["n"] for line in journal.decisions(vault)] == [1, 2, 3]
    assert next(journal.decisions(vault))["reason"].startswith("é\u2028\n")
    assert _file(vault).read_bytes().count(b"\n") == 3


@pytest.mark.parametrize(
    ("torn", "kept"),
    [
        (b'{"n": 1}\n{"n": 2, "rea', [1, 9]),
        (b'{"n": 1}\n{"n": 2}', [1, 2, 9]),  # whole, but for its end
        (b'{"n', [9]),
        (b"\n", [9]),
        (b'{"n": 1}\n\x00\x00\x00', [1, 9]),
        (b'{"n": 1}\n' + b'{"n": 2, "reason": "' + b"x" * 200_000, [1, 9]),
        (b'{"n": 1}\nnot json\n[1]\n{"n": 2}\n', [1, 2, 9]),
        (b"\xff\xfe\n", [9]),
    ],
)
def test_what_a_kill_left_of_a_line_harms_no_other(
    vault: Vault, torn: bytes, kept: list[int]
) -> None:
    _file(vault).write_bytes(torn)
    assert [line["n"] for line in journal.decisions(vault)] == kept[:-1]
    journal.append(vault, [{"n": 9}])
    assert [line["n"] for line in journal.decisions(vault)] == kept
    assert _file(vault).read_bytes().endswith(b'{"n": 9}\n')


def test_a_disk_that_fails_half_way_leaves_whole_lines(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(vault, [{"n": 1}])
    before = _file(vault).read_bytes()

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="the disk is full"):
            journal.append(vault, [{"n": 2}])
    assert _file(vault).read_bytes() == before


def test_a_linked_journal_is_not_written_through(vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"theirs")
    _file(vault).symlink_to(tmp_path / "theirs")
    with pytest.raises(Unavailable):
        journal.append(vault, [{"n": 1}])
    assert list(journal.decisions(vault)) == []
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


def test_a_companion_is_written_when_it_changed(vault: Vault) -> None:
    data: dict[str, Any] = {"b": [1, {"c": "é"}], "a": None}
    first = journal.companion(vault, "a-page", data)
    place = vault.root / PAGES / "a-page.json"
    before = place.stat()
    assert journal.companion(vault, "a-page", dict(data)) == first
    assert first == journal.companion_hash(data)
    assert place.stat().st_mtime_ns == before.st_mtime_ns and place.stat().st_ino == before.st_ino
    assert journal.companion(vault, "a-page", {"a": 1}) != first
    assert journal.read_companion(vault, "a-page") == {"a": 1}
    journal.companion(vault, "b", {})
    (vault.root / PAGES / "broken.json").write_text("{")
    (vault.root / PAGES / "No Slug.json").write_text("{}")
    (vault.root / PAGES / "readme.txt").write_text("{}")
    assert list(journal.companions(vault)) == [("a-page", {"a": 1}), ("b", {})]
    journal.drop_companion(vault, "a-page")
    journal.drop_companion(vault, "a-page")
    assert journal.read_companion(vault, "a-page") is None


@pytest.mark.parametrize("slug", ["../x", "", "A", "a/b", "."])
def test_a_companion_is_named_by_a_slug_alone(vault: Vault, slug: str) -> None:
    with pytest.raises(Invalid):
        journal.companion(vault, slug, {})
    with pytest.raises(Invalid):
        journal.read_companion(vault, slug)
