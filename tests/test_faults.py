"""What a disk, a folder, a clock or another program may do to a wiki: said in one line, and nothing lost.

Full disks and folders that cannot be written are real ones: a server of its own whose files may not grow,
a process of a user who may not write, a small file system where one may be mounted.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.bootstrap import CONNECTORS, App, build
from app.domain.records import Attempt, Hold, Lease, PageKind, Subscription
from app.services import health, subscriptions
from app.services import pages as editing
from app.settings import Settings
from app.sources.connectors import Found
from app.store import pages, runs, sources
from app.store.db import reading, writing
from app.store.pages import Content
from app.web.app import create
from bench.client import Client, free_port
from bench.process import ROOT, cerebro, environment, wait_for
from tests import databases
from tests.factories import THEN, make_engine

SETTINGS = {"CEREBRO_EMBEDDING_MODEL": "none", "CEREBRO_TIMEZONE": "UTC"}
# Root may write everywhere; without these rights it is bound by modes like anybody.
BOUND = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="limits of a running process are Linux's"
)


# ---------------------------------------------------------------- a start that cannot be


def bound(words: list[str]) -> list[str]:
    """A command that may read and write where modes let it; skips where root cannot be bound."""
    if os.geteuid():
        return words
    if shutil.which(BOUND[0]) is None:
        pytest.skip("root may write everywhere, and setpriv is not there to change that")
    return [*BOUND, *words]


def start(data: Path) -> subprocess.CompletedProcess[str]:
    """`cerebro serve` on this data folder, until it ends."""
    return subprocess.run(
        bound(cerebro("serve", "--port", str(free_port()), "--no-worker", "--no-starter")),
        env=environment(data, SETTINGS),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], names: Path | str) -> None:
    """It ended with 1 and one line that names the path."""
    assert done.returncode == 1, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("cerebro: "), done.stderr
    assert str(names) in lines[0]


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    "fault",
    [
        *("a file", "below a file", "cannot be read", "cannot be written"),
        *("no database", "torn"),
    ],
)
def test_a_start_that_cannot_be_says_in_one_line_what_is_in_its_way(
    tmp_path: Path, fault: str
) -> None:
    data = tmp_path / "data"
    if fault == "a file":
        data.write_text("Not a folder.")
    elif fault == "below a file":
        (tmp_path / "file").write_text("Not a folder.")
        data = tmp_path / "file" / "data"
    elif fault == "cannot be read":
        data.mkdir(mode=0)
    elif fault == "cannot be written":
        data.mkdir(mode=0o555)
    else:
        make_engine(tmp_path).dispose()
        data.mkdir()
        torn = (tmp_path / "wiki.sqlite3").read_bytes()[:8192]
        garbage = b"no database, but long enough to be read as one " * 500
        (data / "cerebro.sqlite3").write_bytes(
            garbage if fault == "no database" else torn + garbage
        )
    try:
        refused(start(data), data)
    finally:
        if data.is_dir():
            data.chmod(0o755)


# ---------------------------------------------------------------- a wiki that can only be read


def told(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command on this data folder by who may not write there."""
    return subprocess.run(
        bound(cerebro(*words)),
        env=environment(data, SETTINGS),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.sqlite_only
@LINUX
@pytest.mark.parametrize("what", ["the folder", "the folder, with a log", "the file"])
def test_a_wiki_that_cannot_be_written_is_read_exported_backed_up_and_served(
    tmp_path: Path, what: str
) -> None:
    data, outside = tmp_path / "data 100%", tmp_path / "outside"
    outside.mkdir()
    app = build(Settings(data=data, embedding_model="none", timezone="UTC"))
    with writing(app.engine) as session:
        editing.save(session, "paging", text("Memory in pages."), base=0, now=THEN)
    file = data / "cerebro.sqlite3"
    beside = [file.with_name(f"{file.name}{end}") for end in ("-wal", "-shm")]
    if what == "the folder, with a log":  # as a kill leaves it, on a disk that is mounted again
        log = beside[0].read_bytes()
        app.engine.dispose()
        beside[0].write_bytes(log)
        assert log and not beside[1].exists()
    else:
        app.engine.dispose()
    file.chmod(0o444)
    if what != "the file":
        data.chmod(0o555)
    try:
        found = told(data, "search", "memory", "--json", "--mode", "words")
        assert found.returncode == 0 and '"paging"' in found.stdout, found.stderr
        exported = told(data, "export", "-o", str(outside / "all.jsonl"))
        assert exported.returncode == 0, exported.stderr
        assert "Memory in pages." in (outside / "all.jsonl").read_text()
        made = told(data, "backup", str(outside / "all.zip"))
        assert made.returncode == 0, made.stderr
        synced = told(data, "sync")
        assert synced.returncode == 1
        said = f"cerebro: {file} cannot be written: the file or its folder is read-only."
        assert synced.stderr.splitlines()[-1] == said
        with served(data, worker=True) as (client, _):
            assert "Memory in pages." in client.get("/w/paging").text
            for path in ("/", "/search?q=memory", "/pages", "/inbox", "/settings", "/health"):
                assert client.get(path).ok, path
            refused_save(client, "cannot be written")
    finally:
        data.chmod(0o755)
    new = tmp_path / "new"
    restored = told(new, "restore", str(outside / "all.zip"))
    assert restored.returncode == 0, restored.stderr
    assert '"paging"' in told(new, "search", "memory", "--json", "--mode", "words").stdout


# ---------------------------------------------------------------- a server on a bad disk


@contextmanager
def served(data: Path, *, worker: bool = False) -> Iterator[tuple[Client, int]]:
    """A server of its own on this data folder: a client of it, and the number of its process."""
    port = free_port()
    words = cerebro("serve", "--port", str(port), "--no-starter")
    process = subprocess.Popen(
        bound(words if worker else [*words, "--no-worker"]),
        env=environment(data, SETTINGS),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    client = Client(port)
    try:
        wait_for(port, process)
        yield client, process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def refused_save(client: Client, says: str) -> None:
    """A save is answered with 503 or 507 in the program's words; a person's text stands in the form."""
    told = client.put_page("paging", {"body": "x" * 300_000})
    assert told.status in (503, 507), told.text[:500]
    assert says in told.json()["error"]["message"]
    body = f"A long text of mine. {'y' * 300_000}"
    form = {"title": "Paging", "kind": "note", "body": body, "base_rev": "1"}
    shown = client.post("/w/paging/edit", form)
    assert shown.status in (503, 507), shown.text[:500]
    assert says in shown.text
    assert body in shown.text and "<textarea" in shown.text


def whole(data: Path) -> None:
    """Nothing is amiss in the wiki of this folder."""
    app = build(Settings(data=data, embedding_model="none"))
    with reading(app.engine) as session:
        found = health.check(session, raw_folder=app.raw_folder)
    app.engine.dispose()
    assert [each.says for each in found if not each.ok] == []


@pytest.mark.sqlite_only
@LINUX
def test_on_a_full_disk_reads_go_on_and_afterwards_all_works_without_a_restart(
    tmp_path: Path,
) -> None:
    """Files of the running server may not grow for a while, as on a disk that has no room left."""
    data = tmp_path / "data"
    with served(data) as (client, pid):
        assert client.put_page("paging", {"body": "Memory in pages."}).ok
        limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        size = (data / "cerebro.sqlite3-wal").stat().st_size
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 4096, limits[1]))
        for _ in range(3):
            refused_save(client, "nothing was saved")
        assert "Memory in pages." in client.get("/w/paging").text
        assert client.get("/search?q=memory").ok
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        saved = client.put_page("paging", {"body": "Memory in segments."})
        assert saved.ok and saved.json()["version"] == 2
    whole(data)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of this size; skips where none may be mounted."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"nothing may be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.soak
