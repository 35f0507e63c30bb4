"""A mirrored wiki as Obsidian reads it: does each wikilink lead to the file that it means?

Obsidian finds a file by its name in whatever case, or by its path; headings and blocks after it and a
text after a bar say nothing of the file. Names in `aliases` are for its search alone: a link by one of
them leads nowhere there, and a click on it makes an empty file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlmodel import col, select

from app import syncing
from app.bootstrap import READERS, App
from app.domain.records import Link, Origin, Page, PageKind, Relation
from app.importing import import_paths
from app.services import digest, mentions, months, review, wording
from app.services import pages as editing
from app.services.ingest import Report, import_files
from app.services.linker import shipped_weights
from app.settings import Settings
from app.sources.base import File
from app.store import mirror, pages
from app.store.db import reading, writing
from app.store.pages import Content
from bench.obsidian import follow
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
STARTER = Path(__file__).parent.parent / "wiki"


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
    assert followed.counts["followed"] >= 25
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


def note(app: App, title: str, text: str) -> None:
    with writing(app.engine) as session:
        content = Content(title=title, kind=PageKind.NOTE, body=text)
        pages.create(session, content, author=pages.PERSON, now=NOW)


LINKS = """[[KV cache]] [[kv cache|x]] [[KV cache#Part]] ![[KV cache]] [[concepts/KV cache]] and
[[KVC]], [[kv-cache]], [[KVC#Part]], ![[KVC]], [[What is it: a question?]], [[elsewhere/KV cache]],
[text](KVC.md), [[uses::KVC]], [[nobody]] and `[[KVC]]`.

| a |
|---|
| [[KVC]] and [[KVC\\|x]] |

```
[[KVC]]
```
"""


def test_links_that_lead_astray_in_obsidian_are_written_so_that_they_do_not(app: App) -> None:
    load(
        app,
        {"type": "concept", "id": "kv-cache", "title": "KV cache", "aliases": ["KVC"]},
        {"type": "concept", "id": "what-is-it", "title": "What is it: a question?"},
    )
    note(app, "Words", LINKS)
    syncing.once(app, "test")
    followed = follow(app)
    assert dict(followed.counts) == {"followed": 5, "astray": 9, "typed": 1, "red": 1}
    with writing(app.engine) as session:
        done = wording.word(session, now=NOW)
        assert (done.pages, done.links, done.stay) == (1, 9, 1)
    syncing.once(app, "test")
    followed = follow(app)
    assert dict(followed.counts) == {"followed": 14, "typed": 1, "red": 1}
    file = (app.vault_folder / "notes/Words.md").read_text()
    assert "[[KV cache|KVC]], [[KV cache|kv-cache]], [[KV cache#Part|KVC § Part]]" in file
    assert "| [[KV cache\\|KVC]] and [[KV cache\\|x]] |" in file and "`[[KVC]]`" in file
    syncing.once(app, "test")
    with reading(app.engine) as session:
        assert (pages.get(session, "words").version, mirror.problems(session)) == (2, [])


def test_after_a_rename_that_writes_links_the_vault_is_whole(app: App) -> None:
    load(app, {"type": "concept", "id": "kv-cache", "title": "KV cache"})
    note(app, "Words", "Of [[KV cache]], [[kv cache|it]] and [[kv-cache]].")
    note(app, "More", "Of [[KV cache#Part]].")
    syncing.once(app, "test")
    for title, name in (("Key-value store", "Key-value store"), ("What: is it?", "kv-cache")):
        with writing(app.engine) as session:
            page = pages.get(session, "kv-cache")
            content = Content(title=title, kind=page.kind, body=page.body)
            editing.save(session, "kv-cache", content, base=page.version, now=NOW, links=True)
        syncing.once(app, "test")
        assert (app.vault_folder / f"concepts/{name}.md").exists()
        followed = follow(app)
        # An address that was no file's name before leads here alone, as it did.
        assert [each for each in followed.wrong if "[[kv-cache]]" not in each] == []
        assert followed.counts["followed"] >= 3


def test_an_empty_file_that_a_click_on_a_link_made_is_no_second_page(app: App) -> None:
    load(app, {"type": "concept", "id": "kv-cache", "title": "KV cache", "aliases": ["KVC"]})
    syncing.once(app, "test")
    clicked = app.vault_folder / "KVC.md"
    clicked.write_text("")
    (app.vault_folder / "New idea.md").write_text("")
    syncing.once(app, "test")
    with reading(app.engine) as session:
        [problem] = mirror.problems(session)
        assert problem.path == "KVC.md" and "[[KV cache|KVC]]" in problem.reason
        assert pages.named(session, "KVC").slug == "kv-cache"  # type: ignore[union-attr]
        assert pages.named(session, "New idea") is not None
    assert clicked.read_bytes() == b""
    clicked.write_text("A page of its own after all.")
    syncing.once(app, "test")
    with reading(app.engine) as session:
        assert mirror.problems(session) == []
        page = pages.get(session, "kvc")
        assert (page.title, page.body) == ("KVC", "A page of its own after all.")
    clicked.write_text("")  # emptied, it is still its page's
    syncing.once(app, "test")
    with reading(app.engine) as session:
        assert mirror.problems(session) == [] and pages.get(session, "kvc").body == ""


def test_an_empty_file_by_a_pages_name_may_be_deleted_again(app: App) -> None:
    load(app, {"type": "concept", "id": "kv-cache", "title": "KV cache", "aliases": ["KVC"]})
    syncing.once(app, "test")
    (app.vault_folder / "KVC.md").write_bytes(b"\xef\xbb\xbf\r\n  \n")
    syncing.once(app, "test")
    (app.vault_folder / "KVC.md").unlink()
    syncing.once(app, "test")
    with reading(app.engine) as session:
        assert mirror.problems(session) == []
        assert pages.named(session, "KVC").slug == "kv-cache"  # type: ignore[union-attr]
