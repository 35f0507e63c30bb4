"""Every format that can be read has a name for people, and is told by it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from app.bootstrap import READERS
from app.cli import cli
from app.errors import Invalid
from app.sources.base import File, reader_for
from app.sources.formats import NAMES, in_words


def test_each_reader_has_one_and_nothing_else_has() -> None:
    assert sorted(NAMES) == sorted(reader.format for reader in READERS)
    assert len(set(NAMES.values())) == len(NAMES)


def test_they_stand_beside_the_names_for_programs() -> None:
    assert in_words(["ris", "yak"]) == "ris (RIS), yak"
    said = " ".join(CliRunner().invoke(cli, ["import", "--help"]).output.split())
    assert "hf-daily (Daily Papers of Hugging Face)" in said
    with pytest.raises(Invalid, match=r"arxiv-atom \(arXiv search results\)"):
        reader_for(File("x", b"y"), READERS, format="yak")