@pytest.mark.sqlite_only
def test_a_full_disk_of_16_megabytes_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """A real one, with the worker and the vault on it: first an import fills it, then another's file."""
    if shutil.which("mount") is None or os.geteuid():
        pytest.skip("a file system can be mounted by root alone")
    with small_disk(tmp_path, "16m") as disk, served(disk / "data", worker=True) as (client, _):
        data = disk / "data"
        # Made while there is room: on a disk that is quite full not even an empty file can be.
        # Its room is what the vault's files need afterwards.
        (disk / "filler").write_bytes(b"\0" * 6_000_000)
        assert client.put_page("paging", {"body": "Memory in pages."}).ok
        kept = []
        for number in range(200):
            page = {"title": f"Page {number}", "body": f"Page {number} of many. " * 5_000}
            answer = client.put_page(f"page-{number}", page)
            if not answer.ok:
                assert answer.status in (503, 507), answer.text[:500]
                break
            kept.append(number)
        assert 5 < len(kept) < 200
        with suppress(OSError), (disk / "filler").open("ab") as filler:
            while True:
                filler.write(b"\0" * 4096)
                filler.flush()
        # The log may have room for some yet, and the worker's files come and go: until one is refused.
        for number in range(200, 300):
            page = {"title": f"Page {number}", "body": f"Page {number} of many. " * 15_000}
            answer = client.put_page(f"page-{number}", page)
            if not answer.ok:
                assert answer.status in (503, 507), answer.text[:500]
                assert "nothing was saved" in answer.json()["error"]["message"]
                break
            kept.append(number)
        assert not answer.ok
        for number in range(300, 400):
            body = f"A long text of mine. {'y' * 300_000}"
            form = {"title": f"Page {number}", "kind": "note", "body": body, "base_rev": ""}
            shown = client.post(f"/w/page-{number}/edit", form)
            if shown.status in (503, 507):
                assert "nothing was saved" in shown.text
                assert body in shown.text and "<textarea" in shown.text
                break
            kept.append(number)
        assert shown.status in (503, 507)
        assert "Memory in pages." in client.get("/w/paging").text
        for number in kept:
            assert client.get(f"/api/v1/pages/page-{number}").ok
        (disk / "filler").unlink()
        for number in kept[5:12]:  # fewer than are believed to be gone by accident
            for path in (data / "vault").rglob(f"Page {number}.md"):
                path.unlink()
        until = time.monotonic() + 180
        while not (saved := client.put_page("paging", {"body": "Short."})).ok:
            assert time.monotonic() < until, saved.text[:500]
            time.sleep(0.5)
        while not any("Short." in path.read_text() for path in (data / "vault").rglob("paging.md")):
            assert time.monotonic() < until, "the vault does not follow"
            time.sleep(0.2)
        for number in kept:
            assert client.get(f"/api/v1/pages/page-{number}").ok


