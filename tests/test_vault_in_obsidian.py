"""A mirrored wiki as Obsidian reads it: does each wikilink lead to the file that it means?

Obsidian finds a file by its name in whatever case, or by its path; headings and blocks after it and a
text after a bar say nothing of the file. Names in `aliases` are for its search alone: a link that only
an alias would explain leads nowhere there, and is counted apart.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlmodel import col, select

from app import syncing
from app.bootstrap import READERS, App
from app.domain.markdown import name_key
from app.domain.records import Link, Origin, Page, PageKind, Relation
from app.importing import import_paths
from app.services import digest, mentions, months, review
from app.services.ingest import Report, import_files
from app.services.linker import shipped_weights
from app.settings import Settings
from app.sources.base import File
from app.store import pages
from app.store.db import reading, writing
from app.vault import notes
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
STARTER = Path(__file__).parent.parent / "wiki"
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)
_LINK = re.compile(r"(?<!!)\[\[([^\[\]|#^\\\n]+)((?:[#^][^\[\]|\n]*)?)(?:\\?\|[^\[\]\n]*)?\]\]")


@dataclass
class Followed:
    """Links of a vault by what becomes of them in Obsidian; `wrong` names those that go astray."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of the links to a page that is there, those that lead to its file."""
        there = sum(n for became, n in self.counts.items() if became != "red")
        return self.counts["right"] / there if there else 1.0


def plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def follow(app: App) -> Followed:
    """Follow every wikilink of the vault, in front matter and text, as Obsidian does."""
    root = app.vault_folder
    files = {
        path.relative_to(root).as_posix(): notes.parse(path.read_bytes())
        for path in sorted(root.rglob("*.md"))
        if not path.relative_to(root).parts[0].startswith(".")
    }
    by_name: dict[str, list[str]] = defaultdict(list)
    aliases: dict[str, set[str]] = defaultdict(set)
    for path, parsed in files.items():
        by_name[plain(path.rpartition("/")[2].removesuffix(".md"))].append(path)
        by_name[plain(path.removesuffix(".md"))].append(path)
        for alias in parsed.note.aliases:
            aliases[plain(alias)].add(path)
    followed = Followed()
    with reading(app.engine) as session:
        for path, parsed in files.items():
            # Quotes are doubled in front matter's single-quoted strings alone.
            head = re.sub(r"''", "'", parsed.head)
            for found in _LINK.finditer(_CODE.sub("", head + parsed.note.body)):
                name = found[1].strip()
                means = pages.resolve(session, [name]).get(name_key(name))
                if means is None:
                    followed.counts["red"] += 1
                    continue
                to = {each for each in by_name[plain(name)] if files[each].note.id == means.slug}
                if to and len(by_name[plain(name)]) == len(to):
                    followed.counts["right"] += 1
                    continue
                by_alias = any(files[each].note.id == means.slug for each in aliases[plain(name)])
                followed.counts["alias" if by_alias else "wrong"] += 1
                followed.wrong.append(f"{path}: {found[0]} means {means.title} ({means.slug})")
    return followed


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    settings = Settings(data=tmp_path / "data", embedding_model="none", timezone="UTC", now=NOW)
    settings.data.mkdir()
    engine = make_engine(settings.data)
    yield App(settings, engine, shipped_weights(None))
    engine.dispose()


def load(app: App, *rows: dict[str, object]) -> None:
    data = "\n".join(json.dumps(row) for row in rows).encode()
    with writing(app.engine) as session:
        [(_, report)] = import_files(
            session, [File("w.jsonl", data)], READERS, raw_folder=None, now=NOW
        )
    assert isinstance(report, Report) and not report.rejected, report


TITLES = {
    "kv-cache": "KV cache",
    "what-is-it": "What is it: a question?",
    "con": "Con",
    "a-b": "A/B tests",
    "c-sharp": "C# and [[brackets]]",
    "umlaut": "Zürich \N{EN DASH} “naïve”",
    "long": "A very long title " * 12,
    "hash": "#1 of all",
    "dots": "Ends in a dot.",
    "twin-one": "The Twin",
    "twin-two": "THE TWIN",
    "slug-like": "kv-cache",
    "node": "Node.js",
    "picture": "figure.png",
    "dash": "-rf",
    "emoji": "Tea 🍵 time",
}


