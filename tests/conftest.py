"""`--database postgresql` runs every test that asks for a database on a private PostgreSQL server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

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
    # Tests start the program some hundred times: without compiled files each start takes 2 s more.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # No test speaks to a real service, whatever the machine's environment says.
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        del os.environ[name]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about the other engine alone; on PostgreSQL, what uses no database too."""
    chosen = config.getoption("--database")
    other = "sqlite_only" if chosen == "postgresql" else "postgresql_only"
    kept, left_out = [], []
    for item in items:
        pure = chosen == "postgresql" and item.path.parent.name in ("domain", "sources", "llm")
        (left_out if pure or item.get_closest_marker(other) else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def pytest_unconfigure(config: pytest.Config) -> None:
    databases.stop()


@pytest.fixture(autouse=True)
def _databases_of_a_test() -> Iterator[None]:
    """What a test made on the server is gone after it; what a wider fixture made before stays."""
    before = databases.count()
    yield
    databases.drop_after(before)


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlmServer]:
    """A Messages API on loopback; what is built in the test speaks to it and to no other."""
    with LlmServer() as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server
