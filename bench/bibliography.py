"""Bibliographies in and out: crashes, and what of each entry is still there after a round trip.

Every file is imported into an empty wiki and exported as BibTeX, CSL-JSON and RIS; each export is read
again, entry by entry beside what the file said, and imported into the same wiki, where nothing may
change. The last lines look at BibTeX with other eyes: bibtexparser and its own LaTeX decoder alone read
the file and our export of it.

Counted are entries that have a title and are a work of their own. Not counted, and told: entries
refused because they have no title or are broken, and entries that are one work with another one of
their file (the same DOI, arXiv id or title): their keys are looked for (`ids`), their other fields are
those of the work.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import re
import shutil
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import bibtexparser.middlewares as m
from anyascii import anyascii
from bibtexparser.entrypoint import parse_string

from app.bootstrap import READERS, App, build
from app.domain.citations import EXTRA, usable_key
from app.domain.items import Bundle, Document, PaperArrival, Rejected
from app.errors import CerebroError
from app.services.export import FORMATS, bibliography
from app.services.ingest import Outcome, import_files
from app.settings import Settings
from app.sources.base import File, reader_for
from app.store.db import reading, writing

SHARED = Path(__file__).resolve().parents[2] / "shared"
FIELDS = ("key", "title", "authors", "year", "doi")
WANTED = 0.99


def files() -> Iterator[tuple[str, File]]:
    """Each file with the corpus it is of."""
    for name, folder in (
        ("jabref", SHARED / "corpora/bibtex/jabref"),
        ("own", SHARED / "corpora/own/bibtex"),
    ):
        for path in sorted(folder.glob("*.bib")):
            yield name, File(path.name, path.read_bytes())
    folder = SHARED / "data/formats/bibliography"
    if (bulk := folder / "zotero_bulk.bib.gz").is_file():
        yield "zotero bulk", File("zotero_bulk.bib", gzip.decompress(bulk.read_bytes()))
    if (fixtures := folder / "zotero_better_bibtex_fixtures.tar.gz").is_file():
        with tarfile.open(fixtures) as archive:
            for member in archive:
                into = re.search(r"fixtures/(import|export|merge)/", member.name)
                body = archive.extractfile(member) if member.isfile() and into else None
                if body is not None:
                    kind = "json" if member.name.endswith(".json") else "bib"
                    yield f"better bibtex {kind}", File(Path(member.name).name, body.read())


def told(document: Document, paper: PaperArrival) -> dict[str, object]:
    """The fields that count, of an entry as it was read."""
    kept = paper.extra.get(EXTRA) or {}
    doi = (kept.get("fields") or {}).get("doi", "")
    found = [ref for ref in paper.refs if ref.startswith("doi:")]
    return {
        "title": paper.title,
        "authors": (paper.authors, bool(kept.get("others"))),
        "year": paper.published[:4] or kept.get("year", ""),
        "doi": found[0] if found else doi.lower(),
        "key": usable_key(kept.get("key", "")) or "-",
        "keys": [usable_key(each) for each in kept.get("keys", [])],
        "refs": paper.refs,
    }


def entries(read: Document | Bundle) -> tuple[list[dict[str, object]], list[Rejected]]:
    found, refused = [], []
    for each in read.documents if isinstance(read, Bundle) else [read]:
        if isinstance(each, Rejected):
            refused.append(each)
            continue
        paper = next(iter(each.arrivals))
        assert isinstance(paper, PaperArrival)
        found.append(told(each, paper))
    return found, refused


class Measured:
    """Counts of one corpus."""

    def __init__(self) -> None:
        self.n: Counter[str] = Counter()
        self.kept: Counter[tuple[str, str]] = Counter()
        self.of: Counter[tuple[str, str]] = Counter()
        self.lost: list[str] = []

    def file(self, app: App, file: File) -> None:
        self.n["files"] += 1
        try:
            read = reader_for(file, READERS).read(file)
            given, refused = entries(read)
        except CerebroError:
            self.n["files refused in words"] += 1
            return
        except Exception as error:
            self.n["crashes"] += 1
            self.lost.append(f"CRASH {file.name}: {type(error).__name__} {error}")
            return
        self.n["entries"] += len(given)
        self.n["refused"] += len(refused)
        self.imports(app, file)
        raw = written = ""
        for format in FORMATS:
            text = "".join(bibliography(partial(reading, app.engine), format))
            suffix = FORMATS[format].suffix
            again = File(f"export.{suffix}", text.encode())
            if not given:
                continue
            back, _ = entries(reader_for(again, READERS).read(again))
            self.compare(file.name, format, given, back)
            self.n[f"changed by our own {format}"] += self.imports(app, again)
            if format == "bibtex" and file.name.endswith(("bib", "bibtex", "biblatex")):
                raw, written = file.text(), text
        if raw:
            self.other_eyes(file.name, raw, written)

    def imports(self, app: App, file: File) -> int:
        """How many things the file changed in the wiki, or brought."""
        with writing(app.engine) as session:
            ((_, report),) = import_files(
                session, [file], READERS, raw_folder=None, now=app.clock()
            )
            session.commit()
        if isinstance(report, CerebroError):
            return 0
        for each in report.rejected:
            if "could not be stored" in each.reason:
                self.n["crashes"] += 1
                self.lost.append(f"CRASH {file.name} {each.where}: {each.reason}")
        return report.total(Outcome.CHANGED) + report.total(Outcome.NEW)

    def compare(
        self, name: str, format: str, given: list[dict[str, object]], back: list[dict[str, object]]
    ) -> None:
        by_key: dict[object, dict[str, object]] = {}
        for each in back:
            for key in (each["key"], *map(str, each["keys"])):  # type: ignore[call-overload]
                by_key.setdefault(str(key).casefold(), each)
        by_title: dict[str, dict[str, object]] = {}
        for each in back:
            by_title.setdefault(plain(each["title"]), each)
        titles = Counter(plain(entry["title"]) for entry in given)
        refs = Counter(ref for entry in given for ref in entry["refs"])  # type: ignore[attr-defined]
        for entry in given:
            key, title = str(entry["key"]), plain(entry["title"])
            found = by_key.get(key.casefold()) if key != "-" else None
            if key != "-":
                self.count(name, format, "key", found is not None, key)
                if found is not None and plain(found["title"]) != title:
                    found = by_title.get(title) or found  # one of two works under one key
            other = found or by_title.get(title)
            same = any(refs[ref] > 1 for ref in entry["refs"])  # type: ignore[attr-defined]
            if same and (other is None or plain(other["title"]) != title):
                self.n[f"joined with another ({format})"] += 1  # what identifies it is the other's
                continue
            if other is None:
                self.count(name, format, "title", False, entry["title"])
                continue
            own = str(other["key"]).casefold()
            named = key == "-" or re.fullmatch(rf"{re.escape(key.casefold())}(?:-\d+)?", own)
            if not named or (key == "-" and titles[title] > 1):
                self.n[f"joined with another ({format})"] += 1
                continue
            for part in ("title", "authors", "year", "doi"):
                if any(entry[part] if part != "authors" else entry[part][0]):  # type: ignore[index,arg-type]
                    self.count(
                        name, format, part, entry[part] == other[part], (entry[part], other[part])
                    )

    def count(self, name: str, format: str, part: str, kept: bool, what: object) -> None:
        self.of[format, part] += 1
        self.kept[format, part] += kept
        if not kept:
            self.lost.append(f"{format} {part} {name}: {what}")

    def other_eyes(self, name: str, raw: str, written: str) -> None:
        """BibTeX as bibtexparser alone reads it, before and after."""
        stack = [
            m.ResolveStringReferencesMiddleware(),
            m.RemoveEnclosingMiddleware(),
            m.LatexDecodingMiddleware(),
        ]
        try:
            before = parse_string(raw.replace("\r\n", "\n"), parse_stack=stack)
        except Exception:  # its own trouble with the file is none of ours
            self.n["files that bibtexparser's own decoder does not read"] += 1
            return
        stack[0] = m.ResolveStringReferencesMiddleware()
        after = {e.key: e for e in parse_string(written, parse_stack=stack).entries}
        for entry in before.entries:
            fields = {f.key.lower(): plain_tex(f.value) for f in entry.fields}
            if not fields.get("title") or not re.search(r"\w", fields["title"]):
                continue
            key = usable_key(entry.key.replace("\\_", "_").replace("{", "").replace("}", ""))
            other = after.get(key)
            if other is None:
                joined = any(key in plain_tex(e.get("ids").value).split(", ") for e in after.values() if e.get("ids"))  # type: ignore[union-attr]  # fmt: skip
                if joined:
                    self.n["joined with another (other eyes)"] += 1
                elif key:
                    self.count(name, "other eyes", "key", False, key)
                continue
            now = {f.key.lower(): plain_tex(f.value) for f in other.fields}
            self.count(name, "other eyes", "key", True, key)
            pairs = {
                "title": (plain(fields["title"]), plain(now.get("title", ""))),
                "authors": (people(fields.get("author", "")), people(now.get("author", ""))),
                "year": (year_of(fields), year_of(now)),
                "doi": (doi_of(fields), doi_of(now)),
            }
            for part, (old, new) in pairs.items():
                if old:
                    self.count(name, "other eyes", part, old == new, (old, new))


def plain_tex(value: object) -> str:
    return " ".join(str(value).replace("{", "").replace("}", "").split())


def plain(text: object) -> str:
    return re.sub(r"[^a-z0-9]", "", anyascii(re.sub(r"\\[a-zA-Z]+", "", str(text))).lower())


def people(value: str) -> list[str]:
    """Each name as its letters, sorted: "Doe, J." and "J. Doe" are one."""
    return [
        "".join(sorted(plain(name.replace(",", " "))))
        for name in re.split(r"\s+and\s+", value, flags=re.IGNORECASE)
        if plain(name)
    ]


def year_of(fields: dict[str, str]) -> str:
    found = re.search(r"\d{4}", fields.get("date", "") or fields.get("year", ""))
    return found[0] if found else ""


def doi_of(fields: dict[str, str]) -> str:
    return (fields.get("doi", "").lower().replace("\\_", "_").replace("\\", ""))  # fmt: skip


def empty_wikis(folder: Path) -> Iterator[App]:
    """One empty wiki after another, each a copy of a database that was made once."""
    first = Settings(data=folder / "first", embedding_model="none")
    build(first).engine.dispose()
    made = next((folder / "first").glob("*.sqlite3"))
    number = 0
    while True:
        number += 1
        data = folder / str(number)
        data.mkdir()
        shutil.copy(made, data / made.name)
        app = build(Settings(data=data, embedding_model="none"))
        yield app
        app.engine.dispose()
        shutil.rmtree(data)


def main(options: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench bibliography")
    parser.add_argument("--lost", action="store_true", help="print what was not kept")
    parser.add_argument("--only", default="", help="one corpus alone")
    asked = parser.parse_args(options or [])
    logging.disable(logging.CRITICAL)
    started = time.process_time()
    corpora: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as folder:
        wikis = empty_wikis(Path(folder))
        for corpus, file in files():
            if asked.only in corpus:
                corpora.setdefault(corpus, Measured()).file(next(wikis), file)
        wikis.close()  # type: ignore[attr-defined]
    if not corpora:
        print("bibliography: the corpora are not there, so nothing is measured.")
        return
    for corpus, each in corpora.items():
        print(f"\n{corpus}: " + ", ".join(f"{n} {what}" for what, n in sorted(each.n.items())))
        for format in dict.fromkeys(format for format, _ in each.of):
            parts = []
            for part in FIELDS:
                kept, of = each.kept[format, part], each.of[format, part]
                mark = "" if of == 0 or kept / of >= WANTED else " (!)"
                parts.append(f"{part} {kept}/{of}{mark}")
            print(f"  {format:<10} " + "  ".join(parts))
        for line in each.lost if asked.lost else []:
            print("   ", line[:300])
    crashes = sum(each.n["crashes"] for each in corpora.values())
    print(f"\ncrashes: {crashes} (allowed: 0). {time.process_time() - started:.0f} s of CPU time.")
