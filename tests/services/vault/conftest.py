"""The wiki of a test, whose vault is a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.vault.synced import Wiki


@pytest.fixture
def wiki(tmp_path: Path) -> Iterator[Wiki]:
    made = Wiki(tmp_path)
    yield made
    made.engine.dispose()
