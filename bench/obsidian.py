"""Every wikilink of a mirrored wiki followed as Obsidian does: to a file of that name, or nowhere.

    python -m bench obsidian PATH [PATH ...]      what to import: files, folders, an archive (.tar.gz, .zip)

Of each link in the files, front matter and text, without code: does the name before `#` and `|` lead to
the file of the page that it means here? `followed` it does; `astray` are those that lead to a page here
and to no file, or to another's, there; `typed` say how, as `[[uses::Page]]`; `red` lead nowhere in
either, and `there` in the vault alone. Then the links are written by the names of files, and followed
again. The reading of links is not the program's own.
"""

from __future__ import annotations

import argparse
import re
import tarfile
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

from app import syncing
from app.bootstrap import App, build
from app.domain.markdown import link_keys
from app.importing import import_paths
from app.services import wording
from app.settings import Settings
from app.store import pages
from app.store.db import reading, writing
from app.vault import notes
from bench import built

_CODE = re.compile(r"^([`~]{3,}).*?^\1[`~]*[ ]*$|(`+)(?!`).+?(?<!`)\2(?!`)", re.S | re.M)
_LINK = re.compile(
    r"!?\[\[([^\[\]|\n]+)(?:\|[^\[\]\n]*)?\]\]|\[[^\[\]\n]*\]\(<?(?![a-z]+:)([^()<>\n]+?\.md)>?(?:#[^)]*)?\)"
)
_RELATION = re.compile(r"\s*[A-Za-z][A-Za-z_-]*\s*::(?!:)")
_OTHERS = re.compile(
    r"\.(?:png|jpe?g|gif|svg|webp|avif|bmp|pdf|mp[34]|wav|webm|ogg|zip|csv|canvas)$", re.I
)


@dataclass
class Followed:
    """Links of a vault by what becomes of them in Obsidian; `wrong` names those that go astray."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of the links to a page that is there, those that lead to its file."""
        there = sum(self.counts[name] for name in ("followed", "astray", "typed"))
        return self.counts["followed"] / there if there else 1.0

    @property
    def in_words(self) -> str:
        counted = ", ".join(f"{name} {number:,}" for name, number in sorted(self.counts.items()))
        return f"{counted or 'no links'}; {self.share:.1%} of those to pages are followed"


def plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().lower()


def names_in(text: str) -> Iterator[tuple[str, str]]:
    """Each link as it stands, and the name that it gives."""
    for found in _LINK.finditer(_CODE.sub("", text)):
        name = found[1].removesuffix("\\") if found[1] else unquote(found[2])
        name = re.sub(r"\.md$", "", name.partition("#")[0].strip())
        if name and not _OTHERS.search(name):
            yield found[0], name


def follow(app: App) -> Followed:
    """Follow every link of the vault, in front matter and text, as Obsidian does."""
    root = app.vault_folder
    files = {
        path.relative_to(root).as_posix(): notes.parse(path.read_bytes())
        for path in sorted(root.rglob("*.md"))
        if path.is_file() and not path.relative_to(root).parts[0].startswith(".")
    }
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in files:
        parts = plain(path.removesuffix(".md")).split("/")
        for start in range(len(parts)):
            by_name["/".join(parts[start:])].append(path)
    followed = Followed()
    with reading(app.engine) as session:
        for path, parsed in files.items():
            # Quotes are doubled in front matter's single-quoted strings alone.
            head = parsed.head.replace("''", "'")
            for says, name in names_in(f"{head}\n{parsed.note.body}"):
                typed = _RELATION.match(name)
                keys = link_keys(name[typed.end() :] if typed else name)
                known = pages.resolve(session, keys)
                means = next((known[key] for key in keys if key in known), None)
                there = by_name.get(plain(name), [])
                if means is None:
                    followed.counts["there" if there else "red"] += 1
                elif typed and not there:
                    followed.counts["typed"] += 1
                elif there and all(files[each].note.id == means.slug for each in there):
                    followed.counts["followed"] += 1
                else:
                    followed.counts["astray"] += 1
                    followed.wrong.append(f"{path}: {says} means {means.title} ({means.slug})")
    return followed


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("paths", nargs="+", type=Path)
    options.add_argument("--show", type=int, default=0, help="so many of the links that go astray")
    chosen = options.parse_args()
    for path in chosen.paths:
        with TemporaryDirectory(prefix="cerebro-bench-", dir=built.place()) as folder:
            _measure(Path(folder), path, chosen.show)


def _measure(folder: Path, path: Path, show: int) -> None:
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            archive.extractall(folder / "of", filter="data")
    app = build(Settings(data=folder / "data", embedding_model="none"))
    import_paths(app, [folder / "of" if path.name.endswith(".tar.gz") else path])
    report = syncing.once(app, "bench")
    print(f"{path.name}: {len(report.written):,} files written")
    before = follow(app)
    print(f"    before   {before.in_words}")
    for line in before.wrong[:show]:
        print(f"             {line}")
    spent = time.process_time()
    with writing(app.engine) as session:
        done = wording.word(session, now=app.clock())
    spent = time.process_time() - spent
    syncing.once(app, "bench")
    after = follow(app)
    print(f"    after    {after.in_words}")
    print(f"             {done.in_words} {spent:.1f} CPU s")
    for line in after.wrong[: show or 10]:
        print(f"             {line}")
    app.engine.dispose()


if __name__ == "__main__":
    main()
