"""Writes docs/reference.md: every command, setting and address, from the program itself.

`make docs` runs it; tests/test_docs.py fails when the file is out of date.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from fastapi.routing import APIRoute

from app.cli import cli
from app.settings import Settings
from app.web.app import ROUTERS

PATH = Path(__file__).with_name("reference.md")


def commands() -> list[str]:
    lines = [
        "## Commands",
        "",
        "Exit codes: 0 done; 1 could not; 2 wrong usage; 3 done in part.",
        "",
    ]
    for name, command in _under(typer.main.get_command(cli), ""):
        arguments = [p.name for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
        lines.append(f"### `cerebro {' '.join([name, *(a.upper() for a in arguments)])}`")
        lines += ["", command.help or "", ""]
        for option in options:
            lines.append(f"- `{option.opts[0]}`: {option.help or ''}")
        lines.append("")
    return lines


def _under(group: Any, words: str) -> Iterator[tuple[str, Any]]:
    """The commands of a group in order of name, each followed by those under it."""
    for name, command in sorted(group.commands.items()):
        yield f"{words}{name}", command
        if hasattr(command, "commands"):
            yield from _under(command, f"{words}{name} ")


def settings() -> list[str]:
    lines = [
        "## Settings",
        "",
        "From the environment, or without the prefix in `cerebro.toml`.",
        "",
    ]
    lines += ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        lines.append(f"| `CEREBRO_{name.upper()}` | {default} | {field.description} |")
    return [*lines, ""]


def addresses() -> list[str]:
    lines = ["## Addresses", "", "| method | address |", "| --- | --- |"]
    found = sorted(
        {
            (route.path, method)
            for module in ROUTERS
            for route in module.router.routes
            if isinstance(route, APIRoute)
            for method in route.methods
        }
    )
    return [*lines, *(f"| {method} | `{path}` |" for path, method in found), "| GET | `/healthz` |"]


def text() -> str:
    parts = ["# Reference", "", "Made by `make docs`; do not edit.", ""]
    return "\n".join([*parts, *commands(), *settings(), *addresses()]) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