# ---------------------------------------------------------------- other programs


def text(body: str) -> Content:
    return Content(title="Paging", kind=PageKind.NOTE, body=body)


@pytest.fixture
def wiki(tmp_path: Path) -> Iterator[App]:
    data = tmp_path / "data"
    data.mkdir()
    app = build(
        Settings(
            data=data, database_url=databases.url_of(data), embedding_model="none", timezone="UTC"
        )
    )
    with writing(app.engine) as session:
        editing.save(session, "paging", text("Memory in pages."), base=0, now=THEN)
    yield app
    app.engine.dispose()


@pytest.fixture
def client(wiki: App) -> Iterator[TestClient]:
    with TestClient(create(wiki), base_url="http://127.0.0.1") as web:
        yield web


def save(client: TestClient, body: str) -> tuple[int, str]:
    """Save the page from its first version; the status, and what was said."""
    answer = client.put("/api/v1/pages/paging", json={"body": body}, headers={"If-Match": '"1"'})
    return answer.status_code, answer.json().get("error", {}).get("message", "")


@pytest.mark.sqlite_only
def test_a_database_that_another_program_holds_is_read_and_written_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store.db.BUSY_SECONDS", 0.2)
    app = build(Settings(data=tmp_path, embedding_model="none"))
    with writing(app.engine) as session:
        editing.save(session, "paging", text("Memory in pages."), base=0, now=THEN)
    other = sqlite3.connect(tmp_path / "cerebro.sqlite3")
    with TestClient(create(app), base_url="http://127.0.0.1") as client:
        other.execute("BEGIN EXCLUSIVE")
        status, said = save(client, "Memory in segments.")
        assert status == 503
        assert said.startswith(f"Another program holds {tmp_path}/cerebro.sqlite3.")
        assert "Memory in pages." in client.get("/w/paging").text
        other.rollback()
        assert save(client, "Memory in segments.")[0] == 200
    other.close()
    app.engine.dispose()


