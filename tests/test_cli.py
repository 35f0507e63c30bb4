"""The command line as programs see it: exit codes, JSON alone on standard output, one-line errors."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from typer.testing import CliRunner

from app.cli import cli, main
from tests import databases
from tests.llm_server import LlmServer, papers_of
from tests.mail_server import MailServer
from tests.servers.hostile import Server, page
from tests.test_fetching import rss

ROOT = Path(__file__).parents[1]
Row = dict[str, Any]
WIKI: list[Row] = [
    {"type": "concept", "id": "kv-cache", "title": "KV cache", "aliases": ["key-value cache"]},
    {
        "type": "paper",
        "id": "arxiv:2605.00001",
        "title": "Paged keys — naïve ☕",
        "abstract": "We keep the key-value cache in pages. The KV cache grows.",
        "published": "2026-05-07",
    },
    {
        "type": "paper",
        "id": "arxiv:2605.00002",
        "title": "A listed paper",
        "abstract": "Another.",
        "day": "2026-05-14",
    },
    {"type": "thread", "id": "less-memory", "title": "Less memory", "claim": "It is enough."},
    {
        "type": "link",
        "source": "arxiv:2605.00001",
        "relation": "about",
        "target": "kv-cache",
        "status": "proposed",
        "confidence": 0.8,
    },
    {
        "type": "link",
        "source": "arxiv:2605.00001",
        "relation": "part-of",
        "target": "less-memory",
        "day": "2026-05-13",
    },
]


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Standard output as JSON lines: every line must be one."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Done]


SETTINGS = {
    "CEREBRO_EMBEDDING_MODEL": "none",
    "CEREBRO_NOW": "2026-05-14T09:00:00Z",
    "CEREBRO_TIMEZONE": "UTC",
}


def database(folder: Path) -> dict[str, str]:
    """Nothing on SQLite, whose file is in the data folder; else the address of an empty database."""
    if not databases.on_postgresql():
        return {}
    return {"CEREBRO_DATABASE_URL": databases.url_of(folder)}


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Run]:
    """Run `cerebro` on a wiki of its own without vectors, in this process: it starts sooner."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def call(*words: str | Path, **settings: str) -> Done:
        with monkeypatch.context() as here:
            here.chdir(tmp_path)
            for name in [name for name in os.environ if name.startswith("CEREBRO_")]:
                here.delenv(name)
            given = {f"CEREBRO_{name.upper()}": value for name, value in settings.items()}
            for name, value in {
                **SETTINGS,
                "CEREBRO_DATA": str(tmp_path / "data"),
                **database(tmp_path),
                **given,
            }.items():
                here.setenv(name, value)
            here.setattr(sys, "argv", ["cerebro", *map(str, words)])
            capfdbinary.readouterr()
            try:
                main()
                code: object = 0
            except SystemExit as end:
                code = end.code or 0
            out, err = capfdbinary.readouterr()
        assert isinstance(code, int)
        return Done(code, out.decode(), err.decode())

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


