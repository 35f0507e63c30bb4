"""`--database postgresql` runs every test that asks for a database on a private PostgreSQL server."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import databases
from tests.llm_server import LlmServer


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=["sqlite", "postgresql"],
        default="sqlite",
        help="The engine that tests which ask for a database get.",
    )


def pytest_configure(config: pytest.Config) -> None:
    databases.choose(config.getoption("--database"))
    databases.share_compiled_statements()
    # Tests start the program some hundred times: without compiled files each start takes longer.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Of what tests make, little is garbage: looking for it often took a tenth of the whole.
    gc.set_threshold(50_000)
    # No test speaks to a real service, whatever the machine's environment says.
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        del os.environ[name]


HERE = Path(__file__).parent
# Folders and files whose tests use no database: they can only say the same on both engines.
WITHOUT_DATABASE = {
    *("domain", "embeddings", "llm", "mail", "sources", "vault"),
    *("store/test_matrix.py", "web/test_assets.py", "web/test_security.py"),
    *("web/test_streams.py", "web/test_templates.py"),
    *("test_architecture.py", "test_bench_linker.py", "test_bench_triage.py", "test_compose.py"),
    *("test_docs.py", "test_rendering.py", "test_starter_wiki.py"),
}


def without_database(path: Path) -> bool:
    """Whether a file of tests, or the folder directly below tests/ it lies in, uses no database."""
    inner = path.relative_to(HERE)
    return inner.as_posix() in WITHOUT_DATABASE or inner.parts[0] in WITHOUT_DATABASE


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about the other engine alone; on PostgreSQL, what uses no database too."""
    chosen = config.getoption("--database")
    other = "sqlite_only" if chosen == "postgresql" else "postgresql_only"
    kept, left_out = [], []
    for item in items:
        pure = chosen == "postgresql" and without_database(item.path)
        (left_out if pure or item.get_closest_marker(other) else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def pytest_unconfigure(config: pytest.Config) -> None:
    databases.stop()


@pytest.fixture(autouse=True)
def _databases_of_a_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test made on the server is gone after it; what a wider fixture made before stays."""
    before, asked = databases.count(), databases.asked()
    yield
    databases.drop_after(before)
    if databases.asked() > asked and without_database(request.path):
        pytest.fail(
            "It uses a database: take its file out of WITHOUT_DATABASE in tests/conftest.py."
        )


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlmServer]:
    """A Messages API on loopback; what is built in the test speaks to it and to no other."""
    with LlmServer() as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server
