"""Every format that can be read has a name for people, and is told by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from app.bootstrap import App
from app.cli import cli
from app.errors import Invalid
from app.sources.base import File, reader_for
from app.sources.formats import NAMES, in_words


def test_each_reader_has_one_and_nothing_else_has(app: App) -> None:
    assert sorted(NAMES) == sorted(reader.format for reader in app.readers)
    assert len(set(NAMES.values())) == len(NAMES)


def test_they_stand_beside_the_names_for_programs(app: App) -> None:
    assert in_words(["ris", "yak"]) == "ris (RIS), yak"
    said = " ".join(CliRunner().invoke(cli, ["import", "--help"]).output.split())
    assert "hf-daily (Daily Papers of Hugging Face)" in said
    with pytest.raises(Invalid, match=r"arxiv-atom \(arXiv search results\)"):
        reader_for(File("x", b"y"), app.readers, format="yak")


def test_the_screen_names_them_as_people_do(client: TestClient, tmp_path: Path) -> None:
    screen = client.get("/import").text
    assert "Daily Papers of Hugging Face" in screen
    assert "hf-daily" not in screen
