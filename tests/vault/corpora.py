"""Titles of the corpora that may lie beside the repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

CORPORA = Path(__file__).parents[3] / "shared" / "corpora"
_PLACES = {"titles.jsonl": "own/titles.jsonl", "blns.json": "strings/blns.json"}


def titles(name: str) -> list[str]:
    """The titles of a corpus that a page could have; the test is skipped where it is not there."""
    path = CORPORA / _PLACES[name]
    if not path.exists():
        pytest.skip("the corpora are not here")
    text = path.read_text("utf-8")
    if name.endswith(".json"):
        found = json.loads(text)
    else:
        found = [json.loads(line)["title"] for line in text.splitlines()]
    return [title for title in found if title and "\x00" not in title]
