"""A backup holds all of one moment, and is restored whole into an empty place or not at all."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from sqlmodel import SQLModel, select

from app.domain.queries import parse_query
from app.domain.records import Decision, Hold, Item, Lease, Page, PageKind, Relation, Verdict
from app.errors import CerebroError, Conflict, Invalid, Unavailable, Unreadable
from app.services import backup as backups
from app.services.backup import BEFORE, Place, backup, before_migration, finish, restore
from app.store import items, preferences, runs, schema, search, snapshots
from app.store.db import migrating, open_engine, reading, writing
from tests import databases
from tests.factories import THEN, make_engine, make_link, make_page
from tests.store.test_schema import config_on

ROOT = Path(__file__).parents[2]
VAULT = {
    "concepts/Tide.md": b"\xef\xbb\xbf---\r\nid: tide\r\n# mine\r\n---\r\nA tide.\r\n",
    "notes/deep/Żółć.md": b"bare\n",
    ".cerebro/decisions.jsonl": b'{"n": 1}\n',
    ".obsidian/app.json": b"{}",
    "picture.png": bytes(range(256)) * 5000,
    "empty.md": b"",
}


def place_in(folder: Path, url: str) -> Place:
    folder.mkdir(exist_ok=True)
    return Place(open_engine(url), folder, folder / "raw", folder / "vault")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A wiki with pages, links, decisions, raw bytes and a vault."""
    folder = tmp_path / "wiki"
    folder.mkdir()
    made = Place(make_engine(folder), folder, folder / "raw", folder / "vault")
    raw = items.keep_raw(made.raw, b"raw bytes " * 1000)
    with writing(made.engine) as session:
        paper = make_page(session, "Żółć 🌊", PageKind.PAPER, text="Moon.\n", published="2026-05")
        concept = make_page(session, "Tide", aliases=("ebb",), tags=("sea",))
        link = make_link(session, paper, concept, Relation.ABOUT)
        session.add(Decision(at=THEN, verdict=Verdict.ACCEPT, link_id=link))
        items.note_raw(session, raw, 10_000, now=THEN)
        source = items.source(session, _ref(), now=THEN)
        session.add(
            Item(
                source_id=source.id or 0,
                key="k",
                format="note",
                title="T",
                received_at=THEN,
                hash="h",
                raw_sha256=raw,
            )
        )
        session.add(Lease(name="worker x", owner="x", until=9e12))
        session.add(Hold(step="encode", subject_id=1, owner="x", until=9e12))
    for path, data in VAULT.items():
        (made.vault / path).parent.mkdir(parents=True, exist_ok=True)
        (made.vault / path).write_bytes(data)
    os.utime(made.vault / "empty.md", ns=(10**18, 10**18 + 5))
    yield made
    made.engine.dispose()


