"""Nothing acknowledged is lost: servers that are killed, writers who count on one page, calls in order.

The measurements of bench/ in a short form; `make soak` runs them whole.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import built, kills, syscalls, writers
from bench.client import free_port
from bench.process import cerebro, children_of, server
from tests import databases

PAGES = 120


@pytest.fixture
def wiki(tmp_path: Path) -> Iterator[built.Wiki]:
    """A wiki of its own to write into, on the engine under test."""
    data = tmp_path / "data"
    data.mkdir()
    url = databases.url_of(data)
    if not databases.on_postgresql():
        (data / "wiki.sqlite3").rename(data / "cerebro.sqlite3")
        url = f"sqlite:///{data / 'cerebro.sqlite3'}"
    made = built.Wiki(PAGES, data, url)
    built.wiki.build(made.engine, PAGES)
    yield made
    made.engine.dispose()


def test_a_server_that_is_killed_loses_nothing_that_it_acknowledged(wiki: built.Wiki) -> None:
    found = kills.measure(wiki, kills=2, seconds=60, seed=5, say=lambda line: None)
    assert found.lost == found.torn == found.damaged == found.apart == []
    assert found.kills.total() >= 2 and found.acknowledged.total() > 0


@pytest.mark.soak
def test_two_hundred_kills_lose_nothing(wiki: built.Wiki) -> None:
    found = kills.measure(wiki, kills=200, seconds=1_500)
    print("\n".join(found.lines()))
    assert found.lost == found.torn == found.damaged == found.apart == []
    assert found.kills.total() >= 100 and found.kills["while it starts"] > 10


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for children")
def test_a_server_that_is_told_to_end_takes_its_worker_along(wiki: built.Wiki) -> None:
    """Its web server ends by the very signal, which would end the process before it could."""
    port = free_port()
    settings = {**wiki.settings, "CEREBRO_EMBEDDING_MODEL": "none"}
    with server(cerebro("serve", "--port", str(port)), wiki.data, port, settings) as process:
        until = time.monotonic() + 60
        while not (found := children_of(process.pid)):
            assert time.monotonic() < until
            time.sleep(0.05)
        process.terminate()
        process.wait(timeout=30)
        assert not any(Path(f"/proc/{each}").exists() for each in found)


def test_writers_who_count_on_one_page_count_right(wiki: built.Wiki) -> None:
    found = writers.measure(wiki, writers=4, turns=5, papers=0)
    assert (found.acknowledged, found.counted) == (20, 20)
    assert (found.failures, found.without_both, found.beside) == (0, 0, [])
    assert set(found.statuses) <= {200, 409}


@pytest.mark.soak
def test_eight_writers_beside_an_import_and_backups_count_right(wiki: built.Wiki) -> None:
    found = writers.measure(wiki, writers=8, turns=25, papers=2_000)
    print("\n".join(found.lines()))
    assert (found.acknowledged, found.counted) == (200, 200)
    assert (found.failures, found.without_both, found.beside) == (0, 0, [])
    assert found.backups


@pytest.mark.soak
@pytest.mark.sqlite_only
def test_a_save_is_synced_before_it_is_answered_and_its_file_before_its_row(
    wiki: built.Wiki,
) -> None:
    if why := syscalls.available():
        pytest.skip(why)
    found = syscalls.measure(wiki)
    print("\n".join(found.lines()))
    assert (found.before_answer, found.before_place, found.before_row) == (True, True, True)