def test_what_the_machine_writes_leads_to_the_right_files(app: App) -> None:
    load(
        app,
        *(
            {"type": "concept", "id": slug, "title": title, "text": "Some."}
            for slug, title in TITLES.items()
        ),
        *(
            {
                "type": "assessment",
                "paper": f"p-{slug}",
                "scorer": "s",
                "day": "2026-05-12",
                "relevance": 9,
                "novelty": 5,
            }
            for slug in TITLES
        ),
        *(
            {
                "type": "paper",
                "id": f"arxiv:2605.{n:05}",
                "slug": f"p-{slug}",
                "title": f"On {title}"[:300],
                "abstract": f"We study {title} at length.",
                "day": "2026-05-12",
                "keep": True,
            }
            for n, (slug, title) in enumerate(TITLES.items(), 1)
        ),
        *(
            {"type": "link", "source": f"p-{slug}", "relation": "about", "target": slug}
            for slug in TITLES
        ),
        {
            "type": "page",
            "kind": "note",
            "id": "words",
            "title": "Words",
            "text": "".join(f"\n\nOf {title} much is said." for title in TITLES.values()),
        },
    )
    with writing(app.engine) as session:
        for slug in TITLES:
            try:
                mentions.link(session, slug, "words", now=NOW)
            except review.Conflict:
                continue  # no link can be written there: a heading, or brackets in the name
        assert digest.store(session, digest.read(session, "2026-05-12", zone=UTC), now=NOW)
        work = months.read(session, "2026-05", today=date(2026, 6, 2), zone=UTC)
        assert months.store(session, work, now=NOW)
    syncing.once(app, "test")
    followed = follow(app)
    # `con` no file can be called: its page is found here alone.
    assert [each for each in followed.wrong if "[[con|" not in each] == []
    assert followed.counts["right"] >= 25
    with reading(app.engine) as session:
        told = session.exec(select(Page.body).where(Page.slug == "digest-2026-05")).one()
        assert "[[KV cache]]" in told
        assert "[[what-is-it|What is it: a question?]]" in told
        written = session.exec(
            select(Link.target_id)
            .join(Page, col(Page.id) == col(Link.source_id))
            .where(Page.slug == "words", Link.origin == Origin.AUTHOR)
        ).all()
        assert len(written) >= 10


def test_the_machine_names_what_a_person_renamed_in_the_vault(app: App) -> None:
    load(app, {"type": "concept", "id": "kv-cache", "title": "KV cache"})
    syncing.once(app, "test")
    root = app.vault_folder
    (root / "mine").mkdir()
    (root / "concepts/KV cache.md").rename(root / "mine/Key-value store.md")
    syncing.once(app, "test")
    with reading(app.engine) as session:
        said = pages.by_file_names(session, "Of [[kv-cache|the cache]] and [[kv-cache|KV cache]].")
    assert said == "Of [[Key-value store|the cache]] and [[Key-value store|KV cache]]."


def test_a_text_keeps_its_words_whatever_its_links_are_called(app: App) -> None:
    load(app, *({"type": "concept", "id": s, "title": t} for s, t in TITLES.items()))
    for text, told in {
        "": "",
        "No link.": "No link.",
        "[[twin-two|THE TWIN]] and [[twin-one|The Twin]]": "[[twin-two|THE TWIN]] and [[The Twin]]",
        "`[[umlaut|x]]` and [[nobody|Nobody]]": "`[[umlaut|x]]` and [[nobody|Nobody]]",
        "|a|\n|-|\n|[[node\\|Node]]|\n": "|a|\n|-|\n|[[Node.js\\|Node]]|\n",
        "![[kv-cache]] [[kv-cache#Part|there]]": "![[kv-cache]] [[kv-cache#Part|there]]",
        "about:: [[emoji|time]]": "about:: [[Tea 🍵 time|time]]",
        "[[picture|shown]] [[dash|cut]] [[con|Con]]": "[[picture|shown]] [[dash|cut]] [[con|Con]]",
    }.items():
        with reading(app.engine) as session:
            assert pages.by_file_names(session, text) == told


def test_the_starter_wiki_can_be_walked_in_obsidian(app: App) -> None:
    import_paths(app, [STARTER])
    syncing.once(app, "test")
    followed = follow(app)
    assert followed.wrong == []
    with reading(app.engine) as session:
        assert pages.count(session, PageKind.CONCEPT) >= 20
        assert session.exec(select(Link).where(Link.relation == Relation.ABOUT)).first()