def _ref() -> Any:
    from app.domain.items import SourceRef
    from app.domain.records import SourceKind

    return SourceRef(key="s", kind=SourceKind.FILE, name="S", url="", description="")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty place for a wiki, on either engine."""
    url = f"sqlite:///{tmp_path}/new/wiki.sqlite3"
    made = place_in(tmp_path / "new", databases.create() if request.param == "postgresql" else url)
    yield made
    made.engine.dispose()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Place]:
    """An empty place with a SQLite file: where the engine makes no difference."""
    made = place_in(tmp_path / "other", f"sqlite:///{tmp_path}/other/wiki.sqlite3")
    yield made
    made.engine.dispose()


@pytest.fixture
def file(place: Place, tmp_path: Path) -> Path:
    made = tmp_path / "wiki.zip"
    backup(place, made, now=THEN)
    return made


def rows(place: Place) -> dict[str, list[Any]]:
    """Every row of every table but what workers keep for themselves, and counters."""
    left = {"hold", "lease", "generation", "unencoded"}
    with reading(place.engine) as session:
        return {
            table.name: sorted(map(tuple, session.connection().execute(sa.select(table))), key=repr)
            for table in SQLModel.metadata.sorted_tables
            if table.name not in left
        }


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def assert_empty(place: Place) -> None:
    assert not schema.holds_a_wiki(place.engine)
    assert {name for name in files(place.data) if not name.startswith("wiki.sqlite3")} == set()


# ---------------------------------------------------------------- there and back


def test_all_of_a_wiki_comes_back_as_it_was(place: Place, empty: Place, tmp_path: Path) -> None:
    made = backup(place, tmp_path / "wiki.zip", now=THEN)
    assert (made.counts["page"], made.counts["raw"], made.counts["vault"]) == (2, 1, len(VAULT))
    assert made.left_out == ()
    restored = restore(empty, tmp_path / "wiki.zip")
    assert restored.counts == made.counts
    assert rows(empty) == rows(place)
    assert files(empty.vault) == VAULT
    assert files(empty.raw) == files(place.raw)
    assert (empty.vault / "empty.md").stat().st_mtime_ns == 10**18 + 5
    with reading(empty.engine) as session:  # nobody is at work there
        assert (list(session.exec(select(Lease))), list(session.exec(select(Hold)))) == ([], [])
    with writing(empty.engine) as session:
        assert make_page(session, "One more") > 2
    assert {path.name for path in empty.data.iterdir()} <= {
        "raw",
        "vault",
        *(f"wiki.sqlite3{end}" for end in ("", "-wal", "-shm")),
    }


def test_a_backup_of_what_was_restored_holds_the_same(
    file: Path, empty: Place, tmp_path: Path
) -> None:
    restore(empty, file)
    backup(empty, tmp_path / "again.zip", now=THEN)
    first, second = (_manifest(each)["members"] for each in (file, tmp_path / "again.zip"))
    del first["wiki.db"], second["wiki.db"]
    assert first == second


def _manifest(file: Path) -> dict[str, Any]:
    with zipfile.ZipFile(file) as opened:
        found: dict[str, Any] = json.loads(opened.read("manifest.json"))
        return found


def test_the_manifest_says_what_every_file_hashes_to(file: Path) -> None:
    with zipfile.ZipFile(file) as opened:
        names = set(opened.namelist()) - {"manifest.json"}
        members = _manifest(file)["members"]
        assert members.keys() == names
        for name in names:
            data = opened.read(name)
            assert members[name]["sha256"] == sha256(data).hexdigest()
            assert members[name]["size"] == len(data)


def test_no_half_file_and_no_other_file_is_left_beside_a_backup(
    place: Place, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()
    with pytest.raises(Conflict, match="is there already"):
        backup(place, file, now=THEN)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(zipfile.ZipFile, "writestr", full)
        with pytest.raises(Unavailable, match="No space left"):
            backup(place, file, now=THEN, force=True)
    assert file.read_bytes() == before
    with writing(place.engine) as session:
        make_page(session, "Newer")
    assert backup(place, file, now=THEN, force=True).counts["page"] == 3
    assert {each.name for each in file.parent.iterdir()} == {"wiki", "wiki.zip"}


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize("limit", [10_000, 700_000])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    place: Place, tmp_path: Path, limit: int
) -> None:
    """A limit on the size of a file stands for the disk: of the database's copy, or of the archive."""
    (place.vault / "large.bin").write_bytes(os.urandom(900_000))
    script = (
        "import resource, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.services.test_backup import THEN, Place, backup, open_engine\n"
        "folder = Path(sys.argv[3])\n"
        "place = Place(open_engine(sys.argv[2]), folder, folder / 'raw', folder / 'vault')\n"
        "from app.services import backup as module\n"
        "take = module.snapshots.take\n"
        "def late(engine, path):\n"
        "    limit = int(sys.argv[4])\n"
        "    if limit > 100_000: take(engine, path)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
        "    if limit < 100_000: take(engine, path)\n"
        "module.snapshots.take = late\n"
        "try: backup(place, folder.parent / 'b.zip', now=THEN)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    url = place.engine.url.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT), url, str(place.data), str(limit)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith("Unavailable "), done.stdout + done.stderr
    assert done.stdout.count("\n") == 1
    assert {each.name for each in tmp_path.iterdir()} == {"wiki"}


def test_a_backup_is_not_written_into_what_it_holds_nor_nowhere(place: Place) -> None:
    for where in (place.vault / "b.zip", place.raw / "b.zip"):
        with pytest.raises(Invalid, match="outside"):
            backup(place, where, now=THEN)
    with pytest.raises(Invalid, match="name a file"):
        backup(place, Path("-"), now=THEN)
    with pytest.raises(Invalid, match="no folder"):
        backup(place, place.data / "nowhere" / "b.zip", now=THEN)
    made = backup(place, place.data, now=THEN)
    assert made.path == place.data / "cerebro-2026-05-08-090000.zip"


def test_what_cannot_be_read_is_named_and_the_rest_is_kept(
    place: Place, other: Place, tmp_path: Path
) -> None:
    raw = next(place.raw.rglob("*/*"))
    raw.unlink()
    (place.vault / "tide.MD").write_bytes(b"1")
    (place.vault / "TIDE.md").write_bytes(b"2")
    (place.vault / "out.md").symlink_to("/etc/passwd")
    (place.vault / "x.md").mkdir()
    os.mkfifo(place.vault / "pipe.md")
    (place.vault / ".restore").write_bytes(b"of another program")
    made = backup(place, tmp_path / "b.zip", now=THEN)
    said = dict(made.left_out)
    assert said[f"raw/{raw.parent.name}/{raw.name}"] == "it is gone from the data folder"
    assert said["vault/tide.MD"] == "only capitals or accents tell its name from vault/TIDE.md"
    assert said["vault/pipe.md"] == "it is no plain file"
    assert "unpacked into" in said["vault/.restore"]
    assert made.links == ("vault/out.md",)
    restored = restore(other, tmp_path / "b.zip")
    assert restored.left_out == made.left_out
    assert files(other.vault) == {**VAULT, "TIDE.md": b"2"}


def test_no_secret_is_in_a_backup(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.data / "cerebro.toml").write_text('smtp = "smtp://u:canary@host"')
    for name in ("ANTHROPIC_API_KEY", "CEREBRO_SMTP", "CEREBRO_PASSWORD_HASH", "CEREBRO_S2_KEY"):
        monkeypatch.setenv(name, "canary")
    backup(place, tmp_path / "b.zip", now=THEN)
    with zipfile.ZipFile(tmp_path / "b.zip") as opened:
        for name in opened.namelist():
            assert b"canary" not in opened.read(name), name
        assert "cerebro.toml" not in "".join(opened.namelist())


def test_a_damaged_database_is_not_backed_up(place: Place, tmp_path: Path) -> None:
    if databases.on_postgresql():
        pytest.skip("a server looks after its own files")
    place.engine.dispose()
    path = Path(place.engine.url.database or "")
    data = bytearray(path.read_bytes())
    with sqlite3.connect(path) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'revision'"
        ).fetchone()
        (index,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'ix_page_title_key'"
        ).fetchone()
    for page in (root, index):
        data[(page - 1) * 4096 : (page - 1) * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(Unavailable, match="damaged"):
        backup(place, tmp_path / "b.zip", now=THEN)
    assert not (tmp_path / "b.zip").exists()


def test_a_look_at_the_vault_is_waited_for(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    take = snapshots.take

    def watched(engine: sa.Engine, path: Path) -> None:
        with reading(engine) as session:
            clock = time.time()
            held.append(session.connection().execute(runs.held("vault", clock=clock)).all())
        take(engine, path)

    monkeypatch.setattr(snapshots, "take", watched)
    backup(place, tmp_path / "b.zip", now=THEN)
    assert held == [[(1,)]]
    with reading(place.engine) as session:
        assert [each.step for each in session.exec(select(Hold))] == ["encode"]


# ---------------------------------------------------------------- hostile and damaged


def remade(file: Path, change: Callable[[dict[str, bytes], dict[str, Any]], None]) -> None:
    """Write the backup anew with other members and another manifest."""
    with zipfile.ZipFile(file) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(members, manifest)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name, data)
        made.writestr("manifest.json", json.dumps(manifest))


def _add(name: str, data: bytes, *, told: bool = True) -> Callable[[Any, Any], None]:
    def change(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
        members[name] = data
        if told:
            digest = sha256(data).hexdigest()
            manifest["members"][name] = {"size": len(data), "sha256": digest}

    return change


def _tell(name: str, **said: object) -> Callable[[Any, Any], None]:
    return lambda members, manifest: manifest["members"][name].update(said)


def _say(**said: object) -> Callable[[Any, Any], None]:
    return lambda members, manifest: manifest.update(said)


def _lose(name: str) -> Callable[[Any, Any], None]:
    def change(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
        del members[name]

    return change


def _lose_raw(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    name = next(name for name in members if name.startswith("raw/"))
    del members[name], manifest["members"][name]


def _database(change: Callable[[sqlite3.Connection], object]) -> Callable[[Any, Any], None]:
    def made(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
        connection = sqlite3.connect(":memory:")
        connection.deserialize(members["wiki.db"])
        change(connection)
        connection.commit()
        _add("wiki.db", connection.serialize())(members, manifest)
        connection.close()

    return made


STRAY = f"raw/ab/ab{'0' * 62}"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_lose("wiki.db"), "'wiki.db' is missing"),
        (_lose("vault/empty.md"), "'vault/empty.md' is missing"),
        (_add("vault/more.md", b"x", told=False), "holds 'vault/more.md', of which"),
        (_add("more/x", b"x"), "holds 'more/x', which is no part"),
        (_add("vault/.restore", b"x"), "holds 'vault/.restore', which is no part"),
        (_add("vault/.Restore/x", b"x"), "holds 'vault/.Restore/x', which is no part"),
        (_add("raw/ab/../../x", b"x"), "outside"),
        (_add("vault/../../x", b"x"), "outside"),
        (_add("/vault/x", b"x"), "outside"),
        (_add("vault/PICTURE.png", b"x"), "would be one file"),
        (_add(STRAY, b"x"), "raw bytes of which its database does not know"),
        (_lose_raw, "raw bytes that its database names are missing"),
        (_tell("vault/picture.png", size=3), "not as long as its manifest says"),
        (_tell("vault/picture.png", sha256="0" * 64), "is not what its manifest says"),
        (_tell("wiki.db", sha256="0" * 64), "is not what its manifest says"),
        (_tell("wiki.db", size="x"), "does not say what 'wiki.db' is"),
        (_say(members=[1]), "names no database"),
        (_say(format="x"), "is no backup"),
        (_say(version=99), "newer version"),
        (_say(revision="0002"), "of different versions"),
        (_add("wiki.db", b"no database"), "is no database"),
        (_add("wiki.db", b"SQLite format 3\0" + bytes(5000)), "damaged"),
        (_database(lambda to: to.execute("DELETE FROM page WHERE id = 1")), "rows that are gone"),
        (_database(lambda to: to.execute("DROP TABLE alembic_version")), "different versions"),
        (
            _database(lambda to: to.execute("UPDATE alembic_version SET version_num = 'x2031'")),
            "different versions",
        ),
    ],
)
def test_a_backup_that_is_not_whole_is_refused_whole(
    file: Path, other: Place, tmp_path: Path, change: Callable[[Any, Any], None], says: str
) -> None:
    good = tmp_path / "good.zip"
    shutil.copy(file, good)
    remade(file, change)
    with pytest.raises((Unreadable, Unavailable), match=says):
        restore(other, file)
    assert_empty(other)
    assert not (tmp_path / "x").exists()
    restore(other, good)
    assert files(other.vault) == VAULT


def test_a_backup_of_a_newer_program_is_refused_in_words(file: Path, other: Place) -> None:
    def newer(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
        manifest["revision"] = "x2031"
        _database(lambda to: to.execute("UPDATE alembic_version SET version_num = 'x2031'"))(
            members, manifest
        )

    remade(file, newer)
    with pytest.raises(Unavailable, match=r"was not restored.*x2031.*newer version"):
        restore(other, file)
    assert_empty(other)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_backup_that_was_cut_off_is_refused(file: Path, other: Place, part: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(Unreadable, match="damaged or cut off"):
        restore(other, file)
    assert_empty(other)


def test_a_flipped_byte_anywhere_is_noticed(file: Path, other: Place) -> None:
    data = file.read_bytes()
    for at in range(40, len(data), len(data) // 60):
        file.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        try:
            restore(other, file)
        except CerebroError:
            assert_empty(other)
        else:  # the bit was in what nobody reads: a time, a flag
            assert files(other.vault) == VAULT
            assert len(rows(other)["page"]) == 2
            other.engine.dispose()
            shutil.rmtree(other.data)
            other.data.mkdir()


def test_what_would_not_fit_is_refused_before_it_is_unpacked(
    file: Path, other: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(other.data)
    small = usage._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: small)
    with pytest.raises(Unavailable, match="Free some space"):
        restore(other, file)
    assert_empty(other)


def test_no_backup_at_all_is_said(other: Place, tmp_path: Path) -> None:
    for name, data in {"empty.zip": b"", "text.zip": b"hello " * 100}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Unreadable, match="no whole zip"):
            restore(other, tmp_path / name)
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as made:
        made.writestr("a.md", "x")
    with pytest.raises(Unreadable, match="is no backup of cere-bro"):
        restore(other, tmp_path / "notes.zip")
    with pytest.raises(Unreadable, match="cannot be read"):
        restore(other, tmp_path / "nothing.zip")
    with pytest.raises(Unreadable, match="cannot be read"):
        restore(other, tmp_path)
    assert_empty(other)


# ---------------------------------------------------------------- into an empty place alone


def test_nothing_is_ever_written_over(place: Place, file: Path, empty: Place) -> None:
    before = rows(place)
    with pytest.raises(Conflict, match="There is a wiki in the database already"):
        restore(place, file)
    assert rows(place) == before
    schema.upgrade(empty.engine)
    with writing(empty.engine) as session:
        make_page(session, "Mine")
    with pytest.raises(Conflict, match="already"):
        restore(empty, file)
    with reading(empty.engine) as session:
        assert [page.title for page in session.exec(select(Page))] == ["Mine"]


@pytest.mark.parametrize("where", ["raw/ab/x", "vault/Mine.md", "vault/.cerebro/pages/x.json"])
def test_a_folder_with_files_is_no_empty_place(file: Path, other: Place, where: str) -> None:
    (other.data / where).parent.mkdir(parents=True)
    (other.data / where).write_bytes(b"mine")
    with pytest.raises(Conflict, match=r"holds .* already"):
        restore(other, file)
    assert files(other.data) == {where: b"mine"}


def test_a_place_that_was_only_looked_at_is_empty(file: Path, empty: Place) -> None:
    schema.upgrade(empty.engine)
    (empty.vault / ".cerebro").mkdir(parents=True)
    (empty.vault / ".cerebro" / "vault.json").write_text("{}")
    (empty.vault / "concepts").mkdir()
    restore(empty, file)
    url = empty.engine.url.render_as_string(hide_password=False)
    empty.engine.dispose()  # its connections were of the file that was replaced
    again = replace(empty, engine=open_engine(url))
    assert len(rows(again)["page"]) == 2
    assert set(VAULT) <= set(files(again.vault))
    again.engine.dispose()


def test_a_log_left_beside_a_lost_database_is_not_read_into_the_new_one(
    place: Place, file: Path, other: Place
) -> None:
    for end in ("-wal", "-shm", "-journal"):
        (other.data / f"wiki.sqlite3{end}").write_bytes(b"stale" * 1000)
    restore(other, file)
    assert len(rows(other)["page"]) == 2


def test_an_older_backup_is_brought_up_to_date(file: Path, other: Place, tmp_path: Path) -> None:
    path = tmp_path / "older.db"

    def older(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
        path.write_bytes(members["wiki.db"])
        engine = open_engine(f"sqlite:///{path}")
        with migrating(engine) as connection:
            command.downgrade(config_on(connection), "0010")
        with engine.connect() as connection:
            connection.connection.dbapi_connection.execute("PRAGMA journal_mode=DELETE")  # type: ignore[union-attr]
        engine.dispose()
        manifest["revision"] = "0010"
        _add("wiki.db", path.read_bytes())(members, manifest)

    remade(file, older)
    restored = restore(other, file)
    assert restored.revision == "0010"
    assert schema.current(other.engine) == schema.NEWEST
    assert len(rows(other)["page"]) == 2


# ---------------------------------------------------------------- killed


class Killed(BaseException):
    """Stands for a SIGKILL: nothing of the program runs after it."""


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program end at its n-th change of the file system while a restore puts in place."""
    left = [step]

    def counting(name: str, real: Any, of: Any) -> None:
        def run(*given: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(*given, **more)

        monkeypatch.setattr(of, name, run)

    for name, of in (("replace", os), ("rename", Path), ("unlink", Path), ("rmtree", shutil)):
        counting(name, getattr(of, name), of)
    monkeypatch.setattr(backups._Staged, "clear", lambda self: None)


def test_a_restore_that_is_killed_leaves_an_empty_place_or_a_whole_one(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = 0
    for step in range(200):
        folder = tmp_path / f"k{step}"
        url = f"sqlite:///{folder}/wiki.sqlite3"
        place = place_in(folder, url)
        with monkeypatch.context() as patched:
            killed_at(step, patched)
            try:
                restore(place, file)
                done = True
            except Killed:
                done = False
        place.engine.dispose()
        if done:
            break
        place = replace(place, engine=open_engine(url))
        if schema.holds_a_wiki(place.engine):  # never half of one
            assert len(rows(place)["page"]) == 2
            assert files(place.vault) == VAULT
        finish(place)
        if schema.holds_a_wiki(place.engine):
            whole += 1
            assert files(place.vault) == VAULT
            assert len(files(place.raw)) == 1
            assert len(rows(place)["page"]) == 2
        else:
            assert_empty(place)
            restore(place, file)
            assert files(place.vault) == VAULT
        assert not list(folder.rglob(".restore*"))
        place.engine.dispose()
    assert done
    assert whole > 5


def test_a_restore_killed_while_it_unpacks_is_cleared_by_the_next(
    file: Path, other: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = backups._unpack_one
    with monkeypatch.context() as patched:
        patched.setattr(backups._Staged, "clear", lambda self: None)

        def some(opened: Any, name: str, path: Path, member: Any) -> str:
            if "picture" in name:
                raise Killed
            return real(opened, name, path, member)

        patched.setattr(backups, "_unpack_one", some)
        with pytest.raises(Killed):
            restore(other, file)
    assert files(other.data)
    assert "taken away" in finish(other)
    assert_empty(other)
    assert finish(other) == ""
    restore(other, file)
    assert files(other.vault) == VAULT


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_two_restores_at_once_are_one(
    file: Path, other: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = backups._look

    def while_another(*given: Any) -> str:
        with pytest.raises(Conflict, match="is being restored"):
            restore(other, file)
        with pytest.raises(Conflict, match="is being restored"):
            finish(other)
        return real(*given)

    monkeypatch.setattr(backups, "_look", while_another)
    restore(other, file)
    assert files(other.vault) == VAULT


# ---------------------------------------------------------------- before a migration


def test_before_a_migration_the_database_is_kept_as_it_was(place: Place) -> None:
    with migrating(place.engine) as connection:
        command.downgrade(config_on(connection), "0010")
    said: list[str] = []
    for _ in range(BEFORE + 3):
        before_migration(place.engine, place.data, to="0012", now=THEN, say=said.append)
    kept = sorted((place.data / "backups").iterdir())
    assert len(kept) == BEFORE
    assert all(each.name.startswith("before-0012-2026-05-08-") for each in kept)
    assert "copied to" in said[0]
    copy = open_engine(f"sqlite:///{kept[0]}")
    assert schema.current(copy) == "0010"
    with copy.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM page").scalar() == 2
    copy.dispose()


def test_without_room_for_a_copy_nothing_is_migrated(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with migrating(place.engine) as connection:
        command.downgrade(config_on(connection), "0010")
    (place.data / "backups").write_bytes(b"")  # no folder can be made here

    def before(to: str) -> None:
        before_migration(place.engine, place.data, to=to, now=THEN, say=lambda words: None)

    with pytest.raises(Unavailable, match="was not brought up to date"):
        schema.upgrade(place.engine, before=before)
    assert schema.current(place.engine) == "0010"


def kept_before(place: Place) -> Path:
    """The copy that is kept before the migration of a database of revision 0010."""
    with migrating(place.engine) as connection:
        command.downgrade(config_on(connection), "0010")
    before_migration(place.engine, place.data, to="0012", now=THEN, say=lambda words: None)
    return next((place.data / "backups").iterdir())


def test_the_copy_of_an_old_schema_is_restored_beside_the_files_that_are_there(
    place: Place, empty: Place
) -> None:
    with reading(place.engine) as session:
        before = {page.slug: (page.title, page.body) for page in session.exec(select(Page))}
    copy = kept_before(place)
    was = copy.read_bytes()
    empty.vault.mkdir()
    (empty.vault / "mine.md").write_text("Mine.")
    restored = restore(empty, copy)
    assert (restored.revision, restored.database_alone) == ("0010", True)
    assert "the vault are as they were" in restored.in_words()
    assert schema.current(empty.engine) == schema.NEWEST
    with reading(empty.engine) as session:
        assert {page.slug: (page.title, page.body) for page in session.exec(select(Page))} == before
        assert session.exec(select(Decision.verdict)).all() == [Verdict.ACCEPT]
        assert len(search.match(session, parse_query("moon"), search.Filters()).ranked) == 1
    assert copy.read_bytes() == was
    assert files(empty.vault) == {"mine.md": b"Mine."}
    assert not list(empty.data.glob(".restore*"))
    with pytest.raises(Conflict, match="There is a wiki in the database already"):
        restore(empty, copy)


@pytest.mark.parametrize("wrong", ["cut", "of another program", "with a log"])
def test_a_copy_that_is_none_restores_nothing(place: Place, other: Place, wrong: str) -> None:
    copy = kept_before(place)
    if wrong == "cut":
        copy.write_bytes(copy.read_bytes()[: copy.stat().st_size // 2])
    elif wrong == "with a log":
        copy.with_name(f"{copy.name}-wal").write_bytes(b"written later")
    else:
        copy.unlink()
        with sqlite3.connect(copy) as made:
            made.execute("CREATE TABLE cake (name TEXT)")
    with pytest.raises((Unreadable, Conflict)) as told:
        restore(other, copy)
    assert copy.name in str(told.value)
    assert not snapshots.first_filled(other.engine)
    assert not list(other.data.glob(".restore*"))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_copy_that_is_killed_leaves_the_database_and_is_swept_by_the_next(place: Place) -> None:
    with migrating(place.engine) as connection:
        command.downgrade(config_on(connection), "0010")
    place.engine.dispose()
    url = place.engine.url.render_as_string(hide_password=False)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED_COPY, str(ROOT), url, str(place.data)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert killed.returncode == -9, killed.stderr
    folder = place.data / "backups"
    assert {each.name[:8] for each in folder.iterdir()} == {".before-"}
    assert schema.current(place.engine) == "0010"

    def before(to: str) -> None:
        before_migration(place.engine, place.data, to=to, now=THEN, say=lambda words: None)

    assert schema.upgrade(place.engine, before=before)
    assert [each.name[:12] for each in folder.iterdir()] == ["before-0012-"]


_KILLED_COPY = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from app.services import backup
from app.store import schema, snapshots
from app.store.db import open_engine
from datetime import UTC, datetime

def killed(driver):
    os.kill(os.getpid(), 9)

snapshots._one_file = killed  # the last that is done with the copy, and with SQLite the first
engine, data = open_engine(sys.argv[2]), Path(sys.argv[3])

def before(to):
    backup.before_migration(engine, data, to=to, now=datetime.now(UTC), say=print)

schema.upgrade(engine, before=before)
"""


# ---------------------------------------------------------------- one a day


def dailies(place: Place) -> list[str]:
    folder = place.data / "backups"
    return sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []


def daily(place: Place, day: date, *, change: bool = True) -> backups.Backup | None:
    if change:
        with writing(place.engine) as session:
            make_page(session, f"Of {day}, {time.monotonic_ns()}")
    now = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
    return backups.keep_daily(place, now=now, today=day.isoformat())


def stands(place: Place) -> backups.Kept:
    with reading(place.engine) as session:
        return backups.kept(session, place.data)


def test_a_day_with_changes_has_one_backup_that_is_restored(place: Place, other: Place) -> None:
    first = date(2026, 5, 8)
    assert stands(place).says.startswith("none was made yet")
    assert daily(place, first) is not None
    assert daily(place, date(2026, 5, 9), change=False) is None, "nothing changed"
    assert daily(place, first) is None, "the day has one"
    assert dailies(place) == ["daily-2026-05-08.zip"]
    assert (stands(place).day, stands(place).count) == ("2026-05-08", 1)
    assert "cerebro restore" in stands(place).says
    assert daily(place, date(2026, 5, 10)) is not None
    restore(other, place.data / "backups" / "daily-2026-05-10.zip")
    assert files(other.vault) == VAULT
    (place.data / "backups" / "daily-2026-05-08.zip").unlink()
    (place.data / "backups" / "daily-2026-05-10.zip").unlink()
    assert daily(place, date(2026, 5, 11), change=False) is not None, "there was none left"


def test_seven_days_and_a_week_each_of_four_before_are_kept(place: Place) -> None:
    folder = place.data / "backups"
    folder.mkdir()
    days = [date(2026, 3, 1) + timedelta(days=number) for number in range(68)]
    for day in days:
        (folder / f"daily-{day}.zip").write_bytes(b"a backup")
    mine = ["before-0011-2026-05-08-090000.db", "daily-mine.zip", "daily-2026-99-99.zip"]
    for name in mine:
        (folder / name).write_bytes(b"mine")
    assert daily(place, date(2026, 5, 8)) is not None
    sundays = ["2026-04-12", "2026-04-19", "2026-04-26"]
    last = [str(date(2026, 5, 2) + timedelta(days=number)) for number in range(7)]
    kept = [f"daily-{day}.zip" for day in (*sundays, "2026-05-01", *last)]
    assert dailies(place) == sorted([*kept, *mine])


def test_without_room_none_is_made_which_is_told_and_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=1 << 20))
    with pytest.raises(
        Unavailable, match=r"No backup was made on 2026-05-08: .* has room for 1 MB"
    ):
        daily(place, date(2026, 5, 8))
    assert dailies(place) == []
    assert stands(place).trouble.startswith("No backup was made on 2026-05-08")
    monkeypatch.undo()
    assert daily(place, date(2026, 5, 8)) is None, "not again within the hour"
    assert daily(place, date(2026, 5, 9)) is not None
    assert stands(place).trouble == ""


def test_a_folder_that_is_none_is_told(place: Place) -> None:
    (place.data / "backups").write_bytes(b"no folder")
    with pytest.raises(Unavailable, match="No backup was made on 2026-05-08"):
        daily(place, date(2026, 5, 8))
    assert "backups cannot be written" in stands(place).trouble


def test_switched_off_none_is_made(place: Place) -> None:
    with writing(place.engine) as session:
        preferences.set_backups_wanted(session, False)
    assert daily(place, date(2026, 5, 8)) is None
    assert "switched off" in stands(place).says
    with writing(place.engine) as session:
        preferences.set_backups_wanted(session, True)
    assert daily(place, date(2026, 5, 8)) is not None
