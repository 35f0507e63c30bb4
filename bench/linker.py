"""The linker's evaluation, by the command line and the script beside the data.

    python -m bench linker                      six small lists, warm and cold, shipped weights
    python -m bench linker --folds DIR          all lists, each by weights that have not seen it

DIR holds what `python -m bench.fit_linker --fold-dir DIR` wrote. For every way of asking (half
linked, strict, cold; with vectors and by words alone) the script runs once for each fold, and the
mean over all lists is printed. `--list NAME` (a part of it) and `--how WAY` narrow it down.
Vectors are kept between runs by bench.kept_vectors.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.fit_linker import FIGURES, SMALL
from bench.process import ROOT, SHARED

SCRIPT = SHARED / "eval" / "linker_eval.py"
WORDS = {"CEREBRO_EMBEDDING_MODEL": "none"}
WAYS: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    "half linked": ((), {}),
    "strict": (("--reject",), {}),
    "cold": (("--cold",), {}),
    "words": ((), WORDS),
    "words strict": (("--reject",), WORDS),
    "words cold": (("--cold",), WORDS),
}
Figures = dict[str, dict[str, float]]


def evaluated(
    lists: Sequence[str],
    flags: Sequence[str],
    command: str,
    environment: Mapping[str, str],
    *,
    out: Path | None = None,
) -> Figures:
    """Runs the script over some lists, whose names hold these parts; its figures by list."""
    named = [word for name in lists for word in ("--list", name)]
    kept = ["--out", str(out)] if out else []
    subprocess.run(
        [sys.executable, str(SCRIPT), "--command", command, *named, *flags, *kept],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=True,
    )
    return json.loads(out.read_text(encoding="utf-8")) if out and out.exists() else {}


def by_folds(folder: Path, parts: Sequence[str], ways: Sequence[str], command: str) -> None:
    """Every list by the weights of the fold that leaves it out; the mean over all of them."""
    fold_of = json.loads((folder / "folds.json").read_text(encoding="utf-8"))
    names = [name for name in fold_of if not parts or any(part in name for part in parts)]
    for way in ways:
        flags, environment = WAYS[way]
        found: Figures = {}
        for fold in sorted({fold_of[name] for name in names}):
            with TemporaryDirectory() as temporary:
                weights = str((folder / f"fold-{fold}.json").resolve())
                found |= evaluated(
                    [name for name in names if fold_of[name] == fold],
                    flags,
                    command,
                    {**environment, "CEREBRO_LINKER_WEIGHTS": weights},
                    out=Path(temporary) / "figures.json",
                )
        print(f"{'held out, mean of lists':38s} {'lists':>5s}", *(f"{key:>9s}" for key in FIGURES))
        means = [sum(each[key] for each in found.values()) / len(found) for key in FIGURES]
        print(f"{way:38s} {len(found):5d}", *(f"{mean:9.3f}" for mean in means), flush=True)


def main(arguments: Sequence[str] = ()) -> None:
    """Runs what is asked; nothing is kept but vectors."""
    parser = argparse.ArgumentParser(
        prog="python -m bench linker",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folds", type=Path, help="the folder with the weights of each fold")
    parser.add_argument("--list", action="append", default=[], help="part of a list's name")
    parser.add_argument("--how", action="append", choices=WAYS, help="one way of asking, or more")
    parser.add_argument("--command", help="the program that is measured")
    given = parser.parse_args(list(arguments))
    if not SCRIPT.is_file():
        print("The evaluation is not here; nothing was measured.")
        return
    if given.folds:
        command = given.command or f"{sys.executable} -m bench.kept_vectors"
        by_folds(given.folds, given.list, given.how or list(WAYS), command)
        return
    for way in given.how or ("half linked", "cold"):
        print(f"-- {way}", flush=True)
        flags, environment = WAYS[way]
        command = given.command or f"{sys.executable} -m app.cli"
        evaluated(given.list or SMALL, flags, command, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
