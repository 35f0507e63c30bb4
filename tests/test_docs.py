"""The documents agree with the program."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import app.domain.records as records

ROOT = Path(__file__).parents[1]


def _reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_is_what_the_program_says() -> None:
    written = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert written == _reference().text(), "run `make docs`"


def test_every_noun_of_the_glossary_that_names_a_record_has_one() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\(`([A-Z]\w+)`\)", glossary))
    assert len(named) > 10
    assert {name for name in named if not hasattr(records, name)} == set()


@pytest.mark.parametrize("document", ["README.md", "docs/guide.md", "docs/glossary.md"])
def test_links_between_documents_lead_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{document} links to {target}"


def test_decisions_end_with_what_enforces_them() -> None:
    for path in sorted((ROOT / "docs" / "decisions").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        assert "**Enforced by**" in text, path.name
        for test in re.findall(r"`(tests/[\w/]+\.py)`", text):
            assert (ROOT / test).is_file(), f"{path.name} names {test}"