def process(folder: Path, *words: str | Path, **environment: str) -> Done:
    """Run `cerebro` as a process of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CEREBRO_")}
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *map(str, words)],
        cwd=folder,
        env={
            **kept,
            "PYTHONPATH": str(ROOT),
            "CEREBRO_DATA": str(folder / "data"),
            **SETTINGS,
            **database(folder),
            **environment,
        },
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def write(folder: Path, rows: list[Row] | bytes, name: str = "facts.jsonl") -> Path:
    path = folder / name
    data = rows if isinstance(rows, bytes) else "\n".join(map(json.dumps, rows)).encode()
    path.write_bytes(data)
    return path


def refused(done: Done, code: int, *says: str) -> None:
    """It ended with this code and one line on standard error, and said nothing else."""
    assert done.code == code, done
    assert done.out == ""
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) == 1, done.err
    for words in says:
        assert words in done.err


# ---------------------------------------------------------------- starting


def test_help_is_there_at_once_and_loads_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['cerebro', '--help']\n"
        "from app.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'sqlalchemy', 'sqlmodel', 'numpy', 'scipy', 'torch', 'fastapi', 'alembic'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "import" in done.stdout
    assert "LOADED []" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "serve",
        "worker",
        "migrate",
        "assets",
        "backup",
        "restore",
        "doctor",
        "rebuild",
        "health",
        "import",
        "link",
        "review",
        "decide",
        "undo",
        "threads",
        "atlas",
        "search",
    ],
)
def test_every_command_says_what_it_does(command: str) -> None:
    shown = CliRunner().invoke(cli, [command, "--help"])
    assert shown.exit_code == 0
    assert f"cerebro {command}" in shown.stdout.replace("root", "cerebro")


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("import",),
        ("decide",),
        ("decide", "x", "accept"),
        ("decide", "1", "perhaps"),
        ("search",),
        ("search", "x", "--limit", "0"),
        ("search", "x", "--mode", "psychic"),
        ("search", "x", "--kind", "castle"),
        ("link", "--candidates", "0"),
        ("serve", "--port", "99999"),
        ("undo", "x"),
    ],
)
def test_wrong_usage_is_code_2(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.code == 2, done
    assert done.out == ""
    assert done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("database_url", "nonsense", "CEREBRO_DATABASE_URL"),
        ("database_url", "mysql://localhost/x", "not supported"),
        ("database_url", "postgresql://127.0.0.1:1/x", "cannot be reached"),
        ("timezone", "Mars/Olympus", "CEREBRO_TIMEZONE"),
        ("now", "later", "CEREBRO_NOW"),
        ("log", "shout", "CEREBRO_LOG"),
        ("linker_weights", "/nowhere.json", "CEREBRO_LINKER_WEIGHTS"),
        ("linker_floor", "1.5", "CEREBRO_LINKER_FLOOR"),
        ("fetch_allow", "127.0.0.1", "CEREBRO_FETCH_ALLOW"),
        ("fetch_allow", "127.0.0.1:8080, 10.0.0.0/8:80", "CEREBRO_FETCH_ALLOW"),
        ("fetch_allow", "*:80", "CEREBRO_FETCH_ALLOW"),
        ("fetch_allow", "localhost:0", "CEREBRO_FETCH_ALLOW"),
        ("fetch_allow", "http://localhost:80", "CEREBRO_FETCH_ALLOW"),
        ("fetch_allow", "[::g]:80", "CEREBRO_FETCH_ALLOW"),
        ("fetch_allow", "localhost:80-90", "CEREBRO_FETCH_ALLOW"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(
    run: Run, setting: str, value: str, says: str
) -> None:
    refused(run("threads", **{setting: value}), 1, says)


@pytest.mark.parametrize("other", ["sqlite", "postgresql"])
def test_a_wiki_is_copied_to_another_database(run: Run, tmp_path: Path, other: str) -> None:
    assert run("import", write(tmp_path, WIKI)).code == 0
    here = database(tmp_path).get("CEREBRO_DATABASE_URL")
    source = here or f"sqlite:///{tmp_path}/data/cerebro.sqlite3"
    target = databases.create() if other == "postgresql" else f"sqlite:///{tmp_path}/copy.sqlite3"
    done = run("migrate", "--from", source, "--to", target, "--json")
    assert done.code == 0, done
    copied = {row["table"]: row for row in done.lines}
    assert copied["page"]["rows"] == 3
    assert copied["paper"]["rows"] == 2
    assert all(len(row["hash"]) == 64 for row in copied.values())
    found = run("search", "naive paged", "--mode", "words", "--json", database_url=target)
    assert [row["title"] for row in found.lines] == ["Paged keys — naïve ☕"]
    assert [row["id"] for row in run("threads", "--json", database_url=target).lines] == [
        "less-memory"
    ]
    refused(run("migrate", "--from", source, "--to", target), 1, "is not empty")


def test_a_copy_needs_two_databases(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.sqlite3"
    refused(run("migrate", "--from", url), 2, "--to")
    refused(run("migrate", "--from", url, "--to", url), 2, "the same database")
    refused(run("migrate", "--from", url, "--to", "nonsense"), 1, "--to is no database address")
    refused(run("migrate", "--from", "mysql://a/b", "--to", url), 1, "--from: mysql")


@pytest.mark.parametrize("held", [None, b"", b"x"])
def test_what_holds_no_wiki_is_neither_copied_nor_made_one(
    run: Run, tmp_path: Path, held: bytes | None
) -> None:
    source, target = tmp_path / "typo.sqlite3", tmp_path / "copy.sqlite3"
    if held is not None:
        source.write_bytes(held)
    done = run("migrate", "--from", f"sqlite:///{source}", "--to", f"sqlite:///{target}")
    assert done.code == 1
    assert len(done.err.strip().splitlines()) == 1
    assert (source.read_bytes() if source.exists() else None) == held
    assert not target.exists()


@pytest.mark.sqlite_only
def test_a_data_folder_that_cannot_be_is_named_in_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused(run("migrate", data=str(tmp_path / "file" / "data")), 1, "cannot be made")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cerebro.sqlite3").write_bytes(b"not a database " * 500)
    for command in ("migrate", "doctor", "threads", "review"):
        refused(run(command), 1, "cerebro.sqlite3")


def test_a_host_that_others_reach_is_refused_without_a_password(run: Run) -> None:
    refused(run("serve", "--host", "0.0.0.0"), 1, "password")


# ---------------------------------------------------------------- the road


def test_the_commands_of_a_day(run: Run, tmp_path: Path) -> None:
    migrated = run("migrate")
    assert (migrated.code, migrated.out) == (0, "")

    facts = write(tmp_path, WIKI)
    tried = run("import", facts, "--dry-run", "--json")
    assert (tried.code, tried.json["new"], tried.json["rejected"]) == (0, 6, [])
    imported = run("import", facts, "--json")
    assert imported.json == tried.json
    again = run("import", facts, "--json")
    assert (again.json["new"], again.json["changed"], again.json["same"]) == (0, 0, 6)

    [proposal] = run("review", "--json").lines
    assert (proposal["source"], proposal["target"]) == ("paged-keys-naive-coffee", "kv-cache")
    assert "☕" in run("review").out

    decided = run("decide", str(proposal["id"]), "accept", "--reason", "clear", "--json")
    assert decided.json["verdict"] == "accept"
    refused(run("decide", str(proposal["id"]), "reject"), 1, "decided already")
    assert run("review", "--json").out == ""
    undone = run("undo", str(decided.json["decision"]), "--json").json
    assert undone["undone"] == [decided.json["decision"]]
    assert undone["words"][0].startswith("accepted Paged keys") and "KV cache" in undone["words"][0]
    refused(run("decide", "c7", "accept"), 1, "no proposal c7")
    refused(run("decide", "7c", "accept"), 2, "names no proposal")
    refused(run("undo"), 1, "no decision to undo")
    refused(run("undo", "999"), 1, "no decision 999")
    refused(run("decide", "9" * 40, "accept"), 1, "no proposal")

    [thread] = run("threads", "--json").lines
    assert (thread["id"], thread["papers"], thread["status"]) == ("less-memory", 1, "growing")
    assert "1 paper since 2026-05-13" in run("threads").out
    assert run("threads", "--query", "enough", "--moved", "--status", "growing").code == 0
    [told] = run("threads", "--members", "--json", "--asof", "2026-05-13").lines
    assert [each["day"] for each in told["members"]] == ["2026-05-13"]
    [then] = run("threads", "--json", "--asof", "2026-05-12").lines
    assert (then["papers"], then["this_week"]) == (0, 0)
    assert run("threads", "--between", "kv-cache", "kv-cache", "--json").out == ""
    refused(run("threads", "--asof", "2026-02-30"), 2, "is no day that has been")
    refused(run("threads", "--status", "great"), 2, "A thread is growing")
    refused(run("threads", "--between", "kv-cache", "nothing"), 2, "no concept called 'nothing'")

    found = run("search", "key-value", "--mode", "words", "--json")
    assert {row["slug"] for row in found.lines} == {"kv-cache", "paged-keys-naive-coffee"}
    nothing = run("search", "zeppelin", "--json")
    assert (nothing.code, nothing.out) == (0, "")

    linked = run("link", "--json", "--candidates", "3")
    assert linked.code == 0
    assert linked.lines[0]["paper"] == "arxiv:2605.00001"
    assert linked.lines[0]["target"] == "kv-cache"
    assert run("link", "--json", "--candidates", "3").out == linked.out
    assert run("link", "--paper", "arxiv:2605.00001", "--json").lines

    assert run("worker", "--once").code == 0
    checks = run("doctor", "--json")
    assert checks.code == 0
    assert all(check["ok"] for check in checks.json)
    for raw in (tmp_path / "data" / "raw").rglob("*"):
        if raw.is_file():
            raw.unlink()
    texts = run("health", "--json").json
    assert {"typed-counters", "live-claims", "orphans"} <= {each["check"] for each in texts}
    assert "Live claims that do not hold: 0" in run("health").out
    assert run("health", "--links").out == "There was no link to write.\n"
    assert run("health", "--links", "--json").json == {
        "pages": 0,
        "links": 0,
        "stay": 0,
        "act": None,
    }
    harmed = run("doctor", "--json")
    assert harmed.code == 1
    assert [check["check"] for check in harmed.json if not check["ok"]] == ["raw bytes"]


def elsewhere(tmp_path: Path) -> dict[str, str]:
    """Settings of another, empty place on the engine under test."""
    place = {"data": str(tmp_path / "other")}
    return {**place, "database_url": databases.create()} if databases.on_postgresql() else place


def vault_files(data: Path) -> dict[str, bytes]:
    return {
        path.relative_to(data).as_posix(): path.read_bytes()
        for path in sorted((data / "vault").rglob("*"))
        if path.is_file() and "replaced" not in path.parts
    }


def test_a_backup_is_restored_to_the_same_export_and_the_same_files(
    run: Run, tmp_path: Path
) -> None:
    assert run("import", write(tmp_path, WIKI)).code == 0
    assert run("decide", "1", "accept").code == 0
    assert run("sync").code == 0
    had, files = run("export", "--format", "jsonl").out, vault_files(tmp_path / "data")
    made = run("backup", "wiki.zip", "--json")
    assert (made.code, made.json["counts"]["decision"], made.json["left_out"]) == (0, 1, [])
    refused(run("backup", "wiki.zip"), 1, "--force")
    assert run("backup", "wiki.zip", "--force").code == 0
    refused(run("backup", tmp_path / "no" / "wiki.zip"), 2, "There is no folder")
    refused(run("restore", "wiki.zip"), 1, "There is a wiki in the database already")
    other = elsewhere(tmp_path)
    restored = run("restore", "wiki.zip", **other)
    assert (restored.code, restored.err) == (0, "")
    assert restored.out.startswith("Restored from wiki.zip, made 2026-05-14 09:00: 3 pages with ")
    assert run("export", "--format", "jsonl", **other).out == had
    assert vault_files(tmp_path / "other") == files
    checks = run("doctor", "--json", **other)
    assert checks.code == 0
    assert not any(each["wrong"] for each in checks.json)
    assert run("sync", **other).err == "In step.\n"
    (tmp_path / "no.zip").write_bytes(b"PK nothing")
    refused(run("restore", "no.zip", data=str(tmp_path / "third")), 1, "no whole zip")


def test_what_a_backup_could_not_read_is_named(run: Run, tmp_path: Path) -> None:
    assert run("import", write(tmp_path, WIKI)).code == 0
    for path in (tmp_path / "data" / "raw").glob("*/*"):
        path.unlink()
    made = run("backup", "wiki.zip")
    assert made.code == 3
    assert "it is gone from the data folder" in made.err
    restored = run("restore", "wiki.zip", **elsewhere(tmp_path))
    assert restored.code == 0
    assert "is missing here too" in restored.err


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_restore_that_is_killed_is_nothing_or_gone_on_with(run: Run, tmp_path: Path) -> None:
    """SIGKILL at any moment: the next start finds an empty place, or finishes the restore."""
    assert run("import", write(tmp_path, WIKI)).code == 0
    notes = tmp_path / "data" / "vault"
    notes.mkdir(exist_ok=True)
    for number in range(300):
        (notes / f"n{number}.txt").write_bytes(os.urandom(2_000))
    had = run("export", "--format", "jsonl").out
    assert run("backup", "wiki.zip").code == 0
    for turn, seconds in enumerate((0.0, 0.03, 0.1)):
        other = elsewhere(tmp_path) | {"data": str(tmp_path / f"killed{turn}")}
        environment = {**SETTINGS, **{f"CEREBRO_{k.upper()}": v for k, v in other.items()}}
        going = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "restore", str(tmp_path / "wiki.zip")],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while going.poll() is None and not (Path(other["data"]) / ".restore.json").exists():
            time.sleep(0.005)
        time.sleep(seconds)
        going.kill()
        going.wait()
        there = run("export", "--format", "jsonl", **other)
        assert there.code == 0
        if there.out != had:
            assert not [line for line in there.lines if line.get("type") == "page"]
            shutil.rmtree(other["data"])
            again = other | (elsewhere(tmp_path) if databases.on_postgresql() else {})
            assert run("restore", "wiki.zip", **again | {"data": other["data"]}).code == 0
        assert not list(Path(other["data"]).rglob(".restore*"))


def test_a_wiki_is_rebuilt_from_its_vault(run: Run, tmp_path: Path) -> None:
    assert run("import", write(tmp_path, WIKI)).code == 0
    assert run("sync").code == 0
    vault, other = tmp_path / "data" / "vault", {"data": str(tmp_path / "other")}
    if databases.on_postgresql():
        (tmp_path / "empty").mkdir()
        other["database_url"] = databases.url_of(tmp_path / "empty")
    had = run("export").out
    refused(run("rebuild", "--from", tmp_path / "nowhere", **other), 1, "nowhere")
    (vault / "notes" / "mine.md").write_bytes(b"\xff")
    done = run("rebuild", "--from", vault, "--json", **other)
    assert done.code == 3
    assert done.json["problems"] == [
        {"path": "notes/mine.md", "reason": "Line 1 of the file is not UTF-8. Save it as UTF-8."}
    ]
    pages = {row["slug"] for row in map(json.loads, had.splitlines()) if "slug" in row}
    assert sum(done.json["pages"].values()) == len(list(vault.rglob("*.md"))) - 1
    assert pages <= {path.stem for path in (vault / ".cerebro" / "pages").iterdir()}
    refused(run("rebuild", "--from", vault, **other), 1, "not empty")
    assert "nothing was wrong" in run("rebuild", **other).out
    assert run("rebuild", "--json", **other).json["texts"] == 0


def test_the_atlas_counts_papers_by_topic_and_week(run: Run, tmp_path: Path) -> None:
    assert run("atlas").out == "No such paper came in these weeks.\n"
    assert run("import", write(tmp_path, WIKI)).code == 0
    [none] = run("atlas", "--of", "came", "--range", "all", "--json").lines
    assert (none["topic"], none["name"], none["weeks"]) == (None, "No topic", 1)
    assert sum(none["papers"].values()) == sum(row["type"] == "paper" for row in WIKI)
    assert "No topic" in run("atlas", "--of", "came", "--range", "all").out
    refused(run("atlas", "--of", "liked"), 2, "picked, kept")
    refused(run("atlas", "--range", "1-week"), 2, "6-months")
    for day in ("never", "9999-12-31"):
        refused(run("atlas", "--asof", day), 2, "no day that has been")


# ---------------------------------------------------------------- files


def test_a_page_is_removed_and_an_import_undone_as_a_whole(run: Run, tmp_path: Path) -> None:
    run("import", write(tmp_path, WIKI))
    gone = run("remove", "kv-cache", "--reason", "twice here", "--json").json
    refused(run("remove", "kv-cache"), 1, "was removed on", "twice here", "cerebro undo")
    refused(run("remove", "nowhere"), 1, "There is no page at 'nowhere'")
    lines = [json.loads(line) for line in run("activity", "--json").out.splitlines()]
    assert [each["verb"] for each in lines] == ["removed", "imported"]
    assert lines[0]["decision"] == gone["decision"] and lines[1]["counts"]["pages"] == 3
    said = run("activity", "--limit", "1").out
    assert "removed KV cache (twice here)" in said and said.count("\n") == 1
    refused(run("activity", "--kind", "nonsense"), 2, "Use save, decision")
    assert run("undo", gone["decision"]).code == 0
    act = str(lines[1]["act"])
    refused(run("undo", "1", "--act", act), 2, "not both")
    refused(run("undo", "--act", "4711"), 1, "There is no act 4711")
    undone = run("undo", "--act", act)
    assert undone.code == 0 and "3 pages removed" in undone.out
    refused(run("undo", "--act", act), 1, "undone already")
    lines = [
        json.loads(line) for line in run("activity", "--kind", "act", "--json").out.splitlines()
    ]
    assert "Undone, Import of" in undone.out and "KV cache" in undone.out
    whole = run("undo")
    assert "Brought back, Import of" in whole.out and "3 pages put back" in whole.out
    run("undo", "--act", act)
    lines = [
        json.loads(line) for line in run("activity", "--kind", "act", "--json").out.splitlines()
    ]
    back = run("undo", "--act", lines[0]["act"], "--json")
    assert back.json["counts"]["back"] == 3 and back.json["stays"] == []


def test_a_dry_run_changes_nothing(run: Run, tmp_path: Path) -> None:
    run("import", write(tmp_path, WIKI), "--dry-run")
    assert run("threads", "--json").out == ""
    assert not (tmp_path / "data" / "raw").exists()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"  \n\n ", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "no format"),
        (b"\x00" * 50, "no format"),
        (b"just words", "no format"),
        (b'{"title": "Tides"}', 'A line of jsonl says what it is: {"type": "paper"'),
    ],
)
def test_a_file_that_nobody_can_read_is_code_1(
    run: Run, tmp_path: Path, data: bytes, says: str
) -> None:
    done = run("import", write(tmp_path, data, "odd.bin"), "--json")
    assert done.code == 1
    assert done.json["files"] == 0
    assert says in done.json["rejected"][0]["reason"]
    assert done.err.count("odd.bin") == 1
    assert "Traceback" not in done.err


@pytest.mark.sqlite_only
def test_an_export_goes_into_a_pipe_and_through_a_link(run: Run, tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("# Red\n\nText.\n")
    run("import", tmp_path / "note.md")
    pipe, link, file = tmp_path / "pipe", tmp_path / "link.jsonl", tmp_path / "file.jsonl"
    os.mkfifo(pipe)
    read = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert run("export", "--format", "jsonl", "-o", pipe).code == 0
    said = os.read(read, 1 << 16)
    os.close(read)
    assert pipe.is_fifo() and b'"title":"Red"' in said
    file.write_text("before")
    link.symlink_to(file)
    assert run("export", "--format", "jsonl", "-o", link).code == 0
    assert link.is_symlink() and file.read_bytes() == said


@pytest.mark.sqlite_only
def test_no_text_acts_on_the_terminal(run: Run, tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("# Red\n\n\x1b]0;owned\x07 \x1b[31mred\x9b2J\tend\n")
    assert run("import", tmp_path / "note.md").code == 0
    leader, follower = pty.openpty()
    settings = SETTINGS | {"CEREBRO_DATA": str(tmp_path / "data")}
    subprocess.run(
        [sys.executable, "-m", "app.cli", "show", "red"],
        env=os.environ | settings,
        stdout=follower,
        check=True,
    )
    os.close(follower)
    said = os.read(leader, 1 << 16).decode()
    os.close(leader)
    assert "\ufffd[31mred\ufffd2J" in said and "end" in said
    assert not {"\x1b", "\x07", "\x9b"} & set(said)


@pytest.mark.parametrize("name", ["nowhere.jsonl", "empty-folder"])
def test_what_is_not_there_is_code_1_and_said(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty-folder").mkdir()
    done = run("import", tmp_path / name)
    assert done.code == 1
    assert name in done.err


def test_a_format_that_nobody_knows_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    done = run("import", write(tmp_path, WIKI), "--format", "papyrus", "--json")
    refused(done, 2, "papyrus", "jsonl")


def test_a_format_that_the_content_is_not_is_code_1(run: Run, tmp_path: Path) -> None:
    done = run("import", write(tmp_path, WIKI), "--format", "podcast-page", "--json")
    assert done.code == 1
    assert done.json["rejected"]


def test_bad_lines_are_code_3_with_their_numbers(run: Run, tmp_path: Path) -> None:
    concept = {"type": "concept", "id": "tides", "title": "Tides"}
    lines = [
        json.dumps(concept | {"text": "Long enough. " * 100}).encode(),
        b"{",
        b'{"type":"castle","id":"x"}',
        b'{"type":"concept","id":"Not a slug","title":"x"}',
        b'{"type":"concept","id":"nul","title":"a\\u0000b"}',
        b'{"type":"concept","id":"broken","title":"caf\xe9"}',
        b"\x00\x01\x02",
        b"[" * 10_000,
    ]
    done = run("import", write(tmp_path, b"\n".join(lines)), "--json")
    assert done.code == 3
    assert (done.json["files"], done.json["new"]) == (1, 2)
    places = [each["where"] for each in done.json["rejected"]]
    assert places == [f"facts.jsonl, line {n}" for n in (2, 3, 4, 5, 7, 8)]
    assert done.json["kinds"] == {"concept": {"new": 2}}


def test_one_bad_file_among_good_ones_is_code_3(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    for name, text in {
        "a.md": "# Tides\n\nSee [[Moon]].",
        "deep/Moon.md": "The moon.",
        "empty.md": "",
        ".hidden.md": "# Hidden",
        ".obsidian/x.md": "# Hidden",
        "a.sync-conflict-20260514-090000-ABC.md": "# Copy",
        "a.md~": "# Copy",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    outside = tmp_path / "outside.md"
    outside.write_text("# Secret")
    (folder / "link.md").symlink_to(outside)
    done = run("import", folder, "--json")
    assert done.code == 3
    assert done.json["files"] == 2
    assert [each["where"] for each in done.json["rejected"]] == ["empty.md"]
    found = {row["slug"] for row in run("search", "moon", "--json").lines}
    assert "moon" in found
    for never in ("hidden", "copy", "secret"):
        assert run("search", never, "--mode", "words", "--json").out == "", never


def test_a_vault_is_read_as_such_and_its_attachments_are_counted(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "vault"
    for name, text in {
        "Tide clocks.md": "# Overview\n\nSee [[Moon#Phases|the moon]], ![[Moon]] and ![[tide.png]].",
        "sky/Moon.md": "---\naliases: Luna\ntags: sky/near\n---\n# Phases",
        "A/index.md": "One, [[sky/Moon.md]].",
        "B/index.md": "Two, [three](../A/index.md).",
        "Board.canvas": '{"nodes": []}',
        "tide.png": "no picture",
        "paper.pdf": "%PDF-",
        ".obsidian/app.json": "{}",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = run("import", folder, "--json")
    assert (done.code, done.json["files"], done.json["new"]) == (3, 4, 4)
    assert done.json["left"] == {"png": 1, "pdf": 1}
    [refused_board] = done.json["rejected"]
    assert refused_board["where"] == "Board.canvas"
    assert "Canvas board" in refused_board["reason"]
    again = run("import", folder, "--format", "obsidian", "--json")
    assert (again.json["same"], again.json["new"], again.json["changed"]) == (4, 0, 0)
    told = run("import", folder).out
    assert "attachments left where they are: 2 (1 pdf, 1 png)" in told
    found = {row["slug"]: row["title"] for row in run("search", "kind:note", "--json").lines}
    assert found == {
        "tide-clocks": "Tide clocks",
        "moon": "Moon",
        "a-index": "index",
        "b-index": "index",
    }


def test_standard_output_that_knows_only_ascii_is_no_reason_to_fail(
    run: Run, tmp_path: Path
) -> None:
    run("import", write(tmp_path, WIKI))
    done = process(tmp_path, "review", PYTHONIOENCODING="ascii")
    assert done.code == 0, done.err
    assert "Paged keys" in done.out


def test_codes_and_lines_are_those_of_the_process(tmp_path: Path) -> None:
    good = process(tmp_path, "import", write(tmp_path, WIKI), "--json")
    assert (good.code, good.err) == (0, "")
    assert good.json["new"] == 6
    refused(process(tmp_path, "undo"), 1, "no decision to undo")
    refused(process(tmp_path, "search", "x", "--mode", "psychic"), 2, "meaning")
    bad = write(tmp_path, b'{"type":"concept","id":"a","title":"A"}\n{', "bad.jsonl")
    part = process(tmp_path, "import", bad, "--json")
    assert (part.code, part.json["new"]) == (3, 1)


def test_a_reader_that_goes_away_is_not_complained_about(run: Run, tmp_path: Path) -> None:
    run("import", write(tmp_path, WIKI))
    environment = {**os.environ, **SETTINGS, "CEREBRO_DATA": str(tmp_path / "data")}
    asked = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "review"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert asked.stdout is not None
    asked.stdout.close()
    assert asked.stderr is not None
    said = asked.stderr.read()
    asked.wait(60)
    assert said == b""


# ---------------------------------------------------------------- export


def test_the_graph_is_exported_as_graphml(run: Run, tmp_path: Path) -> None:
    run("import", write(tmp_path, WIKI))
    printed = run("export", "--format", "graphml")
    assert (printed.code, printed.err) == (0, "")
    file = tmp_path / "wiki.graphml"
    done = run("export", "--format", "graphml", "-o", file)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert file.read_text("utf-8") == printed.out
    graph = nx.read_graphml(file)
    assert graph.nodes["kv-cache"]["title"] == "KV cache"
    [(_, target, link)] = graph.edges(data=True)
    assert (target, link["relation"]) == ("less-memory", "part-of")
    assert [path.name for path in tmp_path.glob("*.graphml*")] == ["wiki.graphml"]


def test_a_whole_wiki_goes_into_a_file_and_comes_back(run: Run, tmp_path: Path) -> None:
    run("import", write(tmp_path, WIKI))
    file, again = tmp_path / "whole.jsonl", tmp_path / "again.jsonl"
    assert run("export", "-o", file).code == 0
    assert run("export").out == file.read_text("utf-8")
    empty = tmp_path / "empty"
    empty.mkdir()
    there = {"data": str(empty)}
    if databases.on_postgresql():
        there["database_url"] = databases.url_of(empty)
    done = run("import", file, "--json", **there)
    assert done.code == 0 and json.loads(done.out)["kinds"]["revision"]["new"] > 0
    assert run("export", "-o", again, **there).code == 0
    assert again.read_bytes() == file.read_bytes()
    once_more = run("import", file, **there)
    assert once_more.code == 0 and "only for a wiki that is empty" in once_more.out
    file.write_bytes(file.read_bytes()[:-30])
    other = {**there, "data": str(tmp_path / "other")}
    if databases.on_postgresql():
        (tmp_path / "other").mkdir()
        other["database_url"] = databases.url_of(tmp_path / "other")
    damaged = run("import", file, **other)
    assert damaged.code == 1 and "Nothing was imported" in damaged.err


def test_many_files_go_into_an_empty_folder(run: Run, tmp_path: Path) -> None:
    run("import", write(tmp_path, WIKI))
    for format, name in (("site", "index.html"), ("markdown", ".cerebro/decisions.jsonl")):
        folder = tmp_path / format
        done = run("export", "--format", format, "-o", folder)
        assert (done.code, done.out, done.err) == (0, "", "")
        assert (folder / name).is_file()
        refused(run("export", "--format", format, "-o", folder), 1, "is not empty")
        refused(run("export", "--format", format), 2, "Name a folder")


def test_what_cannot_be_exported_or_written_is_refused(run: Run, tmp_path: Path) -> None:
    refused(run("export", "--format", "pdf"), 2, "jsonl, bibtex, csl, ris, graphml, markdown, site")
    refused(run("export", "--query", "x"), 2, "whole")
    refused(
        run("export", "--format", "graphml", "-o", tmp_path / "no" / "x"), 1, "cannot be written"
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    refused(run("export", "--format", "graphml", "-o", folder), 1, "cannot be written")
    assert not (tmp_path / "folder.part").exists()


def test_the_record_and_rules_of_a_wiki(run: Run, tmp_path: Path) -> None:
    assert "Nothing has been decided" in run("record").out
    assert "There are no rules" in run("rules").out
    assert run("rules", "--json").out == ""
    assert run("import", write(tmp_path, WIKI)).code == 0
    for setting, kept in (("0", True), ("1", False)):
        proposed = run("link", "--candidates", "5", "--json", linker_floor=setting).lines
        about = [each["proposed"] for each in proposed if each["relation"] == "about"]
        assert about, "there is a concept"
        assert any(about) is kept, "the floor that is set counts"
    record = run("record", "--json").json
    assert (record["decided"], record["share"], len(record["by_confidence"])) == (0, None, 10)


def test_costs_say_what_was_spent_and_why_nothing_is_called(run: Run) -> None:
    done = run("costs")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "today       $0, 0 calls",
        "this month  $0, 0 calls",
        "in all      $0, 0 calls",
        "Nothing is called now. No model is set. Name one in Settings.",
    ]
    told = run("costs", "--json", llm_daily_budget_usd="0.1", llm_model="house-model").json
    assert told["budget"] == {"day": 0.1, "month": None}
    assert told["today"] == {
        "cost": 0,
        "calls": 0,
        "cost_unknown": 0,
        "unfinished": 0,
        "held": 0,
    }
    assert told["prices"] == [{"model": "house-model", "known": False}]


@pytest.mark.parametrize("budget", ["-1", "much", "inf", "nan", "1000001"])
def test_a_budget_that_is_none_is_refused(run: Run, budget: str) -> None:
    for name in ("llm_daily_budget_usd", "llm_monthly_budget_usd"):
        refused(run("costs", **{name: budget}), 1, f"CEREBRO_{name.upper()}")


def test_topics_are_listed_with_what_became_of_their_papers(run: Run, tmp_path: Path) -> None:
    assert "There are no topics. Add one at /topics" in run("topics").out
    assert run("topics", "--json").out == ""
    assert run("import", write(tmp_path, [*LISTING, {**LISTING[0], "threshold": 0.01}])).code == 0
    assert run("triage", "--json").code == 0
    keep = {"type": "decision", "paper": "arxiv:2605.10001", "verdict": "keep"}
    assert run("import", write(tmp_path, [keep], "decided.jsonl")).code == 0
    [row] = run("topics", "--json").lines
    assert (row["id"], row["threshold"], row["kept"], row["proposed"]) == ("boats", 0.01, 1, None)
    assert (row["picked"], row["precision"], row["judged"]) == (1, 1.0, 1)
    [line] = run("topics").out.splitlines()
    assert line.startswith("boats") and "100% of 1 kept, 0 missed" in line


# ---------------------------------------------------------------- triage

FIELDS = [
    *("paper", "score", "relevance", "novelty"),
    *("primary_topic", "topics", "comment", "scorer"),
]
LISTING: list[Row] = [
    {"type": "topic", "id": "boats", "name": "Boats", "keep": "sailing hulls, tides"},
    *(
        {
            "type": "paper",
            "id": f"arxiv:2605.1000{n}",
            "title": title,
            "abstract": f"{title}, in full.",
            "day": "2026-05-13",
        }
        for n, title in enumerate(["Granite in quarries", "Sailing hulls", "Brewing leaves"])
    ),
]


def test_triage_orders_a_day_and_prints_an_object_a_paper(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "listing.jsonl"
    file.write_text("\n".join(map(json.dumps, LISTING)))
    run("import", file)
    done = run("triage", "--day", "2026-05-13", "--json")
    assert done.code == 0
    assert [list(row) for row in done.lines] == [FIELDS] * 3
    assert done.lines[0]["paper"] == "arxiv:2605.10001"
    assert done.lines[0]["primary_topic"] == "boats"
    scores = [row["score"] for row in done.lines]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert {row["scorer"] for row in done.lines} == {"local"}
    assert done.err == "There is no sentence encoder: the day is judged by words alone.\n"
    assert run("triage", "--json").lines == done.lines  # again, and of the newest day
    table = run("triage").out.splitlines()
    assert table[0].startswith("2026-05-13: 3 papers, best first (score, ")
    assert float(table[1].split()[0]) >= float(table[2].split()[0])
    assert table[1].endswith("Sailing hulls")


def test_triage_says_what_is_wrong_with_a_day(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "listing.jsonl"
    file.write_text("\n".join(map(json.dumps, LISTING)))
    run("import", file)
    for day, code, words in (
        ("2026-5-14", 2, "is no day. Write it as 2026-05-08."),
        ("", 0, ""),
        ("2026-05-14", 1, "no listing of 2026-05-14. The newest listing is of 2026-05-13."),
    ):
        done = run("triage", "--day", day, "--json")
        assert (done.code, words in done.err) == (code, True)
        assert code == 0 or done.out == ""


def test_triage_asks_a_model_when_told_to_and_says_why_it_cannot(
    run: Run, tmp_path: Path, llm: LlmServer
) -> None:
    file = tmp_path / "listing.jsonl"
    file.write_text("\n".join(map(json.dumps, LISTING)))
    run("import", file)
    asked = ("triage", "--day", "2026-05-13", "--model", "--json")
    done = run(*asked)
    assert (done.code, done.out) == (1, "")
    assert "No model is set" in done.err
    chosen = {"llm_model": "claude-sonnet-5-5", "llm_daily_budget_usd": "1"}
    done = run(*asked, **chosen, now="2026-10-20T09:00:00Z")
    assert done.code == 0, done.err
    assert {row["scorer"] for row in done.lines} == {"claude-sonnet-5-5"}
    assert [len(papers_of(body)) for body in llm.messages] == [3]
    assert "judged 3 papers" in done.err
    assert run("costs", "--json", now="2026-10-20T09:00:00Z").json["today"]["calls"] == 1


def test_triage_of_a_wiki_without_listings_is_refused(run: Run) -> None:
    done = run("triage")
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("cerebro: There is no listing yet")


# ---------------------------------------------------------------- digests


def _digest(run: Run, tmp_path: Path) -> None:
    row = {"type": "page", "id": "d", "kind": "note", "title": "N", "text": "t"}
    (tmp_path / "w.jsonl").write_text("\n".join(map(json.dumps, [*WIKI, row])), encoding="utf-8")
    assert run("import", "w.jsonl").code == 0


def test_a_month_is_printed_as_text_json_and_a_file(run: Run, tmp_path: Path) -> None:
    _digest(run, tmp_path)
    now = "2026-06-02T09:00:00Z"
    shown = run("digest", "--month", "2026-05", now=now)
    assert (shown.code, shown.err) == (0, "")
    assert "[[Less memory]]: 1 paper joined" in shown.out
    told = json.loads(run("digest", "--month", "2026-05", "--json", now=now).out)
    assert set(told) == {"day", "sections", "ledger"} and told["day"] == "2026-05"
    assert {"name", "title", "items"} <= set(told["sections"][0])
    (tmp_path / "kept.html").write_text("old")
    assert run("digest", "--month", "2026-05", "--html", "kept.html", now=now) == Done(0, "", "")
    kept = (tmp_path / "kept.html").read_text(encoding="utf-8")
    assert kept.startswith("<!doctype html>") and "http://127.0.0.1:8000/w/less-memory" in kept
    elsewhere = run(
        "digest", "--month", "2026-05", "--html", "-", now=now, base_url="https://wiki.example/"
    )
    assert elsewhere.out == kept.replace("http://127.0.0.1:8000/", "https://wiki.example/")
    assert sorted(path.name for path in tmp_path.glob("*.part")) == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--month", "2026-05", "--html", "."), 1, "it is a folder. Name a file in it."),
        (("--month", "2026-05", "--html", "no/such/x.html"), 1, "cannot be written"),
        (("--month", "2026-05", "--html", "-", "--json"), 2, "Standard output takes one"),
        (("--month", "2026-05", "--mail"), 1, "Mail is off: set CEREBRO_SMTP"),
        (("--month", "2026-05", "--day", "2026-05-14"), 2, "a day or a month, not both"),
        (("--month", "2026-13"), 2, "is no month"),
        (("--month", "2026-01"), 1, "Nothing came in during January 2026"),
    ],
)
def test_a_digest_that_cannot_be_is_one_line(
    run: Run, tmp_path: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    _digest(run, tmp_path)
    done = run("digest", *words, now="2026-06-02T09:00:00Z")
    assert done.code == code and done.out == ""
    assert says in done.err and done.err.count("\n") == 1


def test_a_month_that_runs_has_no_file_and_no_letter(run: Run, tmp_path: Path) -> None:
    _digest(run, tmp_path)
    for words in (("--html", "x.html"), ("--mail",)):
        done = run(
            "digest", "--month", "2026-05", *words,
            now="2026-05-20T09:00:00Z", smtp="smtp://127.0.0.1:1", mail_to="a@example.org",
        )  # fmt: skip
        assert done.code in (1, 2) and done.err.count("\n") == 1
    assert not (tmp_path / "x.html").exists()


def test_a_digest_is_sent_by_mail(run: Run, tmp_path: Path) -> None:
    _digest(run, tmp_path)
    with MailServer() as server:
        done = run(
            "digest", "--month", "2026-05", "--mail", now="2026-06-02T09:00:00Z",
            smtp=f"smtp://127.0.0.1:{server.port}", mail_to="ada@example.org",
        )  # fmt: skip
        assert done == Done(0, "", "Sent.\n")
        assert [took.letter["Subject"] for took in server.letters] == ["Digest of May 2026"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smtp", "smtp://ada:hunter2@mail.example/x"),
        ("imap", "imap://ada:hunter2@mail.example"),
        ("imap", "imaps://ada:hunter2@mail.example/INBOX"),
        ("mail_to", "nobody"),
        ("mail_from", "a@example.org, b@example.org"),
        ("base_url", "wiki.example"),
    ],
)
def test_a_wrong_setting_of_mail_is_named_and_shows_no_secret(
    run: Run, name: str, value: str
) -> None:
    done = run("doctor", **{name: value})
    assert done.code == 1 and f"CEREBRO_{name.upper()}" in done.err and "hunter2" not in done.err
    assert done.err.count("\n") == 1


# ---------------------------------------------------------------- sources


def test_sources_are_added_fetched_and_listed(run: Run, tmp_path: Path) -> None:
    with Server(rss()) as server, Server(page(b"gone", status="410 Gone")) as gone:
        allowed = f"127.0.0.1:{server.port},127.0.0.1:{gone.port}"

        def cerebro(*words: str | Path) -> Done:
            return run(*words, fetch_allow=allowed)

        assert "There are no sources" in cerebro("sources").out
        assert "Nothing is due" in cerebro("fetch", "--due").out
        seen = cerebro("sources", "add", server.url, "--preview")
        assert (seen.code, "2 entries would come in" in seen.out) == (0, True)
        assert cerebro("sources", "--json").out == ""
        added = cerebro("sources", "add", server.url, "--name", "Mine", "--every", "6h", "--json")
        assert (added.code, json.loads(added.out)["every_minutes"]) == (0, 360)
        refused(cerebro("sources", "add", server.url), 1, "one of your sources already")
        outright = cerebro("sources", "add", gone.url, "--connector", "feed", "--name", "Gone")
        assert outright.code == 0
        fetched = cerebro("fetch")
        assert (fetched.code, fetched.out) == (3, "Mine: 2 new\n")
        assert "gone for good" in fetched.err
        refused(cerebro("fetch", "Gone"), 1, "gone for good")
        again = cerebro("fetch", "mine", "--json")
        assert (again.code, json.loads(again.out)["new"]) == (0, 0)
        rows = [json.loads(line) for line in cerebro("sources", "--json").out.splitlines()]
        assert [(row["name"], row["state"], row["items"]) for row in rows] == [
            ("Gone", "stopped", 0),
            ("Mine", "well", 2),
        ]
        assert "gone for good" in cerebro("sources").out
        assert "2 new" in cerebro("sources", "show", "Mine").out
        days = cerebro("fetch", "Mine", "--from", "2026-02-01", "--to", "2026-02-28")
        assert days.out == "Mine: 1 new, 2 same\n"
        assert "every 720 minutes" in cerebro("sources", "edit", "Mine", "--every", "12h").out
        assert "is paused" in cerebro("sources", "pause", "Mine").out
        assert "is due now" in cerebro("sources", "resume", "Mine").out
        list_ = tmp_path / "list.opml"
        assert cerebro("sources", "opml", "-o", list_).code == 0
        assert server.url in list_.read_text()
        removed = cerebro("sources", "remove", "Mine")
        assert "The 3 items that came in stay in the wiki." in removed.out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("sources", "add", "no source at all"), 2, "names no source"),
        (("sources", "add", "http://127.0.0.1/"), 1, "no public address"),
        (("sources", "add", "x", "--connector", "nope"), 2, "Use one of"),
        (("sources", "add", "http://x.y/", "--connector", "feed", "--option", "a"), 2, "key=value"),
        (("sources", "add", "http://x.y/", "--connector", "feed", "--every", "often"), 2, "90m"),
        (("sources", "show", "7"), 1, "There is no source 7"),
        (("sources", "pause", "nothing"), 1, "There is no source"),
        (("fetch", "nothing"), 1, "There is no source"),
        (("fetch", "--from", "2026-05-01"), 2, "named"),
        (("fetch", "x", "--to", "2026-05-01"), 2, "--from"),
        (("fetch", "x", "--due"), 2, "--due"),
    ],
)
def test_what_is_no_source_is_refused_in_one_line(
    run: Run, words: tuple[str, ...], code: int, says: str
) -> None:
    refused(run(*words), code, says)


def test_what_was_is_read_and_brought_back(run: Run, tmp_path: Path) -> None:
    run("import", write(tmp_path, WIKI))
    [first] = run("history", "kv-cache", "--json").json["revisions"]
    assert first["number"] == 1 and first["author_kind"] == "import"
    assert "1  " in run("history", "KV cache").out
    assert run("show", "kv-cache").out.startswith("# KV cache")
    assert run("blame", "kv-cache").code == 0
    assert run("diff", "kv-cache").out.startswith("--- version 0\n+++ version 1")
    assert "nothing was changed" in run("revert", "kv-cache", "1").out
    refused(run("revert", "kv-cache", "9"), 1, "they go from 1 to 1")
    refused(run("revert", "kv-cache", "1", "--base", "7"), 1, "not at 7")
    refused(run("history", "nowhere"), 1, "There is no page 'nowhere'")
    refused(run("history"), 2, "Name one: a page")
    refused(run("history", "--link", "9999"), 1, "There is no link 9999")
    refused(run("show", "kv-cache", "--as-of", "2026-13-40"), 2, "is no day that has been")
    refused(run("show", "kv-cache", "--as-of", "2999-01-01"), 2, "is no day that has been")
    refused(run("show", "kv-cache", "--as-of", "1999-01-01"), 1, "was not there yet")
    refused(run("show", "kv-cache", "--version", "99999999999"), 1, "no version")