@pytest.mark.sqlite_only
@pytest.mark.parametrize("what", ["moved", "replaced", "deleted", "its log deleted", "its folder"])
def test_nothing_is_acknowledged_that_goes_into_a_file_nobody_will_find(
    wiki: App, client: TestClient, what: str
) -> None:
    """What is open can be written although it was taken away, and is gone when the program ends."""
    data = wiki.settings.data
    file = data / "wiki.sqlite3"
    away = data.with_name("away")
    aside = away if what == "its folder" else file.with_name("aside")
    if what == "its folder":
        data.rename(away)
    elif what == "its log deleted":
        file.with_name(f"{file.name}-wal").unlink()
    elif what == "deleted":
        file.unlink()
    else:
        file.rename(aside)
        if what == "replaced":
            file.write_bytes(b"no database, but long enough to be read as one " * 100)
    for _ in range(2):
        status, said = save(client, "Memory in segments.")
        assert status == 503
        assert said.startswith(f"{file} was moved, replaced or taken away")
    assert "Memory in pages." in client.get("/w/paging").text
    if aside.exists():
        aside.replace(data if what == "its folder" else file)
        assert save(client, "Memory in segments.")[0] == 200  # put back, it goes on by itself


def test_a_folder_for_raw_bytes_that_is_none_refuses_an_import_and_nothing_else(
    wiki: App, client: TestClient
) -> None:
    wiki.raw_folder.write_text("Not a folder.")
    paper = {"type": "paper", "id": "arxiv:2605.00001", "title": "Paged keys", "abstract": "Short."}
    shown = client.post("/import", data={"text": json.dumps(paper)})
    token = shown.text.split('name="token" value="')[1].split('"')[0]
    told = client.post("/import/run", data={"token": token})
    assert told.status_code == 503
    assert str(wiki.raw_folder) in told.text
    assert client.get("/inbox").status_code == 200
    assert save(client, "Memory in segments.")[0] == 200
    wiki.raw_folder.unlink()
    assert client.post("/import/run", data={"token": token}).status_code == 200  # still held


# ---------------------------------------------------------------- the clock


def test_a_clock_that_is_put_back_leaves_nothing_held_for_long(wiki: App) -> None:
    """What was held until a moment that is far away now is anybody's."""
    now = time.time()
    with writing(wiki.engine) as session:
        session.add(Hold(step="link", subject_id=1, owner="dead", until=now + 86_400))
        session.add(Lease(name="worker", owner="dead", until=now + 86_400))
        session.add(Lease(name="worker dead", owner="dead", until=now + 86_400))
    with writing(wiki.engine) as session:
        assert list(session.connection().execute(runs.held("link", clock=now)).scalars()) == []
        assert runs.is_alone(session, "me", clock=now)


def test_a_next_try_that_a_wrong_clock_set_is_not_waited_for(wiki: App) -> None:
    """A day of a wrong clock must not silence a source, or a page that failed once, for years."""
    now, wrong = datetime(2026, 5, 8, 9, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    found = Found(key="feed:a", connector="feed", url="https://a.example/feed", name="A feed")
    with writing(wiki.engine) as session:
        added = subscriptions.add(session, found, connectors=CONNECTORS, now=now)
        its = session.get(Subscription, added.id)
        assert its is not None
        its.tried_at, its.due_at = wrong, wrong + timedelta(hours=1)
        session.add(Attempt(step="link", subject_id=1, attempts=1, next_try_at=wrong))
        session.add(
            Attempt(step="link", subject_id=2, attempts=1, next_try_at=now + timedelta(minutes=1))
        )
        source_id = added.id
    with reading(wiki.engine) as session:
        assert sources.due(session, now) == [source_id]
        blocked = session.connection().execute(runs.blocked(session, "link", now=now)).scalars()
        assert list(blocked) == [2]
        assert sources.due(session, wrong + timedelta(minutes=1)) == []


def test_history_is_in_the_order_of_the_saves_whatever_the_clock_said(
    wiki: App, client: TestClient
) -> None:
    for number, hours in enumerate((5, -48, 1), 1):
        with writing(wiki.engine) as session:
            body = text(f"Text {number}.")
            editing.save(session, "paging", body, base=number, now=THEN + timedelta(hours=hours))
    with reading(wiki.engine) as session:
        page = pages.get(session, "paging")
        assert [row.number for row in pages.revisions(session, page.id or 0)] == [4, 3, 2, 1]
        assert page.body == "Text 3."
    for path in ("/w/paging", "/w/paging/history", "/w/paging/blame", "/pages?by=recent", "/"):
        assert client.get(path).status_code == 200, path
    restored = client.post("/w/paging/restore", data={"version": "2"}, follow_redirects=False)
    assert restored.status_code == 303
    assert client.get("/w/paging.md").text == "Text 1."
