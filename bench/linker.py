"""The linker's evaluation on six lists, warm and cold, by the script beside the data."""

from __future__ import annotations

import subprocess
import sys

from bench.process import SHARED

LISTS = (
    "KV-Cache",
    "Efficient-LLM",
    "RAG-Survey",
    "On-Policy",
    "KnowledgeEditing",
    "Self-Evolving",
)


def main() -> None:
    script = SHARED / "eval" / "linker_eval.py"
    if not script.is_file():
        print("The evaluation is not here; nothing was measured.")
        return
    lists = [word for name in LISTS for word in ("--list", name)]
    command = f"{sys.executable} -m app.cli"
    for words, flags in (("half linked", []), ("cold", ["--cold"])):
        print(f"-- {words}", flush=True)
        subprocess.run(
            [sys.executable, str(script), "--command", command, *lists, *flags], check=True
        )


if __name__ == "__main__":
    main()
